"""Following: the rows that are due because what runs of triggers with `follow=True` have read by hand has changed.

A change finds its readers by the rows that a write has really changed, so no key needs a number for it, and nothing is asked
where no trigger follows. Readers are meant by their slots (`persistence.changes.reads`): a row, for a state version where outputs
are kept by that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from motion.backends.base import Transaction
from motion.definitions.renames import Rename
from motion.definitions.tasks import Cause
from motion.definitions.triggers.specs import TriggerSpec
from motion.persistence.changes import followers, sweeps
from motion.persistence.changes.followers import Followed
from motion.persistence.changes.reads import (
    ALL,
    NO_VERSION,
    is_any_of,
    slots_in,
    versions_reading,
)
from motion.persistence.layout import (
    ALL_ROWS,
    VERSION_SHIFT,
    Layout,
    is_switched_along,
    outputs_table,
    quoted,
    slot_of,
)
from motion.persistence.layouts import Layouts
from motion.persistence.ranges import Ranges, parts_of, places, rows_among
from motion.persistence.rows.written import Written

BY_READS = ":reads"
"""Tells a sweep over rows that have read something from those over rows with a value of a key, whose names have no colon."""


class Part(NamedTuple):
    """Rows of a table that have changed.

    Attributes:
        keys: that have; None: the rows have come, or go.
    """

    rows: Sequence[int]
    keys: tuple[str, ...] | None


def parts_changed(written: Written) -> list[Part]:
    """Return what a write has changed, rows with the same keys together."""
    parts = [Part(written.made, None)] if written.made else []
    if written.given:
        return parts
    made, found = set(written.made), dict[tuple[int, ...], list[str]]()
    for key, rows in written.changed.items():
        others = tuple(row for row in rows if row not in made) if made else tuple(rows)
        if others:
            found.setdefault(others, []).append(key)
    return [*parts, *(Part(rows, tuple(keys)) for rows, keys in found.items())]


@dataclass(frozen=True)
class Readers:
    """Those of a change among the runs of one trigger.

    Attributes:
        target: of the rows that have changed.
        is_own: this trigger has written its keys of these rows, each by a run on that row, which is not due by that.
        version: what has changed is this state version's alone, so it is only for that one; None: for any.
        is_erased: who has read it is forgotten with it, so a sweep would find nobody: all are due at once.
    """

    tx: Transaction
    target: Layout
    layout: Layout
    spec: TriggerSpec
    parts: Sequence[Part]
    cause: Cause
    is_own: bool = False
    version: int | None = None
    is_erased: bool = False

    def due(self) -> Followed:
        """Find them, by their slots, or begin a sweep over them."""
        found = self.few()
        if found is None:
            self._sweep()
            return Followed((), is_swept=True)
        return Followed(found)

    def few(self) -> list[int] | None:
        """Return their slots; None where they are more than are made due at once."""
        most = ALL_ROWS if self.is_erased else followers.AT_ONCE
        found = followers.few_of(self.tx, self.queries(), most)
        return None if found is None else sorted(found)

    def queries(self) -> Iterator[tuple[str, Sequence[Any]]]:
        """Give queries for their slots, each with its values."""
        for rows, keys in self.parts:
            own = self.spec.sets if self.is_own else ()
            theirs = tuple(key for key in keys or () if key in own)
            others = None if keys is None else tuple(key for key in keys if key not in own)
            for some, but_own in ((others, False), (theirs, True)):
                if some is None or some:
                    yield from (self._query(part, some, but_own) for part in parts_of(rows))

    def _query(
        self, part: Ranges, keys: tuple[str, ...] | None, but_own: bool
    ) -> tuple[str, Sequence[Any]]:
        target, spec, writer = self.target, self.spec, self.cause.writer
        conditions, values = ["f.trigger = ?"], list[Any]([spec.name])
        if keys is not None:
            conditions.append(f"f.key IN ({places((ALL, *keys))})")
            values += [ALL, *keys]
        if target.table.page_keys:
            pages = " || ',' || ".join(
                f"CAST(r.{quoted(page)} AS TEXT)" for page in target.table.page_keys
            )
            conditions.append(f"f.pages IN ('{ALL}', {pages})")
        first = slot_of(self.version or NO_VERSION, 0)
        if self.version is not None:
            conditions.append(f"f.row BETWEEN {first} AND {first + ALL_ROWS}")
        if but_own:
            conditions.append(f"f.row <> {first} + {target.row}")
        if writer is not None and writer.trigger == spec.name:
            conditions.append(f"f.row NOT IN ({places(tuple(writer.slots))})")
            values += writer.slots
        sql = (
            f"SELECT DISTINCT f.row FROM {target.base} r CROSS JOIN motion_follows f ON f.name = ? "
            f"AND f.id = CAST(r.id AS TEXT) AND {' AND '.join(conditions)} WHERE {part.condition(target.row)}"
        )
        return sql, (target.table.name, *values, *part.numbers)

    def _sweep(self) -> None:
        cause, spec, table = self.cause, self.spec, self.target.table.name
        has_come = any(part.keys is None for part in self.parts)
        keys = None if has_come else sorted({key for part in self.parts for key in part.keys or ()})
        but_for: Sequence[int] = ()
        if cause.writer is None:
            # Runs whose results bear the same number have read what was there before.
            cause = replace(cause, number=cause.number + 1)
        elif spec.is_versioned and cause.writer.trigger == spec.name:
            but_for = sorted(cause.writer.slots)  # their marks do not tell what they have seen
        is_narrow = self.version is not None or but_for
        further = [None, self.version, *but_for] if is_narrow else []
        chosen = [BY_READS, table, self._only_id(), keys, *further]
        sweeps.begin_by(self.tx, self.layout, spec, chosen, cause)

    def _only_id(self) -> str | None:
        """Return the id of the rows that have changed, where they have one."""
        ids: set[str] = set()
        for part in (each for rows, _ in self.parts for each in parts_of(rows)):
            sql = (
                f"SELECT DISTINCT CAST(r.id AS TEXT) FROM {self.target.base} r "
                f"WHERE {part.condition(self.target.row)} LIMIT 2"
            )
            ids |= {row[0] for row in self.tx.execute(sql, part.numbers)}
        return ids.pop() if len(ids) == 1 else None


def tell_switched(
    tx: Transaction, layouts: Layouts, made_by: TriggerSpec, before: int, now: int, change: int
) -> None:
    """Let those be due, part by part, that have read outputs which another state version gives otherwise, as it is live now. Those
    that were switched along have read their own version's.

    Args:
        made_by: the trigger whose outputs these are.
    """
    if before == now or not layouts.graph.following or not is_any_of(tx, made_by.table):
        return
    chosen = [BY_READS, made_by.table, None, sorted(made_by.sets), made_by.name, before, now]
    for spec in layouts.graph.following:
        if not is_switched_along(spec, made_by):
            sweeps.begin_by(tx, layouts[spec.table], spec, chosen, Cause(change, change))


def swept(
    tx: Transaction, layout: Layout, spec: TriggerSpec, chosen: Sequence[Any]
) -> tuple[str, Sequence[Any]]:
    """Return the condition that a sweep is about a row, for whatever version, by what says so; and its parameters."""
    return _swept_in(layout, spec, chosen, versions_reading(tx, spec))


def slots_swept(
    tx: Transaction, layout: Layout, spec: TriggerSpec, chosen: Sequence[Any], rows: Sequence[int]
) -> list[int]:
    """Return the slots that a sweep is about, of some rows."""
    found: list[int] = []
    for version in versions_reading(tx, spec):
        condition, values = _swept_in(layout, spec, chosen, [version])
        those = rows_among(tx, layout, spec, rows, condition, values)
        found += slots_in(spec, those, version)
    return found


def _swept_in(
    layout: Layout, spec: TriggerSpec, chosen: Sequence[Any], versions: Sequence[int]
) -> tuple[str, Sequence[Any]]:
    _, table, row_id, keys, *further = chosen
    source = "motion_follows f"
    slots = ", ".join(f"{layout.row} + {slot_of(version, 0)}" for version in versions)
    conditions = ["f.trigger = ?", f"f.row IN ({slots or 'NULL'})", "f.name = ?"]
    values = [spec.name, table]
    if row_id is not None:
        conditions.append("f.id = ?")
        values.append(row_id)
    if keys is not None:
        conditions.append(f"f.key IN ({places((ALL, *keys))})")
        values += [ALL, *keys]
        if table == layout.table.name and {*keys} <= {*spec.sets} and not layout.table.page_keys:
            conditions.append("f.id <> CAST(r.id AS TEXT)")  # not by what its own run has given
    maker, *those = further or [None]
    if maker is None and those:
        version, *but_for = those
        if version is not None:
            conditions.append(
                f"f.row BETWEEN {slot_of(version, 0)} AND {slot_of(version, ALL_ROWS)}"
            )
        if but_for:  # it has written that itself
            conditions.append(f"f.row NOT IN ({places(but_for)})")
            values += but_for
    made_by = layout.graph.triggers.get(maker or "")
    if made_by is not None:
        target = Layout(layout.graph.tables.get(table), layout.graph)
        source += f" JOIN {target.base} t ON t.id = CAST(f.id AS {target.sql_type('id')})"
        for alias, version in zip(("before", "now"), those, strict=True):
            slot = f"CAST({int(version)} AS INTEGER) << {VERSION_SHIFT}"
            source += f" LEFT JOIN {outputs_table(made_by.name)} {alias} ON {alias}.slot = ({slot}) + t.{target.row_column}"
        differ = [f"before.{quoted(k)} IS DISTINCT FROM now.{quoted(k)}" for k in made_by.sets]
        conditions.append(f"({' OR '.join(differ)})")
    return f"EXISTS (SELECT 1 FROM {source} WHERE {' AND '.join(conditions)})", values


def renamed_choice(rename: Rename, spec: TriggerSpec, chosen: Sequence[Any]) -> list[Any]:
    """Return what says which rows a sweep is about, where a table or a key is called otherwise."""
    first, *others = chosen
    if first == BY_READS:
        table, row_id, keys, *switched = others
        keys = keys and sorted(rename.of_keys(keys, table))
        return [first, rename.of_table(table), row_id, keys, *switched]
    if first == sweeps.BY_LISTS:
        return [first, rename.of_key(others[0], spec.table), *others[1:]]
    return [rename.of_key(first, spec.table), *others]
