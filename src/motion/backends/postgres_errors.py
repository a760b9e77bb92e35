"""What errors of a PostgreSQL server mean: that it is gone, that it will not have us, that it may be asked again; and what to do."""

from __future__ import annotations

import psycopg

LOST = ("08", "25P03", "25P04", "57P01", "57P02", "57P03", "57P05")
"""SQLSTATEs of connections that are gone, or cannot be made yet: 25P03, 25P04 and 57P05 are the server's own limits of time."""


def is_lost(exc: psycopg.Error) -> bool:
    """Whether an error says that the connection, or the server, is gone."""
    kind = exc.sqlstate
    if kind is None:
        return isinstance(exc, psycopg.OperationalError)
    if kind == "08P01":  # all that a pooler has to say; of a server a statement with too few values
        return "FATAL" in (exc.diag.severity_nonlocalized, exc.diag.severity)
    return kind.startswith(LOST)


REFUSALS = (
    "authentication failed", "no password supplied", "no pg_hba.conf entry", "does not exist", "is not permitted to log in",
    "permission denied", "unrecognized configuration parameter", "invalid value for parameter", "invalid connection option",
)  # fmt: skip
"""What servers, and libpq, say of connections that they will not have whenever they are asked: such an error has no SQLSTATE."""


def is_refused(exc: psycopg.Error) -> bool:
    """Whether a connection was refused for what is in the URL. Of servers that speak another language nobody knows."""
    return exc.sqlstate is None and any(each in str(exc) for each in REFUSALS)


def is_to_be_tried_again(exc: psycopg.Error) -> bool:
    """Whether an attempt may succeed if it is made once more: the server is gone, or chose it as a victim."""
    return (is_lost(exc) and not is_refused(exc)) or exc.sqlstate in ("40001", "40P01")


def advice_on(exc: psycopg.Error) -> str | None:
    """Return what to do about an error that is about the server; None for one that is about a statement."""
    if is_refused(exc):
        return "Look at the user, the password, the database and the options in the URL; nothing of this write was kept."
    if is_lost(exc):
        return "Look whether the server runs and can be reached; nothing of this write was kept."
    kind = exc.sqlstate or ""
    if kind == "55P03":
        return "Another process has been writing for over a minute; look for one that hangs."
    if kind.startswith("53"):
        return "The server has no room; nothing of this write was kept. Make room and try again."
    if kind == "42501":
        return "Grant the role what docs/guides/postgres.md lists."
    if kind == "25006":
        return (
            "It takes no writes: it is a standby, or default_transaction_read_only is on. Name the primary in the URL, or set "
            "that off for this role: ALTER ROLE ... SET default_transaction_read_only TO off."
        )
    if kind in ("3F000", "42P01") and _is_gone(exc):
        return "Its schema was dropped; open the store again to begin anew."
    if kind.startswith(("40", "57")):
        return "Nothing of this write was kept; try again."
    return None


def _is_gone(exc: psycopg.Error) -> bool:
    return "motion_clock" in str(exc) or "motion_writers" in str(exc)
