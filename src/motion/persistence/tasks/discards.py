"""Discards: waiting tasks that are dropped by a trigger's policy, because their results would come too late or for too many.

What is dropped stays due: its rows keep their old outputs, and run again when an `on` key changes. An event that is
dropped is over.
"""

from __future__ import annotations

from collections.abc import Sequence

from motion.backends.base import Transaction
from motion.definitions.graph import Graph
from motion.definitions.tasks import Task, TaskStatus
from motion.definitions.triggers.specs import TriggerSpec
from motion.persistence.tasks import events, queue

WAITS = f"status IN ({TaskStatus.READY:d}, {TaskStatus.BLOCKED:d})"

DROPPED_AT_ONCE = 10_000

SPARE_PART = 10
"""One in so many of the rows that may wait may wait beyond them, until all are looked at."""


def drop_expired(tx: Transaction, graph: Graph, triggers: Sequence[str], now_ms: int) -> bool:
    """Drop the tasks that have waited longer than their triggers allow; return whether there were any."""
    is_any = False
    for spec in (graph.triggers[name] for name in triggers if name in graph.triggers):
        if (
            spec.discard_after_s is not None
        ):  # else a clock that was put back gives them that time, too
            latest = now_ms + round(1000 * spec.discard_after_s)
            tx.execute(
                "UPDATE motion_tasks SET expires_ms = ? WHERE trigger = ? AND expires_ms IS NOT NULL AND expires_ms > ?",
                (latest, spec.name, latest),
            )
        while spec.discard_after_s is not None and (found := _expired(tx, spec, now_ms)):
            _drop(tx, graph, spec, found)
            is_any = True
    return is_any


def _expired(tx: Transaction, spec: TriggerSpec, now_ms: int) -> list[Task]:
    """Return some of the tasks that have waited too long: there may be millions."""
    sql = (
        f"SELECT {queue.COLUMNS} FROM motion_tasks "
        f"WHERE trigger = ? AND expires_ms IS NOT NULL AND expires_ms <= ? AND +{WAITS} LIMIT {DROPPED_AT_ONCE}"
    )
    return [Task(*row) for row in tx.execute(sql, (spec.name, now_ms)).fetchall()]


def drop_beyond(tx: Transaction, graph: Graph, spec: TriggerSpec, more: int) -> bool:
    """Keep about as many waiting rows as a trigger allows, those that came last. To see which these are, all that wait
    are read, so that is put off until a tenth too many may wait: a write must not cost what the queue is long. Return
    whether any were dropped.

    Args:
        more: rows that have just been made due.
    """
    if spec.discard_beyond is None:
        return False
    sql = "UPDATE motion_discards SET waiting = waiting + ? WHERE trigger = ? RETURNING waiting"
    found = tx.execute(sql, (more, spec.name)).fetchone()
    if found is not None and found[0] <= spec.discard_beyond + spec.discard_beyond // SPARE_PART:
        return False
    room, spare = spec.discard_beyond, []
    found = tx.execute(
        f"SELECT {queue.COLUMNS} FROM motion_tasks WHERE {WAITS} AND trigger = ? ORDER BY task DESC",
        (spec.name,),
    ).fetchall()
    for task in (Task(*row) for row in found):
        if task.size > room > 0:
            spare.append(queue.split_off(tx, task, task.size - room))
        elif task.size > room:
            spare.append(task)
        room = max(room - task.size, 0)
    _drop(tx, graph, spec, spare)
    tx.execute(
        "INSERT INTO motion_discards (trigger, waiting) VALUES (?1, ?2) ON CONFLICT (trigger) DO UPDATE SET waiting = excluded.waiting",
        (spec.name, spec.discard_beyond - room),
    )
    return bool(spare)


def discarded(tx: Transaction) -> dict[str, int]:
    """Return trigger -> how many rows were dropped, ever."""
    return dict(tx.execute("SELECT trigger, rows FROM motion_discards WHERE rows > 0").fetchall())


def note_dropped(tx: Transaction, trigger: str) -> None:
    """Note that waiting tasks of a trigger were dropped otherwise than by its policy."""
    tx.execute(
        "INSERT INTO motion_discards (trigger) VALUES (?) ON CONFLICT (trigger) DO NOTHING",
        (trigger,),
    )


def was_dropped(tx: Transaction, trigger: str) -> bool:
    """Whether waiting tasks of a trigger may ever have been dropped."""
    sql = "SELECT 1 FROM motion_discards WHERE trigger = ?"
    return tx.execute(sql, (trigger,)).fetchone() is not None


def note_called_again(tx: Transaction, trigger: str, rows: int) -> None:
    """Count rows that are called again as what they had read had changed."""
    tx.execute(
        "INSERT INTO motion_discards (trigger, again) VALUES (?1, ?2) ON CONFLICT (trigger) DO UPDATE SET again = motion_discards.again + excluded.again",
        (trigger, rows),
    )


def called_again(tx: Transaction) -> dict[str, int]:
    """Return trigger -> how many rows were called again, ever."""
    return dict(tx.execute("SELECT trigger, again FROM motion_discards WHERE again > 0").fetchall())


def _drop(tx: Transaction, graph: Graph, spec: TriggerSpec, tasks: Sequence[Task]) -> None:
    if tasks:
        queue.complete(tx, tasks, graph.woken_by(spec.name))
        queue.wake_triggers(tx, graph.woken_elsewhere(spec.name))
        for task in tasks if spec.event else ():
            rows = range(task.low, task.high + 1)
            events.end(tx, spec.table, rows)
        tx.execute(
            "INSERT INTO motion_discards (trigger, rows) VALUES (?1, ?2) "
            "ON CONFLICT (trigger) DO UPDATE SET rows = motion_discards.rows + excluded.rows",
            (spec.name, sum(task.size for task in tasks)),
        )
