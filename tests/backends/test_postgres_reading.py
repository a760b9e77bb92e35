"""How often what reads asks the server, what is left behind it, and why SQL of guests is not asked there."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import psycopg
import pytest

import motion
from motion.backends.postgres import PostgresBackend
from motion.backends.postgres_line import Line
from motion.errors import NotOnPostgres
from motion.persistence.tasks import timeline
from tests.conftest import pause
from tests.postgres import Server

HERE = np.ones(3, np.float32)


@dataclass
class Garment:
    id: int
    price: Annotated[float, motion.Index]
    made: Annotated[np.ndarray, motion.Vector(3)]


@pytest.fixture
def store(postgres_server: Server, tmp_path: Path) -> Iterator[motion.Store]:
    schema = f"reading_{os.getpid()}"
    url = f"{postgres_server.url}&motion_schema={schema}&motion_folder={tmp_path / 'folder'}"
    with motion.create_store("shop", schemas={"garment": Garment}, url=url, run=False) as made:
        made.set_many("garment", [{"id": n, "price": n, "made": HERE * n} for n in range(1, 30)])
        yield made
    postgres_server.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')


def asked(monkeypatch: pytest.MonkeyPatch, work: Callable[[], Any]) -> list[str]:
    """Return what this thread waits for the server with while something is done, but for a connection that is made."""
    found: list[str] = []
    execute, run, own = psycopg.Connection.execute, Line.run, threading.current_thread()

    def noted(self: Any, query: Any, *given: Any, **options: Any) -> Any:
        if threading.current_thread() is own and "pg_backend_pid" not in str(query):
            found.append(str(query))
        return execute(self, query, *given, **options)

    def noted_together(self: Line) -> None:
        if threading.current_thread() is own and self._waiting:
            found.append("; ".join(sent.key[0] for sent in self._waiting))
        run(self)

    with monkeypatch.context() as patched:
        patched.setattr(psycopg.Connection, "execute", noted)
        patched.setattr(Line, "run", noted_together)
        work()
    return found


def nearest(store: motion.Store, **options: Any) -> list[int]:
    return [hit.id for hit in store.search("garment.made", HERE, k=3, **options)]


def test_a_search_asks_the_server_once_and_a_read_by_id_twice(
    store: motion.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    nearest(store)
    nearest(store)
    (only,) = asked(monkeypatch, lambda: nearest(store))
    assert "motion_vector_log" in only
    assert "motion_rows_garment" in only
    assert len(asked(monkeypatch, lambda: store.get("garment", 1))) == 2
    assert len(asked(monkeypatch, lambda: nearest(store))) == 1
    filtered = asked(monkeypatch, lambda: nearest(store, where={"price": 7.0}))
    assert len(filtered) == 4
    assert nearest(store, where={"price": 7.0}) == [7]


def test_rows_that_were_committed_while_the_memory_was_searched_are_found(
    store: motion.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time another row is made the nearest, or goes, between the search of the memory and the only question."""
    nearest(store)
    there = np.array([5, -1, -1], np.float32)
    ask, left = PostgresBackend.ask, iter(range(100, 103))

    def late(self: Any, *given: Any) -> Any:
        if (n := next(left, None)) is not None:
            store.set("garment", id=n, price=1.0, made=there)
            store.delete("garment", n - 1)
        return ask(self, *given)

    monkeypatch.setattr(PostgresBackend, "ask", late)
    for n in range(100, 103):
        found = store.search("garment.made", there, k=29)
        assert [hit.id for hit in found if hit.id >= 99] == [n]
        assert len(found) == 29
    assert next(left, None) is None, "each search has asked"


def test_a_search_in_a_snapshot_is_of_that(store: motion.Store) -> None:
    nearest(store)
    with store._database.backend.read() as tx:
        tx.execute("SELECT 1").fetchone()  # it begins here
        writer = threading.Thread(target=store.delete, args=("garment", 5))
        writer.start()
        writer.join()
        assert len(store.search("garment.made", HERE, k=100)) == 29
    assert len(store.search("garment.made", HERE, k=100)) == 28


def test_what_a_statement_of_a_user_sets_is_not_left_to_searches(store: motion.Store) -> None:
    found = nearest(store)
    for _ in range(3):
        store.sql("SELECT set_config('search_path', 'pg_catalog', false)")
        assert nearest(store) == found
        assert store.get("garment", 1).price == 1.0


def test_rows_with_a_value_are_looked_up_in_the_index_of_its_key(
    store: motion.Store, postgres_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read() -> None:
        nearest(store, where={"price": 7.0})
        store.rows("garment", where={"price": 8.0})

    schema = store._database.backend.schema  # type: ignore[attr-defined]  # of PostgreSQL
    nearest(store)  # what is to be made first is asked by another thread
    listed, rows = (sql for sql in asked(monkeypatch, read) if '"price" = ' in sql)
    with psycopg.connect(postgres_server.url, options=f"-c search_path={schema}") as connection:
        connection.execute("SET enable_seqscan TO off")  # of so few rows it would read all
        for sql in (listed, rows):
            steps = connection.execute(f"EXPLAIN (GENERIC_PLAN) {sql}").fetchall()
            assert any("garment:price" in step for (step,) in steps), steps


def test_what_comes_with_the_beginning_is_as_of_then(store: motion.Store) -> None:
    """What is committed between two searches is in the second one, though it asks for the same first."""
    for n in range(6):
        there = np.array([1, -5, n], np.float32)
        store.set("garment", id=1 + n % 2, made=there)
        assert store.search("garment.made", there, k=1)[0].id == 1 + n % 2
    store.delete("garment", 2)
    assert 2 not in nearest(store, where={"price": 2.0})
    assert len(store.search("garment.made", HERE, k=100)) == 28


def test_a_set_asks_twice_while_other_writers_wait(
    store: motion.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins, with what it reads first; and commits, with the row, the numbers that it took and when that was, and has it kept."""

    def set_one() -> None:
        store.set("garment", price=1.0)

    monkeypatch.setattr(timeline, "RESOLUTION_MS", 0)  # when a change was is noted with each
    set_one()
    begins, commits = asked(monkeypatch, set_one)
    assert "pg_advisory_xact_lock" in begins
    assert "motion_rows_garment" in begins
    assert commits.startswith("INSERT INTO")
    assert "motion_moments" in commits
    assert re.search("COMMIT(; SELECT pg_logical_emit_message.*)?$", commits)


def test_no_snapshot_is_left_open_behind_a_read(
    store: motion.Store, postgres_server: Server
) -> None:
    nearest(store)
    store.get("garment", 1)
    sql = (
        "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' "
        "AND application_name = 'motion shop'"
    )
    while postgres_server.execute(sql) != [(0,)]:
        pause()
    with pytest.raises(motion.SqlError):
        store.sql("SELECT no_such_key FROM garment")
    assert nearest(store) == nearest(store)


def test_readers_that_the_server_ends_behind_their_answers_are_made_again(
    store: motion.Store, postgres_server: Server
) -> None:
    found = nearest(store)
    for _ in range(3):
        postgres_server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'motion shop'"
        )
        assert nearest(store) == found
        assert store.get("garment", 1).price == 1.0


# -- guests --

ESCAPE = (
    "SELECT (SELECT min(word) FROM ts_stat('SELECT to_tsvector(''simple'', secret) FROM {}.kept' || left(role, 0))) "
    "FROM (SELECT set_config('role', 'none', true) AS role) AS left_it"
)


def test_a_role_that_is_set_for_a_statement_of_a_guest_is_left_by_the_statement(
    postgres_server: Server,
) -> None:
    """So SQL of guests is refused: were this closed one day, it could be thought of anew."""
    owner, guest = f"owner_{os.getpid()}", f"guest_{os.getpid()}"
    postgres_server.execute(f"CREATE ROLE {owner} LOGIN")
    postgres_server.execute(f"CREATE ROLE {guest} NOLOGIN")
    try:
        postgres_server.execute(f"GRANT {guest} TO {owner} WITH INHERIT FALSE, SET TRUE")
        postgres_server.execute(f"CREATE SCHEMA {owner} AUTHORIZATION {owner}")
        place = postgres_server.url.replace("postgres:@", f"{owner}:@")
        with psycopg.connect(place, autocommit=True) as connection:
            connection.execute(f"CREATE TABLE {owner}.kept AS SELECT 'hunter2' AS secret")
            connection.execute("BEGIN READ ONLY")
            connection.execute(f"SET LOCAL ROLE {guest}")
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute(f"SELECT * FROM {owner}.kept")
            assert connection.execute(ESCAPE.format(owner)).fetchall() == [("hunter2",)]
    finally:
        postgres_server.execute(f"DROP SCHEMA IF EXISTS {owner} CASCADE")
        postgres_server.execute(f"DROP ROLE {owner}, {guest}")


@pytest.mark.parametrize("sees", ["rows", "shown"])
def test_sql_of_guests_is_refused(store: motion.Store, sees: Any) -> None:
    with pytest.raises(NotOnPostgres, match="guests"):
        store.sql("SELECT 1", sees=sees)
