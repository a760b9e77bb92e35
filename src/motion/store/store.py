"""The store: typed tables as a key-value store, whose writes fire triggers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, Literal, Never, overload

from motion import clock, tracing
from motion.backends.base import Transaction
from motion.background.interrupts import uninterrupted
from motion.definitions.tables.addresses import Instance, addressed, addressed_key
from motion.definitions.tables.schema import Table, TableName
from motion.definitions.tasks import DeadLetter
from motion.definitions.triggers.declarations import DECLARATION
from motion.definitions.values.arguments import check_count, check_flag
from motion.errors import (
    CloseInsideRun,
    InvalidArgument,
    StoreClosed,
    WaitInsideRun,
    WaitTimeout,
    listed,
    shortened,
)
from motion.faults import reach
from motion.persistence import stored_graph
from motion.persistence.changes.operations import Applied, Operation, SetOperation, not_derived
from motion.persistence.database import Database, Where, check_limit, delete_operation
from motion.persistence.inputs.exact import Found, Question
from motion.persistence.layout import NO_PINS, Pins
from motion.persistence.numbers import last_number
from motion.store import backfill as recompute
from motion.store.aio import AsyncStore
from motion.store.backfill import Plan
from motion.store.backpressure import QueueLimit
from motion.store.bulk import Load, check_options
from motion.store.changes.change import Change, dead_letters, wait_until
from motion.store.changes.progress import has_work, shown_progress, work_left
from motion.store.changes.recent import Recent, note_load, note_write, recent
from motion.store.forget import Forgotten, Models, forget, ids_of
from motion.store.model import Model
from motion.store.reports.drawing import as_svg, drawing_of
from motion.store.reports.explain import Explanation, explain
from motion.store.reports.pipeline import Pipeline, RowCount, pipeline_of, row_count
from motion.store.reports.status import StaleCounts, Status, status_of
from motion.store.snapshot import snapshot
from motion.views.ingest import COMMIT_EVERY
from motion.views.run import run_on
from motion.views.view import Reader, TransactionWriter, View, one_set

FORGET_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Engine:
    """What stands behind an open store.

    Attributes:
        start: begins to work, where this process does; to be called when there may be work.
        stop: ends all of it.
        inline: adds what cheap triggers give to a write.
        limit: lets writes wait for room in the queue.
    """

    database: Database
    start: Callable[[], None]
    stop: Callable[[], None]
    inline: Callable[[Operation], Operation]
    limit: QueueLimit


class Store(Reader):
    """A store. Thread-safe; several processes may open the same one.

    Inside a trigger it acts as that run's view: reads see committed data, writes commit with the run.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine.database)
        self._behind: Engine | None = engine
        self._reopen: Callable[[], Engine] | None = None
        self._is_closed = self._is_stopped = False
        self._openings, self._blocks, self._sharing = 1, 0, threading.Lock()
        self._kept_known: object = None  # what is to be there as long as the store is
        self._stale = StaleCounts()
        self.aio = AsyncStore(self)

    @property
    def _engine(self) -> Engine:
        if self._behind is None:  # in a forked child, and used for the first time
            assert self._reopen is not None
            with self._sharing:
                self._behind = self._behind or self._reopen()
        return self._behind

    @_engine.setter
    def _engine(self, engine: Engine) -> None:
        self._behind = engine

    @property
    def _database(self) -> Database:
        return self._engine.database

    def _forget_engine(self, reopen: Callable[[], Engine]) -> None:
        """Forget, in a forked child, what is the parent's; `reopen` is called with the first use."""
        self._behind, self._reopen = None, reopen
        self._sharing = threading.Lock()
        self._stale = StaleCounts()

    @property
    def name(self) -> str:
        """The name that the store was created with."""
        return self._database.name

    def __repr__(self) -> str:
        return (
            f"<motion store {self.name!r}: {', '.join(self._database.tables.names) or 'no tables'}>"
        )

    def _repr_html_(self) -> str:
        if self._is_closed:
            return f"<p>{escape(f'store {self.name}, closed')}</p>"
        status = self.status()
        drawn = as_svg(
            drawing_of(self.pipeline(), status.versions), f"store {self.name}", follows_theme=False
        )
        return f"<p>{escape(str(status).splitlines()[0])}</p>{drawn}"

    def __enter__(self) -> Store:
        with self._sharing:
            self._blocks += 1
        return self

    def __exit__(self, *_: object) -> None:
        with self._sharing:
            self._blocks -= 1
        if self._leave() and self._blocks <= 0:
            self.close()

    def _join(self) -> bool:
        """Take note that it was opened once more, so that the end of one `with` block does not close it for the others;
        return whether it is still open."""
        with self._sharing:
            self._openings += 1
        return not self._is_closed

    def _leave(self) -> bool:
        """Undo one opening; return whether that was the last."""
        with self._sharing:
            self._openings -= 1
            return self._openings <= 0

    # -- writing --

    def set(
        self,
        table: TableName | Any,
        /,
        *given: Never,
        force: bool = False,
        if_unchanged: bool = False,
        **values: Any,
    ) -> Change:
        """Write keys of one row and fire triggers.

        Args:
            table: a table's name, its schema class, or a row read before, whose id and page keys are then used.
            force: run triggers although the values are the same as before.
            if_unchanged: only if the row that was read before, given as `table`, is as it was.
            **values: keys; `id` left out makes a new row, None unsets a key.

        Returns:
            The change, durable when this returns. Triggers run afterwards; their errors are never raised here.

        Raises:
            UnknownTable, UnknownKey, InvalidValue: nothing was written.
            RowChanged: with `if_unchanged`; nothing was written.
            QueueFull: the queue was full for a minute in which nothing was done; nothing was written.
        """
        view = self._view()
        if view is not None:
            view.set(table, *given, force=force, if_unchanged=if_unchanged, **values)
            return self._pending(1)
        tables = self._database.tables
        operation = one_set(tables, table, given, values, force, if_unchanged)
        return self._apply([operation], tables.get(operation.table), 1)

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
            by: match rows by this key instead of id: one with an equal value is updated, otherwise made. An id that is given,
                too, is that of a new row; where it is another than that of the row with the value, the row is refused. Page
                keys that tell the key apart are those of the row that has the value; others are as given, or 0.
            prune: among the values of this key that were given, remove the rows that were not given: with page keys,
                those pages, and the pages that have the value from them. That begins when
                all given rows are in, and goes part by part, each a short transaction of its own: readers see rows go,
                and others write meanwhile. What is left by a crash is removed by the same load made again.

        Raises:
            BadRows: a row is bad, or several rows have its value of `by`; says which, and how many rows are in.
        """
        named = self._database.tables.get(table)
        view = self._view()
        if view is not None:
            view.set_many(table, rows, by=by, prune=prune)
            return self._pending(0)
        check_options(commit_every, errors, by, prune)
        load = Load(
            self._database,
            named,
            partial(self._commit_part, named.name),
            self._engine.inline,
            commit_every,
            errors,
            by,
            prune,
        )
        return load.run(rows).keeping(self)

    def delete(self, table: TableName | Any, id: Any = None, /) -> Change:
        """Delete a row with its pages, what was derived from it, its vectors and its labels.

        Args:
            table: a table's name or schema class, or a row read before.
        """
        view = self._view()
        if view is not None:
            view.delete(table, id)
            return self._pending(0)
        table, id, _ = addressed(self._database.tables, "delete", table, id, {})
        named = self._database.tables.get(table)
        return self._apply([delete_operation(named, id)], named, 0)

    def forget(
        self,
        table: TableName | Any,
        id: Any = None,
        /,
        *,
        models: Models | None = None,
        timeout: float = FORGET_TIMEOUT_S,
    ) -> Forgotten:
        """Delete a row, and take out all that the store holds of it, to the last byte of its folder.

        What `delete` removes, and what is left of that elsewhere: in failures and memos, folds, full-text and vector indexes,
        the log, free space of the file. Runs under way come to nothing and run again. This waits for what the deletion
        causes, and writes the file anew; a process that ends meanwhile leaves the rest to the next opening. Rows that
        triggers wrote freely stay, and so do snapshots and exports.

        Args:
            table: a table's name or schema class, or a row read before.
            id: of the row; several in a list are forgotten together.
            models: "refit" asks for a fit of what learned from it that begins where nothing had.
            timeout: seconds to wait.

        Returns:
            What was erased, and which state versions learned from it. A row that was deleted before is forgotten, too.

        Raises:
            WaitTimeout: it is erased, and not yet rewritten; that goes on.
            WaitInsideRun: called from inside a trigger.
        """
        self._check_open()
        if self._view() is not None:
            raise WaitInsideRun
        table, id, _ = addressed(self._database.tables, "forget", table, id, {})
        named = self._database.tables.get(table)
        ids = ids_of(named, id)
        self._engine.start()
        return uninterrupted(partial(forget, self._database, named, ids, models, timeout))

    @contextmanager
    def transaction(self) -> Iterator[TransactionWriter]:
        """Collect writes across tables and make them whole at the end of the block, or, if it raises, not at all.
        No lock is held meanwhile; reads through `tx` see what is committed."""
        self._check_open()
        view = self._view()
        operations: list[Operation] = []
        database = self._database
        writer = TransactionWriter(database, operations)
        try:
            yield writer
        finally:
            writer.is_over = True
        database.backend.check_open()  # else a child that was forked meanwhile would write it too
        if view is not None:
            view.take(operations)
        elif operations:
            self._apply(operations, None, len(operations))

    def _apply(self, operations: Sequence[Operation], table: Table | None, count: int) -> Change:
        verb = "transaction" if table is None else "set" if count else "delete"
        with tracing.written(verb, table.name if table else None, count):
            return self._applied(operations, table, count)

    def _applied(self, operations: Sequence[Operation], table: Table | None, count: int) -> Change:
        started_s, engine = clock.monotonic_s(), self._engine
        late = not_derived(engine.database.graph, operations) if len(operations) > 1 else ()
        inlined = [each if i in late else engine.inline(each) for i, each in enumerate(operations)]
        reach("set.derived")
        deletes = any(not isinstance(each, SetOperation) for each in operations)  # may make no work
        commits = engine.database.backend.committed.count
        applied = self._commit(lambda _: inlined)
        note_write(engine.database, applied, started_s, inlined)
        return Change(
            engine.database,
            applied.number,
            table=table.name if table else None,
            ids=applied.ids[0] if count == 1 else (),
            count=count,
            has_work=applied.tasks > 0,
            commits=-1 if deletes else commits + 1,
        ).keeping(self)

    def _start(self) -> None:
        self._engine.start()

    def _commit(self, make: Callable[[Transaction], Sequence[Operation]]) -> Applied:
        self._check_open()
        engine = self._engine
        engine.limit.await_room()
        applied = engine.database.apply(make)
        engine.limit.note(applied.tasks)
        engine.start()
        return applied

    def _commit_part(
        self, table: str, make: Callable[[Transaction], Sequence[Operation]]
    ) -> Applied:
        """Commit a part of a load."""
        started_s, given = clock.monotonic_s(), list[Operation]()

        def made(tx: Transaction) -> Sequence[Operation]:
            given[:] = make(tx)
            return given

        with tracing.written("set_many", table, None):
            applied = self._commit(made)
        note_load(self._database, applied, started_s, table, given)
        return applied

    def _view(self) -> View | None:
        """Return the view of the run that this code belongs to, if any."""
        run = run_on(self._database)
        return None if run is None else run.view(run.now())

    def _pending(self, count: int) -> Change:
        """Return what stands for a write that commits with the run it was made in."""
        return Change(self._database, 0, count=count)

    @property
    def _is_exact(self) -> bool:
        return self._view() is not None

    def _answer(self, question: Question, *, is_asked: bool = True) -> list[Found]:
        view = self._view()
        return (
            super()._answer(question, is_asked=is_asked)
            if view is None
            else view._answer(question, is_asked=is_asked)
        )

    def _seen(self, table: TableName, keys: Iterable[str] | None = None) -> Pins:
        """Return the live versions, or, inside a run, the versions of the run."""
        self._check_open()
        view = self._view()
        return NO_PINS if view is None else view._seen(table, keys)

    # -- work --

    def wait(self, *given: Never, timeout: float | None = None, progress: bool = False) -> None:
        """Wait until no work is left. Dead letters, unfilled `every=N`, orphaned tasks, versions on their way to be live of a
        component that the store does not have now, and what occurs later by a schedule are not work; what is due by now is,
        also after `motion.clock.advance`.

        Args:
            timeout: seconds; without end where left out.
            progress: show a progress bar.

        Raises:
            WaitTimeout: there is work left; it goes on.
        """
        self._check_open()
        if given:
            expected = "timeout= and progress=, and waits for all work; for one row's, wait() on the change that its set returned"
            raise InvalidArgument("wait()", shortened(given[0]), expected)
        self._engine.start()
        limit = float("inf") if timeout is None else timeout
        database, due_ms = self._database, clock.now_ms()
        database.backend.call()  # what is due by now may have become so without anybody knowing
        with shown_progress(f"work of {self.name}", progress) as show:

            def is_done(tx: Any) -> bool:
                if show is None:
                    return not has_work(database, tx, due_ms)
                remaining = work_left(database, tx, due_ms)
                show(remaining)
                return remaining == 0

            wait_until(
                database,
                is_done,
                limit,
                lambda tx: WaitTimeout(
                    f"store {self.name!r}", limit, work_left(database, tx, due_ms)
                ),
            )

    def change(
        self, key: int, *, table: TableName | None = None, ids: Sequence[Any] = ()
    ) -> Change:
        """Return the change that a `Change.key` names, made by whichever process.

        Args:
            table, ids: the rows that it wrote, which the store does not note: `rows`, `stream` and `wait(key)` need them.

        Raises:
            InvalidArgument: it is no number that a change of this store has.
        """
        self._check_open()
        with self._database.backend.read() as tx:
            last = last_number(tx)
        if isinstance(key, bool) or not isinstance(key, int) or not 0 <= key <= last:
            given = f"{shortened(key)} ({type(key).__name__})"
            raise InvalidArgument("change(key)", given, f"the key of a change, an int up to {last}")
        if table is None:
            return Change(self._database, key).keeping(self)
        named = self._database.tables.get(table)
        known = [named.keys["id"].decode(named.keys["id"].encode(each)) for each in ids]
        return Change(self._database, key, table=named.name, ids=known, count=len(known)).keeping(
            self
        )

    def status(self) -> Status:
        """Return what the store is doing: what is to be done, how fast it goes, and what changed code has left stale."""
        self._check_open()
        return uninterrupted(partial(status_of, self._database, self._stale))

    def errors(
        self,
        trigger: str | None = None,
        *,
        limit: int | None = None,
        after: DeadLetter | None = None,
    ) -> list[DeadLetter]:
        """Return the rows that triggers gave up on, with tracebacks and inputs, in the order of their tasks.

        Args:
            trigger: only this one's.
            limit: so many at most, with no more read than these. `store.status()` counts them all.
            after: go on behind this one, the last that was returned before.

        Raises:
            TriggerError: the store has no such trigger.
        """
        self._check_open()
        check_limit("errors(limit=)", limit)
        if trigger is not None:
            recompute.spec_of(self._database, trigger)
        if after is not None and not isinstance(after, DeadLetter):
            raise InvalidArgument(
                "errors(after=)", shortened(after), "a dead letter that errors() returned, or None"
            )
        last = None if after is None else after.task
        with self._database.backend.read() as tx:
            return dead_letters(self._database, tx, trigger=trigger, limit=limit, after=last)

    def retry(self, what: str | DeadLetter | Sequence[DeadLetter] | None = None, /) -> int:
        """Try rows again that triggers gave up on, with the same inputs; return how many.

        Args:
            what: all rows of this trigger, by its name; one dead letter, or several; None: all there are. Of letters, those
                that were tried again or superseded since are passed over.

        Raises:
            TriggerError: the store has no such trigger.
        """
        self._check_open()
        if what is None or isinstance(what, str):
            count = recompute.retry(self._database, what)
        else:
            count = recompute.retry_letters(self._database, what)
        self._engine.start()
        return count

    def drop(self, trigger: str | None = None) -> int:
        """Drop what is kept for triggers (one, or all) that the store does not have any more: their tasks, which wait for
        their return, and the rows they gave up on. Return how many rows that were.

        Raises:
            TriggerError: the store has this trigger.
        """
        self._check_open()
        return recompute.drop(self._database, trigger)

    def pipeline(self) -> Pipeline:
        """Return what the store is made of, and what feeds what: tables, keys, triggers, fits and components, and what is
        read by search. It needs no user's code, and takes the same time however many rows there are."""
        self._check_open()
        return pipeline_of(self._database)

    def row_count(self, table: TableName) -> RowCount:
        """Return about how many rows, pages among them, a table has, in a time that does not grow with it.

        Up to 10,000 rows it is exact; for more, it is measured at 64 places, which is a few per cent off where rows were
        deleted here and there. Where ids were given that lie in a few far clusters it may be well off;
        `store.sql("select count(*) from t")` counts them.

        Raises:
            UnknownTable: the store has no such table.
        """
        self._check_open()
        return row_count(self._database, table)

    def recent(self, *, limit: int = 20) -> Recent:
        """Return what this process has lately done: the last changes with the runs they caused, calls and changes for each
        five seconds of the last ten minutes, and how long changes took until they were done.

        It is kept in memory, the last 2,000 changes with 200 runs of each. Other processes that work on the store have
        histories of their own. `change.trace()` tells of one change.
        """
        self._check_open()
        check_count("recent(limit=)", limit)
        return recent(self._database, limit)

    @overload
    def explain(self, table: TableName, id: Any, key: str, /, **pages: int) -> Explanation: ...

    @overload
    def explain(self, row: Instance, key: str, /, **pages: int) -> Explanation: ...

    def explain(self, table: TableName | Any, /, *named: Any, **pages: int) -> Explanation:
        """Return where a value came from: its trigger, code and state version, and the same of its inputs.

        Given are the table, the id and the key; or a row read before and the key.
        """
        self._check_open()
        name = addressed_key(self._database.tables, "explain", table, named, pages)
        return explain(self._database, name)

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
            where: only on rows that this condition holds for, on the values that they show.
            force: also where its outputs are current. Values that users gave are never touched.

        Raises:
            TriggerError: the store has no such trigger.
        """
        self._check_open()
        check_flag("backfill(force=)", force)
        name = _trigger_name(trigger)
        change = recompute.backfill(self._database, name, where, params, force=force)
        self._engine.start()
        return change.keeping(self)

    def model(self, component: str) -> Model:
        """Return a component's state versions, and what can be done with them."""
        self._check_open()
        with self._database.backend.read() as tx:
            known = {*self._database.code.components, *stored_graph.active_components(tx)}
        if not isinstance(component, str) or component not in known:
            raise InvalidArgument(
                "model()",
                shortened(component),
                f"the name of a component of the store, which has {listed(sorted(known))}"
                f" (pass instances of them in triggers=)",
            )
        return Model(self._database, component, self._start)

    def snapshot(self, folder: str | Path) -> None:
        """Copy the store as it is at one moment, with model states and unfinished work, while it goes on.

        Args:
            folder: new or empty. `create_store(name, url=f"sqlite:///{folder}")` opens the copy, and goes on with its
                work; indexes are made from its rows. Of a store in PostgreSQL, too, it is one in a folder.

        Raises:
            FolderNotEmpty: there is something in the folder.
            StoreUnavailable: it cannot be written; nothing is left there.
        """
        self._check_open()
        snapshot(self._database, Path(folder).expanduser().resolve())

    def close(self) -> None:
        """Stop, for all who have it open in this process, leaving unfinished work for the next start. Closing twice does
        no harm. The end of a `with` block closes it where nobody else has opened it. Interrupted, by Ctrl-C, it goes on
        closing in the background.

        Raises:
            CloseInsideRun: called from inside a trigger.
        """
        if run_on(self._database) is not None:
            raise CloseInsideRun
        if not self._is_stopped:
            self._is_closed = True
            if self._behind is not None:
                uninterrupted(self._behind.stop)
            self._is_stopped = True

    def _check_open(self) -> None:
        if self._is_closed:
            raise StoreClosed(self.name)


def _trigger_name(trigger: str | Callable[..., Any]) -> str:
    if isinstance(trigger, str):
        return trigger
    declaration = getattr(trigger, DECLARATION, None)
    given = declaration.name if declaration else None
    return str(given or getattr(trigger, "__name__", repr(trigger)))
