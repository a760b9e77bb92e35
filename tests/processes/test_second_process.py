"""A second process: one that was opened without what the first has, tells what there is of it all the same."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest

import motion
from motion import clock
from motion.testing import Stepper
from tests.conftest import OpenStore


@dataclass
class Doc:
    id: int
    text: str
    size: int
    good: bool


@motion.trigger(on="doc.text", sets="doc.size", inline=False)
def size(text: str) -> int:
    return len(text)


class Model(motion.Component):
    def setup(self) -> int:
        return 1

    @motion.fit(on="doc.good")
    def learn(self, state: int, rows: list[Doc]) -> int:
        return state


def test_waiting_tasks_of_others_triggers_are_told_as_such(
    open_store: OpenStore, tmp_path: Path
) -> None:
    first = open_store(schemas={"doc": Doc}, triggers=[size, Model()], run=False)
    first.set_many("doc", [{"text": "a"}, {"text": "b"}])
    first.close()
    with open_store() as other:
        status = other.status()
        told = status.triggers["size"]
        assert (told.rows, dict(told.tasks), told.has_code) == (2, {"ready": 1}, False)
        assert status.orphaned == 0
        assert "size (not run here)" in str(status)
        assert list(status.versions) == ["Model"]
        assert other.model("Model").versions() == []
    again = open_store(schemas={"doc": Doc}, triggers=[], run=False)
    assert (again.status().orphaned, list(again.status().triggers)) == (1, [])


def test_the_log_of_a_retry_names_row_and_error(
    open_store: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    @motion.trigger(on="doc.text", sets="doc.size", retries=1)
    def fails(text: str) -> int:
        raise ValueError(f"no {text}")

    store = open_store(schemas={"doc": Doc}, triggers=[fails], run=False)
    with caplog.at_level(logging.INFO, "motion"), Stepper(store) as worker:
        store.set("doc", id=7, text="boots")
        worker.step()
        first = caplog.text
        clock.advance(seconds=3_600)
        worker.run_until_idle()
    assert (
        "fails failed on doc id=7 in attempt 1 of 2: ValueError: no boots; it is tried again in"
        in first
    )
    assert "fails failed on doc id=7 in attempt 2 of 2: ValueError: no boots" in caplog.text
    assert (
        "gave up on 1 row(s), see store.errors(); the first: doc id=7: ValueError: no boots"
        in caplog.text
    )


class Size(Enum):
    SMALL = 1
    LARGE = 2


@dataclass
class Part:
    name: str


@dataclass
class Offer:
    id: int
    query: str
    at: datetime
    day: date
    size: Size
    word: Literal["a", "b"]
    number: Literal[1, 2]
    home_page: Annotated[str, motion.Key(page=False)]
    parts: list[Part]
    facts: dict[str, int]
    raw: bytes
    array: np.ndarray
    vector: Annotated[np.ndarray, motion.Vector(2)]
    idea: str
    idea_page: int
    score: float
    good: bool


def test_rows_are_read_without_their_dataclass(open_store: OpenStore) -> None:
    at = datetime(2024, 1, 1, tzinfo=UTC)
    values: dict[str, Any] = {
        "query": "boots", "at": at, "day": date(2024, 1, 1), "size": Size.LARGE, "word": "b", "number": 2, "home_page": "x",
        "parts": [Part("heel")], "facts": {"b": 1, "a": 2}, "raw": b"\0", "array": np.arange(6).reshape(2, 3),
        "vector": np.ones(2), "idea": "brown", "score": 0.5, "good": True,
    }  # fmt: skip
    with open_store(schemas={"offer": Offer}) as store:
        store.set("offer", id=1, **values)
        store.set("offer", id=1, idea_page=1, idea="black")
        store.set("offer", id=2, query="dress", size=Size.SMALL)
    other = open_store()
    first, second, third = other.rows("offer")
    assert (first.id, first.query, first.at, first.day) == (1, "boots", at, date(2024, 1, 1))
    assert (first.size, first.word, first.number, first.home_page) == ("LARGE", "b", 2, "x")
    assert (first.parts, first.facts, first.raw) == ([{"name": "heel"}], {"a": 2, "b": 1}, b"\0")
    assert first.array.shape == (2, 3)
    assert first.vector.tolist() == [1, 1]
    assert (first.score, first.good) == (0.5, True)
    assert (second.idea_page, second.idea, second.query) == (1, "black", "boots")  # inherited
    assert other.get("offer", 1, idea_page=1, inherit=False).query is None
    assert repr(other.get("offer", 2)) == repr(third)
    assert other.get("offer", 3) is None
    assert [row.id for row in other.rows("offer", where={"size": "SMALL"})] == [2]
    found = other.rows(
        "offer", id=1, where="idea = ?", params=["black"], order_by="id desc", limit=1
    )
    assert [row.idea_page for row in found] == [1]
    assert other.rows("offer", where={"facts": {"a": 2, "b": 1}, "vector": np.ones(2)}) != []


def test_what_is_no_table_or_no_key_is_told_without_dataclasses_too(open_store: OpenStore) -> None:
    open_store(schemas={"doc": Doc}).close()
    other = open_store()
    with pytest.raises(motion.UnknownTable):
        other.rows("dock")
    with pytest.raises(motion.UnknownKey):
        other.rows("doc", where={"txt": "a"})
    with pytest.raises(motion.UnknownKey):
        other.get("doc", 1, idea_page=1)
    with pytest.raises(motion.SqlError):
        other.rows("doc", where="txt = 1")
    with pytest.raises(motion.UnknownTable, match="rows, get and sql read any table"):
        other.set("doc", text="a")
