"""The link: this process's connection to a Ray cluster. Ray has one for each process, so all stores of it share one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress

from motion.background import forks
from motion.definitions.triggers.options import NOTHING, Resources
from motion.errors import ClusterUnavailable, MissingPackage

LOOK_S = 1.0
"""How often it is looked what the cluster offers."""

END_S = 2.0
"""What is waited for the end of a cluster that was started here."""


class Link:
    """A connection that is made, kept and ended by a thread of its own.

    Ray ends what it has started here together with the thread that started it, so that thread stays.

    Attributes:
        offers: what the nodes have together; nothing until that is known.
        error: why there is no connection.
    """

    def __init__(self, address: str | None) -> None:
        self._address, self.offers = address, NOTHING
        self.error: BaseException | None = None
        self.is_ready, self._is_over = threading.Event(), threading.Event()
        self.watchers: list[Callable[[], None]] = []
        self._thread = threading.Thread(target=self._keep, name="motion-ray", daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._is_over.set()
        self._thread.join(END_S)

    def _keep(self) -> None:
        try:
            is_ours = connect(self._address)
            self._look()
        except BaseException as exc:  # noqa: BLE001 - whatever it is, those who wait for a connection are told
            self.error = exc
            return
        finally:
            self.is_ready.set()
        while not self._is_over.wait(LOOK_S):
            self._look()
            for watch in list(self.watchers):
                watch()
        if is_ours:
            import ray

            ray.shutdown()

    def _look(self) -> None:
        import ray

        with suppress(Exception):  # the cluster's head may be away for a while
            found = ray.cluster_resources()
            self.offers = Resources(found.get("CPU", 0), found.get("GPU", 0))


def connect(address: str | None) -> bool:
    """Connect this process to a cluster, and return whether that was done here. Where the program has done so itself, that
    is taken. With no address it is Ray that looks for one (`RAY_ADDRESS`, or a cluster of this machine), or starts one."""
    try:
        import ray
    except ImportError as exc:
        raise MissingPackage("executor='ray'", "ray", "ray") from exc
    if ray.is_initialized():
        return False
    local = {} if address else {"include_dashboard": False}
    ray.init(address=address, namespace="motion", logging_level=logging.WARNING, **local)
    return True


_lock = threading.Lock()
_link: Link | None = None
_users: set[object] = set()
_was_forked = False


def join(user: object, address: str | None) -> Link:
    """Return the link, begun where there is none; it ends when its last user has left.

    Raises:
        ClusterUnavailable: this process cannot have one.
    """
    global _link
    with _lock:
        if _was_forked:
            raise ClusterUnavailable(
                str(address),
                "this process was forked from one that is connected to Ray; start it by spawn",
            )
        if _link is None or _link.error is not None:
            _link = Link(address)
        elif address not in (None, _link._address):
            raise ClusterUnavailable(
                str(address),
                f"this process is connected to {_link._address or 'a cluster'} already",
            )
        _users.add(user)
        return _link


def leave(user: object) -> None:
    global _link
    with _lock:
        _users.discard(user)
        ended, _link = (_link, None) if not _users else (None, _link)
    if ended is not None:
        ended.end()


def _renew() -> None:
    global _lock, _link, _was_forked
    _was_forked = _was_forked or _link is not None
    _lock, _link = threading.Lock(), None
    _users.clear()


forks.renew_in_child(_renew)
