"""Erasing: what is taken out beside rows that are forgotten, in the transaction that deletes them; and what is left to do
for a forgetting until no byte of them is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from motion import clock
from motion.backends.base import Transaction
from motion.definitions.fits import FitSpec
from motion.definitions.tasks import Cause, TaskStatus
from motion.definitions.triggers.specs import TriggerSpec
from motion.persistence.inputs import folds
from motion.persistence.layout import Layout
from motion.persistence.layouts import Layouts
from motion.persistence.ranges import places
from motion.persistence.states import asked, fit_requests, labels, versions
from motion.persistence.stored_graph import former_fits, former_triggers, known_triggers
from motion.persistence.tasks import memos, queue

BLANKED = "what this told of a row was forgotten along with it"


class Told(msgspec.Struct, frozen=True):
    """What a forgetting has erased. Numbers and names of the schema, nothing of the rows.

    Attributes:
        rows: table -> how many rows.
        labels: how many labels.
        versions: component -> the state versions that learned from them.
    """

    rows: dict[str, int]
    labels: int
    versions: dict[str, tuple[int, ...]]


@dataclass
class Erasing:
    """What one forgetting takes out, counted."""

    rows: Counter[str] = field(default_factory=Counter)
    labels: int = 0
    learned: dict[str, Counter[int]] = field(default_factory=dict)
    fits: dict[str, FitSpec] = field(default_factory=dict)

    def take(self, tx: Transaction, layouts: Layouts, layout: Layout, rows: Sequence[int]) -> None:
        """Take out what tells of rows that are about to be deleted, but for what goes with every deleted row."""
        table, graph = layout.table.name, layouts.graph
        self.rows[table] += len(rows)
        for fit in (*graph.fits.values(), *former_fits(tx)):
            if fit.table == table:
                self._take_labels(tx, fit, rows)
        for spec in (*graph.of_table(table), *former_triggers(tx, table)):
            queue.blank(tx, spec.name, rows, BLANKED)
        for spec in _readers_of(known_triggers(tx).values(), table):
            memos.forget_all(tx, spec.name)
            queue.blank(tx, spec.name, None, BLANKED)

    def _take_labels(self, tx: Transaction, fit: FitSpec, rows: Sequence[int]) -> None:
        found = labels.numbers_of(tx, fit, rows)
        if not found:
            return
        self.labels += len(found)
        self.fits[fit.name] = fit
        counted = labels.learned_from(tx, fit, found)
        self.learned.setdefault(fit.component, Counter()).update(counted)
        fit_requests.take_back_fit(tx, fit.name, min(found))
        versions.blank_failures(tx, fit.component, fit.name, BLANKED)
        asked.blank(tx, fit.name, BLANKED)

    def note(self, tx: Transaction, cause: Cause, tables: Iterable[str], *, refits: bool) -> Told:
        """Note what was erased, and that the rest of it is to be done; make void what is under way.

        Args:
            tables: the names of all, in their order.
        """
        for component, counted in self.learned.items():
            for number, count in counted.items():
                versions.note_forgotten(tx, component, number, count, is_left_out=refits)
        if refits:
            fit_requests.request_fits(tx, list(self.fits.values()), cause.number)
        learned = {name: tuple(sorted(found)) for name, found in self.learned.items() if found}
        rows = {each: self.rows[each] for each in (*tables, *self.rows) if each in self.rows}
        told = Told(rows, self.labels, learned)
        tx.execute(
            "INSERT INTO motion_forgets (change, at_ms, told) VALUES (?, ?, ?)",
            (cause.change, clock.now_ms(), msgspec.json.encode(told).decode()),
        )
        return told


def void_claims(tx: Transaction, specs: Iterable[TriggerSpec], change: int) -> None:
    """Let all that is under way come to nothing and run again, and a change wait for it: any of it may have read what is
    gone. But for what acts once on a row."""
    acting = [spec.name for spec in specs if spec.once]
    held = f"status = {TaskStatus.CLAIMED:d} AND trigger NOT IN ({places(acting)})"
    sql = (
        "INSERT INTO motion_task_changes (task, change) "
        f"SELECT task, ? FROM motion_tasks WHERE {held} ON CONFLICT DO NOTHING"
    )
    tx.execute(sql, (change, *acting))
    tx.execute(
        f"UPDATE motion_tasks SET status = {TaskStatus.READY:d}, owner = NULL, claim = claim + 1 WHERE {held}",
        acting,
    )


def open_forgets(tx: Transaction) -> list[int]:
    """Return the changes of forgettings of which something is left to do."""
    return [
        int(row[0]) for row in tx.execute("SELECT change FROM motion_forgets WHERE is_done = 0")
    ]


def end_forget(tx: Transaction, change: int) -> None:
    tx.execute("UPDATE motion_forgets SET is_done = 1 WHERE change = ?", (change,))


def drop_entities(tx: Transaction, layouts: Layouts) -> None:
    """Drop what folds keep of entities that no row names any more, and whose own row is gone."""
    for spec in layouts.graph.triggers.values():
        if spec.fold is not None:
            folds.drop_unnamed(
                tx, layouts[spec.fold.source], layouts[spec.table], layouts[spec.fold.target], spec
            )


def _readers_of(specs: Iterable[TriggerSpec], table: str) -> list[TriggerSpec]:
    return [spec for spec in specs if any(each.table == table for each in spec.elsewhere)]
