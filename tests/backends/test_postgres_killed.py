"""Workers and the PostgreSQL server are killed (-9) in the middle of a load: all is done in the end, and nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

import motion
from tests.conftest import until
from tests.postgres import Server

LONG_S = 900.0


@dataclass
class Garment:
    id: int
    price: float
    doubled: float | None = None
    label: str | None = None


@dataclass
class Entry:
    """One is made, freely, by each run on a garment."""

    id: int
    garment: int | None = None


@motion.trigger(on="garment.price", sets="garment.doubled", inline=False, batch=16)
def double(price: list[float]) -> list[float]:
    return [2 * each for each in price]


@motion.trigger(on="garment.doubled", sets="garment.label")
def name(doubled: float) -> str:
    return f"for {doubled:g}"


@motion.trigger(on="garment.label")
def enter(id: int, label: str, store: motion.View) -> None:
    assert store.get("garment", id).label == label
    store.set("entry", garment=id)


def opened(url: str, *, run: bool) -> motion.Store:
    schemas = {"garment": Garment, "entry": Entry}
    return motion.create_store(
        "killed", schemas=schemas, triggers=[double, name, enter], url=url, run=run
    )


def work(url: str) -> None:
    """What a worker does: its triggers' work, until it is killed."""
    with opened(url, run=True):
        threading.Event().wait()


@pytest.fixture
def url(postgres_server: Server, tmp_path: Path) -> Iterator[str]:
    schema = f"killed_{os.getpid()}"
    yield f"{postgres_server.url}&motion_schema={schema}&motion_folder={tmp_path / 'folder'}"
    postgres_server.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')


@pytest.fixture
def start_worker(url: str) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start_worker() -> subprocess.Popen[bytes]:
        program = f"from tests.backends.test_postgres_killed import work; work({url!r})"
        started.append(
            subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[2])
        )
        return started[-1]

    yield start_worker
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("rows", "kills"), [(300, 1), pytest.param(10_000, 3, marks=pytest.mark.crash)]
)
@pytest.mark.timeout(3600)
def test_workers_and_the_server_are_killed_in_a_load_and_all_is_done_once(
    postgres_server: Server,
    url: str,
    start_worker: Callable[[], subprocess.Popen[bytes]],
    rows: int,
    kills: int,
) -> None:
    """A worker outlives the server; only one that was killed itself is started anew."""
    with opened(url, run=False) as store:

        def entries() -> int:
            while True:
                with suppress(motion.StoreUnavailable):  # just now the server is away
                    return int(store.sql("SELECT count(*) AS n FROM entry").to_pylist()[0]["n"])

        def load() -> None:
            given = ({"id": n, "price": float(n)} for n in range(rows))
            store.set_many("garment", given, commit_every=50)

        loading = threading.Thread(target=load)
        worker = start_worker()
        loading.start()
        for kill in range(2 * kills):
            until(store, lambda: entries() >= rows * (kill + 1) // (2 * kills + 1), LONG_S)  # noqa: B023
            if kill % 2:
                worker.send_signal(signal.SIGKILL)
                worker.wait()
                worker = start_worker()
            else:
                assert worker.poll() is None
                postgres_server.kill()
                postgres_server.start()
        loading.join(LONG_S)
        assert not loading.is_alive()
        until(store, lambda: entries() >= rows, LONG_S)
        while True:
            with suppress(motion.StoreUnavailable):
                store.wait(timeout=LONG_S)
                break
        assert worker.poll() is None
        found = [(row.id, row.doubled, row.label) for row in store.rows("garment")]
        assert found == [(n, 2.0 * n, f"for {2 * n}") for n in range(rows)]
        made = sorted(row.garment for row in store.rows("entry"))
        assert made == list(range(rows))
        assert store.errors() == []
