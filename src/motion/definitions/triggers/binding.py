"""Binding: what a declaration means for the tables of a store, with all that can be wrong about it refused."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

from motion.definitions.functions.fingerprints import fingerprint_of
from motion.definitions.functions.reading import Reading, read
from motion.definitions.functions.signatures import (
    beside,
    check_beside,
    check_parameter,
    each_takes_none,
    element_of,
    elements_take_none,
    hints_of,
    signature_of,
    takes_none,
)
from motion.definitions.functions.signatures import is_async as is_async_function
from motion.definitions.tables.lookups import Lookup
from motion.definitions.tables.schema import Table, Tables
from motion.definitions.tables.windows import Window
from motion.definitions.triggers.declarations import Declaration
from motion.definitions.triggers.delays import After, key_of
from motion.definitions.triggers.elsewhere import checked
from motion.definitions.triggers.events import Deleted, Occurrence, event_table
from motion.definitions.triggers.options import Refresh, check_refusals
from motion.definitions.triggers.parameters import Parameter, elsewhere_of
from motion.definitions.triggers.schedules import Schedule
from motion.definitions.triggers.specs import Trigger, TriggerSpec
from motion.definitions.values.codecs import BoolCodec, EnumCodec, FloatCodec, IntCodec
from motion.errors import SchemaError, TriggerError, nearest, shortened


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
        raise TriggerError(f"{shortened(function)} has no name; give its trigger one with name=.")
    name = f"{component}.{name}" if component else name
    event = declaration.on if isinstance(declaration.on, Schedule | Deleted) else None
    try:
        table, on = _source(name, declaration, tables)
        sets_table, sets = _outputs(declaration, table, tables)
    except SchemaError as exc:
        raise TriggerError(f"trigger {name!r}: {exc}") from exc
    is_batch = declaration.batch is not None
    parameters = _parameters(name, function, table, tables, components, component, is_batch)
    is_async = inspect.isasyncgenfunction(function) or is_async_function(function)
    rows = [] if table.is_noted else [table.cls]
    takes_row = any(each.kind == "row" for each in parameters)
    reading = read(function, *(rows if takes_row else []))
    spec = TriggerSpec(
        **declaration.kept(is_async=is_async)
        | {
            "page": _page_of(name, declaration, table),
            "priority": _priority_of(name, declaration.priority, table),
            "refresh": _refresh_of(declaration, component, table, sets),
            "serial_by": _serial_by(name, declaration, table),
        },
        name=name,
        table=table.name,
        on=on,
        parameters=parameters,
        sets=sets,
        sets_table=sets_table,
        fingerprint=_fingerprint_of(
            function, declaration, (on, sets, sets_table), component, parameters, reading, rows
        ),
        is_async=is_async,
        is_generator=inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function),
        component=component,
        has_when=declaration.when is not None,
        schedule=event if isinstance(event, Schedule) else None,
        after_ms=declaration.on.delay_ms if isinstance(declaration.on, After) else None,
        deleted=tables.get(event.table).name if isinstance(event, Deleted) else None,
        searches=tuple(dict.fromkeys(reading.searches)),
    )
    check_refusals(spec)
    _check_text(spec, table)
    return Trigger(spec, function, declaration.when)


def _fingerprint_of(
    function: Callable[..., Any],
    declaration: Declaration,
    ends: tuple[tuple[str, ...], tuple[str, ...], str | None],
    component: str | None,
    parameters: Sequence[Parameter],
    reading: Reading,
    rows: Sequence[type],
) -> str:
    """Return what names the code, and what of the declaration its results depend on."""
    on, sets, sets_table = ends
    what = (
        declaration.on if isinstance(declaration.on, After) else on,
        sets,
        sets_table,
        declaration.page,
        component,
        *elsewhere_of(parameters),
        *([] if declaration.serial_by is None else [f"serial_by {declaration.serial_by}"]),
        *(["follow"] if declaration.follow else []),
    )
    return fingerprint_of(
        function, declaration.version, repr(what), declaration.when, reading, rows
    )


def _source(name: str, declaration: Declaration, tables: Tables) -> tuple[Table, tuple[str, ...]]:
    """Return the table whose rows it runs on, and the keys whose change runs it."""
    if isinstance(declaration.on, Schedule | Deleted):
        return event_table(name, declaration.on, tables), ("id",)
    if isinstance(declaration.on, After):
        key = key_of(declaration.on, tables)
        return _keys_of_one_table((f"{key.table}.{key.name}",), tables, "on")
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


def _serial_by(name: str, declaration: Declaration, table: Table) -> str | None:
    if declaration.serial_by is None:
        return None
    if table.is_event or isinstance(declaration.on, After):
        raise TriggerError(
            f"trigger {name!r}: serial_by= is about rows whose runs would begin at one time, which events, and what runs "
            f"a while after a row's time, do not go with."
        )
    try:
        key = table.key(declaration.serial_by.removeprefix(f"{table.name}."))
    except SchemaError as exc:
        raise TriggerError(f"trigger {name!r}: serial_by={declaration.serial_by!r}: {exc}") from exc
    if key.is_array or key.name == "id":
        raise TriggerError(
            f"trigger {name!r}: serial_by={declaration.serial_by!r} is {key.codec.expected}, and takes a key that several rows "
            f"have equal values of."
        )
    return key.name


def _parameters(
    name: str,
    function: Callable[..., Any],
    table: Table,
    tables: Tables,
    components: dict[type, str],
    component: str | None,
    is_batch: bool,
) -> tuple[Parameter, ...]:
    """Return what a function takes."""
    takes = each_takes_none if is_batch else takes_none  # a row without a value
    hints = hints_of(function, components)
    found = []
    for position, parameter in enumerate(signature_of(name, function).parameters.values()):
        check_parameter(name, parameter)
        hint = hints.get(parameter.name, Any)
        try:
            check_beside(hint, Lookup, Window)
            has_gaps = elements_take_none(element_of(hint) if is_batch else hint)
            declared = beside(hint, Lookup) or beside(hint, Window)
            elsewhere = checked(declared, table, tables, has_gaps=has_gaps)
        except SchemaError as exc:
            raise TriggerError(f"trigger {name!r}, parameter {parameter.name!r}: {exc}") from exc
        if elsewhere is not None:
            may_be_unset = takes(hint) or parameter.default is None
            found.append(Parameter.of(parameter.name, elsewhere, is_optional=may_be_unset))
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
            if found[-1].kind == "key" and (takes(hint) or parameter.default is None):
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
    return Parameter(name, "key", is_optional=table.is_event)


def _check_text(spec: TriggerSpec, table: Table) -> None:
    if not spec.grows_text:
        return
    if len(spec.sets) != 1 or table.keys[spec.sets[0]].codec.expected != "str":
        raise TriggerError(
            f"trigger {spec.name!r}: a generator without page= gives the parts of one text, so sets= is one key of type "
            f"str, not {', '.join(spec.sets)}. For items say page=, or return a list."
        )
