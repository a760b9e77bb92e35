"""Calls: `concurrency=` many are under way at once, of whatever kind, and what each gave is kept as soon as it is made."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import motion
from motion import clock
from motion.backends.base import Transaction
from motion.engine.under_way import UnderWay
from motion.persistence.tasks import awaiting, backlog
from motion.testing import Stepper
from tests.conftest import OpenStore, pause, until

MANY = 6
LONG_S = 60
COUNT = 300
FREE = motion.Resources(cpus=0.1)
"""Processes that wait take nothing of the machine."""


@dataclass
class Doc:
    id: int
    text: str
    loud: str
    size: int
    other: str
    other_loud: str


SCHEMAS = {"doc": Doc}


@motion.trigger(on="doc.other", sets="doc.other_loud", inline=False)
def other(other: str) -> str:
    return other.upper()


class Held:
    """Calls that are held until they are let go, by files, so that they may be in any process.

    What a call is given begins with its name. A name that begins with "quick" is not held.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, name: str) -> str:
        with (self._folder / "begun").open("a") as file:
            file.write(f"{name}\n")
        while not (name.startswith("quick") or self._may_end(name)):
            pause()
        return name.upper()

    async def later(self, name: str) -> str:
        with (self._folder / "begun").open("a") as file:
            file.write(f"{name}\n")
        while not (name.startswith("quick") or self._may_end(name)):
            await asyncio.sleep(0.005)
        return name.upper()

    def _may_end(self, name: str) -> bool:
        return (self._folder / f"end {name}").exists() or (self._folder / "end all").exists()

    @property
    def begun(self) -> list[str]:
        path = self._folder / "begun"
        return path.read_text().split() if path.exists() else []

    def end(self, name: str) -> None:
        (self._folder / f"end {name}").touch()

    def end_all(self) -> None:
        (self._folder / "end all").touch()

    def await_begun(self, count: int) -> None:
        """Wait until so many calls have begun; one that does not is an error of the test's own time limit."""
        while len(self.begun) < count:
            pause()


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Held]:
    folder = tmp_path / "held"
    folder.mkdir()
    yield Held(folder)
    (folder / "end all").touch()


def plain(held: Held, **options: Any) -> Any:
    @motion.trigger(on="doc.text", sets="doc.loud", inline=False, **options)
    def shout(text: str) -> str:
        return held(text)

    return shout


def limited(held: Held, **options: Any) -> Any:
    return plain(held, timeout=LONG_S, **options)


def batches(held: Held, **options: Any) -> Any:
    @motion.trigger(on="doc.text", sets="doc.loud", batch=1, **options)
    def shout(text: list[str]) -> list[str]:
        return [held(each) for each in text]

    return shout


def generators(held: Held, **options: Any) -> Any:
    @motion.trigger(on="doc.text", sets="doc.loud", **options)
    def shout(text: str) -> Iterator[str]:
        yield held(text)

    return shout


def coroutines(held: Held, **options: Any) -> Any:
    @motion.trigger(on="doc.text", sets="doc.loud", **options)
    async def shout(text: str) -> str:
        return await held.later(text)

    return shout


def processes(held: Held, **options: Any) -> Any:
    return plain(held, executor="process", resources=FREE, **options)


Kind = Callable[..., Any]
KINDS = [plain, limited, batches, generators, coroutines, processes]
kinds = pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])


def texts(count: int, prefix: str = "t") -> list[dict[str, Any]]:
    return [{"id": i, "text": f"{prefix}{i}"} for i in range(1, count + 1)]


def louds(store: motion.Store) -> list[str]:
    return [row.loud for row in store.rows("doc", where="loud IS NOT NULL")]


# -- how many at once --


@kinds
def test_so_many_calls_are_under_way_at_once_from_the_first_one_on(
    open_store: OpenStore, held: Held, kind: Kind
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[kind(held, concurrency=MANY)])
    store.set_many("doc", texts(3 * MANY))
    held.await_begun(MANY)
    held.end("t1")
    held.await_begun(MANY + 1)  # the next one begins as soon as one has ended
    assert len(held.begun) == MANY + 1  # and no more than that
    held.end_all()
    store.wait(timeout=LONG_S)
    assert Counter(held.begun) == Counter(row["text"] for row in texts(3 * MANY))
    assert sorted(louds(store)) == sorted(row["text"].upper() for row in texts(3 * MANY))


@kinds
def test_one_at_a_time_where_nothing_else_is_said(
    open_store: OpenStore, held: Held, kind: Kind
) -> None:
    options = {"concurrency": 1} if kind is coroutines else {}
    store = open_store(schemas=SCHEMAS, triggers=[kind(held, **options)])
    store.set_many("doc", texts(3))
    for begun in (1, 2, 3):
        held.await_begun(begun)
        assert len(held.begun) == begun
        held.end(held.begun[-1])
    store.wait(timeout=LONG_S)


@kinds
def test_rows_that_come_later_begin_at_once_while_fewer_are_under_way(
    open_store: OpenStore, held: Held, kind: Kind
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[kind(held, concurrency=3)])
    for i in (1, 2, 3):
        store.set("doc", id=i, text=f"t{i}")
        held.await_begun(i)
    held.end_all()
    store.wait(timeout=LONG_S)
    assert louds(store) == ["T1", "T2", "T3"]


def test_a_trigger_that_runs_behind_another_keeps_to_its_own_concurrency(
    open_store: OpenStore, held: Held
) -> None:
    @motion.trigger(on="doc.text", sets="doc.loud", concurrency=4, inline=False)
    def first(text: str) -> str:
        return text

    @motion.trigger(on="doc.loud", sets="doc.size", inline=False)
    def second(loud: str) -> int:
        return len(held(loud))

    store = open_store(schemas=SCHEMAS, triggers=[first, second])
    for _ in range(3):  # measured to be quick: now one runs in memory behind the other
        store.set_many("doc", texts(200, "quick")).wait(timeout=LONG_S)
        store.set_many("doc", texts(200, "quick-again")).wait(timeout=LONG_S)
    count = len(held.begun)
    store.set("doc", id=301, text="t301")
    held.await_begun(count + 1)
    for i in range(302, 305):
        store.set("doc", id=i, text=f"t{i}").wait("loud", timeout=LONG_S)
    assert len(held.begun) == count + 1
    held.end_all()
    store.wait(timeout=LONG_S)
    assert len(store.rows("doc", where="size IS NOT NULL")) == 204


# -- what a call gave is there at once --


@kinds
def test_a_result_is_there_while_other_calls_of_the_same_claim_are_held(
    open_store: OpenStore, held: Held, kind: Kind
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[kind(held, concurrency=4)])
    change = store.set_many("doc", texts(4))
    held.await_begun(4)
    held.end("t3")
    until(store, lambda: louds(store) == ["T3"], LONG_S)
    assert change.progress.remaining == 3
    held.end_all()
    change.wait(timeout=LONG_S)
    assert louds(store) == ["T1", "T2", "T3", "T4"]


@kinds
@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_call_that_lasts_holds_up_no_results_of_the_quick_ones_before_it(
    open_store: OpenStore, held: Held, kind: Kind, concurrency: int
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[kind(held, concurrency=concurrency)])
    store.set_many("doc", texts(300, "quick")).wait(timeout=LONG_S)  # measured to be quick
    given = [{"id": i, "text": "slow" if i == 550 else f"quick{i}"} for i in range(501, 601)]
    store.set_many("doc", given)
    done = 300 + (49 if concurrency == 1 else 99)
    until(store, lambda: len(louds(store)) == done, LONG_S)
    held.end_all()
    store.wait(timeout=LONG_S)
    assert Counter(held.begun).most_common(1)[0][1] == 1
    assert len(louds(store)) == 400


@kinds
def test_other_triggers_go_on_while_all_calls_of_one_are_held(
    open_store: OpenStore, held: Held, kind: Kind
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[kind(held, concurrency=5), other])
    store.set_many("doc", texts(20))
    held.await_begun(5)
    store.set("doc", id=100, other="a").wait("other_loud", timeout=LONG_S)
    held.end_all()
    store.wait(timeout=LONG_S)


def test_many_triggers_are_held_and_one_more_goes_on(open_store: OpenStore, held: Held) -> None:
    def shouter(n: int) -> Any:
        @motion.trigger(on="doc.text", sets="doc.loud" if n == 0 else (), name=f"t{n}")
        def shout(text: str, store: motion.View) -> str | None:
            return held(f"{text}-{n}") if n == 0 else held(f"{text}-{n}") and None

        return shout

    store = open_store(schemas=SCHEMAS, triggers=[*map(shouter, range(12)), other])
    store.set("doc", id=1, text="t1")
    held.await_begun(12)
    store.set("doc", id=2, other="a").wait("other_loud", timeout=LONG_S)
    held.end_all()
    store.wait(timeout=LONG_S)


def test_a_stepper_makes_all_calls_in_the_thread_of_the_test(open_store: OpenStore) -> None:
    threads: set[str] = set()

    @motion.trigger(on="doc.text", sets="doc.loud", concurrency=4, inline=False)
    def shout(text: str) -> str:
        threads.add(threading.current_thread().name)
        return text.upper()

    store = open_store(schemas=SCHEMAS, triggers=[shout], run=False)
    with Stepper(store) as worker:
        for text in "abc":
            store.set("doc", text=text)
            worker.run_until_idle()
        assert "motion-worker" not in {each.name for each in threading.enumerate()}
    assert threads == {threading.current_thread().name}


# -- what a crash costs --

SCRIPT = """
import sys
from pathlib import Path
import motion
from motion import clock
from motion.backends.base import Transaction
from motion.engine.under_way import UnderWay
from motion.persistence.tasks import awaiting, backlog
from motion.testing import Stepper
from tests.engine import test_calls as t

held = t.Held(Path(sys.argv[2]))
trigger = getattr(t, sys.argv[3])(held, concurrency=3)
store = motion.create_store("shop", schemas=t.SCHEMAS, triggers=[trigger], url=sys.argv[1])
store.set_many("doc", t.texts(12))
store.wait(timeout=600)
"""


@kinds
def test_p2_a_kill_costs_the_calls_under_way_and_no_more(
    open_store: OpenStore, held: Held, tmp_path: Path, kind: Kind
) -> None:
    url = f"sqlite:///{tmp_path / 'shop'}.motion"
    reader = open_store(schemas=SCHEMAS)
    arguments = [url, str(tmp_path / "held"), kind.__name__]
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), *arguments],
        cwd=Path(__file__).parents[2],
    )
    for i in range(1, 6):
        held.await_begun(i + 2)
        held.end(held.begun[i - 1])
    until(reader, lambda: len(louds(reader)) == 5, LONG_S)
    held.await_begun(8)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done, under_way = held.begun[:5], held.begun[5:]
    store = open_store(schemas=SCHEMAS, triggers=[kind(held, concurrency=3)])
    held.end_all()
    store.wait(timeout=LONG_S)
    expected = Counter(row["text"] for row in texts(12)) + Counter(under_way)
    assert (len(under_way), Counter(held.begun)) == (3, expected)
    assert not set(done) & set(under_way)


# -- what one call raises --


def test_a_cancelled_call_is_its_rows_failure_and_no_other_row_is_called_again(
    open_store: OpenStore,
) -> None:
    calls: Counter[str] = Counter()

    @motion.trigger(on="doc.text", sets="doc.loud")
    async def shout(text: str) -> str:
        calls[text] += 1
        if text == "t5":
            inner = asyncio.create_task(asyncio.sleep(LONG_S))
            inner.cancel()
            await inner
        if text == "t6":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(LONG_S)
        await asyncio.sleep(0)
        return text.upper()

    store = open_store(schemas=SCHEMAS, triggers=[shout])
    store.set_many("doc", texts(60)).wait(raise_errors=False, timeout=LONG_S)
    assert set(calls.values()) == {1}
    assert len(louds(store)) == 58
    assert {letter.row for letter in store.errors()} == {"id=5", "id=6"}
    assert all("CancelledError" in letter.error for letter in store.errors())


def test_what_cannot_be_committed_fails_its_row_and_is_not_called_again(
    open_store: OpenStore,
) -> None:
    calls: Counter[str] = Counter()

    @motion.trigger(on="doc.text", sets="doc.size", inline=False)
    def measure(text: str, store: motion.View) -> int:
        calls[text] += 1
        if text == "t7":
            store.set("doc", id=2**63 - 1, text="t7")  # fires itself, over and over
        return len(text)

    store = open_store(schemas=SCHEMAS, triggers=[measure])
    store.set_many("doc", [row for row in texts(40) if row["id"] != 7]).wait(timeout=LONG_S)
    store.set_many("doc", texts(40, "u")).wait(timeout=LONG_S)
    assert set(calls.values()) == {1}


# -- how much of it --


@dataclass
class Photo:
    id: int
    image: bytes
    size: int


def of_the_image(image: bytes) -> int:
    return len(image)


def of_the_row(row: Photo) -> int:
    return len(row.image)


@pytest.mark.parametrize("measure", [of_the_image, of_the_row])
def test_p12_a_claim_holds_so_many_bytes_and_not_only_so_many_rows(
    open_store: OpenStore, measure: Callable[..., int]
) -> None:
    marked = motion.trigger(on="photo.image", sets="photo.size", name="measure", inline=False)
    store = open_store(schemas={"photo": Photo}, triggers=[marked(measure)], run=False)
    store.set_many("photo", [{"id": i, "image": bytes(2**22 + i)} for i in range(1, 17)])
    with Stepper(store) as worker:
        assert worker.step()
        done = len(store.rows("photo", where="size IS NOT NULL"))
        assert 1 <= done < 16
        worker.run_until_idle()
    assert [row.size for row in store.rows("photo")] == [2**22 + i for i in range(1, 17)]


# -- awaiting it --


def test_awaits_beside_thousands_of_others_end_with_their_own_work_and_take_no_thread_each(
    open_store: OpenStore, held: Held
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[coroutines(held), other])

    async def run() -> None:
        first = store.set_many("doc", texts(20))
        again = store.set_many("doc", texts(20, "u"))  # for rows that wait, one task serves both
        waits = [asyncio.ensure_future(each) for each in (first, again) for _ in range(1_500)]
        for i in range(100, 110):
            await asyncio.wait_for(store.set("doc", id=i, other="a"), LONG_S)
        assert not any(wait.done() for wait in waits)
        assert threading.active_count() < 60
        held.end_all()
        await asyncio.wait_for(asyncio.gather(*waits), LONG_S)

    asyncio.run(run())
    assert louds(store) == [f"U{i}" for i in range(1, 21)]


class Later:
    """A clock that is some hours ahead: what was begun before is old."""

    def __init__(self) -> None:
        self.hours = 1

    def monotonic_s(self) -> float:
        return clock.monotonic_s() + 3_600 * self.hours


def test_what_a_wait_costs_does_not_grow_with_those_that_wait_longer(
    open_store: OpenStore, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at, look = Counter[int](), backlog.changes_with_work

    def counted(tx: Transaction, changes: Sequence[int]) -> set[int]:
        looked_at.update(changes)
        return look(tx, changes)

    store = open_store(schemas=SCHEMAS, triggers=[coroutines(held), other])

    async def run() -> None:
        long = store.set_many("doc", texts(20))
        waits = [asyncio.ensure_future(long.until_done()) for _ in range(1_000)]
        await asyncio.sleep(0)
        later = Later()
        monkeypatch.setattr(awaiting, "clock", later)
        monkeypatch.setattr(awaiting, "LONGEST_WAIT_S", LONG_S)
        monkeypatch.setattr(backlog, "changes_with_work", counted)
        for i in range(100, 130):
            await asyncio.wait_for(store.set("doc", id=i, other="a"), LONG_S)
        assert (
            looked_at[min(looked_at)] < 4_000
        )  # the 1,000 a few times, and not 200 at each commit
        monkeypatch.setattr(awaiting, "LONGEST_WAIT_S", 0.01)
        later.hours = 2  # all are due
        held.end_all()
        await asyncio.wait_for(asyncio.gather(*waits), LONG_S)

    asyncio.run(run())


def test_what_a_call_costs_does_not_grow_with_those_under_way(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, waiting, may_end = 0, UnderWay.waiting, threading.Event()

    def counted(run: UnderWay) -> int:
        nonlocal looks
        looks += 1
        return int(waiting.__get__(run))

    @motion.trigger(on="doc.text", sets="doc.loud", inline=False, concurrency=COUNT)
    async def loud(text: str) -> str:
        while not may_end.is_set():
            await asyncio.sleep(0.01)
        return text.upper()

    monkeypatch.setattr(UnderWay, "waiting", property(counted))
    store = open_store(schemas=SCHEMAS, triggers=[loud])
    for n in range(COUNT):  # a claim each, or of few
        store.set("doc", text=f"{n}")
    may_end.set()
    store.wait(timeout=LONG_S)
    assert looks < 10 * COUNT


def test_thousands_of_calls_leave_little_for_the_garbage_collector_to_look_at(
    open_store: OpenStore,
) -> None:
    """It runs by how many objects there are more of, and each look at all of them, those of modules too, holds up everybody
    for 15 ms. Objects for each row of a claim were four of them."""
    count = 20_000

    @motion.trigger(on="doc.text", sets="doc.loud", inline=False)
    def loud(text: str) -> str:
        return text.upper()

    store = open_store(schemas=SCHEMAS, triggers=[loud], run=True)
    store.set_many("doc", [{"text": f"{i}"} for i in range(count)])
    store.wait()
    young = []
    for _ in range(3):  # a busy machine adds some, by what else goes on while it lasts
        before = gc.get_stats()[0]["collections"]
        store.backfill("loud", force=True)
        store.wait()
        young.append(gc.get_stats()[0]["collections"] - before)
    assert store.rows("doc", where={"id": count})[0].loud == f"{count - 1}"
    assert min(young) * gc.get_threshold()[0] < count // 2


@dataclass
class UsedJob:
    id: int
    given: str
    made: str


@dataclass
class Usage:
    id: int
    letters: int


def test_what_a_call_has_begun_writes_for_itself_once_the_call_has_ended(
    open_store: OpenStore,
) -> None:
    """As a client does that sends its figures in the background, from its first use on."""
    may_send, sent = threading.Event(), threading.Event()
    store: motion.Store
    sending: list[Any] = []

    async def send(letters: int) -> None:
        await asyncio.to_thread(may_send.wait, 60)
        await store.aio.set("usage", id=1, letters=letters)
        sent.set()

    @motion.trigger(on="job.given", sets="job.made")
    async def use(given: str) -> str:
        sending.append(asyncio.create_task(send(len(given))))
        return given.upper()

    store = open_store(schemas={"job": UsedJob, "usage": Usage}, triggers=[use])
    store.set("job", given="abc").wait(timeout=60)
    may_send.set()
    assert sent.wait(60)
    assert [row.letters for row in store.rows("usage")] == [3]
