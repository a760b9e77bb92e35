"""Promotion: how a state version goes live. Each step is one transaction that another process can go on from.

candidate --its outputs are built beside the live ones--> (evaluate) --switch--> live
                                                              '--------> refused
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from motion.backends.base import Transaction
from motion.database import Database
from motion.faults import reach
from motion.persistence import backlog, files, forms, queue, states
from motion.persistence.cascade import due_rows, enqueue_rows
from motion.persistence.catalog import next_number
from motion.persistence.layout import Layout
from motion.persistence.rows import clear_marks
from motion.tasks import BACKFILL_PRIORITY, BUILD_PRIORITY, Cause, ranges_of
from motion.triggers import TriggerSpec

FORGOTTEN_AT_ONCE = 1_000
"""Rows of old outputs that are deleted in one transaction: what writes meanwhile waits no longer than for them."""


def begin_switch(
    tx: Transaction,
    database: Database,
    component: str,
    number: int,
    *,
    is_gated: bool,
    is_rollback: bool = False,
    sample: int | None = None,
) -> None:
    """Make a version the candidate, and enqueue the outputs that it lacks. A candidate before it is superseded.

    Args:
        sample: only for so many rows of each trigger: what is measured on them decides whether the rest follows.
    """
    before = states.candidate_version(tx, component)
    if before is not None and before != number:
        refuse(tx, database, component, before, {"reason": f"superseded by version {number}"})
    live = states.live_version(tx, component)
    states.set_candidate(tx, component, number, is_gated=is_gated, is_rollback=is_rollback)
    if number != live:
        states.set_status(tx, component, number, "candidate")
    for layout, spec in versioned(database, component):
        missing = missing_rows(tx, layout, spec, live, number)
        rows = missing if sample is None else states.sample_of(missing, sample)
        enqueue_build(tx, layout, spec, rows, number)
    reach("candidate.begun")


def build_the_rest(tx: Transaction, database: Database, component: str, number: int) -> None:
    """Enqueue the outputs that a candidate lacks beyond its sample."""
    live = states.live_version(tx, component)
    for layout, spec in versioned(database, component):
        enqueue_build(tx, layout, spec, missing_rows(tx, layout, spec, live, number), number)


def missing_rows(
    tx: Transaction, layout: Layout, spec: TriggerSpec, live: int | None, number: int
) -> Iterable[int]:
    """Return the rows that a candidate lacks outputs for. Rows set from now on get a task for each version."""
    if live is None:
        return ()
    lacking = states.rows_without_outputs(tx, layout, spec, live, number)
    return {*lacking, *due_rows(tx, layout, spec)}


def enqueue_build(
    tx: Transaction, layout: Layout, spec: TriggerSpec, rows: Iterable[int], number: int
) -> None:
    """Enqueue outputs of a candidate: below live work, and nothing that a change waits for."""
    cause = Cause(next_number(tx), 0, priority=BUILD_PRIORITY)
    queue.enqueue(tx, spec, ranges_of(rows), cause, version=number)


def refuse(
    tx: Transaction, database: Database, component: str, number: int, metrics: Mapping[str, Any]
) -> None:
    """Take back a candidate; it stays as a version, with its figures and the reason."""
    queue.drop_version(tx, [spec.name for _, spec in versioned(database, component)], number)
    states.set_candidate(tx, component, None)
    states.set_status(tx, component, number, "refused", dict(metrics))
    states.note_end(tx, component, number, next_number(tx))


def make_indexes_ready(database: Database, component: str, number: int) -> None:
    """Build the indexes of a version before it is live: then no search waits for them."""
    for layout, spec in versioned(database, component):
        for key in spec.sets:
            if layout.table.keys[key].is_array:
                database.indexes.make_ready(layout, layout.table.keys[key], number)


def switch(tx: Transaction, database: Database, component: str, number: int) -> None:
    """Make a built candidate live. Its values are beside the live ones already, so this changes one number."""
    names = [spec.name for _, spec in versioned(database, component)]
    is_built, _ = backlog.version_is_built(tx, names, number)
    if states.candidate_version(tx, component) != number or not is_built:
        return  # superseded, or rows came meanwhile: it is looked at again after the next commit
    before = states.live_version(tx, component)
    change = next_number(tx)
    for _, spec in versioned(database, component):
        followed = [k for k in spec.sets if (spec.table, k) in database.graph.listeners]
        if before is not None and followed:
            states.number_differences(tx, spec, followed, before, number, change)
    reach("switch.numbered")
    states.set_live(tx, component, number, change)
    cause = Cause(change, change, priority=BACKFILL_PRIORITY)
    _run_what_follows(tx, database, component, cause, is_first=before is None)
    reach("switch.made")


def _run_what_follows(
    tx: Transaction, database: Database, component: str, cause: Cause, *, is_first: bool
) -> None:
    """Enqueue what derives from the outputs that were switched, the outputs to refresh after a switch, and, with the
    first version, what has been waiting for it."""
    graph = database.graph
    for spec in graph.triggers.values():
        layout = database.layouts[spec.table]
        follows = any(
            key in layout.versioned and layout.versioned[key].component == component
            for key in spec.on
        )
        if spec.component == component and spec.refresh == "after":
            clear_marks(tx, layout, spec)
        elif not (follows or (is_first and component in spec.components)):
            continue
        enqueue_rows(tx, layout, spec, due_rows(tx, layout, spec), cause)


def versioned(database: Database, component: str) -> list[tuple[Layout, TriggerSpec]]:
    """Return the triggers of a component whose outputs are kept for each version, with their tables' layouts."""
    return [
        (database.layouts[spec.table], spec)
        for spec in database.graph.triggers.values()
        if spec.component == component and spec.is_versioned
    ]


# -- what is kept --


def forget_old(database: Database, component: str) -> None:
    """Delete what the component keeps no longer: outputs a few at a time, then states and their files."""
    code = database.code.components[component]
    while _forget_outputs(database, component, code.keep_outputs):
        pass

    def work(tx: Transaction) -> bool:
        return states.forget_states(tx, component, code.keep_states)

    if database.write(work):
        sweep(database)


def _forget_outputs(database: Database, component: str, count: int) -> int:
    def work(tx: Transaction) -> tuple[int, list[int]]:
        keep = states.kept_outputs(
            tx, component, count
        )  # anew each time: one of them may be a candidate by now
        deleted = 0
        for _, spec in versioned(database, component):
            deleted += states.delete_outputs(tx, spec, keep, FORGOTTEN_AT_ONCE)
        return deleted, keep

    deleted, keep = database.write(work, is_durable=False)
    for layout, spec in versioned(database, component):
        for key in spec.sets:
            database.indexes.keep_versions(layout, key, keep)
    return deleted


def sweep(database: Database) -> None:
    """Remove the files that no state is made of."""
    files.sweep(database.backend.folder, _Named(database))


class _Named:
    """Whether a manifest names a file; looked up once, when the files are held."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._names: set[str] | None = None

    def __contains__(self, name: object) -> bool:
        if self._names is None:
            with self._database.backend.read() as tx:
                found = [forms.files_of(manifest) for manifest in states.manifests(tx)]
            self._names = set().union(*found)
        return name in self._names
