"""The crew: the threads of one worker. One leads, that is looks for work; the others make calls. Made as needed.

A call may last for minutes, so no number of threads is enough: whoever begins one leaves somebody behind who leads.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from motion import clock
from motion.definitions.tasks import Lane
from motion.engine.under_way import UnderWay

IDLE_S = 10.0
"""A thread that has had nothing to do for so long ends, unless it is one of the last two."""


class Crew:
    """Threads and the claims under way whose calls they make. Thread-safe.

    Args:
        serve: what each thread runs: `take`, and what that gives, over and over.
    """

    def __init__(self, serve: Callable[[], None]) -> None:
        self._serve = serve
        self._changed = threading.Condition(threading.Lock())
        self._threads: set[threading.Thread] = set()
        self._free = 0
        self._is_led = self._is_ended = False
        self._busy_since_s: float | None = None  # who leads makes calls meanwhile
        self._runs: dict[UnderWay, None] = {}
        # Those of which nobody has begun all calls yet, as far as was seen.
        self._open: dict[UnderWay, None] = {}
        self._callers: Counter[Lane] = Counter()

    # -- claims under way --

    @property
    def runs(self) -> list[UnderWay]:
        """The claims under way."""
        with self._changed:
            return list(self._runs)

    def add(self, run: UnderWay) -> int:
        """Take in a claim under way, and return how many callers are to be begun for it: of one thread, which is the
        calling one, or of coroutines. Further threads come by themselves."""
        with self._changed:
            self._runs[run] = self._open[run] = None
            callers = self._room(run) if run.spec.is_async else min(self._room(run), 1)
            self._join(run, callers)
            self._invite(run)
            return callers

    def spread(self, run: UnderWay) -> int:
        """Let as many threads as it may have make calls of a claim whose calls are not quick; return how many more."""
        with self._changed:
            return self._invite(run)

    def _invite(self, run: UnderWay) -> int:
        wanted = 0 if run.spec.is_async else self._room(run)
        if wanted:
            self._changed.notify(wanted)
            self._make_free(wanted + 1)
        return wanted

    def remove(self, run: UnderWay) -> None:
        with self._changed:
            self._runs.pop(run, None)
            self._open.pop(run, None)

    def leave(self, run: UnderWay) -> None:
        """Take in that a caller has found no call of a claim left to begin."""
        with self._changed:
            self._join(run, -1)
            if self._is_ended:
                self._changed.notify_all()

    def next_of(self, run: UnderWay) -> UnderWay | None:
        """Return a claim of the same trigger that a caller goes on with; None: there is none that needs it."""
        lane = run.claimed.lane
        with self._changed:
            return self._joined(lambda other: other.claimed.lane == lane)

    def _joined(self, may_be: Callable[[UnderWay], bool]) -> UnderWay | None:
        """Join the first claim that needs a caller. One whose calls have all begun is not looked at again: thousands may be
        under way, and be waited for."""
        begun: list[UnderWay] = []
        found = None
        for run in self._open:
            if not run.waiting:
                begun.append(run)
            elif may_be(run) and self._room(run):
                found = run
                self._join(run, 1)
                break
        for run in begun:
            del self._open[run]
        return found

    def _join(self, run: UnderWay, callers: int) -> None:
        run.callers += callers
        self._callers[run.claimed.lane] += callers

    def _room(self, run: UnderWay) -> int:
        if run.is_quick and run.callers and not run.spec.is_async:
            return 0
        most = run.claimed.at_once - self._callers[run.claimed.lane]
        return max(min(run.waiting, most), 0)

    # -- threads --

    def start(self) -> None:
        with self._changed:
            self._make_free(1)

    def take(self) -> UnderWay | None:
        """Return a claim whose calls the thread is to make; None: that it leads, until it steps down.

        Raises:
            Dismissed: the thread is to end.
        """
        idle_since_s = clock.monotonic_s()
        with self._changed:
            while True:
                if self._is_ended or self._is_surplus(idle_since_s):
                    self._free -= 1
                    raise Dismissed
                run = self._joined(lambda run: not run.spec.is_async)
                if run is not None:
                    self._free -= 1
                    return run
                if not self._is_led:
                    self._is_led = True
                    return None
                self._changed.wait(IDLE_S)

    def step_down(self, *, is_busy: bool) -> None:
        """Let another thread lead.

        Args:
            is_busy: this one begins something that may last, and comes back later.
        """
        with self._changed:
            if is_busy:
                self._hand_on()
            else:
                self._is_led = False

    def come_back(self) -> None:
        """Take in that a thread has ended what it began."""
        with self._changed:
            self._free += 1

    def keep_lead(self) -> None:
        """Take in that the thread that leads begins something brief. Nobody leads meanwhile, so nobody is woken for it; who
        watches lets another one lead where it lasts."""
        with self._changed:
            self._busy_since_s = clock.monotonic_s()

    def relieve(self, after_s: float) -> bool:
        """Let another thread lead where the one that leads has been busy for so long; return whether it still is busy, and
        leads."""
        if self._busy_since_s is None:
            return False
        with self._changed:
            since_s = self._busy_since_s
            if since_s is None or clock.monotonic_s() - since_s < after_s:
                return since_s is not None
            self._busy_since_s = None
            self._hand_on()
            return False

    def leads_on(self) -> bool:
        """Return whether the thread that kept the lead has it still, and go on with it then; if not, it comes back."""
        with self._changed:
            has_lead = self._busy_since_s is not None
            self._busy_since_s = None
            self._free += not has_lead
            return has_lead

    def end(self, timeout_s: float) -> bool:
        """Dismiss all threads, and return whether they have ended in time."""
        with self._changed:
            self._is_ended = True
            self._changed.notify_all()
            threads = list(self._threads)
        deadline = clock.monotonic_s() + timeout_s
        for thread in threads:
            thread.join(max(deadline - clock.monotonic_s(), 0))
        with self._changed:  # coroutines
            self._changed.wait_for(
                lambda: not any(self._callers.values()), max(deadline - clock.monotonic_s(), 0)
            )
            return not any(self._callers.values()) and not any(
                thread.is_alive() for thread in threads
            )

    def _hand_on(self) -> None:
        self._is_led = False
        self._free -= 1
        self._make_free(1)
        self._changed.notify()

    def _is_surplus(self, idle_since_s: float) -> bool:
        return self._free > 2 and clock.monotonic_s() - idle_since_s >= IDLE_S

    def _make_free(self, wanted: int) -> None:
        for _ in range(wanted - self._free):
            if self._is_ended:
                return
            thread = threading.Thread(target=self._run, name="motion-worker", daemon=True)
            self._threads.add(thread)
            self._free += 1
            thread.start()

    def _run(self) -> None:
        try:
            self._serve()
        except Dismissed:
            pass
        finally:
            with self._changed:
                self._threads.discard(threading.current_thread())


class Dismissed(Exception):
    """A thread of the crew is to end."""
