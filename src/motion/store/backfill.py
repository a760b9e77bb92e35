"""Recomputing: what a trigger's changed code leaves stale, doing it again in bulk, and explaining a value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from motion.backends.base import Transaction
from motion.definitions.tasks import DeadLetter
from motion.definitions.triggers.specs import TriggerSpec
from motion.errors import InvalidArgument, TriggerError, nearest, shortened
from motion.persistence.changes.cascade import revive
from motion.persistence.changes.departures import run_behind
from motion.persistence.database import Database, Where, condition_of
from motion.persistence.inputs.outside import count_held
from motion.persistence.numbers import last_task
from motion.persistence.ranges import cut
from motion.persistence.recompute import backfills
from motion.persistence.recompute.backfills import Backfill
from motion.persistence.rows import provenance
from motion.persistence.stored_graph import known_triggers
from motion.persistence.tasks import backlog, events, queue, timeline
from motion.persistence.tasks.discards import note_dropped
from motion.store.changes.change import Change

RETRIED_AT_ONCE = 2_000
"""Rows tried again in one transaction: live writes wait no longer than for these."""


@dataclass(frozen=True)
class Plan:
    """What a recompute of one trigger would touch, counted in rows that it could run on.

    Attributes:
        stale: outputs made by other code, also by a trigger of another name that set these keys until now, or before the
            trigger was away while rows were written; those whose inputs have changed since, where no task is left that
            makes them anew (it was given up, cancelled or discarded, or stood behind what was given up); of a fold with
            `replay=False` also of entities of which an applied row has changed since, and, where each row keeps the value as of
            it, rows that have one and are folded no more. With these what a backfill does not
            make anew: of a fold the entities that lack a row which was given up (`retry` takes it in), pages and rows of
            another table of rows whose looked-up value is gone, and rows on which a trigger upstream has given up (`retry`
            makes that good).
        missing: rows that neither it nor such another one has run on.
        current: outputs made by the code it has now.
        by_users: values that users gave, which a backfill leaves alone.
        seconds: what the calls of a backfill are expected to take one after the other, from what calls of the present
            code have taken on average, or of older code where it has not run yet; None where no call was ever measured.
    """

    trigger: str
    stale: int
    missing: int
    current: int
    by_users: int
    seconds: float | None


def plan(database: Database, trigger: str) -> Plan:
    """Return what a recompute of a trigger would touch."""
    spec = _remakeable(database, trigger)
    counts = {"stale": 0, "missing": 0, "current": 0, "by_users": 0}
    with database.backend.read() as tx:
        for origin, count in provenance.origins(tx, database.layouts[spec.table], spec):
            counts[_kind(spec, origin)] += count
        stranded = provenance.stranded(tx, database.layouts[spec.table], spec)
        held = count_held(tx, database.layouts, spec)
        code = (trigger, spec.fingerprint, None)
        each = (timeline.cost_of(tx, code) + database.costs.unkept(code)).mean
        if each is None:
            each = timeline.cost_of(tx, (trigger, None, None)).mean
    seconds = None if each is None else each * (counts["stale"] + counts["missing"])
    counts["current"] -= stranded.lacking
    counts["stale"] += stranded.lacking + stranded.kept + held
    return Plan(trigger, **counts, seconds=seconds)


def _kind(spec: TriggerSpec, origin: provenance.Origin) -> str:
    if origin.is_due:
        return "stale"
    if origin.fingerprint is None:
        return "by_users" if origin.number else "missing"
    return "current" if origin.is_current(spec) else "stale"


def backfill(
    database: Database, trigger: str, where: Where, params: Sequence[Any], *, force: bool
) -> Change:
    """Make a trigger run again where its outputs are stale or missing, below live work; the old values stay meanwhile."""
    spec = _remakeable(database, trigger)
    layouts = database.layouts
    layout = layouts[spec.table]
    condition, values = condition_of(layout, where, params)
    wanted = Backfill(
        0, trigger, 0, 0, 0, 0, condition, backfills.packed(values, layout.table.enums), force
    )
    with database.backend.read() as tx:
        asked = backfills.counted(tx, layouts, spec, wanted)
    change = database.write(lambda tx: backfills.begin(tx, asked))
    database.backend.call()
    return Change(database, change, table=spec.table, count=asked.total, expected=asked.total)


def retry(database: Database, trigger: str | None) -> int:
    """Let the rows that triggers (one, or all) gave up on now be tried again, a part at a time; return how many."""
    names = [spec_of(database, trigger).name] if trigger else list(database.graph.triggers)
    with database.backend.read() as tx:
        last = last_task(tx)
    count, after = 0, 0

    def work(tx: Transaction) -> list[int]:
        tasks = backlog.dead_tasks(tx, names, after, last, RETRIED_AT_ONCE)
        revive(tx, database.layouts, tasks)
        return tasks

    while tasks := database.write(work):
        count, after = count + len(tasks), tasks[-1]
    return count


def retry_letters(database: Database, letters: DeadLetter | Sequence[DeadLetter]) -> int:
    """Let the rows of some dead letters be tried again, as far as they still are; return how many."""
    given = list(letters) if isinstance(letters, Iterable) else [letters]
    if not all(isinstance(each, DeadLetter) for each in given):
        raise InvalidArgument(
            "retry(what)", shortened(letters), "a trigger's name, or what store.errors() returned"
        )
    names, tasks = list(database.graph.triggers), sorted({each.task for each in given})

    def work(tx: Transaction, part: Sequence[int]) -> int:
        dead = backlog.still_dead(tx, names, part)
        revive(tx, database.layouts, dead)
        return len(dead)

    parts = cut(tasks, RETRIED_AT_ONCE)
    return sum(database.write(partial(work, part=part)) for part in parts)


def drop(database: Database, trigger: str | None) -> int:
    """Drop the tasks and dead letters of triggers (one, or all) that the store has not any more, a part at a time; return
    of how many rows."""
    if trigger is not None:
        check_trigger(trigger)
    if trigger in database.graph.triggers:
        raise TriggerError(
            f"drop() is for triggers that are gone, and store {database.name!r} has trigger {trigger!r}: open it without, "
            f"or cancel the change whose work is not wanted."
        )

    def work(tx: Transaction) -> int:
        known, count = known_triggers(tx), 0
        if trigger is not None and trigger not in known:
            raise TriggerError(
                f"store {database.name!r} never had a trigger {trigger!r}.{nearest(trigger, known)}"
            )
        found = backlog.orphans(tx, trigger, RETRIED_AT_ONCE)
        queue.remove(tx, [task for task, *_ in found])
        for _, name, low, high in found:
            count += high - low + 1
            if known[name].event:
                events.end(tx, known[name].table, range(low, high + 1))
            else:
                note_dropped(tx, name)
                run_behind(tx, database.layouts, known[name], range(low, high + 1))
        return count

    return sum(iter(lambda: database.write(work), 0))


def _remakeable(database: Database, trigger: str) -> TriggerSpec:
    spec = spec_of(database, trigger)
    if spec.event:
        raise TriggerError(
            f"trigger {trigger!r} runs on events, which are over, so it leaves nothing that could be remade; "
            f"store.retry({trigger!r}) tries those again that failed."
        )
    return spec


def check_trigger(given: Any) -> None:
    """Refuse what cannot be a trigger's name, such as a row.

    Raises:
        InvalidArgument: it is no text.
    """
    if not isinstance(given, str):
        raise InvalidArgument(
            "trigger", f"{shortened(given)} ({type(given).__name__})", "a trigger's name, a str"
        )


def spec_of(database: Database, trigger: str) -> TriggerSpec:
    """Return a trigger of the store by its name, or raise `TriggerError` with the nearest one."""
    known = database.graph.triggers
    check_trigger(trigger)
    if trigger in known:
        return known[trigger]
    with database.backend.read() as tx:
        has_vanished = trigger in known_triggers(tx)
    if has_vanished:
        raise TriggerError(
            f"trigger {trigger!r} is not among those that the store was last opened with, which replaced it. What it "
            f"made stays as it is; to run it again, pass it to create_store in triggers=."
        )
    raise TriggerError(
        f"the store has no trigger {trigger!r}; it has {', '.join(known) or 'none'}.{nearest(trigger, known)}"
    )
