"""Rates: how many calls of a trigger may begin in a time, and when each of them may."""

from __future__ import annotations

import math
import re
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from motion import clock
from motion.errors import TriggerError, shortened

UNITS = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600}

WRITTEN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*/\s*([a-z]+)\s*")

TOLERANCE_MS = 100
"""Turns that nobody took are made up for if they are not older: nobody looks for work at the very moment of a turn."""


@dataclass(frozen=True)
class Rate:
    """How many calls may begin in so many seconds, evenly spread. Plain data, kept with the store."""

    calls: float
    seconds: float

    @property
    def interval_ms(self) -> float:
        """Milliseconds from one call's turn to the next one's."""
        return 1000 * self.seconds / self.calls

    def first_ms(self, now_ms: float, next_ms: float) -> float:
        """Return the first turn that is left, in milliseconds since the epoch.

        Args:
            next_ms: the turn after the last one that was taken.
        """
        return max(next_ms, now_ms - TOLERANCE_MS)

    def turns_until(self, until_ms: float, now_ms: float, next_ms: float) -> int:
        """Return how many turns are left up to a moment."""
        left_ms = until_ms - self.first_ms(now_ms, next_ms)
        return int(left_ms // self.interval_ms) + 1 if left_ms >= 0 else 0


def rate_of(given: object) -> Rate:
    """Return the rate that is written as "600/min".

    Raises:
        TriggerError: it is not, or its number is 0.
    """
    found = WRITTEN.fullmatch(given) if isinstance(given, str) else None
    if found is None or found[2] not in UNITS or not 0 < float(found[1]) < math.inf:
        raise TriggerError(
            f"rate= is a number of calls in a second, minute or hour, such as '10/s', '600/min' or '5000/hour', "
            f"not {shortened(given)}."
        )
    return Rate(float(found[1]), UNITS[found[2]])


class Turns:
    """The turns of the calls of one claim. Thread-safe.

    Args:
        starts_ms: the turns that were taken for it, in milliseconds since the epoch.
    """

    def __init__(self, rate: Rate, starts_ms: Iterable[float]) -> None:
        self._interval_ms = rate.interval_ms
        self._left = deque(starts_ms)
        self._made_ms, self._made_s = float(clock.now_ms()), clock.monotonic_s()
        self._last_ms = self._left[-1] if self._left else self._made_ms
        self._lock = threading.Lock()
        self.beyond = 0
        """Calls beyond the turns that were taken: a batch that raised is called again in halves."""

    @property
    def left(self) -> Sequence[float]:
        """The turns that were taken for calls that were not made, in milliseconds since the epoch."""
        with self._lock:
            return tuple(self._left)

    def take_beyond(self) -> int:
        """Return how many calls went beyond the turns that were taken, and forget them."""
        with self._lock:
            beyond, self.beyond = self.beyond, 0
            return beyond

    def wait_s(self) -> float:
        """Take the next turn, and return how long to wait for it."""
        with self._lock:
            if self._left:
                turn_ms = self._left.popleft()
            else:
                self.beyond += 1
                self._last_ms += self._interval_ms
                turn_ms = self._last_ms
        passed_ms = 1000 * (
            clock.monotonic_s() - self._made_s
        )  # whatever the clock is put to meanwhile
        return max(turn_ms - self._made_ms - passed_ms, 0) / 1000
