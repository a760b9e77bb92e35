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
"""Ranges in one statement, well below the parameters that databases take."""

IN_LIST = "[]"
"""Behind the name of a key: it is meant what is in the lists that the key holds."""


@dataclass(frozen=True)
class Ranges:
    """Ranges of numbers, both ends included, few enough for one statement."""

    pairs: Sequence[tuple[int, int]]

    def condition(self, expression: str) -> str:
        """Return the condition that an expression is in one of the ranges; its parameters are `numbers`."""
        conditions = [f"{expression} BETWEEN ? AND ?"] * len(self._spans)
        if self._singles:
            conditions.append(f"{expression} IN ({places(self._singles)})")
        if not conditions:
            return "1 = 0"
        return conditions[0] if len(conditions) == 1 else f"({' OR '.join(conditions)})"

    @cached_property
    def numbers(self) -> list[int]:
        return [end for span in self._spans for end in span] + self._singles

    def plus(self, shift: int) -> Ranges:
        return Ranges([(low + shift, high + shift) for low, high in self.pairs])

    @cached_property
    def _spans(self) -> list[tuple[int, int]]:
        if len(self.pairs) == 1:
            return list(self.pairs)
        return filled_up([pair for pair in self.pairs if pair[0] != pair[1]])

    @cached_property
    def _singles(self) -> list[int]:
        if len(self.pairs) == 1:
            return []
        return filled_up([low for low, high in self.pairs if low == high])


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
    """Return row numbers as ranges, in parts that are each short enough for one statement."""
    return [Ranges(part) for part in cut(ranges_of(rows))]


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
