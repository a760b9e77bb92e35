"""Streams: a change's rows, or the parts of its texts, as they come; to be read by threads and by event loops alike."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Protocol

from motion import clock
from motion.backends.base import Transaction
from motion.definitions.tables.schema import Table
from motion.definitions.tasks import DeadLetter
from motion.definitions.triggers.specs import TriggerSpec
from motion.errors import MotionError, TaskFailed, WaitTimeout
from motion.persistence.database import Database
from motion.persistence.numbers import last_number
from motion.persistence.rows import provenance, reading
from motion.persistence.tasks.growing_texts import ReadAlong, rows_by_name
from motion.store.changes.given_ids import GivenIds

LONGEST_WAIT_S = 1.0

IDS_AT_ONCE = 512
"""Ids whose rows are read together: of a change of very many, no more are in memory until they are taken."""


class ChangedRows:
    """The rows that a change wrote, and whether it has led to a value of a key on them.

    Args:
        since: the first of the change's numbers: what is as of it, or of a later one, follows from it.
    """

    def __init__(self, database: Database, table: str, ids: GivenIds, since: int) -> None:
        self._database, self._table, self._since = database, table, since
        self.ids = ids

    @property
    def table(self) -> Table:
        return self._database.tables.get(self._table)

    def check_named(self) -> None:
        """Refuse to name rows of which there are too many to be known."""
        if not self.ids.is_whole:
            raise MotionError(
                f"this change wrote so many rows of {self._table!r} that it does not know their ids any more; wait() and "
                f"progress work, and store.rows({self._table!r}, where=...) reads rows."
            )

    def of(self, tx: Transaction, ids: Sequence[Any]) -> list[Any]:
        """Return the rows of ids, all their pages, in the order of the ids."""
        layout = self._database.layouts[self._table]
        numbers = reading.row_numbers(tx, layout, list(dict.fromkeys(ids)))
        places = {each: place for place, each in enumerate(ids)}
        found = reading.rows_by_number(tx, layout, numbers).values()
        return sorted(found, key=lambda row: (places[row.id], self.name(row)[1:]))

    def name(self, row: Any) -> tuple[Any, ...]:
        return tuple(getattr(row, name) for name in self.table.primary_key)

    def having(self, tx: Transaction, ids: Sequence[Any], key: str, *, is_last: bool) -> list[Any]:
        """Return those rows of ids that have a value of a key which this change, or a newer one, has led to. A value from
        before it counts at the end, if it is as of what it derives from; pages count as they are made."""
        layout, spec = self._database.layouts[self._table], self.producer(key)
        if layout.table.page_keys:
            return [row for row in self.of(tx, ids) if self._is_set(tx, row, key, is_last)]
        since = None if is_last else self._since
        rows = provenance.rows_with(tx, layout, key, spec, ids, since)
        found = reading.rows_by_number(tx, layout, rows)
        places = {each: place for place, each in enumerate(ids)}
        return sorted(found.values(), key=lambda row: places[row.id])

    def _is_set(self, tx: Transaction, row: Any, key: str, is_last: bool) -> bool:
        spec = self.producer(key)
        if getattr(row, key) is None:
            return False
        if spec is None:
            return True
        layout = self._database.layouts[self._table]
        pages = [getattr(row, page) for page in layout.table.page_keys]
        origin = provenance.origin_of_row(tx, layout, spec, row.id, pages)
        is_right = origin is not None and not origin.is_due
        if spec.page and spec.is_generator and not is_right:  # they come before its run ends
            return provenance.changed_number(tx, layout, key, row.id, pages) >= self._since
        if is_last or spec.page:
            return is_right
        return origin is not None and origin.number >= self._since

    def was_given(self, tx: Transaction, row: Any, key: str, after: int | None) -> bool:
        """Whether what a row has of a key was there at a change, up to which all was given. Where it is not known, it was not:
        it is then given twice, and never missed."""
        if after is None:
            return False
        layout, spec = self._database.layouts[self._table], self.producer(key)
        pages = [getattr(row, page) for page in layout.table.page_keys]
        number = provenance.changed_number(tx, layout, key, row.id, pages)
        if spec is not None and spec.is_versioned:
            return False  # its marks tell which input it is of, and not when it was made
        if spec is not None and not (spec.page and spec.is_generator and number):
            origin = provenance.origin_of_row(tx, layout, spec, row.id, pages)
            number = max(number, origin.number if origin else 0)
        return self._since <= number <= after

    def producer(self, key: str) -> TriggerSpec | None:
        name = self._database.graph.producers.get((self._table, key))
        return None if name is None else self._database.graph.triggers[name]

    def all_have(self, key: str) -> Callable[[Transaction], bool]:
        """Return what tells whether each id has a row with a value of a key that the change has led to."""
        left = deque(self.ids.in_parts(IDS_AT_ONCE))

        def is_there(tx: Transaction) -> bool:
            while left:
                have = {row.id for row in self.having(tx, left[0], key, is_last=False)}
                left[0] = [each for each in left[0] if each not in have]
                if left[0]:
                    return False
                left.popleft()
            return True

        return is_there


class Take(Protocol):
    """What gives of some ids what is new since it was asked last; with `is_last`, all that is left."""

    def __call__(self, tx: Transaction, ids: list[Any], *, is_last: bool) -> list[Any]: ...


def rows_with(rows: ChangedRows, key: str, after: int | None = None) -> Take:
    """Return what gives the rows on which a key has been set.

    Args:
        after: what was there up to this change was given before (`Stream.given_to`).
    """
    seen: set[Any] = set()
    has_pages = bool(rows.table.page_keys)

    def take(tx: Transaction, ids: list[Any], *, is_last: bool) -> list[Any]:
        found = rows.having(tx, ids, key, is_last=is_last)
        if not has_pages:  # nothing more will come of these
            done = {row.id for row in found}
            ids[:] = [each for each in ids if each not in done]
            return [row for row in found if not rows.was_given(tx, row, key, after)]
        fresh = [row for row in found if rows.name(row) not in seen]
        seen.update(map(rows.name, fresh))
        return [row for row in fresh if not rows.was_given(tx, row, key, after)]

    return take


def parts_of(database: Database, rows: ChangedRows, key: str) -> Take:
    """Return what gives the parts that have been added to the texts of a key."""
    texts: dict[Any, ReadAlong] = {}
    layout, spec = database.layouts[rows.table.name], rows.producer(key)

    def take(tx: Transaction, ids: list[Any], *, is_last: bool) -> list[Any]:
        fresh: list[Any] = []
        have = {rows.name(row) for row in rows.having(tx, ids, key, is_last=is_last)}
        for row in rows.of(tx, ids):
            name = rows.name(row)
            pages = dict(zip(layout.table.page_keys, name[1:], strict=True))
            text = texts.setdefault(name, ReadAlong(row.id, pages))
            number = rows_by_name(tx, layout, row.id).get(name, 0)
            if name in have:
                fresh += text.whole(str(getattr(row, key)))
            elif spec is not None and spec.grows_text:
                growing = database.growing.of_row(tx, layout, spec, number)
                fresh += text.grown(*growing) if growing else ()
        return fresh

    return take


class Stream(Iterator[Any], AsyncIterator[Any]):
    """What comes of a change, once; for `for` in a thread, or `async for` on an event loop. Ends when its work is done.

    Attributes:
        given_to: a change: all that came of this one up to it has been given. `Change.stream(after=)` goes on from there.

    Raises:
        TaskFailed: a trigger gave up on a row of the change; after what came.
        WaitTimeout: nothing came in time; the work goes on.
    """

    def __init__(
        self,
        database: Database,
        ids: GivenIds,
        take: Take,
        remaining: Callable[[Transaction], int],
        errors: Callable[[], list[DeadLetter]],
        who: str,
        timeout: float,
    ) -> None:
        self._database, self._take, self._remaining = database, take, remaining
        self._errors, self._who, self._timeout = errors, who, timeout
        self._parts = list(ids.in_parts(IDS_AT_ONCE))
        self._fresh: deque[Any] = deque()
        self._round: deque[list[Any]] | None = None
        self._commits, self._mark = -1, 0
        self.given_to: int | None = None
        self._is_last = self._is_over = False
        self._waits_since = clock.monotonic_s()

    def __iter__(self) -> Stream:
        return self

    def __aiter__(self) -> Stream:
        return self

    def __next__(self) -> Any:
        while not self._fresh:
            if self._is_over:
                self._raise_errors()
                raise StopIteration
            with self._database.backend.read() as tx:
                found = self._look(tx)
                if found:
                    tx.settle()
            if not found:
                left_s = self._left_s()
                self._database.backend.committed.wait(self._commits, min(left_s, LONGEST_WAIT_S))
        return self._given()

    async def __anext__(self) -> Any:
        while not self._fresh:
            if self._is_over:
                await asyncio.to_thread(self._raise_errors)
                raise StopAsyncIteration
            try:
                async with asyncio.timeout(self._left_s()):
                    await self._database.awaiting.until(self._look)
            except TimeoutError:
                self._left_s()
                raise
        return self._given()

    def _given(self) -> Any:
        self._waits_since = clock.monotonic_s()
        given = self._fresh.popleft()
        self._note_given()
        return given

    def _note_given(self) -> None:
        if self._round is None and not self._fresh:
            self.given_to = self._mark

    def _left_s(self) -> float:
        left_s = self._waits_since + self._timeout - clock.monotonic_s()
        if left_s <= 0:
            with self._database.backend.read() as tx:
                remaining = self._remaining(tx)
            raise WaitTimeout(self._who, self._timeout, remaining)
        return left_s

    def _look(self, tx: Transaction) -> bool:
        """Look at the next ids, round after round; return whether something came, or nothing will any more."""
        if self._round is None:
            self._commits = self._database.backend.committed.count
            self._is_last = self._remaining(tx) == 0
            self._round, self._mark = deque(self._parts), last_number(tx)
        while self._round and not self._fresh:
            self._fresh.extend(self._take(tx, self._round.popleft(), is_last=self._is_last))
        if self._round:
            return True
        self._round = None
        self._parts = [ids for ids in self._parts if ids]
        self._is_over = self._is_last
        self._note_given()
        return bool(self._fresh) or self._is_over

    def _raise_errors(self) -> None:
        """Raise a failure, once."""
        errors, self._errors = self._errors, list
        for first in errors():
            raise TaskFailed(first.trigger, first.table, first.row, first.attempts, first.error)
