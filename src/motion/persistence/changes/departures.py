"""Departures: what stood behind the dead letters of a trigger that a store does not have any more. Nothing is going to make
that good, so it goes on with what is there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from motion.backends.base import Transaction
from motion.definitions.graph import Graph
from motion.definitions.tasks import BACKFILL_PRIORITY, Cause
from motion.definitions.triggers.specs import TriggerSpec
from motion.persistence.changes.cascade import run_where_due
from motion.persistence.layouts import Layouts
from motion.persistence.numbers import next_number
from motion.persistence.tasks import queue
from motion.persistence.tasks.discards import note_dropped

RUN_AT_MOST = 10_000
"""Rows that are made tasks as a store is opened; what stood behind further ones is told as stale, for a backfill."""


def go_on_without(
    tx: Transaction, layouts: Layouts, gone: Iterable[TriggerSpec], active: Collection[str]
) -> None:
    """Let what stood behind dead letters of triggers that leave go on.

    Args:
        active: the triggers that were in force until now: another one stood behind nothing.
    """
    for spec in gone:
        if queue.has_dead(tx, [spec.name]):
            rows = queue.some_dead_rows(tx, spec.name, RUN_AT_MOST)
            run_behind(tx, layouts, spec, rows, active)


def run_behind(
    tx: Transaction,
    layouts: Layouts,
    gone: TriggerSpec,
    rows: Sequence[int],
    active: Collection[str] | None = None,
) -> None:
    """Make tasks of what is due on rows of dead letters of a trigger that is gone. Where another one makes its keys by now,
    and where they may still have to be moved, it is only told as stale: a run would take what is about to be made anew."""
    runs, waits = _behind(layouts.graph, gone)
    cause: Cause | None = None
    for name in layouts.graph.order:
        if name not in runs | waits or (active is not None and name not in active):
            continue
        note_dropped(tx, name)
        if name in runs - waits and not gone.is_versioned:
            number = cause.number if cause else next_number(tx)
            cause = cause or Cause(number, number, priority=BACKFILL_PRIORITY)
            spec = layouts.graph.triggers[name]
            under_way = queue.live_rows(tx, name, min(rows), max(rows)) if rows else ()
            left = [row for row in rows if row not in under_way]
            run_where_due(tx, layouts[spec.table], spec, left, cause)


def _behind(graph: Graph, gone: TriggerSpec) -> tuple[set[str], set[str]]:
    """Return the triggers that what a trigger has set flows into, by keys that nothing sets any more, and by others."""
    runs, waits = set[str](), set[str]()
    if gone.fold is not None or gone.sets_table:
        return runs, waits
    for spec in graph.triggers.values():
        for key in graph.needed(spec) if spec.table == gone.table else ():
            if key in gone.sets:
                found = waits if (spec.table, key) in graph.producers else runs
                found.update([spec.name, *graph.downstream(spec.name)])
    return runs, waits
