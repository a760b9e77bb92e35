"""Views: the store as code inside a run sees it. Reads see committed data; writes are left with the run, and commit
with its task or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Never, NoReturn, TypeVar, overload

from motion import clock
from motion.definitions.tables.addresses import Instance, addressed, named_row
from motion.definitions.tables.schema import Table, TableName, Tables
from motion.definitions.triggers.specs import Failed
from motion.definitions.values.arguments import check_flag, check_keys, check_text
from motion.errors import InvalidArgument, ReadOnlyView, TransactionEnded, WaitInsideRun, shortened
from motion.notebook import Shown
from motion.persistence.changes.isolation import ClaimReads, Left
from motion.persistence.changes.operations import Operation, SetOperation
from motion.persistence.database import (
    Database,
    Where,
    check_limit,
    condition_of,
    delete_operation,
    id_of,
    page_values,
    set_operation,
)
from motion.persistence.inputs.exact import Found, Question, names_needed, order_of, shown
from motion.persistence.layout import NO_PINS, Layout, Pins
from motion.search.answer import Hit, ManyTexts, ManyVectors, OneVector, search
from motion.views.ingest import COMMIT_EVERY, chunks_of, match_of, operations_of
from motion.views.run import CURRENT

if TYPE_CHECKING:
    import pyarrow as pa  # at run time where it is used: 20 ms and 25 MB that few calls need

Row = TypeVar("Row")
Read = TypeVar("Read", bound=Instance)


OWN_TABLES = "motion_"
"""What the names of the store's own tables begin with: by these SQL may read any table."""


class Reader:
    """What can be read from a store, pinned to state versions where it matters."""

    def __init__(self, database: Database, pins: Pins = NO_PINS) -> None:
        self._opened = database
        self._pins = pins

    @property
    def _database(self) -> Database:
        return self._opened

    def _seen(self, table: TableName, keys: Iterable[str] | None = None) -> Pins:
        """Return the state versions whose outputs are read where a table is.

        Args:
            keys: those that are read; None: any of it.
        """
        return self._pins

    @overload
    def get(
        self,
        table: type[Row],
        id: Any,
        *,
        keys: Sequence[str] | None = None,
        inherit: bool = True,
        **pages: int,
    ) -> Row | None: ...

    @overload
    def get(
        self,
        table: str,
        id: Any,
        *,
        keys: Sequence[str] | None = None,
        inherit: bool = True,
        **pages: int,
    ) -> Any: ...

    @overload
    def get(
        self,
        table: Read,
        *,
        keys: Sequence[str] | None = None,
        inherit: bool = True,
        **pages: int,
    ) -> Read | None: ...

    def get(
        self,
        table: TableName | Any,
        id: Any = None,
        *,
        keys: Sequence[str] | None = None,
        inherit: bool = True,
        **pages: int,
    ) -> Any:
        """Return one row as an instance of its dataclass, or None.

        Args:
            table: a table's name, its schema class, or a row read before, whose id and page keys are then used.
            id: the row's id.
            keys: the only ones to read beside id and page keys; others are unset. In a run, only their change has it
                called again.
            inherit: fill unset keys from page 0 of the page keys that do not tell them apart.
            **pages: page keys; 0 where left out.
        """
        table, row_id, named = addressed(self._database.tables, "get", table, id, pages)
        if keys is None and not self._is_exact:
            return self._database.get(table, row_id, named, self._seen(table), inherit)
        layout = self._database.layout(table)
        name = page_values(layout.table, named)
        question = self._question(
            layout.table, keys, id=id_of(layout.table, row_id), pages=names_needed(layout, name)
        )
        return shown(layout, self._answer(question), name, inherit=inherit)

    @property
    def _is_exact(self) -> bool:
        """Whether reads are answered one by one, so that they can be asked again."""
        return False

    def _answer(self, question: Question, *, is_asked: bool = True) -> list[Found]:
        """Answer a question, which whoever reads has asked, or which is only a part of what answers one."""
        return self._database.ask(question)

    def _shown(self, question: Question, row: Found, rows: Sequence[Found], inherit: bool) -> Any:
        """Return a found row as an instance; a page takes what it inherits from other pages, which are read for it."""
        layout, (row_id, *name) = self._database.layout(question.table), row.name
        if inherit and any(name) and row_id is not None and question.id is None:
            above = replace(
                question,
                id=row_id,
                pages=names_needed(layout, name),
                equal=(),
                order=(),
                limit=None,
            )
            rows = self._answer(above, is_asked=False)
        elif question.id is None:
            rows = [row]
        return shown(layout, rows, name, inherit=inherit)

    def _question(self, table: Table, keys: Sequence[str] | None, **asked: Any) -> Question:
        check_keys("keys=", keys)
        chosen = None if keys is None else tuple(table.key(key).name for key in keys)
        further = (key for key, _ in (*asked.get("equal", ()), *asked.get("order", ())))
        pins = self._seen(table.name, None if chosen is None else (*chosen, *further))
        return Question(table.name, keys=chosen, pins=tuple(pins.items()), **asked)

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
        keys: Sequence[str] | None = None,
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
        keys: Sequence[str] | None = None,
        inherit: bool = True,
    ) -> list[Any]: ...

    @overload
    def rows(
        self,
        table: Read,
        *,
        where: Where = None,
        params: Sequence[Any] = (),
        order_by: str | None = None,
        limit: int | None = None,
        keys: Sequence[str] | None = None,
        inherit: bool = True,
    ) -> list[Read]: ...

    def rows(
        self,
        table: TableName | Any,
        *,
        id: Any = None,
        where: Where = None,
        params: Sequence[Any] = (),
        order_by: str | None = None,
        limit: int | None = None,
        keys: Sequence[str] | None = None,
        inherit: bool = True,
    ) -> list[Any]:
        """Return rows as instances: all, all pages of an id, or those that a condition on stored values holds for.

        Args:
            table: a table's name, its schema class, or a row read before: all pages of its id are read.
            where: SQL with `?` for `params`, or a dict of equalities.
            order_by: keys with commas between them, each with DESC or not, or other SQL; by id and page keys where
                left out.
            keys: the only ones to read beside id and page keys; others are unset, and cost nothing.

        Raises:
            SqlError: the condition is wrong.
        """
        check_text(
            "rows(order_by=)", order_by, "keys with commas between them, or other SQL, as a str"
        )
        check_flag("rows(inherit=)", inherit)
        table, id, _ = addressed(self._database.tables, "rows", table, id, {})
        if not self._is_exact:
            return self._read_open(table, id, where, params, order_by, limit, inherit, keys)
        named = self._database.tables.get(table)
        check_limit("rows(limit=)", limit)
        condition_of(self._database.layout(named.name), where, params)
        order = order_of(named, order_by)
        if isinstance(where, str) or order is None:
            return self._read_open(table, id, where, params, order_by, limit, inherit, keys)
        equal = [(name, named.key(name).encode(value)) for name, value in (where or {}).items()]
        stored = named.keys["id"].encode(id)
        if stored is not None and (equal or order or limit is not None):
            equal, stored = [("id", stored), *equal], None
        question = self._question(
            named, keys, id=stored, equal=tuple(equal), order=order, limit=limit
        )
        rows = self._answer(question)
        return [self._shown(question, row, rows, inherit) for row in rows]

    def _read_open(
        self,
        table: TableName,
        id: Any,
        where: Where,
        params: Sequence[Any],
        order_by: str | None,
        limit: int | None,
        inherit: bool,
        keys: Sequence[str] | None,
    ) -> list[Any]:
        found = self._database.rows(
            table, row_id=id, where=where, params=params, order_by=order_by, limit=limit, inherit=inherit,
            pins=self._seen(table), keys=keys,
        )  # fmt: skip
        return Shown(found)

    def sql(
        self,
        query: str,
        params: Sequence[Any] = (),
        *,
        timeout: float | None = None,
        limit: int | None = None,
        sees: Literal["all", "rows", "shown"] = "all",
    ) -> pa.Table:
        """Return the result of SQL that reads as an Arrow table; arrays come back as lists of numbers.

        It may read all that is in the store's file, and do nothing else: what would write, set a pragma, attach a file
        or begin a transaction is refused.

        Args:
            params: for each `?` in the query.
            timeout: seconds, after which it is stopped; without end where left out. `close` and Ctrl-C stop it too.
            limit: rows at most; those beyond are not computed.
            sees: for queries of people who are not trusted: "rows", what tables hold, and not what the store keeps about
                them, such as tracebacks; "shown", the same with keys that are named like secrets as NULL. Both limit the
                size of the result, too.

        Raises:
            SqlError: the query is wrong, or would do more than read.
            SqlTimeout: it took longer than `timeout`.
        """
        self._see_named(query)
        return self._database.sql(query, params, timeout, limit, sees)

    def _see_named(self, query: str) -> None:
        """Take in that SQL is about to read whatever tables it names: it cannot be told which keys."""

    @overload
    def search(
        self,
        key: str | Sequence[str],
        vector: OneVector | None = None,
        *,
        table: type[Row],
        text: str | None = None,
        k: int = 10,
        where: Where = None,
        params: Sequence[Any] = (),
        keys: Sequence[str] | None = None,
    ) -> list[Hit[Row]]: ...

    @overload
    def search(
        self,
        key: str | Sequence[str],
        vector: ManyVectors,
        *,
        table: type[Row],
        text: ManyTexts | None = None,
        k: int = 10,
        where: Where = None,
        params: Sequence[Any] = (),
        keys: Sequence[str] | None = None,
    ) -> list[list[Hit[Row]]]: ...

    @overload
    def search(
        self,
        key: str | Sequence[str],
        vector: None = None,
        *,
        table: type[Row],
        text: ManyTexts,
        k: int = 10,
        where: Where = None,
        params: Sequence[Any] = (),
        keys: Sequence[str] | None = None,
    ) -> list[list[Hit[Row]]]: ...

    @overload
    def search(
        self,
        key: str | Sequence[str],
        vector: OneVector | None = None,
        *,
        table: str | None = None,
        text: str | None = None,
        k: int = 10,
        where: Where = None,
        params: Sequence[Any] = (),
        keys: Sequence[str] | None = None,
    ) -> list[Hit[Any]]: ...

    @overload
    def search(
        self,
        key: str | Sequence[str],
        vector: ManyVectors,
        *,
        table: str | None = None,
        text: ManyTexts | None = None,
        k: int = 10,
        where: Where = None,
        params: Sequence[Any] = (),
        keys: Sequence[str] | None = None,
    ) -> list[list[Hit[Any]]]: ...

    @overload
    def search(
        self,
        key: str | Sequence[str],
        vector: None = None,
        *,
        table: str | None = None,
        text: ManyTexts,
        k: int = 10,
        where: Where = None,
        params: Sequence[Any] = (),
        keys: Sequence[str] | None = None,
    ) -> list[list[Hit[Any]]]: ...

    @overload
    def search(
        self,
        key: str | Sequence[str],
        vector: Any,
        *,
        table: TableName | None = None,
        text: str | Sequence[str] | None = None,
        k: int = 10,
        where: Where = None,
        params: Sequence[Any] = (),
        keys: Sequence[str] | None = None,
    ) -> list[Any]: ...

    def search(
        self,
        key: str | Sequence[str],
        vector: Any = None,
        *,
        table: TableName | None = None,
        text: str | Sequence[str] | None = None,
        k: int = 10,
        where: Where = None,
        params: Sequence[Any] = (),
        keys: Sequence[str] | None = None,
    ) -> list[Any]:
        """Return the `k` rows that fit best, best first; all committed rows are seen.

        Args:
            key: "table.key" of an array key, which `vector` is compared with, or of a `str` key, in which `text` is
                looked for; or several keys of one table, whose rankings are fused (reciprocal rank fusion).
            table: the table, so that keys need not name it; its schema class also tells type checkers of what class
                the hits' rows are.
            vector: as many numbers as the stored vectors have; a 2-D array is a batch of queries.
            text: words: rows with any of them are found, those with more and rarer ones first; a list is a batch. No
                character has a meaning of its own. The first search makes the key's index; it is kept from then on.
            k: at least 1; exactly this many where as many exist.
            where: only among rows that this condition on stored values holds for.
            keys: the only ones to read of the hits' rows beside id and page keys; others are unset, and cost nothing.

        Returns:
            A list of `Hit`; for a batch a list of such lists.

        Raises:
            SearchError, DimensionMismatch: a key cannot be searched so, or holds vectors of another length.
            MissingPackage: the key's index is "hnsw" and usearch is not installed.
        """
        return search(self._database, key, vector, text, k, where, params, self._seen, table, keys)


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
        *given: Never,
        force: bool = False,
        if_unchanged: bool = False,
        **values: Any,
    ) -> None:
        """Write keys of one row when the run or transaction ends. A wrong value is an error now; with `if_unchanged`, a row
        that is not as it was read is one at the end, and nothing of the transaction is written."""
        self._add([one_set(self._database.tables, table, given, values, force, if_unchanged)])

    def set_many(
        self, table: TableName, rows: Any, *, by: str | None = None, prune: str | None = None
    ) -> None:
        """Write many rows when the run or transaction ends, all of them or none. A bad row is an error now.

        Args:
            rows: as for `Store.set_many`; they are held in memory until then.
            by: match rows by this key instead of id, as they are then. An id that is given, too, is to be that of the row.
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
        table, id, _ = addressed(self._database.tables, "delete", table, id, {})
        self._add([delete_operation(self._database.tables.get(table), id)])

    def _add(self, operations: Sequence[Operation]) -> None:
        if self._database.backend.is_left:
            self._database.backend.check_open()  # in a forked child they would go nowhere
        self._operations += operations


class View(Writer):
    """The store inside a run: annotate a parameter `store: motion.View` to receive it.

    `get`, `rows(id=)` and `rows(where={...})`, sorted by keys, are exact: they see committed data and the run's own writes,
    and a run that writes commits only if they would still give the same. Everything else is open.
    """

    def __init__(
        self,
        database: Database,
        operations: list[Operation],
        pins: Pins = NO_PINS,
        run: TaskRun | None = None,
        index: int = 0,
    ) -> None:
        super().__init__(database, operations, pins)
        self._run, self._index = run, index

    @property
    def _is_exact(self) -> bool:
        return self._run is not None

    def _seen(self, table: TableName, keys: Iterable[str] | None = None) -> Pins:
        if self._run is None:
            return self._pins
        layout = self._database.layout(table)
        return self._run.seen(self._index, layout, keys) if layout.versioned else self._pins

    def _see_named(self, query: str) -> None:
        text = query.casefold() if isinstance(query, str) else ""
        for table in self._database.tables:
            if table.name.casefold() in text or OWN_TABLES in text:
                self._seen(table.name)

    def _answer(self, question: Question, *, is_asked: bool = True) -> list[Found]:
        if self._run is None:
            return super()._answer(question, is_asked=is_asked)
        return self._run.answer(question, self._index, self._operations, is_asked=is_asked)

    def set(
        self,
        table: TableName | Any,
        /,
        *given: Never,
        force: bool = False,
        if_unchanged: bool = False,
        **values: Any,
    ) -> None:
        """Write keys of one row when the run ends. A wrong value is an error now."""
        if if_unchanged:
            expected = "False inside a run: what it writes is decided when it commits"
            raise InvalidArgument("set(if_unchanged=)", "True", expected)
        super().set(table, *given, force=force, **values)

    def take(self, operations: Sequence[Operation]) -> None:
        """Take over the writes of a transaction that was opened inside the run."""
        self._add(operations)

    def wait(self, *_: Any, **__: Any) -> None:
        """Raise `WaitInsideRun`: a run that waited for work could wait for itself."""
        raise WaitInsideRun


class VersionView(View):
    """A view that sees a version's outputs, outside of any run: nothing would commit what is written through it."""

    def __init__(self, database: Database, pins: Pins) -> None:
        super().__init__(database, [], pins)

    def set(self, *_: Any, **__: Any) -> NoReturn:
        """Raise `ReadOnlyView`."""
        raise ReadOnlyView("set()")

    def set_many(self, *_: Any, **__: Any) -> NoReturn:
        """Raise `ReadOnlyView`."""
        raise ReadOnlyView("set_many()")

    def delete(self, *_: Any, **__: Any) -> NoReturn:
        """Raise `ReadOnlyView`."""
        raise ReadOnlyView("delete()")


class TransactionWriter(Writer):
    """What `with store.transaction() as tx` gives: writes that are made together at its end. Then it takes none any more."""

    is_over = False

    def _add(self, operations: Sequence[Operation]) -> None:
        if self.is_over:
            raise TransactionEnded
        super()._add(operations)


class TaskRun:
    """The surroundings of the rows of one batch: a view for each, over the versions that it runs with.

    Args:
        keeps_reads: what runs have read is kept also where they write nothing.
        is_build: what they write goes nowhere, so those after them do not see it.
    """

    def __init__(
        self,
        database: Database,
        pins: Pins,
        *,
        keeps_reads: bool = False,
        is_build: bool = False,
    ) -> None:
        self.now: Callable[[], int] = int  # 0, until rows are called one by one
        self._database, self.pins, self._keeps_reads = database, pins, keeps_reads
        self._is_build = is_build
        self.outer = CURRENT.get()
        self._operations: dict[int, list[Operation]] = {}
        self._began_ms: dict[int, int] = {}
        self._spans: dict[int, range] = {}
        self._reads = ClaimReads(database.ask, database.layout, database.live_versions)
        self._results: Sequence[Any] = ()
        self._seen = 0

    def is_on(self, database: Database) -> bool:
        """Whether it is a run on this store, however that was opened."""
        return not self._database.backend.is_left and database.is_same(self._database)

    def view(self, index: int) -> View:
        """Return the view of a run whose function is about to be called."""
        self._began_ms[index] = clock.now_ms()
        operations = self._operations.setdefault(index, [])
        return View(self._database, operations, self.pins, self, index)

    def begin(self, rows: range) -> None:
        self._spans[rows.start] = rows
        self._operations.pop(rows.start, None)
        self._reads.forget(rows.start)

    def written(self, index: int) -> int:
        return len(self._operations.get(index, ()))

    def drop(self, index: int, after: int) -> None:
        del self._operations.get(index, [])[after:]

    def watch(self, results: Sequence[Any]) -> None:
        """Take in where the results of rows that are called one after the other go."""
        self._results, self._seen = results, 0

    def finish(self, rows: range, failed: Sequence[bool]) -> None:
        """Take in that rows have been called: what they wrote is seen by those after them, unless it failed."""
        for index in () if self._is_build else rows:
            operations = self._operations.get(index)
            span = self._spans.get(index, range(index, index + 1))
            if operations and not any(failed[i - rows.start] for i in span if i in rows):
                self._reads.finish(operations, index)

    def seen(self, index: int, layout: Layout, keys: Iterable[str] | None) -> Pins:
        """Return the state versions that a run sees of what it reads by hand: those that it is for, and what is live of
        others, the same for all that it reads.

        Args:
            keys: those of the table that it reads; None: any.
        """
        read = layout.versioned.keys() if keys is None else layout.versioned.keys() & keys
        further = {layout.versioned[key].component or "" for key in read} - self.pins.keys()
        return {**self.pins, **self._reads.pinned(index, further)} if further else self.pins

    def answer(
        self, question: Question, index: int, operations: Sequence[Operation], *, is_asked: bool
    ) -> list[Found]:
        """Answer an exact read of a run."""
        if self._seen < len(self._results):
            rows = range(self._seen, len(self._results))
            self._seen = rows.stop
            self.finish(rows, [type(self._results[i]) is Failed for i in rows])
        return self._reads.answer(question, index, operations, is_asked=is_asked)

    @property
    def has_left(self) -> bool:
        """Whether finished rows have written something that is not settled."""
        return self._reads.has_finished

    def settle(self, rows: Iterable[int]) -> None:
        """Take in that what these rows left is committed, or dropped."""
        self._reads.settle(rows)

    @property
    def is_a_tasks(self) -> bool:
        """Whether rows have done what only a task may: written, or read what is kept by version."""
        if not self._operations:  # mostly none has looked at the store at all
            return False
        return any(self._operations.values()) or self._reads.is_any_pinned

    def left(self, rows: Iterable[int]) -> Iterator[Left]:
        """Give what the calls on some rows left, each with the rows whose run left it."""
        for index in rows:
            operations = self._operations.get(index)
            if operations is None:
                continue
            reads = self._reads.reads(index)
            if operations or reads.pins or (self._keeps_reads and reads.asked):
                span = self._spans.get(index, range(index, index + 1))
                began_ms = self._began_ms.get(index, 0)
                yield Left(span, operations, self._reads.name(index), reads, began_ms)

    def left_so_far(self, index: int) -> Left | None:
        return next(self.left((index,)), None)

    def all_left(self) -> list[Left]:
        """Return the same for all rows, in their order."""
        return list(self.left(sorted(self._operations)))


def one_set(
    tables: Tables,
    where: TableName | Any,
    given: Sequence[Any],
    values: Mapping[str, Any],
    force: bool,
    if_unchanged: bool,
) -> SetOperation:
    """Return the write of one row, named by its table and id or by the row as it was read.

    Args:
        given: what stood behind it without a name, which is nothing's place.
    """
    if given:
        expected = "keys by their names, as in store.set('note', id=1, text='...'); dicts are for store.set_many(table, [...])"
        raise InvalidArgument("set()", f"{shortened(given[0])} behind the table", expected)
    table, key = named_row(tables, where)
    for option, value in (("force", force), ("if_unchanged", if_unchanged)):
        if not isinstance(value, bool):  # it was meant as a key's, and no key is called so
            raise InvalidArgument(f"set({option}=)", shortened(value), "True or False")
    if key and not values and not if_unchanged:
        expected = (
            "the keys to write beside it, as in store.set(row, price=2.0): a row says which one is meant, and its own values are not "
            "written; store.set_many(table, [row]) writes them all"
        )
        raise InvalidArgument("set(row)", f"{shortened(where)} alone", expected)
    if if_unchanged and not key:
        expected = "False, or a row that was read as the first argument: store.set(row, n=2, if_unchanged=True)"
        raise InvalidArgument("set(if_unchanged=)", "True", expected)
    read = where if if_unchanged else None
    return set_operation(table, {**key, **values}, force=force, read=read)
