"""Windows: what earlier rows of the same entity hold, as of each row, kept true when they come late, change, move or go."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Sequence
from dataclasses import dataclass, make_dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import motion
from motion.testing import Stepper
from tests.conftest import OpenStore

HOUR = timedelta(hours=1)
HOUR_MS = 3_600_000
DAY = timedelta(days=1)


@dataclass
class Payment:
    id: int
    ts: int
    card: int
    amount: float
    hour: Annotated[float, motion.Window("payment.amount", by="card", within=HOUR, agg="sum")]
    risk: float


SCHEMAS = {"payment": Payment}


@pytest.fixture
def payments(open_store: OpenStore) -> motion.Store:
    return open_store(schemas=SCHEMAS, run=True)


def hours(store: motion.Store) -> dict[int, float | None]:
    store.wait(timeout=60)
    assert not store.errors()
    return {row.id: row.hour for row in store.rows(Payment, order_by="id")}


def pay(store: motion.Store, row: int, at: int, amount: float | None, card: int = 1) -> None:
    store.set("payment", id=row, ts=at, card=card, amount=amount)


def test_a_window_holds_the_earlier_rows_of_the_same_entity_within_a_time(
    payments: motion.Store,
) -> None:
    pay(payments, 1, 0, 1.0)
    pay(payments, 2, 1_000, 2.0)
    pay(payments, 3, 1_000, 40.0, card=2)
    pay(payments, 4, HOUR_MS, 4.0)  # the first is an hour old, and in it no more
    assert hours(payments) == {1: 0.0, 2: 1.0, 3: 0.0, 4: 2.0}


def test_a_row_that_comes_late_is_held_by_the_later_ones(payments: motion.Store) -> None:
    pay(payments, 1, 0, 1.0)
    pay(payments, 2, 2_000, 2.0)
    assert hours(payments) == {1: 0.0, 2: 1.0}
    pay(payments, 3, 1_000, 10.0)
    assert hours(payments) == {1: 0.0, 2: 11.0, 3: 1.0}


def test_a_row_that_changes_is_held_as_it_is(payments: motion.Store) -> None:
    pay(payments, 1, 0, 1.0)
    pay(payments, 2, 2_000, 2.0)
    assert hours(payments) == {1: 0.0, 2: 1.0}
    payments.set("payment", id=1, amount=5.0)
    assert hours(payments) == {1: 0.0, 2: 5.0}
    payments.set("payment", id=1, amount=None)
    assert hours(payments) == {1: 0.0, 2: 0.0}


def test_a_row_that_goes_is_held_no_more(payments: motion.Store) -> None:
    pay(payments, 1, 0, 1.0)
    pay(payments, 2, 2_000, 2.0)
    assert hours(payments) == {1: 0.0, 2: 1.0}
    payments.delete("payment", 1)
    assert hours(payments) == {2: 0.0}


def test_a_row_that_moves_leaves_one_window_and_comes_into_another(payments: motion.Store) -> None:
    pay(payments, 1, 0, 1.0)
    pay(payments, 2, 2_000, 2.0)
    pay(payments, 3, 2_000, 3.0, card=2)
    assert hours(payments) == {1: 0.0, 2: 1.0, 3: 0.0}
    payments.set("payment", id=1, card=2)
    assert hours(payments) == {1: 0.0, 2: 0.0, 3: 1.0}
    payments.set("payment", id=1, ts=3_000)
    assert hours(payments) == {1: 3.0, 2: 0.0, 3: 0.0}


def test_late_rows_of_one_load_are_held_in_whatever_order_they_come(
    payments: motion.Store,
) -> None:
    pay(payments, 1, 3_000, 1.0)
    pay(payments, 2, 9_000, 2.0)
    late = [{"id": 3, "ts": 5_000, "card": 1, "amount": 10.0}]
    late.append({"id": 4, "ts": 2_000, "card": 1, "amount": 20.0})
    payments.set_many("payment", late)
    assert hours(payments) == {1: 20.0, 2: 31.0, 3: 21.0, 4: 0.0}


def test_rows_of_one_time_are_ordered_by_id(payments: motion.Store) -> None:
    payments.set_many("payment", [{"id": i, "ts": 5, "card": 1, "amount": 1.0} for i in (3, 1, 2)])
    assert hours(payments) == {1: 0.0, 2: 1.0, 3: 2.0}


def test_what_derives_from_a_window_follows(open_store: OpenStore) -> None:
    @motion.trigger(on=("payment.amount", "payment.hour"), sets="payment.risk")
    def score(amount: float, hour: float) -> float:
        return amount + hour

    store = open_store(schemas=SCHEMAS, triggers=[score])
    pay(store, 1, 0, 1.0)
    pay(store, 2, 2_000, 2.0)
    pay(store, 3, 1_000, 10.0)
    store.wait(timeout=60)
    assert {row.id: row.risk for row in store.rows(Payment)} == {1: 1.0, 2: 13.0, 3: 11.0}


def test_only_the_rows_whose_windows_hold_it_run_again(open_store: OpenStore) -> None:
    calls: list[float] = []

    @motion.trigger(on="payment.amount", sets="payment.risk")
    def score(
        amount: float,
        before: Annotated[
            float, motion.Window("payment.amount", by="card", within=HOUR, agg="sum")
        ],
    ) -> float:
        calls.append(amount)
        return before

    @dataclass
    class Payment:
        id: int
        ts: int
        card: int
        amount: float
        risk: float

    store = open_store(schemas={"payment": Payment}, triggers=[score])
    rows = [{"id": i, "ts": i * 60_000, "card": i % 2, "amount": float(i)} for i in range(200)]
    store.set_many("payment", rows).wait(timeout=60)
    assert len(calls) == 200
    calls.clear()
    store.set("payment", id=500, ts=100 * 60_000 + 1, card=0, amount=500.0)
    store.wait(timeout=60)
    assert sorted(calls) == [*(float(i) for i in range(102, 161, 2)), 500.0]


def test_a_row_beside_those_that_one_load_gives_twice_does_not_run_again(
    open_store: OpenStore,
) -> None:
    calls: list[int] = []

    @motion.trigger(on="event.n", sets="event.total", inline=False)
    def total(n: int, before: Annotated[int, motion.Window("event.n", by="who", agg="sum")]) -> int:
        calls.append(n)
        return before

    store = open_store(schemas={"event": Event}, triggers=[total])
    store.set("event", id=2, ts=2, who="b", n=2).wait(timeout=60)
    calls.clear()
    late = [{"id": i, "ts": 3, "who": "a", "n": i} for i in (1, 3)]
    store.set_many("event", [*late, {"id": 1, "ts": 1}]).wait(timeout=60)
    store.wait(timeout=60)
    assert ([row.total for row in store.rows("event")], sorted(calls)) == ([0, 0, 1], [1, 3])


def test_a_result_of_an_old_window_is_dropped(open_store: OpenStore) -> None:
    has_begun, may_end = threading.Event(), threading.Event()

    @motion.trigger(on="event.n", sets="event.total")
    def total(n: int, before: Annotated[int, motion.Window("event.n", by="who", agg="sum")]) -> int:
        if n == 2:
            has_begun.set()
            assert may_end.wait(60)
        return n + before

    store = open_store(schemas={"event": Event}, triggers=[total])
    store.set("event", id=2, ts=2, who="a", n=2)
    assert has_begun.wait(60)
    store.set("event", id=1, ts=1, who="a", n=1)
    may_end.set()
    store.wait(timeout=60)
    assert {row.id: row.total for row in store.rows(Event)} == {1: 1, 2: 3}


def test_a_users_value_stays_when_its_window_changes(payments: motion.Store) -> None:
    pay(payments, 2, 2_000, 2.0)
    assert hours(payments) == {2: 0.0}
    payments.set("payment", id=2, hour=7.0)
    pay(payments, 1, 1_000, 1.0)
    assert hours(payments) == {1: 0.0, 2: 7.0}
    payments.set("payment", id=2, ts=3_000)
    assert hours(payments) == {1: 0.0, 2: 1.0}


def test_more_rows_than_one_write_makes_due_follow_too(open_store: OpenStore) -> None:
    store = open_store(schemas={"event": Event}, triggers=[counted])
    rows = [{"id": i, "ts": i, "who": "a" if i % 3 else "b", "n": 1} for i in range(10, 2_000)]
    store.set_many("event", rows).wait(timeout=60)
    store.set("event", id=1, ts=1, who="a", n=1).wait(timeout=60)
    of_a = store.rows("event", where={"who": "a"}, order_by="ts")
    assert [row.total for row in of_a] == list(range(len(of_a)))
    store.delete("event", 1)
    store.wait(timeout=60)
    of_a = store.rows("event", where={"who": "a"}, order_by="ts")
    assert [row.total for row in of_a] == list(range(len(of_a)))


def test_more_rows_of_several_entities_than_one_write_makes_due_follow_too(
    open_store: OpenStore,
) -> None:
    @dataclass
    class Sale:
        id: int
        shop: int
        amount: int
        before: Annotated[int, motion.Window("sale.amount", by="shop", agg="sum")]

    store = open_store(schemas={"sale": Sale}, run=True)
    rows = [{"id": i, "shop": i % 3, "amount": 1} for i in range(1, 1_801)]
    store.set_many("sale", rows).wait(timeout=60)
    with store.transaction() as tx:
        for row in (1, 2, 3):  # the first of each shop
            tx.set("sale", id=row, amount=100)
    store.wait(timeout=60)
    expected = {i: 0 if i <= 3 else 99 + (i - 1) // 3 for i in range(1, 1_801)}
    assert {row.id: row.before for row in store.rows(Sale)} == expected


# -- against a recompute by hand --


@dataclass
class Event:
    id: int
    ts: int
    who: str
    n: int
    kind: str
    total: int
    latest: list[Any]


@motion.trigger(on="event.n", sets="event.total", name="counted")
def counted(n: int, before: Annotated[int, motion.Window("event.n", by="who", agg="count")]) -> int:
    return before


def declared(window: motion.Window, table: str = "event") -> Any:
    def total(value: Any) -> Any:
        return [value]

    total.__annotations__["value"] = Annotated[Any, window]
    return motion.trigger(on=f"{table}.who", sets=f"{table}.latest")(total)


MS = timedelta(milliseconds=1)
FRAMES: list[dict[str, Any]] = [
    {"agg": "list"},
    {"agg": "list", "within": 3 * MS, "itself": True},
    {"agg": "list", "rows": 2},
    {"agg": "list", "within": 3 * MS, "rows": 2},
    {"agg": "sum", "within": 3 * MS},
    {"agg": "count", "rows": 2, "itself": True},
    {"agg": "last", "within": 3 * MS},
    {"agg": "max", "itself": True},
    {"agg": "mean", "rows": 3},
    {"agg": "min", "within": 2 * MS},
    {"agg": "list", "where": {"kind": "x"}},
    {"agg": "sum", "where": {"kind": "x"}},
    {"agg": "count", "within": 3 * MS, "where": {"kind": None}, "itself": True},
    {"agg": "list", "rows": 2, "where": {"kind": "x", "n": 3}},
    {"agg": "last", "where": {"kind": "x"}},
    {"agg": "std", "within": 4 * MS},
    {"agg": "std", "itself": True},
    {"agg": "distinct", "within": 4 * MS},
    {"agg": "distinct", "rows": 3},
    {"key": ("event.n", "event.kind"), "within": 4 * MS},
    {"key": ("event.n", "event.kind"), "rows": 2, "where": {"n": 3}},
]
WINDOWS = [motion.Window(**{"key": "event.n", "by": "who", **frame}) for frame in FRAMES]


def by_hand(window: motion.Window, rows: Sequence[Any], row: Any) -> Any:
    """Return what a window holds as of a row, from all rows of the table that it is over."""
    is_own = row in rows
    if row.who is None or row.ts is None:
        return None
    within = window.within if isinstance(row.ts, datetime) else window.within_ms

    def value(other: Any) -> Any:
        values = tuple(getattr(other, name) for name in window.names)
        return None if None in values else values if len(values) > 1 else values[0]

    earlier = sorted(
        (other.ts, other.id, value(other))
        for other in rows
        if other.who == row.who
        and value(other) is not None
        and all(getattr(other, key) == value for key, value in window.narrowed)
        and (within is None or other.ts > row.ts - within)
        and (
            ((other.ts, other.id) < (row.ts, row.id) or (window.itself and other.id == row.id))
            if is_own
            else other.ts <= row.ts
        )
    )
    held = [n for _, _, n in earlier][-(window.rows or 0) :]
    empty = {"list": [], "distinct": [], "count": 0, "sum": 0}.get(window.agg)
    if not held:
        return empty
    if window.agg == "list":
        return held
    return {
        "distinct": list(dict.fromkeys(held)),
        "std": statistics.stdev(held) if len(held) > 1 else None,
        "count": len(held),
        "sum": sum(held),
        "mean": sum(held) / len(held),
        "min": min(held),
        "max": max(held),
        "last": held[-1],
    }[window.agg]


def changes(*tables: str) -> st.SearchStrategy[list[Any]]:
    """Draw writes and deletes of rows of some tables."""
    keys: dict[str, st.SearchStrategy[Any]] = {
        "ts": st.integers(1, 8),
        "who": st.sampled_from(["a", "a", "a", "b", None]),
        "n": st.sampled_from([*range(8), None]),
    }
    if "watch" not in tables:
        keys["kind"] = st.sampled_from(["x", "x", "y", None])
    ids = st.integers(1, 8)
    whole = st.fixed_dictionaries({"id": ids, **keys})
    part = st.fixed_dictionaries({"id": ids}, optional=keys)
    change = st.tuples(st.sampled_from(tables), st.one_of(whole, part, ids))
    return st.lists(change, min_size=5, max_size=25)


def made(store: motion.Store, done: Sequence[Any], *, waits: bool) -> None:
    for table, change in done:
        if isinstance(change, int):
            store.delete(table, change)
        else:
            store.set(table, **change)
        if waits:
            store.wait(timeout=60)
    store.wait(timeout=60)
    assert not store.errors()


def check(store: motion.Store, table: str, window: motion.Window) -> None:
    """Hold what rows of a table took from windows over events against a recompute."""
    rows = store.rows("event")
    for row in rows if table == "event" else store.rows(table):
        expected = by_hand(window, rows, row)
        assert row.latest == (None if expected is None else [expected]), (row, window)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from([each for each in WINDOWS if len(each.keys) == 1]),
    st.lists(st.one_of(st.integers(0, 9), st.none()), max_size=8),
    changes("event"),
    st.booleans(),
)
def test_a_window_is_what_a_recompute_gives_after_any_changes(
    open_store: OpenStore, window: motion.Window, begun: list[Any], done: list[Any], waits: bool
) -> None:
    store = open_store(schemas={"event": Event}, triggers=[declared(window)], url=":memory:")
    try:
        store.set_many(
            "event",
            [
                {"id": i, "ts": i, "who": "a", "n": n, "kind": "xyx"[i % 3]}
                for i, n in enumerate(begun, 1)
            ],
        )
        made(store, done, waits=waits)
        check(store, "event", window)
    finally:
        store.close()


def keeping(window: motion.Window, time: type) -> type:
    """Return the schema of events that keep a window."""
    kinds = {"list": list[int], "distinct": list[int], "mean": float, "std": float}
    kind: Any = kinds.get(window.agg, int)
    kept: Any = Annotated[kind if len(window.keys) == 1 else list[tuple[int, str]], window]
    own = [("id", int), ("ts", time), ("who", str), ("n", int), ("kind", str)]
    return make_dataclass("Event", [*own, ("latest", kept)])


def at(ts: int | None, time: type) -> Any:
    """Return a time as an int of milliseconds, or as a moment."""
    return ts if ts is None or time is int else datetime(2000, 1, 1, tzinfo=UTC) + ts * MS


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(WINDOWS),
    st.lists(st.one_of(st.integers(0, 9), st.none()), max_size=8),
    changes("event"),
    st.sampled_from([int, datetime]),
)
def test_a_key_that_is_a_window_is_what_a_recompute_gives_after_each_change(
    open_store: OpenStore, window: motion.Window, begun: list[Any], done: list[Any], time: type
) -> None:
    store = open_store(schemas={"event": keeping(window, time)}, run=False, url=":memory:")
    rows = [
        {"id": i, "ts": at(i, time), "who": "a", "n": n, "kind": "xyx"[i % 3]}
        for i, n in enumerate(begun, 1)
    ]
    try:
        store.set_many("event", rows)
        with Stepper(store) as worker:
            for table, change in done:
                if isinstance(change, int):
                    store.delete(table, change)
                else:
                    moment = {"ts": at(change["ts"], time)} if "ts" in change else {}
                    store.set(table, **{**change, **moment})
                worker.run_until_idle()
                found = store.rows("event")
                for row in found:
                    assert row.latest == by_hand(window, found, row), (row, window)
    finally:
        store.close()


def test_a_row_without_a_value_takes_no_place_in_a_window_of_some_rows(
    open_store: OpenStore,
) -> None:
    store = open_store(
        schemas={"event": Event},
        triggers=[declared(motion.Window("event.n", by="who", agg="count", rows=1))],
    )
    store.set("event", id=1, ts=1, who="a", n=5)
    store.set("event", id=2, ts=2, who="a")
    store.set("event", id=3, ts=3, who="a")
    store.wait(timeout=60)
    assert [row.latest for row in store.rows("event")] == [[0], [1], [1]]
    store.set("event", id=1, who="b")
    store.wait(timeout=60)
    assert [row.latest for row in store.rows("event")] == [[0], [0], [0]]


@pytest.mark.parametrize("agg", ["list", "count", "sum"])
def test_a_row_whose_entity_or_time_is_unset_has_no_window_not_an_empty_one(
    open_store: OpenStore, agg: Any
) -> None:
    def held(n: int, before: Any) -> list[Any]:
        return [before]

    held.__annotations__["before"] = Annotated[Any, motion.Window("event.n", by="who", agg=agg)]
    trigger = motion.trigger(on="event.n", sets="event.latest")(held)
    store = open_store(schemas={"event": Event}, triggers=[trigger])
    store.set_many("event", [{"id": id, "ts": id, "who": "a", "n": 1} for id in (1, 2)])
    store.set("event", id=3, ts=3, n=1)
    store.wait(timeout=60)
    store.set("event", id=2, who=None)
    store.wait(timeout=60)
    empty: Any = [] if agg == "list" else 0
    assert [row.latest for row in store.rows("event")] == [[empty], None, None]


def test_an_earlier_row_that_takes_the_place_of_one_that_leaves_during_a_call_is_seen(
    open_store: OpenStore,
) -> None:
    seen: list[int] = []

    def held(value: Annotated[int, motion.Window("event.n", by="who", agg="last")]) -> list[int]:
        seen.append(value)
        if value == 8 and seen.count(8) == 1:
            leaving = threading.Thread(target=lambda: store.set("event", id=2, who="b"))
            leaving.start()
            leaving.join()
        return [value]

    trigger = motion.trigger(on="event.who", sets="event.latest", inline=False)(held)
    store = open_store(schemas={"event": Event}, triggers=[trigger], run=False)
    rows = [{"id": i, "ts": i, "who": "a", "n": n} for i, n in enumerate((7, 8, None), 1)]
    store.set_many("event", rows)  # in one write, so that all are as new
    with Stepper(store) as worker:
        worker.run_until_idle()
    assert 8 in seen
    assert [row.latest for row in store.rows("event")] == [None, None, [7]]


def test_a_standard_deviation_is_exact_and_of_a_sample(open_store: OpenStore) -> None:
    @dataclass
    class Reading:
        id: int
        place: int
        value: float
        spread: Annotated[float, motion.Window("reading.value", by="place", agg="std", rows=3)]

    store = open_store(schemas={"reading": Reading}, run=True)
    values = [1e9, 1e9 + 1e-6, 1e9, 5e-324, -1e-300, 1e-300, float("inf"), 0.1, 0.2, 1e308, -1e308]
    rows = [{"id": i, "place": 1, "value": value} for i, value in enumerate(values)]
    store.set_many("reading", rows[::2])
    store.set_many("reading", rows[1::2])
    store.wait(timeout=60)
    for i, row in enumerate(store.rows(Reading, order_by="id")):
        held = values[max(0, i - 3) : i]
        is_some = len(held) > 1 and float("inf") not in held
        assert row.spread == (statistics.stdev(held) if is_some else None), (i, held)


def test_a_window_gives_the_mean_of_vectors(open_store: OpenStore) -> None:
    @dataclass
    class Like:
        id: int
        ts: datetime
        user: int
        vector: Annotated[np.ndarray, motion.Vector(3)]
        taste: Annotated[
            np.ndarray,
            motion.Vector(3),
            motion.Window("like.vector", by="user", agg="mean", within=HOUR),
        ]
        length: float

    @motion.trigger(on="like.user", sets="like.length")
    def measure(
        all_before: Annotated[
            np.ndarray | None, motion.Window("like.vector", by="user", agg="mean")
        ],
    ) -> float:
        return 0.0 if all_before is None else float(all_before.sum())

    store = open_store(schemas={"like": Like}, triggers=[measure])
    begin, vectors = datetime(2000, 1, 1, tzinfo=UTC), np.eye(3, dtype=np.float32)
    rows = [
        {"id": i, "ts": begin + i * HOUR / 2, "user": 1, "vector": vectors[i % 3]} for i in range(4)
    ]
    store.set_many("like", [rows[0], rows[2], rows[3]])
    store.set_many("like", [rows[1]])
    store.wait(timeout=60)
    first, second, third, fourth = store.rows(Like, order_by="ts")
    assert first.taste is None
    assert first.length == 0.0
    assert second.taste.tolist() == [1, 0, 0]
    assert third.taste.tolist() == [0, 1, 0]
    assert fourth.taste.tolist() == [0, 0, 1]
    assert fourth.length == pytest.approx(1)
    store.set("like", id=2, vector=np.array([0, 2, 2], dtype=np.float32))
    store.wait(timeout=60)
    assert store.rows(Like, order_by="ts")[3].taste.tolist() == [0, 2, 2]
    assert store.rows(Like, order_by="ts")[3].length == pytest.approx(2)


def test_times_at_the_ends_of_the_calendar_have_windows_too(open_store: OpenStore) -> None:
    @dataclass
    class Page:
        id: int
        ts: datetime
        book: int
        n: int
        before: Annotated[list[int], motion.Window("page.n", by="book", within=3_600_000 * DAY)]

    store = open_store(schemas={"page": Page}, run=True)
    rows = [
        {"id": 1, "ts": datetime.min.replace(tzinfo=UTC)},
        {"id": 2, "ts": datetime.max.replace(tzinfo=UTC)},
    ]
    store.set_many("page", [{**row, "book": 1, "n": 1} for row in rows])
    store.set("page", id=3, ts=datetime(2000, 1, 1, tzinfo=UTC), book=1, n=5)
    store.wait(timeout=60)
    assert {row.id: row.before for row in store.rows(Page)} == {1: [], 2: [5], 3: [1]}


@pytest.mark.parametrize("end", [1 - 2**63, 2**63 - HOUR_MS - 3])
def test_numbers_at_the_ends_of_what_is_kept_have_windows_too(
    payments: motion.Store, end: int
) -> None:
    places = {5: end, 6: end + 1, 7: end + HOUR_MS, 8: end + HOUR_MS + 1, 9: end + HOUR_MS + 2}
    for late in (
        5,
        9,
        6,
        8,
        7,
        3,
        4,
    ):  # 3 and 4 are of the time of others, and before these by their ids
        places |= {3: places[5], 4: places[9]}
        pay(payments, late, places[late], float(2**late))
        found = hours(payments)
        for row in found:
            held = [
                other
                for other in found
                if places[row] - HOUR_MS < places[other]
                and (places[other], other) < (places[row], row)
            ]
            assert found[row] == sum(2**other for other in held), (row, held)


def test_several_keys_are_held_as_tuples(open_store: OpenStore) -> None:
    @motion.trigger(on="booking.account", sets="booking.note")
    def tell(
        last: Annotated[
            tuple[int, Sort] | None,
            motion.Window(("booking.amount", "booking.sort"), by="account", agg="last"),
        ],
        all_before: Annotated[
            list[tuple[int, Sort]], motion.Window(("booking.amount", "booking.sort"), by="account")
        ],
    ) -> str:
        return f"{last} of {len(all_before)}"

    store = open_store(schemas={"booking": Booking}, triggers=[tell])
    rows = [{"id": i, "ts": i, "account": 1, "amount": i, "sort": "SALE"} for i in (1, 2, 3)]
    store.set_many("booking", rows)
    store.set("booking", id=2, sort="REFUND")
    store.wait(timeout=60)
    found = [row.note for row in store.rows(Booking, order_by="id")]
    assert found == ["None of 0", "(1, <Sort.SALE: 1>) of 1", "(2, <Sort.REFUND: 2>) of 2"]
    store.set("booking", id=2, sort=None)
    store.wait(timeout=60)
    assert store.rows(Booking, order_by="id")[2].note == "(1, <Sort.SALE: 1>) of 1"


@pytest.mark.parametrize(
    ("kind", "window", "message"),
    [
        (list, motion.Window(("event.n", "event.kind"), by="who"), r"list\[tuple"),
        (list, motion.Window(("event.n", "event.kind"), by="who", agg="last"), "of its own"),
        (int, motion.Window("event.n", by="who", agg="std"), "float"),
        (int, motion.Window("event.n", by="who", agg="distinct"), "list"),
        (float, motion.Window("event.kind", by="who", agg="std"), "int and float"),
    ],
    ids=str,
)
def test_a_key_that_cannot_keep_a_window_is_refused(
    open_store: OpenStore, kind: type, window: motion.Window, message: str
) -> None:
    own = [("id", int), ("ts", int), ("who", str), ("n", int), ("kind", str)]
    kept: Any = Annotated[kind, window]
    with pytest.raises(motion.SchemaError, match=message):
        open_store(schemas={"event": make_dataclass("Event", [*own, ("latest", kept)])})


# -- narrowed --


class Sort(Enum):
    SALE = 1
    REFUND = 2


@dataclass
class Booking:
    id: int
    ts: int
    account: int
    amount: int
    sort: Sort
    note: str
    sold: Annotated[
        int, motion.Window("booking.amount", by="account", agg="sum", where={"sort": Sort.SALE})
    ]
    seen: int


def sold(store: motion.Store) -> list[int]:
    store.wait(timeout=60)
    assert not store.errors()
    return [row.sold for row in store.rows(Booking, order_by="ts")]


def test_a_window_may_be_narrowed_to_the_rows_that_have_a_value(open_store: OpenStore) -> None:
    store = open_store(schemas={"booking": Booking}, run=True)
    rows = [{"id": i, "ts": i, "account": 1, "amount": i, "sort": "SALE"} for i in range(1, 4)]
    store.set_many("booking", rows)
    store.set("booking", id=2, sort="REFUND")
    assert sold(store) == [0, 1, 1]
    store.set("booking", id=2, sort=None)
    assert sold(store) == [0, 1, 1]
    store.close()
    store = open_store(schemas={"booking": Booking}, run=True)
    store.set("booking", id=2, sort=Sort.SALE)
    assert sold(store) == [0, 1, 3]


def test_only_the_rows_whose_narrowed_windows_hold_or_held_it_run_again(
    open_store: OpenStore,
) -> None:
    calls: list[int] = []

    @motion.trigger(on="booking.account", sets="booking.seen", inline=False)
    def see(
        id: int,
        before: Annotated[
            int, motion.Window("booking.amount", by="account", agg="sum", where={"sort": "SALE"})
        ],
    ) -> int:
        calls.append(id)
        return before

    store = open_store(schemas={"booking": Booking}, triggers=[see], run=False)
    with Stepper(store) as worker:

        def ran_after(**values: Any) -> list[int]:
            calls.clear()
            store.set("booking", **values)
            worker.run_until_idle()
            return sorted(calls)

        rows = [{"ts": 10 * i, "amount": i, "sort": "SALE"} for i in range(1, 4)]
        store.set_many("booking", [{"id": i, "account": 1, **each} for i, each in enumerate(rows)])
        worker.run_until_idle()
        late = {"account": 1, "amount": 5}
        assert ran_after(id=8, ts=14, sort="REFUND", **late) == [8]
        assert ran_after(id=8, amount=6) == []
        assert ran_after(id=9, ts=15, sort="SALE", **late) == [1, 2, 9]
        assert ran_after(id=9, note="x") == []
        assert ran_after(id=9, amount=6) == [1, 2, 9]
        assert ran_after(id=9, sort="REFUND") == [1, 2, 9]
        assert ran_after(id=9, sort="SALE", amount=7) == [1, 2, 9]
        assert {row.id: row.seen for row in store.rows(Booking)} == {0: 0, 8: 1, 9: 1, 1: 8, 2: 10}


def test_another_narrowing_is_other_code_and_none_is_what_it_was(open_store: OpenStore) -> None:
    plain = motion.Window("event.n", by="who")
    assert repr(plain) == (
        "Window(key='event.n', by='who', within=None, rows=None, agg='list', itself=False, order=None)"
    )
    assert plain == motion.Window("event.n", by="who", where={})
    store = open_store(schemas={"event": Event}, triggers=[declared(plain)])
    store.set_many("event", [{"id": i, "ts": i, "who": "a", "n": i} for i in (1, 2)])
    store.wait(timeout=60)
    narrowed = motion.Window("event.n", by="who", where={"kind": "x"})
    store = open_store(schemas={"event": Event}, triggers=[declared(narrowed)])
    assert store.plan("total").stale == 2
    store.backfill("total").wait(timeout=60)
    assert [row.latest for row in store.rows("event")] == [[[]], [[]]]


def test_windows_that_differ_in_what_they_are_narrowed_to_are_told_apart(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on="event.who", sets="event.latest")
    def both(
        x: Annotated[list[int], motion.Window("event.n", by="who", where={"kind": "x"})],
        y: Annotated[list[int], motion.Window("event.n", by="who", where={"kind": "y"})],
    ) -> list[Any]:
        return [x, y]

    store = open_store(schemas={"event": Event}, triggers=[both])
    kinds = enumerate("xyxy", 1)
    store.set_many("event", [{"id": i, "ts": i, "who": "a", "n": i, "kind": k} for i, k in kinds])
    store.wait(timeout=60)
    assert store.rows("event")[-1].latest == [[1, 3], [2]]


# -- over another table --


@dataclass
class Click:
    id: int
    ts: int
    user: int
    what: str


@dataclass
class Purchase:
    id: int
    ts: int
    buyer: int
    pages: Annotated[
        list[str], motion.Window("click.what", by=("buyer", "click.user"), within=HOUR)
    ]


def test_a_window_over_another_table_holds_rows_up_to_the_same_time(open_store: OpenStore) -> None:
    store = open_store(schemas={"click": Click, "purchase": Purchase}, run=True)
    store.set("purchase", id=1, ts=HOUR_MS, buyer=7)
    store.set("click", id=1, ts=0, user=7, what="too early")
    store.set("click", id=2, ts=5, user=7, what="coats")
    store.set("click", id=3, ts=HOUR_MS, user=7, what="cart")
    store.set("click", id=4, ts=HOUR_MS + 1, user=7, what="too late")
    store.set("click", id=5, ts=6, user=8, what="other")
    store.wait(timeout=60)
    assert [row.pages for row in store.rows(Purchase)] == [["coats", "cart"]]
    store.set("click", id=2, user=8)
    store.delete("click", 3)
    store.wait(timeout=60)
    assert [row.pages for row in store.rows(Purchase)] == [[]]


@dataclass
class Watch:
    id: int
    ts: int
    who: str
    n: int
    latest: list[Any]


OVER_ANOTHER = [
    motion.Window("event.n", by=("who", "event.who"), **frame)
    for frame in list[dict[str, Any]](
        [
            {"agg": "last"},
            {"rows": 1},
            {"agg": "mean", "rows": 3},
            {"agg": "sum", "within": 3 * MS, "rows": 2},
            {"agg": "min", "within": 3 * MS},
        ]
    )
]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(OVER_ANOTHER), changes("event", "event", "watch"), st.booleans())
def test_a_window_over_another_table_is_what_a_recompute_gives_after_any_changes(
    open_store: OpenStore, window: motion.Window, done: list[Any], waits: bool
) -> None:
    schemas = {"event": Event, "watch": Watch}
    store = open_store(schemas=schemas, triggers=[declared(window, "watch")], url=":memory:")
    try:
        store.set_many("watch", [{"id": i, "ts": i, "who": "a"} for i in range(1, 9)])
        made(store, done, waits=waits)
        check(store, "watch", window)
    finally:
        store.close()


def test_all_rows_that_hold_the_last_rows_of_another_table_follow_these(
    open_store: OpenStore,
) -> None:
    window = motion.Window("event.n", by=("who", "event.who"), rows=1)
    store = open_store(
        schemas={"event": Event, "watch": Watch}, triggers=[declared(window, "watch")]
    )
    store.set("event", id=1, ts=1, who="a", n=5)
    store.set_many("watch", [{"id": i, "ts": 1 + i, "who": "a"} for i in range(1, 6)])
    store.set("event", id=1, n=6)
    store.wait(timeout=60)
    assert [row.latest for row in store.rows("watch")] == [[[6]]] * 5
    store.set("event", id=2, ts=4, who="a", n=7)
    store.wait(timeout=60)
    assert [row.latest for row in store.rows("watch")] == [[[6]], [[6]], [[7]], [[7]], [[7]]]


# -- what is refused --


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"key": "amount", "by": "card"}, "table"),
        ({"key": "payment.amount", "by": 3}, "by="),
        ({"key": "payment.amount", "by": "card", "within": 60}, "timedelta"),
        ({"key": "payment.amount", "by": "card", "rows": 0}, "at least 1"),
        ({"key": "payment.amount", "by": "card", "agg": "median"}, "list, count"),
        ({"key": ("payment.amount", "card.n"), "by": "card"}, "one table"),
        ({"key": ("payment.amount", "payment.n"), "by": "card", "agg": "sum"}, "tuples"),
        ({"key": "payment.amount", "by": "card", "where": "kind = 'x'"}, "dict"),
        ({"key": "payment.amount", "by": "card", "where": {"kind": ["x"]}}, "value that they must"),
        ({"key": "payment.amount", "by": "card", "where": {"n": float("inf")}}, "value that they"),
    ],
    ids=str,
)
def test_a_window_of_another_form_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(motion.TriggerError, match=message):
        motion.Window(**arguments)


@pytest.mark.parametrize(
    ("window", "message"),
    [
        (motion.Window("event.m", by="who"), "has no key 'm'"),
        (motion.Window("event.n", by="whom"), "who"),
        (motion.Window("event.who", by="who", agg="sum"), "int and float"),
        (motion.Window("event.n", by="id"), "beside the id"),
        (motion.Window("event.latest", by="who"), "total"),
        (motion.Window("event.n", by="who", where={"sort": "x"}), "has no key 'sort'"),
        (motion.Window("event.n", by="who", where={"id": 1}), "the id"),
        (motion.Window("event.n", by="who", where={"n": "x"}), "where="),
    ],
    ids=str,
)
def test_a_window_that_does_not_fit_is_refused_with_what_is_allowed(
    open_store: OpenStore, window: motion.Window, message: str
) -> None:
    with pytest.raises(motion.MotionError, match=message):
        open_store(schemas={"event": Event}, triggers=[declared(window)])


@dataclass
class LongSale:
    id: int
    ts: int
    shop: int
    amount: int
    told: str


def test_a_window_as_long_as_a_time_can_be_holds_all_before_it(open_store: OpenStore) -> None:
    @motion.trigger(on="sale.amount", sets="sale.told")
    def tell(
        amount: int,
        before: Annotated[list[int], motion.Window("sale.amount", by="shop", within=timedelta.max)],
    ) -> str:
        return f"{before} {amount}"

    store = open_store(schemas={"sale": LongSale}, triggers=[tell])
    for ts in (1, 10**15):
        store.set("sale", ts=ts, shop=1, amount=ts).wait(timeout=60)
    assert [row.told for row in store.rows("sale")] == ["[] 1", f"[1] {10**15}"]
