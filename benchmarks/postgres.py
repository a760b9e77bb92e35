"""A store in PostgreSQL, in a server of the wheel that waits for its disk: several processes against one, and what the server
itself takes for the same work."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

import motion
from benchmarks import cascades
from benchmarks.machine import Figure
from tests.postgres import Server, running

SETTINGS = "fsync = on\nmax_connections = 200\n"

ROUNDS, ROUND_S = 7, 1.0


def writers() -> list[Figure]:
    """Set single rows durably in four processes at once; limit: in one of them. Beside it, bare commits of a row, which are the
    machine's own: four that commit at once share its flushes."""
    with server() as at:
        url = at("writers")
        with _started([_writer(url) for _ in range(4)]) as setting:
            one, four = _rates(setting)
        with _started([_writer(url, "bare") for _ in range(4)]) as committing:
            bare_one, bare_four = _rates(committing)
    return [
        Figure(
            "four processes that set rows at once", four, "rows/s", one, four / one, "times one", "≥ 2.5", "3.5",
        ),
        Figure(
            "the same, bare commits", bare_four, "commits/s", bare_one, bare_four / bare_one, "times one", "", "",
        ),
        Figure(
            "one process that sets rows", 1000 / one, "ms, mean", 1000 / bare_one, bare_one / one, "durable commits", "", "",
        ),
    ]  # fmt: skip


def _rates(working: Sequence[subprocess.Popen[str]]) -> tuple[float, float]:
    """Return how much one process, and all together, do in a second: in turn, the medians."""
    rates: dict[int, list[float]] = {1: [], len(working): []}
    for _ in range(ROUNDS):
        for count, found in rates.items():
            found.append(sum(map(float, _answers(working[:count], str(ROUND_S)))) / ROUND_S)
    one, all_ = map(statistics.median, rates.values())
    return one, all_


def _set_rows(url: str) -> None:
    with _opened(url, [], run=False) as store:
        _count_in(lambda: store.set("line", text="a line"))


def _commit_rows(url: str) -> None:
    with psycopg.connect(url.partition("&")[0], autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS bare (text text)")
        _count_in(lambda: connection.execute("INSERT INTO bare VALUES ('a line')"))


def _count_in(work: Callable[[], object]) -> None:
    """Work again and again for as many seconds as each line says, and print how often that was."""
    for _ in range(cascades.WARM_UP):
        work()
    print("ready", flush=True)
    for line in sys.stdin:
        count, ends_s = 0, time.perf_counter() + float(line)
        while time.perf_counter() < ends_s:
            work()
            count += 1
        print(count, flush=True)


# -- processes and stores --


@contextmanager
def server() -> Iterator[Callable[[str], str]]:
    """Give what returns the URL of a store in a new server, by its name."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), SETTINGS) as made:
        yield partial(_url, made, folder)


def _url(made: Server, folder: str, name: str) -> str:
    return f"{made.url}&motion_schema={name}&motion_folder={folder}/{name}"


@contextmanager
def _opened(url: str, triggers: list[Any], **options: Any) -> Iterator[motion.Store]:
    with motion.create_store(
        "bench", schemas={"line": cascades.Line}, triggers=triggers, url=url, **options
    ) as store:
        yield store


def _writer(url: str, what: str = "rows") -> list[str]:
    return [what, url]


@contextmanager
def _started(commands: Sequence[Sequence[str]]) -> Iterator[list[subprocess.Popen[str]]]:
    """Start processes of this module, and wait until each is ready; they end with their input."""
    with ExitStack() as ending:
        processes = []
        for command in commands:
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.postgres", *command],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            ending.callback(process.communicate)
            processes.append(process)
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield processes


def _answers(processes: Sequence[subprocess.Popen[str]], line: str) -> list[str]:
    """Send a line to each, and return the lines that they answer."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
    return [process.stdout.readline() for process in processes if process.stdout is not None]


WORK = {"rows": _set_rows, "bare": _commit_rows}

if __name__ == "__main__":
    WORK[sys.argv[1]](sys.argv[2])
