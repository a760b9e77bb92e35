"""Routes of operation: status, failures and retry, recomputing, figures for Prometheus, health and readiness."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from motion import clock
from motion.definitions.tables import wire
from motion.definitions.tasks import DeadLetter
from motion.definitions.values.codecs import INT64_MAX
from motion.errors import MotionError, WaitTimeout
from motion.server.access.problems import answer, failure_told
from motion.server.access.roles import Role
from motion.server.api import documents as docs
from motion.server.api.feed import Feed
from motion.server.api.metrics import CONTENT_TYPE, written
from motion.server.api.rows import change_told
from motion.server.api.serving import (
    Served,
    event_stream,
    in_thread,
    is_first,
    json,
    needs,
    role,
    served,
)
from motion.store.changes.progress import has_work, work_left

MOST_LETTERS = 1_000

router = APIRouter(tags=["operations"])


class Trigger(BaseModel):
    """Which trigger; all of them where it is left out."""

    model_config = ConfigDict(extra="forbid")

    trigger: str | None = None


class Retry(BaseModel):
    """Which rows: all of a trigger, those of some tasks, as `/v1/errors` gives them, or all there are."""

    model_config = ConfigDict(extra="forbid")

    trigger: str | None = None
    tasks: list[Annotated[int, Field(ge=0, le=INT64_MAX)]] | None = Field(
        None, max_length=MOST_LETTERS
    )


class Wait(BaseModel):
    """How long to wait."""

    model_config = ConfigDict(extra="forbid")

    timeout: float = Field(30.0, ge=0)


class Backfill(BaseModel):
    """What to recompute."""

    model_config = ConfigDict(extra="forbid")

    trigger: str
    where: str | None = None
    params: list[Any] = []
    force: bool = False


@router.get("/health", responses=docs.answers(docs.ANYTHING))
async def health() -> Response:
    """Say that the process is alive."""
    return json({"status": "ok"})


@router.get("/ready", responses=docs.answers(docs.ANYTHING))
async def ready(request: Request) -> Response:
    """Say whether requests may be sent here: the store can be read, and the server is not about to end."""
    on = served(request)
    if on.stopping.is_set():
        return answer(503, "Stopping", "the server is about to end.")
    try:
        await in_thread(_look, on)
    except MotionError:
        return answer(
            503, "StoreUnavailable", "the store cannot be read; the server's log says why."
        )
    return json({"status": "ready"})


def _look(on: Served) -> None:
    on.store._check_open()
    with on.store._database.backend.read():
        on.store._database.backend.check_open()


@router.get("/v1", dependencies=[needs(Role.READ)], responses=docs.answers(docs.ANYTHING))
async def about(request: Request) -> Response:
    """Say what is served, to whom, and within which limits."""
    on = served(request)
    return json({
        "store": on.store.name, "role": role(request).name.lower(), "limits": asdict(on.limits), "streams": on.streams,
    })  # fmt: skip


@router.get("/v1/status", dependencies=[needs(Role.READ)], responses=docs.answers(docs.ANYTHING))
async def status(request: Request) -> Response:
    """Say what the store is doing: what is to be done, how fast it goes, and what changed code has left stale."""
    found = await in_thread(served(request).store.status)
    return json(asdict(found))


@router.get(
    "/v1/status/events",
    dependencies=[needs(Role.READ)],
    responses=docs.events("An event `status` now, and whenever it is another."),
)
async def status_events(request: Request) -> Response:
    """Send the status whenever it is another, at most once a second: it is asked once for all who listen."""
    on = served(request)
    if on.streams >= on.limits.streams or on.stopping.is_set():
        return answer(503, "TooManyStreams", "too many streams are open; try again soon.")
    feed: Feed = request.app.state.status_feed
    return event_stream(feed.events(on))


def look_at_status(on: Served) -> dict[str, Any]:
    return asdict(on.store.status())


@router.get("/v1/pipeline", dependencies=[needs(Role.READ)], responses=docs.answers(docs.ANYTHING))
async def pipeline(request: Request) -> Response:
    """Say what the store is made of, and what feeds what."""
    return json(asdict(await in_thread(served(request).store.pipeline)))


@router.post("/v1/wait", dependencies=[needs(Role.READ)], responses=docs.answers(docs.ANYTHING))
async def wait(request: Request, wanted: Wait) -> Response:
    """Wait until no work is left; answered with 408 where it is not in time, and goes on."""
    on = served(request)
    seconds = min(wanted.timeout, on.limits.wait_seconds)
    database, due_ms = on.store._database, clock.now_ms()
    if not await in_thread(_has_work, on, due_ms):
        return json({"remaining": 0})  # however short it would wait
    idle = database.awaiting.until(lambda tx: not has_work(database, tx, due_ms))
    if not await is_first(idle, on, seconds):
        raise WaitTimeout(f"store {on.store.name!r}", seconds, await in_thread(_left, on, due_ms))
    return json({"remaining": 0})


def _has_work(on: Served, due_ms: int) -> bool:
    database = on.store._database
    with database.backend.read() as tx:
        return has_work(database, tx, due_ms)


def _left(on: Served, due_ms: int) -> int:
    database = on.store._database
    with database.backend.read() as tx:
        return work_left(database, tx, due_ms)


# -- failures --


@router.get("/v1/errors", dependencies=[needs(Role.READ)], responses=docs.answers(docs.ANYTHING))
async def errors(
    request: Request,
    trigger: str | None = None,
    limit: Annotated[int, Query(ge=0, le=MOST_LETTERS)] = 100,
    after: Annotated[
        int | None, Query(ge=0, le=INT64_MAX, description="go on behind this one's task")
    ] = None,
) -> Response:
    """List the rows that triggers gave up on, in the order of their tasks. Tracebacks and inputs are for admins."""
    last = None if after is None else letter_of(after)
    found = await in_thread(served(request).store.errors, trigger, limit=limit, after=last)
    return json({"errors": [letter_told(each, role(request)) for each in found]})


def letter_of(task: int) -> DeadLetter:
    """Return what stands for a dead letter that is known by its task."""
    return DeadLetter(task, "", "", "", 0, "", "")


def letter_told(letter: DeadLetter, to: Role) -> dict[str, Any]:
    """Return of a row that was given up what somebody is told."""
    found = {
        "task": letter.task, "trigger": letter.trigger, "table": letter.table, "row": letter.row,
        "attempts": letter.attempts, "error": failure_told(letter.error, to), "at": letter.at, "change": letter.change,
    }  # fmt: skip
    return {**found, "inputs": letter.inputs} if to is Role.ADMIN else found


@router.post("/v1/retry", dependencies=[needs(Role.WRITE)], responses=docs.answers(docs.ANYTHING))
async def retry(request: Request, wanted: Retry) -> Response:
    """Try rows again that triggers gave up on, with the same inputs."""
    what: Any = wanted.trigger
    if wanted.tasks is not None:
        what = [letter_of(each) for each in wanted.tasks]
    return json({"rows": await in_thread(served(request).store.retry, what)})


@router.post("/v1/drop", dependencies=[needs(Role.ADMIN)], responses=docs.answers(docs.ANYTHING))
async def drop(request: Request, wanted: Trigger) -> Response:
    """Drop what is kept for triggers that the store does not have any more."""
    return json({"rows": await in_thread(served(request).store.drop, wanted.trigger)})


@router.get("/v1/plan", dependencies=[needs(Role.READ)], responses=docs.answers(docs.ANYTHING))
async def plan(request: Request, trigger: str) -> Response:
    """Say what recomputing a trigger would touch."""
    return json(asdict(await in_thread(served(request).store.plan, trigger)))


@router.post("/v1/backfill", dependencies=[needs(Role.ADMIN)], responses=docs.answers(docs.CHANGE))
async def backfill(request: Request, wanted: Backfill) -> Response:
    """Run a trigger again where its outputs are missing or made by other code, below live work."""
    change = await in_thread(
        served(request).store.backfill,
        wanted.trigger,
        where=wanted.where,
        params=[wire.parameter_of(each) for each in wanted.params],
        force=wanted.force,
    )
    return json(change_told(change))


@router.get(
    "/metrics",
    dependencies=[needs(Role.READ)],
    responses={
        **docs.PROBLEMS,
        200: {"description": "Figures.", "content": {"text/plain": {"schema": {"type": "string"}}}},
    },
)
async def metrics(request: Request) -> Response:
    """Give figures for Prometheus."""
    text = await in_thread(written, served(request), request.app.state.requests)
    return Response(text, headers={"content-type": CONTENT_TYPE})
