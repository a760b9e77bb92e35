"""P1, P2, P8 and P11 at every fault point: a process is killed there, and what is left goes on as if nothing had been.

Two stories, one of data and one of a model, pass every point in `faults.POINTS`. A process that tells a story is killed
with SIGKILL at a point; another one opens the store, goes on with the first step that was not acknowledged, and must
end as a process does that was never disturbed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import motion
from motion import faults

# -- the data story --


@dataclass
class Doc:
    id: int
    text: str
    loud: str
    size: int
    later: str
    both: str
    shaky: str
    fragile: str
    beside: str
    word: str
    word_page: int
    long_word: str


@dataclass
class Chunk:
    id: int
    doc: int
    item: int
    text: str
    loud: str


@dataclass
class Note:
    """Made by a free write: its id is new each time, so a run that took effect twice would show."""

    id: int
    doc: int
    text: str


@motion.trigger(on="doc.text", sets="doc.loud", inline=True)
def shout(text: str) -> str:
    return text.upper()


@motion.trigger(on="doc.loud", sets="doc.size")
def measure(loud: str) -> int:
    return len(loud)


@motion.trigger(on="doc.size", sets="doc.later")
async def count_later(size: int) -> str:
    return f"{size} letters"


@motion.trigger(on=("doc.text", "doc.later"), sets="doc.both", batch=4)
def join(text: list[str], later: list[str]) -> list[str]:
    return [f"{one}: {other}" for one, other in zip(text, later, strict=True)]


TRIED: set[str] = set()


@motion.trigger(on="doc.text", sets="doc.shaky", retries=5, version="1")  # TRIED is no code
def shake(text: str) -> str:
    if text not in TRIED:
        TRIED.add(text)
        raise RuntimeError("the first time in each process")
    return text[::-1]


@motion.trigger(on="doc.text", sets="doc.fragile")
def break_some(text: str) -> str:
    if text.startswith("bad"):
        raise ValueError("bad")
    return text


@motion.trigger(on="doc.text", sets="doc.beside", follow=True)
def look_beside(id: int, text: str, store: motion.View) -> str:
    other = store.get("doc", id % 8 + 1, keys=("loud",))
    return f"{text} beside {other and other.loud}"


@motion.trigger(on="doc.text", sets="doc.word", page="word_page")
def words(text: str) -> Iterator[str]:
    yield from text.split()


@motion.trigger(on="doc.word", sets="doc.long_word", batch=8)
def stretch(word: list[str]) -> list[str]:
    return [each * 2 for each in word]


@motion.trigger(on="doc.text", sets="chunk")
def cut(id: int, text: str) -> list[dict[str, Any]]:
    return [{"doc": id, "item": i, "text": word} for i, word in enumerate(text.split())]


@motion.trigger(on="chunk.text", sets="chunk.loud", retries=1)
def shout_chunk(text: str) -> str:
    return text.upper()


@motion.trigger(on="doc.text")
def journal(id: int, text: str, store: motion.View) -> None:
    store.set("note", doc=id, text=text)


@motion.trigger(on="doc.text", once=True)
def greet(id: int, store: motion.View) -> None:
    store.set("note", doc=id, text="hello")


@dataclass
class Loop:
    id: int
    n: int


@motion.trigger(on="loop.n")
def turn(id: int, n: int, store: motion.View) -> None:
    store.set("loop", id=id, n=n + 1)  # without end, so at some depth it cannot be committed


def set_one(store: motion.Store) -> None:
    store.set("doc", id=1, text="a b c")


def set_many(store: motion.Store) -> None:
    rows = [{"id": id, "text": f"w{id} x y"} for id in range(2, 6)]
    store.set_many(
        "doc", [*rows, {"id": 6, "text": "even"}, {"id": 7, "text": "bad"}], commit_every=4
    )


def change_several(store: motion.Store) -> None:
    store.wait(timeout=600)
    with store.transaction() as tx:
        tx.set("doc", id=1, text="d e")
        tx.delete("doc", 2)
        tx.set("doc", id=8, text="f")


def set_in_a_crowd(store: motion.Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = range(10, 34)
        list(pool.map(lambda id: store.set("doc", id=id, text=f"t{id % 3}"), ids))


def turn_without_end(store: motion.Store) -> None:
    store.set_many("loop", [{"id": 1, "n": 0}, {"id": 2, "n": 0}])


def delete_one(store: motion.Store) -> None:
    store.delete("doc", 3)


def forget_one(store: motion.Store) -> None:
    store.forget("doc", 5)


def load_and_prune(store: motion.Store) -> None:
    store.wait(timeout=600)
    store.set_many("doc", [{"id": 11, "text": "t2"}, {"id": 35, "text": "t1"}], prune="text")


def override(store: motion.Store) -> None:
    store.wait(timeout=600)
    store.set("doc", id=4, loud="by a user")


def backfill(store: motion.Store) -> None:
    store.wait(timeout=600)
    store.backfill("measure", force=True)


def dump_of_docs(store: motion.Store) -> Any:
    store.wait(timeout=600)
    chunks = [(row.doc, row.item, row.text, row.loud) for row in store.rows("chunk")]
    return (
        store.rows("doc", inherit=False),
        store.rows("loop"),
        sorted(chunks),
        sorted((row.doc, row.text) for row in store.rows("note")),
        sorted((letter.trigger, letter.row, letter.attempts) for letter in store.errors()),
        {name: sorted(counts.items()) for name, counts in store.status().tasks.items()},
    )


# -- the model story --


@dataclass
class Item:
    id: int
    text: str
    label: int
    answer: int
    about: str
    vector: np.ndarray


class Scale(motion.Component):
    """Each fit adds the labels that it learns from to a number, so a label learned twice or never shows."""

    def setup(self) -> dict[str, Any]:
        return {"weights": np.array([1.0])}

    @motion.infer(on="item.text", sets="item.vector", refresh="before")
    def embed(self, state: dict[str, Any], text: str) -> np.ndarray:
        return np.array([state["weights"][0], len(text)], np.float32)

    @motion.infer(on="item.text", sets="item.answer", refresh="after")
    def answer(self, state: dict[str, Any], text: str) -> int:
        return int(state["weights"][0])

    @motion.fit(on="item.label", every=2, promote=motion.if_better("sum"))
    def learn(self, state: dict[str, Any], rows: list[Item]) -> dict[str, Any]:
        return {"weights": state["weights"] + sum(row.label for row in rows)}

    def evaluate(self, state: dict[str, Any], rows: list[Item]) -> dict[str, float]:
        return {"sum": float(state["weights"][0])}


@motion.trigger(on="item.vector", sets="item.about")
def describe(vector: np.ndarray) -> str:
    return str(vector.tolist())


def add_items(store: motion.Store) -> None:
    store.set_many("item", [{"id": id, "text": "x" * id} for id in range(1, 5)])
    store.wait(timeout=600)


def label_two(store: motion.Store) -> None:
    store.set_many("item", [{"id": 1, "label": 10}, {"id": 2, "label": 20}])
    store.wait(timeout=600)


def label_more(store: motion.Store) -> None:
    store.set_many("item", [{"id": 3, "label": 300}, {"id": 4, "label": 400}])
    store.wait(timeout=600)


def add_one_more(store: motion.Store) -> None:
    store.set("item", id=5, text="fifth")


def dump_of_items(store: motion.Store) -> Any:
    store.wait(timeout=600)
    rows = [
        (r.id, r.text, r.label, r.answer, r.about, r.vector.tolist()) for r in store.rows("item")
    ]
    versions = [(v.number, v.status, v.parent, v.rows) for v in store.model("Scale").versions()]
    found = [hit.id for hit in store.search("item.vector", [1.0, 0.0], k=10)]
    return rows, versions, sorted(found), store.errors(), store.status().tasks


# -- telling a story --


@dataclass(frozen=True)
class Story:
    schemas: dict[str, type]
    triggers: Callable[[], list[Any]]
    steps: Sequence[Callable[[motion.Store], None]]
    dump: Callable[[motion.Store], Any]


DATA = [
    shout, measure, count_later, join, shake, break_some, look_beside, words, stretch, cut, shout_chunk, journal, greet,
    turn,
]  # fmt: skip
STORIES = {
    "data": Story(
        {"doc": Doc, "chunk": Chunk, "note": Note, "loop": Loop},
        lambda: DATA,
        [
            set_one,
            set_many,
            turn_without_end,
            change_several,
            set_in_a_crowd,
            delete_one,
            forget_one,
            load_and_prune,
            override,
            backfill,
        ],
        dump_of_docs,
    ),
    "model": Story(
        {"item": Item},
        lambda: [Scale(), describe],
        [add_items, label_two, label_more, add_one_more],
        dump_of_items,
    ),
}


def tell(name: str, folder: Path) -> Any:
    """Do what is left of a story, noting each step that is done, and return what is in the store in the end."""
    story = STORIES[name]
    with motion.create_store(
        name, schemas=story.schemas, triggers=story.triggers(), url=f"sqlite:///{folder}"
    ) as store:
        notes = folder / "acknowledged"
        done = len(notes.read_text()) if notes.exists() else 0
        for step in story.steps[done:]:
            step(store)
            with notes.open("a") as file:
                file.write(".")
        return story.dump(store)


def tell_until(name: str, folder: Path, point: str, nth: int) -> None:
    """Tell a story, and end like a power cut would when a point is reached for the n-th time."""
    count, lock = 0, threading.Lock()

    def kill(reached: str) -> None:
        nonlocal count
        if reached == point:
            with lock:
                count += 1
                if count == nth:
                    os.kill(os.getpid(), signal.SIGKILL)

    faults.arm(kill)
    tell(name, folder)


def tell_undisturbed(name: str, folder: Path, answer: Any) -> None:
    reached: Counter[str] = Counter()
    lock = threading.Lock()

    def note(point: str) -> None:
        with lock:
            reached[point] += 1

    faults.arm(note)
    end = tell(name, folder)
    answer.send((end, dict(reached)))
    answer.close()


SPAWN = multiprocessing.get_context("forkserver")
SPAWN.set_forkserver_preload(["tests.promises.test_faults"])


def in_a_process(function: Callable[..., None], *arguments: Any) -> int | None:
    """Run a function in a process of its own, and return how that ended."""
    process = SPAWN.Process(target=function, args=arguments)
    process.start()
    process.join(600)
    code = process.exitcode
    if code is None:
        process.kill()
        process.join()
    process.close()
    return code


# -- the tests --


@dataclass(frozen=True)
class Undisturbed:
    """What a story comes to, and how often it passes each point."""

    end: Any
    reached: dict[str, int]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Undisturbed]:
    found = {}
    for name in STORIES:
        here, there = SPAWN.Pipe(duplex=False)
        process = SPAWN.Process(
            target=tell_undisturbed, args=(name, tmp_path_factory.mktemp(name), there)
        )
        process.start()
        there.close()
        found[name] = Undisturbed(*here.recv())
        process.join()
        process.close()
        here.close()
    return found


POINTS = list(faults.POINTS)

MODEL_POINTS = {
    p for p in faults.POINTS if p.partition(".")[0] in ("state", "fit", "candidate", "switch")
}
AFTER_A_CRASH = {"task.taken"}


def story_of(point: str) -> str:
    return "model" if point in MODEL_POINTS else "data"


def kill_and_go_on(point: str, nth: int, folder: Path, undisturbed: Undisturbed) -> bool:
    """Kill a story's process at a point, go on with it here, and hold its end against the undisturbed one.

    Returns:
        Whether the process came to the point.
    """
    name = story_of(point)
    if point in AFTER_A_CRASH:
        assert in_a_process(tell_until, name, folder, "task.claimed", 1) == -signal.SIGKILL
    code = in_a_process(tell_until, name, folder, point, nth)
    assert code in (0, -signal.SIGKILL)
    assert tell(name, folder) == undisturbed.end
    return code != 0


def test_every_point_in_the_code_is_listed_and_every_listed_one_is_in_the_code() -> None:
    source = Path(motion.__file__).parent
    own = source / "backends" / "postgres.py"  # each back end comes to these
    code = {path: path.read_text() for path in source.rglob("*.py")}
    places = Counter(point for path in code if path != own for point in points_in(code[path]))
    assert places == dict.fromkeys(faults.POINTS, 1)
    of_each = {"write.begun", "write.applied", "write.committed", "forget.rewritten"}
    assert set(points_in(code[own])) == of_each


def points_in(code: str) -> list[str]:
    return [part.partition('")')[0] for part in code.split('reach("')[1:]]


@pytest.mark.parametrize("point", POINTS)
def test_p1_p2_p8_a_process_killed_at_any_point_changes_nothing(
    point: str, tmp_path: Path, undisturbed: dict[str, Undisturbed]
) -> None:
    assert kill_and_go_on(point, 1, tmp_path, undisturbed[story_of(point)]), "never reached"


@pytest.mark.crash
@pytest.mark.parametrize("point", POINTS)
def test_p1_p2_p8_nor_does_one_that_is_killed_there_later(
    point: str, tmp_path: Path, undisturbed: dict[str, Undisturbed]
) -> None:
    story = undisturbed[story_of(point)]
    times = story.reached.get(point, 1)
    for nth in sorted({2, 3, 5, times // 4, times // 2, 3 * times // 4, times} - {0, 1}):
        if nth <= times:
            kill_and_go_on(point, nth, tmp_path / str(nth), story)
