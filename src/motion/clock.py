"""The only door to time. Everything that waits, stamps or measures comes through here.

A test of something that happens at nine o'clock need not wait for it: `advance` moves this process's wall time
forward, and what is due by then runs. Time that is measured (`monotonic_s`) does not move with it.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from math import isfinite

from motion.errors import InvalidArgument, shortened

_ahead_ms = 0


def now_ms() -> int:
    """Return milliseconds since the epoch, UTC."""
    return time.time_ns() // 1_000_000 + _ahead_ms


def now() -> datetime:
    """Return the present moment as an aware UTC datetime."""
    return datetime.now(UTC) + timedelta(milliseconds=_ahead_ms)


def monotonic_s() -> float:
    """Return seconds on a clock that never goes backwards; only differences mean anything."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Let the present thread wait."""
    time.sleep(seconds)


def advance(seconds: float) -> None:
    """Move wall time forward, in this process. For tests; `reset` ends it."""
    global _ahead_ms
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not isfinite(seconds):
        raise InvalidArgument("advance(seconds)", shortened(seconds), "a number of seconds")
    _ahead_ms += round(1000 * seconds)


def reset() -> None:
    """Return to the system's time."""
    global _ahead_ms
    _ahead_ms = 0
