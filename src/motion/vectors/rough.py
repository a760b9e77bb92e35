"""Rough copies of vectors, eight bits a number, which tell in a fraction of the time which few may be the nearest to a query.

How far a copy may be from its vector is kept beside it, so that none that may be among the nearest is left out: what comes of
comparing the rest exactly is what comparing all gives. Vectors are copied relative to a centre: a copy of what is left is
closer, and the order of products and distances does not change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from motion.definitions.tables.schema import Metric
from motion.vectors.base import FloatArray, IntArray
from motion.vectors.compare import taken

LARGEST = np.float32(127)

COPIED_AT_ONCE = 500_000
"""Numbers in vectors that are copied together, while they are in the cache."""

ROUNDED, WIDER = 2e-6, 1.0001
"""What rounding in float32 may add, relative to a vector's length, and to a distance that is computed."""

CENTRED_BY = 10_000
"""Vectors whose mean is the centre of all."""

SMALLEST, HUGE = 1e-10, 1e10
"""Numbers beyond which squares and what is made of them may be lost in float32: of a vector whose largest is beyond, nothing
is known."""

KEPT_SHARE = 0.125
"""Share of vectors that may be the nearest, beyond which comparing all exactly takes as long."""

PICKED_SHARE = 0.5
"""Share of vectors to compare, beyond which comparing the copies of all, as they lie, takes as long as picking theirs."""

Copies = np.ndarray[Any, np.dtype[np.int8]]

Products = Callable[[Copies, Copies], FloatArray]
"""Of copies, one a row, and a query's: the product of each with it."""


class Copied(NamedTuple):
    """Vectors as whole numbers of steps.

    Attributes:
        steps: in [-127, 127].
        size: of each vector's steps.
        length: of each copy.
        error: how far each copy is from its vector, at most.
        half: of each vector's square, where distances are compared; otherwise 0.
    """

    steps: Copies
    size: FloatArray
    length: FloatArray
    error: FloatArray
    half: FloatArray

    def at(self, places: IntArray) -> Copied:
        return Copied(taken(self.steps, places), *(taken(each, places) for each in self.facts))

    def first(self, count: int) -> Copied:
        return Copied(self.steps[:count], *(each[:count] for each in self.facts))

    def write(self, places: IntArray | slice, other: Copied) -> None:
        self.steps[places] = other.steps
        for held, new in zip(self.facts, other.facts, strict=True):
            held[places] = new

    @property
    def facts(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        return self.size, self.length, self.error, self.half


class RoughCopies:
    """Copies of an index's vectors, at the same places.

    Args:
        centre: what they are relative to.
        capacity: vectors that there is room for.
    """

    def __init__(
        self, metric: Metric, centre: FloatArray, capacity: int, products: Products
    ) -> None:
        self._is_distance, self._centre, self._products = metric == "l2", centre, products
        self._held = _room(capacity, len(centre))

    def put(self, places: IntArray | slice, vectors: FloatArray) -> None:
        """Copy vectors to places."""
        with np.errstate(over="ignore", invalid="ignore"):
            copied = _copied(vectors - self._centre, self._is_distance)
        self._held.write(places, copied)

    def put_from(self, place: int, vectors: FloatArray) -> None:
        """Copy vectors to a place and those after it."""
        at_once = max(1, COPIED_AT_ONCE // vectors.shape[1])
        for start in range(0, len(vectors), at_once):
            part = vectors[start : start + at_once]
            self.put(slice(place + start, place + start + len(part)), part)

    def move(self, place: int, last: int) -> None:
        """Move what is at the last place."""
        self._held.write(slice(place, place + 1), self._held.at(np.array([last])))

    def grow(self, capacity: int) -> None:
        larger = _room(capacity, len(self._centre))
        larger.write(slice(len(self._held.size)), self._held)
        self._held = larger

    def near(
        self, query: FloatArray, k: int, count: int, places: IntArray | None
    ) -> IntArray | None:
        """Return places among which the `k` nearest to a prepared query are, of `places` or of the first `count`. None where
        nothing is gained: too many may be the nearest."""
        with np.errstate(over="ignore", invalid="ignore"):
            asked = _copied((query - self._centre if self._is_distance else query)[None], False)
        error = asked.error[0] / asked.size[0]  # all in the query's steps
        whole = asked.length[0] / asked.size[0] + error
        if not whole or not np.isfinite(whole):
            return None
        is_picked = places is not None and len(places) < PICKED_SHARE * count
        held = self._held.first(count) if places is None or not is_picked else self._held.at(places)
        scores = self._products(held.steps, asked.steps[0]) * held.size
        doubt = held.error * whole + held.length * (error + np.float32(ROUNDED) * whole)
        if self._is_distance:
            halves = held.half / asked.size[0]
            scores -= halves
            doubt += np.float32(ROUNDED) * halves
        lowest, highest = scores - doubt, scores + doubt
        if places is not None and not is_picked:
            lowest, highest = lowest[places], highest[places]
        kept = np.flatnonzero(highest >= np.partition(lowest, len(lowest) - k)[len(lowest) - k])
        if len(kept) > max(k, KEPT_SHARE * len(lowest)):
            return None
        return kept if places is None else places[kept]


def centre_of(matrix: FloatArray) -> FloatArray:
    """Return about the mean of vectors."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(matrix[:CENTRED_BY].mean(axis=0), np.float32)


def products() -> Products | None:
    """Return what multiplies copies, None where numkong is not installed."""
    try:
        from numkong import cdist
    except ImportError:
        return None

    def multiplied(copies: Copies, query: Copies) -> FloatArray:
        found = cdist(query[None], copies, "dot", out_dtype="float32")
        return np.asarray(found, np.float32).reshape(-1)

    return multiplied


def _room(capacity: int, dim: int) -> Copied:
    size, length, error, half = (np.empty(capacity, np.float32) for _ in range(4))
    return Copied(np.empty((capacity, dim), np.int8), size, length, error, half)


def _copied(vectors: FloatArray, has_squares: bool) -> Copied:
    largest = np.maximum(vectors.max(axis=1), -vectors.min(axis=1))
    is_known = (largest > SMALLEST) & (largest < HUGE)
    size = np.where(is_known, largest / LARGEST, np.float32(1))
    numbers = vectors / size[:, None]
    numbers[~is_known] = 0
    steps = np.rint(numbers)
    numbers -= steps
    length, rest = (
        np.sqrt(np.einsum("ij,ij->i", steps, steps)),
        np.sqrt(np.einsum("ij,ij->i", numbers, numbers)),
    )
    error = np.float32(WIDER) * rest + np.float32(ROUNDED) * length
    error[~is_known & (largest != 0)] = np.inf
    half = (
        np.einsum("ij,ij->i", vectors, vectors) / np.float32(2)
        if has_squares
        else np.zeros_like(size)
    )
    half[~is_known] = 0
    return Copied(steps.astype(np.int8), size, size * length, size * error, half)
