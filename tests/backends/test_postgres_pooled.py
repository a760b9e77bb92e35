"""A store in PostgreSQL through PgBouncer, which gives each transaction another connection to the server.

Run where there is one: `apt install pgbouncer`, or a folder that has it in PATH.
"""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

import motion
from tests.backends.test_postgres import condition_that_goes_on
from tests.conftest import pause
from tests.postgres import Server, files_in

WAIT_S = 120

SETTINGS = """[databases]
postgres = host={host} dbname=postgres user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
"""


@dataclass
class Garment:
    id: int
    price: float
    doubled: float | None = None


@motion.trigger(on="garment.price", sets="garment.doubled", inline=False)
def double(price: float) -> float:
    return 2 * price


@pytest.fixture
def pooled(postgres_server: Server, tmp_path: Path) -> Iterator[str]:
    """The URL of a schema of this test's own, through PgBouncer in transaction mode."""
    pooler = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if pooler is None:
        pytest.skip("no pgbouncer here")
    folder = Path(parse_qs(urlsplit(postgres_server.url).query)["host"][0])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = folder / f"pgbouncer-{port}.ini"
    settings.write_text(SETTINGS.format(host=folder, port=port))
    process = subprocess.Popen([pooler, "--quiet", "--user", folder.owner(), settings])
    schema = f"pooled_{port}"
    try:
        while not _answers(port):
            assert process.poll() is None
            pause()
        yield (
            f"postgresql://postgres@127.0.0.1:{port}/postgres"
            f"?motion_schema={schema}&motion_folder={tmp_path / 'folder'}"
        )
    finally:
        process.terminate()
        process.wait(WAIT_S)
        postgres_server.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')


def _answers(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def test_threads_that_share_its_connections_run_their_own_statements_each(pooled: str) -> None:
    with motion.create_store(
        "shop", url=pooled, schemas={"garment": Garment}, triggers=[double]
    ) as store:

        def use(thread: int) -> None:
            for id in range(100 * thread, 100 * thread + 25):
                store.set("garment", id=id, price=float(id))
                assert store.get("garment", id).price == id
                assert [row.id for row in store.rows("garment", where={"id": id})] == [id]
                counted = store.sql("SELECT count(*) AS n FROM garment WHERE id = ?", [id])
                assert counted["n"].to_pylist() == [1]

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(use, range(4)))
        store.wait(timeout=WAIT_S)
        assert [row.doubled for row in store.rows("garment")] == [
            2.0 * (100 * thread + n) for thread in range(4) for n in range(25)
        ]


def test_a_row_is_forgotten_there_and_no_setting_is_left_to_others(
    pooled: str, postgres_server: Server
) -> None:
    schema = parse_qs(urlsplit(pooled).query)["motion_schema"][0]
    options: dict[str, Any] = {"url": pooled, "schemas": {"garment": Garment}, "triggers": [double]}
    with motion.create_store("shop", **options) as store:
        store.set_many("garment", [{"id": n, "price": n + WORD} for n in range(9)])
        store.wait(timeout=WAIT_S)
        assert is_kept(postgres_server, schema)
        store.forget("garment", list(range(9)))
        assert not is_kept(postgres_server, schema)
        with psycopg.connect(pooled.partition("?")[0], autocommit=True) as guest:
            assert guest.execute("SHOW lock_timeout").fetchone() == ("0",)


WORD = 0.7654321e13
"""Its bytes are nowhere else."""


def is_kept(server: Server, schema: str) -> bool:
    forms = [struct.pack("<d", n + WORD) for n in range(9)]
    found = [each.read_bytes() for each in files_in(server.url, schema)]
    return any(form in each for each in found for form in forms)


def test_a_condition_cannot_end_its_statement_and_begin_another_there_either(pooled: str) -> None:
    with motion.create_store("shop", url=pooled, schemas={"garment": Garment}, run=False) as store:
        store.set("garment", id=1, price=1.0)
        with pytest.raises(motion.SqlError):
            store.rows("garment", where=condition_that_goes_on(store))
        assert [row.id for row in store.rows("garment", where="price > 0 -- ;\n")] == [1]


def test_a_server_that_is_killed_behind_it_is_told_as_such(
    pooled: str, postgres_server: Server
) -> None:
    with motion.create_store("shop", url=pooled, schemas={"garment": Garment}, run=False) as store:
        store.set("garment", id=1, price=1.0)
        asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        with ThreadPoolExecutor(1) as threads, psycopg.connect(postgres_server.url) as looking:
            reading = threads.submit(store.sql, "SELECT pg_sleep(1000)")
            looking.autocommit = True
            while looking.execute(asleep).fetchone() != (1,):
                assert not reading.done()
                pause()
            postgres_server.kill()
            postgres_server.start()
            with pytest.raises(motion.StoreUnavailable):
                reading.result(WAIT_S)
        assert [row.id for row in store.rows("garment")] == [1]
