"""History: what this process has lately seen changes do, and triggers run. In memory, bounded, and never asked by the engine.

What a change left behind is in the store; how it went, when each call began and how long it took, is only here. Rings
of a fixed size: at any rate it takes the same memory, and what is older is forgotten.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from motion import clock

CHANGES_KEPT, RUNS_KEPT = 2_000, 200
"""Changes, and runs of each, whose course is kept."""

SLOT_S, SLOTS = 5.0, 120
"""Rates and durations are told for the last ten minutes, in stretches of five seconds."""

SHORTEST_S, GROWTH = 1e-4, 1.25
"""Of the stretches of durations that are counted together: a quantile is at most an eighth off."""

DURATIONS = 96
"""So many stretches of durations, up to two days."""


@dataclass(frozen=True, slots=True)
class Run:
    """One trigger's run for a change, as this process measured it; of a batch, or of equal runs, several rows together.

    Attributes:
        table, id, pages: name the first of its rows; of what ran in memory before the write, no row.
        rows: how many rows it was for.
        at: when its first call began.
        seconds: from there to the end of its last call; None: it ran in memory right behind the one before, and was not
            measured by itself.
        committed_s: seconds from its beginning until what it gave was written; None: with the write that it followed from.
        version: the state version it ran with, None for none.
        failed: on how many of the rows it raised; `error`: the last line of the first traceback.
        is_inline: it ran in memory, before the write that it followed from.
    """

    trigger: str
    table: str
    id: Any
    pages: Mapping[str, int]
    rows: int
    at: datetime
    seconds: float | None
    committed_s: float | None
    version: int | None = None
    failed: int = 0
    error: str | None = None
    is_inline: bool = False


@dataclass(slots=True)
class Course:
    """What is kept of one change while it may still go on."""

    key: int
    verb: str
    table: str | None
    row_id: object
    count: int
    at_s: float
    has_work: bool
    runs: list[Run] = field(default_factory=list)
    beyond: dict[str, list[float]] = field(default_factory=dict)
    failed: int = 0
    ended_s: float | None = None
    last_s: float = 0.0


@dataclass(frozen=True)
class Slot:
    """Five seconds of what this process did.

    Attributes:
        calls: calls of triggers' functions, a row each where they take one.
        changes: writes from outside.
        p50, p95: seconds from a change to the end of its work, of those that ended; None where none did.
    """

    at: datetime
    calls: int
    changes: int
    failed: int
    p50: float | None
    p95: float | None


class _Counts:
    """Counts of one stretch of time."""

    __slots__ = ("calls", "changes", "durations", "failed", "slot")

    def __init__(self, slot: int) -> None:
        self.slot = slot
        self.calls = self.changes = self.failed = 0
        self.durations: dict[int, int] = {}

    def note_duration(self, seconds: float) -> None:
        place = _place_of(seconds)
        self.durations[place] = self.durations.get(place, 0) + 1


class History:
    """What this process has lately seen. Thread-safe; it takes no lock, so that nobody who writes waits for who looks: a
    count may miss one that came in the same instant."""

    def __init__(self) -> None:
        self._courses: dict[int, Course] = {}
        self._order: deque[Course] = deque()
        self._slots: deque[_Counts] = deque(maxlen=SLOTS)
        self._offset_s = clock.now().timestamp() - clock.monotonic_s()
        self.changes = self.runs = 0

    # -- taking in --

    def note_change(
        self,
        key: int,
        started_s: float,
        verb: str,
        *,
        table: str | None,
        row_id: object = None,
        count: int = 1,
        has_work: bool,
        runs: Sequence[Run] = (),
    ) -> None:
        """Take in a write from outside that was made durable.

        Args:
            has_work: tasks follow from it.
            runs: of triggers that ran in memory with it. Where there is neither, nothing is told of how long it took: it
                caused nothing.
        """
        self.changes += 1
        counts = self._counts()
        counts.changes += 1
        known = self._courses.get(key)
        if known is not None:  # a run of it has ended before
            known.verb, known.table, known.row_id, known.count = verb, table, row_id, count
            known.at_s = started_s
            self._add(counts, known, runs)
            return
        course = Course(key, verb, table, row_id, count, started_s, has_work)
        course.last_s = clock.monotonic_s()
        self._keep(course)
        self._add(counts, course, runs)
        if not has_work:
            course.ended_s = course.last_s
            if runs:
                counts.note_duration(course.ended_s - started_s)

    def _keep(self, course: Course) -> None:
        self._courses[course.key] = course
        self._order.append(course)
        if len(self._order) > CHANGES_KEPT:
            self._courses.pop(self._order.popleft().key, None)

    def course_of(self, change: int) -> Course:
        """Return what is kept of a change; of one that another process made, or that the store itself began, its runs here
        are the first that is seen of it."""
        course = self._courses.get(change)
        if course is None:
            course = Course(change, "", None, None, 0, clock.monotonic_s(), True)
            self._keep(course)
        return course

    def note_runs(self, course: Course, runs: Sequence[Run], began_s: float) -> None:
        """Take in runs of a change, which began together. Of a change with very many, equal ones are only counted."""
        course.last_s = clock.monotonic_s()
        course.at_s = min(course.at_s, began_s)
        self._add(self._counts(), course, runs)

    def _add(self, counts: _Counts, course: Course, runs: Sequence[Run]) -> None:
        self.runs += len(runs)
        for run in runs:
            counts.calls += run.rows
            counts.failed += run.failed
            course.failed += run.failed
            if len(course.runs) < RUNS_KEPT:
                course.runs.append(run)
            else:
                sums = course.beyond.setdefault(run.trigger, [0, 0.0])
                sums[0] += run.rows
                sums[1] += run.seconds or 0.0

    def end(self, course: Course) -> None:
        """Take in that no work of a change is left: it ended with the last that was seen of it."""
        if course.ended_s is None:
            course.ended_s = course.last_s
            self._counts_of(course.ended_s).note_duration(course.ended_s - course.at_s)

    def moment(self, monotonic_s: float) -> datetime:
        return datetime.fromtimestamp(self._offset_s + monotonic_s, UTC)

    # -- telling --

    def find(self, change: int) -> Course | None:
        return self._courses.get(change)

    def latest(self, limit: int) -> list[Course]:
        """Return the changes that began last, the latest first."""
        return list(self._order)[: -limit - 1 : -1]

    def open_courses(self) -> list[Course]:
        """Return the changes that are not known to have ended."""
        return [course for course in list(self._order) if course.ended_s is None]

    def slots(self) -> list[Slot]:
        """Return the last ten minutes, oldest first, those in which nothing was done left out."""
        first = self._slot_now() - SLOTS + 1
        return [
            Slot(
                self.moment(each.slot * SLOT_S),
                each.calls,
                each.changes,
                each.failed,
                quantile([each.durations], 0.5),
                quantile([each.durations], 0.95),
            )
            for each in list(self._slots)
            if each.slot >= first
        ]

    def quantiles(self) -> tuple[float | None, float | None]:
        """Return the median and the 95th percentile of seconds from a change to its end, of the last ten minutes."""
        first = self._slot_now() - SLOTS + 1
        counted = [each.durations for each in list(self._slots) if each.slot >= first]
        return quantile(counted, 0.5), quantile(counted, 0.95)

    def _counts_of(self, moment_s: float) -> _Counts:
        """Return the counts of the stretch that a moment lies in: an end is often seen only when somebody looks."""
        slot = int(moment_s / SLOT_S)
        return next(
            (each for each in reversed(list(self._slots)) if each.slot == slot), self._counts()
        )

    def _slot_now(self) -> int:
        return int(clock.monotonic_s() / SLOT_S)

    def _counts(self) -> _Counts:
        now = self._slot_now()
        if not self._slots or self._slots[-1].slot != now:
            self._slots.append(_Counts(now))
        return self._slots[-1]


def _place_of(seconds: float) -> int:
    """Return which stretch of durations one belongs to."""
    if seconds <= SHORTEST_S:
        return 0
    return min(1 + int(math.log(seconds / SHORTEST_S, GROWTH)), DURATIONS)


def quantile(counted: Sequence[dict[int, int]], share: float) -> float | None:
    """Return the duration below which this share of those counted lies; None where none was."""
    together: dict[int, int] = {}
    for each in counted:
        for place, count in list(each.items()):
            together[place] = together.get(place, 0) + count
    left = share * sum(together.values())
    for place in sorted(together):
        left -= together[place]
        if left <= 0:
            return float(SHORTEST_S * GROWTH ** (place - 0.5))
    return None
