"""Rows whose time is to come: how far triggers with `on=motion.after(...)` have come, by the rows' own time.

A trigger is due only on rows up to there. A row that is written with an earlier time is due at once; all others are found
by an index when their time has come, so nothing is kept for each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from motion import clock
from motion.backends.base import Transaction
from motion.definitions.tables.schema import Tables
from motion.definitions.triggers.delays import stored_time, time_ms
from motion.definitions.triggers.schedules import CORRECTED_MS
from motion.definitions.triggers.specs import TriggerSpec
from motion.persistence.layout import Layout, quoted, rows_table
from motion.persistence.ranges import parts_of

TAKEN_AT_ONCE = 10_000
"""Rows that become due in one transaction, but for those of one moment."""


class Delayed(NamedTuple):
    """How far a trigger has come: all rows of a table whose key is up to `until` have become due."""

    trigger: str
    name: str
    key: str
    delay_ms: int
    is_text: int
    until: int | str

    def limit(self, now_ms: int) -> int | str:
        """Return up to where rows are due at a time."""
        return stored_time(now_ms - self.delay_ms, is_text=bool(self.is_text))

    def is_ahead(self, now_ms: int) -> bool:
        """Whether it came so far by a clock that was ahead of what it is now, by more than is corrected by the way."""
        return time_ms(self.until) + self.delay_ms > now_ms + CORRECTED_MS

    @property
    def between(self) -> str:
        """The rest of a query for the rows after the first parameter, up to the second."""
        column = quoted(self.key)
        return f"FROM {rows_table(self.name)} WHERE {column} > ? AND {column} <= ?"


def keep(tx: Transaction, specs: Iterable[TriggerSpec], tables: Tables) -> None:
    """Let these be the triggers that run a while after a row's time. A new one begins with what becomes due from now on."""
    wanted = {spec.name: spec for spec in specs if spec.after_ms is not None}
    known = {each.trigger: each for each in _kept(tx)}
    for name in known.keys() - wanted.keys():
        tx.execute("DELETE FROM motion_after WHERE trigger = ?", (name,))
    for name, spec in wanted.items():
        key, before = spec.on[0], known.get(name)
        is_text = tables.get(spec.table).keys[key].codec.sql_type != "INTEGER"
        new = Delayed(name, spec.table, key, spec.after_ms or 0, is_text, 0)
        is_same = before is not None and before[1:3] == new[1:3]
        until = before.until if before and is_same else new.limit(clock.now_ms())
        if before and is_same and before.is_text != is_text:  # the key has been converted
            until = stored_time(time_ms(before.until), is_text=is_text)
        if new._replace(until=until).is_ahead(clock.now_ms()):
            until = new.limit(clock.now_ms())
        tx.execute(
            "INSERT INTO motion_after (trigger, name, key, delay_ms, is_text, until) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (trigger) DO UPDATE SET name = excluded.name, key = excluded.key, delay_ms = excluded.delay_ms, "
            "is_text = excluded.is_text, until = excluded.until",
            new._replace(until=until),
        )


def due_among(
    tx: Transaction, layout: Layout, spec: TriggerSpec, rows: Sequence[int]
) -> Sequence[int]:
    """Return those of rows whose time has just been set that are due at once, as it is over, or there is none; nobody looks
    for these later."""
    found: list[int] = []
    for part in parts_of(rows):
        sql = (
            f"SELECT {layout.row} FROM {layout.joined(spec.on)} WHERE {part.condition(layout.row)}"
        )
        found += [
            int(row[0])
            for row in tx.execute(f"{sql} AND {layout.is_time_over(spec)}", part.numbers)
        ]
    return found


def any_due(tx: Transaction, now_ms: int) -> bool:
    """Whether some row's time has come that is not due yet."""
    return any(
        tx.execute(f"SELECT 1 {each.between} LIMIT 1", (each.until, each.limit(now_ms))).fetchone()
        for each in _kept(tx)
    )


def next_ms(tx: Transaction, names: Sequence[str]) -> int | None:
    """Return when the time of a row comes that one of these triggers waits for, in milliseconds since the epoch, or now where
    one has come further than the time; None: there is no such row."""
    found = []
    for each in _kept(tx):
        if each.trigger in names and each.is_ahead(now_ms := clock.now_ms()):
            found.append(now_ms)
        elif each.trigger in names:
            sql = f"SELECT MIN({quoted(each.key)}) FROM {rows_table(each.name)} WHERE {quoted(each.key)} > ?"
            first = tx.execute(sql, (each.until,)).fetchone()[0]
            found += [] if first is None else [time_ms(first) + each.delay_ms]
    return min(found, default=None)


def take_due(
    tx: Transaction, names: Sequence[str], columns: Mapping[str, str], now_ms: int
) -> dict[str, list[int]]:
    """Return the rows whose time has come, of those of these triggers that there are any for, and note how far that is.

    Args:
        columns: table -> the column that numbers its rows.
    """
    taken: dict[str, list[int]] = {}
    for each in _kept(tx):
        if each.trigger not in names:
            continue
        if each.is_ahead(now_ms):  # what ran too early does so again when its time has come
            _note(tx, each.trigger, each.limit(now_ms))
            continue
        bounds = (each.until, each.limit(now_ms))
        beyond = (
            f"SELECT {quoted(each.key)} {each.between} ORDER BY 1 LIMIT 1 OFFSET {TAKEN_AT_ONCE}"
        )
        more = tx.execute(beyond, bounds).fetchone()
        bounds = bounds if more is None else (each.until, more[0])
        rows = [
            int(row) for (row,) in tx.execute(f"SELECT {columns[each.name]} {each.between}", bounds)
        ]
        if rows:
            taken[each.trigger] = rows
            _note(tx, each.trigger, bounds[1])
    return taken


def _note(tx: Transaction, trigger: str, until: int | str) -> None:
    tx.execute("UPDATE motion_after SET until = ? WHERE trigger = ?", (until, trigger))


def _kept(tx: Transaction) -> list[Delayed]:
    sql = "SELECT trigger, name, key, delay_ms, is_text, until FROM motion_after"
    found = [Delayed(*row) for row in tx.execute(sql)]
    return [each if each.is_text else each._replace(until=int(each.until)) for each in found]
