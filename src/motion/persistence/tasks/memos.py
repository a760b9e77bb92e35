"""Memos: results kept for equal inputs, so that they need not be made again. A bounded number of them for each trigger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

import msgspec

from motion.backends.base import Transaction
from motion.definitions.tasks import ranges_of
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.persistence.layout import Layout, Pins
from motion.persistence.ranges import cut, filled_up, parts_of, places

KEPT = 100_000

KEPT_BYTES = 256 * 2**20
"""Results that are kept of each trigger, by number and by size; those made last."""

TRIMMED_EVERY = 1_000


def digests_of(spec: TriggerSpec, pins: Pins, inputs: Sequence[Sequence[Stored]]) -> list[bytes]:
    """Return what names the result for each row: the trigger's code, the state versions it runs with, and its inputs.

    Args:
        inputs: for each row, the stored values of the parameters, in their order.
    """
    known = {name: pins[name] for name in spec.components}
    made_by = msgspec.msgpack.encode((spec.fingerprint, sorted(known.items())))
    return [sha256(made_by + msgspec.msgpack.encode(row)).digest() for row in inputs]


def read(tx: Transaction, trigger: str, digests: Iterable[bytes]) -> dict[bytes, Any]:
    """Return the results that are kept for some of these digests."""
    wanted, found = list(dict.fromkeys(digests)), {}
    for part in map(filled_up, cut(wanted)):
        sql = (
            "SELECT inputs, result FROM motion_memos WHERE trigger = ? "
            f"AND inputs IN ({places(part)})"
        )
        for digest, result in tx.execute(sql, (trigger, *part)):
            found[bytes(digest)] = msgspec.msgpack.decode(result)
    return found


def write(
    tx: Transaction,
    layout: Layout,
    spec: TriggerSpec,
    results: Mapping[bytes, Any],
    rows: Mapping[int, bytes],
) -> None:
    """Keep results, and which rows they are of, as they go with the last of these; what is of a row that was deleted
    meanwhile is not kept. From time to time those that were made first are dropped, beyond what is kept.

    Args:
        rows: row -> what names its result, one that was kept before too.
    """
    trigger = spec.name
    if not spec.event:  # else its rows are gone when it runs
        there = _still_there(tx, layout, rows)
        sql = "INSERT INTO motion_memo_rows (trigger, row, inputs) VALUES (?, ?, ?) ON CONFLICT (trigger, row, inputs) DO NOTHING"
        tx.executemany(sql, [(trigger, row, rows[row]) for row in there])
        named = {rows[row] for row in there}
        results = {digest: each for digest, each in results.items() if digest in named}
    if not results:
        return
    tx.executemany(
        "INSERT INTO motion_memos (trigger, inputs, result) VALUES (?, ?, ?) ON CONFLICT (trigger, inputs) DO NOTHING",
        [(trigger, digest, msgspec.msgpack.encode(each)) for digest, each in results.items()],
    )
    last = int(tx.execute("SELECT COALESCE(MAX(memo), 0) FROM motion_memos").fetchone()[0])
    if last // TRIMMED_EVERY != (last - len(results)) // TRIMMED_EVERY:
        _trim(tx, trigger)


def _still_there(tx: Transaction, layout: Layout, rows: Mapping[int, bytes]) -> list[int]:
    found: list[int] = []
    for part in parts_of(sorted(rows)):
        sql = f"SELECT {layout.row_column} FROM {layout.base} WHERE {part.condition(layout.row_column)}"
        found += [int(row[0]) for row in tx.execute(sql, part.numbers)]
    return [row for row in found if row in rows]


def forget(tx: Transaction, trigger: str, rows: Sequence[int]) -> None:
    """Drop the results of deleted rows, but for those that other rows share."""
    if (
        tx.execute(
            "SELECT 1 FROM motion_memo_rows WHERE trigger = ? LIMIT 1", (trigger,)
        ).fetchone()
        is None
    ):
        return
    own = "trigger = ?1 AND row BETWEEN ?2 AND ?3"
    shared = "SELECT 1 FROM motion_memo_rows r WHERE r.trigger = ?1 AND r.inputs = motion_memos.inputs AND NOT (r.row BETWEEN ?2 AND ?3)"
    for low, high in ranges_of(rows):
        tx.execute(
            f"DELETE FROM motion_memos WHERE trigger = ?1 AND inputs IN (SELECT inputs FROM motion_memo_rows WHERE {own}) "
            f"AND NOT EXISTS ({shared})",
            (trigger, low, high),
        )
        tx.execute(f"DELETE FROM motion_memo_rows WHERE {own}", (trigger, low, high))


def forget_all(tx: Transaction, trigger: str) -> None:
    """Drop all results of a trigger."""
    for table in ("motion_memos", "motion_memo_rows"):
        tx.execute(f"DELETE FROM {table} WHERE trigger = ?", (trigger,))


def _trim(tx: Transaction, trigger: str) -> None:
    newest = "OVER (ORDER BY memo DESC)"
    gone = tx.execute(
        "DELETE FROM motion_memos WHERE trigger = ?1 AND memo <= (SELECT MAX(memo) FROM ("
        f"SELECT memo, ROW_NUMBER() {newest} AS place, SUM(LENGTH(result)) {newest} AS bytes "
        "FROM motion_memos WHERE trigger = ?1) WHERE place > ?2 OR bytes > ?3) RETURNING inputs",
        (trigger, KEPT, KEPT_BYTES),
    ).fetchall()
    sql = "DELETE FROM motion_memo_rows WHERE trigger = ? AND inputs = ?"
    tx.executemany(sql, [(trigger, inputs) for (inputs,) in gone])
