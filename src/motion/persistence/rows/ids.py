"""Ids: those that the store gives to rows which come without; and the numbers of rows that no id numbers."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence

from motion import clock
from motion.backends.base import Transaction
from motion.background import forks
from motion.definitions.values.codecs import INT64_MAX, Stored
from motion.errors import InvalidValue
from motion.persistence.layout import ALL_ROWS, Layout, as_text
from motion.persistence.ranges import Ranges


def filled_ids(
    tx: Transaction, layout: Layout, given: Sequence[Stored] | None, count: int
) -> Sequence[Stored]:
    """Return ids with new ones where None was given, in the order of the rows."""
    if given is not None:
        check_range(layout, given)
    if given is not None and None not in given:
        _note_largest(tx, layout, given)
        return given
    wanted = given or [None] * count
    if not layout.table.has_int_id:
        return [_ordered_ids.next() if each is None else each for each in wanted]
    known = [int(each) for each in wanted if each is not None]
    following = max([largest_id(tx, layout), *known])
    ids = []
    for each in wanted:
        following += each is None
        ids.append(following if each is None else each)
    if following > INT64_MAX:
        taken = max([largest_id(tx, layout), *known])
        expected = (
            f"an id to be given, as the largest that the table had, {taken}, has none after it"
        )
        raise InvalidValue(layout.table.name, "id", "nothing", expected)
    tx.memo[_largest_key(layout)] = following
    return ids


def check_range(layout: Layout, given: Sequence[Stored]) -> None:
    """Refuse ids that leave no room for a state version beside them.

    Raises:
        InvalidValue: naming the first.
    """
    if not layout.has_bounded_ids:
        return
    for each in given:
        if each is not None and not 0 <= int(each) <= ALL_ROWS:
            name = layout.versioned_specs[0].name
            raise InvalidValue(
                layout.table.name,
                "id",
                repr(each),
                f"an int from 0 to {ALL_ROWS} as long as {name} keeps its outputs for each state version; make it a "
                f"str for longer ones, or declare {name} with refresh='never'",
            )


def check_stored_ids(tx: Transaction, layout: Layout) -> None:
    """Do the same with the ids that are there. Two look-ups."""
    if layout.has_bounded_ids:
        sql = f"SELECT (SELECT MIN(id) FROM {layout.base}), (SELECT MAX(id) FROM {layout.base})"
        check_range(layout, tx.execute(sql).fetchone())


def largest_id(tx: Transaction, layout: Layout) -> int:
    """Return the largest int id that the table ever had, deleted rows included; 0 where it had none."""
    known = tx.memo.get(_largest_key(layout))
    if known is not None:
        return int(known)
    largest = f"MAX(COALESCE((SELECT MAX(id) FROM {layout.base}), 0), last_id)"
    # Without a parameter, it may come with the beginning of the next write.
    return int(
        tx.execute(
            f"SELECT {largest} FROM motion_tables WHERE name = {as_text(layout.table.name)}"
        ).fetchone()[0]
    )


def next_row(layout: Layout) -> str:
    """Return the expression of the number of a table's next row, where its id is not its number: larger than that of any
    row it ever had, as labels, tasks and texts that are read along know a row by its number alone."""
    largest = f"SELECT COALESCE(MAX({layout.row_column}), 0) FROM {layout.base}"
    return f"(SELECT MAX(last_row, ({largest})) + 1 FROM motion_tables WHERE name = {as_text(layout.table.name)})"


def note_deleted(tx: Transaction, layout: Layout, rows: Ranges) -> None:
    """Note which ids and numbers of rows that are about to be deleted must not be given again."""
    notes = [("last_id", "id")] if layout.table.has_int_id else []
    notes += [] if layout.row_is_id else [("last_row", layout.row_column)]
    if notes:
        condition = rows.condition(layout.row_column)
        # Without the plus, the table is walked from its end to find the largest of a few.
        largest = ", ".join(
            f"{note} = MAX({note}, COALESCE((SELECT MAX(+{column}) FROM {layout.base} WHERE {condition}), 0))"
            for note, column in notes
        )
        named = (*rows.numbers * len(notes), layout.table.name)
        tx.execute(f"UPDATE motion_tables SET {largest} WHERE name = ?", named)


def _note_largest(tx: Transaction, layout: Layout, ids: Sequence[Stored]) -> None:
    """Keep what the transaction knows of a table's largest id right when ids are given."""
    known = tx.memo.get(_largest_key(layout))
    if known is not None:
        tx.memo[_largest_key(layout)] = max(known, *ids)


def _largest_key(layout: Layout) -> tuple[str, str]:
    return "largest id", layout.table.name


class _OrderedIds:
    """Makes unique ids whose text order is the order of creation (as UUID version 7, RFC 9562, with its counter)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ms = self._count = 0
        forks.renew_in_child(self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()

    def next(self) -> str:
        with self._lock:
            self._count += 1
            now_ms = clock.now_ms()
            if (
                now_ms > self._ms
            ):  # else the clock stands or went back, and the counter keeps the order
                self._ms, self._count = now_ms, 0
            return f"{self._ms:012x}{self._count:08x}{uuid.uuid4().hex[:12]}"


_ordered_ids = _OrderedIds()
