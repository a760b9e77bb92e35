"""Exact search: one matrix product over contiguous float32 vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from motion.schema import Metric
from motion.vectors.base import FloatArray, IntArray

FIRST_CAPACITY = 256


class ExactIndex:
    """Compares a query with every vector. Not thread-safe: its owner guards it.

    Scores: the cosine in [-1, 1] (0 where either vector is zero), the dot product, or the negative Euclidean distance.
    """

    def __init__(self, dim: int, metric: Metric) -> None:
        self.dim, self.metric = dim, metric
        self._matrix: FloatArray = np.empty((FIRST_CAPACITY, dim), np.float32)
        self._rows: IntArray = np.empty(FIRST_CAPACITY, np.int64)
        self._place: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._place)

    def put(self, rows: Sequence[int], vectors: FloatArray) -> None:
        vectors = self._prepared(vectors)
        fresh = [i for i, row in enumerate(rows) if row not in self._place]
        for i, row in enumerate(rows):
            place = self._place.get(row)
            if place is not None:
                self._matrix[place] = vectors[i]
        self._append([rows[i] for i in fresh], vectors[fresh])

    def remove(self, rows: Sequence[int]) -> None:
        for row in rows:
            place = self._place.pop(row, None)
            if place is None:
                continue
            last = len(self._place)
            if place != last:  # the last vector moves into the gap
                moved = int(self._rows[last])
                self._matrix[place], self._rows[place] = self._matrix[last], moved
                self._place[moved] = place

    def search(
        self, query: FloatArray, k: int, among: IntArray | None = None
    ) -> tuple[IntArray, FloatArray]:
        count = len(self._place)
        places = np.arange(count) if among is None else self._places(among)
        if not len(places):
            return np.empty(0, np.int64), np.empty(0, np.float32)
        matrix = self._matrix[:count] if among is None else self._matrix[places]
        scores = self._scores(matrix, query)
        rows = self._rows[places]
        best = np.arange(len(scores))
        if k < len(scores):
            # Ties at the edge are kept, so that which of them is returned does not depend on their place.
            edge = np.partition(scores, len(scores) - k)[len(scores) - k]
            best = np.flatnonzero(scores >= edge)
        order = best[np.lexsort((rows[best], -scores[best]))][:k]
        return rows[order], scores[order]

    def _scores(self, matrix: FloatArray, query: FloatArray) -> FloatArray:
        if self.metric == "l2":
            return np.asarray(-np.linalg.norm(matrix - query, axis=1), np.float32)
        prepared = self._prepared(query.astype(np.float32)[None])[0]
        scores = np.asarray(matrix @ prepared, np.float32)
        # Rounding can take a cosine past 1.
        return np.clip(scores, -1, 1) if self.metric == "cosine" else scores

    def _prepared(self, vectors: FloatArray) -> FloatArray:
        if self.metric != "cosine":
            return np.asarray(vectors, np.float32)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.where(norms > 0, norms, 1), np.float32)

    def _places(self, rows: IntArray) -> IntArray:
        found = [self._place[row] for row in rows.tolist() if row in self._place]
        return np.array(found, np.int64)

    def _append(self, rows: Sequence[int], vectors: FloatArray) -> None:
        start, end = len(self._place), len(self._place) + len(rows)
        if end > len(self._rows):
            capacity = max(end, 2 * len(self._rows))
            self._matrix = np.resize(self._matrix, (capacity, self.dim))
            self._rows = np.resize(self._rows, capacity)
        self._matrix[start:end] = vectors
        self._rows[start:end] = rows
        self._place.update(zip(rows, range(start, end), strict=True))
