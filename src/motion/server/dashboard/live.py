"""Live: what the store is doing, once a second, asked once for all who look."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request, Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from motion import clock
from motion.definitions import wire
from motion.errors import StoreClosed
from motion.server import documents as docs
from motion.server.access import Role
from motion.server.dashboard.insight import counts, trace_told
from motion.server.problems import answer
from motion.server.serving import Served, in_thread, needs, served

router = APIRouter(prefix="/v1", tags=["dashboard"])

logger = logging.getLogger(__name__)

EVERY_S = 1.0

COUNTED_EVERY = 5
"""Tables are counted once in so many looks."""

DRAWN = 20
"""Changes that are told in one look; the total says how many there were."""


@router.get(
    "/live/events",
    dependencies=[needs(Role.READ)],
    responses={
        **docs.PROBLEMS,
        200: {"description": "An event `live` now, and once a second.",
              "content": {"text/event-stream": {"schema": {"type": "string"}}}},
    },
)  # fmt: skip
async def live_events(request: Request) -> Response:
    """Send what the store is doing once a second: its status, models, and a sample of the last changes."""
    on = served(request)
    if on.streams >= on.limits.streams or on.stopping.is_set():
        return answer(503, "TooManyStreams", "too many streams are open; try again soon.")
    state = request.app.state
    if not hasattr(state, "live_feed"):
        state.live_feed = LiveFeed()
    feed: LiveFeed = state.live_feed
    return EventSourceResponse(feed.events(on), headers={"cache-control": "no-store"})


class LiveFeed:
    """What the store is doing, asked once a second while anybody listens. Each event is whole, so one that is missed is no
    loss, and who was away is up to date with the next."""

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._text, self._number, self._looks = "", 0, 0
        self._listeners = 0
        self._counts: Any = {}
        self._asking: asyncio.Task[None] | None = None

    async def events(self, on: Served) -> AsyncIterator[ServerSentEvent]:
        on.streams += 1
        self._listeners += 1
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask(on))
        seen = self._number
        try:
            while not on.stopping.is_set():
                async with self._changed:
                    while self._number == seen and self._asking is not None:
                        await self._changed.wait()
                    is_over, seen, text = self._number == seen, self._number, self._text
                if is_over or on.stopping.is_set():
                    return  # the browser asks again, and is told what is wrong
                yield ServerSentEvent(data=text, event="live", id=str(seen))
        finally:
            on.streams -= 1
            self._listeners -= 1

    async def _ask(self, on: Served) -> None:
        try:
            while self._listeners and not on.stopping.is_set():
                text = wire.encoded(await in_thread(self._look, on)).decode()
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

    def _look(self, on: Served) -> dict[str, Any]:
        store = on.store
        if self._looks % COUNTED_EVERY == 0:
            self._counts = counts(store)
        self._looks += 1
        status, recent = store.status(), store.recent(limit=DRAWN)
        # What is told here goes to every role alike, so no error's text is among it.
        changes = [trace_told(each, Role.READ, with_runs=False) for each in recent.changes]
        return {
            "at": clock.now(),
            "status": asdict(status),
            "tables": self._counts,
            "models": {name: asdict(store.model(name).status()) for name in status.versions},
            "recent": {
                "changes": changes, "total": recent.total, "runs": recent.runs,
                "slots": [asdict(each) for each in recent.slots], "p50": recent.p50, "p95": recent.p95,
            },
        }  # fmt: skip
