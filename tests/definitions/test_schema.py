"""Schemas: which dataclasses make a table, what each type keeps, and what an error says."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field, make_dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from enum import Enum, IntFlag, StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

import motion
from tests.conftest import OpenStore


class Color(Enum):
    RED = "r"
    GREEN = "g"


class Season(StrEnum):
    SUMMER = "summer"
    WINTER = "winter"


class Care(IntFlag):
    WASH = 1
    IRON = 2


@dataclass
class Shop:
    name: str
    rating: float


@dataclass
class Kinds:
    """One key of every type that a table may have."""

    id: int
    whole: int
    number: float
    flag: bool
    text: str
    raw: bytes
    moment: datetime
    day: date
    color: Color
    season: Season
    array: np.ndarray
    vector: Annotated[np.ndarray, motion.Vector(3)]
    items: list  # type: ignore[type-arg]  # a bare list is a type of its own
    names: list[str]
    facts: dict  # type: ignore[type-arg]  # so is a bare dict
    counts: dict[str, int]
    shop: Shop
    cut: Literal["slim", "wide"]
    step: Literal[1, 2]
    maybe: Optional[int]  # noqa: UP045  # the older spelling must work too
    perhaps: str | None


@pytest.fixture
def kinds(open_store: OpenStore) -> motion.Store:
    """A store with the table "thing" of every type."""
    return open_store(schemas={"thing": Kinds})


def opened(open_store: OpenStore, cls: type) -> motion.Store:
    return open_store(schemas={"thing": cls})


def table_with(name: str, kind: Any, **options: Any) -> type:
    return make_dataclass("Thing", [("id", int), (name, kind, *options.values())])


# -- round trips --

INT64 = st.integers(-(2**63) + 1, 2**63 - 1)
FLOATS = st.floats(allow_nan=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
FIRST, LAST = datetime(2, 1, 1), datetime(9998, 1, 1)  # noqa: DTZ001  # a bound is without a zone
ZONES: Any = st.timezones() | st.none() | st.just(timezone(timedelta(hours=-5, minutes=-30)))
DTYPES = st_numpy.scalar_dtypes() | st_numpy.unicode_string_dtypes() | st_numpy.byte_string_dtypes()
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "whole": INT64,
    "number": FLOATS,
    "flag": st.booleans(),
    "text": st.text(),
    "raw": st.binary(),
    "moment": st.datetimes(FIRST, LAST, timezones=ZONES),
    "day": st.dates(),
    "color": st.sampled_from(Color),
    "season": st.sampled_from(Season),
    "array": st_numpy.arrays(DTYPES, st_numpy.array_shapes(min_dims=0, max_dims=3, min_side=0)),
    "vector": st_numpy.arrays(
        np.float32, 3, elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
    ),
    "items": st.lists(JSON, max_size=4),
    "names": st.lists(st.text(), max_size=4),
    "facts": st.dictionaries(st.text(), JSON, max_size=4),
    "counts": st.dictionaries(st.text(), st.integers(-(2**53), 2**53), max_size=4),
    "shop": st.builds(Shop, st.text(), st.floats(allow_nan=False, allow_infinity=False)),
    "cut": st.sampled_from(["slim", "wide"]),
    "step": st.sampled_from([1, 2]),
    "maybe": st.none() | INT64,
    "perhaps": st.none() | st.text(),
}


@pytest.mark.parametrize("key", VALUES)
@given(data=st.data())
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_value_comes_back_as_it_was_set(
    kinds: motion.Store, key: str, data: st.DataObject
) -> None:
    value = data.draw(VALUES[key])
    kinds.set("thing", id=1, **{key: value})
    again = getattr(kinds.get("thing", 1), key)
    assert same(again, value)


@pytest.mark.parametrize("key", VALUES)
@given(data=st.data())
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_column_of_values_comes_back_as_it_was_set(
    kinds: motion.Store, key: str, data: st.DataObject
) -> None:
    values = data.draw(st.lists(VALUES[key], min_size=1, max_size=6))
    change = kinds.set_many("thing", [{key: value} for value in values])
    assert change.count == len(values)
    rows = kinds.rows("thing", order_by="id desc", limit=len(values))[::-1]
    assert all(same(getattr(row, key), value) for row, value in zip(rows, values, strict=True))


def same(left: Any, right: Any) -> bool:
    """Whether a value read equals the value set, in type too."""
    if isinstance(right, np.ndarray):
        is_little = left.dtype == right.dtype.newbyteorder("<")
        return bool(is_little and left.shape == right.shape and left.tobytes() == _little(right))
    if isinstance(right, datetime) and right.tzinfo is not None:
        return bool(left == right.astimezone(UTC) and left.tzinfo is not None)
    if isinstance(right, datetime):
        return bool(left == right and left.tzinfo is None)
    return type(left) is type(right) and bool(left == right)


def _little(array: np.ndarray) -> bytes:
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def test_an_array_of_another_byte_order_keeps_its_numbers(open_store: OpenStore) -> None:
    store = opened(open_store, Kinds)
    store.set("thing", id=1, array=np.array([1.5, 2.5], ">f8"))
    np.testing.assert_array_equal(store.get("thing", 1).array, [1.5, 2.5])


def test_an_array_that_is_not_contiguous_keeps_its_numbers(open_store: OpenStore) -> None:
    store = opened(open_store, Kinds)
    turned = np.arange(12.0).reshape(3, 4).T[::2]
    store.set("thing", id=1, array=turned)
    np.testing.assert_array_equal(store.get("thing", 1).array, turned)


def test_numpy_numbers_are_taken_as_plain_numbers(open_store: OpenStore) -> None:
    store = opened(open_store, Kinds)
    store.set("thing", id=np.int64(1), whole=np.int32(5), number=np.float32(0.5), flag=np.bool_(1))
    row = store.get("thing", 1)
    assert [row.whole, row.number, row.flag] == [5, 0.5, True]


def test_an_int_becomes_a_float_without_loss(open_store: OpenStore) -> None:
    store = opened(open_store, Kinds)
    store.set("thing", id=1, number=3)
    assert type(store.get("thing", 1).number) is float


def test_a_float_that_is_whole_becomes_an_int(open_store: OpenStore) -> None:
    store = opened(open_store, Kinds)
    store.set("thing", id=1, whole=3.0)
    assert type(store.get("thing", 1).whole) is int


def test_a_member_of_an_enum_may_be_given_by_name(open_store: OpenStore) -> None:
    store = opened(open_store, Kinds)
    store.set("thing", id=1, color="GREEN")
    assert store.get("thing", 1).color is Color.GREEN


# -- what people see in the file --


@pytest.fixture
def file_of(open_store: OpenStore, tmp_path: Path) -> Callable[..., Any]:
    """Set keys of one row, and return what another program's `select` of a key gives."""

    def stored(key: str, value: Any) -> Any:
        opened(open_store, Kinds).set("thing", id=1, **{key: value})
        with sqlite3.connect(tmp_path / "shop.motion" / "store.sqlite") as beside:
            found = beside.execute(f"SELECT {key} FROM thing").fetchone()[0]
        beside.close()
        return found

    return stored


def test_enums_are_readable_in_the_file_by_name(file_of: Callable[..., Any]) -> None:
    assert file_of("color", Color.RED) == "RED"


def test_vectors_are_plain_little_endian_float32_in_the_file(file_of: Callable[..., Any]) -> None:
    assert file_of("vector", np.array([1, 2, 0.5])) == np.array([1, 2, 0.5], "<f4").tobytes()


def test_a_row_of_float32_without_a_fixed_length_is_plain_in_the_file_too(
    file_of: Callable[..., Any],
) -> None:
    assert file_of("array", np.array([1, 2], np.float32)) == np.array([1, 2], "<f4").tobytes()


def test_lists_are_json_in_the_file(file_of: Callable[..., Any]) -> None:
    assert file_of("items", [1, "a", None]) == '[1,"a",null]'


def test_nested_dataclasses_are_json_in_the_file(file_of: Callable[..., Any]) -> None:
    assert file_of("shop", Shop("corner", 4.5)) == '{"name":"corner","rating":4.5}'


def test_a_moment_with_a_zone_is_utc_text_in_the_file(file_of: Callable[..., Any]) -> None:
    moment = datetime(2024, 5, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    assert file_of("moment", moment) == "2024-05-01T12:00:00.000000+00:00"


# -- schemas that cannot be --


def refused(cls: Any, name: str = "thing") -> str:
    """Return what the error says when a schema cannot be a table."""
    with pytest.raises(motion.SchemaError) as caught:
        motion.create_store("refused", schemas={name: cls}, url=":memory:")
    return str(caught.value)


def test_a_type_that_cannot_be_stored_is_named_with_its_table_and_key() -> None:
    message = refused(table_with("tags", set[str]))
    assert "'thing'" in message
    assert "'tags'" in message
    assert "set[str]" in message


def test_a_type_that_cannot_be_stored_lists_the_allowed_ones() -> None:
    message = refused(table_with("tags", set))
    words = "int float bool str bytes datetime date Enum np.ndarray Vector list dict dataclass Literal None"
    assert [word for word in words.split() if word not in message] == []


def test_a_union_of_two_types_is_refused() -> None:
    assert "cannot be stored" in refused(table_with("size", int | str))


def test_a_literal_of_mixed_types_is_refused() -> None:
    assert "cannot be stored" in refused(table_with("size", Literal[1, "a"]))


def test_a_schema_that_is_no_dataclass_is_refused() -> None:
    assert "must be a dataclass" in refused(dict)


def test_a_schema_without_an_id_is_refused() -> None:
    assert "no key 'id'" in refused(make_dataclass("Thing", [("name", str)]))


def test_an_id_of_another_type_is_refused() -> None:
    assert "must be int or str" in refused(make_dataclass("Thing", [("id", float)]))


def test_a_page_key_of_another_type_shows_the_way_out() -> None:
    message = refused(table_with("landing_page", str))
    assert "page: Annotated[str, motion.Key(page=False)]" in message


def test_a_vector_with_the_word_page_in_its_name_is_shown_the_way_out_for_vectors() -> None:
    message = refused(table_with("page_vector", Annotated[np.ndarray, motion.Vector(3)]))
    assert (
        "page_vector: Annotated[np.ndarray, motion.Vector(...), motion.Key(page=False)]" in message
    )


def test_a_default_that_does_not_fit_its_key_is_refused() -> None:
    message = refused(table_with("stock", int, default=field(default="many")))
    assert "thing.stock" in message
    assert "'many'" in message


def test_a_level_that_is_no_page_key_is_refused() -> None:
    message = refused(table_with("name", Annotated[str, motion.Key(level="nowhere")]))
    assert "'nowhere'" in message


@pytest.mark.parametrize("name", ["", "two words", "motion_x", "sqlite_x", "1st", "a.b", 'q"', "é"])
def test_a_table_name_that_sql_could_not_spell_is_refused(name: str) -> None:
    assert "cannot be called" in refused(Kinds, name)


def test_two_tables_that_differ_in_case_only_are_refused() -> None:
    with pytest.raises(motion.SchemaError, match="case"):
        motion.create_store("refused", schemas={"thing": Kinds, "Thing": Kinds}, url=":memory:")


def test_two_keys_that_differ_in_case_only_are_refused() -> None:
    assert "case" in refused(make_dataclass("Thing", [("id", int), ("Name", str), ("name", str)]))


def test_an_annotation_that_names_nothing_is_refused() -> None:
    assert "Nowhere" in refused(make_dataclass("Thing", [("id", int), ("name", "Nowhere")]))


def test_a_vector_of_no_numbers_is_refused() -> None:
    with pytest.raises(motion.SchemaError, match="at least 1"):
        motion.Vector(0)


def test_an_unknown_metric_is_refused_with_the_allowed_ones() -> None:
    with pytest.raises(motion.SchemaError, match="cosine, dot, l2"):
        motion.Vector(3, metric="manhattan")  # type: ignore[arg-type]  # on purpose


# -- names that look special and are not --


def test_a_key_may_have_page_within_a_word(open_store: OpenStore) -> None:
    store = opened(open_store, table_with("homepage", str))
    store.set("thing", id=1, homepage="motion.example")
    assert store.get("thing", 1).homepage == "motion.example"


def test_a_key_with_the_word_page_may_be_declared_no_page_key(open_store: OpenStore) -> None:
    store = opened(open_store, table_with("landing_page", Annotated[str, motion.Key(page=False)]))
    store.set("thing", id=1, landing_page="/sale")
    assert store.get("thing", 1).landing_page == "/sale"


@pytest.mark.parametrize("name", ["order", "select", "group", "row", "slot", "primary", "rowid"])
def test_a_key_may_be_called_like_a_word_of_sql(open_store: OpenStore, name: str) -> None:
    store = opened(open_store, table_with(name, Annotated[str, motion.Index]))
    values: Any = {name: "x"}
    store.set("thing", id=1, **values)
    assert getattr(store.rows("thing", where={name: "x"})[0], name) == "x"


def test_a_table_may_be_called_like_a_word_of_sql(open_store: OpenStore) -> None:
    store = open_store(schemas={"order": table_with("group", str)})
    store.set("order", id=1, group="a")
    assert store.get("order", 1).group == "a"


# -- values that do not fit --


def error_of(store: motion.Store, **values: Any) -> str:
    """Return what the error says when a value is refused; nothing may be written then."""
    with pytest.raises(motion.InvalidValue) as caught:
        store.set("thing", **{"id": 1, "text": "beside", **values})
    assert store.rows("thing") == []
    return str(caught.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"whole": "7"}, ["thing.whole", "'7' (str)", "int"]),
        ({"whole": 0.7}, ["0.7", "without loss"]),
        ({"whole": True}, ["True (bool)", "int"]),
        ({"whole": 2**64}, ["64 bits"]),
        ({"whole": math.inf}, ["inf", "int"]),
        ({"number": "0.5"}, ["'0.5' (str)", "float"]),
        ({"number": True}, ["True (bool)", "float"]),
        ({"number": math.nan}, ["NaN", "None"]),
        ({"number": 2**53 + 1}, ["lose digits"]),
        ({"number": np.int64(2**53 + 1)}, ["lose digits"]),
        ({"number": 10**400}, ["float"]),
        ({"flag": 1}, ["1 (int)", "bool"]),
        ({"text": b"a"}, ["bytes", "str"]),
        ({"text": "\ud800"}, ["text"]),
        ({"raw": "a"}, ["str", "bytes"]),
        ({"moment": date(2024, 1, 1)}, ["date", "datetime"]),
        ({"moment": "2024-01-01"}, ["str", "datetime"]),
        ({"day": datetime(2024, 1, 1, tzinfo=UTC)}, ["datetime", "date"]),
        ({"color": "BLUE"}, ["'BLUE'", "RED, GREEN"]),
        ({"color": "GREAN"}, ["Did you mean 'GREEN'"]),
        ({"color": Season.SUMMER}, ["Season", "Color"]),
        ({"array": [1, 2]}, ["[1, 2] (list)", "np.ndarray"]),
        ({"array": np.array([{}])}, ["dtype object", "numbers"]),
        ({"array": np.zeros(2, [("x", "f4")])}, ["dtype", "numbers"]),
        ({"vector": np.zeros(4)}, ["shape (4,)", "vector of 3"]),
        ({"vector": np.zeros((1, 3))}, ["shape (1, 3)", "vector of 3"]),
        ({"vector": np.array([1, np.nan, 2])}, ["NaN", "finite"]),
        ({"vector": np.array([1, 1e300, 2])}, ["finite"]),
        ({"vector": np.array(["a", "b", "c"])}, ["dtype <U1", "np.ndarray"]),
        ({"items": "abc"}, ["'abc' (str)", "list"]),
        ({"items": [math.nan]}, ["without loss"]),
        ({"items": [(1, 2)]}, ["without loss"]),
        ({"items": [object()]}, ["JSON"]),
        ({"names": ["a", 1]}, ["list[str]"]),
        ({"facts": {1: "a"}}, ["without loss"]),
        ({"counts": {"a": "b"}}, ["dict[str, int]"]),
        ({"shop": {"name": "corner"}}, ["Shop"]),
        ({"cut": "tight"}, ["'tight'", "'slim', 'wide'"]),
        ({"step": True}, ["True", "1, 2"]),
        ({"id": "seven"}, ["thing.id", "'seven' (str)", "int"]),
        ({"id": 1.5}, ["thing.id", "1.5", "int"]),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_refused_with_what_was_expected(
    open_store: OpenStore, values: dict[str, Any], words: list[str]
) -> None:
    message = error_of(opened(open_store, Kinds), **values)
    assert [word for word in words if word not in message] == []


def test_a_refused_value_is_shortened_in_the_error(open_store: OpenStore) -> None:
    assert len(error_of(opened(open_store, Kinds), text=b"x" * 10_000)) < 300


def test_an_id_of_the_wrong_type_is_refused_in_a_table_of_text_ids(open_store: OpenStore) -> None:
    store = open_store(schemas={"thing": make_dataclass("Thing", [("id", str), ("text", str)])})
    assert "7 (int)" in error_of(store, id=7)


def test_a_combination_of_flags_is_refused_as_it_has_no_name(open_store: OpenStore) -> None:
    store = opened(
        open_store, make_dataclass("Thing", [("id", int), ("text", str), ("care", Care)])
    )
    assert "WASH, IRON" in error_of(store, care=Care.WASH | Care.IRON)


def test_a_missing_time_of_pandas_is_not_stored_as_text(open_store: OpenStore) -> None:
    pd = pytest.importorskip("pandas")
    assert "datetime" in error_of(opened(open_store, Kinds), moment=pd.NaT)


def test_an_unknown_key_is_refused_with_the_nearest_name(open_store: OpenStore) -> None:
    with pytest.raises(motion.UnknownKey, match=r"no key 'colour'.*Did you mean 'color'"):
        opened(open_store, Kinds).set("thing", id=1, colour="RED")


def test_an_unknown_table_is_refused_with_the_nearest_name(open_store: OpenStore) -> None:
    with pytest.raises(motion.UnknownTable, match=r"no table 'thingy'.*Did you mean 'thing'"):
        opened(open_store, Kinds).set("thingy", id=1)


def test_a_class_that_is_no_schema_of_the_store_is_refused(open_store: OpenStore) -> None:
    with pytest.raises(motion.UnknownTable, match="Shop"):
        opened(open_store, Kinds).get(Shop, 1)


def test_a_class_of_two_tables_does_not_say_which(open_store: OpenStore) -> None:
    store = open_store(schemas={"one": Kinds, "two": Kinds})
    with pytest.raises(motion.SchemaError, match="one, two"):
        store.get(Kinds, 1)


def test_every_error_of_a_value_is_a_value_error_and_a_motion_error(open_store: OpenStore) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the point is the class
        opened(open_store, Kinds).set("thing", whole="7")
    assert isinstance(caught.value, motion.MotionError)
