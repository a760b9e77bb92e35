"""P14 over a switch of state versions: what a version has made of other rows is made again where these have changed since,
whether it was live then, a candidate, or one to go back to."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import pytest

import motion
from tests.conftest import OpenStore


@dataclass
class Shop:
    id: int
    name: str


@dataclass
class Sale:
    id: int
    ts: int
    shop: int
    amount: int
    named: str
    told: str
    checked: bool


class Teller(motion.Component):
    def setup(self) -> dict[str, int]:
        return {"version": 1}

    @motion.infer(on="sale.amount", sets="sale.named", refresh="before")
    def call_by_name(
        self,
        state: dict[str, int],
        name: Annotated[str | None, motion.Lookup("shop.name", by="shop")],
    ) -> str:
        return f"{state['version']} {name}"

    @motion.infer(on="sale.amount", sets="sale.told", refresh="before")
    def tell(
        self,
        state: dict[str, int],
        before: Annotated[list[int], motion.Window("sale.amount", by="shop")],
    ) -> str:
        return f"{state['version']} {before}"

    @motion.fit(on="sale.checked", every=1000, promote=motion.manual)
    def fit(self, state: dict[str, int], rows: list[Sale]) -> dict[str, int]:
        return {"version": state["version"] + 1}


def a_late_row(store: motion.Store) -> None:
    store.set("sale", id=9, ts=0, shop=1, amount=9)


def another_amount(store: motion.Store) -> None:
    store.set("sale", id=1, amount=50)


def a_row_less(store: motion.Store) -> None:
    store.delete("sale", 1)


def another_name(store: motion.Store) -> None:
    store.set("shop", id=1, name="y")


def no_shop(store: motion.Store) -> None:
    store.delete("shop", 1)


def last(store: motion.Store) -> tuple[str, str]:
    store.wait(timeout=60)
    row = store.get(Sale, 3)
    assert row is not None
    return row.named, row.told


@pytest.mark.parametrize(
    ("happens", "name", "before"),
    [
        (a_late_row, "x", [9, 1, 2]),
        (another_amount, "x", [50, 2]),
        (a_row_less, "x", [2]),
        (another_name, "y", [1, 2]),
        (no_shop, None, [1, 2]),
    ],
)
def test_what_has_changed_in_other_rows_is_seen_by_each_version_that_goes_live(
    open_store: OpenStore,
    happens: Callable[[motion.Store], None],
    name: str | None,
    before: list[int],
) -> None:
    store = open_store(schemas={"shop": Shop, "sale": Sale}, triggers=[Teller()])
    model = store.model("Teller")
    store.set("shop", id=1, name="x")
    store.set_many("sale", [{"id": i, "ts": i, "shop": 1, "amount": i} for i in (1, 2, 3)])
    store.set("sale", id=2, checked=True)
    model.fit().wait(timeout=60)
    assert last(store) == ("1 x", "1 [1, 2]")
    happens(store)  # while version 2 is a candidate that has all its outputs
    assert last(store) == (f"1 {name}", f"1 {before}")
    model.promote(2).wait(timeout=60)
    assert last(store) == (f"2 {name}", f"2 {before}")
    store.set("shop", id=1, name="z")
    store.set("sale", id=8, ts=-1, shop=1, amount=8)  # while version 1 is one to go back to
    assert last(store) == ("2 z", f"2 {[8, *before]}")
    model.rollback().wait(timeout=60)
    assert last(store) == ("1 z", f"1 {[8, *before]}")


@dataclass
class Text:
    id: int
    ts: int
    user: str
    checked: bool
    page: int
    length: int
    weight: int
    before: int


class Weigher(motion.Component):
    """Takes its time with what is heavy, so windows are made of the old weight meanwhile."""

    def setup(self) -> int:
        return 1

    @motion.infer(on="text.length", sets="text.weight", refresh="before")
    def weigh(self, state: int, length: int) -> int:
        if state == 10 and length == 5:
            time.sleep(0.3)
        return length * state

    @motion.infer(on="text.length", sets="text.before", refresh="before")
    def add(
        self,
        state: int,
        weights: Annotated[int, motion.Window("text.weight", by="user", agg="sum")],
    ) -> int:
        return weights

    @motion.fit(on="text.checked", every=1000, promote=motion.manual)
    def fit(self, state: int, rows: list[Text]) -> int:
        return 10


def test_pages_that_inherit_by_are_due_in_a_version_whose_window_changes_for_very_many(
    open_store: OpenStore,
) -> None:
    store = open_store(schemas={"text": Text}, triggers=[Weigher()])
    texts, pages = 27, 20  # more than are made due at once
    store.set_many("text", [{"id": i, "ts": i, "user": "u"} for i in range(texts)])
    named = [{"id": i, "page": page + 1} for i in range(texts) for page in range(pages)]
    store.set_many("text", [{**row, "length": 1} for row in named])
    store.set("text", id=0, checked=True)
    store.wait(timeout=60)
    store.model("Weigher").fit().wait(timeout=60)
    store.wait(timeout=60)
    store.set("text", id=0, page=1, length=5)
    store.wait(timeout=60)
    store.model("Weigher").promote(2).wait(timeout=60)
    store.wait(timeout=60)
    total = 0
    for row in sorted(store.rows(Text), key=lambda row: (row.id, row.page)):
        if row.page:
            assert row.before == total
            total += row.weight
    assert total == 10 * (len(named) + 4)
