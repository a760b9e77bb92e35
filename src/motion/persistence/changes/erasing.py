"""Erasing: what is taken out beside rows that are forgotten, in the transaction that deletes them; and what is left to do
for a forgetting until no byte of them is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from motion import clock
from motion.backends.base import Transaction
from motion.definitions.fits import FitSpec
from motion.definitions.tasks import Cause, TaskStatus, ranges_of
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.definitions.values.decoders import from_json
from motion.persistence.changes.echoes import ANY, Echoes, given_by, told_of
from motion.persistence.inputs import folds, outside
from motion.persistence.inputs.applied import left_behind
from motion.persistence.layout import Layout
from motion.persistence.layouts import Layouts
from motion.persistence.ranges import parts_of, places
from motion.persistence.rows import outputs, provenance
from motion.persistence.rows.written import Written
from motion.persistence.states import asked, fit_requests, labels, seen, versions
from motion.persistence.stored_graph import (
    active_fits,
    code_before,
    former_fits,
    former_triggers,
    known_triggers,
)
from motion.persistence.tasks import events, growing_texts, memos, queue

BLANKED = "what this told of a row was forgotten along with it"


class Told(msgspec.Struct, frozen=True):
    """What a forgetting has erased. Numbers and names of the schema, nothing of the rows.

    Attributes:
        rows: table -> how many rows.
        labels: how many labels.
        versions: component -> the state versions that learned from them, or from what labels of other rows held of them.
        tables: of the rows.
        made: trigger -> the rows, as ranges, for which it may have made values of them; of folds, those that keep their own.
        behind: those of them for which it does not run by itself once they are gone; of folds, entities.
        shared: the tables of rows that stay, which those had made, too.
    """

    rows: dict[str, int]
    labels: int
    versions: dict[str, tuple[int, ...]]
    tables: tuple[str, ...] = ()
    made: dict[str, list[tuple[int, int]]] = {}
    behind: dict[str, list[tuple[int, int]]] = {}
    shared: tuple[str, ...] = ()


@dataclass
class Erasing:
    """What one forgetting takes out, counted.

    Args:
        asked: the table of the rows that are to be forgotten, and their ids, there or not.
    """

    asked: tuple[str, Sequence[Stored]]
    rows: Counter[str] = field(default_factory=Counter)
    labels: int = 0
    learned: dict[str, Counter[int]] = field(default_factory=dict)
    fits: dict[str, FitSpec] = field(default_factory=dict)
    own_labels: set[int] = field(default_factory=set)
    shared: dict[str, set[Stored]] = field(default_factory=dict)
    made: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    behind: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    is_any_gone: bool = False

    def take(
        self,
        tx: Transaction,
        layouts: Layouts,
        going: Iterable[tuple[Layout, Sequence[int]]],
        remade: Iterable[Written],
    ) -> None:
        """Take out what tells of rows that are about to be deleted, all of them, but for what goes with every deleted row.

        Args:
            remade: what was written in rows that stay, as those that go do not make them any more.
        """
        table, ids = self.asked
        gone, numbers, left_of_asked = {table: set(ids)}, dict[str, set[int]](), set(ids)
        for layout, rows in going:
            self._take_own(tx, layouts, layout, rows)
            numbers[layout.table.name] = set(rows)
            there = _ids(tx, layout, rows)
            gone.setdefault(layout.table.name, set()).update(there)
            left_of_asked -= {*there} if layout.table.name == table else set()
        self.is_any_gone = bool(left_of_asked)
        for written in remade:
            changed = sorted({row for rows in written.changed.values() for row in rows})
            if changed:
                ids = _ids(tx, written.layout, changed)
                self.shared.setdefault(written.layout.table.name, set()).update(ids)
        echoes = Echoes(tx, layouts, _all_code(tx), gone, self.shared)
        self._take_echoes(tx, layouts, echoes)
        self._take_out_of_versions(tx, layouts, echoes)
        told = told_of(_all_code(tx), self._tables(tx, layouts), self.shared, by_hand=False)
        specs = [spec for spec in layouts.graph.triggers.values() if _gives_values(layouts, spec)]
        left = {spec.name: self._not_followed(tx, layouts, spec, told) for spec in specs}
        for spec in specs:  # which labels are of these is not known
            echoes.add_given(spec, _ids(tx, layouts[spec.table], left[spec.name]))
        echoes.spread()
        for spec in specs:
            self._note_values(tx, layouts, spec, told, echoes, left[spec.name], numbers)

    def _note_values(
        self,
        tx: Transaction,
        layouts: Layouts,
        spec: TriggerSpec,
        told: Sequence[TriggerSpec],
        echoes: Echoes,
        not_followed: Sequence[int],
        going: Mapping[str, set[int]],
    ) -> None:
        """Note the rows that stay for which a trigger may have made values of those that go.

        Args:
            told: the triggers that may have been told of the rows that go.
            going: table -> these.
        """
        made, behind = set[int](), set(not_followed)
        if spec.fold is not None:
            is_told = any(each.name == spec.name for each in told)
            made = self._folded(tx, layouts, spec, behind, echoes, is_told=is_told)
            made -= going.get(spec.fold.target, set())
            behind = behind if spec.fold.replay else set()  # which `mending.fold_again` sees to
        else:
            behind |= {*_made_by_other_code(tx, layouts, spec, echoes)}
            if not (spec.is_versioned or layouts.graph.keeps(spec)):
                made = echoes.rows_of(spec, is_behind=False) | behind
                behind |= echoes.rows_of(spec, is_behind=True)
            left = going.get(spec.table, set())
            made, behind = made - left, behind - left
        for noted, given in ((self.made, made), (self.behind, behind)):
            if given:
                noted[spec.name] = ranges_of(given)

    def _tables(self, tx: Transaction, layouts: Layouts) -> set[str]:
        """Return the tables of the rows that go; if one had gone before, all those of which rows may have gone with it."""
        found = {self.asked[0], *self.rows}
        waiting = sorted(found) if self.is_any_gone else []
        making = [spec for spec in _all_code(tx) if spec.sets_table] if waiting else []
        while waiting:
            table = waiting.pop()
            more = {key.table for key in layouts.graph.tables.refs_to(table)}
            more |= {spec.sets_table for spec in making if spec.table == table and spec.sets_table}
            waiting += more - found
            found |= more
        return found

    def _not_followed(
        self, tx: Transaction, layouts: Layouts, spec: TriggerSpec, told: Sequence[TriggerSpec]
    ) -> list[int]:
        """Return the rows of which a trigger's outputs may be of rows that are not brought there any more, as it has not run
        since: so their keys do not tell. What is stale as the trigger was away, or is other code, is counted only where a row
        had gone before: of one that is there, keys tell. Folds that apply each row once have noted which entities hold such.
        """
        makers = {each.name for each in told}
        given = {key for each in told for table, key in given_by(each) if table == spec.table}
        given |= {ANY} if spec.table in self.shared else set()
        on = [key for key in spec.on if key in given or ANY in given]
        found = list[int]()
        if spec.fold is not None and not spec.fold.replay:
            return left_behind(tx, layouts[spec.table], spec) if spec.name in makers else []
        if spec.name in makers:
            found += provenance.not_followed(tx, layouts[spec.table], spec, on)
        if self.is_any_gone:
            found += provenance.made_without_changes(tx, layouts[spec.table], spec, makers)
        return found

    def _folded(
        self,
        tx: Transaction,
        layouts: Layouts,
        spec: TriggerSpec,
        entities: Iterable[int],
        echoes: Echoes,
        *,
        is_told: bool,
    ) -> set[int]:
        """Return the rows whose own value of a fold may be of rows that go: it stays where the row is given up, or outside.

        Args:
            entities: those that it has not followed.
            is_told: whether it may have been told of rows that go.
        """
        fold = spec.fold
        if fold is None or not fold.is_of_rows or fold.source not in layouts.graph.tables:
            return set()
        rows = folds.rows_of(tx, layouts[fold.source], layouts[spec.table], spec, entities)
        rows += folds.rows_left_out(tx, spec) if is_told else []
        rows += outside.rows_held(tx, layouts, spec) if is_told and self.is_any_gone else []
        return echoes.rows_set_by(spec).union(rows)

    def _take_own(
        self, tx: Transaction, layouts: Layouts, layout: Layout, rows: Sequence[int]
    ) -> None:
        table, graph = layout.table.name, layouts.graph
        self.rows[table] += len(rows)
        for fit in (*graph.fits.values(), *former_fits(tx)):
            if fit.table == table:
                self._take_labels(tx, fit, rows)
        for spec in (*graph.of_table(table), *former_triggers(tx, table)):
            queue.blank(tx, spec.name, rows, BLANKED)

    def _take_echoes(self, tx: Transaction, layouts: Layouts, echoes: Echoes) -> None:
        """Take out what copies of other rows hold of them."""
        for fit in (*layouts.graph.fits.values(), *former_fits(tx)):
            self._take_out_of_labels(tx, fit, echoes)
        for name in layouts.graph.tables.names:
            _take_out_of_seen(tx, name, echoes)
        for spec in layouts.graph.triggers.values():
            for key, by, values in echoes.known_by(spec.deleted) if spec.deleted else ():
                events.unset(tx, layouts[spec.table], key, by, values)

    def _take_out_of_versions(self, tx: Transaction, layouts: Layouts, echoes: Echoes) -> None:
        """Take out what state versions that are not live keep of it for other rows: what was made of it now, or may have been
        before their inputs changed. Of which rows outputs of such a version were made of other rows' is not known."""
        graph = layouts.graph
        told = told_of(_all_code(tx), self._tables(tx, layouts), self.shared)
        names = {spec.name for spec in told}
        versioned = [spec for spec in graph.triggers.values() if spec.is_versioned]
        kept = [spec for spec in versioned if spec.name in names and spec.table in graph.tables]
        rows: dict[str, set[int]] = {}
        for spec in kept:
            given = echoes.rows_of(spec, is_behind=False) | echoes.rows_set_by(spec)
            due = outputs.rows_due(tx, layouts[spec.table], spec)
            rows.setdefault(spec.table, set()).update(given, due)
        for spec in kept:
            found = None if graph.taken_from(spec) else sorted(rows[spec.table])
            outputs.take_out(tx, layouts[spec.table], spec, found)

    def _take_out_of_labels(self, tx: Transaction, fit: FitSpec, echoes: Echoes) -> None:
        """Unset what labels hold; one of which that is what was labelled goes."""
        left: dict[int, dict[str, Stored]] = {}
        gone: list[int] = []
        for label, copy, keys in echoes.among(fit.table, labels.copies(tx, fit.name)):
            if label in self.own_labels:
                continue  # its row goes, and takes it along
            if keys.isdisjoint((ANY, *fit.on)):
                left[label] = {**copy, **dict.fromkeys(keys)}
            else:
                gone.append(label)
        self.labels += len(gone)
        self._tell(tx, fit, sorted([*left, *gone]))
        labels.put_copies(tx, left)
        labels.drop(tx, fit.name, gone)

    def _take_labels(self, tx: Transaction, fit: FitSpec, rows: Sequence[int]) -> None:
        found = labels.numbers_of(tx, fit, rows)
        self.labels += len(found)
        self.own_labels.update(found)
        self._tell(tx, fit, found)

    def _tell(self, tx: Transaction, fit: FitSpec, found: Sequence[int]) -> None:
        """Note what has learned from labels, and have nothing under way learn from them."""
        if not found:
            return
        self.fits[fit.name] = fit
        counted = labels.learned_from(tx, fit, found)
        self.learned.setdefault(fit.component, Counter()).update(counted)
        fit_requests.take_back_fit(tx, fit.name, min(found))
        versions.blank_failures(tx, fit.component, fit.name, BLANKED)
        asked.blank(tx, fit.name, BLANKED)

    def note(self, tx: Transaction, cause: Cause, layouts: Layouts, *, refits: bool) -> Told:
        """Note what was erased, and that the rest of it is to be done; make void what is under way."""
        for component, counted in self.learned.items():
            for number, count in counted.items():
                versions.note_forgotten(tx, component, number, count, is_left_out=refits)
        if refits:
            fit_requests.request_fits(tx, list(self.fits.values()), cause.number)
        learned = {name: tuple(sorted(found)) for name, found in self.learned.items() if found}
        tables = layouts.graph.tables.names
        rows = {each: self.rows[each] for each in (*tables, *self.rows) if each in self.rows}
        of = tuple(sorted(self._tables(tx, layouts)))
        shared = tuple(sorted(self.shared))
        blank(tx, of, shared)
        told = Told(rows, self.labels, learned, of, self.made, self.behind, shared)
        tx.execute(
            "INSERT INTO motion_forgets (change, at_ms, told) VALUES (?, ?, ?)",
            (cause.change, clock.now_ms(), msgspec.json.encode(told).decode()),
        )
        return told


def _gives_values(layouts: Layouts, spec: TriggerSpec) -> bool:
    """Whether a trigger makes values of rows that are known here."""
    gives = spec.is_columnar or spec.page or spec.sets_table or spec.fold
    return bool(gives) and not spec.event and spec.table in layouts.graph.tables


def _all_code(tx: Transaction) -> list[TriggerSpec]:
    """Return all triggers that may have told anything of rows to others: also those that are not there any more, and what the
    former code of any took and set."""
    return [*known_triggers(tx).values(), *code_before(tx)]


def _made_by_other_code(
    tx: Transaction, layouts: Layouts, spec: TriggerSpec, echoes: Echoes
) -> list[int]:
    """Return the rows whose outputs of a trigger hold something by other code, under whichever name, which looked elsewhere."""
    if spec.table not in layouts.graph.tables:
        return []
    former = [code for code in code_before(tx) if code.name == spec.name]
    rows = echoes.rows_set_by(spec).union(
        *(echoes.rows_of(code, is_behind=False) for code in former)
    )
    return provenance.made_by_other_code(tx, layouts[spec.table], spec, sorted(rows))


def _take_out_of_seen(tx: Transaction, table: str, echoes: Echoes) -> None:
    left, gone = dict[int, dict[str, Stored]](), list[int]()
    for number, copy, keys in echoes.among(table, seen.copies(tx, table)):
        if ANY in keys:
            gone.append(number)
        else:
            left[number] = {**copy, **dict.fromkeys(keys)}
    seen.put_copies(tx, left)
    seen.drop(tx, gone)


def blank(tx: Transaction, tables: Container[str], shared: Iterable[str]) -> None:
    """Take out what triggers that may be told of rows of tables have kept of their runs, and fits that read by hand, on
    whichever rows."""
    for spec in told_of(_all_code(tx), tables, shared):
        memos.forget_all(tx, spec.name)
        queue.blank(tx, spec.name, None, BLANKED)
        if spec.grows_text:
            growing_texts.forget_ended(tx, spec.name)
    for fit in (*active_fits(tx), *former_fits(tx)):
        if fit.uses_store:
            versions.blank_failures(tx, fit.component, fit.name, BLANKED)
            asked.blank(tx, fit.name, BLANKED)


def blank_again(tx: Transaction, change: int) -> None:
    """Do so at the end of a forgetting: runs on rows that were not mended yet may have kept it anew."""
    told = told_by(tx, change)
    blank(tx, told.tables, told.shared)


def told_by(tx: Transaction, change: int) -> Told:
    told = tx.execute("SELECT told FROM motion_forgets WHERE change = ?", (change,)).fetchone()[0]
    return from_json(told, Told)


def _ids(tx: Transaction, layout: Layout, rows: Sequence[int]) -> list[Stored]:
    found: list[Stored] = []
    for part in parts_of(rows):
        sql = f"SELECT DISTINCT id FROM {layout.base} WHERE {part.condition(layout.row_column)}"
        found += [row[0] for row in tx.execute(sql, part.numbers)]
    return found


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
            folds.drop_unnamed(tx, spec)
