"""Noted tables: rows of tables that the store has and this process has no dataclass for, read by what is noted of their keys.

A row is an instance of a dataclass made for it: enums are their members' names, and lists, dicts and nested dataclasses plain data.
Values are those that the table's view shows; writing needs the schema.
"""

from __future__ import annotations

import keyword
from collections.abc import Mapping, Sequence
from dataclasses import make_dataclass
from datetime import date, datetime
from typing import Annotated, Any

import msgspec
import numpy as np

from motion.backends.base import Transaction
from motion.codecs import JsonCodec, Stored, encode_parameter
from motion.errors import SchemaError
from motion.persistence.layout import quoted
from motion.persistence.reading import decoded, user_query
from motion.schema import Key, KeyOptions, Table, Vector, table_of

KINDS: Mapping[str, Any] = {
    "int": int, "float": float, "bool": bool, "str": str, "bytes": bytes, "datetime": datetime, "date": date,
    "np.ndarray": np.ndarray,
}  # fmt: skip


def noted_table(tx: Transaction, name: str) -> Table | None:
    """Return a table of the store as it is noted; None where there is none, or what is noted cannot be told."""
    found = tx.execute("SELECT signature FROM motion_tables WHERE name = ?", (name,)).fetchone()
    if found is None:
        return None
    signature = msgspec.json.decode(found[0], type=dict[str, str])
    if any(keyword.iskeyword(key) for key in signature):
        return None
    fields = [(key, _kind(noted)) for key, noted in signature.items()]
    try:
        table = table_of(name, make_dataclass(name, fields))
    except SchemaError:  # noted by a newer version, or with a name that cannot be any more
        return None
    keys = {each.name: _with_json(each, signature[each.name]) for each in table.keys.values()}
    return Table(name, table.cls, keys)


def _kind(noted: str) -> Any:
    is_page, kind = noted.startswith("page "), noted.removeprefix("page ")
    word, _, rest = kind.partition(" ")
    if word == "vector":
        return Annotated[np.ndarray, Vector(int(rest)), KeyOptions(page=False)]
    is_number = word == "literal" and rest[:1] not in ("'", '"')
    found = KINDS.get(kind, int if is_number else str if word in ("enum", "literal") else dict)
    return Annotated[found, KeyOptions(page=is_page)]


def _with_json(key: Key, noted: str) -> Key:
    """Return a key, one that holds JSON with whatever JSON there is."""
    if not isinstance(key.codec, JsonCodec):
        return key
    return Key(key.table, key.name, JsonCodec(Any, "JSON"))


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
    wanted = [f"{quoted(key)} IS ?" for key in conditions] + ([f"({where}\n)"] if where else [])
    values = [*conditions.values(), *(encode_parameter(value) for value in parameters)]
    order = order_by or ", ".join(map(quoted, table.primary_key))
    columns = [quoted(key) if keys is None or key in keys else "NULL" for key in table.keys]
    source = quoted(table.name if inherit else f"{table.name}__stored")
    sql = (
        f"SELECT {', '.join(columns)} FROM {source}"
        f"{' WHERE ' + ' AND '.join(wanted) if wanted else ''} ORDER BY {order}\n"
        f"LIMIT {-1 if limit is None else int(limit)}"
    )
    return [decoded(table, row) for row in user_query(tx, sql, values, where or order, table)]
