"""Delays: what runs a while after a row's time. What is declared, as values; when it is due, the store keeps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from motion.definitions.tables.schema import Key, Tables
from motion.definitions.triggers.options import LONGEST_S
from motion.definitions.triggers.schedules import seconds_of
from motion.errors import SchemaError, TriggerError, shortened


@dataclass(frozen=True)
class After:
    """`on=motion.after("impression.ts", minutes=30)`: so long after the time that a key of a row holds."""

    path: str
    delay_ms: int


def after(
    key: str, *, seconds: float = 0, minutes: float = 0, hours: float = 0, days: float = 0
) -> After:
    """Run a trigger on a row so long after its time: `@motion.trigger(on=motion.after("impression.ts", minutes=30))`.

    It is for what did *not* happen: its parameters are read when the time has come. It runs once for each time that the
    key is set to; where the key is set anew before, at the new time only, and where it is unset, its output is too. A row
    that comes when its time is over runs at once, and so do rows whose time came while no process ran.

    Args:
        key: "table.key", of type int, in milliseconds since the epoch, or datetime, of which one without a zone is UTC.

    Raises:
        TriggerError: the delay is no number, or below 0.
    """
    if not isinstance(key, str):
        raise TriggerError(f"after takes a key, such as 'impression.ts', not {shortened(key)}.")
    given = {"seconds": seconds, "minutes": minutes, "hours": hours, "days": days}
    total = seconds_of("after", given)
    if not 0 <= total <= LONGEST_S:
        raise TriggerError(
            f"after({key!r}) is to run {total:g} s later; it takes 0 s or more, and at most {LONGEST_S} s."
        )
    return After(key, round(1000 * total))


def key_of(given: After, tables: Tables) -> Key:
    """Return the key that holds a row's time, or raise `SchemaError`."""
    key = tables.key(given.path)
    if key.codec.expected not in ("int", "datetime"):
        raise SchemaError(
            f"motion.after({given.path!r}) takes a key that holds a time, an int of milliseconds or a datetime, and that is "
            f"{key.codec.expected}."
        )
    return key


def stored_time(at_ms: int, *, is_text: bool) -> int | str:
    """Return a moment, in milliseconds since the epoch, as a key that holds times stores it: a datetime as text."""
    if not is_text:
        return at_ms
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="microseconds")


def time_ms(stored: int | str) -> int:
    """Return the moment that a stored time is, in milliseconds since the epoch."""
    if isinstance(stored, int):
        return stored
    moment = datetime.fromisoformat(stored)
    return round(1000 * (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
