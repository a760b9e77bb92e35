"""Wake-ups: processes that wait are told of what others commit, and need not look."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import motion
from motion.backends.wakeups import FOLDER, WORK, Wakeups
from tests.conftest import OpenStore

WORKER = """
import sys
from dataclasses import dataclass
import motion

@dataclass
class Note:
    id: int
    text: str
    upper: str

@motion.trigger(on="note.text", sets="note.upper", inline=False)
def upper(text: str) -> str:
    return text.upper()

with motion.create_store("notes", schemas={"note": Note}, triggers=[upper], url=sys.argv[1]) as store:
    store.set("note", text="ready").wait()
    print("ready", flush=True)
    sys.stdin.read()
"""


@dataclass
class Note:
    id: int
    text: str
    upper: str


def worker(url: str) -> subprocess.Popen[str]:
    """Start a process that runs the triggers, and return once it does."""
    started = subprocess.Popen(
        [sys.executable, "-c", WORKER, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


@pytest.fixture
def never_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process rely on being told."""
    monkeypatch.setattr("motion.backends.sqlite.LOOK_S", 3600.0)
    monkeypatch.setattr("motion.store.changes.change.LONGEST_WAIT_S", 3600.0)


@pytest.mark.usefixtures("never_look")
@pytest.mark.parametrize("depth", [0, 12])
def test_who_waits_is_told_of_what_another_process_commits(
    open_store: OpenStore, tmp_path: Path, depth: int
) -> None:
    folder = tmp_path.joinpath(*["a-long-name"] * depth, "notes")
    url = f"sqlite:///{folder}"
    store = open_store("notes", schemas={"note": Note}, url=url, run=False)
    other = worker(url)
    for _ in range(3):
        change = store.set("note", text="told").wait(timeout=60)
        assert [row.upper for row in change.rows()] == ["TOLD"]
    other.communicate()


def test_what_a_killed_process_leaves_behind_is_removed(
    open_store: OpenStore, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'notes'}"
    store = open_store("notes", schemas={"note": Note}, url=url, run=False)
    other = worker(url)
    other.kill()
    other.communicate()
    listeners = tmp_path / "notes" / FOLDER
    assert len(list(listeners.iterdir())) == 1
    store.set("note", text="anyone?")
    assert list(listeners.iterdir()) == []


def test_where_sockets_cannot_be_made_processes_look_for_themselves(
    open_store: OpenStore, tmp_path: Path
) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / FOLDER).write_text("in the way")
    url = f"sqlite:///{folder}"
    store = open_store("notes", schemas={"note": Note}, url=url, run=False)
    other = worker(url)
    change = store.set("note", text="found").wait(timeout=60)
    assert [row.upper for row in change.rows()] == ["FOUND"]
    other.communicate()


def test_a_closed_store_leaves_no_socket(open_store: OpenStore, tmp_path: Path) -> None:
    @motion.trigger(on="note.text", sets="note.upper", inline=False)
    def upper(text: str) -> str:
        return text.upper()

    store = open_store("notes", schemas={"note": Note}, triggers=[upper])
    store.set("note", text="a").wait()
    store.close()
    assert list((tmp_path / "notes.motion" / FOLDER).iterdir()) == []


def test_a_process_with_thousands_of_files_open_is_told_as_any_other(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, before[1]), before[1]))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        wakeups, other = Wakeups(tmp_path), Wakeups(tmp_path)
        wakeups.listen()
        other.tell(WORK)
        assert wakeups.wait(10) == {WORK}
        wakeups.close()
        other.close()
    finally:
        for file in held:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_who_tells_while_the_store_closes_meets_no_file_that_is_gone(tmp_path: Path) -> None:
    wakeups = Wakeups(tmp_path)
    wakeups.tell(WORK)
    wakeups.close()
    others = [os.open(os.devnull, os.O_RDONLY) for _ in range(16)]  # the numbers are used again
    try:
        wakeups.tell(WORK)
    finally:
        for file in others:
            os.close(file)
    wakeups.tell(WORK)
