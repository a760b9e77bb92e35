"""Sessions: one connection to PostgreSQL each, as a `Transaction` while one is under way.

No state of a session is relied on but prepared statements, and the path of those that ask one question alone: what a transaction
needs is set for it, in the round trip that begins it. Through a pooler none is.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import repeat
from typing import Any
from weakref import WeakSet

import psycopg
from psycopg import RawCursor
from psycopg.adapt import Dumper, Loader
from psycopg.conninfo import conninfo_to_dict
from psycopg.generators import fetch_many
from psycopg.pq import TransactionStatus
from psycopg.types.numeric import Int8Dumper, NumericBinaryLoader

from motion.backends import postgres_words
from motion.backends.base import Asked, Made, RowTrigger, WordIndex
from motion.backends.postgres_line import Answer, Answers, Line
from motion.backends.postgres_sql import (
    COUNTS_SINCE,
    OURS,
    array_kind,
    copied,
    for_all,
    in_order,
    literal,
    name,
    translated,
)
from motion.background import forks
from motion.errors import NotOnPostgres, StoreUnavailable

CONNECT_S = 5

ALIVE = {
    "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000,
}  # fmt: skip
"""How a connection over a network finds out that the other side is gone without a word, where the URL does not say."""

ALIVE_THERE = {
    "tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3", "tcp_user_timeout": "30000",
}  # fmt: skip
"""The same for the server's side, which keeps what a client has locked for as long as it takes it to be there."""

SENT_ALONG = 3
"""Statements that come with a beginning at most: they are asked in vain where the transaction is about something else."""

TOGETHER = 8
"""Sets of parameters from which on they are sent as arrays, in one statement."""

SET_PATH = "SELECT set_config('search_path', $1, true)"

LOCK_TIMEOUT = "set_config('lock_timeout', $2, true)"

LOCK = "pg_advisory_xact_lock($3)"
"""Of the statement that sets a transaction it is the last word: what is asked behind it sees all that was committed before."""

READS = ("SELECT", "WITH")

LATER = ("INSERT", "UPDATE", "DELETE")
"""What begins statements that are sent with the next: mostly nobody asks what they give."""

FLUSHES_FROM = 170_000
"""The version of the server from which on it can be asked to bring its log to the disk."""

FLUSH = "SELECT pg_logical_emit_message(false, 'motion', '', true)"
"""Adds a note for nobody to the log, and waits until it is on the disk, and with it all that is before it."""

IS_FLUSHED = "SELECT pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn()"

HELD = 2_000
"""Rows of a result that is read as a stream which are held at a time."""

SETTINGS = {
    "array_nulls": "on", "bytea_output": "hex", "DateStyle": "ISO, MDY", "extra_float_digits": "1", "IntervalStyle": "postgres",
    "standard_conforming_strings": "on", "TimeZone": "UTC", "transform_null_equals": "off",
}  # fmt: skip
"""What values and statements are read and written by, and servers, databases, roles and the environment may say otherwise."""

LARGEST = 2**31 - 1
"""The server takes no larger number for milliseconds, or for rows to be fetched."""


def _alive(url: str) -> dict[str, Any]:
    said = conninfo_to_dict(url)
    return {each: wanted for each, wanted in ALIVE.items() if each not in said}


class _Truth(Dumper):
    oid = Int8Dumper.oid

    def dump(self, obj: bool) -> bytes:
        return b"1" if obj else b"0"


class _Number(Loader):
    """Of sums and means, which PostgreSQL gives as decimals: as ints and floats, as SQLite does."""

    def load(self, data: Any) -> int | float:
        text = bytes(data)
        return float(text) if b"." in text or not text.lstrip(b"-").isdigit() else int(text)


class _BinaryNumber(NumericBinaryLoader):
    def load(self, data: Any) -> Any:
        found = super().load(data)
        return int(found) if found.as_tuple().exponent == 0 else float(found)


class Session:
    """One connection. Of one thread at a time.

    Attributes:
        is_pooled: whether it leads through a pooler such as PgBouncer, which may give each transaction another one of its own
            connections to the server: no statement is prepared there, as its name may stand for another one's.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        schema: str,
        *,
        is_pooled: bool,
        is_kept: Callable[[], bool],
        settings: Mapping[str, str],
    ) -> None:
        self._connection, self._process = connection, os.getpid()
        _sessions.add(self)
        self.is_pooled, self._has_lost_nothing = is_pooled, False
        self._is_kept, self._flushes = is_kept, connection.info.server_version >= FLUSHES_FROM
        self._path = f"{name(schema)}, public"
        self._settings = settings
        self._line = Line(connection, prepares=not is_pooled)
        self.schema = schema
        self.memo: dict[Any, Any] = {}
        self.lasting: dict[Any, Any] = {}
        self.before_commit: list[Callable[[], None]] = []
        # What is asked first comes with what begins a transaction: while others wait, no way is made for it. Who does not say what
        # that is asks first what the one before asked that did not say so either, as long as that took no parameters.
        self._leading: list[str] = []
        self._is_leading, self._is_learning = False, False
        self._ahead: list[tuple[str, Sequence[Any], Answer]] = []
        self._is_left = self._has_settings = False
        self._last: list[Asked] = []
        self._committed: Answer | None = None

    @classmethod
    def connect(cls, url: str, schema: str, store: str, *, is_kept: Callable[[], bool]) -> Session:
        """Connect.

        Args:
            is_kept: whether what is durable survives a crash of the server.
        """
        connection = psycopg.connect(
            url,
            autocommit=True,
            cursor_factory=RawCursor,
            connect_timeout=CONNECT_S,
            **_alive(url),
            application_name=f"motion {store}"[:60],
            client_encoding="utf8",
        )
        connection.prepare_threshold = None  # the line does that
        connection.adapters.register_dumper(int, Int8Dumper)
        connection.adapters.register_dumper(bool, _Truth)
        connection.adapters.register_loader("numeric", _Number)
        connection.adapters.register_loader("numeric", _BinaryNumber)
        try:
            check_encoding(connection, schema)
            asked = ", ".join(f"current_setting({literal(each)})" for each in SETTINGS)
            pid, *found = connection.execute(f"SELECT pg_backend_pid(), {asked}").fetchall()[0]
            others = {
                setting: wanted
                for (setting, wanted), is_set in zip(SETTINGS.items(), found, strict=True)
                if is_set != wanted
            }
            is_pooled = pid != connection.info.backend_pid  # a pooler tells a number of its own
            settings = others if is_pooled else others | ALIVE_THERE
            session = cls(
                connection, schema, is_pooled=is_pooled, is_kept=is_kept, settings=settings
            )
            if not is_pooled:
                session.run(session._set_all(is_local=False))
        except BaseException:
            connection.close()
            raise
        return session

    def _set_all(self, *, is_local: bool) -> str:
        """Return the statement that sets what is set otherwise here."""
        each = (
            f"set_config({literal(setting)}, {literal(wanted)}, {str(is_local).lower()})"
            for setting, wanted in self._settings.items()
        )
        return f"SELECT {', '.join(each)}"

    @property
    def is_over(self) -> bool:
        return self._connection.closed

    def close(self) -> None:
        if self._process != os.getpid():
            return  # it is the parent's of this process
        if (
            self._connection.info.transaction_status == TransactionStatus.ACTIVE
            and not self._is_left
        ):
            self.cancel()  # it was left in the middle, and the server would go on
        with suppress(psycopg.Error):
            self._connection.close()

    def let_go(self) -> None:
        """In a forked child: give up what it has of its parent's connection, and tell the server nothing. It would take the parent
        to be alive as long as the child is, and keep what its last transaction has locked."""
        with suppress(OSError, psycopg.Error):
            theirs, nothing = self._connection.fileno(), os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, theirs, inheritable=False)
            os.close(nothing)

    def __del__(self) -> None:
        """Close what an interrupt has lost."""
        if self._process == os.getpid():
            with suppress(psycopg.Error):
                self._connection.close()

    def cancel(self) -> None:
        """Stop the statement that another thread runs on it, if there is one."""
        with suppress(psycopg.Error):
            self._connection.cancel_safe(timeout=CONNECT_S)

    # -- a transaction --

    def begin_to_write(
        self, lock: int, wait_s: int, *, is_durable: bool, first: Sequence[Asked] = ()
    ) -> None:
        """Begin, and wait until those who wrote before have ended."""
        self._forget()
        self.before_commit.clear()
        self._last.clear()
        self._committed = None
        self.end()
        self._is_learning = not first
        asked = [(translated(sql), parameters) for sql, parameters in first]
        if not first:
            asked, self._leading = [(text, ()) for text in self._leading], []
        self._begin(
            asked,
            ("BEGIN ISOLATION LEVEL READ COMMITTED", ()),
            (
                f"{SET_PATH}, {LOCK_TIMEOUT}, {self._synchronous(is_durable=is_durable)}, {LOCK}",
                (self._path, f"{wait_s}s", lock),
            ),
        )

    def _synchronous(self, *, is_durable: bool) -> str:
        """Return what says whether the commit waits until it is kept before others see it. It does where it is to be kept and
        `flush` cannot see to that: an older server, or one that waits for others."""
        how = "'off'"
        if is_durable and self._is_kept():
            how = (
                "CASE current_setting('synchronous_standby_names') WHEN '' THEN 'off' ELSE 'on' END"
                if self._flushes
                else "'on'"
            )
        return f"set_config('synchronous_commit', {how}, true)"

    def begin_to_read(self, first: str = "") -> None:
        self._forget()
        self._take_answer()
        self._is_learning = False
        self._begin(
            [(translated(_with_history(first)), ())] if first else [],
            ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", ()),
            (SET_PATH, (self._path,)),
        )

    def ask_alone(self, sql: str, parameters: Sequence[Any]) -> tuple[str, list[Sequence[Any]]]:
        """Do what `ask` does, with a snapshot that is the statement's own; of a session that only reads. Through a pooler no setting
        stays, and it takes a transaction."""
        if self.is_pooled:
            self.begin_to_read()
        else:
            self._take_answer()
            self._set_for_good()
        return self.ask(sql, parameters)

    def _set_for_good(self) -> None:
        """Set for the session what others set for each transaction."""
        if not self._has_settings:
            self.run(
                f"SET search_path TO {name(self.schema)}, public; SET default_transaction_read_only TO on; "
                "SET default_transaction_isolation TO 'repeatable read'"
            )
            self._has_settings = True

    def _begin(self, asked: Sequence[Asked], *statements: Asked) -> None:
        if self._settings and self.is_pooled:
            statements = (statements[0], (self._set_all(is_local=True), ()), *statements[1:])
        try:
            self._put_all(statements)
            self._ahead = [(text, given, self._line.put(text, given)) for text, given in asked]
            self._line.run()
        except psycopg.ProgrammingError:  # of a table that is gone by now, perhaps
            self.end()
            self._ahead = []
            self._put_all(statements)
            self._line.run()
        self._is_leading = True

    def _put_all(self, statements: Iterable[Asked]) -> None:
        for text, parameters in statements:
            self._line.put(text, parameters)

    def _forget(self) -> None:
        self.memo.clear()
        if self.is_pooled:
            self.lasting.clear()  # the server may have crashed since, and this connection not been lost

    def commit(self, *last: Asked, is_durable: bool) -> None:
        """Commit, in one way there and back with the last statements before. Others see it, and go on; what is durable is kept when
        this returns."""
        if self._connection.info.transaction_status == TransactionStatus.INERROR:
            raise psycopg.errors.InFailedSqlTransaction(
                "a statement failed in this transaction, which cannot be committed"
            )
        self._put_all((*self._last, *last))
        self._committed = self._line.put("COMMIT")
        if is_durable:
            self.flush()
        else:
            self._line.run()

    @property
    def is_seen(self) -> bool:
        """Whether others are known to see what was last sent to be committed."""
        return self._committed is not None and self._committed.is_here

    def flush(self) -> None:
        """Return when all is kept that anybody has committed up to now, if anything is to be; what waits is sent before."""
        if self._is_kept() and self._flushes:
            self._line.put(FLUSH)
        self._line.run()

    def settle(self) -> None:
        # On the connection that has read: had the server crashed since, it would be lost.
        if self._is_kept() and self._flushes and not self.execute(IS_FLUSHED).fetchone()[0]:
            self.execute(FLUSH)

    def end(self) -> None:
        """Undo what is under way, if anything is."""
        self._line.drop()
        if self._connection.info.transaction_status != TransactionStatus.IDLE:
            self._line.forget_prepared()
            self.run("ROLLBACK")

    def leave(self) -> None:
        """Undo what is under way, if anything is, without waiting for the answer: whoever uses it next takes that."""
        pgconn = self._connection.pgconn
        if pgconn.transaction_status == TransactionStatus.IDLE:
            return
        pgconn.send_query(b"ROLLBACK")
        self._is_left = True
        while pgconn.flush():
            select.select([], [pgconn.socket], [])

    def _take_answer(self) -> None:
        if self._is_left:
            self._connection.wait(fetch_many(self._connection.pgconn))
            self._is_left = False

    def run(self, sql: str) -> None:
        """Run statements as they are."""
        self._direct().execute(sql)

    def _direct(self) -> psycopg.Connection[Any]:
        """Return the connection for a statement that does not go by the line; all before it has been sent then."""
        self._is_leading = False
        self._line.run()
        return self._connection

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Answer:
        text = translated(sql)
        self._is_leading = self._is_leading and text.startswith(READS)
        if self._is_leading and (known := self._asked_first(text, parameters)) is not None:
            return known
        answer = self._put(text, parameters)
        if not text.startswith(LATER):
            self._line.run()
        return answer

    def _asked_first(self, text: str, parameters: Sequence[Any]) -> Answer | None:
        """Return what has come with the beginning: it holds as long as nothing was written."""
        self._is_learning = self._is_learning and not parameters and len(self._leading) < SENT_ALONG
        if self._is_learning:
            self._leading.append(text)
        for i, (known, given, answer) in enumerate(self._ahead):
            if known == text and list(given) == list(parameters):
                del self._ahead[i]
                return answer
        return None

    def is_found_last(self, sql: str, /) -> Callable[[], bool]:
        answer = self._put(translated(sql), ())
        return lambda: answer.fetchone() is not None

    def _put(self, text: str, parameters: Sequence[Any]) -> Answer:
        try:
            return self._line.put(text, parameters)
        except psycopg.DataError as exc:
            raise _refused(exc) from exc

    def ask(self, sql: str, parameters: Sequence[Any]) -> tuple[str, list[Sequence[Any]]]:
        """See `Backend.ask`."""
        self._is_leading = False
        text = translated(_with_history(sql))
        found = self._line.put(text, parameters, is_binary=True).fetchall()
        return str(found[0][0]), [row[1:] for row in found]

    def execute_last(self, sql: str, numbers: Sequence[int], /) -> None:
        self._last.append((translated(sql), numbers))

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Answers:
        self._is_leading = False
        text = translated(sql)
        return Answers([self._put(text, each) for each in parameters])

    # -- listening --

    def fileno(self) -> int:
        return self._connection.fileno()

    def heard(self) -> list[tuple[str, str]]:
        """Return what was told meanwhile, and by whom."""
        told = [note.payload for note in self._connection.notifies(timeout=0)]
        return [(word, writer) for word, _, writer in (each.partition(" ") for each in told)]

    def written_up_to(self) -> str:
        """Return what changes when anybody writes."""
        found = self._connection.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
        return str(found[0]) if found else ""

    # -- what is in the database --

    def on_each(self, sql: str, columns: Sequence[Sequence[Any]], /) -> None:
        self._is_leading = False
        count = len(columns[0])
        if count < TOGETHER:
            self.executemany(sql, zip(*columns, strict=True))
            return
        if (insert := copied(sql)) is not None:
            table, names, places = insert
            given = [repeat(p, count) if isinstance(p, str) else columns[p - 1] for p in places]
            self.insert(table, names.split(", "), zip(*given, strict=True))
            return
        kinds = tuple(map(array_kind, columns))
        arrays = [list(column) for column, kind in zip(columns, kinds, strict=True) if kind]
        self._put(for_all(sql, kinds), arrays)
        self._line.run()  # it may be long

    def stream(self, sql: str, parameters: Sequence[Any] = (), /) -> Iterator[Sequence[Any]]:
        with self._direct().cursor() as cursor:
            declare = f"DECLARE motion_stream NO SCROLL CURSOR FOR {translated(sql)}"
            cursor.execute(declare, parameters or None)
            while found := cursor.execute(f"FETCH FORWARD {HELD} FROM motion_stream").fetchall():
                yield from found
            cursor.execute("CLOSE motion_stream")

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], /) -> None:
        sql = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
        try:
            with self._direct().cursor() as cursor, cursor.copy(translated(sql)) as copy:
                for row in rows:
                    copy.write_row(row)
        except psycopg.DataError as exc:
            raise _refused(exc) from exc

    def tables(self) -> list[str]:
        sql = "SELECT tablename FROM pg_tables WHERE schemaname = ? ORDER BY tablename"
        return [str(row[0]) for row in self.execute(sql, (self.schema,))]

    def columns(self, table: str, /) -> Mapping[str, str]:
        found = self.execute(
            "SELECT a.attname, t.typname FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_class c "
            "ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ? AND c.relname = ? "
            "AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            (self.schema, table.strip('"').replace('""', '"')),
        )
        return {str(column): OURS.get(kind, str(kind)) for column, kind in found}

    def with_history(self, sql: str, /) -> Sequence[Any]:
        """A server that crashed, or another one that has taken its place, counts anew."""
        since, *row = self.execute(_with_history(sql)).fetchone()
        return str(since), *row

    def has_lost(self) -> bool:
        if self._has_lost_nothing:
            return False
        now, known = self.execute(f"SELECT {COUNTS_SINCE}, server FROM motion_history").fetchone()
        if now == known:
            self._has_lost_nothing = not self.is_pooled  # a crash ends this connection too
            return False
        self.execute("UPDATE motion_history SET server = ?", (now,))
        return True

    def last_number(self, table: str, /) -> int:
        numbers = self._sequence(table)
        sql = "SELECT COALESCE(pg_sequence_last_value(CAST(? AS regclass)), 0)"
        return int(self.execute(sql, (numbers[0],)).fetchone()[0]) if numbers else 0

    def go_on_from(self, table: str, last: int, /) -> None:
        numbers = self._sequence(table)
        if numbers is None:
            return
        sequence, column = numbers
        largest = f"SELECT greatest(COALESCE(max({name(column)}), 0), $2::bigint) FROM {table}"
        self._direct().execute(
            f"SELECT setval($1::regclass, greatest(({largest}), 1), ({largest}) > 0)",
            (sequence, last),
        )

    def _sequence(self, table: str) -> tuple[str, str] | None:
        """Return what gives rows of a table numbers, and the column of these; None where nothing does."""
        found = self.execute(
            "SELECT pg_get_serial_sequence(CAST(CAST(a.attrelid AS regclass) AS text), a.attname), a.attname FROM pg_attribute a "
            "WHERE a.attrelid = CAST(? AS regclass) AND a.attidentity IN ('a', 'd') AND NOT a.attisdropped",
            (table,),
        ).fetchone()
        return None if found is None else (str(found[0]), str(found[1]))

    def objects(self, kind: Made, table: str, /) -> dict[str, str]:
        if kind == "trigger":
            sql = (
                "SELECT t.tgname, '' FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n "
                "ON n.oid = c.relnamespace WHERE n.nspname = ? AND c.relname = ? AND NOT t.tgisinternal"
            )
        elif kind == "index":
            sql = (
                "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = ? AND tablename = ?"
            )
        else:
            sql = (
                "SELECT viewname, COALESCE(obj_description(CAST(quote_ident(schemaname) || '.' || quote_ident(viewname) "
                "AS regclass), 'pg_class'), '') FROM pg_views WHERE schemaname = ? AND viewname = ?"
            )
        return {str(found): str(text) for found, text in self.execute(sql, (self.schema, table))}

    def make_view(self, view: str, sql: str, /) -> None:
        """The statement is kept as a comment: the database's own text of it is another."""
        self.execute(f"DROP VIEW IF EXISTS {name(view)}")
        self.execute(sql)
        self.run(f"COMMENT ON VIEW {name(view)} IS {literal(sql)}")

    def make_trigger(self, made: RowTrigger, /) -> None:
        function = name(made.name)
        self.execute(
            f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS "
            f"{literal(f'BEGIN {made.action} RETURN NULL; END')}"
        )
        self.execute(
            f"CREATE TRIGGER {function} AFTER {made.event} ON {made.table} FOR EACH ROW WHEN ({made.condition}) "
            f"EXECUTE FUNCTION {function}()"
        )

    def drop_trigger(self, trigger: str, table: str, /) -> None:
        self.execute(f"DROP TRIGGER IF EXISTS {name(trigger)} ON {table}")
        self.execute(f"DROP FUNCTION IF EXISTS {name(trigger)}()")

    def has_words(self, index: WordIndex, /) -> bool:
        return postgres_words.is_made(self, index)

    def make_words(self, index: WordIndex, /) -> None:
        postgres_words.make(self, index)

    def merge_words(self) -> None:
        postgres_words.erase(self)

    def words_found(
        self, index: WordIndex, phrases: Sequence[str], between: tuple[int, int] | None, /
    ) -> tuple[str, list[Any]]:
        return postgres_words.found(self, index, phrases, between)

    def in_order(self, value: Any, /) -> str:
        return in_order(value)

    def type_of_column(self, table: int, column: int) -> str | None:
        found = self._connection.execute(
            "SELECT t.typname FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = $1 AND a.attnum = $2",
            (table, column),
        ).fetchone()
        return None if found is None else str(found[0])

    # -- statements of users --

    def query(
        self, sql: str, values: Sequence[Any], timeout_s: float | None, limit: int | None
    ) -> tuple[list[Any], list[Sequence[Any]]]:
        """Run a user's statement in the snapshot that is under way; return its columns and first rows."""
        if timeout_s is not None:
            most_ms = min(1000 * timeout_s, LARGEST)
            self.run(f"SET LOCAL statement_timeout TO {max(round(most_ms), 1)}")
        with self._connection.cursor(
            binary=True
        ) as cursor:  # a single statement, as it is parsed by itself
            # Only what reads can be declared a cursor.
            declare = f"DECLARE motion_query NO SCROLL CURSOR FOR {translated(sql)}"
            cursor.execute(declare, values or None)
        with self._connection.cursor() as cursor:
            is_all = limit is None or limit > LARGEST
            cursor.execute(f"FETCH FORWARD {'ALL' if is_all else limit} FROM motion_query")
            return [
                _Column(cursor, n) for n in range(len(cursor.description or ()))
            ], cursor.fetchall()

    def types_of(self, sql: str, values: Sequence[Any], count: int) -> list[str]:
        """Return the types of the columns of a user's statement, which does not run for it; "" where that cannot be asked."""
        names = ", ".join(f"c{n}" for n in range(count))
        kinds = ", ".join(f"CAST(pg_typeof(c{n}) AS text)" for n in range(count))
        asked = (
            f"SELECT {kinds} FROM (SELECT) one LEFT JOIN ({translated(sql)}\n) q ({names}) ON false"
        )
        try:
            found = self._connection.execute(asked, values or None, binary=True).fetchone()
        except psycopg.Error:  # it ends with a semicolon
            return [""] * count
        return [str(kind).rpartition(".")[2] for kind in found or [""] * count]

    def forget_settings(self) -> None:
        """Let go of what a statement of a user may have set or locked for the session, in the round trip that ends it."""
        with suppress(psycopg.Error):
            self._has_settings = False
            again = (
                f"SET client_encoding TO '{ENCODING}'"  # a pooler takes it for the client's wish
            )
            if self._settings and not self.is_pooled:
                again = self._set_all(is_local=False)
            self.run(f"ROLLBACK; SELECT pg_advisory_unlock_all(); RESET ALL; {again}")


ENCODING = "UTF8"


def check_encoding(connection: psycopg.Connection[Any], schema: str) -> None:
    """Refuse a database in which texts are other than what they are here.

    Raises:
        StoreUnavailable: its encoding is another.
    """
    found = connection.info.parameter_status("server_encoding")
    if found is None:  # of a pooler that does not tell
        found = str((connection.execute("SHOW server_encoding").fetchone() or ("",))[0])
    if found != ENCODING:
        raise StoreUnavailable(
            f"schema {schema!r} of PostgreSQL",
            f"database {connection.info.dbname!r} is encoded in {found}, and a store takes {ENCODING}. Nothing was made. Make one that is, "
            f"and name it in the URL: CREATE DATABASE shop ENCODING 'UTF8' TEMPLATE template0 LOCALE 'C'.",
        )


def _with_history(sql: str) -> str:
    return f"SELECT (SELECT stats_reset FROM pg_stat_wal), found.* FROM ({sql}) found"


_sessions: WeakSet[Session] = WeakSet()


def _let_go_of_all() -> None:
    for each in list(_sessions):
        each.let_go()
    _sessions.clear()


forks.renew_in_child(_let_go_of_all)


class _Column:
    """A column of a result, and where its values come from."""

    def __init__(self, cursor: psycopg.Cursor[Any], place: int) -> None:
        result = cursor.pgresult
        assert result is not None
        self.name = (cursor.description or ())[place].name
        self.table_oid, self.table_column = result.ftable(place), result.ftablecol(place)
        self.type_oid = result.ftype(place)


def _refused(exc: psycopg.DataError) -> Exception:
    """Return what to raise for an error that is about a value."""
    if exc.sqlstate is None and "NUL" in str(exc):
        return NotOnPostgres(
            "the character NUL in a text", "take it out, or declare the key as bytes."
        )
    return exc
