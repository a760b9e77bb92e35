"""Promotion: how a state version goes live. Each step is one transaction that another process can go on from.

candidate --its outputs are built beside the live ones--> (evaluate) --switch--> live
                                                              '--------> refused
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from motion.backends.base import Transaction
from motion.database import Database
from motion.faults import reach
from motion.persistence import backfills, backlog, files, forms, outputs, queue, states
from motion.persistence.layout import Layout
from motion.persistence.numbers import next_number
from motion.triggers import TriggerSpec

NO_SAMPLE: Mapping[str, int | None] = {}

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
    sample: Mapping[str, int | None] = NO_SAMPLE,
) -> None:
    """Make a version the candidate, and let the outputs that it lacks be built. A candidate before it is superseded.

    Args:
        sample: what `sample_of` gave: what is measured on these rows decides whether the rest follows.
    """
    before = states.candidate_version(tx, component)
    if before is not None and before != number:
        refuse(tx, database, component, before, {"reason": f"superseded by version {number}"})
    live = states.live_version(tx, component)
    states.set_candidate(tx, component, number, is_gated=is_gated, is_rollback=is_rollback)
    if number != live:
        states.set_status(tx, component, number, "candidate")
    if live is not None:  # rows set from now on get a task for each version
        for layout, spec in versioned(database, component):
            backfills.begin_build(tx, layout, spec, sample.get(spec.name))
    reach("candidate.begun")


def sample_of(database: Database, component: str, count: int) -> Mapping[str, int | None]:
    """Return a sample of so many rows of each trigger whose outputs a new version would need."""
    with database.backend.read() as tx:
        return {
            spec.name: backfills.bound_of(tx, layout, spec, count)
            for layout, spec in versioned(database, component)
        }


def build_the_rest(tx: Transaction, database: Database, component: str, number: int) -> None:
    """Let the outputs be built that a candidate lacks beyond its sample."""
    for layout, spec in versioned(database, component):
        backfills.begin_build(tx, layout, spec)


def is_built(tx: Transaction, database: Database, component: str, number: int) -> tuple[bool, int]:
    """Return whether nothing is left to do for a candidate's outputs, and how many could not be made."""
    names = [spec.name for _, spec in versioned(database, component)]
    is_done, dead = backlog.version_is_built(tx, names, number)
    return is_done and not backfills.is_building(tx, names), dead


def refuse(
    tx: Transaction, database: Database, component: str, number: int, metrics: Mapping[str, Any]
) -> None:
    """Take back a candidate; it stays as a version, with its figures and the reason."""
    names = [spec.name for _, spec in versioned(database, component)]
    backfills.end(tx, names, "build")
    queue.drop_version(tx, names, number)
    states.set_candidate(tx, component, None)
    states.set_status(tx, component, number, "refused", dict(metrics))
    states.note_end(tx, component, number, next_number(tx))


def make_indexes_ready(database: Database, component: str, number: int) -> None:
    """Build the indexes of a version before it is live: then no search waits for them."""
    for layout, spec in versioned(database, component):
        for key in spec.sets:
            if layout.table.keys[key].is_array:
                database.indexes.make_ready(layout, layout.table.keys[key], number)


def switch(tx: Transaction, database: Database, component: str, number: int) -> bool:
    """Make a built candidate live, and return whether it is. Its values are beside the live ones already, so this changes
    one number; what follows from it is noted, and done part by part.

    While what the switch before has changed is not known nothing is done: the new version's outputs would take over
    numbers that are not right.
    """
    is_candidate = states.candidate_version(tx, component) == number
    if not is_candidate or not is_built(tx, database, component, number)[0]:
        # It was superseded, or rows came meanwhile: it is looked at again after the next commit.
        return False
    if states.unnumbered(tx, component):
        return False
    before = states.live_version(tx, component)
    change = next_number(tx)
    states.set_live(tx, component, number, change)
    for layout, spec in versioned(database, component):
        if before is None and number != 1:
            outputs.move_first(tx, layout, spec, number)
        if before not in (None, number) and layout.followed(spec):
            states.begin_numbering(tx, spec, change, before, number)
    for spec in _concerned(database, component, is_first=before is None):
        backfills.begin_refresh(tx, database.layouts[spec.table], spec, change)
    reach("switch.made")
    return True


def _concerned(database: Database, component: str, *, is_first: bool) -> list[TriggerSpec]:
    """Return the triggers that a switch gives work: those that derive from the outputs that were switched, those with
    outputs to refresh after it, and, with the first version, those that have been waiting for it."""

    def follows(spec: TriggerSpec) -> bool:
        versioned_keys = database.layouts[spec.table].versioned
        return any(
            key in versioned_keys and versioned_keys[key].component == component for key in spec.on
        )

    return [
        spec
        for spec in database.graph.triggers.values()
        if follows(spec)
        or (spec.component == component and spec.refresh == "after")
        or (is_first and component in spec.components)
    ]


def number_part(database: Database, component: str) -> bool:
    """Put the numbers of the next outputs that were switched right, so that what derives from those that differ is due;
    return whether there were any."""
    with database.backend.read() as tx:
        names = states.unnumbered(tx, component)
    if not names:
        return False
    known = {spec.name: (layout, spec) for layout, spec in versioned(database, component)}

    def work(tx: Transaction) -> None:
        if names[0] in known:
            layout, spec = known[names[0]]
            states.number_part(tx, spec, layout.followed(spec))
        else:
            states.end_numbering(tx, names[0])  # the trigger is gone, and nothing derives from it
        reach("switch.numbered")

    database.write(work, is_durable=False)
    return True


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
