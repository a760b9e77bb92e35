"""What the machine may do to a store: a full disk, a folder that cannot be written, a clock that is put back.

In each case an error that says what happened, nothing lost, and work that goes on when the cause is gone.
"""

from __future__ import annotations

import logging
import os
import resource
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import motion
from motion import clock, faults
from tests.conftest import OpenStore, pause
from tests.promises.test_faults import SPAWN


@dataclass
class Doc:
    id: int
    text: str
    loud: str


@motion.trigger(on="doc.text", sets="doc.loud", retries=0, inline=False)
def shout(text: str) -> str:
    return text.upper()


def answer_of(function: Any, *arguments: Any) -> Any:
    """Run a function in a process of its own, which it may spoil, and return what it sends."""
    here, there = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=function, args=(there, *arguments))
    process.start()
    there.close()
    try:
        return here.recv()
    finally:
        process.join(60)
        process.close()
        here.close()


# -- a full disk --


def fill_the_disk(answer: Any, folder: str) -> None:
    """Write while no file may grow, as on a full disk; then make room and go on."""
    said: list[str] = []
    told: list[tuple[str, bool]] = []
    acknowledged = []
    listening = logging.Handler()
    listening.emit = lambda record: told.append((record.getMessage(), record.exc_info is not None))  # type: ignore[method-assign]
    logging.getLogger("motion").addHandler(listening)
    with motion.create_store("disk", schemas={"doc": Doc}, triggers=[shout], url=folder) as store:
        store.set("doc", id=1, text="before").wait()
        place = Path(folder.removeprefix("sqlite:///"))
        largest = max(file.stat().st_size for file in place.rglob("*") if file.is_file())
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
        for id in range(2, 40):
            try:
                store.set("doc", id=id, text="x" * 20_000)
                acknowledged.append(id)
            except motion.StoreUnavailable as exc:
                said.append(str(exc))
        readable = store.get("doc", 1).text
        threading.Event().wait(2.5)  # several rounds of each loop in the background
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        store.set("doc", id=100, text="after")
        store.wait(timeout=60)
        rows = [(row.id, row.loud == row.text.upper()) for row in store.rows("doc")]
        check = store.sql("PRAGMA integrity_check").column(0).to_pylist()
        answer.send((said, acknowledged, readable, rows, store.errors(), check, told))


def test_a_full_disk_is_said_loses_nothing_and_work_goes_on_when_there_is_room(
    tmp_path: Path,
) -> None:
    said, acknowledged, readable, rows, errors, check, told = answer_of(
        fill_the_disk, f"sqlite:///{tmp_path / 'disk'}"
    )
    assert said, "the disk was never full"
    assert all("Nothing of this write was kept" in each or "disk is full" in each for each in said)
    assert readable == "before"
    assert rows == [(id, True) for id in (1, *acknowledged, 100)]
    assert (errors, check) == ([], ["ok"])
    assert sum("can be written again" in message for message, _ in told) <= 1
    assert len(told) <= 8, told
    assert not any(has_trace for _, has_trace in told), told


def test_that_the_store_can_be_written_again_is_said_once(
    open_store: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store("full_for_a_while", schemas={"doc": Doc})

    def at(point: str) -> None:
        if point == "write.applied":
            raise motion.StoreUnavailable("here", "the disk is full")

    faults.arm(at)
    for id in (1, 2, 3):
        with pytest.raises(motion.StoreUnavailable):
            store.set("doc", id=id, text="a")
    faults.arm(None)
    for id in (1, 2, 3):
        store.set("doc", id=id, text="a")
    assert sum("can be written again" in each.getMessage() for each in caplog.records) == 1


def test_a_generators_row_is_put_off_while_its_items_cannot_be_written(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on="doc.text", sets="doc.part", page="part_page")
    def parts(text: str) -> Iterator[str]:
        yield from (f"{text} {i}" for i in range(3))

    @dataclass
    class Paged:
        id: int
        text: str
        part: str
        part_page: int

    failures = [2]

    def at(point: str) -> None:
        if point == "item.written" and failures[0]:
            failures[0] -= 1
            raise motion.StoreUnavailable("here", "the disk is full")

    store = open_store(schemas={"doc": Paged}, triggers=[parts])
    faults.arm(at)
    try:
        store.set("doc", id=1, text="red")
        store.wait(timeout=60)
    finally:
        faults.arm(None)
    assert failures == [0]
    assert store.errors() == []
    assert [row.part for row in store.rows("doc")] == ["red 0", "red 1", "red 2"]


# -- a folder that cannot be written --


def open_as_nobody(answer: Any, folder: str) -> None:
    if os.geteuid() == 0:
        os.setuid(65534)  # root may write anywhere
    try:
        motion.create_store("shop", schemas={"doc": Doc}, url=f"sqlite:///{folder}").set(
            "doc", id=2
        )
    except motion.StoreUnavailable as exc:
        answer.send(str(exc))
    else:
        answer.send("it was opened")


@pytest.fixture
def for_all_to_see() -> Iterator[Path]:
    """A folder outside of the tests' own, into which other users cannot look."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_store_that_may_only_be_read_says_so_and_is_whole_when_it_may_be_written(
    for_all_to_see: Path,
) -> None:
    folder = for_all_to_see / "shop"
    url = f"sqlite:///{folder}"
    with motion.create_store("shop", schemas={"doc": Doc}, url=url) as store:
        store.set("doc", id=1, text="a")
    for place in (*folder.rglob("*"), folder):
        place.chmod(0o555 if place.is_dir() else 0o444)
    message = answer_of(open_as_nobody, str(folder))
    assert str(folder) in message
    assert "can be written" in message
    for place in (folder, *folder.rglob("*")):
        place.chmod(0o755 if place.is_dir() else 0o644)
    with motion.create_store("shop", schemas={"doc": Doc}, url=url) as store:
        store.set("doc", id=2, text="b")
        assert [row.text for row in store.rows("doc")] == ["a", "b"]


# -- a clock that is put back --


def test_a_failed_row_is_tried_again_though_the_clock_was_put_back(open_store: OpenStore) -> None:
    has_failed = threading.Event()

    @motion.trigger(on="doc.text", sets="doc.loud", retries=1)
    def fail_once(text: str) -> str:
        if not has_failed.is_set():
            has_failed.set()
            raise RuntimeError("the first time")
        return text.upper()

    store = open_store(schemas={"doc": Doc}, triggers=[fail_once])
    clock.advance(3600)
    change = store.set("doc", id=1, text="a")
    while "postponed" not in store.status().tasks.get("fail_once", {}):
        assert store.status().tasks, "it was not postponed"
    clock.reset()
    change.wait(timeout=60)
    assert store.get("doc", 1).loud == "A"


def test_rows_and_ids_are_in_order_though_the_clock_is_put_back(open_store: OpenStore) -> None:
    store = open_store(schemas={"doc": Doc}, triggers=[shout])
    clock.advance(3600)
    first = store.set("doc", text="a")
    clock.reset()
    second = store.set("doc", text="b")
    store.wait(timeout=60)
    assert (first.id or 0) < (second.id or 0)
    assert first.key < second.key
    assert [row.loud for row in store.rows("doc")] == ["A", "B"]


# -- the log --


@dataclass
class Line:
    id: int
    text: str


@pytest.fixture
def lines(open_store: OpenStore) -> motion.Store:
    return open_store("lines", schemas={"line": Line})


def log_bytes(store: motion.Store) -> int:
    return (store._database.backend.folder / "store.sqlite-wal").stat().st_size


def write_much(store: motion.Store) -> None:
    """Write 60 MB in one transaction."""
    store.set_many("line", ({"text": "x" * 20_000} for _ in range(3_000)), commit_every=3_000)


def test_the_log_is_cut_after_a_large_transaction(lines: motion.Store) -> None:
    write_much(lines)
    assert log_bytes(lines) < 2**25
    assert len(lines.rows("line", limit=5_000)) == 3_000


def test_the_log_is_cut_once_nobody_reads_what_was_before_it(lines: motion.Store) -> None:
    lines.set("line", text="first")
    with lines._database.backend.read() as snapshot:
        snapshot.execute("SELECT 1 FROM motion_clock").fetchone()
        with ThreadPoolExecutor(1) as other:
            other.submit(write_much, lines).result()
        assert log_bytes(lines) > 2**25
    deadline = clock.monotonic_s() + 100
    while log_bytes(lines) > 2**25:
        assert clock.monotonic_s() < deadline
        lines.set("line", text="more")
        pause()
    assert lines.sql("pragma integrity_check").column(0).to_pylist() == ["ok"]
