"""Capacity: how much of this machine the runs of one process take, so that they wait for each other."""

from __future__ import annotations

from motion.triggers import NOTHING, Resources


class Capacity:
    """What runs may take together, and what they take now. Its caller keeps threads apart.

    Args:
        cpus, gpus: how many there are.
    """

    def __init__(self, cpus: float, gpus: float) -> None:
        self._all = Resources(cpus, gpus)
        self._taken: dict[int, Resources] = {}

    def has_room(self, wanted: Resources) -> bool:
        """Whether a run may begin. One that wants more than there is begins when no other holds any."""
        if wanted == NOTHING:
            return True
        cpus = sum(each.cpus for each in self._taken.values())
        gpus = sum(each.gpus for each in self._taken.values())
        return _fits(wanted.cpus, cpus, self._all.cpus) and _fits(wanted.gpus, gpus, self._all.gpus)

    def take(self, holder: int, wanted: Resources) -> None:
        self._taken[holder] = wanted

    def give(self, holder: int) -> None:
        self._taken.pop(holder, None)


def _fits(wanted: float, taken: float, there_is: float) -> bool:
    rounding = 1e-9  # three thirds of a GPU are one
    return not wanted or not taken or taken + wanted <= there_is + rounding
