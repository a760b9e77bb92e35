"""Sums, means and standard deviations of floats: the exact ones, rounded once, also where what is added up on the way is beyond all
floats, or too small to be one; whatever a window is bounded by, however its rows come, and on tables with pages."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Annotated, Any

import pytest

import motion
from tests.conftest import OpenStore

SECOND = timedelta(seconds=1)

LARGEST = 1.7976931348623157e308

EXTREMES = [
    1e308,
    1e308,
    -1e308,
    LARGEST,
    -LARGEST,
    5e-324,
    -5e-324,
    2.5e-320,
    0.1,
    0.2,
    0.3,
    1e16,
    -1e16,
    1.0,
    3.3,
    -0.7,
]


def window(agg: Any, **bounds: Any) -> Any:
    return motion.Window("reading.value", by="place", agg=agg, **bounds)


@dataclass
class Reading:
    id: int
    ts: int
    place: int
    value: float
    total: Annotated[float, window("sum")]
    mean: Annotated[float, window("mean")]
    spread: Annotated[float, window("std")]
    total_of_3: Annotated[float, window("sum", rows=3)]
    mean_of_3: Annotated[float, window("mean", rows=3)]
    spread_of_3: Annotated[float, window("std", rows=3)]
    mean_of_40: Annotated[float, window("mean", rows=40)]
    total_of_40: Annotated[float, window("sum", rows=40)]
    lately: Annotated[float, window("mean", within=SECOND)]


def rounded(exact: Fraction) -> float:
    try:
        return exact.numerator / exact.denominator + 0.0
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def total(held: Sequence[float]) -> float | None:
    if not all(map(math.isfinite, held)):
        found = sum(each for each in held if math.isinf(each))
        return None if math.isnan(found) else found
    return rounded(sum(map(Fraction, held), Fraction(0)))


def mean(held: Sequence[float]) -> float | None:
    if not held or not all(map(math.isfinite, held)):
        return total(held) if held else None
    return rounded(sum(map(Fraction, held), Fraction(0)) / len(held))


def spread(held: Sequence[float]) -> float | None:
    """Return the standard deviation, to 100 digits before it is rounded."""
    if len(held) < 2 or not all(map(math.isfinite, held)):
        return None
    middle = sum(map(Fraction, held), Fraction(0)) / len(held)
    square = sum(((Fraction(each) - middle) ** 2 for each in held), Fraction(0)) / (len(held) - 1)
    shift = 1 << 4000
    return rounded(
        Fraction(math.isqrt(square.numerator * shift * shift // square.denominator), shift)
    )


def check(store: motion.Store, values: Sequence[float]) -> None:
    store.wait(timeout=60)
    assert not store.errors()
    for i, row in enumerate(store.rows("reading", order_by="id")):
        held, last_3, last_40 = values[:i], values[max(0, i - 3) : i], values[max(0, i - 40) : i]
        lately = values[max(0, i - 9) : i]  # one each 100 ms
        assert (row.total, row.mean, row.spread) == (total(held), mean(held), spread(held)), held
        assert (row.total_of_3, row.mean_of_3) == (total(last_3), mean(last_3)), last_3
        assert row.spread_of_3 == spread(last_3), last_3
        assert (row.total_of_40, row.mean_of_40) == (total(last_40), mean(last_40)), last_40
        assert row.lately == mean(lately), lately


def rows_of(values: Sequence[float]) -> list[dict[str, Any]]:
    return [{"id": i, "ts": 100 * i, "place": 1, "value": value} for i, value in enumerate(values)]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("has_infinite", [False, True])
def test_what_windows_come_to_is_exact_before_it_is_rounded(
    open_store: OpenStore, seed: int, has_infinite: bool
) -> None:
    rng = random.Random(seed)
    values = rng.choices(EXTREMES, k=60)
    if has_infinite:
        values[rng.randrange(40)] = math.inf
        values[rng.randrange(60)] = -math.inf
    store = open_store(schemas={"reading": Reading}, run=True)
    rows = rows_of(values)
    late = set(rng.sample(range(60), 15))
    store.set_many("reading", [row for row in rows if row["id"] not in late])
    for id in late:
        store.set("reading", **rows[id])
    check(store, values)
    values[5], values[20] = 1e308, LARGEST
    store.set("reading", id=5, value=1e308)
    store.set("reading", id=20, value=LARGEST)
    check(store, values)


def test_rows_that_come_one_by_one_have_the_same(open_store: OpenStore) -> None:
    values = [1e308, 1e308, 1e308, -1e308, -1e308, -1e308, 5e-324, 0.1, 0.2, 0.3]
    store = open_store(schemas={"reading": Reading}, run=True)
    for row in rows_of(values):
        store.set("reading", **row)
    check(store, values)


@dataclass
class Query:
    id: int
    ts: int
    place: int
    page: int
    value: float
    total: Annotated[float, motion.Window("query.value", by="place", agg="sum")]
    mean: Annotated[float, motion.Window("query.value", by="place", agg="mean")]


def test_pages_have_the_same(open_store: OpenStore) -> None:
    store = open_store(schemas={"query": Query}, run=True)
    values = [1e308, 1e308, -1e308, LARGEST, 0.1, 0.2, 0.3, -5e-324]
    store.set("query", id=1, ts=1, place=1, value=values[0])
    for page, value in enumerate(values[1:], 1):
        store.set("query", id=1, page=page, value=value)
    store.wait(timeout=60)
    for i, row in enumerate(store.rows("query", id=1)):
        assert (row.total, row.mean) == (total(values[:i]), mean(values[:i])), i


def test_the_mean_of_ints_is_rounded_once_too(open_store: OpenStore) -> None:
    @dataclass
    class Count:
        id: int
        place: int
        n: int
        mean: Annotated[float, motion.Window("count.n", by="place", agg="mean")]

    store = open_store(schemas={"count": Count}, run=True)
    numbers = [2**63 - 1, 2**63 - 1, 1, -(2**63 - 1), 3, 2**53 + 1]
    store.set_many("count", [{"id": i, "place": 1, "n": n} for i, n in enumerate(numbers)])
    store.wait(timeout=60)
    means = [row.mean for row in store.rows("count", order_by="id")]
    assert means == [None, *(sum(numbers[:i]) / i for i in range(1, len(numbers)))]
