"""Which index a key gets."""

from __future__ import annotations

import logging

from motion.definitions.tables.schema import IndexKind, Metric
from motion.vectors.base import VectorIndex
from motion.vectors.exact import ExactIndex
from motion.vectors.graph import is_available, usearch_index
from motion.vectors.hnsw import HnswIndex

logger = logging.getLogger(__name__)

APPROXIMATE_FROM = 50_000
"""Vectors from which approximate search is worth its graph: 512 numbers each are compared exactly in 5 ms up to here."""


def make_index(path: str, dim: int, metric: Metric, kind: IndexKind, count: int) -> VectorIndex:
    """Return an empty index for the key "table.key", which holds `count` vectors now.

    Args:
        kind: what `Vector(index=)` asks for. "auto" is exact up to about 50,000 vectors, and beyond where the
            dot product, for which neighbours of neighbours need not be near, is the metric.

    Raises:
        MissingPackage: "hnsw" is asked for and usearch is not installed.
    """
    if kind == "hnsw":
        usearch_index(dim, metric)
        return HnswIndex(dim, metric, 0)
    if kind == "exact" or metric == "dot":
        return ExactIndex(dim, metric)
    if is_available():
        return HnswIndex(dim, metric, APPROXIMATE_FROM)
    if count > APPROXIMATE_FROM:
        logger.warning(
            "%s holds %d vectors and is searched exactly; an approximate index is many times faster from %d on: "
            "pip install 'motion-ml[ann]'",
            path,
            count,
            APPROXIMATE_FROM,
        )
    return ExactIndex(dim, metric)
