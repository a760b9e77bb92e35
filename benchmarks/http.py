"""A store over HTTP: what a request costs beside the call itself, and many open streams of events."""

from __future__ import annotations

import asyncio
import http.client
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import motion
from benchmarks.machine import Figure, seconds

REQUESTS = 1_000
STREAMS, PER_STREAM, PER_SECOND = 200, 100, 1_000

RATE = 1_100
"""Somewhat more: turns of a rate that a busy machine misses are not made up for."""

JSON = {"content-type": "application/json"}


@dataclass
class Item:
    id: int
    name: str
    price: float


@dataclass
class Job:
    id: int
    wanted: int
    done_ms: int


@motion.trigger(on="job.wanted", sets="job.done_ms", rate=f"{RATE}/s", inline=False)
def work(wanted: int) -> int:
    return round(1e3 * time.time())


async def bare(scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
    """Answer a request with a row's JSON, and do nothing else: the limit of uvicorn."""
    if scope["type"] != "http":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"40")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"id":1,"name":"a coat    ","price":1.5}'})


def serve_store(folder: str, is_bare: bool, rows: int, told: Connection) -> None:
    """Serve in a process of its own, until it is told to end."""
    from motion.server import serve

    schemas = {"item": Item, "job": Job}
    url = f"sqlite:///{folder}/bench"
    with motion.create_store("bench", schemas=schemas, triggers=[work], url=url) as store:
        store.set_many("item", ({"id": i, "name": "coat", "price": 1.5} for i in range(rows)))
        app: Any = None
        if is_bare:  # it is stopped as an application of ours is
            app = bare
            app.state = SimpleNamespace(served=SimpleNamespace(stopping=Event()))
        with serve(store, port=0, app=app) as serving:
            told.send(int(serving.url.rpartition(":")[2]))
            told.recv()


@contextmanager
def served(*, is_bare: bool = False, rows: int = 1_000) -> Iterator[tuple[int, int]]:
    """Give the port of a server, and its process."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        process = context.Process(target=serve_store, args=(folder, is_bare, rows, there))
        process.start()
        there.close()  # so that its end is seen here
        yield here.recv(), process.pid or 0
        here.send(None)
        process.join()


def p50_ms(port: int, method: str, path: Callable[[int], str], body: Callable[[int], Any]) -> float:
    """Return what a request takes, over a connection that is kept."""
    connection = http.client.HTTPConnection("127.0.0.1", port)

    def ask(number: int) -> None:
        given = body(number)
        content = None if given is None else json.dumps(given)
        connection.request(method, path(number), content, JSON if content else {})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()

    for number in range(50):
        ask(number)
    return 1e3 * statistics.median(seconds(lambda i=i: ask(i)) for i in range(REQUESTS))  # type: ignore[misc]


def requests() -> list[Figure]:
    """One row read and one row set by a request, beside a server that does nothing."""
    with served(is_bare=True) as (port, _):
        limit = p50_ms(port, "GET", lambda i: f"/?id={i}", lambda i: None)
    with served() as (port, _):
        row = "/v1/tables/item/row"
        got = p50_ms(port, "GET", lambda i: f"{row}?id={i % 1_000}", lambda i: None)
        put = p50_ms(port, "POST", lambda i: row, lambda i: {"id": i % 1_000, "price": float(-i)})
    names = "× a server that does nothing"
    return [
        Figure("`get` over HTTP, p50", got, "ms", limit, got / limit, names, "≤ 1.5 ms", ""),
        Figure("`set` over HTTP, p50", put, "ms", limit, put / limit, names, "≤ 1.5 ms", ""),
    ]


@dataclass
class Followed:
    """What came of one stream: each row with when it was done and when it was seen, and whether it ended as it should."""

    rows: list[tuple[int, float, float]]
    is_ended: bool


async def follow(port: int, path: str) -> Followed:
    """Read a stream to its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    rows: list[tuple[int, float, float]] = []
    kind = ""
    while line := await reader.readline():
        if line.startswith(b"event: "):
            kind = line[7:].strip().decode()
        elif line.startswith(b"data: ") and kind == "row":
            row = json.loads(line[6:])
            rows.append((row["id"], row["done_ms"] / 1e3, time.time()))
        elif line.startswith(b"data: "):
            break
    writer.close()
    return Followed(rows, is_ended=kind == "end")


def posted(port: int) -> Iterator[str]:
    """Set rows, and give the paths of the streams of what comes of them."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for stream in range(STREAMS):
        ids = range(stream * PER_STREAM, (stream + 1) * PER_STREAM)
        rows = [{"id": each, "wanted": each} for each in ids]
        connection.request("POST", "/v1/tables/job/rows", json.dumps(rows), JSON)
        change = json.loads(connection.getresponse().read())["change"]
        named = "&".join(f"id={each}" for each in ids)
        yield f"/v1/changes/{change}/events?table=job&key=done_ms&{named}"


def streams() -> list[Figure]:
    """Many open streams of events, each of a change of its own, while rows are done at a rate."""
    with served() as (port, process):
        weight = Path(f"/proc/{process}/statm")
        paths = list(posted(port))
        sizes: list[float] = []

        async def measure() -> list[Followed]:
            async def weigh() -> None:
                while True:
                    await asyncio.sleep(0.25)
                    pages = int(weight.read_text().split()[1])
                    sizes.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)

            weighing = asyncio.create_task(weigh())
            found = await asyncio.gather(*(follow(port, path) for path in paths))
            weighing.cancel()
            return found

        began_s = time.time()
        results = asyncio.run(measure())
    assert all(each.is_ended for each in results)
    rows = [row for each in results for row in each.rows]
    ids = {row_id for row_id, _, _ in rows}
    live = [(done_s, seen_s) for _, done_s, seen_s in rows if done_s > began_s]
    done, seen = ([each[place] for each in live] for place in (0, 1))
    offered, told = ((len(live) - 1) / (max(each) - min(each)) for each in (done, seen))
    after = statistics.quantiles([1e3 * (each[1] - each[0]) for each in live], n=20)
    lost, twice = STREAMS * PER_STREAM - len(ids), len(rows) - len(ids)
    quarter = sizes[len(sizes) // 4]
    grown = max(sizes) - quarter
    what = f"{STREAMS} open streams, {PER_SECOND} rows done a second"
    return [
        Figure(what, told, "events/s", offered, told / offered, "of what was done", f"≥ {PER_SECOND}", ""),
        Figure("the same: an event is seen after its call, p50", after[9], "ms", after[18], after[9] / after[18], "of p95", "", ""),
        Figure("the same: events lost", lost, "", 0, lost, f"{twice} came twice", "0", "0"),
        Figure("the same: growth of memory, after a quarter", grown, "MB", quarter, grown, "", "flat", ""),
    ]  # fmt: skip
