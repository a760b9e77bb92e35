"""Turns under a rate, as all processes of a store share them: the next one of each trigger that has a rate."""

from __future__ import annotations

from collections.abc import Sequence

from motion.backends.base import Transaction
from motion.definitions.triggers.rates import Rate
from motion.definitions.triggers.specs import TriggerSpec

AHEAD_MS = 10_000
"""Turns are taken at most so long before they come."""


def next_turn_ms(tx: Transaction, spec: TriggerSpec, rate: Rate, now_ms: int) -> float:
    """Return the turn after the last one that was taken, in milliseconds since the epoch. One that is further ahead than turns
    are taken was taken before the clock was put back: it would stop the trigger until that has caught up."""
    sql = "SELECT next_ms FROM motion_rates WHERE trigger = ?"
    found = tx.execute(sql, (spec.name,)).fetchone()
    following = 0.0 if found is None else float(found[0])
    # Only async functions take them early; batches that raise are called again in halves, beyond their turns.
    ahead_ms = AHEAD_MS if spec.is_async or spec.batch else 0
    return following if following <= now_ms + ahead_ms + rate.interval_ms else now_ms


def take(tx: Transaction, spec: TriggerSpec, rate: Rate, calls: int, now_ms: int) -> list[float]:
    """Take the next turns, and return when they come, in milliseconds since the epoch."""
    first = rate.first_ms(now_ms, next_turn_ms(tx, spec, rate, now_ms))
    tx.execute(
        "INSERT INTO motion_rates (trigger, next_ms) VALUES (?, ?) "
        "ON CONFLICT (trigger) DO UPDATE SET next_ms = excluded.next_ms",
        (spec.name, first + calls * rate.interval_ms),
    )
    return [first + i * rate.interval_ms for i in range(calls)]


def give_back(tx: Transaction, trigger: str, rate: Rate, turns: Sequence[float]) -> None:
    """Give back the last turns that were taken, unless others were taken since: those cannot be moved any more."""
    tx.execute(
        "UPDATE motion_rates SET next_ms = ? WHERE trigger = ? AND ABS(next_ms - ?) < 1e-3",
        (turns[0], trigger, turns[-1] + rate.interval_ms),
    )
