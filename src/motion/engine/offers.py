"""Offers: the only task there is, is claimed by the very write that makes it, for the idle worker of its process.

    set -> task, claimed -> commit -> the worker wakes, sees that it holds the task, and calls

That spares a transaction, and the looks before a claim: whose turn it is need not be asked where nothing else waits.
"""

from __future__ import annotations

from collections.abc import Callable

from motion.backends.base import Transaction
from motion.definitions.tasks import Task
from motion.definitions.triggers.specs import TriggerSpec
from motion.persistence.tasks import claim


class Offers:
    """What writes of this process have claimed for its worker, which has not taken it yet: one task at a time.

    A write that comes to its end says that it was kept. One that is undone, or interrupted right behind its commit, says
    nothing: then who takes the offer asks the store whether it is held. As nothing is offered beside it meanwhile, and its
    number is given to no other task that is kept, that is never in doubt.

    Only one write at a time makes offers, as writes are in turn; only who claims takes them.

    Attributes:
        are_wanted: the worker waits for work. It says so itself.
    """

    def __init__(self, owner: str, may_run: Callable[[str], bool]) -> None:
        self._owner, self._may_run = owner, may_run
        self._task: Task | None = None
        self._kept: Task | None = None
        self.are_wanted = False

    def make(self, tx: Transaction) -> Task | None:
        """Claim what a write has made, at its end, where that is all there is and its trigger may run now. Return it."""
        if not self.are_wanted or self._task is not None:
            return None
        task = claim.only_one(tx)
        if task is None or not self._may_run(task.trigger):
            return None
        self._task = claim.claim_one(tx, self._owner, task)
        return self._task

    def keep(self, task: Task) -> None:
        """Take in that the write which has made an offer is committed."""
        self._kept = task

    @property
    def task(self) -> Task | None:
        return self._task

    def is_kept(self, task: Task) -> bool:
        """Whether it is known that what was offered is there, and was all there was. What is put beside it since then has its
        own call."""
        return self._kept is task

    def is_held(self, tx: Transaction, task: Task) -> bool:
        """Whether what was offered is there, and nobody else's. It is not while its write is under way."""
        return claim.is_held_by(tx, self._owner, task)

    def end(self) -> None:
        """Take in that what was offered has been taken, or is given back for certain."""
        self._task = self._kept = None


def runs_at_once(spec: TriggerSpec) -> bool:
    """Whether nothing but how many calls there are at once says when a trigger may run."""
    waits = spec.rate or spec.batch_wait_s or spec.fold or spec.serial_by or spec.schedule
    return not (waits or spec.once or spec.writes_freely)
