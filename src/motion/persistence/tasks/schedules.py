"""Kept schedules: when each thing with a schedule occurs next. Durable, and settled by the transaction that takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec

from motion import clock
from motion.backends.base import Transaction
from motion.definitions.triggers.schedules import Schedule
from motion.definitions.values.decoders import from_json
from motion.persistence.ranges import places


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
                "INSERT INTO motion_schedules (name, schedule, next_ms) VALUES (?, ?, ?) "
                "ON CONFLICT (name) DO UPDATE SET schedule = excluded.schedule, next_ms = excluded.next_ms",
                (name, text, schedule.next_ms(now, now)),
            )


def next_ms(tx: Transaction, names: Sequence[str], now_ms: int) -> int | None:
    """Return when the first of these is to be looked at, in milliseconds since the epoch, UTC: when it occurs, or now, where
    the clock was put back; None where none has a schedule."""
    return min(
        (
            now_ms if _is_ahead(schedule, now_ms, at_ms) else at_ms
            for _, schedule, at_ms in _kept(tx, names)
        ),
        default=None,
    )


def due(tx: Transaction, names: Sequence[str], now_ms: int) -> list[str]:
    """Return those of these that are due, or to be put right."""
    return [
        name
        for name, schedule, at_ms in _kept(tx, names)
        if at_ms <= now_ms or _is_ahead(schedule, now_ms, at_ms)
    ]


def any_due(tx: Transaction, now_ms: int) -> bool:
    """Whether anything is due."""
    sql = "SELECT 1 FROM motion_schedules WHERE next_ms <= ? LIMIT 1"
    return tx.execute(sql, (now_ms,)).fetchone() is not None


def take_due(tx: Transaction, names: Sequence[str], now_ms: int) -> dict[str, int]:
    """Take what is due of these, and set when each occurs next, after `now_ms`; also of those that were found when the
    clock was ahead.

    Returns:
        name -> the first occurrence that is taken. However many were missed, they are one.
    """
    taken = {}
    for name, schedule, at_ms in _kept(tx, names):
        if at_ms <= now_ms:
            taken[name] = at_ms
            following = schedule.next_ms(now_ms, at_ms)
        else:
            following = schedule.put_right_ms(now_ms, at_ms)
        if following != at_ms:
            tx.execute("UPDATE motion_schedules SET next_ms = ? WHERE name = ?", (following, name))
    return taken


def _is_ahead(schedule: Schedule, now_ms: int, next_ms: int) -> bool:
    return next_ms > now_ms and schedule.put_right_ms(now_ms, next_ms) != next_ms


def _kept(tx: Transaction, names: Sequence[str]) -> list[tuple[str, Schedule, int]]:
    if not names:
        return []
    sql = f"SELECT name, schedule, next_ms FROM motion_schedules WHERE name IN ({places(names)})"
    found = {row[0]: row for row in tx.execute(sql, tuple(names))}
    return [
        (name, _schedule_of(found[name][1]), int(found[name][2])) for name in names if name in found
    ]


@lru_cache(maxsize=1000)
def _schedule_of(text: str) -> Schedule:
    return from_json(text, Schedule)
