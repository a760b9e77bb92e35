"""Reads by hand of what is kept by state version: a run sees one version of each component, and its result stands while that
is live."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest

import motion
from motion import faults
from motion.states.switches import Switcher
from motion.testing.stepper import Stepper
from tests.conftest import OpenStore

SEEN: list[list[int]] = []
"""What each run has read, in order."""

SWITCHING: list[Callable[[], None]] = []
"""What happens between the two reads of the next run."""

STORE: list[motion.Store] = []
"""The store as runs reach it otherwise."""


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    for each in (SEEN, SWITCHING, STORE):
        each.clear()


@dataclass
class Product:
    id: int
    n: int
    guess: int
    vec: Annotated[np.ndarray, motion.Vector(2)]
    label: int


@dataclass
class Sale:
    id: int
    ts: int
    seen: list[int]
    made: int
    page: int
    item: int


@dataclass
class Note:
    id: int
    text: str


class Guesser(motion.Component):
    def setup(self) -> int:
        return 1

    @motion.infer(on="product.n", sets="product.guess", refresh="before")
    def guess(self, state: int, n: int) -> int:
        return n * state

    @motion.infer(on="product.n", sets="product.vec", refresh="before")
    def embed(self, state: int, n: int) -> np.ndarray:
        return np.array([state, 1.0], np.float32)

    @motion.fit(on="product.label", promote=motion.manual)
    def fit(self, state: int, rows: list[Product]) -> int:
        return 10


class Maker(motion.Component):
    """Reads by hand what another component has made."""

    def setup(self) -> int:
        return 1

    @motion.infer(on="sale.ts", sets="sale.made", refresh="before")
    def make(self, state: int, store: motion.View) -> int:
        return state * read_twice(store)[1]

    @motion.fit(on="product.label", promote=motion.manual)
    def fit(self, state: int, rows: list[Product]) -> int:
        return 100


Read = Callable[[Any], int]

READS: dict[str, Read] = {
    "get": lambda store: store.get(Product, 1).guess,
    "keys": lambda store: store.get("product", 1, keys=("guess",)).guess,
    "id": lambda store: store.rows(Product, id=1)[0].guess,
    "where": lambda store: store.rows(Product, where={"n": 5})[0].guess,
    "sql": lambda store: store.rows(Product, where="n = ?", params=[5])[0].guess,
    "search": lambda store: store.search("product.vec", [1.0, 1.0], k=1)[0].row.guess,
    "outside": lambda store: STORE[0].get("product", 1).guess,
    "nothing": lambda store: store.get(Note, 1) is None,
    "other tables": lambda store: len(store.sql("select text from note")),
    "other keys": lambda store: store.get("product", 1, keys=("n",)).n,
}


def read_twice(store: Any, read: Read = READS["get"]) -> list[int]:
    seen = [read(store)]
    if SWITCHING:
        SWITCHING.pop()()
    seen.append(read(store))
    SEEN.append(seen)
    return seen


def plainly(read: Read, **options: Any) -> Any:
    @motion.trigger(on="sale.ts", sets="sale.seen", **options)
    def look(ts: int, store: motion.View) -> list[int]:
        return read_twice(store, read)

    return look


def in_a_coroutine(read: Read) -> Any:
    @motion.trigger(on="sale.ts", sets="sale.seen")
    async def look(ts: int, store: motion.View) -> list[int]:
        return read_twice(store, read)

    return look


def in_a_batch(read: Read) -> Any:
    @motion.trigger(on="sale.ts", sets="sale.seen", batch=8)
    def look(ts: list[int], store: motion.View) -> list[list[int]]:
        return [read_twice(store, read)] * len(ts)

    return look


def writing(read: Read) -> Any:
    @motion.trigger(on="sale.ts")
    def look(id: int, store: motion.View) -> None:
        store.set("sale", id=id, seen=read_twice(store, read))

    return look


WAYS: dict[str, Callable[[Read], Any]] = {
    "plain": plainly,
    "coroutine": in_a_coroutine,
    "batch": in_a_batch,
    "thread": lambda read: plainly(read, timeout=60),
    "follow": lambda read: plainly(read, follow=True),
    "writing": writing,
}


def opened(open_store: OpenStore, *triggers: Any) -> motion.Store:
    """Return a store with two versions of each component, of which the first is live, and nobody looks after it."""
    how: Any = {"schemas": {"product": Product, "sale": Sale, "note": Note}}
    how["triggers"] = [Guesser(), *triggers]
    store = open_store(**how)
    store.set("product", id=1, n=5, label=1)
    store.wait(timeout=60)
    for component in store.status().versions:
        store.model(component).fit().wait(timeout=60)
    store.close()
    store = open_store(**how, run=False)
    STORE.append(store)
    return store


def switched(store: motion.Store, worker: Stepper, component: str = "Guesser") -> None:
    """Let the second version go live between the two reads of the next run."""
    keeper = Switcher(store._database, component, threading.Event())
    store.model(component).promote(2)
    worker.run_until_idle()

    def switch() -> None:
        while store.status().versions[component] != 2:
            assert keeper.step()

    SWITCHING.append(switch)


@pytest.mark.parametrize("how", ["get", "keys", "id", "where", "sql", "search", "outside"])
def test_p7_a_run_reads_one_version_by_hand_and_is_called_again_once_another_is_live(
    open_store: OpenStore, how: str
) -> None:
    assert_called_again(opened(open_store, plainly(READS[how])))


def assert_called_again(store: motion.Store) -> None:
    """A run reads twice with a switch between, sees one version, and is called again with the other."""
    with Stepper(store) as worker:
        switched(store, worker)
        store.set("sale", id=1, ts=1)
        worker.run_until_idle()
        assert SEEN == [[5, 5], [50, 50]]
        assert [row.seen for row in store.rows(Sale)] == [[50, 50]]
        assert not store.errors()


@pytest.mark.parametrize("way", [each for each in WAYS if each != "plain"])
def test_p7_so_it_is_in_whatever_way_it_runs(open_store: OpenStore, way: str) -> None:
    assert_called_again(opened(open_store, WAYS[way](READS["get"])))


@pytest.mark.parametrize(
    "table", ["product", "Product__stored", '"product"', "motion_rows_product"]
)
@pytest.mark.parametrize("way", WAYS)
def test_p7_what_sql_has_read_of_two_versions_is_dropped(
    open_store: OpenStore, way: str, table: str
) -> None:
    def read(store: motion.View) -> int:
        key = "id * 5 * (select live * 9 - 8 from motion_components)"  # as `guess` would be
        key = key if table.startswith("motion_") else "guess"
        return int(store.sql(f"select {key} as n from {table} where id = 1")["n"][0].as_py())

    store = opened(open_store, WAYS[way](read))
    with Stepper(store) as worker:
        switched(store, worker)
        store.set("sale", id=1, ts=1)
        worker.run_until_idle()
        assert SEEN == [[5, 50], [50, 50]]
        assert [row.seen for row in store.rows(Sale)] == [[50, 50]]


@pytest.mark.parametrize("how", ["nothing", "other keys", "other tables"])
def test_a_run_that_reads_nothing_kept_by_version_is_called_once(
    open_store: OpenStore, how: str
) -> None:
    store = opened(open_store, plainly(READS[how]))
    with Stepper(store) as worker:
        switched(store, worker)
        store.set("sale", id=1, ts=1)
        worker.run_until_idle()
        assert store.status().versions["Guesser"] == 2
        assert len(SEEN) == 1


def test_p7_a_run_that_failed_on_what_is_live_no_more_uses_up_no_attempt(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on="sale.ts", sets="sale.seen", retries=0)
    def look(ts: int, store: motion.View) -> list[int]:
        seen = read_twice(store)
        if seen[0] == 5:
            raise ValueError("of the first version")
        return seen

    store = opened(open_store, look)
    with Stepper(store) as worker:
        switched(store, worker)
        store.set("sale", id=1, ts=1)
        worker.run_until_idle()
        assert not store.errors()
        assert [row.seen for row in store.rows(Sale)] == [[50, 50]]


@pytest.mark.parametrize("is_async", [False, True])
def test_p7_a_generators_pages_are_of_one_version(open_store: OpenStore, is_async: bool) -> None:
    def pages(store: motion.View) -> Iterator[int]:
        seen = [READS["get"](store)]
        yield seen[0]
        if SWITCHING:
            SWITCHING.pop()()
        seen.append(READS["get"](store))
        SEEN.append(seen)
        yield seen[1]

    @motion.trigger(on="sale.ts", sets="sale.item", page="page")
    def items(ts: int, store: motion.View) -> Iterator[int]:
        yield from pages(store)

    @motion.trigger(on="sale.ts", sets="sale.item", page="page", name="items")
    async def items_async(ts: int, store: motion.View) -> AsyncIterator[int]:
        for each in pages(store):
            yield each

    shown: list[list[int | None]] = []

    def look(point: str) -> None:
        if point == "item.committed":
            sql = "select item from sale where id = 1 order by page"
            shown.append(store.sql(sql)["item"].to_pylist())

    store = opened(open_store, items_async if is_async else items)
    with Stepper(store) as worker:
        switched(store, worker)
        store.set("sale", id=1, ts=1)
        faults.arm(look)
        try:
            worker.run_until_idle()
        finally:
            faults.arm(None)
        assert SEEN == [[5, 5], [50, 50]]
        assert shown == [[5], [5], [50], [50, 50]]
        assert [row.item for row in store.rows(Sale, id=1)] == [50, 50]


def test_p7_a_build_reads_one_version_of_other_components(open_store: OpenStore) -> None:
    store = opened(open_store, Maker())
    with Stepper(store) as worker:
        store.set("sale", id=1, ts=1)
        worker.run_until_idle()
        store.model("Maker").promote(2)
        SEEN.clear()
        switched(store, worker)
        store.set("sale", id=1, ts=2)
        worker.run_until_idle()
        keeper = Switcher(store._database, "Maker", threading.Event())
        while store.status().versions["Maker"] == 1:
            worker.step() or keeper.step()  # neither has to have something to do at each moment
        assert [row.made for row in store.rows(Sale)] == [5000]
        assert all(len({*seen}) == 1 for seen in SEEN)


def test_p7_what_ran_before_a_write_and_read_by_version_is_left_to_a_task(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on="sale.ts", sets="sale.seen", inline=True)
    def look(ts: int) -> list[int]:
        return read_twice(None, READS["outside"])

    store = opened(open_store, look)

    def switch(point: str) -> None:
        if point == "set.derived" and SWITCHING:
            SWITCHING.pop()()

    with Stepper(store) as worker:
        switched(store, worker)
        between = SWITCHING.pop()
        store.set("sale", id=1, ts=1)
        worker.run_until_idle()
        assert [row.seen for row in store.rows(Sale)] == [[5, 5]]
        faults.arm(switch)
        try:
            SWITCHING.append(lambda: SWITCHING.append(between))  # not yet between its reads
            store.set("sale", id=1, ts=2)
        finally:
            faults.arm(None)
        assert store.status().versions["Guesser"] == 2
        worker.run_until_idle()
        assert [row.seen for row in store.rows(Sale)] == [[50, 50]]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_p7_so_it_is_in_a_process(open_store: OpenStore, tmp_path: Path) -> None:
    has_begun, may_go_on = str(tmp_path / "begun"), str(tmp_path / "go")
    os.mkfifo(has_begun)
    os.mkfifo(may_go_on)

    @motion.trigger(on="sale.ts", sets="sale.seen", executor="process")
    def look(ts: int, store: motion.View) -> list[int]:
        first = store.get("product", 1).guess
        if first == 5:
            Path(has_begun).write_text("begun")
            Path(may_go_on).read_text()
        return [first, store.get("product", 1).guess]

    store = opened(open_store, look)
    store.close()
    store = open_store(
        schemas={"product": Product, "sale": Sale, "note": Note}, triggers=[Guesser(), look]
    )
    store.set("sale", id=1, ts=1)
    Path(has_begun).read_text()
    store.model("Guesser").promote(2).wait(timeout=60)
    Path(may_go_on).write_text("on")
    store.wait(timeout=60)
    assert [row.seen for row in store.rows(Sale)] == [[50, 50]]


def test_p7_what_ran_on_a_deletion_and_read_by_version_runs_again(open_store: OpenStore) -> None:
    @motion.trigger(on=motion.deleted("note"))
    def look(store: motion.View) -> None:
        store.set("sale", id=1, seen=read_twice(store))

    store = opened(open_store, look)
    with Stepper(store) as worker:
        store.set("note", id=1, text="a")
        switched(store, worker)
        store.delete("note", 1)
        worker.run_until_idle()
        assert SEEN == [[5, 5], [50, 50]]
        assert [row.seen for row in store.rows(Sale)] == [[50, 50]]


def test_what_was_done_once_stands_whatever_is_live(open_store: OpenStore) -> None:
    @motion.trigger(on="sale.ts", once=True)
    def look(id: int, store: motion.View) -> None:
        store.set("sale", id=id, seen=read_twice(store))

    store = opened(open_store, look)
    with Stepper(store) as worker:
        switched(store, worker)
        store.set("sale", id=1, ts=1)
        worker.run_until_idle()
        assert SEEN == [[5, 5]]
        assert [row.seen for row in store.rows(Sale)] == [[5, 5]]
