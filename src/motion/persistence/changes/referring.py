"""Referring rows: which rows go with those that they name by a key with `motion.Ref(delete=True)`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from motion.backends.base import Transaction
from motion.definitions.tables.schema import Key
from motion.definitions.values.codecs import Stored
from motion.errors import SchemaError
from motion.persistence.layout import Layout, quoted
from motion.persistence.layouts import Layouts
from motion.persistence.ranges import cut, filled_up, parts_of, places


def referring(
    tx: Transaction, layouts: Layouts, layout: Layout, rows: Sequence[int]
) -> Iterator[tuple[Layout, list[int]]]:
    """Give the rows of other tables, or of the same, with all their pages, that go with rows which are about to be deleted.
    Of a row that goes as a page of one that stays, nothing goes.

    Raises:
        SchemaError: there are some in a table without a schema here.
    """
    table = layout.table
    _check_known(tx, layouts, table.name)
    whole = " AND ".join(["1 = 1", *(f"r.{quoted(page)} = 0" for page in table.page_keys)])
    for key in layouts.graph.tables.refs_to(table.name):
        other, found = layouts[key.table], list[int]()
        for part in parts_of(rows):
            ids = f"SELECT r.id FROM {layout.base} r WHERE {part.condition(layout.row)} AND {whole}"
            found += _naming(tx, other, key, ids, part.numbers)
        yield other, found


def naming(
    tx: Transaction, layouts: Layouts, table: str, ids: Sequence[Stored]
) -> Iterator[tuple[Layout, list[int]]]:
    """Give the rows that go with those of some ids, which need not be there: they may be made later, or be deleted by now.

    Raises:
        SchemaError: there are some in a table without a schema here.
    """
    _check_known(tx, layouts, table)
    for key in layouts.graph.tables.refs_to(table):
        other, found = layouts[key.table], list[int]()
        for part in map(filled_up, cut(ids)):
            found += _naming(tx, other, key, places(part), part)
        yield other, found


def _naming(
    tx: Transaction, other: Layout, key: Key, ids: str, values: Sequence[Stored]
) -> list[int]:
    """Return the rows, with all their pages, of which one names one of the ids, given in SQL."""
    named = f"SELECT id FROM {other.base} WHERE {quoted(key.name)} IN ({ids})"
    sql = f"SELECT {other.row_column} FROM {other.base} WHERE id IN ({named})"
    return [int(row[0]) for row in tx.execute(sql, values)]


def _check_known(tx: Transaction, layouts: Layouts, table: str) -> None:
    for (name,) in tx.execute("SELECT name FROM motion_refs WHERE target = ?", (table,)).fetchall():
        if name not in layouts.graph.tables or layouts[name].table.is_noted:
            raise SchemaError(
                f"deleting a row of {table!r} also deletes the rows of {name!r} that name it, but this process was opened "
                f"without that table: pass its schema in schemas=."
            )
