"""`on=motion.after(...)`: a trigger runs so long after a row's time, for what did not happen."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import motion
from motion import clock
from tests.conftest import OpenStore


@dataclass
class Impression:
    id: int
    ts: int
    clicked: bool
    ignored: bool


@dataclass
class Visit:
    id: int
    ts: datetime
    answer: str
    answer_page: int
    seen: str


SCHEMAS = {"impression": Impression, "visit": Visit}


@motion.trigger(on=motion.after("impression.ts", minutes=30), sets="impression.ignored")
def ignored(clicked: bool | None) -> bool:
    return not clicked


def ignored_of(store: motion.Store) -> dict[int, Any]:
    store.wait(timeout=30)
    return {row.id: row.ignored for row in store.rows("impression")}


@pytest.fixture
def store(open_store: OpenStore) -> motion.Store:
    return open_store(schemas=SCHEMAS, triggers=[ignored])


def test_it_runs_when_the_time_has_come_on_what_the_row_holds_then(store: motion.Store) -> None:
    store.set_many("impression", [{"id": 1}, {"id": 2}])
    assert ignored_of(store) == {1: None, 2: None}
    clock.advance(1700)
    store.set("impression", id=2, clicked=True)
    assert ignored_of(store) == {1: None, 2: None}
    clock.advance(101)
    assert ignored_of(store) == {1: True, 2: False}


def test_waiting_is_no_work_and_keeps_nothing_for_each_row(store: motion.Store) -> None:
    store.set_many("impression", [{"id": i} for i in range(1, 100)]).wait()
    assert store.status().tasks == {}


def test_a_row_whose_time_is_over_runs_at_once(store: motion.Store) -> None:
    now_ms = clock.now_ms()
    store.set("impression", id=1, ts=now_ms - 3_600_000).wait()
    store.set("impression", id=2, ts=now_ms + 3_600_000).wait()
    assert ignored_of(store) == {1: True, 2: None}


def test_a_time_that_is_set_anew_counts_and_one_that_is_unset_unsets(store: motion.Store) -> None:
    now_ms = clock.now_ms()
    store.set_many("impression", [{"id": 1, "ts": now_ms}, {"id": 2, "ts": now_ms}])
    store.set("impression", id=1, ts=now_ms + 3_600_000)
    clock.advance(1801)
    assert ignored_of(store) == {1: None, 2: True}
    clock.advance(3600)
    assert ignored_of(store) == {1: True, 2: True}
    store.set("impression", id=2, ts=None)
    assert ignored_of(store) == {1: True, 2: None}


def test_an_input_that_arrives_before_the_time_does_not_run_it(open_store: OpenStore) -> None:
    @motion.trigger(on=motion.after("impression.ts", minutes=30), sets="impression.ignored")
    def needs(clicked: bool) -> bool:
        return not clicked

    store = open_store(schemas=SCHEMAS, triggers=[needs])
    store.set("impression", id=1).wait()
    store.set("impression", id=1, clicked=True).wait()
    store.backfill("needs").wait()
    assert ignored_of(store) == {1: None}
    clock.advance(1801)
    assert ignored_of(store) == {1: False}


def test_what_came_due_while_no_process_ran_is_made_up_for(open_store: OpenStore) -> None:
    with open_store(schemas=SCHEMAS, triggers=[ignored]) as store:
        store.set("impression", id=1).wait()
    clock.advance(7200)
    assert ignored_of(open_store(schemas=SCHEMAS, triggers=[ignored])) == {1: True}


def test_rows_that_were_there_before_run_where_their_time_is_to_come(open_store: OpenStore) -> None:
    with open_store(schemas=SCHEMAS) as store:
        store.set("impression", id=1, ts=clock.now_ms() - 3_600_000)
        store.set("impression", id=2, ts=clock.now_ms() - 60_000)
    store = open_store(schemas=SCHEMAS, triggers=[ignored])
    clock.advance(1800)
    assert ignored_of(store) == {1: None, 2: True}
    store.backfill("ignored").wait()
    assert ignored_of(store) == {1: True, 2: True}


def test_as_many_as_become_due_at_once_are_met_part_by_part(open_store: OpenStore) -> None:
    calls: list[int] = []
    lock = threading.Lock()

    @motion.trigger(on=motion.after("impression.ts", seconds=10), batch=1000)
    def look(id: list[int]) -> None:
        with lock:
            calls.extend(id)

    store = open_store(schemas=SCHEMAS, triggers=[look])
    start = clock.now_ms()
    rows = [{"id": i, "ts": start + i // 3} for i in range(1, 12_001)]
    store.set_many("impression", rows)
    clock.advance(60)
    store.wait(timeout=60)
    assert sorted(calls) == list(range(1, 12_001))


@pytest.mark.parametrize("zone", [UTC, None])
def test_a_datetime_is_a_time_too_and_pages_run_by_their_own(
    open_store: OpenStore, zone: Any
) -> None:
    @motion.trigger(on=motion.after("visit.ts", hours=1), sets="visit.seen")
    def seen(ts: datetime, answer: str | None) -> str:
        return f"{answer}"

    store = open_store(schemas=SCHEMAS, triggers=[seen])
    now = datetime.fromtimestamp(clock.now_ms() / 1000, UTC).replace(tzinfo=zone)
    store.set("visit", id=1, ts=now, answer="a")
    store.set("visit", id=1, answer_page=1, answer="b", ts=now + timedelta(hours=2))
    store.wait()
    clock.advance(3601)
    store.wait()
    assert [row.seen for row in store.rows("visit", inherit=False)] == ["a", None]
    clock.advance(7200)
    store.wait()
    assert [row.seen for row in store.rows("visit", inherit=False)] == ["a", "b"]


def test_together_with_once_a_reminder_goes_out_once(open_store: OpenStore) -> None:
    sent: list[int] = []

    @motion.trigger(
        on=motion.after("impression.ts", hours=1), once=True, when=lambda row: not row.clicked
    )
    def remind(id: int) -> None:
        sent.append(id)

    store = open_store(schemas=SCHEMAS, triggers=[remind])
    store.set_many("impression", [{"id": 1}, {"id": 2, "clicked": True}])
    clock.advance(3601)
    store.wait()
    store.set("impression", id=1, ts=clock.now_ms() - 7_200_000).wait()
    assert sent == [1]


def ignored_after(minutes: float) -> Any:
    @motion.trigger(
        on=motion.after("impression.ts", minutes=minutes),
        sets="impression.ignored",
        name="ignored",
    )
    def ignored(clicked: bool | None) -> bool:
        return not clicked

    return ignored


def test_another_delay_is_other_code(open_store: OpenStore) -> None:
    with open_store(schemas=SCHEMAS, triggers=[ignored_after(30)]) as store:
        store.set("impression", id=1, ts=clock.now_ms() - 3_600_000).wait()
    store = open_store(schemas=SCHEMAS, triggers=[ignored_after(20)])
    assert store.plan("ignored").stale == 1
    store.set("impression", id=2, ts=clock.now_ms() - 25 * 60_000).wait()
    assert ignored_of(store) == {1: True, 2: True}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: motion.after(7), "takes a key"),  # type: ignore[arg-type]
        (lambda: motion.after("impression.ts", hours="1"), "takes a number"),  # type: ignore[arg-type]
        (lambda: motion.after("impression.ts", hours=-1), "takes 0 s or more"),
    ],
)
def test_what_is_no_delay_is_refused(make: Any, said: str) -> None:
    with pytest.raises(motion.TriggerError, match=said):
        make()


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("impression.clicked", "holds a time"),
        ("impression.tss", "ts"),
        ("impression.id", "primary"),
    ],
)
def test_a_key_that_holds_no_time_is_refused(open_store: OpenStore, key: str, said: str) -> None:
    @motion.trigger(on=motion.after(key, hours=1))
    def look(id: int) -> None: ...

    with pytest.raises(motion.TriggerError, match=said):
        open_store(schemas=SCHEMAS, triggers=[look])
