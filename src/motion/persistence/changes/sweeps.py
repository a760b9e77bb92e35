"""Sweeps: rows that a change elsewhere makes due, where they are too many for the write that changes it.

A sweep is a backfill of its own kind (`persistence.backfills` hands it over part by part). A newer change of what the same
rows look up joins the one that is under way: it takes its place, and goes round once more behind it, so that there is
one at a time however often that changes, and no row is older than two rounds. The changes that were joined wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from motion.backends.base import Transaction
from motion.definitions.tasks import Cause
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.persistence.layout import Layout
from motion.persistence.numbers import last_number, next_number

JOINED_AT_MOST = 100
"""Changes that wait for one sweep; of more, those that came first are not waited for any more."""


def begin(
    tx: Transaction,
    layout: Layout,
    spec: TriggerSpec,
    by: str,
    value: Stored,
    cause: Cause,
) -> None:
    """Keep that the rows that look up by a key are due, where they are older than a change.

    Args:
        value: of the key; None: all rows.
        cause: of the change that the rows are to be newer than.
    """
    begin_by(tx, layout, spec, [by] if value is None else [by, value], cause)


BY_LISTS = ":lists"
"""Says of a sweep that it is over the rows in whose lists an id is."""


def begin_listing(
    tx: Transaction, layout: Layout, spec: TriggerSpec, by: str, value: Stored, cause: Cause
) -> None:
    """Keep that the rows in whose lists an id is are due, where they are older than a change."""
    begin_by(tx, layout, spec, [BY_LISTS, by, str(value)], cause)


def begin_by(
    tx: Transaction, layout: Layout, spec: TriggerSpec, chosen: Sequence[Any], cause: Cause
) -> None:
    """Keep that rows are due, where they are older than a change.

    Args:
        chosen: says which rows.
    """
    change, number = cause.change, cause.number
    # Rows may have been made since, of what was there before this write.
    if last_number(tx) > number:
        number = next_number(tx)
    last = tx.execute(f"SELECT MAX({layout.row_column}) FROM {layout.base}").fetchone()[0] or 0
    parameters = msgspec.msgpack.encode(chosen)
    named: tuple[Any, ...] = (spec.name, parameters)
    like = "trigger = ? AND parameters = ?"
    sql = f"SELECT next, number FROM motion_backfills WHERE kind = 'sweep' AND {like}"
    under_way = tx.execute(sql, named).fetchone()
    first = 0
    if under_way is not None:
        first = under_way[0]
        number = max(number, under_way[1])  # a switch tells late, of what it did before
        sql = f"UPDATE motion_backfills SET kind = 'joined' WHERE kind = 'sweep' AND {like}"
        tx.execute(sql, named)
        sql = (
            f"DELETE FROM motion_backfills WHERE kind = 'joined' AND {like} AND change <= (SELECT change "
            f"FROM motion_backfills WHERE kind = 'joined' AND {like} ORDER BY change DESC LIMIT 1 OFFSET ?)"
        )
        tx.execute(sql, (*named, *named, JOINED_AT_MOST))
    tx.execute(f"DELETE FROM motion_backfills WHERE change = ? AND {like}", (change, *named))
    tx.execute(
        "INSERT INTO motion_backfills (change, trigger, next, last, total, remaining, parameters, is_forced, kind, "
        "number, again, path) VALUES (?, ?, ?, ?, ?, ?, ?, 0, 'sweep', ?, ?, ?)",
        (
            change, spec.name, first, last, last, max(last - first, 1), parameters, number,
            int(under_way is not None), cause.path,
        ),
    )  # fmt: skip


def is_ahead(tx: Transaction, spec: TriggerSpec, by: str, value: Stored, number: int) -> bool:
    """Whether a sweep is to come to the rows that look up by a value of a key, for a newer change than one."""
    sql = "SELECT 1 FROM motion_backfills WHERE kind = 'sweep' AND trigger = ? AND parameters IN (?, ?) AND number > ?"
    chosen = [msgspec.msgpack.encode(each) for each in ([by], [by, value])]
    return tx.execute(sql, (spec.name, *chosen, number)).fetchone() is not None


def end_round(
    tx: Transaction, layout: Layout, change: int, trigger: str, parameters: bytes
) -> None:
    """Take in that a sweep has come to the last row: it goes round again if another has joined it, or is over."""
    this, like = "change = ? AND trigger = ? AND parameters = ?", "trigger = ? AND parameters = ?"
    named, alike = (change, trigger, parameters), (trigger, parameters)
    again = tx.execute(f"SELECT again FROM motion_backfills WHERE {this}", named).fetchone()[0]
    if again:
        last = tx.execute(f"SELECT MAX({layout.row_column}) FROM {layout.base}").fetchone()[0] or 0
        sql = (
            f"UPDATE motion_backfills SET next = 0, last = ?, remaining = ?, again = 0 WHERE {this}"
        )
        tx.execute(sql, (last, max(last, 1), *named))
        return
    tx.execute(  # those that were joined wait for the last tasks, too
        "INSERT INTO motion_task_changes (task, change) SELECT t.task, b.change "
        "FROM motion_tasks t CROSS JOIN motion_backfills b "
        "WHERE t.change = ? AND t.trigger = ? AND b.kind = 'joined' AND b.trigger = ? AND b.parameters = ? "
        "ON CONFLICT (change, task) DO NOTHING",
        (change, trigger, *alike),
    )
    sql = f"DELETE FROM motion_backfills WHERE {like} AND kind IN ('sweep', 'joined')"
    tx.execute(sql, alike)
