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
