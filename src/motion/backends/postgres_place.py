"""Where a store in PostgreSQL is: a database, a schema, and a folder for what is not rows.

A URL may name the last two, as `motion_schema=` and `motion_folder=`. Without, the schema is called as the store is, and the
folder is made by whoever makes the store; the schema keeps where, so that every process finds it, and none works in another.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import psycopg

from motion.backends.postgres_errors import advice_on
from motion.backends.postgres_session import CONNECT_S, check_encoding
from motion.backends.postgres_sql import name
from motion.errors import InvalidArgument, NotOnPostgres, StoreUnavailable

LONGEST_SCHEMA = 50
"""Bytes of a schema's name: the channel on which processes tell each other is named after it."""


def parts_of(url: str, store: str) -> tuple[str, str, str | None]:
    """Return what libpq takes, the schema, and the folder where the URL names it."""
    try:
        split = urlsplit(url)
    except ValueError as exc:  # which is not quoted whole: it may hold a password
        told = f"one that cannot be read ({exc})"
        raise InvalidArgument(
            "url", told, "an address such as postgresql://user@host/database"
        ) from exc
    given = parse_qsl(split.query, keep_blank_values=True)
    own = {key: value for key, value in given if key.startswith("motion_")}
    if further := own.keys() - {"motion_schema", "motion_folder"}:
        raise NotOnPostgres(
            f"{sorted(further)[0]!r} in its URL",
            "Motion's own are motion_schema= and motion_folder=.",
        )
    rest = _encoded([(key, value) for key, value in given if key not in own])
    schema = own.get("motion_schema", store)
    if len(schema.encode()) > LONGEST_SCHEMA:
        raise NotOnPostgres(
            f"a name of {len(schema.encode())} bytes",
            f"name the schema, in at most {LONGEST_SCHEMA}: ?motion_schema=...",
        )
    return urlunsplit(split._replace(query=rest)), schema, own.get("motion_folder")


def whole_url(conninfo: str, schema: str, folder: Path) -> str:
    """Return the URL that names all three."""
    split = urlsplit(conninfo)
    given = [*parse_qsl(split.query, keep_blank_values=True), ("motion_schema", schema)]
    return urlunsplit(split._replace(query=_encoded([*given, ("motion_folder", str(folder))])))


def _encoded(given: list[tuple[str, str]]) -> str:
    return urlencode(given, quote_via=quote)  # to libpq a plus is a plus, not a space


def folder_of(url: str, store: str) -> Path:
    """Return the folder of a store, which is chosen where there is none yet.

    Raises:
        StoreUnavailable: the server cannot be reached, or the folder is not on this machine, or another than the URL names.
    """
    conninfo, schema, given = parts_of(url, store)
    named = None if given is None else Path(given).expanduser().resolve()
    try:
        with psycopg.connect(
            conninfo, client_encoding="utf8", connect_timeout=CONNECT_S
        ) as connection:
            check_encoding(connection, schema)
            folder, is_new = _kept_folder(connection, schema, store, named)
    except psycopg.Error as exc:
        raise StoreUnavailable(
            f"schema {schema!r} of PostgreSQL",
            f"{str(exc).strip()}. {advice_on(exc) or 'Look whether the server can be reached by this URL.'}",
        ) from exc
    if named is not None and folder != named:
        raise StoreUnavailable(
            f"schema {schema!r} of PostgreSQL",
            f"its states and indexes are in {folder}, and the URL names {named}. Processes with two folders would each take "
            f"the other's for dead: name the first, or none. Where the store has moved, take the old folder away.",
        )
    if named is None and not is_new and not folder.is_dir():
        raise StoreUnavailable(
            f"schema {schema!r} of PostgreSQL",
            f"its states and indexes are in {folder}, which is not on this machine, and a store is for the processes of one "
            f"machine. Where it has moved here, name where with ?motion_folder=... in the URL.",
        )
    return folder


def _kept_folder(
    connection: psycopg.Connection, schema: str, store: str, named: Path | None
) -> tuple[Path, bool]:
    """Return the folder that the schema keeps, and whether it did not keep one before. One that is not there any more has moved
    to where the URL says."""
    place = f"{name(schema)}.motion_place"
    connection.execute("SELECT pg_advisory_xact_lock(hashtext('motion places'))")
    known = connection.execute("SELECT to_regnamespace(quote_ident(%s))", (schema,)).fetchone()
    if known == (None,):  # else no right to make any is needed
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {name(schema)}")
    connection.execute(f"CREATE TABLE IF NOT EXISTS {place} (folder text NOT NULL)")
    found = connection.execute(f"SELECT folder FROM {place}").fetchone()
    kept = None if found is None else Path(found[0])
    if kept is not None and (named in (None, kept) or kept.is_dir()):
        return kept, False
    if named is None:
        named = (Path.cwd() / f"{store}-{uuid.uuid4().hex[:8]}.motion").resolve()
        named.mkdir()
    connection.execute(f"DELETE FROM {place}")
    connection.execute(f"INSERT INTO {place} (folder) VALUES (%s)", (str(named),))
    return named, kept is None
