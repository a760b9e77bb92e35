"""Capacity: how much of this machine, or of a cluster, the calls of one process take, so that they wait for each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from motion.definitions.triggers.options import NOTHING, Resources


class Capacity:
    """What calls may take together, and what they take now. Its caller keeps threads apart.

    Args:
        offered: tells what there is.
    """

    def __init__(self, offered: Callable[[], Resources]) -> None:
        self._offered = offered
        self._taken: Counter[Resources] = Counter()

    def room(self, wanted: Resources, most: int) -> int:
        """Return how many calls may begin, `most` at most. One that wants more than there is begins when no other holds
        any."""
        if wanted == NOTHING:
            return most
        cpus = sum(each.cpus * calls for each, calls in self._taken.items())
        gpus = sum(each.gpus * calls for each, calls in self._taken.items())
        offered = self._offered()
        for calls in range(most):
            fits_cpus = _fits(wanted.cpus, cpus + calls * wanted.cpus, offered.cpus)
            if not (fits_cpus and _fits(wanted.gpus, gpus + calls * wanted.gpus, offered.gpus)):
                return calls
        return most

    def take(self, wanted: Resources, calls: int) -> None:
        self._taken[wanted] += calls


def _fits(wanted: float, taken: float, there_is: float) -> bool:
    rounding = 1e-9  # three thirds of a GPU are one
    return not wanted or not taken or taken + wanted <= there_is + rounding
