"""The store as a key-value store: set, delete, transactions, ids, timestamps, defaults."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, make_dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

import motion
from motion.background.locks import Hold, SharedLock
from motion.server import serve
from tests.conftest import Garment, OpenStore, Size, pause


@dataclass
class Page:
    """A table with pages: `note` belongs to the id, `idea` to a page of it."""

    id: int
    note: str
    idea: str
    idea_page: int
    score: float


@dataclass
class Named:
    id: str
    value: int


@dataclass
class Stamped:
    id: int
    ts: int
    value: int


def name_of(row: Garment | None) -> str | None:
    assert row is not None
    return row.name


# -- set --


def test_what_is_set_can_be_got(store: motion.Store) -> None:
    store.set("garment", id=7, name="dress", price=49.5, size=Size.LARGE)
    row = store.get("garment", 7)
    assert (row.id, row.name, row.price, row.size) == (7, "dress", 49.5, Size.LARGE)


def test_a_row_is_an_instance_of_its_dataclass(store: motion.Store) -> None:
    store.set("garment", id=7)
    assert type(store.get("garment", 7)) is Garment


def test_keys_that_were_never_set_are_none(store: motion.Store) -> None:
    store.set("garment", id=7)
    assert name_of(store.get("garment", 7)) is None


def test_setting_one_key_leaves_the_others(store: motion.Store) -> None:
    store.set("garment", id=7, name="dress", shop="corner")
    store.set("garment", id=7, name="skirt")
    row = store.get("garment", 7)
    assert (row.name, row.shop) == ("skirt", "corner")


def test_setting_none_unsets_a_key(store: motion.Store) -> None:
    store.set("garment", id=7, name="dress")
    store.set("garment", id=7, name=None)
    assert name_of(store.get("garment", 7)) is None


def test_a_table_may_be_named_by_its_class(store: motion.Store) -> None:
    store.set(Garment, id=7, name="dress")
    assert name_of(store.get(Garment, 7)) == "dress"


def test_a_row_read_before_says_which_row_to_set(open_store: OpenStore) -> None:
    store = open_store(schemas={"page": Page})
    store.set("page", id=7, idea_page=2, idea="boots")
    store.set(store.get("page", 7, idea_page=2), score=0.5)
    assert store.get("page", 7, idea_page=2).score == 0.5


def test_a_row_read_before_says_which_row_to_delete(store: motion.Store) -> None:
    store.set("garment", id=7)
    store.delete(store.get("garment", 7))
    assert store.get("garment", 7) is None


def test_a_change_names_the_row_it_wrote(store: motion.Store) -> None:
    change = store.set("garment", id=7, name="dress")
    assert (change.id, [row.name for row in change.rows()]) == (7, ["dress"])


def test_a_change_without_triggers_is_done_at_once(store: motion.Store) -> None:
    change = store.set("garment", id=7)
    assert change.wait(timeout=0).progress.remaining == 0


def test_a_change_can_be_awaited(store: motion.Store) -> None:
    async def write() -> motion.Change:
        return await store.set("garment", id=7)

    assert asyncio.run(write()).id == 7


def test_waiting_for_a_key_that_is_set_already_ends(store: motion.Store) -> None:
    assert store.set("garment", name="dress").wait("name", timeout=0).id == 1


def test_waiting_for_a_key_that_the_table_lacks_is_refused(store: motion.Store) -> None:
    with pytest.raises(motion.UnknownKey, match="Did you mean 'name'"):
        store.set("garment", id=7).wait("nam")


def test_later_changes_have_larger_keys(store: motion.Store) -> None:
    first, second = store.set("garment", id=7), store.set("garment", id=7)
    assert second.key > first.key


def test_nothing_of_a_refused_call_is_written(store: motion.Store) -> None:
    with pytest.raises(motion.InvalidValue):
        store.set("garment", id=7, name="dress", price="much")
    assert store.get("garment", 7) is None


def test_threads_that_set_at_once_all_have_their_rows(store: motion.Store) -> None:
    def write(who: int) -> None:
        for i in range(25):
            store.set("garment", name=f"{who}-{i}")

    threads = [threading.Thread(target=write, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({row.name for row in store.rows("garment")}) == 100


def test_a_thread_with_a_bad_value_does_not_harm_the_others(store: motion.Store) -> None:
    refused: list[Exception] = []

    def write(value: Any) -> None:
        try:
            for _ in range(25):
                store.set("garment", price=value)
        except motion.InvalidValue as exc:
            refused.append(exc)

    threads = [threading.Thread(target=write, args=(value,)) for value in (1.0, "bad", 2.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(refused), len(store.rows("garment"))) == (1, 50)


def test_the_calls_of_an_event_loop_do_the_same(store: motion.Store) -> None:
    async def use() -> Any:
        await store.aio.set("garment", id=7, name="dress", embedding=np.ones(3))
        await store.aio.set_many("garment", [{"id": 8}])
        hits = await store.aio.search("garment.embedding", np.ones(3))
        return await store.aio.get("garment", 7), await store.aio.rows("garment"), hits

    row, rows, hits = asyncio.run(use())
    assert (row.name, [each.id for each in rows], hits[0].id) == ("dress", [7, 8], 7)


# -- ids --


def test_an_id_left_out_is_the_next_number(store: motion.Store) -> None:
    store.set("garment", id=41)
    assert store.set("garment").id == 42


def test_an_id_of_a_deleted_row_is_not_given_again(store: motion.Store) -> None:
    store.delete("garment", store.set("garment").id)
    assert store.set("garment").id == 2


def test_an_id_of_a_deleted_row_is_not_given_again_after_reopening(open_store: OpenStore) -> None:
    store = open_store(schemas={"garment": Garment})
    store.set("garment", id=41)
    store.delete("garment", 41)
    store.close()
    assert open_store(schemas={"garment": Garment}).set("garment").id == 42


def test_new_text_ids_are_ordered_by_time(open_store: OpenStore) -> None:
    store = open_store(schemas={"named": Named})
    ids: list[Any] = [store.set("named", value=i).id for i in range(50)]
    assert len(set(ids)) == 50
    assert [row.id for row in store.rows("named")] == sorted(ids)
    assert [row.value for row in store.rows("named")] == list(range(50))


@pytest.mark.parametrize("row_id", ["", "two words", "ünï", "x' OR 1", 'a"b', "a\x00b", "7"])
def test_a_text_id_may_be_any_text(open_store: OpenStore, row_id: str) -> None:
    store = open_store(schemas={"named": Named})
    store.set("named", id=row_id, value=1)
    assert store.get("named", row_id).value == 1


def test_a_text_id_that_looks_like_a_number_is_not_one(open_store: OpenStore) -> None:
    store = open_store(schemas={"named": Named})
    store.set("named", id="7", value=1)
    assert store.get("named", "07") is None


@pytest.mark.parametrize("row_id", [0, -5, 2**63 - 1])
def test_an_int_id_may_be_any_number(store: motion.Store, row_id: int) -> None:
    store.set("garment", id=row_id, name="dress")
    assert name_of(store.get("garment", row_id)) == "dress"


# -- timestamps and defaults --


def test_ts_is_filled_with_the_present_in_milliseconds(open_store: OpenStore) -> None:
    store = open_store(schemas={"stamped": Stamped})
    before = datetime.now(UTC).timestamp() * 1000 - 1
    store.set("stamped", id=1)
    after = datetime.now(UTC).timestamp() * 1000 + 1
    assert before <= store.get("stamped", 1).ts <= after


def test_ts_may_be_a_datetime(open_store: OpenStore) -> None:
    store = open_store(schemas={"moment": make_dataclass("M", [("id", int), ("ts", datetime)])})
    before = datetime.now(UTC)
    store.set("moment", id=1)
    assert before <= store.get("moment", 1).ts <= datetime.now(UTC)


def test_a_ts_that_is_given_is_kept(open_store: OpenStore) -> None:
    store = open_store(schemas={"stamped": Stamped})
    store.set("stamped", id=1, ts=5)
    assert store.get("stamped", 1).ts == 5


def test_ts_stays_that_of_the_creation(open_store: OpenStore) -> None:
    store = open_store(schemas={"stamped": Stamped})
    store.set("stamped", id=1, ts=5)
    store.set("stamped", id=1, value=3)
    assert store.get("stamped", 1).ts == 5


def test_a_ts_of_another_type_is_a_key_like_any(open_store: OpenStore) -> None:
    store = open_store(schemas={"odd": make_dataclass("Odd", [("id", int), ("ts", str)])})
    store.set("odd", id=1)
    assert store.get("odd", 1).ts is None


def test_a_default_applies_when_a_row_is_made(store: motion.Store) -> None:
    store.set("garment", id=7)
    assert store.get("garment", 7).stock == 0


def test_a_default_does_not_apply_to_a_row_that_is_there(store: motion.Store) -> None:
    store.set("garment", id=7, stock=5)
    store.set("garment", id=7, name="dress")
    assert store.get("garment", 7).stock == 5


def test_a_key_unset_on_purpose_does_not_get_its_default_again(store: motion.Store) -> None:
    store.set("garment", id=7)
    store.set("garment", id=7, stock=None)
    store.set("garment", id=7, name="dress")
    assert store.get("garment", 7).stock is None


def test_a_default_factory_makes_a_value_for_each_row(open_store: OpenStore) -> None:
    fields: list[Any] = [("id", int), ("tags", list, field(default_factory=lambda: ["new"]))]
    store = open_store(schemas={"tagged": make_dataclass("Tagged", fields)})
    store.set("tagged", id=1)
    assert store.get("tagged", 1).tags == ["new"]


# -- pages --


def test_page_keys_are_0_where_left_out(open_store: OpenStore) -> None:
    store = open_store(schemas={"page": Page})
    store.set("page", id=7, idea="boots")
    assert store.get("page", 7, idea_page=0).idea == "boots"


def test_pages_of_an_id_are_rows_of_their_own(open_store: OpenStore) -> None:
    store = open_store(schemas={"page": Page})
    store.set("page", id=7, idea_page=1, idea="boots")
    store.set("page", id=7, idea_page=2, idea="coat")
    assert [row.idea for row in store.rows("page", id=7)] == ["boots", "coat"]


def test_a_page_key_may_be_a_numpy_number(open_store: OpenStore) -> None:
    store = open_store(schemas={"page": Page})
    pages: Any = {"idea_page": np.int64(1)}
    store.set("page", id=7, **pages, idea="boots")
    assert store.get("page", np.int64(7), **pages).idea == "boots"


def test_a_page_number_of_the_wrong_type_is_refused(open_store: OpenStore) -> None:
    store = open_store(schemas={"page": Page})
    with pytest.raises(motion.InvalidValue, match=r"page\.idea_page"):
        store.get("page", 7, idea_page="first")  # type: ignore[call-overload]  # on purpose


def test_a_page_key_that_the_table_lacks_is_refused_with_the_nearest_name(
    open_store: OpenStore,
) -> None:
    with pytest.raises(motion.UnknownKey, match="Did you mean 'idea_page'"):
        open_store(schemas={"page": Page}).get("page", 7, ide_page=1)


def test_a_key_that_is_no_page_key_does_not_name_a_row(open_store: OpenStore) -> None:
    with pytest.raises(motion.SchemaError, match="no page key"):
        open_store(schemas={"page": Page}).get("page", 7, score=1)


# -- delete --


def test_a_deleted_row_is_gone(store: motion.Store) -> None:
    store.set("garment", id=7)
    store.delete("garment", 7)
    assert store.get("garment", 7) is None


def test_deleting_an_id_deletes_all_its_pages(open_store: OpenStore) -> None:
    store = open_store(schemas={"page": Page})
    for page in range(3):
        store.set("page", id=7, idea_page=page)
    store.set("page", id=8)
    store.delete("page", 7)
    assert [row.id for row in store.rows("page")] == [8]


def test_deleting_what_is_not_there_does_no_harm(store: motion.Store) -> None:
    store.delete("garment", 7)
    assert store.rows("garment") == []


def test_a_row_made_again_after_deletion_has_nothing_of_the_old_one(store: motion.Store) -> None:
    store.set("garment", id=7, name="dress", stock=5)
    store.delete("garment", 7)
    store.set("garment", id=7)
    row = store.get("garment", 7)
    assert (row.name, row.stock) == (None, 0)


def test_deleting_without_an_id_is_refused(store: motion.Store) -> None:
    with pytest.raises(motion.InvalidValue, match=r"garment\.id"):
        store.delete("garment")


def test_an_id_of_the_wrong_type_cannot_be_deleted(store: motion.Store) -> None:
    with pytest.raises(motion.InvalidValue, match=r"'seven' \(str\)"):
        store.delete("garment", "seven")


def test_an_id_of_the_wrong_type_cannot_be_got(store: motion.Store) -> None:
    with pytest.raises(motion.InvalidValue, match=r"'seven' \(str\)"):
        store.get("garment", "seven")


def test_getting_without_an_id_is_refused(store: motion.Store) -> None:
    with pytest.raises(motion.InvalidValue, match=r"garment\.id"):
        store.get("garment", None)


# -- transactions --


def test_a_transaction_writes_across_tables(open_store: OpenStore) -> None:
    store = open_store(schemas={"garment": Garment, "named": Named})
    with store.transaction() as tx:
        tx.set("garment", id=7, name="dress")
        tx.set_many("named", [{"id": "a"}, {"id": "b"}])
    assert (len(store.rows("garment")), len(store.rows("named"))) == (1, 2)


def test_a_transaction_writes_nothing_before_its_end(store: motion.Store) -> None:
    with store.transaction() as tx:
        tx.set("garment", id=7)
        assert store.get("garment", 7) is None
    assert store.get("garment", 7) is not None


@pytest.mark.parametrize("is_served", [False, True])
def test_asynchronous_code_has_the_same_verbs(open_store: OpenStore, is_served: bool) -> None:
    @motion.trigger(on="garment.price", sets="garment.name", name="label")
    def label(price: float) -> str:
        return f"for {price}"

    async def use(where: Any) -> None:
        await where.aio.set("garment", id=1, price=2.0)
        await where.aio.wait(timeout=60)
        table = await where.aio.sql("select name from garment")
        assert table["name"].to_pylist() == ["for 2.0"]
        assert (await where.aio.status()).triggers["label"].calls >= 0
        assert (await where.aio.explain("garment", 1, "name")).made_by == "label"
        assert (await where.aio.plan("label")).current == 1
        await (await where.aio.backfill("label", force=True))
        assert await where.aio.drop() == 0
        await where.aio.delete("garment", 1)
        assert await where.aio.rows("garment") == []

    store = open_store(schemas={"garment": Garment}, triggers=[label])
    if not is_served:
        asyncio.run(use(store))
        return
    with serve(store, port=0) as on, motion.connect(on.url, schemas={"garment": Garment}) as served:
        asyncio.run(use(served))


@pytest.mark.parametrize("is_served", [False, True])
def test_what_comes_after_the_end_of_a_transaction_is_an_error(
    store: motion.Store, is_served: bool
) -> None:
    with ExitStack() as stack:
        where: Any = store
        if is_served:
            served = stack.enter_context(serve(store, port=0))
            where = stack.enter_context(motion.connect(served.url, schemas={"garment": Garment}))
        with where.transaction() as tx:
            tx.set("garment", id=1)
        late: list[Callable[[], Any]] = [
            lambda: tx.set("garment", id=2),
            lambda: tx.set_many("garment", [{"id": 2}]),
            lambda: tx.delete("garment", 1),
        ]
        for write in late:
            with pytest.raises(motion.errors.TransactionEnded, match="Write inside of 'with"):
                write()
    assert [row.id for row in store.rows("garment")] == [1]


def test_a_transaction_that_raises_writes_nothing(store: motion.Store) -> None:
    def fail() -> None:
        with store.transaction() as tx:
            tx.set("garment", id=7)
            raise ConnectionError

    with pytest.raises(ConnectionError):
        fail()
    assert store.rows("garment") == []


def test_a_wrong_value_in_a_transaction_is_an_error_at_once(store: motion.Store) -> None:
    with store.transaction() as tx:
        with pytest.raises(motion.InvalidValue):
            tx.set("garment", id=7, price="much")
        tx.set("garment", id=8)
    assert [row.id for row in store.rows("garment")] == [8]


def test_a_bad_row_of_set_many_in_a_transaction_leaves_all_its_rows_out(
    store: motion.Store,
) -> None:
    with store.transaction() as tx:
        with pytest.raises(motion.InvalidValue):
            tx.set_many("garment", [{"id": 7}, {"id": 8, "price": "much"}])
        tx.set("garment", id=9)
    assert [row.id for row in store.rows("garment")] == [9]


def test_a_transaction_takes_arrow_tables(store: motion.Store) -> None:
    import pyarrow as pa

    with store.transaction() as tx:
        tx.set_many("garment", pa.table({"id": [7, 8], "name": ["dress", None]}))
    assert [row.name for row in store.rows("garment")] == ["dress", None]


def test_writes_of_a_transaction_are_made_in_order(store: motion.Store) -> None:
    with store.transaction() as tx:
        tx.set("garment", id=7, name="dress")
        tx.delete("garment", 7)
        tx.set("garment", id=7, shop="corner")
    row = store.get("garment", 7)
    assert (row.name, row.shop) == (None, "corner")


def test_an_empty_transaction_does_nothing(store: motion.Store) -> None:
    before = store.status().last_change
    with store.transaction():
        pass
    assert store.status().last_change == before


def test_reads_in_a_transaction_do_not_block_other_writers(store: motion.Store) -> None:
    with store.transaction() as tx:
        tx.set("garment", id=7)
        writer = threading.Thread(target=lambda: store.set("garment", id=8))
        writer.start()
        writer.join()
        assert tx.get("garment", 8) is not None


# -- closing --

CALLS: dict[str, Callable[[motion.Store], Any]] = {
    "set": lambda store: store.set("garment", id=7),
    "set_many": lambda store: store.set_many("garment", [{"id": 7}]),
    "delete": lambda store: store.delete("garment", 7),
    "get": lambda store: store.get("garment", 7),
    "rows": lambda store: store.rows("garment"),
    "sql": lambda store: store.sql("select 1"),
    "search": lambda store: store.search("garment.embedding", [1, 2, 3]),
    "status": lambda store: store.status(),
    "errors": lambda store: store.errors(),
    "wait": lambda store: store.wait(),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_closed_store_says_so(store: motion.Store, call: str) -> None:
    store.close()
    with pytest.raises(motion.StoreClosed, match="'shop' is closed"):
        CALLS[call](store)


def test_waiting_for_a_change_of_a_closed_store_says_so(store: motion.Store) -> None:
    change = store.set("garment", id=7)
    store.close()
    with pytest.raises(motion.StoreClosed):
        change.wait()


def test_closing_twice_does_no_harm(store: motion.Store) -> None:
    store.close()
    store.close()


def test_a_store_closes_at_the_end_of_its_block(open_store: OpenStore) -> None:
    with open_store(schemas={"garment": Garment}) as store:
        store.set("garment", id=7)
    with pytest.raises(motion.StoreClosed):
        store.get("garment", 7)


def test_a_store_shows_its_name_and_tables(store: motion.Store) -> None:
    assert repr(store) == "<motion store 'shop': garment>"


@dataclass
class Chapter:
    id: int
    text: str


@dataclass
class Sentence:
    id: int
    text: str


@motion.trigger(on="chapter.text", sets="sentence")
def sentences(text: str) -> list[dict[str, Any]]:
    return [{"text": each} for each in text.split(". ")]


def test_of_writes_that_share_a_commit_each_is_whole_or_not_at_all(open_store: OpenStore) -> None:
    """A delete that this process cannot make raises inside the transaction that others share with it."""
    whole = {"chapter": Chapter, "sentence": Sentence}
    with open_store("book", schemas=whole, triggers=[sentences], run=False) as first:
        kept = first.set("chapter", text="One. Two").id
    store = open_store("book", schemas={"chapter": Chapter}, run=False, durability="full")
    together = threading.Barrier(8)
    failed: list[Exception] = []
    ids: list[int] = []

    def write(i: int) -> None:
        for _ in range(20):
            together.wait(60)  # else one that fails leaves threads behind that nothing ends
            try:
                if i % 2:
                    ids.append(int(store.set("chapter", text="new").id or 0))
                else:
                    with store.transaction() as tx:
                        tx.set("chapter", text="half")
                        tx.delete("chapter", kept)
            except motion.SchemaError as exc:
                failed.append(exc)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failed) == 80
    assert len(set(ids)) == 80
    assert {row.id for row in store.rows(Chapter)} == {kept, *ids}


# -- Ctrl-C --


@contextmanager
def interrupted_in(function: str) -> Iterator[None]:
    """Send Ctrl-C to this thread while it waits in a function of ours. Again until it has come: a signal that comes the
    moment before a thread begins to wait does not wake it."""
    thread, is_over = threading.get_ident(), threading.Event()

    def send() -> None:
        while not is_over.wait(0.1):
            if _waits_in(thread, function):
                signal.pthread_kill(thread, signal.SIGINT)

    sender = threading.Thread(target=send)
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # tests in the background ignore it
    sender.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        is_over.set()
        sender.join()
        signal.signal(signal.SIGINT, before)


def _waits_in(thread: int, function: str) -> bool:
    names = _names(sys._current_frames()[thread])
    return names[0] in ("wait", function) and function in names


def test_a_write_that_is_interrupted_while_it_waits_to_lead_leaves_the_others_their_turn(
    store: motion.Store, tmp_path: Path
) -> None:
    write = store._database.backend.write  # a claim, say, which is not durable and shares no commit
    claim = threading.Thread(target=write, args=(lambda _: None,), kwargs={"is_durable": False})
    with closing(sqlite3.connect(next(tmp_path.glob("*.motion")) / "store.sqlite")) as other:
        other.execute("BEGIN IMMEDIATE")  # another process writes, and holds the claim up
        claim.start()
        while not any("_commit_one" in _names(frame) for frame in sys._current_frames().values()):
            pass
        with interrupted_in("_write_alone"):
            store.set("garment", id=2)
        other.rollback()
    claim.join(30)
    later = threading.Thread(target=store.set, args=("garment",), kwargs={"id": 3}, daemon=True)
    later.start()
    later.join(10)
    assert [row.id for row in store.rows("garment")] == [3]


def test_who_is_interrupted_while_it_waits_to_be_alone_stands_in_nobodys_way() -> None:
    lock, is_held, may_end = SharedLock(), threading.Event(), threading.Event()

    def hold() -> None:
        with lock.shared():
            is_held.set()
            assert may_end.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert is_held.wait(30)
    with interrupted_in("alone"), lock.alone():
        pass
    later = threading.Thread(target=_take_shared, args=(lock,), daemon=True)
    later.start()
    later.join(10)
    may_end.set()
    assert not later.is_alive()


def test_who_wants_a_shared_lock_alone_waits_for_the_main_threads_hold_and_then_it_is_refused() -> (
    None
):
    lock, hold, is_alone, may_end = SharedLock(), Hold(), threading.Event(), threading.Event()

    def take_alone() -> None:
        with lock.alone():
            is_alone.set()
            may_end.wait()

    assert hold.take(lock)
    other = threading.Thread(target=take_alone)
    other.start()
    try:
        while _may_hold(lock):  # until it is wanted
            pause()
        assert not is_alone.is_set()
        hold.give_back()
        hold.give_back()
        assert is_alone.wait(30)
        assert not _may_hold(lock)
    finally:
        hold.give_back()
        may_end.set()
        other.join()
    assert _may_hold(lock)


def _may_hold(lock: SharedLock) -> bool:
    hold = Hold()
    try:
        return hold.take(lock)
    finally:
        hold.give_back()


def _take_shared(lock: SharedLock) -> None:
    with lock.shared():
        pass


def _names(frame: FrameType | None) -> list[str]:
    """Return the functions that a thread is in."""
    names = []
    while frame is not None:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    return names


def test_a_store_may_be_closed_while_threads_read_from_it(tmp_path: Path) -> None:
    """In a process of its own: a connection that is closed in the middle of a statement ends it."""
    script = tmp_path / "closing.py"
    script.write_text(
        textwrap.dedent("""
        import threading
        from dataclasses import dataclass
        import motion

        @dataclass
        class Line:
            id: int
            text: str

        def read(store, has_begun, told):
            try:
                while True:
                    assert len(store.rows("line")) == 500
                    assert store.sql("SELECT COUNT(*) FROM line").column(0)[0].as_py() == 500
                    has_begun.set()
            except BaseException as exc:
                told.append(type(exc))

        told = []
        for i in range(15):
            store = motion.create_store("closing", schemas={"line": Line}, url=":memory:", run=False)
            store.set_many("line", [{"text": str(n)} for n in range(500)])
            signs = [threading.Event() for _ in range(6)]
            threads = [threading.Thread(target=read, args=(store, sign, told)) for sign in signs]
            for thread in threads:
                thread.start()
            for sign in signs:
                sign.wait()
            store.close()
            for thread in threads:
                thread.join()
        print(*{each.__name__ for each in told}, len(told))
        """)
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=100, check=False
    )
    assert (done.returncode, done.stdout.split()) == (0, ["StoreClosed", "90"]), done.stderr


# -- only if it is as it was read --


def test_a_row_that_is_as_it_was_read_is_set(store: motion.Store) -> None:
    store.set("garment", id=1, name="coat", stock=3)
    row = store.get(Garment, 1)
    assert row is not None
    store.set(row, stock=row.stock + 1, if_unchanged=True)
    assert [each.stock for each in store.rows(Garment)] == [4]


def test_a_row_that_has_changed_since_it_was_read_is_not_set(store: motion.Store) -> None:
    store.set("garment", id=1, name="coat", stock=3)
    row = store.get(Garment, 1)
    store.set("garment", id=1, name="red coat")
    with pytest.raises(motion.RowChanged, match=r"id=1.*name changed") as caught:
        store.set(row, stock=9, if_unchanged=True)
    assert caught.value.keys == ["name"]
    assert [each.stock for each in store.rows(Garment)] == [3]


def test_a_row_that_was_deleted_since_it_was_read_is_not_made_again(store: motion.Store) -> None:
    store.set("garment", id=1, name="coat")
    row = store.get(Garment, 1)
    store.delete("garment", 1)
    with pytest.raises(motion.RowChanged, match="deleted"):
        store.set(row, stock=9, if_unchanged=True)
    assert store.rows(Garment) == []


def test_a_transaction_with_a_row_that_has_changed_writes_nothing(store: motion.Store) -> None:
    store.set("garment", id=1, name="coat", stock=3)
    row = store.get(Garment, 1)
    store.set("garment", id=1, stock=4)

    def set_both() -> None:
        with store.transaction() as tx:
            tx.set("garment", id=2, name="belt")
            tx.set(row, stock=9, if_unchanged=True)

    with pytest.raises(motion.RowChanged):
        set_both()
    assert [(each.id, each.stock) for each in store.rows(Garment)] == [(1, 4)]


def test_threads_that_set_a_row_only_as_they_read_it_lose_no_increment(store: motion.Store) -> None:
    store.set("garment", id=1, stock=0)

    def add() -> None:
        for _ in range(25):
            while True:
                row = store.get(Garment, 1)
                assert row is not None
                try:
                    store.set(row, stock=row.stock + 1, if_unchanged=True)
                    break
                except motion.RowChanged:
                    pass

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [each.stock for each in store.rows(Garment)] == [100]


def test_what_was_not_read_cannot_be_set_as_unchanged(store: motion.Store) -> None:
    with pytest.raises(motion.InvalidArgument, match="row that was read"):
        store.set("garment", id=1, stock=9, if_unchanged=True)
