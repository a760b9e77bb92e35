"""Taste: what one shopper likes, as a fold over what they said; and what it does to the order of an answer.

shopper says ──opinion──> remember (fold) ──> shopper.taste ──> retrieve (order), suggest (an endpoint's prompt)

Owns the traits of a product that a taste is about. They are words, not vectors: a new version of the encoders changes
none of them, they can be told to a language model, and to the shopper.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, Self

import motion
from fashion_search.facets import colour_of, kind_named, pattern_of
from fashion_search.tables import Retailer, RetailerSchema, ShopperSchema

Counts = dict[str, list[int]]
"""Trait -> how often it was liked, and how often not."""

WEIGHT = 0.15
"""What a trait that is always liked adds to a score, which is at most 1. A guess, and not tuned."""

TOLD_FROM = 2
"""So many more likes than dislikes, or fewer, are worth telling."""

_STEADY = 3.0  # opinions on a trait until half of what they say is believed
_PRICES = ((30.0, "up to 30"), (80.0, "30 to 80"), (200.0, "80 to 200"))
_TOLD = ("colour", "kind", "pattern", "brand")


@motion.fold(on="opinion.liked", by="opinion.shopper", sets="shopper.taste")
def remember(taste: Counts | None, liked: bool, traits: list[str]) -> Counts:
    """Return a taste with one more opinion."""
    counts = dict(taste or {})
    for trait in traits:
        yes, no = counts.get(trait, (0, 0))
        counts[trait] = [yes + liked, no + (not liked)]
    return counts


class Product(Protocol):
    """What a taste looks at of a product."""

    @property
    def id(self) -> int: ...
    @property
    def title(self) -> str: ...
    @property
    def brand(self) -> str: ...
    @property
    def price(self) -> float: ...
    @property
    def retailer(self) -> Retailer: ...


def traits_of(product: Product) -> tuple[str, ...]:
    """Return what of a product somebody may like or not."""
    shop, price = product.retailer.name, _price_of(product.price)
    return _traits(product.id, product.title or "", product.brand, shop, price)


@lru_cache(maxsize=65_536)  # a catalog's products are the same from one answer to the next
def _traits(
    id: int, title: str, brand: str | None, shop: str, price: str | None
) -> tuple[str, ...]:
    told = {
        "colour": colour_of(title),
        "kind": kind_named(title),
        "pattern": pattern_of(title),
        "brand": brand,
        "shop": shop,
        "price": price,
        "id": str(id),
    }
    return tuple(f"{name}:{value}" for name, value in told.items() if value)


def _price_of(price: float | None) -> str | None:
    if price is None:
        return None
    return next((name for bound, name in _PRICES if price <= bound), "above 200")


@dataclass(frozen=True)
class Taste:
    """What one shopper likes."""

    counts: Mapping[str, list[int]]

    @classmethod
    def of(cls, store: Any, shopper: str | None) -> Self:
        """Return the taste of a shopper; that of nobody, and of one who said nothing yet, is empty."""
        row = store.get(ShopperSchema, shopper) if shopper else None
        return cls((row and row.taste) or {})

    def bonus(self, product: RetailerSchema) -> float:
        """Return what a product's score gains, or loses, by this taste."""
        if not self.counts:
            return 0.0
        told = [trait for trait in traits_of(product) if trait in self.counts]
        return WEIGHT * sum(map(self._leaning, told))

    def _leaning(self, trait: str) -> float:
        """Return how much more a trait is liked than not, `-1..1`: little where little was said."""
        yes, no = self.counts.get(trait, (0, 0))
        return (yes - no) / (yes + no + _STEADY)

    def likes(self, most: int = 4) -> list[str]:
        """Return what is liked most, in words."""
        return self._told(+1, most)

    def avoids(self, most: int = 4) -> list[str]:
        """Return what is liked least, in words."""
        return self._told(-1, most)

    def _told(self, sign: int, most: int) -> list[str]:
        ranked = sorted(self._by_difference(), key=lambda each: -sign * each[1])
        return [name for name, difference in ranked if sign * difference >= TOLD_FROM][:most]

    def _by_difference(self) -> Iterable[tuple[str, int]]:
        for trait, (yes, no) in self.counts.items():
            group, _, name = trait.partition(":")
            if group in _TOLD and name != "solid":
                yield name, yes - no


NOBODYS = Taste({})


def opinion_id(shopper: str, product: int) -> str:
    """Return the name of what a shopper thinks of a product: saying it again says it anew."""
    return f"{shopper}/{product}"


def say(tx: Any, shopper: str, product: Product, liked: bool | None) -> None:
    """Write what a shopper thinks of a product, in a transaction or a store; None: nothing any more."""
    name = opinion_id(shopper, product.id)
    if liked is None:
        tx.delete("opinion", name)
    else:
        tx.set(
            "opinion",
            id=name,
            shopper=shopper,
            product=product.id,
            traits=list(traits_of(product)),
            liked=liked,
        )
