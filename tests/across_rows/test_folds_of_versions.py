"""Folds over values that another state version gives: after a switch they are as if that version had made all of them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import motion
from tests.conftest import copied


@dataclass
class Event:
    id: int
    ts: int
    who: int
    n: int
    y: int
    sum: int
    label: int


@dataclass
class Person:
    id: int
    story: str


class Scale(motion.Component):
    """A state is what the last label says."""

    def setup(self) -> int:
        return 1

    @motion.infer(on="event.n", sets="event.y", refresh="after")
    def scale(self, state: int, n: int) -> int:
        return state * n

    @motion.fit(on="event.label", promote=motion.manual)
    def learn(self, state: int, rows: list[Event]) -> int:
        return rows[-1].label


@motion.fold(on="event.y", by="event.who", sets="person.story")
def tell(story: str | None, id: int, y: int) -> str:
    return f"{story or ''} {id}:{y}"


@motion.fold(on="event.y", by="event.who", sets="event.sum")
def add(sum: int | None, y: int) -> int:
    return (sum or 0) * 3 + y


def opened(folder: Path) -> motion.Store:
    return motion.create_store(
        "scaled", schemas={"event": Event, "person": Person}, triggers=[Scale(), tell, add],
        url=f"sqlite:///{folder}", durability="normal",
    )  # fmt: skip


@pytest.fixture(scope="module")
def with_versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with three versions, of which the first is live."""
    folder = tmp_path_factory.mktemp("scaled")
    with opened(folder) as store:
        for label in (10, 100):
            store.set("event", id=1, ts=1, who=1, n=1, label=label)
            store.model("Scale").fit()
            store.wait(timeout=120)
        store.model("Scale").promote(1)
        store.wait(timeout=120)
        store.delete("event", 1)
        store.delete("person", 1)
        store.wait(timeout=120)
    return folder


changes = st.one_of(
    st.fixed_dictionaries(
        {"id": st.integers(1, 6)},
        optional={"ts": st.integers(1, 5), "who": st.integers(1, 2), "n": st.integers(1, 9)},
    ),
    st.tuples(st.just("delete"), st.integers(1, 6)),
    st.tuples(st.just("promote"), st.integers(1, 3)),
    st.just("wait"),
)


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(changes, min_size=6, max_size=16), st.integers(1, 3))
def test_a_fold_is_what_a_fold_by_hand_gives_after_any_switches(
    with_versions: Path, tmp_path_factory: pytest.TempPathFactory, given: list[Any], last: int
) -> None:
    folder = tmp_path_factory.mktemp("played") / "scaled"
    copied(with_versions, folder)
    with opened(folder) as store:
        rows = [{"id": i, "ts": i, "who": 1 + i % 2, "n": i} for i in range(1, 5)]
        store.set_many("event", rows)
        for change in [*given, ("promote", last)]:
            if isinstance(change, dict):
                if store.get("event", change["id"]) is None:
                    change = {"ts": 3, **change}  # else a new row has that of the clock
                store.set("event", **change)
            elif change == "wait":
                store.wait(timeout=120)
            elif change[0] == "delete":
                store.delete("event", change[1])
            else:
                store.model("Scale").promote(change[1]).wait(timeout=120)
        store.wait(timeout=120)
        assert not store.errors()
        check(store, {1: 1, 2: 10, 3: 100}[last])
    shutil.rmtree(folder)


def check(store: motion.Store, state: int) -> None:
    rows: Sequence[Any] = sorted(store.rows("event"), key=lambda row: (row.ts, row.id))
    stories: dict[int, str] = {}
    sums: dict[int, int] = {}
    for row in rows:
        is_folded = row.n is not None and row.who is not None
        assert row.y == (None if row.n is None else state * row.n)
        if is_folded:
            stories[row.who] = f"{stories.get(row.who, '')} {row.id}:{row.y}"
            sums[row.who] = sums.get(row.who, 0) * 3 + row.y
        assert row.sum == (sums[row.who] if is_folded else None)
    found = {row.id: row.story for row in store.rows("person") if row.story is not None}
    assert found == stories
