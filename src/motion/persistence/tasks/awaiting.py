"""Awaiting: waits of event loops. One thread looks for all of them after a commit, however many there are."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from motion import clock
from motion.backends.base import Backend, Transaction
from motion.errors import StoreClosed
from motion.persistence.tasks import backlog

IsDone = Callable[[Transaction], bool]

LONGEST_WAIT_S = 1.0

SHARE, NEWEST = 0.2, 200
"""How much of the time may go into looking for all, where very many wait for a store that is written to without pause; and
how many are looked for after each commit in any case: most waits are short."""


@dataclass(frozen=True)
class _Wait:
    """What one waits for.

    Attributes:
        changes: while tasks of these are left, `is_done` need not be asked.
    """

    is_done: IsDone
    changes: Sequence[int]


class Awaiting:
    """The waits of one store. Each belongs to the loop it was begun on; giving one up leaves nothing behind."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._lock = threading.Lock()
        self._waits: dict[asyncio.Future[None], _Wait] = {}
        self._thread: threading.Thread | None = None

    async def until(self, is_done: IsDone, changes: Sequence[int] = ()) -> None:
        """Return when a condition on committed data holds; it is asked by one thread at a time.

        Args:
            changes: the condition does not hold while tasks of these are left.
        """
        wait = asyncio.get_running_loop().create_future()
        with self._lock:
            self._waits[wait] = _Wait(is_done, changes)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._look_again_and_again, name="motion-awaiting", daemon=True
                )
                self._thread.start()
            else:
                self._backend.committed.give()  # it has not asked this one yet
        try:
            await wait
        finally:
            with self._lock:
                self._waits.pop(wait, None)

    def _look_again_and_again(self) -> None:
        all_at_s = clock.monotonic_s()
        while True:
            commits, started = self._backend.committed.count, clock.monotonic_s()
            is_for_all = started >= all_at_s
            with self._lock:
                if not self._waits:
                    self._thread = None
                    return
                newest = reversed(self._waits.items())
                waits = list(newest if is_for_all else islice(newest, NEWEST))
            for start in range(0, len(waits), NEWEST):
                self._look(dict(waits[start : start + NEWEST]))
            if is_for_all:
                now = clock.monotonic_s()
                all_at_s = now + (now - started) * (1 - SHARE) / SHARE
            longest_s = LONGEST_WAIT_S if is_for_all else max(all_at_s - clock.monotonic_s(), 0.0)
            with suppress(Exception):  # it is closed: the next look tells them
                self._backend.committed.wait(commits, longest_s)

    def _look(self, waits: Mapping[asyncio.Future[None], _Wait]) -> None:
        """Tell those whose condition holds, or cannot be asked any more."""
        try:
            with self._backend.read() as tx:
                changes = [change for wait in waits.values() for change in wait.changes]
                left, done = backlog.changes_with_work(tx, changes), []
                for future, wait in waits.items():
                    try:
                        if left.isdisjoint(wait.changes) and wait.is_done(tx):
                            done.append(future)
                    except BaseException as exc:  # noqa: BLE001 - it is that wait's
                        self._end(future, self._reason(exc))
                if done:
                    tx.settle()
                for future in done:
                    self._end(future, None)
        except BaseException as exc:  # noqa: BLE001 - the store is closed, or cannot be read: nobody waits on
            for future in waits:
                self._end(future, self._reason(exc))

    def _end(self, wait: asyncio.Future[None], error: BaseException | None) -> None:
        """Tell a wait, which is not asked again, even before its loop has heard of it."""
        with self._lock:
            self._waits.pop(wait, None)
        _tell(wait, error)

    def _reason(self, error: BaseException) -> BaseException:
        """Return why a look failed: a store that was closed meanwhile ends what is being read with errors of its own."""
        try:
            self._backend.check_open()
        except StoreClosed as closed:
            return closed
        return error


def _tell(wait: asyncio.Future[Any], error: BaseException | None) -> None:
    def told() -> None:
        if wait.done():
            return
        if error is None:
            wait.set_result(None)
        else:
            wait.set_exception(error)

    with suppress(RuntimeError):  # its loop is closed
        wait.get_loop().call_soon_threadsafe(told)
