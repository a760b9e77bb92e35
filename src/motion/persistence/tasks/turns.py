"""Turns under a rate, as all processes of a store share them: the next one of each trigger that has a rate."""

from __future__ import annotations

from collections.abc import Sequence

from motion.backends.base import Transaction
from motion.definitions.triggers.rates import Rate

AHEAD_MS = 10_000
"""Turns are taken at most so long before they come."""


def next_turn_ms(tx: Transaction, trigger: str, rate: Rate, now_ms: int) -> float:
    """Return the turn after the last one that was taken, in milliseconds since the epoch."""
    sql = "SELECT next_ms FROM motion_rates WHERE trigger = ?"
    found = tx.execute(sql, (trigger,)).fetchone()
    # No further ahead than turns are taken: a clock that was put right must not stop a trigger for long.
    latest = now_ms + AHEAD_MS + rate.interval_ms
    return 0.0 if found is None else min(float(found[0]), latest)


def take(tx: Transaction, trigger: str, rate: Rate, calls: int, now_ms: int) -> list[float]:
    """Take the next turns, and return when they come, in milliseconds since the epoch."""
    first = rate.first_ms(now_ms, next_turn_ms(tx, trigger, rate, now_ms))
    tx.execute(
        "INSERT INTO motion_rates (trigger, next_ms) VALUES (?, ?) "
        "ON CONFLICT (trigger) DO UPDATE SET next_ms = excluded.next_ms",
        (trigger, first + calls * rate.interval_ms),
    )
    return [first + i * rate.interval_ms for i in range(calls)]


def give_back(tx: Transaction, trigger: str, rate: Rate, turns: Sequence[float]) -> None:
    """Give back the last turns that were taken, unless others were taken since: those cannot be moved any more."""
    tx.execute(
        "UPDATE motion_rates SET next_ms = ? WHERE trigger = ? AND ABS(next_ms - ?) < 1e-3",
        (turns[0], trigger, turns[-1] + rate.interval_ms),
    )
