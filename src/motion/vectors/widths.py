"""Widths: how many nodes a graph must be asked for, measured against comparing with every vector."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import numpy as np

from motion.vectors.base import FloatArray, Found, IntArray

WIDTHS = (40, 64, 96, 128, 192, 256, 384, 512, 768)

LOOKED_AT, AT_ONCE = 64, 8
"""Nodes asked for where it is only to be known about how far neighbours are, and queries of which that is asked in one step."""

NEIGHBOURS = 11
"""Of a query that are looked for: ten, and itself where it is a stored vector."""

WANTED_RECALL, WANTED_WORST = 0.995, 0.5
"""The share of neighbours that must be found on average, and of each query: where vectors lie in tight clusters, all of a
query's are found or none."""

USUAL, UNUSUAL = 0.1, 0.01
"""Share of stored vectors whose neighbours are farther than is called usual, and than is called unusual."""

WORK = 150
"""Vectors that are compared in the time that a node takes: by their rough copies, of 512 numbers."""

Holding = Callable[[], AbstractContextManager[None]]


class Widths(NamedTuple):
    """Nodes to ask for.

    Attributes:
        near: where the last neighbour wanted is as near as is usual; None: compare with every vector.
        middle: where it is farther, but not as far as is unusual.
        far: where it is farther still.
        usual: the score from which on it is near.
        unusual: the score below which it is far.
    """

    near: int | None
    middle: int | None
    far: int | None
    usual: float
    unusual: float


COMPARED = Widths(None, None, None, 0.0, 0.0)


class Searched(NamedTuple):
    """How an index is searched by a query: exactly, and by its graph at a width; what it gives is whole, and in order."""

    exactly: Callable[[FloatArray, int, IntArray | None], Found]
    by_graph: Callable[[FloatArray, int, IntArray | None, int], Found | None]


class Asked(NamedTuple):
    """Queries that a search is measured with. Every third is asked among a tenth of the rows, `tenth`, too.

    Attributes:
        stored: stored vectors, by chance.
        apart: of ten times as many stored vectors those that the graph finds the farthest neighbours for.
        others: no stored vectors.
    """

    stored: FloatArray
    apart: FloatArray
    others: FloatArray
    tenth: IntArray


def farthest(
    searched: Searched, stored: FloatArray, holding: Holding
) -> Generator[None, None, FloatArray]:
    """Return, in steps, the tenth of stored vectors whose neighbours are the farthest, as a graph has them."""
    last: list[float] = []
    for start in range(0, len(stored), AT_ONCE):
        with holding():
            for query in stored[start : start + AT_ONCE]:
                found = searched.by_graph(query, NEIGHBOURS, None, LOOKED_AT)
                is_whole = found is not None and len(found[1]) == NEIGHBOURS
                last.append(float(found[1][-1]) if found is not None and is_whole else np.inf)
        yield
    return stored[np.argsort(last, kind="stable")[: int(USUAL * len(stored))]]


def measured(
    searched: Searched, count: int, asked: Asked, holding: Holding
) -> Generator[None, None, Widths]:
    """Find the smallest widths with which nearly all neighbours are found, in steps.

    Args:
        count: vectors in the index.
    """
    widths = [width for width in WIDTHS if width * WORK < count]
    stored, apart, others, tenth = asked
    shares, last, by_chance = list[list[float]](), list[float](), list[bool]()
    stored_last, apart_last = list[float](), list[float]()
    for i, query in enumerate((*stored, *apart, *others)):
        for among in (None, tenth) if i % 3 == 0 else (None,):
            with holding():
                share, score = _shares_found(searched, query, among, widths)
            shares.append(share)
            last.append(score)
            by_chance.append(not len(stored) <= i < len(stored) + len(apart))
            if among is None and i < len(stored) + len(apart):
                (stored_last if i < len(stored) else apart_last).append(score)
            yield
    if not widths or not stored_last:
        return COMPARED
    usual = sorted(stored_last)[int(USUAL * len(stored_last))]
    unusual = sorted(apart_last)[int(UNUSUAL / USUAL * len(apart_last))] if apart_last else usual
    found, scores = np.array(shares), np.array(last)
    unusual = min(usual, unusual)
    near = _least(widths, found[(scores >= usual) & np.array(by_chance)])
    middle = _least(widths, found[(scores < usual) & (scores >= unusual)])
    return Widths(near, middle, _least(widths, found[scores < unusual]), usual, unusual)


def _least(widths: Sequence[int], shares: FloatArray) -> int | None:
    if not len(shares):
        return None
    is_right = (shares.mean(axis=0) >= WANTED_RECALL) & (shares.min(axis=0) >= WANTED_WORST)
    return widths[int(np.argmax(is_right))] if is_right.any() else None


def _shares_found(
    searched: Searched, query: FloatArray, among: IntArray | None, widths: Sequence[int]
) -> tuple[list[float], float]:
    """Return for each width the share of the nearest rows that are found, and the last one's score: none is enough where
    there are fewer."""
    rows, scores = searched.exactly(query, NEIGHBOURS, among)
    true, shares = set(rows.tolist()), list[float]()
    for width in widths:
        if not true or (shares and shares[-1] == 1):  # a wider search finds them too
            shares.append(1.0)
            continue
        found = searched.by_graph(query, NEIGHBOURS, among, width)
        shares.append(
            1.0 if found is None else len(true.intersection(found[0].tolist())) / len(true)
        )
    return shares, float(scores[-1]) if len(scores) == NEIGHBOURS else -np.inf
