"""What a vector index must offer. An index is derived data: it can be rebuilt from the rows at any time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

FloatArray = np.ndarray[Any, np.dtype[np.float32]]
IntArray = np.ndarray[Any, np.dtype[np.int64]]


class VectorIndex(Protocol):
    """Vectors of one length, each under a row number."""

    dim: int

    def __len__(self) -> int: ...

    def put(self, rows: Sequence[int], vectors: FloatArray) -> None:
        """Add vectors, shape `(len(rows), dim)`; those of rows already there are replaced."""

    def remove(self, rows: Sequence[int]) -> None:
        """Remove rows; those that are not there do not matter."""

    def search(
        self, query: FloatArray, k: int, among: IntArray | None = None
    ) -> tuple[IntArray, FloatArray]:
        """Return the rows of the `k` best vectors and their scores, best first.

        Args:
            query: shape `(dim,)`.
            k: at least 1; fewer are returned where fewer exist.
            among: only these rows.

        Returns:
            Row numbers and scores; larger is better. Equal scores are in the order of row numbers.
        """
