"""Places: where rows are in the order of their entity, as folds go over them. By the fold's order, then by what names a row: its
id, and in a table with page keys its pages, too. Both together are kept as a JSON list there, in the column of an id."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from motion.definitions.triggers.folds import Fold
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.persistence.layout import Layout, quoted


def fold_of(spec: TriggerSpec) -> Fold:
    assert spec.fold is not None
    return spec.fold


class Place(NamedTuple):
    """Where a row is in its entity's order. Its `id` is a tuple with its pages, where it has some."""

    order: Any
    id: Any

    @property
    def names(self) -> tuple[Stored, ...]:
        return self.id if isinstance(self.id, tuple) else (self.id,)


@dataclass(frozen=True)
class Places:
    """The places of the rows `r` that one fold goes over, in SQL and as they are kept."""

    source: Layout
    spec: TriggerSpec

    @cached_property
    def by(self) -> str:
        """The expression of a row's entity."""
        return self.source.place(fold_of(self.spec).by)

    @cached_property
    def at(self) -> str:
        """The expression of its order."""
        return self.source.place(fold_of(self.spec).order)

    def in_order(self, way: str = "") -> str:
        """Return what rows are sorted by."""
        return f"{self.at}{way}, {self.source.names('r', way)}"

    def after(self, place: Place) -> tuple[str, list[Stored]]:
        """Return the condition that a row is behind a place, with its values."""
        condition = f"{self.at} >= ? AND ({self.at} > ? OR {self._is(place, '>')})"
        return condition, [place.order, place.order, *place.names]

    def before(self, place: Place, *, or_there: bool = False) -> tuple[str, list[Stored]]:
        """Return the condition that a row is before a place, with its values.

        Args:
            or_there: or it is the row of that place.
        """
        sign = "<=" if or_there else "<"
        condition = f"({self.at} < ? OR ({self.at} = ? AND {self._is(place, sign)}))"
        return condition, [place.order, place.order, *place.names]

    def _is(self, place: Place, sign: str) -> str:
        if len(place.names) == 1:
            return f"r.id {sign} ?"
        return f"({self.source.names('r')}) {sign} ({', '.join('?' for _ in place.names)})"

    def with_names(self, rows: list[tuple[Any, ...]], first: int) -> list[tuple[Any, ...]]:
        """Return rows as they were read with what names each of them as one value, which began at a column."""
        count = len(self.source.table.primary_key)
        if count == 1:
            return rows
        end = first + count
        return [(*row[:first], tuple(row[first:end]), *row[end:]) for row in rows]

    @property
    def is_whole(self) -> str:
        """The condition that a row has all that it needs to be folded, but for its entity."""
        known, name = self.source.statements, ("is whole", self.spec.name)
        if name not in known:
            known[name] = " AND ".join(self._needs())
        return known[name]

    def _needs(self) -> list[str]:
        fold = fold_of(self.spec)
        needed = [key for key in fold.required if key not in (fold.by, "id", *fold.pages)]
        conditions = [f"{self.source.taken(self.spec, key)} IS NOT NULL" for key in needed]
        rows = self.source.graph.rows_folded[self.spec.name]
        own, is_asked = rows.stored, set(needed).difference(rows.shown)
        if not is_asked.issuperset(
            own
        ):  # where all of these may be unset, a row stores one of them
            conditions.append(f"({' OR '.join(f'r.{quoted(key)} IS NOT NULL' for key in own)})")
        return conditions or ["1 = 1"]

    def kept(self, place: Place | None) -> tuple[Stored, Stored]:
        """Return a place as it is kept."""
        if place is None:
            return None, None
        is_named = place.id is not None and bool(fold_of(self.spec).pages)
        return place.order, json.dumps(place.id) if is_named else place.id

    def read(self, order: Stored, name: Any) -> Place | None:
        """Return a place as it was kept."""
        return None if order is None else self.at_kept(order, name)

    def at_kept(self, order: Stored, name: Any) -> Place:
        """Return a place as it was kept, where there is one."""
        return Place(order, tuple(json.loads(name)) if fold_of(self.spec).pages else name)
