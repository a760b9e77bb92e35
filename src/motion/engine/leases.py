"""Leases: the claims of processes that have ended go back to the queue, and those of this one when it closes.

In a thread of its own: whether every worker thread is in a call, or has a queue before it, says nothing about how long a
killed process's tasks may wait.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextlib import suppress

from motion.backends.base import Transaction
from motion.background.loops import going_on
from motion.background.owners import Owner
from motion.definitions.tasks import LOSSES_ALLOWED, LOSSES_SHARED, Task
from motion.errors import StoreUnavailable, shortened
from motion.faults import reach
from motion.persistence.changes.labelling import settle_all
from motion.persistence.database import Database
from motion.persistence.rows.reading import rows_by_number
from motion.persistence.states import fit_requests
from motion.persistence.tasks import backlog, leases, queue

logger = logging.getLogger(__name__)

LOOK_S = 0.5
"""How often it is looked who has ended."""


class Leases:
    """Sees to it that no task is held by somebody who is gone.

    Args:
        owner: this process.
    """

    def __init__(self, database: Database, owner: Owner) -> None:
        self._database, self._owner = database, owner
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="motion-leases", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self, timeout_s: float) -> None:
        """Give back what this process still holds: a run that closing has not waited for is no loss."""
        self._stop.set()
        self._thread.join(timeout_s)
        with suppress(StoreUnavailable):  # others take it over, as if this process had been killed
            self._database.write_plainly(self._give_back)

    def _loop(self) -> None:
        while not self._stop.is_set():
            with going_on(self._stop, f"the leases of store {self._database.name!r}"):
                self._take_over()
                self._stop.wait(LOOK_S)

    def _take_over(self) -> None:
        with self._database.backend.read() as tx:
            gone = [owner for owner in backlog.owners(tx) if self._owner.is_gone(owner)]
        if gone:
            self._database.write_plainly(lambda tx: self._take_from(tx, gone))
            reach("task.taken")

    def _take_from(self, tx: Transaction, gone: Sequence[str]) -> None:
        for task in leases.take_over(tx, gone):
            alone = LOSSES_ALLOWED - LOSSES_SHARED
            error = (
                f"{task.losses + 1} processes or more ended while they ran this task, the last {alone} while they ran "
                f"nothing beside."
            )
            queue.bury(tx, task.task, task.attempts, error, self._inputs_of(tx, task))
            settle_all(tx, self._database.layouts)
            logger.warning(
                "trigger %s gave up on a row, see store.errors(): %s", task.trigger, error
            )

    def _inputs_of(self, tx: Transaction, task: Task) -> str:
        """Return what a trigger would be called with on a task's row, as text."""
        try:
            graph = self._database.graph
            spec, layout = (
                graph.triggers[task.trigger],
                self._database.layouts[graph.triggers[task.trigger].table],
            )
            row = rows_by_number(tx, layout, [task.low])[task.low]
            given = {key: getattr(row, key) for key in spec.inputs if key in layout.table.keys}
            return ", ".join(f"{key}={shortened(value, 200)}" for key, value in given.items())
        except Exception:  # noqa: BLE001 - a row that is gone or cannot be read, of whatever trigger, keeps no task held
            return ""

    def _give_back(self, tx: Transaction) -> None:
        leases.release_all(tx, self._owner.name)
        fit_requests.take_over(tx, [self._owner.name])
