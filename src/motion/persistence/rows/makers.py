"""Makers: the runs that make a row, what each of them gives it, and what of that a row shows.

A row that one run makes holds what it gave, so beside it only the run (`:made_by`, `:made_from`, `:made_item`) and the
names of the keys are kept (`:made_keys`). Where several runs make a row, a user made it, or a user has given another
value for one of these keys, the row does not tell what each run gave: then that is kept in `motion_makers`, and the
row is *noted*.

Of the runs that make a row, each trigger counts with its first one, by the name of the row that it ran on and the place
of the item; and a key has the value of the first trigger, by name, that gives one, before those that are gone. Nothing of this depends on when they
ran. Pages are a simple case: a page's name tells its maker, and no two triggers set the same key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from motion.backends.base import Transaction
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.persistence.layout import Layout, as_text, done_column, mark_of, quoted, rows_table
from motion.persistence.ranges import Ranges, parts_of, rows_among

Values = Mapping[str, Stored]


@dataclass(frozen=True, slots=True)
class Maker:
    """A run that makes a row: its trigger, the row that it ran on, the place of its item, and what that gives.

    Attributes:
        place: the source's id and page keys as one text, by which makers of one trigger are ordered.
    """

    trigger: str
    place: str
    item: int
    source: int
    given: Values


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a trigger on a source row, as a maker of rows.

    Attributes:
        number: the change that its result is as of: values that users gave later stay.
    """

    trigger: str
    source: int
    place: str
    number: int


@dataclass
class Row:
    """A row that is there.

    Attributes:
        name: its id and page keys.
        maker: trigger, source and item of the first run that makes it; None: a user made the row.
        keys: those that its makers gave; None where that was not kept, in stores of old.
        own: the change at which a user last gave a value for one of these.
        values: of the keys that may be given, or be a user's.
    """

    number: int
    name: tuple[Stored, ...]
    maker: tuple[str, int, int] | None
    keys: frozenset[str] | None
    own: int
    values: dict[str, Stored]

    @property
    def given(self) -> dict[str, Stored]:
        """What its only maker gave, of a row that is not noted."""
        known = self.values if self.keys is None else self.keys
        return {key: value for key, value in self.values.items() if key in known}


def place_of(name: Sequence[Any]) -> str:
    """Return a row's id and page keys as a text whose order is the same each time: numbers by size, texts by letter."""
    return "/".join(f"{each + 2**63:020d}" if isinstance(each, int) else str(each) for each in name)


# -- rows --


def rows_where(
    tx: Transaction,
    layout: Layout,
    condition: str,
    values: Sequence[Any] = (),
    keys: Sequence[str] | None = None,
) -> list[Row]:
    """Return the rows of a table that a condition on its stored columns holds for.

    Args:
        keys: those whose values are wanted; all that may be given if left out.
    """
    keys = layout.free_keys if keys is None else keys
    names = [*layout.table.primary_key, *keys]
    made = '":made_by", ":made_from", ":made_item", ":made_keys", ":own"'
    columns = ", ".join([layout.row_column, made, *map(quoted, names)])
    found = tx.execute(f"SELECT {columns} FROM {layout.base} WHERE {condition}", values)
    return [_row(layout, keys, *row) for row in found.fetchall()]


def _row(
    layout: Layout, keys: Sequence[str], number: int, by: str | None, source: int, item: int,
    given: str | None, own: int | None, *values: Stored,
) -> Row:  # fmt: skip
    count = len(layout.table.primary_key)
    maker = None if by is None else (by, source, item)
    known = None if given is None else frozenset(given.split())
    return Row(
        number, values[:count], maker, known, own or 0, dict(zip(keys, values[count:], strict=True))
    )


def row_named(tx: Transaction, layout: Layout, name: Sequence[Stored]) -> Row | None:
    named = " AND ".join(f"{quoted(key)} = ?" for key in layout.table.primary_key)
    found = rows_where(tx, layout, named, name)
    return found[0] if found else None


def rows_numbered(tx: Transaction, layout: Layout, rows: Iterable[int]) -> list[Row]:
    return [
        row
        for part in parts_of(rows)
        for row in rows_where(tx, layout, part.condition(layout.row_column), part.numbers)
    ]


# -- who makes them --


def rows_made(
    tx: Transaction, layout: Layout, trigger: str, sources: Sequence[int]
) -> tuple[list[int], list[int]]:
    """Return the rows that a trigger made from source rows: those that are not noted, and those that are."""
    plain: list[int] = []
    noted: set[int] = set()
    for part in parts_of(sources):
        made = f'":made_by" = ? AND {part.condition(quoted(":made_from"))}'
        sql = f"SELECT {layout.row_column} FROM {layout.base} WHERE {made}"
        plain += [int(row[0]) for row in tx.execute(sql, (trigger, *part.numbers))]
        made = f"name = ? AND trigger = ? AND {part.condition('source')}"
        sql = f"SELECT row FROM motion_makers WHERE {made}"
        named = (layout.table.name, trigger, *part.numbers)
        noted.update(int(row[0]) for row in tx.execute(sql, named))
    return [row for row in plain if row not in noted], sorted(noted)


def has_made(layout: Layout, spec: TriggerSpec) -> str:
    """Return the condition that a row `r` has pages, or rows of another table, that a trigger gives."""
    if spec.page is not None:
        above = layout.table.page_keys[: layout.table.page_keys.index(spec.page)]
        is_page = layout.is_above("m", "r", above, but_for=[spec.page])
        is_set = " OR ".join(f"m.{quoted(key)} IS NOT NULL" for key in spec.sets)
        return f"EXISTS (SELECT 1 FROM {layout.base} m WHERE {is_page} AND ({is_set}))"
    if spec.sets_table is None:
        return "1 = 0"
    table, trigger = as_text(spec.sets_table), as_text(spec.name)
    plain = f'm.":made_from" = {layout.row} AND m.":made_by" = {trigger}'
    noted = f"m.trigger = {trigger} AND m.source = {layout.row} AND m.name = {table}"
    return (
        f"(EXISTS (SELECT 1 FROM {rows_table(spec.sets_table)} m WHERE {plain}) "
        f"OR EXISTS (SELECT 1 FROM motion_makers m WHERE {noted}))"
    )


def noted_items(tx: Transaction, layout: Layout, run: Run) -> dict[int, int]:
    """Return item -> row, for the noted rows that a run last made."""
    sql = "SELECT item, row FROM motion_makers WHERE name = ? AND trigger = ? AND source = ?"
    found = tx.execute(sql, (layout.table.name, run.trigger, run.source))
    return {int(item): int(row) for item, row in found}


def is_noted(tx: Transaction, layout: Layout, row: int) -> bool:
    sql = "SELECT 1 FROM motion_makers WHERE name = ? AND row = ? LIMIT 1"
    return tx.execute(sql, (layout.table.name, row)).fetchone() is not None


def note(tx: Transaction, layout: Layout, row: Row) -> None:
    """Note a row that its only maker's values tell so far."""
    if row.maker is None or is_noted(tx, layout, row.number):
        return
    trigger, source, item = row.maker
    place = _place_of_source(tx, layout, trigger, source)
    _insert(tx, layout, row.number, [Maker(trigger, place, item, source, row.given)])


def note_items(
    tx: Transaction, layout: Layout, row: int, run: Run, items: Mapping[int, Values]
) -> None:
    """Note which items of a run make a noted row now, in place of those that did."""
    sql = "DELETE FROM motion_makers WHERE name = ? AND row = ? AND trigger = ? AND source = ?"
    tx.execute(sql, (layout.table.name, row, run.trigger, run.source))
    made = [Maker(run.trigger, run.place, i, run.source, given) for i, given in items.items()]
    _insert(tx, layout, row, made)


def forget_sources(
    tx: Transaction, layout: Layout, row: int, trigger: str, sources: Sequence[int]
) -> None:
    """Note that rows do not make a noted row any more."""
    for part in parts_of(sources):
        sql = f"DELETE FROM motion_makers WHERE name = ? AND row = ? AND trigger = ? AND {part.condition('source')}"
        tx.execute(sql, (layout.table.name, row, trigger, *part.numbers))


def makers_of(tx: Transaction, layout: Layout, row: int) -> list[Maker]:
    """Return the makers of a noted row that count: of each trigger the first, those last whose triggers are gone. A look-up
    for each."""
    sql = (
        "SELECT trigger, place, item, source, given FROM motion_makers WHERE name = ? AND row = ? AND trigger > ? "
        "ORDER BY trigger, place, item LIMIT 1"
    )
    found: list[Maker] = []
    while one := tx.execute(
        sql, (layout.table.name, row, found[-1].trigger if found else "")
    ).fetchone():
        trigger, place, item, source, given = one
        found.append(Maker(trigger, place, item, source, msgspec.msgpack.decode(given)))
    return sorted(found, key=lambda maker: maker.trigger not in layout.graph.triggers)


def giver_of(
    tx: Transaction, layout: Layout, name: Sequence[Stored], key: str
) -> tuple[str, int] | None:
    """Return the trigger that gave a row the value of a key, and the row that it made it from; None for a user's value."""
    row = row_named(tx, layout, name) if layout.is_target else None
    if row is None or (key in row.values and row.keys is not None and key not in row.keys):
        return None
    if not is_noted(tx, layout, row.number):
        return None if row.maker is None else row.maker[:2]
    for maker in makers_of(tx, layout, row.number):
        if key in maker.given:
            is_its = maker.given[key] == row.values[key]
            return (maker.trigger, maker.source) if is_its else None
    return None


def merged(makers: Iterable[Maker]) -> dict[str, Stored]:
    """Return the values of a row: each key as the first maker that gives it does."""
    values: dict[str, Stored] = {}
    for maker in makers:
        values = {**maker.given, **values}
    return values


def is_shared(tx: Transaction, layout: Layout, row: int) -> bool:
    """Whether a noted row has more than one maker."""
    sql = "SELECT 1 FROM motion_makers WHERE name = ? AND row = ? LIMIT 2"
    return len(tx.execute(sql, (layout.table.name, row)).fetchall()) > 1


def forget(tx: Transaction, layout: Layout, rows: Ranges) -> None:
    """Forget what was noted of rows."""
    tx.execute(
        f"DELETE FROM motion_makers WHERE name = ? AND {rows.condition('row')}",
        (layout.table.name, *rows.numbers),
    )


def keep(
    tx: Transaction,
    layout: Layout,
    made: Iterable[tuple[int, tuple[str, int, int] | None, Iterable[str]]],
) -> None:
    """Keep with rows who makes them first, and which keys they were given."""
    tx.executemany(
        f'UPDATE {layout.base} SET ":made_by" = ?, ":made_from" = ?, ":made_item" = ?, ":made_keys" = ? '
        f"WHERE {layout.row_column} = ?",
        [
            (*(maker or (None, None, None)), " ".join(sorted(keys)), row)
            for row, maker, keys in made
        ],
    )


def _insert(tx: Transaction, layout: Layout, row: int, made: Iterable[Maker]) -> None:
    tx.executemany(
        "INSERT INTO motion_makers (name, row, trigger, place, item, source, given) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (
                layout.table.name, row, each.trigger, each.place, each.item, each.source,
                msgspec.msgpack.encode(each.given),
            )
            for each in made
        ],
    )  # fmt: skip


def _place_of_source(tx: Transaction, layout: Layout, trigger: str, source: int) -> str:
    spec = layout.graph.triggers.get(trigger)
    if spec is None:
        return ""  # the trigger is gone, and what it made stays
    other = Layout(layout.graph.tables.get(spec.table), layout.graph)
    names = ", ".join(map(quoted, other.table.primary_key))
    sql = f"SELECT {names} FROM {other.base} WHERE {other.row_column} = ?"
    found = tx.execute(sql, (source,)).fetchone()
    return "" if found is None else place_of(found)


# -- values that users give for what runs gave --


def note_users_values(
    tx: Transaction,
    layout: Layout,
    keys: Iterable[str],
    rows: Sequence[int],
    number: int,
    since: int,
) -> None:
    """Note that users give values for keys which runs that make these rows gave, before they are written.

    Args:
        number: of the users' change.
        since: the first change of the same write: a run for an `on` key that it changed is replaced.
    """
    given = set(keys).intersection(layout.free_keys)
    if not given or not layout.is_target:
        return
    for part in parts_of(rows):
        condition = f'{part.condition(layout.row_column)} AND (":made_by" IS NOT NULL OR ":made_keys" IS NOT NULL)'
        for row in rows_where(tx, layout, condition, part.numbers):
            if given & row.given.keys():
                note(tx, layout, row)
                sql = f'UPDATE {layout.base} SET ":own" = ? WHERE {layout.row_column} = ?'
                tx.execute(sql, (number, row.number))
                for maker in makers_of(tx, layout, row.number):
                    _replace_run(tx, layout, maker, number, since)


def _replace_run(tx: Transaction, layout: Layout, maker: Maker, number: int, since: int) -> None:
    spec = layout.graph.triggers.get(maker.trigger)
    if spec is not None:
        source = Layout(layout.graph.tables.get(spec.table), layout.graph)
        replace_runs(
            tx, source, spec, [maker.source], number, f"{source.on_number(spec)} >= {since}"
        )


def replace_runs(
    tx: Transaction,
    layout: Layout,
    spec: TriggerSpec,
    rows: Sequence[int],
    number: int,
    condition: str,
) -> None:
    """Let users' values stand for the runs of a trigger that are due on rows, where a condition on these holds."""
    found = rows_among(tx, layout, spec, rows, condition)
    tx.executemany(
        f"UPDATE {layout.base} SET {done_column(spec.name)} = ? WHERE {layout.row_column} = ?",
        [(mark_of(number, 0), row) for row in found],
    )
