"""Exact reads: questions about rows that can be asked again, and answers that can be compared.

Answers hold stored values, with the rows' numbers: numbers are never used twice, so a row that was deleted and made again
with equal values is told from the one that was read.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from motion.backends.base import Transaction
from motion.definitions.tables.schema import Table
from motion.definitions.values.codecs import INT64_MAX, Stored
from motion.persistence.layout import NO_PINS, Layout, Pins, quoted

Order = tuple[tuple[str, bool], ...]
"""Keys to sort by, each with whether the largest comes first; a row without a value comes before all others."""

ORDERED = re.compile(r'\s*"?(?P<key>\w+)"?(?:\s+(?P<way>ASC|DESC))?\s*', re.IGNORECASE)


@dataclass(frozen=True)
class Question:
    """The rows of an id, or those that equalities hold for.

    Attributes:
        id: of the rows asked for; None: of any.
        pages: the page keys' values of those asked for; none: of all.
        equal: (key, stored value) that rows show, inherited or their own; None: they show none.
        order: how they are sorted, by what they show; id and pages come behind.
        limit: how many of them at most.
        keys: those that are read; None: all.
        pins: component -> state version whose outputs are read.
    """

    table: str
    id: Stored = None
    pages: tuple[tuple[Stored, ...], ...] = ()
    equal: tuple[tuple[str, Stored], ...] = ()
    order: Order = ()
    limit: int | None = None
    keys: tuple[str, ...] | None = None
    pins: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Found:
    """One row of an answer.

    Attributes:
        number: the row's; None of one that is not committed.
        name: its id and page keys.
        values: key -> its own stored value.
        order: what it shows of the keys that the answer is sorted by.
    """

    number: int | None
    name: tuple[Stored, ...]
    values: Mapping[str, Stored]
    order: tuple[Stored, ...] = ()


def ask(tx: Transaction, layout: Layout, question: Question) -> list[Found]:
    """Return the rows that a question asks for as they are now, with their own values."""
    keys = keys_of(layout, question)
    sql, values = _statement(layout, question, keys), _values(layout, question)
    own = 1 + len(layout.table.primary_key)
    order = own + len(keys)
    return [
        Found(row[0], row[1:own], dict(zip(keys, row[own:order], strict=True)), row[order:])
        for row in tx.execute(sql, values)
    ]


def order_of(table: Table, given: str | None) -> Order | None:
    """Return an `order_by` as keys, None where it is other SQL."""
    order: list[tuple[str, bool]] = []
    for part in (given or "").split(",") if given else ():
        match = ORDERED.fullmatch(part)
        if match is None or match["key"] not in table.keys:
            return None
        order.append((match["key"], (match["way"] or "").upper() == "DESC"))
    return tuple(order)


def digest_of(found: Sequence[Found]) -> bytes:
    """Return what tells one answer from another."""
    plain = [(row.number, row.name, tuple(row.values.values()), row.order) for row in found]
    return hashlib.blake2b(msgspec.msgpack.encode(plain), digest_size=16).digest()


def id_asked(question: Question) -> Stored:
    """Return the id of the rows that a question is about; None where it is about any."""
    return question.id if question.id is not None else dict(question.equal).get("id")


def keys_used(layout: Layout, question: Question) -> tuple[str, ...] | None:
    """Return the keys beside the primary key that an answer depends on; None: on all."""
    if question.keys is None:
        return None
    used = [
        *question.keys,
        *(key for key, _ in question.equal),
        *(key for key, _ in question.order),
    ]
    named = {*layout.table.primary_key}
    return tuple(dict.fromkeys(key for key in used if key not in named))


def keys_of(layout: Layout, question: Question) -> tuple[str, ...]:
    """Return the keys beside the primary key that an answer holds."""
    named = set(layout.table.primary_key)
    keys = layout.table.keys if question.keys is None else question.keys
    return tuple(key for key in keys if key not in named)


# -- what rows show --


def names_needed(layout: Layout, pages: Sequence[Stored]) -> tuple[tuple[Stored, ...], ...]:
    """Return the page keys' values of a row, and of those that it takes values from."""
    named = list(zip(layout.table.page_keys, pages, strict=True))
    levels = set(layout.graph.levels[layout.table.name].values())
    others = {tuple(value if page in level else 0 for page, value in named) for level in levels}
    return (tuple(pages), *sorted(others - {tuple(pages)}, key=str))


def shown(
    layout: Layout, rows: Sequence[Found], pages: Sequence[Stored], *, inherit: bool = True
) -> Any | None:
    """Return a row as an instance of its dataclass, with what it takes from other pages of its id; None if it is not there.

    Args:
        rows: of its id, at least those of `names_needed`.
    """
    by_pages = {row.name[1:]: row for row in rows}
    row = by_pages.get(tuple(pages))
    if row is None:
        return None
    named = dict(zip(layout.table.primary_key, row.name, strict=True))
    values = shown_values(layout, by_pages, row) if inherit else row.values
    held = {**values, **named}
    return layout.table.read([held.get(key) for key in layout.table.keys])


def shown_values(
    layout: Layout, by_pages: Mapping[tuple[Stored, ...], Found], row: Found
) -> Mapping[str, Stored]:
    """Return a row's values with those that it takes from page 0 of the page keys that do not tell them apart."""
    pages = row.name[1:]
    if not any(pages):
        return row.values
    values = dict(row.values)
    named = list(zip(layout.table.page_keys, pages, strict=True))
    for key, value in row.values.items():
        if value is None:
            level = layout.graph.levels[layout.table.name][key]
            above = by_pages.get(tuple(page if name in level else 0 for name, page in named))
            values[key] = above.values[key] if above else None
    return values


def _values(layout: Layout, question: Question) -> list[Any]:
    values = [value for key, value in question.equal for _ in range(_shows(layout, key, value)[1])]
    values += [] if question.id is None else [question.id]
    values += [value for name in question.pages for value in name]
    return [*values, INT64_MAX if question.limit is None else question.limit]


def _shows(layout: Layout, key: str, value: Stored) -> tuple[str, int]:
    return layout.shows(key, layout.inherited_value(key), "r.id", is_set=value is not None)


def _statement(layout: Layout, question: Question, keys: Sequence[str]) -> str:
    """Return a question's statement, made once for each of its kind."""
    equal = tuple((key, value is None) for key, value in question.equal)  # unset: other SQL
    pages = len(question.pages)
    kind = ("exact", question.id is None, pages, equal, question.order, keys, question.pins)
    sql = layout.statements.get(kind)
    if sql is None:
        sql = layout.statements[kind] = _compose(layout, question, keys)
    return sql


def _compose(layout: Layout, question: Question, keys: Sequence[str]) -> str:
    pins: Pins = dict(question.pins) or NO_PINS
    names = [f"r.{quoted(key)}" for key in layout.table.primary_key]
    sorted_by = [layout.inherited_value(key) for key, _ in question.order]
    ways = [
        "DESC NULLS LAST" if is_descending else "ASC NULLS FIRST"
        for _, is_descending in question.order
    ]
    order = [f"{value} {way}" for value, way in zip(sorted_by, ways, strict=True)]
    equal = [key for key, _ in question.equal]
    used = [*keys, *equal, *(key for key, _ in question.order)]
    conditions = [_shows(layout, key, value)[0] for key, value in question.equal]
    conditions += [] if question.id is None else ["r.id = ?"]
    if question.pages and layout.table.page_keys:
        page = " AND ".join(f"r.{quoted(key)} = ?" for key in layout.table.page_keys)
        conditions.append(f"({' OR '.join([f'({page})'] * len(question.pages))})")
    columns = [layout.row, *names, *(layout.value(key) for key in keys), *sorted_by]
    source = layout.joined(used, (), pins, inherit=bool(equal or order))
    return (
        f"SELECT {', '.join(columns)} FROM {source} "
        f"WHERE {' AND '.join(conditions) or '1 = 1'} ORDER BY {', '.join([*order, *names])} LIMIT ?"
    )
