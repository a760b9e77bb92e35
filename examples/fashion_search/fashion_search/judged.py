"""Judged: what people said of answers, for a fit to learn from, and for the gate to hold two versions against.

Owns which wishes are held out: no fit learns from what was said of them, so that the gate can ask whether a new version
puts what people liked above what they did not, for words that it was not told about.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import motion
from fashion_search.gate import NEEDED, interval
from fashion_search.heads import Gain, Heads
from fashion_search.wishes import read_wish

LEAST_WISHES = 20
"""Wishes below which no gain counts, however much was said of them: answers to one wish are much alike."""

MOST = 20_000

Read = Callable[[tuple[str, ...]], NDArray[Any]]


def is_held_out(wish: str) -> bool:
    """Whether no fit learns from what is said of a wish: one in five, in whatever spelling of capitals."""
    return zlib.crc32(wish.casefold().encode()) % 5 == 0


@dataclass(frozen=True, eq=False)
class Judged:
    """Answers of held-out wishes that people judged.

    Attributes:
        pictures, texts: the features of each answer's product.
        wishes: which of `asked` each was an answer to.
        liked: what was said of it.
        asked: the features of each wish.
        picture_weight: how much pictures count in the ranking.
    """

    pictures: NDArray[Any]
    texts: NDArray[Any]
    wishes: NDArray[np.int64]
    liked: NDArray[np.bool_]
    asked: NDArray[Any]
    picture_weight: float


def judged(store: motion.View, read: Read, picture_weight: float) -> Judged | None:
    """Return what people said of answers to held-out wishes, the latest; None where they said nothing."""
    said = store.sql(
        "SELECT text_suggestion AS wish, img_id, feedback FROM query WHERE feedback IS NOT NULL AND img_id IS NOT NULL "
        f"AND text_suggestion IS NOT NULL ORDER BY id DESC LIMIT {MOST:d}"
    ).to_pylist()
    said = [row for row in said if is_held_out(row["wish"])]
    products = _features(store, {row["img_id"] for row in said})
    said = [row for row in said if row["img_id"] in products]
    if not said:
        return None
    wishes = list(dict.fromkeys(row["wish"] for row in said))
    place = {wish: number for number, wish in enumerate(wishes)}
    pictures, texts = zip(*(products[row["img_id"]] for row in said), strict=True)
    return Judged(
        np.stack(pictures), np.stack(texts),
        np.asarray([place[row["wish"]] for row in said]),
        np.asarray([bool(row["feedback"]) for row in said]),
        read(tuple(read_wish(wish).text for wish in wishes)), picture_weight,
    )  # fmt: skip


def _features(store: motion.View, ids: set[int]) -> dict[int, tuple[Any, Any]]:
    """Return the features of products that have them."""
    found: dict[int, tuple[Any, Any]] = {}
    wanted = sorted(ids)
    for start in range(0, len(wanted), 500):
        part = wanted[start : start + 500]
        rows = store.sql(
            "SELECT id, img_features, txt_features FROM retailer WHERE img_features IS NOT NULL AND txt_features IS NOT NULL "
            f"AND id IN ({', '.join('?' * len(part))})", part,
        )  # fmt: skip
        features = zip(
            rows["img_features"].to_numpy(), rows["txt_features"].to_numpy(), strict=True
        )
        found |= dict(zip(rows["id"].to_pylist(), features, strict=True))
    return found


def gained(old: Heads, new: Heads, said: Judged | None) -> Gain:
    """Return how much more often a new version puts what was liked above what was not, wish by wish.

    Draws of the interval are of wishes. With too little said the interval is the widest there is.
    """
    if said is None:
        return Gain(0, 0.0, -1.0, 1.0)
    before, pairs = _put_right(old, said)
    after, _ = _put_right(new, said)
    difference = after - before
    if len(difference) < LEAST_WISHES or pairs < NEEDED:
        return Gain(pairs, float(difference.mean()) if len(difference) else 0.0, -1.0, 1.0)
    low, high = interval(difference)
    return Gain(pairs, float(difference.mean()), low, high)


def _put_right(heads: Heads, said: Judged) -> tuple[NDArray[np.float32], int]:
    """Return the share of (liked, not liked) of each wish that are in this order, and how many such pairs there are."""
    products = heads.products(said.pictures, said.texts)
    asked = heads.wishes(said.asked, said.picture_weight)
    scores = np.einsum("ij,ij->i", products, asked[said.wishes])
    shares, pairs = [], 0
    for wish in range(len(said.asked)):
        of = said.wishes == wish
        liked, others = scores[of & said.liked], scores[of & ~said.liked]
        if len(liked) and len(others):
            above = liked[:, None] - others[None]
            shares.append(((above > 0) + 0.5 * (above == 0)).mean())
            pairs += above.size
    return np.asarray(shares, np.float32), pairs


def proves(gains: Sequence[Gain]) -> bool:
    """Whether something was gained beyond chance by one measure, and nothing lost beyond chance by another."""
    return any(gain.low > 0 for gain in gains) and not any(gain.high < 0 for gain in gains)
