"""How vectors are compared: what each metric makes of them beforehand, scores, and the best of many."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from motion.definitions.tables.schema import Metric
from motion.vectors.base import FloatArray, Found, IntArray

DType = TypeVar("DType", bound=np.dtype[Any])

TINY = 1e-20

COMPARED_APART = 512
"""Vectors up to which a batch of queries is compared with them in a loop: to wake other threads takes longer."""

SUBTRACTED = 4_096
"""Vectors whose differences from a query are held at once: less than a processor's cache."""

ALIKE = 5e-7
"""Difference of scores, relative to the larger of them and 1, that may be rounding."""

SORTED_WHOLE = 256
"""Scores that are all sorted, as looking for the best of them first takes longer."""


def prepared(metric: Metric, vectors: FloatArray) -> FloatArray:
    """Return vectors as they are compared: of unit length for the cosine, zero ones as they are."""
    vectors = np.asarray(vectors, np.float32)
    if metric != "cosine":
        return vectors
    squares: FloatArray = np.einsum("ij,ij->i", vectors, vectors)
    if not all(TINY < square < np.inf for square in _ends(squares)):
        # Squares of tiny numbers vanish in float32, those of huge ones are infinite. Only these are scaled: equal
        # vectors stay equal, whatever they come with.
        odd = np.flatnonzero((squares <= TINY) | (squares == np.inf))
        largest = np.abs(vectors[odd]).max(axis=1, keepdims=True, initial=0)
        vectors = vectors.copy()
        vectors[odd] /= np.where(largest > 0, largest, 1)
        squares[odd] = np.einsum("ij,ij->i", vectors[odd], vectors[odd])
        squares[squares == 0] = 1
    return np.asarray(vectors / np.sqrt(squares)[:, None], np.float32)


def scores(metric: Metric, matrix: FloatArray, queries: FloatArray) -> FloatArray:
    """Return the score of each prepared query with each prepared vector, shape `(queries, vectors)`."""
    if metric == "l2":
        found = np.empty((len(queries), len(matrix)), np.float32)
        for start in range(0, len(matrix), SUBTRACTED):  # of all at once there would be two copies
            part = matrix[start : start + SUBTRACTED]
            for each, query in zip(found, queries, strict=True):
                each[start : start + len(part)] = -np.linalg.norm(part - query, axis=1)
        return found
    if len(queries) == 1:
        # One thread, as fast as a product by several: it waits for memory. To wake others takes milliseconds when
        # they are busy.
        found = np.einsum("ij,j->i", matrix, queries[0])[None]
    elif len(matrix) <= COMPARED_APART:
        found = np.einsum("ij,qj->qi", matrix, queries)
    else:
        found = queries @ matrix.T
    return np.asarray(found, np.float32)


def square(metric: Metric, score: float) -> float:
    """Return the square of the distance that a score stands for: that of vectors of unit length for the cosine, and at least
    what may be rounding."""
    return score * score if metric == "l2" else 2 * max(1 - score, ALIKE)


def scores_at(
    metric: Metric, matrix: FloatArray, places: IntArray, queries: FloatArray
) -> FloatArray:
    """Return what `scores` does, of the vectors at these places only."""
    # Copied in parts, they are compared while they are in the cache.
    if len(places) <= COMPARED_APART:
        return scores(metric, taken(matrix, places), queries)
    parts = [
        scores(metric, taken(matrix, places[start : start + COMPARED_APART]), queries)
        for start in range(0, len(places), COMPARED_APART)
    ]
    return np.concatenate(parts, axis=1)


def taken(array: np.ndarray[Any, DType], places: IntArray) -> np.ndarray[Any, DType]:
    """Return what is at places: of many rows in a quarter of the time that `array[places]` takes."""
    return array.take(places, axis=0)


def best(rows: IntArray, scored: FloatArray, k: int) -> IntArray:
    """Return where the `k` best scores are, best first; equal ones in the order of rows."""
    kept = np.arange(len(scored))
    if max(k, SORTED_WHOLE) < len(scored):
        # Ties at the edge are kept, so that which of them is returned does not depend on their place.
        kept = np.flatnonzero(scored >= _edge(scored, k))
    return kept[np.lexsort((rows[kept], -scored[kept]))[:k]]


def candidates(metric: Metric, rows: IntArray, scored: FloatArray, k: int) -> IntArray:
    """Return where the scores are that may be the `k` best: these, and those that rounding may have put after them; in order
    where scores are exact."""
    if metric == "l2" or len(scored) <= k:  # its differences are rounded little
        return best(rows, scored, k)
    edge = _edge(scored, k)
    kept = np.flatnonzero(scored >= edge - ALIKE * max(1.0, abs(edge)))
    most = 4 * k + 64
    return kept if len(kept) <= most else kept[best(rows[kept], scored[kept], most)]


def _edge(scored: FloatArray, k: int) -> float:
    return float(np.partition(scored, len(scored) - k)[len(scored) - k])


def settled(
    metric: Metric, query: FloatArray, rows: IntArray, vectors: FloatArray, k: int
) -> Found:
    """Return the `k` best of candidates, compared in double precision: near ones differ by less than float32 tells apart.

    Args:
        metric: not the distance, whose differences are rounded little.
        vectors: those of the rows, prepared as the query is.
    """
    wide, asked = vectors.astype(np.float64), query.astype(np.float64)
    exact = np.einsum("ij,j->i", wide, asked)  # equal vectors have equal sums
    if metric == "cosine":
        squares = np.einsum("ij,ij->i", wide, wide) * asked.dot(asked)
        exact /= np.sqrt(np.maximum(squares, TINY))  # of a zero vector it is 0
        exact = np.maximum(np.minimum(exact, 1), -1)  # rounding can take it past 1
    order = np.lexsort((rows, -exact))[:k]
    return rows[order], exact[order].astype(np.float32)


def is_among(rows: IntArray, among: IntArray) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return for each row whether it is one of `among`, which is sorted."""
    if not len(among):
        return np.zeros(len(rows), np.bool_)
    at = np.minimum(np.searchsorted(among, rows), len(among) - 1)
    return np.asarray(among[at] == rows, np.bool_)


def _ends(values: FloatArray) -> list[float]:
    """Return the smallest and the largest of values; of one, as of a single query, without asking NumPy, whose calls take
    longer than their work."""
    return values.tolist() if len(values) <= 1 else [float(values.min()), float(values.max())]
