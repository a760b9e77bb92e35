"""Windows over rows that are ordered by a key of the user's choice, `order=`."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, make_dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import motion
from motion.testing import Stepper
from tests.conftest import OpenStore

MS = timedelta(milliseconds=1)

KINDS: dict[type, tuple[Callable[[int], Any], timedelta | None]] = {
    int: (lambda n: n, MS),
    float: (lambda n: n / 7, MS / 7),
    str: (lambda n: "ZÀa\U0001f600é b"[n % 7] + str(n), None),
    date: (lambda n: date(2000, 1, 1) + timedelta(days=n), timedelta(days=1)),
    datetime: (lambda n: datetime(2000, 1, 1, tzinfo=UTC) + n * MS / 2, MS / 2),
}
"""Types of keys that rows may be ordered by: the value of a number, and what a step in time is."""


INF, LARGEST = math.inf, 2**63 - 1

NUMBERS_AT_ENDS = [-INF, -INF, -1e308, -5e-324, 0.0, 1.0, 2.0**53, 1e308, INF, INF]
INTS_AT_ENDS = [-LARGEST, 1 - LARGEST, -2, -1, 0, 1, 2, 2**53, LARGEST - 1, LARGEST]


def schema(kind: type, **further: Any) -> type:
    own = [("id", int), ("ts", int), ("who", str), ("n", int), ("place", kind)]
    return make_dataclass("Event", [*own, *further.items()])


def spans(kind: type) -> list[dict[str, Any]]:
    """Return bounds of windows over rows that are ordered by a key of a type."""
    step = KINDS[kind][1]
    found: list[dict[str, Any]] = [{}, {"rows": 2}, {"rows": 1, "itself": True}]
    return found + ([{"within": 3 * step}, {"within": 2 * step, "rows": 2}] if step else [])


def by_hand(
    kind: type, bounds: dict[str, Any], rows: Sequence[Any], row: Any, place: Any, *, is_own: bool
) -> list[int] | None:
    if row.who is None or place is None:
        return None
    within = bounds.get("within")
    if within is not None and kind in (int, float):
        within = within / MS
    itself = bounds.get("itself", False)
    held = sorted(
        (other.place, other.id, other.n)
        for other in rows
        if other.who == row.who
        and other.n is not None
        and other.place is not None
        and (within is None or other.place > place - within)
        and (
            ((other.place, other.id) < (place, row.id) or (itself and other.id == row.id))
            if is_own
            else other.place <= place
        )
    )
    return [n for *_, n in held][-bounds.get("rows", 0) :]


NUMBERS = st.one_of(st.integers(0, 9), st.integers(0, 9), st.none())

CHANGES = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {"id": st.integers(1, 7)},
            optional={
                "who": st.sampled_from(["a", "a", "b", None]),
                "n": NUMBERS,
                "place": NUMBERS,
                "ts": st.integers(0, 5),
            },
        ),
        st.integers(1, 7),
    ),
    min_size=4,
    max_size=20,
)

WORLDS = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


# -- at the ends of what there is --

OF_ALL: dict[str, tuple[Any, Callable[[list[int]], Any]]] = {
    "list": (list[int], list),
    "count": (int, len),
    "sum": (int, sum),
    "mean": (float, lambda held: sum(held) / len(held) if held else None),
    "min": (int, lambda held: min(held, default=None)),
    "max": (int, lambda held: max(held, default=None)),
    "std": (float, lambda held: statistics.stdev(held) if len(held) > 1 else None),
    "last": (int, lambda held: held[-1] if held else None),
    "distinct": (list[int], lambda held: list(dict.fromkeys(held))),
}
"""What is made of what a window holds: its type, and the same by hand."""

WITHIN = [
    None,
    timedelta(microseconds=1),
    0.6 * MS,
    MS,
    1.4 * MS,
    timedelta(hours=1),
    timedelta(days=10**8),
]

BOUNDS = st.fixed_dictionaries(
    {"within": st.sampled_from(WITHIN), "rows": st.sampled_from([None, None, 1, 2]), "itself": st.booleans()}
)  # fmt: skip


def of_all(prefix: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return keys that are windows, one of each aggregate."""
    return {
        f"{prefix}{agg}": Annotated[made, motion.Window("event.n", **{"agg": agg, **arguments})]
        for agg, (made, _) in OF_ALL.items()
    }


def is_within(within: timedelta | None, place: Any, other: Any) -> bool:
    """Whether one place is so near before another. Of one place nothing is between them, even where it is endless."""
    if within is None or other == place:
        return True
    if isinstance(place, int):
        return bool(other > place - Fraction(within // timedelta(microseconds=1), 1000))
    return bool(other > place - within / MS)


def held_by_hand(
    bounds: dict[str, Any], rows: Sequence[Any], row: Any, *, is_own: bool
) -> list[int]:
    held = sorted(
        (other.place, other.id, other.n)
        for other in rows
        if other.who == row.who
        and None not in (other.n, other.place)
        and is_within(bounds["within"], row.place, other.place)
        and (
            (other.place, other.id) < (row.place, row.id) + (0,) * bounds["itself"]
            if is_own
            else other.place <= row.place
        )
    )
    if is_own and not bounds["itself"]:
        held = [each for each in held if each[1] != row.id]
    return [n for *_, n in held][-(bounds["rows"] or 0) :]


@pytest.mark.parametrize(("kind", "ends"), [(float, NUMBERS_AT_ENDS), (int, INTS_AT_ENDS)])
@WORLDS
@given(bounds=BOUNDS, done=CHANGES)
def test_windows_at_the_ends_of_their_order_are_what_they_are_by_hand(
    open_store: OpenStore, kind: type, ends: list[Any], bounds: dict[str, Any], done: list[Any]
) -> None:
    over = {"within": bounds["within"], "rows": bounds["rows"]}
    event = schema(kind, **of_all("own_", {"by": "who", "order": "place", **bounds}))
    by_two = {"by": ("who", "event.who"), "order": ("place", "event.place"), **over}
    watch = schema(kind, **of_all("", by_two))
    store = open_store(schemas={"event": event, "watch": watch}, run=False, url=":memory:")
    try:
        begun = [
            {"id": i, "ts": i, "who": "a", "n": i % 3, "place": each}
            for i, each in enumerate(ends, 8)
        ]
        with Stepper(store) as worker:
            store.set_many("event", begun)
            store.set_many("watch", [{**row, "n": None} for row in begun])
            for change in [None, *done]:
                if isinstance(change, int):
                    store.delete("event", change)
                elif change is not None:
                    place = change.get("place")
                    to = (
                        {"place": None if place is None else ends[place]}
                        if "place" in change
                        else {}
                    )
                    store.set("event", **{**change, **to})
                worker.run_until_idle()
                rows = store.rows("event")
                for row, is_own in [
                    *((r, True) for r in rows),
                    *((r, False) for r in store.rows("watch")),
                ]:
                    held = None
                    if row.who is not None and row.place is not None:
                        held = held_by_hand(bounds, rows, row, is_own=is_own)
                    for agg, (_, made) in OF_ALL.items():
                        found = getattr(row, f"own_{agg}" if is_own else agg)
                        expected = None if held is None else made(held)
                        assert found == expected, (agg, row, bounds)
    finally:
        store.close()


def test_nan_is_no_place_in_an_order(open_store: OpenStore) -> None:
    store = open_store(schemas={"event": schema(float)})
    with pytest.raises(motion.InvalidValue, match="NaN"):
        store.set("event", id=1, who="a", n=1, place=math.nan)


def test_windows_that_differ_by_less_than_a_millisecond_are_told_apart(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on="event.who", sets="event.seen")
    def see(
        longer: Annotated[int, motion.Window("event.n", by="who", order="place", agg="count", within=1.4 * MS)],
        shorter: Annotated[int, motion.Window("event.n", by="who", order="place", agg="count", within=1.2 * MS)],
    ) -> list[Any]:  # fmt: skip
        return [shorter, longer]

    event = schema(datetime, seen=list[Any])
    store = open_store(schemas={"event": event}, triggers=[see])
    begin = datetime(2000, 1, 1, tzinfo=UTC)
    store.set("event", id=2, who="a", n=1, place=begin + 1.3 * MS)
    store.set("event", id=1, who="a", n=1, place=begin)
    store.wait(timeout=60)
    assert [row.seen for row in store.rows("event")] == [[0, 0], [0, 1]]


def placed(kind: type, row: dict[str, Any], key: str = "place") -> dict[str, Any]:
    if row.get("place") is None:
        return {key if name == "place" else name: value for name, value in row.items()}
    return {**{k: v for k, v in row.items() if k != "place"}, key: KINDS[kind][0](row["place"])}


@pytest.mark.parametrize("kind", KINDS)
@WORLDS
@given(st.data(), CHANGES)
def test_a_key_that_is_a_window_in_an_order_is_what_a_recompute_gives_after_each_change(
    open_store: OpenStore, kind: type, data: st.DataObject, done: list[Any]
) -> None:
    bounds = data.draw(st.sampled_from(spans(kind)))
    window = motion.Window("event.n", by="who", order="place", **bounds)
    schemas = {"event": schema(kind, latest=Annotated[list[int], window])}
    store = open_store(schemas=schemas, run=False, url=":memory:")
    try:
        begun = [{"id": i, "ts": 9 - i, "who": "a", "n": i, "place": i % 3} for i in range(1, 5)]
        store.set_many("event", [placed(kind, row) for row in begun])
        with Stepper(store) as worker:
            for change in done:
                if isinstance(change, int):
                    store.delete("event", change)
                else:
                    store.set("event", **placed(kind, change))
                worker.run_until_idle()
                rows = store.rows("event")
                for row in rows:
                    expected = by_hand(kind, bounds, rows, row, row.place, is_own=True)
                    assert row.latest == expected, (row, window)
    finally:
        store.close()


@pytest.mark.parametrize("kind", KINDS)
@WORLDS
@given(st.data(), CHANGES, CHANGES)
def test_a_window_over_another_table_in_an_order_is_what_a_recompute_gives_after_any_changes(
    open_store: OpenStore, kind: type, data: st.DataObject, done: list[Any], others: list[Any]
) -> None:
    bounds = data.draw(st.sampled_from(spans(kind)))
    window = motion.Window(
        "event.n", by=("who", "event.who"), order=("at", "event.place"), **bounds
    )

    def take(value: list[int]) -> list[Any]:
        return [value]

    take.__annotations__["value"] = Annotated[list[int], window]
    trigger = motion.trigger(on="watch.who", sets="watch.latest")(take)
    own = [("id", int), ("who", str), ("at", kind), ("latest", list[Any])]
    schemas = {"event": schema(kind), "watch": make_dataclass("Watch", own)}
    store = open_store(schemas=schemas, triggers=[trigger], url=":memory:")
    try:
        for event, watch in zip(done, others, strict=False):
            if isinstance(event, int):
                store.delete("event", event)
            else:
                store.set("event", **placed(kind, event))
            if isinstance(watch, int):
                store.delete("watch", watch)
            else:
                kept = {name: watch[name] for name in ("id", "who", "place") if name in watch}
                store.set("watch", **placed(kind, kept, "at"))
        store.wait(timeout=60)
        assert not store.errors()
        rows = store.rows("event")
        for row in store.rows("watch"):
            expected = by_hand(kind, bounds, rows, row, row.at, is_own=False)
            assert row.latest == (None if expected is None else [expected]), (row, window)
    finally:
        store.close()


@dataclass
class Step:
    id: int
    ts: int
    run: str
    seq: int
    loss: float
    before: Annotated[list[float], motion.Window("step.loss", by="run", order="seq", rows=2)]
    seen: list[Any]


def test_one_load_has_its_windows_in_the_order_that_is_asked_for(open_store: OpenStore) -> None:
    store = open_store(schemas={"step": Step}, run=True)
    rows = [{"id": i, "ts": i, "run": "a", "seq": 9 - i, "loss": float(i)} for i in range(1, 5)]
    store.set_many("step", rows).wait(timeout=60)
    found = {row.id: row.before for row in store.rows(Step)}
    assert found == {1: [3.0, 2.0], 2: [4.0, 3.0], 3: [4.0], 4: []}
    store.set("step", id=4, seq=100).wait(timeout=60)
    store.wait(timeout=60)
    found = {row.id: row.before for row in store.rows(Step)}
    assert found == {1: [3.0, 2.0], 2: [3.0], 3: [], 4: [2.0, 1.0]}


def test_windows_that_differ_in_their_order_are_told_apart(open_store: OpenStore) -> None:
    @motion.trigger(on="step.run", sets="step.seen")
    def see(
        by_time: Annotated[list[float], motion.Window("step.loss", by="run", itself=True)],
        by_seq: Annotated[
            list[float], motion.Window("step.loss", by="run", itself=True, order="seq")
        ],
        by_id: Annotated[
            list[float], motion.Window("step.loss", by="run", itself=True, order="id")
        ],
    ) -> list[Any]:
        return [by_time, by_seq, by_id]

    store = open_store(schemas={"step": Step}, triggers=[see])
    rows = [(1, 2, 3), (2, 3, 1), (3, 1, 2)]
    store.set_many(
        "step", [{"id": i, "ts": ts, "run": "a", "seq": s, "loss": float(i)} for i, ts, s in rows]
    )
    store.wait(timeout=60)
    assert store.get("step", 1).seen == [[3.0, 1.0], [2.0, 3.0, 1.0], [1.0]]


def test_another_order_is_other_code(open_store: OpenStore) -> None:
    def declared(**order: Any) -> Any:
        def see(held: list[float]) -> list[Any]:
            return list(held)

        window = motion.Window("step.loss", by="run", **order)
        see.__annotations__["held"] = Annotated[list[float], window]
        return motion.trigger(on="step.run", sets="step.seen")(see)

    store = open_store(schemas={"step": Step}, triggers=[declared()])
    store.set_many("step", [{"id": i, "ts": i, "run": "a", "seq": -i, "loss": 1.0} for i in (1, 2)])
    store.wait(timeout=60)
    store = open_store(schemas={"step": Step}, triggers=[declared(order="ts")])
    assert store.plan("see").stale == 0
    store = open_store(schemas={"step": Step}, triggers=[declared(order="seq")])
    assert store.plan("see").stale == 2
    store.backfill("see").wait(timeout=60)
    assert [row.seen for row in store.rows(Step)] == [[1.0], []]


@pytest.mark.parametrize(
    ("key", "arguments", "message"),
    [
        ("step.loss", {"order": 3}, "order= takes a key"),
        ("step.loss", {"order": "sequel"}, "no key 'sequel'"),
        ("step.loss", {"order": "before"}, "a number, a text or a time"),
        ("step.loss", {"order": "run", "within": MS}, "'run', which is str: it needs a key 'ts'"),
        ("step.loss", {"order": "id", "within": MS}, "'id', which is int: it needs"),
        ("step.loss", {"order": ("seq", "other.seq")}, "a key of 'step' second"),
        ("other.n", {"by": ("run", "other.run")}, "one each that order= names"),
        ("other.n", {"by": ("run", "other.run"), "order": ("seq", "other.at")}, "of one type"),
    ],
)  # fmt: skip
def test_an_order_that_does_not_fit_is_refused(
    open_store: OpenStore, key: str, arguments: dict[str, Any], message: str
) -> None:
    @dataclass
    class Other:
        id: int
        run: str
        at: float
        seq: int
        n: int

    def opened() -> None:
        def see(held: Any) -> list[Any]:
            return [held]

        window = motion.Window(key, **{"by": "run", **arguments})
        see.__annotations__["held"] = Annotated[Any, window]
        trigger = motion.trigger(on="step.run", sets="step.seen")(see)
        open_store(schemas={"step": Step, "other": Other}, triggers=[trigger])

    with pytest.raises(motion.MotionError, match=message):
        opened()


@dataclass
class Sale:
    id: int
    shop: int
    at: int
    amount: float
    kind: str
    page: int
    part: float


@dataclass
class Made:
    id: int
    text: str


@pytest.mark.parametrize("lacks", ["shop", "at", "amount"])
def test_what_was_made_of_a_window_goes_where_the_row_has_it_no_more(
    open_store: OpenStore, lacks: str
) -> None:
    """Rows of another table, and pages: none of what a recompute from scratch does not give."""
    highest = motion.Window("sale.amount", by="shop", order="at", agg="max", itself=True)

    def tell(id: int, most: Any) -> Any:
        return [{"id": id, "text": f"{most}"}]

    def lay_out(most: Any) -> Any:
        return [most, most]

    for function in (tell, lay_out):
        function.__annotations__["most"] = Annotated[float, highest]
    lay_out.__annotations__["return"] = list[float]
    tell.__annotations__ |= {"id": int, "return": list[dict[str, Any]]}
    triggers = [
        motion.trigger(on="sale.kind", sets="made")(tell),
        motion.trigger(on="sale.kind", sets="sale.part", page="page")(lay_out),
    ]
    store = open_store(schemas={"sale": Sale, "made": Made}, triggers=triggers)
    store.set("sale", id=1, shop=1, at=1, amount=2.0, kind="cash").wait()
    assert [row.text for row in store.rows("made")] == ["2.0"]
    assert [row.part for row in store.rows("sale")] == [2.0, 2.0]
    unset: dict[str, Any] = {lacks: None}
    store.set("sale", id=1, **unset).wait()
    assert store.rows("made") == []
    assert [row.part for row in store.rows("sale")] == [None]
