"""Evaluation: queries with known answers against a catalog, as shoppers are answered, and by each of its parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

import motion
from fashion_search.encoders import FIRST, kind_of_text, trunk_of
from fashion_search.gate import interval
from fashion_search.heads import Heads
from fashion_search.kinds import Kind
from fashion_search.labelled import (
    FIFTHS,
    LEAST_RIGHT,
    Products,
    label_words,
    made_queries,
    products_of,
    without,
)
from fashion_search.ranking import WORDS_WEIGHT, fused, held_against, is_there_in_colour, ranked
from fashion_search.retrieval import CatalogQuery, Figures, figures, hits_of
from fashion_search.stock import FULL, POOR, stock_of
from fashion_search.wishes import Wish, content_words, person_of, read_wish

FIRST_PLACES = 10


@dataclass(frozen=True)
class Line:
    """One line of the table: how one ranking does on one kind of queries, with 95 % intervals, by bootstrap over queries.

    Of the kind "type, one of 52", what is asked for is the name of a photo's type, and its queries are photos.
    """

    titles: str
    ranking: str
    heads: str
    kind: str
    queries: int
    first_hit: float
    first_hit_interval: tuple[float, float]
    hit_at_10: float
    hit_at_10_interval: tuple[float, float]


def evaluate(store: motion.Store, queries: Sequence[CatalogQuery]) -> Figures:
    """Return, for each kind of query, how often the first hit is relevant, and how often one of the first ten is.

    Each query is answered as a shopper's is, only among the products of its `gallery_source`, one that names none among
    all. One version of the model ranks them all, whatever goes live meanwhile.
    """
    found: dict[str, list[str]] = {}
    with store.model("ImageRetrieval").live() as (heads, view):
        weight = stock_of(view).picture_weight
        features = trunk_of(heads.trunk).read([read_wish(query.query).text for query in queries])
        for query, read in zip(queries, features, strict=True):
            gallery = {"source": query.gallery_source} if query.gallery_source else None
            hits = ranked(
                view, heads, read[None], read_wish(query.query), FIRST_PLACES, picture_weight=weight,
                where=gallery, is_sure=kind_of_text(query.query) is Kind.THING,
            )  # fmt: skip
            found[query.qid] = [hit.product.source_id for hit in hits]
    return figures(found, queries)


def table(
    store: motion.Store,
    queries: Sequence[CatalogQuery],
    *,
    folds: int = FIFTHS,
    least_right: int = LEAST_RIGHT,
) -> list[Line]:
    """Return how pictures, texts, both, and both with words do: with full titles and poor ones, before a fit and after.

    One title in five is measured on, and the products that bear it are all that queries are ranked among; the fit learns
    from the others' (picture, summary) pairs. Then the next fifth, so that each product was unseen once. Poor titles are
    without the words that the catalog's labels have for types and colours. A query is asked of a fifth that has
    `least_right` right answers or more, and counts once, by the mean over the fifths that it was asked of. Beside them, each
    fifth is asked queries that are made for it of its labels (`made_queries`).

    Args:
        folds: how many of the fifths are measured on.
        least_right: right answers below which a query is not asked.
    """
    with store.model("ImageRetrieval").live() as (heads, view):
        products = products_of(view)
    struck = label_words(products.labels)
    fifths = products.fifths()
    asked: dict[_Key, dict[str, list[_Hits]]] = {}
    for fold in range(folds):
        unseen = fifths == fold
        if unseen.all() or not unseen.any():
            continue
        for key, name, hits in _measured(heads, products, unseen, queries, struck, least_right):
            asked.setdefault(key, {}).setdefault(name, []).append(hits)
    return [_line(key, list(by_query.values())) for key, by_query in asked.items()]


_Key = tuple[str, str, str, str]  # titles, ranking, heads, kind
_Hits = tuple[bool, bool]  # first, one of ten


def _measured(
    heads: Heads,
    products: Products,
    unseen: NDArray[np.bool_],
    queries: Sequence[CatalogQuery],
    struck: frozenset[str],
    least_right: int,
) -> Iterator[tuple[_Key, str, _Hits]]:
    """Yield what each ranking of products that a fit did not see found of each query."""
    gallery = products.only(unseen)
    there = set(gallery.ids)
    asked = [query for query in queries if len(query.relevant_ids & there) >= least_right]
    asked += made_queries(gallery)
    learned = learned_of(heads, products.only(~unseen))
    versions = (("clean", heads), ("fitted", learned))
    for name, each in versions:
        for kind, photo, hits in _types_found(each, gallery, products):
            yield ("", "pictures only", name, kind), photo, hits
    if not asked:
        return
    trunk = trunk_of(heads.trunk)
    read = trunk.read([read_wish(query.query).text for query in asked])
    for titles, said, weight in (
        ("full", list(gallery.pairs.said), FULL),
        ("poor", [without(text, struck) for text in gallery.pairs.said], POOR),
    ):
        told = gallery.pairs.texts if titles == "full" else trunk.read(said)
        words = list(_words_found(gallery, said, asked))
        against = _against(said, asked)
        for name, each in versions:
            for ranking, scores in _rankings(
                each, gallery.pairs.pictures, told, read, weight, words, against
            ):
                best = _best(scores, gallery, asked)
                for query, found in zip(asked, hits_of(best, asked), strict=True):
                    yield (titles, ranking, name, query.kind), query.qid, found


def learned_of(heads: Heads, products: Products) -> Heads:
    """Return heads after one fit on the (picture, summary) pairs of products."""
    pairs = products.pairs
    return heads.fitted(pairs.pictures, pairs.texts, FIRST, said=pairs.said)


def _types_found(
    heads: Heads, gallery: Products, products: Products
) -> Iterator[tuple[str, str, _Hits]]:
    """Yield for each photo the kind of this question, and whether its type's name is the nearest, or among ten nearest."""
    for source in sorted(set(gallery.sources)):
        names = sorted(
            {
                label["category"]
                for label, other in zip(products.labels, products.sources, strict=True)
                if other == source and label.get("category")
            }
        )
        at = [
            place
            for place in map(int, np.flatnonzero(gallery.sources == source))
            if gallery.labels[place].get("category")
        ]
        if len(names) < 2 or not at:
            continue
        told = heads.wishes(trunk_of(heads.trunk).read(names), picture_weight=1)
        nearest = np.argsort(-(heads.looks(gallery.pairs.pictures[at]) @ told.T), axis=1)
        for place, near in zip(at, nearest[:, :FIRST_PLACES], strict=True):
            right = names.index(gallery.labels[place]["category"])
            yield (
                f"type, one of {len(names)}",
                gallery.ids[place],
                (near[0] == right, right in near),
            )


def _line(key: _Key, by_query: Sequence[Sequence[_Hits]]) -> Line:
    shares = np.array([np.mean(hits, axis=0) for hits in by_query])
    first, ten = shares.mean(axis=0)
    return Line(
        *key, len(shares), float(first), interval(shares[:, 0]), float(ten), interval(shares[:, 1])
    )


@dataclass
class _Told:
    id: int
    source: Annotated[str, motion.Index]
    text: str


def _words_found(
    gallery: Products, said: Sequence[str], asked: Sequence[CatalogQuery]
) -> Iterator[dict[int, float]]:
    """Yield the BM25 of the products that have words of each query."""
    with motion.create_store("told", schemas={"told": _Told}, url=":memory:") as store:
        rows = [
            {"id": place, "source": str(source), "text": text}
            for place, (source, text) in enumerate(zip(gallery.sources, said, strict=True))
        ]
        store.set_many("told", rows)
        for query in asked:
            where = {"source": query.gallery_source} if query.gallery_source else None
            words = " ".join(content_words(read_wish(query.query).text))
            hits = store.search("told.text", text=words, k=60, where=where, table=_Told)
            yield {hit.id: hit.score for hit in hits}


def _rankings(
    heads: Heads,
    pictures: NDArray[Any],
    told: NDArray[Any],
    read: NDArray[Any],
    weight: float,
    words: Sequence[Mapping[int, float]],
    against: NDArray[np.float64],
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield each ranking's name, with its scores, `(queries, products)`. The hybrid one is what shoppers are answered by."""
    products = heads.products(pictures, told)
    for name, share in (("text only", 0.0), ("pictures only", 1.0), ("blended", weight)):
        scores = heads.wishes(read, share) @ products.T
        yield name, scores
    hybrid = scores.copy()
    for row, found in zip(hybrid, words, strict=True):
        near = {int(place): float(row[place]) for place in np.argsort(-row)[:240]}
        near |= {place: float(row[place]) for place in found}
        for place, score in fused(near, found, WORDS_WEIGHT).items():
            row[place] = score
    yield "hybrid", hybrid - against


def _against(said: Sequence[str], asked: Sequence[CatalogQuery]) -> NDArray[np.float64]:
    """Return what is held against each product for each query, as their titles tell, `(queries, products)`."""
    whose = [person_of(text) for text in said]
    return np.array(
        [list(_held(wish, said, whose)) for wish in (read_wish(query.query) for query in asked)]
    )


def _held(wish: Wish, said: Sequence[str], whose: Sequence[str | None]) -> Iterator[float]:
    in_colour = is_there_in_colour(wish, said)
    for title, person in zip(said, whose, strict=True):
        yield held_against(wish, title, person, in_colour=in_colour)


def _best(
    scores: NDArray[Any], gallery: Products, asked: Sequence[CatalogQuery]
) -> dict[str, list[str]]:
    best: dict[str, list[str]] = {}
    for query, row in zip(asked, scores, strict=True):
        among = (
            gallery.sources == query.gallery_source
            if query.gallery_source
            else np.ones(len(row), bool)
        )
        places = np.flatnonzero(among & (row > -np.inf))  # what is ruled out is no answer at all
        places = places[np.argsort(-row[places], kind="stable")[:FIRST_PLACES]]
        best[query.qid] = [gallery.ids[int(place)] for place in places]
    return best
