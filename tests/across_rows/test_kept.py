"""Keys that are lookups or windows themselves: where they are few, they are made up in the write that changes what they are
made of, by nobody's work afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

import pytest

import motion
from motion.testing import Stepper
from tests.conftest import OpenStore

HOUR = timedelta(hours=1)
MINUTE_MS = 60_000


@dataclass
class Card:
    id: int
    country: str


@dataclass
class Payment:
    id: int
    ts: int
    card: int
    amount: int
    country: Annotated[str, motion.Lookup("card.country", by="card")]
    hour: Annotated[int, motion.Window("payment.amount", by="card", within=HOUR, agg="sum")]
    last: Annotated[list[int], motion.Window("payment.amount", by="card", rows=2, itself=True)]
    risk: int


SCHEMAS = {"card": Card, "payment": Payment}


@pytest.fixture
def store(open_store: OpenStore) -> motion.Store:
    """A store in which nobody works."""
    store = open_store(schemas=SCHEMAS, run=False)
    store.set("card", id=1, country="it")
    rows = [{"id": i, "ts": 10 * i * MINUTE_MS, "card": 1, "amount": i} for i in range(1, 5)]
    store.set_many("payment", rows)
    return store


def shown(store: motion.Store) -> dict[int, tuple[Any, ...]]:
    return {row.id: (row.country, row.hour, row.last) for row in store.rows(Payment)}


def test_kept_keys_of_new_rows_need_nobody(store: motion.Store) -> None:
    assert shown(store) == {
        1: ("it", 0, [1]),
        2: ("it", 1, [1, 2]),
        3: ("it", 3, [2, 3]),
        4: ("it", 6, [3, 4]),
    }
    assert store.status().tasks == {}


CHANGES: dict[str, tuple[Callable[[motion.Store], Any], dict[int, tuple[Any, ...]]]] = {
    "comes late": (
        lambda store: store.set("payment", id=9, ts=25 * MINUTE_MS, card=1, amount=10),
        {
            1: ("it", 0, [1]),
            2: ("it", 1, [1, 2]),
            9: ("it", 3, [2, 10]),
            3: ("it", 13, [10, 3]),
            4: ("it", 16, [3, 4]),
        },
    ),
    "changes": (
        lambda store: store.set("payment", id=2, amount=20),
        {
            1: ("it", 0, [1]),
            2: ("it", 1, [1, 20]),
            3: ("it", 21, [20, 3]),
            4: ("it", 24, [3, 4]),
        },
    ),
    "moves": (
        lambda store: store.set("payment", id=1, ts=35 * MINUTE_MS),
        {
            2: ("it", 0, [2]),
            3: ("it", 2, [2, 3]),
            1: ("it", 5, [3, 1]),
            4: ("it", 6, [1, 4]),
        },
    ),
    "goes": (
        lambda store: store.delete("payment", 3),
        {1: ("it", 0, [1]), 2: ("it", 1, [1, 2]), 4: ("it", 3, [2, 4])},
    ),
    "goes to another entity": (
        lambda store: store.set("payment", id=1, card=2),
        {
            1: (None, 0, [1]),
            2: ("it", 0, [2]),
            3: ("it", 2, [2, 3]),
            4: ("it", 5, [3, 4]),
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_a_row_that_changes_leaves_nothing_to_be_done_for_the_later_ones(
    store: motion.Store, what: str
) -> None:
    change, expected = CHANGES[what]
    change(store)
    assert shown(store) == expected
    assert store.status().tasks == {}


def test_what_is_looked_up_changes_with_the_rows_that_keep_it(store: motion.Store) -> None:
    store.set("card", id=1, country="fr")
    assert {row.country for row in store.rows(Payment)} == {"fr"}
    store.delete("card", 1)
    assert {row.country for row in store.rows(Payment)} == {None}
    store.set("card", id=1, country="es")
    assert {row.country for row in store.rows(Payment)} == {"es"}
    assert store.status().tasks == {}


def test_all_of_it_is_one_write(store: motion.Store) -> None:
    commits = store._database.backend.committed.count
    store.set("payment", id=9, ts=25 * MINUTE_MS, card=1, amount=10)
    assert store._database.backend.committed.count == commits + 1


def test_users_values_stay(store: motion.Store) -> None:
    store.set("payment", id=3, hour=100)
    store.set("payment", id=9, ts=25 * MINUTE_MS, card=1, amount=10)
    found: Any = store.get("payment", 3)
    assert (found.hour, found.last) == (100, [10, 3])


def in_one_load(store: motion.Store, rows: list[dict[str, Any]]) -> None:
    store.set_many("payment", rows)


def in_a_transaction(store: motion.Store, rows: list[dict[str, Any]]) -> None:
    with store.transaction() as tx:
        for row in rows:
            tx.set("payment", **row)


@pytest.mark.parametrize("give", [in_one_load, in_a_transaction])
@pytest.mark.parametrize("card", [2, None])
def test_a_row_beside_those_that_are_given_twice_is_left_alone(
    open_store: OpenStore, give: Callable[[motion.Store, list[dict[str, Any]]], None], card: Any
) -> None:
    store = open_store(schemas=SCHEMAS, run=False)
    store.set("payment", id=2, ts=0, card=card, amount=1)
    late = [{"id": i, "ts": 3 * MINUTE_MS, "card": 1, "amount": i} for i in (1, 3)]
    give(store, [*late, {"id": 1, "ts": MINUTE_MS}])
    assert [row.hour for row in store.rows(Payment)] == [0, None if card is None else 0, 1]
    assert (store.plan("payment.hour").stale, store.backfill("payment.hour").count) == (0, 0)
    assert not store.explain("payment", 2, "hour").is_due


def test_what_derives_from_kept_keys_runs_once_for_each_row(open_store: OpenStore) -> None:
    calls: list[int] = []

    @motion.trigger(on=("payment.amount", "payment.hour"), sets="payment.risk", inline=False)
    def score(id: int, amount: int, hour: int) -> int:
        calls.append(id)
        return amount + hour

    store = open_store(schemas=SCHEMAS, triggers=[score], run=False)
    rows = [{"id": i, "ts": 10 * i * MINUTE_MS, "card": 1, "amount": i} for i in range(1, 5)]
    with Stepper(store) as worker:
        store.set_many("payment", rows)
        worker.run_until_idle()
        calls.clear()
        store.set("payment", id=9, ts=25 * MINUTE_MS, card=1, amount=10)
        worker.run_until_idle()
    assert sorted(calls) == [3, 4, 9]
    assert {row.id: row.risk for row in store.rows(Payment)} == {1: 1, 2: 3, 9: 13, 3: 16, 4: 20}


def test_a_row_that_is_new_sees_what_it_changes_elsewhere_itself(open_store: OpenStore) -> None:
    @dataclass
    class Account:
        id: int
        ts: int
        number: int
        total: Annotated[
            int,
            motion.Window("booking.amount", by=("number", "booking.account"), agg="sum", rows=9),
        ]

    @dataclass
    class Booking:
        id: int
        ts: int
        account: int
        amount: int
        among: Annotated[int, motion.Lookup("account.total", by="account", follow=True)]

    store = open_store(schemas={"account": Account, "booking": Booking}, run=False)
    store.set("account", id=1, ts=100, number=1)
    for i in (1, 2, 3):
        store.set("booking", id=i, ts=i, account=1, amount=10)
    assert [row.among for row in store.rows(Booking)] == [30, 30, 30]
    assert store.status().tasks == {}


@pytest.mark.parametrize(("count", "late"), [(300, 1), (3_000, 2_997)])
def test_what_is_too_much_for_a_write_follows_too(
    open_store: OpenStore, count: int, late: int
) -> None:
    """Many rows that hold what came late, or few of which each holds many."""
    store = open_store(schemas=SCHEMAS, run=False)
    rows = [{"id": i, "ts": 2 * i, "card": 1, "amount": 1} for i in range(count)]
    store.set_many("payment", rows)
    store.set("payment", id=count, ts=2 * late - 1, card=1, amount=7)
    assert store.status().tasks.keys() == {"payment.hour"}  # two windows of `last` hold it
    with Stepper(store) as worker:
        worker.run_until_idle()
    hours = [row.hour for row in store.rows(Payment, order_by="ts")]
    assert hours == [*range(late + 1), *(7 + i for i in range(late, count))]


def test_a_sum_that_is_too_large_is_told_of_its_row_alone(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, run=False)
    rows = [{"id": i, "ts": i, "card": 1, "amount": 2**62} for i in (1, 3)]
    store.set_many("payment", rows)
    with Stepper(store) as worker:
        store.set("payment", id=2, ts=2, card=1, amount=2**62)
        worker.run_until_idle()
        assert [(each.trigger, each.row) for each in store.errors()] == [("payment.hour", "id=3")]
        assert [row.hour for row in store.rows(Payment)] == [0, 2**62, 2**62]
        store.set("payment", id=2, amount=5)
        worker.run_until_idle()
    assert store.errors() == []
    assert [row.hour for row in store.rows(Payment)] == [0, 2**62, 2**62 + 5]


def test_a_row_whose_entity_is_about_to_be_another_waits_for_that(open_store: OpenStore) -> None:
    @dataclass
    class Payment:
        id: int
        text: str
        card: int
        amount: int
        total: Annotated[int, motion.Window("payment.amount", by="card", rows=9, agg="sum")]

    @motion.trigger(on="payment.text", sets="payment.card", inline=False)
    def read(text: str) -> int:
        return int(text)

    store = open_store(schemas={"payment": Payment}, triggers=[read], run=False)
    with Stepper(store) as worker:
        store.set_many("payment", [{"id": i, "text": "1", "amount": 1} for i in (1, 2)])
        worker.run_until_idle()
        store.set("payment", id=2, text="2")
        store.set("payment", id=1, amount=7)
        assert [row.total for row in store.rows(Payment)] == [0, 1]
        worker.run_until_idle()
    assert [row.total for row in store.rows(Payment)] == [0, 0]
