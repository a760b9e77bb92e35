"""Unseen: what a small fit teaches of kinds of things that a shop did not have before, and what it forgets for it.

Ten types are kept from a first fit, which learns the rest of a shop as it always does. Then come 200 pairs of them, twenty
of each, and are learned as products that came after the last fit are: together with the shop's pairs. Measured is, by pictures only, on
products of the fifth that neither fit saw.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import motion
from fashion_search.encoders import FIRST, LATER, Pairs, trunk_of, with_new
from fashion_search.gate import interval
from fashion_search.heads import Heads
from fashion_search.labelled import Products, made_queries, products_of

TYPES, PAIRS = 10, 200
_LEAST_MEASURED = 3


@dataclass(frozen=True)
class Change:
    """One measure, as a share, before and after the later fit.

    Attributes:
        what: what is measured.
        count: of so many products or queries.
        gain: the interval of what was gained, 95 %, by bootstrap over them.
    """

    what: str
    count: int
    before: float
    after: float
    gain: tuple[float, float]


def unseen_types(store: motion.Store, *, fifth: int = 0, seed: int = 0) -> list[Change]:
    """Return what is learned of ten types that a store's products did not have before, and what becomes of everything else."""
    with store.model("ImageRetrieval").live() as (heads, view):
        products = products_of(view)
    return changes(heads, products, fifth=fifth, seed=seed)


def changes(heads: Heads, products: Products, *, fifth: int = 0, seed: int = 0) -> list[Change]:
    """Return the same of given products, for heads that have not learned from them.

    Args:
        fifth: the products that are measured on.
        seed: of which types, and which of their pairs, come later.

    Raises:
        ValueError: there are not ten types with products enough.
    """
    measured, types = products.fifths() == fifth, products.types()
    later, rng = _later_types(types, measured, seed)
    is_later = np.isin(types, later)
    rest = products.only(~measured & ~is_later)
    before = heads.fitted(rest.pairs.pictures, rest.pairs.texts, FIRST, said=rest.pairs.said)
    few = np.zeros(len(types), bool)
    for each in later:
        few[rng.choice(np.flatnonzero(~measured & (types == each)), PAIRS // TYPES, replace=False)] = True  # fmt: skip
    after = _learned_later(before, rest, products.only(few))
    new, old = products.only(measured & is_later), products.only(measured & ~is_later)
    gallery = products.only(measured)
    found = [
        ("unseen types: title to photo, one of ten", _titles_found, new),
        ("elsewhere: title to photo, one of ten", _titles_found, old),
        ("elsewhere: type", _types_told, old),
        ("elsewhere: attribute, first hit", lambda *given: _made_found(*given)[:, 0], old),
        ("elsewhere: attribute, one of ten", lambda *given: _made_found(*given)[:, 1], old),
    ]
    return [
        _change(what, measure(before, of, gallery), measure(after, of, gallery))
        for what, measure, of in found
    ]


def _later_types(
    types: NDArray[np.str_], measured: NDArray[np.bool_], seed: int
) -> tuple[list[str], np.random.Generator]:
    rng = np.random.default_rng(seed)
    enough = [
        str(each)
        for each in np.unique(types)
        if (~measured & (types == each)).sum() >= PAIRS // TYPES
        and (measured & (types == each)).sum() >= _LEAST_MEASURED
    ]
    if len(enough) <= TYPES:
        raise ValueError(
            f"{len(enough)} types have {PAIRS // TYPES} products to learn from and {_LEAST_MEASURED} to measure on; more than "
            f"{TYPES} are needed. Labels with a category come with the catalog."
        )
    return list(rng.choice(enough, TYPES, replace=False)), rng


def _learned_later(heads: Heads, rest: Products, few: Products) -> Heads:
    """Return heads that have learned a few pairs beside those that they know, as those of new products are."""
    pairs = Pairs(
        np.concatenate([rest.pairs.pictures, few.pairs.pictures]),
        np.concatenate([rest.pairs.texts, few.pairs.texts]),
        [*rest.pairs.said, *few.pairs.said],
    )
    pairs = pairs.at(with_new(np.arange(len(pairs)) >= len(rest.ids)))
    return heads.fitted(pairs.pictures, pairs.texts, LATER, said=pairs.said)


def _titles_found(heads: Heads, of: Products, gallery: Products) -> NDArray[np.bool_]:
    """Return whether each title finds its own photo among ten, of all that are measured on."""
    place = {id: number for number, id in enumerate(gallery.ids)}
    own = [place[id] for id in of.ids]
    scores = heads.wishes(of.pairs.texts, picture_weight=1) @ heads.looks(gallery.pairs.pictures).T
    right = scores[np.arange(len(own)), own]
    return np.asarray((scores > right[:, None]).sum(axis=1) < 10)


def _types_told(heads: Heads, of: Products, gallery: Products) -> NDArray[np.bool_]:
    """Return whether the name of each photo's type is nearer than those of all other types there."""
    types = of.types()
    names = sorted(set(types))
    read = trunk_of(heads.trunk).read([name.split("/", 1)[1] for name in names])
    told = heads.wishes(read, picture_weight=1)
    nearest = (heads.looks(of.pairs.pictures) @ told.T).argmax(axis=1)
    return np.asarray(np.asarray(names)[nearest] == types)


def _made_found(heads: Heads, of: Products, gallery: Products) -> NDArray[np.bool_]:
    """Return for each query that is made whether the first answer is right, and whether one of ten is."""
    asked = made_queries(of)
    read = trunk_of(heads.trunk).read([query.query for query in asked])
    scores = heads.wishes(read, picture_weight=1) @ heads.looks(gallery.pairs.pictures).T
    best = np.argsort(-scores, axis=1)[:, :10]
    right = np.array(
        [
            [gallery.ids[int(place)] in query.relevant_ids for place in row]
            for query, row in zip(asked, best, strict=True)
        ]
    )
    return np.stack([right[:, 0], right.any(axis=1)], axis=1)


def _change(what: str, before: NDArray[np.bool_], after: NDArray[np.bool_]) -> Change:
    gain = after.astype(np.float32) - before.astype(np.float32)
    return Change(what, len(gain), float(before.mean()), float(after.mean()), interval(gain))
