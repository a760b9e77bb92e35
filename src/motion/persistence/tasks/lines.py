"""Lines: tasks of a trigger with `serial_by`, of which those of rows with an equal value go one at a time, in their order.

Such a task is about one row, and says which line it stands in and where: `line` is empty until that is found out, which is
when somebody is about to claim, and NULL for all other triggers. Who claims lets the first of each line begin, and blocks the
others; who ends one lets the next of its line be looked at. So a line of any length costs a few look-ups for each of its runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from motion.backends.base import Transaction
from motion.definitions.tasks import Task, TaskStatus
from motion.definitions.values.codecs import Stored
from motion.persistence.numbers import next_tasks
from motion.persistence.ranges import parts_of
from motion.persistence.tasks.queue import (
    COLUMNS,
    FRESH,
    LIKENESS,
    WAITING_SQL,
    inherit_links,
    link,
    remove,
    wake_next,
)


class Place(NamedTuple):
    """The line that a row stands in, and where: by its order, then by its id and pages, which `tie` is in the order of."""

    line: str
    order: Stored
    tie: Stored


PlacesOf = Callable[[Sequence[int]], Mapping[int, Place]]
"""Returns the places of a trigger's rows, of those that are there."""

UNPLACED = ("low", "high", "line", "place", "tie")
OTHERS = ", ".join(each for each in LIKENESS.split(", ") if each not in UNPLACED)


def take_places(tx: Transaction, trigger: str, places_of: PlacesOf) -> None:
    """Give waiting tasks that have none their places, each row a task of its own."""
    sql = f"SELECT task, low, high FROM motion_tasks WHERE trigger = ? AND line = '' AND status IN {WAITING_SQL}"
    found = tx.execute(sql, (trigger,)).fetchall()
    if not found:
        return
    places = places_of([row for _, low, high in found for row in range(low, high + 1)])
    tx.executemany(
        "UPDATE motion_tasks SET high = low, line = ?, place = ?, tie = ? WHERE task = ?",
        [(*_place(tx, places, low, task), task) for task, low, _ in found],
    )
    for task, low, high in found:
        if high > low:
            _part(tx, task, range(low + 1, high + 1), places)
    _merge(tx, trigger, [row for _, low, high in found for row in range(low, high + 1)])


def leave(tx: Transaction, trigger: str, rows: Sequence[int]) -> None:
    """Let waiting tasks of rows find their places anew, as these have another order, or value, by now."""
    blocked, ready = (f"{status:d}" for status in (TaskStatus.BLOCKED, TaskStatus.READY))
    for part in parts_of(rows):
        stand = (
            f"trigger = ? AND {part.condition('low')} AND line <> '' AND status IN {WAITING_SQL}"
        )
        given = (trigger, *part.numbers)
        left = tx.execute(f"SELECT DISTINCT line FROM motion_tasks WHERE {stand}", given).fetchall()
        tx.execute(
            f"UPDATE motion_tasks SET line = '', "
            f"status = CASE status WHEN {blocked} THEN {ready} ELSE status END WHERE {stand}",
            given,
        )
        for (line,) in left:
            wake_next(tx, trigger, line)  # it may be the one that was looked at


def _merge(tx: Transaction, trigger: str, rows: Sequence[int]) -> None:
    """Let one task stand for all fresh ones of a row that wait: those of ranges of rows did not meet those that were there."""
    fresh = f"trigger = ? AND low = high AND {FRESH}"
    for part in parts_of(sorted(set(rows))):
        found = tx.execute(
            f"SELECT low, version, task, change, line, priority FROM motion_tasks WHERE {fresh} AND {part.condition('low')} "
            "ORDER BY task DESC",
            (trigger, *part.numbers),
        ).fetchall()
        last: dict[tuple[int, int | None], int] = {}
        for row, version, task, change, line, priority in found:
            kept = last.setdefault((row, version), task)
            if kept == task:
                continue
            link(tx, kept, change)
            inherit_links(tx, task, kept)
            sql = "UPDATE motion_tasks SET priority = MAX(priority, ?) WHERE task = ?"
            tx.execute(sql, (priority, kept))
            remove(tx, [task])
            wake_next(tx, trigger, line)


def _part(tx: Transaction, task: int, rows: range, places: Mapping[int, Place]) -> None:
    """Make tasks of further rows that are like a given one."""
    first = next_tasks(tx, len(rows))
    numbered = list(enumerate(rows, first))
    tx.executemany(
        f"INSERT INTO motion_tasks (task, low, high, line, place, tie, {OTHERS}) "
        f"SELECT ?, ?, ?, ?, ?, ?, {OTHERS} FROM motion_tasks WHERE task = ?",
        [(number, row, row, *_place(tx, places, row, number), task) for number, row in numbered],
    )
    sql = "SELECT 1 FROM motion_task_changes WHERE task = ? LIMIT 1"
    if tx.execute(sql, (task,)).fetchone() is not None:
        for number, _ in numbered:
            inherit_links(tx, task, number)


def _place(tx: Transaction, places: Mapping[int, Place], row: int, task: int) -> Place:
    """Return where a task stands, as the queue keeps it; of a row that is gone there is nothing to wait for."""
    found = places.get(row) or Place(f"#{task}", None, None)
    return Place(found.line, tx.in_order(found.order), tx.in_order(found.tie))


def firsts(tx: Transaction, tasks: Sequence[Task], limit: int, places_of: PlacesOf) -> list[Task]:
    """Return those that may begin of ready tasks of a kind: the first of each line, unless one of it is under way. The
    others of these lines are blocked.

    Where the first of a line is of another kind, and none of these may begin, it is that one.
    """
    trigger, wanted = tasks[0].trigger, {task.task for task in tasks}
    chosen: list[Task] = []
    other: Task | None = None
    for line in dict.fromkeys(task.line or "" for task in tasks):
        first = None if _is_under_way(tx, trigger, line) else _first_of(tx, trigger, line)
        while first is not None and _has_moved(tx, first, places_of):
            wake_next(tx, trigger, line)  # it was the only one that was looked at
            first = _first_of(tx, trigger, line)
        if first is not None and first.task in wanted:
            chosen.append(first)
        elif first is not None:
            other = other or first
        _block(tx, trigger, line, first)
    if not chosen and other is not None:
        return [other]
    return sorted(chosen, key=lambda task: task.task)[:limit]


def _is_under_way(tx: Transaction, trigger: str, line: str) -> bool:
    sql = f"SELECT 1 FROM motion_tasks WHERE trigger = ? AND line = ? AND status = {TaskStatus.CLAIMED:d} LIMIT 1"
    return tx.execute(sql, (trigger, line)).fetchone() is not None


def _first_of(tx: Transaction, trigger: str, line: str) -> Task | None:
    """Return the first task of a line, where it is ready; it may wait for its next attempt, or for work upstream."""
    sql = (
        f"SELECT status, {COLUMNS} FROM motion_tasks WHERE trigger = ? AND line = ? AND +status IN {WAITING_SQL} "
        f"ORDER BY place, tie, task LIMIT 1"
    )
    found = tx.execute(sql, (trigger, line)).fetchone()
    return Task(*found[1:]) if found is not None and found[0] == TaskStatus.READY else None


def _has_moved(tx: Transaction, task: Task, places_of: PlacesOf) -> bool:
    """Whether a task stands in another place by now; it is told so."""
    sql = "SELECT line, place, tie FROM motion_tasks WHERE task = ?"
    was = Place(*tx.execute(sql, (task.task,)).fetchone())
    now = _place(tx, places_of([task.low]), task.low, task.task)
    if now != was:
        sql = "UPDATE motion_tasks SET line = ?, place = ?, tie = ? WHERE task = ?"
        tx.execute(sql, (*now, task.task))
    return now != was


def _block(tx: Transaction, trigger: str, line: str, first: Task | None) -> None:
    tx.execute(
        f"UPDATE motion_tasks SET status = {TaskStatus.BLOCKED:d} WHERE trigger = ? AND line = ? "
        f"AND status = {TaskStatus.READY:d} AND task IS DISTINCT FROM ?",
        (trigger, line, None if first is None else first.task),
    )
