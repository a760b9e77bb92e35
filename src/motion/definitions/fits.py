"""Fits: when a component learns, from which labels, and what decides whether its new state goes live."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from motion.definitions.triggers.declarations import Function, marking
from motion.definitions.triggers.options import LONGEST_S, in_brackets, paths
from motion.definitions.triggers.schedules import Schedule
from motion.definitions.values.plain import LARGEST_COUNT, is_number
from motion.errors import TriggerError, shortened

FIT_DECLARATION = "__motion_fit__"

Rows = Literal["new", "all"] | int
"""The labels that a fit learns from: those its lineage has not, all, or those of so many milliseconds before it."""


@dataclass(frozen=True)
class Promotion:
    """When a candidate goes live: `always`, `manual`, or if a metric got better."""

    kind: Literal["always", "manual", "if_better"]
    metric: str | None = None
    by: float = 0.0
    lower: bool = False

    def decide(
        self, candidate: Mapping[str, float], live: Mapping[str, float] | None
    ) -> str | None:
        """Return None to promote, or why not. Strict: a missing or NaN metric refuses.

        Args:
            live: None where no version is live yet: then a candidate that has the metric is better than nothing.
        """
        if self.kind != "if_better" or self.metric is None:
            return None
        new = candidate.get(self.metric)
        old = new if live is None else live.get(self.metric)
        for whose, figures, value in (
            ("the new version", candidate, new),
            ("the live version", live or {}, old),
        ):
            if value is None:
                given = dict(figures) or "nothing"
                return f"evaluate gave no {self.metric!r} for {whose}; it gave {given}"
            if math.isnan(value):
                return (
                    f"evaluate gave NaN for {self.metric!r} of {whose}, with which nothing can be compared; where `rows` "
                    f"is empty, no label is held out yet (holdout=)"
                )
        assert new is not None
        assert old is not None
        if live is None:
            return None
        gain = old - new if self.lower else new - old
        if gain > self.by:
            return None
        return f"{self.metric} went from {old:.4g} to {new:.4g}, which is not better by more than {self.by:g}"


always = Promotion("always")

manual = Promotion("manual")


def if_better(metric: str, by: float = 0.0, *, lower: bool = False) -> Promotion:
    """Promote when `evaluate`'s `metric` is better than the live version's by more than `by`."""
    return Promotion("if_better", metric, by, lower)


@dataclass(frozen=True)
class FitSpec:
    """All of a fit but its code: what the store keeps, so that any process makes its labels."""

    name: str
    component: str
    table: str
    on: tuple[str, ...]
    every: int | None
    holdout: float
    promote: Promotion
    fingerprint: str = ""
    schedule: Schedule | None = None
    rows: Rows = "new"
    timeout_s: float | None = None
    gate_on: int | None = None
    seen_by: str | None = None
    """The key of its table: labels are rows as they were when a run first set it for its `on` values."""
    has_setup: bool = True
    """Whether its component may have a state before its first fit."""
    uses_store: bool = False
    """Whether it, or what evaluates it, takes a store to read by."""
    batch: int | None = None
    """It is given lists of so many rows at most, and not one list of all."""


@dataclass(frozen=True)
class Fit:
    """A fit that this process can run."""

    spec: FitSpec
    function: Callable[..., Any]


@dataclass(frozen=True)
class FitDeclaration:
    on: tuple[str, ...]
    every: int | None
    schedule: Schedule | None
    holdout: float
    promote: Promotion
    rows: Rows
    timeout_s: float | None
    gate_on: int | None
    seen_by: str | None = None
    batch: int | None = None


Every = int | Schedule


@in_brackets
def fit(
    *,
    on: str | Sequence[str],
    every: Every | tuple[Every, ...] | None = None,
    rows: Literal["new", "all"] | timedelta = "new",
    holdout: float = 0.0,
    promote: Promotion = always,
    gate_on: int | None = None,
    timeout: float | None = None,
    seen_by: str | None = None,
    batch: int | None = None,
) -> Callable[[Function], Function]:
    """Declare a method `(self, state, rows, store)` that returns a new state learned from labels.

    Args:
        on: the key or keys whose setting makes a label, a copy of the row as soon as its own pending work is done.
        every: fit by itself after this many new labels, by a schedule (`motion.cron`, `motion.every`), or a tuple of
            both, whichever comes first; None: only by `store.model(...).fit()`.
        rows: "new", the labels that neither the live version nor those it was made from have learned from; "all" of
            them, or those of the last `timedelta`, for a model that learns from scratch each time.
        holdout: the share of labels, from 0 up to 1, kept from `rows` and given to `evaluate`; always the same ones.
        promote: when the new version goes live.
        gate_on: build a candidate's `refresh="before"` outputs for this many rows first, and refuse it there already
            if it is not better on them.
        timeout: seconds after which a fit, or an evaluation, is ended, and has failed.
        seen_by: a key that a trigger sets: labels are then the row as it was when a run first set that key for its `on`
            values, with what the `on` keys of the fit are now. However late a label comes, it learns from what the
            decision was made from.
        batch: `rows` is then not one list but an iterable of lists of up to this many rows, as they are read, for labels
            that are more than memory holds. It can be gone through again, for each epoch.
    """
    if not isinstance(promote, Promotion):
        raise TriggerError(
            f"promote= takes motion.always, motion.manual or motion.if_better(metric), not {shortened(promote)}."
        )
    if not is_number(holdout) or not 0 <= holdout < 1:
        raise TriggerError(
            f"a fit's holdout is a share from 0 up to, not including, 1, not {shortened(holdout)}."
        )
    if timeout is not None and not (is_number(timeout) and 0 < timeout <= LONGEST_S):
        raise TriggerError(
            f"a fit's timeout is a number of seconds above 0 and at most {LONGEST_S}, not {shortened(timeout)}."
        )
    for name, count_of in (("gate_on", gate_on), ("batch", batch)):
        if count_of is not None and not (type(count_of) is int and 1 <= count_of <= LARGEST_COUNT):
            raise TriggerError(
                f"a fit's {name} is a number of rows, at least 1, not {shortened(count_of)}."
            )
    if not isinstance(seen_by, str | None):
        raise TriggerError(
            f"a fit's seen_by takes a key that a trigger sets, not {shortened(seen_by)}."
        )
    count, schedule = _every(every)
    declaration = FitDeclaration(
        paths("on", on), count, schedule, holdout, promote, _rows(rows), timeout, gate_on, seen_by, batch
    )  # fmt: skip

    return marking(declaration, FIT_DECLARATION)


def _every(given: Every | tuple[Every, ...] | None) -> tuple[int | None, Schedule | None]:
    """Return the count and the schedule that `every=` names, of each at most one."""
    parts = given if isinstance(given, tuple) else () if given is None else (given,)
    counts = [each for each in parts if isinstance(each, int) and not isinstance(each, bool)]
    schedules = [each for each in parts if isinstance(each, Schedule)]
    if len(counts) + len(schedules) < len(parts) or max(len(counts), len(schedules)) > 1:
        raise TriggerError(
            f"a fit's every= takes a number of labels, a schedule such as motion.cron('0 3 * * *'), or a tuple of one "
            f"of each, not {shortened(given)}."
        )
    if counts and counts[0] < 1:
        raise TriggerError(f"a fit's every must be at least 1, not {shortened(counts[0])}.")
    return next(iter(counts), None), next(iter(schedules), None)


def _rows(given: str | timedelta) -> Rows:
    if isinstance(given, timedelta) and given > timedelta(0):
        return int(given / timedelta(milliseconds=1))
    if isinstance(given, str) and given in ("new", "all"):
        return "new" if given == "new" else "all"
    raise TriggerError(
        f"a fit's rows= takes 'new', 'all' or a timedelta above 0, not {shortened(given)}."
    )
