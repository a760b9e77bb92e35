"""The server: a store over HTTP, for any language. Needs the extra `motion-ml[server]`.

`app` puts it together; `guard` says who may do what before anything else looks at a request; `rows`, `finding`, `changes`, `models`
and `operations` hold the routes of one kind each; `running` starts and stops it.

An application of its own is made of the same pieces: FastAPI's app with routes over a `Served` store, behind a `Guard`, its errors
told by `answer_errors`, its events sent by `event_stream`, maybe of a `Feed`; `serve(store, app=app)` runs it.
"""

from __future__ import annotations

from motion.errors import MissingPackage

try:
    import fastapi  # noqa: F401  # what follows needs all of the extra
    import prometheus_client  # noqa: F401
    import sse_starlette  # noqa: F401
    import uvicorn  # noqa: F401
except ModuleNotFoundError as exc:
    raise MissingPackage("serving a store over HTTP", exc.name or "fastapi", "server") from exc

from motion.server.access.guard import Guard
from motion.server.access.limits import Limits
from motion.server.access.problems import install as answer_errors
from motion.server.access.roles import Role, Token, Tokens, new_token
from motion.server.api.feed import Feed
from motion.server.api.serving import Served, event_stream, in_thread, json_text
from motion.server.app import create_app
from motion.server.running import Serving, serve

__all__ = [
    "Feed",
    "Guard",
    "Limits",
    "Role",
    "Served",
    "Serving",
    "Token",
    "Tokens",
    "answer_errors",
    "create_app",
    "event_stream",
    "in_thread",
    "json_text",
    "new_token",
    "serve",
]
