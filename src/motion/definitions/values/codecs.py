"""Values and their stored form: one codec for each type a key may have.

`encode` checks a value and gives what the database keeps (int, float, str, bytes); `decode` is its inverse. A
refused value raises `Refused`, to which the schema adds table and key. Format 1 of the stored form:

bool 0/1 · datetime and date ISO 8601 text, aware ones in UTC · Enum its member's name · list, dict, dataclass JSON
text · a one-dimensional float32 array of some numbers its plain little-endian bytes; any other array the same, followed by a
footer that tells dtype and shape.

What is equal is stored alike: -0.0 as 0.0, an alias of an Enum's member as the member, JSON with its keys sorted.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Callable, Sequence
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime
from enum import Enum
from typing import Any, Literal, get_args, get_origin

import msgspec
import numpy as np

from motion.definitions.values.decoders import decoder_of
from motion.definitions.values.nested import differences, lost, shape_of, shown
from motion.errors import InvalidArgument, UnreadableValue, shortened

Stored = int | float | str | bytes | None

ARRAY_FOOTER = b"\x00array1\x00"

INT64_MAX = 2**63 - 1

MINUS_ZERO = re.compile(rb"-0\.0[^0-9]")
"""In JSON, where something follows any number. Texts may have it, too."""

FLOAT32 = np.dtype("<f4")

LARGEST_BYTES = 2**29
"""A value's size at most: SQLite takes 10^9 bytes for a whole row."""


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

    def difference(self, stored: str) -> str | None:
        """Return what keeps values stored under another signature from being read, None where nothing does."""
        if stored == self.signature:
            return None
        return f"was {stored} and is {self.signature} now"

    def equals(self, stored: Stored) -> tuple[Stored, ...]:
        """Return every stored form that is read as the same value: older versions stored aliases as they came."""
        return (stored,)

    #: Whether a value may be a dict.
    takes_dict = False

    #: Whether its values cannot change once they are made, so that holding one is enough to have it later.
    is_immutable = True

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
            raise Refused("an int of 64 bits, from -(2**63 - 1) to 2**63 - 1")
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
        if isinstance(value, np.longdouble) and number != value:
            raise Refused("a float of 64 bits; this one would lose digits")
        return number + 0.0  # -0.0, which SQLite does not tell from 0.0, becomes that here

    def encode_column(self, values: Sequence[Any]) -> Sequence[Stored]:
        if set(map(type, values)) == {float} and not math.isnan(sum(values)):
            return values if 0.0 not in values else [value + 0.0 for value in values]
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
        _check_size(len(value) if value.isascii() else 4 * len(value))
        return str.__str__(value)  # of a member of a (str, Enum) class its text, not its name

    def encode_column(self, values: Sequence[Any]) -> Sequence[Stored]:
        if self.plain.issuperset(map(type, values)) and all(map(str.isascii, filter(None, values))):
            _check_sizes(values)
            return values
        return [None if value is None else self.encode(value) for value in values]


class BytesCodec(Codec):
    expected, sql_type, is_immutable = "bytes", "BLOB", False  # a bytearray is taken too
    plain = frozenset({bytes, type(None)})

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise Refused
        _check_size(memoryview(value).nbytes)
        return bytes(value)

    def encode_column(self, values: Sequence[Any]) -> Sequence[Stored]:
        if self.plain.issuperset(map(type, values)):
            _check_sizes(values)
            return values
        return [None if value is None else self.encode(value) for value in values]


def _check_size(size_bytes: int) -> None:
    if size_bytes > LARGEST_BYTES:
        raise Refused(
            f"a value of at most {LARGEST_BYTES // 2**20} MiB; keep larger ones in files, and their paths here"
        )


def _check_sizes(values: Sequence[Any]) -> None:
    _check_size(max(map(len, filter(None, values)), default=0))


WITHIN_YEARS = "a datetime between the years 1 and 9999 in UTC"


class DatetimeCodec(Codec):
    expected, sql_type, is_plain = "datetime", "DATETIME_TEXT", False

    def encode(self, value: Any) -> str:
        if not isinstance(value, datetime) or value != value:  # pandas' NaT is a datetime
            raise Refused
        if getattr(value, "nanosecond", 0):  # of pandas
            raise Refused("a datetime, which has microseconds; round it, as with .floor('us')")
        try:
            moment = value.astimezone(UTC) if value.tzinfo is not None else value
        except OverflowError:
            raise Refused(WITHIN_YEARS) from None
        if not MINYEAR <= moment.year <= MAXYEAR:  # of pandas
            raise Refused(WITHIN_YEARS)
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
        self.enum, self._members = enum, dict(enum.__members__)
        self.expected = f"{enum.__name__} ({', '.join(enum.__members__)}), or a member's name"

    @property
    def signature(self) -> str:
        return f"enum {' '.join(map(_without_space, self.enum.__members__))}"

    def encode(self, value: Any) -> str:
        if isinstance(value, self.enum) and value.name in self.enum.__members__:
            return value.name  # a combination of flags is no member
        if isinstance(value, str) and value in self.enum.__members__:
            return self.enum[value].name
        raise Refused

    def equals(self, stored: Stored) -> tuple[Stored, ...]:
        member = self.enum[str(stored)]
        return tuple(name for name, each in self.enum.__members__.items() if each is member)

    def difference(self, stored: str) -> str | None:
        return super().difference(stored) if not _has_grown(self.signature, stored) else None

    def decode(self, stored: Any) -> Enum:
        try:
            return self._members[stored]
        except KeyError as exc:
            raise UnreadableValue(self.expected, repr(stored), "there is no such member") from exc


class LiteralCodec(Codec):
    def __init__(self, choices: tuple[Any, ...]) -> None:
        self.choices = choices
        self.expected = f"one of {', '.join(map(repr, choices))}"
        self.sql_type = "TEXT" if all(isinstance(choice, str) for choice in choices) else "INTEGER"

    @property
    def signature(self) -> str:
        return f"literal {' '.join(_without_space(repr(choice)) for choice in self.choices)}"

    def difference(self, stored: str) -> str | None:
        return super().difference(stored) if not _has_grown(self.signature, stored) else None

    def encode(self, value: Any) -> Stored:
        value = value.item() if isinstance(value, np.integer | np.str_) else value
        for choice in self.choices:
            if type(value) is type(choice) and value == choice:
                return value  # type: ignore[no-any-return]  # a choice is a str or an int
        raise Refused


def _has_grown(given: str, stored: str) -> bool:
    """Whether an enum or a literal has all that it had when a signature was stored."""
    new, old = given.split(), stored.split()
    return new[0] == old[0] and set(old) <= set(new)


def _without_space(name: str) -> str:
    """Return one word, as a signature is a list of words."""
    return name.replace(" ", "\\x20")


class JsonCodec(Codec):
    """`list`, `dict` (also parametrised) and nested dataclasses, as JSON text with sorted keys.

    Raises:
        Unsupported: of a type that does not come back from JSON as it was.
    """

    sql_type, is_plain, is_immutable, takes_dict = "JSON_TEXT", False, False, True

    def __init__(self, kind: Any, name: str) -> None:
        self.kind, self.expected = kind, name
        self._shape = shape_of(kind)
        self._decoder = decoder_of(kind)
        self._has_moments = '"datetime"' in msgspec.json.encode(self._shape).decode()

    def __reduce__(self) -> tuple[Any, ...]:
        return JsonCodec, (
            self.kind,
            self.expected,
        )  # its decoder cannot be sent to another process

    @property
    def signature(self) -> str:
        return f"json {msgspec.json.encode(self._shape).decode()}"

    def difference(self, stored: str) -> str | None:
        if stored.startswith("json "):
            return "; ".join(differences(self._shape, msgspec.json.decode(stored[5:]))) or None
        # Older versions kept the type's name, with that of the module it was in when it was kept.
        if _bare(stored) == _bare(self.expected):
            return None
        return f"was {stored} and is {shown(self._shape)} now"

    def encode(self, value: Any) -> str:
        try:
            text = msgspec.json.encode(value)
            back = self._decoder.decode(text)
            reason = lost(value, back)
        except (TypeError, ValueError, msgspec.MsgspecError, OverflowError, AttributeError) as exc:
            raise Refused(f"{self.expected} that JSON can hold ({exc})") from exc
        except RecursionError as exc:
            raise Refused(
                f"{self.expected} that JSON can hold; this one is nested too deep"
            ) from exc
        if reason is not None:
            raise Refused(f"{self.expected} that JSON can hold without loss ({reason})")
        # As plain data once more: sorting takes no keys but texts, and a dataclass may have others.
        plain = msgspec.json.decode(msgspec.json.encode(back))
        text = msgspec.json.encode(plain, order="sorted")
        if self._has_moments or (b"-0.0" in text and MINUS_ZERO.search(text)):
            text = self._as_equals_are(back)
        _check_size(len(text))
        return text.decode()

    def _as_equals_are(self, value: Any) -> bytes:
        """Return the text that equal values share: with 0.0 for -0.0 and moments in UTC, as those that are no part of
        anything are kept."""
        plain = _without_sign_of_zero(msgspec.to_builtins(value, builtin_types=(datetime,)))
        text = msgspec.json.encode(_in_utc(plain) if self._has_moments else plain)
        return msgspec.json.encode(msgspec.json.decode(text), order="sorted")

    def decode(self, stored: Any) -> Any:
        try:
            return self._decoder.decode(stored)
        except (ValueError, TypeError, RecursionError) as exc:
            raise UnreadableValue(self.expected, shortened(stored), str(exc)) from exc


def _without_sign_of_zero(value: Any) -> Any:
    if isinstance(value, dict):
        pairs = value.items()
        return {_without_sign_of_zero(key): _without_sign_of_zero(each) for key, each in pairs}
    if isinstance(value, list | tuple):
        return [_without_sign_of_zero(each) for each in value]
    return value + 0.0 if isinstance(value, float) else value


def _in_utc(value: Any) -> Any:
    """Return plain data with its aware datetimes in UTC, as those that are no part of anything are kept."""
    if isinstance(value, dict):
        return {_in_utc(key): _in_utc(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_in_utc(each) for each in value]
    is_aware = isinstance(value, datetime) and value.tzinfo is not None
    try:
        return value.astimezone(UTC) if is_aware else value
    except OverflowError:
        raise Refused("datetimes between the years 1 and 9999 in UTC") from None


def _bare(name: str) -> str:
    return re.sub(r"\w+\.", "", name).lower()


class ArrayCodec(Codec):
    """An array of any dtype and shape."""

    expected, sql_type, is_plain, is_immutable = "np.ndarray", "ARRAY_BLOB", False, False

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, np.ndarray) or value.dtype.hasobject or value.dtype.names:
            raise Refused("np.ndarray of numbers")
        _check_mask(value)
        if np.dtype(value.dtype.str) != value.dtype:
            raise Refused(
                "np.ndarray of a type that NumPy itself has; convert it, as with .astype('f4')"
            )
        _check_size(value.nbytes)
        array = np.ascontiguousarray(value, value.dtype.newbyteorder("<")).reshape(value.shape)
        raw = array.tobytes()
        # No bytes at all are given as unset by Python's SQLite, where it is told what they are.
        if array.dtype == np.float32 and array.ndim == 1 and raw and not raw.endswith(ARRAY_FOOTER):
            return raw
        head = json.dumps([array.dtype.str, list(array.shape)]).encode()
        return raw + head + len(head).to_bytes(2, "little") + ARRAY_FOOTER

    def decode(self, stored: Any) -> np.ndarray[Any, Any]:
        return decode_array(stored)

    def equals(self, stored: Stored) -> tuple[Stored, ...]:
        return (stored, b"") if stored == NO_FLOATS else (stored,)


class VectorCodec(Codec):
    """A float32 vector of fixed length.

    Attributes:
        former: lengths that it had before, of a key that is kept once for each state version: those of older versions.
        is_by_version: the key is kept so, and its length may be another now.
    """

    sql_type, is_plain, is_immutable = "ARRAY_BLOB", False, False

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.former: frozenset[int] = frozenset()
        self.is_by_version = False

    @property
    def expected(self) -> str:  # type: ignore[override]
        also = f" (or {', '.join(map(str, sorted(self.former)))}, as older versions have)"
        return f"a vector of {self.dim}{also if self.former else ''} finite numbers"

    @property
    def signature(self) -> str:
        return " ".join(map(str, ("vector", self.dim, *sorted(self.former))))

    def difference(self, stored: str) -> str | None:
        kind, *sizes = stored.split()
        if kind == "vector" and (self.is_by_version or sizes[0] == str(self.dim)):
            return None
        if kind == "vector":
            return f"was vector {sizes[0]} and is vector {self.dim} now, and it is no output with refresh='before'"
        return super().difference(stored)

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
            raise Refused(f"np.ndarray: {self.expected}")
        if value.shape != (self.dim,) and not (value.ndim == 1 and value.size in self.former):
            raise Refused
        _check_mask(value)
        with np.errstate(over="ignore"):
            stored = value.astype("<f4", copy=False)
        if not np.isfinite(stored).all():
            raise Refused
        if value.dtype.kind != "f" and not (stored.astype(value.dtype) == value).all():
            raise Refused(f"{self.expected} of float32; these ints would lose digits")
        return stored.tobytes()

    def encode_column(self, values: Sequence[Any]) -> Sequence[Stored]:
        """Vectors of one type, as batches of a model are, are checked and converted together."""
        kinds = {
            (value.dtype, value.shape) if isinstance(value, np.ndarray) else None
            for value in values
        }
        if len(kinds) != 1 or None in kinds or set(map(type, values)) != {np.ndarray}:
            return super().encode_column(values)
        if values[0].dtype.kind != "f":
            return super().encode_column(values)
        self.encode(values[0])  # raises where type or length are wrong
        with np.errstate(over="ignore"):
            block = np.stack(values).astype("<f4", copy=False)
        if not np.isfinite(block).all():
            raise Refused
        return [vector.tobytes() for vector in block]

    def decode(self, stored: Any) -> np.ndarray[Any, Any]:
        return np.frombuffer(stored, FLOAT32)


def _check_mask(value: np.ndarray[Any, Any]) -> None:
    if isinstance(value, np.ma.MaskedArray) and np.ma.getmaskarray(value).any():
        raise Refused(
            "np.ndarray without masked numbers, which have no stored form; fill them first"
        )


def decode_array(stored: bytes) -> np.ndarray[Any, Any]:
    """Return the array in a stored form; read-only, as it shares the bytes."""
    if not stored.endswith(ARRAY_FOOTER):
        return np.frombuffer(stored, FLOAT32)
    end = len(stored) - len(ARRAY_FOOTER) - 2
    start = end - int.from_bytes(stored[end : end + 2], "little")
    dtype, shape = json.loads(stored[start:end])
    return np.frombuffer(stored[:start], dtype).reshape(shape)


NO_FLOATS = ArrayCodec().encode(np.zeros(0, np.float32))
"""An array of no numbers of float32, which older versions stored as no bytes."""


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
    if type(kind).__hash__ is None:  # no type, and not to be looked up
        return None
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


def encode_parameter(value: Any, enums: frozenset[type] = frozenset()) -> Stored:
    """Return a value as a parameter of SQL: enums, dates, arrays and NumPy numbers in their stored form.

    Args:
        enums: the Enums that are types of keys, whose members are stored by name. A member of another one that is also
            a str or an int stands for that.

    Raises:
        InvalidArgument: SQL has nothing like it.
    """
    if isinstance(value, Enum):
        is_text = isinstance(value, str) and type(value) not in enums
        value = str.__str__(value) if is_text else _number_of(value, enums)
    try:
        for kinds, codec in _PARAMETERS:
            if isinstance(value, kinds):
                return codec.encode(value)
    except Refused as exc:
        raise _no_parameter(value, str(exc)) from exc
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, int) and not -INT64_MAX - 1 <= plain <= INT64_MAX:
        raise _no_parameter(value, "an int of at most 64 bits")
    if isinstance(plain, float) and math.isnan(plain):  # SQLite would take it for NULL
        raise _no_parameter(value, "a number, not NaN; say 'IS NULL' for a key that is unset")
    if not (plain is None or isinstance(plain, int | float | str | bytes | bytearray | memoryview)):
        raise _no_parameter(
            value, "values that SQL has; a list, a dict or a dataclass goes into where={key: value}"
        )
    return bytes(plain) if isinstance(plain, bytearray | memoryview) else plain


def _number_of(member: Enum, enums: frozenset[type]) -> Any:
    if isinstance(member, int) and type(member) not in enums:
        return int(member)
    return member.name


def _no_parameter(value: Any, expected: str) -> InvalidArgument:
    given = f"{shortened(value)} ({type(value).__name__})"
    return InvalidArgument("params=", given, expected or "another value")


_PARAMETERS: tuple[tuple[Any, Codec], ...] = (
    (bool, BoolCodec()), (str, StrCodec()), (datetime, DatetimeCodec()), (date, DateCodec()), (np.ndarray, ArrayCodec()),
)  # fmt: skip
