"""Requests of callers who share one commit (group commit)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from motion.backends.base import First, Transaction
from motion.errors import StoreClosed, StoreUnavailable
from motion.faults import reach

PASSED_AT_MOST = 8
"""Commits of others in a row that who is patient lets pass: it is held up, and not for ever."""

RETURN_S = 0.0003
"""How long it is waited for a further caller to share a commit, where there were several."""


class Request:
    """One caller's work, waiting for whoever commits next."""

    __slots__ = ("_latch", "error", "first", "following", "is_done", "value", "work")

    def __init__(self, work: Callable[[Transaction], Any], first: First | None = None) -> None:
        self.work, self.first = work, first
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
            tx.execute("RELEASE caller")  # where what it has written and not waited for fails, too
        except BaseException as exc:  # noqa: BLE001 - its caller gets it raised
            request.error = exc
            tx.execute("ROLLBACK TO caller")
            tx.execute("RELEASE caller")
            tx.memo = known  # what it made is gone
            del tx.before_commit[left:]


class Sharing:
    """Callers at once share one commit: one of them leads, and commits for all who wait (group commit). Thread-safe.

    Args:
        commit: applies work in one transaction, and commits it; told what it reads first.
        writing: held by whoever writes.
        closing: set when nobody is waited for any more.
    """

    def __init__(
        self,
        commit: Callable[[Callable[[Transaction], Any], First | None], Any],
        writing: threading.RLock,
        closing: threading.Event,
    ) -> None:
        self._commit, self._writing, self._closing = commit, writing, closing
        self.renew()

    def renew(self) -> None:
        """Forget who waits: in a forked child they are the parent's."""
        self._queueing = threading.Lock()
        self._waiting: list[Request] = []
        self._patient: list[Request] = []
        self._passed = 0  # commits that those have let pass
        self._is_led = False
        self._callers = 0  # who wrote at once, when last seen

    def write(
        self,
        work: Callable[[Transaction], Any],
        *,
        is_patient: bool = False,
        first: First | None = None,
    ) -> Any:
        """Run `work` in a transaction that may be others' too, each whole or not at all; return what it returned.

        Args:
            is_patient: it is long, and nobody waits for it: others go before it, and share no commit with it.
        """
        request = Request(work, first)
        with self._queueing:
            (self._patient if is_patient else self._waiting).append(request)
            leads = not self._is_led
            self._is_led = True
        if not leads:
            request.wait()  # until it is done, or its turn to lead
        while not request.is_done:
            self._lead(request)
        return request.result()

    def _lead(self, own: Request) -> None:
        """Commit for all who wait now, or who are patient. Where that was one's own, let one of those who came meanwhile
        lead."""
        requests: list[Request] = []
        is_over = True
        try:
            with self._writing:
                self._gather()
                with self._queueing:
                    requests = self._taken()
                self._commit_all(requests)
            is_over = own.is_done
        finally:
            with self._queueing:
                self._callers = len(requests) + len(self._waiting)
                following = (self._waiting or self._patient)[:1] if is_over else []
                self._is_led = bool(following) or not is_over
                for each in following:
                    each.wake()
            wake_in_turn([each for each in requests if each is not own])

    def _taken(self) -> list[Request]:
        """Take those out whose turn it is."""
        if self._waiting and (self._passed < PASSED_AT_MOST or not self._patient):
            self._passed += bool(self._patient)
            requests, self._waiting = self._waiting, []
        else:
            requests, self._patient, self._passed = self._patient, [], 0
        return requests

    def _gather(self) -> None:
        """Let those who wrote at once when last seen come back, as long as they do: a commit costs the same for all."""
        seen = 0
        while seen < len(self._waiting) < self._callers:
            seen = len(self._waiting)
            self._closing.wait(RETURN_S)

    def _commit_all(self, requests: Sequence[Request]) -> None:
        """Apply what callers want in one transaction, each whole or not at all: together, as hardly any ever raises;
        where one does, again with a savepoint for each."""
        try:
            self._commit(lambda tx: apply_all(tx, requests), requests[0].first)
        except BaseException as exc:  # noqa: BLE001 - its caller gets it raised
            if len(requests) == 1 or isinstance(exc, StoreUnavailable | StoreClosed):
                for request in requests:
                    request.error = exc
            else:
                self._commit_apart(requests)
        finally:
            for request in requests:
                request.is_done = True

    def _commit_apart(self, requests: Sequence[Request]) -> None:
        try:
            self._commit(lambda tx: apply_apart(tx, requests), None)
        except BaseException as exc:  # noqa: BLE001 - each caller gets it raised
            for request in requests:
                request.error = request.error or exc
