"""Fits give the same wherever a component's jobs run: here in a process of this machine, and in `executors/test_ray_fits.py` on a
cluster."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import motion
from tests.conftest import OpenStore, pause, until


@dataclass
class Item:
    id: int
    text: str
    label: str
    answer: int


@dataclass
class Known:
    """What a component has learned, and where that was."""

    lessons: list[str]
    weights: np.ndarray[Any, Any]
    places: list[str]


def place_here() -> str:
    """Return where code runs."""
    if (ray := sys.modules.get("ray")) is None or not ray.is_initialized():
        return "a process"
    is_worker = ray.get_runtime_context().worker.mode == ray.WORKER_MODE
    return "a cluster" if is_worker else "a process"


def do_mischief(label: str) -> None:
    """Do what a label says, if it says anything."""
    word, _, sign = label.partition(" ")
    if word == "raise":
        raise ValueError("this cannot be learned")
    if word == "hang" or (word == "once" and not Path(sign).exists()):
        Path(sign).touch()
        motion.progress(3, 10, loss=0.5)
        while Path(sign).exists():
            pause()


class Pupil(motion.Component):
    """It learns labels."""

    def setup(self) -> Known:
        return Known([], np.zeros(1000), [place_here()])

    @motion.infer(on="item.text", sets="item.answer", executor="process")
    def answer(self, state: Known, text: str) -> int:
        return len(state.lessons)

    @motion.fit(on="item.label", timeout=60, holdout=0.3, promote=motion.if_better("lessons"))
    def learn(self, state: Known, rows: list[Item]) -> Known:
        for row in rows:
            do_mischief(row.label)
        lessons = [*state.lessons, *(f"{row.id}={row.label}" for row in rows)]
        return Known(lessons, state.weights + len(rows), [*state.places, place_here()])

    def evaluate(self, state: Known, rows: list[Item], store: motion.View) -> dict[str, float]:
        assert rows, "none is held out"
        held = [store.get(Item, row.id) for row in rows]
        assert [each and each.label for each in held] == [row.label for row in rows]
        return {"lessons": len(state.lessons), "on a cluster": place_here() == "a cluster"}


class Hasty(Pupil):
    """The same, whose fit may take a second."""

    @motion.fit(on="item.label", timeout=1)
    def learn(self, state: Known, rows: list[Item]) -> Known:
        return super().learn(state, rows)


class Waits(Pupil):
    """The same, whose `infer` waits for the first fit."""

    setup = motion.Component.setup

    @motion.fit(on="item.label")
    def learn(self, state: Known | None, rows: list[Item]) -> Known:
        return super().learn(state or Known([], np.zeros(1000), []), rows)


@pytest.fixture
def at() -> Callable[[type[Pupil]], Pupil]:
    """Return a component of a class, whose jobs run where they are to be tried."""
    return lambda kind: kind()


@pytest.fixture
def place() -> str:
    return "a process"


At = Callable[[type[Pupil]], Pupil]


def opened(open_store: OpenStore, component: Pupil) -> motion.Store:
    return open_store(schemas={"item": Item}, triggers=[component])


def taught(store: motion.Store, first: int, *labels: str) -> set[str]:
    """Set labels of rows from `first` on, and return them as lessons."""
    ids = range(first, first + len(labels))
    store.set_many("item", [{"id": i, "label": x} for i, x in zip(ids, labels, strict=True)])
    return {f"{i}={x}" for i, x in zip(ids, labels, strict=True)}


def fitted(store: motion.Store, name: str) -> motion.StateVersion:
    """Have a fit made, and return what came of it."""
    store.model(name).fit().wait(timeout=250, raise_errors=False)
    return store.model(name).versions()[-1]


def state_of(store: motion.Store, name: str) -> Known:
    with store.model(name).live() as (state, _):
        assert isinstance(state, Known)
        return state


LABELS = [f"t{i}" for i in range(12)]


def test_a_version_is_learned_measured_and_goes_live_where_infer_runs(
    open_store: OpenStore, at: At, place: str
) -> None:
    store = opened(open_store, at(Pupil))
    row = store.set("item", id=100, text="a").wait(timeout=250).rows()[0]
    assert row.answer == 0
    given = taught(store, 1, *LABELS)
    made = fitted(store, "Pupil")
    state = state_of(store, "Pupil")
    assert (made.number, made.status) == (2, "live")
    assert set(state.lessons) < given
    assert made.metrics["lessons"] == len(state.lessons) == made.rows
    assert made.metrics["on a cluster"] == (place == "a cluster")
    assert state.places[-1] == place
    assert state.weights.tolist() == [len(state.lessons)] * 1000
    assert store.set("item", id=101, text="a").wait(timeout=250).rows()[0].answer == made.rows


def test_p8_what_a_fit_raises_is_a_failed_fit_whose_labels_the_next_learns(
    open_store: OpenStore, at: At
) -> None:
    store = opened(open_store, at(Waits))
    assert "raise" in "".join(taught(store, 1, "raise", *LABELS))
    failed = fitted(store, "Waits")
    assert failed.status == "failed"
    assert "this cannot be learned" in failed.metrics["reason"]
    assert "in learn" in failed.metrics["traceback"]
    store.set("item", id=1, label="right")
    assert fitted(store, "Waits").status == "live"
    assert len(state_of(store, "Waits").lessons) == 13
    taught(store, 50, "more")
    assert fitted(store, "Waits").rows == 1


def test_p8_a_fit_that_takes_too_long_is_ended(
    open_store: OpenStore, at: At, tmp_path: Path
) -> None:
    store = opened(open_store, at(Hasty))
    taught(store, 1, f"hang {tmp_path / 'sign'}")
    failed = fitted(store, "Hasty")
    assert "longer than its timeout of 1 s" in failed.metrics["reason"]
    store.set("item", id=1, label="a")
    assert fitted(store, "Hasty").status == "live"


def test_the_progress_of_a_fit_shows_and_labels_meanwhile_are_for_the_next(
    open_store: OpenStore, at: At, tmp_path: Path
) -> None:
    store, sign = opened(open_store, at(Waits)), tmp_path / "sign"
    taught(store, 1, f"hang {sign}")
    asked = store.model("Waits").fit()
    until(store, lambda: store.model("Waits").progress is not None, 250)
    told = store.model("Waits").progress
    assert told is not None
    assert (told.step, told.total, told.figures) == (3, 10, {"loss": 0.5})
    taught(store, 2, "b")
    store.model("Waits").fit()
    sign.unlink()
    asked.wait(timeout=250)
    store.wait(timeout=250)
    assert [each.rows for each in store.model("Waits").versions()] == [1, 1]
    assert state_of(store, "Waits").lessons == [f"1=hang {sign}", "2=b"]


def test_a_fit_that_is_under_way_at_close_is_ended_and_made_at_the_next_start(
    open_store: OpenStore, at: At, tmp_path: Path
) -> None:
    store = opened(open_store, at(Waits))
    taught(store, 1, f"once {tmp_path / 'sign'}")
    store.model("Waits").fit()
    until(store, (tmp_path / "sign").exists, 250)
    store.close()
    store = opened(open_store, at(Waits))
    store.wait(timeout=250)
    assert [(each.number, each.status) for each in store.model("Waits").versions()] == [(1, "live")]
    assert len(state_of(store, "Waits").lessons) == 1


# -- what is written through the store of a fit --

WRITES: dict[str, Callable[[motion.View], object]] = {
    "set": lambda store: store.set(Item, id=1, text="written"),
    "set with force": lambda store: store.set("item", id=1, text="written", force=True),
    "set of what is wrong": lambda store: store.set("nothing", id=1),
    "set_many": lambda store: store.set_many(Item, [{"id": 1, "text": "written"}]),
    "set_many without end": lambda store: store.set_many(Item, ({"id": i} for i in count(1))),
    "set_many by a key": lambda store: store.set_many(Item, [{"text": "written"}], by="text"),
    "set_many of nothing": lambda store: store.set_many(Item, []),
    "delete": lambda store: store.delete(Item, 1),
}


def refusals(store: motion.View) -> list[str]:
    """Write through a store in every way, and return what is said of each."""
    told = []
    for write in WRITES.values():
        try:
            write(store)
            told.append("nothing")
        except motion.errors.ReadOnlyView as exc:
            told.append(f"{exc.call} {'Nothing was written' in str(exc)}")
    return told


REFUSED = ["set() True"] * 3 + ["set_many() True"] * 4 + ["delete() True"]


class Scribe(Pupil):
    """It writes where it only may read, and learns what is said of it."""

    @motion.fit(on="item.label", timeout=60, holdout=0.3, promote=motion.if_better("refused"))
    def learn(  # type: ignore[override]  # it takes the store, too
        self, state: Known, rows: list[Item], store: motion.View
    ) -> Known:
        if any(row.label == "at once" for row in rows):
            WRITES["set"](store)
        return Known(refusals(store), state.weights, state.places)

    def evaluate(self, state: Known, rows: list[Item], store: motion.View) -> dict[str, float]:
        return {"refused": (refusals(store) == REFUSED) + len(state.lessons)}


def test_what_a_fit_or_an_evaluation_writes_through_its_store_is_refused(
    open_store: OpenStore, at: At
) -> None:
    store = opened(open_store, at(Scribe))
    taught(store, 1, *LABELS)
    version = fitted(store, "Scribe")
    assert (version.status, version.metrics["refused"]) == ("live", 1 + len(WRITES))
    assert state_of(store, "Scribe").lessons == REFUSED
    assert [row.text for row in store.rows(Item)] == [None] * len(LABELS)
    taught(store, 50, *["at once"] * 10)
    version = fitted(store, "Scribe")
    assert version.status == "failed"
    assert "set(): the store that a fit or evaluate gets" in version.metrics["reason"]


@pytest.mark.parametrize("write", WRITES)
def test_the_view_of_a_version_only_reads(open_store: OpenStore, write: str) -> None:
    store = opened(open_store, Pupil())
    store.set(Item, id=1, text="given").wait(timeout=60)
    views = store.model("Pupil").live, lambda: store.model("Pupil").at(1)
    for of in views:
        with of() as (_, view), pytest.raises(motion.errors.ReadOnlyView, match="only reads"):
            WRITES[write](view)
    assert [row.text for row in store.rows(Item)] == ["given"]
