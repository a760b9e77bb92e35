"""The store: typed tables as a key-value store, whose writes fire triggers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

from motion import recompute
from motion.backends.base import Transaction
from motion.change import Change, RejectedRow, dead_letters, wait_until
from motion.codecs import Stored
from motion.components import StateVersion
from motion.database import (
    Database,
    Hit,
    TableName,
    Where,
    delete_operation,
    set_operation,
)
from motion.derive import CURRENT
from motion.errors import (
    BadRows,
    InvalidValue,
    MotionError,
    SchemaError,
    StoreClosed,
    UnknownVersion,
    WaitTimeout,
)
from motion.fitting import begin_switch, ensure_live
from motion.intake import (
    COMMIT_EVERY,
    Chunk,
    bad_rows,
    by_pattern,
    chunks_of,
    encoded_columns,
    without,
)
from motion.persistence import labels, queue, states
from motion.persistence.cascade import revive
from motion.persistence.catalog import last_number
from motion.persistence.layout import NO_PINS, Pins
from motion.persistence.rows import Columns, filled_ids, ids_by_value, ids_not_among
from motion.persistence.writes import Operation, SetOperation
from motion.recompute import Explanation, Plan
from motion.schema import Table
from motion.tasks import DeadLetter
from motion.triggers import DECLARATION
from motion.view import Reader, TransactionWriter, View, named_row


@dataclass(frozen=True)
class Status:
    """What a store is doing.

    Attributes:
        tasks: trigger -> status (ready, claimed, blocked, dead) -> how many tasks; a task may hold many rows.
        orphaned: tasks of triggers that this store does not have any more.
        fits: fits that are asked for or running.
        versions: component -> its live version, None where it has none yet.
        last_change: the number of the last change.
    """

    tasks: dict[str, dict[str, int]]
    orphaned: int
    fits: int
    versions: dict[str, int | None]
    last_change: int


class Store(Reader):
    """A store. Thread-safe; several processes may open the same one.

    Inside a trigger it acts as that run's view: reads see committed data, writes commit with the run.
    """

    def __init__(
        self,
        database: Database,
        start: Callable[[], None],
        stop: Callable[[], None],
        inline: Callable[[Any], Any],
    ) -> None:
        super().__init__(database)
        self._start, self._stop, self._inline = start, stop, inline
        self._is_closed = False
        self.aio = AsyncStore(self)

    @property
    def name(self) -> str:
        """The name that the store was created with."""
        return self._database.name

    def __repr__(self) -> str:
        return (
            f"<motion store {self.name!r}: {', '.join(self._database.tables.names) or 'no tables'}>"
        )

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- writing --

    def set(self, table: TableName | Any, /, *, force: bool = False, **values: Any) -> Change:
        """Write keys of one row and fire triggers.

        Args:
            table: a table's name, its schema class, or a row read before, whose id and page keys are then used.
            force: run triggers although the values are the same as before.
            **values: keys; `id` left out makes a new row, None unsets a key.

        Returns:
            The change, durable when this returns. Triggers run afterwards; their errors are never raised here.

        Raises:
            UnknownTable, UnknownKey, InvalidValue: nothing was written.
        """
        view = self._view()
        if view is not None:
            view.set(table, force=force, **values)
            return self._pending(1)
        named, key = named_row(self._database, table)
        return self._apply([set_operation(named, {**key, **values}, force=force)], named, 1)

    def set_many(
        self,
        table: TableName,
        rows: Any,
        *,
        commit_every: int = COMMIT_EVERY,
        errors: Literal["raise", "collect"] = "raise",
        by: str | None = None,
        prune: str | None = None,
    ) -> Change:
        """Write many rows, in atomic chunks and bounded memory.

        Args:
            rows: dicts, dataclass instances, anything with `__arrow_c_stream__` (Arrow, pandas, Polars, DuckDB), or
                an iterable of those, also endless. None, null and NaN in a row mean left out.
            commit_every: rows in one transaction.
            errors: "raise" stops at the first bad row; "collect" goes on and returns bad rows in `Change.rejected`.
            by: match rows by this key instead of id: one with an equal value is updated, otherwise made.
            prune: among the values of this key that were given, remove the rows that were not given.

        Raises:
            BadRows: a row is bad; says which, and how many rows are in.
        """
        named = self._database.tables.get(table)
        view = self._view()
        if view is not None:
            view.set_many(table, rows)
            return self._pending(0)
        if errors not in ("raise", "collect"):
            raise InvalidValue(named.name, "errors", repr(errors), "'raise' or 'collect'")
        if not isinstance(commit_every, int) or commit_every < 1:
            raise InvalidValue(
                named.name, "commit_every", repr(commit_every), "an int of at least 1"
            )
        return _Load(self, named, commit_every, errors, by, prune).run(rows)

    def delete(self, table: TableName | Any, id: Any = None, /) -> Change:
        """Delete a row with its pages, what was derived from it, its vectors and its labels.

        Args:
            table: a table's name or schema class, or a row read before.
        """
        view = self._view()
        if view is not None:
            view.delete(table, id)
            return self._pending(0)
        named, key = named_row(self._database, table)
        return self._apply([delete_operation(named, key.get("id", id))], named, 0)

    @contextmanager
    def transaction(self) -> Iterator[TransactionWriter]:
        """Collect writes across tables and make them whole at the end of the block, or, if it raises, not at all.
        No lock is held meanwhile; reads through `tx` see what is committed."""
        view = self._view()
        operations: list[Operation] = []
        yield TransactionWriter(self._database, operations)
        if view is not None:
            view.take(operations)
        elif operations:
            self._apply(operations, None, len(operations))

    def _apply(self, operations: Sequence[Operation], table: Table | None, count: int) -> Change:
        self._check_open()
        number, ids = self._database.apply([self._inline(each) for each in operations])
        self._start()
        return Change(
            self._database,
            number,
            table=table.name if table else None,
            ids=ids[0] if count == 1 else (),
            count=count,
        )

    def _view(self) -> View | None:
        """Return the view of the run that this code belongs to, if any."""
        run = CURRENT.get()
        return None if run is None else run.view(run.now())

    def _pending(self, count: int) -> Change:
        """Return what stands for a write that commits with the run it was made in."""
        return Change(self._database, 0, count=count)

    def _seen(self) -> Pins:
        """Return the live versions, or, inside a run, the versions of the run."""
        self._check_open()
        run = CURRENT.get()
        return NO_PINS if run is None else run.pins

    # -- work --

    def wait(self, *, timeout: float | None = None, progress: bool = False) -> None:
        """Wait until no work is left. Dead letters, unfilled `every=N` and orphaned tasks are not work.

        Args:
            timeout: seconds; without end where left out.
            progress: show a progress bar.

        Raises:
            WaitTimeout: there is work left; it goes on.
        """
        self._check_open()
        self._start()
        limit = float("inf") if timeout is None else timeout
        database = self._database
        with _shown_progress(database, progress) as show:

            def is_done(tx: Any) -> bool:
                remaining = _work_left(tx)
                show(remaining)
                return remaining == 0

            wait_until(
                database,
                is_done,
                limit,
                lambda tx: WaitTimeout(f"store {self.name!r}", limit, _work_left(tx)),
            )

    def change(self, key: int) -> Change:
        """Return the change that a `Change.key` names, made by whichever process."""
        return Change(self._database, key)

    def status(self) -> Status:
        """Return what the store is doing."""
        self._check_open()
        known = self._database.graph
        with self._database.backend.read() as tx:
            tasks = queue.depths(tx)
            return Status(
                tasks={name: counts for name, counts in tasks.items() if name in known.triggers},
                orphaned=sum(
                    sum(counts.values())
                    for name, counts in tasks.items()
                    if name not in known.triggers
                ),
                fits=labels.fits_pending(tx),
                versions={
                    name: states.live_version(tx, name) for name in self._database.code.components
                },
                last_change=last_number(tx),
            )

    def errors(self, trigger: str | None = None) -> list[DeadLetter]:
        """Return the rows that triggers gave up on, with tracebacks and inputs."""
        self._check_open()
        with self._database.backend.read() as tx:
            return dead_letters(self._database, tx, trigger=trigger)

    def retry(self, trigger: str | None = None) -> int:
        """Try the rows again that triggers (one, or all) gave up on; return how many."""
        letters = [letter.task for letter in self.errors(trigger)]
        self._database.write(lambda tx: revive(tx, self._database.layouts, letters))
        self._start()
        return len(letters)

    def explain(self, table: TableName, id: Any, key: str, /, **pages: int) -> Explanation:
        """Return where a value came from: its trigger, code and state version, and the same of its inputs."""
        self._check_open()
        return recompute.explain(self._database, table, id, key, pages)

    def plan(self, trigger: str | Callable[..., Any]) -> Plan:
        """Return what recomputing a trigger, given by its name or function, would touch.

        Raises:
            TriggerError: the store has no such trigger.
        """
        self._check_open()
        return recompute.plan(self._database, _trigger_name(trigger))

    def backfill(
        self,
        trigger: str | Callable[..., Any],
        *,
        where: Where = None,
        params: Sequence[Any] = (),
        force: bool = False,
    ) -> Change:
        """Run a trigger again where its outputs are missing or made by other code, below live work.

        Args:
            trigger: its name or function.
            where: only on rows that this condition on stored values holds for.
            force: also where its outputs are current. Values that users gave are never touched.

        Raises:
            TriggerError: the store has no such trigger.
        """
        self._check_open()
        name = _trigger_name(trigger)
        change = recompute.backfill(self._database, name, where, params, force=force)
        self._start()
        return change

    def model(self, component: str) -> Model:
        """Return a component's state versions, and what can be done with them."""
        self._check_open()
        if component not in self._database.code.components:
            known = tuple(self._database.code.components)
            raise (
                UnknownVersion(component, "at all: the store was opened without it", ())
                if not known
                else MotionError(
                    f"the store has no component {component!r}; it has {', '.join(known)}."
                )
            )
        return Model(self, component)

    def close(self) -> None:
        """Stop, leaving unfinished work for the next start. Closing twice does no harm."""
        if not self._is_closed:
            self._is_closed = True
            self._stop()

    def _check_open(self) -> None:
        if self._is_closed:
            raise StoreClosed(self.name)


class Model:
    """The state versions of one component."""

    def __init__(self, store: Store, component: str) -> None:
        self._store, self._component = store, component
        self._database = store._database

    def versions(self) -> list[StateVersion]:
        """Return all versions, oldest first."""
        with self._database.backend.read() as tx:
            return states.versions(tx, self._component)

    def fit(self) -> None:
        """Ask for a fit from the labels there are, in the background; `store.wait` waits for it."""
        fits = [
            fit.spec
            for fit in self._database.code.fits.values()
            if fit.spec.component == self._component
        ]
        if not fits:
            raise MotionError(f"component {self._component} has no method marked with @motion.fit.")
        self._database.write(lambda tx: labels.request_fits(tx, fits, last_number(tx)))
        self._store._start()

    def promote(self, number: int) -> None:
        """Make a version live, whatever its gate says, once its outputs are built; in the background."""
        self._known(number)
        self._database.write(
            lambda tx: begin_switch(tx, self._database, self._component, number, is_gated=False)
        )
        self._store._start()

    def rollback(self) -> None:
        """Make the version that was live before live again; rows added since are filled first."""
        retired = [version.number for version in self.versions() if version.status == "retired"]
        if not retired:
            raise UnknownVersion(
                self._component, "to go back to", [version.number for version in self.versions()]
            )
        self.promote(retired[-1])

    @contextmanager
    def live(self) -> Iterator[tuple[Any, View]]:
        """Give the live state, and a view of the store that sees this version's outputs, whatever goes live meanwhile."""
        number = ensure_live(self._database, self._component)
        if number is None:
            raise UnknownVersion(self._component, "that is live: it waits for its first fit", ())
        yield (
            self._database.state(self._component, number),
            View(self._database, [], {self._component: number}),
        )

    def _known(self, number: int) -> None:
        known = [version.number for version in self.versions() if version.status != "failed"]
        if number not in known:
            raise UnknownVersion(self._component, number, known)


class AsyncStore:
    """The store's calls without blocking an event loop: each runs in a thread."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def set(self, *args: Any, **values: Any) -> Change:
        """`Store.set`."""
        return await asyncio.to_thread(self._store.set, *args, **values)

    async def set_many(self, *args: Any, **options: Any) -> Change:
        """`Store.set_many`."""
        return await asyncio.to_thread(self._store.set_many, *args, **options)

    async def get(self, *args: Any, **options: Any) -> Any | None:
        """`Store.get`."""
        return await asyncio.to_thread(self._store.get, *args, **options)

    async def rows(self, *args: Any, **options: Any) -> list[Any]:
        """`Store.rows`."""
        return await asyncio.to_thread(self._store.rows, *args, **options)

    async def search(self, *args: Any, **options: Any) -> list[Hit]:
        """`Store.search`."""
        return await asyncio.to_thread(self._store.search, *args, **options)


class _Load:
    """One call of `set_many`."""

    def __init__(
        self,
        store: Store,
        table: Table,
        commit_every: int,
        errors: str,
        by: str | None,
        prune: str | None,
    ) -> None:
        self._store, self._table, self._commit_every = store, table, commit_every
        self._database = store._database
        self._collects = errors == "collect"
        self._by = table.key(by).name if by else None
        self._prune = table.key(prune).name if prune else None
        self._pruned: set[Stored] = set()
        self._kept: set[Any] = set()
        self._rejected: list[RejectedRow] = []
        self._changes: list[int] = []
        self._ids: list[Any] = []
        self._written = 0

    def run(self, rows: Any) -> Change:
        for chunk in chunks_of(self._table, rows, self._commit_every):
            self._write(chunk)
        if self._pruned:
            number, _ = self._database.apply_made(self._deletions)
            self._changes.append(number)
        *further, last = self._changes or [0]
        return Change(
            self._database, last, table=self._table.name, ids=self._ids, count=self._written,
            rejected=self._rejected, further=further,
        )  # fmt: skip

    def _write(self, chunk: Chunk) -> None:
        columns, count = self._checked(chunk)
        if not count:
            return
        ids: Sequence[Any] = ()
        whole: SetOperation | None = None
        if not any(None in values for key, values in columns.items() if key != "id"):
            whole = self._store._inline(SetOperation(self._table.name, columns, count))

        def operations(tx: Transaction) -> list[SetOperation]:
            nonlocal ids
            named = self._named(tx, columns, count)
            ids = named.get("id", ())
            if whole is not None:
                return [replace(whole, columns=named)]
            return by_pattern(self._table, named, count)

        self._store._check_open()
        number, made = self._database.apply_made(operations)
        self._store._start()
        self._changes.append(number)
        self._written += count
        if len(made) == 1:
            ids = made[0]
        if len(self._ids) < COMMIT_EVERY:
            # Enough to name a small load's rows; an endless one keeps memory bounded.
            self._ids += ids
        if self._prune is not None:
            self._pruned.update(columns.get(self._prune, ()))
            self._kept.update(ids)

    def _checked(self, chunk: Chunk) -> tuple[Columns, int]:
        """Return a chunk's columns encoded, without the bad rows if these are collected."""
        try:
            return encoded_columns(self._table, chunk, self._by), chunk.count
        except (InvalidValue, SchemaError) as exc:
            bad = list(bad_rows(self._table, chunk, self._by))
            if not self._collects:
                place, _, reason = bad[0] if bad else (0, None, exc)
                raise BadRows(chunk.start + place, self._written, str(reason)) from reason
            self._rejected += [RejectedRow(chunk.start + i, row, reason) for i, row, reason in bad]
            if self._prune is not None:
                self._keep([row for _, row, _ in bad])
            good = without(chunk, {i for i, _, _ in bad})
            return encoded_columns(self._table, good), good.count

    def _keep(self, bad: Sequence[Any]) -> None:
        """Keep the stored rows of bad ones from being pruned: they were given, though with a wrong value."""
        key = self._table.keys[self._by or "id"]
        named: list[Stored] = []
        for row in bad:
            try:
                named.append(key.encode(self._table.values_of(row).get(key.name)))
            except InvalidValue:
                continue  # nothing says which row it was
        if self._by is not None:
            layout = self._database.layouts[self._table.name]
            with self._database.backend.read() as tx:
                self._kept.update(ids_by_value(tx, layout, self._by, named).values())
        else:
            self._kept.update(named)

    def _named(self, tx: Transaction, columns: Columns, count: int) -> Columns:
        """Give ids to rows: with `by`, those of the rows that have its values; new ones where the order would be
        lost, as rows that give different keys are written apart."""
        layout = self._database.layouts[self._table.name]
        if self._by is not None:
            values = columns[self._by]
            known = ids_by_value(tx, layout, self._by, values)
            fresh = [value for value in dict.fromkeys(values) if value not in known]
            made = filled_ids(tx, layout, None, len(fresh))
            known |= dict(zip(fresh, made, strict=True))
            return {**columns, "id": [known[value] for value in values]}
        if any(None in values for key, values in columns.items() if key != "id"):
            return {**columns, "id": filled_ids(tx, layout, columns.get("id"), count)}
        return columns

    def _deletions(self, tx: Transaction) -> list[Operation]:
        assert self._prune is not None
        layout = self._database.layouts[self._table.name]
        gone = [
            ids_not_among(tx, layout, self._prune, value, self._kept)
            for value in self._pruned
            if value is not None
        ]
        return [delete_operation(self._table, row_id) for ids in gone for row_id in ids]


def _trigger_name(trigger: str | Callable[..., Any]) -> str:
    if isinstance(trigger, str):
        return trigger
    declaration = getattr(trigger, DECLARATION, None)
    given = declaration.name if declaration else None
    return str(given or getattr(trigger, "__name__", repr(trigger)))


def _work_left(tx: Any) -> int:
    return queue.live_count(tx) + labels.fits_pending(tx) + states.waiting_candidates(tx)


@contextmanager
def _shown_progress(database: Database, is_wanted: bool) -> Iterator[Callable[[int], None]]:
    """Show how many tasks are done of the most that were ever left."""
    if not is_wanted:
        yield lambda remaining: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns) as bar:
        shown = bar.add_task(f"tasks of {database.name}", total=0)
        most = 0

        def show(remaining: int) -> None:
            nonlocal most
            most = max(most, remaining)
            bar.update(shown, total=most, completed=most - remaining)

        yield show
