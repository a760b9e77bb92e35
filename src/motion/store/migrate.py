"""Migrating: what is renamed or dropped in a store, told first and done in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from motion.background.owners import at_work
from motion.errors import MotionError, listed
from motion.persistence import migration
from motion.persistence.database import Database
from motion.persistence.migration import Planned, Step
from motion.persistence.search.index_files import IndexFiles


def plan(database: Database, steps: Sequence[Step]) -> list[Planned]:
    """Return what steps would do, each on the store as it is; nothing is changed.

    Raises:
        MotionError: one of them cannot be done.
    """
    with database.backend.read() as tx:
        return [migration.plan(tx, step) for step in steps]


def migrate(database: Database, steps: Sequence[Step]) -> None:
    """Do what steps say, all of them or none, in one transaction. Readers see what was there before until it commits.

    Raises:
        MotionError: one cannot be done, or a process runs the store: it has the old names in its code. Nothing was changed.
    """
    busy = at_work(database.backend.folder)
    if busy:
        raise MotionError(
            f"store {database.name!r} is run by process {listed(map(str, busy))}, whose code has the names as they were. "
            f"Stop it, migrate, and start it with the new code."
        )
    if any(step.what in ("key", "table") for step in steps):
        IndexFiles(
            database.backend.folder
        ).remove_all()  # they bear the names, and are made again from the rows
    database.backend.write(lambda tx: migration.carry_out(tx, tuple(steps)))
