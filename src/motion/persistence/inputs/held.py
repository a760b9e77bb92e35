"""Held: what windows hold as of rows. The rows of one entity that lie near each other are answered from one reading of
what they hold, and what is made of it goes on from row to row: an append in order costs the same however long its window.

Sums of floats are exact before they are rounded once. So they are the same whatever they are taken with, before a write or
by a task, one row or a thousand at a time, and on any database.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from motion.backends.base import Transaction
from motion.definitions.tables.windows import Window
from motion.definitions.values.codecs import Stored
from motion.persistence.inputs.frames import LARGEST, LEAST, along, first_held, may_hold
from motion.persistence.layout import NO_PINS, Layout, Pins
from motion.persistence.many import select_for_each

Numbers = NDArray[np.int64]

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


class Asked(NamedTuple):
    """Rows that are asked about, by column, without those that have no window.

    Attributes:
        positions: among all of them.
        entities: their numbers.
        values: of the rows themselves, where they are new and hold each other.
    """

    positions: Sequence[int]
    entities: Sequence[int]
    orders: Sequence[Any]
    ids: Sequence[Any]
    values: Sequence[Any]


class Rows(NamedTuple):
    """Rows that may be held, by column; the last one is of the numbers of their last changes."""

    entities: Sequence[int] = ()
    orders: Sequence[Any] = ()
    ids: Sequence[Any] = ()
    values: Sequence[Any] = ()
    numbers: Sequence[int] = ()


@dataclass(frozen=True)
class Held:
    """What the windows of some rows hold.

    Attributes:
        window: with `agg` "sum" where it is enough to know of the first rows what they come to.
        count: how many rows were asked about, those without a window included.
        heads: of some entities, what is before the rows that were read.
    """

    window: Window
    is_own: bool
    is_real: bool
    count: int
    asked: Asked
    rows: Rows
    heads: Mapping[int, Head]

    def with_own(self) -> Held:
        """Return it with the rows themselves that are asked about. It has no fences."""
        _, *columns = self.asked
        if None in self.asked.values:
            own = [i for i, value in enumerate(self.asked.values) if value is not None]
            columns = [[column[i] for i in own] for column in columns]
        pairs = zip(self.rows, [*columns, [0] * len(columns[0])], strict=True)
        return replace(self, rows=Rows(*([*read, *given] for read, given in pairs)))

    def differing(self, other: Held) -> set[int]:
        """Return the positions of the rows for which it is another than what was read of the same."""
        rows, others = (set(zip(*each.rows, strict=True)) for each in (self, other))
        entities = {row[0] for row in rows ^ others}
        for entity in self.heads.keys() | other.heads.keys():
            if self.heads.get(entity) != other.heads.get(entity):
                entities.add(entity)
        pairs = zip(self.asked.positions, self.asked.entities, strict=True)
        return {position for position, entity in pairs if entity in entities}

    def values(self, window: Window) -> list[Any]:
        """Return what is made of what the windows hold, in stored form, lists as lists; None where a row has none."""
        return self._placed(_MAKERS[window.agg](self._frames))

    def rows_of(self, position: int) -> list[tuple[Any, Any, Any, int]]:
        """Return the rows that a window holds, in their order: order, id, value and the number of the last change of each."""
        if position not in self.asked.positions:
            return []
        frames, place = self._frames, self.asked.positions.index(position)
        chosen = frames.order[frames.starts[place] : frames.ends[place]]
        columns = self.rows[1:]
        return [tuple(column[i] for column in columns) for i in chosen]  # type: ignore[misc]  # four

    def fences(self) -> list[str | None]:
        """Return what becomes another where a row comes into a window, changes there, or leaves it. As each change has a
        larger number than all before, the sum of the numbers grows where as many rows are left as there were. Of a window of
        some rows an earlier one takes the place of one that leaves, and is as it was: it is the first one then."""
        return self._placed(_fences(self._frames))

    def _placed(self, values: list[Any]) -> list[Any]:
        if len(values) == self.count:
            return values
        found: list[Any] = [None] * self.count
        for position, value in zip(self.asked.positions, values, strict=True):
            found[position] = value
        return found

    @cached_property
    def _frames(self) -> _Frames:
        entities, rows_entities = _array(self.asked.entities), _array(self.rows.entities)
        begins: Sequence[Any] = ()
        if (within := self.window.within_ms) is not None and not self._is_of_ints:
            begins = [first_held(self.window, each) for each in self.asked.orders]
        orders, rows_orders, firsts = _numbered(self.asked.orders, self.rows.orders, begins)
        ids, rows_ids = _numbered(self.asked.ids if self.is_own else (), self.rows.ids)
        places = np.lexsort((rows_ids, rows_orders, rows_entities))
        in_order = _InOrder(rows_entities[places], rows_orders[places], rows_ids[places])
        ends = in_order.until(entities, orders, are_in=True)
        if self.is_own:  # up to the row itself, and not what is of the same time behind it
            first = in_order.until(entities, orders, are_in=False)
            ends = in_order.among(first, ends, ids, is_in=self.window.itself)
        starts = np.searchsorted(in_order.entities, entities)
        if within is not None:
            if not begins:
                back = within - 1
                firsts = np.clip(orders, LEAST + max(back, 0), LARGEST + min(back, 0)) - back
            starts = in_order.until(entities, firsts, are_in=False)
        if self.window.rows is not None:
            starts = np.maximum(starts, ends - self.window.rows)
        return _Frames(self, starts.tolist(), ends.tolist(), places.tolist())

    @property
    def _is_of_ints(self) -> bool:
        """Whether rows are ordered by whole numbers, which are their own places."""
        return not self.asked.orders or isinstance(self.asked.orders[0], int)


class _InOrder:
    """Rows in the order of their entities, and of their places among an entity's."""

    def __init__(self, entities: Numbers, orders: Numbers, ids: Numbers) -> None:
        self.entities, self._ids = entities, ids
        self._known = np.unique(orders)
        self._width = len(self._known) + 1
        self._places = entities * self._width + np.searchsorted(self._known, orders)  # both in one

    def until(self, entities: Numbers, orders: Numbers, *, are_in: bool) -> Numbers:
        """Return how many rows there are up to those of an entity and an order, or with these."""
        rank = np.searchsorted(self._known, orders, "right" if are_in else "left")
        return np.searchsorted(self._places, entities * self._width + rank)

    def among(self, firsts: Numbers, ends: Numbers, ids: Numbers, *, is_in: bool) -> Numbers:
        """Return how many rows there are up to an id, or with it, where it stands among others of one order."""
        found, side = firsts.copy(), bisect_right if is_in else bisect_left
        alone = np.flatnonzero(ends - firsts == 1)
        known, wanted = self._ids[firsts[alone]], ids[alone]
        found[alone] += known <= wanted if is_in else known < wanted
        for i in np.flatnonzero(ends - firsts > 1).tolist():
            found[i] = side(self._ids, ids[i], firsts[i], ends[i])
        return found


def _array(values: Sequence[int]) -> Numbers:
    return np.array(values, dtype=np.int64)


def _numbered(*columns: Sequence[Any]) -> list[Numbers]:
    """Return numbers that are ordered as columns are, all together: ints themselves."""
    if {kind for column in columns for kind in map(type, column)} <= {int}:
        return list(map(_array, columns))
    ranks = {value: rank for rank, value in enumerate(sorted(set().union(*columns)))}
    return [_array([ranks[value] for value in column]) for column in columns]


# -- what is made of it --


@dataclass(frozen=True)
class _Frames:
    """The windows of rows, each a part of the rows that were read.

    Attributes:
        order: the positions of the rows that were read, entity by entity and in their order.
    """

    held: Held
    starts: Sequence[int]
    ends: Sequence[int]
    order: Sequence[int]

    @cached_property
    def values(self) -> list[Any]:
        values = self.held.rows.values
        return [values[i] for i in self.order]

    @cached_property
    def numbers(self) -> list[int]:
        numbers = self.held.rows.numbers
        return [numbers[i] for i in self.order]

    @property
    def is_real(self) -> bool:
        return self.held.is_real

    @property
    def has_heads(self) -> bool:
        return bool(self.held.heads)

    @property
    def bounds(self) -> Iterator[tuple[int, int]]:
        return zip(self.starts, self.ends, strict=True)

    @cached_property
    def heads(self) -> list[Head]:
        """What is before each window."""
        return [self.held.heads.get(entity, NO_HEAD) for entity in self.held.asked.entities]

    @cached_property
    def is_finite(self) -> bool:
        endless = any(head.endless for head in self.held.heads.values())
        return not endless and all(map(math.isfinite, self.values))

    @cached_property
    def totals(self) -> list[int]:
        """The sum of the values before each place, exact."""
        values = map(_units, self.values) if self.is_real else self.values
        return list(accumulate(values, initial=0))


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
    if frames.has_heads or not frames.is_finite:
        return _real_parts(frames, [1] * len(frames.starts))
    values = frames.values
    return [
        _sum_of_few(values[start:end])
        if end - start <= SUMMED_AT_ONCE
        else _rounded(frames.totals[end] - frames.totals[start])
        for start, end in frames.bounds
    ]


def _real_parts(frames: _Frames, counts: Sequence[int]) -> list[float | None]:
    """Return sums, each divided by a number before it is rounded; None where that is 0."""
    triples = zip(frames.heads, frames.bounds, counts, strict=True)
    if not frames.is_finite:
        values = frames.values
        return [_part_of_any(head, values[a:end], count) for head, (a, end), count in triples]
    totals = frames.totals
    return [
        _rounded(head.total + totals[end] - totals[a], count) if count else None
        for head, (a, end), count in triples
    ]


def _sum_of_few(values: Sequence[float]) -> float:
    try:
        return math.fsum(values)
    except OverflowError:  # on the way, if not at the end
        return _rounded(sum(map(_units, values)))


def _part_of_any(head: Head, values: Sequence[float], count: int) -> float | None:
    """Return a part of a sum in which some values may be infinite, None where they are so in both directions."""
    endless = head.endless + sum(each for each in values if not math.isfinite(each))
    if endless:
        return None if math.isnan(endless) else endless
    return _rounded(head.total + sum(map(_units, values)), count) if count else None


SMALLEST = 1074
"""The smallest float above 0 is 2 to the power of minus this."""


def _units(value: float) -> int:
    """Return a float as what it is exactly, a number of smallest ones."""
    above, below = value.as_integer_ratio()
    return above << (SMALLEST + 1 - below.bit_length())


def _rounded(units: int, count: int = 1) -> float:
    """Return a sum divided by a number, rounded once: also where the sum itself is beyond all floats."""
    try:
        return units / (count << SMALLEST) + 0.0
    except OverflowError:
        return math.inf if units > 0 else -math.inf


def _means(frames: _Frames) -> list[Any]:
    if frames.held.window.is_of_arrays:
        return [_mean_of_arrays(frames.values[start:end]) for start, end in frames.bounds]
    counts = _counts(frames)
    if frames.is_real:
        return _real_parts(frames, counts)
    pairs = zip(_sums(frames), counts, strict=True)
    return [total / count if count else None for total, count in pairs]


def _mean_of_arrays(values: Sequence[bytes]) -> bytes | None:
    """Return the mean of vectors, in stored form: added up in the order of their rows, as float64."""
    if not values:
        return None
    rows = np.frombuffer(b"".join(values), "<f4").reshape(len(values), -1)
    mean: bytes = (rows.sum(axis=0, dtype=np.float64) / len(values) + 0.0).astype("<f4").tobytes()
    return mean


def _deviations(frames: _Frames) -> list[float | None]:
    """Return the standard deviations of samples, exact before they are rounded: None of fewer than two, or where a value is
    infinite."""
    endless = list(accumulate((not math.isfinite(each) for each in frames.values), initial=0))
    pairs = [each.as_integer_ratio() if math.isfinite(each) else (0, 1) for each in frames.values]
    unit = max((below for _, below in pairs), default=1)
    whole = [above * (unit // below) for above, below in pairs]
    sums = list(accumulate(whole, initial=0))
    squares = list(accumulate((each * each for each in whole), initial=0))
    found: list[float | None] = []
    for start, end in frames.bounds:
        count, total = end - start, sums[end] - sums[start]
        if count < 2 or endless[end] != endless[start]:
            found.append(None)
            continue
        spread = count * (squares[end] - squares[start]) - total * total
        found.append(_root(spread, count * (count - 1) * unit * unit))
    return found


def _root(above: int, below: int) -> float:
    """Return the square root of a fraction, rounded once."""
    shift = max(0, 128 + below.bit_length() - above.bit_length()) // 2
    above <<= 2 * shift
    root = math.isqrt(above // below)
    root |= root * root * below != above  # not a half, if it is a little above one
    try:
        return root / (1 << shift)
    except OverflowError:
        return math.inf


def _distinct(frames: _Frames) -> list[Any]:
    values = frames.values
    return [list(dict.fromkeys(values[start:end])) for start, end in frames.bounds]


def _least(frames: _Frames) -> list[Any]:
    return _extremes(frames, min, [head.least for head in frames.heads])


def _most(frames: _Frames) -> list[Any]:
    return _extremes(frames, max, [head.most for head in frames.heads])


def _extremes(frames: _Frames, choose: Callable[..., Any], before: Sequence[Any]) -> list[Any]:
    """Return the extremes of windows; of one that begins with the one before, with what has come in since."""
    values, starts, ends = frames.values, frames.starts, frames.ends
    found: list[Any] = [None] * len(ends)
    known, last = None, (-1, -1)
    entities = frames.held.asked.entities
    until = 0
    for place in sorted(range(len(ends)), key=lambda i: (entities[i], starts[i], ends[i])):
        begins = entities[place], starts[place]
        if begins != last:
            known, until, last = before[place], starts[place], begins
        further = values[until : ends[place]]
        known = choose(further, default=None) if known is None else choose([known, *further])
        found[place], until = known, ends[place]
    return found


def _last(frames: _Frames) -> list[Any]:
    values = frames.values
    return [values[end - 1] if end > start else None for start, end in frames.bounds]


def _lists(frames: _Frames) -> list[Any]:
    values = frames.values
    return [values[start:end] for start, end in frames.bounds]


def _fences(frames: _Frames) -> list[str]:
    numbers, ids = list(accumulate(frames.numbers, initial=0)), frames.held.rows.ids
    is_limited = frames.held.window.rows is not None
    return [
        f"{head.count + end - start}:{head.numbers + numbers[end] - numbers[start]}"
        + (f":{ids[frames.order[start]]}" if is_limited and start < end else "")
        for head, (start, end) in zip(frames.heads, frames.bounds, strict=True)
    ]


_MAKERS: Mapping[str, Callable[[_Frames], list[Any]]] = {
    "list": _lists, "count": _counts, "sum": _sums, "mean": _means, "min": _least, "max": _most, "last": _last,
    "std": _deviations, "distinct": _distinct,
}  # fmt: skip


# -- reading --


def read_held(
    tx: Transaction,
    own: Layout,
    frame: Window,
    entities: Sequence[Stored],
    orders: Sequence[Stored],
    ids: Sequence[Any],
    values: Sequence[Stored] | None = None,
    *,
    pins: Pins = NO_PINS,
    are_fenced: bool = True,
) -> Held:
    """Read what windows of one frame hold as of rows, each given by its entity, its order and its id; where the table has
    page keys, by a tuple of id and pages.

    Args:
        own: the layout of the rows' table.
        values: of the rows themselves, where they are new and hold each other.
        pins: component -> the state version whose outputs are held.
        are_fenced: the numbers of changes are read too, for `fences`.
    """
    other = Layout(own.graph.tables.get(frame.table), own.graph)
    is_own = other.table.name == own.table.name
    is_real = other.table.keys[frame.names[0]].codec.sql_type == "REAL"
    numbers: dict[Stored, int] = {}
    asked = _asked(numbers, entities, orders, ids, values or [None] * len(ids))
    rows, heads = Rows(), dict[int, Head]()
    if asked.positions:
        reading = _Reading(tx, other, frame, pins, is_real=is_real, are_fenced=are_fenced)
        rows, heads = reading.read(*_stretches(list(numbers), asked, frame))
    return Held(frame, is_own, is_real, len(ids), asked, rows, heads)


def _asked(numbers: dict[Stored, int], *columns: Sequence[Any]) -> Asked:
    """Return rows by column, and number their entities."""
    entities, orders, _, _ = columns
    positions: Sequence[int] = range(len(entities))
    if None in entities or None in orders:
        named = enumerate(zip(entities, orders, strict=True))
        positions = [i for i, each in named if None not in each]
        columns = tuple([column[i] for i in positions] for column in columns)
    numbered = [numbers.setdefault(each, len(numbers)) for each in columns[0]]
    return Asked(positions, numbered, *columns[1:])


def _stretches(
    names: Sequence[Stored], asked: Asked, window: Window
) -> tuple[list[int], list[Any], list[Any], list[Any]]:
    """Return what is to be read for rows: of each stretch the number of its entity, the entity, and the first and the last
    order. An entity's rows are parted where nothing between them is held by any."""
    entities, (orders, _) = _array(asked.entities), _numbered(asked.orders, ())
    places = np.lexsort((orders, entities))
    entities = entities[places]
    is_first = np.append(True, np.diff(entities) != 0)
    if window.within is not None:
        line, within = along(window, asked.orders)
        with np.errstate(
            invalid="ignore"
        ):  # nothing is between two of one place, also an endless one
            is_first[1:] |= np.diff(np.array(line)[places]) > within
    firsts, lasts = places[is_first].tolist(), places[np.append(is_first[1:], True)].tolist()
    numbers = entities[is_first].tolist()
    named = [names[number] for number in numbers]
    return numbers, named, [asked.orders[i] for i in firsts], [asked.orders[i] for i in lasts]


class _Reading:
    """Reads what stretches of one frame hold: all of them in one statement, where JSON can name them."""

    def __init__(
        self,
        tx: Transaction,
        other: Layout,
        frame: Window,
        pins: Pins,
        *,
        is_real: bool,
        are_fenced: bool,
    ) -> None:
        self._tx, self._other, self._frame, self._is_real = tx, other, frame, is_real
        self._pins = pins
        self._by, self._at = other.place(frame.other_by, "w"), other.place(frame.other_order, "w")
        self._values = ", ".join(other.value(name, "w") for name in frame.names)
        keys = frame.held_keys if are_fenced else ()
        numbers = ["0", *(other.shown_number(key, "w") for key in keys)]
        self._number = numbers[0] if len(numbers) == 1 else f"MAX({', '.join(numbers)})"
        self._row = f"{self._at}, {other.names('w')}, {self._values}, {self._number}"
        self._may_hold, self._fixed = may_hold(other, frame, "w")
        self._numbers: Sequence[int] = ()

    def read(
        self,
        numbers: list[int],
        entities: Sequence[Stored],
        firsts: Sequence[Any],
        lasts: Sequence[Any],
    ) -> tuple[Rows, dict[int, Head]]:
        """Return the rows that stretches may hold, and what is before them, by the numbers of their entities."""
        frame, self._numbers = self._frame, numbers
        until = f"{self._by} = {{0}}{self._may_hold} AND {self._at} <= {{1}}"
        if frame.within_ms is not None:
            starts = [first_held(frame, first) for first in firsts]
            rows = self._rows(f"{until} AND {self._at} >= {{2}}", (entities, lasts, starts))
        elif frame.rows is None and frame.agg == "list":
            rows = self._rows(until, (entities, lasts))
        else:
            rows = self._rows(f"{until} AND {self._at} >= {{2}}", (entities, lasts, firsts))
        heads: dict[int, Head] = {}
        if frame.agg == "sum":
            heads = self._heads(entities, firsts)
        elif frame.within_ms is None and frame.rows is not None:
            rows += self._latest(frame.rows, entities, firsts)
        return Rows(*zip(*rows, strict=True)) if rows else Rows(), heads

    def _rows(self, condition: str, named: Sequence[Sequence[Stored]]) -> list[Any]:
        found = self._each(self._row, condition, named)
        names = len(self._other.table.primary_key)
        if names > 1:
            found = [(*row[:2], tuple(row[2 : 2 + names]), *row[2 + names :]) for row in found]
        if len(self._frame.names) > 1:
            found = [(*row[:3], tuple(row[3:-1]), row[-1]) for row in found]
        return found

    def _latest(
        self, limit: int, entities: Sequence[Stored], firsts: Sequence[Stored]
    ) -> list[Any]:
        """Return the last rows before the first that is asked about."""
        other, row = self._other, self._other.row_column
        source = other.source(self._frame.names, "x", self._pins)
        by, at = other.place(self._frame.other_by, "x"), other.place(self._frame.other_order, "x")
        held, _ = may_hold(other, self._frame, "x")
        condition = (
            f"w.{row} IN (SELECT x.{row} FROM {source} WHERE {by} = {{0}}{held} AND {at} < {{1}} "
            f"ORDER BY {at} DESC, {other.names('x', ' DESC')} LIMIT {limit})"
        )
        return self._rows(condition, (entities, firsts))

    def _heads(self, entities: Sequence[Stored], firsts: Sequence[Stored]) -> dict[int, Head]:
        """Return what the rows before the first that is asked about come to."""
        condition = f"{self._by} = {{0}}{self._may_hold} AND {self._at} < {{1}}"
        if self._is_real:
            return self._real_heads(condition, (entities, firsts))
        # in two halves, as the database's sums are of 64 bits
        value = self._values  # of one key
        halves = [f"SUM({value} >> 32)", f"SUM({value} & 4294967295)"]
        if "INT" not in self._other.table.keys[self._frame.names[0]].codec.sql_type:
            halves = ["0", "0"]  # of texts there is no sum
        ends = [f"MIN({value})", f"MAX({value})"]
        columns = ", ".join(["COUNT(*)", f"SUM({self._number})", *halves, *ends])
        found = self._each(columns, condition, (entities, firsts), is_grouped=True)
        return {
            place: Head(count, numbers, (high << 32) + low, 0.0, least, most)
            for place, count, numbers, high, low, least, most in found
            if count
        }

    def _real_heads(self, condition: str, named: Sequence[Sequence[Stored]]) -> dict[int, Head]:
        found: dict[int, Head] = {}
        for place, value, number in self._each(f"{self._values}, {self._number}", condition, named):
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
        source = self._other.source(self._frame.names, "w", self._pins)
        order = self._other.sql_type(self._frame.other_order)
        kinds = (self._other.sql_type(self._frame.other_by), order, order)
        if is_grouped:  # of windows without a beginning, of which an entity has one stretch: its number is its place
            return select_for_each(
                self._tx,
                columns,
                source,
                condition,
                named,
                kinds,
                is_grouped=True,
                fixed=self._fixed,
            )
        return select_for_each(
            self._tx,
            columns,
            source,
            condition,
            named,
            kinds,
            labels=self._numbers,
            fixed=self._fixed,
        )
