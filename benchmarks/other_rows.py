"""Values of other rows: lookups in a bulk load, what follows from a change of what is looked up, windows, inherited filters."""

from __future__ import annotations

import random
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np

import motion
from benchmarks.machine import Figure, connect, seconds

ROWS, PRODUCTS, CARDS = 100_000, 1_000, 1_000
HOUR_MS = 3_600_000


@dataclass
class Product:
    id: int
    url: str


@dataclass
class Query:
    id: int
    product: int
    link: str


Url = Annotated[str, motion.Lookup("product.url", by="product")]


@motion.trigger(on="query.product", sets="query.link")
def plain(product: int) -> str:
    return f"/{product}"


@motion.trigger(on="query.product", sets="query.link")
def looked_up(url: Url) -> str:
    return f"/{url}"


@contextmanager
def opened(schemas: dict[str, type], triggers: list[Any]) -> Iterator[motion.Store]:
    with (
        tempfile.TemporaryDirectory() as folder,
        motion.create_store(
            "bench", schemas=schemas, triggers=triggers, url=f"sqlite:///{folder}/bench"
        ) as store,
    ):
        yield store


def _loaded(trigger: Any, store: motion.Store) -> float:
    """Load rows into a cold store, and return how many a second have their value."""
    store.set_many("product", [{"id": i, "url": f"{i}"} for i in range(PRODUCTS)])
    store.wait()
    rows = [{"product": i % PRODUCTS} for i in range(ROWS)]

    def load() -> None:
        store.set_many("query", rows)
        store.wait()

    return ROWS / seconds(load)


def bulk_lookup() -> Figure:
    """A bulk load through a trigger that looks one value up, against the same trigger without it."""
    rates = []
    for trigger in (looked_up, plain):
        with opened({"product": Product, "query": Query}, [trigger]) as store:
            rates.append(_loaded(trigger, store))
    return Figure(
        f"`Lookup` in a bulk load of {ROWS:,} rows, cold", rates[0], "rows/s", rates[1], rates[0] / rates[1],
        "of the same trigger without it", "≥ 0.7", "0.9",
    )  # fmt: skip


def sweep() -> list[Figure]:
    """A row that all rows look up changes, with single writes beside it."""
    with opened({"product": Product, "query": Query}, [looked_up]) as store:
        store.set_many("product", [{"id": 1, "url": "a"}, {"id": 2, "url": "b"}])
        store.set_many("query", [{"product": 1} for _ in range(ROWS)])
        store.wait()
        beside = _Beside(lambda i: store.set("product", id=2, url=f"{i}"))
        writes: list[float] = []

        def change() -> None:
            writes.append(seconds(lambda: store.set("product", id=1, url="c")))
            store.wait()

        with beside:
            taken = seconds(change)
        wrong = store.sql("select count(*) from query where link <> '/c'").column(0)[0].as_py()
        assert wrong == 0, f"{wrong} rows are not what they look up"
        alone = statistics.median(
            seconds(partial(store.set, "product", id=2, url=f"x{i}")) for i in range(200)
        )
    worst = 1_000 * max(writes + beside.seconds)
    return [
        Figure(
            f"a looked-up row changes, {ROWS:,} rows refer to it: all follow", taken, "s", 3.0, taken / 3.0,
            "× of what is allowed", "≤ 1", "0.5",
        ),
        Figure(
            "the slowest write meanwhile", worst, "ms", 1_000 * alone, worst / (1_000 * alone), "× a write at rest",
            "≤ 20 ms", "",
        ),
    ]  # fmt: skip


class _Beside:
    """Makes a call again and again beside something else, and notes how long each takes."""

    def __init__(self, call: Callable[[int], Any]) -> None:
        self._call, self._stop = call, threading.Event()
        self.seconds: list[float] = []
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.wait(0.005):
            self.seconds.append(seconds(lambda: self._call(len(self.seconds))))

    def __enter__(self) -> _Beside:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


# -- reads and writes through the store --


@dataclass
class Event:
    id: int
    counter: int


@dataclass
class Counter:
    id: int
    n: int


@motion.trigger(on="event.counter")
def increment(counter: int, store: motion.View) -> None:
    found = store.get("counter", counter)
    store.set("counter", id=counter, n=found.n + 1 if found else 1)


def counters() -> Figure:
    """Rows that each increment one of a hundred counters, through a trigger that reads it and writes it back."""
    count, kinds = 10_000, 100
    with opened({"event": Event, "counter": Counter}, [increment]) as store:

        def load() -> None:
            store.set_many("event", [{"counter": i % kinds} for i in range(count)])
            store.wait()

        rate = count / seconds(load)
        found = {row.n for row in store.rows("counter")}
        assert found == {count // kinds}, f"the counters are {sorted(found)}"
    return Figure(
        f"{count:,} rows that increment one of {kinds} counters by `get` and `set`, cold", rate, "rows/s", 10_000, rate / 10_000,
        "× of what is asked", "≥ 1", "3",
    )  # fmt: skip


# -- windows --

HOUR = timedelta(hours=1)


@dataclass
class Payment:
    id: int
    ts: int
    card: int
    amount: float
    total: Annotated[float, motion.Window("payment.amount", by="card", within=HOUR, agg="sum")]
    count: Annotated[int, motion.Window("payment.amount", by="card", within=HOUR, agg="count")]


def windows() -> list[Figure]:
    """Payments of many cards in order, each with the count and the sum of its card's last hour; then late ones, one at a time."""
    chance = random.Random(1)
    rows = [(i, i * 720, chance.randrange(CARDS), chance.random()) for i in range(ROWS)]
    with tempfile.TemporaryDirectory() as folder:
        limit = _by_sql(Path(folder), rows)
    names = ("id", "ts", "card", "amount")
    with opened({"payment": Payment}, []) as store:

        def load() -> None:
            store.set_many("payment", (dict(zip(names, row, strict=True)) for row in rows))
            store.wait()

        taken = seconds(load)

        def late(card: int) -> None:
            store.set(
                "payment", id=ROWS + 1 + card, ts=ROWS // 2 * 720 + card, card=card, amount=1.0
            )
            store.wait()

        first, *others = (1_000 * seconds(partial(late, card)) for card in range(51))
        behind = statistics.median(others)
    return [
        Figure(
            f"`Window`: count and sum of the last hour, {ROWS:,} payments of {CARDS:,} cards, cold", ROWS / taken,
            "rows/s", ROWS / limit, limit / taken, "of one SQL window query and a raw insert", "≥ 0.25", "0.5",
        ),
        Figure(
            "one late payment, all that follows done: median of 50", behind, "ms", 5.0, behind / 5.0,
            "× of what is allowed", "≤ 1", "",
        ),
        Figure("the same: the first one", first, "ms", behind, first / behind, "× the others", "", ""),
    ]  # fmt: skip


def _by_sql(folder: Path, rows: list[tuple[Any, ...]]) -> float:
    """Return how long SQLite takes to insert the rows, and to compute their windows by one query."""
    connection: sqlite3.Connection = connect(folder)
    connection.execute("CREATE TABLE p (id INTEGER PRIMARY KEY, ts, card, amount)")

    def insert() -> None:
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO p VALUES (?, ?, ?, ?)", rows)
        connection.execute("COMMIT")

    frame = f"PARTITION BY card ORDER BY ts RANGE BETWEEN {HOUR_MS - 1} PRECEDING AND CURRENT ROW"
    query = f"SELECT id, SUM(amount) OVER w, COUNT(*) OVER w FROM p WINDOW w AS ({frame})"
    taken = seconds(insert) + seconds(lambda: connection.execute(query).fetchall())
    connection.close()
    return taken


# -- folds --


@dataclass
class Visit:
    id: int
    ts: int
    user: int
    pages: int


@dataclass
class User:
    id: int
    total: int


def total_of(total: int | None, pages: int) -> int:
    return (total or 0) + pages


def fold() -> Figure:
    """Events of many entities in order, through a fold that is a plain function, until the last value can be read."""
    rows = [(i, i, i % CARDS, i % 7) for i in range(ROWS)]
    with tempfile.TemporaryDirectory() as folder:
        limit = _fold_by_hand(Path(folder), rows)
    folded = motion.fold(on="visit.pages", by="visit.user", sets="user.total")(total_of)
    with opened({"visit": Visit, "user": User}, [folded]) as store:
        given = [dict(zip(("id", "ts", "user", "pages"), row, strict=True)) for row in rows]

        def load() -> None:
            store.set_many("visit", given)
            store.wait()

        rate = ROWS / seconds(load)
        total = store.sql("select sum(total) from user").column(0)[0].as_py()
        assert total == sum(row[3] for row in rows), f"the values come to {total}"
    return Figure(
        f"fold of {ROWS:,} events of {CARDS:,} entities, a plain function, cold", rate, "events/s", limit, rate / limit,
        "of a raw insert and a fold in a loop", "≥ 40,000 events/s", "100,000",
    )  # fmt: skip


def _fold_by_hand(folder: Path, rows: Sequence[tuple[int, ...]]) -> float:
    """Return how many events a second are inserted and folded by a loop over SQLite, with the values kept."""
    connection: sqlite3.Connection = connect(folder)
    connection.execute("CREATE TABLE e (id INTEGER PRIMARY KEY, ts, user, pages)")
    connection.execute("CREATE TABLE u (id INTEGER PRIMARY KEY, total)")

    def work() -> None:
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO e VALUES (?, ?, ?, ?)", rows)
        totals: dict[int, int] = {}
        for user, pages in connection.execute("SELECT user, pages FROM e ORDER BY user, ts, id"):
            totals[user] = total_of(totals.get(user), pages)
        connection.executemany("INSERT INTO u VALUES (?, ?)", totals.items())
        connection.execute("COMMIT")

    taken = seconds(work)
    connection.close()
    return len(rows) / taken


# -- filters --


@dataclass
class Chunk:
    id: int
    folder: str
    chunk_page: int
    chunk: str
    own: Annotated[str, motion.Key(level="chunk_page")]
    embedding: Annotated[np.ndarray, motion.Vector(64)]


def inherited_filter() -> Figure:
    """A search among 1 % of the chunks: by a key that they inherit from their document, and by one that each stores."""
    documents, pages = ROWS // 20, 20
    random_numbers = np.random.default_rng(3)
    with opened({"doc": Chunk}, []) as store:
        store.set_many(
            "doc",
            (
                {
                    "id": document, "chunk_page": page, "chunk": "text", "own": f"{document % 100}",
                    "embedding": random_numbers.normal(size=64).astype(np.float32),
                    **({"folder": f"{document % 100}"} if page == 0 else {}),
                }
                for document in range(documents)
                for page in range(pages)
            ),
        )  # fmt: skip
        store.search("doc.embedding", random_numbers.normal(size=64), k=10)
        taken = {key: _filtered(store, key) for key in ("own", "folder")}
    return Figure(
        f"search with a filter on an inherited key, {ROWS:,} chunks of {documents:,} documents, 1 %", 1_000 * taken["folder"],
        "ms", 1_000 * taken["own"], taken["folder"] / taken["own"], "× the same filter on a stored key", "≤ 2", "1.2",
    )  # fmt: skip


def _filtered(store: motion.Store, key: str) -> float:
    def search(i: int) -> float:
        store.set("doc", id=1, chunk_page=1, chunk=f"{key}{i}")  # lists of filters are made anew
        query = np.random.default_rng(i).normal(size=64)
        started = time.perf_counter()
        hits = store.search("doc.embedding", query, k=10, where={key: f"{i}"})
        taken = time.perf_counter() - started
        assert len(hits) == 10
        return taken

    return statistics.median(search(i) for i in range(20))
