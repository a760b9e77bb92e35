"""Labelled products: fifths without a title in common, and queries that labels answer."""

from __future__ import annotations

import numpy as np

from fashion_search.gate import Pairs
from fashion_search.labelled import (
    LEAST_RIGHT,
    MOST_RIGHT,
    OF_ONE_TYPE,
    Products,
    made_queries,
    without,
)


def products(labels: list[dict[str, str]], said: list[str] | None = None) -> Products:
    count = len(labels)
    pairs = Pairs(np.zeros((count, 2)), np.zeros((count, 2)), said or [f"title {i}" for i in range(count)])  # fmt: skip
    return Products(pairs, [f"p{i}" for i in range(count)], np.array(["shop"] * count), labels)


def label(category: str, colour: str, gender: str = "Women") -> dict[str, str]:
    return {"category": category, "colour": colour, "gender": gender}


def test_products_of_one_title_are_in_one_fifth() -> None:
    said = [f"Title {i % 40}" if i < 40 else f"title {i % 40}" for i in range(80)]
    fifths = products([label("Hats", "Red")] * 80, said).fifths()
    np.testing.assert_array_equal(fifths[:40], fifths[40:])
    assert set(fifths) == set(range(5))


def test_a_made_query_is_answered_by_what_has_all_three_labels() -> None:
    labels = [label("Hats", "Red")] * 2 + [label("Hats", "Blue"), label("Hats", "Red", "Men")]
    [query] = made_queries(products(labels))
    assert query.relevant_ids == {"p0", "p1"}
    assert all(word in query.query for word in ("red", "hats", "women"))
    assert (query.kind, query.gallery_source) == ("attribute, made", "shop")


def test_a_query_has_neither_too_few_right_answers_nor_too_many() -> None:
    counts = (LEAST_RIGHT - 1, LEAST_RIGHT, MOST_RIGHT, MOST_RIGHT + 1)
    labels = [label("Hats", f"Colour{count}") for count in counts for _ in range(count)]
    made = made_queries(products(labels))
    assert {len(query.relevant_ids) for query in made} == {LEAST_RIGHT, MOST_RIGHT}


def test_no_type_is_asked_for_more_often_than_others() -> None:
    labels = [label("Tshirts", f"Colour{i // 2}") for i in range(40)] + [label("Hats", "Red")] * 2
    made = made_queries(products(labels))
    assert sum("tshirts" in query.query for query in made) == OF_ONE_TYPE
    assert sum("hats" in query.query for query in made) == 1


def test_the_same_products_are_asked_for_in_the_same_words() -> None:
    labels = [label("Tshirts", f"Colour{i // 2}") for i in range(40)]
    assert made_queries(products(labels)) == made_queries(products(labels))
    assert made_queries(products(labels), seed=1) != made_queries(products(labels))


def test_poor_titles_have_lost_words_in_whatever_number() -> None:
    assert without("Nike Men's Shoes, black", frozenset({"shoe", "black"})) == "Nike Men's"
    assert without("Shoes", frozenset({"shoe"})) == "."
