"""Components: how states are made, learned, judged and switched, and what every reader sees meanwhile."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest

import motion
from tests.conftest import OpenStore, pause

ROOT = Path(__file__).parents[2]
Plane = Annotated[np.ndarray, motion.Vector(2, metric="dot")]


@dataclass
class Item:
    id: int
    text: str
    label: str
    vector: Plane
    seen: str
    answer: int
    remade: int
    question: str
    found: str


@dataclass
class Ask:
    id: int
    query: str
    idea: str
    idea_page: int
    liked: bool


SCHEMAS = {"item": Item, "ask": Ask}
State = dict[str, Any]

MAY_GO_ON = threading.Event()
HAS_BEGUN = threading.Event()
SETUPS: list[str] = []


def learned(state: State, rows: list[Item], store: motion.View) -> State:
    """The next state: a factor larger by one, and all that was ever learned. Some labels do mischief."""
    for row in rows:
        if row.label == "raise":
            raise ValueError("these labels make no sense")
        if row.label == "exit":
            os._exit(3)
        if row.label == "none":
            return None  # type: ignore[return-value]  # the mischief
        if row.label == "object":
            return {"factor": object()}
        if row.label.startswith("begin "):
            Path(row.label.removeprefix("begin ")).touch()
            while not store.rows("item", where="id = 99 AND answer IS NOT NULL"):
                pass  # the test, not the clock, ends this
    lessons = [f"{row.id}={row.label}" for row in rows]
    return {
        "factor": state["factor"] + 1, "lessons": [*state["lessons"], *lessons], "process": os.getpid(),
        "niceness": os.nice(0),
    }  # fmt: skip


class Scale(motion.Component):
    """Its vectors are (factor, length of the text): under the dot product with (1, 0), a score is a version."""

    def __init__(self, factor: int = 1) -> None:
        self.factor = factor

    def setup(self) -> State:
        SETUPS.append(type(self).__name__)
        return {"factor": self.factor, "lessons": []}

    @motion.infer(on="item.text", sets="item.vector", refresh="before")
    def embed(self, state: State, text: str) -> np.ndarray:
        if text == f"hold {state['factor']}":
            HAS_BEGUN.set()
            assert MAY_GO_ON.wait(30), "the test never let the run go on"
        if text == "fails from 2 on" and state["factor"] > 1:
            raise ValueError("cannot be embedded any more")
        return np.array([state["factor"], len(text)], np.float32)

    @motion.infer(on="item.text", sets="item.answer")
    def answer(self, state: State, text: str) -> int:
        return int(state["factor"])

    @motion.infer(on="item.text", sets="item.remade", refresh="after")
    def remake(self, state: State, text: str) -> int:
        return int(state["factor"])

    @motion.infer(on="item.question", sets="item.found")
    def find(self, state: State, store: motion.View) -> str:
        return f"{state['factor']}:{spaces(store)}"

    @motion.fit(on="item.label", every=3)
    def learn(self, state: State, rows: list[Item], store: motion.View) -> State:
        return learned(state, rows, store)


class Judged(motion.Component):
    """As `Scale`, with a gate: `evaluate` measures the share of held-out rows, and the factor."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def setup(self) -> State:
        return {"factor": 1, "lessons": []}

    @motion.infer(on="item.text", sets="item.answer")
    def answer(self, state: State, text: str) -> int:
        return int(state["factor"])

    @motion.fit(on="item.label", holdout=0.5, promote=motion.if_better("quality"))
    def learn(self, state: State, rows: list[Item], store: motion.View) -> State:
        return learned(state, rows, store)

    def evaluate(self, state: State, rows: list[Item]) -> dict[str, float]:
        return {"quality": state["factor"] * self.gain, "rows": len(rows)}


class Manual(motion.Component):
    def setup(self) -> State:
        return {"factor": 1, "lessons": []}

    @motion.infer(on="item.text", sets="item.vector", refresh="before")
    def embed(self, state: State, text: str) -> np.ndarray:
        return np.array([state["factor"], len(text)], np.float32)

    @motion.fit(on="item.label", promote=motion.manual)
    def learn(self, state: State, rows: list[Item], store: motion.View) -> State:
        return learned(state, rows, store)


class Untaught(motion.Component):
    """Has no state before its first fit."""

    @motion.infer(on="item.text", sets="item.vector", refresh="before")
    def embed(self, state: State, text: str) -> np.ndarray:
        return np.array([state["factor"], len(text)], np.float32)

    @motion.infer(on="item.text", sets="item.answer")
    def answer(self, state: State, text: str) -> int:
        return int(state["factor"])

    @motion.fit(on="item.label", every=1, promote=motion.if_better("quality"))
    def learn(self, state: State | None, rows: list[Item]) -> State:
        return {"factor": 5}

    def evaluate(self, state: State, rows: list[Item]) -> dict[str, float]:
        return {"quality": 0.5}


def until_there(sign: Path) -> None:
    """Wait for the file by which a fit says that it has begun; it goes on when item 99 has an answer."""
    while not sign.exists():
        pause()


def spaces(reader: Any) -> str:
    """Return the versions whose vectors a search compares, by its scores and by the rows of its hits."""
    hits = reader.search("item.vector", [1, 0], k=1000)
    found = {int(hit.score) for hit in hits} | {int(hit.row.vector[0]) for hit in hits}
    return ",".join(map(str, sorted(found)))


def open_with(open_store: OpenStore, *triggers: Any, **options: Any) -> motion.Store:
    return open_store(schemas=SCHEMAS, triggers=triggers, **options)


def fill(store: motion.Store, *texts: str) -> None:
    store.set_many("item", [{"id": i, "text": text} for i, text in enumerate(texts, 1)])
    store.wait(timeout=60)


def teach(store: motion.Store, **labels: str) -> None:
    """Set labels: `i1="red"` labels item 1."""
    for name, label in labels.items():
        store.set("item", id=int(name[1:]), label=label)


def fit(store: motion.Store, component: str = "Scale") -> None:
    store.model(component).fit()
    store.wait(timeout=60)


def versions(store: motion.Store, component: str = "Scale") -> list[tuple[int, str]]:
    return [(version.number, version.status) for version in store.model(component).versions()]


def live_state(store: motion.Store, component: str = "Scale") -> State:
    with store.model(component).live() as (state, _):
        return dict(state)


def item(store: motion.Store, id: int = 1) -> Any:
    """Return a row whose keys may be unset, whatever its schema says."""
    return store.get(Item, id)


@pytest.fixture(autouse=True)
def _fresh_gates() -> Iterator[None]:
    SETUPS.clear()
    MAY_GO_ON.clear()
    HAS_BEGUN.clear()
    yield
    MAY_GO_ON.set()


# -- declaring --


def test_a_class_instead_of_a_component_is_refused_with_advice(open_store: OpenStore) -> None:
    with pytest.raises(motion.TriggerError, match="make an instance of it"):
        open_with(open_store, Scale)


@pytest.mark.parametrize(
    ("options", "named"), [({"every": 0}, "every"), ({"holdout": 1.0}, "holdout")]
)
def test_a_fit_option_out_of_its_range_is_an_error_at_once(
    options: dict[str, Any], named: str
) -> None:
    with pytest.raises(motion.TriggerError, match=named):
        motion.fit(on="item.label", **options)


def test_if_better_needs_evaluate(open_store: OpenStore) -> None:
    class Blind(motion.Component):
        @motion.fit(on="item.label", promote=motion.if_better("quality"))
        def learn(self, state: Any, rows: list[Any]) -> Any: ...

    with pytest.raises(motion.TriggerError, match="evaluate"):
        open_with(open_store, Blind())


def test_refresh_before_does_not_go_with_pages(open_store: OpenStore) -> None:
    class Paged(motion.Component):
        @motion.infer(on="ask.query", sets="ask.idea", page="idea_page", refresh="before")
        def ideas(self, state: Any, query: str) -> list[str]:
            return [query]

    with pytest.raises(motion.TriggerError, match="refresh='before'"):
        open_with(open_store, Paged())


def test_an_unknown_component_is_named_with_those_there_are(open_store: OpenStore) -> None:
    with pytest.raises(motion.MotionError, match="Scale"):
        open_with(open_store, Scale()).model("Scales")


# -- setup --


def test_setup_makes_version_1_once(open_store: OpenStore) -> None:
    store = open_with(open_store, Scale(factor=7))
    fill(store, *"abcdefgh")
    assert (SETUPS, versions(store), item(store).answer) == (["Scale"], [(1, "live")], 7)


def test_the_state_is_kept_on_disk_and_loaded_after_reopening(open_store: OpenStore) -> None:
    store = open_with(open_store, Scale(factor=7))
    fill(store, "a")
    store.close()
    store = open_with(open_store, Scale(factor=7))
    store.set("item", id=2, text="b").wait()
    assert (SETUPS, item(store, 2).answer, live_state(store)["factor"]) == (["Scale"], 7, 7)


def test_states_of_arrays_and_plain_data_come_back_as_they_were(open_store: OpenStore) -> None:
    whole: dict[str, Any] = {
        "weights": np.arange(6, dtype=np.float64).reshape(2, 3), "names": ["a", "b"], "pair": (1, 2.5),
        "nested": {"flag": True, "nothing": None, "deep": [{"x": np.zeros(2, np.int8)}]},
    }  # fmt: skip

    class Keeper(motion.Component):
        def setup(self) -> Any:
            return whole

        @motion.infer(on="item.text", sets="item.answer")
        def answer(self, state: Any, text: str) -> int:
            return int(state["weights"].sum())

    store = open_with(open_store, Keeper())
    fill(store, "a")
    store.close()
    state = live_state(open_with(open_store, Keeper()), "Keeper")
    assert state["weights"].tolist() == whole["weights"].tolist()
    assert (state["weights"].dtype, state["pair"]) == (np.float64, (1, 2.5))
    assert state["nested"]["deep"][0]["x"].dtype == np.int8


def test_save_and_load_give_other_states_a_safe_form(open_store: OpenStore) -> None:
    class Words(motion.Component):
        def setup(self) -> frozenset[str]:
            return frozenset({"a", "b"})

        def save(self, state: frozenset[str]) -> dict[str, list[str]]:
            return {"words": sorted(state)}

        def load(self, saved: dict[str, list[str]]) -> frozenset[str]:
            return frozenset(saved["words"])

        @motion.infer(on="item.text", sets="item.answer")
        def known(self, state: frozenset[str], text: str) -> int:
            return int(text in state)

    store = open_with(open_store, Words())
    fill(store, "a", "z")
    assert (item(store, 1).answer, item(store, 2).answer) == (1, 0)


def test_a_state_without_a_safe_form_is_an_error_that_names_the_part(open_store: OpenStore) -> None:
    class Odd(motion.Component):
        def setup(self) -> Any:
            return {"inner": [threading.Event()]}

        @motion.infer(on="item.text", sets="item.answer")
        def answer(self, state: Any, text: str) -> int:
            return 1

    store = open_with(open_store, Odd())
    store.set("item", id=1, text="a").wait(raise_errors=False)
    error = store.errors()[0].error
    assert "Event at state.inner[0]" in error
    assert "save(self, state)" in error


def test_a_missing_model_file_is_the_rows_error_until_it_is_there(
    open_store: OpenStore, tmp_path: Path
) -> None:
    class FromFile(motion.Component):
        def setup(self) -> Any:
            return float((tmp_path / "weights.txt").read_text())

        @motion.infer(on="item.text", sets="item.answer")
        def answer(self, state: float, text: str) -> int:
            return int(state)

    store = open_with(open_store, FromFile())
    store.set("item", id=1, text="a").wait(raise_errors=False)
    assert "FileNotFoundError" in store.errors()[0].error
    (tmp_path / "weights.txt").write_text("4")
    store.retry()
    store.wait(timeout=60)
    assert (item(store).answer, store.errors()) == (4, [])


def test_a_damaged_state_is_an_error_and_nothing_is_computed_with_it(
    open_store: OpenStore, tmp_path: Path
) -> None:
    class Array(motion.Component):
        def setup(self) -> Any:
            return np.ones(100)

        @motion.infer(on="item.text", sets="item.answer")
        def answer(self, state: Any, text: str) -> int:
            return int(state.sum())

    store = open_with(open_store, Array())
    fill(store, "a")
    store.close()
    (file,) = (tmp_path / "shop.motion" / "states").iterdir()
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    store = open_with(open_store, Array())
    store.set("item", id=2, text="b").wait(raise_errors=False)
    assert "is damaged" in store.errors()[0].error


def test_infer_without_a_state_waits_for_the_first_fit(open_store: OpenStore) -> None:
    store = open_with(open_store, Untaught())
    fill(store, "a", "b")
    before = (item(store).answer, store.errors())
    teach(store, i1="x")
    store.wait(timeout=60)
    assert before == (None, [])
    assert versions(store, "Untaught") == [(1, "live")]
    assert [row.answer for row in store.rows("item")] == [5, 5]
    assert spaces(store) == "5"


# -- the live state in other triggers --


def test_a_trigger_may_receive_a_components_live_state(open_store: OpenStore) -> None:
    @motion.trigger(on="item.question", sets="item.seen")
    def ask(question: str, model: Scale) -> str:
        return f"{question}{model['factor']}"  # type: ignore[index]  # the state, not the component

    store = open_with(open_store, Scale(factor=3), ask)
    store.set("item", id=1, question="factor?").wait()
    assert item(store).seen == "factor?3"


def test_a_trigger_that_receives_a_state_waits_for_the_first_fit(open_store: OpenStore) -> None:
    @motion.trigger(on="item.question", sets="item.seen")
    def ask(question: str, model: Untaught) -> str:
        return f"{question}{model['factor']}"  # type: ignore[index]

    store = open_with(open_store, Untaught(), ask)
    store.set("item", id=1, question="factor?").wait()
    before = item(store).seen
    teach(store, i1="x")
    store.wait(timeout=60)
    assert (before, item(store).seen) == (None, "factor?5")


def test_a_setup_that_raises_is_the_error_of_triggers_that_receive_the_state(
    open_store: OpenStore,
) -> None:
    class Broken(motion.Component):
        def setup(self) -> Any:
            raise OSError("no such model")

    @motion.trigger(on="item.question", sets="item.seen")
    def ask(question: str, model: Broken) -> str:
        return question

    store = open_with(open_store, Broken(), ask)
    store.set("item", id=1, question="a").wait(raise_errors=False)
    assert "no such model" in store.errors()[0].error


# -- fits and labels --


def test_a_fit_makes_the_next_version_from_the_live_one(open_store: OpenStore) -> None:
    store = open_with(open_store, Scale())
    teach(store, i1="red", i2="blue")
    fit(store)
    first, second = store.model("Scale").versions()
    assert (first.status, second.status) == ("retired", "live")
    assert (second.number, second.parent, second.rows) == (2, 1, 2)


def test_a_fit_runs_in_a_process_of_its_own(open_store: OpenStore) -> None:
    store = open_with(open_store, Scale())
    teach(store, i1="red")
    fit(store)
    assert live_state(store)["process"] != os.getpid()


def test_a_fit_is_less_urgent_than_the_process_that_asks_for_it(open_store: OpenStore) -> None:
    @motion.trigger(on="item.question", sets="item.seen", executor="process")
    def urgency(question: str) -> str:
        return f"{os.nice(0)}"

    store = open_with(open_store, Scale(), urgency)
    teach(store, i1="red")
    fit(store)
    store.set("item", id=1, question="how nice?").wait()
    assert live_state(store)["niceness"] == min(os.nice(0) + 10, 19)
    assert store.get("item", 1).seen == f"{os.nice(0)}"


def test_every_counts_labels_since_the_last_fit(open_store: OpenStore) -> None:
    store = open_with(open_store, Scale())
    teach(store, i1="a", i2="b")
    store.wait(timeout=60)  # two of three labels are no work
    before = versions(store)
    teach(store, i3="c")
    store.wait(timeout=60)
    teach(store, i4="d", i5="e")
    store.wait(timeout=60)
    assert (before, versions(store)) == ([], [(1, "retired"), (2, "live")])
    assert live_state(store)["lessons"] == ["1=a", "2=b", "3=c"]


def test_a_fit_without_labels_does_nothing(open_store: OpenStore) -> None:
    store = open_with(open_store, Scale())
    fit(store)
    assert versions(store) == []


def test_infer_goes_on_while_a_fit_runs(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_with(open_store, Scale())
    teach(store, i1=f"begin {tmp_path / 'sign'}")
    store.model("Scale").fit()
    store.set("item", id=99, text="a")  # the fit ends when it sees its answer
    store.wait(timeout=60)
    assert (item(store, 99).answer, versions(store)[-1]) == (1, (2, "live"))


def test_a_label_is_a_copy_of_the_row_with_inherited_keys(open_store: OpenStore) -> None:
    class Copies(motion.Component):
        def setup(self) -> Any:
            return []

        @motion.fit(on="ask.liked")
        def learn(self, state: Any, rows: list[Ask]) -> Any:
            return [[row.query, row.idea, row.idea_page, row.liked] for row in rows]

    store = open_with(open_store, Copies())
    store.set("ask", id=1, query="red dress")
    store.set("ask", id=1, idea_page=2, idea="gown")
    store.set("ask", id=1, idea_page=2, liked=True)
    store.set("ask", id=1, query="blue dress", idea="nothing")
    store.set("ask", id=1, idea_page=2, idea="skirt")
    fit(store, "Copies")
    with store.model("Copies").live() as (state, _):
        assert state == [["red dress", "gown", 2, True]]


def test_unsetting_the_label_key_takes_the_label_back(open_store: OpenStore) -> None:
    store = open_with(open_store, Scale())
    teach(store, i1="a", i2="b")
    store.set("item", id=1, label=None)
    fit(store)
    assert live_state(store)["lessons"] == ["2=b"]


def test_p8_setting_a_label_again_before_a_fit_replaces_it(open_store: OpenStore) -> None:
    store = open_with(open_store, Scale())
    teach(store, i1="old", i2="b")
    teach(store, i1="new")
    fit(store)
    assert sorted(live_state(store)["lessons"]) == ["1=new", "2=b"]


def test_p8_setting_a_label_again_after_a_fit_makes_a_new_one(open_store: OpenStore) -> None:
    store = open_with(open_store, Scale())
    teach(store, i1="old", i2="b")
    fit(store)
    teach(store, i1="new")
    fit(store)
    assert live_state(store)["lessons"] == ["1=old", "2=b", "1=new"]


def test_p8_setting_the_label_that_is_there_makes_none(open_store: OpenStore) -> None:
    store = open_with(open_store, Scale())
    teach(store, i1="a")
    fit(store)
    teach(store, i1="a")
    fit(store)
    assert live_state(store)["lessons"] == ["1=a"]


def test_p8_a_label_made_after_the_newest_one_was_deleted_is_not_skipped(
    open_store: OpenStore,
) -> None:
    store = open_with(open_store, Scale())
    teach(store, i1="a", i2="b")
    fit(store)
    store.delete("item", 2)
    teach(store, i3="c")
    fit(store)
    assert live_state(store)["lessons"] == ["1=a", "2=b", "3=c"]


def test_p8_a_label_set_again_while_a_fit_learns_from_it_is_not_skipped(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_with(open_store, Scale())
    sign = f"begin {tmp_path / 'sign'}"
    teach(store, i1=sign, i99="first")
    store.model("Scale").fit()
    until_there(tmp_path / "sign")
    teach(store, i99="second")
    store.set("item", id=99, text="go on")
    store.wait(timeout=60)
    fit(store)
    assert live_state(store)["lessons"] == [f"1={sign}", "99=first", "99=second"]


def test_labels_made_during_a_fit_cause_the_next_one(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_with(open_store, Scale())
    sign = f"begin {tmp_path / 'sign'}"
    teach(store, i1=sign, i2="b", i3="c")
    until_there(tmp_path / "sign")
    teach(store, i4="d", i5="e", i6="f")
    store.set("item", id=99, text="go on")
    store.wait(timeout=60)
    assert live_state(store)["lessons"] == [f"1={sign}", "2=b", "3=c", "4=d", "5=e", "6=f"]


def test_p8_a_deleted_row_takes_its_label_along(open_store: OpenStore) -> None:
    store = open_with(open_store, Scale())
    teach(store, i1="a", i2="b")
    store.delete("item", 1)
    fit(store)
    assert live_state(store)["lessons"] == ["2=b"]


# -- failing fits --


@pytest.mark.parametrize(
    ("mischief", "reason"),
    [
        ("raise", "these labels make no sense"),
        ("exit", "exit code 3"),
        ("none", "returned None"),
        ("object", "object at state.factor"),
    ],
)
def test_p8_a_failed_fit_is_noted_and_loses_no_label(
    open_store: OpenStore, mischief: str, reason: str
) -> None:
    store = open_with(open_store, Scale())
    teach(store, i1="a", i2=mischief)
    fit(store)
    failed = store.model("Scale").versions()[-1]
    teach(store, i2="b")
    fit(store)
    assert (failed.number, failed.status) == (2, "failed")
    assert reason in failed.metrics["reason"]
    assert versions(store) == [(1, "retired"), (2, "failed"), (3, "live")]
    assert live_state(store)["lessons"] == ["1=a", "2=b"]


def test_a_setup_that_raises_is_a_failed_fit(open_store: OpenStore) -> None:
    class Broken(motion.Component):
        def setup(self) -> Any:
            raise OSError("no such model")

        @motion.fit(on="item.label")
        def learn(self, state: Any, rows: list[Item]) -> Any:
            return state

    store = open_with(open_store, Broken())
    teach(store, i1="a")
    fit(store, "Broken")
    (failed,) = store.model("Broken").versions()
    assert (failed.status, "no such model" in failed.metrics["reason"]) == ("failed", True)


def test_a_fit_that_is_under_way_at_close_is_made_at_the_next_start(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_with(open_store, Scale())
    teach(store, i1=f"begin {tmp_path / 'sign'}")
    store.model("Scale").fit()
    until_there(tmp_path / "sign")
    store.close()
    store = open_with(open_store, Scale())
    store.set("item", id=99, text="go on")
    store.wait(timeout=60)
    assert versions(store) == [(1, "retired"), (2, "live")]


# -- the gate --


def test_if_better_promotes_a_better_version_and_keeps_the_figures(open_store: OpenStore) -> None:
    store = open_with(open_store, Judged())
    store.set_many("item", [{"id": i, "label": "x"} for i in range(1, 21)])
    fit(store, "Judged")
    old, new = store.model("Judged").versions()
    assert (old.status, new.status) == ("retired", "live")
    assert (new.metrics["quality"], new.metrics["live"]["quality"]) == (2.0, 1.0)


def test_metrics_have_any_name_and_the_live_versions_are_told_all_the_same(
    open_store: OpenStore,
) -> None:
    class Named(Judged):
        def evaluate(self, state: State, rows: list[Item]) -> dict[str, float]:
            named = dict.fromkeys(
                ("live", "reason", "sample", "is_ready", "rows"), state["factor"] / 2
            )
            return {"quality": state["factor"], **named}

    store = open_with(open_store, Named())
    store.set_many("item", [{"id": i, "label": "x"} for i in range(1, 21)])
    fit(store, "Named")
    old, new = store.model("Named").versions()
    names = ("live", "reason", "sample", "is_ready", "rows")
    assert (old.status, new.status, new.reason) == ("retired", "live", None)
    assert new.metrics == {"quality": 2, **dict.fromkeys(names, 1.0)}
    assert new.live_metrics == {"quality": 1, **dict.fromkeys(names, 0.5)}


def test_if_better_refuses_a_version_that_is_no_better_with_figures_and_reason(
    open_store: OpenStore,
) -> None:
    store = open_with(open_store, Judged(gain=0.0))
    store.set_many("item", [{"id": i, "label": "x"} for i in range(1, 21)])
    fit(store, "Judged")
    old, new = store.model("Judged").versions()
    assert (old.status, new.status, new.metrics["quality"]) == ("live", "refused", 0.0)
    assert "not better" in new.metrics["reason"]


def test_if_better_refuses_nan(open_store: OpenStore) -> None:
    store = open_with(open_store, Judged(gain=float("nan")))
    store.set_many("item", [{"id": i, "label": "x"} for i in range(1, 21)])
    fit(store, "Judged")
    assert versions(store, "Judged") == [(1, "live"), (2, "refused")]


def test_p8_the_labels_of_a_refused_fit_are_learned_by_the_next(open_store: OpenStore) -> None:
    store = open_with(open_store, Judged(gain=0.0))
    store.set_many("item", [{"id": i, "label": "x"} for i in range(1, 21)])
    fit(store, "Judged")
    fit(store, "Judged")
    refused, again = store.model("Judged").versions()[1:]
    assert again.rows == refused.rows > 0


def test_held_out_labels_are_never_learned_and_always_the_same(open_store: OpenStore) -> None:
    store = open_with(open_store, Judged())
    store.set_many("item", [{"id": i, "label": "x"} for i in range(1, 41)])
    fit(store, "Judged")
    store.set_many("item", [{"id": i, "label": "y"} for i in range(1, 41)])
    fit(store, "Judged")
    ids = [lesson.split("=")[0] for lesson in live_state(store, "Judged")["lessons"]]
    held = int(store.model("Judged").versions()[-1].metrics["rows"])
    assert len(ids) == 2 * len(set(ids))
    assert 0 < len(set(ids)) < 40
    assert held == 40 - len(set(ids))


def test_manual_waits_for_promote(open_store: OpenStore) -> None:
    store = open_with(open_store, Manual())
    fill(store, "a", "b")
    teach(store, i1="x")
    fit(store, "Manual")
    waiting = (versions(store, "Manual"), spaces(store))
    store.model("Manual").promote(2)
    store.wait(timeout=60)
    assert waiting == ([(1, "live"), (2, "candidate")], "1")
    assert (versions(store, "Manual"), spaces(store)) == ([(1, "retired"), (2, "live")], "2")


def test_a_newer_candidate_supersedes_one_that_waits(open_store: OpenStore) -> None:
    store = open_with(open_store, Manual())
    teach(store, i1="x")
    fit(store, "Manual")
    teach(store, i2="y")
    fit(store, "Manual")
    assert versions(store, "Manual") == [(1, "live"), (2, "refused"), (3, "candidate")]
    assert "superseded by version 3" in store.model("Manual").versions()[1].metrics["reason"]


def test_a_refused_version_can_be_promoted_by_hand(open_store: OpenStore) -> None:
    store = open_with(open_store, Judged(gain=0.0))
    store.set_many("item", [{"id": i, "label": "x"} for i in range(1, 21)])
    fit(store, "Judged")
    store.model("Judged").promote(2)
    store.wait(timeout=60)
    assert versions(store, "Judged") == [(1, "retired"), (2, "live")]


def test_a_version_on_its_way_to_be_live_is_shown_as_a_candidate(open_store: OpenStore) -> None:
    store = open_with(open_store, Judged(gain=0.0))
    store.set_many("item", [{"id": i, "label": "x"} for i in range(1, 21)])
    fit(store, "Judged")
    store.close()
    idle = open_with(open_store, Judged(gain=0.0), run=False)
    idle.model("Judged").promote(2)
    assert versions(idle, "Judged") == [(1, "live"), (2, "candidate")]


def test_an_unknown_version_cannot_be_promoted(open_store: OpenStore) -> None:
    store = open_with(open_store, Scale())
    fill(store, "a")
    with pytest.raises(motion.StateError, match="no state version 9; it has 1"):
        store.model("Scale").promote(9)


# -- the switch --


def test_outputs_follow_a_switch_as_their_refresh_says(open_store: OpenStore) -> None:
    store = open_with(open_store, Scale())
    fill(store, "a", "b")
    teach(store, i1="x")
    fit(store)
    row = item(store, 2)
    assert (int(row.vector[0]), row.remade, row.answer) == (2, 2, 1)


def test_what_derives_from_switched_values_runs_after_the_switch(open_store: OpenStore) -> None:
    @motion.trigger(on="item.vector", sets="item.seen")
    def see(vector: np.ndarray) -> str:
        return f"v{int(vector[0])}"

    store = open_with(open_store, Scale(), see)
    fill(store, "a", "b")
    teach(store, i1="x")
    fit(store)
    assert [row.seen for row in store.rows("item")] == ["v2", "v2"]


def test_rollback_switches_back_with_all_that_derives(open_store: OpenStore) -> None:
    @motion.trigger(on="item.vector", sets="item.seen")
    def see(vector: np.ndarray) -> str:
        return f"v{int(vector[0])}"

    store = open_with(open_store, Scale(), see)
    fill(store, "a", "b")
    teach(store, i1="x")
    fit(store)
    store.set("item", id=3, text="since").wait()
    store.model("Scale").rollback()
    store.wait(timeout=60)
    assert versions(store) == [(1, "live"), (2, "retired")]
    assert (spaces(store), [row.seen for row in store.rows("item")]) == ("1", ["v1"] * 3)


def test_p8_after_a_rollback_the_labels_are_learned_again(open_store: OpenStore) -> None:
    store = open_with(open_store, Scale())
    teach(store, i1="a")
    fit(store)
    store.model("Scale").rollback()
    store.wait(timeout=60)
    teach(store, i2="b")
    fit(store)
    assert store.model("Scale").versions()[-1].parent == 1
    assert live_state(store)["lessons"] == ["1=a", "2=b"]


def test_versions_and_rollback_survive_reopening(open_store: OpenStore) -> None:
    store = open_with(open_store, Scale())
    fill(store, "a", "b")
    teach(store, i1="x")
    fit(store)
    store.close()
    store = open_with(open_store, Scale())
    reopened = spaces(store)
    store.model("Scale").rollback()
    store.wait(timeout=60)
    assert (reopened, spaces(store)) == ("2", "1")


def test_p9_while_outputs_are_built_the_old_version_serves(open_store: OpenStore) -> None:
    store = open_with(open_store, Scale())
    fill(store, "a", "hold 2", "c")
    teach(store, i1="x")
    store.model("Scale").fit()
    assert HAS_BEGUN.wait(60)
    during = (spaces(store), versions(store))
    MAY_GO_ON.set()
    store.wait(timeout=60)
    assert during == ("1", [(1, "live"), (2, "candidate")])
    assert spaces(store) == "2"


def test_rows_set_during_a_build_get_both_versions(open_store: OpenStore) -> None:
    store = open_with(open_store, Scale())
    fill(store, "a", "hold 2", "c")
    teach(store, i1="x")
    store.model("Scale").fit()
    assert HAS_BEGUN.wait(60)
    store.set("item", id=3, text="changed").wait("answer")
    store.set("item", id=100, text="new").wait("answer")
    during = spaces(store)
    MAY_GO_ON.set()
    store.wait(timeout=60)
    assert (during, spaces(store)) == ("1", "2")
    assert [row.vector.tolist() for row in store.rows("item")] == [[2, 1], [2, 6], [2, 7], [2, 3]]


def test_a_row_whose_run_is_under_way_when_a_build_begins_gets_both_versions(
    open_store: OpenStore,
) -> None:
    store = open_with(open_store, Scale())
    fill(store, "a", "b")
    store.set("item", id=3, text="hold 1")
    assert HAS_BEGUN.wait(30)
    teach(store, i1="x")
    store.model("Scale").fit()
    while (
        versions(store)[-1][0] != 2
    ):  # it may be live by the next look: row 3 has nothing yet to build beside
        pause()
    MAY_GO_ON.set()
    store.wait(timeout=60)
    assert [row.vector.tolist() for row in store.rows("item")] == [[2, 1], [2, 1], [2, 6]]


def test_p4_work_that_waits_behind_a_switch_is_done_though_both_versions_agree(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on="item.vector", sets="item.seen")
    def see(vector: np.ndarray) -> str:
        if vector.tolist() == [1, 3]:
            HAS_BEGUN.set()
            assert MAY_GO_ON.wait(60)
        return f"v{int(vector[0])}"

    store = open_with(open_store, Scale(), see)
    fill(store, "a", "b", "c")
    store.set("item", id=1, text="abc")
    assert HAS_BEGUN.wait(30)
    store.set("item", id=2, text=None)  # what derives from it waits behind the run on row 1
    teach(
        store, i3="x"
    )  # the work on the others is not done, and so their labels would not be whole
    store.model("Scale").fit()
    while versions(store)[-1] != (2, "live"):
        pause()
    MAY_GO_ON.set()
    store.wait(timeout=60)
    assert [row.seen for row in store.rows("item")] == ["v2", None, "v2"]


def test_a_row_that_the_new_version_cannot_remake_refuses_it(open_store: OpenStore) -> None:
    store = open_with(open_store, Scale())
    fill(store, "a", "fails from 2 on")
    teach(store, i1="x")
    fit(store)
    refused = store.model("Scale").versions()[-1]
    assert (refused.status, spaces(store)) == ("refused", "1")
    assert "1 row(s) could not be remade" in refused.metrics["reason"]


def test_p7_a_run_whose_version_was_retired_meanwhile_is_made_again(
    open_store: OpenStore,
) -> None:
    gate, has_begun = threading.Event(), threading.Event()

    @motion.trigger(on="item.question", sets="item.seen")
    def ask(question: str, model: Scale, store: motion.View) -> str:
        factor = model["factor"]  # type: ignore[index]
        if factor == 1:
            has_begun.set()
            assert gate.wait(60)
        return f"{factor}:{spaces(store)}"

    store = open_with(open_store, Scale(), ask)
    fill(store, "a", "b")
    change = store.set("item", id=1, question="?")
    assert has_begun.wait(30)
    teach(store, i2="x")
    store.model("Scale").fit()
    while versions(store)[-1] != (2, "live"):
        pause()
    gate.set()
    change.wait()
    assert item(store).seen == "2:2"


def test_p9_a_deleted_row_leaves_the_index_of_its_version(open_store: OpenStore) -> None:
    store = open_with(open_store, Scale())
    fill(store, "aaa", "bb", "c")
    store.search("item.vector", [0, 1], k=3)
    store.delete("item", 1)
    assert [hit.id for hit in store.search("item.vector", [0, 1], k=2)] == [2, 3]


def test_p9_a_users_vector_is_found_among_those_of_the_live_version(open_store: OpenStore) -> None:
    store = open_with(open_store, Scale())
    fill(store, "a", "b")
    store.search("item.vector", [0, 1], k=3)
    store.set("item", id=2, vector=np.array([1, 50], np.float32))
    assert [hit.id for hit in store.search("item.vector", [0, 1], k=1)] == [2]


# -- P9: no reader ever sees two versions in one search --


def watch(folder: str, last: int) -> None:
    """Say what searches see until version `last` is live. Runs in a process of its own, without the triggers."""
    store = motion.create_store("shop", schemas=SCHEMAS, url=folder, run=False)
    for _ in itertools.count():
        seen = spaces(store)
        print(seen, flush=True)  # noqa: T201 - the message to the process of the test
        if seen == str(last):
            return


def test_p9_no_search_anywhere_ever_mixes_versions(open_store: OpenStore, tmp_path: Path) -> None:
    folder = f"sqlite:///{tmp_path / 'shop.motion'}"
    store = open_with(open_store, Scale(), url=folder)
    fill(store, *(f"text {i}" for i in range(60)))
    code = f"import tests.states.test_components as here; here.watch({folder!r}, 3)"
    elsewhere = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert elsewhere.stdout is not None
    assert elsewhere.stdout.readline() == "1\n"
    outside: set[str] = set()
    pinned: set[tuple[str, str]] = set()
    is_over = threading.Event()

    def search_outside() -> None:
        while not is_over.is_set():
            outside.add(spaces(store))
            with store.model("Scale").live() as (state, view):
                pinned.update((str(state["factor"]), spaces(view)) for _ in range(3))

    def ask_inside() -> None:
        for i in itertools.count():
            store.set("item", id=1 + i % 20, question=f"{i}").wait()
            if is_over.is_set():
                return

    threads = [threading.Thread(target=search_outside), threading.Thread(target=ask_inside)]
    for thread in threads:
        thread.start()
    try:
        for i in (1, 2):
            teach(store, **{f"i{i}": "x"})
            while not store.model("Scale").fit().count:
                pause()  # its row is asked about all the time: the label waits for the end of that
            while versions(store)[-1] != (i + 1, "live"):
                store.set("item", id=100 + i, text=f"new {i}").wait("answer")
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    store.wait(timeout=60)
    further = elsewhere.stdout.read().split()
    elsewhere.wait()
    elsewhere.stdout.close()
    inside = {row.found for row in store.rows("item") if row.found is not None}
    assert outside <= {"1", "2", "3"}
    assert pinned <= {("1", "1"), ("2", "2"), ("3", "3")}
    assert inside <= {"1:1", "2:2", "3:3"}
    assert set(further) <= {"1", "2", "3"}


def test_a_component_given_to_a_store_that_is_open_already_gets_its_fits(
    open_store: OpenStore,
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[], run=True)
    store.set("item", id=1, text="a")
    assert open_with(open_store, Scale(), run=True) is store
    teach(store, i1="x")
    fit(store)
    assert versions(store) == [(1, "retired"), (2, "live")]


def test_a_version_older_than_all_that_are_in_memory_can_be_gone_back_to(
    open_store: OpenStore,
) -> None:
    store = open_with(open_store, Scale())
    fill(store, "a")
    for round_ in range(3):
        teach(store, i1=f"x{round_}")
        fit(store)
        fill(store, f"a{round_}")
        live_state(store)
    store.close()
    store = open_with(open_store, Scale())
    for number in (2, 3, 4, 1):
        store.model("Scale").promote(number)
        store.wait(timeout=60)
        store.set("item", id=1, text=f"b{number}").wait()
    assert (store.errors(), item(store).answer) == ([], 1)


def test_a_users_value_for_one_row_leaves_the_dead_letters_of_the_others(
    open_store: OpenStore,
) -> None:
    class Broken(Scale):
        def setup(self) -> State:
            if not HAS_BEGUN.is_set():
                raise ValueError("no model yet")
            return super().setup()

    store = open_with(open_store, Broken())
    fill(store, "a", "b", "c")
    store.set("item", id=1, answer=7)
    HAS_BEGUN.set()
    store.retry()
    store.wait(timeout=60)
    assert [row.answer for row in store.rows("item")] == [7, 1, 1]


def test_the_schema_of_a_script_can_be_used_in_a_fit(tmp_path: Path) -> None:
    script = """
import sys
from dataclasses import dataclass, field

import motion

@dataclass
class Item:
    id: int
    label: str
    tags: list = field(default_factory=list)

class Counter(motion.Component):
    def setup(self) -> dict:
        return {"lessons": 0}

    @motion.fit(on="item.label", every=1)
    def learn(self, state: dict, rows: list, store: motion.View) -> dict:
        return {"lessons": state["lessons"] + len(store.rows("item"))}

store = motion.create_store("script", schemas={"item": Item}, triggers=[Counter()], url=sys.argv[1])
store.set("item", id=1, label="x")
store.wait(timeout=60)
with store.model("Counter").live() as (state, _):
    print(state["lessons"])
store.close()
"""
    file = tmp_path / "script.py"
    file.write_text(script)
    done = subprocess.run(
        [sys.executable, str(file), f"sqlite:///{tmp_path / 'store'}"],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.stdout == "1\n", done.stderr


def test_changed_code_says_what_makes_its_values_anew(
    open_store: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    def sized(size: int) -> motion.Component:
        class Sized(motion.Component):
            def setup(self) -> int:
                return size

            @motion.infer(on="item.text", sets="item.vector", refresh="before")
            def embed(self, state: int, text: str) -> np.ndarray:
                return np.array([size], np.float32)

            @motion.infer(on="item.text", sets="item.answer", refresh="never")
            def answer(self, state: int, text: str) -> int:
                return size

        return Sized()

    open_with(open_store, sized(1)).close()
    open_with(open_store, sized(2))
    told = [each.getMessage() for each in caplog.records if "code of trigger" in each.msg]
    answer, embed = sorted(told)
    assert embed.endswith(
        "store.backfill('Sized.embed'), or until another version of Sized is live"
    )
    assert answer.endswith("store.backfill('Sized.answer')")
