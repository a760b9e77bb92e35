"""Reading rows: as instances of their dataclass, with the keys that they inherit, by name, condition or number."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from motion.backends.base import Transaction
from motion.background.interrupts import is_of_handler
from motion.definitions.tables.schema import Table
from motion.definitions.values.codecs import INT64_MAX, Stored, encode_parameter
from motion.errors import SqlError, listed
from motion.persistence.layout import NO_PINS, Layout, Pins, quoted
from motion.persistence.ranges import cut, filled_up, places

VALUES_AT_ONCE = 8_192
"""Values looked for in one statement: a key without an index is read whole for each."""


def read_one(
    tx: Transaction,
    layout: Layout,
    row_id: Stored,
    pages: Sequence[Stored],
    *,
    inherit: bool = True,
    pins: Pins = NO_PINS,
) -> Any | None:
    """Return the row named by id and page keys as an instance of its dataclass, or None."""
    named = "".join(f" AND r.{quoted(page)} = ?" for page in layout.table.page_keys)
    sql = f"{_select(layout, inherit, pins)} WHERE r.id = ?{named}"
    found = tx.execute(sql, (row_id, *pages)).fetchone()
    return None if found is None else layout.table.read(found)


def shown_values(
    tx: Transaction, layout: Layout, name: Sequence[Stored]
) -> dict[str, Stored] | None:
    """Return the stored values that a row shows, its own and inherited ones; None where there is no such row."""
    named = " AND ".join(f"r.{quoted(key)} = ?" for key in layout.table.primary_key)
    found = tx.execute(f"{_select(layout, True, NO_PINS)} WHERE {named}", name).fetchone()
    return None if found is None else dict(zip(layout.table.keys, found, strict=True))


def read_rows(
    tx: Transaction,
    layout: Layout,
    *,
    row_id: Stored = None,
    where: str | None = None,
    parameters: Sequence[Any] = (),
    order_by: str | None = None,
    limit: int | None = None,
    inherit: bool = True,
    pins: Pins = NO_PINS,
    keys: frozenset[str] | None = None,
) -> list[Any]:
    """Return rows as instances, in the order asked for, or by id and page keys.

    Args:
        keys: the only ones to read; None: all.
    """
    conditions = ([f"({where}\n)"] if where else []) + (["id = ?"] if row_id is not None else [])
    values = [encode_parameter(value, layout.table.enums) for value in parameters] + (
        [row_id] if row_id is not None else []
    )
    order = unset_first(order_by or ", ".join(map(quoted, layout.table.primary_key)))
    # The rows are numbered after the limit: numbering comes after sorting, and would sort them all.
    chosen = (
        f'SELECT ":row", ROW_NUMBER() OVER () AS ":place" FROM (SELECT ":row" FROM {layout.shown(pins)}'
        f"{' WHERE ' + ' AND '.join(conditions) if conditions else ''}"
        f" ORDER BY {order}\n LIMIT {INT64_MAX if limit is None else int(limit)})"
    )
    sql = f'{_select(layout, inherit, pins, keys)} JOIN ({chosen}) c ON c.":row" = {layout.row} ORDER BY c.":place"'
    found = user_query(tx, sql, values, where or order, layout.table)
    return list(map(layout.table.read, found))


ORDERED_KEY = re.compile(r'\s*("[^"]+"|\w+)(\s+(?:ASC|DESC))?\s*', re.IGNORECASE)


def unset_first(order: str) -> str:
    """Return an order by keys as one in which rows without a value come first, or last where it descends: databases
    differ. Other SQL stays as it is."""
    parts = [ORDERED_KEY.fullmatch(part) for part in order.split(",")]
    if None in parts:
        return order
    ways = [(part[1], (part[2] or "").strip().upper()) for part in parts if part]
    return ", ".join(
        f"{key} DESC NULLS LAST" if way == "DESC" else f"{key} ASC NULLS FIRST" for key, way in ways
    )


def rows_by_number(
    tx: Transaction,
    layout: Layout,
    rows: Sequence[int],
    pins: Pins = NO_PINS,
    keys: frozenset[str] | None = None,
) -> dict[int, Any]:
    """Return rows as instances by their numbers, or some keys of them."""
    found: dict[int, Any] = {}
    read = layout.table.read
    for part in map(filled_up, cut(rows)):
        numbered = tx.execute(_select_numbered(layout, pins, len(part), keys), part).fetchall()
        found |= {row[0]: read(row[1:]) for row in numbered}
    return found


def beside_rows(
    layout: Layout,
    beside: str,
    rows: Sequence[int],
    pins: Pins = NO_PINS,
    keys: frozenset[str] | None = None,
) -> tuple[str, Sequence[int]]:
    """Return the statement that gives the only column of one row, beside each of at most `NAMED_AT_ONCE` rows by their numbers, and
    alone where there is none of them; and its parameters. What it gives is taken apart by `rows_beside`."""
    part = filled_up(rows)
    name = ("beside", beside, len(part), keys, *pins.items())
    sql = layout.statements.get(name)
    if sql is None:
        numbered = _select_numbered(layout, pins, len(part), keys)
        sql = f"SELECT b.*, f.* FROM ({beside}) b LEFT JOIN ({numbered}) f ON 1 = 1"
        layout.statements[name] = sql
    return sql, part


def rows_beside(layout: Layout, found: Sequence[Sequence[Any]]) -> tuple[Any, dict[int, Any]]:
    """Return what the statement of `beside_rows` has found: the column, and the rows by their numbers."""
    read = layout.table.read
    return found[0][0], {row[1]: read(row[2:]) for row in found if row[1] is not None}


def row_numbers(tx: Transaction, layout: Layout, ids: Sequence[Stored]) -> list[int]:
    """Return the numbers of all pages of ids."""
    found: list[int] = []
    for part in map(filled_up, cut(ids, VALUES_AT_ONCE)):
        sql = f"SELECT {layout.row} FROM {layout.base} r WHERE r.id IN ({places(part)})"
        found += [int(row[0]) for row in tx.execute(sql, part)]
    return found


def _select(layout: Layout, inherit: bool, pins: Pins, read: frozenset[str] | None = None) -> str:
    """Return the statement that reads rows whole, or some keys of them, with NULL in place of the others."""
    name = (inherit, read, *pins.items())
    sql = layout.statements.get(name)
    if sql is None:
        keys = [key for key in layout.table.keys if read is None or key in read]
        value = layout.inherited_value if inherit else layout.value
        columns = [value(key) if key in keys else "NULL" for key in layout.table.keys]
        sql = f"SELECT {', '.join(columns)} FROM {layout.joined(keys, (), pins, inherit=inherit)}"
        layout.statements[name] = sql
    return sql


def _select_numbered(layout: Layout, pins: Pins, count: int, keys: frozenset[str] | None) -> str:
    """Return the statement that reads so many rows by their numbers, which come first in what it gives."""
    name = ("numbered", count, keys, *pins.items())
    sql = layout.statements.get(name)
    if sql is None:
        selected = _select(layout, True, pins, keys).replace("SELECT ", f"SELECT {layout.row}, ", 1)
        sql = f"{selected} WHERE {layout.row} IN ({', '.join('?' * count)})"
        layout.statements[name] = sql
    return sql


def user_query(
    tx: Transaction, sql: str, values: Sequence[Any], given: str, table: Table
) -> Iterable[Any]:
    try:
        return tx.execute(sql, values).fetchall()  # type: ignore[no-any-return]  # rows of SQLite
    except Exception as exc:
        if is_of_handler(exc):
            raise
        has = f"; table {table.name!r} has {listed(table.keys)}" if "column" in str(exc) else ""
        raise SqlError(given, f"{exc}{has}{_only_reads(exc)}") from exc


def _only_reads(exc: Exception) -> str:
    return "; a condition only reads" if "not authorized" in str(exc) else ""
