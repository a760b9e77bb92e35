"""Taking: what triggers that run before a write take of other rows, read at once for all rows of the write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from motion.backends.base import Transaction
from motion.definitions.tables.lookups import Lookup
from motion.definitions.tables.windows import Window
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.persistence.changes.operations import SetOperation
from motion.persistence.database import Database
from motion.persistence.inputs.frames import frame_of
from motion.persistence.inputs.held import Held
from motion.persistence.inputs.own import decoded_window
from motion.persistence.inputs.taken import (
    LookedUp,
    LookedUpLists,
    Windowed,
    look_back,
    look_up,
)
from motion.persistence.numbers import last_number


class Taking:
    """What the triggers of one write take of other rows, each thing read once.

    Attributes:
        stored: the rows' keys, given or made.
        values: decoded, by the column of each lookup and window.
    """

    def __init__(self, database: Database, operation: SetOperation) -> None:
        self._database, self._operation = database, operation
        self.stored: dict[str, Sequence[Stored]] = dict(operation.columns)
        self.values: dict[str, Sequence[Any]] = {}
        self._lookups: dict[Lookup, LookedUp | LookedUpLists] = {}
        self._windows: dict[Window, tuple[Windowed, Held]] = {}

    def of(self, spec: TriggerSpec) -> list[LookedUp | LookedUpLists | Windowed]:
        """Read what a trigger takes, but for what is known, and return that."""
        frames = {each: frame_of(each) for each in spec.windows}
        lookups = [each for each in spec.lookups if each not in self._lookups]
        windows = [each for each in dict.fromkeys(frames.values()) if each not in self._windows]
        if lookups or windows:
            with self._database.backend.read() as tx:
                self._read(tx, lookups, windows)
        tables = self._database.tables
        for lookup in spec.lookups:
            codec = tables.key(lookup.key).codec
            if lookup.column not in self.values:
                self.values[lookup.column] = self._lookups[lookup].decoded(codec)
        for window, frame in frames.items():
            if window.column not in self.values:
                found = self._windows[frame][1].values(window)
                self.values[window.column] = decoded_window(tables, window, found)
        taken = [self._lookups[each] for each in spec.lookups]
        return [*taken, *(self._windows[each][0] for each in frames.values())]

    def _read(self, tx: Transaction, lookups: Sequence[Lookup], windows: Sequence[Window]) -> None:
        layouts, read_at, table = self._database.layouts, last_number(tx), self._operation.table
        for each in lookups:
            self._lookups[each] = look_up(tx, layouts, read_at, each, self.stored[each.bys[0]])
        own, count = self._operation.columns, self._operation.count
        for frame in windows:
            taken = look_back(tx, layouts, read_at, table, frame, own, count)
            is_own = frame.table == table
            held = taken.held.with_own() if is_own else taken.held
            self._windows[frame] = taken, held
