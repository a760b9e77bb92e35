"""The backlog: what waits, runs or was given up, counted and looked up. Nothing here changes a task."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from motion import clock
from motion.backends.base import Transaction
from motion.background.tracebacks import headline
from motion.definitions.tasks import LONGEST_PAUSE_MS, DeadLetter, Lane, TaskStatus
from motion.definitions.values.codecs import INT64_MAX
from motion.persistence.layout import quoted
from motion.persistence.ranges import cut, filled_up, places
from motion.persistence.tasks.claim import heads_of, suspect_of
from motion.persistence.tasks.queue import LIVE_SQL

ACTIVE = "trigger IN (SELECT name FROM motion_triggers WHERE is_active = 1)"
"""A condition on tasks: their trigger exists."""


CHANGES_AT_ONCE = 512


def owners(tx: Transaction) -> list[str]:
    """Return who holds claims."""
    sql = f"SELECT DISTINCT owner FROM motion_tasks WHERE status = {TaskStatus.CLAIMED:d}"
    return [str(row[0]) for row in tx.execute(sql)]


def live_count(tx: Transaction, change: int | None = None) -> int:
    """Return how many rows live tasks hold: of a change, or of all triggers that exist. 0: no work is left."""
    if change is None:
        sql = (
            f"SELECT COALESCE(SUM(high - low + 1), 0) FROM motion_tasks WHERE status IN {LIVE_SQL} "
            f"AND {ACTIVE}"
        )
        return int(tx.execute(sql).fetchone()[0])
    # Looked up by task, not by status: a change's own tasks are few, however long the queue.
    mine = "SELECT task FROM motion_tasks WHERE change = ?1 UNION SELECT task FROM motion_task_changes WHERE change = ?1"
    sql = f"SELECT COALESCE(SUM(high - low + 1), 0) FROM motion_tasks WHERE +status IN {LIVE_SQL} AND task IN ({mine})"
    return int(tx.execute(sql, (change,)).fetchone()[0])


def dead_count(tx: Transaction, change: int) -> int:
    """Return how many rows of a change's own tasks were given up."""
    sql = f"SELECT COUNT(*) FROM motion_tasks WHERE change = ? AND +status = {TaskStatus.DEAD:d}"
    return int(tx.execute(sql, (change,)).fetchone()[0])


def changes_with_work(tx: Transaction, changes: Sequence[int]) -> set[int]:
    """Return those of some changes that live tasks are left of: a look for many at once."""
    found: set[int] = set()
    for part in map(filled_up, cut(changes, CHANGES_AT_ONCE)):
        named = places(part)
        own = f"SELECT change FROM motion_tasks WHERE change IN ({named}) AND +status IN {LIVE_SQL}"
        others = (
            "SELECT c.change FROM motion_task_changes c JOIN motion_tasks t ON t.task = c.task "
            f"WHERE c.change IN ({named}) AND +t.status IN {LIVE_SQL}"
        )
        for sql in (own, others):
            found.update(int(change) for (change,) in tx.execute(sql, part))
    return found


def live_tasks(tx: Transaction) -> int:
    """Return how many tasks of triggers that exist are live. It counts them."""
    sql = f"SELECT COUNT(*) FROM motion_tasks WHERE status IN {LIVE_SQL} AND {ACTIVE}"
    return int(tx.execute(sql).fetchone()[0])


def orphans(tx: Transaction, trigger: str | None, limit: int) -> list[tuple[int, str, int, int]]:
    """Return some tasks that nobody runs of triggers (one, or all) that do not exist any more, dead letters too: number,
    trigger, first and last row."""
    named = "" if trigger is None else "AND trigger = ?"
    sql = (
        f"SELECT task, trigger, low, high FROM motion_tasks WHERE NOT {ACTIVE} "
        f"AND status != {TaskStatus.CLAIMED:d} {named} LIMIT ?"
    )
    values = (limit,) if trigger is None else (trigger, limit)
    return [tuple(found) for found in tx.execute(sql, values)]


def has_live(tx: Transaction) -> bool:
    """Whether work is left for triggers that exist. A look-up, however long the queue."""
    sql = f"SELECT 1 FROM motion_tasks WHERE status IN {LIVE_SQL} AND {ACTIVE} LIMIT 1"
    return tx.execute(sql).fetchone() is not None


def has_live_of(tx: Transaction, trigger: str) -> bool:
    """Whether a trigger has live work. A look-up for each status."""
    sql = f"SELECT 1 FROM motion_tasks WHERE status IN {LIVE_SQL} AND trigger = ? LIMIT 1"
    return tx.execute(sql, (trigger,)).fetchone() is not None


def ready_rows(tx: Transaction, trigger: str, limit: int) -> int:
    """Return how many rows of a trigger could be claimed now, up to about `limit`."""
    sql = (
        f"SELECT COALESCE(SUM(size), 0) FROM (SELECT high - low + 1 AS size FROM motion_tasks "
        f"WHERE status = {TaskStatus.READY:d} AND trigger = ? LIMIT ?)"
    )
    return int(tx.execute(sql, (trigger, limit)).fetchone()[0])


def next_due_ms(tx: Transaction, triggers: Sequence[str]) -> int | None:
    """Return when the first postponed task is due, in milliseconds since the epoch; None where none is postponed.

    As `ripen` has it: one that seems to wait for longer than any pause is due now.
    """
    sql = (
        f"SELECT MIN(not_before) FROM motion_tasks WHERE status = {TaskStatus.POSTPONED:d} "
        "AND trigger = ?"
    )
    found = [tx.execute(sql, (trigger,)).fetchone()[0] for trigger in triggers]
    due = min((int(each) for each in found if each is not None), default=None)
    is_beyond = due is not None and due > clock.now_ms() + LONGEST_PAUSE_MS
    return 0 if is_beyond else due  # the clock was put back


def dead_letters(
    tx: Transaction,
    triggers: Collection[str],
    shown: Callable[[str], tuple[str, str]],
    change: int | None = None,
    trigger: str | None = None,
    limit: int | None = None,
    after: int | None = None,
) -> list[DeadLetter]:
    """Return the rows that triggers gave up on, by the numbers of their tasks.

    Args:
        triggers: those that exist.
        shown: a trigger -> its table's name and an SQL expression that shows a row of it.
        change: only those that this change waited for.
        trigger: only this trigger's.
        limit: so many at most.
        after: only those of tasks with larger numbers.
    """
    names = triggers if trigger is None else [trigger]
    if change is None:  # each trigger's by number, so that no more are read than asked for
        source = f"t.status = {TaskStatus.DEAD:d} AND t.trigger = ?"
        found = [each for name in names for each in _dead(tx, source, (name,), limit, after)]
        found = sorted(found)[: limit if limit is not None else len(found)]
    else:  # a change's own tasks are few, so they are looked up first, however many dead letters there are
        mine = "SELECT task FROM motion_tasks WHERE change = ? UNION SELECT task FROM motion_task_changes WHERE change = ?"
        source = f"+t.status = {TaskStatus.DEAD:d} AND t.task IN ({mine})"
        found = [
            each for each in _dead(tx, source, (change, change), limit, after) if each[1] in names
        ]
    tables = {name: shown(name) for name in {each[1] for each in found} if name in triggers}
    return [
        DeadLetter(
            task,
            name,
            tables[name][0],
            _shown(tx, tables[name][1], row),
            attempts,
            error or "",
            inputs or "",
            datetime.fromtimestamp(at_ms / 1000, UTC) if at_ms else None,
            number,
        )
        for task, name, row, attempts, error, inputs, at_ms, number in found
        if name in tables
    ]


def _dead(
    tx: Transaction, chosen: str, values: Sequence[Any], limit: int | None, after: int | None
) -> list[tuple[Any, ...]]:
    sql = (
        "SELECT t.task, t.trigger, t.low, t.attempts, t.error, t.inputs, t.not_before, t.change "
        f"FROM motion_tasks t WHERE {chosen} AND t.task > ? ORDER BY t.task LIMIT ?"
    )
    return list(tx.execute(sql, (*values, after or 0, INT64_MAX if limit is None else limit)))


def dead_tasks(
    tx: Transaction, triggers: Sequence[str], after: int, last: int, limit: int
) -> list[int]:
    """Return the first dead letters of these triggers that are numbered above `after`, and up to `last`."""
    sql = (
        f"SELECT task FROM motion_tasks WHERE +status = {TaskStatus.DEAD:d} AND +trigger IN ({places(triggers)}) "
        "AND task > ? AND task <= ? ORDER BY task LIMIT ?"
    )
    return [int(row[0]) for row in tx.execute(sql, (*triggers, after, last, limit))]


def still_dead(tx: Transaction, triggers: Sequence[str], tasks: Sequence[int]) -> list[int]:
    """Return those of some tasks that are dead letters of these triggers."""
    known = set(triggers)
    sql = f"SELECT trigger FROM motion_tasks WHERE task = ? AND +status = {TaskStatus.DEAD:d}"
    found = [(task, tx.execute(sql, (task,)).fetchone()) for task in tasks]
    return [task for task, row in found if row is not None and row[0] in known]


def _shown(tx: Transaction, expression: str, row: int) -> str:
    found = tx.execute(expression, (row,)).fetchone()
    return str(found[0]) if found else f"row {row} (deleted since)"


def depths(tx: Transaction) -> dict[str, dict[str, int]]:
    """Return trigger -> status -> how many tasks."""
    found: dict[str, dict[str, Any]] = {}
    for trigger, status, count in tx.execute(
        "SELECT trigger, status, COUNT(*) FROM motion_tasks GROUP BY 1, 2"
    ):
        found.setdefault(trigger, {})[TaskStatus(status).name.lower()] = count
    return found


def rows_to_do(tx: Transaction) -> dict[str, int]:
    """Return trigger -> the rows that its live tasks hold."""
    sql = f"SELECT trigger, SUM(high - low + 1) FROM motion_tasks WHERE status IN {LIVE_SQL} GROUP BY 1"
    return {str(trigger): int(rows) for trigger, rows in tx.execute(sql)}


def rows_to_build(tx: Transaction, trigger: str) -> int:
    """Return the rows that live tasks for a candidate's outputs hold: a part's, and those of rows set meanwhile."""
    sql = (
        "SELECT COALESCE(SUM(high - low + 1), 0) FROM motion_tasks WHERE trigger = ? AND version IS NOT NULL "
        f"AND status IN {LIVE_SQL}"
    )
    return int(tx.execute(sql, (trigger,)).fetchone()[0])


def row_expression(base: str, row_column: str, primary_key: Sequence[str]) -> str:
    """Return the query that shows a row by its primary key, such as `id=7 page=2`."""
    parts = " || ' ' || ".join(f"'{key}=' || {quoted(key)}" for key in primary_key)
    return f"SELECT {parts} FROM {base} WHERE {row_column} = ?"


def any_ready(tx: Transaction, lanes: Iterable[Lane]) -> bool:
    """Whether a task of these triggers is ready: a look that takes no lock."""
    lanes = list(lanes)
    if not (lanes and has_ready(tx)):
        return False
    return bool(heads_of(tx, lanes)) or suspect_of(tx, lanes) is not None


def has_ready(tx: Transaction) -> bool:
    """Whether any task is ready, of whichever trigger. One index look-up."""
    return tx.execute(READY).fetchone() is not None


READY = f"SELECT 1 FROM motion_tasks WHERE status = {TaskStatus.READY:d} LIMIT 1"


def has_ready_of(tx: Transaction, lane: Lane) -> bool:
    """Whether a task of one trigger could be claimed now, of its live work or of a candidate's outputs."""
    return any_ready(tx, [lane])


def held_up(tx: Transaction, trigger: str, limit: int) -> int:
    """Return how many tasks of a trigger wait for work upstream or their next attempt, counted up to `limit`."""
    held = f"status IN ({TaskStatus.BLOCKED:d}, {TaskStatus.POSTPONED:d}) AND trigger = ?"
    sql = f"SELECT COUNT(*) FROM (SELECT 1 FROM motion_tasks WHERE {held} LIMIT ?)"
    return int(tx.execute(sql, (trigger, limit)).fetchone()[0])


def first_error(tx: Transaction, version: int) -> str:
    """Return the last line of the first error that building a version met."""
    found = tx.execute(
        f"SELECT error FROM motion_tasks WHERE version = ? AND status = {TaskStatus.DEAD:d} ORDER BY task LIMIT 1",
        (version,),
    ).fetchone()
    return headline(found[0]) if found and found[0] else "an unknown reason"
