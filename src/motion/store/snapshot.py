"""Snapshots: a consistent copy of a whole store, made while it is running, that opens as a store."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from motion.backends.base import Transaction, require
from motion.errors import FolderNotEmpty, StoreUnavailable
from motion.persistence import catalog
from motion.persistence.database import Database
from motion.persistence.search.index_files import IndexFiles
from motion.persistence.states import files, fit_requests, format, versions
from motion.persistence.tasks import leases


def snapshot(database: Database, folder: Path) -> None:
    """Copy a store's rows, tasks and model states to a folder that is new or empty; it is there whole, or not at all.

    Raises:
        FolderNotEmpty: there is something in the folder.
        StoreUnavailable: the disk is full, or the folder cannot be written.
    """
    require(database.backend, "snapshot()")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FolderNotEmpty(str(folder))
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.draft")
    try:
        draft.mkdir(parents=True)
        source = database.backend.folder
        IndexFiles(source).copy_to(draft)
        with files.held(source):
            for manifest in database.backend.copy_to(draft, free):
                for name in format.files_of(manifest):
                    files.copy(source, draft, name)
        draft.replace(folder)
    except OSError as exc:
        raise StoreUnavailable(
            str(folder), f"{exc.strerror or exc}. No snapshot was made."
        ) from exc
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def free(tx: Transaction) -> list[str]:
    """Let the copy's tasks and fits be claimed: who holds them works for the store that was copied."""
    catalog.forget_name(tx)
    leases.free(tx)
    fit_requests.take_over(tx, fit_requests.owners(tx))
    return versions.manifests(tx)
