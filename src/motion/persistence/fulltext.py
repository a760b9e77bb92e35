"""Full-text indexes: SQLite's FTS5 over one key's stored values, kept by triggers of the database itself.

An index is made by the first search of its key, and from then on every write keeps it, in the same transaction and
whatever made the write. It holds no text of its own, only the words. Words are compared without case and accents, and
English ones by their stem.
"""

from __future__ import annotations

from motion.backends.base import Transaction
from motion.persistence.filters import Filter
from motion.persistence.layout import ALL_ROWS, Layout, outputs_table, quoted, slot_of
from motion.persistence.reading import user_query
from motion.schema import Key

WORDS_AT_MOST = 256
RESERVED = ("rank", "rowid")  # names that no column of FTS5 can have
TOKENIZER = "porter unicode61 remove_diacritics 2"


def is_made(tx: Transaction, layout: Layout, key: Key) -> bool:
    """Return whether a key has a full-text index."""
    sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return tx.execute(sql, (_name(layout, key),)).fetchone() is not None


def make(tx: Transaction, layout: Layout, key: Key) -> None:
    """Make a key's full-text index from the rows, and see to it that writes keep it, unless it is there."""
    if is_made(tx, layout, key):
        return
    (content, number), column = _content(layout, key), quoted(key.name)
    named = quoted(f"{key.name}:text") if key.name.lower() in RESERVED else column
    name = _name(layout, key)
    index = quoted(name)
    tx.execute(
        f"CREATE VIRTUAL TABLE {index} USING fts5({named}, content={_text(content)}, "
        f"content_rowid={_text(number)}, tokenize={_text(TOKENIZER)})"
    )
    add = f"INSERT INTO {index} (rowid, {named}) SELECT new.{number}, new.{column} WHERE new.{column} NOT NULL;"
    remove = (
        f"INSERT INTO {index} ({index}, rowid, {named}) "
        f"SELECT 'delete', old.{number}, old.{column} WHERE old.{column} NOT NULL;"
    )
    for event, when, actions in (
        ("INSERT", "1", add),
        ("DELETE", "1", remove),
        (f"UPDATE OF {column}", f"old.{column} IS NOT new.{column}", f"{remove} {add}"),
    ):
        trigger = quoted(f"{name}:{event.split()[0].lower()}")
        tx.execute(
            f"CREATE TRIGGER {trigger} AFTER {event} ON {content} WHEN {when} BEGIN {actions} END"
        )
    tx.execute(
        f"INSERT INTO {index} (rowid, {named}) SELECT {number}, {column} FROM {content} WHERE {column} NOT NULL"
    )


def search(
    tx: Transaction, layout: Layout, key: Key, version: int, text: str, k: int, among: Filter | None
) -> list[tuple[int, float]]:
    """Return the rows whose text has any of the words, and their scores (BM25), best first.

    Args:
        version: the state version whose values are searched; 0 for a key that has none.
        text: words, in any form: nothing in it is an operator.
    """
    query = _query(text)
    if not query:
        return []
    index = quoted(_name(layout, key))
    low, high = slot_of(version, 0), slot_of(version, ALL_ROWS)
    row, within = (
        (f"rowid - {low}", f" AND rowid BETWEEN {low} AND {high}") if version else ("rowid", "")
    )
    matches = f'SELECT {row} AS ":found", -bm25({index}) AS ":score" FROM {index} WHERE {index} MATCH ?{within}'
    if among is None:
        sql, values = f"{matches} ORDER BY 2 DESC, 1 LIMIT ?", [query, k]
        return [(int(found), float(score)) for found, score in tx.execute(sql, values)]
    sql = (
        f'SELECT ":found", ":score" FROM ({matches}) CROSS JOIN {layout.shown(among.pins)} '
        f'ON ":row" = ":found" WHERE ({among.condition}\n) ORDER BY 2 DESC, 1 LIMIT ?'
    )
    rows = user_query(tx, sql, [query, *among.parameters, k], among.condition, layout.table)
    return [(int(found), float(score)) for found, score in rows]


def _query(text: str) -> str:
    """Return an FTS5 query for any of the words of a text: each quoted, so that none is an operator."""
    clean = text.encode("utf-8", "ignore").decode().replace("\0", " ").replace('"', " ")
    words = list(dict.fromkeys(clean.split()))[:WORDS_AT_MOST]
    return " OR ".join(f'"{word}"' for word in words)


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


def _text(name: str) -> str:
    """Return a name as FTS5 takes it in an option."""
    return "'" + _plain(name).replace("'", "''") + "'"
