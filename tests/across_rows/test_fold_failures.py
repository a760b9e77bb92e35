"""One row's failure, of whatever kind, is that row's and no other's in a fold, too: the others are folded."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import motion
from motion.errors import ProcessLost
from tests.across_rows.messages import SCHEMAS
from tests.conftest import OpenStore


class Panic(BaseException):
    """As a Rust library's panic: not an `Exception`."""


CLASSES = [ValueError, Panic, SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError]

Way = Callable[[type[BaseException]], Any]


def folding(**options: Any) -> Any:
    return motion.fold(
        on="message.text", by="message.user", sets="user.profile", name="remember", **options
    )


def plain(error: type[BaseException], **options: Any) -> Any:
    def remember(profile: str | None, text: str) -> str:
        if text == "bad":
            raise error("what it says")
        return (profile or "") + text

    return folding(**options)(remember)


def in_lists(error: type[BaseException], **options: Any) -> Any:
    def remember(profile: str | None, text: list[str]) -> str:
        if "bad" in text:
            raise error("what it says")
        return (profile or "") + "".join(text)

    return folding(gather=3, **options)(remember)


def asynchronous(error: type[BaseException], **options: Any) -> Any:
    async def remember(profile: str | None, text: str) -> str:
        await asyncio.sleep(0)
        if text == "bad":
            raise error("what it says")
        return (profile or "") + text

    return folding(**options)(remember)


def asynchronous_in_lists(error: type[BaseException], **options: Any) -> Any:
    async def remember(profile: str | None, text: list[str]) -> str:
        await asyncio.sleep(0)
        if "bad" in text:
            raise error("what it says")
        return (profile or "") + "".join(text)

    return folding(gather=3, **options)(remember)


def cancelling_itself(error: type[BaseException], **options: Any) -> Any:
    async def remember(profile: str | None, text: Any) -> str:
        if "bad" in text:
            task = asyncio.current_task()
            assert task is not None
            task.cancel("what it says")
            await asyncio.sleep(60)
        return (profile or "") + "".join(text)

    return folding(**options)(remember)


WAYS: dict[str, Way] = {
    "plain": plain,
    "each row once": lambda error: plain(error, replay=False),
    "with a time-out": lambda error: plain(error, timeout=60),
    "in lists": in_lists,
    "in lists with a time-out": lambda error: in_lists(error, timeout=60),
    "in lists at a rate": lambda error: in_lists(error, rate="1000/s"),
    "async": asynchronous,
    "async with a time-out": lambda error: asynchronous(error, timeout=60),
    "async in lists with a time-out": lambda error: asynchronous_in_lists(error, timeout=60),
}


@pytest.mark.parametrize("error", CLASSES)
@pytest.mark.parametrize("way", WAYS)
def test_an_exception_of_any_class_fails_its_row_alone(
    open_store: OpenStore, way: str, error: type[BaseException]
) -> None:
    fails_its_row_alone(open_store(schemas=SCHEMAS, triggers=[WAYS[way](error)]), error)


def test_an_exception_of_any_class_fails_its_row_alone_in_another_process(
    open_store: OpenStore,
) -> None:
    remember = plain(SystemExit, executor="process")
    fails_its_row_alone(open_store(schemas=SCHEMAS, triggers=[remember]), SystemExit)


@pytest.mark.parametrize("options", [{}, {"timeout": 60}, {"rate": "1000/s"}])
@pytest.mark.parametrize("is_async", [False, True])
def test_what_a_call_has_written_that_fails_goes_nowhere(
    open_store: OpenStore, is_async: bool, options: dict[str, Any]
) -> None:
    store: motion.Store

    def folded(profile: str | None, text: list[str]) -> str:
        called = " ".join(text)
        store.set("user", id=1000 * len(called) + ord(called[0]), name=called)
        if "bad" in text:
            raise ValueError("what it says")
        return (profile or "") + "".join(text)

    def remember(profile: str | None, text: list[str]) -> str:
        return folded(profile, text)

    async def remember_async(profile: str | None, text: list[str]) -> str:
        return folded(profile, text)

    fold = folding(gather=4, **options)(remember_async if is_async else remember)
    store = open_store(schemas=SCHEMAS, triggers=[fold])
    fails_its_row_alone(store, ValueError)
    assert {row.name for row in store.rows("user")} == {None, "a b", "d e"}


@pytest.mark.crash
@pytest.mark.parametrize("gather", [None, 3])
def test_a_row_that_ends_the_process_is_given_up_alone(
    open_store: OpenStore, gather: int | None
) -> None:
    def remember(profile: str | None, text: Any) -> str:
        if "bad" in text:
            os._exit(3)
        return (profile or "") + "".join(text)

    store = open_store(
        schemas=SCHEMAS, triggers=[folding(gather=gather, executor="process")(remember)]
    )
    fails_its_row_alone(store, ProcessLost, "processes ended")


@pytest.mark.parametrize(
    "options", [{}, {"timeout": 60}, {"gather": 3}, {"gather": 3, "timeout": 60}]
)
def test_a_call_that_cancels_itself_fails_its_row_alone(
    open_store: OpenStore, options: dict[str, Any]
) -> None:
    error = asyncio.CancelledError
    remember = cancelling_itself(error, **options)
    fails_its_row_alone(open_store(schemas=SCHEMAS, triggers=[remember]), error)


@pytest.mark.crash
def test_a_row_behind_many_that_ends_the_process_is_found_in_a_bounded_number_of_them(
    open_store: OpenStore, tmp_path: Path
) -> None:
    def remember(profile: str | None, text: list[str]) -> str:
        if "t50" in text:
            (tmp_path / str(os.getpid())).touch()
            os._exit(3)
        return (profile or "") + "".join(text)

    fold = folding(gather=4, executor="process")(remember)
    store = open_store(schemas=SCHEMAS, triggers=[fold])
    send(store, 64)
    store.wait(timeout=120)
    assert store.get("user", 1).profile == "".join(f"t{i}" for i in range(64) if i != 50)
    assert [letter.row for letter in store.errors()] == ["id=50"]
    assert len(list(tmp_path.iterdir())) <= 2 * 7 + 10  # halves of 64 twice, and the row alone


# -- calls that take too long --

SHORT_S = 0.5
"""More than a call that does not wait takes on a busy machine; where it is not, the row is tried again."""


def waiting(text: list[str], seen: Path) -> bool:
    if "t5" in text:
        with seen.open("a") as file:
            file.write(f"{len(text)} ")
    return "t5" in text


def plain_waits(seen: Path, release: threading.Event, **options: Any) -> Any:
    def remember(profile: str | None, text: list[str]) -> str:
        if waiting(text, seen):
            release.wait()
        return (profile or "") + "".join(text)

    return folding(timeout=SHORT_S, gather=8, **options)(remember)


def async_waits(seen: Path, release: threading.Event, **options: Any) -> Any:
    async def remember(profile: str | None, text: list[str]) -> str:
        if waiting(text, seen):
            await asyncio.Event().wait()
        return (profile or "") + "".join(text)

    return folding(timeout=SHORT_S, gather=8, **options)(remember)


def process_waits(seen: Path, release: threading.Event, **options: Any) -> Any:
    def remember(profile: str | None, text: list[str]) -> str:
        if waiting(text, seen):
            threading.Event().wait()
        return (profile or "") + "".join(text)

    return folding(timeout=SHORT_S, gather=8, executor="process", **options)(remember)


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """What calls of a test wait for: they all end with the test."""
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.parametrize(
    ("waits", "options"),
    [
        (plain_waits, {}),
        (plain_waits, {"replay": False}),
        (async_waits, {}),
        pytest.param(process_waits, {}, marks=pytest.mark.crash),
    ],
)
def test_of_rows_handed_over_together_that_which_takes_too_long_is_given_up_alone(
    open_store: OpenStore,
    tmp_path: Path,
    release: threading.Event,
    waits: Callable[..., Any],
    options: dict[str, Any],
) -> None:
    seen = tmp_path / "seen"
    store = open_store(schemas=SCHEMAS, triggers=[waits(seen, release, retries=2, **options)])
    send(store, 12)
    store.wait(timeout=120)
    assert store.get("user", 1).profile == "".join(f"t{i}" for i in range(12) if i != 5)
    (letter,) = store.errors()
    assert (letter.row, letter.attempts) == ("id=5", 3)
    assert f"CallTimeout: the call did not return within {SHORT_S} s" in letter.error
    # halved until it stands alone, when it is not the first of its list and when it is, and tried again alone
    assert seen.read_text().split() == [*"8421", *"7", *"31", *"11"]


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_rows_that_take_too_long_together_only_are_all_folded(
    open_store: OpenStore, executor: Any
) -> None:
    def remember(profile: str | None, text: list[str]) -> str:
        if len(text) > 2:
            threading.Event().wait(60)
        return (profile or "") + "".join(text)

    fold = folding(timeout=SHORT_S, gather=8, retries=9, executor=executor)(remember)
    store = open_store(schemas=SCHEMAS, triggers=[fold])
    send(store, 8)
    store.wait(timeout=60)
    assert store.get("user", 1).profile == "t0t1t2t3t4t5t6t7"
    assert store.errors() == []


def send(store: motion.Store, count: int) -> None:
    store.set_many(
        "message", [{"id": i, "ts": i, "user": 1, "text": f"t{i}"} for i in range(count)]
    )


def fails_its_row_alone(
    store: motion.Store, error: type[BaseException], says: str = "what it says"
) -> None:
    texts = ["a", "b", "bad", "d", "e"]
    store.set_many(
        "message", [{"id": i, "ts": i, "user": 1, "text": text} for i, text in enumerate(texts, 1)]
    )
    store.wait(timeout=250)
    assert store.get("user", 1).profile == "abde"
    (letter,) = store.errors()
    assert letter.row == "id=3"
    assert error.__name__ in letter.error
    assert says in letter.error
    plan = store.plan("remember")
    assert store.status().triggers["remember"].stale == plan.stale == 1
    assert plan.current == 0


@pytest.mark.parametrize("replay", [True, False])
@pytest.mark.parametrize("is_forgotten", [True, False])
def test_what_is_told_of_a_row_that_was_given_up_goes_with_it(
    open_store: OpenStore, replay: bool, is_forgotten: bool
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[plain(ValueError, replay=replay)])
    fails_its_row_alone(store, ValueError)
    (store.forget if is_forgotten else store.delete)("message", 3)
    store.wait(timeout=60)
    assert store.errors() == []
    assert store.status().triggers["remember"].stale == 0
    assert store.get("user", 1).profile == "abde"


def test_a_priority_by_a_key_is_refused_of_a_fold_where_it_is_declared() -> None:
    with pytest.raises(motion.TriggerError, match="it is a number"):
        plain(ValueError, priority="message.ts")
