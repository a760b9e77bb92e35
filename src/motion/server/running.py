"""Running: the application on an address, until it is told to stop; open streams end first, and their clients ask again."""

from __future__ import annotations

import ipaddress
import logging
import socket
import threading
from collections.abc import Collection
from typing import Any

import uvicorn
from fastapi import FastAPI
from sse_starlette.sse import AppStatus

from motion.errors import InvalidArgument, NotAllowed
from motion.server.access.guard import LOOPBACK
from motion.server.access.limits import Limits
from motion.server.access.roles import Tokens
from motion.server.app import create_app
from motion.store.store import Store

BACKLOG = 2_048
GRACE_S = 10
"""How long requests under way may take when the server is told to stop."""

logger = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """Uvicorn's server, whose streams end when it does: it would wait for them."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.served.stopping.set()
        await super().shutdown(sockets)


class Serving:
    """A store that is being served, in a thread of its own: for notebooks, tests and programs that do something else too.

    Attributes:
        url: where it is.
    """

    def __init__(self, server: _Server, listening: socket.socket, url: str) -> None:
        self._server, self._listening, self.url = server, listening, url
        self._thread = threading.Thread(target=self.run, name="motion-serve", daemon=True)

    def start(self) -> Serving:
        """Begin; requests are answered when this returns."""
        self._thread.start()
        return self

    def run(self) -> None:
        """Serve until `stop`, or a signal where this is the main thread."""
        AppStatus.should_exit = (
            False  # one before, in this process, may have been ended by a signal
        )
        self._server.run(sockets=[self._listening])

    def stop(self) -> None:
        """Let requests under way end, and open streams, and return when they have."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()

    def __enter__(self) -> Serving:
        return self.start()

    def __exit__(self, *_: Any) -> None:
        self.stop()


def serve(
    store: Store,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    tokens: Tokens | None = None,
    limits: Limits | None = None,
    hosts: Collection[str] | None = None,
    origins: Collection[str] = (),
    app: FastAPI | None = None,
) -> Serving:
    """Return a server of a store over HTTP, to be used as `with serve(store) as serving`, or `serve(store).run()`.

    Args:
        host: the address to listen on. Another than this machine's own needs tokens.
        port: 0 takes one that is free.
        hosts: names by which it may be called, beside the address. Left out: this machine's own, and any where it
            listens on another address, as then a token is needed.
        app: an application of one's own, with the store as `app.state.served`, in place of `create_app`'s: it guards itself.

    Raises:
        NotAllowed: others could reach it, and there are no tokens.
        InvalidArgument: the address cannot be listened on.
    """
    taken = tokens or Tokens()
    is_local = is_loopback(host)
    if not is_local and not len(taken):
        raise NotAllowed(
            f"{host} can be reached from other machines, and this server has no tokens: whoever reaches it could do "
            f"everything. Make one with 'motion token', or serve on 127.0.0.1."
        )
    names = None if hosts is None and not is_local else {*LOOPBACK, host.lower(), *(hosts or ())}
    made = app or create_app(store, tokens=taken, limits=limits, hosts=names, origins=origins)
    listening = _listen(host, port)
    found = listening.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    config = uvicorn.Config(
        made, host=host, port=found, log_config=None, access_log=False, server_header=False, lifespan="on",
        timeout_graceful_shutdown=GRACE_S, ws="none", proxy_headers=False, h11_max_incomplete_event_size=65_536,
    )  # fmt: skip
    return Serving(_Server(config, made), listening, f"http://{shown}:{found}")


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port < 65_536:
        raise InvalidArgument("port", str(port), "a port, 0 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named, asyncio switches off the waiting for more to send (Nagle), which costs 40 ms an answer.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(BACKLOG)  # from now on who comes waits, and is not refused
    except OSError as exc:
        found.close()
        given = f"{host}:{port}, where nothing can listen: {exc.strerror or exc}"
        raise InvalidArgument(
            "serve(host=, port=)", given, "a free port of this machine, or 0 for any"
        ) from exc
    return found
