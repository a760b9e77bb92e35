"""Triggers like model calls: batches through a NumPy projection, and calls that wait for somebody else."""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

import motion
from benchmarks import machine
from benchmarks.cascades import texts
from benchmarks.machine import Figure

DIM = 384
WAIT_S = 0.05
CONCURRENCY = 200


@dataclass
class Document:
    id: int
    text: str
    embedding: Annotated[np.ndarray[Any, Any], motion.Vector(DIM)]
    answer: str


def project(text: list[str]) -> NDArray[np.float32]:
    """Return a projection of the texts' letters, shape `(len(text), 384)`."""
    letters = np.array([np.frombuffer(each.encode(), np.uint8) for each in text], np.float32)
    return np.asarray(letters @ MATRIX, np.float32)


MATRIX = np.random.default_rng(7).standard_normal((60, DIM)).astype(np.float32)


@motion.trigger(on="document.text", sets="document.embedding", batch=64)
def embed(text: list[str]) -> NDArray[np.float32]:
    return project(text)


@motion.trigger(on="document.text", sets="document.answer", concurrency=CONCURRENCY)
async def answer(text: str) -> str:
    await asyncio.sleep(WAIT_S)
    return text[:5]


def batches(count: int = 10_000) -> Figure:
    """`batch=64` around a projection to 384 numbers; limit: calling it bare and inserting by raw `sqlite3`."""
    given = texts(count)
    taken = _loaded(given, embed)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        rows = []
        for start in range(0, count, 64):
            part = given[start : start + 64]
            vectors = project(part)
            rows += [
                (start + i, text, vector.tobytes())
                for i, (text, vector) in enumerate(zip(part, vectors, strict=True))
            ]
        made = time.perf_counter() - started
        limit = made + machine.bulk_insert_s(Path(folder), ["text", "embedding"], rows)
    work = f"`batch=64` around a NumPy projection to {DIM} numbers, {count:,} rows"
    return Figure(
        work, count / taken, "rows/s", count / limit, limit / taken, "share", "≥ 0.5", "0.7"
    )


def waiting(count: int = 10_000) -> Figure:
    """An async trigger that waits 50 ms, 200 at once; limit: the waiting alone."""
    taken, limit = _loaded(texts(count), answer), count / CONCURRENCY * WAIT_S
    work = f"async trigger waiting 50 ms, `concurrency={CONCURRENCY}`, {count:,} rows"
    return Figure(work, taken, "s", limit, taken / limit, "times", "≤ 1.3", "1.1")


def _loaded(given: list[str], trigger: Any) -> float:
    with tempfile.TemporaryDirectory() as folder:
        place = f"sqlite:///{folder}/store"
        with motion.create_store(
            "bench", schemas={"document": Document}, triggers=[trigger], url=place
        ) as opened:
            opened.set("document", text=given[0]).wait()
            started = time.perf_counter()
            opened.set_many("document", [{"text": text} for text in given])
            opened.wait()
            return time.perf_counter() - started
