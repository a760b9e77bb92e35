"""Requests of callers who share one commit (group commit)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from motion.backends.base import Transaction
from motion.faults import reach


class Request:
    """One caller's work, waiting for whoever commits next."""

    __slots__ = ("_latch", "error", "following", "is_done", "value", "work")

    def __init__(self, work: Callable[[Transaction], Any]) -> None:
        self.work = work
        self.value: Any = None
        self.error: BaseException | None = None
        self.is_done = False
        self.following: Request | None = None
        self._latch = threading.Lock()  # held until somebody wakes the caller
        self._latch.acquire()

    def wait(self) -> None:
        """Return when woken, having woken who follows."""
        self._latch.acquire()
        if self.following is not None:
            self.following.wake()

    def wake(self) -> None:
        self._latch.release()

    def result(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value


def wake_in_turn(requests: Sequence[Request]) -> None:
    """Wake callers, each by the one before it: sixty threads woken at once spend more time on competing for the
    interpreter than on their work."""
    for request, following in pairwise(requests):
        request.following = following
    if requests:
        requests[0].wake()


def apply_all(tx: Transaction, requests: Sequence[Request]) -> None:
    for request in requests:
        request.value = request.work(tx)
        if request is not requests[-1]:
            reach("group.applied")


def apply_apart(tx: Transaction, requests: Sequence[Request]) -> None:
    """Apply several callers' work in one transaction, each whole or not at all."""
    for request in requests:
        known, left = dict(tx.memo), len(tx.before_commit)
        tx.execute("SAVEPOINT caller")
        try:
            request.value = request.work(tx)
        except BaseException as exc:  # noqa: BLE001 - its caller gets it raised
            request.error = exc
            tx.execute("ROLLBACK TO caller")
            tx.memo = known  # what it made is gone
            del tx.before_commit[left:]
        tx.execute("RELEASE caller")
