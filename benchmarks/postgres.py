"""A store in PostgreSQL, in a server of the wheel that waits for its disk: several processes against one, and what the server
itself takes for the same work."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import psycopg

import motion
from benchmarks import cascades
from benchmarks.machine import Figure
from tests.postgres import Server, running

SETTINGS = "fsync = on\nmax_connections = 200\n"
WARM_UP = 10  # what connections and statements are made in

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
    for _ in range(WARM_UP):
        work()
    print("ready", flush=True)
    for line in sys.stdin:
        count, ends_s = 0, time.perf_counter() + float(line)
        while time.perf_counter() < ends_s:
            work()
            count += 1
        print(count, flush=True)


# -- a load, and one row --


def load(count: int = 100_000, repeats: int = 3) -> Figure:
    """`set_many` of (id, text) rows into a new store until all derived values are readable; limit: COPY of the finished rows."""
    given = cascades.texts(count)
    finished = [(i, text, text.upper(), 60, 30.0) for i, text in enumerate(given, 1)]
    taken, limit = list[float](), list[float]()
    with server() as at:
        for n in range(repeats):
            limit.append(_copied_s(at("bare"), finished))
            taken.append(_loaded_s(at(f"load{n}"), given))
    value, bare = statistics.median(taken), statistics.median(limit)
    return Figure(
        f"`set_many` of {count:,} rows into a new store, three chained triggers",
        count / value, "rows/s", count / bare, bare / value, "share of COPY", "≥ 0.25", "0.4",
    )  # fmt: skip


def _loaded_s(url: str, given: Sequence[str]) -> float:
    rows = [{"id": i, "text": text} for i, text in enumerate(given, 1)]
    with _opened(url, cascades.chain()) as store:
        started = time.perf_counter()
        store.set_many("line", rows)
        store.wait()
        taken = time.perf_counter() - started
        sql = "SELECT COUNT(*) FROM line WHERE half = 30.0"
        assert store.sql(sql).column(0)[0].as_py() == len(rows), "all have their last value"
    return taken


def _copied_s(url: str, rows: Sequence[Sequence[Any]]) -> float:
    with psycopg.connect(url.partition("&")[0], autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS bare")
        connection.execute(
            "CREATE TABLE bare (id bigint PRIMARY KEY, text text, upper text, length bigint, half float8)"
        )
        started = time.perf_counter()
        with (
            connection.cursor() as cursor,
            cursor.copy("COPY bare (id, text, upper, length, half) FROM STDIN") as copy,
        ):
            for row in rows:
                copy.write_row(row)
        return time.perf_counter() - started


def one_row(count: int = 200) -> Figure:
    """One `set` until its last derived value is readable, with a worker in another process; limit: four durable commits of a row and
    5 ms."""
    with ExitStack() as using:
        url = using.enter_context(server())("row")
        using.enter_context(_started([["worker", url]]))
        store = using.enter_context(_opened(url, cascades.chain(inline=False), run=False))
        connection = psycopg.connect(url.partition("&")[0], autocommit=True)
        using.enter_context(connection)
        connection.execute("CREATE TABLE bare (text text)")
        taken, raw = cascades.in_turn(
            lambda text: store.set("line", text=text).wait(),
            lambda: connection.execute("INSERT INTO bare VALUES ('a line')"),
            count,
        )
    limit_ms = 4000 * raw + 5
    return Figure(
        "one `set` to its last derived value, three tasks in another process", 1000 * taken, "ms p50", limit_ms,
        1000 * taken / limit_ms, "of four durable commits and 5 ms", "≤ 1", "",
    )  # fmt: skip


def _work(url: str) -> None:
    """Run triggers until the input ends."""
    with _opened(url, cascades.chain(inline=False), run=True) as store:
        store.set("line", text="a line").wait()
        print("ready", flush=True)
        sys.stdin.read()


# -- several workers --

NUMBERS, WAIT_S, AT_ONCE = 100_000, 0.02, 8


@dataclass
class Job:
    id: int
    number: int
    at_ns: int


@motion.trigger(on="job.number", sets="job.at_ns", inline=False)
def compute(number: int) -> int:
    """Keep a processor busy in Python; return when that was done."""
    _compute()
    return time.monotonic_ns()


def _compute() -> int:
    return sum(n * n for n in range(NUMBERS))


@motion.trigger(on="job.number", sets="job.at_ns", concurrency=AT_ONCE)
async def ask(number: int) -> int:
    """Wait as for an answer from elsewhere; return when it was there."""
    await asyncio.sleep(WAIT_S)
    return time.monotonic_ns()


def computing() -> list[Figure]:
    """Triggers that compute in Python, in one and two worker processes; limit: one of them. Beside it, the same without a store, and
    what a row takes of the processors: so much two workers can do that share two cores with nothing but their server."""
    pairs = [[_jobs_done("compute", workers, 2_000) for workers in (1, 2)] for _ in range(3)]
    with _started([["busy", ""]] * 2) as busy:
        bare_one, bare_two = _rates(busy)
    first, second = sorted(pairs, key=lambda pair: pair[1].per_s / pair[0].per_s)[len(pairs) // 2]
    one, two, row_s = first.per_s, second.per_s, second.worker_s + second.server_s
    return [
        Figure(
            f"triggers that add up {NUMBERS:,} squares, two worker processes", two, "rows/s", one, two / one,
            "times one", "≥ 1.7", "",
        ),
        Figure(
            "the same without a store", bare_two, "calls/s", bare_one, bare_two / bare_one, "times one", "", "",
        ),
        Figure(
            "processor time of a row, two workers' and the server's", 1000 * row_s, "ms", 1000 * first.worker_s,
            2 * first.worker_s / row_s, "times one that never waits, on two free cores", "", "",
        ),
    ]  # fmt: skip


def waiting(count: int = 20_000) -> list[Figure]:
    """Triggers that wait, in one, two, four and eight worker processes; limit: that many times what one does."""
    rates = {workers: _jobs_done("ask", workers, count).per_s for workers in (1, 2, 4, 8)}
    return [
        Figure(
            f"triggers that wait {1000 * WAIT_S:.0f} ms, {AT_ONCE} at once in each of {workers} worker processes",
            rate, "rows/s", workers * rates[1], rate / (workers * rates[1]), "of linear", "≥ 0.9", "",
        )
        for workers, rate in rates.items()
    ]  # fmt: skip


@dataclass
class _Done:
    """How many rows workers did in a second, and processor time of a row: theirs, and the server's."""

    per_s: float
    worker_s: float
    server_s: float


def _jobs_done(what: str, workers: int, count: int) -> _Done:
    """Let workers do rows, and return what that took, from the first result to the last."""
    with ExitStack() as using:
        at = using.enter_context(server())
        processes = using.enter_context(_started([[what, at(what)]] * workers))
        store = using.enter_context(_jobs(at(what), what, run=False))
        before = _processor_s(processes), at.args[0].processor_s()
        store.set_many("job", ({"number": i} for i in range(count)))
        store.wait()
        after = _processor_s(processes), at.args[0].processor_s()
        sql = "SELECT MIN(at_ns) AS first, MAX(at_ns) AS last, COUNT(at_ns) AS done FROM job"
        (found,) = store.sql(sql).to_pylist()
    assert found["done"] == count
    taken = [(late - early) / count for early, late in zip(before, after, strict=True)]
    return _Done((count - 1) * 1e9 / float(found["last"] - found["first"]), *taken)


def _processor_s(processes: Sequence[subprocess.Popen[str]]) -> float:
    times = [psutil.Process(each.pid).cpu_times() for each in processes]
    return float(sum(each.user + each.system for each in times))


def _jobs(url: str, what: str, *, run: bool) -> motion.Store:
    return motion.create_store(
        "jobs", schemas={"job": Job}, triggers=[TRIGGERS[what]], url=url, run=run
    )


def _do_jobs(what: str, url: str) -> None:
    with _jobs(url, what, run=True):
        print("ready", flush=True)
        sys.stdin.read()


TRIGGERS = {"compute": compute, "ask": ask}


# -- processes and stores --


@contextmanager
def server(settings: str = SETTINGS) -> Iterator[partial[str]]:
    """Give what returns the URL of a store in a new server, by its name."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), settings) as made:
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


WORK: dict[str, Callable[[str], None]] = {
    "rows": _set_rows,
    "bare": _commit_rows,
    "busy": lambda _: _count_in(_compute),
    "worker": _work,
    **{what: partial(_do_jobs, what) for what in TRIGGERS},
}

if __name__ == "__main__":
    WORK[sys.argv[1]](sys.argv[2])
