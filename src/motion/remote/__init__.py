"""The client: a store that is served elsewhere, with the store's verbs. Needs the extra `motion-ml[client]`, where it is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from motion.errors import MissingPackage

if TYPE_CHECKING:
    from motion.remote.store import RemoteStore  # it needs the extra


def connect(
    url: str,
    *,
    token: str | None = None,
    schemas: Mapping[str, type] | None = None,
    timeout: float = 30.0,
) -> RemoteStore:
    """Return the store that `motion serve` serves at a URL; its verbs are the store's.

    Args:
        token: as `motion token add` made it; none is needed on the server's own machine while it has none.
        schemas: table name -> dataclass: rows are instances of these. Left out, of classes made for what the server says.
        timeout: seconds for a request to begin to be answered.

    Raises:
        Unreachable: nothing answers there.
        NotAllowed: it needs another token.
        MissingPackage: httpx is not installed.
    """
    try:
        import httpx  # noqa: F401
        import httpx_sse  # noqa: F401

        from motion.remote.store import RemoteStore
    except ModuleNotFoundError as exc:
        raise MissingPackage("motion.connect()", exc.name or "httpx", "client") from exc
    return RemoteStore(url, token=token, schemas=schemas or {}, timeout=timeout)
