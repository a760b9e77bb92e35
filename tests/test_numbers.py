"""Numbers: what names a task, a claim or a row names no other one later, whatever was dropped or deleted meanwhile."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import motion
from tests.conftest import OpenStore

FORMAT_1 = Path(__file__).with_name("format_1.sql")
"""A store as the first format had it: waiting tasks, dead letters, a label, rows with names and pages."""


@dataclass
class Note:
    id: str
    page: int
    text: str
    length: int
    other: int
    doubled: int
    liked: bool


SCHEMAS = {"note": Note}
BUILDING, LIVE = threading.Event(), threading.Event()
MAY_END_BUILDING, MAY_END_LIVE = threading.Event(), threading.Event()


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    for each in (BUILDING, LIVE, MAY_END_BUILDING, MAY_END_LIVE):
        each.clear()
    yield
    MAY_END_BUILDING.set()
    MAY_END_LIVE.set()


class Ruler(motion.Component, keep_outputs=3):
    """Its lengths are multiples of its state; those of its third version are held."""

    def setup(self) -> int:
        return 1

    @motion.infer(on="note.text", sets="note.length", refresh="before")
    def measure(self, state: int, text: str) -> int:
        if state == 3:
            BUILDING.set()
            assert MAY_END_BUILDING.wait(30)
        return state * len(text)

    @motion.fit(on="note.liked")
    def learn(self, state: int, rows: list[Note]) -> int:
        return state + 1


@motion.trigger(on="note.other", sets="note.doubled", inline=False)
def double(other: int) -> int:
    LIVE.set()
    assert MAY_END_LIVE.wait(30)
    return 2 * other


@pytest.mark.parametrize("rows", [1, 3])
def test_a_build_that_is_dropped_while_it_runs_ends_no_other_work(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setenv("MOTION_WORKER_THREADS", "2")  # one builds, one runs what is live
    store = open_store(schemas=SCHEMAS, triggers=[Ruler(), double])
    model = store.model("Ruler")
    store.set("note", id="0", text="text", liked=True).wait()
    model.fit()
    store.wait(timeout=60)  # version 2 is live
    store.set("note", id="0", liked=False)
    model.fit()
    assert BUILDING.wait(60)
    model.rollback()  # drops the build that is under way
    change = store.set_many("note", [{"id": str(i), "other": 20 + i} for i in range(rows)])
    assert LIVE.wait(30)
    MAY_END_BUILDING.set()
    store.set("note", id="x", text="next").wait()  # by the thread that has ended the build
    MAY_END_LIVE.set()
    change.wait()
    store.wait(timeout=30)
    assert [row.doubled for row in store.rows("note")] == [*range(40, 40 + 2 * rows, 2), None]
    assert store.status().tasks == {}


def test_the_number_of_a_deleted_row_is_not_given_to_the_next_one(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS)
    numbers = []
    for name in ("a", "b", "c"):
        store.set("note", id=name, text="text")
        numbers += [each["row"] for each in store.sql(ROW_NUMBERS).to_pylist()]
        store.delete("note", name)
    store.set_many("note", [{"id": name, "text": "text"} for name in ("d", "e")])
    numbers += [each["row"] for each in store.sql(ROW_NUMBERS).to_pylist()]
    assert len(set(numbers)) == 5


ROW_NUMBERS = 'select ":row" as row from motion_rows_note'


# -- stores of the format before --


class Taste(motion.Component):
    def setup(self) -> int:
        return 1

    @motion.infer(on="note.text", sets="note.length")
    def measure(self, state: int, text: str) -> int:
        return state * len(text)

    @motion.fit(on="note.liked", every=100)
    def learn(self, state: int, rows: list[Note]) -> int:
        return state + 1


def test_a_store_of_format_1_goes_on_where_it_was(tmp_path: Path, open_store: OpenStore) -> None:
    mourned = []

    @motion.trigger(on=motion.deleted("note"))
    def mourn(text: str) -> None:
        mourned.append(text)

    folder = tmp_path / "shop.motion"
    folder.mkdir()
    file = sqlite3.connect(folder / "store.sqlite")
    file.executescript(FORMAT_1.read_text())
    file.close()
    store = open_store(schemas=SCHEMAS, triggers=[Taste(), mourn])
    store.wait(timeout=30)
    assert [row.length for row in store.rows("note")] == [3, None, 5]
    assert mourned == ["four"]
    assert [letter.trigger for letter in store.errors()] == ["Taste.measure", "mourn"]
    store.retry()
    store.delete("note", "e")
    store.set("note", id="f", text="six six").wait()
    store.wait(timeout=30)
    assert [row.length for row in store.rows("note")] == [3, 2, 7]
    assert sorted(mourned) == ["four", "hold", "waits"]
    assert store.errors() == []
    assert [str(each) for each in store.sql("select format from motion_clock")["format"]] == ["2"]
