"""P13: a run that reads and writes other rows commits only if it would read the same."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest

import motion
from motion import clock
from tests.conftest import OpenStore, environment_of, until


@dataclass
class Event:
    id: int
    text: str
    seen: int


@dataclass
class Total:
    id: int
    n: int
    note: str


@dataclass
class Slot:
    id: int
    ts: int
    holder: int


SCHEMAS = {"event": Event, "total": Total, "slot": Slot}


def increment(store: motion.View, row: int = 1) -> None:
    total = store.get("total", row)
    store.set("total", id=row, n=(total.n or 0) + 1 if total else 1)


@motion.trigger(on="event.text")
def count(text: str, store: motion.View) -> None:
    increment(store)


@pytest.fixture
def counting(open_store: OpenStore) -> motion.Store:
    return open_store(schemas=SCHEMAS, triggers=[count])


def events(count: int) -> list[dict[str, Any]]:
    return [{"text": str(i)} for i in range(count)]


def total(store: motion.Store, row: int = 1) -> int:
    store.wait(timeout=60)
    assert not store.errors()
    return int(store.get("total", row).n)


# -- counters --


def test_increments_of_one_bulk_write_are_all_counted(counting: motion.Store) -> None:
    counting.set_many("event", events(100))
    assert total(counting) == 100


def test_increments_of_single_writes_are_all_counted(counting: motion.Store) -> None:
    for event in events(100):
        counting.set("event", **event)
    assert total(counting) == 100


def test_increments_of_several_counters_are_all_counted(open_store: OpenStore) -> None:
    @motion.trigger(on="event.text")
    def count_ten(text: str, store: motion.View) -> None:
        increment(store, int(text) % 10)

    store = open_store(schemas=SCHEMAS, triggers=[count_ten])
    store.set_many("event", events(1000))
    assert [total(store, row) for row in range(10)] == [100] * 10


def test_a_run_sees_its_own_writes(open_store: OpenStore) -> None:
    @motion.trigger(on="event.text")
    def count_thrice(text: str, store: motion.View) -> None:
        for _ in range(3):
            increment(store)

    store = open_store(schemas=SCHEMAS, triggers=[count_thrice])
    store.set_many("event", events(10))
    assert total(store) == 30


def test_a_store_reached_in_any_other_way_is_isolated_too(open_store: OpenStore) -> None:
    @motion.trigger(on="event.text")
    def count_outside(text: str) -> None:
        increment(store)  # type: ignore[arg-type]  # a store acts as the view of the run

    store = open_store(schemas=SCHEMAS, triggers=[count_outside])
    store.set_many("event", events(50))
    assert total(store) == 50


def test_runs_whose_writes_are_known_at_their_commit_only_are_counted_too(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on="event.text")
    def count_by_note(text: str, store: motion.View) -> None:
        rows = store.rows("total", where={"note": "all"})
        store.set_many("total", [{"note": "all", "n": rows[0].n + 1 if rows else 1}], by="note")

    store = open_store(schemas=SCHEMAS, triggers=[count_by_note])
    store.set_many("event", events(40)).wait(timeout=60)
    assert not store.errors()
    assert [row.n for row in store.rows("total")] == [40]


@pytest.mark.parametrize(
    "options",
    [{"concurrency": 4}, {"batch": 8}, {"executor": "process"}, {"timeout": 60}],
    ids=str,
)
def test_increments_are_all_counted_however_they_run(
    open_store: OpenStore, options: dict[str, Any]
) -> None:
    if "batch" in options:

        @motion.trigger(on="event.text", **options)
        def counts(text: list[str], store: motion.View) -> list[None]:
            for _ in text:
                increment(store)
            return [None] * len(text)

        triggers: list[Any] = [counts]
    else:
        triggers = [motion.trigger(on="event.text", **options)(_count)]
    store = open_store(schemas=SCHEMAS, triggers=triggers)
    store.set_many("event", events(40))
    assert total(store) == 40


def _count(text: str, store: motion.View) -> None:
    increment(store)


def test_increments_of_coroutines_are_all_counted(open_store: OpenStore) -> None:
    @motion.trigger(on="event.text")
    async def count_async(text: str, store: motion.View) -> None:
        found = store.get("total", 1)
        await asyncio.sleep(0)
        store.set("total", id=1, n=(found.n or 0) + 1 if found else 1)

    store = open_store(schemas=SCHEMAS, triggers=[count_async])
    store.set_many("event", events(40))
    assert total(store) == 40


def test_what_a_run_gives_and_what_it_writes_are_one(open_store: OpenStore) -> None:
    @motion.trigger(on="event.text", sets="event.seen")
    def number(text: str, store: motion.View) -> int:
        increment(store)
        return int(store.get("total", 1).n)

    store = open_store(schemas=SCHEMAS, triggers=[number])
    store.set_many("event", events(50))
    assert total(store) == 50
    assert sorted(row.seen for row in store.rows(Event)) == list(range(1, 51))


# -- equalities: phantoms, order, limits --


@motion.trigger(on="event.text", sets="event.seen")
def take(text: str, store: motion.View) -> int | None:
    free = store.rows("slot", where={"holder": None}, order_by="ts", limit=1)
    if not free:
        return None
    store.set(free[0], holder=int(text))
    return int(free[0].id)


def test_the_oldest_free_slot_is_given_once(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[take])
    store.set_many("slot", [{"id": i, "ts": 100 - i} for i in range(1, 21)])
    store.set_many("event", events(25))
    store.wait(timeout=60)
    seen: list[int | None] = [row.seen for row in store.rows(Event, order_by="id")]
    assert sorted(filter(None, seen)) == list(range(1, 21))
    assert seen[0] == 20  # the oldest went to the first
    assert seen.count(None) == 5


class Held:
    """A function that has read, and waits until the test lets it go on."""

    def __init__(self) -> None:
        self.calls = 0
        self.has_read, self.may_go = threading.Event(), threading.Event()

    def hold(self) -> None:
        self.calls += 1
        self.has_read.set()
        assert self.may_go.wait(60)


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.may_go.set()


def test_a_run_whose_read_row_has_changed_is_called_again(
    open_store: OpenStore, held: Held
) -> None:
    @motion.trigger(on="event.text")
    def copy(text: str, store: motion.View) -> None:
        found = store.get("total", 1)
        held.hold()
        store.set("total", id=2, n=found.n)

    store = open_store(schemas=SCHEMAS, triggers=[copy])
    store.set("total", id=1, n=1)
    store.set("event", id=1, text="a")
    assert held.has_read.wait(60)
    store.set("total", id=1, n=5)
    held.may_go.set()
    assert total(store, 2) == 5
    assert held.calls == 2


@dataclass
class Part:
    id: str
    first: int  # as all its pages show it
    second: int
    part_page: int


@pytest.mark.parametrize("is_unset_last", [True, False])
def test_rows_that_are_read_by_values_of_which_some_are_unset_are_those_that_show_them(
    open_store: OpenStore, is_unset_last: bool
) -> None:
    found: list[list[str]] = []

    @motion.trigger(on="event.text")
    def read(text: str, store: motion.View) -> None:
        asked = [{"first": None, "second": 5}, {"first": 1, "second": None}]
        for where in asked if is_unset_last else reversed(asked):
            found.append([row.id for row in store.rows("part", where=where)])

    store = open_store(schemas={**SCHEMAS, "part": Part}, triggers=[read])
    store.set("part", id="b", second=5)
    store.set("part", id="a", first=1)
    store.set("event", id=1, text="x").wait(timeout=60)
    assert not store.errors()
    assert found == ([["b"], ["a"]] if is_unset_last else [["a"], ["b"]])


READS: dict[str, Callable[[motion.View], int]] = {
    "get": lambda store: int(store.get("total", 1).n),
    "rows": lambda store: sum(row.n for row in store.rows("total", where={"note": "x"})),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("is_put_back", [False, True], ids=["changed", "changed and put back"])
def test_a_read_that_is_answered_otherwise_when_it_is_made_again_counts_as_a_change(
    open_store: OpenStore, read: Callable[[motion.View], int], is_put_back: bool
) -> None:
    first, second = Held(), Held()

    @motion.trigger(on="event.text", concurrency=2)
    def copy(id: int, store: motion.View) -> None:
        seen = [read(store)]
        if id == 1:
            first.hold()
            seen.append(read(store))
            second.hold()
            store.set("total", id=9, n=seen[0], note=str(seen))
        else:
            store.set("total", id=1, n=seen[0] + 1)

    store = open_store(schemas=SCHEMAS, triggers=[copy])
    store.set("total", id=1, n=0, note="x")
    store.set_many("event", [{"id": 1, "text": "a"}, {"id": 2, "text": "a"}])
    assert first.has_read.wait(60)
    until(store, lambda: store.get("total", 1).n == 1)
    first.may_go.set()
    assert second.has_read.wait(60)
    if is_put_back:
        store.set("total", id=1, n=0)
    second.may_go.set()
    assert total(store, 9) == (0 if is_put_back else 1)
    assert store.get("total", 9).note == ("[0, 0]" if is_put_back else "[1, 1]")
    assert first.calls == 2


def test_a_batch_of_which_an_item_fails_is_isolated_too(open_store: OpenStore, held: Held) -> None:
    @motion.trigger(on="event.text", sets="event.seen", batch=4)
    def sum_up(text: list[str], store: motion.View) -> list[Any]:
        before = store.get("total", 1).n
        held.hold()
        store.set("total", id=1, n=before + text.count("good"))
        return [motion.Failed("bad") if each == "bad" else before for each in text]

    store = open_store(schemas=SCHEMAS, triggers=[sum_up])
    store.set("total", id=1, n=0)
    texts = enumerate(["bad", "good", "good"], 1)
    store.set_many("event", [{"id": i, "text": text} for i, text in texts])
    assert held.has_read.wait(60)
    store.set("total", id=1, n=10)
    held.may_go.set()
    store.wait(timeout=60)
    assert store.get("total", 1).n == 12
    assert [row.seen for row in store.rows(Event)] == [None, 10, 10]
    (letter,) = store.errors()
    assert letter.row == "id=1"


def test_a_row_that_comes_into_a_read_counts_as_a_change(open_store: OpenStore, held: Held) -> None:
    @motion.trigger(on="event.text")
    def sum_up(text: str, store: motion.View) -> None:
        found = store.rows("total", where={"note": "x"})
        held.hold()
        store.set("total", id=99, n=sum(row.n for row in found))

    store = open_store(schemas=SCHEMAS, triggers=[sum_up])
    store.set("total", id=1, n=1, note="x")
    store.set("event", id=1, text="a")
    assert held.has_read.wait(60)
    store.set("total", id=2, n=10, note="x")
    held.may_go.set()
    assert total(store, 99) == 11


def test_a_row_deleted_and_made_again_with_equal_values_counts_as_a_change(
    open_store: OpenStore, held: Held
) -> None:
    @dataclass
    class Named:
        id: str
        n: int

    @motion.trigger(on="event.text")
    def copy(text: str, store: motion.View) -> None:
        store.get("named", "a")
        held.hold()
        store.set("named", id="b", n=1)

    store = open_store(schemas={**SCHEMAS, "named": Named}, triggers=[copy])
    store.set("named", id="a", n=1)
    store.set("event", id=1, text="a")
    assert held.has_read.wait(60)
    store.delete("named", "a")
    store.set("named", id="a", n=1)
    held.may_go.set()
    store.wait(timeout=60)
    assert held.calls == 2


def test_a_change_of_a_key_that_was_not_asked_for_is_none(
    open_store: OpenStore, held: Held
) -> None:
    @motion.trigger(on="event.text")
    def copy(text: str, store: motion.View) -> None:
        found = store.get("total", 1, keys=("n",))
        assert found.note is None
        held.hold()
        store.set("total", id=2, n=found.n)

    store = open_store(schemas=SCHEMAS, triggers=[copy])
    store.set("total", id=1, n=1, note="x")
    store.set("event", id=1, text="a")
    assert held.has_read.wait(60)
    store.set("total", id=1, note="y")
    held.may_go.set()
    assert total(store, 2) == 1
    assert held.calls == 1


def test_a_slow_call_that_only_reads_is_made_once(open_store: OpenStore, held: Held) -> None:
    @motion.trigger(on="event.text", sets="event.seen")
    def look(text: str, store: motion.View) -> int:
        found = store.get("total", 1)
        held.hold()
        return int(found.n)

    store = open_store(schemas=SCHEMAS, triggers=[look])
    store.set("total", id=1, n=1)
    store.set("event", id=1, text="a")
    assert held.has_read.wait(60)
    store.set("total", id=1, n=5)
    held.may_go.set()
    store.wait(timeout=60)
    assert (held.calls, store.get("event", 1).seen) == (1, 1)


def test_a_run_that_only_reads_is_isolated_where_it_asks_for_it(
    open_store: OpenStore, held: Held
) -> None:
    @motion.trigger(on="event.text", sets="event.seen", isolated=True)
    def look(text: str, store: motion.View) -> int:
        found = store.get("total", 1)
        held.hold()
        return int(found.n)

    store = open_store(schemas=SCHEMAS, triggers=[look])
    store.set("total", id=1, n=1)
    store.set("event", id=1, text="a")
    assert held.has_read.wait(60)
    store.set("total", id=1, n=5)
    held.may_go.set()
    store.wait(timeout=60)
    assert (held.calls, store.get("event", 1).seen) == (2, 5)


def test_a_run_that_writes_is_not_isolated_where_it_says_so(
    open_store: OpenStore, held: Held
) -> None:
    @motion.trigger(on="event.text", isolated=False)
    def copy(text: str, store: motion.View) -> None:
        found = store.get("total", 1)
        held.hold()
        store.set("total", id=2, n=found.n)

    store = open_store(schemas=SCHEMAS, triggers=[copy])
    store.set("total", id=1, n=1)
    store.set("event", id=1, text="a")
    assert held.has_read.wait(60)
    store.set("total", id=1, n=5)
    held.may_go.set()
    assert total(store, 2) == 1
    assert held.calls == 1


def test_a_run_that_always_loses_is_set_aside_with_the_read_that_it_lost_by(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on="event.text")
    def copy(text: str, store: motion.View) -> None:
        found = store.get("total", 1)
        outside(found.n + 1)
        store.set("total", id=2, n=found.n)

    store = open_store(schemas=SCHEMAS, triggers=[copy])
    store.set("total", id=1, n=1)

    def outside(n: int) -> None:
        """A set from outside, made in a thread that belongs to no run."""
        writer = threading.Thread(target=lambda: store.set("total", id=1, n=n))
        writer.start()
        writer.join(60)

    store.set("event", id=1, text="a")
    store.wait(timeout=60)
    (letter,) = store.errors()
    assert "total" in letter.error
    assert "1" in letter.error
    assert store.get("total", 1).n == 11  # ten calls
    assert store.get("total", 2) is None
    assert store.status().called_again == {"copy": 10}


# -- two processes, and kills --

WORKER = """
import sys, motion
from tests.across_rows.test_isolation import SCHEMAS, count, take
with motion.create_store("p13", schemas=SCHEMAS, triggers=[count, take], url=sys.argv[1]) as store:
    print("ready", flush=True)
    sys.stdin.read()
"""


def worker(url: str) -> subprocess.Popen[str]:
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, url],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment_of(root, root / "src"),
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.slow
def test_two_processes_lose_no_increment_and_give_no_slot_twice(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store'}"
    with motion.create_store("p13", schemas=SCHEMAS, triggers=[count, take], url=url) as store:
        store.set_many("slot", [{"id": i, "ts": i} for i in range(1, 101)])
        other = worker(url)
        try:
            for start in range(0, 100, 10):
                store.set_many("event", [{"text": str(i)} for i in range(start, start + 10)])
            assert total(store) == 100
            assert sorted(row.seen for row in store.rows(Event)) == list(range(1, 101))
        finally:
            other.communicate("")


@pytest.mark.slow
def test_kills_lose_no_increment_and_make_none_twice(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store'}"
    with motion.create_store(
        "p13", schemas=SCHEMAS, triggers=[count, take], url=url, run=False
    ) as store:
        for start in range(0, 300, 100):
            other = worker(url)
            for i in range(start, start + 100):
                store.set("event", text=str(i))
            other.kill()
            other.communicate()
        last = worker(url)
        assert total(store) == 300
        last.communicate("")


# -- rows that go in mid-call --


def called_on_a_row(held: Held) -> Any:
    @motion.trigger(on="event.text", sets="event.seen")
    def note(id: int, text: str, store: motion.View) -> int:
        if id == 1:
            held.hold()
        store.set("total", id=id, note=text)
        return id

    return note


def called_async(held: Held) -> Any:
    @motion.trigger(on="event.text", sets="event.seen")
    async def note(id: int, text: str, store: motion.View) -> int:
        if id == 1:
            await asyncio.to_thread(held.hold)
        store.set("total", id=id, note=text)
        return id

    return note


def called_in_batches(held: Held) -> Any:
    @motion.trigger(on="event.text", sets="event.seen", batch=4)
    def note(id: list[int], text: list[str], store: motion.View) -> list[int]:
        if 1 in id:
            held.hold()
        for one, each in zip(id, text, strict=True):
            store.set("total", id=one, note=each)
        return id

    return note


def delete_in_mid_call(store: motion.Store, held: Held, made_again: dict[str, Any]) -> None:
    """Delete a row later than a call has begun, perhaps make it again, and let the call end."""
    assert held.has_read.wait(60)
    begun_ms = clock.now_ms()
    until(store, lambda: clock.now_ms() > begun_ms)
    store.delete("total", 1)
    if made_again:
        store.set("total", id=1, **made_again)
    held.may_go.set()
    store.wait(timeout=60)


@pytest.mark.parametrize("called", [called_on_a_row, called_async, called_in_batches])
@pytest.mark.parametrize("is_made_again", [False, True])
def test_a_write_by_hand_to_a_row_that_was_deleted_in_mid_call_goes_nowhere(
    open_store: OpenStore, held: Held, called: Callable[[Held], Any], is_made_again: bool
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[called(held)])
    store.set("total", id=1, n=5)
    store.set("event", id=1, text="secret")
    delete_in_mid_call(store, held, {"n": 6} if is_made_again else {})
    left: list[Any] = [(row.n, row.note) for row in store.rows(Total)]
    assert left == ([(6, None)] if is_made_again else [])
    assert (store.get("event", 1).seen, held.calls) == (1, 1)  # what it gives stands
    store.set("event", id=1, text="later").wait(timeout=60)  # begun after the deletion
    assert store.get("total", 1).note == "later"


@pytest.mark.parametrize("is_made_again", [False, True])
@pytest.mark.parametrize("read", ["by id", "by a key"])
def test_a_run_that_reads_a_row_after_its_deletion_knows_what_it_writes_to(
    open_store: OpenStore, held: Held, read: str, is_made_again: bool
) -> None:
    """Its write was dropped without a word, as if it did not know: an increment was lost."""

    @motion.trigger(on="event.text", sets="event.seen")
    def count(id: int, text: str, store: motion.View) -> int:
        held.hold()
        by_key = store.rows("total", where={"note": "here"})
        found = store.get("total", 1) if read == "by id" else next(iter(by_key), None)
        store.set("total", id=1, n=(found.n if found else 0) + 1)
        return id

    store = open_store(schemas=SCHEMAS, triggers=[count])
    store.set("total", id=1, n=5, note="here")
    store.set("event", id=1, text="a")
    delete_in_mid_call(store, held, {"n": 6, "note": "here"} if is_made_again else {})
    left = [row.n for row in store.rows(Total)]
    is_blind = read == "by a key" and not is_made_again  # it looked for rows, and found none
    assert left == ([] if is_blind else [7] if is_made_again else [1])
    assert (store.get("event", 1).seen, held.calls) == (1, 1)


def test_a_write_by_hand_of_a_call_that_begins_after_a_row_was_deleted_makes_it_anew(
    open_store: OpenStore, held: Held
) -> None:
    trigger = motion.trigger(on="event.text", sets="event.seen", concurrency=1)

    def note(id: int, text: str, store: motion.View) -> int:
        if id == 1:
            held.hold()
        store.set("total", id=id, note=text)
        return id

    store = open_store(schemas=SCHEMAS, triggers=[trigger(note)])
    store.set_many("total", [{"id": 1}, {"id": 2}])
    store.set_many("event", [{"id": 1, "text": "a"}, {"id": 2, "text": "b"}])
    assert held.has_read.wait(60)
    store.delete("total", 2)
    deleted_ms = clock.now_ms()
    until(store, lambda: clock.now_ms() > deleted_ms)
    held.may_go.set()
    store.wait(timeout=60)
    assert [(row.id, row.note) for row in store.rows(Total)] == [(1, "a"), (2, "b")]


@dataclass
class Card:
    id: int
    n: int


@dataclass
class Payment:
    id: int
    card: Annotated[int, motion.Ref("card", delete=True)]
    note: str


@dataclass
class Job:
    id: int
    kind: str
    of: int


@motion.trigger(on="job.kind")
def do(kind: str, of: int, store: motion.View) -> None:
    if kind == "close":
        store.delete("card", of)
    elif store.get("payment", of) is not None:
        store.set("payment", id=of, note="checked")


def test_rows_that_go_with_one_that_an_earlier_run_deletes_are_gone_for_the_next(
    open_store: OpenStore,
) -> None:
    store = open_store(schemas={"card": Card, "payment": Payment, "job": Job}, triggers=[do])
    store.set_many("job", [{"kind": "none", "of": 0}] * 500).wait(timeout=60)  # it is quick by now
    store.set("card", id=1, n=0)
    store.set("payment", id=5, card=1)
    jobs = [{"kind": "close", "of": 1}, {"kind": "note", "of": 5}]
    store.set_many("job", jobs).wait(timeout=60)
    assert (store.rows("card"), store.rows("payment"), store.errors()) == ([], [], [])
