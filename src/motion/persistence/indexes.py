"""Vector indexes: derived from the rows, and caught up to the last commit before they answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from motion.backends.base import Transaction
from motion.errors import DimensionMismatch, SearchError
from motion.persistence.layout import (
    NAMED_AT_ONCE,
    VERSION_SHIFT,
    Layout,
    outputs_table,
    quoted,
    slot_of,
)
from motion.schema import Key, Metric
from motion.vectors.base import FloatArray, IntArray, VectorIndex

LOADED_AT_ONCE = 10_000
VERSIONS_HELD = 3
MakeIndex = Callable[[int, Metric], VectorIndex]


class VectorIndexes:
    """The indexes of one process: one for each key, and for each state version of it. Thread-safe."""

    def __init__(self, make_index: MakeIndex) -> None:
        self._make_index = make_index
        self._lock = threading.Lock()
        self._followers: dict[tuple[str, str, int], _Follower] = {}

    @contextmanager
    def guarded(self, layout: Layout, key: Key, version: int) -> Iterator[_Follower]:
        """Hold one index. Begin the snapshot to search in after this: then the index is never ahead of it."""
        name = (layout.table.name, key.name, version)
        with self._lock:
            follower = self._followers.get(name)
            if follower is None or follower.key.metric != key.metric:
                follower = self._followers[name] = _Follower(layout, key, version, self._make_index)
                # Another process may have made the switches, so older ones are forgotten here too.
                for old in [each for each in self._followers if each[:2] == name[:2]][
                    :-VERSIONS_HELD
                ]:
                    del self._followers[old]
        with follower.lock:
            follower.layout = layout
            yield follower

    def keep_versions(self, layout: Layout, key: str, versions: Sequence[int]) -> None:
        """Forget the indexes of versions that are not searched any more."""
        with self._lock:
            for name in [
                n
                for n in self._followers
                if n[:2] == (layout.table.name, key) and n[2] not in versions
            ]:
                del self._followers[name]


class _Follower:
    """One index and how far it has followed the rows."""

    def __init__(self, layout: Layout, key: Key, version: int, make_index: MakeIndex) -> None:
        self.layout, self.key, self.version = layout, key, version
        self.lock = threading.Lock()
        self._make_index = make_index
        self._index: VectorIndex | None = None
        self._position = -1

    def search(
        self, tx: Transaction, query: FloatArray, k: int, among: IntArray | None
    ) -> tuple[IntArray, FloatArray]:
        """Return the rows of the nearest vectors and their scores, as of the snapshot `tx`."""
        self._catch_up(tx)
        dim = self.key.dim if self._index is None else self._index.dim
        if dim is not None and query.shape != (dim,):
            raise DimensionMismatch(f"{self.key.table}.{self.key.name}", query.size, dim)
        if self._index is None:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        return self._index.search(query, k, among)

    def _catch_up(self, tx: Transaction) -> None:
        first, last = tx.execute("SELECT MIN(entry), MAX(entry) FROM motion_vector_log").fetchone()
        if self._position < 0 or (first or 0) > self._position + 1:
            self._rebuild(tx)
        elif (last or 0) > self._position:
            try:
                self._follow(tx)
            except SearchError:  # perhaps all vectors have another length now
                self._rebuild(tx)
        self._position = last or 0

    def _rebuild(self, tx: Transaction) -> None:
        self._index, self._position = None, -1
        for rows, vectors in self._all(tx):
            self._put(rows, vectors)

    def _follow(self, tx: Transaction) -> None:
        low, high = slot_of(self.version, 0), slot_of(self.version + 1, 0) - 1
        sql = "SELECT DISTINCT slot FROM motion_vector_log WHERE entry > ? AND key = ? AND slot BETWEEN ? AND ?"
        path = f"{self.key.table}.{self.key.name}"
        slots = [int(row[0]) for row in tx.execute(sql, (self._position, path, low, high))]
        for start in range(0, len(slots), NAMED_AT_ONCE):
            part = slots[start : start + NAMED_AT_ONCE]
            found = dict(self._some(tx, part))
            gone = [self._row(slot) for slot in part if slot not in found]
            if self._index is not None:
                self._index.remove(gone)
            self._put([self._row(slot) for slot in found], list(found.values()))

    def _put(self, rows: Sequence[int], stored: Sequence[bytes]) -> None:
        vectors = [self._vector(value) for value in stored]
        if self.key.dim is None:  # else they were checked when set; NaN compares with nothing
            unusable = {i for i, vector in enumerate(vectors) if not np.isfinite(vector).all()}
            if unusable and self._index is not None:
                self._index.remove([rows[i] for i in unusable])
            rows = [row for i, row in enumerate(rows) if i not in unusable]
            vectors = [vector for i, vector in enumerate(vectors) if i not in unusable]
        if not rows:
            return
        if self._index is None:
            self._index = self._make_index(vectors[0].size, self.key.metric)
        lengths = {vector.shape for vector in vectors} | {(self._index.dim,)}
        if len(lengths) > 1:
            raise SearchError(
                f"{self.key.table}.{self.key.name} holds arrays of several shapes ({', '.join(map(str, lengths))}), "
                f"so they cannot be compared. Fix the length with Annotated[np.ndarray, motion.Vector(dim)]."
            )
        self._index.put(rows, np.stack(vectors))

    def _vector(self, stored: bytes) -> FloatArray:
        array = self.key.decode(stored)
        if array.dtype.kind not in "biuf":
            raise SearchError(
                f"{self.key.table}.{self.key.name} holds arrays of {array.dtype}, which cannot be compared."
            )
        return np.asarray(array, np.float32)

    def _row(self, slot: int) -> int:
        return slot & (1 << VERSION_SHIFT) - 1

    def _place(self) -> tuple[str, str]:
        spec = self.layout.versioned.get(self.key.name)
        if spec is not None:
            return outputs_table(spec.name), "slot"
        return self.layout.base, self.layout.row_column

    def _some(self, tx: Transaction, slots: Sequence[int]) -> list[tuple[int, bytes]]:
        table, number = self._place()
        named = ", ".join(map(str, slots))
        sql = f"SELECT {number}, {quoted(self.key.name)} FROM {table} WHERE {number} IN ({named}) AND {quoted(self.key.name)} NOT NULL"
        return [(int(row[0]), row[1]) for row in tx.execute(sql)]

    def _all(self, tx: Transaction) -> Iterator[tuple[list[int], list[Any]]]:
        table, number = self._place()
        low, high = slot_of(self.version, 0), slot_of(self.version + 1, 0) - 1
        cursor = tx.execute(
            f"SELECT {number}, {quoted(self.key.name)} FROM {table} "
            f"WHERE {number} BETWEEN {low} AND {high} AND {quoted(self.key.name)} NOT NULL"
        )
        while found := cursor.fetchmany(LOADED_AT_ONCE):
            yield [self._row(row[0]) for row in found], [row[1] for row in found]
