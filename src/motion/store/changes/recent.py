"""Recent: what a store has lately done, as this process saw it: changes with the runs that they caused, rates, durations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from motion.backends.base import Transaction
from motion.history import Course, History, Run, Slot
from motion.persistence.changes.operations import Applied, Operation, SetOperation
from motion.persistence.database import Database
from motion.persistence.recompute import backfills
from motion.persistence.tasks import backlog


@dataclass(frozen=True)
class ChangeTrace:
    """The course of one change, as this process saw it.

    Attributes:
        key: `store.change(key)`.
        verb: "set", "set_many", "delete", "transaction"; the empty text for what the store began itself, such as a
            schedule or a backfill, and for a change of another process, of which only its runs here are known.
        table, id: of the row that was written, where it was one.
        count: rows that were written.
        at: when it began.
        seconds: until no work of it was left; None while there is some.
        remaining: rows that triggers still have to run on; `failed`: rows that were given up.
        runs: in the order in which they were committed, at most 200.
        beyond: trigger -> (rows, seconds) of runs beyond those.
    """

    key: int
    verb: str
    table: str | None
    id: Any
    count: int
    at: datetime
    seconds: float | None
    remaining: int
    failed: int
    runs: tuple[Run, ...]
    beyond: Mapping[str, tuple[int, float]]


@dataclass(frozen=True)
class Recent:
    """What this process has lately done.

    Attributes:
        changes: the latest first, at most as many as were asked for.
        total: how many changes this process has seen since it opened the store, and `runs` how many runs.
        slots: the last ten minutes in stretches of five seconds, oldest first; those without anything left out.
        p50, p95: seconds from a change to the end of its work, over the last ten minutes.
    """

    changes: tuple[ChangeTrace, ...]
    total: int
    runs: int
    slots: tuple[Slot, ...]
    p50: float | None
    p95: float | None


def recent(database: Database, limit: int) -> Recent:
    """Return what this process has lately done. A few look-ups of the changes in question, however long the queue is."""
    with database.backend.read() as tx:
        _settle(tx, database, database.history.open_courses())
        changes = tuple(_trace(tx, database, each) for each in database.history.latest(limit))
    p50, p95 = database.history.quantiles()
    slots = tuple(database.history.slots())
    return Recent(changes, database.history.changes, database.history.runs, slots, p50, p95)


def trace_of(database: Database, change: int) -> ChangeTrace | None:
    """Return the course of one change; None where this process has not seen it, or long ago."""
    course = database.history.find(change)
    if course is None:
        return None
    with database.backend.read() as tx:
        _settle(tx, database, [course])
        return _trace(tx, database, course)


def _settle(tx: Transaction, database: Database, courses: Sequence[Course]) -> None:
    """Take in which changes have come to their end."""
    still = [each for each in courses if each.ended_s is None]
    if not still:
        return
    busy = backlog.changes_with_work(tx, [each.key for each in still])
    busy |= {each.change for each in backfills.unfinished(tx)}
    for course in still:
        if course.key not in busy:
            database.history.end(course)


def _trace(tx: Transaction, database: Database, course: Course) -> ChangeTrace:
    is_over = course.ended_s is not None
    return ChangeTrace(
        course.key,
        course.verb,
        course.table,
        course.row_id,
        course.count,
        database.history.moment(course.at_s),
        course.ended_s - course.at_s if course.ended_s is not None else None,
        0 if is_over else backlog.live_count(tx, course.key),
        backlog.dead_count(tx, course.key) if course.failed else 0,
        tuple(course.runs),
        {name: (int(rows), seconds) for name, (rows, seconds) in list(course.beyond.items())},
    )


def note_write(
    database: Database, applied: Applied, started_s: float, given: Sequence[Operation]
) -> None:
    """Take in a write from outside, with the triggers that ran in memory before it."""
    verb, table = "transaction", None
    if len(given) == 1:
        verb = "set" if isinstance(given[0], SetOperation) else "delete"
        table = getattr(given[0], "table", None)
    is_one = len(applied.ids) == 1
    ids = applied.ids[0] if is_one else [each for of_one in applied.ids for each in of_one]
    database.history.note_change(
        applied.number,
        started_s,
        verb,
        table=table,
        row_id=ids[0] if len(ids) == 1 else None,
        count=max(len(ids), len(given)),
        has_work=applied.tasks > 0,
        runs=_inline_runs(database.history, started_s, given),
    )


def note_load(
    database: Database, applied: Applied, started_s: float, table: str, given: Sequence[Operation]
) -> None:
    """Take in a part of a load."""
    if not given:
        return
    count = sum(len(ids) for ids in applied.ids)
    runs = _inline_runs(database.history, started_s, given)
    database.history.note_change(
        applied.number, started_s, "set_many", table=table, count=count, has_work=applied.tasks > 0, runs=runs
    )  # fmt: skip


def _inline_runs(history: History, started_s: float, given: Sequence[Operation]) -> list[Run]:
    """Return the runs of triggers that ran in memory with a write."""
    sets = [each for each in given if isinstance(each, SetOperation) and each.inlined]
    if not sets:
        return []
    at = history.moment(started_s)
    return [
        Run(
            each.spec.name, made.table, None, {}, made.count, at, each.seconds, None, is_inline=True
        )
        for made in sets
        for each in made.inlined
    ]
