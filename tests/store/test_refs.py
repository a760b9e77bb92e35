"""`motion.Ref(delete=True)`: rows go with the row that they name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import pytest

import motion
from tests.conftest import OpenStore


@dataclass
class User:
    id: int
    name: str
    word: str
    word_page: int


@dataclass
class Message:
    id: int
    user: Annotated[int, motion.Ref(User, delete=True)]
    answers: Annotated[int, motion.Ref("message", delete=True)]
    reader: Annotated[int, motion.Ref("user")]
    writer: Annotated[int, motion.Ref("user", delete=True)]


SCHEMAS = {"user": User, "message": Message}


def left(store: motion.Store) -> list[int]:
    return [row.id for row in store.rows("message")]


@pytest.fixture
def store(open_store: OpenStore) -> motion.Store:
    store = open_store(schemas=SCHEMAS)
    store.set_many("user", [{"id": i, "name": f"u{i}"} for i in (1, 2)])
    store.set_many(
        "message",
        [
            {"id": 1, "user": 1},
            {"id": 2, "user": 2, "answers": 1},
            {"id": 3, "user": 2, "reader": 1},
        ],
    )
    return store


def test_rows_go_with_the_row_that_they_name_and_what_names_them_too(store: motion.Store) -> None:
    store.delete("user", 1)
    assert left(store) == [3]


def test_a_row_that_names_it_twice_goes_once(store: motion.Store) -> None:
    store.set("message", id=3, user=1, writer=1)
    assert store.forget("user", 1).rows == {"user": 1, "message": 3}
    assert left(store) == []


def test_a_circle_of_rows_goes_as_one(store: motion.Store) -> None:
    store.set("message", id=1, answers=2)
    store.delete("message", 2)
    assert left(store) == [3]


def test_they_go_also_where_it_goes_by_a_load(store: motion.Store) -> None:
    store.set_many("user", [{"id": 2, "name": "u"}, {"id": 1, "name": "u"}])
    store.set_many("user", [{"id": 2, "name": "u"}], prune="name")
    assert left(store) == [3]


def test_a_page_that_goes_takes_nothing_along(open_store: OpenStore) -> None:
    @motion.trigger(on="user.name", sets="user.word", page="word_page")
    def words(name: str) -> list[str]:
        return name.split()

    store = open_store(schemas=SCHEMAS, triggers=[words])
    store.set("user", id=1, name="a b").wait()
    store.set("message", id=1, user=1)
    store.set("user", id=1, name="a").wait()
    assert left(store) == [1]


def test_a_process_without_the_table_that_names_deletes_nothing(
    open_store: OpenStore, store: motion.Store
) -> None:
    store.close()
    store = open_store(schemas={"user": User})
    with pytest.raises(motion.SchemaError, match=r"'message'.*pass its schema"):
        store.delete("user", 1)
    assert store.get("user", 1) is not None


@dataclass
class Wrong:
    id: int
    user: Annotated[str, motion.Ref("user")]


def test_a_key_of_another_type_than_the_id_is_refused(open_store: OpenStore) -> None:
    with pytest.raises(motion.SchemaError, match="whose id is int"):
        open_store(schemas={"user": User, "wrong": Wrong})


@pytest.mark.parametrize("table", [7, None])
def test_what_names_no_table_is_refused(table: Any) -> None:
    with pytest.raises(motion.SchemaError, match="takes a table"):
        motion.Ref(table)
