"""Soak: a short run through the command, and that each thing which is lost or counted twice is found."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import motion
from fashion_search.__main__ import app
from fashion_search.pipeline import open_store
from fashion_search.soak import Load, Soak
from fashion_search.tables import OpinionSchema, QuerySchema, ShopperSchema


def test_a_short_soak_by_the_command_loses_nothing() -> None:
    result = CliRunner().invoke(
        app, "soak --minutes 0.15 --rate 12 --people 5 --products 60 --json".split()
    )
    told = json.loads(result.stdout)
    held = {check["what"]: check["holds"] for check in told["checks"]}
    # On cores that are busy with something else a rate is not held, and that is no fault.
    rate = held.pop("the rate was held")
    assert {what for what, holds in held.items() if holds is False} == set()
    assert result.exit_code == (0 if rate else 1)
    assert {what for what, holds in held.items() if holds is None} >= {
        "the shop's memory is flat",
        "that of all its processes is flat",
    }, "nine seconds tell nothing of memory"
    assert 60 < told["asked"] < 160
    assert 0 < told["took_s"][0] <= told["took_s"][1] <= told["took_s"][2] <= told["worst_s"]
    assert told["judged"] > 0


@pytest.fixture
def store(a_store: Path) -> Iterator[motion.Store]:
    with open_store(a_store, durability="normal", ideas=1) as opened:
        yield opened


def lose_an_answer(store: motion.Store) -> None:
    store.delete("query", store.rows(QuerySchema, order_by="id", limit=1)[0].id)


def lose_a_link(store: motion.Store) -> None:
    store.set(store.rows(QuerySchema, where="link IS NOT NULL", limit=1)[0], link=None)


def lose_a_verdict(store: motion.Store) -> None:
    store.set(store.rows(QuerySchema, where="feedback IS NOT NULL", limit=1)[0], feedback=None)


def count_a_verdict_twice(store: motion.Store) -> None:
    said = store.rows(OpinionSchema, limit=1)[0]
    taste = dict(store.get(ShopperSchema, said.shopper).taste)  # type: ignore[union-attr]
    yes, no = taste[said.traits[0]]
    store.set("shopper", id=said.shopper, taste={**taste, said.traits[0]: [yes + 1, no]})


def give_a_row_up(store: motion.Store) -> None:
    store.set("query", query="robe rouge pour femme")
    store.wait()


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (lose_an_answer, "every question has its answer"),
        (lose_a_link, "every picture has its link"),
        (lose_a_verdict, "every verdict is kept"),
        (count_a_verdict_twice, "tastes count each verdict once"),
        (give_a_row_up, "no row was given up"),
    ],
)
def test_what_is_lost_or_counted_twice_is_found(
    store: motion.Store, harm: Callable[[motion.Store], None], what: str
) -> None:
    soak = Soak(store, Load(seconds=1.5, rate=40, people=2))
    assert all(check.holds is not False for check in soak.run().checks[1:])
    harm(store)
    assert what in {check.what for check in soak.left() if not check.holds}


def test_questions_come_by_the_clock_at_their_rate() -> None:
    due = Load(seconds=1_000, rate=50).times()
    assert len(due) == pytest.approx(50_000, rel=0.02)
    assert due[0] >= 0
    assert due[-1] < 1_000
    gaps = np.diff(due)
    assert gaps.min() >= 0
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05), "a Poisson process has no rhythm"
    assert len(Load(seconds=0.001, rate=0.1).times()) == 1
