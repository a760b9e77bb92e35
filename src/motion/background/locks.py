"""Locks: what several threads may hold together, or one alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from motion import clock


def let_go(lock: threading.RLock) -> None:
    """Release a lock that the present thread may hold, having been interrupted somewhere."""
    try:
        while True:
            lock.release()
    except RuntimeError:  # not held any more
        return


class SharedWork:
    """Work that does for all who have asked for it before it began: of those who wait for their turn, one does it. Thread-safe."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._begun = self._done = 0

    def do(self, work: Callable[[float], bool], timeout_s: float) -> bool:
        """Return whether it is done, by this call of `work`, which is told the seconds left, or by one that began since."""
        ends_s, wanted = clock.monotonic_s() + timeout_s, self._begun + 1
        if not self._turn.acquire(timeout=min(max(timeout_s, 0), threading.TIMEOUT_MAX)):
            return False
        try:
            if self._done < wanted:
                self._begun += 1
                if not work(max(ends_s - clock.monotonic_s(), 0)):
                    return False
                self._done = self._begun
            return True
        finally:
            self._turn.release()


LOOK_S = 0.0005
"""How often who wants a lock alone looks whether the thread that signals reach still holds it: that one tells nobody."""


class SharedLock:
    """Held by many at once, or by one alone, who comes before those that ask later. Not reentrant. The thread that signals
    reach, which cannot hold a condition safely, holds it by a `Hold`."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._holders = 0
        self._waiting_alone = 0
        self._is_alone = False
        self._holds: set[Hold] = set()

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold it together with others."""
        with self._condition:
            while self._is_alone or self._waiting_alone:
                self._condition.wait()
            self._holders += 1
        try:
            yield
        finally:
            with self._condition:
                self._holders -= 1
                if self._waiting_alone and not self._holders:
                    self._condition.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold it with nobody else."""
        with self._condition:
            self._waiting_alone += 1
            try:
                while self._is_alone or self._holders or self._holds:
                    self._condition.wait(LOOK_S if self._holds else None)
                self._is_alone = True
            finally:  # interrupted, it stands in nobody's way
                self._waiting_alone -= 1
                self._condition.notify_all()
        try:
            yield
        finally:
            with self._condition:
                self._is_alone = False
                self._condition.notify_all()

    def enter(self, hold: Hold) -> bool:
        """Hold it together with others, unless somebody holds it alone or is about to; return whether it is held."""
        self._holds.add(
            hold
        )  # before it is looked, as who wants it alone says so before looking here
        is_held = not (self._is_alone or self._waiting_alone)
        if not is_held:
            self._holds.discard(hold)
        return is_held

    def leave(self, hold: Hold) -> None:
        """Give a hold back; does nothing where there is none."""
        self._holds.discard(hold)


class Hold:
    """Locks that the thread which signals reach holds together with others. Each step is one of C code, so that an interrupt
    comes before or after it, and it may be given back twice."""

    def __init__(self) -> None:
        self._locks: list[SharedLock] = []

    def take(self, lock: SharedLock) -> bool:
        """Hold a lock too; return whether it is held."""
        self._locks.append(lock)
        return lock.enter(self)

    def give_back(self) -> None:
        for lock in self._locks:
            lock.leave(self)
