"""The link to a server: requests, and answers that tell of errors as the errors that they are."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import httpx
import msgspec

from motion import errors
from motion.background import forks
from motion.definitions.tables import wire
from motion.errors import MotionError, NotAllowed, NotFound, TaskFailed, Unreachable, shortened

JSON = "application/json"
CONNECTED_AGAIN = 2
"""How often a connection that cannot be made is tried again: nothing was sent by then."""

CONNECTED = ("connection.connect_tcp.complete", "connection.start_tls.complete")
"""What httpx says when a connection has been made."""

WAITS_AT_ONCE = 100
"""How many connections those have who `await` changes on one event loop; more would run out of files. The others take turns."""


class Link:
    """A connection to one server. Thread-safe; a child made by fork has connections of its own.

    Attributes:
        limits: what the server says that a request may ask for.
    """

    def __init__(self, url: str, token: str | None, timeout: float) -> None:
        self.url = url.rstrip("/")
        self._headers = {} if token is None else {"authorization": f"Bearer {token}"}
        self._tls, self._timeout = httpx.create_ssl_context(), timeout
        self._is_closed = False
        self.limits: Mapping[str, Any] = {}
        with self.reached():
            self._begin()
        forks.watch(self)

    def _begin(self) -> None:
        """Make what is this process's own: its connections, and the locks about them."""
        self._connections, self._connecting = WeakSet[Any](), threading.Lock()
        self._waits = WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore]()
        self._streaming = set[httpx.Client]()
        self._http = self._client()

    def hold(self, ends_s: float) -> bool:
        return True

    def release(self) -> None:
        """Nothing was held."""

    def leave(self, *, is_at_rest: bool) -> None:
        """Close what a child has of its parent's connections, without a word to the server: whoever asked by one of them
        could get what another process has asked for."""
        for each in list(self._connections):
            own = each.get_extra_info("socket")
            if isinstance(own, socket.socket):  # an event loop's is nobody's in the child
                own.close()
        self._begin()

    def _client(self) -> httpx.Client:
        transport = httpx.HTTPTransport(retries=CONNECTED_AGAIN, verify=self._tls)

        def note(request: httpx.Request) -> None:
            request.extensions["trace"] = self._note

        return httpx.Client(
            base_url=self.url, headers=self._headers, timeout=self._timeout, transport=transport,
            event_hooks={"request": [note]},
        )  # fmt: skip

    def awaiting(self) -> httpx.AsyncClient:
        """Return a client for one `await` or `async for` alone: it is its event loop's, and ends where that is given up."""
        self.check_open()
        transport = httpx.AsyncHTTPTransport(retries=CONNECTED_AGAIN, verify=self._tls)

        async def note_awaited(event: str, told: Mapping[str, Any]) -> None:
            self._note(event, told)

        async def note(request: httpx.Request) -> None:
            request.extensions["trace"] = note_awaited

        return httpx.AsyncClient(
            base_url=self.url, headers=self._headers, timeout=self._timeout, transport=transport,
            event_hooks={"request": [note]},
        )  # fmt: skip

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[httpx.AsyncClient]:
        """Give a client for one request that waits, when its turn has come."""
        loop = asyncio.get_running_loop()
        turns = self._waits.setdefault(loop, asyncio.Semaphore(WAITS_AT_ONCE))
        async with turns, self.awaiting() as client:
            yield client

    @contextmanager
    def streaming(self) -> Iterator[httpx.Client]:
        """Give a client for one stream alone. A stream that its reader has left is ended where Python collects it, maybe in
        the middle of another request of the same thread, whose pool of connections would be locked by that. It is held
        here, as its socket would be collected beside it otherwise, and maybe before it could be closed."""
        self.check_open()
        with self._client() as client:
            self._streaming.add(client)
            try:
                yield client
            finally:
                self._streaming.discard(client)

    def _note(self, event: str, told: Mapping[str, Any]) -> None:
        """Keep a connection that has been made, so that `close` can end what waits for it to say something."""
        if event in CONNECTED:
            with self._connecting:
                self._connections.add(told["return_value"])
                if self._is_closed:
                    _shut(told["return_value"])

    def check_open(self) -> None:
        if self._is_closed:
            raise errors.StoreClosed(self.url)

    def close(self) -> None:
        """End all requests and streams; those who wait for one are told `StoreClosed`."""
        with self._connecting:
            self._is_closed = True
            for each in self._connections:
                _shut(each)
        self._http.close()

    def get(self, path: str, **params: Any) -> Any:
        """Return the JSON that a path answers with; parameters that are None are left out."""
        return self.request("GET", path, params=params)

    def post(self, path: str, body: Any = None, **params: Any) -> Any:
        return self.request("POST", path, body=body, params=params)

    async def post_awaited(self, client: httpx.AsyncClient, path: str, body: Any) -> Any:
        """`post`, of a client that `awaiting` gave."""
        headers = {"accept": JSON, "content-type": JSON}
        with self.reached():
            answer = await client.post(path, content=encoded(body), headers=headers)
        return self._decoded(answer)

    def request(
        self, method: str, path: str, *, body: Any = None, params: Mapping[str, Any] | None = None
    ) -> Any:
        content = None if body is None else encoded(body)
        return self._decoded(self.send(method, path, content, JSON, params=params))

    def _decoded(self, answer: httpx.Response) -> Any:
        check(answer, self.url)
        try:
            return msgspec.json.decode(answer.content)
        except msgspec.DecodeError as exc:
            raise Unreachable(self.url, "what answers there is no store") from exc

    def send(
        self,
        method: str,
        path: str,
        content: Any,
        kind: str,
        *,
        params: Mapping[str, Any] | None = None,
        accept: str = JSON,
    ) -> httpx.Response:
        """Send a request, and return its answer, or raise what it tells."""
        headers = {"accept": accept} | ({} if content is None else {"content-type": kind})
        given = {name: value for name, value in (params or {}).items() if value is not None}
        try:
            url = httpx.URL(path, params=given)
        except httpx.InvalidURL as exc:
            expected = f"ids that fit into a URL ({exc})"
            raise errors.InvalidArgument("a request", shortened(given), expected) from exc
        with self.reached():
            answer = self._http.request(method, url, content=content, headers=headers)
        check(answer, self.url)
        return answer

    @contextmanager
    def reached(self) -> Iterator[None]:
        """Raise what keeps a server from being reached as an error of ours."""
        try:
            yield
        except UnicodeEncodeError as exc:
            expected = "Unicode text; this has half a surrogate pair, or is beyond ASCII in a token"
            raise errors.InvalidArgument("a request", shortened(exc.object), expected) from exc
        except (httpx.TransportError, httpx.InvalidURL) as exc:
            self.check_open()
            raise Unreachable(self.url, str(exc) or type(exc).__name__) from exc
        except RuntimeError as exc:
            if not self._is_closed:
                raise
            raise errors.StoreClosed(self.url) from exc


def encoded(body: Any) -> bytes:
    """Return a request's body.

    Raises:
        InvalidArgument: something in it has no form in JSON.
    """
    try:
        return wire.encoded(body)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as exc:
        expected = f"what JSON can hold ({exc})"
        raise errors.InvalidArgument("a request", shortened(body), expected) from exc


def _shut(connection: Any) -> None:
    """Wake who reads from a connection: to close it would not."""
    own = connection.get_extra_info("socket")
    with suppress(OSError), socket.fromfd(own.fileno(), own.family, own.type) as found:
        found.shutdown(socket.SHUT_RDWR)  # `own` may be an event loop's, which has no `shutdown`


def check(answer: httpx.Response, url: str) -> None:
    """Raise the error that an answer tells, if it does."""
    if answer.is_success:
        return
    try:
        error = error_of(msgspec.json.decode(answer.read())["error"], answer.status_code)
    except (msgspec.DecodeError, KeyError, TypeError) as exc:
        raise Unreachable(url, f"it answered {answer.status_code}, and no store's") from exc
    raise error


def error_of(told: Mapping[str, Any], status: int = 400) -> MotionError:
    """Return the error that a server told of."""
    kind, message, facts = told["type"], told["message"], told.get("facts")
    if kind == "TaskFailed":
        return TaskFailed(
            *(told[name] for name in ("trigger", "table", "row", "attempts", "error"))
        )
    known = getattr(errors, kind, None)
    if isinstance(known, type) and issubclass(known, MotionError) and facts is not None:
        try:
            return known(*facts)
        except TypeError:  # of another version, which has other facts
            pass
    if status in (401, 403):
        return NotAllowed(message)
    return NotFound(message) if status == 404 else MotionError(message)
