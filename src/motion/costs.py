"""Costs: what calls of triggers have been measured to take, and so which may run before the write they follow from."""

from __future__ import annotations

import threading

CHEAP_S = 100e-6
"""A call below this is cheaper than the commit that a task of its own would cost."""

DEAR_S = 20e-3
"""One call above this decides at once: more than a busy machine's scheduler takes a thread away for."""

REPEATS = 3


class Costs:
    """The measured cost of each trigger's calls in this process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streaks: dict[str, int] = {}
        self._cheap: set[str] = set()
        self._each: dict[str, float] = {}

    def note(self, trigger: str, seconds: float, calls: int) -> None:
        """Take in that some calls took so long together. It takes repeated measurements to change a verdict."""
        each = seconds / max(calls, 1)
        with self._lock:
            self._each[trigger] = each
            streak = self._streaks.get(trigger, 0)
            streak = max(streak, 0) + 1 if each < CHEAP_S else min(streak, 0) - 1
            self._streaks[trigger] = streak
            if streak >= REPEATS:
                self._cheap.add(trigger)
            elif streak <= -REPEATS or each > DEAR_S:
                self._cheap.discard(trigger)

    def forget(self, trigger: str) -> None:
        """Measure a trigger from the beginning: its code has changed, or it did what only a task may do."""
        with self._lock:
            self._streaks.pop(trigger, None)
            self._cheap.discard(trigger)

    def seconds_each(self, trigger: str) -> float | None:
        """Return what one call took when last measured, None where it has not run."""
        return self._each.get(trigger)

    def is_cheap(self, trigger: str) -> bool:
        return trigger in self._cheap
