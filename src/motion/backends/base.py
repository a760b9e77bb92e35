"""What a database must offer: transactions, snapshots, and a hint that something was committed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Transaction(Protocol):
    """One consistent view of the database; in `Backend.write` also the way to change it."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Any:
        """Run one statement; the result can be iterated and has `fetchone`, `fetchall` and `rowcount`."""

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Any:
        """Run one statement for each set of parameters."""


class Backend(Protocol):
    """Where a store's rows live. Every method may be called from any thread."""

    folder: Path
    """The folder beside the database for what is not rows: model states, locks of processes."""

    def write(self, work: Callable[[Transaction], T], *, is_durable: bool = True) -> T:
        """Run `work` in a write transaction, commit it, and return what it returned.

        Concurrent callers share one commit; each has its work applied whole or not at all, and what `work` raises
        is raised here. `is_durable=False` is for what may be forgotten at a power failure, such as claims.
        """

    def read(self) -> AbstractContextManager[Transaction]:
        """Return one snapshot; nested use in a thread gives the same one."""

    def query(self, sql: str, parameters: Sequence[Any]) -> tuple[list[str], list[Sequence[Any]]]:
        """Run a user's read-only statement; return the columns' names and the rows.

        Raises:
            SqlError: it is wrong, or would write.
        """

    def commits(self) -> int:
        """Return a number that has grown if this process committed, or `wake` was called."""

    def wake(self) -> None:
        """Let those of this process who wait look again."""

    def wait(self, seen: int, timeout_s: float) -> None:
        """Return when anyone may have committed since `commits()` was `seen`, or after `timeout_s`."""

    def close(self) -> None:
        """Release all files. Later use raises `StoreClosed`."""
