"""Search in a store in PostgreSQL beside bare pgvector in the same server: 100,000 vectors of 512 numbers in clusters."""

from __future__ import annotations

import statistics
import struct
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types import TypeInfo

import motion
from benchmarks.machine import Figure, seconds
from benchmarks.postgres import server
from benchmarks.search import (
    COUNT,
    DIM,
    QUERIES,
    SCHEMA,
    SEARCHED,
    Photo,
    until_kept,
    vectors,
)  # fmt: skip
from motion.vectors.choice import APPROXIMATE_FROM
from tests.postgres import Server

SETTINGS = "fsync = on\nshared_buffers = 1GB\nmaintenance_work_mem = 1GB\n"
"""Room for pgvector's table and graph, and for the graph while it is made: on less it is slower."""

MADE_S = 3600.0
"""How long the graph may take: on a machine that is busy otherwise it took ten minutes."""

IN_TURN = 25
"""Queries that one is asked before the other is."""

SHARE = 100
"""Of so many rows a filter keeps one."""


@dataclass
class _Beside:
    """The same rows in both."""

    server: Server
    store: motion.Store
    bare: psycopg.Connection[Any]
    stored: np.ndarray
    queries: np.ndarray
    numbers: np.ndarray
    """Of each row, what the filter asks about."""
    made_s: tuple[float, float]
    """What it took to make the index of each."""

    def of_store(self, i: int, among: int | None) -> list[int]:
        where = None if among is None else {"hundredth": among}
        return [hit.id for hit in self.store.search(SEARCHED, self.queries[i], k=10, where=where)]

    def of_bare(self, i: int, among: int | None) -> list[int]:
        """Ask for ids alone, by a prepared statement, with the vector as it is and not as text."""
        condition, values = ("", []) if among is None else ("WHERE hundredth = %s", [among])
        sql = f"SELECT id FROM bare {condition} ORDER BY embedding <=> %b LIMIT 10"
        given = [*values, _Vector(self.queries[i])]
        return [id for (id,) in self.bare.execute(sql, given, prepare=True).fetchall()]

    def recall(self, found: Sequence[Sequence[int]], kept: Sequence[np.ndarray | None]) -> float:
        """Return the share of the true ten nearest among the rows kept for each query that was found."""
        hits = 0
        for query, ids, rows in zip(self.queries[: len(found)], found, kept, strict=True):
            among = np.arange(len(self.stored)) if rows is None else rows
            near = among[np.argsort(-(self.stored[among] @ query))[:10]]
            hits += len(set(ids) & set((near + 1).tolist()))
        return hits / (10 * len(found))


def nearest(count: int = COUNT) -> list[Figure]:
    """The ten nearest rows, whole, of all and of the hundredth that a filter keeps; limit: bare pgvector, which gives ids. Each query
    is asked of both in turn; the filter's value is another one each time."""
    with ExitStack() as using:
        beside = _filled(using, count)
        made, of_bare = beside.made_s
        work = f"10 nearest of {count:,} × {DIM}, clustered, in PostgreSQL"
        return [
            *_held_against(beside, work, QUERIES, lambda i: None),
            *_held_against(beside, f"{work}, a filter that keeps 1 %", SHARE, lambda i: i),
            Figure(
                "making the index of the rows", made, "s", of_bare, made / of_bare, "times pgvector", "", "",
            ),
        ]  # fmt: skip


def _held_against(
    beside: _Beside, work: str, count: int, among: Callable[[int], int | None]
) -> list[Figure]:
    of_store, of_bare = _Asked(beside.of_store), _Asked(beside.of_bare)
    for first in range(0, count, IN_TURN):
        for asked in (of_store, of_bare):
            before = time.process_time() + beside.server.processor_s()
            for i in range(first, min(first + IN_TURN, count)):
                started = time.perf_counter()
                asked.found.append(asked.ask(i, among(i)))
                asked.taken_s.append(time.perf_counter() - started)
            asked.processor_s += time.process_time() + beside.server.processor_s() - before
    kept = [_rows_of(beside.numbers, among(i)) for i in range(count)]
    value, limit = (1000 * statistics.median(each.taken_s) for each in (of_store, of_bare))
    busy, of_both = (1000 * each.processor_s / count for each in (of_store, of_bare))
    recall, recall_of_bare = (beside.recall(each.found, kept) for each in (of_store, of_bare))
    assert all(len(ids) == 10 for ids in of_store.found)
    short = sum(len(ids) < 10 for ids in of_bare.found)
    return [
        Figure(work, value, "ms p50", limit, value / limit, "times pgvector", "≤ 1.5", ""),
        Figure(
            "the same, processor time of client and server", busy, "ms", of_both, busy / of_both, "times pgvector", "", "",
        ),
        Figure(
            f"the same, recall of the true ten ({short} of pgvector's answers had fewer)",
            recall, "", recall_of_bare, recall, "", "≥ 0.98", "",
        ),
    ]  # fmt: skip


@dataclass
class _Asked:
    ask: Callable[[int, int | None], list[int]]
    found: list[list[int]] = field(default_factory=list)
    taken_s: list[float] = field(default_factory=list)
    processor_s: float = 0.0


def _rows_of(numbers: np.ndarray, number: int | None) -> np.ndarray | None:
    return None if number is None else np.flatnonzero(numbers == number)


# -- the rows, in both --


def _filled(using: ExitStack, count: int) -> _Beside:
    stored, numbers = vectors(count, 2), np.random.default_rng(4).permutation(count) % SHARE
    at = using.enter_context(server(SETTINGS))
    url, folder = at("nearest"), Path(at.args[1]) / "nearest"
    bare = using.enter_context(psycopg.connect(url.partition("&")[0], autocommit=True))
    store = using.enter_context(
        motion.create_store("bench", schemas={SCHEMA: Photo}, url=url, run=False)
    )
    columns = dict.fromkeys(("tenth", "thousandth", "plain"), 0)
    rows = (
        {**columns, "hundredth": number, "embedding": vector}
        for number, vector in zip(numbers.tolist(), stored, strict=True)
    )
    store.set_many(SCHEMA, rows)
    _fill(bare, stored, numbers)
    made_s = seconds(lambda: _make(store, folder, stored)), seconds(lambda: _index(bare))
    return _Beside(at.args[0], store, bare, stored, vectors(QUERIES, 3), numbers, made_s)


def _make(store: motion.Store, folder: Path, stored: np.ndarray) -> None:
    """Read the rows, and make the graph over them; fewer are compared exactly."""
    store.search(SEARCHED, stored[0])
    if len(stored) >= APPROXIMATE_FROM:
        until_kept(folder, MADE_S)


def _fill(bare: psycopg.Connection[Any], stored: np.ndarray, numbers: np.ndarray) -> None:
    bare.execute("CREATE EXTENSION vector")
    bare.execute("SET hnsw.iterative_scan = strict_order")  # else a filter leaves fewer than ten
    found = TypeInfo.fetch(bare, "vector")
    assert found is not None
    found.register(bare)
    sent = type("Sent", (_Sent,), {"oid": found.oid})
    bare.adapters.register_dumper(_Vector, sent)
    bare.execute(
        f"CREATE TABLE bare (id bigint PRIMARY KEY, hundredth bigint, embedding vector({DIM}))"
    )
    sql = "COPY bare FROM STDIN WITH (FORMAT BINARY)"
    with bare.cursor() as cursor, cursor.copy(sql) as copy:
        copy.set_types(["int8", "int8", "vector"])
        for row in zip(range(1, 1 + len(stored)), numbers.tolist(), stored, strict=True):
            copy.write_row((*row[:2], _Vector(row[2])))
    bare.execute("CREATE INDEX ON bare (hundredth)")


def _index(bare: psycopg.Connection[Any]) -> None:
    bare.execute("CREATE INDEX ON bare USING hnsw (embedding vector_cosine_ops)")
    bare.execute("VACUUM ANALYZE bare")


@dataclass
class _Vector:
    numbers: np.ndarray


class _Sent(Dumper):
    """Sends a vector as pgvector keeps it: its length, and big-endian numbers."""

    format = Format.BINARY

    def dump(self, obj: _Vector) -> bytes:
        return struct.pack(">HH", len(obj.numbers), 0) + obj.numbers.astype(">f4").tobytes()


if __name__ == "__main__":
    for figure in nearest(int(sys.argv[1])):
        print(figure)
