"""Facets: the colour and the kind of a product, by the words of its title, as a shop's filters name them.

Owns the names of filters, and which words mean them. It reads titles only: what a catalog keeps as labels is for measuring.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache

from fashion_search.garments.vocabulary import COLOURS, JEWELLERY, PATTERNS, TYPES

COLOUR_WORDS: Mapping[str, str] = {
    "black": "black",
    "white": "white, off white, ivory",
    "grey": "grey, gray, charcoal, light grey, silver, steel, slate",
    "blue": "blue, navy blue, navy, light blue, turquoise, teal, indigo, aqua",
    "green": "green, olive, lime green, sea green, sage, mint, emerald",
    "brown": "brown, coffee brown, tan, taupe, rust, copper, bronze, chocolate, camel",
    "beige": "beige, cream, khaki, sand, nude",
    "yellow": "yellow, mustard, gold",
    "orange": "orange, peach, coral",
    "red": "red, maroon, burgundy, wine",
    "pink": "pink, rose, magenta, fuchsia",
    "purple": "purple, lavender, mauve, violet, lilac, plum",
    "many colours": "multicoloured, multicolored, multi",
}
"""The colours that are filtered by, and the words that mean each."""

_SPELT = {"gray": "grey", "navy": "navy blue"} | dict.fromkeys(
    ("multi", "multicolored"), "multicoloured"
)

_KINDS: Mapping[str, str] = {
    "dresses": "dress, jumpsuit, gown, romper",
    "tops": "t-shirt, long-sleeve top, polo shirt, shirt, top, blouse, tunic, bodysuit, tee, tshirt, polo, tank, camisole",
    "knitwear": "sweater, cardigan, sweatshirt, hoodie, jumper, pullover",
    "trousers": "jeans, trousers, track pants, leggings, capris, shorts, pants, chinos, tights, joggers",
    "skirts": "skirt",
    "jackets": "jacket, coat, blazer, suit, waistcoat, parka, vest, tuxedo",
    "sarees and kurtas": "kurta, kurti, kurta set, saree, dupatta, sari, churidar, lehenga",
    "swim and night": "swimsuit, pyjamas, bikini, nightdress, robe, pajamas, nightgown",
    "shoes": "casual shoes, sports shoes, formal shoes, heels, flats, sandals, sports sandals, flip flops, boots, shoe, "
    "sneaker, trainers, loafers, pumps, heel, slippers, sandal, boot, flip flop",
    "bags": "handbag, clutch, backpack, laptop bag, duffel bag, mobile pouch, bag, purse, tote, satchel, rucksack",
    "jewellery": ", ".join([*sorted(JEWELLERY), "jewelry set", "brooch", "anklet"]),
    "accessories": "wallet, belt, watch, sunglasses, cap, hat, beanie, tie, scarf, stole, socks, gloves, suspenders",
}

KINDS: tuple[str, ...] = tuple(_KINDS)
"""The kinds that are filtered by."""


def colour_of(text: str) -> str | None:
    """Return the colour that a title names first, None where it names none."""
    found = _finder(_colours()).search(text.lower())
    return _colours()[found.group()] if found else None


@lru_cache(maxsize=65_536)  # a catalog's titles are the same from one answer to the next
def colours_named(text: str) -> frozenset[str]:
    """Return all colours that a text names, as finely as it does: navy blue is not blue. The spelling does not matter."""
    found = _finder(_colours()).findall(text.lower())
    return frozenset(_SPELT.get(word, word) for word in found)


def without_colours(text: str) -> str:
    """Return a text without the colours that it names."""
    return _finder(_colours()).sub(" ", text.lower())


def kind_named(text: str) -> str | None:
    """Return the kind that a title names last: "shirt dress" is a dress; None where it names none."""
    found = _finder(_kinds()).findall(text.lower())
    return _kinds()[found[-1]] if found else None


def pattern_of(text: str) -> str | None:
    """Return the pattern that a title names, None where it names none."""
    found = _finder(PATTERNS).search(text.lower())
    return found.group() if found else None


@cache
def _colours() -> dict[str, str]:
    found = {word: colour for colour, words in COLOUR_WORDS.items() for word in words.split(", ")}
    assert found.keys() >= COLOURS.keys(), "each colour of the drawn catalogs can be filtered by"
    return found


@cache
def _kinds() -> dict[str, str]:
    found: dict[str, str] = {}
    for kind, words in _KINDS.items():
        for word in words.split(", "):
            known = TYPES.get(word)
            found |= dict.fromkeys((word, known.plural if known else f"{word}s"), kind)
    assert found.keys() >= TYPES.keys(), "each type of the drawn catalogs can be filtered by"
    return found


def _finder(words: Iterable[str]) -> re.Pattern[str]:
    return _compiled(tuple(words))


@cache
def _compiled(words: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, longest_first))})(?![\w-])")
