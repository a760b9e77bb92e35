"""Switches: a version that a person asked for, or whose gate it has passed, goes live as soon as its outputs are there.

In a thread of its own for each component, as nothing a model does may hold it up: who goes back to the version before, does
so now, and not after a fit that takes an hour.
"""

from __future__ import annotations

import logging
import threading

from motion.backends.base import Transaction
from motion.background.tracebacks import reason_of
from motion.errors import StoreClosed, StoreUnavailable
from motion.faults import reach
from motion.persistence.database import Database
from motion.persistence.states import versions
from motion.states.gate import could_not_be_built
from motion.states.promotion import (
    Candidate,
    candidate_of,
    drop,
    forget_old,
    hand_over_build,
    make_indexes_ready,
    number_part,
    switch,
)

logger = logging.getLogger(__name__)


class Switcher:
    """Makes the versions of one component live."""

    def __init__(self, database: Database, component: str, stop: threading.Event) -> None:
        self._database, self._name, self._stop = database, component, stop

    def step(self) -> bool:
        """Do the next thing, and return whether there was one."""
        if self._name not in self._database.code.components:
            return False
        if number_part(self._database, self._name):
            self._end_switch()
            return True
        candidate = candidate_of(self._database, self._name)
        if candidate is None or not candidate.may_go_live:
            return False
        if candidate.dead and not candidate.is_rollback:
            self._give_up(candidate, could_not_be_built(candidate))
            return True
        if not candidate.is_built:
            return not candidate.is_gated and hand_over_build(self._database, self._name)
        self._make_live(candidate)
        return True

    def _make_live(self, candidate: Candidate) -> None:
        number = candidate.number
        try:
            self._database.state(self._name, number)  # nothing goes live that cannot be loaded
            make_indexes_ready(self._database, self._name, number)
        except (StoreClosed, StoreUnavailable):
            raise
        except Exception as exc:
            if self._stop.is_set():
                raise
            self._give_up(candidate, reason_of(exc))
            return
        if self._database.write(lambda tx: switch(tx, self._database, self._name, number)):
            reach("switch.committed")
            self._end_switch()
            self._tell_lacking(number)

    def _give_up(self, candidate: Candidate, reason: str) -> None:
        def work(tx: Transaction) -> bool:
            is_candidate = versions.candidate_version(tx, self._name) == candidate.number
            if is_candidate:
                versions.add_notes(tx, self._name, candidate.number, {"reason": reason})
                drop(tx, self._database, self._name, candidate.number, reason, has_failed=True)
            return is_candidate

        if self._database.write(work):
            message = "version %d of %s does not go live: %s"
            logger.warning(message, candidate.number, self._name, reason)
        forget_old(self._database, self._name)

    def _tell_lacking(self, number: int) -> None:
        with self._database.backend.read() as tx:
            made = next(v for v in versions.versions(tx, self._name) if v.number == number)
        if made.lacking:
            message = "version %d of %s is live without outputs of %d row(s), on which it fails: see store.errors()"
            logger.warning(message, number, self._name, made.lacking)

    def _end_switch(self) -> None:
        """Once it is known what a switch has changed, let that be worked on, and delete what is not kept."""
        with self._database.backend.read() as tx:
            if versions.unnumbered(tx, self._name):
                return
        self._database.backend.call()
        forget_old(self._database, self._name)
