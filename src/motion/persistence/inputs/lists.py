"""Lists: what is looked up in the rows that a list names, read apart from the rows that hold the lists, each id once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from motion.backends.base import Transaction
from motion.definitions.tables.lookups import Lookup
from motion.definitions.values.codecs import INT64_MAX, Codec, Stored
from motion.persistence.layout import NO_PINS, Layout, Pins
from motion.persistence.ranges import cut, filled_up, places
from motion.persistence.rows.reading import VALUES_AT_ONCE

Ids = Sequence[Stored]
"""What a list holds; None where no row can be called so."""


class Found(NamedTuple):
    """A row that a list names.

    Attributes:
        number: the last change of what is looked up in it.
    """

    value: Stored
    number: int
    row: int


@dataclass(frozen=True)
class Listed:
    """What lists name.

    Attributes:
        ids: of each row that holds a list; None where it holds none.
        found: by id.
        count: of how many rows, from the first one, all was read.
    """

    lookup: Lookup
    ids: Sequence[Ids | None]
    found: Mapping[Stored, Found]
    count: int

    def values(self) -> list[list[Stored] | None]:
        """Return the stored values for each row, None where there is no list, or one with a gap that it may not have."""
        values = {each: found.value for each, found in self.found.items()}
        lists = (None if ids is None else list(map(values.get, ids)) for ids in self.ids)
        if self.lookup.has_gaps:
            return list(lists)
        return [None if each is None or None in each else each for each in lists]

    def fences(self) -> Iterator[tuple[Any, ...]]:
        """Give for each row what becomes another where what it looks up does: each change has a larger number, and a row that
        goes, or has no value any more, is one less."""
        for ids in self.ids:
            rows = [self.found[each] for each in dict.fromkeys(ids or ()) if each in self.found]
            number = max((each.number for each in rows), default=0)
            if self.lookup.to is None:
                yield number, sum(each.value is not None for each in rows)
            else:  # one may take the place of another, of the same write
                yield number, *(each.row for each in rows)


def read_lists(
    tx: Transaction,
    target: Layout,
    lookup: Lookup,
    lists: Sequence[Stored],
    most_bytes: int | None = None,
    *,
    has_values: bool = True,
    pins: Pins = NO_PINS,
) -> Listed:
    """Read what lists name, up to so many bytes of it, but for the first row.

    Args:
        target: of the rows that are looked up.
        lists: as they are stored.
        has_values: otherwise it is only read whether there are values.
    """
    kind = target.sql_type(lookup.to_key)
    ids = [None if each is None else _ids_of(each, kind) for each in lists]
    wanted = list(dict.fromkeys(each for row in ids for each in row or () if each is not None))
    least = len(set(ids[0] or ())) if ids else 0
    found: dict[Stored, Found] = {}
    read, size = 0, 0
    for part in cut(wanted, VALUES_AT_ONCE):
        if most_bytes is not None and size > most_bytes and read >= least:
            break
        fresh = _read(tx, target, lookup, part, pins, has_values=has_values)
        found |= fresh
        read += len(part)
        size += sum(len(x.value) for x in fresh.values() if isinstance(x.value, str | bytes))
    left = {*wanted[read:]}
    count = next(
        (i for i, row in enumerate(ids) if left and not left.isdisjoint(row or ())), len(ids)
    )
    return Listed(lookup, ids, found, count)


def _read(
    tx: Transaction,
    target: Layout,
    lookup: Lookup,
    ids: Sequence[Stored],
    pins: Pins,
    *,
    has_values: bool,
) -> dict[Stored, Found]:
    value = target.value(lookup.name)
    value = value if has_values else f"CASE WHEN {value} IS NOT NULL THEN 1 END"
    to, number, order = target.value(lookup.to_key), "0", ""
    if lookup.is_followed:
        numbers = [target.own_number(key) for key in lookup.followed_keys if key != "id"]
        number = numbers[0] if len(numbers) == 1 else f"MAX({', '.join(numbers)})"
    if lookup.to is not None:
        order = " ORDER BY r.id DESC"  # of several, the first is to stay
    named = filled_up(ids)
    sql = (
        f"SELECT {to}, {value}, {number}, {target.row} FROM {target.source([lookup.name], 'r', pins)} "
        f"WHERE {to} IN ({places(named)}){target.and_first('r')}{order}"
    )
    return {each: Found(*rest) for each, *rest in tx.execute(sql, named)}


def _ids_of(text: Any, kind: str) -> Ids:
    """Return what a list holds, as ids are stored: a number beyond what ids can be names no row, nor does a text with a NUL."""
    held: list[Any] = msgspec.json.decode(text)
    if kind == "INTEGER":
        return [each if _is_id(each) else None for each in held]
    return [each if isinstance(each, str) and "\0" not in each else None for each in held]


def _is_id(value: Any) -> bool:
    return type(value) is int and -INT64_MAX <= value <= INT64_MAX


def decoded_lists(codec: Codec, column: Sequence[Any]) -> list[list[Any] | None]:
    """Return lists of stored values as lists of values, each value decoded once."""
    stored = list(dict.fromkeys(each for values in column for each in values or ()))
    known = dict(zip(stored, codec.decode_column(stored), strict=True))
    return [None if values is None else list(map(known.get, values)) for values in column]
