"""Events in the database: rows of event tables, made in the transaction that they are about, gone when they are met."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from motion.backends.base import Transaction
from motion.definitions.values.codecs import Stored
from motion.persistence.layout import (
    Layout,
    changed_column,
    quoted,
    rows_table,
)
from motion.persistence.numbers import next_tasks
from motion.persistence.ranges import cut, filled_up, is_known_by, key_of, parts_of

OCCURRENCE_ROW = 1
"""A schedule has one occurrence at a time, so a later one takes the place of one that was given up."""


def copy_rows(
    tx: Transaction, source: Layout, target: Layout, rows: Sequence[int], number: int
) -> range:
    """Copy rows that are about to be deleted, inherited values too, and return the numbers of the copies.

    One statement for hundreds of rows, and none of them comes through memory.
    """
    keys = list(target.table.keys)
    names = ", ".join(map(quoted, keys))
    values = ", ".join(source.inherited_value(key) for key in keys)
    first = following = next_tasks(tx, len(rows))
    for part in parts_of(rows):
        copied = tx.execute(
            f"INSERT INTO {target.base} ({target.row_column}, {names}, {changed_column('id')}) "
            f"SELECT ? + ROW_NUMBER() OVER (ORDER BY +{source.row}), {values}, ? FROM {source.joined(keys)} "
            f"WHERE {part.condition(source.row)}",
            (following - 1, number, *part.numbers),
        )
        following += copied.rowcount
    return range(first, following)


def note_occurrence(tx: Transaction, layout: Layout, due: str, number: int) -> int:
    """Note an occurrence of a schedule, and return its row."""
    tx.execute(
        f'INSERT INTO {layout.base} (":row", id, {changed_column("id")}) VALUES (?, ?, ?) '
        f'ON CONFLICT (":row") DO UPDATE SET id = excluded.id, {changed_column("id")} = excluded.{changed_column("id")}',
        (OCCURRENCE_ROW, due, number),
    )
    return OCCURRENCE_ROW


def unset(tx: Transaction, layout: Layout, key: str, by: str, values: Iterable[Stored]) -> None:
    """Unset a key in copies of deleted rows that have one of these values of another key."""
    if not {key, key_of(by)} <= layout.table.keys.keys():
        return
    for part in map(filled_up, cut(list(values))):
        condition, parameters = is_known_by(by, part, "x")
        sql = f"UPDATE {layout.base} AS x SET {quoted(key)} = NULL WHERE {condition}"
        tx.execute(sql, parameters)


def end(tx: Transaction, table: str, rows: Iterable[int]) -> None:
    """Forget events that their trigger has met, or never will.

    Args:
        table: the trigger's event table.
    """
    for part in parts_of(rows):
        condition = part.condition(quoted(":row"))
        tx.execute(f"DELETE FROM {rows_table(table)} WHERE {condition}", part.numbers)
