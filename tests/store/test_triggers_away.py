"""A trigger that was taken away and comes back: what it made before is stale where rows were written without it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest

import motion


@dataclass
class Note:
    id: int
    at: int
    user: str
    n: int
    plain: str
    window: str
    looked_up: str
    scored: str


@dataclass
class User:
    id: str
    name: str


@dataclass
class Piece:
    id: int
    text: str
    word: str
    word_page: int


@dataclass
class Tag:
    id: str
    text: str


@motion.trigger(on="note.n", sets="note.plain")
def plain(n: int) -> str:
    return f"{n}"


@motion.trigger(on="note.n", sets="note.window")
def window(ns: Annotated[list[int], motion.Window("note.n", by="user", order="at")]) -> str:
    return f"{ns}"


@motion.trigger(on="note.n", sets="note.looked_up")
def looked_up(name: Annotated[str, motion.Lookup("user.name", by="user")]) -> str:
    return name


class Scorer(motion.Component):
    def setup(self) -> int:
        return 1

    @motion.infer(on="note.n", sets="note.scored")
    def score(self, state: int, n: int) -> str:
        return f"{state}:{n}"


ALL: Sequence[Any] = (plain, window, looked_up, Scorer())
NAMES = ("plain", "window", "looked_up", "Scorer.score")


def opened(folder: Path, *triggers: Any, **options: Any) -> motion.Store:
    schemas = {"note": Note, "user": User}
    return motion.create_store(
        "away", schemas=schemas, triggers=list(triggers), url=f"sqlite:///{folder}", **options
    )


def stale(store: motion.Store) -> list[int]:
    counted = [store.status().triggers[name].stale for name in NAMES]
    assert [store.plan(name).stale for name in NAMES] == counted
    return counted


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with opened(tmp_path, *ALL) as store:
        store.set("user", id="ann", name="Ann")
        store.set_many("note", [{"id": i, "at": i, "user": "ann", "n": i} for i in (1, 2, 3)])
        store.wait(timeout=60)
    return tmp_path


def test_what_a_trigger_made_before_rows_were_written_without_it_is_stale(folder: Path) -> None:
    with opened(folder) as store:
        store.set("note", id=2, n=20)
        store.set("user", id="ann", name="Anna")
    with opened(folder, *ALL) as store:
        assert stale(store) == [3, 3, 3, 3]
        told = store.explain("note", 2, "plain")
        assert not told.is_current
        assert told.was_away
        assert "STALE: rows were written while the store was open without this code" in str(told)


def test_a_backfill_remakes_what_a_trigger_has_missed(folder: Path) -> None:
    with opened(folder) as store:
        store.set("note", id=2, n=20)
        store.set("user", id="ann", name="Anna")
    with opened(folder, *ALL) as store:
        for name in NAMES:
            store.backfill(name).wait(timeout=60)
        assert stale(store) == [0, 0, 0, 0]
        found = [(row.plain, row.window, row.looked_up, row.scored) for row in store.rows("note")]
        assert found == [
            ("1", "[]", "Anna", "1:1"),
            ("20", "[1]", "Anna", "1:20"),
            ("3", "[1, 20]", "Anna", "1:3"),
        ]
    with opened(folder, *ALL) as store:  # and so it stays
        assert stale(store) == [0, 0, 0, 0]


def test_nothing_is_stale_after_a_look_without_triggers(folder: Path) -> None:
    for _ in range(2):
        with opened(folder) as store:
            assert store.get("note", 2).plain == "2"
    with opened(folder, plain) as store:
        assert len(store.rows("note")) == 3
    with opened(folder, *ALL) as store:
        assert stale(store) == [0, 0, 0, 0]
        assert not store.explain("note", 2, "plain").was_away


def test_only_triggers_that_were_away_have_missed_something(folder: Path) -> None:
    with opened(folder, plain, Scorer()) as store:
        store.set("note", id=2, n=20).wait(timeout=60)
    with opened(folder, *ALL) as store:
        assert stale(store) == [0, 3, 3, 0]


def test_what_is_missed_is_told_at_whichever_return(folder: Path) -> None:
    with opened(folder) as store:
        store.set("note", id=2, n=20)
    with opened(folder):
        pass
    with opened(folder, plain):
        pass
    with opened(folder):
        pass
    with opened(folder, *ALL) as store:
        assert stale(store) == [3, 3, 3, 3]


def test_a_user_keeps_what_was_given_before_the_trigger_was_away(folder: Path) -> None:
    with opened(folder, *ALL) as store:
        store.set("note", id=1, plain="mine", scored="mine").wait(timeout=60)
    with opened(folder) as store:
        store.set("note", id=2, n=20)
    with opened(folder, *ALL) as store:
        assert (store.plan("plain").stale, store.plan("plain").by_users) == (2, 1)
        store.backfill("plain").wait(timeout=60)
        store.backfill("Scorer.score").wait(timeout=60)
        assert (store.get("note", 1).plain, store.get("note", 1).scored) == ("mine", "mine")


def test_a_user_keeps_what_was_given_while_the_trigger_was_away(folder: Path) -> None:
    with opened(folder) as store:
        store.set("note", id=1, plain="mine", scored="mine")
        store.set("note", id=2, n=20, plain="mine", scored="mine")
        store.set("note", id=4, n=4, plain="mine", scored="mine")
    with opened(folder, *ALL) as store:
        assert (store.plan("plain").stale, store.plan("plain").by_users) == (1, 3)
        assert "given from outside" in str(store.explain("note", 1, "plain"))
        for name in ("plain", "Scorer.score"):
            store.backfill(name).wait(timeout=60)
        found = [(row.plain, row.scored) for row in store.rows("note")]
        assert found == [("mine", "mine"), ("mine", "mine"), ("3", "1:3"), ("mine", "mine")]
        store.set("note", id=1, n=10).wait(timeout=60)
        assert store.get("note", 1).plain == "10"


def test_what_runs_after_the_return_is_current_in_a_process_that_was_there_all_along(
    folder: Path,
) -> None:
    with opened(folder, *ALL) as there:
        there.set("note", id=1, n=10).wait(timeout=60)
        with opened(folder, run=False) as other:
            other.set("note", id=2, n=20)
        with opened(folder, *ALL, run=False) as other:
            assert other.plan("plain").stale == 3
        there.set("note", id=1, n=11).wait(timeout=60)
        assert there.get("note", 1).plain == "11"
        assert (there.plan("plain").stale, there.plan("plain").current) == (2, 1)


def test_a_trigger_that_backfills_by_itself_does_so_when_it_has_missed_something(
    tmp_path: Path,
) -> None:
    @motion.trigger(on="note.n", sets="note.plain", on_change="backfill")
    def own(n: int) -> str:
        return f"{n}"

    with opened(tmp_path, own) as store:
        store.set("note", id=1, n=1).wait(timeout=60)
    with opened(tmp_path) as store:
        store.set("note", id=1, n=2)
    with opened(tmp_path, own) as store:
        store.wait(timeout=60)
        assert store.get("note", 1).plain == "2"
        assert store.plan("own").stale == 0


def test_a_trigger_that_an_older_motion_took_away_may_have_missed_something(folder: Path) -> None:
    with opened(folder):
        pass
    database = sqlite3.connect(folder / "store.sqlite")
    database.execute("DROP TABLE motion_away")  # as a store is that did not note it
    database.commit()
    database.close()
    with opened(folder):
        pass
    with opened(folder, *ALL) as store:
        assert stale(store) == [3, 3, 3, 3]


def test_pages_and_rows_of_another_table_that_missed_something_are_stale(tmp_path: Path) -> None:
    @motion.trigger(on="piece.text", sets="piece.word", page="word_page")
    def words(text: str) -> Iterator[str]:
        yield from text.split()

    @motion.trigger(on="piece.text", sets="tag")
    def tags(text: str) -> list[Tag]:
        return [Tag(each, each) for each in text.split()]

    def pieces(*triggers: Any) -> motion.Store:
        return motion.create_store(
            "away", schemas={"piece": Piece, "tag": Tag}, triggers=list(triggers), url=f"sqlite:///{tmp_path}",
        )  # fmt: skip

    with pieces(words, tags) as store:
        store.set("piece", id=1, text="a b").wait(timeout=60)
    with pieces() as store:
        store.set("piece", id=1, text="c")
    with pieces(words, tags) as store:
        assert (store.plan("words").stale, store.plan("tags").stale) == (1, 1)
        store.backfill("words").wait(timeout=60)
        store.backfill("tags").wait(timeout=60)
        assert [row.word for row in store.rows("piece")] == ["c"]
        assert [row.id for row in store.rows("tag")] == ["c"]
        assert (store.plan("words").stale, store.plan("tags").stale) == (0, 0)


@dataclass
class Payment:
    id: int
    card: str
    amount: int
    note: str


@dataclass
class Card:
    id: str
    total: int


def paying(folder: Path, *triggers: Any) -> motion.Store:
    schemas = {"payment": Payment, "card": Card}
    return motion.create_store(
        "folds", schemas=schemas, triggers=list(triggers), url=f"sqlite:///{folder}"
    )


def adding(*, replay: bool) -> Any:
    @motion.fold(on="payment.amount", by="payment.card", sets="card.total", replay=replay)
    def total(total: int | None, amount: int, note: str | None) -> int:
        if note is not None:
            raise ValueError(note)
        return (total or 0) + amount

    return total


@pytest.fixture(params=[True, False], ids=["replayed", "applied once"])
def total(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    fold = adding(replay=request.param)
    with paying(tmp_path, fold) as store:
        store.set_many("payment", [{"id": i, "card": "ab"[i % 2], "amount": i} for i in range(6)])
        store.wait(timeout=60)
    return fold


def totals(store: motion.Store) -> dict[str, int | None]:
    return {row.id: row.total for row in store.rows("card")}


def test_what_a_fold_has_missed_is_stale_and_a_backfill_folds_it(
    tmp_path: Path, total: Any
) -> None:
    with paying(tmp_path) as store:
        store.set("payment", id=2, amount=20)
        for i in (1, 3, 5):
            store.delete("payment", i)  # all that there is of a card
        store.set("payment", id=7, card="c", amount=7)
    with paying(tmp_path, total) as store:
        store.wait(timeout=60)
        plan = store.plan("total")
        assert (plan.stale, plan.missing, plan.current) == (2, 1, 0)
        assert store.status().triggers["total"].stale == 2
        assert totals(store) == {"a": 6, "b": 9}
        store.backfill("total").wait(timeout=60)
        assert totals(store) == {"a": 24, "b": None, "c": 7}
        assert store.plan("total").current == 3


def test_a_fold_has_missed_nothing_where_nothing_was_written(tmp_path: Path, total: Any) -> None:
    with paying(tmp_path) as store:
        assert len(store.rows("payment")) == 6
    with paying(tmp_path, total) as store:
        plan = store.plan("total")
        assert (plan.stale, plan.missing, plan.current) == (0, 0, 2)
        store.set("payment", id=8, card="a", amount=8).wait(timeout=60)
        assert totals(store) == {"a": 14, "b": 9}


def test_a_row_after_a_folds_return_has_all_rows_of_its_card_folded(tmp_path: Path) -> None:
    fold = adding(replay=True)
    with paying(tmp_path, fold) as store:
        store.set_many("payment", [{"id": i, "card": "a", "amount": i} for i in (1, 2)])
        store.wait(timeout=60)
    with paying(tmp_path) as store:
        store.set("payment", id=1, amount=10)
    with paying(tmp_path, fold) as store:
        store.set("payment", id=3, card="a", amount=3).wait(timeout=60)
        assert totals(store) == {"a": 15}
        assert store.plan("total").stale == 0


def test_what_is_told_of_a_row_that_a_fold_has_given_up_goes_with_it_while_the_fold_is_away(
    tmp_path: Path, total: Any
) -> None:
    with paying(tmp_path, total) as store:
        store.set("payment", id=8, card="a", amount=8, note="to be forgotten")
        store.wait(timeout=60)
        assert [each.row for each in store.errors()] == ["id=8"]
    with paying(tmp_path) as store:
        store.forget("payment", 8)
    with paying(tmp_path, total) as store:
        assert store.errors() == []
    assert b"to be forgotten" not in (tmp_path / "store.sqlite").read_bytes()
