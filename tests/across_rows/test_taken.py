"""What is taken of other rows before a write, for triggers that run with it: read once, and held against what is there when
the write is made."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import motion
from motion.testing import Stepper
from tests.conftest import OpenStore

MS = timedelta(milliseconds=1)


# -- lookups --


@dataclass
class Product:
    id: int
    url: str
    tags: list[str]


@dataclass
class Query:
    id: int
    product: int
    link: str
    tagged: list[str]


SHOP = {"product": Product, "query": Query}


def link(called: Callable[[], Any] = lambda: None) -> Any:
    @motion.trigger(on="query.product", sets="query.link", inline=True)
    def link(url: Annotated[str, motion.Lookup("product.url", by="product")]) -> str:
        called()
        return f"to {url}"

    return link


def links(store: motion.Store) -> list[str | None]:
    return [row.link for row in store.rows("query", order_by="id")]


def test_what_is_looked_up_is_there_when_a_load_returns(open_store: OpenStore) -> None:
    store = open_store(schemas=SHOP, triggers=[link()], run=True)
    store.set_many("product", [{"id": i, "url": f"/{i}"} for i in range(3)])
    store.set_many("query", [{"id": i, "product": i} for i in range(5)])
    assert links(store) == ["to /0", "to /1", "to /2", None, None]
    assert store.status().tasks == {}
    store.set("product", id=1, url="/new")
    store.set("product", id=4, url="/4")
    store.wait(timeout=60)
    assert links(store) == ["to /0", "to /new", "to /2", None, "to /4"]


def test_what_changes_between_the_reading_and_the_write_is_followed(open_store: OpenStore) -> None:
    changes: list[Callable[[], Any]] = []
    store = open_store(
        schemas=SHOP, triggers=[link(lambda: changes.pop()() if changes else None)], run=True
    )
    store.set_many("product", [{"id": i, "url": f"/{i}"} for i in range(3)])
    changes.append(lambda: _beside(store, "product", id=1, url="/new"))
    store.set_many("query", [{"id": i, "product": i} for i in range(3)])
    store.wait(timeout=60)
    assert not changes
    assert not store.errors()
    assert links(store) == ["to /0", "to /new", "to /2"]


def _beside(store: motion.Store, table: str, **values: Any) -> None:
    """Set a row as another thread does, as a call's own writes are part of its run."""
    other = threading.Thread(target=lambda: store.set(table, **values))
    other.start()
    other.join()


def test_what_the_same_transaction_sets_before_is_looked_up(open_store: OpenStore) -> None:
    store = open_store(schemas=SHOP, triggers=[link()], run=True)
    store.set("product", id=1, url="/old")
    with store.transaction() as tx:
        tx.set("product", id=1, url="/new")
        tx.set("query", id=1, product=1)
    store.wait(timeout=60)
    assert links(store) == ["to /new"]


def test_a_change_of_the_key_that_names_the_row_is_enough(open_store: OpenStore) -> None:
    @dataclass
    class Note:
        id: int
        text: str
        product: int
        link: str

    @motion.trigger(on="note.text", sets="note.link", inline=True)
    def joined(text: str, url: Annotated[str, motion.Lookup("product.url", by="product")]) -> str:
        return text + url

    store = open_store(schemas={"product": Product, "note": Note}, triggers=[joined], run=True)
    store.set_many("product", [{"id": i, "url": f"/{i}"} for i in range(2)])
    store.set("note", id=1, text="a", product=0)
    store.set("note", id=1, text="a", product=1)
    assert [row.link for row in store.rows("note")] == ["a/1"]  # by the write itself


def test_a_value_that_a_call_changes_is_its_own(open_store: OpenStore) -> None:
    @motion.trigger(on="query.product", sets="query.tagged", inline=True)
    def tagged(tags: Annotated[list[str], motion.Lookup("product.tags", by="product")]) -> Any:
        tags.append("seen")
        return tags

    store = open_store(schemas=SHOP, triggers=[tagged], run=True)
    store.set("product", id=1, tags=["a"])
    store.set_many("query", [{"id": i, "product": 1} for i in range(2)])
    store.wait(timeout=60)
    assert [row.tagged for row in store.rows("query")] == [["a", "seen"], ["a", "seen"]]


# -- windows --


@dataclass
class Event:
    id: int
    ts: int
    who: str
    n: float
    seen: list[Any]


FRAMES: list[dict[str, Any]] = [
    {"agg": "list"},
    {"agg": "list", "within": 3 * MS, "itself": True},
    {"agg": "list", "rows": 2},
    {"agg": "sum"},
    {"agg": "sum", "within": 3 * MS},
    {"agg": "mean"},
    {"agg": "count", "itself": True},
    {"agg": "count", "rows": 2, "itself": True},
    {"agg": "last"},
    {"agg": "last", "within": 2 * MS},
    {"agg": "max"},
    {"agg": "max", "within": 2 * MS, "itself": True},
    {"agg": "min", "rows": 3},
]
WINDOWS = [motion.Window("event.n", by="who", **frame) for frame in FRAMES]


def everything(inline: bool) -> Any:
    def seen(*values: Any) -> list[Any]:
        return list(values)

    names = [f"w{i}" for i in range(len(WINDOWS))]
    scope: dict[str, Any] = {}
    exec(
        f"def seen({', '.join(names)}): return [{', '.join(names)}]", scope
    )  # one parameter for each
    function = scope["seen"]
    function.__annotations__ = {
        name: Annotated[Any | None, window] for name, window in zip(names, WINDOWS, strict=True)
    }
    return motion.trigger(on="event.n", sets="event.seen", inline=inline, version="1")(function)


def by_hand(window: motion.Window, rows: Sequence[Any], row: Any) -> Any:
    """Return what a window holds as of a row, from all rows."""
    earlier = sorted(
        (other.ts, other.id, other.n)
        for other in rows
        if other.who == row.who
        and (window.within_ms is None or other.ts > row.ts - window.within_ms)
        and ((other.ts, other.id) < (row.ts, row.id) or (window.itself and other.id == row.id))
    )
    held = [n for _, _, n in earlier][-(window.rows or 0) :]
    if not held:
        return {"list": [], "count": 0, "sum": 0.0}.get(window.agg)
    total = float(sum(map(Fraction, held)))
    made = {
        "list": held,
        "count": len(held),
        "sum": total,
        "mean": float(sum(map(Fraction, held)) / len(held)),
    }
    made |= {"min": min(held), "max": max(held), "last": held[-1]}
    return made[window.agg]


numbers = st.one_of(st.sampled_from([0.1, 0.2, 0.3, 1e16, -1e16, 5e-324]), st.floats(-100, 100))
loads = st.lists(
    st.lists(st.tuples(st.integers(1, 9), st.sampled_from("ab"), numbers), min_size=1, max_size=9),
    min_size=1,
    max_size=4,
)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(loads, st.booleans(), st.randoms(use_true_random=False))
def test_windows_of_new_rows_are_what_a_recompute_gives(
    open_store: OpenStore, loads: list[list[tuple[int, str, float]]], has_ids: bool, chance: Any
) -> None:
    ids = list(range(1, 40))
    chance.shuffle(ids)
    store = open_store(
        schemas={"event": Event}, triggers=[everything(inline=True)], url=":memory:", run=False
    )
    with store, Stepper(store) as worker:
        for load in loads:
            rows: list[Any] = [{"ts": ts, "who": who, "n": n} for ts, who, n in load]
            store.set_many("event", [{"id": ids.pop(), **r} for r in rows] if has_ids else rows)
        worker.run_until_idle()
        assert not store.errors()
        rows = store.rows("event")
        for row in rows:
            assert row.seen == [by_hand(window, rows, row) for window in WINDOWS], row


def test_an_append_in_order_leaves_no_task(open_store: OpenStore) -> None:
    store = open_store(schemas={"event": Event}, triggers=[everything(inline=True)], run=True)
    for start in (0, 10):
        rows = [{"id": i, "ts": i, "who": "a", "n": 1.0} for i in range(start, start + 10)]
        store.set_many("event", rows)
        assert store.status().tasks == {}
    found = store.rows("event", order_by="id")
    assert [row.seen[6] for row in found] == list(range(1, 21))


def test_a_sum_is_the_same_however_its_rows_came(open_store: OpenStore) -> None:
    values = [0.1, 1e16, 0.2, -1e16, 0.3]
    found = []
    for inline, order in ((True, 1), (True, -1), (False, 1), (False, -1)):
        with open_store(
            schemas={"event": Event}, triggers=[everything(inline)], url=":memory:", run=True
        ) as store:
            for i in range(6)[::order]:
                store.set("event", id=i, ts=i, who="a", n=[*values, 0.0][i])
            store.wait(timeout=60)
            row: Any = store.get("event", 5)
            found.append(row.seen[3])
    assert found == [math.fsum(values)] * 4


@dataclass
class Sum:
    id: int
    ts: int
    who: str
    n: float
    total: Annotated[float, motion.Window("sum.n", by="who", agg="sum")]


@pytest.mark.parametrize(
    ("values", "total"),
    [
        ([math.inf], math.inf),
        ([-math.inf, 1.0], -math.inf),
        ([math.inf, -math.inf], None),
        ([1e308, 1e308], math.inf),
        ([1e308, 1e308, -1e308], 1e308),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_a_sum_of_what_is_too_large_is_infinite_and_unset_where_it_has_no_sign(
    open_store: OpenStore, values: list[float], total: float | None, at_once: bool
) -> None:
    store = open_store(schemas={"sum": Sum}, run=True)
    rows = [{"id": i, "ts": i, "who": "a", "n": n} for i, n in enumerate([*values, 0.0])]
    for part in [rows] if at_once else [[row] for row in rows]:
        store.set_many("sum", part)
    store.wait(timeout=60)
    assert not store.errors()
    found: Any = store.get("sum", len(values))
    assert found.total == total


def test_a_row_that_comes_between_the_reading_and_the_write_is_held(open_store: OpenStore) -> None:
    changes: list[Callable[[], Any]] = []

    @motion.trigger(on="event.n", sets="event.seen", inline=True)
    def seen(
        before: Annotated[list[float], motion.Window("event.n", by="who", within=5 * MS)],
    ) -> list[Any]:
        if changes:
            changes.pop()()
        return before

    store = open_store(schemas={"event": Event}, triggers=[seen], run=True)
    store.set("event", id=1, ts=1, who="a", n=1.0)
    changes.append(lambda: _beside(store, "event", id=2, ts=2, who="a", n=2.0))
    store.set_many("event", [{"id": i, "ts": i, "who": w, "n": 3.0} for i, w in enumerate("ab", 3)])
    store.wait(timeout=60)
    assert not changes
    assert not store.errors()
    rows: list[Any] = store.rows("event", order_by="id")
    assert [row.seen for row in rows] == [[], [1.0], [1.0, 2.0], []]


def test_a_load_that_moves_rows_is_right(open_store: OpenStore) -> None:
    store = open_store(schemas={"event": Event}, triggers=[everything(inline=True)], run=True)
    store.set_many("event", [{"id": i, "ts": i, "who": "a", "n": float(i)} for i in range(1, 5)])
    moved = {"id": 2, "ts": 7, "who": "b", "n": 9.0}
    new = [{"id": 6, "ts": 8, "who": "b", "n": 1.0}, {"id": 7, "ts": 5, "who": "a", "n": 1.0}]
    store.set_many("event", [moved, *new])
    store.wait(timeout=60)
    rows = store.rows("event")
    for row in rows:
        assert row.seen == [by_hand(window, rows, row) for window in WINDOWS], row


@pytest.mark.parametrize("n", [5.0, None])
def test_a_row_that_is_set_again_where_it_was_is_right(
    open_store: OpenStore, n: float | None
) -> None:
    store = open_store(schemas={"sum": Sum}, run=True)
    store.set_many("sum", [{"id": i, "ts": i, "who": "a", "n": 1.0} for i in range(3)])
    store.set("sum", id=1, ts=1, who="a", n=n)
    store.wait(timeout=60)
    assert [row.total for row in store.rows("sum")] == [0.0, 1.0, 1.0 + (n or 0.0)]
