"""Labels: copies of rows at the moment a fit's key was set, and which fit learned from which."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from motion.backends.base import Transaction
from motion.components import FitSpec
from motion.persistence.layout import Layout, in_ranges, parts_of


def note_labels(
    tx: Transaction, layout: Layout, fit: FitSpec, rows: Sequence[int], number: int
) -> None:
    """Copy rows whose fit key was set, replacing labels of theirs that no fit has learned from; ask for a fit if due."""
    unset = " OR ".join(f"{layout.value(key)} IS NULL" for key in fit.on)
    keys = tuple(layout.table.keys)
    columns = ", ".join(layout.inherited_value(key) for key in keys)
    for part in parts_of(rows):
        found = tx.execute(
            f"SELECT {layout.row}, ({unset}), {columns} FROM {layout.joined(keys)} "
            f"WHERE {in_ranges(layout.row, part)}"
        ).fetchall()
        _forget_unlearned(tx, fit.name, [row for row, *_ in found])
        tx.executemany(
            "INSERT INTO motion_labels (fit, row, copy, is_held_out) VALUES (?, ?, ?, ?)",
            [
                (
                    fit.name,
                    row,
                    msgspec.msgpack.encode(dict(zip(keys, values, strict=True))),
                    held_out(row, fit.holdout),
                )
                for row, is_unset, *values in found
                if not is_unset
            ],
        )
    request_if_due(tx, fit, number)


def request_if_due(tx: Transaction, fit: FitSpec, number: int) -> None:
    """Ask for a fit if so many labels are new that it comes by itself."""
    if fit.every is not None and new_labels(tx, fit) >= fit.every:
        request_fit(tx, fit.name, number)


def held_out(row: int, share: float) -> bool:
    """Whether a row's labels are kept for evaluation: always the same rows, about `share` of them."""
    digest = hashlib.sha256(str(row).encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def _forget_unlearned(tx: Transaction, fit: str, rows: Sequence[int]) -> None:
    tx.executemany(
        "DELETE FROM motion_labels WHERE fit = ? AND row = ? "
        "AND label NOT IN (SELECT label FROM motion_lessons)",
        [(fit, row) for row in rows],
    )


def forget_rows(tx: Transaction, table: str, fits: Sequence[FitSpec], rows: Sequence[int]) -> None:
    """Delete the labels of deleted rows."""
    for fit in fits:
        if fit.table == table:
            tx.executemany(
                "DELETE FROM motion_labels WHERE fit = ? AND row = ?",
                [(fit.name, row) for row in rows],
            )


def new_labels(tx: Transaction, fit: FitSpec) -> int:
    """Return how many labels were made since the last fit of any outcome."""
    sql = "SELECT COUNT(*) FROM motion_labels WHERE fit = ? AND label > (SELECT COALESCE(MAX(seen), 0) FROM motion_fit_runs WHERE fit = ?)"
    return int(tx.execute(sql, (fit.name, fit.name)).fetchone()[0])


def request_fit(tx: Transaction, fit: str, number: int) -> None:
    """Ask for a fit; one that is asked for already, or running, is enough."""
    tx.execute(
        "INSERT OR IGNORE INTO motion_fit_requests (fit, change) VALUES (?, ?)", (fit, number)
    )


def request_fits(tx: Transaction, fits: Sequence[FitSpec], number: int) -> None:
    for fit in fits:
        request_fit(tx, fit.name, number)


def claim_fit(tx: Transaction, fits: Sequence[str], owner: str) -> str | None:
    """Claim one requested fit of these that nobody runs. An owner runs one at a time, so one that is its own by now was
    given up half way."""
    places = ", ".join("?" * len(fits))
    sql = f"SELECT fit FROM motion_fit_requests WHERE (owner IS NULL OR owner = ?) AND fit IN ({places}) LIMIT 1"
    found = tx.execute(sql, (owner, *fits)).fetchone()
    if found is None:
        return None
    tx.execute("UPDATE motion_fit_requests SET owner = ? WHERE fit = ?", (owner, found[0]))
    return str(found[0])


def end_fit(tx: Transaction, fit: FitSpec, seen: int, number: int) -> None:
    """Note that a fit of any outcome is over, having seen labels up to `seen`; those made meanwhile may ask for another."""
    tx.execute("DELETE FROM motion_fit_requests WHERE fit = ?", (fit.name,))
    tx.execute(
        "INSERT INTO motion_fit_runs (fit, seen) VALUES (?, ?) ON CONFLICT DO UPDATE SET seen = excluded.seen",
        (fit.name, seen),
    )
    request_if_due(tx, fit, number)


def fit_owners(tx: Transaction) -> list[str]:
    return [
        str(row[0])
        for row in tx.execute("SELECT DISTINCT owner FROM motion_fit_requests WHERE owner NOT NULL")
    ]


def take_over_fits(tx: Transaction, owners: Sequence[str]) -> None:
    tx.executemany(
        "UPDATE motion_fit_requests SET owner = NULL WHERE owner = ?",
        [(owner,) for owner in owners],
    )


def fits_pending(tx: Transaction) -> int:
    """Return how many fits are asked for or running, of those that a process could run."""
    sql = "SELECT COUNT(*) FROM motion_fit_requests WHERE fit IN (SELECT name FROM motion_fits WHERE is_active)"
    return int(tx.execute(sql).fetchone()[0])


def labels_for(
    tx: Transaction, layout: Layout, fit: FitSpec, lineage: Sequence[int]
) -> tuple[list[int], list[Any], list[Any]]:
    """Return the labels that no version of `lineage` has learned from.

    Returns:
        The label numbers to learn from, their rows, and the rows held out for evaluation (all of them, learned or
        not: they never enter a fit).
    """
    learned = ", ".join(map(str, lineage)) or "0"
    rows = tx.execute(
        "SELECT label, copy FROM motion_labels WHERE fit = ? AND NOT is_held_out AND label NOT IN "
        f"(SELECT label FROM motion_lessons WHERE component = ? AND number IN ({learned})) ORDER BY label",
        (fit.name, fit.component),
    ).fetchall()
    held = tx.execute(
        "SELECT copy FROM motion_labels WHERE fit = ? AND is_held_out ORDER BY label", (fit.name,)
    ).fetchall()
    return (
        [row[0] for row in rows],
        [_decoded(layout, row[1]) for row in rows],
        [_decoded(layout, row[0]) for row in held],
    )


def last_label(tx: Transaction, fit: str) -> int:
    return int(
        tx.execute(
            "SELECT COALESCE(MAX(label), 0) FROM motion_labels WHERE fit = ?", (fit,)
        ).fetchone()[0]
    )


def note_lessons(tx: Transaction, labels: Sequence[int], component: str, number: int) -> None:
    """Note that a version learned from labels."""
    tx.executemany(
        "INSERT INTO motion_lessons (label, component, number) VALUES (?, ?, ?)",
        [(label, component, number) for label in labels],
    )


def _decoded(layout: Layout, copy: bytes) -> Any:
    stored = msgspec.msgpack.decode(copy)
    return layout.table.instance(
        key.decode(stored.get(name)) for name, key in layout.table.keys.items()
    )
