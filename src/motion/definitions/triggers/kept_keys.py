"""Kept keys: keys of a schema that are lookups or windows. Each is kept by a trigger of its own, called "table.key"."""

from __future__ import annotations

from typing import Any, get_args, get_origin

from motion.definitions.functions.fingerprints import fingerprint_of
from motion.definitions.functions.signatures import element_of, takes_none
from motion.definitions.tables.lookups import Lookup
from motion.definitions.tables.schema import Key, Table, Tables, is_optional
from motion.definitions.tables.windows import Window
from motion.definitions.triggers.elsewhere import checked_lookup, checked_window
from motion.definitions.triggers.parameters import Parameter, elsewhere_of
from motion.definitions.triggers.specs import Trigger, TriggerSpec
from motion.definitions.values.codecs import codec_for
from motion.errors import SchemaError


def keepers(tables: Tables) -> list[Trigger]:
    """Return what keeps the keys that are declared as lookups or windows: a trigger for each, called "table.key"."""
    keys = [(table, key) for table in tables for key in table.keys.values()]
    found = [_looked_up_key(table, key, key.lookup, tables) for table, key in keys if key.lookup]
    windowed = [_windowed_key(table, key, key.window, tables) for table, key in keys if key.window]
    return found + windowed


def _looked_up_key(table: Table, key: Key, lookup: Lookup, tables: Tables) -> Trigger:
    try:
        elements = element_of(getattr(key.codec, "kind", None))
        lookup = checked_lookup(lookup, table, tables, has_gaps=takes_none(elements))
    except SchemaError as exc:
        raise SchemaError(f"key {table.name}.{key.name}: {exc}") from exc
    if not lookup.is_followed:
        raise SchemaError(
            f"key {table.name}.{key.name}: a key that is a lookup follows what it looks up; follow=False goes with a "
            f"trigger's parameter."
        )
    given = tables.key(lookup.key)
    if lookup.is_of_list:
        _check_keeps_list(table, key, given)
    else:
        kinds = given.codec.sql_type, given.codec.expected
        _check_kept(table, key, f"what {lookup.key} holds", *kinds)
    parameter = Parameter("value", "lookup", is_optional=True, lookup=lookup)
    return _keeper(table, key, lookup.bys, parameter)


def _check_keeps_list(table: Table, key: Key, given: Key) -> None:
    what = f"a list of what {given.table}.{given.name} holds"
    if given.is_array:
        raise SchemaError(
            f"key {table.name}.{key.name} is declared as {what}, arrays, which no key holds a list of; let a trigger take them as "
            f"a parameter, and keep what it makes of them."
        )
    _check_kept(table, key, what, "JSON_TEXT", f"list[{given.codec.expected}]")
    kind = getattr(key.codec, "kind", None)
    elements = codec_for(_without_none(element_of(kind)))
    is_other = elements is not None and elements.sql_type != given.codec.sql_type
    if is_other or list not in (kind, get_origin(kind)):
        raise SchemaError(
            f"key {table.name}.{key.name} is declared as {what}, list[{given.codec.expected}], but is {key.codec.expected}."
        )


def _without_none(hint: Any) -> Any:
    kinds = get_args(hint) if is_optional(hint) else (hint,)
    return next(kind for kind in kinds if kind is not type(None))


def _windowed_key(table: Table, key: Key, window: Window, tables: Tables) -> Trigger:
    try:
        window = checked_window(window, table, tables)
    except SchemaError as exc:
        raise SchemaError(f"key {table.name}.{key.name}: {exc}") from exc
    held = tables.key(window.keys[0]).codec
    sql_type, expected = (held.sql_type, held.expected)
    if not window.is_of_arrays:
        sql_type, expected = KINDS.get(window.agg, (sql_type, expected))
    what = f"the {window.agg} of {', '.join(window.keys)}"
    if len(window.keys) > 1:
        _check_of_tuples(table, key, what, window)
    _check_kept(table, key, what, sql_type, expected)
    parameter = Parameter("value", "window", is_optional=True, window=window)
    return _keeper(table, key, window.own_keys, parameter)


KINDS = {
    "count": ("INTEGER", "int"), "mean": ("REAL", "float"), "std": ("REAL", "float"),
    "list": ("JSON_TEXT", "list"), "distinct": ("JSON_TEXT", "list"),
}  # fmt: skip
"""What keys are that keep a window, by its `agg`; of others they are what is held."""


def _check_of_tuples(table: Table, key: Key, what: str, window: Window) -> None:
    if window.agg == "last":
        raise SchemaError(
            f"key {table.name}.{key.name} is declared as {what}, a tuple, which no key holds; keep the last of each in a "
            f"key of its own."
        )
    kind = getattr(key.codec, "kind", None)
    if not any(get_origin(each) is tuple for each in get_args(kind)):
        raise SchemaError(
            f"key {table.name}.{key.name} is declared as {what}, tuples, but is {key.codec.expected}; write "
            f"list[tuple[...]] with the types of these keys."
        )


def _check_kept(table: Table, key: Key, what: str, sql_type: str, expected: str) -> None:
    if key.is_page or key.name == "id":
        raise SchemaError(
            f"key {table.name}.{key.name} is declared as {what}, but names the row, which no other row can change; declare "
            f"another key so."
        )
    if key.codec.sql_type != sql_type:
        raise SchemaError(
            f"key {table.name}.{key.name} is declared as {what}, {expected}, but is {key.codec.expected}."
        )


def _keeper(table: Table, key: Key, on: tuple[str, ...], parameter: Parameter) -> Trigger:
    spec = TriggerSpec(
        name=f"{table.name}.{key.name}",
        table=table.name,
        on=on,
        parameters=(parameter,),
        sets=(key.name,),
        sets_table=None,
        fingerprint=fingerprint_of(_as_it_is, "1", repr(elsewhere_of([parameter])), None),
        inline=True,
    )
    return Trigger(spec, _as_it_is)


def _as_it_is(value: Any) -> Any:
    return value
