"""P6 and P9 where outputs are kept by state version and rows are pages: what goes takes its vectors along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import motion
from tests.conftest import OpenStore


@dataclass
class Query:
    id: int
    text: str
    grade: int
    idea: str
    idea_page: int
    vector: np.ndarray


@motion.trigger(on="query.text", sets="query.idea", page="idea_page")
def ideas(text: str) -> list[str]:
    return text.split()


class Embedder(motion.Component):
    """A vector is (version, length of the idea)."""

    def setup(self) -> dict[str, int]:
        return {"version": 1}

    @motion.infer(on="query.idea", sets="query.vector", refresh="before")
    def embed(self, state: dict[str, int], idea: str) -> np.ndarray:
        return np.array([state["version"], len(idea)], np.float32)

    @motion.fit(on="query.grade", every=1, promote=motion.always)
    def learn(self, state: dict[str, int], rows: list[Query]) -> dict[str, int]:
        return {"version": state["version"] + 1}


def opened(open_store: OpenStore) -> motion.Store:
    return open_store(schemas={"query": Query}, triggers=[ideas, Embedder()])


def found(store: motion.Store) -> dict[tuple[int, int], list[float]]:
    """Return what a search finds, which must be what the rows have."""
    hits = store.search("query.vector", [1.0, 1.0], k=100)
    by_search = {(hit.id, hit.pages["idea_page"]): hit.row.vector.tolist() for hit in hits}
    rows = [row for row in store.rows("query", inherit=False) if row.vector is not None]
    assert by_search == {(row.id, row.idea_page): row.vector.tolist() for row in rows}
    return by_search


def settled(store: motion.Store, **values: Any) -> dict[tuple[int, int], list[float]]:
    store.set("query", **values)
    store.wait(timeout=60)
    return found(store)


def test_p6_p9_a_page_that_goes_takes_its_vector_along_and_one_that_comes_again_has_its_own(
    open_store: OpenStore,
) -> None:
    store = opened(open_store)
    three = settled(store, id=1, text="a bb ccc")
    one = settled(store, id=1, text="dddd")
    two = settled(store, id=1, text="dddd ee")
    assert three == {(1, 0): [1, 1], (1, 1): [1, 2], (1, 2): [1, 3]}
    assert one == {(1, 0): [1, 4]}
    assert two == {(1, 0): [1, 4], (1, 1): [1, 2]}


def test_p6_p9_a_deleted_row_takes_its_vectors_of_all_versions_along(open_store: OpenStore) -> None:
    store = opened(open_store)
    settled(store, id=1, text="a bb")
    settled(store, id=2, text="ccc")
    second = settled(store, id=1, grade=1)
    store.delete("query", 1)
    settled(
        store, id=3, text="dddd e"
    )  # its pages may take over the row numbers of those that went
    store.model("Embedder").rollback()
    store.wait(timeout=60)
    assert second == {(1, 0): [2, 1], (1, 1): [2, 2], (2, 0): [2, 3]}
    assert found(store) == {(2, 0): [1, 3], (3, 0): [1, 4], (3, 1): [1, 1]}


def test_p6_p9_a_users_vector_goes_with_its_page_and_lasts_until_the_page_changes(
    open_store: OpenStore,
) -> None:
    store = opened(open_store)
    settled(store, id=1, text="a bb")
    users = settled(store, id=1, idea_page=1, vector=np.array([9, 9], np.float32))
    same = settled(store, id=1, text="ccc bb")
    gone = settled(store, id=1, text="ccc")
    again = settled(store, id=1, text="ccc ee")
    assert users[1, 1] == same[1, 1] == [9, 9]
    assert gone == {(1, 0): [1, 3]}
    assert again == {(1, 0): [1, 3], (1, 1): [1, 2]}
