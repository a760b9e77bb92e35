"""Triggers on schedules: each occurrence once, durable, whoever is there to run it."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import motion
from motion import clock
from motion.testing import Stepper
from tests.conftest import OpenStore, until

HOUR_S = 3600.0


@dataclass
class Tick:
    id: int
    ts: int
    who: str
    long: int


SCHEMAS = {"tick": Tick}


def ticking(on: Any, **options: Any) -> Any:
    """Return a trigger that writes a row at each occurrence."""

    @motion.trigger(on=on, name="ticking", **options)
    def tick(store: motion.View) -> None:
        store.set("tick", who="tick")

    return tick


def ticks(store: motion.Store) -> int:
    return len(store.rows("tick"))


def test_an_interval_runs_again_and_again_without_any_write(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[ticking(motion.every(seconds=0.1))])
    until(store, lambda: ticks(store) >= 3)


def test_an_interval_shorter_than_the_look_at_the_clock_is_kept(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[ticking(motion.every(seconds=0.1))], run=False)
    with Stepper(store) as worker:
        worker.run_until_idle()
        for count in range(1, 6):
            clock.advance(0.1)
            worker.run_until_idle()
            assert ticks(store) >= count


def test_a_cron_expression_runs_when_its_time_has_come_and_not_before(
    open_store: OpenStore,
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[ticking(motion.cron("0 0 1 1 *"))])
    store.set("tick", who="user")
    store.wait(timeout=60)
    assert ticks(store) == 1
    clock.advance(366 * 24 * HOUR_S)
    until(store, lambda: ticks(store) == 2)


def test_future_occurrences_are_no_work_to_wait_for(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[ticking(motion.every(hours=1))])
    store.wait(timeout=5)
    assert ticks(store) == 0


def test_what_is_due_after_time_was_moved_is_waited_for(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[ticking(motion.every(hours=1))])
    for hours in (1, 2, 3):
        clock.advance(HOUR_S + 1)
        store.wait(timeout=60)
        assert ticks(store) == hours


def test_a_retry_that_is_due_after_time_was_moved_is_waited_for(open_store: OpenStore) -> None:
    failed: list[int] = []

    @motion.trigger(on="tick.who", sets="tick.long", retries=1)
    def measure(who: str) -> int:
        if not failed:
            failed.append(1)
            raise ValueError(who)
        return len(who)

    store = open_store(schemas=SCHEMAS, triggers=[measure])
    store.set("tick", id=1, who="user")
    until(store, lambda: "postponed" in store.status().triggers["measure"].tasks)
    clock.advance(HOUR_S)
    store.wait(timeout=60)
    assert store.rows("tick")[0].long == 4


def test_occurrences_missed_while_nobody_ran_are_made_up_for_once(open_store: OpenStore) -> None:
    trigger = ticking(motion.every(hours=1))
    open_store(schemas=SCHEMAS, triggers=[trigger]).close()
    clock.advance(10.5 * HOUR_S)
    store = open_store(schemas=SCHEMAS, triggers=[trigger])
    until(store, lambda: ticks(store) == 1)
    store.wait(timeout=60)
    clock.advance(0.4 * HOUR_S)
    store.set("tick", who="user")
    store.wait(timeout=60)
    assert ticks(store) == 2  # the schedule is as it was: the eleventh hour is not over yet
    clock.advance(0.2 * HOUR_S)
    until(store, lambda: ticks(store) == 3)


def test_a_store_that_is_opened_again_keeps_the_time_of_the_next_occurrence(
    open_store: OpenStore,
) -> None:
    trigger = ticking(motion.every(hours=1))
    open_store(schemas=SCHEMAS, triggers=[trigger]).close()
    clock.advance(0.6 * HOUR_S)
    open_store(schemas=SCHEMAS, triggers=[trigger]).close()
    clock.advance(0.6 * HOUR_S)
    store = open_store(schemas=SCHEMAS, triggers=[trigger])
    until(store, lambda: ticks(store) == 1)


def test_another_schedule_for_a_trigger_begins_anew(open_store: OpenStore) -> None:
    open_store(schemas=SCHEMAS, triggers=[ticking(motion.every(hours=1))]).close()
    clock.advance(0.9 * HOUR_S)
    store = open_store(schemas=SCHEMAS, triggers=[ticking(motion.every(hours=2))])
    clock.advance(1.9 * HOUR_S)
    store.set("tick", who="user")
    store.wait(timeout=60)
    assert ticks(store) == 1
    clock.advance(0.2 * HOUR_S)
    until(store, lambda: ticks(store) == 2)


def test_occurrences_that_come_during_a_run_wait_for_its_end_and_are_one(
    open_store: OpenStore,
) -> None:
    begun, may_end, runs = threading.Event(), threading.Event(), []

    @motion.trigger(on=motion.every(hours=1), concurrency=4)
    def slow(store: motion.View) -> None:
        runs.append(1)
        begun.set()
        assert may_end.wait(10)
        store.set("tick", who="slow", long=len(runs))

    store = open_store(schemas=SCHEMAS, triggers=[slow, ticking(motion.every(hours=1))])
    clock.advance(1.1 * HOUR_S)
    assert begun.wait(10)
    until(store, lambda: ticks(store) == 1)
    clock.advance(5 * HOUR_S)
    until(store, lambda: ticks(store) == 2)  # so what is due has been seen to
    assert store.status().tasks["slow"] == {"claimed": 1}
    may_end.set()
    until(store, lambda: len(store.rows("tick", where={"who": "slow"})) == 2)
    store.wait(timeout=60)
    assert [row.long for row in store.rows("tick", where={"who": "slow"})] == [1, 2]


def test_a_failing_occurrence_is_retried_and_then_shown_until_the_next_one_succeeds(
    open_store: OpenStore,
) -> None:
    attempts: list[int] = []

    @motion.trigger(on=motion.every(hours=1), retries=1)
    def broken(store: motion.View) -> None:
        attempts.append(1)
        if len(attempts) <= 2:
            raise ValueError("no network")
        store.set("tick", who="broken")

    store = open_store(schemas=SCHEMAS, triggers=[broken])
    clock.advance(1.1 * HOUR_S)
    until(store, lambda: len(store.errors()) == 1)
    (letter,) = store.errors("broken")
    assert (letter.table, letter.attempts) == ("schedule", 2)
    assert "no network" in letter.error
    assert letter.row.startswith("id=20")
    store.wait(timeout=5)  # a dead letter is no work
    clock.advance(1 * HOUR_S)
    until(store, lambda: ticks(store) == 1)
    assert store.errors() == []


def test_an_occurrence_that_was_given_up_can_be_tried_again(open_store: OpenStore) -> None:
    is_broken = [True]

    @motion.trigger(on=motion.every(hours=1))
    def broken(store: motion.View) -> None:
        if is_broken:
            raise ValueError("no network")
        store.set("tick", who="broken")

    store = open_store(schemas=SCHEMAS, triggers=[broken])
    clock.advance(1.1 * HOUR_S)
    until(store, lambda: len(store.errors()) == 1)
    is_broken.clear()
    assert store.retry("broken") == 1
    store.wait(timeout=60)
    assert ticks(store) == 1


def test_an_async_function_runs_on_a_schedule(open_store: OpenStore) -> None:
    @motion.trigger(on=motion.every(seconds=0.1), timeout=5)
    async def tick(store: motion.View) -> None:
        store.set("tick", who="async")

    store = open_store(schemas=SCHEMAS, triggers=[tick])
    until(store, lambda: ticks(store) >= 2)


def test_a_components_method_runs_on_a_schedule_with_its_state(open_store: OpenStore) -> None:
    class Greeter(motion.Component):
        def setup(self) -> dict[str, str]:
            return {"name": "Ada"}

        @motion.infer(on=motion.every(seconds=0.1))
        def greet(self, state: dict[str, str], store: motion.View) -> None:
            store.set("tick", who=state["name"])

    store = open_store(schemas=SCHEMAS, triggers=[Greeter()])
    until(store, lambda: ticks(store) >= 1)
    assert store.rows("tick")[0].who == "Ada"


def test_what_a_run_writes_fires_triggers(open_store: OpenStore) -> None:
    @motion.trigger(on="tick.who", sets="tick.long")
    def length(who: str) -> int:
        return len(who)

    store = open_store(schemas=SCHEMAS, triggers=[ticking(motion.every(seconds=0.1)), length])
    until(store, lambda: any(row.long == 4 for row in store.rows("tick")))


def test_triggers_given_to_an_open_store_begin_their_schedules(open_store: OpenStore) -> None:
    open_store(schemas=SCHEMAS, run=True)
    store = open_store(schemas=SCHEMAS, triggers=[ticking(motion.every(seconds=0.1))])
    until(store, lambda: ticks(store) >= 1)


def test_a_schedule_that_is_gone_does_not_occur(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[ticking(motion.every(hours=1))])
    open_store(schemas=SCHEMAS, triggers=[ticking("tick.long")])
    clock.advance(2 * HOUR_S)
    store.set("tick", who="user")
    store.wait(timeout=60)
    assert ticks(store) == 1


RUNS = """
import sys
from dataclasses import dataclass

import motion

@dataclass
class Tick:
    id: int
    ts: int
    who: str
    long: int

@motion.trigger(on=motion.every(seconds=0.2))
def tick(store: motion.View) -> None:
    store.set("tick", who=sys.argv[2])

store = motion.create_store(
    "shared", schemas={"tick": Tick}, triggers=[tick], url=sys.argv[1], durability="normal"
)
print("open", flush=True)
sys.stdin.readline()
store.close()
"""


def test_p11_among_several_processes_each_occurrence_runs_once(
    tmp_path: Path, open_store: OpenStore
) -> None:
    url = f"sqlite:///{tmp_path / 'shared'}.motion"
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", RUNS, url, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
    store = open_store("shared", schemas=SCHEMAS, url=url)
    until(store, lambda: ticks(store) >= 8)
    for process in processes:
        process.communicate("stop\n", timeout=60)
        assert process.returncode == 0
    stamps = sorted(row.ts for row in store.rows("tick"))
    assert (
        len(stamps) <= (stamps[-1] - stamps[0]) / 200 + 2
    )  # the first may be late, the last on time


DIES = """
import os
import sys
import threading
from dataclasses import dataclass

import motion
from motion import clock

@dataclass
class Tick:
    id: int
    ts: int
    who: str
    long: int

@motion.trigger(on=motion.every(hours=1), name="ticking", version="1")
def hourly(store: motion.View) -> None:
    store.set("tick", who="hourly")
    os._exit(9)

@motion.trigger(on=motion.deleted("tick"), name="gone", version="1")
def gone(id: int, store: motion.View) -> None:
    store.set("tick", who=f"gone {id}")
    os._exit(9)

triggers = [hourly, gone]
store = motion.create_store(
    "shared", schemas={"tick": Tick}, triggers=triggers, url=sys.argv[1], durability="normal"
)
if sys.argv[2] == "occurrence":
    clock.advance(3601)
else:
    store.set("tick", id=7)
    store.delete("tick", 7)
threading.Event().wait(30)
"""


@pytest.mark.parametrize("event", ["occurrence", "deletion"])
def test_p2_an_event_whose_process_is_killed_in_its_run_takes_effect_once(
    event: str, tmp_path: Path, open_store: OpenStore
) -> None:
    url = f"sqlite:///{tmp_path / 'shared'}.motion"
    killed = subprocess.run(
        [sys.executable, "-W", "error", "-c", DIES, url, event],
        timeout=60,
        check=False,
    )
    assert killed.returncode == 9

    @motion.trigger(on=motion.deleted("tick"), name="gone", version="1")
    def gone(id: int, store: motion.View) -> None:
        store.set("tick", who=f"gone {id}")

    triggers = [ticking(motion.every(hours=1), version="1"), gone]
    store = open_store("shared", schemas=SCHEMAS, triggers=triggers, url=url)
    store.wait(timeout=60)
    expected = {"occurrence": "tick", "deletion": "gone 7"}[event]
    assert [row.who for row in store.rows("tick")] == [expected]


@pytest.mark.parametrize(
    ("function", "options", "said"),
    [
        (lambda row, store: None, {}, "there is no row"),
        (lambda id: None, {}, "there is no row"),
        (lambda who: None, {}, "parameter 'who' has no value"),
        (lambda store: None, {"sets": "tick.who"}, "sets= does not go with it"),
        (lambda store: None, {"batch": 2}, "batch="),
        (lambda store: None, {"when": bool}, "when="),
        (lambda store: None, {"inline": True}, "inline=True"),
        (lambda store: None, {"page": "who"}, "page="),
    ],
)
def test_what_needs_a_row_does_not_go_with_a_schedule(
    function: Any, options: dict[str, Any], said: str, open_store: OpenStore
) -> None:
    trigger = motion.trigger(on=motion.cron("0 * * * *"), name="hourly", **options)(function)
    with pytest.raises(motion.TriggerError, match=said):
        open_store(schemas=SCHEMAS, triggers=[trigger])
