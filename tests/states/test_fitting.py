"""Fits as policy: when they run, on what, how they fail, and what is seen of them meanwhile."""

from __future__ import annotations

import gc
import os
import resource
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

import motion
from motion import clock
from tests.conftest import OpenStore, pause


@dataclass
class Item:
    id: int
    text: str
    label: str
    other: str
    answer: int


State = dict[str, Any]


def learned(state: State, rows: list[Item]) -> State:
    return {"lessons": [f"{row.id}={row.label or row.other}" for row in rows]}


class Pupil(motion.Component):
    """Its state is what its last fit learned from. Labels may do mischief, or wait for a file to be gone."""

    def setup(self) -> State:
        return {"lessons": []}

    @motion.infer(on="item.text", sets="item.answer")
    def answer(self, state: State, text: str) -> int:
        return len(state["lessons"])

    @motion.fit(on="item.label", timeout=60)
    def learn(self, state: State, rows: list[Item]) -> State:
        for row in rows:
            if row.label == "kill":
                os.kill(os.getpid(), signal.SIGKILL)  # what the system does when memory is out
            if row.label == "memory":
                resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
                bytearray(2**32)
            if row.label.startswith("wait "):
                sign = Path(row.label.removeprefix("wait "))
                sign.touch()
                motion.progress(3, 10, loss=0.5)
                while sign.exists():
                    pass
        return learned(state, rows)


class Hasty(motion.Component):
    """Its fit may take a second; with a label "wait", it takes for ever."""

    def setup(self) -> State:
        return {"lessons": []}

    @motion.fit(on="item.label", timeout=1)
    def learn(self, state: State, rows: list[Item]) -> State:
        while any(row.label == "wait" for row in rows):
            pass
        return learned(state, rows)


class Other(motion.Component):
    def setup(self) -> State:
        return {"lessons": []}

    @motion.fit(on="item.other")
    def learn(self, state: State, rows: list[Item]) -> State:
        return learned(state, rows)


class FromScratch(motion.Component):
    def setup(self) -> State:
        return {"lessons": []}

    @motion.fit(on="item.label", rows="all")
    def learn(self, state: State, rows: list[Item]) -> State:
        return learned(state, rows)


class Recent(motion.Component):
    def setup(self) -> State:
        return {"lessons": []}

    @motion.fit(on="item.label", rows=timedelta(days=1))
    def learn(self, state: State, rows: list[Item]) -> State:
        return learned(state, rows)


class Nightly(motion.Component):
    def setup(self) -> State:
        return {"lessons": []}

    @motion.fit(on="item.label", every=(3, motion.every(days=1)))
    def learn(self, state: State, rows: list[Item]) -> State:
        return learned(state, rows)


class Unready(motion.Component):
    """Gives no first state to fit from, for what one of its methods raises."""

    def __init__(self, raises: str = "") -> None:
        self.raises = raises

    def setup(self) -> State:
        return self.checked("setup", {"lessons": []})

    def save(self, state: State) -> State:
        return self.checked("save", state)

    def load(self, saved: State) -> State:
        return self.checked("load", saved)

    @motion.fit(on="item.label", every=(3, motion.every(days=1)))
    def learn(self, state: State, rows: list[Item]) -> State:
        return learned(state, rows)

    def checked(self, method: str, state: State) -> State:
        if method == self.raises:
            raise OSError("no such checkpoint")
        return state


@pytest.fixture(autouse=True)
def _own_time() -> Iterator[None]:
    yield
    clock.reset()


def open_with(open_store: OpenStore, *components: motion.Component) -> motion.Store:
    return open_store(schemas={"item": Item}, triggers=components)


def teach(store: motion.Store, **labels: str) -> None:
    """Set labels: `i1="red"` labels item 1."""
    for name, label in labels.items():
        store.set("item", id=int(name[1:]), label=label)


def fit(store: motion.Store, component: str) -> None:
    store.model(component).fit()
    store.wait(timeout=60)


def versions(store: motion.Store, component: str) -> list[tuple[int, str]]:
    return [(version.number, version.status) for version in store.model(component).versions()]


def lessons(store: motion.Store, component: str) -> list[str]:
    with store.model(component).live() as (state, _):
        return list(state["lessons"])


def until_there(sign: Path) -> None:
    while not sign.exists():
        pause()


# -- how fits fail --


@pytest.mark.parametrize(("mischief", "reason"), [("kill", "SIGKILL"), ("memory", "MemoryError")])
def test_p8_a_fit_that_runs_out_of_memory_is_a_failed_fit_that_loses_no_label(
    open_store: OpenStore, mischief: str, reason: str
) -> None:
    store = open_with(open_store, Pupil())
    teach(store, i1="a", i2=mischief)
    fit(store, "Pupil")
    failed = store.model("Pupil").versions()[-1]
    teach(store, i2="b")
    fit(store, "Pupil")
    assert (failed.status, reason in failed.metrics["reason"]) == ("failed", True), failed.metrics
    assert (store.status().versions["Pupil"], lessons(store, "Pupil")) == (3, ["1=a", "2=b"])


def test_p8_a_fit_that_takes_too_long_is_ended_and_loses_no_label(open_store: OpenStore) -> None:
    store = open_with(open_store, Hasty())
    teach(store, i1="a", i2="wait")
    fit(store, "Hasty")
    failed = store.model("Hasty").versions()[-1]
    teach(store, i2="b")
    while store.status().versions["Hasty"] == 1:  # on a busy machine even this takes too long
        fit(store, "Hasty")
    assert (failed.status, failed.metrics["reason"]) == (
        "failed",
        "it took longer than its timeout of 1 s, and was ended",
    )
    assert lessons(store, "Hasty") == ["1=a", "2=b"]


@pytest.mark.parametrize("raises", ["setup", "save", "load"])
def test_p8_a_fit_without_a_first_state_has_failed_for_the_labels_there_were_and_loses_none(
    open_store: OpenStore, raises: str
) -> None:
    store = open_with(open_store, Unready(raises))
    teach(store, i1="a", i2="b", i3="c")
    store.wait(timeout=60)
    teach(store, i4="d", i5="e")
    store.wait(timeout=60)
    before = versions(store, "Unready")
    teach(store, i6="f")
    store.wait(timeout=60)
    store.close()
    store = open_with(open_store, Unready())
    store.wait(timeout=60)
    after = versions(store, "Unready")
    fit(store, "Unready")
    assert (before, after) == ([(1, "failed")], [(1, "failed"), (2, "failed")])
    assert lessons(store, "Unready") == ["1=a", "2=b", "3=c", "4=d", "5=e", "6=f"]


def by_request(store: motion.Store) -> None:
    with pytest.raises(motion.StateError, match="no such checkpoint"):
        store.model("Unready").fit().wait(timeout=60)


def by_schedule(store: motion.Store) -> None:
    clock.advance(25 * 3600)
    while not versions(store, "Unready"):
        pause()


def by_forgetting(store: motion.Store) -> None:
    store.set("item", id=9, label="forgotten")
    store.forget("item", 9, models="refit")


@pytest.mark.parametrize("asked", [by_request, by_schedule, by_forgetting])
def test_p8_labels_that_a_fit_without_a_first_state_was_for_do_not_count_for_the_next(
    open_store: OpenStore, asked: Callable[[motion.Store], None]
) -> None:
    store = open_with(open_store, Unready("setup"))
    teach(store, i1="a")
    store.wait(timeout=60)
    asked(store)
    store.wait(timeout=60)
    first = versions(store, "Unready")
    teach(store, i2="b", i3="c")
    store.wait(timeout=60)
    before = versions(store, "Unready")
    teach(store, i4="d")
    store.wait(timeout=60)
    assert (first, before) == ([(1, "failed")], [(1, "failed")])
    assert versions(store, "Unready") == [(1, "failed"), (2, "failed")]


# -- what is seen meanwhile --


def test_the_progress_of_a_fit_is_seen_while_it_runs(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_with(open_store, Pupil())
    before = store.model("Pupil").progress
    teach(store, i1=f"wait {tmp_path / 'sign'}")
    store.model("Pupil").fit()
    until_there(tmp_path / "sign")
    while (told := store.model("Pupil").progress) is None:
        pause()
    shown = store.status().fit_progress["Pupil"]
    (tmp_path / "sign").unlink()
    store.wait(timeout=60)
    assert (told.step, told.total, told.figures) == (3, 10, {"loss": 0.5})
    assert (before, shown, store.model("Pupil").progress) == (None, told, None)
    assert store.status().fit_progress == {}


def test_progress_outside_of_a_fit_does_nothing() -> None:
    motion.progress(1, 2, loss=float("nan"))


def test_a_long_fit_of_one_component_holds_up_nothing_of_another(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_with(open_store, Pupil(), Other())
    teach(store, i1=f"wait {tmp_path / 'sign'}")
    store.model("Pupil").fit()
    until_there(tmp_path / "sign")
    store.set("item", id=2, other="x")
    store.model("Other").fit()
    while store.status().versions["Other"] != 2:
        pause()
    during = versions(store, "Pupil")
    (tmp_path / "sign").unlink()
    store.wait(timeout=60)
    assert (during, versions(store, "Pupil")[-1]) == ([(1, "live")], (2, "live"))


# -- on what they run --


def test_rows_all_gives_every_label_again(open_store: OpenStore) -> None:
    store = open_with(open_store, FromScratch())
    teach(store, i1="a")
    fit(store, "FromScratch")
    teach(store, i2="b")
    fit(store, "FromScratch")
    assert lessons(store, "FromScratch") == ["1=a", "2=b"]
    assert store.model("FromScratch").versions()[-1].rows == 2


class Reader(motion.Component):
    """Its state is what it was given, some at a time, twice over, and how many rows were there at once. It waits for a file to
    be gone before it reads anything."""

    def __init__(self, sign: Path) -> None:
        self.sign = str(sign)

    def setup(self) -> State:
        return {}

    @motion.infer(on="item.text", sets="item.answer")
    def answer(self, state: State, text: str) -> int:
        return int(state["most"])

    @motion.fit(on="item.label", batch=100)
    def learn(self, state: State, rows: Iterable[list[Item]]) -> State:
        sign = Path(self.sign)
        sign.touch()
        while sign.exists():
            pass
        epochs, most = [], 0
        for _ in range(2):
            epochs.append([[row.label for row in some] for some in rows])
        for _ in rows:
            most = max(most, alive())
        first, again = epochs
        sizes = [len(some) for some in first]
        return {"labels": [*chain(*first)], "again": first == again, "sizes": sizes, "most": most}


def alive() -> int:
    """Return how many items this process holds."""
    gc.collect()
    return sum(type(each) is Item for each in gc.get_objects())


def test_p8_labels_of_a_fit_are_held_some_at_a_time_and_in_its_own_process_alone(
    open_store: OpenStore, tmp_path: Path
) -> None:
    sign = tmp_path / "sign"
    store = open_store(schemas={"item": Item}, triggers=[Reader(sign)])
    store.set_many("item", [{"label": f"{number}"} for number in range(2_550)])
    before = alive()
    asked = store.model("Reader").fit()
    until_there(sign)
    assert alive() == before
    store.set("item", id=7, label="later")
    store.delete("item", 8)
    sign.unlink()
    asked.wait(timeout=60)
    with store.model("Reader").live() as (state, _):
        pass
    assert state["labels"] == [f"{number}" for number in range(2_550) if number != 7]
    assert state["sizes"] == [100] * 25 + [49]
    assert state["again"]
    assert 0 < state["most"] <= 300
    assert [each.row.label for each in store.model("Reader").labels(2, limit=3_000)][::-1] == state["labels"]  # fmt: skip


def test_rows_of_a_timedelta_gives_the_labels_since_then(open_store: OpenStore) -> None:
    store = open_with(open_store, Recent())
    teach(store, i1="a")
    clock.advance(20 * 3600)
    teach(store, i2="b")
    clock.advance(5 * 3600)
    teach(store, i3="c")
    fit(store, "Recent")
    assert lessons(store, "Recent") == ["2=b", "3=c"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"rows": "some"}, "rows="), ({"rows": timedelta(0)}, "rows="), ({"timeout": 0}, "timeout"),
        ({"every": (3, 4)}, "every="), ({"every": "3"}, "every="), ({"gate_on": 0}, "gate_on"),
        ({"batch": 0}, "batch"), ({"batch": True}, "batch"),
    ],
)  # fmt: skip
def test_a_fit_option_that_cannot_be_is_an_error_at_once(
    options: dict[str, Any], named: str
) -> None:
    with pytest.raises(motion.TriggerError, match=named):
        motion.fit(on="item.label", **options)


# -- when they run --


def test_a_schedule_asks_for_a_fit_whatever_the_count(open_store: OpenStore) -> None:
    store = open_with(open_store, Nightly())
    teach(store, i1="a")
    store.wait(timeout=60)
    before = versions(store, "Nightly")
    clock.advance(25 * 3600)
    while store.status().versions["Nightly"] != 2:
        pause()
    assert before == []
    assert lessons(store, "Nightly") == ["1=a"]


def test_a_count_asks_for_a_fit_before_the_schedule_does(open_store: OpenStore) -> None:
    store = open_with(open_store, Nightly())
    teach(store, i1="a", i2="b", i3="c")
    store.wait(timeout=60)
    assert lessons(store, "Nightly") == ["1=a", "2=b", "3=c"]


def test_labels_replaced_unset_and_deleted_are_counted_once_or_not_at_all(
    open_store: OpenStore,
) -> None:
    store = open_with(open_store, Nightly())
    teach(store, i1="a", i2="b")
    teach(store, i1="c")
    store.set("item", id=2, label=None)
    store.delete("item", 1)
    teach(store, i3="d", i4="e")
    store.wait(timeout=60)
    two = versions(store, "Nightly")
    teach(store, i5="f")
    store.wait(timeout=60)
    assert (two, lessons(store, "Nightly")) == ([], ["3=d", "4=e", "5=f"])


# -- a cell run twice --


def test_a_component_defined_anew_gets_states_of_its_own_classes(open_store: OpenStore) -> None:
    def component(suffix: str) -> motion.Component:
        class Word:
            def __init__(self, text: str) -> None:
                self.text = text + suffix

        class Words(motion.Component):
            def setup(self) -> Word:
                return Word("setup")

            def save(self, state: Word) -> str:
                return "saved"

            def load(self, saved: str) -> Word:
                return Word(saved)

            @motion.infer(on="item.text", sets="item.other")
            def say(self, state: Word, text: str) -> str:
                return state.text

        return Words()

    store = open_with(open_store, component(" once"))
    store.set("item", id=1, text="a").wait()
    assert open_with(open_store, component(" again")) is store
    store.set("item", id=2, text="a").wait()
    assert [row.other for row in store.rows("item")] == ["saved once", "saved again"]


def test_threads_may_ask_for_a_fit_at_once(open_store: OpenStore) -> None:
    store = open_with(open_store, Other())
    store.set("item", id=1, other="x")
    threads = [threading.Thread(target=store.model("Other").fit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.wait(timeout=60)
    assert lessons(store, "Other") == ["1=x"]


# -- from a value to its labels, and from a label to what learned from it --


def test_a_value_tells_the_version_and_the_labels_that_made_it(open_store: OpenStore) -> None:
    store = open_with(open_store, Pupil())
    teach(store, i1="a")
    fit(store, "Pupil")
    teach(store, i2="b")
    fit(store, "Pupil")
    store.set("item", id=9, text="x").wait()
    explained = store.explain("item", 9, "answer")
    told = [(label.id, label.row.label, label.version) for label in explained.labels]
    assert (explained.version, told) == (3, [(2, "b", 3), (1, "a", 2)])
    assert "state version 3 (learned from id=2, id=1)" in str(explained)
    assert [label.id for label in store.model("Pupil").labels(2)] == [1]


def test_a_label_tells_the_versions_that_learned_from_it(open_store: OpenStore) -> None:
    store = open_with(open_store, Pupil())
    for number, label in enumerate("abc", 1):
        teach(store, **{f"i{number}": label})
        fit(store, "Pupil")
    model = store.model("Pupil")
    assert [model.learned_from(1), model.learned_from(2, fit="learn")] == [[2, 3, 4], [3, 4]]
    assert [model.learned_from(4), model.learned_from(1, fit="other")] == [[], []]


# -- one after the other --


class Two(motion.Component):
    """Two fits of one state, of which the first waits for a file to be gone."""

    def __init__(self, sign: Path) -> None:
        self.sign = sign

    def setup(self) -> State:
        return {"lessons": []}

    @motion.fit(on="item.label", every=1, promote=motion.always)
    def first(self, state: State, rows: list[Item]) -> State:
        while self.sign.exists():
            pass
        return {"lessons": [*state["lessons"], *(f"first {row.id}" for row in rows)]}

    @motion.fit(on="item.other", every=1, promote=motion.always)
    def second(self, state: State, rows: list[Item]) -> State:
        return {"lessons": [*state["lessons"], *(f"second {row.id}" for row in rows)]}


def test_what_was_asked_for_first_is_fitted_first(open_store: OpenStore, tmp_path: Path) -> None:
    sign = tmp_path / "wait"
    sign.touch()
    store = open_with(open_store, Two(sign))
    store.set("item", id=1, label="a")
    while not any(each.is_running for each in store.model("Two").status().fits):
        pause()
    store.set("item", id=2, other="b")
    store.set("item", id=3, label="c")
    sign.unlink()
    store.wait(timeout=60)
    assert lessons(store, "Two") == ["first 1", "second 2", "first 3"]


# -- the gate's policies, and what is known of a version --


class Watched(motion.Component):
    """Its measure waits, in the first call, for a file to be gone, and tells the rows that it was given."""

    def __init__(self, sign: Path) -> None:
        self.sign = sign

    def setup(self) -> State:
        return {"lessons": []}

    @motion.fit(on="item.label", holdout=0.5, promote=motion.always)
    def learn(self, state: State, rows: list[Item]) -> State:
        return learned(state, rows)

    def evaluate(self, state: State, rows: list[Item]) -> dict[str, float]:
        self.sign.with_suffix(".begun").touch()
        while self.sign.exists():
            pass
        return {"rows": len(rows), "ids": sum(row.id for row in rows)}


def test_both_versions_are_measured_on_the_same_rows_whatever_labels_come_meanwhile(
    open_store: OpenStore, tmp_path: Path
) -> None:
    sign = tmp_path / "wait"
    sign.touch()
    store = open_with(open_store, Watched(sign))
    store.set_many("item", [{"id": i, "label": "a"} for i in range(1, 21)])
    store.model("Watched").fit()
    until_there(sign.with_suffix(".begun"))
    store.set_many("item", [{"id": i, "label": "b"} for i in range(21, 41)]).wait(timeout=60)
    sign.unlink()
    store.wait(timeout=60)
    measured = store.model("Watched").versions()[-1].metrics
    assert 0 < measured["rows"] < 20
    assert {key: measured["live"][key] for key in ("rows", "ids")} == {
        key: measured[key] for key in ("rows", "ids")
    }


def graded(promote: Any) -> motion.Component:
    class Graded(motion.Component):
        """Its quality is what the last label says."""

        def setup(self) -> dict[str, Any]:
            return {"quality": 1.0}

        @motion.fit(on="item.label", holdout=0.5, promote=promote)
        def learn(self, state: dict[str, Any], rows: list[Item]) -> dict[str, Any]:
            return {"quality": None if rows[-1].label == "missing" else float(rows[-1].label)}

        def evaluate(self, state: dict[str, Any], rows: list[Item]) -> dict[str, float]:
            measured = {} if state["quality"] is None else {"quality": state["quality"]}
            return {**measured, "ids": sum(row.id for row in rows)}

    return Graded()


@pytest.mark.parametrize(
    ("promote", "label", "status"),
    [
        (motion.if_better("quality"), "1.01", "live"),
        (motion.if_better("quality"), "1.0", "refused"),
        (motion.if_better("quality"), "nan", "refused"),
        (motion.if_better("quality"), "missing", "refused"),
        (motion.if_better("quality", by=0.5), "1.6", "live"),
        (motion.if_better("quality", by=0.5), "1.4", "refused"),
        (motion.if_better("quality", lower=True), "0.9", "live"),
        (motion.if_better("quality", lower=True), "1.1", "refused"),
        (motion.if_better("quality", by=0.5, lower=True), "0.6", "refused"),
        (motion.always, "0.1", "live"),
    ],
)
def test_a_version_goes_live_as_its_policy_says_measured_on_the_rows_of_the_live_one(
    open_store: OpenStore, promote: Any, label: str, status: str
) -> None:
    store = open_with(open_store, graded(promote))
    store.set_many("item", [{"id": i, "label": label} for i in range(1, 21)])
    fit(store, "Graded")
    newest = store.model("Graded").versions()[-1]
    assert (newest.number, newest.status) == (2, status)
    assert newest.metrics["ids"] == newest.metrics["live"]["ids"] > 0
    assert ("reason" in newest.metrics) == (status == "refused")


def test_a_version_tells_when_it_was_made_and_how_long_that_took(open_store: OpenStore) -> None:
    before = clock.now()
    store = open_with(open_store, Pupil())
    teach(store, i1="a")
    fit(store, "Pupil")
    made = store.model("Pupil").versions()
    assert all(before <= version.created_at <= clock.now() for version in made)
    assert all(0 < version.duration_s < 60 for version in made)


def test_a_label_set_again_after_a_fit_stays_known_as_it_was_learned(open_store: OpenStore) -> None:
    store = open_with(open_store, Pupil())
    for label in ("old", "new"):
        teach(store, i1=label)
        fit(store, "Pupil")
    model = store.model("Pupil")
    assert [(each.version, each.row.label) for each in model.labels(3)] == [(3, "new"), (2, "old")]
    assert model.learned_from(1) == [2, 3]


def test_asking_for_a_fit_tells_how_many_labels_there_are_to_learn_from(
    open_store: OpenStore,
) -> None:
    store = open_with(open_store, Pupil(), FromScratch())
    counts = [store.model("Pupil").fit().count]
    teach(store, i1="a", i2="b")
    counts.append(store.model("Pupil").fit().count)
    store.wait(timeout=60)
    counts.append(store.model("Pupil").fit().count)
    store.wait(timeout=60)  # else what was asked for would learn after the way back
    store.model("Pupil").rollback()
    store.wait(timeout=60)
    counts.append(store.model("Pupil").fit().count)
    assert counts == [0, 2, 0, 2]
    assert store.model("FromScratch").fit().count == 2
