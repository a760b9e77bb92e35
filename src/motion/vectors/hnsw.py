"""Approximate search: a graph of near neighbours (HNSW, by usearch) proposes rows, exact vectors decide among them.

The graph holds bfloat16 copies, relative to a centre, and only ever grows. A row that is not in it yet, or has changed since, is *fresh* and
is compared exactly with every query; its old node is *spent*, and passed over. So a write costs no more than with the
exact index and is found at once, and a result is right whatever the state of the graph; `tend` moves fresh rows into
it when nobody waits, and makes a new one beside it when too many nodes are spent.
Source: Malkov & Yashunin, arXiv:1603.09320.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from motion.errors import MissingPackage
from motion.locks import SharedLock
from motion.schema import Metric
from motion.vectors.base import FloatArray, Found, IntArray, Parts
from motion.vectors.exact import ExactIndex

CONNECTIVITY, EXPANSION_ADD, EXPANSION_SEARCH = 16, 64, 64
PROPOSED_BESIDE = 30
"""Nodes asked for beside the results wanted: bfloat16 orders near neighbours only roughly. For ten, none gave recall
0.99, and 30 gave 1.0."""

WIDEST = 2_048
"""Nodes asked for at most: beyond, the exact index is as fast."""

FEW = 20_000
"""Rows that are compared exactly rather than looked for in the graph: the farther it must look, the more it misses."""

MOST_FRESH = 5_000
"""Fresh rows beyond which comparing them all on the side costs more than the exact index does."""

CENTRED_BY = 10_000
"""Vectors whose mean is the centre that a graph's are relative to."""

LEFT_FRESH = 256
"""Fresh rows that are left so: comparing them costs less than moving them one by one under the lock."""

GROWN_AT_ONCE, GROWN_WHILE_SEARCHED = 1_024, 16
SPENT_SHARE, SPENT_AT_LEAST = 0.3, 1_000
SPENT = -1
"""In place of where a node's row lies."""


class HnswIndex:
    """An exact index with a graph over its vectors, once it holds `from_count` of them."""

    def __init__(self, dim: int, metric: Metric, from_count: int) -> None:
        self.dim = dim
        self._exact = ExactIndex(dim, metric)
        self._from_count = from_count
        self._graph: _Graph | None = None  # searched
        self._next: _Graph | None = None  # in the making
        self._tending = threading.Lock()

    def __len__(self) -> int:
        return len(self._exact)

    def put(self, rows: Sequence[int], vectors: FloatArray) -> None:
        self._exact.put(rows, vectors)
        for graph in self._graphs():
            graph.note(rows)

    def remove(self, rows: Sequence[int]) -> None:
        moved = self._exact.remove_moving(rows)
        for graph in self._graphs():
            graph.forget(rows)
            graph.move(moved)

    def search(self, queries: FloatArray, k: int, among: IntArray | None = None) -> list[Found]:
        graph = self._graph
        if graph is None or len(graph.fresh) > MOST_FRESH or not self._pays(k, among):
            return self._exact.search(queries, k, among)
        prepared = self._exact.prepared(queries)
        return [self._found(graph, prepared[i : i + 1], k, among) for i in range(len(prepared))]

    def _pays(self, k: int, among: IntArray | None) -> bool:
        """Whether few enough nodes need to be asked for, compared with looking at the rows themselves."""
        if among is None:
            return k + PROPOSED_BESIDE <= min(WIDEST, len(self))
        return len(among) > FEW and _first_count(k, len(among), len(self)) <= WIDEST

    def _found(self, graph: _Graph, prepared: FloatArray, k: int, among: IntArray | None) -> Found:
        """Return the rows of the nearest vectors to one prepared query, shape `(1, dim)`."""
        exact, total = self._exact, len(self)
        left = total if among is None else len(among)
        fresh = self._those(graph.fresh_places(exact), among)
        count = _first_count(k, left, total)
        while count <= WIDEST and prepared.any():  # a zero vector is as near to all
            places = self._those(graph.nearest(prepared[0], count), among)
            if len(fresh):
                places = np.concatenate([places, fresh])
            if len(places) >= min(k, left):
                return exact.nearest(prepared, k, places)[0]
            count *= 4
        return exact.nearest(prepared, k, None if among is None else exact.places(among))[0]

    def _those(self, places: IntArray, among: IntArray | None) -> IntArray:
        """Return those of the places at which there are rows of `among`, which is sorted."""
        if among is None or not len(among):
            return places if among is None else places[:0]
        rows = self._exact.rows[places]
        at = np.minimum(np.searchsorted(among, rows), len(among) - 1)
        return np.asarray(places[among[at] == rows], np.int64)

    # -- tending --

    @property
    def needs_tending(self) -> bool:
        if self._graph is None:
            return self._next is not None or len(self) >= max(self._from_count, 1)
        return self._next is not None or len(self._graph.fresh) > LEFT_FRESH or self._graph.is_worn

    def tend(self, lock: SharedLock) -> bool:
        with self._tending:
            if not self.needs_tending:
                return False
            if self._next is not None or self._graph is None or self._graph.is_worn:
                self._tend_next(lock)
            else:
                with lock.alone():
                    self._grow(self._graph, GROWN_WHILE_SEARCHED)
            return True

    def _tend_next(self, lock: SharedLock) -> None:
        """Make a graph that nobody searches yet a part larger, and search it from now on if it is complete."""
        with lock.alone():
            if self._next is None:
                centre = self._exact.matrix[:CENTRED_BY].mean(axis=0)
                self._next = _Graph(self._exact.metric, centre, self._exact.rows.tolist())
            graph = self._next
            rows, stamps = graph.take(GROWN_AT_ONCE)
            vectors = self._exact.vectors(self._exact.places(rows))
        first = graph.insert(vectors)
        with lock.alone():
            graph.register(first, rows, stamps, self._exact)
            if (
                len(graph.fresh) <= LEFT_FRESH
            ):  # none left may never come, where rows change all the time
                self._graph, self._next = graph, None

    def _grow(self, graph: _Graph, limit: int) -> None:
        rows, stamps = graph.take(limit)
        first = graph.insert(self._exact.vectors(self._exact.places(rows)))
        graph.register(first, rows, stamps, self._exact)

    def _graphs(self) -> Iterable[_Graph]:
        return [graph for graph in (self._graph, self._next) if graph is not None]

    # -- on disk --

    def saved(self) -> Parts | None:
        if self._graph is None:
            return None
        matrix, rows = self._exact.matrix.copy(), self._exact.rows.copy()
        return {"matrix": matrix, "rows": rows, **self._graph.saved()}

    def restore(self, parts: Parts) -> None:
        metric = self._exact.metric
        exact, graph = ExactIndex(self.dim, metric), _Graph(metric, parts["centre"], ())
        exact.restore(parts)
        graph.restore(parts)
        self._exact, self._graph = exact, graph


class _Graph:
    """A graph over some of an index's rows: which node stands for which row, and which rows have none."""

    def __init__(self, metric: Metric, centre: FloatArray, rows: Iterable[int]) -> None:
        self._usearch = usearch_index(len(centre), metric)
        # Distances do not depend on it, but what bfloat16 can tell apart does. Inner products would depend on it.
        self._centre = centre if metric != "dot" else np.zeros_like(centre)
        self._threads = max(1, (os.cpu_count() or 1) // 2)  # others have work too
        self._place_at: IntArray = np.empty(0, np.int64)  # of a node: where its row lies; -1: spent
        self._node: dict[int, int] = {}  # row -> node
        self._stamp = 0
        self.fresh: dict[int, int] = dict.fromkeys(rows, 0)  # row -> when it last changed
        self._fresh_places: IntArray | None = None  # found when first asked for

    @property
    def is_worn(self) -> bool:
        """Whether so many nodes are spent that a new graph is due."""
        spent = len(self._place_at) - len(self._node)
        return spent > max(SPENT_AT_LEAST, SPENT_SHARE * len(self._place_at))

    def note(self, rows: Sequence[int]) -> None:
        """Note that rows have other vectors now."""
        self.forget(rows)
        self.fresh.update(dict.fromkeys(rows, self._stamp))

    def forget(self, rows: Sequence[int]) -> None:
        self._stamp += 1
        self._fresh_places = None
        for row in rows:
            self.fresh.pop(row, None)
            node = self._node.pop(row, None)
            if node is not None:
                self._place_at[node] = SPENT

    def move(self, moved: Mapping[int, int]) -> None:
        """Note that rows lie elsewhere."""
        for row, place in moved.items():
            node = self._node.get(row)
            if node is not None:
                self._place_at[node] = place

    def take(self, limit: int) -> tuple[list[int], list[int]]:
        """Return fresh rows to be inserted, and when they changed."""
        chosen = [pair for pair, _ in zip(self.fresh.items(), range(limit), strict=False)]
        return [row for row, _ in chosen], [stamp for _, stamp in chosen]

    def insert(self, vectors: FloatArray) -> int:
        """Add nodes that stand for nothing yet; return the first one's number."""
        first = len(self._usearch)
        if len(vectors):
            numbers = np.arange(first, first + len(vectors), dtype=np.uint64)
            self._usearch.add(numbers, vectors - self._centre, threads=self._threads)
        return first

    def register(
        self, first: int, rows: Sequence[int], stamps: Sequence[int], exact: ExactIndex
    ) -> None:
        """Let nodes stand for rows, those excepted that have changed since they were taken."""
        is_same = [self.fresh.get(row) == stamp for row, stamp in zip(rows, stamps, strict=True)]
        same = [row for row, stays in zip(rows, is_same, strict=True) if stays]
        added = np.full(len(rows), SPENT, np.int64)
        added[is_same] = exact.places(same)
        self._place_at = np.append(self._place_at, added)
        self._node.update(zip(same, (first + np.flatnonzero(is_same)).tolist(), strict=True))
        self._fresh_places = None
        for row in same:
            del self.fresh[row]

    def nearest(self, prepared: FloatArray, count: int) -> IntArray:
        """Return where the rows of the current nodes among the `count` nearest ones lie, in no order."""
        found = self._usearch.search(prepared - self._centre, count, threads=1)
        places = self._place_at[found.keys]
        return np.asarray(places[places != SPENT], np.int64)

    def fresh_places(self, exact: ExactIndex) -> IntArray:
        """Return where the fresh rows lie."""
        found = self._fresh_places
        if found is None:
            found = self._fresh_places = exact.places(self.fresh)
        return found

    def saved(self) -> Parts:
        return {
            "centre": self._centre.copy(),
            "graph": np.frombuffer(self._usearch.save(), np.uint8),
            "place_at": self._place_at.copy(),
            "fresh": np.fromiter(self.fresh, np.int64, len(self.fresh)),
        }

    def restore(self, parts: Parts) -> None:
        self._usearch.load(parts["graph"])
        self._place_at = parts["place_at"]
        if len(self._usearch) != len(self._place_at) or self._usearch.ndim != len(self._centre):
            raise ValueError(f"a graph of {len(self._usearch)} nodes for {len(self._place_at)}")
        nodes = np.flatnonzero(self._place_at != SPENT)
        rows = parts["rows"][self._place_at[nodes]]
        self._node = dict(zip(rows.tolist(), nodes.tolist(), strict=True))
        self.fresh = dict.fromkeys(parts["fresh"].tolist(), 0)


def _first_count(k: int, among: int, total: int) -> int:
    """Return how many nodes are asked for first, so that `k` of them are likely among so many of the rows."""
    return max(k + PROPOSED_BESIDE, 3 * k * total // max(among, 1))


def is_available() -> bool:
    """Return whether usearch is installed."""
    try:
        import usearch.index  # noqa: F401 - looked for, not used
    except ImportError:
        return False
    return True


def usearch_index(dim: int, metric: Metric) -> Any:
    """Return an empty index of usearch.

    Raises:
        MissingPackage: it is not installed.
    """
    try:
        from usearch.index import Index
    except ImportError as exc:
        raise MissingPackage('Vector(index="hnsw")', "usearch", "ann") from exc
    return Index(
        ndim=dim,
        metric="ip"
        if metric == "dot"
        else "l2sq",  # of unit length, the nearest have the largest cosine
        # bfloat16 takes half the memory and build time; around a centre, it tells near neighbours apart.
        dtype="f32" if metric == "dot" else "bf16",
        connectivity=CONNECTIVITY,
        expansion_add=EXPANSION_ADD,
        expansion_search=EXPANSION_SEARCH,
        enable_key_lookups=False,
    )
