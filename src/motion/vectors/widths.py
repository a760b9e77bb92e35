"""Widths: how many nodes a graph must be asked for, measured against comparing with every vector."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import numpy as np

from motion.vectors.base import FloatArray, Found, IntArray

WIDTHS = (40, 64, 96, 128, 192, 256, 384, 512, 768)

NEIGHBOURS = 11
"""Of a query that are looked for: ten, and itself where it is a stored vector."""

WANTED_RECALL, WANTED_WORST = 0.995, 0.5
"""The share of neighbours that must be found on average, and of each query: where vectors lie in tight clusters, all of a
query's are found or none."""

USUAL = 0.1
"""Share of stored vectors whose neighbours are farther than is called usual."""

WORK = 150
"""Vectors that are compared in the time that a node takes: by their rough copies, of 512 numbers."""

Holding = Callable[[], AbstractContextManager[None]]


class Widths(NamedTuple):
    """Nodes to ask for.

    Attributes:
        near: where the last neighbour wanted is as near as is usual; None: compare with every vector.
        far: where it is farther.
        usual: the score from which on it is near.
    """

    near: int | None
    far: int | None
    usual: float


COMPARED = Widths(None, None, 0.0)


class Searched(NamedTuple):
    """How an index is searched by a query: exactly, and by its graph at a width; what it gives is whole, and in order."""

    exactly: Callable[[FloatArray, int, IntArray | None], Found]
    by_graph: Callable[[FloatArray, int, IntArray | None, int], Found | None]


def measured(
    searched: Searched,
    count: int,
    stored: FloatArray,
    others: FloatArray,
    tenth: IntArray,
    holding: Holding,
) -> Generator[None, None, Widths]:
    """Find the smallest widths with which nearly all neighbours are found, in steps.

    Args:
        count: vectors in the index.
        stored: queries that are stored vectors.
        others: further queries; every third query is asked among a tenth of the rows too.
    """
    widths = [width for width in WIDTHS if width * WORK < count]
    shares, last, stored_last = list[list[float]](), list[float](), list[float]()
    for i, query in enumerate((*stored, *others)):
        for among in (None, tenth) if i % 3 == 0 else (None,):
            with holding():
                share, score = _shares_found(searched, query, among, widths)
            shares.append(share)
            last.append(score)
            if among is None and i < len(stored):
                stored_last.append(score)
            yield
    if not widths or not stored_last:
        return COMPARED
    usual = sorted(stored_last)[int(USUAL * len(stored_last))]
    is_near = np.array(last) >= usual
    found = np.array(shares)
    return Widths(_least(widths, found[is_near]), _least(widths, found[~is_near]), usual)


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
