"""Shown: what pages show of the keys that windows go by, kept in their own rows.

A page shows keys that only page 0 stores, and windows find rows by what they show. So each row of a table with page keys has a
column `<key>:shown` for each of these keys that pages may inherit. Triggers of the database keep it, as they see every
write, of whichever row: it is a row's own value, or else the one of its page 0, which changes with that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b

from motion.backends.base import RowTrigger, Transaction
from motion.persistence.layout import Layout, quoted, shown_column
from motion.persistence.ranges import parts_of

PREFIX = "motion_shown_"
"""What the names of these triggers begin with."""


def keepers(layout: Layout) -> Mapping[str, RowTrigger]:
    """Return the database's own triggers that keep what pages show, by name."""
    made: dict[str, RowTrigger] = {}
    for key in layout.shown_keys:
        for event, condition, action in _rules(layout, key):
            text = repr((layout.base, key, event, condition, action)).encode()
            name = f"{PREFIX}{blake2b(text, digest_size=8).hexdigest()}"
            made[name] = RowTrigger(name, layout.base, event, condition, action)
    return made


def _rules(layout: Layout, key: str) -> Iterator[tuple[str, str, str]]:
    """Give the event, condition and action of what keeps one key."""
    column, moved = quoted(key), f"OLD.{quoted(key)} IS DISTINCT FROM NEW.{quoted(key)}"
    is_new = f"NEW.{column} IS NOT NULL"
    yield "INSERT", "1 = 1", _show_own(layout, key)
    yield "INSERT", f"{is_new} AND {_is_above(layout, key, 'NEW')}", _show_below(layout, key, "NEW")
    yield f"UPDATE OF {column}", moved, _show_own(layout, key)
    yield f"UPDATE OF {column}", f"{moved} AND {_is_above(layout, key, 'NEW')}", _show_below(layout, key, "NEW")  # fmt: skip
    went = f"OLD.{column} IS NOT NULL AND {_is_above(layout, key, 'OLD')}"
    yield "DELETE", went, _show_below(layout, key, "OLD", value="NULL")


def _show_own(layout: Layout, key: str) -> str:
    row = layout.row_column
    return (
        f"UPDATE {layout.base} SET {shown_column(key)} = COALESCE({quoted(key)}, ({_above(layout, key, layout.base)})) "
        f"WHERE {row} = NEW.{row};"
    )


def _show_below(layout: Layout, key: str, row: str, *, value: str = "") -> str:
    """Return what lets the pages that have no value of their own show the one of a row that they inherit from."""
    level = layout.graph.levels[layout.table.name][key]
    same = [
        f"{quoted(page)} = {row}.{quoted(page)}" for page in layout.table.page_keys if page in level
    ]
    below = " AND ".join(
        [f"id = {row}.id", *same, f"{quoted(key)} IS NULL", f"{layout.row_column} <> {row}.{layout.row_column}"]
    )  # fmt: skip
    return f"UPDATE {layout.base} SET {shown_column(key)} = {value or f'{row}.{quoted(key)}'} WHERE {below};"


def _is_above(layout: Layout, key: str, row: str) -> str:
    """Return the condition that other rows may inherit a key from a row."""
    level = layout.graph.levels[layout.table.name][key]
    return " AND ".join(
        f"{row}.{quoted(page)} = 0" for page in layout.table.page_keys if page not in level
    )


def _above(layout: Layout, key: str, row: str) -> str:
    """Return the query for what a row inherits of a key."""
    level = layout.graph.levels[layout.table.name][key]
    return f"SELECT z.{quoted(key)} FROM {layout.base} z WHERE {layout.is_above('z', row, level)}"


def fill(tx: Transaction, layout: Layout) -> None:
    """Write what rows show, where it is about to be kept from now on."""
    shown = [
        f"{shown_column(key)} = COALESCE({quoted(key)}, ({_above(layout, key, layout.base)}))"
        for key in layout.shown_keys
    ]
    if shown:
        tx.execute(f"UPDATE {layout.base} SET {', '.join(shown)}")


def rows_showing(tx: Transaction, layout: Layout, key: str, rows: Sequence[int]) -> Sequence[int]:
    """Return the rows that show another value since a key has changed in some: these, and those that inherit it."""
    return sorted({*rows, *rows_below(tx, layout, key, rows)}) if key in layout.shown_keys else rows


def rows_below(tx: Transaction, layout: Layout, key: str, rows: Sequence[int]) -> Sequence[int]:
    """Return the rows that inherit a key from rows."""
    found: set[int] = set()
    level = layout.graph.levels[layout.table.name][key]
    same = [
        f"x.{quoted(page)} = r.{quoted(page)}" for page in layout.table.page_keys if page in level
    ]
    for part in parts_of(rows):
        sql = (
            f"SELECT x.{layout.row_column} FROM {layout.base} r JOIN {layout.base} x ON {' AND '.join(['x.id = r.id', *same])} "
            f"WHERE {part.condition(layout.row)} AND {_is_above(layout, key, 'r')} AND x.{quoted(key)} IS NULL"
        )
        found.update(int(row[0]) for row in tx.execute(sql, part.numbers))
    return sorted(found)
