"""Columns of a query's answer as Arrow.

Numbers, texts and arrays are handed over as buffers. `pyarrow.array` does the same for a list, but imports pandas to ask
whether it is one of pandas' where that is installed (half a second of a process that only searches), and takes an array
apart into Python's numbers. It does what is left: columns that hold several types.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_LARGEST = 2**31 - 1  # what the offsets of a text's or a list's column reach


def arrow(column: Sequence[Any]) -> pa.Array:
    """Return a result column as Arrow; arrays as lists of what they hold."""
    kinds = {type(value) for value in column} - {type(None)}
    try:
        made = _of_one_kind(column, kinds.pop()) if len(kinds) == 1 else None
    except OverflowError:  # an integer above 64 bits
        made = None
    return _of_anything(column) if made is None else made


def values_of(column: pa.ChunkedArray) -> list[Any]:
    """Return what is in a column of an answer; of times that Python has not, of nanoseconds or after the year 9999, texts."""
    kind = column.type
    while pa.types.is_list(kind):
        kind = kind.value_type
    if getattr(kind, "unit", "") != "ns":
        with suppress(ValueError, OverflowError):
            return list(column.to_pylist())
    unit: Any = getattr(kind, "unit", "D")
    made = np.timedelta64 if pa.types.is_duration(kind) else np.datetime64
    numbers = column.cast(_in_place_of(column.type, pa.int32() if unit == "D" else pa.int64()))
    return [_each(value, lambda number: str(made(number, unit))) for value in numbers.to_pylist()]


def _in_place_of(kind: pa.DataType, other: pa.DataType) -> pa.DataType:
    """Return the type of lists of another type, or that itself."""
    return pa.list_(_in_place_of(kind.value_type, other)) if pa.types.is_list(kind) else other


def _each(value: Any, told: Callable[[int], str]) -> Any:
    if isinstance(value, list):
        return [_each(each, told) for each in value]
    return None if value is None else told(value)


def _of_one_kind(column: Sequence[Any], kind: type) -> pa.Array | None:
    """Return a column whose values are of one type or unset; None if there is no short way for this type."""
    if kind is int or kind is float:
        numbers = np.array([0 if value is None else value for value in column], np.dtype(kind))
        return _numbers(numbers, _validity(column))
    if kind is str or kind is bytes:
        parts = [value.encode() if isinstance(value, str) else value or b"" for value in column]
        return _texts(pa.string() if kind is str else pa.binary(), parts, _validity(column))
    return _arrays(column) if kind is np.ndarray else None


def _numbers(numbers: NDArray[Any], validity: pa.Buffer | None = None) -> pa.Array:
    kind = pa.from_numpy_dtype(numbers.dtype)
    return pa.Array.from_buffers(kind, len(numbers), [validity, pa.py_buffer(numbers)])


def _texts(
    kind: pa.DataType, parts: Sequence[bytes], validity: pa.Buffer | None
) -> pa.Array | None:
    offsets = _offsets([len(part) for part in parts])
    if offsets is None:
        return None
    buffers = [validity, pa.py_buffer(offsets), pa.py_buffer(b"".join(parts))]
    return pa.Array.from_buffers(kind, len(parts), buffers)


def _arrays(column: Sequence[Any]) -> pa.Array | None:
    """Return arrays of one dtype and as many dimensions as lists of lists, those without a dimension as what they hold."""
    plain = [None if value is None else _as_arrow_has(value) for value in column]
    held = [value for value in plain if value is not None]
    dtypes, dimensions = {each.dtype for each in held}, {each.ndim for each in held}
    if len(dimensions) != 1 or (
        len(dtypes) != 1 and {each.kind for each in dtypes} not in ({"U"}, {"S"})
    ):
        return None
    found = _elements(np.concatenate([each.reshape(-1) for each in held]))
    for level in reversed(range(1, dimensions.pop())):
        lengths = [length for each in held for length in _lengths(each, level)]
        found = _in_lists(found, lengths, None)
    if found is not None and held[0].ndim == 0:
        places = np.cumsum([value is not None for value in plain]) - 1
        return found.take(pa.array(places, mask=np.array([value is None for value in plain])))
    lengths = [0 if value is None else len(value) for value in plain]
    return _in_lists(found, lengths, _validity(plain))


def _lengths(array: NDArray[Any], level: int) -> list[int]:
    """Return the lengths of the lists that are in the lists of a level above."""
    return [array.shape[level]] * int(np.prod(array.shape[:level]))


def _in_lists(
    elements: pa.Array | None, lengths: Sequence[int], validity: pa.Buffer | None
) -> pa.Array | None:
    offsets = _offsets(lengths)
    if elements is None or offsets is None:
        return None
    kind, buffers = pa.list_(elements.type), [validity, pa.py_buffer(offsets)]
    return pa.Array.from_buffers(kind, len(lengths), buffers, children=[elements])


def _elements(array: NDArray[Any]) -> pa.Array | None:
    if array.dtype.kind in "iuf":
        return _numbers(array)
    if array.dtype.kind in "USV":  # a text of NumPy's has a length, and one of Arrow's has not
        texts = [_encoded(each) for each in array.tolist()]
        return _texts(pa.string() if array.dtype.kind == "U" else pa.binary(), texts, None)
    return pa.array(array)


def _encoded(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode(errors="backslashreplace")


UNITS = {
    "M": {"Y": "D", "M": "D", "W": "D", "D": "D", "h": "s", "m": "s", "s": "s", "ms": "ms", "us": "us", "ns": "ns"},
    "m": {"W": "s", "D": "s", "h": "s", "m": "s", "s": "s", "ms": "ms", "us": "us", "ns": "ns"},
}  # fmt: skip
"""Units of NumPy's moments and spans, and those of Arrow's in which they are the same."""


def _as_arrow_has(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array of a type that Arrow has: of complex numbers with one dimension more, for the real and the imaginary
    part; of times in a unit of Arrow's; of what else it lacks as texts."""
    if array.dtype.char in "FD":
        return np.stack([array.real, array.imag], axis=-1)
    if array.dtype.kind in "mM":
        return _times(array)
    return array if array.dtype.char not in "gG" else _as_texts(array)


def _times(array: NDArray[Any]) -> NDArray[Any]:
    kind = array.dtype.kind
    unit = UNITS[kind].get(np.datetime_data(array.dtype)[0])
    if unit is None:
        return _as_texts(array)
    found = array.astype(f"{kind}8[{unit}]")
    is_same = np.array_equal(found.astype(array.dtype).view(np.int64), array.view(np.int64))
    days = found.view(np.int64)[~np.isnat(found)] if unit == "D" else ()
    return found if is_same and np.all(np.abs(days) <= _LARGEST) else _as_texts(array)


def _as_texts(array: NDArray[Any]) -> NDArray[Any]:
    return np.array([str(each) for each in array.reshape(-1)], np.str_).reshape(array.shape)


def _offsets(lengths: Sequence[int]) -> NDArray[np.int32] | None:
    ends = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    return ends.astype(np.int32) if ends[-1] <= _LARGEST else None


def _validity(column: Sequence[Any]) -> pa.Buffer | None:
    """Return which values are there, a bit each; None where all are."""
    is_there = np.array([value is not None for value in column], bool)
    return None if is_there.all() else pa.py_buffer(np.packbits(is_there, bitorder="little"))


def _of_anything(column: Sequence[Any]) -> pa.Array:
    if not any(value is not None for value in column):
        return pa.nulls(len(column))
    plain = [_listed(value) if isinstance(value, np.ndarray) else value for value in column]
    try:
        return pa.array(plain)
    except (pa.ArrowException, OverflowError):  # SQLite lets one column hold several types
        return pa.array([None if value is None else str(value) for value in plain])


def _listed(array: NDArray[Any]) -> Any:
    is_time = array.dtype.kind in "mM"
    return (_as_texts(array) if is_time else _as_arrow_has(array)).tolist()
