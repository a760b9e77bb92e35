"""Forgetting: rows are taken out with all that is held of them, until no byte of it is in the store's folder."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from motion import clock
from motion.backends.base import Transaction
from motion.definitions.tables.schema import Table
from motion.definitions.tasks import Cause
from motion.definitions.values.arguments import check_seconds
from motion.definitions.values.codecs import Stored
from motion.errors import InvalidArgument, MotionError, WaitTimeout, shortened
from motion.faults import reach
from motion.history import History
from motion.persistence.changes.deleting import delete
from motion.persistence.changes.erasing import (
    Erasing,
    Told,
    blank_again,
    drop_entities,
    end_forget,
    open_forgets,
    void_claims,
)
from motion.persistence.changes.mending import fold_again, run_again, unset_unmade
from motion.persistence.database import Database, id_of
from motion.persistence.numbers import begin_change
from motion.persistence.rows import used
from motion.persistence.rows.reading import row_numbers
from motion.persistence.rows.written import Written
from motion.persistence.vector_log import begin_anew
from motion.states.promotion import sweep
from motion.store.changes.change import Change

logger = logging.getLogger(__name__)

Models = Literal["refit"]

AGAIN_S = 60.0
"""How long a part of finishing waits at a time."""


@dataclass(frozen=True)
class Forgotten:
    """What was forgotten. Its text, `str(forgotten)`, is made to be read.

    Attributes:
        rows: table -> how many rows are gone, pages and derived rows among them; in the order of the store's tables.
        labels: how many labels.
        versions: component -> the state versions that learned from them, or from labels of other rows that held something of
            the rows, which stay as they are.
        change: the key of the change that it was.
        out_of_reach: where the store's server may still hold bytes of them, beyond what a store can take out; empty for one in a
            folder.
    """

    rows: Mapping[str, int]
    labels: int
    versions: Mapping[str, tuple[int, ...]]
    change: int
    out_of_reach: str = ""

    def __str__(self) -> str:
        rows = ", ".join(f"{count} of {table}" for table, count in self.rows.items()) or "none"
        lines = [f"forgotten: rows: {rows}; labels: {self.labels}"]
        for component, numbers in self.versions.items():
            lines.append(f"{component}: learned from by version(s) {', '.join(map(str, numbers))}")
        if self.out_of_reach:
            lines.append(f"bytes may be left beyond the store's reach: {self.out_of_reach}")
        return "\n".join(lines)


def ids_of(table: Table, given: Any) -> list[Stored]:
    """Return the stored ids of the rows that are to be forgotten: one, or several in a list."""
    several = given if isinstance(given, list | tuple | set | frozenset) else [given]
    return [id_of(table, each) for each in several]


def forget(
    database: Database, table: Table, ids: Sequence[Stored], models: Models | None, timeout_s: float
) -> Forgotten:
    """Forget rows, and return when nothing of them is left.

    Raises:
        WaitTimeout: work that the deletion has caused is not done in time, or somebody reads for so long; it goes on.
    """
    if models is not None and not (isinstance(models, str) and models == "refit"):
        raise InvalidArgument("forget(models=)", shortened(models), "None or 'refit'")
    check_seconds("forget(timeout=)", timeout_s)
    change, told = database.write(partial(_erase, database, table.name, ids, models == "refit"))
    database.backend.call()
    reach("forget.noted")
    try:
        finish(database, change, timeout_s)
    except WaitTimeout:
        resume(database)
        raise
    reach_ends = database.backend.out_of_reach
    return Forgotten(told.rows, told.labels, told.versions, change, reach_ends)


def _erase(
    database: Database, table: str, ids: Sequence[Stored], refits: bool, tx: Transaction
) -> tuple[int, Told]:
    number, _ = begin_change(tx)
    layouts, cause = database.layouts, Cause(number, number)
    erasing = Erasing((table, ids))
    rows = row_numbers(tx, layouts[table], ids)
    delete(tx, layouts, Written(layouts[table], rows), cause, erasing)
    void_claims(tx, layouts.graph.triggers.values(), number)
    begin_anew(tx)
    told = erasing.note(tx, cause, layouts, refits=refits)
    fold_again(tx, layouts, number)
    reach("forget.erased")
    return number, told


def finish(database: Database, change: int, timeout_s: float) -> None:
    """Do what is left of a forgetting. May be done again."""
    deadline_s = clock.monotonic_s() + timeout_s
    _wait(database, change, deadline_s)
    if database.write(lambda tx: run_again(tx, database.layouts, change)):
        _wait(database, change, deadline_s)
    _unset_unmade(database, change, deadline_s)
    folds = [spec.fold for spec in database.graph.triggers.values() if spec.fold]
    for _ in [fold for fold in folds if not fold.replay]:  # one may go over what another gives
        if not database.write(lambda tx: fold_again(tx, database.layouts, change)):
            break
        _wait(database, change, deadline_s)
        _unset_unmade(database, change, deadline_s)
    database.write(partial(_clean, database, change))
    database.indexes.forget()
    database.history = History()
    sweep(database)
    if not database.rewriting.do(database.backend.rewrite, deadline_s - clock.monotonic_s()):
        raise WaitTimeout(f"forgetting in store {database.name!r}", timeout_s, 1)
    database.write(lambda tx: end_forget(tx, change))


def _unset_unmade(database: Database, change: int, deadline_s: float) -> None:
    while database.write(lambda tx: unset_unmade(tx, database.layouts, change)):
        _wait(database, change, deadline_s)


def _wait(database: Database, change: int, deadline_s: float) -> None:
    left_s = max(deadline_s - clock.monotonic_s(), 0)
    Change(database, change).wait(timeout=left_s, raise_errors=False)


def _clean(database: Database, change: int, tx: Transaction) -> None:
    blank_again(tx, change)
    drop_entities(tx, database.layouts)
    used.forget_all(tx)
    tx.merge_words()
    begin_anew(tx)


def resume(database: Database) -> None:
    """Go on in the background with what is left of forgettings, if there are any."""
    with database.backend.read() as tx:
        if not open_forgets(tx) or not _knows_folds(database):
            return
    threading.Thread(
        target=_finish_all, args=(database,), name="motion-forget", daemon=True
    ).start()


def _knows_folds(database: Database) -> bool:
    """Whether this process has the schemas of all tables that folds go over: else it leaves the rest to one that has."""
    folds = (spec.fold for spec in database.graph.triggers.values() if spec.fold)
    return all({fold.source, fold.target} <= {*database.tables.names} for fold in folds)


def _finish_all(database: Database) -> None:
    try:
        with database.backend.read() as tx:
            changes = open_forgets(tx)
        for change in changes:
            while True:
                try:
                    finish(database, change, AGAIN_S)
                    break
                except WaitTimeout:
                    logger.info(
                        "what is forgotten by change %d still waits for work, or a reader", change
                    )
    except MotionError as exc:  # the store was closed, or cannot be written: the next start goes on
        logger.debug("forgetting in store %r ends: %s", database.name, exc)
