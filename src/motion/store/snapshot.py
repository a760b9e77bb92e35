"""Snapshots: a consistent copy of a whole store, made while it is running, that opens as a store."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from motion.backends.base import CopiesItself
from motion.errors import FolderNotEmpty, StoreUnavailable
from motion.persistence.database import Database
from motion.persistence.search.index_files import IndexFiles
from motion.persistence.states import files, format
from motion.store.copying import copy, free


def snapshot(database: Database, folder: Path) -> None:
    """Copy a store's rows, tasks and model states to a folder that is new or empty; it is there whole, or not at all.

    Raises:
        FolderNotEmpty: there is something in the folder.
        StoreUnavailable: the disk is full, or the folder cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FolderNotEmpty(str(folder))
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.draft")
    try:
        draft.mkdir(parents=True)
        if isinstance(database.backend, CopiesItself):
            _copy_files(database, database.backend, draft)
        else:
            target = database.in_folder(database.name, draft)
            try:
                copy(database, target)
            finally:
                target.close()
        draft.replace(folder)
    except OSError as exc:
        raise StoreUnavailable(
            str(folder), f"{exc.strerror or exc}. No snapshot was made."
        ) from exc
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _copy_files(database: Database, backend: CopiesItself, draft: Path) -> None:
    source = database.backend.folder
    IndexFiles(source).copy_to(draft)
    with files.held(source):
        for manifest in backend.copy_to(draft, free):
            for name in format.files_of(manifest):
                files.copy(source, draft, name)
