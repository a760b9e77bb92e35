"""Changes of a store that is served elsewhere: waiting for them, and what comes of them as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from math import inf
from typing import Any

import httpx
import msgspec
from httpx_sse import ServerSentEvent, aconnect_sse, connect_sse

from motion import clock
from motion.definitions.tables import wire
from motion.definitions.tables.schema import Table
from motion.definitions.tasks import DeadLetter
from motion.errors import MotionError, TaskFailed, Unreachable, WaitTimeout
from motion.persistence.tasks.growing_texts import Part
from motion.remote.link import Link, check, error_of
from motion.remote.reads import rows_of
from motion.store.changes.change import DEFAULT_TIMEOUT_S, Progress, RejectedRow

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
        rejected: rows that `set_many(errors="collect")` did not write.
    """

    def __init__(
        self,
        link: Link,
        keys: Sequence[int],
        table: Table | None,
        ids: list[Any] | None,
        count: int,
        rejected: Sequence[RejectedRow] = (),
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
            told = None
            while told is None:
                with self._turn(ends_s, timeout) as body:
                    told = self._link.post(f"/v1/changes/{change}/wait", body)
            if raise_errors:
                _raise_first(told)
        return self

    def __await__(self) -> Generator[Any, None, RemoteChange]:
        return self._awaited().__await__()

    async def _awaited(self) -> RemoteChange:
        """Do as `wait` does, as long as it takes and without a thread that waits: giving up, as by a time-out, leaves nothing
        behind."""
        for change in self._keys:
            told = None
            while told is None:
                async with self._link.waiting() as client:
                    with self._turn(inf, inf) as body:
                        path = f"/v1/changes/{change}/wait"
                        told = await self._link.post_awaited(client, path, body)
            _raise_first(told)
        return self

    @contextmanager
    def _turn(self, ends_s: float, timeout: float) -> Iterator[dict[str, float]]:
        """Give what one request that waits says; it may end before all that waits, and the next goes on."""
        left_s = ends_s - clock.monotonic_s()
        try:
            yield {"timeout": max(0.0, min(left_s, LONGEST_WAIT_S))}
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

    def rows(self) -> list[Any]:
        """`Change.rows`."""
        table, key = self._known_table(), self._known_table().keys["id"]
        parts = [rows_of(self._link, table, {"id": key.encode(each)}) for each in self._known_ids()]
        return [row for rows in parts for row in rows]

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
    """The events of one stream, over as many connections as it takes; to be read by a thread or an event loop.

    Attributes:
        is_over: the last has been given.
    """

    def __init__(self, link: Link, path: str, params: Sequence[tuple[str, str]]) -> None:
        self._link = link
        self._asked: dict[str, Any] = {
            "method": "GET",
            "url": path,
            "params": httpx.QueryParams(list(params)),
        }
        self._last, self._broken = "", 0
        self.is_over = False

    def __iter__(self) -> Iterator[ServerSentEvent]:
        while not self.is_over:
            with (
                self._connection() as headers,
                self._link.streaming() as client,
                connect_sse(client, **self._asked, headers=headers, timeout=SILENCE_S) as source,
            ):
                if self._has_begun(source.response):
                    for event in source.iter_sse():
                        yield self._noted(event)
                        if self.is_over:
                            return
            clock.sleep(self._pause_s())

    async def __aiter__(self) -> AsyncGenerator[ServerSentEvent]:
        while not self.is_over:
            with self._connection() as headers:
                async with (
                    self._link.awaiting() as client,
                    aconnect_sse(
                        client, **self._asked, headers=headers, timeout=SILENCE_S
                    ) as source,
                    aclosing(source.aiter_sse()) as events,
                ):
                    if not source.response.is_success:
                        await source.response.aread()  # what it tells
                    if self._has_begun(source.response):
                        async for event in events:
                            yield self._noted(event)
                            if self.is_over:
                                return
            await asyncio.sleep(self._pause_s())

    @contextmanager
    def _connection(self) -> Iterator[dict[str, str]]:
        """Give the headers that ask for what is missing; note it where the connection breaks, or raise, where many did."""
        reason = "the stream was ended before all had come"
        try:
            yield {"last-event-id": self._last} if self._last else {}
        except (httpx.TransportError, Unreachable) as exc:
            self._link.check_open()
            reason = str(exc) or type(exc).__name__
        self._broken += 0 if self.is_over else 1
        if self._broken > ASKED_AGAIN:
            raise Unreachable(self._link.url, reason)

    def _pause_s(self) -> float:
        return 0.0 if self.is_over else min(0.05 * 2**self._broken, 2.0)

    def _has_begun(self, response: httpx.Response) -> bool:
        if response.status_code == 503:  # it ends, or has too many: the next try may find another
            raise Unreachable(self._link.url, "it takes no stream now")
        check(response, self._link.url)
        self.is_over = response.status_code == 204
        return not self.is_over

    def _noted(self, event: ServerSentEvent) -> ServerSentEvent:
        self._last, self._broken = event.id or self._last, 0
        self.is_over = event.event in ENDS
        return event


class RemoteStream(Iterator[Any], AsyncIterator[Any]):
    """What comes of a change, once; for `for`, or `async for` on an event loop, which it does not block."""

    def __init__(self, events: _Events, table: Table, raise_errors: bool) -> None:
        self._events, self._table = events, table
        self._coming, self._awaited = iter(events), aiter(events)
        self._raises, self._failures = raise_errors, list[MotionError]()
        self._seen: set[tuple[Any, ...]] = set()

    def __iter__(self) -> RemoteStream:
        return self

    def __next__(self) -> Any:
        for event in self._coming:
            given = self._given(event)
            if given is not None:
                return given
        self._raise_failure()
        raise StopIteration

    def __aiter__(self) -> RemoteStream:
        return self

    async def __anext__(self) -> Any:
        while True:
            async for event in self._awaited:
                given = self._given(event)
                if given is not None:
                    return given
            if self._events.is_over:
                break
            self._awaited = aiter(self._events)  # its reader gave up before, and goes on now
        self._raise_failure()
        raise StopAsyncIteration

    def _raise_failure(self) -> None:
        if self._failures and self._raises:
            raise self._failures.pop(0)

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


def _raise_first(told: Mapping[str, Any]) -> None:
    """Raise the first failure of a change, if it has one."""
    for each in told["errors"][:1]:
        raise _failure(each)


def _failure(told: Mapping[str, Any]) -> TaskFailed:
    return TaskFailed(*(told[name] for name in ("trigger", "table", "row", "attempts", "error")))
