"""Arrays in an answer in SQL where the database does not tell what a column holds.

Of a key it does, also through views, subqueries and aggregates. An expression, such as `coalesce(a, b)`, has no type that says
more than bytes. Most arrays say themselves what they are, by a footer; those without one, of one dimension and float32, do not.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from motion.definitions.values.codecs import ARRAY_FOOTER, ArrayCodec, Refused, decode_array

Rows = Sequence[Sequence[Any]]


def columns_of_arrays(rows: Rows, columns: Collection[int]) -> list[int]:
    """Return which of some columns have arrays with a footer in their stored form, and nothing else."""
    return [
        n for n in columns if _first_is_one(rows, n) and all(_may_be_one(row[n]) for row in rows)
    ]


def with_arrays(rows: Rows, columns: Collection[int]) -> list[Sequence[Any]]:
    """Return rows with the arrays that some columns have in their stored form."""

    def value(n: int, stored: Any) -> Any:
        return stored if stored is None or n not in columns else decode_array(stored)

    return [tuple(value(n, stored) for n, stored in enumerate(row)) for row in rows]


def _first_is_one(rows: Rows, column: int) -> bool:
    first = next((row[column] for row in rows if row[column] is not None), None)
    return first is not None and _may_be_one(first)


def _may_be_one(stored: Any) -> bool:
    """Whether a value is unset, or to the letter what an array is stored as."""
    if stored is None:
        return True
    if type(stored) is not bytes or not stored.endswith(ARRAY_FOOTER):
        return False
    try:
        return ArrayCodec().encode(decode_array(stored)) == stored
    except (ValueError, TypeError, SyntaxError, OverflowError, RecursionError, Refused):
        return False
