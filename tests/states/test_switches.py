"""What a switch of versions leaves to do is done part by part: nothing of it is lost, done for nothing, or held at once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import motion
from motion import faults
from tests.conftest import copied, until

ROWS = 4_500
"""More than two parts."""
PART = 2_000
LAST = ROWS - 1
"""A row of the last part."""


@dataclass
class Item:
    id: int
    text: str
    label: str
    vector: Annotated[np.ndarray[Any, Any], motion.Vector(2, metric="dot")]
    about: str
    kind: str


class Hold:
    """Keeps the runs on one row from returning, where it is told to."""

    def __init__(self) -> None:
        self.where: tuple[str, int, int] | None = None  # function, version, id
        self.has_begun, self.may_go_on = threading.Event(), threading.Event()
        self.called: list[tuple[str, int]] = []

    def at(self, function: str, version: int, ids: Sequence[int]) -> None:
        self.called += [(function, each) for each in ids]
        if (
            self.where is not None
            and self.where[:2] == (function, version)
            and self.where[2] in ids
        ):
            self.has_begun.set()
            assert self.may_go_on.wait(30), "the test never let the run go on"

    def again(self, function: str, version: int, id: int) -> None:
        self.where = (function, version, id)
        self.has_begun.clear()
        self.may_go_on.clear()

    def reset(self) -> None:
        self.where = None
        self.may_go_on.set()
        self.called.clear()


HOLD = Hold()


class Scale(motion.Component):
    """A state is its version's number. Vectors of texts of an even length are the same in all versions."""

    def setup(self) -> int:
        return 1

    @motion.infer(on="item.text", sets="item.vector", refresh="before", batch=500)
    def embed(self, state: int, text: list[str], id: list[int]) -> np.ndarray[Any, Any]:
        HOLD.at("embed", state, id)
        return np.array([embedded(state, each) for each in text], np.float32)

    @motion.infer(on="item.text", sets="item.kind", refresh="after", batch=500)
    def classify(self, state: int, text: list[str], id: list[int]) -> list[str]:
        HOLD.at("classify", state, id)
        return [f"{state}:{each}" for each in text]

    @motion.fit(on="item.label", promote=motion.manual)
    def learn(self, state: int, rows: list[Item]) -> int:
        return int(rows[-1].label)


def embedded(state: int, text: str) -> list[int]:
    return [state if len(text) % 2 else 0, len(text)]


@motion.trigger(on="item.vector", sets="item.about", batch=500)
def describe(vector: list[np.ndarray[Any, Any]], id: list[int]) -> list[str]:
    HOLD.at("describe", int(vector[0][0]), id)
    return [described(each.tolist()) for each in vector]


def described(vector: Sequence[float]) -> str:
    return ",".join(str(int(each)) for each in vector)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    HOLD.reset()
    yield
    HOLD.reset()


def opened(folder: Path, **options: Any) -> motion.Store:
    return motion.create_store(
        "shop", schemas={"item": Item}, triggers=[Scale(), describe], url=f"sqlite:///{folder}",
        durability="normal", **options,
    )  # fmt: skip


def text_of(i: int) -> str:
    return "x" * (i % 7)


def with_three_versions(folder: Path, count: int) -> Path:
    """Make a store with so many rows, in which version 1 is live, and 2 and 3 are known and have no outputs."""
    with opened(folder) as store:
        store.set_many("item", [{"id": i, "text": text_of(i)} for i in range(count)])
        store.wait(timeout=60)
        for version in ("2", "3"):
            store.set("item", id=0, label=version)
            store.model("Scale").fit()
            store.wait(timeout=60)
        store.model("Scale").promote(1)  # supersedes version 3
        sql = 'SELECT 1 FROM "motion_outputs_Scale.embed" WHERE slot >> 40 > 1 LIMIT 1'
        until(store, lambda: not len(store.sql(sql)))
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_three_versions(tmp_path_factory.mktemp("small"), 5)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_three_versions(tmp_path_factory.mktemp("large"), ROWS)


@pytest.fixture
def folder(large: Path, tmp_path: Path) -> Path:
    return copied(large, tmp_path / "shop")


def live(store: motion.Store) -> int:
    found = store.status().versions["Scale"]
    assert found is not None
    return found


def promote(store: motion.Store, version: int) -> None:
    store.model("Scale").promote(version)
    until(store, lambda: live(store) == version)


def assert_as_from_scratch(store: motion.Store) -> None:
    """Hold all that is derived, by the live version, against what its functions give."""
    store.wait(timeout=60)
    state, rows = live(store), store.rows("item")
    vectors = [embedded(state, row.text) for row in rows]
    assert [row.vector.tolist() for row in rows] == vectors
    assert [row.about for row in rows] == [described(vector) for vector in vectors]
    assert [row.kind for row in rows] == [f"{state}:{row.text}" for row in rows]
    assert store.status().backfills == []
    assert store.status().tasks == {}


# -- one after the other --


def test_p4_what_follows_from_a_switch_is_only_made_where_a_value_differs(folder: Path) -> None:
    with opened(folder) as store:
        HOLD.called.clear()
        promote(store, 2)
        assert_as_from_scratch(store)
    described_rows = sorted(id for function, id in HOLD.called if function == "describe")
    assert described_rows == [i for i in range(ROWS) if len(text_of(i)) % 2]


def test_p12_of_a_candidates_outputs_only_a_part_is_tasks_at_once(folder: Path) -> None:
    with opened(folder) as store:
        HOLD.again("embed", 2, 0)
        store.model("Scale").promote(2)
        assert HOLD.has_begun.wait(60)
        during = store.status()
        store.set("item", id=LAST, text="meanwhile").wait(timeout=60)
        HOLD.may_go_on.set()
        assert_as_from_scratch(store)
        (build,) = during.backfills
        assert (build.kind, build.trigger) == ("build", "Scale.embed")
        assert f"build of Scale.embed: has come to {PART} of {ROWS} rows" in str(during)
        assert (during.triggers["Scale.embed"].rows, build.remaining) == (PART, ROWS - PART)
        assert live(store) == 2


@pytest.mark.parametrize("function", ["describe", "classify"])
def test_p12_of_what_follows_from_a_switch_only_a_part_is_tasks_at_once(
    folder: Path, function: str
) -> None:
    name = {"describe": "describe", "classify": "Scale.classify"}[function]
    with opened(folder) as store:
        HOLD.again(function, 2, 1)
        store.model("Scale").promote(2)
        assert HOLD.has_begun.wait(60)
        during = store.status()
        assert during.versions == {"Scale": 2}
        refresh = next(each for each in during.backfills if each.trigger == name)
        assert refresh.kind == "refresh"
        assert refresh.remaining >= ROWS - 2 * PART
        assert during.triggers[name].rows <= PART
        HOLD.may_go_on.set()
        assert_as_from_scratch(store)


def test_a_value_to_be_refreshed_after_a_switch_still_tells_who_made_it(folder: Path) -> None:
    with opened(folder) as store:
        HOLD.again("classify", 2, 0)
        store.model("Scale").promote(2)
        assert HOLD.has_begun.wait(60)
        found = [store.explain("item", id, "kind") for id in (0, 1, LAST)]
        HOLD.may_go_on.set()
    assert [(each.made_by, each.version) for each in found] == [("Scale.classify", 1)] * 3
    assert found[0].is_due
    assert "to be made again" in str(found[0])


# -- what comes in between --


@pytest.mark.parametrize("then", [[1], [3], [3, 1], [3, 2]], ids=str)
def test_p4_a_switch_before_what_follows_from_the_last_one_is_done_leaves_nothing_behind(
    folder: Path, then: list[int]
) -> None:
    with opened(folder) as store:
        HOLD.again("describe", 2, 1)
        store.model("Scale").promote(2)
        assert HOLD.has_begun.wait(60)
        for version in then:
            promote(store, version)
            store.set("item", id=LAST - version, text=f"since {version}")
        HOLD.may_go_on.set()
        assert_as_from_scratch(store)


def test_a_change_whose_work_waits_behind_a_switch_ends_with_what_the_new_version_gives(
    folder: Path,
) -> None:
    with opened(folder) as store:
        HOLD.again("describe", 1, 1)
        store.set(
            "item", id=1, text="hold on"
        )  # of an odd length: it is another vector in each version
        assert HOLD.has_begun.wait(60)
        change = store.set("item", id=LAST, text="with it")
        until(store, lambda: store.status().triggers["describe"].rows == 2)
        promote(store, 2)
        HOLD.may_go_on.set()
        change.wait(timeout=60)
        row = store.get(Item, LAST)
        assert row is not None
        assert (row.about, row.vector.tolist()) == ("2,7", [2, 7])
        assert_as_from_scratch(store)


texts = st.text("x", max_size=3)
rows = st.integers(0, 4)
steps = st.one_of(
    st.tuples(st.just("set"), rows, texts),
    st.tuples(st.just("set"), rows, texts),
    st.tuples(st.just("delete"), rows),
    st.tuples(st.just("promote"), st.integers(1, 3)),
    st.tuples(st.just("live"), st.integers(1, 3)),
    st.tuples(st.just("rollback")),
    st.tuples(st.just("wait")),
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(story=st.lists(steps, max_size=12))
def test_p4_whatever_is_set_and_switched_all_is_as_from_scratch_in_the_end(
    small: Path, story: list[tuple[Any, ...]]
) -> None:
    with (
        tempfile.TemporaryDirectory() as parent,
        opened(copied(small, Path(parent) / "shop")) as store,
    ):
        for what, *values in story:
            _do(store, what, *values)
        assert_as_from_scratch(store)


def _do(store: motion.Store, what: str, *values: Any) -> None:
    if what == "set":
        store.set("item", id=values[0], text=values[1])
    elif what == "delete":
        store.delete("item", values[0])
    elif what == "promote":
        store.model("Scale").promote(values[0])
    elif what == "live":
        promote(store, values[0])
    elif what == "wait":
        store.wait(timeout=60)
    else:
        try:
            store.model("Scale").rollback()
        except motion.StateError:
            pass  # nothing was live before


# -- under kills --

SPAWN = multiprocessing.get_context("forkserver")


def promote_until(folder: Path, point: str, nth: int) -> None:
    """Promote, and end like a power cut would when a point is reached for the n-th time. In a process of its own."""
    left = nth

    def kill(reached: str) -> None:
        nonlocal left
        left -= reached == point
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    with opened(folder) as store:
        faults.arm(kill)
        store.model("Scale").promote(2)
        store.wait(timeout=60)


@pytest.mark.parametrize("point", ["candidate.enqueued", "switch.numbered", "backfill.enqueued"])
def test_p2_p4_a_process_that_is_killed_between_two_parts_loses_none(
    folder: Path, point: str
) -> None:
    process = SPAWN.Process(target=promote_until, args=(folder, point, 2))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    process.close()
    with opened(folder) as store:
        store.set("item", id=LAST, text="since then")
        assert_as_from_scratch(store)
        assert live(store) == 2
