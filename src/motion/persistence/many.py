"""Many: a statement that is asked for many places at once, and many rows as columns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from motion.backends.base import Transaction
from motion.definitions.values.codecs import Stored


def select_for_each(
    tx: Transaction,
    columns: str,
    source: str,
    condition: str,
    named: Sequence[Sequence[Stored]],
    kinds: Sequence[str],
    *,
    is_grouped: bool = False,
    labels: Sequence[int] = (),
    fixed: Sequence[Stored] = (),
) -> list[Any]:
    """Return what is selected for each of some places, after the place's number: in one statement where JSON can name
    them, otherwise in one for each.

    Args:
        condition: with `{0}`, `{1}` in place of what names a place.
        named: what names them: a column for each of these.
        kinds: the types of these columns.
        is_grouped: `columns` are aggregates.
        labels: what stands for each place instead of its number, but where they are grouped.
        fixed: values that are the same for all places: `{f0}`, `{f1}` in the condition.
    """
    if len(named[0]) > 1 and all(map(_is_json, named)):
        given = [
            f"CAST(json_extract(j.value, '$[{i}]') AS {kind})"
            for i, kind in zip(range(len(named)), kinds)  # noqa: B905 - perhaps fewer are named
        ]
        label = f"CAST(json_extract(j.value, '$[{len(given)}]') AS INTEGER)"
        place, named = (label, [*named, labels]) if labels else ("j.key", named)
        sql = (
            f"SELECT {place}, {columns} FROM json_each(?1) j CROSS JOIN {source} "
            f"WHERE {condition.format(*given, **_numbered(fixed, 2))}{' GROUP BY j.key' if is_grouped else ''}"
        )
        places = json.dumps(list(zip(*named, strict=True)))
        return tx.execute(sql, (places, *fixed)).fetchall()  # type: ignore[no-any-return]  # rows
    given = [f"?{i}" for i in range(1, len(named) + 1)]
    named_fixed = _numbered(fixed, len(given) + 1)
    sql = f"SELECT {columns} FROM {source} WHERE {condition.format(*given, **named_fixed)}"
    return [
        (place, *row)
        for place, values in zip(
            labels or range(len(named[0])), zip(*named, strict=True), strict=True
        )
        for row in tx.execute(sql, (*values, *fixed)).fetchall()
    ]


def _numbered(values: Sequence[Stored], first: int) -> dict[str, str]:
    return {f"f{i}": f"?{first + i}" for i in range(len(values))}


def _is_json(values: Sequence[Stored]) -> bool:
    """Whether SQLite reads these values from JSON as they are."""
    kinds = set(map(type, values))
    return kinds == {int} or (kinds == {str} and not any("\0" in str(each) for each in values))


def columns_of(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    """Return rows as columns. Not by `zip(*rows)`, which holds an iterator for each row: of thousands at once Python's garbage
    collector takes note, and before long looks at all that there is, while everybody waits."""
    return [list(map(itemgetter(place), rows)) for place in range(width)]
