"""Label ranges: labels of a fit, told by ranges of their numbers, however many they are, and read some at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from motion.backends.base import Backend, Transaction
from motion.persistence.states.seen import COPIES_AT_ONCE

Range = tuple[int, int]
"""From a label to another, both included."""


@dataclass(frozen=True)
class LabelRanges:
    """Labels of a fit: all in some ranges, which do not overlap, that are held out for evaluation, or all that are not.

    Attributes:
        count: how many they were when this was told.
    """

    fit: str
    ranges: Sequence[Range]
    count: int
    is_held_out: bool = False

    def copies(self, backend: Backend) -> Iterator[bytes]:
        """Give the rows that they are copies of, in the order of the labels, some by each read: what is done with them may
        take long. Labels that are deleted meanwhile are left out."""
        sql = (
            "SELECT label, copy FROM motion_labels WHERE fit = ? AND is_held_out = ? AND label BETWEEN ? AND ? "
            "ORDER BY label LIMIT ?"
        )
        for first, last in self.ranges:
            while first <= last:
                with backend.read() as tx:
                    values = (self.fit, int(self.is_held_out), first, last, COPIES_AT_ONCE)
                    found = tx.execute(sql, values).fetchall()
                yield from (copy for _, copy in found)
                first = found[-1][0] + 1 if len(found) == COPIES_AT_ONCE else last + 1


def ranges_where(
    tx: Transaction,
    fit: str,
    condition: str,
    parameters: Sequence[Any] = (),
    *,
    newest: int,
    is_held_out: bool = False,
) -> LabelRanges:
    """Return the labels of a fit that a condition in SQL holds for.

    A range begins behind the last label before it that is none of them, so that what versions that follow each other learn
    from touches; and it ends before the next that is none.

    Args:
        newest: the last label that may be among them. It is there, or was, so no other will ever come to lie before it.
    """
    there = f"FROM motion_labels WHERE fit = ? AND is_held_out = {int(is_held_out)} AND label <= ?"
    turns = tx.execute(
        "SELECT is_one, previous FROM (SELECT label, is_one, LAG(is_one) OVER (ORDER BY label) AS was_one, "
        "COALESCE(LAG(label) OVER (ORDER BY label), 0) AS previous "
        f"FROM (SELECT label, CASE WHEN {condition} THEN 1 ELSE 0 END AS is_one {there}) AS labels) AS turns "
        "WHERE was_one IS NULL OR was_one != is_one ORDER BY label",
        (*parameters, fit, newest),
    ).fetchall()
    ranges = [
        (previous + 1, last)
        for (is_one, previous), (_, last) in pairwise([*turns, (0, newest)])
        if is_one
    ]
    count = tx.execute(f"SELECT COUNT(*) {there} AND {condition}", (fit, newest, *parameters))
    return LabelRanges(fit, ranges, int(count.fetchone()[0]), is_held_out)


def last_label(tx: Transaction, fit: str) -> int:
    sql = "SELECT COALESCE(MAX(label), 0) FROM motion_labels WHERE fit = ?"
    return int(tx.execute(sql, (fit,)).fetchone()[0])
