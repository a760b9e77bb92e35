"""What has become of a change: whether work of it is left, and whether any of it has failed. One look, as each `wait` takes one."""

from __future__ import annotations

from typing import NamedTuple

from motion.backends.base import Transaction
from motion.definitions.tasks import TaskStatus
from motion.persistence.recompute.backfills import UNFINISHED
from motion.persistence.states.asked import FAILED, OPEN
from motion.persistence.tasks.queue import LIVE_SQL


class Outcome(NamedTuple):
    is_left: bool
    has_failed: bool


def _any_task(statuses: str) -> str:
    """Return the condition that a task of the change, or one that took in work of it, has one of these statuses.

    It is looked up by the change, not by status: a change's own tasks are few, however long the queue.
    """
    return (
        f"EXISTS (SELECT 1 FROM motion_tasks WHERE change = ?1 AND +status IN {statuses}) "
        "OR EXISTS (SELECT 1 FROM motion_task_changes c JOIN motion_tasks t ON t.task = c.task "
        f"WHERE c.change = ?1 AND +t.status IN {statuses})"
    )


OUTCOME = (
    f"SELECT {_any_task(LIVE_SQL)} "
    f"OR EXISTS (SELECT 1 FROM motion_backfills WHERE {UNFINISHED} AND change = ?1 AND remaining > 0) "
    f"OR EXISTS (SELECT 1 FROM motion_asked WHERE change = ?1 AND {OPEN}), "
    f"{_any_task(f'({TaskStatus.DEAD:d})')} "
    f"OR EXISTS (SELECT 1 FROM motion_asked WHERE change = ?1 AND {FAILED})"
)


def outcome_of(tx: Transaction, change: int) -> Outcome:
    is_left, has_failed = tx.execute(OUTCOME, (change,)).fetchone()
    return Outcome(bool(is_left), bool(has_failed))
