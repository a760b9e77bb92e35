"""What is followed, in several processes that are killed: all ends as if derived from scratch."""

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
class Node:
    """A row that names an earlier one, so that rows follow each other without a circle."""

    id: int
    before: int
    n: int
    beside: int
    along: int


@motion.trigger(on=("node.n", "node.before"), sets="node.beside", follow=True)
async def beside(n: int, before: int, store: motion.View) -> int:
    other = store.get(Node, before, keys=("n",))
    await asyncio.sleep(0)
    return 100 * n + (-1 if other is None else other.n or 0)


@motion.trigger(on=("node.n", "node.before"), sets="node.along", follow=True)
def along(n: int, before: int, store: motion.View) -> int:
    other = store.get(Node, before)
    return n + (1000 if other is None else other.along or 0)


SCHEMAS = {"node": Node}
TRIGGERS = [beside, along]


def write(folder: str, seed: int) -> None:
    """Set and delete rows without end, saying so after each. Runs in a process of its own."""
    chance = random.Random(seed)
    store = motion.create_store("nodes", schemas=SCHEMAS, triggers=TRIGGERS, url=folder)
    while True:
        row = chance.randrange(1, 20)
        if chance.random() < 0.2:
            store.delete("node", row)
        else:
            store.set("node", id=row, before=chance.randrange(row), n=chance.randrange(9))
        print("done", flush=True)  # noqa: T201 - the message to the process that kills this one


def start(folder: str, seed: int) -> subprocess.Popen[str]:
    code = f"import tests.promises.test_follow_killed as here; here.write({folder!r}, {seed})"
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


def assert_as_from_scratch(store: motion.Store) -> None:
    assert not store.errors()
    rows = {row.id: row for row in store.rows(Node)}
    lengths = dict[int, int]()
    for id in sorted(rows):  # a row names an earlier one
        row, other = rows[id], rows.get(rows[id].before)
        lengths[id] = row.n + (1000 if other is None else lengths[other.id])
        assert row.beside == 100 * row.n + (-1 if other is None else other.n), row
        assert row.along == lengths[id], row


@pytest.mark.parametrize("seed", [1, 2])
def test_p14_what_is_followed_is_right_after_kills_in_two_processes(
    open_store: OpenStore, tmp_path: Path, seed: int
) -> None:
    chance, folder = random.Random(seed), f"sqlite:///{tmp_path / 'nodes.motion'}"
    for kill in range(3):
        let_write_and_kill(
            [start(folder, 100 * seed + 2 * kill + i) for i in (0, 1)], chance.randrange(5, 40)
        )
    store = open_store("nodes", schemas=SCHEMAS, triggers=TRIGGERS, url=folder)
    store.wait(timeout=60)
    assert_as_from_scratch(store)
