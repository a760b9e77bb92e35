"""Followers: the rows that look up, or hold in a window, what changes in another row, found by the keys that say so."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, islice, zip_longest
from operator import le
from typing import Any

from motion.backends.base import Transaction
from motion.definitions.tables.lookups import Lookup
from motion.definitions.tables.windows import Window
from motion.definitions.tasks import Cause
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.persistence.changes import sweeps
from motion.persistence.inputs.frames import are_wanted, frame_of, last_holding, may_hold, narrowing
from motion.persistence.layout import (
    NO_PINS,
    Layout,
    Pins,
    is_listed_as,
    listed_table,
    quoted,
)
from motion.persistence.many import select_for_each
from motion.persistence.ranges import Ranges, parts_of, rows_among
from motion.persistence.rows.shown import rows_showing
from motion.persistence.rows.written import Columns

AT_ONCE = 500
"""Rows that are made due in the write that changes what they look up; more are left to a sweep."""

FOUND_BY_EACH = 10
"""Changed rows that each of them may look up, on average, and be found by."""


@dataclass(frozen=True)
class Followed:
    """What a change makes due in one trigger's table.

    Attributes:
        rows: those that are few enough to be made due at once.
        is_swept: whether more are left to a sweep.
    """

    rows: Sequence[int]
    is_swept: bool = False


def followed(
    tx: Transaction,
    target: Layout,
    layout: Layout,
    spec: TriggerSpec,
    lookup: Lookup,
    rows: Sequence[int],
    cause: Cause,
    below: Callable[[Sequence[int]], Sequence[int]],
    gone: Collection[int] = (),
) -> Followed:
    """Find the rows of a trigger that look up rows which have changed, or begin a sweep over them.

    Args:
        target: of the rows that have changed.
        below: returns the rows that inherit the key by which those given look up.
        gone: rows of the trigger's that are about to be deleted.
    """
    found = looking_up(tx, target, layout, lookup, rows, AT_ONCE + len(gone))
    if found is not None:
        found = [row for row in below(found) if row not in gone]
    if found is not None and len(found) <= AT_ONCE:
        return Followed(found)
    ids = _ids(tx, target, lookup, rows)
    _sweep(tx, layout, spec, lookup, ids[0] if len(ids) == 1 else None, cause)
    return Followed((), is_swept=True)


def looking_up(
    tx: Transaction, target: Layout, layout: Layout, lookup: Lookup, rows: Sequence[int], most: int
) -> list[int] | None:
    """Return the rows that hold themselves what changed rows are found by; None where they are more than so many."""
    if lookup.is_of_list:
        listing = ((holders(target, layout, lookup, part), part.numbers) for part in parts_of(rows))
        return few_of(tx, listing, most)
    return few_of(tx, _by_value(target, layout, lookup, rows), most)


def few_of(
    tx: Transaction, queries: Iterable[tuple[str, Sequence[Stored]]], most: int
) -> list[int] | None:
    """Return the rows that queries find; None where they are more than so many, or are found by far more. Each may be found
    several times, once for each changed row that it looks up: what is cut off is never taken for all."""
    found: dict[int, None] = {}
    left = most * FOUND_BY_EACH
    for sql, values in queries:
        some = tx.execute(f"{sql} LIMIT ?", (*values, left + 1)).fetchall()
        found |= dict.fromkeys(int(row) for (row,) in some)
        left -= len(some)
        if left < 0 or len(found) > most:
            return None
    return list(found)


def _by_value(
    target: Layout, layout: Layout, lookup: Lookup, rows: Sequence[int]
) -> Iterator[tuple[str, Sequence[Stored]]]:
    """Give queries for the rows that look up by a value which changed rows have."""
    of_one = f"SELECT x.{layout.row_column} FROM {target.base} r CROSS JOIN {layout.base} x"
    by, to = quoted(lookup.bys[0]), quoted(lookup.to_key)
    for part in parts_of(rows):
        changed, values = part.condition(target.row), [*part.numbers]
        sql = f"{of_one} ON x.{by} = r.{to} WHERE {changed}{_is_named(target, lookup, _own)}"
        if len(lookup.bys) > 1 and layout.table.page_keys:
            # A page may have one of the keys itself, and show another that page 0 has.
            held = f"SELECT x.id FROM {target.base} r CROSS JOIN {layout.base} x ON x.{by} = r.{to} WHERE {changed}"
            shown = _is_named(target, lookup, layout.inherited_value, "t")
            is_it = f"{layout.inherited_value(lookup.bys[0])} = t.{to}{shown}"
            is_changed = f"SELECT 1 FROM {target.base} t WHERE {part.condition(f't.{target.row_column}')} AND {is_it}"
            sql = f"SELECT {layout.row} FROM {layout.joined(lookup.bys)} WHERE r.id IN ({held}) AND EXISTS ({is_changed})"
            values += part.numbers
        yield sql, values


def _own(key: str) -> str:
    return f"x.{quoted(key)}"


def _is_named(target: Layout, lookup: Lookup, value: Callable[[str], str], row: str = "r") -> str:
    """Return the conditions that the page keys of a row are those which a row that looks up by them has.

    Args:
        value: key -> the expression of what the row that looks up has of it.
    """
    level, named = target.graph.levels[lookup.table][lookup.name], ""
    for page, own in zip_longest(target.table.page_keys, lookup.bys[1:]):
        is_it = f"{row}.{quoted(page)} = {'0' if own is None else value(own)}"
        is_any = (
            "" if own is None or page in level else f" OR {row}.{quoted(page)} = 0"
        )  # inherited
        named += f" AND ({is_it}{is_any})"
    return named


def holders(target: Layout, layout: Layout, lookup: Lookup, part: Ranges) -> str:
    """Return the query for the rows that hold themselves lists which name some rows, of the numbers of the part."""
    listed, to = listed_table(layout.table.name, lookup.bys[0]), f"r.{quoted(lookup.to_key)}"
    return (
        f"SELECT x.row FROM {target.base} r CROSS JOIN {listed} x ON x.value = {is_listed_as(to)} "
        f"WHERE {part.condition(target.row)}{target.and_first('r')}"
    )


def left_behind(
    tx: Transaction,
    layout: Layout,
    spec: TriggerSpec,
    lookup: Lookup,
    values: Sequence[Stored],
    cause: Cause,
    below: Callable[[Sequence[int]], Sequence[int]],
) -> Followed:
    """Find the rows of a trigger that look up by values which rows have no more, or begin sweeps over them.

    Args:
        below: returns the rows that inherit the key by which those given look up.
    """
    rows: list[int] = []
    swept: list[Stored] = []
    source, row, by = layout.base, layout.row_column, quoted(lookup.bys[0])
    if lookup.is_of_list:
        source, row, by = listed_table(layout.table.name, lookup.bys[0]), "row", "value"
        values = [str(value) for value in values]
    for value in values:
        sql = f"SELECT x.{row} FROM {source} x WHERE x.{by} = ? LIMIT {AT_ONCE + 1}"
        found = below([int(row[0]) for row in tx.execute(sql, (value,))])
        if len(found) > AT_ONCE:
            swept.append(value)
        else:
            rows += found
    for value in swept:
        _sweep(tx, layout, spec, lookup, value, cause)
    return Followed(rows, bool(swept))


def _sweep(
    tx: Transaction,
    layout: Layout,
    spec: TriggerSpec,
    lookup: Lookup,
    value: Stored,
    cause: Cause,
) -> None:
    """Begin a sweep over the rows that look up by a value; None: over all."""
    begin = sweeps.begin_listing if lookup.is_of_list and value is not None else sweeps.begin
    begin(tx, layout, spec, lookup.bys[0], value, cause)


def _ids(tx: Transaction, target: Layout, lookup: Lookup, rows: Sequence[int]) -> list[Stored]:
    """Return what changed rows are found by; of many that there are several."""
    found: dict[Stored, None] = {}
    for part in parts_of(rows):
        sql = f"SELECT DISTINCT r.{quoted(lookup.to_key)} FROM {target.base} r WHERE {part.condition(target.row)} LIMIT 2"
        found |= dict.fromkeys(row[0] for row in tx.execute(sql, part.numbers))
        if len(found) > 1:
            break
    return list(found)


# -- windows --

Place = tuple[Stored, Stored, Stored]
"""An entity, and the first and the last place in its order where something has changed."""


def take_left(tx: Transaction, source: Layout) -> dict[str, list[Place]]:
    """Return the places that rows of a table have left since this was asked last, by the name of the way in which they were
    held there."""
    table = source.table.name
    sql = "SELECT 1 FROM motion_left WHERE source = ? LIMIT 1"
    if tx.execute(sql, (table,)).fetchone() is None:
        return {}
    found: dict[str, list[Place]] = {}
    for way, (key, order, *_) in source.left_by.items():
        place = f"CAST(place AS {source.sql_type(order)})"
        sql = (
            f"SELECT CAST(value AS {source.sql_type(key)}), MIN({place}), MAX({place}) FROM motion_left "
            f"WHERE source = ? AND key = ? GROUP BY value"
        )
        if places := tx.execute(sql, (table, way)).fetchall():
            found[way] = [tuple(each) for each in places]
    tx.execute("DELETE FROM motion_left WHERE source = ?", (table,))
    return found


class Changed:
    """Rows of a table that have changed, and the rows whose windows hold them, or held them where they were.

    Args:
        changed: key -> the rows in which it has changed.
        left: the name of the way in which rows were held -> the places that they have left.
        made: the rows that are new.
        given: key -> its values, where they are of all the rows, and these are new; else nothing.
        pins: component -> the state version whose outputs have changed.
    """

    def __init__(
        self,
        tx: Transaction,
        target: Layout,
        changed: Mapping[str, Sequence[int]],
        left: Mapping[str, Sequence[Place]],
        made: Collection[int],
        given: Columns,
        pins: Pins = NO_PINS,
    ) -> None:
        self._tx, self._target, self._changed, self._left = tx, target, changed, left
        self._made, self._given, self._pins = made, given, pins
        self._known: dict[Any, Any] = {}

    def holding(
        self, layout: Layout, spec: TriggerSpec, window: Window, made: range, cause: Cause
    ) -> Followed:
        """Find the rows of a trigger whose windows hold a change, or begin sweeps over them.

        Args:
            made: rows that are new, which are due by themselves.
        """
        rows, swept = self.found(layout, window, made)
        if layout.table.page_keys:
            rows = rows_among(self._tx, layout, spec, rows, layout.is_row_of(spec))
        for entity in swept:
            sweeps.begin(self._tx, layout, spec, window.own_by, entity, cause)
        return Followed(rows, bool(swept))

    def found(
        self, layout: Layout, window: Window, made: range = range(0)
    ) -> tuple[Sequence[int], Sequence[Stored]]:
        """Return the rows of a table whose windows hold a change, and the entities that have too many of them."""
        keys = tuple(key for key in window.held_keys if key in self._changed)
        where = keys, window.other_by, window.other_order, window.narrowed
        if where not in self._known:
            self._known[where] = self._places(keys, window)
        frame = frame_of(window)
        own = layout.table.name, window.own_by, window.own_order
        like = (where, own, window.names, frame.within, frame.rows)
        if like not in self._known:
            self._known[like] = _holding_any(
                self._tx, layout, self._target, frame, self._known[where], made, self._pins
            )
        rows, swept = self._known[like]
        return rows, swept

    def _places(self, keys: Sequence[str], window: Window) -> list[Place]:
        """Return where changes are, for each entity."""
        way = self._target.way_of(window.other_by, window.other_order)
        return [*self._places_of_changed(keys, window), *self._left.get(way, ())]

    def _places_of_changed(self, keys: Sequence[str], window: Window) -> list[Place]:
        entities, orders = (self._given.get(k) for k in (window.other_by, window.other_order))
        is_given = all(key in self._given for key, _ in window.narrowed)
        is_given = (
            is_given and not self._target.table.page_keys
        )  # that may inherit what is not given
        if keys and entities and orders and is_given:  # each that has an entity has changed
            if window.narrowed:
                wanted = are_wanted(self._target, window, self._given, len(entities))
                entities, orders = ([*compress(each, wanted)] for each in (entities, orders))
            return _extent_of(entities, orders)
        rows = self._showing(keys[0]) if len(keys) == 1 else ()
        if len(keys) > 1:
            rows = sorted(set().union(*map(self._showing, keys)))
        if not window.narrowed:
            return self._places_of(rows, window)
        named = (self._showing(key) for key, _ in window.narrowed)
        were_others = set().union(*named).difference(self._made)  # of these, it may have held any
        still = [row for row in rows if row not in were_others]
        narrowed = narrowing(self._target, window, "r")
        found = self._places_of(sorted(were_others), window)
        return found + self._places_of(still, window, *narrowed)

    def _showing(self, key: str) -> Sequence[int]:
        """Return the rows that show another value of a key than before."""
        return rows_showing(self._tx, self._target, key, self._changed.get(key, ()))

    def _places_of(
        self, rows: Sequence[int], window: Window, narrowed: str = "", fixed: Sequence[Stored] = ()
    ) -> list[Place]:
        by, at = self._target.place(window.other_by), self._target.place(window.other_order)
        narrowed = narrowed.format(**{f"f{i}": "?" for i in range(len(fixed))})
        found: list[tuple[Stored, Any]] = []
        for part in parts_of(rows):
            sql = (
                f"SELECT {by}, MIN({at}), MAX({at}) FROM {self._target.base} r WHERE {part.condition(self._target.row)} "
                f"AND {by} IS NOT NULL AND {at} IS NOT NULL{narrowed} GROUP BY {by}"
            )
            for entity, first, last in self._tx.execute(sql, (*part.numbers, *fixed)):
                found += [(entity, first), (entity, last)]
        return _extent(found)


def _extent_of(entities: Sequence[Stored], orders: Sequence[Any]) -> list[Place]:
    """Return the first and the last place of each entity, of rows by column: mostly they come in their order."""
    is_in_order = None not in orders and all(map(le, orders, islice(orders, 1, None)))
    if None in entities or not is_in_order:
        return _extent(zip(entities, orders, strict=True))
    firsts = dict(zip(reversed(entities), reversed(orders), strict=True))
    return [
        (entity, firsts[entity], last)
        for entity, last in dict(zip(entities, orders, strict=True)).items()
    ]


def _extent(rows: Iterable[tuple[Stored, Any]]) -> list[Place]:
    """Return the first and the last place of each entity, of rows given by entity and order."""
    firsts: dict[Stored, Any] = {}
    lasts: dict[Stored, Any] = {}
    for entity, order in rows:
        if entity is None or order is None:
            continue
        if entity not in firsts:
            firsts[entity] = lasts[entity] = order
        elif order > lasts[entity]:
            lasts[entity] = order
        elif order < firsts[entity]:
            firsts[entity] = order
    return [(entity, first, lasts[entity]) for entity, first in firsts.items()]


def _holding_any(
    tx: Transaction,
    layout: Layout,
    source: Layout,
    frame: Window,
    places: Sequence[Place],
    made: range,
    pins: Pins,
) -> tuple[list[int], list[Stored]]:
    """Return the rows whose windows may hold any of these places, and the entities that have too many of them."""
    rows: list[int] = []
    swept: list[Stored] = []
    ends = _ends(tx, source, frame, places, pins)
    for is_ended in (False, True):
        chosen = [
            (*place, end)
            for place, end in zip(places, ends, strict=True)
            if (end is not None) is is_ended
        ]
        found = _holding(tx, layout, frame, chosen, made, is_ended=is_ended) if chosen else ()
        for (entity, *_), some in zip(chosen, found, strict=False):
            if len(some) > AT_ONCE:
                swept.append(entity)
            else:
                rows += some
    return rows, swept


def _ends(
    tx: Transaction, source: Layout, frame: Window, places: Sequence[Place], pins: Pins
) -> list[Stored | None]:
    """Return for each place where the windows that hold it end: of windows of some rows with the last of as many rows behind it
    that have a value, however many rows there are which hold them; None: nowhere."""
    ends: list[Stored | None] = [None] * len(places)
    if frame.rows is None or not places:
        return ends
    row = source.row_column
    by, at = source.place(frame.other_by, "x"), source.place(frame.other_order, "x")
    held, fixed = may_hold(source, frame, "x")
    behind = (
        f"SELECT x.{row} FROM {source.source(frame.names, 'x', pins)} WHERE {by} = {{0}} AND {at} > {{1}}{held} "
        f"ORDER BY {at}, {source.names('x')} LIMIT 1 OFFSET {frame.rows - 1}"
    )
    kinds = (source.sql_type(frame.other_by), source.sql_type(frame.other_order))
    entities, _, lasts = zip(*places, strict=True)
    for i, end in select_for_each(
        tx,
        source.place(frame.other_order),
        f"{source.base} r",
        f"{source.row} IN ({behind})",
        (entities, lasts),
        kinds,
        fixed=fixed,
    ):
        ends[i] = end
    return ends


def _holding(
    tx: Transaction,
    layout: Layout,
    frame: Window,
    places: Sequence[tuple[Stored, Stored, Stored, Stored | None]],
    made: range,
    *,
    is_ended: bool,
) -> list[list[int]]:
    """Return for each place, which ends somewhere or nowhere, the rows whose windows may hold it, one more than are made due at
    once at most."""
    row, at = layout.row_column, layout.place(frame.own_order, "x")
    entities, firsts, lasts, ends = zip(*places, strict=True)
    named: list[Sequence[Any]] = [entities, firsts]
    further = ""
    if frame.within_ms is not None:
        further += f" AND {at} <= {{{len(named)}}}"
        named.append([last_holding(frame, last) for last in lasts])
    if is_ended:
        further += f" AND {at} <= {{{len(named)}}}"
        named.append(ends)
    if made:
        further += f" AND NOT (x.{row} >= {made.start} AND x.{row} < {made.stop})"
    nearest = (
        f"SELECT x.{row} FROM {layout.base} x WHERE {layout.place(frame.own_by, 'x')} = {{0}} AND {at} >= {{1}}{further} "
        f"ORDER BY {at}, {layout.names('x')} LIMIT {AT_ONCE + 1}"
    )
    order = layout.sql_type(frame.own_order)
    kinds = (layout.sql_type(frame.own_by), order, order, order)
    found: list[list[int]] = [[] for _ in places]
    for i, number in select_for_each(
        tx, layout.row, f"{layout.base} r", f"{layout.row} IN ({nearest})", named, kinds
    ):
        found[i].append(int(number))
    return found
