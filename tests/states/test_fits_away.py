"""A fit that is away for a while: when it is back, it is given the labels that rows have, each once, and none that was replaced or
taken back."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

import motion
from tests.conftest import OpenStore


@dataclass
class Query:
    id: int
    text: str
    upper: str
    label: int


@dataclass
class Chunk:
    id: int
    text: str
    page: int
    label: int


@motion.trigger(on="query.text", sets="query.upper")
def upper(text: str) -> str:
    return text.upper()


class Model(motion.Component):
    """Its state is all that it has learned, one list for each fit."""

    def setup(self) -> list[Any]:
        return []

    @motion.fit(on="query.label", promote=motion.always)
    def learn(self, state: list[Any], rows: Sequence[Query]) -> list[Any]:
        return [*state, [[row.id, row.upper, row.label] for row in rows]]


class Eager(motion.Component):
    def setup(self) -> list[Any]:
        return []

    @motion.fit(on="query.label", every=3, promote=motion.always)
    def learn(self, state: list[Any], rows: Sequence[Query]) -> list[Any]:
        return [*state, sorted([row.id, row.label] for row in rows)]


class OfPages(motion.Component):
    def setup(self) -> list[Any]:
        return []

    @motion.fit(on="chunk.label", promote=motion.always)
    def learn(self, state: list[Any], rows: Sequence[Chunk]) -> list[Any]:
        return [*state, sorted([row.id, row.page, row.label] for row in rows)]


def opened(open_store: OpenStore, *triggers: Any) -> motion.Store:
    return open_store(schemas={"query": Query, "chunk": Chunk}, triggers=list(triggers))


def learned(store: motion.Store, component: str) -> list[Any]:
    store.wait(timeout=100)
    with store.model(component).live() as (state, _):
        return list(state)


def fitted(store: motion.Store, component: str) -> list[Any]:
    store.wait(timeout=100)
    store.model(component).fit().wait(timeout=100)
    return learned(store, component)


def test_labels_set_replaced_and_taken_back_meanwhile_are_so_for_the_fit(
    open_store: OpenStore,
) -> None:
    with opened(open_store, Model(), upper) as store:
        for row in (1, 2, 4):
            store.set("query", id=row, text=f"t{row}", label=row).wait()
    with opened(open_store, upper) as store:
        store.set("query", id=1, label=11)
        store.set("query", id=2, label=None)
        store.set("query", id=3, text="t3", label=3).wait()
        store.set("query", id=4, label=44)
        store.set("query", id=4, label=4)
    with opened(open_store, Model(), upper) as store:
        (rows,) = fitted(store, "Model")
        assert sorted(rows) == [[1, "T1", 11], [3, "T3", 3], [4, "T4", 4]]


def test_what_was_learned_before_is_not_learned_again_and_what_replaces_it_is(
    open_store: OpenStore,
) -> None:
    with opened(open_store, Model(), upper) as store:
        for row in (1, 2, 3):
            store.set("query", id=row, text="t", label=row).wait()
        assert len(fitted(store, "Model")[0]) == 3
    with opened(open_store, upper) as store:
        store.set("query", id=1, label=11)
        store.set("query", id=2, label=None)
    with opened(open_store, Model(), upper) as store:
        assert fitted(store, "Model")[1:] == [[[1, "T", 11]]]
        assert store.model("Model").fit().count == 0


def test_labels_set_meanwhile_count_for_every_and_a_replaced_one_counts_once(
    open_store: OpenStore,
) -> None:
    with opened(open_store, Eager()) as store:
        store.set("query", id=1, label=1).wait()
    with opened(open_store) as store:
        store.set("query", id=1, label=11)
        store.set("query", id=2, label=2)
    with opened(open_store, Eager()) as store:
        assert learned(store, "Eager") == []
    with opened(open_store) as store:
        store.set("query", id=3, label=3)
    with opened(open_store, Eager()) as store:
        assert learned(store, "Eager") == [[[1, 11], [2, 2], [3, 3]]]


def test_a_label_set_meanwhile_waits_for_what_a_trigger_that_was_away_too_could_make(
    open_store: OpenStore,
) -> None:
    opened(open_store, Model(), upper).close()
    with opened(open_store) as store:
        store.set("query", id=1, text="t", label=1)
    with opened(open_store, Model(), upper) as store:
        store.wait(timeout=100)
        assert store.model("Model").fit().count == 0
        store.backfill("upper").wait(timeout=100)
        assert fitted(store, "Model") == [[[1, "T", 1]]]


def test_a_row_that_was_labelled_meanwhile_and_deleted_is_no_label(open_store: OpenStore) -> None:
    opened(open_store, Model()).close()
    with opened(open_store) as store:
        store.set("query", id=1, label=1)
        store.set("query", id=2, label=2)
        store.delete("query", 1)
        store.forget("query", 2)
        store.set("query", id=2, text="again")
        waiting = "SELECT COUNT(*) FROM motion_labels_due"
        assert store._database.backend.write(lambda tx: tx.execute(waiting).fetchone()[0]) == 0
    with opened(open_store, Model()) as store:
        assert store.model("Model").fit().count == 0


def test_labels_of_pages_are_of_these_pages(open_store: OpenStore) -> None:
    with opened(open_store, OfPages()) as store:
        for page in (0, 1, 2):
            store.set("chunk", id=1, page=page, label=page).wait()
    with opened(open_store) as store:
        store.set("chunk", id=1, page=1, label=11)
        store.set("chunk", id=1, page=2, label=None)
        store.set("chunk", id=1, page=3, label=3)
    with opened(open_store, OfPages()) as store:
        assert fitted(store, "OfPages") == [[[1, 0, 0], [1, 1, 11], [1, 3, 3]]]


@pytest.mark.parametrize("seed", range(6))
def test_p8_whenever_a_fit_is_away_it_learns_each_label_that_holds_at_a_fit_once(
    open_store: OpenStore, seed: int
) -> None:
    chance = random.Random(seed)
    labels: dict[int, int] = {}  # those that no fit has learned
    expected: list[list[list[Any]]] = []
    for _ in range(6):
        is_there = chance.random() < 0.5
        with opened(open_store, *([Model()] if is_there else []), upper) as store:
            for _ in range(5):
                row, label = chance.randrange(4), chance.randrange(9)
                now = store.get("query", row)
                if chance.random() < 0.7:
                    if now is None or now.label != label:
                        labels[row] = label
                    store.set("query", id=row, text="t", label=label).wait()
                elif chance.random() < 0.5:
                    labels.pop(row, None)
                    store.set("query", id=row, label=None).wait()
                else:
                    labels.pop(row, None)
                    store.delete("query", row)
            if is_there and labels and chance.random() < 0.7:
                store.wait(timeout=100)
                store.model("Model").fit().wait(timeout=100)
                expected.append([[row, "T", label] for row, label in sorted(labels.items())])
                labels.clear()
    with opened(open_store, Model(), upper) as store:
        assert [sorted(rows) for rows in learned(store, "Model")] == expected
        if labels:
            rest = [[row, "T", label] for row, label in sorted(labels.items())]
            assert sorted(fitted(store, "Model")[-1]) == rest
