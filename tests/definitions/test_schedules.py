"""Schedules as values: when they occur, and which are refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import motion

MOMENTS = st.integers(0, 4_000_000_000_000)


def ms(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def local(moment_ms: int, zone: str) -> datetime:
    return datetime.fromtimestamp(moment_ms / 1000, ZoneInfo(zone))


def test_a_cron_expression_is_read_in_utc() -> None:
    now = ms("2026-11-23T16:10:00")
    assert motion.cron("0 * * * *").next_ms(now, now) == ms("2026-11-23T17:00:00")
    assert motion.cron("0 9 * * MON-FRI").next_ms(now, now) == ms("2026-11-24T09:00:00")


def test_a_cron_expression_is_read_in_the_time_zone_given() -> None:
    now = ms("2026-07-01T00:00:00")
    found = motion.cron("0 9 * * *", tz="Europe/Berlin").next_ms(now, now)
    assert found == ms("2026-07-01T07:00:00")


def test_a_daily_hour_occurs_once_on_each_day_of_a_change_of_clocks() -> None:
    daily = motion.cron("30 2 * * *", tz="Europe/Berlin")
    for day in (
        "2026-03-29",
        "2026-10-25",
    ):  # the hour is skipped on the first, and comes twice on the second
        start = round(
            datetime.fromisoformat(day).replace(tzinfo=ZoneInfo("Europe/Berlin")).timestamp() * 1000
        )
        first = daily.next_ms(start, start)
        second = daily.next_ms(first, first)
        assert local(first, "Europe/Berlin").date().isoformat() == day
        assert local(second, "Europe/Berlin").date() == local(
            first, "Europe/Berlin"
        ).date() + timedelta(days=1)


@given(MOMENTS, st.sampled_from(["* * * * *", "*/7 3 * * *", "0 0 1 * *", "15 10 * * * *"]))
def test_the_next_occurrence_is_the_first_one_after_now(now: int, expression: str) -> None:
    schedule = motion.cron(expression)
    found = schedule.next_ms(now, 0)
    assert found > now
    assert schedule.next_ms(found - 1, 0) == found
    assert schedule.next_ms((now + found) // 2, 0) == found


@given(MOMENTS, MOMENTS, st.integers(100, 10**9))
def test_intervals_are_counted_from_the_last_occurrence_however_late_it_is_looked(
    since: int, now: int, interval: int
) -> None:
    found = motion.every(seconds=interval / 1000).next_ms(now, since)
    assert found > now
    assert found > since
    assert (found - since) % interval == 0
    assert found - interval <= max(now, since)


def test_units_of_an_interval_add_up() -> None:
    assert motion.every(days=1, hours=1, minutes=1, seconds=0.5).interval_ms == 90_060_500


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("61 * * * *", "'61 \\* \\* \\* \\*' cannot be read: bad minute"),
        ("hourly", "wrong number of fields"),
        ("", "wrong number of fields"),
        ("0 0 30 2 *", "'0 0 30 2 \\*'"),
        ("0 0 * 2 MON#6", "bad day-of-week"),
        (7, "takes an expression"),
    ],
)
def test_a_wrong_expression_is_refused_where_it_is_written(expression: Any, said: str) -> None:
    with pytest.raises(motion.TriggerError, match=said):
        motion.cron(expression)


@pytest.mark.parametrize("tz", ["Europe/Atlantis", "", "../etc/passwd", "Europe", None])
def test_a_time_zone_that_is_none_is_refused(tz: Any) -> None:
    with pytest.raises(motion.TriggerError, match="no time zone"):
        motion.cron("0 9 * * *", tz=tz)


@pytest.mark.parametrize(
    "given", [{}, {"seconds": 0.01}, {"minutes": -1}, {"hours": "2"}, {"days": float("inf")}]
)
def test_a_wrong_interval_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(motion.TriggerError, match="every"):
        motion.every(**given)
