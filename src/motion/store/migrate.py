"""Migrating: what is renamed or dropped in a store, told first and done in one transaction."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import make_dataclass
from typing import Any

from motion.background.owners import at_work
from motion.definitions.tables.schema import Key, table_of
from motion.errors import InvalidArgument, MotionError, listed
from motion.persistence import conversion, migration
from motion.persistence.conversion import Conversion
from motion.persistence.database import Database
from motion.persistence.migration import Planned, Step
from motion.persistence.search.index_files import IndexFiles


def plan(database: Database, steps: Sequence[Step]) -> list[Planned]:
    """Return what steps would do, each on the store as it is; nothing is changed.

    Raises:
        MotionError: one of them cannot be done.
    """
    with database.backend.read() as tx:
        return [migration.plan(tx, step) for step in steps]


def migrate(database: Database, steps: Sequence[Step]) -> None:
    """Do what steps say, all of them or none, in one transaction. Readers see what was there before until it commits.

    Raises:
        MotionError: one cannot be done, or a process runs the store: it has the old names in its code. Nothing was changed.
    """
    _check_at_rest(database)
    if any(step.what in ("key", "table") for step in steps):
        IndexFiles(
            database.backend.folder
        ).remove_all()  # they bear the names, and are made again from the rows
    database.backend.write(lambda tx: migration.carry_out(tx, tuple(steps)))


def _check_at_rest(database: Database) -> None:
    busy = at_work(database.backend.folder)
    if busy:
        raise MotionError(
            f"store {database.name!r} is run by process {listed(map(str, busy))}, whose code has the names as they were. "
            f"Stop it, migrate, and start it with the new code."
        )


def conversion_of(database: Database, path: str, convert: Callable[[Any], Any]) -> Conversion:
    """Return a key's conversion by a function, whose return annotation is the new type.

    Raises:
        MotionError: the key cannot be converted, or the function does not say what it returns.
    """
    with database.backend.read() as tx:
        table, key, kind = migration.key_kept(tx, path)
        migration.check_movable(tx, table, key, kind)
        conversion.check_folds(tx, table, key)
    noted = database.tables.get(table)
    row = database.layouts[table].row_column
    return Conversion(noted, noted.key(key), _key_of(table, key, convert), convert, row)


def _key_of(table: str, key: str, convert: Callable[[Any], Any]) -> Key:
    hints = inspect.get_annotations(convert, eval_str=True)
    if "return" not in hints:
        told = f"{getattr(convert, '__name__', convert)}, which does not say what it returns"
        raise InvalidArgument(
            "convert", told, "a function with the new type as its return annotation"
        )
    return table_of(table, make_dataclass(table, [("id", int), (key, hints["return"])])).key(key)


def values_to_convert(database: Database, one: Conversion) -> int:
    """Return how many values there are; the first of them are converted, to see whether they can be."""
    with database.backend.read() as tx:
        total = conversion.count(tx, one)
        for stored, name in conversion.first(tx, one):
            one.of(stored, name)
    return total


def convert(database: Database, one: Conversion, show: Callable[[int], None] | None = None) -> None:
    """Convert a key's values, part by part; the old ones are read until all are there, and then the new ones.

    Raises:
        MotionError: a value cannot be converted, or a process runs the store. Nothing was changed.
    """
    _check_at_rest(database)
    with database.backend.read() as tx:
        left = conversion.count(tx, one)
    database.backend.write(lambda tx: conversion.begin(tx, one))
    try:
        after = conversion.BEFORE_ALL
        while True:
            with database.backend.read() as tx:
                found = conversion.some(tx, one, after)
            if not found:
                break
            made = [(row, old, one.of(old, name)) for row, old, name in found]
            database.backend.write(lambda tx, made=made: conversion.keep(tx, one, made))  # type: ignore[misc]
            after, left = found[-1][0], max(left - len(found), 0)
            if show is not None:
                show(left)
        IndexFiles(database.backend.folder).remove_all()
        database.backend.write(lambda tx: conversion.switch(tx, one))
    except BaseException:
        database.backend.write(lambda tx: conversion.end(tx, one))
        raise
