"""How good a search is: figures over known queries and over pairs of picture and text.

Owns the measures and nothing else; what was searched, and how, is the caller's business.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class CatalogQuery:
    """A query whose right answers are known.

    `gallery_source` names the products it is to be ranked among: those whose `source` is the same.
    """

    qid: str
    kind: str
    query: str
    relevant_ids: frozenset[str]
    gallery_source: str


class KindFigures(TypedDict):
    """The figures of one kind of queries; `first_hit` and `hit_at_10` are shares in `[0, 1]`."""

    queries: int
    first_hit: float
    hit_at_10: float


class Figures(TypedDict):
    """The figures of a search, by kind of query."""

    kinds: dict[str, KindFigures]


class PairFigures(TypedDict):
    """How well texts find their own pictures; each in `[0, 1]`."""

    pairs: int
    recall_at_1: float
    recall_at_10: float
    mrr: float


def read_queries(path: Path | str) -> list[CatalogQuery]:
    """Return the queries of a JSON-lines file, in its order.

    Raises:
        ValueError: a line is no query; the message names the file, the line and what is missing.
    """
    queries = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            queries.append(
                CatalogQuery(
                    qid=str(row["qid"]),
                    kind=str(row["kind"]),
                    query=str(row["query"]),
                    relevant_ids=frozenset(map(str, row["relevant_ids"])),
                    gallery_source=str(row.get("gallery_source") or ""),
                )
            )
        except (json.JSONDecodeError, KeyError, TypeError) as exc:
            raise ValueError(
                f"line {number} of {path} is no query ({type(exc).__name__}: {exc}); "
                "each line is a JSON object with qid, kind, query and relevant_ids."
            ) from exc
    return queries


def figures(ranked: Mapping[str, Sequence[str]], queries: Sequence[CatalogQuery]) -> Figures:
    """Return, for each kind of query, how often the first answer is right, and how often one of the first ten.

    Args:
        ranked: the ids found for each `qid`, best first; a query without an entry found nothing.
        queries: all of them count, also those that found nothing.
    """
    hits: dict[str, list[tuple[bool, bool]]] = {}
    for query, found in zip(queries, hits_of(ranked, queries), strict=True):
        hits.setdefault(query.kind, []).append(found)
    return {
        "kinds": {
            kind: {
                "queries": len(of_kind),
                "first_hit": sum(first for first, _ in of_kind) / len(of_kind),
                "hit_at_10": sum(any_ for _, any_ in of_kind) / len(of_kind),
            }
            for kind, of_kind in hits.items()
        }
    }


def hits_of(
    ranked: Mapping[str, Sequence[str]], queries: Sequence[CatalogQuery]
) -> list[tuple[bool, bool]]:
    """Return for each query whether the first answer is right, and whether one of ten is."""
    rights = (
        [found in query.relevant_ids for found in ranked.get(query.qid, ())[:10]]
        for query in queries
    )
    return [(any(right[:1]), any(right)) for right in rights]


def recall_at_k(ranked: Sequence[str], relevant: frozenset[str], k: int) -> float:
    """Return the share of the relevant ids that are among the first `k`; 0.0 where nothing is relevant.

    Raises:
        ValueError: `k` is less than 1.
    """
    if k < 1:
        raise ValueError(f"k is {k}; it counts answers, so it is at least 1")
    return len(relevant.intersection(ranked[:k])) / len(relevant) if relevant else 0.0


def pair_retrieval(image_vectors: FloatArray, text_vectors: FloatArray) -> PairFigures:
    """Return how well each text finds its own picture among all of them, by cosine similarity.

    Args:
        image_vectors: shape `(n, dim)`, any length of rows but zero.
        text_vectors: shape `(n, dim)`; row i belongs to picture i.

    A picture that is exactly as similar as the right one counts as ranked before it, so that vectors which are all
    the same do not look perfect.

    Raises:
        ValueError: the shapes differ or there is no pair.
    """
    if (
        image_vectors.ndim != 2
        or image_vectors.shape != text_vectors.shape
        or not len(image_vectors)
    ):
        raise ValueError(
            f"pictures {image_vectors.shape} and texts {text_vectors.shape} are no pairs; "
            "give two arrays of one shape (n, dim) with n of at least 1."
        )
    ranks = ranks_of_pairs(image_vectors, text_vectors)
    return {
        "pairs": len(ranks),
        "recall_at_1": float((ranks < 1).mean()),
        "recall_at_10": float((ranks < 10).mean()),
        "mrr": float((1.0 / (ranks + 1)).mean()),
    }


def ranks_of_pairs(image_vectors: FloatArray, text_vectors: FloatArray) -> NDArray[np.int64]:
    """Return the rank, from 0, of each text's own picture among all of them, by cosine similarity; both `(n, dim)`."""
    images, texts = _unit(image_vectors), _unit(text_vectors)
    return np.concatenate([_ranks(texts, images, start) for start in range(0, len(texts), 1_024)])


def _unit(vectors: FloatArray) -> FloatArray:
    wide = vectors.astype(np.float64)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12))


def _ranks(texts: FloatArray, images: FloatArray, start: int) -> NDArray[np.int64]:
    """Return the ranks, from 0, of the right pictures for 1,024 texts: few enough to fit in memory."""
    block = texts[start : start + 1_024]
    scores = block @ images.T
    right = scores[np.arange(len(block)), start + np.arange(len(block))]
    # Equal up to rounding is equal: the order of a dot product's sums is not the same for each row.
    return np.asarray((scores >= right[:, None] - 1e-9).sum(axis=1) - 1, dtype=np.int64)
