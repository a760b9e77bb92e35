"""Leaving: rows that go while further pages of their ids stay, which have shown what these rows held. To the pages it is as
if the keys had been unset there first: what they inherited is gone, and whatever runs on it is due."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from motion.backends.base import Transaction
from motion.definitions.tasks import Cause
from motion.persistence.changes.cascade import fire, rows_below
from motion.persistence.layout import Layout, changed_column, quoted
from motion.persistence.layouts import Layouts
from motion.persistence.ranges import parts_of
from motion.persistence.rows.provenance import make_due
from motion.persistence.rows.writing import delete_outputs
from motion.persistence.rows.written import Written


def leave_pages(
    tx: Transaction, layouts: Layouts, layout: Layout, rows: Sequence[int], cause: Cause
) -> None:
    """Unset what pages that stay have from rows that are about to be deleted."""
    if not layout.table.page_keys:
        return
    going, written = set(rows), Written(layout)
    for level in _levels(layout):
        left = _left(tx, layout, level, rows, going)
        for key in _keys_of(layout, level) if left else ():
            written.note(key, list(_unset(tx, layout, key, left, cause.number)), arrived=False)
    for spec in layout.versioned_specs:
        delete_outputs(tx, spec, sorted({row for key in spec.sets for row in written.changed.get(key, ())}))  # fmt: skip
    if written.changed:
        _make_due_below(tx, layouts, written, going)
        fire(tx, layouts, written, cause)


def _levels(layout: Layout) -> Collection[frozenset[str]]:
    """Return the levels of keys that pages may inherit."""
    levels = layout.graph.levels[layout.table.name]
    found = {levels[key] for key in layout.table.value_keys}
    return [level for level in found if not level.issuperset(layout.table.page_keys)]


def _keys_of(layout: Layout, level: frozenset[str]) -> list[str]:
    levels = layout.graph.levels[layout.table.name]
    return [key for key in layout.table.value_keys if levels[key] == level]


def _left(
    tx: Transaction,
    layout: Layout,
    level: frozenset[str],
    rows: Sequence[int],
    going: Collection[int],
) -> list[int]:
    """Return those of the rows from which pages that stay inherit the keys of a level."""
    found = dict[int, None]()
    is_above = layout.is_above("r", "x", level)
    for part in parts_of(rows):
        sql = (
            f"SELECT {layout.row}, x.{layout.row_column} FROM {layout.base} r JOIN {layout.base} x ON {is_above} "
            f"WHERE {part.condition(layout.row)}"
        )
        pairs = tx.execute(sql, part.numbers)
        found |= {int(row): None for row, page in pairs if int(page) not in going}
    return list(found)


def _unset(
    tx: Transaction, layout: Layout, key: str, rows: Sequence[int], number: int
) -> Iterator[int]:
    """Unset a key of rows; give those that had a value."""
    sets = f"{quoted(key)} = NULL"
    sets += f", {changed_column(key)} = ?" if key in layout.numbered else ""
    for part in parts_of(rows):
        condition = f"{part.condition(layout.row)} AND {layout.value(key)} IS NOT NULL"
        sql = f"SELECT {layout.row} FROM {layout.joined([key], inherit=False)} WHERE {condition}"
        yield from [int(row[0]) for row in tx.execute(sql, part.numbers)]
        if key not in layout.versioned:
            sql = f"UPDATE {layout.base} SET {sets} WHERE {part.condition(layout.row_column)} AND {quoted(key)} IS NOT NULL"
            numbers = [number] if key in layout.numbered else []
            tx.execute(sql, (*numbers, *part.numbers))


def _make_due_below(
    tx: Transaction, layouts: Layouts, written: Written, going: Collection[int]
) -> None:
    """Let triggers be due on the pages: once the rows are gone, no number tells that what they took has changed."""
    layout = written.layout
    for key, rows in written.changed.items():
        for spec in layouts.graph.listeners.get((layout.table.name, key), ()):
            below = rows_below(tx, layout, spec, key, rows)
            make_due(
                tx, layout, spec, [row for row in below if row not in going], in_every_version=True
            )
