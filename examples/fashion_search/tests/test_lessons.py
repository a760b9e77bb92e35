"""Lessons: what a fit of the pipeline learns from, and as how much each pair counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fashion_search.encoders import (
    FIRST,
    HELD_OUT,
    LATER,
    NEW_COUNTS,
    ImageRetrieval,
    with_new,
)
from fashion_search.heads import Heads, Recipe
from fashion_search.pipeline import RetailerSchema, open_store
from fashion_search.tables import QuerySchema
from fashion_search.tags import Tags


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Recipe, list[float], list[str]]]:
    """What fits were given, which learn nothing here: recipe, weights and what was said."""
    given: list[tuple[Recipe, list[float], list[str]]] = []

    def noted(
        self: Heads,
        pictures: Any,
        texts: Any,
        recipe: Recipe,
        *,
        said: Any,
        weights: Any = None,
        **_: Any,
    ) -> Heads:
        assert len(pictures) == len(texts) == len(said)
        given.append((recipe, [] if weights is None else weights.tolist(), list(said)))
        return self

    monkeypatch.setattr(Heads, "fitted", noted)
    return given


def with_a_tag(heads: Heads, newest: int) -> Heads:
    """Return heads as they are after a fit that came to a product."""
    seen, read = (len(heads.weights[f"{side}.mean"]) for side in ("picture", "text"))
    tags = Tags.untaught(("dress",), np.zeros((2, seen)), np.ones(read, np.float32))
    return replace(heads, tags=tags, newest=newest)


def test_a_first_lesson_takes_all_alike_and_a_later_one_what_came_since_more(
    a_store: Path, told: list[tuple[Recipe, list[float], list[str]]]
) -> None:
    with open_store(a_store, run=False) as store:
        learned = store.rows(
            RetailerSchema, where=f"NOT ({HELD_OUT})", keys=["id", "img_summary"], order_by="id"
        )
        ids = [each.id for each in learned]
        with store.model("ImageRetrieval").live() as (heads, view):
            first = ImageRetrieval().study(heads, [], view)
            later = ImageRetrieval().study(with_a_tag(heads, ids[-2]), [], view)
            ImageRetrieval().study(with_a_tag(heads, ids[-1]), [], view)
    assert first.newest == later.newest == ids[-1]
    assert [recipe for recipe, _, _ in told] == [FIRST, LATER, LATER]
    first_said, later_said, again_said = (Counter(said) for _, _, said in told)
    assert first_said == again_said == Counter(each.img_summary for each in learned)
    since = Counter(each.img_summary for each in learned[-1:])
    assert later_said - first_said == Counter(
        {text: (NEW_COUNTS - 1) * count for text, count in since.items()}
    )


def test_what_many_like_is_learned_once_and_counts_for_all_of_them(
    a_store: Path, told: list[tuple[Recipe, list[float], list[str]]]
) -> None:
    with open_store(a_store, run=False) as store:
        [product, other] = store.rows(RetailerSchema, limit=2)
        nothing: dict[str, Any] = dict.fromkeys(QuerySchema.__dataclass_fields__)
        rows = [QuerySchema(**nothing) for _ in range(4)]
        for row, liked in zip(rows, (product, product, other, other), strict=True):
            row.text_suggestion, row.img_id, row.feedback = "a jumper", liked.id, True
        rows[-1].feedback = False
        with store.model("ImageRetrieval").live() as (heads, view):
            ImageRetrieval().finetune(heads, [rows], view)
    [(recipe, weights, said)] = told
    assert recipe == LATER
    assert weights[-2:] == [8.0, 4.0]
    assert said[-2:] == [product.img_summary, other.img_summary]


def test_new_products_count_for_no_more_than_all_others() -> None:
    for new in (0, 1, 10, 30, 50, 90):
        is_new = np.arange(100) >= 100 - new
        given = Counter(with_new(is_new).tolist())
        assert set(given) == set(range(100))
        assert {given[place] for place in np.flatnonzero(~is_new)} == {1}
        times = {given[place] for place in np.flatnonzero(is_new)}
        assert times <= set(range(1, NEW_COUNTS + 1))
        assert new * max(times, default=0) <= max(100 - new, new)
    assert Counter(with_new(np.arange(100) >= 99).tolist())[99] == NEW_COUNTS
