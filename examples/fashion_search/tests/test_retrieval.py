"""Retrieval figures: what they count, and that they agree with counting by hand."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fashion_search.retrieval import (
    CatalogQuery,
    figures,
    pair_retrieval,
    read_queries,
    recall_at_k,
)

DATA = Path(os.environ.get("MOTION_DATA", Path(__file__).parents[4] / "shared" / "data"))


def a_query(qid: str, *relevant: str, kind: str = "attribute") -> CatalogQuery:
    return CatalogQuery(qid, kind, "red dress", frozenset(relevant), "shop")


def test_the_first_hit_counts_only_the_first_answer() -> None:
    queries = [a_query("q1", "a"), a_query("q2", "a")]
    ranked = {"q1": ["a", "b"], "q2": ["b", "a"]}
    assert figures(ranked, queries)["kinds"]["attribute"] == {
        "queries": 2,
        "first_hit": 0.5,
        "hit_at_10": 1.0,
    }


def test_an_answer_on_the_eleventh_place_is_no_hit() -> None:
    ranked = {"q1": [*map(str, range(10)), "a"]}
    assert figures(ranked, [a_query("q1", "a")])["kinds"]["attribute"]["hit_at_10"] == 0.0


def test_a_query_without_answers_counts_as_missed() -> None:
    found = figures({}, [a_query("q1", "a")])["kinds"]["attribute"]
    assert found == {"queries": 1, "first_hit": 0.0, "hit_at_10": 0.0}


def test_kinds_are_counted_apart() -> None:
    queries = [a_query("q1", "a", kind="synonym"), a_query("q2", "a", kind="attribute")]
    kinds = figures({"q1": ["a"], "q2": ["b"]}, queries)["kinds"]
    assert (kinds["synonym"]["first_hit"], kinds["attribute"]["first_hit"]) == (1.0, 0.0)


def test_recall_is_the_share_of_the_relevant_ones() -> None:
    assert recall_at_k(["a", "x", "b"], frozenset({"a", "b", "c", "d"}), k=3) == 0.5


def test_recall_needs_a_place_to_count() -> None:
    with pytest.raises(ValueError, match="k is 0"):
        recall_at_k(["a"], frozenset({"a"}), k=0)


def test_pairs_that_belong_together_are_found() -> None:
    vectors = np.eye(12, dtype=np.float32)
    assert pair_retrieval(vectors * 3, vectors) == {
        "pairs": 12,
        "recall_at_1": 1.0,
        "recall_at_10": 1.0,
        "mrr": 1.0,
    }


def test_vectors_that_are_all_the_same_find_nothing() -> None:
    same = np.ones((30, 4), dtype=np.float32)
    found = pair_retrieval(same, same)
    assert (found["recall_at_1"], found["recall_at_10"]) == (0.0, 0.0)


@given(n=st.integers(1, 40), dim=st.integers(1, 6), seed=st.integers(0, 2**32 - 1))
def test_pair_retrieval_agrees_with_sorting(n: int, dim: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    images, texts = random.normal(size=(n, dim)), random.normal(size=(n, dim))
    ranks = []
    for i in range(n):
        scores = [
            float(images[j] @ texts[i])
            / float(np.linalg.norm(images[j]) * np.linalg.norm(texts[i]))
            for j in range(n)
        ]
        ranks.append(sum(score >= scores[i] - 1e-9 for j, score in enumerate(scores) if j != i))
    found = pair_retrieval(images, texts)
    assert found["recall_at_1"] == pytest.approx(np.mean([rank < 1 for rank in ranks]))
    assert found["recall_at_10"] == pytest.approx(np.mean([rank < 10 for rank in ranks]))
    assert found["mrr"] == pytest.approx(np.mean([1 / (rank + 1) for rank in ranks]))


def test_more_pairs_than_one_block_are_ranked_the_same() -> None:
    vectors = np.random.default_rng(0).normal(size=(1_500, 8))
    assert pair_retrieval(vectors, vectors)["recall_at_1"] == 1.0


@pytest.mark.parametrize("shape", [(0, 4), (3, 5)])
def test_arrays_that_are_no_pairs_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="are no pairs"):
        pair_retrieval(np.zeros(shape), np.zeros((3, 4)) if shape[0] else np.zeros(shape))


def test_queries_are_read_in_order(tmp_path: Path) -> None:
    file = tmp_path / "queries.jsonl"
    row = {
        "kind": "attribute",
        "query": "red dress",
        "relevant_ids": ["a", 7],
        "gallery_source": "x",
    }
    file.write_text("\n".join(json.dumps({"qid": qid, **row}) for qid in ("q2", "q1")) + "\n\n")
    assert [query.qid for query in read_queries(file)] == ["q2", "q1"]
    assert read_queries(file)[0].relevant_ids == {"a", "7"}


def test_a_line_that_is_no_query_is_named(tmp_path: Path) -> None:
    file = tmp_path / "queries.jsonl"
    file.write_text('{"qid": "q1", "kind": "a", "query": "b", "relevant_ids": []}\n{"qid": "q2"}\n')
    with pytest.raises(ValueError, match=r"line 2 .*'kind'"):
        read_queries(file)


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the fashion data pack is not here; set MOTION_DATA")
def test_the_queries_of_the_data_pack_are_read() -> None:
    queries = read_queries(DATA / "queries" / "catalog_queries.jsonl")
    assert len(queries) == 486
    perfect = {query.qid: sorted(query.relevant_ids)[:10] for query in queries}
    kinds = figures(perfect, queries)["kinds"]
    assert {kind: found["queries"] for kind, found in kinds.items()} == {
        "known_item_title": 300,
        "attribute": 120,
        "synonym": 36,
        "cc0_photo_measured_colour": 30,
    }
    assert all(found["first_hit"] == 1.0 for found in kinds.values())
