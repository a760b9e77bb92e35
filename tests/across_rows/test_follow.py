"""P14 of what runs read by hand: with `follow=True` a change of it makes their rows due again."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pytest

import motion
from motion import faults
from motion.persistence.changes import cascade, followers
from motion.persistence.recompute import backfills
from motion.testing import Stepper
from tests.conftest import OpenStore, until


@dataclass
class Product:
    id: int
    url: str
    price: float
    title: str


@dataclass
class Query:
    id: int
    text: str
    img_id: int
    link: str
    note: str


@dataclass
class Node:
    id: int
    before: int
    seed: int
    value: int


@dataclass
class Total:
    id: str
    n: int


SCHEMAS = {"query": Query, "product": Product, "node": Node, "total": Total}


def product(store: motion.View, id: int) -> Any:
    return store.get("product", id)


class Calls(Counter[int]):
    """How often a function was called for which row."""

    def take(self) -> dict[int, int]:
        found = dict(self)
        self.clear()
        return found


@pytest.fixture
def calls() -> Calls:
    return Calls()


def recommending(calls: Calls, **options: Any) -> Any:
    @motion.trigger(on="query.img_id", sets="query.link", follow=True, **options)
    def recommend(id: int, img_id: int, store: motion.View) -> str:
        calls[id] += 1
        found = store.get(Product, img_id, keys=("url",))
        return f"see {found.url}" if found else "nowhere"

    return recommend


@pytest.fixture
def shop(open_store: OpenStore, calls: Calls) -> motion.Store:
    return open_store(schemas=SCHEMAS, triggers=[recommending(calls)])


def settled(store: motion.Store) -> motion.Store:
    store.wait(timeout=60)
    assert not store.errors()
    return store


def link(store: motion.Store, row: int = 1) -> str | None:
    found = settled(store).get(Query, row)
    return found.link if found else None


def note(store: motion.Store, row: int = 1) -> str | None:
    found = settled(store).get(Query, row)
    return found.note if found else None


# -- what changes --


def test_a_change_of_what_was_read_is_followed(shop: motion.Store, calls: Calls) -> None:
    shop.set("product", id=7, url="a")
    shop.set("query", id=1, img_id=7)
    assert link(shop) == "see a"
    shop.set("product", id=7, url="b")
    assert link(shop) == "see b"
    assert calls == {1: 2}


def test_without_follow_a_read_is_as_of_its_moment(open_store: OpenStore) -> None:
    @motion.trigger(on="query.img_id", sets="query.link")
    def recommend(img_id: int, store: motion.View) -> str:
        return str(product(store, img_id).url)

    store = open_store(schemas=SCHEMAS, triggers=[recommend])
    store.set("product", id=7, url="a")
    store.set("query", id=1, img_id=7)
    assert link(store) == "a"
    store.set("product", id=7, url="b")
    assert link(store) == "a"


def test_keys_that_were_not_read_are_not_followed(shop: motion.Store, calls: Calls) -> None:
    shop.set("product", id=7, url="a")
    shop.set("query", id=1, img_id=7)
    assert link(shop) == "see a"
    shop.set("product", id=7, price=3.0, title="coat")
    shop.set("product", id=7, url="a")  # what is there already
    shop.set("product", id=8, url="x")
    assert link(shop) == "see a"
    assert calls == {1: 1}


def test_a_row_that_was_read_whole_is_followed_by_each_of_its_keys(
    open_store: OpenStore, calls: Calls
) -> None:
    @motion.trigger(on="query.img_id", sets="query.link", follow=True)
    def describe(id: int, img_id: int, store: motion.View) -> str:
        calls[id] += 1
        found = product(store, img_id)
        return f"{found.url} {found.title}"

    store = open_store(schemas=SCHEMAS, triggers=[describe])
    store.set("product", id=7, url="a", title="x")
    store.set("query", id=1, img_id=7)
    assert link(store) == "a x"
    store.set("product", id=7, title="y")
    assert link(store) == "a y"
    store.set("product", id=7, url="b", title="z")
    assert link(store) == "b z"
    assert calls == {1: 3}


def test_a_row_that_was_not_there_is_followed_when_it_comes_and_when_it_goes(
    shop: motion.Store, calls: Calls
) -> None:
    shop.set("query", id=1, img_id=7)
    assert link(shop) == "nowhere"
    shop.set("product", id=7, price=1.0)  # not the key that was asked for, but the row is there
    assert link(shop) == "see None"
    shop.delete("product", 7)
    assert link(shop) == "nowhere"
    shop.set_many("product", [{"id": i, "url": "a"} for i in range(1, 20)])
    assert link(shop) == "see a"
    assert calls == {1: 4}


def test_only_whether_there_is_a_row_may_be_followed(open_store: OpenStore, calls: Calls) -> None:
    @motion.trigger(on="query.img_id", sets="query.link", follow=True)
    def is_there(id: int, img_id: int, store: motion.View) -> str:
        calls[id] += 1
        return str(store.get(Product, img_id, keys=()) is not None)

    store = open_store(schemas=SCHEMAS, triggers=[is_there])
    store.set("query", id=1, img_id=7)
    assert link(store) == "False"
    store.set("product", id=7, url="a")
    assert link(store) == "True"
    store.set("product", id=7, url="b")
    assert link(store) == "True"
    assert calls == {1: 2}


def test_what_other_triggers_set_is_followed(open_store: OpenStore) -> None:
    @motion.trigger(on="product.price", sets="product.title")
    def name(price: float) -> str:
        return f"for {price:.0f}"

    @motion.trigger(on="query.img_id", sets="query.link", follow=True)
    def tell(img_id: int, store: motion.View) -> str:
        return str(product(store, img_id).title)

    store = open_store(schemas=SCHEMAS, triggers=[name, tell])
    store.set("product", id=7, price=1.0)
    store.set("query", id=1, img_id=7)
    store.set("product", id=7, price=2.0)
    assert link(store) == "for 2"


def test_what_is_read_next_takes_the_place_of_what_was_read(
    shop: motion.Store, calls: Calls
) -> None:
    shop.set_many("product", [{"id": 7, "url": "a"}, {"id": 8, "url": "b"}])
    shop.set("query", id=1, img_id=7)
    assert link(shop) == "see a"
    shop.set("query", id=1, img_id=8)
    assert link(shop) == "see b"
    calls.take()
    shop.set("product", id=7, url="c")
    assert link(shop) == "see b"
    assert not calls
    shop.set("product", id=8, url="d")
    assert link(shop) == "see d"


def test_a_row_whose_output_is_unset_follows_nothing(shop: motion.Store, calls: Calls) -> None:
    shop.set("product", id=7, url="a")
    shop.set("query", id=1, img_id=7)
    assert link(shop) == "see a"
    shop.set("query", id=1, img_id=None)
    assert link(shop) is None
    calls.take()
    shop.set("product", id=7, url="b")
    settled(shop)
    assert not calls


def test_rows_by_their_id_are_followed_and_rows_by_a_condition_are_not(
    open_store: OpenStore, calls: Calls
) -> None:
    @motion.trigger(on="query.img_id", sets=("query.link", "query.note"), follow=True)
    def tell(id: int, img_id: int, store: motion.View) -> tuple[str, str]:
        calls[id] += 1
        by_id = [row.url for row in store.rows(Product, id=img_id, keys=("url",), limit=5)]
        others = [row.url for row in store.rows(Product, where={"title": "x"}, keys=("url",))]
        return "".join(by_id), "".join(others)

    store = open_store(schemas=SCHEMAS, triggers=[tell])
    store.set("product", id=7, url="a")
    store.set("product", id=8, url="b", title="x")
    store.set("query", id=1, img_id=7)
    assert link(store) == "a"
    store.set("product", id=8, url="c")
    store.set("product", id=9, url="d", title="x")
    assert note(store, 1) == "b"
    store.set("product", id=7, url="e")
    assert link(store) == "e"
    assert note(store, 1) == "cd"
    assert calls == {1: 2}


# -- users' values, and who waits --


def test_a_users_value_is_not_ended_by_what_was_read(shop: motion.Store, calls: Calls) -> None:
    shop.set("product", id=7, url="a")
    shop.set("query", id=1, img_id=7)
    assert link(shop) == "see a"
    shop.set("query", id=1, link="mine")
    calls.take()
    shop.set("product", id=7, url="b")
    assert link(shop) == "mine"
    assert not calls
    shop.set("query", id=1, img_id=8)
    assert link(shop) == "nowhere"


def test_who_changes_it_waits_for_the_rows_that_have_read_it(shop: motion.Store) -> None:
    shop.set("product", id=7, url="a")
    shop.set_many("query", [{"id": i, "img_id": 7} for i in range(1, 21)]).wait(timeout=60)
    shop.set("product", id=7, url="b").wait(timeout=60)
    assert {row.link for row in shop.rows(Query)} == {"see b"}


def test_more_rows_than_one_write_makes_due_are_swept(shop: motion.Store, calls: Calls) -> None:
    shop.set_many("product", [{"id": 7, "url": "a"}, {"id": 8, "url": "x"}])
    rows = [{"id": i, "img_id": 8 if i % 5 == 0 else 7} for i in range(1, 1501)]
    shop.set_many("query", rows).wait(timeout=60)
    calls.take()
    shop.set("product", id=7, title="t").wait(timeout=60)
    assert not calls
    for url in ("b", "c"):
        shop.set("product", id=7, url=url)
    shop.set("product", id=7, url="d").wait(timeout=60)
    assert {row.link for row in shop.rows(Query, where={"img_id": 7})} == {"see d"}
    assert {row.link for row in shop.rows(Query, where={"img_id": 8})} == {"see x"}
    assert all(id % 5 for id in calls)
    with shop.transaction() as tx:
        tx.set("product", id=8, url="y")
        tx.delete("product", 7)
    settled(shop)
    assert {row.link for row in shop.rows(Query, where={"img_id": 7})} == {"nowhere"}
    assert {row.link for row in shop.rows(Query, where={"img_id": 8})} == {"see y"}


def test_a_change_while_a_sweep_takes_its_last_part_has_all_rows_made_again(
    shop: motion.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followers, "AT_ONCE", 10)
    monkeypatch.setattr(backfills, "ROWS_AT_ONCE", 20)
    changes: list[motion.Change] = []

    def change_it_again(point: str) -> None:
        if point == "backfill.chosen" and not changes:
            sweep = shop.sql("select next from motion_backfills where kind = 'sweep'")
            if sweep["next"][0].as_py() >= 40:
                changes.append(shop.set("product", id=7, url="c"))

    shop.set("product", id=7, url="a")
    shop.set_many("query", [{"id": i, "img_id": 7} for i in range(50)])
    settled(shop)
    faults.arm(change_it_again)
    try:
        shop.set("product", id=7, url="b").wait(timeout=60)
        until(shop, lambda: bool(changes))
        changes[0].wait(timeout=60)
    finally:
        faults.arm(None)
    assert {row.link for row in shop.rows(Query)} == {"see c"}


# -- between the read and the commit --


class Held:
    """Lets a test come between a function's read and its end, the first time."""

    def __init__(self) -> None:
        self.has_read, self.may_go = threading.Event(), threading.Event()

    def hold(self) -> None:
        if not self.has_read.is_set():
            self.has_read.set()
            assert self.may_go.wait(60)


@pytest.mark.parametrize("options", [{}, {"isolated": False}, {"isolated": True}])
def test_a_result_of_what_has_changed_meanwhile_is_dropped(
    open_store: OpenStore, options: dict[str, Any]
) -> None:
    held, given = Held(), []

    @motion.trigger(on="query.img_id", sets="query.link", follow=True, **options)
    def recommend(img_id: int, store: motion.View) -> str:
        found = product(store, img_id)
        held.hold()
        given.append(found.url)
        return str(found.url)

    store = open_store(schemas=SCHEMAS, triggers=[recommend])
    store.set("product", id=7, url="a")
    store.set("query", id=1, img_id=7)
    assert held.has_read.wait(60)
    store.set("product", id=7, url="b")
    held.may_go.set()
    assert link(store) == "b"
    assert given == ["a", "b"]
    assert store.rows(Query)[0].link == "b"


def test_a_run_that_has_read_two_states_of_a_row_is_called_again(open_store: OpenStore) -> None:
    first, second = Held(), Held()

    @motion.trigger(on="query.img_id", sets="query.link", follow=True)
    async def recommend(id: int, img_id: int, store: motion.View) -> str:
        before = product(store, img_id).url
        if id == 2:  # its commit lets the other one ask the database again
            return str(before)
        await asyncio.to_thread(first.hold)
        after = product(store, img_id).url
        await asyncio.to_thread(second.hold)
        return f"{before}{after}"

    store = open_store(schemas=SCHEMAS, triggers=[recommend])
    store.set("product", id=7, url="a")
    store.set_many("query", [{"id": i, "img_id": 7} for i in (1, 2)])
    assert first.has_read.wait(60)
    until(store, lambda: store.rows(Query)[1].link == "a")
    store.set("product", id=7, url="b")
    first.may_go.set()
    assert second.has_read.wait(60)
    store.set("product", id=7, url="a")  # as it was read first
    second.may_go.set()
    assert link(store) == "aa"


@pytest.mark.parametrize("at_once", [500, 0], ids=["in the write", "swept"])
def test_a_row_whose_first_run_failed_runs_again_when_what_it_lacked_comes(
    open_store: OpenStore, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followers, "AT_ONCE", at_once)

    @motion.trigger(on="query.img_id", sets="query.link", follow=True)
    def recommend(img_id: int, store: motion.View) -> str:
        return str(product(store, img_id).url)

    store = open_store(schemas=SCHEMAS, triggers=[recommend])
    store.set("query", id=1, img_id=7)
    store.wait(timeout=60)
    assert len(store.errors()) == 1
    store.set("product", id=7, url="a")
    assert link(store) == "a"


def test_a_run_that_failed_on_what_it_read_runs_again_when_that_changes(
    open_store: OpenStore,
) -> None:
    held = Held()

    @motion.trigger(on="query.img_id", sets="query.link", follow=True)
    def recommend(img_id: int, store: motion.View) -> str:
        found = product(store, img_id)
        held.hold()
        return str(found.url)

    store = open_store(schemas=SCHEMAS, triggers=[recommend])
    store.set("query", id=1, img_id=7)
    assert held.has_read.wait(60)
    store.set("product", id=7, url="a")  # before the failure of what had read that it is not there
    held.may_go.set()
    assert link(store) == "a"
    store.delete("product", 7)
    store.wait(timeout=60)
    assert len(store.errors()) == 1
    store.set("product", id=7, url="b")
    assert link(store) == "b"


# -- what runs write themselves --


def test_a_runs_own_write_does_not_make_it_due(open_store: OpenStore, calls: Calls) -> None:
    @motion.trigger(on="query.text", sets="query.note", follow=True)
    def count(id: int, text: str, store: motion.View) -> str:
        calls[id] += 1
        own: Any = store.get("query", id)  # its own row, that its result goes to
        total = store.get("total", text)
        store.set("total", id=text, n=total.n + 1 if total else 1)
        return f"{own.text}{own.link}"

    store = open_store(schemas=SCHEMAS, triggers=[count])
    store.set("query", id=1, text="x")
    settled(store)
    assert calls == {1: 1}
    store.set("query", id=1, link="l")
    settled(store)
    assert (calls[1], store.get("total", "x").n) == (2, 2)
    store.set("total", id="x", n=10)
    settled(store)
    assert (calls[1], store.get("total", "x").n) == (3, 11)


def test_a_run_that_has_seen_what_another_writes_with_it_is_not_due_by_that(
    open_store: OpenStore, calls: Calls
) -> None:
    @motion.trigger(on="query.img_id", sets="query.link", follow=True)
    def number(id: int, img_id: int, store: motion.View) -> str:
        calls[id] += 1
        if img_id == 0:
            store.set("total", id="x", n=store.get("total", "x").n + 1)
        return str(store.get("total", "x").n)

    store = open_store(schemas=SCHEMAS, triggers=[number], run=False)
    store.set("total", id="x", n=0)
    store.set_many("query", [{"id": 1, "img_id": 0}, {"id": 2, "img_id": 1}])
    with Stepper(store) as worker:
        worker.run_until_idle()
    assert [row.link for row in store.rows(Query)] == ["1", "1"]
    assert calls == {1: 1, 2: 1}


@pytest.mark.parametrize("at_once", [500, 0], ids=["in the write", "swept"])
def test_rows_of_one_claim_that_read_each_other_come_to_rest(
    open_store: OpenStore, calls: Calls, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("motion.persistence.changes.followers.AT_ONCE", at_once)

    @motion.trigger(on="node.seed", sets="node.value", follow=True)
    def largest(id: int, seed: int, before: int, store: motion.View) -> int:
        other = store.get(Node, before, keys=("value",))
        return max(seed, (other and other.value) or 0)

    store = open_store(schemas=SCHEMAS, triggers=[largest])
    rows = [{"id": i, "before": i % 10 + 1, "seed": i} for i in range(1, 11)]
    store.set_many("node", rows)
    settled(store)
    assert {row.value for row in store.rows(Node)} == {10}
    store.set("node", id=3, seed=20)
    settled(store)
    assert {row.value for row in store.rows(Node)} == {20}


def test_a_way_through_ever_other_rows_may_be_long(open_store: OpenStore) -> None:
    @motion.trigger(on="node.seed", sets="node.value", follow=True)
    def along(id: int, seed: int, before: int, store: motion.View) -> int:
        other = store.get(Node, before, keys=("value",))
        return seed + ((other and other.value) or 0)

    store = open_store(schemas=SCHEMAS, triggers=[along])
    for i in range(120):
        store.set("node", id=i, before=i - 1, seed=1)
    settled(store)
    store.set("node", id=0, seed=1000)
    settled(store)
    assert [row.value for row in store.rows(Node)] == [1000 + i for i in range(120)]


@pytest.mark.parametrize(("at_once", "depth"), [(500, 50), (0, 5)], ids=["in the write", "swept"])
def test_rows_that_follow_each_other_without_end_are_stopped_and_told(
    open_store: OpenStore, calls: Calls, at_once: int, depth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followers, "AT_ONCE", at_once)
    monkeypatch.setattr(cascade, "MAX_DEPTH", depth)

    @motion.trigger(on="node.seed", sets="node.value", follow=True)
    def more(id: int, seed: int, before: int, store: motion.View) -> int:
        calls[id] += 1
        other = store.get(Node, before, keys=("value",))
        return ((other and other.value) or 0) + 1

    store = open_store(schemas=SCHEMAS, triggers=[more])
    store.set("node", id=1, before=2, seed=1)
    store.set("node", id=2, before=1, seed=1)
    store.wait(timeout=60)
    errors = [letter.error for letter in store.errors()]
    assert errors
    assert all("CascadeTooDeep" in each and "follow=True" in each for each in errors)
    assert depth <= calls[1] < 150


@pytest.mark.parametrize("at_once", [500, 0], ids=["in the write", "swept"])
def test_what_a_run_writes_itself_makes_others_due_and_not_its_own_row(
    open_store: OpenStore, calls: Calls, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("motion.persistence.changes.followers.AT_ONCE", at_once)

    @motion.trigger(on="query.text", sets="query.note", follow=True)
    def raise_it(id: int, text: str, store: motion.View) -> str:
        calls[id] += 1
        price = product(store, 7).price
        if text == "raise":
            price += 1
            store.set("product", id=7, price=price)
        return str(price)

    store = open_store(schemas=SCHEMAS, triggers=[raise_it])
    store.set("product", id=7, price=0.0)
    store.set_many("query", [{"id": i, "text": "read"} for i in range(1, 6)])
    settled(store)
    calls.take()
    store.set("query", id=1, text="raise")
    settled(store)
    assert store.get("product", 7).price == 1.0
    assert {row.note for row in store.rows(Query)} == {"1.0"}
    assert calls[1] == 1


def test_a_run_that_reads_what_it_causes_is_stopped_and_told(
    open_store: OpenStore, calls: Calls
) -> None:
    @motion.trigger(on="product.price", sets="product.title")
    def name(price: float) -> str:
        return f"{price:.0f}"

    @motion.trigger(on="query.img_id", follow=True)
    def raise_price(id: int, img_id: int, store: motion.View) -> None:
        calls[id] += 1
        found: Any = store.get("product", img_id, keys=("title",))
        store.set("product", id=img_id, price=float(found.title or 0) + 1)

    store = open_store(schemas=SCHEMAS, triggers=[name, raise_price])
    store.set("product", id=7, price=1.0)
    settled(store)
    store.set("query", id=1, img_id=7)
    store.wait(timeout=60)
    assert "CascadeTooDeep" in store.errors()[0].error
    assert 20 <= calls[1] < 200


# -- ways of running --


@pytest.mark.parametrize(
    "options",
    [
        {"retries": 2},
        {"timeout": 30},
        {"concurrency": 4},
        {"rate": "6000/min"},
        {"priority": 3},
        {"serial_by": "query.text"},
        {"executor": "process"},
        {"when": lambda row: row.id != 3},
        {"discard_after": 600},
    ],
    ids=lambda options: next(iter(options)),
)
def test_it_goes_with_the_other_options(open_store: OpenStore, options: dict[str, Any]) -> None:
    store = open_store(
        schemas=SCHEMAS,
        triggers=[
            motion.trigger(on="query.img_id", sets="query.link", follow=True, **options)(url_of)
        ],
    )
    store.set_many("product", [{"id": 7, "url": "a"}, {"id": 8, "url": "b"}])
    store.set_many("query", [{"id": i, "img_id": 7 + i % 2, "text": "x"} for i in range(4)])
    settled(store)
    store.set("product", id=7, url="c")
    store.delete("product", 8)
    last = None if "when" in options else "none"
    assert [row.link for row in settled(store).rows(Query)] == ["c", "none", "c", last]


def url_of(img_id: int, store: motion.View) -> str:
    found = store.get("product", img_id)
    return found.url if found else "none"


def test_a_batch_follows_what_any_of_its_rows_has_read(open_store: OpenStore) -> None:
    @motion.trigger(on="query.img_id", sets="query.link", follow=True, batch=4)
    def recommend(img_id: list[int], store: motion.View) -> list[str]:
        return [str(product(store, each).url) for each in img_id]

    store = open_store(schemas=SCHEMAS, triggers=[recommend])
    store.set_many("product", [{"id": i, "url": f"a{i}"} for i in range(10)])
    store.set_many("query", [{"id": i, "img_id": i} for i in range(10)])
    settled(store)
    store.set_many("product", [{"id": i, "url": f"b{i}"} for i in range(0, 10, 3)])
    expected = [f"{'a' if i % 3 else 'b'}{i}" for i in range(10)]
    assert [row.link for row in settled(store).rows(Query)] == expected


def test_coroutines_follow(open_store: OpenStore) -> None:
    @motion.trigger(on="query.img_id", sets="query.link", follow=True)
    async def recommend(img_id: int, store: motion.View) -> str:
        return url_of(img_id, store)

    store = open_store(schemas=SCHEMAS, triggers=[recommend])
    store.set_many("query", [{"id": i, "img_id": i} for i in range(50)])
    settled(store)
    store.set_many("product", [{"id": i, "url": f"a{i}"} for i in range(50)])
    assert [row.link for row in settled(store).rows(Query)] == [f"a{i}" for i in range(50)]


def test_a_store_reached_in_any_other_way_is_followed_too(open_store: OpenStore) -> None:
    @motion.trigger(on="query.img_id", sets="query.link", follow=True)
    def recommend(img_id: int) -> str:
        return url_of(img_id, store)  # type: ignore[arg-type]  # a store acts as the view of the run

    store = open_store(schemas=SCHEMAS, triggers=[recommend])
    store.set("query", id=1, img_id=7)
    assert link(store) == "none"
    store.set("product", id=7, url="a")
    assert link(store) == "a"


@dataclass
class Page:
    id: int
    query: str
    img_id: int
    page: int
    item: str
    liked: bool


@dataclass
class Chunk:
    id: int
    text: str


def test_pages_are_replaced_where_what_they_were_made_from_has_changed(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on="page.img_id", sets="page.item", page="page", follow=True)
    def items(img_id: int, store: motion.View) -> list[str]:
        return str(product(store, img_id).url).split()

    @motion.trigger(on="page.img_id", sets="chunk", follow=True)
    def chunks(img_id: int, store: motion.View) -> list[dict[str, Any]]:
        return [{"text": word} for word in str(product(store, img_id).title).split()]

    store = open_store(
        schemas={"page": Page, "product": Product, "chunk": Chunk}, triggers=[items, chunks]
    )
    store.set("product", id=7, url="a b c", title="x")
    store.set("page", id=1, img_id=7)
    settled(store)
    store.set("product", id=7, url="a d")
    assert [row.item for row in settled(store).rows("page", id=1)] == ["a", "d"]
    store.set("product", id=7, title="y z")
    assert sorted(row.text for row in settled(store).rows("chunk")) == ["y", "z"]


@pytest.mark.parametrize("is_page", [True, False])
def test_generators_follow(open_store: OpenStore, is_page: bool) -> None:
    def parts(img_id: int, store: motion.View) -> Any:
        yield from str(store.get("product", img_id).url).split()

    page = "page" if is_page else None
    mark = motion.trigger(on="page.img_id", sets="page.item", follow=True, page=page)
    store = open_store(schemas={"page": Page, "product": Product}, triggers=[mark(parts)])
    store.set("product", id=7, url="a b c")
    store.set("page", id=1, img_id=7)
    settled(store)
    store.set("product", id=7, url="d e")
    expected = ["d", "e"] if is_page else ["de"]
    assert [row.item for row in settled(store).rows("page", id=1)] == expected


def test_no_page_is_committed_of_what_has_changed_meanwhile(open_store: OpenStore) -> None:
    held = Held()

    @motion.trigger(on="page.img_id", sets="page.item", page="page", follow=True)
    def items(img_id: int, store: motion.View) -> Iterator[str]:
        words = str(product(store, img_id).url).split()
        yield words[0]
        held.hold()
        yield words[1]

    store = open_store(schemas={"page": Page, "product": Product}, triggers=[items])
    store.set("product", id=7, url="a b")
    seen = store.set("page", id=1, img_id=7).stream("item")
    assert next(seen).item == "a"
    assert held.has_read.wait(60)
    store.set("product", id=7, url="c d")
    held.may_go.set()
    assert [row.item for row in seen] == ["d"]  # each page once, and never "b"
    assert [row.item for row in settled(store).rows("page", id=1)] == ["c", "d"]


def test_a_generator_that_reads_its_own_pages_is_not_due_by_them(
    open_store: OpenStore, calls: Calls
) -> None:
    @motion.trigger(on="page.img_id", sets="page.item", page="page", follow=True)
    def items(id: int, img_id: int, store: motion.View) -> Iterator[str]:
        calls[id] += 1
        before = len(store.rows("page", id=id))
        for i in range(2):
            yield f"{img_id} {before} {i}"

    store = open_store(schemas={"page": Page}, triggers=[items])
    for n in range(1, 4):
        store.set("page", id=1, img_id=n)
        settled(store)
    assert calls == {1: 3}
    assert [row.item for row in store.rows("page", id=1)] == ["3 2 0", "3 2 1"]


@dataclass
class Account:
    id: int
    ts: int
    who: int
    amount: int
    before: Annotated[int, motion.Window("account.amount", by="who", agg="sum")]
    asked: int
    told: str


def test_what_follows_from_a_runs_own_write_does_make_it_due(
    open_store: OpenStore, calls: Calls
) -> None:
    @motion.trigger(on="account.asked", sets="account.told", follow=True)
    def book(id: int, asked: int, store: motion.View) -> str:
        calls[id] += 1
        last: Any = store.get("account", 2)
        store.get("account", 1)
        store.set("account", id=1, amount=asked)  # which the window of the second holds
        return f"{last.before}"

    store = open_store(schemas={"account": Account}, triggers=[book])
    store.set_many("account", [{"id": i, "ts": i, "who": 1, "amount": 1} for i in (1, 2, 3)])
    settled(store)
    store.set("account", id=3, asked=5)
    settled(store)
    assert [row.told for row in store.rows("account")] == [None, None, "5"]
    assert calls == {3: 2}


def test_only_the_pages_that_were_read_are_followed(open_store: OpenStore, calls: Calls) -> None:
    @motion.trigger(on="query.img_id", sets=("query.link", "query.note"), follow=True)
    def tell(id: int, img_id: int, store: motion.View) -> tuple[str, str]:
        calls[id] += 1
        second = store.get("page", img_id, page=2)
        if id == 2:
            return "", "".join(str(row.item) for row in store.rows("page", id=img_id))
        return (f"{second.query} {second.item}" if second else "none"), ""

    store = open_store(schemas={"page": Page, "query": Query}, triggers=[tell])
    store.set("page", id=7, query="q")
    store.set_many("query", [{"id": i, "img_id": 7} for i in (1, 2)])
    assert link(store) == "none"
    store.set("page", id=7, page=1, item="a")  # of all pages, but not of the second
    settled(store)
    assert calls.take() == {1: 1, 2: 2}
    store.set("page", id=7, page=2, item="b")
    assert link(store) == "q b"
    store.set("page", id=7, query="r")  # which the second inherits
    assert link(store) == "r b"
    assert note(store, 2) == "Noneab"
    assert calls[1] == 2


def test_pages_that_a_condition_has_found_are_not_followed_for_what_they_inherit(
    open_store: OpenStore, calls: Calls
) -> None:
    @motion.trigger(on="query.img_id", sets="query.link", follow=True)
    def tell(id: int, img_id: int, store: motion.View) -> str:
        calls[id] += 1
        return "".join(str(row.query) for row in store.rows("page", where={"item": "a"}))

    store = open_store(schemas={"page": Page, "query": Query}, triggers=[tell])
    store.set_many("page", [{"id": 7, "query": "q"}, {"id": 7, "page": 1, "item": "a"}])
    store.set("query", id=1, img_id=7)
    assert link(store) == "q"
    store.set("page", id=7, query="r")
    assert link(store) == "q"
    assert calls == {1: 1}


def test_ids_that_are_texts_are_followed(open_store: OpenStore) -> None:
    @motion.trigger(on="query.text", sets="query.link", follow=True)
    def tell(text: str, store: motion.View) -> str:
        found = store.get("total", text)
        return str(found and found.n)

    store = open_store(schemas=SCHEMAS, triggers=[tell])
    store.set("query", id=1, text="7")
    assert link(store) == "None"
    store.set("total", id="7", n=3)
    assert link(store) == "3"
    store.set("total", id="07", n=4)
    assert link(store) == "3"


def test_outputs_unset_by_when_follow_nothing_and_are_made_again(open_store: OpenStore) -> None:
    @motion.trigger(
        on="query.img_id", sets="query.link", follow=True, when=lambda row: row.text != "no"
    )
    def recommend(img_id: int, store: motion.View) -> str:
        return url_of(img_id, store)

    store = open_store(schemas=SCHEMAS, triggers=[recommend])
    store.set("query", id=1, img_id=7)
    assert link(store) == "none"
    store.set("query", id=1, text="no")
    store.set("product", id=7, url="a")
    assert link(store) is None


# -- models --


class Tagger(motion.Component):
    def setup(self) -> dict[str, int]:
        return {"v": 1}

    @motion.infer(on="product.price", sets="product.vector", refresh="before")
    def embed(self, state: dict[str, int], price: float) -> np.ndarray:
        return np.array([price, float(state["v"])], np.float32)

    @motion.infer(on="query.img_id", sets="query.link", follow=True)
    def tell(self, state: dict[str, int], img_id: int, store: motion.View) -> str:
        return f"{state['v']} {url_of(img_id, store)}"

    @motion.fit(on="query.note")
    def learn(self, state: dict[str, int], rows: list[Query]) -> dict[str, int]:
        return {"v": state["v"] + 1}


@dataclass
class Imaged:
    id: int
    price: float
    url: str
    vector: Annotated[np.ndarray, motion.Vector(2)]


def is_live(store: motion.Store, number: int) -> bool:
    versions = store.model("Tagger").versions()
    return any((each.number, each.status) == (number, "live") for each in versions)


def test_components_follow_and_a_switch_of_versions_is_followed(open_store: OpenStore) -> None:
    @motion.trigger(on="query.text", sets="query.note", follow=True)
    def number(text: str, img_id: int, store: motion.View) -> str:
        found = store.get("product", img_id, keys=("vector",))
        return str(None if found is None else found.vector)

    store = open_store(schemas={"query": Query, "product": Imaged}, triggers=[Tagger(), number])
    store.set("product", id=7, price=2.0, url="a")
    store.set("query", id=1, img_id=7, text="x")
    assert link(store) == "1 a"
    assert note(store, 1) == "[2. 1.]"
    store.set("product", id=7, url="b")
    assert link(store) == "1 b"
    store.model("Tagger").fit().wait(timeout=60)
    until(store, lambda: is_live(store, 2))
    assert note(store, 1) == "[2. 2.]"
    store.model("Tagger").rollback().wait(timeout=60)
    assert note(store, 1) == "[2. 1.]"


# -- what is refused --


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"memo": True}, "memo"),
        ({"once": True, "sets": ()}, "once"),
        ({"on": motion.deleted("product"), "sets": ()}, "event"),
        ({"inline": True}, "inline"),
        ({"follow": "yes"}, "True or False"),
    ],
)
def test_what_does_not_go_with_it_is_refused(
    open_store: OpenStore, options: dict[str, Any], reason: str
) -> None:
    given: dict[str, Any] = {"on": "query.img_id", "sets": "query.link", "follow": True}
    with pytest.raises(motion.TriggerError, match=reason):
        open_store(schemas=SCHEMAS, triggers=[motion.trigger(**given | options)(lambda id: "x")])


# -- what is kept, and what is told --


def follows(store: motion.Store) -> list[Any]:
    return [tuple(row.values()) for row in store.sql("select * from motion_follows").to_pylist()]


def test_what_was_read_is_forgotten_with_the_row_that_read_it(shop: motion.Store) -> None:
    shop.set_many("query", [{"id": i, "img_id": 7} for i in (1, 2)])
    settled(shop)
    assert len(follows(shop)) == 2
    shop.delete("query", 1)
    settled(shop)
    assert len(follows(shop)) == 1


def test_nothing_is_kept_where_nothing_is_followed(open_store: OpenStore) -> None:
    store = open_store(
        schemas=SCHEMAS,
        triggers=[motion.trigger(on="query.img_id", sets="query.link", isolated=True)(url_of)],
    )
    store.set("query", id=1, img_id=7)
    settled(store)
    assert follows(store) == []


def stale(store: motion.Store) -> int | None:
    return store.status().triggers["recommend"].stale


def test_a_trigger_that_is_back_follows_what_it_did_or_its_values_are_stale(
    open_store: OpenStore, calls: Calls
) -> None:
    recommend = recommending(calls, version="1")

    def back() -> motion.Store:
        return open_store(schemas=SCHEMAS, triggers=[recommend])

    store = back()
    store.set("query", id=1, img_id=7)
    assert link(store) == "nowhere"
    store.close()
    open_store(schemas=SCHEMAS, triggers=[]).close()  # nothing is written meanwhile
    store = back()
    assert stale(store) == 0
    store.set("product", id=7, url="a")
    assert link(store) == "see a"
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=[])
    store.set("product", id=7, url="b")
    store.close()
    store = back()
    assert (stale(store), store.plan("recommend").stale) == (1, 1)
    store.backfill("recommend").wait(timeout=60)
    assert link(store) == "see b"
    assert stale(store) == 0


def test_values_of_a_trigger_that_has_not_followed_meanwhile_are_stale(
    open_store: OpenStore,
) -> None:
    def opened(**options: Any) -> motion.Store:
        mark = motion.trigger(
            on="query.img_id", sets="query.link", version="1", name="recommend", **options
        )
        return open_store(schemas=SCHEMAS, triggers=[mark(url_of)])

    store = opened(follow=True)
    store.set("query", id=1, img_id=7)
    assert link(store) == "none"
    assert len(follows(store)) == 1
    store.close()
    store = opened()
    assert (stale(store), follows(store)) == (1, [])
    store.set("product", id=7, url="b")
    assert link(store) == "none"
    store.close()
    store = opened(follow=True)
    assert stale(store) == 1
    store.backfill("recommend").wait(timeout=60)
    assert link(store) == "b"


def test_to_follow_is_other_code(open_store: OpenStore) -> None:
    def opened(**options: Any) -> motion.Store:
        mark = motion.trigger(on="query.img_id", sets="query.link", version="1", **options)
        return open_store(schemas=SCHEMAS, triggers=[mark(url_of)])

    store = opened()
    store.set("query", id=1, img_id=7)
    assert link(store) == "none"
    store.close()
    assert opened(follow=True).status().triggers["url_of"].stale == 1


def test_forgetting_a_row_forgets_that_it_was_read(shop: motion.Store, calls: Calls) -> None:
    shop.set("product", id=7, url="a")
    shop.set("query", id=1, img_id=7)
    assert link(shop) == "see a"
    shop.set("query", id=1, link="mine")  # so that no run reads it again
    shop.forget("product", 7)
    settled(shop)
    assert follows(shop) == []


def test_an_explanation_tells_what_is_followed(open_store: OpenStore) -> None:
    @motion.trigger(on="query.img_id", sets="query.link", follow=True)
    def tell(img_id: int, store: motion.View) -> str:
        store.get("page", img_id, page=2, keys=("item",))
        store.rows("page", id=8)
        store.get("total", "x", keys=())
        return ""

    @motion.trigger(on="query.img_id", sets="chunk", follow=True)
    def chunks(img_id: int, store: motion.View) -> list[dict[str, Any]]:
        return [{"id": 1, "text": str(store.get("total", "y"))}]

    schemas = {"page": Page, "query": Query, "total": Total, "chunk": Chunk}
    store = open_store(schemas=schemas, triggers=[tell, chunks])
    store.set("query", id=1, img_id=7)
    settled(store)
    told = store.explain("query", 1, "link")
    assert [str(each) for each in told.follows] == [
        "page id=7 (item)", "page id=7, page=2 (item)", "page id=8", "total id='x' (whether it is there)",
    ]  # fmt: skip
    assert told.follows[1] == motion.FollowedRow("page", 7, {"page": 2}, ("item",))
    assert told.follows[2].pages is None
    assert "follows page id=7 (item), page id=7, page=2 (item)" in str(told)
    owned = store.explain("chunk", 1, "text")
    assert [str(each) for each in owned.follows] == ["total id='y'"]
    assert store.explain("query", 1, "img_id").follows == ()


@dataclass
class Sheet:
    id: int
    make: int
    page: int
    mark: int


@dataclass
class Reader:
    id: int
    sheet: int
    seen: int


@pytest.mark.parametrize("pages", [1, 2])
def test_page_0_is_followed_also_where_a_result_makes_further_pages(
    open_store: OpenStore, pages: int
) -> None:
    @motion.trigger(on="sheet.make", sets="sheet.mark", page="page")
    def cut(make: int) -> list[int]:
        return [make * 10 + i for i in range(make)]

    @motion.trigger(on="reader.sheet", sets="reader.seen", follow=True)
    def see(sheet: int, store: motion.View) -> int | None:
        found: Any = store.get("sheet", sheet, keys=("mark",))
        mark: int | None = found and found.mark
        return mark

    store = open_store(schemas={"sheet": Sheet, "reader": Reader}, triggers=[cut, see])
    store.set("sheet", id=1)
    store.set("reader", id=1, sheet=1)
    store.wait(timeout=60)
    store.set("sheet", id=1, make=pages)
    store.wait(timeout=60)
    assert [row.seen for row in store.rows("reader")] == [pages * 10]


def test_rows_that_have_read_several_changed_rows_do_not_hide_others(open_store: OpenStore) -> None:
    """More was read than rows are made due at once, by fewer rows."""

    @motion.trigger(on="query.img_id", sets="query.note", follow=True)
    def told(img_id: int, store: motion.View) -> str:
        ids = range(1, 7) if img_id == 1 else [7]
        return " ".join(product(store, id).title for id in ids)

    store = open_store(schemas=SCHEMAS, triggers=[told])
    store.set_many("product", [{"id": id, "title": "old"} for id in range(1, 8)])
    store.set_many("query", [{"id": i, "img_id": 1 + i // 101} for i in range(1, 201)])
    store.wait(timeout=60)
    store.set_many("product", [{"id": id, "title": "new"} for id in range(1, 8)])
    store.wait(timeout=60)
    assert {row.note for row in store.rows(Query)} == {" ".join(["new"] * 6), "new"}
