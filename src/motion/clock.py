"""The only door to time. Everything that waits, stamps or measures comes through here."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now_ms() -> int:
    """Return milliseconds since the epoch, UTC."""
    return time.time_ns() // 1_000_000


def now() -> datetime:
    """Return the present moment as an aware UTC datetime."""
    return datetime.now(UTC)


def monotonic_s() -> float:
    """Return seconds on a clock that never goes backwards; only differences mean anything."""
    return time.monotonic()
