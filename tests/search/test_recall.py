"""Recall: a search finds what brute force finds, whatever was written before it, with filters and without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import motion
from motion.vectors import hnsw
from tests.conftest import OpenStore, pause

DIM, K = 12, 10
PATH = "spot.at"

pytestmark = pytest.mark.usefixtures("graph_at_any_size")


@dataclass
class Spot:
    id: int
    side: Annotated[str, motion.Index]
    tenth: int
    at: Annotated[np.ndarray, motion.Vector(DIM, index="hnsw")]


Random = np.random.Generator
Make = Callable[[Random, int], np.ndarray]


def scattered(random: Random, count: int) -> np.ndarray:
    return random.normal(size=(count, DIM))


def in_tight_clusters(random: Random, count: int) -> np.ndarray:
    centres = np.random.default_rng(1).normal(size=(100, DIM))
    return centres[random.integers(0, 100, count)] + 1e-3 * random.normal(size=(count, DIM))


def with_placeholders(random: Random, count: int) -> np.ndarray:
    """Half of the vectors are equal to one of three, and a tenth are zero."""
    vectors, kind = scattered(random, count), random.random(count)
    placeholders = np.random.default_rng(2).normal(size=(3, DIM))
    vectors[kind < 0.5] = placeholders[random.integers(0, 3, int((kind < 0.5).sum()))]
    vectors[kind > 0.9] = 0
    return vectors


def almost_equal(random: Random, count: int) -> np.ndarray:
    """All lie about one vector, so near that small numbers tell them apart."""
    return 5 + 1e-2 * random.normal(size=(count, DIM))


def on_a_surface(random: Random, count: int) -> np.ndarray:
    """Two numbers say where a vector is."""
    bent = np.random.default_rng(3).normal(size=(2, DIM))
    return np.asarray(np.sin(3 * random.normal(size=(count, 2)) @ bent))


KINDS: dict[str, Make] = {
    make.__name__: make
    for make in (scattered, in_tight_clusters, with_placeholders, almost_equal, on_a_surface)
}


class World:
    """A store and what must be in it."""

    def __init__(self, open_store: OpenStore, make: Make, count: int, seed: int) -> None:
        self._open, self._make, self.random = open_store, make, np.random.default_rng(seed)
        self._name = f"world{seed}{make.__name__}"
        self.store = open_store(self._name, schemas={"spot": Spot})
        self.held: dict[int, np.ndarray] = {}
        self._next = 0
        self.add(count)

    def add(self, count: int) -> None:
        self.put(range(self._next, self._next + count), self._make(self.random, count))
        self._next += count

    def put(self, ids: Any, vectors: np.ndarray) -> None:
        vectors = vectors.astype(np.float32)
        rows = [
            {"id": int(i), "at": vector, **self.keys(int(i))}
            for i, vector in zip(ids, vectors, strict=True)
        ]
        self.store.set_many("spot", rows)
        self.held |= {row["id"]: row["at"] for row in rows}

    @staticmethod
    def keys(row_id: int) -> dict[str, Any]:
        return {"side": "left" if row_id % 2 else "right", "tenth": row_id % 10}

    def move(self, share: float) -> None:
        """Give some rows other vectors."""
        ids = self.random.choice(list(self.held), int(share * len(self.held)), replace=False)
        self.put(ids, self._make(self.random, len(ids)))

    def delete_nearest(self, query: np.ndarray, count: int = 100) -> None:
        ids = [i for i, _ in self.true(query, list(self.held), count)]
        with self.store.transaction() as tx:
            for row_id in ids:
                tx.delete("spot", row_id)
        for row_id in ids:
            del self.held[row_id]

    def add_far_from(self, query: np.ndarray) -> None:
        self.put(
            range(self._next, self._next + 20), -query + 0.1 * self.random.normal(size=(20, DIM))
        )
        self._next += 20

    def reopen(self) -> None:
        self.store.close()
        self.store = self._open(self._name, schemas={"spot": Spot})

    def settle(self) -> None:
        """Wait until nothing is left to be done for later searches."""
        self.store.search(PATH, np.ones(DIM))
        followers = self.store._database.indexes._followers.values()
        while any(follower.needs_tending for follower in followers):
            pause()

    def true(self, query: np.ndarray, among: list[int], count: int) -> list[tuple[int, float]]:
        """Return the nearest rows and their cosines, in double precision."""
        vectors = np.array([self.held[i] for i in among], float).reshape(-1, DIM)
        lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
        cosines = vectors @ query / np.where(lengths > 0, lengths, 1)
        return [(among[i], float(cosines[i])) for i in np.argsort(-cosines)[:count]]

    def queries(self) -> np.ndarray:
        """Return what is asked: what is stored, what is near to that, between two of them, and anything."""
        some, others = (
            np.array([self.held[i] for i in self.random.choice(list(self.held), 30)])
            for _ in range(2)
        )
        near = some + 0.01 * self.random.normal(size=some.shape)
        found = np.concatenate([some, near, some + others, scattered(self.random, 10)])
        return np.asarray(found[np.abs(found).max(axis=1) > 0], np.float32)

    def recall(self, where: dict[str, Any] | None = None, batches: int = 1) -> float:
        """Return the share of the true ten nearest that searches find, equal ones standing for one another."""
        return self.share_found(np.concatenate([self.queries() for _ in range(batches)]), where)

    def share_found(self, queries: np.ndarray, where: dict[str, Any] | None = None) -> float:
        among = [i for i in self.held if (where or {}).items() <= self.keys(i).items()]
        right, wanted = 0, 0
        found = self.store.search(PATH, queries, k=K, where=where)
        for query, hits in zip(queries, found, strict=True):
            true = self.true(query.astype(float), among, K)
            assert len({hit.id for hit in hits}) == len(hits) == len(true)
            right += sum(hit.score >= true[-1][1] - 2e-7 for hit in hits)
            wanted += len(true)
        return right / wanted


def check(world: World) -> None:
    """Hold recall against what is promised. Of a hundred queries two that find nothing are too many, and may be chance:
    then a thousand more decide."""
    for where in (None, {"side": "left"}, {"tenth": 3}):
        assert world.recall(where) >= 0.98 or world.recall(where, batches=10) >= 0.98, where


STEPS = ["add", "move", "move most", "delete nearest", "add far", "settle", "reopen"]


def churn(world: World, steps: list[str]) -> None:
    for step in steps:
        query = world.queries()[0].astype(float)
        match step:
            case "add":
                world.add(len(world.held) // 10)
            case "move":
                world.move(0.1)
            case "move most":
                world.move(0.7)
            case "delete nearest":
                world.delete_nearest(query)
            case "add far":
                world.add_far_from(query)
            case "settle":
                world.settle()
            case "reopen":
                world.reopen()
        check(world)


@pytest.mark.parametrize("kind", KINDS)
@given(
    steps=st.lists(st.sampled_from(STEPS), min_size=3, max_size=5), seed=st.integers(0, 1_000_000)
)
@settings(
    deadline=None, max_examples=1, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_search_finds_what_brute_force_finds_after_any_churn(
    open_store: OpenStore, kind: str, steps: list[str], seed: int
) -> None:
    world = World(open_store, KINDS[kind], 1_000, seed)
    world.settle()
    churn(world, steps)
    world.store.close()


@pytest.mark.crash
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_a_search_finds_what_brute_force_finds_after_long_churn(
    open_store: OpenStore, kind: str, seed: int
) -> None:
    world = World(open_store, KINDS[kind], 20_000, seed)
    world.settle()
    churn(world, [str(step) for step in world.random.choice(STEPS, 25)])


def test_the_nearest_are_found_after_those_before_them_were_deleted(open_store: OpenStore) -> None:
    world = World(open_store, scattered, 3_000, 1)
    world.settle()
    query = np.random.default_rng(5).normal(size=DIM)
    world.delete_nearest(query)
    world.add_far_from(query)
    for _ in range(2):
        hits = world.store.search(PATH, query, k=K)
        assert [hit.id for hit in hits] == [i for i, _ in world.true(query, list(world.held), K)]
        world.settle()


def test_a_filter_whose_rows_lie_apart_from_the_query_finds_the_nearest_of_them(
    open_store: OpenStore,
) -> None:
    def apart(random: Random, count: int) -> np.ndarray:
        vectors = scattered(random, count)
        vectors[:, 0] += np.where(np.arange(count) % 2, 3, -3)  # odd rows are on the left side
        return vectors

    world = World(open_store, apart, 3_000, 1)
    world.settle()
    world.add(60)
    query = scattered(np.random.default_rng(5), 1)[0] - [3, *[0] * (DIM - 1)]
    hits = world.store.search(PATH, query, k=K, where={"side": "left"})
    among = [i for i in world.held if i % 2]
    assert [hit.id for hit in hits] == [i for i, _ in world.true(query, among, K)]


def test_a_few_that_lie_apart_from_all_others_are_found_from_anywhere(
    open_store: OpenStore,
) -> None:
    world = World(open_store, almost_equal, 5_000, 3)
    world.settle()
    world.add_far_from(np.full(DIM, 5.0))
    world.add(400)  # fewer than would let the search be measured again
    world.settle()
    queries = scattered(world.random, 200).astype(np.float32)
    assert world.share_found(queries) >= 0.98


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_every_row_finds_itself_beside_many_equal_ones(open_store: OpenStore, share: float) -> None:
    def mostly_one(random: Random, count: int) -> np.ndarray:
        vectors = scattered(random, count)
        vectors[: int(share * count)] = 1
        return vectors

    world = World(open_store, mostly_one, 3_000, 1)
    world.settle()
    asked = list(world.held)[int(share * 3_000) :: 5]
    batch = world.store.search(PATH, np.array([world.held[i] for i in asked]), k=1)
    assert [hits[0].id for hits in batch] == asked


def test_where_comparing_every_vector_is_faster_there_is_no_graph(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hnsw, "SMALL", 2_000_000)
    world = World(open_store, scattered, 2_000, 1)
    world.settle()
    assert world.recall() == 1
    world.store.close()
    assert list(tmp_path.glob("**/*.index")) == []
