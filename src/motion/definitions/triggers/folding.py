"""Folding: `@motion.fold` as a user writes it, held against the tables and turned into data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from motion.definitions.functions.fingerprints import fingerprint_of
from motion.definitions.functions.signatures import (
    check_parameter,
    each_takes_none,
    hints_of,
    is_async,
    signature_of,
    takes_none,
)
from motion.definitions.tables.schema import Key, Table, Tables
from motion.definitions.triggers.declarations import Declaration, Function, declare, marking
from motion.definitions.triggers.events import entity_table
from motion.definitions.triggers.folds import Fold, FoldOptions, OverRows, OverRowsAsync
from motion.definitions.triggers.options import (
    AWAY,
    OnChange,
    Place,
    Resources,
    check_number,
    in_brackets,
)
from motion.definitions.triggers.parameters import Parameter
from motion.definitions.triggers.specs import Trigger, TriggerSpec
from motion.errors import SchemaError, TriggerError, nearest, shortened


@in_brackets
def fold(
    *,
    on: str | Sequence[str],
    by: str,
    sets: str,
    order: str | None = None,
    gather: int | None = None,
    replay: bool = True,
    name: str | None = None,
    retries: int = 0,
    timeout: float | None = None,
    concurrency: int | None = None,
    priority: int | None = None,
    version: str | None = None,
    on_change: OnChange | None = None,
    rate: str | None = None,
    executor: Place | None = None,
    resources: Resources | None = None,
    needs: str | Sequence[str] = (),
) -> Callable[[Function], Function]:
    """Declare a function as a fold: it keeps a value per entity, of the entity's rows in order.

    The function takes the value so far, by the name of the key that it is kept in, and keys of one row; it returns the
    value with that row. It starts from None. A row that comes late, changes, moves or goes has the rows after it folded
    again; one that is appended costs one call.

    Args:
        on: the key or keys ("table.key") whose change folds a row; a row where one is unset is not folded.
        by: the key of the same table that names the row's entity; of a table with page keys also its id.
        sets: the key of the row whose id that is (it is made if it is not there); or a key of the folded rows
            themselves, which then keep the value as of each row.
        order: the key by which an entity's rows are ordered, `ts` where left out, or else their id. Rows of one order
            are ordered by id, then by their pages; texts by code point.
        gather: hand over up to this many rows of one entity at once, as a list for each key. The function must give the
            same however they are cut.
        replay: False, for calls that cost money: each row is applied once, in the order of arrival, and none is folded
            again. An entity of which an applied row changes, moves or goes counts as stale, until `backfill` folds all
            of its rows again, in their order.
        concurrency: entities whose calls are under way at once; 1 for plain functions and 32 for async ones where left
            out. Calls of one entity are one at a time.
        name, retries, timeout, priority, version, on_change, rate, executor, resources, needs: as for `motion.trigger`. A row
            that is given up is left out.

    Raises:
        TriggerError: an option is out of its range.
    """
    if not (isinstance(by, str) and isinstance(sets, str) and isinstance(order, str | None)):
        raise TriggerError(
            f"motion.fold takes one key each as by=, sets= and order=, not {shortened(by)}, {shortened(sets)} and {shortened(order)}."
        )
    if not isinstance(on, str | list | tuple):
        raise TriggerError(f"motion.fold runs on keys of rows; on= takes no {type(on).__name__}.")
    if gather is not None:
        check_number("gather", gather, 1)
    if isinstance(priority, str):
        raise TriggerError(
            f"priority={shortened(priority)} of a fold: it is a number. A run is of an entity, whose rows may have several values "
            f"of a key."
        )
    if not isinstance(replay, bool):
        raise TriggerError(f"replay={shortened(replay)} of a fold: it is True or False.")
    declaration = declare(
        on=on, sets=sets, name=name, retries=retries, timeout=timeout, concurrency=concurrency, priority=priority,
        version=version, on_change=on_change, rate=rate, executor=executor, resources=resources, needs=needs,
        fold=FoldOptions(by, order, gather, replay),
    )  # fmt: skip
    return marking(declaration)


def bind_fold(function: Callable[..., Any], declaration: Declaration, tables: Tables) -> Trigger:
    """Hold a fold's declaration against the tables.

    Raises:
        TriggerError, SchemaError: naming the fold, what does not fit, and the nearest name.
    """
    name = str(declaration.name or getattr(function, "__name__", "") or "")
    if not name:
        raise TriggerError(f"{shortened(function)} has no name; give its fold one with name=.")
    try:
        fold = _fold_of(function, declaration, tables)
    except SchemaError as exc:
        raise TriggerError(f"fold {name!r}: {exc}") from exc
    waits, kept = is_async(function), tables.get(fold.target).keys[fold.sets]
    over = (OverRowsAsync if waits else OverRows)(
        function, fold.arguments.index(fold.sets), kept, fold.gather
    )
    spec = TriggerSpec(
        **declaration.kept(is_async=waits),
        name=name,
        table=entity_table(name, tables.get(fold.source).keys[fold.by]).name,
        on=("id",),
        parameters=(Parameter("rows", "rows"),),
        sets=(),
        sets_table=None,
        fingerprint=fingerprint_of(function, declaration.version, fold.told),
        is_async=waits,
        fold=fold,
    )
    if spec.is_async and spec.executor in AWAY:
        raise TriggerError(
            f"fold {name!r}: executor={spec.executor!r} does not go with an async function, which waits beside others."
        )
    return Trigger(spec, over)


def _fold_of(function: Callable[..., Any], declaration: Declaration, tables: Tables) -> Fold:
    assert declaration.fold is not None
    assert isinstance(declaration.on, tuple)
    on = [tables.key(path) for path in declaration.on]
    by = tables.key(declaration.fold.by)
    source, key = tables.get(on[0].table), tables.key(declaration.sets[0])
    target = tables.get(key.table)
    _check_keys(on, by, source)
    if key.name == "id" or key.is_page:
        raise SchemaError(
            f"sets= names {target.name}.{key.name}, which is part of the primary key."
        )
    is_apart = bool(target.declared_levels()[key.name])
    is_of_rows = target is source and (by.name != "id" or is_apart)
    if not is_of_rows:
        _check_target(key, target)
    order = _order_of(declaration.fold.order, source)
    if target is not source and by.codec.sql_type != target.keys["id"].codec.sql_type:
        raise SchemaError(
            f"by= names {by.table}.{by.name}, which is {by.codec.expected}, and an id of {target.name!r} is "
            f"{target.keys['id'].codec.expected}; it names the row that the value is kept in."
        )
    if is_of_rows and declaration.fold.gather is not None:
        raise SchemaError(
            "gather= makes one value of several rows, and sets= asks for the value as of each of them."
        )
    arguments, optional = _arguments(
        function, source, key, is_gathered=bool(declaration.fold.gather)
    )
    fold = Fold(
        source.name, tuple(each.name for each in on), by.name, order, target.name, key.name, arguments,
        optional, declaration.fold.gather, declaration.fold.replay, source.page_keys,
        is_of_entity=target is source and not is_of_rows,
    )  # fmt: skip
    if key.name in fold.watched and target is source:
        raise SchemaError(f"it would set {key.name}, which it runs on.")
    return fold


def _check_keys(on: Sequence[Key], by: Key, source: Table) -> None:
    for key in (*on, by):
        if key.table != source.name:
            raise SchemaError(
                f"on= and by= name keys of several tables ({source.name!r} and {key.table!r}); they must be of one."
            )
        is_of_pages = key is by and key.name == "id" and source.page_keys
        if key.is_page or (key.name == "id" and not is_of_pages):
            raise SchemaError(f"it names {key.table}.{key.name}, which is part of the primary key.")
    if by.codec.sql_type not in ("INTEGER", "TEXT"):
        raise SchemaError(
            f"by= names {by.table}.{by.name}, which is {by.codec.expected}; entities are told apart by an int or a str."
        )


def _check_target(key: Key, target: Table) -> None:
    apart = target.declared_levels()[key.name]
    if apart:
        raise SchemaError(
            f"sets= names {target.name}.{key.name}, which {' and '.join(sorted(apart))} tells apart: a fold has one value for "
            f"each id. Declare the key before its page keys, so that all pages have the value of page 0."
        )


def _order_of(order: str | None, source: Table) -> str:
    if order is None:
        return "id" if source.timestamp_key is None else source.timestamp_key.name
    key = source.key(order.removeprefix(f"{source.name}."))
    key.check_order()
    return key.name


def _arguments(
    function: Callable[..., Any], source: Table, value: Key, *, is_gathered: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return a fold's parameters, and those of them that may be unset."""
    hints = hints_of(function, {})
    names, optional = [], []
    for parameter in signature_of(value.name, function).parameters.values():
        check_parameter(value.name, parameter)
        hint = hints.get(parameter.name, Any)
        is_list = is_gathered and parameter.name != value.name
        takes = each_takes_none if is_list else takes_none
        may_be_none = takes(hint) or parameter.default is None
        names.append(parameter.name)
        if parameter.name == value.name:
            if not may_be_none and parameter.name in hints:
                raise SchemaError(
                    f"parameter {value.name!r} is None for an entity's first row; annotate it '| None'."
                )
        elif parameter.name not in source.keys:
            raise SchemaError(
                f"parameter {parameter.name!r} is no key of {source.name!r}, whose rows are folded: it takes such keys, and "
                f"{value.name!r} for the value so far.{nearest(parameter.name, source.keys)}"
            )
        elif may_be_none:
            optional.append(parameter.name)
    if value.name not in names:
        raise SchemaError(
            f"no parameter is called {value.name!r}, which receives the value so far: None for the first row."
        )
    return tuple(names), tuple(optional)
