"""Runs: the code of a claim's triggers on its rows. Reads what they need, and writes nothing.

Owns what is derived from what, in which order and where; what a function's result means is `derive`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from motion import clock
from motion.backends.base import Transaction
from motion.claims import Claim, Step, rows_with_inputs
from motion.codecs import Stored
from motion.components import Component
from motion.database import Database
from motion.derive import CURRENT, OnItem, RunAsync
from motion.executors.base import Constant, Executors
from motion.faults import reach
from motion.memo import Recall
from motion.parts import (
    Given,
    OpenDatabase,
    Passing,
    Rows,
    given_in_parts,
    prepare_here,
    prepare_there,
)
from motion.persistence import memos
from motion.persistence.cascade import fire
from motion.persistence.inputs import Inputs, read_fences
from motion.persistence.numbers import next_number
from motion.persistence.parts import Grows
from motion.persistence.reading import rows_by_number
from motion.persistence.results import Source, replace_pages, write_pages
from motion.schema import Tables
from motion.tracebacks import text_of
from motion.triggers import Trigger, TriggerSpec
from motion.view import TaskRun

CLASSES_KNOWN = 32
"""State versions of which it is remembered which classes go along to other processes."""

Columns = dict[str, Sequence[Any]]


class Runs:
    """Runs the triggers of claims by the executors of one store. Thread-safe.

    Args:
        reader: returns what opens the store, as its schemas are now, in another process.
    """

    def __init__(
        self,
        database: Database,
        run_async: RunAsync,
        executors: Executors,
        reader: Callable[[], OpenDatabase],
    ) -> None:
        self._database, self._run_async, self._executors = database, run_async, executors
        self._reader = reader
        self._stores: dict[Tables, Constant] = {}
        self._code: dict[str, tuple[Callable[..., Any], Constant]] = {}
        self._classes: dict[tuple[tuple[Component, int], ...], Constant] = {}

    def room(self, spec: TriggerSpec) -> float:
        """Return how many calls of a trigger may be begun now."""
        return self._executors.of(spec).room

    def steps(self, claim: Claim, inputs: Inputs) -> list[Step]:
        """Run the chain on the rows, each trigger on those that are due for it."""
        keys = claim.chain.layout.table.keys
        values: Columns = claim.chain.decoded(inputs.keys)
        steps: list[Step] = []
        for trigger in claim.triggers:
            due = _due(trigger.spec, steps, len(inputs.rows))
            steps.append(self._step(claim, trigger, values, due, inputs))
            if trigger.spec.is_columnar and len(claim.triggers) > 1:
                columns = zip(trigger.spec.sets, steps[-1].columns, strict=True)
                values |= {key: keys[key].codec.decode_column(column) for key, column in columns}
        return steps

    def _step(
        self, claim: Claim, trigger: Trigger, values: Columns, due: Sequence[int], inputs: Inputs
    ) -> Step:
        spec = trigger.spec
        called, unset = rows_with_inputs(spec, values, due)
        rows: dict[int, Any] = {}
        errors: dict[int, str] = {}
        if spec.reads_row:
            with self._database.backend.read() as tx:
                found = rows_by_number(
                    tx, claim.chain.layout, [inputs.rows[i] for i in called], claim.pins
                )
            rows = {i: found[inputs.rows[i]] for i in called if inputs.rows[i] in found}
            called, declined, errors = self._decided(claim, trigger, rows)
            unset += declined
        recall = self._recall(claim, spec, inputs, called) if spec.memo else None
        asked = called if recall is None else [called[place] for place in recall.asked]
        is_whole = len(asked) == len(inputs.rows)
        keys = {
            key: values[key] if is_whole else [values[key][i] for i in asked]
            for key in spec.arguments
        }
        batch = Rows(len(asked), keys, [rows[i] for i in asked if rows], claim.pins)
        on_item = None
        if spec.is_generator:
            on_item = (self._on_item if spec.page else self._on_part)(claim, inputs, called)
        started = clock.monotonic_s()
        try:
            given = self._given(trigger, batch, on_item)
        finally:
            if spec.grows_text:
                self._database.growing.end(_texts(spec, inputs))
        if asked:
            code = (spec.name, spec.fingerprint, claim.version)
            self._database.costs.note(code, clock.monotonic_s() - started, len(asked))
        step = partial(Step, trigger, inputs, called, unset, errors=errors)
        if recall is None:
            lost = {called[place] for place in given.lost}
            return step(given.outcomes, given.writes, lost=lost)
        lost = {called[place] for place in recall.sharing(given.lost)}
        whole = recall.whole(given.outcomes, given.writes)
        return step(whole, fresh=recall.fresh(given.outcomes), lost=lost)

    def _recall(
        self, claim: Claim, spec: TriggerSpec, inputs: Inputs, called: Sequence[int]
    ) -> Recall:
        """Look up what is known of rows: a trigger with memos is the first of its chain, so their inputs are stored."""
        stored = [[inputs.keys[key][i] for key in spec.arguments] for i in called]
        digests = memos.digests_of(spec, claim.pins, stored)
        with self._database.backend.read() as tx:
            return Recall(spec, digests, memos.read(tx, spec.name, digests))

    def _decided(
        self, claim: Claim, trigger: Trigger, rows: Mapping[int, Any]
    ) -> tuple[list[int], list[int], dict[int, str]]:
        token = CURRENT.set(TaskRun(self._database, claim.pins))
        try:
            return _decided(trigger, rows)
        finally:
            CURRENT.reset(token)

    # -- by an executor --

    def _given(self, trigger: Trigger, rows: Rows, on_item: OnItem | None) -> Given:
        """Run a trigger on rows, call by call where each may take a limited time, or has its turn elsewhere."""
        spec, turns = trigger.spec, trigger.turns
        is_there = spec.executor == "process"
        is_limited = spec.timeout_s is not None or (is_there and spec.rate is not None)
        by_call = is_limited and not spec.is_async
        if by_call:
            trigger = replace(trigger, turns=None)

        def run(places: range) -> Given:
            if by_call and turns is not None:
                clock.sleep(turns.wait_s())  # here, where no time-out counts it
            part = rows.part(places)
            if is_there:
                return self._run_there(trigger, part)
            return self._run_here(trigger, part, places.start, on_item)

        size = spec.batch or 1 if by_call else max(rows.count, 1)
        return given_in_parts(spec, rows.count, size, run)

    def _run_here(self, trigger: Trigger, rows: Rows, first: int, on_item: OnItem | None) -> Given:
        spec = trigger.spec
        passing = None if on_item is None else Passing(on_item, first)
        try:
            given: Given = self._executors.of(spec).run(
                prepare_here, self._database, trigger, rows, self._run_async, passing,
                timeout_s=spec.timeout_s if spec.may_be_abandoned else None,
            )  # fmt: skip
        finally:
            if passing is not None:
                passing.end()
        return given

    def _run_there(self, trigger: Trigger, rows: Rows) -> Given:
        given: Given = self._executors.of(trigger.spec).run(
            prepare_there, rows,
            constants=(self._store_there(), self._code_there(trigger), self._classes_there(trigger.spec, rows)),
            timeout_s=trigger.spec.timeout_s,
        )  # fmt: skip
        return given

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

    def _on_part(self, claim: Claim, inputs: Inputs, called: Sequence[int]) -> OnItem:
        """Return what passes the parts of a growing text on to who reads along."""
        growing, layout = self._database.growing, claim.chain.layout
        texts = _texts(claim.spec, inputs)
        return lambda place, part, item: growing.add(
            layout, texts[called[place]], part, str(item[0])
        )

    def _on_item(self, claim: Claim, inputs: Inputs, called: Sequence[int]) -> OnItem:
        """Return what commits a generator's pages as they come; the first one clears the pages of the last run."""

        def commit(place: int, page: int, item: tuple[Stored, ...]) -> None:
            i = called[place]
            row, layouts = inputs.rows[i], self._database.layouts

            def work(tx: Transaction) -> None:
                if read_fences(tx, claim.chain, [row]).get(row) != inputs.fences[i]:
                    return  # superseded meanwhile: the commit at the run's end drops the rest
                cause = claim.cause(row, next_number(tx))
                source = Source(row, inputs.names[i], inputs.on_numbers[i])
                if page == 0:
                    written = replace_pages(tx, layouts, claim.spec, source, [item], cause)
                else:
                    written = write_pages(
                        tx, layouts[claim.spec.table], claim.spec, source, page, [item], cause
                    )
                fire(tx, layouts, written, cause)
                reach("item.written")

            self._database.write(work)
            reach("item.committed")

        return commit


def _texts(spec: TriggerSpec, inputs: Inputs) -> list[Grows]:
    """Return the texts that a run makes, one for each row."""
    pairs = zip(inputs.rows, inputs.on_numbers, strict=True)
    return [Grows(spec.name, row, number) for row, number in pairs]


def _due(spec: TriggerSpec, steps: Sequence[Step], count: int) -> Sequence[int]:
    """Return the rows on which the chain so far has changed an `on` key of `spec`; all rows for its first trigger."""
    if not steps:
        return range(count)
    changed: set[int] = set()
    for step in steps:
        for key, rows in step.changed.items():
            if key in spec.on:
                changed |= rows
    return range(count) if len(changed) == count else sorted(changed)


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
