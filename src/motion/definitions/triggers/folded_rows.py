"""Which rows of a table with page keys a fold goes over, and what these show it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from motion.definitions.tables.schema import Table
from motion.definitions.triggers.folds import Fold
from motion.errors import TriggerError

Levels = Mapping[str, frozenset[str]]


def level_of(levels: Levels, keys: Iterable[str]) -> frozenset[str]:
    """Return the page keys that tell any of some keys apart."""
    return frozenset().union(*(levels[key] for key in keys))


def tell_apart(fold: Fold, table: Table, levels: dict[str, frozenset[str]]) -> None:
    """Let the key in which folded rows keep the value as of each be told apart by the page keys that tell these apart."""
    if fold.is_of_rows and table.keys[fold.sets].level is None:
        levels[fold.sets] |= level_of(levels, fold.on)


def may_be_inherited(table: Table, levels: Levels, key: str) -> bool:
    """Whether rows may show a value of a key that they do not store."""
    return key not in table.primary_key and not levels[key].issuperset(table.page_keys)


@dataclass(frozen=True)
class FoldedRows:
    """The rows that one fold goes over.

    Attributes:
        table: theirs.
        levels: key -> the page keys that tell it apart.
    """

    fold: Fold
    table: Table
    levels: Levels

    @cached_property
    def level(self) -> frozenset[str]:
        """The page keys that tell them apart."""
        return level_of(self.levels, self.fold.on)

    @cached_property
    def stored(self) -> tuple[str, ...]:
        """Those of the `on` keys that a row has to store itself, and not only show: all of them, or any, where all may be
        unset."""
        return self._needed or self._deepest

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """The keys that the fold goes by or takes as rows show them, and may inherit them."""
        others = (key for key in self.fold.watched if key not in self._needed)
        return tuple(key for key in others if may_be_inherited(self.table, self.levels, key))

    @property
    def _deepest(self) -> tuple[str, ...]:
        if not self.table.page_keys:
            return ()
        return tuple(key for key in self.fold.on if self.levels[key] == self.level)

    @property
    def _needed(self) -> tuple[str, ...]:
        return tuple(key for key in self._deepest if key not in self.fold.optional)

    def check(self, name: str) -> None:
        """Refuse a fold of which one row would stand for several pages, or for several values.

        Raises:
            TriggerError: saying which keys do not go together.
        """
        fold, table = self.fold, self.table.name
        if not self.table.page_keys:
            return
        if not self._deepest:
            apart = ", ".join(f"{table}.{key}" for key in fold.on)
            raise TriggerError(
                f"fold {name!r}: on= names {apart}, and no one of them is told apart by all of {_listed(self.level)}: what is "
                f"folded is the rows that have a value of the on= key which the most page keys tell apart. Name one that all do."
            )
        for key in dict.fromkeys((fold.by, fold.order, *fold.inputs)):
            own = self.levels[key] | ({key} if key in self.table.page_keys else frozenset())
            if not own <= self.level:
                raise TriggerError(
                    f"fold {name!r}: {table}.{key} is told apart by {_listed(own - self.level)}, and no key of on= is "
                    f"({', '.join(fold.on)}): one row would stand for pages that differ. Name a key in on= that these pages "
                    f"have themselves."
                )
        if fold.is_of_rows and not self.levels[fold.sets] >= self.level:
            raise TriggerError(
                f"fold {name!r}: {table}.{fold.sets} is not told apart by {_listed(self.level - self.levels[fold.sets])}, but "
                f"the rows that are folded are, each of which keeps a value. Leave level= out where it is declared."
            )


def _listed(pages: Iterable[str]) -> str:
    return " and ".join(sorted(pages))
