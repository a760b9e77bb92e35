"""Promotion: what a changed setup offers, what is rebuilt, what a rollback costs, what is kept, and what every reader sees."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, cast

import numpy as np
import pytest

import motion
from motion.definitions.triggers.specs import TriggerSpec
from motion.engine.policies.build_throttle import Builds
from tests.conftest import OpenStore, pause, until

ROOT = Path(__file__).parents[2]


Plane = Annotated[np.ndarray, motion.Vector(2, metric="dot")]


@dataclass
class Item:
    id: int
    text: str
    label: str
    vector: Plane
    loose: np.ndarray[Any, Any]
    question: str
    found: str


SCHEMAS = {"item": Item}
State = dict[str, Any]


class Calls:
    """The calls of `embed` in this process, as (factor, text); those from `end` on say so and never return."""

    def __init__(self) -> None:
        self.made: list[tuple[int, str]] = []
        self.end = 10**9

    def note(self, factor: int, text: str) -> None:
        self.made.append((factor, text))
        if len(self.made) > self.end:
            print("half", flush=True)  # noqa: T201 - the message to the process that kills this one
            threading.Event().wait()


CALLS = Calls()
HAS_BEGUN, MAY_GO_ON = threading.Event(), threading.Event()


class Scale(motion.Component):
    """Its vectors are (factor, length of the text): under the dot product with (1, 0), a score is a version."""

    def __init__(self, factor: int = 1) -> None:
        self.factor = factor

    def setup(self) -> State:
        if self.factor < 0:
            raise ValueError("no such model")
        return {"factor": self.factor, "weights": np.full(3, self.factor)}

    @motion.infer(on="item.text", sets="item.vector", refresh="before")
    def embed(self, state: State, text: str) -> np.ndarray[Any, Any]:
        CALLS.note(state["factor"], text)
        if text == f"hold {state['factor']}":
            HAS_BEGUN.set()
            assert MAY_GO_ON.wait(30), "the test never let the run go on"
        return np.array([state["factor"], len(text)], np.float32)

    @motion.infer(on="item.question", sets="item.found")
    def find(self, state: State, store: motion.View) -> str:
        return f"{state['factor']}:{seen(store)[0]}"

    @motion.fit(on="item.label")
    def learn(self, state: State, rows: list[Item]) -> State:
        return grown(state)


def grown(state: State) -> State:
    """The next state: a factor larger by one."""
    factor = state["factor"] + 1
    return {"factor": factor, "weights": np.full(3, factor)}


class Lasting(Scale, keep_states=2, keep_outputs=2):
    """The same, with other figures for what is kept."""


class Measured(Scale):
    """The same, with a gate: the factor is the quality."""

    @motion.fit(on="item.label", promote=motion.if_better("quality"))
    def learn(self, state: State, rows: list[Item]) -> State:
        return grown(state)

    def evaluate(self, state: State, rows: list[Item], store: motion.View) -> dict[str, float]:
        found, count = seen(store)
        return {"quality": state["factor"], "saw": float(found or 0), "count": count}


class Wide(motion.Component):
    """Its vectors are as long as its constructor says."""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def setup(self) -> int:
        return self.dim

    @motion.infer(on="item.text", sets="item.loose", refresh="before")
    def embed(self, dim: int, text: str) -> np.ndarray[Any, Any]:
        if text == "hold 3" and dim == 3:
            HAS_BEGUN.set()
            assert MAY_GO_ON.wait(30), "the test never let the run go on"
        return np.arange(1, dim + 1, dtype=np.float32)


def seen(reader: Any) -> tuple[str, int]:
    """Return the versions whose vectors a search compares, by its scores and its hits' rows, and how many it found."""
    hits = reader.search("item.vector", [1, 0], k=1000)
    found = {int(hit.score) for hit in hits} | {int(hit.row.vector[0]) for hit in hits}
    return ",".join(map(str, sorted(found))), len(hits)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    CALLS.made.clear()
    HAS_BEGUN.clear()
    MAY_GO_ON.clear()
    yield
    MAY_GO_ON.set()


def open_with(open_store: OpenStore, component: motion.Component, **options: Any) -> motion.Store:
    return open_store(schemas=SCHEMAS, triggers=[component], **options)


def fill(store: motion.Store, *texts: str) -> None:
    store.set_many("item", [{"id": i, "text": text} for i, text in enumerate(texts, 1)])
    store.wait(timeout=60)


def fit(store: motion.Store, component: str = "Scale", label: str = "x") -> None:
    store.set("item", id=1, label=label)
    store.model(component).fit()
    store.wait(timeout=60)


def versions(store: motion.Store, component: str = "Scale") -> list[tuple[int, str]]:
    return [(version.number, version.status) for version in store.model(component).versions()]


def back(store: motion.Store, component: str = "Scale") -> int | None:
    store.model(component).rollback()
    store.wait(timeout=60)
    return store.status().versions[component]


# -- a sample first --


class Sampled(Scale):
    """The same, tried on 10 rows first; a label "worse" makes it worse."""

    @motion.fit(on="item.label", promote=motion.if_better("quality"), gate_on=10)
    def learn(self, state: State, rows: list[Item]) -> State:
        step = -1 if rows[-1].label == "worse" else 1
        return {"factor": state["factor"] + step, "weights": np.zeros(3)}

    def evaluate(self, state: State, rows: list[Item], store: motion.View) -> dict[str, float]:
        found, count = seen(store)
        narrow = store.search("item.vector", [1, 0], k=1000, where="id <= ?", params=[5])
        return {
            "quality": state["factor"],
            "saw": float(found),
            "count": count,
            "narrow": len(narrow),
        }


def test_a_worse_candidate_is_refused_on_a_sample_before_the_rest_is_built(
    open_store: OpenStore,
) -> None:
    store = open_with(open_store, Sampled(5))
    fill(store, *(f"text {i}" for i in range(50)))
    CALLS.made.clear()
    fit(store, "Sampled", "worse")
    refused = store.model("Sampled").versions()[-1]
    assert (refused.status, refused.metrics["sample"]) == ("refused", True)
    assert (len(CALLS.made), seen(store)) == (10, ("5", 50))


def test_both_versions_are_measured_on_the_same_sample_and_then_on_all(
    open_store: OpenStore,
) -> None:
    store = open_with(open_store, Sampled(5))
    fill(store, *(f"text {i}" for i in range(50)))
    CALLS.made.clear()
    fit(store, "Sampled", "better")
    live = store.model("Sampled").versions()[-1]
    sample = live.metrics["sample"]
    assert (sample["rows"], sample["count"], sample["live"]["count"]) == (10, 10, 10)
    assert (sample["saw"], sample["live"]["saw"]) == (6, 5)
    assert sample["narrow"] == sample["live"]["narrow"] < 5
    assert (live.metrics["count"], live.metrics["live"]["count"]) == (50, 50)
    assert (live.status, len(CALLS.made), seen(store)) == ("live", 50, ("6", 50))


# -- a setup that has changed --


def test_another_constructor_argument_is_offered_as_a_candidate_and_never_swapped_silently(
    open_store: OpenStore,
) -> None:
    store = open_with(open_store, Scale(1))
    fill(store, "a", "b")
    store.close()
    store = open_with(open_store, Scale(7))
    store.wait(timeout=60)
    offered = (versions(store), seen(store))
    store.model("Scale").promote(2)
    store.wait(timeout=60)
    assert offered == ([(1, "live"), (2, "candidate")], ("1", 2))
    assert (versions(store), seen(store)) == ([(1, "retired"), (2, "live")], ("7", 2))
    assert store.model("Scale").versions()[1].parent is None


def test_a_changed_setup_with_a_gate_goes_live_only_if_it_is_better(open_store: OpenStore) -> None:
    store = open_with(open_store, Measured(5))
    fill(store, "a", "b")
    for factor in (3, 9):
        store.close()
        store = open_with(open_store, Measured(factor))
        store.wait(timeout=60)
    first, worse, better = store.model("Measured").versions()
    assert [each.status for each in (first, worse, better)] == ["retired", "refused", "live"]
    assert "from 5 to 3" in worse.metrics["reason"]
    assert (better.metrics["saw"], better.metrics["live"]["saw"]) == (9, 5)
    assert seen(store) == ("9", 2)


def test_a_setup_that_gives_the_same_state_offers_nothing(open_store: OpenStore) -> None:
    class Same(Scale):
        def setup(self) -> State:
            return {"factor": 1, "weights": np.ones(3)}

    store = open_with(open_store, Same(1))
    fill(store, "a")
    store.close()
    store = open_with(open_store, Same(2))
    store.wait(timeout=60)
    assert versions(store, "Same") == [(1, "live")]


def test_a_changed_setup_that_raises_is_a_failed_version_and_the_live_one_goes_on(
    open_store: OpenStore,
) -> None:
    store = open_with(open_store, Scale(1))
    fill(store, "a")
    store.close()
    store = open_with(open_store, Scale(-1))
    store.wait(timeout=60)
    assert versions(store) == [(1, "live"), (2, "failed")]
    assert "no such model" in store.model("Scale").versions()[1].metrics["reason"]
    assert seen(store) == ("1", 1)


def test_a_store_that_is_opened_again_without_a_change_offers_nothing(
    open_store: OpenStore,
) -> None:
    store = open_with(open_store, Scale(1))
    fill(store, "a")
    fit(store)
    store.close()
    store = open_with(open_store, Scale(1))
    store.wait(timeout=60)
    assert versions(store) == [(1, "retired"), (2, "live")]


def test_vectors_of_another_size_go_live_without_a_search_that_fails(
    open_store: OpenStore,
) -> None:
    store = open_with(open_store, Wide(2))
    fill(store, "a", "hold 3")
    store.close()
    store = open_with(open_store, Wide(3))
    while versions(store, "Wide")[-1] != (2, "candidate"):
        pause()
    store.model("Wide").promote(2)
    assert HAS_BEGUN.wait(60)
    during = [hit.score for hit in store.search("item.loose", [1, 2], k=5)]
    MAY_GO_ON.set()
    store.wait(timeout=60)
    after = [hit.score for hit in store.search("item.loose", [1, 2, 3], k=5)]
    assert during == pytest.approx([1, 1])
    assert after == pytest.approx([1, 1])


# -- what is known of a version --


def test_a_version_tells_the_code_that_made_it(open_store: OpenStore) -> None:
    store = open_with(open_store, Scale(1))
    fill(store, "a")
    fit(store)
    fit(store, label="y")
    made, first, second = (each.fingerprint for each in store.model("Scale").versions())
    assert first == second != made
    assert None not in (made, first)


# -- rollback --


def test_rollback_goes_further_back_each_time_and_then_says_so(open_store: OpenStore) -> None:
    store = open_with(open_store, Scale(1))
    fill(store, "a")
    fit(store)
    fit(store, label="y")
    assert (back(store), back(store)) == (2, 1)
    with pytest.raises(motion.StateError, match="to go back to"):
        store.model("Scale").rollback()
    store.model("Scale").promote(3)
    store.wait(timeout=60)
    assert (seen(store), back(store)) == (("3", 1), 1)


def test_rollback_recomputes_nothing_while_the_outputs_are_kept(open_store: OpenStore) -> None:
    store = open_with(open_store, Scale(1))
    fill(store, "a", "b", "c")
    fit(store)
    store.set("item", id=4, text="since").wait()
    CALLS.made.clear()
    back(store)
    assert (CALLS.made, seen(store)) == ([(1, "since")], ("1", 4))


@pytest.mark.slow
def test_a_candidate_of_many_rows_goes_live_while_rows_are_set_without_pause(
    open_store: OpenStore,
) -> None:
    store = open_with(open_store, Scale(1))
    fill(store, *(f"text {i}" for i in range(4_000)))
    is_over, tell = threading.Event(), itertools.count()

    def write() -> None:
        while not is_over.is_set():
            store.set("item", id=1 + next(tell) % 500, text=f"anew {next(tell)}").wait("vector")

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        store.set("item", id=1, label="x")
        store.model("Scale").fit()
        until(store, lambda: store.status().versions["Scale"] == 2, timeout_s=120)
    finally:
        is_over.set()
        for writer in writers:
            writer.join()
    store.wait(timeout=60)
    assert outputs(store, 2) == 4_000


def test_p9_rollback_remakes_the_rows_that_have_changed_since(open_store: OpenStore) -> None:
    store = open_with(open_store, Scale(1))
    fill(store, "a", "b", "c")
    fit(store)
    store.set("item", id=2, text="longer").wait()
    CALLS.made.clear()
    back(store)
    assert CALLS.made == [(1, "longer")]
    assert [row.vector.tolist() for row in store.rows("item")] == [[1, 1], [1, 6], [1, 1]]


def test_outputs_are_kept_of_as_many_versions_as_asked_for(open_store: OpenStore) -> None:
    counted: dict[str, list[int]] = {}
    for component in (Scale(1), Lasting(1)):
        store = open_store(component.name, schemas=SCHEMAS, triggers=[component])
        fill(store, "a", "b")
        for label in "xyz":
            fit(store, component.name, label)
        last = 1 if component.name == "Lasting" else 2
        while any(outputs(store, version, component.name) for version in range(1, last + 1)):
            pause()  # old outputs go behind the switch, a few at a time
        CALLS.made.clear()
        back(store, component.name)
        back(store, component.name)
        counted[component.name] = [factor for factor, _ in CALLS.made]
    assert counted == {"Scale": [2, 2], "Lasting": []}


# -- what is kept of states --


def files(folder: Path) -> set[str]:
    return {each.name for each in (folder / "states").iterdir()}


def test_states_beyond_those_to_be_kept_go_with_their_files_and_cannot_be_promoted(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_with(open_store, Lasting(1))
    fill(store, "a")
    (tmp_path / "shop.motion" / "states" / "left.by-a-killed-process.draft").touch()
    for label in "vwxyz":
        fit(store, "Lasting", label)
    while len(files(tmp_path / "shop.motion")) > 3:
        pause()  # they go behind the switch
    known = store.model("Lasting").versions()
    assert [version.is_kept for version in known] == [False, False, False, True, True, True]
    with pytest.raises(motion.StateError, match="no state version 2; it has 4, 5, 6"):
        store.model("Lasting").promote(2)
    assert back(store, "Lasting") == 5


def test_a_file_that_two_versions_share_stays_until_both_are_gone(
    open_store: OpenStore, tmp_path: Path
) -> None:
    class Settled(motion.Component, keep_states=0):
        def setup(self) -> Any:
            return np.arange(3)

        @motion.fit(on="item.label")
        def learn(self, state: Any, rows: list[Item]) -> Any:
            return state

    store = open_with(open_store, Settled())
    for label in "xyz":
        fit(store, "Settled", label)
    with store.model("Settled").live() as (state, _):
        assert state.tolist() == [0, 1, 2]
    while len(store.sql("SELECT 1 FROM motion_states WHERE manifest IS NOT NULL")) > 1:
        pause()
    assert len(files(tmp_path / "shop.motion")) == 1


@pytest.mark.parametrize("option", ["keep_states", "keep_outputs"])
def test_a_number_of_versions_to_keep_below_0_is_an_error_at_once(option: str) -> None:
    with pytest.raises(motion.TriggerError, match=option):
        type("Wrong", (motion.Component,), {}, **{option: -1})


# -- building --


def test_p9_a_build_that_was_killed_goes_on_where_it_was(
    open_store: OpenStore, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'shop.motion'}"
    store = open_with(open_store, Scale(1), url=url)
    fill(store, *(f"text {i}" for i in range(200)))
    store.close()
    with another_process(f"build({url!r}, 60)") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        process.kill()
    store = open_with(open_store, Scale(1), url=url, run=False)
    done, during = outputs(store, 2), seen(store)
    store.close()
    CALLS.made.clear()
    store = open_with(open_store, Scale(1), url=url)
    store.wait(timeout=60)
    assert during == ("1", 200)
    assert (len(CALLS.made), 0 < done < 200) == (200 - done, True)
    assert (seen(store), versions(store)) == (("2", 200), [(1, "retired"), (2, "live")])


def build(folder: str, count: int) -> None:
    """Fit, and stand still at this call of `embed`. In a process of its own."""
    CALLS.end = count
    store = motion.create_store("shop", schemas=SCHEMAS, triggers=[Scale(1)], url=folder)
    fit(store)


@contextmanager
def another_process(call: str) -> Iterator[subprocess.Popen[str]]:
    """Give a process that makes a call to this module, and end it."""
    code = f"import tests.states.test_promotion as here; here.{call}"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            stream.close()


def test_a_candidate_that_was_dropped_leaves_no_work_behind(open_store: OpenStore) -> None:
    store = open_with(open_store, Scale(1))
    fill(store, "a", "hold 2", *(f"text {i}" for i in range(40)))
    store.set("item", id=1, label="x")
    store.model("Scale").fit()
    assert HAS_BEGUN.wait(60)
    store.model("Scale").promote(1)  # supersedes version 2 while a part of it is being built
    MAY_GO_ON.set()
    store.wait(timeout=60)
    assert (versions(store), seen(store)) == ([(1, "live"), (2, "refused")], ("1", 42))
    assert store.status().tasks == {}


# -- point by point: all that may happen to a version, under kills, while everybody searches --

ROWS = 120


def serve(folder: str) -> None:
    """Run the store's work until it is killed. In a process of its own."""
    with motion.create_store("shop", schemas=SCHEMAS, triggers=[Scale(1)], url=folder):
        print("up", flush=True)  # noqa: T201 - the message to the process of the test
        sys.stdin.read()


def watch(folder: str) -> None:
    """Search until told to stop, then say what was ever seen. In a process of its own, without the triggers."""
    store = motion.create_store("shop", schemas=SCHEMAS, url=folder, run=False)
    asked = threading.Thread(target=sys.stdin.read)
    asked.start()
    found = set()
    print("up", flush=True)  # noqa: T201
    while asked.is_alive():
        found.add(seen(store))
    print(json.dumps(sorted(found)), flush=True)  # noqa: T201
    store.close()


class Searchers:
    """Everybody who searches while versions come and go: threads of this process, and the component itself."""

    def __init__(self, store: motion.Store) -> None:
        self.store = store
        self.outside: set[tuple[str, int]] = set()
        self.pinned: set[tuple[int, str, int]] = set()
        self.inside: set[str] = set()
        self.errors: list[BaseException] = []
        self.is_over = threading.Event()
        self.threads = [
            threading.Thread(target=self._repeat, args=(each,))
            for each in (self._search, self._pin, self._ask)
        ]

    def __enter__(self) -> Searchers:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.is_over.set()
        for thread in self.threads:
            thread.join()

    def _repeat(self, once: Callable[[int], None]) -> None:
        for i in itertools.count():
            if self.is_over.is_set():
                return
            try:
                once(i)
            except BaseException as exc:  # noqa: BLE001 - whatever it is, the test shows it
                self.errors.append(exc)
                return

    def _search(self, i: int) -> None:
        self.outside.add(seen(self.store))

    def _pin(self, i: int) -> None:
        with self.store.model("Scale").live() as (state, view):
            self.pinned.update((state["factor"], *seen(view)) for _ in range(2))

    def _ask(self, i: int) -> None:
        row = 1 + i % ROWS
        self.store.set("item", id=row, text=f"{row} {i}")  # live work beside the candidate's
        change = self.store.set("item", id=row, question=f"{i}")
        change.wait("found", timeout=600)
        found = self.store.get(Item, row)
        assert found is not None
        self.inside.add(found.found)


def outputs(store: motion.Store, version: int, component: str = "Scale") -> int:
    """Return of how many rows a version's outputs are there."""
    sql = f'SELECT COUNT(*) FROM "motion_outputs_{component}.embed" WHERE slot >> 40 = ?'
    return int(store.sql(sql, [version]).column(0)[0].as_py())


def moments(store: motion.Store, goal: int) -> list[Callable[[], bool]]:
    """Return the moments on a version's way to be live at which a process may be killed: it is asked for, it is a
    candidate, it is half built, it is live."""
    return [
        lambda: True,
        lambda: versions(store)[goal - 1 :] != [],
        lambda: outputs(store, goal) > ROWS / 3,
        lambda: store.status().versions["Scale"] == goal,
    ]


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.crash)])
def test_p9_under_kills_no_search_mixes_versions_fails_or_sees_half_an_index(
    open_store: OpenStore, tmp_path: Path, seed: int
) -> None:
    folder, chance = f"sqlite:///{tmp_path / 'shop.motion'}", random.Random(seed)
    with open_with(open_store, Scale(1), url=folder) as store:
        fill(store, *(f"text {i}" for i in range(ROWS)))
    store = open_with(open_store, Scale(1), url=folder, run=False)
    model = store.model("Scale")
    steps: list[tuple[int, Callable[[], object]]] = [
        (2, lambda: model.fit()), (3, lambda: model.fit()), (2, lambda: model.rollback()),
        (3, lambda: model.promote(3)), (4, lambda: model.fit()), (3, lambda: model.rollback()),
    ]  # fmt: skip
    with another_process(f"watch({folder!r})") as watcher, Searchers(store) as searchers:
        assert watcher.stdout is not None
        assert watcher.stdin is not None
        assert watcher.stdout.readline() == "up\n"
        for number, (goal, act) in enumerate(steps):
            with another_process(f"serve({folder!r})") as server:
                assert server.stdout is not None
                assert server.stdout.readline() == "up\n"
                store.set("item", id=1, label=f"label {number}")
                act()
                is_there = chance.choice(moments(store, goal))
                while not is_there() and not searchers.errors:
                    pause()
                server.kill()
            with another_process(f"serve({folder!r})"):
                while store.status().versions["Scale"] != goal and not searchers.errors:
                    pause()
        with another_process(f"serve({folder!r})"):  # what was asked last is answered, too
            searchers.stop()
        watcher.stdin.close()
        elsewhere = json.loads(watcher.stdout.readline())
    allowed = {(f"{number}", ROWS) for number in (1, 2, 3, 4)}
    assert searchers.errors == []
    assert searchers.outside <= allowed
    assert {(found, count) for found, count in elsewhere} <= allowed
    assert searchers.pinned <= {(number, f"{number}", ROWS) for number in (1, 2, 3, 4)}
    assert searchers.inside <= {f"{number}:{number}" for number in (1, 2, 3, 4)}
    assert searchers.inside
    assert [each.status for each in model.versions()] == ["retired", "retired", "live", "retired"]


def test_parts_of_a_build_grow_where_each_takes_as_long_as_results_are_gathered_for() -> None:
    builds, spec, sizes = Builds(), cast(TriggerSpec, SimpleNamespace(name="t", batch=None)), []
    for _ in range(8):
        sizes.append(builds.rows(spec, 10_000))
        builds.note_end("t", sizes[-1], 0.021 + 0.000_01 * sizes[-1])
    assert sizes == [1, 2, 4, 8, 16, 32, 64, 128]
