"""Values: what is given is what is read, found and derived from; what cannot be kept as it is, is refused with the reason."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, make_dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum, IntEnum
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pytest

import motion
from tests.conftest import OpenStore

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")


class Kind(str, Enum):  # noqa: UP042 - what is tested
    SHOE = "shoe"
    BOOT = "boot"

    def __str__(self) -> str:
        return f"the kind {self.value}"


class Word(str, Enum):  # noqa: UP042 - what is tested
    SHOE = "shoe"


class Rank(IntEnum):
    FIRST = 1


class Size(Enum):
    SMALL = 1
    TINY = 1  # an alias  # noqa: PIE796
    LARGE = 2


@dataclass
class Tag:
    name: str
    weight: float = 1.0


@dataclass(eq=False)
class Plain:
    x: int


@dataclass
class Thing:
    id: int
    text: str
    number: int
    score: float
    kind: Kind
    size: Size
    at: datetime
    raw: bytes
    facts: dict[str, Any]
    prices: list[float]
    tags: list[Tag]
    tag: Tag
    plain: Plain
    array: np.ndarray
    vector: Annotated[np.ndarray, motion.Vector(3)]


@pytest.fixture
def store(open_store: OpenStore) -> motion.Store:
    return open_store(schemas={"thing": Thing})


def kept(store: motion.Store, key: str, value: Any) -> Any:
    store.set("thing", id=1, **{key: value})
    return getattr(store.get("thing", 1), key)


def refusal(store: motion.Store, key: str, value: Any) -> str:
    with pytest.raises(motion.InvalidValue) as told:
        store.set("thing", id=1, **{key: value})
    assert store.get("thing", 1) is None
    return str(told.value)


# -- text, numbers --


def test_a_member_of_a_text_enum_is_kept_as_its_text(store: motion.Store) -> None:
    store.set("thing", id=1, text=Word.SHOE)
    store.set_many("thing", [{"id": 2, "text": Word.SHOE}])
    assert [row.text for row in store.rows("thing")] == ["shoe", "shoe"]
    assert type(store.get("thing", 1).text) is str
    found = store.rows("thing", where="text = ?", params=[Word.SHOE])
    assert [row.id for row in found] == [1, 2]


def test_a_member_as_parameter_is_its_name_where_its_enum_is_a_type_of_the_table(
    store: motion.Store,
) -> None:
    store.set("thing", id=1, kind=Kind.BOOT, number=Rank.FIRST)
    assert [row.id for row in store.rows("thing", where="kind = ?", params=[Kind.BOOT])] == [1]
    assert [row.id for row in store.rows("thing", where="number = ?", params=[Rank.FIRST])] == [1]
    assert store.sql("select id from thing where kind = ?", [Kind.BOOT]).num_rows == 1


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (np.array([object()]), "values that SQL has|numbers"),
        ({"a": 1}, "where="),
        (2**70, "64 bits"),
        (float("nan"), "NaN"),
        (pd.Timestamp("2024-01-01 00:00:00.000000001"), "microseconds"),
        (object(), "values that SQL has"),
    ],
)
def test_a_parameter_that_sql_has_nothing_for_is_refused(
    store: motion.Store, value: object, why: str
) -> None:
    for ask in (
        lambda: store.rows("thing", where="text = ?", params=[value]),
        lambda: store.sql("select ?", [value]),
    ):
        with pytest.raises(motion.InvalidArgument, match=why):
            ask()


@pytest.mark.parametrize("params", ["a", {"a": 1}, {"a"}, b"a", 5])
def test_parameters_are_a_list_of_values(store: motion.Store, params: Any) -> None:
    store.set("thing", id=1, text="a")
    for ask in (
        lambda: store.rows("thing", where="text = ?", params=params),
        lambda: store.sql("select ?", params),
        lambda: store.search("thing.text", text="a", where="text = ?", params=params),
    ):
        with pytest.raises(motion.InvalidArgument, match="a list with a value for each"):
            ask()
    assert len(store.rows("thing", where="text = ?", params=("a",))) == 1


def test_a_condition_may_end_with_a_comment(store: motion.Store) -> None:
    store.set("thing", id=1, text="a")
    assert len(store.rows("thing", where="text = 'a' -- the one")) == 1


@pytest.mark.parametrize("inline", [True, False])
def test_minus_zero_is_zero_for_the_store_and_for_every_trigger(
    open_store: OpenStore, inline: bool
) -> None:
    @motion.trigger(on="thing.score", sets="thing.text", inline=inline)
    def shown(score: float) -> str:
        return str(score)

    store = open_store(schemas={"thing": Thing}, triggers=[shown])
    store.set_many("thing", [{"id": 1, "score": -0.0}, {"id": 2, "score": 1.5}]).wait()
    store.set("thing", id=3, score=np.float32(-0.0)).wait()
    rows = store.rows("thing")
    assert [(str(row.score), row.text) for row in rows] == [
        ("0.0", "0.0"),
        ("1.5", "1.5"),
        ("0.0", "0.0"),
    ]


@dataclass
class Spot:
    at: float
    seen: datetime | None = None


@dataclass
class Held:
    id: int
    plain: list[Any]
    numbers: list[float]
    nested: dict[str, Any]
    by_number: dict[float, str]
    spot: Spot


@pytest.mark.parametrize(
    ("key", "minus", "zero"),
    [
        ("plain", [1, [-0.0, "-0.0"]], [1, [0.0, "-0.0"]]),
        ("numbers", [-0.03, -0.0], [-0.03, 0.0]),
        ("nested", {"a": {"b": -0.0}, "-0.0": 1}, {"a": {"b": 0.0}, "-0.0": 1}),
        ("by_number", {-0.0: "a", -0.5: "b"}, {0.0: "a", -0.5: "b"}),
        ("spot", Spot(-0.0), Spot(0.0)),
        (
            "spot",
            Spot(-0.0, datetime.fromisoformat("2024-01-01T02:00:00+02:00")),
            Spot(0.0, datetime.fromisoformat("2024-01-01T00:00:00+00:00")),
        ),
    ],
)
def test_minus_zero_is_zero_within_lists_dicts_and_dataclasses(
    open_store: OpenStore, key: str, minus: Any, zero: Any
) -> None:
    store = open_store(schemas={"held": Held})
    store.set("held", id=1, **{key: minus})
    store.set("held", id=2, **{key: zero})
    rows = store.rows("held", where={key: zero})
    assert [row.id for row in rows] == [1, 2]
    assert rows == store.rows("held", where={key: minus})
    assert repr(getattr(rows[0], key)) == repr(getattr(rows[1], key))
    assert getattr(rows[0], key) == zero


def test_a_number_that_would_lose_digits_is_refused(store: motion.Store) -> None:
    wide = np.longdouble(1) + np.finfo(np.longdouble).eps
    if wide != float(wide):
        assert "lose digits" in refusal(store, "score", wide)
    assert "lose digits" in refusal(store, "vector", np.array([2**24 + 1, 0, 0]))
    assert kept(store, "vector", np.array([2**24, 0, 0])).tolist() == [2**24, 0, 0]


def test_nanoseconds_are_refused_and_not_cut(store: motion.Store) -> None:
    at = pd.Timestamp("2024-01-01 00:00:00.123456789")
    assert "microseconds" in refusal(store, "at", at)
    for source in (
        pd.DataFrame({"id": [2, 3], "at": [at, at.floor("us")]}),
        pa.table({"id": [2, 3], "at": pa.array([at, at.floor("us")], pa.timestamp("ns"))}),
        pl.DataFrame({"id": [2, 3], "at": [1, 1000]}, schema_overrides={"at": pl.Datetime("ns")}),
    ):
        change = store.set_many("thing", source, errors="collect")
        assert (change.count, len(change.rejected)) == (1, 1)
    assert kept(store, "at", at.floor("us")) == at.floor("us")


def test_a_moment_that_only_pandas_has_is_refused(store: motion.Store) -> None:
    west = timezone(timedelta(hours=-5))
    for at in (
        pd.Series([datetime.max.replace(tzinfo=west)])[0],
        pd.Timestamp(np.datetime64("12000-01-01", "s")),
        pd.Timestamp(np.datetime64("-0044-03-15", "s")),
    ):
        assert "between the years 1 and 9999" in refusal(store, "at", at)
        change = store.set_many("thing", pd.DataFrame({"id": [2], "at": [at]}), errors="collect")
        assert len(change.rejected) == 1


def test_a_value_that_no_database_takes_is_refused(store: motion.Store) -> None:
    assert "512 MiB" in refusal(store, "raw", bytes(2**29 + 1))
    with pytest.raises(motion.BadRows, match="512 MiB"):
        store.set_many("thing", [{"id": 1, "raw": bytes(2**29 + 1)}])


# -- what is equal --


def test_a_value_just_read_is_found_by_where(store: motion.Store) -> None:
    given: dict[str, Any] = {
        "prices": [1, 2],
        "facts": {"b": 2, "a": {"z": 1, "c": [1.0, None]}},
        "size": "TINY",
        "kind": Kind.SHOE,
        "tags": [{"name": "new"}],
        "tag": Tag("old"),
        "array": np.arange(6).reshape(2, 3),
        "vector": np.ones(3),
        "score": -0.0,
        "at": datetime(2024, 1, 1, tzinfo=UTC),
        "raw": bytearray(b"\0"),
    }
    store.set("thing", id=1, **given)
    row = store.get("thing", 1)
    for key in given:
        assert len(store.rows("thing", where={key: getattr(row, key)})) == 1, key


def test_a_dict_is_the_same_in_whatever_order(open_store: OpenStore) -> None:
    @motion.trigger(on="thing.facts", sets="thing.text")
    def shown(facts: dict[str, Any]) -> str:
        calls.append(facts)
        return str(sorted(facts))

    calls: list[dict[str, Any]] = []
    store = open_store(schemas={"thing": Thing}, triggers=[shown])
    store.set("thing", id=1, facts={"a": 1, "b": {"x": 1, "y": 2}}).wait()
    store.set("thing", id=1, facts={"b": {"y": 2, "x": 1}, "a": 1}).wait()
    assert len(calls) == 1
    assert len(store.rows("thing", where={"facts": {"b": {"y": 2, "x": 1}, "a": 1}})) == 1


def test_an_alias_is_its_member(open_store: OpenStore) -> None:
    @motion.trigger(on="thing.size", sets="thing.text")
    def shown(size: Size) -> str:
        calls.append(size)
        return size.name

    calls: list[Size] = []
    store = open_store(schemas={"thing": Thing}, triggers=[shown])
    store.set("thing", id=1, size="TINY").wait()
    store.set("thing", id=1, size=Size.SMALL).wait()
    assert calls == [Size.SMALL]
    assert store.sql("select size from thing").to_pylist() == [{"size": "SMALL"}]


def test_an_alias_that_an_older_version_stored_is_found(store: motion.Store) -> None:
    store.set("thing", id=1, size=Size.SMALL)
    store._database.write(lambda tx: tx.execute("UPDATE motion_rows_thing SET size = 'TINY'"))
    assert [row.size for row in store.rows("thing", where={"size": Size.SMALL})] == [Size.SMALL]
    assert store.rows("thing", where={"size": Size.LARGE}) == []


# -- JSON --


def test_a_moment_within_a_list_is_the_same_in_whatever_zone(open_store: OpenStore) -> None:
    schema = make_dataclass("Visit", [("id", int), ("times", list[datetime])])
    store = open_store(schemas={"visit": schema})
    noon = datetime(2024, 1, 1, 12, tzinfo=UTC)
    elsewhere = noon.astimezone(timezone(timedelta(hours=2)))
    naive = datetime(2024, 1, 1, 12)  # noqa: DTZ001 - which stays so
    store.set("visit", id=1, times=[elsewhere, naive])
    assert store.get("visit", 1).times == [noon, naive]
    assert len(store.rows("visit", where={"times": [noon, naive]})) == 1
    with pytest.raises(motion.InvalidValue, match="9999"):
        store.set("visit", id=2, times=[datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2)))])


def test_a_moment_that_is_a_key_of_a_dict_is_the_same_in_whatever_zone(
    open_store: OpenStore,
) -> None:
    schema = make_dataclass("Visit", [("id", int), ("seen", dict[datetime, list[datetime]])])
    store = open_store(schemas={"visit": schema})
    noon = datetime(2024, 1, 1, 12, tzinfo=UTC)
    elsewhere = noon.astimezone(timezone(timedelta(hours=2)))
    naive = datetime(2024, 1, 1, 12)  # noqa: DTZ001 - which stays so
    store.set("visit", id=1, seen={elsewhere: [elsewhere], naive: []})
    assert store.get("visit", 1).seen == {noon: [noon], naive: []}
    assert len(store.rows("visit", where={"seen": {naive: [], noon: [noon]}})) == 1
    early = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    with pytest.raises(motion.InvalidValue, match="9999"):
        store.set("visit", id=2, seen={early: []})


@pytest.mark.parametrize(
    ("keys", "word"), [(bool, "bool"), (tuple[int, int], "tuple"), (frozenset[int], "frozenset")]
)
def test_a_dict_whose_keys_json_cannot_name_is_refused_when_it_is_declared(
    open_store: OpenStore, keys: Any, word: str
) -> None:
    schema = make_dataclass("Visit", [("id", int), ("seen", dict[keys, int])])
    with pytest.raises(motion.SchemaError, match=f"none is a {word}"):
        open_store(schemas={"visit": schema})


def test_a_nested_dataclass_may_be_given_as_a_dict_with_its_fields(store: motion.Store) -> None:
    assert kept(store, "tag", {"name": "a"}) == Tag("a", 1.0)
    assert kept(store, "tags", [{"name": "a", "weight": 2}, Tag("b")]) == [Tag("a", 2.0), Tag("b")]


def test_a_nested_dataclass_without_equality_is_kept(store: motion.Store) -> None:
    assert kept(store, "plain", Plain(3)).x == 3


def nested(levels: int) -> list[Any]:
    deep: list[Any] = []
    for _ in range(levels):
        deep = [deep]
    return deep


@dataclass
class HeavyTag(Tag):
    extra: int = 1


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("tag", {"name": "a", "colour": "red"}, "no field 'colour'"),
        ("tag", {"weight": 1.0}, "name"),
        ("tag", HeavyTag("a"), "HeavyTag"),
        ("facts", {"a": (1, 2)}, "tuple"),
        ("facts", {"a": float("nan")}, "None"),
        ("facts", {1: "a"}, "keys"),
        ("facts", {"a": np.float64(1)}, "numpy.float64"),
        ("facts", {"a": nested(5_000)}, "deep"),
        ("facts", {"a": nested(300)}, "deep"),
        ("facts", {"a": b"x"}, "bytes"),
        ("facts", {"at": datetime(2024, 1, 1, tzinfo=UTC)}, "datetime"),
        ("prices", [True], "float"),
        ("prices", [1.5, None], "null"),
        ("prices", (1.5,), "tuple"),
        ("text", "half \ud83d", "surrogate"),
    ],
)
def test_what_json_would_change_is_refused(
    store: motion.Store, key: str, value: Any, why: str
) -> None:
    assert why in refusal(store, key, value)


# -- arrays --


def test_a_masked_number_is_refused(store: motion.Store) -> None:
    masked = np.ma.array([1.0, 2.0, -999.0], mask=[False, False, True])
    assert "mask" in refusal(store, "array", masked)
    assert "mask" in refusal(store, "vector", masked)
    assert kept(store, "array", masked[:2]).tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 3), "f4"),
        np.array(1.5),
        np.array(["a", "bcd"]),
        np.array(["2024-01-01"], "datetime64[ns]"),
        np.arange(6, dtype=">i2").reshape(2, 3).T,
        np.array([1 + 2j]),
        np.array([True, False]),
        np.zeros(3, "f2"),
        np.frombuffer(b"\x00array1\x00", "f4", 2),
        np.zeros(0, "f4"),
        np.array([np.nan, np.inf, -0.0], "f8"),
    ],
)
def test_an_array_comes_back_with_its_type_and_shape(
    store: motion.Store, array: np.ndarray[Any, Any]
) -> None:
    back = kept(store, "array", array)
    assert back.shape == array.shape
    assert back.dtype == array.dtype.newbyteorder("=") or back.dtype == array.dtype
    assert back.tobytes() == array.astype(back.dtype).tobytes()


def test_arrays_handed_out_are_read_only(open_store: OpenStore) -> None:
    @motion.trigger(on="thing.array", sets="thing.text")
    def shown(array: np.ndarray) -> str:
        array[0] = 5
        return "changed"

    store = open_store(schemas={"thing": Thing}, triggers=[shown])
    with pytest.raises(motion.TaskFailed, match="read-only"):
        store.set("thing", id=1, array=np.zeros(3)).wait()


# -- bulk --


def test_the_index_of_a_frame_of_pandas_is_no_key(store: motion.Store) -> None:
    frame = pd.DataFrame({"text": ["a", "b", None, "d"]})
    for given, count in (
        (frame[frame.text != "b"], 3),
        (pd.concat([frame, frame]), 8),
        (frame.dropna(), 3),
        (pa.Table.from_pandas(frame.dropna()), 3),
        (frame.set_index(pd.Index([5, 6, 7, 8], name="number")), 4),
    ):
        assert store.set_many("thing", given).count == count
    assert [row.number for row in store.rows("thing")][-4:] == [5, 6, 7, 8]


def test_columns_of_pandas_are_taken_as_python_has_them(store: motion.Store) -> None:
    frame = pd.DataFrame(
        {
            "id": [1, 2],
            "facts": [{"a": 1}, {"b": [1, "x"]}],
            "array": [np.zeros((2, 2), "i2"), np.ones(3, "f4")],
            "text": pd.Categorical(["a", "b"]),
            "number": pd.array([1, None], "Int64"),
            "tag": [Tag("x"), {"name": "y"}],
        }
    )
    store.set_many("thing", frame)
    rows = store.rows("thing")
    assert [row.facts for row in rows] == [{"a": 1}, {"b": [1, "x"]}]
    assert [row.array.dtype for row in rows] == [np.dtype("i2"), np.dtype("f4")]
    assert [(row.text, row.number) for row in rows] == [("a", 1), ("b", None)]
    assert [row.tag for row in rows] == [Tag("x"), Tag("y")]


def test_two_columns_of_one_name_are_refused(store: motion.Store) -> None:
    numbers = pa.array([1])
    twin = pd.DataFrame([[1, 2, 3]], columns=["id", "number", "number"])
    for given in (
        pa.table([numbers, numbers, numbers], names=["id", "number", "number"]),
        twin,
        twin[["id"]].set_index(pd.Index([4], name="id")),
    ):
        with pytest.raises(motion.InvalidArgument, match="two columns called"):
            store.set_many("thing", given)
    assert store.rows("thing") == []


def no_utf8() -> pa.Array:
    offsets = pa.array([0, 1, 2], pa.int32()).buffers()[1]
    return pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"a\xff")])


@pytest.mark.parametrize(
    "columns",
    [
        lambda: {"array": pa.array([[1, 2], [1, None]])},
        lambda: {"array": pa.array([[1.0], [None]])},
        lambda: {"array": pa.array([[[1], [2]], [[1, 2], [3]]])},
        lambda: {"vector": pa.array([[1.0, 2.0, 3.0], [1.0, None, 3.0]])},
        lambda: {"at": pa.array([0, 400_000_000_000], pa.timestamp("s"))},
        lambda: {"text": no_utf8()},
        lambda: {
            "facts": pa.array([[("a", 1)], [("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int64()))
        },
    ],
)
def test_a_row_that_its_source_cannot_hand_over_is_a_bad_row(
    store: motion.Store, columns: Callable[[], dict[str, Any]]
) -> None:
    change = store.set_many("thing", pa.table(columns()), errors="collect")
    assert (change.count, [bad.position for bad in change.rejected]) == (1, [1])
    with pytest.raises(motion.BadRows, match="row 1 "):
        store.set_many("thing", pa.table(columns()))


def test_a_row_with_a_key_that_has_no_name_is_a_bad_row(store: motion.Store) -> None:
    rows = [{"": "0", "text": "a"}, {None: ["more"], "text": "b"}, {"text": "c"}, 7]
    change = store.set_many("thing", rows, errors="collect")
    assert (change.count, len(change.rejected)) == (1, 3)


def test_a_text_is_no_table_of_rows(store: motion.Store) -> None:
    with pytest.raises(motion.InvalidArgument, match="dicts"):
        store.set_many("thing", "abc")


def test_an_iterator_may_fill_one_row_again_and_again(store: motion.Store) -> None:
    def one_dict() -> Iterator[dict[str, Any]]:
        row: dict[str, Any] = {}
        buffer = np.zeros(3, "f4")
        for i in range(1, 4):
            buffer[:] = i
            row.update(id=i, text=str(i), vector=buffer, facts=facts)
            facts["i"] = i
            yield row

    def one_object() -> Iterator[Thing]:
        row = store.get("thing", 1)
        for i in range(4, 6):
            row.id, row.text = i, str(i)
            row.vector = np.full(3, i, "f4")
            yield row

    facts: dict[str, int] = {}
    store.set_many("thing", one_dict())
    store.set_many("thing", one_object())
    found = [(row.text, row.vector.tolist()) for row in store.rows("thing")]
    assert found == [(str(i), [float(i)] * 3) for i in range(1, 6)]
    assert [row.facts for row in store.rows("thing", limit=3)] == [{"i": i} for i in (1, 2, 3)]


# -- results --


@dataclass
class Doc:
    id: int
    text: str
    vector: Annotated[np.ndarray, motion.Vector(2)]
    array: np.ndarray
    facts: dict[str, Any]
    raw: bytes
    size: int
    part: str
    part_page: int
    part_array: np.ndarray


@dataclass
class Chunk:
    id: int
    facts: dict[str, Any]
    array: np.ndarray


BUFFER = np.zeros(2, "f4")
FACTS: dict[str, Any] = {}
RAW = bytearray(1)
PAGES: list[Any] = []


def filled(text: str) -> np.ndarray:
    BUFFER[:] = ord(text)
    return BUFFER


def a_view(text: str) -> np.ndarray:
    return filled(text)[:]


async def later(text: str) -> np.ndarray:
    return filled(text)


def facts_of(text: str) -> dict[str, Any]:
    FACTS["of"] = [text]
    return FACTS


def raw_of(text: str) -> bytearray:
    RAW[0] = ord(text)
    return RAW


def several(text: str) -> dict[str, Any]:
    FACTS.update(facts={"of": [text]}, array=filled(text))
    return {"facts": FACTS["facts"], "array": FACTS["array"]}


def batch_of(text: list[str]) -> np.ndarray:
    for i, each in enumerate(text):
        BATCH[i] = ord(each)
    return BATCH[: len(text)]


BATCH = np.zeros((2, 2), "f4")


def shown(row: Any, key: str) -> Any:
    value = getattr(row, key)
    return chr(int(value.flat[0])) if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize(
    ("key", "function", "options"),
    [
        ("vector", filled, {"inline": True}),
        ("vector", filled, {"inline": False}),
        ("vector", a_view, {}),
        ("vector", later, {}),
        ("array", filled, {}),
        ("vector", batch_of, {"batch": 2}),
    ],
)
def test_a_buffer_that_is_given_back_again_and_again_gives_each_row_its_own(
    open_store: OpenStore, key: str, function: Callable[..., Any], options: dict[str, Any]
) -> None:
    embed = motion.trigger(on="doc.text", sets=f"doc.{key}", **options)(function)
    store = open_store(schemas={"doc": Doc}, triggers=[embed])
    store.set_many("doc", [{"id": i, "text": text} for i, text in enumerate("abcde")]).wait()
    assert [shown(row, key) for row in store.rows("doc")] == list("abcde")


@pytest.mark.parametrize("key", ["facts", "raw"])
def test_a_dict_or_bytes_that_are_given_back_again_and_again_too(
    open_store: OpenStore, key: str
) -> None:
    function = facts_of if key == "facts" else raw_of
    derive = motion.trigger(on="doc.text", sets=f"doc.{key}")(function)
    store = open_store(schemas={"doc": Doc}, triggers=[derive])
    store.set_many("doc", [{"id": i, "text": text} for i, text in enumerate("abc")]).wait()
    wanted = [{"of": [text]} if key == "facts" else text.encode() for text in "abc"]
    assert [getattr(row, key) for row in store.rows("doc")] == wanted


def test_pages_and_rows_of_another_table_take_what_a_buffer_held(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets=("doc.part", "doc.part_array"), page="part_page")
    def parts(text: str) -> Iterator[Any]:
        for each in text:
            yield each, filled(each)

    @motion.trigger(on="doc.text", sets="chunk")
    def chunks(text: str) -> list[Any]:
        PAGES.clear()
        PAGES.extend({"facts": {"of": each}, "array": np.array([ord(each)])} for each in text)
        return PAGES

    store = open_store(schemas={"doc": Doc, "chunk": Chunk}, triggers=[parts, chunks])
    store.set_many("doc", [{"id": 1, "text": "ab"}, {"id": 2, "text": "cd"}]).wait()
    pages = [(row.part, shown(row, "part_array")) for row in store.rows("doc")]
    assert pages == [(each, each) for each in "abcd"]
    assert sorted(row.facts["of"] for row in store.rows("chunk")) == list("abcd")
    assert all(row.facts["of"] == shown(row, "array") for row in store.rows("chunk"))


def in_turn(text: list[str]) -> Iterator[np.ndarray]:
    yield from map(filled, text)


class InTurn:
    """Makes its items when it is asked for them, as a data loader does."""

    def __init__(self, text: list[str]) -> None:
        self.text = text

    def __iter__(self) -> Iterator[np.ndarray]:
        return in_turn(self.text)


def a_generator(text: list[str]) -> Any:
    return in_turn(text)


async def a_generator_later(text: list[str]) -> Any:
    return in_turn(text)


def a_map(text: list[str]) -> Any:
    return map(filled, text)


def a_loader(text: list[str]) -> Any:
    return InTurn(text)


def dicts_in_turn(text: list[str]) -> Any:
    return map(facts_of, text)


def rows_in_turn(text: list[str]) -> Any:
    return map(several, text)


class Embedder(motion.Component):
    def setup(self) -> int:
        return 1

    @motion.infer(on="doc.text", sets="doc.vector", batch=4)
    def embed(self, state: int, text: list[str]) -> Any:
        return in_turn(text)


@pytest.mark.parametrize(
    ("sets", "function", "options"),
    [
        ("doc.vector", a_generator, {"inline": False}),
        ("doc.vector", a_generator, {"timeout": 60}),
        ("doc.vector", a_generator, {"executor": "process"}),
        ("doc.vector", a_generator_later, {}),
        ("doc.array", a_map, {}),
        ("doc.array", a_loader, {}),
        ("doc.facts", dicts_in_turn, {}),
        (("doc.facts", "doc.array"), rows_in_turn, {}),
        ("doc.vector", None, {}),
    ],
)
def test_a_batch_that_makes_its_results_in_turn_may_fill_one_buffer(
    open_store: OpenStore, sets: Any, function: Any, options: dict[str, Any]
) -> None:
    made = Embedder()
    if function is not None:
        made = motion.trigger(on="doc.text", sets=sets, batch=4, name="made", **options)(function)
    store = open_store(schemas={"doc": Doc}, triggers=[made])
    store.set_many("doc", [{"id": i, "text": text} for i, text in enumerate("abcdef")]).wait()
    if "doc.facts" in sets:
        assert [row.facts for row in store.rows("doc")] == [{"of": [text]} for text in "abcdef"]
    key = "vector" if sets == "doc.vector" else "array"
    if sets != "doc.facts":
        assert [shown(row, key) for row in store.rows("doc")] == list("abcdef")


class Cutter:
    """Has a state of its own, which its lazily made rows depend on."""

    def __init__(self) -> None:
        self.text, self.cut = "", list[str]()

    def part(self, each: str) -> dict[str, Any]:
        self.cut.append(each)
        return {"facts": {"of": self.text + each}}

    def parts(self, text: str) -> Any:
        self.text = text
        return map(self.part, text)


@pytest.mark.parametrize("batch", [None, 4])
def test_rows_that_are_made_when_they_are_asked_for_are_those_of_their_call(
    open_store: OpenStore, batch: int | None
) -> None:
    cutter = Cutter()

    @motion.trigger(on="doc.text", sets="chunk", batch=batch, concurrency=1)
    def chunks(text: Any) -> Any:
        return cutter.parts(text) if batch is None else map(cutter.parts, text)

    store = open_store(schemas={"doc": Doc, "chunk": Chunk}, triggers=[chunks])
    store.set_many("doc", [{"id": 1, "text": "ab"}, {"id": 2, "text": "cd"}]).wait()
    # Which document comes first is nobody's promise.
    assert sorted(row.facts["of"] for row in store.rows("chunk")) == ["aba", "abb", "cdc", "cdd"]
    assert sorted(cutter.cut) == list("abcd")


def test_one_key_that_takes_dicts_gets_the_whole_dict(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.facts")
    def facts(text: str) -> dict[str, Any]:
        return {"facts": {"of": text}}

    store = open_store(schemas={"doc": Doc}, triggers=[facts])
    assert store.set("doc", id=1, text="a").wait().rows()[0].facts == {"facts": {"of": "a"}}


@pytest.mark.parametrize(
    "made",
    [
        lambda text: {"a", "b"},
        lambda text: frozenset("ab"),
        lambda text: dict.fromkeys(text),
        lambda text: pd.DataFrame({"a": [1, 2], "b": [3, 4]}),
        lambda text: pl.DataFrame({"a": [1, 2], "b": [3, 4]}),
        lambda text: pa.table({"a": [1, 2], "b": [3, 4]}),
        lambda text: memoryview(b"ab"),
    ],
)
def test_a_result_without_an_order_of_its_rows_is_refused(
    open_store: OpenStore, made: Callable[[Any], Any]
) -> None:
    @motion.trigger(on="doc.text", sets="doc.size", batch=2)
    def sizes(text: list[str]) -> Any:
        return made(text)

    @motion.trigger(on="doc.text", sets="doc.part", page="part_page")
    def parts(text: str) -> Any:
        return made(text)

    store = open_store(schemas={"doc": Doc}, triggers=[sizes, parts])
    store.set_many("doc", [{"id": 1, "text": "ab"}, {"id": 2, "text": "cd"}])
    store.wait()
    assert len(store.errors("sizes")) == len(store.errors("parts")) == 2
    assert all("in order" in each.error for each in store.errors("sizes"))
    assert all("list" in each.error for each in store.errors("parts"))


def test_a_failure_without_a_text_is_that_rows_alone(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.size", batch=8)
    def sizes(text: list[str]) -> list[Any]:
        calls.append(len(text))
        return [motion.Failed("") if each == "c" else len(each) for each in text]

    calls: list[int] = []
    store = open_store(schemas={"doc": Doc}, triggers=[sizes])
    store.set_many("doc", [{"id": i, "text": text} for i, text in enumerate("abcd")])
    store.wait()
    assert [row.size for row in store.rows("doc")] == [1, 1, None, 1]
    assert (calls, len(store.errors())) == ([4], 1)


def test_values_read_back_from_a_file_of_pandas_are_those_written(store: motion.Store) -> None:
    frame = pd.read_csv(io.StringIO("id,text,score\n1,a,1.5\n2,,\n"))
    store.set_many("thing", frame)
    assert [(row.text, row.score) for row in store.rows("thing")] == [("a", 1.5), (None, None)]


@dataclass
class Tagged:
    id: int
    tags: list[str]
    first: int
    second: int


@pytest.mark.parametrize(
    "options", [{"inline": True}, {"inline": False}, {"batch": 4}, {"memo": True}]
)
def test_what_a_function_does_to_its_parameters_is_seen_by_no_other_call(
    open_store: OpenStore, options: dict[str, Any]
) -> None:
    def add(tags: list[Any]) -> Any:
        if not options.get("batch"):
            tags.append("more")
            return len(tags)
        for each in tags:
            each.append("more")
        if len(tags) > 1:
            raise ValueError("half of them")
        return [len(each) for each in tags]

    def count(tags: list[Any]) -> Any:
        return [len(each) for each in tags] if options.get("batch") else len(tags)

    first = motion.trigger(on="tagged.tags", sets="tagged.first", **options)(add)
    second = motion.trigger(on="tagged.tags", sets="tagged.second", **options)(count)
    store = open_store(schemas={"tagged": Tagged}, triggers=[first, second])
    store.set_many("tagged", [{"id": i, "tags": ["a", "b"]} for i in range(3)]).wait()
    rows = store.rows("tagged")
    assert [(row.tags, row.first, row.second) for row in rows] == [(["a", "b"], 3, 2)] * 3


def test_an_id_that_there_is_no_room_for_is_a_bad_row(open_store: OpenStore) -> None:
    class Model(motion.Component):
        def setup(self) -> int:
            return 1

        @motion.infer(on="thing.text", sets="thing.vector", refresh="before")
        def embed(self, state: int, text: str) -> np.ndarray:
            return np.ones(3)

    store = open_store(schemas={"thing": Thing}, triggers=[Model()])
    rows = [{"id": 1, "text": "a"}, {"id": 2**50, "text": "b"}, {"id": -1, "text": "c"}]
    change = store.set_many("thing", rows, errors="collect")
    assert (change.count, [bad.position for bad in change.rejected]) == (1, [1, 2])
    with pytest.raises(motion.BadRows, match="row 1 "):
        store.set_many("thing", rows)
