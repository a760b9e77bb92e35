"""Provenance: where stored values came from, which are stale, and making them due again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from motion.backends.base import Transaction
from motion.definitions.tables.lookups import Lookup
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.persistence.layout import (
    ALL_ROWS,
    NO_PINS,
    ORIGIN_BITS,
    ORIGIN_MASK,
    VERSION_SHIFT,
    Layout,
    changed_column,
    done_column,
    outputs_table,
    quoted,
    slot_of,
)
from motion.persistence.numbers import UNNUMBERED
from motion.persistence.ranges import Ranges, filled_up, parts_of, places, rows_among
from motion.persistence.rows import makers
from motion.persistence.rows.handovers import has_former, mark_or_former
from motion.persistence.rows.listed import is_whole
from motion.persistence.rows.outputs import kept_versions
from motion.persistence.states.versions import given_up_and_made, live_version
from motion.persistence.stored_graph import (
    UNTIL,
    disowned,
    is_disowned,
    origins_of,
    origins_that_missed,
)
from motion.persistence.tasks import queue
from motion.persistence.tasks.discards import was_dropped


@dataclass(frozen=True)
class Origin:
    """What made a row's outputs of one trigger.

    Attributes:
        number: the change that the outputs are as of; 0 where there are none.
        fingerprint: of the code that made them; None for a user's value.
        version: the state version it ran with; 0 for a trigger without one.
        trigger: whose code that is; empty for a user's value.
        is_due: whether its `on` keys have changed since, and it has not run again yet; not where it has neither made anything nor
            could.
        was_away: whether the trigger was away since, while rows were written.
    """

    number: int
    fingerprint: str | None
    version: int
    is_due: bool = False
    was_away: bool = False
    trigger: str = ""

    def is_current(self, spec: TriggerSpec) -> bool:
        """Whether the trigger would make the same, as far as its code and what it has missed tell."""
        made_it = self.trigger == spec.name and self.fingerprint == spec.fingerprint
        return made_it and not self.was_away


def origins(tx: Transaction, layout: Layout, spec: TriggerSpec) -> list[tuple[Origin, int]]:
    """Return how many rows that a trigger could run on have outputs of each origin; due are those that are left behind."""
    mark = mark_or_former(tx, layout, spec)
    is_left = f"CASE WHEN {_is_left_behind(layout, spec)} THEN 1 ELSE 0 END"
    found = tx.execute(
        f"SELECT {mark} & {ORIGIN_MASK}, {mark} > 0, {is_left}, COUNT(*) FROM {_source(layout, spec)} "
        f"WHERE {_is_judged(tx, layout, spec)} GROUP BY 1, 2, 3"
    ).fetchall()
    return [
        (replace(_origin(tx, int(made), number), is_due=bool(left)), int(count))
        for made, number, left, count in found
    ]


@dataclass(frozen=True)
class Stranded:
    """How many rows have outputs of a trigger that are not those of their inputs, and that no backfill makes anew.

    Attributes:
        lacking: entities whose fold has left out a row that it has given up; `retry` takes that in.
        kept: rows whose pages, or rows of another table, stay though a value that they look up is gone.
    """

    lacking: int = 0
    kept: int = 0


def stranded(tx: Transaction, layout: Layout, spec: TriggerSpec) -> Stranded:
    """Count the stranded rows of a trigger that are not stale by other code as well."""
    mark = layout.mark(spec)
    if spec.fold is not None:
        sql = (
            f"SELECT COUNT(*) FROM {_source(layout, spec)} WHERE {_is_runnable(layout, spec)} "
            f"AND {mark} & {ORIGIN_MASK} IN ({_current(tx, spec)}) AND NOT {_is_left_behind(layout, spec)} "
            f"AND {layout.row} IN (SELECT entity FROM motion_left_out WHERE trigger = ?)"
        )
        return Stranded(lacking=int(tx.execute(sql, (spec.name,)).fetchone()[0]))
    if not _may_keep(spec):
        return Stranded()
    sql = (
        f"SELECT COUNT(*) FROM {_source(layout, spec)} WHERE {' AND '.join(_own_needs(layout, spec))} "
        f"AND {mark} & {ORIGIN_MASK} <> 0 AND NOT ({' AND '.join(_looked_up_needs(layout, spec))})"
    )
    return Stranded(kept=int(tx.execute(sql).fetchone()[0]))


def _may_keep(spec: TriggerSpec) -> bool:
    """Whether what it has made stays where a value that it looks up is gone: pages and rows of another table do."""
    return bool(spec.page or spec.sets_table) and any(_needed_lookups(spec))


def may_be_stale(tx: Transaction, layout: Layout, spec: TriggerSpec) -> bool:
    """Whether other code than a trigger's present one has ever made outputs of it, or it may have outputs that it does not
    make anew by itself."""
    if _may_keep(spec) or (spec.fold is not None and not spec.fold.replay):
        return True
    upstream = layout.graph.upstream(spec) if spec.name in layout.graph.triggers else ()
    if queue.has_dead(tx, [spec.name, *upstream]) or was_dropped(tx, spec.name):
        return True
    sql = "SELECT 1 FROM motion_left_out WHERE trigger = ? LIMIT 1"
    if spec.fold is not None and tx.execute(sql, (spec.name,)).fetchone() is not None:
        return True
    return _has_other_code(tx, layout, spec)


def _has_other_code(tx: Transaction, layout: Layout, spec: TriggerSpec) -> bool:
    """Whether other code than a trigger's present one has ever made outputs of it."""
    if has_former(tx, layout, spec):
        return True
    sql = "SELECT 1 FROM motion_origins WHERE trigger = ? AND fingerprint != ? LIMIT 1"
    return tx.execute(sql, (spec.name, spec.fingerprint)).fetchone() is not None


def made_by_other_code(
    tx: Transaction, layout: Layout, spec: TriggerSpec, rows: Sequence[int]
) -> list[int]:
    """Return those of the rows whose outputs of a trigger runs of other code than its present one have made."""
    if not rows or not _has_other_code(tx, layout, spec):
        return []
    condition = f"{layout.is_row_of(spec)} AND {_is_of_other_code(tx, layout, spec)}"
    return rows_among(tx, layout, spec, rows, condition)


def not_followed(
    tx: Transaction, layout: Layout, spec: TriggerSpec, on: Sequence[str]
) -> list[int]:
    """Return the rows with outputs of a trigger's runs where what it takes of other rows has changed since, or which these are,
    and no run has followed: it is still to come, was given up, or was dropped.

    Args:
        on: those of its `on` keys that are made of other rows.
    """
    if not (may_be_stale(tx, layout, spec) or queue.has_any(tx, [spec.name])):
        return []
    mark, number = layout.mark(spec), f"({layout.mark(spec)} >> {ORIGIN_BITS})"
    of_one = [each for each in spec.lookups_of_one if each.is_followed]
    by = [*(each.bys for each in spec.lookups), *(each.own_keys for each in spec.windows)]
    keys = dict.fromkeys([*on, *(key for each in by for key in each)])
    numbers = [layout.changed(key) for key in keys]
    numbers += [layout.looked_up_number(spec, each) for each in of_one]
    changed = " OR ".join([f"{number} = 0", *(f"{each} > {number}" for each in numbers)])
    is_made = f"{mark} & {ORIGIN_MASK} <> 0"
    if spec.fold is not None:
        # Where rows keep their own value, an entity that they have moved to has made none so far.
        changed, is_made = "1 = 1", "1 = 1" if spec.fold.is_of_rows else is_made
    return _rows(tx, layout, spec, f"{is_made} AND {layout.is_due(spec)} AND ({changed})")


def made_without_changes(
    tx: Transaction, layout: Layout, spec: TriggerSpec, makers: Collection[str]
) -> list[int]:
    """Return the rows with outputs of a trigger's keys which were made before changes that their maker was not told of.

    Args:
        makers: the triggers that count, by name: it, or those that have set its keys before.
    """
    missed = ", ".join(map(str, origins_that_missed(tx, spec.name, makers)))
    if not missed:
        return []
    mark = mark_or_former(tx, layout, spec)
    return _rows(tx, layout, spec, f"{mark} & {ORIGIN_MASK} IN ({missed})")


def _rows(tx: Transaction, layout: Layout, spec: TriggerSpec, condition: str) -> list[int]:
    sql = f"SELECT {layout.row} FROM {_source(layout, spec)} WHERE {layout.is_row_of(spec)} AND {condition}"
    return [int(row[0]) for row in tx.execute(sql)]


def stale_rows(tx: Transaction, layout: Layout, spec: TriggerSpec) -> int:
    """Return how many rows have outputs of a trigger that other code made, of those it would run on; those that are left
    behind; and stranded ones."""
    is_stale = f"{_is_of_other_code(tx, layout, spec)} OR {_is_left_behind(layout, spec)}"
    sql = f"SELECT COUNT(*) FROM {_source(layout, spec)} WHERE ({is_stale}) AND {_is_judged(tx, layout, spec)}"
    found = stranded(tx, layout, spec)
    return int(tx.execute(sql).fetchone()[0]) + found.lacking + found.kept


def disown_since(tx: Transaction, layout: Layout, spec: TriggerSpec, since: int, last: int) -> None:
    """Let what a trigger has made after a change, until now, count as made by other code."""
    table, mark = layout.base, done_column(spec.name)
    if spec.is_versioned:
        table, mark = outputs_table(spec.name), quoted(":done")
    if mark not in map(quoted, tx.columns(table)):
        return
    for origin in origins_of(tx, spec):
        of_it = f"WHERE {mark} >> {ORIGIN_BITS} > ? AND {mark} & {ORIGIN_MASK} = ?"
        if tx.execute(f"SELECT 1 FROM {table} {of_it} LIMIT 1", (since, origin)).fetchone():
            more = disowned(tx, origin, last) - origin
            tx.execute(f"UPDATE {table} SET {mark} = {mark} + ? {of_it}", (more, since, origin))


def _is_of_other_code(tx: Transaction, layout: Layout, spec: TriggerSpec) -> str:
    """Return the condition that runs of other code than a trigger's present one have made its outputs, under its name or another."""
    return f"{mark_or_former(tx, layout, spec)} & {ORIGIN_MASK} NOT IN (0, {_current(tx, spec)})"


def _current(tx: Transaction, spec: TriggerSpec) -> str:
    """Return the origins of a trigger's present code, as they stand in a list; -1 is none."""
    return ", ".join(map(str, (-1, *origins_of(tx, spec))))


def to_remake(tx: Transaction, layout: Layout, spec: TriggerSpec, *, everything: bool) -> str:
    """Return the FROM and WHERE of the rows `r` whose outputs of a trigger are missing, of other code, or left behind; with
    `everything`, of all but users' values."""
    mark = mark_or_former(tx, layout, spec)
    is_left = _is_left_behind(layout, spec)
    wanted = f"{mark} = 0 OR {mark} & {ORIGIN_MASK} NOT IN ({_current(tx, spec)}) OR {is_left}"
    return (
        f"FROM {_source(layout, spec)} WHERE {_is_judged(tx, layout, spec)} "
        f"AND (NOT ({mark} > 0 AND {mark} & {ORIGIN_MASK} = 0) OR {is_left}) AND ({'1 = 1' if everything else wanted})"
    )


def _is_left_behind(layout: Layout, spec: TriggerSpec) -> str:
    """Return the condition that a row's outputs were made, and are not those of its inputs as they are, and nothing is under
    way that makes them so: the run was given up, or one upstream, or it was dropped; or, of a fold, an applied row has changed."""
    is_lost = f"{layout.mark(spec)} > 0 AND {_is_to_run(layout, spec)} AND NOT {queue.is_under_way(spec.name, layout.row)}"
    return f"({is_lost} OR {layout.is_left_behind(spec)})"


def _is_to_run(layout: Layout, spec: TriggerSpec) -> str:
    """Return the condition that a trigger is due on a row, and that a run would make or unset something there."""
    is_of_use = f"{_has_outputs(layout, spec)} OR {_is_runnable(layout, spec)}"
    return f"{layout.is_due(spec)} AND ({is_of_use})"


def _has_outputs(layout: Layout, spec: TriggerSpec) -> str:
    """Return the condition that a row has anything that a trigger gives: a value, a page, or a row of another table."""
    if not spec.is_columnar:
        return makers.has_made(layout, spec)
    return f"({' OR '.join(f'{layout.value(key)} IS NOT NULL' for key in spec.sets)})"


def not_gone_on_from(
    tx: Transaction, layout: Layout, spec: TriggerSpec, rows: Sequence[int]
) -> list[int]:
    """Return those of the rows whose outputs a backfill makes anew. Of a fold those entities are left out that are only due, as a
    run of the present code was dropped: it goes on from what it has kept, which for most costs a call, and not one for each row."""
    if spec.fold is None:
        return list(rows)
    mark = layout.mark(spec)
    is_kept = (
        f"{mark} >> {ORIGIN_BITS} > 0 AND {mark} & {ORIGIN_MASK} IN ({_current(tx, spec)}) "
        f"AND {layout.is_due(spec)} AND NOT {layout.is_left_behind(spec)}"
    )
    return rows_among(tx, layout, spec, rows, f"NOT ({is_kept})")


def to_refresh(tx: Transaction, layout: Layout, spec: TriggerSpec) -> str:
    """Return the FROM and WHERE of the rows `r` on which a trigger is due, or, with `refresh="after"`, whose outputs
    another state version than the live one has made."""
    mark, wanted = layout.mark(spec), layout.is_due(spec)
    if spec.refresh == "after":
        wanted = f"({wanted} OR {mark} & {ORIGIN_MASK} NOT IN (0, {_of_live(tx, spec)}))"
    return f"FROM {layout.joined(spec.on, [spec])} WHERE {layout.is_row_of(spec)} AND {wanted}"


def to_sweep(layout: Layout, spec: TriggerSpec, number: int) -> str:
    """Return the FROM and WHERE of the rows `r` whose outputs a run has made before a change of what they look up; where
    that is not followed, of those that have waited for it.

    Of outputs that are kept by version it is all rows': what the live version has made since, or takes as made with a switch,
    says nothing of the others, nor of itself, as it is marked as of its row's own keys.
    """
    mark = layout.mark(spec)
    made = f"{mark} & {ORIGIN_MASK} <> 0"
    if spec.follow or spec.is_versioned:  # a run that failed has read something, too
        made = f"NOT ({mark} > 0 AND {mark} & {ORIGIN_MASK} = 0)"
    wanted = made if spec.is_versioned else f"{mark} >> {ORIGIN_BITS} < {number} AND {made}"
    if spec.awaited_lookups:
        follows = spec.follow or spec.windows or any(each.is_followed for each in spec.lookups)
        wanted = f"({wanted} OR {layout.is_due(spec)})" if follows else layout.is_due(spec)
    return f"FROM {layout.joined(spec.on, [spec])} WHERE {layout.is_row_of(spec)} AND {wanted}"


def _of_live(tx: Transaction, spec: TriggerSpec) -> str:
    """Return the origins of a trigger with the live state version, as they stand in a list; -1 is none."""
    sql = "SELECT origin FROM motion_origins WHERE trigger = ? AND version = ?"
    found = tx.execute(sql, (spec.name, live_version(tx, spec.component or ""))).fetchall()
    return ", ".join(["-1", *(str(row[0]) for row in found)])


def to_build(layout: Layout, spec: TriggerSpec, version: int) -> str:
    """Return the FROM and WHERE of the rows `r` that a state version lacks outputs for: it is due there by its own numbers, which
    are those of what it takes; it made them before its trigger was away, and the live version has others since; or a user has
    given some for that one."""
    number, live = f"{layout.mark(spec)} >> {ORIGIN_BITS}", 'COALESCE(v.":done", 0)'
    given = f"{live} & {ORIGIN_MASK} = 0 AND {live} >> {ORIGIN_BITS} > {number}"
    missed = f"{is_disowned(spec, layout.mark(spec))} AND NOT {is_disowned(spec, live)}"
    slot = f"({layout.version(spec, NO_PINS)} << {VERSION_SHIFT}) + {layout.row}"
    return (
        f"FROM {layout.joined(spec.on, [spec], {spec.component or '': version})} "
        f"LEFT JOIN {outputs_table(spec.name)} v ON v.slot = {slot} "
        f"WHERE {layout.is_row_of(spec)} AND ({layout.is_due(spec)} OR {given} OR {missed})"
    )


def overcome(tx: Transaction, layout: Layout, spec: TriggerSpec, version: int) -> list[int]:
    """Return the rows with dead letters that a candidate lacks no outputs for: it has what was given up."""
    if live_version(tx, spec.component or "") is None:
        return []
    rows = given_up_and_made(tx, spec, version)
    lacking: set[int] = set()
    for part in parts_of(rows):
        sql = f"SELECT {layout.row} {to_build(layout, spec, version)} AND {part.condition(layout.row)}"
        lacking.update(int(row) for (row,) in tx.execute(sql, part.numbers))
    return [row for row in rows if row not in lacking]


def make_due(
    tx: Transaction,
    layout: Layout,
    spec: TriggerSpec,
    rows: Sequence[int],
    *,
    in_every_version: bool = False,
    version: int | None = None,
) -> None:
    """Let a trigger be due on rows again, as if its `on` keys had changed. Until it has run, its values stay, and so
    does the knowledge of who made them: only the change that they are as of is taken from their marks.

    Args:
        in_every_version: other rows have changed, which concerns what any state version has made, not the live one alone.
        version: they have for this one alone.
    """
    versions: Sequence[int] = () if version is None else [version]
    if spec.is_versioned and version is None:
        live = live_version(tx, spec.component or "")
        versions = kept_versions(tx, spec) if in_every_version else [live] if live else []
    for part in parts_of(rows):
        _clear_marks(tx, layout, spec, part, versions)
        for key in spec.on:
            if key not in layout.versioned:
                chosen = part.condition(layout.row_column)
                ids = f"SELECT id FROM {layout.base} WHERE {chosen}"
                # Without a value, too: it runs there where that is optional, and unsets what other code made where not.
                tx.execute(
                    f"UPDATE {layout.base} SET {changed_column(key)} = {UNNUMBERED} "
                    f"WHERE ({chosen} OR (id IN ({ids}) AND {quoted(key)} IS NOT NULL)) AND {changed_column(key)} IS NULL",
                    [*part.numbers, *part.numbers],
                )


def make_missed_due(
    tx: Transaction, layout: Layout, spec: TriggerSpec, rows: Sequence[int], version: int
) -> None:
    """Let a state version's outputs be due on those of the rows where it made them before its trigger was away: no number tells
    what has changed meanwhile."""
    missed: list[int] = []
    for part in parts_of(rows):
        slots = part.plus(slot_of(version, 0))
        sql = f"SELECT slot FROM {outputs_table(spec.name)} WHERE {slots.condition('slot')}"
        found = tx.execute(f"{sql} AND {is_disowned(spec, quoted(':done'))}", slots.numbers)
        missed += [int(slot) & ALL_ROWS for (slot,) in found]
    make_due(tx, layout, spec, sorted(missed), version=version)


def make_entity_due(
    tx: Transaction, layout: Layout, spec: TriggerSpec, by: str, entity: Stored, version: int
) -> None:
    """Let a state version's outputs be due on all rows of an entity, as other rows have changed for it."""
    rows = f"SELECT {layout.row} AS row FROM {layout.base} r WHERE {layout.place(by)} = ?"
    make_all_due(tx, spec, rows, (entity,), version)


def make_all_due(
    tx: Transaction, spec: TriggerSpec, rows: str, values: Sequence[Stored], version: int
) -> None:
    """Let a state version's outputs be due on all rows that a query gives as `row`, however many."""
    slots = f"SELECT {slot_of(version, 0)} + f.row FROM ({rows}) f"
    tx.execute(
        f'UPDATE {outputs_table(spec.name)} SET ":done" = ":done" & {ORIGIN_MASK} WHERE slot IN ({slots}) '
        f'AND ":done" & {ORIGIN_MASK} != 0',
        values,
    )


def keep_met(
    tx: Transaction, layout: Layout, spec: TriggerSpec, change: int, first: int, last: int
) -> None:
    """Let live outputs that are not due be as of a switch, which gives what was switched with them, and they are made of, its
    number.

    Args:
        change: the number of the switch.
        first, last: rows.
    """
    met = (
        f"SELECT {layout.output_slot(spec)} FROM {layout.joined(spec.on, [spec])} "
        f"WHERE {layout.row} BETWEEN {first} AND {last} AND {layout.has_output(spec)} AND NOT {layout.is_due(spec)}"
    )
    tx.execute(
        f'UPDATE {outputs_table(spec.name)} SET ":done" = {change << ORIGIN_BITS} | (":done" & {ORIGIN_MASK}) '
        f'WHERE slot IN ({met}) AND ":done" & {ORIGIN_MASK} != 0 AND ":done" >> {ORIGIN_BITS} < {change}'
    )


def _clear_marks(
    tx: Transaction, layout: Layout, spec: TriggerSpec, part: Ranges, versions: Sequence[int]
) -> None:
    if not spec.is_versioned:
        done = done_column(spec.name)
        mark = mark_or_former(tx, layout, spec)
        by_user = f"{mark} > 0 AND {mark} & {ORIGIN_MASK} = 0"  # given since the rows were chosen
        condition = f"{part.condition(layout.row)} AND NOT ({by_user})"
        tx.execute(
            f"UPDATE {layout.base} AS r SET {done} = r.{done} & {ORIGIN_MASK} WHERE {condition} AND r.{done} IS NOT NULL",
            part.numbers,
        )
        return
    for version in versions:
        slots = part.plus(slot_of(version, 0))
        tx.execute(
            f'UPDATE {outputs_table(spec.name)} SET ":done" = ":done" & {ORIGIN_MASK} WHERE {slots.condition("slot")} '
            f'AND ":done" & {ORIGIN_MASK} != 0',
            slots.numbers,
        )


def origin_of_row(
    tx: Transaction, layout: Layout, spec: TriggerSpec, row_id: Stored, pages: Sequence[int]
) -> Origin | None:
    """Return what made a trigger's outputs for a row, which is marked on the row that the trigger ran on."""
    level = layout.graph.row_level(spec)
    keys = zip(layout.table.page_keys, pages, strict=True)
    values = [row_id, *(page if key in level else 0 for key, page in keys)]
    named = " AND ".join(f"r.{quoted(key)} = ?" for key in layout.table.primary_key)
    is_due = f"CASE WHEN {_is_to_run(layout, spec)} THEN 1 ELSE 0 END"
    sql = f"SELECT {layout.mark(spec)}, {is_due} FROM {_source(layout, spec)} WHERE {named}"
    found = tx.execute(sql, values).fetchone()
    if found is None:
        return None
    return replace(origin_of_mark(tx, int(found[0])), is_due=bool(found[1]))


def origin_of_mark(tx: Transaction, mark: int) -> Origin:
    """Return what a mark says."""
    return _origin(tx, mark & ORIGIN_MASK, mark >> ORIGIN_BITS)


def rows_with(
    tx: Transaction,
    layout: Layout,
    key: str,
    spec: TriggerSpec | None,
    ids: Sequence[Stored],
    since: int | None,
) -> list[int]:
    """Return the rows of ids, in a table without pages, that have a value of a key.

    Args:
        spec: the trigger that derives it.
        since: only values that this trigger's runs, or users, gave as of this change, or a later one; None: those that
            are as of what they derive from.
    """
    condition, named = f"{layout.value(key)} IS NOT NULL", filled_up(ids)
    values = list(named)
    if since is None and spec is not None:
        condition += f" AND NOT {layout.is_due(spec)}"
    elif spec is not None:
        condition += f" AND ({layout.mark(spec)} >> {ORIGIN_BITS}) >= ?"
        values.append(since)
    keys, specs = ([key], []) if spec is None else ([key, *spec.on], [spec])
    sql = (
        f"SELECT {layout.row} FROM {layout.joined(keys, specs)} "
        f"WHERE r.id IN ({places(named)}) AND {condition}"
    )
    return [int(row[0]) for row in tx.execute(sql, values)]


def changed_number(
    tx: Transaction, layout: Layout, key: str, row_id: Stored, pages: Sequence[int]
) -> int:
    """Return the number of the change that last changed a key of a row, 0 where changes of it are not numbered."""
    if key not in layout.numbered and key not in layout.versioned:
        return 0
    named = " AND ".join(f"r.{quoted(name)} = ?" for name in layout.table.primary_key)
    sql = f"SELECT {layout.changed(key)} FROM {layout.joined([key])} WHERE {named}"
    found = tx.execute(sql, (row_id, *pages)).fetchone()
    number = int(found[0]) if found else 0
    return 0 if number == UNNUMBERED else number


def users_page(
    tx: Transaction, layout: Layout, spec: TriggerSpec, row_id: Stored, pages: Sequence[int]
) -> int:
    """Return the change at which a user gave the value that a fan-out's page has; 0 where the fan-out did."""
    if spec.page is None:
        return 0
    level = layout.graph.row_level(spec)
    keys = zip(layout.table.page_keys, pages, strict=True)
    source = [row_id, *(page if key in level else 0 for key, page in keys)]
    named = " AND ".join(f"r.{quoted(key)} = ?" for key in layout.table.primary_key)
    mark = f"{layout.mark(spec)} >> {ORIGIN_BITS}"
    of_source = (
        f"SELECT MIN({mark}, {layout.on_number(spec)}) FROM {_source(layout, spec)} WHERE {named}"
    )
    own = f'SELECT r.":own" FROM {layout.base} r WHERE {named} AND r.":own" > COALESCE(({of_source}), 0)'
    found = tx.execute(own, (row_id, *pages, *source)).fetchone()
    return int(found[0]) if found else 0


def name_of_row(tx: Transaction, layout: Layout, row: int) -> tuple[Any, ...] | None:
    """Return a row's stored id and page keys, None where it is gone."""
    names = ", ".join(map(quoted, layout.table.primary_key))
    sql = f"SELECT {names} FROM {layout.base} WHERE {layout.row_column} = ?"
    found = tx.execute(sql, (row,)).fetchone()
    return None if found is None else tuple(found)


def number_of_row(
    tx: Transaction, layout: Layout, row_id: Stored, pages: Sequence[int]
) -> int | None:
    """Return the number of a row by its stored id and page keys, None where there is none."""
    named = " AND ".join(f"r.{quoted(key)} = ?" for key in layout.table.primary_key)
    sql = f"SELECT {layout.row} FROM {layout.base} r WHERE {named}"
    found = tx.execute(sql, (row_id, *pages)).fetchone()
    return None if found is None else int(found[0])


def _origin(tx: Transaction, origin: int, number: int) -> Origin:
    sql = "SELECT fingerprint, version, trigger FROM motion_origins WHERE origin = ?"
    found: Any = tx.execute(sql, (origin,)).fetchone()
    if found is None:
        return Origin(number, None, 0)
    fingerprint, until, _ = found[0].partition(UNTIL)
    return Origin(number, fingerprint, found[1], was_away=bool(until), trigger=found[2])


def _source(layout: Layout, spec: TriggerSpec) -> str:
    return layout.joined((*spec.on, *spec.inputs), [spec], NO_PINS)


def _is_runnable(layout: Layout, spec: TriggerSpec) -> str:
    """The condition that a row is one the trigger runs on: page 0 of other page keys, with all required keys set."""
    return " AND ".join([*_own_needs(layout, spec), *_looked_up_needs(layout, spec)])


def _is_judged(tx: Transaction, layout: Layout, spec: TriggerSpec) -> str:
    """The condition that a row is one the trigger runs on, or that has outputs which are to be unset: what the present code
    needs is unset, and other code has made them, or no run has followed. Pages, and rows of another table, stay where what is
    looked up is gone."""
    looked_up = _looked_up_needs(layout, spec)
    kept, further = (looked_up, []) if _may_keep(spec) else ([], looked_up)
    is_there = [layout.is_row_of(spec), layout.is_open(spec)]
    is_runnable = " AND ".join([*_set_keys(layout, spec), *further]) or "1 = 1"
    is_of_other_code = _is_of_other_code(tx, layout, spec)
    is_meant = " AND ".join([*kept, f"({is_runnable} OR {is_of_other_code})"])
    is_to_go = (
        f"{_is_unset(layout, spec)} AND ({is_of_other_code} OR {_is_left_behind(layout, spec)})"
    )
    return " AND ".join([*is_there, f"({is_meant} OR {is_to_go})"])


def _is_unset(layout: Layout, spec: TriggerSpec) -> str:
    """The condition that a run unsets a row's outputs: an `on` key is unset that it needs, or one by which it has a window, or
    what it looks up is gone. What is waited for does not; nor do pages and rows of another table go with what is looked up."""
    keys = [*(key for key in spec.required if key in spec.on), *_window_keys(spec)]
    needs = [f"{layout.inherited_value(key)} IS NOT NULL" for key in keys]
    if not _may_keep(spec):
        followed = (each for each in _needed_lookups(spec) if each not in spec.awaited_lookups)
        needs += [_has_looked_up(layout, spec, each) for each in followed]
    return f"NOT ({' AND '.join(needs) or '1 = 1'})"


def _own_needs(layout: Layout, spec: TriggerSpec) -> list[str]:
    return [layout.is_row_of(spec), layout.is_open(spec), *_set_keys(layout, spec)]


def _set_keys(layout: Layout, spec: TriggerSpec) -> list[str]:
    keys = (*spec.required, *_window_keys(spec))
    return [f"{layout.inherited_value(key)} IS NOT NULL" for key in keys]


def _window_keys(spec: TriggerSpec) -> list[str]:
    """The keys of a row's own without which it has no window that the trigger needs."""
    windows = [p.window for p in spec.parameters if p.window and not p.is_optional]
    return list(dict.fromkeys(key for each in windows for key in each.own_keys))


def _looked_up_needs(layout: Layout, spec: TriggerSpec) -> list[str]:
    return [_has_looked_up(layout, spec, each) for each in _needed_lookups(spec)]


def _has_looked_up(layout: Layout, spec: TriggerSpec, lookup: Lookup) -> str:
    return (
        is_whole(layout, lookup)
        if lookup.is_of_list
        else f"{layout.looked_up(spec, lookup)} IS NOT NULL"
    )


def _needed_lookups(spec: TriggerSpec) -> list[Lookup]:
    return [p.lookup for p in spec.parameters if p.lookup and not p.is_optional]
