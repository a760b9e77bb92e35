"""Copying: a whole store's tables into another database, row by row as they are stored.

What of it says where something was in this one database goes another way: indexes of vectors and of words are made
again from the rows, places in lines are found out again, and what the database itself numbers goes on from there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from motion.backends.base import Transaction
from motion.definitions.graph import Graph
from motion.persistence import vector_log
from motion.persistence.catalog import open_own_table
from motion.persistence.ddl import SYSTEM_TABLES, open_system, open_table
from motion.persistence.layout import Layout, quoted
from motion.persistence.rows.noted import noted_tables
from motion.persistence.stored_graph import known_triggers, read_graph
from motion.persistence.tasks.queue import wake_all

Show = Callable[[int], None] | None

SHOWN_EVERY = 1_000

CATALOG = ("motion_tables", "motion_declared")
"""What making a table notes of it, which is not all that its own schema has said."""

NOT_COPIED = ("motion_left", "motion_vector_log", "motion_checkpoints", "motion_used")

OWN_TABLES = ("motion_rows_", "motion_outputs_")
"""How the names of tables begin that there are because of what users declare."""

NUMBERS = (":row", "slot")
"""Columns by which such a table numbers its rows."""


def is_empty(tx: Transaction) -> bool:
    """Whether a database has no store yet."""
    return not tx.columns("motion_clock")


def copy_all(source: Transaction, target: Transaction, show: Show) -> int:
    """Copy all that a store has into a database that has none; return how many rows.

    Args:
        show: is told how many rows are left.
    """
    copied = _Copied(source, target, show)
    open_system(target)
    target.execute("DELETE FROM motion_clock")
    for name in re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", SYSTEM_TABLES):
        if name not in NOT_COPIED:
            copied.take(name)
    graph = read_graph(target, noted_tables(target))
    for table in graph.tables:
        if table.is_event:
            open_own_table(target, Layout(table, graph))
        else:
            open_table(target, Layout(table, graph), None)
    for name in CATALOG:
        target.execute(f"DELETE FROM {name}")
        copied.take(name)
    for name in copied.own_tables:
        _open_like(target, name, source.columns(quoted(name)))
        copied.take(name)
    _copy_checkpoints(source, target, graph)
    target.execute(
        "UPDATE motion_tasks SET line = '', place = NULL, tie = NULL WHERE line IS NOT NULL"
    )
    wake_all(target)
    vector_log.begin_anew(target)
    return copied.count


class _Copied:
    """What has been copied so far."""

    def __init__(self, source: Transaction, target: Transaction, show: Show) -> None:
        self._source, self._target, self._show = source, target, show
        self.own_tables = [name for name in source.tables() if name.startswith(OWN_TABLES)]
        self.count = 0
        self._total = sum(map(self._rows_of, self.own_tables)) if show is not None else 0

    def _rows_of(self, table: str) -> int:
        found = self._source.execute(f"SELECT COUNT(*) FROM {quoted(table)}").fetchone()
        return int(found[0])

    def take(self, name: str) -> None:
        """Copy the rows of a table that both have."""
        table, own = quoted(name), self._target.columns(quoted(name))
        columns = [quoted(each) for each in self._source.columns(table) if each in own]
        order = " ORDER BY rowid" if name == "motion_tables" else ""
        if order:
            columns = [each for each in columns if each != quoted("rowid")]
        rows = self._source.stream(f"SELECT {', '.join(columns)} FROM {table}{order}")
        is_counted = name in self.own_tables
        self._target.insert(table, columns, self._counted(rows) if is_counted else rows)
        self._target.go_on_from(table, self._source.last_number(table))

    def _counted(self, rows: Iterator[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        for row in rows:
            self.count += 1
            if self._show is not None and self.count % SHOWN_EVERY == 0:
                self._show(max(self._total - self.count, 0))
            yield row


def _open_like(tx: Transaction, name: str, columns: Mapping[str, str]) -> None:
    """Make a table with these columns, or those of them that it has not: what triggers have left that are not there any more."""
    table = quoted(name)
    present = tx.columns(table)
    if not present:
        number = next(each for each in columns if each in NUMBERS)
        tx.execute(f"CREATE TABLE {table} ({quoted(number)} INTEGER PRIMARY KEY)")
        present = {number: "INTEGER"}
    for column, kind in columns.items():
        if column not in present:
            tx.execute(f"ALTER TABLE {table} ADD COLUMN {quoted(column)} {kind or 'TEXT'}")


def _copy_checkpoints(source: Transaction, target: Transaction, graph: Graph) -> None:
    """Copy how far folds have come, each value by its type. Of a fold on tables that are gone nothing is kept."""
    columns = ("trigger", "entity", "position", "place", "row", "value")
    for name, spec in known_triggers(target).items():
        fold = spec.fold
        if fold is None or not {fold.source, fold.target} <= {*graph.tables.names}:
            continue
        kinds = Layout(graph.tables.get(fold.source), graph).kinds_of_fold(spec)
        sql = (
            f"SELECT trigger, entity, position, CAST(place AS {kinds['order']}), CAST(row AS {kinds['id']}), "
            f"CAST(value AS {kinds['value']}) FROM motion_checkpoints WHERE trigger = ?"
        )
        target.insert("motion_checkpoints", columns, source.stream(sql, (name,)))
