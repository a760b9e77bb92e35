"""Labelled: a catalog's products with their features and labels, and the queries that labels answer.

Owns what figures are taken on. Labels are for measuring only: no fit and no search reads them.
"""

from __future__ import annotations

import json
import re
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import motion
from fashion_search.encoders import Pairs, pairs_of
from fashion_search.retrieval import CatalogQuery
from fashion_search.wishes import stem

FIFTHS = 5
"""Products are measured on by fifths; those that bear one title are in one, so no title is learned and measured on."""

LEAST_RIGHT, MOST_RIGHT = 2, 60
"""Right answers of a query that is made: with one of a shop's thousands a hit is luck, with very many it is no feat."""

OF_ONE_TYPE = 4
"""How many queries are made for one type of thing: else a third of them were for t-shirts."""

_PEOPLE = {"Women": "women", "Men": "men", "Unisex": "anyone"}


@dataclass(frozen=True, eq=False)
class Products:
    """Products, row by row.

    Attributes:
        pairs: what is seen and said of each.
        ids, sources: as the queries name them.
        labels: category, colour, gender.
    """

    pairs: Pairs
    ids: Sequence[str]
    sources: NDArray[Any]
    labels: Sequence[Mapping[str, str]]

    def only(self, chosen: NDArray[np.bool_]) -> Products:
        at = [int(place) for place in np.flatnonzero(chosen)]
        return Products(
            self.pairs.at(np.flatnonzero(chosen)),
            [self.ids[i] for i in at],
            self.sources[at],
            [self.labels[i] for i in at],
        )

    def fifths(self) -> NDArray[np.int64]:
        """Return which fifth each product is in."""
        return np.array([zlib.crc32(said.lower().encode()) % FIFTHS for said in self.pairs.said])

    def types(self) -> NDArray[Any]:
        """Return the type of each by its label, with the source, which names types in its own way."""
        named = zip(self.sources, self.labels, strict=True)
        return np.array([f"{source}/{label.get('category') or ''}" for source, label in named])


def products_of(view: motion.View) -> Products:
    """Return all products of a store that have features."""
    columns = view.sql(
        "SELECT img_features, txt_features, img_summary, source_id, source, labels FROM retailer "
        "WHERE img_features IS NOT NULL AND txt_features IS NOT NULL ORDER BY id"
    )
    labels = [json.loads(each) if each else {} for each in columns["labels"].to_pylist()]
    sources = np.asarray(columns["source"].to_pylist())
    return Products(pairs_of(columns), columns["source_id"].to_pylist(), sources, labels)


def made_queries(products: Products, seed: int = 0) -> list[CatalogQuery]:
    """Return queries by type, colour and person, as a shopper may put them, that these products have answers to.

    They are of the kind "attribute, made". Right is what has all three labels.
    """
    alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for id, source, label in zip(products.ids, products.sources, products.labels, strict=True):
        told = tuple(label.get(name) or "" for name in ("category", "colour", "gender"))
        if all(told) and told[2] in _PEOPLE and told[1] != "Multi":
            alike[str(source), *told].append(id)
    of_type: dict[tuple[str, str], list[tuple[str, ...]]] = defaultdict(list)
    for told, right in sorted(alike.items()):
        if LEAST_RIGHT <= len(right) <= MOST_RIGHT:
            of_type[told[0], told[1]].append(told)
    rng = np.random.default_rng(seed)
    return [
        _made(told, alike[told], int(rng.integers(4)))
        for each in of_type.values()
        for told in (each[place] for place in rng.permutation(len(each))[:OF_ONE_TYPE])
    ]


def _made(told: tuple[str, ...], right: Sequence[str], form: int) -> CatalogQuery:
    source, category, colour, person = told
    thing, colour, who = category.lower(), colour.lower(), _PEOPLE[person]
    query = (
        f"looking for a {colour} {thing}, {who}",
        f"{thing} in {colour} for {who}",
        f"{colour} {thing} for {who}",
        f"unisex {colour} {thing}" if who == "anyone" else f"{who}'s {colour} {thing}",
    )[form]
    name = "/".join(("made", *told))
    return CatalogQuery(name, "attribute, made", query, frozenset(right), source)


def label_words(labels: Sequence[Mapping[str, str]]) -> frozenset[str]:
    """Return the words that labels have for types and colours, in the singular."""
    named = {label.get(name) or "" for label in labels for name in ("category", "colour")}
    return frozenset(_plain(word) for name in named for word in re.split(r"[\s/]+", name)) - {""}


def without(text: str, struck: frozenset[str]) -> str:
    """Return a text without some words, in whatever number."""
    return " ".join(word for word in text.split() if _plain(word) not in struck) or "."


def _plain(word: str) -> str:
    return stem(re.sub(r"[^a-z]", "", word.lower()))
