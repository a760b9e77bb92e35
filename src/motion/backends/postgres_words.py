"""Full-text indexes in PostgreSQL: a table beside the rows with a `tsvector` of each, found by GIN.

The words are those that `motion.words` finds, which the database cannot do by itself. So triggers of the database only note
which rows have become others, and whoever searches next brings the index up to date first. English words are compared by
their stem, and none is left out. The score is BM25, of a phrase by the rarest of its words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from motion.backends.base import RowTrigger, Transaction, WordIndex
from motion.backends.postgres_sql import literal, name
from motion.words import FORM, PLAIN, words

NOTED = "motion_text_noted"

WORDS = name(FORM)

AT_ONCE = 1_000
"""Rows whose words are found at a time."""

LAST_PLACE = 16_383
"""Words of a text beyond have no place of their own."""

LONGEST_WORD, MOST_BYTES = 500, 500_000
"""Characters of a word, and bytes of the words of a text, that are kept: a `tsvector` has an end."""

PLAIN_WORD = re.compile(r"[a-z0-9]+")

K1, B = 1.2, 0.75


def is_made(tx: Transaction, index: WordIndex) -> bool:
    """Whether an index is there, of the form that is searched now, and up to date."""
    if FORM not in tx.columns(name(index.name)):
        return False
    sql = f"SELECT 1 FROM {NOTED} WHERE name = ? LIMIT 1"
    return tx.execute(sql, (index.name,)).fetchone() is None


def make(tx: Transaction, index: WordIndex) -> None:
    """Make an index from the rows, or bring it up to date."""
    if FORM not in tx.columns(name(index.name)):
        _begin(tx, index)
    numbers = f"SELECT DISTINCT number FROM {NOTED} WHERE name = ?"
    noted = [int(row[0]) for row in tx.execute(numbers, (index.name,))]
    for start in range(0, len(noted), AT_ONCE):
        _take(tx, index, noted[start : start + AT_ONCE])
    tx.execute(f"DELETE FROM {NOTED} WHERE name = ?", (index.name,))


def erase(tx: Transaction) -> None:
    """Take out of all indexes what is noted: the next search puts in again what is there."""
    if not tx.columns(NOTED):
        return
    noted = [str(row[0]) for row in tx.execute(f"SELECT DISTINCT name FROM {NOTED}").fetchall()]
    for index in filter(lambda each: tx.columns(name(each)), noted):
        within = f"SELECT number FROM {NOTED} WHERE name = ?"
        tx.execute(f"DELETE FROM {name(index)} WHERE number IN ({within})", (index,))


def _begin(tx: Transaction, index: WordIndex) -> None:
    """Make an empty index, with all rows noted for it."""
    kept, table = name(index.name), index.table
    for event in ("insert", "delete", "update"):
        tx.drop_trigger(f"{index.name}:{event}", table)
    tx.execute(f"DROP TABLE IF EXISTS {kept}")
    tx.execute(f"CREATE TABLE IF NOT EXISTS {NOTED} (name TEXT NOT NULL, number INTEGER NOT NULL)")
    tx.execute(f"CREATE INDEX IF NOT EXISTS motion_text_noted_name ON {NOTED} (name)")
    tx.execute(f"DELETE FROM {NOTED} WHERE name = ?", (index.name,))
    tx.execute(
        f"CREATE TABLE {kept} (number INTEGER PRIMARY KEY, length INTEGER NOT NULL, {WORDS} tsvector NOT NULL)"
    )
    tx.execute(f"CREATE INDEX {name(f'{index.name}:words')} ON {kept} USING gin ({WORDS})")
    note = (
        f"INSERT INTO {NOTED} (name, number) VALUES ({literal(index.name)}, {{}}.{index.number});"
    )
    changed = f"old.{index.column} IS DISTINCT FROM new.{index.column}"
    for event, when, condition, which in (
        ("insert", "INSERT", f"new.{index.column} IS NOT NULL", "new"),
        ("delete", "DELETE", f"old.{index.column} IS NOT NULL", "old"),
        ("update", f"UPDATE OF {index.column}", changed, "new"),
    ):
        action = note.format(which)
        tx.make_trigger(RowTrigger(f"{index.name}:{event}", table, when, condition, action))
    tx.execute(
        f"INSERT INTO {NOTED} (name, number) SELECT ?, {index.number} FROM {table} WHERE {index.column} IS NOT NULL",
        (index.name,),
    )


def _take(tx: Transaction, index: WordIndex, numbers: Sequence[int]) -> None:
    """Bring rows up to date."""
    kept = name(index.name)
    tx.on_each(f"DELETE FROM {kept} WHERE number = ?", [numbers])
    sql = (
        f"SELECT {index.number}, {index.column} FROM {index.table} WHERE {index.number} = ANY (?::bigint[]) "
        f"AND {index.column} IS NOT NULL"
    )
    found = [
        (int(number), list(_split(words(text))))
        for number, text in tx.execute(sql, (list(numbers),))
    ]
    stems = _stems(tx, {word for _, texts in found for word in texts})
    rows = [(number, len(each), _vector(stems[word] for word in each)) for number, each in found]
    tx.insert(kept, ("number", "length", WORDS), rows)


def _split(found: str) -> Iterable[str]:
    """Return the words of what `motion.words` has found: a plain text it leaves to the database."""
    split = PLAIN_WORD.findall(found.lower()) if PLAIN.fullmatch(found) else found.split()
    return (word[:LONGEST_WORD] for word in split)


def _stems(tx: Transaction, given: Iterable[str]) -> dict[str, str]:
    wanted = list(given)
    sql = "SELECT w, COALESCE((ts_lexize('english_stem', w))[1], w) FROM unnest(?::text[]) AS w"
    return dict(tx.execute(sql, (wanted,)).fetchall()) if wanted else {}


def _vector(stems: Iterable[str]) -> str:
    """Return a `tsvector` as text."""
    parts: list[str] = []
    size = 0
    for place, stem in enumerate(stems, 1):
        parts.append(f"{_quoted(stem)}:{min(place, LAST_PLACE)}")
        size += len(parts[-1].encode())
        if size > MOST_BYTES:
            break
    return " ".join(parts)


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def found(
    tx: Transaction, index: WordIndex, phrases: Sequence[str], between: tuple[int, int] | None
) -> tuple[str, list[Any]]:
    """Return the query for the numbers of rows that have any of some phrases, with their scores."""
    split = [each for each in (list(_split(phrase)) for phrase in phrases) if each]
    stems = _stems(tx, {word for each in split for word in each})
    stemmed = [[stems[word] for word in each] for each in split]
    queries = [" <-> ".join(map(_quoted, each)) for each in stemmed]
    kept, within, numbers = name(index.name), "", list[Any]()
    if between is not None:
        within, numbers = " WHERE number BETWEEN ? AND ?", list(between)
    count = f"SELECT count(*) AS n, greatest(avg(length), 1)::float8 AS mean FROM {kept}{within}"
    sql = (
        f"WITH given AS (SELECT q::tsquery AS q, string_to_array(w, ' ') AS words, place "
        f"FROM unnest(?::text[], ?::text[]) WITH ORDINALITY AS u (q, w, place)), "
        f"kept AS (SELECT number, length, {WORDS} AS words FROM {kept}{within}), all_rows AS ({count}), "
        f"hits AS (SELECT k.number, k.length, g.place, count(*) OVER (PARTITION BY g.place) AS rows, "
        f"(SELECT min(cardinality(t.positions)) FROM unnest(k.words) t WHERE t.lexeme = ANY (g.words))::float8 AS often "
        f"FROM given g JOIN kept k ON k.words @@ g.q) "
        f'SELECT h.number AS ":number", '
        f"sum(greatest(ln((a.n - h.rows + 0.5) / (h.rows + 0.5)), 0.000001)::float8 * h.often * {K1 + 1} "
        f'/ (h.often + {K1} * ({1 - B} + {B} * h.length / a.mean))) AS ":score" '
        f"FROM hits h CROSS JOIN all_rows a GROUP BY h.number"
    )
    given = [queries, [" ".join(each) for each in stemmed], *numbers, *numbers]
    return sql, given
