"""What several tests need: stores in a temporary folder that are closed when a test ends, and one table of clothes."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest

import motion
from motion import clock, runtime
from motion.vectors import exact, hnsw, widths
from tests.on_postgres.differences import reason_of
from tests.postgres import drop_stores, is_postgres_wanted, postgres_server, stores_in

__all__ = ["postgres_server"]

os.environ.pop("COLUMNS", None)  # the width of what is printed is each test's, not the terminal's

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as of what a shell runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)

OpenStore = Callable[..., motion.Store]


class Size(Enum):
    SMALL = 1
    MEDIUM = 2
    LARGE = 3


@dataclass
class Garment:
    """A table with a key of each common kind, and no pages."""

    id: int
    name: str
    price: float
    size: Size
    shop: Annotated[str, motion.Index]
    stock: int = 0
    embedding: Annotated[np.ndarray, motion.Vector(3)] | None = None


def is_running(process: int) -> bool:
    """Whether a process is there, and not only the note of how it ended."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")


def pause() -> None:
    """Leave the processor to others, in a loop that waits for a condition which nothing can be told of."""
    threading.Event().wait(0.005)


def until(store: motion.Store, condition: Callable[[], bool], timeout_s: float = 250) -> None:
    """Wait until something holds, looking after each commit."""
    committed = store._database.backend.committed
    deadline = clock.monotonic_s() + timeout_s
    while not condition():
        assert clock.monotonic_s() < deadline
        committed.wait(committed.count, 0.05)


def environment_of(*paths: str | Path) -> dict[str, str]:
    """Return the environment of a program that finds modules in some folders, and stores where the tests' own are."""
    found = [*map(str, paths), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, found))}


def copied(source: Path, target: Path) -> Path:
    """Copy a store that nobody has open to a new folder, which stands for a schema where stores are in PostgreSQL."""
    if not is_postgres_wanted():
        return Path(shutil.copytree(source, target))
    with runtime.open_noted(source) as store:
        runtime.copy_store(store, f"sqlite:///{target}")
    return target


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    addressed = [item.nodeid for item in items if " at 0x" in item.nodeid]
    assert not addressed, f"ids that are others in each process, give ids=: {addressed}"
    for item in items if is_postgres_wanted() else ():
        reason = reason_of(item.nodeid)
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=f"not on PostgreSQL: {reason}"))


@pytest.fixture(scope="session", autouse=True)
def _on_postgres(request: pytest.FixtureRequest) -> Iterator[None]:
    """With MOTION_TEST_BACKEND=postgres, stores that tests make live there, wherever they are said to be."""
    if not is_postgres_wanted():
        yield
        return
    with stores_in(request.getfixturevalue("postgres_server")):
        yield


@pytest.fixture(scope="module", autouse=True)
def _dropped_from_postgres(request: pytest.FixtureRequest) -> Iterator[None]:
    server = request.getfixturevalue("postgres_server") if is_postgres_wanted() else None
    yield
    if server is not None:
        drop_stores(server)


@pytest.fixture(autouse=True)
def _system_time() -> Iterator[None]:
    """Give the time back that a test has moved."""
    yield
    clock.reset()


@pytest.fixture
def graph_at_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Search few vectors by a graph and by rough copies too, whether that is faster or not."""
    monkeypatch.setattr(exact, "COPIED_FROM", 0)
    for name, least in {"PICKED_FROM": 0, "PICKED_NUMBERS": 0, "PICKED_FOR": 1}.items():
        monkeypatch.setattr(exact, name, least)
    monkeypatch.setattr(exact, "COPIED_LENGTH", 0)
    monkeypatch.setattr(hnsw, "SMALL", 0)
    monkeypatch.setattr(hnsw, "FEW", 100)
    monkeypatch.setattr(hnsw, "LEFT_FRESH", 20)
    monkeypatch.setattr(hnsw, "SPENT_AT_LEAST", 100)
    monkeypatch.setattr(widths, "WORK", 0)


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[OpenStore]:
    """A function that opens a store below the test's own folder: `open_store(schemas={...}, triggers=[...])`.

    Opening the same name again after `close` opens the same files. Without triggers nothing runs in the background,
    and nothing waits for the disk, unless `run=True` and `durability="full"` are given.
    """
    opened: list[motion.Store] = []

    def open_one(
        name: str = "shop",
        *,
        schemas: Mapping[str, type] | None = None,
        triggers: Sequence[Any] | None = None,
        url: str | None = None,
        **options: Any,
    ) -> motion.Store:
        place = url or f"sqlite:///{tmp_path / name}.motion"
        options = {"run": bool(triggers), "durability": "normal", **options}
        store = motion.create_store(name, schemas=schemas, triggers=triggers, url=place, **options)
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: OpenStore) -> motion.Store:
    """An empty store with the table "garment"."""
    return open_store(schemas={"garment": Garment})
