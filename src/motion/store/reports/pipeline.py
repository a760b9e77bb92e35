"""The pipeline: what feeds what, as plain values that can be drawn. Read from the store, so it needs no user's code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from motion.backends.base import Transaction
from motion.definitions.fits import FitSpec
from motion.definitions.graph import Graph, outputs_of
from motion.definitions.tables.schema import Table, TableName, Tables
from motion.definitions.triggers.specs import TriggerSpec
from motion.persistence import stored_graph
from motion.persistence.counting import rows_about
from motion.persistence.database import Database
from motion.persistence.layout import Layout, rows_table
from motion.persistence.rows import noted

EdgeKind = Literal[
    "fires", "reads", "looks up", "holds", "searches", "sets", "uses", "labels", "fits"
]


@dataclass(frozen=True)
class PipelineKey:
    """A key of a table.

    Attributes:
        kind: what values it has, as the store notes it: "int", "str", "vector 512", "bytes", ...
        is_page: it is a page key.
        level: the page keys that tell its values apart, as far as this process has the table's schema.
        made_by: the trigger that sets it; None: it is given from outside.
        is_versioned: its values are kept once for each state version.
    """

    name: str
    kind: str
    is_page: bool = False
    level: tuple[str, ...] = ()
    made_by: str | None = None
    is_versioned: bool = False


@dataclass(frozen=True)
class PipelineTable:
    """A table with its keys, in the order of its schema."""

    name: str
    keys: tuple[PipelineKey, ...]


@dataclass(frozen=True)
class PipelineTrigger:
    """A trigger. Keys are written "table.key".

    Attributes:
        table: whose rows it runs on; of a schedule the empty text.
        on: the keys whose change runs it.
        reads: the keys of its row that it takes beside those.
        looks_up: the keys of other rows that it looks up.
        holds: the keys of other rows that its windows hold.
        searches: the keys that its code searches, as far as its text says so.
        sets: the keys that its result goes to.
        sets_table: the table whose rows it returns.
        page: the page key along which it lays out a list.
        schedule: when it runs by itself, to be read by people.
        on_deleted: the table whose deletions run it.
        component: that it is a method of.
        uses: the components whose state it takes, its own among them.
        refresh: what becomes of its outputs with a new state version: before, after or never.
        fingerprint: of its code.
        has_code: whether this process can run it.
    """

    name: str
    table: str
    on: tuple[str, ...]
    reads: tuple[str, ...]
    looks_up: tuple[str, ...]
    holds: tuple[str, ...]
    searches: tuple[str, ...]
    sets: tuple[str, ...]
    sets_table: str | None
    page: str | None
    schedule: str | None
    on_deleted: str | None
    component: str | None
    uses: tuple[str, ...]
    refresh: str
    batch: int | None
    concurrency: int
    fingerprint: str
    has_code: bool


@dataclass(frozen=True)
class PipelineFit:
    """A fit of a component: the keys that label it, and when it runs by itself."""

    name: str
    component: str
    table: str
    on: tuple[str, ...]
    every: int | None
    schedule: str | None


@dataclass(frozen=True)
class Edge:
    """What leads from one thing to another.

    Attributes:
        source, target: `key table.key`, `table name`, `trigger name`, `fit name` or `component name`.
        kind: "fires" (a change of the key runs it), "reads", "looks up", "holds" (in a window), "searches", "sets",
            "uses" (a component's state), "labels" (a key that makes a fit's labels), "fits".
    """

    source: str
    target: str
    kind: EdgeKind


@dataclass(frozen=True)
class Pipeline:
    """What a store is made of, and what feeds what; it holds no rows.

    Attributes:
        triggers: in the order in which they feed each other, as far as that is known here.
        components: the names of those that have a state.
    """

    name: str
    tables: tuple[PipelineTable, ...]
    triggers: tuple[PipelineTrigger, ...]
    fits: tuple[PipelineFit, ...]
    components: tuple[str, ...]

    @property
    def edges(self) -> tuple[Edge, ...]:
        """What leads from one to another, to be drawn."""
        found = [edge for each in self.triggers for edge in _edges_of(each)]
        found += [edge for each in self.fits for edge in _edges_of_fit(each)]
        return tuple(dict.fromkeys(found))


def _edges_of(trigger: PipelineTrigger) -> Iterator[Edge]:
    me = f"trigger {trigger.name}"
    kinds: Sequence[tuple[EdgeKind, Sequence[str]]] = (
        ("fires", trigger.on),
        ("reads", trigger.reads),
        ("looks up", trigger.looks_up),
        ("holds", trigger.holds),
        ("searches", trigger.searches),
    )
    for kind, keys in kinds:
        yield from (Edge(f"key {key}", me, kind) for key in keys)
    if trigger.on_deleted:
        yield Edge(f"table {trigger.on_deleted}", me, "fires")
    yield from (Edge(f"component {name}", me, "uses") for name in trigger.uses)
    yield from (Edge(me, f"key {key}", "sets") for key in trigger.sets)
    if trigger.sets_table:
        yield Edge(me, f"table {trigger.sets_table}", "sets")


def _edges_of_fit(fit: PipelineFit) -> Iterator[Edge]:
    yield from (Edge(f"key {key}", f"fit {fit.name}", "labels") for key in fit.on)
    yield Edge(f"fit {fit.name}", f"component {fit.component}", "fits")


def pipeline_of(database: Database) -> Pipeline:
    """Return what a store is made of; a few look-ups, however many rows it has."""
    with database.backend.read() as tx:
        specs, fits = stored_graph.active_specs(tx), stored_graph.active_fits(tx)
        tables = _tables(tx, database.graph, specs)
        components = {*database.code.components, *stored_graph.active_components(tx)}
    order = dict.fromkeys([*database.graph.order, *specs])
    return Pipeline(
        database.name,
        tables,
        tuple(_trigger(specs[name], database) for name in order if name in specs),
        tuple(_fit(fit) for fit in fits),
        tuple(sorted(components)),
    )


def _tables(
    tx: Transaction, graph: Graph, specs: Mapping[str, TriggerSpec]
) -> tuple[PipelineTable, ...]:
    makers = {made: spec for spec in specs.values() for made in outputs_of(spec)}
    found = []
    for name, signature in stored_graph.signatures(tx).items():
        keys = []
        for key, kind in signature.items():
            spec = makers.get((name, key))
            keys.append(
                PipelineKey(
                    key,
                    kind.removeprefix("page "),
                    kind.startswith("page "),
                    tuple(sorted(graph.levels.get(name, {}).get(key, ()))),
                    spec.name if spec else None,
                    spec is not None and spec.is_versioned,
                )
            )
        found.append(PipelineTable(name, tuple(keys)))
    return tuple(found)


def _trigger(spec: TriggerSpec, database: Database) -> PipelineTrigger:
    is_event = spec.event is not None
    own = [name for name in spec.inputs if name not in spec.on]
    own += [name for name in spec.looked_up_by if name not in own]
    on, reads = (*spec.on, *spec.looked_up_by), [n for n in own if n not in spec.looked_up_by]
    if spec.fold is not None:
        on = tuple(dict.fromkeys((*spec.fold.on, spec.fold.by)))
        reads = [key for key in (*spec.fold.inputs, spec.fold.order) if key not in (*on, "id")]
    return PipelineTrigger(
        name=spec.name,
        table="" if spec.schedule else spec.source,
        on=() if is_event else _named(spec.source, on),
        reads=() if is_event else _named(spec.source, reads),
        looks_up=tuple(each.key for each in spec.lookups),
        holds=tuple(dict.fromkeys(key for each in spec.windows for key in each.keys)),
        searches=spec.searches,
        sets=tuple(f"{table}.{key}" for table, key in outputs_of(spec)),
        sets_table=spec.sets_table,
        page=spec.page,
        schedule=str(spec.schedule) if spec.schedule else None,
        on_deleted=spec.deleted,
        component=spec.component,
        uses=spec.components,
        refresh=spec.refresh,
        batch=spec.batch,
        concurrency=spec.concurrency,
        fingerprint=spec.fingerprint,
        has_code=database.has_code(spec),
    )


def _named(table: str, keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{table}.{key}" for key in keys)


def _fit(fit: FitSpec) -> PipelineFit:
    return PipelineFit(
        fit.name,
        fit.component,
        fit.table,
        _named(fit.table, fit.on),
        fit.every,
        str(fit.schedule) if fit.schedule else None,
    )


class RowCount(NamedTuple):
    """About how many rows a table has.

    Attributes:
        is_exact: they were counted.
    """

    rows: int
    is_exact: bool


def row_count(database: Database, table: TableName) -> RowCount:
    """Return about how many rows a table has, also one that this process has no schema for."""
    with database.backend.read() as tx:
        if isinstance(table, str) and table not in database.tables:
            known = noted.noted_table(tx, table)
            if known is not None:
                return RowCount(*rows_about(tx, rows_table(table), _row_column(known)))
        layout = database.layout(table)
        return RowCount(*rows_about(tx, layout.base, layout.row_column))


def _row_column(table: Table) -> str:
    """Return what numbers the rows of a table, whatever triggers there are."""
    return Layout(table, Graph(Tables({}), ())).row_column
