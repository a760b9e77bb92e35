"""Reads: what runs of triggers with `follow=True` have read by hand, which no key says, so it is kept.

It is kept which rows they asked for by their id, there or not, on which pages and which keys of them. A row's next run takes the
place of that; where outputs are kept by state version, the next run for the same one. So it is kept by the slot that the
output lies at: the version and the row, or the row alone where there are no versions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from motion.backends.base import Transaction
from motion.definitions.graph import Graph
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.persistence.inputs.exact import Question, id_asked, keys_used
from motion.persistence.layout import ALL_ROWS, VERSION_SHIFT, Layout, slot_of
from motion.persistence.layouts import Layouts
from motion.persistence.numbers import last_number
from motion.persistence.ranges import cut, parts_of, places
from motion.persistence.stored_graph import disown

ALL, ONLY_THE_ROW = "", "id"
"""Stand for all keys, or all pages, and for none but whether there is such a row."""

IDS_AT_ONCE = 500

NO_VERSION = 0
"""Of triggers whose outputs are not kept by state version: their slots are their rows."""


def slots_in(spec: TriggerSpec, rows: Iterable[int], version: int) -> list[int]:
    """Return the slots by which what a trigger's runs on rows have read is kept, for a state version."""
    first = slot_of(version, 0) if spec.is_versioned else 0
    return [first + row for row in rows]


def rows_by_version(spec: TriggerSpec, slots: Iterable[int]) -> dict[int, list[int]]:
    """Return the rows that slots are of, by state version."""
    if not spec.is_versioned:
        return {NO_VERSION: list(slots)}
    found: dict[int, list[int]] = {}
    for slot in slots:
        found.setdefault(slot >> VERSION_SHIFT, []).append(slot & ALL_ROWS)
    return found


def versions_reading(tx: Transaction, spec: TriggerSpec) -> list[int]:
    """Return the state versions for which runs have read something: a look-up for each."""
    if not spec.is_versioned:
        return [NO_VERSION]
    found: list[int] = []
    sql = "SELECT MIN(row) FROM motion_follows WHERE trigger = ? AND row >= ?"
    while True:
        first = slot_of(found[-1] + 1 if found else 0, 0)
        slot = tx.execute(sql, (spec.name, first)).fetchone()[0]
        if slot is None:
            return found
        found.append(int(slot) >> VERSION_SHIFT)


def keep(
    tx: Transaction,
    layouts: Layouts,
    spec: TriggerSpec,
    version: int,
    read: Mapping[int, Iterable[Question]],
) -> None:
    """Keep what runs have read, in the place of what earlier runs on the same rows have.

    Args:
        version: that they were for.
        read: row that a run was on -> what it has asked.
    """
    _forget(tx, spec.name, slots_in(spec, read, version))
    noted = {
        (*each, spec.name, slot)
        for slot, questions in zip(slots_in(spec, read, version), read.values(), strict=True)
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


# -- what is forgotten --


def _forget(tx: Transaction, trigger: str, slots: Sequence[int]) -> None:
    for part in parts_of(slots):
        sql = f"DELETE FROM motion_follows WHERE trigger = ? AND {part.condition('row')}"
        tx.execute(sql, (trigger, *part.numbers))


def forget(tx: Transaction, spec: TriggerSpec, rows: Sequence[int]) -> None:
    """Drop what runs on some rows have read, for whatever version."""
    for version in versions_reading(tx, spec):
        _forget(tx, spec.name, slots_in(spec, rows, version))


def forget_slots(
    tx: Transaction, spec: TriggerSpec, slots: Sequence[int], keep: Sequence[int]
) -> None:
    """Drop what was read for outputs of versions that are being deleted: half of a version may be gone back to.

    Args:
        slots: of the outputs that are deleted with it; none: there are none any more.
        keep: the versions that are kept.
    """
    if not spec.follow:
        return
    _forget(tx, spec.name, slots)
    for version in versions_reading(tx, spec):
        if not slots and version not in keep:  # left by runs that failed
            sql = "DELETE FROM motion_follows WHERE trigger = ? AND row BETWEEN ? AND ?"
            tx.execute(sql, (spec.name, slot_of(version, 0), slot_of(version, ALL_ROWS)))


def forget_read(tx: Transaction, target: Layout, rows: Sequence[int]) -> None:
    """Drop that anybody has read rows."""
    for part in parts_of(rows):
        ids = f"SELECT CAST(r.id AS TEXT) FROM {target.base} r WHERE {part.condition(target.row)}"
        sql = f"DELETE FROM motion_follows WHERE name = ? AND id IN ({ids})"
        tx.execute(sql, (target.table.name, *part.numbers))


def forget_all(tx: Transaction, trigger: str) -> None:
    """Drop all that a trigger's runs have read."""
    tx.execute("DELETE FROM motion_follows WHERE trigger = ?", (trigger,))


def forget_others(tx: Transaction, graph: Graph) -> None:
    """Drop what was read by triggers that follow no more. Nobody makes their rows due from now on, so what they have made counts
    as made by other code, should they ever follow again. Of one that is away nothing is dropped: if anything is written
    meanwhile, its values are stale when it is back, and otherwise they follow what they did."""
    name = _next_reader(tx, "")
    while name is not None:
        spec = graph.triggers.get(name)
        if spec is not None and not spec.follow:
            disown(tx, name, last_number(tx))
            forget_all(tx, name)
        name = _next_reader(tx, name)


def _next_reader(tx: Transaction, name: str) -> str | None:
    sql = "SELECT MIN(trigger) FROM motion_follows WHERE trigger > ?"
    found: str | None = tx.execute(sql, (name,)).fetchone()[0]
    return found


# -- another `refresh=` --


def move_to_versions(tx: Transaction, layout: Layout, spec: TriggerSpec, version: str) -> None:
    """Keep what runs have read by state version from now on.

    Args:
        version: the expression of the version that a row `r` is of.
    """
    of_row = f"SELECT {version} FROM {layout.base} r WHERE {layout.row} = f.row"
    tx.execute(
        f"UPDATE motion_follows AS f SET row = ((COALESCE(({of_row}), 1)) << {VERSION_SHIFT}) + f.row WHERE trigger = ?",
        (spec.name,),
    )


def move_to_rows(tx: Transaction, spec: TriggerSpec, version: int) -> None:
    """Keep what runs for a version have read by rows from now on, and drop what others have."""
    first, last = slot_of(version, 0), slot_of(version, ALL_ROWS)
    sql = "DELETE FROM motion_follows WHERE trigger = ? AND row NOT BETWEEN ? AND ?"
    tx.execute(sql, (spec.name, first, last))
    sql = "UPDATE motion_follows SET row = row - ? WHERE trigger = ?"
    tx.execute(sql, (first, spec.name))


# -- what was read --


def read_by(
    tx: Transaction, spec: TriggerSpec, row: int, version: int
) -> list[tuple[str, str, str, str]]:
    """Return what a trigger's last run on a row has read, for a version: table, id, pages and key, as they are kept."""
    sql = (
        "SELECT name, id, pages, key FROM motion_follows WHERE trigger = ? AND row = ? "
        "ORDER BY name, id, pages, key"
    )
    return [tuple(found) for found in tx.execute(sql, (spec.name, *slots_in(spec, [row], version)))]


def tables_read(tx: Transaction, trigger: str) -> dict[str, set[str]]:
    """Return the tables of which a trigger's runs have read rows, each with the keys, as they are kept."""
    found: dict[str, set[str]] = {}
    sql = "SELECT DISTINCT name, key FROM motion_follows WHERE trigger = ?"
    for table, key in tx.execute(sql, (trigger,)):
        found.setdefault(table, set()).add(key)
    return found


def has_read(tx: Transaction, spec: TriggerSpec, maker: TriggerSpec) -> bool:
    """Whether runs of a trigger have read outputs of another. May go through all that they have read."""
    keys = (ALL, *maker.sets)
    sql = f"SELECT 1 FROM motion_follows WHERE trigger = ? AND name = ? AND key IN ({places(keys)}) LIMIT 1"
    return tx.execute(sql, (spec.name, maker.table, *keys)).fetchone() is not None


def readers_of(tx: Transaction, spec: TriggerSpec, table: str, ids: Iterable[Stored]) -> set[int]:
    """Return the rows whose runs of a trigger have read any of these rows."""
    found: set[int] = set()
    for some in cut(list(map(str, ids)), IDS_AT_ONCE):
        sql = f"SELECT row FROM motion_follows WHERE name = ? AND trigger = ? AND id IN ({places(some)})"
        slots = (int(row) for (row,) in tx.execute(sql, (table, spec.name, *some)))
        found.update(*rows_by_version(spec, slots).values())
    return found


def is_any_of(tx: Transaction, table: str) -> bool:
    """Whether anybody has read a row of a table."""
    sql = "SELECT 1 FROM motion_follows WHERE name = ? LIMIT 1"
    return tx.execute(sql, (table,)).fetchone() is not None
