"""Layouts: how one table lies in the database, and the SQL fragments that follow from it.

A table's rows are in `motion_rows_<table>`; a view with the table's name shows its keys and nothing else. Beside the
keys, hidden columns (their names have a colon, which no key's can) hold:

* `<key>:shown`: what the row shows of a key that windows and folds go by and that it may inherit (`persistence.rows.shown`);
* `<key>:changed`: the number of the change that last changed a key which triggers run on;
* `<trigger>:done`: a mark, `number << 20 | origin`: the trigger's outputs were written by change `number` and are as of
  it (0: they are to be made again; of outputs by version: as of the change of their input), and were made by `origin`
  (trigger, fingerprint, state version; 0: a user);
* `<key>:former`: such a mark about a key that went over to another trigger, where the one that it is of has written over it
  (`persistence.rows.handovers`);
* `<fold>:applied`: of a fold that applies each row once, the change with which it did;
* `<fold>:inherited`: the change that last changed what the row inherits of the keys that a fold goes by or takes;
* `:made_by`, `:made_from`, `:made_item`: the trigger and source row that own a row made by a trigger;
* `:made_keys`, `:own`: where rows are made by triggers, the keys that they gave, and the change at which a user last gave
  another value for one of these (`persistence.makers`).

Outputs that are kept once for each state version are in `motion_outputs_<trigger>` instead, where the key of a slot is
`version << 40 | row`: a version's values lie together, are found by row at once, and a switch changes one number.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import zip_longest
from typing import NamedTuple

from motion.definitions.graph import Graph, Span
from motion.definitions.tables.lookups import Lookup
from motion.definitions.tables.schema import Key, Table
from motion.definitions.tables.windows import Window
from motion.definitions.triggers.folds import Fold
from motion.definitions.triggers.specs import TriggerSpec
from motion.persistence.numbers import UNNUMBERED

ORIGIN_BITS = 20

ORIGIN_MASK = (1 << ORIGIN_BITS) - 1

VERSION_SHIFT = 40

ALL_ROWS = (1 << VERSION_SHIFT) - 1
"""Stands for every row of a state version, in the vector log."""

Pins = Mapping[str, int]
"""Component -> state version whose outputs to read; components left out are read live."""

NO_PINS: Pins = {}

PLACES_OF_ENTITIES: Mapping[str, str] = {
    '":due"': "order", '":gone"': "order", '":base"': "", '":base_all"': "", '":base_place"': "order", '":base_id"': "id",
    '":base_value"': "value", '":until"': "order", '":until_id"': "id",
}  # fmt: skip
"""Columns of folds' tables of entities, and what is in those that are no numbers: `persistence.folds` tells more."""


TOLD_TYPES = frozenset({"ARRAY_BLOB", "BLOB", "BOOL_INT"})
"""Types of columns by which an answer in SQL has an array, bytes or a bool."""

LEFT_BEHIND = '":stale"'
"""Of an entity of a fold that applies each row once: the change since which its value is not that of its rows."""


def mark_of(number: int, origin: int) -> int:
    """Return a mark: outputs as of change `number`, made by `origin`."""
    return number << ORIGIN_BITS | origin


def slot_of(version: int, row: int) -> int:
    return version << VERSION_SHIFT | row


@lru_cache(maxsize=4096)
def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def as_text(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"


def rows_table(table: str) -> str:
    return quoted(f"motion_rows_{table}")


@lru_cache(maxsize=4096)
def changed_column(key: str) -> str:
    return quoted(f"{key}:changed")


def shown_column(key: str) -> str:
    """Where a row keeps what it shows of a key that it may inherit, for windows to find it by."""
    return quoted(f"{key}:shown")


@lru_cache(maxsize=4096)
def done_column(trigger: str) -> str:
    return quoted(f"{trigger}:done")


NOBODY = ""  # stands for who gave a key values while no trigger set it


def former_column(key: str) -> str:
    """Where a row keeps the mark about a key that another trigger sets by now, once the one that it is of has written over it."""
    return quoted(f"{key}:former")


def marks_rows(spec: TriggerSpec) -> bool:
    """Whether a trigger's marks stand on the rows whose keys it sets."""
    return spec.is_columnar and not spec.is_versioned and spec.fold is None


def once_column(trigger: str) -> str:
    """Where a trigger that acts once on a row notes it: above 0 the mark of the run that succeeded, below 0 the number of
    the one that was begun last."""
    return quoted(f"{trigger}:once")


def applied_column(trigger: str) -> str:
    """Where a fold that applies each row once notes it on the row: the change with which it did. 0: it is to be applied
    again, as all rows of its entity are; NULL: it has not been."""
    return quoted(f"{trigger}:applied")


def inherited_column(trigger: str) -> str:
    """Where a row keeps the change at which what it inherits for a fold last became another."""
    return quoted(f"{trigger}:inherited")


def applied_at(trigger: str, alias: str = "") -> str:
    """Return the number of that change, 0 where the row waits. As one text, since an index is taken by its condition's."""
    return f"COALESCE({alias}{applied_column(trigger)}, 0)"


def left_by_name(by: str, order: str, fold: str = "") -> str:
    """Return the name of a way in which windows and folds hold rows.

    Args:
        fold: which applies each row once, and is left by rows that were applied.
    """
    return f"{by} {order} {fold}".rstrip()


def listed_table(table: str, key: str) -> str:
    """Return where it is kept which rows' lists an id is in (`persistence.rows.listed`)."""
    return quoted(f"motion_listed_{table}:{key}")


def is_listed_as(column: str) -> str:
    """Return the expression of an id as it stands in the table."""
    return f"CAST({column} AS TEXT)"


def outputs_table(trigger: str) -> str:
    return quoted(f"motion_outputs_{trigger}")


def is_switched_along(spec: TriggerSpec, maker: TriggerSpec) -> bool:
    """Whether a trigger's outputs are of the same state version as those of another, always."""
    return spec.is_versioned and spec.component == maker.component


def _latest(numbers: Sequence[str]) -> str:
    """Return the expression of the largest of some numbers."""
    return numbers[0] if len(numbers) == 1 else f"MAX({', '.join(numbers)})"


class Way(NamedTuple):
    """A way in which windows and folds hold rows of a table, or lookups find them.

    Attributes:
        by, order: the keys of entities, and of their order.
        was_held: the condition that a row was held, where that is not all.
        is_shown: rows are held by what they show of these keys, inherited or their own.
    """

    by: str
    order: str
    was_held: str = ""
    is_shown: bool = False


@dataclass(frozen=True)
class Layout:
    """One table's place in the database under one graph. Immutable, so its SQL is made once."""

    table: Table
    graph: Graph

    @cached_property
    def statements(self) -> dict[object, str]:
        """Statements that were made once, by whatever tells them apart."""
        return {}

    @cached_property
    def base(self) -> str:
        return rows_table(self.table.name)

    @cached_property
    def row_is_id(self) -> bool:
        """Whether `id` itself numbers the rows: an int id without page keys saves an index."""
        return self.table.has_int_id and not self.table.page_keys and not self.table.is_event

    @cached_property
    def has_bounded_ids(self) -> bool:
        """Whether ids must leave room for a state version beside them: they number the rows, and outputs lie by both."""
        return self.row_is_id and bool(self.versioned)

    @cached_property
    def row_column(self) -> str:
        return quoted("id" if self.row_is_id else ":row")

    @cached_property
    def row(self) -> str:
        return f"r.{self.row_column}"

    @cached_property
    def numbered(self) -> tuple[str, ...]:
        return self.graph.numbered_keys(self.table.name)

    @cached_property
    def versioned(self) -> Mapping[str, TriggerSpec]:
        """The keys kept once for each state version, with the trigger that sets them."""
        specs = [spec for spec in self.graph.of_table(self.table.name) if spec.is_versioned]
        return {key: spec for spec in specs for key in spec.sets}

    @cached_property
    def versioned_specs(self) -> tuple[TriggerSpec, ...]:
        return tuple({spec.name: spec for spec in self.versioned.values()}.values())

    @cached_property
    def lists(self) -> tuple[str, ...]:
        """The keys that hold lists by which rows look others up, and are to be found by them."""
        own = self.graph.of_table(self.table.name)
        pairs = [(spec, each) for spec in own for each in spec.lookups_of_lists]
        matter = [each for spec, each in pairs if each.is_followed or each in spec.awaited_lookups]
        return tuple(dict.fromkeys(each.bys[0] for each in matter))

    @cached_property
    def is_target(self) -> bool:
        """Whether triggers make rows of this table from rows of another one."""
        return any(spec.sets_table == self.table.name for spec in self.graph.triggers.values())

    @cached_property
    def has_makers(self) -> bool:
        """Whether triggers make rows of this table: pages, or from rows of another one."""
        return self.is_target or any(spec.page for spec in self.graph.of_table(self.table.name))

    @cached_property
    def free_keys(self) -> tuple[str, ...]:
        """The keys that no trigger derives: users give them, and triggers that make whole rows."""
        producers, name = self.graph.producers, self.table.name
        return tuple(key for key in self.table.value_keys if (name, key) not in producers)

    @cached_property
    def array_keys(self) -> tuple[Key, ...]:
        return tuple(key for key in self.table.keys.values() if key.is_array)

    # -- expressions over the aliases r (the row), o<n> (its versioned outputs) and p<n> (its page 0 rows) --

    def length_of_row(self) -> str:
        """Return the expression for how much a row holds, in bytes or characters; a look at each value's header."""
        keys = [key for key in self.table.value_keys if key not in self.versioned]
        return " + ".join(["0", *(f"COALESCE(LENGTH(r.{quoted(key)}), 0)" for key in keys)])

    def value(self, key: str, alias: str = "r") -> str:
        """Return the expression of a key's own stored value."""
        return f"{self._place_of_own(key, alias)}.{quoted(key)}"

    def inherited_value(self, key: str) -> str:
        """Return the expression of a key's value, taken from page 0 of the page keys that do not tell it apart."""
        alias = self._page_zero_alias(key)
        return (
            self.value(key)
            if alias is None
            else f"COALESCE({self.value(key)}, {self.value(key, alias)})"
        )

    def viewed_value(self, key: str) -> str:
        """Return the expression of a key's value in the table's view: as a subquery where answers in SQL have values made by the
        type of a column, which SQLite tells of a subquery's, and not of a function's."""
        alias = self._page_zero_alias(key)
        if alias is None or self.sql_type(key) not in TOLD_TYPES:
            return self.inherited_value(key)
        own = self.value(key)
        return f"(SELECT {own} WHERE {own} IS NOT NULL UNION ALL SELECT {self.value(key, alias)} LIMIT 1)"

    def shows(self, key: str, value: str, row_id: str, *, is_set: bool) -> tuple[str, int]:
        """Return the condition that a row shows a value, `?`, of a key, and how often the value is needed for it.

        Args:
            value, row_id: the expressions of what it shows, and of its id.
            is_set: whether the value asked for is one. An inherited one is then stored in a row of the same id, so the
                ids come from one look at the table, instead of a look above each row.
        """
        if not is_set:
            return f"{value} IS NULL", 0
        if self._page_zero_alias(key) is None or key in self.versioned:
            return f"{value} = ?", 1  # for IS NOT DISTINCT FROM, PostgreSQL looks at no index
        ids = f"SELECT id FROM {self.base} WHERE {quoted(key)} = ?"
        return f"{value} = ? AND {row_id} IN ({ids})", 2

    def own_number(self, key: str, alias: str = "r") -> str:
        """Return the expression of the number at which a key's own stored value last changed."""
        return f"COALESCE({self._place_of_own(key, alias)}.{changed_column(key)}, 0)"

    def _place_of_own(self, key: str, alias: str = "r") -> str:
        """Return the alias of where a row keeps its own value of a key, and the number of it."""
        return self._output_alias(self.versioned[key], alias) if key in self.versioned else alias

    def changed(self, key: str) -> str:
        """Return the expression of the number at which a key, inherited or own, last changed."""
        own, alias = self.own_number(key), self._page_zero_alias(key)
        if alias is None:
            return own
        inherited = f"MAX({own}, {self.own_number(key, alias)})"
        return f"CASE WHEN {self.value(key)} IS NULL THEN {inherited} ELSE {own} END"

    def followed(self, spec: TriggerSpec) -> tuple[str, ...]:
        """Return the keys of a versioned trigger that others derive from, but for those whose outputs are switched along
        with it."""

        def is_followed(key: str) -> bool:
            place = self.table.name, key
            others = [*self.graph.listeners.get(place, ())]
            others += [other for other, _ in self.graph.followers.get(place, ())]
            others += [other for other, _ in self.windows_over(key)]
            return not all(is_switched_along(other, spec) for other in others)

        return tuple(key for key in spec.sets if is_followed(key))

    def is_made_of_switched(self, spec: TriggerSpec) -> bool:
        """Whether a versioned trigger's outputs derive from others that are switched along, and whose numbers a switch puts
        right."""
        own = (self.graph.kept_by_version(self.table.name, key) for key in spec.on)
        makers = {maker.name: maker for maker in (*own, *self.graph.follows_from(spec)) if maker}
        return any(
            is_switched_along(spec, maker)
            and Layout(self.graph.tables.get(maker.table), self.graph).followed(maker)
            for maker in makers.values()
        )

    def windows_over(self, key: str) -> list[tuple[TriggerSpec, Window]]:
        """Return the triggers with windows that hold a key's values, each with its window."""
        windows = self.graph.windowed.get(self.table.name, ())
        return [(spec, window) for spec, window in windows if key in window.names]

    def on_number(self, spec: TriggerSpec) -> str:
        """Return the expression of the number at which a trigger's `on` keys, or what it looks up, last changed. What
        changes elsewhere does not end a user's value."""
        numbers = self._on_numbers_of_row(spec)
        of_one = spec.lookups_of_one
        followed = [self.looked_up_number(spec, each) for each in of_one if each.is_followed]
        if followed:
            is_users = f"{self.mark(spec)} & {ORIGIN_MASK} = 0"
            if spec.is_versioned:  # what a version makes first is as of all that it takes, too
                is_users += f" AND ({self.mark(spec)} > 0 OR {_latest(numbers)} = 0)"
            numbers.append(f"CASE WHEN {is_users} THEN 0 ELSE {_latest(followed)} END")
        return _latest(numbers)

    def on_number_of_row(self, spec: TriggerSpec) -> str:
        """Return the expression of the number at which the row's own keys last changed that a trigger runs on: these end a user's
        value."""
        return _latest(self._on_numbers_of_row(spec))

    def _on_numbers_of_row(self, spec: TriggerSpec) -> list[str]:
        return [self.changed(key) for key in (*spec.on, *spec.looked_up_by)]

    @cached_property
    def shown_keys(self) -> tuple[str, ...]:
        """The keys of which rows keep what they show, as windows and folds go by it."""
        return self.graph.shown.get(self.table.name, ())

    def place(self, key: str, alias: str = "r") -> str:
        """Return the expression of what windows and folds go by: a key as the row shows it."""
        return f"{alias}.{shown_column(key) if key in self.shown_keys else quoted(key)}"

    def taken(self, spec: TriggerSpec, key: str) -> str:
        """Return the expression of a key of a row `r` as a fold goes by it, or takes it."""
        if key not in self.graph.shown_to(spec):
            return f"r.{quoted(key)}"
        if key in self.shown_keys:
            return self.place(key)
        is_above = self.is_above("z", "r", self.graph.levels[self.table.name][key])
        above = f"SELECT z.{quoted(key)} FROM {self.base} z WHERE {is_above}"
        return f"COALESCE(r.{quoted(key)}, ({above}))"

    def shown_number(self, key: str, alias: str) -> str:
        """Return the expression of the number at which what a row shows of a key that windows go by last changed."""
        own = self.own_number(key, alias)
        if key not in self.shown_keys:
            return own
        is_above = self.is_above("z", alias, self.graph.levels[self.table.name][key])
        above = f"SELECT z.{changed_column(key)} FROM {self.base} z WHERE {is_above}"
        return f"MAX({own}, COALESCE(({above}), 0))"

    def names(self, alias: str = "r", way: str = "") -> str:
        """Return the keys that name a row, by which rows of one order are ordered."""
        return ", ".join(f"{alias}.{quoted(key)}{way}" for key in self.table.primary_key)

    def is_named(self, alias: str = "r") -> str:
        """Return the condition that a row is the one with an id, and pages, `?`."""
        return " AND ".join(f"{alias}.{quoted(key)} = ?" for key in self.table.primary_key)

    def looked_up(self, spec: TriggerSpec, lookup: Lookup) -> str:
        """Return the expression of the value that a trigger looks up for the row."""
        target, aliases = self._target(lookup), self._lookup_aliases(spec, lookup)
        values = [target.value(lookup.name, alias) for alias in aliases]
        return values[0] if len(values) == 1 else f"COALESCE({', '.join(values)})"

    def is_listed(self, key: str) -> str:
        """Return the condition that an id, `?` as it is kept, is in the list that a row shows."""
        alias, holders = self._page_zero_alias(key), [self.row]
        holders += [] if alias is None else [f"{alias}.{self.row_column}"]
        listed = listed_table(self.table.name, key)
        held = f"x.value = ? AND x.row IN ({', '.join(holders)})"
        return f"EXISTS (SELECT 1 FROM {listed} x WHERE {held})"

    def looked_up_number(self, spec: TriggerSpec, lookup: Lookup) -> str:
        """Return the expression of the number at which what a trigger looks up last changed, 0 where there is no such
        row."""
        target = self._target(lookup)
        keys = [key for key in lookup.followed_keys if key != "id"]
        numbers = [
            target.own_number(key, alias)
            for alias in self._lookup_aliases(spec, lookup)
            for key in keys
        ]
        return _latest(numbers)

    def looked_up_fence(self, spec: TriggerSpec, lookup: Lookup) -> str:
        """Return the expression of what becomes another where what a trigger looks up does. Of rows that are found by another
        key, one may take the place of another, of the same write."""
        number = self.looked_up_number(spec, lookup)
        if lookup.to is None:
            return number
        row = f"{self._lookup_alias(spec, lookup)}.{self._target(lookup).row_column}"
        return f"CAST({number} AS TEXT) || ' ' || CAST(COALESCE({row}, 0) AS TEXT)"

    def _target(self, lookup: Lookup) -> Layout:
        return Layout(self.graph.tables.get(lookup.table), self.graph)

    def _lookup_alias(self, spec: TriggerSpec, lookup: Lookup) -> str:
        return f"l{self.graph.rank[spec.name]}x{spec.lookups.index(lookup)}"

    def _lookup_aliases(self, spec: TriggerSpec, lookup: Lookup) -> list[str]:
        """Return the aliases of the row that is looked up, and of the one that it inherits the value from, if it may."""
        alias = self._lookup_alias(spec, lookup)
        return [alias] if self._is_own(lookup) else [alias, f"{alias}z"]

    def _is_own(self, lookup: Lookup) -> bool:
        """Whether no row that a lookup may name inherits the value."""
        pages = self.graph.tables.get(lookup.table).page_keys[: len(lookup.bys) - 1]
        return self.graph.levels[lookup.table][lookup.name].issuperset(pages)

    def _join_lookup(self, spec: TriggerSpec, lookup: Lookup, pins: Pins) -> str:
        join, target = self._join_looked_up(spec, lookup), self._target(lookup)
        maker = target.versioned.get(lookup.name)
        if maker is None:
            return join
        aliases = self._lookup_aliases(spec, lookup)
        return " ".join([join, *(target._join_outputs(maker, pins, each) for each in aliases)])

    def _join_looked_up(self, spec: TriggerSpec, lookup: Lookup) -> str:
        alias, target = self._lookup_alias(spec, lookup), self._target(lookup)
        by, *pages = (self.inherited_value(key) for key in lookup.bys)
        if lookup.to is not None:
            row = target.row_column
            first = (
                f"SELECT x.{row} FROM {target.base} x WHERE x.{quoted(lookup.to_key)} = {by}{target.and_first('x')} "
                f"ORDER BY x.id LIMIT 1"
            )
            return f"LEFT JOIN {target.base} {alias} ON {alias}.{row} = ({first})"
        named = "".join(
            f" AND {alias}.{quoted(page)} = {value}"
            for page, value in zip_longest(target.table.page_keys, pages, fillvalue="0")
        )
        join = f"LEFT JOIN {target.base} {alias} ON {alias}.id = {by}{named}"
        if self._is_own(lookup):
            return join
        level = self.graph.levels[lookup.table][lookup.name]
        is_above = target.is_above(f"{alias}z", alias, level)
        return f"{join} LEFT JOIN {target.base} {alias}z ON {is_above}"

    def and_first(self, alias: str) -> str:
        """Return the rest of a condition on an id: that the row is page 0, which the id alone names."""
        return "".join(f" AND {alias}.{quoted(page)} = 0" for page in self.table.page_keys)

    def mark(self, spec: TriggerSpec) -> str:
        """Return the expression of a trigger's mark on the row."""
        alias = self._output_alias(spec) if spec.is_versioned else "r"
        column = quoted(":done") if spec.is_versioned else done_column(spec.name)
        return f"COALESCE({alias}.{column}, 0)"

    def has_output(self, spec: TriggerSpec) -> str:
        """Return the condition that a versioned trigger has outputs for the row."""
        return f"{self.output_slot(spec)} IS NOT NULL"

    def output_slot(self, spec: TriggerSpec) -> str:
        """Return the expression of where a versioned trigger's outputs for the row are, NULL where there are none."""
        return f"{self._output_alias(spec)}.slot"

    def is_due(self, spec: TriggerSpec) -> str:
        """Return the condition that a trigger has not yet met the last change of its `on` keys, and is to."""
        is_due = f"{self.on_number(spec)} > ({self.mark(spec)} >> {ORIGIN_BITS})"
        further = [self.is_open(spec)] if spec.once else []
        further += [self.is_time_over(spec)] if spec.after_ms is not None else []
        return f"({' AND '.join([is_due, *further])})" if further else is_due

    def is_time_over(self, spec: TriggerSpec) -> str:
        """Return the condition that a row's time, which a trigger runs a while after, is over, or there is none."""
        value, name = self.inherited_value(spec.on[0]), spec.name.replace("'", "''")
        until = f"SELECT until FROM motion_after WHERE trigger = '{name}'"
        return f"({value} IS NULL OR {value} <= CAST(({until}) AS {self.sql_type(spec.on[0])}))"

    def is_open(self, spec: TriggerSpec) -> str:
        """Return the condition that a trigger which acts once on a row has not succeeded there."""
        return f"COALESCE(r.{once_column(spec.name)}, 0) <= 0" if spec.once else "1 = 1"

    def is_row_of(self, spec: TriggerSpec) -> str:
        """Return the condition that a row is one that a trigger runs on: page 0 of what does not tell its keys apart, or
        a page where an `on` key has, or had, a value of its own."""
        pages = [f"r.{quoted(page)} = 0" for page in self.pages_beyond(spec)]
        return f"({' AND '.join(pages)} OR {self.has_own(spec)})" if pages else "1 = 1"

    def pages_beyond(self, spec: TriggerSpec) -> list[str]:
        """Return the page keys that do not tell apart the rows that a trigger runs on."""
        if not self.table.page_keys:
            return []
        level = self.graph.row_level(spec)
        return [page for page in self.table.page_keys if page not in level]

    def has_own(self, spec: TriggerSpec) -> str:
        """Return the condition that an `on` key of a trigger has, or had, a value of the row's own. A number that a row was given to
        be due by, without a value, tells of none."""
        numbers = {key: f"{self._place_of_own(key)}.{changed_column(key)}" for key in spec.on}
        own = [
            f"{number} > {UNNUMBERED} OR {number} IS NOT NULL AND {self.value(key)} IS NOT NULL"
            for key, number in numbers.items()
        ]
        return f"({' OR '.join(own)})"

    def joined(
        self,
        keys: Iterable[str],
        specs: Iterable[TriggerSpec] = (),
        pins: Pins = NO_PINS,
        *,
        inherit: bool = True,
    ) -> str:
        """Return the FROM clause under which the expressions of these keys and triggers hold."""
        specs = list(specs)
        keys = [*keys, *(key for spec in specs for key in spec.looked_up_by)]
        outputs = {
            self.versioned[key].name: self.versioned[key] for key in keys if key in self.versioned
        }
        outputs |= {spec.name: spec for spec in specs if spec.is_versioned}
        own = self.graph.levels[self.table.name]
        levels = {own[key] for key in keys if inherit and self._page_zero_alias(key)}
        joins = [self._join_outputs(spec, pins) for spec in outputs.values()]
        joins += [self._join_page_zero(level) for level in levels]
        joins += self._join_inherited_outputs(keys, pins) if inherit else []
        joins += [
            self._join_lookup(spec, each, pins) for spec in specs for each in spec.lookups_of_one
        ]
        return " ".join([f"{self.base} r", *joins])

    def stored(self, pins: Pins = NO_PINS) -> str:
        """Return a subquery with `:row` and every key's own stored value."""
        columns = ", ".join(f"{self.value(key)} AS {quoted(key)}" for key in self.table.keys)
        return f'(SELECT {self.row} AS ":row", {columns} FROM {self.joined(self.table.keys, (), pins, inherit=False)})'

    def shown(self, pins: Pins = NO_PINS) -> str:
        """Return a subquery with `:row` and every key's value as rows show it, inherited or their own: what conditions of
        users see."""
        columns = ", ".join(
            f"{self.inherited_value(key)} AS {quoted(key)}" for key in self.table.keys
        )
        return f'(SELECT {self.row} AS ":row", {columns} FROM {self.joined(self.table.keys, (), pins)})'

    def source(self, keys: Iterable[str], alias: str, pins: Pins = NO_PINS) -> str:
        """Return the FROM clause under which a row has the own values of keys, and their numbers, by an alias of its own."""
        makers = {
            self.versioned[key].name: self.versioned[key] for key in keys if key in self.versioned
        }
        joins = [self._join_outputs(maker, pins, alias) for maker in makers.values()]
        return " ".join([f"{self.base} {alias}", *joins])

    def _output_alias(self, spec: TriggerSpec, alias: str = "r") -> str:
        rank = self.graph.rank[spec.name]
        return f"o{rank}" if alias == "r" else f"{alias}o{rank}"

    def _join_outputs(self, spec: TriggerSpec, pins: Pins, alias: str = "r") -> str:
        outputs = self._output_alias(spec, alias)
        return (
            f"LEFT JOIN {outputs_table(spec.name)} {outputs} ON {outputs}.slot = "
            f"({self.version(spec, pins)} << {VERSION_SHIFT}) + {alias}.{self.row_column}"
        )

    def version(self, spec: TriggerSpec, pins: Pins) -> str:
        """Return the expression of the state version whose outputs are read: 1 before any is live, where users' are."""
        component = spec.component or ""
        if component in pins:
            return f"CAST({pins[component]} AS INTEGER)"  # of 64 bits: it is shifted
        name = component.replace("'", "''")
        return f"COALESCE((SELECT live FROM motion_components WHERE name = '{name}'), 1)"

    def _page_zero_alias(self, key: str) -> str | None:
        """Return the alias of the row that a key is inherited from, None where every page key tells it apart."""
        level = self.graph.levels[self.table.name][key]
        pages = self.table.page_keys
        if key in self.table.primary_key or level.issuperset(pages):
            return None
        return "p" + "".join("1" if page in level else "0" for page in pages)

    def _join_inherited_outputs(self, keys: Iterable[str], pins: Pins) -> list[str]:
        """Return what joins the outputs, of the same state version, that rows inherit of keys kept by version."""
        pairs = (
            (self.versioned[key], self._page_zero_alias(key))
            for key in keys
            if key in self.versioned
        )
        inherited = {(spec.name, alias): spec for spec, alias in pairs if alias is not None}
        return [self._join_outputs(spec, pins, alias) for (_, alias), spec in inherited.items()]

    def _join_page_zero(self, level: frozenset[str]) -> str:
        alias = "p" + "".join("1" if page in level else "0" for page in self.table.page_keys)
        return f"LEFT JOIN {self.base} {alias} ON {self.is_above(alias, 'r', level)}"

    def is_above(
        self, row: str, page: str, level: Container[str], but_for: Container[str] = ()
    ) -> str:
        """Return the condition that the row of one alias is the one which that of another inherits from: of the same id and pages,
        and on page 0 of the page keys that are not of a level.

        Args:
            but_for: page keys that are left open.
        """
        pages = [each for each in self.table.page_keys if each not in but_for]
        same = [
            f"{row}.{quoted(each)} = {f'{page}.{quoted(each)}' if each in level else '0'}"
            for each in pages
        ]
        return " AND ".join([f"{row}.id = {page}.id", *same])

    @cached_property
    def handed_over(self) -> Sequence[tuple[str, str, Sequence[Span]]]:
        """The triggers that have set a key of the table which another one sets by now, each with that key and when it did."""
        found: list[tuple[str, str, Sequence[Span]]] = []
        for (table, key), formers in self.graph.handed_over.items():
            maker = self.graph.triggers.get(self.graph.producers.get((table, key), ""))
            if table == self.table.name and maker is not None and marks_rows(maker):
                others = sorted(formers.items())
                found += [(n, key, spans) for n, spans in others if n not in (NOBODY, maker.name)]
        return found

    # -- windows and folds --

    @cached_property
    def applying(self) -> list[tuple[TriggerSpec, Fold]]:
        """The folds that apply each row of this table once."""
        folds = [(spec, spec.fold) for spec in self.graph.folded.get(self.table.name, ())]
        return [(spec, fold) for spec, fold in folds if fold is not None and not fold.replay]

    def waits(self, spec: TriggerSpec) -> str:
        """Return the condition that a row is still to be applied by a fold that does so once."""
        return f"{applied_at(spec.name, 'r.')} = 0"

    def is_left_behind(self, spec: TriggerSpec) -> str:
        """Return the condition that an entity of a fold that applies each row once has a value which is not that of its
        rows, as one of them has changed since, or gone; what a user has given after that is."""
        fold = spec.fold
        if fold is None or fold.replay:
            return "1 = 0"
        is_noted = f"r.{LEFT_BEHIND} IS NOT NULL"
        if fold.is_of_rows:
            return is_noted
        target = Layout(self.graph.tables.get(fold.target), self.graph)
        mark, first = f"COALESCE(t.{done_column(spec.name)}, 0)", target.and_first("t")
        is_users = f"{mark} & {ORIGIN_MASK} = 0 AND {mark} >> {ORIGIN_BITS} > r.{LEFT_BEHIND}"
        return f"({is_noted} AND NOT EXISTS (SELECT 1 FROM {target.base} t WHERE t.id = r.id{first} AND {is_users}))"

    def way_of(self, by: str, order: str, fold: str = "") -> str:
        """Return the name of the way in which windows and folds hold rows of this table.

        Args:
            fold: which applies each row once, and is left by rows that were applied.
        """
        shown = "" if {by, order}.isdisjoint(self.shown_keys) else ":shown"
        return left_by_name(by, f"{order}{shown}", fold)

    def folded_by(self) -> list[tuple[str, str]]:
        """Return the pairs of keys, of entities and order, by which folds go over rows of this table."""
        folds = [spec.fold for spec in self.graph.folded.get(self.table.name, ())]
        return [(fold.by, fold.order) for fold in folds if fold is not None]

    @cached_property
    def left_by(self) -> Mapping[str, Way]:
        """The ways in which windows and folds hold rows of this table, by name. Folds that apply each row once are told apart of
        rows that were applied."""
        found_by = self.graph.found_by.get(self.table.name, ())
        found = {left_by_name(each.to_key, "id"): Way(each.to_key, "id") for _, each in found_by}
        windowed = self.graph.windowed.get(self.table.name, ())
        placed = [(window.other_by, window.other_order) for _, window in windowed]
        for by, order in (*self.folded_by(), *placed):
            name = self.way_of(by, order)
            found[name] = Way(by, order, is_shown=name != left_by_name(by, order))
        for spec, fold in self.applying:
            way = found[self.way_of(fold.by, fold.order)]
            was_applied = f"OLD.{applied_column(spec.name)} > 0"
            found[self.way_of(fold.by, fold.order, spec.name)] = way._replace(was_held=was_applied)
        return found

    def sql_type(self, key: str) -> str:
        return self.table.keys[key].codec.sql_type

    def kinds_of_fold(self, spec: TriggerSpec) -> Mapping[str, str]:
        """Return the types of what is kept of a fold of this graph's: the order and the name of a row, and the value."""
        fold = spec.fold
        assert fold is not None
        source = self.graph.tables.get(fold.source).keys
        value = self.graph.tables.get(fold.target).keys[fold.sets].codec.sql_type
        of_name = "TEXT" if fold.pages else source["id"].codec.sql_type  # id and pages, as JSON
        return {"order": source[fold.order].codec.sql_type, "id": of_name, "value": value}
