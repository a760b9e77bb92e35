"""Folds in several processes that are killed: they end as a fold by hand over the rows that are there."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import motion
from tests.conftest import OpenStore

ROOT = Path(__file__).parents[2]


@dataclass
class Event:
    id: int
    ts: int
    who: int
    n: int
    total: int


@dataclass
class Person:
    id: int
    story: str
    heard: str


@motion.fold(on="event.n", by="event.who", sets="person.story")
async def tell(story: str | None, id: int, n: int) -> str:
    await asyncio.sleep(0)
    return f"{story or ''} {id}:{n}"


@motion.fold(on="event.n", by="event.who", sets="event.total")
def add(total: int | None, n: int) -> int:
    return (total or 0) + n


@motion.fold(on="event.n", by="event.who", sets="person.heard", replay=False)
def hear(heard: str | None, id: int, n: int) -> str:
    return f"{heard or ''} {id}:{n}"


SCHEMAS = {"event": Event, "person": Person}
TRIGGERS = [tell, add, hear]


def write(folder: str, seed: int) -> None:
    """Set, move and delete rows without end, saying so after each. Runs in a process of its own."""
    chance = random.Random(seed)
    store = motion.create_store("folds", schemas=SCHEMAS, triggers=TRIGGERS, url=folder)
    while True:
        row = chance.randrange(1, 30)
        if chance.random() < 0.2:
            store.delete("event", row)
        else:
            store.set(
                "event",
                id=row,
                ts=chance.randrange(20),
                who=chance.randrange(1, 4),
                n=chance.randrange(9),
            )
        print("done", flush=True)  # noqa: T201 - the message to the process that kills this one


def start(folder: str, seed: int) -> subprocess.Popen[str]:
    code = f"import tests.promises.test_folds_killed as here; here.write({folder!r}, {seed})"
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def let_write_and_kill(processes: Sequence[subprocess.Popen[str]], lines: int) -> None:
    for process in processes:
        assert process.stdout is not None
        for _ in range(lines):
            assert process.stdout.readline() == "done\n"
    for process in processes:
        process.kill()
        process.communicate()


def assert_as_by_hand(store: motion.Store) -> None:
    assert not store.errors()
    rows = sorted(store.rows(Event), key=lambda row: (row.ts, row.id))
    stories, totals = dict[int, str](), dict[int, int]()
    for row in rows:
        stories[row.who] = f"{stories.get(row.who, '')} {row.id}:{row.n}"
        totals[row.who] = totals.get(row.who, 0) + row.n
        assert row.total == totals[row.who], row
    assert {row.id: row.story for row in store.rows(Person) if row.story is not None} == stories
    assert_heard_once(store)


def assert_heard_once(store: motion.Store) -> None:
    """What is not stale holds each row once, and a backfill makes the others so."""
    for is_told in (
        lambda row: not store.explain("person", row.id, "heard").is_due,
        lambda _: True,
    ):
        for row in filter(is_told, store.rows(Person)):
            assert sorted((row.heard or "").split()) == sorted((row.story or "").split())
        store.backfill("hear").wait(timeout=60)


@pytest.mark.parametrize("seed", [1, 2])
def test_p14_folds_are_right_after_kills_in_two_processes(
    open_store: OpenStore, tmp_path: Path, seed: int
) -> None:
    chance, folder = random.Random(seed), f"sqlite:///{tmp_path / 'folds.motion'}"
    for kill in range(3):
        let_write_and_kill(
            [start(folder, 100 * seed + 2 * kill + i) for i in (0, 1)], chance.randrange(5, 40)
        )
    store = open_store("folds", schemas=SCHEMAS, triggers=TRIGGERS, url=folder)
    store.wait(timeout=60)
    assert_as_by_hand(store)
