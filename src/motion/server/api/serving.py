"""What the routes share: the store, its limits, and what a request may do and wants back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import pyarrow as pa
from fastapi import Depends, Request, Response
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from motion.definitions.tables import wire
from motion.definitions.tables.hidden import is_secret
from motion.definitions.tables.schema import Table
from motion.errors import InvalidArgument, NotAllowed, shortened
from motion.server.access.limits import Limits
from motion.server.access.roles import Role
from motion.store.store import Store

T = TypeVar("T")

ARROW = "application/vnd.apache.arrow.stream"

JSON = "application/json"

PING_S = 15
ENDING_S = 8.0
"""How long a stream may take to end when the server does; less than what requests under way may."""


@dataclass
class Served:
    """A store that is served; an application keeps it as `app.state.served`.

    Attributes:
        streams: open ones, that whoever opens one counts.
        stopping: set when the server is to end: streams then end too.
    """

    store: Store
    limits: Limits
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    streams: int = 0

    def table(self, name: str) -> Table:
        return self.store._database.tables.get(name)


def served(request: Request) -> Served:
    found: Served = request.app.state.served
    return found


def role(request: Request) -> Role:
    found: Role = request.state.role
    return found


def needs(wanted: Role) -> Any:
    """Return the dependency of routes that only those with a role may use."""

    async def check(request: Request) -> None:
        if role(request) < wanted:
            raise NotAllowed(
                f"this needs the role {wanted.name.lower()}; the token's is {role(request).name.lower()}."
            )

    check.needed = wanted  # type: ignore[attr-defined]  # the tests ask each route for it
    return Depends(check)


def hidden(request: Request) -> Callable[[str], bool] | None:
    """Return what tells the keys that somebody does not see, None where there are none."""
    return is_secret if role(request) is Role.READ else None


async def in_thread(function: Callable[..., T], *args: Any, **options: Any) -> T:
    return await run_in_threadpool(function, *args, **options)


async def is_first(waiting: Coroutine[Any, Any, None], on: Served, seconds: float) -> bool:
    """Wait for something, for the server's end, or some seconds; return whether it was the first that came."""
    coming = asyncio.ensure_future(waiting)
    stopping = asyncio.ensure_future(on.stopping.wait())
    try:
        await asyncio.wait({coming, stopping}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if coming.done():
            await coming
        return coming.done()
    finally:
        coming.cancel()
        stopping.cancel()


def json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(wire.encoded(value), status, headers, media_type=JSON)


def json_text(value: Any) -> str:
    """Return a value as the JSON of an event."""
    return wire.encoded(value).decode()


def event_stream(events: AsyncIterator[ServerSentEvent]) -> Response:
    """Return the answer that sends events as they come. Told to end, the server leaves them the time to end by themselves:
    cut off in the middle, a client could not tell an end from a loss."""
    return EventSourceResponse(events, ping=PING_S, shutdown_grace_period=ENDING_S)


def arrow(table: pa.Table, headers: Mapping[str, str] | None = None) -> Response:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return Response(sink.getvalue().to_pybytes(), headers=headers, media_type=ARROW)


def wants_arrow(request: Request) -> bool:
    return ARROW in request.headers.get("accept", "")


def content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def body_of(request: Request) -> Any:
    """Return the JSON of a request's body.

    Raises:
        InvalidArgument: it is none, or is not said to be.
    """
    if content_type(request) != JSON:
        raise InvalidArgument("content-type", shortened(content_type(request)), JSON)
    return parsed("body", await request.body())


def parsed(name: str, text: bytes | str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as exc:
        given = text.decode(errors="replace") if isinstance(text, bytes) else text
        raise InvalidArgument(name, shortened(given), f"JSON ({exc})") from exc
