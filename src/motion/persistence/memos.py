"""Memos: results kept for equal inputs, so that they need not be made again. A bounded number of them for each trigger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

import msgspec

from motion.backends.base import Transaction
from motion.codecs import Stored
from motion.persistence.layout import NAMED_AT_ONCE, Pins
from motion.triggers import TriggerSpec

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
    for start in range(0, len(wanted), NAMED_AT_ONCE):
        part = wanted[start : start + NAMED_AT_ONCE]
        sql = (
            "SELECT inputs, result FROM motion_memos WHERE trigger = ? "
            f"AND inputs IN ({', '.join('?' * len(part))})"
        )
        for digest, result in tx.execute(sql, (trigger, *part)):
            found[bytes(digest)] = msgspec.msgpack.decode(result)
    return found


def write(tx: Transaction, trigger: str, results: Mapping[bytes, Any]) -> None:
    """Keep results. From time to time those that were made first are dropped, beyond what is kept."""
    if not results:
        return
    tx.executemany(
        "INSERT OR IGNORE INTO motion_memos (trigger, inputs, result) VALUES (?, ?, ?)",
        [(trigger, digest, msgspec.msgpack.encode(each)) for digest, each in results.items()],
    )
    last = int(tx.execute("SELECT COALESCE(MAX(memo), 0) FROM motion_memos").fetchone()[0])
    if last // TRIMMED_EVERY != (last - len(results)) // TRIMMED_EVERY:
        _trim(tx, trigger)


def _trim(tx: Transaction, trigger: str) -> None:
    newest = "OVER (ORDER BY memo DESC)"
    tx.execute(
        "DELETE FROM motion_memos WHERE trigger = ?1 AND memo <= (SELECT MAX(memo) FROM ("
        f"SELECT memo, ROW_NUMBER() {newest} AS place, SUM(LENGTH(result)) {newest} AS bytes "
        "FROM motion_memos WHERE trigger = ?1) WHERE place > ?2 OR bytes > ?3)",
        (trigger, KEPT, KEPT_BYTES),
    )
