"""Outputs that are kept once for each state version: what users give for them, in every version alike.

A user's value lies in the slot of each version, as outputs do, so that whoever reads a version finds it there: it is
written for the live one, and copied to those that are kept beside it; a version that is built later, or gone back to,
takes it over instead of being called for it.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from motion.backends.base import Transaction
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.persistence.layout import (
    ALL_ROWS,
    ORIGIN_MASK,
    VERSION_SHIFT,
    Layout,
    changed_column,
    mark_of,
    outputs_table,
    quoted,
    slot_of,
)
from motion.persistence.ranges import Ranges, parts_of, rows_among
from motion.persistence.rows.written import Beside
from motion.persistence.vector_log import log_vectors


def write_users(
    tx: Transaction,
    layout: Layout,
    key: str,
    rows: Sequence[int],
    values: Sequence[Stored],
    number: int,
    is_forced: bool,
) -> list[tuple[int, Stored]]:
    """Write users' values of a key for the live version (1 where none is yet); return the rows in which it is another
    than before, with what it was."""
    spec = layout.versioned[key]
    version, _ = _live_and_candidate(tx, spec)
    table, changed = outputs_table(spec.name), changed_column(key)
    changes: list[tuple[int, Stored]] = []
    for row, value in zip(rows, values, strict=True):
        slot = slot_of(version, row)
        sql = f"SELECT {quoted(key)}, {changed} FROM {table} WHERE slot = ?"
        was, last = tx.execute(sql, (slot,)).fetchone() or (None, None)
        if is_forced or was != value:
            changes.append((row, was))
            last = number
        tx.execute(
            f'INSERT INTO {table} (slot, ":done", {changed}, {quoted(key)}) VALUES (?, ?, ?, ?) '
            f'ON CONFLICT (slot) DO UPDATE SET ":done" = excluded.":done", {changed} = excluded.{changed}, '
            f"{quoted(key)} = excluded.{quoted(key)}",
            (slot, mark_of(number, 0), last, value),
        )
    if layout.table.keys[key].is_array:
        log_vectors(tx, f"{layout.table.name}.{key}", [slot_of(version, row) for row, _ in changes])
    return changes


def share_users(
    tx: Transaction, layout: Layout, keys: Container[str], rows: Sequence[int], number: int
) -> Beside:
    """Copy what users have just given for the live version to the others that are kept, and return where it is another there
    than before: it may be, where it is what the live version had."""
    found: Beside = {}
    for spec in layout.versioned_specs:
        if any(key in keys for key in spec.sets):
            live, candidate = _live_and_candidate(tx, spec)
            for version in sorted({*kept_versions(tx, spec), candidate or live} - {live}):
                changed = copy_outputs(tx, layout, spec, rows, live, version, number)
                if changed:
                    found[spec.name, version] = changed
    return found


def copy_outputs(
    tx: Transaction,
    layout: Layout,
    spec: TriggerSpec,
    rows: Sequence[int],
    source: int,
    target: int,
    number: int,
) -> dict[str, list[int]]:
    """Let a version have the outputs of rows that another has, and return for each key the rows in which it is another than
    before in that version: these get the number of this change, as the other version's is older than what has seen them."""
    changed = {key: _differing(tx, spec, key, rows, source, target) for key in spec.sets}
    _copy(tx, layout, spec, rows, source, target)
    for key, others in changed.items():
        for part in parts_of(others):
            slots = part.plus(slot_of(target, 0))
            named = f"UPDATE {outputs_table(spec.name)} SET {changed_column(key)} = ?"
            tx.execute(f"{named} WHERE {slots.condition('slot')}", (number, *slots.numbers))
    return {key: others for key, others in changed.items() if others}


def _copy(
    tx: Transaction,
    layout: Layout,
    spec: TriggerSpec,
    rows: Sequence[int],
    source: int,
    target: int,
) -> None:
    """Copy outputs of rows; with their numbers, where the version has none for the row."""
    table, values = outputs_table(spec.name), [quoted(":done"), *map(quoted, spec.sets)]
    names = ", ".join([*values, *map(changed_column, spec.sets)])
    sets = ", ".join(f"{name} = excluded.{name}" for name in values)
    for part in parts_of(rows):
        slots = part.plus(slot_of(source, 0))
        tx.execute(
            f"INSERT INTO {table} (slot, {names}) SELECT slot + ?, {names} FROM {table} "
            f"WHERE {slots.condition('slot')} ON CONFLICT (slot) DO UPDATE SET {sets}",
            (slot_of(target, 0) - slot_of(source, 0), *slots.numbers),
        )
    _log(tx, layout, spec, [slot_of(target, row) for row in rows])


def _differing(
    tx: Transaction, spec: TriggerSpec, key: str, rows: Sequence[int], source: int, target: int
) -> list[int]:
    """Return those of the rows in which a version has another value of a key than the one whose outputs it is to have."""
    table, value, found = outputs_table(spec.name), quoted(key), list[int]()
    for part in parts_of(rows):
        slots = part.plus(slot_of(source, 0))
        sql = (
            f"SELECT s.slot FROM {table} s LEFT JOIN {table} t ON t.slot = s.slot + ? "
            f"WHERE {slots.condition('s.slot')} AND t.{value} IS DISTINCT FROM s.{value}"
        )
        shift = slot_of(target, 0) - slot_of(source, 0)
        found += [int(slot) & ALL_ROWS for (slot,) in tx.execute(sql, (shift, *slots.numbers))]
    return sorted(found)


def _log(tx: Transaction, layout: Layout, spec: TriggerSpec, slots: Sequence[int]) -> None:
    for key in spec.sets:
        if layout.table.keys[key].is_array:
            log_vectors(tx, f"{spec.table}.{key}", slots)


def rows_due(tx: Transaction, layout: Layout, spec: TriggerSpec) -> set[int]:
    """Return the rows that a version which is not live would be called for if it were gone back to."""
    found: set[int] = set()
    for version in _beside_live(tx, spec):
        joined = layout.joined(spec.on, [spec], {spec.component or "": version})
        sql = f"SELECT {layout.row} FROM {joined} WHERE {layout.is_due(spec)}"
        found.update(int(row) for (row,) in tx.execute(sql))
    return found


def take_out(
    tx: Transaction, layout: Layout, spec: TriggerSpec, rows: Sequence[int] | None
) -> None:
    """Take out what versions that are not live have given for rows, or for all, but for users' values. Whoever goes back to
    such a version has it made anew."""
    parts = [Ranges([(0, ALL_ROWS)])] if rows is None else parts_of(rows)
    for slots in [part.plus(slot_of(each, 0)) for each in _beside_live(tx, spec) for part in parts]:
        given = f'{slots.condition("slot")} AND ":done" & {ORIGIN_MASK} != 0'
        found = f"FROM {outputs_table(spec.name)} WHERE {given}"
        gone = [int(slot) for (slot,) in tx.execute(f"SELECT slot {found}", slots.numbers)]
        tx.execute(f"DELETE {found}", slots.numbers)
        _log(tx, layout, spec, gone)


def _beside_live(tx: Transaction, spec: TriggerSpec) -> list[int]:
    live, _ = _live_and_candidate(tx, spec)
    return [version for version in kept_versions(tx, spec) if version != live]


def users_rows(
    tx: Transaction, layout: Layout, spec: TriggerSpec, rows: Sequence[int]
) -> list[int]:
    """Return those of the rows whose live outputs users gave, and for no other `on` values than they have."""
    mark = layout.mark(spec)
    condition = f"{mark} > 0 AND {mark} & {ORIGIN_MASK} = 0 AND NOT {layout.is_due(spec)}"
    return rows_among(tx, layout, spec, rows, condition)


def move_first(tx: Transaction, layout: Layout, spec: TriggerSpec, version: int) -> None:
    """Let the first version that goes live have what users gave before there was one."""
    sql = f'SELECT slot FROM {outputs_table(spec.name)} WHERE slot BETWEEN ? AND ? AND ":done" & {ORIGIN_MASK} = 0'
    found = tx.execute(sql, (slot_of(1, 0), slot_of(1, ALL_ROWS)))
    rows = [int(slot) & ALL_ROWS for (slot,) in found]
    _copy(tx, layout, spec, rows, 1, version)


def _live_and_candidate(tx: Transaction, spec: TriggerSpec) -> tuple[int, int | None]:
    sql = "SELECT live, candidate FROM motion_components WHERE name = ?"
    live, candidate = tx.execute(sql, (spec.component,)).fetchone() or (None, None)
    return live or 1, candidate


def kept_versions(tx: Transaction, spec: TriggerSpec) -> list[int]:
    """Return the versions that have outputs: a look-up for each."""
    found: list[int] = []
    sql = f"SELECT MIN(slot) FROM {outputs_table(spec.name)} WHERE slot >= ?"
    while (
        slot := tx.execute(sql, (slot_of(found[-1] + 1 if found else 0, 0),)).fetchone()[0]
    ) is not None:
        found.append(int(slot) >> VERSION_SHIFT)
    return found
