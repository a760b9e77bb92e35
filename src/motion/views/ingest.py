"""Intake: rows for `set_many`, in whatever form they come, as columns that the store can write.

Rows of any source become chunks; a chunk becomes one write for each set of keys that its rows give.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from motion.background.interrupts import is_of_handler
from motion.definitions.tables.schema import Table, Unreadable
from motion.definitions.values.codecs import Stored
from motion.definitions.values.lending import taken
from motion.errors import InvalidArgument, InvalidValue, MotionError, SchemaError, shortened
from motion.persistence.changes.operations import (
    MatchOperation,
    SetOperation,
    chosen_rows,
    pattern_of,
)
from motion.persistence.rows.written import Columns

if TYPE_CHECKING:
    import pyarrow as pa  # at run time where it is used: 20 ms and 25 MB that few calls need

CheckIds = Callable[[Sequence[Stored]], None]

COMMIT_EVERY = 10_000
"""Rows that are read, and written in one transaction, at once."""


@dataclass
class Chunk:
    """Some rows of the source, by column.

    Attributes:
        start: the position of the first, counted over the whole source.
        columns: key -> one value for each row; None: left out.
        given: the rows as they came, for telling which are bad.
        places: of each row, counted from the first, where others between them were left out.
    """

    start: int
    count: int
    columns: Mapping[str, Sequence[Any]]
    given: Sequence[Any] = field(default_factory=list)
    places: Sequence[int] | None = None

    def position(self, i: int) -> int:
        """Return the position of a row of it, counted over the whole source."""
        return self.start + (i if self.places is None else self.places[i])

    def part(self, rows: range) -> Chunk:
        """Return some of its rows."""
        columns = {name: values[rows.start : rows.stop] for name, values in self.columns.items()}
        given = [self.given[i] for i in rows]
        return Chunk(self.start + rows.start, len(rows), columns, given)


def chunks_of(table: Table, rows: Any, size: int) -> Iterator[Chunk]:
    """Read a source of rows in chunks of at most `size`, holding one at a time.

    Args:
        rows: dicts, instances of the table's dataclass, anything with `__arrow_c_stream__`, or an iterable of those.

    Raises:
        InvalidArgument: it is nothing that rows can be read from.
    """
    if isinstance(rows, Mapping | table.cls):
        rows = [rows]
    can_be_read = _is_frame(type(rows)) or hasattr(rows, "__iter__") or hasattr(rows, "__len__")
    if isinstance(rows, str | bytes) or not can_be_read:
        expected = f"dicts, instances of {table.cls.__name__}, an Arrow, pandas or Polars table, or an iterable of those"
        raise InvalidArgument(
            "set_many(rows)", f"{shortened(rows)} ({type(rows).__name__})", expected
        )
    start = 0
    for chunk in (
        _frame_chunks(table, rows, size) if _is_frame(type(rows)) else _chunks(table, rows, size)
    ):
        chunk.start = start
        start += chunk.count
        yield chunk


def _frame_chunks(table: Table, source: Any, size: int) -> Iterator[Chunk]:
    """Read a frame by column: of pandas as Python has its values, of others by way of Arrow."""
    if _is_pandas(type(source)):
        yield from _pandas_chunks(table, source, size)
    else:
        yield from _arrow_chunks(table, source, size)


def _pandas_chunks(table: Table, frame: Any, size: int) -> Iterator[Chunk]:
    """Not by way of Arrow, which cuts nanoseconds off, and makes dicts of one column have the keys of all. The index
    counts where its name is a key's: elsewhere it only numbers the rows."""
    named = [name for name in frame.index.names if name in table.keys]
    names = [*named, *frame.columns]
    _check_names(names)
    for start in range(0, len(frame), size):
        part = frame.iloc[start : start + size]
        series = [part.index.get_level_values(name) for name in named]
        series += [part.iloc[:, i] for i in range(len(frame.columns))]
        columns = {
            name: _of_pandas(each.tolist(), is_array=_is_array(table, name))
            for name, each in zip(names, series, strict=True)
        }
        yield Chunk(0, len(part), columns, _Rows(columns, len(part)))


def _of_pandas(values: list[Any], *, is_array: bool) -> list[Any]:
    return (
        [_array(value) if type(value) is list else value for value in values]
        if is_array
        else values
    )


def is_arrow(rows: Any) -> bool:
    """Whether a source of rows is one that Arrow hands over with all its values as they are."""
    kind = type(rows)
    has_stream = hasattr(kind, "__arrow_c_stream__") and not _is_pandas(kind)
    return has_stream and not _objects_of_polars(rows)


def arrow_reader(source: Any) -> pa.RecordBatchReader:
    """Return what reads a source of rows by way of Arrow.

    Raises:
        InvalidArgument: it cannot be read so.
    """
    import pyarrow as pa

    try:
        return pa.RecordBatchReader.from_stream(source)
    except Exception as exc:
        if is_of_handler(exc):
            raise
        given = f"{type(source).__name__} that is none ({exc})"
        raise InvalidArgument("set_many(rows)", given, "a table that Arrow can read") from exc


def _arrow_chunks(table: Table, source: Any, size: int) -> Iterator[Chunk]:
    reader = arrow_reader(source)
    names = [name for name in reader.schema.names if not PANDAS_INDEX.fullmatch(name)]
    _check_names(names)
    objects, at = _objects_of_polars(source), 0
    for batch in reader:
        for start in range(0, batch.num_rows, size):
            part = batch.slice(start, size)
            columns = {
                name: objects[name][at : at + part.num_rows]
                if name in objects
                else _python_values(part.column(name), is_array=_is_array(table, name))
                for name in names
            }
            at += part.num_rows
            yield Chunk(0, part.num_rows, columns, _Rows(columns, part.num_rows))


def _objects_of_polars(source: Any) -> dict[str, list[Any]]:
    """Return the columns of a Polars frame that hold Python objects: Arrow is given their addresses in memory."""
    if not (type(source).__module__.startswith("polars") and hasattr(source, "lazy")):
        return {}
    frame = source.lazy()
    names = [name for name, kind in frame.collect_schema().items() if kind.is_object()]
    return frame.select(names).collect().to_dict(as_series=False) if names else {}


PANDAS_INDEX = re.compile(r"__index_level_\d+__")
"""How pandas calls an index without a name in Arrow: it numbers rows, and no key can be called so."""


def _check_names(names: Sequence[Any]) -> None:
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise InvalidArgument(
            "set_many(rows)",
            f"two columns called {twice!r}",
            "a table with one column for each key",
        )


def _is_array(table: Table, name: Any) -> bool:
    return name in table.keys and table.keys[name].is_array


def _python_values(column: pa.Array, *, is_array: bool) -> list[Any]:
    import pyarrow as pa

    if is_array and isinstance(column, pa.FixedShapeTensorArray) and not column.null_count:
        return list(column.to_numpy_ndarray())
    if is_array and isinstance(column, pa.ExtensionArray):
        column = column.storage
    values = _as_python(column)
    kind = column.type
    if not (is_array and _is_list(kind)):
        return values
    while _is_list(kind):
        kind = kind.value_type
    dtype = kind.to_pandas_dtype()
    return [value if value is None else _array(value, dtype) for value in values]


def _as_python(column: pa.Array) -> list[Any]:
    """Return a column's values; those that Python has nothing for as `Unreadable`."""
    try:
        return list(column.to_pylist(maps_as_pydicts="strict"))
    except Exception:  # noqa: BLE001 - one of them cannot be read: Arrow says it in many ways
        return [_one_as_python(scalar) for scalar in column]


def _one_as_python(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py(maps_as_pydicts="strict")
    except Exception as exc:  # noqa: BLE001 - as above
        return Unreadable(f"a value of Arrow type {scalar.type} that Python cannot hold ({exc})")


def _array(value: Any, dtype: Any = None) -> Any:
    """Return nested lists of numbers as an array."""
    if isinstance(value, Unreadable):
        return value
    if _has_null(value):
        return Unreadable(f"{shortened(value)}, a list with a null in it")
    try:
        return np.array(value, dtype)
    except (TypeError, ValueError, OverflowError) as exc:
        return Unreadable(f"{shortened(value)}, which makes no array ({exc})")


def _has_null(value: Any) -> bool:
    return any(each is None or (isinstance(each, list) and _has_null(each)) for each in value)


def _is_list(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


class _Rows(Sequence[Any]):
    """The rows of columns, made into dicts only when one is asked for."""

    def __init__(self, columns: Mapping[str, Sequence[Any]], count: int) -> None:
        self._columns, self._count = columns, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, i: Any) -> Any:
        return {name: values[i] for name, values in self._columns.items()}


def _chunks(table: Table, rows: Iterable[Any], size: int) -> Iterator[Chunk]:
    # What a sequence holds is all there; an iterator may fill one dict or buffer anew for each row.
    iterator = iter(rows) if isinstance(rows, Sequence) else _taken_rows(table, rows)
    for first in iterator:
        if _is_frame(type(first)):
            yield from _frame_chunks(table, first, size)
            continue
        given = [first, *islice(iterator, size - 1)]
        if not any(map(_is_frame, set(map(type, given)))):
            yield from _of_dicts(table, given)
            continue
        for kind, part in groupby(given, type):
            for each in part if _is_frame(kind) else ():
                yield from _frame_chunks(table, each, size)
            yield from _of_dicts(table, list(part))  # what a frame's group has left: nothing


def _taken_rows(table: Table, rows: Iterable[Any]) -> Iterator[Any]:
    for row in rows:
        kind = type(row)
        if kind is table.cls:
            yield table.instance([taken(getattr(row, name)) for name in table.keys])
        else:
            yield row if kind is not dict and _is_frame(kind) else taken(row)


def _is_frame(kind: type) -> bool:
    return hasattr(kind, "__arrow_c_stream__") or _is_pandas(kind)


def _is_pandas(kind: type) -> bool:
    return any(
        each.__name__ == "DataFrame" and each.__module__.startswith("pandas")
        for each in kind.__mro__
    )


def _of_dicts(table: Table, given: Sequence[Any]) -> Iterator[Chunk]:
    if not given:
        return
    names = tuple(given[0]) if set(map(type, given)) == {dict} else None
    if names and set(map(len, given)) == {len(names)}:
        try:
            columns = {name: list(map(itemgetter(name), given)) for name in names}
        except KeyError:
            pass  # as many keys, but others
        else:
            yield Chunk(0, len(given), columns, given)
            return
    rows = [_mapping(table, row) for row in given]
    keys = dict.fromkeys(key for row in rows for key in row)
    yield Chunk(0, len(given), {key: [row.get(key) for row in rows] for key in keys}, given)


def _mapping(table: Table, row: Any) -> Mapping[Any, Any]:
    """Return a row as a mapping; one that is no row at all stays a mapping that no check will take."""
    try:
        return table.values_of(row)
    except InvalidValue:
        return {NO_ROW: _NoRow(row)}


NO_ROW: Any = object()
"""In place of a key: a row may have any other, even an empty one."""


@dataclass(frozen=True)
class _NoRow:
    """What was given in place of a row."""

    given: Any


# -- checking --


def encoded_columns(
    table: Table, chunk: Chunk, by: str | None = None, check_ids: CheckIds | None = None
) -> Columns:
    """Check a chunk's values and return them in their stored form, None where a row leaves a key out.

    Args:
        by: a key that every row must give.
        check_ids: raises `InvalidValue` where the table has no room for an id.

    Raises:
        MotionError: a key is unknown or a value does not fit, of whichever row.
    """
    columns = {name: _encoded(table, name, values) for name, values in chunk.columns.items()}
    if by is not None and None in columns.get(by, (None,)):
        raise InvalidValue(table.name, by, "nothing", "a value in every row, as by= names it")
    if check_ids is not None:
        check_ids(columns.get("id", ()))
    return columns


def operations_of(table: Table, chunk: Chunk) -> list[SetOperation]:
    """Check a chunk's values and return its writes, in the order of the rows.

    Raises:
        MotionError: a key is unknown or a value does not fit, of whichever row.
    """
    columns = encoded_columns(table, chunk)
    runs = groupby(range(chunk.count), lambda i: pattern_of(columns, i))
    return [chosen_rows(table, columns, pattern, list(rows)) for pattern, rows in runs]


def match_of(
    table: Table, chunks: Iterable[Chunk], by: str | None, prune: str | None
) -> list[MatchOperation]:
    """Check the values of chunks and return one write of all, or none for no rows; the rows are matched when it is made.

    Raises:
        MotionError: a key is unknown or a value does not fit, of whichever row.
    """
    by = table.key(by).name if by else None
    prune = table.key(prune).name if prune else None
    parts = [(encoded_columns(table, chunk, by), chunk.count) for chunk in chunks if chunk.count]
    return [MatchOperation(table.name, parts, by, prune)] if parts else []


def _encoded(table: Table, name: str, values: Sequence[Any]) -> Sequence[Stored]:
    if name is NO_ROW:
        found = next(value.given for value in values if value is not None)
        given = f"{shortened(found)} ({type(found).__name__})"
        raise InvalidValue(table.name, "row", given, f"a dict or {table.cls.__name__}")
    key = table.key(name)
    try:
        return key.encode_column(values)
    except InvalidValue:
        if not any(_is_missing(value) for value in values):
            raise
        return key.encode_column([None if _is_missing(value) else value for value in values])


def _is_missing(value: Any) -> bool:
    """Whether a value stands for "left out" in tables of pandas: NaN, NaT or NA."""
    if isinstance(value, float | np.floating | datetime):
        return bool(value != value)
    return type(value).__name__ == "NAType"


def bad_rows(
    table: Table, chunk: Chunk, by: str | None = None, check_ids: CheckIds | None = None
) -> Iterator[tuple[int, Any, MotionError]]:
    """Give the rows of a chunk that do not fit, each with its place in the chunk and its error."""
    for i in range(chunk.count):
        try:
            encoded_columns(table, _one(chunk, i), by, check_ids)
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
    return Chunk(chunk.start, len(kept), used, [chunk.given[i] for i in kept], kept)


def readable_names(table: Table, row: Any, by: str | None) -> dict[str, Stored]:
    """Return what a bad row says of which row it is: its id and page keys, and the key that names it; without those that cannot
    be read."""
    found: dict[str, Stored] = {}
    for name in dict.fromkeys((by or "id", *table.primary_key)):
        try:
            found[name] = table.keys[name].encode(table.values_of(row).get(name))
        except InvalidValue:
            continue  # nothing says which it was
    return found
