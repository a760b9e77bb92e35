"""Fetching: one address at a time, politely and guardedly, from servers that nobody vouches for.

Owns what may be asked, how often, how long and how much: robots.txt and its pauses, a rate for each host, conditional
requests, sizes and times, and that no name, no redirect and no DNS answer leads to a private address. What comes back is
bytes; it reads none of them.

Names and addresses are looked up once, checked, and connected to as checked: an answer that changes in between is not
asked again. Proxies of the environment are not used, since they would look names up by themselves.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

import httpx2 as httpx
from protego import Protego

from fashion_search.encodings import decoded
from fashion_search.products import is_web

AGENT = "fashion-search-example"
MAX_REDIRECTS = 5
MAX_ROBOTS_BYTES = 500_000
ROBOTS_FOR_S = 3_600.0
MAX_PAUSE_S = 60.0  # that is waited for. Crawl-delay counts up to it; who asks for more by Retry-After is left alone
MAX_REST_S = 86_400.0  # that a host is left alone for, whatever it asked for
_KEPT_HOSTS = 64
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Manners:
    """How a fetcher behaves.

    Attributes:
        allowed: hosts, as `host` or `host:port`, that may be asked although they are private.
        pause_s: between two requests to one host, at least; its robots.txt may ask for more.
        answer_s: for the whole of one answer.
        silence_s: for a connection, and between two parts of an answer.
    """

    allowed: frozenset[str] = frozenset()
    pause_s: float = 0.5
    answer_s: float = 60.0
    silence_s: float = 15.0


@dataclass(frozen=True)
class Answer:
    """What a server said. `is_same`: what was asked for has not changed since the `etag` or moment that was given."""

    status: int
    address: str  # after redirects
    content: bytes = b""
    content_type: str = ""
    etag: str = ""
    modified: str = ""

    @property
    def is_same(self) -> bool:
        return self.status == HTTPStatus.NOT_MODIFIED

    @property
    def is_gone(self) -> bool:
        return self.status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)


class NotFetched(Exception):
    """An address was not fetched, for a reason that another try would not change."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address, self.reason = address, reason

    def __str__(self) -> str:
        return f"{self.address[:200]} was not fetched: {self.reason}"


class TryLater(ConnectionError):
    """An address was not fetched; another try may do."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address, self.reason = address, reason

    def __str__(self) -> str:
        return f"{self.address[:200]} was not fetched this time: {self.reason}"


class Fetcher:
    """Fetches addresses. Any number of threads may use one; it remembers each host's robots.txt and its turn.

    Close it after the store that uses it.
    """

    def __init__(self, manners: Manners | None = None) -> None:
        self.manners = manners or Manners()
        self._guard = _Guard(self.manners)
        self._client = httpx.Client(
            transport=self._guard,
            headers={"User-Agent": AGENT, "Accept-Encoding": "gzip, deflate"},
            timeout=httpx.Timeout(self.manners.silence_s),
            trust_env=False,
        )
        self._turns = _Turns()
        self._robots: dict[str, tuple[float, Protego | None]] = {}
        self._robots_lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def get(self, address: str, *, limit: int, etag: str = "", modified: str = "") -> Answer:
        """Return what is at an address, after redirects, each of which is checked as the address is.

        Args:
            limit: bytes, unpacked; more is not read.
            etag, modified: what was told with the last answer: the server may answer that nothing has changed.

        Raises:
            NotFetched: it may not be asked, or what it gives is of no use: a private address, robots.txt, too large.
            TryLater: the server is not there, is too slow or breaks off, or says so itself.
        """
        conditions = {"If-None-Match": etag, "If-Modified-Since": modified}
        headers = {name: value for name, value in conditions.items() if value and _is_header(value)}
        return self._followed(address, headers, limit, is_bound=True)

    def sitemaps(self, address: str) -> list[str]:
        """Return the sitemaps that the robots.txt of an address's host names."""
        rules = self._rules(_origin(address))
        return [each for each in (rules.sitemaps if rules else ()) if is_web(each)]

    def _followed(
        self, address: str, headers: Mapping[str, str], limit: int, *, is_bound: bool, is_cut: bool = False
    ) -> Answer:  # fmt: skip
        for _ in range(MAX_REDIRECTS + 1):
            if not is_web(address):
                raise NotFetched(address, "only http and https are fetched")
            if is_bound:
                self._check_robots(address)
            found = self._once(address, headers, limit, is_cut=is_cut)
            if isinstance(found, Answer):
                return found
            address = found
        raise NotFetched(address, f"over {MAX_REDIRECTS} redirects")

    def _once(
        self, address: str, headers: Mapping[str, str], limit: int, *, is_cut: bool
    ) -> Answer | str:
        """Return an answer, or the address that it points to. `is_cut`: what is over the limit is left out."""
        host = urlsplit(address).netloc
        try:
            self._turns.take(host, self.manners.pause_s)
            with self._client.stream("GET", address, headers=headers) as response:
                if response.is_redirect and "location" in response.headers:
                    return _completed(address, response.headers["location"])
                if response.status_code in _LATER:
                    asked_s = _asked_pause_s(response)
                    self._turns.put_off(host, asked_s)
                    if asked_s > MAX_PAUSE_S:
                        raise NotFetched(
                            address,
                            f"it answers {response.status_code}, and asks to be left alone for {asked_s:,.0f} s",
                        )
                    raise TryLater(address, f"it answers {response.status_code}")
                return self._answer(address, response, limit, is_cut)
        except (NotFetched, TryLater):
            raise
        except httpx.InvalidURL as exc:
            raise NotFetched(address, str(exc)) from exc
        except httpx.DecodingError as exc:
            raise NotFetched(address, f"what it packs cannot be unpacked: {exc}") from exc
        except (httpx.HTTPError, OSError) as exc:
            raise TryLater(address, f"{type(exc).__name__}: {exc}") from exc

    def _answer(self, address: str, response: httpx.Response, limit: int, is_cut: bool) -> Answer:
        content = b""
        if response.status_code == HTTPStatus.OK:
            content = b"".join(self._parts(address, response, limit, is_cut))
        told = response.headers
        return Answer(
            response.status_code, address, content,
            told.get("content-type", ""), told.get("etag", ""), told.get("last-modified", ""),
        )  # fmt: skip

    def _parts(self, address: str, response: httpx.Response, limit: int, is_cut: bool) -> Iterator[bytes]:  # fmt: skip
        until, size = time.monotonic() + self.manners.answer_s, 0
        for part in response.iter_bytes():  # as they come: a drop a second is looked at, too
            size += len(part)
            if size > limit and is_cut:
                yield part[: len(part) - (size - limit)]
                return
            if size > limit:
                raise NotFetched(address, f"larger than {limit:,} bytes")
            if time.monotonic() > until:
                raise TryLater(address, f"not all there after {self.manners.answer_s:g} s")
            yield part

    # --- robots.txt -------------------------------------------------------------------------------

    def _check_robots(self, address: str) -> None:
        rules = self._rules(_origin(address))
        if rules is None:
            return
        if not rules.can_fetch(address, AGENT):
            raise NotFetched(address, "robots.txt of its host says not to")
        pause = rules.crawl_delay(AGENT)
        if pause:
            self._turns.slow(urlsplit(address).netloc, min(pause, MAX_PAUSE_S))

    def _rules(self, origin: str) -> Protego | None:
        with self._robots_lock:
            known = self._robots.get(origin)
        if known is not None and time.monotonic() - known[0] < ROBOTS_FOR_S:
            return known[1]
        rules = self._read_robots(f"{origin}/robots.txt")
        with self._robots_lock:
            self._robots[origin] = (time.monotonic(), rules)
        return rules

    def _read_robots(self, address: str) -> Protego | None:
        """Return a host's rules; None where it has none. While it cannot tell, it is not asked for anything else."""
        found = self._followed(address, {}, MAX_ROBOTS_BYTES, is_bound=False, is_cut=True)
        is_there = found.status == HTTPStatus.OK
        return Protego.parse(decoded(found.content).replace("\0", "")) if is_there else None


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


def _completed(address: str, location: str) -> str:
    try:
        return urljoin(address, location)
    except ValueError as exc:
        raise NotFetched(address, f"it leads to {location[:200]!r}, which is no address") from exc


def _is_header(value: str) -> bool:
    """Whether a server's own words may be sent back to it: what is more than ASCII, no header may hold."""
    return value.isascii() and value.isprintable()


def _asked_pause_s(response: httpx.Response) -> float:
    """Return how long a server asks to be left alone."""
    written = response.headers.get("retry-after", "")
    if written.isdecimal():
        return float(written[:9])
    try:
        until = parsedate_to_datetime(written)
        # A date without a zone is one of UTC, as all dates of HTTP are.
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        return max((until - datetime.now(UTC)).total_seconds(), 0.0)
    except (TypeError, ValueError, OverflowError):
        return 0.0


class _Turns:
    """When each host may be asked next, by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: dict[str, float] = {}
        self._pauses: dict[str, float] = {}
        self._rests: dict[str, float] = {}

    def take(self, host: str, pause_s: float) -> None:
        """Wait for a host's turn.

        Raises:
            NotFetched: it asked to be left alone for longer than anybody waits.
        """
        with self._lock:
            now = time.monotonic()
            rest_s = self._rests.get(host, now) - now
            if rest_s > 0:
                raise NotFetched(host, f"it asked to be left alone for {rest_s:,.0f} s more")
            at = max(now, self._next.get(host, now))
            self._next[host] = at + max(pause_s, self._pauses.get(host, 0.0))
        time.sleep(at - now)

    def slow(self, host: str, pause_s: float) -> None:
        """Leave at least so long between two turns of a host."""
        with self._lock:
            self._pauses[host] = pause_s

    def put_off(self, host: str, pause_s: float) -> None:
        """Give a host no turn for so long; nobody waits for one that asks for more than `MAX_PAUSE_S`."""
        with self._lock:
            if pause_s > MAX_PAUSE_S:
                self._rests[host] = time.monotonic() + min(pause_s, MAX_REST_S)
                return
            self._next[host] = max(self._next.get(host, 0.0), time.monotonic() + pause_s)


class _Guard(httpx.BaseTransport):
    """Sends a request to the address that was checked, under the name that was asked for.

    Each host has connections of its own: two names at one address never share one, nor what was proven by it.
    """

    def __init__(self, manners: Manners) -> None:
        self._allowed = manners.allowed
        self._lock = threading.Lock()
        self._is_closed = False
        self._transports: dict[tuple[str, str], httpx.HTTPTransport] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        address = checked_address(url.host, url.port or (443 if url.scheme == "https" else 80), self._allowed)  # fmt: skip
        direct = httpx.Request(
            request.method,
            url.copy_with(host=address),
            headers=request.headers,  # with the Host that was asked for
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": url.host},
        )
        return self._transport(url.host, address).handle_request(direct)

    def _transport(self, host: str, address: str) -> httpx.HTTPTransport:
        with self._lock:
            if (
                self._is_closed
            ):  # a call that was under way would open a connection that nobody closes
                raise TryLater(host, "the fetcher was closed")
            found = self._transports.get((host, address))
            if found is None:
                if len(self._transports) >= _KEPT_HOSTS:
                    self._transports.pop(next(iter(self._transports))).close()
                limits = httpx.Limits(max_keepalive_connections=2)
                found = self._transports[host, address] = httpx.HTTPTransport(
                    limits=limits, trust_env=False
                )
            return found

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            for each in self._transports.values():
                each.close()
            self._transports.clear()


def checked_address(host: str, port: int, allowed: Collection[str] = ()) -> str:
    """Return an address of a host that may be connected to.

    Raises:
        NotFetched: any of its addresses is private, local, or otherwise not of the public internet, and it is not allowed.
        TryLater: it has no address.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise TryLater(host, f"no address is known of it: {exc}") from exc
    addresses = [str(each[4][0]) for each in found]
    if host not in allowed and f"{host}:{port}" not in allowed:
        for address in addresses:
            if not _is_public(address):
                reason = f"{address} is no public address; 'crawl --allow {host}:{port}' allows it"
                raise NotFetched(host, reason)
    return addresses[0]


def _is_public(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    inner = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None)
    if found in _TRANSLATED:  # a gateway makes its last four bytes an address of IPv4
        inner = ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF)
    return found.is_global and not found.is_multicast and (inner is None or inner.is_global)
