"""Stock: what a catalog's texts tell follows the catalog, without being counted for each question."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fashion_search.encoders import HELD_OUT, ImageRetrieval
from fashion_search.pipeline import Retailer, RetailerSchema, open_store
from fashion_search.stock import stock_of


class Counting:
    """A store that remembers what it was asked."""

    def __init__(self, store: Any) -> None:
        self.store, self.asked = store, list[str]()

    def search(self, *args: Any, **kwargs: Any) -> Any:
        return self.store.search(*args, **kwargs)

    def sql(self, sql: str, /, params: Sequence[Any] = ()) -> Any:
        self.asked.append(sql)
        return self.store.sql(sql, params)


def test_words_of_a_new_product_are_known_at_once(a_store: Path) -> None:
    with open_store(a_store, run=False) as store:
        assert "quilted" not in stock_of(store).words
        store.set("retailer", retailer=Retailer.REVOLVE, sku="revolve/q", img_summary="quilted zyx")
        assert stock_of(store).words["zyx"] == 1


def test_a_catalog_that_stays_as_it_is_is_not_counted_for_each_question(a_store: Path) -> None:
    with open_store(a_store, run=False) as store:
        counting = Counting(store)
        told = [stock_of(counting) for _ in range(20)]
    assert all(each is told[0] for each in told)
    assert sum("COUNT" in sql for sql in counting.asked) < 10


def test_the_gate_goes_on_by_what_people_said_where_every_product_was_judged(a_store: Path) -> None:
    with open_store(a_store, run=False) as store:
        judged = store.rows(RetailerSchema, where=HELD_OUT, keys=["id"])
        store.set_many("query", [{"query": "x", "img_id": each.id, "feedback": True} for each in judged])  # fmt: skip
        with store.model("ImageRetrieval").live() as (heads, view):
            found = ImageRetrieval().evaluate(heads, [], view)
    assert "recall_at_1" not in found, "there is no pair left to ask for"
    assert found["proven"] == 0
