"""Cascades: what a write causes, in the same transaction. The one place where a change becomes tasks and labels."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from motion.backends.base import Transaction
from motion.definitions.tables.lookups import Lookup
from motion.definitions.tasks import (
    BACKFILL_PRIORITY,
    BUILD_PRIORITY,
    MAX_DEPTH,
    Cause,
    Lap,
    level_of,
    ranges_of,
)
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import EnumCodec
from motion.errors import CascadeTooDeep
from motion.persistence.changes import following, reads, sweeps
from motion.persistence.changes.followers import (
    AT_ONCE,
    Changed,
    Followed,
    Place,
    followed,
    left_behind,
    take_left,
)
from motion.persistence.changes.labelling import note_labels, note_missed, settle_all
from motion.persistence.inputs import folds, outside
from motion.persistence.inputs.applied import AppliedOnce, touch_applied
from motion.persistence.inputs.folded import Folds
from motion.persistence.inputs.kept import make_up
from motion.persistence.inputs.places import fold_of
from motion.persistence.layout import Layout, is_switched_along, left_by_name
from motion.persistence.layouts import Layouts
from motion.persistence.numbers import next_number
from motion.persistence.ranges import parts_of, rows_among
from motion.persistence.rows.provenance import make_due
from motion.persistence.rows.written import Written
from motion.persistence.states.versions import live_version, version_beside
from motion.persistence.tasks import delayed, inherited, lines, once, queue
from motion.persistence.tasks.discards import drop_beyond
from motion.persistence.vector_log import log_vectors

Kept = dict[str, set[int]]
"""Triggers that keep keys which are lookups or windows themselves, with the rows on which they are due in one write."""


def fire(
    tx: Transaction,
    layouts: Layouts,
    written: Written,
    cause: Cause,
    *,
    except_for: Iterable[str] = (),
) -> int:
    """Enqueue what a write made due, note its labels, and log its vectors.

    Args:
        except_for: triggers that have met this change already (they ran fused with the write).

    Returns:
        How many tasks it made due.
    """
    graph, layout = layouts.graph, written.layout
    table = layout.table.name
    done = set(except_for)
    due: dict[str, set[int]] = {}
    kept: Kept = {}
    for key, rows in written.changed.items():
        place = table, key
        for spec in graph.listeners.get(place, ()):
            left = () if spec.name in done else _not_in(rows, written.met.get(spec.name, ()))
            found = rows_below(tx, layout, spec, key, left) if left else ()
            if len(left) < len(rows):
                found = [*found, *inherited.own_rows(tx, layout, spec, key, rows)]
            if found and spec.after_ms is not None:
                found = delayed.due_among(tx, layout, spec, found)
            if found:
                due.setdefault(spec.name, set()).update(found)
        for spec in graph.lined.get(place, ()):
            made = set(written.made)  # these stand nowhere yet
            moved = [row for row in rows if row not in made]
            lines.leave(tx, spec.name, rows_below(tx, layout, spec, key, moved))
        for fit in graph.labelled.get(place, ()):
            note_labels(tx, layouts, fit, rows, cause.number)
    note_missed(tx, table, written.changed)
    for key, rows in written.arrived.items():
        for spec in graph.readers.get((table, key), ()):
            waiting = _due_among(tx, layout, spec, rows_below(tx, layout, spec, key, rows))
            due.setdefault(spec.name, set()).update(waiting)
    tasks = 0
    for key, rows in written.changed.items():
        for spec, lookup in graph.awaiting.get((table, key), ()):
            come = written.arrived.get(key, ()) if key == lookup.name else rows
            tasks += (
                _run_what_awaited(tx, layouts, layout, spec, lookup, come, cause) if come else 0
            )
    for key, rows in written.changed.items():
        for spec, lookup in graph.followers.get((table, key), ()):
            tasks += follow(tx, layouts, layout, spec, lookup, rows, cause, kept, done=done)
    for spec, lookup in graph.paged.get(table, ()) if written.made else ():
        # A page that is new shows what it inherits, which is as old as it is.
        if lookup.is_followed:
            tasks += follow(tx, layouts, layout, spec, lookup, written.made, cause, kept, gone=())
        else:
            tasks += _run_what_awaited(tx, layouts, layout, spec, lookup, written.made, cause)
    tasks += hold(tx, layouts, written, cause, kept, done)
    if graph.following:
        parts = following.parts_changed(written)
        tasks += tell_readers(tx, layouts, layout, parts, cause, done)
    for spec in graph.openers.get(table, ()) if written.made else ():
        due.setdefault(spec.name, set()).update(_due_among(tx, layout, spec, written.made))
    for name, met in written.met_again.items():
        if graph.triggers[name].fold is not None:
            continue  # its tasks are about entities, not about rows of this table
        tasks += run_what_waited(tx, layout, name, queue.forget_dead(tx, name, met), cause)
    # Then no task is about these rows: of those before this write, nor of its own.
    is_fresh = written.is_fresh and not tasks
    for name, chosen in due.items():
        if graph.keeps(graph.triggers[name]):
            kept.setdefault(name, set()).update(chosen)
            continue
        is_new = is_fresh and chosen.issubset(written.made)
        tasks += enqueue_rows(tx, layout, graph.triggers[name], chosen, cause, are_new=is_new)
        if drop_beyond(tx, graph, graph.triggers[name], len(chosen)):
            settle_all(tx, layouts)
            is_fresh = False
    _log_vectors(tx, layout, written)
    return tasks + keep(tx, layouts, kept, cause)


def keep(tx: Transaction, layouts: Layouts, kept: Kept, cause: Cause) -> int:
    """Make up kept keys of rows, or leave them to tasks where that takes long; return how many tasks that makes.

    It comes last in a write, with a number of its own: what ran with the write ran on what was there before.
    """
    tasks = 0
    for name, rows in kept.items():
        spec = layouts.graph.triggers[name]
        # What it is made of may be other rows', so it is no run's own write.
        own = replace(cause, number=next_number(tx), writer=None)
        written = make_up(tx, layouts[spec.table], spec, sorted(rows), own.number)
        if written is None:
            tasks += enqueue_rows(tx, layouts[spec.table], spec, rows, cause)
        elif written.met_again:
            tasks += fire(tx, layouts, written, own, except_for=[name])
    return tasks


def follow(
    tx: Transaction,
    layouts: Layouts,
    target: Layout,
    spec: TriggerSpec,
    lookup: Lookup,
    rows: Sequence[int],
    cause: Cause,
    kept: Kept,
    *,
    gone: Collection[int] | None = None,
    done: Container[str] = (),
) -> int:
    """Make a trigger due on the rows that look up changed rows; return how many tasks that makes, at least.

    Args:
        kept: takes in the rows of which a kept key is to be made up.
        gone: nothing tells by itself that the trigger is due, as when the rows are about to be deleted; of its own table these
            are.
        done: triggers whose own runs have written this.
    """
    layout = layouts[spec.table]
    below = partial(rows_below, tx, layout, spec, lookup.bys[0])
    found = followed(tx, target, layout, spec, lookup, rows, cause, below, gone or ())
    if gone is not None or lookup.is_of_list:
        maker = layouts.graph.kept_by_version(lookup.table, lookup.name)
        is_lives = maker is not None and maker.name in done and is_switched_along(spec, maker)
        make_due(tx, layout, spec, found.rows, in_every_version=not is_lives)
    return _due_because(tx, layouts, spec, found, cause, kept)


def _run_what_awaited(
    tx: Transaction,
    layouts: Layouts,
    target: Layout,
    spec: TriggerSpec,
    lookup: Lookup,
    rows: Sequence[int],
    cause: Cause,
) -> int:
    """Let a trigger run on the rows that look up rows which now have a value, where it waits for that; return how many tasks
    that makes, at least."""
    layout = layouts[spec.table]
    below = partial(rows_below, tx, layout, spec, lookup.bys[0])
    found = followed(tx, target, layout, spec, lookup, rows, cause, below)
    return run_where_due(tx, layout, spec, found.rows, cause) + found.is_swept


def _due_because(
    tx: Transaction,
    layouts: Layouts,
    spec: TriggerSpec,
    found: Followed,
    cause: Cause,
    kept: Kept,
) -> int:
    """Take in the rows on which a trigger is due because other rows have changed; return how many tasks that makes."""
    if found.rows and layouts.graph.keeps(spec):
        kept.setdefault(spec.name, set()).update(found.rows)
        return int(found.is_swept)
    return enqueue_rows(tx, layouts[spec.table], spec, found.rows, cause) + found.is_swept


def tell_readers(
    tx: Transaction,
    layouts: Layouts,
    target: Layout,
    parts: Sequence[following.Part],
    cause: Cause,
    done: Container[str] = (),
    *,
    is_erased: bool = False,
) -> int:
    """Make triggers that follow what they read due on the rows whose runs have read what has changed; return how many tasks
    that makes, at least.

    Args:
        done: triggers whose own runs have written this.
        is_erased: who has read it is about to be forgotten, too.

    Raises:
        CascadeTooDeep: rows that follow one another go in a circle that has no end.
    """
    if not parts or not reads.is_any_of(tx, target.table.name):
        return 0
    tasks, maker = 0, _kept_by_version(layouts, done)
    for spec in layouts.graph.following:
        layout = layouts[spec.table]
        is_own = spec.name in done and spec.table == target.table.name
        is_lives = maker is not None and is_switched_along(spec, maker)
        version = _live(tx, spec) if is_lives else None
        readers = following.Readers(
            tx, target, layout, spec, parts, cause, is_own, version, is_erased
        )
        found = readers.due()
        if found.rows or found.is_swept:
            check_round(spec, cause)
        tasks += run_readers(tx, layout, spec, found.rows, cause) + found.is_swept
    return tasks


def _kept_by_version(layouts: Layouts, done: Container[str]) -> TriggerSpec | None:
    """Return the trigger whose own run has written something that is kept by state version, for the live one."""
    found = (spec for spec in layouts.graph.triggers.values() if spec.is_versioned)
    return next((spec for spec in found if spec.name in done), None)


def _live(tx: Transaction, spec: TriggerSpec) -> int:
    return live_version(tx, spec.component or "") or 1


def check_round(spec: TriggerSpec, cause: Cause) -> None:
    """Stop a cascade that comes back to the same row again and again by what is followed.

    Raises:
        CascadeTooDeep: it does.
    """
    if Lap.of(cause.path).times >= MAX_DEPTH:
        raise CascadeTooDeep([spec.name], MAX_DEPTH, is_followed=True)


def run_readers(
    tx: Transaction, layout: Layout, spec: TriggerSpec, slots: Iterable[int], cause: Cause
) -> int:
    """Make a trigger due on the rows of slots, each for its state version; return how many tasks that makes. One that is neither
    live nor a candidate has it made once it is gone back to."""
    tasks = 0
    for version, rows in reads.rows_by_version(spec, slots).items():
        make_due(tx, layout, spec, rows, version=version if spec.is_versioned else None)
        is_live = not spec.is_versioned or version == _live(tx, spec)
        for own, some in cause.by_following(spec.name, rows):
            if is_live:
                tasks += _enqueue_live(tx, layout, spec, some, own)
            elif version in candidates(tx, spec.component or ""):
                tasks += enqueue_beside(tx, spec, some, own, version)
    return tasks


def hold(
    tx: Transaction,
    layouts: Layouts,
    written: Written,
    cause: Cause,
    kept: Kept,
    done: Container[str] = (),
) -> int:
    """Make triggers due on the rows whose windows hold, or held, rows that have changed, and folds on their entities; return
    how many tasks that makes, at least."""
    target, tasks = written.layout, 0
    keys = layouts.graph.gone_over.get(target.table.name)
    if keys is None or (written.changed and keys.isdisjoint(written.changed)):
        return 0
    windowed = layouts.graph.windowed.get(target.table.name, ())
    folded = layouts.graph.folded.get(target.table.name, ())
    left = take_left(tx, target)
    for spec in folded:
        if spec.name not in done:
            tasks += _fold(tx, layouts, spec, written, left, cause)
    for spec, lookup in layouts.graph.found_by.get(target.table.name, ()):
        values = [value for value, *_ in left.get(left_by_name(lookup.to_key, "id"), ())]
        layout = layouts[spec.table]
        below = partial(rows_below, tx, layout, spec, lookup.bys[0])
        found = left_behind(tx, layout, spec, lookup, values, cause, below)
        if lookup.is_followed:
            make_due(tx, layout, spec, found.rows, in_every_version=True)
        else:
            found = replace(found, rows=_due_among(tx, layout, spec, found.rows))
        tasks += _due_because(tx, layouts, spec, found, cause, kept)
    changed = Changed(tx, target, written.changed, left, written.made, written.given)
    for spec, window in windowed:
        layout = layouts[spec.table]
        made = _run_of(written.made) if spec.table == target.table.name else range(0)
        found = changed.holding(layout, spec, window, made, cause)
        make_due(tx, layout, spec, found.rows, in_every_version=True)
        tasks += _due_because(tx, layouts, spec, found, cause, kept)
    return tasks


def tell_takers(
    tx: Transaction,
    layouts: Layouts,
    maker: TriggerSpec,
    key: str,
    rows: Sequence[int],
    change: int,
) -> None:
    """Make triggers due on the rows that take outputs which a switch of state versions has changed, where no number tells so,
    but for those that were switched along. What has been made since the switch has seen them as they are.

    Args:
        maker: the trigger whose outputs these are, of one key.
        change: the number of the switch.
    """
    target, kept = layouts[maker.table], Kept()
    cause = Cause(change, change, priority=BACKFILL_PRIORITY)
    changed = Changed(tx, target, {key: rows}, {}, (), {})
    for spec, lookup in _told(layouts.graph.awaiting, maker, key) if rows else ():
        _run_what_awaited(tx, layouts, target, spec, lookup, rows, cause)
    for spec, lookup in _told(layouts.graph.followers, maker, key) if rows else ():
        if lookup.is_of_list:  # what is due then is run by the refresh after the switch
            layout = layouts[spec.table]
            below = partial(rows_below, tx, layout, spec, lookup.bys[0])
            found = followed(tx, target, layout, spec, lookup, rows, cause, below)
            make_due(tx, layout, spec, found.rows, in_every_version=True)
    for spec, window in target.windows_over(key) if rows else ():
        layout = layouts[spec.table]
        if is_switched_along(spec, maker):
            continue
        if len(rows) > AT_ONCE:
            sweeps.begin(tx, layout, spec, window.own_by, None, cause)
            continue
        found = changed.holding(layout, spec, window, range(0), cause)
        make_due(tx, layout, spec, found.rows, in_every_version=True)
        _due_because(tx, layouts, spec, found, replace(cause, number=next_number(tx)), kept)
    keep(tx, layouts, kept, cause)


def _told(
    by_key: Mapping[tuple[str, str], Sequence[tuple[TriggerSpec, Lookup]]],
    maker: TriggerSpec,
    key: str,
) -> list[tuple[TriggerSpec, Lookup]]:
    """Return the triggers that look up a trigger's output and are not switched along with it."""
    pairs = by_key.get((maker.table, key), ())
    return [(spec, lookup) for spec, lookup in pairs if not is_switched_along(spec, maker)]


def _fold(
    tx: Transaction,
    layouts: Layouts,
    spec: TriggerSpec,
    written: Written,
    left: Mapping[str, Sequence[Place]],
    cause: Cause,
) -> int:
    """Make a fold due on the entities of rows that have changed, or left; return how many tasks that makes."""
    source, entities = written.layout, layouts[spec.table]
    # Behind what runs in memory have made, by the write's own number, of a value that was given.
    then = replace(cause, number=next_number(tx)) if fold_of(spec).is_of_rows else cause
    unset = outside.unset_left(tx, source, spec, written.changed, then.number)
    tasks = fire(tx, layouts, unset, then, except_for=[spec.name]) if unset.changed else 0
    changed, number = written.changed, cause.number
    touch = folds.touch if fold_of(spec).replay else touch_applied
    due = touch(tx, source, entities, spec, changed, left, number)
    return tasks + enqueue_rows(tx, entities, spec, due, cause)


def folds_of(layouts: Layouts, spec: TriggerSpec) -> Folds:
    """Return a fold with the layouts that it is about."""
    fold = fold_of(spec)
    feeders = layouts.graph.feeders(spec)
    kind = Folds if fold.replay else AppliedOnce
    return kind(spec, layouts[fold.source], layouts[spec.table], layouts[fold.target], feeders)


def _run_of(rows: Sequence[int]) -> range:
    """Return rows as a range, where they are one; none otherwise."""
    if not rows or max(rows) - min(rows) + 1 != len(rows):
        return range(0)
    return range(min(rows), max(rows) + 1)


def enqueue_rows(
    tx: Transaction,
    layout: Layout,
    spec: TriggerSpec,
    rows: Iterable[int],
    cause: Cause,
    *,
    are_new: bool = False,
) -> int:
    """Make a trigger due on rows; for a waiting candidate version too, where outputs are kept by version. Return how
    many tasks that makes.

    Args:
        are_new: no task is about any of them.
    """
    rows = list(rows)
    tasks = _enqueue_live(tx, layout, spec, rows, cause, are_new=are_new)
    for version in candidates(tx, spec.component or "") if spec.is_versioned else ():
        tasks += enqueue_beside(tx, spec, rows, cause, version)
    return tasks


def _enqueue_live(
    tx: Transaction,
    layout: Layout,
    spec: TriggerSpec,
    rows: Sequence[int],
    cause: Cause,
    *,
    are_new: bool = False,
) -> int:
    tasks = 0
    for priority, chosen in _by_priority(tx, layout, spec, rows, cause).items():
        ranges = ranges_of(chosen)
        tasks += len(ranges)
        ended = queue.enqueue(tx, spec, ranges, cause, priority=priority, are_new=are_new)
        tasks += run_what_waited(tx, layout, spec.name, ended, cause)
    return tasks


def enqueue_beside(
    tx: Transaction, spec: TriggerSpec, rows: Iterable[int], cause: Cause, version: int
) -> int:
    """Make a trigger due on rows for a candidate. Nobody sees its outputs before the switch: they come after live work, and no
    change waits for them."""
    beside, ranges = Cause(cause.number, 0, cause.path, BUILD_PRIORITY), ranges_of(rows)
    queue.enqueue(tx, spec, ranges, beside, version=version)
    return len(ranges)


def run_what_waited(
    tx: Transaction, layout: Layout, trigger: str, ended: Iterable[tuple[int, int]], cause: Cause
) -> int:
    """Enqueue what was not run because a trigger upstream had given up on these rows; return how many tasks."""
    rows, tasks = [row for low, high in ended for row in range(low, high + 1)], 0
    for name in layout.graph.downstream(trigger) if rows else ():
        spec = layout.graph.triggers[name]
        pages = inherited.pages_of(tx, layout, spec, trigger, rows)
        tasks += run_where_due(tx, layout, spec, pages, cause)
    return tasks


def run_where_due(
    tx: Transaction, layout: Layout, spec: TriggerSpec, rows: Sequence[int], cause: Cause
) -> int:
    """Enqueue those of the rows on which a trigger has been waiting; return how many tasks."""
    return enqueue_rows(tx, layout, spec, _due_among(tx, layout, spec, rows), cause)


def candidates(tx: Transaction, component: str) -> list[int]:
    """Return the version of a component that is being built beside the live one, if any."""
    version = version_beside(tx, component)
    return [] if version is None else [version]


def _not_in(rows: Sequence[int], met: Sequence[int]) -> Sequence[int]:
    """Return the rows that a trigger has not met yet."""
    if not met or len(met) == len(rows):
        return () if met else rows
    known = set(met)
    return [row for row in rows if row not in known]


def rows_below(
    tx: Transaction, layout: Layout, spec: TriggerSpec, key: str, rows: Sequence[int]
) -> Sequence[int]:
    """Return the rows on which a trigger meets a change of `key`: those rows, or, where other inputs of it are told
    apart by more page keys, the rows of all their pages; and pages that it runs on for what they have themselves."""
    further = layout.graph.row_level(spec) - layout.graph.levels[layout.table.name][key]
    found = inherited.rows_of_pages(tx, layout, spec, further, rows) if further else rows
    own = inherited.own_rows(tx, layout, spec, key, rows)
    return sorted({*found, *own}) if own else found


def revive(tx: Transaction, layouts: Layouts, tasks: Sequence[int]) -> None:
    """Let dead letters be tried again, and behind them what was not run because of them."""
    graph = layouts.graph
    for trigger, low, high, cause in queue.revive(tx, tasks):
        spec = graph.triggers[trigger]
        layout = layouts[spec.table]
        if spec.fold is not None and low < 0:
            _take_in(tx, layouts, spec, -low, cause)
            continue
        once.let_go(tx, layout, spec, range(low, high + 1))
        run_what_waited(tx, layout, trigger, [(low, high)], cause)


def _take_in(
    tx: Transaction, layouts: Layouts, spec: TriggerSpec, number: int, cause: Cause
) -> None:
    """Let a fold try a row again that it has given up: its entity is due from there on."""
    source, entities = layouts[fold_of(spec).source], layouts[spec.table]
    own = replace(cause, number=next_number(tx))
    queue.end(tx, spec.name, -number)
    entity = folds.take_in(tx, source, entities, spec, number, own.number)
    if entity is not None:
        enqueue_rows(tx, entities, spec, [entity], own)


def _due_among(
    tx: Transaction, layout: Layout, spec: TriggerSpec, rows: Sequence[int]
) -> list[int]:
    """Return those of the rows on which a trigger has been waiting: its `on` keys changed and it has not run."""
    condition = f"{layout.is_row_of(spec)} AND {layout.is_due(spec)}"
    return rows_among(tx, layout, spec, rows, condition)


def _by_priority(
    tx: Transaction, layout: Layout, spec: TriggerSpec, rows: Iterable[int], cause: Cause
) -> dict[int, list[int]]:
    """Group rows by the priority of their tasks: the trigger's number, a key's value, or what the cascade inherits."""
    rows, is_background = list(rows), cause.is_background
    if spec.priority is None:
        return {cause.priority: rows}
    if not isinstance(spec.priority, str):
        return {level_of(spec.priority, is_background=is_background): rows}
    key = layout.table.keys[spec.priority]
    groups: dict[int, list[int]] = {}
    for part in parts_of(rows):
        sql = (
            f"SELECT {layout.row}, {layout.inherited_value(key.name)} FROM {layout.joined([key.name])} "
            f"WHERE {part.condition(layout.row)}"
        )
        for row, stored in tx.execute(sql, part.numbers):
            value = key.decode(stored)
            value = value.value if isinstance(key.codec, EnumCodec) and value is not None else value
            given = value if isinstance(value, int | float) else 0
            level = level_of(given, is_background=is_background)
            groups.setdefault(level, []).append(row)
    return groups


def _log_vectors(tx: Transaction, layout: Layout, written: Written) -> None:
    for key in layout.array_keys:
        if key.name in written.changed and key.name not in layout.versioned:
            log_vectors(tx, f"{layout.table.name}.{key.name}", written.changed[key.name])
