"""The gate: whether new heads find more than old ones, beyond chance.

Owns the pairs that are measured on, and the measure. A product's own whole summary finds it whatever its picture shows,
so half of the summary's words are taken away from the product and asked for: "men black", where the shop says "Puma
t-shirt" and the picture the rest. The ranking is the one that shoppers see: pictures and texts, blended.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fashion_search.heads import Gain, Heads
from fashion_search.retrieval import FloatArray, ranks_of_pairs

NEEDED = 500
"""Pairs below which no gain counts: on fifty, one pair more is no more than luck."""

MOST_ROUNDS = 5
"""How often one product may be asked for: more of the same is no more evidence."""

_DRAWS = 2_000


@dataclass(frozen=True, eq=False)
class Pairs:
    """Products with what is asked for to find them.

    Attributes:
        pictures, texts: the features of each product.
        said: the summary of each.
        asked: the features of what finds it; its own text where left out.
        picture_weight: how much pictures count in the ranking.
    """

    pictures: NDArray[Any]
    texts: NDArray[Any]
    said: Sequence[str]
    asked: NDArray[Any] | None = None
    picture_weight: float = 0.25

    def __len__(self) -> int:
        return len(self.said)

    def at(self, places: NDArray[np.int64]) -> Pairs:
        """Return the pictures, texts and summaries at some places."""
        said = [self.said[int(place)] for place in places]
        return Pairs(self.pictures[places], self.texts[places], said)


def rounds_for(products: int) -> int:
    """Return how often each product is asked for, each time by another half of its words: until there are `NEEDED` pairs."""
    return min(MOST_ROUNDS, max(1, -(-NEEDED // max(products, 1))))


def thinned(summaries: Sequence[str], turn: int = 0) -> tuple[list[str], list[str]]:
    """Return what stays of each summary, and what is asked for: its words in two halves, in each turn other ones."""
    shown, asked = [], []
    for summary in summaries:
        words = summary.split()
        rng = np.random.default_rng([turn, zlib.crc32(summary.encode())])
        to_ask = rng.permutation(len(words)) < (len(words) + 1) // 2
        asked.append(
            " ".join(word for word, is_asked in zip(words, to_ask, strict=True) if is_asked)
        )
        shown.append(
            " ".join(word for word, is_asked in zip(words, to_ask, strict=True) if not is_asked)
        )
    return shown, asked


def measured(heads: Heads, rounds: Sequence[Pairs]) -> dict[str, float]:
    """Return how often what is asked for finds its product first, or among ten, and the mean reciprocal rank."""
    ranks = np.concatenate([_ranks(heads, pairs) for pairs in rounds])
    return {
        "pairs": float(len(ranks)),
        "recall_at_1": float((ranks < 1).mean()),
        "recall_at_10": float((ranks < 10).mean()),
        "mrr": float((1 / (1 + ranks)).mean()),
    }


def compared(old: Heads, new: Heads, rounds: Sequence[Pairs]) -> Gain:
    """Return what new heads gained in mean reciprocal rank, product by product.

    Below `NEEDED` pairs the interval is the widest there is. Draws are of products, as the pairs of one are much alike.
    """
    before, after = (
        np.mean([1 / (1 + _ranks(heads, pairs)) for pairs in rounds], axis=0)
        for heads in (old, new)
    )
    difference, count = after - before, sum(map(len, rounds))
    mean = float(difference.mean())
    if count < NEEDED:
        return Gain(count, mean, -1.0, 1.0)
    low, high = interval(difference)
    return Gain(count, mean, low, high)


def interval(values: FloatArray, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of a mean, by bootstrap."""
    rng = np.random.default_rng(seed)
    means = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(_DRAWS)]
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def _ranks(heads: Heads, pairs: Pairs) -> NDArray[np.int64]:
    products = heads.products(pairs.pictures, pairs.texts)
    asked = heads.wishes(pairs.texts if pairs.asked is None else pairs.asked, pairs.picture_weight)
    return ranks_of_pairs(products, asked)
