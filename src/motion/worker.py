"""The worker: claims tasks, runs them outside any transaction, and commits what they gave, whole or not at all.

    claim -> read -> derive (the user's code) -> commit: results, what they cause, and the tasks' completion

Owns the order of these steps. What runs next is `dispatch`'s, what a function's result means `derive`'s, and
what is written `commit`'s.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from motion import clock, recompute
from motion.backends.base import Transaction
from motion.capacity import Capacity
from motion.claims import Claim, Tasks
from motion.commit import Commit, fail
from motion.database import Database
from motion.dispatch import Dispatcher
from motion.errors import SchemaMismatch, StoreClosed, StoreUnavailable
from motion.faults import reach
from motion.fitting import ensure_live
from motion.guard import going_on
from motion.owners import Owner
from motion.persistence import queue, states
from motion.persistence.inputs import Chain, read_inputs
from motion.persistence.numbers import last_number
from motion.rates import Turns
from motion.runs import Runs
from motion.tasks import Task
from motion.tracebacks import text_of

logger = logging.getLogger(__name__)

IDLE_WAIT_S = 0.5


class Worker:
    """Runs the tasks of one store in this process, on several threads."""

    def __init__(
        self, database: Database, owner: Owner, runs: Runs, capacity: Capacity, threads: int
    ) -> None:
        self._database, self._owner = database, owner
        self._runs, self._dispatcher = runs, Dispatcher(database, owner, runs, capacity)
        self._owed: deque[Sequence[Task]] = deque()
        self._lead = threading.Lock()
        self._handing = threading.Lock()
        self._seen = -1
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
        is_called, who = False, f"the worker of store {self._database.name!r}"
        while not self._stop.is_set():
            # Nothing is lost by an error: a claim whose run raises is given back.
            with going_on(self._stop, who):
                while not self._stop.is_set() and self.step(is_called=is_called):
                    is_called = False
                with self._lead:
                    is_called = self._await_work()

    def _await_work(self) -> bool:
        """Wait for work, and return whether there is some, as somebody said. One thread at a time waits: new work wakes
        one thread, and who claims wakes the next."""
        self._settle()
        called = self._database.backend.called
        if not self._stop.is_set():
            called.wait(self._seen, min(IDLE_WAIT_S, self._dispatcher.idle_s()))
        is_called = called.count != self._seen
        if not is_called and self._database.costs.is_any_new:  # nothing to do for a while
            self._database.keep_costs()
        self._seen = called.count
        return is_called

    def step(self, *, is_called: bool = False) -> bool:
        """Claim and run one batch of work; return whether there was any."""
        tasks = self._dispatcher.next_tasks(is_called=is_called)
        if not tasks:
            return self._hand_over()
        started = clock.monotonic_s()
        try:
            self._run_isolated(Tasks(tasks))
        except BaseException:
            self._give_back(tasks)
            raise
        finally:
            self._dispatcher.note_end(tasks, clock.monotonic_s() - started)
        return True

    def _hand_over(self) -> bool:
        """Make tasks of the next part of a backfill; one thread at a time, as finding it reads many rows."""
        if not self._handing.acquire(blocking=False):
            return False
        try:
            return recompute.hand_over(self._database)
        finally:
            self._handing.release()

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
        self._database.write_plainly(lambda tx: queue.release(tx, tasks))

    def _run_isolated(self, tasks: Tasks) -> None:
        """Run tasks. Where what they gave cannot be committed, halve them until the failing rows stand alone."""
        try:
            self._run(tasks)
        except (StoreClosed, StoreUnavailable, SchemaMismatch):
            raise
        except BaseException as exc:  # also what users' `load` raises, of whatever class
            logger.warning(
                "what %d task(s) of %s gave cannot be committed",
                len(tasks),
                tasks[0].trigger,
                exc_info=exc,
            )
            reach("task.split")
            parts = self._halved(tasks)
            if not parts:
                self._fail_all(tasks, text_of(exc))
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
            halves = self._database.write(lambda tx: queue.split(tx, tasks[0]))
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
                lambda tx: queue.block(tx, blocked, self._database.graph.upstream(claim.spec)),
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
                claim,
                own,
                inputs,
                read_at,
                superseded,
                steps,
            )
            if claim.is_candidate:
                self._commit_built(commit)
            else:
                self._database.write(commit.apply)

    def _commit_built(self, commit: Commit) -> None:
        """Commit outputs of a candidate: the switch makes them durable, and who waits for that is told here. Nobody is
        called for the rest of them, as one claim at a time is built, and this thread makes the next."""
        started = clock.monotonic_s()
        self._database.write(commit.apply, is_durable=False, calls=False)
        self._dispatcher.note_built(clock.monotonic_s() - started)
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
        specs = [spec, *self._dispatcher.fused(spec)]
        chain = Chain(self._database.layouts[spec.table], tuple(specs), pins)
        triggers = [code[each.name] for each in specs]
        if spec.rate is not None:
            turns = self._dispatcher.turns_of(tasks[0]) or Turns(spec.rate, ())
            triggers[0] = replace(triggers[0], turns=turns)
        return Claim(tasks, triggers, chain, next(iter(pins.values()), 0), pins)

    def _live(self, tasks: Tasks, component: str) -> int | None:
        """Return the live version, made now if there is none. A `setup` that raises fails the tasks."""
        try:
            version = ensure_live(self._database, component)
        except (StoreClosed, StoreUnavailable, SchemaMismatch):
            raise
        except BaseException as exc:  # noqa: BLE001 - what comes out of the user's setup, of whatever class
            self._fail_all(tasks, text_of(exc))
            return None
        if version is None:
            self._database.write(lambda tx: self._leave_to_first_fit(tx, tasks, component))
        return version

    def _leave_to_first_fit(self, tx: Transaction, tasks: Tasks, component: str) -> None:
        """End tasks that have no state to run with: their rows stay due, and run when the first version goes live."""
        if states.live_version(tx, component) is not None:
            queue.release(tx, tasks)
        elif queue.still_claimed(tx, tasks):
            queue.complete(tx, tasks, self._database.graph.downstream(tasks[0].trigger))

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
            if queue.still_claimed(tx, tasks):
                for task in tasks:
                    fail(
                        tx,
                        self._database.graph.triggers[task.trigger],
                        task.task,
                        task.attempts,
                        error,
                        "",
                        f"rows {task.low} to {task.high}",
                    )
                queue.wake(tx, tasks, self._database.graph.downstream(tasks[0].trigger))

        self._database.write(work)
