"""What a call costs through each executor, one at a time and by the thousand."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

import motion
from benchmarks.machine import Figure
from motion.executors.base import Executor
from motion.executors.inline import InlineExecutor
from motion.executors.processes import ProcessExecutor
from motion.executors.threads import ThreadExecutor

CALLS, ROWS = 2_000, 1_000


def shout(texts: list[str]) -> list[str]:
    return [text.upper() for text in texts]


def calls(
    name: str, make: Callable[[], Executor], rows: int, must: str, *, timeout_s: float | None = None
) -> Figure:
    """A call with `rows` short texts; limit: the same call in the calling thread."""
    given = ["a red dress for a summer wedding"] * rows
    executor, inline = make(), InlineExecutor()
    try:
        value = _ms(lambda: executor.run(partial, shout, given, timeout_s=timeout_s))
        limit = _ms(lambda: inline.run(partial, shout, given))
    finally:
        executor.close()
    work = f"a call of {rows:,} row{'s' if rows > 1 else ''} {name}"
    return Figure(work, value, "ms", limit, value - limit, "ms more", must, "")


def _ms(call: Callable[[], object]) -> float:
    taken = []
    for _ in range(CALLS // 10):
        call()
    for _ in range(CALLS):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return 1000 * statistics.median(taken)


def thread() -> Figure:
    return calls("in a thread", lambda: ThreadExecutor("bench"), 1, "≤ 0.1", timeout_s=60)


def process(rows: int, must: str) -> Figure:
    return calls("in a process", lambda: ProcessExecutor("bench"), rows, must)


def timed_process() -> Figure:
    make = partial(ProcessExecutor, "bench")
    return calls("in a process, for a limited time", make, 1, "≤ 0.5", timeout_s=60)


@dataclass
class Text:
    id: int
    text: str
    loud: str


BATCH, TEXTS, ROUNDS = 500, 20_000, 5


def on_ray() -> list[Figure]:
    """Rows through a store in batches of 500, on Ray's actors; limit: in processes of this machine. In turn, each once
    before it is measured."""
    with ExitStack() as opened:
        stores = {
            place: opened.enter_context(
                _shouting(place, opened.enter_context(TemporaryDirectory()))
            )
            for place in ("process", "ray")
        }
        taken: dict[str, list[float]] = {place: [] for place in stores}
        for number in range(ROUNDS + 1):
            for place, store in stores.items():
                rows = [{"id": i, "text": f"dress {number} {i}"} for i in range(TEXTS)]
                started = time.perf_counter()
                store.set_many("text", rows)
                store.wait(timeout=600)
                taken[place].append(time.perf_counter() - started)
        value, limit = (statistics.median(taken[place][1:]) for place in ("ray", "process"))
    work = f"{TEXTS:,} rows in batches of {BATCH} on Ray, to processes of this machine"
    return [Figure(work, value, "s", limit, value / limit, "×", "≤ 1.3", "")]


def _shouting(place: Any, folder: str) -> motion.Store:
    @motion.trigger(on="text.text", sets="text.loud", batch=BATCH, concurrency=2, executor=place)
    def shout_all(text: list[str]) -> list[str]:
        return [each.upper() for each in text]

    return motion.create_store(
        "shouting", schemas={"text": Text}, triggers=[shout_all], url=f"sqlite:///{folder}"
    )
