"""Folds in the database: which entities are due because of what changes. What a run goes over, and what is kept of it, is
`persistence.folded`'s.

Each entity that rows have named is a row of its fold's table of entities, and a task of the fold is about such rows. Beside
what every trigger has there are the columns

* `:due`, `:gone`: the first place in the entity's order at which a row has changed, or which a row has left, since the last run;
* `:base`: the change from which on rows count: what came before is in what a user gave, or went with the entity's row; of the
  rows from before those up to `:base_place` and `:base_id` only, unless `:base_all`; and `:base_value`, which it starts from;
* `:until`, `:until_id`: the place up to which rows are folded again, before which the value that is shown stays.

A place is the value of the order and the id of a row, in stored form; `persistence.places` tells more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from motion.backends.base import Transaction
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.persistence.inputs.places import Place, Places, fold_of
from motion.persistence.layout import (
    LEFT_BEHIND,
    ORIGIN_BITS,
    ORIGIN_MASK,
    Layout,
    changed_column,
    done_column,
    inherited_column,
    quoted,
    rows_table,
)
from motion.persistence.numbers import UNNUMBERED
from motion.persistence.ranges import Ranges, parts_of
from motion.persistence.rows.shown import rows_below
from motion.persistence.tasks import queue

FIRST_NUMBER = UNNUMBERED + 1
"""Of entities that were there before their fold: below it is nothing that a run could be as of."""


Left = tuple[Stored, Stored, Stored]
"""An entity, and the first and the last place in its order that a row has left."""


def number_of(source: Layout, spec: TriggerSpec) -> str:
    """Return the expression of the change at which a row `r` last became another for its fold."""
    fold = fold_of(spec)
    numbers = [f"COALESCE(r.{changed_column(key)}, {UNNUMBERED})" for key in fold.watched]
    if source.graph.shown_to(spec):
        numbers.append(f"COALESCE(r.{inherited_column(spec.name)}, {UNNUMBERED})")
    if fold.is_of_rows:
        mark = f"COALESCE(r.{done_column(spec.name)}, 0)"
        numbers.append(
            f"CASE WHEN {mark} & {ORIGIN_MASK} = 0 THEN {mark} >> {ORIGIN_BITS} ELSE 0 END"
        )
    return numbers[0] if len(numbers) == 1 else f"MAX({', '.join(numbers)})"


def rows_of_value(
    tx: Transaction, source: Layout, spec: TriggerSpec, name: Sequence[Stored], limit: int
) -> tuple[Stored, int, list[tuple[Any, ...]]] | None:
    """Return the entity of a fold's value, how many rows it goes over, and the last of them in their order: order, id, the
    number of the last change, and what a call takes of each. None where a row is of no entity.

    Args:
        name: id, and pages, of the row that keeps the value.
    """
    fold, places, entity = fold_of(spec), Places(source, spec), name[0]
    needed, values = [places.is_whole], list[Stored]()
    needed += [] if fold.replay else [f"NOT {source.waits(spec)}"]
    if fold.is_of_rows:
        sql = f"SELECT {places.by}, {places.at} FROM {source.base} r WHERE {source.is_named('r')}"
        entity, order = tx.execute(sql, name).fetchone()
        place = Place(order, tuple(name) if fold.pages else name[0])
        until, values = places.before(place, or_there=True)
        needed.append(until)
    left_out = "SELECT row FROM motion_left_out WHERE trigger = ?"
    rows = " AND ".join([f"{source.row} NOT IN ({left_out})", *needed])
    rows = f"FROM {source.base} r WHERE {places.by} = ? AND {rows}"
    named = (entity, spec.name, *values)
    columns = [places.at, source.names("r"), number_of(source, spec)]
    columns += [source.taken(spec, key) for key in fold.inputs]
    last = f"SELECT {', '.join(columns)} {rows} ORDER BY {places.in_order(' DESC')} LIMIT {limit}"
    count = int(tx.execute(f"SELECT COUNT(*) {rows}", named).fetchone()[0])
    found = places.with_names(tx.execute(last, named).fetchall()[::-1], 1)
    return None if entity is None else (entity, count, found)


# -- due --


def touch(
    tx: Transaction,
    source: Layout,
    entities: Layout,
    spec: TriggerSpec,
    changed: Mapping[str, Sequence[int]],
    left: Mapping[str, Sequence[Left]],
    number: int,
) -> list[int]:
    """Note what has changed for a fold, and return the entities that are due because of it.

    Args:
        changed: key -> the rows in which it has changed.
        left: the name of the way in which rows were held -> the places that they have left.
    """
    fold, rows = fold_of(spec), rows_changed(tx, source, spec, changed, number)
    due: dict[int, None] = {}
    for part in parts_of(rows):
        due |= dict.fromkeys(touched(tx, source, entities, spec, part, number))
    sql = (
        f'UPDATE {entities.base} SET {changed_column("id")} = ?1, ":gone" = CASE WHEN ":gone" < ?2 THEN ":gone" ELSE ?2 END '
        f'WHERE id = ?3 RETURNING ":row"'
    )
    for entity, first, _ in left.get(source.way_of(fold.by, fold.order), ()):
        due |= dict.fromkeys(int(row[0]) for row in tx.execute(sql, (number, first, entity)))
    try_again(tx, spec, rows)
    return list(due)


def rows_changed(
    tx: Transaction,
    source: Layout,
    spec: TriggerSpec,
    changed: Mapping[str, Sequence[int]],
    number: int,
) -> Sequence[int]:
    """Return the rows in which something has changed that a fold goes by. What a row has inherited, and shows otherwise now,
    is noted in it."""
    fold = fold_of(spec)
    watched = (*fold.watched, fold.sets) if fold.is_of_rows else fold.watched
    keys = [key for key in watched if key in changed]
    below = rows_inheriting(tx, source, spec, changed)
    for part in parts_of(below):
        sql = f"UPDATE {source.base} SET {inherited_column(spec.name)} = ? WHERE {part.condition(source.row_column)}"
        tx.execute(sql, (number, *part.numbers))
    if len(keys) == 1 and not below:
        return changed[keys[0]]
    return sorted(set(below).union(*(changed[key] for key in keys)))


def rows_inheriting(
    tx: Transaction, source: Layout, spec: TriggerSpec, changed: Mapping[str, Sequence[int]]
) -> Sequence[int]:
    """Return the rows that inherit keys which a fold goes by from rows in which these have changed."""
    found: set[int] = set()
    for key in source.graph.shown_to(spec):
        if key in changed:
            found.update(rows_below(tx, source, key, changed[key]))
    return sorted(found)


def touched(
    tx: Transaction,
    source: Layout,
    entities: Layout,
    spec: TriggerSpec,
    part: Ranges,
    number: int,
    further: str = "1 = 1",
) -> list[int]:
    """Let entities be due because of rows that have changed; return them.

    Args:
        further: the condition that a row `r` makes its entity due.
    """
    places, changed = Places(source, spec), changed_column("id")
    by, at = places.by, places.at
    sql = (
        f'INSERT INTO {entities.base} AS e (id, {changed}, ":due") SELECT {by}, ?, MIN({at}) FROM {source.base} r '
        f"WHERE {part.condition(source.row)} AND {by} IS NOT NULL AND {at} IS NOT NULL AND {further} GROUP BY {by} "
        f"ON CONFLICT (id) DO UPDATE SET {changed} = excluded.{changed}, "
        f'":due" = CASE WHEN e.":due" < excluded.":due" THEN e.":due" ELSE excluded.":due" END RETURNING ":row"'
    )
    return [int(row[0]) for row in tx.execute(sql, (number, *part.numbers)).fetchall()]


def has_left_out(tx: Transaction, spec: TriggerSpec) -> bool:
    """Whether a fold has given up any row."""
    sql = "SELECT 1 FROM motion_left_out WHERE trigger = ? LIMIT 1"
    return tx.execute(sql, (spec.name,)).fetchone() is not None


def rows_left_out(tx: Transaction, spec: TriggerSpec) -> list[int]:
    sql = "SELECT row FROM motion_left_out WHERE trigger = ?"
    return [int(row[0]) for row in tx.execute(sql, (spec.name,)).fetchall()]


def rows_of(
    tx: Transaction, source: Layout, entities: Layout, spec: TriggerSpec, of: Iterable[int]
) -> list[int]:
    """Return the rows of entities."""
    found: list[int] = []
    for part in parts_of(of):
        ids = f"SELECT id FROM {entities.base} WHERE {part.condition(entities.row_column)}"
        sql = f"SELECT {source.row} FROM {source.base} r WHERE {Places(source, spec).by} IN ({ids})"
        found += [int(row[0]) for row in tx.execute(sql, part.numbers)]
    return found


def leave_out(tx: Transaction, spec: TriggerSpec, entity: int, row: int) -> int:
    """Note that a fold has given up a row; return the number at which its dead letter stands, where no entity is."""
    sql = "INSERT INTO motion_left_out (trigger, entity, row) VALUES (?, ?, ?) RETURNING number"
    return -int(tx.execute(sql, (spec.name, entity, row)).fetchone()[0])


def try_again(tx: Transaction, spec: TriggerSpec, rows: Iterable[int]) -> None:
    """Take rows back in that were left out, and end their dead letters: they have become others, or go."""
    if not has_left_out(tx, spec):
        return
    for part in parts_of(rows):
        sql = f"DELETE FROM motion_left_out WHERE trigger = ? AND {part.condition('row')} RETURNING number"
        named = (spec.name, *part.numbers)
        numbers = [int(row[0]) for row in tx.execute(sql, named).fetchall()]
        queue.forget_dead(tx, spec.name, [-number for number in numbers])


def row_expression(source: Layout, entity: str) -> str:
    """Return the query that shows what a fold's dead letter is about: the row that was left out, or an entity.

    Args:
        entity: the query that shows an entity.
    """
    pages = "".join(f" || ' {page}=' || s.{quoted(page)}" for page in source.table.page_keys)
    return (
        f"SELECT 'id=' || s.id{pages} FROM motion_left_out l JOIN {source.base} s "
        f"ON s.{source.row_column} = l.row WHERE l.number = -?1 UNION ALL {entity.replace('?', '?1')}"
    )


def take_in(
    tx: Transaction, source: Layout, entities: Layout, spec: TriggerSpec, number: int, change: int
) -> int | None:
    """Take a row back in that was left out under a number; return its entity, which is due from there on."""
    sql = "DELETE FROM motion_left_out WHERE number = ? RETURNING entity, row"
    found = tx.execute(sql, (number,)).fetchone()
    if found is None:
        return None
    entity, row = found
    sql = f"SELECT {Places(source, spec).at} FROM {source.base} r WHERE {source.row} = ?"
    place = tx.execute(sql, (row,)).fetchone()
    if place is not None:
        sql = (
            f"UPDATE {entities.base} SET {changed_column('id')} = ?1, "
            f'":gone" = CASE WHEN ":gone" < ?2 THEN ":gone" ELSE ?2 END WHERE ":row" = ?3'
        )
        tx.execute(sql, (change, place[0], entity))
    return int(entity)


# -- the row of an entity goes --


def end_entities(
    tx: Transaction,
    target: Layout,
    entities: Layout,
    spec: TriggerSpec,
    rows: Sequence[int],
    number: int,
) -> None:
    """End a fold where the row that keeps its value is about to be deleted: rows that were set by now count as folded."""
    if fold_of(spec).is_of_rows:
        return
    for part in parts_of(rows):
        first = target.and_first("r")  # a page that goes ends nothing
        ids = f"SELECT r.id FROM {target.base} r WHERE {part.condition(target.row)}{first}"
        ended = f'SELECT ":row" FROM {entities.base} WHERE id IN ({ids})'
        sql = f"DELETE FROM motion_checkpoints WHERE trigger = ? AND entity IN ({ended})"
        tx.execute(sql, (spec.name, *part.numbers))
        noted = "" if fold_of(spec).replay else f", {LEFT_BEHIND} = NULL"
        tx.execute(
            f'UPDATE {entities.base} SET ":base" = ?, ":base_all" = 1, ":base_value" = NULL, ":until" = NULL{noted} '
            f"WHERE id IN ({ids})",
            (number, *part.numbers),
        )


# -- forgetting --


def drop_unnamed(tx: Transaction, spec: TriggerSpec) -> None:
    """Drop entities that no row names, and whose own row is gone, with all that is kept of them."""
    fold = fold_of(spec)
    source, entities, target = map(rows_table, (fold.source, spec.table, fold.target))
    is_named = f"EXISTS (SELECT 1 FROM {source} s WHERE s.{quoted(fold.by)} = {entities}.id)"
    is_there = f"EXISTS (SELECT 1 FROM {target} t WHERE t.id = {entities}.id)"
    kept = is_named if fold.is_of_rows else f"{is_named} OR {is_there}"
    gone = f'SELECT ":row" FROM {entities} WHERE NOT ({kept})'
    for table in ("motion_checkpoints", "motion_left_out"):
        tx.execute(f"DELETE FROM {table} WHERE trigger = ? AND entity IN ({gone})", (spec.name,))
    tx.execute(f"DELETE FROM {entities} WHERE NOT ({kept})")


# -- opening --


def forget_entities(tx: Transaction, entities: Layout, spec: TriggerSpec) -> None:
    """Forget all that is kept of a fold, but for the values."""
    tx.execute("DELETE FROM motion_checkpoints WHERE trigger = ?", (spec.name,))
    tx.execute("DELETE FROM motion_left_out WHERE trigger = ?", (spec.name,))
    tx.execute(f"DROP TABLE {entities.base}")


def note_entities(tx: Transaction, source: Layout, entities: Layout, spec: TriggerSpec) -> None:
    """Note the entities of all rows that are there, and those that have a value of the fold, where they are not. What made a value
    is noted with it, so that it is told whether it is the present code's."""
    fold, done = fold_of(spec), done_column(spec.name)
    by, mark = source.place(fold.by), f"COALESCE(r.{done}, 0)"
    made = f"{mark} & {ORIGIN_MASK} != 0"
    insert = f"INSERT INTO {entities.base} (id, {changed_column('id')}, {done}) SELECT"
    unless = "ON CONFLICT (id) DO NOTHING"
    if fold.is_of_rows:
        mark = f"MAX(CASE WHEN {made} THEN {mark} ELSE 0 END)"
    else:
        target = Layout(source.graph.tables.get(fold.target), source.graph)
        # they may have no row any more, as the fold goes over others now
        of_values = f"FROM {target.base} r WHERE {made}{target.and_first('r')}"
        tx.execute(f"{insert} r.id, {FIRST_NUMBER}, {mark} {of_values} {unless}")
        mark = "0"
    of_rows = f"FROM {source.base} r WHERE {by} IS NOT NULL GROUP BY {by}"
    tx.execute(f"{insert} {by}, {FIRST_NUMBER}, {mark} {of_rows} {unless}")
