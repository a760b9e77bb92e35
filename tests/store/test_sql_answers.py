"""What SQL answers: a table of Arrow, its columns as they were written."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.conftest import OpenStore


@dataclass
class Thing:
    id: int
    name: str
    weight: float
    picture: bytes
    vector: np.ndarray[Any, Any]


@pytest.mark.parametrize(
    ("query", "kind", "values"),
    [
        ("select id v from thing order by id", pa.int64(), [0, 1, 2]),
        ("select name v from thing order by id", pa.string(), ["é", None, ""]),
        ("select weight v from thing order by id", pa.float64(), [0.5, None, -1.0]),
        ("select picture v from thing order by id", pa.binary(), [b"\xff\x00", None, b""]),
        ("select vector v from thing order by id", pa.list_(pa.float16()), [[1, 2], None, [3]]),
        ("select null v from thing", pa.null(), [None, None, None]),
        ("select id v from thing where id > 7", pa.null(), []),
        ("select case id when 0 then 'a' else id end v from thing order by id", pa.string(), ["a", "1", "2"]),
        ("select case id when 0 then 0.5 else id end v from thing order by id", pa.float64(), [0.5, 1, 2]),
    ],
)  # fmt: skip
def test_a_column_of_an_answer_has_the_type_of_its_values(
    open_store: OpenStore, query: str, kind: pa.DataType, values: list[Any]
) -> None:
    store = open_store(schemas={"thing": Thing})
    vectors = [np.array([1, 2], np.float16), None, np.array([3], np.float16)]
    for id, (name, weight, picture, vector) in enumerate(
        zip(["é", None, ""], [0.5, None, -1.0], [b"\xff\x00", None, b""], vectors, strict=True)
    ):
        store.set("thing", id=id, name=name, weight=weight, picture=picture, vector=vector)
    column = store.sql(query)["v"]
    column.validate(full=True)
    assert (column.type, column.to_pylist()) == (kind, values)


def test_truths_in_arrays_and_arrays_of_several_types_are_answered_too(
    open_store: OpenStore,
) -> None:
    store = open_store(schemas={"thing": Thing})
    store.set("thing", id=0, vector=np.array([True, False]))
    query = "select vector v from thing order by id"
    assert store.sql(query)["v"].to_pylist() == [[True, False]]
    store.set("thing", id=0, vector=np.array([0.5]))
    store.set("thing", id=1, vector=np.array([1, 2], np.int8))
    assert store.sql(query)["v"].to_pylist() == [[0.5], [1, 2]]


WITHOUT_PANDAS = """
import sys, motion
from tests.store.test_sql_answers import Thing
with motion.create_store("quick", schemas={"thing": Thing}, url=":memory:") as store:
    store.set("thing", id=1, name="a", weight=None, picture=b"b")
    assert store.sql("select id, name, weight, picture from thing").num_rows == 1
assert "pandas" not in sys.modules, "half a second is gone"
"""


def test_an_answer_does_not_wait_for_pandas_to_be_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PANDAS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
