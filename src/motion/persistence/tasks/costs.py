"""Costs: what calls of triggers have been measured to take, and so which may run before the write they follow from."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from motion import clock
from motion.background.locks import let_go

CodeName = tuple[str, str | None, int | None]
"""A trigger's name, the fingerprint of its code, and the state version it ran with; None: whichever."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What calls have taken together."""

    calls: int = 0
    seconds: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.calls + other.calls, self.seconds + other.seconds)

    @property
    def mean(self) -> float | None:
        """Seconds for one call, None where there was none."""
        return self.seconds / self.calls if self.calls else None


RATE_S = 10.0
"""A rate is that of the calls in the last 10 to 20 seconds."""

CHEAP_S = 100e-6
"""A call below this is cheaper than the commit that a task of its own would cost."""

DEAR_S = 20e-3
"""One call above this decides at once: more than a busy machine's scheduler takes a thread away for."""

REPEATS = 3


class Costs:
    """The measured cost of each trigger's calls in this process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._streaks: dict[str, int] = {}
        self._cheap: set[str] = set()
        self._each: dict[str, float] = {}
        self._unkept: dict[CodeName, list[float]] = {}
        self._is_any_new = False
        self._recent: dict[str, _Recent] = {}

    def note(self, code: CodeName, seconds: float, calls: int) -> None:
        """Take in that some calls took so long together. It takes several calls to change a verdict."""
        trigger, each = code[0], seconds / max(calls, 1)
        with self._lock:
            # One quick call, such as one that found its answer in a cache, says little of the next thousand.
            self._each[trigger] = max(each, self._each.get(trigger, 0.0) / 8)
            sums = self._unkept.setdefault(code, [0, 0.0])
            sums[0] += calls
            sums[1] += seconds
            self._is_any_new = True
            recent = self._recent.get(trigger)
            if recent is None:
                recent = self._recent[trigger] = _Recent()
            recent.add(calls)
            streak = self._streaks.get(trigger, 0)
            streak = max(streak, 0) + calls if each < CHEAP_S else min(streak, 0) - calls
            self._streaks[trigger] = streak
            if streak >= REPEATS:
                self._cheap.add(trigger)
            elif streak <= -REPEATS or each > DEAR_S:
                self._cheap.discard(trigger)

    def let_go(self) -> None:
        """Let others measure, too, wherever the present thread was interrupted."""
        let_go(self._lock)

    def forget(self, trigger: str) -> None:
        """Measure a trigger from the beginning: its code has changed, or it did what only a task may do."""
        with self._lock:
            self._streaks.pop(trigger, None)
            self._cheap.discard(trigger)

    def seconds_each(self, trigger: str) -> float | None:
        """Return what one call is expected to take, None where it has not run."""
        return self._each.get(trigger)

    def is_cheap(self, trigger: str) -> bool:
        return trigger in self._cheap

    def is_judged(self, trigger: str) -> bool:
        """Whether enough calls were measured to tell whether a trigger is cheap."""
        return abs(self._streaks.get(trigger, 0)) >= REPEATS

    # -- for the store to keep --

    @property
    def is_any_new(self) -> bool:
        """Whether there were calls since the store was last offered what it does not have. It takes nothing of code that
        has given no result yet: that alone is not worth offering again."""
        return self._is_any_new

    def take_unkept(self) -> dict[CodeName, Cost]:
        """Return what the store does not have yet, and count it as kept."""
        if not self._unkept:
            return {}
        with self._lock:
            taken, self._unkept, self._is_any_new = self._unkept, {}, False
        return {code: Cost(int(calls), seconds) for code, (calls, seconds) in taken.items()}

    def put_back(self, costs: Mapping[CodeName, Cost]) -> None:
        """Hold what the store could not take yet."""
        with self._lock:
            for code, cost in costs.items():
                sums = self._unkept.setdefault(code, [0, 0.0])
                sums[0] += cost.calls
                sums[1] += cost.seconds

    def unkept(self, code: CodeName) -> Cost:
        """Return what calls of a trigger's code have taken here that the store does not have yet."""
        with self._lock:
            held = [sums for each, sums in self._unkept.items() if _is_of(each, code)]
        return Cost(int(sum(calls for calls, _ in held)), sum(seconds for _, seconds in held))

    def per_second(self, trigger: str) -> float:
        """Return how many calls a second there have been here lately."""
        with self._lock:
            recent = self._recent.get(trigger)
            return 0.0 if recent is None else recent.per_second()


class _Recent:
    """Counts calls in the present stretch of time and in the one before."""

    __slots__ = ("_before", "_now", "_started_s")

    def __init__(self) -> None:
        self._started_s, self._now, self._before = clock.monotonic_s(), 0, 0

    def add(self, calls: int) -> None:
        self._turn()
        self._now += calls

    def per_second(self) -> float:
        self._turn()
        return (self._before + self._now) / (RATE_S + clock.monotonic_s() - self._started_s)

    def _turn(self) -> None:
        passed = clock.monotonic_s() - self._started_s
        if passed >= RATE_S:
            self._before = self._now if passed < 2 * RATE_S else 0
            self._now = 0
            self._started_s += passed - passed % RATE_S


def _is_of(each: CodeName, asked: CodeName) -> bool:
    return all(wanted in (None, had) for had, wanted in zip(each, asked, strict=True))
