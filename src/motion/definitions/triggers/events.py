"""Events: what triggers run on that is no change of a key: an occurrence of a schedule, the deletion of a row.

An event is a row of an event table, one for each trigger that runs on events, so its task is a task like any other: a
range of row numbers. Its row is gone when the trigger has met it. What an event table is, is here; when rows come and
go, in `persistence.cascade` and `scheduler`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from motion.definitions.tables.schema import Key, Table, Tables
from motion.definitions.triggers.schedules import Schedule
from motion.definitions.values.codecs import StrCodec
from motion.errors import SchemaError, shortened


@dataclass(frozen=True)
class Deleted:
    """`on=motion.deleted("retailer")`: a row of that table is gone."""

    table: str | type


Event = Schedule | Deleted


def deleted(table: str | type) -> Deleted:
    """Run a trigger after a row of a table has been deleted: `@motion.trigger(on=motion.deleted("retailer"))`.

    Its parameters are keys of the row, with the values they had when it was deleted, inherited ones too; a key that was
    unset is None. It runs once for each row that goes, in whichever way: by `delete`, by `set_many(prune=)`, with the
    row that it was made from, or because a fan-out no longer makes that page. A page is a row; `when=lambda row:
    row.answer_page == 0` runs once for an id. The event is durable with the delete. A row that is deleted, made again
    and deleted again before the trigger ran is two events.

    Args:
        table: its name or schema class.
    """
    if not isinstance(table, str | type):
        raise SchemaError(
            f"deleted takes a table's name or its schema class, not {shortened(table)}."
        )
    return Deleted(table)


@dataclass
class Occurrence:
    """The row of a schedule's event table: the one occurrence that waits or runs. Its id is when it was due."""

    id: str


def table_name(trigger: str, event: Event, tables: Tables) -> str:
    """Return the name of a trigger's event table. It has a colon, which no user's table can have."""
    if isinstance(event, Schedule):
        return f"{trigger}:schedule"
    return f"{trigger}:deleted:{tables.get(event.table).name}"


def event_table(trigger: str, event: Event, tables: Tables) -> Table:
    """Return the table whose rows are a trigger's events.

    Raises:
        UnknownTable: there is no table whose rows could be deleted.
    """
    name = table_name(trigger, event, tables)
    if isinstance(event, Schedule):
        return Table(name, Occurrence, {"id": Key(name, "id", StrCodec())}, is_event=True)
    watched = tables.get(event.table)
    keys = {
        key.name: replace(key, table=name, is_indexed=False, level=None, make_default=None)
        for key in watched.keys.values()
    }
    return Table(name, watched.cls, keys, is_event=True)


# -- entities of folds: made when a row of theirs is first set, and never gone, so their tasks are tasks like any other --


@dataclass
class Entity:
    """The row of a fold's table of entities. Its id is what rows call the entity by."""

    id: str


def entity_table(fold: str, by: Key) -> Table:
    """Return the table whose rows are a fold's entities.

    Args:
        by: the key of the folded rows that names their entity.
    """
    name = f"{fold}:entities"
    key = replace(
        by,
        table=name,
        name="id",
        is_indexed=False,
        level=None,
        make_default=None,
        lookup=None,
        window=None,
    )
    return Table(name, Entity, {"id": key}, is_event=True)
