"""The graph: what feeds what, over plain data.

Owns what follows of several triggers at once: one trigger for each output key, no cycles, which page keys tell a
key apart, in which order triggers run, and which may run fused. What else they must keep to is `definitions.rules`'s.
It holds no code of users, so a process that cannot run a trigger still fires it.
"""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from motion.definitions.fits import FitSpec
from motion.definitions.tables.lookups import Lookup
from motion.definitions.tables.schema import Table, Tables
from motion.definitions.tables.windows import Window
from motion.definitions.triggers.events import entity_table, event_table
from motion.definitions.triggers.folded_rows import FoldedRows, may_be_inherited, tell_apart
from motion.definitions.triggers.folds import Fold
from motion.definitions.triggers.specs import TriggerSpec
from motion.errors import TriggerCycle, TriggerError

Levels = Mapping[str, Mapping[str, frozenset[str]]]


class Span(NamedTuple):
    """Changes: those after `since`, up to `until`."""

    since: int
    until: int


HandedOver = Mapping[tuple[str, str], Mapping[str, Sequence[Span]]]


class Graph:
    """The triggers and fits of a store. Immutable; opening a store with other triggers makes a new one.

    Raises:
        TriggerError, TriggerCycle: the triggers do not go together.
    """

    def __init__(
        self,
        tables: Tables,
        specs: Iterable[TriggerSpec],
        fits: Iterable[FitSpec] = (),
        made_before: Mapping[str, Sequence[str]] | None = None,
        handed_over: HandedOver | None = None,
    ) -> None:
        self.made_before = made_before or {}
        """Trigger -> the tables where its former code made rows, and the present one makes none."""
        self.handed_over = handed_over or {}
        """(table, key) -> the triggers that have set it, where another one sets it by now, each with when it did."""
        self.triggers: dict[str, TriggerSpec] = {}
        for spec in specs:
            if spec.name in self.triggers:
                raise TriggerError(
                    f"two triggers are called {spec.name!r}; give one of them name=."
                )
            self.triggers[spec.name] = spec
        self.tables = tables.joined(
            table
            for spec in self.triggers.values()
            if (table := _own_table(spec, tables)) is not None
        )
        self.fits = {fit.name: fit for fit in fits}
        self.producers = self._producers()
        self.order = self._order()
        self.rank = {name: position for position, name in enumerate(self.order)}
        self.levels: Levels = self._levels()

    def of_table(self, table: str) -> Sequence[TriggerSpec]:
        """Return the triggers that run on a table's rows, in the order in which they feed each other."""
        return self._of_tables[table]

    @cached_property
    def _of_tables(self) -> Mapping[str, Sequence[TriggerSpec]]:
        ordered = [self.triggers[name] for name in self.order]
        return {
            table.name: tuple(spec for spec in ordered if spec.table == table.name)
            for table in self.tables
        }

    @cached_property
    def listeners(self) -> Mapping[tuple[str, str], tuple[TriggerSpec, ...]]:
        """The triggers that a change of a key runs, by (table, key)."""
        return self._by_key(lambda spec: (*spec.on, *spec.looked_up_by))

    @cached_property
    def lined(self) -> Mapping[tuple[str, str], tuple[TriggerSpec, ...]]:
        """The triggers whose rows stand in lines by a key, or in its order, by (table, key)."""
        return self._by_key(self._line_keys)

    def _line_keys(self, spec: TriggerSpec) -> Sequence[str]:
        if spec.serial_by is None:
            return ()
        stamp = self.tables.get(spec.table).timestamp_key
        return tuple(dict.fromkeys((spec.serial_by, *(() if stamp is None else (stamp.name,)))))

    @cached_property
    def followers(self) -> Mapping[tuple[str, str], tuple[tuple[TriggerSpec, Lookup], ...]]:
        """The triggers that a change of a key runs on the rows that look it up, by (table, key)."""
        return self._by_looked_up(lambda spec: [each for each in spec.lookups if each.is_followed])

    @cached_property
    def awaiting(self) -> Mapping[tuple[str, str], tuple[tuple[TriggerSpec, Lookup], ...]]:
        """The triggers that look a key up without following it, by (table, key): they may be waiting for its first value."""
        return self._by_looked_up(lambda spec: spec.awaited_lookups)

    def _by_looked_up(
        self, lookups: Callable[[TriggerSpec], Iterable[Lookup]]
    ) -> Mapping[tuple[str, str], tuple[tuple[TriggerSpec, Lookup], ...]]:
        found: dict[tuple[str, str], tuple[tuple[TriggerSpec, Lookup], ...]] = {}
        for name in self.order:
            spec = self.triggers[name]
            for lookup in lookups(spec):
                for followed in lookup.followed_keys:
                    key = lookup.table, followed
                    found[key] = (*found.get(key, ()), (spec, lookup))
        return found

    @cached_property
    def following(self) -> tuple[TriggerSpec, ...]:
        """The triggers that follow what their runs read by hand."""
        return tuple(self.triggers[name] for name in self.order if self.triggers[name].follow)

    @cached_property
    def writing(self) -> tuple[str, ...]:
        """The triggers whose runs may write by hand."""
        return tuple(name for name in self.order if self.triggers[name].writes_freely)

    @cached_property
    def mourners(self) -> Mapping[str, tuple[TriggerSpec, ...]]:
        """The triggers that run on deletions, by the table whose rows go."""
        found: dict[str, tuple[TriggerSpec, ...]] = {}
        for spec in self.triggers.values():
            if spec.deleted:
                found[spec.deleted] = (*found.get(spec.deleted, ()), spec)
        return found

    @cached_property
    def expiring(self) -> Sequence[str]:
        """The triggers whose tasks are dropped where they have waited too long."""
        return [spec.name for spec in self.triggers.values() if spec.discard_after_s is not None]

    @cached_property
    def readers(self) -> Mapping[tuple[str, str], tuple[TriggerSpec, ...]]:
        """The triggers that read a key they do not run on: they may be waiting for its first value."""
        return self._by_key(lambda spec: [name for name in spec.required if name not in spec.on])

    @cached_property
    def openers(self) -> Mapping[str, tuple[TriggerSpec, ...]]:
        """The triggers that may run on a page that sets none of their keys, by table: all that they need is inherited."""
        found: dict[str, tuple[TriggerSpec, ...]] = {}
        for spec in self.triggers.values():
            levels = self.levels[spec.table]
            if self.row_level(spec) != frozenset().union(*(levels[key] for key in spec.required)):
                found[spec.table] = (*found.get(spec.table, ()), spec)
        return found

    @cached_property
    def labelled(self) -> Mapping[tuple[str, str], tuple[FitSpec, ...]]:
        """The fits that a key's setting makes labels for, by (table, key)."""
        found: dict[tuple[str, str], tuple[FitSpec, ...]] = {}
        for fit in self.fits.values():
            for key in fit.on:
                found[fit.table, key] = (*found.get((fit.table, key), ()), fit)
        return found

    @cached_property
    def fits_of(self) -> Mapping[str, tuple[FitSpec, ...]]:
        """The fits that learn from rows of a table, by that table."""
        found: dict[str, tuple[FitSpec, ...]] = {}
        for fit in self.fits.values():
            found[fit.table] = (*found.get(fit.table, ()), fit)
        return found

    @cached_property
    def seen(self) -> Mapping[str, tuple[str, ...]]:
        """The keys for which rows are kept as runs saw them when they set these, by the trigger that sets them."""
        found: dict[str, tuple[str, ...]] = {}
        for fit in self.fits.values():
            name = self.producers.get((fit.table, fit.seen_by or ""))
            if name and fit.seen_by:
                found[name] = tuple(dict.fromkeys((*found.get(name, ()), fit.seen_by)))
        return found

    def own_roots(self, spec: TriggerSpec) -> tuple[str, ...]:
        """Return the keys of a row whose changes give a trigger other `on` values by themselves. What windows, lookups and
        folds take of other rows, and what derives from that, may change at any time; then the row's own keys behind it count."""
        found: dict[str, None] = {}
        keys = spec.fold.watched if spec.fold is not None else (*spec.on, *spec.looked_up_by)
        for key in keys:
            maker = self.triggers.get(self.producers.get((spec.source, key), ""))
            if maker is None or not self._takes_of_others(maker):
                found[key] = None
            else:
                found |= dict.fromkeys(self.own_roots(maker))
        return tuple(found)

    def _takes_of_others(self, spec: TriggerSpec) -> bool:
        """Whether what a trigger gives for a row may change with other rows alone."""
        if spec.fold is not None:
            return spec.fold.is_of_rows
        if spec.windows or any(each.is_followed for each in spec.lookups):
            return True
        makers = (self.triggers.get(self.producers.get((spec.table, key), "")) for key in spec.on)
        return any(maker is not None and self._takes_of_others(maker) for maker in makers)

    @cached_property
    def windowed(self) -> Mapping[str, tuple[tuple[TriggerSpec, Window], ...]]:
        """The triggers with windows over rows of a table, by that table."""
        found: dict[str, tuple[tuple[TriggerSpec, Window], ...]] = {}
        for name in self.order:
            for window in self.triggers[name].windows:
                pair = self.triggers[name], window
                found[window.table] = (*found.get(window.table, ()), pair)
        return found

    @cached_property
    def shown(self) -> Mapping[str, tuple[str, ...]]:
        """The keys that windows and folds go by and that pages may inherit, by table: what rows show of them is kept beside
        them."""
        found: dict[str, dict[str, None]] = {}
        for spec in self.triggers.values():
            for window in spec.windows:
                where = (key for key, _ in window.narrowed)
                held, own = (window.other_by, window.other_order), (window.own_by, window.own_order)
                for table, keys in ((window.table, (*held, *where)), (spec.table, own)):
                    inherited = (key for key in keys if self._may_be_inherited(table, key))
                    found.setdefault(table, {}).update(dict.fromkeys(inherited))
            for key in () if spec.fold is None else (spec.fold.by, spec.fold.order):
                if self._may_be_inherited(spec.source, key):
                    found.setdefault(spec.source, {})[key] = None
        return {table: tuple(keys) for table, keys in found.items()}

    def _may_be_inherited(self, table: str, key: str) -> bool:
        return may_be_inherited(self.tables.get(table), self.levels[table], key)

    @cached_property
    def rows_folded(self) -> Mapping[str, FoldedRows]:
        """Which rows folds go over, by the names of these."""
        pairs = ((name, spec.fold) for name, spec in self.triggers.items())
        return {
            name: FoldedRows(fold, self.tables.get(fold.source), self.levels[fold.source])
            for name, fold in pairs
            if fold is not None
        }

    def shown_to(self, spec: TriggerSpec) -> tuple[str, ...]:
        """Return the keys that a fold goes by or takes as rows show them, and may inherit them."""
        return self.rows_folded[spec.name].shown

    @cached_property
    def found_by(self) -> Mapping[str, tuple[tuple[TriggerSpec, Lookup], ...]]:
        """The triggers that follow rows of a table which they find by another key than the id, or wait for these, by that
        table."""
        found: dict[str, tuple[tuple[TriggerSpec, Lookup], ...]] = {}
        for name in self.order:
            spec = self.triggers[name]
            for lookup in spec.lookups:
                matters = lookup.is_followed or lookup in spec.awaited_lookups
                if lookup.to is not None and matters:
                    pair = spec, lookup
                    found[lookup.table] = (*found.get(lookup.table, ()), pair)
        return found

    @cached_property
    def folded(self) -> Mapping[str, tuple[TriggerSpec, ...]]:
        """The folds that go over rows of a table, by that table."""
        return _by(self.triggers.values(), lambda fold: fold.source)

    @cached_property
    def folded_into(self) -> Mapping[str, tuple[TriggerSpec, ...]]:
        """The folds whose values rows of a table keep, by that table."""
        return _by(self.triggers.values(), lambda fold: fold.target)

    @cached_property
    def gone_over(self) -> Mapping[str, frozenset[str]]:
        """The keys whose change changes what windows hold or folds go over, by table; a fold's own value among them, where
        each row keeps one."""
        found: dict[str, set[str]] = {}
        for table, windows in self.windowed.items():
            found.setdefault(table, set()).update(k for _, each in windows for k in each.held_keys)
        for table, pairs in self.found_by.items():
            found.setdefault(table, set()).update(lookup.to_key for _, lookup in pairs)
        for table, specs in self.folded.items():
            for fold in (spec.fold for spec in specs if spec.fold is not None):
                own = (fold.sets,) if fold.is_of_rows else ()
                found.setdefault(table, set()).update((*fold.watched, *own))
        return {table: frozenset(keys) for table, keys in found.items()}

    @cached_property
    def paged(self) -> Mapping[str, tuple[tuple[TriggerSpec, Lookup], ...]]:
        """The triggers that follow pages of a table by their whole names, or wait for these, by that table."""
        found: dict[str, tuple[tuple[TriggerSpec, Lookup], ...]] = {}
        for (table, _), pairs in (*self.followers.items(), *self.awaiting.items()):
            named = (pair for pair in pairs if len(pair[1].bys) > 1)
            found[table] = tuple(dict.fromkeys((*found.get(table, ()), *named)))
        return found

    def followers_of(self, table: str) -> tuple[tuple[TriggerSpec, Lookup], ...]:
        """Return the triggers that run on rows which look up any key of a table."""
        pairs = (pair for (of, _), found in self.followers.items() if of == table for pair in found)
        return tuple(dict.fromkeys(pairs))

    def keeps(self, spec: TriggerSpec) -> bool:
        """Whether a trigger keeps a key that is a lookup or a window itself: no code of a user's is in it."""
        key = self.tables.get(spec.table).keys.get(spec.sets[0]) if len(spec.sets) == 1 else None
        declared = key is not None and (key.lookup or key.window)
        return bool(declared) and spec.name == f"{spec.table}.{spec.sets[0]}"

    def numbered_keys(self, table: str) -> tuple[str, ...]:
        """Return the keys of a table whose changes are numbered: those that triggers run on, or that are looked up; those
        that they take, so that a value can say whether it was made from what is there; and pages of generators, which
        come before their run ends."""
        specs = [spec for spec in self.triggers.values() if spec.table == table]
        keys = {key for spec in specs for key in (*spec.on, *spec.looked_up_by, *spec.inputs)}
        keys |= {key for spec in specs if spec.page and spec.is_generator for key in spec.sets}
        keys |= {name for other, name in self.followers if other == table}
        keys |= {key for _, window in self.windowed.get(table, ()) for key in window.held_keys}
        keys |= {
            key for spec in self.folded.get(table, ()) if spec.fold for key in spec.fold.watched
        }
        return tuple(name for name in self.tables.get(table).keys if name in keys)

    def kept_by_version(self, table: str, key: str) -> TriggerSpec | None:
        """Return the trigger that keeps a key once for each state version; None for all other keys."""
        maker = self.triggers.get(self.producers.get((table, key), ""))
        return maker if maker is not None and maker.is_versioned else None

    def sees(self, spec: TriggerSpec) -> tuple[str, ...]:
        """Return the components of which a run sees one state version: those whose states it takes, its own first, and those
        that keep by version what it takes."""
        return self._sees[spec.name]

    @cached_property
    def _sees(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for spec in self.triggers.values():
            makers = [self.kept_by_version(*key) for key in self._taken_by(spec)]
            kept = [maker.component for maker in makers if maker is not None and maker.component]
            found[spec.name] = tuple(dict.fromkeys((*spec.components, *kept)))
        return found

    def takers_of(self, maker: TriggerSpec) -> list[TriggerSpec]:
        """Return the triggers that take what a trigger keeps by version, or may have read it and follow that."""
        return [
            spec
            for spec in self.triggers.values()
            if spec.follow
            or any(self.kept_by_version(*key) is maker for key in self._taken_by(spec))
        ]

    def kept_from(self, spec: TriggerSpec) -> list[TriggerSpec]:
        """Return the triggers that keep by version what is made of a trigger's outputs: of these, or of what is kept so."""
        reached, found = {(spec.table, key) for key in spec.sets}, list[TriggerSpec]()
        waiting = [each for each in self.triggers.values() if each.is_versioned and each != spec]
        while near := [each for each in waiting if not reached.isdisjoint(self._taken_by(each))]:
            found += near
            reached |= {(each.table, key) for each in near for key in each.sets}
            waiting = [each for each in waiting if each not in near]
        return found

    def taken_from(self, spec: TriggerSpec) -> list[TriggerSpec]:
        """Return the triggers that keep by version what a trigger takes of other rows."""
        return self._makers_of(spec.elsewhere)

    def follows_from(self, spec: TriggerSpec) -> list[TriggerSpec]:
        """Return those of them whose outputs it follows."""
        followed = [each for each in spec.lookups if each.is_followed]
        return self._makers_of((*followed, *spec.windows))

    def waits_for(self, spec: TriggerSpec) -> list[TriggerSpec]:
        """Return the triggers that keep by version what a trigger needs and does not follow, of its own row or of others."""
        own = [self.kept_by_version(spec.table, key) for key in spec.required if key not in spec.on]
        return [*(maker for maker in own if maker), *self._makers_of(spec.awaited_lookups)]

    def _makers_of(self, taken: Iterable[Lookup | Window]) -> list[TriggerSpec]:
        keys = [(each.table, name) for each in taken for name in names_of(each)]
        makers = [self.kept_by_version(*key) for key in keys]
        return [maker for maker in makers if maker is not None]

    def _taken_by(self, spec: TriggerSpec) -> list[tuple[str, str]]:
        """Return the keys that a run is given, each with its table."""
        own = self.tables.get(spec.table).keys if spec.reads_row else _needed(spec)
        taken = [(each.table, name) for each in spec.elsewhere for name in names_of(each)]
        return [*((spec.table, key) for key in own), *taken]

    def still_has(self, spec: TriggerSpec) -> bool:
        """Whether a trigger of another graph is here too, on the same keys and with the same outputs, whatever its code."""
        mine = self.triggers.get(spec.name)
        return mine is not None and _place_of(mine) == _place_of(spec)

    def row_level(self, spec: TriggerSpec) -> frozenset[str]:
        """Return the page keys that tell apart the rows that a trigger runs on."""
        return self._row_levels[spec.name]

    @cached_property
    def _row_levels(self) -> Mapping[str, frozenset[str]]:
        return {
            name: frozenset().union(
                *(self.levels[spec.table][key] for key in _needed(spec)), self._declared_level(spec)
            )
            for name, spec in self.triggers.items()
        }

    def _declared_level(self, spec: TriggerSpec) -> frozenset[str]:
        """Return the page keys that tell a key apart which is declared as a lookup or a window: each of these pages has its
        own."""
        table = self.tables.get(spec.table)
        return table.declared_levels()[spec.sets[0]] if self.keeps(spec) else frozenset()

    def upstream(self, spec: TriggerSpec) -> tuple[str, ...]:
        """Return the triggers that inputs of `spec` derive from: it waits for their pending work on its row."""
        return self._upstream[spec.name]

    def upstream_at_once(self, spec: TriggerSpec) -> tuple[str, ...]:
        """Return those upstream whose outputs on a row are there when their run has ended."""
        return self._by_kind[spec.name][0]

    def upstream_by_items(self, spec: TriggerSpec) -> tuple[TriggerSpec, ...]:
        """Return those upstream whose pages are seen as they come: their row's own is the first."""
        return self._by_kind[spec.name][1]

    @cached_property
    def _by_kind(self) -> Mapping[str, tuple[tuple[str, ...], tuple[TriggerSpec, ...]]]:
        found = {}
        for name, upstream in self._upstream.items():
            specs = [self.triggers[each] for each in upstream]
            makers = [each for each in specs if each.is_generator and each.page]
            others = tuple(each.name for each in specs if each not in makers)
            found[name] = (others, tuple(makers))
        return found

    def inherited(self, spec: TriggerSpec) -> tuple[tuple[str, str], ...]:
        """Return the inputs of a trigger that its pages inherit, or those upstream of it on the same row do, each with one of
        the triggers that it derives from there: pages wait for their pending work on the row that they inherit from."""
        return self._inherited[spec.name]

    def inheriting(self, name: str) -> tuple[TriggerSpec, ...]:
        """Return the triggers whose pages inherit what derives from a trigger's outputs."""
        return self._inheriting.get(name, ())

    @cached_property
    def _inheriting(self) -> Mapping[str, tuple[TriggerSpec, ...]]:
        found: dict[str, tuple[TriggerSpec, ...]] = {}
        for name, pairs in self._inherited.items():
            for upstream in dict.fromkeys(other for _, other in pairs):
                found[upstream] = (*found.get(upstream, ()), self.triggers[name])
        return found

    @cached_property
    def _inherited(self) -> Mapping[str, tuple[tuple[str, str], ...]]:
        found: dict[str, tuple[tuple[str, str], ...]] = {}
        for name in self.order:
            spec, pairs = self.triggers[name], dict[tuple[str, str], None]()
            level, levels = self.row_level(spec), self.levels[spec.table]
            for key in sorted(_needed(spec)):
                maker = self.triggers.get(self.producers.get((spec.table, key), ""))
                if maker is None or maker.name not in found or maker.fold or maker.page:
                    continue  # pages that are made are seen as they come
                if self.row_level(maker) == level:
                    pairs.update(dict.fromkeys(found[maker.name]))
                elif not levels[key] >= level:
                    others = (*self._upstream[maker.name], maker.name)
                    pairs |= {(key, each): None for each in others if not self.triggers[each].page}
            found[name] = tuple(pairs)
        return found

    def woken_elsewhere(self, name: str) -> list[str]:
        """Return the triggers that wait for a trigger's work on other rows than their own: folds, and those of pages."""
        return [spec.name for spec in (*self.fed.get(name, ()), *self.inheriting(name))]

    def woken_by(self, name: str) -> tuple[str, ...]:
        """Return the triggers whose work may wait for the end of a trigger's: those downstream, and itself, where it acts
        once on a row, or folds an entity's rows one run after the other."""
        spec = self.triggers.get(name)
        waits = spec is not None and (spec.once or spec.fold is not None)
        return (*self.downstream(name), *([name] if waits else []))

    def feeders(self, spec: TriggerSpec) -> tuple[str, ...]:
        """Return the triggers whose pending work on a row a fold waits for, where it comes to that row: those that set what
        it goes by."""
        keys = spec.fold.watched if spec.fold is not None else ()
        names = (self.producers.get((spec.source, key)) for key in keys)
        direct = [name for name in names if name and self.triggers[name].fold is None]
        return tuple(
            dict.fromkeys(each for name in direct for each in (*self._upstream[name], name))
        )

    @cached_property
    def fed(self) -> Mapping[str, tuple[TriggerSpec, ...]]:
        """The folds that wait for a trigger's work on rows that they go over, by its name."""
        found: dict[str, tuple[TriggerSpec, ...]] = {}
        for spec in self.triggers.values():
            for name in self.feeders(spec):
                found[name] = (*found.get(name, ()), spec)
        return found

    @staticmethod
    def needed(spec: TriggerSpec) -> tuple[str, ...]:
        """Return the keys of its own row that a trigger runs on or takes."""
        return _needed(spec)

    def downstream(self, name: str) -> tuple[str, ...]:
        """Return the triggers that have `name` upstream."""
        return self._downstream.get(name, ())

    @cached_property
    def _downstream(self) -> Mapping[str, tuple[str, ...]]:
        above = self._upstream
        return {
            name: tuple(other for other in self.order if name in above[other]) for name in above
        }

    @cached_property
    def _upstream(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for name in self.order:
            spec = self.triggers[name]
            names = {self.producers.get((spec.table, key)) for key in _needed(spec)}
            direct = [
                other
                for other in names  # found: so it is earlier in the order
                if other and other in found and self.triggers[other].fold is None
            ]
            found[name] = tuple(
                dict.fromkeys(each for other in direct for each in (*found[other], other))
            )
        return found

    def fused_with(self, spec: TriggerSpec) -> tuple[TriggerSpec, ...]:
        """Return the triggers that may run in memory right behind `spec`, on the same rows, in order.

        One that reads a key which another trigger outside of this chain sets must wait for that trigger, so it
        becomes a task of its own.
        """
        return self._fused.get(spec.name, ())

    @cached_property
    def _fused(self) -> Mapping[str, tuple[TriggerSpec, ...]]:
        return {spec.name: self._fused_with(spec) for spec in self.triggers.values()}

    def _fused_with(self, spec: TriggerSpec) -> tuple[TriggerSpec, ...]:
        chain: list[TriggerSpec] = []
        if not spec.is_columnar or spec.is_versioned:
            return ()
        made = set(spec.sets)
        for other in self.of_table(spec.table):
            foreign = {
                key
                for key in _needed(other)
                if key not in made and (other.table, key) in self.producers
            }
            if (
                other.is_fusable
                and made & set(other.on)
                and not foreign
                and self.row_level(other) == self.row_level(spec)
            ):
                chain.append(other)
                made.update(other.sets)
        return tuple(chain)

    def _by_key(
        self, keys_of: Callable[[TriggerSpec], Iterable[str]]
    ) -> Mapping[tuple[str, str], tuple[TriggerSpec, ...]]:
        found: dict[tuple[str, str], tuple[TriggerSpec, ...]] = {}
        for name in self.order:
            spec = self.triggers[name]
            for key in keys_of(spec):
                found[spec.table, key] = (*found.get((spec.table, key), ()), spec)
        return found

    def _producers(self) -> dict[tuple[str, str], str]:
        producers: dict[tuple[str, str], str] = {}
        for spec in self.triggers.values():
            for table, key in outputs_of(spec):
                other = producers.setdefault((table, key), spec.name)
                if other != spec.name:
                    raise TriggerError(
                        f"triggers {other!r} and {spec.name!r} both set {table}.{key}; each key has one trigger."
                    )
        return producers

    def _order(self) -> tuple[str, ...]:
        """Sort the triggers so that each comes after those that feed it, and, where no loop forbids it, after those
        that set what it only reads."""
        specs = self.triggers.values()
        fed_by = {spec.name: self._fed_by(spec) for spec in specs}
        try:
            order = tuple(graphlib.TopologicalSorter(fed_by).static_order())
        except graphlib.CycleError as exc:
            raise TriggerCycle(self._loop(exc.args[1])) from exc
        for other in specs:
            for name in {self.producers.get((other.table, key)) for key in other.inputs}:
                if name and name != other.name and not _comes_from(fed_by, name, other.name):
                    fed_by[other.name].add(name)
        return tuple(graphlib.TopologicalSorter(fed_by).static_order()) if order else ()

    def _fed_by(self, spec: TriggerSpec) -> set[str]:
        """Return the triggers that set what a trigger runs on, or make the rows."""
        keys = runs_on(spec)
        tables = {table for table, _ in keys}
        setters = {self.producers[key] for key in keys if key in self.producers}
        return setters | {s.name for s in self.triggers.values() if s.sets_table in tables}

    def _loop(self, names: Sequence[str]) -> list[str]:
        """Show a loop of triggers with the keys they set: a -> query.x -> b -> ..."""
        loop: list[str] = []
        for name in names[:-1]:
            spec = self.triggers[name]
            sets = spec.sets_table or ", ".join(f"{table}.{key}" for table, key in outputs_of(spec))
            loop += (
                [name] if sets == name else [name, sets]
            )  # a key that is kept is called as it is
        return [*loop, names[-1]]

    def _levels(self) -> Levels:
        levels = {table.name: table.declared_levels() for table in self.tables}
        for name in self.order:
            spec = self.triggers[name]
            own = levels[spec.table]
            inputs = frozenset().union(*(own[key] for key in _needed(spec)))
            for key in spec.sets:
                if self.tables.get(spec.table).keys[key].level is None:
                    own[key] = own[key] | inputs | ({spec.page} if spec.page else frozenset())
            if spec.fold is not None:
                tell_apart(spec.fold, self.tables.get(spec.fold.source), levels[spec.fold.source])
        return levels


def _needed(spec: TriggerSpec) -> tuple[str, ...]:
    """Return the keys of its own row that a trigger runs on or takes."""
    return (*spec.on, *spec.inputs, *spec.looked_up_by)


def names_of(taken: Lookup | Window) -> tuple[str, ...]:
    """Return the keys whose values are taken of other rows, within their table."""
    return (taken.name,) if isinstance(taken, Lookup) else taken.names


def outputs_of(spec: TriggerSpec) -> tuple[tuple[str, str], ...]:
    """Return the keys that a trigger sets, each with its table."""
    if spec.fold is not None:
        return ((spec.fold.target, spec.fold.sets),)
    return tuple((spec.table, key) for key in spec.sets)


def _own_table(spec: TriggerSpec, tables: Tables) -> Table | None:
    """Return the table that is a trigger's own: of its events, or of the entities that it folds."""
    if spec.fold is not None:
        return entity_table(spec.name, tables.get(spec.fold.source).keys[spec.fold.by])
    return event_table(spec.name, spec.event, tables) if spec.event else None


def _by(
    specs: Iterable[TriggerSpec], table_of: Callable[[Fold], str]
) -> Mapping[str, tuple[TriggerSpec, ...]]:
    """Return the folds among triggers, by a table of each."""
    found: dict[str, tuple[TriggerSpec, ...]] = {}
    for spec in specs:
        if spec.fold is not None:
            table = table_of(spec.fold)
            found[table] = (*found.get(table, ()), spec)
    return found


def runs_on(spec: TriggerSpec) -> set[tuple[str, str]]:
    """Return the keys whose change runs a trigger, on whichever row, each with its table."""
    found = {(spec.table, key) for key in (*spec.on, *spec.looked_up_by)}
    followed = [each for each in spec.lookups if each.is_followed]
    found |= {(each.table, key) for each in followed for key in each.followed_keys}
    found |= {(each.table, key) for each in spec.windows for key in each.held_keys}
    if spec.fold is not None:
        found |= {(spec.fold.source, key) for key in spec.fold.watched}
    return found


def _comes_from(fed_by: Mapping[str, set[str]], name: str, source: str) -> bool:
    """Whether a trigger is fed by another, directly or by way of others."""
    seen, following = {name}, [name]
    while following and source not in seen:
        new = fed_by[following.pop()] - seen
        seen |= new
        following += new
    return source in seen


def _place_of(spec: TriggerSpec) -> tuple[object, ...]:
    where = spec.table, spec.on, spec.sets, spec.sets_table, spec.page, spec.fold
    return *where, spec.refresh, spec.component, spec.once
