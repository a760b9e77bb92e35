"""Scaling: how far workers help, and how much a process holds, extrapolated from what is measured here.

    python -m benchmarks.scaling

Workers are simulated as what they are, customers of one server: each claims rows, makes its calls, and commits what they
gave; claims and commits of all of them go through the store's write lock one at a time (the machine repair model, with
a first come, first served server). How long a claim and a commit hold it is measured in a store of this machine.
"""

from __future__ import annotations

import heapq
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console
from rich.table import Table

import motion
from benchmarks import machine
from benchmarks.scale import Entry, double
from motion.testing import Stepper

ROWS = 20_000
SINGLES = 200


@dataclass(frozen=True)
class Held:
    """How long the write lock is held, in seconds.

    Attributes:
        claim, row: for a claim with its commit, whatever they hold, and for each of their rows.
        flush: for what the disk needs to keep a commit.
    """

    claim: float
    row: float
    flush: float

    def by(self, rows: int) -> float:
        return self.claim + rows * self.row + self.flush

    def most_rows_s(self, rows: int) -> float:
        """Return the rows a second that no number of workers exceeds, which claim so many at a time."""
        return rows / self.by(rows)


def measured() -> Held:
    """Measure it: the processor's time of claims and commits of many rows at a time, and of one."""
    with tempfile.TemporaryDirectory() as folder:
        flush = machine.median_of(200, partial(machine.seconds, machine.committer(Path(folder))))
        place = f"sqlite:///{folder}/store"
        with (
            motion.create_store("scale", schemas={"entry": Entry}, triggers=[double], url=place, durability="normal", run=False) as store,
            Stepper(store) as worker,
        ):  # fmt: skip
            writes = _timed_writes(store)
            store.set_many("entry", ({"id": i, "number": i} for i in range(1, ROWS + 1)))
            worker.run_until_idle()
            del writes[:]
            store.backfill("double", force=True)
            worker.run_until_idle()
            row = sum(writes) / ROWS  # with what a thousand rows share, which is next to nothing
            del writes[:]
            for i in range(1, SINGLES + 1):
                store.set("entry", id=i, number=-i)
                writes.pop()  # the user's own
                worker.run_until_idle()
            one = sum(writes) / SINGLES
    return Held(max(one - row, 0.0), row, flush)


def _timed_writes(store: motion.Store) -> list[float]:
    """Return a list that takes in the processor's time of each write transaction of a store from now on."""
    backend: Any = store._database.backend
    write, found = backend.write, list[float]()

    def timed(work: Callable[..., Any], **how: bool) -> Any:
        began = time.thread_time()
        try:
            return write(work, **how)
        finally:
            found.append(time.thread_time() - began)

    backend.write = timed
    return found


def rows_a_second(workers: int, calls: int, call_s: float, held: Held, rounds: int = 400) -> float:
    """Simulate workers that each make so many calls at once, of one row each; return how many rows a second they do
    together. A call takes a tenth more or less, by chance, always the same one."""
    chance = Random(workers)
    free_at = 0.0
    waiting = [(chance.random() * call_s, worker) for worker in range(workers)]
    heapq.heapify(waiting)
    done = 0
    for _ in range(rounds * workers):
        came_at, worker = heapq.heappop(waiting)
        free_at = max(free_at, came_at) + held.by(calls)
        done += calls
        heapq.heappush(waiting, (free_at + call_s * chance.uniform(0.9, 1.1), worker))
    return done / free_at


def of_workers(held: Held, counts: Iterable[int], kinds: Iterable[tuple[str, int, float]]) -> Table:
    table = Table("calls", *(f"{count} workers" for count in counts), "never more")
    for name, calls, call_s in kinds:
        found = [rows_a_second(count, calls, call_s, held) for count in counts]
        most = held.most_rows_s(calls)
        table.add_row(name, *(f"{each:,.0f} rows/s" for each in found), f"{most:,.0f}")
    return table


def of_vectors(counts: Iterable[int], numbers: int = 512, links: int = 32) -> Table:
    """What a process holds that searches: vectors of float32, copies of 16 bits for the graph, and its links."""
    table = Table("vectors", "of float32", "with copies and graph")
    for count in counts:
        plain = 4 * numbers * count
        graph = (2 * numbers + 4 * links) * count
        table.add_row(
            f"{count:,}", f"{plain / 2**30:,.1f} GiB", f"{(plain + graph) / 2**30:,.1f} GiB"
        )
    return table


def main() -> None:
    console = Console(width=140)
    console.print(machine.description())
    held = measured()
    console.print(
        f"the write lock is held {1e6 * held.claim:.0f} µs for a claim and its commit, {1e6 * held.row:.1f} µs for each of "
        f"their rows, and {1e6 * held.flush:.0f} µs for a flush"
    )
    kinds = [
        ("20 ms, 8 at once", 8, 0.02),
        ("200 ms, 32 at once", 32, 0.2),
        ("2 s, 32 at once", 32, 2.0),
        ("20 ms for a batch of 64", 64, 0.02),
    ]
    console.print(of_workers(held, (1, 4, 16, 64, 256), kinds))
    console.print(of_vectors((10**5, 10**6, 10**7, 10**8)))


if __name__ == "__main__":
    main()
