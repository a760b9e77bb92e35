"""Gone: rows that were deleted while runs were under way. What such a run writes by hand does not bring them back.

Nothing is kept where no run is under way that may write by hand, nor for longer than that: the next deletion without one
clears what there is.
"""

from __future__ import annotations

from collections.abc import Sequence

from motion import clock
from motion.backends.base import Transaction
from motion.definitions.graph import Graph
from motion.definitions.tasks import TaskStatus
from motion.definitions.values.codecs import Stored
from motion.persistence.layout import Layout
from motion.persistence.ranges import cut, parts_of, places

IDS_AT_ONCE = 500


def note(tx: Transaction, graph: Graph, target: Layout, rows: Sequence[int], number: int) -> None:
    """Keep that rows are about to be deleted, where a run is under way that may write to them. A page that goes is none."""
    writing = graph.writing
    if not writing:
        return
    sql = f"SELECT 1 FROM motion_tasks WHERE status = {TaskStatus.CLAIMED:d} AND trigger IN ({places(writing)}) LIMIT 1"
    if tx.execute(sql, writing).fetchone() is None:
        forget(tx)
        return
    for part in parts_of(rows):
        tx.execute(
            "INSERT INTO motion_gone (name, id, number, at_ms) "
            f"SELECT ?, CAST(r.id AS TEXT), ?, ? FROM {target.base} r "
            f"WHERE {part.condition(target.row)}{target.and_first('r')} "
            "ON CONFLICT (name, id) DO UPDATE SET number = excluded.number, at_ms = excluded.at_ms",
            (target.table.name, number, clock.now_ms(), *part.numbers),
        )


def forget(tx: Transaction) -> None:
    """Forget all such rows."""
    if is_any(tx):
        tx.execute("DELETE FROM motion_gone")


def is_any(tx: Transaction) -> bool:
    return tx.execute("SELECT 1 FROM motion_gone LIMIT 1").fetchone() is not None


def is_among(
    tx: Transaction, table: str, ids: Sequence[Stored], read_at: int, began_ms: int
) -> bool:
    """Whether any of these rows was deleted after a run had begun.

    Args:
        read_at: the number of the last change when the inputs of the run were read.
        began_ms: when its function was called.
    """
    for some in cut([str(each) for each in ids if each is not None], IDS_AT_ONCE):
        sql = (
            f"SELECT 1 FROM motion_gone WHERE name = ? AND id IN ({places(some)}) AND number > ? AND at_ms > ? "
            "LIMIT 1"
        )
        if tx.execute(sql, (table, *some, read_at, began_ms)).fetchone() is not None:
            return True
    return False
