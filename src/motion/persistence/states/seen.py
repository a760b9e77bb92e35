"""Rows as runs saw them: a copy of a row as it was when a run first set a key for its `on` values, so that a label that
comes a month later is what the decision was made from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from motion.backends.base import Transaction
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.persistence.layout import Layout
from motion.persistence.ranges import Ranges, parts_of

COPIES_AT_ONCE = 1_000
"""Rows that are held in memory while all are gone through."""


def note_seen(
    tx: Transaction,
    layout: Layout,
    spec: TriggerSpec,
    rows: Sequence[int],
    given: Mapping[str, Sequence[Stored]],
) -> None:
    """Keep rows on which a trigger has just set a key that a fit names, unless they are kept for these `on` values.

    Args:
        given: key -> what the run was given for each row, where that may have changed since.
    """
    places = {row: i for i, row in enumerate(rows)}
    keys, roots = tuple(layout.table.keys), layout.graph.own_roots(spec)
    columns = ", ".join(layout.inherited_value(key) for key in keys)
    number = f"MAX(0, {', '.join(layout.changed(key) for key in roots)})" if roots else "0"
    for key in layout.graph.seen.get(spec.name, ()):
        for part in parts_of(rows):
            kept = _numbers(tx, layout, key, part)
            found = tx.execute(
                f"SELECT {layout.row}, {number}, {columns} FROM {layout.joined((*keys, *roots))} "
                f"WHERE {part.condition(layout.row)} AND {layout.value(key)} IS NOT NULL",
                part.numbers,
            ).fetchall()
            fresh = []
            for row, as_of, *values in found:
                if kept.get(row, -1) < as_of:
                    shown = dict(zip(keys, values, strict=True))
                    shown |= {name: column[places[row]] for name, column in given.items()}
                    copy = msgspec.msgpack.encode(shown)
                    fresh.append((layout.table.name, row, key, as_of, copy))
            tx.executemany(
                "INSERT INTO motion_seen (name, row, key, number, copy) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (name, row, key) DO UPDATE SET number = excluded.number, copy = excluded.copy",
                fresh,
            )


def _numbers(tx: Transaction, layout: Layout, key: str, part: Ranges) -> dict[int, int]:
    sql = f"SELECT row, number FROM motion_seen WHERE name = ? AND {part.condition('row')} AND key = ?"
    return dict(tx.execute(sql, (layout.table.name, *part.numbers, key)).fetchall())


def copies_seen(
    tx: Transaction, layout: Layout, key: str, part: Ranges
) -> dict[int, dict[str, Stored]]:
    """Return row -> it as a run saw it that set a key, of those of which there is such a copy."""
    sql = (
        f"SELECT row, copy FROM motion_seen WHERE name = ? AND {part.condition('row')} AND key = ?"
    )
    found = tx.execute(sql, (layout.table.name, *part.numbers, key))
    return {int(row): msgspec.msgpack.decode(copy) for row, copy in found}


def forget_seen(tx: Transaction, table: str, rows: Sequence[int]) -> None:
    """Drop what is kept of deleted rows."""
    for part in parts_of(rows):
        sql = f"DELETE FROM motion_seen WHERE name = ? AND {part.condition('row')}"
        tx.execute(sql, (table, *part.numbers))


def copies(tx: Transaction, table: str) -> Iterator[tuple[int, bytes]]:
    """Give what is kept of a table's rows, some at a time: its number, and the row as it was."""
    last = 0
    sql = "SELECT seen, copy FROM motion_seen WHERE name = ? AND seen > ? ORDER BY seen LIMIT ?"
    while some := tx.execute(sql, (table, last, COPIES_AT_ONCE)).fetchall():
        yield from some
        last = some[-1][0]


def put_copies(tx: Transaction, rows: Mapping[int, Mapping[str, Stored]]) -> None:
    """Let kept rows be others than they were."""
    sql = "UPDATE motion_seen SET copy = ? WHERE seen = ?"
    tx.executemany(sql, [(msgspec.msgpack.encode(row), number) for number, row in rows.items()])


def drop(tx: Transaction, numbers: Iterable[int]) -> None:
    """Keep rows no more."""
    tx.executemany("DELETE FROM motion_seen WHERE seen = ?", [(number,) for number in numbers])
