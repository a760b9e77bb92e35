"""Size: what a queue of a million tasks and a table of millions of rows cost, against small ones."""

from __future__ import annotations

import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import motion
from benchmarks import machine
from benchmarks.machine import Figure

MANY_TASKS, FEW_TASKS = 1_000_000, 1_000
MANY_ROWS, FEW_ROWS = 3_000_000, 3_000
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Entry:
    id: int
    number: int
    double: int


@motion.trigger(on="entry.number", sets="entry.double", inline=False)
def double(number: int) -> int:
    return 2 * number


@contextmanager
def store(place: str, triggers: list[object] | None = None, *, run: bool) -> Iterator[motion.Store]:
    with motion.create_store(
        "scale",
        schemas={"entry": Entry},
        triggers=triggers,
        url=place,
        durability="normal",
        run=run,
    ) as opened:
        yield opened


def long_queue() -> list[Figure]:
    """Drain a queue of a million tasks of one row each; limit: one of a thousand, each with a store of its own."""
    few = statistics.median(_drained(FEW_TASKS)[0] for _ in range(5))
    many, grown_mb = _drained(MANY_TASKS)
    return [
        Figure(
            f"queue of {MANY_TASKS:,} tasks, drained", many, "tasks/s", few, many / few,
            f"of one of {FEW_TASKS:,}", "≥ 0.8", "",
        ),
        Figure(
            "the same: memory", grown_mb, "MB", 100, grown_mb / 100, "of what is allowed", "< 100 MB", ""
        ),
    ]  # fmt: skip


def large_table() -> list[Figure]:
    """One `set` of a new row, and one `get`, in a table of three million rows; limit: in one of three thousand."""
    few, many = _set_and_get_ms(FEW_ROWS), _set_and_get_ms(MANY_ROWS)
    return [
        Figure(
            f"`{name}` in a table of {MANY_ROWS:,} rows", large, "ms p50", small, large / small,
            f"times one of {FEW_ROWS:,}", "≤ 1.5", "",
        )
        for name, small, large in zip(("set", "get"), few, many, strict=True)
    ]  # fmt: skip


def pruned() -> list[Figure]:
    """Remove a million rows by `set_many(prune=)`, and set one row again and again beside it; limit: what is allowed."""
    took_s, longest_ms, alone_ms = _pruned(MANY_TASKS)
    return [
        Figure(
            f"{MANY_TASKS:,} rows removed by `prune=`", took_s, "s", 10, took_s / 10, "of what is allowed", "≤ 10 s", ""
        ),
        Figure(
            f"a `set` beside it ({alone_ms:.1f} ms alone)", longest_ms, "ms, the longest", 50, longest_ms / 50,
            "of what is allowed", "≤ 50 ms", "",
        ),
    ]  # fmt: skip


def _pruned(count: int) -> tuple[float, float, float]:
    """Return how long it took, and how long the longest `set` took beside it and, at the median, before it."""
    with (
        tempfile.TemporaryDirectory() as folder,
        store(f"sqlite:///{folder}/store", run=False) as opened,
    ):
        opened.set_many("entry", ({"number": 1} for _ in range(count)))
        kept = opened.set("entry", number=2).id
        alone_ms = _median_ms(lambda: opened.set("entry", id=kept, double=time.perf_counter_ns()))
        taken_s, is_over = [0.0], threading.Event()

        def set_on() -> None:
            while not is_over.wait(0.002):
                started = time.perf_counter()
                opened.set("entry", id=kept, double=time.perf_counter_ns())
                taken_s.append(time.perf_counter() - started)

        setting = threading.Thread(target=set_on)
        setting.start()
        started = time.perf_counter()
        opened.set_many("entry", [{"number": 1}], prune="number")
        took_s = time.perf_counter() - started
        is_over.set()
        setting.join()
        assert len(opened.rows("entry")) == 2, "what was given is left, and what has another value"
    return took_s, 1000 * max(taken_s), alone_ms


def _set_and_get_ms(count: int) -> tuple[float, float]:
    ids = Random(7)
    with (
        tempfile.TemporaryDirectory() as folder,
        store(f"sqlite:///{folder}/store", run=False) as opened,
    ):
        opened.set_many("entry", ({"number": i} for i in range(count)))
        return (
            _median_ms(lambda: opened.set("entry", number=7)),
            _median_ms(lambda: opened.get("entry", ids.randint(1, count))),
        )


def _drained(count: int) -> tuple[float, float]:
    """Return tasks/s, and by how many MB the process grew at most while it drained them."""
    with tempfile.TemporaryDirectory() as folder:
        place = f"sqlite:///{folder}/store"
        with store(place, [double], run=False) as opened:
            # Every second id, so that no two rows make one task.
            opened.set_many("entry", ({"id": 2 * i + 2, "number": i} for i in range(count)))
        with _peak_memory() as peak:
            before = _memory_mb()
            started = time.perf_counter()
            with store(place, [double], run=True) as opened:
                opened.wait()
                taken = time.perf_counter() - started
                total = opened.sql("SELECT SUM(double) FROM entry").column(0)[0].as_py()
        assert total == count * (count - 1), "each row has its value"
        return count / taken, max(peak) - before


@contextmanager
def _peak_memory() -> Iterator[list[float]]:
    """Give a list that memory is noted in, a hundred times a second."""
    seen, is_over = [_memory_mb()], threading.Event()

    def note() -> None:
        while not is_over.wait(0.01):
            seen[:] = [max(seen[0], _memory_mb())]

    noting = threading.Thread(target=note)
    noting.start()
    yield seen
    is_over.set()
    noting.join()


def _memory_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES / 1e6


def _median_ms(work: Callable[[], object], count: int = 500) -> float:
    return 1000 * machine.median_of(count, lambda: machine.seconds(work))
