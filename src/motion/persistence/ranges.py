"""Ranges of row numbers, and lists of values, in a statement: as parameters, so that its text is one of few, and compiled once.

A connection keeps the statements that it has compiled. With a text for each number of values they were 20 MB in each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from motion.backends.base import Transaction
from motion.definitions.tasks import ranges_of
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.persistence.layout import Layout, is_listed_as, quoted

T = TypeVar("T")

NAMED_AT_ONCE = 256
"""Numbers in one statement, well below the parameters that databases take."""

LONG = 64
"""Numbers that follow each other of which more are a range, and a statement of its own where there are others. SQLite takes
each range for a large part of a table: to find rows in several in their order, it reads all rows."""

IN_LIST = "[]"
"""Behind the name of a key: it is meant what is in the lists that the key holds."""


@dataclass(frozen=True)
class Ranges:
    """Ranges of numbers, both ends included, for one statement: a single one, or several that hold few numbers together."""

    pairs: Sequence[tuple[int, int]]

    def condition(self, expression: str) -> str:
        """Return the condition that an expression is in one of the ranges; its parameters are `numbers`."""
        if len(self.pairs) == 1:
            return f"{expression} BETWEEN ? AND ?"
        return f"{expression} IN ({places(self.numbers)})" if self.pairs else "1 = 0"

    @cached_property
    def numbers(self) -> list[int]:
        if len(self.pairs) == 1:
            return list(self.pairs[0])
        return filled_up([number for low, high in self.pairs for number in range(low, high + 1)])

    def plus(self, shift: int) -> Ranges:
        return Ranges([(low + shift, high + shift) for low, high in self.pairs])


def filled_up(given: Sequence[T]) -> list[T]:
    """Repeat the last up to a power of two: so few lengths, so few texts. To be in a list twice is to be in it."""
    length = 1 << (len(given) - 1).bit_length() if given else 0
    return list(given) + list(given[-1:]) * (length - len(given))


def places(values: Sequence[Any]) -> str:
    """Return the places of values in a statement."""
    return ", ".join("?" * len(values))


def key_of(by: str) -> str:
    """Return the key that rows are known by, or by what is in its lists."""
    return by.removesuffix(IN_LIST)


def is_known_by(by: str, values: Sequence[Stored], alias: str) -> tuple[str, Sequence[Stored]]:
    """Return the condition that a row has one of these values of a key, or, of a name with `IN_LIST` behind it, one of them in
    its list; and its parameters. No table of ours is needed for it."""
    key = f"{alias}.{quoted(key_of(by))}"
    if not by.endswith(IN_LIST):
        return f"{key} IN ({places(values)})", values
    is_one = f"{is_listed_as('j.atom')} IN ({places(values)})"
    return f"EXISTS (SELECT 1 FROM json_tree({key}) j WHERE {is_one})", list(map(str, values))


def cut(values: Sequence[T], size: int = NAMED_AT_ONCE) -> list[Sequence[T]]:
    """Return values in parts of at most so many, each short enough for one statement."""
    return [values[start : start + size] for start in range(0, len(values), size)]


def parts_of(rows: Iterable[int]) -> list[Ranges]:
    """Return row numbers as ranges, ascending, in parts that are each short enough for one statement."""
    parts: list[list[tuple[int, int]]] = []
    room = 0
    for low, high in ranges_of(rows):
        count = high - low + 1
        if count > min(room, LONG):
            parts.append([])
            room = NAMED_AT_ONCE
        parts[-1].append((low, high))
        room = 0 if count > LONG else room - count
    return [Ranges(part) for part in parts]


def rows_among(
    tx: Transaction,
    layout: Layout,
    spec: TriggerSpec,
    rows: Iterable[int],
    condition: str,
    values: Sequence[Stored] = (),
) -> list[int]:
    """Return those of the rows that a condition on them and on what a trigger takes and has done holds for.

    Args:
        values: of the condition's parameters.
    """
    found: list[int] = []
    for part in parts_of(rows):
        sql = (
            f"SELECT {layout.row} FROM {layout.joined(spec.on, [spec])} "
            f"WHERE {part.condition(layout.row)} AND ({condition})"
        )
        found += [int(row[0]) for row in tx.execute(sql, (*part.numbers, *values))]
    return found
