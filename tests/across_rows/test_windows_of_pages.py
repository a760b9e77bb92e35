"""Windows over tables with page keys: pages are held by what they show, their own values and those of page 0."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, make_dataclass
from datetime import timedelta
from typing import Annotated, Any, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import motion
from motion.testing import Stepper
from tests.across_rows.paged_queries import CHANGES, change, fan_out
from tests.conftest import OpenStore

MS = timedelta(milliseconds=1)

FRAMES: list[dict[str, Any]] = [
    {},
    {"rows": 2},
    {"rows": 1, "itself": True},
    {"within": 3 * MS},
    {"within": 3 * MS, "rows": 2, "itself": True},
    {"where": {"kind": "x"}},
    {"rows": 2, "where": {"kind": None}},
]


def schema(window: motion.Window) -> type:
    """Return a schema of rows whose pages take the time, the kind, and the entity "user", from page 0; "brand" is their own."""
    own = [
        ("id", int),
        ("ts", int),
        ("user", str),
        ("kind", str),
        ("make", list[int]),
        ("page", int),
    ]
    kept: Any = Annotated[list[int], window]
    return make_dataclass(
        "Query", [*own, ("brand", str), ("score", int), ("held", kept), ("took", list[Any])]
    )


def expected(
    bounds: dict[str, Any], by: str, stored: set[tuple[int, int]], rows: Sequence[Any], row: Any
) -> Any:
    """Return what a window holds as of a page, from what all pages show.

    Args:
        stored: id and page of the rows that have a score of their own.
    """
    entity = getattr(row, by)
    if entity is None or row.ts is None:
        return None
    within, where = bounds.get("within"), bounds.get("where", {})
    here = (row.ts, row.id, row.page)
    held = sorted(
        ((other.ts, other.id, other.page), other.score)
        for other in rows
        if (other.id, other.page) in stored
        and getattr(other, by) == entity
        and other.ts is not None
        and all(getattr(other, key) == value for key, value in where.items())
        and (within is None or other.ts > row.ts - within / MS)
    )
    itself = bounds.get("itself", False)
    found = [score for place, score in held if place < here or (itself and place == here)]
    return found[-bounds.get("rows", 0) :]


def declared(window: motion.Window) -> Any:
    def take(score: int, held: list[int]) -> list[Any]:
        return [held]

    take.__annotations__["held"] = Annotated[list[int], window]
    return motion.trigger(on="query.score", sets="query.took")(take)


WORLDS = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("by", ["user", "brand"])
@WORLDS
@given(st.sampled_from(FRAMES), CHANGES)
def test_windows_of_pages_are_what_a_recompute_gives_after_each_change(
    open_store: OpenStore, by: str, bounds: dict[str, Any], done: list[Any]
) -> None:
    window = motion.Window("query.score", by=by, **bounds)
    schemas = {"query": schema(window)}
    store = open_store(
        schemas=schemas, triggers=[fan_out, declared(window)], run=False, url=":memory:"
    )
    try:
        with Stepper(store) as worker:
            for each in done:
                change(store, each)
                worker.run_until_idle()
                check(store, by, bounds)
            assert not store.errors()
    finally:
        store.close()


def check(store: motion.Store, by: str, bounds: dict[str, Any]) -> None:
    """Hold what each page has kept and taken against a recompute from all that pages show."""
    own = store.sql("select id, page from query__stored where score is not null")
    scored = set(zip(own["id"].to_pylist(), own["page"].to_pylist(), strict=True))
    rows = store.rows("query")
    for row in rows:
        wanted = expected(bounds, by, scored, rows, row)
        assert row.held == wanted, row
        is_run = (row.id, row.page) in scored and wanted is not None
        assert row.took == ([wanted] if is_run else None), row


@dataclass
class Query:
    id: int
    ts: int
    user: str
    idea_page: int
    idea: str
    score: int
    recent: Annotated[list[int], motion.Window("query.score", by="user", rows=3)]
    seen: list[Any]


SCHEMAS = {"query": Query}


def recent(store: motion.Store) -> dict[tuple[int, int], list[int] | None]:
    store.wait(timeout=60)
    assert not store.errors()
    return {(row.id, row.idea_page): row.recent for row in store.rows(Query)}


def ask(store: motion.Store, row: int, ts: int, user: str, *scores: int) -> None:
    """Set a query whose pages have these scores, from page 1 on."""
    with store.transaction() as tx:
        tx.set("query", id=row, ts=ts, user=user)
        pages = [{"id": row, "idea_page": i, "score": score} for i, score in enumerate(scores, 1)]
        tx.set_many("query", pages)


def test_pages_are_held_in_their_order_by_what_page_0_says(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, run=True)
    ask(store, 1, 10, "ann", 1, 2)
    ask(store, 2, 30, "ann", 5)
    assert recent(store) == {
        (1, 0): [], (1, 1): [], (1, 2): [1], (2, 0): [1, 2], (2, 1): [1, 2],
    }  # fmt: skip
    ask(store, 3, 20, "ann", 3)  # it comes late
    assert recent(store)[2, 1] == [1, 2, 3]
    store.set("query", id=1, user="bob")  # both pages move
    assert recent(store)[2, 1] == [3]
    assert recent(store)[1, 2] == [1]
    store.set("query", id=1, user="ann", ts=40)
    assert recent(store)[1, 2] == [3, 5, 1]
    store.delete("query", 3)
    assert recent(store)[1, 2] == [5, 1]


def test_a_page_whose_own_time_is_another_moves_with_page_0(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, run=True)
    ask(store, 1, 50, "ann", 1)
    store.set("query", id=1, idea_page=1, ts=10)
    ask(store, 2, 30, "bob", 5)
    assert recent(store)[2, 1] == []
    store.set("query", id=1, user="bob")
    assert recent(store)[2, 1] == [1]


def test_a_window_that_is_new_goes_over_the_pages_that_are_there(open_store: OpenStore) -> None:
    kinds = {**get_type_hints(Query), "recent": list[int]}  # without its window
    plain = make_dataclass("Query", kinds.items())
    store = open_store(schemas={"query": plain}, run=True)
    ask(store, 1, 10, "ann", 1, 2)
    store.close()
    store = open_store(schemas=SCHEMAS, run=True)
    ask(store, 2, 20, "ann", 5)
    assert recent(store)[2, 1] == [1, 2]
    store.close()
    store = open_store(schemas={"query": plain}, run=True)  # nothing is kept of what pages show
    store.set("query", id=1, user="bob")
    store.close()
    store = open_store(schemas=SCHEMAS, run=True)
    ask(store, 3, 30, "bob", 7)
    assert recent(store)[3, 1] == [1, 2]


def test_a_result_is_dropped_where_page_0_has_moved_its_pages_meanwhile(
    open_store: OpenStore,
) -> None:
    calls: list[list[int]] = []

    @motion.trigger(on="query.idea", sets="query.seen", inline=False)
    def see(
        idea: str, held: Annotated[list[int], motion.Window("query.score", by="user")]
    ) -> list[Any]:
        calls.append(held)
        if len(calls) == 1:
            moving = threading.Thread(target=lambda: store.set("query", id=1, ts=15))
            moving.start()  # they are in another order then, and as many
            moving.join()
        return [held]

    store = open_store(schemas=SCHEMAS, triggers=[see], run=False)
    ask(store, 1, 5, "ann", 1)
    ask(store, 2, 10, "ann", 2)
    with Stepper(store) as worker:
        worker.run_until_idle()
        store.set("query", id=3, ts=20, user="ann", idea="x")
        worker.run_until_idle()
    assert calls[0] == [1, 2]
    assert store.get("query", 3).seen == [[2, 1]]


def test_more_pages_than_one_write_makes_due_follow_too(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, run=True)
    ask(store, 1, 1, "ann", 1)
    ask(store, 2, 2, "ann", *range(700))
    assert recent(store)[2, 1] == [1]
    store.set("query", id=1, ts=3)
    found = recent(store)
    assert found[2, 1] == []
    assert found[1, 1] == [697, 698, 699]
    store.set("query", id=2, ts=4)
    assert recent(store)[2, 1] == [1]


def test_pages_are_told_by_explain(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, run=True)
    ask(store, 1, 10, "ann", 1, 2)
    recent(store)
    (held,) = store.explain("query", 1, "recent", idea_page=2).held
    assert (held.by, held.entity, held.count) == ("user", "ann", 1)
    assert held.rows == (motion.HeldRow(1, 10, {"score": 1}, pages={"idea_page": 1}),)
    assert "query with user='ann': id=1, idea_page=1 (score=1)" in str(held)


@dataclass
class Click:
    id: int
    ts: int
    who: str
    shown: Annotated[
        list[tuple[str, int]],
        motion.Window(("query.idea", "query.score"), by=("who", "query.user"), rows=2),
    ]


def test_a_table_without_pages_holds_pages_of_another(open_store: OpenStore) -> None:
    store = open_store(schemas={**SCHEMAS, "click": Click}, run=True)
    store.set("click", id=1, ts=10, who="ann")
    ask(store, 1, 5, "ann", 1, 2, 3)
    for page in (2, 3):
        store.set("query", id=1, idea_page=page, idea=f"idea {page}")
    store.wait(timeout=60)
    assert store.get("click", 1).shown == [("idea 2", 2), ("idea 3", 3)]
    store.set("query", id=1, ts=11)
    store.wait(timeout=60)
    assert store.get("click", 1).shown == []


@pytest.mark.parametrize(
    ("window", "message"),
    [
        (motion.Window("query.score", by="user", order="idea_page"), "is a page key"),
        (motion.Window("query.user", by="idea"), "not told apart by idea_page, but query.idea"),
        (motion.Window(("query.user", "query.idea"), by="user"), "different page keys"),
    ],
)
def test_what_windows_of_pages_cannot_go_by_is_refused(
    open_store: OpenStore, window: motion.Window, message: str
) -> None:
    def see(idea: str, held: Any) -> list[Any]:
        return [held]

    see.__annotations__["held"] = Annotated[Any, window]
    trigger = motion.trigger(on="query.idea", sets="query.seen")(see)
    with pytest.raises(motion.MotionError, match=message):
        open_store(schemas=SCHEMAS, triggers=[trigger])


def test_a_page_that_is_set_without_a_time_has_that_of_page_0(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, run=True)
    store.set("query", id=1, idea_page=1, score=1)
    assert store.get("query", 1, idea_page=1).ts is None  # there is no page 0 yet
    store.set("query", id=1, ts=5, user="ann")
    assert store.get("query", 1, idea_page=1).ts == 5
    store.set("query", id=1, ts=6)
    assert store.get("query", 1, idea_page=1).ts == 6
    store.set("query", id=1, idea_page=2, ts=9)  # its own
    assert [row.ts for row in store.rows("query", id=1)] == [6, 6, 9]
