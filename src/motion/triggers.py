"""Triggers: what a user declares, checked against the tables and turned into data.

`@trigger` leaves the function as it is and notes a `Declaration` on it. `bind` checks a declaration against the
tables and gives a `Trigger`: a `TriggerSpec`, which is plain data kept with the store, and the code to call.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, TypeVar

from motion.codecs import BoolCodec, EnumCodec, FloatCodec, IntCodec
from motion.elsewhere import check_lookup, checked_window
from motion.errors import SchemaError, TriggerError, nearest
from motion.events import Deleted, Event, Occurrence, event_table
from motion.fingerprints import fingerprint_of
from motion.lookups import Lookup
from motion.options import (
    check_kinds,
    check_number,
    check_once,
    in_brackets,
    paths,
)
from motion.parameters import beside, check_parameter, hints_of, signature_of, takes_none
from motion.parameters import is_async as is_async_function
from motion.rates import Rate, Turns, rate_of
from motion.schedules import Schedule
from motion.schema import Table, Tables
from motion.searched import searched_keys
from motion.windows import Window

DECLARATION = "__motion_trigger__"
Function = TypeVar("Function", bound=Callable[..., Any])
Refresh = Literal["never", "before", "after"]
OnChange = Literal["backfill"]
REFRESHES: tuple[Refresh, ...] = ("never", "before", "after")

Once = bool | Literal["at_most"]

Place = Literal["thread", "process"]
PLACES: tuple[Place, ...] = ("thread", "process")

ASYNC_CONCURRENCY = 32
"""Calls of an async trigger that may be under way at once, where `concurrency=` says nothing."""


@dataclass(frozen=True)
class Failed:
    """An item of a batch's result that says: this row failed, with this error."""

    error: BaseException | str


@dataclass(frozen=True)
class Resources:
    """What one run of a trigger takes of the machine: runs that together take more wait for each other.

    Args:
        cpus: processor cores. A run that asks for more than there are runs alone.
        gpus: graphics processors; a share of one may be asked for.
    """

    cpus: float = 1
    gpus: float = 0

    def __post_init__(self) -> None:
        for name, value in (("cpus", self.cpus), ("gpus", self.gpus)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise TriggerError(
                    f"motion.Resources takes {name}= as a number of at least 0, not {value!r}."
                )


NOTHING = Resources(cpus=0)


@dataclass(frozen=True)
class Declaration:
    """What was written in the decorator, not yet held against a schema."""

    on: tuple[str, ...] | Event
    sets: tuple[str, ...] = ()
    page: str | None = None
    name: str | None = None
    batch: int | None = None
    when: Callable[[Any], Any] | None = None
    retries: int = 0
    discard_after_s: float | None = None
    discard_beyond: int | None = None
    timeout_s: float | None = None
    concurrency: int | None = None
    priority: int | str | None = None
    version: str | None = None
    refresh: Refresh | None = None
    inline: bool | None = None
    on_change: OnChange | None = None
    rate: str | None = None
    batch_wait_s: float | None = None
    memo: bool = False
    isolated: bool | None = None
    once: Once = False
    executor: Place | None = None
    resources: Resources | None = None


VALUES = ("key", "lookup", "window")
"""Kinds of parameters that have a value for each row."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a trigger: a key of the row, or something else that the worker supplies."""

    name: str
    kind: Literal["key", "row", "store", "state", "lookup", "window"]
    is_optional: bool = False
    component: str | None = None
    lookup: Lookup | None = None
    window: Window | None = None

    @property
    def column(self) -> str:
        """What its values are found under among the inputs of a run."""
        elsewhere = self.lookup or self.window
        return self.name if elsewhere is None else elsewhere.column


@dataclass(frozen=True)
class TriggerSpec:
    """All of a trigger but its code: what the store keeps, so that any process can fire it."""

    name: str
    table: str
    on: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    sets: tuple[str, ...]
    sets_table: str | None
    page: str | None
    fingerprint: str
    batch: int | None = None
    is_async: bool = False
    is_generator: bool = False
    retries: int = 0
    discard_after_s: float | None = None
    discard_beyond: int | None = None
    timeout_s: float | None = None
    concurrency: int = 1
    priority: int | str | None = None
    component: str | None = None
    refresh: Refresh = "never"
    has_when: bool = False
    inline: bool | None = None
    schedule: Schedule | None = None
    deleted: str | None = None
    on_change: OnChange | None = None
    rate: Rate | None = None
    batch_wait_s: float | None = None
    memo: bool = False
    isolated: bool | None = None
    once: Once = False
    executor: Place | None = None
    resources: Resources = NOTHING
    searches: tuple[str, ...] = ()

    @property
    def event(self) -> Event | None:
        """What it runs on where that is no key: `table` then is its own event table, and `on` that table's id."""
        return Deleted(self.deleted) if self.deleted else self.schedule

    @property
    def source(self) -> str:
        """Where it runs, as people are told: its table, for a deletion the table of the rows that go."""
        return self.deleted or ("schedule" if self.schedule else self.table)

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The keys that are parameters, in the order of the parameters."""
        return tuple(parameter.name for parameter in self.parameters if parameter.kind == "key")

    @cached_property
    def required(self) -> tuple[str, ...]:
        """The keys that must have values before it runs."""
        optional = {parameter.name for parameter in self.parameters if parameter.is_optional}
        return tuple(
            dict.fromkeys(name for name in (*self.on, *self.inputs) if name not in optional)
        )

    @cached_property
    def lookups(self) -> tuple[Lookup, ...]:
        """What is looked up in other rows, in the order of the parameters."""
        return tuple(dict.fromkeys(p.lookup for p in self.parameters if p.lookup))

    @cached_property
    def windows(self) -> tuple[Window, ...]:
        """What is held by windows over other rows, in the order of the parameters."""
        return tuple(dict.fromkeys(p.window for p in self.parameters if p.window))

    @cached_property
    def elsewhere(self) -> tuple[Lookup | Window, ...]:
        """All that it takes of other rows."""
        return (*self.lookups, *self.windows)

    @cached_property
    def looked_up_by(self) -> tuple[str, ...]:
        """The keys whose change runs it, beside those of `on`: they say which other rows it takes values of."""
        keys = [*(each.by for each in self.lookups), *(k for w in self.windows for k in w.own_keys)]
        return tuple(dict.fromkeys(key for key in keys if key not in self.on))

    @cached_property
    def arguments(self) -> tuple[str, ...]:
        """The columns of inputs that its parameters take, keys, lookups and windows, in the order of the parameters."""
        return tuple(p.column for p in self.parameters if p.kind in VALUES)

    @cached_property
    def needed_lookups(self) -> tuple[str, ...]:
        """The columns of lookups and windows that must have values before it runs."""
        found = [p for p in self.parameters if p.lookup or p.window]
        return tuple(p.column for p in found if not p.is_optional)

    @cached_property
    def components(self) -> tuple[str, ...]:
        """The components whose states are parameters, its own first."""
        return tuple(dict.fromkeys(p.component for p in self.parameters if p.component))

    @cached_property
    def reads_row(self) -> bool:
        return self.has_when or any(parameter.kind == "row" for parameter in self.parameters)

    @cached_property
    def uses_store(self) -> bool:
        return any(parameter.kind == "store" for parameter in self.parameters)

    @cached_property
    def writes_freely(self) -> bool:
        """Whether it may write through a store: by its view, or, as nobody can tell, by one that it reaches otherwise."""
        return self.uses_store or not (self.sets or self.sets_table)

    @cached_property
    def is_columnar(self) -> bool:
        """Whether it gives one value per output key of its own row: such triggers fuse and commit by column."""
        return self.page is None and self.sets_table is None and bool(self.sets)

    @cached_property
    def is_fusable(self) -> bool:
        """Whether it may run at once behind another trigger on the same rows, before anything is committed."""
        plain = not (
            self.batch or self.is_async or self.is_generator or self.reads_row or self.uses_store
        )
        alone = self.retries == 0 and self.timeout_s is None and self.component is None
        alone = alone and self.rate is None and not self.memo
        alone = alone and self.executor is None and self.resources == NOTHING
        return (
            self.is_columnar and plain and alone and all(p.kind == "key" for p in self.parameters)
        )  # a lookup reads, and what runs before the write reads nothing

    @property
    def may_be_abandoned(self) -> bool:
        """Whether a call of it runs in a thread that is not waited for after a time-out."""
        return self.timeout_s is not None and not self.is_async and self.executor != "process"

    @cached_property
    def grows_text(self) -> bool:
        """Whether it is a generator whose parts make one text."""
        return self.is_generator and self.page is None

    @cached_property
    def is_versioned(self) -> bool:
        """Whether its outputs are kept once for each state version, side by side."""
        return self.refresh == "before"


@dataclass(frozen=True)
class Trigger:
    """A trigger that this process can run."""

    spec: TriggerSpec
    function: Callable[..., Any] = field(compare=False)
    when: Callable[[Any], Any] | None = field(default=None, compare=False)
    turns: Turns | None = field(default=None, compare=False)
    """In a claim, where it has a rate: when its calls may begin."""


@in_brackets
def trigger(
    *,
    on: str | Sequence[str] | Event,
    sets: str | Sequence[str] = (),
    page: str | None = None,
    name: str | None = None,
    batch: int | None = None,
    when: Callable[[Any], Any] | None = None,
    retries: int = 0,
    discard_after: float | None = None,
    discard_beyond: int | None = None,
    timeout: float | None = None,
    concurrency: int | None = None,
    priority: int | str | None = None,
    version: str | None = None,
    inline: bool | None = None,
    on_change: OnChange | None = None,
    rate: str | None = None,
    batch_wait: float | None = None,
    memo: bool = False,
    isolated: bool | None = None,
    once: Once = False,
    executor: Place | None = None,
    resources: Resources | None = None,
) -> Callable[[Function], Function]:
    """Declare a function as a trigger; the function itself stays as it is.

    The function's parameters are keys of the row, by name: each receives that key's value, with `batch=` a list of
    them, one for each row. A parameter `row` receives the whole row, `store: motion.View` a view of the store for reads
    and further writes, and one annotated with a component's class that component's live state. It runs when all of
    them have values; one annotated `| None` may be unset. It returns the value for `sets`: for several keys a tuple or
    a dict, with `page=` a list with an item for each page, with `batch=` a list or array with one result for each row.

    Args:
        on: the key or keys ("table.key") whose change runs it; or a schedule, `motion.cron("0 * * * *")` or
            `motion.every(minutes=10)`; or `motion.deleted("table")`, which runs it after a row is deleted.
        sets: the key or keys of the same row that its result goes to, or the name of another table, whose
            rows it returns. Empty: it only acts through its `store` parameter.
        page: the page key along which a returned list is laid out, one page per item.
        name: its name in the store; the function's where left out.
        batch: hand over lists of up to this many rows at once.
        when: `when(row)` false: it does not run, and its outputs are unset.
        retries: how often a failed run is tried again, with growing pauses.
        discard_after: seconds after which a run that has not begun is dropped: its result would come too late.
        discard_beyond: rows that may wait; of more, those that have waited longest are dropped, at the latest when they
            are a tenth too many. What is dropped keeps its old outputs, is counted in `store.status()`, and runs again
            when an `on` key changes.
        timeout: seconds after which one call counts as failed, and is not waited for any more: an async function is
            cancelled, a process ended; a thread cannot be, and goes on with nobody looking at what it gives.
        concurrency: calls under way at once; 1 for plain functions and 32 for async ones where left out.
        priority: a number (larger goes first) or the name of a key of the row whose number or enum value is it.
            What follows in the cascade inherits it.
        version: names the code instead of its fingerprint.
        inline: True runs it in memory before the write that it follows from, so that both are one write; False never
            does. None: by itself, once it has been measured to be cheap. Both ways give the same end.
        on_change: "backfill" remakes what older code made, in the background, when the store is opened with other
            code. None leaves it until `store.backfill`.
        rate: how many calls may begin in a second, minute or hour, such as "600/min", over all processes of the store.
            Their turns are spread evenly, and none begins before its turn; turns of the last tenth of a second that
            nobody took are made up for. A call for a batch is one call; a retry is one too.
        batch_wait: seconds that a batch may take to fill before a smaller one is handed over.
        memo: keep results in the store, and take them for equal inputs, on whichever row, made by the same code and the
            same state versions. The last 100,000 results of the trigger are kept, or 256 MiB of them. It is for functions
            of their parameters alone.
        isolated: whether a run is called again where what it has read through `store` has changed by its commit: None,
            if it writes through `store`; True, also if it only gives its `sets`; False, never.
        once: for effects outside of the store. True: after it has succeeded for a row it never runs there again, whatever
            changes, until the row is deleted; what ends its process before that is noted calls it again, so hand the
            row's id to the other side as idempotency key. "at_most": that a call begins is noted first, and what ends
            the process meanwhile leaves a dead letter, as does an error; only `store.retry` calls it again.
        executor: where it runs: "thread", in this process, as also where left out; "process", in another process of
            this machine, which leaves the interpreter of this one free and may crash.
        resources: what one run takes of the machine; one core in a process and nothing in a thread where left out.

    Raises:
        TriggerError: an option is out of its range.
    """
    declaration = declare(
        on, sets, page=page, name=name, batch=batch, when=when, retries=retries, timeout_s=timeout,
        concurrency=concurrency, priority=priority, version=version, inline=inline, on_change=on_change,
        rate=rate, batch_wait_s=batch_wait, discard_after_s=discard_after, discard_beyond=discard_beyond,
        memo=memo, isolated=isolated, once=once,
        executor=executor, resources=resources,
    )  # fmt: skip

    def mark(function: Function) -> Function:
        try:
            setattr(function, DECLARATION, declaration)
        except (AttributeError, TypeError) as exc:
            raise TriggerError(
                f"@motion.trigger marks a function, which {function!r} is not: a method or a builtin takes no mark. Write a "
                f"function that calls it, or a motion.Component with @motion.infer."
            ) from exc
        return function

    return mark


def declare(
    on: str | Sequence[str] | Event, sets: str | Sequence[str], **options: Any
) -> Declaration:
    """Return a declaration whose options are in their ranges, or raise `TriggerError`."""
    runs_on = on if isinstance(on, Schedule | Deleted) else paths("on", on)
    declaration = Declaration(on=runs_on, sets=paths("sets", sets), **options)
    check_kinds(declaration)
    for option, least in (
        ("batch", 1),
        ("concurrency", 1),
        ("retries", 0),
        ("discard_beyond", 1),
        ("timeout_s", 0),
        ("batch_wait_s", 0),
        ("discard_after_s", 0),
    ):
        check_number(option, getattr(declaration, option), least)
    if declaration.timeout_s == 0:
        raise TriggerError("a trigger's timeout must be above 0 s, not 0; None is without end.")
    if declaration.rate is not None:
        rate_of(declaration.rate)
    _check_place(declaration)
    if not declaration.on:
        raise TriggerError("a trigger needs at least one key in on=, such as on='query.query'.")
    return declaration


def _check_place(declaration: Declaration) -> None:
    given: str | None = declaration.executor
    if given == "ray":
        raise TriggerError(
            "executor='ray' is not there yet; 'process' runs in other processes of this machine."
        )
    if given is not None and given not in PLACES:
        raise TriggerError(f"executor={given!r} is unknown; allowed are {', '.join(PLACES)}.")
    if declaration.resources is not None and not isinstance(declaration.resources, Resources):
        raise TriggerError(
            f"resources= takes motion.Resources(cpus=1), not {declaration.resources!r}."
        )


def bind(
    function: Callable[..., Any],
    declaration: Declaration,
    tables: Tables,
    *,
    components: dict[type, str],
    component: str | None = None,
) -> Trigger:
    """Hold a declaration against the tables.

    Args:
        function: what to call; for a component's method the bound method.
        components: the classes whose live state a parameter may ask for, with their names.
        component: the component that the function is a method of; its first parameter is the state.

    Raises:
        TriggerError, SchemaError: naming the trigger, what does not fit, and the nearest name.
    """
    name = str(declaration.name or getattr(function, "__name__", "") or "")
    if not name:
        raise TriggerError(f"{function!r} has no name; give its trigger one with name=.")
    name = f"{component}.{name}" if component else name
    event = declaration.on if isinstance(declaration.on, Schedule | Deleted) else None
    try:
        table, on = _source(name, declaration, tables)
        sets_table, sets = _outputs(declaration, table, tables)
    except SchemaError as exc:
        raise TriggerError(f"trigger {name!r}: {exc}") from exc
    parameters = _parameters(name, function, table, tables, components, component)
    is_async_generator = inspect.isasyncgenfunction(function)
    is_async = is_async_generator or is_async_function(function)
    spec = TriggerSpec(
        name=name,
        table=table.name,
        on=on,
        parameters=parameters,
        sets=sets,
        sets_table=sets_table,
        page=_page_of(name, declaration, table),
        fingerprint=fingerprint_of(
            function,
            declaration.version,
            repr((on, sets, sets_table, declaration.page, component, *elsewhere_of(parameters))),
            declaration.when,
        ),
        batch=declaration.batch,
        is_async=is_async,
        is_generator=is_async_generator or inspect.isgeneratorfunction(function),
        retries=declaration.retries,
        discard_after_s=declaration.discard_after_s,
        discard_beyond=declaration.discard_beyond,
        timeout_s=declaration.timeout_s,
        concurrency=declaration.concurrency or (ASYNC_CONCURRENCY if is_async else 1),
        priority=_priority_of(name, declaration.priority, table),
        component=component,
        refresh=_refresh_of(declaration, component, table, sets),
        has_when=declaration.when is not None,
        inline=declaration.inline,
        schedule=event if isinstance(event, Schedule) else None,
        deleted=tables.get(event.table).name if isinstance(event, Deleted) else None,
        on_change=declaration.on_change,
        rate=None if declaration.rate is None else rate_of(declaration.rate),
        batch_wait_s=declaration.batch_wait_s,
        memo=declaration.memo,
        isolated=declaration.isolated,
        once=declaration.once,
        executor=declaration.executor,
        resources=declaration.resources
        or (Resources() if declaration.executor == "process" else NOTHING),
        searches=searched_keys(function),
    )
    _check_combination(spec)
    _check_text(spec, table)
    return Trigger(spec, function, declaration.when)


def elsewhere_of(parameters: Sequence[Parameter]) -> tuple[Lookup | Window, ...]:
    found = (parameter.lookup or parameter.window for parameter in parameters)
    return tuple(each for each in found if each is not None)


def _source(name: str, declaration: Declaration, tables: Tables) -> tuple[Table, tuple[str, ...]]:
    """Return the table whose rows it runs on, and the keys whose change runs it."""
    if isinstance(declaration.on, Schedule | Deleted):
        return event_table(name, declaration.on, tables), ("id",)
    return _keys_of_one_table(declaration.on, tables, "on")


def _keys_of_one_table(
    paths: Sequence[str], tables: Tables, option: str
) -> tuple[Table, tuple[str, ...]]:
    keys = [tables.key(path) for path in paths]
    if len({(key.table, key.name) for key in keys}) < len(keys):
        raise SchemaError(f"{option}= names a key twice: {', '.join(paths)}.")
    if len({key.table for key in keys}) > 1:
        raise SchemaError(
            f"{option}= names keys of several tables ({', '.join(paths)}); they must be of one."
        )
    for key in keys:
        if key.name == "id" or key.is_page:
            raise SchemaError(
                f"{option}= names {key.table}.{key.name}, which is part of the primary key."
            )
    return tables.get(keys[0].table), tuple(key.name for key in keys)


def _outputs(
    declaration: Declaration, table: Table, tables: Tables
) -> tuple[str | None, tuple[str, ...]]:
    if not declaration.sets:
        return None, ()
    if table.is_event:
        raise SchemaError(
            "on= names an event, which has no row for a result, so sets= does not go with it: take a parameter "
            "'store: motion.View' and write through it."
        )
    if len(declaration.sets) == 1 and "." not in declaration.sets[0]:
        return tables.get(declaration.sets[0]).name, ()
    target, sets = _keys_of_one_table(declaration.sets, tables, "sets")
    if target is not table:
        raise SchemaError(
            f"sets= names {', '.join(declaration.sets)}, but a result goes to the row of table {table.name!r} "
            f"that on= names. To make rows of {target.name!r}, write sets={target.name!r} and return rows."
        )
    return None, sets


def _page_of(name: str, declaration: Declaration, table: Table) -> str | None:
    if declaration.page is None:
        return None
    page = declaration.page.removeprefix(f"{table.name}.")
    if page not in table.page_keys:
        raise TriggerError(
            f"trigger {name!r}: page={declaration.page!r} is no page key of table {table.name!r}; it has "
            f"{', '.join(table.page_keys) or 'none'}.{nearest(page, table.page_keys)}"
        )
    return page


def _refresh_of(
    declaration: Declaration, component: str | None, table: Table, sets: Sequence[str]
) -> Refresh:
    """Return what happens to the outputs when a new state version comes. Where nothing was said, vectors that are there
    to be searched are remade beside the live ones if they can be, and all else stays as it was answered."""
    if declaration.refresh is not None:
        return declaration.refresh
    is_searched = any(table.keys[key].dim is not None for key in sets)
    is_whole = declaration.page is None and declaration.discard_after_s is None
    can_be = component is not None and is_whole and declaration.discard_beyond is None
    return "before" if is_searched and can_be else "never"


def _priority_of(name: str, priority: int | str | None, table: Table) -> int | str | None:
    if not isinstance(priority, str):
        return priority
    try:
        key = table.key(priority.removeprefix(f"{table.name}."))
    except SchemaError as exc:
        raise TriggerError(f"trigger {name!r}: priority={priority!r}: {exc}") from exc
    if not isinstance(key.codec, IntCodec | FloatCodec | BoolCodec | EnumCodec):
        raise TriggerError(
            f"trigger {name!r}: priority={priority!r} is {key.codec.expected}, and not a number or an Enum of numbers."
        )
    return key.name


def _parameters(
    name: str,
    function: Callable[..., Any],
    table: Table,
    tables: Tables,
    components: dict[type, str],
    component: str | None,
) -> tuple[Parameter, ...]:
    hints = hints_of(function, components)
    found = []
    for position, parameter in enumerate(signature_of(name, function).parameters.values()):
        check_parameter(name, parameter)
        hint = hints.get(parameter.name)
        lookup = beside(hint, Lookup)
        if lookup is not None:
            try:
                check_lookup(lookup, table, tables)
            except SchemaError as exc:
                raise TriggerError(
                    f"trigger {name!r}, parameter {parameter.name!r}: {exc}"
                ) from exc
            may_be_unset = takes_none(hint) or parameter.default is None
            found.append(Parameter(parameter.name, "lookup", may_be_unset, lookup=lookup))
            continue
        window = beside(hint, Window)
        if window is not None:
            try:
                window = checked_window(window, table, tables)
            except SchemaError as exc:
                raise TriggerError(
                    f"trigger {name!r}, parameter {parameter.name!r}: {exc}"
                ) from exc
            may_be_unset = takes_none(hint) or parameter.default is None
            found.append(Parameter(parameter.name, "window", may_be_unset, window=window))
            continue
        if component is not None and position == 0 and parameter.name in table.keys:
            raise TriggerError(
                f"{name}: the first parameter after self receives the component's state, but is called "
                f"{parameter.name!r} like a key; write (self, state, {parameter.name}, ...)."
            )
        if component is not None and position == 0:
            found.append(Parameter(parameter.name, "state", component=component))
        else:
            found.append(_parameter(name, parameter.name, hint, table, components))
            if parameter.default is None and found[-1].kind == "key":
                found[-1] = replace(found[-1], is_optional=True)
    return tuple(found)


def _parameter(
    trigger: str, name: str, hint: Any, table: Table, components: dict[type, str]
) -> Parameter:
    if name in ("row", "store") and name not in table.keys:
        return Parameter(name, typing.cast('Literal["row", "store"]', name))
    if isinstance(hint, type) and hint in components:
        if not components[hint]:
            raise TriggerError(
                f"trigger {trigger!r}: parameter {name!r} asks for the state of {hint.__name__}, but triggers= has several "
                f"of them. Make a subclass for each, and annotate with that."
            )
        return Parameter(name, "state", component=components[hint])
    if name not in table.keys and table.cls is Occurrence:
        raise TriggerError(
            f"trigger {trigger!r}: it runs on a schedule, so there is no row, and parameter {name!r} has no value: its "
            f"parameters are 'store: motion.View' and components."
        )
    if name not in table.keys:
        raise TriggerError(
            f"trigger {trigger!r}: parameter {name!r} is no key of table {table.name!r}, which has "
            f"{', '.join(table.keys)}; 'row', 'store', and a component of triggers=, by its class as annotation, "
            f"may be asked for too.{nearest(name, table.keys)}"
        )
    # What a deleted row lacks never comes, and cleaning up after it must not wait for that.
    return Parameter(name, "key", is_optional=table.is_event or takes_none(hint))


def _check_text(spec: TriggerSpec, table: Table) -> None:
    if not spec.grows_text:
        return
    if len(spec.sets) != 1 or table.keys[spec.sets[0]].codec.expected != "str":
        raise TriggerError(
            f"trigger {spec.name!r}: a generator without page= gives the parts of one text, so sets= is one key of type "
            f"str, not {', '.join(spec.sets)}. For items say page=, or return a list."
        )


MOST_KEYS = 100
"""A trigger's `on` keys: SQLite's functions take 127 values."""


def _check_combination(spec: TriggerSpec) -> None:
    def refuse(reason: str) -> None:
        raise TriggerError(f"trigger {spec.name!r}: {reason}")

    if spec.schedule and not all(p.kind in ("store", "state") for p in spec.parameters):
        refuse(
            "it runs on a schedule, so there is no row: its parameters are 'store: motion.View' and components."
        )
    if spec.schedule and (spec.batch or spec.has_when):
        refuse("it runs on a schedule, so there is no row: batch= and when= do not go with it.")
    if spec.event and spec.refresh != "never":
        refuse("it runs on an event, which is over: refresh= has nothing to refresh.")
    if spec.page and not spec.sets:
        refuse("page= lays out the result over pages, so sets= must name the key it goes to.")
    if spec.refresh not in REFRESHES:
        refuse(f"refresh={spec.refresh!r} is none of {', '.join(REFRESHES)}.")
    if spec.on_change not in (None, "backfill"):
        refuse(f"on_change={spec.on_change!r} is neither 'backfill' nor None.")
    if spec.on_change and spec.event:
        refuse("on_change= goes with keys: what ran on a schedule or a deletion is not run again.")
    if spec.is_versioned and not spec.is_columnar:
        refuse("refresh='before' needs sets= with keys of the same row, without page=.")
    if spec.is_versioned and (spec.discard_after_s is not None or spec.discard_beyond):
        refuse("refresh='before' needs every row's output, so none may be discarded.")
    if spec.is_versioned and "slot" in map(str.lower, spec.sets):
        refuse(
            "refresh='before' keeps outputs by a number called slot; give that key another name."
        )
    if spec.is_generator and (spec.batch or spec.sets_table or not spec.sets):
        refuse(
            "a generator gives pages (page=) or the parts of one text; batch= and tables do not go with it."
        )
    if spec.once:
        again = spec.once == "at_most" and (spec.retries or spec.batch)
        check_once(refuse, spec.sets or spec.sets_table, spec.event, spec.on_change, again)
    if spec.batch_wait_s is not None and not spec.batch:
        refuse("batch_wait= is how long a batch may take to fill, so it needs batch=.")
    if spec.memo and not (spec.sets or spec.sets_table):
        refuse("memo=True keeps results, so sets= must say where they go.")
    if spec.memo and (any(p.kind in ("row", "store") for p in spec.parameters)):
        refuse(
            "memo=True takes a result for equal parameters, which 'row' and 'store' are not; take the keys that it needs."
        )
    if (spec.lookups or spec.windows) and spec.event:
        refuse(
            "it runs on an event, which has no row that lookups and windows could be followed for; take 'store'."
        )
    if spec.memo and spec.is_generator:
        refuse("memo=True does not go with a generator, whose items go out as they come.")
    if spec.batch and spec.reads_row:
        refuse("batch= hands over columns, so 'row' and when= do not go with it.")
    if spec.executor == "process" and spec.is_async:
        refuse("executor='process' does not go with an async function, which waits beside others.")
    if spec.executor == "process" and spec.is_generator:
        refuse(
            "executor='process' does not go with a generator, whose items are passed on as they come; return a list."
        )
    if spec.inline and not spec.is_fusable:
        refuse(
            "inline=True needs a plain function of keys that sets keys of its own row: no store, row, when=, page=, "
            "batch=, async, retries, timeout, rate=, memo=, executor=, resources= or state."
        )
    overlap = set(spec.on) & set(spec.sets)
    if overlap:
        refuse(f"it would set {', '.join(sorted(overlap))}, which it runs on.")
    own = set(spec.inputs) & set(spec.sets)
    if own:
        refuse(
            f"it takes {', '.join(sorted(own))}, which it sets: what a run gives would depend on how often it ran. Keep "
            f"what it starts from in a key of its own, or read it with 'store: motion.View'."
        )
    if len(spec.on) > MOST_KEYS:
        refuse(f"on= names {len(spec.on)} keys, and takes at most {MOST_KEYS}.")
