"""Matching: which rows a load means that names them by another key than the id, `set_many(by=)`.

The key stands for the id; an id that is given beside it is to be that of the row which has the value, or the id of a new
one. In a table with page keys a row is its id and its pages: those that tell the key apart are the ones of the row that has
the value, others are as given, or 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from motion.backends.base import Transaction
from motion.definitions.values.codecs import Stored
from motion.errors import InvalidValue, shortened
from motion.persistence.layout import Layout, quoted
from motion.persistence.ranges import cut, filled_up, places
from motion.persistence.rows.ids import filled_ids
from motion.persistence.rows.kept_rows import Name
from motion.persistence.rows.written import Columns

VALUES_AT_ONCE = 8_192
"""Values looked for in one statement: a key without an index is read whole for each."""

SHOWN_ROWS = 3

Holders = dict[Stored, list[Name]]
"""Value -> the names of the rows whose stored key has it."""


@dataclass
class Matched:
    """Rows with the ids and pages of those that they mean.

    Attributes:
        refused: position -> why, of rows that mean none or several; they have no id.
        held: the names of the rows that those could have meant.
    """

    columns: Columns
    refused: dict[int, InvalidValue] = field(default_factory=dict)
    held: set[Name] = field(default_factory=set)

    def refuse(self, place: int, match: _Match, value: Stored, given: Name) -> None:
        self.refused[place] = match.refusal(value, given)
        self.held.update(match.holders.get(value) or [match.new_name(given)])


def matched(tx: Transaction, layout: Layout, columns: Columns, count: int, by: str) -> Matched:
    """Give rows the names of those that have their values of a key, and new ids to others."""
    found = _found(tx, layout, by, columns[by])
    if not layout.table.page_keys and set(columns.get("id", ())) <= {None}:
        return _ids(tx, layout, columns, by, found)
    match = _Match(layout, by, _by_value(found))
    given = [columns.get(key, (None,) * count) for key in layout.table.primary_key]
    said = {value for value, row in zip(columns[by], given[0], strict=True) if row is not None}
    match.give_ids(tx, [value for value in columns[by] if value not in said])
    match.look_up(tx, given[0])
    return _names(tx, match, columns, list(zip(*given, strict=True)))


def _ids(
    tx: Transaction, layout: Layout, columns: Columns, by: str, found: Sequence[Any]
) -> Matched:
    """Match rows of a table without page keys, where loads are large: nothing is asked row by row."""
    values, known = columns[by], dict[Stored, Stored](found)
    is_unclear = len(known) < len(found)
    fresh = [value for value in dict.fromkeys(values) if value not in known]
    known |= dict(zip(fresh, filled_ids(tx, layout, None, len(fresh)), strict=True))
    given = Matched({**columns, "id": [known[value] for value in values]})
    if is_unclear:
        match = _Match(layout, by, _by_value(found))
        for i, value in enumerate(values):
            if len(match.holders.get(value, ())) > 1:
                given.refuse(i, match, value, (None,))
    return given


def _names(tx: Transaction, match: _Match, columns: Columns, given: Sequence[Name]) -> Matched:
    """Match rows one by one.

    Args:
        given: id and pages of each, None where they were left out.
    """
    keys = match.layout.table.primary_key
    found, names = Matched(columns), list[Name]()
    for i, value in enumerate(columns[match.by]):
        name = match.name_of(tx, value, given[i])
        if name is None:
            found.refuse(i, match, value, given[i])
            name = (None, *(0 for _ in keys[1:]))
        else:
            match.take(name, value)
        names.append(name)
    named = zip(keys, zip(*names, strict=True), strict=True)
    found.columns = {**columns, **{key: list(column) for key, column in named}}
    return found


def _found(tx: Transaction, layout: Layout, key: str, values: Sequence[Stored]) -> list[Any]:
    """Return the rows whose stored key has one of these values: that value, and the row's name."""
    found: list[Any] = []
    names = ", ".join(map(quoted, layout.table.primary_key))
    wanted = [value for value in dict.fromkeys(values) if value is not None]
    for part in map(filled_up, cut(wanted, VALUES_AT_ONCE)):
        sql = f"SELECT {quoted(key)}, {names} FROM {layout.stored()} s WHERE {quoted(key)} IN ({places(part)})"
        found += tx.execute(sql, part).fetchall()
    return found


def _by_value(found: Sequence[Any]) -> Holders:
    holders: Holders = {}
    for value, *name in found:
        holders.setdefault(value, []).append(tuple(name))
    return holders


class _Match:
    """The rows that have the values of some key.

    Attributes:
        holders: value -> their names.
        fresh: value -> a new id, where no row has it.
    """

    def __init__(self, layout: Layout, by: str, holders: Holders) -> None:
        self.layout, self.by, self.holders = layout, by, holders
        level, pages = layout.graph.levels[layout.table.name][by], layout.table.page_keys
        self._tells = [place for place, page in enumerate(pages, 1) if page in level]
        self._others = [place for place, page in enumerate(pages, 1) if page not in level]
        self.fresh: dict[Stored, Stored] = {}
        self._has = {name: value for value, names in holders.items() for name in names}

    def give_ids(self, tx: Transaction, values: Sequence[Stored]) -> None:
        """Make an id for each value that no row has."""
        fresh = [value for value in dict.fromkeys(values) if not self.holders.get(value)]
        made = filled_ids(tx, self.layout, None, len(fresh))
        self.fresh |= dict(zip(fresh, made, strict=True))

    def look_up(self, tx: Transaction, ids: Sequence[Stored]) -> None:
        """Read what rows with given ids have, where these are no pages."""
        if self.layout.table.page_keys:
            return
        named = [row for row in dict.fromkeys(ids) if row is not None and (row,) not in self._has]
        for part in map(filled_up, cut(named, VALUES_AT_ONCE)):
            sql = f"SELECT id, {quoted(self.by)} FROM {self.layout.stored()} s WHERE id IN ({places(part)})"
            self._has |= {(row,): value for row, value in tx.execute(sql, part).fetchall()}
        self._has |= {(row,): None for row in named if (row,) not in self._has}

    @staticmethod
    def new_name(given: Name) -> Name:
        """Return the name of a row that is new under what was given of it."""
        return (given[0], *(page or 0 for page in given[1:]))

    def take(self, name: Name, value: Stored) -> None:
        """Take in that a row has a value from now on: what comes next may mean it."""
        was = self._has.get(name)
        if was != value:
            if was in self.holders:
                self.holders[was].remove(name)
            self.holders.setdefault(value, []).append(name)
            self._has[name] = value

    def name_of(self, tx: Transaction, value: Stored, given: Name) -> Name | None:
        """Return the row that is meant by a value, and the id and page keys that were given, None where one was left out. None:
        the row that has the value is another, or several have it; or the row with that name has another value."""
        if not self.holders.get(value):
            if given[0] is not None:
                name = self.new_name(given)
                return None if self._has_another(tx, name) else name
            if value not in self.fresh:  # the row that had it has got another
                self.give_ids(tx, [value])
            return (self.fresh.pop(value), *self.new_name(given)[1:])
        holders = self._fitting(value, given)
        if len({tuple(name[place] for place in (0, *self._tells)) for name in holders}) != 1:
            return None
        name = tuple(
            (given[place] or 0) if place in self._others else part
            for place, part in enumerate(holders[0])
        )
        is_said = any(given[place] is not None for place in self._others)
        if is_said or name in holders or not self._has_another(tx, name):
            return name
        return holders[0] if len(holders) == 1 else None

    def may_mean(self, tx: Transaction, value: Stored, given: Name) -> set[Name]:
        """Return the row that is meant by a value which some row has; those that have it where nothing tells which."""
        if not self.holders.get(value):
            return set() if given[0] is None else {self.new_name(given)}
        name = self.name_of(tx, value, given)
        return set(self.holders[value]) if name is None else {name}

    def _fitting(self, value: Stored, given: Name) -> list[Name]:
        """Return the rows that have a value, the id that was given, and the pages that were of those that tell the key apart."""
        return [
            name
            for name in self.holders.get(value, ())
            if all(given[place] in (None, name[place]) for place in (0, *self._tells))
        ]

    def _has_another(self, tx: Transaction, name: Name) -> bool:
        """Whether a row has a value of its own of the key, so that it is not the one that is meant by another."""
        if name not in self._has:
            named = " AND ".join(f"s.{quoted(key)} = ?" for key in self.layout.table.primary_key)
            sql = f"SELECT s.{quoted(self.by)} FROM {self.layout.stored()} s WHERE {named}"
            self._has[name] = (tx.execute(sql, name).fetchone() or (None,))[0]
        return self._has[name] is not None

    def refusal(self, value: Stored, given: Name) -> InvalidValue:
        """Return what says why no row is meant."""
        table, by = self.layout.table, self.by
        shown_value = shortened(table.keys[by].decode(value))
        if not self.holders.get(value):
            name = self.new_name(given)
            has = shortened(table.keys[by].decode(self._has[name]))
            told = f"{shown_value} with {self._told(name)}, and that row has {has}"
            return InvalidValue(
                table.name,
                by,
                told,
                f"the value that the row has, or a new row's id, or none; without by={by!r} the id names the row",
            )
        holders = sorted(self._fitting(value, given) or self.holders[value])
        shown = "; ".join(map(self._told, holders[:SHOWN_ROWS]))
        more = "" if len(holders) <= SHOWN_ROWS else f"; and {len(holders) - SHOWN_ROWS} more"
        has = "the row that has it is" if len(holders) == 1 else f"{len(holders)} rows have it:"
        pages = self._told(given)
        told = f"{shown_value}{f' with {pages}' if pages else ''}, and {has} {shown}{more}"
        way = "name the row by its id"
        if given[0] is not None:
            way = f"leave the id out, or {way} and leave by= out"
        elif table.page_keys:
            way = f"give the page keys of the one that is meant{', or none' if pages else ''}, or {way}"
        expected = f"a value that one row has, as set_many(by={by!r}) finds the row by it ({way})"
        return InvalidValue(table.name, by, told, expected)

    def _told(self, name: Name) -> str:
        keys, table = self.layout.table.keys, self.layout.table
        named = zip(table.primary_key, name, strict=True)
        return ", ".join(f"{key}={keys[key].decode(value)!r}" for key, value in named if value is not None)  # fmt: skip


def meant(
    tx: Transaction, layout: Layout, by: str | None, rows: Sequence[Mapping[str, Stored]]
) -> set[Name]:
    """Return the names of the stored rows that may be meant by rows which are not written.

    Args:
        by: the key that names a row; None: the id.
        rows: what each gives of that key, the id and the page keys, None where it was left out; nothing where it cannot be read.
    """
    table, key = layout.table, by or "id"
    named = [row for row in rows if row.get(key) is not None]
    match = _Match(layout, key, _by_value(_found(tx, layout, key, [row[key] for row in named])))
    found: set[Name] = set()
    for row in named:
        holders = match.holders.get(row[key], [])
        if not all(page in row for page in table.page_keys):  # then it may be any page of the id
            ids = [name[0] for name in holders]
            found |= {tuple(name) for _, *name in _found(tx, layout, "id", ids)}
        elif by is None:
            found.add((row[key], *(row[page] or 0 for page in table.page_keys)))
        else:
            pages = [row[page] for page in table.page_keys]
            found |= match.may_mean(tx, row[key], (row.get("id"), *pages))
    return found


def by_id(tx: Transaction, layout: Layout, columns: Columns, count: int) -> Columns:
    """Give new ids to rows where the order would be lost, as rows that give different keys are written apart."""
    if any(None in values for key, values in columns.items() if key != "id"):
        return {**columns, "id": filled_ids(tx, layout, columns.get("id"), count)}
    return columns


def only_named(found: Matched, count: int) -> tuple[Columns, int]:
    """Return the rows that mean one row, and how many they are."""
    if not found.refused:
        return found.columns, count
    named = [i for i in range(count) if i not in found.refused]
    return {key: [values[i] for i in named] for key, values in found.columns.items()}, len(named)


def names_of(layout: Layout, columns: Columns, ids: Sequence[Stored]) -> list[Name]:
    """Return the names of rows that have been given, with the ids that they have got."""
    pages = [columns.get(page, (0,) * len(ids)) for page in layout.table.page_keys]
    return [
        (row_id, *(page or 0 for page in rest)) for row_id, *rest in zip(ids, *pages, strict=True)
    ]
