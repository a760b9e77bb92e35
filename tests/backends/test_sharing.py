"""Callers who share commits: who is patient comes after all others, apart from them, and not never."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import motion
from motion.backends.base import Transaction
from motion.backends.sqlite import SqliteBackend
from tests.conftest import OpenStore, pause

LONG_S, MANY = 30, 100


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[SqliteBackend]:
    made = SqliteBackend("shop", tmp_path / "shop", "normal")
    yield made
    made.close()


@contextmanager
def calling(*calls: Callable[[], Any]) -> Iterator[list[threading.Thread]]:
    """Call functions in threads of their own, and wait for their ends."""
    threads = [threading.Thread(target=call, daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    yield threads
    for thread in threads:
        thread.join(LONG_S)
        assert not thread.is_alive()


def until(condition: Callable[[], Any]) -> None:
    while not condition():
        pause()


def test_who_is_patient_is_committed_after_those_who_came_later_and_apart(
    backend: SqliteBackend,
) -> None:
    begun, may_end = threading.Event(), threading.Event()
    done: list[tuple[str, object]] = []

    def first(_: Transaction) -> None:
        begun.set()
        assert may_end.wait(LONG_S)

    def note(name: str) -> Callable[[Transaction], None]:
        return lambda tx: done.append((name, tx.memo.setdefault("transaction", object())))

    sharing = backend._sharing
    with calling(lambda: backend.write(first)):
        assert begun.wait(LONG_S)
        with calling(lambda: backend.write(note("patient"), is_patient=True)):
            until(lambda: sharing._patient)
            with calling(*[lambda: backend.write(note("other"))] * 2):
                until(lambda: len(sharing._waiting) == 2)
                may_end.set()
    assert [name for name, _ in done] == ["other", "other", "patient"]
    assert done[0][1] is done[1][1] is not done[2][1]


def test_who_is_patient_has_a_turn_however_many_others_come(backend: SqliteBackend) -> None:
    """It waits for some commits, and in each of them another caller comes."""
    threads, is_over = list[threading.Thread](), threading.Event()

    def come() -> None:
        threads.append(threading.Thread(target=backend.write, args=(work,), daemon=True))
        threads[-1].start()

    def work(_: Transaction) -> None:
        if len(threads) < MANY and not is_over.is_set():
            come()
            until(lambda: backend._sharing._waiting or is_over.is_set())

    def end(_: Transaction) -> None:
        is_over.set()

    come()
    with calling(lambda: backend.write(end, is_patient=True)):
        pass
    for thread in threads:
        thread.join(LONG_S)
    assert len(threads) < MANY


@dataclass
class Doc:
    id: int
    text: str
    loud: str


@motion.trigger(on="doc.text", sets="doc.loud", inline=False)
def loud(text: str) -> str:
    return text.upper()


def test_results_are_patient_where_they_are_of_work_in_bulk(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(schemas={"doc": Doc}, triggers=[loud], durability="full")
    backend, patient = store._database.backend, list[bool]()
    write = backend.write

    def noted(work: Any, *, is_patient: bool = False, **how: Any) -> Any:
        patient.append(is_patient)
        return write(work, is_patient=is_patient, **how)

    monkeypatch.setattr(backend, "write", noted)
    store.set("doc", id=1, text="a").wait()
    assert not any(patient)
    store.backfill(loud, force=True).wait()
    assert any(patient)
