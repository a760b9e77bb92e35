"""Feeds: something that is looked at once a second while anybody listens, once for all who do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from sse_starlette import ServerSentEvent

from motion.definitions.tables import wire
from motion.errors import StoreClosed
from motion.server.api.serving import Served, in_thread

logger = logging.getLogger(__name__)

EVERY_S = 1.0


class Feed:
    """What a look gives, told whenever it is another. Each event is whole, so one that is missed is no loss, and who was
    away is up to date with the next. All its methods are for one event loop.

    Args:
        event: the events' name.
        look: called in a thread, one call at a time.
    """

    def __init__(self, event: str, look: Callable[[Served], Any]) -> None:
        self._event, self._look = event, look
        self._changed = asyncio.Condition()
        self._text, self._number = b"", 0
        self._listeners = 0
        self._asking: asyncio.Task[None] | None = None

    async def events(self, on: Served) -> AsyncIterator[ServerSentEvent]:
        """Yield what there is now, and each that follows, until the server stops or a look fails: who listens asks again
        then, and is told what is wrong."""
        on.streams += 1
        self._listeners += 1
        seen = -1
        if self._asking is None:
            self._text, seen = b"", self._number  # what was told to those before is too old
            self._asking = asyncio.create_task(self._ask(on))
        elif not self._text:
            seen = self._number
        try:
            while not on.stopping.is_set():
                async with self._changed:
                    while self._number == seen and self._asking is not None:
                        await self._changed.wait()
                    is_over, seen, text = self._number == seen, self._number, self._text
                if is_over or on.stopping.is_set():
                    return
                yield ServerSentEvent(data=text.decode(), event=self._event, id=str(seen))
        finally:
            on.streams -= 1
            self._listeners -= 1

    async def _ask(self, on: Served) -> None:
        try:
            while self._listeners and not on.stopping.is_set():
                text = wire.encoded(await in_thread(self._look, on))
                if text != self._text:
                    async with self._changed:
                        self._text, self._number = text, self._number + 1
                        self._changed.notify_all()
                with suppress(TimeoutError):
                    async with asyncio.timeout(EVERY_S):
                        await on.stopping.wait()
        except StoreClosed:
            logger.info("the store that is looked at has been closed")
        finally:
            self._asking = None  # at once, so that nobody joins what has ended
            async with self._changed:
                self._changed.notify_all()
