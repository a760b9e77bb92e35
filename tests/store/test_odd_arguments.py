"""Every argument of every public verb, with values of other kinds: they are taken or refused by an error of ours, and a call that is
refused has written nothing. A verb that is new is missed here until it has its line."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Annotated, Any

import numpy as np
import pytest

import motion


class Colour(Enum):
    RED = 1


class Odd:
    pass


@dataclass
class Item:
    id: int
    text: str
    vector: Annotated[np.ndarray, motion.Vector(2)]
    size: int
    good: bool


class Sizes(motion.Component):
    def setup(self) -> int:
        return 1

    @motion.infer(on="item.text", sets="item.size", version="1")
    def size(self, state: int, text: str) -> int:
        return state + len(text)

    @motion.fit(on="item.good", promote=motion.manual)
    def learn(self, state: int, rows: list[Item]) -> int:
        return state + 1


ODD: Sequence[Any] = [
    None, True, -1, 0, 2**70, 1.5, float("inf"), "", "zz", "item.text", "\ud800", "\0", b"x", [], [1], ["text"], [None],
    {}, {"text": 1}, {1: 2}, (), (1, 2), Odd(), Item, Colour.RED, np.array([1.0, 2.0]), np.array([[1, 2], [3, 4]]),
    np.int64(3), timedelta(1), len, iter([1]), range(3), {"text"},
]  # fmt: skip

Verb = tuple[Sequence[Any], Mapping[str, Any]]

STORE: Mapping[str, Verb] = {
    "set": (["item"], {"id": 1, "text": "a", "vector": [1, 2], "size": 1, "good": None}),
    "set_many": (["item", [{"id": 1, "text": "a"}]], {"commit_every": 5, "errors": "raise", "by": None, "prune": None}),
    "get": (["item", 1], {"keys": None}),
    "rows": (["item"], {"id": None, "where": None, "params": (), "order_by": None, "limit": None, "keys": None, "inherit": True}),
    "delete": (["item", 9], {}),
    "forget": (["item", 9], {"models": None, "timeout": 60}),
    "sql": (["select 1"], {"params": (), "timeout": None, "limit": None, "sees": "all"}),
    "search": (["item.vector", [1, 2]], {"table": None, "text": None, "k": 3, "where": None, "params": (), "keys": None}),
    "errors": ([], {"trigger": None, "limit": None, "after": None}),
    "retry": ([None], {}),
    "drop": ([], {"trigger": None}),
    "change": ([1], {"table": None, "ids": ()}),
    "row_count": (["item"], {}),
    "recent": ([], {"limit": 3}),
    "explain": (["item", 1, "size"], {}),
    "plan": (["Sizes.size"], {}),
    "backfill": (["Sizes.size"], {"where": None, "params": (), "force": False}),
    "model": (["Sizes"], {}),
    "wait": ([], {"timeout": 60, "progress": False}),
}  # fmt: skip
OTHERS = {"snapshot", "transaction", "status", "pipeline", "close", "name"}
"""They take nothing, or a place on the disk."""

CHANGE: Mapping[str, Verb] = {
    "wait": ([None], {"timeout": 60, "raise_errors": True, "progress": False}),
    "stream": (["size"], {"parts": False, "timeout": 60, "raise_errors": True, "after": None}),
}
MODEL: Mapping[str, Verb] = {"labels": ([1], {"limit": 10}), "learned_from": ([1], {"fit": None})}


@pytest.fixture(scope="module")
def store() -> Iterator[motion.Store]:
    schemas = {"item": Item}
    with motion.create_store(
        "odd", schemas=schemas, triggers=[Sizes()], url=":memory:", run=False
    ) as made:
        made.set_many("item", [{"id": number, "text": "a"} for number in range(1, 4)])
        yield made


def with_one_other(verb: Verb, odd: Any) -> Iterator[tuple[list[Any], dict[str, Any]]]:
    given, named = verb
    for place in range(len(given)):
        yield [*given[:place], odd, *given[place + 1 :]], dict(named)
    for name in named:
        yield list(given), {**named, name: odd}


def check(store: motion.Store, call: Any, verb: Verb) -> None:
    for odd in ODD:
        for given, named in with_one_other(verb, odd):
            before = store.sql("select number from motion_clock").to_pylist()
            try:
                result = call(*given, **named)
                if inspect.isgenerator(result):
                    list(result)
            except motion.MotionError:
                after = store.sql("select number from motion_clock").to_pylist()
                assert after == before, (given, named)
            except Exception as exc:
                raise AssertionError(f"{call.__name__}{(given, named)}: {exc!r}") from exc


@pytest.mark.parametrize("name", [name for name in STORE if name != "wait"])
def test_a_verb_of_the_store_refuses_by_an_error_of_ours(store: motion.Store, name: str) -> None:
    check(store, getattr(store, name), STORE[name])


def test_all_verbs_are_here() -> None:
    public = {name for name, _ in inspect.getmembers(motion.Store) if not name.startswith("_")}
    assert public - OTHERS == set(STORE)


def test_waiting_refuses_by_an_error_of_ours() -> None:
    schemas = {"item": Item}
    with motion.create_store("odd", schemas=schemas, triggers=[Sizes()], url=":memory:") as store:
        change = store.set("item", id=1, text="a")
        store.wait(timeout=60)
        check(store, store.wait, STORE["wait"])
        for name, verb in CHANGE.items():
            check(store, getattr(change, name), verb)
        for name, verb in MODEL.items():
            check(store, getattr(store.model("Sizes"), name), verb)


@pytest.mark.parametrize("timeout", ["5", None, [1], float("nan")])
def test_a_row_is_there_after_a_forget_with_a_wrong_timeout(
    store: motion.Store, timeout: Any
) -> None:
    store.set("item", id=4, text="a")  # the odd arguments above have named the others
    with pytest.raises(motion.InvalidArgument, match=r"forget\(timeout=\) takes a number of sec"):
        store.forget("item", 4, timeout=timeout)
    assert store.get("item", 4) is not None
    assert store.status().forgetting == 0


@pytest.mark.parametrize("seconds", ["5", None, float("nan"), True])
def test_the_clock_refuses_what_is_no_number(seconds: Any) -> None:
    with pytest.raises(motion.InvalidArgument, match="a number of seconds"):
        motion.clock.advance(seconds)
