"""The catalog: which tables, triggers and components a store has, and the database objects that they need.

Owns the format of everything on disk. Opening a store is one transaction: the catalog afterwards fits the schemas and
the triggers given, or nothing was changed.
"""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

from motion.backends.base import Transaction
from motion.definitions.fits import FitSpec
from motion.definitions.graph import Graph
from motion.definitions.rules import checked
from motion.definitions.tables.schema import Key, Table, Tables
from motion.definitions.triggers.folds import Fold
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import VectorCodec
from motion.definitions.values.decoders import from_json
from motion.persistence.changes import reads
from motion.persistence.ddl import _add_columns, open_system, open_table
from motion.persistence.inputs.applied import apply_none, go_on, take_over
from motion.persistence.inputs.folds import forget_entities, note_entities
from motion.persistence.layout import Layout, marks_rows, outputs_table, quoted
from motion.persistence.limits import check_table_name, check_trigger_names
from motion.persistence.numbers import last_number, note_new_graph
from motion.persistence.remedies import mismatch
from motion.persistence.rows.formerly import note_former_rows
from motion.persistence.rows.handovers import note_hand_overs
from motion.persistence.rows.ids import check_stored_ids
from motion.persistence.rows.levels import check_levels
from motion.persistence.rows.noted import with_noted
from motion.persistence.rows.provenance import disown_since
from motion.persistence.stored_graph import (
    active_specs,
    decoded_specs,
    disown,
    known_triggers,
    missed_changes,
    note_code_before,
    note_other_keys,
    overlooking,
    read_graph,
    signatures,
    text_of,
)
from motion.persistence.table_ddl import TableDdl
from motion.persistence.tasks import delayed, schedules
from motion.persistence.tasks.discards import note_dropped
from motion.persistence.tasks.queue import wake_all

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opened:
    """A graph in force.

    Attributes:
        before: the triggers that were in force until now.
        back: those of the graph that were not, and have missed changes.
    """

    graph: Graph
    before: Sequence[str]
    back: frozenset[str]


def open_catalog(
    tx: Transaction,
    tables: Tables,
    graph: Graph,
    of_schemas: Sequence[TriggerSpec] = (),
    *,
    replace_graph: bool,
) -> Opened:
    """Make the database fit `tables` and `graph`, and return the graph in force.

    Args:
        of_schemas: the triggers that keep what keys are declared as, which are in force whatever the others are.
        replace_graph: the triggers given replace the stored ones; otherwise the stored ones are kept and returned.

    Raises:
        SchemaMismatch: a stored table differs in a way that would lose or reinterpret data.
        InvalidValue: an id in a table leaves no room for a state version beside it, and outputs are to be kept so.
        StoreUnavailable: the store was made by a newer version of Motion.
    """
    open_system(tx)
    stored, last, active = signatures(tx), last_number(tx), active_specs(tx)
    former = known_triggers(tx)
    specs = graph.triggers.values() if replace_graph else former.values()
    take_sizes(tx, tables, specs)
    for table in tables:
        check_table_name(table, stored)
        _check_signature(table, stored.get(table.name), former)
    if replace_graph:
        check_trigger_names(tx, graph)
        note_former_rows(tx, graph, former, stored)
        note_hand_overs(tx, graph, former, active, last)
        note_code_before(tx, former, graph.triggers.values())
        _store_graph(tx, graph)
        reads.forget_others(tx, graph)
    else:
        graph = _with(tx, read_graph(tx, with_noted(tx, tables)), of_schemas)
    check_levels(tx, tables, graph)
    _note_refs(tx, tables)
    back = missed_changes(tx, graph, active, last)
    overlooked = {name: graph.triggers[name].fingerprint for name in overlooking(graph, former)}
    for name, current in (overlooked | dict.fromkeys(back, "")).items():
        fold = graph.triggers[name].fold
        if fold is None or fold.replay:  # one that applies each row once goes on from its values
            disown(tx, name, last, but=current)
    _disown_takers(tx, graph, active, back, last)
    for table in graph.tables:
        if table.is_event:
            open_own_table(tx, Layout(table, graph))
        elif not table.is_noted:
            layout = Layout(table, graph)
            open_table(tx, layout, stored.get(table.name))
            check_stored_ids(tx, layout)
    return Opened(graph, list(active), frozenset(back))


def _disown_takers(
    tx: Transaction,
    graph: Graph,
    active: Container[str],
    back: Mapping[str, int],
    last: int,
) -> None:
    """Let what was made of keys that are kept by version, while their trigger was away, count as made by other code: it was given
    them as unset. Its return is no change that would make anything due."""
    for name, since in back.items():
        maker = graph.triggers[name]
        for taker in graph.takers_of(maker) if maker.is_versioned else ():
            if taker.name in active and taker.fold is None:
                # Marks of versions are as of the change of the row's own input, whatever else they were made anew for.
                first = 0 if taker.is_versioned else since
                disown_since(tx, Layout(graph.tables.get(taker.table), graph), taker, first, last)


def _note_refs(tx: Transaction, tables: Tables) -> None:
    """Note which keys name rows that their own rows go with, for processes without these tables."""
    for table in tables:
        tx.execute("DELETE FROM motion_refs WHERE name = ?", (table.name,))
        for key in table.keys.values():
            if key.ref and key.ref.delete:
                sql = "INSERT INTO motion_refs (name, key, target) VALUES (?, ?, ?)"
                tx.execute(sql, (table.name, key.name, tables.get(key.ref.table).name))


def _with(tx: Transaction, graph: Graph, specs: Sequence[TriggerSpec]) -> Graph:
    """Return the stored graph with further triggers, and keep them."""
    fresh = [spec for spec in specs if graph.triggers.get(spec.name) != spec]
    if not fresh:
        return graph
    names = {spec.name for spec in fresh}
    others = [spec for name, spec in graph.triggers.items() if name not in names]
    kept = graph.made_before, graph.handed_over
    whole = checked(Graph(graph.tables, [*others, *fresh], graph.fits.values(), *kept))
    note_code_before(tx, known_triggers(tx), fresh)
    _keep_specs(tx, "motion_triggers", fresh)
    note_new_graph(tx)
    return whole


def take_name(tx: Transaction, name: str) -> str | None:
    """Keep a store's name where it has none yet; return the one that was there. None: there was none."""
    open_system(tx)
    found = tx.execute("SELECT name FROM motion_clock").fetchone()[0]
    if found is None:
        tx.execute("UPDATE motion_clock SET name = ?", (name,))
    return None if found is None else str(found)


def forget_name(tx: Transaction) -> None:
    """Let a copy be opened under any name."""
    tx.execute("UPDATE motion_clock SET name = NULL")


def take_sizes(tx: Transaction, tables: Tables, specs: Iterable[TriggerSpec]) -> None:
    """Take in which lengths the vectors of older state versions have: the size of a vector belongs to the version."""
    for name, signature in signatures(tx).items():
        for key, kind in signature.items() if name in tables else ():
            codec = tables.get(name).keys[key].codec if key in tables.get(name).keys else None
            if isinstance(codec, VectorCodec) and kind.startswith("vector "):
                codec.former = frozenset(map(int, kind.split()[1:])) - {codec.dim}
    for spec in specs:
        if spec.is_versioned and spec.table in tables:
            for key in spec.sets:
                held = tables.get(spec.table).keys.get(key)
                if held is not None and isinstance(held.codec, VectorCodec):
                    held.codec.is_by_version = True
                    held.codec.former = _sizes_kept(tx, spec, key, held.codec.former)


def _sizes_kept(
    tx: Transaction, spec: TriggerSpec, key: str, former: frozenset[int]
) -> frozenset[int]:
    """Return those of former lengths that a vector still has. Reads the outputs where there are any."""
    table = outputs_table(spec.name)
    present = tx.columns(table) if former else ()
    if key not in present:
        return former
    sql = f"SELECT 1 FROM {table} WHERE LENGTH({quoted(key)}) = ? LIMIT 1"
    return frozenset(size for size in former if tx.execute(sql, (4 * size,)).fetchone())


def _check_signature(
    table: Table, stored: Mapping[str, str] | None, known: Mapping[str, TriggerSpec]
) -> None:
    differences = {
        name: difference
        for name, kind in (stored or {}).items()
        if (difference := _difference(table.keys.get(name), kind))
    }
    differences |= {
        name: "is a new page key, which changes what names a row"
        for name, key in table.keys.items()
        if stored is not None and name not in stored and key.is_page
    }
    if differences:
        raise mismatch(table, stored or {}, differences, known)


def _difference(key: Key | None, stored: str) -> str | None:
    """Return what keeps a key's stored values from being read, None where nothing does."""
    if key is None:
        return f"({stored}) is gone"
    kind = stored.removeprefix("page ")
    if key.is_page != stored.startswith("page "):
        return "was a page key and is none now" if kind != stored else "is a page key now"
    return key.codec.difference(kind)


def open_own_table(tx: Transaction, layout: Layout) -> None:
    tx.execute(TableDdl(layout).create_events())
    _add_columns(tx, layout)
    if any(spec.fold for spec in layout.graph.of_table(layout.table.name)):
        tx.execute(TableDdl(layout).create_entities())


def _tell_changed_code(before: dict[str, str], graph: Graph) -> None:
    """Say which triggers' code differs from what the store knew: their values stay as they are until a backfill, or until
    another state version makes them."""
    for name, spec in graph.triggers.items():
        known = before.get(name)
        if known is None or spec.event or spec.on_change == "backfill":
            continue
        if from_json(known, TriggerSpec).fingerprint != spec.fingerprint:
            makes_anew = spec.component and spec.refresh != "never"
            logger.warning(
                "the code of trigger %s has changed; values that it made before stay until store.backfill(%r)%s",
                name,
                name,
                f", or until another version of {spec.component} is live" if makes_anew else "",
            )


def _store_graph(tx: Transaction, graph: Graph) -> None:
    before = [
        tx.execute(f"SELECT name, spec FROM {table} WHERE is_active = 1 ORDER BY name").fetchall()
        for table in GRAPH
    ]
    _replace_specs(tx, "motion_triggers", graph.triggers.values())
    _replace_specs(tx, "motion_fits", graph.fits.values())
    scheduled: list[TriggerSpec | FitSpec] = [*graph.triggers.values(), *graph.fits.values()]
    delayed.keep(tx, graph.triggers.values(), graph.tables)
    schedules.keep(tx, {spec.name: spec.schedule for spec in scheduled if spec.schedule})
    after = [
        tx.execute(f"SELECT name, spec FROM {table} WHERE is_active = 1 ORDER BY name").fetchall()
        for table in GRAPH
    ]
    _tell_changed_code(dict(before[0]), graph)
    if before != after:
        note_new_graph(tx)
        wake_all(tx)  # what blocked tasks wait for may be a trigger that is gone
    components = {spec.component for spec in graph.triggers.values()} | {
        fit.component for fit in graph.fits.values()
    }
    for name in components - {None}:
        tx.execute(
            "INSERT INTO motion_components (name) VALUES (?) ON CONFLICT DO NOTHING", (name,)
        )
    _tell_renamed(tx, graph, {name for name in components if name is not None})


def _tell_renamed(tx: Transaction, graph: Graph, components: set[str]) -> None:
    """Say where a component that has no version sets what one that is gone has set: perhaps it has another name now, and
    its versions, with their vectors, stay behind."""
    counts = dict(tx.execute("SELECT component, COUNT(*) FROM motion_states GROUP BY component"))
    gone = [
        spec
        for spec in decoded_specs(
            tx, "SELECT spec FROM motion_triggers WHERE is_active = 0", TriggerSpec
        )
        if spec.component in counts.keys() - components
    ]
    for new in sorted(components - counts.keys()):
        for old in sorted({spec.component or "" for spec in gone}):
            was = {
                (s.sets_table or s.table, key) for s in gone if s.component == old for key in s.sets
            }
            own = [spec for spec in graph.triggers.values() if spec.component == new]
            sets = {(spec.sets_table or spec.table, key) for spec in own for key in spec.sets}
            if was & sets:
                logger.warning(
                    "component %s is new to this store and sets %s, as %s did, which is not among the triggers now: its "
                    "%d version(s), their labels and the vectors that they made stay behind. If it is the same one under "
                    "another name, 'motion migrate STORE --rename-component %s=%s' gives them to it; or declare "
                    'class %s(motion.Component, name="%s") and open the store again',
                    new, ", ".join(sorted(f"{table}.{key}" for table, key in was & sets)), old, counts[old], old, new, new, old,
                )  # fmt: skip


GRAPH = ("motion_triggers", "motion_fits")


def _replace_specs(
    tx: Transaction, table: str, specs: Iterable[TriggerSpec] | Iterable[FitSpec]
) -> None:
    tx.execute(f"UPDATE {table} SET is_active = 0 WHERE is_active = 1")
    _keep_specs(tx, table, specs)


def _keep_specs(
    tx: Transaction, table: str, specs: Iterable[TriggerSpec] | Iterable[FitSpec]
) -> None:
    for spec in specs:
        tx.execute(
            f"INSERT INTO {table} (name, spec, is_active) VALUES (?, ?, 1) "
            f"ON CONFLICT (name) DO UPDATE SET spec = excluded.spec, is_active = 1",
            (spec.name, text_of(spec)),
        )


def open_folds(
    tx: Transaction,
    graph: Graph,
    before: Mapping[str, TriggerSpec],
    active: Container[str],
    back: Container[str],
) -> None:
    """Note the entities of rows that were there before their fold, or before it went over them in another way: a later row
    of one has all of them folded. One that applies each row once goes on from its values.

    Args:
        before: the triggers that the store knew until now.
        active: those of them that were in force.
        back: the triggers that were away while rows were written.
    """
    for spec in graph.triggers.values():
        fold, known = spec.fold, before.get(spec.name)
        is_same = known is not None and known.fold == fold
        if fold is None or (is_same and spec.name not in back):
            continue
        source = Layout(graph.tables.get(fold.source), graph)
        entities = Layout(graph.tables.get(spec.table), graph)
        was, is_active = known.fold if known else None, spec.name in active
        if is_same and fold.replay:  # what it has made is disowned, and so made from its first row
            note_entities(tx, source, entities, spec)
            continue
        if was is not None and was.place == fold.place and not fold.replay:
            if not was.replay and not is_active:
                go_on(tx, source, entities, spec)
                note_dropped(tx, spec.name)  # what it has missed
            elif was.replay and is_active:
                take_over(tx, source, entities, spec)
            if not was.replay or is_active:
                continue
        if known is not None:
            disown(tx, spec.name, last_number(tx))
            if not _has_set(known, fold):
                note_other_keys(tx, spec.name)
        forget_entities(tx, entities, spec)
        open_own_table(tx, entities)
        note_entities(tx, source, entities, spec)
        if not fold.replay:
            apply_none(tx, source, spec)


def _has_set(known: TriggerSpec, fold: Fold) -> bool:
    """Whether former code under a fold's name has set the key that the fold sets."""
    if known.fold is not None:
        return (known.fold.target, known.fold.sets) == (fold.target, fold.sets)
    return marks_rows(known) and known.table == fold.target and fold.sets in known.sets
