"""Back-pressure: a full queue makes writes from outside wait, so that a source faster than its triggers is slowed down.

Writes of a cascade never wait: they are what empties the queue.
"""

from __future__ import annotations

import threading

from motion import clock
from motion.errors import QueueFull
from motion.persistence.database import Database
from motion.persistence.tasks import backlog

QUEUE_LIMIT = 10_000_000
"""Tasks that may be left before writes wait, where `create_store` does not say: about 2 GB on disk."""

ROOM_AGAIN = 0.9
"""The share of the limit below which writes go on: counting the tasks of a full queue for every write would cost more
than the write."""

PATIENCE_S = 60.0

LONGEST_LOOK_S = 0.1


class QueueLimit:
    """Counts what this process adds, and the queue itself only when that could have filled it. Thread-safe.

    Processes do not tell each other what they add: the queue may go over the limit by what the others added since this
    one counted.
    """

    def __init__(self, database: Database, limit: int) -> None:
        self._database, self._limit = database, limit
        self._patience_s = PATIENCE_S
        self._lock = threading.Lock()
        self._room = 0

    def lower_to(self, limit: int) -> None:
        """Let no more than so many tasks be left from now on, where more were allowed."""
        with self._lock:
            if limit < self._limit:
                self._limit, self._room = limit, 0

    def await_room(self) -> None:
        """Return when the queue has room.

        Raises:
            QueueFull: it stayed full, and nothing was done, for a minute.
        """
        if self._room > 0:
            return
        with self._lock:
            if self._room <= 0:
                self._room = self._limit - self._count_with_room()

    def note(self, tasks: int) -> None:
        """Take in that a write made so many tasks."""
        self._room -= tasks  # inexact between threads, and it need not be exact

    def _count_with_room(self) -> int:
        found = self._count()
        if found < self._limit:
            return found
        least, since_s = found, clock.monotonic_s()
        while found > self._limit * ROOM_AGAIN:
            if found < least:
                least, since_s = found, clock.monotonic_s()
            if clock.monotonic_s() - since_s > self._patience_s:
                raise QueueFull(self._database.name, found, self._limit, self._patience_s)
            signal = self._database.backend.committed
            signal.wait(signal.count, LONGEST_LOOK_S)
            found = self._count()
        return found

    def _count(self) -> int:
        with self._database.backend.read() as tx:
            return backlog.live_tasks(tx)
