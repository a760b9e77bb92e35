"""Intake: rows for `set_many`, in whatever form they come, as columns that the store can write.

Rows of any source become chunks; a chunk becomes one write for each set of keys that its rows give.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from motion.codecs import Stored
from motion.errors import InvalidValue, MotionError, SchemaError
from motion.persistence.writes import SetOperation
from motion.schema import Table


@dataclass
class Chunk:
    """Some rows of the source, by column.

    Attributes:
        start: the position of the first, counted over the whole source.
        columns: key -> one value for each row; None: left out.
        given: the rows as they came, for telling which are bad.
    """

    start: int
    count: int
    columns: Mapping[str, Sequence[Any]]
    given: Sequence[Any] = field(default_factory=list)


def chunks_of(table: Table, rows: Any, size: int) -> Iterator[Chunk]:
    """Read a source of rows in chunks of at most `size`, holding one at a time.

    Args:
        rows: dicts, instances of the table's dataclass, anything with `__arrow_c_stream__`, or an iterable of those.
    """
    if isinstance(rows, Mapping | table.cls):
        rows = [rows]
    start = 0
    for chunk in (
        _arrow_chunks(rows, size)
        if hasattr(rows, "__arrow_c_stream__")
        else _chunks(table, rows, size)
    ):
        chunk.start = start
        start += chunk.count
        yield chunk


def _arrow_chunks(source: Any, size: int) -> Iterator[Chunk]:
    reader = pa.RecordBatchReader.from_stream(source)
    for batch in reader:
        for start in range(0, batch.num_rows, size):
            part = batch.slice(start, size)
            columns = {
                name: _python_values(column)
                for name, column in zip(part.schema.names, part.columns, strict=True)
            }
            yield Chunk(0, part.num_rows, columns, _Rows(columns, part.num_rows))


def _python_values(column: pa.Array) -> list[Any]:
    is_vector = pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type)
    if is_vector and pa.types.is_floating(column.type.value_type):
        dtype = column.type.value_type.to_pandas_dtype()
        return [None if value is None else np.array(value, dtype) for value in column.to_pylist()]
    return list(column.to_pylist())


class _Rows(Sequence[Any]):
    """The rows of columns, made into dicts only when one is asked for."""

    def __init__(self, columns: Mapping[str, Sequence[Any]], count: int) -> None:
        self._columns, self._count = columns, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, i: Any) -> Any:
        return {name: values[i] for name, values in self._columns.items()}


def _chunks(table: Table, rows: Iterable[Any], size: int) -> Iterator[Chunk]:
    iterator = iter(rows)
    while given := list(islice(iterator, size)):
        plain: list[Any] = []
        for row in given:
            if hasattr(row, "__arrow_c_stream__"):
                yield from _of_dicts(table, plain)
                plain = []
                yield from _arrow_chunks(row, size)
            else:
                plain.append(row)
        yield from _of_dicts(table, plain)


def _of_dicts(table: Table, given: Sequence[Any]) -> Iterator[Chunk]:
    if not given:
        return
    names = tuple(given[0]) if type(given[0]) is dict else None
    if names and all(type(row) is dict and tuple(row) == names for row in given):
        columns: dict[str, Sequence[Any]] = dict(
            zip(names, zip(*[row.values() for row in given], strict=True), strict=True)
        )
        yield Chunk(0, len(given), columns, given)
        return
    rows = [_mapping(table, row) for row in given]
    keys = dict.fromkeys(key for row in rows for key in row)
    yield Chunk(0, len(given), {key: [row.get(key) for row in rows] for key in keys}, given)


def _mapping(table: Table, row: Any) -> Mapping[str, Any]:
    """Return a row as a mapping; one that is no row at all stays a mapping that no check will take."""
    try:
        return table.values_of(row)
    except InvalidValue:
        return {NO_ROW: row}


NO_ROW = ""


# -- checking --


def operations_of(table: Table, chunk: Chunk) -> list[SetOperation]:
    """Check a chunk's values and return its writes.

    Raises:
        MotionError: a key is unknown or a value does not fit, of whichever row.
    """
    columns = {name: _encoded(table, name, values) for name, values in chunk.columns.items()}
    if not any(None in column for column in columns.values()):
        return [SetOperation(table.name, columns, chunk.count)]
    return _by_pattern(table, columns, chunk.count)


def _encoded(table: Table, name: str, values: Sequence[Any]) -> Sequence[Stored]:
    if name == NO_ROW:
        raise InvalidValue(
            table.name, "row", repr(next(v for v in values if v is not None)), "a dict or a row"
        )
    key = table.key(name)
    try:
        return key.encode_column(values)
    except InvalidValue:
        if not any(_is_nan(value) for value in values):
            raise
        return key.encode_column([None if _is_nan(value) else value for value in values])


def _is_nan(value: Any) -> bool:
    """Whether a value is the NaN that stands for "left out" in tables of pandas."""
    return isinstance(value, float | np.floating) and bool(value != value)


def _by_pattern(
    table: Table, columns: Mapping[str, Sequence[Stored]], count: int
) -> list[SetOperation]:
    """Group rows by which keys they give, as None means left out; the order of equal patterns is kept."""
    names = tuple(columns)
    groups: dict[tuple[bool, ...], list[int]] = {}
    for i, values in enumerate(zip(*columns.values(), strict=True)):
        groups.setdefault(tuple(value is not None for value in values), []).append(i)
    return [
        SetOperation(
            table.name,
            {
                name: [columns[name][i] for i in rows]
                for name, given in zip(names, pattern, strict=True)
                if given
            },
            len(rows),
        )
        for pattern, rows in groups.items()
    ]


def bad_rows(table: Table, chunk: Chunk) -> Iterator[tuple[int, Any, MotionError]]:
    """Give the rows of a chunk that do not fit, each with its place in the chunk and its error."""
    for i in range(chunk.count):
        try:
            operations_of(table, _one(chunk, i))
        except (InvalidValue, SchemaError) as exc:
            yield i, chunk.given[i], exc


def _one(chunk: Chunk, i: int) -> Chunk:
    columns = {name: [values[i]] for name, values in chunk.columns.items() if values[i] is not None}
    return Chunk(chunk.start + i, 1, columns)


def without(chunk: Chunk, bad: set[int]) -> Chunk:
    """Return a chunk without some of its rows."""
    kept = [i for i in range(chunk.count) if i not in bad]
    columns = {name: [values[i] for i in kept] for name, values in chunk.columns.items()}
    used = {
        name: values
        for name, values in columns.items()
        if any(value is not None for value in values)
    }
    return Chunk(chunk.start, len(kept), used, [chunk.given[i] for i in kept])
