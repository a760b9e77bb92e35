"""Results: writing what triggers derived, exactly: values by column, pages and owned rows by replacement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from motion.backends.base import Transaction
from motion.definitions.tasks import Cause
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.persistence.changes.deleting import delete
from motion.persistence.layout import (
    Layout,
    done_column,
    quoted,
)
from motion.persistence.layouts import Layouts
from motion.persistence.ranges import parts_of
from motion.persistence.rows import makers
from motion.persistence.rows.made import Remade, remake, settle
from motion.persistence.rows.makers import Row, Run, Values
from motion.persistence.rows.writing import update_row, write_rows
from motion.persistence.rows.written import Written


@dataclass(frozen=True, slots=True)
class Source:
    """The row that a run makes rows from.

    Attributes:
        name: its id and page keys.
        number: the change that its `on` keys are as of: values that users gave later stay.
    """

    row: int
    name: Sequence[Any]
    number: int


def set_mark(tx: Transaction, layout: Layout, spec: TriggerSpec, row: int, mark: int) -> None:
    """Note that a trigger without values of its own on the row has met its change."""
    set_marks(tx, layout, spec, [row], mark)


def set_marks(
    tx: Transaction, layout: Layout, spec: TriggerSpec, rows: Sequence[int], mark: int
) -> None:
    """Note so of rows that met it together."""
    for part in parts_of(rows):
        condition = part.condition(layout.row_column)
        sql = f"UPDATE {layout.base} SET {done_column(spec.name)} = ? WHERE {condition}"
        tx.execute(sql, (mark, *part.numbers))


# -- pages --


def replace_pages(
    tx: Transaction,
    layouts: Layouts,
    spec: TriggerSpec,
    source: Source,
    items: Sequence[tuple[Stored, ...]],
    cause: Cause,
    *,
    is_whole: bool = True,
) -> Written:
    """Make a fan-out's pages exactly `items`.

    Args:
        is_whole: not the first of more: then pages whose value a user has given since stay, as they may yet be made.
    """
    layout = layouts[spec.table]
    before = pages_of(tx, layout, spec, source)
    written = write_pages(tx, layout, spec, source, 0, items, cause)
    spare = {page: old for page, old in before.items() if page >= len(items)}
    if not is_whole:
        spare = {page: old for page, old in spare.items() if old.own <= source.number}
    own = {old.number for page, old in spare.items() if page > 0 and _is_made_by(layout, old, spec)}
    others = _made_by_others_too(tx, layout, spec, sorted(own))
    for row, other in others.items():
        update_row(tx, layout, row, {'":made_by"': other})
    for old in spare.values():
        if old.number not in own or old.number in others:
            written.add(_settle_page(tx, layout, spec, source, old, None, cause))
    _delete_pages(tx, layouts, spec, sorted(own - others.keys()), cause)
    return written


def _is_made_by(layout: Layout, row: Row, spec: TriggerSpec) -> bool:
    """Whether a page is a trigger's, or of one that is gone, whose place it has taken."""
    return row.maker is not None and (
        row.maker[0] == spec.name or row.maker[0] not in layout.graph.triggers
    )


def _made_by_others_too(
    tx: Transaction, layout: Layout, spec: TriggerSpec, rows: Sequence[int]
) -> dict[int, str]:
    """Return row -> trigger of pages that another fan-out over the same page key has an item on: they go over to it."""
    found: dict[int, str] = {}
    for other in layout.graph.of_table(layout.table.name):
        if other.page != spec.page or other.name == spec.name:
            continue
        has_item = " OR ".join(f"{quoted(key)} IS NOT NULL" for key in other.sets)
        for part in parts_of(rows):
            condition = f"{part.condition(layout.row_column)} AND ({has_item})"
            sql = f"SELECT {layout.row_column} FROM {layout.base} WHERE {condition}"
            found |= {int(row[0]): other.name for row in tx.execute(sql, part.numbers)}
    return found


def write_pages(
    tx: Transaction,
    layout: Layout,
    spec: TriggerSpec,
    source: Source,
    start: int,
    items: Sequence[tuple[Stored, ...]],
    cause: Cause,
) -> Written:
    """Write pages from `start` on."""
    if not items:
        return Written(layout)
    before = pages_of(tx, layout, spec, source)
    wanted = dict(enumerate(items, start))
    fresh = [page for page in wanted if page not in before]
    columns = _page_columns(layout, spec, source, wanted, fresh)
    written = Written(layout)
    if fresh:
        written = write_rows(tx, layout, columns, len(fresh), cause.number, is_user=False)
        made = [
            (row, (spec.name, source.row, page))
            for row, page in zip(written.rows, fresh, strict=True)
        ]
        makers.keep(tx, layout, [(row, maker, ()) for row, maker in made])
    for page in wanted.keys() & before.keys():
        written.add(_settle_page(tx, layout, spec, source, before[page], wanted[page], cause))
    return written


def _settle_page(
    tx: Transaction,
    layout: Layout,
    spec: TriggerSpec,
    source: Source,
    old: Row,
    item: tuple[Stored, ...] | None,
    cause: Cause,
) -> Written:
    """Let a page that is there have an item, or none, unless a user has given its value since."""
    if old.own > source.number:
        return Written(layout)
    given = dict(zip(spec.sets, item or (None,) * len(spec.sets), strict=True))
    users = () if item is None else _users_keys(layout, spec)
    return settle(tx, layout, old, (), given, users, cause.number)


def _users_keys(layout: Layout, spec: TriggerSpec) -> list[str]:
    """Return the keys of a page that users set: those that it tells apart, and no trigger derives."""
    levels = layout.graph.levels[layout.table.name]
    return [key for key in layout.free_keys if spec.page in levels[key]]


def pages_of(tx: Transaction, layout: Layout, spec: TriggerSpec, source: Source) -> dict[int, Row]:
    """Return page -> what is on it now, for the pages that belong to a source row."""
    assert spec.page is not None
    position = layout.table.primary_key.index(spec.page)
    named = " AND ".join(
        f"{quoted(key)} = ?" for i, key in enumerate(layout.table.primary_key) if i != position
    )
    values = [value if i < position else 0 for i, value in enumerate(source.name) if i != position]
    keys = [*spec.sets, *_users_keys(layout, spec)]
    found = makers.rows_where(tx, layout, named, values, keys)
    return {int(row.name[position]): row for row in found}  # type: ignore[arg-type]  # a page number


def _page_columns(
    layout: Layout,
    spec: TriggerSpec,
    source: Source,
    items: Mapping[int, tuple[Stored, ...]],
    pages: Sequence[int],
) -> dict[str, Sequence[Stored]]:
    columns: dict[str, Sequence[Stored]] = {
        key: [value] * len(pages)
        for key, value in zip(layout.table.primary_key, source.name, strict=True)
    }
    columns[spec.page or ""] = pages
    return columns | {key: [items[page][i] for page in pages] for i, key in enumerate(spec.sets)}


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
            f"WHERE {part.condition(layout.row)}"
        )
        below += [int(row[0]) for row in tx.execute(sql, part.numbers)]
    delete(tx, layouts, Written(layout, below), cause)


# -- rows of another table --


def replace_rows(
    tx: Transaction,
    layouts: Layouts,
    spec: TriggerSpec,
    source: Source,
    items: Sequence[Mapping[str, Stored]],
    cause: Cause,
) -> Written:
    """Make the rows that a run makes in another table exactly `items`; item i keeps its id."""
    layout = layouts[spec.sets_table or ""]
    run = Run(spec.name, source.row, makers.place_of(source.name), source.number)
    rows, kept = _last_made(tx, layout, run)
    names = _names(layout, items, kept)
    first = {name: item for item, name in reversed(list(enumerate(names))) if name[0] is not None}
    there = {row.name: row for row in rows}
    for name in first.keys() - there.keys():
        found = makers.row_named(tx, layout, name)
        if found is not None:
            there[name] = found
    given = [_given(layout, item) for item in items]
    fresh = [i for i, name in enumerate(names) if name not in there and first.get(name, i) == i]
    remade = Remade(Written(layout))
    written = remade.written
    time = _time_of(tx, layouts[spec.table], layout, source.row, [items[i] for i in fresh])
    written.add(_make(tx, layout, run, items, fresh, cause, time))
    placed: dict[tuple[Stored, ...], dict[int, Values]] = {name: {} for name in there}
    for item, name in enumerate(names):
        if name[0] is not None:
            placed.setdefault(name, {})[item] = given[item]
    for name, made in placed.items():
        row = there.get(name) or makers.row_named(tx, layout, name)
        if row is not None and (name in there or len(made) > 1):
            remake(tx, layout, run, row, made, cause.number, remade)
    delete(tx, layouts, Written(layout, remade.gone), cause)
    return written


def _last_made(tx: Transaction, layout: Layout, run: Run) -> tuple[list[Row], dict[int, Row]]:
    """Return the rows that a run made the last time it ran on its row; and item -> row, for those that it alone makes:
    that is what an item keeps which comes without an id."""
    made = '":made_by" = ? AND ":made_from" = ?'
    plain = makers.rows_where(tx, layout, made, (run.trigger, run.source))
    items = makers.noted_items(tx, layout, run)
    noted = makers.rows_numbered(tx, layout, set(items.values()))
    rows = {row.number: row for row in (*plain, *noted)}
    of_noted = {row: item for item, row in items.items()}
    kept: dict[int, Row] = {}
    for row in rows.values():
        if row.maker is not None and (
            row.number not in of_noted or not makers.is_shared(tx, layout, row.number)
        ):
            kept[of_noted.get(row.number, row.maker[2])] = row
    return list(rows.values()), kept


def _names(
    layout: Layout, items: Sequence[Mapping[str, Stored]], kept: Mapping[int, Row]
) -> list[tuple[Stored, ...]]:
    """Return the id and page keys of each item's row; the id None for a new one."""
    pages = layout.table.primary_key[1:]
    names = [(item.get("id"), *(item.get(page) or 0 for page in pages)) for item in items]
    taken = set(names)
    for i, name in enumerate(names):
        own = kept.get(i)
        if name[0] is None and own is not None and own.name not in taken:
            names[i] = (own.name[0], *name[1:])
    return names


def _given(layout: Layout, item: Mapping[str, Stored]) -> dict[str, Stored]:
    return {key: value for key, value in item.items() if key not in layout.table.primary_key}


def _time_of(
    tx: Transaction, source: Layout, made: Layout, row: int, items: Sequence[Mapping[str, Stored]]
) -> Stored:
    """Return the `ts` that items have which are made from a row and say none: that row's; None where it tells none, or all say one."""
    own, others = source.table.timestamp_key, made.table.timestamp_key
    if own is None or others is None or own.codec.expected != others.codec.expected:
        return None
    if all(item.get(others.name) is not None for item in items):
        return None
    shown = f"SELECT {source.inherited_value(own.name)} FROM {source.joined([own.name])}"
    found = tx.execute(f"{shown} WHERE {source.row} = ?", (row,)).fetchone()
    return None if found is None else found[0]


def _make(
    tx: Transaction,
    layout: Layout,
    run: Run,
    items: Sequence[Mapping[str, Stored]],
    fresh: Sequence[int],
    cause: Cause,
    time: Stored,
) -> Written:
    """Make the rows of items that are new; those that give the same keys together, in the order of the items."""
    written, stamp = Written(layout), layout.table.timestamp_key
    for keys, group in groupby(fresh, lambda i: items[i].keys()):
        chosen = list(group)
        columns: dict[str, Sequence[Stored]] = {
            key: [items[i][key] for i in chosen] for key in keys
        }
        columns.setdefault("id", [None] * len(chosen))
        if stamp is not None and time is not None:
            times = columns.get(stamp.name, [None] * len(chosen))
            columns[stamp.name] = [time if value is None else value for value in times]
        one = write_rows(tx, layout, columns, len(chosen), cause.number, is_user=False)
        made = zip(one.rows, chosen, strict=True)
        makers.keep(
            tx,
            layout,
            [(row, (run.trigger, run.source, i), _given(layout, items[i])) for row, i in made],
        )
        written.add(one)
    return written
