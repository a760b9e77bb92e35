"""Runs: the code of a claim's triggers on its rows. Reads what they need, and writes nothing.

Owns what is derived from what, in which order and where; what a function's result means is `derive`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

from motion import clock, tracing
from motion.backends.base import Transaction
from motion.background.tracebacks import text_of
from motion.definitions.components import Component
from motion.definitions.tables.schema import Tables
from motion.definitions.tasks import Cause, Writer
from motion.definitions.triggers.options import AWAY, Resources
from motion.definitions.triggers.specs import Trigger, TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.engine.calls import (
    Apart,
    Given,
    Here,
    OpenDatabase,
    Passing,
    Rows,
    folded_in_parts,
    given_in_parts,
    prepare_here,
    prepare_there,
)
from motion.engine.derive import Made, OnItem
from motion.engine.memo import Recall, SharedCalls
from motion.engine.traced import Traced, run_span
from motion.executors.base import Constant, Executors
from motion.faults import reach
from motion.persistence.changes.cascade import fire
from motion.persistence.changes.claims import Claim, Step, rows_with_inputs
from motion.persistence.changes.isolation import Check, Entity, Left
from motion.persistence.changes.results import Source, replace_pages, write_pages
from motion.persistence.database import Database
from motion.persistence.inputs.exact import ask
from motion.persistence.inputs.own import Inputs, read_fences
from motion.persistence.layouts import Layouts
from motion.persistence.numbers import next_number
from motion.persistence.rows.reading import rows_by_number
from motion.persistence.states import versions
from motion.persistence.tasks import leases, memos, traces
from motion.persistence.tasks.growing_texts import Grows
from motion.states.process import Jobs, state_sent
from motion.views.run import CURRENT
from motion.views.view import TaskRun

CLASSES_KNOWN = 32
"""State versions of which it is remembered which classes go along to other processes."""

Columns = dict[str, Sequence[Any]]

CauseOf = Callable[[int, int], Cause | None]
"""Tells why something is written for a row, in a commit with a number; None where its task is not held any more."""


class Runs:
    """Runs the triggers of claims by the executors of one store. Thread-safe.

    Args:
        reader: returns what opens the store, as its schemas are now, in another process.
    """

    def __init__(
        self,
        database: Database,
        executors: Executors,
        reader: Callable[[], OpenDatabase],
    ) -> None:
        self._database, self._executors = database, executors
        self._reader = reader
        self._stores: dict[Tables, Constant] = {}
        self._code: dict[str, tuple[Callable[..., Any], Constant]] = {}
        self._classes: dict[tuple[tuple[Component, int], ...], Constant] = {}
        self._states: dict[tuple[str, int], Constant] = {}
        self._jobs: dict[str, Jobs] = {}
        self.shared = SharedCalls()

    def room(self, spec: TriggerSpec) -> float:
        """Return how many calls of a trigger may be begun now."""
        return self._executors.of(spec).room

    def takes(self, spec: TriggerSpec) -> Resources:
        """Return what one call of a trigger takes of where it runs."""
        return self._executors.takes(spec)

    def is_on_cluster(self, spec: TriggerSpec) -> bool:
        return self._executors.place_of(spec) == "ray"

    def jobs_of(self, component: str) -> Jobs:
        """Return what runs a component's `setup` before there is a state of it."""
        if component not in self._jobs:
            self._jobs[component] = Jobs(self._database, component, self._executors, self._reader)
        return self._jobs[component]

    def asked(
        self,
        claim: Claim,
        inputs: Inputs,
        on_item: OnItem | None,
        bad: Mapping[int, str],
        maker: object,
    ) -> Asked:
        """Return the calls that a claim's first trigger needs on the rows, none of them made.

        Args:
            bad: row -> traceback, for rows that have failed already.
            maker: stands for the claim among those that share calls.
        """
        stored = inputs.keys
        if bad:
            stored = {
                key: [None if i in bad else value for i, value in enumerate(column)]
                for key, column in stored.items()
            }
        values: Columns = claim.chain.decoded(stored)
        trigger, spec = claim.triggers[0], claim.spec
        due = [i for i in range(len(inputs.rows)) if i not in bad]
        called, unset = rows_with_inputs(spec, values, due)
        rows: dict[int, Any] = {}
        errors = dict(bad)
        if spec.reads_row:
            with self._database.backend.read() as tx:
                found = rows_by_number(
                    tx, claim.chain.layout, [inputs.rows[i] for i in called], claim.pins
                )
            rows = {i: found[inputs.rows[i]] for i in called if inputs.rows[i] in found}
            called, declined, failed = self._decided(claim, trigger, rows)
            unset, errors = unset + declined, errors | failed
        recall = self._recall(claim, spec, inputs, called, maker) if spec.memo else None
        places = range(len(called)) if recall is None else recall.asked
        chosen = [called[place] for place in places]
        batch = Rows(
            len(chosen),
            _keys_of(spec, values, chosen),
            [rows[i] for i in chosen if rows],
            claim.pins,
            is_build=claim.is_candidate,
        )
        on_place = None if on_item is None else partial(_at_place, on_item, chosen)
        made = self._calls(trigger, batch, on_place)
        calls: Here | Apart | Traced = made
        if tracing.is_on():
            lines = self._lines_of(claim, [inputs.rows[i] for i in chosen])
            calls = Traced(made, spec, claim.pins, lines)
        return Asked(trigger, inputs, values, called, unset, errors, recall, chosen, calls)

    def followed(self, claim: Claim, asked: Asked, step: Step, only: int) -> list[Step]:
        """Run the rest of a chain in memory on what its first trigger gave for all rows, each trigger on those that are
        due for it.

        Args:
            only: how many triggers of the chain.
        """
        keys, values, steps = claim.chain.layout.table.keys, dict(asked.values), [step]
        for trigger in claim.triggers[1:only]:
            before = steps[-1]
            columns = zip(before.spec.sets, before.columns, strict=True)
            values |= {key: keys[key].codec.decode_column(column) for key, column in columns}
            due, waiting = _due(trigger.spec, steps, claim)
            called, unset = rows_with_inputs(trigger.spec, values, due)
            batch = Rows(len(called), _keys_of(trigger.spec, values, called), (), claim.pins)
            started = clock.monotonic_s()
            made = self._traced(claim, trigger, [step.inputs.rows[i] for i in called])
            with made:
                given = prepare_here(self._database, trigger, batch)()
            if called:
                code = (trigger.spec.name, trigger.spec.fingerprint, claim.version)
                self._database.costs.note(code, clock.monotonic_s() - started, len(called))
            made_of = (trigger, step.inputs, called, unset, given.outcomes, given.writes)
            steps.append(Step(*made_of, waiting=waiting))
        return steps

    def _traced(
        self, claim: Claim, trigger: Trigger, rows: Sequence[int]
    ) -> AbstractContextManager[Any]:
        """Return the span of a run on rows behind the first, where these are traced."""
        if not (tracing.is_on() and rows):
            return nullcontext()
        lines = [line for line in self._lines_of(claim, rows) if line is not None]
        return run_span(trigger.spec, claim.pins, len(rows), lines)

    def _lines_of(self, claim: Claim, rows: Sequence[int]) -> list[str | None]:
        """Return the lines of the spans of the writes that rows are due for."""
        changes = [claim.tasks.of(row).change for row in rows]
        with self._database.backend.read() as tx:
            known = traces.lines_of(tx, set(changes))
        return [known.get(change) for change in changes]

    def _recall(
        self,
        claim: Claim,
        spec: TriggerSpec,
        inputs: Inputs,
        called: Sequence[int],
        maker: object,
    ) -> Recall:
        """Look up what is known of rows: a trigger with memos is the first of its chain, so their inputs are stored."""
        stored = [[inputs.keys[key][i] for key in spec.arguments] for i in called]
        digests = memos.digests_of(spec, claim.pins, stored)
        # In this order: a call that has ended meanwhile is one whose result is found.
        elsewhere = self.shared.begin(maker, spec.name, digests)
        with self._database.backend.read() as tx:
            known = memos.read(tx, spec.name, digests)
        self.shared.end(maker, but_for=set(digests) - known.keys())
        return Recall(spec, digests, known, elsewhere - known.keys())

    def _decided(
        self, claim: Claim, trigger: Trigger, rows: Mapping[int, Any]
    ) -> tuple[list[int], list[int], dict[int, str]]:
        token = CURRENT.set(TaskRun(self._database, claim.pins))
        try:
            return _decided(trigger, rows)
        finally:
            CURRENT.reset(token)

    # -- by an executor --

    def _calls(self, trigger: Trigger, rows: Rows, on_item: OnItem | None) -> Here | Apart:
        """Return what makes the calls: here, or elsewhere where each may take a limited time or runs in a process."""
        spec, turns = trigger.spec, trigger.turns
        place = self._executors.place_of(spec)
        is_there = place in AWAY
        if rows.count and not (is_there or spec.may_be_abandoned):
            return Here(self._database, trigger, rows, on_item)
        trigger = replace(trigger, turns=None)

        def run(places: range) -> Given:
            make = partial(call, places.start)
            if spec.fold is not None and len(places) == 1:
                return folded_in_parts(make, rows.part(places))
            return make(rows.part(places))

        def call(first: int, part: Rows) -> Given:
            if turns is not None:
                clock.sleep(turns.wait_s())  # here, where no time-out counts it
            if tracing.is_on():
                part = replace(part, below=tracing.current())
            if is_there:
                return self._run_there(trigger, part)
            return self._run_here(trigger, part, first, on_item)

        # A turn, and a time-out, is of one call.
        is_far = place == "ray" and turns is None and spec.timeout_s is None
        return Apart(spec, partial(given_in_parts, spec, run), is_far=is_far)

    def _run_here(self, trigger: Trigger, rows: Rows, first: int, on_item: OnItem | None) -> Given:
        spec = trigger.spec
        passing = None if on_item is None else Passing(on_item, first)
        try:
            given: Given = self._executors.of(spec).run(
                prepare_here, self._database, trigger, rows, passing,
                timeout_s=spec.timeout_s if spec.may_be_abandoned else None,
            )  # fmt: skip
        finally:
            if passing is not None:
                passing.end()
        return given

    def _run_there(self, trigger: Trigger, rows: Rows) -> Given:
        spec = trigger.spec
        states = self._states_there(spec, rows) if self.is_on_cluster(spec) else ()
        given: Given = self._executors.of(spec).run(
            prepare_there, rows,
            constants=(self._store_there(), self._code_there(trigger), self._classes_there(spec, rows), *states),
            timeout_s=spec.timeout_s,
            takes=self.takes(spec),
        )  # fmt: skip
        return given

    def _states_there(self, spec: TriggerSpec, rows: Rows) -> tuple[Constant, ...]:
        """Return the states that a run needs, for processes that may not see the store's folder."""
        return tuple(self._state_there(name, rows.pins[name]) for name in spec.components)

    def _state_there(self, component: str, version: int) -> Constant:
        if (component, version) not in self._states:
            self._states = {
                **dict(list(self._states.items())[-CLASSES_KNOWN:]),
                (component, version): state_sent(self._database, component, version),
            }
        return self._states[component, version]

    def _store_there(self) -> Constant:
        """Return what opens the store in another process; made anew when its schemas change."""
        tables = self._database.tables
        if tables not in self._stores:
            version = repr([(table.name, table.signature()) for table in tables])
            self._stores = {tables: Constant("the store's schemas", version, self._reader())}
        return self._stores[tables]

    def _code_there(self, trigger: Trigger) -> Constant:
        """Return a trigger's code with its components; made anew when the store is opened with other code."""
        spec = trigger.spec
        known = self._code.get(spec.name)
        if known is None or known[0] is not trigger.function:
            components = {name: self._database.code.components[name] for name in spec.components}
            code = replace(trigger, when=None, turns=None), components
            known = trigger.function, Constant(f"trigger {spec.name!r}", spec.fingerprint, code)
            self._code[spec.name] = known
        return known[1]

    def _classes_there(self, spec: TriggerSpec, rows: Rows) -> Constant:
        """Return the classes that the states of a run name, and that another process cannot import. Its name tells which
        they are: a later state of other classes makes no process outdated."""
        pins = {name: rows.pins[name] for name in spec.components}
        components = self._database.code.components
        asked = tuple((components[name], version) for name, version in pins.items())
        if asked not in self._classes:
            classes = self._database.classes_of(pins)
            name = f"the classes {', '.join(sorted(classes))}"
            self._classes = {
                **dict(list(self._classes.items())[-CLASSES_KNOWN:]),
                asked: Constant(name, "", classes),
            }
        return self._classes[asked]

    # -- items as they come --

    def on_item(self, claim: Claim, inputs: Inputs, cause_of: CauseOf) -> OnItem | None:
        """Return what the items of a generator go to as they come, by the row's position among the inputs."""
        if not claim.spec.is_generator:
            return None
        if claim.spec.grows_text:
            return self._on_part(claim, inputs)
        return self._on_page(claim, inputs, cause_of)

    def _on_part(self, claim: Claim, inputs: Inputs) -> OnItem:
        """Return what passes the parts of a growing text on to who reads along."""
        growing, layout = self._database.growing, claim.chain.layout
        texts = texts_of(claim.spec, inputs)
        return lambda i, part, item: growing.add(layout, texts[i], part, str(item[0]))

    def _on_page(self, claim: Claim, inputs: Inputs, cause_of: CauseOf) -> OnItem:
        """Return what commits a generator's pages as they come; the first one clears the pages of the last run.

        Once what a row's run has read does not hold any more, none is committed: the commit at the run's end finds that too.
        """
        outdated: set[int] = set()

        def commit(i: int, page: int, item: tuple[Stored, ...]) -> None:
            row, layouts, left = inputs.rows[i], self._database.layouts, _left_so_far()

            def work(tx: Transaction) -> None:
                own = claim.spec.table, inputs.names[i][0]
                if i in outdated or not _still_holds(tx, layouts, claim.spec, left, own):
                    outdated.add(i)
                    return
                if read_fences(tx, claim.chain, [row]).get(row) != inputs.fences[i]:
                    return  # superseded meanwhile: the commit at the run's end drops the rest
                cause = cause_of(row, next_number(tx))
                if cause is None or cause.task is None:
                    return
                if not leases.is_held(tx, cause.task, claim.tasks.of(row).claim):
                    return  # its run is void, and others make these pages
                if claim.spec.follow:
                    cause = replace(cause, writer=Writer(claim.spec.name, frozenset([row])))
                source = Source(row, inputs.names[i], inputs.source_number(i))
                if page == 0:
                    written = replace_pages(
                        tx, layouts, claim.spec, source, [item], cause, is_whole=False
                    )
                else:
                    written = write_pages(
                        tx, layouts[claim.spec.table], claim.spec, source, page, [item], cause
                    )
                fire(tx, layouts, written, cause)
                reach("item.written")

            self._database.write(work)
            reach("item.committed")

        return commit


def _left_so_far() -> Left | None:
    """Return what the run that the present code belongs to has written and read so far."""
    run = CURRENT.get()
    return None if run is None else run.left_so_far(run.now())


def _still_holds(
    tx: Transaction, layouts: Layouts, spec: TriggerSpec, left: Left | None, own: Entity
) -> bool:
    """Whether what a run has read so far would be read the same now.

    Args:
        own: the row that it is on.
    """
    if left is None:
        return True
    if not versions.are_live(tx, left.reads.pins):
        return False
    check = Check(lambda asked: ask(tx, layouts[asked.table], asked))
    if left.is_isolated(spec.isolated):
        return check.lost_by(left.reads) is None
    return not (spec.follow and check.has_moved(left.reads, but_for=own))


def texts_of(spec: TriggerSpec, inputs: Inputs) -> list[Grows]:
    """Return the texts that a run makes, one for each row."""
    pairs = zip(inputs.rows, inputs.on_numbers, strict=True)
    return [Grows(spec.name, row, number) for row, number in pairs]


@dataclass
class Asked:
    """The calls that a claim's first trigger needs, and what is known of the other rows.

    Rows are meant by their position among the claim's inputs, calls by their place among `asked`.

    Attributes:
        values: key -> its decoded values.
        called: the rows that have an outcome by calls.
        unset: the rows whose outputs are unset: an `on` key is, or `when` is false.
        errors: row -> traceback, where it failed before a call: `when` raised, or it cannot be read.
        recall: what is known of equal inputs, where the trigger has memos.
        asked: the rows on which the function is called.
    """

    trigger: Trigger
    inputs: Inputs
    values: Columns
    called: list[int]
    unset: list[int]
    errors: dict[int, str]
    recall: Recall | None
    asked: list[int]
    calls: Here | Apart | Traced

    @cached_property
    def known(self) -> list[int]:
        """The rows that no call is waited for."""
        by_calls = {*self._of_calls(range(len(self.asked))), *self.awaited}
        return [i for i in range(len(self.inputs.rows)) if i not in by_calls]

    @cached_property
    def awaited(self) -> Mapping[int, bytes]:
        """The rows that another claim makes the call of, with what names it."""
        recall = self.recall
        return {} if recall is None else {self.called[i]: recall.digests[i] for i in recall.awaited}

    def digests_of(self, rows: Set[int]) -> set[bytes]:
        """Return what names the results of rows, by their numbers."""
        if self.recall is None:
            return set()
        named = zip(self.called, self.recall.digests, strict=True)
        return {digest for i, digest in named if self.inputs.rows[i] in rows}

    def rows_of(self, made: Iterable[Made]) -> list[int]:
        """Return the rows that have their outcome by some of the calls."""
        return self._of_calls([place for places, _ in made for place in places])

    def _of_calls(self, places: Sequence[int]) -> list[int]:
        if self.recall is None:
            return [self.asked[place] for place in places]
        return [self.called[i] for i in self.recall.sharing(set(places))]

    def step(self, made: Sequence[Made], rows: Sequence[int]) -> Step:
        """Return what calls gave, for the rows whose outcome that is and others that no call is waited for.

        Args:
            rows: all of these, ascending.
        """
        inputs, place_of = self.inputs.chosen(rows), {i: place for place, i in enumerate(rows)}
        called = [place_of[i] for i in self.called if i in place_of]
        unset = [place_of[i] for i in self.unset if i in place_of]
        errors = {place_of[i]: error for i, error in self.errors.items() if i in place_of}
        given = self.calls.given(made)
        step = partial(Step, self.trigger, inputs, called, unset, errors=errors)
        if self.recall is None:
            lost = {called[place] for place in given.lost}
            return step(given.outcomes, given.writes, lost=lost)
        recall = self.recall.part([k for k, i in enumerate(self.called) if i in place_of])
        lost = {called[place] for place in recall.sharing(given.lost)}
        whole = recall.whole(given.outcomes, given.writes)
        named = dict(zip(called, recall.digests, strict=True))
        return step(whole, fresh=recall.fresh(given.outcomes), named=named, lost=lost)


def _keys_of(spec: TriggerSpec, values: Columns, rows: Sequence[int]) -> Columns:
    """Return the columns that a trigger is given, for some rows."""
    return {
        key: values[key] if len(rows) == len(values[key]) else [values[key][i] for i in rows]
        for key in spec.arguments
    }


def _at_place(
    on_item: OnItem, rows: Sequence[int], place: int, page: int, item: tuple[Stored, ...]
) -> None:
    on_item(rows[place], page, item)


def _due(
    spec: TriggerSpec, steps: Sequence[Step], claim: Claim
) -> tuple[Sequence[int], Sequence[int]]:
    """Return the rows on which the chain so far has changed an `on` key of `spec`, apart from those on which something
    upstream of it has failed, or has still to run: it waits for that, as tasks do, or its result would be of two moments."""
    count, changed, unsettled = len(steps[0].inputs.rows), set[int](), set[int]()
    upstream = claim.graph.upstream(spec)
    for step in steps:
        for key, rows in step.changed.items():
            if key in spec.on:
                changed |= rows
        if step.spec.name in upstream:
            unsettled |= step.unsettled(claim.unsettled.get(step.spec.name, frozenset()))
    due = changed - unsettled
    return range(count) if len(due) == count else sorted(due), sorted(changed & unsettled)


def _decided(
    trigger: Trigger, rows: Mapping[int, Any]
) -> tuple[list[int], list[int], dict[int, str]]:
    """Ask `when` of each row: return the rows to call, the rows to unset, and errors by row."""
    if trigger.when is None:
        return list(rows), [], {}
    called: list[int] = []
    declined: list[int] = []
    errors: dict[int, str] = {}
    for i, row in rows.items():
        try:
            (called if trigger.when(row) else declined).append(i)
        except BaseException as exc:  # noqa: BLE001 - the row's, of whatever class
            errors[i] = text_of(exc)
    return called, declined, errors
