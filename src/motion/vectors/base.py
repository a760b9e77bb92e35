"""What a vector index must offer. An index is derived data: it can be rebuilt from the rows at any time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from motion.background.locks import SharedLock

FloatArray = np.ndarray[Any, np.dtype[np.float32]]

IntArray = np.ndarray[Any, np.dtype[np.int64]]

Found = tuple[IntArray, FloatArray]
"""Row numbers and their scores, best first."""

Parts = Mapping[str, np.ndarray[Any, Any]]
"""An index as arrays by name: what is kept on disk."""


class VectorIndex(Protocol):
    """Vectors of one length, each under a row number.

    Its owner holds a `SharedLock` for it: shared in `search`, alone in `put` and `remove`.
    """

    dim: int

    def __len__(self) -> int: ...

    def put(self, rows: Sequence[int], vectors: FloatArray) -> None:
        """Add vectors, shape `(len(rows), dim)`; those of rows already there are replaced."""

    def remove(self, rows: Sequence[int]) -> None:
        """Remove rows; those that are not there do not matter."""

    def search(self, queries: FloatArray, k: int, among: IntArray | None = None) -> list[Found]:
        """Return for each query the rows of the `k` best vectors and their scores, best first.

        Args:
            queries: finite numbers, shape `(n, dim)`.
            k: at least 1; fewer are returned where fewer exist.
            among: only these rows, in ascending order.

        Returns:
            Larger scores are better; they are exact. Equal ones are in the order of row numbers.
        """

    def tend(self, lock: SharedLock) -> bool:
        """Do a part of what makes later searches faster; return whether there was any. Takes `lock` by itself."""

    @property
    def needs_tending(self) -> bool:
        """Whether `tend` has something to do."""

    @property
    def may_wait(self) -> bool:
        """Whether what `tend` is at may wait while searches run, which it makes no faster."""

    def saved(self) -> Parts | None:
        """Return a copy of all that is worth keeping on disk, None where loading the rows again is as good."""

    def restore(self, parts: Parts) -> None:
        """Take what `saved` gave in place of loading vectors; only into an empty index. Raises `ValueError` or
        `RuntimeError` where it does not fit."""
