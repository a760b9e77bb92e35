"""What folds keep of a key whose values get another type: their entities' ids, the places of rows, and values so far.

None of their work waits meanwhile (`conversion.check_folds`). What a fold keeps is of the types that its keys have, and is told
from others by these values: left as it was, a later row would be of an entity of its own, or be refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from motion.backends.base import Transaction
from motion.definitions.tables.schema import Key
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.persistence.inputs.folds import FIRST_NUMBER, drop_unnamed
from motion.persistence.inputs.places import fold_of
from motion.persistence.layout import (
    LEFT_BEHIND,
    PLACES_OF_ENTITIES,
    changed_column,
    done_column,
    mark_of,
    quoted,
    rows_table,
)
from motion.persistence.numbers import next_number
from motion.persistence.stored_graph import origin_of
from motion.persistence.tasks import queue

AT_ONCE = 2_000


@dataclass(frozen=True)
class KeptByFold:
    """What one fold keeps of a key.

    Attributes:
        of: returns the new value of an old one.
    """

    spec: TriggerSpec
    before: Key
    after: Key
    of: Callable[[Stored], Stored]

    @property
    def entities(self) -> str:
        return rows_table(self.spec.table)

    @property
    def is_by(self) -> bool:
        fold = fold_of(self.spec)
        return (fold.source, fold.by) == self._path

    @property
    def is_order(self) -> bool:
        fold = fold_of(self.spec)
        return (fold.source, fold.order) == self._path

    @property
    def is_value(self) -> bool:
        fold = fold_of(self.spec)
        return (fold.target, fold.sets) == self._path

    @property
    def _path(self) -> tuple[str, str]:
        return self.before.table, self.before.name


def convert_kept(tx: Transaction, kept: KeptByFold) -> None:
    """Convert all that a fold keeps of a key, before the key itself has its new values."""
    present = {quoted(column) for column in tx.columns(kept.entities)}
    kinds = {"order": kept.is_order, "value": kept.is_value}
    for column, kind in PLACES_OF_ENTITIES.items():
        if column in present and kinds.get(kind):
            _convert_column(tx, kept, column)
    if present and kept.is_by:
        drop_unnamed(tx, kept.spec)
        _convert_ids(tx, kept)
    if kept.is_value:
        _convert_checkpoints(tx, kept, "value")
    if kept.is_order and fold_of(kept.spec).replay:  # rows may follow each other otherwise now
        tx.execute("DELETE FROM motion_checkpoints WHERE trigger = ?", (kept.spec.name,))
    elif kept.is_order:
        _convert_checkpoints(tx, kept, "place")


def _convert_ids(tx: Transaction, kept: KeptByFold) -> None:
    indexes = tx.objects("index", f"motion_rows_{kept.spec.table}")
    by_id = [quoted(name) for name in indexes if name.startswith("motion_index_")]
    for index in by_id:
        tx.execute(f"DROP INDEX {index}")
    _convert_column(tx, kept, "id")
    _join(tx, kept)
    for index in by_id:
        tx.execute(f"CREATE UNIQUE INDEX {index} ON {kept.entities} (id)")


def _convert_column(tx: Transaction, kept: KeptByFold, column: str) -> None:
    table, fresh = kept.entities, quoted("motion:fresh")
    tx.execute(f"ALTER TABLE {table} ADD COLUMN {fresh} {kept.after.codec.sql_type}")
    sql = f'SELECT ":row", {column} FROM {table} WHERE ":row" > ? AND {column} IS NOT NULL ORDER BY ":row" LIMIT {AT_ONCE}'
    after = 0
    while found := tx.execute(sql, (after,)).fetchall():
        made = [(kept.of(value), row) for row, value in found]
        tx.executemany(f'UPDATE {table} SET {fresh} = ? WHERE ":row" = ?', made)
        after = int(found[-1][0])
    tx.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    tx.execute(f"ALTER TABLE {table} RENAME COLUMN {fresh} TO {column}")


def _convert_checkpoints(tx: Transaction, kept: KeptByFold, column: str) -> None:
    sql = f"UPDATE motion_checkpoints SET {column} = ? WHERE trigger = ? AND entity = ? AND position = ?"
    for found in _checkpoints(tx, kept, column):
        made = [(kept.of(value), kept.spec.name, *at) for *at, value in found]
        tx.executemany(sql, made)


def _checkpoints(
    tx: Transaction, kept: KeptByFold, column: str
) -> Iterator[list[tuple[int, int, Stored]]]:
    value = f"CAST({column} AS {kept.before.codec.sql_type})"
    sql = (
        f"SELECT entity, position, {value} FROM motion_checkpoints WHERE trigger = ? AND (entity > ? OR (entity = ? AND position > ?)) "
        f"ORDER BY entity, position LIMIT {AT_ONCE}"
    )
    entity, position = 0, -1
    while found := tx.execute(sql, (kept.spec.name, entity, entity, position)).fetchall():
        yield found
        entity, position = found[-1][:2]


def _join(tx: Transaction, kept: KeptByFold) -> None:
    """Let entities that are one now be noted anew, as none of their values is that of all their rows: these are folded from
    the first one on by the next run."""
    name, table = kept.spec.name, kept.entities
    several = f"SELECT id FROM {table} GROUP BY id HAVING COUNT(*) > 1"
    found = tx.execute(f'SELECT ":row", id FROM {table} WHERE id IN ({several}) ORDER BY ":row"')
    of_id: dict[Stored, list[int]] = {}
    for row, id_ in found.fetchall():
        of_id.setdefault(id_, []).append(int(row))
    if not of_id:
        return
    rows = [row for each in of_id.values() for row in each]
    queue.forget_dead(tx, name, rows)
    for place in ("motion_checkpoints", "motion_left_out"):
        sql = f"DELETE FROM {place} WHERE trigger = ? AND entity = ?"
        tx.executemany(sql, [(name, row) for row in rows])
    places = "".join(f", {column} = NULL" for column in PLACES_OF_ENTITIES)
    mark, behind = 0, ""
    if not fold_of(kept.spec).replay:
        # as if a run had gone over none of the rows: only then does a backfill have the applied ones applied again
        mark = mark_of(FIRST_NUMBER - 1, origin_of(tx, kept.spec, 0))
        behind = f", {LEFT_BEHIND} = {next_number(tx)}"
    tx.executemany(
        f"UPDATE {table} SET {changed_column('id')} = {FIRST_NUMBER}, {done_column(name)} = {mark}{places}{behind} "
        f'WHERE ":row" = ?',
        [(each[0],) for each in of_id.values()],
    )
    tx.executemany(
        f'DELETE FROM {table} WHERE ":row" = ?',
        [(row,) for each in of_id.values() for row in each[1:]],
    )
