"""Routes of changes: how far they are, and what comes of them, as events that are sent as it comes.

An event's id is the number of a change up to which all was sent. A browser that lost its connection says it again
(`Last-Event-ID`), to this process or the one after it, and gets what is missing; a new page begins at the beginning. Nothing of
it is kept in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from sse_starlette import ServerSentEvent

from motion.definitions.tables import wire
from motion.definitions.tables.hidden import is_secret
from motion.definitions.tables.schema import Table
from motion.errors import (
    InvalidArgument,
    MotionError,
    NotAllowed,
    WaitTimeout,
    shortened,
)
from motion.persistence.tasks.growing_texts import Part
from motion.server.access.problems import answer, told
from motion.server.access.roles import Role
from motion.server.api import documents as docs
from motion.server.api.operations import Wait, letter_told
from motion.server.api.rows import id_of
from motion.server.api.serving import (
    Served,
    event_stream,
    hidden,
    in_thread,
    is_first,
    json,
    needs,
    role,
    served,
)
from motion.store.changes.change import Change
from motion.store.changes.streams import Stream

FOREVER_S = 1e7


ENDED = "end"

RETRY_MS = 1_000
"""After how long a browser whose stream broke asks again."""

MOST_IDS = 1_000

MOST_LETTERS = 100

router = APIRouter(prefix="/v1", tags=["changes"])


@router.get(
    "/changes/{change}",
    dependencies=[needs(Role.READ)],
    responses=docs.answers(docs.PROGRESS, told="How far the change is."),
)
async def progress(request: Request, change: int) -> Response:
    """Say how far a change is: rows to do, and those that were given up."""
    found = await in_thread(served(request).store.change, change)
    return json(await in_thread(progress_told, found, role(request)))


@router.post(
    "/changes/{change}/wait",
    dependencies=[needs(Role.READ)],
    responses=docs.answers(docs.PROGRESS, told="The change is done."),
)
async def wait(request: Request, change: int, wanted: Wait) -> Response:
    """Wait until a change's work is done; answered with 408 where it is not in time, and goes on."""
    on = served(request)
    found = await in_thread(on.store.change, change)
    seconds = min(wanted.timeout, on.limits.wait_seconds)
    is_done = await in_thread(found.is_done)  # however short it would wait
    if not is_done and not await is_first(found.until_done(), on, seconds):
        left = (await in_thread(lambda: found.progress)).remaining
        raise WaitTimeout(f"change {change}", seconds, left)
    return json(await in_thread(progress_told, found, role(request)))


@router.post(
    "/changes/{change}/cancel",
    dependencies=[needs(Role.WRITE)],
    responses=docs.answers(docs.PROGRESS),
)
async def cancel(request: Request, change: int) -> Response:
    """Drop the work of a change that has not begun; what is done stays."""
    found = await in_thread(served(request).store.change, change)
    await in_thread(found.cancel)
    return json(await in_thread(progress_told, found, role(request)))


def progress_told(change: Change, to: Role) -> dict[str, Any]:
    now, letters = change.progress, change.errors[:MOST_LETTERS]
    return {
        "change": change.key, "remaining": now.remaining, "failed": now.failed,
        "errors": [letter_told(each, to) for each in letters],
    }  # fmt: skip


# -- events --


@router.get(
    "/changes/{change}/events",
    dependencies=[needs(Role.READ)],
    responses={
        **docs.events("Events: `row`, or `part`, as they come; `failed`; at last `end`."),
        204: {"description": "It has ended, and all was sent."},
    },
)
async def events(
    request: Request,
    change: int,
    table: str,
    key: Annotated[str, Query(description="give each row when this key is set on it")],
    id: Annotated[list[str], Query(description="of the rows that the change wrote")],
    parts: Annotated[
        bool, Query(description="give the text of the key in parts, as it grows")
    ] = False,
    timeout: Annotated[
        float, Query(gt=0, le=FOREVER_S, description="seconds to wait for the next, then `broken`")
    ] = FOREVER_S,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """Send what comes of a change, each row once, when a key is set on it; end when its work is done."""
    on = served(request)
    of = on.table(table)
    of.key(key)
    if hidden(request) is not None and is_secret(key):
        raise NotAllowed(f"{table}.{key} is not shown to who only reads.")
    if len(id) > MOST_IDS:
        raise InvalidArgument("id", f"{len(id)} ids", f"at most {MOST_IDS} in one stream")
    after, has_ended = resumed(last_event_id)
    if has_ended:
        return Response(status_code=204)  # the one answer upon which a browser does not ask again
    found = await in_thread(
        on.store.change, change, table=of.name, ids=[id_of(of, each) for each in id]
    )
    if on.streams >= on.limits.streams or on.stopping.is_set():
        busy = answer(503, "TooManyStreams", "too many streams are open; try again soon.")
        busy.headers["retry-after"] = "1"
        return busy
    wanted = Wanted(of, found, key, parts, timeout, after)
    sent = _events(on, wanted, request)
    return event_stream(sent)


def resumed(last_event_id: str | None) -> tuple[int | None, bool]:
    """Return the change up to which all was sent before, None where nothing was, and whether the stream had ended."""
    number, _, word = (last_event_id or "").partition(".")
    if not last_event_id:
        return None, False
    up_to = wire.whole_of(number)
    if up_to is None or word not in ("", ENDED):
        raise InvalidArgument(
            "Last-Event-ID", shortened(last_event_id), "the id of an event of this stream"
        )
    return up_to, word == ENDED


@dataclass(frozen=True)
class Wanted:
    """What a stream is to give."""

    table: Table
    change: Change
    key: str
    parts: bool
    timeout: float
    after: int | None

    def stream(self) -> Stream:
        return self.change.stream(
            self.key, parts=self.parts, timeout=self.timeout, raise_errors=False, after=self.after
        )


async def _events(on: Served, wanted: Wanted, request: Request) -> AsyncIterator[ServerSentEvent]:
    to = role(request)
    on.streams += 1
    try:
        yield ServerSentEvent(retry=RETRY_MS, comment="motion")
        stream, sent = wanted.stream(), wanted.after
        async with aclosing(_until_stopped(stream, on)) as coming:
            async for given in coming:
                number = None if wanted.parts or stream.given_to == sent else stream.given_to
                sent = stream.given_to
                yield event_of(wanted.table, given, number, request)
        if on.stopping.is_set():
            return  # the client asks again, and whoever serves then goes on from there
        for letter in (await in_thread(lambda: wanted.change.errors))[:MOST_LETTERS]:
            yield _event("failed", letter_told(letter, to))
        failed = (await in_thread(lambda: wanted.change.progress)).failed
        ended = f"{stream.given_to or wanted.change.key}.{ENDED}"
        yield _event(ENDED, {"change": wanted.change.key, "failed": failed}, ended)
    except MotionError as exc:
        yield _event("broken", told(exc, to))
    finally:
        on.streams -= 1


async def _until_stopped(stream: Stream, on: Served) -> AsyncGenerator[Any, None]:
    """Give what a stream gives, until its end or the server's."""
    stopping = asyncio.ensure_future(on.stopping.wait())
    coming: asyncio.Future[Any] | None = None
    try:
        while not on.stopping.is_set():
            coming = asyncio.ensure_future(anext(stream, None))
            await asyncio.wait({coming, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done() or (given := await coming) is None:
                return
            yield given
    finally:
        for each in (stopping, coming):
            if each is not None and not each.done():
                each.cancel()


def event_of(table: Table, given: Any, number: int | None, request: Request) -> ServerSentEvent:
    if isinstance(given, Part):
        what = {
            "id": wire.plain(given.id),
            "pages": given.pages,
            "text": str(given),
            "is_first": given.is_first,
        }
        return _event("part", what)  # fmt: skip
    row = wire.plain_row(table, given, hidden(request))
    return _event("row", row, None if number is None else str(number))


def _event(kind: str, what: Any, number: str | None = None) -> ServerSentEvent:
    return ServerSentEvent(data=wire.encoded(what).decode(), event=kind, id=number)
