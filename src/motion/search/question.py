"""The question: what is searched for, where, by what, checked before anything is read."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from motion.definitions.tables.schema import Key, Table
from motion.definitions.values.codecs import StrCodec
from motion.errors import SearchError, listed, shortened
from motion.persistence.database import Database
from motion.vectors.base import FloatArray

RANKED_AT_LEAST = 60


@dataclass(frozen=True)
class Question:
    """What is searched for, checked."""

    table: Table
    vector_keys: tuple[Key, ...]
    text_keys: tuple[Key, ...]
    queries: FloatArray
    texts: tuple[str, ...]
    count: int
    k: int
    read: frozenset[str] | None = None
    """The keys of the hits' rows that are read; None: all."""

    @property
    def is_fused(self) -> bool:
        return len(self.vector_keys) + len(self.text_keys) > 1

    @property
    def depth(self) -> int:
        """How many rows of each ranking count."""
        return max(4 * self.k, RANKED_AT_LEAST) if self.is_fused else self.k


def searchable(database: Database) -> str:
    """Return the keys that can be searched, for an error."""
    every = [key for table in database.tables for key in table.keys.values()]
    vectors = [path_of(key) for key in every if key.is_array]
    texts = [path_of(key) for key in every if isinstance(key.codec, StrCodec)]
    return f"by vector {listed(vectors)}; by text= {listed(texts)}"


def path_of(key: Key) -> str:
    return f"{key.table}.{key.name}"


def checked_vectors(keys: Sequence[tuple[Table, Key]], vector: Any) -> tuple[FloatArray, bool]:
    """Return the query vectors, one a row, and whether they were given as a batch."""
    arrays = [path_of(key) for _, key in keys if key.is_array]
    if vector is None:
        if arrays:
            raise SearchError(
                f"{arrays[0]} is compared with a vector, and none was given; text= is looked for in keys of type str."
            )
        return np.empty((0, 0), np.float32), False
    try:
        query = _as_floats(vector)
    except (
        TypeError,
        ValueError,
        OverflowError,
        RuntimeError,
    ) as exc:  # the last: a tensor that has a gradient
        raise SearchError(f"the query for {arrays[0]} is no vector of numbers: {exc}") from exc
    is_finite = np.isfinite(query).all()
    if query.ndim not in (1, 2) or not query.shape[-1] or not is_finite:
        raise SearchError(
            f"the query for {arrays[0]} must be one vector of at least one finite number, or one a row; it has shape {query.shape}"
            f"{'' if is_finite else ' and holds NaN or infinity'}."
        )
    return query.reshape(-1, query.shape[-1]), query.ndim == 2


def _as_floats(vector: Any) -> FloatArray:
    if isinstance(vector, np.ndarray) and vector.dtype == np.float32:
        return vector
    array = np.asarray(vector)
    if array.dtype.kind not in "biufO" or (array.dtype.kind == "O" and has_text(array)):
        raise TypeError(f"it holds {array.dtype}")
    if np.ma.is_masked(vector):
        raise TypeError("some of its numbers are masked")
    with np.errstate(over="ignore"):
        return np.asarray(array, np.float32)


def has_text(array: np.ndarray[Any, Any]) -> bool:
    return any(isinstance(each, str | bytes) for each in array.flat)


def checked_texts(keys: Sequence[tuple[Table, Key]], text: Any) -> tuple[tuple[str, ...], bool]:
    words = [path_of(key) for _, key in keys if not key.is_array]
    if text is None:
        if words:
            raise SearchError(f"{words[0]} holds text: say what to look for with text=.")
        return (), False
    if not words:
        raise SearchError(
            f"text= is looked for in keys that hold str, and {path_of(keys[0][1])} holds vectors; "
            f"name both: search(['{path_of(keys[0][1])}', 'table.key of a str'], vector, text=...)."
        )
    is_batch = isinstance(text, list | tuple)
    texts = tuple(text) if is_batch else (text,)
    for each in texts:
        if not isinstance(each, str):
            raise SearchError(
                f"search(text=) takes a str, or a list of them, not {shortened(each)}."
            )
    return texts, is_batch


def counted(queries: Sequence[Any] | FloatArray, is_batch: bool) -> str:
    return f"a batch of {len(queries)}" if is_batch else "one"


MORE_THAN_ANY = 2**53
"""More rows than any store has: a larger `k` asks for all of them, by a number that SQL and NumPy take."""


def checked_k(k: Any) -> int:
    try:
        found = operator.index(k)
    except TypeError:
        found = 0
    if found < 1 or isinstance(k, bool):
        raise SearchError(f"search(k=) takes an int of at least 1, but was given {k!r}.")
    return min(found, MORE_THAN_ANY)
