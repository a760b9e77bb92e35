"""The file of a store in SQLite: where it lies, that it is the same, and what it is told of our words."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from motion.background.interrupts import Kept
from motion.errors import StoreUnavailable
from motion.words import words

FILE = "store.sqlite"

OLDEST = (3, 39)
"""The oldest SQLite that knows all that statements say (IS NOT DISTINCT FROM)."""


def identity_of(path: str) -> tuple[int, int] | None:
    """Return what tells a file from one that is put in its place, None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Connection(sqlite3.Connection):
    """A connection that keeps what is raised in functions of ours that SQLite calls, such as by a signal's handler: the
    statement ends with an error of SQLite's, which does not say.

    Attributes:
        raised: what was, since it was taken for what is under way.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.raised: list[BaseException] = []

    def kept(self, function: Callable[..., Any]) -> Kept:
        return Kept(function, self.raised)

    def check_raised(self) -> None:
        """Raise what was raised in such a function."""
        if self.raised:
            raise self.raised.pop() from None


def know_words(connection: Connection) -> None:
    """Let triggers of the database call `motion.words`, whose result full-text indexes hold."""

    def of(value: object) -> str:
        return words(value) if isinstance(value, str) else ""

    connection.create_function("motion_words", 1, connection.kept(of), deterministic=True)


def prepared(folder: Path) -> Path:
    if sqlite3.sqlite_version_info < OLDEST:
        raise StoreUnavailable(
            str(folder),
            f"this Python has SQLite {sqlite3.sqlite_version}, and Motion takes {'.'.join(map(str, OLDEST))} or newer. Take a "
            f"Python with its own SQLite, such as uv's, conda's or python.org's.",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise StoreUnavailable(
            str(folder), f"{exc.strerror}. Choose a folder that can be written."
        ) from exc
    return folder / FILE
