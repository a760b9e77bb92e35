"""Texts that grow: a generator's parts are passed on as they come, and the whole is committed at the end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

import motion
from tests.conftest import OpenStore
from tests.executors.test_processes import Process, Start, start, url

__all__ = ["Process", "start", "url"]


@dataclass
class Chat:
    id: int
    prompt: str
    answer: str
    size: int


class Speaker:
    """A generator that says word after word, each when it is told to."""

    def __init__(self) -> None:
        self._may_go_on = threading.Semaphore(0)

        @motion.trigger(on="chat.prompt", sets="chat.answer")
        def answer(prompt: str) -> Iterator[str]:
            for word in prompt.split():
                assert self._may_go_on.acquire(timeout=6)
                if word == "fail":
                    raise ValueError("no words")
                yield f"{word} "

        self.trigger = answer

    def go_on(self, words: int = 1) -> None:
        self._may_go_on.release(words)


@pytest.fixture
def speaker() -> Speaker:
    return Speaker()


@pytest.fixture
def chats(open_store: OpenStore, speaker: Speaker) -> motion.Store:
    return open_store("chats", schemas={"chat": Chat}, triggers=[speaker.trigger])


def test_parts_are_passed_on_before_the_text_is_whole(
    chats: motion.Store, speaker: Speaker
) -> None:
    change = chats.set("chat", prompt="one two three")
    stream = change.stream("answer", parts=True, timeout=6)
    for word in ("one ", "two ", "three "):
        speaker.go_on()
        assert next(stream) == word
        assert chats.get("chat", 1).answer in (None, "one two three ")
    assert list(stream) == []
    assert chats.get("chat", 1).answer == "one two three "


def test_a_part_knows_its_row_and_whether_a_text_begins(
    chats: motion.Store, speaker: Speaker
) -> None:
    speaker.go_on(2)
    parts = list(chats.set("chat", id=7, prompt="a b").stream("answer", parts=True, timeout=60))
    assert "".join(parts) == "a b "
    assert (parts[0].id, parts[0].pages, parts[0].is_first) == (7, {}, True)
    assert not any(part.is_first for part in parts[1:])


def test_who_comes_late_gets_what_was_said_and_then_the_rest(
    chats: motion.Store, speaker: Speaker
) -> None:
    change = chats.set("chat", prompt="one two three")
    speaker.go_on(2)
    early = change.stream("answer", parts=True, timeout=6)
    heard = ""
    while heard != "one two ":
        heard += next(early)
    late = change.stream("answer", parts=True, timeout=6)
    heard = ""
    while heard != "one two ":  # in one part or in two
        heard += next(late)
    speaker.go_on()
    assert "".join(late) == "three "


def test_who_comes_after_the_end_gets_the_whole(chats: motion.Store, speaker: Speaker) -> None:
    speaker.go_on(2)
    change = chats.set("chat", prompt="one two").wait(timeout=6)
    assert list(change.stream("answer", parts=True)) == ["one two "]


def test_an_answer_from_before_is_not_taken_for_the_new_one(
    chats: motion.Store, speaker: Speaker
) -> None:
    speaker.go_on(1)
    chats.set("chat", id=1, prompt="old").wait(timeout=6)
    change = chats.set("chat", id=1, prompt="new one")
    stream = change.stream("answer", parts=True, timeout=6)
    rows = change.stream("answer", timeout=6)
    speaker.go_on(2)
    assert "".join(stream) == "new one "
    assert [row.answer for row in rows] == ["new one "]


def test_a_text_that_is_made_again_repeats_nothing(open_store: OpenStore) -> None:
    attempts: list[int] = []

    @motion.trigger(on="chat.prompt", sets="chat.answer", retries=1)
    def answer(prompt: str) -> Iterator[str]:
        attempts.append(1)
        yield "one "
        yield "two "
        if len(attempts) == 1:
            raise ConnectionError("lost in the middle")
        yield "three"

    store = open_store("chats", schemas={"chat": Chat}, triggers=[answer])
    parts = list(store.set("chat", prompt="go").stream("answer", parts=True, timeout=60))
    assert len(attempts) == 2
    assert "".join(parts) == "one two three"


def test_a_text_that_comes_out_different_begins_anew(open_store: OpenStore) -> None:
    attempts: list[int] = []
    is_heard = threading.Event()

    @motion.trigger(on="chat.prompt", sets="chat.answer", retries=1)
    def answer(prompt: str) -> Iterator[str]:
        attempts.append(1)
        yield f"attempt {len(attempts)} "
        if len(attempts) == 1:
            assert is_heard.wait(20)
            raise ConnectionError("lost in the middle")
        yield "whole"

    store = open_store("chats", schemas={"chat": Chat}, triggers=[answer])
    stream = store.set("chat", prompt="go").stream("answer", parts=True, timeout=6)
    parts = [next(stream)]
    is_heard.set()
    parts += stream
    begins = max(i for i, part in enumerate(parts) if part.is_first)
    assert parts[0] == "attempt 1 "
    assert "".join(parts[begins:]) == store.get("chat", 1).answer == "attempt 2 whole"


def test_what_a_failed_text_had_said_is_gone_when_it_is_made_again(
    chats: motion.Store, speaker: Speaker
) -> None:
    change = chats.set("chat", id=1, prompt="one fail")
    stream = change.stream("answer", parts=True, timeout=6)
    speaker.go_on()
    assert next(stream) == "one "
    speaker.go_on()
    with pytest.raises(motion.TaskFailed):
        next(stream)
    assert len(change.errors) == 1
    again = chats.set("chat", id=1, prompt="two")
    speaker.go_on()
    assert "".join(again.stream("answer", parts=True, timeout=6)) == "two "
    assert kept_parts(chats) == []


def test_a_part_that_is_no_text_fails_its_row_alone(open_store: OpenStore) -> None:
    @motion.trigger(on="chat.prompt", sets="chat.answer", retries=0)
    def answer(prompt: str) -> Iterator[str]:
        yield "so "
        yield prompt.encode().decode("unicode_escape")

    store = open_store("chats", schemas={"chat": Chat}, triggers=[answer])
    for row, prompt in enumerate(["it is", r"\ud83d", "it was"]):
        store.set("chat", id=row, prompt=prompt)
    store.wait(timeout=60)
    assert [row.answer for row in store.rows("chat")] == ["so it is", None, "so it was"]
    (letter,) = store.errors()
    assert letter.row == "id=1"
    assert "half a surrogate pair" in letter.error


TALKER = """
import threading

@motion.trigger(on="item.value", sets="item.who")
def talk(value: int):
    for part in ("one ", "two ", "three"):
        yield part
        say(part)
        input()

store = opened(triggers=[talk])
store.wait()
say("running")
threading.Event().wait()
"""


def test_parts_reach_another_process(open_store: OpenStore, url: str, start: Start) -> None:
    from tests.executors.test_processes import Item

    talker = start(TALKER)
    assert talker.hear() == "running"
    store = open_store("shared", schemas={"item": Item}, url=url)
    stream = store.set("item", value=1).stream("who", parts=True, timeout=6)
    for word in ("one ", "two ", "three"):
        assert next(stream) == word
        assert talker.hear() == word.strip()
        talker.tell("go on")
    assert list(stream) == []


@pytest.mark.parametrize("is_deleted", [False, True])
@pytest.mark.parametrize("concurrency", [1, 2])
def test_what_was_said_of_an_older_value_or_a_deleted_row_is_passed_on_to_nobody(
    open_store: OpenStore, is_deleted: bool, concurrency: int
) -> None:
    may_end = threading.Event()

    @motion.trigger(on="chat.prompt", sets="chat.answer", concurrency=concurrency)
    def answer(prompt: str) -> Iterator[str]:
        yield f"{prompt} "
        assert may_end.wait(20)
        yield "and so on"

    store = open_store("chats", schemas={"chat": Chat}, triggers=[answer])
    first = store.set("chat", id=1, prompt="a secret").stream("answer", parts=True, timeout=60)
    assert next(first) == "a secret "
    if is_deleted:
        store.delete("chat", 1)
    second = store.set("chat", id=1, prompt="the weather").stream("answer", parts=True, timeout=60)
    may_end.set()
    parts = list(second)
    assert "".join(parts) == "the weather and so on"
    assert [part.is_first for part in parts] == [True] + [False] * (len(parts) - 1)


def test_nothing_is_kept_of_a_deleted_row_that_another_process_talks_about(
    open_store: OpenStore, url: str, start: Start
) -> None:
    from tests.executors.test_processes import Item

    talker = start(TALKER)
    assert talker.hear() == "running"
    store = open_store("shared", schemas={"item": Item}, url=url)
    stream = store.set("item", id=1, value=1).stream("who", parts=True, timeout=60)
    assert (next(stream), talker.hear()) == ("one ", "one")
    store.delete("item", 1)
    assert kept_parts(store) == []
    talker.tell("go on")
    assert talker.hear() == "two"  # so it was passed on
    talker.kill()
    assert kept_parts(store) == []


def kept_parts(store: motion.Store) -> list[str]:
    return [str(text) for text in store.sql("select text from motion_parts")["text"]]
