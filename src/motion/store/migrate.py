"""Migrating: what is renamed or dropped in a store, told first and done in one transaction."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import make_dataclass
from functools import partial
from typing import Annotated, Any

from motion.backends.base import Transaction
from motion.background.owners import at_work
from motion.definitions.tables.schema import Key, KeyOptions, table_of
from motion.errors import InvalidArgument, MotionError, SchemaError, listed
from motion.persistence import conversion, migration
from motion.persistence.conversion import Conversion
from motion.persistence.database import Database
from motion.persistence.migration import Planned
from motion.persistence.search.index_files import IndexFiles
from motion.persistence.steps import Step, check_new_names


def plan(database: Database, steps: Sequence[Step]) -> list[Planned]:
    """Return what steps would do, each on the store as it is; nothing is changed.

    Raises:
        MotionError: one of them cannot be done.
    """
    with database.backend.read() as tx:
        return [migration.plan(tx, step) for step in steps]


def check_names(database: Database, steps: Sequence[Step]) -> None:
    """Refuse steps whose new names the store cannot have.

    Raises:
        MotionError: says which, and why.
    """
    with database.backend.read() as tx:
        check_new_names(tx, steps)


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
    database.backend.write(partial(_carry_out, tuple(steps)))


def _carry_out(steps: tuple[Step, ...], tx: Transaction) -> None:
    check_new_names(tx, steps)
    migration.carry_out(tx, steps)


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
    name, wanted = (
        getattr(convert, "__name__", convert),
        "a function with the new type as its return annotation",
    )
    try:
        hints = inspect.get_annotations(convert, eval_str=True)
    except Exception as exc:  # it is the user's, and read here for the first time
        told = f"{name}, whose annotations cannot be read ({type(exc).__name__}: {exc})"
        raise InvalidArgument("convert", told, wanted) from exc
    if "return" not in hints:
        raise InvalidArgument("convert", f"{name}, which does not say what it returns", wanted)
    hint = hints["return"]
    if not any(isinstance(each, KeyOptions) for each in getattr(hint, "__metadata__", ())):
        hint = Annotated[hint, KeyOptions(page=False)]  # it names no rows, whatever it is called
    found = table_of(table, make_dataclass(table, [("id", int), (key, hint)])).key(key)
    if found.is_page:
        raise SchemaError(f"{table}.{key} names no rows, and cannot be converted to a page key.")
    return found


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
