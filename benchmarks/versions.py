"""Versions: what a new state costs those who use the old one: its outputs built beside the live ones, and its fit."""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

import motion
from benchmarks import machine
from benchmarks.cascades import texts
from benchmarks.machine import Figure
from benchmarks.models import DIM, MATRIX

State = dict[str, NDArray[np.float32]]

ASKED = 200
FIT_S = 8.0


@dataclass
class Document:
    id: int
    text: str
    label: str
    embedding: Annotated[np.ndarray[Any, Any], motion.Vector(DIM)]


class Projection(motion.Component):
    """Texts to 384 numbers, as `models.batches`; each fit gives another projection. A label "long" makes it work long."""

    def setup(self) -> State:
        return {"matrix": MATRIX}

    @motion.infer(on="document.text", sets="document.embedding", batch=64, refresh="before")
    def embed(self, state: State, text: list[str]) -> NDArray[np.float32]:
        return projected(state["matrix"], text)

    @motion.fit(on="document.label")
    def learn(self, state: State, rows: list[Document]) -> State:
        until = time.perf_counter() + FIT_S
        while rows[-1].label == "long" and time.perf_counter() < until:
            sum(range(10_000))
        return {"matrix": state["matrix"] + np.float32(0.01)}


def projected(matrix: NDArray[np.float32], text: list[str]) -> NDArray[np.float32]:
    letters = np.array([np.frombuffer(each.encode(), np.uint8) for each in text], np.float32)
    return np.asarray(letters @ matrix, np.float32)


def reembedding(count: int = 100_000) -> list[Figure]:
    """Outputs of a candidate for all rows, alone and beside live work; limits: the bare function and a raw insert, and
    the same live work when nothing else is done."""
    with _filled(count) as store:
        idle = [_ask(store, i) for i in range(ASKED)]
        taken = _build(store, "first", None)
        during: list[float] = []
        _build(store, "second", lambda i: during.append(_ask(store, i)))
    limit = _bare_s(count)
    p95, idle_p95 = _p95(during), _p95(idle)
    return [
        Figure(
            f"re-embedding of {count:,} rows after a fit", count / taken, "rows/s", count / limit,
            limit / taken, "share", "≥ 0.5", "",
        ),
        Figure(
            f"live `set` → result meanwhile, p95 of {len(during)}", 1000 * p95, "ms", 1000 * idle_p95,
            p95 / idle_p95, "times idle", "≤ 2", "",
        ),
    ]  # fmt: skip


def during_a_fit(count: int = 1_000) -> Figure:
    """Live `set` until its result while a fit keeps a core busy in its own process; limit: the same when none runs."""
    with _filled(count) as store:
        idle = [_ask(store, i) for i in range(ASKED)]
        store.set("document", id=1, label="long")
        store.model("Projection").fit()
        during: list[float] = []
        while store.status().fits:
            during.append(_ask(store, len(during)))
        store.wait()
    p95, idle_p95 = _p95(during), _p95(idle)
    work = f"live `set` → result during a fit, p95 of {len(during)}"
    return Figure(work, 1000 * p95, "ms", 1000 * idle_p95, p95 / idle_p95, "times idle", "", "")


@contextmanager
def _filled(count: int) -> Iterator[motion.Store]:
    with tempfile.TemporaryDirectory() as folder:
        store = motion.create_store(
            "bench", schemas={"document": Document}, triggers=[Projection()], url=f"sqlite:///{folder}/store"
        )  # fmt: skip
        with store:
            store.set_many("document", [{"text": text} for text in texts(count)])
            store.wait()
            yield store


def _ask(store: motion.Store, i: int) -> float:
    """Return the seconds from a new text until its vector is there."""
    started = time.perf_counter()
    store.set("document", id=1 + i % 100, text=f"{i:060}").wait("embedding")
    return time.perf_counter() - started


def _build(store: motion.Store, label: str, meanwhile: Callable[[int], object] | None) -> float:
    """Fit, do something again and again while the outputs are built, and return the seconds that took."""
    store.set("document", id=1, label=label)
    store.model("Projection").fit()
    while not _has_candidate(store):
        time.sleep(0.001)
    started, i = time.perf_counter(), 0
    waiting = threading.Thread(target=store.wait)
    waiting.start()
    if meanwhile is not None:
        while waiting.is_alive():
            meanwhile(i)
            i += 1
    waiting.join()  # the switch included
    return time.perf_counter() - started


def _has_candidate(store: motion.Store) -> bool:
    return store.model("Projection").versions()[-1].status == "candidate"


def _bare_s(count: int) -> float:
    given, rows = texts(count), []
    started = time.perf_counter()
    for start in range(0, count, 64):
        part = given[start : start + 64]
        vectors = projected(MATRIX, part)
        rows += [(start + i, vector.tobytes()) for i, vector in enumerate(vectors)]
    made = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as folder:
        return made + machine.bulk_insert_s(Path(folder), ["embedding"], rows)


def _p95(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=20)[-1]
