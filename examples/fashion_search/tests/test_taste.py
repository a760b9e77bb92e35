"""Taste: what a shopper said, folded; what it does to an answer, and what an endpoint is told."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import motion
from fashion_search import taste
from fashion_search.facets import colour_of, kind_named
from fashion_search.garments import COLOURS, TYPES
from fashion_search.pipeline import LanguageModel, RetailerSchema, open_store
from fashion_search.taste import Taste, say, traits_of

if TYPE_CHECKING:
    from tests.conftest import IdeaServer


@pytest.fixture
def store(a_store: Path) -> Iterator[motion.Store]:
    with open_store(a_store, durability="normal") as opened:
        yield opened


def said(store: motion.Store, shopper: str, *, likes: str, avoids: str = "") -> None:
    """Let a shopper like all products of one colour, and none of another."""
    for product in store.rows(RetailerSchema):
        if product.colour in (likes, avoids):
            say(store, shopper, product, product.colour == likes)
    store.wait(timeout=60)


def answer(store: motion.Store, shopper: str | None, query: str = "shirt") -> list[RetailerSchema]:
    """Return what somebody is shown for the query itself."""
    change = store.set("query", query=query, shopper=shopper).wait(timeout=60)
    rows = store.rows("query", id=change.id)
    found = [row.img_id for row in rows if row.img_id is not None and row.text_suggestion_page == 0]
    return [product for id in found if (product := store.get(RetailerSchema, id)) is not None]


def test_what_somebody_likes_comes_first_for_them_and_for_nobody_else(store: motion.Store) -> None:
    before = answer(store, "ann")
    first = before[0].colour
    liked = next(each.colour for each in reversed(before) if each.colour != first)
    said(store, "ann", likes=liked, avoids=first)
    after = answer(store, "ann")
    assert after[0].colour == liked
    assert [each.id for each in answer(store, "bob")] == [each.id for each in before]
    assert [each.id for each in answer(store, None)] == [each.id for each in before]


def test_a_taste_is_as_it_would_be_if_what_is_taken_back_had_not_been_said(
    store: motion.Store,
) -> None:
    one, two = store.rows(RetailerSchema, limit=2)
    say(store, "ann", one, True)
    store.wait(timeout=60)
    before = Taste.of(store, "ann").counts
    say(store, "ann", two, False)
    say(store, "ann", two, None)
    store.wait(timeout=60)
    assert Taste.of(store, "ann").counts == before
    say(
        store, "ann", one, False
    )  # another opinion of the same product takes the place of the first
    store.wait(timeout=60)
    assert set(map(tuple, Taste.of(store, "ann").counts.values())) == {(0, 1)}


def test_a_taste_is_told_in_words(store: motion.Store) -> None:
    said(store, "ann", likes="blue", avoids="black")
    taste = Taste.of(store, "ann")
    assert "blue" in taste.likes()
    assert "black" in taste.avoids()
    assert not {"blue", "black"} & {*taste.avoids()} - {"black"}


def test_an_endpoint_is_told_what_who_asks_likes(a_store: Path, idea_server: IdeaServer) -> None:
    endpoint = LanguageModel(idea_server.url)
    with open_store(a_store, durability="normal", language_model=endpoint) as store:
        said(store, "ann", likes="blue", avoids="black")
        answer(store, "ann", "something for a party")
        answer(store, "bob", "something for a party")
    for_ann, for_bob = idea_server.prompts
    assert "likes" in for_ann
    assert "blue" in for_ann
    assert "black" in for_ann
    assert "likes" not in for_bob


def test_the_words_of_a_product_are_read_once_and_again_where_it_has_changed(
    store: motion.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    [product] = store.rows(RetailerSchema, limit=1)
    product = dataclasses.replace(product, title="red dress", brand="First", price=20.0)
    before, read = traits_of(product), []

    def counted(title: str) -> str | None:
        read.append(title)
        return colour_of(title)

    monkeypatch.setattr(taste, "colour_of", counted)
    assert traits_of(product) == before
    assert read == []
    assert "colour:blue" in traits_of(dataclasses.replace(product, title="blue dress"))
    assert "brand:Second" in traits_of(dataclasses.replace(product, brand="Second"))
    assert "price:30 to 80" in traits_of(dataclasses.replace(product, price=50.0))
    assert read == ["blue dress", "red dress", "red dress"]


def test_what_was_ruled_out_stays_out_whatever_somebody_likes(store: motion.Store) -> None:
    said(store, "ann", likes="black")
    titles = [each.title.lower() for each in answer(store, "ann", "dress but not black")]
    assert titles
    assert not any("black" in title for title in titles)


@pytest.mark.parametrize(
    ("title", "kind", "colour"),
    [
        ("Norvane Women's Navy Blue Striped Shirt Dress", "dresses", "blue"),
        ("Puma Men Off White Sports Shoes", "shoes", "white"),
        ("Laptop bag in cocoa", "bags", None),
        ("Gift card", None, None),
        ("Watchful eye poster, blackboard", None, None),
    ],
)
def test_facets_are_told_by_the_title(title: str, kind: str | None, colour: str | None) -> None:
    assert (kind_named(title), colour_of(title)) == (kind, colour)


def test_all_that_is_drawn_can_be_filtered_by() -> None:
    assert all(kind_named(name) == kind_named(kind.plural) for name, kind in TYPES.items())
    assert None not in {kind_named(name) for name in TYPES} | {colour_of(name) for name in COLOURS}
