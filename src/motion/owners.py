"""Owners: the processes that hold claims on this machine, and how others see that one has ended.

Each process locks a file of its own in the store's folder. The system drops the lock when the process ends, however it
ends, so who gets the lock knows that its owner is gone. A process id could be somebody else's by then.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from pathlib import Path

FOLDER = "processes"
_here: set[str] = set()
"""The owners of this process. The system does not tell a process of its own locks."""


class Owner:
    """This process, as the owner of claims on one store."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._folder.mkdir(exist_ok=True)
        self.name = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self._file = os.open(self._folder / self.name, os.O_CREAT | os.O_RDWR)
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        _here.add(self.name)

    def is_gone(self, owner: str) -> bool:
        """Return whether the process behind another owner's name has ended."""
        if owner in _here:
            return False
        try:
            file = os.open(self._folder / owner, os.O_RDWR)
        except FileNotFoundError:
            return True
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        finally:
            os.close(file)
        (self._folder / owner).unlink(missing_ok=True)
        return True

    def close(self) -> None:
        """Let go: this owner's claims may be taken over."""
        _here.discard(self.name)
        os.close(self._file)
        (self._folder / self.name).unlink(missing_ok=True)
