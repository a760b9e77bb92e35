"""The vector log: which slots of vectors changed, for the indexes over them."""

from __future__ import annotations

from collections.abc import Sequence

from motion.backends.base import Transaction

LOG_TRIMMED_EVERY = 50_000

LOG_KEPT = 200_000
"""Entries of the vector log that are kept; an index further behind is rebuilt from the rows."""


def log_vectors(tx: Transaction, path: str, slots: Sequence[int]) -> None:
    """Tell indexes over "table.key" which slots changed."""
    sql = "INSERT INTO motion_vector_log (key, slot) VALUES (?, ?)"
    tx.on_each(sql, [[path] * len(slots), slots])
    last = tx.execute("SELECT MAX(entry) FROM motion_vector_log").fetchone()[0] or 0
    if last // LOG_TRIMMED_EVERY != (last - len(slots)) // LOG_TRIMMED_EVERY:
        tx.execute("DELETE FROM motion_vector_log WHERE entry <= ?", (last - LOG_KEPT,))


def begin_anew(tx: Transaction) -> None:
    """Empty the log behind a gap, so that all indexes, in whichever process, are made again from the rows."""
    for _ in range(2):
        tx.execute("INSERT INTO motion_vector_log (key, slot) VALUES ('', 0)")
    tx.execute(
        "DELETE FROM motion_vector_log WHERE entry < (SELECT MAX(entry) FROM motion_vector_log)"
    )
