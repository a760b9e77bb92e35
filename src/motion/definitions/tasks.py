"""Tasks: triggers meeting rows that they must run on. What a task is, and its life.

ready --claim--> claimed --complete--> (gone)
  ^                 |
  |<--split, loss---|----give up----> dead (a dead letter) --retry--> ready
  |                 |
  |<---its time---- postponed (it failed, and is tried again)
  |                 |
  '<---wake---- blocked (an upstream trigger has work on its rows)
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum
from typing import Any, NamedTuple

from motion.background.tracebacks import headline
from motion.notebook import lines_of, table_of

RANGE_LIMIT = 10_000
"""Rows in one task at most: a unit of work that is claimed, run and committed at once."""

FIRST_PAUSE_MS, LONGEST_PAUSE_MS = 200, 60_000

CONFLICTS_ALLOWED = 10
"""Times that a run is called again as what it has read has changed, before it is set aside."""

ALONE_AFTER = 3
"""Such times after which a run is called while no other begins that writes through its store."""

LOSSES_ALLOWED = 10
"""Processes that may end while they hold a task, before it is set aside."""

LOSSES_SHARED = 5
"""How many of these count where the task was held beside others: processes that are stopped from outside, one after the
other, halve what they held each time, and would soon set aside a row that ended none of them."""

BACKFILL_PRIORITY = -(1 << 61)
"""Of recomputing in bulk. A trigger's own priority orders it among its like, and lifts none of it above live work."""

BUILD_PRIORITY = 2 * BACKFILL_PRIORITY
"""Of the outputs of a candidate: nobody sees them before the switch, so everything else goes first."""

LARGEST_PRIORITY = (1 << 60) - 1
"""Of a trigger's own, in either direction: none is beyond it, so that live work, work in bulk and builds stay apart."""

MAX_DEPTH = 50
"""Free writes that may lead from one to the next, and times that a cascade may come to the same row by what is followed."""

LAP_FROM = 16
"""Steps along what is followed from which on it is looked for circles."""


class TaskStatus(IntEnum):
    READY = 0
    CLAIMED = 1
    DEAD = 2
    BLOCKED = 3
    POSTPONED = 4


LIVE = (TaskStatus.READY, TaskStatus.CLAIMED, TaskStatus.BLOCKED, TaskStatus.POSTPONED)

WAITING = (TaskStatus.READY, TaskStatus.BLOCKED, TaskStatus.POSTPONED)


LAP_MARK = "\t"


class Writer(NamedTuple):
    """A run that writes.

    Attributes:
        slots: of the rows that it was on, and of those of runs that have seen what it writes.
    """

    trigger: str
    slots: frozenset[int]


class Lap(NamedTuple):
    """How far a cascade has come along what is followed, and how often to the row where its lap began: a way through ever
    other rows may be of any length, and one in a circle ends. Each lap is twice as long as the one before, so that one of
    them is longer than any circle, however late it is entered.

    Attributes:
        steps: since the lap began, or has come round.
        length: steps after which the next one begins.
        trigger, row: where it began; empty: in the first one.
        times: that it has come there again.
    """

    steps: int = 0
    length: int = LAP_FROM
    trigger: str = ""
    row: int = 0
    times: int = 0

    @classmethod
    def of(cls, path: str) -> Lap:
        if not path.startswith(LAP_MARK):
            return cls()
        steps, length, row, times, trigger = path[1:].partition("\n")[0].split(" ", 4)
        return cls(int(steps), int(length), trigger, int(row), int(times))

    @property
    def is_full(self) -> bool:
        return self.steps >= self.length

    def begun(self, trigger: str, row: int) -> Lap:
        return Lap(0, 2 * self.length, trigger, row)

    def gone_on(self) -> Lap:
        return self._replace(steps=self.steps + 1)

    def come_round(self) -> Lap:
        return self._replace(steps=0, times=self.times + 1)

    def __str__(self) -> str:
        return f"{LAP_MARK}{self.steps} {self.length} {self.row} {self.times} {self.trigger}\n"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something is written: carried along a cascade.

    Attributes:
        number: the number of the commit that writes.
        change: the number of the change from outside that it belongs to.
        path: the triggers whose writes through their view led here, each with a line end behind it; a line that begins
            with a tab is the `Lap` that it is in.
        priority: what the cascade inherits.
        writer: the run that writes this, where it follows what it reads: that does not make it due.
    """

    number: int
    change: int
    path: str = ""
    priority: int = 0
    task: int | None = None
    writer: Writer | None = None

    def through(self, trigger: str) -> Cause:
        """Return the cause of what a trigger writes through its view."""
        return replace(self, path=f"{self.path}{trigger}\n")

    @property
    def is_background(self) -> bool:
        """Whether it belongs to recomputing in bulk, which goes on below all live work."""
        return is_background(self.priority)

    @property
    def chain(self) -> list[str]:
        return [line for line in self.path.splitlines() if not line.startswith(LAP_MARK)]

    def by_following(self, trigger: str, rows: Iterable[int]) -> list[tuple[Cause, list[int]]]:
        """Return the causes for which a trigger is due on rows that follow what is written, each with its rows."""
        lap, rows = Lap.of(self.path), list(rows)
        if lap.is_full:
            pairs = [(lap.begun(trigger, row), [row]) for row in rows]
        else:
            again = [row for row in rows if (trigger, row) == (lap.trigger, lap.row)]
            others = [row for row in rows if row not in again]
            pairs = [(lap.gone_on(), others), (lap.come_round(), again)]
        path = "".join(f"{line}\n" for line in self.chain)
        return [(replace(self, path=f"{each}{path}"), some) for each, some in pairs if some]


@dataclass(frozen=True, slots=True)
class Task:
    """One trigger due on a range of rows.

    Attributes:
        task: its number, which no other task ever has.
        claim: how often it was claimed: with its number, this names the claim under which somebody holds it.
        among: of a suspect: the rows that were held when its process ended, one of which has ended it. 0: it is none.
        conflicts: how often it was called again, as what it has read had changed.
        line: of a trigger with `serial_by`: those of one line go one at a time.
    """

    task: int
    trigger: str
    low: int
    high: int
    number: int
    version: int | None
    change: int
    path: str
    priority: int
    attempts: int
    losses: int
    claim: int
    among: int
    conflicts: int = 0
    line: str | None = None

    @property
    def size(self) -> int:
        return self.high - self.low + 1

    @property
    def is_background(self) -> bool:
        return is_background(self.priority)

    @property
    def lane(self) -> Lane:
        return Lane(self.trigger, self.version is not None)


class Lane(NamedTuple):
    """Tasks of a trigger that run beside its others: for the live version, or to build a candidate's outputs."""

    trigger: str
    is_build: bool


@dataclass(frozen=True)
class DeadLetter:
    """A row that a trigger gave up on, with what is needed to understand it. Its text is made to be read.

    Attributes:
        row: the row's id and page keys.
        attempts: how often it was tried.
        error: the traceback.
        inputs: the values that it was called with, shortened.
        at: when it was given up; None where an older version of Motion did.
        change: the key of the change that it belongs to: `store.change(key)`.
    """

    task: int
    trigger: str
    table: str
    row: str
    attempts: int
    error: str
    inputs: str
    at: datetime | None = None
    change: int = 0

    def __repr__(self) -> str:
        return (
            f"DeadLetter({self.trigger} gave up on {self.table} {self.row}: {headline(self.error)})"
        )

    def _cells_(self) -> Mapping[str, Any]:
        told = {
            "trigger": self.trigger,
            "table": self.table,
            "row": self.row,
            "tries": self.attempts,
        }
        return {**told, "error": headline(self.error), "inputs": self.inputs}

    def _repr_html_(self) -> str:
        return table_of([self._cells_()]) + lines_of(self.error.rstrip().splitlines())

    def __str__(self) -> str:
        return (
            f"trigger {self.trigger} gave up on {self.table} {self.row} after {self.attempts} attempt(s), "
            f"with {self.inputs}:\n{self.error.rstrip()}"
        )


def level_of(given: float, *, is_background: bool) -> int:
    """Return the priority of a task whose trigger's own, or whose row's, is given: any number."""
    own = max(-LARGEST_PRIORITY, min(LARGEST_PRIORITY, given))  # first: an infinity is no int
    return int(own) + (BACKFILL_PRIORITY if is_background else 0)


def is_background(priority: int) -> bool:
    """Whether it is that of recomputing in bulk."""
    return priority <= BACKFILL_PRIORITY // 2


def ranges_of(rows: Iterable[int], limit: int = RANGE_LIMIT) -> list[tuple[int, int]]:
    """Return the runs of consecutive numbers in `rows`, none longer than `limit`.

    Runs are exact: a task's range holds no row that its change did not touch, so each change waits for its own work.
    """
    # One that is told twice would pass for its neighbour.
    ordered: Sequence[int] = sorted(set(rows))
    ranges: list[tuple[int, int]] = []
    if ordered and ordered[-1] - ordered[0] + 1 == len(ordered):
        low, high = ordered[0], ordered[-1]
        return [(start, min(start + limit - 1, high)) for start in range(low, high + 1, limit)]
    for row in ordered:
        if ranges and row == ranges[-1][1] + 1 and row - ranges[-1][0] < limit:
            ranges[-1] = (ranges[-1][0], row)
        else:
            ranges.append((row, row))
    return ranges


def pause_ms(attempts: int) -> int:
    """Return how long to wait before the next attempt: doubling from 0.2 s up to a minute, with jitter."""
    longest = min(FIRST_PAUSE_MS * 2 ** min(attempts - 1, 20), LONGEST_PAUSE_MS)
    return int(longest * random.uniform(0.5, 1.0))
