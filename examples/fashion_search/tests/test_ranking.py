"""Ranking: what is found for a wish, what is ruled out, and when nothing fits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import motion
from fashion_search.heads import Heads
from fashion_search.ranking import (
    OTHER_COLOUR,
    SOMEBODYS,
    Ranked,
    fused,
    held_against,
    is_there_in_colour,
    may_be_for,
    ranked,
)
from fashion_search.tables import RetailerSchema
from fashion_search.wishes import Wish, read_wish

DIM = 4
AXES = np.eye(DIM, dtype=np.float16)
DRESS, BAG, SHOE, CHARGER = range(DIM)

PRODUCTS: list[dict[str, Any]] = [
    {"title": "Black dress", "kind": DRESS, "price": 30.0},
    {"title": "Red dress", "kind": DRESS, "price": 80.0, "sizes": ["S", "M"]},
    {"title": "Red dress", "kind": DRESS, "price": 81.0, "sizes": ["L"]},
    {"title": "Red dress", "kind": DRESS, "price": 82.0},
    {"title": "Party frock", "kind": DRESS},
    {"title": "Girls' party dress", "kind": DRESS, "worn_by": "girls"},
    {"title": "Men's dress shoe", "kind": SHOE, "worn_by": "men"},
    {"title": "Brown handbag", "kind": BAG, "price": 49.0},
    {"title": "Nimbus brown tote", "kind": BAG, "price": 51.0},
]


@pytest.fixture(scope="module")
def heads() -> Heads:
    return Heads.untouched("axes", DIM)


@pytest.fixture(scope="module")
def store(heads: Heads, tmp_path_factory: pytest.TempPathFactory) -> Iterator[motion.Store]:
    folder: Path = tmp_path_factory.mktemp("ranking")
    with motion.create_store(
        "shop", schemas={"retailer": RetailerSchema}, url=f"sqlite:///{folder}"
    ) as opened:
        for product in PRODUCTS:
            values = {name: value for name, value in product.items() if name != "kind"}
            vector = heads.products(AXES[[product["kind"]]], AXES[[product["kind"]]])[0]
            opened.set("retailer", **values, img_summary=product["title"], img_embedding=vector)
        yield opened


def find(
    store: motion.Store, heads: Heads, query: str | Wish, kind: int, **how: Any
) -> list[Ranked]:
    wish = read_wish(query) if isinstance(query, str) else query
    return ranked(store, heads, AXES[[kind]], wish, how.pop("k", 9), picture_weight=0.25, **how)


def titles(found: list[Ranked]) -> list[str]:
    return [each.product.title for each in found]


def test_words_put_what_has_them_first_and_leave_what_only_means_the_same(
    store: motion.Store, heads: Heads
) -> None:
    found = titles(find(store, heads, "black dress", DRESS))
    assert found[0] == "Black dress"
    assert "Party frock" in found


def test_a_brand_is_found_by_its_name_alone(store: motion.Store, heads: Heads) -> None:
    assert titles(find(store, heads, "nimbus", CHARGER)) == ["Nimbus brown tote"]


def test_what_is_of_another_sort_answers_nobody_who_names_a_sort(
    store: motion.Store, heads: Heads
) -> None:
    assert titles(find(store, heads, "brown tote", BAG))[:1] == ["Nimbus brown tote"]
    assert titles(find(store, heads, "brown skirt", BAG)) == []  # near as they are, these are bags
    assert "Party frock" in titles(find(store, heads, "red tunic", DRESS))  # that names no sort
    assert "Red dress" in titles(find(store, heads, "red tunic", DRESS))  # that may be a long top


def test_what_was_ruled_out_is_in_no_answer(store: motion.Store, heads: Heads) -> None:
    found = titles(find(store, heads, "dress but not black", DRESS))
    assert "Red dress" in found
    assert "Black dress" not in found


def test_a_price_holds_for_every_answer(store: motion.Store, heads: Heads) -> None:
    assert titles(find(store, heads, "brown bag under $50", BAG)) == ["Brown handbag"]
    assert titles(find(store, heads, "brown bag over $50", BAG)) == ["Nimbus brown tote"]


def test_a_product_whose_price_is_not_told_may_have_it(store: motion.Store, heads: Heads) -> None:
    assert set(titles(find(store, heads, "dress under $40", DRESS))) == {
        "Black dress",
        "Party frock",
        "Girls' party dress",
    }


def test_a_size_that_a_shop_does_not_have_is_no_answer(store: motion.Store, heads: Heads) -> None:
    found = find(store, heads, "red dress size M", DRESS)
    assert [each.product.sizes for each in found if each.product.sizes] == [["S", "M"]]


def test_a_childs_thing_is_for_children_only(store: motion.Store, heads: Heads) -> None:
    assert titles(find(store, heads, "toddler girl's party dress", DRESS)) == ["Girls' party dress"]
    assert find(store, heads, "party dress for boys", DRESS) == []


def test_what_is_for_the_other_is_no_answer_and_what_is_for_anybody_is(
    store: motion.Store, heads: Heads
) -> None:
    found = titles(find(store, heads, "dress for women", DRESS))
    assert "Black dress" in found
    assert not {"Girls' party dress", "Men's dress shoe"} & set(found)


def test_no_more_than_two_of_one_title_are_shown(store: motion.Store, heads: Heads) -> None:
    assert titles(find(store, heads, "red dress", DRESS)).count("Red dress") == 2


def test_nothing_fits_what_is_neither_near_nor_named(store: motion.Store, heads: Heads) -> None:
    assert find(store, heads, "iphone charger", CHARGER) == []


def test_of_what_may_be_no_thing_to_wear_a_product_must_have_every_word(
    store: motion.Store, heads: Heads
) -> None:
    assert find(store, heads, "party planner", DRESS, is_sure=False) == []
    assert titles(find(store, heads, "black dress", DRESS, is_sure=False)) == ["Black dress"]


def test_an_answer_is_filled_from_further_down_where_much_is_ruled_out(
    store: motion.Store, heads: Heads
) -> None:
    with motion.create_store("many", schemas={"retailer": RetailerSchema}, url=":memory:") as many:
        vector = heads.products(AXES[[DRESS]], AXES[[DRESS]])[0]
        rows = [
            {"title": f"{'Black' if i < 150 else 'Blue'} dress {i}", "img_embedding": vector}
            for i in range(160)
        ]
        many.set_many("retailer", [row | {"img_summary": row["title"]} for row in rows])
        found = find(many, heads, "dress, not black", DRESS, k=8)
    assert len(found) == 8


def test_a_title_that_names_another_colour_comes_after_what_is_less_near(heads: Heads) -> None:
    leaning = (AXES[[DRESS]] + 0.3 * AXES[[BAG]]) / 1.09**0.5  # a cosine of 0.96
    rows = [
        {"title": "Navy blue dress", "img_embedding": heads.products(AXES[[DRESS]], AXES[[DRESS]])[0]},
        {"title": "Blue dress", "img_embedding": heads.products(leaning, leaning)[0]},
        {"title": "Dress", "img_embedding": heads.products(leaning, leaning)[0]},
    ]  # fmt: skip
    with motion.create_store("blue", schemas={"retailer": RetailerSchema}, url=":memory:") as shop:
        shop.set_many("retailer", [row | {"img_summary": row["title"]} for row in rows])
        assert titles(find(shop, heads, "blue dress", DRESS)) == ["Blue dress", "Dress", "Navy blue dress"]  # fmt: skip
        assert titles(find(shop, heads, "dress", DRESS))[0] == "Navy blue dress"


def test_a_colour_that_the_thing_is_not_there_in_puts_no_other_thing_first(heads: Heads) -> None:
    leaning = (AXES[[DRESS]] + 0.3 * AXES[[BAG]]) / 1.09**0.5
    rows = [
        {"title": "Rust saree", "img_embedding": heads.products(leaning, leaning)[0]},
        {"title": "Brown jacket", "img_embedding": heads.products(AXES[[DRESS]], AXES[[DRESS]])[0]},
    ]
    with motion.create_store("rust", schemas={"retailer": RetailerSchema}, url=":memory:") as shop:
        shop.set_many("retailer", [row | {"img_summary": row["title"]} for row in rows])
        assert titles(find(shop, heads, "rust jacket", DRESS))[0] == "Brown jacket"


@pytest.mark.parametrize(
    ("query", "title", "worn_by", "lost"),
    [
        ("blue dress", "Red dress", None, OTHER_COLOUR),
        ("navy dress", "Navy blue dress", None, 0),  # the same, spelt otherwise
        ("gray dress", "Grey dress", None, 0),
        ("red dress", "Black and red dress", None, 0),
        ("red dress", "Summer dress", None, 0),  # may be red
        ("dress", "Red dress", None, 0),
        ("unisex blue dress", "Red dress", "men", OTHER_COLOUR + SOMEBODYS),
        ("blue caps for anyone", "Blue cap", "men", SOMEBODYS),
        ("blue caps for anyone", "Blue cap", None, 0),
        ("blue caps", "Blue cap", "men", 0),
        ("caps for women", "Blue cap", "men", math.inf),
        ("blue suit", "Blue socks", None, math.inf),
    ],
)
def test_what_a_title_has_against_it(
    query: str, title: str, worn_by: str | None, lost: float
) -> None:
    wish = read_wish(query)
    assert held_against(wish, title, worn_by, in_colour=True) == pytest.approx(lost)


@pytest.mark.parametrize(
    ("query", "found", "expected"),
    [
        ("rust jacket", ["Rust saree", "Brown jacket"], False),
        ("rust jacket", ["Rust saree", "Men's rust jackets"], True),
        ("rust jacket for men", ["Rust saree", "Rust jacket"], True),
        ("rust blouson", ["Rust saree", "Rust jacket"], True),  # no title calls anything so
    ],
)
def test_a_colour_counts_where_the_thing_is_there_in_it(
    query: str, found: list[str], expected: bool
) -> None:
    wish = read_wish(query)
    assert is_there_in_colour(wish, found) is expected
    lost = 0.0 if not expected else OTHER_COLOUR
    assert held_against(wish, "Brown jacket", None, in_colour=expected) == lost


def test_a_score_is_the_blend_of_two_cosines(store: motion.Store, heads: Heads) -> None:
    assert find(store, heads, "red dress", DRESS)[0].score == pytest.approx(1.0, abs=1e-3)


def test_words_add_to_the_blend_and_never_take_from_it() -> None:
    places = fused({1: 0.9, 2: 0.5}, {2: 8.0, 3: 4.0}, 0.2)
    assert places == pytest.approx({1: 0.9, 2: 0.7, 3: 0.6})
    assert fused({}, {}, 0.2) == {}


@pytest.mark.parametrize("person", [None, "women", "men", "girls", "boys", "kids"])
def test_whose_things_are_answers_is_one_rule_for_a_search_and_for_a_measure(
    store: motion.Store, heads: Heads, person: str | None
) -> None:
    wish = Wish("dress", person=person)
    found = find(store, heads, wish, DRESS, k=20)
    assert {each.product.worn_by for each in found} <= {
        whose for whose in (None, "women", "men", "girls", "boys", "kids") if may_be_for(person, whose)
    }  # fmt: skip
    every = [row for row in store.rows(RetailerSchema) if "dress" in (row.title or "").lower()]
    assert len(found) == sum(may_be_for(person, row.worn_by) for row in every if row.title != "Men's dress shoe")  # fmt: skip
