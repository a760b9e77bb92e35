"""Listed: which rows' lists an id is in, for keys that hold lists by which rows look others up.

`motion_listed_<table>:<key>` has a row for each id in a list, as text, and for the row that holds the list. The database itself
keeps it, as all ways in which a list changes go through there. It says what the rows say, in another order: so it is made
from them whenever it is not there, and dropped when no lookup needs it any more.
"""

from __future__ import annotations

from collections.abc import Mapping

from motion.backends.base import RowTrigger, Transaction
from motion.definitions.tables.lookups import Lookup
from motion.persistence.layout import Layout, is_listed_as, listed_table, quoted

PREFIX = "motion_listed_"


LARGEST = "9223372036854774784.0"
"""Above every float that is an id as well, nearly."""


def is_whole(layout: Layout, lookup: Lookup) -> str:
    """Return the condition that there is what a row looks up by a list: all of it, unless it may have gaps."""
    by, target = layout.inherited_value(lookup.bys[0]), layout.graph.tables.get(lookup.table)
    if lookup.has_gaps:
        return f"{by} IS NOT NULL"
    other, kind = Layout(target, layout.graph), target.keys[lookup.to_key].codec.sql_type
    named = f"CAST(j.atom AS {kind})"
    if kind == "INTEGER":  # a list may hold a number that no id can be
        named = f"CASE WHEN ABS(CAST(j.atom AS REAL)) < {LARGEST} THEN {named} END"
    value = (
        f"SELECT {other.value(lookup.name, 'x')} FROM {other.source([lookup.name], 'x')} "
        f"WHERE x.{quoted(lookup.to_key)} = {named}"
        f"{other.and_first('x')} ORDER BY x.id LIMIT 1"
    )
    lacks = f"SELECT 1 FROM json_tree({by}) j WHERE j.atom IS NOT NULL AND ({value}) IS NULL"
    return f"({by} IS NOT NULL AND NOT EXISTS ({lacks}))"


def open_lists(tx: Transaction, layout: Layout) -> None:
    """Make what the graph needs, from the rows that are there, and drop what none needs any more."""
    made = set(tx.objects("trigger", layout.base.strip('"')))
    present = set(_tables(tx, layout.table.name))
    wanted = {listed_table(layout.table.name, key).strip('"'): key for key in layout.lists}
    for name in sorted(present - wanted.keys()):
        _drop(tx, layout, name)
    for name, key in wanted.items():
        keepers = _keepers(layout, key)
        if name not in present or not keepers.keys() <= made:
            _drop(tx, layout, name)
            _make(tx, layout, key)
            for keeper in keepers.values():
                tx.make_trigger(keeper)


def drop_lists(tx: Transaction, table: str) -> None:
    """Drop what is kept of a table's lists; the triggers that keep it are gone."""
    for name in _tables(tx, table):
        tx.execute(f"DROP TABLE {quoted(name)}")


def _tables(tx: Transaction, table: str) -> list[str]:
    return [name for name in tx.tables() if name.startswith(f"{PREFIX}{table}:")]


def _drop(tx: Transaction, layout: Layout, name: str) -> None:
    for event in EVENTS:
        tx.drop_trigger(f"{name}:{event}", layout.base)
    tx.execute(f"DROP TABLE IF EXISTS {quoted(name)}")


def _make(tx: Transaction, layout: Layout, key: str) -> None:
    """Make the table of a key, from all rows: in its own order, so that nothing of it is moved."""
    listed = listed_table(layout.table.name, key)
    tx.execute(
        f"CREATE TABLE {listed} (value TEXT NOT NULL, row INTEGER NOT NULL, PRIMARY KEY (value, row)) WITHOUT ROWID"
    )
    tx.execute(
        f"INSERT INTO {listed} (value, row) SELECT DISTINCT {is_listed_as('j.atom')}, {layout.row} "
        f"FROM {layout.base} r CROSS JOIN json_tree(r.{quoted(key)}) j WHERE j.atom IS NOT NULL ORDER BY 1, 2"
    )


EVENTS = ("INSERT", "UPDATE", "DELETE")


def _keepers(layout: Layout, key: str) -> Mapping[str, RowTrigger]:
    """Return the database's own triggers that keep it, by name."""
    listed, column, row = listed_table(layout.table.name, key), quoted(key), layout.row_column
    old, new = _ids_in(f"OLD.{column}"), _ids_in(f"NEW.{column}")
    come = f"INSERT INTO {listed} (value, row) SELECT i.value, NEW.{row} FROM ({{}}) i;"
    go = f"DELETE FROM {listed} WHERE row = OLD.{row} AND value IN ({{}});"
    moves = f"{go.format(f'{old} EXCEPT {new}')} {come.format(f'{new} EXCEPT {old}')}"
    is_other = f"OLD.{column} IS DISTINCT FROM NEW.{column}"
    rules = (
        ("INSERT", "INSERT", f"NEW.{column} IS NOT NULL", come.format(new)),
        ("UPDATE", f"UPDATE OF {column}", is_other, moves),
        ("DELETE", "DELETE", f"OLD.{column} IS NOT NULL", go.format(old)),
    )
    named = listed.strip('"')
    made = [RowTrigger(f"{named}:{each}", layout.base, *rule) for each, *rule in rules]
    return {each.name: each for each in made}


def _ids_in(expression: str) -> str:
    """Return the query for the ids in a list, each once."""
    value = f"{is_listed_as('j.atom')} AS value"
    return f"SELECT DISTINCT {value} FROM json_tree({expression}) j WHERE j.atom IS NOT NULL"
