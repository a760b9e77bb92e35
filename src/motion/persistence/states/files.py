"""Files: the parts of model states on disk, named by the SHA-256 of their content.

Who writes a file holds the folder until a manifest that names it is committed; who removes files has the folder alone.
So a file that nothing names may go, whoever left it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from motion.errors import StateError
from motion.faults import reach

FOLDER = "states"

LOCK = "states.lock"

VIEWS = "views"


def write(folder: Path, content: bytes, ending: str) -> str:
    """Write a file whole or not at all, have it on disk before anything names it, and return its name."""
    name = f"{hashlib.sha256(content).hexdigest()}.{ending}"
    place = folder / FOLDER / name
    if place.exists():
        return name
    place.parent.mkdir(exist_ok=True)
    draft = place.with_suffix(f".{os.getpid()}.draft")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    reach("state.drafted")
    draft.replace(place)
    _sync(place.parent)
    return name


Source = Path | Mapping[str, Any]
"""Where a state's files are read from: a store's folder, or what was sent along of them, by name."""


def read(source: Source, component: str, name: str) -> bytes:
    """Return a file's content.

    Raises:
        StateError: it is missing or damaged.
    """
    if isinstance(source, Mapping):
        return bytes(source[name])
    place = source / FOLDER / name
    try:
        content = place.read_bytes()
    except OSError as exc:
        raise StateError(
            f"the state of {component} cannot be loaded: {place} is missing ({exc.strerror})."
        ) from exc
    if hashlib.sha256(content).hexdigest() != name.partition(".")[0]:
        raise StateError(
            f"the state of {component} cannot be loaded: {place} is damaged. Restore it from a snapshot."
        )
    return content


def copy(source: Path, target: Path, name: str) -> None:
    """Copy a file to another store's folder, and have it on disk there. Hold the folder that it comes from."""
    place = target / FOLDER / name
    place.parent.mkdir(exist_ok=True)
    shutil.copyfile(source / FOLDER / name, place)
    _sync(place)
    _sync(place.parent)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep all files while a state is written and until what names it is committed, or while they are copied."""
    with _locked(folder, fcntl.LOCK_SH):
        yield


def sweep(folder: Path, is_named: Container[str]) -> int | None:
    """Remove the files that nothing names, also those that a process left which ended half way.

    Args:
        is_named: asked for each file once the folder is held alone: it must see all that is committed by then.

    Returns:
        How many were removed; None where a state is being written: then it is for another time.
    """
    place = folder / FOLDER
    if not place.is_dir():
        return 0
    try:
        with _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
            spare = [each for each in place.iterdir() if each.name not in is_named]
            for each in spare:
                each.unlink(missing_ok=True)
    except BlockingIOError:
        return None
    return len(spare)


@contextmanager
def viewed(folder: Path, component: str, number: int) -> Iterator[None]:
    """Have the outputs of a state version kept while somebody looks at them, in whichever process. What keeps them is a
    lock, which ends with the process."""
    place = folder / VIEWS / f"{component}.{number}"
    place.parent.mkdir(exist_ok=True)
    while True:
        file = os.open(place, os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(file, fcntl.LOCK_SH)
            if _is_at(place, file):
                yield
                return
            # It was removed between the two: nobody would see this lock.
        finally:
            os.close(file)


def _is_at(place: Path, file: int) -> bool:
    try:
        return place.stat().st_ino == os.fstat(file).st_ino
    except FileNotFoundError:
        return False


def versions_viewed(folder: Path, component: str) -> list[int]:
    """Return the state versions whose outputs somebody looks at now."""
    found = []
    place = folder / VIEWS
    for each in place.glob(f"{component}.*") if place.is_dir() else ():
        file = os.open(each, os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            each.unlink(missing_ok=True)
        except BlockingIOError:
            found.append(int(each.name.rpartition(".")[2]))
        finally:
            os.close(file)
    return found


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    file = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(file, how)  # of this descriptor, not of the process: threads hold it apart
        yield
    finally:
        os.close(file)


def _sync(place: Path) -> None:
    """Have a file's content, or the names in a folder, on disk, as the database that will name them is."""
    file = os.open(place, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
