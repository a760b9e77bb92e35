"""Rows that a fold folds no more, where each keeps the value as of it: they keep none, also where nobody saw them leave."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import motion
from motion import faults
from motion.persistence.recompute import backfills
from motion.testing import Stepper
from tests.across_rows.paged_queries import CHANGES, change, fan_out
from tests.across_rows.test_folds_of_pages import SCHEMAS, WAYS
from tests.conftest import OpenStore

KEPT = [way for way in WAYS.values() if way.sets == "query.so_far"]

PHASES = st.lists(
    st.tuples(st.sampled_from([None, *range(len(KEPT))]), CHANGES), min_size=2, max_size=4
)
"""Times in which a store is open with a fold in one of several ways, or without it, and what is written in each."""


@pytest.mark.parametrize("replay", [True, False])
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(PHASES, st.sampled_from(range(len(KEPT))))
def test_rows_keep_what_a_fold_from_scratch_gives_whatever_code_was_there_before(
    open_store: OpenStore, replay: bool, phases: list[Any], last: int
) -> None:
    name = f"s{os.urandom(4).hex()}"
    for place, done in [*phases, (last, [])]:
        folds = [] if place is None else [KEPT[place].declared(replay=replay)]
        store = open_store(name, schemas=SCHEMAS, triggers=[fan_out, *folds], run=False)
        try:
            with Stepper(store) as worker:
                for each in done:
                    change(store, each)
                    worker.run_until_idle()
                if place is not None and not done:
                    way = KEPT[place]
                    plan = store.plan("keep")
                    assert store.status().triggers["keep"].stale == plan.stale
                    is_right = way.found(store) == way.expected(store)
                    assert is_right or plan.stale + plan.missing or not replay
                    before = set(way.found(store)) - set(way.expected(store))
                    assert plan.stale >= len(before)
                    assert all(
                        store.explain("query", row, "so_far", page=page).is_due
                        for row, page in before
                    )
                    store.backfill("keep")
                    worker.run_until_idle()
                    assert set(way.found(store)) == set(way.expected(store))
                    assert store.plan("keep").stale == 0
                    store.backfill("keep", force=not replay)  # puts late ones into their order
                    worker.run_until_idle()
                    assert way.found(store) == way.expected(store)
                    assert not store.errors()
        finally:
            store.close()


@dataclass
class Booking:
    id: int
    account: int
    shop: int
    amount: int
    balance: int
    total: int
    note: str


def balance_by(by: str, *, sets: str = "balance", **options: Any) -> Any:
    def as_of(value: int | None, amount: int) -> int:
        return (value or 0) + amount

    space: dict[str, Any] = {"as_of": as_of}
    exec(f"def balance({sets}, amount): return as_of({sets}, amount)", space)
    declared: dict[str, Any] = {
        "on": "booking.amount",
        "by": f"booking.{by}",
        "sets": f"booking.{sets}",
    }
    return motion.fold(**declared | options, version="1")(space["balance"])


@motion.trigger(on="booking.balance", sets="booking.note")
def note(balance: int) -> str:
    return f"{balance} left"


def opened(open_store: OpenStore, *triggers: Any, name: str = "store") -> motion.Store:
    return open_store(name, schemas={"booking": Booking}, triggers=[note, *triggers], run=False)


def shown(store: motion.Store) -> dict[int, tuple[int | None, str | None]]:
    return {row.id: (row.balance, row.note) for row in store.rows(Booking)}


def booked(open_store: OpenStore, count: int = 3, *, replay: bool = True) -> None:
    """Let rows of an account be folded, and lose their account while the fold is away, but for the last."""
    with (
        opened(open_store, balance_by("account", replay=replay)) as store,
        Stepper(store) as worker,
    ):
        for row in range(1, count + 1):
            store.set("booking", id=row, account=7, amount=row)
        worker.run_until_idle()
    with opened(open_store) as store:
        for row in range(1, count):
            store.set("booking", id=row, account=None)


def test_what_derives_from_a_value_that_is_unset_follows(open_store: OpenStore) -> None:
    booked(open_store)
    with opened(open_store, balance_by("account")) as store, Stepper(store) as worker:
        assert shown(store) == {1: (1, "1 left"), 2: (3, "3 left"), 3: (6, "6 left")}
        change = store.backfill("balance")
        assert change.count == 3  # two rows, and an entity
        worker.run_until_idle()
        change.wait(timeout=0)
        assert shown(store) == {1: (None, None), 2: (None, None), 3: (3, "3 left")}


@pytest.mark.parametrize("replay", [True, False])
@pytest.mark.parametrize("was_folded", [True, False])
def test_what_derives_from_a_value_that_is_given_and_unset_by_the_same_write_follows(
    open_store: OpenStore, was_folded: bool, replay: bool
) -> None:
    with (
        opened(open_store, balance_by("account", replay=replay)) as store,
        Stepper(store) as worker,
    ):
        store.set("booking", id=9, account=7, amount=2)
        worker.run_until_idle()
        store.set("booking", id=9, balance=77)  # `note` is known to be brief, and runs in memory
        if was_folded:
            store.set("booking", id=1, account=7, amount=2)
            worker.run_until_idle()
        store.set("booking", id=1, account=None, amount=3, balance=609)
        worker.run_until_idle()
        assert shown(store)[1] == (None, None)
        assert store.plan("note").stale == 0


def test_what_a_fold_that_applies_once_has_left_is_unset(open_store: OpenStore) -> None:
    booked(open_store, replay=False)
    with opened(open_store, balance_by("account", replay=False)) as store, Stepper(store) as worker:
        assert store.plan("balance").stale == 2 + 1
        store.backfill("balance")
        worker.run_until_idle()
        assert shown(store) == {1: (None, None), 2: (None, None), 3: (3, "3 left")}
        assert store.plan("balance").stale == 0


def test_other_code_begins_with_it_where_it_is_to_remake_by_itself(open_store: OpenStore) -> None:
    booked(open_store)
    by_shop = balance_by("shop", on_change="backfill")
    with opened(open_store, by_shop) as store, Stepper(store) as worker:
        worker.run_until_idle()
        assert shown(store) == dict.fromkeys((1, 2, 3), (None, None))


def test_a_backfill_of_an_entity_leaves_the_rows_of_others(open_store: OpenStore) -> None:
    with opened(open_store, balance_by("account")) as store, Stepper(store) as worker:
        store.set_many("booking", [{"id": i, "account": i, "amount": i} for i in (1, 2)])
        worker.run_until_idle()
    with opened(open_store) as store:
        for row in (1, 2):
            store.set("booking", id=row, amount=None)
    with opened(open_store, balance_by("account")) as store, Stepper(store) as worker:
        store.backfill("balance", where={"id": 2})
        worker.run_until_idle()
        assert {row: value for row, (value, _) in shown(store).items()} == {1: 1, 2: None}
        with pytest.raises(motion.MotionError, match="json"):
            store.backfill("balance", where="json_extract('no', id) = 1")


def test_what_a_user_gave_is_not_unset(open_store: OpenStore) -> None:
    with opened(open_store, balance_by("account")) as store, Stepper(store) as worker:
        for row in (1, 2):
            store.set("booking", id=row, account=7, amount=row)
        worker.run_until_idle()
        store.set("booking", id=1, balance=100)
        store.set("booking", id=2, account=None)  # which unsets it
        store.set("booking", id=3, balance=300, total=30)
        worker.run_until_idle()
    with opened(open_store) as store:
        store.set("booking", id=1, account=None)
        store.set("booking", id=2, balance=200)
    with opened(open_store, balance_by("account")) as store, Stepper(store) as worker:
        store.backfill("balance", force=True)
        worker.run_until_idle()
        found = {row: value for row, (value, _) in shown(store).items()}
        assert found == {1: 100, 2: 200, 3: 300}


@pytest.mark.parametrize("replay", [True, False])
def test_what_a_user_gives_while_a_fold_is_away_is_what_it_would_be_if_it_were_there(
    open_store: OpenStore, replay: bool
) -> None:
    fold, found = balance_by("account", replay=replay), list[Any]()
    for name, there in (("there", [fold]), ("away", [])):
        with opened(open_store, fold, name=name) as store, Stepper(store) as worker:
            store.set_many("booking", [{"id": i, "account": 7, "amount": i} for i in range(1, 7)])
            worker.run_until_idle()
        with opened(open_store, *there, name=name) as store, Stepper(store) as worker:
            for values in (
                {"id": 1, "account": None},
                {"id": 1, "balance": 100},
                {"id": 2, "amount": None},
                {"id": 2, "balance": 200},
                {"id": 3, "balance": 300},
                {"id": 5, "balance": None},
                {"id": 7, "account": 7, "amount": 7, "balance": 700},
                {"id": 8, "account": 7, "amount": 8},
                {"id": 9, "balance": 900},
            ):
                store.set("booking", **values)
                worker.run_until_idle()
        with opened(open_store, fold, name=name) as store, Stepper(store) as worker:
            store.backfill("balance", force=True)
            worker.run_until_idle()
            assert store.plan("balance").stale == 0
            found.append({row.id: row.balance for row in store.rows(Booking)})
    kept = {1: 100, 2: 200, 3: 300, 4: 304, 5: None, 6: 6, 7: 700, 8: 708, 9: 900}
    assert found == [kept, kept]


def test_what_a_key_held_before_the_fold_set_it_is_not_unset(open_store: OpenStore) -> None:
    with opened(open_store, balance_by("account")) as store, Stepper(store) as worker:
        store.set("booking", id=1, account=7, amount=1, total=10)
        worker.run_until_idle()
    with opened(open_store, balance_by("shop", sets="total")) as store, Stepper(store) as worker:
        assert store.plan("balance").stale == 0
        store.backfill("balance", force=True)
        worker.run_until_idle()
        assert [row.total for row in store.rows(Booking)] == [10]


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The points that are passed, in order; a part of a backfill is two rows."""
    monkeypatch.setattr(backfills, "ROWS_AT_ONCE", 2)
    passed: list[str] = []
    faults.arm(passed.append)
    yield passed
    faults.arm(None)


def test_it_is_unset_in_parts_which_can_be_left_and_gone_on_with(
    open_store: OpenStore, parts: list[str]
) -> None:
    booked(open_store, 8)
    balance = balance_by("account")
    with opened(open_store, balance) as store, Stepper(store) as worker:
        asked = store.backfill("balance").key
        parts.clear()
        while parts.count("backfill.chosen") < 2:
            worker.step()
        assert store.plan("balance").stale == 1 + 3
        assert store.status().backfills[0].kind == "backfill"
    with opened(open_store, balance) as store, Stepper(store) as worker:
        change = store.change(asked)
        assert change.progress.remaining
        worker.run_until_idle()
        change.wait(timeout=0)
        assert shown(store) == {**dict.fromkeys(range(1, 8), (None, None)), 8: (8, "8 left")}
        assert store.plan("balance").stale == 0


def test_it_is_cancelled_with_the_backfill(open_store: OpenStore, parts: list[str]) -> None:
    booked(open_store, 8)
    with opened(open_store, balance_by("account")) as store, Stepper(store) as worker:
        change = store.backfill("balance")
        worker.step()
        change.cancel()
        worker.run_until_idle()
        assert store.plan("balance").stale == 1 + 5
        store.backfill("balance")
        worker.run_until_idle()
        assert store.plan("balance").stale == 0


def test_a_process_that_ends_in_a_part_loses_nothing(open_store: OpenStore, tmp_path: Path) -> None:
    booked(open_store, 4)

    class Ended(BaseException):
        pass

    def end(point: str) -> None:
        if point == "write.applied":
            raise Ended

    with opened(open_store, balance_by("account")) as store, Stepper(store) as worker:
        store.backfill("balance")
        faults.arm(end)
        try:
            with pytest.raises(Ended):
                worker.step()
        finally:
            faults.arm(None)
        assert store.plan("balance").stale == 1 + 3
        worker.run_until_idle()
        assert shown(store)[1] == (None, None)
        assert store.plan("balance").stale == 0
