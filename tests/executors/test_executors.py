"""Executors: a trigger gives the same wherever it runs, and the end of a process it runs in costs one call."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import motion
from tests.conftest import OpenStore, is_running, until


class Mood(Enum):
    CALM = 1
    LOUD = 2


@dataclass
class Doc:
    id: int
    text: str
    mood: Mood
    vector: np.ndarray
    loud: str
    size: int
    shape: list[int]
    doubled: np.ndarray
    other: Mood
    said: str
    process: int


@dataclass
class Paged:
    id: int
    text: str
    page: int
    word: str


@dataclass
class Chunk:
    id: int
    word: str


SCHEMAS: dict[str, type] = {"doc": Doc, "paged": Paged, "chunk": Chunk}

PLACES: dict[str, dict[str, Any]] = {
    "where it is left out": {},
    "in a thread": {"executor": "thread"},
    "in a thread, for a limited time": {"timeout": 60},
    "in a process": {"executor": "process"},
    "in a process, for a limited time": {"executor": "process", "timeout": 60},
}


class Scale(motion.Component):
    """Its state is three factors; what it gives shows that they were there."""

    where: dict[str, Any]

    def __init__(self, where: dict[str, Any]) -> None:
        self._where = where

    def setup(self) -> dict[str, np.ndarray]:
        return {"factors": np.array([1.0, 2.0, 3.0])}


def triggers_at(where: dict[str, Any]) -> list[Any]:
    """One trigger of each kind, all to be run at one place."""

    @motion.trigger(on="doc.text", sets=("doc.loud", "doc.size"), **where)
    def shout(text: str) -> tuple[str, int]:
        return text.upper(), 100 // (len(text) - text.count("!") * 100) if "!" in text else len(
            text
        )

    @motion.trigger(on="doc.vector", sets="doc.shape", batch=4, **where)
    def measure(vector: list[np.ndarray]) -> list[Any]:
        if any(each.ndim > 2 for each in vector):
            raise ValueError("too deep")
        return [
            motion.Failed("nothing there") if not each.size else list(each.shape) for each in vector
        ]

    @motion.trigger(on="doc.mood", sets="doc.other", **where)
    def turn(row: Doc) -> Mood:
        return Mood.LOUD if row.mood is Mood.CALM else Mood.CALM

    @motion.trigger(on="doc.text", **where)
    def note(id: int, text: str, store: motion.View) -> None:
        if text == "quiet":
            raise LookupError("nothing is written then")
        if text == "leave":
            sys.exit(3)
        found = store.get(Doc, id)
        assert found is not None
        store.set(Doc, id=id, said=f"{found.text}?")
        store.set("doc", id=id, process=os.getpid())

    @motion.trigger(on="paged.text", sets="paged.word", page="page", **where)
    def words(text: str) -> list[str]:
        return text.split()

    @motion.trigger(on="paged.text", sets="chunk", **where)
    def chunks(text: str) -> list[Chunk | dict[str, Any]]:
        return [{"word": word} for word in text.split()]

    class Model(Scale):
        @motion.infer(on="doc.vector", sets="doc.doubled", **where)
        def double(self, state: Any, vector: np.ndarray) -> np.ndarray:
            doubled: np.ndarray = np.resize(vector, 3) * state["factors"]
            return doubled

    return [shout, measure, turn, note, words, chunks, Model(where)]


@pytest.fixture(scope="module", params=[*PLACES.values()], ids=[*PLACES])
def placed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[motion.Store]:
    folder = tmp_path_factory.mktemp("placed")
    with motion.create_store(
        "placed",
        schemas=SCHEMAS,
        triggers=triggers_at(request.param),
        url=f"sqlite:///{folder}",
        durability="normal",
    ) as store:
        store.is_far = request.param.get("executor") == "process"  # type: ignore[attr-defined]  # for one test below
        yield store


def emptied(store: motion.Store) -> motion.Store:
    for table in SCHEMAS:
        for row in store.rows(table, inherit=False):
            store.delete(table, row.id)
    store.wait(timeout=60)
    return store


def doc(store: motion.Store, id: int) -> Doc:
    row = store.get(Doc, id)
    assert row is not None
    return row


# -- the same everywhere --


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(texts=st.lists(st.text("ab!", max_size=4), max_size=12))
def test_values_and_errors_are_the_same_everywhere(placed: motion.Store, texts: list[str]) -> None:
    store = emptied(placed)
    store.set_many("doc", [{"id": i, "text": text} for i, text in enumerate(texts)])
    store.wait(timeout=60)
    assert [row.loud for row in store.rows("doc")] == [text.upper() for text in texts]
    assert [row.said for row in store.rows("doc")] == [f"{text}?" for text in texts]
    assert store.errors() == []


def test_a_failing_row_shows_the_users_line_and_its_writes_are_dropped(
    placed: motion.Store,
) -> None:
    store = emptied(placed)
    store.set_many("doc", [{"id": 1, "text": "quiet"}, {"id": 2, "text": "b"}])
    store.wait(timeout=60)
    assert [row.said for row in store.rows("doc")] == [None, "b?"]
    (letter,) = store.errors()
    assert letter.error.splitlines()[1].endswith("in note")
    assert letter.error.endswith("LookupError: nothing is written then\n")


def test_sys_exit_is_an_error_of_its_row(placed: motion.Store) -> None:
    store = emptied(placed)
    store.set_many("doc", [{"id": 1, "text": "leave"}, {"id": 2, "text": "b"}])
    store.wait(timeout=60)
    assert [row.said for row in store.rows("doc")] == [None, "b?"]
    assert [each.error.splitlines()[-1] for each in store.errors()] == ["SystemExit: 3"]


def test_a_batch_that_raises_is_halved_until_the_failing_rows_stand_alone(
    placed: motion.Store,
) -> None:
    store = emptied(placed)
    arrays = [np.zeros((1, i)) for i in range(7)]
    arrays[5] = np.zeros((1, 1, 1))
    store.set_many("doc", [{"id": i, "vector": each} for i, each in enumerate(arrays)])
    store.wait(timeout=60)
    shapes = [None, [1, 1], [1, 2], [1, 3], [1, 4], None, [1, 6]]
    assert [row.shape for row in store.rows("doc")] == shapes
    failed = {each.row: each.error.strip().splitlines()[-1] for each in store.errors()}
    assert failed == {"id=0": "nothing there", "id=5": "ValueError: too deep"}


def test_whole_rows_arrays_and_enums_arrive_and_come_back_as_they_are(
    placed: motion.Store,
) -> None:
    store = emptied(placed)
    store.set("doc", id=1, mood=Mood.CALM, vector=np.array([1.0, 1.0, 1.0]))
    store.wait(timeout=60)
    assert doc(store, 1).other is Mood.LOUD
    assert doc(store, 1).doubled.tolist() == [1.0, 2.0, 3.0]


def test_p6_pages_and_rows_of_another_table_are_exactly_the_last_result(
    placed: motion.Store,
) -> None:
    store = emptied(placed)
    for text in ("a b c", "d e"):
        store.set("paged", id=1, text=text)
        store.wait(timeout=60)
    assert [row.word for row in store.rows("paged", id=1)] == ["d", "e"]
    assert sorted(row.word for row in store.rows("chunk")) == ["d", "e"]


def test_a_trigger_runs_where_it_says(placed: motion.Store) -> None:
    store = emptied(placed)
    store.set("doc", id=1, text="a")
    store.wait(timeout=60)
    assert (doc(store, 1).process != os.getpid()) == store.is_far  # type: ignore[attr-defined]  # see `placed`


# -- processes end --


@dataclass
class Item:
    id: int
    text: str
    loud: str
    process: int


def open_items(open_store: OpenStore, *triggers: Any, **options: Any) -> motion.Store:
    return open_store(schemas={"item": Item}, triggers=triggers, **options)


def louds(store: motion.Store) -> list[str | None]:
    return [row.loud for row in store.rows("item")]


def until_there(path: Path) -> str:
    """Wait until another process has written a file, and return what is in it."""
    while not (path.exists() and path.read_text()):
        time.sleep(0.01)
    return path.read_text()


def until_gone(process: int) -> None:
    """Wait for the end of a process. One that lives on is an error of the test's own time limit."""
    while is_running(process):
        time.sleep(0.01)


def crash(how: str) -> None:
    if how == "exits":
        os._exit(3)
    elif how == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGSEGV)


@pytest.mark.parametrize("how", ["exits", "is killed", "faults"])
def test_a_process_that_ends_costs_its_row_one_more_run_and_no_retry(
    open_store: OpenStore, tmp_path: Path, how: str
) -> None:
    @motion.trigger(on="item.text", sets="item.loud", executor="process")
    def shout(text: str) -> str:
        if not (tmp_path / "crashed").exists():
            (tmp_path / "crashed").touch()
            crash(how)
        return text.upper()

    store = open_items(open_store, shout)
    store.set("item", id=1, text="a").wait(timeout=60)
    assert (louds(store), store.errors()) == (["A"], [])


@pytest.mark.parametrize("code", [0, 83])
def test_a_process_that_ends_counts_whatever_its_exit_code(
    open_store: OpenStore, code: int
) -> None:
    @motion.trigger(on="item.text", sets="item.loud", executor="process")
    def shout(text: str) -> str:
        os._exit(code)

    store = open_items(open_store, shout)
    change = store.set("item", id=1, text="a")
    until(store, lambda: "postponed" in store.status().tasks["shout"])
    change.cancel()


class Panics(BaseException):
    """As libraries in other languages raise it: no `Exception`."""


class Refuses:
    """Can be sent to another process, and not be received there."""

    def __getstate__(self) -> dict[str, int]:
        return {"process": os.getpid()}

    def __setstate__(self, state: dict[str, int]) -> None:
        if state["process"] != os.getpid():
            raise Panics("what went wrong")


def test_what_is_raised_on_the_way_to_a_call_is_told_after_one_attempt(
    open_store: OpenStore,
) -> None:
    refuses = Refuses()

    @motion.trigger(on="item.text", sets="item.loud", executor="process")
    def shout(text: str) -> str:
        return f"{text}{refuses}"

    store = open_items(open_store, shout)
    for i in (1, 2):  # the process is the same for both
        store.set("item", id=i, text="a").wait(timeout=60, raise_errors=False)
    told = [(each.attempts, "Panics: what went wrong" in each.error) for each in store.errors()]
    assert told == [(1, True)] * 2


def test_a_call_that_closes_standard_output_gives_its_result(open_store: OpenStore) -> None:
    @motion.trigger(on="item.text", sets="item.loud", executor="process")
    def shout(text: str) -> str:
        sys.stdout.close()
        return text.upper()

    store = open_items(open_store, shout)
    store.set("item", id=1, text="a").wait(timeout=60)
    assert louds(store) == ["A"]


@pytest.mark.slow
def test_a_row_that_ends_ten_processes_is_set_aside_alone_and_uses_up_no_retry(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on="item.text", sets="item.loud", executor="process", batch=4, retries=1)
    def shout(text: list[str]) -> list[str]:
        if "t3" in text:
            os._exit(3)
        return [each.upper() for each in text]

    store = open_items(open_store, shout)
    store.set_many("item", [{"id": i, "text": f"t{i}"} for i in range(1, 9)])
    store.wait(timeout=250)
    assert louds(store) == ["T1", "T2", None, "T4", "T5", "T6", "T7", "T8"]
    (letter,) = store.errors()
    assert letter.error.startswith("10 processes ended while they ran this task. The last: Process")
    assert (letter.row, letter.attempts, "exit code 3" in letter.error) == ("id=3", 0, True)


@pytest.mark.slow
def test_rows_that_end_their_process_are_found_and_cost_the_others_nothing(
    open_store: OpenStore, tmp_path: Path
) -> None:
    deadly = {1, 20, 21, 40, 64}
    deaths = tmp_path / "deaths"

    @motion.trigger(on="item.text", sets="item.loud", executor="process", batch=64)
    def shout(text: list[str]) -> list[str]:
        if not deadly.isdisjoint(int(each) for each in text):
            with deaths.open("a") as noted:
                noted.write(".")
            os._exit(3)
        return [f"{each}!" for each in text]

    store = open_items(open_store, shout)
    change = store.set_many("item", [{"id": i, "text": f"{i}"} for i in range(1, 65)])
    until(store, lambda: louds(store).count(None) == len(deadly))
    tasks = store.sql("select low, high, losses from motion_tasks").to_pylist()
    assert {row for each in tasks for row in range(each["low"], each["high"] + 1)} == deadly
    assert len(deaths.read_text()) < 8 * len(deadly)
    change.cancel()


def test_a_process_that_is_killed_from_outside_is_replaced(
    open_store: OpenStore, tmp_path: Path
) -> None:
    sign, go = tmp_path / "sign", tmp_path / "go"

    @motion.trigger(on="item.text", sets="item.loud", executor="process")
    def shout(text: str) -> str:
        if not sign.exists():
            sign.write_text(f"{os.getpid()}")
            until_there(go)
        return text.upper()

    store = open_items(open_store, shout)
    store.set("item", id=1, text="a")
    os.kill(int(until_there(sign)), signal.SIGKILL)
    store.wait(timeout=60)
    assert (louds(store), store.errors()) == (["A"], [])


def test_new_code_under_an_old_name_runs_in_a_new_process(open_store: OpenStore) -> None:
    def shout_with(mark: str) -> Any:
        @motion.trigger(on="item.text", sets=("item.loud", "item.process"), executor="process")
        def shout(text: str) -> tuple[str, int]:
            return text + mark, os.getpid()

        return shout

    found = []
    for mark in ("!", "?"):
        store = open_items(open_store, shout_with(mark))
        store.set("item", id=1, text=f"a{mark}")
        store.wait(timeout=60)
        found.append(store.rows("item")[0])
    assert [row.loud for row in found] == ["a!!", "a??"]
    assert found[0].process != found[1].process


def test_what_cannot_be_sent_to_a_process_is_said_on_the_row(open_store: OpenStore) -> None:
    lock = threading.Lock()

    @motion.trigger(on="item.text", sets="item.loud", executor="process")
    def shout(text: str) -> str:
        with lock:
            return text.upper()

    store = open_items(open_store, shout)
    store.set("item", id=1, text="a")
    store.wait(timeout=60)
    (letter,) = store.errors()
    assert "trigger 'shout' cannot be sent to another process" in letter.error
    assert "lock" in letter.error


def test_a_store_that_a_function_closes_over_acts_as_its_view_in_a_process(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on="item.text", executor="process")
    def note(id: int, text: str) -> None:
        assert store.get("item", id).text == text
        store.set("item", id=id, loud=text.upper(), process=os.getpid())

    store = open_items(open_store, note)
    store.set("item", id=1, text="a")
    store.wait(timeout=60)
    assert (louds(store), store.rows("item")[0].process != os.getpid()) == (["A"], True)


# -- in scripts --

PREAMBLE = """
import os, signal, sys, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # what is started in the background may ignore it
from dataclasses import dataclass
import motion

@dataclass
class Item:
    id: int
    text: str
    loud: str
    threads: str

@motion.trigger(on="item.text", sets=("item.loud", "item.threads"), executor="process")
def shout(text: str) -> tuple[str, str]:
    if text == "hang":
        print(os.getpid(), flush=True)
        time.sleep(1000)
    return text.upper(), " ".join(thread.name for thread in threading.enumerate())

store = motion.create_store("app", schemas={"item": Item}, triggers=[shout])
"""


def script(tmp_path: Path, name: str, code: str, *command: str) -> subprocess.Popen[str]:
    (tmp_path / name).write_text(code)
    return subprocess.Popen(
        [sys.executable, "-W", "error", *(command or (name,))],
        cwd=tmp_path, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


RUN_AND_SHOW = """
store.set("item", id=1, text="a")
store.wait(timeout=60)
print(store.rows("item")[0].loud, "motion-worker" in store.rows("item")[0].threads)
"""


def test_a_script_without_a_main_guard_may_use_processes(tmp_path: Path) -> None:
    with script(tmp_path, "app.py", PREAMBLE + RUN_AND_SHOW) as process:
        assert process.communicate()[0] == "A False\n"
    assert process.returncode == 0


def test_a_module_that_opens_its_store_does_no_work_in_the_process_of_a_trigger(
    tmp_path: Path,
) -> None:
    code = f"from app import store\n{RUN_AND_SHOW}store.close()"
    with script(tmp_path, "app.py", PREAMBLE, "-c", code) as process:
        assert process.communicate()[0] == "A False\n"
    assert process.returncode == 0


HANG = """
store.set("item", id=1, text="hang")
try:
    store.wait()
except KeyboardInterrupt:
    store.close()
    print("closed", flush=True)
"""


def test_ctrl_c_ends_the_script_and_its_processes_and_costs_nothing(tmp_path: Path) -> None:
    with script(tmp_path, "app.py", PREAMBLE + HANG) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.readline() == "closed\n"
    until_gone(worker)
    after = "\nprint(store.status().tasks, store.errors(), flush=True)\nos._exit(0)"
    with script(tmp_path, "app.py", PREAMBLE.replace("triggers=[shout]", "") + after) as process:
        assert process.communicate()[0] == "{'shout': {'ready': 1}} []\n"


INTERRUPTED = """
@motion.trigger(on="item.text", sets="item.loud", executor="process")
def slow(text: str) -> str:
    print(os.getpid(), flush=True)
    while not os.path.exists("go"):
        time.sleep(0.01)
    return text.upper()

store = motion.create_store("app", schemas={"item": Item}, triggers=[slow])
store.set("item", id=1, text="a")
try:
    store.wait()
except KeyboardInterrupt:
    open("go", "w").close()
store.wait()
print(store.rows("item")[0].loud)
"""


def test_an_interrupt_that_the_script_survives_does_not_reach_its_processes(
    tmp_path: Path,
) -> None:
    with script(tmp_path, "app.py", PREAMBLE + INTERRUPTED) as process:
        assert process.stdout is not None
        int(process.stdout.readline())
        os.killpg(process.pid, signal.SIGINT)
        assert process.communicate()[0] == "A\n"  # and no second process has said its number


def test_a_process_ends_when_the_one_that_it_works_for_is_killed(tmp_path: Path) -> None:
    with script(tmp_path, "app.py", PREAMBLE + HANG) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        process.kill()
        until_gone(worker)


# -- what may be asked for --


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"executor": "gpu"}, "allowed are thread, process, ray"),
        ({"resources": 2}, "takes motion.Resources"),
        ({"executor": "process", "inline": True}, "inline=True needs"),
        ({"resources": motion.Resources(cpus=1), "inline": True}, "inline=True needs"),
        ({"resources": motion.Resources(gpus=100)}, "asks for 100 GPUs, and this machine has"),
    ],
)
def test_what_cannot_be_is_refused_at_once(
    open_store: OpenStore, options: dict[str, Any], reason: str
) -> None:
    def shout(text: str) -> str:
        return text.upper()

    with pytest.raises(motion.TriggerError, match=reason):
        open_items(open_store, motion.trigger(on="item.text", sets="item.loud", **options)(shout))


WITHOUT_RAY = """
import sys

sys.modules["ray"] = None  # as where it is not installed
import motion

try:
    motion.trigger(on="item.text", sets="item.loud", executor="ray")
except motion.MotionError as exc:
    print(type(exc).__name__, exc)
"""


def test_ray_that_is_not_installed_is_missed_where_it_is_declared(tmp_path: Path) -> None:
    process = script(tmp_path, "without.py", WITHOUT_RAY)
    told, _ = process.communicate(timeout=120)
    assert told.startswith("MissingPackage executor='ray' needs the package ray, which is not")
    assert "pip install 'motion-ml[ray]'" in told


def test_an_async_function_and_a_generator_are_refused_in_a_process(open_store: OpenStore) -> None:
    @motion.trigger(on="item.text", sets="item.loud", executor="process")
    async def later(text: str) -> str:
        return text

    @motion.trigger(on="item.text", sets="item.loud", executor="process")
    def parts(text: str) -> Iterator[str]:
        yield text

    for function, reason in ((later, "async function"), (parts, "generator")):
        with pytest.raises(motion.TriggerError, match=reason):
            open_items(open_store, function)


@pytest.mark.parametrize("wrong", [-1, "2", None, float("nan"), True])
def test_resources_are_numbers_of_at_least_0(wrong: Any) -> None:
    with pytest.raises(motion.TriggerError, match="at least 0"):
        motion.Resources(cpus=wrong)


def test_runs_that_ask_for_more_than_the_machine_has_go_one_at_a_time(
    open_store: OpenStore,
) -> None:
    """What asks for more than there is runs alone; without `resources` these two wait for each other and meet."""
    inside, most = [0], [0]
    lock = threading.Lock()

    def enter(text: str) -> int:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        time.sleep(0.005)  # so that others would come in if they might
        with lock:
            inside[0] -= 1
        return len(text)

    everything = motion.Resources(cpus=1_000_000)
    options: dict[str, Any] = {"concurrency": 4, "resources": everything, "batch": 1}
    first = motion.trigger(on="item.text", sets="item.process", name="first", **options)
    store = open_items(open_store, first(lambda text: [enter(each) for each in text]))
    for i in range(1, 21):
        store.set("item", id=i, text="a")
    store.wait(timeout=60)
    assert (most, store.errors()) == ([1], [])


LATE_TYPES = """
from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Annotated

import numpy as np

import motion


class Kind(Enum):
    SHOE = 1


@dataclass
class Tag:
    kind: Kind
    more: list[Tag]


@dataclass
class Doc:
    id: int
    text: str
    kind: Kind
    tags: list[Tag]
    vector: Annotated[np.ndarray, motion.Vector(2)] | None
    good: bool
    out: str


@motion.trigger(on="doc.text", sets="doc.out", executor="process")
def shout(text: str, kind: Kind, tags: list[Tag]) -> str:
    return f"{text.upper()} {kind.name} {tags[0].kind.name}"


class Counter(motion.Component):
    def setup(self) -> int:
        return 0

    @motion.fit(on="doc.good")
    def learn(self, state: int, rows: list[Doc]) -> int:
        return state + len(rows[0].tags)


if __name__ == "__main__":
    store = motion.create_store("late", schemas={"doc": Doc}, triggers=[shout, Counter()], url=":memory:")
    with store:
        tags = [Tag(Kind.SHOE, [])]
        change = store.set("doc", id=1, text="a", kind=Kind.SHOE, tags=tags, good=True)
        print(change.wait(timeout=60).rows()[0].out)
        store.model("Counter").fit()
        store.wait(timeout=60)
        with store.model("Counter").live() as (state, _):
            print(state)
"""


def test_a_script_may_have_its_types_as_text(tmp_path: Path) -> None:
    process = script(tmp_path, "late.py", LATE_TYPES)
    told, _ = process.communicate(timeout=120)
    assert told.splitlines() == ["A SHOE SHOE", "1"]
