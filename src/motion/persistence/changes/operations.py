"""Writes from outside a trigger's result: `set`, `set_many`, `delete`, alone, in a transaction or inside a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from motion.backends.base import Transaction
from motion.definitions.graph import Graph
from motion.definitions.tables.schema import Table
from motion.definitions.tasks import Cause
from motion.definitions.values.codecs import Stored
from motion.errors import RowChanged
from motion.faults import reach
from motion.persistence.changes.building import tell_beside
from motion.persistence.changes.cascade import fire
from motion.persistence.changes.deleting import delete
from motion.persistence.inputs.taken import still_true
from motion.persistence.layout import Layout
from motion.persistence.layouts import Layouts
from motion.persistence.numbers import next_number
from motion.persistence.rows.ids import filled_ids
from motion.persistence.rows.kept_rows import KeptRows
from motion.persistence.rows.matching import Matched, by_id, matched, names_of
from motion.persistence.rows.reading import row_numbers, shown_values
from motion.persistence.rows.writing import write_rows
from motion.persistence.rows.written import Columns, Inlined, Written
from motion.persistence.states.seen import note_seen


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

    def with_results(self, inlined: Sequence[Inlined]) -> SetOperation:
        """Return it with what triggers gave that ran in memory before the write."""
        return SetOperation(
            self.table, self.columns, self.count, self.is_forced, inlined, self.expected
        )


@dataclass(frozen=True)
class DeleteOperation:
    """Rows, each with all its pages."""

    table: str
    ids: Sequence[Stored]


@dataclass(frozen=True)
class PruneOperation:
    """Rows by their numbers, as they are in the transaction that deletes them; other pages of their ids stay."""

    table: str
    rows: Sequence[int]


@dataclass(frozen=True)
class MatchOperation:
    """Rows that are named by another key than the id, and the removal of those that were not given: which rows these are
    is seen when the write is made.

    Attributes:
        parts: columns, and how many rows they have.
        by: the key that names a row; None: the id.
        prune: among the given values of this key, rows that were not given go; None: none do.
    """

    table: str
    parts: Sequence[tuple[Columns, int]]
    by: str | None = None
    prune: str | None = None


Operation = SetOperation | DeleteOperation | PruneOperation | MatchOperation

Plain = SetOperation | DeleteOperation | PruneOperation
"""Operations that tell by themselves which rows they are about."""


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


def merged(layouts: Layouts, operations: Sequence[Operation]) -> list[Operation]:
    """Return operations with neighbours that set the same keys of one row each put together: of several that set one row,
    the last counts."""
    whole: list[Operation] = []
    for like, group in groupby(operations, _likeness):
        alike = list(group)
        sets = [each for each in alike if isinstance(each, SetOperation)]
        if like is None or len(sets) < 2:
            whole += alike
            continue
        table, keys = like
        names = [key for key in layouts[table].table.primary_key if key in keys]
        rows = {tuple(each.columns[key][0] for key in names): each for each in sets}
        columns = {key: [each.columns[key][0] for each in rows.values()] for key in keys}
        whole.append(SetOperation(table, columns, len(rows)))
    return whole


def _likeness(operation: Operation) -> tuple[str, tuple[str, ...]] | None:
    """Return what operations have in common that can be put together; None of one that stands alone."""
    if not isinstance(operation, SetOperation) or operation.count != 1:
        return None
    stands_alone = operation.is_forced or operation.inlined or operation.expected is not None
    if stands_alone or operation.columns.get("id", (None,))[0] is None:
        return None
    return operation.table, tuple(operation.columns)


def apply_operations(
    tx: Transaction, layouts: Layouts, operations: Sequence[Operation], cause: Cause
) -> Applied:
    """Do operations in order, with all that they cause.

    Each has a number of its own: what was derived from one does not count as derived from the next.
    """
    ids: list[list[Any]] = []
    tasks = 0
    for operation in _plain(tx, layouts, operations):
        own = replace(cause, number=next_number(tx)) if ids else cause
        found, fired = _apply(tx, layouts, operation, own)
        ids.append(found)
        tasks += fired
    return Applied(cause.change, ids, tasks)


def _plain(tx: Transaction, layouts: Layouts, operations: Sequence[Operation]) -> Iterable[Plain]:
    """Give operations as they are made, in order."""
    first = operations[0] if len(operations) == 1 else None
    if isinstance(first, SetOperation):
        return (first,)
    return _each(tx, layouts, _joined(operations))


def not_derived(graph: Graph, operations: Sequence[Operation]) -> set[int]:
    """Return the places of the operations of a transaction of which nothing is to be derived before it is made, all at once: they
    give a key of a row that a later one gives again; or one of the others gives a key of it that a trigger sets."""
    found, matched = set[int](), set[str]()
    rows: dict[tuple[str, Any], list[tuple[int, Set[str]]]] = {}
    for place, each in reversed(list(enumerate(operations))):
        if isinstance(each, MatchOperation):
            matched.add(each.table)  # it may mean any row
        if not isinstance(each, SetOperation):
            continue
        if each.table in matched:
            found.add(place)
        table = graph.tables.get(each.table)
        given = place, each.columns.keys() - set(table.primary_key)
        for row in _names(table, each.columns, each.count) if "id" in each.columns else ():
            rows.setdefault((table.name, row), []).append(given)
    for (name, _), several in rows.items():
        if len(several) > 1:
            found |= _not_derived(graph, name, several)
    return found


def _not_derived(graph: Graph, table: str, several: Sequence[tuple[int, Set[str]]]) -> set[int]:
    """Do the same for the operations of one row, the last one first."""
    if any((table, key) in graph.producers for _, keys in several for key in keys):
        return {place for place, _ in several}
    found, later = set[int](), set[str]()
    for place, keys in several:
        if not later.isdisjoint(keys):
            found.add(place)
        later |= keys
    return found


def _names(table: Table, columns: Columns, count: int) -> list[tuple[Stored, ...]]:
    """Return the rows' names, id and page keys."""
    pages = [columns.get(page, [None] * count) for page in table.page_keys]
    shown = [[value or 0 for value in page] for page in pages]
    return list(zip(columns["id"], *shown, strict=True))


def _joined(operations: Sequence[Operation]) -> Iterator[Operation]:
    """Give operations in order; deletes of one table that follow each other as one, as each costs what a hundred rows do."""
    for table, group in groupby(operations, _deleted_from):
        several = list(group)
        if table is None or len(several) == 1:
            yield from several
        else:
            deletes = (each for each in several if isinstance(each, DeleteOperation))
            ids = dict.fromkeys(row_id for each in deletes for row_id in each.ids)
            yield DeleteOperation(table, tuple(ids))


def _deleted_from(operation: Operation) -> str | None:
    return operation.table if isinstance(operation, DeleteOperation) else None


def _each(tx: Transaction, layouts: Layouts, operations: Iterable[Operation]) -> Iterator[Plain]:
    """Give operations one by one, each that matches rows as what it comes to once those before it are done."""
    for operation in operations:
        if isinstance(operation, MatchOperation):
            yield from _matched(tx, layouts[operation.table], operation)
        else:
            yield operation


def _matched(tx: Transaction, layout: Layout, operation: MatchOperation) -> Iterator[Plain]:
    kept = KeptRows(layout.table)
    values: set[Stored] = set()
    for columns, count in operation.parts:
        found = named_columns(tx, layout, columns, count, operation.by)
        for refusal in found.refused.values():
            raise refusal
        named = found.columns
        if "id" not in named:
            named = {**named, "id": filled_ids(tx, layout, None, count)}
        yield from by_pattern(layout.table, named, count)
        if operation.prune is not None:
            kept.add(tx, names_of(layout, named, named["id"]))
            values.update(columns.get(operation.prune, ()))
    if operation.prune is None:
        return
    for value in values - {None}:
        gone = pruned(tx, layout, kept, operation.prune, value)
        if gone.rows:
            yield gone
    kept.forget(tx)


def pruned(
    tx: Transaction, layout: Layout, kept: KeptRows, key: str, value: Stored
) -> PruneOperation:
    """Return the removal of the rows that have a value and were not given."""
    rows = kept.others(tx, layout, key, value)
    return PruneOperation(layout.table.name, kept.with_pages(tx, layout, key, rows))


def named_columns(
    tx: Transaction, layout: Layout, columns: Columns, count: int, by: str | None
) -> Matched:
    """Give ids to rows: with `by`, and pages, those of the rows that have its values."""
    if by is None:
        return Matched(by_id(tx, layout, columns, count))
    return matched(tx, layout, columns, count, by)


def by_pattern(table: Table, columns: Columns, count: int) -> list[SetOperation]:
    """Return the writes of rows of which each has an id: one for each set of keys that they give.

    Rows with the same name are written in the order given.
    """
    if not any(None in column for column in columns.values()):
        return [SetOperation(table.name, columns, count)] if count else []
    names = _repeated_names(table, columns, count)
    operations: list[SetOperation] = []
    groups: dict[tuple[str, ...], list[int]] = {}
    written_as: dict[Any, tuple[str, ...]] = {}
    for i in range(count):
        pattern = pattern_of(columns, i)
        if names and written_as.get(names[i], pattern) != pattern:
            operations += [chosen_rows(table, columns, *group) for group in groups.items()]
            groups, written_as = {}, {}
        if names:
            written_as[names[i]] = pattern
        groups.setdefault(pattern, []).append(i)
    return operations + [chosen_rows(table, columns, *group) for group in groups.items()]


def pattern_of(columns: Columns, i: int) -> tuple[str, ...]:
    """Return the keys that a row gives."""
    return tuple([name for name, values in columns.items() if values[i] is not None])


def chosen_rows(
    table: Table, columns: Columns, pattern: Sequence[str], rows: Sequence[int]
) -> SetOperation:
    if len(rows) == 1:
        return SetOperation(table.name, {name: (columns[name][rows[0]],) for name in pattern}, 1)
    chosen = {name: [columns[name][i] for i in rows] for name in pattern}
    return SetOperation(table.name, chosen, len(rows))


def _repeated_names(table: Table, columns: Columns, count: int) -> list[tuple[Stored, ...]]:
    """Return the rows' names, if some row is named twice; otherwise nothing."""
    names = _names(table, columns, count)
    return names if len(set(names)) < count else []


def _apply(
    tx: Transaction, layouts: Layouts, operation: Plain, cause: Cause
) -> tuple[list[Any], int]:
    layout = layouts[operation.table]
    if isinstance(operation, PruneOperation):
        delete(tx, layouts, Written(layout, list(operation.rows)), cause)
        return [], 1
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
        inlined=_in_force(tx, layouts, operation, cause.number) if operation.inlined else (),
        since=cause.change if cause.task is None else cause.number,
    )
    reach("set.written")
    for each in operation.inlined if layouts.graph.seen else ():
        note_seen(tx, layout, each.spec, written.met.get(each.spec.name, ()), {})
    tasks = fire(tx, layouts, written, cause)
    tell_beside(tx, layouts, written, cause.number)
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


def _in_force(
    tx: Transaction, layouts: Layouts, operation: SetOperation, number: int
) -> Sequence[Inlined]:
    """Return what was given by triggers as the store has them, from other rows as they are: another process may have
    replaced some meanwhile, or changed these, and what follows from those is left to tasks too."""
    triggers, in_force = layouts.graph.triggers, []
    for each in operation.inlined:
        stored = triggers.get(each.spec.name)
        if (
            each.spec is not stored and each.spec != stored
        ):  # to compare all that they say takes as long as a call
            break
        in_force.append(each)
    return still_true(tx, layouts, in_force, number)
