"""Opening a store: where it lives, what a changed schema may do, and what is said when it cannot be opened."""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import sqlite3
import sys
import threading
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, make_dataclass
from datetime import datetime
from enum import Enum, Flag, IntEnum, IntFlag, StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest

import motion
from motion import clock, faults
from motion.backends.sqlite import SqliteBackend
from tests.conftest import Garment, OpenStore, pause

Field = tuple[Any, ...]


def schema(*fields: Field, row_id: type = int) -> type:
    return make_dataclass("Thing", [("id", row_id), *fields])


def colors(members: Any) -> Any:
    return Enum("Color", members)


Reopen = Callable[..., motion.Store]


@pytest.fixture
def reopen(open_store: OpenStore) -> Reopen:
    """Make a store with these keys and one row of values, close it, and open it with other keys."""

    def again(before: Sequence[Field], after: Sequence[Field], **values: Any) -> motion.Store:
        with open_store(schemas={"thing": schema(*before)}) as store:
            store.set("thing", id=1, **values)
        return open_store(schemas={"thing": schema(*after)})

    return again


def mismatch(reopen: Reopen, before: Sequence[Field], after: Sequence[Field], **values: Any) -> str:
    """Return what the error says, having looked that the store still opens as it was."""
    with pytest.raises(motion.SchemaMismatch) as caught:
        reopen(before, after, **values)
    assert reopen(before, before).get("thing", 1) is not None
    return str(caught.value)


# -- again --


def test_rows_are_there_after_reopening(open_store: OpenStore) -> None:
    with open_store(schemas={"garment": Garment}) as store:
        store.set("garment", id=7, name="dress")
    assert open_store(schemas={"garment": Garment}).get("garment", 7).name == "dress"


def test_rows_are_there_after_reopening_with_full_durability(open_store: OpenStore) -> None:
    with open_store(schemas={"garment": Garment}, durability="full") as store:
        store.set("garment", id=7, name="dress")
    reopened = open_store(schemas={"garment": Garment}, durability="full")
    assert reopened.get("garment", 7).name == "dress"


def test_a_name_that_is_open_gives_the_same_store(open_store: OpenStore) -> None:
    store = open_store(schemas={"garment": Garment})
    assert open_store(schemas={"garment": Garment}) is store


def test_a_name_that_is_open_keeps_the_stricter_queue_limit(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("motion.store.backpressure.PATIENCE_S", 0.2)

    @motion.trigger(on="thing.name", sets="thing.loud", inline=False)
    def shout(name: str) -> str:
        return name.upper()

    tables = {"thing": schema(("name", str), ("loud", str))}
    store = open_store(schemas=tables, triggers=[shout], run=False)
    for limit in (2, 1_000):
        assert open_store(queue_limit=limit, run=False) is store
    for name in ("a", "b"):
        store.set("thing", name=name)
    with pytest.raises(motion.QueueFull):
        store.set("thing", name="c")


@pytest.mark.parametrize("order", [("normal", "full"), ("full", "normal"), ("normal", "normal")])
def test_a_name_that_is_open_keeps_the_stricter_durability(
    open_store: OpenStore, order: tuple[str, str]
) -> None:
    found = [waits_for_the_disk(open_store(durability=each)) for each in order]
    assert found == [order[0] == "full", "full" in order]


def waits_for_the_disk(store: motion.Store) -> bool:
    """Whether a commit waits until it is kept, which only a loss of power would show."""
    backend: Any = store._database.backend
    if isinstance(backend, SqliteBackend):
        return bool(backend._durable.execute("PRAGMA synchronous").fetchone()[0] == 2)
    return bool(backend._is_kept)


def test_a_durability_that_is_none_is_refused_for_a_name_that_is_open(
    open_store: OpenStore,
) -> None:
    store = open_store(schemas={"garment": Garment})
    with pytest.raises(motion.MotionError, match="durability='whole' is unknown"):
        open_store(durability="whole")
    store.set("garment", id=1)


def test_a_name_that_is_open_takes_further_tables(open_store: OpenStore) -> None:
    store = open_store(schemas={"garment": Garment})
    open_store(schemas={"thing": schema(("name", str))})
    store.set("thing", id=1, name="a")
    store.set("garment", id=1)
    assert store.get("thing", 1).name == "a"


def test_a_name_that_is_open_takes_a_schema_again_with_a_new_key(open_store: OpenStore) -> None:
    store = open_store(schemas={"thing": schema(("name", str))})
    store.set("thing", id=1, name="a")
    open_store(schemas={"thing": schema(("name", str), ("price", float))})
    store.set("thing", id=1, price=2.0)
    row = store.get("thing", 1)
    assert (row.name, row.price) == ("a", 2.0)


def test_a_schema_that_does_not_fit_leaves_the_open_store_as_it_was(
    open_store: OpenStore,
) -> None:
    store = open_store(schemas={"thing": schema(("name", str))})
    with pytest.raises(motion.SchemaMismatch):
        open_store(schemas={"thing": schema(("name", int))})
    store.set("thing", id=1, name="a")
    assert store.get("thing", 1).name == "a"


def test_opening_an_open_store_without_triggers_keeps_those_it_runs(open_store: OpenStore) -> None:
    @motion.trigger(on="thing.name", sets="thing.upper")
    def shout(name: str) -> str:
        return name.upper()

    schemas = {"thing": schema(("name", str), ("upper", str))}
    store = open_store(schemas=schemas, triggers=[shout])
    open_store(schemas=schemas)
    assert store.set("thing", id=1, name="a").wait().rows()[0].upper == "A"


def test_two_names_in_one_process_are_two_stores(open_store: OpenStore) -> None:
    one, other = (open_store(name, schemas={"garment": Garment}) for name in ("one", "other"))
    one.set("garment", id=7)
    assert other.rows("garment") == []


# -- where it lives --


def test_without_a_url_it_lives_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with motion.create_store("shop", schemas={"garment": Garment}) as store:
        monkeypatch.chdir("/")
        store.set("garment", id=7)
        assert store.get("garment", 7) is not None
    assert (tmp_path / "shop.motion" / "store.sqlite").exists()


def test_a_folder_of_a_url_is_made(open_store: OpenStore, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "with space"
    open_store(schemas={"garment": Garment}, url=f"sqlite:///{folder}").set("garment", id=7)
    assert (folder / "store.sqlite").exists()


def test_a_store_in_memory_is_empty_each_time(open_store: OpenStore) -> None:
    with open_store(schemas={"garment": Garment}, url=":memory:") as store:
        store.set("garment", id=7)
        assert store.get("garment", 7) is not None
    assert open_store(schemas={"garment": Garment}, url=":memory:").rows("garment") == []


def test_two_stores_in_memory_of_one_name_are_two(open_store: OpenStore) -> None:
    one = open_store(schemas={"garment": Garment}, url=":memory:")
    other = open_store(schemas={"garment": Garment}, url=":memory:")
    one.set("garment", id=7)
    assert other.rows("garment") == []


def test_a_store_in_memory_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with motion.create_store("shop", schemas={"garment": Garment}, url=":memory:") as store:
        store.set("garment", id=7)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_place_is_refused_with_the_allowed_ones() -> None:
    with pytest.raises(motion.MotionError, match=r"'mysql://db'.*sqlite:///.*:memory:"):
        motion.create_store("shop", url="mysql://db")


@pytest.mark.parametrize("name", ["", "a b", "1st", "../up", "é", None])
def test_a_name_that_could_not_be_a_folder_is_refused(name: Any) -> None:
    with pytest.raises(motion.SchemaError, match="letters, digits and underscores"):
        motion.create_store(name, url=":memory:")


def test_an_unknown_durability_is_refused_with_the_allowed_ones() -> None:
    with pytest.raises(motion.MotionError, match=r"'fast'.*'full'.*'normal'"):
        motion.create_store("shop", url=":memory:", durability="fast")  # type: ignore[arg-type]  # on purpose


# -- changes that add --


def test_a_new_key_is_unset_in_the_rows_there_are(reopen: Reopen) -> None:
    store = reopen([("name", str)], [("name", str), ("price", float)], name="a")
    row = store.get("thing", 1)
    assert (row.name, row.price) == ("a", None)


def test_a_new_key_can_be_set_and_asked_for(reopen: Reopen) -> None:
    store = reopen([("name", str)], [("name", str), ("price", float)], name="a")
    store.set("thing", id=1, price=2.5)
    assert [row.id for row in store.rows("thing", where="price > 2")] == [1]


def test_a_new_default_is_for_new_rows(reopen: Reopen) -> None:
    store = reopen([("name", str)], [("name", str), ("stock", int, 5)], name="a")
    store.set("thing", id=2)
    assert [row.stock for row in store.rows("thing")] == [None, 5]


def test_keys_may_change_their_order(reopen: Reopen) -> None:
    store = reopen([("a", str), ("b", str)], [("b", str), ("a", str)], a="1", b="2")
    assert (store.get("thing", 1).a, store.get("thing", 1).b) == ("1", "2")


def test_a_key_may_become_optional(reopen: Reopen) -> None:
    assert reopen([("name", str)], [("name", str | None)], name="a").get("thing", 1).name == "a"


def test_a_key_may_get_an_index(reopen: Reopen, tmp_path: Path) -> None:
    store = reopen([("name", str)], [("name", Annotated[str, motion.Index])], name="a")
    plan = store.sql("explain query plan select id from thing where name = 'a'")
    assert "SEARCH" in str(plan.column("detail").to_pylist())


def test_an_enum_may_get_members(reopen: Reopen) -> None:
    color, wider = colors("RED GREEN"), colors("RED BLUE GREEN")
    store = reopen([("color", color)], [("color", wider)], color=color.GREEN)
    assert store.get("thing", 1).color is wider.GREEN


def test_the_members_of_an_enum_may_get_other_values(reopen: Reopen) -> None:
    color, other = colors({"RED": 1}), colors({"RED": "r"})
    store = reopen([("color", color)], [("color", other)], color=color.RED)
    assert store.get("thing", 1).color is other.RED


def test_a_literal_may_get_choices(reopen: Reopen) -> None:
    store = reopen([("cut", Literal["a"])], [("cut", Literal["b", "a"])], cut="a")
    assert store.get("thing", 1).cut == "a"


def test_a_table_left_out_keeps_its_rows(open_store: OpenStore) -> None:
    schemas = {"garment": Garment, "thing": schema()}
    with open_store(schemas=schemas) as store:
        store.set("garment", id=7)
    open_store(schemas={"thing": schema()}).close()
    assert len(open_store(schemas=schemas).rows("garment")) == 1


# -- changes that would lose or reinterpret --


def test_a_removed_key_is_named(reopen: Reopen) -> None:
    message = mismatch(reopen, [("name", str), ("price", float)], [("name", str)], price=1.0)
    assert "price (float) is gone" in message


def test_a_changed_type_is_shown_before_and_after(reopen: Reopen) -> None:
    message = mismatch(reopen, [("size", str)], [("size", int)], size="38")
    assert "size was str and is int now" in message


def test_a_mismatch_names_the_table_and_the_way_out(reopen: Reopen) -> None:
    message = mismatch(reopen, [("size", str)], [("size", int)], size="38")
    assert "'thing'" in message
    assert "set_many" in message
    assert "motion migrate STORE --convert thing.size=MODULE:FUNCTION" in message


def test_a_new_page_key_is_refused(reopen: Reopen) -> None:
    message = mismatch(reopen, [("name", str)], [("name", str), ("name_page", int)], name="a")
    assert "name_page is a new page key" in message


def test_a_removed_page_key_is_refused(reopen: Reopen) -> None:
    assert "name_page" in mismatch(reopen, [("name_page", int)], [])


def test_a_page_key_that_becomes_a_plain_one_is_refused(reopen: Reopen) -> None:
    plain = Annotated[int, motion.Key(page=False)]
    assert "name_page" in mismatch(reopen, [("name_page", int)], [("name_page", plain)])


def test_a_removed_member_of_an_enum_is_refused(reopen: Reopen) -> None:
    color, narrower = colors("RED GREEN"), colors("RED")
    message = mismatch(reopen, [("color", color)], [("color", narrower)], color=color.GREEN)
    assert "color was enum RED GREEN and is enum RED now" in message


def test_a_removed_choice_of_a_literal_is_refused(reopen: Reopen) -> None:
    before, after = Literal["a b", "c d"], Literal["a d", "c b"]
    assert "cut" in mismatch(reopen, [("cut", before)], [("cut", after)], cut="a b")


def test_another_length_of_a_vector_is_refused(reopen: Reopen) -> None:
    two, three = (Annotated[np.ndarray, motion.Vector(dim)] for dim in (2, 3))
    assert "vector 2" in mismatch(reopen, [("at", two)], [("at", three)], at=np.zeros(2))


def test_another_type_of_id_is_refused(open_store: OpenStore) -> None:
    open_store(schemas={"thing": schema()}).close()
    with pytest.raises(motion.SchemaMismatch, match="id was int and is str"):
        open_store(schemas={"thing": schema(row_id=str)})


def test_all_differences_are_said_at_once(reopen: Reopen) -> None:
    message = mismatch(reopen, [("a", str), ("b", int)], [("a", int)])
    assert "a was str" in message
    assert "b (int) is gone" in message


def test_a_mismatch_of_one_table_changes_no_other(open_store: OpenStore) -> None:
    open_store(schemas={"one": schema(), "two": schema(("a", str))}).close()
    wanted = {"one": schema(("new", str)), "two": schema()}
    with pytest.raises(motion.SchemaMismatch):
        open_store(schemas=wanted)
    store = open_store(schemas={"one": schema(), "two": schema(("a", str))})
    with pytest.raises(motion.UnknownKey):
        store.set("one", new="x")
    assert store.sql("select * from one").column_names == ["id"]


# -- stores that cannot be opened --


def make(folder: Path, rows: int = 1) -> Path:
    """Make a store and return its file."""
    with motion.create_store("shop", schemas={"garment": Garment}, url=f"sqlite:///{folder}") as s:
        s.set_many("garment", [{"name": str(i) * 20} for i in range(rows)])
    return folder / "store.sqlite"


def unavailable(folder: Path) -> str:
    """Open a store, read all of it, and return what the error says."""

    def use() -> None:
        url = f"sqlite:///{folder}"
        with motion.create_store("shop", schemas={"garment": Garment}, url=url) as store:
            store.rows("garment")

    with pytest.raises(motion.StoreUnavailable) as caught:
        use()
    assert isinstance(caught.value, OSError)
    return str(caught.value)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    file = make(tmp_path)
    with sqlite3.connect(file) as beside:
        beside.execute("UPDATE motion_clock SET format = 99")
    beside.close()
    message = unavailable(tmp_path)
    assert "format 99" in message
    assert "Upgrade" in message


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    make(tmp_path).write_bytes(b"these are not the rows you are looking for" * 100)
    message = unavailable(tmp_path)
    assert str(tmp_path) in message
    assert "damaged" in message


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    content = b"these are not the rows you are looking for" * 100
    file = make(tmp_path)
    file.write_bytes(content)
    unavailable(tmp_path)
    assert file.read_bytes() == content


def test_a_file_with_damaged_pages_is_said_to_be_damaged(tmp_path: Path) -> None:
    file = make(tmp_path, rows=5_000)
    content = bytearray(file.read_bytes())
    content[4096 * 20 :] = b"\xff" * (len(content) - 4096 * 20)
    file.write_bytes(content)
    assert "damaged" in unavailable(tmp_path)


def test_a_file_in_the_way_of_the_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "shop").write_text("a file")
    message = unavailable(tmp_path / "shop" / "inside")
    assert "Choose a folder that can be written" in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    message = unavailable(tmp_path)
    tmp_path.chmod(0o700)
    assert str(tmp_path) in message
    assert "can be written" in message


def test_a_store_that_could_not_be_opened_can_be_opened_later(tmp_path: Path) -> None:
    file = make(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(b"damaged" * 1000)
    unavailable(tmp_path)
    file.write_bytes(whole)
    with motion.create_store(
        "shop", schemas={"garment": Garment}, url=f"sqlite:///{tmp_path}"
    ) as s:
        assert len(s.rows("garment")) == 1


# -- nested types --


LIST: Any = list
DICT: Any = dict
TUPLE: Any = tuple
SET: Any = set  # of types that are made here, which a type checker does not see


OLD: Any = typing  # its names, as people still write them
OLD_LIST, OLD_OPTIONAL = OLD.List, OLD.Optional


def nested(*fields: Field) -> Any:
    return make_dataclass("Meta", fields)


def tree(*fields: Field) -> Any:
    """A dataclass that holds others of its kind."""
    node = make_dataclass("Node", [*fields, ("below", "list[Node]", field(default_factory=list))])
    node.__module__ = f"tree_of_{id(node)}"
    sys.modules[node.__module__] = types.ModuleType(node.__module__)
    vars(sys.modules[node.__module__])["Node"] = node
    return node


RED = {"RED": "r"}
A_SET = {"a": 1}


@pytest.mark.parametrize(
    ("before", "after", "given", "told"),
    [
        (nested(("a", int)), nested(("a", int), ("b", str)), A_SET, ".b is new and has no default"),
        (nested(("a", int)), nested(("count", int, 0)), A_SET, ".a is gone"),
        (nested(("a", int)), nested(("a", str)), A_SET, ".a was int and is str now"),
        (nested(("a", int)), nested(("a", float)), A_SET, ".a was int and is float now"),
        (nested(("a", int | None)), nested(("a", int)), A_SET, ".a held none"),
        (nested(("a", colors(RED))), nested(("a", colors({"RED": "red"}))), {"a": "r"}, "'r'"),
        (LIST[colors(RED)], LIST[colors({"BLUE": "b"})], ["r"], "[] had the member RED = 'r', which is gone"),
        (LIST[nested(("a", int))], LIST[nested(("b", int))], [A_SET], "[].a is gone"),
        (DICT[str, nested(("a", int))], dict[str, int], {"x": A_SET}, "is int now"),
        (nested(("a", nested(("b", int)))), nested(("a", nested(("c", int, 1)))), {"a": {"b": 1}}, ".a.b"),
        (nested(("a", Literal["x", "y"])), nested(("a", Literal["x"])), {"a": "y"}, "'y'"),
        (list[datetime], list, [], "was datetime and is any now"),
        (tree(("a", int)), tree(("b", int, 1)), {"a": 1, "below": [A_SET]}, ".a is gone"),
    ],
)  # fmt: skip
def test_a_nested_type_that_does_not_read_what_is_stored_is_a_mismatch(
    reopen: Reopen, before: Any, after: Any, given: Any, told: str
) -> None:
    assert told in mismatch(reopen, [("x", before)], [("x", after)], x=given)


@pytest.mark.parametrize(
    ("before", "after", "given", "read"),
    [
        (nested(("a", int)), nested(("a", int), ("b", str, "new")), A_SET, "Meta(a=1, b='new')"),
        (nested(("a", int), ("b", int)), nested(("b", int), ("a", int)), {"a": 1, "b": 2}, "Meta(b=2, a=1)"),
        (nested(("a", int)), nested(("a", int | None)), A_SET, "Meta(a=1)"),
        (nested(("a", int)), nested(("a", int | str)), A_SET, "Meta(a=1)"),
        (nested(("a", colors(RED))), nested(("a", colors({"BLUE": "b", "RED": "r"}))), {"a": "r"}, "Meta(a=<Color.RED: 'r'>)"),
        (list[int], OLD_LIST[int], [1], "[1]"),
        (OLD_LIST[OLD_OPTIONAL[int]], list[int | None], [None], "[None]"),
        (list[dict[str, int]], list, [{"a": 1}], "[{'a': 1}]"),
        (tree(("a", int)), tree(("a", int)), {"a": 1, "below": [A_SET]}, "Node(a=1, below=[Node(a=1, below=[])])"),
    ],
)  # fmt: skip
def test_a_nested_type_may_grow(
    reopen: Reopen, before: Any, after: Any, given: Any, read: str
) -> None:
    store = reopen([("x", before)], [("x", after)], x=given)
    assert repr(store.get("thing", 1).x) == read


PLACES: Mapping[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "a list": (lambda kind: LIST[kind], lambda one: [one]),
    "a dict's values": (lambda kind: DICT[str, kind], lambda one: {"x": one}),
    "a dict's keys": (lambda kind: DICT[kind, int], lambda one: {one: 1}),
    "a tuple in a list": (lambda kind: LIST[TUPLE[kind, int]], lambda one: [(one, 1)]),
    "a tuple of any length": (lambda kind: LIST[TUPLE[kind, ...]], lambda one: [(one,)]),
    "a set in a dict": (lambda kind: DICT[str, SET[kind]], lambda one: {"x": {one}}),
    "a list of what may be unset": (lambda kind: LIST[kind | None], lambda one: [None, one]),
    "a dataclass": (lambda kind: nested(("a", kind)), lambda one: {"a": one}),
    "a dataclass in a list in a dataclass": (
        lambda kind: nested(("a", LIST[nested(("b", kind | None))])),
        lambda one: {"a": [{"b": one}]},
    ),
}
"""How a type is nested, and a value with it."""

MOVED: Mapping[str, tuple[Any, Any, str]] = {
    "numbered anew": (Enum("E", "SMALL LARGE"), Enum("E", "TINY SMALL LARGE"), "LARGE = 2, which is 3"),
    "in another order": (Enum("E", "SMALL LARGE"), Enum("E", "LARGE SMALL"), "LARGE = 2, which is 1"),
    "of another value": (Enum("E", {"LARGE": 1}), Enum("E", {"SMALL": 1, "LARGE": 2}), "LARGE = 1, which is 2"),
    "renamed": (Enum("E", {"LARGE": 1}), Enum("E", {"BIG": 1}), "LARGE = 1, which is gone"),
    "gone": (Enum("E", "SMALL LARGE"), Enum("E", "SMALL"), "LARGE = 2, which is gone"),
    "an int": (IntEnum("E", "SMALL LARGE"), IntEnum("E", "TINY SMALL LARGE"), "LARGE = 2, which is 3"),
    "a str": (StrEnum("E", {"LARGE": "l"}), StrEnum("E", {"LONG": "l", "LARGE": "xl"}), "LARGE = 'l', which is 'xl'"),
    "a flag": (Flag("E", "SMALL LARGE"), Flag("E", "TINY SMALL LARGE"), "LARGE = 2, which is 4"),
    "flags together": (
        IntFlag("E", {"A": 1, "B": 2, "LARGE": 3}), IntFlag("E", {"A": 1, "B": 2, "C": 4, "LARGE": 7}), "LARGE = 3, which is 7",
    ),
    "an alias that is one no more": (
        Enum("E", {"SMALL": 1, "LARGE": 1}), Enum("E", {"SMALL": 1, "LARGE": 2}), "LARGE = 1, which is 2",
    ),
    "an alias of another": (
        Enum("E", {"A": 1, "B": 2, "LARGE": 1}), Enum("E", {"A": 1, "B": 2, "LARGE": 2}), "LARGE = 1, which is 2",
    ),
}  # fmt: skip
"""An Enum with a member LARGE, the same with that moved, and what is told."""


@pytest.mark.parametrize("moved", MOVED)
@pytest.mark.parametrize("place", PLACES)
def test_a_member_that_is_nested_keeps_its_name_and_its_value(
    reopen: Reopen, place: str, moved: str
) -> None:
    kind, of = PLACES[place]
    before, after, told = MOVED[moved]
    message = mismatch(reopen, [("x", kind(before))], [("x", kind(after))], x=of(before["LARGE"]))
    assert f"had the member {told}" in message


KEPT: Mapping[str, tuple[Any, Any]] = {
    "more members": (Enum("E", "LARGE"), Enum("E", {"TINY": 0, "LARGE": 1, "HUGE": 2})),
    "in another order": (Enum("E", {"A": 1, "LARGE": 2}), Enum("E", {"LARGE": 2, "A": 1})),
    "renamed, with its old name as an alias": (Enum("E", {"LARGE": 1}), Enum("E", {"BIG": 1, "LARGE": 1})),
    "of another kind": (IntEnum("E", "A LARGE"), Enum("E", "A LARGE")),
    "more flags": (Flag("E", {"A": 1, "LARGE": 2}), Flag("E", {"A": 1, "LARGE": 2, "C": 4, "ALL": 7})),
}  # fmt: skip


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("place", PLACES)
def test_a_nested_enum_may_grow(reopen: Reopen, place: str, kept: str) -> None:
    kind, of = PLACES[place]
    before, after = KEPT[kept]
    store = reopen([("x", kind(before))], [("x", kind(after))], x=of(before["LARGE"]))
    store.set("thing", id=2, x=of(after["LARGE"]))
    texts = store.sql("select x from thing order by id").column("x").to_pylist()
    assert repr(store.get("thing", 1).x) == repr(store.get("thing", 2).x)
    assert texts[0] == texts[1]


def noted_by_values(store: motion.Store, noted: str) -> None:
    """Note the key x as older versions did."""
    signature = json.dumps({"id": "int", "x": f"json {noted}"})
    store._database.write(
        lambda tx: tx.execute("UPDATE motion_tables SET signature = ?", (signature,))
    )


SIZES: Any = Enum("SIZES", {"SMALL": 1, "LARGE": 2, "BIG": 2})
FLAGS: Any = IntFlag("FLAGS", {"SMALL": 1, "LARGE": 2, "ALL": 3})


@pytest.mark.parametrize(("make", "kind"), [(Enum, SIZES), (IntFlag, FLAGS)])
def test_a_nested_enum_whose_values_alone_are_noted_is_opened_as_it_was_and_noted_anew(
    open_store: OpenStore, make: Any, kind: Any
) -> None:
    more = {each.name: each.value for each in kind} | {"HUGE": 4}
    members = {name: each.value for name, each in kind.__members__.items()}
    wider, moved = make("Size", more | members), make("Size", {"SMALL": 2, "LARGE": 1})

    def opened(kind: Any) -> motion.Store:
        return open_store(schemas={"thing": schema(("x", LIST[kind]))})

    with opened(kind) as store:
        store.set("thing", id=1, x=[kind.LARGE])
        noted_by_values(store, '["list",["enum",1,2]]')
    with pytest.raises(motion.SchemaMismatch, match=r"HUGE besides now: open the store once with"):
        opened(wider)
    with opened(kind) as store:
        assert store.get("thing", 1).x == [kind.LARGE]
    with pytest.raises(motion.SchemaMismatch, match="had the member SMALL = 1, which is 2 now"):
        opened(moved)
    with opened(wider) as store:
        assert store.get("thing", 1).x == [wider.LARGE]


def test_what_an_older_version_noted_of_a_nested_type_is_still_taken(open_store: OpenStore) -> None:
    kinds = {"x": LIST[nested(("a", int))], "y": OLD_LIST[int], "z": dict}
    fields = [(name, kind, None) for name, kind in kinds.items()]
    with open_store(schemas={"thing": schema(*fields)}) as store:
        store.set("thing", id=1, x=[A_SET], y=[1], z={"b": 1})
    noted = {"id": "int", "x": "list[__main__.Meta]", "y": "typing.List[int]", "z": "dict"}
    with sqlite3.connect(str(Path(store._database.backend.folder) / "store.sqlite")) as database:
        database.execute("UPDATE motion_tables SET signature = ?", (json.dumps(noted),))
    again = open_store(schemas={"thing": schema(*fields)})
    assert again.get("thing", 1).y == [1]
    again.close()
    other = [("x", list[int], None), *fields[1:]]
    with pytest.raises(motion.SchemaMismatch, match=r"x .*is int now"):
        open_store(schemas={"thing": schema(*other)})


def test_json_of_an_older_version_is_found_and_compared_like_what_is_stored_now(
    open_store: OpenStore,
) -> None:
    fields = [("x", dict, None), ("y", list[float], None)]
    value = {"b": 1, "a": {"d": 2, "c": 3}}
    with open_store(schemas={"thing": schema(*fields)}) as store:
        store.set_many("thing", [{"id": each, "x": value, "y": [1.0]} for each in (-5, 1, 2)])
    noted = {"id": "int", "x": "dict", "y": "list[float]"}
    with sqlite3.connect(str(Path(store._database.backend.folder) / "store.sqlite")) as database:
        database.execute("UPDATE motion_tables SET signature = ?", (json.dumps(noted),))
        old = json.dumps(value), "[1]"
        database.execute("UPDATE motion_rows_thing SET x = ?, y = ?", old)
        database.execute("UPDATE motion_rows_thing SET x = '[1' WHERE id = 2")
    again = open_store(schemas={"thing": schema(*fields)})
    assert [row.id for row in again.rows("thing", where={"x": value, "y": [1]}, limit=2)] == [-5, 1]
    row = again.get("thing", 1)
    again.set(row, y=[2.0], if_unchanged=True)
    with pytest.raises(motion.UnreadableValue):
        again.get("thing", 2)


def test_a_value_that_does_not_read_is_told_with_its_type(open_store: OpenStore) -> None:
    store = open_store(schemas={"thing": schema(("x", nested(("a", int))))})
    store.set("thing", id=1, x=A_SET)
    store._database.write(lambda tx: tx.execute("UPDATE motion_rows_thing SET x = '{}'"))
    with pytest.raises(motion.UnreadableValue, match=r"Meta.*field `a`"):
        store.get("thing", 1)


SCRIPT = """
from dataclasses import dataclass
import motion
from motion import clock

@dataclass
class Tag:
    name: str

@dataclass
class Item:
    id: int
    tags: list[Tag]

store = motion.create_store("shop", schemas={"item": Item})
if __name__ == "__main__":
    store.set("item", tags=[Tag("new")])
    store.close()
"""


def test_a_store_of_a_script_opens_where_the_script_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop_script.py").write_text(SCRIPT)
    runpy.run_path("shop_script.py", run_name="__main__")
    monkeypatch.syspath_prepend(str(tmp_path))
    store = importlib.import_module("shop_script").store
    try:
        assert [row.tags[0].name for row in store.rows("item")] == ["new"]
    finally:
        store.close()


def test_a_new_store_is_opened_when_who_makes_the_same_one_is_done(tmp_path: Path) -> None:
    """As when several processes make one store at once: all but one find its file locked, and it is no WAL yet."""
    other = sqlite3.connect(
        tmp_path / "store.sqlite", isolation_level=None, check_same_thread=False
    )
    other.execute("BEGIN IMMEDIATE")
    opened: list[motion.Store] = []
    opening = threading.Thread(
        target=lambda: opened.append(motion.create_store("a", url=f"sqlite:///{tmp_path}"))
    )
    opening.start()
    opening.join(0.3)  # more than it takes where nothing is in the way
    assert (opened, opening.is_alive()) == ([], True)
    other.execute("COMMIT")
    opening.join(30)
    other.close()
    assert len(opened) == 1
    opened[0].close()


def test_a_write_under_way_at_a_close_begins_nothing_anew(open_store: OpenStore) -> None:
    """It did: a worker that no close ended, whose claims nobody took over while the process lived."""
    begun, release, before = threading.Event(), threading.Event(), set(threading.enumerate())

    @motion.trigger(on="garment.name", sets="garment.shop", inline=False)
    def held(name: str) -> str:
        begun.set()
        assert release.wait(60)
        return name.upper()

    def workers() -> list[threading.Thread]:
        more = set(threading.enumerate()) - before
        return [each for each in more if each.name == "motion-worker"]

    def close_meanwhile(point: str) -> None:
        if point == "set.fired":
            closing.start()  # which waits for the call, for a second or two
            while len(workers()) > 1:
                pause()

    store = open_store(schemas={"garment": Garment}, triggers=[held])
    closing = threading.Thread(target=store.close)
    store.set("garment", id=1, name="coat")
    assert begun.wait(60)
    faults.arm(close_meanwhile)
    try:
        store.set("garment", id=2, name="hat")
    finally:
        faults.arm(None)
    closing.join(60)
    release.set()
    for thread in workers():
        thread.join(30)
    assert workers() == []
    with open_store(schemas={"garment": Garment}, triggers=[held]) as store:
        store.wait(timeout=60)
        assert [row.shop for row in store.rows("garment")] == ["COAT", "HAT"]


def test_a_store_in_memory_that_nobody_holds_any_more_stops_and_leaves_nothing() -> None:
    @motion.trigger(on="garment.name", sets="garment.shop", inline=False)
    def derive(name: str) -> str:
        return name.upper()

    def opened() -> motion.Store:
        return motion.create_store(
            "dropped", schemas={"garment": Garment}, triggers=[derive], url=":memory:"
        )

    before = set(threading.enumerate())

    def threads() -> list[str]:
        more = set(threading.enumerate()) - before
        return [each.name for each in more if each.name.startswith("motion-")]

    change = opened().set("garment", id=1, name="coat")  # it is held by what was asked of it
    assert change.wait(timeout=60).rows()[0].shop == "COAT"
    folder = change._database.backend.folder
    del change
    gc.collect()
    deadline = clock.monotonic_s() + 100
    while threads() or folder.exists():
        assert clock.monotonic_s() < deadline, threads()
        pause()
    held = [
        os.readlink(f"/proc/self/fd/{each}")
        for each in os.listdir("/proc/self/fd")
        if Path(f"/proc/self/fd/{each}").exists()
    ]
    assert not any(str(folder) in each for each in held)


def test_an_sqlite_that_is_too_old_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 37, 2))
    with pytest.raises(motion.StoreUnavailable, match=r"takes 3\.39 or newer"):
        motion.create_store("docs", schemas={"garment": Garment}, url=f"sqlite:///{tmp_path}/docs")


def test_a_trigger_with_quotes_in_its_name_is_opened_again(tmp_path: Path) -> None:
    @motion.trigger(on="garment.name", sets="garment.shop", name="say \"[hi]\" & 'bye':done")
    def shout(name: str) -> str:
        return name.upper()

    url = f"sqlite:///{tmp_path}/docs"
    for name in ("coat", "hat"):
        with motion.create_store(
            "docs", schemas={"garment": Garment}, triggers=[shout], url=url
        ) as store:
            store.set("garment", id=1, name=name).wait(timeout=60)
            assert store.get("garment", 1).shop == name.upper()
    with motion.create_store("docs", schemas={"garment": Garment}, triggers=[], url=url) as store:
        store.set("garment", id=1, shop="mine")
    with motion.create_store(
        "docs", schemas={"garment": Garment}, triggers=[shout], url=url
    ) as store:
        store.backfill("say \"[hi]\" & 'bye':done").wait(timeout=60)
        assert store.get("garment", 1).shop == "mine"
