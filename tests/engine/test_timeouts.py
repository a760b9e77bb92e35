"""Time-outs: a call that takes too long is not waited for any more, and what it does later goes nowhere."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import motion
from tests.conftest import OpenStore, is_running, pause

SHORT_S = 0.1
"""More than a call that does not wait takes on a busy machine, and so it is tried again where it did not suffice."""


@dataclass
class Doc:
    id: int
    text: str
    page: int
    loud: str
    note: str
    process: int


@dataclass
class Line:
    id: int
    of: int
    text: str
    loud: str


@dataclass
class Poem:
    id: int
    note: str


def open_docs(open_store: OpenStore, *triggers: Any, **options: Any) -> motion.Store:
    return open_store(schemas={"doc": Doc}, triggers=triggers, **options)


def doc(store: motion.Store, id: int, page: int = 0) -> Doc:
    row = store.get(Doc, id, page=page)
    assert row is not None
    return row


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """What calls of a test wait for: they all end with the test."""
    event = threading.Event()
    yield event
    event.set()


def until(condition: Any) -> None:
    while not condition():
        pause()


# -- in threads --


def test_a_row_that_hangs_fails_by_its_timeout_and_the_others_go_on(
    open_store: OpenStore, release: threading.Event
) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud", timeout=SHORT_S, retries=3)
    def shout(text: str) -> str:
        if text == "hang":
            release.wait()
        return text.upper()

    store = open_docs(open_store, shout)
    store.set_many(
        "doc", [{"id": 1, "text": "a"}, {"id": 2, "text": "hang"}, {"id": 3, "text": "b"}]
    )
    store.wait(timeout=60)
    assert [row.loud for row in store.rows("doc")] == ["A", None, "B"]
    (letter,) = store.errors()
    assert "CallTimeout: the call did not return within 0.1 s" in letter.error
    assert (letter.row, letter.attempts, letter.inputs) == ("id=2 page=0", 4, "text='hang'")


def test_a_call_that_hangs_once_is_tried_again(
    open_store: OpenStore, release: threading.Event
) -> None:
    calls: list[str] = []

    @motion.trigger(on="doc.text", sets="doc.loud", timeout=SHORT_S, retries=9)
    def shout(text: str) -> str:
        calls.append(text)
        if len(calls) == 1:
            release.wait()
        return text.upper()

    store = open_docs(open_store, shout)
    store.set("doc", id=1, text="a").wait(timeout=60)
    assert (doc(store, 1).loud, len(calls) >= 2) == ("A", True)


def test_what_a_call_gives_and_writes_after_its_timeout_goes_nowhere(
    open_store: OpenStore, release: threading.Event
) -> None:
    left = threading.Event()

    @motion.trigger(on="doc.text", sets="doc.loud", timeout=SHORT_S)
    def shout(text: str, id: int, store: motion.View) -> str:
        release.wait()
        store.set("doc", id=id, note="through the view")
        ambient.set("doc", id=id, note="through the store")
        ambient.set("doc", id=99, note="a row of its own")
        left.set()
        return text.upper()

    ambient = store = open_docs(open_store, shout)
    store.set("doc", id=1, text="a").wait(raise_errors=False)
    release.set()
    left.wait()
    store.wait(timeout=60)
    assert (store.rows("doc")[0].loud, store.rows("doc")[0].note) == (None, None)
    assert [row.id for row in store.rows("doc")] == [1]


def test_a_batch_that_hangs_is_halved_until_the_row_stands_alone(
    open_store: OpenStore, release: threading.Event
) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud", timeout=SHORT_S, batch=8)
    def shout(text: list[str]) -> list[str]:
        if "t5" in text:
            release.wait()
        return [each.upper() for each in text]

    store = open_docs(open_store, shout)
    store.set_many("doc", [{"id": i, "text": f"t{i}"} for i in range(1, 13)])
    store.wait(timeout=60)
    assert [row.loud for row in store.rows("doc")] == [
        None if i == 5 else f"T{i}" for i in range(1, 13)
    ]
    assert [letter.row for letter in store.errors()] == ["id=5 page=0"]


def test_waiting_for_its_turn_does_not_count(
    open_store: OpenStore, release: threading.Event
) -> None:
    """The halves of a batch that hung are called a turn of half a second apart, which is longer than the time-out."""

    @motion.trigger(on="doc.text", sets="doc.loud", timeout=SHORT_S, batch=4, rate="2/s")
    def shout(text: list[str]) -> list[str]:
        if "t1" in text:
            release.wait()
        return [each.upper() for each in text]

    store = open_docs(open_store, shout)
    store.set_many("doc", [{"id": i, "text": f"t{i}"} for i in range(1, 5)])
    store.wait(timeout=60)
    assert [row.loud for row in store.rows("doc")] == [None, "T2", "T3", "T4"]


def test_a_generator_that_hangs_adds_no_page_after_its_timeout(
    open_store: OpenStore, release: threading.Event
) -> None:
    inside: list[threading.Thread] = []

    @motion.trigger(on="doc.text", sets="doc.loud", page="page", timeout=SHORT_S)
    def words(text: str) -> Iterator[str]:
        inside.append(threading.current_thread())
        yield "first"
        release.wait()
        yield "second"

    store = open_docs(open_store, words)
    store.set("doc", id=1, text="a").wait(raise_errors=False)
    release.set()
    until(lambda: not any(thread.is_alive() for thread in inside))
    store.wait(timeout=60)
    assert [row.loud for row in store.rows("doc", id=1)] == ["first"]
    assert "CallTimeout" in store.errors()[0].error


def test_an_error_in_time_is_the_functions_own(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud", timeout=60)
    def shout(text: str) -> str:
        raise TimeoutError("of its own")

    store = open_docs(open_store, shout)
    store.set("doc", id=1, text="a").wait(raise_errors=False)
    assert store.errors()[0].error.endswith("\nTimeoutError: of its own\n")


def test_more_calls_may_hang_than_the_worker_has_threads(
    open_store: OpenStore, release: threading.Event
) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud", timeout=SHORT_S, concurrency=4)
    def hang(text: str) -> str:
        if text != "fine":
            release.wait()
        return text

    @motion.trigger(on="doc.text", sets="doc.note")
    def note(text: str) -> str:
        return f"{text}?"

    store = open_docs(open_store, hang, note)
    for i in range(1, 13):
        store.set("doc", id=i, text="hang")
    store.wait(timeout=60)
    assert [row.note for row in store.rows("doc")] == ["hang?"] * 12
    store.set("doc", id=13, text="fine").wait(timeout=60)
    assert doc(store, 13).loud == "fine"


def test_calls_that_hang_pile_up_to_a_bound_and_then_the_rest_waits_for_one_to_end(
    open_store: OpenStore, release: threading.Event
) -> None:
    begun: list[str] = []

    @motion.trigger(on="doc.text", sets="doc.loud", timeout=0.01)
    def shout(text: str) -> str:
        begun.append(text)
        release.wait()
        return text.upper()

    store = open_docs(open_store, shout)
    store.set_many("doc", [{"id": i, "text": f"t{i}"} for i in range(100)])
    until(lambda: len(store.errors()) == 32)
    store.set("doc", id=100, text="one more")
    with pytest.raises(motion.WaitTimeout):
        store.wait(timeout=1.5)  # three of the worker's looks for work
    assert len(begun) == 32
    release.set()
    store.wait(timeout=60)
    assert len(begun) == 101


# -- in processes --


def test_a_process_whose_call_hangs_is_ended_and_others_go_on(
    open_store: OpenStore, tmp_path: Path
) -> None:
    @motion.trigger(on="doc.text", sets=("doc.loud", "doc.process"), timeout=1, executor="process")
    def shout(text: str) -> tuple[str, int]:
        if text == "hang":
            (tmp_path / "sign").write_text(f"{os.getpid()}")
            threading.Event().wait()
        return text.upper(), os.getpid()

    store = open_docs(open_store, shout)
    store.set_many(
        "doc", [{"id": 1, "text": "a"}, {"id": 2, "text": "hang"}, {"id": 3, "text": "b"}]
    )
    store.wait(timeout=60)
    assert [row.loud for row in store.rows("doc")] == ["A", None, "B"]
    assert "CallTimeout: the call did not return within 1 s" in store.errors()[0].error
    ended = int((tmp_path / "sign").read_text())
    assert doc(store, 1).process == ended != doc(store, 3).process
    assert not is_running(ended)


def test_a_timeout_does_not_count_what_a_process_takes_to_start_and_load(
    open_store: OpenStore,
) -> None:
    class Slow(motion.Component):
        def setup(self) -> Any:
            return 1

        def load(self, saved: Any) -> Any:
            time.sleep(0.5)  # longer than the time-out
            return saved

        @motion.infer(on="doc.text", sets="doc.loud", executor="process", timeout=0.4)
        def shout(self, state: int, text: str) -> str:
            return text.upper() * state

    store = open_docs(open_store, Slow())
    store.set("doc", id=1, text="a").wait(timeout=60)
    assert doc(store, 1).loud == "A"


# -- closing --


def test_closing_does_not_wait_for_a_call_that_hangs(
    open_store: OpenStore, release: threading.Event
) -> None:
    begun, ended = threading.Event(), threading.Event()

    @motion.trigger(on="doc.text", sets="doc.loud")
    def shout(text: str) -> str:
        begun.set()
        release.wait()
        ended.set()
        return text.upper()

    store = open_docs(open_store, shout)
    store.set("doc", id=1, text="a")
    begun.wait()
    store.close()
    assert not ended.is_set()
    release.set()
    again = open_docs(open_store, shout)
    again.wait(timeout=60)
    assert doc(again, 1).loud == "A"


def test_closing_does_not_wait_for_a_call_with_a_timeout_that_hangs(
    open_store: OpenStore, release: threading.Event
) -> None:
    begun, ended = threading.Event(), threading.Event()

    @motion.trigger(on="doc.text", sets="doc.loud", timeout=1000)
    def shout(text: str) -> str:
        begun.set()
        release.wait()
        ended.set()
        return text.upper()

    store = open_docs(open_store, shout)
    store.set("doc", id=1, text="a")
    begun.wait()
    store.close()
    assert not ended.is_set()


def test_closing_does_not_wait_for_an_async_function_that_blocks_its_loop(
    open_store: OpenStore, release: threading.Event
) -> None:
    begun, ended = threading.Event(), threading.Event()

    @motion.trigger(on="doc.text", sets="doc.loud", timeout=1000)
    async def shout(text: str) -> str:
        begun.set()
        release.wait()
        ended.set()
        return text.upper()

    store = open_docs(open_store, shout)
    store.set("doc", id=1, text="a")
    begun.wait()
    store.close()
    assert not ended.is_set()


def test_closing_cancels_an_async_function_that_waits(open_store: OpenStore) -> None:
    begun, cancelled = threading.Event(), threading.Event()

    @motion.trigger(on="doc.text", sets="doc.loud")
    async def shout(text: str) -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return text.upper()

    store = open_docs(open_store, shout)
    store.set("doc", id=1, text="a")
    begun.wait()
    store.close()
    assert cancelled.wait(
        100
    )  # the loop is waited for a while only, on a busy machine not to its end


@pytest.mark.parametrize("gathers", [False, True])
def test_closing_makes_no_call_of_half_the_rows_of_one_that_it_cancels(
    open_store: OpenStore, gathers: bool
) -> None:
    calls: list[int] = []
    begun, cancelled, may_end = threading.Event(), threading.Event(), threading.Event()

    async def answered(text: list[str]) -> None:
        calls.append(len(text))
        begun.set()
        try:
            await (asyncio.sleep(0) if may_end.is_set() else asyncio.Event().wait())
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def shout(text: list[str]) -> list[str]:
        await answered(text)
        return [each.upper() for each in text]

    async def gather(note: str | None, text: list[str]) -> str:
        await answered(text)
        return (note or "") + "".join(text)

    plain = motion.trigger(on="line.text", sets="line.loud", batch=4)(shout)
    fold = motion.fold(on="line.text", by="line.of", sets="poem.note", gather=4)(gather)
    schemas, triggers = {"poem": Poem, "line": Line}, [fold if gathers else plain]
    store = open_store(schemas=schemas, triggers=triggers)
    store.set_many("line", [{"id": i, "of": 1, "text": f"t{i}"} for i in range(4)])
    begun.wait()
    store.close()
    assert cancelled.wait(100)
    may_end.set()
    again = open_store(schemas=schemas, triggers=triggers)
    again.wait(timeout=60)
    assert calls == [4, 4]
    assert again.errors() == []


def test_a_call_that_waits_for_what_only_it_knows_is_not_collected_as_garbage(
    open_store: OpenStore,
) -> None:
    begun, ended = threading.Event(), threading.Event()

    @motion.trigger(on="doc.text", sets="doc.loud")
    async def shout(text: str) -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return text.upper()

    store = open_docs(open_store, shout)
    store.set("doc", id=1, text="a")
    begun.wait()
    for _ in range(20):
        gc.collect()
        ended.wait(0.01)
    assert not ended.is_set()
    assert store.errors() == []
    store.close()
    assert ended.is_set()


def test_closing_ends_a_process_whose_call_hangs_and_the_next_start_runs_it(
    open_store: OpenStore, tmp_path: Path
) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud", executor="process")
    def shout(text: str) -> str:
        if not (tmp_path / "sign").exists():
            (tmp_path / "sign").write_text(f"{os.getpid()}")
            threading.Event().wait()
        return text.upper()

    store = open_docs(open_store, shout)
    store.set("doc", id=1, text="a")
    until(lambda: (tmp_path / "sign").exists() and (tmp_path / "sign").read_text())
    store.close()
    assert not is_running(int((tmp_path / "sign").read_text()))
    again = open_docs(open_store, shout)
    again.wait(timeout=60)
    assert doc(again, 1).loud == "A"
