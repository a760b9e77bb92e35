"""Views: the store as code inside a run sees it. Reads see committed data; writes are left with the run, and commit
with its task or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, overload

import pyarrow as pa

from motion.database import Database, TableName, Where, delete_operation, set_operation
from motion.derive import CURRENT
from motion.errors import InvalidArgument, WaitInsideRun, shortened
from motion.intake import COMMIT_EVERY, chunks_of, match_of, operations_of
from motion.persistence.layout import NO_PINS, Pins
from motion.persistence.writes import Operation, SetOperation
from motion.schema import Table
from motion.search import search

Row = TypeVar("Row")


class Reader:
    """What can be read from a store, pinned to state versions where it matters."""

    def __init__(self, database: Database, pins: Pins = NO_PINS) -> None:
        self._opened = database
        self._pins = pins

    @property
    def _database(self) -> Database:
        return self._opened

    def _seen(self) -> Pins:
        """Return the state versions whose outputs are read."""
        return self._pins

    @overload
    def get(
        self, table: type[Row], id: Any, *, inherit: bool = True, **pages: int
    ) -> Row | None: ...

    @overload
    def get(self, table: str, id: Any, *, inherit: bool = True, **pages: int) -> Any: ...

    def get(self, table: TableName, id: Any, *, inherit: bool = True, **pages: int) -> Any:
        """Return one row as an instance of its dataclass, or None.

        Args:
            table: a table's name or its schema class.
            id: the row's id.
            inherit: fill unset keys from page 0 of the page keys that do not tell them apart.
            **pages: page keys; 0 where left out.
        """
        return self._database.get(table, id, pages, self._seen(), inherit)

    @overload
    def rows(
        self,
        table: type[Row],
        *,
        id: Any = None,
        where: Where = None,
        params: Sequence[Any] = (),
        order_by: str | None = None,
        limit: int | None = None,
        inherit: bool = True,
    ) -> list[Row]: ...

    @overload
    def rows(
        self,
        table: str,
        *,
        id: Any = None,
        where: Where = None,
        params: Sequence[Any] = (),
        order_by: str | None = None,
        limit: int | None = None,
        inherit: bool = True,
    ) -> list[Any]: ...

    def rows(
        self,
        table: TableName,
        *,
        id: Any = None,
        where: Where = None,
        params: Sequence[Any] = (),
        order_by: str | None = None,
        limit: int | None = None,
        inherit: bool = True,
    ) -> list[Any]:
        """Return rows as instances: all, all pages of an id, or those that a condition on what they show holds for.

        Args:
            where: SQL with `?` for `params`, or a dict of equalities.
            order_by: SQL; by id and page keys where left out.

        Raises:
            SqlError: the condition is wrong.
        """
        return self._database.rows(
            table, row_id=id, where=where, params=params, order_by=order_by, limit=limit, inherit=inherit,
            pins=self._seen(),
        )  # fmt: skip

    def sql(
        self,
        query: str,
        params: Sequence[Any] = (),
        *,
        timeout: float | None = None,
        limit: int | None = None,
    ) -> pa.Table:
        """Return the result of SQL that reads as an Arrow table; arrays come back as lists of numbers.

        It may read all that is in the store's file, and do nothing else: what would write, set a pragma, attach a file
        or begin a transaction is refused.

        Args:
            params: for each `?` in the query.
            timeout: seconds, after which it is stopped; without end where left out. `close` and Ctrl-C stop it too.
            limit: rows at most; those beyond are not computed.

        Raises:
            SqlError: the query is wrong, or would do more than read.
            SqlTimeout: it took longer than `timeout`.
        """
        return self._database.sql(query, params, timeout, limit)

    def search(
        self,
        key: str | Sequence[str],
        vector: Any = None,
        *,
        text: str | Sequence[str] | None = None,
        k: int = 10,
        where: Where = None,
        params: Sequence[Any] = (),
    ) -> list[Any]:
        """Return the `k` rows that fit best, best first; all committed rows are seen.

        Args:
            key: "table.key" of an array key, which `vector` is compared with, or of a `str` key, in which `text` is
                looked for; or several keys of one table, whose rankings are fused (reciprocal rank fusion).
            vector: as many numbers as the stored vectors have; a 2-D array is a batch of queries.
            text: words: rows with any of them are found, those with more and rarer ones first; a list is a batch. No
                character has a meaning of its own. The first search makes the key's index; it is kept from then on.
            k: at least 1; exactly this many where as many exist.
            where: only among rows that this condition on what they show holds for.

        Returns:
            A list of `Hit`; for a batch a list of such lists.

        Raises:
            SearchError, DimensionMismatch: a key cannot be searched so, or holds vectors of another length.
            MissingPackage: the key's index is "hnsw" and usearch is not installed.
        """
        return search(self._database, key, vector, text, k, where, params, self._seen())


class Writer(Reader):
    """A reader that collects writes."""

    def __init__(
        self, database: Database, operations: list[Operation], pins: Pins = NO_PINS
    ) -> None:
        super().__init__(database, pins)
        self._operations = operations

    def set(
        self,
        table: TableName | Any,
        /,
        *,
        force: bool = False,
        if_unchanged: bool = False,
        **values: Any,
    ) -> None:
        """Write keys of one row when the run or transaction ends. A wrong value is an error now; with `if_unchanged`, a row
        that is not as it was read is one at the end, and nothing of the transaction is written."""
        self._add([one_set(self._database, table, values, force, if_unchanged)])

    def set_many(
        self, table: TableName, rows: Any, *, by: str | None = None, prune: str | None = None
    ) -> None:
        """Write many rows when the run or transaction ends, all of them or none. A bad row is an error now.

        Args:
            rows: as for `Store.set_many`; they are held in memory until then.
            by: match rows by this key instead of id, as they are then.
            prune: among the values of this key that were given, remove the rows that were not given.
        """
        found = self._database.tables.get(table)
        chunks = chunks_of(found, rows, COMMIT_EVERY)
        if by is not None or prune is not None:
            self._add(match_of(found, chunks, by, prune))
            return
        self._add([each for chunk in chunks for each in operations_of(found, chunk)])

    def delete(self, table: TableName | Any, id: Any = None, /) -> None:
        """Delete a row with its pages when the run or transaction ends."""
        named, key = named_row(self._database, table)
        self._add([delete_operation(named, key.get("id", id))])

    def _add(self, operations: Sequence[Operation]) -> None:
        if self._database.backend.is_left:
            self._database.backend.check_open()  # in a forked child they would go nowhere
        self._operations += operations


class View(Writer):
    """The store inside a run: annotate a parameter `store: motion.View` to receive it."""

    def set(
        self,
        table: TableName | Any,
        /,
        *,
        force: bool = False,
        if_unchanged: bool = False,
        **values: Any,
    ) -> None:
        """Write keys of one row when the run ends. A wrong value is an error now."""
        if if_unchanged:
            expected = "False inside a run: what it writes is decided when it commits"
            raise InvalidArgument("set(if_unchanged=)", "True", expected)
        super().set(table, force=force, **values)

    def take(self, operations: Sequence[Operation]) -> None:
        """Take over the writes of a transaction that was opened inside the run."""
        self._add(operations)

    def wait(self, *_: Any, **__: Any) -> None:
        """Raise `WaitInsideRun`: a run that waited for work could wait for itself."""
        raise WaitInsideRun


class TransactionWriter(Writer):
    """What `with store.transaction() as tx` gives: writes that are made together at its end."""


class TaskRun:
    """The surroundings of the rows of one batch: a view for each, over the versions that it runs with."""

    def __init__(self, database: Database, pins: Pins) -> None:
        self.now: Callable[[], int] = int  # 0, until rows are called one by one
        self._database, self.pins = database, pins
        self.outer = CURRENT.get()
        self._operations: dict[int, list[Operation]] = {}
        self._spans: dict[int, range] = {}

    def is_on(self, database: Database) -> bool:
        """Whether it is a run on this store, however that was opened."""
        return not self._database.backend.is_left and database.is_same(self._database)

    def view(self, index: int) -> View:
        return View(self._database, self._operations.setdefault(index, []), self.pins)

    def begin(self, rows: range) -> None:
        self._spans[rows.start] = rows
        self._operations.pop(rows.start, None)

    @property
    def has_writes(self) -> bool:
        return any(self._operations.values())

    def left(self, rows: range) -> Iterator[tuple[range, Sequence[Operation]]]:
        """Give the writes that the calls on some rows left, as `writes` does for all."""
        for index in rows:
            if operations := self._operations.get(index):
                yield self._spans.get(index, range(index, index + 1)), operations

    def writes(self) -> Iterator[tuple[range, Sequence[Operation]]]:
        """Give the writes that were left, each with the rows whose run left them, in the order of the rows."""
        for index, operations in sorted(self._operations.items(), key=lambda item: item[0]):
            if operations:
                yield self._spans.get(index, range(index, index + 1)), operations


def one_set(
    database: Database,
    given: TableName | Any,
    values: Mapping[str, Any],
    force: bool,
    if_unchanged: bool,
) -> SetOperation:
    """Return the write of one row, named by its table and id or by the row as it was read."""
    table, key = named_row(database, given)
    for option, value in (("force", force), ("if_unchanged", if_unchanged)):
        if not isinstance(value, bool):  # it was meant as a key's, and no key is called so
            raise InvalidArgument(f"set({option}=)", shortened(value), "True or False")
    if if_unchanged and not key:
        expected = "False, or a row that was read as the first argument: store.set(row, n=2, if_unchanged=True)"
        raise InvalidArgument("set(if_unchanged=)", "True", expected)
    read = given if if_unchanged else None
    return set_operation(table, {**key, **values}, force=force, read=read)


def named_row(database: Database, given: TableName | Any) -> tuple[Table, Mapping[str, Any]]:
    """Return the table, and the primary key where a row read before was given instead of a table."""
    if isinstance(given, str | type):
        return database.tables.get(given), {}
    table = database.tables.get(type(given))
    return table, {name: getattr(given, name) for name in table.primary_key}
