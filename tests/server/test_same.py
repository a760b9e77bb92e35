"""A served store is used as an embedded one: what is written and asked is taken, answered or refused alike, whatever it is."""

from __future__ import annotations

import enum
import functools
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import motion
from motion.remote.store import RemoteStore
from motion.server import Limits, serve
from tests.conftest import OpenStore


class Shade(enum.Enum):
    DARK = 0
    LIGHT = "x"


class Cut(enum.Enum):
    WIDE = "w"
    SLIM = "s"


class Rank(enum.IntEnum):
    FIRST = 1


@dataclass
class Part:
    count: int
    weight: float = 2.0


@dataclass
class Thing:
    id: int
    number: int
    score: float
    good: bool
    text: str
    raw: bytes
    at: datetime
    day: date
    shade: Shade
    cuts: list[Cut]
    many: list[Any]
    pairs: list[tuple[int, str]]
    facts: dict[str, Any]
    counts: dict[int, str]
    part: Part
    word: Literal["a", "b"]
    array: np.ndarray
    vector: Annotated[np.ndarray, motion.Vector(2)]
    secret: str


@dataclass
class Leaf:
    id: str
    root: int
    page: int
    note: str


pd = pytest.importorskip("pandas")

SCHEMAS: dict[str, type] = {"thing": Thing, "leaf": Leaf}
KEYS = [each.name for each in fields(Thing)]

NO_COUNT: Any = "x"
NO_PART = Part(NO_COUNT)
f4 = functools.partial(np.array, dtype=np.float32)
NAIVE = datetime(2026, 1, 2)  # noqa: DTZ001 - as many are

NO_STORE = [
    math.nan, math.inf, -math.inf, -0.0, 2**53 + 1, 2**63, 2**70, True, None, "", "\ud800", "a\ud800b", "DARK", "a", "YQ==", "Infinity",
    "2026-01-02", "{", b"", b"ab", bytearray(b"x"), memoryview(b"y"), Shade.DARK, Shade.LIGHT, Cut.WIDE, Rank.FIRST, Part(1), Part(1, 0.5),
    NO_PART, {"count": 1}, {"count": 1, "colour": 2}, {1: "a"}, {"1": "a"}, {1: 2}, {1.5: "a"}, {"bytes": "YQ=="}, {"float": "Infinity"},
    {"dtype": "<f4", "shape": [1], "data": "AACAPw=="}, (1, 2), {1, 3}, [1, 2.0], [math.nan], [math.inf], [b"x"], [Shade.DARK], [Cut.WIDE], [(1, "a")],
    [Part(1)], [date(2026, 1, 2)], [2**70], [None], ["\ud800"], date(2026, 1, 2), NAIVE, datetime(2026, 1, 2, tzinfo=UTC),
    Decimal("1.5"), np.float64(0.5), np.float32(0.1), np.float64("nan"), np.float64("inf"), np.int8(3), np.bool_(True), np.str_("z"),
    np.bytes_(b"z"), np.datetime64("2026-01-02"), np.array([1.0, 2.0]), f4([1, 2]), np.array([1, 2]), f4([np.nan, 1]),
    np.array(["a"]), np.array(["2026-01-02"], "M8[D]"), np.array([None]), np.ma.array([1], mask=[True]), np.zeros((0, 3)), object,
]  # fmt: skip
"""Values of which most keys take few, and which JSON has no form for, or one that it shares with others."""

anything = st.one_of(
    st.sampled_from(NO_STORE),
    st.integers(-(2**65), 2**65),
    st.floats(),
    st.text(max_size=4),
    st.binary(max_size=4),
    st.datetimes(),
    hnp.arrays(hnp.scalar_dtypes(), hnp.array_shapes(max_dims=2, max_side=3)),
    st.lists(st.one_of(st.floats(), st.integers(), st.text(max_size=2), st.binary(max_size=2)), max_size=2),
)  # fmt: skip

_ids = itertools.count(1)


@dataclass
class Both:
    """One store in this process, and one that is served, of the same schemas."""

    own: motion.Store
    served: RemoteStore

    def check(self, call: Callable[[Any], Any]) -> None:
        """Let both do the same: what they give, or how they refuse it, is to be the same."""
        assert outcome(call, self.served) == outcome(call, self.own)


@pytest.fixture
def both(open_store: OpenStore) -> Iterator[Both]:
    own, other = (open_store(name, schemas=SCHEMAS) for name in ("own", "other"))
    with (
        serve(other, port=0, limits=Limits(k=2**53)) as on,
        motion.connect(on.url, schemas=SCHEMAS) as served,
    ):
        yield Both(own, served)


def outcome(call: Callable[[Any], Any], store: Any) -> Any:
    """Return what a call gives, or the kind of its error, which is to be one of ours."""
    try:
        return exact(call(store))
    except motion.MotionError as exc:
        return type(exc)


def exact(value: Any) -> Any:
    """Return a value so that it is equal to no other one."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, list | tuple):
        return [exact(each) for each in value]
    if isinstance(value, dict):
        return {repr(name): exact(each) for name, each in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: exact(getattr(value, each.name)) for each in fields(value)}
    return type(value).__name__, repr(value)


def set_one(store: Any, row: dict[str, Any]) -> Any:
    return store.get("thing", store.set("thing", **row).id)


def set_many(store: Any, row: dict[str, Any]) -> Any:
    change = store.set_many("thing", [row])
    return change.count, store.rows("thing", id=row["id"])


def collected(store: Any, row: dict[str, Any]) -> Any:
    rows = [{"id": row["id"] + 10**6}, row, {"id": row["id"] + 2 * 10**6}]
    change = store.set_many("thing", rows, errors="collect")
    told = [(each.position, type(each.error), str(each.error)) for each in change.rejected]
    assert all(each.row is rows[each.position] for each in change.rejected)
    return change.count, told, store.rows("thing", id=row["id"])


def in_transaction(store: Any, row: dict[str, Any]) -> Any:
    with store.transaction() as tx:
        tx.set("thing", id=row["id"], secret="x")
        tx.set("thing", **row)
        tx.set_many("thing", [row])
    return store.rows("thing", id=row["id"])


def over_what_was_there(store: Any, row: dict[str, Any]) -> Any:
    full = {
        "number": 1, "score": 5.0, "text": "x", "raw": b"ab", "many": [1], "facts": {"a": 1}, "array": np.arange(3), "good": True,
    }  # fmt: skip
    store.set("thing", **{"id": row["id"], **full})
    try:
        return set_one(store, row)
    finally:
        assert store.get("thing", row["id"]).id == row["id"]


WRITES = (set_one, set_many, collected, in_transaction, over_what_was_there)

examples = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
def test_any_value_for_any_key_is_written_or_refused_alike(
    both: Both, write: Callable[[Any, dict[str, Any]], Any]
) -> None:
    @examples
    @example("array", f4([1, 2]))
    @example("score", math.nan)
    @example("cuts", [Cut.WIDE])
    @given(st.sampled_from([*KEYS[1:], "nope"]), anything)
    def check(key: str, value: Any) -> None:
        row = {"id": next(_ids), key: value}
        both.check(lambda store: write(store, row))

    check()


def test_any_condition_finds_the_same_rows_or_is_refused_alike(both: Both) -> None:
    for row in (
        {"number": 1, "score": 1.5, "text": "YQ==", "raw": b"ab", "shade": Shade.DARK, "array": f4([1, 2])},
        {"number": 0, "score": math.inf, "text": "", "raw": b"", "day": date(2026, 1, 2), "cuts": [Cut.SLIM]},
        {"score": -math.inf, "text": "Infinity", "many": [1, 2.0], "vector": f4([1, 2]), "counts": {1: "a"}},
        {"score": -1e308, "facts": {"bytes": "YQ=="}, "at": NAIVE, "part": Part(1, 0.5)},
    ):  # fmt: skip
        both.check(functools.partial(put, row={"id": next(_ids), **row}))

    @examples
    @given(st.sampled_from([*KEYS, "nope"]), st.sampled_from(["=", "<", ">", "is not"]), anything)
    def check(key: str, compares: str, value: Any) -> None:
        condition = f"{key} {compares} ?"
        asked = {"params": [value], "keys": ["number"]}
        both.check(lambda store: len(store.rows("thing", where={key: value})))
        both.check(lambda store: names(store.rows("thing", where=condition, **asked)))
        both.check(
            lambda store: names(
                store.rows("thing", where=condition, **asked, order_by="score, id DESC")
            )
        )
        both.check(
            lambda store: hits(
                store.search("thing.vector", [1, 0], where=condition, params=[value])
            )
        )
        both.check(lambda store: listed(store.sql("select ? as given", [value])))
        both.check(
            lambda store: store.sql(
                f"select text from thing where {condition}", [value]
            ).to_pylist()
        )

    check()


def listed(table: Any) -> Any:
    """Return the rows of an answer; as Arrow says them where they hold times that Python has none for."""
    try:
        return table.to_pylist()
    except OverflowError:
        return str(table)


def put_leaf(store: Any, page: int) -> None:
    store.set("leaf", id="a", page=page, note="x")


def put(store: Any, row: dict[str, Any]) -> None:
    store.set("thing", **row)


def names(rows: list[Any]) -> list[Any]:
    return sorted(str(row.number) for row in rows)


def hits(found: list[Any]) -> list[Any]:
    return [(hit.row.text, hit.score) for hit in found]


ARGUMENTS: dict[str, Callable[[Any, Any], Any]] = {
    "get": lambda store, value: store.get("thing", value),
    "get of texts": lambda store, value: store.get("leaf", value),
    "a page": lambda store, value: store.get("leaf", "a", page=value),
    "rows of an id": lambda store, value: store.rows("thing", id=value),
    "limit": lambda store, value: store.rows("thing", limit=value),
    "limit of sql": lambda store, value: store.sql("select 1 as x", limit=value).to_pylist(),
    "timeout of sql": lambda store, value: store.sql("select 1 as x", timeout=value).to_pylist(),
    "where": lambda store, value: store.rows("thing", where=value),
    "params": lambda store, value: store.rows("thing", where="id = ?", params=value),
    "params alone": lambda store, value: store.rows("thing", params=value),
    "delete": lambda store, value: store.delete("leaf", value).count,
    "explain": lambda store, value: store.explain("leaf", value, "note").value,
    "k": lambda store, value: store.search("thing.vector", [1, 0], k=value),
    "vector": lambda store, value: store.search("thing.vector", value),
    "text": lambda store, value: store.search("thing.text", text=value),
    "set_many": lambda store, value: store.set_many("leaf", value).count,
    "errors=": lambda store, value: store.set_many("leaf", [], errors=value).count,
    "force": lambda store, value: store.set("leaf", id="a", note="x", force=value).id,
}  # fmt: skip


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_any_argument_is_taken_or_refused_alike(both: Both, argument: str) -> None:
    call = ARGUMENTS[argument]
    both.check(functools.partial(put_leaf, page=1))

    @examples
    @example("\ud800")
    @example(np.str_("z"))
    @example(np.float64(0.5))
    @example(math.inf)
    @example(np.empty((0, 7)))
    @given(anything)
    def check(value: Any) -> None:
        both.check(lambda store: call(store, value))

    check()


BAD = (3, 41, 90)

LOADS: dict[str, Callable[[list[dict[str, Any]]], Any]] = {
    "dicts": list,
    "a generator": iter,
    "arrow": lambda rows: pa.Table.from_pylist(rows),
    "batches": lambda rows: iter(pa.Table.from_pylist(rows).to_batches(max_chunksize=7)),
    "pandas": lambda rows: pd.DataFrame(rows),
}


def things(bad: tuple[int, ...] = ()) -> list[dict[str, Any]]:
    """Return rows to load, some with a number that is none."""
    return [{"id": i, "number": i + (0.5 if i in bad else 0.0), "text": "t"} for i in range(95)]


@pytest.mark.parametrize("form", LOADS)
def test_bad_rows_of_a_load_in_many_requests_are_told_with_their_places(
    both: Both, form: str
) -> None:
    def collect(store: Any) -> Any:
        rows = LOADS[form](things(BAD))
        change = store.set_many("thing", rows, errors="collect", commit_every=10)
        told = [(each.position, each.row["id"], str(each.error)) for each in change.rejected]
        return change.count, told, [row.id for row in store.rows("thing")]

    both.check(collect)
    assert collect(both.served)[1] == collect(both.own)[1] != []
    assert [place for place, *_ in collect(both.served)[1]] == list(BAD)


@pytest.mark.parametrize("form", LOADS)
def test_a_load_that_a_bad_row_has_stopped_goes_on_from_there(both: Both, form: str) -> None:
    def load(store: Any) -> Any:
        with pytest.raises(motion.BadRows) as stopped:
            store.set_many("thing", LOADS[form](things(BAD[1:])), commit_every=10)
        written = stopped.value.written
        assert len(store.rows("thing")) == written
        store.set_many("thing", LOADS[form](things()[written:]), commit_every=10)
        return stopped.value.args, [row.id for row in store.rows("thing")]

    both.check(load)
    assert len(both.served.rows("thing")) == 95


def test_a_row_that_is_refused_is_not_pruned(both: Both) -> None:
    def load(store: Any) -> Any:
        store.set_many("thing", [{"id": i, "text": "t", "secret": f"s{i}"} for i in range(5)])
        again = [{"secret": "s1", "text": "t"}, {"secret": "s2", "text": "t", "number": "two"}]
        by = store.set_many("thing", again, by="secret", prune="text", errors="collect")
        left = [row.id for row in store.rows("thing")]
        ids = [{"id": 1, "text": "t", "score": "high"}, 5, {"id": 2, "text": "t"}]
        change = store.set_many("thing", ids[1:] + ids[:1], prune="text", errors="collect")
        told = [(each.position, str(each.error)) for each in (*by.rejected, *change.rejected)]
        return left, told, [row.id for row in store.rows("thing")]

    both.check(load)


def late(store: Any, row: Any) -> None:
    with store.transaction() as tx:
        tx.set("thing", id=5)
        tx.set(row, number=3, if_unchanged=True)


def test_a_transaction_takes_what_a_set_takes(both: Both) -> None:
    def write(store: Any) -> Any:
        store.set("thing", id=1, number=1, array=f4([1, 2]))
        row = store.get("thing", 1)
        with store.transaction() as tx:
            tx.set(row, number=2, if_unchanged=True)
            tx.set("thing", id=2, number=1, force=True)
            tx.set_many("thing", [{"id": 3, "many": [1, {"a": 2.0}]}, {"id": 4}])
            tx.delete("thing", 4)
        with pytest.raises(motion.RowChanged):
            late(store, row)
        return store.rows("thing")

    both.check(write)


@pytest.fixture
def narrow(open_store: OpenStore) -> Iterator[Both]:
    """A store whose server gives, and takes, little at once."""
    own, other = (open_store(name, schemas=SCHEMAS, triggers=[leaves]) for name in ("own", "other"))
    limits = Limits(rows=50, body_bytes=20_000)
    with (
        serve(other, port=0, limits=limits) as on,
        motion.connect(on.url, schemas=SCHEMAS) as served,
    ):
        yield Both(own, served)


@motion.trigger(on="leaf.root", sets="leaf.note", page="page")
def leaves(root: int) -> list[str]:
    return [str(number) for number in range(root)]


def load(store: Any, rows: Any) -> int:
    return int(store.set_many("thing", rows).count)


def test_a_load_goes_in_requests_that_the_server_takes(narrow: Both) -> None:
    rows = [{"id": i, "text": "x" * 1_000} for i in range(60)]
    for form in (rows, pa.Table.from_pylist(rows)):
        narrow.check(functools.partial(load, rows=form))
        narrow.check(lambda store: store.rows("thing"))


def test_all_rows_come_however_few_the_server_gives_at_once(narrow: Both) -> None:
    narrow.check(lambda store: store.set("leaf", id="a", root=120).wait(timeout=60).rows())
    narrow.check(lambda store: store.rows("leaf"))
    narrow.check(lambda store: store.rows("leaf", limit=70))
    assert len(narrow.served.rows("leaf")) == 120


def test_rows_in_an_order_of_their_own_come_whole_or_not_at_all(narrow: Both) -> None:
    narrow.check(lambda store: store.set_many("thing", things()[:50]).count)
    narrow.check(lambda store: store.rows("thing", order_by="number DESC"))
    narrow.check(lambda store: store.sql("select id from thing order by id").to_pylist())
    narrow.check(lambda store: store.set_many("thing", things()).count)
    narrow.check(lambda store: store.rows("thing", order_by="number DESC", limit=50))
    narrow.check(lambda store: store.sql("select id from thing order by id", limit=50).to_pylist())
    for limit in (None, 51, 2_000):
        with pytest.raises(motion.InvalidArgument, match=r"at most 50 beside order_by="):
            narrow.served.rows("thing", order_by="number", limit=limit)
        with pytest.raises(motion.SqlError, match="more than 50 rows"):
            narrow.served.sql("select id from thing", limit=limit)


def test_a_question_may_be_longer_than_a_url(both: Both) -> None:
    both.check(lambda store: store.set_many("thing", things()).count)
    ids = list(range(20_000))
    condition = f"id in ({', '.join('?' * len(ids))})"
    both.check(lambda store: store.rows("thing", where=condition, params=ids))
    both.check(lambda store: store.rows("thing", where={"text": "x" * 100_000}))
    with pytest.raises(motion.InvalidArgument, match="fit into a URL"):
        both.served.get("leaf", "x" * 100_000)


def test_a_store_that_is_connected_to_without_schemas_takes_what_they_say(both: Both) -> None:
    with motion.connect(both.served._link.url) as plain:
        plain.set(
            "thing", id=1, shade="DARK", part={"count": 1}, facts={"a": [1]}, score=np.float64(0.5)
        )
        for values in (
            {"score": math.nan},
            {"many": {1}},
            {"raw": "x"},
            {"shade": Shade.DARK},
            {"part": Part(1)},
        ):
            with pytest.raises(motion.InvalidValue):
                plain.set("thing", id=1, **values)
    assert [row.part for row in both.served.rows(Thing)] == [Part(1)]
