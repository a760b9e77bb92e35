"""Numbers: what a store counts with, in one row. Each is larger than any before, whatever was deleted since.

Changes are numbered, and compared by their numbers. Tasks and events are numbered so that a number means one of them
for ever: a run may still be under way when what it was made for is long gone. Rows that are not numbered by their id
have numbers of their own table (`persistence.ids`).
"""

from __future__ import annotations

from dataclasses import dataclass

from motion.backends.base import Asked, Transaction

UNNUMBERED = 1
"""Stands for the change of a value that was written before any trigger ran on its key, so that none was noted; the
first change of a store has the next number."""


FIRST: Asked = ("SELECT number, graph, last_task FROM motion_clock", ())
"""What every write asks first."""

LEFT_OUT, LEFT_OUT_TASKS = 2**20, 2**32
"""Numbers that are not given where some may be lost that others have seen: each would be taken for what it was before."""


@dataclass
class _Clock:
    """The store's counters, as a transaction knows them: read once, and written once, for all callers that share it."""

    number: int
    graph: int
    last_task: int


_IS_WRITTEN = "the counters are written at the end"


def graph_number(tx: Transaction) -> int:
    """Return the number that grows whenever the graph is replaced."""
    return _seen(tx).graph


def note_new_graph(tx: Transaction) -> None:
    """Let other processes notice that the graph was replaced."""
    _clock(tx).graph += 1


def next_number(tx: Transaction) -> int:
    """Take the next change number: larger than that of any commit before."""
    return begin_change(tx)[0]


def begin_change(tx: Transaction) -> tuple[int, int]:
    """Take the next change number; return it, and the number of the graph now in force."""
    clock = _clock(tx)
    clock.number += 1
    return clock.number, clock.graph


def last_number(tx: Transaction) -> int:
    """Return the number of the last change."""
    return _seen(tx).number


def next_tasks(tx: Transaction, count: int = 1) -> int:
    """Take numbers for tasks or events, and return the first of them."""
    clock = _clock(tx)
    clock.last_task += count
    return clock.last_task - count + 1


def last_task(tx: Transaction) -> int:
    """Return the largest number that any task ever had, 0 where there was none."""
    return _seen(tx).last_task


def _seen(tx: Transaction) -> _Clock:
    found: _Clock | None = tx.memo.get(_Clock)
    if found is None:
        found = tx.memo[_Clock] = _Clock(*tx.execute(*FIRST).fetchone())
    return found


def _clock(tx: Transaction) -> _Clock:
    """Return the counters to take numbers of; they are written at the end."""
    found = _seen(tx)
    if _IS_WRITTEN not in tx.memo:
        tx.memo[_IS_WRITTEN] = True
        if tx.has_lost():
            found.number += LEFT_OUT
            found.graph += LEFT_OUT
            found.last_task += LEFT_OUT_TASKS
        tx.before_commit.append(
            lambda: tx.execute_last(
                "UPDATE motion_clock SET number = ?, graph = ?, last_task = ?",
                (found.number, found.graph, found.last_task),
            )
        )
    return found
