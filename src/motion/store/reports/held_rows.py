"""Held rows: what an explanation tells of rows that a window holds, or that a fold goes over, as they are now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from motion.backends.base import Transaction
from motion.definitions.tables.schema import Table
from motion.definitions.tables.windows import Window
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.persistence.changes import sweeps
from motion.persistence.inputs import folds
from motion.persistence.inputs.frames import frame_of, own_place
from motion.persistence.inputs.held import read_held
from motion.persistence.inputs.places import fold_of
from motion.persistence.layout import Layout
from motion.persistence.layouts import Layouts
from motion.persistence.rows.provenance import Origin

ROWS_TOLD, ROWS_NAMED = 20, 5


@dataclass(frozen=True)
class HeldRow:
    """A row that a window holds, or that a fold goes over.

    Attributes:
        order: what it is ordered by.
        values: key -> value, of the keys that are held, or that the fold takes.
        has_changed: whether it has become what it is since the value was made, or has come since.
        pages: its page keys.
    """

    id: Any
    order: Any
    values: Mapping[str, Any]
    has_changed: bool = False
    pages: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        values = ", ".join(f"{key}={value!r}" for key, value in self.values.items())
        pages = "".join(f", {page}={number}" for page, number in self.pages.items() if number)
        return f"id={self.id!r}{pages} ({values})"


@dataclass(frozen=True)
class HeldRows:
    """The rows of an entity that a window holds as of a row, or that a fold goes over, as they are now.

    Attributes:
        keys: of the table, that are held or taken.
        by, entity: the key by which they are found, and its value.
        order: the key by which they are ordered.
        count: how many they are.
        rows: the last of them in their order, at most 20.
        has_changed: whether they are others than those that the value was made from. It is then to be made again, but for a
            fold that applies each row once.
    """

    table: str
    keys: tuple[str, ...]
    by: str
    entity: Any
    order: str
    count: int
    rows: tuple[HeldRow, ...]
    has_changed: bool

    def __str__(self) -> str:
        what = f"{self.table} with {self.by}={self.entity!r}"
        if not self.count:
            changed = ", CHANGED SINCE" if self.has_changed else ""
            return f"from no rows of {what}{changed}"
        more = "..., " if self.count > ROWS_NAMED else ""
        rows = ", ".join(map(str, self.rows[-ROWS_NAMED:]))
        changed = "CHANGED SINCE, and now they are " if self.has_changed else ""
        return f"from {self.count} row(s) of {what}: {changed}{more}{rows}"


def rows_held(
    tx: Transaction, layouts: Layouts, spec: TriggerSpec, row: int, origin: Origin
) -> tuple[HeldRows, ...]:
    """Return what the windows of a trigger hold as of a row."""
    told = (_held(tx, layouts, spec, each, row, origin) for each in spec.windows)
    return tuple(each for each in told if each is not None)


def _held(
    tx: Transaction, layouts: Layouts, spec: TriggerSpec, window: Window, row: int, origin: Origin
) -> HeldRows | None:
    layout, other = layouts[spec.table], layouts[window.table].table
    entity, order, name = own_place(tx, layout, window, row)
    if entity is None or order is None:
        return None
    place = [entity], [order], [name]
    most = min(window.rows or ROWS_TOLD, ROWS_TOLD)
    last = frame_of(replace(window, agg="list", rows=most))
    found = read_held(tx, layout, last, *place).rows_of(0)
    count = _count(tx, layout, window, *place) if len(found) == ROWS_TOLD else len(found)
    is_swept = sweeps.is_ahead(tx, spec, window.own_by, entity, origin.number)
    rows = tuple(
        _row(other, window.names, window.other_order, *each, since=origin.number) for each in found
    )
    is_other = origin.is_due or is_swept or any(each.has_changed for each in rows)
    by = other.keys[window.other_by]
    return HeldRows(
        window.table, window.names, by.name, by.decode(entity), window.other_order, count, rows, is_other
    )  # fmt: skip


def _count(tx: Transaction, layout: Layout, window: Window, *place: Sequence[Stored]) -> int:
    """Return how many rows a window holds: of one key without reading them all, where it has no bounds."""
    if len(window.keys) > 1:
        return len(read_held(tx, layout, frame_of(window), *place).rows_of(0))
    counted = replace(window, agg="count")
    return int(read_held(tx, layout, frame_of(counted), *place).values(counted)[0])


def _row(
    table: Table, keys: Sequence[str], order: str, at: Stored, name: Any, values: Any, number: int,
    *, since: int,
) -> HeldRow:  # fmt: skip
    stored = values if len(keys) > 1 else (values,)
    shown = {key: table.keys[key].decode(each) for key, each in zip(keys, stored, strict=True)}
    row_id, *pages = name if isinstance(name, tuple) else (name,)
    numbers = dict(zip(table.page_keys, pages, strict=False))
    place = table.keys[order].decode(at)
    return HeldRow(table.keys["id"].decode(row_id), place, shown, 0 < since < number, numbers)


def rows_folded(
    tx: Transaction, source: Layout, spec: TriggerSpec, name: Sequence[Stored], origin: Origin
) -> HeldRows | None:
    """Return what a fold goes over for the value of a row.

    Args:
        name: id, and pages, of the row that keeps it.
    """
    found = folds.rows_of_value(tx, source, spec, name, ROWS_TOLD)
    if found is None:
        return None
    entity, count, last = found
    fold, table = fold_of(spec), source.table
    rows = [
        _row(table, fold.inputs, fold.order, at, id_, values if len(values) > 1 else values[0], number,
             since=origin.number)
        for at, id_, number, *values in last
    ]  # fmt: skip
    by = table.keys[fold.by]
    return HeldRows(
        table.name, fold.inputs, by.name, by.decode(entity), fold.order, count, tuple(rows), origin.is_due
    )  # fmt: skip
