"""Derived: writing what triggers derived for keys of their own rows, by column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from motion.backends.base import Transaction
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.persistence.layout import (
    Layout,
    changed_column,
    done_column,
    outputs_table,
    quoted,
    slot_of,
)
from motion.persistence.rows.written import Written
from motion.persistence.vector_log import log_vectors


@dataclass
class Derived:
    """What one trigger of a chain gives for some rows.

    Attributes:
        columns: for each key of `sets`, the stored values, one for each row.
        old: the same as they were before.
        marks: the marks to leave on the rows.
    """

    spec: TriggerSpec
    columns: Sequence[Sequence[Stored]]
    old: list[Sequence[Stored]]
    marks: Sequence[int]


def write_values(
    tx: Transaction, layout: Layout, rows: Sequence[int], derived: Sequence[Derived], number: int
) -> Written:
    """Write the values of a chain of triggers to their rows: one statement for each row, whatever the chain's length."""
    assignments: list[str] = []
    values: list[Sequence[Stored]] = [rows, [number] * len(rows)]
    written = Written(layout)
    for each in derived:
        for key, column, old in zip(each.spec.sets, each.columns, each.old, strict=True):
            values.append(column)
            given, changed = f"?{len(values)}", changed_column(key)
            assignments.append(f"{quoted(key)} = {given}")
            if key in layout.numbered:
                kind = layout.sql_type(
                    key
                )  # told again, as what is compared with says less than what is set
                compared = f"CAST({given} AS {kind})" if "_" in kind else given
                is_same = f"{quoted(key)} IS NOT DISTINCT FROM {compared}"
                assignments.append(f"{changed} = CASE WHEN {is_same} THEN {changed} ELSE ?2 END")
            _note(written, key, rows, column, old)
        values.append(each.marks)
        assignments.append(f"{done_column(each.spec.name)} = ?{len(values)}")
    sql = f"UPDATE {layout.base} SET {', '.join(assignments)} WHERE {layout.row_column} = ?1"
    tx.on_each(sql, values)
    return written


def write_versioned(
    tx: Transaction,
    layout: Layout,
    rows: Sequence[int],
    derived: Derived,
    version: int,
    number: int,
) -> Written:
    """Write values that are kept for each state version."""
    spec, written = derived.spec, Written(layout)
    columns = ['":done"']
    changed = []
    for key, column, old in zip(spec.sets, derived.columns, derived.old, strict=True):
        columns += [quoted(key), changed_column(key)]
        changed.append(
            [number if new != was else None for new, was in zip(column, old, strict=True)]
        )
        _note(written, key, rows, column, old)
    slots, table = [slot_of(version, row) for row in rows], outputs_table(spec.name)
    sets = ", ".join(
        f"{column} = COALESCE(excluded.{column}, {table}.{column})"
        if column.endswith(':changed"')
        else f"{column} = excluded.{column}"
        for column in columns
    )
    sql = (
        f"INSERT INTO {table} (slot, {', '.join(columns)}) "
        f"VALUES ({', '.join('?' * (len(columns) + 1))}) ON CONFLICT (slot) DO UPDATE SET {sets}"
    )
    pairs = [each for pair in zip(derived.columns, changed, strict=True) for each in pair]
    tx.on_each(sql, [slots, derived.marks, *pairs])
    for key in spec.sets:
        if layout.table.keys[key].is_array:
            log_vectors(
                tx,
                f"{layout.table.name}.{key}",
                [slot_of(version, row) for row in written.changed.get(key, [])],
            )
    return written


def _note(
    written: Written, key: str, rows: Sequence[int], new: Sequence[Stored], old: Sequence[Stored]
) -> None:
    if not any(value is not None for value in old):
        changed = (
            list(rows)
            if None not in new
            else [r for r, v in zip(rows, new, strict=True) if v is not None]
        )
        written.note(key, changed, arrived=True)
        return
    triples = list(zip(rows, new, old, strict=True))
    written.note(key, [r for r, v, was in triples if v != was and was is not None], arrived=False)
    written.note(key, [r for r, v, was in triples if v != was and was is None], arrived=True)
