"""Plans of random stores whose values depend on other rows: lookups, windows, folds, and runs that read and write.

They are plain data, as are those of `worlds`, so that they can be drawn, shrunk, and shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, make_dataclass
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any

import motion
from tests.promises.worlds import MOD

Value = Any
Values = dict[str, Value]

Id = Any
"""The id of a row; of a sheet its id and its page."""

GIVEN = {
    "card": ("ts", "a", "boss", "domain"),
    "event": ("ts", "card", "prev", "n", "cards", "kind", "host", "sheet", "place"),
    "sheet": ("ts", "card", "title", "make", "page", "note"),
}
"""The keys that users set; `boss`, `card`, `prev` and `sheet` hold ids: of a card, a card, an event and a sheet; `cards` a list
of ids; `host` the domain of a card, and `place` the page of a sheet."""

OF_PAGES = ("note", "mark")
"""The keys that the pages of a sheet have each for itself. `mark` is made of `make`, on the first pages."""


@dataclass(frozen=True)
class Beside:
    """An input from other rows.

    Attributes:
        key: what is looked up or held.
        by: the key, or keys, by which it is found; of a lookup two keys name a page.
        agg: of a window; None: it is a lookup.
        within: in milliseconds.
        is_optional: the function takes None for it.
        has_gaps: of a lookup by a list: there may be None in it.
        also: of a window: the name of a second key that is held with the first.
        where: of a window: the name of a key of the rows that it holds, and the value that they have of it.
        order: of a window: the key, or keys, by which rows are ordered; None: `ts`.
        to: of a lookup: the name of the key that finds the row, in the place of its id.
        by_hand: of a lookup: how the function reads it through its store, in the place of a declared one, and follows it.
    """

    key: str
    by: str | tuple[str, str]
    agg: Any = None
    within: int | None = None
    rows: int | None = None
    itself: bool = False
    is_optional: bool = False
    by_hand: str | None = None
    has_gaps: bool = False
    also: str | None = None
    where: tuple[str, Value] | None = None
    order: str | tuple[str, str] | None = None
    to: str | None = None

    @property
    def is_list(self) -> bool:
        return self.agg is None and self.by == "cards"

    def read(self, store: motion.View, of: Sequence[int]) -> Value:
        """Read it by hand, in the row with this id, and page."""
        table, _, name = self.key.partition(".")
        pages: dict[str, Any] = dict(zip(("page",), of[1:], strict=False))
        row: Any = None
        if self.by_hand == "get":
            row = store.get(table, of[0], keys=(name,), **pages)
        elif self.by_hand == "whole":
            row = store.get(table, of[0], **pages)
        else:
            found: Sequence[Any] = store.rows(table, id=of[0], keys=(name,) if not pages else None)
            row = next((row for row in found if not pages or row.page == of[1]), None)
        return getattr(row, name, None)

    @property
    def declared(self) -> motion.Lookup | motion.Window:
        table, _, _ = self.key.partition(".")
        if self.agg is None:
            to = None if self.to is None else f"{table}.{self.to}"
            return motion.Lookup(self.key, by=self.by, to=to, follow=True)
        within = None if self.within is None else timedelta(milliseconds=self.within)
        key = self.key if self.also is None else (self.key, f"{table}.{self.also}")
        return motion.Window(
            key, by=self.by, agg=self.agg, within=within, rows=self.rows, itself=self.itself,
            where=dict([self.where]) if self.where else {}, order=self.order,
        )  # fmt: skip

    def hint(self, style: str = "plain") -> Any:
        one: Any = int if self.also is None else tuple[int, int]
        many = {"list": list[one], "distinct": list[one], "mean": float, "std": float}
        kind: Any = many.get(self.agg, one)
        if self.is_list:
            kind = list[int | None] if self.has_gaps else list[int]
        kind = kind | None if self.is_optional else kind
        if self.is_list and style == "batch":
            kind = list[kind]
        return Annotated[kind, self.declared]

    @property
    def own_keys(self) -> tuple[str, ...]:
        """The keys of the row itself that say what it is."""
        if self.agg is None:
            return self.names
        order = self.order or "ts"
        return (self.names[0], order if isinstance(order, str) else order[0])

    @property
    def names(self) -> tuple[str, ...]:
        return (self.by,) if isinstance(self.by, str) else self.by


@dataclass(frozen=True)
class Rule:
    """A trigger as plain data: `sets` is derived from keys of its own row, and from other rows."""

    table: str
    sets: str
    on: tuple[str, ...]
    beside: tuple[Beside, ...] = ()
    factor: int = 1
    none_at: int | None = None
    style: str = "plain"
    inline: bool | None = None
    memo: bool = False

    @property
    def name(self) -> str:
        return f"make_{self.sets}"

    @property
    def follows(self) -> bool:
        return any(each.by_hand for each in self.beside)

    @property
    def own_keys(self) -> set[str]:
        """The keys of the row whose change ends a user's value."""
        return {*self.on, *(key for each in self.beside for key in each.own_keys)}

    @property
    def can_override(self) -> bool:
        return self.own_keys <= {*GIVEN[self.table], "id"}

    def result(self, values: Sequence[Value]) -> Value:
        number = (sum((i + 2) * _flat(v) for i, v in enumerate(values)) * self.factor + 1) % MOD
        return None if number == self.none_at else number


def _flat(value: Value) -> int:
    if isinstance(value, list | tuple):
        return sum((i + 1) * _flat(each) for i, each in enumerate(value))
    return MOD if value is None else round(value * 60)


@dataclass(frozen=True)
class Fold:
    """A fold over events as plain data.

    Attributes:
        target: "card": the value is kept in the entity's row; "event": as of each folded row.
        takes: keys of the row; the first is what it is on.
        is_optional: the second may be unset.
        order: None: by `ts`.
        gather: rows that one call is handed at most.
        after: how many of the rules of events come before it; what these set it may take.
        replay: otherwise rows are applied in any order, so that of a card the value is one that none makes another.
    """

    target: str
    takes: tuple[str, ...]
    is_optional: bool = False
    order: str | None = None
    gather: int | None = None
    factor: int = 2
    style: str = "plain"
    after: int = 0
    replay: bool = True

    @property
    def sets(self) -> str:
        return "worth" if self.target == "card" else "run"

    @property
    def name(self) -> str:
        return f"fold_{self.sets}"

    @property
    def needs(self) -> tuple[str, ...]:
        """The keys that a row must have values of to be folded."""
        return (*(self.takes[:1] if self.is_optional else self.takes), "card", self.place)

    @property
    def place(self) -> str:
        return self.order or "ts"

    def value(self, before: Value, inputs: Sequence[Value]) -> int:
        """Return the value with one more row: what rows there are, and in which order, tells it from others."""
        number = sum((i + 2) * _flat(each) for i, each in enumerate(inputs))
        if not self.replay and self.target == "card":
            return int(((before or 0) + (number + 1) ** 2 * self.factor) % 9973)
        return int(((1 if before is None else before) * 31 * self.factor + number + 1) % 9973)


@dataclass(frozen=True)
class Writer:
    """A trigger that reads and writes other rows: it counts in "total", or takes a free "slot", by `n` modulo 3."""

    kind: str
    style: str = "plain"
    reads: str = "get"

    @property
    def name(self) -> str:
        return f"{self.kind}_{self.reads}"


@dataclass(frozen=True)
class Plan:
    """Triggers over a fixed schema.

    Attributes:
        kept: keys of "event" that are a lookup or a window themselves.
        rules: in the order in which they feed each other.
        is_swept: more than one follower is many, so that sweeps make them due.
    """

    kept: Mapping[str, Beside]
    rules: tuple[Rule, ...]
    writers: tuple[Writer, ...]
    is_swept: bool = False
    folds: tuple[Fold, ...] = ()

    @cached_property
    def schemas(self) -> dict[str, type]:
        keys: dict[str, list[tuple[str, Any]]] = {
            table: [(key, int) for key in ("id", *given)] for table, given in GIVEN.items()
        }
        keys["event"] = [(k, list[int] if k == "cards" else kind) for k, kind in keys["event"]]
        keys["event"] += [(key, each.hint()) for key, each in self.kept.items()]
        keys["sheet"].append(("mark", int))
        for rule in self.rules:
            keys[rule.table].append((rule.sets, int))
        for fold in self.folds:
            keys[fold.target].append((fold.sets, int))
        keys["total"] = [("id", int), ("of", str), ("n", int)]
        keys["log"] = [("id", int), ("of", str), ("event", int), ("seen", int)]
        keys["slot"] = [("id", int), ("of", str)]
        return {table: make_dataclass(table.title(), own) for table, own in keys.items()}


def marks(make: int) -> list[int]:
    """Return what a sheet's pages are marked with, from the first on."""
    return [(make * 3 + i) % MOD for i in range(make % 4)]
