"""The queue: tasks in the database. Enqueued in the transaction of the write that causes them; claimed by status."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import NamedTuple

from motion import clock
from motion.backends.base import Transaction
from motion.definitions.tasks import (
    BACKFILL_PRIORITY,
    LIVE,
    RANGE_LIMIT,
    WAITING,
    Cause,
    Task,
    TaskStatus,
    ranges_of,
)
from motion.definitions.triggers.specs import TriggerSpec
from motion.persistence.numbers import next_tasks
from motion.persistence.ranges import places

COLUMNS = (
    "task, trigger, low, high, number, version, change, path, priority, attempts, losses, claim, "
    "among, conflicts, line"
)

LIKENESS = (
    "trigger, number, version, change, path, priority, status, attempts, not_before, losses, expires_ms, owner, error, "
    "inputs, claim, among, conflicts, line, place, tie"
)
"""All columns but those that tell tasks apart. Who holds a claim on a task holds the same one on a copy."""

ANEW = f"status = {TaskStatus.READY:d}, attempts = 0, error = NULL, inputs = NULL, losses = 0, among = 0"

ANEW_BUT_POSTPONED = ", ".join(
    f"{column} = CASE status WHEN {TaskStatus.POSTPONED:d} THEN {column} ELSE {value} END"
    for column, value in (each.split(" = ") for each in ANEW.split(", "))
)
"""Of a fold, a further row of the entity says nothing of the one that has failed."""

FRESH = f"+status IN ({TaskStatus.READY:d}, {TaskStatus.BLOCKED:d}) AND attempts = 0 AND losses = 0 AND among = 0 AND conflicts = 0"
"""Of tasks that wait, and were never called: one may stand for another on the same rows."""

MET_AT_ONCE = 100
"""Tasks that are told that their rows are due again; where there are more, these rows are in one more: a write must not cost
what the queue is long."""

FIRST_REACHING = RANGE_LIMIT - 2**63
"""Before it stands no row from which a whole range reaches back."""

LIVE_SQL = f"({', '.join(str(int(status)) for status in LIVE)})"

WAITING_SQL = f"({', '.join(str(int(status)) for status in WAITING)})"


class Waiting(NamedTuple):
    """A task that nobody runs."""

    task: int
    change: int
    low: int
    high: int
    line: str | None
    is_dead: bool | int = False


def enqueue(
    tx: Transaction,
    spec: TriggerSpec,
    ranges: Iterable[tuple[int, int]],
    cause: Cause,
    *,
    version: int | None = None,
    priority: int | None = None,
    are_new: bool = False,
) -> list[tuple[int, int]]:
    """Make a trigger due on ranges of rows; a waiting task for exactly these rows is used again (coalescing), and those
    that hold some of them stand for these.

    Args:
        are_new: no task is about any of these rows.

    Returns:
        The rows that it had given up on: newer work supersedes their dead letters.
    """
    ended: list[tuple[int, int]] = []
    expires_ms = None
    if spec.discard_after_s is not None:
        expires_ms = clock.now_ms() + round(1000 * spec.discard_after_s)
    level = cause.priority if priority is None else priority
    for low, high in ranges:
        left = [(low, high)]
        if not are_new:
            waiting = _meet(tx, spec.name, low, high, version)
            ended += _end_dead(tx, spec.name, low, high, version, waiting and waiting.task)
            if waiting is not None:
                ended += [(low, high)] if waiting.is_dead else []
                _renew(tx, spec, waiting, cause, level, expires_ms)
                continue
            left = _left_by_waiting(tx, spec, low, high, cause, version, level)
        for first, last in left:
            task = _insert(tx, spec, first, last, cause, version, level, expires_ms)
            if cause.task is not None:
                inherit_links(tx, cause.task, task)
    return ended


def _renew(
    tx: Transaction,
    spec: TriggerSpec,
    waiting: Waiting,
    cause: Cause,
    level: int,
    expires_ms: int | None = None,
) -> None:
    """Let a task be about a newer change of its rows; who waited for it goes on to."""
    tx.execute(
        f"UPDATE motion_tasks SET number = ?, change = ?, path = ?, priority = MAX(priority, ?), "
        f"{ANEW if spec.fold is None else ANEW_BUT_POSTPONED}, line = CASE WHEN line IS NULL THEN NULL ELSE '' END, "
        f"expires_ms = ? WHERE task = ?",
        (cause.number, cause.change, cause.path, level, expires_ms, waiting.task),
    )
    if waiting.line:  # it may stand in another one by now
        wake_next(tx, spec.name, waiting.line)
    _link_on(tx, waiting, waiting.change, cause)


def _link_on(tx: Transaction, waiting: Waiting, change: int, cause: Cause) -> None:
    """Let a change wait for a task that is not its own, and all that waits for what has caused it."""
    if waiting.change != cause.change:
        link(tx, waiting.task, change)
    if cause.task is not None:
        inherit_links(tx, cause.task, waiting.task)


def _left_by_waiting(
    tx: Transaction,
    spec: TriggerSpec,
    low: int,
    high: int,
    cause: Cause,
    version: int | None,
    level: int,
) -> list[tuple[int, int]]:
    """Let fresh tasks that wait stand for those of these rows that they hold; return the rows that are left.

    Else ranges that overlap pile up where rows are made due over and over, and each is read again for each of them. One of
    a lower priority stands for no row where it holds others, too: these would be lifted with it.
    """
    if spec.discard_after_s is not None:  # each is dropped at a time of its own
        return [(low, high)]
    condition = f"{FRESH} AND version IS NOT DISTINCT FROM ?4 AND (priority >= ?5 OR low >= ?1 AND high <= ?2)"
    columns = "task, change, low, high, line"
    sql = f"{overlapping(columns, 1, condition)} LIMIT {MET_AT_ONCE + 1}"
    found = [Waiting(*row) for row in tx.execute(sql, (low, high, spec.name, version, level))]
    whole = [waiting for waiting in found if waiting.low <= low and high <= waiting.high][:1]
    if len(found) > MET_AT_ONCE and not whole:
        return [(low, high)]
    held: set[int] = set()
    for waiting in whole or found:
        held.update(range(max(low, waiting.low), min(high, waiting.high) + 1))
        if low <= waiting.low and waiting.high <= high:
            _renew(tx, spec, waiting, cause, level)
        else:
            _take_in(tx, waiting, cause)
    return (
        ranges_of(row for row in range(low, high + 1) if row not in held) if held else [(low, high)]
    )


def _take_in(tx: Transaction, waiting: Waiting, cause: Cause) -> None:
    """Let a task be about a newer change of some of its rows, too."""
    tx.execute(
        f"UPDATE motion_tasks SET number = ?, status = {TaskStatus.READY:d} WHERE task = ?",
        (cause.number, waiting.task),
    )
    _link_on(tx, waiting, cause.change, cause)


def _insert(
    tx: Transaction,
    spec: TriggerSpec,
    low: int,
    high: int,
    cause: Cause,
    version: int | None,
    priority: int,
    expires_ms: int | None = None,
) -> int:
    task = next_tasks(tx)
    tx.execute(
        "INSERT INTO motion_tasks (task, trigger, low, high, number, version, change, path, priority, status, "
        f"expires_ms, line) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, {TaskStatus.READY:d}, ?, ?)",
        (
            task, spec.name, low, high, cause.number, version, cause.change, cause.path, priority,
            expires_ms, None if spec.serial_by is None else "",
        ),
    )  # fmt: skip
    return task


def _meet(
    tx: Transaction, trigger: str, low: int, high: int, version: int | None
) -> Waiting | None:
    """Return the task for exactly these rows that nobody runs."""
    found = tx.execute(
        f"SELECT task, change, low, high, line, status = {TaskStatus.DEAD:d} FROM motion_tasks WHERE trigger = ? AND low = ? AND high = ? "
        f"AND +status != {TaskStatus.CLAIMED:d} AND version IS NOT DISTINCT FROM ? "
        "ORDER BY task DESC LIMIT 1",
        (trigger, low, high, version),
    ).fetchone()
    return None if found is None else Waiting(*found)


def _end_dead(
    tx: Transaction,
    trigger: str,
    low: int,
    high: int,
    version: int | None = None,
    kept: int | None = None,
    heir: int | None = None,
) -> list[tuple[int, int]]:
    """End the dead letters of a range of rows, and only of these; return the rows that had one.

    Args:
        kept: a task to leave as it is.
        heir: the task that who waited for them has from now on.
    """
    if not has_dead(tx, [trigger]):
        return []
    condition = f"+status = {TaskStatus.DEAD:d} AND version IS NOT DISTINCT FROM ?4 AND task IS DISTINCT FROM ?5"
    found = tx.execute(
        overlapping("task, low, high, change", 1, condition), (low, high, trigger, version, kept)
    ).fetchall()
    for task, first, last, change in found:
        if heir is not None:
            link(tx, heir, change)
            inherit_links(tx, task, heir)
        if last > high:
            _copy(tx, task, high + 1, last)
        if first < low:
            tx.execute("UPDATE motion_tasks SET high = ? WHERE task = ?", (low - 1, task))
        else:
            remove(tx, [task])
    return [(max(first, low), min(last, high)) for _, first, last, _ in found]


def has_dead(tx: Transaction, triggers: Sequence[str]) -> bool:
    """Whether any of these triggers has dead letters. One index look-up each."""
    sql = f"SELECT 1 FROM motion_tasks WHERE status = {TaskStatus.DEAD:d} AND trigger IN ({places(triggers)}) LIMIT 1"
    return tx.execute(sql, tuple(triggers)).fetchone() is not None


def is_under_way(trigger: str, row: str) -> str:
    """Return the condition that a task which is to end by itself is about a row, an expression, and live work."""
    return is_any_on(trigger, row, f"+t.status IN {LIVE_SQL} AND t.version IS NULL")


def is_any_on(trigger: str, row: str, condition: str) -> str:
    """Return the condition that a task `t` of a trigger, of which a condition holds, is about a row, an expression. It is looked
    up as in `overlapping`."""
    name = trigger.replace("'", "''")
    task = f"SELECT 1 FROM motion_tasks t WHERE t.trigger = '{name}' AND {condition}"
    return (
        f"(EXISTS ({task} AND t.low = {row}) OR "
        f"EXISTS ({task} AND t.high > t.low AND t.low BETWEEN {_reaching(row)} AND {row} - 1 AND t.high >= {row}))"
    )


def _reaching(row: str) -> str:
    """Return the first row at which a task that reaches to a row, an expression, may begin; no number below those of 64 bits."""
    return f"MAX({row}, {FIRST_REACHING}) - {RANGE_LIMIT}"


def overlapping(columns: str, triggers: int, condition: str) -> str:
    """Return the query for the tasks of triggers (parameters 3 and on) that hold rows from ?1 to ?2.

    Those that begin there are found by where they begin; of those that begin before, only tasks of several rows can
    reach so far, and they have an index of their own: a queue of single rows costs nothing.
    """
    named = ", ".join(f"?{3 + i}" for i in range(triggers))
    begin = f"SELECT {columns} FROM motion_tasks WHERE trigger IN ({named})"
    return (
        f"{begin} AND low BETWEEN ?1 AND ?2 AND {condition} UNION ALL "
        f"{begin} AND high > low AND low BETWEEN {_reaching('?1')} AND ?1 - 1 AND high >= ?1 AND {condition}"
    )


def link(tx: Transaction, task: int, change: int) -> None:
    """Let one more change wait for a task."""
    tx.execute(
        "INSERT INTO motion_task_changes (task, change) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (task, change),
    )


def link_newer(tx: Transaction, task: Task, row: int, number: int) -> bool:
    """Let the changes of a task wait for the newer work that took over one of its rows; return whether there is any."""
    newer = tx.execute(
        overlapping("task", 1, "number >= ?4 AND task != ?5 AND version IS NOT DISTINCT FROM ?6"),
        (row, row, task.trigger, number, task.task, task.version),
    ).fetchall()
    for (other,) in newer:
        link(tx, other, task.change)
        inherit_links(tx, task.task, other)
    return bool(newer)


def inherit_links(tx: Transaction, source: int, target: int) -> None:
    """Let the changes that wait for a task wait for another too."""
    tx.execute(
        "INSERT INTO motion_task_changes (change, task) "
        "SELECT change, ? FROM motion_task_changes WHERE task = ? ON CONFLICT DO NOTHING",
        (target, source),
    )


def _alone(tx: Transaction, tasks: Sequence[Task]) -> list[Task]:
    """Let those rows of tasks just claimed wait that another claim of their trigger holds, or that are to be tried again by a
    task that has counted more attempts; return the others' tasks."""
    mine: list[Task] = []
    own = {task.task for task in tasks}
    condition = f"(+status = {TaskStatus.CLAIMED:d} OR attempts > ?4 AND +status IN ({TaskStatus.READY:d}, {TaskStatus.POSTPONED:d}))"
    others = overlapping("task, low, high", 1, condition)
    for task in tasks:
        found = tx.execute(others, (task.low, task.high, task.trigger, task.attempts)).fetchall()
        busy = {
            row
            for other, low, high in found
            if other not in own
            for row in range(max(low, task.low), min(high, task.high) + 1)
        }
        if not busy:
            mine.append(task)
            continue
        free, held = part(tx, [task], sorted(busy))
        release(tx, held, TaskStatus.BLOCKED)
        mine += free
    return mine


def split_off(tx: Transaction, task: Task, limit: int) -> Task:
    """Make the first `limit` rows of a task a task of their own, in every other way like it; the rest stays."""
    head = replace(task, high=task.low + limit - 1)
    tx.execute("UPDATE motion_tasks SET low = ? WHERE task = ?", (head.high + 1, task.task))
    number = _copy(tx, task.task, head.low, head.high)
    inherit_links(tx, task.task, number)
    return replace(head, task=number)


def _copy(tx: Transaction, task: int, low: int, high: int) -> int:
    """Make a task for other rows that is like a given one in every other way."""
    number = next_tasks(tx)
    tx.execute(
        f"INSERT INTO motion_tasks (task, low, high, {LIKENESS}) "
        f"SELECT ?, ?, ?, {LIKENESS} FROM motion_tasks WHERE task = ?",
        (number, low, high, task),
    )
    return number


def complete(tx: Transaction, tasks: Sequence[Task], woken: Sequence[str]) -> None:
    """End tasks, and wake what was blocked behind them."""
    remove(tx, [task.task for task in tasks])
    wake(tx, tasks, woken)


def wake(tx: Transaction, tasks: Sequence[Task], woken: Sequence[str]) -> None:
    """Let blocked tasks of triggers be looked at again, those on rows of tasks that have ended, and the next of their
    lines."""
    wake_on(tx, woken, ((task.low, task.high) for task in tasks))
    for trigger, line in {(task.trigger, task.line) for task in tasks if task.line}:
        wake_next(tx, trigger, line)


def wake_on(tx: Transaction, triggers: Sequence[str], ranges: Iterable[tuple[int, int]]) -> None:
    """Let blocked tasks of triggers on ranges of rows be looked at again."""
    if not triggers or not is_any_blocked(tx, *triggers):
        return
    waiting = [trigger for trigger in triggers if is_any_blocked(tx, trigger)]
    found = overlapping("task", len(waiting), f"+status = {TaskStatus.BLOCKED:d}")
    tx.executemany(
        f"UPDATE motion_tasks SET status = {TaskStatus.READY:d} WHERE task IN ({found})",
        [(low, high, *waiting) for low, high in ranges],
    )


def is_any_blocked(tx: Transaction, *triggers: str) -> bool:
    """Whether a task of any of these triggers waits until it is woken."""
    sql = f"SELECT 1 FROM motion_tasks WHERE status = {TaskStatus.BLOCKED:d} AND trigger IN ({places(triggers)}) LIMIT 1"
    return tx.execute(sql, triggers).fetchone() is not None


def wake_next(tx: Transaction, trigger: str, line: str) -> None:
    """Let the first of a line be looked at."""
    tx.execute(
        f"UPDATE motion_tasks SET status = {TaskStatus.READY:d} WHERE status = {TaskStatus.BLOCKED:d} AND task = "
        f"(SELECT task FROM motion_tasks WHERE trigger = ? AND line = ? AND +status IN {WAITING_SQL} "
        f"ORDER BY place, tie, task LIMIT 1)",
        (trigger, line),
    )


def wake_triggers(tx: Transaction, triggers: Iterable[str]) -> None:
    """Let all blocked tasks of triggers be looked at again."""
    tx.executemany(
        f"UPDATE motion_tasks SET status = {TaskStatus.READY:d} WHERE status = {TaskStatus.BLOCKED:d} AND trigger = ?",
        [(trigger,) for trigger in triggers],
    )


def wait_alone(tx: Transaction, spec: TriggerSpec, row: int, cause: Cause) -> None:
    """Make a trigger due on one row, and let it wait until it is woken, unless it is due already: that may be for what has
    come since somebody looked, which need not wait."""
    ready = (
        "SELECT 1 FROM motion_tasks WHERE trigger = ? AND low = ? AND high = ? "
        f"AND status = {TaskStatus.READY:d}"
    )
    is_due = tx.execute(ready, (spec.name, row, row)).fetchone() is not None
    enqueue(tx, spec, [(row, row)], cause)
    if is_due:
        return
    tx.execute(
        f"UPDATE motion_tasks SET status = {TaskStatus.BLOCKED:d} WHERE trigger = ? AND low = ? AND high = ? "
        f"AND status = {TaskStatus.READY:d}",
        (spec.name, row, row),
    )


def wake_all(tx: Transaction) -> None:
    """Let all blocked tasks be looked at again: what they wait for may have ended otherwise than by being done."""
    tx.execute(
        f"UPDATE motion_tasks SET status = {TaskStatus.READY:d} WHERE status = {TaskStatus.BLOCKED:d}"
    )


def end(tx: Transaction, trigger: str, row: int) -> None:
    """End a trigger's tasks on one row."""
    sql = "SELECT task FROM motion_tasks WHERE trigger = ? AND low = ? AND high = ?"
    remove(tx, [int(found[0]) for found in tx.execute(sql, (trigger, row, row)).fetchall()])


def move(tx: Transaction, task: int, row: int) -> None:
    """Let a task be about another row."""
    tx.execute("UPDATE motion_tasks SET low = ?, high = ? WHERE task = ?", (row, row, task))


def remove(tx: Transaction, tasks: Sequence[int]) -> None:
    tx.on_each("DELETE FROM motion_tasks WHERE task = ?", [tasks])
    tx.on_each("DELETE FROM motion_task_changes WHERE task = ?", [tasks])


def release(tx: Transaction, tasks: Sequence[Task], status: TaskStatus = TaskStatus.READY) -> None:
    """Give claimed tasks back untouched; those that are not held any more are left as they are."""
    tx.executemany(
        f"UPDATE motion_tasks SET status = ?, owner = NULL WHERE task = ? AND claim = ? "
        f"AND status = {TaskStatus.CLAIMED:d}",
        [(int(status), task.task, task.claim) for task in tasks],
    )


def part(
    tx: Transaction, tasks: Sequence[Task], left: Sequence[int]
) -> tuple[list[Task], list[Task]]:
    """Split held tasks, each into those on rows that are left to do and those on the others, under the same claim.

    Args:
        left: the rows that are left, ascending.

    Returns:
        The tasks without a row that is left, and those of the rows that are.
    """
    done: list[Task] = []
    rest: list[Task] = []
    for task in tasks:
        mine = left[bisect.bisect_left(left, task.low) : bisect.bisect_right(left, task.high)]
        if not mine:
            done.append(task)
            continue
        spans = ranges_of(mine)
        gaps = _between(spans, task.low, task.high)
        pieces = [(span, rest) for span in spans] + [(gap, done) for gap in gaps]
        for (low, high), kind in pieces[1:]:
            number = _copy(tx, task.task, low, high)
            inherit_links(tx, task.task, number)
            kind.append(replace(task, task=number, low=low, high=high))
        (low, high), _ = pieces[0]
        if gaps:  # what is left keeps the number: who works on it knows it by that
            tx.execute(
                "UPDATE motion_tasks SET low = ?, high = ? WHERE task = ?", (low, high, task.task)
            )
        rest.append(replace(task, low=low, high=high))
    return done, rest


def _between(spans: Sequence[tuple[int, int]], low: int, high: int) -> list[tuple[int, int]]:
    """Return what ranges of rows leave over of the rows from `low` to `high`."""
    starts = [low, *(last + 1 for _, last in spans)]
    ends = [*(first - 1 for first, _ in spans), high]
    return [(start, end) for start, end in zip(starts, ends, strict=True) if start <= end]


def bury(tx: Transaction, task: int, attempts: int, error: str, inputs: str) -> None:
    """Set a task aside as a dead letter, which stands for earlier ones of its rows, and who waited for these has it too. What
    `not_before` is of, is over: it says from now on when this was."""
    sql = "SELECT low, high, trigger, version FROM motion_tasks WHERE task = ?"
    low, high, trigger, version = tx.execute(sql, (task,)).fetchone()
    _end_dead(tx, trigger, low, high, version, heir=task)
    tx.execute(
        f"UPDATE motion_tasks SET status = {TaskStatus.DEAD:d}, owner = NULL, attempts = ?, error = ?, inputs = ?, "
        "not_before = ? WHERE task = ?",
        (attempts, error, inputs, clock.now_ms(), task),
    )


def add_alone(
    tx: Transaction, spec: TriggerSpec, row: int, cause: Cause, version: int | None
) -> int:
    """Make a task for one row of a range that has to go its own way, and return it."""
    task = _insert(tx, spec, row, row, cause, version, cause.priority)
    if cause.task is not None:
        inherit_links(tx, cause.task, task)
    return task


def postpone(tx: Transaction, task: int, attempts: int, error: str, not_before: int) -> None:
    """Let a failed task wait for its next attempt."""
    tx.execute(
        f"UPDATE motion_tasks SET status = {TaskStatus.POSTPONED:d}, owner = NULL, attempts = ?, error = ?, not_before = ? "
        "WHERE task = ?",
        (attempts, error, not_before, task),
    )


def lose(
    tx: Transaction, task: int, losses: int, attempts: int, error: str, not_before: int
) -> None:
    """Let a task whose process ended wait for being run again."""
    postpone(tx, task, attempts, error, not_before)
    tx.execute("UPDATE motion_tasks SET losses = ? WHERE task = ?", (losses, task))


def call_again(tx: Transaction, task: int, conflicts: int, attempts: int) -> None:
    """Let a task be run again as what it has read had changed, which uses up no attempt."""
    sql = "UPDATE motion_tasks SET conflicts = ?, attempts = ? WHERE task = ?"
    tx.execute(sql, (conflicts, attempts, task))


def has_work_on(
    tx: Transaction, triggers: Sequence[str], low: int, high: int, version: int | None = None
) -> bool:
    """Whether any of these triggers has live work on a range of rows.

    Args:
        version: the candidate that the work is for; what is built for another one is nothing to wait for.
    """
    if not triggers:
        return False
    condition = f"+status IN {LIVE_SQL} AND (version IS NULL OR version = ?{3 + len(triggers)})"
    sql = f"{overlapping('1', len(triggers), condition)} LIMIT 1"
    return tx.execute(sql, (low, high, *triggers, version)).fetchone() is not None


def claimed_rows(tx: Transaction, trigger: str, version: int, low: int, high: int) -> set[int]:
    """Return the rows in a range that a candidate's outputs are just being made of."""
    return _rows_of(
        tx, [trigger], low, high, f"+status = {TaskStatus.CLAIMED:d} AND version = ?4", version
    )


def has_others_on(tx: Transaction, trigger: str, tasks: Sequence[Task]) -> bool:
    """Whether a trigger has live work on the rows of tasks beside these."""
    own = {task.task for task in tasks}
    sql = overlapping("task", 1, f"+status IN {LIVE_SQL}")
    return any(
        number not in own
        for task in tasks
        for (number,) in tx.execute(sql, (task.low, task.high, trigger))
    )


def has_any(tx: Transaction, triggers: Sequence[str]) -> bool:
    """Whether there is any task, live or dead, of these triggers."""
    sql = f"SELECT 1 FROM motion_tasks WHERE trigger IN ({places(triggers)}) LIMIT 1"
    return tx.execute(sql, tuple(triggers)).fetchone() is not None


def block(tx: Transaction, tasks: Sequence[Task], waits: Callable[[Task], bool]) -> None:
    """Let claimed tasks wait for work upstream; what has ended since they looked does not hold them."""
    for task in tasks:
        release(tx, [task], TaskStatus.BLOCKED if waits(task) else TaskStatus.READY)


def forget_dead(
    tx: Transaction, trigger: str, rows: Sequence[int], version: int | None = None
) -> list[tuple[int, int]]:
    """Drop the dead letters of rows that are gone, or that the trigger has met a newer change of; return those that had
    one."""
    return [
        ended
        for low, high in ranges_of(rows)
        for ended in _end_dead(tx, trigger, low, high, version)
    ]


def dead_rows(tx: Transaction, triggers: Sequence[str], low: int, high: int) -> set[int]:
    """Return the rows of a range on which one of these triggers has given up."""
    if not triggers:
        return set()
    return _rows_of(tx, triggers, low, high, f"+status = {TaskStatus.DEAD:d} AND version IS NULL")


def live_rows(tx: Transaction, trigger: str, low: int, high: int) -> set[int]:
    """Return the rows of a range that a trigger has live work on."""
    return _rows_of(tx, [trigger], low, high, f"+status IN {LIVE_SQL} AND version IS NULL")


def some_dead_rows(tx: Transaction, trigger: str, limit: int) -> list[int]:
    """Return rows on which a trigger has given up, so many at most."""
    sql = (
        f"SELECT low, high FROM motion_tasks WHERE status = {TaskStatus.DEAD:d} AND trigger = ? AND version IS NULL "
        f"ORDER BY low LIMIT ?"
    )
    found = tx.execute(sql, (trigger, limit)).fetchall()
    rows = chain.from_iterable(range(low, high + 1) for low, high in found)
    return sorted(set(islice(rows, limit)))


def rows_of(tx: Transaction, trigger: str, low: int, high: int) -> set[int]:
    """Return the rows of a range on which a trigger has tasks, live or dead."""
    return _rows_of(tx, [trigger], low, high, "version IS NULL")


def _rows_of(
    tx: Transaction, triggers: Sequence[str], low: int, high: int, condition: str, *more: int
) -> set[int]:
    """Return the rows of a range that tasks of triggers hold for which a condition does; its own parameters come last."""
    sql = overlapping("MAX(low, ?1), MIN(high, ?2)", len(triggers), condition)
    found = tx.execute(sql, (low, high, *triggers, *more)).fetchall()
    return {row for first, last in found for row in range(first, last + 1)}


def revive(tx: Transaction, tasks: Sequence[int]) -> list[tuple[str, int, int, Cause]]:
    """Let dead letters be tried again from their first attempt; return the trigger, rows and cause of each."""
    tx.executemany(
        f"UPDATE motion_tasks SET status = {TaskStatus.READY:d}, attempts = 0, losses = 0, among = 0 "
        f"WHERE task = ? AND status = {TaskStatus.DEAD:d}",
        [(task,) for task in tasks],
    )
    sql = (
        "SELECT trigger, low, high, number, change, path, priority FROM motion_tasks WHERE task = ?"
    )
    found = [tx.execute(sql, (task,)).fetchone() for task in tasks]
    return [(*each[:3], Cause(*each[3:])) for each in found if each is not None]


def cancel(
    tx: Transaction, changes: Sequence[int], *, trigger: str | None = None
) -> list[tuple[str, int, int]]:
    """Drop the tasks of changes that have not begun; return the trigger and the rows of each. One that stands for rows of
    another change, too, is that one's from now on.

    Args:
        trigger: only this one's, and only where no live change waits for the same task: what a backfill has asked for.
    """
    dropped: list[tuple[str, int, int]] = []
    own = f"trigger = ? AND priority <= {BACKFILL_PRIORITY // 2}"
    for change in changes:
        waiting = tx.execute(
            f"SELECT task, trigger, low, high FROM motion_tasks WHERE change = ?1 AND ({own.replace('?', '?2')} OR ?2 IS NULL) "
            f"AND status IN {WAITING_SQL}",
            (change, trigger),
        ).fetchall()
        others = _hand_over(tx, change) if waiting else ()
        waiting = [each for each in waiting if each[0] not in others]
        remove(tx, [task for task, *_ in waiting])
        dropped += [(trigger, low, high) for _, trigger, low, high in waiting]
    wake_all(tx)
    return dropped


def _hand_over(tx: Transaction, change: int) -> set[int]:
    """Give the tasks of a change that others wait for to these; return them."""
    sql = (
        "SELECT MAX(l.change), l.task FROM motion_task_changes l JOIN motion_tasks t ON t.task = l.task "
        "WHERE t.change = ?1 AND l.change <> ?1 GROUP BY l.task"
    )
    found = tx.execute(sql, (change,)).fetchall()
    tx.executemany("UPDATE motion_tasks SET change = ? WHERE task = ?", found)
    return {int(task) for _, task in found}


def drop_version(tx: Transaction, triggers: Sequence[str], version: int) -> None:
    """Forget the work of a version that will not go live."""
    for trigger in triggers:
        sql = "SELECT task FROM motion_tasks WHERE trigger = ? AND version = ? AND version IS NOT NULL"
        remove(tx, [task for (task,) in tx.execute(sql, (trigger, version)).fetchall()])
    wake_triggers(tx, triggers)  # what is gone may have been the first of a line


def blank(tx: Transaction, trigger: str, rows: Sequence[int] | None, error: str) -> None:
    """Forget what failures on rows, or on all, tell, and what they were called with."""
    of = "trigger = ? AND (error IS NOT NULL OR inputs IS NOT NULL)"
    sql = f"UPDATE motion_tasks SET error = ?, inputs = '' WHERE {of}"
    if rows is None:
        tx.execute(sql, (error, trigger))
        return
    for low, high in ranges_of(rows):
        tx.execute(f"{sql} AND low <= ? AND high >= ?", (error, trigger, high, low))
