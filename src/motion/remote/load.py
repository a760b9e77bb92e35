"""Loads: what `set_many` sends, in as many requests as it needs, and what it tells of the rows: counted over all of them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import pyarrow as pa

from motion.definitions.tables import wire
from motion.definitions.tables.schema import Table
from motion.errors import BadRows, InvalidValue, SchemaError
from motion.remote.link import Link, encoded, error_of
from motion.remote.writes import rows_told
from motion.store.bulk import check_options
from motion.store.changes.change import RejectedRow
from motion.views.ingest import (
    Chunk,
    arrow_reader,
    bad_rows,
    chunks_of,
    encoded_columns,
    is_arrow,
    readable_names,
    without,
)

ARROW, LINES = "application/vnd.apache.arrow.stream", "application/x-ndjson"

NO_KEY = "!"
"""What no key can be called: a row that has it is refused by the server, which keeps the row that it names from being
pruned."""


NO_PAGE = "?"
"""What no page key can be: in place of a value that cannot be read."""


@dataclass(frozen=True)
class _Part:
    """Rows of one request.

    Attributes:
        positions: of each, among all that are given.
        given: gives one of them as it was given, by its place in the part.
    """

    content: bytes
    kind: str
    positions: Sequence[int]
    given: Callable[[int], Any]


class RemoteLoad:
    """One call of `set_many`.

    Attributes:
        ids: of the row, where it is one.
        changes: the keys of the changes that it made.
        rejected: rows that were not written.
    """

    def __init__(
        self,
        link: Link,
        table: Table,
        commit_every: int,
        errors: str,
        by: str | None,
        prune: str | None,
        most_bytes: int,
    ) -> None:
        check_options(commit_every, errors, by, prune)
        self._link, self._table, self._commit_every = link, table, commit_every
        self._by = table.key(by).name if by else None
        self._prune = table.key(prune).name if prune else None
        self._collects, self._most_bytes = errors == "collect", most_bytes
        self._options = {
            "by": self._by, "prune": self._prune, "errors": errors, "commit_every": commit_every,
        }  # fmt: skip
        self.ids: list[Any] | None = None
        self.changes: list[int] = []
        self.written = 0
        self._rejected: dict[int, RejectedRow] = {}

    @property
    def rejected(self) -> list[RejectedRow]:
        return [self._rejected[position] for position in sorted(self._rejected)]

    def run(self, rows: Any) -> None:
        """Send all rows; those that go by `prune` in one request, as what is not in it is removed."""
        parts = self._arrow_parts(rows) if is_arrow(rows) else self._line_parts(rows)
        for part in parts:
            self._send(part)
        if not self.changes:
            self._send(_Part(b"", LINES, (), list[Any]().__getitem__))

    def _send(self, part: _Part) -> None:
        path = f"/v1/tables/{self._table.name}/rows"
        try:
            answer = self._link.send("POST", path, part.content, part.kind, params=self._options)
        except BadRows as exc:
            position, written = part.positions[exc.position], self.written + exc.written
            raise BadRows(position, written, exc.reason) from exc
        told = msgspec.json.decode(answer.content)
        self.ids = [told["id"]] if not self.changes and told["id"] is not None else None
        self.changes.append(told["change"])
        self.written += told["count"]
        for each in told.get("rejected", ()):
            position = part.positions[each["position"]]
            error = error_of({"message": each["error"], **each})
            row = part.given(each["position"])
            self._rejected.setdefault(position, RejectedRow(position, row, error))

    # -- rows as lines of JSON --

    def _line_parts(self, rows: Any) -> Iterator[_Part]:
        """Give rows as lines, checked: what the table refuses is an error here, or told with the others at the end."""
        chunks = map(self._lines_of, chunks_of(self._table, rows, self._commit_every))
        if self._prune is not None:
            yield _part_of([line for lines in chunks for line in lines])
            return
        for lines in chunks:
            yield from map(_part_of, _cut(lines, self._most_bytes))

    def _lines_of(self, chunk: Chunk) -> list[_Line]:
        try:
            columns, refused = encoded_columns(self._table, chunk, self._by), []
        except (InvalidValue, SchemaError) as exc:
            refused = self._refused(chunk, exc)
            good = without(chunk, {place for place, _ in refused})
            columns = encoded_columns(self._table, good)
        places = set(range(chunk.count)) - {place for place, _ in refused}
        told = zip(sorted(places), rows_told(self._table, columns, len(places)), strict=True)
        named = self._named(refused) if self._prune is not None else []
        return [
            _Line(chunk.start + place, chunk.given[place], encoded(row))
            for place, row in (*told, *named)
        ]

    def _refused(self, chunk: Chunk, error: Exception) -> list[tuple[int, Any]]:
        """Return the rows of a chunk that the table does not take, each with its place."""
        bad = list(bad_rows(self._table, chunk, self._by))
        if not self._collects or not bad:
            place, _, reason = bad[0] if bad else (0, None, error)
            raise BadRows(chunk.start + place, self.written, str(reason)) from reason
        for place, row, reason in bad:
            position = chunk.start + place
            self._rejected[position] = RejectedRow(position, row, reason)
        return [(place, row) for place, row, _ in bad]

    def _named(self, refused: Sequence[tuple[int, Any]]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Give what names a row that was refused, so far as it says that, for it is not to be pruned."""
        key = self._by or "id"
        for place, row in refused:
            stored = readable_names(self._table, row, self._by)
            if key not in stored:
                continue  # nothing says which row it was
            told = {
                name: wire.stored_told(self._table.keys[name], stored[name])
                if name in stored
                else NO_PAGE
                for name in (key, *self._table.page_keys)
            }
            yield place, {**told, NO_KEY: True}

    # -- rows as Arrow has them --

    def _arrow_parts(self, rows: Any) -> Iterator[_Part]:
        """Give rows as Arrow's own bytes, which the server checks."""
        reader, start = arrow_reader(rows), 0
        tables = [reader.read_all()] if self._prune is not None else map(_table_of, reader)
        for table in tables:
            size = max(len(table), 1) if self._prune is not None else self._rows_at_once(table)
            for at in range(0, len(table), size):
                part = table.slice(at, size)
                positions = range(start + at, start + at + len(part))
                yield _Part(_arrow(part), ARROW, positions, partial(self._given, part))
            start += len(table)

    def _rows_at_once(self, table: pa.Table) -> int:
        room = self._most_bytes // 2  # the form that they are sent in takes some, too
        fitting = len(table) * room // max(int(table.nbytes), 1)
        return max(1, min(fitting, self._commit_every))

    def _given(self, part: pa.Table, place: int) -> Any:
        """Return a row as it was given."""
        return next(chunks_of(self._table, part.slice(place, 1), 1)).given[0]


@dataclass(frozen=True)
class _Line:
    """A row as a line of JSON, with its position among all that are given."""

    position: int
    given: Any
    content: bytes


def _part_of(lines: Sequence[_Line]) -> _Part:
    content = b"\n".join(each.content for each in lines)
    given = [each.given for each in lines]
    return _Part(content, LINES, [each.position for each in lines], given.__getitem__)


def _cut(lines: Sequence[_Line], most_bytes: int) -> Iterator[list[_Line]]:
    """Give lines in order, at least one and else no more at once than so many bytes."""
    part: list[_Line] = []
    size = 0
    for line in lines:
        if part and size + len(line.content) > most_bytes:
            yield part
            part, size = [], 0
        part.append(line)
        size += len(line.content) + 1
    if part:
        yield part


def _table_of(batch: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([batch])


def _arrow(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()
