"""Processes: how long a result that one commits takes to reach one that waits in another, and what a new one takes to import Motion."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

import motion
from benchmarks.machine import Figure


@dataclass
class Ping:
    id: int
    text: str
    at_ns: int


@motion.trigger(on="ping.text", sets="ping.at_ns", inline=False)
def answer(text: str) -> int:
    """Return when the result was there, on the machine's clock."""
    return time.monotonic_ns()


def open_store(place: str, *, run: bool) -> motion.Store:
    return motion.create_store(
        "pings", schemas={"ping": Ping}, triggers=[answer], url=place, durability="normal", run=run
    )


def across(count: int = 200) -> Figure:
    """From the end of a run in another process, its commit included, until `wait` returns here."""
    with tempfile.TemporaryDirectory() as folder:
        place = f"sqlite:///{folder}/store"
        with open_store(place, run=False) as store:
            worker = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.processes", place],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert worker.stdout is not None
            worker.stdout.readline()
            taken_ms = sorted(_ping_ms(store) for _ in range(count))
            worker.communicate()
    work = "a result committed by another process, until `wait` returns here"
    p50, p95 = statistics.median(taken_ms), taken_ms[int(0.95 * count)]
    return Figure(work, p50, "ms p50", p95, p95, "ms p95", "≤ 5 ms", "")


def imported(repeats: int = 9) -> list[Figure]:
    """Processor time of new processes, beside what NumPy alone takes; and of the first `create_store`, which brings the engine."""

    def seconds_of(program: str, begun: str = "") -> float:
        timed = f"import time\n{begun}\na = time.process_time()\n{program}\nprint(time.process_time() - a)"
        command = [sys.executable, "-c", timed]
        return statistics.median(
            float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            for _ in range(repeats)
        )

    numpy, whole = seconds_of("import numpy"), seconds_of("import motion")
    engine = seconds_of("motion.create_store", begun="import motion")
    return [
        Figure("`import motion`, processor time", whole, "s", numpy, whole / numpy, "× NumPy alone", "≤ 0.25 s", "0.18 s"),
        Figure("the engine, with the first name that needs it", engine, "s", numpy, engine / numpy, "× NumPy alone", "", ""),
    ]  # fmt: skip


def _ping_ms(store: motion.Store) -> float:
    (row,) = store.set("ping", text="ping").wait().rows()
    return float(time.monotonic_ns() - row.at_ns) / 1e6


def _serve(place: str) -> None:
    with open_store(place, run=True) as store:
        store.set("ping", text="ready").wait()
        print("ready", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    _serve(sys.argv[1])
