"""Arrays of any dtype and shape, as SQL answers with them, and as files and copies of a store have them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

import motion
from motion.server import create_app
from motion.store.transfer import export_table, import_table
from tests.conftest import OpenStore


@dataclass
class Thing:
    id: int
    held: np.ndarray


FIVE = datetime.fromisoformat("2024-01-01T05:00")

CASES: dict[str, tuple[Any, pa.DataType, Any]] = {
    "complex": (np.array([1 + 2j, -3j]), pa.list_(pa.list_(pa.float64())), [[1, 2], [0, -3]]),
    "complex of 64 bits": (np.array([[1j]], "c8"), pa.list_(pa.list_(pa.list_(pa.float32()))), [[[0, 1]]]),
    "one complex": (np.array(1 + 2j), pa.list_(pa.float64()), [1, 2]),
    "half": (np.array([[1.5]], "f2"), pa.list_(pa.list_(pa.float16())), [[1.5]]),
    "bool": (np.array([[True], [False]]), pa.list_(pa.list_(pa.bool_())), [[True], [False]]),
    "big-endian": (np.array([1, 2], ">i4"), pa.list_(pa.int32()), [1, 2]),
    "largest": (np.array([2**64 - 1], "u8"), pa.list_(pa.uint64()), [2**64 - 1]),
    "one number": (np.array(1.5, "f4"), pa.float32(), 1.5),
    "one text": (np.array("a"), pa.string(), "a"),
    "texts": (np.array([["a"], ["bé"]]), pa.list_(pa.list_(pa.string())), [["a"], ["bé"]]),
    "half a surrogate pair": (np.array(["\ud800"]), pa.list_(pa.string()), ["\\ud800"]),
    "bytes": (np.array([b"a", b"\xff"]), pa.list_(pa.binary()), [b"a", b"\xff"]),
    "void": (np.array([b"ab"], "V2"), pa.list_(pa.binary()), [b"ab"]),
    "none": (np.zeros(0), pa.list_(pa.float64()), []),
    "none of float32": (np.zeros(0, "f4"), pa.list_(pa.float32()), []),
    "none of three": (np.zeros((0, 3), "i2"), pa.list_(pa.list_(pa.int16())), []),
    "three of none": (np.zeros((3, 0), "i2"), pa.list_(pa.list_(pa.int16())), [[], [], []]),
    "days": (np.array(["2024-01-02", "NaT"], "M8[D]"), pa.list_(pa.date32()), [date(2024, 1, 2), None]),
    "years": (np.array(["2024"], "M8[Y]"), pa.list_(pa.date32()), [date(2024, 1, 1)]),
    "hours": (np.array(["2024-01-01T05"], "M8[h]"), pa.list_(pa.timestamp("s")), [FIVE]),
    "moments": (np.array([["2024-01-01T05"]], "M8[us]"), pa.list_(pa.list_(pa.timestamp("us"))), [[FIVE]]),
    "spans": (np.array([5], "m8[D]"), pa.list_(pa.duration("s")), [timedelta(days=5)]),
    "days that Arrow has not": (np.array([2**40], "M8[D]"), pa.list_(pa.string()), ["3010362559-12-15"]),
    "hours that Arrow has not": (np.array([2**62], "M8[h]"), pa.list_(pa.string()), ["526098644330439-11-20T16"]),
    "spans of years": (np.array([5], "m8[Y]"), pa.list_(pa.string()), ["5 years"]),
    "picoseconds": (np.array([5], "M8[ps]"), pa.list_(pa.string()), ["1970-01-01T00:00:00.000000000005"]),
    "long": (np.array([1.5], np.longdouble), pa.list_(pa.string()), ["1.5"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_an_array_of_any_dtype_keeps_its_values_in_an_answer(
    open_store: OpenStore, case: str
) -> None:
    array, kind, values = CASES[case]
    store = open_store(schemas={"thing": Thing})
    store.set("thing", id=2, held=array)
    store.set("thing", id=1)
    store.set("thing", id=3, held=array)
    column = store.sql("select held from thing order by id")["held"]
    column.validate(full=True)
    assert (column.type, column.to_pylist()) == (kind, [None, values, values])


def test_arrays_of_many_shapes_are_lists_of_lists(open_store: OpenStore) -> None:
    store = open_store(schemas={"thing": Thing})
    arrays = [np.arange(n * 4, dtype="i4").reshape(n, 2, 2) for n in (2, 0, 3)]
    arrays.append(np.zeros((2, 0, 5), "i4"))
    for id, array in enumerate(arrays):
        store.set("thing", id=id, held=array)
    column = store.sql("select held from thing order by id")["held"]
    column.validate(full=True)
    assert column.to_pylist() == [array.tolist() for array in arrays]


def test_a_column_of_arrays_that_go_in_no_one_type_is_answered_all_the_same(
    open_store: OpenStore,
) -> None:
    store = open_store(schemas={"thing": Thing})
    for id, (array, _, _) in enumerate(CASES.values()):
        store.set("thing", id=id, held=array)
    assert store.sql("select held from thing").num_rows == len(CASES)


def test_an_array_of_no_numbers_is_found_and_is_no_change(open_store: OpenStore) -> None:
    store = open_store(schemas={"thing": Thing})
    nothing = np.zeros(0, np.float32)
    store.set("thing", id=1, held=nothing)
    assert [row.id for row in store.rows("thing", where={"held": nothing})] == [1]
    assert store.get("thing", 1).held.shape == (0,)


def test_an_array_of_no_numbers_that_an_older_version_stored_is_found(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store(schemas={"thing": Thing})
    nothing = np.zeros(0, np.float32)
    store.set("thing", id=1, held=nothing)
    with closing(sqlite3.connect(tmp_path / "shop.motion" / "store.sqlite")) as file:
        file.execute("UPDATE motion_rows_thing SET held = x''")
        file.commit()
    assert [row.id for row in store.rows("thing", where={"held": nothing})] == [1]
    assert store.get("thing", 1).held.shape == (0,)


NANOS = np.array(["2024-01-01T00:00:00.000000005", "NaT"], "M8[ns]")

FAR = np.array(["12024-01-01"], "M8[s]")


def test_times_that_python_has_not_are_texts_in_json(open_store: OpenStore) -> None:
    store = open_store(schemas={"thing": Thing})
    told = {
        1: (NANOS, ["2024-01-01T00:00:00.000000005", None]),
        2: (FAR, ["12024-01-01T00:00:00"]),
        3: (np.array([[5]], "m8[ns]"), [["5 nanoseconds"]]),
        4: (np.array(["12024-01-01"], "M8[D]"), ["12024-01-01"]),
    }
    client = TestClient(create_app(store), base_url="http://127.0.0.1:8000")
    for id, (array, values) in told.items():
        store.set("thing", id=id, held=array)
        query = f"select held from thing where id = {id}"
        assert client.post("/v1/sql", json={"query": query}).json()["rows"] == [[values]]


def test_an_array_of_any_dtype_comes_back_from_files_and_copies(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store, file = open_store(schemas={"thing": Thing}), tmp_path / "things.parquet"
    for id, (array, _, _) in enumerate(CASES.values()):
        store.set("thing", id=id, held=array)
    export_table(store, "thing", file)
    other = open_store("other", schemas={"thing": Thing})
    import_table(other, "thing", file)
    third = open_store("third", schemas={"thing": Thing})
    third.set_many("thing", store.rows("thing"))
    for row in store.rows("thing"):
        for found in (other.get("thing", row.id).held, third.get("thing", row.id).held):
            assert (found.dtype, found.shape, found.tobytes()) == (
                row.held.dtype,
                row.held.shape,
                row.held.tobytes(),
            )


@pytest.mark.parametrize("array", [np.zeros(2, [("x", "f4")]), np.array([object()])])
def test_an_array_of_no_plain_values_is_refused_where_it_is_set(
    open_store: OpenStore, array: np.ndarray[Any, Any]
) -> None:
    store = open_store(schemas={"thing": Thing})
    with pytest.raises(motion.InvalidValue, match=r"np\.ndarray of numbers"):
        store.set("thing", id=1, held=array)
