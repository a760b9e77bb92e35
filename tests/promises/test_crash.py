"""Crashes: processes are killed with SIGKILL, and the store ends as if nothing had happened."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import motion
from tests.conftest import OpenStore
from tests.promises.test_faults import in_a_process

ROOT = Path(__file__).parents[2]


@dataclass
class Doc:
    id: int
    text: str
    loud: str
    size: int
    later: str
    word: str
    word_page: int
    long_word: str


@dataclass
class Chunk:
    id: int
    doc: int
    text: str
    loud: str


@dataclass
class Note:
    """Made by a free write: its id is new each time, so a run that took effect twice would show."""

    id: int
    doc: int


SCHEMAS = {"doc": Doc, "chunk": Chunk, "note": Note}


@motion.trigger(on="doc.text", sets="doc.loud")
def shout(text: str) -> str:
    return text.upper()


@motion.trigger(on="doc.loud", sets="doc.size")
def measure(loud: str) -> int:
    return len(loud)


@motion.trigger(on="doc.size", sets="doc.later")
async def count_later(size: int) -> str:
    await asyncio.sleep(0)
    return f"{size} letters"


@motion.trigger(on="doc.text", sets="doc.word", page="word_page")
def words(text: str) -> Iterator[str]:
    yield from text.split()


@motion.trigger(on="doc.word", sets="doc.long_word", batch=8)
def stretch(word: list[str]) -> list[str]:
    return [each * 2 for each in word]


@motion.trigger(on="doc.text", sets="chunk")
def cut(id: int, text: str) -> list[dict[str, Any]]:
    return [{"doc": id, "text": word} for word in text.split()]


@motion.trigger(on="chunk.text", sets="chunk.loud", retries=1)
def shout_chunk(text: str) -> str:
    return text.upper()


@motion.trigger(on="doc.text")
def journal(id: int, store: motion.View) -> None:
    store.set("note", doc=id)


TRIGGERS = [shout, measure, count_later, words, stretch, cut, shout_chunk, journal]


def text_of(id: int) -> str:
    return " ".join(f"w{id}x{i}" for i in range(id % 4))


def in_another_process(call: str) -> subprocess.Popen[str]:
    """Start a process that makes a call to this module."""
    code = f"import tests.promises.test_crash as here; here.{call}"
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


# -- killed while it takes in rows --


def ingest(folder: str, start: int) -> None:
    """Set rows without end, saying the id of each that is acknowledged. Runs in a process of its own."""
    store = motion.create_store("crash", schemas=SCHEMAS, triggers=TRIGGERS, url=folder)
    for id in range(start, start + 1_000_000, 3):
        store.set("doc", id=id, text=text_of(id))
        print(id, flush=True)  # noqa: T201 - the message to the process that kills this one
        more = [{"id": each, "text": text_of(each)} for each in (id + 1, id + 2)]
        store.set_many("doc", more)
        print(id + 2, flush=True)  # noqa: T201


def killed_after(folder: str, start: int, lines: int) -> int:
    """Let a process ingest from `start` until it has acknowledged so often, kill it, and return the last id."""
    process = in_another_process(f"ingest({folder!r}, {start})")
    assert process.stdout is not None
    last = start
    try:
        for _ in range(lines):
            last = int(process.stdout.readline())
    finally:  # also where the test's time is up: it would go on beside all later ones
        process.kill()
    rest = process.stdout.read().split("\n")  # what it had said by then; the last line may be torn
    process.wait()
    process.stdout.close()
    return max(last, *(int(line) for line in rest[:-1]), last)


def assert_as_if_nothing_had_happened(store: motion.Store, acknowledged: set[int]) -> None:
    docs: dict[int, list[Doc]] = {}
    no_words: list[Any] = [None]
    for row in store.rows("doc", inherit=False):
        docs.setdefault(row.id, []).append(row)
    assert acknowledged <= docs.keys()
    for id, pages in docs.items():
        text, expected = text_of(id), text_of(id).split()
        first = pages[0]
        assert (first.text, first.loud, first.size) == (text, text.upper(), len(text))
        assert first.later == f"{len(text)} letters"
        assert [row.word for row in pages] == (expected or no_words)
        assert [row.long_word for row in pages] == ([word * 2 for word in expected] or no_words)
    chunks = sorted((row.doc, row.text, row.loud) for row in store.rows("chunk"))
    assert chunks == sorted((id, word, word.upper()) for id in docs for word in text_of(id).split())
    assert sorted(row.doc for row in store.rows("note")) == sorted(docs)
    assert (store.errors(), store.status().tasks) == ([], {})


def crash_and_check(open_store: OpenStore, tmp_path: Path, kills: int, seed: int) -> None:
    chance, folder = random.Random(seed), f"sqlite:///{tmp_path / 'crash.motion'}"
    start, acknowledged = 1, set[int]()
    for _ in range(kills):
        last = killed_after(folder, start, chance.randint(1, 25))
        acknowledged.update(range(start, last + 1))
        start = last + 3  # the row under way may have been written without being acknowledged
    store = open_store("crash", schemas=SCHEMAS, triggers=TRIGGERS, url=folder)
    store.wait(timeout=600)
    assert_as_if_nothing_had_happened(store, acknowledged)


def test_p2_a_store_whose_process_was_killed_ends_as_if_nothing_had_happened(
    open_store: OpenStore, tmp_path: Path
) -> None:
    crash_and_check(open_store, tmp_path, kills=4, seed=1)


@pytest.mark.crash
def test_p2_two_hundred_kills_change_nothing(open_store: OpenStore, tmp_path: Path) -> None:
    crash_and_check(open_store, tmp_path, kills=200, seed=2)


# -- killed while it holds a task --

IS_IN_CHILD = threading.Event()


@motion.trigger(on="doc.text", sets="doc.loud")
def slow(text: str, store: motion.View) -> str:
    store.set("note", doc=len(text))
    if IS_IN_CHILD.is_set():
        print("claimed", flush=True)  # noqa: T201
        threading.Event().wait()
    return text.upper()


@motion.trigger(on="doc.text", sets="doc.word", page="word_page")
def slow_words(text: str) -> Iterator[str]:
    for i, word in enumerate(text.split()):
        yield word
        if i == 1 and IS_IN_CHILD.is_set():
            print("claimed", flush=True)  # noqa: T201
            threading.Event().wait()


def hold(folder: str, name: str) -> None:
    """Set a row and never end its run. Runs in a process of its own."""
    IS_IN_CHILD.set()
    store = motion.create_store("crash", schemas=SCHEMAS, triggers=[globals()[name]], url=folder)
    store.set("doc", id=1, text="a b c")
    store.wait()


@pytest.fixture
def holder(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """A process that has claimed the task of row 1, and does not end it."""
    folder = f"sqlite:///{tmp_path / 'crash.motion'}"
    process = in_another_process(f"hold({folder!r}, {request.param!r})")
    assert process.stdout is not None
    assert process.stdout.readline() == "claimed\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("holder", ["slow"], indirect=True)
def test_p11_the_task_of_a_killed_process_is_taken_over_by_another(
    open_store: OpenStore, holder: subprocess.Popen[str]
) -> None:
    store = open_store("crash", schemas=SCHEMAS, triggers=[slow])
    holder.kill()
    store.wait(timeout=60)
    row = store.get("doc", 1)
    assert row is not None
    assert (row.loud, len(store.rows("note"))) == ("A B C", 1)


@pytest.mark.parametrize("holder", ["slow"], indirect=True)
def test_p11_the_task_of_a_living_process_is_left_to_it(
    open_store: OpenStore, holder: subprocess.Popen[str]
) -> None:
    store = open_store("crash", schemas=SCHEMAS, triggers=[slow])
    store.set("doc", id=2, text="d").wait()
    assert store.status().tasks == {"slow": {"claimed": 1}}


@pytest.mark.parametrize("holder", ["slow"], indirect=True)
def test_p11_a_lost_lease_uses_up_no_attempt(
    open_store: OpenStore, holder: subprocess.Popen[str]
) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud", name="slow", version="other code")
    def fails(text: str) -> str:
        raise RuntimeError("no")

    holder.kill()
    holder.wait()
    store = open_store("crash", schemas=SCHEMAS, triggers=[fails])
    store.wait(timeout=60)
    assert [letter.attempts for letter in store.errors()] == [1]


@pytest.mark.parametrize("holder", ["slow_words"], indirect=True)
def test_p6_a_generator_killed_half_way_starts_again_and_ends_exactly(
    open_store: OpenStore, holder: subprocess.Popen[str]
) -> None:
    store = open_store("crash", schemas=SCHEMAS, triggers=[slow_words])
    before = [row.word for row in store.rows("doc")]
    holder.kill()
    store.wait(timeout=60)
    after = [row.word for row in store.rows("doc")]
    assert (before, after) == (["a", "b"], ["a", "b", "c"])


# -- a row that ends the processes which run it --


@motion.trigger(on="doc.text", sets="doc.loud", batch=64)
def deadly(text: list[str]) -> list[str]:
    if "w7" in text and IS_IN_CHILD.is_set():
        os._exit(1)
    return [each.upper() for each in text]


def die(folder: str) -> None:
    """Run what is left until a run ends the process, or all is done. Runs in a process of its own."""
    IS_IN_CHILD.set()
    store = motion.create_store("crash", schemas=SCHEMAS, triggers=[deadly], url=folder)
    store.wait()
    store.close()


def test_p11_a_row_that_ends_ten_processes_is_set_aside_alone(
    open_store: OpenStore, tmp_path: Path
) -> None:
    folder = f"sqlite:///{tmp_path / 'crash.motion'}"
    store = open_store("crash", schemas=SCHEMAS, triggers=[deadly], run=False)
    store.set_many("doc", [{"id": i, "text": f"w{i}"} for i in range(1, 21)])
    codes: list[int | None] = []
    while not codes or codes[-1] != 0:
        codes.append(in_a_process(die, folder))
    assert codes == [1] * 10 + [0]
    assert [(letter.row, letter.attempts) for letter in store.errors()] == [("id=7 word_page=0", 0)]
    assert [row.id for row in store.rows("doc") if row.loud is None] == [7]


@motion.trigger(on="doc.text", sets="doc.loud", batch=512)
def unlucky(text: list[str]) -> list[str]:
    if "w7" in text and IS_IN_CHILD.is_set() and (len(text) > 1 or is_struck()):
        os._exit(1)
    return [each.upper() for each in text]


STRIKES: list[Path] = []


def is_struck() -> bool:
    """Whether a kill from outside meets the row once more while it runs alone: four times in all."""
    count = len(STRIKES[0].read_text())
    STRIKES[0].write_text("x" * (count + 1))
    return count < 4


def be_struck(folder: str, strikes: Path) -> None:
    """Run what is left, as `die` does. Runs in a process of its own."""
    IS_IN_CHILD.set()
    STRIKES.append(strikes)
    store = motion.create_store("crash", schemas=SCHEMAS, triggers=[unlucky], url=folder)
    store.wait()
    store.close()


def test_p2_a_row_that_was_held_beside_many_whenever_its_processes_were_killed_is_not_set_aside(
    open_store: OpenStore, tmp_path: Path
) -> None:
    folder, strikes = f"sqlite:///{tmp_path / 'crash.motion'}", tmp_path / "strikes"
    strikes.touch()
    store = open_store("crash", schemas=SCHEMAS, triggers=[unlucky], run=False)
    store.set_many("doc", [{"id": i, "text": f"w{i}"} for i in range(1, 513)])
    codes: list[int | None] = []
    while not codes or codes[-1] != 0:
        codes.append(in_a_process(be_struck, folder, strikes))
    assert len(codes) > 10
    assert store.errors() == []
    assert [row.id for row in store.rows("doc") if row.loud != f"W{row.id}"] == []
