"""What a store tells of itself without a user's code: what it is made of, and about how many rows it has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest

import motion
from motion.store.reports.pipeline import PipelineKey


@dataclass
class Product:
    id: int
    title: str
    picture: bytes | None = None
    vector: Annotated[np.ndarray, motion.Vector(2)] | None = None


@dataclass
class Wish:
    id: int
    text: str
    idea: str | None = None
    idea_page: int = 0
    product: int | None = None
    product_title: str | None = None
    liked: bool | None = None


class Model(motion.Component):
    def setup(self) -> list[float]:
        return [1.0]

    @motion.infer(on="product.title", sets="product.vector", refresh="before")
    def embed(self, state: list[float], title: str) -> np.ndarray:
        return np.array([len(title), state[0]], dtype=np.float32)

    @motion.infer(on="wish.idea", sets="wish.product")
    def retrieve(self, state: list[float], idea: str, store: motion.View) -> int:
        return nearest(store, idea)

    @motion.fit(on="wish.liked", every=32)
    def learn(self, state: list[float], rows: list[Wish]) -> list[float]:
        return state


def nearest(store: motion.View, idea: str) -> int:
    return int(store.search("product.vector", np.array([len(idea), 1.0]), k=1)[0].id)


@motion.trigger(on="wish.text", sets="wish.idea", page="idea_page")
def suggest(text: str) -> list[str]:
    return [text, text.upper()]


@motion.trigger(on="wish.product", sets="wish.product_title")
def name(title: Annotated[str, motion.Lookup("product.title", by="product")]) -> str:
    return title


@motion.trigger(on=motion.every(minutes=10))
def tidy(store: motion.View) -> None: ...


TABLES = {"product": Product, "wish": Wish}


def shop(folder: Path) -> motion.Store:
    return motion.create_store(
        "shop", schemas=TABLES, triggers=[Model(), suggest, name, tidy], url=f"sqlite:///{folder}"
    )


def edges(pipeline: motion.Pipeline, kind: str) -> set[tuple[str, str]]:
    return {(each.source, each.target) for each in pipeline.edges if each.kind == kind}


def test_a_pipeline_says_what_feeds_what(tmp_path: Path) -> None:
    with shop(tmp_path) as store:
        pipeline = store.pipeline()
    assert edges(pipeline, "fires") >= {
        ("key wish.text", "trigger suggest"),
        ("key wish.product", "trigger name"),
        ("key product.title", "trigger Model.embed"),
    }
    assert edges(pipeline, "sets") >= {
        ("trigger suggest", "key wish.idea"),
        ("trigger Model.embed", "key product.vector"),
    }
    assert edges(pipeline, "looks up") == {("key product.title", "trigger name")}
    assert edges(pipeline, "labels") == {("key wish.liked", "fit Model.learn")}
    assert edges(pipeline, "fits") == {("fit Model.learn", "component Model")}
    assert ("component Model", "trigger Model.embed") in edges(pipeline, "uses")


def test_what_is_read_by_search_is_known_also_where_a_helper_searches(tmp_path: Path) -> None:
    with shop(tmp_path) as store:
        pipeline = store.pipeline()
    assert edges(pipeline, "searches") == {("key product.vector", "trigger Model.retrieve")}


def test_a_pipeline_tells_of_its_keys_what_they_hold_and_who_makes_them(tmp_path: Path) -> None:
    with shop(tmp_path) as store:
        tables = {table.name: table for table in store.pipeline().tables}
    keys = {key.name: key for key in tables["wish"].keys}
    assert keys["idea_page"].is_page
    assert keys["idea"] == PipelineKey("idea", "str", False, ("idea_page",), "suggest")
    vector = {key.name: key for key in tables["product"].keys}["vector"]
    assert (vector.kind, vector.made_by, vector.is_versioned) == ("vector 2", "Model.embed", True)


def test_a_process_without_the_code_tells_the_same_pipeline(tmp_path: Path) -> None:
    with shop(tmp_path) as store:
        told = store.pipeline()
    with motion.create_store("shop", url=f"sqlite:///{tmp_path}") as store:
        bare = store.pipeline()
    assert set(bare.edges) == set(told.edges)
    assert {each.name for each in bare.triggers} == {each.name for each in told.triggers}
    assert bare.components == ("Model",)
    assert not any(each.has_code for each in bare.triggers)
    schedule = next(each for each in bare.triggers if each.name == "tidy")
    assert schedule.schedule == "every 600 s"


@dataclass
class Item:
    id: int
    n: int = 0


def filled(count: int, url: str = ":memory:") -> motion.Store:
    store = motion.create_store("items", schemas={"item": Item}, url=url)
    store.set_many("item", [{"id": i} for i in range(1, count + 1)])
    return store


def test_a_small_table_is_counted_exactly() -> None:
    with filled(300) as store:
        store.delete("item", 7)
        assert store.row_count("item") == motion.RowCount(299, True)
        assert store.row_count(Item).rows == 299


@pytest.mark.parametrize(
    ("goes", "about"),
    [
        (lambda i: False, 30_000),
        (lambda i: i % 2 == 0, 15_000),
        (lambda i: 5_000 < i <= 15_000, 20_000),
    ],
    ids=["none", "every other", "a stretch"],
)
def test_a_large_table_is_measured_to_a_few_per_cent_whatever_was_deleted(
    goes: Callable[[int], bool], about: int
) -> None:
    with filled(30_000) as store:
        with store.transaction() as tx:
            for i in range(1, 30_001):
                if goes(i):
                    tx.delete("item", i)
        found = store.row_count("item")
    assert not found.is_exact
    assert abs(found.rows - about) < 0.05 * about


def test_a_table_without_its_schema_is_counted_too(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}"
    filled(20, url).close()
    with motion.create_store("items", url=url) as store:
        assert store.row_count("item") == motion.RowCount(20, True)
        with pytest.raises(motion.UnknownTable):
            store.row_count("no_such")


def test_rows_are_read_with_the_named_keys_only_whatever_the_condition() -> None:
    with motion.create_store("wide", schemas=TABLES, url=":memory:") as store:
        store.set_many(
            "product", [{"id": i, "title": f"t{i}", "picture": b"x" * 10} for i in range(1, 6)]
        )
        rows = store.rows(
            "product", where="id > ?", params=[2], order_by="id DESC", limit=2, keys=["title"]
        )
        assert [(row.id, row.title, row.picture) for row in rows] == [
            (5, "t5", None),
            (4, "t4", None),
        ]
        with pytest.raises(motion.UnknownKey):
            store.rows("product", where="id > 2", keys=["titel"])


async def told(store: motion.Store) -> tuple[motion.Pipeline, motion.RowCount]:
    return await store.aio.pipeline(), await store.aio.row_count("item")


def test_an_event_loop_is_told_the_same() -> None:
    with filled(5) as store:
        assert asyncio.run(told(store)) == (store.pipeline(), store.row_count("item"))
