"""Spaces: which vectors may be compared with each other, where a key does not keep them once for each state version.

Vectors of two state versions have nothing to do with each other, however alike their numbers look. Keys of
`refresh="before"` hold those of each version apart. Of any other key that a component's state made, a row has one vector,
and its trigger's mark tells the version: those of other versions than the one that is searched are left out. So are those that
another trigger made, which has set the key until now, where either of the two has a state.
"""

from __future__ import annotations

from collections.abc import Iterator

from motion.backends.base import Transaction
from motion.definitions.graph import Graph
from motion.definitions.tables.schema import Key
from motion.definitions.triggers.specs import TriggerSpec
from motion.persistence.layout import ORIGIN_MASK, Pins, as_text, done_column, quoted
from motion.persistence.layouts import Layouts
from motion.persistence.rows.handovers import has_former, maker_mark
from motion.persistence.states.versions import live_version


def is_one(layouts: Layouts, key: Key) -> bool:
    """Whether all vectors of a key, at a version, may be compared, whatever is in the store."""
    if key.name in layouts[key.table].versioned:
        return True
    is_new_to = (key.table, key.name) in layouts.graph.handed_over
    return not (is_new_to or any(_makers(layouts.graph, key)))


def in_one_space(tx: Transaction, layouts: Layouts, key: Key, pins: Pins) -> str | None:
    """Return the condition, on a row's `:row`, that its vector may be compared: it was made by the state version that
    is searched, or by none. None where all may: no vector of the key was ever made by another version."""
    layout = layouts[key.table]
    if key.name in layout.versioned:
        return None
    conditions = [*_not_of_former(tx, layouts, key)]
    for spec in _makers(layouts.graph, key):
        component = spec.components[0]  # the one whose version stands in marks
        version = pins.get(component) or live_version(tx, component)
        others = f"FROM motion_origins WHERE trigger = {as_text(spec.name)} AND version NOT IN (0, {version})"
        if version is not None and tx.execute(f"SELECT 1 {others} LIMIT 1").fetchone():
            mark = f"r.{done_column(spec.name)}"
            conditions.append(_is_not_made(layouts, spec, key, mark, f"SELECT origin {others}"))
    return " AND ".join(conditions) or None


def _not_of_former(tx: Transaction, layouts: Layouts, key: Key) -> Iterator[str]:
    """Give the condition that no other trigger with a state than the one that sets a key by now has made a row's value; nor any
    other one, where that has a state. It is not known to be of the version that is searched."""
    spec = layouts.graph.triggers.get(layouts.graph.producers.get((key.table, key.name), ""))
    if spec is None or not has_former(tx, layouts[key.table], spec):
        return
    others = f"FROM motion_origins WHERE trigger <> {as_text(spec.name)}"
    if not spec.components:
        others += " AND version <> 0"
    if tx.execute(f"SELECT 1 {others} LIMIT 1").fetchone():
        mark = maker_mark(tx, layouts[key.table], spec, key.name)
        yield _is_not_made(layouts, spec, key, mark, f"SELECT origin {others}")


def _makers(graph: Graph, key: Key) -> Iterator[TriggerSpec]:
    """Yield the triggers with a state that may have made a key's values."""
    producer = graph.producers.get((key.table, key.name))
    for spec in graph.triggers.values():
        if spec.components and (spec.name == producer or spec.sets_table == key.table):
            yield spec


def _is_not_made(layouts: Layouts, spec: TriggerSpec, key: Key, mark: str, origins: str) -> str:
    """Return the condition that a row's value was not made with code and state of these origins.

    Args:
        mark: the expression of the mark of what made it, on the row `r` that the trigger ran on.
    """
    layout = layouts[key.table]
    # Its columns have names of their own: an outer `:row` would be taken for that of a table in here.
    if spec.sets_table:
        source = layouts[spec.table]
        joined = f'{source.base} r ON r.{source.row_column} = m.":made_from" AND m.":made_by" = {as_text(spec.name)}'
    else:
        level = layouts.graph.row_level(spec)
        pages = [(quoted(page), page in level) for page in layout.table.page_keys]
        same = [
            "r.id = m.id",
            *(f"r.{page} = {f'm.{page}' if told else 0}" for page, told in pages),
        ]
        joined = f"{layout.base} r ON {' AND '.join(same)}"
    made = f"SELECT m.{layout.row_column} AS n, {mark} AS mark FROM {layout.base} m JOIN {joined}"
    return f'NOT EXISTS (SELECT 1 FROM ({made}) WHERE n = ":row" AND mark & {ORIGIN_MASK} IN ({origins}))'
