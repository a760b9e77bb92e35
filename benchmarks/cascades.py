"""Three chained one-line triggers: text -> upper -> length -> half of it, in bulk and one row at a time."""

from __future__ import annotations

import random
import statistics
import string
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import motion
from benchmarks import machine


@dataclass
class Line:
    id: int
    text: str
    upper: str
    length: int
    half: float


@motion.trigger(on="line.text", sets="line.upper")
def upper(text: str) -> str:
    return text.upper()


@motion.trigger(on="line.upper", sets="line.length")
def length(upper: str) -> int:
    return len(upper)


@motion.trigger(on="line.length", sets="line.half")
def half(length: int) -> float:
    return length * 0.5


@dataclass(frozen=True)
class Figure:
    """One measured figure beside the machine's limit for the same work."""

    work: str
    value: float
    unit: str
    limit: float
    ratio: float


def texts(count: int) -> list[str]:
    """Return texts of 60 characters, always the same ones."""
    letters = random.Random(7)
    return ["".join(letters.choices(string.ascii_lowercase, k=60)) for _ in range(count)]


WARM_UP = 10


@contextmanager
def store() -> Iterator[motion.Store]:
    with tempfile.TemporaryDirectory() as folder:
        opened = motion.create_store(
            "bench",
            schemas={"line": Line},
            triggers=[upper, length, half],
            url=f"sqlite:///{folder}/store",
        )
        for i in range(WARM_UP):  # until the store has learned what the triggers cost
            opened.set("line", text=f"warm-up {i}").wait()
        yield opened
        opened.close()


def bulk(count: int, repeats: int = 5) -> Figure:
    """Measure `set_many` of (id, text) rows until all derived values are readable, against inserting finished rows."""
    given = texts(count)
    rows = [{"id": i, "text": text} for i, text in enumerate(given, WARM_UP + 1)]
    finished = [(i, text, text.upper(), 60, 30.0) for i, text in enumerate(given, WARM_UP + 1)]

    def once() -> float:
        with store() as opened:
            taken = machine.seconds(lambda: (opened.set_many("line", rows), opened.wait()))
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
    return Figure(
        f"set_many of {count:,} rows, three chained triggers",
        count / taken,
        "rows/s",
        count / limit,
        limit / taken,
    )


def one_row(count: int = 200) -> Figure:
    """Measure one `set` until its last derived value is readable, against one raw durable commit."""
    with store() as opened, tempfile.TemporaryDirectory() as folder:
        given = texts(count)
        taken = [
            machine.seconds(lambda text=text: opened.set("line", text=text).wait())  # type: ignore[misc]  # bound now
            for text in given
        ]
        limit = statistics.median(machine.durable_commits_s(Path(folder)))
    value = statistics.median(taken)
    return Figure(
        "one set, three chained triggers, p50", 1000 * value, "ms", 1000 * limit, value / limit
    )
