"""Approximate search: a graph of near neighbours (HNSW, by usearch) proposes rows, exact vectors decide among them.

The graph only ever grows. A row that is not in it yet, or has changed since, is *fresh* and is compared with every
query; so a write costs what it costs the exact index, and is found at once. Equal vectors are one node. What the graph
gives is believed only as far as it is measured: how many nodes must be asked for, on stored vectors, on points between them
and on the last queries, again as vectors and queries change; where no number is enough or worth it, every vector is
compared. Each node is looked for once: one that is not found stays fresh.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator, Sequence

import numpy as np

from motion.background.locks import SharedLock
from motion.definitions.tables.schema import Metric
from motion.vectors import widths
from motion.vectors.base import FloatArray, Found, IntArray, Parts
from motion.vectors.compare import is_among, prepared, square
from motion.vectors.exact import ExactIndex
from motion.vectors.graph import Graph
from motion.vectors.widths import COMPARED, NEIGHBOURS, USUAL, Asked, Searched, Widths

SMALL = 2_000_000
"""Numbers in all vectors up to which they are always compared: that takes less than half a millisecond."""

PROPOSED_BESIDE = 30
"""Nodes wanted beside the results: bfloat16 orders near neighbours only roughly. For ten, none gave recall 0.99, and 30
gave 1.0."""

BELIEVED_UP_TO = 64
"""Neighbours that a graph is asked for at most: it is measured for ten, and of many the last are far."""

WIDEST = 2_048
"""Nodes asked for at most: beyond, the exact index is as fast."""

FEW = 20_000
"""Rows of a filter that are compared exactly rather than looked for in the graph."""

MOST_FRESH = 5_000
"""Fresh rows beyond which comparing them all on the side costs more than the exact index does."""

CENTRED_BY = 10_000
"""Vectors whose mean is the centre that a graph's are relative to."""

LEFT_FRESH = 256
"""Fresh rows that are left so: comparing them costs less than moving them one by one under the lock."""

APART = 4
"""How many times as far (in squares) as what is called unusual a vector's neighbours are where it lies apart from all."""

GROWN_AT_ONCE, GROWN_WHILE_SEARCHED = 1_024, 16

SPENT_SHARE, SPENT_AT_LEAST = 0.3, 1_000

MEASURED = 96
"""Queries of each kind that a search is measured with."""

MEASURED_AFTER, MEASURED_AFTER_AT_MOST = 256, 65_536
"""Queries after which a search is measured again: at first, and at most; each time that all is well, four times as many."""

MEASURED_AFTER_SHARE = 0.1
"""Changed rows, relative to all, after which a search is measured again."""


class HnswIndex:
    """An exact index with a graph over its vectors, once it holds `from_count` of them."""

    def __init__(self, dim: int, metric: Metric, from_count: int) -> None:
        self.dim = dim
        self._exact = ExactIndex(dim, metric)
        self._from_count = from_count
        self._graph: Graph | None = None  # searched
        self._next: Graph | None = None  # in the making
        self._widths = COMPARED
        self._refused_at = 0  # rows, when a graph was found to be of no use
        self._changed = self._changed_at_measure = 0
        self._apart = 0  # nodes that lay apart from those before them, since it was measured
        self._asked = np.zeros((MEASURED, dim), np.float32)  # the last queries
        self._asked_count, self._measured_at, self._measured_after = 0, 0, MEASURED_AFTER
        self._work: Iterator[None] | None = None  # making or measuring, in steps
        self._is_measuring = False  # a graph that is searched
        self._tending = threading.Lock()

    def __len__(self) -> int:
        return len(self._exact)

    def put(self, rows: Sequence[int], vectors: FloatArray) -> None:
        self._exact.put(rows, vectors)
        self._changed += len(rows)
        for graph in self._graphs():
            graph.note(rows)

    def remove(self, rows: Sequence[int]) -> None:
        moved = self._exact.remove_moving(rows)
        self._changed += len(rows)
        for graph in self._graphs():
            graph.forget(rows)
            graph.move(moved)

    # -- searching --

    def search(self, queries: FloatArray, k: int, among: IntArray | None = None) -> list[Found]:
        graph = self._graph
        if graph is None or k > BELIEVED_UP_TO or not self._pays(graph, among):
            return self._exact.search(queries, k, among)
        queries = prepared(self._exact.metric, queries)
        return [self._found(graph, query, k, among) for query in queries]

    def _pays(self, graph: Graph, among: IntArray | None) -> bool:
        is_few = among is not None and len(among) <= FEW
        return self._widths.near is not None and not is_few and graph.fresh_count <= MOST_FRESH

    def _found(self, graph: Graph, query: FloatArray, k: int, among: IntArray | None) -> Found:
        """Return the nearest rows to one prepared query: by the graph, as far as it is believed."""
        self._asked[self._asked_count % MEASURED] = query
        self._asked_count += 1
        near, middle, far, usual, unusual = self._widths
        found = None if near is None else self._proposed(graph, query, k, among, near)
        if found is not None and (last := _last(found, k)) < usual:
            width = middle if last >= unusual else far
            if width != near:
                found = None if width is None else self._proposed(graph, query, k, among, width)
        return self._exact_one(query, k, among) if found is None else found

    def _exact_one(self, query: FloatArray, k: int, among: IntArray | None) -> Found:
        return self._exact.nearest(query[None], k, among)[0]

    def _proposed(
        self, graph: Graph, query: FloatArray, k: int, among: IntArray | None, width: int
    ) -> Found | None:
        """Return the best of what the graph proposes and of what is fresh, None where it proposes too little: fresh rows do
        not count for it, nor do spent nodes."""
        if not query.any():  # a zero vector is as near to all
            return None
        exact, wanted = self._exact, k + PROPOSED_BESIDE
        count = max(width, wanted)
        while count <= min(WIDEST, len(self)):
            nodes, places = graph.nearest(query, count, k, exact, among)
            if nodes >= wanted:
                beside = graph.fresh(exact) if among is None else None
                if beside is not None:
                    return exact.nearest_beside(query, k, places, beside)
                fresh = graph.fresh_places(exact)
                if among is not None:
                    fresh = fresh[is_among(exact.rows[fresh], among)]
                return exact.nearest_at(query, k, np.concatenate([places, fresh]))
            count *= 4
        return None

    # -- tending --

    @property
    def needs_tending(self) -> bool:
        graph = self._graph
        if self._work is not None or self._is_due:
            return True
        return graph is not None and (graph.left > LEFT_FRESH or self._is_measure_due)

    @property
    def may_wait(self) -> bool:
        return self._is_measuring

    @property
    def _is_due(self) -> bool:
        """Whether a graph is to be made, for the first time or anew."""
        graph = self._graph
        if graph is not None:
            return _is_worn(graph)
        count = len(self)
        is_large = count >= max(self._from_count, 1) and count * self.dim > SMALL
        return is_large and self._changed > self._refused_at // 2

    @property
    def _is_measure_due(self) -> bool:
        changed = self._changed - self._changed_at_measure
        asked = self._asked_count - self._measured_at
        is_other = changed > MEASURED_AFTER_SHARE * len(self) or self._apart > LEFT_FRESH
        return is_other or asked >= self._measured_after

    def tend(self, lock: SharedLock) -> bool:
        with self._tending:
            if self._work is None:
                if self._is_due:
                    self._work = self._make(lock)
                elif self._graph is None:
                    return False
                elif self._graph.left > LEFT_FRESH:
                    with lock.alone():
                        self._grow(self._graph)
                    return True
                elif self._is_measure_due:
                    self._work, self._is_measuring = self._measure(self._graph, lock), True
                else:
                    return False
            if next(self._work, self) is self:
                self._work, self._is_measuring = None, False
            return True

    def _grow(self, graph: Graph) -> None:
        """Move some fresh rows into a graph that is searched."""
        first, taken = graph.nodes, graph.take(GROWN_WHILE_SEARCHED, self._exact)
        graph.register(taken, graph.insert(taken), self._exact)
        lost, apart = graph.look_for(first, GROWN_WHILE_SEARCHED, self._exact, self._is_apart)
        if graph.lost + len(apart) <= LEFT_FRESH:
            lost += apart
        else:
            self._apart += len(apart)
        graph.lose(lost, self._exact)

    def _is_apart(self, squares: FloatArray) -> bool:
        """Tell whether what lies so far from its neighbours is like nothing that the graph was measured with: what asks for it
        may not come to it from anywhere else."""
        if len(squares) < NEIGHBOURS:
            return True
        return float(squares[NEIGHBOURS - 1]) > APART * square(
            self._exact.metric, self._widths.unusual
        )

    def _make(self, lock: SharedLock) -> Generator[None, None, None]:
        """Make a graph that nobody searches yet, and search it from now on."""
        with lock.alone():
            centre = self._exact.matrix[:CENTRED_BY].mean(axis=0)
            self._next = graph = Graph(self._exact.metric, centre, self._exact.rows.tolist())
            changed = self._changed
        while graph.left > LEFT_FRESH:  # none left may never come, where rows change all the time
            with lock.shared():
                taken = graph.take(GROWN_AT_ONCE, self._exact)
            added = graph.insert(taken)
            with lock.alone():
                graph.register(taken, added, self._exact)
            yield
        for first in range(0, graph.nodes, GROWN_AT_ONCE):
            with lock.shared():
                lost, _ = graph.look_for(first, GROWN_AT_ONCE, self._exact)
            with lock.alone():
                graph.lose(lost, self._exact)
            yield
        yield from self._measure(graph, lock)
        with lock.alone():
            self._next, self._changed = None, self._changed - changed
            self._changed_at_measure = self._changed
            is_of_use = self._widths.near is not None and graph.fresh_count <= MOST_FRESH
            is_of_use = is_of_use and not _is_worn(graph)  # many that are not found, so soon
            self._graph = graph if is_of_use else None
            self._refused_at = 0 if is_of_use else len(self)

    def _graphs(self) -> Iterable[Graph]:
        return [graph for graph in (self._graph, self._next) if graph is not None]

    # -- measuring --

    def _measure(self, graph: Graph, lock: SharedLock) -> Generator[None, None, None]:
        """Measure how many nodes must be asked for."""

        def by_graph(query: FloatArray, k: int, among: IntArray | None, width: int) -> Found | None:
            return self._proposed(graph, query, k, among, width)

        with lock.shared():
            stored, more, others, tenth = self._queries()
            count, asked, changed = len(self), self._asked_count, self._changed
        searched = Searched(self._exact_one, by_graph)
        apart = yield from widths.farthest(searched, more, lock.shared)
        queries = Asked(stored, apart, others, tenth)
        now = yield from widths.measured(searched, count, queries, lock.shared)
        with lock.alone():
            is_as_before = now[:3] == self._widths[:3]
            after = 4 * self._measured_after if is_as_before else MEASURED_AFTER
            self._widths = now
            self._measured_at, self._changed_at_measure, self._apart = asked, changed, 0
            self._measured_after = min(after, MEASURED_AFTER_AT_MOST)

    def _queries(self) -> tuple[FloatArray, FloatArray, FloatArray, IntArray]:
        """Return stored vectors; ten times as many; what was asked, what lies between two vectors, and anything; and a tenth of
        the rows."""
        exact, count = self._exact, min(len(self), MEASURED)
        random = np.random.default_rng(self._asked_count + len(self))
        some, beside, more = (
            exact.vectors(random.choice(len(self), size, replace=False))
            for size in (count, count, min(len(self) // 4, round(MEASURED / USUAL)))
        )
        asked = self._asked[: min(self._asked_count, MEASURED)]
        between = prepared(exact.metric, (some + beside) / np.float32(2))
        scale = float(some.std()) if some.size else 1.0
        anything = np.asarray(scale * random.normal(size=some.shape), np.float32)
        others = np.concatenate([asked, between, prepared(exact.metric, anything)])
        return some, more, others, np.sort(exact.rows[random.integers(10) :: 10])

    # -- on disk --

    def saved(self) -> Parts | None:
        if self._graph is None:
            return None
        matrix, rows = self._exact.matrix.copy(), self._exact.rows.copy()
        near, middle, far, usual, unusual = self._widths
        measured = [-1 if each is None else each for each in (near, far, usual, middle, unusual)]
        return {
            "matrix": matrix,
            "rows": rows,
            "widths": np.array(measured, float),
            **self._graph.saved(rows),
        }

    def restore(self, parts: Parts) -> None:
        metric = self._exact.metric
        exact, graph = ExactIndex(self.dim, metric), Graph(metric, parts["centre"], ())
        exact.restore(parts)
        graph.restore(parts, exact)
        near, far, usual, *since = parts["widths"].tolist()
        middle, unusual = since or (-1, usual)  # older versions knew of two
        near, middle, far = (None if each < 0 else int(each) for each in (near, middle, far))
        self._widths = Widths(near, middle, far, usual, unusual)
        self._exact, self._graph = exact, graph


def _last(found: Found, k: int) -> float:
    """Return the score of the last of `k` neighbours; none is as low where there are fewer."""
    scores = found[1]
    return float(scores[-1]) if len(scores) >= k else -np.inf


def _is_worn(graph: Graph) -> bool:
    """Whether so many nodes are spent that a new graph is due."""
    return graph.spent > max(SPENT_AT_LEAST, SPENT_SHARE * graph.nodes)
