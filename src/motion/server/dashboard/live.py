"""Live: what the store is doing, once a second, asked once for all who look."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request, Response

from motion import clock
from motion.server.access.problems import answer
from motion.server.access.roles import Role
from motion.server.api import documents as docs
from motion.server.api.feed import Feed
from motion.server.api.serving import Served, event_stream, needs, served
from motion.server.dashboard.insight import counts, trace_told

router = APIRouter(prefix="/v1", tags=["dashboard"])

logger = logging.getLogger(__name__)

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
        state.live_feed = Feed("live", Looks())
    feed: Feed = state.live_feed
    return event_stream(feed.events(on))


class Looks:
    """One look after the other."""

    def __init__(self) -> None:
        self._count = 0
        self._counts: Mapping[str, tuple[int, bool]] = {}

    def __call__(self, on: Served) -> dict[str, Any]:
        store = on.store
        if self._count % COUNTED_EVERY == 0:
            self._counts = counts(store)
        self._count += 1
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
