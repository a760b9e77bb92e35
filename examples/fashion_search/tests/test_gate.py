"""The gate: what counts as a gain, and what is chance."""

from __future__ import annotations

import numpy as np
import pytest

from fashion_search.gate import NEEDED, Pairs, compared, interval, measured, rounds_for, thinned
from fashion_search.heads import Heads, Recipe

DIM = 16


@pytest.fixture(scope="module")
def old() -> Heads:
    return Heads.new("tiny", 4, DIM, DIM)


def pairs(count: int, seed: int = 0) -> Pairs:
    """Things whose pictures tell them apart, and whose texts do not: only learning the pictures helps."""
    things = np.random.default_rng(seed).standard_normal((count, DIM))
    asked = np.concatenate([np.ones((count, 4)), things[:, 4:]], axis=1).astype(np.float16)
    told = np.ones((count, DIM), np.float16)
    return Pairs((2 * things).astype(np.float16), told, ["x"] * count, asked, 0.75)


@pytest.fixture(scope="module")
def new(old: Heads) -> Heads:
    seen = pairs(600, seed=1)
    assert seen.asked is not None
    return old.fitted(seen.pictures, seen.asked, Recipe(epochs=12, batch=200, soft=0.0))


def test_a_gain_on_many_pairs_is_proven(old: Heads, new: Heads) -> None:
    gain = compared(old, new, [pairs(NEEDED)])
    assert gain.pairs == NEEDED
    assert 0 < gain.low < gain.mean < gain.high


def test_the_same_gain_on_a_few_pairs_is_not(old: Heads, new: Heads) -> None:
    gain = compared(old, new, [pairs(NEEDED - 1)])
    assert gain.mean > 0
    assert gain.low < 0 < gain.high


def test_no_change_is_no_gain(old: Heads) -> None:
    gain = compared(old, old, [pairs(NEEDED)])
    assert (gain.mean, gain.low, gain.high) == (0, 0, 0)


def test_a_loss_is_no_gain(old: Heads, new: Heads) -> None:
    assert compared(new, old, [pairs(NEEDED)]).high < 0


def test_few_products_are_asked_for_several_times_but_not_without_end() -> None:
    assert [rounds_for(count) for count in (2_000, 500, 180, 100, 10)] == [1, 1, 3, 5, 5]


def test_the_figures_are_of_all_rounds(old: Heads) -> None:
    found = measured(old, [pairs(40), pairs(40, seed=2)])
    assert found["pairs"] == 80
    assert 0 < found["recall_at_1"] <= found["mrr"] <= found["recall_at_10"] <= 1


def test_a_summarys_words_stay_or_are_asked_for_and_none_is_lost() -> None:
    summary = "Puma men black cotton t-shirt"
    [shown], [asked] = thinned([summary])
    assert sorted([*shown.split(), *asked.split()]) == sorted(summary.split())
    assert len(asked.split()) == 3
    assert thinned([summary]) == ([shown], [asked])
    assert len({thinned([summary], turn)[1][0] for turn in range(5)}) > 1


def test_an_interval_holds_the_mean_and_narrows_with_more_values() -> None:
    values = np.random.default_rng(0).standard_normal(2_000)
    low, high = interval(values)
    few_low, few_high = interval(values[:50])
    assert low < values.mean() < high
    assert high - low < few_high - few_low
