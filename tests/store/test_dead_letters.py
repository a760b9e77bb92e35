"""Dead letters: how they are told, page by page, and tried again, singly or together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

import motion
from motion import clock
from motion.backends.base import Transaction
from motion.store.changes.change import dead_letters
from motion.testing import Stepper


@dataclass
class Page:
    id: int
    text: str
    length: int | None = None
    words: int | None = None


class Broken:
    """What decides whether the triggers of a test fail."""

    def __init__(self) -> None:
        self.is_broken = True
        self.seen: list[str] = []


Open = Callable[[], tuple[motion.Store, Broken]]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    stores: list[motion.Store] = []

    def open_store() -> tuple[motion.Store, Broken]:
        state = Broken()

        @motion.trigger(on="page.text", sets="page.length")
        def measure(text: str) -> int:
            state.seen.append(text)
            if state.is_broken:
                raise ValueError(f"cannot measure {text}")
            return len(text)

        @motion.trigger(on="page.text", sets="page.words")
        def count(text: str) -> int:
            if state.is_broken:
                raise KeyError(text)
            return len(text.split())

        store = motion.create_store(
            "letters",
            schemas={"page": Page},
            triggers=[measure, count],
            url=f"sqlite:///{tmp_path}",
        )
        stores.append(store)
        return store, state

    yield open_store
    for store in stores:
        store.close()


def failed(store: motion.Store, count: int) -> None:
    store.set_many("page", [{"id": i, "text": f"t{i}"} for i in range(1, count + 1)])
    store.wait(timeout=60)


def test_a_dead_letter_says_when_it_was_given_up_and_of_which_change(opened: Open) -> None:
    store, _ = opened()
    before = clock.now().replace(microsecond=0)
    change = store.set("page", id=1, text="a")
    change.wait(raise_errors=False)
    letter = store.errors("measure")[0]
    assert letter.at is not None
    assert before <= letter.at <= clock.now()
    assert letter.change == change.key


def test_dead_letters_are_told_a_part_at_a_time_in_order_and_each_once(opened: Open) -> None:
    store, _ = opened()
    failed(store, 7)
    whole = store.errors()
    assert len(whole) == 14
    parts: list[motion.DeadLetter] = []
    for _ in range(4):
        part = store.errors(limit=4, after=parts[-1] if parts else None)
        assert len(part) <= 4
        parts += part
    assert parts == whole


def test_of_one_trigger_only_its_dead_letters_are_told_a_part_at_a_time(opened: Open) -> None:
    store, _ = opened()
    failed(store, 5)
    first = store.errors("count", limit=3)
    rest = store.errors("count", limit=3, after=first[-1])
    assert sorted(each.row for each in (*first, *rest)) == [f"id={i}" for i in range(1, 6)]
    assert {each.trigger for each in (*first, *rest)} == {"count"}


def test_one_dead_letter_is_tried_again_and_the_others_stay(opened: Open) -> None:
    store, state = opened()
    failed(store, 3)
    state.is_broken = False
    (letter,) = (each for each in store.errors("measure") if each.row == "id=2")
    assert store.retry(letter) == 1
    store.wait(timeout=60)
    assert [store.get("page", i).length for i in (1, 2, 3)] == [None, 2, None]
    assert len(store.errors("measure")) == 2
    assert len(store.errors("count")) == 3


def test_several_dead_letters_are_tried_again_together(opened: Open) -> None:
    store, state = opened()
    failed(store, 4)
    state.is_broken = False
    letters = [each for each in store.errors() if each.row in ("id=2", "id=3")]
    assert store.retry(letters) == 4
    store.wait(timeout=60)
    assert {each.row for each in store.errors()} == {"id=1", "id=4"}


def test_a_letter_that_is_none_any_more_is_passed_over(opened: Open) -> None:
    store, state = opened()
    failed(store, 2)
    state.is_broken = False
    letters = store.errors("measure")
    store.retry(letters[0])
    store.wait(timeout=60)
    calls = len(state.seen)
    assert store.retry(letters) == 1
    store.wait(timeout=60)
    assert len(state.seen) == calls + 1


def test_what_is_no_dead_letter_is_refused_with_what_is_allowed(opened: Open) -> None:
    store, _ = opened()
    with pytest.raises(motion.InvalidArgument, match="a trigger's name, or what"):
        store.retry([1, 2])  # type: ignore[list-item]


class Asked:
    """A transaction that keeps what it was asked."""

    def __init__(self, tx: Any) -> None:
        self._tx = tx
        self.statements: list[tuple[str, Sequence[Any]]] = []

    def execute(self, sql: str, values: Sequence[Any] = ()) -> Any:
        self.statements.append((sql, values))
        return self._tx.execute(sql, values)


def test_telling_a_few_dead_letters_reads_no_more_than_these(opened: Open) -> None:
    """Held against the database's plan: a look-up by trigger and number, with nothing sorted."""
    store, _ = opened()
    failed(store, 2)
    with store._database.backend.read() as tx:
        asked = Asked(tx)
        dead_letters(store._database, cast(Transaction, asked), trigger="count", limit=1)
        sql, values = asked.statements[0]
        plan = [str(step[3]) for step in tx.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    assert ["motion_tasks_dead (trigger=? AND task>?)" in step for step in plan] == [True], plan


# -- runs that overlap --

LENGTH = 7


class Overlapping:
    """A trigger whose first call is due again before it fails, as a backfill comes in the middle of it."""

    def __init__(self, tmp_path: Path, *fails: bool) -> None:
        self._fails, self._is_first = iter(fails), True
        url = f"sqlite:///{tmp_path}"
        with motion.create_store("letters", schemas={"page": Page}, url=url) as older:
            older.set("page", id=1, text="a", length=LENGTH)
        triggers = [self._measure(), self._count()]
        self.store = motion.create_store(
            "letters", schemas={"page": Page}, triggers=triggers, url=url, run=False
        )
        self.change = self.store.set("page", id=1, text="overlapped")
        with Stepper(self.store) as worker:
            worker.run_until_idle()

    def _measure(self) -> Any:
        @motion.trigger(on="page.text", sets="page.length", inline=False)
        def measure(text: str) -> int:
            if self._is_first:
                self._is_first = False
                backfill = threading.Thread(target=self._backfill)
                backfill.start()
                backfill.join()
            if next(self._fails):
                raise ValueError(f"cannot measure {text}")
            return LENGTH

        return measure

    def _count(self) -> Any:
        @motion.trigger(on="page.text", sets="page.words", inline=False)
        def count(text: str, length: int) -> int:
            return len(text) + length

        return count

    def _backfill(self) -> None:
        self.store.backfill("measure", force=True)
        made = "SELECT 1 FROM motion_tasks WHERE trigger = 'measure' AND status = 0"
        with Stepper(self.store) as beside:
            while not self.store.sql(made).to_pylist():
                beside.step()


@pytest.fixture
def overlapping(tmp_path: Path) -> Iterator[Callable[..., Overlapping]]:
    made: list[Overlapping] = []

    def overlapping(*fails: bool) -> Overlapping:
        made.append(Overlapping(tmp_path, *fails))
        return made[-1]

    yield overlapping
    for each in made:
        each.store.close()


def test_p10_a_row_whose_runs_both_fail_has_one_dead_letter_for_all_who_wait(
    overlapping: Callable[..., Overlapping],
) -> None:
    found = overlapping(True, True)
    (letter,) = found.store.errors()
    assert letter.change != found.change.key  # but the later one's
    assert [each.task for each in found.change.errors] == [letter.task]


def test_p10_a_row_that_has_succeeded_since_has_no_dead_letter(
    overlapping: Callable[..., Overlapping],
) -> None:
    found = overlapping(True, False)
    assert found.store.errors() == []
    assert found.store.get("page", 1).words == len("overlapped") + LENGTH
