"""Awaiting: waits of event loops. One thread looks for all of them, after each commit where they are few. Where they are many,
each is looked at the less often the longer it has waited: a backlog makes no commit dearer (decision 102).
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import Any

from motion import clock
from motion.backends.base import Backend, Transaction
from motion.errors import StoreClosed
from motion.persistence.tasks import backlog

IsDone = Callable[[Transaction], bool]

LONGEST_WAIT_S = 1.0

FEW = 200
"""So many waits at most are all looked at after each commit. It is also how many are looked at in one read."""

LATER, SHARE, TOGETHER_S = 0.05, 0.2, 0.02
"""Of more than few: by which part of what it took a wait may be told late, though by no more than `LONGEST_WAIT_S`; how much of
the time may go into looking, where very many have just begun; and all that are due within so long are looked at together."""


@dataclass(frozen=True)
class _Wait:
    """What one waits for.

    Attributes:
        changes: while tasks of these are left, `is_done` need not be asked.
        began_s: when it began.
        number: in the order in which they began.
    """

    is_done: IsDone
    changes: Sequence[int]
    began_s: float
    number: int


_Look = tuple[float, int, asyncio.Future[None]]
"""When a wait is looked at next, its number, and the wait."""


class Awaiting:
    """The waits of one store. Each belongs to the loop it was begun on; giving one up leaves nothing behind."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._lock = threading.Lock()
        self._waits: dict[asyncio.Future[None], _Wait] = {}
        self._numbers = count()
        self._looks: list[_Look] = []  # a heap; of waits that were given up, until they are due
        self._thread: threading.Thread | None = None

    async def until(self, is_done: IsDone, changes: Sequence[int] = ()) -> None:
        """Return when a condition on committed data holds; it is asked by one thread at a time.

        Args:
            changes: the condition does not hold while tasks of these are left.
        """
        wait = asyncio.get_running_loop().create_future()
        with self._lock:
            begun = _Wait(is_done, changes, clock.monotonic_s(), next(self._numbers))
            self._waits[wait] = begun
            heappush(self._looks, (begun.began_s, begun.number, wait))
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
        is_open = True
        while True:
            commits, started = self._backend.committed.count, clock.monotonic_s()
            with self._lock:
                if not self._waits:
                    self._looks.clear()
                    self._thread = None
                    return
                is_for_all = len(self._waits) <= FEW or not is_open
                due = self._taken(math.inf if is_for_all else started)
            waits = list(due.items())
            for start in range(0, len(waits), FEW):
                self._look(dict(waits[start : start + FEW]))
            next_s = self._put_back(due, clock.monotonic_s() - started)
            longest_s = LONGEST_WAIT_S if is_for_all else next_s
            try:
                self._backend.committed.wait(commits, longest_s)
            except Exception:  # noqa: BLE001 - it is closed: the next look tells them
                is_open = False

    def _taken(self, until_s: float) -> dict[asyncio.Future[None], _Wait]:
        """Take those whose look is due by then."""
        taken = {}
        while self._looks and self._looks[0][0] <= until_s:
            wait = heappop(self._looks)[2]
            if wait in self._waits:
                taken[wait] = self._waits[wait]
        return taken

    def _put_back(self, looked_at: Mapping[asyncio.Future[None], _Wait], took_s: float) -> float:
        """Say when those that wait on are looked at again, and return in how long the first of all is."""
        now_s, rest_s = clock.monotonic_s(), took_s * (1 - SHARE) / SHARE
        with self._lock:
            for future, wait in looked_at.items():
                if future in self._waits:
                    later_s = min((now_s - wait.began_s) * LATER, LONGEST_WAIT_S)
                    due_s = _together(now_s + max(later_s, rest_s))
                    heappush(self._looks, (due_s, wait.number, future))
            return max(self._looks[0][0] - now_s, 0.0) if self._looks else LONGEST_WAIT_S

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


def _together(due_s: float) -> float:
    return math.ceil(due_s / TOGETHER_S) * TOGETHER_S


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
