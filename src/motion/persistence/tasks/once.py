"""What triggers have done that act once on a row: noted in the row itself, so that it goes with the row.

A run notes that it begins before it calls, and that it has succeeded in its commit. Between the two its note tells it from
runs on a row that was deleted and made again meanwhile, and other runs of the trigger wait for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from motion.backends.base import Transaction
from motion.definitions.tasks import Task, TaskStatus
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.persistence.layout import Layout, once_column, quoted
from motion.persistence.ranges import parts_of
from motion.persistence.tasks import queue


def begun(tx: Transaction, layout: Layout, spec: TriggerSpec, rows: Sequence[int]) -> set[int]:
    """Return those of the rows on which a run was begun of which no success is noted."""
    return {row for row, note in _notes(tx, layout, spec, rows).items() if note < 0}


def held_by_others(
    tx: Transaction, spec: TriggerSpec, tasks: Sequence[Task], rows: set[int]
) -> list[Task]:
    """Return those of the tasks that hold one of these rows, on which a run was begun, that another task under way holds
    too."""
    own = {task.task for task in tasks}
    sql = queue.overlapping("task, low, high", 1, f"+status = {TaskStatus.CLAIMED:d}")
    found: list[Task] = []
    for task in tasks if rows else ():
        others = tx.execute(sql, (task.low, task.high, spec.name)).fetchall()
        shared = (
            rows & set(range(max(low, task.low), min(high, task.high) + 1))
            for other, low, high in others
            if other not in own
        )
        if any(shared):
            found.append(task)
    return found


def begin(
    tx: Transaction, layout: Layout, spec: TriggerSpec, rows: Sequence[int], run: int
) -> None:
    """Note that a run, by its number, is about to be called on rows."""
    column = once_column(spec.name)
    for part in parts_of(rows):
        tx.execute(
            f"UPDATE {layout.base} SET {column} = ? WHERE {part.condition(layout.row_column)}",
            (-run, *part.numbers),
        )


def held(
    tx: Transaction, layout: Layout, spec: TriggerSpec, rows: Sequence[int], run: int
) -> set[int]:
    """Return those of the rows that are the very rows that a run was begun on."""
    return {row for row, note in _notes(tx, layout, spec, rows).items() if note == -run}


def end(tx: Transaction, layout: Layout, spec: TriggerSpec, rows: Sequence[int], mark: int) -> None:
    """Note that a run has succeeded on rows."""
    column = once_column(spec.name)
    for part in parts_of(rows):
        tx.execute(
            f"UPDATE {layout.base} SET {column} = ? WHERE {part.condition(layout.row_column)}",
            (mark, *part.numbers),
        )
    if rows:
        tx.execute(
            "INSERT INTO motion_discards (trigger, done) VALUES (?1, ?2) "
            "ON CONFLICT (trigger) DO UPDATE SET done = motion_discards.done + ?2",
            (spec.name, len(rows)),
        )


def let_go(tx: Transaction, layout: Layout, spec: TriggerSpec, rows: Sequence[int]) -> None:
    """Forget that runs were begun on rows: they may be called again."""
    column = once_column(spec.name)
    for part in parts_of(rows) if spec.once else ():
        condition = f"{part.condition(layout.row_column)} AND {column} < 0"
        tx.execute(f"UPDATE {layout.base} SET {column} = NULL WHERE {condition}", part.numbers)


def forget(tx: Transaction, layout: Layout, spec: TriggerSpec, rows: Sequence[int]) -> None:
    """Count rows that are about to go no more."""
    notes = _notes(tx, layout, spec, rows) if spec.once else {}
    count = sum(note > 0 for note in notes.values())
    if count:
        tx.execute(
            "UPDATE motion_discards SET done = CASE WHEN done > ?1 THEN done - ?1 ELSE 0 END WHERE trigger = ?2",
            (count, spec.name),
        )


def done(tx: Transaction) -> Mapping[str, int]:
    """Return trigger -> on how many of the rows that are there it has succeeded, of those that act once on a row."""
    return dict(tx.execute("SELECT trigger, done FROM motion_discards WHERE done > 0").fetchall())


def note_of(
    tx: Transaction, layout: Layout, spec: TriggerSpec, row_id: Stored, pages: Sequence[int]
) -> int:
    """Return what is noted of a row that a trigger acts once on: the mark of the run that succeeded; below 0 where one was
    begun only; 0 where none was."""
    level = layout.graph.row_level(spec)
    keys = zip(layout.table.page_keys, pages, strict=True)
    values = [row_id, *(page if key in level else 0 for key, page in keys)]
    named = " AND ".join(f"r.{quoted(key)} = ?" for key in layout.table.primary_key)
    sql = f"SELECT COALESCE(r.{once_column(spec.name)}, 0) FROM {layout.base} r WHERE {named}"
    found = tx.execute(sql, values).fetchone()
    return int(found[0]) if found else 0


def _notes(
    tx: Transaction, layout: Layout, spec: TriggerSpec, rows: Sequence[int]
) -> dict[int, int]:
    found: dict[int, int] = {}
    for part in parts_of(rows):
        sql = f"SELECT {layout.row}, COALESCE(r.{once_column(spec.name)}, 0) FROM {layout.base} r"
        found.update(
            tx.execute(f"{sql} WHERE {part.condition(layout.row)}", part.numbers).fetchall()
        )
    return found
