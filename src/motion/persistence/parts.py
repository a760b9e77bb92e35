"""Parts of texts that are growing: what their runs have given so far, for readers in other processes.

They are gone when the text is whole, which is then the row's value, or when its run has failed. A run that begins
replaces what one before it had left: of a row there are the parts of one run at any time.
"""

from __future__ import annotations

from collections.abc import Sequence

from motion.backends.base import Transaction
from motion.persistence.layout import Layout, in_ranges, parts_of, quoted


def keep(
    tx: Transaction, trigger: str, row: int, run: int, first: int, texts: Sequence[str]
) -> None:
    """Add parts to those of a run on a row; the first of a run end those of any other."""
    tx.execute(
        "DELETE FROM motion_parts WHERE trigger = ? AND row = ? AND run != ?", (trigger, row, run)
    )
    tx.executemany(
        "INSERT OR REPLACE INTO motion_parts (trigger, row, run, part, text) VALUES (?, ?, ?, ?, ?)",
        [(trigger, row, run, part, text) for part, text in enumerate(texts, first)],
    )


def forget(tx: Transaction, trigger: str, rows: Sequence[int]) -> None:
    """Drop the parts of rows whose runs have ended."""
    for ranges in parts_of(rows):
        tx.execute(
            f"DELETE FROM motion_parts WHERE trigger = ? AND {in_ranges('row', ranges)}", (trigger,)
        )


def of_row(tx: Transaction, trigger: str, row: int) -> tuple[int, list[str]] | None:
    """Return the run that is making a row's text and its parts so far, None where there is none."""
    sql = "SELECT run, text FROM motion_parts WHERE trigger = ? AND row = ? ORDER BY run, part"
    found = tx.execute(sql, (trigger, row)).fetchall()
    return (int(found[0][0]), [str(text) for _, text in found]) if found else None


def rows_by_name(tx: Transaction, layout: Layout, row_id: object) -> dict[tuple[object, ...], int]:
    """Return the rows of an id: its primary key as stored -> the row's number."""
    names = ", ".join(map(quoted, layout.table.primary_key))
    sql = f"SELECT {layout.row_column}, {names} FROM {layout.base} WHERE id = ?"
    return {tuple(name): int(row) for row, *name in tx.execute(sql, (row_id,))}
