"""Exact search: a matrix product over contiguous float32 vectors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from motion.background.locks import SharedLock
from motion.definitions.tables.schema import Metric
from motion.vectors.base import FloatArray, Found, IntArray, Parts
from motion.vectors.compare import candidates, prepared, scores, scores_at, settled, taken
from motion.vectors.places import Places
from motion.vectors.rough import RoughCopies, centre_of, products

FIRST_CAPACITY = 256

QUERIES_AT_ONCE = 32
"""Queries compared in one product: what they score with every vector is in memory at once."""

SETTLED_AT_ONCE = 16_384
"""Numbers in all vectors up to which these are compared in double precision at once, and not in single precision before."""

COPIED_FROM, COPIED_LENGTH = 1_000_000, 128
"""Numbers in all vectors, and in each, from which rough copies are compared first: below, comparing all exactly takes as long."""

PICKED_FROM, PICKED_NUMBERS, PICKED_FOR = 800, 250_000, 40
"""Vectors that a list picks, numbers in them, and vectors for each row that is asked for, from which their copies are compared
first: of fewer, what may be the nearest is too large a part, and comparing all exactly takes as long."""

COPIED_AGAIN = 10
"""How many times as many vectors there are when rough copies are made again, about another centre."""


class Placed(NamedTuple):
    """Vectors, copied side by side, and the places in an index where they lie."""

    places: IntArray
    vectors: FloatArray


class ExactIndex:
    """Compares a query with every vector.

    Scores: the cosine in [-1, 1] (0 where either vector is zero), the dot product, or the negative Euclidean distance.
    """

    needs_tending = may_wait = False

    def __init__(self, dim: int, metric: Metric) -> None:
        self.dim, self.metric = dim, metric
        self._matrix: FloatArray = np.empty((FIRST_CAPACITY, dim), np.float32)
        self._rows: IntArray = np.empty(FIRST_CAPACITY, np.int64)
        self._places = Places()
        self._products = products() if dim >= COPIED_LENGTH else None
        self._rough: RoughCopies | None = None
        self._copied_at = 0  # vectors, when these were made

    def __len__(self) -> int:
        return len(self._places)

    def put(self, rows: Sequence[int], vectors: FloatArray) -> None:
        vectors = prepared(self.metric, vectors)
        fresh = [i for i, row in enumerate(rows) if row not in self._places]
        if len(fresh) < len(rows):
            known = [i for i, row in enumerate(rows) if row in self._places]
            self._replace(self.places([rows[i] for i in known]), vectors[known])
            rows, vectors = [rows[i] for i in fresh], vectors[fresh]
        self._append(rows, vectors)

    def remove(self, rows: Sequence[int]) -> None:
        self.remove_moving(rows)

    def search(self, queries: FloatArray, k: int, among: IntArray | None = None) -> list[Found]:
        return self.nearest(prepared(self.metric, queries), k, among)

    def tend(self, lock: SharedLock) -> bool:
        return False

    def saved(self) -> Parts | None:
        return None  # rows are read from the database as fast as from a file of our own

    def restore(self, parts: Parts) -> None:
        rows, matrix = parts["rows"], parts["matrix"]
        if matrix.shape != (len(rows), self.dim) or len(self):
            raise ValueError(f"a matrix of shape {matrix.shape} for {len(rows)} rows")
        self._rows, self._matrix = rows, matrix
        self._places = Places()
        self._places.append(rows.tolist())
        self._copy(0)

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
        return taken(self._matrix, places)

    def places(self, rows: Iterable[int]) -> IntArray:
        """Return where the vectors of rows lie, of those that are there."""
        return self._places.of(rows, self.rows)

    def remove_moving(self, rows: Sequence[int]) -> dict[int, int]:
        """Remove rows; return those that lie elsewhere since, and where."""
        moved: dict[int, int] = {}
        for row in rows:
            place = self._places.pop(row)
            if place is None:
                continue
            moved.pop(row, None)
            last = len(self._places)
            if place != last:  # the last vector moves into the gap
                mover = int(self._rows[last])
                self._matrix[place], self._rows[place] = self._matrix[last], mover
                moved[mover] = place
                self._places.move(mover, place)
                if self._rough is not None:
                    self._rough.move(place, last)
        return moved

    def nearest(self, queries: FloatArray, k: int, among: IntArray | None = None) -> list[Found]:
        """Do as `search` does, with prepared queries."""
        places = None if among is None else self.places(among)
        if self._pays_to_look_roughly(places, k):
            return [self._looked_at_roughly(query, k, places) for query in queries]
        found: list[Found] = []
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            part = queries[start : start + QUERIES_AT_ONCE]
            found += self._of(part, k, places)
        return found

    def nearest_at(self, query: FloatArray, k: int, places: IntArray) -> Found:
        """Return the nearest of the vectors at places to one prepared query."""
        if self._pays_to_look_roughly(places, k):
            return self._looked_at_roughly(query, k, places)
        return self._of(query[None], k, places)[0]

    def nearest_beside(self, query: FloatArray, k: int, places: IntArray, beside: Placed) -> Found:
        """Return the nearest of the vectors at places, and of those beside them, to one prepared query."""
        if not len(beside.places):
            return self.nearest_at(query, k, places)
        parts = [
            scores_at(self.metric, self._matrix, places, query[None])[0],
            scores(self.metric, beside.vectors, query[None])[0],
        ]
        return self._best(query, k, np.concatenate([places, beside.places]), np.concatenate(parts))

    def _pays_to_look_roughly(self, places: IntArray | None, k: int) -> bool:
        if self._rough is None:
            return False
        if places is None:
            return k < len(self) and len(self) * self.dim >= COPIED_FROM
        count = len(places)
        return count >= max(PICKED_FROM, PICKED_FOR * k) and count * self.dim >= PICKED_NUMBERS

    def _looked_at_roughly(self, query: FloatArray, k: int, places: IntArray | None) -> Found:
        """Return the nearest to one prepared query, having left out what its copy shows to be farther."""
        assert self._rough is not None
        near = self._rough.near(query, k, len(self), places)
        return self._of(query[None], k, places if near is None else near)[0]

    def _of(self, queries: FloatArray, k: int, places: IntArray | None) -> list[Found]:
        if places is None:
            scored = scores(self.metric, self.matrix, queries)
        elif len(places) * self.dim <= SETTLED_AT_ONCE and self.metric != "l2":
            rows, vectors = self._rows[places], taken(self._matrix, places)
            return [settled(self.metric, query, rows, vectors, k) for query in queries]
        else:
            scored = scores_at(self.metric, self._matrix, places, queries)
        return [
            self._best(query, k, places, each) for query, each in zip(queries, scored, strict=True)
        ]

    def _best(
        self, query: FloatArray, k: int, places: IntArray | None, scored: FloatArray
    ) -> Found:
        """Return the nearest of the vectors at places, which have these scores; None: of all."""
        rows = self.rows if places is None else self._rows[places]
        best = candidates(self.metric, rows, scored, k)
        if self.metric == "l2":
            return rows[best], scored[best]
        near = taken(self._matrix, best if places is None else places[best])
        return settled(self.metric, query, rows[best], near, k)

    def _append(self, rows: Sequence[int], vectors: FloatArray) -> None:
        start, end = len(self), len(self) + len(rows)
        if end > len(self._rows):
            self._grow(max(end, 2 * len(self._rows)))
        self._matrix[start:end] = vectors
        self._rows[start:end] = rows
        self._places.append(rows)
        self._copy(start)

    def _replace(self, places: IntArray, vectors: FloatArray) -> None:
        self._matrix[places] = vectors
        if self._rough is not None:
            self._rough.put(places, vectors)

    def _copy(self, start: int) -> None:
        """Let rough copies follow the vectors from a place on. They are made once there are enough, and again once there are
        many times as many, as the centre of the first may be none of all."""
        count, is_large = len(self), len(self) * self.dim >= COPIED_FROM
        if self._products is None or start == count or (self._rough is None and not is_large):
            return
        if self._rough is None or count > COPIED_AGAIN * self._copied_at:
            centre = centre_of(self.matrix)
            self._rough = RoughCopies(self.metric, centre, len(self._rows), self._products)
            self._copied_at, start = count, 0
        self._rough.put_from(start, self.matrix[start:])

    def _grow(self, capacity: int) -> None:
        count = len(self)
        matrix = np.empty((capacity, self.dim), np.float32)
        rows = np.empty(capacity, np.int64)
        matrix[:count], rows[:count] = self._matrix[:count], self._rows[:count]
        self._matrix, self._rows = matrix, rows
        if self._rough is not None:
            self._rough.grow(capacity)
