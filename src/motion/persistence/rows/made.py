"""Made rows: making the rows that a run gives exactly what it gives, pages and rows of another table alike.

What must go is told, and deleted by who asked: what follows from a deletion is `persistence.cascade`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from motion.backends.base import Transaction
from motion.definitions.values.codecs import Stored
from motion.persistence.layout import Layout, changed_column, quoted
from motion.persistence.ranges import Ranges
from motion.persistence.rows import makers
from motion.persistence.rows.makers import Maker, Row, Run, Values
from motion.persistence.rows.writing import default_of, update_row
from motion.persistence.rows.written import Written

Items = Mapping[int, Values]
"""The place of an item -> what it gives."""


@dataclass
class Remade:
    """What became of rows.

    Attributes:
        gone: rows that no run makes any more, nor a user made.
    """

    written: Written
    gone: list[int] = field(default_factory=list)


def settle(
    tx: Transaction,
    layout: Layout,
    row: Row,
    before: Iterable[str],
    after: Values,
    users: Iterable[str],
    number: int,
) -> Written:
    """Let a row that is there have what runs give it. Where that is another value than it has, it loses what users had
    set on it: that was about what was there.

    Args:
        before: the keys that runs gave until now; what they give no longer has its default, or is unset.
        after: what they give.
        users: the keys that a user's value is lost of.
        number: of this change.
    """
    pages = row.name[1:]
    wanted = {
        key: after[key] if key in after else default_of(layout, key, pages)
        for key in dict.fromkeys((*before, *after))
    }
    changes = _changes(row, wanted)
    if changes and any(row.values[key] is not None for key in wanted):
        others = {key: default_of(layout, key, pages) for key in users if key not in wanted}
        changes |= _changes(row, others)
    written = Written(layout)
    assignments: dict[str, Stored] = {}
    for key, value in changes.items():
        assignments[quoted(key)] = value
        if key in layout.numbered:
            assignments[changed_column(key)] = number
        written.note(key, [row.number], arrived=row.values[key] is None)
    if assignments:
        update_row(tx, layout, row.number, assignments)
        row.values |= changes
    return written


def _changes(row: Row, wanted: Values) -> dict[str, Stored]:
    return {
        key: value
        for key, value in wanted.items()
        if row.values[key] != value or type(row.values[key]) is not type(value)
    }


# -- rows that several runs may make --


def remake(
    tx: Transaction, layout: Layout, run: Run, row: Row, items: Items, number: int, remade: Remade
) -> None:
    """Let the items of a run, all that it has on this row, be what it gives to it."""
    is_its_own = row.maker is not None and row.maker[:2] == (run.trigger, run.source)
    if is_its_own and len(items) <= 1 and not makers.is_noted(tx, layout, row.number):
        _remake_plain(tx, layout, run, row, items, number, remade)
    else:
        _remake_noted(tx, layout, run, row, items, number, remade)


def _remake_plain(
    tx: Transaction, layout: Layout, run: Run, row: Row, items: Items, number: int, remade: Remade
) -> None:
    """Do so with a row that this run alone makes."""
    if not items:
        remade.gone.append(row.number)
        return
    [(item, given)] = items.items()
    users = users_keys(layout)
    before = row.keys if row.keys is not None else users
    remade.written.add(settle(tx, layout, row, before, given, users, number))
    made = (run.trigger, run.source, item)
    if row.maker != made or row.keys != frozenset(given):
        makers.keep(tx, layout, [(row.number, made, given)])


def _remake_noted(
    tx: Transaction, layout: Layout, run: Run, row: Row, items: Items, number: int, remade: Remade
) -> None:
    """Do so with a row that others make too, or users have a part in."""
    makers.note(tx, layout, row)
    before = makers.makers_of(tx, layout, row.number)
    makers.note_items(tx, layout, row.number, run, items)
    after = makers.makers_of(tx, layout, row.number)
    counts = any((run.trigger, run.source) == (m.trigger, m.source) for m in (*before, *after))
    if row.own <= run.number and (counts or makers.merged(before) != makers.merged(after)):
        _settle_noted(tx, layout, row, before, after, number, remade)
    _tidy(tx, layout, row, after, remade)


def _settle_noted(
    tx: Transaction,
    layout: Layout,
    row: Row,
    before: Sequence[Maker],
    after: Sequence[Maker],
    number: int,
    remade: Remade,
) -> None:
    """Let a noted row have what its makers give; a user's row loses nothing else, and neither does one that goes."""
    is_users = row.maker is None
    if after or is_users:
        users = () if is_users else users_keys(layout)
        keys = users if row.keys is None and not is_users else makers.merged(before)
        given = makers.merged(after)
        remade.written.add(settle(tx, layout, row, keys, given, users, number))


def _tidy(
    tx: Transaction, layout: Layout, row: Row, after: Sequence[Maker], remade: Remade
) -> None:
    """Keep who makes a noted row now; note it no longer where its values tell what its only maker gives."""
    is_users = row.maker is None
    if not after and not is_users:
        remade.gone.append(row.number)
        return
    given = makers.merged(after)
    first = None if is_users else (after[0].trigger, after[0].source, after[0].item)
    makers.keep(tx, layout, [(row.number, first, given)])
    shows = all(row.values[key] == value for key, value in given.items())
    if shows and not is_users and not makers.is_shared(tx, layout, row.number):
        makers.forget(tx, layout, Ranges([(row.number, row.number)]))


def users_keys(layout: Layout) -> tuple[str, ...]:
    """Return the keys that are a user's where no run gives them; a row keeps the time at which it was made."""
    stamp = layout.table.timestamp_key
    return tuple(key for key in layout.free_keys if stamp is None or key != stamp.name)


def unmake(
    tx: Transaction, layout: Layout, trigger: str, sources: Sequence[int], number: int
) -> Remade:
    """Let rows that are about to be deleted make nothing any more."""
    plain, noted = makers.rows_made(tx, layout, trigger, sources)
    remade = Remade(Written(layout), plain)
    for row in makers.rows_numbered(tx, layout, noted):
        before = makers.makers_of(tx, layout, row.number)
        makers.forget_sources(tx, layout, row.number, trigger, sources)
        after = makers.makers_of(tx, layout, row.number)
        if makers.merged(before) != makers.merged(after):
            _settle_noted(tx, layout, row, before, after, number, remade)
        _tidy(tx, layout, row, after, remade)
    return remade
