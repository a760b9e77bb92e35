"""Kept schedules: when each thing with a schedule occurs next. Durable, and settled by the transaction that takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from motion import clock
from motion.backends.base import Transaction
from motion.schedules import Schedule


def keep(tx: Transaction, wanted: Mapping[str, Schedule]) -> None:
    """Make these the kept schedules. One that is as it was goes on; another one begins now; the rest are forgotten."""
    known = dict(tx.execute("SELECT name, schedule FROM motion_schedules").fetchall())
    now = clock.now_ms()
    for name in known.keys() - wanted.keys():
        tx.execute("DELETE FROM motion_schedules WHERE name = ?", (name,))
    for name, schedule in wanted.items():
        text = msgspec.json.encode(schedule).decode()
        if known.get(name) != text:
            tx.execute(
                "INSERT OR REPLACE INTO motion_schedules (name, schedule, next_ms) VALUES (?, ?, ?)",
                (name, text, schedule.next_ms(now, now)),
            )


def next_ms(tx: Transaction, names: Sequence[str]) -> int | None:
    """Return when the first of these occurs, in milliseconds since the epoch, UTC; None where none has a schedule."""
    if not names:
        return None
    places = ", ".join("?" * len(names))
    sql = f"SELECT MIN(next_ms) FROM motion_schedules WHERE name IN ({places})"
    found = tx.execute(sql, tuple(names)).fetchone()[0]
    return None if found is None else int(found)


def due(tx: Transaction, names: Sequence[str], now_ms: int) -> list[str]:
    """Return those of these that are due."""
    sql = "SELECT 1 FROM motion_schedules WHERE name = ? AND next_ms <= ?"
    return [name for name in names if tx.execute(sql, (name, now_ms)).fetchone()]


def any_due(tx: Transaction, now_ms: int) -> bool:
    """Whether anything is due."""
    sql = "SELECT 1 FROM motion_schedules WHERE next_ms <= ? LIMIT 1"
    return tx.execute(sql, (now_ms,)).fetchone() is not None


def take_due(tx: Transaction, names: Sequence[str], now_ms: int) -> dict[str, int]:
    """Take what is due of these, and set when each occurs next, after `now_ms`.

    Returns:
        name -> the first occurrence that is taken. However many were missed, they are one.
    """
    taken = {}
    for name in names:
        found = tx.execute(
            "SELECT schedule, next_ms FROM motion_schedules WHERE name = ? AND next_ms <= ?",
            (name, now_ms),
        ).fetchone()
        if found is not None:
            schedule = msgspec.json.decode(found[0], type=Schedule)
            tx.execute(
                "UPDATE motion_schedules SET next_ms = ? WHERE name = ?",
                (schedule.next_ms(now_ms, found[1]), name),
            )
            taken[name] = int(found[1])
    return taken
