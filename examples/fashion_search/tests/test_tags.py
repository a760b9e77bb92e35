"""Tags: which words are learned, and that all that a text means has to hold at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fashion_search.heads import Heads, Recipe
from fashion_search.tags import LEAST_TITLES, Tags, commonest, which, words_of

COLOURS, THINGS = ("red", "green", "blue", "white"), ("dress", "shoe", "hat", "bag", "watch")
RECIPE = Recipe(epochs=40, batch=100, rate=3e-3, words=20)
Shop = tuple[NDArray[np.float16], NDArray[np.float16], list[str]]


def features(kind: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """What a trunk tells of one thing: its colour, its kind, and much that is neither."""
    told = (0.3 * rng.standard_normal(24)).astype(np.float32)
    told[kind[0]] += 1
    told[len(COLOURS) + kind[1]] += 1
    return told


@pytest.fixture(scope="module")
def shop() -> Shop:
    """Products of every colour and kind but one: there are no red watches."""
    rng = np.random.default_rng(3)
    kinds = [(c, t) for c in range(len(COLOURS)) for t in range(len(THINGS)) if (c, t) != (0, 4)]
    drawn = [kinds[i] for i in rng.integers(0, len(kinds), 400)]
    seen, told = (np.stack([features(kind, rng) for kind in drawn]) for _ in range(2))
    said = [f"{COLOURS[c]} {THINGS[t]}" for c, t in drawn]
    return seen.astype(np.float16), told.astype(np.float16), said


@pytest.fixture(scope="module")
def heads(shop: Shop) -> Heads:
    seen, told, said = shop
    return Heads.new("tiny", 12, 24, 24).fitted(seen, told, RECIPE, said=said)


def tags_of(heads: Heads) -> Tags:
    assert heads.tags is not None
    return heads.tags


def test_words_are_told_in_the_singular_and_each_once() -> None:
    assert words_of("Nike Men's Black T-Shirts and black t shirts") == ["nike", "men", "black", "tshirt"]  # fmt: skip


def test_only_words_of_several_titles_are_learned_the_commonest_first() -> None:
    said = ["blue dress"] * LEAST_TITLES + ["red dress"] * (LEAST_TITLES - 1)
    assert commonest(said, 10) == ("dress", "blue")
    assert commonest(said, 1) == ("dress",)


def test_which_words_a_text_has_is_told_by_place() -> None:
    np.testing.assert_array_equal(which(("dress", "red"), ["red dresses", "red hat"]), [[1, 1], [0, 1]])  # fmt: skip


def test_what_is_certain_counts_most_and_what_cannot_be_least(heads: Heads, shop: Shop) -> None:
    tags = tags_of(heads)
    scores = tags.meant(shop[1]) @ tags.seen(shop[0]).T
    assert scores.diagonal().mean() > 0.5
    assert -1 <= scores.min() < -0.3
    assert scores.max() <= 1.001
    np.testing.assert_allclose(np.linalg.norm(tags.seen(shop[0]), axis=1), 1, atol=1e-5)


def test_what_may_be_both_is_before_what_is_surely_one_and_surely_not_the_other() -> None:
    as_they_are = {
        "mean": np.zeros(2), "scale": np.ones(2), "in": np.hstack([np.eye(2), -np.eye(2)]), "in_bias": np.zeros(4),
        "out": np.vstack([np.eye(2), -np.eye(2)]), "out_bias": np.zeros(2),
    }  # fmt: skip
    weights = {f"{side}.{name}": each.astype(np.float32) for side in ("picture", "text") for name, each in as_they_are.items()}  # fmt: skip
    tags = Tags(("orange", "wallet"), weights)
    asked = tags.meant(np.array([[9.0, 9.0]]))
    both, may_be, one, none = (tags.seen(np.array([[9.0, 9.0], [0, 0], [9, -9], [-9, -9]])) @ asked.T)[:, 0]  # fmt: skip
    assert (
        both > may_be > one > none
    )  # by a sum of logits, or one cosine, the two in the middle were the same


def test_a_text_that_means_none_of_the_words_asks_for_nothing(heads: Heads) -> None:
    tags = tags_of(heads)
    silent = {**tags.weights, "text.out_bias": np.full(len(tags.words), -30, np.float32)}
    silent["text.out"] = np.zeros_like(silent["text.out"])
    np.testing.assert_allclose(Tags(tags.words, silent).meant(np.ones((2, 24))), 0, atol=1e-6)


@pytest.mark.parametrize("picture_weight", [0.0, 0.25, 1.0])
def test_a_wishs_product_is_the_blend_whether_there_are_tags_or_not(
    heads: Heads, shop: Shop, picture_weight: float
) -> None:
    seen, told, _ = shop
    for each in (heads, replace(heads, tags=None)):
        products, wishes = each.products(seen, told), each.wishes(told, picture_weight)
        np.testing.assert_allclose(np.linalg.norm(products, axis=1), 1, atol=1e-5)
        assert products.shape[1] == wishes.shape[1] == each.dim
        of_words = each.words(told) @ each.words(told).T
        of_pictures = wishes @ each.looks(seen).T  # what is said counts nothing there
        blend = (1 - picture_weight) * of_words + of_pictures
        np.testing.assert_allclose(wishes @ products.T, blend, atol=1e-4)


def test_a_first_fit_chooses_the_words_and_a_later_one_keeps_them(heads: Heads, shop: Shop) -> None:
    seen, told, said = shop
    later = heads.fitted(seen, told, Recipe(epochs=1), said=[f"{text} new" for text in said])
    assert set(tags_of(heads).words) == {*COLOURS, *THINGS}
    assert tags_of(later).words == tags_of(heads).words
    untold = heads.fitted(seen, told, Recipe(epochs=1))
    assert untold.tags is heads.tags


def test_words_that_have_become_common_come_to_those_that_were_there(
    heads: Heads, shop: Shop
) -> None:
    seen, told, said = shop
    new = [f"{text} zari" if i < 30 else text for i, text in enumerate(said)]
    recipe = Recipe(epochs=5, words=256, anew=False)
    later = heads.fitted(seen, told, recipe, said=new)
    before = tags_of(heads)
    assert tags_of(later).words == (*before.words, "zari")
    assert later.products(seen, told).shape[1] == later.wishes(told, 0.5).shape[1] == later.dim
    least = heads.fitted(seen, told, replace(recipe, rate=1e-9), said=new)
    old, kept = before.weights["picture.out"], tags_of(least).weights["picture.out"]
    np.testing.assert_allclose(kept[:, :-1], old, atol=1e-6)  # it begins with what was known
    assert replace(heads, tags=None).fitted(seen, told, recipe, said=new).tags is None


def test_a_later_fit_goes_half_way_back(heads: Heads, shop: Shop) -> None:
    seen, told, said = shop
    old = tags_of(heads).weights["picture.out"]
    whole, half, none = (
        tags_of(heads.fitted(seen, told, Recipe(epochs=1, keep=keep), said=said)).weights["picture.out"]
        for keep in (0.0, 0.5, 1.0)
    )  # fmt: skip
    np.testing.assert_allclose(half, (whole + old) / 2, atol=1e-6)
    np.testing.assert_array_equal(none, old)


def test_a_wish_in_other_words_learns_which_of_the_shops_words_it_means(
    heads: Heads, shop: Shop
) -> None:
    seen, told, said = shop
    jumper = np.zeros((30, 24), np.float16)
    jumper[:, -1] = 3  # no title says anything like it
    again = Recipe(epochs=10, batch=100, rate=3e-3)
    taught = heads.fitted(np.concatenate([seen, seen[:30]]), np.concatenate([told, jumper]), again, said=[*said, *["blue hat"] * 30])  # fmt: skip
    meant = tags_of(taught).meant(jumper[:1])[0]
    most = {tags_of(taught).words[place] for place in np.argsort(-meant)[:2]}
    assert most == {"blue", "hat"}
    before = tags_of(heads).meant(jumper[:1])[0]
    assert {tags_of(heads).words[place] for place in np.argsort(-before)[:2]} != most


def test_tags_are_saved_and_a_state_without_them_is_read(heads: Heads, shop: Shop) -> None:
    saved = heads.to_saved()
    back = Heads.from_saved(saved)
    assert tags_of(back).words == tags_of(heads).words
    np.testing.assert_allclose(back.products(*shop[:2]), heads.products(*shop[:2]), atol=1e-2)
    of_before: dict[str, Any] = {k: v for k, v in saved.items() if k not in ("words", "tags")}
    assert Heads.from_saved(of_before).tags is None


def test_a_shop_whose_words_are_all_rare_has_no_tags(shop: Shop) -> None:
    seen, told, _ = shop
    said = [f"thing{i}" for i in range(len(seen))]
    assert Heads.new("tiny", 12, 24, 24).fitted(seen, told, RECIPE, said=said).tags is None
