"""Owners: the processes that hold claims on this machine, and how others see that one has ended.

Each process locks a file of its own in the store's folder. The system drops the lock when the process ends, however it
ends, so who gets the lock knows that its owner is gone. A process id could be somebody else's by then.

The lock belongs to the file as it was opened here (`flock`), and not to the process and the file's name (`lockf`): it
stays when something else in this process, such as a backup, opens and closes the same file, and a copy of the file in
another folder is not locked.
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from motion.background import forks

FOLDER = "processes"


class Owner:
    """This process, as the owner of claims on one store.

    Args:
        has: what triggers may need that it has; others read it in the file.
    """

    def __init__(self, folder: Path, has: Iterable[str] = ()) -> None:
        self._folder = folder / FOLDER
        self._folder.mkdir(exist_ok=True)
        self.name = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self._file = os.open(self._folder / self.name, os.O_CREAT | os.O_RDWR)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self.tell(has)
        self._is_left = False  # or closed
        forks.watch(self)

    def tell(self, has: Iterable[str]) -> None:
        """Let others know what this process has by now."""
        self.has = frozenset(has)
        told = json.dumps(sorted(self.has)).encode()
        os.pwrite(self._file, told, 0)  # in place: another file would not be locked
        os.ftruncate(self._file, len(told))

    def is_gone(self, owner: str) -> bool:
        """Return whether the process behind an owner's name has ended."""
        if owner == self.name:
            return False
        try:
            file = os.open(self._folder / owner, os.O_RDWR)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        finally:
            os.close(file)
        (self._folder / owner).unlink(missing_ok=True)
        return True

    def close(self) -> None:
        """Let go: this owner's claims may be taken over."""
        if self._is_left:
            return
        self._is_left = True
        os.close(self._file)
        (self._folder / self.name).unlink(missing_ok=True)

    # -- forking: a child that kept the file open would keep its lock beyond the parent's end --

    def hold(self, ends_s: float) -> bool:
        return True

    def release(self) -> None:
        """Nothing was held."""

    def leave(self, *, is_at_rest: bool) -> None:
        if not self._is_left:
            self._is_left = True
            os.close(self._file)


def at_work(folder: Path) -> list[int]:
    """Return the processes on this machine that run a store now, by their ids."""
    return [int(path.name.partition("-")[0]) for path in _held(folder)]


def what_they_have(folder: Path) -> list[frozenset[str]]:
    """Return of each process on this machine that runs a store now what it has."""
    return [_told(path) for path in _held(folder)]


def _held(folder: Path) -> Iterator[Path]:
    for path in sorted((folder / FOLDER).glob("*-*")):
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            continue
        except OSError:
            yield path


def _told(path: Path) -> frozenset[str]:
    """Return what a process has told. One that ends just now, or writes, has told nothing."""
    try:
        return frozenset(json.loads(path.read_bytes()))
    except (OSError, ValueError):
        return frozenset()
