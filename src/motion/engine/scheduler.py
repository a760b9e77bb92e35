"""The scheduler: makes an occurrence of a schedule into a task when its time has come.

It has no thread: whoever looks for work asks it first. The transaction that takes an occurrence moves the schedule on,
so among any number of processes one does.
"""

from __future__ import annotations

from datetime import UTC, datetime

from motion import clock
from motion.backends.base import Transaction
from motion.definitions.tasks import Cause
from motion.persistence.changes.cascade import enqueue_rows, rows_below
from motion.persistence.database import Database
from motion.persistence.numbers import next_number
from motion.persistence.rows.provenance import make_due
from motion.persistence.tasks import backlog, delayed, events, schedules

LOOK_S = 0.5
"""How often the store is asked when something occurs next: another process may have changed it."""


class Scheduler:
    """Fires the schedules of the triggers whose code this process has. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._looked_s = -LOOK_S
        self._next_ms: int | None = None
        self._is_asked = False

    def look_again(self) -> None:
        """Take in that a run of an occurrence has ended: what has become due meanwhile waits no longer for that."""
        self._is_asked = True

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
        is_asked, self._is_asked = self._is_asked, False
        if not (is_due or is_asked) and clock.monotonic_s() - self._looked_s < LOOK_S:
            return
        self._looked_s = clock.monotonic_s()
        with self._database.backend.read() as tx:
            self._next_ms = self._next_of(tx, names)
        if self._next_ms is not None and self._next_ms <= clock.now_ms():
            self._next_ms = self._database.write(lambda tx: self._fire(tx, names))

    def _scheduled(self) -> list[str]:
        code = self._database.code.triggers.values()
        return [
            each.spec.name
            for each in code
            if (each.spec.schedule or each.spec.after_ms is not None)
            and self._database.may_run(each.spec)
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
        for name, rows in self._taken(tx, names).items():
            spec, number = self._database.graph.triggers[name], next_number(tx)
            layout = self._database.layouts[spec.table]
            chosen = rows_below(tx, layout, spec, spec.on[0], rows)
            make_due(tx, layout, spec, chosen)  # also those that were there before the trigger was
            enqueue_rows(tx, layout, spec, chosen, Cause(number, number))
        return self._next_of(tx, names)

    def _taken(self, tx: Transaction, names: list[str]) -> dict[str, list[int]]:
        layouts, now_ms = self._database.layouts, clock.now_ms()
        columns = {layout.table.name: layout.row_column for layout in layouts}
        return delayed.take_due(tx, self._delayed(names), columns, now_ms)

    def _delayed(self, names: list[str]) -> list[str]:
        triggers = self._database.graph.triggers
        return [name for name in names if name in triggers and triggers[name].after_ms is not None]

    def _next_of(self, tx: Transaction, names: list[str]) -> int | None:
        """Return when the first of these is to be looked at."""
        free = [name for name in names if not backlog.has_live_of(tx, name)]
        times = (
            schedules.next_ms(tx, free, clock.now_ms()),
            delayed.next_ms(tx, self._delayed(names)),
        )
        return min((time for time in times if time is not None), default=None)
