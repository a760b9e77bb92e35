"""Transfer: a table's rows to and from a Parquet file, part by part, in bounded memory.

What a file has: int64, float64, bool, text, bytes, dates and timestamps as they are; enums by name; lists, dicts and nested
dataclasses as JSON text; vectors as lists of float32; other arrays as the bytes of a `.npy` file. A null is a key that is
unset; on the way in it is left out, and leaves a row that is there as it is.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from motion.definitions.tables.schema import Key, Table
from motion.definitions.values.codecs import (
    ArrayCodec,
    BoolCodec,
    BytesCodec,
    DateCodec,
    DatetimeCodec,
    FloatCodec,
    IntCodec,
    JsonCodec,
    VectorCodec,
)
from motion.definitions.values.plain import plain
from motion.errors import InvalidArgument, MotionError
from motion.persistence.rows import noted
from motion.store.store import Store

ROWS_AT_ONCE = 5_000

VALUES_AT_ONCE = 2**28
"""Bytes of a group of rows in a file, about: what is held in memory at once."""

Show = Callable[[int], None] | None

TYPES: tuple[tuple[type, pa.DataType], ...] = (
    (IntCodec, pa.int64()), (FloatCodec, pa.float64()), (BoolCodec, pa.bool_()), (BytesCodec, pa.large_binary()),
    (DateCodec, pa.date32()), (VectorCodec, pa.list_(pa.float32())), (ArrayCodec, pa.large_binary()),
)  # fmt: skip


def export_table(
    store: Store,
    table: str,
    file: Path,
    *,
    where: str | None = None,
    inherit: bool = False,
    show: Show = None,
) -> int:
    """Write a table's rows to a Parquet file, as of one moment; return how many. The file is there whole, or not at all.

    Args:
        where: only rows that this SQL holds for.
        inherit: with what pages inherit; otherwise each row has what is stored with it, as `import_table` takes it.
        show: is told how many rows are left.
    """
    named, draft = store._database.tables.get(table), file.with_name(f".{file.name}.draft")
    count = 0
    try:
        with store._database.backend.read() as tx:  # one snapshot for all parts
            left = noted.count(tx, named, where, inherit=inherit) if show is not None else 0
            schema = pa.schema([_field(store, named, key) for key in named.keys.values()])
            with pq.ParquetWriter(draft.absolute(), schema, compression="zstd") as writer:
                for rows in _parts(store, named, where, inherit):
                    writer.write_table(_arrow(named, rows, schema))
                    count += len(rows)
                    if show is not None:
                        show(left - count)
        draft.replace(file)
    except OSError as exc:
        raise MotionError(f"{file} cannot be written: {exc.strerror or exc}.") from exc
    finally:
        with suppress(OSError):  # where none can be, there is none
            draft.unlink(missing_ok=True)
    return count


def _parts(store: Store, table: Table, where: str | None, inherit: bool) -> Iterator[list[Any]]:
    """Yield the rows in the order of their primary key, some at a time: continued by key, so that none is read twice."""
    names = ", ".join(f'"{name}"' for name in table.primary_key)
    beyond = f"({names}) > ({', '.join('?' * len(table.primary_key))})"
    last: list[Any] = []
    size = ROWS_AT_ONCE
    while True:
        conditions = [f"({each}\n)" for each in (where, beyond if last else None) if each]
        rows = store.rows(
            table.name, where=" AND ".join(conditions) or None, params=last, order_by=names, limit=size, inherit=inherit,
        )  # fmt: skip
        if rows:
            yield rows
            last = [getattr(rows[-1], name) for name in table.primary_key]
        if len(rows) < size:
            return


def _field(store: Store, table: Table, key: Key) -> pa.Field:
    codec = key.codec
    if isinstance(codec, DatetimeCodec):
        return pa.field(key.name, _moments(store, table, key))
    found = next((kind for codecs, kind in TYPES if isinstance(codec, codecs)), None)
    if found is None:  # texts, JSON, enums, literals; those of numbers are stored as such
        found = pa.int64() if codec.sql_type == "INTEGER" else pa.large_string()
    return pa.field(key.name, found)


def _moments(store: Store, table: Table, key: Key) -> pa.DataType:
    """Return the type of a column of datetimes. A key may hold both, with a zone and without, and Parquet one of them."""

    def is_any(condition: str) -> bool:
        return bool(store.rows(table.name, where=f'"{key.name}" {condition}', limit=1))

    if not is_any("LIKE '%+00:00'"):
        return pa.timestamp("us")
    return pa.large_string() if is_any("NOT LIKE '%+00:00'") else pa.timestamp("us", "UTC")


def _arrow(table: Table, rows: Sequence[Any], schema: pa.Schema) -> pa.Table:
    columns = [
        pa.array(
            [_out(table.keys[field.name], field.type, getattr(row, field.name)) for row in rows],
            field.type,
        )
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _out(key: Key, kind: pa.DataType, value: Any) -> Any:
    if value is None or isinstance(value, str | int | float | bytes):
        return value
    if isinstance(key.codec, JsonCodec):
        return msgspec.json.encode(plain(value), order="sorted").decode()
    if isinstance(key.codec, VectorCodec):
        return value
    if isinstance(key.codec, ArrayCodec):
        held = io.BytesIO()
        np.save(held, value, allow_pickle=False)
        return held.getvalue()
    return (
        value.isoformat()
        if pa.types.is_large_string(kind) and isinstance(value, datetime)
        else value
        if isinstance(value, date)
        else plain(value)
    )


def import_table(
    store: Store,
    table: str,
    file: Path,
    *,
    by: str | None = None,
    prune: str | None = None,
    show: Show = None,
) -> int:
    """Write the rows of a Parquet file to a table, as `Store.set_many` does; return how many.

    Args:
        show: is told how many rows are left.

    Raises:
        InvalidArgument: the file is no Parquet file.
        BadRows: a row is bad; says which, and how many rows are in.
    """
    named = store._database.tables.get(table)
    try:
        source = pq.ParquetFile(file)
    except (pa.ArrowInvalid, OSError) as exc:
        raise InvalidArgument("import", f"{file} ({exc})", "a Parquet file") from exc
    with source:
        return store.set_many(named.name, _read(named, source, show), by=by, prune=prune).count


def _read(table: Table, source: pq.ParquetFile, show: Show) -> Iterator[dict[str, Any]]:
    left = source.metadata.num_rows
    for batch in source.iter_batches(ROWS_AT_ONCE):
        columns = {
            name: _taken(table.key(name), batch.column(place).to_pylist())
            for place, name in enumerate(batch.schema.names)
        }
        for values in zip(*columns.values(), strict=True):
            yield dict(zip(columns, values, strict=True))
        left -= batch.num_rows
        if show is not None:
            show(left)


def _taken(key: Key, values: Sequence[Any]) -> Sequence[Any]:
    """Return a column's values as the key takes them: the reverse of `_out`."""
    codec = key.codec
    if isinstance(codec, VectorCodec):
        return [None if each is None else np.asarray(each, np.float32) for each in values]
    if isinstance(codec, ArrayCodec):
        return [_array(each) for each in values]
    if isinstance(codec, JsonCodec):
        return [json.loads(each) if isinstance(each, str) else each for each in values]
    if isinstance(codec, DatetimeCodec):
        return [datetime.fromisoformat(each) if isinstance(each, str) else each for each in values]
    return values


def _array(value: Any) -> Any:
    if isinstance(value, bytes):
        return np.load(io.BytesIO(value), allow_pickle=False)
    return value if value is None else np.asarray(value)
