"""Building: what a change of a candidate's outputs makes due among its others, those that take them. Nobody else sees these
before the switch, which does not come before they are made.
"""

from __future__ import annotations

from collections.abc import Sequence

from motion.backends.base import Transaction
from motion.definitions.tables.lookups import Lookup
from motion.definitions.tasks import Cause, Lap
from motion.definitions.triggers.specs import TriggerSpec
from motion.persistence.changes import followers, following
from motion.persistence.changes.cascade import check_round, enqueue_beside, rows_below
from motion.persistence.changes.followers import AT_ONCE, Changed
from motion.persistence.layout import (
    ALL_ROWS,
    Layout,
    Pins,
    is_switched_along,
    outputs_table,
    slot_of,
)
from motion.persistence.layouts import Layouts
from motion.persistence.ranges import parts_of
from motion.persistence.rows.provenance import make_all_due, make_due, make_entity_due
from motion.persistence.rows.written import Written
from motion.persistence.states.versions import version_beside

NO_PARAMETERS = b"\x90"
"""An empty list, as it is kept: a build is over all rows."""


def build_again(
    tx: Transaction,
    layouts: Layouts,
    maker: TriggerSpec,
    written: Written,
    version: int,
    cause: Cause,
) -> None:
    """Make outputs of a version that is not live due that are made of others of it, which have changed.

    Args:
        maker: the trigger whose outputs have.
        cause: of the change.

    Raises:
        CascadeTooDeep: rows that follow one another go in a circle that has no end.
    """
    is_candidate = version_beside(tx, maker.component or "") == version
    for spec in layouts.graph.triggers.values() if written.changed else ():
        is_own = spec.name == maker.name
        if (is_own and not spec.follow) or not is_switched_along(spec, maker):
            continue
        due = _Due(tx, layouts, spec, version)
        if due.is_all_ahead():
            continue
        if not is_own:
            due.take_own(written)
            due.take_lookups(written)
            due.take_windows(written, {maker.component or "": version})
        due.take_reads(written, cause, is_own=is_own)
        if is_candidate:  # of any other, who goes back to it judges them by what is due
            due.enqueue(cause)


def tell_beside(tx: Transaction, layouts: Layouts, written: Written, number: int) -> None:
    """Make outputs of versions that are not live due where a user's value is another in those than before, and is what the live
    version had: what has changed there is told of every version."""
    for (name, version), keys in written.beside.items():
        left = {
            key: set(rows).difference(written.changed.get(key, ())) for key, rows in keys.items()
        }
        changed = {key: sorted(rows) for key, rows in left.items() if rows}
        maker = layouts.graph.triggers[name]
        beside = Written(written.layout, changed=changed, arrived=changed)
        build_again(tx, layouts, maker, beside, version, Cause(number, 0))


class _Due:
    """The rows of one trigger for which a candidate's outputs are due; too many are left to its build, which begins anew."""

    def __init__(self, tx: Transaction, layouts: Layouts, spec: TriggerSpec, version: int) -> None:
        self._tx, self._layouts, self._spec, self._version = tx, layouts, spec, version
        self._layout = layouts[spec.table]
        self._rows: set[int] = set()
        self._reading: Sequence[int] = ()
        self._are_many, self._path = False, ""

    def is_all_ahead(self) -> bool:
        """Whether the build has not begun, and the version has no outputs from before: as while what these are made of is
        built first. Then nothing that changes there makes any due."""
        if not self._ahead():
            return False
        slots = slot_of(self._version, 0), slot_of(self._version, ALL_ROWS)
        sql = f"SELECT 1 FROM {outputs_table(self._spec.name)} WHERE slot BETWEEN ? AND ? LIMIT 1"
        return self._tx.execute(sql, slots).fetchone() is None

    def _ahead(self) -> range:
        """Return the rows that a build which has not begun will judge. From one that has, some may be chosen already as they
        were before, and not handed over."""
        sql = "SELECT next, last FROM motion_backfills WHERE trigger = ? AND kind = 'build' AND number = 0"
        found = self._tx.execute(sql, (self._spec.name,)).fetchone()
        return range(0) if found is None else range(found[0], found[1] + 1)

    def take_own(self, written: Written) -> None:
        spec, layout = self._spec, self._layout
        if written.layout.table.name != spec.table:
            return
        for key, rows in written.changed.items():
            if key in spec.on or key in spec.inputs:
                self._rows.update(rows_below(self._tx, layout, spec, key, rows))

    def take_lookups(self, written: Written) -> None:
        target = written.layout
        for lookup in self._spec.lookups:
            if lookup.table != target.table.name:
                continue
            rows = (written.changed if lookup.is_followed else written.arrived).get(lookup.name, ())
            found = followers.looking_up(self._tx, target, self._layout, lookup, rows, AT_ONCE)
            below = self._below(found or (), lookup.bys[0])
            if lookup.is_of_list and lookup.is_followed:
                self._mark_listing(target, lookup, rows, below if found is not None else None)
            self._rows.update(below)
            self._are_many |= found is None

    def _below(self, found: Sequence[int], by: str) -> Sequence[int]:
        return rows_below(self._tx, self._layout, self._spec, by, found)

    def _mark_listing(
        self, target: Layout, lookup: Lookup, rows: Sequence[int], found: Sequence[int] | None
    ) -> None:
        """Let the marks of rows that list what has changed tell so, as no number of theirs does.

        Args:
            found: those rows; None where they are many.
        """
        tx, layout, spec = self._tx, self._layout, self._spec
        if found is not None:
            make_due(tx, layout, spec, found, version=self._version)
            return
        for part in parts_of(rows):
            listing = followers.holders(target, layout, lookup, part)
            if layout.table.page_keys:  # whose other pages may show the list, too
                row, base = layout.row_column, layout.base
                ids = f"SELECT h.id FROM {base} h WHERE h.{row} IN ({listing})"
                listing = f"SELECT b.{row} AS row FROM {base} b WHERE b.id IN ({ids})"
            make_all_due(tx, spec, listing, part.numbers, self._version)

    def take_windows(self, written: Written, pins: Pins) -> None:
        """Take in rows whose windows hold what has changed: as no number of theirs tells so, their marks do."""
        tx, layout, spec, target = self._tx, self._layout, self._spec, written.layout
        changed = Changed(tx, target, written.changed, {}, (), {}, pins)
        for window in spec.windows:
            if window.table != target.table.name or written.changed.keys().isdisjoint(window.names):
                continue
            rows, entities = changed.found(layout, window)
            make_due(tx, layout, spec, rows, version=self._version)
            for entity in entities:
                make_entity_due(tx, layout, spec, window.own_by, entity, self._version)
            self._rows.update(rows)
            self._are_many |= bool(entities)

    def take_reads(self, written: Written, cause: Cause, *, is_own: bool) -> None:
        """Take in rows whose runs have read by hand what has changed: only their marks tell so."""
        if not self._spec.follow:
            return
        tx, layout, spec, target = self._tx, self._layout, self._spec, written.layout
        parts = following.parts_changed(written)
        readers = following.Readers(
            tx, target, layout, spec, parts, cause, is_own, version=self._version
        )
        found = readers.few()
        if found is None or found:
            check_round(spec, cause)
        if found is not None:
            self._reading = [slot & ALL_ROWS for slot in found]
            make_due(tx, layout, spec, self._reading, version=self._version)
            return
        for sql, values in readers.queries():
            make_all_due(
                tx, spec, f"SELECT q.row & {ALL_ROWS} AS row FROM ({sql}) q", values, self._version
            )
        self._are_many = True
        self._path = cause.path or str(Lap())  # from where circles are looked for

    def enqueue(self, cause: Cause) -> None:
        """Enqueue the rows, but those that are left to the build."""
        tx, spec, version = self._tx, self._spec, self._version
        if self._are_many:
            begin_anew(tx, self._layout, spec, cause.number, self._path)
            return
        ahead = self._ahead()
        rows = [row for row in self._rows if row not in ahead]
        enqueue_beside(tx, spec, rows, cause, version)
        for own, some in cause.by_following(spec.name, self._reading):
            enqueue_beside(tx, spec, [row for row in some if row not in ahead], own, version)


def begin_anew(
    tx: Transaction, layout: Layout, spec: TriggerSpec, number: int, path: str = ""
) -> None:
    """Let a trigger's build go over all rows, from the first one on, as one that has not begun: what was chosen for it before
    is not handed over.

    Args:
        path: what led to it.
    """
    last = tx.execute(f"SELECT MAX({layout.row_column}) FROM {layout.base}").fetchone()[0] or 0
    anew = "next = 0, last = ?, remaining = ?, number = 0, path = ?"
    sql = f"UPDATE motion_backfills SET {anew} WHERE trigger = ? AND kind = 'build'"
    if not tx.execute(sql, (last, last + 1, path, spec.name)).rowcount:
        tx.execute(
            "INSERT INTO motion_backfills (change, trigger, next, last, total, remaining, parameters, is_forced, kind, number, "
            "path) VALUES (?, ?, 0, ?, ?, ?, ?, 0, 'build', 0, ?)",
            (number, spec.name, last, last + 1, last + 1, NO_PARAMETERS, path),
        )
