"""Memory: threads share a heap, and what this process has freed goes back to the system.

glibc's allocator keeps several heaps, for threads not to wait for each other, and what is freed in the middle of one is
kept for that one's next allocations: the peaks of all threads add up, though they are never there at once.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache

from motion import clock
from motion.config import is_allocator_tuned

LOOK_S = 5.0
"""How often it is looked at most: to give back takes about 10 ms for 100 MB, and what is needed again is a page fault each."""

GROWN_BYTES, GROWN_SHARE = 32 * 2**20, 1 / 16
"""By how much resident memory has grown, in bytes and as a share, where it is worth it: less comes and goes all the time."""

ANYWAY_S = 60.0
"""How often memory is given back at least: what was in use the last time may be free by now."""

_M_ARENA_MAX = -8  # malloc.h

_STATM = "/proc/self/statm"

_last = {"looked_s": -LOOK_S, "given_back_s": 0.0, "bytes": 0}
"""When it was last looked, when memory was last given back, and what was resident then. Two threads at once do no harm."""


@cache
def share_heap() -> None:
    """Let threads that begin from now on use the heaps that are there, unless the user has told the allocator otherwise.

    They hardly wait for each other for that: most of what they allocate, they allocate with the interpreter's lock held.
    """
    if _is_glibc() and not is_allocator_tuned():
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def look() -> None:
    """Give back what is free, where resident memory has grown since that was last done, or that was long ago. Thread-safe."""
    now_s = clock.monotonic_s()
    if now_s - _last["looked_s"] < LOOK_S or not _is_glibc():
        return
    _last["looked_s"] = now_s
    grown = _resident_bytes() - _last["bytes"]
    has_grown = grown > max(GROWN_BYTES, GROWN_SHARE * _last["bytes"])
    if has_grown or now_s - _last["given_back_s"] > ANYWAY_S:
        ctypes.CDLL(None).malloc_trim(0)
        _last["given_back_s"], _last["bytes"] = now_s, _resident_bytes()


@cache
def _is_glibc() -> bool:
    try:
        return os.access(_STATM, os.R_OK) and hasattr(ctypes.CDLL(None), "malloc_trim")
    except (OSError, TypeError):  # not a system that loads libraries so
        return False


def _resident_bytes() -> int:
    with open(_STATM, "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
