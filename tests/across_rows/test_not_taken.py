"""What lookups and windows do not take of other rows, refused where it is declared, with what to do instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pytest

import motion
from tests.conftest import OpenStore


@dataclass
class Sale:
    id: int
    ts: int
    shop: int
    guess: int
    picture: np.ndarray
    raw: bytes
    shown: list[Any]


class Guesser(motion.Component):
    def setup(self) -> int:
        return 1

    @motion.infer(on="sale.shop", sets="sale.guess", refresh="before")
    def guess(self, state: int, shop: int) -> int:
        return shop + state


SCHEMAS = {"sale": Sale}


@pytest.mark.parametrize(
    ("taken", "message"),
    [
        (motion.Lookup("sale.shop", by="guess"), "sale.guess is kept for each state version"),
        (
            motion.Lookup("sale.shop", by="shop", to="sale.guess"),
            "sale.guess is kept for each state version",
        ),
        (motion.Window("sale.shop", by="guess"), "sale.guess is kept for each state version"),
        (
            motion.Window("sale.shop", by="shop", where={"guess": 1}),
            "sale.guess is kept for each state version",
        ),
        (motion.Window("sale.picture", by="shop", agg="mean"), r"motion\.Vector"),
        (motion.Window("sale.picture", by="shop"), "agg='mean'"),
        (motion.Window("sale.raw", by="shop"), "which windows do not hold"),
        (motion.Window("sale.shop", by="shop", where={"raw": "x"}), "equal values"),
        (motion.Window("sale.shop", by="shop", where={"picture": 1}), "equal values"),
    ],
    ids=str,
)
def test_what_is_not_taken_is_refused_with_what_to_do(
    open_store: OpenStore, taken: motion.Lookup | motion.Window, message: str
) -> None:
    def take(value: Any) -> list[Any]:
        return [value]

    take.__annotations__["value"] = Annotated[Any, taken]
    trigger = motion.trigger(on="sale.shop", sets="sale.shown")(take)
    with pytest.raises(motion.TriggerError, match=message):
        open_store(schemas=SCHEMAS, triggers=[Guesser(), trigger])


def test_a_key_that_is_kept_by_version_can_be_taken_where_it_is_not_kept_so(
    open_store: OpenStore,
) -> None:
    class Guesser(motion.Component):
        def setup(self) -> int:
            return 1

        @motion.infer(on="sale.shop", sets="sale.guess", refresh="after")
        def guess(self, state: int, shop: int) -> int:
            return shop + state

    @motion.trigger(on="sale.ts", sets="sale.shown")
    def take(before: Annotated[list[int], motion.Window("sale.guess", by="shop")]) -> list[Any]:
        return before

    store = open_store(schemas=SCHEMAS, triggers=[Guesser(), take])
    store.set_many("sale", [{"id": i, "ts": i, "shop": 5} for i in (1, 2)])
    store.wait(timeout=60)
    assert [row.shown for row in store.rows("sale")] == [[], [6]]


@dataclass
class Visit:
    id: int
    ts: int
    n: int
    guess: int
    copy: int
    name: str
    before: list[int]
    line: str
    label: int


@dataclass
class Shop:
    id: int
    name: str
    visits: list[int]


class Sender(motion.Component):
    def setup(self) -> int:
        return 1

    @motion.infer(on="visit.n", sets="visit.guess", refresh="before")
    def guess(self, state: int, n: int) -> int:
        return n * state

    @motion.fit(on="visit.label", promote=motion.manual)
    def fit(self, state: int, rows: list[Visit]) -> int:
        return 2


@motion.trigger(on="visit.guess", sets="visit.copy")
def copy(guess: int) -> int:
    return guess


def by(key: str) -> list[Any]:
    """Return a lookup, a window, a fold and a trigger in a line, each by a key of visits."""

    def look(name: Any) -> str:
        return str(name)

    def collect(before: Any) -> list[int]:
        return list(before)

    def line(n: int) -> str:
        return str(n)

    def fold(visits: list[int] | None, n: int) -> list[int]:
        return [*(visits or []), n]

    look.__annotations__["name"] = Annotated[str, motion.Lookup("shop.name", by=key)]
    collect.__annotations__["before"] = Annotated[list[int], motion.Window("visit.n", by=key)]
    return [
        motion.trigger(on="visit.ts", sets="visit.name")(look),
        motion.trigger(on="visit.ts", sets="visit.before")(collect),
        motion.trigger(on="visit.n", sets="visit.line", serial_by=f"visit.{key}")(line),
        motion.fold(on="visit.n", by=f"visit.{key}", sets="shop.visits")(fold),
    ]


@pytest.mark.parametrize("kind", range(4), ids=["lookup", "window", "line", "fold"])
def test_a_key_by_version_that_is_gone_by_is_refused_with_what_to_go_by(
    open_store: OpenStore, kind: int
) -> None:
    with pytest.raises(motion.TriggerError, match=r"on visit\.guess copy it into a key of its own"):
        open_store(schemas={"visit": Visit, "shop": Shop}, triggers=[Sender(), by("guess")[kind]])


def test_a_copy_of_a_key_by_version_can_be_gone_by_and_follows_each_switch(
    open_store: OpenStore,
) -> None:
    def shown() -> list[Any]:
        store.wait(timeout=60)
        assert not store.errors()
        visits = [(row.name, row.before, row.line) for row in store.rows(Visit)]
        return [visits, [row.visits for row in store.rows(Shop)]]

    schemas = {"visit": Visit, "shop": Shop}
    store = open_store(schemas=schemas, triggers=[Sender(), copy, *by("copy")])
    store.set_many("shop", [{"id": i, "name": f"shop {i}"} for i in (1, 2, 4)])
    store.set_many("visit", [{"id": i, "ts": i, "n": n} for i, n in enumerate([1, 2, 1])])
    store.set("visit", id=0, label=1)
    once = [[("shop 1", [], "1"), ("shop 2", [], "2"), ("shop 1", [1], "1")], [[1, 1], [2], None]]
    assert shown() == once
    store.model("Sender").fit()
    store.wait(timeout=60)
    store.model("Sender").promote(2).wait(timeout=60)
    twice = [[("shop 2", [], "1"), ("shop 4", [], "2"), ("shop 2", [1], "1")], [None, [1, 1], [2]]]
    assert shown() == twice
    store.model("Sender").rollback().wait(timeout=60)
    assert shown() == once
