"""Opening a store: where it lives, what a changed schema may do, and what is said when it cannot be opened."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import make_dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest

import motion
from tests.conftest import Garment, OpenStore

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


def test_a_mismatch_names_the_table_and_the_command_that_changes_it(reopen: Reopen) -> None:
    message = mismatch(reopen, [("size", str)], [("size", int)], size="38")
    assert "'thing'" in message
    assert "motion migrate" in message


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
