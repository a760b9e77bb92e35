"""Coalescing: rows that are due again while they wait stand in the queue once, in whatever ranges they were made due."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

import motion
from motion import clock
from motion.testing import Stepper
from tests.conftest import OpenStore


@dataclass
class Job:
    id: int
    user: int
    text: str
    done: str


@dataclass
class Node:
    id: int
    seed: int
    value: int


@dataclass
class Counted:
    """A store whose worker takes a step at a time, and what its trigger was called with."""

    store: motion.Store
    worker: Stepper
    calls: list[tuple[int, str]]

    def set(self, rows: Sequence[int], text: str) -> motion.Change:
        return self.store.set_many("job", [{"id": i, "user": i % 3, "text": text} for i in rows])

    @property
    def queue(self) -> list[tuple[int, int]]:
        """The rows of each task, by what is stored of them."""
        found = self.store.sql("SELECT low, high FROM motion_tasks ORDER BY task").to_pylist()
        return [(each["low"], each["high"]) for each in found]

    @property
    def most_in_queue(self) -> int:
        """In how many tasks one row stands, at most."""
        return max(
            Counter(row for low, high in self.queue for row in range(low, high + 1)).values()
        )


@contextmanager
def counted(open_store: OpenStore, **options: Any) -> Iterator[Counted]:
    calls: list[tuple[int, str]] = []

    @motion.trigger(on="job.text", sets="job.done", inline=False, **options)
    def run(id: int, text: str) -> str:
        calls.append((id, text))
        if text == "bad":
            raise ValueError(text)
        return text

    store = open_store(schemas={"job": Job}, triggers=[run], run=False)
    with Stepper(store) as worker:
        yield Counted(store, worker, calls)


def test_the_queue_of_rows_that_read_one_another_is_no_longer_than_they_are_many(
    open_store: OpenStore,
) -> None:
    """Each batch makes the rows due behind those that it has changed, in ever other ranges."""
    calls: Counter[int] = Counter()

    @motion.trigger(on="node.seed", sets="node.value", follow=True, batch=16)
    def add(id: list[int], seed: list[int], store: motion.View) -> list[int]:
        calls.update(id)
        before = [store.get("node", each - 1, keys=("value",)) for each in id]
        return [own + ((row and row.value) or 0) for own, row in zip(seed, before, strict=True)]

    store = open_store(schemas={"node": Node}, triggers=[add], run=False)
    rows = 80
    store.set_many("node", [{"id": i, "seed": 1} for i in range(1, rows + 1)])
    longest = 0
    with Stepper(store) as worker:
        while worker.step():
            waiting = store.sql("SELECT SUM(high - low + 1) n FROM motion_tasks").to_pylist()
            longest = max(longest, waiting[0]["n"] or 0)
    assert [row.value for row in store.rows("node")] == list(range(1, rows + 1))
    assert longest <= rows
    assert calls.total() <= rows * rows


@pytest.mark.parametrize("seed", range(8))
def test_rows_stand_in_the_queue_once_however_they_were_made_due(
    open_store: OpenStore, seed: int
) -> None:
    draw = random.Random(seed)
    latest: dict[int, str] = {}
    with counted(open_store, serial_by="job.user" if seed % 2 else None) as it:
        for i in range(40):
            low = draw.randint(1, 60)
            rows = range(low, low + draw.choice((1, 1, 5, 20)))
            it.set(rows, f"t{i}")
            latest |= dict.fromkeys(rows, f"t{i}")
            assert it.most_in_queue == 1
            if draw.random() < 0.2:
                it.worker.step()
                if not it.queue:
                    it.set(rows, f"u{i}")
                    latest |= dict.fromkeys(rows, f"u{i}")
        it.worker.run_until_idle()
        assert {row.id: row.done for row in it.store.rows("job")} == latest
        assert max(Counter(it.calls).values()) == 1  # nothing is called twice with the same


def test_a_row_that_is_made_again_while_a_task_of_its_range_waits_stands_in_the_queue_once(
    open_store: OpenStore,
) -> None:
    """What the queue knows of is not asked for rows whose ids the store gives: nothing is about these. An id that is given
    may have been another row's."""
    with counted(open_store) as it:
        it.set(range(1, 11), "a")
        it.store.delete("job", 5)
        it.store.set("job", id=5, user=1, text="again")
        for i in range(3):
            it.store.set("job", user=i, text=f"new {i}")
        assert it.most_in_queue == 1
        it.worker.run_until_idle()
        assert Counter(it.calls).most_common(1)[0][1] == 1
        assert {row.id: row.done for row in it.store.rows("job")} == {
            row.id: row.text for row in it.store.rows("job")
        }


def test_a_change_waits_for_the_task_that_stands_for_its_rows(open_store: OpenStore) -> None:
    with counted(open_store) as it:
        first = it.set(range(1, 11), "a")
        newer = it.set(range(3, 6), "b")
        assert it.queue == [(1, 10)]
        assert [first.progress.remaining, newer.progress.remaining] == [10, 10]
        it.worker.run_until_idle()
        assert [first.progress.remaining, newer.progress.remaining] == [0, 0]
        assert it.calls == [(i, "b" if 3 <= i < 6 else "a") for i in range(1, 11)]


def test_what_no_task_holds_gets_one_and_who_waits_for_both_waits_for_both(
    open_store: OpenStore,
) -> None:
    with counted(open_store) as it:
        it.set(range(1, 6), "a")
        it.set(range(8, 10), "a")
        newer = it.set(range(4, 13), "b")
        assert it.queue == [(1, 5), (8, 9), (6, 7), (10, 12)]
        assert newer.progress.remaining == 12
        it.worker.run_until_idle()
        assert newer.progress.remaining == 0
        assert dict(it.calls) == {i: "a" if i < 4 else "b" for i in range(1, 13)}


def test_cancelling_a_change_leaves_what_a_newer_one_waits_for(open_store: OpenStore) -> None:
    with counted(open_store) as it:
        first, newer = it.set(range(1, 11), "a"), it.set(range(3, 6), "b")
        first.cancel()
        assert first.progress.remaining == 0
        assert newer.progress.remaining > 0
        it.worker.run_until_idle()
        assert {(3, "b"), (4, "b"), (5, "b")} <= {*it.calls}
        newer.cancel()


def test_cancelling_the_newer_change_leaves_what_the_first_waits_for(open_store: OpenStore) -> None:
    with counted(open_store) as it:
        first, newer = it.set(range(1, 11), "a"), it.set(range(3, 6), "b")
        newer.cancel()
        assert first.progress.remaining == 10
        it.worker.run_until_idle()
        assert {(1, "a"), (2, "a"), (6, "a")} <= {*it.calls}


def test_live_work_is_not_put_into_a_task_of_a_backfill(open_store: OpenStore) -> None:
    with counted(open_store) as it:
        it.set(range(1, 41), "a")
        it.worker.run_until_idle()
        it.calls.clear()
        it.store.backfill("run", force=True)
        while not it.queue:
            it.worker.step()
        it.set(range(30, 33), "b")
        it.worker.step()
        assert it.calls[:3] == [(30, "b"), (31, "b"), (32, "b")]
        it.worker.run_until_idle()
        assert [row.done for row in it.store.rows("job")] == ["a"] * 29 + ["b"] * 3 + ["a"] * 8


def test_a_task_that_has_failed_stands_for_no_other_rows(open_store: OpenStore) -> None:
    """It is put off, or dead: what is new must not wait for that, nor end it."""
    with counted(open_store, retries=1) as it:
        it.set(range(1, 4), "bad")
        it.worker.run_until_idle()
        it.set(range(2, 9), "good")
        it.worker.run_until_idle()
        assert [row.done for row in it.store.rows("job")] == [None] + ["good"] * 7
        clock.advance(seconds=60)
        it.worker.run_until_idle()
        assert [letter.row for letter in it.store.errors()] == ["id=1"]


def test_what_is_dropped_too_late_is_so_at_a_time_of_its_own(open_store: OpenStore) -> None:
    with counted(open_store, discard_after=10) as it:
        it.set(range(1, 11), "a")
        clock.advance(seconds=6)
        it.set(range(3, 6), "b")
        clock.advance(seconds=6)
        it.worker.run_until_idle()
        assert it.calls == [(3, "b"), (4, "b"), (5, "b")]


def test_a_write_to_many_rows_that_wait_one_by_one_makes_one_task(open_store: OpenStore) -> None:
    """Telling each of them would make the write as long as the queue."""
    with counted(open_store) as it:
        for i in range(150):
            it.set([2 * i + 1], "a")
        it.set(range(1, 301), "b")
        assert len(it.queue) == 151
        it.worker.run_until_idle()
        assert sorted(it.calls) == [(i, "b") for i in range(1, 301)]
