"""What a database must offer: transactions, snapshots, and a hint that something was committed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, get_args, runtime_checkable

from motion.errors import MotionError, shortened

T = TypeVar("T")

Durability = Literal["full", "normal"]

Made = Literal["index", "trigger", "view"]

Asked = tuple[str, Sequence[Any]]
"""A statement that reads, with its parameters."""

First = Callable[[], Sequence[Asked]]
"""Returns what is read before anything is written; it is called only where that is of use."""


@dataclass(frozen=True)
class RowTrigger:
    """What the database itself does when a row of a table becomes another.

    Attributes:
        table: as statements have it.
        event: "UPDATE", "DELETE" and the like.
        condition: over OLD and NEW.
        action: statements over these, each with a semicolon at its end.
    """

    name: str
    table: str
    event: str
    condition: str
    action: str


@dataclass(frozen=True)
class WordIndex:
    """What a full-text index is over: a column of a table, and what numbers its rows; both as statements have them.

    Attributes:
        name: the index's own.
        key: the key whose values these are, as "table.key", for people.
    """

    name: str
    key: str
    table: str
    number: str
    column: str


def check_durability(durability: object) -> None:
    """Refuse what no back end knows."""
    if not isinstance(durability, str) or durability not in get_args(Durability):
        raise MotionError(
            f"durability={shortened(durability)} is unknown; it is 'full', which survives power loss, or 'normal', "
            f"which survives a crash of the process."
        )


class Transaction(Protocol):
    """One consistent view of the database; in `Backend.write` also the way to change it.

    Callers that share a commit share these too, so that what each of them needs is read and written once.
    """

    memo: dict[Any, Any]
    """What has been read and cannot change but by this transaction; empty at its beginning."""

    lasting: dict[Any, Any]
    """Facts that no transaction ever changes once they are committed: read once, and known ever after."""

    before_commit: list[Callable[[], None]]
    """What is still to be written before the commit."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Any:
        """Run one statement; the result can be iterated and has `fetchone`, `fetchall` and `rowcount`."""

    def execute_last(self, sql: str, numbers: Sequence[int], /) -> None:
        """Run one statement, which takes numbers alone, at the latest with the commit: nothing is read of what it writes."""

    def is_found_last(self, sql: str, /) -> Callable[[], bool]:
        """Ask, at the latest with the commit, whether a statement without parameters finds anything; return what tells it behind
        the commit."""

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Any:
        """Run one statement for each set of parameters."""

    def on_each(self, sql: str, columns: Sequence[Sequence[Any]], /) -> None:
        """Run one statement, an INSERT, UPDATE or DELETE, for each set of parameters, which are given by column. No two of
        them are about the same row: they may be run in any order, or all at once."""

    def stream(self, sql: str, parameters: Sequence[Any] = ..., /) -> Iterator[Sequence[Any]]:
        """Run one statement, and hold some rows of its result at a time. To be read to the end before anything else."""

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], /) -> None:
        """Make many rows; table and columns by their names as statements have them."""

    def tables(self) -> list[str]:
        """Return the names of all tables, in their order."""

    def columns(self, table: str, /) -> Mapping[str, str]:
        """Return a table's columns in their order, with their types as definitions have them; none where it is not there; by
        its name as statements have it."""

    def with_history(self, sql: str, /) -> Sequence[Any]:
        """Return what is another text once the database may have lost commits that were seen, and gone on from before them, while
        this process lives; behind it the one row of a statement that takes no parameters."""

    def has_lost(self) -> bool:
        """Whether what others have seen may be lost, since anybody has written: then no number is given again that they may
        have seen. Known to all once this transaction is committed."""

    def settle(self) -> None:
        """Return when what this snapshot shows is kept: before anybody is told of it, or acts on it outside of the store."""

    def last_number(self, table: str, /) -> int:
        """Return the largest number that the database itself has given to a row of a table, where it keeps that."""

    def go_on_from(self, table: str, last: int, /) -> None:
        """Give rows of a table numbers above one, and above all that it has, from now on."""

    def objects(self, kind: Made, table: str, /) -> dict[str, str]:
        """Return what there is of a kind on a table, with the statement that made it where that is kept: of views it is.
        A view is its own table."""

    def make_view(self, name: str, sql: str, /) -> None:
        """Make a view anew by a statement."""

    def make_trigger(self, made: RowTrigger, /) -> None:
        """Make a trigger of the database."""

    def drop_trigger(self, name: str, table: str, /) -> None:
        """Drop a trigger of the database, if it is there; the table as statements have it."""

    def has_words(self, index: WordIndex, /) -> bool:
        """Whether a full-text index is there, in the form that is searched now, and up to date."""

    def make_words(self, index: WordIndex, /) -> None:
        """Make a full-text index from the rows, or bring it up to date; from then on it tells when it is not."""

    def merge_words(self) -> None:
        """Leave no word of rows that are gone in any full-text index."""

    def words_found(
        self, index: WordIndex, phrases: Sequence[str], between: tuple[int, int] | None, /
    ) -> tuple[str, list[Any]]:
        """Return a query, and its parameters, for the rows that have any of some phrases: `:number`, and `:score` (BM25).

        Args:
            between: of the rows with these numbers only.
        """

    def in_order(self, value: Any, /) -> Any:
        """Return what stands for a value in a column of any type, in which values of one type are to be in their order. It is
        not read as a value any more."""


class Signal:
    """Something that happens now and then, to wait for without missing it. Thread-safe.

    No lock is held, which a Ctrl-C could leave held: each who waits has one of its own. Counts that meet may become one:
    what counts is that the count changes.
    """

    def __init__(self, before_wait: Callable[[], None]) -> None:
        self._before_wait = before_wait
        self._waiting: dict[threading.Lock, None] = {}
        self._count = 0

    @property
    def count(self) -> int:
        """How often it was given: read it before looking, and wait for more."""
        return self._count

    def give(self) -> None:
        self._count += 1
        if self._waiting:
            waiting, self._waiting = self._waiting, {}
            for latch in list(waiting):
                latch.release()

    def wait(self, seen: int, timeout_s: float) -> None:
        """Return when it was given since `count` was `seen`, or after `timeout_s`."""
        self._before_wait()
        latch = threading.Lock()
        latch.acquire()
        waiting = self._waiting
        waiting[latch] = None
        try:
            # Who gives counts first and looks for latches then: either that is seen, or this.
            if self._count == seen:
                latch.acquire(timeout=max(timeout_s, 0))
        finally:
            waiting.pop(latch, None)


class Sight(Enum):
    """What a user's statement sees: all that is in the database; what tables hold, and not what is kept about them, such
    as tracebacks; or that without keys named like secrets, which are NULL then.

    But for the first, how large its values and its result may be is limited as well.
    """

    ALL = "all"
    ROWS = "rows"
    SHOWN = "shown"


@runtime_checkable
class CopiesItself(Protocol):
    """A back end whose database is a file of its folder."""

    def copy_to(self, folder: Path, mend: Callable[[Transaction], T]) -> T:
        """Write a consistent copy of the database to a folder, as of one moment, while others go on writing; return
        what `mend`, which may still change the copy, returned."""


class Backend(Protocol):
    """Where a store's rows live. Every method may be called from any thread."""

    is_left: bool
    """Whether it is of the process that this one was forked from: all uses raise `StoreForked`."""

    url: str
    """What opens the same one in another process, as `url=`."""

    place: str
    """Where it is, for people."""

    out_of_reach: str
    """Where bytes of what was deleted may be after `rewrite` has returned, for people; empty: nowhere."""

    makes_indexes_apart: bool
    """Whether an index is dropped and made without holding up who reads meanwhile."""

    is_apart: bool
    """Whether each statement is a way to a server and back, which is worth some work that may be in vain."""

    writes_in_turn: bool
    """Whether a write transaction begins when the one before has ended, whoever writes."""

    folder: Path
    """The folder beside the database for what is not rows: model states, locks of processes."""

    committed: Signal
    """Given when anyone may have committed: for those who wait for a change."""

    called: Signal
    """Given when there may be work, by whoever made it or by another process's commit: for those who do it. A commit
    that makes no work does not give it: a thread woken for nothing still competes for the interpreter."""

    def write(
        self,
        work: Callable[[Transaction], T],
        *,
        is_durable: bool = True,
        is_patient: bool = False,
        first: First | None = None,
    ) -> T:
        """Run `work` in a write transaction, commit it, and return what it returned.

        Concurrent callers share one commit; each has its work applied whole or not at all, and what `work` raises
        is raised here. `work` may be called twice: where one of several callers' raises, the others' is undone with it
        and done again. `is_durable=False` is for what may be forgotten at a power failure, such as claims: nobody who
        waits for a change is told of it. What is durable may be seen by others before it is kept, but it is before this
        returns, or anybody is told: see `Transaction.settle`.

        Args:
            first: returns what `work` reads before it writes anything, in these very words: it may come with the beginning.
        """

    def read(self, first: str = "", /) -> AbstractContextManager[Transaction]:
        """Return one snapshot; nested use in a thread gives the same one.

        Args:
            first: what `Transaction.with_history` is asked before all else, if anything: it may come with the beginning.
        """

    def ask(self, sql: str, parameters: Sequence[Any] = ..., /) -> tuple[str, list[Sequence[Any]]]:
        """Return what `Transaction.with_history` tells, and the rows of one statement, which gives at least one: as of one moment,
        that of the thread's snapshot, or one of its own. Nothing of a user's is to be in its text."""

    def query(
        self,
        sql: str,
        parameters: Sequence[Any],
        *,
        timeout_s: float | None = None,
        limit: int | None = None,
        sight: Sight = Sight.ALL,
    ) -> tuple[list[str], list[Sequence[Any]]]:
        """Run a user's read-only statement; return the columns' names and the first `limit` rows, or all.

        Raises:
            SqlError: it is wrong, would do more than read, or would see what is beyond its sight.
            SqlTimeout: it was stopped after `timeout_s`.
        """

    def call(self) -> None:
        """Call those who work, here and in other processes: there is work."""

    def tell(self) -> None:
        """Tell those who wait for a change, here and in other processes, of what was not written durably."""

    def make_durable(self) -> None:
        """Let what is acknowledged from now on survive power loss, as with `durability="full"`."""

    def rewrite(self, timeout_s: float) -> bool:
        """Write the database anew, so that no byte of what was deleted is left but where it is `out_of_reach`; return False
        where readers have held that up for so long."""

    def wake(self) -> None:
        """Give both signals, here."""

    def check_open(self) -> None:
        """Raise what `check_usable` or `check_there` does."""

    def check_usable(self) -> None:
        """Raise `StoreClosed` after `close`, `StoreForked` in a child that cannot use it. It looks at nothing outside."""

    def check_there(self) -> None:
        """Raise `StoreDeleted` where the database was deleted, or replaced, while it was open."""

    def close(self) -> None:
        """Release all files. Later use raises `StoreClosed`."""
