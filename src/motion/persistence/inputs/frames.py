"""Frames: which rows a window may hold at all, and what of a window says which are to be read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from motion.backends.base import Transaction
from motion.definitions.tables.windows import Window
from motion.definitions.values.codecs import INT64_MAX, Stored
from motion.persistence.layout import Layout

EACH = ("list", "distinct", "std")
"""What is made of each value that is held, however many there are."""


def frame_of(window: Window) -> Window:
    """Return a window with what matters for which rows are to be read: windows of one frame share them."""
    rows = 1 if window.agg == "last" else window.rows
    is_summed = window.within is None and rows is None and window.agg not in EACH
    is_summed = is_summed and not window.is_of_arrays
    return replace(window, rows=rows, agg="sum" if is_summed else "list")


def may_hold(other: Layout, window: Window, alias: str) -> tuple[str, list[Stored]]:
    """Return the rest of a condition: that a row has what a window holds, and the values that `where=` names.

    Args:
        other: the layout of the rows that may be held, which come from its `source` of what is held.
    """
    are_set = "".join(f" AND {other.value(name, alias)} IS NOT NULL" for name in window.names)
    narrowed, values = narrowing(other, window, alias)
    return are_set + narrowed, values


def narrowing(other: Layout, window: Window, alias: str) -> tuple[str, list[Stored]]:
    """Return the rest of a condition: that a row has the values which `where=` names. In it `{f0}`, `{f1}` stand for values."""
    sql, values = "", list[Stored]()
    for name, alike in _wanted(other, window):
        places = [f"{{f{len(values) + i}}}" for i in range(len(alike))]
        values += alike
        is_it = f"IN ({', '.join(places)})" if alike else "IS NULL"
        sql += f" AND {other.place(name, alias)} {is_it}"
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


def first_held(window: Window, order: Any) -> Any:
    """Return the first place in the order, in stored form, that a window may hold. It is in it, as the place before it may be
    no number of 64 bits. A row's own place always is, however large or endless: nothing lies between the two."""
    if isinstance(order, str):
        return _moved(order, MICROSECOND - _within(window))
    if isinstance(order, float):
        return min(math.nextafter(order - _milliseconds(window), math.inf), order)
    return min(max(order - window.within_ms + 1, LEAST), LARGEST)


def last_holding(window: Window, order: Any) -> Any:
    """Return the last place whose window may hold a row."""
    if isinstance(order, str):
        return _moved(order, _within(window) - MICROSECOND)
    if isinstance(order, float):  # a little later than it may be, as it is rounded
        return math.nextafter(order + _milliseconds(window), math.inf)
    return min(order + window.within_ms - 1, LARGEST)


def along(window: Window, orders: Sequence[Any]) -> tuple[Sequence[float], float]:
    """Return where places in the order are along a line, and how far back a window goes there."""
    if orders and isinstance(orders[0], str):
        return [_microseconds(each) for each in orders], _within(window) // MICROSECOND
    is_real = bool(orders) and isinstance(orders[0], float)
    return orders, _milliseconds(window) if is_real else window.within_ms or 0


def own_place(tx: Transaction, layout: Layout, window: Window, row: int) -> tuple[Any, Any, Any]:
    """Return what says which window a row has: its entity, its order, and its id, with its pages where it may have some."""
    own = [layout.place(key) for key in (window.own_by, window.own_order)]
    sql = f"SELECT {', '.join(own)}, {layout.names()} FROM {layout.base} r WHERE {layout.row} = ?"
    entity, order, *named = tx.execute(sql, (row,)).fetchone()
    return entity, order, named[0] if len(named) == 1 else tuple(named)


LEAST, LARGEST = -INT64_MAX - 1, INT64_MAX

MICROSECOND = timedelta(microseconds=1)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _within(window: Window) -> timedelta:
    assert window.within is not None
    return window.within


def _milliseconds(window: Window) -> float:
    return _within(window) / timedelta(milliseconds=1)


def _moved(moment: str, by: timedelta) -> str:
    """Return a moment that is so much later, as it is stored; before or after all where there is no such one."""
    try:
        return (datetime.fromisoformat(moment) + by).isoformat(timespec="microseconds")
    except OverflowError:
        return "" if by < timedelta(0) else "~"


def _microseconds(moment: str) -> int:
    return (datetime.fromisoformat(moment).replace(tzinfo=UTC) - EPOCH) // MICROSECOND


def _wanted(other: Layout, window: Window) -> Iterator[tuple[str, Sequence[Stored]]]:
    """Return the keys that `where=` names, and all stored forms of their values, none where it is to be unset."""
    for name, value in window.narrowed:
        codec = other.table.keys[name].codec
        yield name, () if value is None else codec.equals(value)
