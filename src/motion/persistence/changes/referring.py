"""Referring rows: which rows go with those that they name by a key with `motion.Ref(delete=True)`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from motion.backends.base import Transaction
from motion.errors import SchemaError
from motion.persistence.layout import Layout, quoted
from motion.persistence.layouts import Layouts
from motion.persistence.ranges import parts_of


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
            named = f"SELECT id FROM {other.base} WHERE {quoted(key.name)} IN ({ids})"
            sql = f"SELECT {other.row_column} FROM {other.base} WHERE id IN ({named})"
            found += [int(row[0]) for row in tx.execute(sql, part.numbers)]
        yield other, found


def _check_known(tx: Transaction, layouts: Layouts, table: str) -> None:
    for (name,) in tx.execute("SELECT name FROM motion_refs WHERE target = ?", (table,)).fetchall():
        if name not in layouts.graph.tables or layouts[name].table.is_noted:
            raise SchemaError(
                f"deleting a row of {table!r} also deletes the rows of {name!r} that name it, but this process was opened "
                f"without that table: pass its schema in schemas=."
            )
