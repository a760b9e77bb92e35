"""Round trips: a value of every type, by every way in, comes back by every way out as what was given.

What is right is said here once more, by `right`, and not asked of the code that is tested.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, make_dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.extra import numpy as hnp

import motion
from motion.server import serve
from tests.conftest import OpenStore
from tests.postgres import is_postgres_wanted

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")


class Size(Enum):
    SMALL = "s"
    LARGE = "l"
    BIG = "l"  # an alias  # noqa: PIE796


class Kind(str, Enum):  # noqa: UP042 - what people write
    SHOE = "shoe"
    BOOT = "boot"


class Rank(IntEnum):
    FIRST = 1
    LAST = -9


@dataclass
class Part:
    name: str
    weight: float
    kind: Kind
    at: datetime | None = None
    seen: datetime | None = None
    parts: list[Part] = dataclasses.field(default_factory=list)


NOT_STORED = "\0" if is_postgres_wanted() else ""
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=NOT_STORED), max_size=8)
ints = st.integers(-(2**63) + 1, 2**63 - 1)
floats = st.floats(allow_nan=False)
finite = st.floats(allow_nan=False, allow_infinity=False)
moments = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1))  # noqa: DTZ001 - what is tested
zones = st.integers(-840, 840).map(lambda minutes: timezone(timedelta(minutes=minutes)))
plain_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | finite | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
aware = st.builds(lambda at, zone: at.replace(tzinfo=zone), moments, zones)
kinds, maybe_moments, maybe_aware = st.sampled_from(Kind), st.none() | moments, st.none() | aware
flat_parts = st.builds(Part, texts, finite, kinds, maybe_moments, maybe_aware, st.just([]))
some_parts = st.lists(flat_parts, max_size=2)
parts = st.builds(Part, texts, finite, kinds, maybe_moments, maybe_aware, some_parts)
arrays = hnp.arrays(
    st.sampled_from(["f4", "f8", ">f8", "i2", "u8", "?", "c16", "U3", "M8[ns]"]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
)
vectors = hnp.arrays(st.sampled_from(["f4", "f8", "i2"]), 3, elements=st.integers(-100, 100))

KINDS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "number": (int, ints | st.sampled_from([Rank.FIRST, np.int64(3), 4.0])),
    "score": (float, floats | st.integers(-(2**53), 2**53) | st.just(np.float32(0.5))),
    "good": (bool, st.booleans() | st.just(np.True_)),
    "text": (str, texts | st.sampled_from([Kind.SHOE, np.str_("x")])),
    "raw": (bytes, st.binary(max_size=8) | st.binary(max_size=3).map(bytearray)),
    "at": (datetime, moments),
    "seen": (datetime, aware),
    "day": (date, st.dates()),
    "size": (Size, st.sampled_from(Size) | st.sampled_from(["SMALL", "BIG"])),
    "kind": (Kind, st.sampled_from(Kind)),
    "word": (Literal["a", "b c"], st.sampled_from(["a", "b c"])),
    "many": (list, st.lists(plain_json, max_size=3)),
    "facts": (dict, st.dictionaries(texts, plain_json, max_size=3)),
    "prices": (list[float], st.lists(finite | st.integers(-9, 9), max_size=3)),
    "counts": (dict[int, tuple[int, str]], st.dictionaries(st.integers(-9, 9), st.tuples(st.integers(-9, 9), texts), max_size=2)),
    "part": (Part, parts),
    "parts": (list[Part], st.lists(parts, max_size=2)),
    "array": (np.ndarray, arrays),
    "vector": (Annotated[np.ndarray, motion.Vector(3)], vectors),
}  # fmt: skip

Thing = make_dataclass("Thing", [("id", int), *((key, kind) for key, (kind, _) in KINDS.items())])
Echo = make_dataclass(
    "Echo",
    [("id", int), *((key, kind) for key, (kind, _) in KINDS.items())]
    + [(f"{key}_out", kind) for key, (kind, _) in KINDS.items()],
)
Paged = make_dataclass(
    "Paged",
    [("id", int), *((key, kind) for key, (kind, _) in KINDS.items()), ("out_page", int)]
    + [(f"{key}_out", kind) for key, (kind, _) in KINDS.items()],
)

values = st.fixed_dictionaries({}, optional={key: drawn for key, (_, drawn) in KINDS.items()})
rows_of_values = st.lists(values, min_size=1, max_size=3)


def right(key: str, given: Any) -> Any:
    """Return what a value of a key has to come back as."""
    if key == "size":
        return Size[given] if isinstance(given, str) else given
    if isinstance(given, Enum) and key in ("text", "number"):
        return given.value
    if key == "raw":
        return bytes(given)
    if isinstance(given, np.generic):
        return given.item()
    if key == "vector":
        return given.astype("f4")
    return given


def same(one: Any, other: Any) -> bool:
    """Whether two values are one, whatever their types think of equality."""
    if isinstance(one, np.ndarray):
        little = one.astype(one.dtype.newbyteorder("<"))
        is_array = isinstance(other, np.ndarray) and other.dtype == little.dtype
        return is_array and other.shape == one.shape and other.tobytes() == little.tobytes()
    if isinstance(one, float) and isinstance(other, float):
        return one == other and not math.isnan(one)
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def differing(rows: Sequence[dict[str, Any]], found: Sequence[Any], suffix: str = "") -> list[Any]:
    assert len(found) == len(rows)
    return [
        (key, row.get(key), back)
        for row, each in zip(rows, found, strict=True)
        for key in KINDS
        for back in [getattr(each, key + suffix)]
        if not (back is None if row.get(key) is None else same(right(key, row[key]), back))
    ]


examples = settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
few = settings(examples, max_examples=4)
"""Where each question is a request."""

_ids = iter(range(1, 10**9))


def numbered(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"id": next(_ids), **row} for row in rows]


# -- ways in --

ARROW = {
    "number": pa.int64(), "score": pa.float64(), "good": pa.bool_(), "text": pa.string(), "raw": pa.binary(),
    "at": pa.timestamp("us"), "seen": pa.timestamp("us", "UTC"), "day": pa.date32(), "size": pa.string(),
    "kind": pa.string(), "word": pa.string(), "prices": pa.list_(pa.float64()),
}  # fmt: skip


def arrow(rows: Sequence[dict[str, Any]]) -> pa.Table:
    names = [key for key in ARROW if any(key in row for row in rows)]

    def cell(key: str, value: Any) -> Any:
        if isinstance(value, Enum):
            return value.name if key in ("size", "kind") else value.value
        value = value.item() if isinstance(value, np.generic) else value
        if key == "score" and value is not None:
            return float(value)
        if key == "prices" and value is not None:
            return [float(each) for each in value]
        return bytes(value) if key == "raw" and value is not None else value

    columns = {
        key: pa.array([cell(key, row.get(key)) for row in rows], ARROW[key]) for key in names
    }
    return pa.table({"id": pa.array([row["id"] for row in rows]), **columns})


def in_objects(rows: Sequence[dict[str, Any]]) -> Any:
    """Return a frame of pandas of whose values none has been made another."""
    keys = dict.fromkeys(key for row in rows for key in row)
    columns = {
        key: pd.Series([row.get(key) for row in rows], dtype=object, index=range(5, 5 + len(rows)))
        for key in keys
    }
    return pd.DataFrame(columns)


def set_each(store: motion.Store, table: str, rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        store.set(table, **row)


def in_transaction(store: motion.Store, table: str, rows: Sequence[dict[str, Any]]) -> None:
    with store.transaction() as tx:
        tx.set_many(table, rows[1:])
        tx.set(table, **rows[0])


def as_instances(store: motion.Store, table: str, rows: Sequence[dict[str, Any]]) -> None:
    cls = {"thing": Thing, "echo": Echo}[table]
    names = [each.name for each in dataclasses.fields(cls)]
    store.set_many(table, (cls(**{name: row.get(name) for name in names}) for row in rows))


WAYS: dict[str, Callable[[motion.Store, str, Sequence[dict[str, Any]]], Any]] = {
    "set": set_each,
    "set_many": lambda store, table, rows: store.set_many(table, rows),
    "a generator": lambda store, table, rows: store.set_many(table, (row for row in rows)),
    "instances": as_instances,
    "a transaction": in_transaction,
    "pandas": lambda store, table, rows: store.set_many(table, in_objects(rows)),
}
FRAMES: dict[str, Callable[[pa.Table], Any]] = {
    "arrow": lambda table: table,
    "batches": lambda table: iter(table.to_batches(max_chunksize=1)),
    "pandas": lambda table: table.to_pandas(types_mapper=pd.ArrowDtype),
    "polars": pl.from_arrow,
}


def check_reading(store: motion.Store, rows: Sequence[dict[str, Any]]) -> None:
    """Read rows by every way out."""
    got = [store.get("thing", row["id"]) for row in rows]
    assert differing(rows, got) == []
    ids = [row["id"] for row in rows]
    marks = ", ".join("?" * len(ids))
    found = store.rows("thing", where=f"id in ({marks})", params=ids)
    assert differing(rows, sorted(found, key=lambda row: ids.index(row.id))) == []
    for row, back in zip(rows, got, strict=True):
        for key in KINDS:
            for value in (row.get(key), getattr(back, key)):
                hits = store.rows("thing", where={"id": row["id"], key: value})
                assert len(hits) == 1, (key, value)
        assert store.set(back, facts=back.facts).count == 1  # as it was read: it stays the same
    for key in ("many", "facts"):
        listed = store.sql(f"select {key} from thing where id in ({marks}) order by id", ids)
        shown = [None if cell is None else json.loads(cell) for cell in listed[key].to_pylist()]
        assert shown == [row.get(key) for row in sorted(rows, key=lambda row: row["id"])]


@pytest.fixture(params=["embedded", "served"])
def things(request: pytest.FixtureRequest, open_store: OpenStore) -> Iterator[Any]:
    """A store of things, in this process or served from it."""
    store = open_store(schemas={"thing": Thing})
    if request.param == "embedded":
        yield store
        return
    with serve(store, port=0) as on, motion.connect(on.url, schemas={"thing": Thing}) as remote:
        yield remote


@pytest.mark.parametrize("way", WAYS)
def test_what_is_written_is_read(things: Any, way: str) -> None:
    @(examples if isinstance(things, motion.Store) else few)
    @given(rows_of_values)
    def check(drawn: list[dict[str, Any]]) -> None:
        rows = numbered(drawn)
        WAYS[way](things, "thing", rows)
        check_reading(things, rows)

    check()


@pytest.mark.parametrize("frame", FRAMES)
def test_what_a_frame_holds_is_read(things: Any, frame: str) -> None:
    @(examples if isinstance(things, motion.Store) else few)
    @given(rows_of_values)
    def check(drawn: list[dict[str, Any]]) -> None:
        rows = [{key: row[key] for key in ("id", *ARROW) if key in row} for row in numbered(drawn)]
        things.set_many("thing", FRAMES[frame](arrow(rows)))
        check_reading(things, rows)

    check()


# -- ways through a trigger --


def echo_of(key: str, table: str, name: str, **options: Any) -> Any:
    """Return a trigger that gives back what it is handed."""
    batch = bool(options.get("batch"))

    def plain(value: Any) -> Any:
        seen.setdefault(key, []).extend(value if batch else [value])
        return value

    async def later(value: Any) -> Any:
        return plain(value)

    seen: dict[str, list[Any]] = {}
    function = later if options.pop("is_async", False) else plain
    source = f"{'async ' if function is later else ''}def echo({key}):\n    return "
    scope: dict[str, Any] = {"function": function}
    exec(f"{source}{'await ' if function is later else ''}function({key})", scope)
    return motion.trigger(
        on=f"{table}.{key}", sets=f"{table}.{key}_out", name=name, version="1", **options
    )(scope["echo"])


OPTIONS: dict[str, dict[str, Any]] = {
    "inline": {"inline": True},
    "task": {"inline": False},
    "batch": {"batch": 2},
    "async": {"is_async": True},
    "memo": {"memo": True},
    "retries": {"retries": 1},
}


@pytest.mark.parametrize("option", OPTIONS)
def test_what_a_trigger_is_handed_and_gives_back_is_the_value(
    open_store: OpenStore, option: str
) -> None:
    echoes = [echo_of(key, "echo", f"echo_{key}", **OPTIONS[option]) for key in KINDS]
    store = open_store(schemas={"echo": Echo}, triggers=echoes)

    @examples
    @given(rows_of_values)
    def check(drawn: list[dict[str, Any]]) -> None:
        rows = numbered(drawn)
        store.set_many("echo", rows).wait(timeout=60)
        found = [store.get("echo", row["id"]) for row in rows]
        assert differing(rows, found) == []
        assert differing(rows, found, "_out") == []

    check()


def test_pages_and_rows_of_another_table_hold_the_values(open_store: OpenStore) -> None:
    outs = [f"{key}_out" for key in KINDS]

    @motion.trigger(on="paged.number", sets=[f"paged.{key}" for key in outs], page="out_page")
    def pages(row: Any) -> list[Any]:
        return [{key: getattr(row, key.removesuffix("_out")) for key in outs}] * 2

    @motion.trigger(on="paged.number", sets="thing")
    def copies(row: Any) -> list[Any]:
        return [{key: getattr(row, key) for key in KINDS}]

    @motion.trigger(on="paged.number")
    def free(row: Any, store: motion.View) -> None:
        store.set("echo", id=row.id, **{key: getattr(row, key) for key in KINDS})

    schemas = {"paged": Paged, "thing": Thing, "echo": Echo}
    store = open_store(schemas=schemas, triggers=[pages, copies, free])

    @examples
    @given(rows_of_values)
    def check(drawn: list[dict[str, Any]]) -> None:
        rows = numbered([{"number": 1, **row} for row in drawn])
        for row in rows:
            before = {each.id for each in store.rows("thing")}
            store.set("paged", **row).wait(timeout=60)
            found = store.rows("paged", id=row["id"])
            assert differing([row, row], found, "_out") == []
            made = [each for each in store.rows("thing") if each.id not in before]
            assert differing([row], made) == []
            assert differing([row], [store.get("echo", row["id"])]) == []

    check()


ROW: dict[str, Any] = {
    "number": -3, "score": -0.0, "good": True, "text": Kind.SHOE, "raw": b"\0\xff",
    "at": datetime(2024, 2, 29, 1, 2, 3, 4), "seen": datetime(2024, 1, 1, tzinfo=UTC),  # noqa: DTZ001
    "day": date(1, 1, 1), "size": "BIG", "kind": Kind.BOOT, "word": "b c", "many": [1, {"b": None, "a": [True]}],
    "facts": {"z": 1, "a": {"y": 1.5}}, "prices": [1, 2.5], "counts": {3: (1, "x")},
    "part": Part("a", 1, Kind.SHOE, None, None, [Part("b", 2.0, Kind.BOOT)]), "parts": [Part("c", 0.5, Kind.BOOT)],
    "array": np.arange(6, dtype=">i2").reshape(2, 3), "vector": np.array([1, 2, 3]),
}  # fmt: skip


def handed_back(key: str, value: Any) -> Any:
    return value


def echo_there(key: str) -> Any:
    scope: dict[str, Any] = {"function": functools.partial(handed_back, key)}
    exec(f"def echo({key}):\n    return function({key})", scope)
    return motion.trigger(
        on=f"echo.{key}",
        sets=f"echo.{key}_out",
        name=f"echo_{key}",
        version="1",
        executor="process",
    )(scope["echo"])


def test_another_process_is_handed_and_gives_back_the_values(open_store: OpenStore) -> None:
    store = open_store(schemas={"echo": Echo}, triggers=[echo_there(key) for key in KINDS])
    store.set("echo", id=1, **ROW).wait(timeout=120)
    assert differing([ROW], [store.get("echo", 1)], "_out") == []


class Learner(motion.Component):
    """A state that is what the labels looked like."""

    def setup(self) -> list[str]:
        return []

    @motion.fit(on="thing.good")
    def learn(self, state: list[str], rows: list[Any]) -> list[str]:
        return [repr(row) for row in rows]


def test_a_label_holds_the_values(open_store: OpenStore) -> None:
    store = open_store(schemas={"thing": Thing}, triggers=[Learner()])
    store.set("thing", id=1, **ROW)
    store.model("Learner").fit()
    store.wait(timeout=120)
    with store.model("Learner").live() as (state, _):
        assert state == [repr(store.get("thing", 1))]
