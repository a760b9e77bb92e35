"""Parts: the rows of a run, handed to an executor and put together again from what comes back.

A part that takes too long, or ends the process it runs in, is halved until the rows that do so stand alone.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

from motion import tracing
from motion.background import forks
from motion.background.tracebacks import reason_of, text_of
from motion.definitions.components import Component
from motion.definitions.tables.schema import Table
from motion.definitions.triggers.folds import Parted
from motion.definitions.triggers.specs import Failed, Trigger, TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.definitions.values.outcomes import Outcomes
from motion.engine.derive import Batch, Calls, Made, OnItem, derive, outcomes_of
from motion.errors import (
    CallTimeout,
    MotionError,
    ProcessLost,
    SchemaMismatch,
    StoreClosed,
    StoreUnavailable,
    Unpicklable,
)
from motion.persistence.changes.isolation import Left
from motion.persistence.database import Database
from motion.persistence.layout import Pins
from motion.views.run import CURRENT
from motion.views.view import TaskRun

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
        below: the line of the span that the call is made in, where it is traced and made elsewhere.
        is_build: they are for a candidate: what they write by hand goes nowhere.
    """

    count: int
    keys: Mapping[str, Sequence[Any]]
    whole: Sequence[Any]
    pins: Pins
    below: str | None = None
    is_build: bool = False

    def part(self, places: range) -> Rows:
        if len(places) == self.count:
            return self
        chosen = slice(places.start, places.stop)
        keys = {key: values[chosen] for key, values in self.keys.items()}
        return Rows(len(places), keys, self.whole[chosen], self.pins, is_build=self.is_build)


@dataclass(frozen=True)
class Given:
    """What a trigger gave for some rows: outcomes, and the writes left with its view, each with the rows it is of.

    Attributes:
        lost: the rows whose processes ended; each has an error among the outcomes, too.
    """

    outcomes: Outcomes
    writes: Sequence[Left] = ()
    lost: frozenset[int] = field(default_factory=frozenset)


Part = tuple[range, Given]


def given_in_parts(spec: TriggerSpec, run: Callable[[range], Given], places: range) -> Given:
    """Run a call on some rows, or on parts of them where it takes too long or ends its process, and put together what they
    gave.

    A function may take many rows at once and each of them may end its process. So that not every row costs a process,
    rows are told apart only until enough processes were lost to find one of them, or two: once more for each that is
    found while others gave something, so that these are never set aside with it.
    """
    waiting = deque([places])
    losses_left = most = 2 * len(places).bit_length()
    done: list[Part] = []
    has_given = False
    while waiting:
        places = waiting.popleft()
        try:
            done.append((places, run(places)))
            has_given = True
        except (StoreClosed, StoreUnavailable, SchemaMismatch):
            raise
        except Unpicklable as exc:
            done.append((places, _failed(spec, len(places), reason_of(exc))))
        except BaseException as exc:  # noqa: BLE001 - of whatever class: what is raised on the way there, too
            is_lost = isinstance(exc, ProcessLost)
            losses_left -= is_lost
            if len(places) > 1 and (losses_left > 0 or not is_lost):
                middle = len(places) // 2
                waiting.extendleft((places[middle:], places[:middle]))
            else:
                told = reason_of(exc) if isinstance(exc, MotionError) else text_of(exc)
                done.append((places, _failed(spec, len(places), told, is_lost=is_lost)))
                losses_left = most if has_given else losses_left
    return together(spec, done)


def folded_in_parts(run: Callable[[Rows], Given], rows: Rows) -> Given:
    """Run a fold on one entity, or on parts of its rows where it takes too long or ends its process, and put together what it
    gave."""
    parted, writes = Parted(rows.keys["rows"][0]), list[Left]()
    while not writes and (part := parted.next()) is not None:
        try:
            given = run(replace(rows, keys={**rows.keys, "rows": [part]}))
        except (CallTimeout, ProcessLost) as exc:
            parted.fail(exc, is_mute=True)
            continue
        if given.outcomes.errors:
            parted.fail(given)
        else:
            folded: Any = given.outcomes.items[0]
            parted.take(folded)
            writes += given.writes  # each run's are committed by themselves
    found = parted.given
    if isinstance(found, BaseException):
        raise found
    return found if isinstance(found, Given) else Given(Outcomes(items=[found]), writes)


def _failed(spec: TriggerSpec, count: int, error: str, *, is_lost: bool = False) -> Given:
    outcomes = _empty(spec, count)
    outcomes.errors = dict.fromkeys(range(count), error)
    return Given(outcomes, lost=frozenset(range(count)) if is_lost else frozenset())


def _empty(spec: TriggerSpec, count: int) -> Outcomes:
    if spec.is_columnar:
        return Outcomes(columns=[[None] * count for _ in spec.sets])
    has_items = spec.page or spec.sets_table or spec.fold
    return Outcomes(items=[[] for _ in range(count)] if has_items else [])


def together(spec: TriggerSpec, done: Sequence[Part]) -> Given:
    """Put what parts gave together, in the order of their rows, as if there were no others."""
    if not done:
        return Given(_empty(spec, 0))
    if len(done) == 1:
        return done[0][1]
    whole = Outcomes(columns=[[] for _ in done[0][1].outcomes.columns])
    writes: list[Left] = []
    lost: set[int] = set()
    first = 0
    for places, given in sorted(done, key=lambda part: part[0].start):
        for column, more in zip(whole.columns, given.outcomes.columns, strict=True):
            column += more
        whole.items += given.outcomes.items
        whole.errors |= {first + place: text for place, text in given.outcomes.errors.items()}
        writes += [_from(left, first) for left in given.writes]
        lost |= {first + place for place in given.lost}
        first += len(places)
    return Given(whole, writes, frozenset(lost))


def _from(left: Left, first: int) -> Left:
    """Return what a run left with its rows' places counted from another one on."""
    return left._replace(rows=range(first + left.rows.start, first + left.rows.stop))


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


class Here:
    """The calls of a trigger on rows, made in this process by whoever comes: what each gave is there as soon as it is made.

    The states that it needs are loaded by then.
    """

    def __init__(
        self, database: Database, trigger: Trigger, rows: Rows, on_item: OnItem | None
    ) -> None:
        self._spec, self._run = trigger.spec, _run_of(database, trigger, rows)
        self._target, self._derived = _target(database, trigger.spec)
        states = {name: database.state(name, rows.pins[name]) for name in trigger.spec.components}
        batch = _batch_of(database, rows, self._run, states)
        calls = Calls(trigger, self._target, batch, on_item)
        self.make, self.make_async = calls.make, calls.make_async

    def failed(self, rows: range, error: BaseException) -> Made:
        """Return a call that could not be made as what it gave."""
        return rows, [Failed(error)] * len(rows)

    is_far, is_by_row = False, True

    @property
    def has_left(self) -> bool:
        """Whether a call has written something that is not committed."""
        return self._run.has_left

    def settle(self, made: Sequence[Made]) -> None:
        """Take in that what some of the calls left is committed, or dropped."""
        self._run.settle(place for rows, _ in made for place in rows)

    def given(self, made: Sequence[Made]) -> Given:
        """Return what some of the calls gave, in the order of their rows, as if there were no others."""
        results: list[Any] = []
        writes: list[Left] = []
        for rows, given in sorted(made, key=lambda call: call[0].start):
            first = len(results) - rows.start
            writes += [_from(left, first) for left in self._run.left(rows)]
            results += given
        outcomes = outcomes_of(self._spec, self._target, results, derived=self._derived)
        return Given(outcomes, writes)


class Apart:
    """The same for calls that are made elsewhere, or waited for only so long.

    Args:
        run: makes those calls whose rows these are.
        is_far: the way there costs so much that quick calls are better made together.
    """

    def __init__(
        self, spec: TriggerSpec, run: Callable[[range], Given], *, is_far: bool = False
    ) -> None:
        self._spec, self._run, self.is_far = spec, run, is_far

    def make(self, source: Iterator[range], add: Callable[[Made], None]) -> None:
        for rows in source:
            add((rows, [self._run(rows)]))

    async def make_async(self, source: Iterator[range], add: Callable[[Made], None]) -> None:
        raise NotImplementedError("asynchronous functions run in this process.")

    def failed(self, rows: range, error: BaseException) -> Made:
        """Return a call that could not be made as what it gave."""
        return rows, [_failed(self._spec, len(rows), text_of(error))]

    has_left = is_by_row = False

    def settle(self, made: Sequence[Made]) -> None:
        """Each call has surroundings of its own."""

    def given(self, made: Sequence[Made]) -> Given:
        return together(self._spec, [(rows, given) for rows, (given,) in made])


def prepare_here(
    database: Database,
    trigger: Trigger,
    rows: Rows,
    on_item: OnItem | None = None,
) -> Callable[[], Given]:
    """Return what runs a trigger on rows in this process. The states that it needs are loaded by then."""
    states = {name: database.state(name, rows.pins[name]) for name in trigger.spec.components}
    return partial(_given, database, trigger, rows, states, on_item)


def prepare_there(
    open_database: OpenDatabase,
    code: tuple[Trigger, Mapping[str, Component]],
    classes: Mapping[str, type],
    *given: Any,
) -> Callable[[], Given]:
    """Do the same in another process. It reads the store's folder by itself, and keeps what it has read.

    Args:
        classes: those that the states name, and that are found in the other process only.
        given: states that are sent along, where they are not to be read from the folder, and the rows.
    """
    *states, rows = given
    trigger, components = code
    database = _opened(open_database)
    database.refresh()
    database.classes = {**database.classes, **classes}
    database.code = replace(database.code, components={**database.code.components, **components})
    for sent in states:
        database.take_state(sent)
    return prepare_here(database, trigger, rows)


def _given(
    database: Database,
    trigger: Trigger,
    rows: Rows,
    states: Mapping[str, Any],
    on_item: OnItem | None,
) -> Given:
    """Run a trigger on rows. Each run has views of its own: what a call that timed out writes later goes nowhere."""
    run = _run_of(database, trigger, rows)
    target, derived = _target(database, trigger.spec)
    batch = _batch_of(database, rows, run, states)
    token = CURRENT.set(run)
    try:
        with forks.user_code(), tracing.below(rows.below):
            outcomes = derive(trigger, target, batch, on_item=on_item, derived=derived)
    finally:
        CURRENT.reset(token)
    return Given(outcomes, run.all_left())


def _batch_of(database: Database, rows: Rows, run: TaskRun, states: Mapping[str, Any]) -> Batch:
    lets_pass = partial(_is_of_store, database.backend.place)
    return Batch(rows.count, rows.keys, run, rows.whole, states, lets_pass)


def _is_of_store(place: str, error: BaseException) -> bool:
    """Whether a call failed as the store of its own run could not be used: its row is put off, and is to blame for nothing.

    Raises:
        StoreUnavailable: the store's error, where another was raised because of it, or it among several.
    """
    found = _error_of_store(place, error)
    if found is not None and found is not error:
        raise found
    return found is not None


def _error_of_store(place: str, error: BaseException) -> StoreUnavailable | None:
    left: list[BaseException | None] = [error]
    seen: set[int] = set()
    while left:
        each = left.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, StoreUnavailable) and each.place == place:
            return each
        left += each.exceptions if isinstance(each, BaseExceptionGroup) else ()
        left += [each.__cause__, None if each.__suppress_context__ else each.__context__]
    return None


def _run_of(database: Database, trigger: Trigger, rows: Rows) -> TaskRun:
    keeps_reads = trigger.spec.isolated is True or trigger.spec.follow
    return TaskRun(database, rows.pins, keeps_reads=keeps_reads, is_build=rows.is_build)


def _target(database: Database, spec: TriggerSpec) -> tuple[Table, frozenset[str]]:
    """Return the table that a trigger's results go to, and the keys of it that are not given there, as triggers derive
    them."""
    target = database.graph.tables.get(spec.sets_table or spec.table)
    if not spec.sets_table:
        return target, frozenset()
    producers = database.graph.producers
    return target, frozenset(key for table, key in producers if table == target.name)


@lru_cache(maxsize=8)
def _opened(open_database: OpenDatabase) -> Database:
    return open_database()
