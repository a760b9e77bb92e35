"""The composition root: `create_store`. The only place that names a backend, an index and an executor."""

from __future__ import annotations

import atexit
import copyreg
import os
import platform
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any, Literal
from weakref import WeakSet, finalize

from motion.backends.base import Backend, Durability, check_durability
from motion.backends.sqlite import SqliteBackend
from motion.backends.sqlite_file import FILE
from motion.background import forks, memory
from motion.background.event_loop import EventLoop
from motion.background.interrupts import uninterrupted
from motion.background.owners import Owner
from motion.config import Config
from motion.definitions.components import Component, declared_methods
from motion.definitions.tables.schema import NAME, check_schema
from motion.definitions.triggers.declarations import DECLARATION
from motion.definitions.triggers.options import Place, Resources, check_ray, words_needed
from motion.definitions.values.arguments import check_flag
from motion.engine.chain import Runs
from motion.engine.dispatch import Dispatcher
from motion.engine.inline import InlineRuns
from motion.engine.leases import Leases
from motion.engine.policies.resources import Capacity
from motion.engine.worker import Worker
from motion.errors import (
    FolderNotEmpty,
    InvalidArgument,
    MissingPackage,
    MotionError,
    SchemaError,
    StoreDeleted,
    StoreOutOfReach,
    StoreUnavailable,
    TriggerError,
    shortened,
)
from motion.executors import base
from motion.executors.base import Executors, send_along
from motion.executors.inline import InlineExecutor
from motion.executors.processes import ProcessExecutor
from motion.executors.ray import RayExecutor
from motion.executors.threads import ThreadExecutor
from motion.persistence.changes.operations import Operation
from motion.persistence.database import Database
from motion.states.lifecycle import Fitter
from motion.store.backpressure import QUEUE_LIMIT, QueueLimit
from motion.store.copying import copy
from motion.store.forget import resume
from motion.store.store import Engine, Store
from motion.vectors.choice import make_index

GRACE_S, END_S = 1.5, 0.5
"""What closing waits for runs to end by themselves, and then for each kind of them to notice that it must."""

_open_stores: dict[tuple[str, Path], _Open] = {}

_temporary_stores: WeakSet[_Open] = WeakSet()

_open_lock = threading.RLock()


Opened = Literal["as given", "looking", "working"]

_opened_as: ContextVar[Opened] = ContextVar("motion_opened_as", default="as given")


@dataclass(frozen=True)
class Placement:
    """Where triggers run that do not say so.

    Attributes:
        executor: None is this process.
        address: of the Ray cluster; None leaves it to Ray.
        has: what this process has, beside what the code says that it has.
    """

    executor: Place | None = None
    address: str | None = None
    has: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.executor == "ray":
            check_ray("the executor 'ray'")
        if self.address is not None and self.address.startswith("ray://"):
            expected = (
                "the address of its head, such as 10.0.0.5:6379: a Ray client has no time-outs"
            )
            raise InvalidArgument("address=", shortened(self.address), expected)


_placed: ContextVar[Placement] = ContextVar("motion_placed", default=Placement())  # noqa: B039 - nobody can change it


@contextmanager
def opening(how: Opened, placement: Placement | None = None) -> Iterator[None]:
    """Open stores within the block otherwise than their code says.

    Args:
        how: "looking", as they are: nothing is made, compared with the code given for it, replaced or run; "working",
            with the work done here, also where the code says `run=False`.
    """
    token, placed = _opened_as.set(how), _placed.set(placement or Placement())
    try:
        yield
    finally:
        _opened_as.reset(token)
        _placed.reset(placed)


def backend_at(name: str, folder: Path, durability: Durability, url: str | None = None) -> Backend:
    """Return the back end of a store.

    Args:
        url: of PostgreSQL; None: SQLite.
    """
    if url is None:
        return SqliteBackend(name, folder, durability)
    postgres = _postgres()
    conninfo, schema, _ = postgres.parts_of(url, name)
    found: Backend = postgres.PostgresBackend(name, folder, durability, url=conninfo, schema=schema)
    return found


def in_folder(name: str, folder: Path) -> Backend:
    """Return the back end of a store that is to be in a folder, wherever others are."""
    return SqliteBackend(name, folder, "full")


def _postgres() -> Any:
    try:
        from motion.backends import postgres
    except ImportError as exc:
        raise MissingPackage("a store in PostgreSQL", "psycopg", "postgres") from exc
    return postgres


def open_noted(folder: Path, url: str | None = None) -> Store:
    """Open a store that is there by its folder alone: with the tables that it has noted and its triggers as they are, and
    without code. That changes nothing.

    Raises:
        StoreUnavailable: there is no store in the folder, or one of another format.
    """
    if url is None and not is_stores(folder):
        there = "there is no store in it" if folder.is_dir() else "there is no such folder"
        raise StoreUnavailable(
            str(folder), f"{there}. A store is made by the program that opens it first."
        )
    backend = backend_at(folder.stem, folder, "full", url)
    try:
        database = Database(folder.stem, backend, make_index, in_folder, tends_indexes=False)
        database.open_noted()
    except BaseException:
        backend.close()
        raise
    limit = QueueLimit(database, QUEUE_LIMIT)
    return Store(Engine(database, _keep, database.close, lambda operation: operation, limit))


def is_stores(folder: Path) -> bool:
    """Whether a folder is a store's."""
    return (folder / FILE).is_file()


def copy_store(store: Store, url: str, show: Callable[[int], None] | None = None) -> int:
    """Copy a store, as it is at one moment, to where another URL says, also from SQLite to PostgreSQL and back; return how
    many rows it has.

    Args:
        show: is told how many rows are left.

    Raises:
        FolderNotEmpty: there is a store.
    """
    database = store._database
    folder = folder_of(database.name, url)
    if folder is None:
        raise StoreUnavailable("':memory:'", "it is gone with the process; copy to a folder.")
    was_there = folder.exists()
    if not is_postgres(url) and was_there and (not folder.is_dir() or any(folder.iterdir())):
        raise FolderNotEmpty(str(folder))
    target = backend_at(database.name, folder, "full", url if is_postgres(url) else None)
    try:
        return copy(database, target, show)
    except BaseException:
        if not was_there:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        target.close()


def create_store(
    name: str,
    *,
    schemas: Mapping[str, type] | None = None,
    triggers: Sequence[Any] | None = None,
    url: str | None = None,
    durability: Durability = "full",
    run: bool = True,
    queue_limit: int = QUEUE_LIMIT,
    has: str | Sequence[str] = (),
) -> Store:
    """Open the store called `name`, made if it is not there.

    Args:
        name: letters, digits and underscores.
        schemas: table name -> dataclass. New tables and keys are added to a store that exists.
        triggers: functions marked with `motion.trigger`, and components; they replace the stored ones. None leaves
            the stored ones in force: this process fires them but cannot run them.
        url: where it lives. None: the folder `<name>.motion` in the working directory; "sqlite:///some/folder", from the
            working directory, or with a fourth slash from the root; ":memory:", a temporary folder that is gone on
            close; "postgresql://...", the schema `name` of a database (`docs/guides/postgres.md`).
        durability: "full", an acknowledged write survives power loss; "normal", it survives a crash of the process.
        run: run triggers in the background of this process; False leaves them to another one.
        queue_limit: tasks that may be left, at least 1; where there are more, writes from outside wait for room. A task
            may be of many rows.
        has: a word, or several, such as "gpu": what this process has of what triggers say they need (`needs=`). What
            needs more is left to other processes.

    Returns:
        The store. For a name and a folder that are open in this process, that store, with schemas and triggers replaced, and the
        stricter of the durabilities and queue limits; each ":memory:" is one of its own.

    Raises:
        SchemaError, TriggerError: a schema or a trigger cannot be; nothing was changed.
        SchemaMismatch: the stored tables differ in a way that would lose or reinterpret data.
        StoreUnavailable: the folder cannot be used.
    """
    _check_given(name, schemas, triggers, queue_limit)
    check_durability(durability)
    check_flag("create_store(run=)", run)
    own = _placed.get().has.union(words_needed("has", has))
    config = Config.from_env()
    if base.is_worker:
        # A module that opens the store it is used in: only the store's own process works.
        run, triggers = False, None
    send_along([*(schemas or {}).values(), *(triggers or ())])
    if run:
        _check_gpus(triggers or (), config.gpus, _placed.get(), own)
    how = _opened_as.get()
    place = config.url if isinstance(url, str | None) and not url else url
    folder = folder_of(name, place)
    if how == "looking":
        if folder is None:
            raise StoreUnavailable(
                "':memory:'", "it is made anew each time, so there is nothing to look at."
            )
        return open_noted(folder, place if is_postgres(place) else None)
    run = run or how == "working"
    if base.is_far and folder is not None and not is_postgres(place):
        _check_in_reach(name, folder)
    wanted = _Wanted(
        name=name,
        folder=folder,
        url=place if is_postgres(place) else None,
        schemas=schemas or {},
        triggers=triggers,
        durability=durability,
        run=run,
        config=config,
        queue_limit=queue_limit,
        is_named=url is not None or config.url is None,
        placement=_placed.get(),
        has=own,
    )
    memory.share_heap()  # before there are threads
    return uninterrupted(partial(_found_or_opened, wanted))


def _found_or_opened(wanted: _Wanted) -> Store:
    with _open_lock:
        found = _open_stores.get((wanted.name, wanted.folder)) if wanted.folder else None
        if found is not None and found.is_there():
            found.take(wanted)
            return found.store
        return _open(wanted)


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """What a store is to be opened with.

    Attributes:
        folder: None for a temporary one.
        url: of PostgreSQL; None: SQLite.
        is_named: the place was chosen for this store, and not by the environment for whichever.
    """

    name: str
    folder: Path | None
    url: str | None
    schemas: Mapping[str, type]
    triggers: Sequence[Any] | None
    durability: Durability
    run: bool
    config: Config
    queue_limit: int
    is_named: bool
    placement: Placement
    has: frozenset[str]


def _check_given(name: Any, schemas: Any, triggers: Any, queue_limit: Any) -> None:
    if not isinstance(name, str) or not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise SchemaError(
            f"a store's name has letters, digits and underscores, begins with a letter and is at most {LONGEST_NAME} long; "
            f"not {shortened(name)}."
        )
    if schemas is not None and not isinstance(schemas, Mapping):
        raise SchemaError(
            f"schemas= takes a dict of table names and dataclasses, such as {{'query': Query}}, not {shortened(schemas)}."
        )
    for table, cls in (schemas or {}).items():
        check_schema(table, cls)
    if triggers is not None and not isinstance(triggers, list | tuple):
        raise TriggerError(
            f"triggers= takes a list, such as [triggers], not {shortened(triggers)}."
        )
    if not isinstance(queue_limit, int) or queue_limit < 1:
        raise MotionError(f"queue_limit= takes an int of at least 1, not {shortened(queue_limit)}.")


def _check_gpus(
    triggers: Sequence[Any], gpus: int, placement: Placement, has: frozenset[str]
) -> None:
    """Refuse what this machine can never run, but for what is left to others. What a cluster has may grow."""
    for each in triggers:
        marked = (
            declared_methods(each, DECLARATION)
            if isinstance(each, Component)
            else [(each, getattr(each, DECLARATION, None))]
        )
        for function, declaration in marked:
            wanted = declaration.resources.gpus if declaration and declaration.resources else 0
            place = declaration and (declaration.executor or placement.executor)
            is_here = declaration is None or has.issuperset(declaration.needs)
            if wanted > gpus and place != "ray" and is_here:
                raise TriggerError(
                    f"trigger {function.__name__!r} asks for {wanted:g} GPUs, and this machine has {gpus}. Open the store "
                    f"with run=False here and run it where they are, or set MOTION_GPUS if there are more than it found."
                )


def cpus_here() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _schemas_of(store: Store) -> dict[str, type]:
    return {table.name: table.cls for table in store._database.tables}


LONGEST_NAME = 200
"""Letters of a store's name, which is a folder's too."""


def folder_of(name: str, url: str | None) -> Path | None:
    """Return the folder that a URL names, None for a temporary one."""
    if url is None:
        return (Path.cwd() / f"{name}.motion").resolve()
    if isinstance(url, str) and url == ":memory:":
        return None
    if isinstance(url, str) and url.startswith("sqlite:///") and "\0" not in url:
        return Path(url.removeprefix("sqlite:///")).expanduser().resolve()
    if is_postgres(url):
        found: Path = _postgres().folder_of(url, name)
        return found
    raise MotionError(
        f"a store cannot live at {shortened(url)}; allowed are None (a folder in the working directory), "
        f"'sqlite:///some/folder' (with a fourth slash from the root), ':memory:' and 'postgresql://...'."
    )


def is_postgres(url: str | None) -> bool:
    return isinstance(url, str) and url.startswith(("postgresql://", "postgres://"))


def _open(wanted: _Wanted) -> Store:
    name, place = wanted.name, wanted.folder
    if place is None:
        place = Path(tempfile.mkdtemp(prefix=f"{name}-", suffix=".motion"))

    def prepare(database: Database) -> None:
        database.runs_code, database.has = wanted.run, wanted.has
        database.open(wanted.schemas, wanted.triggers)

    def clean() -> None:
        if wanted.folder is None:
            shutil.rmtree(place, ignore_errors=True)

    engine = _engine(wanted, place, prepare, clean)
    store = Store(engine)
    opened = _Open(store, wanted, place)
    if wanted.folder is None:  # nobody can open it again: it ends with its last reference
        store._kept_known = opened
        _temporary_stores.add(opened)
        finalize(store, _stop_dropped, os.getpid(), engine.stop).atexit = False
    else:
        _open_stores[name, place] = opened
    return store


def _stop_dropped(process: int, stop: Callable[[], None]) -> None:
    """Stop, in the process that opened it, what is behind a store that was dropped without being closed; not in the thread
    that happened to drop it, which may be one of the store's."""
    if os.getpid() == process:
        with suppress(RuntimeError):  # the process ends
            threading.Thread(target=stop, name="motion-closing", daemon=True).start()


def _engine(
    wanted: _Wanted, place: Path, prepare: Callable[[Database], None], clean: Callable[[], None]
) -> Engine:
    """Return what stands behind a store, at work already where it has code."""
    _close_all_in_children(os.getpid())
    name, backend = wanted.name, None
    try:
        backend = backend_at(name, place, wanted.durability, wanted.url)
        database = Database(name, backend, make_index, in_folder, is_named=wanted.is_named)
        prepare(database)
    except BaseException:
        if backend is not None:
            backend.close()
        clean()
        raise
    running = _Running(name, place, database, wanted.config, wanted.placement)
    stopping, is_stopped = threading.Lock(), threading.Event()

    def stop() -> None:
        with stopping:  # who closes it again, having been interrupted, waits for the end
            if is_stopped.is_set():
                return
            with _open_lock:
                opened = _open_stores.get((name, place))
                if opened is not None and opened.store._behind is engine:
                    del _open_stores[name, place]
            running.stop()
            database.close()
            clean()
            is_stopped.set()

    inline = InlineRuns(database)

    def inlined(operation: Operation) -> Operation:
        """With `run=False` no user code runs here, not even before a write."""
        return inline.added_to(operation, has_users_code=database.runs_code)

    limit = QueueLimit(database, wanted.queue_limit)
    engine = Engine(database, running.start, stop, inlined, limit)
    resume(database)
    if database.code.is_any:  # others may write what only this process can run
        running.start()
    return engine


@dataclass(eq=False)
class _Open:
    """A store that is open in this process."""

    store: Store
    wanted: _Wanted
    place: Path

    def __post_init__(self) -> None:
        forks.watch(self)

    def is_there(self) -> bool:
        """Whether it can be opened once more. One whose folder was deleted is closed, to begin anew."""
        if self.store._is_closed:
            return False
        try:
            self.store._database.backend.check_there()
        except StoreDeleted:
            self.store.close()
            return False
        return self.store._join()

    def take(self, wanted: _Wanted) -> None:
        """Replace schemas and triggers of the same name, and begin to work where that is asked for now."""
        database = self.store._database
        did_run, database.runs_code = database.runs_code, database.runs_code or wanted.run
        did_have, database.has = database.has, database.has | wanted.has
        try:
            schemas = {**_schemas_of(self.store), **wanted.schemas}
            database.open(schemas, wanted.triggers)
        except BaseException:
            database.runs_code, database.has = did_run, did_have
            self.store._leave()
            raise
        self._keep_to(wanted)
        if database.code.is_any:
            self.store._engine.start()

    def _keep_to(self, wanted: _Wanted) -> None:
        """Keep to the stricter of what this opening and those before it were promised."""
        durability = self.wanted.durability
        if (durability, wanted.durability) == ("normal", "full"):
            self.store._database.backend.make_durable()
            durability = "full"
        limit = min(wanted.queue_limit, self.wanted.queue_limit)
        self.store._engine.limit.lower_to(limit)
        self.wanted = replace(self.wanted, durability=durability, queue_limit=limit)

    # -- forking: in the child the store is opened anew, with its first use there --

    def hold(self, ends_s: float) -> bool:
        return True

    def release(self) -> None:
        """Nothing was held."""

    def leave(self, *, is_at_rest: bool) -> None:
        engine = self.store._behind
        if engine is not None:
            _left.append(engine)
            self.store._forget_engine(partial(self._opened_here, engine.database))

    def _opened_here(self, parents: Database) -> Engine:
        """Open it as the parent has it, without replacing what others have put there since. Its folder, should it be a
        temporary one, is the parent's to delete."""
        return _engine(self.wanted, self.place, lambda database: database.open_like(parents), _keep)


def _keep() -> None:
    """Do nothing: the folder, or the work, is another's."""


_left: list[Engine] = []
"""What is the parent's, kept as it is: to be dropped might end it."""


def _renew_lock() -> None:
    global _open_lock
    _open_lock = threading.RLock()


forks.renew_in_child(_renew_lock)


def _check_in_reach(name: str, folder: Path) -> None:
    """Refuse to make an empty store where a call runs for one that is on another machine."""
    if not is_stores(folder):
        raise StoreOutOfReach(name, str(folder), platform.node())


def open_reader(name: str, folder: Path, url: str | None, schemas: Mapping[str, type]) -> Database:
    """Open a store that exists for reading, in another process."""
    if base.is_far and url is None:
        _check_in_reach(name, folder)
    backend = backend_at(name, folder, "normal", url)
    database = Database(name, backend, make_index, in_folder, tends_indexes=False)
    database.open_reader(schemas)
    return database


def reader_of(database: Database) -> Callable[[], Database]:
    """Return what opens the store, as its schemas are now, in another process."""
    schemas = {table.name: table.cls for table in database.tables}
    backend = database.backend
    url = backend.url if is_postgres(backend.url) else None
    return partial(open_reader, database.name, backend.folder, url, schemas)


def executors_of(name: str, placement: Placement | None = None) -> Executors:
    """Return the executors of a store."""
    placement = placement or Placement()
    return Executors(
        InlineExecutor(), ThreadExecutor(name), ProcessExecutor(name),
        RayExecutor(name, placement.address), placement.executor,
    )  # fmt: skip


def worker_of(
    database: Database,
    owner: Owner,
    loop: EventLoop,
    executors: Executors,
    gpus: int = 0,
    *,
    least_rows: int = 1,
) -> Worker:
    """Return a worker on a store, not started."""
    runs = Runs(database, executors, partial(reader_of, database))
    here = Resources(cpus_here(), gpus)
    capacity, cluster = Capacity(lambda: here), Capacity(lambda: executors.ray.offers)
    dispatcher = Dispatcher(database, owner, runs, capacity, cluster, least_rows=least_rows)
    return Worker(database, owner, runs, dispatcher, loop)


@dataclass
class _Parts:
    """What runs in the background of one open store."""

    owner: Owner
    loop: EventLoop
    executors: Executors
    worker: Worker
    leases: Leases
    fitter: Fitter | None = None

    def stop(self) -> None:
        """End all of it, in about three seconds at most; what runs longer is left to the next start."""
        if self.fitter is not None:
            self.fitter.stop(END_S)
        if not self.worker.stop(GRACE_S):
            self.executors.close()
            self.worker.stop(END_S)
        self.executors.close()
        self.loop.close(END_S)
        self.leases.close(END_S)
        self.owner.close()


@dataclass
class _Running:
    """Starts what runs in the background of one open store, with its first work."""

    name: str
    folder: Path
    database: Database
    config: Config
    placement: Placement
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _parts: _Parts | None = None
    _is_over: bool = False

    def start(self) -> None:
        """Begin; with `run=False` another process runs the triggers. What is written while the store is closed is left to the next
        start."""
        if not self.database.runs_code or self._is_over:
            return
        parts = self._parts
        if parts is None or self._lacks_fitter(parts) or parts.owner.has != self.database.has:
            uninterrupted(self._start)

    def _start(self) -> None:
        with self._lock:
            if self._is_over:
                return
            if self._parts is None:
                self._parts = self._started()
            parts = self._parts
            parts.owner.tell(self.database.has)
            if self._lacks_fitter(parts):
                reader = partial(reader_of, self.database)
                parts.fitter = Fitter(self.database, parts.owner, parts.executors, reader)
                parts.fitter.start()

    def _lacks_fitter(self, parts: _Parts) -> bool:
        """Components may come later: a store that is open can be given other triggers."""
        return parts.fitter is None and bool(self.database.code.components)

    def _started(self) -> _Parts:
        owner, loop = Owner(self.folder, self.database.has), EventLoop(self.name)
        executors = executors_of(self.name, self.placement)
        worker = worker_of(self.database, owner, loop, executors, self.config.gpus)
        leases = Leases(self.database, owner)
        worker.start()
        leases.start()
        return _Parts(owner, loop, executors, worker, leases)

    def stop(self) -> None:
        with self._lock:
            parts, self._parts, self._is_over = self._parts, None, True
        if parts is not None:
            parts.stop()
            with suppress(StoreUnavailable):  # figures, for which nobody's store fails to close
                self.database.keep_costs()


def _close_all() -> None:
    for opened in [*_open_stores.values(), *_temporary_stores]:
        opened.store.close()


@lru_cache(maxsize=1)
def _close_all_in_children(process: int) -> None:
    """Close all stores at the end of this process, once, should it be one that `multiprocessing` made: these do nothing of
    what `atexit` was told, and wait for the processes that they have started, which only a store's end ends at once."""
    Finalize(None, _close_all, exitpriority=0)


def _sent(store: Store) -> tuple[Any, ...]:
    """A store that a function uses goes to another process as what opens it there."""
    database = store._database
    return _received, (database.name, database.backend.url, _schemas_of(store))


def _received(name: str, url: str, schemas: Mapping[str, type]) -> Store:
    return create_store(name, url=url, schemas=schemas, run=False)


copyreg.pickle(Store, _sent)
atexit.register(_close_all)
