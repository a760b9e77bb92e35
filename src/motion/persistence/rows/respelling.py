"""Respelling: values that an older version stored are stored again as they are now, so that equal ones are found and compared
as such. Their JSON had its keys in the order in which they were given."""

from __future__ import annotations

from collections.abc import Mapping

from motion.backends.base import Transaction
from motion.definitions.tables.schema import Key
from motion.definitions.values.codecs import JsonCodec
from motion.errors import InvalidValue, UnreadableValue
from motion.persistence.layout import Layout, outputs_table, quoted

ROWS_AT_ONCE = 1_000


def respell(tx: Transaction, layout: Layout, stored: Mapping[str, str]) -> None:
    """Store JSON again where a table was noted by a version that did not sort its keys: once, as it is noted anew then.

    Args:
        stored: the signature that the table was noted with.
    """
    for key in layout.table.keys.values():
        noted = stored.get(key.name)
        if noted is not None and isinstance(key.codec, JsonCodec) and not noted.startswith("json "):
            spec = layout.versioned.get(key.name)
            table = layout.base if spec is None else outputs_table(spec.name)
            _respell(tx, table, layout.row_column if spec is None else "slot", key)


def _respell(tx: Transaction, table: str, number: str, key: Key) -> None:
    column, after = quoted(key.name), -(2**63)
    while True:
        sql = (
            f"SELECT {number}, {column} FROM {table} WHERE {number} > ? AND {column} IS NOT NULL "
            f"ORDER BY {number} LIMIT {ROWS_AT_ONCE}"
        )
        rows = tx.execute(sql, (after,)).fetchall()
        if not rows:
            return
        spelled = [(_now(key, text), row) for row, text in rows]
        changed = [pair for pair, (_, text) in zip(spelled, rows, strict=True) if pair[0] != text]
        tx.executemany(f"UPDATE {table} SET {column} = ? WHERE {number} = ?", changed)
        after = rows[-1][0]


def _now(key: Key, text: str) -> object:
    try:
        return key.encode(key.decode(text))
    except (UnreadableValue, InvalidValue):
        return text  # told when it is read
