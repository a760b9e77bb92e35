"""Dispatch: what a worker does next: which trigger's tasks, and how many of their rows.

A trigger may run whose code this process has, that is not held back by its pace, its concurrency or what it needs of
the machine; among those, the most urgent does, and among equals those take turns.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence

from motion import clock
from motion.backends.base import Transaction
from motion.builds import Builds
from motion.capacity import Capacity
from motion.database import Database
from motion.faults import reach
from motion.owners import Owner
from motion.pace import AT_ONCE, Pace
from motion.persistence import backfills, backlog, queue
from motion.persistence.discards import drop_expired
from motion.rates import Turns
from motion.runs import Runs
from motion.scheduler import Scheduler
from motion.shares import Shares
from motion.tasks import RANGE_LIMIT, Lane, Task
from motion.triggers import TriggerSpec

FIRST_CLAIM_ROWS = 16
"""Rows in one claim of a trigger that has not been measured: its results are committed together."""

CLAIM_S = 0.5
"""How long one claim is meant to run: what a crash undoes at most, and how soon bulk results show."""

FUSED_S = 1e-3
"""A call that has been measured to take longer waits for a task of its own: the results before it show at once."""


class Dispatcher:
    """Claims tasks for the threads of one worker. Thread-safe."""

    def __init__(self, database: Database, owner: Owner, runs: Runs, capacity: Capacity) -> None:
        self._database, self._owner = database, owner
        self._runs, self._capacity = runs, capacity
        self._scheduler, self._pace, self._shares = Scheduler(database), Pace(), Shares()
        self._turns: dict[int, Turns] = {}
        self._running: dict[Lane, int] = {}
        self._lock = threading.Lock()
        self._due_ms: int | None = None
        self._was_called_well = True
        self._builds = Builds()

    def idle_s(self) -> float:
        """Return how long to wait at most: until the next occurrence of a schedule, or the next postponed task that the
        last look for work saw; or until a build has rested."""
        idle_s, due = self._scheduler.idle_s(), self._due_ms
        if (rest_s := self._builds.rest_s()) > 0:
            idle_s = min(idle_s, rest_s)
        return idle_s if due is None else min(idle_s, max(due - clock.now_ms(), 1) / 1000)

    def next_tasks(self, *, is_called: bool = False) -> list[Task]:
        """Claim the tasks whose turn it is, none where none may run now. Each claim is to be told the end of.

        Args:
            is_called: there is work, as somebody has just said. It is looked for, before a lock is taken, only where
                nobody said so, or the last call was for work that may not run now.
        """
        self._scheduler.fire_due()
        with self._lock:
            runnable = self._runnable()
            lanes = {spec.name: self._free_lanes(spec) for spec in runnable}
            allowed = [(spec, self._claim_rows(spec)) for spec in runnable if lanes[spec.name]]
            if not (is_called and self._was_called_well) and not self._has_work(allowed, lanes):
                return []
            tasks, has_dropped, is_more = self._database.write(
                lambda tx: self._taken(tx, allowed, lanes), is_durable=False, calls=False
            )
            self._was_called_well = bool(tasks)
            reach("task.claimed")
            if has_dropped:  # those who wait for a change are not told of what is not durable
                self._database.backend.committed.give()
            if tasks:
                self._running[tasks[0].lane] = self._running.get(tasks[0].lane, 0) + 1
                if not tasks[0].lane.is_build:
                    self._builds.note_live()
                wanted = next(s.resources for s in runnable if s.name == tasks[0].trigger)
                self._capacity.take(tasks[0].task, wanted)
            if is_more:
                self._database.backend.called.give()
            return tasks

    def _has_work(
        self, allowed: Sequence[tuple[TriggerSpec, int]], lanes: Mapping[str, Sequence[Lane]]
    ) -> bool:
        """Whether anything may be claimed now; if not, when that changes is noted."""
        with self._database.backend.read() as tx:
            limited, held_ms = self._pace.limited(tx, allowed)
            due_ms = backlog.next_due_ms(tx, [spec.name for spec, _ in allowed])
            free = [lane for name, _ in limited for lane in lanes[name]]
            is_due = due_ms is not None and due_ms <= clock.now_ms()
            if is_due or backlog.any_ready(tx, free):
                return True
        self._note_due(min(filter(None, (due_ms, held_ms)), default=None))
        return False

    def note_end(self, tasks: Sequence[Task], seconds: float) -> None:
        """Take in that claimed tasks have ended, in whichever way, after a thread has spent so long on them."""
        self._shares.note(tasks[0].trigger, seconds)
        turns = self._turns.pop(tasks[0].task, None)
        with self._lock:
            self._running[tasks[0].lane] -= 1
            if tasks[0].lane.is_build:
                self._builds.note_end(tasks[0].trigger, sum(task.size for task in tasks), seconds)
            self._capacity.give(tasks[0].task)
        if turns is not None and (turns.beyond or turns.left):
            spec = self._database.graph.triggers[tasks[0].trigger]
            self._database.write(lambda tx: self._pace.settle(tx, spec, turns), is_durable=False)

    def note_built(self, seconds: float) -> None:
        """Take in how long the commit of a candidate's outputs has taken."""
        with self._lock:
            self._builds.note_commit(seconds)

    def turns_of(self, task: Task) -> Turns | None:
        """Return the turns that the calls of a claim wait for, by its first task; None where nothing limits their rate."""
        return self._turns.get(task.task)

    def fused(self, spec: TriggerSpec) -> list[TriggerSpec]:
        """Return the triggers that run in memory right behind one, as far as they have been measured to be quick."""
        chain = self._database.graph.fused_with(spec)
        costs = self._database.costs
        known = [
            self._database.has_code(each) and (costs.seconds_each(each.name) or 0) < FUSED_S
            for each in chain
        ]
        return list(chain[: known.index(False)] if False in known else chain)

    def _taken(
        self,
        tx: Transaction,
        allowed: Sequence[tuple[TriggerSpec, int]],
        lanes: Mapping[str, Sequence[Lane]],
    ) -> tuple[list[Task], bool, bool]:
        """Claim tasks, and the turns of their calls; return whether others were dropped as they had waited too long, and
        whether there is more that may run beside these."""
        graph = self._database.graph  # as it is now: another process may have replaced it since
        allowed = [each for each in allowed if graph.triggers.get(each[0].name) == each[0]]
        names = [spec.name for spec, _ in allowed]
        has_dropped = drop_expired(tx, graph, names, clock.now_ms())
        queue.ripen(tx, names)
        limited, _ = self._pace.limited(tx, allowed)
        limits = {
            lane: self._builds.rows(graph.triggers[name], rows) if lane.is_build else rows
            for name, rows in limited
            for lane in lanes[name]
        }
        tasks = queue.claim(tx, self._owner.name, limits, self._shares.choose)
        if tasks:
            turns = self._pace.take(tx, graph.triggers[tasks[0].trigger], tasks)
            if turns is not None:
                self._turns[tasks[0].task] = turns
            if tasks[0].lane.is_build:
                has_more = backfills.is_building(tx, [tasks[0].trigger])
                is_last = not has_more and not backlog.any_ready(tx, [tasks[0].lane])
                self._builds.note_claim(is_last=is_last)
        is_more = bool(tasks) and backlog.any_ready(tx, self._free_beside(tasks[0].lane, limits))
        return tasks, has_dropped, is_more

    def _free_beside(self, lane: Lane, lanes: Iterable[Lane]) -> list[Lane]:
        """Return those lanes in which something may run while one more claim runs in the given one."""
        running, most = self._running.get(lane, 0) + 1, self._most_at_once(lane)
        return [each for each in lanes if each != lane or running < most]

    def _most_at_once(self, lane: Lane) -> int:
        return 1 if lane.is_build else _parallel(self._database.graph.triggers[lane.trigger])

    def _note_due(self, due_ms: int | None) -> None:
        """Remember when the next postponed task is due; who waits for work by now must not sleep beyond it."""
        is_new, self._due_ms = due_ms not in (None, self._due_ms), due_ms
        if is_new:
            self._database.backend.called.give()

    def _claim_rows(self, spec: TriggerSpec) -> int:
        """Return how many rows one claim may hold, by what calls have been measured to take."""
        costs, room = self._database.costs, self._runs.room(spec)
        at_once = (spec.batch or 1) * (spec.concurrency if spec.is_async else 1)
        each = costs.seconds_each(spec.name)
        if each is None:
            return int(min(max(FIRST_CLAIM_ROWS, at_once), room))
        each += sum(costs.seconds_each(other.name) or 0 for other in self.fused(spec))
        return int(min(max(int(CLAIM_S / max(each, 1e-9)), at_once), RANGE_LIMIT, room))

    def _free_lanes(self, spec: TriggerSpec) -> list[Lane]:
        """Return in which ways a trigger may run now: what is built for a candidate takes no place from the live work."""
        if not (self._capacity.has_room(spec.resources) and self._runs.room(spec)):
            return []
        may_build = spec.is_versioned and not self._builds.rest_s()
        lanes = [Lane(spec.name, False), *([Lane(spec.name, True)] if may_build else [])]
        return [lane for lane in lanes if self._running.get(lane, 0) < self._most_at_once(lane)]

    def _runnable(self) -> list[TriggerSpec]:
        return [
            spec for spec in self._database.graph.triggers.values() if self._database.has_code(spec)
        ]


def _parallel(spec: TriggerSpec) -> int:
    """Return how many claims of a trigger may run at once: an async one is concurrent inside its one claim."""
    if spec.is_async:
        return 1 if spec.rate is None else min(AT_ONCE, spec.concurrency)
    return spec.concurrency
