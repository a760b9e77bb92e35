"""Shares: whose turn it is among triggers that have work of the same priority.

What is most urgent goes first. Among equals the oldest task does, so that causes run before what they cause; but a trigger
that has had more of the worker's time than the others waits for them (start-time fair queueing, Goyal et al. 1996, by
measured seconds), so a queue of a million slow rows does not hold up the ten quick ones behind it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from motion.persistence.tasks.claim import Head

ROUND_S = 1.0
"""Seconds by which one trigger may be ahead of another: within a round, the oldest task goes first."""


class Shares:
    """How much of a worker's time each trigger has had. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._served_s: dict[str, float] = {}
        self._waiting: set[str] = set()

    def note(self, trigger: str, seconds: float) -> None:
        """Take in that a trigger has had so many seconds of a thread."""
        with self._lock:
            self._served_s[trigger] = self._served_s.get(trigger, 0.0) + seconds

    def choose(self, heads: Sequence[Head]) -> Head:
        """Return the task whose turn it is."""
        with self._lock:
            self._admit({head.trigger for head in heads})
            return min(heads, key=self._order)

    def _order(self, head: Head) -> tuple[int, int, int]:
        return -head.priority, int(self._served_s[head.trigger] / ROUND_S), head.task

    def _admit(self, waiting: set[str]) -> None:
        """Let triggers that had nothing to do begin where the others are: an idle one saves up no claim to the worker."""
        before = [self._served_s[name] for name in waiting & self._waiting]
        least = min(before, default=0.0)
        for name in waiting - self._waiting:
            self._served_s[name] = max(self._served_s.get(name, 0.0), least)
        self._waiting = waiting
