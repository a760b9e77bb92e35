"""Full-text search over one key's stored values. How an index is kept is the back end's.

An index is made by the first search of its key, and from then on every write keeps it, or has it brought up to date by the
next search, whatever made the write. It holds the words that `motion.words` finds in a text.
"""

from __future__ import annotations

from motion.backends.base import Transaction, WordIndex
from motion.definitions.tables.schema import Key
from motion.persistence.layout import ALL_ROWS, Layout, outputs_table, quoted, slot_of
from motion.persistence.rows.reading import user_query
from motion.persistence.search.filters import Filter
from motion.words import phrases

PHRASES_AT_MOST = 256


def is_made(tx: Transaction, layout: Layout, key: Key) -> bool:
    """Return whether a key has a full-text index that can be searched as it is."""
    return tx.has_words(_index(layout, key))


def make(tx: Transaction, layout: Layout, key: Key) -> None:
    """Make a key's full-text index from the rows, or bring it up to date."""
    tx.make_words(_index(layout, key))


def search(
    tx: Transaction, layout: Layout, key: Key, version: int, text: str, k: int, among: Filter | None
) -> list[tuple[int, float]]:
    """Return the rows whose text has any of the words, and their scores (BM25), best first.

    Args:
        version: the state version whose values are searched; 0 for a key that has none.
        text: words, in any form: nothing in it is an operator.
    """
    wanted = phrases(text, PHRASES_AT_MOST)
    if not wanted:
        return []
    low = slot_of(version, 0)
    between = (low, slot_of(version, ALL_ROWS)) if version else None
    found, given = tx.words_found(_index(layout, key), wanted, between)
    matches = f'SELECT ":number" - {low} AS ":found", ":score" FROM ({found}) m'
    if among is None:
        sql, values = f"{matches} ORDER BY 2 DESC, 1 LIMIT ?", [*given, k]
        return [(int(row), float(score)) for row, score in tx.execute(sql, values)]
    sql = (
        f'SELECT ":found", ":score" FROM ({matches}) m CROSS JOIN {layout.shown(among.pins)} s '
        f'WHERE ":row" = ":found" AND ({among.condition}\n) ORDER BY 2 DESC, 1 LIMIT ?'
    )
    rows = user_query(tx, sql, [*given, *among.parameters, k], among.condition, layout.table)
    return [(int(row), float(score)) for row, score in rows]


def _index(layout: Layout, key: Key) -> WordIndex:
    table, number = _content(layout, key)
    return WordIndex(_name(layout, key), f"{key.table}.{key.name}", table, number, quoted(key.name))


def _content(layout: Layout, key: Key) -> tuple[str, str]:
    """Return the table that holds the key's values, and the column that numbers its rows."""
    spec = layout.versioned.get(key.name)
    return (layout.base, layout.row_column) if spec is None else (outputs_table(spec.name), "slot")


def _name(layout: Layout, key: Key) -> str:
    return f"motion_text_{_plain(_content(layout, key)[0])}:{key.name}".replace(
        "motion_text_motion_", "motion_text_"
    )


def _plain(name: str) -> str:
    return name[1:-1] if name.startswith('"') else name
