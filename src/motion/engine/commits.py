"""Commits: what calls gave is committed while others of the same claim are still being made, in the background where who
made them goes on.

What is in a commit is `commit`'s.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from motion import clock
from motion.backends.base import Transaction
from motion.background.loops import PAUSE_S, going_on
from motion.background.tracebacks import text_of
from motion.engine.chain import Runs, texts_of
from motion.engine.crew import Crew
from motion.engine.dispatch import Dispatcher
from motion.engine.noting import note_commit
from motion.engine.under_way import UnderWay
from motion.errors import SchemaMismatch, StoreClosed, StoreUnavailable
from motion.faults import reach
from motion.persistence.changes.claims import Step
from motion.persistence.database import Database

logger = logging.getLogger(__name__)

GATHER_S = 0.02
"""What calls give is gathered for so long, and committed together."""

LINGER_S = 1.0
"""Who commits in the background looks on for so long after the last claim, so that the next needs not wake it."""


class Commits:
    """Commits the parts of one worker's claims under way. Thread-safe."""

    def __init__(self, database: Database, runs: Runs, dispatcher: Dispatcher, crew: Crew) -> None:
        self._database, self._runs = database, runs
        self._dispatcher, self._crew = dispatcher, crew
        self._is_wanted = threading.Event()
        self._is_hurried, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._loop, name="motion-commits", daemon=True)

    # -- in the background --

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End, after what has been made is committed and what will not be made is given back. May be called again."""
        self._stop.set()
        self._is_wanted.set()
        self._is_hurried.set()
        if self._thread.is_alive():
            self._thread.join()
        try:
            for run in self._crew.runs:
                self.commit(run)
        except (StoreClosed, StoreUnavailable) as exc:
            logger.warning("what some calls gave could not be committed at the end: %s", exc)

    def watch(self) -> None:
        """Take in that there is a claim under way."""
        if not self._is_wanted.is_set():
            self._is_wanted.set()

    def hurry(self, run: UnderWay) -> None:
        """Commit what a claim's calls gave at once."""
        run.is_urgent = True
        self._is_hurried.set()

    def _loop(self) -> None:
        seen_s = 0.0
        while not self._stop.is_set():
            now_s = clock.monotonic_s()
            if self._has_work():
                seen_s = now_s
            elif now_s - seen_s >= LINGER_S:
                self._is_wanted.clear()
                if not self._has_work() and not self._stop.is_set():  # who stops says so first
                    self._is_wanted.wait()
                    seen_s = clock.monotonic_s()
            self._is_hurried.wait(GATHER_S)
            self._is_hurried.clear()
            for run in self._crew.runs:
                with going_on(self._stop, f"what commits for store {self._database.name!r}"):
                    try:
                        self._look_at(run)
                    except StoreUnavailable:  # as who claims says, too
                        self._stop.wait(PAUSE_S)

    def _has_work(self) -> bool:
        """Whether there are claims to look at, or somebody to relieve; who has been busy for long is relieved."""
        return self._crew.relieve(GATHER_S) or bool(self._crew.runs)

    def _look_at(self, run: UnderWay) -> None:
        is_old = clock.monotonic_s() - run.since_s >= GATHER_S
        if is_old and run.is_quick and run.waiting and not run.spec.is_async:
            run.be_slow()
            self._dispatcher.more_calls(run.claimed, self._crew.spread(run))
        if (is_old or run.is_urgent) and (run.has_made or run.has_returned):
            if (
                run.committing.locked()
            ):  # perhaps for long: what follows in memory is the user's code, too
                return
            run.is_urgent = False
            self.commit(run)

    # -- by whoever comes --

    def commit(self, run: UnderWay) -> None:
        """Commit what calls of a claim gave, if they have given anything."""
        with run.committing:
            try:
                if run.has_returned:
                    run.give_back()
                if run.has_made and not run.is_over:
                    self._commit_made(run)
            except (
                SchemaMismatch
            ):  # this process is too old to write rows, and must not keep what it holds
                run.give_all_back()
                raise
            finally:
                is_end = run.is_over and not run.is_ended
                run.is_ended |= is_end
                if is_end:
                    self._crew.remove(run)
                    self._dispatcher.end(run.claimed)

    def _commit_made(self, run: UnderWay) -> None:
        taken = run.take()
        reach("task.called")
        try:
            self._commit(run, self._steps(run, run.step(taken)))
            run.asked.calls.settle(taken.made)
        except (StoreClosed, StoreUnavailable):
            run.put_back(taken)
            raise

    def _steps(self, run: UnderWay, step: Step) -> list[Step]:
        """Run what follows in memory, where the calls were quick and this is the outcome of all rows."""
        fused = len(run.claimed.fused)
        if not (fused and run.is_quick and run.is_whole(step)):
            return [step]
        return self._runs.followed(run.claim, run.asked, step, 1 + fused)

    def _commit(self, run: UnderWay, steps: Sequence[Step]) -> None:
        """Commit what calls gave. Where that cannot be, halve it until the failing rows stand alone."""
        try:
            self._write(run, steps)
        except (StoreClosed, StoreUnavailable, SchemaMismatch):
            raise
        except BaseException as exc:  # also what users' values raise, of whatever class
            name, first = run.spec.name, steps[0]
            logger.warning("what trigger %s gave cannot be committed", name, exc_info=exc)
            reach("task.split")
            groups = first.groups
            if len(groups) < 2:
                text = text_of(exc)
                self._write(run, [first.failed(text)])
                return
            middle = len(groups) // 2
            for half in (groups[:middle], groups[middle:]):
                self._commit(run, [first.part([i for group in half for i in group])])

    def _write(self, run: UnderWay, steps: Sequence[Step]) -> None:
        if run.spec.grows_text:
            self._database.growing.end(texts_of(run.spec, steps[0].inputs))
        commit, made_s = run.commit_of(steps), clock.monotonic_s()
        if not commit.tasks:
            return  # what came before has found that nothing of these rows is held any more

        def work(tx: Transaction) -> None:
            commit.apply(tx)
            note_commit(self._database, commit, run.spans, (run.began_s, made_s))

        if commit.claim.is_candidate:
            self._write_built(work)
        else:
            is_patient = commit.claim.tasks[0].is_background
            self._database.write(work, is_patient=is_patient, first=commit.asked_first)
        run.note(commit)
        if commit.lost:
            self._dispatcher.slow_down(run.spec)

    def _write_built(self, work: Callable[[Transaction], None]) -> None:
        """Commit outputs of a candidate: the switch makes them durable, and who waits for that is told here. Nobody is
        called for the rest of them, as one claim at a time is built."""
        started = clock.monotonic_s()
        self._database.write(work, is_durable=False, calls=False)
        self._dispatcher.note_built(clock.monotonic_s() - started)
        self._database.backend.committed.give()
