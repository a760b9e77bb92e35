"""Renames: what is declared of triggers and fits, where a table or a key is called otherwise.

Whatever of a spec names a table or a key has its line here, so that code which comes under the new names finds what its old
names had made.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from motion.definitions.fits import FitSpec
from motion.definitions.tables.lookups import Lookup
from motion.definitions.tables.windows import Window
from motion.definitions.triggers.folds import Fold
from motion.definitions.triggers.parameters import Parameter
from motion.definitions.triggers.specs import TriggerSpec


@dataclass(frozen=True)
class Rename:
    """A table, or a key of a table, that has another name.

    Attributes:
        key: None: the table itself.
    """

    table: str
    key: str | None
    new: str

    def of_table(self, table: str) -> str:
        return self.new if self.key is None and table == self.table else table

    def of_key(self, key: str, table: str) -> str:
        """Return a key's name, which may be written as "table.key"."""
        before, dot, name = key.rpartition(".")
        name = self.new if (before or table, name) == (self.table, self.key) else name
        return f"{self.of_table(before)}{dot}{name}"

    def of_keys(self, keys: Iterable[str], table: str) -> tuple[str, ...]:
        return tuple(self.of_key(key, table) for key in keys)

    def of_path(self, path: str) -> str:
        return self.of_key(path, "")

    def of_trigger(self, spec: TriggerSpec) -> TriggerSpec:
        own, target = spec.deleted or spec.table, spec.sets_table or spec.table
        return replace(
            spec,
            table=self._table_of(spec),
            on=self.of_keys(spec.on, own),
            sets=self.of_keys(spec.sets, target),
            sets_table=spec.sets_table and self.of_table(spec.sets_table),
            deleted=spec.deleted and self.of_table(spec.deleted),
            parameters=tuple(self._of_parameter(each, own) for each in spec.parameters),
            priority=self.of_key(spec.priority, own)
            if isinstance(spec.priority, str)
            else spec.priority,
            serial_by=spec.serial_by and self.of_key(spec.serial_by, own),
            searches=tuple(map(self.of_path, spec.searches)),
            fold=spec.fold and self._of_fold(spec.fold),
        )

    def of_fit(self, fit: FitSpec) -> FitSpec:
        return replace(
            fit,
            table=self.of_table(fit.table),
            on=self.of_keys(fit.on, fit.table),
            seen_by=fit.seen_by and self.of_key(fit.seen_by, fit.table),
        )

    def _table_of(self, spec: TriggerSpec) -> str:
        """Return where it runs; the table of what runs on events bears the trigger's name, and what is deleted."""
        if spec.deleted:
            return f"{spec.table.removesuffix(spec.deleted)}{self.of_table(spec.deleted)}"
        is_own = spec.event is not None or spec.fold is not None
        return spec.table if is_own else self.of_table(spec.table)

    def _of_parameter(self, given: Parameter, own: str) -> Parameter:
        return replace(
            given,
            name=self.of_key(given.name, own) if given.kind == "key" else given.name,
            lookup=given.lookup and self._of_lookup(given.lookup, own),
            window=given.window and self._of_window(given.window, own),
        )

    def _of_lookup(self, lookup: Lookup, own: str) -> Lookup:
        by = self.of_keys(lookup.bys, own)
        return replace(
            lookup,
            key=self.of_path(lookup.key),
            by=by if isinstance(lookup.by, tuple) else by[0],
            to=lookup.to and self.of_path(lookup.to),
        )

    def _of_window(self, window: Window, own: str) -> Window:
        keys = tuple(map(self.of_path, window.keys))
        by, order = window.by, window.order
        return replace(
            window,
            key=keys if isinstance(window.key, tuple) else keys[0],
            by=self.of_key(by, own) if isinstance(by, str) else self._of_pair(by, own, window),
            order=self._of_pair(order, own, window)
            if isinstance(order, tuple)
            else order and self.of_key(order, own),
            where=tuple((self.of_key(key, window.table), value) for key, value in window.narrowed),
        )

    def _of_pair(self, keys: tuple[str, str], own: str, window: Window) -> tuple[str, str]:
        return self.of_key(keys[0], own), self.of_key(keys[1], window.table)

    def _of_fold(self, fold: Fold) -> Fold:
        if self.key is None:
            return fold.with_table(self.table, self.new)
        return fold.with_key(self.table, self.key, self.new)
