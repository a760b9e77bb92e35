"""Noted tables: rows of tables that the store has and this process has no dataclass for, read by what is noted of their keys.

A row is an instance of a dataclass made for it: enums are their members' names, and lists, dicts and nested dataclasses plain data.
Values are those that the table's view shows; writing needs the schema.
"""

from __future__ import annotations

import ast
import keyword
from collections.abc import Mapping, Sequence
from dataclasses import make_dataclass, replace
from datetime import date, datetime
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from motion.backends.base import Transaction
from motion.definitions.functions.sources import untangled
from motion.definitions.tables.schema import (
    Index,
    IndexKind,
    Key,
    KeyOptions,
    Metric,
    Table,
    Tables,
    Unreadable,
    Vector,
    plain_default,
    table_of,
)
from motion.definitions.values.codecs import INT64_MAX, JsonCodec, Stored, encode_parameter
from motion.definitions.values.decoders import from_json
from motion.errors import SchemaError
from motion.persistence.layout import quoted
from motion.persistence.rows.reading import unset_first, user_query

KINDS: Mapping[str, Any] = {
    "int": int, "float": float, "bool": bool, "str": str, "bytes": bytes, "datetime": datetime, "date": date,
    "np.ndarray": np.ndarray,
}  # fmt: skip


def noted_table(tx: Transaction, name: str) -> Table | None:
    """Return a table of the store as it is noted; None where there is none, or what is noted cannot be told."""
    if not name.isascii():  # no table has such a name, and half a character none can be asked for
        return None
    found = tx.execute("SELECT signature FROM motion_tables WHERE name = ?", (name,)).fetchone()
    if found is None:
        return None
    return table_of_signature(name, from_json(found[0], dict[str, str]), _said(tx, name))


def table_of_signature(
    name: str, signature: Mapping[str, str], said: Mapping[str, Declared]
) -> Table | None:
    """Return a table as `Table.signature` and what is said beside it tell; None where these cannot be told."""
    if any(keyword.iskeyword(key) for key in signature):
        return None
    try:
        fields = [
            (key, _kind(noted, said.get(key, Declared()))) for key, noted in signature.items()
        ]
        table = table_of(name, make_dataclass(name, fields))
    except (
        SchemaError,
        ValueError,
        SyntaxError,
    ):  # noted by a newer version, or with a name that cannot be any more
        return None
    keys = {
        each.name: _with_default(_with_json(each), said.get(each.name, Declared()))
        for each in table.keys.values()
    }
    return Table(name, table.cls, keys, is_noted=True)


def _said(tx: Transaction, name: str) -> Mapping[str, Declared]:
    found = tx.execute("SELECT keys FROM motion_declared WHERE name = ?", (name,)).fetchone()
    return from_json(found[0], dict[str, Declared]) if found else {}


def noted_tables(tx: Transaction) -> Tables:
    """Return all tables of the store as they are noted."""
    found = with_noted(tx, Tables({}))
    found.stored = _names(tx)
    return found


def with_noted(tx: Transaction, tables: Tables) -> Tables:
    """Return tables together with all others of the store, as they are noted."""
    others = [name for name in _names(tx) if name not in tables]
    return tables.joined(each for name in others if (each := noted_table(tx, name)) is not None)


def _names(tx: Transaction) -> tuple[str, ...]:
    sql = "SELECT name FROM motion_tables ORDER BY rowid"
    return tuple(str(name) for (name,) in tx.execute(sql))


class Declared(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a schema says of a key beside its type.

    Attributes:
        default: what a new row has where the key is left out, in stored form; None of one that is made for each row.
    """

    level: str | None = None
    is_indexed: bool = False
    metric: Metric = "cosine"
    index: IndexKind = "auto"
    has_default: bool = False
    default: int | float | str | None = None


def note_declared(tx: Transaction, table: Table) -> None:
    """Keep what a table's schema says of its keys beside their types, for those who open the store without it."""
    noted = {
        key.name: declared_of(key, plain_default(table.cls, key.name))
        for key in table.keys.values()
    }
    tx.execute(
        "INSERT INTO motion_declared (name, keys) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET keys = excluded.keys",
        (table.name, msgspec.json.encode(noted).decode()),
    )


def declared_of(key: Key, default: Any = None) -> Declared:
    """Return what is said of a key beside its type.

    Args:
        default: what a new row has where the key is left out, if that is a plain value.
    """
    stored = None if default is None else key.encode(default)
    return Declared(
        key.level, key.is_indexed, key.metric, key.index,
        has_default=key.make_default is not None and not key.is_page,
        default=None if isinstance(stored, bytes) else stored,
    )  # fmt: skip


def _kind(noted: str, said: Declared) -> Any:
    is_page, kind = noted.startswith("page "), noted.removeprefix("page ")
    options = [KeyOptions(page=is_page, level=said.level), *([Index()] if said.is_indexed else [])]
    word, *rest = kind.split(" ")
    found: Any
    if word == "vector":
        found = Annotated[np.ndarray, Vector(int(rest[0]), said.metric, said.index)]
    elif word == "enum":
        found = Literal[tuple(name.replace("\\x20", " ") for name in rest)]
    elif word == "literal":
        found = Literal[tuple(untangled(partial(ast.literal_eval, each)) for each in rest)]
    else:
        found = KINDS.get(kind, dict)
    for option in options:
        found = Annotated[found, option]
    return found


def _with_json(key: Key) -> Key:
    """Return a key, one that holds JSON with whatever JSON there is."""
    return replace(key, codec=JsonCodec(Any, "JSON")) if isinstance(key.codec, JsonCodec) else key


def _with_default(key: Key, said: Declared) -> Key:
    """Return a key with the default that is noted. One that is made for each row only its schema can make."""
    if not said.has_default:
        return key
    value = key.decode(said.default)
    if value is None:
        return replace(key, make_default=lambda: Unreadable("left out"))
    return replace(key, make_default=lambda: value)


def read(
    tx: Transaction,
    table: Table,
    conditions: Mapping[str, Stored],
    where: str | None = None,
    parameters: Sequence[Any] = (),
    order_by: str | None = None,
    limit: int | None = None,
    *,
    inherit: bool = True,
    keys: frozenset[str] | None = None,
) -> list[Any]:
    """Return rows as instances, in the order asked for, or by id and page keys.

    Args:
        conditions: keys that have to have these stored values.
        keys: the only ones to read; None: all.
    """
    wanted = [
        f"{quoted(key)} IS NULL" if value is None else f"{quoted(key)} = ?"
        for key, value in conditions.items()
    ]
    wanted += [f"({where}\n)"] if where else []
    given = [value for value in conditions.values() if value is not None]
    values = [*given, *(encode_parameter(value) for value in parameters)]
    order = unset_first(order_by or ", ".join(map(quoted, table.primary_key)))
    columns = [quoted(key) if keys is None or key in keys else "NULL" for key in table.keys]
    source = quoted(table.name if inherit else f"{table.name}__stored")
    sql = (
        f"SELECT {', '.join(columns)} FROM {source}"
        f"{' WHERE ' + ' AND '.join(wanted) if wanted else ''} ORDER BY {order}\n"
        f"LIMIT {INT64_MAX if limit is None else int(limit)}"
    )
    return [table.read(row) for row in user_query(tx, sql, values, where or order, table)]


def count(tx: Transaction, table: Table, where: str | None, *, inherit: bool) -> int:
    """Return how many rows a condition holds for. It reads them."""
    condition = "" if where is None else f" WHERE {where}\n"
    source = quoted(table.name if inherit else f"{table.name}__stored")
    (found,) = user_query(tx, f"SELECT COUNT(*) FROM {source}{condition}", (), where or "", table)
    return int(found[0])
