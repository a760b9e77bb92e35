"""What a run of a fold goes over, read; and what is kept of what it gave.

Values after some of an entity's rows are kept as checkpoints, the more the nearer they are to the last one: a late row has
at most about twice as many rows folded again as come after it, and an entity of a million rows some hundred values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from motion.backends.base import Transaction
from motion.definitions.tasks import Task, ranges_of
from motion.definitions.triggers.folds import Folded, Rows
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.persistence.inputs.folds import has_left_out, number_of
from motion.persistence.inputs.own import Chain, Inputs
from motion.persistence.inputs.places import Place, Places, fold_of
from motion.persistence.layout import (
    ORIGIN_BITS,
    ORIGIN_MASK,
    Layout,
    changed_column,
    done_column,
    mark_of,
    quoted,
)
from motion.persistence.ranges import parts_of
from motion.persistence.rows.provenance import Origin, origin_of_mark
from motion.persistence.rows.writing import write_rows
from motion.persistence.rows.written import Written
from motion.persistence.tasks import queue

ROWS_AT_ONCE = 20_000
"""Rows that one claim goes over; about as many, as one entity's are not parted."""

ROWS_OF_ONE, ROWS_OF_SLOW = 2_000, 32
"""Rows of one entity that one run goes over at most, and one whose calls take long."""

KEPT = 8
"""A checkpoint is kept until so many times as many rows come after it as its position has as its largest power of two."""


class Checkpoint(NamedTuple):
    """The value after some rows; of none, where `place` is None."""

    position: int
    place: Place | None
    value: Stored


NOTHING = Checkpoint(0, None, None)


@dataclass(frozen=True)
class Base:
    """What an entity starts from: a user's value, or nothing where its row was deleted.

    Attributes:
        number: of that change; rows that changed later count.
        is_all: rows from before do not count wherever they are; otherwise those up to `place`.
    """

    number: int
    is_all: bool
    place: Place | None
    value: Stored


@dataclass(frozen=True)
class Reading:
    """What was read of an entity, and how it may be told whether that still holds.

    Attributes:
        changed: the change because of which it was due.
        mark: that its last run has left.
        start: the checkpoint that it goes on from.
        last: the last one there was.
        users: the mark of a value that a user has given since the last run; 0: none has.
        places, numbers: of the rows that follow the start.
        has_row: whether the row is there that keeps the value.
        has_more: whether further rows follow.
        is_of_base: whether it starts anew.
        held: the first row that triggers have still to do something for; it is not gone beyond. None: there is none.
    """

    entity: int
    id: Stored
    changed: int
    mark: int
    start: Checkpoint
    last: Checkpoint
    base: Base | None
    basis: tuple[Any, ...]
    until: Place | None
    users: int
    has_row: bool
    places: Sequence[Place]
    numbers: Sequence[int]
    rows: Sequence[int]
    has_more: bool
    is_of_base: bool
    held: int | None

    @property
    def is_replay(self) -> bool:
        return self.start.position < self.last.position or self.is_of_base


@dataclass(frozen=True)
class Folds:
    """The layouts that a fold is about: of its rows, its entities, and the rows that keep the value.

    Attributes:
        feeders: the triggers whose pending work on a row is waited for.
    """

    spec: TriggerSpec
    source: Layout
    entities: Layout
    target: Layout
    feeders: tuple[str, ...] = ()

    @cached_property
    def places(self) -> Places:
        return Places(self.source, self.spec)

    # -- reading --

    def read(
        self, tx: Transaction, chain: Chain, tasks: Sequence[Task], *, of_one: int = ROWS_OF_ONE
    ) -> Inputs:
        """Read the due entities of tasks with the rows that follow, up to about `ROWS_AT_ONCE` of these.

        Args:
            of_one: rows of one entity at most.
        """
        fold, readings = fold_of(self.spec), list[Reading]()
        most = 1 if self.spec.timeout_s is not None or self.spec.rate is not None else None
        of_one = min(of_one, fold.gather or 1) if most else of_one
        columns: list[list[Stored]] = [[] for _ in fold.inputs]
        spans: list[range] = []
        given: list[dict[int, Stored]] = []
        unread = None
        for entity in self._due(tx, tasks):
            start = spans[-1].stop if spans else 0
            if start >= ROWS_AT_ONCE:
                unread = int(entity[0])
                break
            reading, found = self._reading(tx, entity, of_one)
            for column, taken in zip(columns, zip(*found, strict=True), strict=False):
                column += taken
            readings.append(reading)
            spans.append(range(start, start + len(found)))
            users = [row[-2:] for row in found] if fold.is_of_rows else ()
            given.append({i: value for i, (is_users, value) in enumerate(users) if is_users})
        keys = [self.source.table.keys[key] for key in fold.inputs]
        values = [
            key.codec.decode_column(column) for key, column in zip(keys, columns, strict=True)
        ]
        rows = [
            Rows(reading.start.value, [column[span.start : span.stop] for column in values], len(span), most, users)
            for reading, span, users in zip(readings, spans, given, strict=True)
        ]  # fmt: skip
        return Inputs(
            chain,
            [each.entity for each in readings],
            [each.changed for each in readings],
            [(each.id,) for each in readings],
            [(each,) for each in readings],
            {"id": [each.id for each in readings], "rows": rows},
            {},
            unread,
        )

    def _due(self, tx: Transaction, tasks: Sequence[Task]) -> list[tuple[Any, ...]]:
        """Return the entities of tasks that are due, with what their table says of each and the row that keeps the value."""
        fold, entities = fold_of(self.spec), self.entities
        kept = "NULL, NULL, 0"
        join = ""
        if not fold.is_of_rows:
            mark = f"COALESCE(t.{done_column(self.spec.name)}, 0)"
            kept = f"t.id IS NOT NULL, t.{quoted(fold.sets)}, CASE WHEN {mark} & {ORIGIN_MASK} = 0 THEN {mark} ELSE 0 END"
            join = f"LEFT JOIN {self.target.base} t ON t.id = r.id{self.target.and_first('t')}"
        columns = (
            f'{entities.row}, r.id, COALESCE(r.{changed_column("id")}, 0), {entities.mark(self.spec)}, r.":due", r.":gone", '
            f'r.":base", r.":base_all", r.":base_place", r.":base_id", r.":base_value", r.":until", r.":until_id", {kept}'
        )
        found: list[tuple[Any, ...]] = []
        for part in parts_of(row for task in tasks for row in range(task.low, task.high + 1)):
            sql = (
                f"SELECT {columns} FROM {entities.base} r {join} WHERE {part.condition(entities.row)} "
                f"AND {entities.is_due(self.spec)} ORDER BY {entities.row}"
            )
            found += tx.execute(sql, part.numbers)
        return found

    def _reading(
        self, tx: Transaction, found: tuple[Any, ...], of_one: int
    ) -> tuple[Reading, list[tuple[Any, ...]]]:
        entity, id_, _, mark, due, gone, *_ = found
        last = self._checkpoint(tx, entity) or NOTHING
        base, users = self._base_of(tx, found, last)
        is_of_base = mark >> ORIGIN_BITS == 0 or not self._is_of_this_code(tx, mark)
        is_of_base = is_of_base or bool(users)
        start = last
        if is_of_base:
            start = Checkpoint(0, None, base.value if base else None)
        elif (first := self._first_change(tx, id_, mark, due, gone, last)) is not None:
            of_base = Checkpoint(0, None, base.value if base else None)
            start = self._checkpoint(tx, entity, first) or of_base
        elif last is NOTHING and base is not None:
            start = Checkpoint(0, None, base.value)
        held, before = self._first_pending(tx, id_, start.place, of_one + 1)
        rows = self._rows(tx, entity, id_, start.place, base, of_one + 1, before)
        return self._read_of(
            found, rows, of_one, start=start, last=last, base=base, users=users, is_of_base=is_of_base, held=held
        )  # fmt: skip

    def _read_of(
        self,
        found: tuple[Any, ...],
        rows: list[tuple[Any, ...]],
        of_one: int,
        *,
        start: Checkpoint,
        last: Checkpoint,
        base: Base | None,
        users: int,
        is_of_base: bool,
        held: int | None,
    ) -> tuple[Reading, list[tuple[Any, ...]]]:
        """Return what was read of an entity, with so many of the rows that were found."""
        entity, id_, changed, mark, *_, until, until_id, has_row, _, _ = found
        has_more = len(rows) > of_one
        del rows[of_one:]
        width = len(fold_of(self.spec).inputs)
        facts = [row[width:] for row in rows]
        reading = Reading(
            entity, id_, changed, mark, start, last, base, _basis_of(found),
            self.places.read(until, until_id), users, bool(has_row),
            [Place(each[0], each[1]) for each in facts], [each[2] for each in facts],
            [each[3] for each in facts], has_more, is_of_base, None if has_more else held,
        )  # fmt: skip
        return reading, rows

    def _base_of(
        self, tx: Transaction, found: tuple[Any, ...], last: Checkpoint
    ) -> tuple[Base | None, int]:
        """Return what an entity starts from, and the mark of a user's value that was given since its last run; 0: none was."""
        number, is_all, order, name, of_base, _, _, _, value, users = found[6:]
        place = self.places.read(order, name)
        base = None if number is None else Base(number, bool(is_all), place, of_base)
        if users >> ORIGIN_BITS > (base.number if base else 0):
            until = self._end_of(tx, found[1], base, last)
            return Base(users >> ORIGIN_BITS, False, until, value), users
        return base, 0

    def _end_of(
        self, tx: Transaction, id_: Stored, base: Base | None, last: Checkpoint
    ) -> Place | None:
        """Return the last place of the rows that an entity's value stands for: of those that were folded since it started from
        a base, and of those that the base did."""
        until = base.place if base else None
        if base is not None and base.is_all:
            places, number = self.places, number_of(self.source, self.spec)
            sql = (
                f"SELECT {places.at}, {self.source.names('r')} FROM {self.source.base} r WHERE {places.by} = ? "
                f"AND {places.at} IS NOT NULL AND {number} <= ? ORDER BY {places.in_order(' DESC')} LIMIT 1"
            )
            rows = tx.execute(sql, (id_, base.number)).fetchall()
            until = next((Place(*row) for row in places.with_names(rows, 1)), None)
        return until if last.place is None else _later(until, last.place)

    def _is_of_this_code(self, tx: Transaction, mark: int) -> bool:
        origin = mark & ORIGIN_MASK
        known = tx.memo.setdefault(("origins", self.spec.name), {})
        if origin not in known:
            sql = "SELECT 1 FROM motion_origins WHERE origin = ? AND fingerprint = ?"
            known[origin] = tx.execute(sql, (origin, self.spec.fingerprint)).fetchone() is not None
        return bool(known[origin])

    def _checkpoint(
        self, tx: Transaction, entity: int, before: Place | None = None
    ) -> Checkpoint | None:
        """Return the last checkpoint of an entity, or the last one before a place; all before an order, where that has no id."""
        condition, values = "", [self.spec.name, entity]
        kinds = self.source.kinds_of_fold(self.spec)
        place, row = f"CAST(place AS {kinds['order']})", f"CAST(row AS {kinds['id']})"
        is_named = before is not None and len(before.names) > 1
        if before is not None and is_named:  # names in one text are not in their order
            condition = f" AND {place} <= ?"
            values.append(before.order)
        elif before is not None:
            condition = f" AND ({place} < ? OR ({place} = ? AND {row} < ?))"
            values += [before.order, before.order, before.id]
        sql = (
            f"SELECT position, {place}, {row}, CAST(value AS {kinds['value']}) FROM motion_checkpoints "
            f"WHERE trigger = ? AND entity = ?{condition} ORDER BY position DESC{'' if is_named else ' LIMIT 1'}"
        )
        for position, order, name, value in tx.execute(sql, values).fetchall():
            found = self.places.read(order, name)
            if not is_named or before is None or (found is not None and _is_before(found, before)):
                return Checkpoint(position, found, value)
        return None

    def _first_change(
        self,
        tx: Transaction,
        id_: Stored,
        mark: int,
        due: Stored,
        gone: Stored,
        last: Checkpoint,
    ) -> Place | None:
        """Return the first place among the folded rows at which something has changed since they were; None: nowhere."""
        found: list[Place] = []
        if last.place is None:
            return None
        order: Any = last.place.order
        if gone is not None and gone <= order:
            found.append(Place(gone, None))
        if due is not None and due <= order:
            places, (until, values) = self.places, self.places.before(last.place, or_there=True)
            sql = (
                f"SELECT {places.at}, {self.source.names('r')} FROM {self.source.base} r WHERE {places.by} = ? AND {places.at} >= ? "
                f"AND {until} AND {number_of(self.source, self.spec)} > ? ORDER BY {places.in_order()} LIMIT 1"
            )
            rows = tx.execute(sql, (id_, due, *values, mark >> ORIGIN_BITS)).fetchall()
            found += [Place(*row) for row in places.with_names(rows, 1)]
        return min(
            found, key=lambda place: (place.order, place.id is not None, place.id), default=None
        )

    def _rows(
        self,
        tx: Transaction,
        entity: int,
        id_: Stored,
        after: Place | None,
        base: Base | None,
        limit: int,
        before: Place | None,
    ) -> list[tuple[Any, ...]]:
        """Return the rows of an entity that follow a place: what a call takes, then order, id, number and row, and where rows
        keep their own value whether a user gave it, and the value."""
        condition, values = self._among(tx, entity, id_, after, base)
        if before is not None:
            until, further = self.places.before(before)
            condition, values = f"{condition} AND {until}", [*values, *further]
        return self._select(tx, condition, values, limit)

    def _select(
        self, tx: Transaction, condition: str, values: Sequence[Stored], limit: int, first: str = ""
    ) -> list[tuple[Any, ...]]:
        """Return the rows `r` under a condition as a reading has them.

        Args:
            first: what they are sorted by before their order.
        """
        fold, source = fold_of(self.spec), self.source
        columns = [source.taken(self.spec, key) for key in fold.inputs]
        columns += [self.places.at, source.names("r"), number_of(source, self.spec), source.row]
        if fold.is_of_rows:
            mark = f"COALESCE(r.{done_column(self.spec.name)}, 0)"
            is_users = f"{mark} > 0 AND {mark} & {ORIGIN_MASK} = 0 AND {mark} >> {ORIGIN_BITS} >= {number_of(source, self.spec)}"
            columns += [is_users, f"r.{quoted(fold.sets)}"]
        sql = (
            f"SELECT {', '.join(columns)} FROM {source.base} r WHERE {condition} "
            f"ORDER BY {first}{self.places.in_order()} LIMIT ?"
        )
        found = tx.execute(sql, (*values, limit)).fetchall()
        return self.places.with_names(found, len(fold.inputs) + 1)

    def _first_pending(
        self, tx: Transaction, id_: Stored, after: Place | None, limit: int
    ) -> tuple[int | None, Place | None]:
        """Return the first of an entity's next rows that triggers have still to do something for, and its place."""
        if not self.feeders or not queue.has_any(tx, self.feeders):
            return None, None
        places, row = self.places, self.source.row
        condition, values = f"{places.by} = ? AND {places.at} IS NOT NULL", [id_]
        if after is not None:
            behind, further = places.after(after)
            condition, values = f"{condition} AND {behind}", [*values, *further]
        sql = (
            f"SELECT {row}, {places.at}, {self.source.names('r')} FROM {self.source.base} r WHERE {condition} "
            f"ORDER BY {places.in_order()} LIMIT ?"
        )
        found = places.with_names(tx.execute(sql, (*values, limit)).fetchall(), 2)
        numbers = [each[0] for each in found]
        if not found or not queue.has_work_on(tx, self.feeders, min(numbers), max(numbers)):
            return None, None
        for number, order, row_id in found:
            if queue.has_work_on(tx, self.feeders, number, number):
                return number, Place(order, row_id)
        return None, None

    def wake(self, tx: Transaction, ended: Sequence[Task]) -> None:
        """Let entities be looked at again that may have waited for work on rows, which has ended."""
        if not queue.is_any_blocked(tx, self.spec.name):
            return
        entities: set[int] = set()
        for part in parts_of(row for task in ended for row in range(task.low, task.high + 1)):
            sql = (
                f'SELECT DISTINCT e.":row" FROM {self.source.base} r CROSS JOIN {self.entities.base} e ON e.id = {self.places.by} '
                f"WHERE {part.condition(self.source.row)}"
            )
            entities.update(int(found[0]) for found in tx.execute(sql, part.numbers))
        rows = ranges_of(entities)
        queue.wake(
            tx, [replace(ended[0], low=low, high=high) for low, high in rows], [self.spec.name]
        )

    def _among(
        self, tx: Transaction, entity: int, id_: Stored, after: Place | None, base: Base | None
    ) -> tuple[str, list[Stored]]:
        """Return the condition that a row `r` is one of an entity's that are folded after a place, with its values."""
        number = number_of(self.source, self.spec)
        conditions, values = self._of_entity(tx, entity, id_)
        if after is not None:
            behind, further = self.places.after(after)
            conditions.append(behind)
            values += further
        if base is not None and base.is_all:
            conditions.append(f"{number} > ?")
            values.append(base.number)
        elif base is not None and base.place is not None:
            behind, further = self.places.after(base.place)
            conditions.append(f"({number} > ? OR ({behind}))")
            values += [base.number, *further]
        return " AND ".join(conditions), values

    def _of_entity(
        self, tx: Transaction, entity: int, id_: Stored
    ) -> tuple[list[str], list[Stored]]:
        """Return the conditions that a row `r` is an entity's and has what a call takes, with their values."""
        conditions, values = [f"{self.places.by} = ?", self.places.is_whole], [id_]
        if has_left_out(tx, self.spec):
            left_out = "SELECT row FROM motion_left_out WHERE trigger = ? AND entity = ?"
            conditions.append(f"{self.source.row} NOT IN ({left_out})")
            values += [self.spec.name, entity]
        return conditions, values

    def origin_of(self, tx: Transaction, name: Sequence[Stored]) -> Origin | None:
        """Return what made the value of the row that keeps it, which is named by its id, and pages."""
        fold, done = fold_of(self.spec), done_column(self.spec.name)
        by, row = "t.id", f"t.id = ?{self.target.and_first('t')}"
        if fold.is_of_rows:
            by, row = self.target.place(fold.by, "t"), self.target.is_named("t")
        left_out = 'SELECT 1 FROM motion_left_out l WHERE l.trigger = ? AND l.entity = r.":row"'
        is_due = f"{self.entities.is_due(self.spec)} OR {self.entities.is_left_behind(self.spec)}"
        sql = (
            f"SELECT COALESCE(t.{done}, 0), CASE WHEN {is_due} OR EXISTS ({left_out}) THEN 1 ELSE 0 END "
            f"FROM {self.target.base} t LEFT JOIN {self.entities.base} r ON r.id = {by} WHERE {row}"
        )
        named = name if fold.is_of_rows else name[:1]
        found = tx.execute(sql, (self.spec.name, *named)).fetchone()
        return (
            None if found is None else replace(origin_of_mark(tx, found[0]), is_due=bool(found[1]))
        )

    # -- whether it still holds --

    def still_holds(self, tx: Transaction, reading: Reading, count: int) -> bool:
        """Whether nothing has changed, up to the last of the rows that a run went over, since these were read."""
        now = self._as_read(tx, reading)
        if now is None:
            return False
        if now[2] == reading.changed:
            return True
        start = reading.start.place
        last = reading.places[count - 1] if count else start
        if start is not None and self._has_moved_before(tx, reading, now, start):
            return False
        if last is None or last == start:
            return True
        condition, values = self._among(tx, reading.entity, reading.id, start, reading.base)
        until, further = self.places.before(last, or_there=True)
        number = number_of(self.source, self.spec)
        sql = f"SELECT COUNT(*), MAX({number}) FROM {self.source.base} r WHERE {condition} AND {until}"
        found = tx.execute(sql, (*values, *further)).fetchone()
        return bool(tuple(found) == (count, max(reading.numbers[:count], default=None)))

    def _as_read(self, tx: Transaction, reading: Reading) -> tuple[Any, ...] | None:
        """Return what is kept of an entity now; None where what a run's start goes by has become another."""
        task = Task(
            0, self.spec.name, reading.entity, reading.entity, 0, None, 0, "", 0, 0, 0, 0, 0
        )
        now = next(iter(self._due(tx, [task])), None)
        return None if now is None or _basis_of(now) != reading.basis else now

    def _has_moved_before(
        self, tx: Transaction, reading: Reading, now: tuple[Any, ...], start: Place
    ) -> bool:
        """Whether a row up to a run's start has changed, or gone, since."""
        due, gone, order = now[4], now[5], start.order
        if gone is not None and gone <= order:
            return True
        changed = Checkpoint(0, start, None)
        mark = reading.changed << ORIGIN_BITS
        return self._first_change(tx, reading.id, mark, due, None, changed) is not None

    # -- keeping --

    def keep(
        self,
        tx: Transaction,
        kept: Sequence[tuple[Reading, Folded]],
        origin: int,
        number: int,
    ) -> tuple[Written, list[int], list[Reading]]:
        """Keep what runs gave; return what that changes, the entities that have further rows, and those that have stopped at
        a row which triggers had still to do something for."""
        more: list[int] = []
        held: list[Reading] = []
        checkpoints: list[tuple[Any, ...]] = []
        spare: list[tuple[Any, ...]] = []
        states: list[tuple[Any, ...]] = []
        shown: list[tuple[Reading, Checkpoint]] = []
        for reading, folded in kept:
            reached = _reached(reading, folded)
            rows = folded.after[-1] if folded.after else 0
            has_more = reading.has_more or rows < len(reading.rows)
            if has_more:
                more.append(reading.entity)
            elif reading.held is not None:
                held.append(reading)
                has_more = True
            until = self._shown_from(tx, reading, reached, has_more=has_more)
            if until is None:
                shown.append((reading, reached))
            checkpoints += self._checkpoints(reading, folded, reached)
            spare.append((self.spec.name, reading.entity, *self._spare(reading, reached)))
            states.append(self._state(reading, until, origin, has_more=has_more))
        self._write_states(tx, states, spare, checkpoints)
        written = (
            self._show_on_rows(tx, kept, origin, number)
            if fold_of(self.spec).is_of_rows
            else self._show(tx, shown, origin, number)
        )
        return written, more, held

    def is_held(self, tx: Transaction, reading: Reading) -> bool:
        """Whether triggers have still to do something for the row that it stopped at. Only the end of work on a row that is
        there, and the entity's, lets the entity be looked at again."""
        sql = f"SELECT 1 FROM {self.source.base} r WHERE {self.source.row} = ? AND {self.places.by} = ?"
        if tx.execute(sql, (reading.held, reading.id)).fetchone() is None:
            return False
        held = reading.held or 0
        return queue.has_work_on(tx, self.feeders, held, held)

    def _shown_from(
        self, tx: Transaction, reading: Reading, reached: Checkpoint, *, has_more: bool
    ) -> Place | None:
        """Return the place up to which rows are being folded again, so that the value which is shown stays; None: it is the
        one that was reached."""
        until = reading.until
        if reading.is_replay and reading.last.place is not None:
            until = _later(until, reading.last.place)
        is_passed = until is None or (reached.place and not _is_before(reached.place, until))
        return until if has_more and not is_passed else None

    def _state(
        self, reading: Reading, until: Place | None, origin: int, *, has_more: bool
    ) -> tuple[Any, ...]:
        """Return what is kept of an entity, in the order of the statement that writes it. With further rows it stays due."""
        base = reading.base
        mark = mark_of(reading.changed - has_more, origin)
        facts: tuple[Any, ...] = (None, None, None, None, None)
        if base is not None:
            facts = (base.number, int(base.is_all), *self.places.kept(base.place), base.value)
        return (mark, *facts, *self.places.kept(until), reading.entity)

    def _spare(self, reading: Reading, reached: Checkpoint) -> tuple[int | None, int]:
        """Return the position after which checkpoints hold no more, and the last one, by which old ones are thinned; None
        where there is nothing to be removed."""
        start, last = reading.start.position, reached.position
        is_any = reading.is_replay or start // KEPT != last // KEPT
        return (0 if reading.is_of_base else start) if is_any else None, last

    def _checkpoints(
        self, reading: Reading, folded: Folded, reached: Checkpoint
    ) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        start, last = reading.start.position, reached.position
        for rows, value in zip(folded.after, folded.values, strict=True):
            position = start + rows
            if position == last or last - position <= KEPT * (position & -position):
                place = self.places.kept(reading.places[rows - 1])
                found.append((self.spec.name, reading.entity, position, *place, value))
        return found

    def _write_states(
        self,
        tx: Transaction,
        states: Sequence[tuple[Any, ...]],
        spare: Sequence[tuple[Any, ...]],
        checkpoints: Sequence[tuple[Any, ...]],
    ) -> None:
        tx.executemany(
            f'UPDATE {self.entities.base} SET {done_column(self.spec.name)} = ?, ":due" = NULL, ":gone" = NULL, '
            f'":base" = ?, ":base_all" = ?, ":base_place" = ?, ":base_id" = ?, ":base_value" = ?, '
            f'":until" = ?, ":until_id" = ? WHERE ":row" = ?',
            states,
        )
        tx.executemany(
            f"DELETE FROM motion_checkpoints WHERE trigger = ?1 AND entity = ?2 AND (position > ?3 "
            f"OR position < ?4 - {KEPT} AND ?4 - position > {KEPT} * (position & -position))",
            [each for each in spare if each[2] is not None],
        )
        tx.executemany(
            "INSERT INTO motion_checkpoints (trigger, entity, position, place, row, value) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (trigger, entity, position) DO UPDATE SET place = excluded.place, row = excluded.row, "
            "value = excluded.value",
            checkpoints,
        )

    def _show(
        self, tx: Transaction, shown: Sequence[tuple[Reading, Checkpoint]], origin: int, number: int
    ) -> Written:
        """Keep the value in the entities' rows. One that has none is made for the first of its rows; a user's value that
        nothing was folded into stays theirs."""
        key, done = fold_of(self.spec).sets, done_column(self.spec.name)
        pairs = [
            (reading.id, reached.value)
            for reading, reached in shown
            if (reading.has_row or reached.position)
            and not (reading.users and not reached.position)
        ]
        columns = {"id": [each for each, _ in pairs], key: [value for _, value in pairs]}
        written = Written(self.target)
        if pairs:
            written = write_rows(tx, self.target, columns, len(pairs), number, is_user=False)
        sql = f"UPDATE {self.target.base} SET {done} = ? WHERE {self.target.row_column} = ?"
        mark = mark_of(number, origin)
        tx.executemany(sql, [(mark, row) for row in written.rows])
        return written

    def _show_on_rows(
        self, tx: Transaction, kept: Sequence[tuple[Reading, Folded]], origin: int, number: int
    ) -> Written:
        """Keep the value as of each row in that row, but for those to which a user gave one."""
        key, done = fold_of(self.spec).sets, done_column(self.spec.name)
        names: list[tuple[Stored, ...]] = []
        values: list[Stored] = []
        for reading, folded in kept:
            given = zip(folded.after, folded.values, strict=True)
            own = [(i - 1, value) for i, value in given if i - 1 not in folded.given]
            names += [reading.places[i].names for i, _ in own]
            values += [value for _, value in own]
        written = Written(self.target)
        if names:
            keys = self.target.table.primary_key
            columns: dict[str, Sequence[Stored]] = dict(
                zip(keys, zip(*names, strict=True), strict=True)
            )
            columns[key] = values
            written = write_rows(tx, self.target, columns, len(names), number, is_user=False)
        sql = f"UPDATE {self.target.base} SET {done} = ? WHERE {self.target.row_column} = ?"
        mark = mark_of(number, origin)
        tx.executemany(sql, [(mark, row) for row in written.rows])
        return written


def _basis_of(found: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return what a run's start goes by, beside the rows: the last run, the base, and a user's value."""
    return found[3], found[6], found[-1]


def _reached(reading: Reading, folded: Folded) -> Checkpoint:
    """Return the value that a run has come to."""
    if not folded.values:
        return reading.start
    rows = folded.after[-1]
    return Checkpoint(reading.start.position + rows, reading.places[rows - 1], folded.values[-1])


def _later(one: Place | None, other: Place) -> Place:
    return other if one is None or _is_before(one, other) else one


def _is_before(one: Place, other: Place) -> bool:
    return bool((one.order, one.id) < (other.order, other.id))
