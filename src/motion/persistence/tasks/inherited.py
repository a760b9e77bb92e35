"""Work on rows that pages inherit from: what runs on a page waits for it, as it does for that on its own row.

Only triggers that take keys of another page level have any, so nothing is looked up for all others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from motion.backends.base import Transaction
from motion.definitions.tasks import Task, ranges_of
from motion.definitions.triggers.specs import TriggerSpec
from motion.persistence.layout import Layout
from motion.persistence.ranges import parts_of
from motion.persistence.tasks import queue


def has_work(tx: Transaction, layout: Layout, spec: TriggerSpec, task: Task) -> bool:
    """Whether a trigger upstream has live work on a row that one of the task's rows inherits an input from."""
    return any(
        queue.has_work_on(tx, [name], low, high, task.version)
        for name, pages in _above(tx, layout, spec, task)
        for low, high in ranges_of(sorted(pages))
    )


def dead_rows(tx: Transaction, layout: Layout, spec: TriggerSpec, task: Task) -> set[int]:
    """Return the rows of a task that inherit an input from a row on which a trigger upstream has given up."""
    return {
        page
        for name, pages in _above(tx, layout, spec, task)
        for low, high in ranges_of(sorted(pages))
        for row in queue.dead_rows(tx, [name], low, high)
        for page in pages[row]
    }


def wake(tx: Transaction, layout: Layout, name: str, tasks: Sequence[Task]) -> None:
    """Let blocked tasks on pages be looked at again that inherit from rows of a trigger's tasks, which have ended."""
    for spec in layout.graph.inheriting(name):
        if not queue.is_any_blocked(tx, spec.name):
            continue
        rows = [row for task in tasks for row in range(task.low, task.high + 1)]
        pages = pages_of(tx, layout, spec, name, rows)
        if set(rows).issubset(pages):
            queue.wake_on(tx, [spec.name], ranges_of(pages))
        else:  # a row is gone, and nothing tells any more which pages it had
            queue.wake_triggers(tx, [spec.name])


def pages_of(
    tx: Transaction, layout: Layout, spec: TriggerSpec, upstream: str, rows: Sequence[int]
) -> Sequence[int]:
    """Return the rows of a trigger that inherit from rows of one upstream; the rows themselves where both are of one page
    level."""
    if spec.name not in [each.name for each in layout.graph.inheriting(upstream)]:
        return rows
    further = layout.graph.row_level(spec) - layout.graph.row_level(layout.graph.triggers[upstream])
    return rows_of_pages(tx, layout, spec, further, rows)


def rows_of_pages(
    tx: Transaction,
    layout: Layout,
    spec: TriggerSpec,
    further: frozenset[str],
    rows: Sequence[int],
) -> Sequence[int]:
    """Return the rows of all pages, by further page keys, that a trigger runs on, of the same as the given rows otherwise."""
    level = layout.graph.row_level(spec)
    found: set[int] = set()
    matched = layout.is_above("x", "r", level - further, but_for=further)
    for part in parts_of(rows):
        sql = (
            f"SELECT x.{layout.row_column} FROM {layout.base} r JOIN {layout.base} x "
            f"ON {matched} WHERE {part.condition(layout.row)}"
        )
        found.update(int(row[0]) for row in tx.execute(sql, part.numbers))
    return sorted(found)


def own_rows(
    tx: Transaction, layout: Layout, spec: TriggerSpec, key: str, rows: Sequence[int]
) -> list[int]:
    """Return the pages that inherit `key` from the given rows, and on which a trigger runs all the same, as another `on` key has,
    or this one had, a value of their own."""
    if not layout.pages_beyond(spec):
        return []
    matched = layout.is_above("x", "y", layout.graph.levels[layout.table.name][key])
    found: list[int] = []
    for part in parts_of(rows):
        pages = (
            f"SELECT y.{layout.row_column} FROM {layout.base} x JOIN {layout.base} y ON {matched} "
            f"WHERE {part.condition(f'x.{layout.row_column}')} AND y.{layout.row_column} <> x.{layout.row_column}"
        )
        sql = (
            f"SELECT {layout.row} FROM {layout.joined([key, *spec.on], inherit=False)} WHERE {layout.row} IN ({pages}) "
            f"AND {layout.value(key)} IS NULL AND {layout.has_own(spec)}"
        )
        found += [int(row) for (row,) in tx.execute(sql, part.numbers)]
    return found


def _above(
    tx: Transaction, layout: Layout, spec: TriggerSpec, task: Task
) -> Iterator[tuple[str, Mapping[int, list[int]]]]:
    """Yield triggers upstream that have tasks, each with the rows that the task's rows inherit an input from, and those that
    do. A page with a value of its own inherits none."""
    for key, name in layout.graph.inherited(spec):
        if not queue.has_any(tx, [name]):
            continue
        level = layout.graph.row_level(layout.graph.triggers[name])
        sql = (
            f"SELECT x.{layout.row_column}, {layout.row} FROM {layout.joined([key], inherit=False)} "
            f"JOIN {layout.base} x ON {layout.is_above('x', 'r', level)} "
            f"WHERE {layout.row} BETWEEN ? AND ? AND {layout.value(key)} IS NULL AND x.{layout.row_column} <> {layout.row}"
        )
        pages: dict[int, list[int]] = {}
        for row, page in tx.execute(sql, (task.low, task.high)):
            pages.setdefault(int(row), []).append(int(page))
        yield name, pages
