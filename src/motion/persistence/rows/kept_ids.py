"""Kept ids: those that a load has given, so that it can remove the others. In a temporary table of the connection that
writes, which takes 11 to 23 bytes for each, where a set of Python takes 66 to 98."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from motion.backends.base import Transaction
from motion.definitions.values.codecs import INT64_MAX, Stored
from motion.errors import StoreUnavailable
from motion.persistence.layout import Layout, quoted

_numbers = count(1)


class KeptIds:
    """The ids of one load. All its methods are for durable writes, which share one connection: a temporary table is
    seen by no other.

    Args:
        kind: the type of the ids as they are stored.
    """

    def __init__(self, kind: str) -> None:
        self._table, self._kind = f"motion_kept_{next(_numbers)}", kind
        self._connection: Transaction | None = None

    def add(self, tx: Transaction, ids: Iterable[Stored]) -> None:
        if self._connection not in (
            None,
            tx,
        ):  # its table is gone, and all rows would seem to be others
            raise StoreUnavailable(
                "the database", "its connection was lost in a load that prunes; load again."
            )
        self._connection = tx
        tx.execute(
            f"CREATE TEMP TABLE IF NOT EXISTS {self._table} (id {self._kind} PRIMARY KEY) WITHOUT ROWID"
        )
        tx.executemany(
            f"INSERT INTO {self._table} (id) VALUES (?) ON CONFLICT DO NOTHING",
            [(each,) for each in ids],
        )

    def others(
        self,
        tx: Transaction,
        layout: Layout,
        key: str,
        value: Stored,
        after: Stored = None,
        limit: int = INT64_MAX,
    ) -> list[Stored]:
        """Return the first ids, in their order and after one of them, of the rows whose stored key has this value, and
        which are not among these."""
        beyond, values = (
            ("", (value, limit)) if after is None else ("AND s.id > ? ", (value, after, limit))
        )
        sql = (
            f"SELECT DISTINCT id FROM {layout.stored()} s WHERE {quoted(key)} = ? {beyond}"
            f"AND NOT EXISTS (SELECT 1 FROM {self._table} k WHERE k.id = s.id) ORDER BY id LIMIT ?"
        )
        return [row[0] for row in tx.execute(sql, values)]

    def forget(self, tx: Transaction) -> None:
        tx.execute(f"DROP TABLE IF EXISTS {self._table}")
