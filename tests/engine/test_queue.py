"""The queue: whose turn it is, what is dropped, and that it never grows beyond its limit."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import motion
from motion import clock
from motion.testing import Stepper
from tests.conftest import OpenStore, pause, until


@dataclass
class Job:
    id: int
    text: str
    other: str
    done: str
    other_done: str


SCHEMAS = {"job": Job}


class Gate:
    """Holds the runs of a trigger until it is opened, and keeps what they were given, in order."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._open, self._is_reached = threading.Event(), threading.Event()

    def __call__(self, text: str) -> str:
        self.calls.append(text)
        self._is_reached.set()
        assert self._open.wait(30)
        return text

    def await_first(self) -> None:
        assert self._is_reached.wait(30)

    def open(self) -> None:
        self._open.set()


def gated(gate: Callable[[str], str], **options: Any) -> Any:
    @motion.trigger(on="job.text", sets="job.done", name="gated", inline=False, **options)
    def run(text: str) -> str:
        return gate(text)

    return run


# -- turns --


def test_a_long_queue_of_one_trigger_does_not_hold_up_another(open_store: OpenStore) -> None:
    done: list[str] = []

    @motion.trigger(on="job.text", sets="job.done", inline=False)
    def slow(text: str) -> str:
        threading.Event().wait(0.05)  # what a model call takes
        done.append("slow")
        return text

    @motion.trigger(on="job.other", sets="job.other_done", inline=False)
    def quick(other: str) -> str:
        done.append("quick")
        return other

    store = open_store(schemas=SCHEMAS, triggers=[slow, quick])
    backlog = 200  # ten seconds of work
    store.set_many("job", [{"text": str(i)} for i in range(backlog)])
    store.set("job", other="x").wait("other_done")
    assert done.count("slow") < backlog / 2
    store.close()


def test_work_of_a_higher_priority_goes_first(open_store: OpenStore) -> None:
    gate = Gate()
    store = open_store(schemas=SCHEMAS, triggers=[gated(gate)])
    store.set("job", text="first")
    gate.await_first()
    store.set_many("job", [{"text": "later"}] * 3)
    store.backfill("gated", force=True)
    gate.open()
    store.wait(timeout=60)
    assert gate.calls[1:4] == ["later"] * 3


@dataclass
class Ranked:
    id: int
    text: str
    rank: float
    done: str


def test_any_number_is_a_priority_and_none_puts_live_work_behind_a_backfill(
    open_store: OpenStore,
) -> None:
    gate = Gate()

    # With a time-out nothing is claimed ahead of its call, however long the first one took.
    @motion.trigger(on="ranked.text", sets="ranked.done", priority="rank", timeout=60, inline=False)
    def run(text: str) -> str:
        return gate(text)

    store = open_store(schemas={"ranked": Ranked}, triggers=[run])
    gate.open()
    store.set("ranked", text="old").wait()
    gate = Gate()
    store.set("ranked", text="first")
    gate.await_first()
    store.backfill("run", where={"text": "old"}, force=True)
    for text, rank in (("least", -np.inf), ("low", -1e19), ("middle", 0), ("most", np.inf)):
        store.set("ranked", text=text, rank=rank)
    gate.open()
    store.wait(timeout=60)
    assert gate.calls[:3] == ["first", "most", "middle"]
    assert set(gate.calls[3:5]) == {"low", "least"}
    assert gate.calls[5:] == ["old"]


def test_rows_that_fail_again_and_again_do_not_hold_up_fresh_ones(open_store: OpenStore) -> None:
    calls: list[str] = []
    is_down = threading.Event()
    is_down.set()
    gate = Gate()

    def call(text: str) -> str:
        if text == "gate":
            return gate(text)
        calls.append(text)
        if text == "bad" and is_down.is_set():
            raise ConnectionError("the model is down")
        return text

    store = open_store(schemas=SCHEMAS, triggers=[gated(call, retries=20)])
    bad = 5
    store.set_many("job", [{"text": "bad"}] * bad)
    until(
        store,
        lambda: store.status().tasks.get("gated", {}).get("postponed", 0) == bad,
    )
    held = store.set("job", text="gate")
    gate.await_first()
    clock.advance(3600)  # now all of them are due again
    store.set_many("job", [{"text": "fresh"}] * bad)
    calls.clear()
    is_down.clear()
    gate.open()
    held.wait()
    store.wait(timeout=60)
    assert calls == ["fresh"] * bad + ["bad"] * bad


# -- discarding --


def test_a_run_that_would_come_too_late_is_dropped_and_counted(open_store: OpenStore) -> None:
    gate = Gate()
    store = open_store(schemas=SCHEMAS, triggers=[gated(gate, discard_after=60)])
    first = store.set("job", text="first")
    gate.await_first()
    late = store.set_many("job", [{"text": "late"}] * 3)
    clock.advance(61)
    fresh = store.set("job", text="fresh")
    gate.open()
    store.wait(timeout=60)
    assert late.wait().rows() == late.rows()
    assert [row.done for row in (*first.rows(), *late.rows(), *fresh.rows())] == [
        "first", None, None, None, "fresh",
    ]  # fmt: skip
    assert store.status().discarded == {"gated": 3}
    assert store.errors() == []


def test_what_was_dropped_runs_again_when_its_key_changes(open_store: OpenStore) -> None:
    gate = Gate()
    store = open_store(schemas=SCHEMAS, triggers=[gated(gate, discard_after=60)])
    store.set("job", text="first")
    gate.await_first()
    late = store.set("job", text="late")
    clock.advance(61)
    gate.open()
    store.wait(timeout=60)
    store.set("job", id=late.id, text="now").wait()
    assert store.get(Job, late.id).done == "now"  # type: ignore[union-attr]  # it is there


@pytest.mark.parametrize("in_bulk", [True, False])
def test_of_more_rows_than_may_wait_the_newest_are_kept(
    open_store: OpenStore, in_bulk: bool
) -> None:
    gate = Gate()
    store = open_store(schemas=SCHEMAS, triggers=[gated(gate, discard_beyond=4)])
    store.set("job", text="first")
    gate.await_first()
    rows = [{"text": f"{i}"} for i in range(10)]
    if in_bulk:
        store.set_many("job", rows)
    else:
        for row in rows:
            store.set("job", text=row["text"])
    gate.open()
    store.wait(timeout=60)
    assert gate.calls == ["first", "6", "7", "8", "9"]
    assert store.status().discarded == {"gated": 6}


def test_of_many_rows_that_may_wait_never_more_than_a_tenth_too_many_do(
    open_store: OpenStore,
) -> None:
    gate = Gate()
    store = open_store(schemas=SCHEMAS, triggers=[gated(gate, discard_beyond=40)])
    store.set("job", text="first")
    gate.await_first()
    for i in range(200):
        store.set("job", text=f"{i}")
        waiting = store.status().triggers["gated"].tasks.get("ready", 0)
        assert min(i + 1, 40) <= waiting <= 44
    gate.open()
    store.wait(timeout=60)
    assert gate.calls[1:] == [f"{i}" for i in range(200 - waiting, 200)]
    assert store.status().discarded == {"gated": 200 - waiting}


def test_what_follows_from_a_dropped_run_is_not_held_up(open_store: OpenStore) -> None:
    @motion.trigger(on="job.other", sets="job.other_done", inline=False, priority=1)
    def follows(other: str, done: str | None) -> str:
        return f"{other} {done}"

    triggers = [gated(str.upper, discard_after=60), follows]
    store = open_store(schemas=SCHEMAS, triggers=triggers, run=False)
    late = store.set("job", text="late", other="x")
    with Stepper(store) as worker:
        worker.step()  # what follows is to wait for the run before it
        clock.advance(61)
        worker.run_until_idle()
    assert store.get(Job, late.id).other_done == "x None"  # type: ignore[union-attr]  # it is there


@pytest.mark.parametrize(
    "options", [{"discard_after": -1}, {"discard_beyond": 0}, {"discard_after": "soon"}]
)
def test_a_discard_policy_out_of_range_is_refused_where_it_is_written(
    options: dict[str, Any],
) -> None:
    with pytest.raises(motion.TriggerError, match="discard"):
        motion.trigger(on="job.text", sets="job.done", **options)


# -- P12: bounded --


def left(store: motion.Store) -> int:
    return sum(sum(counts.values()) for counts in store.status().tasks.values())


def _waits_for_room(thread: threading.Thread) -> bool:
    frames = traceback.walk_stack(sys._current_frames().get(thread.ident or 0))
    names = [frame.f_code.co_name for frame, _ in frames]
    return {"await_room", "wait"} <= {*names}


def test_p12_a_full_queue_makes_writes_from_outside_wait(open_store: OpenStore) -> None:
    gate, limit = Gate(), 20
    most: list[int] = []
    store = open_store(
        schemas=SCHEMAS, triggers=[gated(gate, discard_after=None)], queue_limit=limit
    )
    store.set("job", text="first")
    gate.await_first()
    are_in = threading.Event()

    def pour() -> None:
        for i in range(5 * limit):
            store.set("job", text=f"{i}")
            most.append(left(store))
        are_in.set()

    source = threading.Thread(target=pour)
    source.start()
    while not (are_in.is_set() or _waits_for_room(source)):
        pause()
    assert not are_in.is_set()
    gate.open()
    source.join(30)
    store.wait(timeout=60)
    assert are_in.is_set()
    assert max(most) <= limit + 1
    assert sorted(gate.calls) == sorted(["first", *(f"{i}" for i in range(5 * limit))])


def test_p12_a_cascade_never_waits_for_room(open_store: OpenStore) -> None:
    @motion.trigger(on="job.text", inline=False)
    def spread(text: str, store: motion.View) -> None:
        if text == "seed":
            store.set_many("job", [{"other": f"{i}"} for i in range(0, 100, 1)])

    @motion.trigger(on="job.other", sets="job.other_done", inline=False)
    def end(other: str) -> str:
        return other

    store = open_store(schemas=SCHEMAS, triggers=[spread, end], queue_limit=1)
    for _ in range(3):
        store.set("job", text="seed")
    store.wait(timeout=60)
    assert store.sql("SELECT COUNT(other_done) FROM job").column(0)[0].as_py() == 300


def test_p12_where_nobody_works_a_full_queue_is_an_error_that_says_so(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("motion.store.backpressure.PATIENCE_S", 0.2)
    store = open_store(schemas=SCHEMAS, triggers=[gated(str)], run=False, queue_limit=3)
    for i in range(3):
        store.set("job", text=f"{i}")
    with pytest.raises(motion.QueueFull, match=r"holds 3 tasks \(limit: 3\).*queue_limit="):
        store.set("job", text="one too many")
    assert len(store.rows("job")) == 3


@pytest.mark.parametrize("limit", [0, -1, 1.5, None])
def test_a_queue_limit_out_of_range_is_refused(open_store: OpenStore, limit: Any) -> None:
    with pytest.raises(motion.MotionError, match="queue_limit"):
        open_store(schemas=SCHEMAS, queue_limit=limit)


def test_p12_tasks_of_triggers_that_are_gone_take_no_room_and_can_be_dropped(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on=motion.deleted("job"))
    def mourn(text: str) -> None:
        raise ValueError("nobody mourns")

    gate = Gate()
    store = open_store(schemas=SCHEMAS, triggers=[gated(gate), mourn], run=False)
    store.set_many("job", [{"id": 2 * i, "text": "x"} for i in range(1, 6)])
    store.delete("job", 2)
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=[], run=True, queue_limit=2)
    store.set("job", id=100, text="there is room")
    assert store.status().orphaned == 6
    assert (store.drop("mourn"), store.drop(), store.drop()) == (1, 5, 0)
    assert store.status().orphaned == 0
    assert kept_events(store) == []
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=[gated(gate), mourn])
    gate.open()
    store.wait(timeout=60)
    assert (gate.calls, store.errors()) == ([], [])


def kept_events(store: motion.Store) -> object:
    return store.sql('select * from "motion_rows_mourn:deleted:job"').to_pylist()


def test_only_what_is_kept_for_triggers_that_are_gone_can_be_dropped(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[gated(Gate())], run=False)
    with pytest.raises(motion.TriggerError, match="has trigger 'gated'"):
        store.drop("gated")
    with pytest.raises(motion.TriggerError, match="Did you mean 'gated'"):
        store.drop("gate")
