"""Where a store is: in a folder, or, but for its files, in a PostgreSQL database that the folder names."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

DATABASE = "database"
"""The file in a store's folder that has the URL of its database, as it was given: readable for its owner only."""

SCHEMA = "fashion_search"


class DatabaseTaken(ValueError):
    """A store that is there is to be in another database than it is."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = folder

    def __str__(self) -> str:
        return (
            f"the store in {self.folder} is there already, and --database is where a new one goes: leave it out, or name "
            "another folder with --store."
        )


def url_of(folder: Path, database: str | None = None) -> str:
    """Return the URL of the store in a folder.

    Args:
        database: `postgresql://...`, where a new store is to be. What is there already stays where it is.

    Raises:
        DatabaseTaken: it is there, and elsewhere.
    """
    known = database_of(folder)
    if database is not None and database != known:
        if known is not None or (folder / "store.sqlite").exists():
            raise DatabaseTaken(folder)
        known = database
    return f"sqlite:///{folder.resolve()}" if known is None else _in_database(known, folder)


def database_of(folder: Path) -> str | None:
    """Return the URL of the database that a folder's store is in; None: it is in the folder."""
    noted = folder / DATABASE
    return noted.read_text(encoding="utf-8") if noted.exists() else None


def note_database(folder: Path, database: str) -> None:
    """Let a folder name the database of its store."""
    with os.fdopen(os.open(folder / DATABASE, os.O_WRONLY | os.O_CREAT, 0o600), "w") as noted:
        noted.write(database)


def _in_database(database: str, folder: Path) -> str:
    parts = urlsplit(database)
    options = {"motion_schema": SCHEMA, **dict(parse_qsl(parts.query)), "motion_folder": str(folder.resolve())}  # fmt: skip
    return urlunsplit(parts._replace(query=urlencode(options)))
