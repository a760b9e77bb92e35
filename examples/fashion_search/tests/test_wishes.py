"""Wishes: what a query asks for, read by its words."""

from __future__ import annotations

import pytest

from fashion_search.wishes import Wish, has_word, language_of, person_of, read_wish

CATALOG = {
    "dress": 40,
    "dresses": 9,
    "leather": 12,
    "red": 30,
    "shirt": 50,
    "shrt": 1,
    "sunglasses": 20,
}


def read(query: str) -> Wish:
    return read_wish(query, CATALOG, {"charger", "black", "jacket"}.__contains__)


@pytest.mark.parametrize(
    ("query", "text", "without"),
    [
        ("dress but not black", "dress", ("black",)),
        ("no wool sweater", "sweater", ("wool",)),
        ("top without lace or buttons", "top", ("lace", "buttons")),
        ("non-leather shoes", "shoes", ("leather",)),
        ("shirt except in red", "shirt", ("red",)),
        ("I need a dress, not too formal", "I need a dress", ("formal",)),
        ("red dress", "red dress", ()),
    ],
)
def test_what_is_not_wanted_is_taken_out_of_what_is_searched_for(
    query: str, text: str, without: tuple[str, ...]
) -> None:
    wish = read_wish(query)
    assert (wish.text, wish.without) == (text, without)


@pytest.mark.parametrize(
    ("query", "above", "below"),
    [
        ("brown purse under $50", None, 50),
        ("brown purse below 49,90 euros", None, 49.9),
        ("purse over 30", 30, None),
        ("purse between 20 and 40 dollars", 20, 40),
        ("purse $20-$40", 20, 40),
        ("purse up to £15.50", None, 15.5),
        ("501 jeans", None, None),
    ],
)
def test_a_price_is_a_bound_and_no_word(
    query: str, above: float | None, below: float | None
) -> None:
    wish = read_wish(query)
    assert (wish.above, wish.below) == (above, below)
    assert above or below or wish.text == query
    assert not any(sign in wish.text for sign in "$£")


def test_a_size_is_read_and_no_word() -> None:
    wish = read_wish("women's top, size M")
    assert (wish.size, wish.text) == ("m", "women's top")


@pytest.mark.parametrize(
    ("text", "person"),
    [
        ("red dress for women", "women"),
        ("men's watch", "men"),
        ("toddler girl's party dress", "girls"),
        ("shoes for my son", "boys"),
        ("kids backpack", "kids"),
        ("Mens and womens watch", None),
        ("red dress", None),
        ("a mention of summer", None),
    ],
)
def test_whose_it_is_is_told_by_the_words(text: str, person: str | None) -> None:
    assert person_of(text) == person


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("red drss", "red dress"),
        ("lether jacket", "leather jacket"),
        ("shrit", "shirt"),  # and not the shop's own misspelt one
        ("sunglases", "sunglasses"),
        ("iphone charger", "iphone charger"),
    ],
)
def test_what_is_misspelt_is_mended_to_a_word_that_the_catalog_has(query: str, text: str) -> None:
    assert read(query).text == text


def test_a_word_of_the_language_is_not_misspelt_because_the_catalog_lacks_it() -> None:
    assert read("black charger").mended == {}


def test_what_was_mended_is_told() -> None:
    assert read("red drss but not black under $50").told() == (
        "“drss” read as “dress”, without black, below 50"
    )


@pytest.mark.parametrize(
    ("query", "language"),
    [
        ("robe rouge pour femme", "French"),
        ("rotes kleid für damen", "German"),
        ("vestido rojo para mujer", "Spanish"),
        ("красное платье", "another script"),
        ("red robe for a des moines wedding", None),
        ("nike", None),
        ("", None),
    ],
)
def test_another_language_is_told_by_its_small_words(query: str, language: str | None) -> None:
    assert language_of(query) == language


def test_words_of_another_language_are_not_mended() -> None:
    catalog = {"kid": 9, "shirt": 9}
    assert read_wish("rotes kleid für damen", catalog).text == "rotes kleid für damen"
    assert read_wish("kleid", catalog).text == "kid"  # one word alone gives no language away


def test_a_query_of_nothing_but_filters_is_searched_as_it_is() -> None:
    assert read_wish("under $50").text == "under $50"


def test_singular_and_plural_are_one_word() -> None:
    assert has_word("Two dresses and a watch", "dress")
    assert has_word("A dress", "dresses")
    assert not has_word("A dressing gown", "dress")
