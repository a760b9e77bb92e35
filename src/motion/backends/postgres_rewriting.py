"""Rewriting: all tables of a store are written anew, so that no byte of what was deleted is left in their files.

A plain VACUUM leaves the bytes in the free space of a page. CLUSTER writes a table, what is stored beside it, and its indexes into new
files, as VACUUM FULL does, but also in a transaction, in which alone it can be said how long to wait for others, whatever is
between here and the server. Each table is locked for as long as that takes, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from motion.backends.postgres_session import Session
from motion.backends.postgres_sql import name

LOCK_WAIT = "1s"
"""Who comes to read a table meanwhile waits behind it."""

SEEN = "motion_seen_until"
"""A table with no rows, to which one is added that is deleted at once: it has a size until nobody can see that row."""


OWN_INDEX = "motion_to_rewrite"
"""Made for as long as that takes on a table that has none."""


def rewrite_tables(session: Session, is_given_up: Callable[[], bool]) -> bool:
    """Write all tables anew, as soon as nobody reads with a snapshot in which rows are that were deleted by now.

    Args:
        is_given_up: is asked after each try that others have held up, and returns after a while.

    Returns:
        Whether it is done, and not given up.
    """
    while not (_is_made(session) and _unseen(session)):
        if is_given_up():
            return False
    for table in session.tables():
        while not _written(session, table):
            if is_given_up():
                return False
    return True


def _begin(session: Session) -> str:
    path = f"SET LOCAL search_path TO {name(session.schema)}, public"
    return (
        f"BEGIN; {path}; SET LOCAL lock_timeout TO '{LOCK_WAIT}'; SET LOCAL statement_timeout TO 0"
    )


def _is_made(session: Session) -> bool:
    """Make what is to be seen, where it is not there; False where somebody else is making it: `IF NOT EXISTS` does not see that, and
    fails on the name when the other one commits."""
    made = f"CREATE TABLE IF NOT EXISTS {SEEN} (one bigint PRIMARY KEY)"
    try:
        session.run(f"{_begin(session)}; {made}; COMMIT")
    except (psycopg.errors.LockNotAvailable, psycopg.errors.UniqueViolation):
        session.end()
        return False
    return True


def _unseen(session: Session) -> bool:
    """Whether nobody sees what was deleted before, in the whole database: a copy of a table keeps what somebody may see."""
    session.run(f"{_begin(session)}; INSERT INTO {SEEN} VALUES (1) ON CONFLICT DO NOTHING; COMMIT")
    session.run(f"{_begin(session)}; DELETE FROM {SEEN}; COMMIT")
    if not _written(session, SEEN):
        return False
    sql = "SELECT pg_relation_size(CAST(? AS regclass)) = 0"
    return bool(session.execute(sql, (f"{name(session.schema)}.{SEEN}",)).fetchone()[0])


def _written(session: Session, table: str) -> bool:
    """Write a table anew, and count its values anew, of which the planner keeps some; False where somebody has it in use."""
    index, own = _index_of(session, table), name(OWN_INDEX)
    made, dropped = f"CREATE INDEX {own} ON {name(table)} ((1)); ", f"DROP INDEX {own}; "
    try:
        session.run(
            f"{_begin(session)}; LOCK TABLE {name(table)}; {'' if index else made}"
            f"CLUSTER {name(table)} USING {name(index or OWN_INDEX)}; {'' if index else dropped}"
            f"ALTER TABLE {name(table)} SET WITHOUT CLUSTER; ANALYZE {name(table)}; COMMIT"
        )
    except psycopg.errors.LockNotAvailable:
        session.end()
        return False
    except psycopg.errors.UndefinedTable:  # it was dropped meanwhile
        session.end()
    return True


def _index_of(session: Session, table: str) -> str | None:
    """Return an index by which a table can be written, its primary key first."""
    found = session.execute(
        "SELECT i.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid "
        "JOIN pg_namespace n ON n.oid = t.relnamespace JOIN pg_am a ON a.oid = i.relam WHERE n.nspname = ? AND t.relname = ? "
        "AND x.indisvalid AND x.indpred IS NULL AND a.amname = 'btree' ORDER BY x.indisprimary DESC, i.relname LIMIT 1",
        (session.schema, table),
    ).fetchone()
    return None if found is None else str(found[0])
