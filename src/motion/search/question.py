"""The question: what is searched for, where, by what, checked before anything is read."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from motion.definitions.tables.schema import Key, Table, TableName, Tables
from motion.definitions.values.codecs import StrCodec
from motion.errors import SearchError, listed, shortened
from motion.persistence.database import chosen_keys
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
    is_batch: bool = False
    """Several are asked at once, and each is answered by a list of its own."""

    @property
    def is_fused(self) -> bool:
        return len(self.vector_keys) + len(self.text_keys) > 1

    @property
    def depth(self) -> int:
        """How many rows of each ranking count."""
        return max(4 * self.k, RANKED_AT_LEAST) if self.is_fused else self.k


def question_of(
    tables: Tables,
    key: str | Sequence[str],
    vector: Any,
    text: Any,
    k: Any,
    table: TableName | None,
    read: Sequence[str] | None,
) -> Question:
    """Check what `search` was given.

    Args:
        table: of the keys that do not say it.
        read: the keys of the hits' rows; None: all.
    """
    keys = keys_of(tables, key, table)
    if vector is not None and not any(each.is_array for _, each in keys):
        hint = " Say what to look for with text=." if isinstance(vector, str) else ""
        raise SearchError(
            f"{path_of(keys[0][1])} holds text, not vectors; searchable are {searchable(tables)}.{hint}"
        )
    queries, is_batch = checked_vectors(keys, vector)
    texts, is_text_batch = checked_texts(keys, text)
    if (
        vector is not None
        and text is not None
        and (is_batch, len(queries)) != (is_text_batch, len(texts))
    ):
        raise SearchError(
            f"a search by vector and text takes one of each, or as many texts as vectors; "
            f"it was given {counted(queries, is_batch)} and {counted(texts, is_text_batch)}."
        )
    return Question(
        keys[0][0],
        tuple(each for _, each in keys if each.is_array),
        tuple(each for _, each in keys if not each.is_array),
        queries,
        texts,
        max(len(queries), len(texts)),
        checked_k(k),
        chosen_keys(keys[0][0], read),
        is_batch or is_text_batch,
    )


def keys_of(
    tables: Tables, given: str | Sequence[str], of: TableName | None
) -> list[tuple[Table, Key]]:
    paths = [given] if isinstance(given, str) or not isinstance(given, Sequence) else list(given)
    named = None if of is None else tables.get(of)
    keys = [
        named.key(path)
        if named is not None and isinstance(path, str) and "." not in path
        else tables.key(path)
        for path in paths
    ]
    concerned = sorted({key.table for key in keys} | ({named.name} if named is not None else set()))
    if not keys or len(concerned) > 1:
        raise SearchError(
            f"one search is about one table, but was given keys of {listed(concerned)}."
        )
    table = tables.get(keys[0].table)
    for key in keys:
        if not key.is_array and not isinstance(key.codec, StrCodec):
            raise SearchError(
                f"{path_of(key)} holds {key.codec.expected}; searchable are {searchable(tables)}."
            )
    return [(table, key) for key in (keys if len(keys) == 1 else dict.fromkeys(keys))]


def searchable(tables: Tables) -> str:
    """Return the keys that can be searched, for an error."""
    every = [key for table in tables for key in table.keys.values()]
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
    if isinstance(vector, str):
        raise SearchError(
            f"{arrays[0]} is compared with a vector, and the text {shortened(vector)} was given: make a vector of it with the "
            f"model that makes the key's, or look for words, in keys of type str, by text=."
        )
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
