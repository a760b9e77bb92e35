"""Parts of texts that are growing: what their runs have given so far, for readers in other processes.

They are gone when the text is whole, which is then the row's value, or with their row; those of a run that failed, when
the next one begins. They
are parts of the text for one value: what is still made for a value that was replaced meanwhile, or for a row that was
deleted, is not kept, and not read. A run that begins replaces what one before it had left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from motion.backends.base import Transaction
from motion.persistence.layout import Layout, in_ranges, parts_of, quoted
from motion.triggers import TriggerSpec


class Grows(NamedTuple):
    """A text that is growing: of which trigger on which row, and the change of its `on` keys that it is made for."""

    trigger: str
    row: int
    number: int


def growing_at(tx: Transaction, layout: Layout, spec: TriggerSpec, row: int) -> Grows | None:
    """Return the text that a trigger's run would make for a row as it is now; None where there is no such row."""
    sql = f"SELECT {layout.on_number(spec)} FROM {layout.joined(spec.on)} WHERE {layout.row} = ?"
    found = tx.execute(sql, (row,)).fetchone()
    return None if found is None else Grows(spec.name, row, int(found[0]))


def keep(tx: Transaction, text: Grows, run: int, first: int, parts: Sequence[str]) -> None:
    """Add parts to those of a run; the first of a run end those of any other on the row."""
    tx.execute(
        "DELETE FROM motion_parts WHERE trigger = ? AND row = ? AND run != ?",
        (text.trigger, text.row, run),
    )
    tx.executemany(
        "INSERT INTO motion_parts (trigger, row, number, run, part, text) VALUES (?, ?, ?, ?, ?, ?)",
        [(*text, run, place, part) for place, part in enumerate(parts, first)],
    )


def forget(tx: Transaction, trigger: str, rows: Sequence[int]) -> None:
    """Drop the parts of rows whose runs have ended, or that are deleted."""
    for ranges in parts_of(rows):
        tx.execute(
            f"DELETE FROM motion_parts WHERE trigger = ? AND {in_ranges('row', ranges)}", (trigger,)
        )


def of_text(tx: Transaction, text: Grows) -> tuple[int, list[str]] | None:
    """Return the run that is making a text and its parts so far, None where there is none."""
    sql = (
        "SELECT run, text FROM motion_parts WHERE trigger = ? AND row = ? AND number = ? "
        "ORDER BY run, part"
    )
    found = tx.execute(sql, text).fetchall()
    return (int(found[0][0]), [str(text) for _, text in found]) if found else None


def rows_by_name(tx: Transaction, layout: Layout, row_id: object) -> dict[tuple[object, ...], int]:
    """Return the rows of an id: its primary key as stored -> the row's number."""
    names = ", ".join(map(quoted, layout.table.primary_key))
    sql = f"SELECT {layout.row_column}, {names} FROM {layout.base} WHERE id = ?"
    return {tuple(name): int(row) for row, *name in tx.execute(sql, (row_id,))}
