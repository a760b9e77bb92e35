"""The scheduler: makes an occurrence of a schedule into a task when its time has come.

It has no thread: whoever looks for work asks it first. The transaction that takes an occurrence moves the schedule on,
so among any number of processes one does.
"""

from __future__ import annotations

from datetime import UTC, datetime

from motion import clock
from motion.backends.base import Transaction
from motion.definitions.tasks import Cause
from motion.persistence.changes.cascade import enqueue_rows
from motion.persistence.database import Database
from motion.persistence.numbers import next_number
from motion.persistence.tasks import backlog, events, schedules

LOOK_S = 0.5
"""How often the store is asked when something occurs next: another process may have changed it."""


class Scheduler:
    """Fires the schedules of the triggers whose code this process has. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._looked_s = -LOOK_S
        self._next_ms: int | None = None

    def idle_s(self) -> float:
        """Return how long nothing will occur, at most `LOOK_S`."""
        if self._next_ms is None:
            return LOOK_S
        return min(max(self._next_ms - clock.now_ms(), 1) / 1000, LOOK_S)

    def fire_due(self) -> None:
        """Enqueue what is due. A look at the clock where nothing is."""
        names = self._scheduled()
        if not names:
            self._next_ms = None
            return
        is_due = self._next_ms is not None and self._next_ms <= clock.now_ms()
        if not is_due and clock.monotonic_s() - self._looked_s < LOOK_S:
            return
        self._looked_s = clock.monotonic_s()
        with self._database.backend.read() as tx:
            free = [name for name in names if not backlog.has_live_of(tx, name)]
            self._next_ms = schedules.next_ms(tx, free, clock.now_ms())
        if self._next_ms is not None and self._next_ms <= clock.now_ms():
            self._next_ms = self._database.write(lambda tx: self._fire(tx, free))

    def _scheduled(self) -> list[str]:
        code = self._database.code.triggers.values()
        return [
            each.spec.name
            for each in code
            if each.spec.schedule and self._database.has_code(each.spec)
        ]

    def _fire(self, tx: Transaction, names: list[str]) -> int | None:
        """Enqueue the occurrences that are due. One whose forerunner still waits or runs stays due until that ends."""
        free = [name for name in names if not backlog.has_live_of(tx, name)]
        for name, due_ms in schedules.take_due(tx, free, clock.now_ms()).items():
            spec = self._database.graph.triggers[name]
            layout, number = self._database.layouts[spec.table], next_number(tx)
            due = datetime.fromtimestamp(due_ms / 1000, UTC).isoformat(timespec="milliseconds")
            row = events.note_occurrence(tx, layout, due, number)
            enqueue_rows(tx, layout, spec, [row], Cause(number, number))
        return schedules.next_ms(tx, free, clock.now_ms())
