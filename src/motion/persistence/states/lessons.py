"""Lessons: which labels a version's fit has learned from, as ranges of them.

A row for each label would be one for each of all labels with each fit that is refused, as the next one gets them again.
"""

from __future__ import annotations

from collections.abc import Sequence

from motion.backends.base import Transaction
from motion.definitions.fits import FitSpec
from motion.persistence.states.label_ranges import LabelRanges, Range, last_label, ranges_where

OF_LABEL = "b.fit = s.fit AND b.label BETWEEN s.first AND s.last AND b.is_held_out = 0"
"""What joins a range, `s`, with the labels in it, `b`."""

APART = "motion_lessons_apart"
"""Lessons label by label, for as long as a change of the store takes: component, number, label."""


def note(tx: Transaction, learned: LabelRanges, component: str, number: int) -> None:
    """Note that a version learned from labels."""
    sql = "INSERT INTO motion_lessons (component, number, fit, first, last) VALUES (?, ?, ?, ?, ?)"
    tx.executemany(
        sql, [(component, number, learned.fit, first, last) for first, last in learned.ranges]
    )


def of_lineage(tx: Transaction, fit: FitSpec, lineage: Sequence[int]) -> list[Range]:
    """Return what versions have learned from of a fit: ranges that do not touch, in their order."""
    numbers = ", ".join(map(str, lineage)) or "0"
    found = tx.execute(
        f"SELECT first, last FROM motion_lessons WHERE component = ? AND number IN ({numbers}) AND fit = ? ORDER BY first",
        (fit.component, fit.name),
    ).fetchall()
    ranges: list[Range] = []
    for first, last in found:
        if ranges and first <= ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], max(last, ranges[-1][1]))
        else:
            ranges.append((first, last))
    return ranges


def take_apart(tx: Transaction, fits: Sequence[str]) -> None:
    """Take the lessons of fits apart, label by label, until they are put together again."""
    places = ", ".join("?" * len(fits))
    tx.execute(
        f"CREATE TABLE {APART} AS SELECT s.component, s.number, b.label FROM motion_lessons s "
        f"JOIN motion_labels b ON {OF_LABEL} WHERE s.fit IN ({places})",
        tuple(fits),
    )
    tx.execute(f"DELETE FROM motion_lessons WHERE fit IN ({places})", tuple(fits))


def put_together(tx: Transaction) -> None:
    """Note as ranges what was taken apart, of labels that are still there."""
    versions = tx.execute(
        f"SELECT DISTINCT a.component, a.number, b.fit FROM {APART} a JOIN motion_labels b ON b.label = a.label"
    ).fetchall()
    own = f"label IN (SELECT label FROM {APART} WHERE component = ? AND number = ?)"
    for component, number, fit in versions:
        learned = ranges_where(tx, fit, own, (component, number), newest=last_label(tx, fit))
        note(tx, learned, component, number)
    tx.execute(f"DROP TABLE {APART}")
