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


@dataclass
class Answer:
    id: int
    answers: Annotated[int, motion.Ref("answer", delete=True)]
    text: str
    answered: Annotated[str, motion.Lookup("answer.text", by="answers")]


@pytest.mark.parametrize("act", ["delete", "forget"])
def test_a_chain_of_rows_goes_however_long_it_is(open_store: OpenStore, act: str) -> None:
    store = open_store(schemas={"answer": Answer})
    store.set_many("answer", [{"id": i, "answers": i - 1 or None} for i in range(1, 5_001)])
    store.set_many("answer", [{"id": 1, "answers": 5_000}, {"id": 6_000, "text": "stays"}])
    getattr(store, act)("answer", 2_000)
    assert [row.id for row in store.rows("answer")] == [6_000]


def test_a_deletion_is_told_of_all_that_go_as_they_were_before_any_went(
    open_store: OpenStore,
) -> None:
    gone: dict[int, tuple[str | None, str | None]] = {}

    @motion.trigger(on=motion.deleted("answer"))
    def note(id: int, text: str | None, answered: str | None) -> None:
        gone[id] = text, answered

    store = open_store(schemas={"answer": Answer}, triggers=[note])
    chain = [{"id": i, "answers": i - 1 or None, "text": f"t{i}"} for i in range(1, 5)]
    store.set_many("answer", [*chain, {"id": 5, "text": "t5"}])
    store.wait()
    store.delete("answer", 1).wait()
    assert gone == {1: ("t1", None), 2: ("t2", "t1"), 3: ("t3", "t2"), 4: ("t4", "t3")}


def test_what_looks_up_what_goes_is_there_for_the_last_time_also_with_what_it_made(
    open_store: OpenStore,
) -> None:
    gone: list[tuple[str, str]] = []

    @motion.trigger(on="message.user", sets="part")
    def cut(user: int) -> list[dict[str, Any]]:
        return [{"user": user}]

    @dataclass
    class Part:
        id: int
        user: int
        name: Annotated[str, motion.Lookup("user.name", by="user")]
        first: Annotated[str, motion.Window("part.name", by="user", agg="last", itself=True)]

    @motion.trigger(on=motion.deleted("part"))
    def tell(name: str, first: str) -> None:
        gone.append((name, first))

    store = open_store(schemas={**SCHEMAS, "part": Part}, triggers=[cut, tell])
    store.set("user", id=1, name="Ada")
    store.set_many("message", [{"user": 1}, {"user": 1}])
    store.wait()
    store.delete("user", 1).wait()
    assert gone == [("Ada", "Ada"), ("Ada", "Ada")]
