"""Inline runs: cheap triggers run in memory before the write that they follow from, and are written with it.

They run on what the write itself gives, so no fence is needed. What they take of other rows is read once for all rows of
the write, whose transaction holds it against what is there (`persistence.rows.taken`). What raises, lacks an input, or
writes through the store is left to a task, by not being there: the write makes it due as it always would.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from motion import clock
from motion.background import forks
from motion.background.interrupts import is_from_outside
from motion.definitions.code import Code
from motion.definitions.graph import Graph
from motion.definitions.tables.schema import Table
from motion.definitions.triggers.specs import Trigger, TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.engine.derive import Batch, call_one, call_plain, derive, derive_one, is_of_values
from motion.engine.taking import Taking
from motion.persistence.changes.claims import rows_with_inputs
from motion.persistence.changes.operations import Operation, SetOperation
from motion.persistence.database import Database
from motion.persistence.rows.written import Inlined
from motion.persistence.tasks.costs import CHEAP_S
from motion.views.run import CURRENT
from motion.views.view import TaskRun


@dataclass(frozen=True)
class _Step:
    """A trigger that could run inline.

    Attributes:
        needed: the keys that it needs; of_write: those of them that the write itself has to give.
        feeds: the keys of further triggers that run on what it sets.
        trigger: with its function.
        is_of_values: it makes one value of its row's keys: see `derive_one`.
    """

    spec: TriggerSpec
    needed: frozenset[str]
    of_write: frozenset[str]
    feeds: frozenset[str]
    trigger: Trigger
    is_of_values: bool


@dataclass(frozen=True)
class _Eligible:
    """The triggers of a table that could run inline under one graph in a process with such code, in order."""

    graph: Graph
    code: Code
    steps: Sequence[_Step]


NO_ROWS, ONE_ROW = frozenset[int](), frozenset((0,))

LATE_S = 0.1
"""What calls that were quick so far may take together before the others are left to tasks: longer than a busy machine holds a
thread up."""


class InlineRuns:
    """Adds what cheap triggers give to writes from outside. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._eligible: dict[str, _Eligible] = {}

    def added_to(self, operation: Operation, *, has_users_code: bool = True) -> Operation:
        """Return a write, with the results of the triggers that may run on it now.

        Args:
            has_users_code: False: only keys that are lookups or windows themselves are made up.
        """
        if not isinstance(operation, SetOperation) or not self._database.code.triggers:
            return operation
        chain = self._chain(operation.table, operation.columns, has_users_code)
        if not chain:
            return operation
        # In a context of its own: it ends with the call, also where a Ctrl-C comes at any place of it.
        try:
            results = copy_context().run(self._results, chain, operation)
        except BaseException:
            self._database.costs.let_go()
            raise
        return operation.with_results(results)

    def _chain(
        self, table: str, given: Mapping[str, Sequence[Stored]], has_users_code: bool
    ) -> list[_Step]:
        """Return the triggers that may run on these keys alone, in order: all their inputs are given or made."""
        have = set(given)
        if self._database.tables.get(table).page_keys:  # an unset key may be inherited
            have -= {key for key, column in given.items() if None in column}
        chain, left = list[_Step](), set[str]()
        for step in self._eligible_of(table):
            spec = step.spec
            if not (has_users_code or self._database.graph.keeps(spec)):
                continue
            if spec.windows and not _are_placed(self._database.tables.get(table), spec, given):
                continue
            is_given = step.needed <= have and given.keys() >= step.of_write
            is_its_own = given.keys().isdisjoint(spec.sets)
            if is_its_own and not (step.feeds.isdisjoint(given) or have.isdisjoint(spec.on)):
                # What changes a key behind a user's value comes after it, and what stands behind that later still.
                left.update((spec.name, *self._database.graph.downstream(spec.name)))
            if is_given and is_its_own and spec.name not in left and self._is_wanted(spec):
                chain.append(step)
                have.update(spec.sets)
        return chain

    def unjudged(self, table: str, given: Iterable[str]) -> list[str]:
        """Return the triggers that would run on these keys if they were known to be cheap, of which that is not known."""
        have, found = set(given), []
        for step in self._eligible_of(table):
            spec = step.spec
            if step.needed <= have:
                have.update(spec.sets)
                if spec.inline is None and not self._database.costs.is_judged(spec.name):
                    found.append(spec.name)
        return found

    def _is_wanted(self, spec: TriggerSpec) -> bool:
        return spec.inline is True or self._database.costs.is_cheap(spec.name)

    def _may_be_left(self, spec: TriggerSpec) -> bool:
        """Whether calls that take too long may be left to tasks."""
        return spec.inline is None and not self._database.graph.keeps(spec)

    def _eligible_of(self, table: str) -> Sequence[_Step]:
        found, graph, code = self._eligible.get(table), self._database.graph, self._database.code
        if found is None or found.graph is not graph or found.code is not code:
            target = self._database.tables.get(table)
            keys = target.keys
            steps = [
                _Step(
                    spec,
                    frozenset((*spec.on, *spec.inputs, *spec.looked_up_by, *_of_write(spec))),
                    frozenset(_of_write(spec)),
                    _fed_by(graph, spec),
                    code.triggers[spec.name],
                    is_of_values(spec, target),
                )
                for spec in graph.of_table(table)
                if spec.may_be_inline
                and _takes_what_is_there(graph, spec)
                and not graph.taken_from(spec)  # a switch may come before the write
                and spec.inline is not False
                and spec.name not in graph.made_before
                and not any(keys[key].make_default for key in spec.sets)
                and _is_of_row(graph, spec)
                and code.has(spec)
            ]
            found = self._eligible[table] = _Eligible(graph, code, steps)
        return found.steps

    def _results(self, chain: Sequence[_Step], operation: SetOperation) -> list[Inlined]:
        """Run triggers in order, each on the rows on which those before it have an outcome."""
        run = TaskRun(self._database, {})
        CURRENT.set(run)
        table = self._database.tables.get(operation.table)
        keys = table.keys
        is_alone = not any(step.spec.elsewhere for step in chain)
        taking = None if is_alone else Taking(self._database, operation)
        values: dict[str, Sequence[Any]] = {
            name: keys[name].codec.decode_column(column)
            for name, column in operation.columns.items()
        }
        absent: frozenset[int] = frozenset()
        inlined: list[Inlined] = []
        for step in chain:
            spec, taken = step.spec, list[Any]()
            if taking is not None and spec.elsewhere:
                taken = taking.of(spec)
                values |= taking.values
            if operation.count == 1 and step.is_of_values and _has_all(values, spec):
                result = self._run_one(step, table, values, run)
                absent = NO_ROWS if result.met is None else ONE_ROW
            else:
                result, absent = self._run(step, table, values, operation.count, absent, run)
            if taken:
                result = replace(result, taken=taken)
            if run.is_a_tasks:
                self._database.costs.forget(spec.name)
                break
            inlined.append(result)
            if table.page_keys and any(None in column for column in result.columns):
                break  # what comes next would have this key from page 0
            if taking is not None:
                taking.stored |= zip(spec.sets, result.columns, strict=True)
            if step is not chain[-1]:
                for key, column in zip(spec.sets, result.columns, strict=True):
                    values[key] = keys[key].codec.decode_column(column)
        return inlined

    def _run_one(
        self, step: _Step, table: Table, values: Mapping[str, Sequence[Any]], run: TaskRun
    ) -> Inlined:
        """Run a trigger on one row that has its inputs, of values alone."""
        spec, started_s = step.spec, clock.monotonic_s()
        arguments = [values[key][0] for key in spec.arguments]
        # A Ctrl-C is for who writes, and no row's error.
        is_users = partial(
            is_from_outside, function=step.trigger.function, caller=call_one.__code__
        )
        with forks.user_code():
            outcomes = derive_one(step.trigger, table, arguments, run, is_users)
        seconds = clock.monotonic_s() - started_s
        self._database.costs.note((spec.name, spec.fingerprint, 0), seconds, 1)
        return Inlined(spec, outcomes.columns, NO_ROWS if outcomes.errors else None, seconds)

    def _run(
        self,
        step: _Step,
        table: Table,
        values: Mapping[str, Sequence[Any]],
        count: int,
        absent: frozenset[int],
        run: TaskRun,
    ) -> tuple[Inlined, frozenset[int]]:
        """Run one trigger on the rows that have its inputs; return its results, and the rows without an outcome.

        Args:
            absent: rows on which a trigger before it has no outcome.
        """
        spec = step.spec
        due = range(count) if not absent else [i for i in range(count) if i not in absent]
        called, unset = rows_with_inputs(spec, values, due)
        whole = len(called) == count
        keys = {
            key: values[key] if whole else [values[key][i] for i in called]
            for key in spec.arguments
        }
        trigger, started = step.trigger, clock.monotonic_s()
        # A Ctrl-C is for who writes, and no row's error.
        is_users = partial(is_from_outside, function=trigger.function, caller=call_plain.__code__)
        may_be_left = len(called) > 1 and self._may_be_left(spec)
        is_late = partial(_is_late, started) if may_be_left else None
        batch = Batch(len(called), keys, run, lets_pass=is_users, is_late=is_late)
        with forks.user_code():
            outcomes = derive(trigger, table, batch)
        code = (spec.name, spec.fingerprint, 0)
        seconds, made = clock.monotonic_s() - started, len(outcomes.columns[0])
        self._database.costs.note(code, seconds, made)
        if made == count and not outcomes.errors:
            return Inlined(spec, outcomes.columns, seconds=seconds), absent
        met = {called[i] for i in range(made) if i not in outcomes.errors} | set(unset)
        columns: list[list[Stored]] = [[None] * count for _ in spec.sets]
        for full, given in zip(columns, outcomes.columns, strict=True):
            for place, value in enumerate(given):
                # What one key refuses, the others do not get either.
                if place not in outcomes.errors:
                    full[called[place]] = value
        return Inlined(spec, columns, frozenset(met), seconds), frozenset(range(count)) - met


def _fed_by(graph: Graph, spec: TriggerSpec) -> frozenset[str]:
    """Return the keys of triggers that run on what a trigger sets."""
    listeners = (each for key in spec.sets for each in graph.listeners.get((spec.table, key), ()))
    return frozenset(key for each in listeners for key in each.sets)


def _has_all(values: Mapping[str, Sequence[Any]], spec: TriggerSpec) -> bool:
    """Whether a single row has all that a trigger runs on and takes."""
    return all(values[key][0] is not None for key in spec.required)


def _is_late(started_s: float, calls: int) -> bool:
    """Whether calls that were quick so far take longer now, beyond what a busy machine explains: who writes waits for them."""
    return clock.monotonic_s() - started_s > max(LATE_S, calls * CHEAP_S)


def _is_of_row(graph: Graph, spec: TriggerSpec) -> bool:
    """Whether a change of each key that runs it concerns that row only, not the rows of further pages."""
    levels = graph.levels[spec.table]
    return all(levels[key] >= graph.row_level(spec) for key in (*spec.on, *spec.looked_up_by))


def _takes_what_is_there(graph: Graph, spec: TriggerSpec) -> bool:
    """Whether all that it takes of other rows is there before the write, or among the rows as they are given. What pages show
    may come with the same write."""
    named = any(each.table == spec.table or len(each.bys) > 1 for each in spec.lookups)
    windowed = {table for each in spec.windows for table in (each.table, spec.table)}
    named = named or any(graph.tables.get(table).page_keys for table in windowed)
    return not named and all(
        each.table != spec.table
        or (each.own_by, each.own_order) == (each.other_by, each.other_order)
        for each in spec.windows
    )


def _of_write(spec: TriggerSpec) -> list[str]:
    """Return the keys that the write itself has to give, as rows of one write are in each other's windows."""
    keys = [key for each in spec.windows for key in each.own_keys]
    own = [each for each in spec.windows if each.table == spec.table]
    return keys + [key for each in own for key in each.held_keys]


def _are_placed(table: Table, spec: TriggerSpec, given: Mapping[str, Sequence[Stored]]) -> bool:
    """Whether it is known of each row which come before it: by the ids that are given, or as all are still to be given, in
    the order of the rows."""
    ids = given.get("id")
    if ids is not None:
        return None not in ids
    return table.has_int_id
