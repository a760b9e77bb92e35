"""One row's exception, of whatever class and with whatever text, is that row's failure and nobody else's (P10)."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import motion
from motion import clock
from tests.conftest import OpenStore, until


class Panic(BaseException):
    """As a Rust library's panic, or a time-out of gevent: not an `Exception`."""


@dataclass
class Doc:
    id: int
    text: str
    out: str
    part: str
    part_page: int


@dataclass
class Note:
    id: int
    text: str


CLASSES = [Panic, SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, MemoryError]


def made(text: str, error: type[BaseException]) -> str:
    if text == "bad":
        raise error("what it says")
    return text.upper()


def plain(error: type[BaseException], **options: Any) -> Any:
    @motion.trigger(on="doc.text", sets="doc.out", **options)
    def derive(text: str) -> str:
        return made(text, error)

    return derive


def generator(error: type[BaseException]) -> Any:
    @motion.trigger(on="doc.text", sets="doc.out")
    def derive(text: str) -> Iterator[str]:
        yield made(text, error)

    return derive


def pages(error: type[BaseException]) -> Any:
    @motion.trigger(on="doc.text", sets="doc.part", page="part_page")
    def derive(text: str) -> Iterator[str]:
        yield "first"
        yield made(text, error)

    return derive


def batch(error: type[BaseException]) -> Any:
    @motion.trigger(on="doc.text", sets="doc.out", batch=8)
    def derive(text: list[str]) -> list[str]:
        return [made(each, error) for each in text]

    return derive


def asynchronous(error: type[BaseException]) -> Any:
    @motion.trigger(on="doc.text", sets="doc.out")
    async def derive(text: str) -> str:
        await asyncio.sleep(0)
        return made(text, error)

    return derive


def condition(error: type[BaseException]) -> Any:
    @motion.trigger(on="doc.text", sets="doc.out", when=lambda row: made(row.text, error))
    def derive(text: str) -> str:
        return text.upper()

    return derive


def result(error: type[BaseException]) -> Any:
    class Rows:
        def __init__(self, text: str) -> None:
            self.text = text

        def __iter__(self) -> Iterator[str]:
            yield made(self.text, error)

    @motion.trigger(on="doc.text", sets="doc.part", page="part_page")
    def derive(text: str) -> Any:
        return Rows(text)

    return derive


WAYS: dict[str, Callable[[type[BaseException]], Any]] = {
    "a task": lambda error: plain(error, inline=False),
    "inline": lambda error: plain(error, inline=True),
    "with a time-out": lambda error: plain(error, timeout=60),
    "with memos": lambda error: plain(error, memo=True),
    "with retries": lambda error: plain(error, retries=1),
    "a generator": generator,
    "a generator of pages": pages,
    "a batch": batch,
    "async": asynchronous,
    "when": condition,
    "reading the result": result,
}


@pytest.mark.parametrize("error", CLASSES)
@pytest.mark.parametrize("way", WAYS)
def test_an_exception_of_any_class_fails_its_row_alone(
    open_store: OpenStore, way: str, error: type[BaseException]
) -> None:
    if (way, error) == ("async", asyncio.CancelledError):
        pytest.skip("cancelled calls have tests of their own")
    store = open_store(schemas={"doc": Doc}, triggers=[WAYS[way](error)])
    with store.transaction() as tx:
        for i, text in enumerate(["good", "bad", "fine"], start=1):
            tx.set("doc", id=i, text=text)
    store.wait(timeout=60)
    store.set("doc", id=4, text="later").wait()
    shown = {row.id: row.out or row.part for row in store.rows("doc") if row.out or row.part}
    assert {1, 3, 4} <= shown.keys()
    (letter,) = store.errors()
    assert letter.row.startswith("id=2")
    assert error.__name__ in letter.error
    assert "what it says" in letter.error
    assert "in made" in letter.error  # the line that raised it
    assert letter.attempts == (2 if way == "with retries" else 1)


@pytest.mark.parametrize("error", CLASSES)
def test_an_exception_of_any_class_in_setup_or_load_fails_the_rows_that_wait_for_it(
    open_store: OpenStore, error: type[BaseException]
) -> None:
    class Broken(motion.Component):
        def setup(self) -> Any:
            raise error("no weights")

        @motion.infer(on="doc.text", sets="doc.out")
        def infer(self, state: Any, text: str) -> str:
            return text

    class Unloadable(motion.Component):
        def setup(self) -> Any:
            return {"a": 1}

        def save(self, state: Any) -> dict[str, Any]:
            return {"a": 1}

        def load(self, saved: dict[str, Any]) -> Any:
            raise error("no weights")

        @motion.infer(on="note.text", sets="note.text2")
        def infer(self, state: Any, text: str) -> str:
            return text

    @dataclass
    class Note2:
        id: int
        text: str
        text2: str

    store = open_store(
        schemas={"doc": Doc, "note": Note2},
        triggers=[Broken(), Unloadable(), plain(error, name="other", inline=False)][:2],
    )
    store.set("doc", id=1, text="a")
    store.set("note", id=1, text="a")
    store.wait(timeout=60)
    assert {letter.trigger for letter in store.errors()} == {"Broken.infer", "Unloadable.infer"}
    assert all("no weights" in letter.error for letter in store.errors())


@pytest.mark.parametrize("error", [Panic, SystemExit, KeyboardInterrupt])
def test_an_exception_of_any_class_in_a_schedule_is_a_dead_letter_and_the_schedule_goes_on(
    open_store: OpenStore, error: type[BaseException]
) -> None:
    times: list[int] = []

    @motion.trigger(on=motion.every(hours=1))
    def hourly(store: motion.View) -> None:
        times.append(1)
        if len(times) == 1:
            raise error("what it says")
        store.set("note", text="ran")

    store = open_store(schemas={"note": Note}, triggers=[hourly])
    clock.advance(3601)
    until(store, lambda: bool(store.errors()))
    assert error.__name__ in store.errors()[0].error
    clock.advance(3601)
    until(store, lambda: bool(store.rows("note")))


@pytest.mark.parametrize("error", [Panic, SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("where", ["fit", "save", "evaluate"])
def test_an_exception_of_any_class_in_a_fit_is_a_failed_or_refused_version(
    open_store: OpenStore, where: str, error: type[BaseException]
) -> None:
    class Counter(motion.Component):
        def __init__(self, where: str) -> None:
            self.where = where

        def setup(self) -> dict[str, int]:
            return {"n": 0}

        def save(self, state: dict[str, int]) -> dict[str, Any]:
            if self.where == "save" and state["n"]:
                raise error("what it says")
            return dict(state)

        def load(self, saved: dict[str, Any]) -> dict[str, int]:
            return dict(saved)

        @motion.infer(on="doc.text", sets="doc.out")
        def infer(self, state: dict[str, int], text: str) -> str:
            return f"{text} {state['n']}"

        @motion.fit(on="doc.text", every=1, promote=motion.if_better("score"))
        def learn(self, state: dict[str, int], rows: list[Doc]) -> dict[str, int]:
            if self.where == "fit":
                raise error("what it says")
            return {"n": state["n"] + len(rows)}

        def evaluate(self, state: dict[str, int], rows: list[Doc]) -> dict[str, float]:
            if self.where == "evaluate":
                raise error("what it says")
            return {"score": state["n"]}

    store = open_store(schemas={"doc": Doc}, triggers=[Counter(where)])
    store.set("doc", id=1, text="a")
    ended = ("failed", "refused")
    until(store, lambda: any(v.status in ended for v in store.model("Counter").versions()))
    (version,) = [v for v in store.model("Counter").versions() if v.status in ended]
    assert version.metrics["reason"] == f"{error.__name__}: what it says"
    assert store.set("doc", id=2, text="b").wait("out").id == 2


def test_a_system_exit_in_a_task_that_an_async_function_made_leaves_the_event_loop_running(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on="doc.text", sets="doc.out")
    async def derive(text: str) -> str:
        async def part() -> str:
            return made(text, SystemExit)

        return await asyncio.create_task(part())

    store = open_store(schemas={"doc": Doc}, triggers=[derive])
    store.set("doc", id=1, text="bad")
    store.wait(timeout=60)
    assert store.set("doc", id=2, text="good").wait("out").rows()[0].out == "GOOD"
    assert len(store.errors()) == 1


# -- texts --


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def circular() -> Exception:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    return first


class Odd(Exception):
    __module__ = None  # type: ignore[assignment]  # what some extension modules do


class Stop(BaseException):
    """What some libraries raise where no handler is to catch it."""


class Named(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]  # as a metaclass may
        raise Stop


class Hidden(Exception, metaclass=Named):
    pass


class Unread(Exception):
    @property
    def __notes__(self) -> list[str]:  # type: ignore[override]  # as a class may
        raise Stop

    def __str__(self) -> str:
        raise SystemExit(3)


TEXTS: dict[str, tuple[Callable[[], BaseException], str]] = {
    "a lone surrogate": (lambda: ValueError("caf\udce9"), r"ValueError: caf\udce9"),
    "a zero byte": (lambda: ValueError("a\0b"), r"a\x00b"),
    "no message": (lambda: ValueError(), "ValueError"),
    "a message that cannot be had": (Mute, "Mute"),
    "causes in a circle": (circular, "first"),
    "a group": (lambda: ExceptionGroup("all", [ValueError("one"), TypeError("two")]), "two"),
    "a class without a module": (lambda: Odd("odd"), "odd"),
    "lines": (lambda: ValueError("one\ntwo\n\n"), "two"),
    "notes that cannot be read": (Unread, "Unread: <its text cannot be had: SystemExit>"),
    "a class whose name cannot be read": (lambda: Hidden("shown"), "Hidden: shown"),
    "notes": (lambda: noted(ValueError("x"), "a note\udce9"), "a note"),
}


def noted(error: Exception, note: str) -> Exception:
    error.add_note(note)
    return error


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("way", ["raised", "returned"])
def test_an_error_is_kept_with_its_text_whatever_that_is(
    open_store: OpenStore, text: str, way: str
) -> None:
    make, shown = TEXTS[text]

    @motion.trigger(on="doc.text", sets="doc.out", batch=4)
    def derive(text: list[str]) -> list[Any]:
        if "bad" in text and way == "raised":
            raise make()
        return [motion.Failed(make()) if each == "bad" else each for each in text]

    store = open_store(schemas={"doc": Doc}, triggers=[derive])
    store.set_many("doc", [{"id": 1, "text": "good"}, {"id": 2, "text": "bad"}])
    store.wait(timeout=60)
    (letter,) = store.errors()
    assert shown in letter.error
    assert letter.error.encode("utf-8")
    assert store.get("doc", 1).out == "good"


def test_an_error_as_long_as_a_book_is_kept_with_its_beginning_and_its_end(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on="doc.text", sets="doc.out")
    def derive(text: str) -> str:
        raise ValueError("begins " + "x" * 5_000_000 + " ends")

    store = open_store(schemas={"doc": Doc}, triggers=[derive])
    store.set("doc", id=1, text="a")
    store.wait(timeout=60)
    (letter,) = store.errors()
    assert len(letter.error) < 50_000
    assert "begins" in letter.error
    assert letter.error.rstrip().endswith("ends")


def test_a_row_that_failed_without_a_reason_is_set_aside_like_any_other(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on="doc.text", sets="doc.out", batch=4)
    def derive(text: list[str]) -> list[Any]:
        return [motion.Failed("") if each == "bad" else each for each in text]

    store = open_store(schemas={"doc": Doc}, triggers=[derive])
    store.set_many("doc", [{"id": 1, "text": "good"}, {"id": 2, "text": "bad"}])
    store.wait(timeout=60)
    assert [letter.row for letter in store.errors()] == ["id=2 part_page=0"]
    assert store.errors()[0].error


# -- what is the user's and no row's --


class Alarm(Exception):
    """What a program's own handler of a signal raises."""


@pytest.fixture
def alarm() -> Iterator[None]:
    def handle(*_: object) -> None:
        raise Alarm

    before = signal.signal(signal.SIGUSR1, handle)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGUSR1, Alarm)]
)
def test_a_signal_while_a_trigger_runs_inline_reaches_who_writes_and_nothing_is_written(
    open_store: OpenStore, alarm: None, number: signal.Signals, error: type[BaseException]
) -> None:
    called: list[str] = []

    @motion.trigger(on="doc.text", sets="doc.out", inline=True)
    def derive(text: str) -> str:
        called.append(text)
        if len(called) == 1:
            signal.raise_signal(number)  # in this very thread, now
        return text.upper()

    store = open_store(schemas={"doc": Doc}, triggers=[derive])
    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(error):
        store.set("doc", id=1, text="a")
    assert store.get("doc", 1) is None
    store.set("doc", id=2, text="b").wait()
    assert store.get("doc", 2).out == "B"
    assert store.errors() == []
