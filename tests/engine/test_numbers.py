"""Numbers: what names a task, a claim or a row names no other one later, whatever was dropped or deleted meanwhile."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import motion
from tests.conftest import OpenStore, pause, until
from tests.executors.test_processes import Item as Shared
from tests.executors.test_processes import Process, Start, start, url

__all__ = ["Process", "start", "url"]

FORMAT_1 = Path(__file__).with_name("format_1.sql")
"""A store as the first format had it: waiting tasks, dead letters, a label, rows with names and pages."""

FORMAT_2 = Path(__file__).with_name("format_2.sql")
"""The same as the second format had it, with a backfill that is under way."""

FORMAT_3 = Path(__file__).with_name("format_3.sql")
"""The same as the third format had it."""

FORMAT_4 = Path(__file__).with_name("format_4.sql")
"""The same as the fourth format had it."""

FORMAT_5 = Path(__file__).with_name("format_5.sql")
"""The same as the fifth format had it."""

OLDER = [FORMAT_1, FORMAT_2, FORMAT_3]


@dataclass
class Note:
    id: str
    page: int
    text: str
    length: int
    other: int
    doubled: int
    liked: bool


SCHEMAS = {"note": Note}
BUILDING, LIVE = threading.Event(), threading.Event()
MAY_END_BUILDING, MAY_END_LIVE = threading.Event(), threading.Event()


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    for each in (BUILDING, LIVE, MAY_END_BUILDING, MAY_END_LIVE):
        each.clear()
    yield
    MAY_END_BUILDING.set()
    MAY_END_LIVE.set()


class Ruler(motion.Component, keep_outputs=3):
    """Its lengths are multiples of its state; those of its third version are held."""

    def setup(self) -> int:
        return 1

    @motion.infer(on="note.text", sets="note.length", refresh="before")
    def measure(self, state: int, text: str) -> int:
        if state == 3:
            BUILDING.set()
            assert MAY_END_BUILDING.wait(30)
        return state * len(text)

    @motion.fit(on="note.liked")
    def learn(self, state: int, rows: list[Note]) -> int:
        return state + 1


@motion.trigger(on="note.other", sets="note.doubled", inline=False)
def double(other: int) -> int:
    LIVE.set()
    assert MAY_END_LIVE.wait(30)
    return 2 * other


@pytest.mark.parametrize("rows", [1, 3])
def test_a_build_that_is_dropped_while_it_runs_ends_no_other_work(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setenv("MOTION_WORKER_THREADS", "2")  # one builds, one runs what is live
    store = open_store(schemas=SCHEMAS, triggers=[Ruler(), double])
    model = store.model("Ruler")
    store.set("note", id="0", text="text", liked=True).wait()
    model.fit()
    store.wait(timeout=60)  # version 2 is live
    store.set("note", id="0", liked=False)
    model.fit()
    assert BUILDING.wait(60)
    model.rollback()  # drops the build that is under way
    change = store.set_many("note", [{"id": str(i), "other": 20 + i} for i in range(rows)])
    assert LIVE.wait(30)
    MAY_END_BUILDING.set()
    store.set("note", id="x", text="next").wait()  # by the thread that has ended the build
    MAY_END_LIVE.set()
    change.wait()
    store.wait(timeout=60)
    assert [row.doubled for row in store.rows("note")] == [*range(40, 40 + 2 * rows, 2), None]
    assert store.status().tasks == {}


def test_a_call_that_ends_after_its_claim_was_found_void_is_dropped_without_a_word(
    open_store: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    calls, may_end = Counter[str](), {each: threading.Event() for each in "abc"}

    @motion.trigger(on="note.other", sets="note.doubled", concurrency=3, inline=False)
    def double_late(id: str, other: int) -> int:
        calls[id] += 1
        if calls[id] == 1:
            assert may_end[id].wait(60)
        return 2 * other

    with open_store(schemas=SCHEMAS, triggers=[double_late], run=False) as store:
        store.set_many("note", [{"id": "a", "other": 1}, {"id": "b", "other": 2}])
        store.set("note", id="c", other=3)
    store = open_store(schemas=SCHEMAS, triggers=[double_late])
    until(store, lambda: len(calls) == 3)
    thread = threading.Thread(target=store.forget, args=("note", "x"))  # voids what is under way
    thread.start()
    void = "select count(*) n from motion_tasks where claim > 1"
    until(store, lambda: store.sql(void)["n"][0].as_py() == 2)
    may_end["a"].set()
    while calls["a"] < 2:
        pause()
    may_end["b"].set()
    while calls["b"] < 2:
        pause()
    may_end["c"].set()
    store.wait(timeout=60)
    thread.join(60)
    assert [row.doubled for row in store.rows("note")] == [2, 4, 6]
    assert caplog.records == []


def test_the_number_of_a_deleted_row_is_not_given_to_the_next_one(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS)
    numbers = []
    for name in ("a", "b", "c"):
        store.set("note", id=name, text="text")
        numbers += [each["row"] for each in store.sql(ROW_NUMBERS).to_pylist()]
        store.delete("note", name)
    store.set_many("note", [{"id": name, "text": "text"} for name in ("d", "e")])
    numbers += [each["row"] for each in store.sql(ROW_NUMBERS).to_pylist()]
    assert len(set(numbers)) == 5


ROW_NUMBERS = 'select ":row" as row from motion_rows_note'


# -- rows that are made again under the same id --


@dataclass
class Item:
    id: int
    text: str
    length: int
    liked: bool


class Liking(motion.Component):
    def setup(self) -> int:
        return 1

    @motion.fit(on="item.liked")
    def learn(self, state: int, rows: list[Item]) -> int:
        return state + len(rows)


def test_a_row_made_again_meets_no_label_and_no_dead_letter_of_the_one_that_was_deleted(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on="item.text", sets="item.length", inline=False)
    def measure(text: str) -> int:
        raise ValueError("not today")

    def opened(*triggers: object) -> motion.Store:
        return open_store(schemas={"item": Item}, triggers=triggers, run=True)

    store = opened(measure, Liking())
    store.set("item", id=1, text="text", liked=True).wait(raise_errors=False)
    assert len(store.errors()) == 1
    store.close()
    store = opened()  # neither of them is there while the row goes
    store.delete("item", 1)
    store.set("item", id=1)
    store.close()
    store = opened(measure, Liking())
    assert store.errors() == []
    assert store.sql("select count(*) as n from motion_labels").to_pylist() == [{"n": 0}]


# -- fits --

SLOW_FIT = """
import threading
from pathlib import Path

class Slow(motion.Component):
    def setup(self) -> int:
        return 1

    @motion.fit(on="item.value")
    def learn(self, state: int, rows: list[Item], store: motion.View) -> int:
        folder = Path(sys.argv[1].removeprefix("sqlite:///"))
        (folder / "begun").touch()
        while not (folder / "go on").exists():
            threading.Event().wait(0.01)
        return state + 100

store = opened(triggers=[Slow()])
store.set("item", id=1, value=1)
store.model("Slow").fit()
input()
store.set("item", id=1, value=2)
store.model("Slow").fit()
store.wait(timeout=60)
with store.model("Slow").live() as (state, _):
    say([state, *(each.status for each in store.model("Slow").versions())])
"""


def test_a_fit_that_was_taken_over_makes_no_version_when_its_first_process_comes_back(
    open_store: OpenStore, url: str, start: Start
) -> None:
    class Slow(motion.Component):
        def setup(self) -> int:
            return 1

        @motion.fit(on="item.value")
        def learn(self, state: int, rows: list[Shared]) -> int:
            return state + 1

    folder = Path(url.removeprefix("sqlite:///"))
    slow = start(SLOW_FIT)
    while not (folder / "begun").exists():
        pause()
    for file in (folder / "processes").iterdir():  # as when a machine was asleep for too long
        file.unlink()
    store = open_store("shared", schemas={"item": Shared}, triggers=[Slow()], url=url)
    until(store, lambda: len(store.model("Slow").versions()) == 2)
    store.wait(timeout=60)
    store.close()
    (folder / "go on").touch()
    slow.tell("and once more")  # which learns from what the store has by now
    assert slow.hear() == "[102, 'retired', 'retired', 'live']"


SLOW_RUN = """
import threading
from pathlib import Path

@motion.trigger(on="item.value", name="note", version="1")
def note(value: int, store: motion.View) -> None:
    store.set("item", who="the first")
    folder = Path(sys.argv[1].removeprefix("sqlite:///"))
    (folder / "begun").touch()
    while not (folder / "go on").exists():
        threading.Event().wait(0.01)

store = opened(triggers=[note])
store.set("item", id=1, value=1)
input()
store.set("item", id=2, value=2)  # whose call begins when the one before has ended
store.wait(timeout=60)
say(sorted(row.who for row in store.rows("item") if row.who))
"""


def test_p2_a_run_that_was_taken_over_writes_nothing_when_its_first_process_comes_back(
    open_store: OpenStore, url: str, start: Start
) -> None:
    @motion.trigger(on="item.value", name="note", version="1")
    def note(value: int, store: motion.View) -> None:
        store.set("item", who="the second")

    folder = Path(url.removeprefix("sqlite:///"))
    slow = start(SLOW_RUN)
    while not (folder / "begun").exists():
        pause()
    for file in (folder / "processes").iterdir():  # as when a machine was asleep for too long
        file.unlink()
    store = open_store("shared", schemas={"item": Shared}, triggers=[note], url=url)
    store.wait(timeout=60)
    store.close()
    (folder / "go on").touch()
    slow.tell("and once more")
    assert slow.hear() == "['the first', 'the second']"


# -- stores of the format before --


class Taste(motion.Component):
    def setup(self) -> int:
        return 1

    @motion.infer(on="note.text", sets="note.length")
    def measure(self, state: int, text: str) -> int:
        return state * len(text)

    @motion.fit(on="note.liked", every=100)
    def learn(self, state: int, rows: list[Note]) -> int:
        return state + 1


def of_format(older: Path, folder: Path, change: str) -> None:
    """Put a store of an older format in a folder, and change it."""
    folder.mkdir()
    file = sqlite3.connect(folder / "store.sqlite")
    file.executescript(older.read_text() + change)
    file.close()


@pytest.mark.parametrize("older", [*OLDER, FORMAT_4, FORMAT_5], ids=["1", "2", "3", "4", "5"])
def test_a_store_of_an_older_format_goes_on_where_it_was(
    older: Path, tmp_path: Path, open_store: OpenStore
) -> None:
    mourned = []

    @motion.trigger(on=motion.deleted("note"))
    def mourn(text: str) -> None:
        mourned.append(text)

    under_way = (  # a forced backfill: the first row is made again
        "INSERT INTO motion_backfills VALUES (12, 'Taste.measure', 'backfill', 1, 1, 1, 1, NULL, x'90', 1);"
        "UPDATE motion_rows_note SET length = 0 WHERE length = 3;"
    )
    of_format(older, tmp_path / "shop.motion", under_way if older is FORMAT_1 else "")
    store = open_store(schemas=SCHEMAS, triggers=[Taste(), mourn])
    store.wait(timeout=60)
    assert [row.length for row in store.rows("note")] == [3, None, 5]
    assert mourned == ["four"]
    assert [letter.trigger for letter in store.errors()] == ["Taste.measure", "mourn"]
    store.retry()
    store.delete("note", "e")
    store.set("note", id="f", text="six six").wait()
    store.wait(timeout=60)
    assert [row.length for row in store.rows("note")] == [3, 2, 7]
    assert sorted(mourned) == ["four", "hold", "waits"]
    assert store.errors() == []
    assert [str(each) for each in store.sql("select format from motion_clock")["format"]] == ["7"]


@pytest.mark.parametrize("older", OLDER, ids=["1", "2", "3"])
def test_what_was_asked_for_in_an_older_format_is_done(
    older: Path, tmp_path: Path, open_store: OpenStore
) -> None:
    asked = "INSERT INTO motion_fit_requests (fit, change) VALUES ('Taste.learn', 12), ('Taste.setup 0', 12);"
    of_format(older, tmp_path / "shop.motion", asked)
    store = open_store(schemas=SCHEMAS, triggers=[Taste()])
    store.wait(timeout=60)
    made = [version for version in store.model("Taste").versions() if version.rows]
    assert [(each.status, each.rows) for each in made] == [("live", 1)]
    assert len(store.sql("select * from motion_fit_requests")) == 0
