"""Where the vectors of rows lie in an index: of one row, and of thousands at once, as a filter asks for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from motion.vectors.base import IntArray

SPARSEST = 4
"""How many times as many numbers as rows a table by number may span."""

MARGIN = 1
"""Room on either side of a table, relative to what it spans, before it is made anew."""

LOOKED_UP = 2_000
"""Rows up to which each is looked up by itself where there is no table; beyond, all are looked through at once."""

NONE = -1


class Places:
    """Row -> place. Where row numbers follow each other, as they mostly do, a table by number stands beside the dict: to look up
    1,000 rows among 100,000 takes 7 µs in it, and 500 in the dict, which does not fit in the processor's cache."""

    def __init__(self) -> None:
        self._place: dict[int, int] = {}
        self._table: np.ndarray[tuple[int], np.dtype[np.int32]] | None = None
        self._first = 0  # number that the table begins with
        self._sparse_at = 0  # rows, when these were found to be too far apart

    def __len__(self) -> int:
        return len(self._place)

    def __contains__(self, row: int) -> bool:
        return row in self._place

    def append(self, rows: Sequence[int]) -> None:
        """Let rows that are not there lie one after another, after all others."""
        start = len(self._place)
        self._place.update(zip(rows, range(start, start + len(rows)), strict=True))
        if not rows:
            return
        if not self._covers(min(rows)) or not self._covers(max(rows)):
            self._make_table()
        elif self._table is not None:
            at = np.array(rows, np.int64) - self._first
            self._table[at] = np.arange(start, start + len(rows))

    def move(self, row: int, place: int) -> None:
        """Let a row that is there lie elsewhere."""
        self._place[row] = place
        if self._table is not None:
            self._table[row - self._first] = place

    def pop(self, row: int) -> int | None:
        """Take a row out; return where it lay, None where it is not there."""
        place = self._place.pop(row, None)
        if place is not None and self._table is not None:
            self._table[row - self._first] = NONE
        return place

    def of(self, rows: Iterable[int], all_rows: IntArray) -> IntArray:
        """Return where rows lie, of those that are there.

        Args:
            all_rows: all that are there, by their places.
        """
        if not isinstance(rows, np.ndarray):
            return self._each(rows)
        if self._table is not None:
            # What is beyond either end is taken for the end, where no row is.
            found = self._table.take(rows - self._first, mode="clip")
            return np.asarray(found[found != NONE], np.int64)
        if len(rows) > LOOKED_UP:
            return np.flatnonzero(np.isin(all_rows, rows, assume_unique=True))
        return self._each(rows.tolist())

    def _each(self, rows: Iterable[int]) -> IntArray:
        place = self._place
        return np.array([place[row] for row in rows if row in place], np.int64)

    def _covers(self, row: int) -> bool:
        return self._table is not None and 0 < row - self._first < len(self._table) - 1

    def _make_table(self) -> None:
        """Make the table, with room for more rows, unless they are too far apart; which is looked at again when there are
        twice as many."""
        count, self._table = len(self._place), None
        if count < 2 * self._sparse_at:
            return
        rows = np.fromiter(self._place, np.int64, count)
        low, high = int(rows.min()), int(rows.max())
        span = high - low + 1
        room = MARGIN * span + 1
        first, end = low - room, high + 1 + room
        is_sparse = span > SPARSEST * count + 1_000
        if is_sparse or first < -(2**63) or end > 2**63:
            self._sparse_at = count
            return
        self._first, self._sparse_at = first, 0
        self._table = np.full(end - first, NONE, np.int32)
        self._table[rows - first] = np.fromiter(self._place.values(), np.int32, count)
