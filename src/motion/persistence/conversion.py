"""Conversion: a key's values get another type, part by part, while others read and write.

The new values are gathered in a column beside the old one; a trigger of the database takes back what is written to the old one
meanwhile, so that it is converted again. The last transaction converts what is left, and puts the new column in the place of
the old: readers see the one or the other, whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from motion.backends.base import RowTrigger, Transaction
from motion.definitions.fits import FitSpec
from motion.definitions.tables.schema import Key, Table
from motion.definitions.tasks import TaskStatus
from motion.definitions.values.codecs import Stored
from motion.errors import MotionError, shortened
from motion.persistence import migration, vector_log
from motion.persistence.inputs.converted import KeptByFold, convert_kept
from motion.persistence.layout import quoted, rows_table
from motion.persistence.rows.noted import declared_of
from motion.persistence.rows.used import forget_key
from motion.persistence.stored_graph import decoded_specs, known_triggers

AT_ONCE = 2_000
"""Rows converted in one transaction: writes wait no longer than for these."""

BEFORE_ALL = -(2**63)
"""A number before those of all rows, which are their ids where these are ints."""

TRIED = 100
"""Values that are converted for a plan."""

Convert = Callable[[Any], Any]


@dataclass(frozen=True)
class Conversion:
    """What is to be converted.

    Attributes:
        table: as it is noted.
        before, after: the key as it is stored, and as it is to be.
        row: the column that numbers the rows.
        convert: returns the new value of an old one. It gets enums by name, and nested dataclasses as dicts.
    """

    table: Table
    before: Key
    after: Key
    convert: Convert
    row: str

    @property
    def base(self) -> str:
        return rows_table(self.table.name)

    @property
    def fresh(self) -> str:
        return quoted(f"{self.before.name}:fresh")

    @property
    def mark(self) -> str:
        return quoted(f"{self.before.name}:converted")

    @property
    def guard(self) -> str:
        return f"motion_converts_{self.table.name}:{self.before.name}"

    def of(self, stored: Stored, row: str) -> Stored:
        """Return a new value in stored form.

        Raises:
            MotionError: the function raises, or gives what the new type does not take; says of which row.
        """
        if stored is None:
            return None
        value = self.before.decode(stored)
        try:
            return self.after.encode(self.convert(value))
        except Exception as exc:
            path = f"{self.table.name}.{self.before.name}"
            raise MotionError(
                f"{path} of {row}, {shortened(value)}, cannot be converted: {type(exc).__name__}: {exc}. Nothing was changed."
            ) from exc


def count(tx: Transaction, one: Conversion) -> int:
    """Return how many values there are."""
    key = quoted(one.before.name)
    return int(tx.execute(f"SELECT COUNT({key}) FROM {one.base}").fetchone()[0])


def first(tx: Transaction, one: Conversion) -> list[tuple[Stored, str]]:
    """Return some values, with the names of their rows."""
    key = quoted(one.before.name)
    sql = f"SELECT {key}, {_named(one)} FROM {one.base} WHERE {key} IS NOT NULL LIMIT {TRIED}"
    return [(stored, str(name)) for stored, name in tx.execute(sql)]


def _named(one: Conversion) -> str:
    return " || ' ' || ".join(f"'{each}=' || {quoted(each)}" for each in one.table.primary_key)


def begin(tx: Transaction, one: Conversion) -> None:
    """Make room for the new values; what an earlier try has left is dropped."""
    end(tx, one)
    tx.execute(f"ALTER TABLE {one.base} ADD COLUMN {one.fresh} {one.after.codec.sql_type}")
    tx.execute(f"ALTER TABLE {one.base} ADD COLUMN {one.mark} INTEGER")
    key = quoted(one.before.name)
    changed = f"OLD.{key} IS DISTINCT FROM NEW.{key}"
    again = f"UPDATE {one.base} SET {one.mark} = NULL WHERE {one.row} = NEW.{one.row};"
    tx.make_trigger(RowTrigger(one.guard, one.base, f"UPDATE OF {key}", changed, again))


def end(tx: Transaction, one: Conversion) -> None:
    """Drop what a conversion needs, where it is there."""
    tx.drop_trigger(one.guard, one.base)
    present = set(map(quoted, tx.columns(one.base)))
    for column in (one.fresh, one.mark):
        if column in present:
            tx.execute(f"ALTER TABLE {one.base} DROP COLUMN {column}")


def some(tx: Transaction, one: Conversion, after: int) -> list[tuple[int, Stored, str]]:
    """Return some values to convert behind a row: the row's number, what it holds, and its name."""
    key = quoted(one.before.name)
    named = _named(one)
    return [
        (int(row), stored, str(name))
        for row, stored, name in tx.execute(
            f"SELECT {one.row}, {key}, {named} FROM {one.base} WHERE {one.row} > ? AND {key} IS NOT NULL AND {one.mark} IS NULL "
            f"ORDER BY {one.row} LIMIT ?",
            (after, AT_ONCE),
        )
    ]


def keep(tx: Transaction, one: Conversion, made: Sequence[tuple[int, Stored, Stored]]) -> None:
    """Keep new values beside the old ones they were made of, unless those are others by now."""
    key = quoted(one.before.name)
    tx.executemany(
        f"UPDATE {one.base} SET {one.fresh} = ?, {one.mark} = 1 WHERE {one.row} = ? AND {key} = ?",
        [(new, row, old) for row, old, new in made],
    )


def check_folds(tx: Transaction, table: str, key: str) -> None:
    """Refuse a key that a fold goes by whose work waits: which rows that is about is noted by the key's values."""
    for spec in known_triggers(tx).values():
        fold = spec.fold
        if fold is None or fold.source != table or key not in (fold.by, fold.order):
            continue
        sql = (
            "SELECT (SELECT COUNT(*) FROM motion_tasks WHERE trigger = ?1 AND status != ?2) + "
            "(SELECT COUNT(*) FROM motion_backfills WHERE trigger = ?1 AND next <= last)"
        )
        waiting = int(tx.execute(sql, (spec.name, int(TaskStatus.DEAD))).fetchone()[0])
        if waiting:
            raise MotionError(
                f"{table}.{key} cannot be converted now: fold {spec.name!r} goes by it, and {waiting:,} task(s) of it wait. Let "
                f"the code of now run until no work is left ('motion run', 'motion status'), and convert then. Nothing was changed."
            )


def switch(tx: Transaction, one: Conversion) -> None:
    """Convert what is left, put the new values in the place of the old, and note the new type."""
    check_folds(tx, one.table.name, one.before.name)
    after = BEFORE_ALL
    while found := some(tx, one, after):
        keep(tx, one, [(row, old, one.of(old, name)) for row, old, name in found])
        after = found[-1][0]
    _convert_copies(tx, one)
    _convert_folds(tx, one)
    _forget_used(tx, one)
    migration.free_of_helpers(tx, one.table.name)
    tx.drop_trigger(one.guard, one.base)
    key = quoted(one.before.name)
    tx.execute(f"UPDATE {one.base} SET {one.fresh} = NULL WHERE {key} IS NULL")
    for column in (one.mark, key):
        tx.execute(f"ALTER TABLE {one.base} DROP COLUMN {column}")
    tx.execute(f"ALTER TABLE {one.base} RENAME COLUMN {one.fresh} TO {key}")
    vector_log.begin_anew(tx)
    _note(tx, "motion_tables", "signature", one, one.after.codec.signature)
    _note(tx, "motion_declared", "keys", one, msgspec.to_builtins(declared_of(one.after)))
    migration.settle(tx)


def _note(tx: Transaction, catalog: str, column: str, one: Conversion, value: Any) -> None:
    (text,) = tx.execute(
        f"SELECT {column} FROM {catalog} WHERE name = ?", (one.table.name,)
    ).fetchone()
    noted = {**msgspec.json.decode(text), one.before.name: value}
    tx.execute(
        f"UPDATE {catalog} SET {column} = ? WHERE name = ?",
        (msgspec.json.encode(noted).decode(), one.table.name),
    )


def _convert_copies(tx: Transaction, one: Conversion) -> None:
    """Convert the key in copies of rows: labels, and what runs gave to rows that they made."""
    fits = decoded_specs(tx, "SELECT spec FROM motion_fits", FitSpec)
    for fit in fits:
        if fit.table == one.table.name:
            sql = "SELECT label, copy FROM motion_labels WHERE fit = ?"
            for label, copy in tx.execute(sql, (fit.name,)).fetchall():
                tx.execute(
                    "UPDATE motion_labels SET copy = ? WHERE label = ?",
                    (_converted(copy, one), label),
                )
    for seen, copy in tx.execute(
        "SELECT seen, copy FROM motion_seen WHERE name = ?", (one.table.name,)
    ).fetchall():
        tx.execute("UPDATE motion_seen SET copy = ? WHERE seen = ?", (_converted(copy, one), seen))
    sql = "SELECT row, trigger, place, item, given FROM motion_makers WHERE name = ?"
    for *place, given in tx.execute(sql, (one.table.name,)).fetchall():
        tx.execute(
            "UPDATE motion_makers SET given = ? WHERE name = ? AND row = ? AND trigger = ? AND place = ? AND item = ?",
            (_converted(given, one), one.table.name, *place),
        )


def _convert_folds(tx: Transaction, one: Conversion) -> None:
    """Convert what folds keep of the key, those that are away too."""
    for spec in known_triggers(tx).values():
        if spec.fold is not None:
            of = partial(one.of, row=f"an entity of fold {spec.name!r}")
            convert_kept(tx, KeptByFold(spec, one.before, one.after, of))


def _forget_used(tx: Transaction, one: Conversion) -> None:
    """Forget what the key was where values were made from it before: the function need not know values that are gone."""
    for spec in known_triggers(tx).values():
        if spec.table == one.table.name:
            forget_key(tx, spec.name, one.before.name)


def _converted(packed: bytes, one: Conversion) -> bytes:
    values: Mapping[str, Stored] = msgspec.msgpack.decode(packed)
    name = one.before.name
    if name not in values:
        return packed
    return msgspec.msgpack.encode({**values, name: one.of(values[name], "a label")})
