"""Rows that a generator still owes its first page: what derives from that waits for it, and for nothing that comes after."""

from __future__ import annotations

from motion.backends.base import Transaction
from motion.definitions.tasks import Task, TaskStatus
from motion.definitions.triggers.specs import TriggerSpec
from motion.persistence.layout import Layout
from motion.persistence.tasks import queue


def rows(
    tx: Transaction, layout: Layout, maker: TriggerSpec, task: Task, *, is_dead: bool
) -> set[int]:
    """Return the rows of a task on which a generator of pages has live work, or has given up, and has set nothing on the row
    itself since the change that this is about, nor since its inputs have changed."""
    numbers = ", ".join(layout.own_number(key) for key in maker.sets)
    last = f"MAX(0, {numbers})"
    status = f"= {TaskStatus.DEAD:d}" if is_dead else f"IN {queue.LIVE_SQL}"
    is_owed = f"(t.change >= {last} OR {layout.on_number(maker)} >= {last})"
    condition = f"+t.status {status} AND t.version IS NULL AND {is_owed}"
    found = tx.execute(
        f"SELECT {layout.row} FROM {layout.joined([*maker.on, *maker.sets], [maker])} "
        f"WHERE {layout.row} BETWEEN ? AND ? AND {queue.is_any_on(maker.name, layout.row, condition)}",
        (task.low, task.high),
    )
    return {int(row) for (row,) in found}
