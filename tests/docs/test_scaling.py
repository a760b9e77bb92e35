"""The simulation behind the page on scaling, held to what is known of its ends."""

from __future__ import annotations

import pytest

from benchmarks.scaling import Held, rows_a_second

HELD = Held(claim=0.5e-3, row=5e-6, flush=0.5e-3)


def test_one_worker_waits_for_nobody() -> None:
    alone = 8 / (0.02 + HELD.by(8))
    assert rows_a_second(1, 8, 0.02, HELD) == pytest.approx(alone, rel=0.02)


def test_few_workers_do_as_many_times_as_much_and_many_no_more_than_the_lock_allows() -> None:
    one, four = (rows_a_second(count, 32, 2.0, HELD) for count in (1, 4))
    assert four / one == pytest.approx(4, rel=0.02)
    most = HELD.most_rows_s(8)
    assert rows_a_second(1_000, 8, 0.02, HELD) == pytest.approx(most, rel=0.02)
    assert rows_a_second(16, 8, 0.02, HELD) <= most * 1.001
