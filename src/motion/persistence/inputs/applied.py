"""Folds that apply each row once, in the order of arrival, as their calls cost money: what is due, and what a run goes over.

A row of the folded table says in `<fold>:applied` whether it was applied. Those that were not wait, and an index holds them
alone; a run goes over those of its entity by the number of their last change. An entity of which an applied row has become
another, or has gone, is noted as left behind (`:stale`) and nothing is called: until a backfill has all of its rows applied
again (they then hold 0), in their order. Decision 62 tells why it is done so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from motion.backends.base import Transaction
from motion.definitions.triggers.folds import Folded
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.persistence.inputs.folded import (
    NOTHING,
    Base,
    Checkpoint,
    Folds,
    Reading,
)
from motion.persistence.inputs.folds import (
    Left,
    note_entities,
    number_of,
    rows_changed,
    touched,
    try_again,
)
from motion.persistence.inputs.places import Place, Places, fold_of
from motion.persistence.layout import (
    LEFT_BEHIND,
    ORIGIN_BITS,
    ORIGIN_MASK,
    Layout,
    applied_column,
    changed_column,
    done_column,
    mark_of,
)
from motion.persistence.numbers import next_number
from motion.persistence.ranges import Ranges, parts_of
from motion.persistence.rows.written import Written
from motion.persistence.stored_graph import origin_of
from motion.persistence.tasks import queue

# -- due --


def touch_applied(
    tx: Transaction,
    source: Layout,
    entities: Layout,
    spec: TriggerSpec,
    changed: Mapping[str, Sequence[int]],
    left: Mapping[str, Sequence[Left]],
    number: int,
) -> list[int]:
    """Note what has changed for a fold that applies each row once, and return the entities that are due because of it:
    those with rows that wait.

    Args:
        changed: key -> the rows in which it has changed.
        left: the name of the way in which rows were held -> the places that they have left.
    """
    fold, rows = fold_of(spec), rows_changed(tx, source, spec, changed, number)
    due: dict[int, None] = {}
    for part in parts_of(rows):
        waits = source.waits(spec)
        due |= dict.fromkeys(touched(tx, source, entities, spec, part, number, waits))
        _leave_behind(tx, source, entities, spec, part, number)
    is_any_held = queue.is_any_blocked(tx, spec.name)
    for entity, _, _ in left.get(source.way_of(fold.by, fold.order), ()) if is_any_held else ():
        due |= dict.fromkeys(_made_due(tx, entities, spec, entity, number))
    for entity, _, _ in left.get(source.way_of(fold.by, fold.order, spec.name), ()):
        sql = f"UPDATE {entities.base} SET {LEFT_BEHIND} = ? WHERE id = ?"
        tx.execute(sql, (number, entity))
    try_again(tx, spec, rows)
    return list(due)


def _leave_behind(
    tx: Transaction,
    source: Layout,
    entities: Layout,
    spec: TriggerSpec,
    part: Ranges,
    number: int,
) -> None:
    """Note the entities of applied rows that have changed. One that a row has moved to, and that is not known, or that no run has
    gone over, is as if one had gone over none of its rows."""
    by, applied = Places(source, spec).by, f"r.{applied_column(spec.name)}"
    condition = f"{part.condition(source.row)} AND {by} IS NOT NULL AND {applied} > 0"
    sql = f"SELECT DISTINCT {by} FROM {source.base} r WHERE {condition}"
    found = tx.execute(sql, part.numbers).fetchall()
    if not found:
        return
    changed, done = changed_column("id"), done_column(spec.name)
    origin = origin_of(tx, spec, 0)
    mark = mark_of(number, origin)
    tx.executemany(
        f"INSERT INTO {entities.base} AS e (id, {changed}, {done}, {LEFT_BEHIND}) VALUES (?, ?, ?, ?) "
        f"ON CONFLICT (id) DO UPDATE SET {LEFT_BEHIND} = excluded.{LEFT_BEHIND}, "
        f"{done} = {_gone_over(spec, origin)}",
        [(row[0], number, mark, number) for row in found],
    )


def _gone_over(spec: TriggerSpec, origin: int) -> str:
    """Return the expression of the mark of an entity `e` that has applied rows: where no run has gone over it, as if one had gone
    over none of its rows. Only then does a backfill have the applied ones applied again, too."""
    done, changed = done_column(spec.name), changed_column("id")
    is_due = f"((e.{changed} - 1) << {ORIGIN_BITS}) | {origin}"
    return f"CASE WHEN COALESCE(e.{done}, 0) = 0 THEN {is_due} ELSE e.{done} END"


def _made_due(
    tx: Transaction,
    entities: Layout,
    spec: TriggerSpec,
    entity: Stored,
    number: int,
) -> list[int]:
    """Let an entity be due, as it may wait for a row that has left before it was applied; return it."""
    sql = f'UPDATE {entities.base} SET {changed_column("id")} = ? WHERE id = ? RETURNING ":row"'
    return [int(row[0]) for row in tx.execute(sql, (number, entity)).fetchall()]


def left_behind(tx: Transaction, entities: Layout, spec: TriggerSpec) -> list[int]:
    """Return the entities that are left behind."""
    sql = f'SELECT r.":row" FROM {entities.base} r WHERE {entities.is_left_behind(spec)}'
    return [int(row[0]) for row in tx.execute(sql).fetchall()]


def bring_up(tx: Transaction, entities: Layout, spec: TriggerSpec, number: int) -> list[int]:
    """Let the entities that are left behind be due with all of their rows, as by a backfill; return those that were not yet."""
    done = done_column(spec.name)
    is_asked = f"COALESCE(r.{done}, 0) <= {ORIGIN_MASK}"
    sql = (
        f"UPDATE {entities.base} AS r SET {changed_column('id')} = ?, {done} = {done} & {ORIGIN_MASK} "
        f'WHERE {entities.is_left_behind(spec)} AND NOT {is_asked} RETURNING ":row"'
    )
    return [int(row[0]) for row in tx.execute(sql, (number,)).fetchall()]


# -- what a run goes over --


@dataclass(frozen=True)
class AppliedOnce(Folds):
    """A fold of which a run goes over the rows that wait, and over all of them only where it is asked to."""

    @property
    def _applied(self) -> str:
        return applied_column(self.spec.name)

    def _reading(
        self, tx: Transaction, found: tuple[Any, ...], of_one: int
    ) -> tuple[Reading, list[tuple[Any, ...]]]:
        entity, id_, _, mark, *_ = found
        last = self._checkpoint(tx, entity) or NOTHING
        base, users = self._base_of(tx, found, last)
        is_again = _is_again(mark)
        start = last
        if is_again or users or last is NOTHING:
            start = Checkpoint(0, None, base.value if base else None)
        condition, values = self._counting(tx, entity, id_, base, users, is_again=is_again)
        applied, number = f"r.{self._applied}", number_of(self.source, self.spec)
        first = f"{applied} IS NULL, CASE WHEN {applied} IS NULL THEN {number} ELSE 0 END, "
        rows = self._select(tx, condition, values, of_one + 1, "" if is_again else first)
        held = self._held_among(tx, rows)
        return self._read_of(
            found, rows, of_one, start=start, last=last, base=base, users=users, is_of_base=is_again or bool(users),
            held=held,
        )  # fmt: skip

    def _held_among(self, tx: Transaction, rows: list[tuple[Any, ...]]) -> int | None:
        """Leave out the first row that triggers have still to do something for, and those behind it; return it."""
        if not rows or not self.feeders or not queue.has_any(tx, self.feeders):
            return None
        place = len(fold_of(self.spec).inputs) + 3
        numbers = [int(found[place]) for found in rows]
        if not queue.has_work_on(tx, self.feeders, min(numbers), max(numbers)):
            return None
        for i, number in enumerate(numbers):
            if queue.has_work_on(tx, self.feeders, number, number):
                del rows[i:]
                return number
        return None

    def _counting(
        self,
        tx: Transaction,
        entity: int,
        id_: Stored,
        base: Base | None,
        users: int,
        *,
        is_again: bool,
    ) -> tuple[str, list[Stored]]:
        """Return the condition that a row `r` is one that an entity's run goes over, with its values: it waits, or all of
        them are gone over again, but for those that a user's value stands for, or that went with the entity's row.

        Args:
            users: the mark of a value that a user has given since the last run, before which no row waits to be applied
                again.
        """
        conditions, values = self._of_entity(tx, entity, id_)
        applied, number = f"r.{self._applied}", number_of(self.source, self.spec)
        if not is_again:
            conditions.append(self.source.waits(self.spec))
        elif base is not None and not base.is_all:
            conditions.append(f"({self.source.waits(self.spec)} OR MAX({applied}, {number}) > ?)")
            values.append(base.number)
        if base is not None and base.is_all:
            conditions.append(f"{number} > ?")
            values.append(base.number)
        if users and base is not None:
            conditions.append(f"({applied} IS NULL OR MAX({applied}, {number}) > ?)")
            values.append(base.number)
        return " AND ".join(conditions), values

    # -- whether it still holds --

    def still_holds(self, tx: Transaction, reading: Reading, count: int) -> bool:
        """Whether the rows that a run went over are there as they were read. What has come since is the next run's."""
        if self._as_read(tx, reading) is None:
            return False
        base, users, is_again = reading.base, reading.users, _is_again(reading.mark)
        condition, values = self._counting(
            tx, reading.entity, reading.id, base, users, is_again=is_again
        )
        number, found = number_of(self.source, self.spec), dict[int, int]()
        for part in parts_of(reading.rows[:count]):
            sql = (
                f"SELECT {self.source.row}, {number} FROM {self.source.base} r "
                f"WHERE {condition} AND {part.condition(self.source.row)}"
            )
            found |= dict(tx.execute(sql, (*values, *part.numbers)).fetchall())
        return found == dict(zip(reading.rows[:count], reading.numbers[:count], strict=True))

    # -- keeping --

    def keep(
        self,
        tx: Transaction,
        kept: Sequence[tuple[Reading, Folded]],
        origin: int,
        number: int,
    ) -> tuple[Written, list[int], list[Reading]]:
        noted: list[tuple[Reading, Folded]] = []
        for reading, folded in kept:
            self._note_applied(tx, reading, reading.rows[: folded.rows], number)
            self._note_standing(tx, reading, number)
            if _is_again(reading.mark) and self._last_again(tx, reading) is not None:
                reading = replace(reading, has_more=True)  # what has come to it since counts, too
            noted.append((reading, folded))
        return super().keep(tx, noted, origin, number)

    def _note_applied(
        self, tx: Transaction, reading: Reading, rows: Sequence[int], number: int
    ) -> None:
        """Note which rows are applied. Where a run is the first of those that go over all of them again, the others wait."""
        source, applied, base = self.source, self._applied, reading.base
        at, of_base = number_of(source, self.spec), 0 if base is None else base.number
        update = f"UPDATE {source.base} AS r SET {applied} = ? WHERE"
        of_entity = f"{self.places.by} = ?"
        if reading.users:  # it stands for those that were to be applied again, too
            condition = f"{of_entity} AND r.{applied} = 0 AND {at} <= ?"
            tx.execute(f"{update} {condition}", (of_base, reading.id, of_base))
        if _is_again(reading.mark):
            is_known = f"(r.{applied} > 0 OR {at} <= ?)"  # else it has come during the run
            counts = f"(r.{applied} IS NULL OR MAX(r.{applied}, {at}) > ?)"
            if base is not None and base.is_all:
                counts = f"{at} > ?"
            values = (0, reading.id, reading.changed, of_base)
            tx.execute(f"{update} {of_entity} AND {is_known} AND {counts}", values)
        for part in parts_of(rows):
            tx.execute(f"{update} {part.condition(source.row)}", (number, *part.numbers))

    def _note_standing(self, tx: Transaction, reading: Reading, number: int) -> None:
        """Note whether the value is that of the rows as they are: it is when all are gone over again, and what a user gives
        is theirs; what goes on from a value of other code is not."""
        update, at = f"UPDATE {self.entities.base} SET {LEFT_BEHIND} =", 'WHERE ":row" = ?'
        if _is_again(reading.mark):
            tx.execute(f"{update} NULL {at}", (reading.entity,))
        elif reading.users and reading.base is not None:
            later = f"CASE WHEN {LEFT_BEHIND} > ? THEN {LEFT_BEHIND} END"
            tx.execute(f"{update} {later} {at}", (reading.base.number, reading.entity))
        elif reading.mark and not self._is_of_this_code(tx, reading.mark):
            kept = f"COALESCE({LEFT_BEHIND}, ?)"
            tx.execute(f"{update} {kept} {at}", (number, reading.entity))

    def _shown_from(
        self, tx: Transaction, reading: Reading, reached: Checkpoint, *, has_more: bool
    ) -> Place | None:
        """The value that is shown stays until all rows that are applied again are."""
        is_any = has_more and (_is_again(reading.mark) or reading.until is not None)
        return self._last_again(tx, reading) if is_any else None

    def _last_again(self, tx: Transaction, reading: Reading) -> Place | None:
        """Return the place of the last row that waits to be applied again."""
        condition, values = self._counting(
            tx, reading.entity, reading.id, reading.base, reading.users, is_again=False
        )
        sql = (
            f"SELECT {self.places.at}, {self.source.names('r')} FROM {self.source.base} r WHERE {condition} "
            f"AND r.{self._applied} = 0 ORDER BY {self.places.in_order(' DESC')} LIMIT 1"
        )
        found = self.places.with_names(tx.execute(sql, values).fetchall(), 1)
        return Place(*found[0]) if found else None

    def _spare(self, reading: Reading, reached: Checkpoint) -> tuple[int | None, int]:
        """Of checkpoints the last one is kept: no row is folded again."""
        is_any = reading.is_of_base or reached.position > reading.start.position
        return 0 if is_any else None, reached.position

    def _checkpoints(
        self, reading: Reading, folded: Folded, reached: Checkpoint
    ) -> list[tuple[Any, ...]]:
        if reached.place is None or not folded.after:
            return []
        place = self.places.kept(reached.place)
        return [(self.spec.name, reading.entity, reached.position, *place, reached.value)]


def _is_again(mark: int) -> bool:
    """Whether an entity is due with all of its rows: a run has made its value, and since then its mark was cleared."""
    return mark != 0 and mark >> ORIGIN_BITS == 0


# -- opening --


def apply_none(tx: Transaction, source: Layout, spec: TriggerSpec) -> None:
    """Note of all rows that a fold has not applied them."""
    applied = applied_column(spec.name)
    tx.execute(f"UPDATE {source.base} SET {applied} = NULL WHERE {applied} IS NOT NULL")


def go_on(tx: Transaction, source: Layout, entities: Layout, spec: TriggerSpec) -> None:
    """Take up a fold again that was away: it goes on from its values, and as rows may have become others unseen, none of them
    counts as theirs. Nor does what is there of an entity to which an applied row has moved."""
    note_entities(tx, source, entities, spec)
    done, by = done_column(spec.name), Places(source, spec).by
    applied = f"SELECT {by} FROM {source.base} r WHERE {applied_column(spec.name)} > 0"
    tx.execute(
        f"UPDATE {entities.base} AS e SET {LEFT_BEHIND} = ?, {done} = {_gone_over(spec, origin_of(tx, spec, 0))} "
        f"WHERE COALESCE(e.{done}, 0) != 0 OR e.id IN ({applied})",
        (next_number(tx),),
    )


def take_over(tx: Transaction, source: Layout, entities: Layout, spec: TriggerSpec) -> None:
    """Go on from the values of a fold that has folded rows again until now: what is in them is applied. An entity that is due
    begins anew, as it is not known which of its rows are in its value."""
    places, named = Places(source, spec), (spec.name,)
    is_due = f'SELECT r.":row" FROM {entities.base} r WHERE {entities.is_due(spec)}'
    sql = f"DELETE FROM motion_checkpoints WHERE trigger = ? AND entity IN ({is_due})"
    tx.execute(sql, named)
    tx.execute(
        "DELETE FROM motion_checkpoints WHERE trigger = ? AND position < (SELECT MAX(c.position) FROM motion_checkpoints c "
        "WHERE c.trigger = motion_checkpoints.trigger AND c.entity = motion_checkpoints.entity)",
        named,
    )
    applied = applied_column(spec.name)
    number, as_of = number_of(source, spec), f"(e.{done_column(spec.name)} >> {ORIGIN_BITS})"
    left_out = "SELECT row FROM motion_left_out WHERE trigger = ?"
    is_folded = (
        f"{places.by} IS NOT NULL", places.is_whole, f"{number} <= {as_of}", f"e.{changed_column('id')} <= {as_of}", f"{source.row} NOT IN ({left_out})",
    )  # fmt: skip
    update = f"UPDATE {source.base} AS r SET {applied} ="
    of = f"FROM {entities.base} e WHERE e.id = {places.by} AND"
    tx.execute(
        f'{update} MAX({as_of}, COALESCE(e.":base", 0) + 1) {of} {" AND ".join(is_folded)}', named
    )
    sql = f'SELECT id, ":base", ":base_place", ":base_id" FROM {entities.base} WHERE ":base_all" = 0 AND ":base_place" IS NOT NULL'
    for entity, base, order, name in tx.execute(sql).fetchall():  # of a user's value
        until, values = places.before(places.at_kept(order, name), or_there=True)
        tx.execute(
            f"{update} ? WHERE {places.by} = ? AND {number} <= ? AND {until}",
            (base, entity, base, *values),
        )
    done = done_column(spec.name)
    tx.execute(
        f'UPDATE {entities.base} SET {done} = NULL, ":until" = NULL WHERE ":row" IN ({is_due})'
    )
