"""The composition root: `create_store`. The only place that names a backend, an index and an executor."""

from __future__ import annotations

import atexit
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from motion.backends.sqlite import Durability, SqliteBackend
from motion.config import Config
from motion.database import Database
from motion.errors import MotionError, SchemaError, StoreUnavailable, TriggerError
from motion.event_loop import EventLoop
from motion.fitting import Fitter
from motion.inline import InlineRuns
from motion.jobs import Job, warm_up
from motion.owners import Owner
from motion.persistence.writes import Operation
from motion.pressure import QUEUE_LIMIT, QueueLimit
from motion.remaining import has_work
from motion.schema import NAME
from motion.store import Store
from motion.vectors.choice import make_index
from motion.worker import Worker

T = TypeVar("T")

IDLE_PROCESS_S = 60
"""How long the process of a component's fits waits for the next one before it ends."""

_open_stores: dict[tuple[str, Path], Store] = {}
_open_lock = threading.RLock()


def create_store(
    name: str,
    *,
    schemas: Mapping[str, type] | None = None,
    triggers: Sequence[Any] | None = None,
    url: str | None = None,
    durability: Durability = "full",
    run: bool = True,
    queue_limit: int = QUEUE_LIMIT,
) -> Store:
    """Open the store called `name`, made if it is not there.

    Args:
        name: letters, digits and underscores.
        schemas: table name -> dataclass. New tables and keys are added to a store that exists.
        triggers: functions marked with `motion.trigger`, and components; they replace the stored ones. None leaves
            the stored ones in force: this process fires them but cannot run them.
        url: where it lives. None: the folder `<name>.motion` in the working directory; "sqlite:///some/folder";
            ":memory:", a temporary folder that is gone on close.
        durability: "full", an acknowledged write survives power loss; "normal", it survives a crash of the process.
        run: run triggers in the background of this process; False leaves them to another one.
        queue_limit: tasks that may be left, at least 1; where there are more, writes from outside wait for room. A task
            may be of many rows.

    Returns:
        The store. For a name and place that are open in this process, that store, with schemas and triggers replaced.

    Raises:
        SchemaError, TriggerError: a schema or a trigger cannot be; nothing was changed.
        SchemaMismatch: the stored tables differ in a way that would lose or reinterpret data.
        StoreUnavailable: the folder cannot be used.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise SchemaError(
            f"a store's name has letters, digits and underscores and begins with a letter; not {name!r}."
        )
    _check_given(schemas, triggers)
    if not isinstance(queue_limit, int) or queue_limit < 1:
        raise MotionError(f"queue_limit= takes an int of at least 1, not {queue_limit!r}.")
    config = Config.from_env()
    folder = _folder_of(name, url or config.url)
    with _open_lock:
        found = _open_stores.get((name, folder)) if folder else None
        if found is not None:
            found._database.open({**_schemas_of(found), **(schemas or {})}, triggers)
            if _has_work(found._database):
                found._start()
            return found
        return _open(
            name,
            folder,
            schemas or {},
            triggers,
            durability,
            run=run,
            threads=config.worker_threads,
            queue_limit=queue_limit,
        )


def _check_given(schemas: Any, triggers: Any) -> None:
    if schemas is not None and not isinstance(schemas, Mapping):
        raise SchemaError(
            f"schemas= takes a dict of table names and dataclasses, such as {{'query': Query}}, not {schemas!r}."
        )
    if triggers is not None and not isinstance(triggers, list | tuple):
        raise TriggerError(f"triggers= takes a list, such as [triggers], not {triggers!r}.")


def _schemas_of(store: Store) -> dict[str, type]:
    return {table.name: table.cls for table in store._database.tables}


def _folder_of(name: str, url: str | None) -> Path | None:
    """Return the folder that a URL names, None for a temporary one."""
    if url is None:
        return (Path.cwd() / f"{name}.motion").resolve()
    if url == ":memory:":
        return None
    if url.startswith("sqlite:///"):
        return Path(url.removeprefix("sqlite:///")).expanduser().resolve()
    raise MotionError(
        f"a store cannot live at {url!r}; allowed are None (a folder in the working directory), "
        f"'sqlite:///some/folder' and ':memory:'."
    )


def _open(
    name: str,
    folder: Path | None,
    schemas: Mapping[str, type],
    triggers: Sequence[Any] | None,
    durability: Durability,
    *,
    run: bool,
    threads: int,
    queue_limit: int,
) -> Store:
    temporary = (
        tempfile.TemporaryDirectory(prefix=f"{name}-", suffix=".motion") if folder is None else None
    )
    place = Path(temporary.name) if temporary else folder
    assert place is not None
    backend = None
    try:
        backend = SqliteBackend(name, place, durability)
        database = Database(name, backend, make_index, runs_code=run)
        database.open(schemas, triggers)
    except BaseException:
        if backend is not None:
            backend.close()
        if temporary:
            temporary.cleanup()
        raise
    running = _Running(name, place, database, threads)

    def stop() -> None:
        with _open_lock:
            _open_stores.pop((name, place), None)
        running.stop()
        database.close()
        if temporary:
            temporary.cleanup()

    inline = InlineRuns(database).added_to if run else _as_it_is
    store = Store(
        database,
        running.start if run else _leave_to_others,
        stop,
        inline,
        QueueLimit(database, queue_limit),
    )
    _open_stores[name, place] = store
    if run and _has_work(database):
        running.start()
    return store


def _as_it_is(operation: Operation) -> Operation:
    """With `run=False` no user code runs here, not even before a write."""
    return operation


def _leave_to_others() -> None:
    """With `run=False` another process runs the triggers."""


def _has_work(database: Database) -> bool:
    code = database.code
    if any(trigger.spec.schedule for trigger in code.triggers.values()):
        return True
    if any(fit.spec.schedule for fit in code.fits.values()):
        return True
    with database.backend.read() as tx:
        return has_work(tx)


def open_reader(name: str, folder: Path, schemas: Mapping[str, type]) -> Database:
    """Open a store that exists for reading, in the process of a fit."""
    backend = SqliteBackend(name, folder, "normal")
    database = Database(name, backend, make_index, tends_indexes=False)
    database.open_reader(schemas)
    return database


@dataclass
class _Running:
    """What runs in the background of one open store; started with its first work."""

    name: str
    folder: Path
    database: Database
    threads: int
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _parts: tuple[Worker, Fitter | None, Owner, EventLoop] | None = None

    def start(self) -> None:
        if self._parts is not None and not self._lacks_fitter(self._parts[1]):
            return
        with self._lock:
            if self._parts is None:
                self._parts = self._started()
            worker, fitter, owner, loop = self._parts
            if self._lacks_fitter(fitter):
                fitter = Fitter(self.database, owner, LazyProcess, self._reader)
                fitter.start()
                self._parts = worker, fitter, owner, loop

    def _lacks_fitter(self, fitter: Fitter | None) -> bool:
        """Components may come later: a store that is open can be given other triggers."""
        return fitter is None and bool(self.database.code.components)

    def _reader(self) -> Callable[[], Database]:
        """Return what opens the store, as its schemas are now, in the process of a fit."""
        schemas = {table.name: table.cls for table in self.database.tables}
        return partial(open_reader, self.name, self.folder, schemas)

    def _started(self) -> tuple[Worker, Fitter | None, Owner, EventLoop]:
        owner, loop = Owner(self.folder), EventLoop()
        worker = Worker(self.database, owner, loop.run, self.threads)
        worker.start()
        return worker, None, owner, loop

    def stop(self) -> None:
        if self._parts is None:
            return
        worker, fitter, owner, loop = self._parts
        if fitter is not None:
            fitter.stop()
        worker.stop()
        with suppress(StoreUnavailable):  # figures, for which nobody's store fails to close
            self.database.keep_costs()
        loop.close()
        owner.close()


class LazyProcess:
    """One process for jobs, started by the first one, and a new one after it has died. See `jobs.Process`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._executor: Any = None
        self._is_closed = False

    def run(self, function: Callable[[Job], T], job: Job, timeout_s: float | None) -> T:
        if timeout_s is not None:  # the time is the job's: what it imports was there before
            self._submitted(warm_up, replace(job, rows=())).result()
        try:
            result: T = self._submitted(function, job).result(timeout_s)
        except TimeoutError:
            self._end()
            raise
        return result

    def close(self) -> None:
        self._is_closed = True
        self._end()

    def _submitted(self, function: Callable[[Job], T], job: Job) -> Any:
        from loky import ProcessPoolExecutor

        with self._lock:
            if self._is_closed:  # a process started now would outlive the store
                raise RuntimeError("the store is closing, so no fit is started")
            if self._executor is not None and self._executor._flags.broken:
                self._executor = None
            if self._executor is None:
                self._executor = ProcessPoolExecutor(max_workers=1, timeout=IDLE_PROCESS_S)
            return self._executor.submit(function, job)

    def _end(self) -> None:
        with self._lock:
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=True, kill_workers=True)


def _close_all() -> None:
    for store in list(_open_stores.values()):
        store.close()


atexit.register(_close_all)
