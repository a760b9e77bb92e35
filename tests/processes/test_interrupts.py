"""Ctrl-C at any moment: what was called is done whole or not at all, the interrupt reaches its caller, and the store goes on.

Python handles a signal between two instructions of the main thread. The tests raise `KeyboardInterrupt` at one instruction
of ours after the other; those of the crash run at all of them, and by real signals beside other threads' writes.
"""

from __future__ import annotations

import random
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import numpy as np
import pytest

import motion
from motion import clock, faults
from motion.backends import sqlite
from tests.conftest import OpenStore, pause, until

OWN = str(Path(motion.__file__).parent)
PATIENCE_S = 120.0


@dataclass
class Doc:
    id: int
    text: str
    upper: str
    size: int
    vector: Annotated[np.ndarray, motion.Vector(2)]


@motion.trigger(on="doc.text", sets="doc.upper", inline=True)
def upper(text: str) -> str:
    return text.upper()


@motion.trigger(on="doc.text", sets="doc.size", inline=False)
def size(text: str) -> int:
    return len(text)


HERE = np.array([1.0, 0.0])


def transaction(store: motion.Store, text: str) -> None:
    with store.transaction() as tx:
        tx.set("doc", text=text)
        tx.set("doc", text=text)


WAYS: dict[str, Callable[[motion.Store, str], object]] = {
    "set": lambda store, text: store.set("doc", text=text, vector=HERE),
    "set and wait": lambda store, text: store.set("doc", text=text).wait(timeout=PATIENCE_S),
    "set_many": lambda store, text: store.set_many("doc", [{"text": text}, {"text": text}]),
    "transaction": transaction,
    "delete": lambda store, _: store.delete("doc", 1),
    "get": lambda store, _: store.get("doc", 1),
    "rows": lambda store, _: (store.rows("doc", where="text = ?", params=["a"]), store.errors()),
    "sql": lambda store, _: store.sql("select count(*) from doc"),
    "search": lambda store, text: (
        store.set("doc", id=2, text=text, vector=HERE),
        store.search("doc.vector", HERE, k=2),
        store.search("doc.text", text="a", k=2),
    ),
    "search of what is ready": lambda store, _: [
        store.search("doc.vector", HERE, k=2, where={"text": "a"}) for _ in range(2)
    ],
    "search whose filter is listed": lambda store, text: [
        store.search("doc.vector", HERE, k=2, where={"text": each}) for each in ("a", text)
    ],
    "wait": lambda store, _: store.wait(timeout=PATIENCE_S),
    "status": lambda store, _: store.status(),
}


class Interrupt:
    """Raises `KeyboardInterrupt` before the n-th instruction of Motion's in the present thread."""

    def __init__(self, n: int) -> None:
        self._left = n
        self.steps = 0

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(OWN):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            self.steps += 1
            self._left -= 1
            if self._left == 0:
                raise KeyboardInterrupt
        return self._trace

    def during(self, work: Callable[[], object], *, raises: bool = False) -> bool:
        """Do some work; return whether it was interrupted."""
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            work()
        except KeyboardInterrupt:
            if raises:
                raise
            return True
        finally:
            sys.settrace(before)
        return False


def in_thread(work: Callable[[], Any]) -> Any:
    """Do something in another thread, which an interrupted one may have left waiting for ever."""
    done: list[Any] = []
    thread = threading.Thread(target=lambda: done.append(work()), daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    assert done
    return done[0]


def check(store: motion.Store, text: str, whole: int) -> None:
    """The store takes writes of every thread and reads what is; a write is there whole or not at all, with its work."""
    in_thread(lambda: store.set("doc", id=3, text=f"{text} beside").wait(timeout=PATIENCE_S))
    store.set("doc", id=4, text=f"{text} later").wait(timeout=PATIENCE_S)
    assert store.get("doc", 4).text == f"{text} later"
    assert {hit.id for hit in store.search("doc.vector", HERE, k=1)} != set()
    store.wait(timeout=PATIENCE_S)
    rows = store.rows("doc", where={"text": text})
    assert len(rows) in (0, whole)
    assert all((row.upper, row.size) == (text.upper(), len(text)) for row in rows)
    for row in rows:
        store.set(row, text="as it was")
    store.set("doc", id=1, text="a", vector=HERE)


def steps_of(store: motion.Store, way: str) -> int:
    counting = Interrupt(-1)
    counting.during(lambda: WAYS[way](store, "counted"))
    check(store, "counted", 2 if way in ("set_many", "transaction") else 1)
    return counting.steps


def interrupted_everywhere(open_store: OpenStore, way: str, places: int | None) -> None:
    store = open_store(schemas={"doc": Doc}, triggers=[upper, size])
    store.set_many("doc", [{"id": i, "text": "a", "vector": HERE} for i in range(1, 5)]).wait()
    store.search("doc.vector", HERE, k=1)
    steps = steps_of(store, way)
    assert steps > 50
    for n in range(1, steps, max(steps // places, 1) if places else 1):
        text, interrupt = f"text {n}", Interrupt(n)
        assert interrupt.during(partial(WAYS[way], store, text)) or interrupt.steps < n
        check(store, text, 2 if way in ("set_many", "transaction") else 1)
    assert store.errors() == []


@pytest.mark.parametrize("way", WAYS)
def test_an_interrupt_leaves_each_call_whole_and_the_store_usable(
    open_store: OpenStore, way: str
) -> None:
    interrupted_everywhere(open_store, way, places=23)


@pytest.mark.crash
@pytest.mark.parametrize("way", WAYS)
def test_an_interrupt_at_every_single_instruction_leaves_each_call_whole_and_the_store_usable(
    open_store: OpenStore, way: str
) -> None:
    interrupted_everywhere(open_store, way, places=None)


def threads_of_stores() -> set[threading.Thread]:
    return {each for each in threading.enumerate() if each.name.startswith("motion-")}


@pytest.mark.parametrize("way", ["open", "close"])
def test_an_interrupt_while_a_store_opens_or_closes_leaves_nothing_half_way(
    open_store: OpenStore, way: str
) -> None:
    places = 12
    of_other_tests = threads_of_stores()  # one may be left in a function that never ends
    for n in [1, *range(40, 40 * places, 40)]:
        if way == "open":
            Interrupt(n).during(lambda: open_store(schemas={"doc": Doc}, triggers=[upper, size]))
        store = open_store(schemas={"doc": Doc}, triggers=[upper, size])
        store.set("doc", id=1, text=f"text {n}").wait(timeout=PATIENCE_S)
        if way == "close":
            Interrupt(n).during(store.close)
        store.close()
        deadline = clock.monotonic_s() + PATIENCE_S
        while left := threads_of_stores() - of_other_tests:
            assert clock.monotonic_s() < deadline, left
            pause()


def test_an_interrupt_after_the_commit_is_nobody_elses_and_undoes_nothing(
    open_store: OpenStore,
) -> None:
    store = open_store(schemas={"doc": Doc})
    main = threading.current_thread()
    meet = threading.Barrier(2, timeout=PATIENCE_S)
    armed = [True]

    def at(point: str) -> None:
        if threading.current_thread() is main and point == "write.committed" and armed:
            armed.clear()
            raise KeyboardInterrupt

    def beside() -> None:
        meet.wait()
        for i in range(20):
            store.set("doc", text=f"beside {i}")

    other = threading.Thread(target=beside)
    other.start()
    faults.arm(at)
    try:
        meet.wait()
        with pytest.raises(KeyboardInterrupt):
            store.set("doc", text="main")
    finally:
        faults.arm(None)
    other.join(PATIENCE_S)
    texts = Counter(row.text for row in store.rows("doc"))
    assert texts == Counter(["main", *(f"beside {i}" for i in range(20))])


@pytest.mark.parametrize("point", ["write.begun", "write.applied"])
def test_an_interrupt_before_the_commit_undoes_the_write_and_no_other(
    open_store: OpenStore, point: str
) -> None:
    store = open_store(schemas={"doc": Doc})
    main = threading.current_thread()

    def at(reached: str) -> None:
        if threading.current_thread() is main and reached == point:
            raise KeyboardInterrupt

    faults.arm(at)
    try:
        with pytest.raises(KeyboardInterrupt):
            store.set("doc", id=1, text="main")
    finally:
        faults.arm(None)
    assert store.get("doc", 1) is None
    in_thread(lambda: store.set("doc", id=2, text="beside"))
    store.set("doc", id=3, text="main again")
    assert [row.id for row in store.rows("doc")] == [2, 3]


def test_a_read_that_was_interrupted_does_not_hold_later_reads_to_its_moment(
    open_store: OpenStore,
) -> None:
    store = open_store(schemas={"doc": Doc})
    store.set("doc", id=1, text="first")
    for _ in range(
        5
    ):  # its statement is compiled; PostgreSQL prepares it once it has come some times
        store.get("doc", 1)
    counting = Interrupt(-1)
    counting.during(lambda: store.get("doc", 1))
    for n in range(1, counting.steps, 3):
        with pytest.raises(KeyboardInterrupt) as kept:  # with its traceback, as a debugger keeps it
            Interrupt(n).during(lambda: store.get("doc", 1), raises=True)
        in_thread(partial(store.set, "doc", id=1, text=f"text {n}"))
        assert store.get("doc", 1).text == f"text {n}"
        del kept


def kept_of(work: Callable[[], object]) -> BaseException | None:
    """Do something, and return what interrupted it, with its traceback, as a debugger keeps it."""
    try:
        work()
    except KeyboardInterrupt as exc:
        return exc
    return None


def test_a_search_that_was_interrupted_holds_no_index(open_store: OpenStore) -> None:
    store = open_store(schemas={"doc": Doc})
    store.set_many("doc", [{"id": i, "vector": HERE} for i in (1, 2)])

    def search() -> Any:
        return store.search("doc.vector", HERE, k=2, where={"id": 1})

    def follow(n: int) -> Any:
        store.set("doc", id=2, vector=np.array([1.0, n]))
        return search()  # lets the index follow, alone

    follow(0)
    counting = Interrupt(-1)
    counting.during(search)
    for n in range(1, counting.steps, 11):
        kept = kept_of(partial(Interrupt(n).during, search, raises=True))
        assert len(in_thread(partial(follow, n))) == 1
        del kept


class Alarm(ValueError):
    """What a program's own handler raises, to end what takes too long, of a class that much else is of."""


class Signal(Interrupt):
    """Sends a real signal instead, whose handler raises `Alarm`."""

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        try:
            return super()._trace(frame, event, argument)
        except KeyboardInterrupt:
            signal.raise_signal(signal.SIGUSR1)


def test_what_a_handler_raises_in_a_read_is_no_fault_of_its_condition(
    open_store: OpenStore,
) -> None:
    def ring(*_: object) -> None:
        raise Alarm

    store = open_store(schemas={"doc": Doc})
    store.set("doc", id=1, text="a")
    before = signal.signal(signal.SIGUSR1, ring)
    try:
        rung, n, is_over = 0, 1, False
        store.rows(Doc, where="text = 'a'")
        while not is_over:
            alarm = Signal(n)
            try:
                is_over = not alarm.during(lambda: store.rows(Doc, where="text = 'a'"))
                is_over = is_over and alarm.steps < n
            except Alarm:
                rung += 1
            n += 1
        assert rung > 100
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert store.rows(Doc, where="text = 'a'")


# -- real signals --

# What falls into a callback, of a weak reference or of the garbage collector, is dropped by Python, which says so.
dropped_by_python = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def raised_by_alarms(work: Callable[[int], object], wanted: int) -> Counter[type[BaseException]]:
    """Do something, again and again, while a program's own alarms ring, until so many came out of it; return as what."""
    seen: Counter[type[BaseException]] = Counter()
    armed: list[bool] = []

    def ring(*_: object) -> None:
        if armed:
            armed.clear()
            raise Alarm

    before = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.001, 0.001)
    try:
        for n in count():
            try:
                armed.append(True)
                work(n)
                armed.clear()
            except BaseException as exc:  # noqa: BLE001 - it is what is asked for
                seen[type(exc)] += 1
            if seen.total() == wanted:
                return seen
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    raise AssertionError


ALARMED: dict[str, Callable[[motion.Store, int], object]] = {
    "rows": lambda store, n: store.rows(Doc, where=f"size > {n} and text != '{n}'"),
    "sql": lambda store, n: store.sql(f"select id, text from doc where abs(size) > {n}"),
    "sql with vectors": lambda store, n: store.sql(f"select id, vector from doc where id != {n}"),
    "long sql": lambda store, n: store.sql(
        f"with recursive n(i) as (select {n} union all select i + 1 from n) select max(i) from n"
    ),
    "writes of words": lambda store, n: store.set_many(
        "doc", [{"id": i, "text": f"a {n}"} for i in range(300)]
    ),
}


@dropped_by_python
@pytest.mark.parametrize("way", ALARMED)
def test_what_a_handler_raises_comes_out_as_it_is(open_store: OpenStore, way: str) -> None:
    store = open_store(schemas={"doc": Doc})
    store.set_many("doc", [{"id": i, "text": "a", "vector": HERE} for i in range(300)])
    store.search("doc.text", text="a", k=1)  # from here on, writes keep an index of words
    assert raised_by_alarms(partial(ALARMED[way], store), wanted=100) == {Alarm: 100}
    assert store.search("doc.text", text="a", k=1)


@contextmanager
def signals_in_motion(seconds: float, seed: int) -> Iterator[Callable[[], int]]:
    """Send this thread one Ctrl-C after the other, which count where its code is in Motion's: give how many have."""
    chosen, is_over, raised = random.Random(seed), threading.Event(), [0]

    def handle(_: int, frame: FrameType | None) -> None:
        while frame is not None:
            if frame.f_code.co_filename.startswith(OWN):
                raised[0] += 1
                raise KeyboardInterrupt
            frame = frame.f_back

    def send() -> None:
        ends_s = clock.monotonic_s() + seconds
        while clock.monotonic_s() < ends_s and not is_over.wait(chosen.uniform(0.0002, 0.01)):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        is_over.set()

    before = signal.signal(signal.SIGINT, handle)
    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield lambda: raised[0] if not is_over.is_set() else -raised[0]
    finally:
        is_over.set()
        sender.join()
        signal.signal(signal.SIGINT, before)


def write_among_signals(open_store: OpenStore, seconds: float, seed: int) -> int:
    """Write, read, search and wait while signals come; other threads write too. Return how many interrupts there were."""
    store = open_store(schemas={"doc": Doc}, triggers=[upper, size])
    store.set_many("doc", [{"id": i, "text": "a", "vector": HERE} for i in (1, 2)]).wait()
    acknowledged: list[str] = []
    beside: list[str] = []
    is_over = threading.Event()

    def write_beside(name: str) -> None:
        i = 0
        while not is_over.is_set():
            i += 1
            store.set("doc", text=f"{name} {i}")
            beside.append(f"{name} {i}")
            is_over.wait(0.01)

    threads = [threading.Thread(target=write_beside, args=(f"thread {i}",)) for i in range(3)]
    for thread in threads:
        thread.start()
    chosen, interrupts, i = random.Random(seed), 0, 0
    with signals_in_motion(seconds, seed) as count:
        while count() >= 0:
            i += 1
            try:
                if i % 3 == 0:
                    WAYS[chosen.choice(["get", "sql", "search", "status", "rows"])](store, "b")
                else:
                    change = store.set("doc", text=f"main {i}")
                    acknowledged.append(f"main {i}")
                    if i % 2:
                        change.wait("size", timeout=PATIENCE_S)
            except KeyboardInterrupt:
                continue
        interrupts = -count()
    is_over.set()
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    store.wait(timeout=PATIENCE_S)
    texts = Counter(row.text for row in store.rows("doc") if row.id not in (1, 2))
    assert set(texts.values()) == {1}
    assert {*acknowledged, *beside} <= set(texts)
    assert all(row.size == len(row.text) for row in store.rows("doc"))
    store.close()
    assert store.errors is not None
    return interrupts


def test_a_write_that_is_interrupted_as_it_is_ended_holds_up_nobody(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Ctrl-C as it commits, and one more each time that it would be rolled back: the transaction is left open."""
    calls = count()

    @motion.trigger(on="doc.text", sets="doc.size", inline=False, retries=1)
    def size(text: str) -> int:
        if next(calls) == 0:
            raise ValueError("not yet")
        return len(text)

    store = open_store(schemas={"doc": Doc}, triggers=[size])
    store.set("doc", id=1, text="ab")
    failed = "SELECT COUNT(*) FROM motion_tasks WHERE attempts = 1"
    until(store, lambda: store.sql(failed).column(0)[0].as_py() == 1)
    left = ["COMMIT", "ROLLBACK", "ROLLBACK", "ROLLBACK"]
    execute = sqlite._Connection.execute

    def interrupted(connection: Any, sql: str, *given: Any) -> Any:
        if threading.current_thread() is threading.main_thread() and left and sql == left[0]:
            left.pop(0)
            raise KeyboardInterrupt
        return execute(connection, sql, *given)

    monkeypatch.setattr(sqlite._Connection, "execute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.set("doc", id=2, text="abc")
    assert not left
    monkeypatch.undo()
    store.wait(
        timeout=20
    )  # who tries it again claims it by another connection, which would wait for a minute
    assert [(row.id, row.size) for row in store.rows(Doc)] == [(1, 2)]


@dropped_by_python
def test_real_signals_harm_no_write_of_any_thread(open_store: OpenStore) -> None:
    assert write_among_signals(open_store, 1.5, seed=1) > 5


@dropped_by_python
@pytest.mark.crash
@pytest.mark.parametrize("seed", range(4))
def test_a_minute_of_real_signals_harms_no_write_of_any_thread(
    open_store: OpenStore, seed: int
) -> None:
    assert write_among_signals(open_store, 60, seed) > 1000
