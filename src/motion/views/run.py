"""The run that the present code belongs to: through it, reads and writes are a run's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Protocol


class Run(Protocol):
    """What surrounds the rows being derived: gives each row its view of the store."""

    now: Callable[[], int]
    """Tells the position of the row under way."""

    @property
    def pins(self) -> Mapping[str, int]:
        """Component -> the state version that the run is for."""

    @property
    def outer(self) -> Run | None:
        """The run that this one was begun in, by a write to another store."""

    def is_on(self, database: Any) -> bool:
        """Whether it is a run on this store."""

    def view(self, index: int) -> Any:
        """Return the view through which the row at `index` reads the store and leaves its writes."""

    def begin(self, rows: range) -> None:
        """Give rows that are handed over together one view, their first row's, and forget what was left with it."""

    def written(self, index: int) -> int:
        """Return how many writes the row at `index` has left so far."""

    def drop(self, index: int, after: int) -> None:
        """Forget those writes that a row left after its first ones."""

    def watch(self, results: Sequence[Any]) -> None:
        """Take in where the results of rows that are called one after the other go."""

    def left_so_far(self, index: int) -> Any:
        """Return what the row at `index` has written and read so far, None where nothing is kept of it."""

    def finish(self, rows: range, failed: Sequence[bool]) -> None:
        """Take in that rows have been called, and which of them failed."""


class At:
    """The row that a call under way is about, where several of one run may be.

    Attributes:
        is_over: the call has ended. What it has begun, such as a task of an event loop, is no part of the run any more, whose
            writes would go nowhere.
    """

    __slots__ = ("index", "is_over", "now", "run")

    def __init__(self, run: Run, index: int) -> None:
        self.run, self.index, self.is_over = run, index, False
        self.now: Callable[[], int] = lambda: self.index

    @property
    def pins(self) -> Mapping[str, int]:
        return self.run.pins

    @property
    def outer(self) -> Run | None:
        return self.run.outer

    def is_on(self, database: Any) -> bool:
        return not self.is_over and self.run.is_on(database)

    def view(self, index: int) -> Any:
        return self.run.view(index)

    def begin(self, rows: range) -> None:
        self.run.begin(rows)

    def written(self, index: int) -> int:
        return self.run.written(index)

    def drop(self, index: int, after: int) -> None:
        self.run.drop(index, after)

    def watch(self, results: Sequence[Any]) -> None:
        self.run.watch(results)

    def left_so_far(self, index: int) -> Any:
        return self.run.left_so_far(index)

    def finish(self, rows: range, failed: Sequence[bool]) -> None:
        self.run.finish(rows, failed)


CURRENT: ContextVar[Run | None] = ContextVar("motion_run", default=None)
"""The run that the present code belongs to, None outside."""


def run_on(database: Any) -> Run | None:
    """Return the run on a store that the present code belongs to, None outside: the store acts as its view then. Inside
    a run on another store it is itself, but for what that run was called by."""
    run = CURRENT.get()
    while run is not None and not run.is_on(database):
        run = run.outer
    return run
