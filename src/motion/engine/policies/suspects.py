"""Suspects: rows of which one has perhaps ended its process twice, and which run with nothing beside them for a while.

What a process held when it ended says which rows may have ended it, and no more. So they are run half by half, one claim
at a time, and whatever else there is waits for a moment: the next end of the process then says more. Who lives on for
that moment is most likely innocent, and holds up nobody any longer, be it a call of an hour.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from motion import clock
from motion.definitions.tasks import Task

ALONE_S = 5.0
"""How long nothing begins beside a claim of suspects, and how long one waits for what is under way before it."""


class Suspects:
    """What is under way in one process, as far as it decides whether suspects may begin, or anything else. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun_s: dict[int, float] = {}
        self._suspect: int | None = None
        self._are_waiting = False

    def begin(self, tasks: Sequence[Task]) -> None:
        """Take in that a claim is under way."""
        with self._lock:
            self._begun_s[tasks[0].task] = clock.monotonic_s()
            if tasks[0].among:
                self._suspect, self._are_waiting = tasks[0].task, False

    def end(self, tasks: Sequence[Task]) -> bool:
        """Take in that a claim has ended; return whether something has waited for that."""
        with self._lock:
            was_alone = self._suspect == tasks[0].task
            self._suspect = None if was_alone else self._suspect
            return self._begun_s.pop(tasks[0].task, None) is not None and (
                was_alone or self._are_waiting
            )

    def rest_s(self) -> float:
        """Return how long nothing is to begin; 0 where something may."""
        with self._lock:
            if self._suspect is not None:
                return self._left_s(self._begun_s[self._suspect])
            return self._awaited_s() if self._are_waiting else 0.0

    def may_begin(self, *, are_any: bool) -> bool:
        """Whether suspects may begin now; if not, nothing else does either until they may.

        Args:
            are_any: there are some that could.
        """
        with self._lock:
            self._are_waiting = are_any and self._suspect is None and self._awaited_s() > 0
            return are_any and self._suspect is None and not self._are_waiting

    @property
    def are_waiting(self) -> bool:
        """Whether suspects wait for what is under way, and all else for them."""
        return self._are_waiting

    @property
    def are_any(self) -> bool:
        """Whether suspects are under way, or wait to be."""
        return self._suspect is not None or self._are_waiting

    @property
    def is_alone(self) -> bool:
        """Whether suspects are under way that have not lived long enough for anything to begin beside them."""
        with self._lock:
            return self._suspect is not None and self._left_s(self._begun_s[self._suspect]) > 0

    def _awaited_s(self) -> float:
        return max(map(self._left_s, self._begun_s.values()), default=0.0)

    def _left_s(self, begun_s: float) -> float:
        return max(begun_s + ALONE_S - clock.monotonic_s(), 0.0)
