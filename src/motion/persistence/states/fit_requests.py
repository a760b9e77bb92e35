"""Requests for fits, and for the `setup` of components whose code of it has changed: what is to run, and who runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from motion.backends.base import Transaction
from motion.definitions.fits import FitSpec
from motion.definitions.values.decoders import from_json
from motion.definitions.versions import Progress


class Request(NamedTuple):
    """What is asked for: a fit by its name, or a `setup` by its fingerprint, as only a process that has this code may run it.
    The other one of them is empty."""

    component: str
    fit: str = ""
    setup: str = ""

    @property
    def name(self) -> str:
        """What people are told."""
        return self.fit or f"{self.component}.setup {self.setup}"


def fit_request(fit: FitSpec) -> Request:
    return Request(fit.component, fit.name)


def request(tx: Transaction, wanted: Request, number: int) -> None:
    """Ask for something; what is asked for already, or running, is enough."""
    tx.execute(
        "INSERT INTO motion_fit_requests (component, fit, setup, change) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (*wanted, number),
    )


def request_fits(tx: Transaction, fits: Sequence[FitSpec], number: int) -> None:
    for fit in fits:
        request(tx, fit_request(fit), number)


def request_setups(tx: Transaction, wanted: Mapping[str, str], number: int) -> None:
    """Ask for the `setup` of components that have a live version, where it is another than the one taken up last.

    Args:
        wanted: component -> fingerprint of its `setup`. What was asked for under another one is withdrawn.
    """
    tx.execute("DELETE FROM motion_fit_requests WHERE owner IS NULL AND setup != ''")
    for component, fingerprint in wanted.items():
        sql = "SELECT 1 FROM motion_components WHERE name = ? AND live IS NOT NULL AND setup IS DISTINCT FROM ?"
        if tx.execute(sql, (component, fingerprint)).fetchone():
            request(tx, Request(component, setup=fingerprint), number)


def claim(tx: Transaction, wanted: Sequence[Request], owner: str) -> Request | None:
    """Claim one of these that is asked for and that nobody runs. An owner runs one at a time, so one that is its own by now
    was given up half way."""
    if not wanted:
        return None
    places = ", ".join(["(?, ?, ?)"] * len(wanted))
    sql = (
        "SELECT component, fit, setup FROM motion_fit_requests WHERE (owner IS NULL OR owner = ?) "
        f"AND (component, fit, setup) IN (VALUES {places}) ORDER BY change, setup, fit LIMIT 1"
    )
    found = tx.execute(sql, (owner, *(each for one in wanted for each in one))).fetchone()
    if found is None:
        return None
    sql = "UPDATE motion_fit_requests SET owner = ? WHERE component = ? AND fit = ? AND setup = ?"
    tx.execute(sql, (owner, *found))
    return Request(*found)


def end(tx: Transaction, ended: Request, owner: str) -> bool:
    """Forget what was asked for, and return whether it still was its owner's."""
    sql = "DELETE FROM motion_fit_requests WHERE component = ? AND fit = ? AND setup = ? AND owner = ?"
    return bool(tx.execute(sql, (*ended, owner)).rowcount)


def withdraw_fit(tx: Transaction, fit: str) -> None:
    """Ask for a fit no longer, unless it runs."""
    tx.execute("DELETE FROM motion_fit_requests WHERE fit = ? AND owner IS NULL", (fit,))


# -- those that run --


def note_seen(tx: Transaction, fit: str, label: int) -> None:
    """Note the newest label that a fit that runs may learn from."""
    tx.execute("UPDATE motion_fit_requests SET seen = ? WHERE fit = ?", (label, fit))


def seen_by(tx: Transaction, fit: str) -> int | None:
    """Return the newest label that a fit may learn from; None where it does not run."""
    sql = "SELECT seen FROM motion_fit_requests WHERE fit = ? AND seen IS NOT NULL"
    found = tx.execute(sql, (fit,)).fetchone()
    return None if found is None else int(found[0])


def note_progress(tx: Transaction, fit: str, told: Progress) -> None:
    sql = "UPDATE motion_fit_requests SET progress = ? WHERE fit = ?"
    tx.execute(sql, (msgspec.json.encode(told).decode(), fit))


def progress_of(tx: Transaction, component: str) -> Progress | None:
    """Return what the running fit of a component told last, None where none runs or it told nothing."""
    sql = "SELECT progress FROM motion_fit_requests WHERE component = ? AND progress IS NOT NULL"
    found = tx.execute(sql, (component,)).fetchone()
    return None if found is None else from_json(found[0], Progress)


def owners(tx: Transaction) -> list[str]:
    sql = "SELECT DISTINCT owner FROM motion_fit_requests WHERE owner IS NOT NULL"
    return [str(row[0]) for row in tx.execute(sql)]


LET_GO = "UPDATE motion_fit_requests SET owner = NULL, progress = NULL, seen = NULL"


def take_over(tx: Transaction, gone: Sequence[str]) -> None:
    """Let others run what these owners ran."""
    tx.executemany(f"{LET_GO} WHERE owner = ?", [(owner,) for owner in gone])


def take_back_fit(tx: Transaction, fit: str, label: int) -> None:
    """Let a fit that runs, and may learn from a label, come to nothing, and be made again."""
    tx.execute(f"{LET_GO} WHERE fit = ? AND seen >= ?", (fit, label))


# -- what there is --


def requests(tx: Transaction) -> list[Request]:
    """Return what is asked for or running."""
    found = tx.execute("SELECT component, fit, setup FROM motion_fit_requests")
    return [Request(*row) for row in found]


def open_to(tx: Transaction, owner: str) -> list[Request]:
    """Return what is asked for and an owner may claim: what another runs is not for it."""
    sql = "SELECT component, fit, setup FROM motion_fit_requests WHERE owner IS NULL OR owner = ?"
    return [Request(*row) for row in tx.execute(sql, (owner,))]


def running(tx: Transaction) -> list[str]:
    """Return the names of what is running."""
    sql = "SELECT component, fit, setup FROM motion_fit_requests WHERE owner IS NOT NULL"
    return sorted(Request(*row).name for row in tx.execute(sql))


def pending(tx: Transaction) -> list[str]:
    """Return the component of each fit and setup that is asked for or running, but for fits that the store does not have."""
    sql = (
        "SELECT component FROM motion_fit_requests WHERE setup != '' "
        "OR fit IN (SELECT name FROM motion_fits WHERE is_active = 1)"
    )
    return [str(component) for (component,) in tx.execute(sql)]
