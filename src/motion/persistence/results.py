"""Results: writing what triggers derived, exactly: values by column, pages and owned rows by replacement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from motion.backends.base import Transaction
from motion.codecs import Stored
from motion.persistence.cascade import Layouts, delete
from motion.persistence.layout import (
    Layout,
    changed_column,
    done_column,
    in_ranges,
    outputs_table,
    parts_of,
    quoted,
    slot_of,
)
from motion.persistence.rows import Written, log_vectors, update_row, write_rows
from motion.tasks import Cause
from motion.triggers import TriggerSpec


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
    values: list[Sequence[Stored]] = []
    written = Written(layout)
    for each in derived:
        for key, column, old in zip(each.spec.sets, each.columns, each.old, strict=True):
            values.append(column)
            assignments.append(f"{quoted(key)} = ?{len(values)}")
            if key in layout.numbered:
                before = f"CASE WHEN {quoted(key)} IS ?{len(values)} THEN {changed_column(key)} ELSE {number} END"
                assignments.append(f"{changed_column(key)} = {before}")
            _note(written, key, rows, column, old)
        values.append(each.marks)
        assignments.append(f"{done_column(each.spec.name)} = ?{len(values)}")
    sql = f"UPDATE {layout.base} SET {', '.join(assignments)} WHERE {layout.row_column} = ?{len(values) + 1}"
    tx.executemany(sql, zip(*values, rows, strict=True))
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
    slots = [slot_of(version, row) for row in rows]
    sets = ", ".join(
        f"{column} = COALESCE(excluded.{column}, {column})"
        if column.endswith(':changed"')
        else f"{column} = excluded.{column}"
        for column in columns
    )
    sql = (
        f"INSERT INTO {outputs_table(spec.name)} (slot, {', '.join(columns)}) "
        f"VALUES ({', '.join('?' * (len(columns) + 1))}) ON CONFLICT DO UPDATE SET {sets}"
    )
    pairs = [each for pair in zip(derived.columns, changed, strict=True) for each in pair]
    tx.executemany(sql, zip(slots, derived.marks, *pairs, strict=True))
    for key in spec.sets:
        if layout.table.keys[key].is_array:
            log_vectors(
                tx,
                f"{layout.table.name}.{key}",
                [slot_of(version, row) for row in written.changed.get(key, [])],
            )
    return written


def set_mark(tx: Transaction, layout: Layout, spec: TriggerSpec, row: int, mark: int) -> None:
    """Note that a trigger without values of its own on the row has met its change."""
    update_row(tx, layout, row, {done_column(spec.name): mark})


# -- pages --


def replace_pages(
    tx: Transaction,
    layouts: Layouts,
    spec: TriggerSpec,
    source: tuple[int, Sequence[Any]],
    items: Sequence[tuple[Stored, ...]],
    cause: Cause,
) -> Written:
    """Make a fan-out's pages exactly `items`.

    Args:
        source: the row it ran on: its number, and its id and page keys.
    """
    layout = layouts[spec.table]
    before = _pages_before(tx, layout, spec, source[1])
    written = write_pages(tx, layout, spec, source, 0, items, cause)
    spare = {page: old for page, old in before.items() if page >= len(items)}
    removed = [old.row for page, old in spare.items() if page > 0 and old.made_by == spec.name]
    for row, other in _made_by_others_too(tx, layout, spec, removed).items():
        update_row(tx, layout, row, {'":made_by"': other})
        removed.remove(row)
    for page, old in spare.items():
        if old.row not in removed:
            columns = _page_columns(layout, spec, source[1], page, [(None,) * len(spec.sets)])
            written.add(write_rows(tx, layout, columns, 1, cause.number, is_user=False))
    _delete_pages(tx, layouts, spec, removed, cause)
    return written


def _made_by_others_too(
    tx: Transaction, layout: Layout, spec: TriggerSpec, rows: Sequence[int]
) -> dict[int, str]:
    """Return row -> trigger of pages that another fan-out over the same page key has an item on: they go over to it."""
    found: dict[int, str] = {}
    for other in layout.graph.of_table(layout.table.name):
        if other.page != spec.page or other.name == spec.name:
            continue
        has_item = " OR ".join(f"{quoted(key)} NOT NULL" for key in other.sets)
        for part in parts_of(rows):
            condition = f"{in_ranges(layout.row_column, part)} AND ({has_item})"
            sql = f"SELECT {layout.row_column} FROM {layout.base} WHERE {condition}"
            found |= {int(row[0]): other.name for row in tx.execute(sql)}
    return found


def write_pages(
    tx: Transaction,
    layout: Layout,
    spec: TriggerSpec,
    source: tuple[int, Sequence[Any]],
    start: int,
    items: Sequence[tuple[Stored, ...]],
    cause: Cause,
) -> Written:
    """Write pages from `start` on. A page whose value changes loses what users had set on it."""
    if not items:
        return Written(layout)
    before = _pages_before(tx, layout, spec, source[1])
    columns = _page_columns(layout, spec, source[1], start, items)
    written = write_rows(tx, layout, columns, len(items), cause.number, is_user=False)
    fresh = [row for page, row in enumerate(written.rows, start) if page not in before]
    for part in parts_of(fresh):
        tx.execute(
            f'UPDATE {layout.base} SET ":made_by" = ?, ":made_from" = ?, ":made_item" = {quoted(spec.page or "")} '
            f"WHERE {in_ranges(layout.row_column, part)}",
            (spec.name, source[0]),
        )
    for page, item in enumerate(items, start):
        old = before.get(page)
        if (
            old is not None
            and old.values != item
            and any(value is not None for value in old.values)
        ):
            written.add(_unset_users_values(tx, layout, spec, old.row, cause))
    return written


@dataclass
class _Page:
    row: int
    made_by: str | None
    values: tuple[Stored, ...]


def _pages_before(
    tx: Transaction, layout: Layout, spec: TriggerSpec, name: Sequence[Any]
) -> dict[int, _Page]:
    """Return page -> what is on it now, for the pages that belong to a source row."""
    assert spec.page is not None
    position = layout.table.primary_key.index(spec.page)
    named = " AND ".join(
        f"{quoted(key)} = ?" for i, key in enumerate(layout.table.primary_key) if i != position
    )
    outputs = ", ".join(map(quoted, spec.sets))
    sql = f'SELECT {quoted(spec.page)}, {layout.row_column}, ":made_by", {outputs} FROM {layout.base} WHERE {named}'
    values = [value if i < position else 0 for i, value in enumerate(name) if i != position]
    return {
        int(page): _Page(row, by, tuple(old)) for page, row, by, *old in tx.execute(sql, values)
    }


def _page_columns(
    layout: Layout,
    spec: TriggerSpec,
    name: Sequence[Any],
    start: int,
    items: Sequence[tuple[Stored, ...]],
) -> dict[str, Sequence[Stored]]:
    columns: dict[str, Sequence[Stored]] = {
        key: [value] * len(items) for key, value in zip(layout.table.primary_key, name, strict=True)
    }
    columns[spec.page or ""] = list(range(start, start + len(items)))
    return columns | {key: [item[i] for item in items] for i, key in enumerate(spec.sets)}


def _unset_users_values(
    tx: Transaction, layout: Layout, spec: TriggerSpec, row: int, cause: Cause
) -> Written:
    """Unset what users had set on a page: its keys that no trigger derives."""
    levels, producers = layout.graph.levels[layout.table.name], layout.graph.producers
    keys = [
        key
        for key in layout.table.value_keys
        if spec.page in levels[key] and (layout.table.name, key) not in producers
    ]
    if not keys:
        return Written(layout)
    found = tx.execute(
        f"SELECT {', '.join(map(quoted, keys))} FROM {layout.base} WHERE {layout.row_column} = ?",
        (row,),
    ).fetchone()
    written = Written(layout)
    for key, old in zip(keys, found, strict=True):
        if old is not None:
            numbered = {changed_column(key): cause.number} if key in layout.numbered else {}
            update_row(tx, layout, row, {quoted(key): None, **numbered})
            written.note(key, [row], arrived=False)
    return written


def _delete_pages(
    tx: Transaction, layouts: Layouts, spec: TriggerSpec, rows: Sequence[int], cause: Cause
) -> None:
    """Delete pages, each with all finer pages below it."""
    layout = layouts[spec.table]
    position = layout.table.page_keys.index(spec.page or "")
    same = [
        f"x.{quoted(key)} = r.{quoted(key)}"
        for key in ("id", *layout.table.page_keys[: position + 1])
    ]
    below: list[int] = []
    for part in parts_of(rows):
        sql = (
            f"SELECT x.{layout.row_column} FROM {layout.base} r JOIN {layout.base} x ON {' AND '.join(same)} "
            f"WHERE {in_ranges(layout.row, part)}"
        )
        below += [int(row[0]) for row in tx.execute(sql)]
    delete(tx, layouts, Written(layout, below), cause)


# -- rows of another table --


def replace_rows(
    tx: Transaction,
    layouts: Layouts,
    spec: TriggerSpec,
    source: int,
    items: Sequence[dict[str, Stored]],
    cause: Cause,
) -> Written:
    """Make the rows that a trigger owns in another table exactly `items`; item i keeps its id."""
    layout = layouts[spec.sets_table or ""]
    sql = f'SELECT ":made_item", {layout.row_column}, id FROM {layout.base} WHERE ":made_by" = ? AND ":made_from" = ?'
    before = {item: (row, row_id) for item, row, row_id in tx.execute(sql, (spec.name, source))}
    written = Written(layout)
    kept = set()
    for position, item in enumerate(items):
        row_id = item.get("id", before[position][1] if position in before else None)
        columns: dict[str, Sequence[Stored]] = {key: [value] for key, value in item.items()} | {
            "id": [row_id]
        }
        is_new = row_id is None or not _exists(tx, layout, columns)
        one = write_rows(tx, layout, columns, 1, cause.number, is_user=False)
        owned: dict[str, Stored] = {
            '":made_by"': spec.name,
            '":made_from"': source,
            '":made_item"': position,
        }
        if is_new or one.rows[0] in {row for row, _ in before.values()}:
            update_row(tx, layout, one.rows[0], owned)
        kept.add(one.rows[0])
        written.add(one)
    gone = [row for row, _ in before.values() if row not in kept]
    delete(tx, layouts, Written(layout, gone), cause)
    return written


def _exists(tx: Transaction, layout: Layout, columns: dict[str, Sequence[Stored]]) -> bool:
    named = " AND ".join(f"{quoted(key)} = ?" for key in layout.table.primary_key)
    values = [
        (columns.get(key) or [0])[0] or 0 if key != "id" else columns[key][0]
        for key in layout.table.primary_key
    ]
    return tx.execute(f"SELECT 1 FROM {layout.base} WHERE {named}", values).fetchone() is not None
