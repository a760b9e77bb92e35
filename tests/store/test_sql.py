"""SQL of users: it reads, whatever it says, and it can be stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import motion
from motion import clock
from tests.conftest import Garment, OpenStore, pause

ENDLESS = (
    "(with recursive c(x) as (select 1 union all select x + 1 from c) select max(x) from c) > 0"
)


@pytest.fixture
def garments(store: motion.Store) -> motion.Store:
    store.set_many("garment", [{"name": name, "stock": 3} for name in ("dress", "shirt", "shoe")])
    return store


def count(store: motion.Store) -> int:
    return int(store.sql("select count(*) n from garment").to_pylist()[0]["n"])


# -- it only reads --


@pytest.mark.parametrize(
    "query",
    [
        "attach 'new.db' as other",
        "vacuum into 'new.db'",
        "vacuum",
        "detach main",
        "pragma query_only = off",
        "pragma query_only(0)",
        "pragma writable_schema = on",
        "pragma journal_mode = delete",
        "pragma journal_mode",
        "pragma synchronous = off",
        "pragma user_version = 7",
        "pragma wal_checkpoint(truncate)",
        "pragma main.cache_size = 1",
        "pragma temp_store_directory = '/tmp'",
        "pragma optimize",
        "begin",
        "begin immediate",
        "commit",
        "rollback",
        "savepoint a",
        "delete from garment",
        "insert into garment (id) values (99)",
        "release a",
        "create temp table x (y)",
        "create temp view x as select 1",
        "create table x as select * from garment",
        "create virtual table x using fts5(y)",
        "create temp trigger x after insert on motion_rows_garment begin select 1; end",
        "alter table motion_rows_garment rename to x",
        "drop table motion_tasks",
        "reindex",
        "analyze",
        "explain delete from motion_rows_garment",
        "with x as (select 1) delete from motion_rows_garment returning id",
        "insert into motion_rows_garment (id) values (99) returning id",
        "replace into motion_rows_garment (id) values (1)",
        "select load_extension('new')",
        "select fts3_tokenizer('simple')",
        "/* select */ delete from motion_rows_garment -- select",
    ],
)
def test_what_would_do_more_than_read_is_refused_and_leaves_nothing(
    garments: motion.Store, query: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(motion.SqlError, match=r"sql\(\) only reads, and this would"):
        garments.sql(query)
    assert not (tmp_path / "new.db").exists()
    garments.set("garment", name="coat")  # the connection sees it: nothing was begun on it
    assert count(garments) == len(garments.rows("garment")) == 4


@pytest.mark.parametrize(
    "query", ["select 1; delete from motion_rows_garment", "update sqlite_master set sql = ''"]
)
def test_what_sqlite_itself_refuses_is_said(garments: motion.Store, query: str) -> None:
    with pytest.raises(motion.SqlError):
        garments.sql(query)
    assert count(garments) == 3


@pytest.mark.parametrize(
    "query",
    [
        "select value from json_each('[1, 2]')",
        "select name from pragma_table_info('garment') where name = 'shop'",
        "pragma table_info(garment)",
        "pragma page_count",
        "pragma integrity_check",
        "explain query plan select * from garment",
        "values (1)",
        "select name, row_number() over (order by name) from garment",
        "select name from garment union select name from garment order by 1",
        "with recursive c(x) as (select 1 union all select x + 1 from c limit 9) select x from c",
        "select status from motion_tasks union all select 1",
        "select sql from sqlite_master",
    ],
)
def test_what_reads_is_answered(garments: motion.Store, query: str) -> None:
    assert garments.sql(query).num_rows > 0


def test_several_threads_that_are_refused_leave_each_other_alone(garments: motion.Store) -> None:
    def ask(query: str, told: list[str]) -> None:
        for _ in range(50):
            with pytest.raises(motion.SqlError) as caught:
                garments.sql(query)
            told.append(caught.value.reason)

    asked = {"begin": "transaction", "select load_extension('x')": "call", "reindex": "tables"}
    told: dict[str, list[str]] = {query: [] for query in asked}
    threads = [threading.Thread(target=ask, args=each) for each in told.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for query, word in asked.items():
        assert [word in reason for reason in told[query]] == [True] * 50


# -- conditions --


@pytest.mark.parametrize(
    "where",
    [
        "load_extension('x')",
        "fts3_tokenizer('simple')",
        "exists (select * from pragma_journal_mode)",
        "id in (select 1) ; delete from motion_rows_garment",
        "1) ; delete from motion_rows_garment where (1",
    ],
)
def test_a_condition_only_reads(garments: motion.Store, where: str) -> None:
    with pytest.raises(motion.SqlError):
        garments.rows("garment", where=where)
    assert len(garments.rows("garment")) == 3


def test_a_condition_may_end_with_a_comment(open_store: OpenStore) -> None:
    @motion.trigger(on="garment.name", sets="garment.price")
    def price(name: str) -> float:
        return float(len(name))

    store = open_store(schemas={"garment": Garment}, triggers=[price], run=False)
    store.set_many("garment", [{"name": "dress"}, {"name": "shoe"}])
    where = "name = 'shoe' -- and nothing else"
    assert [row.name for row in store.rows("garment", where=where)] == ["shoe"]
    assert len(store.rows("garment", order_by="name -- first", limit=1)) == 1
    assert store.backfill("price", where=where).count == 1


# -- it can be stopped --


def test_a_query_that_takes_too_long_is_stopped(garments: motion.Store) -> None:
    with pytest.raises(motion.SqlTimeout, match=r"after 0\.05 s") as caught:
        garments.sql(f"select {ENDLESS}", timeout=0.05)
    assert isinstance(caught.value, TimeoutError)
    assert garments.sql("select 1 as one", timeout=60).to_pylist() == [{"one": 1}]


def test_a_query_in_another_thread_is_stopped_too(garments: motion.Store) -> None:
    told: list[Exception] = []

    def ask() -> None:
        try:
            garments.sql(f"select {ENDLESS}", timeout=0.05)
        except motion.SqlTimeout as exc:
            told.append(exc)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(20)
    assert len(told) == 1


def test_a_query_gives_no_more_rows_than_its_limit_and_computes_no_more(
    garments: motion.Store,
) -> None:
    numbers = (
        "with recursive c(x) as (select 1 union all select x + 1 from c) select x from c"  # endless
    )
    assert garments.sql(numbers, limit=3).to_pylist() == [{"x": 1}, {"x": 2}, {"x": 3}]
    assert garments.sql(numbers, limit=0).column_names == ["x"]
    garments.set("garment", name="coat")
    assert count(garments) == 4  # no snapshot was left open


@pytest.mark.parametrize("timeout", [0, -1, True, "1"])
def test_a_wrong_timeout_is_refused(garments: motion.Store, timeout: Any) -> None:
    with pytest.raises(motion.InvalidArgument, match=r"sql\(timeout=\)"):
        garments.sql("select 1", timeout=timeout)


@pytest.mark.parametrize("limit", [-1, True, 1.5])
def test_a_wrong_limit_is_refused(garments: motion.Store, limit: Any) -> None:
    with pytest.raises(motion.InvalidArgument, match=r"sql\(limit=\)"):
        garments.sql("select 1", limit=limit)


class Telling(list[Any]):
    """Parameters that tell when they are read, right before the query begins."""

    def __init__(self, begun: threading.Event) -> None:
        super().__init__()
        self._begun = begun

    def __iter__(self) -> Iterator[Any]:
        self._begun.set()
        return super().__iter__()


@pytest.mark.parametrize("how", ["sql", "rows"])
def test_closing_stops_what_is_asked(garments: motion.Store, how: str) -> None:
    begun, told = threading.Event(), list[str]()
    params = Telling(begun)

    def ask() -> None:
        try:
            if how == "sql":
                garments.sql(f"select {ENDLESS}", params)
            else:
                garments.rows("garment", where=ENDLESS, params=params)
        except motion.StoreClosed as exc:
            told.append(str(exc))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    assert begun.wait(20)
    garments.close()
    thread.join(20)
    assert len(told) == 1


INTERRUPTED = f"""
import signal, sys
from dataclasses import dataclass
from typing import Annotated
import numpy as np
import motion

@dataclass
class Doc:
    id: int
    text: str
    size: int
    at: Annotated[np.ndarray, motion.Vector(2)]

@motion.trigger(on="doc.text", sets="doc.size", inline=False)
def size(text: str) -> int:
    return len(text)

class Own(Exception):
    pass

def alarm(*_):
    raise Own

signal.signal(signal.SIGALRM, alarm)
endless = {ENDLESS!r}
store = motion.create_store("docs", schemas={{"doc": Doc}}, triggers=[size], url=":memory:", run=False)
store.set_many("doc", [{{"text": "some", "at": np.array([0.0, 1.0])}}] * 3)
print("begins", flush=True)
try:
    {{call}}
except (KeyboardInterrupt, Own) as exc:
    store.set("doc", text="more")
    print(type(exc).__name__, store.sql("select count(*) n from doc").to_pylist()[0]["n"], flush=True)
store.close()
"""


def cpu_s(process: int) -> float:
    """Return the processor time that a process has had."""
    ticks = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def until(condition: Callable[[], bool]) -> None:
    deadline = clock.monotonic_s() + 60
    while not condition():
        assert clock.monotonic_s() < deadline
        pause()


CALLS = [
    'store.sql(f"select {endless}")',
    'store.rows("doc", where=endless)',
    'store.rows("doc", order_by=endless)',
    'store.search("doc.at", [0, 1], where=endless)',
    'store.search("doc.text", text="some", where=endless)',
    'store.backfill("size", where=endless, force=True)',
]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="shows who is busy")
@pytest.mark.parametrize(
    ("call", "sent", "name"),
    [
        *((call, signal.SIGINT, "KeyboardInterrupt") for call in CALLS),
        (CALLS[0], signal.SIGALRM, "Own"),
    ],
)
def test_a_signal_stops_what_is_asked(call: str, sent: int, name: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", INTERRUPTED.replace("{call}", call)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "begins\n"
        before = cpu_s(process.pid)
        until(lambda: cpu_s(process.pid) > before + 0.3)  # it is in the midst of it
        process.send_signal(sent)
        assert process.communicate(timeout=60)[0] == f"{name} 4\n"
    finally:
        process.kill()
        process.communicate()
