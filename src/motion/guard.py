"""The guard of loops in the background: an error in one round is told, and the next round comes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from motion.errors import StoreClosed, StoreDeleted

logger = logging.getLogger(__name__)

PAUSE_S = 0.5
"""How long a loop rests after an error, so as not to spin."""


@contextmanager
def going_on(stop: threading.Event, who: str) -> Iterator[None]:
    """Let a round of a loop raise without ending the loop; a store that was closed ends it, by `stop`, or deleted."""
    try:
        yield
    except StoreClosed:
        stop.set()
    except StoreDeleted as exc:
        was_told = stop.is_set()
        stop.set()
        if not was_told:
            logger.error("%s ends: %s", who, exc)
    except BaseException:  # also `SystemExit`, which would end the thread without a word
        if not stop.is_set():
            logger.exception("%s met an error and goes on", who)
            stop.wait(PAUSE_S)
