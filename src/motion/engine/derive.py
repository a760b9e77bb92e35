"""The one pure step: rows in, outcomes out.

`derive` calls the user's function on rows and says what it wants written, in stored form and checked. It reads no
database and writes none, so it serves a run before the write, a task, and another executor alike.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable, Container, Iterator, Mapping, Sequence, Set
from contextlib import aclosing
from dataclasses import dataclass, field, is_dataclass, replace
from typing import Any

import numpy as np

from motion import clock
from motion.background import forks
from motion.background.event_loop import is_ending, uncancel
from motion.background.tracebacks import text_of
from motion.definitions.tables.schema import Key, Table
from motion.definitions.triggers.folds import OverRows, Parted
from motion.definitions.triggers.parameters import VALUES
from motion.definitions.triggers.specs import Failed, Trigger, TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.definitions.values.lending import UNCHANGING, taken
from motion.definitions.values.outcomes import Outcomes
from motion.errors import CallTimeout, MotionError, shortened
from motion.views.run import CURRENT, At, Run


def _no_error(_: BaseException) -> bool:
    return False


@dataclass
class Batch:
    """The inputs of one trigger on some rows.

    Attributes:
        count: how many rows.
        keys: key -> its values, decoded, one for each row.
        rows: whole rows as instances, where the trigger reads them.
        states: component -> its state, for parameters that receive one.
        lets_pass: tells errors that end the whole run, such as a Ctrl-C, from those of a row; it may raise another in place
            of one.
        process: that the run is of; a child that a function forks ends with what it raises.
        is_late: tells by the number of calls made whether the others are to be left to somebody else; None: none are.
    """

    count: int
    keys: Mapping[str, Sequence[Any]]
    run: Run
    rows: Sequence[Any] = ()
    states: Mapping[str, Any] = field(default_factory=dict)
    lets_pass: Callable[[BaseException], bool] = _no_error
    process: int = field(default_factory=os.getpid)
    is_late: Callable[[int], bool] | None = None


OnItem = Callable[[int, int, tuple[Stored, ...]], None]


def derive(
    trigger: Trigger,
    target: Table,
    batch: Batch,
    *,
    on_item: OnItem | None = None,
    derived: Container[str] = (),
) -> Outcomes:
    """Run a trigger that is no coroutine function on the rows of a batch, one call after the other.

    Args:
        target: the table that the results go to.
        derived: the keys of it that triggers derive: of a row of another table they are not given.
        on_item: told of each page, or part of a text, of a generator as it comes: (row, page, stored values).

    Never raises what the user's function raises: that is the row's outcome. The first rows only have one where it is late.
    """
    spec = trigger.spec
    if spec.batch or spec.is_generator or trigger.turns is not None:
        calls, made = Calls(trigger, target, batch, on_item), list[Made]()
        calls.make(iter(calls_of(spec, batch.count)), made.append)
        results = [result for _, given in made for result in given]
    else:
        results = call_plain(_function_of(trigger, target), batch, _argument_columns(spec, batch))
    return outcomes_of(spec, target, results, lets_pass=batch.lets_pass, derived=derived)


def derive_one(
    trigger: Trigger,
    target: Table,
    arguments: Sequence[Any],
    run: Run,
    lets_pass: Callable[[BaseException], bool],
) -> Outcomes:
    """Do the same on one row, which most writes are of, for a function that `is_of_values`: it takes a third of the time."""
    results: list[Any] = []
    run.now = results.__len__
    run.watch(results)
    call_one(trigger.function, arguments, results, lets_pass)
    return outcomes_of(trigger.spec, target, results, lets_pass=lets_pass)


def is_of_values(spec: TriggerSpec, table: Table) -> bool:
    """Whether a trigger is a plain function that makes one value of its row's keys, none of which anybody can change."""
    keys = [*spec.arguments, *spec.sets]
    is_plain = spec.may_be_inline and not spec.elsewhere and len(spec.sets) == 1
    return is_plain and all(table.keys[key].codec.is_immutable for key in keys)


def outcomes_of(
    spec: TriggerSpec,
    target: Table,
    results: list[Any],
    *,
    lets_pass: Callable[[BaseException], bool] = _no_error,
    derived: Container[str] = (),
) -> Outcomes:
    """Return what a trigger wants written, by what its function gave for each row, or how it failed."""
    errors = _Errors(lets_pass)
    if Failed in map(type, results):
        failed = ((i, item) for i, item in enumerate(results) if type(item) is Failed)
        errors.texts = {i: text_of(item.error) for i, item in failed}
    outcomes = Outcomes(errors=errors.texts)
    if spec.is_columnar:
        outcomes.columns = _columns(spec, target, results, errors)
    elif spec.page or spec.sets_table:
        outcomes.items = _items(spec, target, results, errors, derived)
    elif spec.fold is not None:
        outcomes.items = results
    return outcomes


class _Errors:
    """The errors of a batch's rows, as texts."""

    def __init__(self, lets_pass: Callable[[BaseException], bool]) -> None:
        self._lets_pass = lets_pass
        self.texts: dict[int, str] = {}

    def note(self, row: int, error: BaseException) -> None:
        """Take in what reading a row's result raised: its values have methods of the user's, too."""
        self.check(error)
        self.texts[row] = text_of(error)

    def check(self, error: BaseException) -> None:
        """Raise what is no row's error."""
        if self._lets_pass(error):
            raise error


# -- calling --

Made = tuple[range, Sequence[Any]]
"""The rows of one call, and for each of them what the call gave, or how it failed."""


def calls_of(spec: TriggerSpec, count: int) -> list[range]:
    """Return the rows of each call that `count` rows need."""
    size = spec.batch or 1
    return [range(i, min(i + size, count)) for i in range(0, count, size)]


class Calls:
    """The calls of a trigger on the rows of a batch, made in any order, by any number of threads or coroutines at once."""

    def __init__(
        self, trigger: Trigger, target: Table, batch: Batch, on_item: OnItem | None = None
    ) -> None:
        self._spec, self._turns, self._batch = trigger.spec, trigger.turns, batch
        self._function = _function_of(trigger, target)
        columns = [] if trigger.spec.batch else _argument_columns(trigger.spec, batch)
        self._columns = [list(column) for column in columns]
        self._read = (
            _GeneratorReader(trigger.spec, target, on_item) if trigger.spec.is_generator else None
        )

    def make(self, source: Iterator[range], add: Callable[[Made], None]) -> None:
        """Make the calls that the source gives, one after the other, and add what each of them gave.

        The source may be shared, and be emptied meanwhile. A claim holds rows whose turn it is, so there is nothing to
        wait for but with halves of a batch that raised.
        """
        at = At(self._batch.run, 0)
        token = CURRENT.set(at)
        try:
            with forks.user_code():
                for rows in source:
                    results = self._results_of_parts(at, rows)
                    if self._is_child():
                        break
                    self._finish(rows, results)
                    add((rows, results))
        finally:
            at.is_over = True
            CURRENT.reset(token)

    def _is_child(self) -> bool:
        """Whether this process was forked by a call: it ends with that."""
        return forks.is_child_of(self._batch.process)

    def _results_of_parts(self, at: At, rows: range) -> list[Any]:
        if self._spec.fold is None:
            return self._results(at, rows)
        parted = Parted(self._columns[0][rows.start])
        while self._narrow(parted, rows):
            _take(parted, self._results(at, rows))
        return [parted.given]

    def _narrow(self, parted: Parted, rows: range) -> bool:
        """Let a fold's next call on an entity be about those of its rows whose turn it is; return whether there are any."""
        if (part := parted.next()) is not None:
            self._columns[0][rows.start] = part
        return part is not None

    def _results(self, at: At, rows: range) -> list[Any]:
        at.index = rows.start
        arguments = self._arguments(rows)
        if self._turns is not None and (wait_s := self._turns.wait_s()):
            clock.sleep(wait_s)
        try:
            given = self._function(*arguments)
            if self._read is not None:
                given = self._read.now(rows.start, given)
            return _one_each(self._spec, rows, given) if self._spec.batch else [given]
        except _NotPassedOn as exc:  # the store's error: the row is put off
            raise exc.__cause__ or exc from None
        except BaseException as exc:
            if self._is_child() or self._batch.lets_pass(exc):
                raise
            halves = _halves(rows, exc)  # the rows' failure, of whatever class
        if isinstance(halves, list):
            return halves
        return [result for half in halves for result in self._results(at, half)]

    async def make_async(self, source: Iterator[range], add: Callable[[Made], None]) -> None:
        """Do the same with an asynchronous function: as many at once as there are coroutines that share the source."""
        with forks.user_code():
            for rows in source:
                results = await self._results_of_parts_async(rows)
                if self._is_child():
                    break
                self._finish(rows, results)
                add((rows, results))

    def _finish(self, rows: range, results: Sequence[Any]) -> None:
        self._batch.run.finish(rows, [type(each) is Failed for each in results])

    async def _results_of_parts_async(self, rows: range) -> list[Any]:
        if self._spec.fold is None:
            return await self._results_async(rows)
        parted = Parted(self._columns[0][rows.start])
        while not is_ending() and self._narrow(parted, rows):
            _take(parted, await self._results_async(rows))
        return [parted.given]

    async def _results_async(self, rows: range) -> list[Any]:
        at = At(self._batch.run, rows.start)
        CURRENT.set(at)
        timeout_s = self._spec.timeout_s
        if self._turns is not None:
            await asyncio.sleep(self._turns.wait_s())
        try:
            async with asyncio.timeout(timeout_s) as limit:
                given = self._function(*self._arguments(rows))
                given = await (given if self._read is None else self._read.later(rows.start, given))
            return _one_each(self._spec, rows, given) if self._spec.batch else [given]
        except _NotPassedOn as exc:  # the store's error: the row is put off
            raise exc.__cause__ or exc from None
        except TimeoutError as exc:  # its own, or one of the function's
            halves = _halves(rows, CallTimeout(timeout_s or 0) if limit.expired() else exc)
        except BaseException as exc:
            if self._is_child() or self._batch.lets_pass(exc):
                raise
            uncancel()  # the rows' failure, of whatever class
            halves = [Failed(exc)] * len(rows) if is_ending() else _halves(rows, exc)
        finally:
            at.is_over = True
        if isinstance(halves, list):
            return halves
        return [result for half in halves for result in await self._results_async(half)]

    def _arguments(self, rows: range) -> Sequence[Any]:
        if not self._spec.batch:
            return [column[rows.start] for column in self._columns]
        self._batch.run.begin(rows)
        return _batch_arguments(self._spec, self._batch, rows)


def _take(parted: Parted, results: list[Any]) -> None:
    (given,) = results
    if isinstance(given, Failed):
        parted.fail(given)
    else:
        parted.take(given)


def _halves(rows: range, error: BaseException) -> list[Failed] | tuple[range, range]:
    """Return the halves of a call that raised, on which it is made again until the failing rows stand alone; for a row
    that does, how it failed."""
    if len(rows) == 1 or isinstance(error, NotOneEach):
        return [Failed(error)] * len(rows)
    middle = len(rows) // 2
    return rows[:middle], rows[middle:]


def _function_of(trigger: Trigger, target: Table) -> Callable[..., Any]:
    """Return a trigger's function, its results taken as they are when it returns where they may change afterwards."""
    if isinstance(trigger.function, OverRows):
        dropping = _dropping_async if trigger.spec.is_async else _dropping
        return replace(trigger.function, function=dropping(trigger.function.function))
    return _taking(trigger) if _may_be_lent(trigger.spec, target) else trigger.function


def _dropping(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a fold's function such that what a call writes through the store goes nowhere where it raises: its run may go
    on, and end well."""

    def called(*arguments: Any) -> Any:
        run, index, before = _under_way()
        try:
            return function(*arguments)
        except BaseException:
            run.drop(index, before)
            raise

    return called


def _dropping_async(function: Callable[..., Any]) -> Callable[..., Any]:
    async def called(*arguments: Any) -> Any:
        run, index, before = _under_way()
        try:
            return await function(*arguments)
        except BaseException:
            run.drop(index, before)
            raise

    return called


def _under_way() -> tuple[Run, int, int]:
    """Return the run under way and the position of its row, with how many writes that has left."""
    run = CURRENT.get()
    assert run is not None
    index = run.now()
    return run, index, run.written(index)


def _may_be_lent(spec: TriggerSpec, target: Table) -> bool:
    """Whether a result is something that the function can change when it is called again."""
    if spec.is_generator or not spec.is_columnar:
        return not spec.is_generator and bool(spec.page or spec.sets_table)
    return len(spec.sets) > 1 or not target.keys[spec.sets[0]].codec.is_immutable


def _taking(trigger: Trigger) -> Callable[..., Any]:
    """Return a trigger's function, its results taken as they are when it returns."""
    function, now = trigger.function, _batch_now if trigger.spec.batch else _result_now
    has_items = bool(trigger.spec.page or trigger.spec.sets_table)
    if trigger.spec.is_async:

        async def awaited(*arguments: Any) -> Any:
            return now(await function(*arguments), has_items)

        return awaited

    def called(*arguments: Any) -> Any:
        return now(function(*arguments), has_items)

    return called


def _batch_now(given: Any, has_items: bool) -> Any:
    """Return the results of a batch, each as it is when it comes: what makes one after the other may fill one buffer."""
    if hasattr(given, "shape") or not _is_in_order(given):  # an array is there as a whole
        return taken(given)
    return [_result_now(each, has_items) for each in given]


def _result_now(given: Any, has_items: bool) -> Any:
    if has_items and isinstance(given, Iterator):
        return [taken(each) for each in given]
    return taken(given)


LOOKED_AFTER = 8
"""Calls after which it is looked whether they are late: to look takes a third of the quickest call."""


STOPPED = "StopIteration was raised, which ends loops, not triggers"


def call_one(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    results: list[Any],
    lets_pass: Callable[[BaseException], bool],
) -> None:
    """Call a function on one row."""
    process = os.getpid()
    try:
        results.append(function(*arguments))
    except StopIteration:
        results.append(Failed(STOPPED))
    except BaseException as exc:
        if lets_pass(exc) or forks.is_child_of(process):
            raise
        results.append(Failed(exc))


def call_plain(
    function: Callable[..., Any], batch: Batch, columns: Sequence[Sequence[Any]]
) -> list[Any]:
    """Call a function on each row, or on the first until it is late. The loop is `extend`'s: it costs a third of one written out."""
    results: list[Any] = []
    batch.run.now = results.__len__  # the row under way is the one whose result comes next
    batch.run.watch(results)
    rest = map(function, *columns) if columns else itertools.starmap(function, [()] * batch.count)
    part = batch.count if batch.is_late is None else 1
    while len(results) < batch.count:
        end = min(len(results) + part, batch.count)
        try:
            results.extend(itertools.islice(rest, end - len(results)))
            if len(results) < end:
                results.append(Failed(STOPPED))
        except BaseException as exc:
            if batch.lets_pass(exc) or forks.is_child_of(batch.process):
                raise
            results.append(Failed(exc))
        if batch.is_late is not None:
            if batch.is_late(len(results)):
                break
            part = min(2 * part, LOOKED_AFTER)
    return results


class _Views(Sequence[Any]):
    """The views of a batch's rows, each made as its row is called: a run begins then."""

    def __init__(self, batch: Batch) -> None:
        self._view, self._count = batch.run.view, batch.count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        return self._view(index)

    def __iter__(self) -> Iterator[Any]:
        return map(self._view, range(self._count))


def _argument_columns(spec: TriggerSpec, batch: Batch) -> list[Sequence[Any]]:
    """Return for each parameter its arguments, one for each row."""
    columns: list[Any] = []
    for parameter in spec.parameters:
        if parameter.kind in VALUES:
            columns.append(_handed_out(batch.keys[parameter.column]))
        elif parameter.kind == "row":
            columns.append(batch.rows)
        elif parameter.kind == "store":
            columns.append(_Views(batch))
        else:
            columns.append([batch.states[parameter.component or ""]] * batch.count)
    return columns


def _handed_out(values: Sequence[Any]) -> Any:
    """Return a key's values as a function may have them: lists, dicts and dataclasses for itself, as it may change them,
    and the next trigger, or the next call with half of the rows, gets them too. Arrays are read-only."""
    first = values[0] if values else None
    if first is None:
        first = next((value for value in values if value is not None), None)
    if type(first) not in UNCHANGING and (isinstance(first, list | dict) or is_dataclass(first)):
        return map(taken, values)
    return values


class NotOneEach(MotionError, ValueError):
    """A batch trigger did not return one result for each row: calling it on fewer rows would only hide that."""

    def __init__(self, trigger: str, rows: int, returned: str) -> None:
        super().__init__(trigger, rows, returned)
        self.trigger, self.rows, self.returned = trigger, rows, returned

    def __str__(self) -> str:
        return (
            f"trigger {self.trigger!r} was given {self.rows} rows and returned {self.returned}; a trigger with "
            f"batch= returns a list or array with one result for each row, in order."
        )


def _one_each(spec: TriggerSpec, rows: range, given: Any) -> list[Any]:
    if given is None and not (spec.sets or spec.sets_table):
        return [None] * len(rows)  # it gives nothing, and did it for all of them
    if not _is_in_order(given):
        raise NotOneEach(spec.name, len(rows), f"{shortened(given)} ({type(given).__name__})")
    results = list(given)
    if len(results) != len(rows):
        raise NotOneEach(spec.name, len(rows), f"{len(results)} results")
    return results


def _is_in_order(given: Any) -> bool:
    """Whether something gives items one by one in an order of its own: not a set, and not a frame, which gives columns."""
    if isinstance(given, str | bytes | bytearray | memoryview | Mapping | Set):
        return False
    return hasattr(given, "__iter__") and not hasattr(given, "columns")


def _batch_arguments(spec: TriggerSpec, batch: Batch, rows: range) -> list[Any]:
    arguments: list[Any] = []
    for parameter in spec.parameters:
        if parameter.kind in VALUES:
            values = batch.keys[parameter.column][rows.start : rows.stop]
            arguments.append(list(_handed_out(values)))
        elif parameter.kind == "store":
            arguments.append(batch.run.view(rows[0]))
        else:
            arguments.append(batch.states[parameter.component or ""])
    return arguments


class _NotPassedOn(Exception):
    """An item could not be passed on, for which its row is not to blame."""


class _GeneratorReader:
    """Reads generators to their end, and passes on what they give: their pages as a list, or their parts as one text."""

    def __init__(self, spec: TriggerSpec, target: Table, on_item: OnItem | None) -> None:
        self._spec, self._target, self._on_item = spec, target, on_item

    def now(self, index: int, generator: Any) -> Any:
        items: list[Any] = []
        for item in generator:
            self._pass_on(index, items, item)
        return self._whole(items)

    async def later(self, index: int, generator: Any) -> Any:
        """Do the same with an asynchronous one. Passing on may write, so a thread does it: the event loop goes on."""
        items: list[Any] = []
        async with aclosing(generator):
            async for item in generator:
                await asyncio.to_thread(self._pass_on, index, items, item)
        return self._whole(items)

    def _pass_on(self, index: int, items: list[Any], item: Any) -> None:
        place = len(items)
        if self._spec.page is None:
            items.append(item)
            if not isinstance(item, str):
                return
            stored: tuple[Stored, ...] = (self._target.keys[self._spec.sets[0]].encode(item),)
        else:
            items.append(taken(item))
            stored = _page(self._spec, self._target, item)
        if self._on_item is not None:
            try:
                self._on_item(index, place, stored)
            except BaseException as exc:
                raise _NotPassedOn from exc

    def _whole(self, items: list[Any]) -> Any:
        return items if self._spec.page else "".join(items)


# -- reading results --


SEVERAL = frozenset((dict, tuple))
"""What may hold the values of several keys."""


def _columns(
    spec: TriggerSpec, target: Table, results: list[Any], errors: _Errors
) -> list[list[Stored]]:
    if len(spec.sets) == 1 and not errors.texts and SEVERAL.isdisjoint(map(type, results)):
        return [_encoded(target.keys[spec.sets[0]], results, errors)]
    rows = [_row_of_values(spec, target, result, i, errors) for i, result in enumerate(results)]
    return [
        _encoded(target.keys[key], [row[position] for row in rows], errors)
        for position, key in enumerate(spec.sets)
    ]


def _row_of_values(
    spec: TriggerSpec, target: Table, result: Any, index: int, errors: _Errors
) -> Sequence[Any]:
    if index in errors.texts:
        return [None] * len(spec.sets)
    try:
        return values_of(spec, target, result)
    except BaseException as exc:  # noqa: BLE001 - the row's, of whatever class
        errors.note(index, exc)
        return [None] * len(spec.sets)


def values_of(spec: TriggerSpec, target: Table, result: Any) -> Sequence[Any]:
    """Return a result as one value for each key of `sets`: a dict by name, a tuple by position, or the value itself,
    which a dict is for one key that takes dicts."""
    names = spec.sets
    if len(names) == 1 and isinstance(result, dict) and target.keys[names[0]].codec.takes_dict:
        return (result,)
    if isinstance(result, dict) and (len(names) > 1 or set(result) == set(names)):
        if set(result) != set(names):
            raise MotionError(
                f"trigger {spec.name!r} sets {', '.join(names)} but returned {shortened(list(result))}."
            )
        return [result[name] for name in names]
    if len(names) == 1:
        return result if type(result) is tuple and len(result) == 1 else (result,)
    if result is None:
        return (None,) * len(names)
    if not isinstance(result, tuple | list | np.ndarray) or len(result) != len(names):
        raise MotionError(
            f"trigger {spec.name!r} sets {', '.join(names)}, so it returns a tuple of {len(names)} or a dict, "
            f"but it returned {shortened(result)}."
        )
    return tuple(result)


def _encoded(key: Key, values: Sequence[Any], errors: _Errors) -> list[Stored]:
    try:
        return (
            list(key.encode_column(values))
            if not errors.texts
            else _encoded_singly(key, values, errors)
        )
    except BaseException as exc:  # noqa: BLE001 - of one of the rows
        errors.check(exc)
        return _encoded_singly(key, values, errors)


def _encoded_singly(key: Key, values: Sequence[Any], errors: _Errors) -> list[Stored]:
    stored: list[Stored] = []
    for index, value in enumerate(values):
        try:
            stored.append(None if index in errors.texts else key.encode(value))
        except BaseException as exc:  # noqa: BLE001 - the row's, of whatever class
            errors.note(index, exc)
            stored.append(None)
    return stored


def _items(
    spec: TriggerSpec,
    target: Table,
    results: list[Any],
    errors: _Errors,
    derived: Container[str],
) -> list[list[Any]]:
    items: list[list[Any]] = []
    for index, result in enumerate(results):
        try:
            items.append([] if index in errors.texts else _items_of(spec, target, result, derived))
        except BaseException as exc:  # noqa: BLE001 - the row's, of whatever class
            errors.note(index, exc)
            items.append([])
    return items


def _items_of(spec: TriggerSpec, target: Table, result: Any, derived: Container[str]) -> list[Any]:
    if result is None:
        return []
    if not _is_in_order(result):
        raise MotionError(
            f"trigger {spec.name!r} returns a list, one item for each page or row, not {shortened(result)} "
            f"({type(result).__name__})."
        )
    if spec.page:
        return [_page(spec, target, item) for item in result]
    return [_row(spec, target, item, derived) for item in result]


def _page(spec: TriggerSpec, target: Table, item: Any) -> tuple[Stored, ...]:
    values = values_of(spec, target, item)
    return tuple(
        target.keys[name].encode(value) for name, value in zip(spec.sets, values, strict=True)
    )


def _row(spec: TriggerSpec, target: Table, item: Any, derived: Container[str]) -> dict[str, Stored]:
    given = {name: value for name, value in target.values_of(item).items() if value is not None}
    for name in given:
        if name in derived:
            raise MotionError(
                f"trigger {spec.name!r} gives {target.name}.{name} = {shortened(given[name])}, which another trigger "
                f"derives; each key has one trigger, so leave it out, or return None for it."
            )
    stored = {name: target.key(name).encode(value) for name, value in given.items()}
    if isinstance(item, dict):
        return stored
    # An instance has a value in each field: one that is the default counts as left out.
    return {name: value for name, value in stored.items() if value != target.keys[name].default()}
