"""Promotion: how a state version goes live. Each step is one transaction that another process can go on from.

candidate --its outputs are built beside the live ones--> (evaluate) --switch--> live
                                                              '--------> refused
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from motion.backends.base import Transaction
from motion.definitions.triggers.specs import TriggerSpec
from motion.faults import reach
from motion.persistence.changes import following, reads
from motion.persistence.changes.building import begin_anew
from motion.persistence.changes.cascade import tell_takers
from motion.persistence.database import Database
from motion.persistence.layout import Layout
from motion.persistence.numbers import next_number
from motion.persistence.recompute import backfills
from motion.persistence.rows import outputs, provenance, used
from motion.persistence.states import asked, files, fit_requests, format, versions
from motion.persistence.tasks import backlog, inherited, queue

NO_NOTES: Mapping[str, Any] = {}

NO_SAMPLE: Mapping[str, int | None] = {}

FORGOTTEN_AT_ONCE = 1_000
"""Rows of old outputs that are deleted in one transaction: what writes meanwhile waits no longer than for them."""


@dataclass(frozen=True)
class Candidate:
    """A version on its way to be live, as one snapshot shows it.

    Attributes:
        is_built: no output is left to be built of a row that the live version has one for.
        dead: how many of these could not be made.
        is_gated: it must be better; otherwise a person asked for it, and it goes live as soon as it is built.
        is_rollback: it was live before, and no row on which it fails keeps it from being so again.
        fit: the fit that made it; None for `setup`.
    """

    number: int
    live: int | None
    is_built: bool
    dead: int
    first_error: str
    is_gated: bool
    is_rollback: bool
    stage: str | None
    fit: str | None

    @property
    def waits(self) -> bool:
        """Whether it waits for a person to promote it."""
        return self.is_gated and self.stage == "ready" and not self.dead

    @property
    def may_go_live(self) -> bool:
        """Whether nothing but its outputs is waited for."""
        return not self.is_gated or self.stage == "passed"


def candidate_of(database: Database, component: str) -> Candidate | None:
    """Return a component's version that is on its way to be live."""
    with database.backend.read() as tx:
        number = versions.candidate_version(tx, component)
        if number is None:
            return None
        is_done, dead = is_built(tx, database, component, number)
        return Candidate(
            number,
            versions.live_version(tx, component),
            is_done,
            dead,
            backlog.first_error(tx, number) if dead else "",
            versions.is_gated(tx, component),
            versions.is_rollback(tx, component),
            versions.stage_of(tx, component, number),
            versions.fit_of(tx, component, number),
        )


def offer(tx: Transaction, database: Database, component: str, number: int) -> None:
    """Let a new version wait until it may be the candidate: what a person asked for goes before. One that waited before it
    is superseded."""
    for before in versions.queued(tx, component):
        drop(tx, database, component, before, f"superseded by version {number}")
    versions.set_stage(tx, component, number, "queued")


def take_next(
    tx: Transaction,
    database: Database,
    component: str,
    number: int,
    sample: Mapping[str, int | None] = NO_SAMPLE,
) -> bool:
    """Make a version that was offered the candidate, unless another came before; return whether it is. One that waits for
    a person is superseded.

    Args:
        sample: what `sample_of` gave: what is measured on these rows decides whether the rest follows.
    """
    before = versions.candidate_version(tx, component)
    if number not in versions.queued(tx, component):
        return False
    if before is not None and not _waits_for_a_person(tx, component, before):
        return False
    if before is not None:
        drop(tx, database, component, before, f"superseded by version {number}")
    _begin(tx, database, component, number, is_gated=True, sample=sample)
    versions.set_stage(tx, component, number, "trial" if sample else None)
    return True


def _waits_for_a_person(tx: Transaction, component: str, candidate: int) -> bool:
    return (
        versions.is_gated(tx, component) and versions.stage_of(tx, component, candidate) == "ready"
    )


def ask_live(
    tx: Transaction, database: Database, component: str, number: int, *, is_rollback: bool = False
) -> int:
    """Make a version the one that goes live next, whatever is on its way, as a person asked; return the number of the
    change that this is. Asking for the live one takes back what was asked for before."""
    change = next_number(tx)
    asked.note_promotion(tx, change, component, number)
    before = versions.candidate_version(tx, component)
    if before is not None and before != number:
        drop(
            tx, database, component, before, f"superseded by version {number}, which was asked for"
        )
    if number == versions.live_version(tx, component):
        if before is None:
            asked.end_version(tx, component, number, "done")
        else:
            _stay(tx, component)
        return change
    versions.set_stage(tx, component, number, None)
    _begin(tx, database, component, number, is_gated=False, is_rollback=is_rollback)
    return change


def _stay(tx: Transaction, component: str) -> None:
    """Let the live version be the next one as well: there is nothing to switch, and what was built for another goes."""
    live = versions.live_version(tx, component)
    if live is not None:
        versions.set_candidate(tx, component, live, is_gated=False)


def _begin(
    tx: Transaction,
    database: Database,
    component: str,
    number: int,
    *,
    is_gated: bool,
    is_rollback: bool = False,
    sample: Mapping[str, int | None] = NO_SAMPLE,
) -> None:
    """Make a version the candidate, and let the outputs that it lacks be built."""
    versions.set_candidate(tx, component, number, is_gated=is_gated, is_rollback=is_rollback)
    if versions.live_version(tx, component) is not None:
        for layout, spec in versioned(database, component):
            # Rows set from now on get a task for each version.
            backfills.begin_build(tx, layout, spec, sample.get(spec.name))
    reach("candidate.begun")


def sample_of(database: Database, component: str, count: int) -> Mapping[str, int | None]:
    """Return a sample of so many rows of each trigger whose outputs a new version would need; all of those that its others take
    from other rows, as these would be made of a part."""
    found = versioned(database, component)
    taken = {maker.name for _, spec in found for maker in database.graph.follows_from(spec)}
    with database.backend.read() as tx:
        for _, spec in found:
            makers = [maker for _, maker in found] if spec.follow else []
            taken.update(maker.name for maker in makers if reads.has_read(tx, spec, maker))
        return {
            spec.name: None if spec.name in taken else backfills.bound_of(tx, layout, spec, count)
            for layout, spec in found
        }


def build_the_rest(tx: Transaction, database: Database, component: str) -> None:
    """Let the outputs be built that a candidate lacks beyond its sample."""
    for layout, spec in versioned(database, component):
        backfills.begin_build(tx, layout, spec)


def is_built(tx: Transaction, database: Database, component: str, number: int) -> tuple[bool, int]:
    """Return whether nothing is left to do for a candidate's outputs, and how many could not be made: of rows that the
    live version has outputs for. The others are built as well, but not waited for: where it failed, the candidate may. While the
    component is away, as this process has the code of and others have opened the store without, nobody builds them."""
    if component not in database.components(tx):
        return False, 0
    specs = [spec for _, spec in versioned(database, component)]
    live = versions.live_version(tx, component)
    if live is None:
        return True, 0
    found = [versions.built(tx, spec, number, live) for spec in specs]
    is_done = all(is_done for is_done, _ in found)
    is_building = backfills.is_building(tx, [spec.name for spec in specs])
    return is_done and not is_building, sum(dead for _, dead in found)


def drop(
    tx: Transaction,
    database: Database,
    component: str,
    number: int,
    reason: str,
    notes: Mapping[str, Any] = NO_NOTES,
    *,
    has_failed: bool = False,
) -> None:
    """Take back what was on its way to be live. A new version is refused, with its figures and the reason; one that a
    person wanted back is what it was.

    Args:
        has_failed: it could not be made live; otherwise somebody decided otherwise.
    """
    if versions.candidate_version(tx, component) == number:
        names = [spec.name for _, spec in versioned(database, component)]
        backfills.end(tx, names, "build")
        queue.drop_version(tx, names, number)
        versions.set_candidate(tx, component, None)
    if versions.status_of(tx, component, number) == "candidate":
        versions.set_status(tx, component, number, "refused")
        versions.note_end(tx, component, number, next_number(tx))
        versions.add_notes(tx, component, number, {**notes, "reason": reason})
    outcome: Literal["failed", "superseded"] = "failed" if has_failed else "superseded"
    asked.end_version(tx, component, number, outcome, reason)


def cancel(tx: Transaction, database: Database, changes: Sequence[int]) -> None:
    """Take back what people asked for by these changes, as far as it has not come about."""
    for component, fit, number in asked.withdraw(tx, changes):
        if fit:
            if not asked.is_wanted(tx, fit):
                fit_requests.withdraw_fit(tx, fit)
        elif number is not None and versions.candidate_version(tx, component) == number:
            drop(tx, database, component, number, "cancelled")
            _stay(tx, component)


def hand_over_build(database: Database, component: str) -> bool:
    """Make tasks of the next part of a build that a person waits for, at once; return whether there was one. Where all is
    kept this finds nothing to build, however much work the workers have."""
    names = {spec.name for _, spec in versioned(database, component)}
    with database.backend.read() as tx:
        build = backfills.next_build(tx, database.graph, names)
        if build is None or backlog.has_ready_of(tx, build.lane):
            return False
        spec = database.graph.triggers[build.trigger]
        layouts = database.layouts
        part = backfills.next_part(tx, layouts, spec, build)
    database.write(lambda tx: backfills.hand_over(tx, layouts, spec, build, part))
    return True


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
    is_candidate = versions.candidate_version(tx, component) == number
    if not is_candidate or not is_built(tx, database, component, number)[0]:
        # It was superseded, or rows came meanwhile: it is looked at again after the next commit.
        return False
    if versions.unnumbered(tx, component):
        return False
    before = versions.live_version(tx, component)
    if before == number:
        versions.set_candidate(tx, component, None)
        asked.end_version(tx, component, number, "done")
        return True
    change = next_number(tx)
    lacking, behind = _drop_leftovers(tx, database, component, number)
    versions.set_live(tx, component, number, change)
    for layout, spec in versioned(database, component):
        if before is None and number != 1:
            outputs.move_first(tx, layout, spec, number)
        used.drop_overcome(tx, spec, number)
        if before is not None and (layout.followed(spec) or layout.is_made_of_switched(spec)):
            versions.begin_numbering(tx, spec, change, before, number)
        following.tell_switched(tx, database.layouts, spec, before or 1, number, change)
    concerned = {spec.name for spec in _concerned(database, component, is_first=before is None)}
    for name in sorted({*concerned, *behind}):
        spec = database.graph.triggers[name]
        layout = database.layouts[spec.table]
        rows = None if name in concerned else sorted(behind[name])
        backfills.begin_refresh(tx, layout, spec, change, rows)
        if spec.is_versioned and versions.version_beside(tx, spec.component or "") is not None:
            # What follows is judged as the live version has it; another component's candidate may be further behind.
            begin_anew(tx, layout, spec, next_number(tx))
    versions.add_notes(tx, component, number, {"lacking": lacking} if lacking else {})
    reach("switch.made")
    return True


def _drop_leftovers(
    tx: Transaction, database: Database, component: str, number: int
) -> tuple[int, dict[str, set[int]]]:
    """Forget what is left of a candidate's build when it goes live, all of rows that had no outputs; return on how many
    rows it has failed, which become dead letters like any, and the triggers that have stood behind those that end, with
    the rows: where it has outputs these are things of the past."""
    lacking, behind = 0, dict[str, set[int]]()
    for layout, spec in versioned(database, component):
        lacking += versions.adopt_dead(tx, spec, number)
        overcome = provenance.overcome(tx, layout, spec, number)
        if queue.forget_dead(tx, spec.name, overcome):
            for name in database.graph.downstream(spec.name):
                other = database.graph.triggers[name]
                rows = inherited.pages_of(tx, layout, other, spec.name, overcome)
                behind.setdefault(name, set()).update(rows)
        queue.drop_version(tx, [spec.name], number)
    return lacking, behind


def _concerned(database: Database, component: str, *, is_first: bool) -> list[TriggerSpec]:
    """Return the triggers that a switch gives work: those that derive from the outputs that were switched, or may be waiting
    for a value that they read of them, those with outputs to refresh after it, and, with the first version, those that have
    been waiting for it."""

    def follows(spec: TriggerSpec) -> bool:
        own = (database.graph.kept_by_version(spec.table, key) for key in spec.on)
        makers = [*own, *database.graph.follows_from(spec), *database.graph.waits_for(spec)]
        return any(maker is not None and maker.component == component for maker in makers)

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
        is_there = component in database.components(tx)
        names = versions.unnumbered(tx, component) if is_there else ()
    if not names:
        return False
    known = {spec.name: (layout, spec) for layout, spec in versioned(database, component)}
    rank = database.graph.rank
    # Marks of what is made of other outputs are put right before the numbers of these.
    name = max(names, key=lambda each: rank.get(each, -1))

    def work(tx: Transaction) -> None:
        if component not in database.components(tx):
            return
        if name not in known:
            versions.end_numbering(tx, name)  # the trigger is gone, and nothing derives from it
        elif (part := versions.next_switched(tx, known[name][1])) is not None:
            _number(tx, database, *known[name], part)
        reach("switch.numbered")

    database.write(work, is_durable=False)
    return True


def _number(
    tx: Transaction,
    database: Database,
    layout: Layout,
    spec: TriggerSpec,
    part: versions.Switched,
) -> None:
    if layout.is_made_of_switched(spec):
        provenance.keep_met(tx, layout, spec, part.change, part.first, part.last)
    for key, rows in versions.number_part(tx, spec, layout.followed(spec), part).items():
        tell_takers(tx, database.layouts, spec, key, rows, part.change)


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
        return versions.forget_states(tx, component, code.keep_states)

    if database.write(work):
        sweep(database)


def _forget_outputs(database: Database, component: str, count: int) -> int:
    def work(tx: Transaction) -> tuple[int, list[int]]:
        keep = versions.kept_outputs(
            tx, component, count
        )  # anew each time: one of them may be a candidate by now
        keep += files.versions_viewed(database.backend.folder, component)
        deleted = 0
        for _, spec in versioned(database, component):
            slots = versions.delete_outputs(tx, spec, keep, FORGOTTEN_AT_ONCE)
            reads.forget_slots(tx, spec, slots, keep)
            deleted += len(slots)
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
                found = [format.files_of(manifest) for manifest in versions.manifests(tx)]
            self._names = set().union(*found)
        return name in self._names
