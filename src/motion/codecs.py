"""Values and their stored form: one codec for each type a key may have.

`encode` checks a value and gives what the database keeps (int, float, str, bytes); `decode` is its inverse. A
refused value raises `Refused`, to which the schema adds table and key. Format 1 of the stored form:

bool 0/1 · datetime and date ISO 8601 text, aware ones in UTC · Enum its member's name · list, dict, dataclass JSON
text · a one-dimensional float32 array its plain little-endian bytes; any other array the same, followed by a
footer that tells dtype and shape.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any, Literal, get_args, get_origin

import msgspec
import numpy as np

Stored = int | float | str | bytes | None

ARRAY_FOOTER = b"\x00array1\x00"
INT64_MAX = 2**63 - 1
FLOAT32 = np.dtype("<f4")


class Refused(Exception):
    """A codec does not take a value; the text says what it would have taken, when that helps."""


class Codec:
    """How the values of one key are checked, stored and read back. Stateless and thread-safe."""

    expected = "a value"
    sql_type = "BLOB"

    @property
    def signature(self) -> str:
        """The type as kept with the table: equal signatures read each other's stored values."""
        return self.expected

    def encode(self, value: Any) -> Stored:
        """Return the stored form of a value that is not None, or raise `Refused`."""
        return value  # type: ignore[no-any-return]  # the identity codec stores what it gets

    def decode(self, stored: Any) -> Any:
        """Return the value of a stored form that is not None."""
        return stored

    #: Python types whose values are stored as they are: a column of nothing else needs no look at each value.
    plain: frozenset[type] = frozenset()
    #: `decode` is the identity.
    is_plain = True

    def encode_column(self, values: Sequence[Any]) -> Sequence[Stored]:
        """Return `values` encoded, None staying None. Costs nothing where the types are plain."""
        if self.plain.issuperset(map(type, values)):
            return values
        return [None if value is None else self.encode(value) for value in values]

    def decode_column(self, stored: Sequence[Any]) -> Sequence[Any]:
        """Return `stored` decoded, None staying None."""
        if self.is_plain:
            return stored
        return [None if value is None else self.decode(value) for value in stored]


class IntCodec(Codec):
    expected, sql_type = "int", "INTEGER"

    def encode(self, value: Any) -> int:
        if isinstance(value, bool | np.bool_):
            raise Refused
        if isinstance(value, float | np.floating) and not float(value).is_integer():
            raise Refused("an int; a number is converted only without loss")
        if not isinstance(value, int | float | np.integer | np.floating):
            raise Refused
        if abs(int(value)) > INT64_MAX:
            raise Refused("an int of at most 64 bits")
        return int(value)

    def encode_column(self, values: Sequence[Any]) -> Sequence[Stored]:
        if set(map(type, values)) == {int} and abs(max(values)) <= INT64_MAX >= abs(min(values)):
            return values
        return [None if value is None else self.encode(value) for value in values]


class PageCodec(IntCodec):
    """The number of a page, from 0."""

    def encode(self, value: Any) -> int:
        page = super().encode(value)
        if page < 0:
            raise Refused("a page number, an int of at least 0")
        return page

    def encode_column(self, values: Sequence[Any]) -> Sequence[Stored]:
        return [None if value is None else self.encode(value) for value in values]


class FloatCodec(Codec):
    expected, sql_type = "float", "REAL"

    def encode(self, value: Any) -> float:
        if isinstance(value, bool | np.bool_) or not isinstance(
            value, int | float | np.integer | np.floating
        ):
            raise Refused
        try:
            number = float(value)
        except OverflowError:
            raise Refused("a float; this int is too large for one") from None
        if math.isnan(number):  # SQLite would silently turn it into NULL
            raise Refused("a float that is not NaN; leave the key out, or set None, for 'no value'")
        if isinstance(value, int | np.integer) and int(number) != int(value):
            raise Refused("a float; this int would lose digits")
        return number

    def encode_column(self, values: Sequence[Any]) -> Sequence[Stored]:
        if set(map(type, values)) == {float} and not math.isnan(sum(values)):
            return values
        return [None if value is None else self.encode(value) for value in values]


class BoolCodec(Codec):
    expected, sql_type, is_plain = "bool", "BOOL_INT", False

    def encode(self, value: Any) -> int:
        if not isinstance(value, bool | np.bool_):
            raise Refused
        return int(value)

    def decode(self, stored: Any) -> bool:
        return bool(stored)


class StrCodec(Codec):
    expected, sql_type = "str", "TEXT"
    plain = frozenset({str, type(None)})

    def encode(self, value: Any) -> str:
        if not isinstance(value, str):
            raise Refused
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise Refused("str of Unicode text; this one has half a surrogate pair") from None
        return str(value)

    def encode_column(self, values: Sequence[Any]) -> Sequence[Stored]:
        if self.plain.issuperset(map(type, values)) and all(map(str.isascii, filter(None, values))):
            return values
        return [None if value is None else self.encode(value) for value in values]


class BytesCodec(Codec):
    expected, sql_type = "bytes", "BLOB"
    plain = frozenset({bytes, type(None)})

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise Refused
        return bytes(value)


class DatetimeCodec(Codec):
    expected, sql_type, is_plain = "datetime", "DATETIME_TEXT", False

    def encode(self, value: Any) -> str:
        if not isinstance(value, datetime) or value != value:  # pandas' NaT is a datetime
            raise Refused
        try:
            moment = value.astimezone(UTC) if value.tzinfo is not None else value
        except OverflowError:
            raise Refused("a datetime between the years 1 and 9999 in UTC") from None
        return moment.isoformat(timespec="microseconds")

    def decode(self, stored: Any) -> datetime:
        return datetime.fromisoformat(stored)


class DateCodec(Codec):
    expected, sql_type, is_plain = "date", "DATE_TEXT", False

    def encode(self, value: Any) -> str:
        if not isinstance(value, date) or isinstance(value, datetime):
            raise Refused
        return value.isoformat()

    def decode(self, stored: Any) -> date:
        return date.fromisoformat(stored)


class EnumCodec(Codec):
    sql_type, is_plain = "TEXT", False

    def __init__(self, enum: type[Enum]) -> None:
        self.enum = enum
        self.expected = f"{enum.__name__} ({', '.join(enum.__members__)}), or a member's name"

    @property
    def signature(self) -> str:
        return f"enum {' '.join(map(_without_space, self.enum.__members__))}"

    def encode(self, value: Any) -> str:
        if isinstance(value, self.enum) and value.name in self.enum.__members__:
            return value.name  # a combination of flags is no member
        if isinstance(value, str) and value in self.enum.__members__:
            return value
        raise Refused

    def decode(self, stored: Any) -> Enum:
        return self.enum[stored]


class LiteralCodec(Codec):
    def __init__(self, choices: tuple[Any, ...]) -> None:
        self.choices = choices
        self.expected = f"one of {', '.join(map(repr, choices))}"
        self.sql_type = "TEXT" if all(isinstance(choice, str) for choice in choices) else "INTEGER"

    @property
    def signature(self) -> str:
        return f"literal {' '.join(_without_space(repr(choice)) for choice in self.choices)}"

    def encode(self, value: Any) -> Stored:
        for choice in self.choices:
            if type(value) is type(choice) and value == choice:
                return value  # type: ignore[no-any-return]  # a choice is a str or an int
        raise Refused


def _without_space(name: str) -> str:
    """Return one word, as a signature is a list of words."""
    return name.replace(" ", "\\x20")


class JsonCodec(Codec):
    """`list`, `dict` (also parametrised) and nested dataclasses, as JSON text."""

    sql_type, is_plain = "JSON_TEXT", False

    def __init__(self, kind: Any, name: str) -> None:
        self.kind, self.expected = kind, name
        self._decoder = msgspec.json.Decoder(kind)

    def encode(self, value: Any) -> str:
        try:
            text = msgspec.json.encode(value)
            back = self._decoder.decode(text)
        except (TypeError, ValueError, msgspec.MsgspecError, OverflowError) as exc:
            raise Refused(f"{self.expected} that JSON can hold ({exc})") from exc
        if back != value:
            raise Refused(
                f"{self.expected} that JSON can hold without loss (no NaN, tuple or set inside)"
            )
        return text.decode()

    def decode(self, stored: Any) -> Any:
        return self._decoder.decode(stored)


class ArrayCodec(Codec):
    """An array of any dtype and shape."""

    expected, sql_type, is_plain = "np.ndarray", "ARRAY_BLOB", False

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, np.ndarray) or value.dtype.hasobject or value.dtype.names:
            raise Refused("np.ndarray of numbers")
        array = np.ascontiguousarray(value, value.dtype.newbyteorder("<")).reshape(value.shape)
        raw = array.tobytes()
        if array.dtype == np.float32 and array.ndim == 1 and not raw.endswith(ARRAY_FOOTER):
            return raw
        head = json.dumps([array.dtype.str, list(array.shape)]).encode()
        return raw + head + len(head).to_bytes(2, "little") + ARRAY_FOOTER

    def decode(self, stored: Any) -> np.ndarray[Any, Any]:
        return decode_array(stored)


class VectorCodec(Codec):
    """A float32 vector of fixed length."""

    sql_type, is_plain = "ARRAY_BLOB", False

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.expected = f"a vector of {dim} finite numbers"

    @property
    def signature(self) -> str:
        return f"vector {self.dim}"

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
            raise Refused(f"np.ndarray: {self.expected}")
        if value.shape != (self.dim,):
            raise Refused
        with np.errstate(over="ignore"):
            stored = value.astype("<f4", copy=False)
        if not np.isfinite(stored).all():
            raise Refused
        return stored.tobytes()

    def encode_column(self, values: Sequence[Any]) -> Sequence[Stored]:
        """Vectors of one type, as batches of a model are, are checked and converted together."""
        kinds = {
            (value.dtype, value.shape) if isinstance(value, np.ndarray) else None
            for value in values
        }
        if len(kinds) != 1 or None in kinds:
            return super().encode_column(values)
        self.encode(values[0])  # raises where type or length are wrong
        with np.errstate(over="ignore"):
            block = np.stack(values).astype("<f4", copy=False)
        if not np.isfinite(block).all():
            raise Refused
        return [vector.tobytes() for vector in block]

    def decode(self, stored: Any) -> np.ndarray[Any, Any]:
        return np.frombuffer(stored, FLOAT32)


def decode_array(stored: bytes) -> np.ndarray[Any, Any]:
    """Return the array in a stored form; read-only, as it shares the bytes."""
    if not stored.endswith(ARRAY_FOOTER):
        return np.frombuffer(stored, FLOAT32)
    end = len(stored) - len(ARRAY_FOOTER) - 2
    start = end - int.from_bytes(stored[end : end + 2], "little")
    dtype, shape = json.loads(stored[start:end])
    return np.frombuffer(stored[:start], dtype).reshape(shape)


PLAIN_CODECS: dict[Any, Callable[[], Codec]] = {
    int: IntCodec, float: FloatCodec, bool: BoolCodec, str: StrCodec, bytes: BytesCodec,
    datetime: DatetimeCodec, date: DateCodec, np.ndarray: ArrayCodec,
}  # fmt: skip

ALLOWED_TYPES = (
    "int, float, bool, str, bytes, datetime, date, an Enum, np.ndarray, "
    "Annotated[np.ndarray, motion.Vector(dim)], list, dict, a dataclass, Literal[...], and each of them | None"
)


def codec_for(kind: Any, dim: int | None = None) -> Codec | None:
    """Return the codec of a type, or None where no key can have it. `dim` fixes an array's length."""
    origin = get_origin(kind)
    if dim is not None:
        return VectorCodec(dim) if origin is np.ndarray or kind is np.ndarray else None
    if kind in PLAIN_CODECS or origin is np.ndarray:
        return PLAIN_CODECS[kind if kind in PLAIN_CODECS else np.ndarray]()
    if origin is Literal:
        return _literal(get_args(kind))
    if kind in (list, dict) or origin in (list, dict):
        return JsonCodec(kind, str(kind) if origin else kind.__name__)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return EnumCodec(kind)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return JsonCodec(kind, kind.__name__)
    return None


def _literal(choices: tuple[Any, ...]) -> Codec | None:
    one_kind = {type(choice) for choice in choices} in ({str}, {int})
    return LiteralCodec(choices) if one_kind else None


def encode_parameter(value: Any) -> Stored:
    """Return a value as a parameter of SQL: enums, dates, arrays and NumPy numbers in their stored form."""
    if isinstance(value, Enum):
        return value.name
    for kinds, codec in _PARAMETERS:
        if isinstance(value, kinds):
            return codec.encode(value)
    return value.item() if isinstance(value, np.generic) else value  # type: ignore[no-any-return]


_PARAMETERS: tuple[tuple[Any, Codec], ...] = (
    (bool, BoolCodec()), (datetime, DatetimeCodec()), (date, DateCodec()), (np.ndarray, ArrayCodec()),
)  # fmt: skip
