"""Moves: where a trigger's outputs lie when a store is opened with another `refresh=`: on their rows, or once for each
state version. Without, what was computed would be there and yet not be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from motion.backends.base import Transaction
from motion.definitions.triggers.specs import TriggerSpec
from motion.persistence.changes import reads
from motion.persistence.layout import (
    ALL_ROWS,
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
from motion.persistence.layouts import Layouts
from motion.persistence.recompute import backfills
from motion.persistence.recompute.backfills import Backfill
from motion.persistence.rows.outputs import take_out
from motion.persistence.states import versions
from motion.persistence.tasks import queue
from motion.persistence.vector_log import log_vectors


def move_outputs(tx: Transaction, layouts: Layouts, before: Mapping[str, TriggerSpec]) -> None:
    """Move the outputs of triggers that keep them elsewhere now.

    Args:
        before: trigger -> as the store knew it before this opening.
    """
    for spec in layouts.graph.triggers.values():
        known = before.get(spec.name)
        if known is None or known.is_versioned == spec.is_versioned:
            continue
        layout = layouts[spec.table]
        keys = [key for key in spec.sets if key in known.sets and known.table == spec.table]
        if not keys or not (spec.is_columnar and known.is_columnar):
            reads.forget_all(tx, spec.name)
            continue
        if spec.is_versioned:
            _keep_by_version(tx, layout, spec, keys)
        else:
            _keep_on_rows(tx, layout, spec, keys)
        for taker in layouts.graph.kept_from(
            spec
        ):  # what other versions made it of is kept nowhere
            take_out(tx, layouts[taker.table], taker, None)
            if versions.candidate_version(tx, taker.component or "") is not None:
                backfills.begin_build(tx, layouts[taker.table], taker)


def _keep_by_version(
    tx: Transaction, layout: Layout, spec: TriggerSpec, keys: Sequence[str]
) -> None:
    """Move values from their rows to the state versions that made them, users' to the live one. Rows without one of the
    live version are made again in the background, and the candidate's are built."""
    component = spec.component or ""
    live = versions.live_version(tx, component)
    done = f"r.{done_column(spec.name)}"
    maker = f"(SELECT NULLIF(version, 0) FROM motion_origins WHERE origin = {done} & {ORIGIN_MASK})"
    # Marks on rows are as of their own change, those of versions as of the change of their input.
    number = f"MIN({done} >> {ORIGIN_BITS}, MAX({layout.on_number(spec)}, 1))"
    version = f"COALESCE({maker}, {live or 1})"
    reads.move_to_versions(tx, layout, spec, version)
    there = [key for key in keys if _has_column(tx, layout, changed_column(key))]
    columns = [*map(quoted, keys), *map(changed_column, there)]
    is_there = " OR ".join(f"r.{column} IS NOT NULL" for column in (*map(quoted, keys), done[2:]))
    sets = ", ".join(f"{column} = excluded.{column}" for column in ('":done"', *columns))
    tx.execute(
        f'INSERT INTO {outputs_table(spec.name)} (slot, ":done", {", ".join(columns)}) '
        f"SELECT ({version} << {VERSION_SHIFT}) + {layout.row}, "
        f"({number} << {ORIGIN_BITS}) | ({done} & {ORIGIN_MASK}), {', '.join(f'r.{column}' for column in columns)} "
        f"FROM {layout.joined(spec.on, [spec])} WHERE {is_there} ON CONFLICT (slot) DO UPDATE SET {sets}"
    )
    moved = _rows(tx, f"SELECT {layout.row} FROM {layout.base} r WHERE {is_there}")
    unset = ", ".join(f"{column} = NULL" for column in (*columns, done[2:]))
    tx.execute(f"UPDATE {layout.base} AS r SET {unset} WHERE {is_there}")
    _log(tx, layout, spec, keys, moved)
    if live is None:
        return
    slots = f"slot BETWEEN {slot_of(live, 0)} AND {slot_of(live, ALL_ROWS)}"
    count = tx.execute(f"SELECT COUNT(*) FROM {outputs_table(spec.name)} WHERE {slots}").fetchone()
    lacking = len(moved) - int(count[0])
    if lacking:
        condition = " AND ".join(f"{quoted(key)} IS NULL" for key in keys)
        last = max(moved)
        backfills.begin(tx, Backfill(0, spec.name, 0, last, lacking, lacking, condition))
    if versions.candidate_version(tx, component) is not None:
        backfills.begin_build(tx, layout, spec)


def _keep_on_rows(tx: Transaction, layout: Layout, spec: TriggerSpec, keys: Sequence[str]) -> None:
    """Move the values of the live version to their rows, and forget those of others."""
    component, outputs = spec.component or "", outputs_table(spec.name)
    live, candidate = (
        versions.live_version(tx, component),
        versions.candidate_version(tx, component),
    )
    there = [key for key in keys if _has_column(tx, layout, changed_column(key))]
    columns = [*map(quoted, keys), *map(changed_column, there)]
    given = ", ".join(f"{column} = o.{column}" for column in columns)
    first, last = slot_of(live or 1, 0), slot_of(live or 1, ALL_ROWS)
    tx.execute(
        f'UPDATE {layout.base} AS r SET {given}, {done_column(spec.name)} = o.":done" FROM {outputs} o '
        f"WHERE o.slot BETWEEN {first} AND {last} AND {layout.row} = o.slot - {first}"
    )
    moved = _rows(tx, f"SELECT slot - {first} FROM {outputs} WHERE slot BETWEEN {first} AND {last}")
    _log(tx, layout, spec, keys, moved)
    tx.execute(f"DELETE FROM {outputs}")
    reads.move_to_rows(tx, spec, live or 1)
    backfills.end(tx, [spec.name], "build")
    if candidate is not None:
        queue.drop_version(tx, [spec.name], candidate)


def _has_column(tx: Transaction, layout: Layout, column: str) -> bool:
    return column in map(quoted, tx.columns(layout.base))


def _rows(tx: Transaction, sql: str) -> list[int]:
    return [int(row[0]) for row in tx.execute(sql)]


def _log(
    tx: Transaction, layout: Layout, spec: TriggerSpec, keys: Sequence[str], rows: Sequence[int]
) -> None:
    """Tell indexes of the rows' vectors, and those of every version to begin anew."""
    every = [slot_of(each.number, ALL_ROWS) for each in versions.versions(tx, spec.component or "")]
    for key in keys:
        if layout.table.keys[key].is_array:
            log_vectors(tx, f"{spec.table}.{key}", [*rows, *every])
