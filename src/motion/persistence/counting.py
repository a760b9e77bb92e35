"""Counting: about how many rows a table has, in a time that does not grow with it."""

from __future__ import annotations

from motion.backends.base import Transaction

EXACT_UP_TO = 10_000
"""So many rows are counted: that takes less than a millisecond."""

PLACES, HOP = 64, 32
"""Places at which the density of the rows' numbers is looked at, and how many rows on from each."""


def rows_about(tx: Transaction, table: str, column: str) -> tuple[int, bool]:
    """Return about how many rows a table has, and whether that is exact.

    Larger tables are measured at evenly spread places: where the rows' numbers have gaps, as after deletions, they are
    seen there. Where ids were given that lie in a few far clusters, it may be well off.

    Args:
        table, column: the quoted names of the table and of the column that numbers its rows.
    """
    few = f"SELECT COUNT(*) FROM (SELECT 1 FROM {table} LIMIT {EXACT_UP_TO + 1})"
    counted = int(tx.execute(few).fetchone()[0])
    if counted <= EXACT_UP_TO:
        return counted, True
    ends = f"SELECT (SELECT MIN({column}) FROM {table}), (SELECT MAX({column}) FROM {table})"
    low, high = map(int, tx.execute(ends).fetchone())
    span = high - low + 1
    return max(round(sum(_densities(tx, table, column, low, span)) * span / PLACES), counted), False


def _densities(tx: Transaction, table: str, column: str, low: int, span: int) -> list[float]:
    """Return how many rows there are for each number, from evenly spread places on."""
    hop = f"SELECT {column} FROM {table} WHERE {column} >= ? ORDER BY {column} LIMIT 1 OFFSET {HOP}"
    found = []
    for place in range(PLACES):
        start = low + span * place // PLACES
        end = tx.execute(hop, (start,)).fetchone()
        found.append(HOP / (int(end[0]) - start) if end else HOP / max(low + span - start, HOP))
    return found
