"""Migration: names that the store keeps are changed, or what they stand for is dropped, in one transaction.

A component or a trigger that has another name now takes over what the store kept under its old one: versions, vectors, marks,
tasks, labels. Should the store have been opened with the new name already, what came of that changes places with it, so that
nothing is lost. Keys and tables are renamed or dropped with all that bears their name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from motion.backends.base import Transaction
from motion.definitions.code import Code, Fingerprints, as_called
from motion.definitions.fits import FitSpec
from motion.definitions.renames import Rename
from motion.definitions.tables.schema import Tables
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.decoders import from_json
from motion.errors import (
    InvalidArgument,
    MotionError,
    SchemaError,
    UnknownKey,
    listed,
    nearest,
)
from motion.persistence.catalog import open_own_table
from motion.persistence.changes.following import renamed_choice
from motion.persistence.ddl import SYSTEM_TABLES, open_table
from motion.persistence.layout import ALL_ROWS, Layout, outputs_table, quoted, rows_table, slot_of
from motion.persistence.numbers import note_new_graph
from motion.persistence.ranges import places
from motion.persistence.rows.listed import drop_lists
from motion.persistence.rows.noted import noted_tables
from motion.persistence.rows.used import drop_keepers
from motion.persistence.states import lessons
from motion.persistence.steps import Step
from motion.persistence.stored_graph import (
    active_specs,
    decoded_specs,
    known_triggers,
    note_away,
    read_graph,
    signatures,
)
from motion.persistence.tasks.queue import wake_all
from motion.persistence.vector_log import begin_anew, log_vectors

MERGED: Mapping[str, Sequence[str]] = {
    "motion_tasks": (),
    "motion_backfills": ("change", "trigger", "parameters"),
    "motion_labels": (),
    "motion_asked": ("change", "component", "fit"),
    "motion_fit_requests": ("component", "fit", "setup"),
}
"""System tables in which work and labels of both names go to the new one, with what names their rows, if names do; in the others
they change places."""

PARTS = ("data", "idx", "content", "docsize", "config")
"""Of a full-text index, in SQLite: tables of its own."""

SPECS = ("motion_triggers", "motion_fits")
MARKS = ("done", "once", "applied")
BESIDE = "motion:beside"
"""A name that none has, for what changes places."""


@dataclass(frozen=True)
class Planned:
    """What a step would do.

    Attributes:
        told: in a sentence.
        lost: what would be gone; empty: nothing.
    """

    step: Step
    told: str
    lost: str = ""


def plan(tx: Transaction, step: Step) -> Planned:
    """Return what a step would do.

    Raises:
        MotionError, SchemaError: it cannot be done; says why.
    """
    return _PLANS[step.what](tx, step)


def carry_out(tx: Transaction, steps: tuple[Step, ...]) -> None:
    """Do what steps say, all of them or, as the transaction is undone, none."""
    drop_keepers(tx)
    for step in steps:
        plan(tx, step)
        _DO[step.what](tx, step)
    settle(tx)


# -- components and triggers --


def _plan_component(tx: Transaction, step: Step) -> Planned:
    known = _counts(
        tx,
        "SELECT c.name, COUNT(s.number) FROM motion_components c LEFT JOIN motion_states s ON s.component = c.name GROUP BY 1",
    )
    _check_known("component", step.name, known)
    if not step.new:
        raise MotionError(
            f"component {step.name!r} cannot be dropped so far; without it in triggers=, its versions are kept and cost disk only."
        )
    taken = known.get(step.new, 0)
    beside = (
        f"; the {taken} that {step.new} has made since change places with them" if taken else ""
    )
    told = f"component {step.name}: its {known[step.name]} version(s), their vectors and labels are those of {step.new}{beside}"
    return Planned(step, told)


def _rename_component(tx: Transaction, step: Step) -> None:
    old, new = step.name, step.new
    prefix = f"{old}."
    for spec in [*_specs(tx, "motion_triggers", TriggerSpec), *_specs(tx, "motion_fits", FitSpec)]:
        if spec.component == old and spec.name.startswith(prefix):
            method = spec.name.removeprefix(prefix)
            (_rename_fit if isinstance(spec, FitSpec) else _rename_trigger)(
                tx, spec.name, f"{new}.{method}"
            )
    _let_indexes_follow(tx, old, new)
    for name in (old, new):  # exchanged below, where one was renamed before
        tx.execute("INSERT INTO motion_renamed VALUES (?, ?) ON CONFLICT DO NOTHING", (name, name))
    _exchange(tx, "component", old, new)
    _exchange_in(tx, "motion_components", "name", old, new)
    _edit_specs(tx, "motion_triggers", TriggerSpec, lambda spec: _with_component(spec, old, new))
    _edit_specs(
        tx,
        "motion_fits",
        FitSpec,
        lambda spec: (
            replace(spec, component=new)
            if spec.component == old and spec.name.startswith(f"{new}.")
            else spec
        ),
    )


def take_over_code(tx: Transaction, code: Code, tables: Tables) -> None:
    """Let components that were renamed go on with what they have made: the name is part of what code is named by, so their
    code, unchanged, has another fingerprint now. To be done when the code is there."""
    for component, was in tx.execute("SELECT component, was FROM motion_renamed").fetchall():
        if component in code.components:
            held, others = code.components[component], code.components
            now = Fingerprints.of(held, others, tables)
            before = Fingerprints.of(as_called(held, was), others, tables)
            for method, fingerprint in before.methods.items():
                _replace_fingerprint(tx, f"{component}.{method}", fingerprint, now.methods[method])
            pairs = [(now.methods[each], before.methods[each]) for each in now.methods]
            tx.executemany(
                "UPDATE motion_states SET fingerprint = ? WHERE component = ? AND fingerprint = ?",
                [(new, component, old) for new, old in [*pairs, (now.setup, before.setup)]],
            )
            tx.execute(
                "UPDATE motion_components SET setup = ? WHERE name = ? AND setup = ?",
                (now.setup, component, before.setup),
            )
            tx.execute("DELETE FROM motion_renamed WHERE component = ?", (component,))


def _replace_fingerprint(tx: Transaction, name: str, before: str, now: str) -> None:
    tx.execute(
        "UPDATE motion_origins SET fingerprint = ? WHERE trigger = ? AND fingerprint = ? AND NOT EXISTS ("
        "SELECT 1 FROM motion_origins o WHERE o.trigger = motion_origins.trigger AND o.fingerprint = ? "
        "AND o.version = motion_origins.version)",
        (now, name, before, now),
    )
    for table, kind in (("motion_triggers", TriggerSpec), ("motion_fits", FitSpec)):
        _edit_specs(
            tx,
            table,
            kind,
            lambda spec: (
                replace(spec, fingerprint=now)
                if (spec.name, spec.fingerprint) == (name, before)
                else spec
            ),
        )


def _let_indexes_follow(tx: Transaction, *components: str) -> None:
    """See to it that indexes are made again of each version that has another number's vectors now."""
    sql = "SELECT DISTINCT number FROM motion_states WHERE component IN (?, ?)"
    numbers = [int(row[0]) for row in tx.execute(sql, components)]
    for spec in _specs(tx, "motion_triggers", TriggerSpec):
        if spec.component in components and spec.is_versioned:
            for key in spec.sets:
                slots = [slot_of(number, ALL_ROWS) for number in numbers]
                log_vectors(tx, f"{spec.table}.{key}", slots)


def _with_component(spec: TriggerSpec, old: str, new: str) -> TriggerSpec:
    """Return a trigger that takes the state of a component by its new name."""
    parameters = tuple(
        replace(each, component=new) if each.component == old else each for each in spec.parameters
    )
    own = new if spec.component == old and spec.name.startswith(f"{new}.") else spec.component
    return replace(spec, component=own, parameters=parameters)


def _plan_trigger(tx: Transaction, step: Step) -> Planned:
    known = known_triggers(tx)
    _check_known("trigger", step.name, known)
    spec = known[step.name]
    if step.new:
        if spec.component is not None:
            _check_free("trigger", step.new, known)
        return Planned(
            step,
            f"trigger {step.name}: its tasks and the marks of what it has made are those of {step.new}",
        )
    if spec.is_versioned:
        raise MotionError(
            f"trigger {step.name!r} keeps its values once for each state version, and cannot be dropped so far."
        )
    tasks = _count(tx, "SELECT COUNT(*) FROM motion_tasks WHERE trigger = ?", step.name)
    lost = f"{tasks} task(s) and dead letters of it" if tasks else ""
    return Planned(
        step,
        f"trigger {step.name}: the store forgets it; what it has made stays, as if it had been given",
        lost,
    )


def _do_trigger(tx: Transaction, step: Step) -> None:
    if step.new:
        _rename_trigger(tx, step.name, step.new)
    else:
        _drop_trigger(tx, step.name)


def _rename_trigger(tx: Transaction, old: str, new: str) -> None:
    _exchange(tx, "trigger", old, new)
    for table in _tables_of(tx, "motion_rows_"):
        for mark in MARKS:
            _exchange_columns(tx, table, f"{old}:{mark}", f"{new}:{mark}")
        if ":made_by" in _columns(tx, table):
            _exchange_in(tx, quoted(table), '":made_by"', old, new)
    _exchange_tables(tx, f"motion_outputs_{old}", f"motion_outputs_{new}")
    _exchange_in(tx, "motion_schedules", "name", old, new)
    for event in _tables_of(tx, f"motion_rows_{old}:"):
        _exchange_tables(tx, event, f"motion_rows_{new}{event.removeprefix(f'motion_rows_{old}')}")
    _take_spec(
        tx,
        "motion_triggers",
        TriggerSpec,
        old,
        lambda spec: replace(spec, name=new, table=_event_of(spec, new)),
    )


def _event_of(spec: TriggerSpec, new: str) -> str:
    """Return the table that a trigger runs on, which bears its name where it runs on events."""
    is_own = spec.event is not None or spec.fold is not None
    return f"{new}{spec.table.removeprefix(spec.name)}" if is_own else spec.table


def _rename_fit(tx: Transaction, old: str, new: str) -> None:
    _drop_copies_made_again(tx, old, new)
    # Labels of both go to the new name, so others may lie between those that a version learned from.
    lessons.take_apart(tx, (old, new))
    _exchange(tx, "fit", old, new)
    lessons.put_together(tx)
    _exchange_in(tx, "motion_schedules", "name", old, new)
    fresh = "SELECT COUNT(*) FROM motion_labels l WHERE l.fit = motion_fit_runs.fit AND l.label > motion_fit_runs.seen"
    tx.execute(f"UPDATE motion_fit_runs SET fresh = ({fresh}) WHERE fit IN (?, ?)", (old, new))
    _take_spec(tx, "motion_fits", FitSpec, old, lambda spec: replace(spec, name=new))


def _drop_copies_made_again(tx: Transaction, old: str, new: str) -> None:
    """Delete the labels that the first opening under the new name made of rows that have one under the old, but for those that
    say something else by now: both are one fit's, and no label is learned twice."""
    specs = decoded_specs(tx, "SELECT spec FROM motion_fits", FitSpec)
    known = "SELECT copy FROM motion_labels o WHERE o.fit = ? AND o.row = n.row ORDER BY o.label DESC LIMIT 1"
    made_first = (
        f"SELECT n.label, n.copy, ({known}) FROM motion_labels n JOIN motion_fit_runs r ON r.fit = n.fit "
        "WHERE n.fit = ? AND n.label <= r.seen AND NOT EXISTS (SELECT 1 FROM motion_lessons l "
        "WHERE l.fit = n.fit AND n.label BETWEEN l.first AND l.last)"
    )
    for spec in [each for each in specs if each.name == new]:
        again = [
            (label,)
            for label, copy, before in tx.execute(made_first, (old, new))
            if before is not None and _said(spec, copy) == _said(spec, before)
        ]
        tx.executemany("DELETE FROM motion_labels WHERE label = ?", again)


def _said(spec: FitSpec, copy: bytes) -> list[Any]:
    row = msgspec.msgpack.decode(copy)
    return [row.get(key) for key in spec.on]


def _drop_trigger(tx: Transaction, name: str) -> None:
    for table in _system_tables_with(tx, "trigger"):
        if table != "motion_origins":  # marks name them
            tx.execute(f"DELETE FROM {table} WHERE trigger = ?", (name,))
    tx.execute("DELETE FROM motion_task_changes WHERE task NOT IN (SELECT task FROM motion_tasks)")
    tx.execute("DELETE FROM motion_schedules WHERE name = ?", (name,))
    tx.execute("DELETE FROM motion_triggers WHERE name = ?", (name,))
    for table in _tables_of(tx, "motion_rows_"):
        for mark in MARKS:
            if f"{name}:{mark}" in _columns(tx, table):
                _drop_column(tx, table, f"{name}:{mark}")
    for event in _tables_of(tx, f"motion_rows_{name}:"):
        tx.execute(f"DROP TABLE {quoted(event)}")


# -- keys and tables --


def _plan_key(tx: Transaction, step: Step) -> Planned:
    table, key, kind = key_kept(tx, step.name)
    check_movable(tx, table, key, kind)
    if step.new:
        return Planned(
            step,
            f"{step.name}: its values are those of {table}.{step.new}{_mentioned(tx, table, key)}",
        )
    values = _count(tx, f"SELECT COUNT(*) FROM {rows_table(table)} WHERE {quoted(key)} IS NOT NULL")
    return Planned(
        step,
        f"{step.name}: the key goes{_mentioned(tx, table, key)}",
        f"{values} value(s)" if values else "",
    )


def check_movable(tx: Transaction, table: str, key: str, kind: str) -> None:
    """Refuse keys that name rows, or that lie elsewhere."""
    path = f"{table}.{key}"
    if key == "id" or kind.startswith("page "):
        raise SchemaError(
            f"{path} names the rows; it can be neither renamed, converted nor dropped."
        )
    _check_conditions(tx, path, key)
    for spec in known_triggers(tx).values():
        if spec.is_versioned and spec.table == table and key in spec.sets:
            raise MotionError(
                f"{path} is kept once for each state version, by {spec.name}; it can be neither renamed, converted nor dropped "
                f"so far."
            )


def _check_conditions(tx: Transaction, named: str, word: str) -> None:
    """Refuse a key or a table that the condition of a backfill names which is not over: it would choose other rows, or none."""
    sql = "SELECT trigger, condition FROM motion_backfills WHERE condition IS NOT NULL AND next <= last"
    for trigger, condition in tx.execute(sql).fetchall():
        if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", condition):
            raise MotionError(
                f"{named} cannot be migrated now: a backfill of {trigger!r} where {condition} waits. Let the code of now run until "
                f"no work is left ('motion run', 'motion status'), and migrate then. Nothing was changed."
            )


def _mentioned(tx: Transaction, table: str, key: str) -> str:
    names = [spec.name for spec in known_triggers(tx).values() if _is_mentioned(spec, table, key)]
    return f"; {listed(names)} wait(s) for the code that names it otherwise" if names else ""


def _is_mentioned(spec: TriggerSpec, table: str, key: str) -> bool:
    """Whether a trigger names a key, in whichever of its options; rather once too often."""
    return any(
        text == f"{table}.{key}" or (text == key and spec.source == table)
        for text in _texts(msgspec.to_builtins(spec))
    )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for each in value.values() for text in _texts(each))
    elif isinstance(value, list | tuple):
        yield from (text for each in value for text in _texts(each))


def _do_key(tx: Transaction, step: Step) -> None:
    table, key, _ = key_kept(tx, step.name)
    base = f"motion_rows_{table}"
    free_of_helpers(tx, table)
    if step.new:
        tx.execute(f"ALTER TABLE {quoted(base)} RENAME COLUMN {quoted(key)} TO {quoted(step.new)}")
        for what in ("changed", "former"):
            _exchange_columns(tx, base, f"{key}:{what}", f"{step.new}:{what}")
    else:
        _drop_column(tx, base, key)
        for beside in {f"{key}:changed", f"{key}:former"} & _columns(tx, base):
            _drop_column(tx, base, beside)
    names = {key: step.new}
    for catalog, column in (("motion_tables", "signature"), ("motion_declared", "keys")):
        found = tx.execute(f"SELECT {column} FROM {catalog} WHERE name = ?", (table,)).fetchone()
        if found:
            noted = _renamed(msgspec.json.decode(found[0]), names)
            tx.execute(
                f"UPDATE {catalog} SET {column} = ? WHERE name = ?",
                (msgspec.json.encode(noted).decode(), table),
            )
    _edit_copies(tx, table, names)
    begin_anew(tx)
    for catalog in ("motion_follows", "motion_after", "motion_handed_over"):
        sql = f"UPDATE {catalog} SET key = ? WHERE name = ? AND key = ?"
        tx.execute(sql, (step.new or key, table, key))
    _set_aside(tx, lambda spec: _is_mentioned(spec, table, key))
    if not step.new:
        tx.execute("DELETE FROM motion_refs WHERE name = ? AND key = ?", (table, key))
        return
    tx.execute("UPDATE motion_refs SET key = ? WHERE name = ? AND key = ?", (step.new, table, key))
    keeper = known_triggers(tx).get(f"{table}.{key}")
    if keeper is not None and keeper.component is None:  # keeps what the key is declared as
        _rename_trigger(tx, keeper.name, f"{table}.{step.new}")
    _edit_declared(tx, Rename(table, key, step.new))


def _edit_declared(tx: Transaction, rename: Rename) -> None:
    """Let triggers, fits and sweeps, also those that are set aside, name a table or a key as it is called now: what they have
    made is found by it, and code that comes back under the new names takes over what there is."""
    _edit_sweeps(tx, rename)
    _edit_specs(tx, "motion_triggers", TriggerSpec, rename.of_trigger)
    for number, text in tx.execute("SELECT number, spec FROM motion_code_before").fetchall():
        edited = msgspec.json.encode(rename.of_trigger(from_json(text, TriggerSpec))).decode()
        tx.execute("UPDATE motion_code_before SET spec = ? WHERE number = ?", (edited, number))
    _edit_specs(tx, "motion_fits", FitSpec, rename.of_fit)


def _edit_sweeps(tx: Transaction, rename: Rename) -> None:
    known = known_triggers(tx)
    sql = (
        "SELECT change, trigger, parameters FROM motion_backfills WHERE kind IN ('sweep', 'joined')"
    )
    for change, trigger, chosen in tx.execute(sql).fetchall():
        edited = renamed_choice(rename, known[trigger], msgspec.msgpack.decode(chosen))
        tx.execute(
            "UPDATE motion_backfills SET parameters = ? WHERE change = ? AND trigger = ? AND parameters = ?",
            (msgspec.msgpack.encode(edited), change, trigger, chosen),
        )


def _edit_copies(tx: Transaction, table: str, names: Mapping[str, str]) -> None:
    """Rename or drop keys in copies of rows: labels, and what runs gave to rows that they made."""
    fits = [
        fit.name
        for fit in decoded_specs(tx, "SELECT spec FROM motion_fits", FitSpec)
        if fit.table == table
    ]
    for label, copy in tx.execute(
        f"SELECT label, copy FROM motion_labels WHERE fit IN ({places(fits)})", fits
    ).fetchall():
        edited = msgspec.msgpack.encode(_renamed(msgspec.msgpack.decode(copy), names))
        tx.execute("UPDATE motion_labels SET copy = ? WHERE label = ?", (edited, label))
    sql = "SELECT seen, key, copy FROM motion_seen WHERE name = ?"
    for seen, key, copy in tx.execute(sql, (table,)).fetchall():
        edited = msgspec.msgpack.encode(_renamed(msgspec.msgpack.decode(copy), names))
        named = (edited, names.get(key, key), seen)
        tx.execute("UPDATE motion_seen SET copy = ?, key = ? WHERE seen = ?", named)
    sql = "SELECT row, trigger, place, item, given FROM motion_makers WHERE name = ?"
    for *place, given in tx.execute(sql, (table,)).fetchall():
        edited = msgspec.msgpack.encode(_renamed(msgspec.msgpack.decode(given), names))
        where = "name = ? AND row = ? AND trigger = ? AND place = ? AND item = ?"
        tx.execute(f"UPDATE motion_makers SET given = ? WHERE {where}", (edited, table, *place))
    base = rows_table(table)
    if ":made_keys" in _columns(tx, f"motion_rows_{table}"):
        for (made,) in tx.execute(
            f'SELECT DISTINCT ":made_keys" FROM {base} WHERE ":made_keys" IS NOT NULL'
        ).fetchall():
            words = [names.get(word, word) for word in made.split()]
            tx.execute(
                f'UPDATE {base} SET ":made_keys" = ? WHERE ":made_keys" = ?',
                (" ".join(filter(None, words)), made),
            )


def _renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(name, name): each for name, each in values.items() if names.get(name, name)}


def _plan_table(tx: Transaction, step: Step) -> Planned:
    known = signatures(tx)
    _check_known("table", step.name, known)
    _check_conditions(tx, f"table {step.name!r}", step.name)
    users = sorted(
        {spec.name for spec in known_triggers(tx).values() if step.name in _tables_in(spec)}
    )
    if step.new:
        waits = f"; {listed(users)} wait(s) for the code that names it otherwise" if users else ""
        return Planned(step, f"table {step.name}: its rows are those of {step.new}{waits}")
    active = [
        s.name
        for s in decoded_specs(
            tx, "SELECT spec FROM motion_triggers WHERE is_active = 1", TriggerSpec
        )
        if s.name in users
    ]
    if active:
        raise MotionError(
            f"table {step.name!r} is used by {listed(active)}; open the store once with code that has neither, and drop it then."
        )
    rows = _count(tx, f"SELECT COUNT(*) FROM {rows_table(step.name)}")
    return Planned(step, f"table {step.name} goes", f"{rows} row(s)" if rows else "")


def _tables_in(spec: TriggerSpec) -> set[str | None]:
    return {spec.source, spec.sets_table, *(each.table for each in spec.elsewhere)}


def _do_table(tx: Transaction, step: Step) -> None:
    if step.new:
        _rename_table(tx, step.name, step.new)
    else:
        _drop_table(tx, step.name)


def _rename_table(tx: Transaction, old: str, new: str) -> None:
    free_of_helpers(tx, old)
    for spec in known_triggers(tx).values():
        if (
            spec.name.startswith(f"{old}.") and spec.component is None
        ):  # keeps what a key is declared as
            _rename_trigger(tx, spec.name, f"{new}.{spec.name.removeprefix(f'{old}.')}")
        if spec.deleted == old:
            _exchange_tables(
                tx, f"motion_rows_{spec.table}", f"motion_rows_{spec.name}:deleted:{new}"
            )
    tx.execute(f"ALTER TABLE {rows_table(old)} RENAME TO {rows_table(new)}")
    for catalog in (
        "motion_tables",
        "motion_declared",
        "motion_makers",
        "motion_made_before",
        "motion_handed_over",
        "motion_after",
        "motion_seen",
        "motion_follows",
        "motion_refs",
    ):
        tx.execute(f"UPDATE {catalog} SET name = ? WHERE name = ?", (new, old))
    begin_anew(tx)
    _set_aside(
        tx,
        lambda spec: any(
            text == old or text.startswith(f"{old}.") for text in _texts(msgspec.to_builtins(spec))
        ),
    )
    tx.execute("UPDATE motion_refs SET target = ? WHERE target = ?", (new, old))
    _edit_declared(tx, Rename(old, None, new))


def _drop_table(tx: Transaction, table: str) -> None:
    free_of_helpers(tx, table)
    for spec in known_triggers(tx).values():
        if table in _tables_in(spec):
            _drop_trigger(tx, spec.name)
            tx.execute(f"DROP TABLE IF EXISTS {outputs_table(spec.name)}")
    for fit in decoded_specs(tx, "SELECT spec FROM motion_fits", FitSpec):
        if fit.table == table:
            for name in _system_tables_with(tx, "fit"):
                if name != "motion_states":
                    tx.execute(f"DELETE FROM {name} WHERE fit = ?", (fit.name,))
            tx.execute("DELETE FROM motion_fits WHERE name = ?", (fit.name,))
    tx.execute("DELETE FROM motion_makers WHERE name = ?", (table,))
    tx.execute("DELETE FROM motion_made_before WHERE name = ?", (table,))
    tx.execute("DELETE FROM motion_handed_over WHERE name = ?", (table,))
    tx.execute("DELETE FROM motion_seen WHERE name = ?", (table,))
    tx.execute("DELETE FROM motion_follows WHERE name = ?", (table,))
    tx.execute("DELETE FROM motion_refs WHERE ? IN (name, target)", (table,))
    begin_anew(tx)
    tx.execute(f"DROP TABLE {rows_table(table)}")
    for catalog in ("motion_tables", "motion_declared"):
        tx.execute(f"DELETE FROM {catalog} WHERE name = ?", (table,))


# -- the database's own objects --


def free_of_helpers(tx: Transaction, table: str) -> None:
    """Drop what is made from the table and is made again when it is settled, or needed: views, indexes, triggers, words."""
    for name in (table, f"{table}__stored"):
        tx.execute(f"DROP VIEW IF EXISTS {quoted(name)}")
    base = f"motion_rows_{table}"
    for name in tx.objects("trigger", base):
        tx.drop_trigger(name, quoted(base))
    for name in tx.objects("index", base):
        if name.startswith("motion_index_"):
            tx.execute(f"DROP INDEX {quoted(name)}")
    drop_lists(tx, table)
    for column in _columns(tx, base):
        if column.endswith(":shown"):
            _drop_column(tx, base, column)
    _drop_words(tx, base)


def _drop_words(tx: Transaction, table: str) -> None:
    """Drop the full-text indexes over a table."""
    found = _tables_of(tx, f"{table.replace('motion_', 'motion_text_', 1)}:")
    parts = {f"{words}_{part}" for words in found for part in PARTS}
    for words in found:
        if words.count(":") == 1 and words not in parts:
            for event in ("insert", "delete", "update"):
                tx.drop_trigger(f"{words}:{event}", quoted(table))
            tx.execute(f"DROP TABLE {quoted(words)}")


def settle(tx: Transaction) -> None:
    """Make all that follows from the catalog as it is now: views, columns of marks, indexes."""
    noted = tx.execute("SELECT name, signature FROM motion_tables").fetchall()
    declared = tx.execute("SELECT name, keys FROM motion_declared").fetchall()
    graph = read_graph(tx, noted_tables(tx))
    for table in graph.tables:
        if table.is_event:
            open_own_table(tx, Layout(table, graph))
        else:
            open_table(tx, Layout(table, graph), table.signature())
    tx.executemany(
        "UPDATE motion_tables SET signature = ? WHERE name = ?", [(s, n) for n, s in noted]
    )
    tx.executemany(
        "UPDATE motion_declared SET keys = ? WHERE name = ?", [(k, n) for n, k in declared]
    )
    note_new_graph(tx)
    wake_all(tx)


def _set_aside(tx: Transaction, is_meant: Callable[[TriggerSpec], bool]) -> None:
    """Take triggers, and fits on their keys, out of force: their tasks wait for the code that names its keys as they are now."""
    before = active_specs(tx)
    for spec in before.values():
        if is_meant(spec):
            tx.execute("UPDATE motion_triggers SET is_active = 0 WHERE name = ?", (spec.name,))
    note_away(tx, list(before))
    known = signatures(tx)
    for fit in decoded_specs(tx, "SELECT spec FROM motion_fits WHERE is_active = 1", FitSpec):
        if not set(fit.on) <= known.get(fit.table, {}).keys():
            tx.execute("UPDATE motion_fits SET is_active = 0 WHERE name = ?", (fit.name,))


def _exchange(tx: Transaction, column: str, old: str, new: str) -> None:
    """Let what system tables keep under two names change places; work and labels of both go to the new one."""
    for table in _system_tables_with(tx, column):
        if table in MERGED:
            _merge(tx, table, column, old, new)
        else:
            _exchange_in(tx, table, column, old, new)


def _merge(tx: Transaction, table: str, column: str, old: str, new: str) -> None:
    """Let rows of a name be another one's; of two that would be one, the first name's counts."""
    if MERGED[table]:
        same = "".join(f" AND o.{key} = {table}.{key}" for key in MERGED[table] if key != column)
        sql = f"DELETE FROM {table} WHERE {column} = ? AND EXISTS (SELECT 1 FROM {table} o WHERE o.{column} = ?{same})"
        tx.execute(sql, (new, old))
    tx.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (new, old))


def _exchange_in(tx: Transaction, table: str, column: str, old: str, new: str) -> None:
    for now, then in ((old, BESIDE), (new, old), (BESIDE, new)):
        tx.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (then, now))


def _exchange_columns(tx: Transaction, table: str, old: str, new: str) -> None:
    columns = _columns(tx, table)
    for now, then in ((old, "motion:beside"), (new, old), ("motion:beside", new)):
        if now in columns or (now == "motion:beside" and old in columns):
            tx.execute(f"ALTER TABLE {quoted(table)} RENAME COLUMN {quoted(now)} TO {quoted(then)}")


def _exchange_tables(tx: Transaction, old: str, new: str) -> None:
    present = _tables_of(tx, "motion_")
    for now, then in ((old, "motion_beside"), (new, old), ("motion_beside", new)):
        if now in present or (now == "motion_beside" and old in present):
            _drop_words(tx, now)
            tx.execute(f"ALTER TABLE {quoted(now)} RENAME TO {quoted(then)}")


def _take_spec(
    tx: Transaction, table: str, kind: type, old: str, edit: Callable[[Any], Any]
) -> None:
    """Keep a spec under its new name, unless the store has been opened with that: then what it was opened with counts."""
    found = tx.execute(f"SELECT spec FROM {table} WHERE name = ?", (old,)).fetchone()
    spec = edit(from_json(found[0], kind))
    if tx.execute(f"SELECT 1 FROM {table} WHERE name = ?", (spec.name,)).fetchone() is None:
        tx.execute(
            f"UPDATE {table} SET name = ?, spec = ? WHERE name = ?",
            (spec.name, msgspec.json.encode(spec).decode(), old),
        )


def _edit_specs(tx: Transaction, table: str, kind: type, edit: Callable[[Any], Any]) -> None:
    for spec in _specs(tx, table, kind):
        edited = edit(spec)
        if edited != spec:
            tx.execute(
                f"UPDATE {table} SET spec = ? WHERE name = ?",
                (msgspec.json.encode(edited).decode(), spec.name),
            )


def _specs(tx: Transaction, table: str, kind: type) -> list[Any]:
    return list(decoded_specs(tx, f"SELECT spec FROM {table} ORDER BY name", kind))


def _drop_column(tx: Transaction, table: str, column: str) -> None:
    tx.execute(f"ALTER TABLE {quoted(table)} DROP COLUMN {quoted(column)}")


def _system_tables_with(tx: Transaction, column: str) -> list[str]:
    names = re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", SYSTEM_TABLES)
    return [name for name in names if column in _columns(tx, name) and name not in SPECS]


def _columns(tx: Transaction, table: str) -> set[str]:
    return set(tx.columns(quoted(table)))


def _tables_of(tx: Transaction, beginning: str) -> list[str]:
    return [name for name in tx.tables() if name.startswith(beginning)]


def key_kept(tx: Transaction, path: str) -> tuple[str, str, str]:
    table, dot, key = path.partition(".")
    if not dot:
        raise InvalidArgument("migrate", repr(path), "a key written table.key")
    known = signatures(tx)
    _check_known("table", table, known)
    if key not in known[table]:
        raise UnknownKey(table, key, sorted(known[table]))
    return table, key, known[table][key]


def _check_known(what: str, name: str, known: Mapping[str, Any]) -> None:
    if name not in known:
        raise MotionError(
            f"the store has no {what} {name!r}; it has {listed(sorted(known))}.{nearest(name, known)}"
        )


def _check_free(what: str, name: str, known: Any) -> None:
    if name in known:
        raise MotionError(
            f"there is a {what} {name!r} already; drop it first, or choose another name."
        )


def _count(tx: Transaction, sql: str, *values: Any) -> int:
    return int(tx.execute(sql, values).fetchone()[0])


def _counts(tx: Transaction, sql: str) -> dict[str, int]:
    return {str(name): int(count) for name, count in tx.execute(sql)}


_PLANS: Mapping[str, Callable[[Transaction, Step], Planned]] = {
    "component": _plan_component, "trigger": _plan_trigger, "key": _plan_key, "table": _plan_table,
}  # fmt: skip
_DO: Mapping[str, Callable[[Transaction, Step], None]] = {
    "component": _rename_component, "trigger": _do_trigger, "key": _do_key, "table": _do_table,
}  # fmt: skip
