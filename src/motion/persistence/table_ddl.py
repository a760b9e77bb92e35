"""What makes a table as its layout says: the statements of its rows, indexes, views and outputs by version, and the
triggers of the database that note which windows and folds a row leaves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from motion.backends.base import RowTrigger
from motion.definitions.tables.schema import STORED, Key
from motion.definitions.triggers.specs import TriggerSpec
from motion.persistence.layout import (
    LEFT_BEHIND,
    PLACES_OF_ENTITIES,
    Layout,
    applied_at,
    applied_column,
    changed_column,
    done_column,
    former_column,
    inherited_column,
    once_column,
    outputs_table,
    quoted,
    shown_column,
)


@dataclass(frozen=True)
class TableDdl:
    """How one table is made in the database."""

    layout: Layout

    def create_base(self) -> list[str]:
        """Return the statements that make the table's rows."""
        keys = [
            f"{quoted(key.name)} {key.codec.sql_type}{self._constraint(key)}"
            for key in self.layout.table.keys.values()
        ]
        row = [] if self.layout.row_is_id else ['":row" INTEGER PRIMARY KEY']
        made = ['":made_by" TEXT', '":made_from" INTEGER', '":made_item" INTEGER']
        hidden = [f"{each} {self.hidden_kind(each)}" for each in self.hidden_columns()]
        columns = ", ".join([*row, *keys, *made, *hidden])
        statements = [f"CREATE TABLE {self.layout.base} ({columns})"]
        if not self.layout.row_is_id:
            columns = ", ".join(map(quoted, self.layout.table.primary_key))
            statements.append(
                f"CREATE UNIQUE INDEX {quoted(self._index_name(':primary'))} ON {self.layout.base} ({columns})"
            )
        statements.append(
            f'CREATE INDEX {quoted(self._index_name(":made"))} ON {self.layout.base} (":made_from", ":made_by") '
            f'WHERE ":made_by" IS NOT NULL'
        )
        return statements

    def create_events(self) -> str:
        """Return the statement that makes an event table, its keys aside."""
        return f'CREATE TABLE IF NOT EXISTS {self.layout.base} (":row" INTEGER PRIMARY KEY)'

    def create_entities(self) -> str:
        """Return the statement that lets a fold's entities be found by their id."""
        name = quoted(self._index_name(":primary"))
        return f"CREATE UNIQUE INDEX IF NOT EXISTS {name} ON {self.layout.base} (id)"

    def create_indexes(self, present: Collection[str]) -> list[str]:
        """Return the statements that make the indexes asked for with `motion.Index`, and those by which a change finds the
        rows that look it up.

        Args:
            present: the names of the indexes that the table has. Older versions called them so that those of two tables
                could have one name.
        """
        statements = [
            f"CREATE INDEX {quoted(self._index_name(key))} ON {self.layout.base} ({quoted(key)})"
            for key in (*self._always_indexed, *self._looked_up_by)
            if self._index_names(key).isdisjoint(present)
        ]
        for name, columns in self._placed().items():
            if name not in present:
                statements.append(
                    f"CREATE INDEX {quoted(name)} ON {self.layout.base} ({', '.join(columns)})"
                )
        return [*statements, *self._create_waiting(present)]

    def late_indexes(self) -> set[str]:
        """Return the names of the indexes that only a change of what is looked up needs: a load may make them at its end."""
        return set().union(*map(self._index_names, self._looked_up_by))

    @cached_property
    def _always_indexed(self) -> list[str]:
        """The keys with an index that is asked for, or by which rows are found at any time."""
        own = self.layout.graph.of_table(self.layout.table.name)
        sought = {spec.on[0] for spec in own if spec.after_ms is not None}
        all_lookups = [
            each for spec in self.layout.graph.triggers.values() for each in spec.lookups
        ]
        sought |= {
            each.to_key for each in all_lookups if each.table == self.layout.table.name and each.to
        }
        return [
            key.name
            for key in self.layout.table.keys.values()
            if (key.is_indexed or key.name in sought or (key.ref and key.ref.delete))
            and key.name not in self.layout.versioned
        ]

    @cached_property
    def _looked_up_by(self) -> list[str]:
        """The further keys by which rows look others up."""
        own = self.layout.graph.of_table(self.layout.table.name)
        keys = dict.fromkeys(lookup.bys[0] for spec in own for lookup in spec.lookups_of_one)
        return [key for key in keys if key not in {*self._always_indexed, *self.layout.versioned}]

    def _create_waiting(self, present: Container[str]) -> list[str]:
        """Return the statements that make the indexes by which folds find the rows that are to be applied: few of many."""
        statements = []
        for spec, fold in self.layout.applying:
            name = self._index_name(f"{fold.by} {spec.name}:waiting")
            if name not in present:
                # The condition is a column of it, too, so that it is taken rather than the one on the whole entity.
                by, applied = self.layout.place(fold.by).removeprefix("r."), applied_at(spec.name)
                statements.append(
                    f"CREATE INDEX {quoted(name)} ON {self.layout.base} ({by}, ({applied})) "
                    f"WHERE {by} IS NOT NULL AND {applied} = 0"
                )
        return statements

    def _placed(self) -> Mapping[str, Sequence[str]]:
        """Return the columns, of entities and order, by which windows and folds find rows of this table, by the name of each
        index."""
        held = [window for _, window in self.layout.graph.windowed.get(self.layout.table.name, ())]
        own = [
            w for spec in self.layout.graph.of_table(self.layout.table.name) for w in spec.windows
        ]
        pairs = [(window.other_by, window.other_order) for window in held]
        pairs += [(window.own_by, window.own_order) for window in own]
        pairs += self.layout.folded_by()
        ties = self.layout.table.primary_key if self.layout.table.page_keys else ()
        return {
            self._index_name(self.layout.way_of(*pair)): [
                *(self.layout.place(key).removeprefix("r.") for key in pair), *map(quoted, ties)
            ]
            for pair in pairs
        }  # fmt: skip

    def leavers(self) -> Mapping[str, RowTrigger]:
        """Return what lets the database note which windows and folds a row leaves, by the names of these triggers."""
        made: dict[str, RowTrigger] = {}
        for way, (by, order, was_held, is_shown) in self.layout.left_by.items():
            table, key = (each.replace("'", "''") for each in (self.layout.table.name, way))
            old, new = (
                [
                    self.layout.place(key, row) if is_shown else f"{row}.{quoted(key)}"
                    for key in (by, order)
                ]
                for row in ("OLD", "NEW")
            )
            note = (
                f"INSERT INTO motion_left (source, key, value, place) "
                f"VALUES ('{table}', '{key}', {old[0]}, {old[1]})"
            )
            pairs = dict.fromkeys(zip(old, new, strict=True))
            moved = [f"{was} IS DISTINCT FROM {now}" for was, now in pairs]
            is_set = f"{old[0]} IS NOT NULL AND {old[1]} IS NOT NULL"
            held = f"{is_set} AND {was_held}" if was_held else is_set
            for event, condition in (
                ("UPDATE", f"{held} AND ({' OR '.join(moved)})"),
                ("DELETE", held),
            ):
                name = f"motion_left_{self.layout.table.name}:{way}:{event}"
                made[name] = RowTrigger(name, self.layout.base, event, condition, f"{note};")
        return made

    def create_outputs(self, spec: TriggerSpec) -> str:
        """Return the statement that makes a versioned trigger's outputs. Small columns first: a scan of marks then
        never touches the vectors' overflow pages."""
        numbers = [f"{changed_column(key)} INTEGER" for key in spec.sets]
        values = [
            f"{quoted(key)} {self.layout.table.keys[key].codec.sql_type}" for key in spec.sets
        ]
        columns = ", ".join(["slot INTEGER PRIMARY KEY", '":done" INTEGER', *numbers, *values])
        return f"CREATE TABLE IF NOT EXISTS {outputs_table(spec.name)} ({columns})"

    def create_views(self) -> Mapping[str, str]:
        """Return the statements that make the table readable under its own name, as its rows show themselves, and under
        `<table>__stored` as they are stored; by the name of each view."""
        keys = self.layout.table.keys
        name = self.layout.table.name
        return {
            name: self._create_view(name, self.layout.viewed_value, self.layout.joined(keys)),
            name + STORED: self._create_view(
                name + STORED, self.layout.value, self.layout.joined(keys, inherit=False)
            ),
        }

    def _create_view(self, name: str, value: Callable[[str], str], source: str) -> str:
        columns = ", ".join(f"{value(key)} AS {quoted(key)}" for key in self.layout.table.keys)
        return f"CREATE VIEW {quoted(name)} AS SELECT {columns} FROM {source}"

    def hidden_columns(self) -> list[str]:
        """Return the columns that the graph needs beside the keys."""
        own = [
            spec
            for spec in self.layout.graph.of_table(self.layout.table.name)
            if not spec.is_versioned
        ]
        folded_into = self.layout.graph.folded_into.get(self.layout.table.name, ())
        marks = [done_column(spec.name) for spec in (*own, *folded_into)]
        marks += [
            once_column(s.name)
            for s in self.layout.graph.of_table(self.layout.table.name)
            if s.once
        ]
        marks += sorted({former_column(key) for _, key, _ in self.layout.handed_over})
        folds = [spec.fold for spec in own if spec.fold is not None]
        of_entities = [*PLACES_OF_ENTITIES] if folds else []
        of_entities += [LEFT_BEHIND for fold in folds if not fold.replay]
        of_entities += [applied_column(spec.name) for spec, _ in self.layout.applying]
        over = self.layout.graph.folded.get(self.layout.table.name, ())
        of_entities += [inherited_column(s.name) for s in over if self.layout.graph.shown_to(s)]
        numbers = [
            changed_column(key) for key in self.layout.numbered if key not in self.layout.versioned
        ]
        made = [quoted(":made_keys"), quoted(":own")] if self.layout.has_makers else []
        return [*numbers, *marks, *made, *of_entities, *map(shown_column, self.layout.shown_keys)]

    def hidden_kind(self, column: str) -> str:
        """Return the type of a column that the graph needs beside the keys."""
        if column == quoted(":made_keys"):
            return "TEXT"
        if column in (shown := {shown_column(key): key for key in self.layout.shown_keys}):
            return self.layout.sql_type(shown[column])
        kept = PLACES_OF_ENTITIES.get(column)
        if not kept:
            return "INTEGER"
        own = self.layout.graph.of_table(self.layout.table.name)
        return self.layout.kinds_of_fold(next(spec for spec in own if spec.fold))[kept]

    def _index_name(self, what: str) -> str:
        return f"motion_index_{self.layout.table.name}:{what}"

    def _index_names(self, key: str) -> set[str]:
        """Return what the index of one key may be called: older versions called it otherwise."""
        return {self._index_name(key), f"motion_index_{self.layout.table.name}_{key}"}

    def _constraint(self, key: Key) -> str:
        if key.name == "id":
            return " PRIMARY KEY" if self.layout.row_is_id else " NOT NULL"
        return " NOT NULL DEFAULT 0" if key.is_page else ""
