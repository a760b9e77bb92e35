"""What one write of rows is given, and what it has done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from motion.backends.base import Transaction
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.persistence.layout import Layout
from motion.persistence.layouts import Layouts

Columns = Mapping[str, Sequence[Stored]]

Beside = dict[tuple[str, int], dict[str, list[int]]]
"""Trigger and state version -> key -> the rows in which its value is another than before in that version, which is not live."""


@dataclass
class Written:
    """What a write changed.

    Attributes:
        rows: the row numbers written or found, in the order given.
        ids: their ids.
        made: the rows that were not there before.
        changed: key -> the rows in which its value is another than before.
        arrived: key -> those of them that had no value before.
        met: trigger -> the rows whose change it has met already, in the same write.
        met_again: trigger -> rows that were there before, where it has met its change, or a user's value did for it:
            what it failed at before is over.
        given: key -> its value in each row, where all rows are new and were written at once; nothing otherwise.
        is_fresh: all rows are new, by numbers that the store has given now: nothing knows of them yet.
        beside: what has changed in versions that are not live.
    """

    layout: Layout
    rows: list[int] = field(default_factory=list)
    ids: list[Any] = field(default_factory=list)
    made: list[int] = field(default_factory=list)
    changed: dict[str, list[int]] = field(default_factory=dict)
    arrived: dict[str, list[int]] = field(default_factory=dict)
    met: dict[str, list[int]] = field(default_factory=dict)
    met_again: dict[str, list[int]] = field(default_factory=dict)
    given: Columns = field(default_factory=dict)
    is_fresh: bool = False
    beside: Beside = field(default_factory=dict)

    def note(self, key: str, rows: Sequence[int], *, arrived: bool) -> None:
        if rows:
            self.changed.setdefault(key, []).extend(rows)
            if arrived:
                self.arrived.setdefault(key, []).extend(rows)

    def add(self, other: Written) -> None:
        """Take in what a further write to the same table changed."""
        self.given, self.is_fresh = {}, False  # it is no longer one write of new rows
        self.rows += other.rows
        self.ids += other.ids
        self.made += other.made
        for key, rows in other.changed.items():
            self.note(key, rows, arrived=False)
        for key, rows in other.arrived.items():
            self.arrived.setdefault(key, []).extend(rows)
        for name, rows in other.met_again.items():
            self.met_again.setdefault(name, []).extend(rows)
        self.note_beside(other.beside)

    def note_beside(self, changed: Beside) -> None:
        for named, keys in changed.items():
            mine = self.beside.setdefault(named, {})
            for key, rows in keys.items():
                mine.setdefault(key, []).extend(rows)


class Taken(Protocol):
    """What was read of other rows for rows that are not written yet.

    Attributes:
        read_at: the number of the last change then.
    """

    @property
    def read_at(self) -> int: ...

    def outdated(self, tx: Transaction, layouts: Layouts) -> Iterable[int]:
        """Return the positions of the rows for which it would be another now."""


@dataclass(frozen=True)
class Inlined:
    """What a trigger gave for rows in memory, before the write that makes it due.

    Attributes:
        columns: for each key of `sets`, one stored value for each row.
        met: the rows that it has an outcome for; None: all.
        seconds: what its calls took together; for people to read.
        taken: what it took of other rows, to be held against what is there when the rows are written.
    """

    spec: TriggerSpec
    columns: Sequence[Sequence[Stored]]
    met: frozenset[int] | None = None
    seconds: float = 0.0
    taken: Sequence[Taken] = ()
