"""Streams and waits: what came is given once, in threads and on event loops, and a failure is told after it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import motion
from motion.testing import Stepper
from tests.conftest import OpenStore


@dataclass
class Ask:
    id: int
    text: str
    answer: str
    idea: str
    idea_page: int


@dataclass
class Item:
    id: int
    n: int
    out: int


SCHEMAS = {"ask": Ask, "item": Item}


class Broken(Exception):
    """What a function raises here."""


def parts_and_fail(text: str) -> Iterator[str]:
    for word in text.split():
        if word == "bad":
            raise Broken(text)
        yield word


@motion.trigger(on="ask.text", sets="ask.answer")
def answer(text: str) -> Iterator[str]:
    yield from parts_and_fail(text)


@motion.trigger(on="ask.text", sets="ask.idea", page="idea_page")
def ideas(text: str) -> Iterator[str]:
    yield from parts_and_fail(text)


async def parts_and_fail_later(text: str) -> AsyncIterator[str]:
    for part in parts_and_fail(text):
        await asyncio.sleep(0)
        yield part


@motion.trigger(on="ask.text", sets="ask.answer")
async def answer_later(text: str) -> AsyncIterator[str]:
    async for part in parts_and_fail_later(text):
        yield part


@motion.trigger(on="ask.text", sets="ask.idea", page="idea_page")
async def ideas_later(text: str) -> AsyncIterator[str]:
    async for part in parts_and_fail_later(text):
        yield part


@motion.trigger(on="ask.text", sets="ask.idea", page="idea_page")
def listed(text: str) -> list[str]:
    return list(parts_and_fail(text))


@motion.trigger(on="item.n", sets="item.out", inline=False)
def more(n: int) -> int:
    if n < 0:
        raise Broken(n)
    return n + 1


def taken(stream: Any) -> tuple[list[Any], str]:
    """Read a stream to its end; return what came, and what it raised."""
    found: list[Any] = []
    try:
        for each in stream:
            found.append(each)
    except motion.MotionError as exc:
        return found, type(exc).__name__
    return found, ""


async def taken_async(stream: Any) -> tuple[list[Any], str]:
    found: list[Any] = []
    try:
        async for each in stream:
            found.append(each)
    except motion.MotionError as exc:
        return found, type(exc).__name__
    return found, ""


Reader = Callable[[Any], tuple[list[Any], str]]
READERS: list[Reader] = [taken, lambda stream: asyncio.run(taken_async(stream))]
both = pytest.mark.parametrize("read", READERS, ids=["thread", "loop"])


# -- what a stream gives, and how it ends --


@both
@pytest.mark.parametrize("trigger", [answer, answer_later])
def test_a_stream_of_parts_raises_after_the_parts_that_came(
    open_store: OpenStore, read: Reader, trigger: Any
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[trigger])
    change = store.set("ask", id=1, text="a b bad c")
    assert read(change.stream("answer", parts=True)) == (["a", "b"], "TaskFailed")


@both
def test_who_reads_late_gets_the_parts_of_a_run_that_failed_and_not_those_of_another_text(
    open_store: OpenStore, read: Reader
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[answer])
    store.set("ask", id=1, text="old").wait()
    first = store.set("ask", id=1, text="a b bad").wait(raise_errors=False)
    late = read(first.stream("answer", parts=True))
    second = store.set("ask", id=1, text="bad").wait(raise_errors=False)
    nothing = read(second.stream("answer", parts=True))
    third = store.set("ask", id=1, text="c d").wait()
    assert (late, nothing) == ((["a", "b"], "TaskFailed"), ([], "TaskFailed"))
    assert read(third.stream("answer", parts=True)) == (["cd"], "")


def test_texts_of_async_generators_grow_at_once_and_are_whole_at_the_end(
    open_store: OpenStore,
) -> None:
    begun, closed = [], []

    @motion.trigger(on="ask.text", sets="ask.answer", timeout=20, concurrency=3)
    async def together(text: str) -> AsyncIterator[str]:
        begun.append(text)
        try:
            yield text
            while len(begun) < 3:
                await asyncio.sleep(0.001)
            yield "!"
        finally:
            closed.append(text)

    store = open_store(schemas=SCHEMAS, triggers=[together])
    changes = [store.set("ask", id=id, text=text) for id, text in enumerate("abc", 1)]
    found = ["".join(change.stream("answer", parts=True)) for change in changes]
    assert found == ["a!", "b!", "c!"]
    assert [row.answer for row in store.rows("ask")] == ["a!", "b!", "c!"]
    assert sorted(closed) == ["a", "b", "c"]


def test_an_async_generator_that_takes_too_long_fails_and_is_closed(open_store: OpenStore) -> None:
    closed = threading.Event()

    @motion.trigger(on="ask.text", sets="ask.answer", timeout=0.1)
    async def slow(text: str) -> AsyncIterator[str]:
        try:
            yield text
            await asyncio.Event().wait()
        finally:
            closed.set()

    store = open_store(schemas=SCHEMAS, triggers=[slow])
    change = store.set("ask", id=1, text="a")
    assert taken(change.stream("answer", parts=True)) == (["a"], "TaskFailed")
    assert "CallTimeout" in change.errors[0].error
    assert closed.wait(20)


def test_parts_of_a_run_that_failed_are_read_by_another_process(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[answer])
    key = store.set("ask", id=1, text="a b bad").wait(raise_errors=False).key
    store.close()
    store = open_store(schemas=SCHEMAS, triggers=[answer], run=False)
    again = motion.Change(store._database, key, table="ask", ids=[1], count=1)
    assert taken(again.stream("answer", parts=True)) == (["a", "b"], "TaskFailed")


@both
@pytest.mark.parametrize("trigger", [ideas, ideas_later])
def test_a_stream_of_pages_raises_after_the_pages_that_came(
    open_store: OpenStore, read: Reader, trigger: Any
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[trigger])
    store.set("ask", id=1, text="x y z").wait()
    found, error = read(store.set("ask", id=1, text="a b bad").stream("idea"))
    assert ([row.idea for row in found], error) == (["a", "b"], "TaskFailed")


@pytest.mark.parametrize("trigger", [ideas, ideas_later, listed])
def test_pages_of_the_last_run_are_not_given_for_those_of_a_new_one(
    open_store: OpenStore, trigger: Any
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[trigger], run=False)
    with Stepper(store) as worker:
        store.set("ask", id=1, text="x y z")
        worker.run_until_idle()
        stream = store.set("ask", id=1, text="a y").stream("idea")
        runs = threading.Thread(target=worker.run_until_idle)
        runs.start()
        found = sorted(row.idea for row in stream)
        runs.join()
    assert found == ["a", "y"]


@both
def test_a_stream_of_rows_raises_after_the_rows_that_came(
    open_store: OpenStore, read: Reader
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[more])
    store.set("item", id=2, n=5).wait()
    rows = [{"id": id, "n": -1 if id == 2 else id} for id in range(1, 5)]
    found, error = read(store.set_many("item", rows).stream("out"))
    assert (sorted(row.id for row in found), error) == ([1, 3, 4], "TaskFailed")


def test_a_stream_may_be_asked_not_to_raise(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[more])
    change = store.set("item", id=1, n=-1)
    assert taken(change.stream("out", raise_errors=False)) == ([], "")


def test_a_row_is_given_before_a_load_of_many_commits_is_over(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[more], run=False)
    with Stepper(store) as worker:

        def rows() -> Iterator[dict[str, int]]:
            for id in range(1, 5):
                if id == 3:
                    worker.run_until_idle()
                yield {"id": id, "n": id}

        stream = store.set_many("item", rows(), commit_every=1).stream("out", timeout=5)
        assert next(stream).id == 1
        worker.run_until_idle()
        assert [row.id for row in stream] == [2, 3, 4]


@both
def test_a_stream_in_which_nothing_comes_in_time_says_so(
    open_store: OpenStore, read: Reader
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[more], run=False)
    change = store.set("item", id=1, n=1)
    assert read(change.stream("out", timeout=0.05)) == ([], "WaitTimeout")


# -- changes of very many rows --


@both
def test_all_rows_of_a_change_of_many_are_given(open_store: OpenStore, read: Reader) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[more])
    change = store.set_many("item", [{"n": i} for i in range(25_000)])
    found, _ = read(change.stream("out"))
    assert (change.count, len({row.id for row in found})) == (25_000, 25_000)
    assert [row.out for row in change.rows()] == list(range(1, 25_001))


def test_ids_that_are_no_run_of_numbers_are_all_known(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[])
    store.set_many("item", [{"id": id, "n": 0} for id in range(11, 21)])
    ids = [*range(1, 11), *range(21, 31), *range(101, 10_000, 2), *range(30_000, 20_000, -1)]
    change = store.set_many("item", ({"id": id, "n": 1} for id in ids), commit_every=10)
    assert [row.id for row in change.rows()] == ids


def test_more_rows_than_can_be_known_are_refused_and_not_cut(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("motion.store.changes.given_ids.IDS_KEPT", 100)
    store = open_store(schemas=SCHEMAS, triggers=[more])
    change = store.set_many("item", ({"id": id * 7, "n": 1} for id in range(500)))
    for ask in (change.rows, lambda: change.stream("out"), lambda: change.wait("out")):
        with pytest.raises(motion.MotionError, match="so many rows of 'item'"):
            ask()
    assert change.wait().count == 500


# -- waits --


def test_waiting_for_a_key_waits_for_the_value_that_the_change_leads_to(
    open_store: OpenStore,
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[more], run=False)
    with Stepper(store) as worker:
        store.set("item", id=1, n=1)
        worker.run_until_idle()
        change = store.set("item", id=1, n=2)
        with pytest.raises(motion.WaitTimeout):
            change.wait("out", timeout=0)
        worker.run_until_idle()
        change.wait("out", timeout=0)


def test_waiting_for_a_key_waits_for_it_on_every_row(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[more], run=False)
    with Stepper(store) as worker:
        store.set("item", id=1, n=1)
        worker.run_until_idle()
        change = store.set_many("item", [{"id": 1, "out": 9}, {"id": 2, "n": 2}])
        with pytest.raises(motion.WaitTimeout):
            change.wait("out", timeout=0)
        worker.run_until_idle()
        change.wait("out", timeout=0)


def test_waiting_for_a_key_that_no_work_sets_ends_with_the_work(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[more])
    change = store.set("item", id=1, n=-1)
    change.wait("out", raise_errors=False)
    assert change.progress.remaining == 0


@pytest.mark.parametrize("way", ["timeout", "wait_for", "cancel"])
def test_an_await_that_is_given_up_leaves_nothing_behind(open_store: OpenStore, way: str) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[more], run=False)
    change = store.set("item", id=1, n=1)

    async def waits() -> Any:
        return await change

    async def give_up() -> str:
        try:
            if way == "timeout":
                async with asyncio.timeout(0.02):
                    await change
            elif way == "wait_for":
                await asyncio.wait_for(waits(), 0.02)
            else:
                task = asyncio.create_task(waits())
                await asyncio.sleep(0)
                task.cancel()
                await task
        except (TimeoutError, asyncio.CancelledError) as exc:
            return type(exc).__name__
        return ""

    given_up = asyncio.run(give_up())
    with Stepper(store) as worker:
        worker.run_until_idle()
        assert asyncio.run(waits()) is change
    assert given_up == ("CancelledError" if way == "cancel" else "TimeoutError")
    assert not store._database.awaiting._waits


class AheadLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock can be put forward."""

    ahead_s = 0.0

    def time(self) -> float:
        return super().time() + self.ahead_s


def test_an_await_goes_on_as_long_as_the_work_takes(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[more], run=False)
    change = store.set("item", id=1, n=1)

    async def waits() -> bool:
        async def wait() -> None:
            await change

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, AheadLoop)
        loop.ahead_s = 3_600
        await asyncio.sleep(0.01)
        assert not task.done(), task
        with Stepper(store) as worker:
            await asyncio.to_thread(worker.run_until_idle)
            await task
        return change.is_done()

    with asyncio.Runner(loop_factory=AheadLoop) as runner:
        assert runner.run(waits())


def test_very_many_awaits_take_no_thread_each(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[more], run=False)
    changes = [store.set("item", id=id, n=1) for id in range(200)]

    async def wait_for_all() -> int:
        async def wait(change: motion.Change) -> None:
            await change

        tasks = [asyncio.create_task(wait(change)) for change in changes]
        await asyncio.sleep(0)
        threads = threading.active_count()
        read = await store.aio.get("item", 1)  # nobody is in its way
        assert read is not None
        with Stepper(store) as worker:
            await asyncio.to_thread(worker.run_until_idle)
            await asyncio.gather(*tasks)
        return threads

    before = threading.active_count()
    assert asyncio.run(wait_for_all()) <= before + 3


def test_an_await_raises_a_dead_letter_of_its_cascade(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[more])

    async def fails() -> None:
        await store.set("item", id=1, n=-1)

    with pytest.raises(motion.TaskFailed):
        asyncio.run(fails())


def test_awaits_of_a_store_that_is_closed_say_so(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[more], run=False)
    change = store.set("item", id=1, n=1)

    async def closed_meanwhile() -> None:
        async def wait() -> None:
            await change

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        await asyncio.to_thread(store.close)
        await task

    with pytest.raises(motion.StoreClosed):
        asyncio.run(closed_meanwhile())
