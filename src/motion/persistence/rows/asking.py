"""Asking: which rows somebody asks for who is not trusted, as a query of its own that runs within limits. Rows are then read by
the names that it gives, so that nothing of what was asked becomes part of a statement of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from motion.definitions.tables.schema import STORED, Key, Table
from motion.persistence.layout import quoted
from motion.persistence.rows.reading import unset_first


@dataclass(frozen=True)
class Condition:
    """SQL with `?` for values."""

    sql: str
    values: Sequence[Any] = ()


def equals(key: Key, value: Any) -> Condition:
    """Return the condition that a row shows a value of a key.

    Raises:
        InvalidValue: it is none of the key's.
    """
    stored = key.encode(value)
    if stored is None:
        return Condition(f"{quoted(key.name)} IS NULL")
    alike = key.codec.equals(stored)
    return Condition(" OR ".join([f"{quoted(key.name)} = ?"] * len(alike)), alike)


def follows(table: Table, name: Sequence[Any]) -> Condition:
    """Return the condition that a row comes after one, by id and page keys.

    Raises:
        InvalidValue: it names none.
    """
    keys = [table.keys[each] for each in table.primary_key]
    values = [key.encode(value) for key, value in zip(keys, name, strict=True)]
    return Condition(f"({_names(table)}) > ({', '.join('?' * len(keys))})", values)


def among(table: Table, names: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
    """Return the condition, and its parameters, that a row is one of those named by id and page keys."""
    parts = [f"json_extract(value, '$[{place}]')" for place in range(len(table.primary_key))]
    if not table.has_int_id and any(NUL in id for id, *_ in names):
        names = [(_without_nul(id), *pages) for id, *pages in names]
        parts[0] = _with_nul(parts[0])
    kinds = [table.keys[key].codec.sql_type for key in table.primary_key]
    cast = ", ".join(f"CAST({part} AS {kind})" for part, kind in zip(parts, kinds, strict=True))
    wanted = f"SELECT {cast} FROM json_each(?)"
    return f"({_names(table)}) IN ({wanted})", [msgspec.json.encode(names).decode()]


NUL, MARK = "\0", "\1"


def _without_nul(text: str) -> str:
    """Return a text that SQLite's JSON functions, which cut one off at NUL, leave as it is."""
    return text.replace(MARK, f"{MARK}b").replace(NUL, f"{MARK}a")


def _with_nul(marked: str) -> str:
    """Return the expression of the text that was so before."""
    return f"REPLACE(REPLACE({marked}, CHAR(1) || 'a', CHAR(0)), CHAR(1) || 'b', CHAR(1))"


def names_of_rows(
    table: Table, conditions: Sequence[Condition], *, order_by: str | None, inherit: bool
) -> tuple[str, list[Any]]:
    """Return the query, and its parameters, for the ids and page keys of rows, in the order asked for or by these."""
    source = quoted(table.name if inherit else f"{table.name}{STORED}")
    wanted = " AND ".join(["1 = 1", *(f"({each.sql}\n)" for each in conditions)])
    order = unset_first(order_by or _names(table))
    query = f"SELECT {_names(table)} FROM {source} WHERE {wanted}\nORDER BY {order}\n"
    return query, [value for each in conditions for value in each.values]


def _names(table: Table) -> str:
    return ", ".join(map(quoted, table.primary_key))
