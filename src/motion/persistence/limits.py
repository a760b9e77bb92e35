"""Limits: what a database takes of names and columns, refused with the reason before anything is made."""

from __future__ import annotations

from collections.abc import Iterable

from motion.backends.base import Transaction
from motion.definitions.graph import Graph
from motion.definitions.tables.schema import Table, check_names_of_tables, differing_in_case
from motion.errors import SchemaError, TriggerError

MOST_COLUMNS = 2_000
"""Of SQLite."""


def check_table_name(table: Table, stored: Iterable[str]) -> None:
    """Refuse a table called like one that is stored but for the case, or like what SQL reads of one: to a database they are one."""
    twin = differing_in_case([*stored, table.name])
    if twin:
        raise SchemaError(
            f"the store has a table {twin[0]!r}, and {twin[1]!r} differs from it in case only, which a database does not "
            f"tell apart; call it {twin[0]!r} or otherwise."
        )
    for each in stored:
        check_names_of_tables([each, table.name])


def check_trigger_names(tx: Transaction, graph: Graph) -> None:
    """Refuse a trigger called like one that the store had but for the case: what that made would count as its own."""
    known = [row[0] for row in tx.execute("SELECT name FROM motion_triggers ORDER BY name")]
    for name in graph.triggers:
        twin = next((each for each in known if each != name and each.lower() == name.lower()), None)
        if twin is not None and name not in known:
            raise TriggerError(
                f"the store knows a trigger {twin!r}, and {name!r} differs from it in case only, which a database does "
                f"not tell apart; call it {twin!r} or otherwise (name=, or the component's class)."
            )


def check_width(table: Table, columns: int) -> None:
    """Refuse a table with more columns than there can be."""
    if columns > MOST_COLUMNS:
        raise SchemaError(
            f"table {table.name!r} has {len(table.keys)} keys and needs {columns} columns with those that Motion keeps "
            f"beside them; a table has at most {MOST_COLUMNS}. Put keys that go together in a list, a dict or an array."
        )
