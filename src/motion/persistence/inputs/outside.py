"""Rows outside a fold: they have not what it needs to fold them, so where each row keeps the value as of it, they keep none.

The write that takes a row out of a fold unsets its value. What came to be outside while nobody saw it, as the fold was away or
is other code by now, is held until a backfill comes to it. Decision 109 tells why it is done so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from motion.backends.base import Transaction
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.persistence.inputs.folds import rows_inheriting
from motion.persistence.inputs.places import Places, fold_of
from motion.persistence.layout import ORIGIN_MASK, Layout, done_column, quoted
from motion.persistence.layouts import Layouts
from motion.persistence.ranges import parts_of
from motion.persistence.rows.writing import write_rows
from motion.persistence.rows.written import Written
from motion.persistence.stored_graph import origins_of_other_code, origins_of_other_keys
from motion.persistence.tasks.discards import was_dropped

# -- seen by the write --


def unset_left(
    tx: Transaction,
    source: Layout,
    spec: TriggerSpec,
    changed: Mapping[str, Sequence[int]],
    number: int,
) -> Written:
    """Unset the value of rows that a write has taken out of a fold, whoever gave it.

    Args:
        changed: key -> the rows in which it has changed.
    """
    fold = fold_of(spec)
    if not fold.is_of_rows:
        return Written(source)
    rows = {row for key in fold.watched for row in changed.get(key, ())}
    rows.update(rows_inheriting(tx, source, spec, changed))
    return _unset(tx, source, spec, sorted(rows), _is_outside(source, spec), number)


# -- not seen --


def may_hold(tx: Transaction, layouts: Layouts, spec: TriggerSpec) -> bool:
    """Whether rows outside a fold may have values of its runs: there was other code, or it was away. Reads no rows."""
    is_here = spec.name in layouts.graph.triggers and spec.fold is not None
    if not is_here or not fold_of(spec).is_of_rows:
        return False
    return bool(origins_of_other_code(tx, spec)) or was_dropped(tx, spec.name)


def held(tx: Transaction, source: Layout, spec: TriggerSpec) -> str:
    """Return the FROM and WHERE of the rows `r` outside a fold that have a value of its runs. What users gave is theirs; of what runs
    gave while they set another key, it is not known who gave this one."""
    of_others = ", ".join(map(str, (0, *origins_of_other_keys(tx, spec))))
    is_made = f"COALESCE(r.{done_column(spec.name)}, 0) & {ORIGIN_MASK} NOT IN ({of_others})"
    return f"FROM {source.base} r WHERE {_is_outside(source, spec)} AND {is_made}"


def held_of(source: Layout, entities: Layout, spec: TriggerSpec, condition: str) -> str:
    """Return the condition that a row `r` is of an entity for which a condition holds."""
    by = Places(source, spec).by
    return f"EXISTS (SELECT 1 FROM {entities.shown()} s WHERE s.id = {by} AND ({condition}\n))"


def count_held(tx: Transaction, layouts: Layouts, spec: TriggerSpec) -> int:
    """Return how many rows outside a fold have a value that a backfill unsets. Reads the table, where there may be any."""
    if not may_hold(tx, layouts, spec):
        return 0
    sql = f"SELECT COUNT(*) {held(tx, layouts[fold_of(spec).source], spec)}"
    return int(tx.execute(sql).fetchone()[0])


def rows_held(tx: Transaction, layouts: Layouts, spec: TriggerSpec) -> list[int]:
    """Return these rows."""
    if not may_hold(tx, layouts, spec):
        return []
    source = layouts[fold_of(spec).source]
    sql = f"SELECT {source.row} {held(tx, source, spec)}"
    return [int(row[0]) for row in tx.execute(sql).fetchall()]


def is_held(tx: Transaction, layouts: Layouts, spec: TriggerSpec, name: Sequence[Stored]) -> bool:
    """Whether a row, by its id and pages, is one of these."""
    if not may_hold(tx, layouts, spec):
        return False
    source = layouts[fold_of(spec).source]
    sql = f"SELECT 1 {held(tx, source, spec)} AND {source.is_named()}"
    return tx.execute(sql, name).fetchone() is not None


def unset_held(
    tx: Transaction, source: Layout, spec: TriggerSpec, rows: Sequence[int], number: int
) -> Written:
    """Unset the values of those of the rows that are outside a fold and still have one of its runs."""
    condition = held(tx, source, spec).partition(" WHERE ")[2]
    return _unset(tx, source, spec, rows, condition, number)


def unset_left_out(
    tx: Transaction, source: Layout, spec: TriggerSpec, rows: Sequence[int], number: int
) -> Written:
    """Unset the values of those of the rows that a fold has given up, where a run has made them."""
    name = spec.name.replace("'", "''")
    condition = (
        f"{source.row} IN (SELECT row FROM motion_left_out WHERE trigger = '{name}') "
        f"AND COALESCE(r.{done_column(spec.name)}, 0) & {ORIGIN_MASK} <> 0 AND r.{quoted(fold_of(spec).sets)} IS NOT NULL"
    )
    return _unset(tx, source, spec, rows, condition, number)


def _is_outside(source: Layout, spec: TriggerSpec) -> str:
    places = Places(source, spec)
    is_inside = f"{places.by} IS NOT NULL AND {places.is_whole}"
    return f"NOT ({is_inside}) AND r.{quoted(fold_of(spec).sets)} IS NOT NULL"


def _unset(
    tx: Transaction,
    source: Layout,
    spec: TriggerSpec,
    rows: Iterable[int],
    condition: str,
    number: int,
) -> Written:
    """Unset the values of rows for which a condition holds; they are nobody's by then."""
    keys, written = source.table.primary_key, Written(source)
    for part in parts_of(rows):
        sql = f"SELECT {source.names('r')} FROM {source.base} r WHERE {part.condition(source.row)} AND {condition}"
        names: list[tuple[Any, ...]] = tx.execute(sql, part.numbers).fetchall()
        if names:
            columns: dict[str, Sequence[Stored]] = dict(
                zip(keys, zip(*names, strict=True), strict=True)
            )
            columns[fold_of(spec).sets] = [None] * len(names)
            written.add(write_rows(tx, source, columns, len(names), number, is_user=False))
    done = done_column(spec.name)
    for part in parts_of(sorted(written.rows)):
        sql = f"UPDATE {source.base} SET {done} = NULL WHERE {part.condition(source.row_column)}"
        tx.execute(sql, part.numbers)
    return written
