"""Backfills: decisions to make a trigger's outputs again in bulk, kept until their rows are tasks.

A backfill is one row, written in one transaction, however many rows it is about. Workers hand it over part by part: a
part becomes tasks, and the backfill moves past it, in one transaction, so a crash in between leaves nothing half done,
and neither the queue nor memory ever holds more than a part. A row is judged (is it stale, does the condition hold)
when the backfill comes to it; rows added since it began are not its concern, as present code runs on them anyway.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from motion.backends.base import Transaction
from motion.codecs import encode_parameter
from motion.errors import SqlError
from motion.faults import reach
from motion.persistence import backlog, provenance, queue
from motion.persistence.cascade import Layouts, enqueue_rows
from motion.persistence.catalog import next_number
from motion.persistence.layout import Layout
from motion.tasks import BACKFILL_PRIORITY, Cause, ranges_of
from motion.triggers import TriggerSpec

ROWS_AT_ONCE = 2_000
"""Rows in one part: live writes wait while a part is made tasks, and while the results of one are committed."""

RANGES_AT_ONCE = 500
"""Tasks in one part at most: where the rows lie scattered, each is a task."""

HELD_UP_ALLOWED = 1_000
"""Tasks of a trigger that may wait for another attempt or for work upstream while a backfill goes on."""

COLUMNS = "change, trigger, next, last, total, remaining, condition, parameters, is_forced"
UNFINISHED = "next <= last"


@dataclass(frozen=True, slots=True)
class Backfill:
    """A decision to make a trigger's outputs again.

    Attributes:
        change: the number of the change that it is.
        next: the first row it has not come to.
        last: the last row it is about; below `next` when all its rows are tasks.
        total: the rows to remake as counted when it began, or the most that there can be.
        remaining: how many of these are not yet made tasks.
        condition: SQL on stored values, None for all rows.
        is_forced: outputs of present code are made again too.
    """

    change: int
    trigger: str
    next: int
    last: int
    total: int
    remaining: int
    condition: str | None = None
    parameters: bytes = b"\x90"  # an empty list
    is_forced: bool = False

    @property
    def chosen(self) -> tuple[str, Sequence[Any]] | None:
        """The condition with the values of its parameters."""
        if self.condition is None:
            return None
        return self.condition, msgspec.msgpack.decode(self.parameters)


def packed(parameters: Iterable[Any]) -> bytes:
    """Return a condition's parameters in the form in which they are kept."""
    return msgspec.msgpack.encode([encode_parameter(value) for value in parameters])


def counted(tx: Transaction, layout: Layout, spec: TriggerSpec, asked: Backfill) -> tuple[int, int]:
    """Return how many rows a backfill would take, and the last row there is. Reads the marks of all rows.

    Raises:
        SqlError: its condition is wrong.
    """
    last = _last_row(tx, layout)
    condition, values = _to_remake(tx, layout, spec, asked, 0, last)
    try:
        count = tx.execute(f"SELECT COUNT(*) {condition}", values).fetchone()[0]
    except Exception as exc:
        if asked.condition is None:
            raise
        raise SqlError(asked.condition, str(exc)) from exc
    return int(count), last


def begin(tx: Transaction, asked: Backfill) -> int:
    """Keep a backfill, and return the number of its change."""
    change = next_number(tx)
    _forget_finished(tx)
    tx.execute(
        f"INSERT INTO motion_backfills ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            change, asked.trigger, asked.next, asked.last, asked.total, asked.total, asked.condition,
            asked.parameters, int(asked.is_forced),
        ),
    )  # fmt: skip
    return change


def begin_where_code_changed(
    tx: Transaction, layouts: Layouts, before: Mapping[str, TriggerSpec]
) -> None:
    """Keep a backfill for each trigger with `on_change="backfill"` whose code is not what it was. Its rows are not
    counted: opening a store does not read it whole.

    Args:
        before: trigger -> as the store knew it before this opening.
    """
    for spec in layouts.graph.triggers.values():
        known = before.get(spec.name, spec)
        if spec.on_change == "backfill" and known.fingerprint != spec.fingerprint:
            last = _last_row(tx, layouts[spec.table])
            begin(tx, Backfill(0, spec.name, 0, last, last, last))


def next_wanted(tx: Transaction, triggers: Sequence[str]) -> Backfill | None:
    """Return the oldest backfill of these triggers whose last part has been taken, if there is one. What is held up
    counts as taken, up to a part: where every row fails for a while, or waits, the queue does not become the table."""
    for each in unfinished(tx):
        if (
            each.trigger in triggers
            and not backlog.has_ready_of(tx, each.trigger)
            and backlog.held_up(tx, each.trigger, HELD_UP_ALLOWED) < HELD_UP_ALLOWED
        ):
            return each
    return None


def unfinished(tx: Transaction) -> list[Backfill]:
    """Return the backfills with rows that are not yet made tasks, the oldest first."""
    sql = f"SELECT {COLUMNS} FROM motion_backfills WHERE {UNFINISHED} ORDER BY change"
    return [Backfill(*row) for row in tx.execute(sql)]


@dataclass(frozen=True, slots=True)
class Part:
    """The next rows that a backfill takes, ascending, and the row that it goes on from."""

    rows: Sequence[int]
    next: int


def next_part(tx: Transaction, layout: Layout, spec: TriggerSpec, backfill: Backfill) -> Part:
    """Return the next part of a backfill."""
    condition, values = _to_remake(tx, layout, spec, backfill, backfill.next, backfill.last)
    sql = f"SELECT {layout.row} {condition} ORDER BY {layout.row} LIMIT {ROWS_AT_ONCE}"
    rows = [int(row[0]) for row in tx.execute(sql, values)]
    ranges = ranges_of(rows)
    if len(ranges) > RANGES_AT_ONCE:
        end = ranges[RANGES_AT_ONCE - 1][1]
        return Part([row for row in rows if row <= end], end + 1)
    return Part(rows, rows[-1] + 1 if len(rows) == ROWS_AT_ONCE else backfill.last + 1)


def hand_over(
    tx: Transaction, layout: Layout, spec: TriggerSpec, backfill: Backfill, part: Part
) -> None:
    """Make a part's rows due, with the tasks for them, and move the backfill past it. Another worker may have been
    faster: then nothing is done."""
    found = tx.execute(
        "SELECT next FROM motion_backfills WHERE change = ?", (backfill.change,)
    ).fetchone()
    if found is None or found[0] != backfill.next:
        return
    left = max(backfill.remaining - len(part.rows), 1) if part.next <= backfill.last else 0
    sql = "UPDATE motion_backfills SET next = ?, remaining = ? WHERE change = ?"
    tx.execute(sql, (part.next, left, backfill.change))
    if part.rows:
        number = next_number(tx)
        provenance.make_due(tx, layout, spec, part.rows)
        reach("backfill.marked")
        cause = Cause(number, backfill.change, priority=BACKFILL_PRIORITY)
        enqueue_rows(tx, layout, spec, part.rows, cause)


def remaining(tx: Transaction, change: int | None = None) -> int:
    """Return how many rows are not yet made tasks: of one change's backfill, or of all triggers that exist."""
    chosen = (
        "change = ?"
        if change is not None
        else "trigger IN (SELECT name FROM motion_triggers WHERE is_active)"
    )
    sql = (
        f"SELECT COALESCE(SUM(remaining), 0) FROM motion_backfills WHERE {UNFINISHED} AND {chosen}"
    )
    return int(tx.execute(sql, () if change is None else (change,)).fetchone()[0])


def cancel(tx: Transaction, changes: Sequence[int]) -> list[tuple[str, int, int]]:
    """Drop the work of changes that has not begun. Of a backfill only its own: what follows from the rows that it has
    remade goes on, so that they fit together. Return the trigger and the rows of each dropped task."""
    dropped: list[tuple[str, int, int]] = []
    for change in changes:
        sql = "DELETE FROM motion_backfills WHERE change = ? RETURNING trigger"
        found = tx.execute(sql, (change,)).fetchone()
        dropped += queue.cancel(tx, [change], trigger=found and found[0])
    return dropped


def _forget_finished(tx: Transaction) -> None:
    tx.execute(
        f"DELETE FROM motion_backfills WHERE NOT ({UNFINISHED}) "
        "AND NOT EXISTS (SELECT 1 FROM motion_tasks t WHERE t.change = motion_backfills.change)"
    )


def _last_row(tx: Transaction, layout: Layout) -> int:
    found = tx.execute(f"SELECT MAX({layout.row_column}) FROM {layout.base}").fetchone()[0]
    return int(found or 0)


def _to_remake(
    tx: Transaction, layout: Layout, spec: TriggerSpec, asked: Backfill, low: int, high: int
) -> tuple[str, Sequence[Any]]:
    """Return the rest of a query over the rows `r` that a backfill takes, and its parameters."""
    source = provenance.to_remake(tx, layout, spec, everything=asked.is_forced)
    sql = f"{source} AND {layout.row} BETWEEN {low} AND {high}"
    if asked.chosen is None:
        return sql, ()
    condition, values = asked.chosen
    stored = f'SELECT 1 FROM {layout.stored()} s WHERE s.":row" = {layout.row} AND ({condition})'
    return f"{sql} AND EXISTS ({stored})", values
