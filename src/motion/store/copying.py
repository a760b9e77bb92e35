"""Copying a whole store into another database: rows, history, unfinished work and model states."""

from __future__ import annotations

from functools import partial

from motion.backends.base import Backend, Transaction
from motion.errors import FolderNotEmpty
from motion.persistence import catalog, copying
from motion.persistence.copying import Show
from motion.persistence.database import Database
from motion.persistence.states import files, fit_requests, format, versions
from motion.persistence.tasks import leases


def copy(database: Database, target: Backend, show: Show = None) -> int:
    """Copy a store as it is at one moment to a back end that has none, while it goes on; return how many rows. It is there
    whole, or not at all.

    Args:
        show: is told how many rows are left.

    Raises:
        FolderNotEmpty: there is a store.
    """
    with target.read() as there:
        if not copying.is_empty(there):
            raise FolderNotEmpty(target.place)
    with files.held(database.backend.folder), database.backend.read() as source:
        return target.write(partial(_copy, source, database, target, show))


def _copy(
    source: Transaction, database: Database, target: Backend, show: Show, tx: Transaction
) -> int:
    count = copying.copy_all(source, tx, show)
    for manifest in free(tx):
        for name in format.files_of(manifest):
            files.copy(database.backend.folder, target.folder, name)
    return count


def free(tx: Transaction) -> list[str]:
    """Let the copy's tasks and fits be claimed: who holds them works for the store that was copied."""
    catalog.forget_name(tx)
    leases.free(tx)
    fit_requests.take_over(tx, fit_requests.owners(tx))
    return versions.manifests(tx)
