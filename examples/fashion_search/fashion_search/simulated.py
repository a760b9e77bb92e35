"""Simulated shoppers: each with words of their own and a taste that nobody is told, who click on what they are shown.

Owns what they ask for, what fits them, and what they say of it. They see a product as a person would: what it is, its
colour and its price, which is why only this module looks at the labels of the drawn catalogs.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fashion_search.facets import COLOUR_WORDS, colour_of
from fashion_search.tables import RetailerSchema

WORDS: Mapping[str, tuple[str, ...]] = {
    "tee": ("t-shirt",), "gown": ("dress",), "jumper": ("sweater",), "pullover": ("sweater", "sweatshirt"),
    "slacks": ("trousers",), "joggers": ("track pants",), "purse": ("handbag", "clutch", "wallet"),
    "satchel": ("handbag", "laptop bag"), "trainers": ("sports shoes",), "sneakers": ("casual shoes", "sports shoes"),
    "loafers": ("casual shoes", "formal shoes"), "pumps": ("heels",), "stilettos": ("heels",), "ballerinas": ("flats",),
    "slippers": ("flip flops", "sandals"), "shades": ("sunglasses",), "wristwatch": ("watch",), "fedora": ("hat",),
    "mittens": ("gloves",), "shawl": ("stole", "scarf", "dupatta"), "brooch": ("pendant",), "chain": ("necklace", "pendant"),
    "bikini": ("swimsuit",), "tuxedo": ("suit", "blazer"), "parka": ("jacket", "coat"), "windbreaker": ("jacket",),
    "pajamas": ("pyjamas",), "rucksack": ("backpack",), "billfold": ("wallet",), "necktie": ("tie",), "tights": ("leggings",),
    "sari": ("saree",), "romper": ("jumpsuit",), "camisole": ("top",), "moccasins": ("casual shoes", "flats"),
    "espadrilles": ("casual shoes", "flats"), "vest": ("waistcoat",),
}  # fmt: skip
"""What they call things, and the types that they mean: words that no title of the drawn catalogs has."""

FORMS = ("{}", "{} for everyday", "a nice {}", "{} for a party", "cheap {}", "{} as a gift", "new {}", "warm {}", "light {}")  # fmt: skip
BUDGETS = (60.0, 120.0, 300.0)
LIKED_COLOURS = 5
SURE = 0.97
"""How often a shopper says what they think; else the opposite."""


@dataclass(frozen=True)
class Wish:
    """What is asked for, and the types that would be right."""

    text: str
    types: tuple[str, ...]

    @property
    def is_kept_back(self) -> bool:
        """Whether nobody asks it in a session: what is measured by is new to the encoders."""
        return zlib.crc32(f"kept back {self.text}".encode()) % 4 == 0

    def is_met(self, product: RetailerSchema) -> bool:
        """Whether a product is what the words mean."""
        return product.labels.get("category") in self.types


WISHES: tuple[Wish, ...] = tuple(
    Wish(form.format(word), types) for word, types in WORDS.items() for form in FORMS
)


@dataclass(frozen=True)
class Shopper:
    """Somebody with a taste.

    Attributes:
        colours: those they would wear.
        budget: what they would pay for one thing.
    """

    name: str
    colours: frozenset[str]
    budget: float

    def would_take(self, wish: Wish, product: RetailerSchema) -> bool:
        """Whether an answer fits: it is what was asked for, in a colour they wear, at a price they pay."""
        is_affordable = product.price is None or product.price <= self.budget
        return wish.is_met(product) and is_affordable and colour_of(product.title) in self.colours

    def says(
        self, wish: Wish, shown: Sequence[RetailerSchema], rng: np.random.Generator
    ) -> dict[int, bool]:
        """Return what they say of what they are shown, by its place: the further down, the less often they look."""
        looks = rng.random(len(shown)) < 1 / (1 + 0.15 * np.arange(len(shown)))
        is_sure = rng.random(len(shown)) < SURE
        return {
            place: self.would_take(wish, product) == bool(is_sure[place])
            for place, product in enumerate(shown)
            if looks[place]
        }


def shoppers(count: int, rng: np.random.Generator) -> list[Shopper]:
    """Return shoppers, each of another taste."""
    colours = list(COLOUR_WORDS)
    return [
        Shopper(
            f"simulated-{number}",
            frozenset(map(str, rng.choice(colours, LIKED_COLOURS, replace=False))),
            float(rng.choice(BUDGETS)),
        )
        for number in range(count)
    ]
