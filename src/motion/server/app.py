"""The application: a store's routes behind the guard."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from motion import clock
from motion.errors import NotAllowed
from motion.server import dashboard
from motion.server.access import problems
from motion.server.access.guard import LOOPBACK, Guard
from motion.server.access.limits import Limits
from motion.server.access.roles import Role, Tokens
from motion.server.api import changes, documents, finding, models, operations, rows, session
from motion.server.api.feed import Feed
from motion.server.api.metrics import Requests
from motion.server.api.operations import look_at_status
from motion.server.api.serving import Served, needs
from motion.store.store import Store


def create_app(
    store: Store,
    *,
    tokens: Tokens | None = None,
    limits: Limits | None = None,
    hosts: Collection[str] | None = LOOPBACK,
    origins: Collection[str] = (),
) -> FastAPI:
    """Return the application that serves a store over HTTP; `serve` runs it.

    Args:
        tokens: those that are taken. With none, whoever reaches it may do everything, so then it is for this machine only.
        hosts: names by which it may be called; None: by any, which needs tokens.
        origins: of pages of other sites that may call it, such as "https://shop.example".
    """
    taken, bounds = tokens or Tokens(), limits or Limits()
    if hosts is None and not len(taken):
        raise NotAllowed(
            "a server without tokens that answers to any name can be called by every page that a browser here opens; "
            "pass tokens=, or hosts= with its names."
        )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        app.state.served.stopping.set()

    app = FastAPI(
        title=f"Motion: {store.name}", version="1", lifespan=lifespan, docs_url=None, redoc_url=None,
        openapi_url=None, default_response_class=JSONResponse, generate_unique_id_function=_id_of,
    )  # fmt: skip
    app.state.served = Served(store, bounds)
    app.state.status_feed = Feed("status", look_at_status)
    app.state.requests, app.state.tokens, app.state.open_paths = (
        Requests(),
        taken,
        list(dashboard.OPEN_PATHS),
    )
    problems.install(app)
    for each in (operations, rows, finding, changes, models, session, dashboard):
        app.include_router(each.router)
    _describe(app)
    app.add_middleware(Measured, requests=app.state.requests)
    if origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(origins), allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["authorization", "content-type", "last-event-id"],
        )  # fmt: skip
    app.add_middleware(
        Guard, tokens=taken, limits=bounds, hosts=hosts, origins=origins, open_paths=app.state.open_paths
    )  # fmt: skip
    return app


def _describe(app: FastAPI) -> None:
    """Let the app give its own description, with the security that the guard asks for."""

    @app.get(
        "/openapi.json",
        dependencies=[needs(Role.READ)],
        responses=documents.answers(documents.ANYTHING),
        include_in_schema=False,
    )
    async def openapi() -> JSONResponse:
        return JSONResponse(described(app))


def _id_of(route: APIRoute) -> str:
    """Return a route's id, from which `described` makes the name that a generated client calls it by."""
    return f"{route.tags[0]}.{route.name}" if route.tags else route.name


def described(app: FastAPI) -> dict[str, Any]:
    """Return the app's OpenAPI."""
    found: dict[str, Any] = documents.named(app.openapi())
    components = found.setdefault("components", {})
    components["schemas"] = {**components.get("schemas", {}), **documents.shared()}
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "as `motion token` makes them"}
    }
    found["security"] = [{"token": []}]
    operations = [each for path in found["paths"].values() for each in path.values()]
    names = Counter(each["operationId"].rpartition(".")[2] for each in operations)
    for each in operations:
        tag, _, name = each["operationId"].rpartition(".")
        each["operationId"] = name if names[name] == 1 else f"{tag}_{name}"
    return found


class Measured:
    """Notes how long requests take."""

    def __init__(self, app: ASGIApp, requests: Requests) -> None:
        self._app, self._seconds = app, requests.seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s = clock.monotonic_s()

        async def measured(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "other")
                series = self._seconds.labels(scope["method"], route, message["status"])
                series.observe(clock.monotonic_s() - began_s)
            await send(message)

        await self._app(scope, receive, measured)
