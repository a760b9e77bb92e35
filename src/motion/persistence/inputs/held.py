"""Held: what windows hold as of rows. The rows of one entity that lie near each other are answered from one reading of
what they hold, and what is made of it goes on from row to row: an append in order costs the same however long its window.

Sums of floats are exact before they are rounded once. So they are the same whatever they are taken with, before a write or
by a task, one row or a thousand at a time, and on any database.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import Any

from motion.backends.base import Transaction
from motion.definitions.tables.windows import Window
from motion.definitions.values.codecs import Stored
from motion.persistence.layout import Layout, changed_column, quoted
from motion.persistence.many import select_for_each

HeldRow = tuple[int, Any, Any, Any, int]
"""A row that may be held: the number of its stretch, its order, its id, its value, and the number of its last change."""

Asked = HeldRow
"""A row that is asked about, likewise; in place of the last number stands its position among all of them."""

SUMMED_AT_ONCE = 32
"""Floats that are summed for each row anew, where a window holds no more."""


@dataclass(frozen=True)
class Head:
    """What is known of all rows before those that were read one by one.

    Attributes:
        numbers: the sum of their numbers.
        total: of their values, exact: of floats in units of the smallest one.
        endless: the sum of those floats that are infinite.
    """

    count: int = 0
    numbers: int = 0
    total: int = 0
    endless: float = 0.0
    least: Any = None
    most: Any = None


NO_HEAD = Head()


@dataclass(frozen=True)
class Held:
    """What the windows of some rows hold. A stretch is of rows of one entity that lie near each other.

    Attributes:
        window: with `agg` "sum" where it is enough to know of the first rows what they come to.
        count: how many rows were asked about, those without a window included.
        asked: those with one, stretch by stretch, in their order.
        rows: that may be held, stretch by stretch, in their order.
        heads: of some stretches, what is before these.
    """

    window: Window
    is_own: bool
    is_real: bool
    count: int
    asked: list[Asked]
    rows: list[HeldRow]
    heads: Mapping[int, Head]

    def with_own(self) -> Held:
        """Return it with the rows themselves that are asked about. It has no fences."""
        rows = [*self.rows, *(each for each in self.asked if each[3] is not None)]
        rows.sort()  # two runs, each in order
        return replace(self, rows=rows)

    def differing(self, other: Held) -> set[int]:
        """Return the positions of the rows for which it is another than what was read of the same."""
        stretches = {row[0] for row in set(self.rows) ^ set(other.rows)}
        for stretch in self.heads.keys() | other.heads.keys():
            if self.heads.get(stretch) != other.heads.get(stretch):
                stretches.add(stretch)
        return {each[4] for each in self.asked if each[0] in stretches}

    def values(self, window: Window) -> list[Any]:
        """Return what is made of what the windows hold, in stored form, lists as lists; None where a row has none."""
        return self._placed(_MAKERS[window.agg](self._frames))

    def fences(self) -> list[str | None]:
        """Return what becomes another where a row comes into a window, changes there, or leaves it. As each change has a
        larger number than all before, the sum of the numbers grows where as many rows are left as there were."""
        return self._placed(_fences(self._frames))

    def _placed(self, values: Sequence[Any]) -> list[Any]:
        found: list[Any] = [None] * self.count
        for each, value in zip(self.asked, values, strict=True):
            found[each[4]] = value
        return found

    @cached_property
    def _frames(self) -> _Frames:
        return _Frames(self, self._bounds())

    def _bounds(self) -> tuple[list[int], list[int]]:
        """Return from where to where the rows of each window stand. Both ends only ever move on."""
        rows, window, count = self.rows, self.window, len(self.rows)
        within, limit = window.within_ms, window.rows
        starts, ends = list[int](), list[int]()
        last, start, end = -1, 0, 0
        for each in self.asked:
            stretch, order = each[0], each[1]
            if stretch != last:
                last = stretch
                while end < count and rows[end][0] < stretch:
                    end += 1
                start = end
            if self.is_own:
                place = each[
                    :3
                ]  # before the row itself as it is held, which goes on behind its name
                while end < count and rows[end] < place:
                    end += 1
                stop = end + (window.itself and end < count and rows[end][:3] == place)
            else:
                upto = stretch, order
                while end < count and rows[end][:2] <= upto:
                    end += 1
                stop = end
            if within is not None:
                while start < stop and rows[start][1] <= order - within:
                    start += 1
            starts.append(start if limit is None else max(start, stop - limit))
            ends.append(stop)
        return starts, ends


# -- what is made of it --


class _Frames:
    """The windows of rows, each a part of the rows that were read."""

    def __init__(self, held: Held, bounds: tuple[list[int], list[int]]) -> None:
        self.rows, self.is_real = held.rows, held.is_real
        self.starts, self.ends = bounds
        self.has_heads = bool(held.heads)
        self._held = held

    @property
    def bounds(self) -> Iterator[tuple[int, int]]:
        return zip(self.starts, self.ends, strict=True)

    @cached_property
    def heads(self) -> list[Head]:
        """What is before each window."""
        known = self._held.heads
        return [known.get(each[0], NO_HEAD) for each in self._held.asked]

    @cached_property
    def stretches(self) -> list[int]:
        return [each[0] for each in self._held.asked]

    @cached_property
    def values(self) -> list[Any]:
        return [row[3] for row in self.rows]

    @cached_property
    def is_finite(self) -> bool:
        endless = any(head.endless for head in self._held.heads.values())
        return not endless and all(map(math.isfinite, self.values))

    @cached_property
    def totals(self) -> list[int]:
        """The sum of the values before each place, exact."""
        values = map(_units, self.values) if self.is_real else self.values
        return list(accumulate(values, initial=0))

    @cached_property
    def numbers(self) -> list[int]:
        return list(accumulate((row[4] for row in self.rows), initial=0))


def _counts(frames: _Frames) -> list[int]:
    found = [end - start for start, end in frames.bounds]
    if not frames.has_heads:
        return found
    return [head.count + each for head, each in zip(frames.heads, found, strict=True)]


def _sums(frames: _Frames) -> list[Any]:
    if frames.is_real:
        return _real_sums(frames)
    totals = frames.totals
    found = [totals[end] - totals[start] for start, end in frames.bounds]
    if not frames.has_heads:
        return found
    return [head.total + each for head, each in zip(frames.heads, found, strict=True)]


def _real_sums(frames: _Frames) -> list[float | None]:
    values = frames.values
    if not frames.is_finite:
        pairs = zip(frames.heads, frames.bounds, strict=True)
        return [_sum_of_any(head, values[start:end]) for head, (start, end) in pairs]
    if frames.has_heads:
        pairs = zip(frames.heads, frames.bounds, strict=True)
        totals = frames.totals
        return [_rounded(head.total + totals[end] - totals[a]) for head, (a, end) in pairs]
    return [
        _sum_of_few(values[start:end])
        if end - start <= SUMMED_AT_ONCE
        else _rounded(frames.totals[end] - frames.totals[start])
        for start, end in frames.bounds
    ]


def _sum_of_few(values: Sequence[float]) -> float:
    try:
        return math.fsum(values)
    except OverflowError:  # on the way, if not at the end
        return _rounded(sum(map(_units, values)))


def _sum_of_any(head: Head, values: Sequence[float]) -> float | None:
    """Return a sum in which some values may be infinite, None where they are so in both directions."""
    endless = head.endless + sum(each for each in values if not math.isfinite(each))
    if endless:
        return None if math.isnan(endless) else endless
    return _rounded(head.total + sum(map(_units, values)))


SMALLEST = 1074
"""The smallest float above 0 is 2 to the power of minus this."""


def _units(value: float) -> int:
    """Return a float as what it is exactly, a number of smallest ones."""
    above, below = value.as_integer_ratio()
    return above << (SMALLEST + 1 - below.bit_length())


def _rounded(units: int) -> float:
    try:
        return units / (1 << SMALLEST)
    except OverflowError:
        return math.inf if units > 0 else -math.inf


def _means(frames: _Frames) -> list[Any]:
    pairs = zip(_sums(frames), _counts(frames), strict=True)
    return [total / count if count and total is not None else None for total, count in pairs]


def _least(frames: _Frames) -> list[Any]:
    return _extremes(frames, min, [head.least for head in frames.heads])


def _most(frames: _Frames) -> list[Any]:
    return _extremes(frames, max, [head.most for head in frames.heads])


def _extremes(frames: _Frames, choose: Callable[..., Any], before: Sequence[Any]) -> list[Any]:
    values, found = frames.values, list[Any]()
    last, last_start, last_end = -1, 0, 0
    for stretch, head, (start, end) in zip(frames.stretches, before, frames.bounds, strict=True):
        if stretch == last and start == last_start:  # it goes on from the one before
            known, further = found[-1], values[last_end:end]
        else:
            known, further = head, values[start:end]
        found.append(choose(further, default=None) if known is None else choose([known, *further]))
        last, last_start, last_end = stretch, start, end
    return found


def _last(frames: _Frames) -> list[Any]:
    values = frames.values
    return [values[end - 1] if end > start else None for start, end in frames.bounds]


def _lists(frames: _Frames) -> list[Any]:
    values = frames.values
    return [values[start:end] for start, end in frames.bounds]


def _fences(frames: _Frames) -> list[str]:
    numbers = frames.numbers
    return [
        f"{head.count + end - start}:{head.numbers + numbers[end] - numbers[start]}"
        for head, (start, end) in zip(frames.heads, frames.bounds, strict=True)
    ]


_MAKERS: Mapping[str, Callable[[_Frames], list[Any]]] = {
    "list": _lists, "count": _counts, "sum": _sums, "mean": _means, "min": _least, "max": _most, "last": _last,
}  # fmt: skip


# -- reading --


def frame_of(window: Window) -> Window:
    """Return a window with what matters for which rows are to be read: windows of one frame share them."""
    rows = 1 if window.agg == "last" else window.rows
    is_summed = window.within is None and rows is None and window.agg != "list"
    return replace(window, rows=rows, agg="sum" if is_summed else "list")


def read_held(
    tx: Transaction,
    own: Layout,
    frame: Window,
    entities: Iterable[Stored],
    orders: Iterable[Stored],
    ids: Iterable[Stored],
    values: Iterable[Stored] = itertools.repeat(None),
) -> Held:
    """Read what windows of one frame hold as of rows, each given by its entity, its order and its id.

    Args:
        own: the layout of the rows' table.
        values: of the rows themselves, where they are new and hold each other.
    """
    of_entity: dict[Stored, list[Asked]] = {}
    position = -1
    columns = zip(entities, orders, ids, values)  # noqa: B905 - values may be endless
    for position, (entity, order, row_id, value) in enumerate(columns):
        if entity is not None and order is not None:
            known = of_entity.get(entity)
            if known is None:
                of_entity[entity] = [(len(of_entity), order, row_id, value, position)]
            else:
                known.append((known[0][0], order, row_id, value, position))
    other = Layout(own.graph.tables.get(frame.table), own.graph)
    is_own = other.table.name == own.table.name
    is_real = other.table.keys[frame.name].codec.sql_type == "REAL"
    asked, named = _stretches(of_entity, frame.within_ms)
    rows, heads = _Reading(tx, other, frame, is_real).read(*named) if asked else ([], {})
    return Held(frame, is_own, is_real, position + 1, asked, rows, heads)


def _stretches(
    of_entity: Mapping[Stored, list[Asked]], within: int | None
) -> tuple[list[Asked], tuple[list[Any], list[Any], list[Any]]]:
    """Return rows stretch by stretch, and of each stretch the entity, and the first and the last order: an entity's rows are
    parted where nothing between them is held by any."""
    found: list[Asked] = []
    entities, firsts, lasts = list[Any](), list[Any](), list[Any]()
    for entity, asked in of_entity.items():
        asked.sort()
        for part in _parted(asked, within):
            stretch = len(entities)
            entities.append(entity)
            firsts.append(part[0][1])
            lasts.append(part[-1][1])
            found += part if part[0][0] == stretch else [(stretch, *each[1:]) for each in part]
    return found, (entities, firsts, lasts)


def _parted(asked: list[Asked], within: int | None) -> list[list[Asked]]:
    if within is None or asked[-1][1] - asked[0][1] <= within:
        return [asked]
    parts = [asked[:1]]
    for before, each in itertools.pairwise(asked):
        if each[1] - within > before[1]:
            parts.append([])
        parts[-1].append(each)
    return parts


class _Reading:
    """Reads what stretches of one frame hold: all of them in one statement, where JSON can name them."""

    def __init__(self, tx: Transaction, other: Layout, frame: Window, is_real: bool) -> None:
        self._tx, self._other, self._frame, self._is_real = tx, other, frame, is_real
        self._by, self._at = quoted(frame.other_by), quoted(frame.other_order)
        self._value = f"w.{quoted(frame.name)}"
        numbers = [f"COALESCE(w.{changed_column(key)}, 0)" for key in frame.held_keys]
        self._number = numbers[0] if len(numbers) == 1 else f"MAX({', '.join(numbers)})"
        self._row = f"w.{self._at}, w.id, {self._value}, {self._number}"
        self._is_set = f"{self._value} IS NOT NULL"

    def read(
        self, entities: Sequence[Stored], firsts: Sequence[Any], lasts: Sequence[Any]
    ) -> tuple[list[HeldRow], Mapping[int, Head]]:
        """Return the rows that stretches may hold, and what is before them."""
        frame = self._frame
        until = f"w.{self._by} = {{0}} AND {self._is_set} AND w.{self._at} <= {{1}}"
        if frame.within_ms is not None:
            starts = [first - frame.within_ms for first in firsts]
            rows = self._rows(f"{until} AND w.{self._at} > {{2}}", (entities, lasts, starts))
        elif frame.rows is None and frame.agg == "list":
            rows = self._rows(until, (entities, lasts))
        else:
            rows = self._rows(f"{until} AND w.{self._at} >= {{2}}", (entities, lasts, firsts))
        heads: Mapping[int, Head] = {}
        if frame.agg == "sum":
            heads = self._heads(entities, firsts)
        elif frame.within_ms is None and frame.rows is not None:
            rows += self._latest(frame.rows, entities, firsts)
        rows.sort()
        return rows, heads

    def _rows(self, condition: str, named: Sequence[Sequence[Stored]]) -> list[HeldRow]:
        return self._each(self._row, condition, named)

    def _latest(
        self, limit: int, entities: Sequence[Stored], firsts: Sequence[Stored]
    ) -> list[HeldRow]:
        """Return the last rows before the first that is asked about."""
        x, row = self._other.base, self._other.row_column
        condition = (
            f"w.{row} IN (SELECT x.{row} FROM {x} x WHERE x.{self._by} = {{0}} AND x.{quoted(self._frame.name)} IS NOT NULL "
            f"AND x.{self._at} < {{1}} ORDER BY x.{self._at} DESC, x.id DESC LIMIT {limit})"
        )
        return self._rows(condition, (entities, firsts))

    def _heads(self, entities: Sequence[Stored], firsts: Sequence[Stored]) -> dict[int, Head]:
        """Return what the rows before the first that is asked about come to."""
        condition = f"w.{self._by} = {{0}} AND {self._is_set} AND w.{self._at} < {{1}}"
        if self._is_real:
            return self._real_heads(condition, (entities, firsts))
        # in two halves, as the database's sums are of 64 bits
        halves = [f"SUM({self._value} >> 32)", f"SUM({self._value} & 4294967295)"]
        if "INT" not in self._other.table.keys[self._frame.name].codec.sql_type:
            halves = ["0", "0"]  # of texts there is no sum
        ends = [f"MIN({self._value})", f"MAX({self._value})"]
        columns = ", ".join(["COUNT(*)", f"SUM({self._number})", *halves, *ends])
        found = self._each(columns, condition, (entities, firsts), is_grouped=True)
        return {
            place: Head(count, numbers, (high << 32) + low, 0.0, least, most)
            for place, count, numbers, high, low, least, most in found
            if count
        }

    def _real_heads(self, condition: str, named: Sequence[Sequence[Stored]]) -> dict[int, Head]:
        found: dict[int, Head] = {}
        for place, value, number in self._each(f"{self._value}, {self._number}", condition, named):
            head, is_finite = found.get(place, NO_HEAD), math.isfinite(value)
            found[place] = Head(
                head.count + 1,
                head.numbers + number,
                head.total + (_units(value) if is_finite else 0),
                head.endless + (0.0 if is_finite else value),
                value if head.least is None else min(head.least, value),
                value if head.most is None else max(head.most, value),
            )
        return found

    def _each(
        self,
        columns: str,
        condition: str,
        named: Sequence[Sequence[Stored]],
        *,
        is_grouped: bool = False,
    ) -> list[Any]:
        source = f"{self._other.base} w"
        order = self._other.sql_type(self._frame.other_order)
        kinds = (self._other.sql_type(self._frame.other_by), order, order)
        return select_for_each(
            self._tx, columns, source, condition, named, kinds, is_grouped=is_grouped
        )
