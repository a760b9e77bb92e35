"""What `explain` tells of the rows that windows hold and that folds go over: as they are now, and whether they are others since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

import motion
from motion.testing import Stepper
from tests.conftest import OpenStore

HOUR = timedelta(hours=1)


@dataclass
class Payment:
    id: int
    ts: int
    card: int
    amount: float
    hour: Annotated[float, motion.Window("payment.amount", by="card", within=HOUR, agg="sum")]
    risk: float


@motion.trigger(on="payment.hour", sets="payment.risk", inline=False)
def score(
    hour: float,
    last: Annotated[
        list[tuple[float, int]], motion.Window(("payment.amount", "payment.ts"), by="card", rows=2)
    ],
) -> float:
    return hour + sum(amount for amount, _ in last)


def explained(open_store: OpenStore, count: int) -> tuple[motion.Store, Stepper]:
    store = open_store(schemas={"payment": Payment}, triggers=[score], run=False)
    rows = [{"id": i, "ts": i, "card": 7, "amount": float(i)} for i in range(1, count + 1)]
    store.set_many("payment", rows)
    worker = Stepper(store)
    worker.run_until_idle()
    return store, worker


def test_the_rows_that_a_window_holds_are_told_with_their_values(open_store: OpenStore) -> None:
    store, _ = explained(open_store, 4)
    (held,) = store.explain("payment", 4, "hour").held
    assert (held.table, held.keys, held.by, held.entity) == ("payment", ("amount",), "card", 7)
    assert (held.count, held.order, held.has_changed) == (3, "ts", False)
    assert held.rows[0] == motion.HeldRow(1, 1, {"amount": 1.0})
    assert [row.id for row in held.rows] == [1, 2, 3]
    risk = store.explain("payment", 4, "risk")
    assert [row.values for row in risk.held[0].rows] == [
        {"amount": 2.0, "ts": 2},
        {"amount": 3.0, "ts": 3},
    ]
    assert risk.inputs[0].held == (held,)
    assert "from 2 row(s) of payment with card=7: id=2 (amount=2.0, ts=2), id=3 " in str(risk)
    assert "from no rows of payment with card=7" in str(store.explain("payment", 1, "hour"))


def test_of_many_rows_the_last_twenty_are_told_and_how_many_there_are(
    open_store: OpenStore,
) -> None:
    store, _ = explained(open_store, 30)
    (held,) = store.explain("payment", 30, "hour").held
    assert held.count == 29
    assert [row.id for row in held.rows] == list(range(10, 30))
    assert "from 29 row(s) of payment with card=7: ..., id=25 " in str(held)


def test_rows_that_are_others_since_are_told_until_the_value_is_made_again(
    open_store: OpenStore,
) -> None:
    store, worker = explained(open_store, 3)
    store.set("payment", id=2, amount=20.0)
    (held,) = store.explain("payment", 3, "risk").held
    assert held.has_changed
    assert [row.values["amount"] for row in held.rows] == [1.0, 20.0]  # as they are now
    assert "CHANGED SINCE, and now they are id=1" in str(held)
    worker.run_until_idle()
    (held,) = store.explain("payment", 3, "risk").held
    assert not held.has_changed
    store.delete("payment", 1)
    assert store.explain("payment", 3, "risk").held[0].has_changed  # what has gone shows in no row
    worker.run_until_idle()
    assert not store.explain("payment", 3, "risk").held[0].has_changed


def test_a_sweep_that_is_to_come_counts_as_a_change(open_store: OpenStore) -> None:
    store, worker = explained(open_store, 700)
    store.delete("payment", 1)  # held by more rows than one write makes due
    assert store.explain("payment", 700, "hour").held[0].has_changed
    worker.run_until_idle()
    assert not store.explain("payment", 700, "hour").held[0].has_changed


def test_a_users_value_is_made_from_no_rows(open_store: OpenStore) -> None:
    store, _ = explained(open_store, 3)
    store.set("payment", id=3, hour=1.0)
    assert store.explain("payment", 3, "hour").held == ()


@dataclass
class Message:
    id: int
    ts: int
    user: int
    text: str
    so_far: int


@dataclass
class User:
    id: int
    profile: str


@motion.fold(on="message.text", by="message.user", sets="user.profile")
def remember(profile: str | None, text: str) -> str:
    return f"{profile or ''}[{text}]"


@motion.fold(on="message.text", by="message.user", sets="message.so_far")
def measure(so_far: int | None, text: str) -> int:
    return (so_far or 0) + len(text)


def test_the_rows_that_a_fold_goes_over_are_told(open_store: OpenStore) -> None:
    store = open_store(
        schemas={"message": Message, "user": User}, triggers=[remember, measure], run=False
    )
    store.set_many("message", [{"id": i, "ts": -i, "user": 7, "text": "x" * i} for i in (1, 2, 3)])
    store.set("message", id=4, ts=1, user=7)
    worker = Stepper(store)
    worker.run_until_idle()
    (held,) = store.explain("user", 7, "profile").held
    assert (held.table, held.by, held.entity, held.count) == ("message", "user", 7, 3)
    assert [row.values for row in held.rows] == [{"text": "xxx"}, {"text": "xx"}, {"text": "x"}]
    assert not held.has_changed
    (as_of,) = store.explain("message", 2, "so_far").held
    assert [row.id for row in as_of.rows] == [3, 2]
    store.set("message", id=2, text="yy")
    (held,) = store.explain("user", 7, "profile").held
    assert held.has_changed
    assert [row.has_changed for row in held.rows] == [False, True, False]
