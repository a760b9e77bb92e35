"""Arrays, bytes and truths in answers in SQL: as they were set, through whatever gives a stored value unchanged, from tables of every
kind and by processes with and without their schemas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pytest

import motion
from tests.conftest import OpenStore

MATRIX = np.arange(6, dtype=np.int16).reshape(2, 3)

RAW = b"\xff\x00"

LOOKALIKE = b"\x00\x00\x00\x00\x00\x00\xf8?" + b'["<f8", [1]]\x0c\x00\x00array1\x00'
"""What an array is stored as, to the letter."""

VALUES = {
    "vector": [0.5, 2.0],
    "plain": [1.5, 2.5],
    "matrix": MATRIX.tolist(),
    "raw": RAW,
    "flag": True,
}


@dataclass
class Flat:
    id: int
    vector: Annotated[np.ndarray, motion.Vector(2)]
    plain: np.ndarray
    matrix: np.ndarray
    raw: bytes
    flag: bool


@dataclass
class Paged:
    id: int
    vector: Annotated[np.ndarray, motion.Vector(2)]
    plain: np.ndarray
    matrix: np.ndarray
    raw: bytes
    flag: bool
    page: int
    note: str


@dataclass
class Versioned:
    id: int
    title: str
    vector: Annotated[np.ndarray, motion.Vector(2)]
    plain: np.ndarray
    matrix: np.ndarray
    raw: bytes
    flag: bool
    page: int
    note: str


class Encoder(motion.Component):
    def setup(self) -> int:
        return 1

    @motion.infer(on="versioned.title", sets=("versioned.vector", "versioned.plain", "versioned.matrix", "versioned.raw", "versioned.flag"), refresh="before")  # fmt: skip
    def encode(self, state: int, title: str) -> tuple[Any, ...]:
        return vector(), plain(), MATRIX, RAW, True


def vector() -> np.ndarray[Any, Any]:
    return np.array([0.5, 2], np.float32)


def plain() -> np.ndarray[Any, Any]:
    return np.array([1.5, 2.5], np.float32)


SCHEMAS = {"flat": Flat, "paged": Paged, "versioned": Versioned}

FORMS = (
    "select {key} v from {table}",
    "select v from (select {key} v from {table}) q",
    "with q as (select * from {table}) select {key} v from q",
    "select (select {key} from {table} where {key} is not null limit 1) v",
    "select {key} v from {table} where {key} is not null order by id desc limit 1",
    "select distinct {key} v from {table}",
    "select {key} v from {table} group by {key}",
    "select {key} v from {table} union all select {key} from {table}",
    "select a.{key} v from {table} a join {table} b on a.id = b.id",
    "select {key} v from {table} where {key} is not null",
)


def filled(open_store: OpenStore, raw: bytes = RAW) -> motion.Store:
    store = open_store(schemas=SCHEMAS, triggers=[Encoder()])
    given: dict[str, Any] = {
        "vector": vector(),
        "plain": plain(),
        "matrix": MATRIX,
        "raw": raw,
        "flag": True,
    }
    store.set("flat", id=1, **given)
    store.set("paged", id=1, **given)
    store.set("paged", id=1, page=1, note="it shows what page 0 has")
    store.set("versioned", id=1, title="coat")
    store.set("versioned", id=1, page=1, note="it shows what page 0 has")
    store.wait(timeout=30)
    return store


@pytest.mark.parametrize("stored", ["", "__stored"])
def test_a_key_comes_back_as_it_was_set_through_views_subqueries_and_unions(
    open_store: OpenStore, stored: str
) -> None:
    filled(open_store).close()
    for options in ({"run": False}, {"schemas": SCHEMAS, "triggers": [Encoder()]}):
        store = open_store(**options)
        for table in SCHEMAS:
            for key, value in VALUES.items():
                for form in FORMS:
                    query = form.format(key=key, table=table + stored)
                    found = [each for each in store.sql(query)["v"].to_pylist() if each is not None]
                    assert found, query
                    assert all(each == value for each in found), query
        store.close()


def test_a_page_shows_what_page_0_has_and_its_own_where_it_has_one(open_store: OpenStore) -> None:
    store = filled(open_store)
    store.set("paged", id=1, page=1, vector=np.array([7, 8]), flag=False)
    query = "select vector, raw, flag from paged where id = 1 order by page"
    assert [tuple(row.values()) for row in store.sql(query).to_pylist()] == [
        ([0.5, 2.0], RAW, True),
        ([7.0, 8.0], RAW, False),
    ]


@pytest.mark.parametrize("table", SCHEMAS)
def test_an_array_beside_an_aggregate_is_one(open_store: OpenStore, table: str) -> None:
    """SQLite gives it of the row that has the largest; PostgreSQL has no such query."""
    store = filled(open_store)
    assert store.sql(f"select max(id), vector v from {table}")["v"].to_pylist() == [[0.5, 2.0]]
    assert store.sql(f"select max(id), matrix v from {table}")["v"].to_pylist() == [MATRIX.tolist()]


@pytest.mark.parametrize("table", SCHEMAS)
@pytest.mark.parametrize(
    "expression",
    ["coalesce(matrix, matrix)", "case when id = 1 then matrix end", "lag(matrix, 0) over (order by id)", "nullif(matrix, null)"],
)  # fmt: skip
def test_an_array_that_says_what_it_is_comes_back_from_expressions_too(
    open_store: OpenStore, table: str, expression: str
) -> None:
    store = filled(open_store)
    found = store.sql(f"select {expression} v from {table}")["v"].to_pylist()
    assert found == [MATRIX.tolist()] * len(found)


@pytest.mark.parametrize("end", ["", ";", " -- all of them"])
def test_how_a_query_ends_is_all_the_same(open_store: OpenStore, end: str) -> None:
    store = filled(open_store)
    assert store.sql(f"select count(*) v from paged{end}")["v"].to_pylist() == [2]
    found = store.sql(f"select coalesce(matrix, matrix) v from flat{end}")["v"].to_pylist()
    assert found == [MATRIX.tolist()]


@pytest.mark.parametrize("table", ["flat", "paged"])
def test_bytes_stay_bytes_whatever_they_are(open_store: OpenStore, table: str) -> None:
    store = filled(open_store, LOOKALIKE)
    for query in (f"select raw v from {table}", f"select v from (select raw v from {table}) q"):
        assert set(store.sql(query)["v"].to_pylist()) == {LOOKALIKE}


def test_bytes_in_an_expression_stay_bytes(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[Encoder()])
    footer, shape = b"\x00array1\x00", b'["<f8", [2]]\x0c\x00'
    others = [b"", footer, b"\x01\x00" + footer, b"x" * 8 + shape + footer, b"[" * 9 + b"\x09\x00" + footer,
              b'["|O", [1]]\x0b\x00' + footer, b"x" * 16 + b'["<f8",[2]]\x0b\x00' + footer]  # fmt: skip
    for id, raw in enumerate(others):
        store.set("flat", id=id, raw=raw)
        store.set("paged", id=id, raw=raw)
    for table in ("flat", "paged"):
        found = store.sql(f"select coalesce(raw, raw) v from {table} order by id")["v"].to_pylist()
        assert found == others


def test_bytes_in_an_expression_stay_bytes_in_a_file_even_where_they_are_an_array_to_the_letter(
    open_store: OpenStore,
) -> None:
    store = filled(open_store, LOOKALIKE)
    for table in ("flat", "paged"):
        found = store.sql(f"select coalesce(raw, raw) v from {table}")["v"].to_pylist()
        assert set(found) == {LOOKALIKE}
