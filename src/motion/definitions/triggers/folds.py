"""Folds: a value kept per entity, of its rows in order. What is declared, and how a function goes over the rows of a run.

What is read and written of them is `persistence.folds`'; decision 22 tells why it is done so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from motion import clock
from motion.background import forks
from motion.definitions.tables.schema import Key
from motion.definitions.values.codecs import Stored
from motion.errors import shortened

LONGEST_RUN_S = 0.05
"""A run over several rows of an entity ends after this time, so that what it gave is committed, and others have their turn."""


@dataclass(frozen=True)
class FoldOptions:
    """What a fold's declaration says beside what those of triggers say."""

    by: str
    order: str | None
    gather: int | None
    replay: bool = True


@dataclass(frozen=True)
class Fold:
    """What the store keeps of a fold: all of it but the code, and what it has in common with triggers.

    Attributes:
        source: the table whose rows are folded.
        on: the keys of theirs without which a row is not folded.
        by: the key that names a row's entity.
        order: the key by which an entity's rows are ordered, "id" where that is their id.
        target, sets: the table and the key that the value is kept in.
        arguments: the function's parameters: keys of the row, and `sets` for the value so far.
        optional: those of them that may be unset.
        gather: how many rows one call takes at most; None: one, and no lists.
        replay: whether rows are folded again that come after one which comes late, changes or goes; otherwise each is
            applied once, as it arrives.
        pages: the page keys of that table.
        is_of_entity: a key of the same table keeps the value of the entity, in the row whose id that is.
    """

    source: str
    on: tuple[str, ...]
    by: str
    order: str
    target: str
    sets: str
    arguments: tuple[str, ...]
    optional: tuple[str, ...] = ()
    gather: int | None = None
    replay: bool = field(default=True, repr=False)
    pages: tuple[str, ...] = field(default=(), repr=False)
    is_of_entity: bool = field(default=False, repr=False)

    @property
    def told(self) -> str:
        """What is declared, for the fingerprint: values of folds that replay are not stale because others need not."""
        return repr(self) if self.replay else f"{self!r} applied once"

    @property
    def place(self) -> tuple[str, ...]:
        """What has to be the same for the value of another declaration to be gone on from."""
        return self.source, self.by, self.order, self.target, self.sets, str(self.is_of_entity)

    def with_key(self, table: str, old: str, new: str) -> Fold:
        """Return it where a key of a table has another name."""

        def named(key: str, of: str) -> str:
            return new if (of, key) == (table, old) else key

        def taken(keys: Sequence[str]) -> tuple[str, ...]:
            return tuple(named(k, self.target if k == self.sets else self.source) for k in keys)

        return replace(
            self,
            on=tuple(named(key, self.source) for key in self.on),
            by=named(self.by, self.source),
            order=named(self.order, self.source),
            sets=named(self.sets, self.target),
            arguments=taken(self.arguments),
            optional=taken(self.optional),
            pages=tuple(named(key, self.source) for key in self.pages),
        )

    def with_table(self, old: str, new: str) -> Fold:
        """Return it where a table has another name."""
        source, target = (new if each == old else each for each in (self.source, self.target))
        return replace(self, source=source, target=target)

    @property
    def is_of_rows(self) -> bool:
        """Whether each folded row keeps the value as of it, and not the row of the entity."""
        return self.target == self.source and not self.is_of_entity

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The keys of a row that a call takes."""
        return tuple(key for key in self.arguments if key != self.sets)

    @cached_property
    def required(self) -> tuple[str, ...]:
        """The keys that a row must have values of to be folded."""
        needed = [key for key in (*self.on, *self.inputs) if key not in self.optional]
        return tuple(dict.fromkeys([*needed, self.by, self.order]))

    @cached_property
    def watched(self) -> tuple[str, ...]:
        """The keys of a row whose change changes the fold."""
        keys = dict.fromkeys((*self.on, *self.inputs, self.by, self.order))
        return tuple(key for key in keys if key != "id" and key not in self.pages)


class Rows(NamedTuple):
    """What a run is to go over: the value so far, in stored form, and rows that follow it, by column.

    Attributes:
        most: how many calls the run may make: one, where each is counted or timed; None: any number.
        given: row -> the value that a user gave for it, in place of a call.
    """

    value: Stored
    columns: Sequence[Sequence[Any]]
    size: int
    most: int | None
    given: Mapping[int, Stored]

    def shown(self, fold: Fold) -> str:
        """Return what the first call is given, as dead letters tell it."""
        pairs = zip(fold.inputs, self.columns, strict=True)
        return ", ".join(f"{key}={shortened(column[0], 200)}" for key, column in pairs if column)

    def part(self, places: range, value: Stored) -> Rows:
        """Return some of the rows, to be gone over from a value."""
        if len(places) == self.size:
            return self
        columns = [column[places.start : places.stop] for column in self.columns]
        given = {i - places.start: self.given[i] for i in places if i in self.given}
        return Rows(value, columns, len(places), self.most, given)


@dataclass
class Folded:
    """What a run gave: the values, in stored form, after how many of the rows each of them was, and rows that users gave it
    for."""

    values: list[Stored]
    after: list[int]
    given: Mapping[int, Stored]

    @property
    def rows(self) -> int:
        """How many rows it went over."""
        return self.after[-1] if self.after else 0


class Parted:
    """An entity's rows, given to runs: all of them to one, or, where it fails, halves of them, until the row that makes it
    fail stands alone. What one run gave is what the next goes on from.

    For failures of which a run cannot say which of its rows they are of. A row that fails ends it where others came
    before, as it ends a run.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows, self._waiting, self._process = rows, [range(rows.size)], os.getpid()
        self._folded, self._failure = Folded([], [], rows.given), None

    def next(self) -> Rows | None:
        """Return what the next run is to go over; None where there is none."""
        if not self._waiting or forks.is_child_of(self._process):
            return None
        return self._rows.part(self._waiting[-1], (self._folded.values or [self._rows.value])[-1])

    def take(self, given: Folded) -> None:
        """Take in what a run gave. One that has not gone over all of its rows was to end."""
        part = self._waiting.pop()
        self._folded.values += given.values
        self._folded.after += [part.start + rows for rows in given.after]
        if given.rows < len(part):
            self._waiting.clear()

    def fail(self, failure: Any, *, is_mute: bool = False) -> None:
        """Take in that a run failed. Where it may make several calls, its first row is to blame: others would have ended it.

        Args:
            is_mute: it ended without saying where.
        """
        part = self._waiting.pop()
        if len(part) > 1 and (is_mute or self._rows.most is not None):
            middle = len(part) // 2
            self._waiting += [part[middle:], part[:middle]]
        else:
            self._waiting.clear()
            self._failure = failure

    @property
    def given(self) -> Any:
        """What the runs gave, or how the first row failed."""
        is_failed = self._failure is not None and not self._folded.values
        return self._failure if is_failed else self._folded


@dataclass(frozen=True)
class OverRows:
    """Calls a fold's function on rows, one after the other, for as long as a run may take.

    A row that fails ends the run where others came before it: it is the first one of the next run then, and so stands alone.
    Where a run is one call, as calls are counted or timed, several rows of it fail together, and who runs it halves them.

    Args:
        place: where the value so far is among the parameters.
        key: that the value is kept in.
    """

    function: Callable[..., Any]
    place: int
    key: Key
    gather: int | None

    def __call__(self, rows: Rows) -> Folded:
        run = _Run(self, rows)
        while (arguments := run.next()) is not None:
            try:
                run.take(self.function(*arguments))
            except BaseException:  # the rows' failure, of whatever class
                if not run.may_end():
                    raise
        return run.folded


@dataclass(frozen=True)
class OverRowsAsync(OverRows):
    """The same of an asynchronous function."""

    async def __call__(self, rows: Rows) -> Folded:  # type: ignore[override]  # awaited by who knows that it is
        # Here, as it takes asyncio along, which 'import motion' does without.
        from motion.background.event_loop import is_ending, uncancel

        run = _Run(self, rows)
        while (arguments := run.next()) is not None:
            try:
                run.take(await self.function(*arguments))
            except BaseException:
                if is_ending() or not run.may_end():
                    raise
                uncancel()
        return run.folded


class _Run:
    """One run: what it is about to be given next, and what it has given."""

    def __init__(self, over: OverRows, rows: Rows) -> None:
        self._key, self._place = over.key, over.place
        self._rows, self._size = rows, over.gather or 1
        self._gathers = over.gather is not None
        self._value, self._done, self._taken = rows.value, 0, 0
        self._until_s = clock.monotonic_s() + LONGEST_RUN_S
        self._each = zip(*rows.columns, strict=True) if rows.columns else iter([()] * rows.size)
        self._is_over, self._process = False, os.getpid()
        self.folded = Folded([], [], rows.given)

    def next(self) -> list[Any] | None:
        """Return the arguments of the next call; None where there is none."""
        while self._done in self._rows.given:
            next(self._each, None)
            self._add(self._rows.given[self._done], 1)
        made = len(self.folded.values)
        if self._is_over or self._done == self._rows.size or made == self._rows.most:
            return None
        if forks.is_child_of(self._process):  # by a call: it ends with that
            return None
        if made and clock.monotonic_s() >= self._until_s:
            return None
        if self._gathers:
            self._taken = min(self._size, self._rows.size - self._done)
            part = slice(self._done, self._done + self._taken)
            arguments: list[Any] = [list(column[part]) for column in self._rows.columns]
        else:
            self._taken = 1
            arguments = list(next(self._each))
        arguments.insert(self._place, self._key.decode(self._value))
        return arguments

    def take(self, given: Any) -> None:
        """Take in what a call gave. It is kept in stored form, of which the next call gets a fresh copy."""
        self._add(self._key.encode(given), self._taken)

    def _add(self, value: Stored, rows: int) -> None:
        self._value = value
        self._done += rows
        self.folded.values.append(value)
        self.folded.after.append(self._done)

    def may_end(self) -> bool:
        """Take in that a call failed; return whether the run goes on with fewer rows, or ends with what it has. A child that
        the call forked ends with what it raised."""
        if self._rows.most is not None or forks.is_child_of(self._process):
            return False
        if self._taken > 1:
            self._size = self._taken // 2
            return True
        self._is_over = True
        return bool(self.folded.values)
