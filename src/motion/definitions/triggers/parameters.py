"""Parameters: what a trigger takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from motion.definitions.tables.lookups import Lookup
from motion.definitions.tables.windows import Window

T = TypeVar("T")

VALUES = ("key", "lookup", "window", "rows")
"""Kinds of parameters that have a value for each row."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a trigger: a key of the row, or something else that the worker supplies."""

    name: str
    kind: Literal["key", "row", "store", "state", "lookup", "window", "rows"]
    is_optional: bool = False
    component: str | None = None
    lookup: Lookup | None = None
    window: Window | None = None

    @classmethod
    def of(cls, name: str, elsewhere: Lookup | Window, *, is_optional: bool) -> Parameter:
        """Return the parameter that receives what is taken of other rows."""
        if isinstance(elsewhere, Lookup):
            return cls(name, "lookup", is_optional, lookup=elsewhere)
        return cls(name, "window", is_optional, window=elsewhere)

    @property
    def column(self) -> str:
        """What its values are found under among the inputs of a run."""
        elsewhere = self.lookup or self.window
        return self.name if elsewhere is None else elsewhere.column


def elsewhere_of(parameters: Sequence[Parameter]) -> tuple[Lookup | Window, ...]:
    found = (parameter.lookup or parameter.window for parameter in parameters)
    return tuple(each for each in found if each is not None)
