"""Workers that are not alike: a process takes the work of those triggers alone all of whose needs it has."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest

import motion
from tests.conftest import OpenStore, until

ROOT = Path(__file__).parents[2]

GPU, EU = "gpu", "region:eu"


@dataclass
class Photo:
    id: int
    path: str
    plain: str | None = None
    there: str | None = None
    both: str | None = None


@motion.trigger(on="photo.path", sets="photo.plain")
def plain(path: str) -> str:
    return path.upper()


@motion.trigger(on="photo.path", sets="photo.there", needs="gpu")
def there(path: str) -> str:
    return path.upper()


@motion.trigger(on="photo.plain", sets="photo.both", needs=["region:eu", "gpu", "gpu"])
def both(plain: str) -> str:
    return plain * 2


TRIGGERS = [plain, there, both]

Work = Callable[..., "subprocess.Popen[str]"]


def opened(url: str, *has: str, run: bool = True, triggers: Any = TRIGGERS) -> motion.Store:
    return motion.create_store(
        "shop", schemas={"photo": Photo}, triggers=triggers, url=url, run=run, has=has
    )


def work(url: str, has: list[str]) -> None:
    """What another worker does, until its input ends."""
    with opened(url, *has):
        print("at work", flush=True)  # noqa: T201 - the message to who started it
        sys.stdin.read()


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[Work]:
    """Start a worker in another process that has something."""
    started: list[subprocess.Popen[str]] = []

    def start_worker(*has: str) -> subprocess.Popen[str]:
        code = f"import tests.engine.test_needs as here; here.work({url_of(tmp_path)!r}, {list(has)!r})"
        worker = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(worker)
        assert worker.stdout is not None
        assert worker.stdout.readline() == "at work\n"
        return worker

    yield start_worker
    for worker in started:
        worker.kill()
        worker.communicate()


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'shop.motion'}"


@pytest.fixture
def here(open_store: OpenStore) -> motion.Store:
    """A store at work in this process, which has nothing."""
    return open_store(schemas={"photo": Photo}, triggers=TRIGGERS)


def done(store: motion.Store) -> list[tuple[Any, ...]]:
    return [(row.plain, row.there, row.both) for row in store.rows("photo")]


def test_a_process_leaves_what_needs_more_than_it_has_and_status_tells(here: motion.Store) -> None:
    here.set_many("photo", [{"path": "a"}, {"path": "b"}])
    until(here, lambda: all(row.plain for row in here.rows("photo")))
    assert done(here) == [("A", None, None), ("B", None, None)]
    found = here.status()
    assert found.waiting_for == {"there": (GPU,), "both": (GPU, EU)}
    assert {name: set(each) for name, each in found.tasks.items()} == {
        "there": {"ready"}, "both": {"ready"},
    }  # fmt: skip
    assert [found.triggers[name].may_run for name in ("plain", "there", "both")] == [
        True, False, False,
    ]  # fmt: skip
    assert found.triggers["there"].has_code
    said = str(found)
    assert "there: 2 row(s) wait for a process that has gpu" in said
    assert "both: 2 row(s) wait for a process that has gpu and region:eu" in said
    assert "--has gpu" in said


def test_who_has_all_of_it_takes_it_and_who_has_a_part_takes_a_part(
    here: motion.Store, start_worker: Work
) -> None:
    start_worker(GPU)
    here.set("photo", id=1, path="a")
    until(here, lambda: done(here) == [("A", "A", None)])
    assert here.status().waiting_for == {"both": (GPU, EU)}
    start_worker(GPU, EU)
    here.wait(timeout=60)
    assert done(here) == [("A", "A", "AA")]
    assert here.status().waiting_for == {}


def test_what_a_worker_had_goes_with_its_process(here: motion.Store, start_worker: Work) -> None:
    worker = start_worker(GPU, EU)
    here.set("photo", id=1, path="a")
    here.wait(timeout=60)
    worker.kill()
    worker.wait()
    here.set("photo", id=1, path="b")
    until(here, lambda: here.get("photo", 1).plain == "B")
    until(here, lambda: here.status().waiting_for == {"there": (GPU,), "both": (GPU, EU)})
    assert done(here)[0][1] == "A"
    start_worker(GPU, EU)
    here.wait(timeout=60)
    assert done(here) == [("B", "B", "BB")]


def test_a_killed_workers_task_is_left_to_one_that_has_what_it_needs(
    open_store: OpenStore, start_worker: Work, tmp_path: Path
) -> None:
    store = open_store(schemas={"photo": Photo}, triggers=TRIGGERS, run=False)
    store.set_many("photo", [{"path": f"{n}"} for n in range(500)])
    worker = start_worker(GPU, EU)
    until(store, lambda: any(row[1] for row in done(store)))
    worker.kill()
    worker.wait()
    start_worker()
    start_worker(GPU)
    until(store, lambda: all(row[1] for row in done(store)))
    start_worker(EU, GPU)
    store.wait(timeout=60)
    assert done(store) == [(f"{n}", f"{n}", f"{n}{n}") for n in range(500)]


def test_it_is_never_run_by_who_only_writes(open_store: OpenStore) -> None:
    """Cheap triggers run before the write: these do not, however cheap they are."""
    store = open_store(schemas={"photo": Photo}, triggers=TRIGGERS)
    for n in range(50):
        store.set("photo", id=n, path="a")
    store.set("photo", id=50, path="a")
    assert store.get("photo", 50).there is None

    @motion.trigger(on="photo.path", sets="photo.there", needs="gpu", inline=True)
    def at_once(path: str) -> str:
        return path

    with pytest.raises(motion.TriggerError, match="needs="):
        open_store("other", schemas={"photo": Photo}, triggers=[at_once])


def test_a_backfill_is_done_where_what_it_needs_is(here: motion.Store, start_worker: Work) -> None:
    start_worker(GPU, EU)
    here.set_many("photo", [{"path": f"{n}"} for n in range(100)])
    here.wait(timeout=60)
    change = here.backfill("there", force=True)
    change.wait(timeout=60)
    assert here.status().tasks == {}


def test_to_say_what_it_needs_makes_nothing_stale(open_store: OpenStore) -> None:
    def shout(path: str) -> str:
        return path.upper()

    def declared(**options: Any) -> Any:
        return motion.trigger(on="photo.path", sets="photo.plain", **options)(shout)

    store = open_store(schemas={"photo": Photo}, triggers=[declared()])
    store.set("photo", id=1, path="a").wait()
    store.close()
    store = open_store(schemas={"photo": Photo}, triggers=[declared(needs=GPU)], has=GPU)
    assert store.status().triggers["shout"].stale == 0
    store.set("photo", id=1, path="b").wait(timeout=60)
    assert store.get("photo", 1).plain == "B"


def test_a_store_that_is_opened_again_with_more_does_more(
    open_store: OpenStore, start_worker: Work, tmp_path: Path
) -> None:
    store = open_store(schemas={"photo": Photo}, triggers=TRIGGERS)
    store.set("photo", id=1, path="a")
    until(store, lambda: done(store) == [("A", None, None)])
    open_store(schemas={"photo": Photo}, triggers=TRIGGERS, has=(EU, GPU))
    store.wait(timeout=60)
    assert done(store) == [("A", "A", "AA")]


# -- models --


@dataclass
class Text:
    id: int
    text: str
    good: bool | None = None
    at: Annotated[np.ndarray, motion.Vector(2)] | None = None


class Embedder(motion.Component):
    def setup(self) -> dict[str, int]:
        return {"turns": 0}

    @motion.infer(on="text.text", sets="text.at", needs="gpu")
    def embed(self, state: dict[str, int], text: str) -> np.ndarray:
        return np.array([len(text), state["turns"]], np.float32)

    @motion.fit(on="text.good", every=1, promote=motion.always)
    def turn(self, state: dict[str, int], rows: list[Any]) -> dict[str, int]:
        return {"turns": state["turns"] + 1}


def fit_elsewhere(url: str) -> None:
    with motion.create_store(
        "shop", schemas={"text": Text}, triggers=[Embedder()], url=url, has="gpu"
    ) as store:
        store.wait(timeout=200)


def test_a_model_is_fitted_where_what_it_needs_is(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store(schemas={"text": Text}, triggers=[Embedder()])
    store.set("text", id=1, text="abc")
    store.set("text", id=1, good=True)
    assert store.status().waiting_for == {"Embedder.embed": (GPU,)}
    assert store.status().versions == {"Embedder": None}  # not even set up here
    code = f"import tests.engine.test_needs as here; here.fit_elsewhere({url_of(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=250)
    row = store.get("text", 1)
    assert row is not None
    assert row.at is not None
    assert row.at.tolist() == [3.0, 1.0]


# -- what is said --


@pytest.mark.parametrize("needs", ["", "two words", "a,b", 7, ["gpu", ""], "x" * 101, None])
def test_what_is_no_word_is_refused(open_store: OpenStore, needs: Any) -> None:
    with pytest.raises(motion.TriggerError, match="takes a word such as 'gpu'"):
        motion.trigger(on="photo.path", sets="photo.plain", needs=needs)
    with pytest.raises(motion.TriggerError, match="has= takes a word such as 'gpu'"):
        open_store(schemas={"photo": Photo}, has=needs)


def test_a_trigger_that_is_left_to_others_may_ask_for_a_gpu_that_is_not_here(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTION_GPUS", "0")

    @motion.trigger(
        on="photo.path", sets="photo.there", needs="gpu", resources=motion.Resources(gpus=1)
    )
    def on_gpu(path: str) -> str:
        return path

    store = open_store(schemas={"photo": Photo}, triggers=[on_gpu])
    store.close()
    with pytest.raises(motion.TriggerError, match="asks for 1 GPUs"):
        open_store(schemas={"photo": Photo}, triggers=[on_gpu], has="gpu")


def test_motion_run_says_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "import motion\nfrom tests.engine.test_needs import Photo, TRIGGERS\n"
        f"store = motion.create_store('shop', schemas={{'photo': Photo}}, triggers=TRIGGERS, url={url_of(tmp_path)!r}, run=False)\n"
        "if not store.rows('photo'):\n    store.set('photo', id=1, path='a')\n"
    )
    code = "import sys; sys.path.insert(0, '.'); from motion.cli.app import app; app()"
    env_path = [str(tmp_path), str(ROOT)]
    command = [
        sys.executable, "-c", f"import sys; sys.path[:0] = {env_path!r}; {code.partition('; ')[2]}",
        "run", "app:store", "--until-idle", "--json", "--has", GPU, "--has", EU,
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["waiting_for"], found["triggers"]["there"]["rows"]) == ({}, 0)
