"""Parts: the rows of a run, handed to an executor and put together again from what comes back.

A part that takes too long, or ends the process it runs in, is halved until the rows that do so stand alone.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

from motion import forks
from motion.codecs import Stored
from motion.components import Component
from motion.database import Database
from motion.derive import CURRENT, Batch, OnItem, Outcomes, RunAsync, derive
from motion.errors import CallTimeout, MotionError, ProcessLost, Unpicklable
from motion.persistence.layout import Pins
from motion.persistence.writes import Operation
from motion.triggers import Trigger, TriggerSpec
from motion.view import TaskRun

OpenDatabase = Callable[[], Database]
"""Opens a store that exists for reading, in another process."""


@dataclass(frozen=True)
class Rows:
    """The inputs of a trigger on some rows, as they go to an executor.

    Attributes:
        count: how many rows.
        keys: key -> its values, decoded, one for each row.
        whole: whole rows as instances, where the trigger reads them.
        pins: component -> the state version to run with.
    """

    count: int
    keys: Mapping[str, Sequence[Any]]
    whole: Sequence[Any]
    pins: Pins

    def part(self, places: range) -> Rows:
        if len(places) == self.count:
            return self
        chosen = slice(places.start, places.stop)
        keys = {key: values[chosen] for key, values in self.keys.items()}
        return Rows(len(places), keys, self.whole[chosen], self.pins)


@dataclass(frozen=True)
class Given:
    """What a trigger gave for some rows: outcomes, and the writes left with its view, each with the rows it is of.

    Attributes:
        lost: the rows whose processes ended; each has an error among the outcomes, too.
    """

    outcomes: Outcomes
    writes: Sequence[tuple[range, Sequence[Operation]]] = ()
    lost: frozenset[int] = field(default_factory=frozenset)


Part = tuple[range, Given]


def given_in_parts(
    spec: TriggerSpec, count: int, size: int, run: Callable[[range], Given]
) -> Given:
    """Run parts of up to `size` of `count` rows, and put together what they gave.

    A function may take many rows at once and each of them may end its process. So that not every row costs a process,
    rows are told apart only until enough processes were lost to find one of them, or two: once more for each that is
    found while others gave something, so that these are never set aside with it.
    """
    waiting = deque(range(i, min(i + size, count)) for i in range(0, count, size))
    losses_left = most = 2 * count.bit_length()
    done: list[Part] = []
    has_given = False
    while waiting:
        places = waiting.popleft()
        try:
            done.append((places, run(places)))
            has_given = True
        except (CallTimeout, ProcessLost) as exc:
            is_lost = isinstance(exc, ProcessLost)
            losses_left -= is_lost
            if len(places) > 1 and (losses_left > 0 or not is_lost):
                middle = len(places) // 2
                waiting.extendleft((places[middle:], places[:middle]))
            else:
                done.append((places, _failed(spec, len(places), exc, is_lost=is_lost)))
                losses_left = most if has_given else losses_left
        except Unpicklable as exc:
            done.append((places, _failed(spec, len(places), exc)))
    if not done:
        return Given(_empty(spec, 0))
    return done[0][1] if len(done) == 1 else _together(done)


def _failed(spec: TriggerSpec, count: int, exc: MotionError, *, is_lost: bool = False) -> Given:
    outcomes = _empty(spec, count)
    outcomes.errors = dict.fromkeys(range(count), f"{type(exc).__name__}: {exc}")
    return Given(outcomes, lost=frozenset(range(count)) if is_lost else frozenset())


def _empty(spec: TriggerSpec, count: int) -> Outcomes:
    if spec.is_columnar:
        return Outcomes(columns=[[None] * count for _ in spec.sets])
    return Outcomes(items=[[] for _ in range(count)] if spec.page or spec.sets_table else [])


def _together(done: Sequence[Part]) -> Given:
    """Put the parts together in the order of their rows."""
    whole = Outcomes(columns=[[] for _ in done[0][1].outcomes.columns])
    writes: list[tuple[range, Sequence[Operation]]] = []
    lost: set[int] = set()
    for places, given in sorted(done, key=lambda part: part[0].start):
        first = places.start
        for column, more in zip(whole.columns, given.outcomes.columns, strict=True):
            column += more
        whole.items += given.outcomes.items
        whole.errors |= {first + place: text for place, text in given.outcomes.errors.items()}
        writes += [(range(first + r.start, first + r.stop), made) for r, made in given.writes]
        lost |= {first + place for place in given.lost}
    return Given(whole, writes, frozenset(lost))


class Passing:
    """Passes the items of a generator on, until its call is not waited for any more."""

    def __init__(self, on_item: OnItem, first: int) -> None:
        self._on_item, self._first = on_item, first
        self._lock = threading.Lock()
        self._is_over = False

    def __call__(self, place: int, page: int, item: tuple[Stored, ...]) -> None:
        with self._lock:
            if self._is_over:
                raise MotionError("this call has timed out; its further items go nowhere.")
            self._on_item(self._first + place, page, item)

    def end(self) -> None:
        with self._lock:
            self._is_over = True


# -- where the calls run --


def prepare_here(
    database: Database,
    trigger: Trigger,
    rows: Rows,
    run_async: RunAsync = asyncio.run,
    on_item: OnItem | None = None,
) -> Callable[[], Given]:
    """Return what runs a trigger on rows in this process. The states that it needs are loaded by then."""
    states = {name: database.state(name, rows.pins[name]) for name in trigger.spec.components}
    return partial(_given, database, trigger, rows, states, run_async, on_item)


def prepare_there(
    open_database: OpenDatabase,
    code: tuple[Trigger, Mapping[str, Component]],
    classes: Mapping[str, type],
    rows: Rows,
) -> Callable[[], Given]:
    """Do the same in another process. It reads the store's folder by itself, states too, and keeps what it has read.

    Args:
        classes: those that the states name, and that are found in the other process only.
    """
    trigger, components = code
    database = _opened(open_database)
    database.refresh()
    database.classes = {**database.classes, **classes}
    database.code = replace(database.code, components={**database.code.components, **components})
    return prepare_here(database, trigger, rows)


def _given(
    database: Database,
    trigger: Trigger,
    rows: Rows,
    states: Mapping[str, Any],
    run_async: RunAsync,
    on_item: OnItem | None,
) -> Given:
    """Run a trigger on rows. Each run has views of its own: what a call that timed out writes later goes nowhere."""
    run = TaskRun(database, rows.pins)
    target = database.graph.tables.get(trigger.spec.sets_table or trigger.spec.table)
    derived: set[str] = set()
    if trigger.spec.sets_table:
        derived = {key for table, key in database.graph.producers if table == target.name}
    batch = Batch(rows.count, rows.keys, run, rows.whole, states)
    token = CURRENT.set(run)
    try:
        with forks.user_code():
            outcomes = derive(
                trigger, target, batch, run_async=run_async, on_item=on_item, derived=derived
            )
    finally:
        CURRENT.reset(token)
    return Given(outcomes, list(run.writes()))


@lru_cache(maxsize=8)
def _opened(open_database: OpenDatabase) -> Database:
    return open_database()
