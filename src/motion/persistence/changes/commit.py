"""The transaction that ends a claim: results, what they cause, and the tasks' completion. All of it, or nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from motion.backends.base import Asked, Transaction
from motion.background.tracebacks import headline
from motion.definitions.graph import Graph
from motion.definitions.tasks import CONFLICTS_ALLOWED, MAX_DEPTH, Cause, Task, Writer, ranges_of
from motion.definitions.triggers.folds import Folded, Rows
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.errors import AlwaysChanged, CascadeTooDeep, shortened
from motion.faults import reach
from motion.persistence.changes import gone, reads
from motion.persistence.changes.building import build_again
from motion.persistence.changes.cascade import enqueue_rows, fire, folds_of, run_what_waited
from motion.persistence.changes.claims import Claim, Step, Tasks
from motion.persistence.changes.deleting import unmake_former
from motion.persistence.changes.failures import fail, lose
from motion.persistence.changes.isolation import Check, Left, has_seen, is_any_read, told
from motion.persistence.changes.labelling import settle
from motion.persistence.changes.operations import (
    Operation,
    SetOperation,
    apply_operations,
    merged,
)
from motion.persistence.changes.results import (
    Source,
    pages_of,
    replace_pages,
    replace_rows,
    set_mark,
    set_marks,
)
from motion.persistence.inputs import folds
from motion.persistence.inputs.exact import Question, ask
from motion.persistence.inputs.folded import Reading
from motion.persistence.inputs.own import Inputs, fences_asked, read_fences
from motion.persistence.inputs.places import fold_of
from motion.persistence.layout import mark_of
from motion.persistence.layouts import Layouts
from motion.persistence.numbers import last_number, next_number
from motion.persistence.rows.derived import Derived, write_values, write_versioned
from motion.persistence.rows.provenance import name_of_row
from motion.persistence.rows.used import note_read, unfenced_keys
from motion.persistence.rows.written import Written
from motion.persistence.states import versions
from motion.persistence.states.seen import note_seen
from motion.persistence.stored_graph import origin_of
from motion.persistence.tasks import events, inherited, leases, memos, once, queue
from motion.persistence.tasks.discards import note_called_again
from motion.persistence.tasks.growing_texts import GrowingTexts, Grows

logger = logging.getLogger(__name__)

SHOWN_CHAIN = 6


class Data(Protocol):
    """What a commit knows of the database that it is made in, as it is when the transaction has begun."""

    layouts: Layouts
    growing: GrowingTexts

    @property
    def graph(self) -> Graph:
        """The triggers that all processes have opened it with."""


@dataclass
class Commit:
    """The end of a claim, ready to be applied in a transaction.

    Attributes:
        claim: of the tasks that hold the rows.
        inputs: the rows whose outcome it is.
        read_at: the number of the last change when the inputs were read: if it still is, no fence can have moved.
        superseded: row -> number of rows left to a newer change's task.
        left: rows of the same tasks that are still to be done, ascending: they stay claimed.
        rest: their tasks, after `apply`; None where the claim is not held any more.
        is_noted: the history has its runs.
    """

    database: Data
    claim: Claim
    inputs: Inputs
    read_at: int
    superseded: Mapping[int, int]
    steps: Sequence[Step]
    left: Sequence[int] = ()
    rest: Sequence[Task] | None = None
    is_noted: bool = False
    lost: Mapping[int, str] = field(default_factory=dict)
    """Rows that are called again, by their position among the inputs, with what they would not read as they did."""
    held: list[tuple[Reading, Cause]] = field(default_factory=list)
    """Entities of a fold that have stopped at a row which triggers had still to do something for."""
    once: int = 0
    """Of a trigger that acts once on a row: the number under which the run is noted there."""

    @property
    def tasks(self) -> Tasks:
        return self.claim.tasks

    def asked_first(self) -> Sequence[Asked]:
        """Return what is read before anything is written, as far as that is known."""
        is_fenced = not (self.once or self.left or self.claim.spec.fold)
        fences = fences_asked(self.claim.chain, self.inputs.rows) if is_fenced else []
        return leases.held_asked(self.tasks), *(fences if len(fences) == 1 else ())

    def apply(self, tx: Transaction) -> None:
        """Write what still holds. What was superseded meanwhile is dropped, and runs again as a task of its own."""
        self.rest, self.lost, self.held = None, {}, []
        if not leases.still_claimed(tx, self.tasks):
            return  # dropped, or taken over after a pause so long that this process seemed gone: others' results count
        claim = self.claim.under(self.database.layouts)
        if claim is None:
            if self.once:
                self._note_success(tx, next_number(tx))
            queue.release(tx, self.tasks)
            return
        done, self.rest = queue.part(tx, self.tasks, self.left)
        part = self
        if self.left or claim is not self.claim:
            part = replace(self, claim=replace(claim, tasks=Tasks(done)))
        part._apply(tx)
        self.lost = part.lost

    def _apply(self, tx: Transaction) -> None:
        if not (self.once or self._is_version_current(tx)):
            if self.claim.is_candidate and not self._is_candidate(tx):
                queue.complete(tx, self.tasks, ())  # parts of a task that was dropped
            else:
                queue.release(tx, self.tasks)
            return
        kept = self._isolated(tx, self._pinned(tx, self._kept(tx)))
        reach("task.fenced")
        is_same = last_number(tx) == self.read_at
        number = next_number(tx)
        self._leave(tx, self.superseded, number)
        if self.claim.spec.follow:
            self._keep_read(tx, kept)
        if self.database.graph.made_before:
            self._unmake_former(tx, kept, number)
        if self.claim.spec.is_columnar:
            self._write_columns(tx, kept, number)
        else:
            self._write_items(tx, kept, number)
        if not is_same:
            self._note_used(tx, kept)
        self._write_freely(tx, kept)
        self._write_memos(tx)
        reach("task.effects")
        self._end(tx, kept, number)
        reach("task.completed")

    def _unmake_former(self, tx: Transaction, kept: Sequence[int], number: int) -> None:
        """Let what former code made of rows in other tables go, now that the present code has run on them."""
        for step in self.steps:
            met = [i for i in kept if i in step.met and i not in step.errors]
            for i in met if step.spec.name in self.database.graph.made_before else ():
                row = self.inputs.rows[i]
                cause = self.claim.cause(row, number)
                unmake_former(tx, self.database.layouts, step.spec, [row], cause)

    def _is_left_to_other_code(self, tx: Transaction) -> bool:
        """Whether a trigger of the chain has been replaced since, and its new code is to make these outputs: what the old
        code gave would stand for it. Otherwise that counts as the old code's, and as stale."""
        triggers = self.database.graph.triggers
        replaced = [
            step.spec.name
            for step in self.steps
            if step.spec.name in triggers
            and triggers[step.spec.name].fingerprint != step.spec.fingerprint
        ]
        return any(queue.has_others_on(tx, name, self.tasks) for name in replaced)

    def _write_memos(self, tx: Transaction) -> None:
        first = self.steps[0]
        if first.named:
            rows = {
                self.inputs.rows[i]: digest
                for i, digest in first.named.items()
                if i not in first.errors
            }
            memos.write(tx, self.claim.chain.layout, first.spec, first.fresh, rows)

    def _is_candidate(self, tx: Transaction) -> bool:
        """Whether the version that the outputs are for is still on its way to be live."""
        component = self.claim.spec.component or ""
        return bool(versions.version_beside(tx, component) == self.tasks[0].version)

    def _is_version_current(self, tx: Transaction) -> bool:
        pins = dict(self.claim.pins)
        if self.claim.is_candidate:
            own = self.claim.spec.component or ""
            if versions.version_beside(tx, own) != pins.pop(own):
                return False
        return versions.are_live(tx, pins)

    def _pinned(self, tx: Transaction, kept: Sequence[int]) -> Sequence[int]:
        """Return those of the rows whose runs have read by hand what is live still; the others run once more."""
        lefts = [(step, left) for step in self.steps for left in step.writes if left.reads.pins]
        if not lefts or self.once or last_number(tx) == self.read_at:
            return kept
        live = versions.live_versions(tx, {name for _, left in lefts for name in left.reads.pins})
        moved = {
            step.called[place]
            for step, left in lefts
            if not left.reads.pins.items() <= live.items()
            for place in left.rows
        }
        return [i for i in kept if i not in moved] if moved else kept

    def _kept(self, tx: Transaction) -> Sequence[int]:
        """Return the rows that are as they were when they were read; none where other code is to make these outputs. What
        was done outside of the store stands, whatever has changed since, unless the row is gone."""
        if self.once:
            return self._still_there(tx)
        if self._is_left_to_other_code(tx):
            return ()
        if last_number(tx) == self.read_at:
            return range(len(self.inputs.rows))
        if self.claim.spec.fold is not None:
            return self._kept_entities(tx)
        now = read_fences(tx, self.claim.chain, self.inputs.rows)
        moved = {
            i for i, row in enumerate(self.inputs.rows) if now.get(row) != self.inputs.fences[i]
        }
        for step in self.steps:
            for left in step.writes:  # what rows of one batch left holds for all of them or none
                together = {step.called[place] for place in left.rows}
                moved |= together if together & moved else set()
        return [i for i in range(len(self.inputs.rows)) if i not in moved]

    def _still_there(self, tx: Transaction) -> Sequence[int]:
        """Return the rows that a call was begun on and that are still the same rows, with those that no call is needed for
        and that are as they were."""
        rows, called = self.inputs.rows, set(self.steps[0].called)
        mine = self._held(tx, called)
        now = read_fences(tx, self.claim.chain, rows)
        is_same = [
            now.get(row) == fence for row, fence in zip(rows, self.inputs.fences, strict=True)
        ]
        return [i for i in range(len(rows)) if (i in mine if i in called else is_same[i])]

    def _held(self, tx: Transaction, of: Iterable[int]) -> set[int]:
        """Return those of rows that are the very rows that the run was begun on."""
        layout, rows = self.claim.chain.layout, {self.inputs.rows[i]: i for i in of}
        return {
            rows[row] for row in once.held(tx, layout, self.claim.spec, sorted(rows), self.once)
        }

    def _note_success(self, tx: Transaction, number: int) -> None:
        """Note on which rows it has done what it does once, of those that are still the same."""
        step = self.steps[0]
        acted = self._held(
            tx, [i for i in step.called if i not in step.errors and i not in self.lost]
        )
        if acted:
            mark = mark_of(number, origin_of(tx, self.claim.spec, self.claim.version))
            rows = sorted(self.inputs.rows[i] for i in acted)
            once.end(tx, self.claim.chain.layout, self.claim.spec, rows, mark)

    def _kept_entities(self, tx: Transaction) -> list[int]:
        """Return the entities of which the rows that a fold went over, and those before them, are as they were."""
        fold = folds_of(self.database.layouts, self.claim.spec)
        step = self.steps[0]
        kept: list[int] = []
        for i, (reading,) in enumerate(self.inputs.fences):
            is_made = i in step.places and i not in step.errors
            count = self._folded(i).rows if is_made else min(len(reading.rows), 1)
            if fold.still_holds(tx, reading, count):
                kept.append(i)
        return kept

    def _folded(self, i: int) -> Folded:
        step = self.steps[0]
        given: Any = step.outcomes.items[step.places[i]]
        folded: Folded = given
        return folded

    def _isolated(self, tx: Transaction, kept: Sequence[int]) -> Sequence[int]:
        """Return those of the rows that would read the same now, after the runs before them; note the others."""
        step, spec = self.steps[0], self.claim.spec
        if not step.writes or (self.claim.is_candidate and not spec.follow):
            return kept  # of a candidate's runs nothing is written but what they give
        is_same = last_number(tx) == self.read_at
        layouts, still = self.database.layouts, set(kept)
        check = Check(None if is_same else lambda asked: ask(tx, layouts[asked.table], asked))
        lefts = {step.called[left.rows.start]: left for left in step.writes}
        lost: dict[int, str] = {}
        for i in range(len(self.inputs.rows)):
            rows = {step.called[place] for place in lefts[i].rows} if i in lefts else set()
            given = rows & (still - step.errors.keys())  # of a batch, an item may have failed
            has_given = bool(given)
            if rows and spec.follow and not (has_given and self._is_isolated(lefts[i])):
                own = (spec.table, self.inputs.names[i][0]) if spec.is_generator else None
                if check.has_moved(lefts[i].reads, but_for=own):
                    still -= rows  # as where what it looked up has changed
                elif has_given:
                    check.commit(lefts[i])
            elif has_given:
                why = self._lost_by(check, spec, lefts[i])
                if why is None:
                    check.commit(lefts[i])
                else:
                    lost |= dict.fromkeys(given, told(why))
                    still -= given
            if i in still and i not in step.errors and (spec.sets or spec.sets_table):
                row_id = None if spec.sets_table else self.inputs.names[i][0]
                check.give(spec.sets_table or spec.table, row_id)
        self.lost = lost
        return kept if len(still) == len(kept) else sorted(still)

    def _lost_by(self, check: Check, spec: TriggerSpec, left: Left) -> Question | str | None:
        return check.lost_by(left.reads) if self._is_isolated(left) else None

    def _is_isolated(self, left: Left) -> bool:
        return not self.claim.is_candidate and left.is_isolated(self.claim.spec.isolated)

    def _keep_read(self, tx: Transaction, kept: Sequence[int]) -> None:
        """Keep what runs have read by id, so that its change makes their rows due; of failed ones, too, which perhaps are over
        then. Of a run of which nothing is known, as its process ended, what was read before is kept."""
        step, rows = self.steps[0], self.inputs.rows
        read: dict[int, set[Question]] = {rows[i]: set() for i in kept if i not in step.errors}
        still = set(kept)
        for left in step.writes:
            of_run = {step.called[place] for place in left.rows} & still
            read |= dict.fromkeys((rows[i] for i in of_run), left.reads.by_id)
        reads.keep(tx, self.database.layouts, self.claim.spec, self.claim.version, read)

    # -- values --

    def _write_columns(self, tx: Transaction, kept: Sequence[int], number: int) -> None:
        layout = self.claim.chain.layout
        rows = _chosen(self.inputs.rows, kept)
        derived = [self._derived(tx, position, kept, number) for position in range(len(self.steps))]
        if self.claim.spec.is_versioned:
            written = write_versioned(tx, layout, rows, derived[0], self.claim.version, number)
            if self.claim.is_candidate:  # nobody sees these before the switch
                self._build_again(tx, written, number)
                return
        else:
            written = write_values(tx, layout, rows, derived, number)
        names = [step.spec.name for step in self.steps]
        for step in self.steps if self.database.graph.seen else ():
            self._note_seen(tx, step, kept)
        for part in self._by_task(written):
            row = next(iter(part.changed.values()))[0]
            fire(tx, self.database.layouts, part, self.claim.cause(row, number), except_for=names)

    def _build_again(self, tx: Transaction, written: Written, number: int) -> None:
        layouts, spec = self.database.layouts, self.claim.spec
        parts = self._by_task(written) if layouts.graph.following else [written]
        for part in parts if written.changed else ():  # what led to each of them is its task's
            cause = self.claim.cause(next(iter(part.changed.values()))[0], number)
            build_again(tx, layouts, spec, part, self.claim.version, cause)

    def _note_used(self, tx: Transaction, kept: Sequence[int]) -> None:
        """Keep what the values were made from, of keys that have become others during the call and do not call for another."""
        if self.claim.spec.fold is not None or self.claim.spec.event:
            return
        layout, given = self.claim.chain.layout, self.inputs.keys
        for step in self.steps:
            keys = [key for key in unfenced_keys(layout, step.spec) if key in given]
            if keys:
                places = [i for i in kept if i in step.met and i not in step.errors]
                rows = [self.inputs.rows[i] for i in places]
                read = {key: [given[key][i] for i in places] for key in keys}
                note_read(tx, layout, step.spec, rows, read, self.read_at)

    def _note_seen(self, tx: Transaction, step: Step, kept: Sequence[int]) -> None:
        """Keep rows as a trigger saw them, where fits ask for that."""
        met = [i for i in kept if i in step.met]
        rows = [self.inputs.rows[i] for i in met]
        note_seen(tx, self.claim.chain.layout, step.spec, rows, self._taken(met))

    def _taken(self, places: Sequence[int]) -> dict[str, list[Stored]]:
        """Return what the run has read of rows' own keys."""
        keys = self.claim.chain.layout.table.keys
        return {
            key: [values[i] for i in places]
            for key, values in self.inputs.keys.items()
            if key in keys
        }

    def _derived(self, tx: Transaction, position: int, kept: Sequence[int], number: int) -> Derived:
        step, spec = self.steps[position], self.steps[position].spec
        origin = origin_of(tx, spec, self.claim.version)
        place = len(self.claim.chain.fenced) + position
        before = [fence[place] for fence in self.inputs.fences]
        if spec.is_versioned:  # compared with the marks of other versions, so as of its input
            after = [mark_of(on, origin) for on in self.inputs.on_numbers]
        else:  # the fence holds, so no change of an `on` key is newer; and this number has a time
            after = [mark_of(number, origin)] * len(before)
        if len(step.met) < len(before):
            after = [mark if i in step.met else before[i] for i, mark in enumerate(after)]
        columns = [_chosen(column, kept) for column in step.columns]
        old = [_chosen(self.inputs.outputs[key], kept) for key in spec.sets]
        return Derived(spec, columns, old, _chosen(after, kept))

    def _by_task(self, written: Written) -> list[Written]:
        """Split what was written by the task that each row belongs to, so that each change waits for its own work."""
        if len(self.tasks) == 1 or not written.changed:
            return [written] if written.changed else []
        parts: dict[int, Written] = {}
        for noted, kind in ((written.changed, "changed"), (written.arrived, "arrived")):
            for key, rows in noted.items():
                for row in rows:
                    part = parts.setdefault(self.tasks.of(row).task, Written(written.layout))
                    getattr(part, kind).setdefault(key, []).append(row)
        return list(parts.values())

    # -- pages, rows of another table, free writes --

    def _write_items(self, tx: Transaction, kept: Sequence[int], number: int) -> None:
        step, spec, layouts = self.steps[0], self.claim.spec, self.database.layouts
        if spec.event:
            events.end(tx, spec.table, [self.inputs.rows[i] for i in kept if i in step.met])
            return
        origin = origin_of(tx, spec, self.claim.version)
        if self.once:
            self._note_success(tx, number)
        if spec.fold is not None:
            self._keep_folded(tx, kept, origin, number)
            return
        met = [i for i in kept if i in step.met]
        if not (
            spec.page or spec.sets_table
        ):  # it gives nothing but what it writes through its store
            rows = [self.inputs.rows[i] for i in met]
            set_marks(tx, self.claim.chain.layout, spec, rows, mark_of(number, origin))
            return
        for i in met:
            row = self.inputs.rows[i]
            cause = self.claim.cause(row, number)
            if spec.follow:
                cause = replace(cause, writer=Writer(spec.name, frozenset([row])))
            items = (
                step.outcomes.items[step.places[i]]
                if i in step.places and step.outcomes.items
                else []
            )
            source = Source(row, self.inputs.names[i], self.inputs.source_number(i))
            if spec.page:
                written = replace_pages(tx, layouts, spec, source, items, cause)
                if layouts.graph.seen:
                    pages = [
                        row.number
                        for row in pages_of(tx, layouts[spec.table], spec, source).values()
                    ]
                    taken = {key: column * len(pages) for key, column in self._taken([i]).items()}
                    note_seen(tx, layouts[spec.table], spec, pages, taken)
                fire(tx, layouts, written, cause)
            else:
                fire(tx, layouts, replace_rows(tx, layouts, spec, source, items, cause), cause)
            set_mark(tx, self.claim.chain.layout, spec, row, mark_of(number, origin))

    def _keep_folded(self, tx: Transaction, kept: Sequence[int], origin: int, number: int) -> None:
        spec, layouts, step = self.claim.spec, self.database.layouts, self.steps[0]
        of_task: dict[int, list[int]] = {}
        for i in kept:
            if i in step.places and i not in step.errors:
                of_task.setdefault(self.tasks.of(self.inputs.rows[i]).task, []).append(i)
        # A page 0 that is made for the value begins with a time and defaults, which the pages that were folded show.
        own = [] if fold_of(spec).is_of_entity else [spec.name]
        for places in of_task.values():
            cause = self.claim.cause(self.inputs.rows[places[0]], number)
            given = [(self.inputs.fences[i][0], self._folded(i)) for i in places]
            kept_by = folds_of(layouts, spec)
            written, more, held = kept_by.keep(tx, given, origin, number)
            fire(tx, layouts, written, cause, except_for=own)
            enqueue_rows(tx, layouts[spec.table], spec, more, cause)
            self.held += [(reading, cause) for reading in held]

    def _write_freely(self, tx: Transaction, kept: Sequence[int]) -> None:
        """Make the writes that the user's code left with its view."""
        if self.claim.is_candidate:
            return
        still = set(kept) - self._bringing_back(tx)
        first = self.steps[0]
        if self.claim.spec.follow and is_any_read(first.writes):
            self._write_apart(tx, first.writes, still)
            return  # behind a trigger that takes the store runs none in memory that writes
        for step in self.steps:
            of_task: dict[int, list[Operation]] = {}
            for left in step.writes:
                whose = _whose(step, left, still)
                if whose and left.operations:
                    task = self.tasks.of(self.inputs.rows[min(whose)])
                    of_task.setdefault(task.low, []).extend(left.operations)
            for low, operations in of_task.items():
                # A number of its own: what was written for the rows is not derived from it.
                cause = self.claim.cause(low, next_number(tx))
                self._apply_freely(
                    tx, cause.through(step.spec.name), merged(self.database.layouts, operations)
                )

    def _bringing_back(self, tx: Transaction) -> set[int]:
        """Return the rows whose runs would write by hand to a row that was deleted after they had begun: what they write goes
        nowhere. Of what they have read, it was told by now that they would read the same: it was deleted before that."""
        if not any(step.writes for step in self.steps) or not gone.is_any(tx):
            return set()
        return {
            step.called[place]
            for step in self.steps
            for left in step.writes
            for operation in left.operations
            if isinstance(operation, SetOperation)
            and gone.is_among(
                tx, operation.table, self._blind(left, operation), self.read_at, left.began_ms
            )
            for place in left.rows
        }

    def _blind(self, left: Left, operation: SetOperation) -> Sequence[Stored]:
        """Return the ids that a run writes to without knowing, at its end, whether they are there."""
        ids = operation.columns.get("id") or ()
        return left.reads.unread(operation.table, ids) if self._is_isolated(left) else ids

    def _write_apart(self, tx: Transaction, lefts: Sequence[Left], still: set[int]) -> None:
        """Make the writes of runs that follow what they read, where some are of what others here have read: each by itself, as it
        makes those due that have not seen it."""
        step = self.steps[0]
        for left in lefts:
            of_run = _whose(step, left, still)
            if not (of_run and left.operations):
                continue
            seen_by = [left, *(other for other in lefts if has_seen(other, left))]
            rows = {self.inputs.rows[step.called[p]] for each in seen_by for p in each.rows}
            cause = self.claim.cause(self.inputs.rows[min(of_run)], next_number(tx))
            slots = reads.slots_in(step.spec, rows, self.claim.version)
            cause = replace(cause, writer=Writer(step.spec.name, frozenset(slots)))
            mark = mark_of(cause.number, origin_of(tx, step.spec, self.claim.version))
            for row in sorted(rows & {self.inputs.rows[i] for i in still}):
                # It has seen this change, which a sweep tells by that; one over versions is told.
                if not step.spec.is_versioned:
                    set_mark(tx, self.claim.chain.layout, step.spec, row, mark)
            self._apply_freely(tx, cause.through(step.spec.name), left.operations)

    def _apply_freely(self, tx: Transaction, cause: Cause, operations: Sequence[Operation]) -> None:
        reach("task.written")
        if len(cause.chain) > MAX_DEPTH:
            raise CascadeTooDeep(cause.chain[-SHOWN_CHAIN:], MAX_DEPTH)
        apply_operations(tx, self.database.layouts, operations, cause)

    # -- the tasks' end --

    def _end(self, tx: Transaction, kept: Sequence[int], number: int) -> None:
        """Complete the tasks; rows that failed, or were superseded meanwhile, go on as tasks of their own."""
        still = set(kept)
        if self.claim.spec.grows_text:
            self._end_texts(tx, kept)
        for step in self.steps:
            given_up = [
                f"{self._named(tx, i)}: {headline(error)}"
                for i, error in step.errors.items()
                if i in still and self._set_aside(tx, step, i, error, number)
            ]
            if given_up:
                message = "trigger %s gave up on %d row(s), see store.errors(); the first: %s"
                logger.warning(message, step.spec.name, len(given_up), given_up[0])
        self._end_letters(tx, kept, number)
        self._leave_waiting(tx, still, number)
        gone = [i for i in range(len(self.inputs.rows)) if i not in still and i not in self.lost]
        self._go_on(tx, [self.inputs.rows[i] for i in gone], number)
        self._call_again(tx, number)
        woken = {
            name for step in self.steps for name in self.database.graph.woken_by(step.spec.name)
        }
        queue.complete(tx, self.tasks, sorted(woken))
        self._hold(tx)  # now: the end of these tasks would have woken them
        for step in self.steps:
            inherited.wake(tx, self.claim.chain.layout, step.spec.name, self.tasks)
            for fold in self.database.graph.fed.get(step.spec.name, ()):
                folds_of(self.database.layouts, fold).wake(tx, self.tasks)
        settle(tx, self.database.layouts, self.claim.spec, self.tasks, number)

    def _leave_waiting(self, tx: Transaction, still: set[int], number: int) -> None:
        """Make triggers that run in memory due on the rows where something upstream of them has failed, or has still to run."""
        for step in self.steps[1:]:
            for row in [self.inputs.rows[i] for i in step.waiting if i in still]:
                cause = self.claim.cause(row, number)
                enqueue_rows(tx, self.claim.chain.layout, step.spec, [row], cause)

    def _end_letters(self, tx: Transaction, kept: Sequence[int], number: int) -> None:
        """End dead letters of rows that have succeeded, and run what has waited for that: of an earlier run, which has failed
        when this one was due already, or of one that was no task but ran in memory."""
        steps = [
            step for step in self.steps if step.spec.fold is None
        ]  # whose letters are of other rows
        if not (steps and queue.has_dead(tx, [step.spec.name for step in steps])):
            return
        for step in steps:
            name, version = step.spec.name, self.tasks[0].version if step is steps[0] else None
            rows = [self.inputs.rows[i] for i in kept if i in step.met and i not in self.lost]
            for ended in queue.forget_dead(tx, name, rows, version):
                if version is None:
                    cause = self.claim.cause(ended[0], number)
                    run_what_waited(tx, self.claim.chain.layout, name, [ended], cause)

    def _hold(self, tx: Transaction) -> None:
        """Let entities of a fold wait for the row that they stopped at; the run itself may have taken it away."""
        spec, layouts = self.claim.spec, self.database.layouts
        for reading, cause in self.held:
            if folds_of(layouts, spec).is_held(tx, reading):
                queue.wait_alone(tx, spec, reading.entity, cause)
            else:
                enqueue_rows(tx, layouts[spec.table], spec, [reading.entity], cause)

    def _call_again(self, tx: Transaction, number: int) -> None:
        """Let rows be called again that would not read the same; those that this has happened to too often are set aside."""
        spec = self.claim.spec
        for i, why in self.lost.items():
            row = self.inputs.rows[i]
            task = self.tasks.of(row)
            alone = queue.add_alone(tx, spec, row, self.claim.cause(row, number), task.version)
            conflicts = task.conflicts + 1
            if conflicts < CONFLICTS_ALLOWED and spec.once != "at_most":
                queue.call_again(tx, alone, conflicts, task.attempts)
            else:
                error = str(AlwaysChanged(spec.name, why, conflicts))
                queue.bury(
                    tx, alone, task.attempts, f"AlwaysChanged: {error}", self._shown(spec, i)
                )
        if self.lost:
            note_called_again(tx, spec.name, len(self.lost))

    def _end_texts(self, tx: Transaction, kept: Sequence[int]) -> None:
        name, inputs = self.claim.spec.name, self.inputs
        texts = {i: Grows(name, inputs.rows[i], inputs.on_numbers[i]) for i in kept}
        failed = [text for i, text in texts.items() if i in self.steps[0].errors]
        self.database.growing.settle(tx, texts.values(), failed)

    def _go_on(self, tx: Transaction, rows: Sequence[int], number: int) -> None:
        """See to rows that were superseded meanwhile, by a change after the inputs were read, of whichever key, here or in
        another row; those that are deleted need nothing."""
        there = read_fences(tx, self.claim.chain, rows) if rows else {}
        self._leave(tx, dict.fromkeys(there, self.read_at + 1), number)

    def _leave(self, tx: Transaction, newest: Mapping[int, int], number: int) -> None:
        """Leave rows to the task of the change that has superseded this one. Where there is none, as the change has not
        made its tasks yet (a switch makes them part by part), or is not newer, they run once more as tasks of their own.

        Args:
            newest: row -> the number of that change.
        """
        alone: dict[int, list[int]] = {}
        for row, newer in newest.items():
            task = self.tasks.of(row)
            if newer <= task.number or not queue.link_newer(tx, task, row, newer):
                alone.setdefault(task.task, []).append(row)
        for rows in alone.values():
            cause, version = self.claim.cause(rows[0], number), self.tasks.of(rows[0]).version
            queue.enqueue(tx, self.claim.spec, ranges_of(rows), cause, version=version)

    def _set_aside(self, tx: Transaction, step: Step, i: int, error: str, number: int) -> bool:
        """Let a failed row go its own way; return whether the trigger gives up on it."""
        row, spec = self.inputs.rows[i], step.spec
        task = self.tasks.of(row)
        is_first = step is self.steps[0]
        alone = queue.add_alone(
            tx, spec, row, self.claim.cause(row, number), task.version if is_first else None
        )
        shown = self._shown(spec, i)
        if i in step.lost:
            is_over = lose(tx, alone, task if is_first else None, error, shown)
        else:
            before = task.attempts if is_first else 0
            is_over = fail(tx, spec, alone, before, error, shown, self._named(tx, i))
        if is_over and spec.fold is not None:
            self._leave_out(tx, alone, i, number)
        return is_over

    def _leave_out(self, tx: Transaction, letter: int, i: int, number: int) -> None:
        """Let a fold go on without a row that it has given up."""
        spec, (reading,) = self.claim.spec, self.inputs.fences[i]
        if reading.rows:
            queue.move(tx, letter, folds.leave_out(tx, spec, reading.entity, reading.rows[0]))
            cause = self.claim.cause(reading.entity, number)
            queue.enqueue(tx, spec, [(reading.entity, reading.entity)], cause)

    def _shown(self, spec: TriggerSpec, i: int) -> str:
        """Return what a trigger was given for a row, as dead letters tell it."""
        if spec.fold is not None:
            rows: Rows = self.inputs.keys["rows"][i]
            return rows.shown(spec.fold)
        keys = self.inputs.keys
        given = {p.name: keys[p.column][i] for p in spec.parameters if p.column in keys}
        return ", ".join(f"{name}={shortened(value, 200)}" for name, value in given.items())

    def _named(self, tx: Transaction, i: int) -> str:
        """Return a row as logs name it; of a fold the folded one that it stopped at, as its dead letter does."""
        table, values = self.claim.chain.layout.table, self.inputs.names[i]
        fold = self.claim.spec.fold
        if fold is not None and self.inputs.fences[i][0].rows:
            source = self.database.layouts[fold.source]
            found = name_of_row(tx, source, self.inputs.fences[i][0].rows[0])
            table, values = (source.table, found) if found else (table, values)
        name = zip(table.primary_key, values, strict=True)
        return f"{table.name} {' '.join(f'{key}={shortened(value)}' for key, value in name)}"


def _whose(step: Step, left: Left, still: set[int]) -> set[int]:
    """Return the rows of a run that hold, by their position among the inputs."""
    return {step.called[place] for place in left.rows} & step.met & still


def _chosen(values: Sequence[Any], kept: Sequence[int]) -> Sequence[Any]:
    return values if len(kept) == len(values) else [values[i] for i in kept]
