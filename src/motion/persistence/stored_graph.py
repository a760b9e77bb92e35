"""The stored graph: what is kept of schemas, triggers and fits, by whoever opened the store last."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import msgspec

from motion.backends.base import Transaction
from motion.definitions.fits import FitSpec
from motion.definitions.graph import Graph, Span
from motion.definitions.tables.lookups import Lookup
from motion.definitions.tables.schema import Tables
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.decoders import from_json
from motion.errors import SchemaMismatch, TriggerError, UnknownTable
from motion.persistence.layout import ORIGIN_MASK
from motion.persistence.numbers import graph_number, last_number
from motion.persistence.ranges import places

T = TypeVar("T")

UNTIL = " until "
"""Stands in an origin between the code's fingerprint and the last change before its trigger was known to be back."""

OF_OTHER_KEYS = " of other keys"
"""Stands at the end of such an origin where the trigger sets other keys by now."""

FINGERPRINT_LENGTH = 16


def active_triggers(tx: Transaction) -> list[str]:
    return [
        str(row[0]) for row in tx.execute("SELECT name FROM motion_triggers WHERE is_active = 1")
    ]


def read_graph(tx: Transaction, tables: Tables) -> Graph:
    """Return the graph kept in the store.

    Args:
        tables: all of the store, those without a schema here as they are noted.

    Raises:
        SchemaMismatch: a trigger goes by keys that are not known here, so that writing without them would lose what it does.
        UnknownTable: it is on a table of which nothing can be told.
    """
    specs = decoded_specs(tx, "SELECT spec FROM motion_triggers WHERE is_active = 1", TriggerSpec)
    fits = decoded_specs(tx, "SELECT spec FROM motion_fits WHERE is_active = 1", FitSpec)
    # A trigger whose rows go to a table that is not known here is fired all the same: who knows it runs it.
    known = [spec for spec in specs if spec.schedule or spec.source in tables]
    for spec in specs:
        _check_known(tables, spec)
    of_tables = [fit for fit in fits if fit.table in tables]
    return Graph(tables, known, of_tables, made_before(tx), handed_over(tx))


def active_specs(tx: Transaction) -> dict[str, TriggerSpec]:
    """Return the triggers in force, by name, also those on tables that this process has no schema for."""
    specs = decoded_specs(
        tx, "SELECT spec FROM motion_triggers WHERE is_active = 1 ORDER BY name", TriggerSpec
    )
    return {spec.name: spec for spec in specs}


def active_components(tx: Transaction) -> list[str]:
    """Return the components whose triggers or fits are in force."""
    found = {spec.component for spec in active_specs(tx).values() if spec.component}
    return sorted({*found, *(fit.component for fit in active_fits(tx))})


def components_there(tx: Transaction) -> tuple[frozenset[str], frozenset[str]]:
    """Return the components of which a trigger or fit is in force, or takes the state; and these with those that had any of their
    own. Read once for each graph."""
    known: tuple[int, tuple[frozenset[str], frozenset[str]]] | None = tx.lasting.get(
        components_there
    )
    if known is None or known[0] != graph_number(tx):
        taken = (each for spec in active_specs(tx).values() for each in spec.components)
        there = frozenset({*active_components(tx), *taken})
        gone = {spec.component for spec in known_triggers(tx).values() if spec.component}
        had = there.union(gone, (fit.component for fit in former_fits(tx)))
        known = tx.lasting[components_there] = graph_number(tx), (there, had)
    return known[1]


def active_fits(tx: Transaction) -> Sequence[FitSpec]:
    """Return the fits in force."""
    sql = "SELECT spec FROM motion_fits WHERE is_active = 1 ORDER BY name"
    return decoded_specs(tx, sql, FitSpec)


def _check_known(tables: Tables, spec: TriggerSpec) -> None:
    """Refuse a trigger on keys that this process does not know of: writing without it would lose what it does."""
    if spec.schedule:
        return
    if spec.source not in tables:
        _check_takes_none(tables, spec)
        return
    keys = {*spec.on, *spec.inputs, *spec.looked_up_by, *(() if spec.sets_table else spec.sets)}
    keys |= {spec.serial_by} if spec.serial_by else set()
    if spec.fold is not None:
        keys = set(spec.fold.watched)
    missing = sorted(keys - tables.get(spec.source).keys.keys())
    if spec.fold is not None and (
        spec.fold.target not in tables or spec.fold.sets not in tables.get(spec.fold.target).keys
    ):
        missing.append(f"{spec.fold.target}.{spec.fold.sets}")
    missing += [
        f"{each.table}.{name}"
        for each in spec.elsewhere
        for name in (each.followed_keys if isinstance(each, Lookup) else each.held_keys)
        if each.table not in tables or name not in tables.get(each.table).keys
    ]
    if missing:
        uses = f"has trigger {spec.name}, which uses {', '.join(missing)}, since another process opened the store"
        raise SchemaMismatch(spec.source, [uses])


def _check_takes_none(tables: Tables, spec: TriggerSpec) -> None:
    """Refuse a trigger that follows what is written here, on a table of which nothing can be told."""
    taken = {each.table for each in spec.elsewhere} | ({spec.fold.target} if spec.fold else set())
    if spec.follow or any(table in tables for table in taken):
        raise UnknownTable(spec.source, tables.names, is_stored=True)


def known_triggers(tx: Transaction) -> dict[str, TriggerSpec]:
    """Return the triggers as the store knows them, by name; also those that are not there any more."""
    if not tx.columns("motion_triggers"):  # the store is being made
        return {}
    specs = decoded_specs(tx, "SELECT spec FROM motion_triggers", TriggerSpec)
    return {spec.name: spec for spec in specs}


def code_before(tx: Transaction) -> list[TriggerSpec]:
    """Return what the former code of triggers took and set, each under the trigger's name, where later code does otherwise."""
    if not tx.columns("motion_code_before"):  # a store of before, which is looked at as it is
        return []
    found = tx.execute("SELECT trigger, spec FROM motion_code_before ORDER BY number")
    return [replace(from_json(spec, TriggerSpec), name=trigger) for trigger, spec in found]


def note_code_before(
    tx: Transaction, known: Mapping[str, TriggerSpec], specs: Iterable[TriggerSpec]
) -> None:
    """Note what the code of triggers took and set, where that of now does otherwise: what it has made may be there.

    Args:
        known: the triggers as the store knew them.
        specs: those that it is to know.
    """
    for spec in specs:
        before = known.get(spec.name)
        taken = _flow_of(before) if before is not None else None
        if taken is None or taken == _flow_of(spec):
            continue
        values = spec.name, msgspec.json.encode(taken).decode()
        sql = "SELECT 1 FROM motion_code_before WHERE trigger = ? AND spec = ?"
        if tx.execute(sql, values).fetchone() is None:
            tx.execute("INSERT INTO motion_code_before (trigger, spec) VALUES (?, ?)", values)


def _flow_of(spec: TriggerSpec) -> TriggerSpec:
    """Return of a trigger what it takes and what it sets, and no more: so code that differs in other ways is noted once."""
    return TriggerSpec(
        name="",
        fingerprint="",
        table=spec.table,
        on=spec.on,
        parameters=spec.parameters,
        sets=spec.sets,
        sets_table=spec.sets_table,
        page=spec.page,
        has_when=spec.has_when,
        follow=spec.follow,
        deleted=spec.deleted,
        fold=spec.fold,
    )


def made_before(tx: Transaction) -> dict[str, tuple[str, ...]]:
    """Return trigger -> the tables where its former code made rows, and the present one makes none."""
    found: dict[str, tuple[str, ...]] = {}
    if not tx.columns("motion_made_before"):  # a store of before, which is looked at as it is
        return found
    for trigger, name in tx.execute(
        "SELECT trigger, name FROM motion_made_before ORDER BY trigger, name"
    ):
        found[trigger] = (*found.get(trigger, ()), name)
    return found


def handed_over(tx: Transaction) -> dict[tuple[str, str], dict[str, tuple[Span, ...]]]:
    """Return (table, key) -> the triggers that have set it, where another one sets it by now, each with when it did."""
    found: dict[tuple[str, str], dict[str, tuple[Span, ...]]] = {}
    if not tx.columns("motion_handed_over"):  # a store of before, which is looked at as it is
        return found
    sql = "SELECT trigger, name, key, since, until FROM motion_handed_over ORDER BY trigger, name, key, until"
    for trigger, name, key, since, until in tx.execute(sql):
        spans = found.setdefault((name, key), {})
        spans[trigger] = (*spans.get(trigger, ()), Span(int(since), int(until)))
    return found


def known_fits(tx: Transaction) -> list[str]:
    """Return the names of the fits that the store knows; also of those that are not there any more."""
    if not tx.columns("motion_fits"):  # the store is being made
        return []
    return [str(row[0]) for row in tx.execute("SELECT name FROM motion_fits")]


def former_triggers(tx: Transaction, table: str) -> list[TriggerSpec]:
    """Return the triggers that were on a table and are not there any more."""
    specs = decoded_specs(tx, "SELECT spec FROM motion_triggers WHERE is_active = 0", TriggerSpec)
    return [spec for spec in specs if spec.table == table]


def missed_changes(
    tx: Transaction, graph: Graph, active: Container[str], last: int
) -> dict[str, int]:
    """Return the triggers of a graph that are back, and were away while anything was written, each with the change as of which it
    went; of those that an older Motion took away it is not known, and so taken to be.

    Args:
        active: the triggers that were in force until now.
        last: the last change until now.
    """
    known = away_since(tx)
    back = {name: known.get(name, -1) for name in graph.triggers if name not in active}
    return {name: since for name, since in back.items() if since < last}


def away_since(tx: Transaction) -> dict[str, int]:
    """Return trigger -> the change as of which it went, of those that are not there any more."""
    found = tx.execute("SELECT trigger, number FROM motion_away").fetchall()
    return {str(name): int(number) for name, number in found}


def overlooking(graph: Graph, before: Mapping[str, TriggerSpec]) -> list[str]:
    """Return the triggers of a graph whose code is another than before, and does not see all changes that the former code saw:
    should that come back, what it had made is not known to be current."""
    return [
        name
        for name, spec in graph.triggers.items()
        if name in before and not spec.runs_wherever(before[name])
    ]


def disown(tx: Transaction, trigger: str, last: int, but: str = "") -> None:
    """Let what a trigger has made until now count as made by other code: its inputs may have become others unseen.

    Args:
        but: the fingerprint of code that has seen them.
    """
    tx.execute(
        "UPDATE motion_origins SET fingerprint = fingerprint || ? WHERE trigger = ? AND LENGTH(fingerprint) = ? AND fingerprint != ?",
        (f"{UNTIL}{last}", trigger, FINGERPRINT_LENGTH, but),
    )


def origins_of(tx: Transaction, spec: TriggerSpec) -> list[int]:
    """Return the numbers that stand in marks for a trigger's present code, with whichever state version."""
    sql = "SELECT origin FROM motion_origins WHERE trigger = ? AND fingerprint = ?"
    return [int(row[0]) for row in tx.execute(sql, (spec.name, spec.fingerprint)).fetchall()]


def is_disowned(spec: TriggerSpec, mark: str) -> str:
    """Return the condition that what a mark, an expression, is of may not be what a trigger would make now, as it has missed
    changes since."""
    name = spec.name.replace("'", "''")
    missed = f"SELECT origin FROM motion_origins WHERE trigger = '{name}' AND LENGTH(fingerprint) > {FINGERPRINT_LENGTH}"
    return f"{mark} & {ORIGIN_MASK} IN ({missed})"


def origins_that_missed(tx: Transaction, trigger: str, makers: Iterable[str]) -> list[int]:
    """Return the numbers that stand in marks for what triggers have made before changes that they were not told of: one of them
    while it was away, the others as they do not set its keys any more.

    Args:
        trigger: that one.
    """
    names = list(makers)
    sql = (
        f"SELECT origin FROM motion_origins WHERE trigger IN ({places(names)}) "
        "AND (trigger != ? OR LENGTH(fingerprint) > ?)"
    )
    found = tx.execute(sql, (*names, trigger, FINGERPRINT_LENGTH)).fetchall()
    return [int(row[0]) for row in found]


def disowned(tx: Transaction, origin: int, last: int) -> int:
    """Return the number for the same code and version, of what was made before a change and may not be what it would make now."""
    sql = "SELECT trigger, fingerprint, version FROM motion_origins WHERE origin = ?"
    trigger, fingerprint, version = tx.execute(sql, (origin,)).fetchone()
    other = (trigger, f"{fingerprint}{UNTIL}{last}", version)
    tx.execute(
        "INSERT INTO motion_origins (trigger, fingerprint, version) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        other,
    )
    sql = "SELECT origin FROM motion_origins WHERE trigger = ? AND fingerprint = ? AND version = ?"
    return int(tx.execute(sql, other).fetchone()[0])


def origins_of_other_code(tx: Transaction, spec: TriggerSpec) -> list[int]:
    """Return those of whatever else has ever run under a trigger's name, also of the present code before it was away."""
    sql = "SELECT origin FROM motion_origins WHERE trigger = ? AND fingerprint != ?"
    return [int(row[0]) for row in tx.execute(sql, (spec.name, spec.fingerprint)).fetchall()]


def origins_of_other_keys(tx: Transaction, spec: TriggerSpec) -> list[int]:
    """Return those of what has set other keys under a trigger's name."""
    sql = "SELECT origin FROM motion_origins WHERE trigger = ? AND fingerprint LIKE ?"
    found = tx.execute(sql, (spec.name, f"%{OF_OTHER_KEYS}")).fetchall()
    return [int(row[0]) for row in found]


def note_other_keys(tx: Transaction, trigger: str) -> None:
    """Note that what a trigger has made until now is of other keys than those that it sets by now. It is disowned."""
    tx.execute(
        "UPDATE motion_origins SET fingerprint = fingerprint || ? WHERE trigger = ? AND fingerprint NOT LIKE ?",
        (OF_OTHER_KEYS, trigger, f"%{OF_OTHER_KEYS}"),
    )


def note_away(tx: Transaction, before: Sequence[str]) -> None:
    """Note of the triggers that were in force and are not any more as of which change they go; forget it of the others."""
    tx.execute(
        "DELETE FROM motion_away WHERE trigger IN (SELECT name FROM motion_triggers WHERE is_active = 1)"
    )
    gone = sorted(set(before) - set(active_triggers(tx)))
    values = [(name, last_number(tx)) for name in gone]
    tx.executemany(
        "INSERT INTO motion_away (trigger, number) VALUES (?, ?) ON CONFLICT (trigger) DO UPDATE SET number = excluded.number",
        values,
    )


def former_folds(tx: Transaction, table: str) -> list[TriggerSpec]:
    """Return the folds over rows of a table that are not there any more."""
    specs = decoded_specs(tx, "SELECT spec FROM motion_triggers WHERE is_active = 0", TriggerSpec)
    return [spec for spec in specs if spec.fold is not None and spec.fold.source == table]


def former_fits(tx: Transaction) -> Sequence[FitSpec]:
    """Return the fits that are not there any more."""
    return decoded_specs(tx, "SELECT spec FROM motion_fits WHERE is_active = 0", FitSpec)


def fits_away(tx: Transaction) -> Sequence[FitSpec]:
    """Return the same, read once for each graph."""
    known: tuple[int, Sequence[FitSpec]] | None = tx.lasting.get(fits_away)
    if known is None or known[0] != graph_number(tx):
        known = tx.lasting[fits_away] = graph_number(tx), former_fits(tx)
    return known[1]


def origin_of(tx: Transaction, spec: TriggerSpec, version: int) -> int:
    """Return the number that stands in marks for a trigger's code and the state version it ran with."""
    # With another graph the trigger may have been away meanwhile.
    name = (spec.name, spec.fingerprint, version, graph_number(tx))
    origin: int | None = tx.lasting.get(name) or tx.memo.get(name)
    if origin is not None:
        return origin
    facts = name[:3]
    found = tx.execute(
        "SELECT origin FROM motion_origins WHERE trigger = ? AND fingerprint = ? AND version = ?",
        facts,
    ).fetchone()
    if found:
        tx.lasting[name] = int(found[0])
        return int(found[0])
    sql = "INSERT INTO motion_origins (trigger, fingerprint, version) VALUES (?, ?, ?) RETURNING origin"
    origin = tx.memo[name] = int(
        tx.execute(sql, facts).fetchone()[0]
    )  # lasting only once it is committed
    assert origin <= ORIGIN_MASK, (
        "a store has room for about a million pairs of code and state version"
    )
    return origin


def table_names(tx: Transaction) -> Sequence[str]:
    """Return the names of all tables that the store has, with a schema in this process or without."""
    return tuple(signatures(tx))


def signatures(tx: Transaction) -> dict[str, dict[str, str]]:
    """Return table -> key -> what kind of values it has, for all tables of the store."""
    rows = tx.execute("SELECT name, signature FROM motion_tables").fetchall()
    return {name: from_json(signature, dict[str, str]) for name, signature in rows}


def check_kinds(tx: Transaction, tables: Tables) -> None:
    """Refuse to go on with tables whose keys have another type by now: values would be written in the form of the old one.

    Raises:
        SchemaMismatch: another process has migrated a key.
    """
    for name, signature in signatures(tx).items():
        if name in tables:
            table = tables.get(name)
            differing = [
                f"{key} was {_word(known.codec.signature)} and is {_word(signature[key])} now, since it was migrated"
                for key, known in table.keys.items()
                if key in signature and _word(known.codec.signature) != _word(signature[key])
            ]
            if differing:
                raise SchemaMismatch(name, differing)


PLAIN_KINDS = ("int", "float", "bool", "str", "bytes", "datetime", "date", "np.ndarray", "vector")


def _word(kind: str) -> str:
    """Return the word that says what a kind of values is, without members or sizes, which may grow."""
    word = kind.removeprefix("page ").partition(" ")[0]
    if word in ("enum", "literal"):  # one is noted as the other where its class is not known
        return "one of some"
    return word if word in PLAIN_KINDS else "JSON"  # older versions noted the type's name


def text_of(spec: TriggerSpec | FitSpec) -> str:
    """Return what is kept of a spec, from which `decoded_specs` reads the same.

    Raises:
        TriggerError: it would read another, or none: whoever opens the store later could not.
    """
    try:
        text = msgspec.json.encode(spec).decode()
        if from_json(text, type(spec)) == spec:
            return text
        why = "it would be read again as another"
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError) as exc:
        why = str(exc)
    raise TriggerError(
        f"{spec.name!r} cannot be kept in the store: {why}. Give its options values of the types that their declaration names, "
        f"and no subclasses of these; and its windows and lookups, too."
    )


def decoded_specs(tx: Transaction, sql: str, kind: type[T]) -> Sequence[T]:
    return [from_json(row[0], kind) for row in tx.execute(sql)]
