"""What a connection that reads lets SQL do, and what stops it.

SQL of users comes whole, by `sql`, or as a condition in SQL of ours. Either way SQLite asks, while it compiles a
statement, for each thing that the statement would do: what only reads is allowed, all else is refused, whatever the
words. A pragma (`query_only`) would be one that the SQL itself could switch off.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from threading import Event, Lock, get_ident, main_thread
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from motion import clock
from motion.backends.base import Sight
from motion.backends.sqlite_file import Connection
from motion.background.interrupts import uninterrupted
from motion.definitions.tables.hidden import is_secret

C = TypeVar("C", bound=Connection)

READS = frozenset(
    {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_RECURSIVE,
    }
)

REFUSED_FUNCTIONS = frozenset({"load_extension", "fts3_tokenizer"})

ASKING_PRAGMAS = frozenset(
    {
        "collation_list",
        "compile_options",
        "foreign_key_check",
        "foreign_key_list",
        "function_list",
        "index_info",
        "index_list",
        "index_xinfo",
        "integrity_check",
        "module_list",
        "pragma_list",
        "quick_check",
        "table_info",
        "table_list",
        "table_xinfo",
    }
)
"""What a pragma with an argument may ask for; those of `COUNTING_PRAGMAS` only without, as an argument may set them."""

COUNTING_PRAGMAS = frozenset(
    {
        "application_id",
        "data_version",
        "encoding",
        "freelist_count",
        "page_count",
        "page_size",
        "schema_version",
        "user_version",
    }
)

WRITES = {
    sqlite3.SQLITE_INSERT: "insert into",
    sqlite3.SQLITE_UPDATE: "update",
    sqlite3.SQLITE_DELETE: "delete from",
}

SEEN = ("motion_rows_", "motion_outputs_", "motion_components")
"""How the names of those of our own tables begin that users' tables are made of."""

GUEST_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 64 * 2**20,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 500,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 100,
}
"""Of one who is not trusted: a single value, or a step of a pattern, takes as much as it likes between two looks."""

GUEST_REFUSED_FUNCTIONS = frozenset({"printf", "format"})
"""What can be told to work for minutes without a look whether to go on."""

GUEST_RESULT_BYTES = 64 * 2**20

CELL_BYTES = 32
"""What a value of a result takes at least."""

STEPS = 50_000
"""Steps of SQLite's machine between two looks whether to go on: about a millisecond."""

HOLD_LOOK_S = 0.001

CLOSE_S = 1.0
"""How long closing waits for those who read to notice it."""


class Limits:
    """What one connection that reads may do. Its caller keeps threads apart.

    Attributes:
        refused: what the last statement would have done and may not, for people; None where it was not refused.
    """

    def __init__(self, *, transactions: bool, sight: Sight = Sight.ALL) -> None:
        self._allowed = READS | ({sqlite3.SQLITE_TRANSACTION} if transactions else set())
        self._sight = sight
        self.refused: str | None = None

    def answer(self, action: int, first: Any, second: Any, *_: Any) -> int:
        """Tell SQLite whether a statement may do something: its authorizer."""
        if action == sqlite3.SQLITE_READ and self._sight is not Sight.ALL:
            return self._seen(str(first).lower(), second)
        if second in GUEST_REFUSED_FUNCTIONS and self._sight is not Sight.ALL:
            self.refused = _told(action, first, second)
            return sqlite3.SQLITE_DENY
        if action in self._allowed and second not in REFUSED_FUNCTIONS:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_PRAGMA and _only_asks(first, second):
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_UPDATE and first == "sqlite_master":
            return (
                sqlite3.SQLITE_OK
            )  # asked for table-valued functions; SQLite itself refuses to do it
        self.refused = _told(action, first, second)
        return sqlite3.SQLITE_DENY

    def _seen(self, table: str, column: str) -> int:
        if table.startswith("motion_") and not table.startswith(SEEN):
            self.refused = f"read {table}, which the store keeps for itself"
            return sqlite3.SQLITE_DENY
        if self._sight is Sight.SHOWN and is_secret(column):
            return sqlite3.SQLITE_IGNORE  # it is read as NULL
        return sqlite3.SQLITE_OK


def within(rows: Iterable[Sequence[Any]], size_bytes: int) -> list[Sequence[Any]]:
    """Return rows as a list.

    Raises:
        ValueError: they take more.
    """
    found, taken = [], 0
    for row in rows:
        taken += sum(
            CELL_BYTES
            + (len(each) if isinstance(each, str | bytes) else getattr(each, "nbytes", 0))
            for each in row
        )
        if taken > size_bytes:
            raise ValueError(
                f"its result takes more than {size_bytes // 2**20} MiB; name fewer columns, or say LIMIT"
            )
        found.append(row)
    return found


def types_read(connection: Connection, sql: str, values: Sequence[Any]) -> set[str]:
    """Return the types of the columns that a statement names, as their tables and views have them."""
    views = {
        name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'view'")
    }
    read: set[tuple[str, str]] = set()

    def note(action: int, table: Any, column: Any, _: Any, within: Any) -> int:
        if action == sqlite3.SQLITE_READ and within not in views:  # a view names all that it has
            read.add((table, column))
        return sqlite3.SQLITE_OK

    connection.set_authorizer(connection.kept(note))
    try:
        connection.execute(f"EXPLAIN {sql}", values).close()
    except sqlite3.Error:
        connection.check_raised()
        raise
    connection.set_authorizer(None)
    ask = "SELECT type FROM pragma_table_info(?) WHERE name = ?"
    return {kind for place in read for (kind,) in connection.execute(ask, place)}


def _only_asks(pragma: str, argument: str | None) -> bool:
    return pragma in ASKING_PRAGMAS or (pragma in COUNTING_PRAGMAS and argument is None)


def _told(action: int, first: Any, second: Any) -> str:
    if action in WRITES:
        return f"{WRITES[action]} {first}"
    if action == sqlite3.SQLITE_PRAGMA:
        return f"run pragma {first}"
    if action == sqlite3.SQLITE_FUNCTION:
        return f"call {second}()"
    if action in (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH):
        return "attach or make another file"
    if action in (sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_SAVEPOINT):
        return "begin or end a transaction"
    return "change what tables there are, or how they lie on disk"


class Watch:
    """Looks now and then whether a statement is to go on: until a time, and until what a signal raises, such as a
    Ctrl-C, which would else wait for the statement's end: Python handles signals where it goes on with its own code.

    Attributes:
        is_late: it was stopped because its time was over.
    """

    def __init__(self, ends_s: float | None) -> None:
        self.ends_s = ends_s
        self.is_late = False

    def look(self) -> bool:
        """Return whether it is to be stopped."""
        self.is_late = self.ends_s is not None and clock.monotonic_s() >= self.ends_s
        return self.is_late


class Reader(Generic[C]):
    """A connection that reads, with its limits and what watches it."""

    def __init__(self, connection: C, limits: Limits) -> None:
        self.connection, self.limits = connection, limits
        self._watch = Watch(None)
        self._is_watched = False
        connection.set_authorizer(connection.kept(limits.answer))

    def begin(self, ends_s: float | None = None) -> None:
        """Take note that it is lent: until when what it runs may go on, None is without end."""
        self.limits.refused = None
        self.connection.raised.clear()
        is_wanted = ends_s is not None or get_ident() == main_thread().ident
        watch = self._watch
        if watch.ends_s is None and ends_s is None:
            if is_wanted == self._is_watched:
                return
        else:
            watch = self._watch = Watch(ends_s)
        look = self.connection.kept(watch.look) if is_wanted else None
        self.connection.set_progress_handler(look, STEPS)
        self._is_watched = is_wanted

    @property
    def is_late(self) -> bool:
        """Whether what it ran was stopped as its time was over."""
        return self._watch.is_late


class Readers(Generic[C]):
    """The connections that read one file: as many are open as threads ever read at once. Thread-safe.

    Args:
        connect: opens one.
        check_open: raises where none is to be lent any more.
        transactions: whether what runs on them may begin and end transactions.
        sight: what it sees. Connections are never shared between two: one keeps the statements that it has compiled.
    """

    def __init__(
        self,
        connect: Callable[[], C],
        check_open: Callable[[], None],
        *,
        transactions: bool,
        sight: Sight = Sight.ALL,
    ) -> None:
        self._connect, self._check_open = connect, check_open
        self._transactions, self._sight = transactions, sight
        self._idle: deque[Reader[C]] = deque()
        self._all: WeakSet[Reader[C]] = WeakSet()
        self._making = Lock()
        self._held: list[Reader[C]] = []
        self._is_held = False
        self._is_closed = False
        self._returned = Event()  # since it was closed

    def lend(self, ends_s: float | None = None) -> Reader[C]:
        """Lend a connection, to be given back."""
        self._check_open()
        try:
            reader = self._idle.pop()
        except IndexError:
            reader = self._made()
        reader.begin(ends_s)
        return reader

    def _made(self) -> Reader[C]:
        reader = uninterrupted(self._make)  # who leaves half way would keep the lock
        try:
            self._check_open()  # it may have been closed meanwhile, without this one
        except BaseException:
            self.give_back(reader)
            raise
        return reader

    def _make(self) -> Reader[C]:
        with self._making:
            limits = Limits(transactions=self._transactions, sight=self._sight)
            reader = Reader(self._connect(), limits)
            for limit, value in GUEST_LIMITS.items() if self._sight is not Sight.ALL else ():
                reader.connection.setlimit(limit, value)
            self._all.add(reader)
        return reader

    def give_back(self, reader: Reader[C]) -> None:
        if reader.connection.in_transaction:  # nobody is lent what another has begun
            self.drop(reader)
        else:
            self._idle.append(reader)
        if self._is_closed:
            self._close_idle()
            self._returned.set()

    def drop(self, reader: Reader[C]) -> None:
        """Close a connection instead of giving it back."""
        self._all.discard(reader)
        reader.connection.close()

    def close(self) -> None:
        """Close the connections that nobody reads with, and stop what runs on the others: who reads closes its own, as
        to close it in the middle of a statement ends the process."""
        self._is_closed = True
        self._close_idle()
        ends_s = clock.monotonic_s() + CLOSE_S
        while (lent := self._lent()) and clock.monotonic_s() < ends_s:
            for reader in lent:  # once is not enough: it stops only what has begun
                with suppress(sqlite3.ProgrammingError):  # it is closed by now
                    reader.connection.interrupt()
            self._returned.wait(CLOSE_S / 100)
            self._returned.clear()

    def hold(self, ends_s: float) -> bool:
        """Lend none until `release`; return whether all that were lent came back in time."""
        self._is_held = self._making.acquire(timeout=max(ends_s - clock.monotonic_s(), 0))
        if not self._is_held:
            return False
        while True:
            with suppress(IndexError):
                while True:
                    self._held.append(self._idle.pop())
            if len(self._held) == len(self._all):
                return True
            if clock.monotonic_s() >= ends_s:
                return False
            Event().wait(HOLD_LOOK_S)

    def release(self) -> None:
        self._idle.extend(self._held)
        self._held.clear()
        if self._is_held:
            self._is_held = False
            self._making.release()

    def connections(self) -> list[C]:
        """Return all that are open, to be let go of in a forked child."""
        return [reader.connection for reader in self._all]

    def _lent(self) -> set[Reader[C]]:
        return set(self._all) - set(self._idle)

    def _close_idle(self) -> None:
        with suppress(IndexError):
            while True:
                reader = self._idle.pop()
                self._all.discard(reader)
                reader.connection.close()
