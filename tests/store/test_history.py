"""History: what a process tells of the changes and runs it has lately seen."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

import motion
from motion import clock
from motion.history import CHANGES_KEPT, RUNS_KEPT, History, Run, quantile
from tests.conftest import OpenStore, until


@dataclass
class Note:
    id: int
    text: str
    length: int | None = None
    double: int | None = None
    word: str | None = None


MAY_GO_ON = threading.Event()


@motion.trigger(on="note.text", sets="note.length", inline=False)
def measure(text: str) -> int:
    if text == "hold":
        assert MAY_GO_ON.wait(30), "the test never let the run go on"
    if text == "bad":
        raise ValueError("no text at all")
    return len(text)


@motion.trigger(on="note.length", sets="note.double", inline=False)
def double(length: int) -> int:
    return 2 * length


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    MAY_GO_ON.clear()
    yield
    MAY_GO_ON.set()


@pytest.fixture
def store(open_store: OpenStore) -> motion.Store:
    return open_store(schemas={"note": Note}, triggers=[measure, double])


def test_a_change_tells_the_runs_it_caused_in_order_with_their_times(store: motion.Store) -> None:
    before = clock.now()
    change = store.set("note", text="four").wait()
    trace = change.trace()
    assert trace is not None
    assert [(run.trigger, run.table, run.id, run.rows, run.failed) for run in trace.runs] == [
        ("measure", "note", change.id, 1, 0),
        ("double", "note", change.id, 1, 0),
    ]
    assert (trace.verb, trace.table, trace.id, trace.count) == ("set", "note", change.id, 1)
    assert trace.seconds is not None
    for run in trace.runs:
        assert (run.at - trace.at).total_seconds() >= 0
        assert run.committed_s is not None
        assert 0 <= (run.seconds or 0) <= run.committed_s <= trace.seconds
    assert abs((trace.at - before).total_seconds()) < 5


def test_a_change_under_way_says_what_is_left_of_it(store: motion.Store) -> None:
    change = store.set("note", text="hold")
    under_way = change.trace()
    MAY_GO_ON.set()
    change.wait()
    ended = change.trace()
    assert under_way is not None
    assert (under_way.seconds, under_way.remaining) == (None, 1)
    assert ended is not None
    assert (ended.seconds is not None, ended.remaining) == (True, 0)


def test_a_run_that_raised_says_so_with_the_line_that_tells_what(store: motion.Store) -> None:
    change = store.set("note", text="bad").wait(raise_errors=False)
    trace = change.trace()
    assert trace is not None
    assert [(run.failed, run.error) for run in trace.runs] == [(1, "ValueError: no text at all")]
    assert trace.failed == 1
    store.delete("note", change.id)
    again = change.trace()
    assert again is not None
    assert again.failed == 0


def test_what_ran_in_memory_with_the_write_is_told_as_such(open_store: OpenStore) -> None:
    @motion.trigger(on="note.text", sets="note.length", inline=True)
    def at_once(text: str) -> int:
        return len(text)

    store = open_store(schemas={"note": Note}, triggers=[at_once])
    trace = store.set("note", text="four").trace()
    assert trace is not None
    assert [(run.trigger, run.is_inline, run.committed_s) for run in trace.runs] == [
        ("at_once", True, None)
    ]
    assert trace.seconds is not None
    load = store.set_many("note", [{"text": f"t{i}"} for i in range(5)]).trace()
    assert load is not None
    assert (load.verb, load.count, load.runs[0].rows) == ("set_many", 5, 5)


def test_the_latest_changes_come_first_and_as_many_as_asked_for(store: motion.Store) -> None:
    keys = [store.set("note", text=f"t{i}").key for i in range(5)]
    with store.transaction() as tx:
        tx.set("note", text="a")
        tx.set("note", text="b")
    store.delete("note", 1)
    store.wait(timeout=30)
    recent = store.recent(limit=4)
    assert [each.verb for each in recent.changes] == ["delete", "transaction", "set", "set"]
    assert [each.key for each in recent.changes[2:]] == [keys[4], keys[3]]
    assert recent.total == 7
    assert store.recent(limit=0).changes == ()


def test_rates_and_durations_are_told_for_what_was_done(store: motion.Store) -> None:
    for i in range(6):
        store.set("note", text=f"t{i}").wait()
    recent = store.recent()
    assert sum(slot.changes for slot in recent.slots) == 6
    assert sum(slot.calls for slot in recent.slots) == recent.runs == 12
    assert recent.p50 is not None
    assert recent.p95 is not None
    longest = max(each.seconds or 0 for each in recent.changes)
    shortest = min(each.seconds or 0 for each in recent.changes)
    assert 0.7 * shortest <= recent.p50 <= recent.p95 <= 1.3 * longest


def test_what_caused_nothing_is_no_measure_of_how_long_changes_take(store: motion.Store) -> None:
    for i in range(5):
        store.set("note", word=f"w{i}")
    assert store.recent().p50 is None
    assert store.recent().total == 5


def test_of_many_changes_the_last_are_kept_and_memory_stays_as_it_is(store: motion.Store) -> None:
    first = store.set("note", text="first").wait()
    for _ in range(CHANGES_KEPT):
        store.set("note", id=first.id, word="w")
    assert first.trace() is None
    assert len(store.recent(limit=10**6).changes) == CHANGES_KEPT
    assert store.recent().total == CHANGES_KEPT + 1


def test_of_a_change_with_many_runs_the_first_are_kept_and_the_rest_counted() -> None:
    history = History()
    course = history.course_of(1)
    for _ in range(RUNS_KEPT + 5):
        history.note_runs(course, [Run("embed", "note", 1, {}, 2, clock.now(), 0.5, 0.6)], 0.0)
    assert len(course.runs) == RUNS_KEPT
    assert course.beyond == {"embed": [10, 2.5]}
    assert history.runs == RUNS_KEPT + 5


def test_what_the_store_begins_itself_is_known_by_its_runs(open_store: OpenStore) -> None:
    ran = threading.Event()

    @motion.trigger(on=motion.every(minutes=10))
    def tick(store: motion.View) -> None:
        ran.set()

    store = open_store(schemas={"note": Note}, triggers=[tick])
    clock.advance(601)
    store.wait(timeout=30)
    assert ran.wait(30)
    until(store, lambda: bool(store.recent().changes))
    course = store.recent().changes[0]
    assert (course.verb, [run.trigger for run in course.runs]) == ("", ["tick"])


def test_how_long_a_change_took_is_told_for_when_it_ended_and_not_for_when_somebody_looked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = 1000.0
    monkeypatch.setattr(clock, "monotonic_s", lambda: now_s)
    history = History()
    history.note_change(1, 999.0, "set", table="note", has_work=True)
    now_s = 1020.0
    history.note_change(2, 1020.0, "set", table="note", has_work=True)
    history.end(history.course_of(1))
    assert [slot.p50 is not None for slot in history.slots()] == [True, False]


def test_a_quantile_is_an_eighth_off_at_most() -> None:
    assert quantile([], 0.5) is None
    assert quantile([{3: 5}, {3: 4, 90: 1}], 0.95) == quantile([{90: 1}], 0.5)


def test_an_event_loop_is_told_the_same(store: motion.Store) -> None:
    store.set("note", text="a").wait()
    told = asyncio.run(store.aio.recent(limit=1))
    assert [each.key for each in told.changes] == [
        each.key for each in store.recent(limit=1).changes
    ]


def test_a_limit_that_is_none_is_refused(store: motion.Store) -> None:
    with pytest.raises(motion.InvalidArgument):
        store.recent(limit=-1)
