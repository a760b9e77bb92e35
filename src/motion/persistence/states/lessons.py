"""Lessons: which labels a version's fit has learned from, as ranges of them.

A row for each label would be one for each of all labels with each fit that is refused, as the next one gets them again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from motion.backends.base import Transaction
from motion.definitions.fits import FitSpec

OF_LABEL = "b.fit = s.fit AND b.label BETWEEN s.first AND s.last AND b.is_held_out = 0"
"""What joins a range, `s`, with the labels in it, `b`."""

Range = tuple[int, int]
"""From a label to another, both included."""


def note(tx: Transaction, fit: str, labels: Sequence[int], component: str, number: int) -> None:
    """Note that a version learned from labels of a fit, in the order of their numbers."""
    sql = "INSERT INTO motion_lessons (component, number, fit, first, last) VALUES (?, ?, ?, ?, ?)"
    ranges = _ranges(tx, fit, labels)
    tx.executemany(sql, [(component, number, fit, first, last) for first, last in ranges])


def _ranges(tx: Transaction, fit: str, labels: Sequence[int]) -> Iterator[Range]:
    """Yield ranges that hold these labels and no other one that might have been learned from. Each begins behind the last of
    those before it, so that of versions that follow each other they touch."""
    if not labels:
        return
    sql = "SELECT label FROM motion_labels WHERE fit = ? AND is_held_out = 0 AND label <= ? ORDER BY label"
    learned, before = set(labels), 0
    there = (label for (label,) in tx.execute(sql, (fit, labels[-1])).fetchall())
    for is_learned, together in groupby(there, learned.__contains__):
        of = list(together)
        if is_learned:
            yield before + 1, of[-1]
        before = of[-1]


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


def taken_apart(tx: Transaction, fits: Sequence[str]) -> list[tuple[str, int, list[int]]]:
    """Take the lessons of fits out, and return them label by label: component, number, labels in their order."""
    places = ", ".join("?" * len(fits))
    found = tx.execute(
        f"SELECT s.component, s.number, b.label FROM motion_lessons s JOIN motion_labels b ON {OF_LABEL} "
        f"WHERE s.fit IN ({places}) ORDER BY s.component, s.number, b.label",
        tuple(fits),
    ).fetchall()
    tx.execute(f"DELETE FROM motion_lessons WHERE fit IN ({places})", tuple(fits))
    groups = groupby(found, key=lambda row: row[:2])
    return [(component, number, [row[2] for row in rows]) for (component, number), rows in groups]
