"""What a call costs through each executor, one at a time and by the thousand."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

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
