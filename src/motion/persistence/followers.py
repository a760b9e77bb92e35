"""Followers: the rows that look up what changes in another row, found by the key that says where they look."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from motion.backends.base import Transaction
from motion.codecs import Stored
from motion.lookups import Lookup
from motion.persistence import sweeps
from motion.persistence.layout import Layout, in_ranges, parts_of, quoted
from motion.tasks import Cause
from motion.triggers import TriggerSpec

AT_ONCE = 500
"""Rows that are made due in the write that changes what they look up; more are left to a sweep."""


@dataclass(frozen=True)
class Followed:
    """What a change makes due in one trigger's table.

    Attributes:
        rows: those that are few enough to be made due at once.
        is_swept: whether more are left to a sweep.
    """

    rows: Sequence[int]
    is_swept: bool = False


def followed(
    tx: Transaction,
    target: Layout,
    layout: Layout,
    spec: TriggerSpec,
    lookup: Lookup,
    rows: Sequence[int],
    cause: Cause,
    below: Callable[[Sequence[int]], Sequence[int]],
) -> Followed:
    """Find the rows of a trigger that look up rows which have changed, or begin a sweep over them.

    Args:
        target: of the rows that have changed.
        below: returns the rows that inherit the key by which those given look up.
    """
    found = _looking_up(tx, target, layout, lookup, rows)
    if found is not None:
        found = list(below(found))
    if found is not None and len(found) <= AT_ONCE:
        return Followed(found)
    ids = _ids(tx, target, rows)
    value: Stored = ids[0] if len(ids) == 1 else None
    sweeps.begin(tx, layout, spec, lookup.by, value, cause.change, cause.number)
    return Followed((), is_swept=True)


def _looking_up(
    tx: Transaction, target: Layout, layout: Layout, lookup: Lookup, rows: Sequence[int]
) -> list[int] | None:
    """Return the rows that hold the ids of changed rows themselves; None where they are too many."""
    is_first = "".join(f" AND r.{quoted(page)} = 0" for page in target.table.page_keys)
    found: list[int] = []
    for part in parts_of(rows):
        sql = (
            f"SELECT x.{layout.row_column} FROM {target.base} r CROSS JOIN {layout.base} x ON x.{quoted(lookup.by)} = r.id "
            f"WHERE {in_ranges(target.row, part)}{is_first} LIMIT ?"
        )
        found += [int(row[0]) for row in tx.execute(sql, (AT_ONCE + 1 - len(found),))]
        if len(found) > AT_ONCE:
            return None
    return found


def _ids(tx: Transaction, target: Layout, rows: Sequence[int]) -> list[Stored]:
    """Return the ids of changed rows, two at most."""
    found: dict[Stored, None] = {}
    for part in parts_of(rows[:3]):
        sql = f"SELECT r.id FROM {target.base} r WHERE {in_ranges(target.row, part)}"
        found |= dict.fromkeys(row[0] for row in tx.execute(sql))
    return list(found)
