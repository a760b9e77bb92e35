"""Builds: how the making of a candidate's outputs gives way to live work.

Live work waits for a build's commits, as one writer at a time commits, and writes its pages out with its own. Many small
parts disturb each write a little; a few large ones, far apart, disturb few writes and cost less in all.
"""

from __future__ import annotations

from motion import clock
from motion.definitions.triggers.specs import TriggerSpec

PART_S, PART_ROWS = 0.04, 1024
"""How long one claim of a candidate's outputs is meant to run, and its rows at most."""

LIVE_S = 0.05
"""How long after a claim of live work more of it is expected."""

SHARE = 0.03
"""Of the time, what a build's commits take at most beside live work. What its functions take is not counted: models may
be slow, and hold up no write."""


class Builds:
    """When, and how many at a time, outputs of candidates are made in this process. To be used under a lock."""

    def __init__(self) -> None:
        self._live_at_s = -LIVE_S
        self._rest_until_s = 0.0
        self._seconds_each: dict[str, float] = {}
        self._is_last = True

    def note_live(self) -> None:
        """Take in that live work has been claimed."""
        self._live_at_s = clock.monotonic_s()

    def note_claim(self, *, is_last: bool) -> None:
        """Take in that a part has been claimed.

        Args:
            is_last: nothing is left beside it. Then there is no rest after it: what live work adds to a build is made at
                once, as the switch comes when nothing is left.
        """
        self._is_last = is_last

    def note_commit(self, seconds: float) -> None:
        """Take in how long a commit of a part has taken."""
        if not self._is_last:
            self._rest_until_s = clock.monotonic_s() + seconds * (1 / SHARE - 1)

    def note_end(self, trigger: str, rows: int, seconds: float) -> None:
        """Take in how long a part has taken in all. It counts as at most twice what the last one counted: parts that wait
        for live work take longer, and need not be smaller. After one that has taken less than it may, the next has at least
        twice its rows: few rows take as long as results are gathered for, and would stay few."""
        each = self._seconds_each.get(trigger, PART_S)
        grown = seconds / rows if seconds >= PART_S else min(seconds / rows, PART_S / (2 * rows))
        self._seconds_each[trigger] = min(2 * each, grown)

    def rest_s(self) -> float:
        """Return for how many seconds no part may be claimed: 0 where no live work has been claimed lately."""
        until = min(self._rest_until_s, self._live_at_s + LIVE_S)
        return max(until - clock.monotonic_s(), 0.0)

    def rows(self, spec: TriggerSpec, rows: int) -> int:
        """Return how many rows a part may have, of those that a claim may."""
        each = self._seconds_each.get(spec.name, PART_S)
        return min(rows, max(min(round(PART_S / each), PART_ROWS), spec.batch or 1))
