"""Following: what runs of triggers with `follow=True` have read by hand, and the rows that are due because it has changed.

What a run will read no key says, so it is kept: which rows it asked for by their id, there or not, on which pages and which keys
of them. Its row's next run takes the place of that. A change finds its readers by the rows that a write has really changed, so
no key needs a number for it, and nothing is asked where no trigger follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from motion.backends.base import Transaction
from motion.definitions.graph import Graph
from motion.definitions.renames import Rename
from motion.definitions.tasks import Cause
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.persistence.changes import followers, sweeps
from motion.persistence.changes.followers import Followed
from motion.persistence.inputs.exact import Question, id_asked, keys_used
from motion.persistence.layout import (
    VERSION_SHIFT,
    Layout,
    outputs_table,
    quoted,
)
from motion.persistence.layouts import Layouts
from motion.persistence.numbers import last_number
from motion.persistence.ranges import cut, parts_of, places
from motion.persistence.rows.written import Written
from motion.persistence.stored_graph import disown

ALL, ONLY_THE_ROW = "", "id"
"""Stand for all keys, or all pages, and for none but whether there is such a row."""

IDS_AT_ONCE = 500

BY_READS = ":reads"
"""Tells a sweep over rows that have read something from those over rows with a value of a key, whose names have no colon."""


class Part(NamedTuple):
    """Rows of a table that have changed.

    Attributes:
        keys: that have; None: the rows have come, or go.
    """

    rows: Sequence[int]
    keys: tuple[str, ...] | None


# -- what was read --


def keep(
    tx: Transaction,
    layouts: Layouts,
    spec: TriggerSpec,
    read: Mapping[int, Iterable[Question]],
) -> None:
    """Keep what runs have read, in the place of what earlier runs on the same rows have.

    Args:
        read: row that a run was on -> what it has asked.
    """
    forget(tx, spec.name, list(read))
    noted = {
        (*each, spec.name, row)
        for row, questions in read.items()
        for question in questions
        for each in _named(layouts[question.table], question)
    }
    tx.executemany(
        "INSERT INTO motion_follows (name, id, pages, key, trigger, row) VALUES (?, ?, ?, ?, ?, ?)",
        sorted(noted),
    )


def _named(layout: Layout, question: Question) -> Iterator[tuple[str, str, str, str]]:
    """Give the table, id, pages and keys of a question, as they are kept."""
    row_id = str(id_asked(question))
    used = keys_used(layout, question)
    keys = (ALL,) if used is None else used or (ONLY_THE_ROW,)
    pages = [_pages(name) for name in question.pages] if layout.table.page_keys else []
    for page in pages or (ALL,):
        yield from ((question.table, row_id, page, key) for key in keys)


def _pages(name: Sequence[Stored]) -> str:
    return ",".join(map(str, name))


def forget(tx: Transaction, trigger: str, rows: Sequence[int]) -> None:
    """Drop what runs on some rows have read."""
    for part in parts_of(rows):
        sql = f"DELETE FROM motion_follows WHERE trigger = ? AND {part.condition('row')}"
        tx.execute(sql, (trigger, *part.numbers))


def forget_read(tx: Transaction, target: Layout, rows: Sequence[int]) -> None:
    """Drop that anybody has read rows."""
    for part in parts_of(rows):
        ids = f"SELECT CAST(r.id AS TEXT) FROM {target.base} r WHERE {part.condition(target.row)}"
        sql = f"DELETE FROM motion_follows WHERE name = ? AND id IN ({ids})"
        tx.execute(sql, (target.table.name, *part.numbers))


def forget_others(tx: Transaction, graph: Graph) -> None:
    """Drop what was read by triggers that follow no more. Nobody makes their rows due from now on, so what they have made counts
    as made by other code, should they ever follow again. Of one that is away nothing is dropped: if anything is written
    meanwhile, its values are stale when it is back, and otherwise they follow what they did."""
    name = _next_reader(tx, "")
    while name is not None:
        spec = graph.triggers.get(name)
        if spec is not None and not spec.follow:
            disown(tx, name, last_number(tx))
            tx.execute("DELETE FROM motion_follows WHERE trigger = ?", (name,))
        name = _next_reader(tx, name)


def _next_reader(tx: Transaction, name: str) -> str | None:
    sql = "SELECT MIN(trigger) FROM motion_follows WHERE trigger > ?"
    found: str | None = tx.execute(sql, (name,)).fetchone()[0]
    return found


def read_by(tx: Transaction, trigger: str, row: int) -> list[tuple[str, str, str, str]]:
    """Return what the last run on a row has read: table, id, pages and key, as they are kept."""
    sql = (
        "SELECT name, id, pages, key FROM motion_follows WHERE trigger = ? AND row = ? "
        "ORDER BY name, id, pages, key"
    )
    return [tuple(found) for found in tx.execute(sql, (trigger, row))]


def tables_read(tx: Transaction, trigger: str) -> dict[str, set[str]]:
    """Return the tables of which a trigger's runs have read rows, each with the keys, as they are kept."""
    found: dict[str, set[str]] = {}
    sql = "SELECT DISTINCT name, key FROM motion_follows WHERE trigger = ?"
    for table, key in tx.execute(sql, (trigger,)):
        found.setdefault(table, set()).add(key)
    return found


def readers_of(tx: Transaction, trigger: str, table: str, ids: Iterable[Stored]) -> set[int]:
    """Return the rows whose runs of a trigger have read any of these rows."""
    found: set[int] = set()
    for some in cut(list(map(str, ids)), IDS_AT_ONCE):
        sql = f"SELECT row FROM motion_follows WHERE name = ? AND trigger = ? AND id IN ({places(some)})"
        found |= {int(row) for (row,) in tx.execute(sql, (table, trigger, *some))}
    return found


def is_any_of(tx: Transaction, table: str) -> bool:
    """Whether anybody has read a row of a table."""
    sql = "SELECT 1 FROM motion_follows WHERE name = ? LIMIT 1"
    return tx.execute(sql, (table,)).fetchone() is not None


# -- who is due --


def parts_changed(written: Written) -> list[Part]:
    """Return what a write has changed, rows with the same keys together."""
    parts = [Part(written.made, None)] if written.made else []
    if written.given:
        return parts
    made, found = set(written.made), dict[tuple[int, ...], list[str]]()
    for key, rows in written.changed.items():
        others = tuple(row for row in rows if row not in made) if made else tuple(rows)
        if others:
            found.setdefault(others, []).append(key)
    return [*parts, *(Part(rows, tuple(keys)) for rows, keys in found.items())]


def due(
    tx: Transaction,
    target: Layout,
    layout: Layout,
    spec: TriggerSpec,
    parts: Sequence[Part],
    cause: Cause,
    *,
    is_own: bool,
) -> Followed:
    """Find the rows of a trigger whose last runs have read what has changed, or begin a sweep over them.

    Args:
        parts: of the rows that have changed.
        is_own: this trigger has written its keys of these rows, each by a run on that row, which is not due by that.
    """
    found: dict[int, None] = {}
    for rows, keys in parts:
        theirs = tuple(key for key in keys or () if is_own and key in spec.sets)
        others = None if keys is None else tuple(key for key in keys if key not in theirs)
        for some, but_own in ((others, False), (theirs, True)):
            if some is None or some:
                found |= dict.fromkeys(
                    _reading(tx, target, layout, spec, rows, some, cause, but_own)
                )
        if len(found) > followers.AT_ONCE:
            _sweep(tx, target, layout, spec, parts, cause)
            return Followed((), is_swept=True)
    return Followed(sorted(found))


def _reading(
    tx: Transaction,
    target: Layout,
    layout: Layout,
    spec: TriggerSpec,
    rows: Sequence[int],
    keys: tuple[str, ...] | None,
    cause: Cause,
    but_own: bool,
) -> list[int]:
    """Return the rows whose runs have read any of these keys of rows, as many as one more than are made due at once."""
    conditions, values = ["f.trigger = ?"], list[Any]([spec.name])
    if keys is not None:
        conditions.append(f"f.key IN ({places((ALL, *keys))})")
        values += [ALL, *keys]
    if target.table.page_keys:
        pages = " || ',' || ".join(
            f"CAST(r.{quoted(page)} AS TEXT)" for page in target.table.page_keys
        )
        conditions.append(f"f.pages IN ('{ALL}', {pages})")
    if but_own:
        conditions.append(f"f.row <> {target.row}")
    if cause.writer is not None and cause.writer.trigger == spec.name:
        conditions.append(f"f.row NOT IN ({places(tuple(cause.writer.rows))})")
        values += cause.writer.rows
    found: list[int] = []
    for part in parts_of(rows):
        sql = (
            f"SELECT DISTINCT f.row FROM {target.base} r CROSS JOIN motion_follows f ON f.name = ? "
            f"AND f.id = CAST(r.id AS TEXT) AND {' AND '.join(conditions)} WHERE {part.condition(target.row)} LIMIT ?"
        )
        named = (target.table.name, *values, *part.numbers, followers.AT_ONCE + 1 - len(found))
        found += [int(row[0]) for row in tx.execute(sql, named)]
        if len(found) > followers.AT_ONCE:
            break
    return found


def _sweep(
    tx: Transaction,
    target: Layout,
    layout: Layout,
    spec: TriggerSpec,
    parts: Sequence[Part],
    cause: Cause,
) -> None:
    has_come = any(part.keys is None for part in parts)
    keys = None if has_come else sorted({key for part in parts for key in part.keys or ()})
    ids: set[str] = set()
    for part in (each for rows, _ in parts for each in parts_of(rows)):
        sql = f"SELECT DISTINCT CAST(r.id AS TEXT) FROM {target.base} r WHERE {part.condition(target.row)} LIMIT 2"
        ids |= {row[0] for row in tx.execute(sql, part.numbers)}
    row_id = ids.pop() if len(ids) == 1 else None
    if (
        cause.writer is None
    ):  # runs whose results bear the same number have read what was there before
        cause = replace(cause, number=cause.number + 1)
    sweeps.begin_by(tx, layout, spec, [BY_READS, target.table.name, row_id, keys], cause)


def tell_switched(
    tx: Transaction, layouts: Layouts, made_by: TriggerSpec, before: int, now: int, change: int
) -> None:
    """Let those be due, part by part, that have read outputs which another state version gives otherwise, as it is live now.

    Args:
        made_by: the trigger whose outputs these are.
    """
    if before == now or not layouts.graph.following or not is_any_of(tx, made_by.table):
        return
    chosen = [BY_READS, made_by.table, None, sorted(made_by.sets), made_by.name, before, now]
    for spec in layouts.graph.following:
        sweeps.begin_by(tx, layouts[spec.table], spec, chosen, Cause(change, change))


def swept(layout: Layout, spec: TriggerSpec, chosen: Sequence[Any]) -> tuple[str, Sequence[Any]]:
    """Return the condition that a sweep is about a row, by what says so; and its parameters."""
    _, table, row_id, keys, *switched = chosen
    source = "motion_follows f"
    conditions = ["f.trigger = ?", f"f.row = {layout.row}", "f.name = ?"]
    values = [spec.name, table]
    if row_id is not None:
        conditions.append("f.id = ?")
        values.append(row_id)
    if keys is not None:
        conditions.append(f"f.key IN ({places((ALL, *keys))})")
        values += [ALL, *keys]
        if table == layout.table.name and {*keys} <= {*spec.sets} and not layout.table.page_keys:
            conditions.append("f.id <> CAST(r.id AS TEXT)")  # not by what its own run has given
    maker = layout.graph.triggers.get(switched[0]) if switched else None
    if maker is not None:
        target = Layout(layout.graph.tables.get(table), layout.graph)
        source += f" JOIN {target.base} t ON t.id = CAST(f.id AS {target.sql_type('id')})"
        for alias, version in zip(("before", "now"), switched[1:], strict=True):
            slot = f"CAST({int(version)} AS INTEGER) << {VERSION_SHIFT}"
            source += f" LEFT JOIN {outputs_table(maker.name)} {alias} ON {alias}.slot = ({slot}) + t.{target.row_column}"
        differ = [f"before.{quoted(k)} IS DISTINCT FROM now.{quoted(k)}" for k in maker.sets]
        conditions.append(f"({' OR '.join(differ)})")
    return f"EXISTS (SELECT 1 FROM {source} WHERE {' AND '.join(conditions)})", values


def renamed_choice(rename: Rename, spec: TriggerSpec, chosen: Sequence[Any]) -> list[Any]:
    """Return what says which rows a sweep is about, where a table or a key is called otherwise."""
    first, *others = chosen
    if first == BY_READS:
        table, row_id, keys, *switched = others
        keys = keys and sorted(rename.of_keys(keys, table))
        return [first, rename.of_table(table), row_id, keys, *switched]
    if first == sweeps.BY_LISTS:
        return [first, rename.of_key(others[0], spec.table), *others[1:]]
    return [rename.of_key(first, spec.table), *others]
