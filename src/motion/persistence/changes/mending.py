"""Mending: values of rows that stay, which were made of forgotten ones and do not follow by themselves. Their triggers run
again where they take a key that they do not run on; and what nothing has made again, once all is done, is unset."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from motion.backends.base import Transaction
from motion.definitions.tasks import Cause
from motion.definitions.triggers.folds import Fold
from motion.definitions.triggers.specs import TriggerSpec
from motion.persistence.changes.cascade import enqueue_rows, fire
from motion.persistence.changes.echoes import told_of
from motion.persistence.changes.erasing import told_by
from motion.persistence.changes.results import Source, replace_pages, replace_rows, set_mark
from motion.persistence.inputs import outside
from motion.persistence.inputs.applied import bring_up
from motion.persistence.layout import ORIGIN_MASK, Layout, quoted
from motion.persistence.layouts import Layouts
from motion.persistence.numbers import next_number
from motion.persistence.ranges import parts_of
from motion.persistence.rows.derived import Derived, write_values
from motion.persistence.rows.handovers import mark_or_former
from motion.persistence.rows.provenance import made_by_other_code, make_due

Spans = Iterable[tuple[int, int]]


def run_again(tx: Transaction, layouts: Layouts, change: int) -> bool:
    """Have triggers run again which a forgetting has left behind; return whether there are any. By now what they take is
    what it is to be."""
    behind = told_by(tx, change).behind
    cause = Cause(next_number(tx), change)
    for name, spans in behind.items():
        spec = layouts.graph.triggers.get(name)
        if spec is not None:
            layout, rows = layouts[spec.table], _rows(spans)
            # What a fold has kept it goes on from, or it has done so by now.
            anew = made_by_other_code(tx, layout, spec, rows) if spec.fold is not None else rows
            make_due(tx, layout, spec, anew)
            enqueue_rows(tx, layout, spec, rows, cause)
    return bool(behind)


def fold_again(tx: Transaction, layouts: Layouts, change: int) -> bool:
    """Have folds that apply each row once go over all rows of the entities whose value is not that of their rows: of what is
    in such a value nothing is known, and it may be of forgotten rows, as these were, or of what derives from them. Return
    whether there were any."""
    told, found = told_by(tx, change), False
    cause = Cause(next_number(tx), change)
    for spec in told_of(layouts.graph.triggers.values(), told.tables, told.shared):
        if (
            spec.fold is not None
            and not spec.fold.replay
            and spec.fold.source in layouts.graph.tables
        ):
            entities = layouts[spec.table]
            due = bring_up(tx, entities, spec, cause.number)
            enqueue_rows(tx, entities, spec, due, cause)
            found |= bool(due)
    return found


def unset_unmade(tx: Transaction, layouts: Layouts, change: int) -> bool:
    """Unset what triggers had made of forgotten rows and are still to make again, as they have given up on it, or have not
    what they need. Return whether there was any: more may be due because of that."""
    found = False
    for name, spans in told_by(tx, change).made.items():
        spec = layouts.graph.triggers.get(name)
        if spec is not None and spec.fold is not None:
            cause = Cause(next_number(tx), change)
            found |= _unset_unfolded(tx, layouts, spec, spec.fold, _rows(spans), cause)
        elif spec is not None and (spec.sets_table or spec.table) in layouts.graph.tables:
            take_out = _unset if spec.is_columnar else _unmake
            cause = Cause(next_number(tx), change)
            found |= take_out(tx, layouts, layouts[spec.table], spec, _rows(spans), cause)
    return found


def _rows(spans: Spans) -> list[int]:
    return [row for low, high in spans for row in range(low, high + 1)]


def _unset_unfolded(
    tx: Transaction,
    layouts: Layouts,
    spec: TriggerSpec,
    fold: Fold,
    rows: Sequence[int],
    cause: Cause,
) -> bool:
    """Unset the values of rows that keep their own of a fold, and that it has given up, or does not fold any more."""
    if fold.source not in layouts.graph.tables:
        return False
    source = layouts[fold.source]
    written = outside.unset_left_out(tx, source, spec, rows, cause.number)
    written.add(outside.unset_held(tx, source, spec, rows, cause.number))
    fire(tx, layouts, written, cause, except_for=[spec.name])
    return bool(written.changed)


def _unset(
    tx: Transaction,
    layouts: Layouts,
    layout: Layout,
    spec: TriggerSpec,
    rows: Sequence[int],
    cause: Cause,
) -> bool:
    columns = [f"r.{quoted(key)}" for key in spec.sets]
    is_set = " OR ".join(f"{column} IS NOT NULL" for column in columns)
    found = _unmade(tx, layout, spec, rows, [layout.mark(spec), *columns], is_set)
    if not found:
        return False
    numbers, marks, *old = ([row[i] for row in found] for i in range(len(found[0])))
    nothing = [[None] * len(found) for _ in spec.sets]
    derived = Derived(spec, nothing, list(old), marks)
    written = write_values(tx, layout, numbers, [derived], cause.number)
    fire(tx, layouts, written, cause, except_for=[spec.name])
    return True


def _unmake(
    tx: Transaction,
    layouts: Layouts,
    layout: Layout,
    spec: TriggerSpec,
    rows: Sequence[int],
    cause: Cause,
) -> bool:
    """Let rows have no pages, or rows of another table, that a trigger made of them: as a run does that gives none."""
    as_of = ", ".join(layout.changed(key) for key in (*spec.on, *spec.looked_up_by))
    names = [f"r.{quoted(key)}" for key in layout.table.primary_key]
    found = _unmade(tx, layout, spec, rows, [f"MAX(0, {as_of})", *names])
    for row, number, *name in found:
        source = Source(row, name, number)
        replaced = replace_pages if spec.page else replace_rows
        fire(tx, layouts, replaced(tx, layouts, spec, source, [], cause), cause)
        set_mark(tx, layout, spec, row, 0)  # it has made nothing by now, and is to
    return bool(found)


def _unmade(
    tx: Transaction,
    layout: Layout,
    spec: TriggerSpec,
    rows: Sequence[int],
    columns: Sequence[str],
    further: str = "1 = 1",
) -> list[Sequence[Any]]:
    """Return those of rows of which a trigger has made something and is to make it again, each with columns."""
    is_made = f"{mark_or_former(tx, layout, spec)} & {ORIGIN_MASK} <> 0"
    unmade = f"{layout.is_row_of(spec)} AND {layout.is_due(spec)} AND {is_made} AND ({further})"
    source = layout.joined((*spec.on, *spec.looked_up_by), [spec])
    found: list[Sequence[Any]] = []
    for part in parts_of(rows):
        sql = (
            f"SELECT {', '.join([layout.row, *columns])} FROM {source} "
            f"WHERE {part.condition(layout.row)} AND {unmade}"
        )
        found += tx.execute(sql, part.numbers).fetchall()
    return found
