"""Labelling: labels are whole. One is made at the end of the transaction that sets its key, or of the one that ends the
pending work on its row, whichever comes later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from motion.backends.base import Transaction
from motion.definitions.fits import FitSpec
from motion.definitions.tasks import Task, ranges_of
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import INT64_MAX
from motion.persistence.layout import Layout, quoted
from motion.persistence.layouts import Layouts
from motion.persistence.numbers import last_number
from motion.persistence.ranges import parts_of
from motion.persistence.rows import provenance
from motion.persistence.states import labels, versions
from motion.persistence.stored_graph import fits_away
from motion.persistence.tasks.queue import LIVE_SQL, overlapping

Labelled = tuple[tuple[Layouts, FitSpec, tuple[int, ...], int], ...]


def note_labels(
    tx: Transaction, layouts: Layouts, fit: FitSpec, rows: Sequence[int], number: int
) -> None:
    """Let rows whose fit key was set be labels, when all of this transaction is written: what it leaves to do counts."""
    noted: Labelled = tx.memo.get("labelled", ())
    if not noted:
        tx.before_commit.append(lambda: _make_noted(tx))
    tx.memo["labelled"] = (*noted, (layouts, fit, tuple(rows), number))


def note_missed(tx: Transaction, table: str, changed: Mapping[str, list[int]]) -> None:
    """Note for fits that are away which rows were labelled, otherwise than before perhaps, or no more: what a fit is given
    when it is back are their labels as they are then."""
    for fit in fits_away(tx):
        for key in fit.on if fit.table == table else ():
            if changed.get(key):
                labels.take_back_labels(tx, fit, changed[key])
                labels.let_wait(tx, fit.name, changed[key], labels.WAS_AWAY)


def _make_noted(tx: Transaction) -> None:
    noted: Labelled = tx.memo.pop("labelled", ())
    for layouts, fit, rows, number in noted:
        waiting = pending_among(tx, layouts, layouts[fit.table], rows)
        labels.take_back_labels(tx, fit, sorted(waiting))
        labels.let_wait(tx, fit.name, waiting)
        _make(tx, layouts, fit, [row for row in rows if row not in waiting], number)


def _make(
    tx: Transaction, layouts: Layouts, fit: FitSpec, rows: Sequence[int], number: int
) -> None:
    labels.make_labels(tx, layouts[fit.table], fit, rows)
    labels.wait_no_more(tx, fit.name, rows)
    labels.request_if_due(tx, fit, number)


def settle(
    tx: Transaction, layouts: Layouts, spec: TriggerSpec, tasks: Iterable[Task], number: int
) -> None:
    """Make the labels that waited for tasks of a trigger, which have ended, and for nothing else."""
    table = spec.fold.target if spec.fold is not None else spec.table
    fits = layouts.graph.fits_of.get(table, ())
    if not fits or not labels.is_any_waiting(tx):
        return
    rows = [row for task in tasks for row in range(task.low, task.high + 1)]
    touched = _touched(tx, layouts, spec, rows)
    for fit in fits:
        _settle(tx, layouts, fit, labels.waiting_among(tx, fit.name, touched), number)


def settle_all(tx: Transaction, layouts: Layouts) -> None:
    """Make all labels that wait for nothing any more, however that has come: tasks were dropped, or triggers are gone."""
    if labels.is_any_waiting(tx):
        for fit in layouts.graph.fits.values():
            row = -INT64_MAX - 1
            while found := labels.waiting_after(tx, fit.name, row):
                _settle(tx, layouts, fit, found, last_number(tx))
                row = max(found)


def _settle(
    tx: Transaction, layouts: Layouts, fit: FitSpec, found: Mapping[int, int], number: int
) -> None:
    """Make the labels that wait for nothing any more.

    Args:
        found: those that wait, each with why it does.
    """
    if not found:
        return
    layout = layouts[fit.table]
    waiting = pending_among(tx, layouts, layout, list(found))
    former = [row for row, was_there in found.items() if was_there and row not in waiting]
    waiting |= unmade_among(tx, layout, former)
    ready = [row for row in found if row not in waiting]
    former = [row for row in ready if found[row] == labels.WAS_THERE]
    labels.make_labels(tx, layout, fit, former, is_counted=False)
    labels.wait_no_more(tx, fit.name, former)
    _make(tx, layouts, fit, [row for row in ready if found[row] != labels.WAS_THERE], number)


def begin_fits(tx: Transaction, layouts: Layouts, known: Iterable[str]) -> None:
    """Let fits that are new to the store have the rows whose keys are set already as labels, which do not count for
    `every=`; those that lack what a trigger has never made wait for it."""
    for fit in layouts.graph.fits.values():
        if fit.name in known:
            continue
        layout = layouts[fit.table]
        is_set = " AND ".join(f"{layout.value(key)} IS NOT NULL" for key in fit.on)
        sql = f"SELECT {layout.row} FROM {layout.joined(fit.on)} WHERE {is_set} ORDER BY 1"
        rows = [int(row[0]) for row in tx.execute(sql)]
        waiting = pending_among(tx, layouts, layout, rows) | unmade_among(tx, layout, rows)
        ready = [row for row in rows if row not in waiting]
        labels.make_labels(tx, layout, fit, ready, is_counted=False)
        labels.let_wait(tx, fit.name, waiting, labels.WAS_THERE)
        labels.see_all(tx, fit.name)


# -- the pending work of rows --


def pending_among(
    tx: Transaction, layouts: Layouts, layout: Layout, rows: Sequence[int]
) -> set[int]:
    """Return those of rows for which triggers have work pending: on themselves, on rows that they inherit values from,
    and on entities of folds whose values they keep."""
    graph, table = layouts.graph, layout.table.name
    busy = _busy(tx, [spec.name for spec in graph.of_table(table)])
    found = _with_work(tx, busy, _sources(tx, layout, rows)) if busy else set()
    for spec in graph.folded_into.get(table, ()):
        if _busy(tx, [spec.name]):
            entities = _entities(tx, layout, layouts[spec.table], spec, rows)
            found |= _with_work(tx, [spec.name], entities)
    return found


def _busy(tx: Transaction, triggers: Iterable[str]) -> list[str]:
    sql = f"SELECT 1 FROM motion_tasks WHERE status IN {LIVE_SQL} AND trigger = ? AND version IS NULL LIMIT 1"
    return [name for name in triggers if tx.execute(sql, (name,)).fetchone()]


def _with_work(
    tx: Transaction, triggers: Sequence[str], behind: Mapping[int, Sequence[int]]
) -> set[int]:
    """Return the rows for which triggers have work pending on what is behind them.

    Args:
        behind: a row that tasks are about -> the rows that wait for these.
    """
    found: set[int] = set()
    live = overlapping("low, high", len(triggers), f"+status IN {LIVE_SQL} AND version IS NULL")
    for low, high in ranges_of(behind):
        for first, last in tx.execute(live, (low, high, *triggers)).fetchall():
            for each in range(max(low, first), min(high, last) + 1):
                found.update(behind[each])
    return found


def _sources(tx: Transaction, layout: Layout, rows: Sequence[int]) -> Mapping[int, Sequence[int]]:
    """Return the rows that rows have values of, themselves and those that they inherit from, each with these rows."""
    pages = layout.table.page_keys
    if not pages:
        return {row: (row,) for row in rows}
    above = " AND ".join(f"x.{quoted(page)} IN (r.{quoted(page)}, 0)" for page in pages)
    joined = f"{layout.base} r JOIN {layout.base} x ON x.id = r.id AND {above}"
    return _pairs(tx, f"x.{layout.row_column}", layout.row, joined, layout.row, rows)


def _entities(
    tx: Transaction, layout: Layout, entities: Layout, spec: TriggerSpec, rows: Sequence[int]
) -> Mapping[int, Sequence[int]]:
    joined = f"{layout.base} r JOIN {entities.base} e ON e.id = r.{quoted(_named_by(spec))}"
    return _pairs(tx, f"e.{entities.row_column}", layout.row, joined, layout.row, rows)


def _named_by(spec: TriggerSpec) -> str:
    """Return the key of the rows that keep a fold's values that says whose they are."""
    return spec.fold.by if spec.fold is not None and spec.fold.is_of_rows else "id"


def _pairs(
    tx: Transaction, one: str, other: str, joined: str, row: str, rows: Sequence[int]
) -> Mapping[int, Sequence[int]]:
    found: dict[int, list[int]] = {}
    for part in parts_of(rows):
        sql = f"SELECT {one}, {other} FROM {joined} WHERE {part.condition(row)}"
        for first, second in tx.execute(sql, part.numbers):
            found.setdefault(int(first), []).append(int(second))
    return found


def _touched(
    tx: Transaction, layouts: Layouts, spec: TriggerSpec, rows: Sequence[int]
) -> list[int]:
    """Return the rows whose labels may have waited for a trigger's tasks on rows."""
    layout = layouts[spec.fold.target if spec.fold is not None else spec.table]
    if spec.fold is not None:
        entities, by = layouts[spec.table], quoted(_named_by(spec))
        waiting = f"motion_labels_due d CROSS JOIN {layout.base} r ON {layout.row} = d.row"
        joined = f"{waiting} CROSS JOIN {entities.base} e ON e.id = r.{by}"
        named = f"e.{entities.row_column}"
        return sorted(_pairs(tx, layout.row, named, joined, named, rows))
    if not layout.table.page_keys:
        return list(rows)
    joined = f"{layout.base} r JOIN {layout.base} x ON x.id = r.id"
    return sorted(_pairs(tx, f"x.{layout.row_column}", layout.row, joined, layout.row, rows))


def unmade_among(tx: Transaction, layout: Layout, rows: Sequence[int]) -> set[int]:
    """Return those of rows that lack a value which a trigger could make, and has not made yet. What waits for the first fit
    of a component cannot be waited for by the labels of that fit."""
    found: set[int] = set()
    begun_by_fits = {fit.component for fit in layout.graph.fits.values() if not fit.has_setup}
    for spec in layout.graph.of_table(layout.table.name) if rows else ():
        stateless = [each for each in spec.components if each in begun_by_fits]
        can_run = all(versions.live_version(tx, each) is not None for each in stateless)
        if spec.is_columnar and not spec.event and can_run:
            source = provenance.to_remake(tx, layout, spec, everything=False)
            unset = " OR ".join(f"{layout.value(key)} IS NULL" for key in spec.sets)
            never = f"{layout.mark(spec)} = 0 AND ({unset})"
            for part in parts_of(rows):
                sql = f"SELECT {layout.row} {source} AND {never} AND {part.condition(layout.row)}"
                found.update(int(row[0]) for row in tx.execute(sql, part.numbers))
    return found
