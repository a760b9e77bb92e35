"""Elsewhere: what is taken of other rows, lookups and windows, held against the tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args, get_origin

from motion.definitions.tables.lookups import Lookup
from motion.definitions.tables.schema import Key, Table, Tables
from motion.definitions.tables.windows import Window
from motion.definitions.values.codecs import Codec
from motion.errors import InvalidValue, SchemaError


def checked(
    taken: Lookup | Window | None, table: Table, tables: Tables, *, has_gaps: bool
) -> Lookup | Window | None:
    """Hold what is taken of other rows against the tables, and return it with what is found there.

    Args:
        has_gaps: the elements of the type that it stands beside, a list's, may be None.

    Raises:
        SchemaError: it does not fit.
    """
    if isinstance(taken, Window):
        return checked_window(taken, table, tables)
    return None if taken is None else checked_lookup(taken, table, tables, has_gaps=has_gaps)


def checked_lookup(lookup: Lookup, table: Table, tables: Tables, *, has_gaps: bool) -> Lookup:
    """Hold a lookup against the tables, and return it with what is found there.

    Args:
        has_gaps: the elements of the type that it stands beside, a list's, may be None.

    Raises:
        SchemaError: it does not fit.
    """
    looked_up, other = tables.key(lookup.key), tables.get(lookup.table)
    own = [table.key(name) for name in lookup.bys]
    is_of_list = len(own) == 1 and own[0].codec.sql_type == "JSON_TEXT"
    if is_of_list:
        _check_list(lookup, own[0], other.key(lookup.to_key))
    elif lookup.to is not None:
        _check_to(lookup, own[0], other.key(lookup.to_key))
    else:
        _check_named(lookup, own, other)
    if looked_up.name == "id" or looked_up.is_page:
        raise SchemaError(f"{lookup.key} is part of the primary key, which by= gives already.")
    return replace(lookup, is_of_list=is_of_list, has_gaps=is_of_list and has_gaps)


def _check_list(lookup: Lookup, by: Key, target: Key) -> None:
    """Refuse lists of what names no row."""
    expected = target.codec.expected
    if expected not in ("int", "str") or target.is_page:
        raise SchemaError(
            f"{by.table}.{by.name} holds lists, and rows are found by lists of ints or texts; {target.table}.{target.name} is "
            f"{expected}."
        )
    if not is_list_of(by.codec, expected):
        what = "an id" if target.name == "id" else target.name
        raise SchemaError(
            f"{by.table}.{by.name} holds {by.codec.expected}, and {what} of {target.table!r} is {expected}; by= names a key "
            f"that holds it, or a list[{expected}]."
        )


def is_list_of(codec: Codec, expected: str) -> bool:
    """Whether a key holds lists, of elements of a type as codecs name it."""
    kind = getattr(codec, "kind", None)
    of = get_args(kind)
    return get_origin(kind) is list and getattr(of[0], "__name__", "") == expected


def _check_named(lookup: Lookup, own: Sequence[Key], other: Table) -> None:
    """Refuse keys that do not hold what names a row."""
    if len(own) > len(other.primary_key):
        raise SchemaError(
            f"by={lookup.by!r} names {len(own)} keys, and a row of {other.name!r} is named by {', '.join(other.primary_key)}."
        )
    for by, name in zip(own, other.primary_key, strict=False):
        target = other.keys[name]
        if by.codec.sql_type == target.codec.sql_type and not by.is_page:
            continue
        what = "an id" if name == "id" else f"{name!r}"
        lists = (
            " Rows that a list names are looked up by their ids alone: by= is that one key."
            if by.codec.sql_type == "JSON_TEXT"
            else ""
        )
        raise SchemaError(
            f"{by.table}.{by.name} holds {by.codec.expected}, and {what} of {other.name!r} is {target.codec.expected}; "
            f"by= names the key that holds {'the id' if name == 'id' else 'it'}.{lists}"
        )


def _check_to(lookup: Lookup, by: Key, target: Key) -> None:
    kinds = {by.codec.sql_type, target.codec.sql_type}
    if (
        by.is_page
        or target.is_page
        or len(kinds) > 1
        or kinds & {"ARRAY_BLOB", "BLOB", "JSON_TEXT"}
    ):
        raise SchemaError(
            f"{by.table}.{by.name} holds {by.codec.expected}, and {lookup.to} {target.codec.expected}; both are of one type "
            f"that rows are told apart by, such as int or str, and no page keys."
        )


def checked_window(window: Window, table: Table, tables: Tables) -> Window:
    """Hold a window against the tables, and return it with the keys by which rows are ordered.

    Raises:
        SchemaError: it does not fit.
    """
    held, other = [tables.key(each) for each in window.keys], tables.get(window.table)
    own_by, other_by = table.key(window.own_by), other.key(window.other_by)
    if isinstance(window.by, tuple) and window.by[1].partition(".")[0] != window.table:
        raise SchemaError(f"by={window.by!r} names a key of {window.table!r} second.")
    if own_by.codec.sql_type != other_by.codec.sql_type:
        raise SchemaError(
            f"{table.name}.{own_by.name} is {own_by.codec.expected}, and {other.name}.{other_by.name} is "
            f"{other_by.codec.expected}; both are of one type where they tell the same entities apart."
        )
    if "id" in (*window.names, own_by.name, other_by.name):
        raise SchemaError("a window is of keys beside the id, which is another in each row.")
    _check_held(window, held)
    order = _checked_order(window, table, other)
    where_keys = [other.key(name) for name, _ in window.narrowed]
    gone_by = table.key(order[0]), other.key(order[1])
    for key in (*held, own_by, other_by, *gone_by, *where_keys):
        if key.is_page:
            raise SchemaError(
                f"{key.table}.{key.name} is a page key; a window goes by other keys, and rows of one order are in the order of "
                f"their ids and pages anyhow."
            )
    where = tuple((key, _stored(other, key, value)) for key, value in window.narrowed)
    is_of_arrays = held[0].is_array
    return replace(window, order=order, where=where, is_of_arrays=is_of_arrays)


TIMES = ("int", "float", "datetime", "date")
"""Types of keys by which rows are ordered in time; numbers are of milliseconds."""


def _checked_order(window: Window, table: Table, other: Table) -> tuple[str, str]:
    """Return the keys by which rows are ordered, the row's own and the other table's."""
    own, others = _orders(window, table, other)
    own.check_order()
    others.check_order()
    if own.codec.sql_type != others.codec.sql_type:
        raise SchemaError(
            f"{table.name}.{own.name} is {own.codec.expected}, and {other.name}.{others.name} is {others.codec.expected}; "
            f"rows are ordered by keys of one type. Name others with order=."
        )
    is_time = own.codec.expected in TIMES and "id" not in (own.name, others.name)
    if window.within is None or is_time:
        return own.name, others.name
    raise SchemaError(
        f"within= goes back in time, and rows of {table.name!r} are ordered by {own.name!r}, which is {own.codec.expected}: "
        f"it needs a key 'ts', or one that order= names, of type int or float, milliseconds since the epoch, datetime or date."
    )


def _orders(window: Window, table: Table, other: Table) -> tuple[Key, Key]:
    if window.order is not None:
        named = isinstance(window.order, tuple) and window.order[1].partition(".")[0]
        if named and "." in window.order[1] and named != window.table:
            raise SchemaError(f"order={window.order!r} names a key of {window.table!r} second.")
        return table.key(window.own_order), other.key(window.other_order)
    times = [each.timestamp_key for each in (table, other)]
    if None in times and other is not table:
        raise SchemaError(
            f"rows of two tables are ordered by their time: {table.name!r} and {other.name!r} both need a key 'ts', or one "
            f"each that order= names."
        )
    own, others = (key or table.keys["id"] for key in times)
    return own, others


def _check_held(window: Window, held: Sequence[Key]) -> None:
    for key in held:
        name, expected = f"{key.table}.{key.name}", key.codec.expected
        if key.is_array and window.agg == "mean" and key.dim is None:
            raise SchemaError(
                f"{name} holds arrays of any shape, of which there is no mean; declare it as "
                f"Annotated[np.ndarray, motion.Vector(512)], say."
            )
        if key.is_array and window.agg != "mean":
            raise SchemaError(f"of arrays, as {name} holds, a window gives the mean: agg='mean'.")
        if key.codec.sql_type == "BLOB":
            raise SchemaError(
                f"{name} is {expected}, which windows do not hold; hold what is made of it."
            )
        is_of_numbers = window.agg in ("sum", "mean", "std") and not key.is_array
        if is_of_numbers and key.codec.sql_type not in ("INTEGER", "REAL"):
            raise SchemaError(
                f"agg={window.agg!r} goes with int and float keys; {name} is {expected}."
            )


def _stored(table: Table, name: str, value: Any) -> Any:
    """Return the stored form of a value that rows are to have for a window to hold them."""
    key = table.key(name)
    if name == "id" or key.is_array or key.codec.sql_type == "BLOB":
        raise SchemaError(
            f"where= is about keys that several rows have equal values of; {table.name}.{name} is "
            f"{'the id' if name == 'id' else key.codec.expected}."
        )
    try:
        return key.encode(value)
    except InvalidValue as exc:
        raise SchemaError(f"where={{{name!r}: ...}}: {exc}") from exc
