"""Schedules: when something runs by itself. Values only; what keeps time is the scheduler's, what was kept the store's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from motion.definitions.triggers.options import LONGEST_S
from motion.definitions.values.plain import is_number
from motion.errors import TriggerError, shortened

SHORTEST_MS = 100
"""A schedule more frequent than this is a loop: it belongs into a program, not into a table of a database."""


UNITS_S = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}

CORRECTED_MS = 60_000
"""How far a clock is put back in the course of keeping time, at most."""


@dataclass(frozen=True)
class Schedule:
    """When something runs by itself: by a cron expression in a time zone, or at a fixed interval. Made by `cron` and
    `every`; plain data, so it is kept with the store.

    Attributes:
        expression: a cron expression, None for an interval.
        tz: the time zone that the expression is read in.
        interval_ms: milliseconds between two occurrences, None for an expression.
    """

    expression: str | None = None
    tz: str = "UTC"
    interval_ms: int | None = None

    def __str__(self) -> str:
        if self.interval_ms is not None:
            return f"every {self.interval_ms / 1000:g} s"
        return f"cron {self.expression!r} in {self.tz}"

    def next_ms(self, now_ms: int, since_ms: int) -> int:
        """Return the first occurrence after `now_ms`, in milliseconds since the epoch, UTC.

        Args:
            since_ms: an occurrence before, or when the schedule began: intervals are counted from here, so that a late
                look does not shift those that follow. Cron expressions do not need it.
        """
        if self.interval_ms is not None:
            return since_ms + (max(now_ms - since_ms, 0) // self.interval_ms + 1) * self.interval_ms
        zone = UTC if self.tz == "UTC" else ZoneInfo(self.tz)
        now = datetime.fromtimestamp(now_ms / 1000, zone)
        # In the hour that a change from summer time repeats, it names moments of the first pass, which are over in the second.
        named = (round(at.timestamp() * 1000) for at in CronSim(self.expression or "", now))
        return next(each for each in named if each > now_ms)

    def put_right_ms(self, now_ms: int, next_ms: int) -> int:
        """Return when it occurs next, where `next_ms` was found when the clock may have been ahead of what it is now.

        No interval is waited for longer than once. What a cron expression names is taken again where the clock was put
        back by more than a minute to before it; by less, it was corrected by a little, and nothing is to run twice.
        """
        if self.interval_ms is not None:
            return min(next_ms, now_ms + self.interval_ms)
        following = self.next_ms(now_ms, now_ms)
        if following >= next_ms:
            return next_ms
        is_last_taken = self.next_ms(following, following) == next_ms
        return next_ms if is_last_taken and following - now_ms <= CORRECTED_MS else following


def cron(expression: str, *, tz: str = "UTC") -> Schedule:
    """Return the schedule of a cron expression, such as `cron("0 9 * * MON-FRI", tz="Europe/Berlin")`.

    Args:
        expression: minute, hour, day of month, month and day of week, or six fields with seconds in front; `*`, `,`,
            `-`, `/`, names of days and months, `L` (last) and `#` (nth weekday). As in Debian's cron, a fixed hour that
            a change to summer time skips runs right after it, and one that it repeats runs once.
        tz: an IANA time zone.

    Raises:
        TriggerError: the expression cannot be read or never occurs, or there is no such time zone.
    """
    if not isinstance(expression, str):
        raise TriggerError(
            f"cron takes an expression such as '0 * * * *', not {shortened(expression)}."
        )
    schedule = Schedule(expression, tz)
    try:
        if not isinstance(tz, str):
            raise TypeError
        schedule.next_ms(0, 0)
    except CronSimError as exc:
        raise TriggerError(
            f"the cron expression {expression!r} cannot be read: {str(exc).lower()}. It has five fields, minute, hour, "
            f"day of month, month and day of week, such as '0 9 * * MON-FRI', or six with seconds in front."
        ) from exc
    except StopIteration:
        raise TriggerError(
            f"the cron expression {expression!r} names a moment that never comes."
        ) from None
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as exc:
        raise TriggerError(
            f"there is no time zone {shortened(tz)}; IANA names such as 'Europe/Berlin' are allowed. Where the system has "
            f"none at all, 'pip install tzdata' brings them."
        ) from exc
    return schedule


def seconds_of(function: str, given: Mapping[str, float]) -> float:
    """Return the time that units of it make together, or raise `TriggerError` in the words of the function that takes them."""
    for unit, value in given.items():
        if not is_number(value):
            raise TriggerError(f"{function}({unit}=) takes a number, not {shortened(value)}.")
    return sum(UNITS_S[unit] * value for unit, value in given.items())


def every(*, seconds: float = 0, minutes: float = 0, hours: float = 0, days: float = 0) -> Schedule:
    """Return the schedule of an interval, such as `every(minutes=10)`. It is counted from when the store first sees it.

    Raises:
        TriggerError: it is no number, or shorter than 0.1 s in all.
    """
    given = {"seconds": seconds, "minutes": minutes, "hours": hours, "days": days}
    total = seconds_of("every", given)
    if not SHORTEST_MS / 1000 <= total <= LONGEST_S:
        shown = ", ".join(f"{unit}={value!r}" for unit, value in given.items() if value)
        raise TriggerError(
            f"every({shown}) is {total:g} s; the shortest interval is {SHORTEST_MS / 1000:g} s, and the longest {LONGEST_S} s."
        )
    return Schedule(interval_ms=round(1000 * total))
