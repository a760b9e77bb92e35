"""Claims: which tasks a worker takes next, of which trigger, how many at once."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import takewhile

from motion import clock
from motion.backends.base import Asked, Transaction
from motion.definitions.tasks import (
    ALONE_AFTER,
    BUILD_PRIORITY,
    LONGEST_PAUSE_MS,
    Lane,
    Task,
    TaskStatus,
)
from motion.persistence.ranges import cut, places
from motion.persistence.tasks.lines import PlacesOf, firsts, take_places
from motion.persistence.tasks.queue import COLUMNS, _alone, split_off

NO_LINES: Mapping[str, PlacesOf] = {}


LANES_AT_ONCE = 100
"""Lanes that one statement is asked about at most: SQLite joins up to 500 parts."""


@dataclass(frozen=True, slots=True)
class Head:
    """A trigger's next task."""

    trigger: str
    task: int
    priority: int
    version: int | None
    attempts: int
    losses: int
    among: int

    @property
    def lane(self) -> Lane:
        return Lane(self.trigger, self.version is not None)


def claim(
    tx: Transaction,
    owner: str,
    limits: Mapping[Lane, int],
    choose: Callable[[Sequence[Head]], Head],
    one_at_a_time: Container[str] = (),
    lines: Mapping[str, PlacesOf] = NO_LINES,
) -> list[Task]:
    """Claim one trigger's next tasks, as many as it may have rows.

    Args:
        owner: who claims.
        limits: triggers that may run now, for the live version or to build a candidate's outputs, each with the rows
            that one claim may hold.
        choose: says which trigger's turn it is.
        one_at_a_time: triggers of which no row is held by two claims.
        lines: trigger -> what gives its rows their places, where rows of equal values go one at a time.
    """
    for lane in limits:
        if lane.trigger in lines:
            take_places(tx, lane.trigger, lines[lane.trigger])
    while heads := heads_of(tx, limits):
        head = choose(heads)
        limit = max(limits[head.lane] >> head.losses, 1)
        tasks = _claim_like(tx, owner, head, limit, lines.get(head.trigger))
        if head.trigger in one_at_a_time:
            tasks = _alone(tx, tasks)
        if tasks:
            return tasks
    return []


def claim_suspects(
    tx: Transaction,
    owner: str,
    head: Head,
    limits: Mapping[Lane, int],
    lines: Mapping[str, PlacesOf] = NO_LINES,
) -> list[Task]:
    """Claim half of the rows, at most, one of which has ended its process: so it soon stands alone."""
    limit = max(min(head.among // 2, limits[head.lane]), 1)
    return _claim_like(tx, owner, head, limit, lines.get(head.trigger))


def _claim_like(
    tx: Transaction, owner: str, head: Head, limit: int, places_of: PlacesOf | None
) -> list[Task]:
    """Claim a trigger's next tasks that are of a kind with the first, up to so many rows."""
    rows = tx.execute(
        f"SELECT {COLUMNS} FROM motion_tasks WHERE status = {TaskStatus.READY:d} AND trigger = ? AND version IS NOT DISTINCT FROM ? "
        "AND priority = ? AND attempts = ? AND losses = ? AND among = ? ORDER BY task LIMIT ?",
        (
            head.trigger, head.version, head.priority, head.attempts, head.losses, head.among,
            1000 if places_of is not None else min(limit, 1000),
        ),
    ).fetchall()  # fmt: skip
    tasks = [Task(*row) for row in rows]
    if places_of is not None:
        tasks = firsts(tx, tasks, limit, places_of)
    if not tasks:
        return []
    tasks = _beside(_within(tasks, limit))
    if tasks[0].size > limit:
        tasks = [split_off(tx, tasks[0], limit)]
    tx.executemany(
        f"UPDATE motion_tasks SET status = {TaskStatus.CLAIMED:d}, owner = ?, claim = claim + 1 WHERE task = ?",
        [(owner, task.task) for task in tasks],
    )
    return [replace(task, claim=task.claim + 1) for task in tasks]


def only_one(tx: Transaction) -> Task | None:
    """Return the task that is ready, where there is one and no other, of one row, and live work that nothing has happened to."""
    sql = f"SELECT {COLUMNS} FROM motion_tasks WHERE status = {TaskStatus.READY:d} LIMIT 2"
    found = [Task(*row) for row in tx.execute(sql)]
    if len(found) != 1:
        return None
    task = found[0]
    is_special = task.version is not None or task.losses or task.among or task.conflicts
    return None if is_special or task.size > 1 else task


def claim_one(tx: Transaction, owner: str, task: Task) -> Task:
    """Claim a task that is ready."""
    tx.execute(
        f"UPDATE motion_tasks SET status = {TaskStatus.CLAIMED:d}, owner = ?, claim = claim + 1 WHERE task = ?",
        (owner, task.task),
    )
    return replace(task, claim=task.claim + 1)


def is_held_by(tx: Transaction, owner: str, task: Task) -> bool:
    """Whether a task is held by somebody under the claim it has here: as one that was never kept, its number may be another's."""
    sql = f"SELECT 1 FROM motion_tasks WHERE task = ? AND claim = ? AND owner = ? AND status = {TaskStatus.CLAIMED:d}"
    return tx.execute(sql, (task.task, task.claim, owner)).fetchone() is not None


@dataclass(frozen=True, slots=True)
class Signs:
    """What is seldom so and must be looked at before a claim: whether any task is postponed, whether any has ended its process,
    and whether a run is under way that was called again so often that no other may begin beside it which writes freely."""

    are_postponed: bool
    are_suspects: bool
    is_alone: bool


def signs(tx: Transaction) -> Signs:
    """Look for all three at once: three look-ups in indexes that are mostly empty."""
    return Signs(*map(bool, tx.execute(SIGNS).fetchone()))


SIGNS = (
    f"SELECT EXISTS (SELECT 1 FROM motion_tasks WHERE status = {TaskStatus.POSTPONED:d}), "
    f"EXISTS (SELECT 1 FROM motion_tasks WHERE among > 0), "
    f"EXISTS (SELECT 1 FROM motion_tasks WHERE conflicts >= {ALONE_AFTER} AND status = {TaskStatus.CLAIMED:d})"
)


def triggers_with(tx: Transaction, status: TaskStatus) -> list[str]:
    """Return the triggers that have tasks in a status: one index look-up for each, however long their queues."""
    return [str(name) for (name,) in tx.execute(_triggers_text(status))]


@cache
def _triggers_text(status: TaskStatus) -> str:
    at = f"FROM motion_tasks WHERE status = {status:d}"
    return (
        f"WITH RECURSIVE found(name) AS (SELECT MIN(trigger) {at} UNION ALL "
        f"SELECT (SELECT MIN(trigger) {at} AND trigger > name) FROM found WHERE name IS NOT NULL) "
        "SELECT name FROM found WHERE name IS NOT NULL"
    )


FIRST: Sequence[Asked] = ((SIGNS, ()), (_triggers_text(TaskStatus.READY), ()))
"""What is asked before any claim."""


def ripen(tx: Transaction, triggers: Sequence[str]) -> None:
    """Let postponed tasks whose time has come be claimed. No pause is longer than `LONGEST_PAUSE_MS`: what seems to wait
    for longer was postponed before the clock was put back, and must not wait until it has caught up."""
    if not triggers:
        return
    now = clock.now_ms()
    postponed = (
        f"SELECT task FROM motion_tasks WHERE status = {TaskStatus.POSTPONED:d} "
        f"AND trigger IN ({places(triggers)}) AND not_before"
    )
    tx.execute(  # two look-ups by time: of what waits for longer, however many tasks, none is read
        f"UPDATE motion_tasks SET status = {TaskStatus.READY:d} WHERE task IN "
        f"({postponed} <= ? UNION ALL {postponed} > ?)",
        (*triggers, now, *triggers, now + LONGEST_PAUSE_MS),
    )


HEAD = "trigger, task, priority, version, attempts, losses, among"


def heads_of(tx: Transaction, lanes: Iterable[Lane]) -> list[Head]:
    """Return each trigger's next task, where it has one: the most urgent one, those that failed before behind fresh ones, as
    what made them fail may last; no suspect. One index look-up each, however long the queue: builds are below all else."""
    found: list[Head] = []
    for some in cut(list(lanes), LANES_AT_ONCE):
        text = _heads_text(tuple(lane.is_build for lane in some))
        rows = tx.execute(text, [lane.trigger for lane in some]).fetchall()
        heads = ((some[n], Head(*row)) for n, *row in rows)
        found += [head for lane, head in heads if head.lane == lane]
    return found


@lru_cache(maxsize=256)
def _heads_text(are_builds: Sequence[bool]) -> str:
    """Return a statement for the heads of so many lanes."""
    return " UNION ALL ".join(
        f"SELECT * FROM (SELECT {n}, {HEAD} FROM motion_tasks WHERE status = {TaskStatus.READY:d} AND trigger = ? AND among = 0 "
        f"{f'AND priority <= {BUILD_PRIORITY} ' if is_build else ''}ORDER BY priority DESC, attempts, task LIMIT 1) lane{n}"
        for n, is_build in enumerate(are_builds)
    )


def suspect_of(tx: Transaction, lanes: Iterable[Lane]) -> Head | None:
    """Return the next suspect of these triggers, those that were lost the least often first, and last beside the most
    others: most of them are innocent."""
    lanes = set(lanes)
    if not lanes:
        return None
    found = tx.execute(  # of whichever trigger, by the suspects' own index: by a trigger's, all of its queue would be read
        f"SELECT {HEAD} FROM motion_tasks WHERE among > 0 AND +status = {TaskStatus.READY:d} ORDER BY losses, among DESC, task"
    )
    return next((head for row in found if (head := Head(*row)).lane in lanes), None)


def _beside(tasks: list[Task]) -> list[Task]:
    """Return the first tasks that may be in one claim. A task that is to be alone is so among these too: calls that are
    made in processes, or with a time-out, do not see what those before them have written until it is committed."""
    if tasks[0].conflicts >= ALONE_AFTER:
        return tasks[:1]
    return list(takewhile(lambda task: task.conflicts < ALONE_AFTER, tasks))


def _within(tasks: Sequence[Task], limit: int) -> list[Task]:
    """Return the first tasks that together hold at most `limit` rows, at least one task, no row twice."""
    chosen: list[Task] = []
    singles: set[int] = set()
    spans: list[Task] = []
    size = 0
    for task in tasks:
        overlaps = any(task.low <= span.high and span.low <= task.high for span in spans)
        overlaps = overlaps or not singles.isdisjoint(range(task.low, task.high + 1))
        if chosen and (size + task.size > limit or overlaps):
            break
        chosen.append(task)
        size += task.size
        if task.size == 1:
            singles.add(task.low)
        else:
            spans.append(task)
    return chosen
