"""Filters: which rows a search may return, by a user's condition on stored values."""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
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
    """The rows that filters hold for, kept until the next change. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lists: OrderedDict[Any, tuple[Any, IntArray]] = OrderedDict()
        self._counts: OrderedDict[Any, int] = OrderedDict()
        self.size_bytes = 0

    def known(self, tx: Transaction, wanted: Filter) -> IntArray | None:
        """Return the rows a filter holds for, where they were listed since the last change."""
        found = self._lists.get(_name(wanted))  # one step of C code: without the lock
        return found[1] if found is not None and found[0] == _state(tx) else None

    def last_count(self, wanted: Filter) -> int | None:
        """Return for how many rows such a condition held when it was last listed, with whatever parameters."""
        return self._counts.get((wanted.layout.table.name, wanted.condition))

    def listed(self, tx: Transaction, wanted: Filter) -> IntArray:
        """Return all rows that a filter holds for, in ascending order."""
        known = self.known(tx, wanted)
        if known is not None:
            return known
        rows = wanted.listed(tx)
        with self._lock:
            self._keep_count((wanted.layout.table.name, wanted.condition), len(rows))
            if not CHANGES_BY_ITSELF.search(wanted.condition):
                self._keep(_name(wanted), _state(tx), rows)
        return rows

    def _keep_count(self, name: Any, count: int) -> None:
        self._counts[name] = count
        self._counts.move_to_end(name)
        if len(self._counts) > COUNTS_KEPT:
            self._counts.popitem(last=False)

    def _keep(self, name: Any, state: Any, rows: IntArray) -> None:
        """Keep a list, and drop those that were listed first until all that are left fit."""
        self._drop(name)
        self._lists[name] = state, rows
        self.size_bytes += _size_bytes(rows)
        while self.size_bytes > LISTS_KEPT_BYTES:
            self._drop(next(iter(self._lists)))

    def _drop(self, name: Any) -> None:
        dropped = self._lists.pop(name, None)
        if dropped is not None:
            self.size_bytes -= _size_bytes(dropped[1])


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
