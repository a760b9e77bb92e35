"""Rows: reading and writing a table's rows, and telling what a write changed.

A write compares stored forms: setting what is there already changes nothing. Who must run because of a change is
not decided here, but in `persistence.cascade`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any

from motion import clock
from motion.backends.base import Transaction
from motion.definitions.graph import outputs_of
from motion.definitions.tables.schema import Table, timestamp_now
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.persistence.layout import (
    Layout,
    changed_column,
    done_column,
    mark_of,
    marks_rows,
    outputs_table,
    quoted,
    slot_of,
)
from motion.persistence.numbers import graph_number
from motion.persistence.ranges import parts_of
from motion.persistence.rows import makers, outputs
from motion.persistence.rows.ids import filled_ids, next_row, note_deleted
from motion.persistence.rows.written import Columns, Inlined, Written
from motion.persistence.stored_graph import former_folds, former_triggers, origin_of

BOUND_ROWS = 100
"""New rows up to which what is the same in all of them is bound like the rest: to compile a statement takes as long as that."""

# -- writing --


def write_rows(
    tx: Transaction,
    layout: Layout,
    columns: Columns,
    count: int,
    number: int,
    *,
    is_user: bool = True,
    is_forced: bool = False,
    inlined: Sequence[Inlined] = (),
    since: int | None = None,
) -> Written:
    """Write encoded values to rows named by id and page keys; rows that are not there are made.

    Args:
        columns: key -> one stored value for each row; `id` may be left out, or None, for a new one.
        count: how many rows.
        number: of this change.
        is_user: the values come from outside and so override what triggers would give.
        is_forced: equal values count as changed.
        inlined: what triggers gave for these values; written where the values do change the row.
        since: the first change of the same write, where that is not `number`.
    """
    if count > 1 and _has_duplicates(layout.table, columns, count):
        written = Written(layout)
        for i in range(count):
            one = {key: [values[i]] for key, values in columns.items()}
            more = write_rows(
                tx, layout, one, 1, number, is_user=is_user, is_forced=is_forced, since=since
            )
            written.add(more)
        return written
    found = _find(tx, layout, columns, count, inlined)
    if any(each.spec.windows for each in inlined) and any(old is not None for old in found):
        # What windows hold was read as of rows that are all new: a row that moves is in two places.
        inlined = list(takewhile(lambda each: not each.spec.windows, inlined))
        found = _find(tx, layout, columns, count, inlined)
    fresh = [i for i, old in enumerate(found) if old is None]
    known = [i for i, old in enumerate(found) if old is not None]
    written = Written(layout, [0] * count, [None] * count)
    if fresh:
        chosen = (
            columns
            if not known
            else {key: [values[i] for i in fresh] for key, values in columns.items()}
        )
        _insert(tx, layout, chosen, fresh, number, written, is_user=is_user, inlined=inlined)
    first = number if since is None else since
    if is_user and known:
        rows = [old[0] for old in found if old is not None]
        makers.note_users_values(tx, layout, columns, rows, number, first)
    given = [key for key in columns if key not in layout.versioned]
    away = _overridden_of_former(tx, layout, given) if is_user and known else []
    for i in known:
        old = found[i] or ()
        _update(tx, layout, columns, i, old, number, written, is_user, is_forced, inlined, away)
    for key in [key for key in columns if key in layout.versioned]:
        changes = outputs.write_users(
            tx, layout, key, written.rows, columns[key], number, is_forced
        )
        written.note(key, [row for row, _ in changes], arrived=False)
        written.arrived.setdefault(key, []).extend(row for row, was in changes if was is None)
        if is_user and known:
            written.met_again.setdefault(layout.versioned[key].name, []).extend(rows)
    written.note_beside(outputs.share_users(tx, layout, columns, written.rows, number))
    if is_user:
        _override_pages(tx, layout, columns, written, number, first)
    return written


def _has_duplicates(table: Table, columns: Columns, count: int) -> bool:
    ids = columns.get("id")
    if ids is None or len(set(ids)) == count:
        return False
    pages = [columns[page] for page in table.page_keys if page in columns]
    named = [name for name in zip(ids, *pages, strict=True) if name[0] is not None]
    return len(set(named)) < len(named)


def _find(
    tx: Transaction, layout: Layout, columns: Columns, count: int, inlined: Sequence[Inlined]
) -> list[tuple[Any, ...] | None]:
    """Return for each row named its row number and the old values of the keys to be written, or None."""
    ids = columns.get("id")
    if ids is None:
        return [None] * count
    keys = [
        key
        for key in columns
        if key not in layout.table.primary_key and key not in layout.versioned
    ]
    keys += [key for each in inlined for key in each.spec.sets]
    selected = ", ".join([layout.row, *(f"r.{quoted(key)}" for key in keys)])
    pages = [columns.get(page) or [0] * count for page in layout.table.page_keys]
    if count == 1 or (not layout.table.has_int_id and any("\0" in str(each) for each in ids)):
        # One by one for NUL too, at which SQLite's JSON functions cut a text off.
        named = "".join(f" AND r.{quoted(page)} = ?" for page in layout.table.page_keys)
        sql = f"SELECT {selected} FROM {layout.base} r WHERE r.id = ?{named}"
        return [
            tx.execute(sql, (each, *(page[i] or 0 for page in pages))).fetchone()
            for i, each in enumerate(ids)
        ]
    if _is_beyond(tx, layout, ids):
        return [None] * count
    return _find_many(tx, layout, selected, ids, pages)


def _is_beyond(tx: Transaction, layout: Layout, ids: Sequence[Stored]) -> bool:
    """Whether all ids are larger than any stored, as in every plain load: then none needs to be looked up."""
    if not layout.table.has_int_id or None in ids:
        return False
    largest = tx.execute(f"SELECT MAX(id) FROM {layout.base}").fetchone()[0]
    return largest is None or bool(min(ids) > largest)  # type: ignore[type-var]  # ints: checked when encoded


def _find_many(
    tx: Transaction,
    layout: Layout,
    selected: str,
    ids: Sequence[Stored],
    pages: Sequence[Sequence[Stored]],
) -> list[tuple[Any, ...] | None]:
    names = [
        list(name)
        for name in zip(ids, *([value or 0 for value in page] for page in pages), strict=True)
    ]
    matched = " AND ".join(
        f"r.{quoted(key)} = CAST(json_extract(j.value, '$[{i}]') AS {layout.table.keys[key].codec.sql_type})"
        for i, key in enumerate(layout.table.primary_key)
    )
    sql = f"SELECT j.key, {selected} FROM json_each(?) j CROSS JOIN {layout.base} r WHERE {matched}"
    found: list[tuple[Any, ...] | None] = [None] * len(names)
    for position, *old in tx.execute(sql, (json.dumps(names),)):
        found[position] = tuple(old)
    return found


def _insert(
    tx: Transaction,
    layout: Layout,
    columns: Columns,
    positions: Sequence[int],
    number: int,
    written: Written,
    *,
    is_user: bool,
    inlined: Sequence[Inlined],
) -> None:
    count = len(positions)
    filled = _filled(tx, layout, columns, count)
    insert = _Insert(layout, count, number)
    for key in filled:
        if key not in layout.versioned:
            insert.add_key(key, filled[key])
    if is_user:
        for name in (*_overridden(layout, columns), *_overridden_of_former(tx, layout, columns)):
            insert.add_constant(done_column(name), mark_of(number, 0))
    for each in inlined:
        for key, column in zip(each.spec.sets, _chosen_of(each.columns, positions), strict=True):
            insert.add_key(key, column)
        mark, done = mark_of(number, origin_of(tx, each.spec, 0)), done_column(each.spec.name)
        if each.met is None:
            insert.add_constant(done, mark)
        else:
            insert.columns[done] = [mark if i in each.met else None for i in positions]
    rows = _inserted_rows(tx, layout, insert, filled)
    for position, row, row_id in zip(positions, rows, filled["id"], strict=True):
        written.rows[position], written.ids[position] = row, row_id
    written.made += rows
    if len(rows) == len(written.rows):
        written.given = insert.keys
        is_named = layout.row_is_id and any(each is not None for each in columns.get("id", ()))
        written.is_fresh = not is_named  # else it may be a row that was deleted, and is made again
    for key, column in insert.keys.items():
        if key not in layout.table.primary_key:
            written.note(key, _rows_with_values(rows, column), arrived=True)
    for each in inlined:
        met = (
            rows
            if each.met is None
            else [rows[p] for p, i in enumerate(positions) if i in each.met]
        )
        written.met.setdefault(each.spec.name, []).extend(met)


class _Insert:
    """An INSERT in the making: what is the same in very many rows goes into the statement's text, not into each row."""

    def __init__(self, layout: Layout, count: int, number: int) -> None:
        self._layout, self._count, self._number = layout, count, number
        self.keys: dict[str, Sequence[Stored]] = {}
        self.columns: dict[str, Sequence[Stored]] = {}
        self._expressions: dict[str, str] = {}

    def add_key(self, key: str, column: Sequence[Stored]) -> None:
        self.keys[key] = self.columns[quoted(key)] = column
        if key not in self._layout.numbered:
            return
        if None in column:
            numbers = [None if value is None else self._number for value in column]
            self.columns[changed_column(key)] = numbers
        else:
            self.add_constant(changed_column(key), self._number)

    def add_constant(self, name: str, value: int) -> None:
        if self._count <= BOUND_ROWS:  # a text that stays the same is compiled once, and kept once
            self.columns[name] = (value,) * self._count
        else:
            self._expressions[name] = str(value)

    def add_expression(self, name: str, expression: str) -> None:
        self._expressions[name] = expression

    @property
    def sql(self) -> str:
        names = ", ".join((*self.columns, *self._expressions))
        places = ", ".join((*("?" for _ in self.columns), *self._expressions.values()))
        return f"INSERT INTO {self._layout.base} ({names}) VALUES ({places})"


def _rows_with_values(rows: Sequence[int], column: Sequence[Stored]) -> Sequence[int]:
    if None not in column:
        return rows
    return [row for row, value in zip(rows, column, strict=True) if value is not None]


def _chosen_of(
    columns: Sequence[Sequence[Stored]], positions: Sequence[int]
) -> Sequence[Sequence[Stored]]:
    if columns and len(positions) == len(columns[0]):
        return columns
    return [[column[i] for i in positions] for column in columns]


def _inserted_rows(
    tx: Transaction, layout: Layout, insert: _Insert, filled: Columns
) -> Sequence[int]:
    ids = filled["id"]
    if len(ids) == 1:
        if not layout.row_is_id:
            insert.add_expression(layout.row_column, next_row(layout))
        return [_inserted_one(tx, layout, insert, ids[0])]
    rows: Sequence[int] = ids  # type: ignore[assignment]  # ints, where they number the rows
    if not layout.row_is_id:
        first = int(tx.execute(f"SELECT {next_row(layout)}").fetchone()[0])
        rows = range(first, first + len(ids))
        insert.columns[layout.row_column] = rows
    tx.on_each(insert.sql, list(insert.columns.values()))
    return rows


def _inserted_one(tx: Transaction, layout: Layout, insert: _Insert, row_id: Stored) -> int:
    values = [value[0] for value in insert.columns.values()]
    if layout.row_is_id:
        tx.execute(insert.sql, values)
        return int(row_id)  # type: ignore[arg-type]  # an int, where it numbers the rows
    sql = f"{insert.sql} RETURNING {layout.row_column}"
    return int(tx.execute(sql, values).fetchone()[0])


def _filled(
    tx: Transaction, layout: Layout, columns: Columns, count: int
) -> dict[str, Sequence[Stored]]:
    """Return the columns of new rows with ids, page keys, timestamps and defaults filled in."""
    table = layout.table
    filled: dict[str, Sequence[Stored]] = dict(columns)
    filled["id"] = filled_ids(tx, layout, columns.get("id"), count)
    for page in table.page_keys:
        filled[page] = [value or 0 for value in columns[page]] if page in columns else [0] * count
    stamp = table.timestamp_key
    if stamp is not None and (stamp.name not in filled or None in filled[stamp.name]):
        now = timestamp_now(stamp, clock.now_ms(), clock.now())
        own = _is_own(layout, stamp.name, filled, count)  # others have the time of their page 0
        filled[stamp.name] = [
            now if value is None and is_own else value
            for value, is_own in zip(filled.get(stamp.name, [None] * count), own, strict=True)
        ]
    for key in table.defaults:
        if key.name not in filled and key.make_default is not None:
            own = _is_own(layout, key.name, filled, count)
            filled[key.name] = [key.default() if is_own else None for is_own in own]
    return filled


def default_of(layout: Layout, key: str, pages: Sequence[Stored]) -> Stored:
    """Return what a key of a row that is made has where it is left out."""
    own = _is_own(
        layout, key, dict(zip(layout.table.page_keys, ([page] for page in pages), strict=True)), 1
    )
    return layout.table.keys[key].default() if own[0] else None


def _is_own(layout: Layout, key: str, filled: Columns, count: int) -> Sequence[bool]:
    """Whether each row has a value of its own for a key, or takes it from page 0 of other page keys."""
    level = layout.graph.levels[layout.table.name][key]
    others = [filled[page] for page in layout.table.page_keys if page not in level]
    return [not any(pages) for pages in zip(*others, strict=True)] if others else [True] * count


def _update(
    tx: Transaction,
    layout: Layout,
    columns: Columns,
    i: int,
    old: Sequence[Any],
    number: int,
    written: Written,
    is_user: bool,
    is_forced: bool,
    inlined: Sequence[Inlined],
    away: Sequence[str],
) -> None:
    row, before = old[0], old[1:]
    written.rows[i], written.ids[i] = row, columns["id"][i]
    keys = [
        key
        for key in columns
        if key not in layout.table.primary_key and key not in layout.versioned
    ]
    assignments: dict[str, Stored] = {}
    changed: set[str] = set()
    for key, was in zip(keys, before, strict=False):  # the inlined keys' old values come after
        value = columns[key][i]
        if value == was and type(value) is type(was) and not is_forced:
            continue
        changed.add(key)
        assignments |= _assigned(layout, key, value, number)
        written.note(key, [row], arrived=was is None)
    olds = iter(before[len(keys) :])
    elsewhere: set[str] = set()  # keys whose value on the row is not the one that was computed
    for each in inlined:
        olds_of_each = [next(olds) for _ in each.spec.sets]
        is_met = each.met is None or i in each.met
        if (
            not is_met
            or changed.isdisjoint((*each.spec.on, *each.spec.looked_up_by))
            or elsewhere & {*each.spec.on, *each.spec.inputs, *each.spec.looked_up_by}
        ):
            computed = zip(each.spec.sets, each.columns, olds_of_each, strict=True)
            elsewhere.update(key for key, column, was in computed if not is_met or column[i] != was)
            continue
        assignments[done_column(each.spec.name)] = mark_of(number, origin_of(tx, each.spec, 0))
        written.met.setdefault(each.spec.name, []).append(row)
        written.met_again.setdefault(each.spec.name, []).append(row)
        for key, column, was in zip(each.spec.sets, each.columns, olds_of_each, strict=True):
            if column[i] != was:
                changed.add(key)
                assignments |= _assigned(layout, key, column[i], number)
                written.note(key, [row], arrived=was is None)
    if is_user:
        given = {key: columns[key] for key in columns if key not in layout.versioned}
        for name in _overridden(layout, given):
            assignments[done_column(name)] = mark_of(number, 0)
            written.met_again.setdefault(name, []).append(row)
        for name in away:
            assignments[done_column(name)] = mark_of(number, 0)
    if assignments:
        update_row(tx, layout, row, assignments)


def _assigned(layout: Layout, key: str, value: Stored, number: int) -> dict[str, Stored]:
    numbered = {changed_column(key): number} if key in layout.numbered else {}
    return {quoted(key): value, **numbered}


def update_row(
    tx: Transaction, layout: Layout, row: int, assignments: Mapping[str, Stored]
) -> None:
    sets = ", ".join(f"{column} = ?" for column in assignments)
    tx.execute(
        f"UPDATE {layout.base} SET {sets} WHERE {layout.row_column} = ?",
        (*assignments.values(), row),
    )


def _overridden(layout: Layout, columns: Iterable[str]) -> list[str]:
    """Return the triggers of whose outputs on the row itself a user gives one."""
    producers = layout.graph.producers
    names = {producers.get((layout.table.name, key)) for key in columns}
    specs = [layout.graph.triggers[name] for name in names if name]
    return [spec.name for spec in specs if spec.page is None and not spec.is_versioned]


def _overridden_of_former(tx: Transaction, layout: Layout, columns: Iterable[str]) -> list[str]:
    """Return the same of triggers that are away: where one comes back, the value is a user's."""
    name = ("former outputs", layout.table.name, graph_number(tx))
    former: dict[str, list[str]] | None = tx.lasting.get(name)
    if former is None:
        there = set(map(quoted, tx.columns(layout.base)))
        former = tx.lasting[name] = {}
        table = layout.table.name
        for spec in (*former_triggers(tx, table), *former_folds(tx, table)):
            if _tells_users(spec) and done_column(spec.name) in there:
                for _, key in outputs_of(spec):
                    former.setdefault(key, []).append(spec.name)
    return sorted({each for key in columns for each in former.get(key, ())}) if former else []


def _tells_users(spec: TriggerSpec) -> bool:
    """Whether a mark on a row tells of a trigger's values there that a user gave them. Not of a fold that keeps one value for an
    entity: which rows a user's value stands for is told by what was folded until then."""
    return spec.fold.is_of_rows if spec.fold is not None else marks_rows(spec)


def _override_pages(
    tx: Transaction, layout: Layout, columns: Columns, written: Written, number: int, since: int
) -> None:
    """Note that users give values of pages. They stand for a run that has never been, as imports give pages, and for one
    that the same write would cause; other runs make the other pages."""
    producers, table = layout.graph.producers, layout.table
    specs = {producers.get((table.name, key)) for key in columns} - {None}
    for spec in (layout.graph.triggers[str(name)] for name in specs):
        if spec.page is None:
            continue
        is_above = layout.is_above("s", "r", layout.graph.row_level(spec))
        condition = f"{layout.mark(spec)} = 0 OR {layout.on_number(spec)} >= {since}"
        for part in parts_of(written.rows):
            sql = f'UPDATE {layout.base} SET ":own" = ? WHERE {part.condition(layout.row_column)}'
            tx.execute(sql, (number, *part.numbers))
            sql = (
                f"SELECT DISTINCT s.{layout.row_column} FROM {layout.base} r JOIN {layout.base} s "
                f"ON {is_above} WHERE {part.condition(layout.row)}"
            )
            sources = [int(row[0]) for row in tx.execute(sql, part.numbers)]
            makers.replace_runs(tx, layout, spec, sources, number, condition)


def delete_rows(tx: Transaction, layout: Layout, rows: Sequence[int]) -> None:
    """Delete rows by number, with what is kept beside them."""
    for part in parts_of(rows):
        note_deleted(tx, layout, part)
        condition = part.condition(layout.row_column)
        tx.execute(f"DELETE FROM {layout.base} WHERE {condition}", part.numbers)
        makers.forget(tx, layout, part)
    for spec in layout.versioned_specs:
        delete_outputs(tx, spec, rows)


def delete_outputs(tx: Transaction, spec: TriggerSpec, rows: Sequence[int]) -> None:
    """Delete what each state version has given for rows, of a trigger whose outputs are kept by version."""
    for part in parts_of(rows):
        for version in _versions(tx, spec):
            slots = part.plus(slot_of(version, 0))
            sql = f"DELETE FROM {outputs_table(spec.name)} WHERE {slots.condition('slot')}"
            tx.execute(sql, slots.numbers)


def _versions(tx: Transaction, spec: TriggerSpec) -> list[int]:
    sql = "SELECT number FROM motion_states WHERE component = ?"
    return sorted({1, *(int(row[0]) for row in tx.execute(sql, (spec.component,)))})
