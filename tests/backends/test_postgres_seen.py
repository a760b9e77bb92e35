"""What others see before it is kept: a commit lets the next writer go on, and then waits for the disk. Nobody is told meanwhile."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

import motion
from motion import clock
from motion.backends import postgres_listening
from motion.backends.base import Transaction
from motion.backends.postgres_line import Answer, Line
from motion.backends.postgres_session import FLUSH
from tests.backends.test_postgres import kill_and_start, writing_its_log_late
from tests.conftest import pause, until
from tests.postgres import Server

LONG_S = 600

HELD = 7_066
"""The lock that a commit waits for where others see it."""


@dataclass
class Garment:
    id: int
    price: float | None = None
    doubled: float | None = None
    label: str | None = None


@pytest.fixture
def schema(postgres_server: Server) -> Iterator[str]:
    name = f"seen_{os.getpid()}_{threading.get_ident()}"
    yield name
    postgres_server.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE')


@pytest.fixture
def open_shop(
    postgres_server: Server, schema: str, tmp_path: Path
) -> Iterator[Callable[..., motion.Store]]:
    """Open the same store again and again, each time as another process would."""
    opened: list[motion.Store] = []
    url = f"{postgres_server.url}&motion_schema={schema}&motion_folder={tmp_path / 'folder'}"

    def open_shop(**options: Any) -> motion.Store:
        options = {"schemas": {"garment": Garment}, "durability": "full", "run": False, **options}
        opened.append(motion.create_store("shop", url=url, **options))
        return opened[-1]

    yield open_shop
    for store in opened:
        store.close()


@contextmanager
def held_when_seen() -> Iterator[None]:
    """Let the server hold this thread's next commit where others see it and it is not kept, while `HOLDING` is held."""
    left, mine, put = [1], threading.get_ident(), Line.put

    def put_held(self: Line, text: str, *args: Any, **options: Any) -> Answer:
        if text == FLUSH and left and threading.get_ident() == mine:
            left.pop()
            text = FLUSH.replace("SELECT ", f"SELECT pg_advisory_xact_lock_shared({HELD}), ")
        return put(self, text, *args, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Line, "put", put_held)
        yield


@contextmanager
def holding(server: Server) -> Iterator[Callable[[], None]]:
    """Hold who is to be held when its commit is seen; give what waits until one is."""

    def wait_for_it() -> None:
        while not server.execute(f"SELECT 1 FROM pg_locks WHERE objid = {HELD} AND NOT granted"):
            pause()

    with suppress(psycopg.OperationalError), psycopg.connect(server.url, autocommit=True) as holder:
        holder.execute(f"SELECT pg_advisory_lock({HELD})")
        yield wait_for_it


@contextmanager
def at_seen(server: Server, action: Callable[[], None]) -> Iterator[list[int]]:
    """Do something where this thread's next commit is seen and not kept; give how often it still is to be done."""
    left = [1]

    def act() -> None:
        with holding(server) as wait_for_it:
            is_holding.set()
            wait_for_it()
            left.pop()
            action()

    is_holding, acting = threading.Event(), threading.Thread(target=act)
    acting.start()
    assert is_holding.wait(LONG_S)
    with held_when_seen():
        yield left
    acting.join(LONG_S)


def prices(store: motion.Store) -> list[float | None]:
    while True:
        with suppress(motion.StoreUnavailable):  # its connection was of the server that is gone
            return [row.price for row in store.rows("garment")]


@pytest.mark.parametrize("before", [[], ["normal"]])
def test_what_set_has_returned_for_is_kept(
    postgres_server: Server, open_shop: Callable[..., motion.Store], before: list[str]
) -> None:
    for durability in before:  # the stricter holds
        open_shop(durability=durability).set("garment", id=9, price=9.0)
    store = open_shop()
    with writing_its_log_late(postgres_server, store):
        store.set("garment", id=1, price=1.0)
        kill_and_start(postgres_server)
        assert prices(store)[:1] == [1.0]


def test_a_commit_that_a_crash_takes_before_it_is_kept_is_made_again(
    postgres_server: Server, open_shop: Callable[..., motion.Store]
) -> None:
    store, other = open_shop(), open_shop()
    found: list[list[float | None]] = []

    def crash() -> None:
        found.append(prices(other))
        kill_and_start(postgres_server)
        found.append(prices(other))

    with writing_its_log_late(postgres_server, store):
        store.set("garment", id=1, price=1.0)
        with at_seen(postgres_server, crash) as left:
            change = store.set("garment", price=2.0)
        kill_and_start(postgres_server)
    assert not left
    assert found == [[1.0, 2.0], [1.0]]
    assert prices(store) == [1.0, 2.0]
    assert store.get("garment", change.id).price == 2.0


@pytest.mark.parametrize("ended", ["pg_terminate_backend(pid, 60000)", "pg_cancel_backend(pid)"])
def test_a_commit_that_is_ended_before_it_is_kept_is_asked_for_and_kept(
    postgres_server: Server, open_shop: Callable[..., motion.Store], ended: str
) -> None:
    store = open_shop()

    def lose() -> None:
        lost = f"SELECT {ended} FROM pg_stat_activity WHERE application_name = 'motion shop'"
        assert postgres_server.execute(lost)

    with writing_its_log_late(postgres_server, store):
        with at_seen(postgres_server, lose) as left:
            store.set("garment", price=1.0)
        kill_and_start(postgres_server)
    assert not left
    assert prices(store) == [1.0]


def wait(store: motion.Store, change: int) -> None:
    store.change(change, table="garment", ids=[1]).wait("price")


def stream(store: motion.Store, change: int) -> None:
    assert [row.price for row in store.change(change, table="garment", ids=[1]).stream("price")]


def wait_on_a_loop(store: motion.Store, change: int) -> None:
    async def waited() -> None:
        await store.change(change, table="garment", ids=[1])

    asyncio.run(waited())


@pytest.mark.parametrize("await_it", [wait, stream, wait_on_a_loop])
def test_who_waits_elsewhere_is_told_of_nothing_that_a_crash_takes(
    postgres_server: Server,
    open_shop: Callable[..., motion.Store],
    schema: str,
    await_it: Callable[[motion.Store, int], None],
) -> None:
    store, other = open_shop(), open_shop()
    is_seen, goes_on = threading.Event(), threading.Event()

    def stand_still() -> None:
        is_seen.set()
        goes_on.wait(LONG_S)

    def set_it() -> None:
        with at_seen(postgres_server, stand_still):
            store.set("garment", id=1, price=1.0)

    setting = threading.Thread(target=set_it)
    with writing_its_log_late(postgres_server, store):
        setting.start()
        try:
            assert is_seen.wait(LONG_S)
            ((number,),) = postgres_server.execute(f'SELECT number FROM "{schema}".motion_clock')
            await_it(other, number)
            kill_and_start(postgres_server)
            found = prices(other)
        finally:
            goes_on.set()
            setting.join(LONG_S)
    assert found == [1.0]
    assert prices(store) == [1.0]


SETS_AND_STANDS_STILL = """
import sys, motion
from tests.backends.test_postgres_seen import Garment, held_when_seen

schemas = {"garment": Garment}
with motion.create_store("shop", schemas=schemas, url=sys.argv[1], run=False, durability="full") as store:
    with held_when_seen():
        store.set("garment", id=1, price=1.0)
"""


def test_a_call_that_acts_once_is_made_for_no_row_that_a_crash_takes(
    postgres_server: Server, open_shop: Callable[..., motion.Store], schema: str
) -> None:
    found: list[Any] = []

    @motion.trigger(on="garment.price", once=True)
    def pay(id: int, price: float) -> None:
        if not found:
            kill_and_start(postgres_server)
            found.append(postgres_server.execute(f'SELECT id FROM "{schema}".motion_rows_garment'))

    store = open_shop(triggers=[pay], run=True)
    with (
        writing_its_log_late(postgres_server, store),
        holding(postgres_server) as wait_for_it,
    ):
        setting = subprocess.Popen(
            [sys.executable, "-c", SETS_AND_STANDS_STILL, store._database.backend.url],
            cwd=Path(__file__).parents[2],
        )
        try:
            wait_for_it()
            until(store, lambda: bool(found))
        finally:
            setting.wait(LONG_S)
    assert found == [[(1,)]]
    assert setting.returncode == 0
    while True:
        with suppress(motion.StoreUnavailable):
            store.wait(timeout=LONG_S)
            break
    assert prices(store) == [1.0]


def test_a_number_that_a_crash_has_taken_is_not_given_to_another_change(
    postgres_server: Server, open_shop: Callable[..., motion.Store]
) -> None:
    """What was read before would be taken for what is there since."""
    store = open_shop(durability="normal")
    with writing_its_log_late(postgres_server, store):
        lost = store.set("garment", price=1.0).key
        kill_and_start(postgres_server)
    assert prices(store) == []
    made = [store.set("garment", price=2.0).key, store.set("garment", price=3.0).key]
    again = open_shop(durability="normal").set("garment", price=4.0).key
    assert lost < made[0]
    assert again == made[0] + 2 == made[1] + 1


def test_processes_hear_of_each_other_also_where_their_numbers_are_the_same(
    postgres_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of two containers are; here it is one process that has the store open twice."""
    monkeypatch.setattr(
        postgres_listening, "LOOK_S", LONG_S
    )  # so that only what is told is noticed
    writing, waiting = (postgres_server.backend("shop", tmp_path / "shop") for _ in range(2))
    try:
        while not waiting.committed.count:  # it listens once it has looked
            waiting.committed.wait(0, LONG_S)
        seen = waiting.committed.count
        writing.write(lambda tx: None)
        waiting.committed.wait(seen, LONG_S)
        assert waiting.committed.count != seen
    finally:
        writing.close()
        waiting.close()


def test_what_the_transaction_before_read_of_a_table_that_is_gone_is_asked_no_more(
    postgres_server: Server, tmp_path: Path
) -> None:
    first, second = (postgres_server.backend("shop", tmp_path / "shop") for _ in range(2))

    def read(tx: Transaction, table: str) -> int:
        return int(tx.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    try:
        for table in ("kept", "dropped"):
            first.write(lambda tx: tx.execute(f"CREATE TABLE {table} (number INTEGER)"))  # noqa: B023 - called at once
        assert second.write(lambda tx: [read(tx, "kept"), read(tx, "dropped")]) == [0, 0]
        first.write(lambda tx: tx.execute("DROP TABLE dropped"))
        first.write(lambda tx: tx.execute("INSERT INTO kept VALUES (1)"))
        assert [second.write(lambda tx: read(tx, "kept")) for _ in range(2)] == [1, 1]
    finally:
        first.close()
        second.close()


def test_what_a_transaction_reads_first_is_as_of_when_those_before_have_ended(
    postgres_server: Server, tmp_path: Path
) -> None:
    """It is sent along with what begins the transaction, and waits for the others."""
    first, second = (postgres_server.backend("shop", tmp_path / "shop") for _ in range(2))
    count = "SELECT count(*) FROM counted"
    found: list[list[int]] = []

    def read_twice(tx: Transaction) -> None:
        found.append([int(tx.execute(count).fetchone()[0]) for _ in range(2)])

    def insert(tx: Transaction) -> None:
        tx.execute("INSERT INTO counted VALUES (1)")
        reading.start()
        waits = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while not postgres_server.execute(waits):
            pause()

    reading = threading.Thread(target=second.write, args=(read_twice,))
    try:
        first.write(lambda tx: tx.execute("CREATE TABLE counted (number INTEGER)"))
        second.write(read_twice)
        first.write(insert)
        reading.join(LONG_S)
        second.write(lambda tx: tx.execute("INSERT INTO counted VALUES (2)"))
        second.write(read_twice)
        assert found == [[0, 0], [1, 1], [2, 2]]
    finally:
        first.close()
        second.close()


def test_writes_that_make_no_work_call_no_worker_but_for_its_looks(
    postgres_server: Server, open_shop: Callable[..., motion.Store]
) -> None:
    @motion.trigger(on="garment.price", sets="garment.doubled")
    def double(price: float) -> float:
        return 2 * price

    store = open_shop(triggers=[double], run=True)
    store.set("garment", price=1.0)
    store.wait(timeout=LONG_S)
    called = store._database.backend.called
    before, started_s = called.count, clock.monotonic_s()
    for _ in range(200):
        store.set("garment", label="a label")
    assert called.count - before <= 2 + 2 * (clock.monotonic_s() - started_s)
