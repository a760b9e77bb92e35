"""Sizes of vectors belong to state versions: a schema may declare another one while the old version goes on serving."""

from __future__ import annotations

from dataclasses import make_dataclass
from typing import Annotated, Any

import numpy as np
import pytest

import motion
from tests.conftest import OpenStore, until


def schemas(size: int, **options: Any) -> dict[str, type]:
    vector = Annotated[np.ndarray, motion.Vector(size, **options)]
    keys = [("id", int), ("text", str), ("good", bool), ("vector", vector)]
    return {"page": make_dataclass("Page", keys)}


class Encoder(motion.Component):
    """The longer the text, the larger the first number; fits make the state larger."""

    def __init__(self, size: int) -> None:
        self.size = size

    def setup(self) -> np.ndarray[Any, Any]:
        return np.ones(self.size, np.float32)

    @motion.infer(on="page.text", sets="page.vector", batch=64, executor="process")
    def embed(self, state: np.ndarray[Any, Any], text: list[str]) -> np.ndarray[Any, Any]:
        vectors = np.tile(state, (len(text), 1))
        vectors[:, 0] = [len(each) for each in text]
        return vectors

    @motion.fit(on="page.good")
    def learn(self, state: np.ndarray[Any, Any], rows: list[Any]) -> np.ndarray[Any, Any]:
        return state + 1


def opened(open_store: OpenStore, size: int, **options: Any) -> motion.Store:
    return open_store(schemas=schemas(size, **options), triggers=[Encoder(size)])


def found(store: motion.Store, size: int) -> list[int]:
    query = np.zeros(size, np.float32)
    query[0] = 1
    return [hit.id for hit in store.search("page.vector", query, k=3)]


def signature(store: motion.Store) -> str:
    return str(store.sql("select signature from motion_tables")["signature"][0])


@pytest.mark.parametrize("index", ["auto", "hnsw"])
def test_a_new_size_is_built_beside_the_one_that_serves(open_store: OpenStore, index: str) -> None:
    store = opened(open_store, 3, metric="dot", index=index)
    store.set_many("page", [{"id": i, "text": "x" * i} for i in range(1, 6)])
    store.wait(timeout=60)
    store.close()
    store = opened(open_store, 5, metric="dot", index=index)
    store.set("page", id=6, text="x" * 6).wait(timeout=60)  # of the live version's size
    assert found(store, 3) == [6, 5, 4]
    with pytest.raises(motion.DimensionMismatch, match="3"):
        found(store, 5)
    store.wait(timeout=60)
    model = store.model("Encoder")
    assert [each.status for each in model.versions()] == ["live", "candidate"]
    model.promote(2).wait(timeout=60)
    assert found(store, 5) == [6, 5, 4]
    assert [row.vector.size for row in store.rows("page")] == [5] * 6
    store.set("page", id=7, text="x" * 7).wait(timeout=60)
    model.rollback().wait(timeout=60)
    assert found(store, 3) == [7, 6, 5]
    store.close()
    store = opened(open_store, 5, metric="dot", index=index)
    assert found(store, 3) == [7, 6, 5]
    with pytest.raises(
        motion.InvalidValue, match=r"a vector of 5 \(or 3, as older versions have\)"
    ):
        store.set("page", id=1, vector=np.ones(4, np.float32))


def test_a_size_that_no_vector_has_any_more_is_taken_no_longer(open_store: OpenStore) -> None:
    store = opened(open_store, 3)
    store.set("page", id=1, text="x")
    store.wait(timeout=60)
    store.close()
    store = opened(open_store, 5)
    store.wait(timeout=60)
    assert "vector 5 3" in signature(store)
    model = store.model("Encoder")
    model.promote(2).wait(timeout=60)
    store.set("page", id=1, good=True)
    model.fit().wait(timeout=60)
    sizes = 'select distinct length(vector) as size from "motion_outputs_Encoder.embed"'
    until(store, lambda: store.sql(sizes)["size"].to_pylist() == [20])
    store.close()
    store = opened(open_store, 5)
    assert '"vector":"vector 5"' in signature(store)
    with pytest.raises(motion.InvalidValue):
        store.set("page", id=1, vector=np.ones(3, np.float32))


def test_a_vector_that_is_not_of_its_versions_size_is_left_out_of_searches(
    open_store: OpenStore,
) -> None:
    store = opened(open_store, 3)
    store.set_many("page", [{"id": i, "text": "x" * i} for i in range(1, 4)])
    store.wait(timeout=60)
    store.close()
    store = opened(open_store, 5)
    store.set("page", id=2, vector=np.ones(5, np.float32)).wait(timeout=60)
    assert sorted(found(store, 3)) == [1, 3]


def test_another_size_of_a_key_that_is_no_models_output_is_a_mismatch(
    open_store: OpenStore,
) -> None:
    open_store(schemas=schemas(3)).close()
    with pytest.raises(motion.SchemaMismatch, match="vector was vector 3 and is vector 5 now"):
        open_store(schemas=schemas(5))


def test_a_store_of_two_sizes_opens_without_its_model(open_store: OpenStore) -> None:
    store = opened(open_store, 3)
    store.set("page", id=1, text="x")
    store.wait(timeout=60)
    store.close()
    opened(open_store, 5).close()
    store = open_store(schemas=schemas(5), run=False)
    assert found(store, 3) == [1]
    store.close()
    open_store(schemas=schemas(5), triggers=[], run=False).close()
    store = opened(open_store, 5)
    assert found(store, 3) == [1]
