"""Frames: which rows a window may hold at all, and what of a window says which are to be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from motion.definitions.tables.windows import Window
from motion.definitions.values.codecs import Stored
from motion.persistence.layout import Layout, quoted


def frame_of(window: Window) -> Window:
    """Return a window with what matters for which rows are to be read: windows of one frame share them."""
    rows = 1 if window.agg == "last" else window.rows
    is_summed = window.within is None and rows is None and window.agg != "list"
    return replace(window, rows=rows, agg="sum" if is_summed else "list")


def narrowing(other: Layout, window: Window, alias: str) -> tuple[str, list[Stored]]:
    """Return the rest of a condition: that a row has the values which `where=` names. In it `{f0}`, `{f1}` stand for values.

    Args:
        other: the layout of the rows that may be held.
    """
    sql, values = "", list[Stored]()
    for name, alike in _wanted(other, window):
        places = [f"{{f{len(values) + i}}}" for i in range(len(alike))]
        values += alike
        is_it = f"IN ({', '.join(places)})" if alike else "IS NULL"
        sql += f" AND {alias}.{quoted(name)} {is_it}"
    return sql, values


def are_wanted(
    other: Layout, window: Window, columns: Mapping[str, Sequence[Stored]], count: int
) -> Sequence[bool]:
    """Return of rows by column which have the values that `where=` names."""
    found = [True] * count
    for name, alike in _wanted(other, window):
        wanted = alike or (None,)
        found = [
            is_it and value in wanted for is_it, value in zip(found, columns[name], strict=True)
        ]
    return found


def _wanted(other: Layout, window: Window) -> Iterator[tuple[str, Sequence[Stored]]]:
    """Return the keys that `where=` names, and all stored forms of their values, none where it is to be unset."""
    for name, value in window.narrowed:
        codec = other.table.keys[name].codec
        yield name, () if value is None else codec.equals(value)
