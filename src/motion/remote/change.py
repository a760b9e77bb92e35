"""Changes of a store that is served elsewhere: waiting for them, and what comes of them as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from typing import Any

import httpx
import msgspec
from httpx_sse import ServerSentEvent, connect_sse

from motion import clock
from motion.definitions.tables import wire
from motion.definitions.tables.schema import Table
from motion.definitions.tasks import DeadLetter
from motion.errors import MotionError, TaskFailed, Unreachable, WaitTimeout
from motion.persistence.tasks.growing_texts import Part
from motion.remote.link import Link, check, error_of
from motion.store.changes.change import DEFAULT_TIMEOUT_S, Progress

LONGEST_WAIT_S = 20.0
"""How long one request waits: less than what proxies allow."""

SILENCE_S = 40.0
"""A stream that says nothing for so long is lost: the server says that it is there every 15 s."""

ENDS = ("end", "broken")
ASKED_AGAIN = 10
"""How often in a row a stream that broke is asked for again."""


class RemoteChange:
    """What one write set in motion.

    Attributes:
        id: the row's id, where it is one.
        key: names the change for good: `store.change(key)`.
        count: how many rows were written.
        rejected: of `set_many(errors="collect")`: the position and the error of each row that was not written.
    """

    def __init__(
        self,
        link: Link,
        keys: Sequence[int],
        table: Table | None,
        ids: list[Any] | None,
        count: int,
        rejected: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._link, self._keys, self._table, self._ids = link, keys, table, ids
        self.key, self.count, self.rejected = keys[-1], count, list(rejected)
        self.id = ids[0] if ids and len(ids) == 1 else None

    def __repr__(self) -> str:
        table = self._table.name if self._table else None
        return f"RemoteChange(key={self.key}, table={table!r}, id={self.id!r}, count={self.count})"

    def wait(
        self,
        key: str | None = None,
        /,
        *,
        timeout: float = DEFAULT_TIMEOUT_S,
        raise_errors: bool = True,
        progress: bool = False,
    ) -> RemoteChange:
        """`Change.wait`, without a progress bar."""
        if key is not None:
            self._wait_for(key, timeout, raise_errors)
            return self
        ends_s = clock.monotonic_s() + timeout
        for change in self._keys:
            told = self._waited(change, ends_s, timeout)
            if raise_errors and told["errors"]:
                raise _failure(told["errors"][0])
        return self

    def _waited(self, change: int, ends_s: float, timeout: float) -> Any:
        while True:
            left_s = ends_s - clock.monotonic_s()
            seconds = max(0.0, min(left_s, LONGEST_WAIT_S))
            try:
                return self._link.post(f"/v1/changes/{change}/wait", {"timeout": seconds})
            except WaitTimeout as exc:
                if left_s <= LONGEST_WAIT_S:
                    raise WaitTimeout(repr(self), timeout, exc.remaining) from exc

    def _wait_for(self, key: str, timeout: float, raise_errors: bool) -> None:
        """Wait until each row has a value of a key on one of its pages, or no work is left."""
        left = set(self._known_ids())
        for row in self.stream(key, timeout=timeout, raise_errors=raise_errors):
            left.discard(row.id)
            if not left:
                return

    def __await__(self) -> Generator[Any, None, RemoteChange]:
        return asyncio.to_thread(self.wait).__await__()

    def rows(self) -> list[Any]:
        """`Change.rows`."""
        table, found = self._known_table(), []
        for each in self._known_ids():
            told = self._link.get(f"/v1/tables/{table.name}/rows", id=each, limit=1_000)
            found += [wire.row_of(table, row) for row in told["rows"]]
        return found

    def stream(
        self,
        key: str,
        *,
        parts: bool = False,
        timeout: float = DEFAULT_TIMEOUT_S,
        raise_errors: bool = True,
    ) -> RemoteStream:
        """`Change.stream`: a connection that breaks is made again, and each row comes once all the same."""
        table = self._known_table()
        params = [
            ("table", table.name), ("key", key), ("parts", "true" if parts else "false"), ("timeout", str(timeout)),
            *(("id", str(each)) for each in self._known_ids()),
        ]  # fmt: skip
        events = _Events(self._link, f"/v1/changes/{self.key}/events", params)
        return RemoteStream(events, table, raise_errors)

    @property
    def errors(self) -> list[DeadLetter]:
        """The rows of this cascade that triggers gave up on; at most 100 of each change."""
        told = [each for change in self._keys for each in self._progress(change)["errors"]]
        return [msgspec.convert({"inputs": "", **each}, DeadLetter) for each in told]

    @property
    def progress(self) -> Progress:
        """How far the work is."""
        told = [self._progress(change) for change in self._keys]
        return Progress(
            sum(each["remaining"] for each in told), sum(each["failed"] for each in told)
        )

    def cancel(self) -> None:
        """Drop the work of this change that has not begun; what is done stays."""
        for change in self._keys:
            self._link.post(f"/v1/changes/{change}/cancel")

    def _progress(self, change: int) -> Any:
        return self._link.get(f"/v1/changes/{change}")

    def _known_table(self) -> Table:
        if self._table is None:
            raise MotionError(f"change {self.key} is not of one table; wait() and progress work.")
        return self._table

    def _known_ids(self) -> list[Any]:
        if self._ids is None:
            raise MotionError(
                f"change {self.key} does not know the rows it wrote: wait() and progress work, and "
                f"store.change(key, table=, ids=) follows rows that you name."
            )
        return self._ids


class _Events:
    """The events of one stream, over as many connections as it takes."""

    def __init__(self, link: Link, path: str, params: Sequence[tuple[str, str]]) -> None:
        self._link, self._path = link, path
        self._params = httpx.QueryParams(list(params))

    def __iter__(self) -> Iterator[ServerSentEvent]:
        last, broken = "", 0
        while True:
            reason = "the stream was ended before all had come"
            try:
                for event in self._connection(last):
                    last, broken = event.id or last, 0
                    yield event
                    if event.event in ENDS:
                        return
            except (httpx.TransportError, Unreachable) as exc:
                reason = str(exc) or type(exc).__name__
            broken += 1
            if broken > ASKED_AGAIN:
                raise Unreachable(self._link.url, reason)
            clock.sleep(min(0.05 * 2**broken, 2.0))

    def _connection(self, last: str) -> Iterator[ServerSentEvent]:
        headers = {"last-event-id": last} if last else {}
        timeout = httpx.Timeout(SILENCE_S)
        with (
            self._link.streaming() as client,
            connect_sse(
                client, "GET", self._path, params=self._params, headers=headers, timeout=timeout
            ) as source,
        ):
            if (
                source.response.status_code == 503
            ):  # it ends, or has too many: the next try may find another
                raise Unreachable(self._link.url, "it takes no stream now")
            check(source.response, self._link.url)
            if source.response.status_code == 204:
                yield ServerSentEvent(event="end", data="{}")
                return
            yield from source.iter_sse()


class RemoteStream(Iterator[Any], AsyncIterator[Any]):
    """What comes of a change, once; for `for`, or `async for` on an event loop, which it does not block."""

    def __init__(self, events: _Events, table: Table, raise_errors: bool) -> None:
        self._events, self._table = iter(events), table
        self._raises, self._failures = raise_errors, list[MotionError]()
        self._seen: set[tuple[Any, ...]] = set()

    def __iter__(self) -> RemoteStream:
        return self

    def __next__(self) -> Any:
        for event in self._events:
            given = self._given(event)
            if given is not None:
                return given
        if self._failures and self._raises:
            raise self._failures.pop(0)
        raise StopIteration

    def __aiter__(self) -> RemoteStream:
        return self

    async def __anext__(self) -> Any:
        given = await asyncio.to_thread(next, self, None)
        if given is None:
            raise StopAsyncIteration
        return given

    def _given(self, event: ServerSentEvent) -> Any:
        """Return what is new of an event, and keep what it tells of failures."""
        told: Any = msgspec.json.decode(event.data) if event.data else None
        match event.event:
            case "row":
                return self._row(told)
            case "part":
                return Part(told["text"], told["id"], told["pages"], told["is_first"])
            case "failed":
                self._failures.append(_failure(told))
            case "broken":
                self._failures.insert(0, error_of(told))
        return None

    def _row(self, told: Any) -> Any:
        row = wire.row_of(self._table, told)
        name = tuple(getattr(row, each) for each in self._table.primary_key)
        if name in self._seen:
            return None
        self._seen.add(name)
        return row


def _failure(told: Mapping[str, Any]) -> TaskFailed:
    return TaskFailed(*(told[name] for name in ("trigger", "table", "row", "attempts", "error")))
