"""Changes: what one write set in motion, and waiting for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from motion import clock
from motion.backends.base import Transaction
from motion.definitions.tasks import DeadLetter
from motion.definitions.values.arguments import check_count, check_flag, check_seconds, check_text
from motion.errors import (
    FitFailed,
    InvalidArgument,
    MotionError,
    PromotionFailed,
    TaskFailed,
    WaitInsideRun,
    WaitTimeout,
    shortened,
)
from motion.notebook import ROWS, Shown
from motion.persistence.changes.labelling import settle_all
from motion.persistence.database import Database
from motion.persistence.inputs import folds
from motion.persistence.recompute import backfills
from motion.persistence.recompute.outcome import Outcome, outcome_of
from motion.persistence.states import asked
from motion.persistence.tasks import backlog, events
from motion.persistence.tasks.discards import note_dropped
from motion.states.promotion import cancel as cancel_asked
from motion.store.changes.given_ids import GivenIds
from motion.store.changes.progress import shown_progress
from motion.store.changes.recent import ChangeTrace, trace_of
from motion.store.changes.streams import (
    IDS_AT_ONCE,
    LONGEST_WAIT_S,
    ChangedRows,
    Stream,
    parts_of,
    rows_with,
)
from motion.views.run import run_on

DEFAULT_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class RejectedRow:
    """A row that `set_many(errors="collect")` did not write.

    Attributes:
        position: its place among the rows given, from 0.
        row: the row as given.
        error: why.
    """

    position: int
    row: Any
    error: Exception


@dataclass(frozen=True)
class Progress:
    """How far a change's cascade is: live tasks left, and rows that failed for good."""

    remaining: int
    failed: int


class Change:
    """One write of keys and all that it caused. Thread-safe; any process can make one from its `key`.

    Attributes:
        id: the row's id, of a change of one row; otherwise None.
        count: how many rows were given.
        key: names the change durably: `store.change(key)` in any process waits for the same work.
        rejected: rows that `set_many(errors="collect")` did not write.
    """

    def __init__(
        self,
        database: Database,
        key: int,
        *,
        table: str | None = None,
        ids: GivenIds | Sequence[Any] = (),
        count: int = 0,
        rejected: Sequence[RejectedRow] = (),
        further: Sequence[int] = (),
        has_work: bool = True,
        commits: int = -1,
        expected: int = 0,
    ) -> None:
        self._database, self._table = database, table
        self._ids = ids if isinstance(ids, GivenIds) else GivenIds(ids)
        self._keys = (*further, key)
        self._has_work = has_work  # False: nothing followed from it: there is nothing to look for
        self._commits = commits  # the count at its own commit: its work ends with a later one
        self._expected = expected  # rows it will work on, where that is known from the beginning
        self.key = key
        self.count = count
        self.id = self._ids[0] if len(self._ids) == 1 and count == 1 else None
        self.rejected = list(rejected)
        self._kept: object = None

    def keeping(self, store: object) -> Change:
        """Return this, which keeps what it came from: a store that nobody can reach any more is closed."""
        self._kept = store
        return self

    def __repr__(self) -> str:
        return f"Change(key={self.key}, table={self._table!r}, id={self.id!r}, count={self.count})"

    def _repr_html_(self) -> str:
        progress = self.progress
        left = "done" if not progress.remaining else f"{progress.remaining:,} row(s) to do"
        failed = f", {progress.failed:,} given up" if progress.failed else ""
        rows = (
            Shown(self.rows()) if self._table is not None and self.count <= ROWS else Shown[Any]()
        )
        return f"<p>{escape(repr(self))}: {left}{failed}</p>{rows._repr_html_() if rows else ''}"

    def wait(
        self,
        key: str | None = None,
        /,
        *,
        timeout: float = DEFAULT_TIMEOUT_S,
        raise_errors: bool = True,
        progress: bool = False,
    ) -> Change:
        """Wait until the change's work, or newer work that superseded it, is done.

        Args:
            key: wait only until each row has, on one of its pages at least, a value of this key that the change has led
                to; or until no work is left.
            timeout: seconds.
            raise_errors: raise a dead letter of this change's cascade.
            progress: show a progress bar: rows that are done, of those there are.

        Raises:
            TaskFailed: a trigger gave up on a row of this cascade.
            StateError: a fit that it asked for has failed, or a version that it asked for cannot be made live.
            WaitTimeout: it is not done in time; it goes on.
            WaitInsideRun: called from inside a trigger.
        """
        if key is not None and not isinstance(key, str):
            wanted = "the name of a key to wait for; seconds are given as wait(timeout=60)"
            raise InvalidArgument("wait(key)", shortened(key), wanted)
        check_seconds("wait(timeout=)", timeout)
        check_flag("wait(raise_errors=)", raise_errors)
        check_flag("wait(progress=)", progress)
        is_there = None if key is None else self._named_rows(key).all_have(key)
        if not self._has_work and run_on(self._database) is None:
            self._database.backend.check_usable()
            return self
        with shown_progress("rows", progress, self._expected) as show:

            def is_done(tx: Transaction) -> bool:
                if show is not None:
                    show(self._remaining(tx))
                outcomes = self._outcomes(tx)
                is_over = not any(each.is_left for each in outcomes)
                if is_there is not None:
                    is_over = is_over or is_there(tx)
                if is_over and raise_errors and any(each.has_failed for each in outcomes):
                    self._raise_errors()  # as of the same moment
                return is_over

            wait_until(
                self._database,
                is_done,
                timeout,
                lambda tx: WaitTimeout(repr(self), timeout, self._remaining(tx)),
                self._commits,
            )
        return self

    def _raise_failures(self) -> None:
        """Raise what a fit, or a promotion, that this change asked for has failed for."""
        with self._database.backend.read() as tx:
            found = [failure for key in self._keys for failure in asked.failures(tx, key)]
        for failed in found:
            if failed.number is None:
                raise FitFailed(failed.fit, failed.reason, "")
            raise PromotionFailed(failed.component, failed.number, failed.reason)

    def __await__(self) -> Generator[Any, None, Change]:
        return self._awaited().__await__()

    def is_done(self) -> bool:
        """Whether no work is left, whatever failed."""
        with self._database.backend.read() as tx:
            return self._is_over(tx)

    async def until_done(self) -> None:
        """Wait without end until no work is left, whatever failed."""
        await self._database.awaiting.until(self._is_over, self._keys)

    def _is_over(self, tx: Transaction) -> bool:
        return not any(each.is_left for each in self._outcomes(tx))

    async def _awaited(self) -> Change:
        """Do as `wait` does, as long as it takes and without a thread that waits: giving up, as by a time-out, leaves nothing
        behind."""
        if run_on(self._database) is not None:
            raise WaitInsideRun
        if self._has_work:
            await self.until_done()
            await asyncio.to_thread(self._raise_errors)
        else:
            self._database.backend.check_open()
        return self

    def rows(self) -> list[Any]:
        """Return the rows that were written, all their pages, as they are now.

        Raises:
            MotionError: there are too many to be known, as of an endless load.
        """
        rows = self._named_rows()
        found: dict[Any, Any] = {}
        for ids in rows.ids.in_parts(IDS_AT_ONCE):
            with self._database.backend.read() as tx:
                for row in rows.of(tx, ids):
                    found.setdefault(rows.name(row), row)
        return Shown(found.values())

    def stream(
        self,
        key: str,
        *,
        parts: bool = False,
        timeout: float = DEFAULT_TIMEOUT_S,
        raise_errors: bool = True,
        after: int | None = None,
    ) -> Stream:
        """Give each of the change's rows once, when `key` is set on it; end when its work is done. For `for` in a
        thread, and for `async for`.

        Args:
            parts: give the text of `key` instead, as `Part`s, strings that are passed on as a generator yields them:
                in the generator's process at once, in others some milliseconds later. Joined they are the value that
                is committed at the end. Where a process was lost and the text is made again, what was given already is
                not repeated; if it comes out different, it begins anew with a part that `is_first`.
            timeout: seconds to wait for the next row or part.
            raise_errors: after what came, raise a dead letter of this change's cascade.
            after: go on after what another stream of this change and key has given, its `given_to`: a row that was given
                comes again only where it has changed since.

        Raises:
            TaskFailed: a trigger gave up on a row of this cascade.
            WaitTimeout: nothing came in time; the work goes on.
            WaitInsideRun: called from inside a trigger.
            MotionError: there are too many rows to be known, as of an endless load.
        """
        if run_on(self._database) is not None:
            raise WaitInsideRun
        check_text("stream(key)", key, "the name of a key", may_be_none=False)
        check_flag("stream(parts=)", parts)
        check_seconds("stream(timeout=)", timeout)
        check_flag("stream(raise_errors=)", raise_errors)
        check_count("stream(after=)", after, may_be_none=True)
        rows = self._named_rows(key)
        take = parts_of(self._database, rows, key) if parts else rows_with(rows, key, after)
        errors = (lambda: self.errors) if raise_errors else list
        who = repr(self)
        return Stream(self._database, rows.ids, take, self._remaining, errors, who, timeout)

    @property
    def errors(self) -> list[DeadLetter]:
        """The rows of this cascade that triggers gave up on."""
        with self._database.backend.read() as tx:
            return Shown(
                letter
                for key in self._keys
                for letter in dead_letters(self._database, tx, change=key)
            )

    @property
    def progress(self) -> Progress:
        """How far the work is."""
        errors = self.errors
        with self._database.backend.read() as tx:
            return Progress(self._remaining(tx), len(errors))

    def trace(self) -> ChangeTrace | None:
        """Return the change's course as this process saw it: the runs that it caused, each with when it began and how long
        it took; None where it is of another process, or not among the last 2,000. Of a load in several parts: the last."""
        return trace_of(self._database, self.key)

    def cancel(self) -> None:
        """Drop the work of this change that has not begun; what is done stays. Of a backfill, what follows from the
        rows that it has remade goes on, and the others are stale as before. A promotion that has not come about is
        taken back."""
        graph = self._database.graph

        def work(tx: Transaction) -> None:
            for trigger, low, high in backfills.cancel(tx, self._keys):
                note_dropped(tx, trigger)
                if trigger in graph.triggers and graph.triggers[trigger].event:
                    events.end(tx, graph.triggers[trigger].table, range(low, high + 1))
            settle_all(tx, self._database.layouts)
            cancel_asked(tx, self._database, self._keys)

        self._database.write(work)

    def _outcomes(self, tx: Transaction) -> list[Outcome]:
        return [outcome_of(tx, key) for key in self._keys]

    def _remaining(self, tx: Transaction) -> int:
        return sum(
            backlog.live_count(tx, key) + backfills.remaining(tx, key) + asked.remaining(tx, key)
            for key in self._keys
        )

    def _raise_errors(self) -> None:
        for first in self.errors:
            raise TaskFailed(first.trigger, first.table, first.row, first.attempts, first.error)
        self._raise_failures()

    def _named_rows(self, key: str | None = None) -> ChangedRows:
        """Return the rows that were written, where they are known, and have a key."""
        if self._table is None:
            raise MotionError(
                f"change {self.key} is not of one table, or was found by its key, which tells its work and not its rows: "
                f"wait() and progress work, and store.rows(...) reads rows."
            )
        rows = ChangedRows(self._database, self._table, self._ids, self._keys[0])
        if key is not None:
            rows.table.key(key)
        rows.check_named()
        return rows


def wait_until(
    database: Database,
    is_done: Callable[[Transaction], bool],
    timeout_s: float,
    too_late: Callable[[Transaction], Exception],
    seen: int = -1,
) -> None:
    """Wait until a condition on committed data holds; looked at after each commit.

    Args:
        seen: the count of commits at which it is known not to hold yet.
    """
    if run_on(database) is not None:
        raise WaitInsideRun
    check_seconds("wait(timeout=)", timeout_s)
    deadline = clock.monotonic_s() + timeout_s
    while True:
        commits = database.backend.committed.count
        if commits != seen:
            with database.backend.read() as tx:
                if is_done(tx):
                    return tx.settle()
            seen = -1
        remaining = deadline - clock.monotonic_s()
        if remaining <= 0:
            with database.backend.read() as tx:
                if is_done(tx):
                    return tx.settle()
                raise too_late(tx)
        database.backend.committed.wait(commits, min(remaining, LONGEST_WAIT_S))


def dead_letters(
    database: Database,
    tx: Transaction,
    *,
    change: int | None = None,
    trigger: str | None = None,
    limit: int | None = None,
    after: int | None = None,
) -> list[DeadLetter]:
    """Return dead letters with their rows named by id and page keys."""
    triggers = database.graph.triggers

    def shown(name: str) -> tuple[str, str]:
        spec = triggers[name]
        layout = database.layouts[spec.table]
        row = backlog.row_expression(layout.base, layout.row_column, layout.table.primary_key)
        if spec.fold is not None:
            row = folds.row_expression(database.layouts[spec.fold.source], row)
        return spec.source, row

    found = backlog.dead_letters(
        tx, triggers, shown, change=change, trigger=trigger, limit=limit, after=after
    )
    return Shown(found)
