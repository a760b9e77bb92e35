"""Calls that last, as model calls do: how many are under way, when what they gave shows, and what a kill costs."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import motion
from benchmarks.machine import Figure

CALLS, AT_ONCE, CALL_S = 40, 8, 0.3
STREAMS, TOKENS, TOKEN_S = 32, 20, 0.05
AWAITS = 10_000


@dataclass
class Job:
    id: int
    text: str
    answer: str


def jobs(count: int) -> list[dict[str, Any]]:
    return [{"id": i, "text": f"t{i}"} for i in range(1, count + 1)]


def calls() -> list[Figure]:
    """40 calls of 0.3 s, 8 at once, in a new store; limit: five rounds of them."""

    @motion.trigger(on="job.text", sets="job.answer", concurrency=AT_ONCE)
    def answer(text: str) -> str:
        time.sleep(CALL_S)
        return text.upper()

    with tempfile.TemporaryDirectory() as folder, _opened(folder, answer) as store:
        started, first = time.perf_counter(), 0.0
        change = store.set_many("job", jobs(CALLS))
        for _ in change.stream("answer"):
            first = first or time.perf_counter() - started
        taken = time.perf_counter() - started
    ideal = CALLS / AT_ONCE * CALL_S
    work = f"{CALLS} calls of {CALL_S} s, `concurrency={AT_ONCE}`, new store"
    return [
        Figure(work, taken, "s", ideal, taken / ideal, "times", "≤ 1.15", "1.05"),
        Figure(
            f"{work}: the first shows", first, "s", CALL_S, first / CALL_S, "times", "≤ 0.4 s", ""
        ),
    ]


def streams() -> Figure:
    """32 token streams at once, each read by a thread; limit: when its model gave its first token."""
    given: dict[str, float] = {}
    seen: dict[str, float] = {}

    @motion.trigger(on="job.text", sets="job.answer", concurrency=STREAMS)
    def answer(text: str) -> Iterator[str]:
        time.sleep(CALL_S)
        for i in range(TOKENS):
            given.setdefault(text, time.perf_counter())
            yield f"token{i} "
            time.sleep(TOKEN_S)

    with tempfile.TemporaryDirectory() as folder, _opened(folder, answer) as store:

        def read(text: str) -> None:
            for _ in store.set("job", text=text).stream("answer", parts=True):
                seen.setdefault(text, time.perf_counter())

        threads = [threading.Thread(target=read, args=(f"t{i}",)) for i in range(STREAMS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    late = sorted(seen[text] - given[text] for text in seen)
    work = f"{STREAMS} token streams at once: the latest first token, after its model's"
    return Figure(work, late[-1], "s", late[len(late) // 2], late[-1], "s", "≤ 0.2", "0.05")


KILLED = """
import sys, time, motion
from benchmarks.slow import Job, jobs

@motion.trigger(on="job.text", sets="job.answer", concurrency=8)
def answer(text: str) -> str:
    with open(sys.argv[2], "a") as file:
        file.write(f"{text}\\n")
    time.sleep(0.2)
    return text.upper()

store = motion.create_store("bench", schemas={"job": Job}, triggers=[answer], url=sys.argv[1])
store.set_many("job", jobs(100))
store.wait(timeout=60)
"""


def killed(after_s: float = 1.5) -> Figure:
    """kill -9 during calls of 0.2 s, 8 at once, then the rest; limit: the calls that were under way."""
    with tempfile.TemporaryDirectory() as folder:
        url, calls = f"sqlite:///{folder}/store", Path(folder, "calls")
        command = [sys.executable, "-c", KILLED, url, str(calls)]
        first = subprocess.Popen(command)
        while not calls.exists():
            time.sleep(0.01)
        time.sleep(after_s)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        subprocess.run(command, check=True)
        again = len(calls.read_text().split()) - 100
    work = "kill -9 during calls of 0.2 s, `concurrency=8`: calls made again"
    return Figure(work, again, "calls", 8, again / 8, "of those under way", "≤ 1", "")


def awaits() -> Figure:
    """A `get` beside 10,000 `await change`; limit: one beside none."""

    @motion.trigger(on="job.text", sets="job.answer")
    async def answer(text: str) -> str:
        await over.wait()
        return text.upper()

    over = asyncio.Event()

    async def measured(store: motion.Store) -> tuple[float, float]:
        alone = await _gets(store)
        changes = store.set_many("job", jobs(100))
        one = store.change(changes.key)
        waits = [asyncio.create_task(_awaited(one)) for _ in range(AWAITS)]
        await asyncio.sleep(1)
        beside = await _gets(store)
        assert threading.active_count() < 100, f"{threading.active_count()} threads"
        for wait in waits:
            wait.cancel()
        return beside, alone

    with tempfile.TemporaryDirectory() as folder, _opened(folder, answer) as store:
        beside, alone = asyncio.run(measured(store))
    work = f"a `get` beside {AWAITS:,} `await change`"
    return Figure(work, 1000 * beside, "ms p50", 1000 * alone, beside / alone, "times", "≤ 2", "")


async def _awaited(change: motion.Change) -> None:
    await change


async def _gets(store: motion.Store) -> float:
    taken = []
    for _ in range(200):
        started = time.perf_counter()
        await store.aio.get("job", 1)
        taken.append(time.perf_counter() - started)
        await asyncio.sleep(0.002)
    return statistics.median(taken)


def _opened(folder: str, *triggers: Any) -> motion.Store:
    url = f"sqlite:///{folder}/store"
    return motion.create_store("bench", schemas={"job": Job}, triggers=triggers, url=url)
