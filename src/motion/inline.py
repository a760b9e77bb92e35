"""Inline runs: cheap triggers run in memory before the write that they follow from, and are written with it.

They run on what the write itself gives, so nothing is read and no fence is needed. What raises, lacks an input, or
writes through the store is left to a task, by not being there: the write makes it due as it always would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from motion import clock
from motion.claims import rows_with_inputs
from motion.codecs import Stored
from motion.database import Database
from motion.derive import CURRENT, Batch, derive
from motion.persistence.rows import Inlined
from motion.persistence.writes import DeleteOperation, Operation
from motion.triggers import TriggerSpec
from motion.view import TaskRun


class InlineRuns:
    """Adds what cheap triggers give to writes from outside. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def added_to(self, operation: Operation) -> Operation:
        """Return a write, with the results of the triggers that may run on it now."""
        if isinstance(operation, DeleteOperation) or not self._database.code.triggers:
            return operation
        chain = self._chain(operation.table, operation.columns)
        if not chain:
            return operation
        table = self._database.tables.get(operation.table)
        keys = table.keys
        values = {
            name: keys[name].codec.decode_column(column)
            for name, column in operation.columns.items()
        }
        absent: frozenset[int] = frozenset()
        inlined: list[Inlined] = []
        for spec in chain:
            result, absent = self._run(spec, values, operation.count, absent)
            if result is None:
                break
            inlined.append(result)
            if table.page_keys and any(None in column for column in result.columns):
                break  # what comes next would have this key from page 0
            columns = zip(spec.sets, result.columns, strict=True)
            values |= {key: keys[key].codec.decode_column(column) for key, column in columns}
        return replace(operation, inlined=inlined)

    def _chain(self, table: str, given: Mapping[str, Sequence[Stored]]) -> list[TriggerSpec]:
        """Return the triggers that may run on these keys alone, in order: all their inputs are given or made."""
        named = self._database.tables.get(table)
        have, chain = set(given), []
        if named.page_keys:  # an unset key may be inherited
            unset = {key for key, column in given.items() if None in column}
        else:
            unset = set()
        for spec in self._database.graph.of_table(table):
            needed = {*spec.on, *spec.inputs}
            is_free = not have & set(spec.sets) and not any(
                named.keys[key].make_default for key in spec.sets
            )
            if needed <= have - unset and is_free and self._may_run(spec):
                chain.append(spec)
                have.update(spec.sets)
        return chain

    def _may_run(self, spec: TriggerSpec) -> bool:
        if not spec.is_fusable or spec.inline is False:
            return False
        return (
            self._database.has_code(spec)
            and (spec.inline is True or self._database.costs.is_cheap(spec.name))
            and self._is_of_row(spec)
        )

    def _is_of_row(self, spec: TriggerSpec) -> bool:
        """Whether a change of each of its `on` keys concerns that row only, not the rows of further pages."""
        level, levels = (
            self._database.graph.row_level(spec),
            self._database.graph.levels[spec.table],
        )
        return all(levels[key] >= level for key in spec.on)

    def _run(
        self,
        spec: TriggerSpec,
        values: Mapping[str, Sequence[Any]],
        count: int,
        absent: frozenset[int],
    ) -> tuple[Inlined | None, frozenset[int]]:
        """Run one trigger on the rows that have its inputs; return None if it did what only a task may do.

        Args:
            absent: rows on which a trigger before it has no outcome.
        """
        due = range(count) if not absent else [i for i in range(count) if i not in absent]
        called, unset = rows_with_inputs(spec, values, due)
        whole = len(called) == count
        keys = {
            key: values[key] if whole else [values[key][i] for i in called] for key in spec.inputs
        }
        run = TaskRun(self._database, {})
        token = CURRENT.set(run)
        started = clock.monotonic_s()
        try:
            table = self._database.tables.get(spec.table)
            outcomes = derive(
                self._database.code.triggers[spec.name], table, Batch(len(called), keys, run)
            )
        finally:
            CURRENT.reset(token)
        self._database.costs.note(spec.name, clock.monotonic_s() - started, len(called))
        if any(True for _ in run.writes()):
            self._database.costs.forget(spec.name)
            return None, absent
        if whole and not outcomes.errors:
            return Inlined(spec, outcomes.columns), absent
        met = {i for place, i in enumerate(called) if place not in outcomes.errors} | set(unset)
        columns: list[list[Stored]] = [[None] * count for _ in spec.sets]
        for full, given in zip(columns, outcomes.columns, strict=True):
            for place, value in enumerate(given):
                full[called[place]] = value
        return Inlined(spec, columns, frozenset(met)), frozenset(range(count)) - met
