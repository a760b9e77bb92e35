"""The wire: values as JSON has them, and back. One form for the HTTP API and for its client.

bool, int, float, str, list and dict are what they are · an infinite float is "Infinity" or "-Infinity" · bytes are base64
· datetime and date ISO 8601 · an Enum its member's name · a vector a list of numbers · any other array
`{"dtype": "<f4", "shape": [2, 3], "data": base64}`, for which nested lists of numbers are taken too.

A parameter of SQL has no key that says what it is: there bytes are `{"bytes": base64}`, and an infinite float
`{"float": "Infinity"}`.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from enum import Enum
from typing import Any

import msgspec
import numpy as np

from motion.definitions.tables.schema import Key, Table, Unreadable
from motion.definitions.values.codecs import (
    ArrayCodec,
    BoolCodec,
    BytesCodec,
    Codec,
    DateCodec,
    DatetimeCodec,
    EnumCodec,
    FloatCodec,
    IntCodec,
    JsonCodec,
    LiteralCodec,
    PageCodec,
    Stored,
    StrCodec,
    VectorCodec,
)
from motion.definitions.values.plain import INFINITIES, plain_float
from motion.errors import InvalidArgument, InvalidValue, UnreadableValue, shortened

MORE = "motion-more"
"""The header that says of an Arrow stream that there are more rows than it holds."""

DTYPE = re.compile(r"[<>|=]?(?:[biufc]\d{1,3}|[SUV]\d{1,9}|[mM]8(?:\[\d{0,9}[A-Za-z]{1,7}\])?|\?)")


def encoded(value: Any) -> bytes:
    """Return the JSON of what `plain` gives."""
    return msgspec.json.encode(value)


def whole_of(text: str) -> int | None:
    """Return the number that digits in a header or a parameter stand for; None of all else, and of more digits than any number
    that a store keeps has: Python takes no thousands of them."""
    is_one = text.isascii() and text.isdigit() and len(text) < 19
    return int(text) if is_one else None


def plain(value: Any) -> Any:
    """Return a value of a key, or a list of such, as `encoded` takes it."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, np.ndarray):
        is_list = value.dtype == np.float32 and value.ndim == 1 and np.isfinite(value).all()
        return value.tolist() if is_list else _plain_array(value)
    if isinstance(value, float):
        return plain_float(value)
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def told(key: Key, value: Any) -> Any:
    """Return a value that a key has as `encoded` takes it; `value_of` makes it again, the same."""
    if isinstance(key.codec, JsonCodec):
        return value  # as it is kept
    if isinstance(key.codec, ArrayCodec) and isinstance(value, np.ndarray):
        return _plain_array(value)  # a list of numbers would be one of 64 bits
    return plain(value)


def stored_told(key: Key, stored: Stored) -> Any:
    """Return what `told` gives for a value, of its stored form."""
    if isinstance(key.codec, JsonCodec) and isinstance(stored, str):
        return msgspec.Raw(stored.encode())
    return told(key, key.decode(stored))


def parameter_told(value: Stored) -> Any:
    """Return a parameter of SQL, as a database takes it, as `encoded` takes it."""
    if isinstance(value, bytes):
        return {"bytes": value}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": plain_float(value)}
    return value


def parameter_of(given: Any) -> Any:
    """Return the parameter of SQL that JSON gives.

    Raises:
        InvalidArgument: it is written as none can be.
    """
    if not isinstance(given, dict):
        return given
    try:
        [(kind, written)] = given.items()
        return {"bytes": _bytes_of, "float": INFINITIES.__getitem__}[kind](written)
    except (ValueError, TypeError, KeyError, binascii.Error) as exc:
        forms = (
            """null, true, false, a number, a text, {"bytes": base64} or {"float": "Infinity"}"""
        )
        raise InvalidArgument("params=", shortened(given), forms) from exc


def _plain_array(array: np.ndarray[Any, Any]) -> Any:
    fixed = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    data = base64.b64encode(fixed.tobytes()).decode()
    return {"dtype": fixed.dtype.str, "shape": list(array.shape), "data": data}


def plain_row(
    table: Table, row: Any, hidden: Callable[[str], bool] | None = None
) -> dict[str, Any]:
    """Return a row's keys as JSON has them.

    Args:
        hidden: tells which keys to give as null.
    """
    return {
        name: None if hidden is not None and hidden(name) else told(key, getattr(row, name))
        for name, key in table.keys.items()
    }


def value_of(key: Key, given: Any) -> Any:
    """Return the value that JSON gives for a key; what does not fit it is left to the key's own check.

    Raises:
        InvalidValue: it is written as no value of the key can be.
    """
    read = _READERS.get(type(key.codec))
    if given is None or (read is None and not isinstance(key.codec, JsonCodec)):
        return given
    try:
        return key.codec.decode(encoded(given)) if read is None else read(given)
    except (ValueError, TypeError, OverflowError, binascii.Error, UnreadableValue) as exc:
        given_as = f"{shortened(given)} ({type(given).__name__})"
        expected = f"{key.codec.expected}, in JSON as {_WRITTEN.get(type(key.codec), 'it is')}"
        raise InvalidValue(key.table, key.name, given_as, expected) from exc


def values_of(table: Table, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys that a JSON object gives, as a store takes them.

    Raises:
        UnknownKey, InvalidValue: it is none of the table's.
    """
    return {name: value_of(table.key(name), value) for name, value in given.items()}


def given_of(table: Table, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys that a JSON object gives, of one row of many: what does not fit the table is left to who takes the
    rows, and says which of them it was."""
    return {
        name: _readable(table.keys[name], value) if name in table.keys else value
        for name, value in given.items()
    }


def _readable(key: Key, given: Any) -> Any:
    try:
        return value_of(key, given)
    except InvalidValue as exc:
        return Unreadable(f"{exc.given}, which stands in JSON for none")


def row_of(table: Table, given: Mapping[str, Any]) -> Any:
    """Return a row of a table as an instance of its dataclass, of what `plain_row` gave."""
    values = []
    for name, key in table.keys.items():
        value = value_of(key, given.get(name))
        values.append(None if value is None else key.decode(key.encode(value)))
    return table.instance(values)


def array_of(given: Any) -> np.ndarray[Any, Any]:
    """Return the array that JSON gives: nested lists of numbers, or dtype, shape and data."""
    if not isinstance(given, dict):
        if not isinstance(given, list):
            raise TypeError("no list")
        array = np.asarray(given)
        if array.dtype.kind not in "biufc":
            raise TypeError("no numbers")
        return array
    dtype, shape = given.get("dtype"), given.get("shape")
    if not isinstance(dtype, str) or not DTYPE.fullmatch(dtype):
        raise ValueError("no dtype")
    sizes = msgspec.convert(shape, list[int])
    raw = _bytes_of(given.get("data"))
    return np.frombuffer(raw, np.dtype(dtype)).reshape(sizes)


def vector_of(given: Any) -> np.ndarray[Any, Any]:
    """Return the vector that JSON gives: numbers, or dtype, shape and data."""
    if isinstance(given, dict):
        return array_of(given)
    return np.asarray(msgspec.convert(given, list[float]), np.float64)


def _bytes_of(given: Any) -> bytes:
    if not isinstance(given, str):
        raise TypeError("no text")
    return base64.b64decode(given, validate=True)


def _float_of(given: Any) -> Any:
    return INFINITIES[given] if isinstance(given, str) and given in INFINITIES else given


def _datetime_of(given: Any) -> datetime:
    return datetime.fromisoformat(given)


def _date_of(given: Any) -> date:
    return date.fromisoformat(given)


_READERS: Mapping[type[Codec], Callable[[Any], Any]] = {
    BytesCodec: _bytes_of, DatetimeCodec: _datetime_of, DateCodec: _date_of, FloatCodec: _float_of,
    VectorCodec: vector_of, ArrayCodec: array_of,
}  # fmt: skip

_WRITTEN: Mapping[type[Codec], str] = {
    BytesCodec: "a text in base64", DatetimeCodec: "a text such as '2026-11-28T12:00:00+00:00'",
    DateCodec: "a text such as '2026-11-28'", FloatCodec: "a number, 'Infinity' or '-Infinity'",
    VectorCodec: "a list of numbers", ArrayCodec: "nested lists of numbers, or {dtype, shape, data}",
}  # fmt: skip


def schema_of(key: Key) -> dict[str, Any]:
    """Return the JSON Schema of a key's values; null, for unset, is one of them."""
    found = _SCHEMAS.get(type(key.codec))
    if found is None and isinstance(key.codec, EnumCodec):
        found = {"enum": [*key.codec.enum.__members__, None]}
    if found is None and isinstance(key.codec, LiteralCodec):
        found = {"enum": [*key.codec.choices, None]}
    return {"description": key.codec.expected, **(found or {})}


_ARRAY: Any = {
    "type": "object",
    "required": ["dtype", "shape", "data"],
    "properties": {
        "dtype": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer"}},
        "data": {"type": "string", "format": "byte"},
    },
}

_SCHEMAS: Mapping[type[Codec], dict[str, Any]] = {
    IntCodec: {"type": ["integer", "null"]},
    PageCodec: {"type": "integer", "minimum": 0},
    FloatCodec: {"anyOf": [{"type": ["number", "null"]}, {"enum": list(INFINITIES)}]},
    BoolCodec: {"type": ["boolean", "null"]},
    StrCodec: {"type": ["string", "null"]},
    BytesCodec: {"type": ["string", "null"], "format": "byte"},
    DatetimeCodec: {"type": ["string", "null"], "format": "date-time"},
    DateCodec: {"type": ["string", "null"], "format": "date"},
    VectorCodec: {"type": ["array", "null"], "items": {"type": "number"}},
    ArrayCodec: {"anyOf": [{"type": "null"}, {"type": "array"}, _ARRAY]},
}
