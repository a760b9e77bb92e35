"""Traces: the span that a write was made in, kept beside its tasks, so that calls are told to be below it in whichever process."""

from __future__ import annotations

from collections.abc import Collection

from motion.backends.base import Transaction

CHANGES_KEPT = 100_000


def keep(tx: Transaction, change: int, line: str) -> None:
    """Keep the span of a write from outside; that of much older ones is forgotten."""
    tx.execute("INSERT INTO motion_traces (change, line) VALUES (?, ?)", (change, line))
    tx.execute("DELETE FROM motion_traces WHERE change < ?", (change - CHANGES_KEPT,))


def lines_of(tx: Transaction, changes: Collection[int]) -> dict[int, str]:
    """Return the spans of writes, of those that had one."""
    sql = "SELECT change, line FROM motion_traces WHERE change = ?"
    found = (tx.execute(sql, (each,)).fetchone() for each in changes)
    return {int(row[0]): str(row[1]) for row in found if row is not None}
