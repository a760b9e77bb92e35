"""Deleting: all rows that go with some, found first; then what they held last is handed over, and they go together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from motion.backends.base import Transaction
from motion.definitions.graph import Graph
from motion.definitions.tasks import Cause, ranges_of
from motion.definitions.triggers.specs import TriggerSpec
from motion.errors import SchemaError
from motion.persistence.changes import following, reads
from motion.persistence.changes import gone as gone_rows
from motion.persistence.changes import referring as refs
from motion.persistence.changes.cascade import (
    Kept,
    candidates,
    enqueue_rows,
    fire,
    follow,
    hold,
    keep,
    tell_readers,
)
from motion.persistence.changes.erasing import Erasing
from motion.persistence.changes.leaving import leave_pages
from motion.persistence.inputs import folds
from motion.persistence.layout import Layout, slot_of
from motion.persistence.layouts import Layouts
from motion.persistence.rows import used
from motion.persistence.rows.made import unmake
from motion.persistence.rows.writing import delete_outputs, delete_rows
from motion.persistence.rows.written import Written
from motion.persistence.states import labels
from motion.persistence.stored_graph import former_fits, former_folds, former_triggers
from motion.persistence.tasks import events, growing_texts, memos, once, queue
from motion.persistence.tasks.discards import drop_beyond
from motion.persistence.vector_log import log_vectors


def delete(
    tx: Transaction,
    layouts: Layouts,
    written: Written,
    cause: Cause,
    erasing: Erasing | None = None,
) -> None:
    """Delete rows with those that name them so, and what triggers made from them, and what was made from that.

    Args:
        erasing: takes out what tells of them elsewhere, too.
    """
    if not written.rows and erasing is None:
        return
    named = [] if erasing is None else refs.naming(tx, layouts, *erasing.asked)
    going = _going(tx, layouts, [*named, (written.layout, written.rows)], cause.number)
    if erasing is not None:
        erasing.take(tx, layouts, going.each(layouts), going.left)
    for layout, rows in going.each(layouts):
        _hand_over(tx, layouts, layout, rows, cause)
    for layout, rows in going.each(layouts):
        leave_pages(tx, layouts, layout, rows, cause)
    kept: Kept = {}
    for layout, rows in going.each(layouts):
        for spec, lookup in layouts.graph.followers_of(layout.table.name):
            gone = going.rows.get(spec.table, ())
            follow(tx, layouts, layout, spec, lookup, rows, cause, kept, gone=gone)
        if layouts.graph.following:
            part = following.Part(rows, None)
            tell_readers(tx, layouts, layout, [part], cause, is_erased=erasing is not None)
        for spec in layouts.graph.folded_into.get(layout.table.name, ()):
            folds.end_entities(tx, layout, layouts[spec.table], spec, rows, cause.number)
        if erasing is not None:  # what is under way is made void, too
            reads.forget_read(tx, layout, rows)
            gone_rows.forget(tx)
        else:
            gone_rows.note(tx, layouts.graph, layout, rows, cause.number)
    for layout, rows in going.each(layouts):
        _forget(tx, layouts.graph, layout, rows)
        delete_rows(tx, layout, rows)
    for left in going.left:
        fire(tx, layouts, left, cause)
    for layout, rows in going.each(layouts):
        hold(tx, layouts, Written(layout), cause, kept)
        for key in layout.array_keys:
            slots = _slots_of(tx, layout, key.name, rows)
            log_vectors(tx, f"{layout.table.name}.{key.name}", slots)
    keep(tx, layouts, kept, cause)


@dataclass
class _Going:
    """What goes.

    Attributes:
        rows: table -> its rows, in the order in which they were found.
        remade: what others make of rows that were made from these, too.
    """

    rows: dict[str, dict[int, None]] = field(default_factory=dict)
    remade: list[Written] = field(default_factory=list)

    def add(self, table: str, rows: Sequence[int]) -> list[int]:
        """Take in rows; return those that were not in it."""
        known = self.rows.setdefault(table, {})
        fresh = [row for row in rows if row not in known]
        known |= dict.fromkeys(fresh)
        return fresh

    def each(self, layouts: Layouts) -> list[tuple[Layout, list[int]]]:
        return [(layouts[table], list(rows)) for table, rows in self.rows.items() if rows]

    @property
    def left(self) -> list[Written]:
        """What was written in rows that stay, as one of those that made them goes."""
        return [self.left_of(written) for written in self.remade]

    def left_of(self, written: Written) -> Written:
        """Return what was written in rows that stay."""
        gone = self.rows.get(written.layout.table.name, {})
        left = Written(written.layout)
        for key, rows in written.changed.items():
            left.note(key, [row for row in rows if row not in gone], arrived=False)
        for key, rows in written.arrived.items():
            left.arrived[key] = [row for row in rows if row not in gone]
        return left


def _going(
    tx: Transaction, layouts: Layouts, waiting: list[tuple[Layout, Sequence[int]]], number: int
) -> _Going:
    """Find all rows that go with some: in circles, and chains of any length."""
    going, graph = _Going(), layouts.graph
    making: dict[str, list[int]] = {}
    while waiting or making:
        if waiting:
            layout, rows = waiting.pop()
            fresh = going.add(layout.table.name, rows)
            if fresh:
                making.setdefault(layout.table.name, []).extend(fresh)
                waiting += refs.referring(tx, layouts, layout, fresh)
            continue
        # All that name others by now: so what several of them make is not made anew before it goes.
        table, sources = making.popitem()
        for spec in (*graph.of_table(table), *_former_makers(tx, layouts, table)):
            for place in _places(graph, spec):
                made_in = _made_in(layouts, spec, place)
                remade = unmake(tx, made_in, spec.name, sources, number)
                going.remade.append(remade.written)
                waiting.append((made_in, remade.gone))
    return going


def _places(graph: Graph, spec: TriggerSpec) -> list[str]:
    """Return the tables where a trigger makes rows, or its former code did."""
    now = [spec.makes_rows_in] if spec.makes_rows_in else []
    return [*now, *(each for each in graph.made_before.get(spec.name, ()) if each in graph.tables)]


def _former_makers(tx: Transaction, layouts: Layouts, table: str) -> list[TriggerSpec]:
    """Return the triggers on a table that are not there any more, and have made rows of tables that are known here."""
    known = {each.name for each in layouts.graph.tables if not each.is_noted}
    return [spec for spec in former_triggers(tx, table) if (spec.sets_table or table) in known]


def unmake_former(
    tx: Transaction, layouts: Layouts, spec: TriggerSpec, rows: Sequence[int], cause: Cause
) -> None:
    """Let rows on which a trigger has run again make nothing any more where its former code made rows."""
    for place in layouts.graph.made_before.get(spec.name, ()):
        layout = _made_in(layouts, spec, place)
        remade = unmake(tx, layout, spec.name, rows, cause.number)
        delete(tx, layouts, Written(layout, remade.gone), cause)
        fire(tx, layouts, remade.written, cause)


def _made_in(layouts: Layouts, spec: TriggerSpec, target: str) -> Layout:
    if target not in layouts.graph.tables or layouts[target].table.is_noted:
        raise SchemaError(
            f"deleting a row of {spec.table!r} also deletes the rows of {target!r} that trigger {spec.name!r} made "
            f"from it, but this process was opened without that table: pass its schema in schemas=."
        )
    return layouts[target]


def _hand_over(
    tx: Transaction, layouts: Layouts, layout: Layout, rows: Sequence[int], cause: Cause
) -> None:
    """Let triggers on deletions have what the rows held last: nothing has gone yet."""
    for spec in layouts.graph.mourners.get(layout.table.name, ()):
        event_layout = layouts[spec.table]
        copies = events.copy_rows(tx, layout, event_layout, rows, cause.number)
        enqueue_rows(tx, event_layout, spec, copies, cause)
        drop_beyond(tx, layouts.graph, spec, len(copies))


def _forget(tx: Transaction, graph: Graph, layout: Layout, rows: Sequence[int]) -> None:
    """Forget what is known of deleted rows by their numbers, also for triggers and fits that are not there any more: they
    may come back, and a row be made under the same id."""
    table = layout.table.name
    former = former_triggers(tx, table)
    # The end of work on the row that a page inherits from would not find what has waited for it on a page that is gone.
    queue.wake_on(tx, [spec.name for spec in graph.of_table(table)], ranges_of(rows))
    for spec in former:
        if spec.is_versioned:
            delete_outputs(tx, spec, rows)
    for spec in (*graph.of_table(table), *former):
        queue.forget_dead(tx, spec.name, rows)
        memos.forget(tx, spec.name, rows)
        used.forget(tx, spec.name, rows)
        reads.forget(tx, spec, rows)
        once.forget(tx, layout, spec, rows)
        for version in candidates(tx, spec.component or "") if spec.is_versioned else ():
            queue.forget_dead(tx, spec.name, rows, version)
        if spec.grows_text:
            growing_texts.forget(tx, spec.name, rows)
    for spec in (*graph.folded.get(table, ()), *former_folds(tx, table)):
        folds.try_again(tx, spec, rows)  # what was given up is gone
    labels.forget_rows(tx, table, (*graph.fits.values(), *former_fits(tx)), rows)


def _slots_of(tx: Transaction, layout: Layout, key: str, rows: Sequence[int]) -> Sequence[int]:
    """Return the slots at which rows' vectors are: one for each state version where they are kept by version."""
    spec = layout.versioned.get(key)
    if spec is None:
        return rows
    sql = "SELECT number FROM motion_states WHERE component = ?"
    versions = {1, *(int(found[0]) for found in tx.execute(sql, (spec.component,)))}
    return [slot_of(version, row) for version in versions for row in rows]
