"""Asked: what people asked of models, fits and promotions, so that whoever waits for one, in any process, sees its end.

What a fit offers by itself is not among it. Each is known by the number of the change that it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from motion.backends.base import Transaction

Outcome = Literal["done", "failed", "superseded"]

OPEN = "outcome IS NULL"

FAILED = "outcome = 'failed'"


@dataclass(frozen=True)
class Failure:
    """What was asked for and did not come about.

    Attributes:
        fit: the name of the fit; empty for a promotion.
        number: the version to be promoted; None for a fit.
    """

    component: str
    fit: str
    number: int | None
    reason: str


def note_fits(tx: Transaction, change: int, component: str, fits: Sequence[str]) -> None:
    """Note that a change asked for fits."""
    tx.executemany(
        "INSERT INTO motion_asked (change, component, fit) VALUES (?, ?, ?)",
        [(change, component, fit) for fit in fits],
    )


def note_promotion(tx: Transaction, change: int, component: str, number: int) -> None:
    """Note that a change asked for a version to be live."""
    sql = "INSERT INTO motion_asked (change, component, fit, number) VALUES (?, ?, '', ?)"
    tx.execute(sql, (change, component, number))


def begin_fit(tx: Transaction, fit: str) -> None:
    """Note that a fit begins: who asked until now waits for what it makes, who asks later for the next."""
    tx.execute(f"UPDATE motion_asked SET is_begun = 1 WHERE fit = ? AND {OPEN}", (fit,))


def note_made(tx: Transaction, fit: str, number: int) -> None:
    """Note the version that a fit has made: who asked waits for what becomes of it."""
    sql = f"UPDATE motion_asked SET number = ? WHERE fit = ? AND is_begun = 1 AND number IS NULL AND {OPEN}"
    tx.execute(sql, (number, fit))


def end_fit(tx: Transaction, fit: str, outcome: Outcome, reason: str | None = None) -> None:
    """Note that a fit that began has made nothing."""
    sql = (
        "UPDATE motion_asked SET outcome = ?, reason = ? "
        f"WHERE fit = ? AND is_begun = 1 AND number IS NULL AND {OPEN}"
    )
    tx.execute(sql, (outcome, reason, fit))


def is_wanted(tx: Transaction, fit: str) -> bool:
    """Whether somebody asked for a fit that has not begun."""
    sql = f"SELECT 1 FROM motion_asked WHERE fit = ? AND is_begun = 0 AND {OPEN} LIMIT 1"
    return tx.execute(sql, (fit,)).fetchone() is not None


def end_version(
    tx: Transaction, component: str, number: int, outcome: Outcome, reason: str | None = None
) -> None:
    """Note what has become of a version. For a fit that was asked for each decision is an end, for a promotion only that
    it is live."""
    chosen = f"component = ? AND number = ? AND {OPEN}"
    sql = f"UPDATE motion_asked SET outcome = 'done' WHERE fit != '' AND {chosen}"
    tx.execute(sql, (component, number))
    sql = f"UPDATE motion_asked SET outcome = ?, reason = ? WHERE {chosen}"
    tx.execute(sql, (outcome, reason, component, number))


def withdraw(tx: Transaction, changes: Sequence[int]) -> list[tuple[str, str, int | None]]:
    """Ask for what has not begun no longer; return the component, the fit and the version of each."""
    found: list[tuple[str, str, int | None]] = []
    for change in changes:
        sql = (
            "UPDATE motion_asked SET outcome = 'superseded' "
            f"WHERE change = ? AND is_begun = 0 AND {OPEN} RETURNING component, fit, number"
        )
        found += [(str(name), str(fit), number) for name, fit, number in tx.execute(sql, (change,))]
    return found


def remaining(tx: Transaction, change: int) -> int:
    """Return how much of what a change asked for has not come to its end."""
    sql = f"SELECT COUNT(*) FROM motion_asked WHERE change = ? AND {OPEN}"
    return int(tx.execute(sql, (change,)).fetchone()[0])


def failures(tx: Transaction, change: int) -> list[Failure]:
    """Return what a change asked for in vain."""
    sql = (
        "SELECT component, fit, number, COALESCE(reason, '') FROM motion_asked "
        f"WHERE change = ? AND {FAILED} ORDER BY fit"
    )
    return [Failure(*row) for row in tx.execute(sql, (change,))]


def blank(tx: Transaction, fit: str, reason: str) -> None:
    """Forget why a fit that was asked for failed."""
    sql = f"UPDATE motion_asked SET reason = ? WHERE fit = ? AND {FAILED}"
    tx.execute(sql, (reason, fit))
