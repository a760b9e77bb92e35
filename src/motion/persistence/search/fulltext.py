"""Full-text indexes: SQLite's FTS5 over one key's stored values, kept by triggers of the database itself.

An index is made by the first search of its key, and from then on every write keeps it, in the same transaction and
whatever made the write. It holds no text, only the words that `motion.words` finds in it. One of another form is
made again. Words are compared without case and accents, and English ones by their stem.
"""

from __future__ import annotations

import logging

from motion.backends.base import Transaction
from motion.definitions.tables.schema import Key
from motion.persistence.layout import ALL_ROWS, Layout, outputs_table, quoted, slot_of
from motion.persistence.rows.reading import user_query
from motion.persistence.search.filters import Filter
from motion.words import FORM, phrases

logger = logging.getLogger(__name__)

PHRASES_AT_MOST = 256

TOKENIZER = "porter unicode61 remove_diacritics 2 categories 'L* M* N* Co So'"

WORDS = quoted(FORM)


def is_made(tx: Transaction, layout: Layout, key: Key) -> bool:
    """Return whether a key has a full-text index of the form that is searched now."""
    return WORDS in _definition(tx, _name(layout, key))


def make(tx: Transaction, layout: Layout, key: Key) -> None:
    """Make a key's full-text index from the rows, and see to it that writes keep it, unless it is there."""
    name = _name(layout, key)
    definition = _definition(tx, name)
    if WORDS in definition:
        return
    index = quoted(name)
    if definition:
        logger.info(
            "the full-text index of %s.%s is of an earlier form, and made again from the rows",
            key.table,
            key.name,
        )
        for event in ("insert", "delete", "update"):
            tx.execute(f"DROP TRIGGER IF EXISTS {quoted(f'{name}:{event}')}")
        tx.execute(f"DROP TABLE {index}")
    (content, number), column = _content(layout, key), quoted(key.name)
    tx.execute(
        f"CREATE VIRTUAL TABLE {index} USING fts5({WORDS}, content='', tokenize={_text(TOKENIZER)})"
    )
    add = f"INSERT INTO {index} (rowid, {WORDS}) SELECT new.{number}, motion_words(new.{column}) WHERE new.{column} NOT NULL;"
    remove = (
        f"INSERT INTO {index} ({index}, rowid, {WORDS}) "
        f"SELECT 'delete', old.{number}, motion_words(old.{column}) WHERE old.{column} NOT NULL;"
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
        f"INSERT INTO {index} (rowid, {WORDS}) "
        f"SELECT {number}, motion_words({column}) FROM {content} WHERE {column} NOT NULL"
    )


def merge_all(tx: Transaction) -> None:
    """Merge each index into one part: words of rows that are gone stay in others until then."""
    sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB 'motion_text_*' AND sql GLOB '*fts5(*'"
    for (name,) in tx.execute(sql).fetchall():
        tx.execute(f"INSERT INTO {quoted(name)} ({quoted(name)}) VALUES ('optimize')")


def _definition(tx: Transaction, name: str) -> str:
    """Return how an index was made, "" where there is none."""
    sql = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?"
    found = tx.execute(sql, (name,)).fetchone()
    return "" if found is None else str(found[0])


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
    return " OR ".join(f'"{phrase}"' for phrase in phrases(text, PHRASES_AT_MOST))


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


def _text(option: str) -> str:
    """Return an option as FTS5 takes it."""
    return "'" + option.replace("'", "''") + "'"
