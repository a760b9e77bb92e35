"""Simulated shoppers: what they click, what is measured of it, and a short run of the whole loop."""

from __future__ import annotations

import shutil
from pathlib import Path
from xml.etree import ElementTree as Xml

import numpy as np
import pytest

from fashion_search.heads import Gain, Heads
from fashion_search.judged import Judged, gained, is_held_out, proves
from fashion_search.learn import RECIPE, Learned, Learning
from fashion_search.pipeline import open_store
from fashion_search.plots import write_course
from fashion_search.simulated import WISHES, WORDS, shoppers
from fashion_search.tables import RetailerSchema


@pytest.fixture(scope="module")
def learned(drawn_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Learned:
    """What came of sixty visits."""
    folder = shutil.copytree(drawn_store, tmp_path_factory.mktemp("learn") / "shop.motion")
    with open_store(folder, durability="normal", ideas=1, recipe=RECIPE) as store:
        return Learning(store, sessions=60, people=2, seed=1).run()


def test_the_loop_runs_by_itself(learned: Learned) -> None:
    assert len(learned.course) == 60
    assert learned.judged > 24
    assert len(learned.versions) > 1, "feedback led to a fit"
    assert all(each.status in ("live", "retired", "refused") for each in learned.versions)


def test_shares_are_of_places_and_intervals_are_around_what_was_gained(learned: Learned) -> None:
    for change in (learned.meant, learned.fits, learned.fits_without_taste):
        assert 0 <= change.before <= 1
        assert 0 <= change.after <= 1
        assert change.low <= change.after - change.before + 1e-9
        assert change.after - change.before <= change.high + 1e-9
    assert learned.fits.before <= learned.meant.before, "what fits is what was meant, and more"


def test_the_plot_shows_the_course_and_each_switch(tmp_path: Path) -> None:
    path = tmp_path / "course.svg"
    write_course(path, [0.1] * 50 + [0.3] * 50, [(0, 1), (60, 2)], "a <b> & c")
    drawn = Xml.parse(path).getroot()
    texts = [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert "a <b> & c" in texts
    assert {"v1", "v2"} <= set(texts)
    [line] = drawn.iter("{http://www.w3.org/2000/svg}polyline")
    heights = [float(point.split(",")[1]) for point in (line.get("points") or "").split()]
    assert heights[-1] < heights[0], "up is more"


def test_a_shopper_takes_what_they_asked_for_in_their_colours_at_their_price(
    drawn_store: Path,
) -> None:
    with open_store(drawn_store, run=False) as store:
        products = store.rows(RetailerSchema, keys=["id", "title", "price", "labels"])
    [wish] = [each for each in WISHES if each.text == "tee"]
    for who in shoppers(20, np.random.default_rng(0)):
        taken = [each for each in products if who.would_take(wish, each)]
        assert {each.labels["category"] for each in taken} <= {"t-shirt"}
        assert all(each.price is None or each.price <= who.budget for each in taken)
    everybody = shoppers(200, np.random.default_rng(0))
    assert any(who.would_take(wish, each) for who in everybody for each in products)


def test_what_is_measured_by_was_never_asked_in_a_visit() -> None:
    asked, kept = ({e.text for e in WISHES if e.is_kept_back is back} for back in (False, True))
    assert not asked & kept
    assert len(kept) > len(WORDS)
    assert 0.1 < np.mean([is_held_out(each) for each in asked]) < 0.3


# -- the gate --


def of_two_sorts(noise: float, wishes: int = 40, seed: int = 0) -> Judged:
    """Return wishes with four answers each, two of them liked: those whose picture is what was asked for."""
    rng = np.random.default_rng(seed)
    kinds = rng.standard_normal((wishes, 8)).astype(np.float32)
    liked = np.tile([True, True, False, False], wishes)
    at = np.repeat(np.arange(wishes), 4)
    others = rng.permutation(wishes)
    pictures = kinds[np.where(liked, at, others[at])] + noise * rng.standard_normal((len(at), 8))
    return Judged(
        pictures.astype(np.float32), np.ones((len(at), 8), np.float32), at, liked, kinds, 0.75
    )


def heads(seed: int) -> Heads:
    return Heads.new("any", 8, 8, 8, seed) if seed else Heads.untouched("any", 8)


def test_a_version_that_puts_liked_above_not_liked_has_gained() -> None:
    said = of_two_sorts(0.3, wishes=160)
    gain = gained(heads(1), heads(0), said)
    assert gain.pairs >= 500
    assert 0 < gain.low <= gain.mean <= gain.high
    back = gained(heads(0), heads(1), said)
    assert back.mean == pytest.approx(-gain.mean)
    assert back.high < 0


@pytest.mark.parametrize("said", [None, of_two_sorts(0.3, wishes=15)], ids=["nothing", "little"])
def test_little_that_was_said_proves_nothing(said: Judged | None) -> None:
    gain = gained(heads(1), heads(0), said)
    assert (gain.low, gain.high) == (-1.0, 1.0)


def test_a_gain_by_one_measure_does_not_make_up_for_a_loss_by_the_other() -> None:
    up, down, unknown = (
        Gain(500, 0.1, 0.05, 0.2),
        Gain(500, -0.1, -0.2, -0.05),
        Gain(9, 0, -1.0, 1.0),
    )
    assert proves((up, unknown))
    assert proves((unknown, up))
    assert not proves((up, down))
    assert not proves((unknown, unknown))
