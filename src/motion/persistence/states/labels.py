"""Labels: copies of rows at the moment a fit's key was set, and which fit learned from which."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from motion import clock
from motion.backends.base import Transaction
from motion.definitions.codecs import Stored
from motion.definitions.fits import FitSpec
from motion.definitions.versions import Label, Progress
from motion.persistence.layout import Layout, quoted
from motion.persistence.ranges import parts_of
from motion.persistence.states import asked

SETUP = ".setup "
"""Between a component's name and a fingerprint, in the name of a request for a changed `setup`."""


def note_labels(
    tx: Transaction, layout: Layout, fit: FitSpec, rows: Sequence[int], number: int
) -> None:
    """Copy rows whose fit key was set, replacing labels of theirs that no fit has learned from; ask for a fit if due."""
    unset = " OR ".join(f"{layout.value(key)} IS NULL" for key in fit.on)
    keys = tuple(layout.table.keys)
    columns = ", ".join(layout.inherited_value(key) for key in keys)
    for part in parts_of(rows):
        found = tx.execute(
            f"SELECT {layout.row}, ({unset}), {columns} FROM {layout.joined(keys)} "
            f"WHERE {part.condition(layout.row)}",
            part.numbers,
        ).fetchall()
        fewer = _forget_unlearned(tx, fit.name, [row for row, *_ in found])
        made = [
            (
                fit.name,
                row,
                msgspec.msgpack.encode(dict(zip(keys, values, strict=True))),
                held_out(row, fit.holdout),
                clock.now_ms(),
            )
            for row, is_unset, *values in found
            if not is_unset
        ]
        tx.executemany(
            "INSERT INTO motion_labels (fit, row, copy, is_held_out, made_at) VALUES (?, ?, ?, ?, ?)",
            made,
        )
        _count(tx, fit.name, len(made) - fewer)
    request_if_due(tx, fit, number)


def request_if_due(tx: Transaction, fit: FitSpec, number: int) -> None:
    """Ask for a fit if so many labels are new that it comes by itself."""
    if fit.every is not None and new_labels(tx, fit) >= fit.every:
        request_fit(tx, fit.name, number)


def held_out(row: int, share: float) -> bool:
    """Whether a row's labels are kept for evaluation: always the same rows, about `share` of them."""
    digest = hashlib.sha256(str(row).encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


UNLEARNED = "NOT EXISTS (SELECT 1 FROM motion_lessons l WHERE l.label = motion_labels.label)"


def _forget_unlearned(tx: Transaction, fit: str, rows: Sequence[int]) -> int:
    """Delete the labels of rows that no version has learned from; return how many of them no fit has seen. Those that a
    running fit learns from stay until its end: they are the record of what its version knows."""
    sql = "SELECT seen FROM motion_fit_requests WHERE fit = ? AND seen IS NOT NULL"
    running = tx.execute(sql, (fit,)).fetchone()
    if running is None:
        return _delete(tx, fit, rows, UNLEARNED)
    mark = f"UPDATE motion_labels SET is_old = 1 WHERE fit = ? AND row = ? AND label <= ? AND {UNLEARNED}"
    tx.executemany(mark, [(fit, row, running[0]) for row in rows])
    return _delete(tx, fit, rows, f"is_old = 0 AND {UNLEARNED}")


def forget_replaced(tx: Transaction, fit: str) -> None:
    """Delete the labels that were replaced or taken back while a fit ran, and that it has not learned from after all."""
    tx.execute(f"DELETE FROM motion_labels WHERE fit = ? AND is_old = 1 AND {UNLEARNED}", (fit,))


def _delete(tx: Transaction, fit: str, rows: Sequence[int], condition: str) -> int:
    seen = _seen(tx, fit)
    own = f"DELETE FROM motion_labels WHERE fit = ? AND row = ? AND {condition}"
    fresh = tx.executemany(f"{own} AND label > ?", [(fit, row, seen) for row in rows]).rowcount
    tx.executemany(own, [(fit, row) for row in rows])
    return max(int(fresh), 0)


def _seen(tx: Transaction, fit: str) -> int:
    found = tx.execute("SELECT seen FROM motion_fit_runs WHERE fit = ?", (fit,)).fetchone()
    return 0 if found is None else int(found[0])


def _count(tx: Transaction, fit: str, more: int) -> None:
    """Note that so many more labels are newer than what the last fit saw: counting them at each label would be linear."""
    if more:
        tx.execute(
            "INSERT INTO motion_fit_runs (fit, fresh) VALUES (?, ?) "
            "ON CONFLICT (fit) DO UPDATE SET fresh = motion_fit_runs.fresh + excluded.fresh",
            (fit, more),
        )


def forget_rows(tx: Transaction, table: str, fits: Sequence[FitSpec], rows: Sequence[int]) -> None:
    """Delete the labels of deleted rows."""
    for fit in fits:
        if fit.table == table:
            _count(tx, fit.name, -_delete(tx, fit.name, rows, "1"))


def new_labels(tx: Transaction, fit: FitSpec) -> int:
    """Return how many labels were made since the last fit of any outcome."""
    sql = "SELECT fresh FROM motion_fit_runs WHERE fit = ?"
    found = tx.execute(sql, (fit.name,)).fetchone()
    return 0 if found is None else int(found[0])


def request_fit(tx: Transaction, fit: str, number: int) -> None:
    """Ask for a fit; one that is asked for already, or running, is enough."""
    tx.execute(
        "INSERT INTO motion_fit_requests (fit, change) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (fit, number),
    )


def request_fits(tx: Transaction, fits: Sequence[FitSpec], number: int) -> None:
    for fit in fits:
        request_fit(tx, fit.name, number)


def claim_fit(tx: Transaction, fits: Sequence[str], owner: str) -> str | None:
    """Claim one requested fit of these that nobody runs. An owner runs one at a time, so one that is its own by now was
    given up half way."""
    places = ", ".join("?" * len(fits))
    sql = f"SELECT fit FROM motion_fit_requests WHERE (owner IS NULL OR owner = ?) AND fit IN ({places}) LIMIT 1"
    found = tx.execute(sql, (owner, *fits)).fetchone()
    if found is None:
        return None
    fit = str(found[0])
    forget_replaced(tx, fit)
    sql = "UPDATE motion_fit_requests SET owner = ?, seen = ? WHERE fit = ?"
    tx.execute(sql, (owner, last_label(tx, fit), fit))
    asked.begin_fit(tx, fit)
    return fit


def end_fit(tx: Transaction, fit: FitSpec, owner: str, seen: int, number: int) -> bool:
    """Note that a fit of any outcome is over, having seen labels up to `seen`; those made meanwhile may ask for another.
    Return whether it still was its owner's: another's outcome counts where it was taken over."""
    if not end_request(tx, fit.name, owner):
        return False
    sql = "SELECT COUNT(*) FROM motion_labels WHERE fit = ? AND label > ?"
    fresh = int(tx.execute(sql, (fit.name, seen)).fetchone()[0])
    tx.execute(
        "INSERT INTO motion_fit_runs (fit, seen, fresh) VALUES (?, ?, ?) "
        "ON CONFLICT (fit) DO UPDATE SET seen = excluded.seen, fresh = excluded.fresh",
        (fit.name, seen, fresh),
    )
    request_if_due(tx, fit, number)
    if asked.is_wanted(tx, fit.name):
        request_fit(tx, fit.name, number)
    return True


def end_request(tx: Transaction, request: str, owner: str) -> bool:
    """Forget what was asked for, and return whether it still was its owner's."""
    sql = "DELETE FROM motion_fit_requests WHERE fit = ? AND owner = ?"
    return bool(tx.execute(sql, (request, owner)).rowcount)


def withdraw_request(tx: Transaction, fit: str) -> None:
    """Ask for a fit no longer, unless it runs."""
    tx.execute("DELETE FROM motion_fit_requests WHERE fit = ? AND owner IS NULL", (fit,))


def setup_request(component: str, fingerprint: str) -> str:
    """Return the name under which a changed `setup` is asked for: only a process that has this code may run it."""
    return f"{component}{SETUP}{fingerprint}"


def request_setups(tx: Transaction, wanted: Mapping[str, str], number: int) -> None:
    """Ask for the `setup` of components that have a live version, where it is another than the one taken up last.

    Args:
        wanted: component -> fingerprint of its `setup`. What was asked for under another one is withdrawn.
    """
    tx.execute("DELETE FROM motion_fit_requests WHERE owner IS NULL AND instr(fit, ?)", (SETUP,))
    for component, fingerprint in wanted.items():
        sql = "SELECT 1 FROM motion_components WHERE name = ? AND live IS NOT NULL AND setup IS DISTINCT FROM ?"
        if tx.execute(sql, (component, fingerprint)).fetchone():
            request_fit(tx, setup_request(component, fingerprint), number)


def note_progress(tx: Transaction, request: str, told: Progress) -> None:
    sql = "UPDATE motion_fit_requests SET progress = ? WHERE fit = ?"
    tx.execute(sql, (msgspec.json.encode(told).decode(), request))


def progress_of(tx: Transaction, component: str) -> Progress | None:
    """Return what the running fit of a component told last, None where none runs or it told nothing."""
    sql = "SELECT progress FROM motion_fit_requests WHERE substr(fit, 1, ?) = ? AND progress IS NOT NULL"
    prefix = f"{component}."
    found = tx.execute(sql, (len(prefix), prefix)).fetchone()
    return None if found is None else msgspec.json.decode(found[0], type=Progress)


def fit_owners(tx: Transaction) -> list[str]:
    return [
        str(row[0])
        for row in tx.execute(
            "SELECT DISTINCT owner FROM motion_fit_requests WHERE owner IS NOT NULL"
        )
    ]


def take_over_fits(tx: Transaction, owners: Sequence[str]) -> None:
    tx.executemany(
        "UPDATE motion_fit_requests SET owner = NULL, progress = NULL, seen = NULL WHERE owner = ?",
        [(owner,) for owner in owners],
    )


def requests(tx: Transaction) -> list[str]:
    """Return the fits and setups that are asked for or running."""
    return [str(row[0]) for row in tx.execute("SELECT fit FROM motion_fit_requests")]


def fits_pending(tx: Transaction) -> int:
    """Return how many fits are asked for or running, of those that a process could run."""
    sql = (
        "SELECT COUNT(*) FROM motion_fit_requests WHERE instr(fit, ?) "
        "OR fit IN (SELECT name FROM motion_fits WHERE is_active = 1)"
    )
    return int(tx.execute(sql, (SETUP,)).fetchone()[0])


def fits_running(tx: Transaction) -> list[str]:
    """Return the names of the fits that are running."""
    sql = "SELECT fit FROM motion_fit_requests WHERE owner IS NOT NULL ORDER BY fit"
    return [str(row[0]) for row in tx.execute(sql)]


def labels_for(
    tx: Transaction, layout: Layout, fit: FitSpec, lineage: Sequence[int], seen: int
) -> tuple[list[int], list[Any]]:
    """Return the labels that a fit learns from: those that no version of `lineage` has, or as its `rows` says.

    Args:
        seen: the newest label when it was claimed.

    Returns:
        Their numbers, and their rows; none that is held out for evaluation.
    """
    chosen, values = _to_learn(fit, lineage)
    sql = f"SELECT label, copy {chosen} AND label <= ? ORDER BY label"
    found = tx.execute(sql, (*values, seen)).fetchall()
    return [row[0] for row in found], [_decoded(layout, row[1]) for row in found]


def count_for(tx: Transaction, fit: FitSpec, lineage: Sequence[int]) -> int:
    """Return how many labels a fit would learn from."""
    chosen, values = _to_learn(fit, lineage)
    return int(tx.execute(f"SELECT COUNT(*) {chosen}", values).fetchone()[0])


def _to_learn(fit: FitSpec, lineage: Sequence[int]) -> tuple[str, tuple[int | str, ...]]:
    """Return the FROM and WHERE of the labels that a fit learns from, and their parameters."""
    chosen = "FROM motion_labels WHERE fit = ? AND is_held_out = 0 AND is_old = 0"
    if fit.rows == "all":
        return chosen, (fit.name,)
    if fit.rows != "new":
        return f"{chosen} AND made_at >= ?", (fit.name, clock.now_ms() - fit.rows)
    learned = ", ".join(map(str, lineage)) or "0"
    lessons = f"SELECT label FROM motion_lessons WHERE component = ? AND number IN ({learned})"
    return f"{chosen} AND label NOT IN ({lessons})", (fit.name, fit.component)


def held_out_rows(tx: Transaction, layout: Layout, fit: str) -> list[Any]:
    """Return the rows of all labels of a fit that are held out for evaluation: they never enter it."""
    sql = "SELECT copy FROM motion_labels WHERE fit = ? AND is_held_out = 1 AND is_old = 0 ORDER BY label"
    return [_decoded(layout, row[0]) for row in tx.execute(sql, (fit,))]


def seen_by(tx: Transaction, fit: str) -> int:
    """Return the newest label when a running fit was claimed."""
    sql = "SELECT COALESCE(seen, 0) FROM motion_fit_requests WHERE fit = ?"
    found = tx.execute(sql, (fit,)).fetchone()
    return 0 if found is None else int(found[0])


def last_label(tx: Transaction, fit: str) -> int:
    return int(
        tx.execute(
            "SELECT COALESCE(MAX(label), 0) FROM motion_labels WHERE fit = ?", (fit,)
        ).fetchone()[0]
    )


def note_lessons(tx: Transaction, labels: Sequence[int], component: str, number: int) -> None:
    """Note that a version learned from labels."""
    tx.executemany(
        "INSERT INTO motion_lessons (label, component, number) VALUES (?, ?, ?)",
        [(label, component, number) for label in labels],
    )


def learned(
    tx: Transaction, layout: Layout, fit: FitSpec, lineage: Sequence[int], limit: int
) -> list[Label]:
    """Return the labels of a fit that versions of a lineage learned from, the latest first."""
    found = tx.execute(
        "SELECT s.number, b.copy FROM motion_lessons s JOIN motion_labels b ON b.label = s.label "
        f"WHERE s.component = ? AND s.number IN ({', '.join(map(str, lineage))}) AND b.fit = ? "
        "ORDER BY s.label DESC, s.number DESC LIMIT ?",
        (fit.component, fit.name, limit),
    ).fetchall()
    rows = [(number, _decoded(layout, copy)) for number, copy in found]
    pages = layout.table.page_keys
    return [
        Label(fit.name, row.id, {page: getattr(row, page) for page in pages}, number, row)
        for number, row in rows
    ]


def versions_that_learned(
    tx: Transaction, layout: Layout, fit: FitSpec, name: Sequence[Stored]
) -> list[int]:
    """Return the versions whose fit learned from labels of a row, which its id and page keys name."""
    named = " AND ".join(f"{quoted(key)} = ?" for key in layout.table.primary_key)
    found = tx.execute(
        "SELECT DISTINCT s.number FROM motion_lessons s JOIN motion_labels b ON b.label = s.label "
        f"WHERE s.component = ? AND b.fit = ? AND b.row = (SELECT {layout.row_column} FROM {layout.base} WHERE {named})",
        (fit.component, fit.name, *name),
    ).fetchall()
    return [int(row[0]) for row in found]


def _decoded(layout: Layout, copy: bytes) -> Any:
    stored = msgspec.msgpack.decode(copy)
    return layout.table.instance(
        key.decode(stored.get(name)) for name, key in layout.table.keys.items()
    )


# -- forgetting --


def numbers_of(tx: Transaction, fit: FitSpec, rows: Sequence[int]) -> list[int]:
    """Return the labels of rows."""
    found: list[int] = []
    for part in parts_of(rows):
        sql = f"SELECT label FROM motion_labels WHERE fit = ? AND {part.condition('row')}"
        found += [int(row[0]) for row in tx.execute(sql, (fit.name, *part.numbers))]
    return found


def learned_from(tx: Transaction, fit: FitSpec, found: Sequence[int]) -> dict[int, int]:
    """Return the versions that learned from labels, each with from how many of them."""
    counted: dict[int, int] = {}
    for part in parts_of(found):
        sql = (
            "SELECT number, COUNT(*) FROM motion_lessons "
            f"WHERE component = ? AND {part.condition('label')} GROUP BY number"
        )
        for number, count in tx.execute(sql, (fit.component, *part.numbers)):
            counted[number] = counted.get(number, 0) + count
    return counted


def take_back_fit(tx: Transaction, fit: str, label: int) -> None:
    """Let a fit that runs, and may learn from a label, come to nothing, and be made again."""
    tx.execute(
        "UPDATE motion_fit_requests SET owner = NULL, progress = NULL, seen = NULL WHERE fit = ? AND seen >= ?",
        (fit, label),
    )
