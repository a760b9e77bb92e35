"""Exact search: a matrix product over contiguous float32 vectors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from motion.locks import SharedLock
from motion.schema import Metric
from motion.vectors.base import FloatArray, Found, IntArray, Parts

FIRST_CAPACITY = 256
TINY = 1e-20
QUERIES_AT_ONCE = 32
"""Queries compared in one product: what they score with every vector is in memory at once."""

CHOSEN_AT_ONCE = 512
"""Vectors copied together and compared while they are in the cache, where only some rows are."""

SORTED_WHOLE = 256
"""Scores that are all sorted, as looking for the best of them first takes longer."""


class ExactIndex:
    """Compares a query with every vector.

    Scores: the cosine in [-1, 1] (0 where either vector is zero), the dot product, or the negative Euclidean distance.
    """

    needs_tending = False

    def __init__(self, dim: int, metric: Metric) -> None:
        self.dim, self.metric = dim, metric
        self._matrix: FloatArray = np.empty((FIRST_CAPACITY, dim), np.float32)
        self._rows: IntArray = np.empty(FIRST_CAPACITY, np.int64)
        self._place: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._place)

    def put(self, rows: Sequence[int], vectors: FloatArray) -> None:
        vectors = self.prepared(vectors)
        fresh = [i for i, row in enumerate(rows) if row not in self._place]
        if len(fresh) < len(rows):
            for i, row in enumerate(rows):
                place = self._place.get(row)
                if place is not None:
                    self._matrix[place] = vectors[i]
            rows, vectors = [rows[i] for i in fresh], vectors[fresh]
        self._append(rows, vectors)

    def remove(self, rows: Sequence[int]) -> None:
        self.remove_moving(rows)

    def search(self, queries: FloatArray, k: int, among: IntArray | None = None) -> list[Found]:
        return self.nearest(
            self.prepared(queries), k, None if among is None else self.places(among)
        )

    def tend(self, lock: SharedLock) -> bool:
        return False

    def saved(self) -> Parts | None:
        return None  # rows are read from the database as fast as from a file of our own

    def restore(self, parts: Parts) -> None:
        rows, matrix = parts["rows"], parts["matrix"]
        if matrix.shape != (len(rows), self.dim) or len(self):
            raise ValueError(f"a matrix of shape {matrix.shape} for {len(rows)} rows")
        self._rows, self._matrix = rows, matrix
        self._place = dict(zip(rows.tolist(), range(len(rows)), strict=True))

    # -- for indexes that stand on this one --

    @property
    def rows(self) -> IntArray:
        """The row numbers, in no order."""
        return self._rows[: len(self)]

    @property
    def matrix(self) -> FloatArray:
        """The prepared vectors, in the order of `rows`."""
        return self._matrix[: len(self)]

    def vectors(self, places: IntArray) -> FloatArray:
        """Return the prepared vectors at places, as a copy."""
        return self._matrix[places]

    def places(self, rows: Iterable[int]) -> IntArray:
        """Return where the vectors of rows lie, of those that are there, in the order of the rows."""
        place = self._place
        numbers = rows.tolist() if isinstance(rows, np.ndarray) else rows
        return np.array([place[row] for row in numbers if row in place], np.int64)

    def remove_moving(self, rows: Sequence[int]) -> dict[int, int]:
        """Remove rows; return those that lie elsewhere since, and where."""
        moved: dict[int, int] = {}
        for row in rows:
            place = self._place.pop(row, None)
            if place is None:
                continue
            moved.pop(row, None)
            last = len(self._place)
            if place != last:  # the last vector moves into the gap
                mover = int(self._rows[last])
                self._matrix[place], self._rows[place] = self._matrix[last], mover
                self._place[mover] = moved[mover] = place
        return moved

    def nearest(self, prepared: FloatArray, k: int, places: IntArray | None = None) -> list[Found]:
        """Do as `search` does, with prepared queries, among the vectors at `places`."""
        rows = self.rows if places is None else self._rows[places]
        found: list[Found] = []
        for start in range(0, len(prepared), QUERIES_AT_ONCE):
            part = prepared[start : start + QUERIES_AT_ONCE]
            scores = self._scores(self.matrix, part) if places is None else self._of(places, part)
            found += [_best(rows, each, k) for each in scores]
        return found

    def prepared(self, vectors: FloatArray) -> FloatArray:
        """Return vectors as they are compared: of unit length for the cosine."""
        if self.metric != "cosine":
            return np.asarray(vectors, np.float32)
        vectors = np.asarray(vectors, np.float32)
        squares: FloatArray = np.einsum("ij,ij->i", vectors, vectors)
        if not all(TINY < square < np.inf for square in _ends(squares)):
            # Squares of tiny numbers vanish in float32, those of huge ones are infinite.
            largest = np.abs(vectors).max(axis=1, keepdims=True, initial=0)
            vectors = np.asarray(vectors / np.where(largest > 0, largest, 1), np.float32)
            squares = np.einsum("ij,ij->i", vectors, vectors)
            squares[squares == 0] = 1
        return np.asarray(vectors / np.sqrt(squares)[:, None], np.float32)

    def _scores(self, matrix: FloatArray, prepared: FloatArray) -> FloatArray:
        """Return the score of each query with each vector."""
        if self.metric == "l2":
            distances = [np.linalg.norm(matrix - query, axis=1) for query in prepared]
            return -np.array(distances, np.float32).reshape(len(prepared), len(matrix))
        if len(prepared) == 1:
            # One thread, as fast as a product by several: it waits for memory. To wake others takes milliseconds when
            # they are busy.
            scores = np.einsum("ij,j->i", matrix, prepared[0])[None]
        elif len(matrix) <= CHOSEN_AT_ONCE:
            scores = np.einsum("ij,qj->qi", matrix, prepared)
        else:
            scores = prepared @ matrix.T
        # Rounding can take a cosine past 1.
        return np.asarray(scores.clip(-1, 1) if self.metric == "cosine" else scores, np.float32)

    def _of(self, places: IntArray, prepared: FloatArray) -> FloatArray:
        """Return the score of each query with each of the vectors at these places."""
        if len(places) <= CHOSEN_AT_ONCE:
            return self._scores(self._matrix[places], prepared)
        parts = [
            self._scores(self._matrix[places[start : start + CHOSEN_AT_ONCE]], prepared)
            for start in range(0, len(places), CHOSEN_AT_ONCE)
        ]
        return np.concatenate(parts, axis=1)

    def _append(self, rows: Sequence[int], vectors: FloatArray) -> None:
        start, end = len(self._place), len(self._place) + len(rows)
        if end > len(self._rows):
            self._grow(max(end, 2 * len(self._rows)))
        self._matrix[start:end] = vectors
        self._rows[start:end] = rows
        self._place.update(zip(rows, range(start, end), strict=True))

    def _grow(self, capacity: int) -> None:
        count = len(self)
        matrix = np.empty((capacity, self.dim), np.float32)
        rows = np.empty(capacity, np.int64)
        matrix[:count], rows[:count] = self._matrix[:count], self._rows[:count]
        self._matrix, self._rows = matrix, rows


def _ends(values: FloatArray) -> list[float]:
    """Return the smallest and the largest of values; of one, as of a single query, without asking NumPy, whose calls take
    longer than their work."""
    return values.tolist() if len(values) <= 1 else [float(values.min()), float(values.max())]


def _best(rows: IntArray, scores: FloatArray, k: int) -> Found:
    if max(k, SORTED_WHOLE) < len(scores):
        # Ties at the edge are kept, so that which of them is returned does not depend on their place.
        edge = np.partition(scores, len(scores) - k)[len(scores) - k]
        best = np.flatnonzero(scores >= edge)
        rows, scores = rows[best], scores[best]
    order = np.lexsort((rows, -scores))[:k]
    return rows[order], scores[order]
