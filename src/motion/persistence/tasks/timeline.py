"""Moments: when changes were committed, and what calls have taken. Figures to read; nothing is decided by them.

A change's number says what came first, not when. So now and then the time is noted beside a number: by each process
with the first change that it commits 100 ms or more after the last that it noted. The time of any change is then that
of the newest entry up to it, and at most 100 ms too early; of changes an hour old, where one entry in 10 s is kept,
10 s. A write that is not the first in its 100 ms pays nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from motion.backends.base import Transaction
from motion.persistence.tasks.costs import CodeName, Cost

RESOLUTION_MS = 100

KEPT_WHOLE_MS = 3_600_000

THINNED_TO_MS = 10_000

THINNED_EVERY = 1_000
"""One entry in so many looks for what has become old; opening a store does, too."""


def note(tx: Transaction, before: int, last: int, now_ms: int) -> bool:
    """Note the time for the changes after `before`, up to `last`, which this transaction made; return whether it made
    any."""
    if last > before:
        sql = "INSERT INTO motion_moments (number, at_ms) VALUES (?, ?) ON CONFLICT DO NOTHING"
        tx.execute_last(sql, (before + 1, now_ms))
        if (before + 1) % THINNED_EVERY == 0:
            thin(tx, now_ms)
    return last > before


def time_of(tx: Transaction, number: int) -> datetime | None:
    """Return when a change was committed, None where that is not known."""
    sql = "SELECT at_ms FROM motion_moments WHERE number <= ? ORDER BY number DESC LIMIT 1"
    found = tx.execute(sql, (number,)).fetchone() if number > 0 else None
    return None if found is None else datetime.fromtimestamp(found[0] / 1000, UTC)


def thin(tx: Transaction, now_ms: int) -> None:
    """Keep one entry in ten seconds of those that are an hour old, so that a year of work takes a few megabytes."""
    first = tx.execute("SELECT thinned FROM motion_clock").fetchone()[0]
    last = tx.execute(
        "SELECT MAX(number) FROM motion_moments WHERE number > ? AND at_ms < ?",
        (first, now_ms - KEPT_WHOLE_MS),
    ).fetchone()[0]
    if last is None:
        return
    old = "number > ?1 AND number <= ?2"
    tx.execute(
        f"DELETE FROM motion_moments WHERE {old} AND number NOT IN "
        f"(SELECT MIN(number) FROM motion_moments WHERE {old} GROUP BY at_ms / {THINNED_TO_MS})",
        (first, last),
    )
    tx.execute("UPDATE motion_clock SET thinned = ?", (last,))


def add_costs(tx: Transaction, costs: Mapping[CodeName, Cost]) -> dict[CodeName, Cost]:
    """Add what calls have taken to what is known of their code; return those of code that has given no result yet."""
    sql = (
        "UPDATE motion_origins SET calls = calls + ?, seconds = seconds + ? "
        "WHERE trigger = ? AND fingerprint = ? AND version = ?"
    )
    return {
        code: cost
        for code, cost in costs.items()
        if not tx.execute(sql, (cost.calls, cost.seconds, *code)).rowcount
    }


def cost_of(tx: Transaction, code: CodeName) -> Cost:
    """Return what all calls of a trigger's code with a state version have taken; of all codes or versions where they are None."""
    trigger, fingerprint, version = code
    found = tx.execute(
        "SELECT COALESCE(SUM(calls), 0), COALESCE(SUM(seconds), 0.0) FROM motion_origins "
        "WHERE trigger = ?1 AND (SUBSTR(fingerprint, 1, 16) = ?2 OR ?2 IS NULL) AND (version = ?3 OR ?3 IS NULL)",
        (trigger, fingerprint, version),
    ).fetchone()
    return Cost(*found)
