"""Leases: the claims of processes that have ended go back to the queue, and those of this one when it closes.

In a thread of its own: whether every worker thread is in a call, or has a queue before it, says nothing about how long a
killed process's tasks may wait.
"""

from __future__ import annotations

import threading
from contextlib import suppress

from motion.backends.base import Transaction
from motion.database import Database
from motion.errors import StoreUnavailable
from motion.faults import reach
from motion.guard import going_on
from motion.owners import Owner
from motion.persistence import backlog, labels, queue

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
            self._database.write_plainly(lambda tx: queue.take_over(tx, gone))
            reach("task.taken")

    def _give_back(self, tx: Transaction) -> None:
        queue.release_all(tx, self._owner.name)
        labels.take_over_fits(tx, [self._owner.name])
