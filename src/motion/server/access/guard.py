"""The guard: what is looked at before anything else of a request, and what goes with every answer.

Whose request it is (`access`), whether it was meant for this server (its Host header: a page of another site can have its
name resolve to this machine) and comes from a page of it (its Origin), how large it is, and how many came before it.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from motion import clock
from motion.definitions.tables.wire import whole_of
from motion.definitions.triggers.rates import Rate, rate_of
from motion.server.access.limits import Limits
from motion.server.access.problems import answer
from motion.server.access.roles import Role, Token, Tokens, role_of

logger = logging.getLogger(__name__)

COOKIE = "motion_token"

OPEN_PATHS = {"/health", "/ready", "/v1/session"}
"""What is answered without a token: nothing of the store is in it."""

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

CLIENTS_KEPT = 10_000

SMALL_BYTES = 65_536
"""Of a body that may come without a token: it holds one."""

BURST_S = 10.0
"""Requests of so many seconds may come at once."""

HEADERS: Mapping[str, str] = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "content-security-policy": "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


class TooLarge(Exception):
    """A body is larger than allowed."""


class Guard:
    """Lets through what may go through. An ASGI application around another one.

    Args:
        hosts: names by which the server may be called; None: by any.
        origins: of pages of other sites that may call it; their browsers are told so.
        open_paths: what needs no token, beside `OPEN_PATHS`; one that ends in "/" stands for all below it.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        tokens: Tokens,
        limits: Limits,
        hosts: Collection[str] | None = LOOPBACK,
        origins: Collection[str] = (),
        open_paths: Collection[str] = (),
    ) -> None:
        self._app, self._tokens, self._limits = app, tokens, limits
        self._hosts = None if hosts is None else frozenset(each.lower() for each in hosts)
        self._origins = frozenset(origins)
        self._open = OPEN_PATHS | {each for each in open_paths if not each.endswith("/")}
        self._folders = tuple(each for each in open_paths if each.endswith("/") and each != "/")
        self._open |= {"/"} & set(open_paths)
        self._pace = None if limits.rate is None else Pace(rate_of(limits.rate))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._request(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = _headers(scope)
        started = False

        async def send_guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                out = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    out.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope, headers)
        if refusal is not None:
            if (origin := headers.get("origin")) in self._origins:  # else its page cannot read why
                refusal.headers["access-control-allow-origin"] = origin
                refusal.headers["vary"] = "origin"
            await refusal(scope, receive, send_guarded)
            return
        most = self._most_bytes(scope)
        try:
            await self._app(scope, _counted(receive, most), send_guarded)
        except ClientDisconnect:
            logger.info("%s %s was given up by who asked", scope["method"], scope["path"])
        except TooLarge:
            await _too_large(most)(scope, receive, send_guarded)
        except Exception:
            logger.exception("%s %s could not be answered", scope["method"], scope["path"])
            if started:
                raise
            what = "the server met an error of its own; its log has it."
            await answer(500, "InternalError", what)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope, headers: Mapping[str, str]) -> Any:
        """Return the answer to a request that goes no further, else None; note whose it is."""
        host = _host_of(headers.get("host", ""))
        if self._hosts is not None and host not in self._hosts:
            return answer(421, "WrongHost", f"this server is not called {host[:100]!r}.")
        if not self._is_same_site(headers):
            return answer(403, "CrossOrigin", "requests from pages of other sites are not taken.")
        token = self._token(headers)
        role = Role.ADMIN if not len(self._tokens) else role_of(token.role) if token else None
        scope.setdefault("state", {})["role"] = role
        if self._pace is not None and not self._is_open(scope["path"]):
            wait_s = self._pace.wait_s(token.name if token else _address(scope))
            if wait_s > 0:
                found = answer(429, "TooMany", f"too many requests; try again in {wait_s:.0f} s.")
                found.headers["retry-after"] = str(int(wait_s) + 1)
                return found
        if role is None and not self._is_open(scope["path"]) and not self._asks(scope, headers):
            found = answer(
                401, "NoToken", "this needs a token: Authorization: Bearer motion_..., as 'motion token' makes."
            )  # fmt: skip
            found.headers["www-authenticate"] = "Bearer"
            return found
        length, most = whole_of(headers.get("content-length", "")), self._most_bytes(scope)
        return _too_large(most) if length is not None and length > most else None

    def _most_bytes(self, scope: Scope) -> int:
        """Return how large a request's body may be: who has no token is read little of."""
        most = self._limits.body_bytes
        is_anyones = scope["path"] in OPEN_PATHS and scope["state"]["role"] is None
        return min(most, SMALL_BYTES) if is_anyones else most

    def _is_same_site(self, headers: Mapping[str, str]) -> bool:
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site") not in ("cross-site", "same-site") or (
                headers.get("sec-fetch-mode") == "navigate"
            )
        return origin in self._origins or _site_of(origin) == headers.get("host")

    def _asks(self, scope: Scope, headers: Mapping[str, str]) -> bool:
        """Whether a browser asks what a page of a site that was let in may send: it says so without a token, and is answered
        before any route."""
        is_asked = "access-control-request-method" in headers and scope["method"] == "OPTIONS"
        return is_asked and headers.get("origin") in self._origins

    def _token(self, headers: Mapping[str, str]) -> Token | None:
        if not len(self._tokens):
            return None
        scheme, _, text = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._tokens.found(text.strip())
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return None
        return None if cookie is None else self._tokens.found(cookie.value)

    def _is_open(self, path: str) -> bool:
        return path in self._open or (bool(self._folders) and path.startswith(self._folders))


class Pace:
    """How many requests each client may make. Thread-safe; the clients seen last are known."""

    def __init__(self, rate: Rate) -> None:
        self._interval_s = rate.interval_ms / 1000
        self._burst_s = max(BURST_S, self._interval_s)
        self._next_s: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, client: str) -> float:
        """Take a client's next turn and return 0, or how long it must wait for one."""
        now_s = clock.monotonic_s()
        with self._lock:
            next_s = max(self._next_s.get(client, 0.0), now_s)
            if next_s - now_s > self._burst_s - self._interval_s:
                return next_s - now_s - self._burst_s + self._interval_s
            self._next_s[client] = next_s + self._interval_s
            self._next_s.move_to_end(client)
            if len(self._next_s) > CLIENTS_KEPT:
                self._next_s.popitem(last=False)
        return 0.0


def _counted(receive: Receive, most: int) -> Receive:
    """Return what gives a body's parts, and ends where they are more than may be."""
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most:
            raise TooLarge
        return message

    return counted


def _too_large(most: int) -> Any:
    return answer(413, "TooLarge", f"a body has at most {most} bytes; send several requests.")


def _headers(scope: Scope) -> dict[str, str]:
    """Return a request's headers; of one that is there several times, all."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _host_of(header: str) -> str:
    """Return the name of a Host header, without its port."""
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""


def _site_of(origin: str) -> str | None:
    """Return the name and port of the site that an Origin header tells, None where it tells none."""
    try:
        return urlsplit(origin).netloc or None
    except ValueError:
        return None


def _address(scope: Scope) -> str:
    return str((scope.get("client") or ("",))[0])
