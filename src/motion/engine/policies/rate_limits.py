"""Pace: what holds ready work back, `rate=` and `batch_wait=`. Neither a thread nor a claimed row waits for them.

Work that may not begin yet is not claimed. Only async functions are claimed somewhat ahead: their calls wait for their
turns in the event loop, where waiting costs nothing.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence

from motion import clock
from motion.backends.base import Transaction
from motion.definitions.tasks import Task
from motion.definitions.triggers.rates import Turns
from motion.definitions.triggers.specs import TriggerSpec
from motion.persistence.tasks import backlog, turns


class Pace:
    """Tells which triggers may be claimed now, and how many of their rows. Thread-safe.

    Since when a batch has been filling is known in this process only: after a restart it waits anew.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._filling: dict[str, tuple[int, float]] = {}

    def limited(
        self, tx: Transaction, allowed: Sequence[tuple[TriggerSpec, int]]
    ) -> tuple[list[tuple[str, int]], int | None]:
        """Return the triggers that may be claimed now, with the rows that one claim may hold; and when one that is held
        back may be looked at again, in milliseconds since the epoch."""
        found, due = [], []
        for spec, rows in allowed:
            left, due_ms = rows, 0
            if spec.rate is not None:
                left, due_ms = self._by_rate(tx, spec, rows)
            if left and spec.batch_wait_s:
                left, due_ms = self._by_filling(tx, spec, left)
            found += [(spec.name, left)] if left else []
            due += [due_ms] if due_ms else []
        return found, min(due, default=None)

    def take(self, tx: Transaction, spec: TriggerSpec, tasks: Sequence[Task]) -> Turns | None:
        """Take the turns of the calls that a claim makes."""
        with self._lock:
            self._filling.pop(spec.name, None)
        if spec.rate is None:
            return None
        calls = -(-sum(task.size for task in tasks) // (spec.batch or 1))
        return Turns(spec.rate, turns.take(tx, spec, spec.rate, calls, clock.now_ms()))

    def settle(
        self, tx: Transaction, spec: TriggerSpec, beyond: int, left: Sequence[float]
    ) -> None:
        """Take the turns of calls that a claim made beyond its own, or give those back that it did not need."""
        if spec.rate is not None and beyond:
            turns.take(tx, spec, spec.rate, beyond, clock.now_ms())
        elif spec.rate is not None and left:
            turns.give_back(tx, spec.name, spec.rate, left)

    def _by_rate(self, tx: Transaction, spec: TriggerSpec, rows: int) -> tuple[int, int]:
        """Return how many rows' turn it is, or 0 and when it is the next one's."""
        assert spec.rate is not None
        now = clock.now_ms()
        following = turns.next_turn_ms(tx, spec, spec.rate, now)
        first = spec.rate.first_ms(now, following)
        if first > now:
            return 0, math.ceil(first)
        until = now + turns.AHEAD_MS if spec.is_async else now
        calls = spec.rate.turns_until(until, now, following)
        return min(calls * (spec.batch or 1), rows), 0

    def _by_filling(self, tx: Transaction, spec: TriggerSpec, rows: int) -> tuple[int, int]:
        """Return how many rows may be claimed, whole batches or what is there after a batch had its time to fill; or 0
        and when that is over."""
        batch, now = spec.batch or 1, clock.now_ms()
        ready = backlog.ready_rows(tx, spec.name, rows)
        with self._lock:
            if not ready:
                self._filling.pop(spec.name, None)
                return 0, 0
            since_ms, since_s = self._filling.setdefault(spec.name, (now, clock.monotonic_s()))
        wait_s = spec.batch_wait_s or 0
        over = since_ms + round(1000 * wait_s)
        is_over = (
            over <= now or clock.monotonic_s() - since_s >= wait_s
        )  # the clock may be put back
        if is_over or ready >= rows:
            return rows, 0
        whole = ready // batch * batch
        return whole, 0 if whole else over
