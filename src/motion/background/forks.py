"""Forks: what is held still while this process forks, and left to the parent in the child.

A child made by `os.fork` (or by what is built on it: fork pools, daemons, servers that load an application before they
make their workers) has a copy of all memory, and of one thread. What belongs to the parent there, such as locks, sockets and
connections to a database, it may neither use nor end. So whoever has such things says so here: it is brought to rest
before the fork, goes on in the parent, and is left in the child, which makes its own.
"""

from __future__ import annotations

# It lets go in the parent of a lock that it took before the fork. Where a thread loads it in between, which many libraries
# make it do at some first call, it lets go of what it never took, and Python complains. So it is loaded before any fork.
import concurrent.futures.thread  # noqa: F401
import os
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, NoReturn, Protocol
from weakref import WeakSet

from motion import clock

PATIENCE_S = 2.0
"""How long a fork waits for the threads of its process to come to rest. What has not by then is of no use in the child."""


class Forkable(Protocol):
    """What is to know of a fork. In its methods nothing may be raised."""

    def hold(self, ends_s: float) -> bool:
        """Come to rest, until `clock.monotonic_s()` is `ends_s` at most, and return whether it has."""

    def release(self) -> None:
        """Go on, in the process that has forked."""

    def leave(self, *, is_at_rest: bool) -> None:
        """Let go, in the child, of what is the parent's, without ending it.

        Args:
            is_at_rest: whether all had come to rest. If not, its parts may be in whatever state.
        """


_watching: WeakSet[Any] = WeakSet()

_lock = threading.Lock()

_held: list[Forkable] = []

_is_at_rest = True


def watch(forkable: Forkable) -> None:
    """Let something know of forks, as long as it is there."""
    _watching.add(forkable)


def _before() -> None:
    global _is_at_rest
    _lock.acquire()
    ends_s = clock.monotonic_s() + PATIENCE_S
    _is_at_rest = True
    for each in list(_watching):
        _held.append(each)
        _is_at_rest = each.hold(ends_s) and _is_at_rest


def _in_parent() -> None:
    for each in _held:
        each.release()
    _held.clear()
    _lock.release()


def _in_child() -> None:
    global _lock
    for each in _held:
        each.leave(is_at_rest=_is_at_rest)
    _held.clear()
    _lock = threading.Lock()


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)


def renew_in_child(renew: Callable[[], None]) -> None:
    """Call something in each child, for locks of a module that another thread may have held."""
    os.register_at_fork(after_in_child=renew)


class user_code:  # noqa: N801 - used as a function, as `contextlib.suppress` is
    """Run code of a user, which may fork: the child ends where the code ends there. What follows is the parent's."""

    def __enter__(self) -> None:
        self._process = os.getpid()

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        if os.getpid() != self._process:
            _end(exc)


def is_child_of(process: int) -> bool:
    return os.getpid() != process


def _end(error: BaseException | None) -> NoReturn:
    """End a child as Python would, but for what Python does at exit, which is the parent's."""
    code = 0 if error is None else 1
    try:
        if isinstance(error, SystemExit):
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        elif error is not None:
            traceback.print_exception(error)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:  # whatever became of the streams: nothing may go on from here
        os._exit(code)
