"""Rows that a trigger's former code made in a table where the present one makes none.

They are stale like any value of former code, and go when the trigger runs again on the row that they were made from. So it is kept
in which tables there are such rows, until there are none.
"""

from __future__ import annotations

from collections.abc import Container, Mapping

from motion.backends.base import Transaction
from motion.definitions.graph import Graph
from motion.definitions.triggers.specs import TriggerSpec
from motion.errors import TriggerError
from motion.persistence.layout import rows_table
from motion.persistence.stored_graph import made_before


def note_former_rows(
    tx: Transaction, graph: Graph, known: Mapping[str, TriggerSpec], tables: Container[str]
) -> None:
    """Note where triggers of a graph made rows by their former code. Looks up one row for each such table.

    Args:
        known: the triggers as the store knew them.
        tables: those that the store has.

    Raises:
        TriggerError: a trigger is on another table now, so it would never run on what its rows were made from.
    """
    for name, spec in graph.triggers.items():
        former = known.get(name)
        place = former.makes_rows_in if former is not None else None
        if former is None or place is None or place not in tables or former.event or spec.event:
            continue
        if former.table != spec.table and _is_any_left(tx, name, place):
            raise TriggerError(_told(former, spec, place))
        if place != spec.makes_rows_in:
            sql = "INSERT INTO motion_made_before (trigger, name) VALUES (?, ?) ON CONFLICT DO NOTHING"
            tx.execute(sql, (name, place))
    for name, places in made_before(tx).items():
        now = graph.triggers[name].makes_rows_in if name in graph.triggers else None
        for place in places:
            if place == now or place not in tables or not _is_any_left(tx, name, place):
                sql = "DELETE FROM motion_made_before WHERE trigger = ? AND name = ?"
                tx.execute(sql, (name, place))
    graph.made_before = made_before(tx)


def _is_any_left(tx: Transaction, trigger: str, table: str) -> bool:
    made = f'SELECT 1 FROM {rows_table(table)} WHERE ":made_by" = ? LIMIT 1'
    noted = "SELECT 1 FROM motion_makers WHERE trigger = ? AND name = ? LIMIT 1"
    return bool(
        tx.execute(made, (trigger,)).fetchone() or tx.execute(noted, (trigger, table)).fetchone()
    )


def _told(former: TriggerSpec, spec: TriggerSpec, place: str) -> str:
    return (
        f"trigger {spec.name!r} made rows of {place!r} from rows of {former.table!r} until now, and runs on {spec.table!r} in "
        f"this code, so it would never run again on what these were made from. Nothing was changed. Give the new one another "
        f"name: what was made stays, and goes with the rows that it was made from."
    )
