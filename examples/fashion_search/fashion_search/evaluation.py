"""Evaluation: queries with known answers against a catalog, ranked by the live version of the model."""

from __future__ import annotations

from collections.abc import Sequence

import motion
from fashion_search.retrieval import CatalogQuery, Figures, figures

FIRST = 10


def evaluate(store: motion.Store, queries: Sequence[CatalogQuery]) -> Figures:
    """Return, for each kind of query, how often the first hit is relevant, and how often one of the first ten is.

    Each query is ranked only among the products of its `gallery_source`, one that names none among all, by image,
    title and description. One version of the model ranks them all, whatever goes live meanwhile.
    """
    ranked: dict[str, list[str]] = {}
    with store.model("ImageRetrieval").live() as (clip, view):
        vectors = clip.encode_texts([query.query for query in queries])
        for query, vector in zip(queries, vectors, strict=True):
            gallery = {"source": query.gallery_source} if query.gallery_source else None
            hits = view.search("retailer.img_embedding", vector, k=FIRST, where=gallery)
            ranked[query.qid] = [hit.row.source_id for hit in hits]
    return figures(ranked, queries)
