"""The worker: claims tasks, runs them outside any transaction, and commits what they gave, whole or not at all.

    claim -> read -> derive (the user's code) -> commit: results, what they cause, and the tasks' completion

Owns the order of these steps. What runs next is `persistence.queue`'s, what a function's result means `derive`'s, and
what is written `commit`'s.
"""

from __future__ import annotations

import logging
import threading
import traceback
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace

from motion import clock, recompute
from motion.backends.base import Transaction
from motion.capacity import Capacity
from motion.claims import Claim, Tasks
from motion.commit import Commit, fail
from motion.database import Database
from motion.errors import StoreClosed, StoreUnavailable
from motion.faults import reach
from motion.fitting import ensure_live
from motion.owners import Owner
from motion.pace import AT_ONCE, Pace
from motion.persistence import queue, states
from motion.persistence.catalog import last_number
from motion.persistence.discards import drop_expired
from motion.persistence.inputs import Chain, read_inputs
from motion.rates import Turns
from motion.runs import Runs
from motion.scheduler import Scheduler
from motion.shares import Shares
from motion.tasks import RANGE_LIMIT, Lane, Task
from motion.triggers import TriggerSpec

logger = logging.getLogger(__name__)

FIRST_CLAIM_ROWS = 16
"""Rows in one claim of a trigger that has not been measured: its results are committed together."""

CLAIM_S = 0.5
"""How long one claim is meant to run: what a crash undoes at most, and how soon bulk results show."""

BUILD_S, BUILD_ROWS = 0.02, 512
"""How long one claim of a candidate's outputs is meant to run, and its rows at most."""

FUSED_S = 1e-3
"""A call that has been measured to take longer waits for a task of its own: the results before it show at once."""

IDLE_WAIT_S = 0.5
LEASE_CHECK_S = 1.0


class Worker:
    """Runs the tasks of one store in this process, on several threads."""

    def __init__(
        self, database: Database, owner: Owner, runs: Runs, capacity: Capacity, threads: int
    ) -> None:
        self._database, self._owner = database, owner
        self._runs, self._capacity = runs, capacity
        self._scheduler, self._pace, self._shares = Scheduler(database), Pace(), Shares()
        self._turns: dict[int, Turns] = {}
        self._running: dict[Lane, int] = {}
        self._running_lock = threading.Lock()
        self._checked_s = -LEASE_CHECK_S
        self._owed: deque[Sequence[Task]] = deque()
        self._lead = threading.Lock()
        self._seen = -1
        self._due_ms: int | None = None
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._loop, name=f"motion-worker-{i}", daemon=True)
            for i in range(threads)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Stop claiming, and return whether all runs have ended in time; those that have not may be waited for again,
        or are left to the next start."""
        self._stop.set()
        self._database.backend.wake()
        deadline = clock.monotonic_s() + timeout_s
        for thread in self._threads:
            thread.join(max(deadline - clock.monotonic_s(), 0))
        return not any(thread.is_alive() for thread in self._threads)

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                while not self._stop.is_set() and self.step():
                    pass
                with self._lead:
                    self._await_work()
            except StoreClosed:
                return
            except Exception:
                if self._stop.is_set():
                    return
                # Nothing is lost, as the claim was given back; but say it, and do not spin.
                logger.exception(
                    "the worker of store %r met an error and goes on", self._database.name
                )
                self._stop.wait(IDLE_WAIT_S)

    def _await_work(self) -> None:
        """Wait for work. One thread at a time does: new work wakes one thread, and who claims wakes the next."""
        self._settle()
        if clock.monotonic_s() - self._checked_s > LEASE_CHECK_S:
            self._checked_s = clock.monotonic_s()
            self._take_over()
        if not self._stop.is_set():
            called = self._database.backend.called
            called.wait(self._seen, self._idle_s())
            if called.count == self._seen:  # nothing to do for a while
                self._database.keep_costs()
        self._seen = self._database.backend.called.count

    def _idle_s(self) -> float:
        """Return how long to wait at most: until the next occurrence of a schedule, or the next postponed task that the
        last look for work saw."""
        idle_s, due = min(IDLE_WAIT_S, self._scheduler.idle_s()), self._due_ms
        return idle_s if due is None else min(idle_s, max(due - clock.now_ms(), 1) / 1000)

    def _take_over(self) -> None:
        """Give the tasks of processes that have ended back to the queue."""
        with self._database.backend.read() as tx:
            gone = [owner for owner in queue.owners(tx) if self._owner.is_gone(owner)]
        if gone:
            self._database.write(lambda tx: queue.take_over(tx, gone))
            reach("task.taken")

    # -- claiming --

    def step(self) -> bool:
        """Claim and run one batch of work; return whether there was any."""
        self._scheduler.fire_due()
        tasks = self._claim()
        if not tasks:
            return recompute.hand_over(self._database)
        started = clock.monotonic_s()
        try:
            self._run_isolated(Tasks(tasks))
        except BaseException:
            self._give_back(tasks)
            raise
        finally:
            self._shares.note(tasks[0].trigger, clock.monotonic_s() - started)
            turns = self._turns.pop(tasks[0].task, None)
            with self._running_lock:
                self._running[tasks[0].lane] -= 1
                self._capacity.give(tasks[0].task)
        if turns is not None and (turns.beyond or turns.left):
            spec = self._database.graph.triggers[tasks[0].trigger]
            self._database.write(lambda tx: self._pace.settle(tx, spec, turns), is_durable=False)
        return True

    def _claim(self) -> list[Task]:
        with self._running_lock:
            lanes = {spec.name: self._free_lanes(spec) for spec in self._runnable()}
            allowed = [
                (spec, self._claim_rows(spec)) for spec in self._runnable() if lanes[spec.name]
            ]
            with self._database.backend.read() as tx:
                limited, held_ms = self._pace.limited(tx, allowed)
                due_ms = queue.next_due_ms(tx, [spec.name for spec, _ in allowed])
                is_due = due_ms is not None and due_ms <= clock.now_ms()
                free = [lane for name, _ in limited for lane in lanes[name]]
                if not is_due and not queue.any_ready(tx, free):
                    self._note_due(min(filter(None, (due_ms, held_ms)), default=None))
                    return []
            tasks, has_dropped = self._database.write(
                lambda tx: self._taken(tx, allowed, lanes), is_durable=False
            )
            reach("task.claimed")
            if has_dropped:  # those who wait for a change are not told of what is not durable
                self._database.backend.committed.give()
            if tasks:
                self._running[tasks[0].lane] = self._running.get(tasks[0].lane, 0) + 1
                wanted = next(
                    spec.resources for spec, _ in allowed if spec.name == tasks[0].trigger
                )
                self._capacity.take(tasks[0].task, wanted)
            return tasks

    def _taken(
        self,
        tx: Transaction,
        allowed: Sequence[tuple[TriggerSpec, int]],
        lanes: Mapping[str, Sequence[Lane]],
    ) -> tuple[list[Task], bool]:
        """Claim tasks, and the turns of their calls; return whether others were dropped as they had waited too long."""
        names = [spec.name for spec, _ in allowed]
        has_dropped = drop_expired(tx, self._database.graph, names, clock.now_ms())
        queue.ripen(tx, names)
        limited, _ = self._pace.limited(tx, allowed)
        limits = {
            lane: self._build_rows(name, rows) if lane.is_build else rows
            for name, rows in limited
            for lane in lanes[name]
        }
        tasks = queue.claim(tx, self._owner.name, limits, self._shares.choose)
        if tasks:
            turns = self._pace.take(tx, self._database.graph.triggers[tasks[0].trigger], tasks)
            if turns is not None:
                self._turns[tasks[0].task] = turns
        return tasks, has_dropped

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
        each += sum(costs.seconds_each(other.name) or 0 for other in self._fused(spec))
        return int(min(max(int(CLAIM_S / max(each, 1e-9)), at_once), RANGE_LIMIT, room))

    def _free_lanes(self, spec: TriggerSpec) -> list[Lane]:
        """Return in which ways a trigger may run now: what is built for a candidate takes no place from the live work."""
        if not (self._capacity.has_room(spec.resources) and self._runs.room(spec)):
            return []
        live, build = Lane(spec.name, False), Lane(spec.name, True)
        free = [live] if self._running.get(live, 0) < _parallel(spec) else []
        return [*free, build] if spec.is_versioned and not self._running.get(build, 0) else free

    def _build_rows(self, trigger: str, rows: int) -> int:
        """Return how many rows of a candidate's outputs one claim may hold: live writes wait for its commit."""
        spec = self._database.graph.triggers[trigger]
        each = self._database.costs.seconds_each(trigger) or BUILD_S
        in_time = min(int(BUILD_S / max(each, 1e-9)), BUILD_ROWS)
        return min(rows, max(in_time, spec.batch or 1))

    def _runnable(self) -> list[TriggerSpec]:
        return [
            spec for spec in self._database.graph.triggers.values() if self._database.has_code(spec)
        ]

    def _give_back(self, tasks: Sequence[Task]) -> None:
        self._owed.append(tasks)
        try:
            self._settle()
        except StoreClosed:
            logger.debug(
                "the store closed during a run; its tasks are taken over at the next start"
            )
        except StoreUnavailable as exc:
            logger.warning(
                "%d task(s) are given back when the store can be written: %s", len(tasks), exc
            )

    def _settle(self) -> None:
        """Give back what is owed: nobody takes over the tasks of a process that lives, so none may be forgotten."""
        for _ in range(len(self._owed)):
            try:
                tasks = self._owed.popleft()
            except IndexError:
                return  # another thread has just done it
            try:
                self._release(tasks)
            except BaseException:
                self._owed.append(tasks)
                raise

    def _release(self, tasks: Sequence[Task]) -> None:
        self._database.write(
            lambda tx: queue.release(tx, self._owner.name, tasks), is_durable=False
        )

    def _run_isolated(self, tasks: Tasks) -> None:
        """Run tasks. Where what they gave cannot be committed, halve them until the failing rows stand alone."""
        try:
            self._run(tasks)
        except (StoreClosed, StoreUnavailable):
            raise
        except Exception as exc:
            logger.warning(
                "what %d task(s) of %s gave cannot be committed",
                len(tasks),
                tasks[0].trigger,
                exc_info=exc,
            )
            reach("task.split")
            parts = self._halved(tasks)
            if not parts:
                self._fail_all(tasks, "".join(traceback.format_exception(exc)))
            try:
                for part in parts:
                    self._run_isolated(part)
            except BaseException:
                for part in parts:
                    self._give_back(part)
                raise

    def _halved(self, tasks: Tasks) -> list[Tasks]:
        if len(tasks) > 1:
            middle = len(tasks) // 2
            return [Tasks(tasks[:middle]), Tasks(tasks[middle:])]
        if tasks[0].size > 1:
            halves = self._database.write(lambda tx: queue.split(tx, self._owner.name, tasks[0]))
            return [Tasks([half]) for half in halves]
        return []

    def _run(self, tasks: Tasks) -> None:
        claim = self._prepared(tasks)
        if claim is None:
            return
        with self._database.backend.read() as tx:
            blocked, excluded = self._upstream(tx, claim)
            own = tasks.without(blocked)
            read_at = last_number(tx)
            inputs = read_inputs(tx, claim.chain, own)
        reach("task.read")
        if blocked:
            reach("task.blocked")
            self._database.write(
                lambda tx: queue.block(
                    tx, self._owner.name, blocked, self._database.graph.upstream(claim.spec)
                ),
                is_durable=False,
            )
        superseded = own.superseded(inputs)
        left = excluded | superseded.keys()
        if left:
            inputs = inputs.chosen([i for i, row in enumerate(inputs.rows) if row not in left])
        if own:
            steps = self._runs.steps(claim, inputs)
            reach("task.called")
            commit = Commit(
                self._database,
                self._owner.name,
                claim,
                own,
                inputs,
                read_at,
                superseded,
                steps,
            )
            self._database.write(commit.apply, is_durable=not claim.is_candidate)
            if claim.is_candidate:  # the switch makes it durable; who waits for that is told here
                self._database.backend.committed.give()

    def _prepared(self, tasks: Tasks) -> Claim | None:
        """Find the code, the state version and the chain of a claim; None where it cannot run now."""
        code = self._database.code.triggers
        spec = code[tasks[0].trigger].spec
        pins: dict[str, int] = {}
        for component in spec.components:
            built = tasks[0].version if component == spec.component else None
            version = built or self._live(tasks, component)
            if version is None:
                return None
            pins[component] = version
        specs = [spec, *self._fused(spec)]
        chain = Chain(self._database.layouts[spec.table], tuple(specs), pins)
        triggers = [code[each.name] for each in specs]
        if spec.rate is not None:
            turns = self._turns.get(tasks[0].task) or Turns(spec.rate, ())
            triggers[0] = replace(triggers[0], turns=turns)
        return Claim(tasks, triggers, chain, next(iter(pins.values()), 0), pins)

    def _live(self, tasks: Tasks, component: str) -> int | None:
        """Return the live version, made now if there is none. A `setup` that raises fails the tasks."""
        try:
            version = ensure_live(self._database, component)
        except Exception as exc:  # noqa: BLE001 - user code: anything may come out of setup
            self._fail_all(tasks, "".join(traceback.format_exception(exc)))
            return None
        if version is None:
            self._database.write(lambda tx: self._leave_to_first_fit(tx, tasks, component))
        return version

    def _leave_to_first_fit(self, tx: Transaction, tasks: Tasks, component: str) -> None:
        """End tasks that have no state to run with: their rows stay due, and run when the first version goes live."""
        if states.live_version(tx, component) is not None:
            queue.release(tx, self._owner.name, tasks)
        elif queue.still_claimed(tx, self._owner.name, tasks):
            queue.complete(tx, tasks, self._database.graph.downstream(tasks[0].trigger))

    def _fused(self, spec: TriggerSpec) -> list[TriggerSpec]:
        chain = self._database.graph.fused_with(spec)
        costs = self._database.costs
        known = [
            self._database.has_code(each) and (costs.seconds_each(each.name) or 0) < FUSED_S
            for each in chain
        ]
        return list(chain[: known.index(False)] if False in known else chain)

    def _upstream(self, tx: Transaction, claim: Claim) -> tuple[list[Task], set[int]]:
        """Return the tasks that must wait for triggers upstream, and the rows on which one of those gave up."""
        names = self._database.graph.upstream(claim.spec)
        if not names or not queue.has_any(tx, names):
            return [], set()
        blocked = [
            task
            for task in claim.tasks
            if queue.has_work_on(tx, names, task.low, task.high, task.version)
        ]
        dead = [queue.dead_rows(tx, names, task.low, task.high) for task in claim.tasks]
        return blocked, set().union(*dead)

    def _fail_all(self, tasks: Tasks, error: str) -> None:
        def work(tx: Transaction) -> None:
            if queue.still_claimed(tx, self._owner.name, tasks):
                for task in tasks:
                    fail(
                        tx,
                        self._database.graph.triggers[task.trigger],
                        task.task,
                        task.attempts,
                        error,
                        "",
                    )
                queue.wake(tx, tasks, self._database.graph.downstream(tasks[0].trigger))

        self._database.write(work)


def _parallel(spec: TriggerSpec) -> int:
    """Return how many claims of a trigger may run at once: an async one is concurrent inside its one claim."""
    if spec.is_async:
        return 1 if spec.rate is None else min(AT_ONCE, spec.concurrency)
    return spec.concurrency
