"""The machine's own limits, measured in the same minute as what is held against them."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One measured figure beside the machine's limit for the same work.

    Attributes:
        value: measured, in `unit`.
        limit: of the machine, in the same unit and run.
        ratio: what is held against `must` and `aim`, in the words of `means`.
    """

    work: str
    value: float
    unit: str
    limit: float
    ratio: float
    means: str
    must: str
    aim: str


def description() -> str:
    """Return what a reader needs to know of this machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, load {load:.1f} at the start"
    )


def seconds(work: Callable[[], Any]) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def median_of(repeats: int, measure: Callable[[], float]) -> float:
    return statistics.median(measure() for _ in range(repeats))


def connect(folder: Path) -> sqlite3.Connection:
    """Open a database as the store does: WAL, an fsync at each commit."""
    connection = sqlite3.connect(folder / "limit.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def bulk_insert_s(folder: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> float:
    """Return how long one transaction of finished rows takes: what any store must pay."""
    connection = connect(folder)
    connection.execute("DROP TABLE IF EXISTS bulk")
    connection.execute(f"CREATE TABLE bulk (id INTEGER PRIMARY KEY, {', '.join(columns)})")
    places = ", ".join("?" * (len(columns) + 1))

    def insert() -> None:
        connection.execute("BEGIN")
        connection.executemany(f"INSERT INTO bulk VALUES ({places})", rows)
        connection.execute("COMMIT")

    taken = seconds(insert)
    connection.close()
    return taken


def committer(folder: Path) -> Callable[[], Any]:
    """Return what makes one single-row durable commit: an fsync is 0.2 ms on a quiet machine and 4 ms on a busy one."""
    connection = connect(folder)
    connection.execute("CREATE TABLE probe (id INTEGER PRIMARY KEY, text)")
    return lambda: connection.execute("INSERT INTO probe (text) VALUES ('x')")
