"""Suspects: a row that ends its process is found, alone, and costs the others nothing but time."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import motion
from tests.conftest import OpenStore, until
from tests.executors.test_processes import Item, Process, Start, start, url

__all__ = ["Process", "start", "url"]


@dataclass
class Thing:
    id: int
    text: str
    first: str
    done: str
    slow: int
    slowed: int


DEADLY = """
import os, signal, sys, threading
from dataclasses import dataclass
import motion

@dataclass
class Item:
    id: int
    text: str
    first: str
    done: str
    slow: int
    slowed: int

def die():
    os.kill(os.getpid(), signal.SIGKILL)

{triggers}

@motion.trigger(on="item.slow", sets="item.slowed")
def innocent(slow: int) -> int:
    threading.Event().wait(1.5)  # under way whenever the process ends
    return slow

with motion.create_store("shop", schemas={{"item": Item}}, triggers=[*own, innocent], url=sys.argv[1]) as store:
    if not store.rows("item", limit=1):
        rows = [{{"id": i, "text": str(i)}} for i in range(1, {count} + 1)]
        store.set_many("item", [*rows, *({{"id": 1000 + i, "slow": 1 + i}} for i in range(3))])
    store.wait(timeout=60)
"""

BATCH = """
@motion.trigger(on="item.text", sets="item.done", batch=64)
def run(text: list[str]) -> list[str]:
    if "40" in text:
        die()
    return text

own = [run]
"""

ROWS = """
@motion.trigger(on="item.text", sets="item.done", inline=False)
def run(text: str) -> str:
    if text in ("3", "9"):
        die()
    return text

own = [run]
"""

CHAIN = """
@motion.trigger(on="item.text", sets="item.first", inline=False)
def first(text: str) -> str:
    return text

@motion.trigger(on="item.first", sets="item.done", inline=False)
def run(first: str) -> str:
    if first == "33":
        die()
    return first

own = [first, run]
"""

ASYNC = """
@motion.trigger(on="item.text", sets="item.done")
async def run(text: str) -> str:
    if text == "7":
        die()
    return text

own = [run]
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("triggers", "count", "deadly", "processes"),
    [
        (BATCH, 64, [40], 14),
        (ROWS, 16, [3, 9], 26),
        (CHAIN, 100, [33], 26),
        (ASYNC, 32, [7], 14),
    ],
    ids=["batch", "rows", "chain", "async"],
)
def test_p10_rows_that_end_their_process_are_set_aside_and_no_others(
    open_store: OpenStore,
    tmp_path: Path,
    triggers: str,
    count: int,
    deadly: list[int],
    processes: int,
) -> None:
    url = f"sqlite:///{tmp_path / 'shop.motion'}"
    code = DEADLY.format(triggers=triggers, count=count)
    ends: list[int] = []
    while ends[-1:] != [0] and len(ends) < processes:
        ends.append(subprocess.run([sys.executable, "-c", code, url], check=False).returncode)
    assert ends[-1] == 0, f"{processes} processes were not enough"
    store = open_store("shop", schemas={"item": Thing}, url=url)
    missing = [row.id for row in store.rows("item") if (row.done or row.slowed) is None]
    assert missing == deadly
    given = "first" if triggers is CHAIN else "text"
    assert {each.trigger for each in store.errors()} == {"run"}
    assert {(each.row, each.inputs) for each in store.errors()} == {
        (f"id={i}", f"{given}='{i}'") for i in deadly
    }


LONG = """
import threading

@motion.trigger(on="item.value", sets="item.double", version="1", inline=False)
def long(value: int) -> int:
    say("began")
    threading.Event().wait()

store = opened(triggers=[long])
store.set("item", id=1, value=21)
input()
"""


def test_a_long_run_that_was_lost_twice_is_made_again_and_holds_up_others_for_a_moment_only(
    open_store: OpenStore, url: str, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):  # as when a service is deployed, and killed for that
        victim = start(LONG)
        assert victim.hear() == "began"
        victim.kill()
    monkeypatch.setattr("motion.engine.policies.suspects.ALONE_S", 0.3)
    began, may_end, busy, may_end_busy = (threading.Event() for _ in range(4))

    @motion.trigger(on="item.value", sets="item.double", version="1", inline=False)
    def long(value: int) -> int:
        began.set()
        assert may_end.wait(30)
        return 2 * value

    @motion.trigger(on="item.who", sets="item.place", inline=False, concurrency=2)
    def other(who: str) -> np.ndarray[Any, Any]:
        if who == "busy":
            busy.set()
            assert may_end_busy.wait(30)
        return np.ones(2)

    store = open_store("shared", schemas={"item": Item}, triggers=[long, other], url=url, run=False)
    store.set("item", id=2, who="busy")
    store.close()
    store = open_store("shared", schemas={"item": Item}, triggers=[long, other], url=url)
    assert busy.wait(30)
    assert began.wait(30)
    store.set("item", id=3, who="quick").wait()  # beside the suspect
    may_end.set()
    until(store, lambda: store.get("item", 1).double == 42)
    may_end_busy.set()
    store.wait(timeout=60)
    assert store.errors() == []
