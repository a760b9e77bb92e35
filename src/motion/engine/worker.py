"""The worker: claims tasks, runs them outside any transaction, and commits what they gave, whole or not at all.

    claim -> begin: read -> calls (the user's code) -> commit: results, what they cause, and the tasks' completion

Owns the order of these steps. What runs next is `dispatch`'s, which thread makes calls `crew`'s, what a function's result
means `derive`'s, and when it is committed `commits`'s.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial

from motion.background import memory
from motion.background.event_loop import EventLoop
from motion.background.loops import going_on, is_new
from motion.background.owners import Owner
from motion.definitions.tasks import Task
from motion.engine import handover
from motion.engine.begin import Beginner
from motion.engine.chain import Runs
from motion.engine.commits import Commits
from motion.engine.crew import Crew
from motion.engine.dispatch import Dispatcher
from motion.engine.under_way import Claimed, UnderWay
from motion.errors import StoreClosed, StoreUnavailable
from motion.persistence.database import Database
from motion.persistence.tasks import queue

logger = logging.getLogger(__name__)

IDLE_WAIT_S = 0.5


class Worker:
    """Runs the tasks of one store in this process, on as many threads as there are calls under way."""

    def __init__(
        self,
        database: Database,
        owner: Owner,
        runs: Runs,
        dispatcher: Dispatcher,
        loop: EventLoop,
    ) -> None:
        self._database, self._owner = database, owner
        self._dispatcher, self._event_loop = dispatcher, loop
        self._beginner = Beginner(database, runs, dispatcher)
        self._crew = Crew(self._serve)
        self._commits = Commits(database, runs, dispatcher, self._crew)
        self._owed: deque[Sequence[Task]] = deque()
        self._seen = -1
        self._is_called, self._may_be_more = False, True
        self._stop = threading.Event()

    def start(self) -> None:
        if self._database.backend.writes_in_turn:
            self._database.offers = self._dispatcher.offers
        self._commits.start()
        self._crew.start()

    def stop(self, timeout_s: float) -> bool:
        """Stop claiming, and return whether all calls have ended in time; those that have not may be waited for again,
        or are left to the next start. What the others gave is committed."""
        self._stop.set()
        for run in self._crew.runs:
            run.drop_waiting()
        self._database.backend.wake()
        has_ended = self._crew.end(timeout_s)
        self._commits.stop()
        return has_ended

    # -- on the crew's threads --

    def _serve(self) -> None:
        """What each thread of the crew does, until it is dismissed."""
        leads = False
        while True:
            run = None if leads else self._crew.take()
            leads = False
            if run is not None:
                self._busy(partial(self._call, run))
                continue
            claimed = self._lead()
            if claimed is not None and claimed.is_brief:
                leads = self._begin_leading(claimed)
            elif claimed is not None:
                self._busy(partial(self._begin, claimed))

    def _busy(self, work: Callable[[], None]) -> None:
        """Do what may last. Nothing is lost by an error: a claim that cannot be begun is given back, and so is the row of
        a call that cannot be made."""
        try:
            with self._guarded():
                work()
        finally:
            self._crew.come_back()

    def _begin_leading(self, claimed: Claimed) -> bool:
        """Begin a claim that is brief in the thread that leads; return whether that leads on, and not another meanwhile."""
        self._crew.keep_lead()
        self._commits.watch()
        with self._guarded():
            self._begin(claimed)
        return self._crew.leads_on()

    def _guarded(self) -> AbstractContextManager[None]:
        return going_on(self._stop, f"the worker of store {self._database.name!r}")

    def _lead(self) -> Claimed | None:
        """Look for work until there is some, and return it, for which another thread leads unless it is brief; None: the
        worker stops."""
        claimed: Claimed | None = None
        try:
            while claimed is None and not self._stop.is_set():
                with self._guarded():
                    if self._may_be_more:
                        claimed = self._look()
                    else:
                        self._is_called = self._await_work()
                        self._may_be_more = True
        finally:
            if claimed is None or not claimed.is_brief:
                self._crew.step_down(is_busy=claimed is not None)
        return claimed

    def _look(self) -> Claimed | None:
        """Claim what may run now. Whether there is more beside it is told by a call, so nobody looks twice."""
        memory.look()
        claimed = self._dispatcher.next_claim(is_called=self._is_called)
        self._is_called = False
        self._may_be_more = claimed is None and handover.hand_over(self._database)
        return claimed

    def _begin(self, claimed: Claimed) -> None:
        run = self._begun(claimed)
        if run is None:
            return
        callers = self._crew.add(run)
        self._commits.watch()
        if run.spec.is_async:
            self._event_loop.begin(self._call_async(run, callers))
        elif callers:
            self._call(run)

    def _begun(self, claimed: Claimed) -> UnderWay | None:
        run = None
        try:
            run = self._beginner.begin(claimed)
        except BaseException:
            self._give_back(claimed.tasks)
            raise
        finally:
            if run is None:
                self._dispatcher.end(claimed)
        return run

    def _call(self, run: UnderWay) -> None:
        """Make calls of a claim, and of others of the same trigger, until none is left to begin; then commit what the last
        ones gave. What others did is committed in the background meanwhile."""
        following: UnderWay | None = run
        while following is not None:
            run = following
            try:
                run.make(partial(self._end_call, run))
            finally:
                self._leave(run)
            following = self._crew.next_of(run)
        try:
            self._commits.commit(run)
        except StoreUnavailable as exc:
            message = "what calls of %s gave is committed when the store can be written: %s"
            logger.warning(message, run.spec.name, exc)

    async def _call_async(self, run: UnderWay, callers: int) -> None:
        """Do the same in so many coroutines at once; what they gave is committed in the background."""

        async def call() -> None:
            following: UnderWay | None = run
            while following is not None:
                now = following
                try:
                    await now.make_async(partial(self._end_call, now))
                finally:
                    self._leave(now)
                following = self._crew.next_of(now)
                if following is None:
                    self._commits.hurry(now)

        for found in await asyncio.gather(
            *(call() for _ in range(callers)), return_exceptions=True
        ):
            if isinstance(found, Exception) and not self._stop.is_set():
                logger.error("a call of %s could not be made", run.spec.name, exc_info=found)

    def _leave(self, run: UnderWay) -> None:
        self._crew.leave(run)
        if run.claimed.is_quick and not run.is_quick:
            self._dispatcher.end_call(run.claimed)

    def _end_call(self, run: UnderWay) -> None:
        is_alone = not run.spec.is_async or run.claimed.at_once < run.spec.concurrency
        if is_alone and not run.is_quick and run.asked.calls.has_left:
            self._commits.commit(run)  # so that the next call reads what this one has written
        if not run.claimed.is_quick:
            self._dispatcher.end_call(run.claimed)

    # -- looking for work --

    def _await_work(self) -> bool:
        """Wait for work, and return whether there is some, as somebody said. One thread at a time waits: new work wakes
        one thread, and who claims wakes the next."""
        self._settle()
        called = self._database.backend.called
        if not self._stop.is_set():
            self._dispatcher.offers.are_wanted = True
            called.wait(self._seen, min(IDLE_WAIT_S, self._dispatcher.idle_s()))
            self._dispatcher.offers.are_wanted = False
        is_called = called.count != self._seen
        if not is_called and self._database.costs.is_any_new:  # nothing to do for a while
            self._database.keep_costs()
        self._seen = called.count
        return is_called

    def step(self) -> bool:
        """Claim one batch of work, make its calls in this thread and commit what they give; return whether there was
        any."""
        claimed = self._dispatcher.next_claim()
        if claimed is None:
            return handover.hand_over(self._database)
        run = self._begun(claimed)
        if run is None:
            return True
        try:
            self._make_all(run)
            run.drop_waiting()  # nobody looks after it later: what waits for another call is claimed again
            self._commits.commit(run)
        except BaseException:
            self._give_back(run.claim.tasks)
            self._dispatcher.end(claimed)
            raise
        return True

    def _make_all(self, run: UnderWay) -> None:
        async def make() -> None:
            callers = min(run.claimed.at_once, run.waiting)
            await asyncio.gather(*(run.make_async(lambda: None) for _ in range(callers)))

        if run.spec.is_async:
            self._event_loop.run(make())
        else:
            run.make(lambda: None)

    def _give_back(self, tasks: Sequence[Task]) -> None:
        self._owed.append(tasks)
        try:
            self._settle()
        except StoreClosed:
            logger.debug(
                "the store closed during a run; its tasks are taken over at the next start"
            )
        except StoreUnavailable as exc:
            if is_new(f"giving back of store {self._database.name!r}", str(exc)):
                message = "%d task(s) are given back when the store can be written: %s"
                logger.warning(message, len(tasks), exc)

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
