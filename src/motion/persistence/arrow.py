"""Columns of a query's answer as Arrow.

Numbers, texts and arrays are handed over as buffers. `pyarrow.array` does the same for a list, but imports pandas to ask
whether it is one of pandas' where that is installed (half a second of a process that only searches), and takes an array
apart into Python's numbers. It does what is left: columns that hold several types.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_LARGEST = 2**31 - 1  # what the offsets of a text's or a list's column reach


def arrow(column: Sequence[Any]) -> pa.Array:
    """Return a result column as Arrow; arrays as lists of their numbers."""
    kinds = {type(value) for value in column} - {type(None)}
    try:
        made = _of_one_kind(column, kinds.pop()) if len(kinds) == 1 else None
    except OverflowError:  # an integer above 64 bits
        made = None
    return _of_anything(column) if made is None else made


def _of_one_kind(column: Sequence[Any], kind: type) -> pa.Array | None:
    """Return a column whose values are of one type or unset; None if there is no short way for this type."""
    if kind is int or kind is float:
        numbers = np.array([0 if value is None else value for value in column], np.dtype(kind))
        return _numbers(numbers, _validity(column))
    if kind is str or kind is bytes:
        parts = [value.encode() if isinstance(value, str) else value or b"" for value in column]
        return _texts(pa.string() if kind is str else pa.binary(), parts, _validity(column))
    return _lists(column) if kind is np.ndarray else None


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


def _lists(column: Sequence[Any]) -> pa.Array | None:
    arrays = [value for value in column if value is not None]
    dtype = arrays[0].dtype
    if any(each.ndim != 1 or each.dtype != dtype for each in arrays):
        return None
    kind = pa.list_(pa.from_numpy_dtype(dtype))
    offsets = _offsets([0 if value is None else len(value) for value in column])
    if offsets is None or dtype.kind not in "iuf":  # a truth is a bit in Arrow, and a byte in NumPy
        return pa.array([None if value is None else value.tolist() for value in column], kind)
    buffers = [_validity(column), pa.py_buffer(offsets)]
    return pa.Array.from_buffers(
        kind, len(column), buffers, children=[_numbers(np.concatenate(arrays))]
    )


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
    plain = [value.tolist() if isinstance(value, np.ndarray) else value for value in column]
    try:
        return pa.array(plain)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # SQLite lets one column hold several types
        return pa.array([None if value is None else str(value) for value in plain])
