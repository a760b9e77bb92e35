"""Testing: a store's tasks run when a test says so, one claim at a time, in the thread of the test.

    with motion.create_store("shop", schemas=..., triggers=..., run=False) as store, Stepper(store) as worker:
        store.set("garment", id=1, name="dress")
        worker.step()           # one claim: read, call the triggers' functions, commit
        worker.run_until_idle() # all that is left, and all that follows from it

What happens between two steps, or inside a function that a step calls, happens in that order each time: a test of a
race needs no threads and no waiting.
"""

from __future__ import annotations

from dataclasses import replace

from motion.background.event_loop import EventLoop
from motion.background.owners import Owner
from motion.engine.inline import InlineRuns
from motion.errors import MotionError
from motion.runtime import executors_of, worker_of
from motion.store.store import Store

LEAST_ROWS = 16
"""Rows in a step of a trigger that has not been measured, where there are so many."""

CLOSE_S = 1.0
"""How long closing waits for the event loop of asynchronous triggers to end."""


class Stepper:
    """A worker without threads. Open the store with `run=False`, or another worker takes the tasks too; triggers run
    inline all the same, as they do where the store has a worker of its own.

    Several steppers of one store act as several processes do: each holds its own claims. Not thread-safe.
    """

    def __init__(self, store: Store) -> None:
        database = store._database
        self._loop, self._owner = EventLoop(store.name), Owner(database.backend.folder)
        self._executors = executors_of(store.name)
        self._worker = worker_of(
            database, self._owner, self._loop, self._executors, least_rows=LEAST_ROWS
        )
        store._engine = replace(store._engine, inline=InlineRuns(database).added_to)

    def __enter__(self) -> Stepper:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def step(self) -> bool:
        """Claim one batch of work, run it and commit it; return whether there was any that is due now."""
        return self._worker.step()

    def run_until_idle(self, limit: int = 10_000) -> int:
        """Step until no work is due, and return how many steps that took.

        Raises:
            MotionError: there was still work after `limit` steps.
        """
        for steps in range(limit):
            if not self.step():
                return steps
        raise MotionError(
            f"there is still work after {limit} steps; look for triggers that fire each other through the store, "
            f"or give a larger limit."
        )

    def close(self) -> None:
        """Let go of what it holds; a run that was interrupted is taken over by others."""
        self._executors.close()
        self._loop.close(CLOSE_S)
        self._owner.close()
