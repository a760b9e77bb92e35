"""A machine whose clock was wrong, and is put right while a store is open or closed: nothing stands still for the jump."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

import motion
from motion import clock
from motion.definitions.triggers.rates import Turns, rate_of
from tests.conftest import OpenStore, until

HOUR_S, DAY_S = 3600.0, 86_400.0
DAY_MS = 86_400_000


@dataclass
class Doc:
    id: int
    text: str
    loud: str
    length: int


@dataclass
class Tick:
    id: int
    who: str


def ticking(on: Any) -> Any:
    @motion.trigger(on=on, name="ticking")
    def tick(store: motion.View) -> None:
        store.set("tick", who="tick")

    return tick


SCHEDULES = {"every": motion.every(hours=1), "cron": motion.cron("0 * * * *")}


@pytest.mark.parametrize("is_restarted", [False, True])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_schedule_goes_on_within_its_period_when_the_clock_is_put_back(
    open_store: OpenStore, schedule: str, is_restarted: bool
) -> None:
    options = {"schemas": {"tick": Tick}, "triggers": [ticking(SCHEDULES[schedule])]}
    clock.advance(DAY_S)
    store = open_store(**options)
    clock.advance(HOUR_S + 1)
    until(store, lambda: len(store.rows("tick")) == 1)
    if is_restarted:
        store.close()
    clock.reset()
    if is_restarted:
        store = open_store(**options)

    def next_s() -> float:
        found = store.sql("select next_ms from motion_schedules").to_pylist()
        return float(found[0]["next_ms"] - clock.now_ms()) / 1000

    until(store, lambda: next_s() <= HOUR_S)
    clock.advance(HOUR_S + 1)
    until(store, lambda: len(store.rows("tick")) == 2)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_schedule_occurs_once_when_the_clock_is_put_forward(
    open_store: OpenStore, schedule: str
) -> None:
    store = open_store(schemas={"tick": Tick}, triggers=[ticking(SCHEDULES[schedule])])
    clock.advance(DAY_S)
    until(store, lambda: len(store.rows("tick")) == 1)
    clock.advance(HOUR_S + 1)
    until(store, lambda: len(store.rows("tick")) == 2)


def at_ms(hour: int, minute: int = 0) -> int:
    return round(datetime(2026, 3, 2, hour, minute, tzinfo=UTC).timestamp() * 1000)


def test_a_clock_that_is_corrected_by_seconds_repeats_no_occurrence() -> None:
    hourly = motion.cron("0 * * * *")
    just_before = at_ms(9) - 500  # nine o'clock has been taken, and comes again
    assert hourly.put_right_ms(just_before, at_ms(10)) == at_ms(10)
    assert hourly.put_right_ms(at_ms(8, 30), at_ms(10)) == at_ms(9)
    assert hourly.put_right_ms(at_ms(8, 30), at_ms(10) + DAY_MS) == at_ms(9)
    assert hourly.put_right_ms(at_ms(8, 30), at_ms(9)) == at_ms(9)


def test_an_interval_is_waited_for_once_at_most() -> None:
    every = motion.every(minutes=10)
    assert every.put_right_ms(at_ms(8), at_ms(8, 5)) == at_ms(8, 5)
    assert every.put_right_ms(at_ms(8), at_ms(9)) == at_ms(8, 10)


def test_a_batch_fills_no_longer_when_the_clock_is_put_back(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud", batch=8, batch_wait=2)
    def shout(text: list[str]) -> list[str]:
        return [each.upper() for each in text]

    @motion.trigger(on="doc.text", sets="doc.length", inline=False)
    def length(text: str) -> int:
        return len(text)

    clock.advance(DAY_S)
    store = open_store(schemas={"doc": Doc}, triggers=[shout, length])
    store.set("doc", id=1, text="a").wait("length")  # it has been looked for work of both
    assert store.get("doc", 1).loud is None
    clock.reset()
    store.wait(timeout=60)
    assert store.get("doc", 1).loud == "A"


def test_a_turn_is_waited_for_no_longer_when_the_clock_is_put_back() -> None:
    clock.advance(DAY_S)
    turns = Turns(rate_of("10/s"), [clock.now_ms() + 100.0 * i for i in range(3)])
    clock.reset()
    assert turns.wait_s() < 1
    assert turns.wait_s() < 1


def test_a_waiting_row_is_dropped_after_its_time_although_the_clock_is_put_back(
    open_store: OpenStore,
) -> None:
    begun, end = threading.Event(), threading.Event()

    @motion.trigger(on="doc.text", sets="doc.loud", inline=False, concurrency=1, discard_after=60)
    def shout(text: str) -> str:
        begun.set()
        assert end.wait(60)
        return text.upper()

    @motion.trigger(on="doc.text", sets="doc.length", inline=False)
    def length(text: str) -> int:
        return len(text)

    clock.advance(DAY_S)
    store = open_store(schemas={"doc": Doc}, triggers=[shout, length])
    store.set("doc", id=1, text="first")
    assert begun.wait(60)
    store.set("doc", id=2, text="waits").wait("length")
    clock.reset()
    store.set("doc", id=3, text="looks").wait("length")
    clock.advance(61)
    store.set("doc", id=4, text="looks again").wait("length")
    try:
        until(store, lambda: store.status().discarded == {"shout": 2})
    finally:
        end.set()
    store.wait(timeout=60)
    assert store.get("doc", 2).loud is None


@dataclass
class Visit:
    id: int
    ts: int
    is_over: bool


@motion.trigger(on=motion.after("visit.ts", minutes=30), sets="visit.is_over")
def be_over(ts: int) -> bool:
    return True


@pytest.mark.parametrize("is_restarted", [False, True])
def test_rows_wait_for_their_own_time_when_the_clock_was_ahead(
    open_store: OpenStore, is_restarted: bool
) -> None:
    options: dict[str, Any] = {"schemas": {"visit": Visit}, "triggers": [be_over]}
    clock.advance(DAY_S)
    store = open_store(**options)
    store.set("visit", id=1, ts=clock.now_ms() - DAY_MS).wait()
    if is_restarted:
        store.close()
    clock.reset()
    if is_restarted:
        store = open_store(**options)

    def come_to_ms() -> int:
        return int(store.sql("select until from motion_after").to_pylist()[0]["until"])

    until(store, lambda: come_to_ms() <= clock.now_ms())
    store.set("visit", id=2, ts=clock.now_ms()).wait()
    assert [row.is_over for row in store.rows("visit")] == [True, None]
    clock.advance(HOUR_S / 2 + 1)
    until(store, lambda: [row.is_over for row in store.rows("visit")] == [True, True])


@pytest.mark.parametrize("day", [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)])  # fmt: skip
@pytest.mark.parametrize(
    "expression", ["30 2 * * *", "15,45 2 * * *", "0,20,40 0-6 * * *", "*/7 2 * * *"]
)  # fmt: skip
def test_an_occurrence_is_always_later_than_what_it_is_asked_from(
    day: datetime, expression: str
) -> None:
    schedule = motion.cron(expression, tz="Europe/Berlin")
    begin_ms = round(day.timestamp() * 1000)
    taken: set[int] = set()
    next_ms = schedule.next_ms(begin_ms, begin_ms)
    for minute in range(8 * 60):
        now_ms = begin_ms + 60_000 * minute
        assert schedule.next_ms(now_ms, now_ms) > now_ms
        next_ms = schedule.put_right_ms(now_ms, next_ms)
        if next_ms <= now_ms:
            assert next_ms not in taken, "one that the clock repeats runs once"
            taken.add(next_ms)
            next_ms = schedule.next_ms(now_ms, next_ms)
