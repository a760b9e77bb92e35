"""A graph over some of an index's rows (HNSW, by usearch): which node stands for which rows, and which rows have none.

Rows with one and the same vector are behind one node: many equal nodes would be linked to one another only, and hide others.
Source: Malkov & Yashunin, arXiv:1603.09320.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np

from motion.definitions.tables.schema import Metric
from motion.errors import MissingPackage
from motion.vectors.base import FloatArray, IntArray, Parts
from motion.vectors.compare import is_among
from motion.vectors.exact import ExactIndex, Placed

CONNECTIVITY, EXPANSION_ADD, EXPANSION_SEARCH = 16, 64, 64

FEW_FRESH = 256
"""Fresh rows up to which their vectors are copied side by side."""

SPENT, SEVERAL = -1, -2
"""In place of where a node's row lies: it stands for none, or for several."""


IsApart = Callable[[FloatArray], bool]
"""Tells by the squares of the distances to nodes before it, nearest first, whether a node lies apart from them."""


class Taken(NamedTuple):
    """Fresh rows that are to get nodes: when they changed, and their vectors."""

    rows: list[int]
    stamps: list[int]
    vectors: FloatArray


class Graph:
    """A graph over rows of an exact index."""

    def __init__(self, metric: Metric, centre: FloatArray, rows: Iterable[int]) -> None:
        self._metric = metric
        self._usearch = usearch_index(len(centre), metric)
        # Distances do not depend on it, but what bfloat16 can tell apart does. Inner products would depend on it.
        self._centre = centre if metric != "dot" else np.zeros_like(centre)
        self._threads = max(1, (os.cpu_count() or 1) // 2)  # others have work too
        self._place_at: IntArray = np.empty(
            0, np.int64
        )  # of a node: where its row lies, or SPENT or SEVERAL
        self._room = self._place_at  # that, and what is to come after it
        self._vector_at: list[bytes] = []  # of a node: its vector, in short
        self._node_of: dict[bytes, int] = {}
        self._node: dict[int, int] = {}  # row -> node
        self._behind: dict[int, set[int]] = {}  # node -> rows, where these are several
        self._sorted: dict[int, IntArray] = {}
        self._stamp = 0
        self._fresh: dict[int, int] = dict.fromkeys(rows, 0)  # row -> when it last changed
        self._lost: set[int] = set()  # fresh rows that the graph does not find
        self._fresh_at: IntArray | None = None  # found when first asked for
        self._fresh_copy: Placed | None = None

    @property
    def fresh_count(self) -> int:
        return len(self._fresh)

    @property
    def left(self) -> int:
        """How many fresh rows can be taken."""
        return len(self._fresh) - len(self._lost)

    @property
    def lost(self) -> int:
        """How many fresh rows are left so for good."""
        return len(self._lost)

    @property
    def nodes(self) -> int:
        return len(self._place_at)

    @property
    def spent(self) -> int:
        return self.nodes - len(self._node_of)

    # -- following the rows --

    def note(self, rows: Sequence[int]) -> None:
        """Note that rows have other vectors now."""
        self.forget(rows)
        self._fresh.update(dict.fromkeys(rows, self._stamp))

    def forget(self, rows: Sequence[int]) -> None:
        self._stamp += 1
        self._forget_fresh()
        for row in rows:
            self._fresh.pop(row, None)
            self._lost.discard(row)
            node = self._node.pop(row, None)
            if node is None:
                continue
            others = self._behind.get(node, set())
            others.discard(row)
            self._sorted.pop(node, None)
            if not others:
                self._spend(node)

    def move(self, moved: Mapping[int, int]) -> None:
        """Note that rows lie elsewhere."""
        self._forget_fresh()
        for row, place in moved.items():
            node = self._node.get(row)
            if node is not None and self._place_at[node] >= 0:
                self._place_at[node] = place

    def _spend(self, node: int) -> None:
        self._place_at[node] = SPENT
        self._behind.pop(node, None)
        self._node_of.pop(self._vector_at[node], None)

    # -- growing --

    def take(self, limit: int, exact: ExactIndex) -> Taken:
        """Return fresh rows to be inserted."""
        chosen: list[tuple[int, int]] = []
        for pair in self._fresh.items():
            if len(chosen) == limit:
                break
            if pair[0] not in self._lost:
                chosen.append(pair)
        rows = [row for row, _ in chosen]
        return Taken(rows, [stamp for _, stamp in chosen], exact.vectors(exact.places(rows)))

    def insert(self, taken: Taken) -> dict[bytes, int]:
        """Add nodes for vectors that have none; they stand for nothing yet. Return their numbers by vector, in short."""
        short = [_short(vector) for vector in taken.vectors]
        new = {each: i for i, each in enumerate(short) if each not in self._node_of}
        first = len(self._usearch)
        if new:
            numbers = np.arange(first, first + len(new), dtype=np.uint64)
            vectors = taken.vectors[list(new.values())] - self._centre
            self._usearch.add(numbers, vectors, threads=self._threads)
        return {each: first + i for i, each in enumerate(new)}

    def register(self, taken: Taken, added: Mapping[bytes, int], exact: ExactIndex) -> None:
        """Let nodes stand for rows, those excepted that have changed since they were taken."""
        self._make_room(len(self._place_at) + len(added))
        self._vector_at += list(added)
        self._forget_fresh()
        for row, stamp, vector in zip(*taken, strict=True):
            short = _short(vector)
            node = self._node_of.get(short, added.get(short))
            if node is not None and self._fresh.get(row) == stamp:
                del self._fresh[row]
                self._stand(node, row, short, exact)

    def _make_room(self, count: int) -> None:
        """Let there be so many nodes, the new ones spent. All are copied only when there are half as many more."""
        if count > len(self._room):
            more = np.full(count - len(self._place_at) + count // 2, SPENT, np.int64)
            self._room = np.concatenate([self._place_at, more])
        self._place_at = self._room[:count]

    def _stand(self, node: int, row: int, short: bytes, exact: ExactIndex) -> None:
        self._node[row] = node
        self._sorted.pop(node, None)
        if self._place_at[node] == SPENT:
            self._place_at[node] = exact.places([row])[0]
            self._node_of[short] = node
            return
        if self._place_at[node] != SEVERAL:
            self._behind[node] = {int(exact.rows[self._place_at[node]])}
            self._place_at[node] = SEVERAL
        self._behind[node].add(row)

    def look_for(
        self, first: int, count: int, exact: ExactIndex, is_apart: IsApart | None = None
    ) -> tuple[list[int], list[int]]:
        """Return those of the nodes that their own vectors do not find, and those that lie apart from what was before them. By
        the dot product others may be nearer, and none is told."""
        if self._metric == "dot":
            return [], []
        nodes = [
            n for n in range(first, min(first + count, self.nodes)) if self._place_at[n] != SPENT
        ]
        if not nodes:
            return [], []
        rows = [self._sorted_behind(n)[0] if self._place_at[n] == SEVERAL else -1 for n in nodes]
        places = [
            int(self._place_at[n]) if r < 0 else int(exact.places([r])[0])
            for n, r in zip(nodes, rows, strict=True)
        ]
        asked = exact.vectors(np.array(places, np.int64)) - self._centre
        found = self._usearch.search(asked, EXPANSION_SEARCH, threads=self._threads)
        keys, squares = (each.reshape(len(nodes), -1) for each in (found.keys, found.distances))
        lost = [n for n, near in zip(nodes, keys, strict=True) if n not in near]
        if is_apart is None:
            return lost, []
        was_there = keys < first
        was_there &= self._place_at[np.where(was_there, keys, 0)] != SPENT
        apart = [
            n
            for n, near, is_old in zip(nodes, squares, was_there, strict=True)
            if is_apart(near[is_old])
        ]
        return lost, apart

    def lose(self, nodes: Iterable[int], exact: ExactIndex) -> None:
        """Leave the rows of nodes fresh for good."""
        rows: list[int] = []
        for node in sorted({*nodes}):
            place = int(self._place_at[node])
            if place == SEVERAL:
                rows += sorted(self._behind[node])
            elif place >= 0:
                rows.append(int(exact.rows[place]))
        self.note(rows)
        self._lost.update(rows)

    # -- searching --

    def nearest(
        self, query: FloatArray, count: int, k: int, exact: ExactIndex, among: IntArray | None
    ) -> tuple[int, IntArray]:
        """Return how many of the `count` nearest nodes stand for rows that are wanted, and where these lie: of equal
        vectors, the `k` first rows."""
        found = self._usearch.search(query - self._centre, count, threads=1).keys
        at = self._place_at[found]
        places = at[at >= 0]
        if among is not None:
            places = places[is_among(exact.rows[places], among)]
        nodes, parts = len(places), [places]
        for node in found[at == SEVERAL].tolist() if self._behind else ():
            rows = self._sorted_behind(node)
            if among is not None:
                rows = rows[is_among(rows, among)]
            if len(rows):
                nodes += 1
                parts.append(exact.places(rows[:k].tolist()))
        return nodes, np.concatenate(parts)

    def _sorted_behind(self, node: int) -> IntArray:
        rows = self._sorted.get(node)
        if rows is None:
            rows = self._sorted[node] = np.sort(np.fromiter(self._behind[node], np.int64))
        return rows

    def fresh(self, exact: ExactIndex) -> Placed | None:
        """Return where fresh rows lie, and their vectors side by side, which are compared in a fraction of the time; None where
        these are many."""
        found = self._fresh_copy
        if found is None and len(self._fresh) <= FEW_FRESH:
            places = self.fresh_places(exact)
            found = self._fresh_copy = Placed(places, exact.vectors(places))
        return found

    def fresh_places(self, exact: ExactIndex) -> IntArray:
        """Return where the fresh rows lie."""
        found = self._fresh_at
        if found is None:
            found = self._fresh_at = exact.places(self._fresh)
        return found

    def _forget_fresh(self) -> None:
        """Note that others are fresh, or lie elsewhere."""
        self._fresh_at, self._fresh_copy = None, None

    # -- on disk --

    def saved(self, rows: IntArray) -> Parts:
        nodes = self._node
        return {
            "centre": self._centre.copy(),
            "graph": np.frombuffer(self._usearch.save(), np.uint8),
            "nodes": np.array([nodes.get(row, SPENT) for row in rows.tolist()], np.int64),
            "lost": np.fromiter(self._lost, np.int64, len(self._lost)),
        }

    def restore(self, parts: Parts, exact: ExactIndex) -> None:
        """Take what `saved` gave. Raises `ValueError` or `RuntimeError` where it does not fit."""
        self._usearch.load(parts["graph"])
        nodes, rows, count = parts["nodes"], exact.rows, len(self._usearch)
        if (
            len(nodes) != len(rows)
            or self._usearch.ndim != len(self._centre)
            or nodes.max(initial=-1) >= count
        ):
            raise ValueError(f"a graph of {count} nodes for {len(nodes)} rows")
        self._room = self._place_at = np.full(count, SPENT, np.int64)
        self._vector_at = [b""] * count
        self._fresh = dict.fromkeys(rows[nodes == SPENT].tolist(), 0)
        self._lost = set(parts["lost"].tolist())
        for place, (row, node) in enumerate(zip(rows.tolist(), nodes.tolist(), strict=True)):
            if node != SPENT:
                self._vector_at[node] = _short(exact.matrix[place])
                self._stand(node, row, self._vector_at[node], exact)


def _short(vector: FloatArray) -> bytes:
    """Return what tells a vector from others in few bytes."""
    return blake2b(vector.tobytes(), digest_size=16).digest()


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
