"""Values that users give for what triggers derive: they stay until an `on` key changes, whatever goes live meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pytest

import motion
from tests.conftest import OpenStore, pause, until

Plane = Annotated[np.ndarray, motion.Vector(2, metric="dot")]


@dataclass
class Note:
    id: int
    text: str
    good: bool
    guess: str
    sure: float
    loud: str
    vector: Plane
    part: str
    part_page: int


HAS_BEGUN, MAY_GO_ON = threading.Event(), threading.Event()
CALLS: list[tuple[int, str]] = []


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    HAS_BEGUN.clear()
    MAY_GO_ON.clear()
    CALLS.clear()
    yield
    MAY_GO_ON.set()


class Guess(motion.Component):
    """A model whose guesses tell the number that its state is."""

    def __init__(self, number: int, *, knows: bool = True) -> None:
        self.number, self.knows = number, knows

    def setup(self) -> int | None:
        return self.number if self.knows else None

    @motion.fit(on="note.good")
    def learn(self, state: int | None, rows: list[Note]) -> int:
        if rows[-1].text == "fails":
            raise ValueError("nothing to learn from")
        return 2


def guessed(state: int, text: str) -> tuple[str, float]:
    CALLS.append((state, text))
    if text == f"hold {state}":
        HAS_BEGUN.set()
        assert MAY_GO_ON.wait(30), "the test never let the run go on"
    if text == f"bad {state}":
        raise ValueError(text)
    return f"{state}: {text}", state / 10


BOTH = ("note.guess", "note.sure")


class Never(Guess):
    @motion.infer(on="note.text", sets=BOTH)
    def classify(self, state: int, text: str) -> tuple[str, float]:
        return guessed(state, text)


class Before(Guess):
    @motion.infer(on="note.text", sets=BOTH, refresh="before")
    def classify(self, state: int, text: str) -> tuple[str, float]:
        return guessed(state, text)


class After(Guess):
    @motion.infer(on="note.text", sets=BOTH, refresh="after")
    def classify(self, state: int, text: str) -> tuple[str, float]:
        return guessed(state, text)


class Embed(Guess):
    @motion.infer(on="note.text", sets="note.vector", refresh="before")
    def embed(self, state: int, text: str) -> Any:
        return np.array([state, 0], np.float32)


class Split(Guess):
    @motion.infer(on="note.text", sets="note.part", page="part_page", refresh="after")
    def split(self, state: int, text: str) -> list[str]:
        return [f"{state}: {word}" for word in text.split()]


@motion.trigger(on="note.guess", sets="note.loud", inline=False)
def shout(guess: str) -> str:
    return guess.upper()


def opened(open_store: OpenStore, *triggers: Any) -> motion.Store:
    return open_store(schemas={"note": Note}, triggers=[*triggers, shout])


def fill(store: motion.Store, *texts: str) -> None:
    store.set_many("note", [{"id": i, "text": text} for i, text in enumerate(texts, 1)])
    store.wait(timeout=60)


def model(store: motion.Store) -> motion.Model:
    [name] = store.status().versions
    return store.model(name)


def await_version(store: motion.Store, number: int) -> None:
    while not any(each.number == number for each in model(store).versions()):
        pause()


def go_live(store: motion.Store, number: int) -> None:
    await_version(store, number)
    model(store).promote(number)
    store.wait(timeout=60)


def live(store: motion.Store) -> int | None:
    [version] = store.status().versions.values()
    return version


def shown(store: motion.Store) -> list[tuple[str, float, str]]:
    return [(each.guess, each.sure, each.loud) for each in store.rows("note")]


KINDS = (Never, Before, After)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", ["mine", None])
def test_a_users_value_stays_through_promotion_rollback_and_backfill(
    open_store: OpenStore, kind: type[Guess], value: str | None
) -> None:
    store = opened(open_store, kind(1))
    fill(store, "a", "b")
    store.set("note", id=2, guess=value).wait()
    store.close()
    store = opened(open_store, kind(2))
    mine = (value, 0.1, value and "MINE")
    found = []
    go_live(store, 2)
    found.append(shown(store)[1])
    store.backfill(f"{kind.__name__}.classify", force=True).wait()
    found.append(shown(store)[1])
    model(store).rollback()
    store.wait(timeout=60)
    found.append(shown(store)[1])
    go_live(store, 2)
    found.append(shown(store)[1])
    assert found == [mine] * 4
    assert store.plan(f"{kind.__name__}.classify").by_users == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_users_value_ends_in_every_version_when_an_on_key_changes(
    open_store: OpenStore, kind: type[Guess]
) -> None:
    store = opened(open_store, kind(1))
    fill(store, "a", "b")
    store.set_many("note", [{"id": 1, "guess": "mine"}, {"id": 2, "guess": "mine"}]).wait()
    store.close()
    store = opened(open_store, kind(2))
    go_live(store, 2)
    store.set("note", id=2, text="c").wait()
    changed = shown(store)
    model(store).rollback()
    store.wait(timeout=60)
    back = 2 if kind is Never else 1
    assert changed == [("mine", 0.1, "MINE"), ("2: c", 0.2, "2: C")]
    assert shown(store) == [("mine", 0.1, "MINE"), (f"{back}: c", back / 10, f"{back}: C")]


@pytest.mark.parametrize("is_built", [True, False])
def test_a_users_value_given_while_a_candidate_is_built_is_in_it_too(
    open_store: OpenStore, is_built: bool
) -> None:
    store = opened(open_store, Before(1))
    fill(store, *(("a", "hold 2") if is_built else ("hold 2", "a")))
    store.close()
    store = opened(open_store, Before(2))
    await_version(store, 2)
    model(store).promote(2)
    assert HAS_BEGUN.wait(30)
    store.set_many("note", [{"id": id, "guess": "mine"} for id in (1, 2)])
    MAY_GO_ON.set()
    store.wait(timeout=60)
    assert live(store) == 2
    assert [each.guess for each in store.rows("note")] == ["mine", "mine"]


def test_a_users_value_given_after_a_promotion_is_in_the_versions_before_too(
    open_store: OpenStore,
) -> None:
    store = opened(open_store, Before(1))
    fill(store, "a", "b")
    store.close()
    store = opened(open_store, Before(2))
    await_version(store, 2)
    with model(store).live() as (_, view):
        go_live(store, 2)
        store.set("note", id=1, guess="mine").wait()
        seen = [view.get("note", id).guess for id in (1, 2)]
    model(store).rollback()
    store.wait(timeout=60)
    assert seen == [each.guess for each in store.rows("note")] == ["mine", "1: b"]


def test_a_users_value_that_has_ended_is_not_taken_over_by_a_version_that_is_built(
    open_store: OpenStore,
) -> None:
    store = opened(open_store, Before(1))
    fill(store, "a")
    store.close()
    store = opened(open_store, Before(2))
    go_live(store, 2)
    model(store).rollback()
    store.wait(timeout=60)
    store.set("note", id=1, guess="mine").wait()
    store.set("note", id=1, text="bad 1").wait(raise_errors=False)
    kept = store.get("note", 1).guess
    go_live(store, 2)
    assert (kept, store.get("note", 1).guess) == ("mine", "2: bad 1")


def test_a_version_is_not_called_for_rows_with_users_values(open_store: OpenStore) -> None:
    store = opened(open_store, Before(1))
    fill(store, "a", "b", "c")
    store.set("note", id=2, guess="mine").wait()
    store.close()
    CALLS.clear()
    store = opened(open_store, Before(2))
    go_live(store, 2)
    assert sorted(CALLS) == [(2, "a"), (2, "c")]


def test_a_version_that_is_promoted_while_it_is_built_calls_no_row_twice(
    open_store: OpenStore,
) -> None:
    store = opened(open_store, Before(1))
    fill(store, "hold 2")
    store.close()
    CALLS.clear()
    store = opened(open_store, Before(2))
    assert HAS_BEGUN.wait(30)
    change = model(store).promote(2)
    until(store, lambda: store.status().backfills == [])
    tasks = store.status().tasks
    MAY_GO_ON.set()
    change.wait(timeout=60)
    assert tasks == {"Before.classify": {"claimed": 1}}
    assert CALLS == [(2, "hold 2")]


def test_a_users_value_given_before_there_is_a_version_is_seen_and_stays(
    open_store: OpenStore,
) -> None:
    store = opened(open_store, Before(1, knows=False))
    store.set("note", id=1, text="fails", good=True)
    store.set("note", id=2, text="b", guess="mine").wait()
    seen = store.get("note", 2).guess
    model(store).fit()
    store.wait(timeout=60)
    store.set("note", id=1, text="a", good=True)
    store.set("note", id=1, good=False)
    model(store).fit()
    store.wait(timeout=60)
    assert (seen, store.get("note", 2).guess, live(store)) == ("mine", "mine", 2)


def test_a_value_that_is_there_already_is_no_change_where_it_is_kept_by_version(
    open_store: OpenStore,
) -> None:
    store = opened(open_store, Before(1))
    fill(store, "a")
    store.set("note", id=1, guess="mine").wait()
    made = store.explain("note", 1, "loud").change
    store.set("note", id=1, guess="mine").wait()
    assert (store.explain("note", 1, "loud").is_due, store.explain("note", 1, "loud").change) == (
        False, made,
    )  # fmt: skip


def test_a_users_vector_is_found_by_searches_after_a_promotion(open_store: OpenStore) -> None:
    store = opened(open_store, Embed(1))
    fill(store, "a", "b")
    store.set("note", id=2, vector=np.array([0, 9], np.float32)).wait()
    assert store.search("note.vector", [0, 1], k=1)[0].id == 2
    store.close()
    store = opened(open_store, Embed(2))
    go_live(store, 2)
    found = [(hit.id, hit.score) for hit in store.search("note.vector", [0, 1], k=2)]
    with model(store).live() as (_, view):
        model(store).rollback()
        store.wait(timeout=60)
        store.set("note", id=1, vector=np.array([0, 5], np.float32)).wait()
        both = [
            [(hit.id, hit.score) for hit in reader.search("note.vector", [0, 1], k=2)]
            for reader in (store, view)
        ]
    assert (found, both) == ([(2, 9.0), (1, 0.0)], [[(2, 9.0), (1, 5.0)]] * 2)


def test_a_users_page_stays_through_a_promotion_that_makes_the_others_again(
    open_store: OpenStore,
) -> None:
    store = opened(open_store, Split(1))
    fill(store, "a b")
    store.set("note", id=1, part_page=1, part="mine").wait()
    store.close()
    store = opened(open_store, Split(2))
    go_live(store, 2)
    assert [each.part for each in store.rows("note")] == ["2: a", "mine"]
