"""P13, of generators: a page is committed only while what its run has read through `store` holds."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import motion
from tests.conftest import OpenStore


@dataclass
class Doc:
    id: int
    text: str
    piece: str
    piece_page: int


@dataclass
class Total:
    id: int
    n: int


SCHEMAS = {"doc": Doc, "total": Total}


def outside(work: Callable[[], Any]) -> Any:
    """Do something in a thread that belongs to no run."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join(60)
    return found[0]


class World:
    """A store whose generator reads a total and gives three pages; the total changes once, before one of them."""

    def __init__(
        self,
        open_store: OpenStore,
        change_before: int,
        *,
        is_async: bool = False,
        writes: bool = True,
        **options: Any,
    ) -> None:
        self.calls, self.seen = 0, list[list[str]]()
        self._change_before, self._writes = change_before, writes
        trigger = motion.trigger(on="doc.text", sets="doc.piece", page="piece_page", **options)

        def pages(text: str, store: motion.View) -> Iterator[str]:
            yield from self._pages(text, store)

        async def later(text: str, store: motion.View) -> AsyncIterator[str]:
            for each in self._pages(text, store):
                yield each

        self.store = open_store(schemas=SCHEMAS, triggers=[trigger(later if is_async else pages)])
        self.store.set("total", id=1, n=1)

    def _pages(self, text: str, store: motion.View) -> Iterator[str]:
        self.calls += 1
        call, n = self.calls, store.get("total", 1).n
        if self._writes:
            store.set("total", id=2, n=n)
        for page in range(3):
            if call == 1 and page == self._change_before:
                outside(lambda: self.store.set("total", id=1, n=2))
            yield f"{text}{page} of {n}"
            self.seen.append(self.shown())

    def shown(self) -> list[str]:
        return [row.piece for row in outside(lambda: self.store.rows("doc")) if row.piece]

    def run(self) -> None:
        self.store.set("doc", id=1, text="a")
        self.store.wait(timeout=60)


OF_TWO = [["a0 of 2"], ["a0 of 2", "a1 of 2"], ["a0 of 2", "a1 of 2", "a2 of 2"]]


@pytest.mark.parametrize(
    "options", [{}, {"is_async": True}, {"timeout": 60}], ids=["plain", "async", "timed"]
)
def test_pages_made_of_what_does_not_hold_any_more_are_not_committed(
    open_store: OpenStore, options: dict[str, Any]
) -> None:
    world = World(open_store, change_before=1, **options)
    world.run()
    assert world.calls == 2
    assert world.seen == [["a0 of 1"]] * 3 + OF_TWO
    assert world.store.status().called_again == {world.store.pipeline().triggers[0].name: 1}


def test_the_pages_of_the_run_before_stay_while_the_first_of_a_new_one_does_not_hold(
    open_store: OpenStore,
) -> None:
    world = World(open_store, change_before=0)
    world.calls = 1  # no change in the first run
    world.run()
    world.calls, world.seen = 0, []
    world.store.set("total", id=1, n=7)
    world.store.set("doc", id=1, text="b")
    world.store.wait(timeout=60)
    old = ["a0 of 1", "a1 of 1", "a2 of 1"]
    assert world.seen[:3] == [old] * 3
    assert world.shown() == ["b0 of 2", "b1 of 2", "b2 of 2"]


def test_pages_of_a_run_that_only_gives_them_are_as_of_when_it_read(open_store: OpenStore) -> None:
    world = World(open_store, change_before=1, writes=False)
    world.run()
    assert world.calls == 1
    assert world.seen[-1] == ["a0 of 1", "a1 of 1", "a2 of 1"]


def test_pages_of_an_isolated_trigger_hold_also_where_it_writes_nothing(
    open_store: OpenStore,
) -> None:
    world = World(open_store, change_before=1, writes=False, isolated=True)
    world.run()
    assert world.seen == [["a0 of 1"]] * 3 + OF_TWO


def test_pages_are_committed_as_they_come_where_isolation_is_turned_off(
    open_store: OpenStore,
) -> None:
    world = World(open_store, change_before=1, isolated=False)
    world.run()
    assert world.calls == 1
    assert [len(each) for each in world.seen] == [1, 2, 3]
