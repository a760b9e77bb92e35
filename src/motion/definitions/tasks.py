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

from motion.notebook import lines_of, table_of
from motion.tracebacks import last_line

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


class TaskStatus(IntEnum):
    READY = 0
    CLAIMED = 1
    DEAD = 2
    BLOCKED = 3
    POSTPONED = 4


LIVE = (TaskStatus.READY, TaskStatus.CLAIMED, TaskStatus.BLOCKED, TaskStatus.POSTPONED)

WAITING = (TaskStatus.READY, TaskStatus.BLOCKED, TaskStatus.POSTPONED)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something is written: carried along a cascade.

    Attributes:
        number: the number of the commit that writes.
        change: the number of the change from outside that it belongs to.
        path: the triggers whose writes through their view led here, each with a line end behind it.
        priority: what the cascade inherits.
    """

    number: int
    change: int
    path: str = ""
    priority: int = 0
    task: int | None = None

    def through(self, trigger: str) -> Cause:
        """Return the cause of what a trigger writes through its view."""
        return replace(self, path=f"{self.path}{trigger}\n")

    @property
    def is_background(self) -> bool:
        """Whether it belongs to recomputing in bulk, which goes on below all live work."""
        return is_background(self.priority)

    @property
    def chain(self) -> list[str]:
        return self.path.splitlines()


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
        return f"DeadLetter({self.trigger} gave up on {self.table} {self.row}: {last_line(self.error)})"

    def _cells_(self) -> Mapping[str, Any]:
        told = {
            "trigger": self.trigger,
            "table": self.table,
            "row": self.row,
            "tries": self.attempts,
        }
        return {**told, "error": last_line(self.error), "inputs": self.inputs}

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
    ordered: Sequence[int] = sorted(rows)
    ranges: list[tuple[int, int]] = []
    if ordered and ordered[-1] - ordered[0] + 1 == len(ordered):
        low, high = ordered[0], ordered[-1]
        return [(start, min(start + limit - 1, high)) for start in range(low, high + 1, limit)]
    for row in ordered:
        if ranges and row == ranges[-1][1] + 1 and row - ranges[-1][0] < limit:
            ranges[-1] = (ranges[-1][0], row)
        elif not ranges or row > ranges[-1][1]:
            ranges.append((row, row))
    return ranges


def pause_ms(attempts: int) -> int:
    """Return how long to wait before the next attempt: doubling from 0.2 s up to a minute, with jitter."""
    longest = min(FIRST_PAUSE_MS * 2 ** min(attempts - 1, 20), LONGEST_PAUSE_MS)
    return int(longest * random.uniform(0.5, 1.0))
