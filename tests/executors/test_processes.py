"""One store in several real processes at once."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import motion
from tests.conftest import OpenStore, until


@dataclass
class Item:
    id: int
    who: str
    value: int
    double: int
    place: np.ndarray


PREAMBLE = """
import sys
from dataclasses import dataclass

import numpy as np

import motion

@dataclass
class Item:
    id: int
    who: str
    value: int
    double: int
    place: np.ndarray

@motion.trigger(on="item.value", sets="item.double")
def double(value: int) -> int:
    return 2 * value

def opened(**options):
    return motion.create_store(
        "shared", schemas={"item": Item}, url=sys.argv[1], durability="normal", **options
    )

def say(line):
    print(line, flush=True)

"""

Start = Callable[[str], "Process"]


class Process:
    """A Python process that runs a few lines, and talks by lines.

    Attributes:
        errors: what it had written to standard error when it was killed.
    """

    errors = ""

    def __init__(self, code: str, url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PREAMBLE + code, url],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def tell(self, line: object) -> None:
        assert self._process.stdin is not None
        print(line, file=self._process.stdin, flush=True)

    def hear(self) -> str:
        """Return the next line that it says; an error of its own is shown here."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, self.end()
        return line

    def end(self) -> str:
        """Wait for its end and return what it wrote to standard error."""
        return self._process.communicate()[1]

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        if self._process.stderr is not None and not self._process.stderr.closed:
            self.errors = self._process.communicate()[1]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'shared'}"


@pytest.fixture
def start(url: str) -> Iterator[Start]:
    started: list[Process] = []

    def start_one(code: str) -> Process:
        started.append(Process(code, url))
        return started[-1]

    yield start_one
    for process in started:
        process.kill()


@pytest.fixture
def shared(open_store: OpenStore, url: str) -> motion.Store:
    return open_store("shared", schemas={"item": Item}, url=url)


WRITER = """
store = opened(run=False)
say("ready")
input()
ids = [store.set("item", who=sys.argv[0] + str(i), value=i).id for i in range(100)]
ids += [row.id for row in store.set_many("item", [{"value": i} for i in range(100)]).rows()]
say(ids)
"""


def numbers(line: str) -> list[int]:
    return [int(number) for number in line.strip("[]").split(",")]


def test_processes_that_write_at_once_have_all_their_rows_under_ids_of_their_own(
    shared: motion.Store, start: Start
) -> None:
    writers = [start(WRITER), start(WRITER)]
    assert [writer.hear() for writer in writers] == ["ready", "ready"]
    for writer in writers:
        writer.tell("go")
    mine: list[Any] = [shared.set("item", value=i).id for i in range(100)]
    ids = [*mine, *(number for writer in writers for number in numbers(writer.hear()))]
    assert len(ids) == len(set(ids)) == 500
    assert sorted(ids) == [row.id for row in shared.rows("item")]


def test_an_id_deleted_by_another_process_is_not_given_again(
    shared: motion.Store, start: Start
) -> None:
    shared.set("item", id=41)
    other = start('opened(run=False).delete("item", 41); say("deleted")')
    assert other.hear() == "deleted"
    assert shared.set("item").id == 42


ONE_BY_ONE = """
store = opened(run=False)
say("ready")
while True:
    number = int(input())
    store.set("item", id=number, value=number, place=np.array([number, 1.0]))
    say("done")
"""


def test_rows_of_another_process_are_read_at_once(shared: motion.Store, start: Start) -> None:
    other = start(ONE_BY_ONE)
    other.hear()
    for number in range(1, 20):
        other.tell(number)
        other.hear()
        assert shared.get("item", number).value == number
        assert shared.sql("select max(value) as top from item").to_pylist() == [{"top": number}]


def test_rows_of_another_process_are_found_by_search_at_once(
    shared: motion.Store, start: Start
) -> None:
    other = start(ONE_BY_ONE)
    other.hear()
    for number in range(1, 20):
        other.tell(number)
        other.hear()
        assert shared.search("item.place", [number, 1.0], k=1)[0].id == number


RUNNER = """
store = opened(triggers=[double])
store.wait()  # starts its worker
say("running")
input()
store.close()
"""


def test_a_change_made_here_is_waited_for_while_another_process_runs_its_triggers(
    shared: motion.Store, start: Start
) -> None:
    start(RUNNER).hear()
    change = shared.set("item", value=21)
    assert change.wait().rows()[0].double == 42


def test_a_change_of_another_process_is_waited_for_by_its_key(
    shared: motion.Store, start: Start
) -> None:
    start(RUNNER).hear()
    other = start('say(opened(run=False).set("item", id=7, value=21).key)')
    shared.change(int(other.hear())).wait()
    assert shared.get("item", 7).double == 42


def test_a_key_of_a_change_outlives_the_process_that_made_it(
    shared: motion.Store, start: Start
) -> None:
    start(RUNNER).hear()
    other = start('say(opened(run=False).set("item", id=7, value=21).key)')
    key = int(other.hear())
    assert other.end() == ""
    assert shared.change(key).wait().errors == []


def test_a_key_added_by_another_process_does_not_harm_those_that_do_not_know_it(
    shared: motion.Store, start: Start
) -> None:
    other = start(
        """
@dataclass
class Wider(Item):
    color: str = "red"

store = motion.create_store("shared", schemas={"item": Wider}, url=sys.argv[1], run=False)
store.set("item", id=1, value=1)
say("widened")
"""
    )
    assert other.hear() == "widened"
    shared.set("item", id=2, value=2)
    assert [row.value for row in shared.rows("item")] == [1, 2]


def test_a_killed_writer_leaves_what_it_was_told_is_written(
    shared: motion.Store, start: Start
) -> None:
    other = start(
        """
store = opened(run=False)
for i in range(1, 1000):
    say(store.set("item", value=i).id)
"""
    )
    for _ in range(20):
        last = int(other.hear())
    other.kill()
    ids = [row.id for row in shared.rows("item")]
    assert last in ids
    assert ids == list(range(1, len(ids) + 1))


def test_the_store_can_be_opened_while_another_process_opens_it(start: Start) -> None:
    code = 'opened(run=False).close(); say("opened")'
    processes = [start(code) for _ in range(4)]
    assert [process.hear() for process in processes] == ["opened"] * 4


def test_a_trigger_on_a_key_that_this_process_does_not_know_is_named_and_nothing_written(
    shared: motion.Store, start: Start
) -> None:
    other = start(
        """
@dataclass
class Wider(Item):
    color: str = "red"

@motion.trigger(on="item.value", sets="item.color")
def color(value: int) -> str:
    return "blue"

motion.create_store("shared", schemas={"item": Wider}, triggers=[color], url=sys.argv[1], run=False)
say("widened")
"""
    )
    assert other.hear() == "widened"
    with pytest.raises(motion.SchemaMismatch, match="color"):
        shared.set("item", id=2, value=2)
    assert shared.rows("item") == []


def test_older_code_does_not_run_inline_once_another_process_has_replaced_it(
    open_store: OpenStore, url: str, start: Start
) -> None:
    @motion.trigger(on="item.value", sets="item.double", inline=True)
    def double(value: int) -> int:
        return 20 * value

    store = open_store("shared", schemas={"item": Item}, triggers=[double], url=url)
    other = start('opened(triggers=[double], run=False); say("replaced")')
    assert other.hear() == "replaced"
    change = store.set("item", id=1, value=1)
    start('store = opened(triggers=[double]); store.wait(timeout=60); say("done")').hear()
    assert change.wait().rows()[0].double == 2


def test_tasks_are_not_forgotten_when_the_disk_is_full_for_a_while(start: Start) -> None:
    process = start(
        """
import logging, resource, threading

is_full = threading.Event()
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)

class Tell(logging.Handler):
    def emit(self, record):
        is_full.set()

logging.getLogger("motion.engine.worker").addHandler(Tell())

@motion.trigger(on="item.value", sets="item.double", inline=False)
def doubled(value: int) -> int:
    if not is_full.is_set():
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
    return 2 * value

store = opened(triggers=[doubled])
store.set("item", id=1, value=1)
assert is_full.wait(20)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
store.wait(timeout=60)
say(store.get("item", 1).double)
"""
    )
    assert process.hear() == "2"


def test_two_stores_of_one_process_in_one_folder_leave_each_other_their_tasks(
    open_store: OpenStore, url: str
) -> None:
    calls: list[int] = []
    gate = threading.Event()

    @motion.trigger(on="item.value", sets="item.double", inline=False)
    def double(value: int) -> int:
        calls.append(value)
        if value == 1:
            assert gate.wait(20)
        return 2 * value

    first = open_store("first", schemas={"item": Item}, triggers=[double], url=url)
    second = open_store("second", schemas={"item": Item}, triggers=[double], url=url)
    change = first.set("item", id=1, value=1)
    while not calls:
        pass
    for value in range(2, 300):
        second.set("item", id=2, value=value).wait()
    gate.set()
    change.wait()
    assert calls.count(1) == 1


QUICK = """
@motion.trigger(on="item.value", sets="item.double", name="double", version="1", inline=False)
def quick(value: int) -> int:
    return 2 * value

store = opened(triggers=[quick])
try:
    store.wait(timeout=4)
    say("taken over")
except motion.WaitTimeout:
    say("left to its owner")
"""


@pytest.fixture
def claimed(open_store: OpenStore, url: str) -> Iterator[motion.Store]:
    """A store whose one task is claimed by this process, and runs until the test ends."""
    begun, gate = threading.Event(), threading.Event()

    @motion.trigger(on="item.value", sets="item.double", version="1", inline=False)
    def double(value: int) -> int:
        begun.set()
        assert gate.wait(60)
        return 2 * value

    store = open_store("shared", schemas={"item": Item}, triggers=[double], url=url)
    store.set("item", id=1, value=1)
    assert begun.wait(20)
    yield store
    gate.set()


def test_a_process_that_reads_the_files_of_the_folder_keeps_its_tasks(
    claimed: motion.Store, tmp_path: Path, start: Start
) -> None:
    shutil.copytree(tmp_path / "shared" / "processes", tmp_path / "backup")
    assert start(QUICK).hear() == "left to its owner"


def test_a_copy_of_the_folder_goes_on_with_the_work_though_the_process_that_had_it_lives(
    claimed: motion.Store, open_store: OpenStore, tmp_path: Path
) -> None:
    @motion.trigger(on="item.value", sets="item.double", name="double", version="1", inline=False)
    def quick(value: int) -> int:
        return 2 * value

    copied = tmp_path / "copied"
    shutil.copytree(tmp_path / "shared", copied, ignore=shutil.ignore_patterns("listeners"))
    copy = open_store("shared", schemas={"item": Item}, triggers=[quick], url=f"sqlite:///{copied}")
    copy.wait(timeout=60)
    assert copy.get("item", 1).double == 2
    assert claimed.get("item", 1).double is None


def test_a_process_that_knows_only_some_tables_loses_no_cascade(tmp_path: Path) -> None:
    @dataclass
    class Text:
        id: int
        body: str

    @dataclass
    class Word:
        id: int
        word: str

    @motion.trigger(on="text.body", sets="word")
    def split(body: str) -> list[dict[str, str]]:
        return [{"word": word} for word in body.split()]

    url, schemas = f"sqlite:///{tmp_path / 'some'}", {"text": Text, "word": Word}
    with motion.create_store("some", schemas=schemas, triggers=[split], url=url) as store:
        store.set("text", body="one").wait()
    with motion.create_store("some", schemas={"text": Text}, url=url) as store:
        store.set("text", body="two three")
        with pytest.raises(motion.SchemaError, match="opened without that table"):
            store.delete("text", 1)
    with motion.create_store("some", schemas=schemas, triggers=[split], url=url) as store:
        store.wait(timeout=60)
        assert sorted(row.word for row in store.rows("word")) == ["one", "three", "two"]


def test_a_backfill_goes_on_where_a_killed_process_left_it(
    open_store: OpenStore, url: str, start: Start
) -> None:
    count = 30_000
    other = start(
        f"""
store = opened(triggers=[double])
store.set_many("item", [{{"value": i}} for i in range({count})])
store.wait(timeout=60)

@motion.trigger(on="item.value", sets="item.double", name="double", inline=False)
def better(value: int) -> int:
    if value == 15_000:
        say("half way")
        input()
    return 2 * value + 1

store = opened(triggers=[better])
say(store.backfill("double").key)
input()
"""
    )
    key = int(other.hear())
    assert other.hear() == "half way"
    other.kill()

    @motion.trigger(on="item.value", sets="item.double", inline=False, version="better still")
    def double(value: int) -> int:
        return 2 * value + 2

    store = open_store("shared", schemas={"item": Item}, triggers=[double], url=url)
    assert store.change(key).progress.remaining > 10_000
    store.change(key).wait(timeout=60)
    store.backfill("double").wait(timeout=60)  # what the killed process had made has become stale
    assert store.plan("double").current == count
    values = store.sql("select sum(double - 2 * value) as extra from item").to_pylist()
    assert values == [{"extra": 2 * count}]


def test_a_process_that_found_nothing_to_do_when_it_began_works_for_those_that_write_later(
    shared: motion.Store, start: Start
) -> None:
    idle = start("""
store = opened(triggers=[double])
say("opened")
input()
""")
    assert idle.hear() == "opened"
    assert shared.set("item", value=21).wait().rows()[0].double == 42


def test_p11_a_killed_process_is_taken_over_beside_a_backlog(
    open_store: OpenStore, url: str, start: Start
) -> None:
    victim = start("""
import threading

@motion.trigger(on="item.who", sets="item.place", version="1")
def place(who: str):
    say("claimed")
    threading.Event().wait()

store = opened(triggers=[place])
store.set("item", id=1, who="me")
input()
""")
    assert victim.hear() == "claimed"

    @motion.trigger(on="item.who", sets="item.place", version="1")
    def place(who: str) -> np.ndarray[Any, Any]:
        return np.ones(2)

    @motion.trigger(on="item.value", sets="item.double", concurrency=8)
    def double(value: int) -> int:
        threading.Event().wait(0.05)  # what a model call takes
        return 2 * value

    store = open_store("shared", schemas={"item": Item}, triggers=[place, double], url=url)
    backlog = 4_000  # half a minute of work
    store.set_many("item", [{"id": i, "value": i} for i in range(2, backlog + 2)])
    until(store, lambda: store.get("item", 2).double is not None)
    victim.kill()
    until(store, lambda: store.get("item", 1).place is not None)
    done = store.sql("select count(double) as done from item").to_pylist()[0]["done"]
    assert done < backlog / 2


SLOW = {
    "thread": """
@motion.trigger(on="item.value", sets="item.double")
def slow(value: int) -> int:
    say(value)
    threading.Event().wait()
""",
    "async": """
@motion.trigger(on="item.value", sets="item.double")
async def slow(value: int) -> int:
    say(value)
    await asyncio.Event().wait()
""",
    "process": """
@motion.trigger(on="item.value", sets="item.double", executor="process")
def slow(value: int) -> int:
    say(value)
    threading.Event().wait()
""",
}


@pytest.mark.parametrize("kind", SLOW)
def test_a_store_that_is_closed_in_good_order_loses_nothing(
    open_store: OpenStore, url: str, start: Start, kind: str
) -> None:
    closing = start(f"""
import asyncio, logging, threading
{SLOW[kind]}
store = opened(triggers=[slow])
store.set("item", id=1, value=7)
input()
store.close()
say("closed")
""")
    assert closing.hear() == "7"
    closing.tell("close")
    assert closing.hear() == "closed"
    store = open_store("shared", schemas={"item": Item}, url=url)
    tasks = store.sql("select status, owner, losses, attempts from motion_tasks").to_pylist()
    assert tasks == [{"status": 0, "owner": None, "losses": 0, "attempts": 0}]
    assert closing.end() == ""  # nothing to tell of


def test_a_process_whose_schema_is_too_old_by_now_gives_back_what_it_held_and_says_so_once(
    open_store: OpenStore, url: str, start: Start
) -> None:
    old = start(
        """
@motion.trigger(on="item.value", sets="item.double", version="1", inline=False)
def double(value: int) -> int:
    say("claimed")
    input()
    return 2 * value

store = opened(triggers=[double])
store.set("item", id=1, value=21)
threading.Event().wait()
""".replace("@motion", "import threading\n@motion", 1)
    )
    assert old.hear() == "claimed"

    @dataclass
    class Wider(Item):
        color: str = "red"

    @motion.trigger(on="item.value", sets="item.double", version="1", inline=False)
    def double(value: int) -> int:
        return 2 * value

    @motion.trigger(on="item.value", sets="item.color", inline=False)
    def color(value: int) -> str:
        return "blue"

    store = open_store("shared", schemas={"item": Wider}, triggers=[double, color], url=url)
    old.tell("go on")
    store.wait(timeout=60)
    assert store.get("item", 1).double == 42
    for value in range(100, 200):  # each calls the old process too
        store.set("item", id=2, value=value).wait()
    old.kill()
    assert old.errors.count("met an error and goes on") <= 2


def test_a_store_that_is_opened_again_with_a_new_key_disturbs_nobody(open_store: OpenStore) -> None:
    """As when a notebook's cell is run again while other threads write and triggers run."""

    def schema(keys: int) -> type:
        added = [(f"added_{i}", int) for i in range(keys)]
        return make_dataclass("Item", [("id", int), ("value", int), ("double", int), *added])

    def trigger(key: str) -> Any:
        @motion.trigger(on="item.value", sets=f"item.{key}", name=key, version="1", inline=False)
        def run(value: int) -> int:
            return 2 * value

        return run

    def opened(keys: int) -> motion.Store:
        names = ["double", *(f"added_{i}" for i in range(keys))]
        return open_store(
            "shared", schemas={"item": schema(keys)}, triggers=[trigger(name) for name in names]
        )

    store, errors, is_over = opened(0), [], threading.Event()
    written = itertools.count(1)

    def write() -> None:
        while not is_over.is_set():
            try:
                store.set("item", id=next(written), value=1)
            except Exception as exc:  # noqa: BLE001 - shown by the test
                errors.append(exc)

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    for keys in range(1, 12):
        before = next(written)
        until(store, lambda before=before: next(written) > before + 20)  # type: ignore[misc]  # a default binds it
        opened(keys)
    is_over.set()
    for writer in writers:
        writer.join()
    store.wait(timeout=60)
    assert (errors, store.errors()) == ([], [])


def test_triggers_that_are_replaced_while_they_run_fail_no_row_and_leave_none_behind(
    open_store: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    def trigger(version: int) -> Any:
        @motion.trigger(
            on="item.value", sets="item.double", name="run", version=str(version), inline=False
        )
        def run(value: int) -> int:
            return 2 * value

        return run

    @motion.trigger(on="item.double", sets="item.who", version="1", inline=False)
    def follow(double: int) -> str:
        return f"{double}"

    def opened(triggers: list[Any]) -> motion.Store:
        return open_store("shared", schemas={"item": Item}, triggers=triggers, run=True)

    store, is_over = opened([trigger(0), follow]), threading.Event()
    written = itertools.count(1)

    def write() -> None:
        while not is_over.is_set():
            store.set("item", id=next(written), value=1)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    for version in range(1, 13):
        before = next(written)
        until(store, lambda before=before: next(written) > before + 20)  # type: ignore[misc]  # a default binds it
        opened([[trigger(version), follow], [follow], [trigger(version)], []][version % 4])
    opened([trigger(99), follow])
    is_over.set()
    for writer in writers:
        writer.join()
    store.wait(timeout=60)
    assert (store.errors(), store.status().tasks, store.status().orphaned) == ([], {}, 0)
    assert [each.message for each in caplog.records if each.exc_info] == []
