"""Recomputing: what a trigger's changed code leaves stale, doing it again in bulk, and explaining a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from motion.change import Change
from motion.database import Database, TableName, Where, condition_of
from motion.errors import TriggerError, nearest
from motion.persistence import backfills, provenance
from motion.persistence.backfills import Backfill
from motion.persistence.catalog import fingerprints
from motion.triggers import TriggerSpec


@dataclass(frozen=True)
class Plan:
    """What a recompute of one trigger would touch, counted in rows that it could run on.

    Attributes:
        stale: outputs made by other code.
        missing: rows it has not run on.
        current: outputs made by the code it has now.
        by_users: values that users gave, which a backfill leaves alone.
        seconds: what remaking the stale and missing ones is expected to take, from calls measured in this process;
            None where it has not run here.
    """

    trigger: str
    stale: int
    missing: int
    current: int
    by_users: int
    seconds: float | None


@dataclass(frozen=True)
class Explanation:
    """Where a value came from.

    Attributes:
        value: the value, inherited where it is.
        made_by: the trigger, or None for a value from outside.
        is_current: whether the code that made it is the trigger's present code.
        version: the state version that the trigger ran with, None for one without a state.
        change: the number of the change that it is as of; None for a key that nothing runs on.
        inputs: the same of the keys that it was derived from.
    """

    table: str
    key: str
    id: Any
    pages: Mapping[str, int]
    value: Any
    made_by: str | None
    is_current: bool
    version: int | None
    change: int | None
    inputs: tuple[Explanation, ...]

    def __str__(self) -> str:
        return "\n".join(self._lines(0))

    def _lines(self, depth: int) -> list[str]:
        by = "set from outside" if self.made_by is None else f"by {self.made_by}"
        version = "" if self.version is None else f", state version {self.version}"
        stale = "" if self.is_current else ", made by other code than it has now"
        line = f"{'  ' * depth}{self.key} = {self.value!r:.60} {by}{version}{stale}"
        return [line, *(line for each in self.inputs for line in each._lines(depth + 1))]


def plan(database: Database, trigger: str) -> Plan:
    """Return what a recompute of a trigger would touch."""
    spec = _remakeable(database, trigger)
    counts = {"stale": 0, "missing": 0, "current": 0, "by_users": 0}
    with database.backend.read() as tx:
        for origin, count in provenance.origins(tx, database.layouts[spec.table], spec):
            counts[_kind(spec, origin)] += count
    each = database.costs.seconds_each(trigger)
    seconds = None if each is None else each * (counts["stale"] + counts["missing"])
    return Plan(trigger, **counts, seconds=seconds)


def _kind(spec: TriggerSpec, origin: provenance.Origin) -> str:
    if origin.fingerprint is None:
        return "by_users" if origin.number else "missing"
    return "current" if origin.fingerprint == spec.fingerprint else "stale"


def backfill(
    database: Database, trigger: str, where: Where, params: Sequence[Any], *, force: bool
) -> Change:
    """Make a trigger run again where its outputs are stale or missing, below live work; the old values stay meanwhile."""
    spec = _remakeable(database, trigger)
    layout = database.layouts[spec.table]
    condition, values = condition_of(layout.table, where, params)
    asked = Backfill(0, trigger, 0, 0, 0, 0, condition, backfills.packed(values), force)
    with database.backend.read() as tx:
        count, last = backfills.counted(tx, layout, spec, asked)
    asked = replace(asked, last=last, total=count, remaining=count)
    change = database.write(lambda tx: backfills.begin(tx, asked))
    database.backend.called.give()
    return Change(database, change, table=spec.table, count=count, expected=count)


def hand_over(database: Database) -> bool:
    """Enqueue the next part of a backfill that this process can run, once the part before has been taken; return
    whether there was one."""
    known = [spec.name for spec in database.graph.triggers.values() if database.has_code(spec)]
    with database.backend.read() as tx:
        backfill = backfills.next_wanted(tx, known)
        if backfill is None:
            return False
        spec = database.graph.triggers[backfill.trigger]
        layout = database.layouts[spec.table]
        rows = backfills.next_part(tx, layout, spec, backfill)
    database.write(
        lambda tx: backfills.hand_over(tx, layout, spec, backfill, rows), is_durable=False
    )  # after a power failure it is handed over again
    return True


def explain(
    database: Database, table: TableName, row_id: Any, key: str, pages: Mapping[str, int]
) -> Explanation:
    """Return where a value came from, recursively."""
    layout = database.layout(table)
    name = layout.table.name
    layout.table.key(key)
    row = database.get(table, row_id, pages, {}, True)
    producer = database.graph.producers.get((name, key))
    value = None if row is None else getattr(row, key)
    if producer is None or row is None:
        return Explanation(name, key, row_id, dict(pages), value, None, True, None, None, ())
    spec = database.graph.triggers[producer]
    places = [pages.get(page, 0) for page in layout.table.page_keys]
    with database.backend.read() as tx:
        stored = layout.table.keys["id"].encode(row_id)
        origin = provenance.origin_of_row(tx, layout, spec, stored, places)
    is_derived = origin is not None and origin.fingerprint is not None
    level = database.graph.row_level(spec)
    source = {page: number for page, number in pages.items() if page in level}
    inputs = tuple(explain(database, table, row_id, each, source) for each in spec.inputs)
    return Explanation(
        name,
        key,
        row_id,
        dict(pages),
        value,
        producer if is_derived else None,
        not is_derived or (origin is not None and origin.fingerprint == spec.fingerprint),
        (origin.version or None) if origin else None,
        origin.number if origin else None,
        inputs if is_derived else (),
    )


def _remakeable(database: Database, trigger: str) -> TriggerSpec:
    spec = spec_of(database, trigger)
    if spec.event:
        raise TriggerError(
            f"trigger {trigger!r} runs on events, which are over, so it leaves nothing that could be remade; "
            f"store.retry({trigger!r}) tries those again that failed."
        )
    return spec


def spec_of(database: Database, trigger: str) -> TriggerSpec:
    """Return a trigger of the store by its name, or raise `TriggerError` with the nearest one."""
    known = database.graph.triggers
    if trigger in known:
        return known[trigger]
    with database.backend.read() as tx:
        has_vanished = trigger in fingerprints(tx)
    if has_vanished:
        raise TriggerError(
            f"trigger {trigger!r} is not among those that the store was last opened with, which replaced it. What it "
            f"made stays as it is; to run it again, pass it to create_store in triggers=."
        )
    raise TriggerError(
        f"the store has no trigger {trigger!r}; it has {', '.join(known) or 'none'}.{nearest(trigger, known)}"
    )
