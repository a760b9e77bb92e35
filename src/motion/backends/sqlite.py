"""SQLite in a folder, through the standard library's `sqlite3`.

The standard library's and no other build: two SQLite libraries in one process lose each other's locks, and a user
who opens the file with `sqlite3` beside an open store must not lose commits.
"""

from __future__ import annotations

import ctypes
import logging
import os
import re
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar, cast

from motion import clock
from motion.backends import sqlite_words
from motion.backends.base import (
    Durability,
    First,
    Made,
    RowTrigger,
    Sight,
    Signal,
    Transaction,
    WordIndex,
    check_durability,
)
from motion.backends.requests import Sharing
from motion.backends.sqlite_file import FILE, Connection, identity_of, know_words, prepared
from motion.backends.sqlite_reading import GUEST_RESULT_BYTES, Reader, Readers, types_read, within
from motion.backends.wakeups import COMMITTED, WORK, Message, Wakeups
from motion.background import forks, interrupts
from motion.background.locks import let_go
from motion.definitions.values.answers import columns_of_arrays, with_arrays
from motion.definitions.values.codecs import BytesCodec, decode_array, encode_parameter
from motion.errors import (
    WHOLE_STORE,
    SqlError,
    SqlTimeout,
    StoreClosed,
    StoreDeleted,
    StoreForked,
    StoreUnavailable,
)
from motion.faults import reach

logger = logging.getLogger(__name__)

T = TypeVar("T")


SYNCHRONOUS = {"full": "FULL", "normal": "NORMAL"}

OF_THE_FILE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}
"""Errors that say something about the file or the disk, and not about a statement."""

VIEW_WRITTEN = re.compile(r"cannot modify (\w+) because it is a view")

BUSY_TIMEOUT_MS = 60_000

BUSY_PAUSE_S = 0.005

CUT_PAUSE_S = 0.05
"""How often it is tried to cut the log that somebody still reads."""

LOOK_S = 0.25
"""How often it is looked whether another process has committed and did not say so."""

DEAF_LOOK_S = 0.01
"""The same where processes cannot tell each other."""

READER_CACHE_KIB = 16_384
"""Pages that a reading connection keeps: there is one for each thread that ever read at once, and each commit empties
them all. A row beyond costs 5 µs more, read from the system's memory."""

LOG_KEPT_BYTES = 16 * 2**20
"""What the log keeps on disk after a transaction that was larger: it is cut when it begins anew, after a checkpoint."""

TRIM_EVERY_S, LOOK_EVERY_S = 1.0, 0.005
"""How often that is tried, and looked for: no disk takes more than some megabytes between two looks."""

GATHER_S = 0.001
"""How long what other processes tell is gathered before the next is passed on: they may commit thousands of times a second."""


class SqliteBackend:
    """One SQLite file in WAL mode: one writer at a time, readers never wait."""

    out_of_reach = ""
    makes_indexes_apart = True
    is_apart = False
    writes_in_turn = True

    def __init__(self, name: str, folder: Path, durability: Durability) -> None:
        check_durability(durability)
        self.name, self.folder, self.place = name, folder, str(folder)
        self.url = f"sqlite:///{folder}"
        self._path = str(prepared(folder))
        self._log, self._looks_at_s = f"{self._path}-wal", 0.0
        self._file = identity_of(self._path)
        self._local = threading.local()
        self._readers = Readers(self._connect_to_read, self.check_open, transactions=True)
        self._queriers = {
            sight: Readers(self._connect_to_query, self.check_open, transactions=False, sight=sight)
            for sight in Sight
        }
        self._is_closed, self._over = False, threading.Event()
        self._closing = threading.Event()
        self._watcher: threading.Thread | None = None
        self._writing = threading.RLock()
        self._queueing = threading.Lock()
        self._sharing = Sharing(
            lambda work, _: self._commit_one(self._durable, work), self._writing, self._closing
        )
        self._watching: _Connection | None = None
        self._looking = threading.Lock()
        self._held: list[Any] = []
        self.is_left = False
        self._wakeups: Wakeups | None = None
        if self._file in _unclean:
            raise StoreForked(name, WHOLE_STORE)
        with self._writing:
            forks.watch(self)
            self._durable = self._connect(SYNCHRONOUS[durability])
            self._file = identity_of(self._path)
            # No fsync at commit, but one before a checkpoint.
            self._fleeting = self._connect("NORMAL")
        self._wakeups = _wakeups_of(folder)
        self.committed, self.called = Signal(self._watch), Signal(self._watch)

    # -- writing: one caller at a time leads, and commits for all who wait (group commit) --

    def write(
        self,
        work: Callable[[Transaction], T],
        *,
        is_durable: bool = True,
        is_patient: bool = False,
        first: First | None = None,
    ) -> T:
        if self.is_left:
            self.check_open()
        connection = self._durable if is_durable else self._fleeting
        if interrupts.may_come():
            return self._write_alone(connection, work)
        if not is_durable:
            with self._writing:
                return self._commit_one(connection, work)
        return self._sharing.write(work, is_patient=is_patient, first=first)  # type: ignore[no-any-return]  # it is what `work` returned

    def _write_alone(self, connection: _Connection, work: Callable[[Transaction], T]) -> T:
        """Write in the thread that signals reach. It shares no commit, so that an interrupt is nobody else's; nobody waits
        to be woken by it; and what it may leave, the lock and a transaction, is given back twice, and by the next one."""
        try:
            self._writing.acquire()
            result = self._commit_one(connection, work)
            self._let_go(connection)
        except BaseException as exc:
            try:
                self._let_go(connection)
            finally:
                self._let_go(connection)
                self.wake()  # it may have been committed, and not told
            if isinstance(exc, sqlite3.Error):
                connection.check_raised()
            raise
        return result

    def _let_go(self, connection: _Connection) -> None:
        """End what the present thread may have under way, wherever it was interrupted."""
        if not self._writing.acquire(blocking=False):
            return  # another thread writes
        try:
            if not self._is_closed and connection.in_transaction:
                connection.execute("ROLLBACK")
        finally:
            let_go(self._writing)

    def _commit_one(self, connection: _Connection, work: Callable[[Transaction], T]) -> T:
        try:
            self._end_interrupted()
            connection.begin()
            try:
                reach("write.begun")
                result = work(connection)
                for last in connection.before_commit:
                    last()
                reach("write.applied")
                self.check_there()
                connection.execute("COMMIT")
                reach("write.committed")
            except BaseException:
                if connection.in_transaction:  # a full disk, for one, ends it by itself
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as exc:
            self._raise_named(exc)
        if connection is self._durable:
            self.committed.give()
            self._tell(COMMITTED)
        self._trim_log(connection)
        return result

    def _end_interrupted(self) -> None:
        """End what a write has left that was interrupted, and interrupted again as it was ended. By either connection: one that
        waits for the other would wait for whoever waits for it."""
        for each in (self._durable, self._fleeting):
            if each.in_transaction:
                each.execute("ROLLBACK")

    def _trim_log(self, connection: _Connection) -> None:
        """Cut a log that has grown, where nobody reads from it: by itself it would keep its largest size for ever."""
        now_s = clock.monotonic_s()
        if now_s < self._looks_at_s:
            return
        self._looks_at_s = now_s + LOOK_EVERY_S
        try:
            if os.stat(self._log).st_size <= 2 * LOG_KEPT_BYTES:
                return
        except OSError:
            return
        self._looks_at_s = now_s + TRIM_EVERY_S
        try:
            connection.execute("PRAGMA busy_timeout = 0")  # readers are not waited for
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as exc:
            logger.debug("the log of store %r is not cut now: %s", self.name, exc)
        finally:
            connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")

    # -- reading --

    def read(self, _: str = "", /) -> _Snapshot:
        return _Snapshot(self)

    def ask(self, sql: str, parameters: Sequence[Any] = (), /) -> tuple[str, list[Sequence[Any]]]:
        with self.read() as tx:
            return "", tx.execute(sql, parameters).fetchall()

    def _end_snapshot(self, reader: Reader[_Connection]) -> None:
        try:
            if reader.connection.in_transaction:
                reader.connection.execute("COMMIT")
        except sqlite3.Error as exc:
            reader.connection.check_raised()
            self._raise_named(exc)
        finally:
            self._readers.give_back(reader)

    def query(
        self,
        sql: str,
        parameters: Sequence[Any],
        *,
        timeout_s: float | None = None,
        limit: int | None = None,
        sight: Sight = Sight.ALL,
    ) -> tuple[list[str], list[Sequence[Any]]]:
        values = [encode_parameter(value) for value in parameters]
        reader = self._queriers[sight].lend(
            None if timeout_s is None else clock.monotonic_s() + timeout_s
        )
        try:
            with closing(reader.connection.cursor()) as cursor:
                cursor.execute(sql, values)
                names = [column[0] for column in cursor.description or ()]
                rows = islice(cursor, limit)
                found = list(rows) if sight is Sight.ALL else within(rows, GUEST_RESULT_BYTES)
            arrays = columns_of_arrays(found, range(len(names)))
            if arrays and not self._reads_bytes(sql, values):
                found = with_arrays(found, arrays)
            reader.connection.check_raised()
            return names, found
        except (sqlite3.Error, sqlite3.Warning, ValueError) as exc:
            reader.connection.check_raised()
            if interrupts.is_of_handler(exc):
                raise
            if self._is_closed:  # meanwhile, and a temporary folder is gone by now
                raise StoreClosed(self.name) from exc
            if reader.is_late:
                raise SqlTimeout(sql, timeout_s or 0) from exc
            refused = reader.limits.refused
            if refused is None and (view := VIEW_WRITTEN.search(str(exc))):
                refused = (
                    f"change {view[1]}"  # which it finds before it asks whether that is allowed
                )
            raise SqlError(sql, str(exc) if refused is None else _only_reads(refused)) from exc
        finally:
            self._queriers[sight].give_back(reader)

    def _reads_bytes(self, sql: str, values: Sequence[Any]) -> bool:
        """Whether a statement reads a column of bytes, which may be any: also what an array is stored as."""
        with closing(
            self._connect_to_read()
        ) as connection:  # as SQLite asks of one that it compiles
            return BytesCodec.sql_type in types_read(connection, sql, values)

    def _connect_to_read(self, **options: Any) -> _Connection:
        connection = self._connect("NORMAL", **options)
        connection.execute("PRAGMA query_only = ON")
        connection.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB}")
        return connection

    def _connect_to_query(self) -> _Connection:
        return self._connect_to_read(detect_types=sqlite3.PARSE_DECLTYPES)

    def make_durable(self) -> None:
        with self._writing, self._errors_named():
            self.check_open()
            self._end_interrupted()
            self._durable.execute(f"PRAGMA synchronous = {SYNCHRONOUS['full']}")

    def rewrite(self, timeout_s: float) -> bool:
        deadline_s = clock.monotonic_s() + timeout_s
        with self._errors_named(), closing(self._connect("FULL")) as connection:
            connection.execute("PRAGMA temp_store = FILE")  # it may be larger than the memory
            with self._writing:
                self.check_open()
                self._end_interrupted()
                connection.execute("VACUUM")
            reach("forget.rewritten")
            connection.execute("PRAGMA busy_timeout = 0")
            while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                if clock.monotonic_s() >= deadline_s or self._closing.wait(CUT_PAUSE_S):
                    return False
        return True

    def copy_to(self, folder: Path, mend: Callable[[Transaction], T]) -> T:
        """Copied in one step, under one snapshot: writers go on into the log meanwhile, and none makes it start again."""
        with self._errors_named(), closing(sqlite3.connect(folder / FILE)) as target:
            reader = self._readers.lend()
            try:
                reader.connection.backup(target)
            finally:
                self._readers.give_back(reader)
        copy = SqliteBackend(self.name, folder, "full")
        try:
            return copy.write(mend)
        finally:
            copy.close()

    # -- telling and being told of commits --

    def call(self) -> None:
        self.called.give()
        self._tell(WORK)

    def tell(self) -> None:
        self.committed.give()
        self._tell(COMMITTED)

    def _tell(self, message: Message) -> None:
        if self._wakeups is not None:
            self._wakeups.tell(message)

    def _watch(self) -> None:
        """Listen to other processes, in one thread for all who wait."""
        if self._watcher is None and not self._is_closed:
            interrupts.uninterrupted(self._start_watcher)

    def _start_watcher(self) -> None:
        with self._queueing:
            if self._watcher is None and not self._closing.is_set():
                self._watcher = threading.Thread(
                    target=self._look_out, name="motion-watcher", daemon=True
                )
                self._watcher.start()

    def _look_out(self) -> None:
        """Pass on what other processes tell; and look by itself now and then, as a hint may get lost."""
        try:
            with self._looking:
                connection = self._watching = self._connect("NORMAL")
        except StoreDeleted:
            return self.wake()  # who waits finds it out, and tells it
        version = -1
        wakeups = self._listening()
        try:
            while not self._closing.is_set():
                found = self._version(connection)
                if found != version:  # perhaps by our own commits, which cannot be told apart
                    version = found
                    self.wake()
                told = self._await_word(wakeups)
                if told:
                    version = self._version(connection)
                    self.committed.give()
                if WORK in told:
                    self.called.give()
                if told:
                    self._closing.wait(GATHER_S)
        finally:
            with self._looking:
                self._watching = None
                connection.close()

    def _version(self, connection: _Connection) -> int:
        with self._looking:
            return int(connection.execute("PRAGMA data_version").fetchone()[0])

    def _listening(self) -> Wakeups | None:
        try:
            if self._wakeups is not None:
                self._wakeups.listen()
            return self._wakeups
        except OSError:
            return None

    def _await_word(self, wakeups: Wakeups | None) -> set[Message]:
        if wakeups is None:
            self._closing.wait(DEAF_LOOK_S)
            return set()
        return wakeups.wait(LOOK_S)

    def wake(self) -> None:
        self.committed.give()
        self.called.give()

    # -- opening and closing --

    def check_open(self) -> None:
        self.check_usable()
        self.check_there()

    def check_usable(self) -> None:
        if self.is_left:
            raise StoreForked(self.name, "this")
        if self._is_closed:
            raise StoreClosed(self.name)

    def check_there(self) -> None:
        """Raise `StoreDeleted` where the file is not there any more: SQLite would go on with what has no name."""
        if identity_of(self._path) != self._file:
            raise StoreDeleted(str(self.folder))

    def close(self) -> None:
        if self.is_left:
            return
        with self._queueing:  # so that no thread is between being made and started
            self._closing.set()
            watcher = self._watcher
        if watcher is not None:
            if self._wakeups is not None:
                self._wakeups.end()
            watcher.join()
        with self._writing:
            self._is_closed = True
            self._durable.close()
            self._fleeting.close()
            if self._wakeups is not None:
                self._wakeups.close()
                self._wakeups = None
        self._readers.close()
        for queriers in self._queriers.values():
            queriers.close()
        self._over.set()
        self.wake()

    # -- forking --

    def hold(self, ends_s: float) -> bool:
        """Wait until no statement runs. SQLite keeps track of the locks on a file in memory, for all connections of a
        process together: a child must close its copies of them before it opens one of its own, and can only while they
        rest."""
        if self.is_left or self._over.is_set():
            return True
        for lock in (self._writing, self._looking):
            if lock.acquire(timeout=max(ends_s - clock.monotonic_s(), 0)):
                self._held.append(lock)
        rest = [each.hold(ends_s) for each in self._pools()]
        is_at_rest = all(rest)
        is_held = len(self._held) == 2
        if self._is_closed:  # it is being closed by another thread
            return self._over.wait(max(ends_s - clock.monotonic_s(), 0))
        return is_held and is_at_rest and not any(each.in_transaction for each in self._open())

    def release(self) -> None:
        if self.is_left:
            return
        for pool in self._pools():
            pool.release()
        while self._held:
            self._held.pop().release()

    def leave(self, *, is_at_rest: bool) -> None:
        if self.is_left or self._over.is_set():
            return
        self.is_left = True
        if not is_at_rest:
            _unclean.add(self._file)
        for connection in self._open():
            if is_at_rest:
                connection.close()
            else:  # to close it may end what the parent does with it: it stays as it is, whoever forgets it
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
        if self._wakeups is not None:
            self._wakeups.leave()
        self._queueing = threading.Lock()
        self._sharing.renew()
        self.committed, self.called = Signal(self._watch), Signal(self._watch)

    def _pools(self) -> list[Readers[_Connection]]:
        return [self._readers, *self._queriers.values()]

    def _open(self) -> list[_Connection]:
        """Return the connections that are open."""
        own = [getattr(self, "_durable", None), getattr(self, "_fleeting", None), self._watching]
        pooled = [connection for pool in self._pools() for connection in pool.connections()]
        return [each for each in own if each is not None] + pooled

    def _connect(self, synchronous: str, **options: Any) -> _Connection:
        with self._errors_named():
            connection = sqlite3.connect(
                self._path,
                factory=_Connection,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=512,
                **options,
            )
            try:
                connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
                _use_wal(connection)
                connection.execute(f"PRAGMA synchronous = {synchronous}")
                connection.execute("PRAGMA cache_size = -65536")
                connection.execute("PRAGMA temp_store = MEMORY")
                know_words(connection)
                connection.execute(f"PRAGMA journal_size_limit = {LOG_KEPT_BYTES}")
            except sqlite3.Error:
                connection.close()
                raise
        return connection

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as exc:
            self._raise_named(exc)

    def _raise_named(self, exc: Exception) -> NoReturn:
        """Raise an error of ours where SQLite's is about the file, or the store is closed."""
        if self._is_closed:
            raise StoreClosed(self.name) from exc
        if identity_of(self._path) != self._file:
            raise StoreDeleted(str(self.folder)) from exc
        if getattr(exc, "sqlite_errorcode", 0) & 0xFF in OF_THE_FILE:
            raise StoreUnavailable(str(self.folder), f"{exc}. {_advice(exc)}") from exc
        raise exc


class _Snapshot:
    """A reading transaction, for a `with` statement; inside another one of its thread it is that one."""

    __slots__ = ("_backend", "_block", "_reader")

    def __init__(self, backend: SqliteBackend) -> None:
        self._backend = backend
        self._reader: Reader[_Connection] | None = None
        self._block: FrameType | None = (
            None  # whose `with` statement it is, where it may be interrupted
        )

    def __enter__(self) -> Transaction:
        local = self._backend._local
        outer = cast("_Snapshot | None", getattr(local, "snapshot", None))
        if outer is not None:
            if outer._reader is not None and not outer._is_over():
                return outer._reader.connection
            outer._drop()
        try:
            if interrupts.may_come():
                self._block = interrupts.block_of(sys._getframe(1))
            local.snapshot = self
            self._reader = self._backend._readers.lend()
            self._reader.connection.memo.clear()
            self._reader.connection.execute("BEGIN")
        except BaseException as exc:
            reader = self._reader
            self._drop()
            if isinstance(exc, sqlite3.Error):
                if reader is not None:
                    reader.connection.check_raised()
                self._backend._raise_named(exc)
            raise
        return self._reader.connection

    def __exit__(self, _: object, error: object, __: object) -> None:
        reader, self._reader = self._reader, None
        if reader is None:
            return
        self._backend._local.snapshot = self._block = None
        try:
            if isinstance(error, sqlite3.Error | SqlError):
                reader.connection.check_raised()
        finally:
            self._backend._end_snapshot(reader)  # from here on another thread may read with it
        if isinstance(error, sqlite3.Error) or (
            isinstance(error, SqlError) and self._backend._is_closed
        ):
            self._backend._raise_named(error)

    def _is_over(self) -> bool:
        """Whether an interrupt has ended the block, and `__exit__` with it."""
        return self._block is not None and not interrupts.is_running(self._block)

    def _drop(self) -> None:
        """Close what it reads with: nobody knows what of it is under way."""
        reader, self._reader = self._reader, None
        self._backend._local.snapshot = self._block = None
        if reader is not None:
            self._backend._readers.drop(reader)


class _Connection(Connection):
    """A connection that is a `Transaction` while one is under way."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.memo: dict[Any, Any] = {}
        self.lasting: dict[Any, Any] = {}
        self.before_commit: list[Callable[[], None]] = []

    def execute_last(self, sql: str, numbers: Sequence[int], /) -> None:
        self.execute(sql, numbers)

    def is_found_last(self, sql: str, /) -> Callable[[], bool]:
        is_found = self.execute(sql).fetchone() is not None
        return lambda: is_found

    def on_each(self, sql: str, columns: Sequence[Sequence[Any]], /) -> None:
        self.executemany(sql, zip(*columns, strict=True))

    def stream(self, sql: str, parameters: Sequence[Any] = (), /) -> Iterator[Sequence[Any]]:
        return iter(self.execute(sql, parameters))

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], /) -> None:
        places = ", ".join("?" * len(columns))
        self.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", rows)

    def tables(self) -> list[str]:
        sql = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
        return [str(row[0]) for row in self.execute(sql)]

    def columns(self, table: str, /) -> Mapping[str, str]:
        return {str(row[1]): str(row[2]) for row in self.execute(f"PRAGMA table_info({table})")}

    def with_history(self, sql: str, /) -> Sequence[Any]:
        return "", *self.execute(sql).fetchone()  # what commits are lost by ends the process too

    def has_lost(self) -> bool:
        return False  # the same

    def settle(self) -> None:
        """What is seen is kept: a commit is seen once it is on the disk."""

    def last_number(self, table: str, /) -> int:
        sql = "SELECT seq FROM sqlite_sequence WHERE name = ?"
        found = self.execute(sql, (table.strip('"'),)).fetchone()
        return 0 if found is None else int(found[0])

    def go_on_from(self, table: str, last: int, /) -> None:
        """Others than those of AUTOINCREMENT, which has an entry once there was a row, go on from their largest by themselves."""
        sql = "UPDATE sqlite_sequence SET seq = MAX(seq, ?) WHERE name = ?"
        if self.execute(sql, (last, table.strip('"'))).rowcount == 0 and last:
            self.execute(
                "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table.strip('"'), last)
            )

    def objects(self, kind: Made, table: str, /) -> dict[str, str]:
        sql = "SELECT name, sql FROM sqlite_master WHERE type = ? AND tbl_name = ?"
        return {str(name): text or "" for name, text in self.execute(sql, (kind, table))}

    def make_view(self, name: str, sql: str, /) -> None:
        self.execute(f'DROP VIEW IF EXISTS "{name}"')
        self.execute(sql)

    def make_trigger(self, made: RowTrigger, /) -> None:
        self.execute(
            f"CREATE TRIGGER {_name(made.name)} AFTER {made.event} ON {made.table} WHEN {made.condition} "
            f"BEGIN {made.action} END"
        )

    def drop_trigger(self, name: str, table: str, /) -> None:
        self.execute(f"DROP TRIGGER IF EXISTS {_name(name)}")

    def has_words(self, index: WordIndex, /) -> bool:
        return sqlite_words.is_made(self, index)

    def make_words(self, index: WordIndex, /) -> None:
        sqlite_words.make(self, index)

    def merge_words(self) -> None:
        sqlite_words.merge(self)

    def words_found(
        self, index: WordIndex, phrases: Sequence[str], between: tuple[int, int] | None, /
    ) -> tuple[str, list[Any]]:
        return sqlite_words.found(index, phrases, between)

    def in_order(self, value: Any, /) -> Any:
        return value

    def begin(self) -> None:
        """Begin to write."""
        self.memo.clear()
        self.before_commit.clear()
        self.raised.clear()
        self.execute("BEGIN IMMEDIATE")


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _wakeups_of(folder: Path) -> Wakeups | None:
    """Return how processes tell each other of commits, None where the system or the folder has no room for sockets."""
    try:
        return Wakeups(folder)
    except OSError:
        return None


_unclean: set[tuple[int, int] | None] = set()
"""Files that this process, a forked child, must not open: connections of its parent to them cannot be closed."""


def _only_reads(refused: str) -> str:
    return f"sql() only reads, and this would {refused}; write with set, set_many or delete, so that triggers run"


def _use_wal(connection: _Connection) -> None:
    """Make the file one with a WAL. Where others use it meanwhile, such as one that makes the same new store, SQLite does
    not wait for them here, so we do."""
    deadline = clock.monotonic_s() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as exc:
            is_busy = exc.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not is_busy or clock.monotonic_s() > deadline:
                raise
            clock.sleep(BUSY_PAUSE_S)
        else:
            return


def _advice(exc: Exception) -> str:
    text = str(exc)
    if "locked" in text:
        return "Another process has been writing for over a minute; look for one that hangs."
    if "full" in text:
        return "The disk is full; nothing of this write was kept. Make room and try again."
    if "readonly" in text or "unable to open" in text:
        return "Check that the folder and its files can be written."
    if "malformed" in text or "not a database" in text:
        return "The file is damaged. Nothing was written; restore a snapshot of the folder."
    return "Nothing of this write was kept."


sqlite3.register_converter("ARRAY_BLOB", decode_array)
sqlite3.register_converter("BOOL_INT", lambda stored: stored != b"0")
