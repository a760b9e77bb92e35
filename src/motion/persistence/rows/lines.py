"""Where rows stand in the lines of a trigger with `serial_by`."""

from __future__ import annotations

from collections.abc import Sequence

from motion.backends.base import Transaction
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import INT64_MAX, Stored
from motion.persistence.layout import Layout, quoted
from motion.persistence.ranges import parts_of
from motion.persistence.tasks.lines import Place

LARGEST = INT64_MAX + 1


def places_in_line(
    tx: Transaction, layout: Layout, spec: TriggerSpec, rows: Sequence[int]
) -> dict[int, Place]:
    """Return the places of rows that are there and have a value of the key by which they go one at a time."""
    assert spec.serial_by is not None
    stamp = layout.table.timestamp_key
    order = "id" if stamp is None else stamp.name
    name = ", ".join(f"r.{quoted(key)}" for key in layout.table.primary_key)
    found: dict[int, Place] = {}
    for part in parts_of(rows):
        sql = (
            f"SELECT {layout.row}, {layout.inherited_value(spec.serial_by)}, {layout.inherited_value(order)}, {name} "
            f"FROM {layout.joined([spec.serial_by, order])} WHERE {part.condition(layout.row)}"
        )
        for row, value, at, row_id, *pages in tx.execute(sql, part.numbers):
            if value is not None:
                found[row] = Place(f"{type(value).__name__} {value}", at, _tie(row_id, pages))
    return found


def _tie(row_id: Stored, pages: Sequence[int]) -> Stored:
    """Return what is in the order of ids, and of the pages of one id."""
    if not pages:
        return row_id
    named = f"{row_id + LARGEST:020d}" if isinstance(row_id, int) else f"{row_id!s}\x01"
    return named + "".join(f"{page:019d}" for page in pages)
