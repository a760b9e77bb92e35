"""State versions in the database: which there are, which is live, and the switch between them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from motion import clock
from motion.backends.base import Transaction
from motion.components import StateVersion, Status
from motion.persistence.layout import (
    ALL_ROWS,
    VERSION_SHIFT,
    Layout,
    changed_column,
    outputs_table,
    quoted,
    slot_of,
)
from motion.persistence.rows import log_vectors
from motion.triggers import TriggerSpec


def live_version(tx: Transaction, component: str) -> int | None:
    found = tx.execute("SELECT live FROM motion_components WHERE name = ?", (component,)).fetchone()
    return None if found is None or found[0] is None else int(found[0])


def candidate_version(tx: Transaction, component: str) -> int | None:
    found = tx.execute(
        "SELECT candidate FROM motion_components WHERE name = ?", (component,)
    ).fetchone()
    return None if found is None or found[0] is None else int(found[0])


def add_version(
    tx: Transaction,
    component: str,
    status: Status,
    *,
    parent: int | None = None,
    manifest: str | None = None,
    labels: int = 0,
    metrics: dict[str, Any] | None = None,
    duration_s: float = 0.0,
) -> int:
    """Add the next version and return its number."""
    sql = "SELECT COALESCE(MAX(number), 0) + 1 FROM motion_states WHERE component = ?"
    number = int(tx.execute(sql, (component,)).fetchone()[0])
    tx.execute(
        "INSERT INTO motion_states VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            component, number, status, parent, manifest, labels, msgspec.json.encode(metrics or {}).decode(),
            clock.now().isoformat(), duration_s,
        ),
    )  # fmt: skip
    return number


def set_status(
    tx: Transaction,
    component: str,
    number: int,
    status: Status,
    metrics: dict[str, Any] | None = None,
) -> None:
    tx.execute(
        "UPDATE motion_states SET status = ? WHERE component = ? AND number = ?",
        (status, component, number),
    )
    if metrics is not None:
        tx.execute(
            "UPDATE motion_states SET metrics = ? WHERE component = ? AND number = ?",
            (msgspec.json.encode(metrics).decode(), component, number),
        )


def set_live(tx: Transaction, component: str, number: int) -> None:
    """Make a version live; the one before is retired. For every reader this is one moment."""
    before = live_version(tx, component)
    if before is not None and before != number:
        set_status(tx, component, before, "retired")
    tx.execute("UPDATE motion_components SET live = ? WHERE name = ?", (number, component))
    tx.execute(
        "UPDATE motion_components SET candidate = NULL WHERE name = ? AND candidate = ?",
        (component, number),
    )
    set_status(tx, component, number, "live")


def set_candidate(
    tx: Transaction, component: str, number: int | None, *, is_gated: bool = True
) -> None:
    """Name the version that is built beside the live one; an ungated one goes live as soon as it is built."""
    tx.execute(
        "UPDATE motion_components SET candidate = ?, is_gated = ? WHERE name = ?",
        (number, int(is_gated), component),
    )


def is_gated(tx: Transaction, component: str) -> bool:
    return bool(
        tx.execute(
            "SELECT is_gated FROM motion_components WHERE name = ?", (component,)
        ).fetchone()[0]
    )


def kept_versions(tx: Transaction, component: str) -> list[int]:
    """Return the versions whose outputs are kept: live, candidate, and the retired one before live."""
    live, candidate = live_version(tx, component), candidate_version(tx, component)
    sql = "SELECT MAX(number) FROM motion_states WHERE component = ? AND status = 'retired'"
    retired = tx.execute(sql, (component,)).fetchone()[0]
    return sorted({number for number in (live, candidate, retired) if number is not None})


def delete_outputs(tx: Transaction, spec: TriggerSpec, keep: Sequence[int]) -> None:
    """Delete the outputs of all versions but these, and tell indexes of it."""
    table = outputs_table(spec.name)
    for version in _versions_of(tx, spec):
        low, high = slot_of(version, 0), slot_of(version, ALL_ROWS)
        has_some = f"SELECT 1 FROM {table} WHERE slot BETWEEN {low} AND {high} LIMIT 1"
        if version not in keep and tx.execute(has_some).fetchone():
            for key in spec.sets:
                log_vectors(tx, f"{spec.table}.{key}", [high])
    kept = [
        f"slot BETWEEN {slot_of(number, 0)} AND {slot_of(number + 1, 0) - 1}" for number in keep
    ]
    tx.execute(f"DELETE FROM {table} WHERE NOT ({' OR '.join(kept) or '0'})")


def _versions_of(tx: Transaction, spec: TriggerSpec) -> list[int]:
    sql = "SELECT number FROM motion_states WHERE component = ?"
    return [int(row[0]) for row in tx.execute(sql, (spec.component,))]


def number_differences(
    tx: Transaction, spec: TriggerSpec, keys: Sequence[str], live: int, version: int, number: int
) -> None:
    """Give the values of `version` that differ from those of `live` the number of the switch: to what derives from
    them they change now, whenever they were made. Equal ones take over the number at which they became so."""
    low, high = slot_of(live, 0), slot_of(live + 1, 0) - 1
    shift = slot_of(version, 0) - slot_of(live, 0)
    table = outputs_table(spec.name)
    tx.execute(
        f"INSERT OR IGNORE INTO {table} (slot) SELECT slot + ? FROM {table} WHERE slot BETWEEN ? AND ?",
        (shift, low, high),
    )
    for key in map(quoted, keys):
        changed = changed_column(key[1:-1])
        tx.execute(
            f"UPDATE {table} AS v SET {changed} = CASE WHEN v.{key} IS l.{key} THEN l.{changed} ELSE ? END "
            f"FROM {table} AS l WHERE l.slot BETWEEN ? AND ? AND v.slot = l.slot + ?",
            (number, low, high, shift),
        )
        tx.execute(
            f"UPDATE {table} AS v SET {changed} = ? WHERE slot BETWEEN ? AND ? AND {key} NOT NULL "
            f"AND NOT EXISTS (SELECT 1 FROM {table} l WHERE l.slot = v.slot - ?)",
            (number, low + shift, high + shift, shift),
        )


def waiting_candidates(tx: Transaction) -> int:
    """Return how many candidates are on their way to be live; one that waits for a person is not."""
    sql = (
        "SELECT COUNT(*) FROM motion_components c JOIN motion_states s ON s.component = c.name AND s.number = c.candidate "
        "WHERE c.is_gated = 0 OR json_extract(s.metrics, '$.is_ready') IS NULL"
    )
    return int(tx.execute(sql).fetchone()[0])


def versions(tx: Transaction, component: str) -> list[StateVersion]:
    """Return a component's versions, oldest first."""
    rows = tx.execute(
        "SELECT number, status, parent, labels, metrics, created_at, duration_s FROM motion_states "
        "WHERE component = ? ORDER BY number",
        (component,),
    ).fetchall()
    return [
        StateVersion(
            number,
            status,
            parent,
            labels,
            msgspec.json.decode(metrics),
            datetime.fromisoformat(at),
            seconds,
        )
        for number, status, parent, labels, metrics, at, seconds in rows
    ]


def manifest_of(tx: Transaction, component: str, number: int) -> str | None:
    sql = "SELECT manifest FROM motion_states WHERE component = ? AND number = ?"
    found = tx.execute(sql, (component, number)).fetchone()
    return None if found is None else found[0]


def lineage(tx: Transaction, component: str, number: int | None) -> list[int]:
    """Return a version and the versions it was made from, newest first."""
    found: list[int] = []
    while number is not None:
        found.append(number)
        sql = "SELECT parent FROM motion_states WHERE component = ? AND number = ?"
        row = tx.execute(sql, (component, number)).fetchone()
        number = None if row is None else row[0]
    return found


def rows_without_outputs(
    tx: Transaction, layout: Layout, spec: TriggerSpec, live: int, version: int
) -> Sequence[int]:
    """Return the rows that `live` has outputs for, and `version` has none for the same input."""
    low, high = slot_of(live, 0), slot_of(live + 1, 0) - 1
    shift = slot_of(version, 0) - slot_of(live, 0)
    sql = (
        f"SELECT l.slot FROM {outputs_table(spec.name)} l LEFT JOIN {outputs_table(spec.name)} v ON v.slot = l.slot + ? "
        f'WHERE l.slot BETWEEN ? AND ? AND (v.slot IS NULL OR v.":done" >> 20 < l.":done" >> 20)'
    )
    mask = (1 << VERSION_SHIFT) - 1
    return [int(row[0]) & mask for row in tx.execute(sql, (shift, low, high))]
