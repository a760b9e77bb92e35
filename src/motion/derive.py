"""The one pure step: rows in, outcomes out.

`derive` calls the user's function on rows and says what it wants written, in stored form and checked. It reads no
database and writes none, so it serves a run before the write, a task, and another executor alike.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from motion.codecs import Stored
from motion.errors import InvalidValue, MotionError, shortened
from motion.schema import Key, Table
from motion.triggers import Failed, Trigger, TriggerSpec


class Run(Protocol):
    """What surrounds the rows being derived: gives each row its view of the store."""

    index: int

    def view(self, index: int) -> Any:
        """Return the view through which the row at `index` reads the store and leaves its writes."""


class At:
    """The row that a piece of asynchronous code is about."""

    __slots__ = ("index", "run")

    def __init__(self, run: Run, index: int) -> None:
        self.run, self.index = run, index

    def view(self, index: int) -> Any:
        return self.run.view(index)


CURRENT: ContextVar[Run | None] = ContextVar("motion_run", default=None)
"""The run that the present code belongs to, None outside: a store used inside one acts as its view."""


@dataclass
class Batch:
    """The inputs of one trigger on some rows.

    Attributes:
        count: how many rows.
        keys: key -> its values, decoded, one for each row.
        rows: whole rows as instances, where the trigger reads them.
        states: component -> its state, for parameters that receive one.
    """

    count: int
    keys: Mapping[str, Sequence[Any]]
    run: Run
    rows: Sequence[Any] = ()
    states: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Outcomes:
    """What a trigger wants written for each row of a batch.

    Attributes:
        columns: for a trigger with one value per output key: the stored values, one list for each key of `sets`.
        items: for one with pages or rows of another table: per row its items, a tuple of stored values for each page,
            or a dict of stored values for each row of the other table.
        errors: row -> traceback, for the rows that failed; their other entries mean nothing.
    """

    columns: list[list[Stored]] = field(default_factory=list)
    items: list[list[Any]] = field(default_factory=list)
    errors: dict[int, str] = field(default_factory=dict)


OnItem = Callable[[int, int, tuple[Stored, ...]], None]
RunAsync = Callable[[Coroutine[Any, Any, Any]], Any]


def derive(
    trigger: Trigger,
    target: Table,
    batch: Batch,
    *,
    run_async: RunAsync = asyncio.run,
    on_item: OnItem | None = None,
) -> Outcomes:
    """Run a trigger on the rows of a batch.

    Args:
        target: the table that the results go to.
        run_async: runs a coroutine to its end.
        on_item: told of each page of a generator as it comes: (row, page, stored values).

    Never raises what the user's function raises: that is the row's outcome.
    """
    results = _call(trigger, batch, run_async, _generator_reader(trigger.spec, target, on_item))
    outcomes = Outcomes(
        errors={i: _text(item) for i, item in enumerate(results) if isinstance(item, Failed)}
    )
    if trigger.spec.is_columnar:
        outcomes.columns = _columns(trigger.spec, target, results, outcomes.errors)
    elif trigger.spec.page or trigger.spec.sets_table:
        outcomes.items = _items(trigger.spec, target, results, outcomes.errors)
    return outcomes


# -- calling --


def _call(
    trigger: Trigger, batch: Batch, run_async: RunAsync, read: Callable[[int, Any], Any]
) -> list[Any]:
    spec = trigger.spec
    if spec.batch:
        return _call_batches(trigger, batch, run_async)
    arguments = _arguments(spec, batch)
    if spec.is_async:
        return list(run_async(_call_async(trigger, batch, arguments)))
    function, run = trigger.function, batch.run
    results: list[Any] = []
    append = results.append
    for index, values in enumerate(arguments):
        run.index = index
        try:
            append(function(*values) if not spec.is_generator else read(index, function(*values)))
        except Exception as exc:  # noqa: BLE001 - user code: anything may come out
            append(Failed(exc))
    return results


def _arguments(spec: TriggerSpec, batch: Batch) -> Sequence[tuple[Any, ...]]:
    """Return each row's arguments, in the order of the parameters."""
    columns: list[Sequence[Any]] = []
    for parameter in spec.parameters:
        if parameter.kind == "key":
            columns.append(batch.keys[parameter.name])
        elif parameter.kind == "row":
            columns.append(batch.rows)
        elif parameter.kind == "store":
            columns.append([batch.run.view(i) for i in range(batch.count)])
        else:
            columns.append([batch.states[parameter.component or ""]] * batch.count)
    return list(zip(*columns, strict=True)) if columns else [()] * batch.count


def _call_batches(trigger: Trigger, batch: Batch, run_async: RunAsync) -> list[Any]:
    size = trigger.spec.batch or 1
    results: list[Any] = []
    for start in range(0, batch.count, size):
        results += _call_batch(
            trigger, batch, range(start, min(start + size, batch.count)), run_async
        )
    return results


def _call_batch(trigger: Trigger, batch: Batch, rows: range, run_async: RunAsync) -> list[Any]:
    """Call on one batch; one that raises is halved until the failing rows stand alone."""
    batch.run.index = rows[0]
    try:
        given = trigger.function(*_batch_arguments(trigger.spec, batch, rows))
        results = list(run_async(given) if trigger.spec.is_async else given)
        if len(results) != len(rows):
            raise MotionError(
                f"trigger {trigger.spec.name!r} was given {len(rows)} rows and returned {len(results)} results; "
                f"a batch trigger returns one for each row, in order."
            )
        return results
    except Exception as exc:  # noqa: BLE001 - user code: anything may come out
        if len(rows) == 1:
            return [Failed(exc)]
        middle = len(rows) // 2
        return _call_batch(trigger, batch, rows[:middle], run_async) + _call_batch(
            trigger, batch, rows[middle:], run_async
        )


def _batch_arguments(spec: TriggerSpec, batch: Batch, rows: range) -> list[Any]:
    arguments: list[Any] = []
    for parameter in spec.parameters:
        if parameter.kind == "key":
            arguments.append(list(batch.keys[parameter.name][rows.start : rows.stop]))
        elif parameter.kind == "store":
            arguments.append(batch.run.view(rows[0]))
        else:
            arguments.append(batch.states[parameter.component or ""])
    return arguments


async def _call_async(
    trigger: Trigger, batch: Batch, arguments: Sequence[tuple[Any, ...]]
) -> list[Any]:
    gate = asyncio.Semaphore(trigger.spec.concurrency)

    async def call(index: int, values: tuple[Any, ...]) -> Any:
        async with gate:
            CURRENT.set(At(batch.run, index))
            try:
                return await asyncio.wait_for(trigger.function(*values), trigger.spec.timeout_s)
            except Exception as exc:  # noqa: BLE001 - user code: anything may come out
                return Failed(exc)

    return await asyncio.gather(*(call(i, values) for i, values in enumerate(arguments)))


def _generator_reader(
    spec: TriggerSpec, target: Table, on_item: OnItem | None
) -> Callable[[int, Any], Any]:
    """Return what reads a generator to its end: its pages as a list, or its parts as one text."""
    if spec.page is None:
        return lambda index, parts: "".join(parts)

    def read(index: int, generator: Any) -> list[Any]:
        items = []
        for page, item in enumerate(generator):
            items.append(item)
            if on_item is not None:
                on_item(index, page, _page(spec, target, item))
        return items

    return read


# -- reading results --


def _columns(
    spec: TriggerSpec, target: Table, results: list[Any], errors: dict[int, str]
) -> list[list[Stored]]:
    keys = [target.keys[name] for name in spec.sets]
    if (
        len(keys) == 1
        and not errors
        and not any(type(result) in (dict, tuple) for result in results)
    ):
        values = [results]
    else:
        rows = [_row_of_values(spec, result, i, errors) for i, result in enumerate(results)]
        values = [[row[position] for row in rows] for position in range(len(keys))]
    return [_encoded(key, column, errors) for key, column in zip(keys, values, strict=True)]


def _row_of_values(
    spec: TriggerSpec, result: Any, index: int, errors: dict[int, str]
) -> Sequence[Any]:
    if index in errors:
        return [None] * len(spec.sets)
    try:
        return values_of(spec, result)
    except MotionError as exc:
        errors[index] = _text(Failed(exc))
        return [None] * len(spec.sets)


def values_of(spec: TriggerSpec, result: Any) -> Sequence[Any]:
    """Return a result as one value for each key of `sets`: a dict by name, a tuple by position, or the value itself."""
    names = spec.sets
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


def _encoded(key: Key, values: Sequence[Any], errors: dict[int, str]) -> list[Stored]:
    try:
        return (
            list(key.encode_column(values)) if not errors else _encoded_singly(key, values, errors)
        )
    except InvalidValue:
        return _encoded_singly(key, values, errors)


def _encoded_singly(key: Key, values: Sequence[Any], errors: dict[int, str]) -> list[Stored]:
    stored: list[Stored] = []
    for index, value in enumerate(values):
        try:
            stored.append(None if index in errors else key.encode(value))
        except InvalidValue as exc:
            errors[index] = _text(Failed(exc))
            stored.append(None)
    return stored


def _items(
    spec: TriggerSpec, target: Table, results: list[Any], errors: dict[int, str]
) -> list[list[Any]]:
    items: list[list[Any]] = []
    for index, result in enumerate(results):
        try:
            items.append([] if index in errors else _items_of(spec, target, result))
        except (MotionError, TypeError) as exc:
            errors[index] = _text(Failed(exc))
            items.append([])
    return items


def _items_of(spec: TriggerSpec, target: Table, result: Any) -> list[Any]:
    if isinstance(result, str | bytes | dict) or not hasattr(result, "__iter__"):
        if result is None:
            return []
        raise MotionError(
            f"trigger {spec.name!r} returns a list, one item for each page or row, not {shortened(result)}."
        )
    if spec.page:
        return [_page(spec, target, item) for item in result]
    return [_row(target, item) for item in result]


def _page(spec: TriggerSpec, target: Table, item: Any) -> tuple[Stored, ...]:
    values = values_of(spec, item)
    return tuple(
        target.keys[name].encode(value) for name, value in zip(spec.sets, values, strict=True)
    )


def _row(target: Table, item: Any) -> dict[str, Stored]:
    given = target.values_of(item)
    return {
        name: target.key(name).encode(value) for name, value in given.items() if value is not None
    }


def _text(failed: Failed) -> str:
    """Return an error as the text that is kept: its traceback from the user's code on."""
    error = failed.error
    if not isinstance(error, BaseException):
        return str(error)
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))
