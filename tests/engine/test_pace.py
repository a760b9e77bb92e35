"""Rates and batches that fill: how fast triggers are called, and that nothing else waits with them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import motion
from motion import clock
from tests.conftest import OpenStore, until


@dataclass
class Doc:
    id: int
    text: str
    loud: str
    at: int
    length: int


SCHEMAS = {"doc": Doc}
LATE_MS = 100
"""Turns this old are made up for."""


@motion.trigger(on="doc.text", sets="doc.length", inline=False)
def length(text: str) -> int:
    return len(text)


def spread(calls: list[int], since: int, interval_ms: float) -> bool:
    """Whether calls that began at these times kept to a rate, however late each was: none came before its turn."""
    turns = [since - LATE_MS + i * interval_ms for i in range(len(calls))]
    return all(call >= turn - 1 for call, turn in zip(sorted(calls), turns, strict=True))


@pytest.mark.parametrize("threads", [1, 3])
def test_calls_of_a_plain_function_are_spread(threads: int, open_store: OpenStore) -> None:
    calls = []

    @motion.trigger(on="doc.text", sets="doc.loud", rate="1200/min", concurrency=threads)
    def shout(text: str) -> str:
        calls.append(clock.now_ms())
        return text.upper()

    store = open_store(schemas=SCHEMAS, triggers=[shout])
    since = clock.now_ms()
    store.set_many("doc", [{"text": "a"} for _ in range(20)]).wait()
    assert len(calls) == 20
    assert spread(calls, since, 50)


def test_calls_of_an_async_function_are_spread_though_they_overlap(open_store: OpenStore) -> None:
    calls, at_once = [], [0, 0]

    @motion.trigger(on="doc.text", sets="doc.loud", rate="20/s", concurrency=8, timeout=5)
    async def shout(text: str) -> str:
        calls.append(clock.now_ms())
        at_once[0] += 1
        at_once[1] = max(at_once)
        await asyncio.sleep(0.3)
        at_once[0] -= 1
        return text.upper()

    store = open_store(schemas=SCHEMAS, triggers=[shout])
    since = clock.now_ms()
    store.set_many("doc", [{"text": "a"} for _ in range(20)]).wait()
    assert len(calls) == 20
    assert spread(calls, since, 50)
    assert 2 <= at_once[1] <= 8


def test_waiting_for_a_turn_is_no_part_of_a_calls_timeout(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud", rate="10/s", timeout=0.3)
    async def shout(text: str) -> str:
        return text.upper()

    store = open_store(schemas=SCHEMAS, triggers=[shout])
    store.set_many("doc", [{"text": "a"} for _ in range(10)]).wait()
    assert store.errors() == []


def test_a_call_for_a_batch_is_one_call_and_so_is_each_half_of_one_that_raised(
    open_store: OpenStore,
) -> None:
    calls, sizes = [], []

    @motion.trigger(on="doc.text", sets="doc.loud", rate="20/s", batch=8)
    def shout(text: list[str]) -> list[str]:
        calls.append(clock.now_ms())
        sizes.append(len(text))
        if "bad" in text:
            raise ValueError("one of these is bad")
        return [each.upper() for each in text]

    store = open_store(schemas=SCHEMAS, triggers=[shout], run=False)
    store.set_many("doc", [{"text": "bad" if i == 3 else "a"} for i in range(16)])
    store.close()
    since = clock.now_ms()
    store = open_store(schemas=SCHEMAS, triggers=[shout])
    store.wait(timeout=60)
    assert sorted(sizes) == [1, 1, 2, 2, 4, 4, 8, 8]
    assert spread(calls, since, 50)
    assert len(store.errors()) == 1


def test_rows_whose_turn_has_not_come_are_not_claimed_and_hold_nobody_up(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud", rate="2/hour")
    def shout(text: str) -> str:
        return text.upper()

    store = open_store(schemas=SCHEMAS, triggers=[shout, length])
    change = store.set_many("doc", [{"text": "abc"} for _ in range(3)])
    until(store, lambda: [row.length for row in store.rows("doc")] == [3, 3, 3])
    until(store, lambda: store.status().tasks["shout"] == {"ready": 1})
    assert change.progress.remaining == 2
    clock.advance(1801)
    until(store, lambda: change.progress.remaining == 1)
    clock.advance(1801)
    change.wait()
    assert [row.loud for row in store.rows("doc")] == ["ABC"] * 3


def test_turns_that_no_call_needed_are_given_back(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud", rate="2/hour", memo=True)
    def shout(text: str) -> str:
        return text.upper()

    store = open_store(schemas=SCHEMAS, triggers=[shout])
    store.set("doc", text="a").wait()
    clock.advance(1801)
    for _ in range(5):
        store.set("doc", text="a").wait()  # the same turn again and again, as nothing is called
    assert [row.loud for row in store.rows("doc")] == ["A"] * 6


def test_turns_are_kept_when_a_store_is_closed(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud", rate="2/hour")
    def shout(text: str) -> str:
        return text.upper()

    store = open_store(schemas=SCHEMAS, triggers=[shout])
    store.set("doc", text="a").wait()
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=[shout, length])
    store.set("doc", text="b").wait("length")
    until(store, lambda: store.status().tasks["shout"] == {"ready": 1})
    assert [row.loud for row in store.rows("doc")] == ["A", None]


def plain(text: str) -> str:
    return text.upper()


async def coroutine(text: str) -> str:
    return text.upper()


def in_lists(text: list[str]) -> list[str]:
    return [each.upper() for each in text]


@pytest.mark.parametrize("function", [plain, coroutine, in_lists])
def test_a_clock_that_is_put_back_holds_no_turn_up(
    open_store: OpenStore, function: Callable[..., Any]
) -> None:
    options: Any = {"batch": 2} if function is in_lists else {}
    shout = motion.trigger(on="doc.text", sets="doc.loud", rate="20/s", **options)(function)
    clock.advance(3_600)
    store = open_store(schemas=SCHEMAS, triggers=[shout])
    store.set_many("doc", [{"text": "a"} for _ in range(4)]).wait()
    clock.reset()
    store.set_many("doc", [{"text": "b"} for _ in range(4)]).wait(timeout=60)
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=[shout])
    store.set("doc", text="c").wait(timeout=60)
    assert [row.loud for row in store.rows("doc")] == [*"AAAABBBBC"]


def test_a_rate_is_of_all_processes_together(tmp_path: Path, open_store: OpenStore) -> None:
    url = f"sqlite:///{tmp_path / 'shared'}.motion"
    store = open_store("shared", schemas=SCHEMAS, url=url)
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", RUNS, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
    since = clock.now_ms()
    store.set_many("doc", [{"text": "a"} for _ in range(30)])
    until(store, lambda: all(row.at for row in store.rows("doc")), timeout_s=30)
    for process in processes:
        process.communicate("stop\n", timeout=60)
    assert spread([row.at for row in store.rows("doc")], since, 50)


RUNS = """
import sys
from dataclasses import dataclass

import motion
from motion import clock

@dataclass
class Doc:
    id: int
    text: str
    loud: str
    at: int
    length: int

@motion.trigger(on="doc.text", sets="doc.at", rate="20/s")
def at(text: str) -> int:
    return clock.now_ms()

store = motion.create_store(
    "shared", schemas={"doc": Doc}, triggers=[at], url=sys.argv[1], durability="normal"
)
store.set("doc", id=1_000_000).wait()
store.delete("doc", 1_000_000)
print("open", flush=True)
sys.stdin.readline()
store.close()
"""


def test_a_batch_waits_until_it_is_full_and_no_longer_than_it_may(open_store: OpenStore) -> None:
    sizes: list[int] = []

    @motion.trigger(on="doc.text", sets="doc.loud", batch=8, batch_wait=3600)
    def shout(text: list[str]) -> list[str]:
        sizes.append(len(text))
        return [each.upper() for each in text]

    store = open_store(schemas=SCHEMAS, triggers=[shout, length])
    for _ in range(5):
        store.set("doc", text="a")
    until(store, lambda: all(row.length for row in store.rows("doc")))
    assert sizes == []
    for _ in range(5):
        store.set("doc", text="a")
    until(store, lambda: sum(row.loud == "A" for row in store.rows("doc")) == 8)
    until(store, lambda: store.status().tasks["shout"] == {"ready": 2})

    def is_over() -> bool:
        clock.advance(3601)  # again and again: it fills from when the worker first looks
        return len(sizes) == 2

    until(store, is_over)
    store.wait(timeout=60)
    assert sizes == [8, 2]


def test_a_batch_that_fills_while_nobody_sets_anything_runs_when_its_time_is_over(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud", batch=64, batch_wait=0.05)
    def shout(text: list[str]) -> list[str]:
        return [each.upper() for each in text]

    store = open_store(schemas=SCHEMAS, triggers=[shout])
    assert store.set("doc", text="a").wait().rows()[0].loud == "A"


def test_a_full_batch_does_not_wait(open_store: OpenStore) -> None:
    sizes = []

    @motion.trigger(on="doc.text", sets="doc.loud", batch=8, batch_wait=3600)
    def shout(text: list[str]) -> list[str]:
        sizes.append(len(text))
        return [each.upper() for each in text]

    store = open_store(schemas=SCHEMAS, triggers=[shout])
    store.set_many("doc", [{"text": "a"} for _ in range(24)]).wait()
    assert sizes == [8, 8, 8]


def test_a_method_of_a_component_has_a_rate_and_a_batch_that_fills(open_store: OpenStore) -> None:
    may_run = threading.Event()

    class Shouter(motion.Component):
        def setup(self) -> dict[str, str]:
            return {"end": "!"}

        @motion.infer(on="doc.text", sets="doc.loud", batch=2, batch_wait=3600, rate="100/s")
        def shout(self, state: dict[str, str], text: list[str]) -> list[str]:
            assert may_run.is_set()
            return [each.upper() + state["end"] for each in text]

    store = open_store(schemas=SCHEMAS, triggers=[Shouter(), length])
    store.set("doc", text="a").wait("length")
    may_run.set()
    store.set("doc", text="b")
    store.wait(timeout=60)
    assert [row.loud for row in store.rows("doc")] == ["A!", "B!"]


@pytest.mark.parametrize("rate", ["600", "600/day", "0/s", "-1/s", "many/min", "", 600, "1/s/s"])
def test_a_rate_that_is_none_is_refused_where_it_is_written(rate: Any) -> None:
    with pytest.raises(motion.TriggerError, match="'600/min'"):
        motion.trigger(on="doc.text", sets="doc.loud", rate=rate)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"batch_wait": 1}, "it needs batch="),
        ({"rate": "1/s", "inline": True}, "rate="),
        ({"batch": 2, "batch_wait": -1}, "at least 0"),
        ({"batch": 2, "batch_wait": "soon"}, "is a number"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    options: dict[str, Any], said: str, open_store: OpenStore
) -> None:
    def declared() -> None:
        mark = motion.trigger(on="doc.text", sets="doc.loud", name="x", **options)
        open_store(schemas=SCHEMAS, triggers=[mark(lambda text: text)])

    with pytest.raises(motion.TriggerError, match=said):
        declared()
