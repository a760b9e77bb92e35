"""Inputs: what a task needs to know of its rows, read in one statement, and the fence that its results must pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

from motion.backends.base import Asked, Transaction
from motion.definitions.tables.lookups import Lookup
from motion.definitions.tables.schema import Tables
from motion.definitions.tables.windows import Window
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import Codec
from motion.persistence.inputs.frames import frame_of
from motion.persistence.inputs.held import Held, read_held
from motion.persistence.inputs.lists import Listed, decoded_lists, read_lists
from motion.persistence.layout import Layout, Pins, quoted
from motion.persistence.many import columns_of
from motion.persistence.ranges import parts_of
from motion.persistence.rows import handovers

Fence = tuple[Any, ...]

Apart = Mapping[Lookup | Window, Listed | Held]
"""What rows take of others that is read apart from them."""

MOST_BYTES = 2**25
"""Bytes of inputs that one claim holds, but for the last row: however large rows are, memory does not grow with the queue."""


@dataclass(frozen=True)
class Chain:
    """A trigger and those that run fused behind it, with the columns that they need of a row.

    Attributes:
        specs: the trigger first, then what follows it in memory.
        keys: the keys to read: inputs, and required keys that are no parameters.
        lookups, lists, windows: what the first trigger takes of other rows; the last two are read apart from its own.
        outputs: the keys that the chain sets on the row itself, whose old values tell what a result changes.
        fenced: what makes a result stale by its change: the `on` keys that the chain does not set itself, the keys that
            say which other rows to take values of, what is looked up and followed, and what windows hold.
    """

    layout: Layout
    specs: tuple[TriggerSpec, ...]
    pins: Pins = field(default_factory=dict)

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        return tuple(key for spec in self.specs if spec.is_columnar for key in spec.sets)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        needed = dict.fromkeys(key for spec in self.specs for key in (*spec.on, *spec.inputs))
        made = set(self.outputs)
        return tuple(key for key in needed if key not in made)

    @cached_property
    def fenced(self) -> tuple[str, ...]:
        made = set(self.outputs)
        on = [key for spec in self.specs for key in (*spec.on, *spec.looked_up_by)]
        followed = [each.column for each in self.lookups if each.is_followed]
        followed += [each.column for each in self.fenced_apart]
        return tuple(dict.fromkeys([*(key for key in on if key not in made), *followed]))

    @property
    def fenced_apart(self) -> list[Lookup | Window]:
        """What is followed and read apart."""
        return [*(each for each in self.lists if each.is_followed), *self.windows]

    @property
    def lookups(self) -> tuple[Lookup, ...]:
        return self.specs[0].lookups_of_one

    @property
    def lists(self) -> tuple[Lookup, ...]:
        return self.specs[0].lookups_of_lists

    @property
    def windows(self) -> tuple[Window, ...]:
        return self.specs[0].windows

    def fence_columns(self) -> list[str]:
        """Return the expressions of a row's fence, but for what is read apart."""
        layout, first = self.layout, self.specs[0]
        followed = {each.column: layout.looked_up_fence(first, each) for each in self.lookups}
        apart = {each.column for each in self.fenced_apart}
        numbers = [
            followed[name] if name in followed else layout.changed(name)
            for name in self.fenced
            if name not in apart
        ]
        return [*numbers, *(layout.mark(spec) for spec in self.specs)]

    def with_apart(self, fences: Sequence[Fence], apart: Apart) -> list[Fence]:
        """Return fences as rows have them, from the columns of `fence_columns` and what was read apart."""
        if not self.fenced_apart:
            return list(fences)
        place = len(self.fenced) - len(self.fenced_apart)  # behind the numbers, before the marks
        further = zip(*(apart[each].fences() for each in self.fenced_apart), strict=True)
        return [
            (*fence[:place], *own, *fence[place:])
            for fence, own in zip(fences, further, strict=True)
        ]

    def places(self) -> list[str]:
        """Return the expressions of what says what is read apart: the list of each lookup by one; and which windows a row has, its
        id and pages, and for each window its entity and its order."""
        lists = [self.layout.inherited_value(each.bys[0]) for each in self.lists]
        if not self.windows:
            return lists
        own = [(each.own_by, each.own_order) for each in self.windows]
        names = [f"r.{quoted(key)}" for key in self.layout.table.primary_key]
        return [*lists, *names, *(self.layout.place(key) for keys in own for key in keys)]

    def apart(self, tx: Transaction, places: Sequence[Sequence[Any]], *, has_values: bool) -> Apart:
        """Read what lists name and windows hold.

        Args:
            places: the columns of `places`.
            has_values: what lists name is needed for more than fences.
        """
        graph, found = self.layout.graph, dict[Lookup | Window, Listed | Held]()
        for each, column in zip(self.lists, places, strict=False):
            target = Layout(graph.tables.get(each.table), graph)
            most = MOST_BYTES if has_values else None
            found[each] = read_lists(
                tx, target, each, column, most, has_values=has_values, pins=self.pins
            )
        return found | self._held(tx, places[len(self.lists) :])

    def _held(self, tx: Transaction, places: Sequence[Sequence[Any]]) -> dict[Window, Held]:
        found: dict[Window, Held] = {}
        read: dict[Window, Held] = {}
        names = len(self.layout.table.primary_key)
        if not self.windows:
            return found
        ids = places[0] if names == 1 else list(zip(*places[:names], strict=True))
        for i, each in enumerate(self.windows):
            frame = frame_of(each)
            if frame not in read:
                entities, orders = places[names + 2 * i : names + 2 + 2 * i]
                read[frame] = read_held(
                    tx, self.layout, frame, entities, orders, ids, pins=self.pins
                )
            found[each] = read[frame]
        return found

    def decoded(self, stored: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
        """Return columns of inputs, keys, lookups, lists and windows, as values."""
        if self.specs[0].fold is not None:  # what a fold goes over is read as values
            return dict(stored)
        tables, keys = self.layout.graph.tables, {**self.layout.table.keys}
        keys |= {each.column: tables.key(each.key) for each in self.lookups}
        windows = {each.column: each for each in self.windows}
        lists = {each.column: tables.key(each.key).codec for each in self.lists}

        def values(name: str, column: Sequence[Any]) -> Sequence[Any]:
            if name in windows:
                return decoded_window(tables, windows[name], column)
            if name in lists:
                return decoded_lists(lists[name], column)
            return keys[name].codec.decode_column(column)

        return {name: values(name, column) for name, column in stored.items()}

    def source(self) -> str:
        return self.layout.joined((*self.keys, *self.outputs), self.specs, self.pins)

    @cached_property
    def reading(self) -> Reading:
        """How its due rows are read."""
        layout, first = self.layout, self.specs[0]
        names = [f"r.{quoted(key)}" for key in layout.table.primary_key]
        fence = self.fence_columns()
        keys = [layout.inherited_value(key) for key in self.keys]
        keys += [layout.looked_up(first, each) for each in self.lookups]
        outputs = [layout.value(key) for key in self.outputs]
        beside = layout.length_of_row() if first.reads_row else "0"
        places = self.places()
        groups = [[layout.row, layout.on_number(first)], names, fence, keys, outputs, places]
        columns = [*(column for group in groups for column in group), beside]
        return Reading(
            f"SELECT {', '.join(columns)} FROM {self.source()} "
            f"WHERE {{}} AND {layout.is_row_of(first)} AND {layout.is_due(first)} ORDER BY {layout.row}",
            tuple(map(len, groups)),
            (*self.keys, *(each.column for each in self.lookups)),
        )


class Reading(NamedTuple):
    """How a chain's due rows are read.

    Attributes:
        sql: the statement, with a place for which rows.
        widths: how many columns are each row's numbers, its name, its fence, its keys, its outputs, and what says
            which windows it has; and one is its size.
        keys: the names of the keys, and of what is looked up.
    """

    sql: str
    widths: tuple[int, ...]
    keys: tuple[str, ...]


def decoded_window(tables: Tables, window: Window, column: Sequence[Any]) -> Sequence[Any]:
    """Return what windows hold as values; what is a number is one already."""
    if window.agg in ("count", "sum", "mean", "std") and not window.is_of_arrays:
        return column
    codecs = [tables.key(each).codec for each in window.keys]
    if window.agg in ("list", "distinct"):
        return [None if values is None else _decoded(codecs, values) for values in column]
    return _decoded(codecs, column)


def _decoded(codecs: Sequence[Codec], column: Sequence[Any]) -> Sequence[Any]:
    """Return a column as values: of several keys as tuples."""
    if len(codecs) == 1:
        return codecs[0].decode_column(column)
    return [
        None if values is None else tuple(c.decode(v) for c, v in zip(codecs, values, strict=True))
        for values in column
    ]


@dataclass(frozen=True)
class Inputs:
    """The due rows of some tasks.

    Attributes:
        rows: their numbers, ascending.
        on_numbers: the number at which the first trigger's `on` keys last changed, for each row.
        names: each row's id and page keys.
        fences: each row's fence as read.
        keys: key, or lookup or window by its column -> stored values.
        outputs: key -> stored values before.
        unread: from which row on nothing was read, as what was read is heavy; None where all was.
    """

    chain: Chain
    rows: list[int]
    on_numbers: list[int]
    names: list[tuple[Any, ...]]
    fences: list[Fence]
    keys: Mapping[str, Sequence[Any]]
    outputs: Mapping[str, Sequence[Any]]
    unread: int | None = None

    def source_number(self, i: int) -> int:
        """Return the number at which a row's own keys last called for a run: what changes elsewhere ends no user's value."""
        spec, fenced = self.chain.specs[0], self.chain.fenced
        keys = *spec.on, *spec.looked_up_by
        return max(int(self.fences[i][fenced.index(key)]) for key in keys)

    def rows_without(self, keys: Iterable[str]) -> set[int]:
        """Return the rows on which one of these keys is unset."""
        columns = [self.keys[key] for key in keys]
        return {row for i, row in enumerate(self.rows) if any(each[i] is None for each in columns)}

    def chosen(self, positions: Sequence[int]) -> Inputs:
        """Return the inputs of some of the rows."""
        if len(positions) == len(self.rows):
            return self
        return Inputs(
            self.chain,
            [self.rows[i] for i in positions],
            [self.on_numbers[i] for i in positions],
            [self.names[i] for i in positions],
            [self.fences[i] for i in positions],
            {key: [values[i] for i in positions] for key, values in self.keys.items()},
            {key: [values[i] for i in positions] for key, values in self.outputs.items()},
        )


def read_inputs(tx: Transaction, chain: Chain, rows: Iterable[int]) -> Inputs:
    """Read those of the rows on which the chain's first trigger is due, up to `MOST_BYTES` of them."""
    sql, widths, keys = chain.reading
    given = handovers.is_users_of_former(tx, chain.layout, chain.specs[0])
    chosen = "{}" if given is None else f"{{}} AND NOT {given}"
    found: list[tuple[Any, ...]] = []
    unread, size = None, 0
    for part in parts_of(rows):
        condition = chosen.format(part.condition(chain.layout.row))
        for row in tx.execute(sql.format(condition), part.numbers):
            if size > MOST_BYTES:
                unread = int(row[0])
                break
            found.append(row)
            size += row[-1] + sum([len(each) for each in row if type(each) in (bytes, str)])
        if unread is not None:
            break
    turned = columns_of(found, sum(widths) + 1)
    (numbers, on_numbers), named, fences, values, before, places = _grouped(turned, widths)
    apart = chain.apart(tx, places, has_values=True)
    inputs = Inputs(
        chain,
        list(numbers),
        list(on_numbers),
        list(zip(*named, strict=True)),
        chain.with_apart(list(zip(*fences, strict=True)), apart),
        dict(zip(keys, values, strict=True)) | _values_of(apart),
        dict(zip(chain.outputs, before, strict=True)),
        unread,
    )
    counts = (each.count for each in apart.values() if isinstance(each, Listed))
    most = min(counts, default=len(numbers))
    if most == len(numbers):
        return inputs
    return replace(inputs.chosen(range(most)), unread=numbers[most])


def _values_of(apart: Apart) -> dict[str, Sequence[Any]]:
    """Return the stored values of what was read apart, by column."""
    values: dict[str, Sequence[Any]] = {}
    for taken, found in apart.items():
        if isinstance(found, Listed):
            values[taken.column] = found.values()
        elif isinstance(taken, Window):
            values[taken.column] = found.values(taken)
    return values


def _grouped(columns: Sequence[Any], widths: Sequence[int]) -> list[list[Any]]:
    """Part columns as their widths say."""
    rest = iter(columns)
    return [list(islice(rest, width)) for width in widths]


def fences_asked(chain: Chain, rows: Sequence[int]) -> list[Asked]:
    """Return what asks for the fences of rows, but for what is read apart."""
    columns = [column for group in _fence_groups(chain) for column in group]
    sql = f"SELECT {', '.join(columns)} FROM {chain.source()} WHERE "
    return [(sql + part.condition(chain.layout.row), part.numbers) for part in parts_of(rows)]


def _fence_groups(chain: Chain) -> list[list[str]]:
    return [[chain.layout.row], chain.fence_columns(), chain.places()]


def read_fences(tx: Transaction, chain: Chain, rows: Sequence[int]) -> dict[int, Fence]:
    """Read the fences of rows as they are now; rows that are gone are left out."""
    groups = _fence_groups(chain)
    found: list[tuple[Any, ...]] = []
    for asked in fences_asked(chain, rows):
        found += tx.execute(*asked).fetchall()
    if not found:
        return {}
    turned = columns_of(found, sum(map(len, groups)))
    (numbers,), fences, placed = _grouped(turned, list(map(len, groups)))
    apart = chain.apart(tx, placed, has_values=False)
    kept = chain.with_apart(list(zip(*fences, strict=True)), apart)
    return dict(zip(numbers, kept, strict=True))
