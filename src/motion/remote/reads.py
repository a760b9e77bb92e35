"""Questions as a server takes them: checked by the tables as a store checks them, so that what it refuses is refused here, and
every value arrives as it was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from motion.definitions.tables import wire
from motion.definitions.tables.schema import Table
from motion.definitions.values.codecs import Refused, StrCodec, encode_parameter
from motion.errors import InvalidArgument, SqlError, shortened
from motion.persistence.database import Where, check_condition, chosen_keys
from motion.remote.link import Link

MOST_ROWS = 1_000
"""Rows that are asked for at once."""


def condition_told(table: Table, where: Where, params: Sequence[Any]) -> dict[str, Any]:
    """Return a condition and its parameters."""
    check_condition(where, params)
    if isinstance(where, Mapping):
        stored = {name: table.key(name).encode(value) for name, value in where.items()}
        return {
            "where": {
                name: wire.stored_told(table.key(name), each) for name, each in stored.items()
            }
        }
    return {"where": sql_told(where or None), "params": parameters_told(params, table.enums)}


def sql_told(text: str | None) -> str | None:
    """Return SQL of the asker's own.

    Raises:
        SqlError: no database takes it as text.
    """
    try:
        return None if text is None else StrCodec().encode(text)
    except Refused as exc:
        raise SqlError(shortened(text), f"it is no {str(exc) or 'str'}") from exc


def parameters_told(params: Sequence[Any], enums: frozenset[type]) -> list[Any]:
    return [wire.parameter_told(encode_parameter(each, enums)) for each in params]


def keys_told(table: Table, keys: Sequence[str] | None) -> list[str] | None:
    chosen = chosen_keys(table, keys)
    return None if chosen is None else [name for name in table.value_keys if name in chosen]


def rows_of(
    link: Link, table: Table, asked: Mapping[str, Any], limit: int | None = None
) -> list[Any]:
    """Return rows, asked for part by part; in an order of their own in one, as nothing tells where in it to go on.

    Raises:
        InvalidArgument: there are more in this order than the server gives at once.
    """
    most: int = link.limits["rows"]
    at_once = min(MOST_ROWS, most) if asked.get("order_by") is None else most
    found: list[Any] = []
    after = None
    while True:
        left = at_once if limit is None else min(limit - len(found), at_once)
        told = link.post("/v1/rows", {"table": table.name, **asked, "limit": left, "after": after})
        found += [wire.row_of(table, each) for each in told["rows"]]
        after = told["next"]
        if limit is not None and len(found) >= limit:
            return found
        if after is None and told["more"]:
            expected = f"at most {most} beside order_by=, as the server gives no more at once and there are more rows"
            raise InvalidArgument("rows(limit=)", repr(limit), expected)
        if after is None:
            return found
