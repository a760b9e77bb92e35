"""Addresses: how a call says which row it is about, by table and id or by a row that was read before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

from motion.definitions.tables.schema import Table, TableName, Tables
from motion.errors import InvalidArgument, InvalidValue, listed, shortened

NAMES_A_TABLE = (str, type)


class Instance(Protocol):
    """A row as it was read: an instance of its table's dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


class KeyAddress(NamedTuple):
    """One value of a store: a key of the row with an id and page keys."""

    table: TableName
    id: Any
    key: str
    pages: Mapping[str, Any]


def named_row(tables: Tables, given: TableName | Any) -> tuple[Table, dict[str, Any]]:
    """Return the table, and the primary key where a row read before was given instead of a table."""
    if isinstance(given, NAMES_A_TABLE):
        return tables.get(given), {}
    table = tables.get(type(given))
    return table, {name: getattr(given, name) for name in table.primary_key}


def addressed(
    tables: Tables, call: str, given: TableName | Any, id: Any, pages: Mapping[str, Any]
) -> tuple[TableName, Any, Mapping[str, Any]]:
    """Return the table, the id and the page keys of the row that a call is about.

    Args:
        call: its name, for errors.
        given: a table, or a row read before, whose id and page keys are then used.
        pages: page keys that were given beside it, which are taken instead of the row's.

    Raises:
        InvalidArgument: there is an id beside a row.
        InvalidValue: the row's own id is unset, so that it names none.
    """
    if isinstance(given, NAMES_A_TABLE):
        return given, id, pages
    table, key = named_row(tables, given)
    if id is not None:
        taken = f"a row read before, or a table ({table.name!r}) and an id"
        both = (
            f"a row of {table.name!r}, whose id is {shortened(key['id'])}, and id {shortened(id)}"
        )
        raise InvalidArgument(f"{call}()", both, taken)
    if key["id"] is None:
        raise InvalidValue(table.name, "id", "None", table.keys["id"].codec.expected)
    of_row = {page: key[page] for page in table.page_keys if key[page] is not None}
    return table.name, key["id"], {**of_row, **pages}


def addressed_key(
    tables: Tables,
    call: str,
    given: TableName | Any,
    named: Sequence[Any],
    pages: Mapping[str, Any],
) -> KeyAddress:
    """Return the value that a call is about: of a table, an id and a key, or of a row read before and a key.

    Args:
        named: what was given beside the table or the row.
    """
    needed = 2 if isinstance(given, NAMES_A_TABLE) else 1
    if not needed <= len(named) <= 2:
        taken = "a table, an id and a key, or a row read before and a key"
        raise InvalidArgument(f"{call}()", listed([shortened(each) for each in named]), taken)
    given_id = named[0] if len(named) == 2 else None
    table, row_id, pages = addressed(tables, call, given, given_id, pages)
    return KeyAddress(table, row_id, named[-1], pages)
