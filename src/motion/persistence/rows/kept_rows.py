"""Kept rows: those that a load has given, so that it can remove the others. In a temporary table of the connection that
writes, which takes 11 to 23 bytes for each id, where a set of Python takes 66 to 98."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count

from motion.backends.base import Transaction
from motion.definitions.tables.schema import Table
from motion.definitions.values.codecs import INT64_MAX, Stored
from motion.errors import StoreUnavailable
from motion.persistence.layout import Layout, quoted
from motion.persistence.ranges import parts_of

Name = tuple[Stored, ...]
"""What names a row: its id and page keys."""

_numbers = count(1)


class KeptRows:
    """The rows of one load, by their names. All its methods are for durable writes, which share one connection: a temporary
    table is seen by no other."""

    def __init__(self, table: Table) -> None:
        self._table = f"motion_kept_{next(_numbers)}"
        self._keys = [quoted(key) for key in table.primary_key]
        kinds = [table.keys[key].codec.sql_type for key in table.primary_key]
        self._columns = ", ".join(map(" ".join, zip(self._keys, kinds, strict=True)))
        self._connection: Transaction | None = None

    def add(self, tx: Transaction, names: Iterable[Name]) -> None:
        if self._connection not in (
            None,
            tx,
        ):  # its table is gone, and all rows would seem to be others
            raise StoreUnavailable(
                "the database", "its connection was lost in a load that prunes; load again."
            )
        self._connection = tx
        keys = ", ".join(self._keys)
        tx.execute(
            f"CREATE TEMP TABLE IF NOT EXISTS {self._table} ({self._columns}, PRIMARY KEY ({keys})) WITHOUT ROWID"
        )
        tx.executemany(
            f"INSERT INTO {self._table} ({keys}) VALUES ({', '.join('?' * len(self._keys))}) ON CONFLICT DO NOTHING",
            list(names),
        )

    def others(
        self,
        tx: Transaction,
        layout: Layout,
        key: str,
        value: Stored,
        after: int | None = None,
        limit: int = INT64_MAX,
    ) -> list[int]:
        """Return the numbers of the first rows, in their order and after one of them, whose stored key has this value, and
        which are not among these."""
        beyond, values = (
            ("", (value, limit)) if after is None else ('AND s.":row" > ? ', (value, after, limit))
        )
        sql = (
            f'SELECT s.":row" FROM {layout.stored()} s WHERE s.{quoted(key)} = ? {beyond}'
            f'AND {self._is_other("s")} ORDER BY s.":row" LIMIT ?'
        )
        return [int(row[0]) for row in tx.execute(sql, values)]

    def with_pages(
        self, tx: Transaction, layout: Layout, key: str, rows: Sequence[int]
    ) -> Sequence[int]:
        """Return rows with the pages that have their value of a key from them, but for those that are among these."""
        level = layout.graph.levels[layout.table.name][key]
        if level.issuperset(layout.table.page_keys) or not rows:
            return rows
        is_above = layout.is_above("r", "s", level)
        found = dict.fromkeys(rows)
        for part in parts_of(rows):
            sql = (
                f'SELECT s.":row" FROM {layout.base} r JOIN {layout.stored()} s ON {is_above} '
                f"WHERE {part.condition(layout.row)} AND s.{quoted(key)} IS NULL "
                f'AND {self._is_other("s")} ORDER BY s.":row"'
            )
            found |= dict.fromkeys(int(row[0]) for row in tx.execute(sql, part.numbers))
        return list(found)

    def _is_other(self, alias: str) -> str:
        same = " AND ".join(f"k.{key} = {alias}.{key}" for key in self._keys)
        return f"NOT EXISTS (SELECT 1 FROM {self._table} k WHERE {same})"

    def forget(self, tx: Transaction) -> None:
        tx.execute(f"DROP TABLE IF EXISTS {self._table}")
