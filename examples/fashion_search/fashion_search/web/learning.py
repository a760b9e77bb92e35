"""Learning: what the encoders are doing, told to whoever looks: opinions, the fit, the gate, the switch."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from fashion_search.encoders import FIT_EVERY
from fashion_search.versions import COMPONENT
from motion.server import Feed, Served, event_stream

router = APIRouter(prefix="/api")


def feed() -> Feed:
    return Feed("learning", look)


@router.get("/learning/events")
async def events(request: Request) -> Response:
    """Send what the encoders are doing now, and whenever that is something else."""
    served: Served = request.app.state.served
    if served.streams >= served.limits.streams or served.stopping.is_set():
        return JSONResponse({"error": "too many are looking"}, 503, {"retry-after": "1"})
    return event_stream(request.app.state.learning.events(served))


def look(served: Served) -> dict[str, Any]:
    """Tell which version answers, how far the next one is, and what became of the one before."""
    model = served.store.model(COMPONENT)
    status, versions = model.status(), model.versions()
    live = next((each for each in versions if each.number == status.live), None)
    by_people = next(each for each in status.fits if each.name.endswith(".finetune"))
    running = next((each for each in status.fits if each.is_running), None)
    progress = running.progress if running else None
    products = served.store.row_count("retailer")
    newest = versions[-1] if versions else None
    return {
        "live": status.live,
        "live_from": live.live_from.isoformat() if live and live.live_from else None,
        "step": status.step,
        "labels": by_people.labels,
        "wanted": by_people.wanted or FIT_EVERY,
        "by_itself": running is not None and running.name.endswith(".study"),
        "done": [progress.step, progress.total] if progress else None,
        "left": status.left,
        "of": status.total,
        "products": products.rows,
        "newest": None
        if newest is None
        else {
            "number": newest.number,
            "status": newest.status,
            "pairs": newest.metrics.get("pairs"),
            "gain": newest.metrics.get("gain"),
            "low": newest.metrics.get("gain_low"),
            "high": newest.metrics.get("gain_high"),
            "liked_pairs": newest.metrics.get("liked_pairs"),
            "liked_low": newest.metrics.get("liked_low"),
            "liked_high": newest.metrics.get("liked_high"),
            "seconds": newest.duration_s,
        },
    }
