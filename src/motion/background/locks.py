"""Locks: what several threads may hold together, or one alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def let_go(lock: threading.RLock) -> None:
    """Release a lock that the present thread may hold, having been interrupted somewhere."""
    with suppress(RuntimeError):  # not held any more
        while True:
            lock.release()


class SharedLock:
    """Held by many at once, or by one alone, who comes before those that ask later. Not reentrant."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._holders = 0
        self._waiting_alone = 0
        self._is_alone = False

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
                self._condition.wait_for(lambda: not self._is_alone and not self._holders)
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
