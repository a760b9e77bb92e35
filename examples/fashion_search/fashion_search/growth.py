"""Growth: whether the memory of this process and its children grows, by a line through what was weighed.

A leak is a slope. Samples that follow each other are much alike, so the line is laid through the means of blocks of time, and
the interval is by bootstrap over blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import psutil

FLAT_MB_PER_HOUR = 64.0
"""What memory may grow by, at the most. At 50 queries a second it is 370 bytes for each."""

LEAST_S = 600.0
"""So long has to be weighed, beside the warm-up: a shorter line tells nothing."""

WARM_UP, MOST_WARM_UP_S = 0.25, 600.0
"""The share of the time, and the most of it, in which caches fill, models load and the first fits run."""

_BLOCKS, _DRAWS = 20, 2_000


@dataclass(frozen=True)
class Growth:
    """A line through what was weighed, after the warm-up.

    Attributes:
        seconds: so long was weighed.
        mb: the mean.
        per_hour, low, high: its slope in MB an hour, and the 95 % interval.
    """

    seconds: float
    mb: float
    per_hour: float
    low: float
    high: float

    @property
    def is_flat(self) -> bool | None:
        """Whether it is shown that nothing grows; None where too short a time was weighed to tell."""
        return None if self.seconds < LEAST_S else self.high <= FLAT_MB_PER_HOUR


def weighed() -> tuple[float, float]:
    """Return the resident memory of this process, and that of it and all its children together, in MB."""
    own = psutil.Process()
    children = 0
    for each in own.children(recursive=True):
        try:
            children += each.memory_info().rss
        except psutil.Error:
            pass  # it has ended
    alone = own.memory_info().rss
    return alone / 1e6, (alone + children) / 1e6


def growth(at_s: Sequence[float], mb: Sequence[float], seed: int = 0) -> Growth:
    """Return the slope of samples, given the time of each from the beginning."""
    times, weights = np.asarray(at_s, float), np.asarray(mb, float)
    whole = float(times.max(initial=0.0))
    warm = times >= min(WARM_UP * whole, MOST_WARM_UP_S)
    times, weights = times[warm], weights[warm]
    parts = [part for part in np.array_split(np.arange(len(times)), _BLOCKS) if len(part)]
    if len(parts) < _BLOCKS:
        mean = float(weights.mean()) if len(weights) else 0.0
        return Growth(0.0, mean, 0.0, -np.inf, np.inf)
    hours = np.array([times[part].mean() for part in parts]) / 3_600
    means = np.array([weights[part].mean() for part in parts])
    drawn = np.random.default_rng(seed).integers(0, _BLOCKS, (_DRAWS, _BLOCKS))
    low, high = np.quantile(_slopes(hours[drawn], means[drawn]), (0.025, 0.975))
    [slope] = _slopes(hours[None], means[None])
    length = float(times[-1] - times[0])
    return Growth(length, float(weights.mean()), float(slope), float(low), float(high))


def _slopes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the slope of the line of least squares through each row of points."""
    aside = x - x.mean(axis=1, keepdims=True)
    return np.asarray((aside * y).sum(axis=1) / np.maximum((aside**2).sum(axis=1), 1e-12))
