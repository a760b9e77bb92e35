"""Three chained one-line triggers: text -> upper -> length -> half of it, in bulk, one row at a time, and again."""

from __future__ import annotations

import random
import statistics
import string
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import motion
from benchmarks import machine
from benchmarks.machine import Figure

MEMORY = Path("/dev/shm")
"""A disk in memory, where the system has one."""

QUICK_S = 1e-4
"""What a commit takes on the disk that single rows are held against."""


@dataclass
class Line:
    id: int
    text: str
    upper: str
    length: int
    half: float


def chain(*, inline: bool | None = None, ending: str = "") -> list[Callable[..., Any]]:
    """Return the three triggers. `ending` is part of the first one's code."""

    @motion.trigger(on="line.text", sets="line.upper", inline=inline)
    def upper(text: str) -> str:
        return text.upper() + ending

    @motion.trigger(on="line.upper", sets="line.length", inline=inline)
    def length(upper: str) -> int:
        return len(upper)

    @motion.trigger(on="line.length", sets="line.half", inline=inline)
    def half(length: int) -> float:
        return length * 0.5

    return [upper, length, half]


def texts(count: int) -> list[str]:
    """Return texts of 60 characters, always the same ones."""
    letters = random.Random(7)
    return ["".join(letters.choices(string.ascii_lowercase, k=60)) for _ in range(count)]


@contextmanager
def store(
    triggers: list[Callable[..., Any]],
    *,
    within: Path | None = None,
    **options: Any,
) -> Iterator[motion.Store]:
    """Open a new store, which has learned nothing of what its triggers cost."""
    with tempfile.TemporaryDirectory(dir=within) as folder:
        place = f"sqlite:///{folder}/store"
        opened = motion.create_store(
            "bench", schemas={"line": Line}, triggers=triggers, url=place, **options
        )
        yield opened
        opened.close()


def bulk(count: int, repeats: int = 5) -> Figure:
    """`set_many` of (id, text) rows into a new store until all derived values are readable; limit: inserting the finished
    rows."""
    given = texts(count)
    rows = [{"id": i, "text": text} for i, text in enumerate(given, 1)]
    finished = [(i, text, text.upper(), 60, 30.0) for i, text in enumerate(given)]

    def once() -> float:
        with store(chain()) as opened:
            started = time.perf_counter()
            opened.set_many("line", rows)
            opened.wait()
            taken = time.perf_counter() - started
            readable = (
                opened.sql("SELECT COUNT(*) FROM line WHERE half = 30.0").column(0)[0].as_py()
            )
            assert readable == count, f"{readable} of {count} rows have their last value"
        return taken

    with tempfile.TemporaryDirectory() as folder:
        columns = ["text", "upper", "length", "half"]
        limit = machine.median_of(
            repeats, lambda: machine.bulk_insert_s(Path(folder), columns, finished)
        )
    taken = machine.median_of(repeats, once)
    work = f"`set_many` of {count:,} rows into a new store, three chained triggers"
    return Figure(
        work, count / taken, "rows/s", count / limit, limit / taken, "share", "≥ 0.25", "0.45"
    )


def one_row(
    work: str,
    inline: bool | None,
    durability: Any,
    commits: int,
    must: str,
    aim: str,
    count: int = 200,
) -> Figure:
    """One `set` until its last derived value is readable; limit: `commits` raw durable commits of a row."""
    with store(chain(inline=inline), durability=durability) as opened:
        value, raw = beside_commits(partial(_set_and_wait, opened), count)
    limit = commits * raw
    return Figure(work, 1000 * value, "ms p50", 1000 * limit, value / limit, "times", must, aim)


def on_a_quick_disk(work: str, *, inline: bool | None, must: str, rounds: int = 5) -> Figure:
    """One `set`, the first ones of a new store, until its last derived value is readable, as it would be where a raw durable
    commit of a row takes 0.1 ms."""
    value = statistics.median(_on_the_line(inline) for _ in range(rounds))
    return Figure(
        work, 1000 * value, "ms p50", 1000 * QUICK_S, value / QUICK_S, "commits of 0.1 ms", must, ""
    )


def _on_the_line(inline: bool | None, count: int = 300) -> float:
    """Return what it takes on the line between this disk and one in memory, whose commits take next to nothing."""
    times, commits = [], []
    for within in (None, MEMORY):
        with store(chain(inline=inline), within=within) as opened:
            value, raw = beside_commits(partial(_set_and_wait, opened), count, within)
        times.append(value)
        commits.append(raw)
    share = (QUICK_S - commits[1]) / (commits[0] - commits[1])
    return times[1] + share * (times[0] - times[1])


def _set_and_wait(opened: motion.Store, text: str) -> None:
    opened.set("line", text=text).wait()


def nothing_listens(count: int = 200) -> Figure:
    """One `set` of a new row in a store without triggers; limit: a raw durable commit of a row."""
    with store([]) as opened:
        value, limit = beside_commits(lambda text: opened.set("line", text=text), count)
    work = "`set` when nothing listens"
    return Figure(work, 1000 * value, "ms p50", 1000 * limit, value / limit, "times", "≤ 1.5", "")


def threads(count: int = 64, each: int = 60) -> Figure:
    """Threads that set single rows durably, together; limit: one of them alone."""

    def commits_per_s(opened: motion.Store, workers: int) -> float:
        def work() -> None:
            for text in texts(each):
                opened.set("line", text=text)

        running = [threading.Thread(target=work) for _ in range(workers)]
        started = time.perf_counter()
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        return workers * each / (time.perf_counter() - started)

    with store([]) as opened:
        alone = commits_per_s(opened, 1)
        together = commits_per_s(opened, count)
    work = f"{count} threads, each setting single rows durably"
    return Figure(
        work, together, "sets/s", alone, together / alone, "times one thread", "≥ 10", "30"
    )


def changed_code(count: int = 10_000) -> Figure:
    """Rows remade through the chain after the first function changed; limit: inserting the finished rows."""
    with tempfile.TemporaryDirectory() as folder:
        place = f"sqlite:///{folder}/store"
        with motion.create_store(
            "bench", schemas={"line": Line}, triggers=chain(), url=place
        ) as first:
            first.set_many("line", [{"text": text} for text in texts(count)])
            first.wait()
        with motion.create_store(
            "bench", schemas={"line": Line}, triggers=chain(ending="!"), url=place
        ) as again:
            taken = machine.seconds(lambda: again.backfill("upper").wait(timeout=60))
            assert again.sql("SELECT MIN(half) FROM line").column(0)[0].as_py() == 30.5
        finished = [(i, "x" * 60, "X" * 61, 61, 30.5) for i in range(count)]
        limit = machine.bulk_insert_s(Path(folder), ["text", "upper", "length", "half"], finished)
    work = f"first function changed, {count:,} rows remade through the chain"
    return Figure(work, taken, "s", limit, taken / limit, "times", "≤ 0.3 s", "0.1 s")


def beside_commits(
    work: Callable[[str], Any], count: int, within: Path | None = None
) -> tuple[float, float]:
    """Return the median times of some work on a text and of a raw durable commit of a row, taken in turn."""
    with tempfile.TemporaryDirectory(dir=within) as folder:
        return in_turn(work, machine.committer(Path(folder)), count)


def in_turn(
    work: Callable[[str], Any], commit: Callable[[], Any], count: int
) -> tuple[float, float]:
    """Return the median times of some work on a text and of a commit, taken in turn."""
    taken, raw = [], []
    for text in texts(count):
        raw.append(machine.seconds(commit))
        started = time.perf_counter()
        work(text)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken), statistics.median(raw)
