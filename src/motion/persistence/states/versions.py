"""State versions in the database: which there are, which is live, and the switch between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from motion import clock
from motion.backends.base import Transaction
from motion.definitions.tasks import TaskStatus
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import INT64_MAX
from motion.definitions.versions import StateVersion, Status
from motion.persistence.layout import ALL_ROWS, changed_column, outputs_table, quoted, slot_of
from motion.persistence.notes import decoded, encoded
from motion.persistence.ranges import places
from motion.persistence.states import asked
from motion.persistence.tasks.queue import LIVE_SQL
from motion.persistence.tasks.timeline import time_of
from motion.persistence.vector_log import log_vectors

Stage = Literal["queued", "trial", "passed", "ready"]
"""How far a candidate is: it waits for the one before it; is to be tried on a sample; its gate lets it go live; it waits
for a person. None of these: its outputs are being built."""

HAS_OUTPUT = '":done" <> 0'
"""Of a slot: a run has made it, or a user has given it. One on which every run has failed was only prepared."""

NUMBERED_AT_ONCE = 2_000
"""Switched outputs whose numbers are put right in one transaction: live writes wait no longer than for them."""


def live_version(tx: Transaction, component: str) -> int | None:
    found = tx.execute("SELECT live FROM motion_components WHERE name = ?", (component,)).fetchone()
    return None if found is None or found[0] is None else int(found[0])


def live_versions(tx: Transaction, components: Iterable[str]) -> dict[str, int]:
    """Return the live versions of components of which runs read what is kept by version; before there is one, that is where
    users' values are."""
    return {name: live_version(tx, name) or 1 for name in components}


def are_live(tx: Transaction, pins: Mapping[str, int]) -> bool:
    """Whether runs still read what they are pinned to."""
    return live_versions(tx, pins) == pins


def candidate_version(tx: Transaction, component: str) -> int | None:
    found = tx.execute(
        "SELECT candidate FROM motion_components WHERE name = ?", (component,)
    ).fetchone()
    return None if found is None or found[0] is None else int(found[0])


def version_beside(tx: Transaction, component: str) -> int | None:
    """Return the version whose outputs are made beside the live ones. That is the candidate, unless it is the live version
    itself, which was asked for while another one was on its way: it has its outputs, and who changes them tells all."""
    candidate = candidate_version(tx, component)
    return None if candidate == live_version(tx, component) else candidate


def add_version(
    tx: Transaction,
    component: str,
    status: Status,
    *,
    parent: int | None = None,
    manifest: str | None = None,
    labels: int = 0,
    notes: Mapping[str, Any] | None = None,
    duration_s: float = 0.0,
    fit: str | None = None,
    fingerprint: str | None = None,
    stage: Stage | None = None,
) -> int:
    """Add the next version and return its number.

    Args:
        notes: what is said of it beside its metrics.
        fit: the name of the fit that made it, None for `setup`.
    """
    # One that only holds a model, with no trigger, has no row yet.
    tx.execute(
        "INSERT INTO motion_components (name) VALUES (?) ON CONFLICT DO NOTHING", (component,)
    )
    sql = "SELECT COALESCE(MAX(number), 0) + 1 FROM motion_states WHERE component = ?"
    number = int(tx.execute(sql, (component,)).fetchone()[0])
    tx.execute(
        "INSERT INTO motion_states (component, number, status, parent, manifest, labels, metrics, created_at, "
        "duration_s, fit, fingerprint, notes, stage) VALUES (?, ?, ?, ?, ?, ?, '{}', ?, ?, ?, ?, ?, ?)",
        (
            component, number, status, parent, manifest, labels, clock.now().isoformat(), duration_s, fit, fingerprint,
            encoded(notes or {}), stage,
        ),
    )  # fmt: skip
    return number


def set_status(tx: Transaction, component: str, number: int, status: Status) -> None:
    sql = "UPDATE motion_states SET status = ?, stage = NULL WHERE component = ? AND number = ?"
    tx.execute(sql, (status, component, number))


def status_of(tx: Transaction, component: str, number: int) -> str:
    """Return a version's status, of one that a person wants back: what it is until it is live again."""
    sql = "SELECT status FROM motion_states WHERE component = ? AND number = ?"
    return str(tx.execute(sql, (component, number)).fetchone()[0])


def set_stage(tx: Transaction, component: str, number: int, stage: Stage | None) -> None:
    """Note how far a candidate is."""
    sql = "UPDATE motion_states SET stage = ? WHERE component = ? AND number = ?"
    tx.execute(sql, (stage, component, number))


def stage_of(tx: Transaction, component: str, number: int) -> str | None:
    sql = "SELECT stage FROM motion_states WHERE component = ? AND number = ?"
    found = tx.execute(sql, (component, number)).fetchone()
    return None if found is None else found[0]


def queued(tx: Transaction, component: str) -> list[int]:
    """Return the versions that are offered and wait for the candidate before them, oldest first."""
    sql = (
        "SELECT number FROM motion_states WHERE component = ? AND stage = 'queued' ORDER BY number"
    )
    return [int(row[0]) for row in tx.execute(sql, (component,))]


def end_asking(tx: Transaction, component: str, number: int) -> None:
    """Note that a version has come as far as it does by itself: who asked for the fit that made it has an answer."""
    asked.end_version(tx, component, number, "done")


def set_figures(tx: Transaction, component: str, number: int, figures: Mapping[str, float]) -> None:
    """Note what `evaluate` has measured of a version."""
    sql = "UPDATE motion_states SET metrics = ? WHERE component = ? AND number = ?"
    tx.execute(sql, (encoded(figures), component, number))


def add_notes(tx: Transaction, component: str, number: int, notes: Mapping[str, Any]) -> None:
    """Say something of a version beside its metrics. What was said under other names stays."""
    sql = "SELECT notes FROM motion_states WHERE component = ? AND number = ?"
    before = decoded(tx.execute(sql, (component, number)).fetchone()[0])
    sql = "UPDATE motion_states SET notes = ? WHERE component = ? AND number = ?"
    tx.execute(sql, (encoded({**before, **notes}), component, number))


def set_live(tx: Transaction, component: str, number: int, change: int) -> None:
    """Make a version live; the one before is retired. For every reader this is one moment.

    Args:
        change: the number of the switch. A version that is gone back to keeps that of its promotion, and those
            promoted since lose theirs: the next rollback goes further back, and not forth again.
    """
    before = live_version(tx, component)
    if before is not None and before != number:
        set_status(tx, component, before, "retired")
        note_end(tx, component, before, change)
    sql = "SELECT is_rollback FROM motion_components WHERE name = ? AND candidate = ?"
    back = tx.execute(sql, (component, number)).fetchone()
    if back is not None and back[0]:
        mine = "SELECT since FROM motion_states WHERE component = ?1 AND number = ?2"
        sql = f"UPDATE motion_states SET since = NULL WHERE component = ?1 AND since > ({mine})"
        tx.execute(sql, (component, number))
    else:
        sql = "UPDATE motion_states SET since = ?3 WHERE component = ?1 AND number = ?2"
        tx.execute(sql, (component, number, change))
    tx.execute("UPDATE motion_components SET live = ? WHERE name = ?", (number, component))
    tx.execute(
        "UPDATE motion_components SET candidate = NULL WHERE name = ? AND candidate = ?",
        (component, number),
    )
    set_status(tx, component, number, "live")
    asked.end_version(tx, component, number, "done")


def note_end(tx: Transaction, component: str, number: int, change: int) -> None:
    """Note the change at which a version was retired or refused: the last ones are kept."""
    sql = "UPDATE motion_states SET until = ? WHERE component = ? AND number = ?"
    tx.execute(sql, (change, component, number))


def set_candidate(
    tx: Transaction,
    component: str,
    number: int | None,
    *,
    is_gated: bool = True,
    is_rollback: bool = False,
) -> None:
    """Name the version that is built beside the live one; an ungated one goes live as soon as it is built."""
    tx.execute(
        "UPDATE motion_components SET candidate = ?, is_gated = ?, is_rollback = ? WHERE name = ?",
        (number, int(is_gated), int(is_rollback), component),
    )


def is_gated(tx: Transaction, component: str) -> bool:
    return bool(
        tx.execute(
            "SELECT is_gated FROM motion_components WHERE name = ?", (component,)
        ).fetchone()[0]
    )


def is_rollback(tx: Transaction, component: str) -> bool:
    sql = "SELECT is_rollback FROM motion_components WHERE name = ?"
    return bool(tx.execute(sql, (component,)).fetchone()[0])


def version_before(tx: Transaction, component: str) -> int | None:
    """Return the version that a rollback goes to: of those promoted before the live one, the last. One that is asked for
    already counts as live, so that two rollbacks go two back, however fast they follow each other."""
    sql = "SELECT live, candidate, is_gated, is_rollback FROM motion_components WHERE name = ?"
    live, pending, gated, is_rollback = tx.execute(sql, (component,)).fetchone() or (None,) * 4
    is_asked = pending is not None and not gated and pending != live
    if is_asked and not is_rollback:
        return live  # a promotion that has not come about is what is taken back
    after = pending if is_asked else live
    sql = (
        "SELECT number FROM motion_states WHERE component = ?1 AND status = 'retired' AND manifest IS NOT NULL "
        "AND since < (SELECT since FROM motion_states WHERE component = ?1 AND number = ?2) ORDER BY since DESC LIMIT 1"
    )
    found = tx.execute(sql, (component, after)).fetchone()
    return None if found is None else int(found[0])


def note_setup(tx: Transaction, component: str, fingerprint: str) -> None:
    """Note that the result of a `setup` was taken up."""
    sql = "UPDATE motion_components SET setup = ? WHERE name = ?"
    tx.execute(sql, (fingerprint, component))


def is_known(tx: Transaction, component: str, manifest: str) -> bool:
    """Whether some `setup` before gave the same state."""
    sql = "SELECT 1 FROM motion_states WHERE component = ? AND fit IS NULL AND manifest = ?"
    return tx.execute(sql, (component, manifest)).fetchone() is not None


# -- what is kept --


def kept_outputs(tx: Transaction, component: str, count: int) -> list[int]:
    """Return the versions whose outputs are kept: live, candidate, the `count` retired last, and the one before a switch
    until the outputs that differ from it are known."""
    sql = (
        "SELECT number FROM motion_states WHERE component = ?1 AND status = 'retired' AND number IS DISTINCT FROM "
        "(SELECT candidate FROM motion_components WHERE name = ?1) ORDER BY until DESC LIMIT ?2"
    )
    retired = [int(row[0]) for row in tx.execute(sql, (component, count))]
    sql = "SELECT before FROM motion_switches WHERE component = ?"
    compared = [int(row[0]) for row in tx.execute(sql, (component,))]
    named = (live_version(tx, component), candidate_version(tx, component))
    return sorted({number for number in (*named, *retired, *compared) if number is not None})


def forget_states(tx: Transaction, component: str, count: int) -> bool:
    """Forget what the oldest versions are made of: all but live, candidate, and the `count` retired or refused last.

    Returns:
        Whether there were any, so that files may be spare now.
    """
    old = (
        "SELECT number FROM motion_states s JOIN motion_components c ON c.name = s.component WHERE c.name = ?1 "
        "AND manifest IS NOT NULL AND number IS DISTINCT FROM live AND number IS DISTINCT FROM candidate AND status != 'candidate' "
        f"ORDER BY until DESC NULLS LAST, number DESC LIMIT {INT64_MAX} OFFSET ?2"
    )
    sql = f"UPDATE motion_states SET manifest = NULL WHERE component = ?1 AND number IN ({old})"
    return bool(tx.execute(sql, (component, count)).rowcount)


def manifests(tx: Transaction) -> list[str]:
    """Return the manifests of all states of all components."""
    rows = tx.execute("SELECT manifest FROM motion_states WHERE manifest IS NOT NULL")
    return [str(row[0]) for row in rows]


def delete_outputs(
    tx: Transaction, spec: TriggerSpec, keep: Sequence[int], limit: int
) -> list[int]:
    """Delete outputs of all versions but these, at most `limit` rows, and tell indexes of it; return their slots."""
    table, deleted = outputs_table(spec.name), list[int]()
    for version in _versions_of(tx, spec):
        if version in keep or len(deleted) >= limit:
            continue
        low, high = slot_of(version, 0), slot_of(version, ALL_ROWS)
        spare = f"SELECT slot FROM {table} WHERE slot BETWEEN {low} AND {high} LIMIT {limit - len(deleted)}"
        sql = f"DELETE FROM {table} WHERE slot IN ({spare}) RETURNING slot"
        slots = [int(row[0]) for row in tx.execute(sql).fetchall()]
        deleted += slots
        if slots:
            for key in spec.sets:
                log_vectors(tx, f"{spec.table}.{key}", [high])
    return deleted


def _versions_of(tx: Transaction, spec: TriggerSpec) -> list[int]:
    sql = "SELECT number FROM motion_states WHERE component = ?"
    return [int(row[0]) for row in tx.execute(sql, (spec.component,))]


# -- numbers of what a switch changes --


def begin_numbering(
    tx: Transaction, spec: TriggerSpec, change: int, before: int, version: int
) -> None:
    """Note that a trigger's outputs were switched, and their numbers are to be put right."""
    tx.execute(
        "INSERT INTO motion_switches (trigger, component, change, before, version, next) VALUES (?, ?, ?, ?, ?, 0)",
        (spec.name, spec.component, change, before, version),
    )


def unnumbered(tx: Transaction, component: str) -> list[str]:
    """Return the triggers of a component whose outputs were switched, and their numbers are not all put right."""
    sql = "SELECT trigger FROM motion_switches WHERE component = ?"
    return [str(row[0]) for row in tx.execute(sql, (component,))]


def are_numbered(tx: Transaction, triggers: Sequence[str]) -> bool:
    """Whether the numbers of what the last switches changed are right for all of these triggers."""
    sql = f"SELECT 1 FROM motion_switches WHERE trigger IN ({places(triggers)}) LIMIT 1"
    return tx.execute(sql, tuple(triggers)).fetchone() is None


def end_numbering(tx: Transaction, trigger: str) -> None:
    tx.execute("DELETE FROM motion_switches WHERE trigger = ?", (trigger,))


class Switched(NamedTuple):
    """The next outputs that were switched, and are to be seen to: those of some rows.

    Attributes:
        change: the number of the switch.
        before, version: the version that was live, and the one that is.
        last: of the rows; `ALL_ROWS` of the last part.
    """

    change: int
    before: int
    version: int
    first: int
    last: int


def next_switched(tx: Transaction, spec: TriggerSpec) -> Switched | None:
    """Return the next outputs of a trigger that were switched; None where another process was faster."""
    sql = "SELECT change, before, version, next FROM motion_switches WHERE trigger = ?"
    found = tx.execute(sql, (spec.name,)).fetchone()
    if found is None:
        return None
    change, before, version, first = map(int, found)
    last = _end_of_part(tx, spec, (before, version), first)
    return Switched(change, before, version, first, last)


def number_part(
    tx: Transaction, spec: TriggerSpec, keys: Sequence[str], part: Switched
) -> Mapping[str, Sequence[int]]:
    """Put the numbers of switched outputs right, and return for each key the rows in which the switch has changed it.

    Values that differ from those of the version before get the number of the switch: to what derives from them they
    changed then, whenever they were made. Equal ones take over the number at which they became so. Those made since
    the switch have numbers of their own.
    """
    change, before, version, first, last = part
    low, high = slot_of(before, first), slot_of(before, last)
    shift = slot_of(version, 0) - slot_of(before, 0)
    table, differing = outputs_table(spec.name), dict[str, list[int]]()
    if keys:
        tx.execute(
            f"INSERT INTO {table} (slot) SELECT slot + ? FROM {table} WHERE slot BETWEEN ? AND ? ON CONFLICT DO NOTHING",
            (shift, low, high),
        )
    for key in keys:
        value, changed = quoted(key), changed_column(key)
        is_old = f"COALESCE(v.{changed}, 0) <= {change}"
        tx.execute(
            f"UPDATE {table} AS v SET {changed} = "
            f"CASE WHEN v.{value} IS NOT DISTINCT FROM l.{value} THEN MIN(l.{changed}, {change}) ELSE {change} END "
            f"FROM {table} AS l WHERE l.slot BETWEEN ? AND ? AND v.slot = l.slot + ? AND {is_old}",
            (low, high, shift),
        )
        tx.execute(
            f"UPDATE {table} AS v SET {changed} = {change} WHERE slot BETWEEN ? AND ? AND {value} IS NOT NULL "
            f"AND {is_old} AND NOT EXISTS (SELECT 1 FROM {table} l WHERE l.slot = v.slot - ?)",
            (low + shift, high + shift, shift),
        )
        sql = f"SELECT slot FROM {table} WHERE slot BETWEEN ? AND ? AND {changed} = {change} ORDER BY slot"
        slots = tx.execute(sql, (low + shift, high + shift))
        differing[key] = [int(slot) & ALL_ROWS for (slot,) in slots]
    if last == ALL_ROWS:
        end_numbering(tx, spec.name)
    else:
        sql = "UPDATE motion_switches SET next = ? WHERE trigger = ?"
        tx.execute(sql, (last + 1, spec.name))
    return differing


def _end_of_part(tx: Transaction, spec: TriggerSpec, versions: Sequence[int], first: int) -> int:
    """Return the last row of the part that begins with a row, `ALL_ROWS` where it is the last part."""
    sql = (
        f"SELECT slot FROM {outputs_table(spec.name)} WHERE slot BETWEEN ? AND ? "
        f"ORDER BY slot LIMIT 1 OFFSET {NUMBERED_AT_ONCE - 1}"
    )
    ends = [ALL_ROWS]
    for version in versions:
        slots = slot_of(version, first), slot_of(version, ALL_ROWS)
        found = tx.execute(sql, slots).fetchone()
        ends += [] if found is None else [int(found[0]) & ALL_ROWS]
    return min(ends)


def with_candidates(tx: Transaction) -> list[str]:
    """Return the component of each candidate that is on its way to be live; one that waits for a person is not."""
    sql = (
        "SELECT c.name FROM motion_components c JOIN motion_states s ON s.component = c.name AND s.number = c.candidate "
        "WHERE c.is_gated = 0 OR s.stage IS DISTINCT FROM 'ready'"
    )
    queued = "SELECT component FROM motion_states WHERE stage = 'queued'"
    return [str(name) for each in (sql, queued) for (name,) in tx.execute(each)]


def versions(tx: Transaction, component: str) -> list[StateVersion]:
    """Return a component's versions, oldest first. The one that is on its way to be live is shown as a candidate,
    whatever it was before."""
    candidate, live = candidate_version(tx, component), live_version(tx, component)
    rows = tx.execute(
        "SELECT number, status, parent, labels, metrics, created_at, duration_s, fingerprint, manifest IS NOT NULL, notes, "
        "since, until FROM motion_states WHERE component = ? ORDER BY number",
        (component,),
    ).fetchall()
    return [
        StateVersion.of(
            decoded(metrics),
            decoded(notes),
            number=number,
            status="candidate" if number == candidate != live else status,
            parent=parent,
            rows=labels,
            created_at=datetime.fromisoformat(at),
            duration_s=seconds,
            fingerprint=fingerprint,
            is_kept=bool(is_kept),
            live_from=time_of(tx, since or 0),
            live_until=time_of(tx, until or 0) if status == "retired" else None,
        )
        for number, status, parent, labels, metrics, at, seconds, fingerprint, is_kept, notes, since, until in rows
    ]


def manifest_of(tx: Transaction, component: str, number: int) -> str | None:
    sql = "SELECT manifest FROM motion_states WHERE component = ? AND number = ?"
    found = tx.execute(sql, (component, number)).fetchone()
    return None if found is None else found[0]


def fit_of(tx: Transaction, component: str, number: int) -> str | None:
    """Return the fit that made a version, None for `setup`."""
    sql = "SELECT fit FROM motion_states WHERE component = ? AND number = ?"
    found = tx.execute(sql, (component, number)).fetchone()
    return None if found is None else found[0]


def lineage(tx: Transaction, component: str, number: int | None) -> list[int]:
    """Return a version and the versions it was made from, newest first."""
    found: list[int] = []
    while number is not None:
        found.append(number)
        sql = "SELECT parent FROM motion_states WHERE component = ? AND number = ?"
        row = tx.execute(sql, (component, number)).fetchone()
        number = None if row is None else row[0]
    return found


def has_output(spec: TriggerSpec, version: int) -> str:
    """Return the condition, on a row's `:row`, that a version has outputs for it."""
    slot = f'slot = {slot_of(version, 0)} + ":row"'
    return f"EXISTS (SELECT 1 FROM {outputs_table(spec.name)} WHERE {slot})"


def built(tx: Transaction, spec: TriggerSpec, version: int, live: int) -> tuple[bool, int]:
    """Return whether no task for a candidate's outputs is left of a row that the live version has outputs for, and how
    many of such rows could not be made."""
    source = (
        "FROM motion_tasks t WHERE trigger = ? AND version = ? AND version IS NOT NULL AND status"
    )
    first = slot_of(live, 0)
    has_live = (
        f"EXISTS (SELECT 1 FROM {outputs_table(spec.name)} WHERE slot BETWEEN {first} + t.low AND {first} + t.high "
        f"AND {HAS_OUTPUT})"
    )
    named = (spec.name, version)
    left = f"SELECT 1 {source} IN {LIVE_SQL} AND {has_live} LIMIT 1"
    dead = f"SELECT COUNT(*) {source} = {TaskStatus.DEAD:d} AND {has_live}"
    return tx.execute(left, named).fetchone() is None, int(tx.execute(dead, named).fetchone()[0])


def adopt_dead(tx: Transaction, spec: TriggerSpec, version: int) -> int:
    """Make the rows on which a candidate's outputs could not be made dead letters like any, unless they have one; return
    how many there are."""
    chosen = (
        "FROM motion_tasks t WHERE trigger = ?1 AND version = ?2 AND version IS NOT NULL "
        f"AND status = {TaskStatus.DEAD:d}"
    )
    count = int(tx.execute(f"SELECT COUNT(*) {chosen}", (spec.name, version)).fetchone()[0])
    known = "SELECT 1 FROM motion_tasks o WHERE o.trigger = ?1 AND o.version IS NULL AND o.low <= t.low AND o.high >= t.low"
    sql = f"UPDATE motion_tasks SET version = NULL WHERE task IN (SELECT task {chosen} AND NOT EXISTS ({known}))"
    tx.execute(sql, (spec.name, version))
    return count


def given_up_and_made(tx: Transaction, spec: TriggerSpec, version: int) -> list[int]:
    """Return the rows with dead letters that a version has outputs for. It is the dead letters that are gone through."""
    first = slot_of(version, 0)
    sql = (
        f"SELECT v.slot - {first} FROM motion_tasks t JOIN {outputs_table(spec.name)} v "
        f"ON v.slot BETWEEN {first} + t.low AND {first} + t.high "
        f"WHERE t.trigger = ? AND t.status = {TaskStatus.DEAD:d} AND t.version IS NULL AND v.{HAS_OUTPUT}"
    )
    return sorted({int(row) for (row,) in tx.execute(sql, (spec.name,))})


# -- forgetting --


def note_forgotten(
    tx: Transaction, component: str, number: int, count: int, *, is_left_out: bool
) -> None:
    """Note from how many labels a version learned that are forgotten.

    Args:
        is_left_out: no fit is to begin at it any more.
    """
    sql = "SELECT notes FROM motion_states WHERE component = ? AND number = ?"
    notes = decoded(tx.execute(sql, (component, number)).fetchone()[0])
    noted = {"forgotten": notes.get("forgotten", 0) + count}
    if is_left_out:
        noted["is_left_out"] = 1
    add_notes(tx, component, number, noted)


def base_of_fit(tx: Transaction, component: str, live: int | None) -> int | None:
    """Return the version that a fit begins at: the live one, or the newest of those that it was made from which neither
    learned, nor come from one that learned, from what a fit is to be without."""
    base = None
    for number in reversed(lineage(tx, component, live)):
        sql = "SELECT notes, manifest IS NOT NULL FROM motion_states WHERE component = ? AND number = ?"
        found = tx.execute(sql, (component, number)).fetchone()
        notes, is_kept = found or ("{}", False)
        if decoded(notes).get("is_left_out"):
            break
        base = number if is_kept else base
    return base


def blank_failures(tx: Transaction, component: str, fit: str, reason: str) -> None:
    """Forget what failures of a fit tell: a traceback may tell of rows."""
    sql = "SELECT number FROM motion_states WHERE component = ? AND fit = ? AND status = 'failed'"
    for (number,) in tx.execute(sql, (component, fit)).fetchall():
        add_notes(tx, component, number, {"reason": reason, "traceback": reason})
