"""Fits on Ray: the same as in a process, and what ends there costs another call, never a result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import motion
from motion import runtime
from tests.conftest import OpenStore, until
from tests.executors.test_executors import until_there
from tests.states.test_fits_anywhere import (  # noqa: F401 - the same tests, of what runs on Ray
    LABELS,
    Item,
    Known,
    Pupil,
    Waits,
    fitted,
    opened,
    state_of,
    taught,
    test_a_fit_that_is_under_way_at_close_is_ended_and_made_at_the_next_start,
    test_a_version_is_learned_measured_and_goes_live_where_infer_runs,
    test_p8_a_fit_that_takes_too_long_is_ended,
    test_p8_what_a_fit_raises_is_a_failed_fit_whose_labels_the_next_learns,
    test_the_progress_of_a_fit_shows_and_labels_meanwhile_are_for_the_next,
    test_what_a_fit_or_an_evaluation_writes_through_its_store_is_refused,
)

pytest.importorskip("ray", reason="Ray is not installed here; 'make test-ray' installs it")

from tests.executors.test_ray import APP, ray  # noqa: F401 - its cluster

pytestmark = pytest.mark.usefixtures("ray")


class OnRay(motion.Component):
    """What makes a component's jobs run on Ray."""

    @motion.infer(on="item.text", sets="item.answer", executor="ray")
    def answer(self, state: Known, text: str) -> int:
        return len(state.lessons)


def on_ray(kind: type[Pupil]) -> Pupil:
    made: Pupil = type(kind.__name__, (OnRay, kind), {})()
    return made


@pytest.fixture
def at() -> Callable[[type[Pupil]], Pupil]:
    return on_ray


@pytest.fixture
def place() -> str:
    return "a cluster"


def statuses(store: motion.Store, name: str) -> list[tuple[int, str]]:
    return [(each.number, each.status) for each in store.model(name).versions()]


# -- what runs a job ends --


class Ends(OnRay):
    """Its methods end the process that they run in as often as a file in the folder says."""

    def __init__(self, folder: str, mischief: str, times: int) -> None:
        self.folder, self.mischief, self.times = folder, mischief, times

    def _end_in(self, method: str) -> None:
        done = len(list(Path(self.folder).glob(f"{method}_*")))
        if method == self.mischief and done < self.times:
            (Path(self.folder) / f"{method}_{done}").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def setup(self) -> Known:
        self._end_in("setup")
        return Known([], [], [])  # type: ignore[arg-type]

    @motion.fit(on="item.label", holdout=0.3, promote=motion.if_better("lessons"))
    def learn(self, state: Known, rows: list[Item]) -> Known:
        self._end_in("learn")
        return Known([*state.lessons, *(row.label for row in rows)], [], [])  # type: ignore[arg-type]

    def evaluate(self, state: Known, rows: list[Item]) -> dict[str, float]:
        self._end_in("evaluate")
        return {"lessons": len(state.lessons)}


@pytest.mark.parametrize("mischief", ["setup", "learn", "evaluate"])
def test_a_job_whose_process_ends_twice_is_called_again_and_gives_one_version(
    open_store: OpenStore, tmp_path: Path, mischief: str
) -> None:
    store = open_store(schemas={"item": Item}, triggers=[Ends(str(tmp_path), mischief, 2)])
    taught(store, 1, *LABELS)
    made = fitted(store, "Ends")
    assert len(list(tmp_path.glob(f"{mischief}_*"))) == 2
    assert statuses(store, "Ends") == [(1, "retired"), (2, "live")]
    assert len(set(state_of(store, "Ends").lessons)) == made.rows == made.metrics["lessons"]


def test_p8_a_fit_that_always_ends_its_process_fails_and_loses_no_label(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store(schemas={"item": Item}, triggers=[Ends(str(tmp_path), "learn", 3)])
    taught(store, 1, *LABELS)
    failed = fitted(store, "Ends")
    assert (failed.number, failed.status) == (2, "failed")
    assert "the process that ran the call has ended" in failed.metrics["reason"]
    assert len(list(tmp_path.glob("learn_*"))) == 3
    assert fitted(store, "Ends").status == "live"
    assert state_of(store, "Ends").lessons


# -- where it runs --


def test_a_node_without_the_store_learns_from_what_comes_along(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = partial(runtime.open_reader, "shop", tmp_path / "away", None, {"item": Item})
    monkeypatch.setattr(runtime, "reader_of", lambda database: away)
    store = opened(open_store, on_ray(Pupil))
    taught(store, 1, *LABELS)
    failed = fitted(store, "Pupil")
    assert "StoreOutOfReach" in failed.metrics["reason"]  # its evaluate takes the store
    store.close()
    store = opened(open_store, on_ray(Waits))
    assert fitted(store, "Waits").status == "live"
    assert len(state_of(store, "Waits").lessons) == 12


def test_what_a_fit_takes_of_the_cluster_is_not_claimed_for_calls(
    open_store: OpenStore, tmp_path: Path
) -> None:
    go, begun = tmp_path / "go", tmp_path / "begun"
    begun.mkdir()

    @motion.trigger(on="item.text", executor="ray", concurrency=8)
    def wait(text: str) -> None:
        (begun / text).touch()
        until_there(go)

    class Model(Waits):
        @motion.infer(on="item.answer", executor="ray")
        def answer(self, state: Known, answer: int) -> None:  # type: ignore[override]
            """It runs there, and so do its fits."""

    store = open_store(schemas={"item": Item}, triggers=[Model(), wait])
    go.write_text("x")
    store.set_many("item", [{"id": 200 + i, "text": f"warm{i}"} for i in range(8)])
    store.wait(timeout=250)  # two actors are there, and hold the whole cluster
    go.unlink()
    sign = tmp_path / "sign"
    taught(store, 1, f"hang {sign}")
    asked = store.model("Model").fit()
    until(store, sign.exists, 250)
    store.set_many("item", [{"id": 100 + i, "text": f"t{i}"} for i in range(8)])
    until(store, lambda: len(list(begun.glob("t*"))) > 0, 250)
    claimed = store.sql(
        "select sum(high - low + 1) n from motion_tasks where claim > 0"
    ).to_pylist()
    assert claimed == [{"n": 1}]
    sign.unlink()
    go.write_text("x")
    asked.wait(timeout=250)
    store.wait(timeout=250)
    assert statuses(store, "Model") == [(1, "live")]


# -- a whole app --

FITTED_APP = APP.replace(
    "store =",
    """
class Model(motion.Component):
    def setup(self) -> list[int]:
        return [os.getpid()]

    @motion.fit(on="note.late")
    def learn(self, state: list[int], rows: list[Note]) -> list[int]:
        while Path("hold").exists():
            Path("begun").touch()
            time.sleep(0.01)
        return [*state, os.getpid(), *(row.id for row in rows)]


store =""",
    1,
).replace("triggers=[shout, stay, later]", "triggers=[Model()]")


def states_of_app(folder: Path) -> list[Any]:
    code = (
        "import json; from app import store; m = store.model('Model');"
        "print(json.dumps([[[v.number, v.status] for v in m.versions()], m.live().__enter__()[0]])); store.close()"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, check=True, timeout=250, capture_output=True
    )
    found: list[Any] = json.loads(said.stdout)
    return found


def test_a_whole_apps_fits_run_on_ray_and_a_driver_that_is_killed_costs_one_more_call(
    ray: Any,  # noqa: F811
    tmp_path: Path,
) -> None:
    (tmp_path / "app.py").write_text(FITTED_APP)
    (tmp_path / "hold").touch()
    note = "from app import store; store.set_many('note', [{'id': i, 'late': i} for i in (11, 12)]); store.model('Model').fit(); store.close()"
    subprocess.run([sys.executable, "-c", note], cwd=tmp_path, check=True, timeout=250)
    address = ray.get_runtime_context().gcs_address
    command = [
        sys.executable, "-m", "motion", "run", "app:store", "--until-idle", "--executor", "ray", "--address", address,
    ]  # fmt: skip
    worker = subprocess.Popen(command, cwd=tmp_path)
    while not (tmp_path / "begun").exists():
        assert worker.poll() is None
    worker.kill()
    worker.wait()
    (tmp_path / "hold").unlink()
    second = subprocess.Popen(command, cwd=tmp_path)
    assert second.wait(timeout=250) == 0
    versions, state = states_of_app(tmp_path)
    assert versions == [[1, "retired"], [2, "live"]]
    assert state[2:] == [11, 12]
    assert not {state[0], state[1]} & {worker.pid, second.pid, os.getpid()}
