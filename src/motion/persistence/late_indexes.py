"""Indexes that a load makes at its end: those that no row of it needs, over a table that was empty."""

from __future__ import annotations

from motion.backends.base import Transaction
from motion.persistence.layout import Layout, quoted
from motion.persistence.table_ddl import TableDdl


def put_off(tx: Transaction, layout: Layout) -> bool:
    """Drop the indexes by which a change finds the rows that look it up, where the table is empty: until they are made
    again a change finds them too, by looking at all rows. Return whether there are any."""
    names = TableDdl(layout).late_indexes()
    if not names or tx.execute(f"SELECT 1 FROM {layout.base} LIMIT 1").fetchone():
        return False
    for name in sorted(names & _present(tx, layout).keys()):
        tx.execute(f"DROP INDEX {quoted(name)}")
    return True


def make_indexes(tx: Transaction, layout: Layout) -> None:
    """Make the indexes that a table is to have and has not."""
    for statement in TableDdl(layout).create_indexes(_present(tx, layout)):
        tx.execute(statement)


def _present(tx: Transaction, layout: Layout) -> dict[str, str]:
    return tx.objects("index", f"motion_rows_{layout.table.name}")
