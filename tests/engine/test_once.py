"""`once=`: what is done outside of the store is done once for a row, whatever changes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import motion
from motion import faults
from tests.conftest import OpenStore, until

ROOT = Path(__file__).parents[2]


@dataclass
class Order:
    id: int
    paid: bool
    amount: int
    receipt: str


SCHEMAS = {"order": Order}


class Shop:
    """The other side: it keeps what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.at_once = self.most_at_once = 0
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.was_asked = threading.Semaphore(0)
        self._lock = threading.Lock()

    def ship(self, id: int) -> None:
        with self._lock:
            self.asked.append(id)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.was_asked.release()
        assert self.may_answer.wait(30)
        with self._lock:
            self.at_once -= 1


@pytest.fixture
def shop() -> Shop:
    return Shop()


def shipping(shop: Shop, **options: Any) -> Any:
    @motion.trigger(on=("order.paid", "order.amount"), version="1", **{"once": True, **options})
    def ship(id: int, paid: bool, amount: int) -> None:
        shop.ship(id)

    return ship


ORDER: dict[str, Any] = {"id": 7, "paid": True, "amount": 10}


@pytest.mark.parametrize("once", [True, "at_most"])
def test_a_row_is_acted_on_once_whatever_changes(
    open_store: OpenStore, shop: Shop, once: Any
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[shipping(shop, once=once)])
    store.set("order", **ORDER).wait()
    store.set("order", id=7, amount=20).wait()
    store.set("order", id=7, amount=20, force=True).wait()
    store.backfill("ship", force=True).wait()
    assert (shop.asked, store.status().tasks, store.errors()) == ([7], {}, [])


def test_it_stays_done_under_other_code_and_after_the_trigger_was_away(
    open_store: OpenStore, shop: Shop
) -> None:
    with open_store(schemas=SCHEMAS, triggers=[shipping(shop)]) as store:
        store.set("order", **ORDER).wait()

    @motion.trigger(on="order.receipt", name="other")
    def other(receipt: str) -> None: ...

    with open_store(schemas=SCHEMAS, triggers=[other]) as store:
        store.set("order", id=7, amount=11).wait()

    @motion.trigger(on="order.amount", name="ship", version="2", once=True)
    def ship(id: int) -> None:
        shop.ship(-id)

    store = open_store(schemas=SCHEMAS, triggers=[ship])
    store.set("order", id=7, amount=12).wait()
    assert shop.asked == [7]
    assert store.plan("ship").stale == store.status().triggers["ship"].stale == 0


def test_a_row_that_is_deleted_and_made_again_is_another_one(
    open_store: OpenStore, shop: Shop
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[shipping(shop)])
    store.set("order", **ORDER).wait()
    store.delete("order", 7).wait()
    store.set("order", **ORDER).wait()
    assert shop.asked == [7, 7]


def test_a_change_during_the_call_does_not_call_again(open_store: OpenStore, shop: Shop) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[shipping(shop)])
    shop.may_answer.clear()
    store.set("order", **ORDER)
    assert shop.was_asked.acquire(timeout=60)
    change = store.set("order", id=7, amount=20)
    shop.may_answer.set()
    change.wait()
    assert (shop.asked, store.status().tasks) == ([7], {})


def test_a_change_during_the_call_does_not_call_beside_it(
    open_store: OpenStore, shop: Shop
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[shipping(shop, concurrency=8)])
    shop.may_answer.clear()
    store.set("order", **ORDER)
    assert shop.was_asked.acquire(timeout=60)
    change = store.set("order", id=7, amount=20)
    until(store, lambda: store.status().tasks["ship"].get("blocked") == 1, timeout_s=60)
    shop.may_answer.set()
    change.wait()
    assert (shop.asked, shop.most_at_once) == ([7], 1)


def test_a_row_made_again_during_the_call_is_called_for_itself(
    open_store: OpenStore, shop: Shop
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[shipping(shop)])
    shop.may_answer.clear()
    store.set("order", **ORDER)
    assert shop.was_asked.acquire(timeout=60)
    store.delete("order", 7)
    change = store.set("order", **ORDER)
    shop.may_answer.set()
    change.wait()
    assert shop.asked == [7, 7]


def test_what_it_wrote_stands_though_what_it_ran_on_has_changed(
    open_store: OpenStore, shop: Shop
) -> None:
    @motion.trigger(on="order.amount", once=True)
    def charge(id: int, amount: int, store: motion.View) -> None:
        shop.ship(id)
        store.set("order", id=id, receipt=f"charged {amount}")

    store = open_store(schemas=SCHEMAS, triggers=[charge])
    shop.may_answer.clear()
    store.set("order", **ORDER)
    assert shop.was_asked.acquire(timeout=60)
    change = store.set("order", id=7, amount=20)
    shop.may_answer.set()
    change.wait()
    row = store.get("order", 7)
    assert row is not None
    assert (row.amount, row.receipt) == (20, "charged 10")


def test_what_fails_is_tried_again_and_then_done(open_store: OpenStore) -> None:
    calls: list[int] = []

    @motion.trigger(on="order.amount", once=True, retries=2)
    def ship(amount: int) -> None:
        calls.append(amount)
        if len(calls) < 2:
            raise RuntimeError("not yet")

    store = open_store(schemas=SCHEMAS, triggers=[ship])
    store.set("order", **ORDER).wait()
    store.set("order", id=7, amount=20).wait()
    assert calls == [10, 10]


def test_a_batch_that_returns_nothing_is_done_for_all_of_its_rows(open_store: OpenStore) -> None:
    calls: list[int] = []

    @motion.trigger(on="order.amount", once=True, batch=8)
    def ship(id: list[int]) -> None:
        calls.extend(id)

    store = open_store(schemas=SCHEMAS, triggers=[ship])
    for amount in (1, 2):
        store.set_many("order", [{"id": i, "amount": amount} for i in range(1, 6)])
        store.wait(timeout=60)
    assert sorted(calls) == [1, 2, 3, 4, 5]
    assert store.errors() == []


def test_of_a_batch_that_fails_in_part_the_others_are_done(open_store: OpenStore) -> None:
    calls: list[list[int]] = []

    @motion.trigger(on="order.amount", once=True, batch=8)
    def ship(id: list[int], amount: list[int]) -> list[Any]:
        calls.append(id)
        return [motion.Failed("no") if each == 3 else None for each in id]

    store = open_store(schemas=SCHEMAS, triggers=[ship])
    store.set_many("order", [{"id": i, "amount": i} for i in range(1, 6)])
    store.wait()
    assert store.retry() == 1
    store.wait()
    assert store.status().done_once == {"ship": 4}
    assert calls[-1] == [3]


def test_where_when_is_false_nothing_is_done_and_it_is_later(
    open_store: OpenStore, shop: Shop
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[shipping(shop, when=lambda row: row.paid)])
    store.set("order", id=7, paid=False, amount=10).wait()
    assert shop.asked == []
    store.set("order", id=7, paid=True).wait()
    assert shop.asked == [7]


# -- at most --


def test_at_most_once_an_error_is_a_dead_letter_that_only_retry_calls_again(
    open_store: OpenStore,
) -> None:
    calls: list[int] = []

    @motion.trigger(on="order.amount", once="at_most")
    def ship(amount: int) -> None:
        calls.append(amount)
        if len(calls) < 2:
            raise RuntimeError("no answer")

    store = open_store(schemas=SCHEMAS, triggers=[ship])
    store.set("order", **ORDER).wait(raise_errors=False)
    assert "no answer" in store.errors()[0].error
    store.set("order", id=7, amount=20).wait(raise_errors=False)
    assert "store.retry" in store.errors()[0].error
    assert calls == [10]
    store.retry()
    store.wait()
    assert (calls, store.errors(), store.status().done_once) == ([10, 20], [], {"ship": 1})


def test_at_most_once_rows_that_were_never_called_are_called_after_a_close(
    open_store: OpenStore, shop: Shop
) -> None:
    with open_store(schemas=SCHEMAS, triggers=[shipping(shop, once="at_most")]) as store:
        store.set_many("order", [{**ORDER, "id": i} for i in range(1, 40)])
        assert shop.was_asked.acquire(timeout=60)
    store = open_store(schemas=SCHEMAS, triggers=[shipping(shop, once="at_most")])
    store.wait()
    assert sorted(shop.asked) == list(range(1, 40))
    assert store.errors() == []


def test_at_most_once_what_the_run_read_may_change_and_it_is_not_called_again(
    open_store: OpenStore, shop: Shop
) -> None:
    @motion.trigger(on="order.paid", once="at_most")
    def ship(id: int, store: motion.View) -> None:
        other = store.get("order", 8)
        shop.ship(id)
        store.set("order", id=id, receipt=f"{other and other.amount}")

    store = open_store(schemas=SCHEMAS, triggers=[ship])
    shop.may_answer.clear()
    store.set("order", **ORDER)
    assert shop.was_asked.acquire(timeout=60)
    store.set("order", id=8, amount=1)
    shop.may_answer.set()
    store.wait()
    assert shop.asked == [7]
    assert ["AlwaysChanged" in letter.error for letter in store.errors()] == [True]


# -- kills --


@motion.trigger(on="order.amount", once=True)
def charge(id: int) -> None:
    act(id)


@motion.trigger(on="order.amount", once="at_most")
def charge_at_most(id: int) -> None:
    act(id)


def act(id: int) -> None:
    with Path(os.environ["SHOP"]).open("a") as shop:
        shop.write(f"{id}\n")


def die_at(folder: str, trigger: str, point: str) -> None:
    """Set a row, and end the process at a point of its run. Runs in a process of its own."""

    def stop(reached: str) -> None:
        if reached == point:
            os._exit(3)

    with motion.create_store(
        "once", schemas=SCHEMAS, triggers=[globals()[trigger]], url=folder
    ) as store:
        faults.arm(stop)
        store.set("order", **ORDER)
        store.wait()


@pytest.fixture
def killed(
    tmp_path: Path, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str], tuple[motion.Store, Path]]:
    """Kill a process at a point of a run, and open its store again."""
    asked, folder = tmp_path / "asked", f"sqlite:///{tmp_path / 'once.motion'}"
    asked.touch()
    monkeypatch.setenv("SHOP", str(asked))

    def kill(trigger: str, point: str) -> tuple[motion.Store, Path]:
        code = f"import tests.engine.test_once as here; here.die_at({folder!r}, {trigger!r}, {point!r})"
        assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 3
        store = open_store("once", schemas=SCHEMAS, triggers=[globals()[trigger]], url=folder)
        store.wait(timeout=60)
        return store, asked

    return kill


@pytest.mark.parametrize(
    ("point", "asked"),
    [("once.begun", 1), ("task.called", 2), ("task.effects", 2), ("write.committed", 1)],
)
def test_killed_before_it_is_noted_it_is_called_again_with_the_same_id(
    killed: Callable[[str, str], tuple[motion.Store, Path]], point: str, asked: int
) -> None:
    store, shop = killed("charge", point)
    store.set("order", id=7, amount=99).wait()
    assert shop.read_text() == "7\n" * asked
    assert store.status().done_once == {"charge": 1}


@pytest.mark.parametrize(("point", "asked"), [("once.begun", 0), ("task.called", 1)])
def test_killed_during_a_call_at_most_once_it_is_a_dead_letter(
    killed: Callable[[str, str], tuple[motion.Store, Path]], point: str, asked: int
) -> None:
    store, shop = killed("charge_at_most", point)
    store.set("order", id=7, amount=99).wait(raise_errors=False)
    assert shop.read_text() == "7\n" * asked
    assert ["CallBegun" in letter.error for letter in store.errors()] == [True]
    assert not store.explain("order", 7, "amount").effects[0].is_done


# -- what is told, and what is refused --


def test_rows_that_are_gone_are_not_counted(open_store: OpenStore, shop: Shop) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[shipping(shop)])
    store.set_many("order", [{**ORDER, "id": i} for i in range(1, 6)]).wait()
    assert store.status().done_once == {"ship": 5}
    store.delete("order", 1)
    store.delete("order", 2)
    assert store.status().done_once == {"ship": 3}
    store.set("order", **{**ORDER, "id": 1}).wait()
    assert store.status().done_once == {"ship": 4}
    store.forget("order", 1)
    assert store.status().done_once == {"ship": 3}
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=[])  # nor while its trigger is away
    store.delete("order", 3)
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=[shipping(shop)])
    assert store.status().done_once == {"ship": 2}


def test_what_was_done_is_told(open_store: OpenStore, shop: Shop) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[shipping(shop)])
    change = store.set("order", **ORDER)
    change.wait()
    assert store.status().done_once == {"ship": 1}
    assert "ship: 1 row(s) are done" in str(store.status())
    told = store.explain("order", 7, "amount")
    effect = told.effects[0]
    assert (effect.trigger, effect.is_done) == ("ship", True)
    assert effect.change is not None
    assert effect.change > change.key
    assert "ship has acted on it once and for all" in str(told)
    assert store.explain("order", 7, "receipt").effects == ()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sets": "order.receipt"}, "sets= does not go with it"),
        ({"once": "at_most", "retries": 1}, "retries= and batch="),
        ({"once": "at_most", "batch": 2}, "retries= and batch="),
        ({"once": "at_least"}, "once= takes True, False or 'at_most'"),
        ({"on_change": "backfill"}, "on_change= has nothing to do"),
    ],
)
def test_what_does_not_go_together_is_refused(
    open_store: OpenStore, options: dict[str, Any], said: str
) -> None:
    def ship(id: Any) -> None: ...

    def declare() -> motion.Store:
        declared = motion.trigger(**{"on": "order.amount", "once": True, **options})(ship)
        return open_store(schemas=SCHEMAS, triggers=[declared])

    with pytest.raises(motion.TriggerError, match=said):
        declare()


def test_on_an_event_it_is_refused(open_store: OpenStore) -> None:
    @motion.trigger(on=motion.deleted("order"), once=True)
    def ship(id: int) -> None: ...

    with pytest.raises(motion.TriggerError, match="comes once"):
        open_store(schemas=SCHEMAS, triggers=[ship])
