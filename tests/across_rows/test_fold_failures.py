"""One row's failure, of whatever kind, is that row's and no other's in a fold, too: the others are folded."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
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


def cancelling_itself(error: type[BaseException], **options: Any) -> Any:
    async def remember(profile: str | None, text: str) -> str:
        if text == "bad":
            task = asyncio.current_task()
            assert task is not None
            task.cancel("what it says")
            await asyncio.sleep(60)
        return (profile or "") + text

    return folding(**options)(remember)


WAYS: dict[str, Way] = {
    "plain": plain,
    "each row once": lambda error: plain(error, replay=False),
    "with a time-out": lambda error: plain(error, timeout=60),
    "in lists": in_lists,
    "async": asynchronous,
    "async with a time-out": lambda error: asynchronous(error, timeout=60),
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


@pytest.mark.parametrize("options", [{}, {"timeout": 60}])
def test_a_call_that_cancels_itself_fails_its_row_alone(
    open_store: OpenStore, options: dict[str, Any]
) -> None:
    error = asyncio.CancelledError
    remember = cancelling_itself(error, **options)
    fails_its_row_alone(open_store(schemas=SCHEMAS, triggers=[remember]), error)


def fails_its_row_alone(
    store: motion.Store, error: type[BaseException], says: str = "what it says"
) -> None:
    texts = ["a", "b", "bad", "d", "e"]
    store.set_many(
        "message", [{"id": i, "ts": i, "user": 1, "text": text} for i, text in enumerate(texts, 1)]
    )
    store.wait(timeout=60)
    assert store.get("user", 1).profile == "abde"
    (letter,) = store.errors()
    assert letter.row == "id=3"
    assert error.__name__ in letter.error
    assert says in letter.error
