"""Vector indexes: one contract for the exact and the approximate one, on vectors in clusters, as embeddings are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from motion.background.locks import SharedLock
from motion.definitions.tables.schema import Metric
from motion.testing.contracts import DIM, METRICS, VectorIndexContract, clustered, scores_of
from motion.vectors import exact, graph, widths
from motion.vectors.base import Found, VectorIndex
from motion.vectors.exact import ExactIndex
from motion.vectors.graph import SPENT
from motion.vectors.hnsw import HnswIndex
from motion.vectors.rough import RoughCopies, centre_of, products

pytestmark = pytest.mark.usefixtures("graph_at_any_size")


def settled(dim: int, metric: Metric) -> VectorIndex:
    """An approximate index that is tended after every change, so that its graph is always whole."""

    class Settled(HnswIndex):
        def put(self, rows, vectors):  # type: ignore[no-untyped-def]  # as above it
            super().put(rows, vectors)
            tend(self)

    return Settled(dim, metric, 0)


def without_copies(dim: int, metric: Metric) -> ExactIndex:
    """Return an exact index as it is where numkong is not installed."""
    index = ExactIndex(dim, metric)
    index._products = None
    return index


def tend(index: VectorIndex) -> None:
    lock = SharedLock()
    while index.tend(lock):
        pass


# -- the contract --


class TestExact(VectorIndexContract):
    def make(self, dim: int, metric: Metric) -> VectorIndex:
        return ExactIndex(dim, metric)


class TestExactWithoutCopies(VectorIndexContract):
    def make(self, dim: int, metric: Metric) -> VectorIndex:
        return without_copies(dim, metric)


class TestHnswWithoutAGraphYet(VectorIndexContract):
    def make(self, dim: int, metric: Metric) -> VectorIndex:
        return HnswIndex(dim, metric, 0)


class TestHnsw(VectorIndexContract):
    def make(self, dim: int, metric: Metric) -> VectorIndex:
        return settled(dim, metric)


@given(
    changes=st.lists(
        st.tuples(
            st.booleans(), st.lists(st.integers(0, 60), min_size=1, max_size=30, unique=True)
        ),
        max_size=12,
    ),
    parts=st.lists(st.integers(0, 3), max_size=12),
    metric=st.sampled_from(METRICS),
    k=st.integers(1, 8),
)
@settings(deadline=None, max_examples=60)
def test_after_any_changes_and_any_tending_a_search_agrees_with_brute_force(
    changes: list[tuple[bool, list[int]]], parts: list[int], metric: Metric, k: int
) -> None:
    index, lock = HnswIndex(DIM, metric, 10), SharedLock()
    held: dict[int, np.ndarray] = {}
    for i, (is_put, changed) in enumerate(changes):
        if is_put:
            vectors = clustered(len(changed), seed=i)
            index.put(changed, vectors)
            held |= dict(zip(changed, vectors, strict=True))
        else:
            index.remove(changed)
            held = {row: vector for row, vector in held.items() if row not in changed}
        for _ in range(parts[i] if i < len(parts) else 0):
            index.tend(lock)
    query = clustered(1, seed=77)
    ((rows, scores),) = index.search(query, k)
    true = scores_of(metric, np.array(list(held.values())).reshape(-1, DIM), query[0])
    np.testing.assert_allclose(scores, sorted(true, reverse=True)[:k], atol=1e-4)
    assert set(rows.tolist()) <= set(held)


# -- rough copies --


def far_away(count: int, seed: int) -> np.ndarray:
    return clustered(count, seed) + np.float32(1_000)


def with_odd_ones(count: int, seed: int) -> np.ndarray:
    """Some are huge, some tiny, some zero, and many equal."""
    vectors = clustered(count, seed)
    vectors[::7] *= np.float32(1e25)
    vectors[1::7] *= np.float32(1e-25)
    vectors[2::7] = 0
    vectors[3::7] = 0.5
    return vectors


@given(
    changes=st.lists(
        st.tuples(st.booleans(), st.integers(0, 900), st.integers(1, 600)), min_size=1, max_size=6
    ),
    make=st.sampled_from([clustered, far_away, with_odd_ones]),
    metric=st.sampled_from(METRICS),
    k=st.integers(1, 12),
    share=st.sampled_from([None, 0.1, 0.7]),
    copied_from=st.sampled_from([0, 700]),
)
@example(  # some come while there are too few to be looked at roughly, as there were not before
    changes=[(True, 600, 300), (False, 0, 400), (True, 0, 100), (True, 100, 300)],
    make=clustered,
    metric="cosine",
    k=5,
    share=None,
    copied_from=700,
)
@example(changes=[(True, 0, 100)], make=with_odd_ones, metric="dot", k=5, share=None, copied_from=0)
@example(changes=[(True, 0, 100)], make=with_odd_ones, metric="l2", k=5, share=0.7, copied_from=0)
@settings(deadline=None, max_examples=60)
def test_what_is_found_by_rough_copies_is_what_comparing_all_finds(
    changes: list[tuple[bool, int, int]],
    make: Callable[[int, int], np.ndarray],
    metric: Metric,
    k: int,
    share: float | None,
    copied_from: int,
) -> None:
    index, all_compared = ExactIndex(DIM, metric), without_copies(DIM, metric)
    exact.COPIED_FROM = copied_from * DIM
    for i, (is_put, first, count) in enumerate([(True, 0, 600), *changes]):
        changed = range(first, first + count)
        for each in (index, all_compared):
            if is_put:  # the first are ordinary: the centre of the copies is theirs
                each.put(changed, (make if i else clustered)(count, i))
            else:
                each.remove(changed)
    chosen = np.random.default_rng(3).random(1_600) < (share or 0)
    among = None if share is None else np.flatnonzero(chosen)
    with np.errstate(over="ignore", invalid="ignore"):
        for query in make(40, 77):
            ((rows, scores),) = index.search(query[None], k, among)
            ((true, exact_scores),) = all_compared.search(query[None], k, among)
            np.testing.assert_array_equal(rows, true)
            np.testing.assert_allclose(scores, exact_scores, rtol=1e-5)


@pytest.mark.parametrize("exact_ones", ["vectors", "queries"])
@pytest.mark.parametrize("metric", METRICS)
def test_rough_copies_leave_none_of_the_nearest_out_where_only_one_side_is_rounded(
    metric: Metric, exact_ones: str
) -> None:
    multiply, random = products(), np.random.default_rng(5)
    assert multiply is not None
    whole = random.integers(-126, 127, (5_000, 8)).astype(np.float32)
    whole[:, 0] = 127  # so that steps are of size 1
    other = random.normal(size=(5_000, 8)).astype(np.float32)
    vectors, queries = (whole, other) if exact_ones == "vectors" else (other, whole)
    copies = RoughCopies(metric, np.zeros(8, np.float32), 5_000, multiply)
    copies.put_from(0, vectors)
    for query in queries[:200]:
        near = copies.near(query, 10, 5_000, None)
        if near is not None:
            compared: Metric = "l2" if metric == "l2" else "dot"  # what is prepared for the cosine
            best = np.argsort(-scores_of(compared, vectors, query))[:10]
            assert set(best.tolist()) <= set(near.tolist())


@pytest.mark.parametrize("metric", METRICS)
def test_rough_copies_leave_few_to_be_compared_exactly(metric: Metric) -> None:
    multiply = products()
    assert multiply is not None
    vectors = clustered(5_000) + np.float32(3)
    copies = RoughCopies(metric, centre_of(vectors), 5_000, multiply)
    copies.put_from(0, vectors)
    for query in vectors[::100]:
        for places in [None, np.arange(0, 5_000, 5), np.arange(4_000)]:
            near = copies.near(query, 10, 5_000, places)
            assert near is not None
            assert 10 <= len(near) < 500
            assert places is None or set(near.tolist()) <= set(places.tolist())


# -- what only the approximate one does --


def test_many_changed_rows_end_in_a_new_graph_and_are_found() -> None:
    index, vectors = settled(DIM, "l2"), clustered(3_000)
    index.put(range(3_000), vectors)
    for seed in range(1, 4):
        vectors = clustered(3_000, seed=seed)
        index.put(range(3_000), vectors)
    found = [rows[0] for rows, _ in index.search(vectors[::50], 1)]
    assert np.mean(np.array(found) == np.arange(0, 3_000, 50)) >= 0.98


def test_rows_whose_vectors_moved_into_gaps_are_found_when_others_take_their_old_places() -> None:
    index, vectors = HnswIndex(DIM, "l2", 0), clustered(3_000)
    index.put(range(2_000), vectors[:2_000])
    tend(index)
    index.remove(range(1_000))  # those behind move to the front
    index.put(range(2_000, 3_000), vectors[2_000:])
    tend(index)
    found = [rows.tolist() for rows, _ in index.search(vectors[1_000::50], 5)]
    for query, rows in zip(vectors[1_000::50], found, strict=True):
        assert rows == (1_000 + np.argsort(-scores_of("l2", vectors[1_000:], query))[:5]).tolist()


class Meddling(SharedLock):
    """A lock under which somebody else writes each time before it is taken alone."""

    def __init__(self, write: Callable[[], None]) -> None:
        super().__init__()
        self._write = write

    @contextmanager
    def alone(self) -> Iterator[None]:
        self._write()
        with super().alone():
            yield


def test_a_row_that_changes_while_it_is_added_to_a_graph_is_found_as_it_is() -> None:
    index, vectors = HnswIndex(DIM, "l2", 0), clustered(1_500)
    index.put(range(1_500), vectors)
    moved = np.full((2, DIM), 90, np.float32)

    def write() -> None:
        moved[:] += 1
        index.put([0, 1], np.stack([moved[0], -moved[0]]))

    lock = Meddling(write)
    while index.tend(lock):
        pass
    for at, row in ((moved[0], 0), (-moved[0], 1)):
        ((rows, scores),) = index.search(at[None], 1)
        assert (rows.tolist(), scores.tolist()) == ([row], [0])
    assert 0 not in index.search(vectors[:1], 100)[0][0].tolist()
    assert len(index.search(vectors[:1], 1_500)[0][0]) == 1_500


def test_a_search_is_right_while_a_graph_is_made() -> None:
    index, lock, vectors = HnswIndex(DIM, "l2", 0), SharedLock(), clustered(8_000)
    index.put(range(8_000), vectors)
    wrong: list[int] = []

    def ask() -> None:
        for row in range(0, 8_000, 200):
            with lock.shared():
                ((rows, _),) = index.search(vectors[row : row + 1], 1)
            wrong.extend([] if rows.tolist() == [row] else [row])

    readers = [threading.Thread(target=ask) for _ in range(2)]
    for reader in readers:
        reader.start()
    while index.tend(lock):
        pass
    for reader in readers:
        reader.join()
    assert len(wrong) <= 1


def test_what_is_saved_is_the_same_index_again() -> None:
    index, vectors = settled(DIM, "cosine"), clustered(1_000)
    index.put(range(1_000), vectors)
    index.put([3, 2_000], vectors[:2])
    index.remove([4])
    HnswIndex.put(index, [5], vectors[9:10])  # type: ignore[arg-type]  # not tended: fresh
    parts = index.saved()
    assert parts is not None
    again = HnswIndex(DIM, "cosine", 0)
    again.restore(parts)
    queries = clustered(30, seed=1)
    for one, other in zip(index.search(queries, 10), again.search(queries, 10), strict=True):
        np.testing.assert_array_equal(one[0], other[0])
    assert len(again) == len(index)


def test_an_index_that_was_restored_goes_on_following() -> None:
    index, vectors = settled(DIM, "cosine"), clustered(1_000)
    index.put(range(1_000), vectors)
    again, compared = HnswIndex(DIM, "cosine", 0), without_copies(DIM, "cosine")
    again.restore(index.saved() or {})
    compared.put(range(1_000), vectors)
    for each in (again, compared):
        each.put(range(900, 1_400), clustered(500, seed=2))
        each.remove(range(100))
    for query in clustered(50, seed=1):
        found = [each.search(query[None], 100)[0][0].tolist() for each in (again, compared)]
        assert found[0] == found[1]


@pytest.mark.parametrize("metric", METRICS)
def test_an_exact_index_is_not_worth_keeping(metric: Metric) -> None:
    index = ExactIndex(DIM, metric)
    index.put([1], clustered(1))
    assert index.saved() is None


# -- each guard of the approximate one, alone: with a graph that is believed, whatever is measured --


@pytest.fixture
def believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(widths, "WANTED_RECALL", 0)
    monkeypatch.setattr(widths, "WANTED_WORST", 0)


@pytest.mark.usefixtures("believed")
def test_rows_with_equal_vectors_are_one_node_and_hide_no_others() -> None:
    index, vectors = settled(DIM, "l2"), clustered(2_000)
    vectors[:1_800] = 0.5
    index.put(range(2_000), vectors)
    parts = index.saved()
    assert parts is not None
    assert len(set(parts["nodes"].tolist()) - {SPENT}) <= 201
    found = [rows[0] for rows, _ in index.search(vectors[1_800:], 1)]
    assert found == list(range(1_800, 2_000))


@pytest.mark.usefixtures("believed")
def test_rows_that_a_graph_does_not_find_are_found_on_the_side(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(graph, "CONNECTIVITY", 6)  # so that some nodes cannot be reached
    monkeypatch.setattr(graph, "EXPANSION_ADD", 4)
    index, vectors = settled(DIM, "l2"), clustered(2_000)
    index.put(range(2_000), vectors)
    parts = index.saved()
    assert parts is not None
    assert len(parts["lost"])
    lost = parts["lost"].tolist()
    assert [rows[0] for rows, _ in index.search(vectors[lost], 1)] == lost


@pytest.mark.usefixtures("believed")
def test_nodes_that_stand_for_no_row_do_not_count_as_neighbours() -> None:
    index, vectors = HnswIndex(DIM, "l2", 0), clustered(2_000)
    index.put(range(2_000), vectors)
    tend(index)
    near = np.argsort(-scores_of("l2", vectors, vectors[0]))
    index.remove(near[:60].tolist())  # more than are asked for at first
    ((rows, _),) = index.search(vectors[:1], 5)
    assert rows.tolist() == near[60:65].tolist()


@pytest.mark.usefixtures("believed")
def test_a_graph_is_measured_again_after_many_queries_or_changes() -> None:
    index, lock, vectors = HnswIndex(DIM, "l2", 0), SharedLock(), clustered(2_000)
    index.put(range(2_000), vectors)
    tend(index)
    assert not index.needs_tending
    for asked in (256, 1_024):  # four times as many, as nothing was found to be wrong
        index.search(vectors[np.arange(asked - 1) % 2_000], 1)
        assert not index.needs_tending
        index.search(vectors[:1], 1)
        assert index.needs_tending
        assert index.tend(lock)
        tend(index)
        assert not index.needs_tending
    index.remove(range(201))
    assert index.needs_tending


def in_clusters(count: int, seed: int) -> np.ndarray:
    """Return vectors of unit length in clusters that touch."""
    centres, random = np.random.default_rng(1).normal(size=(40, 48)), np.random.default_rng(seed)
    vectors = centres[random.integers(0, 40, count)] + 0.6 * random.normal(size=(count, 48))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def test_hardly_any_query_that_is_like_what_is_stored_is_compared_with_every_vector(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also of those, one in ten, whose neighbours are farther than those of nine in ten that are stored. What lies between
    clusters is, where so few nodes may be asked for."""
    monkeypatch.setattr(widths, "WIDTHS", (40, 64))
    index, vectors, queries = HnswIndex(48, "cosine", 0), in_clusters(4_000, 2), in_clusters(300, 3)
    index.put(range(4_000), vectors)
    tend(index)
    compared, nearest = 0, ExactIndex.nearest

    def counted(*given: Any) -> list[Found]:
        nonlocal compared
        compared += 1
        return nearest(*given)

    monkeypatch.setattr(ExactIndex, "nearest", counted)
    found = [index.search(query[None], 10)[0][0] for query in queries]
    assert compared < 0.05 * len(queries)
    true = np.argsort(-queries @ vectors.T, axis=1)[:, :10]
    right = sum(len(np.intersect1d(*each)) for each in zip(found, true, strict=True))
    assert right >= 0.98 * true.size


def test_an_index_that_an_older_version_has_kept_is_taken() -> None:
    index, vectors = HnswIndex(48, "cosine", 0), in_clusters(2_000, 2)
    index.put(range(2_000), vectors)
    tend(index)
    parts = index.saved()
    assert parts is not None
    again = HnswIndex(48, "cosine", 0)
    again.restore({**parts, "widths": parts["widths"][:3]})
    assert not again.needs_tending  # nothing is made anew
    for kept, now in zip(
        again.search(vectors[:50], 10), index.search(vectors[:50], 10), strict=True
    ):
        assert kept[0].tolist() == now[0].tolist()


@pytest.mark.usefixtures("believed")
def test_measuring_a_graph_again_may_wait_and_making_one_may_not() -> None:
    index, lock, vectors = HnswIndex(DIM, "l2", 0), SharedLock(), clustered(2_000)
    index.put(range(2_000), vectors)
    while index.tend(lock):
        assert not index.may_wait
    index.search(vectors[np.arange(256)], 1)
    waited = 0
    while index.tend(lock):
        waited += index.may_wait
    assert waited > 100
    assert not index.may_wait


SPREAD = (0, -40, 700, 1_500, 10**6, 2**40, 2**63 - 60, -(2**63))
"""Where numbers of rows may begin: beside each other, apart, at both ends."""


@given(
    starts=st.lists(st.sampled_from(SPREAD), min_size=1, max_size=3, unique=True),
    changes=st.lists(
        st.tuples(
            st.booleans(),
            st.lists(
                st.tuples(st.integers(0, 2), st.integers(0, 59)),
                min_size=1,
                max_size=30,
                unique=True,
            ),
        ),
        max_size=12,
    ),
)
@settings(max_examples=200, deadline=None)
def test_however_far_apart_rows_are_numbered_a_list_of_them_finds_each_that_is_there(
    starts: list[int], changes: list[tuple[bool, list[tuple[int, int]]]]
) -> None:
    index, held = ExactIndex(2, "dot"), dict[int, float]()
    asked = np.unique(np.array([start + i for start in SPREAD for i in range(60)], np.int64))
    for n, (is_put, numbers) in enumerate(changes):
        rows = list({starts[which % len(starts)] + i for which, i in numbers})
        if is_put:
            index.put(rows, np.array([[n, i] for i in range(len(rows))], np.float32))
            held.update({row: 100.0 * n + i for i, row in enumerate(rows)})
        else:
            index.remove(rows)
            for row in rows:
                held.pop(row, None)
        ((found, scores),) = index.search(np.array([[100, 1]], np.float32), len(asked), asked)
        assert sorted(zip(found.tolist(), scores.tolist(), strict=True)) == sorted(held.items())


@pytest.mark.parametrize("kind", [ExactIndex, HnswIndex])
def test_a_list_of_rows_that_is_asked_for_again_is_looked_up_again_after_a_change(
    kind: Callable[..., VectorIndex],
) -> None:
    index = ExactIndex(DIM, "l2") if kind is ExactIndex else HnswIndex(DIM, "l2", 0)
    vectors = clustered(300)
    index.put(range(300), vectors)
    among = np.arange(100, 300)
    for gone in (range(50), range(50, 100), range(150, 180)):
        for query in vectors[100:300:20]:
            ((rows, scores),) = index.search(query[None], 5, among)
            assert set(rows.tolist()) <= set(among.tolist())
            np.testing.assert_allclose(scores, scores_of("l2", vectors[rows], query), atol=1e-4)
        index.remove(gone)  # the last vectors move into their places
    assert not set(range(150, 180)) & set(index.search(vectors[160:161], 200, among)[0][0].tolist())


# -- the lock that guards one --


def test_a_lock_is_held_by_many_or_by_one() -> None:
    lock, inside, most = SharedLock(), [0], [0]
    together = threading.Barrier(3)

    def read() -> None:
        with lock.shared():
            together.wait(10)  # passes only if all three are inside at once

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()

    def write() -> None:
        for _ in range(500):
            with lock.alone():
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert most == [1]
