"""Where a store of a test lives in PostgreSQL: its folder stands for a schema."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

FILE = "store.sqlite"


def schema_of(folder: Path) -> str:
    return f"s_{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]}"


def is_a_file(folder: Path) -> bool:
    """Whether a folder has a store of its own: that of one in the server holds an empty file."""
    return (folder / FILE).is_file() and (folder / FILE).stat().st_size > 0


def standing_in(server: str, backend_at: Callable[..., Any]) -> Callable[..., Any]:
    """Return what makes the back end of a store, in a server instead of in its folder.

    Args:
        backend_at: what makes it otherwise.
    """

    def made(name: str, folder: Path, durability: Any, url: str | None = None) -> Any:
        if url is not None or is_a_file(folder):
            return backend_at(name, folder, durability, url)
        from motion.backends.postgres import PostgresBackend

        found = PostgresBackend(name, folder, durability, url=server, schema=schema_of(folder))
        (folder / FILE).touch()  # a folder that has it is a store's
        return found

    return made
