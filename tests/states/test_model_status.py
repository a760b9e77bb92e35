"""What a model tells of itself: its candidate's step, its labels, when versions were live, and how each of them sees."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest

import motion
from motion import clock
from tests.conftest import OpenStore, pause, until

Plane = Annotated[np.ndarray, motion.Vector(2, metric="dot")]


@dataclass
class Item:
    id: int
    text: str
    label: str | None = None
    vector: Plane | None = None


HAS_BEGUN, MAY_GO_ON = threading.Event(), threading.Event()


class Scale(motion.Component):
    """Its vectors are (factor, length of the text). A label that is a path holds its fit until there is a file."""

    def setup(self) -> int:
        return 1

    @motion.infer(on="item.text", sets="item.vector", refresh="before")
    def embed(self, factor: int, text: str) -> np.ndarray[Any, Any]:
        if text == f"hold {factor}":
            HAS_BEGUN.set()
            assert MAY_GO_ON.wait(30), "the test never let the run go on"
        return np.array([factor, len(text)], np.float32)

    @motion.fit(on="item.label", every=3)
    def learn(self, factor: int, rows: list[Item]) -> int:
        for row in rows:
            if row.label is not None and "/" in row.label:
                motion.progress(1, 2)
                while not Path(row.label).exists():
                    pause()
        return factor + 1


class Manual(Scale):
    """The same, whose candidates wait for a person."""

    @motion.fit(on="item.label", promote=motion.manual)
    def learn(self, factor: int, rows: list[Item]) -> int:
        return factor + 1


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    HAS_BEGUN.clear()
    MAY_GO_ON.clear()
    yield
    MAY_GO_ON.set()


def opened(open_store: OpenStore, component: motion.Component) -> motion.Store:
    store = open_store(schemas={"item": Item}, triggers=[component])
    store.set_many("item", [{"id": i, "text": f"t{i}"} for i in range(1, 4)])
    store.wait(timeout=60)
    return store


def learned(store: motion.Store, name: str, label: str) -> None:
    store.set("item", id=1, label=label)
    store.model(name).fit().wait(timeout=60)


def test_a_model_at_rest_says_what_is_live_and_which_labels_wait_for_how_many(
    open_store: OpenStore,
) -> None:
    store = opened(open_store, Scale())
    store.set("item", id=1, label="a")
    store.set("item", id=2, label="b")
    status = store.model("Scale").status()
    assert (status.live, status.candidate, status.step, status.rollback_to) == (1, None, None, None)
    fit = status.fits[0]
    assert (fit.name, fit.labels, fit.wanted, fit.is_running) == ("Scale.learn", 2, 3, False)


def test_while_a_fit_runs_that_is_the_step_with_what_it_told(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store, gate = opened(open_store, Scale()), tmp_path / "go"
    store.set("item", id=1, label=str(gate))
    asked = store.model("Scale").fit()
    until(store, lambda: store.model("Scale").progress is not None, 60)
    status = store.model("Scale").status()
    gate.touch()
    asked.wait(timeout=60)
    assert (status.step, status.fits[0].is_running) == ("fit", True)
    assert status.fits[0].progress is not None
    assert status.fits[0].progress.total == 2
    assert store.model("Scale").status().step is None


def test_while_outputs_are_built_it_says_how_many_rows_are_left(open_store: OpenStore) -> None:
    store = opened(open_store, Scale())
    store.set("item", id=2, text="hold 2").wait(timeout=60)
    store.set("item", id=1, label="a")
    asked = store.model("Scale").fit()
    assert HAS_BEGUN.wait(60)
    status = store.model("Scale").status()
    MAY_GO_ON.set()
    asked.wait(timeout=60)
    assert (status.live, status.candidate, status.step) == (1, 2, "build")
    assert 1 <= status.left <= 3
    after = store.model("Scale").status()
    assert (after.live, after.candidate, after.left, after.rollback_to) == (2, None, 0, 1)


def test_a_candidate_that_waits_for_a_person_is_at_the_gate(open_store: OpenStore) -> None:
    store = opened(open_store, Manual())
    learned(store, "Manual", "a")
    status = store.model("Manual").status()
    assert (status.candidate, status.step, status.is_asked) == (2, "gate", False)


def test_a_version_says_from_when_until_when_it_was_live(open_store: OpenStore) -> None:
    store = opened(open_store, Scale())
    begun = clock.now()
    learned(store, "Scale", "a")
    first, second = store.model("Scale").versions()
    assert second.live_from is not None
    assert first.live_from is not None
    assert first.live_until is not None
    assert first.live_from <= first.live_until
    assert (second.live_from - begun).total_seconds() > -0.2
    assert second.live_until is None


def test_each_version_whose_outputs_are_kept_can_be_looked_through(open_store: OpenStore) -> None:
    store = opened(open_store, Scale())
    learned(store, "Scale", "a")
    for number in (1, 2):
        with store.model("Scale").at(number) as (state, view):
            row = view.get("item", 3)
            hits = view.search("item.vector", [1, 0], k=3)
        assert state == number
        assert row.vector.tolist() == [number, 2]
        assert {int(hit.score) for hit in hits} == {number}


def test_a_candidate_can_be_looked_through_before_it_answers(open_store: OpenStore) -> None:
    store = opened(open_store, Manual())
    learned(store, "Manual", "a")
    until(store, lambda: store.model("Manual").status().left == 0, 60)
    with store.model("Manual").at(2) as (_, view):
        assert {int(hit.score) for hit in view.search("item.vector", [1, 0], k=3)} == {2}
    assert {int(hit.score) for hit in store.search("item.vector", [1, 0], k=3)} == {1}


def test_a_version_without_kept_outputs_is_refused_with_those_that_have_them(
    open_store: OpenStore,
) -> None:
    store = opened(open_store, Scale())
    for label in ("a", "b"):
        learned(store, "Scale", label)
    model = store.model("Scale")
    for number in (1, 7, True):
        with (
            pytest.raises(motion.StateError, match=r"has no state version .* with kept outputs"),
            model.at(number),
        ):
            pass


def test_what_somebody_looks_through_is_kept_while_other_versions_go_live(
    open_store: OpenStore,
) -> None:
    store = opened(open_store, Scale())
    learned(store, "Scale", "a")
    with store.model("Scale").at(1) as (_, view):
        for label in ("b", "c"):
            learned(store, "Scale", label)
        assert view.get("item", 3).vector.tolist() == [1, 2]
    assert store.status().versions["Scale"] == 4
