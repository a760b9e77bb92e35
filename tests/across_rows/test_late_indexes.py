"""Indexes by which changes find the rows that look them up, which a load of many rows makes once they are in."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest

import motion
from motion import faults
from motion.store import bulk
from tests.conftest import OpenStore
from tests.promises.test_faults import in_a_process

ROWS, CHUNK = 2_000, 400


@dataclass
class Product:
    id: int
    url: str


@dataclass
class Query:
    id: int
    product: int
    shop: Annotated[int, motion.Index]
    link: str
    of_shop: str


@motion.trigger(on="query.product", sets="query.link", inline=True, version="1")
def link(url: Annotated[str, motion.Lookup("product.url", by="product")]) -> str:
    return f"to {url}"


@motion.trigger(on="query.shop", sets="query.of_shop", inline=True, version="1")
def of_shop(url: Annotated[str, motion.Lookup("product.url", by="shop")]) -> str:
    return f"of {url}"


SHOP = {"product": Product, "query": Query}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "LATE_FROM", ROWS)
    monkeypatch.setattr(bulk, "LATE_S", 1_000.0)


def opened(open_store: OpenStore) -> motion.Store:
    store = open_store(schemas=SHOP, triggers=[link, of_shop], run=True)
    store.set_many("product", [{"id": i, "url": f"{i}"} for i in range(10)])
    return store


def rows() -> list[dict[str, Any]]:
    return [{"product": i % 10, "shop": i % 10} for i in range(ROWS)]


def indexed(store: motion.Store) -> set[str]:
    """Return the keys of queries that have an index."""
    sql = "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'motion_rows_query'"
    names = {row["name"].rpartition(":")[2] for row in store.sql(sql).to_pylist()}
    return names & set(Query.__annotations__)


@contextmanager
def at_each_chunk(act: Callable[[], Any]) -> Iterator[list[Any]]:
    """Do something whenever a chunk of a load is in, and collect what it gives."""
    given: list[Any] = []
    faults.arm(lambda point: given.append(act()) if point == "load.chunk" else None)
    try:
        yield given
    finally:
        faults.arm(None)


def test_a_load_of_many_rows_into_an_empty_table_makes_it_at_the_end(
    open_store: OpenStore,
) -> None:
    store = opened(open_store)
    with at_each_chunk(lambda: indexed(store)) as seen:
        store.set_many("query", rows(), commit_every=CHUNK)
    assert len(seen) == ROWS // CHUNK
    assert all(keys == {"shop"} for keys in seen)  # which a user asked for
    assert indexed(store) == {"shop", "product"}


def test_what_changes_meanwhile_is_followed_by_all_rows_that_look_it_up(
    open_store: OpenStore,
) -> None:
    store = opened(open_store)
    changes = iter(range(100))
    with at_each_chunk(lambda: store.set("product", id=1, url=f"at {next(changes)}")):
        store.set_many("query", rows(), commit_every=CHUNK)
    store.wait()
    last = next(changes) - 1
    found = {(row.link, row.of_shop) for row in store.rows("query", where={"product": 1})}
    assert found == {(f"to at {last}", f"of at {last}")}


def test_it_is_made_before_the_end_where_there_are_many_more_rows(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "LATE_UP_TO", 2 * CHUNK)
    store = opened(open_store)
    with at_each_chunk(lambda: "product" in indexed(store)) as is_there:
        store.set_many("query", rows(), commit_every=CHUNK)
    assert is_there == [False, False, True, True, True]


def test_it_is_made_before_the_end_where_the_load_lasts(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "LATE_S", -1.0)
    store = opened(open_store)
    with at_each_chunk(lambda: "product" in indexed(store)) as is_there:
        store.set_many("query", rows(), commit_every=CHUNK)
    assert is_there == [False, True, True, True, True]


def test_rows_that_come_one_by_one_leave_it_as_it_is(open_store: OpenStore) -> None:
    """Nobody knows how long they take to come."""
    store = opened(open_store)
    with at_each_chunk(lambda: "product" in indexed(store)) as is_there:
        store.set_many("query", iter(rows()), commit_every=CHUNK)
    assert all(is_there)


@pytest.mark.parametrize("options", [{"by": "product"}, {"prune": "product"}], ids=str)
def test_a_load_that_looks_for_rows_leaves_it_as_it_is(
    open_store: OpenStore, options: dict[str, Any]
) -> None:
    store = opened(open_store)
    distinct = [{**row, "product": i} for i, row in enumerate(rows())]
    with at_each_chunk(lambda: "product" in indexed(store)) as is_there:
        store.set_many("query", distinct, commit_every=CHUNK, **options)
    assert all(is_there)


def test_a_load_into_a_table_with_rows_leaves_it_as_it_is(open_store: OpenStore) -> None:
    store = opened(open_store)
    store.set("query", product=1, shop=1)
    with at_each_chunk(lambda: "product" in indexed(store)) as is_there:
        store.set_many("query", rows(), commit_every=CHUNK)
    assert all(is_there)


def test_a_load_that_a_bad_row_ends_has_made_it(open_store: OpenStore) -> None:
    store = opened(open_store)
    given = rows()
    given[-1]["product"] = "none"
    with (
        at_each_chunk(lambda: "product" in indexed(store)) as is_there,
        pytest.raises(motion.BadRows),
    ):
        store.set_many("query", given, commit_every=CHUNK)
    assert not any(is_there)
    assert "product" in indexed(store)


def die_in_a_load(folder: Path) -> None:
    bulk.LATE_FROM = ROWS
    store = motion.create_store(
        "m", schemas=SHOP, triggers=[link, of_shop], url=f"sqlite:///{folder}"
    )
    store.set_many("product", [{"id": 1, "url": "1"}])
    faults.arm(
        lambda point: (
            os._exit(3)
            if point == "load.chunk" and store.sql("SELECT 1 FROM query LIMIT 1").num_rows
            else None
        )
    )
    store.set_many("query", rows(), commit_every=CHUNK)


def test_what_a_killed_process_has_not_made_is_made_at_the_next_opening(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    assert in_a_process(die_in_a_load, folder) == 3
    with motion.create_store("m", url=f"sqlite:///{folder}", run=False) as left:
        assert indexed(left) == {"shop"}
    with motion.create_store(
        "m", schemas=SHOP, triggers=[link, of_shop], url=f"sqlite:///{folder}"
    ) as store:
        assert indexed(store) == {"shop", "product"}
        store.set("product", id=1, url="b")
        store.wait()
        assert {row.link for row in store.rows("query", where={"product": 1})} == {"to b"}
