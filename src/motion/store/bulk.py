"""Loads: what `set_many` does with rows in bulk: chunk by chunk, matched, written, counted and pruned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Sized
from dataclasses import dataclass, replace
from typing import Any

from motion import clock
from motion.backends.base import Transaction
from motion.definitions.tables.schema import Table
from motion.definitions.values.arguments import check_count, check_text
from motion.definitions.values.codecs import Stored
from motion.engine.inline import InlineRuns
from motion.errors import BadRows, InvalidArgument, InvalidValue, SchemaError
from motion.faults import reach
from motion.persistence.changes.operations import (
    Applied,
    Operation,
    PruneOperation,
    SetOperation,
    by_pattern,
    named_columns,
)
from motion.persistence.database import Database
from motion.persistence.late_indexes import make_indexes, put_off
from motion.persistence.rows.ids import check_range
from motion.persistence.rows.kept_rows import KeptRows, Name
from motion.persistence.rows.matching import Matched, meant, names_of, only_named
from motion.persistence.rows.written import Columns
from motion.store.changes.change import Change, RejectedRow
from motion.store.changes.given_ids import GivenIds
from motion.views.ingest import (
    COMMIT_EVERY,
    Chunk,
    bad_rows,
    chunks_of,
    encoded_columns,
    readable_names,
    without,
)

FIRST_PART, PART_S = 1_000, 0.008
"""Rows that are pruned in one transaction at least, and what each is meant to take: another writer waits for one at most."""

VALUES_AT_ONCE = 500
"""Values whose rows are looked for in one transaction, where most of them have none to be pruned."""

GIVE_WAY_S = 0.0005

MEASURED_ROWS, PATIENCE_S = 200, 0.1
"""The rows of a first part that measures, and how long a load waits for what they tell."""

LATE_FROM, LATE_UP_TO, LATE_S = 20_000, 100_000, 0.5
"""How many rows a load has at least, and after how many, or how long, it makes the indexes that it has put off: no longer than
one of its parts takes."""

Commit = Callable[[Callable[[Transaction], Sequence[Operation]]], Applied]
"""Does what a function gives from what it sees in the transaction."""


def check_options(commit_every: Any, errors: Any, by: Any, prune: Any) -> None:
    """Refuse what `set_many` does not take beside rows.

    Raises:
        InvalidArgument: naming it.
    """
    if not isinstance(errors, str) or errors not in ("raise", "collect"):
        raise InvalidArgument("set_many(errors=)", repr(errors), "'raise' or 'collect'")
    check_count("set_many(commit_every=)", commit_every, least=1)
    for argument, key in (("set_many(by=)", by), ("set_many(prune=)", prune)):
        check_text(argument, key, "the name of a key, or None")


class Load:
    """One call of `set_many`."""

    def __init__(
        self,
        database: Database,
        table: Table,
        commit: Commit,
        inline: Callable[[Any], Any],
        commit_every: int,
        errors: str,
        by: str | None,
        prune: str | None,
    ) -> None:
        self._database, self._table, self._commit_every = database, table, commit_every
        self._commit, self._inline = commit, inline
        self._collects = errors == "collect"
        self._by = table.key(by).name if by else None
        self._prune = table.key(prune).name if prune else None
        self._pruned: set[Stored] = set()
        self._kept = KeptRows(table)
        self._fresh = set[Name]()  # rows to keep, and not there yet
        self._rejected: list[RejectedRow] = []
        self._changes: list[int] = []
        self._ids = GivenIds()
        self._written = 0
        self._late: _Late | None = None

    def run(self, rows: Any) -> Change:
        if self._by is None and self._prune is None and _is_large(rows):
            self._late = _Late(self._database, self._table.name)
        try:
            for chunk in chunks_of(self._table, rows, self._commit_every):
                for part in self._parts_of(chunk):
                    self._write(part)
            self._delete_others()
        finally:
            if self._late is not None:
                self._late.make()
            if self._prune is not None:
                self._database.backend.write(self._kept.forget)
        *further, last = self._changes or [0]
        return Change(
            self._database, last, table=self._table.name, ids=self._ids, count=self._written,
            rejected=self._rejected, further=further,
        )  # fmt: skip

    def _parts_of(self, chunk: Chunk) -> Iterator[Chunk]:
        """Begin a load of several chunks with a small one, where it is not known yet which triggers are so cheap that they
        run with the write: by the time for the rest, it is."""
        is_one_of_several = chunk.start == 0 and chunk.count == self._commit_every
        runs = InlineRuns(self._database)
        if not (
            is_one_of_several
            and chunk.count > 2 * MEASURED_ROWS
            and self._database.runs_code
            and runs.unjudged(self._table.name, chunk.columns)
        ):
            yield chunk
            return
        yield chunk.part(range(MEASURED_ROWS))
        ends_s = clock.monotonic_s() + PATIENCE_S
        while clock.monotonic_s() < ends_s and runs.unjudged(self._table.name, chunk.columns):
            clock.sleep(PATIENCE_S / 50)
        yield chunk.part(range(MEASURED_ROWS, chunk.count))

    def _write(self, chunk: Chunk) -> None:
        columns, chunk = self._checked(chunk)
        if not chunk.count:
            return
        found = Matched(columns)
        whole: SetOperation | None = None
        if not any(None in values for key, values in columns.items() if key != "id"):
            whole = self._inline(SetOperation(self._table.name, columns, chunk.count))

        def operations(tx: Transaction) -> list[SetOperation]:
            nonlocal found
            if self._late is not None:
                self._late.put_off(tx)
            if self._prune is not None:
                self._kept.add(tx, self._fresh)
            layout = self._database.layouts[self._table.name]
            found = named_columns(tx, layout, columns, chunk.count, self._by)
            if found.refused and not self._collects:
                place, reason = next(iter(found.refused.items()))
                raise BadRows(chunk.position(place), self._written, str(reason)) from reason
            if whole is not None and not found.refused:
                return [replace(whole, columns=found.columns)]
            return by_pattern(self._table, *only_named(found, chunk.count))

        applied = self._commit(operations)
        reach("load.chunk")
        self._note(chunk, found, applied)

    def _note(self, chunk: Chunk, found: Matched, applied: Applied) -> None:
        """Take in what a chunk has done."""
        columns, count = only_named(found, chunk.count)
        ids = applied.ids[0] if len(applied.ids) == 1 else columns.get("id", ())
        self._changes.append(applied.number)
        self._written += count
        if self._late is not None:
            self._late.note(self._written)
        self._ids.add(ids)
        self._rejected += [
            RejectedRow(chunk.position(place), chunk.given[place], reason)
            for place, reason in found.refused.items()
        ]
        if self._prune is not None:
            self._pruned.update(columns.get(self._prune, ()))
            layout = self._database.layouts[self._table.name]
            self._fresh = found.held.union(names_of(layout, columns, ids))

    def _checked(self, chunk: Chunk) -> tuple[Columns, Chunk]:
        """Return a chunk's columns encoded, without the bad rows if these are collected."""
        try:
            return encoded_columns(self._table, chunk, self._by, self._check_ids), chunk
        except (InvalidValue, SchemaError) as exc:
            bad = list(bad_rows(self._table, chunk, self._by, self._check_ids))
            if not self._collects:
                place, _, reason = bad[0] if bad else (0, None, exc)
                raise BadRows(chunk.start + place, self._written, str(reason)) from reason
            self._rejected += [
                RejectedRow(chunk.position(i), row, reason) for i, row, reason in bad
            ]
            if self._prune is not None:
                self._keep([row for _, row, _ in bad])
            good = without(chunk, {i for i, _, _ in bad})
            return encoded_columns(self._table, good), good

    def _check_ids(self, ids: Sequence[Stored]) -> None:
        check_range(self._database.layouts[self._table.name], ids)

    def _keep(self, bad: Sequence[Any]) -> None:
        """Keep the stored rows of bad ones from being pruned: they were given, though with a wrong value."""
        layout = self._database.layouts[self._table.name]
        named = [readable_names(self._table, row, self._by) for row in bad]
        with self._database.backend.read() as tx:
            self._fresh |= meant(tx, layout, self._by, named)

    def _delete_others(self) -> None:
        """Delete the rows that were not given, part by part: each is a short transaction of its own, so that other writers
        wait for a part at most, and what a crash leaves is deleted by the same load made again."""
        values = [value for value in self._pruned if value is not None]
        place, rows = _Place(0, None), FIRST_PART
        while place.value < len(values):
            part = _Part(place, [])

            def deletions(tx: Transaction) -> list[Operation]:
                nonlocal part
                self._kept.add(tx, self._fresh)
                part = self._part_from(tx, values, place, rows)  # noqa: B023 - it is called in this round
                return [PruneOperation(self._table.name, part.rows)] if part.rows else []

            started = clock.monotonic_s()
            self._changes.append(self._commit(deletions).number)
            took_s = clock.monotonic_s() - started
            reach("load.pruned")
            self._fresh, place = set(), part.following
            rows = int(
                min(max(rows * PART_S / max(took_s, 1e-6), FIRST_PART), 2 * rows, COMMIT_EVERY)
            )
            clock.sleep(GIVE_WAY_S)  # a lock that is let go and taken at once is nobody else's

    def _part_from(
        self, tx: Transaction, values: Sequence[Stored], place: _Place, rows: int
    ) -> _Part:
        """Return the next rows to delete, at most so many and their pages, and where the part after that begins."""
        assert self._prune is not None
        layout, found = self._database.layouts[self._table.name], list[int]()
        for at in range(place.value, min(place.value + VALUES_AT_ONCE, len(values))):
            after = place.after if at == place.value else None
            wanted = rows - len(found)
            others = self._kept.others(tx, layout, self._prune, values[at], after, wanted)
            found += others
            if len(others) == wanted:
                following = _Place(at, others[-1])
                break
        else:
            following = _Place(at + 1, None)
        return _Part(following, self._kept.with_pages(tx, layout, self._prune, found))


def _is_large(rows: Any) -> bool:
    """Whether so many rows are given, and all of them are there: nobody knows how long others take to come."""
    return isinstance(rows, Sized) and len(rows) >= LATE_FROM


class _Late:
    """The indexes that a load into an empty table makes once its rows are in: it takes a quarter of the time."""

    def __init__(self, database: Database, table: str) -> None:
        self._database, self._table = database, table
        self._is_asked = self._is_put_off = False
        self._began_s = clock.monotonic_s()

    def put_off(self, tx: Transaction) -> None:
        """Drop them in the load's first transaction, which may be done again."""
        if not self._is_asked and self._database.backend.makes_indexes_apart:
            self._is_put_off = put_off(tx, self._database.layouts[self._table])

    def note(self, written: int) -> None:
        """Take in that so many rows are in by now."""
        self._is_asked = True
        if written >= LATE_UP_TO or clock.monotonic_s() > self._began_s + LATE_S:
            self.make()

    def make(self) -> None:
        if self._is_put_off:
            self._database.write(lambda tx: make_indexes(tx, self._database.layouts[self._table]))
        self._is_put_off = False


@dataclass(frozen=True)
class _Place:
    """Where in what is to be pruned: a value's position, and the row of it after which to go on."""

    value: int
    after: int | None


@dataclass(frozen=True)
class _Part:
    """Rows to delete in one transaction, and where the next part begins."""

    following: _Place
    rows: Sequence[int]
