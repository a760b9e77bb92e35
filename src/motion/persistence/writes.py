"""Writes from outside a trigger's result: `set`, `set_many`, `delete`, alone, in a transaction or inside a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

from motion.backends.base import Transaction
from motion.codecs import Stored
from motion.errors import RowChanged
from motion.faults import reach
from motion.graph import Graph
from motion.persistence.cascade import Layouts, delete, fire
from motion.persistence.layout import Layout
from motion.persistence.numbers import next_number
from motion.persistence.reading import row_numbers, shown_values
from motion.persistence.rows import Columns, Inlined, Written, write_rows
from motion.tasks import Cause


@dataclass(frozen=True)
class SetOperation:
    """Rows of one table that give values for the same keys, encoded and checked.

    Attributes:
        expected: of one row: what it is to show of each key, or nothing is written; None: whatever.
    """

    table: str
    columns: Columns
    count: int
    is_forced: bool = False
    inlined: Sequence[Inlined] = ()
    expected: Mapping[str, Stored] | None = None


@dataclass(frozen=True)
class DeleteOperation:
    """Rows, each with all its pages."""

    table: str
    ids: Sequence[Stored]


Operation = SetOperation | DeleteOperation


@dataclass(frozen=True)
class Applied:
    """What operations did.

    Attributes:
        number: of the change.
        ids: the ids of each operation's rows.
        tasks: how many tasks follow from them; 0: the change is done.
    """

    number: int
    ids: list[list[Any]]
    tasks: int


def apply_operations(
    tx: Transaction, layouts: Layouts, operations: Sequence[Operation], cause: Cause
) -> Applied:
    """Do operations in order, with all that they cause.

    Each has a number of its own: what was derived from one does not count as derived from the next.
    """
    ids: list[list[Any]] = []
    tasks = 0
    for operation in operations:
        own = replace(cause, number=next_number(tx)) if ids else cause
        found, fired = _apply(tx, layouts, operation, own)
        ids.append(found)
        tasks += fired
    return Applied(cause.change, ids, tasks)


def _apply(
    tx: Transaction, layouts: Layouts, operation: Operation, cause: Cause
) -> tuple[list[Any], int]:
    layout = layouts[operation.table]
    if isinstance(operation, DeleteOperation):
        rows = row_numbers(tx, layout, operation.ids)
        delete(tx, layouts, Written(layout, rows), cause)
        reach("delete.made")
        return list(operation.ids), 1  # or more, or none: deletions are not followed so far
    if operation.expected is not None:
        _check_unchanged(tx, layout, operation.expected)
    written = write_rows(
        tx,
        layout,
        operation.columns,
        operation.count,
        cause.number,
        is_forced=operation.is_forced,
        inlined=_in_force(layouts.graph, operation.inlined) if operation.inlined else (),
        since=cause.change if cause.task is None else cause.number,
    )
    reach("set.written")
    tasks = fire(tx, layouts, written, cause)
    reach("set.fired")
    return written.ids, tasks


def _check_unchanged(tx: Transaction, layout: Layout, expected: Mapping[str, Stored]) -> None:
    """Raise `RowChanged` where a row does not show what it is expected to."""
    name = [expected[key] for key in layout.table.primary_key]
    found = shown_values(tx, layout, name)
    changed = [key for key, value in (found or {}).items() if value != expected[key]]
    if found is None or changed:
        table = layout.table
        named = zip(table.primary_key, name, strict=True)
        shown = {key: table.keys[key].decode(value) for key, value in named}
        raise RowChanged(table.name, shown, changed)


def _in_force(graph: Graph, inlined: Sequence[Inlined]) -> Sequence[Inlined]:
    """Return what was given by triggers as the store has them: another process may have replaced some meanwhile, and
    what follows from those is left to tasks too."""
    specs = (graph.triggers.get(each.spec.name) for each in inlined)
    pairs = zip(inlined, specs, strict=True)
    return [each for each, _ in takewhile(lambda pair: pair[0].spec == pair[1], pairs)]
