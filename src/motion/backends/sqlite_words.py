"""Full-text indexes in SQLite: FTS5 over one column, kept by triggers of the database itself.

An index holds no text, only the words that `motion.words` finds in it. One of another form is made again. Words are
compared without case and accents, and English ones by their stem.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from motion.backends.base import RowTrigger, Transaction, WordIndex
from motion.words import FORM

logger = logging.getLogger(__name__)

TOKENIZER = "porter unicode61 remove_diacritics 2 categories 'L* M* N* Co So'"

WORDS = f'"{FORM}"'

EVENTS = ("insert", "delete", "update")


def is_made(tx: Transaction, index: WordIndex) -> bool:
    """Whether an index is there, of the form that is searched now."""
    return WORDS in _definition(tx, index.name)


def make(tx: Transaction, index: WordIndex) -> None:
    """Make an index from the rows, and see to it that writes keep it, unless it is there."""
    definition = _definition(tx, index.name)
    if WORDS in definition:
        return
    name, number, column = f'"{index.name}"', index.number, index.column
    if definition:
        logger.info(
            "the full-text index of %s is of an earlier form, and made again from the rows",
            index.key,
        )
        for event in EVENTS:
            tx.drop_trigger(f"{index.name}:{event}", index.table)
        tx.execute(f"DROP TABLE {name}")
    tx.execute(
        f"CREATE VIRTUAL TABLE {name} USING fts5({WORDS}, content='', tokenize={_text(TOKENIZER)})"
    )
    add = f"INSERT INTO {name} (rowid, {WORDS}) SELECT new.{number}, motion_words(new.{column}) WHERE new.{column} IS NOT NULL;"
    remove = (
        f"INSERT INTO {name} ({name}, rowid, {WORDS}) "
        f"SELECT 'delete', old.{number}, motion_words(old.{column}) WHERE old.{column} IS NOT NULL;"
    )
    changed = f"old.{column} IS DISTINCT FROM new.{column}"
    for event, when, condition, action in (
        ("insert", "INSERT", "1 = 1", add),
        ("delete", "DELETE", "1 = 1", remove),
        ("update", f"UPDATE OF {column}", changed, f"{remove} {add}"),
    ):
        tx.make_trigger(RowTrigger(f"{index.name}:{event}", index.table, when, condition, action))
    tx.execute(
        f"INSERT INTO {name} (rowid, {WORDS}) "
        f"SELECT {number}, motion_words({column}) FROM {index.table} WHERE {column} IS NOT NULL"
    )


def merge(tx: Transaction) -> None:
    """Merge each index into one part: words of rows that are gone stay in others until then."""
    sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB 'motion_text_*' AND sql GLOB '*fts5(*'"
    for (name,) in tx.execute(sql).fetchall():
        tx.execute(f'INSERT INTO "{name}" ("{name}") VALUES (\'optimize\')')


def found(
    index: WordIndex, phrases: Sequence[str], between: tuple[int, int] | None
) -> tuple[str, list[Any]]:
    """Return the query for the numbers of rows that have any of some phrases, with their scores (BM25)."""
    name, within, numbers = f'"{index.name}"', "", list[Any]()
    if between is not None:
        within, numbers = " AND rowid BETWEEN ? AND ?", list(between)
    query = " OR ".join(f'"{phrase}"' for phrase in phrases)  # quoted, so that none is an operator
    sql = f'SELECT rowid AS ":number", -bm25({name}) AS ":score" FROM {name} WHERE {name} MATCH ?{within}'
    return sql, [query, *numbers]


def _definition(tx: Transaction, name: str) -> str:
    """Return how an index was made, "" where there is none."""
    sql = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?"
    kept = tx.execute(sql, (name,)).fetchone()
    return "" if kept is None else str(kept[0])


def _text(option: str) -> str:
    """Return an option as FTS5 takes it."""
    return "'" + option.replace("'", "''") + "'"
