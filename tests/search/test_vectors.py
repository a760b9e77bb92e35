"""Vector indexes: one contract for the exact and the approximate one, on vectors in clusters, as embeddings are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motion.background.locks import SharedLock
from motion.definitions.schema import Metric
from motion.vectors import graph, widths
from motion.vectors.base import VectorIndex
from motion.vectors.exact import ExactIndex
from motion.vectors.graph import SPENT
from motion.vectors.hnsw import HnswIndex

DIM = 16
METRICS: list[Metric] = ["cosine", "dot", "l2"]
Make = Callable[[int, Metric], VectorIndex]

pytestmark = pytest.mark.usefixtures("graph_at_any_size")


def settled(dim: int, metric: Metric) -> VectorIndex:
    """An approximate index that is tended after every change, so that its graph is always whole."""

    class Settled(HnswIndex):
        def put(self, rows, vectors):  # type: ignore[no-untyped-def]  # as above it
            super().put(rows, vectors)
            tend(self)

    return Settled(dim, metric, 0)


MAKERS: dict[str, Make] = {
    "exact": ExactIndex,
    "hnsw without a graph yet": lambda dim, metric: HnswIndex(dim, metric, 0),
    "hnsw": settled,
}


@pytest.fixture(params=list(MAKERS.values()), ids=list(MAKERS))
def make(request: pytest.FixtureRequest) -> Make:
    return cast(Make, request.param)


def tend(index: VectorIndex) -> None:
    lock = SharedLock()
    while index.tend(lock):
        pass


def clustered(count: int, seed: int = 0, dim: int = DIM) -> np.ndarray:
    """Return vectors scattered around a few centres, of several lengths."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(20, dim))
    scattered = centres[random.integers(0, 20, count)] + 0.3 * random.normal(size=(count, dim))
    return np.asarray(scattered * random.uniform(0.5, 2, (count, 1)), np.float32)


def scores_of(metric: Metric, vectors: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Return every vector's score, in double precision."""
    wide, query = vectors.astype(float), query.astype(float)
    if metric == "l2":
        return np.asarray(-np.linalg.norm(wide - query, axis=1))
    if metric == "dot":
        return np.asarray(wide @ query)
    lengths = np.linalg.norm(wide, axis=1) * np.linalg.norm(query)
    return np.asarray(wide @ query / np.where(lengths > 0, lengths, 1))


# -- the contract --


@pytest.mark.parametrize("metric", METRICS)
def test_the_nearest_are_found_best_first_with_their_exact_scores(
    make: Make, metric: Metric
) -> None:
    index, vectors, queries = make(DIM, metric), clustered(1_500), clustered(40, seed=1)
    index.put(range(1_500), vectors)
    right = 0
    for query, (rows, scores) in zip(queries, index.search(queries, 10), strict=True):
        true = scores_of(metric, vectors, query)
        np.testing.assert_allclose(scores, true[rows], atol=1e-4)
        assert len(rows) == 10
        assert (np.diff(scores) <= 0).all()
        right += len(set(rows.tolist()) & set(np.argsort(-true)[:10].tolist()))
    assert right >= 0.98 * 400


def test_a_batch_gives_what_its_queries_give_alone(make: Make) -> None:
    index, queries = make(DIM, "cosine"), clustered(70, seed=1)
    index.put(range(500), clustered(500))
    together = index.search(queries, 3)
    alone = [index.search(query[None], 3)[0] for query in queries]
    assert [rows.tolist() for rows, _ in together] == [rows.tolist() for rows, _ in alone]


def test_no_queries_give_no_results(make: Make) -> None:
    index = make(DIM, "cosine")
    index.put([1], clustered(1))
    assert index.search(np.empty((0, DIM), np.float32), 3) == []


def test_an_empty_index_finds_nothing(make: Make) -> None:
    ((rows, scores),) = make(DIM, "cosine").search(clustered(1), 3)
    assert (rows.tolist(), scores.tolist()) == ([], [])


@pytest.mark.parametrize(("metric", "offset"), [("cosine", 50), ("l2", 1_000)])
def test_neighbours_far_from_zero_are_told_apart(make: Make, metric: Metric, offset: int) -> None:
    index, vectors = make(DIM, metric), clustered(1_000) + np.float32(offset)
    index.put(range(1_000), vectors)
    queries = (vectors[::20] + clustered(50, seed=1) / np.float32(10)).astype(np.float32)
    found = [rows[0] for rows, _ in index.search(queries, 1)]
    true = [scores_of(metric, vectors, query).argmax() for query in queries]
    assert np.mean(np.array(found) == np.array(true)) >= 0.95


@pytest.mark.parametrize("k", [1, 499, 500, 501, 100_000])
def test_k_results_come_where_k_exist(make: Make, k: int) -> None:
    index = make(DIM, "cosine")
    index.put(range(500), clustered(500))
    ((rows, _),) = index.search(clustered(1, seed=1), k)
    assert len(set(rows.tolist())) == min(k, 500)


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01, 0.001])
def test_a_filter_gives_the_true_nearest_of_what_it_keeps(make: Make, share: float) -> None:
    index, vectors = make(DIM, "l2"), clustered(2_000)
    index.put(range(2_000), vectors)
    among = np.sort(np.random.default_rng(3).choice(2_000, int(2_000 * share), replace=False))
    query = clustered(1, seed=1)
    ((rows, _),) = index.search(query, 10, among)
    true = scores_of("l2", vectors[among], query[0])
    assert rows.tolist() == among[np.argsort(-true, kind="stable")[:10]].tolist()


def test_rows_of_a_filter_that_have_no_vector_are_passed_over(make: Make) -> None:
    index = make(DIM, "cosine")
    index.put([5, 7], clustered(2))
    ((rows, _),) = index.search(clustered(1), 10, np.array([1, 5, 9]))
    assert rows.tolist() == [5]


def test_a_vector_put_again_is_compared_as_it_is_now(make: Make) -> None:
    index, vectors = make(DIM, "l2"), clustered(300)
    index.put(range(300), vectors)
    index.put([7], 100 + vectors[:1])
    assert index.search(100 + vectors[:1], 1)[0][0].tolist() == [7]
    assert 7 not in index.search(vectors[7:8], 299)[0][0].tolist()[:1]
    assert len(index) == 300


def test_a_removed_row_is_not_found(make: Make) -> None:
    index, vectors = make(DIM, "l2"), clustered(300)
    index.put(range(300), vectors)
    index.remove([7, 1_000])
    assert index.search(vectors[7:8], 300)[0][0].tolist().count(7) == 0
    assert len(index) == 299


def test_equal_vectors_come_in_the_order_of_rows(make: Make) -> None:
    index = make(DIM, "cosine")
    index.put(range(20), np.ones((20, DIM), np.float32))
    ((rows, _),) = index.search(np.ones((1, DIM), np.float32), 20)
    assert rows.tolist() == list(range(20))


@pytest.mark.parametrize("size", [1e-30, 1e-10, 1.0, 1e30])
def test_cosines_hold_for_tiny_and_huge_vectors(make: Make, size: float) -> None:
    index = make(2, "cosine")
    index.put([1, 2, 3], np.array([[1, 0], [1, 1], [0, 0]], np.float32) * np.float32(size))
    ((rows, scores),) = index.search(np.array([[size, 0]], np.float32), 3)
    assert rows.tolist() == [1, 2, 3]
    np.testing.assert_allclose(scores, [1, 0.5**0.5, 0], atol=1e-6)


def test_a_zero_query_is_as_near_to_every_row(make: Make) -> None:
    index = make(DIM, "cosine")
    index.put(range(100), clustered(100))
    ((rows, scores),) = index.search(np.zeros((1, DIM), np.float32), 5)
    assert (rows.tolist(), scores.tolist()) == ([0, 1, 2, 3, 4], [0] * 5)


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
