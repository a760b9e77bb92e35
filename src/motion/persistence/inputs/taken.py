"""Taken: what rows that are about to be written take of other rows, read before the write, and held against what is there
in the write's own transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from motion.backends.base import Transaction
from motion.definitions.tables.lookups import Lookup
from motion.definitions.tables.windows import Window
from motion.definitions.values.codecs import Codec, Stored
from motion.persistence.inputs.frames import are_wanted
from motion.persistence.inputs.held import Held, read_held
from motion.persistence.inputs.lists import Listed, decoded_lists, read_lists
from motion.persistence.layout import quoted
from motion.persistence.layouts import Layouts
from motion.persistence.ranges import cut, filled_up, places
from motion.persistence.rows.reading import VALUES_AT_ONCE
from motion.persistence.rows.written import Inlined

UNNAMED = 1 << 62
"""Stands, with a row's position, for an id that the store is about to give: it is larger than any that is there."""


@dataclass(frozen=True)
class LookedUp:
    """The values that rows look up.

    Attributes:
        by: the id that each row holds.
        found: id -> value; without those that are not there.
    """

    read_at: int
    lookup: Lookup
    by: Sequence[Stored]
    found: Mapping[Stored, Stored]

    def decoded(self, codec: Codec) -> Sequence[Any]:
        """Return them as values, one for all rows that look it up: a function is handed what it may change for itself."""
        values = codec.decode_column(list(self.found.values()))
        return list(map(dict(zip(self.found, values, strict=True)).get, self.by))

    def outdated(self, tx: Transaction, layouts: Layouts) -> Iterable[int]:
        ids = dict.fromkeys(self.by)
        now = _values(tx, layouts, self.lookup, ids)
        changed = {each for each in ids if now.get(each) != self.found.get(each)}
        return [i for i, each in enumerate(self.by) if each in changed] if changed else ()


@dataclass(frozen=True)
class LookedUpLists:
    """The values that rows look up by lists.

    Attributes:
        by: the list that each row holds, as it is stored.
    """

    read_at: int
    by: Sequence[Stored]
    listed: Listed

    def decoded(self, codec: Codec) -> Sequence[Any]:
        return decoded_lists(codec, self.listed.values())

    def outdated(self, tx: Transaction, layouts: Layouts) -> Iterable[int]:
        lookup = self.listed.lookup
        now = read_lists(tx, layouts[lookup.table], lookup, self.by)
        pairs = zip(self.listed.values(), now.values(), strict=True)
        return [i for i, (before, after) in enumerate(pairs) if before != after]


def look_up(
    tx: Transaction, layouts: Layouts, read_at: int, lookup: Lookup, by: Sequence[Stored]
) -> LookedUp | LookedUpLists:
    if lookup.is_of_list:
        return LookedUpLists(read_at, by, read_lists(tx, layouts[lookup.table], lookup, by))
    return LookedUp(read_at, lookup, by, _values(tx, layouts, lookup, dict.fromkeys(by)))


def _values(
    tx: Transaction, layouts: Layouts, lookup: Lookup, ids: Iterable[Stored]
) -> dict[Stored, Stored]:
    target, to = layouts[lookup.table], f"r.{quoted(lookup.to_key)}"
    order = "" if lookup.to is None else " ORDER BY r.id DESC"  # of several, the first is to stay
    named, found = [each for each in ids if each is not None], dict[Stored, Stored]()
    for part in map(filled_up, cut(named, VALUES_AT_ONCE)):
        sql = (
            f"SELECT {to}, r.{quoted(lookup.name)} FROM {target.base} r "
            f"WHERE {to} IN ({places(part)}){target.and_first('r')}{order}"
        )
        found.update(tx.execute(sql, part).fetchall())
    return found


def id_found_by(tx: Transaction, layouts: Layouts, lookup: Lookup, value: Stored) -> Any:
    """Return the id of the row that is found by a value of another key, None where there is none."""
    target = layouts[lookup.table]
    sql = (
        f"SELECT r.id FROM {target.base} r WHERE r.{quoted(lookup.to_key)} = ?{target.and_first('r')} "
        f"ORDER BY r.id LIMIT 1"
    )
    found = tx.execute(sql, (value,)).fetchone()
    return None if found is None else target.table.keys["id"].decode(found[0])


@dataclass(frozen=True)
class Windowed:
    """What the windows of new rows hold of those that are there.

    Attributes:
        entities, orders, ids: of the rows, which say which windows they have.
        held: without what the new rows hold of each other.
    """

    read_at: int
    frame: Window
    table: str
    entities: Sequence[Stored]
    orders: Sequence[Stored]
    ids: Sequence[Stored]
    held: Held

    def outdated(self, tx: Transaction, layouts: Layouts) -> Iterable[int]:
        named = self.entities, self.orders, self.ids
        now = read_held(tx, layouts[self.table], self.frame, *named, are_fenced=False)
        return self.held.differing(now)


def look_back(
    tx: Transaction,
    layouts: Layouts,
    read_at: int,
    table: str,
    frame: Window,
    columns: Mapping[str, Sequence[Stored]],
    count: int,
) -> Windowed:
    """Read what the windows of new rows hold of those that are there.

    Args:
        columns: the rows' keys, `id` among them unless the store is to give ids in their order.
    """
    ids = columns.get("id") or range(UNNAMED, UNNAMED + count)
    orders = ids if frame.own_order == "id" else columns[frame.own_order]
    named = columns[frame.own_by], orders, ids
    values: Sequence[Any] | None = None
    if frame.table == table:
        values = columns[frame.names[0]]
        if len(frame.names) > 1:
            rows = zip(*(columns[name] for name in frame.names), strict=True)
            values = [None if None in row else row for row in rows]
        if frame.where:
            wanted = are_wanted(layouts[table], frame, columns, count)
            values = [each if is_it else None for each, is_it in zip(values, wanted, strict=True)]
    held = read_held(tx, layouts[table], frame, *named, values, are_fenced=False)
    return Windowed(read_at, frame, table, *named, held)


def still_true(
    tx: Transaction, layouts: Layouts, inlined: Sequence[Inlined], number: int
) -> Sequence[Inlined]:
    """Return what triggers gave for a write, without the rows for which they took of others what has changed since.

    Args:
        number: of the write.
    """
    outdated: set[int] = set()
    known: set[int] = set()
    kept: list[Inlined] = []
    for each in inlined:
        for taken in each.taken:
            if taken.read_at != number - 1 and id(taken) not in known:
                known.add(id(taken))
                outdated.update(taken.outdated(tx, layouts))
        kept.append(_without(each, outdated) if outdated else each)
    return kept


def _without(inlined: Inlined, rows: set[int]) -> Inlined:
    """Return what a trigger gave for all but some rows, which are left to a task."""
    count = len(inlined.columns[0])
    met = set(range(count)) if inlined.met is None else set(inlined.met)
    columns = [
        [None if i in rows else value for i, value in enumerate(column)]
        for column in inlined.columns
    ]
    return replace(inlined, columns=columns, met=frozenset(met - rows))
