"""Leases: a claim is proved by who holds it, and taken over where its process is gone."""

from __future__ import annotations

from collections.abc import Sequence

from motion.backends.base import Asked, Transaction
from motion.definitions.tasks import LOSSES_ALLOWED, LOSSES_SHARED, Task, TaskStatus
from motion.persistence.ranges import filled_up, places
from motion.persistence.tasks.queue import COLUMNS, release, wake_all

# -- by who holds a claim: each proves that it is this claim, as a task may have been dropped, or taken over and claimed
# -- by another, or by the same process once more, since


def held(tx: Transaction, tasks: Sequence[Task]) -> list[Task]:
    """Return those of the tasks that are held under the claim they were read with."""
    found = {(task, claim) for task, claim in tx.execute(*held_asked(tasks))}
    return [each for each in tasks if (each.task, each.claim) in found]


def held_asked(tasks: Sequence[Task]) -> Asked:
    """Return what asks for the claims that some tasks are held under."""
    numbers = filled_up([each.task for each in tasks])
    sql = (
        f"SELECT task, claim FROM motion_tasks WHERE status = {TaskStatus.CLAIMED:d} "
        f"AND task IN ({places(numbers)})"
    )
    return sql, numbers


def is_held(tx: Transaction, task: int, claim: int) -> bool:
    """Whether a task is held under the claim that it was read with."""
    sql = f"SELECT 1 FROM motion_tasks WHERE task = ? AND claim = ? AND status = {TaskStatus.CLAIMED:d}"
    return tx.execute(sql, (task, claim)).fetchone() is not None


def still_claimed(tx: Transaction, tasks: Sequence[Task]) -> bool:
    """Whether all of these tasks are held; where some are not, the others are given back, as their run is void."""
    mine = held(tx, tasks)
    if len(mine) < len(tasks):
        release(tx, mine)
    return len(mine) == len(tasks)


def take_over(tx: Transaction, owners: Sequence[str]) -> list[Task]:
    """Give the tasks of owners that are gone back to the queue. Where it happened to a task before, one of the rows that
    were held has perhaps ended the process, and all of them are suspects until it stands alone: the suspects among them,
    if there were any.

    Returns:
        Those that were lost too often, to be set aside.
    """
    held = f"status = {TaskStatus.CLAIMED:d} AND owner = ?"
    sizes = "SELECT COALESCE(SUM(high - low + 1), 0) FROM motion_tasks WHERE"
    aside: list[Task] = []
    for owner in owners:
        rows, suspects = (
            int(tx.execute(f"{sizes} {held} {which}", (owner,)).fetchone()[0])
            for which in ("", "AND among > 0")
        )
        if suspects == 1:
            sql = (
                f"SELECT {COLUMNS} FROM motion_tasks WHERE {held} AND among > 0 AND losses + 1 >= ?"
            )
            aside += [Task(*row) for row in tx.execute(sql, (owner, LOSSES_ALLOWED))]
        tx.execute(
            f"UPDATE motion_tasks SET status = {TaskStatus.READY:d}, owner = NULL, "
            f"losses = losses + CASE WHEN losses < {LOSSES_SHARED} OR (among > 0 AND ? = 1) THEN 1 ELSE 0 END, "
            f"among = CASE WHEN among > 0 THEN ? WHEN losses > 0 THEN ? ELSE 0 END WHERE {held}",
            (suspects, suspects, rows, owner),
        )
    wake_all(tx)
    return aside


def release_all(tx: Transaction, owner: str) -> None:
    """Give back all that an owner holds, untouched."""
    tx.execute(
        f"UPDATE motion_tasks SET status = {TaskStatus.READY:d}, owner = NULL "
        f"WHERE status = {TaskStatus.CLAIMED:d} AND owner = ?",
        (owner,),
    )


def free(tx: Transaction) -> None:
    """Give all claims back: in a copy of a store nobody holds any."""
    tx.execute(
        f"UPDATE motion_tasks SET status = {TaskStatus.READY:d}, owner = NULL WHERE status = {TaskStatus.CLAIMED:d}"
    )
