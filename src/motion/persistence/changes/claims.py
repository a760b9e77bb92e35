"""Claims: the work that a worker holds at one time, and what its triggers gave for it. Values; no I/O."""

from __future__ import annotations

import bisect
import operator
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import repeat
from typing import Any

from motion.definitions.graph import Graph
from motion.definitions.tasks import Cause, Task
from motion.definitions.triggers.specs import Trigger, TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.definitions.values.outcomes import Outcomes
from motion.persistence.changes.isolation import Left
from motion.persistence.inputs.own import Chain, Inputs
from motion.persistence.layout import Pins
from motion.persistence.layouts import Layouts


class Tasks(Sequence[Task]):
    """Tasks of one trigger, no row in two of them."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tasks = sorted(tasks, key=lambda task: task.low)
        self._lows = [task.low for task in self._tasks]

    def __len__(self) -> int:
        return len(self._tasks)

    def __getitem__(self, i: Any) -> Any:
        return self._tasks[i]

    def __iter__(self) -> Iterator[Task]:
        return iter(self._tasks)

    @property
    def rows(self) -> Iterator[int]:
        return (row for task in self._tasks for row in range(task.low, task.high + 1))

    def of(self, row: int) -> Task:
        """Return the task that a row belongs to."""
        return self._tasks[bisect.bisect_right(self._lows, row) - 1]

    def without(self, others: Sequence[Task]) -> Tasks:
        return Tasks([task for task in self._tasks if task not in others])

    def superseded(self, inputs: Inputs) -> dict[int, int]:
        """Return row -> number for rows that a newer change has made due again: they belong to that change's task."""
        pairs = zip(inputs.rows, inputs.on_numbers, strict=True)
        if len(self._tasks) == 1:
            number = self._tasks[0].number
            return {row: on for row, on in pairs if on > number}
        return {row: on for row, on in pairs if on > self.of(row).number}


@dataclass(frozen=True)
class Claim:
    """Tasks that a worker holds, the chain of triggers to run on their rows, and the state version to run with.

    Attributes:
        version: of the first component whose state it uses, its own before others; 0 where it uses none.
        is_candidate: the outputs are built for a version that is not live yet.
        unsettled: trigger that runs in memory behind the first -> the rows on which it has tasks of its own, or has given up.
    """

    tasks: Tasks
    triggers: Sequence[Trigger]
    chain: Chain
    version: int
    pins: Pins
    unsettled: Mapping[str, Set[int]] = field(default_factory=dict)
    spec: TriggerSpec = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "spec", self.triggers[0].spec)

    def of(self, tasks: Sequence[Task]) -> Claim:
        """Return the same of other tasks, which are some of these or what is left of them."""
        if [*tasks] == [*self.tasks]:
            return self
        return Claim(
            Tasks(tasks), self.triggers, self.chain, self.version, self.pins, self.unsettled
        )

    @property
    def is_candidate(self) -> bool:
        return self.tasks[0].version is not None

    @property
    def graph(self) -> Graph:
        """The graph under which it was begun."""
        return self.chain.layout.graph

    def under(self, layouts: Layouts) -> Claim | None:
        """Return the claim under the graph now in force, where a commit must fit that; None where its triggers are not
        there any more, or are on other keys."""
        if layouts.graph is self.graph:
            return self
        if not all(map(layouts.graph.still_has, self.chain.specs)):
            return None
        return replace(self, chain=replace(self.chain, layout=layouts[self.spec.table]))

    def cause(self, row: int, number: int) -> Cause:
        """Return why something is written for a row, in a commit with this number."""
        task = self.tasks.of(row)
        return Cause(number, task.change, task.path, task.priority, task.task)


@dataclass
class Step:
    """What one trigger of a chain gave.

    Rows are meant by their position among the claim's inputs.

    Attributes:
        called: the rows that the function was called on, in the order of `outcomes`.
        unset: the rows whose outputs are unset: an `on` key is, or `when` is false.
        writes: what the user's code left with its view, each by the places in `outcomes` of the rows it is from.
        errors: row -> traceback.
        fresh: results to keep for equal inputs, by what names them.
        named: row -> what names its result, for rows whose results are kept.
        lost: the rows among those with errors whose processes ended: they use up no attempt.
        waiting: the rows on which it is due, but something upstream has failed, or has still to run: they go to tasks.
    """

    trigger: Trigger
    inputs: Inputs
    called: list[int]
    unset: list[int]
    outcomes: Outcomes
    writes: Sequence[Left] = ()
    errors: dict[int, str] = field(default_factory=dict)
    fresh: Mapping[bytes, Any] = field(default_factory=dict)
    named: Mapping[int, bytes] = field(default_factory=dict)
    lost: set[int] = field(default_factory=set)
    waiting: Sequence[int] = ()
    spec: TriggerSpec = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.spec = self.trigger.spec
        self.errors |= {self.called[place]: error for place, error in self.outcomes.errors.items()}

    @cached_property
    def groups(self) -> list[list[int]]:
        """The rows, those together that wrote something together."""
        of = {i: i for i in range(len(self.inputs.rows))}
        for left in self.writes:
            of |= {self.called[place]: self.called[left.rows.start] for place in left.rows}
        found: dict[int, list[int]] = {}
        for i, first in of.items():
            found.setdefault(first, []).append(i)
        return list(found.values())

    def part(self, rows: Sequence[int]) -> Step:
        """Return what it gave for some groups of rows."""
        rows = sorted(rows)
        new = {i: position for position, i in enumerate(rows)}
        places = [place for place, i in enumerate(self.called) if i in new]
        place_of = {place: position for position, place in enumerate(places)}
        writes = [
            left._replace(rows=range(start, start + len(left.rows)))
            for left in self.writes
            if (start := place_of.get(left.rows.start)) is not None
        ]
        return Step(
            self.trigger,
            self.inputs.chosen(rows),
            [new[self.called[place]] for place in places],
            [new[i] for i in self.unset if i in new],
            self.outcomes.part(places),
            writes,
            {new[i]: error for i, error in self.errors.items() if i in new},
            self.fresh,
            {new[i]: digest for i, digest in self.named.items() if i in new},
            {new[i] for i in self.lost if i in new},
        )

    def failed(self, error: str) -> Step:
        """Return it as what has failed on all rows."""
        errors = dict.fromkeys(range(len(self.inputs.rows)), error)
        return Step(self.trigger, self.inputs, self.called, [], self.outcomes, errors=errors)

    @cached_property
    def met(self) -> set[int]:
        """The rows on which the trigger has met its change."""
        return {*self.called, *self.unset} - self.errors.keys()

    def unsettled(self, of_tasks: Set[int]) -> set[int]:
        """Return the rows on which it has failed, or has still to run.

        Args:
            of_tasks: numbers of rows on which it has tasks of its own, or has given up.
        """
        rows = self.inputs.rows if of_tasks else ()
        behind = {i for i, row in enumerate(rows) if row in of_tasks and i not in self.met}
        return behind.union(self.errors, self.waiting)

    @cached_property
    def places(self) -> dict[int, int]:
        """Row -> its place in `outcomes`."""
        return {i: place for place, i in enumerate(self.called)}

    @cached_property
    def columns(self) -> list[list[Stored]]:
        """The values of the trigger's keys for all rows: new where it ran, None where unset, else as they were."""
        if len(self.called) == len(self.inputs.rows) and not self.errors:
            return self.outcomes.columns
        columns = [list(self.inputs.outputs[key]) for key in self.spec.sets]
        for column, given in zip(columns, self.outcomes.columns, strict=True):
            for place, value in enumerate(given):
                if self.called[place] not in self.errors:
                    column[self.called[place]] = value
            for i in self.unset:
                column[i] = None
        return columns

    @cached_property
    def changed(self) -> dict[str, set[int]]:
        """Key -> the rows on which its value becomes another."""
        found = {}
        for key, column in zip(self.spec.sets, self.columns, strict=True):
            pairs = enumerate(zip(column, self.inputs.outputs[key], strict=True))
            found[key] = {i for i, (new, old) in pairs if new != old}
        return found


def rows_with_inputs(
    spec: TriggerSpec, values: Mapping[str, Sequence[Any]], due: Sequence[int]
) -> tuple[list[int], list[int]]:
    """Return the due rows that have all inputs, and those whose outputs are unset because an `on` key is."""
    called, unset = list(due), list[int]()
    for key in spec.required:
        if key in spec.on:
            missing = _lacking(values[key], called)
            unset += missing
            called = _without(called, missing)
    needed = spec.needed_lookups
    awaited = {each.column for each in spec.awaited_lookups} if needed else ()
    looked_up = {each.column for each in spec.lookups} if needed else ()
    for name in needed:
        missing = _lacking(values[name], called)
        # What a list was made into stays as it is where a row that is looked up is gone.
        is_kept = bool(spec.page or spec.sets_table) and name in looked_up
        if not is_kept and name not in awaited:
            unset += missing
        called = _without(called, missing)
    for key in spec.required:
        if key not in spec.on:
            called = _without(called, _lacking(values[key], called))
    return called, unset


def _lacking(column: Sequence[Any], rows: Sequence[int]) -> list[int]:
    """Return those of rows whose value is unset; by identity, as arrays have an equality of their own. Mostly there is none,
    which is seen without a step of Python for each row."""
    has_none = any(map(operator.is_, column, repeat(None)))
    return [i for i in rows if column[i] is None] if has_none else []


def _without(rows: list[int], others: Sequence[int]) -> list[int]:
    gone = {*others}
    return [i for i in rows if i not in gone] if gone else rows
