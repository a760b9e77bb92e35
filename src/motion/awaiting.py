"""Awaiting: waits of event loops. One thread looks for all of them after a commit, however many there are."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from motion import clock
from motion.backends.base import Backend, Transaction
from motion.errors import StoreClosed

IsDone = Callable[[Transaction], bool]

LONGEST_WAIT_S = 1.0

SHARE = 0.5
"""How much of the time may go into looking, where very many wait for a store that is written to without pause."""


class Awaiting:
    """The waits of one store. Each belongs to the loop it was begun on; giving one up leaves nothing behind."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._lock = threading.Lock()
        self._waits: dict[asyncio.Future[None], IsDone] = {}
        self._thread: threading.Thread | None = None

    async def until(self, is_done: IsDone) -> None:
        """Return when a condition on committed data holds; it is asked by one thread at a time."""
        wait = asyncio.get_running_loop().create_future()
        with self._lock:
            self._waits[wait] = is_done
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
        while True:
            commits, started = self._backend.committed.count, clock.monotonic_s()
            with self._lock:
                waits = dict(self._waits)
                if not waits:
                    self._thread = None
                    return
            self._look(waits)
            took_s = clock.monotonic_s() - started
            clock.sleep(took_s * (1 - SHARE) / SHARE)
            with suppress(Exception):  # it is closed: the next look tells them
                self._backend.committed.wait(commits, LONGEST_WAIT_S)

    def _look(self, waits: dict[asyncio.Future[None], IsDone]) -> None:
        """Tell those whose condition holds, or cannot be asked any more."""
        try:
            with self._backend.read() as tx:
                for wait, is_done in waits.items():
                    try:
                        if is_done(tx):
                            self._end(wait, None)
                    except BaseException as exc:  # noqa: BLE001 - it is that wait's
                        self._end(wait, self._reason(exc))
        except BaseException as exc:  # noqa: BLE001 - the store is closed, or cannot be read: nobody waits on
            for wait in waits:
                self._end(wait, self._reason(exc))

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
