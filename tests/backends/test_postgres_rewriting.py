"""Forgetting in PostgreSQL: no byte is left in the server's files of a store, whoever reads; what cannot be reached is said."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

import motion
from tests.conftest import until
from tests.postgres import Server, files_in

WORD = "zqxcanaryzqx"
WAIT_S = 120


@dataclass
class Person:
    id: int
    about: str
    loud: str | None = None


@motion.trigger(on="person.about", sets="person.loud")
def shout(about: str) -> str:
    return about.upper()


class People:
    """A store with one who is to be forgotten, and others; and what the server keeps of it."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.schema = server, f"people_{os.getpid()}_{abs(hash(folder)) % 10**8}"
        self.url = f"{server.url}&motion_schema={self.schema}&motion_folder={folder}"

    @contextmanager
    def opened(self) -> Iterator[motion.Store]:
        options: dict[str, Any] = {"schemas": {"person": Person}, "triggers": [shout]}
        with motion.create_store("people", url=self.url, **options) as store:
            store.set_many("person", [{"id": n, "about": f"other {n}"} for n in range(2, 9)])
            for text in (f"{WORD} at first", f"{WORD} then", WORD):
                store.set("person", id=1, about=text).wait(timeout=WAIT_S)
            assert [hit.id for hit in store.search("person.about", text=WORD)] == [1]
            yield store

    @property
    def is_known(self) -> bool:
        """Whether a file of the server's has a byte of it."""
        forms = (WORD.encode(), WORD.upper().encode())
        found = [each.read_bytes() for each in files_in(self.server.url, self.schema)]
        return any(form in each for each in found for form in forms)

    @contextmanager
    def reader(self, *statements: str) -> Iterator[psycopg.Connection[Any]]:
        """Another session of the server, in a transaction."""
        with psycopg.connect(self.server.url, autocommit=True) as connection:
            connection.execute(f'SET search_path TO "{self.schema}"')
            for each in statements:
                connection.execute(each)
            yield connection


@pytest.fixture
def people(postgres_server: Server, tmp_path: Path) -> Iterator[People]:
    made = People(postgres_server, tmp_path / "folder")
    yield made
    postgres_server.execute(f'DROP SCHEMA IF EXISTS "{made.schema}" CASCADE')


def in_a_thread(work: Callable[[], Any]) -> Any:
    """Return what it returns, or that it does not: who waits for a lock cannot be stopped."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()
    thread.join(30)
    return found[0] if found else "it waits"


def test_no_byte_is_left_in_a_page_and_none_in_what_the_planner_knows(people: People) -> None:
    known = f"SELECT 1 FROM pg_stats WHERE schemaname = '{people.schema}' AND strpos(CAST(histogram_bounds AS text), '{WORD}') > 0"
    with people.opened() as store:
        store.delete("person", 1)
        store.wait(timeout=WAIT_S)
        people.server.execute("VACUUM")
        assert people.is_known  # in free space of a page
        store.set("person", id=1, about=WORD).wait(timeout=WAIT_S)
        people.server.execute("ANALYZE")
        assert people.server.execute(known)
        forgotten = store.forget("person", 1)
        assert not people.is_known
        assert people.server.execute(known) == []
        assert "write-ahead log" in forgotten.out_of_reach
        assert forgotten.out_of_reach in str(forgotten)
        assert store.search("person.about", text=WORD) == []
        assert [row.loud for row in store.rows("person")] == [f"OTHER {n}" for n in range(2, 9)]
        assert store.set("person", about="new").wait(timeout=WAIT_S).id == 9


def test_whoever_reads_an_old_snapshot_in_the_database_holds_it_up_and_then_it_goes_on(
    people: People,
) -> None:
    begin = "BEGIN ISOLATION LEVEL REPEATABLE READ"
    with people.opened() as store:
        with people.reader(begin, "SELECT 1 FROM pg_class LIMIT 1"):
            with pytest.raises(motion.WaitTimeout):
                store.forget("person", 1, timeout=0.2)
            assert store.status().forgetting == 1
            assert people.is_known  # it could still read it
        until(store, lambda: store.status().forgetting == 0, timeout_s=WAIT_S)
        assert not people.is_known


def test_a_table_that_somebody_has_in_use_is_waited_for_while_others_read_it(
    people: People,
) -> None:
    with people.opened() as store:
        with people.reader("BEGIN", "LOCK TABLE person IN ACCESS SHARE MODE"):
            forgetting = threading.Thread(target=store.forget, args=("person", 1))
            forgetting.start()
            until(store, lambda: store.get("person", 1) is None, timeout_s=WAIT_S)
            waits = "SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"
            for _ in range(2):  # none who reads is kept from it for good
                until(store, lambda: bool(people.server.execute(waits)), timeout_s=WAIT_S)
                assert in_a_thread(lambda: len(store.rows("person"))) == 7
            assert store.status().forgetting == 1
        forgetting.join(WAIT_S)
        assert store.status().forgetting == 0
        assert not people.is_known


def test_what_another_process_is_making_for_it_is_waited_for(people: People) -> None:
    """One that was killed may still be at it, in the server."""
    waits = "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
    with people.opened() as store:
        with psycopg.connect(people.server.url) as other:
            other.execute(
                f'CREATE TABLE "{people.schema}".motion_seen_until (one bigint PRIMARY KEY)'
            )
            forgetting = threading.Thread(target=store.forget, args=("person", 1))
            forgetting.start()
            until(store, lambda: bool(people.server.execute(waits)), timeout_s=WAIT_S)
        forgetting.join(WAIT_S)
        assert store.status().forgetting == 0
        assert not people.is_known
