"""The table of figures: what is measured on was not learned from, and each product is measured on once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import motion
from fashion_search import labelled, ranking
from fashion_search.evaluation import Line, table
from fashion_search.facets import colours_named
from fashion_search.heads import Heads
from fashion_search.labelled import FIFTHS
from fashion_search.pipeline import RetailerSchema, open_store
from fashion_search.retrieval import CatalogQuery

COLOURS = ("red", "black", "green", "white")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, drawn_store: Path) -> Iterator[motion.Store]:
    """A store of the 60 drawn products, with labels."""
    import shutil

    folder = shutil.copytree(drawn_store, tmp_path_factory.mktemp("labelled") / "shop.motion")
    with open_store(folder, durability="normal") as opened:
        for row in opened.rows(RetailerSchema, keys=("img_summary", "source")):
            words = row.img_summary.split()
            labels = {
                "category": words[-1],
                "colour": next((w for w in words if w.lower() in COLOURS), ""),
            }
            opened.set("retailer", id=row.id, labels=labels)
        opened.wait(timeout=100)
        yield opened


@pytest.fixture
def queries(store: motion.Store) -> list[CatalogQuery]:
    ids = store.sql("SELECT source_id FROM retailer")["source_id"].to_pylist()
    return [CatalogQuery("all", "attribute", "anything to wear", frozenset(ids), "")]


def of(lines: list[Line], **wanted: Any) -> list[Line]:
    return [line for line in lines if all(getattr(line, name) == value for name, value in wanted.items())]  # fmt: skip


def test_each_ranking_is_measured_with_both_kinds_of_titles_before_a_fit_and_after(
    store: motion.Store, queries: list[CatalogQuery]
) -> None:
    lines = of(table(store, queries, folds=1), kind="attribute")
    rankings = {(line.titles, line.ranking, line.heads) for line in lines}
    assert len(rankings) == len(lines) == 2 * 4 * 2
    assert {line.first_hit for line in lines} == {1.0}  # each answer is right


def test_a_fit_sees_nothing_of_what_is_measured_on_and_each_product_is_measured_on_once(
    store: motion.Store, queries: list[CatalogQuery], monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[int] = []
    whole = len(store.sql("SELECT id FROM retailer"))

    def noted(heads: Heads, pictures: Any, *args: Any, **kwargs: Any) -> Heads:
        learned.append(len(pictures))
        return heads

    monkeypatch.setattr(Heads, "fitted", noted)
    lines = table(store, queries)
    assert len(learned) == FIFTHS
    assert sum(whole - count for count in learned) == whole
    [types] = of(lines, heads="fitted", ranking="pictures only", titles="")
    assert types.kind.startswith("type, one of ")
    assert types.queries == whole  # photos are the queries


def test_a_query_with_too_few_right_answers_is_not_asked(
    store: motion.Store, queries: list[CatalogQuery]
) -> None:
    one = CatalogQuery("one", "attribute", "x", frozenset(list(queries[0].relevant_ids)[:1]), "")
    assert of(table(store, [one], folds=1), kind="attribute") == []
    assert labelled.LEAST_RIGHT > 1


def test_the_hybrid_ranking_has_nothing_of_another_persons(
    store: motion.Store, queries: list[CatalogQuery]
) -> None:
    whose = store.sql("SELECT source_id, worn_by FROM retailer").to_pylist()
    mens = frozenset(row["source_id"] for row in whose if row["worn_by"] == "men")
    query = CatalogQuery("for", "attribute", "anything for women", mens, "")
    lines = of(table(store, [query], folds=2), kind="attribute", titles="full")
    assert {line.hit_at_10 for line in lines if line.ranking == "hybrid"} == {0.0}
    assert max(line.hit_at_10 for line in lines if line.ranking == "pictures only") > 0


def test_the_hybrid_ranking_holds_against_a_title_what_an_answer_does(
    store: motion.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = store.sql("SELECT source_id, img_summary FROM retailer").to_pylist()
    colours = {row["source_id"]: colours_named(row["img_summary"]) for row in told}
    others = frozenset(id for id, named in colours.items() if named and "grey" not in named)
    query = CatalogQuery("grey", "attribute", "something grey", others, "")

    def first_hits(lost: float) -> set[float]:
        monkeypatch.setattr(ranking, "OTHER_COLOUR", lost)
        lines = of(table(store, [query], folds=1), kind="attribute", titles="full")
        return {line.first_hit for line in lines if line.ranking == "hybrid"}

    assert (first_hits(9.0), first_hits(-9.0)) == ({0.0}, {1.0})
