"""Writes as a server takes them: checked by the tables as a store checks them, so that what it refuses is refused here, and
what it takes arrives as it was given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Never

from motion.definitions.tables import wire
from motion.definitions.tables.addresses import addressed
from motion.definitions.tables.schema import Table, TableName, Tables
from motion.errors import TransactionEnded
from motion.persistence.changes.operations import DeleteOperation, SetOperation
from motion.persistence.database import delete_operation
from motion.persistence.rows.written import Columns
from motion.views.ingest import COMMIT_EVERY, chunks_of, operations_of
from motion.views.view import one_set

Write = SetOperation | DeleteOperation


class RemoteWriter:
    """What a transaction writes. A wrong value is an error at once."""

    is_over = False

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.writes: list[Write] = []

    def set(
        self,
        table: TableName | Any,
        /,
        *given: Never,
        force: bool = False,
        if_unchanged: bool = False,
        **values: Any,
    ) -> None:
        """Write keys of one row when the transaction ends."""
        self._add([one_set(self._tables, table, given, values, force, if_unchanged)])

    def set_many(self, table: TableName, rows: Any) -> None:
        """Write many rows when the transaction ends."""
        named = self._tables.get(table)
        for chunk in chunks_of(named, rows, COMMIT_EVERY):
            self._add(operations_of(named, chunk))

    def delete(self, table: TableName | Any, id: Any = None, /) -> None:
        """Delete a row with its pages when the transaction ends."""
        table, id, _ = addressed(self._tables, "delete", table, id, {})
        self._add([delete_operation(self._tables.get(table), id)])

    def _add(self, writes: Iterable[Write]) -> None:
        if self.is_over:
            raise TransactionEnded
        self.writes += writes

    def told(self) -> list[dict[str, Any]]:
        """Return the writes as a server takes them."""
        return [
            each for write in self.writes for each in _told(self._tables.get(write.table), write)
        ]


def _told(table: Table, write: Write) -> Iterator[dict[str, Any]]:
    if isinstance(write, DeleteOperation):
        for each in write.ids:
            yield {"delete": table.name, "id": each}
        return
    for row in rows_told(table, write.columns, write.count):
        yield {"set": table.name, "values": {**row, **_options(table, write)}}


def set_told(table: Table, write: SetOperation) -> dict[str, Any]:
    """Return the write of one row: its keys, and beside them how they are to be set."""
    [row] = rows_told(table, write.columns, write.count)
    return {**row, **_options(table, write)}


def _options(table: Table, write: SetOperation) -> dict[str, Any]:
    found: dict[str, Any] = {"force": True} if write.is_forced else {}
    if write.expected is not None:
        read = {name: (stored,) for name, stored in write.expected.items()}
        [found["if_unchanged"]] = rows_told(table, read, 1)
    return found


def rows_told(table: Table, columns: Columns, count: int) -> list[dict[str, Any]]:
    """Return rows of their stored columns."""
    told = {name: _column_told(table, name, values) for name, values in columns.items()}
    return [{name: values[row] for name, values in told.items()} for row in range(count)]


def _column_told(table: Table, name: str, values: Sequence[Any]) -> list[Any]:
    key = table.keys[name]
    return [wire.stored_told(key, each) for each in values]
