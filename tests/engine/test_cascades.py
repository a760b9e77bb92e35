"""Cascades: what a change sets in motion, in which order, how often, and how one waits for it."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pytest

import motion
from motion.testing import Stepper
from tests.conftest import OpenStore


class Source(Enum):
    OFFLINE = 0
    ONLINE = 1


@dataclass
class Item:
    id: int
    source: Source
    a: int
    b: int
    c: int
    d: int
    e: int


def open_items(open_store: OpenStore, *triggers: Any, **options: Any) -> motion.Store:
    return open_store(schemas={"item": Item}, triggers=triggers, **options)


def item(store: motion.Store, id: int = 1) -> Any:
    """Return a row whose keys may be unset, whatever its schema says."""
    return store.get(Item, id)


class Gate:
    """Lets a test hold a run between its start and its end."""

    def __init__(self) -> None:
        self.has_begun, self.may_end = threading.Event(), threading.Event()

    def pass_through(self) -> None:
        self.has_begun.set()
        assert self.may_end.wait(60), "the test never opened the gate"


@motion.trigger(on="item.a", sets="item.b")
def b_of_a(a: int) -> int:
    return a + 1


@motion.trigger(on="item.b", sets="item.c")
def c_of_b(b: int) -> int:
    return b * 10


@motion.trigger(on="item.c", sets="item.d")
def d_of_c(c: int) -> int:
    return c + 5


# -- chains and diamonds --


def test_a_chain_runs_to_its_end(open_store: OpenStore) -> None:
    store = open_items(open_store, b_of_a, c_of_b, d_of_c)
    store.set("item", id=1, a=1).wait()
    assert (item(store).b, item(store).c, item(store).d) == (2, 20, 25)


def test_a_chain_of_tasks_runs_to_its_end(open_store: OpenStore) -> None:
    @motion.trigger(on="item.a", sets="item.b", retries=1)
    def first(a: int) -> int:
        return a + 1

    @motion.trigger(on="item.b", sets="item.c", retries=1)
    def second(b: int) -> int:
        return b * 10

    store = open_items(open_store, first, second)
    store.set("item", id=1, a=1).wait()
    assert (item(store).b, item(store).c) == (2, 20)


def test_a_chain_stops_where_a_value_stays_the_same(open_store: OpenStore) -> None:
    runs: list[int] = []

    @motion.trigger(on="item.a", sets="item.b")
    def sign(a: int) -> int:
        return 1 if a > 0 else -1

    @motion.trigger(on="item.b", sets="item.c")
    def after(b: int) -> int:
        runs.append(b)
        return b

    store = open_items(open_store, sign, after)
    store.set("item", id=1, a=1).wait()
    store.set("item", id=1, a=2).wait()
    assert runs == [1]


@pytest.mark.parametrize("retries", [0, 1], ids=["fused", "as tasks"])
def test_a_diamond_runs_once_on_final_inputs(open_store: OpenStore, retries: int) -> None:
    runs: list[tuple[int, int]] = []

    @motion.trigger(on="item.a", sets="item.b", retries=retries)
    def left(a: int) -> int:
        return a + 1

    @motion.trigger(on="item.a", sets="item.c", retries=retries)
    def right(a: int) -> int:
        return a + 2

    @motion.trigger(on=("item.b", "item.c"), sets="item.d", retries=retries)
    def join(b: int, c: int) -> int:
        runs.append((b, c))
        return b + c

    store = open_items(open_store, left, right, join)
    store.set("item", id=1, a=1).wait()
    store.set("item", id=1, a=10).wait()
    assert runs == [(2, 3), (11, 12)]


@pytest.mark.parametrize("retries", [0, 1], ids=["fused", "as tasks"])
def test_a_lopsided_diamond_runs_once_on_final_inputs(open_store: OpenStore, retries: int) -> None:
    runs: list[tuple[int, int]] = []

    @motion.trigger(on="item.a", sets="item.b", retries=retries)
    def long_1(a: int) -> int:
        return a + 1

    @motion.trigger(on="item.b", sets="item.c", retries=retries)
    def long_2(b: int) -> int:
        return b + 1

    @motion.trigger(on=("item.a", "item.c"), sets="item.d", retries=retries)
    def join(a: int, c: int) -> int:
        runs.append((a, c))
        return a + c

    store = open_items(open_store, join, long_2, long_1)
    store.set("item", id=1, a=1).wait()
    store.set("item", id=1, a=10).wait()
    assert runs == [(1, 3), (10, 12)]


def test_a_run_waits_for_work_that_sets_a_key_it_only_reads(open_store: OpenStore) -> None:
    gate = Gate()

    @motion.trigger(on="item.a", sets="item.c")
    def reader(a: int, b: int) -> int:
        return a * 100 + b

    @motion.trigger(on="item.a", sets="item.b", retries=1)
    def slow(a: int) -> int:
        if a == 2:
            gate.pass_through()
        return a

    store = open_items(open_store, reader, slow)
    store.set("item", id=1, a=1).wait()
    change = store.set("item", id=1, a=2)
    assert gate.has_begun.wait(60)
    assert item(store).c == 101
    gate.may_end.set()
    change.wait()
    assert item(store).c == 202


# -- P5: coalescing --


def test_p5_many_sets_before_a_run_cause_one_run_on_the_last_value(open_store: OpenStore) -> None:
    gate, runs = Gate(), []

    @motion.trigger(on="item.a", sets="item.b")
    def busy(a: int) -> int:
        runs.append(a)
        if a == 0:
            gate.pass_through()
        return a

    store = open_items(open_store, busy)
    store.set("item", id=2, a=0)
    assert gate.has_begun.wait(60)  # the trigger is busy with another row
    changes = [store.set("item", id=1, a=i) for i in range(1, 21)]
    gate.may_end.set()
    for change in changes:
        change.wait()
    assert (runs, item(store).b) == ([0, 20], 20)


def test_p5_many_sets_of_a_key_leave_one_task_in_the_queue(open_store: OpenStore) -> None:
    store = open_items(open_store, b_of_a, run=False)
    for i in range(10):
        store.set("item", id=1, a=i)
    assert store.status().tasks == {"b_of_a": {"ready": 1}}


def test_p5_setting_the_value_that_is_there_runs_nothing(open_store: OpenStore) -> None:
    runs: list[int] = []

    @motion.trigger(on="item.a", sets="item.b")
    def count(a: int) -> int:
        runs.append(a)
        return a

    store = open_items(open_store, count)
    store.set("item", id=1, a=1).wait()
    store.set("item", id=1, a=1).wait()
    store.set_many("item", [{"id": 1, "a": 1}]).wait()
    assert runs == [1]


def test_force_runs_although_the_value_is_there(open_store: OpenStore) -> None:
    runs: list[int] = []

    @motion.trigger(on="item.a", sets="item.b")
    def count(a: int) -> int:
        runs.append(a)
        return a

    store = open_items(open_store, count)
    store.set("item", id=1, a=1).wait()
    store.set("item", id=1, a=1, force=True).wait()
    assert runs == [1, 1]


# -- P3: no stale overwrite --


def test_p3_a_result_for_an_old_value_is_dropped(open_store: OpenStore) -> None:
    @motion.trigger(on="item.a", sets="item.b", inline=False)
    def slow(a: int) -> int:
        if a == 1:  # while the call lasts, somebody else sets what it was called with
            others = threading.Thread(target=store.set, args=("item",), kwargs={"id": 1, "a": 2})
            others.start()
            others.join()
        return a * 10

    store = open_items(open_store, slow, run=False)
    store.set("item", id=1, a=1)
    with Stepper(store) as worker:
        worker.step()
        assert item(store).b is None
        worker.run_until_idle()
    assert item(store).b == 20


def test_p3_a_newer_result_is_not_overwritten_by_an_older_run_that_ends_later(
    open_store: OpenStore,
) -> None:
    gate = Gate()

    @motion.trigger(on="item.a", sets="item.b", concurrency=2)
    def slow(a: int) -> int:
        if a == 1:
            gate.pass_through()
        return a * 10

    store = open_items(open_store, slow)
    old = store.set("item", id=1, a=1)
    assert gate.has_begun.wait(60)
    store.set("item", id=1, a=2).wait("b")
    gate.may_end.set()
    old.wait()
    assert item(store).b == 20


def test_p3_the_free_writes_of_a_stale_run_are_dropped(open_store: OpenStore) -> None:
    gate = Gate()

    @motion.trigger(on="item.a")
    def journal(a: int, store: motion.View) -> None:
        if a == 1:
            gate.pass_through()
        store.set("item", id=100 + a, c=a)

    store = open_items(open_store, journal)
    store.set("item", id=1, a=1)
    assert gate.has_begun.wait(60)
    store.set("item", id=1, a=2)
    gate.may_end.set()
    store.wait(timeout=60)
    assert [row.id for row in store.rows("item")] == [1, 102]


def test_p3_one_stale_row_does_not_hold_up_the_others_of_its_run(open_store: OpenStore) -> None:
    gate, calls = Gate(), []

    @motion.trigger(on="item.a", sets="item.b", batch=10)
    def slow(a: list[int]) -> list[int]:
        calls.append(list(a))
        if len(a) == 3:
            gate.pass_through()
        return [each * 10 for each in a]

    store = open_items(open_store, slow)
    store.set_many("item", [{"id": i, "a": i} for i in (1, 2, 3)])
    assert gate.has_begun.wait(60)
    store.set("item", id=2, a=20)
    gate.may_end.set()
    store.wait(timeout=60)
    assert [row.b for row in store.rows("item")] == [10, 200, 30]
    assert calls == [[1, 2, 3], [20]]


def test_p3_a_batch_with_a_stale_row_makes_none_of_its_free_writes_twice(
    open_store: OpenStore,
) -> None:
    gate = Gate()

    @motion.trigger(on="item.a", batch=10)
    def journal(a: list[int], store: motion.View) -> list[None]:
        if len(a) == 3:
            gate.pass_through()
        for each in a:
            store.set("item", c=each)
        return [None] * len(a)

    store = open_items(open_store, journal)
    store.set_many("item", [{"id": i, "a": i} for i in (1, 2, 3)])
    assert gate.has_begun.wait(60)
    store.set("item", id=1, a=20)
    gate.may_end.set()
    store.wait(timeout=60)
    assert sorted(row.c for row in store.rows("item", where="c IS NOT NULL")) == [2, 3, 20]


def test_p3_a_result_for_a_deleted_row_is_dropped(open_store: OpenStore) -> None:
    gate = Gate()

    @motion.trigger(on="item.a", sets="item.b")
    def slow(a: int) -> int:
        gate.pass_through()
        return a

    store = open_items(open_store, slow)
    store.set("item", id=1, a=1)
    assert gate.has_begun.wait(60)
    store.delete("item", 1)
    gate.may_end.set()
    store.wait(timeout=60)
    assert store.get("item", 1) is None


# -- a user's value for a derived key --


def test_a_users_value_beats_a_run_that_is_under_way(open_store: OpenStore) -> None:
    gate = Gate()

    @motion.trigger(on="item.a", sets="item.b")
    def slow(a: int) -> int:
        gate.pass_through()
        return a

    store = open_items(open_store, slow)
    change = store.set("item", id=1, a=1)
    assert gate.has_begun.wait(60)
    store.set("item", id=1, b=77)
    gate.may_end.set()
    change.wait()
    assert item(store).b == 77


def test_a_users_value_fires_what_comes_after(open_store: OpenStore) -> None:
    store = open_items(open_store, b_of_a, c_of_b)
    store.set("item", id=1, a=1).wait()
    store.set("item", id=1, b=77).wait()
    assert item(store).c == 770


def test_a_users_value_stays_until_an_on_key_changes(open_store: OpenStore) -> None:
    store = open_items(open_store, b_of_a)
    store.set("item", id=1, a=1).wait()
    store.set("item", id=1, b=77).wait()
    store.set("item", id=1, a=1, c=5).wait()
    stayed = item(store).b
    store.set("item", id=1, a=2).wait()
    assert (stayed, item(store).b) == (77, 3)


def test_a_users_value_equal_to_the_derived_one_beats_a_run_too(open_store: OpenStore) -> None:
    gate = Gate()

    @motion.trigger(on="item.a", sets="item.b")
    def slow(a: int) -> int:
        if a == 2:
            gate.pass_through()
        return a

    store = open_items(open_store, slow)
    store.set("item", id=1, a=1).wait()
    change = store.set("item", id=1, a=2)
    assert gate.has_begun.wait(60)
    store.set("item", id=1, b=1)
    gate.may_end.set()
    change.wait()
    assert item(store).b == 1


def test_a_users_value_given_with_the_on_key_replaces_the_run(open_store: OpenStore) -> None:
    runs: list[int] = []

    @motion.trigger(on="item.a", sets="item.b")
    def count(a: int) -> int:
        runs.append(a)
        return a

    store = open_items(open_store, count, c_of_b)
    store.set("item", id=1, a=1, b=50).wait()
    store.set_many("item", [{"id": 2, "a": 2, "b": 60}]).wait()
    assert (runs, item(store, 1).c, item(store, 2).c) == ([], 500, 600)


def test_a_users_page_value_beats_a_fan_out_that_is_under_way(open_store: OpenStore) -> None:
    @dataclass
    class Paged:
        id: int
        text: str
        word: str
        word_page: int

    gate = Gate()

    @motion.trigger(on="paged.text", sets="paged.word", page="word_page")
    def words(text: str) -> list[str]:
        gate.pass_through()
        return text.split()

    store = open_store(schemas={"paged": Paged}, triggers=[words])
    change = store.set("paged", id=1, text="a b")
    assert gate.has_begun.wait(60)
    store.set("paged", id=1, word_page=0, word="mine")
    gate.may_end.set()
    change.wait()
    assert [row.word for row in store.rows("paged")] == ["mine"]


# -- unset, missing, dead --


@pytest.mark.parametrize("retries", [0, 1], ids=["fused", "as tasks"])
def test_unset_propagates_through_a_chain(open_store: OpenStore, retries: int) -> None:
    @motion.trigger(on="item.b", sets="item.c", retries=retries)
    def middle(b: int) -> int:
        return b

    store = open_items(open_store, b_of_a, middle, d_of_c)
    store.set("item", id=1, a=1).wait()
    store.set("item", id=1, a=None).wait()
    assert (item(store).b, item(store).c, item(store).d) == (None, None, None)


def test_a_run_that_waited_for_a_parameter_uses_the_newest_on_value(open_store: OpenStore) -> None:
    @motion.trigger(on="item.a", sets="item.b")
    def add(a: int, c: int) -> int:
        return a + c

    store = open_items(open_store, add)
    store.set("item", id=1, a=1).wait()
    store.set("item", id=1, a=2).wait()
    store.set("item", id=1, c=10).wait()
    assert item(store).b == 12


def test_a_derived_parameter_that_arrives_wakes_who_waits_for_it(open_store: OpenStore) -> None:
    @motion.trigger(on="item.a", sets="item.c")
    def add(a: int, b: int) -> int:
        return a + b

    @motion.trigger(on="item.e", sets="item.b")
    def late(e: int) -> int:
        return e

    store = open_items(open_store, add, late)
    store.set("item", id=1, a=1).wait()
    store.set("item", id=1, e=5).wait()
    assert item(store).c == 6


@pytest.mark.parametrize("retries", [0, 1], ids=["fused", "as tasks"])
def test_behind_a_dead_letter_nothing_runs_and_old_values_stay(
    open_store: OpenStore, retries: int
) -> None:
    runs: list[tuple[int, int]] = []

    @motion.trigger(on="item.a", sets="item.b", retries=retries)
    def fails(a: int) -> int:
        if a == 2:
            raise RuntimeError("no")
        return a

    @motion.trigger(on=("item.a", "item.b"), sets="item.c", retries=retries)
    def join(a: int, b: int) -> int:
        runs.append((a, b))
        return a + b

    store = open_items(open_store, fails, join)
    store.set("item", id=1, a=1).wait()
    store.set("item", id=1, a=2).wait(raise_errors=False)
    assert (runs, item(store).c) == ([(1, 1)], 2)


def test_behind_a_dead_letter_further_up_nothing_runs_either(open_store: OpenStore) -> None:
    @motion.trigger(on="item.a", sets="item.b")
    def fails(a: int) -> int:
        if a == 2:
            raise RuntimeError("no")
        return a

    @motion.trigger(on=("item.a", "item.c"), sets="item.d")
    def join(a: int, c: int) -> int:
        return a + c

    store = open_items(open_store, fails, c_of_b, join)
    store.set("item", id=1, a=1).wait()
    store.set("item", id=1, a=2).wait(raise_errors=False)
    assert item(store).d == 11


def test_p4_after_a_retry_what_was_held_back_runs_though_the_value_is_as_before(
    open_store: OpenStore,
) -> None:
    is_mended = threading.Event()

    @motion.trigger(on="item.a", sets="item.b")
    def fails(a: int) -> int:
        if a == 2 and not is_mended.is_set():
            raise RuntimeError("no")
        return 7

    @motion.trigger(on=("item.a", "item.b"), sets="item.c")
    def join(a: int, b: int) -> int:
        return a * 100 + b

    store = open_items(open_store, fails, join)
    store.set("item", id=1, a=1).wait()
    store.set("item", id=1, a=2).wait(raise_errors=False)
    is_mended.set()
    store.retry()
    store.wait(timeout=60)
    assert item(store).c == 207


@pytest.mark.parametrize("trigger", [None, "halves"])
def test_a_retry_takes_all_that_was_given_up_a_part_at_a_time(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch, trigger: str | None
) -> None:
    monkeypatch.setattr("motion.store.backfill.RETRIED_AT_ONCE", 2)
    is_mended = threading.Event()

    @motion.trigger(on="item.a", sets="item.b")
    def halves(a: int) -> int:
        if a % 2 or not is_mended.is_set():  # odd numbers fail again
            raise RuntimeError("no")
        return a // 2

    @motion.trigger(on="item.a", sets="item.c")
    def fails(a: int) -> int:
        raise RuntimeError("never")

    store = open_items(open_store, halves, fails)
    store.set_many("item", [{"id": i, "a": i} for i in range(1, 8)])
    store.wait(timeout=60)
    is_mended.set()
    count = store.retry(trigger)
    store.wait(timeout=60)
    assert count == (14 if trigger is None else 7)
    assert (len(store.errors("halves")), len(store.errors("fails"))) == (4, 7)
    assert [row.b for row in store.rows("item")] == [None, 1, None, 2, None, 3, None]
    with pytest.raises(motion.TriggerError, match="Did you mean 'halves'"):
        store.retry("halfs")


# -- priority --


def test_priority_by_a_key_runs_online_before_offline(open_store: OpenStore) -> None:
    runs: list[int] = []

    @motion.trigger(on="item.a", sets="item.b", priority="source", batch=1, concurrency=1)
    def ordered(a: list[int]) -> list[int]:
        runs.extend(a)
        return a

    store = open_items(open_store, ordered, run=False)
    for i in range(1, 5):
        store.set("item", id=i, a=i, source=Source.OFFLINE)
    for i in range(5, 9):
        store.set("item", id=i, a=i, source=Source.ONLINE)
    store.close()
    store = open_items(open_store, ordered)
    store.wait(timeout=60)
    assert runs == [5, 6, 7, 8, 1, 2, 3, 4]


def test_what_follows_inherits_the_priority(open_store: OpenStore) -> None:
    gate = Gate()

    @motion.trigger(on="item.a", sets="item.b", priority="source", retries=1)
    def first(a: int) -> int:
        return a

    @motion.trigger(on="item.b", sets="item.c", retries=1, batch=1, concurrency=1)
    def second(b: list[int]) -> list[int]:
        gate.pass_through()
        return b

    store = open_items(open_store, first, second)
    store.set("item", id=100, a=0, source=Source.ONLINE)
    assert gate.has_begun.wait(60)
    for i, source in ((1, Source.OFFLINE), (2, Source.ONLINE)):
        store.set("item", id=i, a=i, source=source).wait("b")
    left = store.sql("select low, priority from motion_tasks where trigger = 'second' order by low")
    gate.may_end.set()
    store.wait(timeout=60)
    priorities = dict(zip(left["low"].to_pylist(), left["priority"].to_pylist(), strict=True))
    assert priorities == {1: Source.OFFLINE.value, 2: Source.ONLINE.value, 100: Source.ONLINE.value}


def test_a_larger_number_goes_first(open_store: OpenStore) -> None:
    runs: list[str] = []

    @motion.trigger(on="item.a", sets="item.b", priority=1, batch=1)
    def low(a: list[int]) -> list[int]:
        runs.append("low")
        return a

    @motion.trigger(on="item.a", sets="item.c", priority=2, batch=1)
    def high(a: list[int]) -> list[int]:
        runs.append("high")
        return a

    store = open_items(open_store, low, high, run=False)
    store.set("item", id=1, a=1)
    with Stepper(store) as worker:  # two threads might begin what they claimed in another order
        worker.run_until_idle()
    assert runs == ["high", "low"]


# -- waiting for a change --


def test_wait_for_a_key_returns_while_later_work_goes_on(open_store: OpenStore) -> None:
    gate = Gate()

    @motion.trigger(on="item.b", sets="item.c", retries=1)
    def slow(b: int) -> int:
        gate.pass_through()
        return b

    store = open_items(open_store, b_of_a, slow)
    change = store.set("item", id=1, a=1).wait("b")
    assert (item(store).b, item(store).c) == (2, None)
    gate.may_end.set()
    change.wait()
    assert item(store).c == 2


def test_wait_raises_a_timeout_and_the_work_goes_on(open_store: OpenStore) -> None:
    gate = Gate()

    @motion.trigger(on="item.a", sets="item.b")
    def slow(a: int) -> int:
        gate.pass_through()
        return a

    store = open_items(open_store, slow)
    change = store.set("item", id=1, a=1)
    with pytest.raises(motion.WaitTimeout, match="1 "):
        change.wait(timeout=0.01)
    gate.may_end.set()
    change.wait()
    assert item(store).b == 1


def test_a_superseded_change_waits_for_the_newer_work(open_store: OpenStore) -> None:
    gate = Gate()

    @motion.trigger(on="item.a", sets="item.b")
    def slow(a: int) -> int:
        if a == 1:
            gate.pass_through()
        return a

    store = open_items(open_store, slow)
    old = store.set("item", id=1, a=1)
    assert gate.has_begun.wait(60)
    store.set("item", id=1, a=2)
    gate.may_end.set()
    old.wait()
    assert item(store).b == 2


def test_a_change_can_be_awaited(open_store: OpenStore) -> None:
    store = open_items(open_store, b_of_a)

    async def main() -> motion.Change:
        return await store.set("item", id=1, a=1)

    assert asyncio.run(main()).rows()[0].b == 2


def test_a_change_is_found_again_by_its_key(open_store: OpenStore) -> None:
    gate = Gate()

    @motion.trigger(on="item.a", sets="item.b")
    def slow(a: int) -> int:
        gate.pass_through()
        return a

    store = open_items(open_store, slow)
    again = store.change(store.set("item", id=1, a=1).key)
    assert gate.has_begun.wait(60)
    assert again.progress.remaining == 1
    gate.may_end.set()
    again.wait()
    assert item(store).b == 1


def test_stream_gives_each_row_once_when_its_key_is_set(open_store: OpenStore) -> None:
    store = open_items(open_store, b_of_a)
    change = store.set_many("item", [{"id": i, "a": i} for i in range(1, 6)])
    assert sorted((row.id, row.b) for row in change.stream("b")) == [
        (i, i + 1) for i in range(1, 6)
    ]


def test_stream_ends_when_a_row_never_gets_its_key(open_store: OpenStore) -> None:
    @motion.trigger(on="item.a", sets="item.b", when=lambda row: row.a > 1)
    def declines(a: int) -> int:
        return a

    store = open_items(open_store, declines)
    assert list(store.set("item", id=1, a=1).stream("b")) == []


def test_errors_and_progress_are_of_the_change(open_store: OpenStore) -> None:
    @motion.trigger(on="item.a", sets="item.b")
    def fails(a: int) -> int:
        if a == 1:
            raise RuntimeError("no")
        return a

    store = open_items(open_store, fails)
    bad = store.set("item", id=1, a=1).wait(raise_errors=False)
    good = store.set("item", id=2, a=2).wait()
    assert (len(bad.errors), bad.progress.failed, good.errors) == (1, 1, [])


def test_wait_raises_a_dead_letter_from_deep_in_the_cascade(open_store: OpenStore) -> None:
    @motion.trigger(on="item.c", sets="item.d")
    def fails(c: int) -> int:
        raise RuntimeError("deep")

    store = open_items(open_store, b_of_a, c_of_b, fails)
    with pytest.raises(motion.TaskFailed, match="deep"):
        store.set("item", id=1, a=1).wait()


def test_rows_are_those_of_the_change(open_store: OpenStore) -> None:
    store = open_items(open_store, b_of_a)
    store.set("item", id=9, a=9).wait()
    change = store.set_many("item", [{"id": 1, "a": 1}, {"id": 2, "a": 2}]).wait()
    assert [(row.id, row.b) for row in change.rows()] == [(1, 2), (2, 3)]


def test_cancel_drops_work_that_has_not_begun(open_store: OpenStore) -> None:
    store = open_items(open_store, b_of_a, run=False)
    change = store.set("item", id=1, a=1)
    change.cancel()
    assert (change.progress.remaining, store.status().tasks) == (0, {})


# -- transactions --


def test_p1_a_transaction_is_one_change_with_all_that_it_causes(open_store: OpenStore) -> None:
    runs: list[tuple[int, int]] = []

    @motion.trigger(on=("item.a", "item.e"), sets="item.b")
    def add(a: int, e: int) -> int:
        runs.append((a, e))
        return a + e

    store = open_items(open_store, add)
    with store.transaction() as tx:
        tx.set("item", id=1, a=1)
        tx.set("item", id=1, e=2)
    store.wait(timeout=60)
    assert (runs, item(store).b) == ([(1, 2)], 3)


def write_two(store: motion.Store) -> None:
    """Write two items in one transaction, the second of them badly."""
    with store.transaction() as tx:
        tx.set("item", id=1, a=1)
        tx.set("item", id=2, a="two")


def test_p1_a_transaction_that_raises_writes_and_causes_nothing(open_store: OpenStore) -> None:
    store = open_items(open_store, b_of_a)
    with pytest.raises(motion.InvalidValue):
        write_two(store)
    store.wait(timeout=60)
    assert (store.rows("item"), store.status().tasks) == ([], {})


def test_p1_tasks_are_durable_with_the_write(open_store: OpenStore) -> None:
    store = open_items(open_store, b_of_a, run=False)
    store.set("item", id=1, a=1)
    store.close()
    store = open_items(open_store, b_of_a)
    store.wait(timeout=60)
    assert item(store).b == 2


def test_work_left_at_close_goes_on_at_the_next_start(open_store: OpenStore) -> None:
    store = open_items(open_store, b_of_a, c_of_b, run=False)
    store.set_many("item", [{"id": i, "a": i} for i in range(1, 101)])
    store.close()
    store = open_items(open_store, b_of_a, c_of_b)
    store.wait(timeout=60)
    assert [row.c for row in store.rows("item")] == [(i + 1) * 10 for i in range(1, 101)]


def test_p4_a_free_write_is_no_part_of_what_was_derived_beside_it(open_store: OpenStore) -> None:
    @motion.trigger(on="item.a", sets="item.b")
    def b_and_d(a: int, id: int, store: motion.View) -> int:
        store.set("item", id=id, d=100 * a)
        return a + 1

    @motion.trigger(on=("item.b", "item.d"), sets="item.c")
    def c(b: int, d: int) -> int:
        return b + d

    store = open_items(open_store, b_and_d, c)
    store.set("item", id=1, a=1, d=0)
    store.wait(timeout=60)
    assert item(store).c == 102


def test_p4_what_a_dead_letter_held_back_runs_when_newer_work_ends_it(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on="item.a", sets="item.b")
    def always_seven(a: int) -> int:
        if a == 2:
            raise ValueError("not this one")
        return 7

    @motion.trigger(on="item.d", sets="item.e")
    def e(d: int, b: int) -> int:
        return b + d

    store = open_items(open_store, always_seven, e)
    steps: list[dict[str, Any]] = [{"a": 1, "d": 0}, {"a": 2}, {"d": 1}, {"a": 3}]
    for values in steps:
        store.set("item", id=1, **values)
        store.wait(timeout=60)
    assert item(store).e == 8


def test_a_deleted_row_takes_its_dead_letters_along(open_store: OpenStore) -> None:
    @motion.trigger(on="item.a", sets="item.b", inline=True)
    def tenth(a: int) -> int:
        return 10 // a

    @motion.trigger(on="item.b", sets="item.c", inline=False)
    def c(b: int) -> int:
        return b + 1

    store = open_items(open_store, tenth, c)
    store.set("item", id=1, a=0)
    store.wait(timeout=60)
    store.delete("item", 1)
    assert store.errors() == []
    store.set("item", id=1, a=2)
    store.wait(timeout=60)
    assert item(store).c == 6


def test_work_blocked_behind_a_trigger_that_vanishes_goes_on(open_store: OpenStore) -> None:
    gate = Gate()

    @motion.trigger(on="item.a", sets="item.b", inline=False, concurrency=1)
    def b(a: int) -> int:
        if a == 0:
            gate.pass_through()
        return a

    @motion.trigger(on="item.d", sets="item.e", inline=False)
    def e(d: int, b: int) -> int:
        return b + d

    store = open_items(open_store, b, e)
    store.set("item", id=2, b=5)
    store.set("item", id=1, a=0)
    assert gate.has_begun.wait(60)
    store.set("item", id=2, a=1, d=1)
    while store.status().tasks.get("e") != {"blocked": 1}:
        pass
    open_items(open_store, e)
    gate.may_end.set()
    store.wait(timeout=60)
    assert item(store, 2).e == 6


def test_the_change_of_a_delete_that_causes_no_work_is_done_at_once(open_store: OpenStore) -> None:
    store = open_items(open_store, b_of_a)
    store.set("item", id=1, a=1).wait()
    store.delete("item", 1).wait(timeout=0)
