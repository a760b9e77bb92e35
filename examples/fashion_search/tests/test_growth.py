"""Growth: a leak is told from noise, what happens first does not count, and a short run tells nothing."""

from __future__ import annotations

import numpy as np
import pytest

from fashion_search.growth import FLAT_MB_PER_HOUR, growth, weighed

SECONDS = np.arange(0.0, 3_600.0)


def samples(per_hour: float, noise_mb: float = 20.0) -> list[float]:
    """Return an hour's memory, with fits that come and go beside it."""
    rng = np.random.default_rng(0)
    fits = 400.0 * (SECONDS % 45 < 20)
    return list(
        1_000 + per_hour * SECONDS / 3_600 + fits + noise_mb * rng.standard_normal(len(SECONDS))
    )


def test_what_comes_and_goes_is_flat() -> None:
    line = growth(SECONDS.tolist(), samples(0.0))
    assert line.is_flat
    assert line.low < 0 < line.high < FLAT_MB_PER_HOUR
    assert line.mb == pytest.approx(1_178, abs=20)


def test_a_leak_of_a_kilobyte_for_each_of_fifty_questions_a_second_is_found() -> None:
    line = growth(SECONDS.tolist(), samples(180.0))
    assert line.is_flat is False
    assert line.low < 180 < line.high
    assert line.low > FLAT_MB_PER_HOUR


def test_what_fills_in_the_first_minutes_is_no_leak() -> None:
    filling = 600 * np.minimum(SECONDS / 500, 1)
    assert growth(SECONDS.tolist(), list(samples(0.0) + filling)).is_flat


@pytest.mark.parametrize("seconds", [0, 3, 300])
def test_a_short_run_tells_nothing(seconds: int) -> None:
    assert growth(SECONDS[:seconds].tolist(), samples(10_000.0)[:seconds]).is_flat is None


def test_children_are_weighed_too() -> None:
    alone, together = weighed()
    assert 10 < alone <= together
