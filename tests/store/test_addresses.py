"""Rows that were read before, given where a call says which row it is about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import motion
from motion.server import serve
from tests.conftest import OpenStore


@dataclass
class Query:
    id: int
    text: str
    idea: str
    idea_page: int
    link: str


@dataclass
class Other:
    id: int


@motion.trigger(on="query.text", sets="query.idea", page="idea_page")
def ideas(text: str) -> list[str]:
    return [f"{text} {each}" for each in ("shoes", "boots")]


@motion.trigger(on="query.idea", sets="query.link")
def link_of(row: Query, store: motion.View) -> str:
    """What the row, its pages and its id show, asked for by the row itself."""
    found, pages = store.get(row, keys=("idea",)), store.rows(row, where={"id": row.id})
    assert found is not None
    return f"{found.idea}, of {len(pages)}"


@pytest.fixture
def store(open_store: OpenStore) -> motion.Store:
    store = open_store(schemas={"query": Query}, triggers=[ideas, link_of])
    store.set_many("query", [{"id": 7, "text": "red"}, {"id": 8, "text": "blue"}])
    store.wait()
    return store


@pytest.fixture
def page(store: motion.Store) -> Query:
    found = store.get(Query, 7, idea_page=1)
    assert found is not None
    return found


def test_a_row_read_before_is_read_again_by_its_id_and_page_keys(
    store: motion.Store, page: Query
) -> None:
    store.set(page, link="mine")
    again = store.get(page)
    assert again == store.get(Query, 7, idea_page=1)
    assert again is not None
    assert again.link == "mine"
    assert store.get(page, idea_page=0) == store.get(Query, 7)
    assert asyncio.run(store.aio.get(page)) == again


def test_of_a_row_read_before_all_pages_of_its_id_are_read(
    store: motion.Store, page: Query
) -> None:
    assert [(row.id, row.idea) for row in store.rows(page)] == [(7, "red shoes"), (7, "red boots")]
    assert store.rows(page, where={"idea": "red boots"}) == [page]


def test_a_row_read_before_says_which_row_to_explain(store: motion.Store, page: Query) -> None:
    explained = store.explain(page, "idea")
    assert (explained.value, explained.made_by) == ("red boots", "ideas")
    assert str(explained) == str(store.explain("query", 7, "idea", idea_page=1))
    assert store.explain(page, "idea", idea_page=0).value == "red shoes"


def test_a_run_reads_by_the_row_that_it_was_given(store: motion.Store, page: Query) -> None:
    assert page.link == "red boots, of 2"


def test_a_transaction_reads_and_deletes_by_rows(store: motion.Store, page: Query) -> None:
    with store.transaction() as tx:
        assert tx.get(page) == page
        tx.delete(page)
    assert store.rows(page) == []
    assert store.get(page) is None


def test_a_row_read_before_says_which_row_to_forget(store: motion.Store, page: Query) -> None:
    store.forget(page)
    assert {row.id for row in store.rows("query")} == {8}


def test_a_store_that_is_served_elsewhere_takes_rows_as_well(
    store: motion.Store, page: Query
) -> None:
    with (
        serve(store, port=0) as on,
        motion.connect(on.url, schemas={"query": Query}) as remote,
    ):
        assert remote.get(page) == page
        assert remote.rows(page) == store.rows(page)
        assert remote.explain(page, "idea").value == "red boots"
        with pytest.raises(motion.errors.InvalidArgument, match="whose id is 7, and id 9"):
            remote.delete(page, 9)
        with remote.transaction() as tx:
            tx.delete(page)
        assert remote.get(page) is None


Call = Callable[[motion.Store, Any], object]

BOTH: dict[str, Call] = {
    "get": lambda store, row: store.get(row, 9),
    "rows": lambda store, row: store.rows(row, id=9),
    "explain": lambda store, row: store.explain(row, 9, "idea"),
    "delete": lambda store, row: store.delete(row, 9),
    "forget": lambda store, row: store.forget(row, 9),
}


@pytest.mark.parametrize("call", BOTH.values(), ids=BOTH.keys())
def test_a_row_and_an_id_beside_it_are_refused(
    store: motion.Store, page: Query, call: Call
) -> None:
    """An id that is not looked at would have another row deleted than the one that was meant."""
    with pytest.raises(motion.errors.InvalidArgument, match="whose id is 7, and id 9"):
        call(store, page)
    assert len(store.rows(page)) == 2


WITHOUT_ID: dict[str, Call] = {
    "get": lambda store, row: store.get(row),
    "rows": lambda store, row: store.rows(row),
    "explain": lambda store, row: store.explain(row, "idea"),
    "delete": lambda store, row: store.delete(row),
    "get by name": lambda store, _: store.get("query", None),
    "delete by name": lambda store, _: store.delete("query"),
}


@pytest.mark.parametrize("call", WITHOUT_ID.values(), ids=WITHOUT_ID.keys())
def test_a_row_without_an_id_names_none_and_never_all(
    store: motion.Store, page: Query, call: Call
) -> None:
    page.id = None  # type: ignore[assignment]
    with pytest.raises(motion.errors.InvalidValue, match=r"query.id takes int, but was given None"):
        call(store, page)
    assert len(store.rows("query")) == 4


NOT_A_ROW: dict[str, Call] = {
    "row_count": lambda store, row: store.row_count(row),
    "set_many": lambda store, row: store.set_many(row, []),
    "search": lambda store, row: store.search("idea", table=row, text="red"),
    "change": lambda store, row: store.change(1, table=row),
    "wait": lambda store, row: store.wait(row),
    "change.wait": lambda store, row: store.change(1).wait(row),
    "plan": lambda store, row: store.plan(row),
    "backfill": lambda store, row: store.backfill(row),
    "retry": lambda store, row: store.retry(row),
    "errors": lambda store, row: store.errors(row),
    "drop": lambda store, row: store.drop(row),
    "model": lambda store, row: store.model(row),
    "the id": lambda store, row: store.get("query", row),
    "an id of several": lambda store, row: store.change(1, table="query", ids=[row]),
    "a value": lambda store, row: store.rows("query", where={"link": row}),
    "explain without a key": lambda store, row: store.explain(row),  # type: ignore[call-overload]
    "explain without a key, by name": lambda store, _: store.explain("query", 7),  # type: ignore[call-overload]
    "explain of too much": lambda store, _: store.explain("query", 7, "idea", 1),  # type: ignore[call-overload]
}


@pytest.mark.parametrize("call", NOT_A_ROW.values(), ids=NOT_A_ROW.keys())
def test_what_is_about_no_row_says_what_it_takes(
    store: motion.Store, page: Query, call: Call
) -> None:
    with pytest.raises(motion.errors.MotionError):
        call(store, page)


def test_a_table_that_is_named_by_a_row_is_told_without_what_the_row_holds(
    store: motion.Store, page: Query
) -> None:
    expected = "takes a table's name or its schema class, and the store has query, but was given a row of Query"
    with pytest.raises(motion.errors.InvalidArgument, match=expected):
        store.row_count(page)  # type: ignore[arg-type]


def test_a_row_of_a_class_that_is_no_schema_here_is_told_by_its_class(store: motion.Store) -> None:
    for call in (store.get, store.rows, store.delete, store.set):
        with pytest.raises(motion.errors.UnknownTable, match="no table 'Other'; it has query"):
            call(Other(1))


@pytest.mark.parametrize("is_served", [False, True])
def test_a_row_alone_is_not_written_and_says_so(
    store: motion.Store, page: Query, is_served: bool
) -> None:
    """It says which row is meant, and nothing of what that is to have."""
    page.link = "mine"
    with serve(store, port=0) as on, motion.connect(on.url, schemas={"query": Query}) as served:
        where: Any = served if is_served else store
        for given in (page, Query(9, "new", "", 0, "")):
            with pytest.raises(motion.InvalidArgument, match="the keys to write beside it"):
                where.set(given)
            with where.transaction() as tx, pytest.raises(motion.InvalidArgument):
                tx.set(given)
        where.set(page, link="mine")
    assert store.get(page).link == "mine"  # type: ignore[union-attr]
    assert store.get(Query, 9) is None
