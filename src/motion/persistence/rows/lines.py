"""Where rows stand in the lines of a trigger with `serial_by`."""

from __future__ import annotations

from collections.abc import Sequence

from motion.backends.base import Transaction
from motion.definitions.triggers.specs import TriggerSpec
from motion.persistence.layout import Layout
from motion.persistence.ranges import parts_of
from motion.persistence.tasks.lines import Place


def places_in_line(
    tx: Transaction, layout: Layout, spec: TriggerSpec, rows: Sequence[int]
) -> dict[int, Place]:
    """Return the places of rows that are there and have a value of the key by which they go one at a time."""
    assert spec.serial_by is not None
    stamp = layout.table.timestamp_key
    order = "id" if stamp is None else stamp.name
    found: dict[int, Place] = {}
    for part in parts_of(rows):
        sql = (
            f"SELECT {layout.row}, {layout.inherited_value(spec.serial_by)}, {layout.inherited_value(order)}, r.id "
            f"FROM {layout.joined([spec.serial_by, order])} WHERE {part.condition(layout.row)}"
        )
        for row, value, at, row_id in tx.execute(sql, part.numbers):
            if value is not None:
                found[row] = Place(f"{type(value).__name__} {value}", at, row_id)
    return found
