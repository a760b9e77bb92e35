"""Asking: fits, promotions and ways back that a person asks for, what they wait for, and what goes before what."""

from __future__ import annotations

import math
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest

import motion
from tests.conftest import OpenStore, pause, until
from tests.engine.test_numbers import FORMAT_1, SCHEMAS
from tests.engine.test_numbers import Taste as OfFormat1


@dataclass
class Row:
    id: int
    text: str
    label: int
    out: str
    vector: Annotated[np.ndarray[Any, Any], motion.Vector(2)] | None = None
    free: np.ndarray[Any, Any] | None = None


class Gate:
    """Lets what runs in another process begin, and go on, by files."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def hold(self, what: str) -> None:
        (Path(self.folder) / f"{what}.begun").touch()
        while not (Path(self.folder) / f"{what}.go").exists():
            pause()

    def open(self, what: str) -> None:
        (Path(self.folder) / f"{what}.go").touch()

    def has_begun(self, what: str) -> bool:
        return (Path(self.folder) / f"{what}.begun").exists()


class Sum(motion.Component):
    """A state is the sum of its labels; a fit on 99 waits to be let go on."""

    def __init__(self, gate: Gate, start: int = 0) -> None:
        self.gate, self.start = gate, start

    def setup(self) -> int:
        if self.start:
            self.gate.hold("setup")
        return self.start

    @motion.infer(on="row.text", sets="row.out", refresh="before")
    def go(self, state: int, text: str) -> str:
        return f"{state}"

    @motion.fit(on="row.label", promote=motion.if_better("q"))
    def learn(self, state: int, rows: list[Row]) -> int:
        labels = [row.label for row in rows]
        if 99 in labels:
            self.gate.hold("fit")
        if 13 in labels:
            raise ValueError("these make no sense")
        return state + sum(labels)

    def evaluate(self, state: int, rows: list[Row]) -> dict[str, float]:
        if state == 77:
            self.gate.hold("evaluate")
        return {"q": float(state - 1000 if state >= 1000 else state)}


def opened(open_store: OpenStore, *triggers: Any, **options: Any) -> motion.Store:
    return open_store(schemas={"row": Row}, triggers=list(triggers), **options)


def learn(store: motion.Store, label: int, component: str = "Sum") -> motion.Change:
    store.set("row", id=1, label=label)
    return store.model(component).fit().wait(timeout=60)


def statuses(store: motion.Store, component: str = "Sum") -> list[str]:
    return [each.status for each in store.model(component).versions()]


# -- what a person asks for goes before --


@pytest.mark.parametrize("meanwhile", ["fit", "evaluate", "setup"])
def test_a_rollback_is_done_while_the_models_own_code_runs_and_stays_done(
    open_store: OpenStore, tmp_path: Path, meanwhile: str
) -> None:
    gate = Gate(tmp_path)
    store = opened(open_store, Sum(gate))
    store.set("row", id=1, text="a").wait()
    learn(store, 5)
    model = store.model("Sum")
    if meanwhile == "setup":
        store = opened(open_store, Sum(gate, start=1000))
        model = store.model("Sum")
    else:
        store.set("row", id=2, label=99 if meanwhile == "fit" else 72)
        model.fit()
    until(store, lambda: gate.has_begun(meanwhile))
    model.rollback().wait(timeout=60)
    assert not (tmp_path / f"{meanwhile}.go").exists()  # what was under way is still
    assert [(each.number, each.status) for each in model.versions()][:2] == [
        (1, "live"),
        (2, "retired"),
    ]
    assert store.get("row", 1).out == "0"
    gate.open(meanwhile)
    store.wait(timeout=60)
    # The version offered since is judged against the one that is live by now: 0.
    assert statuses(store)[0] == {"fit": "retired", "evaluate": "live", "setup": "live"}[meanwhile]
    assert statuses(store)[1] == "retired"


IS_SLOW, MAY_GO_ON = threading.Event(), threading.Event()


class Slow(Sum, keep_outputs=0):
    @motion.infer(on="row.text", sets="row.out", refresh="before")
    def go(self, state: int, text: str) -> str:
        if state == 0 and IS_SLOW.is_set():
            assert MAY_GO_ON.wait(60)
        return f"{state}"


def test_what_a_fit_offers_waits_for_a_promotion_that_is_being_built(
    open_store: OpenStore, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    store = opened(open_store, Slow(gate))
    store.set("row", id=1, text="a").wait()
    learn(store, 5, "Slow")
    model = store.model("Slow")
    # What it makes, 3, is better than the version to go back to, 0, and worse than the one that is live, 5.
    store.set_many("row", [{"id": 2, "label": 99}, {"id": 3, "label": -101}])
    asked = model.fit()
    until(store, lambda: gate.has_begun("fit"))
    IS_SLOW.set()
    back = model.rollback()
    gate.open("fit")
    until(store, lambda: len(model.versions()) == 3)
    assert statuses(store, "Slow") == ["candidate", "live", "candidate"]
    assert (back.progress.remaining, asked.progress.remaining) == (1, 1)
    MAY_GO_ON.set()
    back.wait(timeout=60)
    asked.wait(timeout=60)
    assert statuses(store, "Slow") == ["retired", "retired", "live"]


def test_two_rollbacks_go_two_back_however_fast(open_store: OpenStore, tmp_path: Path) -> None:
    store = opened(open_store, Sum(Gate(tmp_path)))
    store.set("row", id=1, text="a").wait()
    for label in (1, 2):
        learn(store, label)
    model = store.model("Sum")
    changes = [model.rollback(), model.rollback()]
    for each in changes:
        each.wait(timeout=60)
    assert statuses(store) == ["live", "retired", "retired"]
    with pytest.raises(motion.StateError, match="no state version to go back to"):
        model.rollback()


class Held(motion.Component, keep_outputs=0):
    """Going back has to make outputs anew, which a test can hold up."""

    may_go_on = threading.Event()

    def setup(self) -> int:
        return 0

    @motion.infer(on="row.text", sets="row.out", refresh="before")
    def go(self, state: int, text: str) -> str:
        assert self.may_go_on.wait(60)
        if text == f"not {state}":
            raise ValueError("cannot decode this picture")
        return f"{state}"

    @motion.fit(on="row.label", promote=motion.if_better("q"))
    def learn(self, state: int, rows: list[Row]) -> int:
        return state + 1

    def evaluate(self, state: int, rows: list[Row]) -> dict[str, float]:
        return {"q": float(state)}


@pytest.fixture
def held(open_store: OpenStore) -> Any:
    """A store in which version 3 is live, and none of 1 and 2 has outputs."""
    Held.may_go_on.set()
    store = opened(open_store, Held())
    store.set("row", id=1, text="not 1")
    store.wait(timeout=60)
    store.set("row", id=1, text="a").wait(timeout=60)
    for label in (1, 2):
        learn(store, label, "Held")
    store.wait(timeout=60)
    store.close()  # which ends once the outputs of before are deleted, as they are after the switch
    yield opened(open_store, Held())
    Held.may_go_on.set()


@pytest.mark.parametrize("take_back", ["promote", "cancel", "rollback"])
def test_a_way_back_that_is_taken_back_leaves_all_as_it_was(
    held: motion.Store, take_back: str
) -> None:
    model = held.model("Held")
    before = model.versions()
    Held.may_go_on.clear()
    asked = model.promote(1) if take_back == "rollback" else model.rollback()
    assert "candidate" in statuses(held, "Held")
    if take_back == "cancel":
        asked.cancel()
    else:
        (model.promote(3) if take_back == "promote" else model.rollback()).wait(timeout=60)
    asked.wait(timeout=60)
    assert model.versions() == before
    Held.may_go_on.set()
    held.wait(timeout=60)
    assert held.get("row", 1).out == "2"
    model.rollback().wait(timeout=60)
    assert statuses(held, "Held") == ["retired", "live", "retired"]
    assert [each.metrics.get("q") for each in model.versions()] == [None, 1.0, 2.0]


def test_a_version_that_cannot_be_made_live_is_told_to_who_asked(held: motion.Store) -> None:
    model = held.model("Held")
    held.set("row", id=1, text="not 0").wait(timeout=60)
    asked = model.promote(1)
    with pytest.raises(
        motion.StateError, match=r"version 1 of Held cannot be made live: 1 row\(s\)"
    ):
        asked.wait(timeout=60)
    with pytest.raises(motion.StateError, match="cannot decode this picture"):
        held.change(asked.key).wait(timeout=60)
    asked.wait(timeout=60, raise_errors=False)
    assert statuses(held, "Held") == ["retired", "retired", "live"]
    assert "cannot decode" in (model.versions()[0].reason or "")


# -- fits --


def test_a_fit_is_waited_for_by_its_change_until_it_is_decided(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = opened(open_store, Sum(Gate(tmp_path)))
    assert store.model("Sum").fit().wait().count == 0
    change = learn(store, 5)
    assert (change.count, statuses(store)) == (1, ["retired", "live"])
    learn(store, -9)
    assert statuses(store) == ["retired", "live", "refused"]
    store.set("row", id=1, label=13)
    failed = store.model("Sum").fit()
    with pytest.raises(motion.StateError, match=r"Sum\.learn raised ValueError: these"):
        failed.wait(timeout=60)
    store.close()
    store = opened(open_store, Sum(Gate(tmp_path)))
    with pytest.raises(motion.StateError, match="these make no sense"):
        store.change(failed.key).wait(timeout=60)
    assert store.change(change.key).wait(timeout=60).progress.remaining == 0


def test_a_fit_that_is_asked_for_while_one_runs_is_the_next(
    open_store: OpenStore, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    store = opened(open_store, Sum(gate))
    model = store.model("Sum")
    store.set("row", id=1, label=99)
    first = model.fit()
    until(store, lambda: gate.has_begun("fit"))
    store.set("row", id=2, label=7)
    second = model.fit()
    gate.open("fit")
    first.wait(timeout=60)
    second.wait(timeout=60)
    assert [(each.status, each.rows) for each in model.versions()] == [
        ("retired", 0), ("retired", 1), ("live", 1),
    ]  # fmt: skip


def test_a_fit_that_has_not_begun_can_be_cancelled(open_store: OpenStore, tmp_path: Path) -> None:
    store = opened(open_store, Sum(Gate(tmp_path)), run=False)
    store.set("row", id=1, label=5)
    change = store.model("Sum").fit()
    assert change.progress.remaining == 1
    change.cancel()
    assert change.wait().progress.remaining == 0
    assert store.status().fits == 0


def test_a_manual_candidate_ends_the_wait_for_its_fit(open_store: OpenStore) -> None:
    class Manual(motion.Component):
        def setup(self) -> int:
            return 0

        @motion.fit(on="row.label", promote=motion.manual)
        def learn(self, state: int, rows: list[Row]) -> int:
            return state + 1

    store = opened(open_store, Manual())
    learn(store, 1, "Manual")
    assert statuses(store, "Manual") == ["live", "candidate"]
    store.model("Manual").promote(2).wait(timeout=60)
    assert statuses(store, "Manual") == ["retired", "live"]


# -- labels --


@pytest.mark.parametrize("then", ["again", "unset", "fails"])
def test_a_label_that_is_set_again_while_a_fit_learns_from_it_stays_in_its_record(
    open_store: OpenStore, tmp_path: Path, then: str
) -> None:
    gate = Gate(tmp_path)
    store = opened(open_store, Sum(gate))
    model = store.model("Sum")
    store.set_many(
        "row", [{"id": 1, "label": 99}, {"id": 2, "label": 13 if then == "fails" else 20}]
    )
    asked = model.fit()
    until(store, lambda: gate.has_begun("fit"))
    store.set("row", id=1, label=None if then == "unset" else 98)
    store.set("row", id=2, label=21)
    gate.open("fit")
    asked.wait(timeout=60, raise_errors=False)
    record = [] if then == "fails" else [(1, 99), (2, 20)]
    assert sorted((label.id, label.row.label) for label in model.labels(2)) == record
    assert model.learned_from(1) == ([] if then == "fails" else [2])
    assert model.fit().wait(timeout=60).count == (1 if then == "unset" else 2)
    newest = model.versions()[-1]
    learned = [
        (label.id, label.row.label)
        for label in model.labels(newest.number)
        if label.version == newest.number
    ]
    assert sorted(learned) == ([(2, 21)] if then == "unset" else [(1, 98), (2, 21)])


# -- rows that fail, and vectors that do not fit --


class Embed(motion.Component):
    """Fails on what its state does not know, and gives vectors of odd lengths where it is told to."""

    def setup(self) -> int:
        return 1

    @motion.infer(on="row.text", sets="row.vector", refresh="before")
    def embed(self, state: int, text: str) -> Any:
        if text in ("broken", f"not {state}"):
            raise ValueError("cannot decode this picture")
        return np.array([state, len(text)], np.float32)

    @motion.infer(on="row.text", sets="row.free", refresh="before")
    def free(self, state: int, text: str) -> Any:
        return np.ones(3 if state == 2 and text == "odd" else 2, np.float32)

    @motion.fit(on="row.label")
    def learn(self, state: int, rows: list[Row]) -> int:
        return state + 1


def test_rows_that_never_had_an_output_hold_up_no_promotion_and_are_shown(
    open_store: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    store = opened(open_store, Embed())
    texts = {1: "a", 2: "broken", 3: "not 1", 4: "d"}
    store.set_many("row", [{"id": i, "text": text} for i, text in texts.items()])
    store.wait(timeout=60)
    assert [letter.row for letter in store.errors()] == ["id=2", "id=3"]
    learn(store, 1, "Embed")
    versions = store.model("Embed").versions()
    assert [(each.status, each.lacking) for each in versions] == [("retired", 0), ("live", 1)]
    until(store, lambda: "live without outputs of 1 row(s), on which it fails" in caplog.text)
    vectors = [None if row.vector is None else row.vector.tolist() for row in store.rows("row")]
    assert vectors == [[2, 1], None, [2, 5], [2, 1]]
    assert [letter.row for letter in store.errors()] == ["id=2"]  # 3 was overcome
    store.model("Embed").rollback().wait(timeout=60)  # in an emergency no row stands in the way
    assert statuses(store, "Embed") == ["live", "retired"]
    assert [letter.row for letter in store.errors()] == ["id=2", "id=3"]
    assert [row.vector is None for row in store.rows("row")] == [False, True, True, False]


def test_a_row_that_the_live_version_has_an_output_for_is_waited_for(open_store: OpenStore) -> None:
    store = opened(open_store, Embed())
    store.set_many("row", [{"id": 1, "text": "a"}, {"id": 2, "text": "not 2"}])
    store.wait(timeout=60)
    learn(store, 1, "Embed")
    refused = store.model("Embed").versions()[1]
    assert (refused.status, refused.reason) == (
        "refused",
        "1 row(s) could not be remade with it, the first for ValueError: cannot decode this picture",
    )


def test_a_candidate_whose_vectors_cannot_be_compared_is_refused_and_the_next_fit_begins(
    open_store: OpenStore,
) -> None:
    store = opened(open_store, Embed())
    store.set_many("row", [{"id": 1, "text": "a"}, {"id": 2, "text": "odd"}])
    store.wait(timeout=60)
    assert len(store.search("row.free", [1.0, 0.0])) == 2
    learn(store, 1, "Embed")
    assert "several shapes" in (store.model("Embed").versions()[1].reason or "")
    store.delete("row", 2).wait()
    learn(store, 2, "Embed")
    assert statuses(store, "Embed") == ["retired", "refused", "live"]


# -- figures --

ODD = {
    "live": 9.0,
    "is_ready": 0.0,
    "sample": 1.0,
    "reason": 2.0,
    "none": math.nan,
    "far": math.inf,
}


class Measured(motion.Component):
    def __init__(self, new: Callable[[], Any], old: Callable[[], Any] = lambda: {"q": 1.0}) -> None:
        self.new, self.old = new, old

    def setup(self) -> int:
        return 1

    @motion.fit(on="row.label", promote=motion.if_better("q"))
    def learn(self, state: int, rows: list[Row]) -> int:
        return state + 1

    def evaluate(self, state: int, rows: list[Row]) -> Any:
        return (self.old if state == 1 else self.new)()


def measured(open_store: OpenStore, component: Measured) -> motion.StateVersion:
    store = opened(open_store, component)
    learn(store, 1, "Measured")
    return store.model("Measured").versions()[-1]


def test_metrics_may_have_any_name_and_any_number(open_store: OpenStore) -> None:
    found = measured(open_store, Measured(lambda: {"q": np.float32(2), "left out": None, **ODD}))
    assert found.status == "live"
    assert found.metrics == {"q": 2.0, **ODD, "none": pytest.approx(math.nan, nan_ok=True)}
    assert found.reason is None


@pytest.mark.parametrize(
    ("new", "old", "said"),
    [
        (lambda: {"q": "good"}, None, "gave 'good' (str) for 'q'; metrics are numbers"),
        (lambda: {"q": 2.0, "by": {"a": 1}}, None, "(dict) for 'by'; metrics are numbers"),
        (lambda: {"q": np.ones(2)}, None, "(ndarray) for 'q'; metrics are numbers"),
        (lambda: {"q": math.nan}, None, "NaN for 'q' of the new version"),
        (lambda: {"q": 2.0}, lambda: {"q": math.nan}, "NaN for 'q' of the live version"),
        (lambda: {"q": 2.0}, lambda: {"p": 1.0}, "no 'q' for the live version; it gave {'p': 1.0}"),
        (lambda: {"q": None}, None, "no 'q' for the new version"),
        (lambda: {"q\udce9": "x"}, None, "metrics are numbers"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_refuses_and_says_whose_it_is(
    open_store: OpenStore, new: Any, old: Any, said: str
) -> None:
    component = Measured(new) if old is None else Measured(new, old)
    found = measured(open_store, component)
    assert found.status == "refused"
    assert said in (found.reason or "")
    assert found.metrics["reason"] == found.reason


def test_figures_and_notes_of_a_store_of_format_1_are_put_apart(
    open_store: OpenStore, tmp_path: Path
) -> None:
    folder = tmp_path / "shop.motion"
    folder.mkdir()
    with sqlite3.connect(folder / "store.sqlite") as file:
        file.executescript(FORMAT_1.read_text())
        metrics = '{"q": 1.0, "live": {"q": 2.0}, "reason": "worse", "is_ready": true}'
        file.execute("UPDATE motion_states SET metrics = ?", (metrics,))
    file.close()

    store = open_store(schemas=SCHEMAS, triggers=[OfFormat1()], run=False)
    (found,) = store.model("Taste").versions()
    assert found.metrics == {"q": 1.0, "live": {"q": 2.0}, "reason": "worse"}
    assert found.reason == "worse"
    assert store.sql("select metrics from motion_states")["metrics"].to_pylist() == ['{"q":1.0}']


# -- a backfill that fails on a row --


@motion.trigger(on="row.label", sets="row.out", inline=False)
def doubled(label: int) -> str:
    return str(2 * label)


class Taste(motion.Component):
    def setup(self) -> int:
        return 1

    @motion.infer(on="row.text", sets="row.vector", refresh="before")
    def embed(self, state: int, text: str) -> Any:
        return np.array([state, len(text)], np.float32)

    @motion.fit(on="row.free")
    def learn(self, state: int, rows: list[Row]) -> int:
        return state + 1


@pytest.mark.parametrize("fails", ["row", "always"])
def test_a_backfill_whose_condition_fails_holds_up_nothing_and_tells_the_row(
    open_store: OpenStore, tmp_path: Path, fails: str
) -> None:
    triggers = [doubled, Taste()]
    store = opened(open_store, *triggers)
    store.set_many("row", [{"id": i, "text": f'{{"x": {i}}}', "label": i} for i in range(1, 4)])
    store.wait(timeout=60)
    store.close()
    store = opened(open_store, *triggers, run=False)
    change = store.backfill("doubled", where="json_extract(text, '$.x') > 1", force=True)
    store.set("row", id=2, text="{not json")
    store.close()
    if fails == "always":
        with sqlite3.connect(tmp_path / "shop.motion" / "store.sqlite") as file:
            file.execute("UPDATE motion_backfills SET condition = 'gone(text)'")
        file.close()
    store = opened(open_store, *triggers)
    store.set("row", id=1, free=np.ones(1))
    store.model("Taste").fit().wait(timeout=60)
    assert statuses(store, "Taste") == ["retired", "live"]
    with pytest.raises(motion.TaskFailed, match="condition of a backfill cannot be answered"):
        store.change(change.key).wait(timeout=60)
    store.wait(timeout=60)
    assert [letter.row for letter in store.errors()] == ["id=2" if fails == "row" else "id=1"]
    assert [row.out for row in store.rows("row")] == ["2", "4", "6"]
    store.retry()
    store.wait(timeout=60)
    assert store.errors() == []


# -- a view of what was live --


def outputs(store: motion.Store) -> set[int]:
    """Return the versions that have outputs."""
    found = store.sql('select distinct slot >> 40 as version from "motion_outputs_Taste.embed"')
    return set(found["version"].to_pylist())


def test_a_view_keeps_its_version_until_it_ends_whatever_goes_live(open_store: OpenStore) -> None:
    store = opened(open_store, Taste())
    store.set_many("row", [{"id": i, "text": "x" * i} for i in range(1, 6)])
    store.wait(timeout=60)
    model = store.model("Taste")

    def fit(label: int) -> None:
        store.set("row", id=1, free=np.full(1, label))
        model.fit().wait(timeout=60)
        store.wait(timeout=60)

    with model.live() as (state, view):
        for label in range(3):
            fit(label)
        assert store.status().versions["Taste"] == 4
        assert (state, view.get("row", 2).vector.tolist()) == (1, [1, 2])
        assert len(view.search("row.vector", [1.0, 1.0], k=5)) == 5
        until(store, lambda: outputs(store) == {1, 3, 4})
        with model.live() as (newer, _):  # of another version, which ends first
            assert newer == 4
    fit(3)
    until(store, lambda: outputs(store) == {4, 5})
