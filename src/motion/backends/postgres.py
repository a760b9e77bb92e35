"""PostgreSQL, through psycopg 3: a store is a schema of a database.

One writer at a time, as in SQLite: each write transaction holds the store's lock (`docs/decisions/0050-one-writer.md`),
so all that one writer gives holds here too. Readers have snapshots, and wait for nobody. Processes tell each other of commits
by NOTIFY, as a hint. A connection that is lost is made again, with the work under way done again where it is known
not to have been committed.
"""

from __future__ import annotations

import hashlib
import logging
import sys
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar, cast
from weakref import WeakSet

import psycopg

from motion import clock
from motion.backends.base import (
    Durability,
    First,
    Sight,
    Signal,
    Transaction,
    check_durability,
)
from motion.backends.postgres_errors import advice_on, is_lost, is_to_be_tried_again
from motion.backends.postgres_listening import Listener
from motion.backends.postgres_place import folder_of, parts_of, whole_url
from motion.backends.postgres_rewriting import rewrite_tables
from motion.backends.postgres_session import Session
from motion.backends.postgres_sql import (
    DOMAINS,
    FUNCTIONS,
    HISTORY,
    VOCABULARY,
    WRITERS,
    literal,
    name,
)
from motion.backends.requests import Sharing
from motion.background import forks, interrupts
from motion.background.locks import let_go
from motion.definitions.values.answers import columns_of_arrays, with_arrays
from motion.definitions.values.codecs import decode_array, encode_parameter
from motion.errors import (
    NotOnPostgres,
    SqlError,
    SqlTimeout,
    StoreClosed,
    StoreForked,
    StoreUnavailable,
)
from motion.faults import reach

__all__ = ["PostgresBackend", "folder_of", "parts_of"]

logger = logging.getLogger(__name__)

T = TypeVar("T")


LOCK_WAIT_S = 60
"""How long a writer waits for the others."""

PATIENCE_S = 60.0
"""How long a server that is gone is waited for."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.02, 1.0
"""Between two tries: each pause is twice the one before."""

CLOSE_S = 1.0
"""How long closing waits for those who read to notice it."""

REWRITE_PAUSE_S = 0.5
"""Between two looks whether somebody reads what is to be rewritten: in between, others who read it go on."""

IDLE_READERS = 8
"""Connections that are kept for those who read; further ones are closed when they are given back."""

GONE_AFTER = "1 day"
"""From when on the next who opens the store forgets one who has not written: whether its last commit happened is asked in a minute."""

COMMITTED, WORK = "c", "w"

DECODERS: Mapping[str, Callable[[Any], Any]] = {"array_blob": decode_array, "bool_int": bool}
"""What users' statements give of columns of these types."""

AS_STORED = frozenset({17, 20})
"""The types, bytea and bigint, that are said of an expression which may be of one of these."""


class PostgresBackend:
    """A schema of a PostgreSQL database.

    Args:
        name: the store's, for messages.
        url: a `postgresql://` URL, or what else libpq takes.
        schema: made where it is not there.
        folder: for what is not rows.
        durability: "normal": what the server's last half second before a crash of its own has acknowledged may be lost.
    """

    makes_indexes_apart = False
    is_apart = True
    writes_in_turn = False
    out_of_reach = (
        "the server's write-ahead log and what is archived of it, standbys, backups, the server's own log, and what its planner "
        "had counted before"
    )

    def __init__(
        self, name: str, folder: Path, durability: Durability, *, url: str, schema: str
    ) -> None:
        check_durability(durability)
        self.name, self.folder, self.schema = name, folder, schema
        self.url, self._conninfo = whole_url(url, schema, folder), url
        self.place = f"schema {schema!r} of {_without_password(url)}"
        self._is_kept = durability == "full"
        self._lock_number = int.from_bytes(
            hashlib.sha256(f"motion {schema}".encode()).digest()[:8], "big", signed=True
        )
        self._channel = f"motion_{schema}"
        self._writes_as, self._commits = uuid.uuid4().hex, 0
        self.is_left, self._is_closed = False, False
        self._closing = threading.Event()
        self._local = threading.local()
        self._writing = threading.RLock()
        self._writer: Session | None = None
        self._idle: deque[Session] = deque()
        self._lent: WeakSet[Session] = WeakSet()  # what an interrupt has lost is closed
        self._decoders: dict[tuple[int, int], Callable[[Any], Any] | None] = {}
        self._watching = threading.Lock()
        self._listener: Listener | None = None
        self._voice: Session | None = None
        self._speaking = threading.Lock()
        self._sharing = Sharing(self._commit_durably, self._writing, self._closing)
        self.committed, self.called = Signal(self._watch), Signal(self._watch)
        forks.watch(self)
        with self._errors_named():
            self._write_once_more(lambda: self._set_up(self._writing_session()))

    def make_durable(self) -> None:
        self._is_kept = True

    # -- writing --

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
        if interrupts.may_come():
            return self._write_alone(work, is_durable=is_durable, first=first)
        if not is_durable:
            with self._writing:
                return self._commit_one(work, is_durable=False, first=first)
        return self._sharing.write(work, is_patient=is_patient, first=first)  # type: ignore[no-any-return]  # it is what `work` returned

    def _write_alone(
        self, work: Callable[[Transaction], T], *, is_durable: bool, first: First | None
    ) -> T:
        """Write in the thread that signals reach: it shares no commit, so that an interrupt is nobody else's."""
        try:
            self._writing.acquire()
            return self._commit_one(work, is_durable=is_durable, first=first)
        except BaseException as exc:
            if not isinstance(exc, Exception):
                self.wake()  # it may have been committed, and not told
            raise
        finally:
            let_go(self._writing)

    def _commit_durably(self, work: Callable[[Transaction], T], first: First | None) -> T:
        return self._commit_one(work, is_durable=True, first=first)

    def _commit_one(
        self, work: Callable[[Transaction], T], *, is_durable: bool, first: First | None
    ) -> T:
        with self._errors_named():
            result = self._write_once_more(
                lambda: self._committed(work, is_durable=is_durable, first=first)
            )
        if is_durable:
            self.committed.give()
        return result

    def _write_once_more(self, attempt: Callable[[], T]) -> T:
        """Make an attempt to write, and again where the server is gone, or has chosen it as a victim of a deadlock."""
        ends_s, pause_s = clock.monotonic_s() + PATIENCE_S, FIRST_PAUSE_S
        while True:
            try:
                return attempt()
            except psycopg.Error as exc:
                if not is_to_be_tried_again(exc) or clock.monotonic_s() > ends_s:
                    raise
                logger.info("store %r: %s; trying again", self.name, exc)
            if self._closing.wait(pause_s):
                raise StoreClosed(self.name)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _committed(
        self, work: Callable[[Transaction], T], *, is_durable: bool, first: First | None
    ) -> T:
        session = self._writing_session()
        try:
            self._begin_to_write(session, is_durable=is_durable, first=first)
            reach("write.begun")
            result = work(session)
            for last in session.before_commit:
                last()
            reach("write.applied")
            self._commit(session, is_durable=is_durable)
            reach("write.committed")
        except BaseException as exc:
            self._end_writing(session, exc)
            raise
        return result

    def _commit(self, session: Session, *, is_durable: bool) -> None:
        """Commit, which lets the next one write, and wait then until it is kept: so writers share the server's disk."""
        self._commits += 1  # before it is sent: what nobody waited for may be committed, under a number of its own
        number = self._commits
        try:
            session.commit(self._noted(number, is_told=is_durable), is_durable=is_durable)
        except psycopg.Error as exc:
            if not (session.is_seen or is_lost(exc)) or not self._has_committed(number, exc):
                raise

    def _end_writing(self, session: Session, exc: BaseException) -> None:
        """Undo what is under way; a connection of which nobody knows what it does is closed."""
        if isinstance(exc, Exception):
            with suppress(psycopg.Error):
                session.end()
                return
        for left in (session, self._writer):  # two where it was lost, and made again to ask
            if left is not None:
                left.close()
        self._writer = None

    def _begin_to_write(
        self, session: Session, *, is_durable: bool, first: First | None = None
    ) -> None:
        asked = first() if first else ()
        session.begin_to_write(self._lock_number, LOCK_WAIT_S, is_durable=is_durable, first=asked)

    def _noted(self, number: int, *, is_told: bool) -> tuple[str, Sequence[Any]]:
        """Return the statement that notes in a transaction that it is this one of this back end's, and tells others of it.

        The server's own number says nothing: after a crash it gives one that was lost to the next transaction. Others hear of it
        before it is kept, and look: who waits sees to it himself that what he tells is (`settle`).
        """
        sql = (
            "INSERT INTO motion_writers VALUES ($1, $2, now()) "
            "ON CONFLICT (writer) DO UPDATE SET number = EXCLUDED.number, at = EXCLUDED.at"
        )
        noted = (self._writes_as, number)
        if not is_told:
            return sql, noted
        return f"{sql} RETURNING pg_notify($3, $4)", (*noted, *self._message(COMMITTED))

    def _has_committed(self, number: int, lost: psycopg.Error) -> bool:
        """Whether a commit has happened under which the connection was lost; waits until the server has ended it, and until it
        is kept.

        Raises:
            StoreUnavailable: nobody can say.
        """

        def asked() -> bool:
            session = self._writing_session()
            self._begin_to_write(session, is_durable=False)
            sql = "SELECT 1 FROM motion_writers WHERE writer = ? AND number = ?"
            found = session.execute(sql, (self._writes_as, number)).fetchone()
            session.end()
            if found is not None:
                session.flush()  # where the connection is lost again, it is asked again
            return found is not None

        try:
            return self._write_once_more(asked)
        except psycopg.Error as exc:
            raise StoreUnavailable(
                self.place,
                f"the connection was lost during a commit ({_reason(lost)}), and the server could not be asked what became "
                f"of it ({_reason(exc)}). Look whether what was written is there before you write it again.",
            ) from exc

    def _writing_session(self) -> Session:
        session = self._writer
        if session is None or session.is_over:
            self._check_not_closed()
            session = self._writer = self._connect()
        return session

    # -- reading --

    def read(self, first: str = "", /) -> _Snapshot:
        return _Snapshot(self, first)

    def ask(self, sql: str, parameters: Sequence[Any] = (), /) -> tuple[str, list[Sequence[Any]]]:
        snapshot = cast("_Snapshot | None", getattr(self._local, "snapshot", None))
        if snapshot is not None and (session := snapshot.going_on()) is not None:
            return session.ask(sql, parameters)

        def asked() -> tuple[str, list[Sequence[Any]]]:
            session = self._taken()
            try:
                found = session.ask_alone(sql, parameters)
            except BaseException:
                self._lent.discard(session)
                session.close()
                raise
            self._give_back(session)
            return found

        with self._errors_named():
            return self._write_once_more(asked)

    def _lend(self, first: str = "") -> Session:
        """Return a connection on which a snapshot has begun; see `read`."""

        def begun() -> Session:
            session = self._taken()
            try:
                session.begin_to_read(first)
            except BaseException:
                self._lent.discard(session)
                session.close()
                raise
            return session

        with self._errors_named():
            return self._write_once_more(begun)

    def _taken(self) -> Session:
        """Return a connection to read with, of which closing knows."""
        self.check_open()
        try:
            session = self._idle.pop()
        except IndexError:
            session = interrupts.uninterrupted(self._connect)
        self._lent.add(session)
        if self._is_closed:  # meanwhile, and perhaps without this one
            self._lent.discard(session)
            session.close()
            self._check_not_closed()
        return session

    def _give_back(self, session: Session) -> None:
        self._lent.discard(session)
        try:
            session.leave()
        except psycopg.Error:
            session.close()
            return
        if self._is_closed or len(self._idle) >= IDLE_READERS:
            session.close()
        else:
            self._idle.append(session)

    def query(
        self,
        sql: str,
        parameters: Sequence[Any],
        *,
        timeout_s: float | None = None,
        limit: int | None = None,
        sight: Sight = Sight.ALL,
    ) -> tuple[list[str], list[Sequence[Any]]]:
        if sight is not Sight.ALL:
            raise NotOnPostgres(
                "SQL of guests, who are not to see all",
                "give them a role of PostgreSQL that sees what they may.",
            )
        values = [encode_parameter(value) for value in parameters]
        session = self._lend()
        try:
            columns, found = session.query(sql, values, timeout_s, limit)
            decoders = [self._decoder(session, column) for column in columns]
            expressions = [n for n, column in enumerate(columns) if not column.table_oid]
            if any(columns[n].type_oid in AS_STORED for n in expressions):
                kinds = session.types_of(sql, values, len(columns))
                for n in expressions:
                    decoders[n] = DECODERS.get(kinds[n])
        except psycopg.Error as exc:
            if self._is_closed:
                raise StoreClosed(self.name) from exc
            if is_lost(exc):
                self._raise_named(exc)
            if timeout_s is not None and isinstance(exc, psycopg.errors.QueryCanceled):
                raise SqlTimeout(sql, timeout_s) from exc
            raise SqlError(sql, _reason(exc)) from exc
        finally:
            session.forget_settings()
            self._give_back(session)
        if any(decoders):
            found = [_decoded(row, decoders) for row in found]
        if arrays := columns_of_arrays(found, expressions):
            found = with_arrays(found, arrays)
        return [column.name for column in columns], found

    def _decoder(self, session: Session, column: Any) -> Callable[[Any], Any] | None:
        """Return what makes a value of what a column of a table or view holds, by the type that it has there."""
        origin = (column.table_oid or 0, column.table_column or 0)
        if origin not in self._decoders:
            kind = session.type_of_column(*origin) if origin[0] else None
            self._decoders[origin] = DECODERS.get(kind or "")
        return self._decoders[origin]

    def rewrite(self, timeout_s: float) -> bool:
        ends_s = clock.monotonic_s() + timeout_s

        def is_given_up() -> bool:
            return clock.monotonic_s() >= ends_s or self._closing.wait(REWRITE_PAUSE_S)

        def attempt() -> bool:
            session = self._connect()
            try:
                is_done = rewrite_tables(session, is_given_up)
                reach("forget.rewritten")
                return is_done
            finally:
                session.close()

        with self._errors_named():
            return self._write_once_more(attempt)

    # -- telling and being told of commits --

    def call(self) -> None:
        self.called.give()
        self._tell(WORK)

    def tell(self) -> None:
        self.committed.give()
        self._tell(COMMITTED)

    def _message(self, word: str) -> Sequence[str]:
        return self._channel, f"{word} {self._writes_as}"

    def _tell(self, message: str) -> None:
        """Tell other processes; a hint that gets lost costs them a look of theirs."""
        with self._speaking:
            if self._is_closed or self.is_left:
                return
            try:
                if self._voice is None or self._voice.is_over:
                    self._voice = self._connect()
                self._voice.execute("SELECT pg_notify($1, $2)", self._message(message))
            except BaseException as exc:
                self._voice = None  # nobody knows what it does
                if not isinstance(exc, psycopg.Error | StoreUnavailable):
                    raise
                logger.debug("store %r cannot tell others: %s", self.name, exc)

    def _watch(self) -> None:
        """Listen to other processes, in one thread for all who wait."""
        if self._listener is None and not self._is_closed and not self.is_left:
            interrupts.uninterrupted(self._start_listener)

    def _start_listener(self) -> None:
        with self._watching:
            if self._listener is None and not self._closing.is_set():
                self._listener = Listener(
                    self._connect, self._channel, self._writes_as, self._take_word
                )
                self._listener.start()

    def _take_word(self, words: set[str]) -> None:
        self.committed.give()
        if not words or WORK in words:
            self.called.give()

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
        self._check_not_closed()

    def _check_not_closed(self) -> None:
        if self._is_closed:
            raise StoreClosed(self.name)

    def check_there(self) -> None:
        """A schema that was dropped shows at its next use."""

    def close(self) -> None:
        if self.is_left:
            return
        with self._watching:
            self._closing.set()
            listener = self._listener
        if listener is not None:
            listener.stop()
        with self._writing, self._speaking:
            self._is_closed = True
            for session in (self._writer, self._voice):
                if session is not None:
                    session.close()
        self._stop_reading()
        with suppress(IndexError):
            while True:
                self._idle.pop().close()
        self.wake()

    def _stop_reading(self) -> None:
        """Stop what is asked by others. Once is not enough: it stops only what has begun."""
        ends_s, pause = clock.monotonic_s() + CLOSE_S, threading.Event()
        while self._lent and clock.monotonic_s() < ends_s:
            for session in list(self._lent):
                session.cancel()
            pause.wait(CLOSE_S / 100)

    # -- forking --

    def hold(self, ends_s: float) -> bool:
        """A child has nothing to do with its parent's connections but to leave them alone, whatever they are in."""
        return True

    def release(self) -> None:
        """Nothing was held."""

    def leave(self, *, is_at_rest: bool) -> None:
        if self.is_left:
            return
        self.is_left = True
        # To drop one warns of it, though it stays open for the parent.
        _parents.append((self._writer, self._voice, list(self._idle), self._listener))
        self._writing, self._speaking = threading.RLock(), threading.Lock()
        self._watching = threading.Lock()
        self._sharing.renew()
        self.committed, self.called = Signal(self._watch), Signal(self._watch)

    # -- connections --

    def _connect(self) -> Session:
        return Session.connect(
            self._conninfo, self.schema, self.name, is_kept=lambda: self._is_kept
        )

    def _make_folder(self, session: Session) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            session.close()
            raise StoreUnavailable(str(self.folder), str(exc)) from exc

    def _set_up(self, session: Session) -> None:
        """Make the folder and the schema, with what statements of ours need, where they are not there. The server is known by now
        to be one that takes a store."""
        self._make_folder(session)
        try:
            self._begin_to_write(session, is_durable=True)
            sql = "SELECT COALESCE(obj_description(oid, 'pg_namespace'), '') FROM pg_namespace WHERE nspname = ?"
            found = session.execute(sql, (self.schema,)).fetchone()
            if found is None:  # else no right to make any is needed
                session.run(f"CREATE SCHEMA IF NOT EXISTS {name(self.schema)}")
            if found is None or found[0] != VOCABULARY:
                self._make_vocabulary(session)
            session.run(f"DELETE FROM motion_writers WHERE at < now() - interval '{GONE_AFTER}'")
            session.commit(is_durable=True)
        except BaseException as exc:
            self._end_writing(session, exc)
            raise

    def _make_vocabulary(self, session: Session) -> None:
        """Make what statements of ours need, or bring it up to date."""
        for made in (*FUNCTIONS, WRITERS, HISTORY):
            session.run(made)
        known = "SELECT typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = ?"
        there = {row[0] for row in session.execute(known, (self.schema,))}
        for domain, kind in DOMAINS.items():
            if domain not in there:
                session.run(f"CREATE DOMAIN {domain} AS {kind}")
        session.run(f"COMMENT ON SCHEMA {name(self.schema)} IS {literal(VOCABULARY)}")

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as exc:
            self._raise_named(exc)

    def _raise_named(self, exc: psycopg.Error) -> NoReturn:
        """Raise an error of ours where the server's is about itself, or the store is closed."""
        if self._is_closed:
            raise StoreClosed(self.name) from exc
        if (advice := advice_on(exc)) is not None:
            raise StoreUnavailable(self.place, f"{_reason(exc)}. {advice}") from exc
        raise exc


class _Snapshot:
    """A reading transaction, for a `with` statement; inside another one of its thread it is that one."""

    __slots__ = ("_backend", "_block", "_first", "_session")

    def __init__(self, backend: PostgresBackend, first: str) -> None:
        self._backend, self._first = backend, first
        self._session: Session | None = None
        self._block: FrameType | None = (
            None  # whose `with` statement it is, where it may be interrupted
        )

    def __enter__(self) -> Transaction:
        local = self._backend._local
        outer = cast("_Snapshot | None", getattr(local, "snapshot", None))
        if outer is not None and (session := outer.going_on()) is not None:
            return session
        try:
            if interrupts.may_come():
                self._block = interrupts.block_of(sys._getframe(1))
            local.snapshot = self
            self._session = self._backend._lend(self._first)
        except BaseException:
            self._drop()
            raise
        return self._session

    def __exit__(self, _: object, error: object, __: object) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        self._backend._local.snapshot = self._block = None
        self._backend._give_back(session)
        if isinstance(error, psycopg.Error):
            self._backend._raise_named(error)
        if isinstance(error, SqlError) and self._backend._is_closed:
            raise StoreClosed(self._backend.name) from error

    def going_on(self) -> Session | None:
        """Return what it reads with, None where it is over."""
        if self._session is not None and not self._is_over():
            return self._session
        self._drop()
        return None

    def _is_over(self) -> bool:
        """Whether an interrupt has ended the block, and `__exit__` with it."""
        return self._block is not None and not interrupts.is_running(self._block)

    def _drop(self) -> None:
        """Close what it reads with: nobody knows what of it is under way."""
        session, self._session = self._session, None
        self._backend._local.snapshot = self._block = None
        if session is not None:
            session.close()


_parents: list[Any] = []
"""In a forked child: connections of its parent."""


def _decoded(row: Sequence[Any], decoders: Sequence[Callable[[Any], Any] | None]) -> Sequence[Any]:
    return tuple(
        value if value is None or decode is None else decode(value)
        for value, decode in zip(row, decoders, strict=True)
    )


def _reason(exc: psycopg.Error) -> str:
    return exc.diag.message_primary or str(exc).strip() or type(exc).__name__


def _without_password(url: str) -> str:
    place = psycopg.conninfo.conninfo_to_dict(url)
    host, port = place.get("host") or "localhost", place.get("port") or 5432
    return f"{place.get('dbname') or 'the database'} at {host}:{port}"
