"""Backfills: decisions about a trigger's outputs in bulk, kept until their rows are tasks.

A backfill is one row, written in one transaction, however many rows it is about. Workers hand it over part by part: a
part becomes tasks, and the backfill moves past it, in one transaction, so a crash in between leaves nothing half done,
and neither the queue nor memory ever holds more than a part. A row is judged (is it stale, does the condition hold)
when the backfill comes to it; rows added since it began are not its concern, as they are met anyway. There are five
kinds:

* `backfill`: outputs that other code made are made again, as somebody asked for;
* `unset`: the same of a fold whose rows keep the value as of each, before it goes over entities: it goes over the folded table,
  and unsets the values of rows that are outside the fold by now (`persistence.inputs.outside`);
* `build`: a candidate version's outputs are made beside the live ones;
* `refresh`: what a switch of versions leaves to do: triggers that derive from what was switched, and outputs with
  `refresh="after"`;
* `sweep`: what looks up something that has changed, where those are many rows (`persistence.sweeps`).
"""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec

from motion.backends.base import Transaction
from motion.background.interrupts import is_of_handler
from motion.definitions.graph import Graph
from motion.definitions.tasks import BACKFILL_PRIORITY, BUILD_PRIORITY, Cause, Lane, ranges_of
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import INT64_MAX, encode_parameter
from motion.errors import SqlError
from motion.faults import reach
from motion.persistence.changes import following, sweeps
from motion.persistence.changes.building import build_again
from motion.persistence.changes.cascade import (
    candidates,
    enqueue_beside,
    enqueue_rows,
    fire,
    run_readers,
)
from motion.persistence.inputs import outside
from motion.persistence.layout import Layout, is_switched_along, quoted
from motion.persistence.layouts import Layouts
from motion.persistence.numbers import next_number
from motion.persistence.rows import outputs, provenance
from motion.persistence.rows.written import Written
from motion.persistence.states import versions
from motion.persistence.tasks import backlog, queue

logger = logging.getLogger(__name__)

Kind = Literal["backfill", "unset", "build", "refresh", "sweep", "joined"]

ROWS_AT_ONCE = 2_000
"""Rows in one part: live writes wait while a part is made tasks, and while the results of one are committed."""

RANGES_AT_ONCE = 500
"""Tasks in one part at most: where the rows lie scattered, each is a task."""

NAMED_AT_MOST = 1_000
"""Rows that a refresh names; with more it is about all."""

HELD_UP_ALLOWED = 1_000
"""Tasks of a trigger that may wait for another attempt or for work upstream while a backfill goes on."""

SPREAD = "({row} & 2147483647) * 2654435761 % 4294967296"
"""Orders rows by chance, always the same: the first ones are a sample spread over all."""

COLUMNS = "change, trigger, next, last, total, remaining, condition, parameters, is_forced, kind, number, path"

UNFINISHED = "next <= last"

THIS = "change = ? AND trigger = ? AND parameters = ?"


@dataclass(frozen=True, slots=True)
class Backfill:
    """A decision about a trigger's outputs.

    Attributes:
        change: the number of the change that it is.
        next: the first row it has not come to.
        last: the last row it is about; below `next` when all its rows are tasks.
        total: the rows to make as counted when it began, or the most that there can be.
        remaining: how many of these are not yet made tasks.
        condition: SQL on what rows show, None for all rows.
        parameters: of the condition, as a list; of a sweep the key by which rows look up, and, if not all of them are
            meant, its value; or what its rows have read by hand (`persistence.changes.following`).
        is_forced: outputs of present code are made again too.
        number: of a sweep: the change that its rows are to be newer than. Of a build: the change since which it judges rows, so
            that nothing is left to it any more (`persistence.changes.building`); 0: it has not begun to.
        path: of a sweep, or a build that begins anew: what led to it.
    """

    change: int
    trigger: str
    next: int
    last: int
    total: int
    remaining: int
    condition: str | None = None
    parameters: bytes = b"\x90"  # an empty list
    is_forced: bool = False
    kind: Kind = "backfill"
    number: int = 0
    path: str = ""

    @property
    def is_unbegun(self) -> bool:
        """Whether it is a build that has judged no row yet."""
        return self.kind == "build" and not self.number

    @property
    def is_asked(self) -> bool:
        """Whether somebody asked for it, or changed code did, and it can be cancelled."""
        return self.kind in ("backfill", "unset")

    @property
    def lane(self) -> Lane:
        return Lane(self.trigger, self.kind == "build")

    @property
    def named(self) -> tuple[int, str, bytes]:
        """What tells it apart."""
        return self.change, self.trigger, self.parameters

    @property
    def chosen(self) -> tuple[str, Sequence[Any]] | None:
        """The condition with the values of its parameters."""
        if self.condition is None:
            return None
        return self.condition, msgspec.msgpack.decode(self.parameters)


def packed(parameters: Iterable[Any], enums: frozenset[type]) -> bytes:
    """Return a condition's parameters in the form in which they are kept."""
    return msgspec.msgpack.encode([encode_parameter(value, enums) for value in parameters])


def counted(tx: Transaction, layouts: Layouts, spec: TriggerSpec, asked: Backfill) -> Backfill:
    """Return a backfill with the rows that it is about, counted. Reads the marks of all rows.

    Raises:
        SqlError: its condition is wrong.
    """
    parts = [
        _over_all(tx, layouts, spec, replace(asked, kind=kind))
        for kind in _kinds(tx, layouts, spec)
    ]
    count = 0
    for part in parts:
        condition, values = _wanted(tx, layouts, spec, part)
        try:
            count += int(tx.execute(f"SELECT COUNT(*) {condition}", values).fetchone()[0])
        except Exception as exc:
            if asked.condition is None or is_of_handler(exc):
                raise
            raise SqlError(asked.condition, str(exc)) from exc
    return replace(parts[0], total=count, remaining=count)


def _kinds(tx: Transaction, layouts: Layouts, spec: TriggerSpec) -> Sequence[Kind]:
    """Return what a backfill of a trigger is, one after the other."""
    return ("unset", "backfill") if outside.may_hold(tx, layouts, spec) else ("backfill",)


def _over_all(tx: Transaction, layouts: Layouts, spec: TriggerSpec, backfill: Backfill) -> Backfill:
    """Return a backfill that has yet to come to all rows."""
    first, last = _all_rows(tx, _gone_over(layouts, spec, backfill))
    return replace(backfill, next=first, last=last)


def _gone_over(layouts: Layouts, spec: TriggerSpec, backfill: Backfill) -> Layout:
    """Return the layout of the table that a backfill goes over."""
    is_of_source = backfill.kind == "unset" and spec.fold is not None
    return layouts[spec.source if is_of_source else spec.table]


def begin(tx: Transaction, asked: Backfill) -> int:
    """Keep a backfill, and return the number of its change."""
    change = asked.change or next_number(tx)
    _forget_finished(tx)
    tx.execute(
        f"INSERT INTO motion_backfills ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            change, asked.trigger, asked.next, asked.last, asked.total, asked.total, asked.condition,
            asked.parameters, int(asked.is_forced), asked.kind, asked.number, asked.path,
        ),
    )  # fmt: skip
    return change


def begin_build(
    tx: Transaction, layout: Layout, spec: TriggerSpec, bound: int | None = None
) -> None:
    """Keep that the candidate's outputs of a trigger are to be built.

    Args:
        bound: only of a sample: the rows that `bound_of` has given.
    """
    asked = _of_rows(tx, layout, spec, "build")
    if bound is not None:
        condition = f"{SPREAD.format(row=quoted(':row'))} <= ?"
        asked = replace(asked, condition=condition, parameters=packed([bound], frozenset()))
    _begin_anew(tx, asked)


def bound_of(tx: Transaction, layout: Layout, spec: TriggerSpec, count: int) -> int | None:
    """Return up to where in their `SPREAD` so many of the rows lie that a new version lacks outputs for; None where
    there are no more than these. Reads the marks of all rows."""
    spread = SPREAD.format(row=layout.row)
    source = provenance.to_build(layout, spec, 0)
    sql = f"SELECT {spread} {source} ORDER BY 1 LIMIT 1 OFFSET ?"
    found = tx.execute(sql, (count - 1,)).fetchone()
    return None if found is None else int(found[0])


def begin_refresh(
    tx: Transaction,
    layout: Layout,
    spec: TriggerSpec,
    change: int,
    rows: Sequence[int] | None = None,
) -> None:
    """Keep what a switch leaves to do for a trigger; what the one before has left is part of it.

    Args:
        rows: it is these only, where they are not very many, and the switch before has left nothing.
    """
    asked = replace(_of_rows(tx, layout, spec, "refresh"), change=change)
    has_left = any(each.kind == "refresh" and each.trigger == spec.name for each in unfinished(tx))
    if rows and len(rows) <= NAMED_AT_MOST and not has_left:
        condition = f's.":row" IN ({", ".join(map(str, rows))})'
        count = rows[-1] - rows[0] + 1
        asked = replace(asked, next=rows[0], last=rows[-1], condition=condition)
        asked = replace(asked, total=count, remaining=count)
    _begin_anew(tx, asked)


def _begin_anew(tx: Transaction, asked: Backfill) -> None:
    end(tx, [asked.trigger], asked.kind)
    begin(tx, asked)


def end(tx: Transaction, triggers: Iterable[str], kind: Kind) -> None:
    """Forget backfills of one kind."""
    sql = "DELETE FROM motion_backfills WHERE trigger = ? AND kind = ?"
    tx.executemany(sql, [(trigger, kind) for trigger in triggers])


def is_building(tx: Transaction, triggers: Container[str]) -> bool:
    """Whether a candidate lacks outputs of these triggers that are not even tasks yet."""
    return any(each.kind == "build" and each.trigger in triggers for each in unfinished(tx))


def _of_all(tx: Transaction, layouts: Layouts, spec: TriggerSpec, kind: Kind) -> Backfill:
    layout = _gone_over(layouts, spec, Backfill(0, spec.name, 0, 0, 0, 0, kind=kind))
    return _of_rows(tx, layout, spec, kind)


def _of_rows(tx: Transaction, layout: Layout, spec: TriggerSpec, kind: Kind) -> Backfill:
    """Return a backfill over all rows. They are not counted: that would read the table whole."""
    first, last = _all_rows(tx, layout)
    most = last - first + 1
    return Backfill(0, spec.name, first, last, most, most, kind=kind)


def begin_where_code_changed(
    tx: Transaction, layouts: Layouts, before: Mapping[str, TriggerSpec], back: Container[str]
) -> None:
    """Keep a backfill for each trigger with `on_change="backfill"` whose code is not what it was, or that has missed
    changes. Its rows are not counted: opening a store does not read it whole.

    Args:
        before: trigger -> as the store knew it before this opening.
        back: the triggers that were away while rows were written.
    """
    for spec in layouts.graph.triggers.values():
        known = before.get(spec.name, spec)
        is_other = known.fingerprint != spec.fingerprint or (
            spec.name in back and spec.name in before
        )
        if spec.on_change == "backfill" and is_other:
            kinds = _kinds(tx, layouts, spec)
            of_all = [_of_all(tx, layouts, spec, kind) for kind in kinds]
            most = sum(each.total for each in of_all)
            begin(tx, replace(of_all[0], total=most, remaining=most))


def begin_builds_of_returned(tx: Transaction, layouts: Layouts, active: Container[str]) -> None:
    """Let candidates be built anew of triggers that are back, or new: whatever has come of their builds meanwhile.

    Args:
        active: the triggers that were in force until now.
    """
    for spec in layouts.graph.triggers.values():
        if not spec.is_versioned or spec.name in active:
            continue
        component = spec.component or ""
        has_live = versions.live_version(tx, component) is not None
        if has_live and versions.version_beside(tx, component) is not None:
            begin_build(tx, layouts[spec.table], spec)


def next_wanted(tx: Transaction, graph: Graph, triggers: Container[str]) -> Backfill | None:
    """Return the oldest backfill of these triggers whose last part has been taken, if there is one. What is held up
    counts as taken, up to a part: where every row fails for a while, or waits, the queue does not become the table."""
    found = unfinished(tx)
    for each in found:
        if (
            each.trigger in triggers
            and not backlog.has_ready_of(tx, each.lane)
            and backlog.held_up(tx, each.trigger, HELD_UP_ALLOWED) < HELD_UP_ALLOWED
            and not _is_early(tx, graph, each, found)
        ):
            return each
    return None


def next_build(tx: Transaction, graph: Graph, triggers: Container[str]) -> Backfill | None:
    """Return the oldest build of these triggers that may go on."""
    found = unfinished(tx)
    for each in found:
        if (
            each.kind == "build"
            and each.trigger in triggers
            and not _is_early(tx, graph, each, found)
        ):
            return each
    return None


def _is_early(
    tx: Transaction, graph: Graph, backfill: Backfill, others: Iterable[Backfill]
) -> bool:
    """Whether rows cannot be judged yet: those of a trigger upstream are not all tasks, behind which these would wait,
    it is not known which of its outputs a switch has changed, or a candidate lacks what these take of other rows."""
    if backfill.is_asked or backfill.kind == "sweep":
        return False
    spec = graph.triggers[backfill.trigger]
    upstream, makers = graph.upstream(spec), graph.follows_from(spec)
    is_behind = any(each.kind == backfill.kind and each.trigger in upstream for each in others)
    names = [*upstream, *(maker.name for maker in makers)]
    if is_behind or not versions.are_numbered(tx, names):
        return True
    if backfill.kind != "build":
        return False
    first = [maker for maker in makers if is_switched_along(spec, maker)]
    late = _read_first(graph, spec) if spec.follow else []
    return any(not _is_built(tx, each, others) for each in (*first, *late))


def _read_first(graph: Graph, spec: TriggerSpec) -> list[TriggerSpec]:
    """Return the triggers whose outputs a candidate is to have before those of one that follows what it reads, as it may read
    these: such as are not made of what any that follows gives, so none waits for another in a circle."""
    along = [each for each in graph.triggers.values() if is_switched_along(each, spec)]
    late = [each for each in along if each.follow]
    of_these = {each.name for other in late for each in graph.kept_from(other)}
    return [each for each in along if not each.follow and each.name not in of_these]


def _is_built(tx: Transaction, spec: TriggerSpec, others: Iterable[Backfill]) -> bool:
    """Whether a candidate lacks none of a trigger's outputs that the live version has."""
    if any(each.kind == "build" and each.trigger == spec.name for each in others):
        return False
    live, number = (
        versions.live_version(tx, spec.component or ""),
        versions.candidate_version(tx, spec.component or ""),
    )
    return live is None or number is None or versions.built(tx, spec, number, live)[0]


def unfinished(tx: Transaction) -> list[Backfill]:
    """Return the backfills with rows that are not yet made tasks, the oldest first."""
    sql = f"SELECT {COLUMNS} FROM motion_backfills WHERE {UNFINISHED} AND kind <> 'joined' ORDER BY change"
    return [Backfill(*row) for row in tx.execute(sql)]


def of_kind(tx: Transaction, kind: Kind) -> list[Backfill]:
    """Return the backfills of a kind that are kept, those with no row left to be made a task, too."""
    sql = f"SELECT {COLUMNS} FROM motion_backfills WHERE kind = ? ORDER BY change"
    return [Backfill(*row) for row in tx.execute(sql, (kind,))]


WAITING = f"SELECT 1 FROM motion_backfills WHERE {UNFINISHED} AND kind NOT IN ('build', 'joined')"
"""Asks whether the next part of a backfill waits for the last one to be taken. A build rests when it is time for it."""


@dataclass(frozen=True, slots=True)
class Part:
    """The next rows that a backfill takes, ascending, and the row that it goes on from.

    Attributes:
        failed: rows on which its condition cannot be answered, with the error.
    """

    rows: Sequence[int]
    next: int
    failed: Mapping[int, str] = field(default_factory=dict)


def next_part(tx: Transaction, layouts: Layouts, spec: TriggerSpec, backfill: Backfill) -> Part:
    """Return the next part of a backfill. The first of a build has no rows: with it is noted that it begins, before any is
    judged."""
    if backfill.is_unbegun:
        return Part((), backfill.next)
    layout = _gone_over(layouts, spec, backfill)
    condition, values = _wanted(tx, layouts, spec, backfill)
    sql = f"SELECT {layout.row} {condition} ORDER BY {layout.row} LIMIT {ROWS_AT_ONCE}"
    try:
        rows = [int(row[0]) for row in tx.execute(sql, values)]
    except Exception as exc:
        if backfill.chosen is None:
            raise
        logger.debug("a condition of a backfill is asked row by row: %s", exc)
        return _judged_alone(tx, layouts, spec, backfill)
    ranges = ranges_of(rows)
    if len(ranges) > RANGES_AT_ONCE:
        end = ranges[RANGES_AT_ONCE - 1][1]
        return Part([row for row in rows if row <= end], end + 1)
    return Part(rows, rows[-1] + 1 if len(rows) == ROWS_AT_ONCE else backfill.last + 1)


def _judged_alone(tx: Transaction, layouts: Layouts, spec: TriggerSpec, backfill: Backfill) -> Part:
    """Return the next part of a backfill whose condition fails on some of its rows, such as `json_extract` on a text that
    was set since and is no JSON: that is these rows' failure, and the others go on. A condition that fails whatever the
    row ends its backfill, as the failure of the first."""
    layout = _gone_over(layouts, spec, backfill)
    anyhow, _ = _wanted(tx, layouts, spec, replace(backfill, condition=None))
    sql = f"SELECT {layout.row} {anyhow} ORDER BY {layout.row} LIMIT {RANGES_AT_ONCE}"
    asked = [int(row[0]) for row in tx.execute(sql)]
    condition, values = _wanted(tx, layouts, spec, backfill)
    one = f"SELECT 1 {condition} AND {layout.row} = CAST(? AS INTEGER)"
    try:
        tx.execute(f"EXPLAIN {one}", (*values, 0)).fetchall()
    except Exception as exc:  # noqa: BLE001 - it is told as the row's
        return Part([], backfill.last + 1, {row: _said_of(exc) for row in asked[:1]})
    rows, failed = [], {}
    for row in asked:
        try:
            if tx.execute(one, (*values, row)).fetchone() is not None:
                rows.append(row)
        except Exception as exc:  # noqa: BLE001 - of a user's condition: anything may come out
            failed[row] = _said_of(exc)
    return Part(rows, asked[-1] + 1 if len(asked) == RANGES_AT_ONCE else backfill.last + 1, failed)


def _said_of(exc: Exception) -> str:
    return f"SqlError: the condition of a backfill cannot be answered for this row: {exc}"


def hand_over(
    tx: Transaction, layouts: Layouts, spec: TriggerSpec, backfill: Backfill, part: Part
) -> None:
    """Make tasks of a part's rows, and move the backfill past it. Another worker may have been faster, or there be another
    candidate, a newer sweep have taken its place, or a build have begun anew: then nothing is done."""
    sql = f"SELECT next, number FROM motion_backfills WHERE {THIS} AND kind = ? AND {UNFINISHED}"
    found = tx.execute(sql, (*backfill.named, backfill.kind)).fetchone()
    if found is None or tuple(found) != (backfill.next, backfill.number):
        return
    if backfill.is_unbegun:
        sql = f"UPDATE motion_backfills SET number = ? WHERE {THIS}"
        tx.execute(sql, (next_number(tx), *backfill.named))
        return
    if backfill.kind == "unset":
        _unset_part(tx, layouts, spec, backfill, part)
        return
    layout = layouts[spec.table]
    _make_tasks(tx, layouts, spec, backfill, part)
    for row, error in part.failed.items():
        cause = Cause(next_number(tx), backfill.change, priority=BACKFILL_PRIORITY)
        queue.bury(tx, queue.add_alone(tx, spec, row, cause, None), 0, error, "")
    _move(tx, layout, backfill, part)


def _unset_part(
    tx: Transaction, layouts: Layouts, spec: TriggerSpec, backfill: Backfill, part: Part
) -> None:
    """Unset what rows outside a fold have kept, and move past them; then the backfill goes over entities. A condition that cannot be
    answered is told of these."""
    source = layouts[spec.source]
    cause = Cause(next_number(tx), backfill.change, backfill.path, BACKFILL_PRIORITY)
    written = outside.unset_held(tx, source, spec, part.rows, cause.number)
    if written.changed:
        fire(tx, layouts, written, cause, except_for=[spec.name])
    moved = replace(backfill, next=part.next)
    if moved.next > moved.last:
        moved = _over_all(tx, layouts, spec, replace(backfill, kind="backfill"))
    left = max(backfill.remaining - len(part.rows), 1)
    sql = f"UPDATE motion_backfills SET kind = ?, next = ?, last = ?, remaining = ? WHERE {THIS}"
    tx.execute(sql, (moved.kind, moved.next, moved.last, left, *backfill.named))


def _make_tasks(
    tx: Transaction, layouts: Layouts, spec: TriggerSpec, backfill: Backfill, part: Part
) -> None:
    if not part.rows:
        return
    number = next_number(tx)
    if backfill.kind == "build":
        cause = Cause(number, 0, backfill.path, BUILD_PRIORITY)
        _build(tx, layouts, spec, backfill, part.rows, cause)
        return
    layout = layouts[spec.table]
    cause = Cause(number, backfill.change, backfill.path, BACKFILL_PRIORITY)
    chosen = backfill.kind == "sweep" and msgspec.msgpack.decode(backfill.parameters)
    if chosen and chosen[0] == following.BY_READS:
        slots = following.slots_swept(tx, layout, spec, chosen, part.rows)
        run_readers(tx, layout, spec, slots, cause)
    else:
        _enqueue_again(tx, layout, spec, backfill, part.rows, cause)
    reach("backfill.enqueued")


def _enqueue_again(
    tx: Transaction,
    layout: Layout,
    spec: TriggerSpec,
    backfill: Backfill,
    rows: Sequence[int],
    cause: Cause,
) -> None:
    if backfill.kind in ("backfill", "sweep") or spec.refresh == "after":
        is_elsewhere = backfill.kind == "sweep"
        anew = rows if backfill.is_forced else provenance.not_gone_on_from(tx, layout, spec, rows)
        provenance.make_due(tx, layout, spec, anew, in_every_version=is_elsewhere)
        reach("backfill.marked")
    for own, some in _on_its_way(cause, backfill, spec, rows):
        enqueue_rows(tx, layout, spec, some, own)


def _on_its_way(
    cause: Cause, backfill: Backfill, spec: TriggerSpec, rows: Sequence[int]
) -> Sequence[tuple[Cause, Sequence[int]]]:
    """Return the causes of a part's tasks, each with its rows."""
    is_followed = spec.follow and (backfill.kind == "sweep" or bool(backfill.path))
    return cause.by_following(spec.name, rows) if is_followed else [(cause, rows)]


def _build(
    tx: Transaction,
    layouts: Layouts,
    spec: TriggerSpec,
    backfill: Backfill,
    rows: Sequence[int],
    cause: Cause,
) -> None:
    """Enqueue outputs of the candidate: below live work, and nothing that a change waits for. Users' values it takes
    over."""
    layout, number = layouts[spec.table], cause.number
    live = versions.live_version(tx, spec.component or "") or 1
    own = set(outputs.users_rows(tx, layout, spec, rows))
    for version in candidates(tx, spec.component or ""):
        given = outputs.copy_outputs(tx, layout, spec, sorted(own), live, version, number)
        build_again(tx, layouts, spec, Written(layout, changed=given), version, cause)
        # A build that is asked for once more, as by who promotes, begins anew: calls under way are not made again.
        called = queue.claimed_rows(tx, spec.name, version, rows[0], rows[-1])
        left = [row for row in rows if row not in own and row not in called]
        provenance.make_missed_due(tx, layout, spec, left, version)
        for on_its_way, some in _on_its_way(cause, backfill, spec, left):
            enqueue_beside(tx, spec, some, on_its_way, version)
    reach("candidate.enqueued")


def _move(tx: Transaction, layout: Layout, backfill: Backfill, part: Part) -> None:
    """Move a backfill past a part. One that is over is kept where it can be cancelled."""
    is_over = part.next > backfill.last
    if is_over and backfill.kind == "sweep":
        sweeps.end_round(tx, layout, *backfill.named)
        return
    if is_over and backfill.kind != "backfill":
        end(tx, [backfill.trigger], backfill.kind)
        return
    ahead = min(backfill.remaining - len(part.rows), backfill.last - part.next + 1)
    sql = f"UPDATE motion_backfills SET next = ?, last = ?, remaining = ? WHERE {THIS}"
    following = min(part.next, INT64_MAX)  # after the largest number that there is comes none
    last = following - 1 if is_over else backfill.last
    left = 0 if is_over else max(ahead, 1)
    tx.execute(sql, (following, last, left, *backfill.named))


def remaining(tx: Transaction, change: int | None = None) -> int:
    """Return how many rows are not yet made tasks: of one change's backfill, or of all triggers that exist."""
    chosen = (
        "change = ?"
        if change is not None
        else "trigger IN (SELECT name FROM motion_triggers WHERE is_active = 1)"
    )
    sql = (
        f"SELECT COALESCE(SUM(remaining), 0) FROM motion_backfills WHERE {UNFINISHED} AND {chosen}"
    )
    return int(tx.execute(sql, () if change is None else (change,)).fetchone()[0])


def cancel(tx: Transaction, changes: Sequence[int]) -> list[tuple[str, int, int]]:
    """Drop the work of changes that has not begun. Of a backfill only its own: what follows from the rows that it has
    remade goes on, so that they fit together. Return the trigger and the rows of each dropped task."""
    dropped: list[tuple[str, int, int]] = []
    for change in changes:
        sql = "DELETE FROM motion_backfills WHERE change = ? AND kind IN ('backfill', 'unset') RETURNING trigger"
        found = tx.execute(sql, (change,)).fetchone()
        dropped += queue.cancel(tx, [change], trigger=found and found[0])
    return dropped


def _forget_finished(tx: Transaction) -> None:
    tx.execute(
        f"DELETE FROM motion_backfills WHERE NOT ({UNFINISHED}) "
        "AND NOT EXISTS (SELECT 1 FROM motion_tasks t WHERE t.change = motion_backfills.change)"
    )


def _all_rows(tx: Transaction, layout: Layout) -> tuple[int, int]:
    """Return the first and the last row of a table: two look-ups."""
    ends = [
        tx.execute(f"SELECT {which}({layout.row_column}) FROM {layout.base}").fetchone()[0]
        for which in ("MIN", "MAX")
    ]
    return int(ends[0] or 0), int(ends[1] or 0)


def end_void_sweeps(tx: Transaction, graph: Graph) -> None:
    """End sweeps over rows that their trigger does not go by any more, as its code, or the table's, is another: what it has made
    is stale for that, and a backfill's to remake."""
    kinds = "kind IN ('sweep', 'joined')"
    sql = f"SELECT DISTINCT trigger, parameters FROM motion_backfills WHERE {kinds}"
    for name, parameters in tx.execute(sql).fetchall():
        spec = graph.triggers.get(name)
        if spec is not None and not _goes_by(spec, msgspec.msgpack.decode(parameters)):
            sql = f"DELETE FROM motion_backfills WHERE trigger = ? AND parameters = ? AND {kinds}"
            tx.execute(sql, (name, parameters))


def _goes_by(spec: TriggerSpec, chosen: Sequence[Any]) -> bool:
    first, *value = chosen
    if first == following.BY_READS:
        return spec.follow
    if first == sweeps.BY_LISTS:
        return value[0] in {key for each in spec.lookups_of_lists for key in each.bys}
    own = {key for each in spec.lookups for key in each.bys}
    return not value or first in own | {each.own_by for each in spec.windows}


def _wanted(
    tx: Transaction, layouts: Layouts, spec: TriggerSpec, asked: Backfill
) -> tuple[str, Sequence[Any]]:
    """Return the rest of a query over the rows `r` that a backfill has yet to take, and its parameters."""
    layout = _gone_over(layouts, spec, asked)
    if asked.kind == "unset":
        source = outside.held(tx, layout, spec)
    elif asked.kind == "build":
        version = versions.candidate_version(tx, spec.component or "")
        source = provenance.to_build(layout, spec, version or 0)
    elif asked.kind == "sweep":
        source = provenance.to_sweep(layout, spec, asked.number)
    elif asked.kind == "refresh":
        source = provenance.to_refresh(tx, layout, spec)
    else:
        source = provenance.to_remake(tx, layout, spec, everything=asked.is_forced)
    sql = f"{source} AND {layout.row} BETWEEN {asked.next} AND {asked.last}"
    if asked.kind == "sweep":
        by, *value = msgspec.msgpack.decode(asked.parameters)
        if by == following.BY_READS:
            condition, read = following.swept(tx, layout, spec, [by, *value])
            return f"{sql} AND {condition}", read
        if by == sweeps.BY_LISTS:
            key, listed = value
            return f"{sql} AND {layout.is_listed(key)}", [listed]
        return (f"{sql} AND {layout.inherited_value(by)} = ?" if value else sql), value
    if asked.chosen is None:
        return sql, ()
    condition, values = asked.chosen
    if asked.kind == "unset":
        return f"{sql} AND {outside.held_of(layout, layouts[spec.table], spec, condition)}", values
    stored = f'SELECT 1 FROM {layout.shown()} s WHERE s.":row" = {layout.row} AND ({condition}\n)'
    return f"{sql} AND EXISTS ({stored})", values
