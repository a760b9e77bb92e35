"""Ray: calls on a cluster give the same as in this process, and the end of what makes them costs time, never results."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import motion
from motion.executors.base import Executor
from motion.executors.ray import RayExecutor
from motion.runtime import open_reader
from motion.testing.contracts import ExecutorContract
from tests.conftest import OpenStore, until
from tests.executors.test_executors import (  # noqa: F401 - the same tests, of what runs on Ray
    SCHEMAS,
    Refuses,
    crash,
    louds,
    open_items,
    test_a_batch_that_raises_is_halved_until_the_failing_rows_stand_alone,
    test_a_failing_row_shows_the_users_line_and_its_writes_are_dropped,
    test_a_trigger_runs_where_it_says,
    test_p6_pages_and_rows_of_another_table_are_exactly_the_last_result,
    test_sys_exit_is_an_error_of_its_row,
    test_values_and_errors_are_the_same_everywhere,
    test_whole_rows_arrays_and_enums_arrive_and_come_back_as_they_are,
    triggers_at,
    until_gone,
    until_there,
)

pytest.importorskip("ray", reason="Ray is not installed here; 'make test-ray' installs it")

MEMORY = 200_000_000
"""Bytes of an object store: tests share their machine."""


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """A cluster of one node with two cores, on this machine, that this process is connected to."""
    import ray

    with tempfile.TemporaryDirectory(
        prefix="ray_", dir="/tmp"
    ) as folder:  # Ray's sockets need short paths
        ray.init(
            num_cpus=2, object_store_memory=MEMORY, include_dashboard=False, _temp_dir=folder,
            logging_level="warning", log_to_driver=False,
        )  # fmt: skip
        yield ray
        ray.shutdown()


@pytest.mark.usefixtures("ray")
class TestRay(ExecutorContract):
    is_elsewhere = True

    def make(self) -> Executor:
        return RayExecutor("contract")


PLACES: dict[str, dict[str, Any]] = {
    "on Ray": {"executor": "ray"},
    "on Ray, for a limited time": {"executor": "ray", "timeout": 60},
}


@pytest.fixture(scope="module", params=[*PLACES.values()], ids=[*PLACES])
def placed(
    request: pytest.FixtureRequest, ray: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[motion.Store]:
    folder = tmp_path_factory.mktemp("placed")
    with motion.create_store(
        "placed",
        schemas=SCHEMAS,
        triggers=triggers_at(request.param),
        url=f"sqlite:///{folder}",
        durability="normal",
    ) as store:
        store.is_far = True  # type: ignore[attr-defined]  # for a test that is imported here
        yield store


# -- what makes calls ends --


@pytest.mark.parametrize("how", ["exits", "is killed"])
@pytest.mark.usefixtures("ray")
def test_a_process_of_ray_that_ends_costs_its_row_one_more_run_and_no_retry(
    open_store: OpenStore, tmp_path: Path, how: str
) -> None:
    @motion.trigger(on="item.text", sets="item.loud", executor="ray")
    def shout(text: str) -> str:
        if not (tmp_path / "crashed").exists():
            (tmp_path / "crashed").touch()
            crash(how)
        return text.upper()

    store = open_items(open_store, shout)
    store.set("item", text="a").wait(timeout=100)
    assert (louds(store), store.errors()) == (["A"], [])


@pytest.mark.usefixtures("ray")
def test_a_call_on_ray_that_takes_too_long_ends_with_its_process_and_the_next_is_made(
    open_store: OpenStore, tmp_path: Path
) -> None:
    @motion.trigger(on="item.text", sets="item.loud", executor="ray", timeout=0.3)
    def shout(text: str) -> str:
        if text == "hang":
            (tmp_path / "hangs").write_text(f"{os.getpid()}")
            time.sleep(1000)
        return text.upper()

    store = open_items(open_store, shout)
    store.set_many("item", [{"text": "a"}, {"text": "hang"}, {"text": "b"}])
    store.wait(timeout=100)
    assert louds(store) == ["A", None, "B"]
    assert [each.error.partition(":")[0] for each in store.errors()] == ["CallTimeout"]
    until_gone(int((tmp_path / "hangs").read_text()))


@pytest.mark.usefixtures("ray")
def test_closing_a_store_ends_its_calls_on_ray_and_leaves_their_rows_to_the_next_start(
    open_store: OpenStore, tmp_path: Path
) -> None:
    @motion.trigger(on="item.text", sets="item.loud", executor="ray")
    def shout(text: str) -> str:
        if not (tmp_path / "hangs").exists():
            (tmp_path / "hangs").write_text(f"{os.getpid()}")
            time.sleep(1000)
        return text.upper()

    store = open_items(open_store, shout)
    store.set("item", text="a")
    process = int(until_there(tmp_path / "hangs"))
    store.close()
    until_gone(process)
    again = open_items(open_store, shout)
    again.wait(timeout=100)
    assert (louds(again), again.errors()) == (["A"], [])


# -- components --


@dataclass
class Word:
    id: int
    text: str
    scaled: float
    process: int
    good: bool


class Scales(motion.Component):
    """Its state is a factor, which each fit doubles, and an array that is sent with it."""

    def setup(self) -> dict[str, Any]:
        return {"factor": 2.0, "weights": np.arange(1000.0)}

    @motion.infer(on="word.text", sets=("word.scaled", "word.process"), executor="ray")
    def scale(self, state: dict[str, Any], text: str) -> tuple[float, int]:
        assert state["weights"].sum() == 499_500
        return state["factor"] * len(text), os.getpid()

    @motion.fit(on="word.good", promote=motion.always)
    def double(self, state: dict[str, Any], rows: list[Word]) -> dict[str, Any]:
        return {**state, "factor": 2 * state["factor"]}


@pytest.mark.usefixtures("ray")
def test_a_component_on_ray_is_an_actor_which_gets_each_state_version_by_the_object_store(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store(schemas={"word": Word}, triggers=[Scales()])

    def said(text: str) -> tuple[float, int]:
        row = store.set("word", id=1, text=text).wait(timeout=100).rows()[0]
        return row.scaled, row.process

    scaled, first = said("a")
    assert (scaled, said("bb")) == (2.0, (4.0, first))
    (tmp_path / "shop.motion" / "states").rename(tmp_path / "away")
    os.kill(first, signal.SIGKILL)
    scaled, second = said("ccc")
    assert (scaled, second != first) == (6.0, True)
    (tmp_path / "away").rename(tmp_path / "shop.motion" / "states")
    store.set("word", id=1, good=True)
    store.model("Scales").fit().wait(timeout=100)
    assert said("dddd") == (16.0, second)
    assert store.errors() == []


# -- how much at once --


@pytest.mark.usefixtures("ray")
def test_no_more_is_claimed_than_the_cluster_has_room_for(
    open_store: OpenStore, tmp_path: Path
) -> None:
    go, begun = tmp_path / "go", tmp_path / "begun"
    begun.mkdir()

    @motion.trigger(on="item.text", sets="item.loud", executor="ray", concurrency=8)
    def shout(text: str) -> str:
        (begun / text).write_text("x")
        until_there(go)
        return text.upper()

    store = open_items(open_store, shout)
    store.set_many("item", [{"text": each} for each in "abcdefgh"])
    until(store, lambda: len(list(begun.iterdir())) == 2)
    claimed = store.sql(
        "select sum(high - low + 1) n from motion_tasks where claim > 0"
    ).to_pylist()
    assert claimed == [{"n": 2}], store.status().tasks
    go.write_text("x")
    store.wait(timeout=100)
    assert louds(store) == list("ABCDEFGH")


@pytest.mark.usefixtures("ray")
def test_quick_calls_go_to_ray_together_and_a_failing_row_fails_alone(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on="item.text", sets="item.loud", executor="ray")
    def shout(text: str) -> str:
        import ray

        if text == "t77":
            raise ValueError("seventy-seven")
        return f"{text.upper()} {ray.get_runtime_context().get_task_id()}"

    store = open_items(open_store, shout)
    store.set_many("item", [{"text": f"t{i}"} for i in range(1_000)])
    store.wait(timeout=100)
    made = [each and each.split() for each in louds(store)]
    assert [each and each[0] for each in made] == [
        None if i == 77 else f"T{i}" for i in range(1_000)
    ]
    ways = {each[1] for each in made if each}
    assert len(ways) < 500
    (letter,) = store.errors()
    assert letter.error.endswith("ValueError: seventy-seven\n")
    assert letter.error.splitlines()[1].endswith("in shout")


# -- code --


@pytest.mark.usefixtures("ray")
def test_new_code_under_an_old_name_runs_in_a_new_process_of_ray(open_store: OpenStore) -> None:
    def shout_with(mark: str) -> Any:
        @motion.trigger(on="item.text", sets=("item.loud", "item.process"), executor="ray")
        def shout(text: str) -> tuple[str, int]:
            return text + mark, os.getpid()

        return shout

    found = []
    for mark in ("!", "?"):
        store = open_items(open_store, shout_with(mark))
        store.set("item", id=1, text=f"a{mark}")
        store.wait(timeout=100)
        found.append(store.rows("item")[0])
    assert [row.loud for row in found] == ["a!!", "a??"]
    assert found[0].process != found[1].process


@pytest.mark.usefixtures("ray")
def test_what_cannot_be_sent_to_ray_is_said_on_the_row(open_store: OpenStore) -> None:
    lock = threading.Lock()

    @motion.trigger(on="item.text", sets="item.loud", executor="ray")
    def shout(text: str) -> str:
        with lock:
            return text.upper()

    store = open_items(open_store, shout)
    store.set("item", id=1, text="a")
    store.wait(timeout=100)
    (letter,) = store.errors()
    assert "trigger 'shout' cannot be sent to another process" in letter.error


@pytest.mark.usefixtures("ray")
def test_what_cannot_be_received_by_ray_is_told_for_each_row_alike(open_store: OpenStore) -> None:
    refuses = Refuses()

    @motion.trigger(on="item.text", sets="item.loud", executor="ray", retries=1)
    def shout(text: str) -> str:
        return f"{text}{refuses}"

    store = open_items(open_store, shout)
    for i in (1, 2):
        store.set("item", id=i, text="a").wait(timeout=100, raise_errors=False)
    told = [(each.attempts, "Panics: what went wrong" in each.error) for each in store.errors()]
    assert told == [(2, True)] * 2


@pytest.mark.usefixtures("ray")
def test_a_store_that_a_node_does_not_have_is_missed_there_and_not_made(
    open_store: OpenStore, tmp_path: Path
) -> None:
    away = tmp_path / "away"

    @motion.trigger(on="item.text", sets="item.loud", executor="ray")
    def shout(text: str) -> str:
        if text == "opens":
            motion.create_store("other", url=f"sqlite:///{away}")
        open_reader("other", away, None, {})
        return text.upper()

    store = open_items(open_store, shout)
    store.set_many("item", [{"text": "opens"}, {"text": "reads"}])
    store.wait(timeout=100)
    told = [each.error.splitlines()[-1] for each in store.errors()]
    assert [
        each.startswith(f"motion.errors.StoreOutOfReach: store 'other' is in {away}")
        for each in told
    ] == [True] * 2
    assert not away.exists()


# -- a whole app --

APP = """
from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import motion


@dataclass
class Note:
    id: int
    text: str
    loud: str
    process: int
    here: int
    late: int


@motion.trigger(on="note.text", sets=("note.loud", "note.process"), retries=1)
def shout(text: str) -> tuple[str, int]:
    return text.upper(), os.getpid()


@motion.trigger(on="note.text", sets="note.here", executor="thread")
def stay(text: str) -> int:
    return os.getpid()


@motion.trigger(on="note.text", sets="note.late")
async def later(text: str) -> int:
    return os.getpid()


store = motion.create_store("app", schemas={"note": Note}, triggers=[shout, stay, later], run=False)
"""


def test_a_whole_app_runs_on_ray_by_an_option_of_its_worker(ray: Any, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    note = "from app import store; store.set('note', id=1, text='a'); store.close()"
    subprocess.run([sys.executable, "-c", note], cwd=tmp_path, check=True, timeout=100)
    address = ray.get_runtime_context().gcs_address
    worker = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "motion", "run", "app:store", "--until-idle",
         "--executor", "ray", "--address", address],
        cwd=tmp_path,
    )  # fmt: skip
    assert worker.wait(timeout=100) == 0
    (row,) = notes(tmp_path)
    assert (row["loud"], row["here"], row["late"]) == ("A", worker.pid, worker.pid)
    assert row["process"] not in (worker.pid, os.getpid())


def notes(folder: Path) -> list[dict[str, Any]]:
    """Return what an app's store holds."""
    with motion.create_store("app", url=f"sqlite:///{folder / 'app.motion'}", run=False) as store:
        rows: list[dict[str, Any]] = store.sql("select * from note order by id").to_pylist()
        return rows


def test_a_driver_that_is_killed_loses_nothing(ray: Any, tmp_path: Path) -> None:
    slow = f"Path({str(tmp_path)!r}, f'called_{{text}}').touch(); time.sleep(0.05)\n"
    (tmp_path / "app.py").write_text(
        APP.replace("return text.upper()", f"{slow}    return text.upper()")
    )
    note = "from app import store; store.set_many('note', [{'text': f't{i}'} for i in range(40)]); store.close()"
    subprocess.run([sys.executable, "-c", note], cwd=tmp_path, check=True, timeout=100)
    address = ray.get_runtime_context().gcs_address
    command = [
        sys.executable, "-m", "motion", "run", "app:store", "--until-idle", "--executor", "ray", "--address", address,
    ]  # fmt: skip
    worker = subprocess.Popen(command, cwd=tmp_path)
    while len(list(tmp_path.glob("called_*"))) < 5:
        assert worker.poll() is None
        time.sleep(0.01)
    worker.kill()
    worker.wait()
    assert subprocess.run(command, cwd=tmp_path, check=False, timeout=100).returncode == 0
    assert [row["loud"] for row in notes(tmp_path)] == [f"T{i}" for i in range(40)]
    assert len(list(tmp_path.glob("called_*"))) == 40
