"""What a trigger wants written for the rows of a batch, in stored form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from motion.definitions.values.codecs import Stored


@dataclass
class Outcomes:
    """What a trigger wants written for each row of a batch.

    Attributes:
        columns: for a trigger with one value per output key: the stored values, one list for each key of `sets`.
        items: for one with pages or rows of another table: per row its items, a tuple of stored values for each page,
            or a dict of stored values for each row of the other table.
        errors: row -> traceback, for the rows that failed; their other entries mean nothing.
    """

    columns: list[list[Stored]] = field(default_factory=list)
    items: list[list[Any]] = field(default_factory=list)
    errors: dict[int, str] = field(default_factory=dict)

    def part(self, rows: Sequence[int]) -> Outcomes:
        """Return those of some rows, ascending."""
        return Outcomes(
            [[column[i] for i in rows] for column in self.columns],
            [self.items[i] for i in rows] if self.items else [],
            {place: self.errors[i] for place, i in enumerate(rows) if i in self.errors},
        )
