"""The guard of loops in the background: an error in one round is told, and the next round comes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from motion import clock
from motion.background.tracebacks import reason_of
from motion.errors import StoreClosed, StoreDeleted, StoreUnavailable

logger = logging.getLogger(__name__)

PAUSE_S = 0.5
"""How long a loop rests after an error, so as not to spin."""

TOLD_AGAIN_S = 60.0
"""How long the same error of the same loop is not told again."""

_told_s: dict[tuple[str, str], float] = {}

_telling = threading.Lock()


class going_on:  # noqa: N801 - used as a function, as `contextlib.suppress` is
    """Let a round of a loop raise without ending the loop; a store that was closed ends it, by `stop`, or deleted."""

    def __init__(self, stop: threading.Event, who: str) -> None:
        self._stop, self._who = stop, who

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> bool:
        if exc is not None:
            _take_in(exc, self._stop, self._who)
        return True


def _take_in(exc: BaseException, stop: threading.Event, who: str) -> None:
    was_told = stop.is_set()
    if isinstance(exc, StoreClosed | StoreDeleted):
        stop.set()
        if isinstance(exc, StoreDeleted) and not was_told:
            logger.error("%s ends: %s", who, exc)
    elif not was_told:  # also `SystemExit`, which would end the thread without a word
        if is_new(who, reason_of(exc)):
            # The disk's trouble is no fault of the code: where it was met says nothing.
            trace = None if isinstance(exc, StoreUnavailable) else exc
            logger.error("%s met an error and goes on: %s", who, reason_of(exc), exc_info=trace)
        stop.wait(PAUSE_S)


def is_new(who: str, reason: str) -> bool:
    """Whether this has not been told for a while: a disk that is full stays so for many rounds."""
    now_s = clock.monotonic_s()
    with _telling:
        for known in [each for each, at_s in _told_s.items() if now_s - at_s >= TOLD_AGAIN_S]:
            del _told_s[known]
        is_new = (who, reason) not in _told_s
        if is_new:
            _told_s[who, reason] = now_s
        return is_new


class Rounds:
    """A loop in the background that does one step after the other whenever it is called, until none is left.

    Args:
        step: does the next thing, and returns whether there was one.
    """

    def __init__(
        self, name: str, who: str, stop: threading.Event, step: Callable[[], bool]
    ) -> None:
        self._who, self._stop, self._step = who, stop, step
        self._called = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def look(self) -> None:
        """There may be something to do."""
        self._called.set()

    def join(self, timeout_s: float) -> None:
        """Wait for the loop's end, which `stop` has said."""
        self._called.set()
        self._thread.join(timeout_s)

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._called.wait()
            self._called.clear()
            with going_on(self._stop, self._who):
                while not self._stop.is_set() and self._step():
                    pass
