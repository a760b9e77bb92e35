"""What values were made from, where that has become another since.

A row holds what its keys are now. As long as a derived value stands beside newer inputs (its trigger has not run yet, has
failed, or does not run on that key), the ones that it was made from are in `motion_used`. The database itself keeps them, as
it is the one place that all writes go through: a key that becomes another leaves what it was there, unless the same write
has the value made again; and they go when it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b

from motion.backends.base import RowTrigger, Transaction
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.persistence.layout import (
    ALL_ROWS,
    ORIGIN_BITS,
    ORIGIN_MASK,
    VERSION_SHIFT,
    Layout,
    changed_column,
    done_column,
    outputs_table,
    quoted,
    slot_of,
)
from motion.persistence.ranges import parts_of
from motion.persistence.rows import handovers

LONGEST = 10_000
"""Characters or bytes of a value that is kept; what is longer would be the most of a store."""


def drop_keepers(tx: Transaction) -> None:
    """Drop these triggers of all tables, and what they have kept, and those that keep marks: names in them are about to be
    others."""
    for table in tx.tables():
        for name in tx.objects("trigger", table):
            if name.startswith(("motion_used_", handovers.PREFIX)):
                tx.drop_trigger(name, quoted(table))
    forget_all(tx)


def used_value(
    tx: Transaction, layout: Layout, spec: TriggerSpec, row: int, key: str, number: int
) -> tuple[Stored] | None:
    """Return what a value was made from where that has become another, alone in a tuple; None: it has not, or is not kept.

    Args:
        number: the change that the value is as of; 0: not known, as it is to be made again. It tells what is kept for the
            outputs of one version from that of another.
    """
    if not tx.columns(
        "motion_used"
    ):  # a store that is only looked at, and was opened by older code last
        return None
    sql = (
        f"SELECT CAST(value AS {layout.sql_type(key)}) FROM motion_used "
        f"WHERE trigger = ? AND slot = ? AND key = ? AND (? = 0 OR ? BETWEEN since AND until - 1)"
    )
    asked = number if spec.is_versioned else 0
    found = tx.execute(sql, (spec.name, row, key, asked, asked)).fetchone()
    return None if found is None else (found[0],)


def unfenced_keys(layout: Layout, spec: TriggerSpec) -> list[str]:
    """Return the keys that a run is given and that may become others during the call without another one."""
    if spec.is_versioned or {*spec.inputs} <= {*spec.on}:
        return []
    return [key for key in _kept_keys(layout, spec) if key not in spec.on]


def note_read(
    tx: Transaction,
    layout: Layout,
    spec: TriggerSpec,
    rows: Sequence[int],
    read: Mapping[str, Sequence[Stored]],
    read_at: int,
) -> None:
    """Keep what a run, whose values have just been written, was given of keys that have become others while it ran.

    Args:
        read: key of `unfenced_keys` -> what each of the rows was read to have.
        read_at: the change as of which that was.
    """
    for key in read:
        values = {
            row: value for row, value in zip(rows, read[key], strict=True) if _is_short(value)
        }
        for part in parts_of(sorted(values)):
            sql = (
                f"SELECT {layout.row}, r.{changed_column(key)} FROM {layout.base} r "
                f"WHERE {part.condition(layout.row)} AND r.{changed_column(key)} > ?"
            )
            moved = tx.execute(sql, (*part.numbers, read_at)).fetchall()
            noted = [(spec.name, row, key, 0, until, values[row]) for row, until in moved]
            tx.executemany(
                "INSERT INTO motion_used (trigger, slot, key, since, until, value) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (trigger, slot, key) DO NOTHING",
                noted,
            )


def _is_short(value: Stored) -> bool:
    return not isinstance(value, str | bytes) or len(value) <= LONGEST


def drop_overcome(tx: Transaction, spec: TriggerSpec, version: int) -> None:
    """Drop what is kept of values for which a version that goes live has some of what is there now."""
    of_version = (
        f'SELECT ":done" >> {ORIGIN_BITS} FROM {outputs_table(spec.name)} '
        f"WHERE slot = {slot_of(version, 0)} + motion_used.slot"
    )
    sql = f"DELETE FROM motion_used WHERE trigger = ? AND until <= ({of_version})"
    tx.execute(sql, (spec.name,))


def forget(tx: Transaction, trigger: str, rows: Sequence[int]) -> None:
    """Drop what is kept of deleted rows."""
    for part in parts_of(rows):
        tx.execute(
            f"DELETE FROM motion_used WHERE trigger = ? AND {part.condition('slot')}",
            (trigger, *part.numbers),
        )


def forget_all(tx: Transaction) -> None:
    """Drop all that is kept: what other rows' values were made from may tell of one that is forgotten, as folds and lookups
    take it there."""
    tx.execute("DELETE FROM motion_used")


def forget_key(tx: Transaction, trigger: str, key: str) -> None:
    """Drop what values of a trigger were made from in one key, whose values get another type."""
    tx.execute("DELETE FROM motion_used WHERE trigger = ? AND key = ?", (trigger, key))


def keepers(layout: Layout) -> Mapping[str, RowTrigger]:
    """Return the database's own triggers that keep what values were made from, by name."""
    if layout.table.is_event:
        return {}
    made: dict[str, RowTrigger] = {}
    for spec in layout.graph.of_table(layout.table.name):
        keys = _kept_keys(layout, spec)
        for table, event, condition, action in _rules(layout, spec, keys) if keys else ():
            text = repr((layout.table.name, spec.name, table, event, condition, action)).encode()
            name = f"motion_used_{blake2b(text, digest_size=8).hexdigest()}"
            made[name] = RowTrigger(name, table, event, condition, action)
    return made


def _kept_keys(layout: Layout, spec: TriggerSpec) -> list[str]:
    """Return the inputs of a trigger that makes values which are in the row itself, and of which a mark tells whether they
    were taken."""
    if spec.fold is not None or not (spec.sets or spec.sets_table):
        return []
    levels, level = layout.graph.levels[layout.table.name], layout.graph.row_level(spec)
    inputs = {*spec.inputs} & {*spec.on} if spec.is_versioned else {*spec.inputs}
    inputs -= {*layout.versioned}
    return [key for key in layout.table.value_keys if key in inputs and levels[key] == level]


def _rules(
    layout: Layout, spec: TriggerSpec, keys: Sequence[str]
) -> Iterator[tuple[str, str, str, str]]:
    """Give the table, event, condition and action of what keeps a trigger's inputs, and of what drops them."""
    name, row = spec.name.replace("'", "''"), layout.row_column
    columns = ", ".join(map(quoted, keys))
    if not spec.is_versioned:
        done = done_column(spec.name)
        is_made = f"OLD.{done} & {ORIGIN_MASK} <> 0"
        kept = "".join(_keep(layout, name, key, f"OLD.{done}", "") for key in keys)
        dropped = f"DELETE FROM motion_used WHERE trigger = '{name}' AND slot = NEW.{row};"
        is_same = f"NEW.{done} IS NOT DISTINCT FROM OLD.{done}"
        yield layout.base, f"UPDATE OF {columns}", f"{is_made} AND {is_same}", kept
        is_newer = f"NEW.{done} >> {ORIGIN_BITS} > OLD.{done} >> {ORIGIN_BITS}"
        yield layout.base, f"UPDATE OF {done}", f"{is_made} AND {is_newer}", dropped
        return
    component = (spec.component or "").replace("'", "''")
    live = f"(SELECT live FROM motion_components WHERE name = '{component}')"
    outputs = outputs_table(spec.name)
    made = f'FROM {outputs} o WHERE o.slot = ({live} << {VERSION_SHIFT} | OLD.{row}) AND o.":done" & {ORIGIN_MASK} <> 0 AND '
    kept = "".join(_keep(layout, name, key, 'o.":done"', made) for key in keys)
    is_any = " OR ".join(f"OLD.{quoted(key)} IS DISTINCT FROM NEW.{quoted(key)}" for key in keys)
    yield layout.base, f"UPDATE OF {columns}", is_any, kept
    dropped = (
        f"DELETE FROM motion_used WHERE trigger = '{name}' AND slot = (NEW.slot & {ALL_ROWS}) "
        f"AND {live} = NEW.slot >> {VERSION_SHIFT};"
    )
    is_newer = f'NEW.":done" >> {ORIGIN_BITS} > OLD.":done" >> {ORIGIN_BITS}'
    yield outputs, 'UPDATE OF ":done"', is_newer, dropped


def _keep(layout: Layout, name: str, key: str, mark: str, made: str) -> str:
    """Return the statement that keeps what a key was, where the value is as of it. Of a mark that is cleared, as the value
    is to be made again, it is what the key was before its first change.

    Args:
        made: where marks of outputs kept by version are. Without it a value has at most one note, which goes with it, so the
            first one that is made stands.
    """
    old, new, row = f"OLD.{quoted(key)}", f"NEW.{quoted(key)}", f"OLD.{layout.row_column}"
    since, until = f"COALESCE(OLD.{changed_column(key)}, 0)", f"NEW.{changed_column(key)}"
    number = f"{mark} >> {ORIGIN_BITS}"
    kept = f"SELECT 1 FROM motion_used WHERE trigger = '{name}' AND slot = {row} AND key = '{key}'"
    is_used = f"({since} <= {number} OR {number} = 0 AND NOT EXISTS ({kept}))"
    again = "UPDATE SET since = excluded.since, until = excluded.until, value = excluded.value"
    return (
        f"INSERT INTO motion_used (trigger, slot, key, since, until, value) "
        f"SELECT '{name}', {row}, '{key}', {since}, {until}, {old} {made or 'WHERE '}"
        f"{old} IS DISTINCT FROM {new} AND {is_used} AND COALESCE(LENGTH({old}), 0) <= {LONGEST} "
        f"ON CONFLICT (trigger, slot, key) DO {again if made else 'NOTHING'};"
    )
