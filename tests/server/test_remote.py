"""The client: a store that is served elsewhere, used by the store's verbs."""

from __future__ import annotations

import asyncio
import gc
import math
import os
import resource
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FuturesTimeout
from dataclasses import dataclass
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import motion
from motion.remote import change as link_to_change
from motion.remote import store as link_to_store
from motion.remote.store import RemoteStore
from motion.server import Serving, serve
from tests.conftest import OpenStore
from tests.server.test_server import SCHEMAS, Item, Query, Shop, Size, link, think


@dataclass
class Note:
    id: int
    text: str
    loud: str


@dataclass
class Slow:
    """A store, served, whose work goes on until it is let go."""

    store: motion.Store
    remote: RemoteStore
    go: threading.Event

    def is_done(self) -> bool:
        return all(row.loud for row in self.store.rows(Note))


@pytest.fixture
def slow(open_store: OpenStore) -> Iterator[Slow]:
    go = threading.Event()

    @motion.trigger(on="note.text", sets="note.loud", inline=False)
    def shout(text: str) -> str:
        go.wait(12)  # less than the 15 s after which a server says in a stream that it is there
        return text.upper()

    store = open_store("notes", schemas={"note": Note}, triggers=[shout])
    with serve(store, port=0) as on, motion.connect(on.url, schemas={"note": Note}) as remote:
        yield Slow(store, remote, go)
        go.set()
        store.wait()


@pytest.fixture
def store(open_store: OpenStore) -> motion.Store:
    return open_store("shop", schemas=SCHEMAS, triggers=[think, link])


@pytest.fixture
def serving(store: motion.Store) -> Iterator[Serving]:
    with serve(store, port=0) as running:
        yield running


@pytest.fixture
def remote(serving: Serving) -> Iterator[RemoteStore]:
    with motion.connect(serving.url, schemas=SCHEMAS) as found:
        yield found


def test_a_row_goes_and_comes_as_it_is_in_its_own_class(
    remote: RemoteStore, store: motion.Store
) -> None:
    item = Item(
        1, "coat", Shop.SOUTH, float("inf"), b"\x00\xff", datetime(2026, 1, 2, tzinfo=UTC), [Size("S", 1.5)],
        np.arange(4).reshape(2, 2), np.array([1, 2, 3], np.float32),
    )  # fmt: skip
    change = remote.set("item", **vars(item))
    found = remote.get(Item, 1)
    assert (change.id, change.count) == (1, 1)
    assert isinstance(found, Item)
    assert repr(found) == repr(store.get(Item, 1)) == repr(item)
    assert remote.get(Item, 2) is None


def test_without_schemas_rows_are_of_classes_made_for_what_the_server_says(
    serving: Serving, remote: RemoteStore
) -> None:
    remote.set("item", id=1, name="coat", shop=Shop.SOUTH, embedding=np.ones(3, np.float32))
    with motion.connect(serving.url) as plain:
        found = plain.get("item", 1)
        assert (found.name, found.shop) == ("coat", "SOUTH")
        assert found.embedding.tolist() == [1, 1, 1]


def test_rows_are_chosen_by_all_that_a_store_takes_and_however_many_there_are(
    remote: RemoteStore, store: motion.Store
) -> None:
    remote.set_many(
        "item", ({"id": i, "name": f"n{i}", "price": float(i % 7)} for i in range(2_500))
    )
    assert len(store.rows("item")) == 2_500
    assert [row.id for row in remote.rows(Item)] == list(range(2_500))
    assert remote.rows(Item, where={"price": 3.0}) == store.rows(Item, where={"price": 3.0})
    asked: dict[str, Any] = {"where": "price > ?", "params": [5], "order_by": "id DESC", "limit": 3}
    assert remote.rows(Item, **asked) == store.rows(Item, **asked)


def test_many_rows_go_as_arrow_and_come_back_by_sql(remote: RemoteStore) -> None:
    table = pa.table({"id": [1, 2], "name": ["coat", "hat"]})
    assert remote.set_many("item", table).count == 2
    assert remote.sql("select name from item where id = ?", [2]).to_pydict() == {"name": ["hat"]}


def test_rows_of_a_shop_that_were_not_given_again_are_pruned(remote: RemoteStore) -> None:
    rows = [{"name": name, "shop": Shop.NORTH} for name in ("coat", "hat")]
    remote.set_many("item", rows, by="name", prune="shop")
    remote.set_many("item", rows[:1], by="name", prune="shop").wait()
    assert [row.name for row in remote.rows(Item)] == ["coat"]


def test_a_search_gives_hits_with_their_rows(remote: RemoteStore, store: motion.Store) -> None:
    remote.set_many("item", [{"id": i, "embedding": np.array([1, i, 0], np.float32)} for i in range(4)])  # fmt: skip
    query = np.array([1, 3, 0], np.float32)
    found = remote.search("item.embedding", query, k=2, where={"price": None})
    expected = store.search("item.embedding", query, k=2)
    assert [(hit.id, hit.score) for hit in found] == [(hit.id, hit.score) for hit in expected]
    assert isinstance(found[0].row, Item)
    [part] = remote.search("item.embedding", query, k=1, keys=["price"])
    assert (part.id, part.row.id, part.row.embedding) == (found[0].id, found[0].id, None)


def test_a_change_is_waited_for_and_streamed(remote: RemoteStore) -> None:
    change = remote.set("query", query="red dress")
    links = {row.link for row in change.stream("link")}
    assert links == {f"https://shop.example/red dress {number}" for number in range(3)}
    assert change.wait().progress.remaining == 0
    assert len(change.wait("link").rows()) == 3
    again = remote.change(change.key, table=Query, ids=[change.id])
    assert len(list(again.stream("link"))) == 3


@pytest.mark.timeout(60)
def test_a_stream_that_is_left_holds_nothing_up_wherever_it_is_collected(
    remote: RemoteStore,
) -> None:
    """Collected in the middle of another request of this thread, as Python may do at any time."""
    change = remote.set("query", query="red dress").wait()
    stream = change.stream("link")
    next(stream)
    circle: list[Any] = [stream]
    circle.append(circle)
    gc.disable()
    del stream, circle
    collected = []

    def collect(frame: FrameType, event: str, arg: Any) -> None:
        if event == "call" and frame.f_code.co_name == "_assign_requests_to_connections":
            collected.append(gc.collect())

    sys.setprofile(collect)  # its pool of connections is locked there
    try:
        assert remote.get("query", change.id)
    finally:
        sys.setprofile(None)
        gc.enable()
    assert any(collected)


def test_a_stream_that_is_left_is_closed_before_what_it_reads_from_is_collected(
    remote: RemoteStore,
) -> None:
    """Where Python collects young things while it connects, the socket comes first in the list of those to be collected."""
    change = remote.set("query", query="red dress").wait()
    stream = change.stream("link")
    collected = []

    def collect(frame: FrameType, event: str, arg: Any) -> None:
        if event == "call" and frame.f_code.co_name == "connect_tcp":
            collected.append(gc.collect(0))

    gc.disable()
    sys.setprofile(collect)
    try:
        next(stream)
    finally:
        sys.setprofile(None)
    circle: list[Any] = [stream]
    circle.append(circle)
    del stream, circle
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        gc.collect()
        gc.enable()
    assert collected
    assert [str(each.message) for each in told] == []


def test_a_failure_is_raised_as_it_is_by_the_store_itself(remote: RemoteStore) -> None:
    change = remote.set("query", query="bad")
    with pytest.raises(motion.TaskFailed, match="the model is in"):
        list(change.stream("link"))
    with pytest.raises(motion.TaskFailed, match="think"):
        change.wait()
    assert change.wait(raise_errors=False).errors[0].trigger == "think"
    letter = remote.errors()[0]
    assert "query='bad'" in letter.inputs
    assert remote.retry(letter) == 1


def test_errors_are_those_that_the_store_raises(remote: RemoteStore) -> None:
    with pytest.raises(motion.UnknownKey, match="Did you mean 'name'"):
        remote.set("item", nam="coat")
    with pytest.raises(motion.InvalidValue, match=r"item\.price takes"):
        remote.set("item", price="dear")
    with pytest.raises(motion.UnknownTable):
        remote.get("itm", 1)
    with pytest.raises(motion.SqlError):
        remote.sql("drop table item")
    row = remote.get(Item, remote.set("item", name="coat").id)
    remote.set(row, name="hat")
    with pytest.raises(motion.RowChanged, match="name changed"):
        remote.set(row, price=1.0, if_unchanged=True)


def test_a_transaction_is_made_whole_or_not_at_all(remote: RemoteStore) -> None:
    with remote.transaction() as tx:
        tx.set("item", id=1, name="coat")
        tx.set("query", id="q", query="red dress")
    assert remote.get(Item, 1) is not None
    with pytest.raises(motion.InvalidValue):
        _delete_and_fail(remote)
    assert remote.get(Item, 1) is not None


def _delete_and_fail(remote: RemoteStore) -> None:
    with remote.transaction() as tx:
        tx.delete("item", 1)
        tx.set("item", id="no number")


def test_it_is_told_how_the_store_is(remote: RemoteStore, store: motion.Store) -> None:
    change = remote.set("query", id="q", query="red dress").wait()
    remote.wait(timeout=30)
    assert remote.status().triggers["think"].calls == 1
    assert remote.status().versions == store.status().versions
    told = remote.explain("query", "q", "link", idea_page=1)
    assert str(told) == str(store.explain("query", "q", "link", idea_page=1))
    assert remote.plan("link").current == 3
    assert remote.backfill("link", force=True).wait().key > change.key
    remote.delete("query", "q")
    assert remote.rows(Query) == []


def test_what_was_measured_of_a_version_is_a_number_whatever_it_is(open_store: OpenStore) -> None:
    class Odd(motion.Component):
        def setup(self) -> int:
            return 0

        @motion.fit(on="note.text", promote=motion.if_better("rows"))
        def learn(self, state: int, rows: list[Note]) -> int:
            return state + len(rows)

        def evaluate(self, state: int, rows: list[Note]) -> dict[str, float]:
            return {"loss": math.inf, "gain": -math.inf, "share": math.nan, "rows": 1.0}

    store = open_store("notes", schemas={"note": Note}, triggers=[Odd()])
    for text in "ab":
        store.set("note", text=text)
        store.model("Odd").fit().wait()
        store.wait()
    with serve(store, port=0) as on, motion.connect(on.url, schemas={"note": Note}) as remote:
        found = remote.model("Odd").versions()
    assert found[-1].metrics["loss"] == math.inf
    assert (found[-1].live_metrics or {})["gain"] == -math.inf
    assert str(found) == str(store.model("Odd").versions())


def test_a_wait_of_no_time_returns_where_nothing_is_to_be_done(remote: RemoteStore) -> None:
    change = remote.set("query", query="red dress").wait()
    assert change.wait(timeout=0) is change
    remote.wait(timeout=0)
    remote.wait(timeout=-1)


def test_what_is_not_done_in_time_is_told_as_the_store_tells_it(
    slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where one request does not last as long: then the next one waits on."""
    monkeypatch.setattr(link_to_change, "LONGEST_WAIT_S", 0.05)
    monkeypatch.setattr(link_to_store, "LONGEST_WAIT_S", 0.05)
    change = slow.remote.set("note", text="x")
    for wait in (change.wait, slow.remote.wait):
        for seconds in (0, 0.2):
            with pytest.raises(motion.WaitTimeout) as told:
                wait(timeout=seconds)
            assert (told.value.timeout_s, told.value.remaining) == (seconds, 1)
    slow.go.set()
    assert change.wait(timeout=60).rows()[0].loud == "X"


def test_an_event_loop_is_not_blocked(remote: RemoteStore) -> None:
    async def use() -> tuple[object, list[str]]:
        change = await remote.aio.set("query", query="red dress")
        links = [row.link async for row in change.stream("link")]
        await change
        return await remote.aio.get("query", change.id), links

    row, links = asyncio.run(use())
    assert row is not None
    assert len(links) == 3


@pytest.mark.parametrize("how", ["await", "async for"])
def test_what_an_event_loop_gives_up_waiting_for_holds_up_nothing(slow: Slow, how: str) -> None:
    async def give_up() -> None:
        change = await slow.remote.aio.set("note", text="x")

        async def wait() -> None:
            if how == "await":
                await change
            async for _ in change.stream("loud"):
                pass

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wait(), 0.2)

    asyncio.run(give_up())
    assert not slow.is_done()


def test_awaits_take_no_thread_from_what_else_an_event_loop_does(slow: Slow) -> None:
    async def ask_beside() -> None:
        change = await slow.remote.aio.set("note", text="x")

        async def follow() -> list[str]:
            return [row.loud async for row in change.stream("loud")]

        awaits = [asyncio.ensure_future(change) for _ in range(40)]
        streams = [asyncio.create_task(follow()) for _ in range(40)]
        await asyncio.sleep(0)  # all have begun
        await slow.remote.aio.get("note", change.id)
        assert not slow.is_done()
        slow.go.set()
        assert await asyncio.gather(*awaits) == [change] * 40
        assert await asyncio.gather(*streams) == [["X"]] * 40

    asyncio.run(ask_beside())


def test_more_changes_are_awaited_at_once_than_there_may_be_connections(slow: Slow) -> None:
    async def await_many() -> None:
        change = await slow.remote.aio.set("note", text="x")
        awaits = [asyncio.ensure_future(change) for _ in range(400)]
        done, _ = await asyncio.wait(awaits, timeout=0.5)
        assert not done
        slow.go.set()
        assert await asyncio.gather(*awaits) == [change] * 400

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = os.open(os.devnull, os.O_RDONLY)  # as many are open already, at least
    os.close(spare)
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare + 300, hard))
    try:
        asyncio.run(await_many())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_stream_that_an_event_loop_gave_up_reading_goes_on_where_it_was(slow: Slow) -> None:
    async def read() -> list[str]:
        change = await slow.remote.aio.set("note", text="x")
        stream = change.stream("loud")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stream), 0.2)
        slow.go.set()
        return [row.loud async for row in stream]

    assert asyncio.run(read()) == ["X"]


@pytest.mark.parametrize("how", ["stream", "async for", "wait", "await", "store.wait"])
def test_close_ends_what_others_wait_for(slow: Slow, how: str) -> None:
    change = slow.remote.set("note", text="x")

    async def follow() -> None:
        async for _ in change.stream("loud"):
            pass

    async def wait() -> None:
        await change

    ways: dict[str, Callable[[], Any]] = {
        "stream": lambda: list(change.stream("loud")), "wait": change.wait, "store.wait": slow.remote.wait,
        "async for": lambda: asyncio.run(follow()), "await": lambda: asyncio.run(wait()),
    }  # fmt: skip
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(ways[how])
        with pytest.raises(FuturesTimeout):
            waiting.result(0.5)
        slow.remote.close()
        with pytest.raises(motion.StoreClosed):
            waiting.result()
    assert not slow.is_done()


def test_a_server_that_is_not_there_is_told_of(serving: Serving, remote: RemoteStore) -> None:
    serving.stop()
    with pytest.raises(motion.Unreachable, match="motion serve"):
        remote.get(Item, 1)
    with pytest.raises(motion.Unreachable):
        motion.connect(serving.url)


def test_a_stream_goes_on_with_the_server_that_comes_after(open_store: OpenStore) -> None:
    at_rest = open_store("shop", schemas=SCHEMAS, triggers=[think, link], run=False)
    with serve(at_rest, port=0) as first, motion.connect(first.url, schemas=SCHEMAS) as remote:
        change = remote.set("query", query="red dress")
        stream = change.stream("link")
        got: list[str] = []

        async def follow() -> None:
            async for row in stream:
                got.append(row.link)

        async def restart() -> None:
            following = asyncio.create_task(follow())
            await asyncio.to_thread(first.stop)
            await asyncio.to_thread(at_rest.close)
            again = open_store("shop", schemas=SCHEMAS, triggers=[think, link])
            port = int(first.url.rpartition(":")[2])
            with serve(again, port=port):
                await following

        asyncio.run(restart())
    assert sorted(got) == [f"https://shop.example/red dress {number}" for number in range(3)]
