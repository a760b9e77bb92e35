"""Filters: which rows a search may return, by a user's condition on stored values."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np

from motion import clock
from motion.backends.base import Transaction
from motion.definitions.values.codecs import Stored, encode_parameter
from motion.persistence.layout import Layout, Pins
from motion.persistence.rows.reading import user_query
from motion.vectors.base import IntArray

COUNTS_KEPT = 1_000

READ_S = 3e-6
"""What a row takes in a table that is read whole, with 2 kB each in the system's memory."""

LISTS_KEPT_BYTES = 64 * 2**20
"""What all lists that are kept may take in memory: 80 lists of 100,000 rows."""

CHANGES = re.compile(r"random|now|current_|date|time|julianday|unixepoch|strftime", re.I)


@lru_cache(COUNTS_KEPT)
def changes_by_itself(condition: str) -> bool:
    """Whether a condition may hold for other rows although nothing was written."""
    return CHANGES.search(condition) is not None


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
        return np.sort(np.fromiter(chain.from_iterable(found), np.int64))


class FilterLists:
    """The rows that filters hold for, kept until the next change. Thread-safe without a lock, which the thread that signals
    reach might leave held: each step is whole, and after any of them what is kept is right. Two that keep at once, or an
    interrupt, may leave a list out of the count of what they take, until half of it is forgotten."""

    def __init__(self) -> None:
        self._lists: dict[Any, tuple[Any, IntArray]] = {}
        self._older: dict[Any, tuple[Any, IntArray]] = {}
        self._last: dict[Any, tuple[int, float]] = {}  # by condition: rows, and seconds
        self._probed_s: dict[int, float] = {}  # by the hash of what was asked for
        self._size_bytes = 0  # of the lists that are not older

    def known(self, tx: Transaction, wanted: Filter) -> IntArray | None:
        """Return the rows a filter holds for, where they were listed since the last change."""
        name = _name(wanted)
        found = self._lists.get(name) or self._older.get(name)
        return found[1] if found is not None and found[0] == _state(tx) else None

    def last_count(self, wanted: Filter) -> int | None:
        """Return for how many rows such a condition held when it was last listed, with whatever parameters."""
        last = self._last.get(_condition(wanted))
        return None if last is None else last[0]

    def is_worth_listing(self, tx: Transaction, wanted: Filter, count: int) -> bool:
        """Whether to look at the nearest rows only, each time that a filter was asked for, has taken as long by now as it takes to
        list all that it holds for: of a table of `count` rows, which without a database index is read whole.

        What such a condition takes is known once it was listed, with whatever parameters; until then it is taken for the
        worst, and the time of all that were asked for counts."""
        last = self._last.get(_condition(wanted))
        if last is None:
            probed, needed_s = hash(_condition(wanted)), READ_S * count
        else:
            probed, needed_s = _asked(tx, wanted), last[1]
        return not changes_by_itself(wanted.condition) and self._probed_s.get(probed, 0) >= needed_s

    def note_probed(self, tx: Transaction, wanted: Filter, taken_s: float) -> None:
        """Note how long looking at the nearest rows took."""
        if len(self._probed_s) >= COUNTS_KEPT:
            self._probed_s = {}
        for name in (hash(_condition(wanted)), _asked(tx, wanted)):
            self._probed_s[name] = self._probed_s.get(name, 0) + taken_s

    def listed(self, tx: Transaction, wanted: Filter) -> IntArray:
        """Return all rows that a filter holds for, in ascending order; to be asked where they are not known."""
        began_s = clock.monotonic_s()
        rows = wanted.listed(tx)
        if len(self._last) >= COUNTS_KEPT:
            self._last = {}
        self._last[_condition(wanted)] = len(rows), clock.monotonic_s() - began_s
        if not changes_by_itself(wanted.condition):
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


def _condition(wanted: Filter) -> Any:
    return wanted.layout.table.name, wanted.condition


def _asked(tx: Transaction, wanted: Filter) -> int:
    """Return what is another for another filter, and after a change: a hash, as parameters may be large."""
    return hash((_name(wanted), _state(tx)))


def _name(wanted: Filter) -> Any:
    pins = tuple(sorted(wanted.pins.items()))
    kinds = tuple(map(type, wanted.parameters))
    return wanted.layout.table.name, wanted.condition, wanted.parameters, kinds, pins


def _state(tx: Transaction) -> Any:
    """Return what is another whenever a condition may hold for other rows; read once by a search."""
    found = tx.memo.get(_state)
    if found is None:
        sql = "SELECT c.number, m.name, m.live FROM motion_clock c LEFT JOIN motion_components m ON 1 = 1 ORDER BY m.name"
        found = tx.memo[_state] = tuple(tx.execute(sql).fetchall())
    return found
