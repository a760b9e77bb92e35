"""Echoes: what is kept beside other rows of rows that are forgotten, as lookups, windows and folds have brought it there, and
triggers have derived it.

Which triggers, and which keys, is read off what is declared; which rows, off the keys by which lookups, windows and folds
go. What the rows themselves show follows by itself, as after any deletion.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from motion.backends.base import Transaction
from motion.definitions.graph import outputs_of
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.persistence.changes import reads
from motion.persistence.layout import Layout, quoted
from motion.persistence.layouts import Layouts
from motion.persistence.ranges import IN_LIST, cut, filled_up, is_known_by, key_of
from motion.persistence.rows import makers

ANY = ""
"""Stands for all keys of a table."""

LOOKED_FOR_AT_MOST = 16
"""Values that are looked for among the bytes of a copy, before it is decoded."""

Key = tuple[str, str]
"""A table, and a key of it."""


def told_of(
    specs: Iterable[TriggerSpec],
    tables: Container[str],
    shared: Iterable[str],
    *,
    by_hand: bool = True,
) -> list[TriggerSpec]:
    """Return the triggers of which runs on any row may be told something of rows of tables: they look there, may read there
    by hand, or take what derives from it, in however many steps.

    Args:
        shared: tables of which rows hold something that was made from those.
        by_hand: those that read by hand and do not follow what they have read, too.
    """
    waiting, found = list(specs), list[TriggerSpec]()
    reached: set[Key] = {(table, ANY) for table in shared}

    def is_reached(table: str, key: str) -> bool:
        if key == ANY:
            return any(of == table for of, _ in reached)
        return not reached.isdisjoint({(table, key), (table, ANY)})

    def is_told(spec: TriggerSpec) -> bool:
        taken = _taken(spec)
        may_look = spec.uses_store if by_hand else spec.follow
        looks_there = may_look or any(table in tables for table, _ in taken)
        return looks_there or any(is_reached(*key) for key in (*taken, *_own(spec)))

    while told := [spec for spec in waiting if is_told(spec)]:
        found += told
        reached.update(key for spec in told for key in given_by(spec))
        waiting = [spec for spec in waiting if spec not in told]
    return found


def _taken(spec: TriggerSpec) -> list[Key]:
    """Return what a trigger takes of other rows."""
    taken = [(each.table, key) for each in spec.lookups for key in each.followed_keys]
    taken += [(each.table, key) for each in spec.windows for key in (*each.names, *each.held_keys)]
    if spec.fold is not None:
        taken += [(spec.fold.source, key) for key in (*spec.fold.watched, *spec.fold.inputs)]
        taken.append((spec.fold.target, spec.fold.sets))  # as a user may have given it
    return taken


def _own(spec: TriggerSpec) -> list[Key]:
    """Return what a trigger takes of its own row, or of a copy of one that is gone."""
    table = spec.deleted or spec.table
    keys = (ANY,) if spec.reads_row else (*spec.on, *spec.inputs, *spec.looked_up_by)
    return [(table, key) for key in keys]


def given_by(spec: TriggerSpec) -> Sequence[Key]:
    return [(spec.sets_table, ANY)] if spec.sets_table else outputs_of(spec)


class Echoes:
    """The keys of rows that stay which may hold something of rows that go, and which rows these are.

    Lookups with `follow=False` have noted what was decided, which stays in the rows, and so in copies of them.

    Args:
        specs: all triggers, those that are not there any more included.
        gone: table -> the ids of its rows that go, and are there so far.
        shared: table -> the ids of rows that stay, which rows that go have made, too.
    """

    def __init__(
        self,
        tx: Transaction,
        layouts: Layouts,
        specs: Iterable[TriggerSpec],
        gone: Mapping[str, Collection[Stored]],
        shared: Mapping[str, Collection[Stored]],
    ) -> None:
        self._tx, self._layouts = tx, layouts
        self._gone = {table: set(ids) for table, ids in gone.items()}
        self._rows: dict[Key, dict[str, set[Stored]]] = {}
        for table, ids in shared.items():
            self._add(table, ANY, "id", set(ids))
        self._specs = list(specs)
        self.spread()

    def spread(self) -> None:
        """Take in what triggers have brought from rows to others, in however many steps."""
        while sum(self._spread(spec) for spec in self._specs):
            pass

    def add_given(self, spec: TriggerSpec, ids: Collection[Stored]) -> None:
        """Take in that what a trigger has given for rows, or entities, may hold something."""
        fold, values = spec.fold, set(ids)
        if fold is not None:
            self._add(fold.target, fold.sets, fold.by if fold.is_of_rows else "id", values)
            return
        for table, key in given_by(spec) if values else ():
            made = self._made(spec, "id", values) if spec.sets_table else values
            self._add(table, key, "id", made)

    def known_by(self, table: str) -> list[tuple[str, str, set[Stored]]]:
        """Return the keys of a table that hold something, each with the key, and its values, that its rows are known by."""
        return [
            (key, by, values)
            for (of, key), known in self._rows.items()
            if of == table
            for by, values in known.items()
        ]

    def among(
        self, table: str, copies: Iterable[tuple[int, bytes]]
    ) -> Iterator[tuple[int, dict[str, Stored], set[str]]]:
        """Give those copies of rows that hold something: the number, the copy, and the keys that do."""
        known = self.known_by(table)
        wanted = {value for *_, values in known for value in values}
        parts = [msgspec.msgpack.encode(value) for value in wanted]
        is_bare = len(parts) <= LOOKED_FOR_AT_MOST and not any(
            by.endswith(IN_LIST) for _, by, _ in known
        )
        for number, copy in copies if known else ():
            if is_bare and not any(part in copy for part in parts):
                continue
            shown: dict[str, Stored] = msgspec.msgpack.decode(copy)
            keys = {key for key, by, values in known if _is_of(shown, by, values)}
            keys = {key for key in keys if key == ANY or shown.get(key) is not None}
            if keys:
                yield number, shown, keys

    def rows_of(self, spec: TriggerSpec, *, is_behind: bool) -> set[int]:
        """Return the rows for which a trigger was given something.

        Args:
            is_behind: only those where it was given that by keys of the row that it does not run on.
        """
        if spec.table not in self._layouts.graph.tables:
            return set()
        layout, given = self._layouts[spec.table], self._given_to(spec)
        if is_behind:
            given = iter(
                self._at(spec.table, {key for _, key in _own(spec)} - {*spec.on}, is_own=True)
            )
        return {
            int(row)
            for by, values in given
            if key_of(by) in layout.table.keys
            for row in _selected(self._tx, layout, quoted(":row"), by, values)
        }

    def rows_set_by(self, spec: TriggerSpec) -> set[int]:
        """Return the rows whose keys that a trigger sets hold something, whichever trigger has brought it there."""
        table, sets = spec.table, spec.sets
        if spec.fold is not None:
            table, sets = spec.fold.target, (spec.fold.sets,)
        if spec.sets_table or table not in self._layouts.graph.tables:
            return set()
        layout = self._layouts[table]
        return {
            int(row)
            for key, by, values in self.known_by(table)
            if key in sets and key_of(by) in layout.table.keys
            for row in _selected(self._tx, layout, quoted(":row"), by, values)
        }

    def _spread(self, spec: TriggerSpec) -> bool:
        """Take in what a trigger has brought to rows, as far as is known; return whether that is more than before."""
        fold = spec.fold
        if fold is not None:
            inputs = {*fold.watched, *fold.inputs}
            values = {
                value
                for by, known in self._at(fold.source, inputs)
                for value in self._select(fold.source, fold.by, by, known)
            }
            return self._add(fold.target, fold.sets, fold.by if fold.is_of_rows else "id", values)
        found = [
            self._add(table, key, "id" if spec.sets_table else by, values)
            for own, known in self._given_to(spec)
            for by, values in [(own, self._made(spec, own, known) if spec.sets_table else known)]
            for table, key in given_by(spec)
        ]
        return any(found)

    def _given_to(self, spec: TriggerSpec) -> Iterator[tuple[str, set[Stored]]]:
        """Give the rows on which a trigger was given something: the key that they are known by, and its values."""
        for lookup in spec.lookups:
            keys = {*lookup.followed_keys}
            for by, known in self._at(lookup.table, keys) if lookup.is_followed else ():
                held_by = lookup.bys[0] + (IN_LIST if lookup.is_of_list else "")
                yield held_by, self._select(lookup.table, lookup.to_key, by, known)
        for window in spec.windows:
            for by, known in self._at(window.table, {*window.names, *window.held_keys}):
                yield window.own_by, self._select(window.table, window.other_by, by, known)
        if spec.follow and spec.table in self._layouts.graph.tables:
            yield "id", self._reading(spec)
        own = {key for _, key in _own(spec)}
        yield from self._at(spec.table, own, is_own=True)

    def _reading(self, spec: TriggerSpec) -> set[Stored]:
        """Return the ids of the rows whose runs have read something by hand that they follow."""
        layout, found = self._layouts[spec.table], set[Stored]()
        for table, keys in reads.tables_read(self._tx, spec.name).items():
            for by, known in self._at(table, keys):
                ids = self._select(table, "id", by, known)
                rows = reads.readers_of(self._tx, spec, table, ids)
                found.update(_selected(self._tx, layout, "id", ":row", rows))
        return found

    def _at(
        self, table: str, keys: Collection[str], *, is_own: bool = False
    ) -> list[tuple[str, set[Stored]]]:
        """Return the rows of a table that hold something in any of these keys."""
        found = [
            (by, set(values))
            for key, by, values in self.known_by(table)
            if key in keys or ANY in (key, *keys)
        ]
        if not is_own and self._gone.get(table):
            found.append(("id", self._gone[table]))
        return found

    def _select(self, table: str, key: str, by: str, values: Collection[Stored]) -> set[Stored]:
        """Return the values of a key in the rows that are known by another."""
        if key == by:
            return set(values)
        if table not in self._layouts.graph.tables:
            return set()
        layout = self._layouts[table]
        if not {key, key_of(by)} <= layout.table.keys.keys():
            return set()
        return set(_selected(self._tx, layout, quoted(key), by, values)) - {None}

    def _made(self, spec: TriggerSpec, by: str, values: Collection[Stored]) -> set[Stored]:
        """Return the ids of the rows that a trigger has made from rows."""
        tables = self._layouts.graph.tables
        if spec.table not in tables or spec.sets_table not in tables:
            return set()
        sources = _selected(self._tx, self._layouts[spec.table], quoted(":row"), by, values)
        made_in = self._layouts[spec.sets_table or ""]
        rows = [
            row for some in makers.rows_made(self._tx, made_in, spec.name, sources) for row in some
        ]
        return set(_selected(self._tx, made_in, "id", ":row", rows))

    def _add(self, table: str, key: str, by: str, values: Collection[Stored]) -> bool:
        if not values:
            return False
        known = self._rows.setdefault((table, key), {}).setdefault(by, set())
        before = len(known)
        known.update(values)
        return len(known) > before


def _selected(
    tx: Transaction, layout: Layout, column: str, by: str, values: Collection[Stored]
) -> list[Any]:
    found: list[Any] = []
    for part in map(filled_up, cut(list(values))):
        condition, parameters = is_known_by(by, part, "x")
        sql = f"SELECT DISTINCT {column} FROM {layout.shown()} x WHERE {condition}"
        found += [row[0] for row in tx.execute(sql, parameters)]
    return found


def _is_of(copy: Mapping[str, Stored], by: str, values: Collection[Stored]) -> bool:
    """Whether a copy of a row is of one that is known by one of these values."""
    held = copy.get(key_of(by))
    if not by.endswith(IN_LIST):
        return held in values
    return held is not None and not {*msgspec.json.decode(str(held))}.isdisjoint(values)
