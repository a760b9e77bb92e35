"""Filters: which rows a search may return, by a user's condition on stored values."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from motion.backends.base import Transaction
from motion.definitions.values.codecs import Stored, encode_parameter
from motion.persistence.layout import Layout, Pins
from motion.persistence.numbers import last_number
from motion.persistence.rows.reading import user_query
from motion.vectors.base import IntArray

COUNTS_KEPT = 1_000

LISTS_KEPT_BYTES = 64 * 2**20
"""What all lists that are kept may take in memory: 80 lists of 100,000 rows."""

CHANGES_BY_ITSELF = re.compile(r"random|now|current_|date|time|julianday|unixepoch|strftime", re.I)


@dataclass(frozen=True)
class Filter:
    """A condition on the stored values of a table's rows, under the state versions that a search sees."""

    layout: Layout
    condition: str
    parameters: tuple[Stored, ...]
    pins: Pins

    @staticmethod
    def of(layout: Layout, condition: str, parameters: Sequence[Any], pins: Pins) -> Filter:
        return Filter(
            layout,
            condition,
            tuple(encode_parameter(value, layout.table.enums) for value in parameters),
            pins,
        )

    def kept(self, tx: Transaction, rows: Sequence[int]) -> set[int]:
        """Return those of the rows that the condition holds for."""
        # Their numbers come first, and each is looked up: the other way round, the table is read whole.
        sql = (
            f'SELECT ":row" FROM (SELECT CAST(value AS INTEGER) AS ":wanted" FROM json_each(?)) w '
            f'CROSS JOIN {self.layout.shown(self.pins)} s WHERE ":row" = ":wanted" AND ({self.condition}\n)'
        )
        found = user_query(
            tx, sql, (json.dumps(list(rows)), *self.parameters), self.condition, self.layout.table
        )
        return {int(row[0]) for row in found}

    def listed(self, tx: Transaction) -> IntArray:
        """Return all rows that the condition holds for, in ascending order."""
        sql = f'SELECT ":row" FROM {self.layout.shown(self.pins)} s WHERE ({self.condition}\n)'
        found = user_query(tx, sql, self.parameters, self.condition, self.layout.table)
        return np.sort(np.fromiter((row[0] for row in found), np.int64))


class FilterLists:
    """The rows that filters hold for, kept until the next change. Thread-safe without a lock, which the thread that signals
    reach might leave held: each step is whole, and after any of them what is kept is right. Two that keep at once, or an
    interrupt, may leave a list out of the count of what they take, until half of it is forgotten."""

    def __init__(self) -> None:
        self._lists: dict[Any, tuple[Any, IntArray]] = {}
        self._older: dict[Any, tuple[Any, IntArray]] = {}
        self._counts: dict[Any, int] = {}
        self._size_bytes = 0  # of the lists that are not older

    def known(self, tx: Transaction, wanted: Filter) -> IntArray | None:
        """Return the rows a filter holds for, where they were listed since the last change."""
        name = _name(wanted)
        found = self._lists.get(name) or self._older.get(name)
        return found[1] if found is not None and found[0] == _state(tx) else None

    def last_count(self, wanted: Filter) -> int | None:
        """Return for how many rows such a condition held when it was last listed, with whatever parameters."""
        return self._counts.get((wanted.layout.table.name, wanted.condition))

    def listed(self, tx: Transaction, wanted: Filter) -> IntArray:
        """Return all rows that a filter holds for, in ascending order; to be asked where they are not known."""
        rows = wanted.listed(tx)
        if len(self._counts) >= COUNTS_KEPT:
            self._counts = {}
        self._counts[wanted.layout.table.name, wanted.condition] = len(rows)
        if not CHANGES_BY_ITSELF.search(wanted.condition):
            self._keep(_name(wanted), _state(tx), rows)
        return rows

    @property
    def size_bytes(self) -> int:
        """What all lists that are kept take in memory."""
        kept = [*self._lists.values(), *self._older.values()]
        return sum(_size_bytes(rows) for _, rows in kept)

    def _keep(self, name: Any, state: Any, rows: IntArray) -> None:
        """Keep a list; where all would take too much, forget the older half."""
        size_bytes = _size_bytes(rows)
        if 2 * size_bytes > LISTS_KEPT_BYTES:
            return
        if 2 * (self._size_bytes + size_bytes) > LISTS_KEPT_BYTES:
            self._older, self._lists, self._size_bytes = self._lists, {}, 0
        self._size_bytes += size_bytes
        self._lists[name] = state, rows


def _size_bytes(rows: IntArray) -> int:
    """Return what a list takes in memory, with its entry: an empty one is none for nothing."""
    return 1_000 + rows.nbytes


def _name(wanted: Filter) -> Any:
    pins = tuple(sorted(wanted.pins.items()))
    kinds = tuple(map(type, wanted.parameters))
    return wanted.layout.table.name, wanted.condition, wanted.parameters, kinds, pins


def _state(tx: Transaction) -> Any:
    """Return what is another whenever a condition may hold for other rows."""
    live = tx.execute("SELECT name, live FROM motion_components ORDER BY name").fetchall()
    return last_number(tx), tuple(live)
