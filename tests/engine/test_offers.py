"""Offers: a write claims its own task for the idle worker, and whatever becomes of the write, the row is called once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import motion
from motion import clock, faults
from tests.conftest import OpenStore, pause


@dataclass
class Doc:
    id: int
    text: str
    loud: str
    more: str
    most: str


@motion.trigger(on="doc.more", sets="doc.most", inline=False)
def follow(more: str) -> str:
    """Something else to do, for a test to see that it is done."""
    return more


class Undone(RuntimeError):
    """What a test raises to undo a write, or behind its commit."""


def shouting(calls: list[str], **options: Any) -> Callable[..., Any]:
    @motion.trigger(on="doc.text", sets="doc.loud", inline=False, name="shout", **options)
    def shout(text: str) -> str:
        calls.append(text)
        return text.upper()

    return shout


@pytest.fixture
def armed() -> Iterator[Callable[[str], None]]:
    """A function that lets the next write of this thread raise at a point."""
    main, wanted = threading.current_thread(), [""]

    def at(point: str) -> None:
        if threading.current_thread() is main and point == wanted[0]:
            wanted[0] = ""
            raise Undone(point)

    def arm(point: str) -> None:
        wanted[0] = point

    faults.arm(at)
    yield arm
    faults.arm(None)


def await_idle(store: motion.Store, *, is_idle: bool = True) -> None:
    """Wait until the worker waits for work, or does not, which nobody can be told of."""
    offers: Any = store._database.offers  # none on PostgreSQL
    deadline = clock.monotonic_s() + 30
    while offers and offers.are_wanted is not is_idle:
        assert clock.monotonic_s() < deadline
        pause()


def test_what_a_write_offered_that_is_undone_is_never_called_and_holds_up_nothing(
    open_store: OpenStore, armed: Callable[[str], None]
) -> None:
    calls: list[str] = []
    store = open_store(schemas={"doc": Doc}, triggers=[shouting(calls)])
    for i in range(30):
        await_idle(store)
        armed("write.applied")
        with pytest.raises(Undone):
            store.set("doc", text=f"undone {i}")
        store.set("doc", text=f"kept {i}").wait()
    assert calls == [f"kept {i}" for i in range(30)]
    assert [row.loud for row in store.rows("doc")] == [f"KEPT {i}" for i in range(30)]


def test_what_a_write_offered_that_is_interrupted_behind_its_commit_is_called_once(
    open_store: OpenStore, armed: Callable[[str], None]
) -> None:
    calls: list[str] = []
    store = open_store(schemas={"doc": Doc}, triggers=[shouting(calls)])
    for i in range(10):
        await_idle(store)
        armed("write.committed")
        with pytest.raises(Undone):
            store.set("doc", text=f"told of nobody {i}")
        store.wait()
    assert calls == [f"told of nobody {i}" for i in range(10)]


def test_a_store_that_is_closed_with_an_offer_open_loses_nothing(open_store: OpenStore) -> None:
    calls: list[str] = []
    for i in range(15):
        store = open_store(schemas={"doc": Doc}, triggers=[shouting(calls)])
        await_idle(store)
        store.set("doc", text=f"{i}")
        store.close()
    store = open_store(schemas={"doc": Doc}, triggers=[shouting(calls)])
    store.wait()
    assert sorted(calls, key=int) == [f"{i}" for i in range(15)]
    assert all(row.loud for row in store.rows("doc"))


def test_what_is_looked_at_before_its_write_is_over_is_called_once_it_is(
    open_store: OpenStore,
) -> None:
    """Who looks for work does so now and then unasked, perhaps while a write that has made an offer waits for the disk."""
    calls: list[str] = []
    store = open_store(schemas={"doc": Doc}, triggers=[shouting(calls)])
    await_idle(store)
    main = threading.current_thread()

    def at(point: str) -> None:
        if threading.current_thread() is main and point == "write.applied":
            faults.arm(None)
            await_idle(store, is_idle=False)

    faults.arm(at)
    try:
        change = store.set("doc", text="slow disk")
    finally:
        faults.arm(None)
    change.wait()
    assert calls == ["slow disk"]


def test_nothing_is_offered_beside_as_many_calls_as_there_may_be(open_store: OpenStore) -> None:
    calls: list[str] = []
    begun, end = threading.Event(), threading.Event()

    @motion.trigger(on="doc.text", sets="doc.loud", inline=False, concurrency=1)
    def shout(text: str) -> str:
        calls.append(text)
        begun.set()
        assert end.wait(60)
        return text.upper()

    store = open_store(schemas={"doc": Doc}, triggers=[shout, follow])
    store.set("doc", text="first")
    assert begun.wait(60)
    await_idle(store)
    store.set("doc", text="second")
    store.set("doc", more="beside").wait()  # by now it was looked for what may begin
    assert calls == ["first"]
    end.set()
    store.wait()
    assert calls == ["first", "second"]


def test_a_call_that_was_brief_so_far_and_lasts_now_holds_up_nothing(open_store: OpenStore) -> None:
    """Who claims a call that has been brief makes it before it looks for more; where that lasts, another thread looks."""
    begun, end = threading.Event(), threading.Event()

    @motion.trigger(on="doc.text", sets="doc.loud", inline=False)
    def shout(text: str) -> str:
        if text == "long":
            begun.set()
            assert end.wait(60)
        return text.upper()

    store = open_store(schemas={"doc": Doc}, triggers=[shout, follow])
    for i in range(10):
        await_idle(store)
        store.set("doc", text=f"{i}").wait()
    for _ in range(3):  # another thread has the lead each time
        await_idle(store)
        begun.clear()
        end.clear()
        store.set("doc", text="long")
        assert begun.wait(60)
        store.set("doc", more="beside").wait(timeout=30)
        end.set()
        store.wait()
    assert {row.loud for row in store.rows("doc")} == {*map(str, range(10)), "LONG", None}
