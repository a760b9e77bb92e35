"""Components: triggers with a model. A user's class says how its state is made, used and learned.

Owns what a component declares; where states are kept is `persistence.states`, and how versions are made live is
`promotion`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from motion.errors import TriggerError
from motion.events import Event
from motion.schema import Tables
from motion.triggers import (
    DECLARATION,
    Declaration,
    Function,
    OnChange,
    Refresh,
    Trigger,
    bind,
    declare,
)

FIT_DECLARATION = "__motion_fit__"

Status = Literal["candidate", "live", "retired", "refused", "failed"]


@dataclass(frozen=True)
class StateVersion:
    """One version of a component's state.

    Attributes:
        number: 1 for what `setup` made, then one more for each fit.
        status: candidate, live, retired, refused (by the gate) or failed (the fit raised).
        parent: the version it was fitted from, None for `setup`'s.
        rows: labels that its fit consumed.
        metrics: what `evaluate` measured, and the reason of a refusal or failure under "reason".
        duration_s: seconds that making it took.
    """

    number: int
    status: Status
    parent: int | None
    rows: int
    metrics: dict[str, Any]
    created_at: datetime
    duration_s: float


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
        for figures, value in ((candidate, new), (live or {}, old)):
            if value is None:
                return f"evaluate gave no {self.metric!r}; it gave {dict(figures) or 'nothing'}"
            if math.isnan(value):
                return (
                    f"evaluate gave NaN for {self.metric!r}, which is not better than anything; where `rows` is empty, "
                    f"no label is held out yet (holdout=)"
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


@dataclass(frozen=True)
class Fit:
    """A fit that this process can run."""

    spec: FitSpec
    function: Callable[..., Any]


@dataclass(frozen=True)
class FitDeclaration:
    on: tuple[str, ...]
    every: int | None
    holdout: float
    promote: Promotion


def infer(
    *,
    on: str | Sequence[str] | Event,
    sets: str | Sequence[str] = (),
    refresh: Refresh = "never",
    page: str | None = None,
    batch: int | None = None,
    when: Callable[[Any], Any] | None = None,
    retries: int = 0,
    discard_after: float | None = None,
    discard_beyond: int | None = None,
    timeout: float | None = None,
    concurrency: int | None = None,
    priority: int | str | None = None,
    version: str | None = None,
    on_change: OnChange | None = None,
    rate: str | None = None,
    batch_wait: float | None = None,
) -> Callable[[Function], Function]:
    """Declare a method `(self, state, ...)` as a trigger that runs with the component's state.

    Args:
        refresh: what happens to its outputs when a new state version comes: "before", they are remade beside the
            live ones and switched with it; "after", remade once it is live; "never", kept as they were answered.

    The other options are those of `trigger`.
    """
    declaration = declare(
        on, sets, page=page, batch=batch, when=when, retries=retries, timeout_s=timeout,
        concurrency=concurrency, priority=priority, version=version, refresh=refresh, on_change=on_change,
        rate=rate, batch_wait_s=batch_wait, discard_after_s=discard_after, discard_beyond=discard_beyond,
    )  # fmt: skip

    def mark(function: Function) -> Function:
        setattr(function, DECLARATION, declaration)
        return function

    return mark


def fit(
    *,
    on: str | Sequence[str],
    every: int | None = None,
    holdout: float = 0.0,
    promote: Promotion = always,
) -> Callable[[Function], Function]:
    """Declare a method `(self, state, rows, store)` that returns a new state learned from labels.

    Args:
        on: the key or keys whose setting makes a label, a copy of the row at that moment.
        every: fit by itself after this many new labels; None: only by `store.model(...).fit()`.
        holdout: the share of labels, from 0 up to 1, kept from `rows` and given to `evaluate`; always the same ones.
        promote: when the new version goes live.
    """
    if not isinstance(promote, Promotion):
        raise TriggerError(
            f"promote= takes motion.always, motion.manual or motion.if_better(metric), not {promote!r}."
        )
    if every is not None and every < 1:
        raise TriggerError(f"a fit's every must be at least 1, not {every!r}.")
    if not 0 <= holdout < 1:
        raise TriggerError(
            f"a fit's holdout is a share from 0 up to, not including, 1, not {holdout!r}."
        )
    declaration = FitDeclaration(
        (on,) if isinstance(on, str) else tuple(on), every, holdout, promote
    )

    def mark(function: Function) -> Function:
        setattr(function, FIT_DECLARATION, declaration)
        return function

    return mark


class Component:
    """A trigger with a model. Subclasses give `setup` and methods marked with `infer` and `fit`.

    `setup(self)` makes the first state, `infer` methods use it, a `fit` method returns the next one. A state is a
    value: no method may change it. `save(self, state) -> dict` and `load(self, saved)` give a state that is
    neither plain data nor arrays a safe form on disk.

    `evaluate(self, state, rows, store) -> dict[str, float]` measures a version, for `if_better`: `rows` are the labels
    that the fit's `holdout` keeps back, `store` is a view that sees the version's own outputs.
    """

    def setup(self) -> Any:
        """Return version 1 of the state. None: `infer` waits for the first fit."""
        return None

    def save(self, state: Any) -> Any:
        """Return the state as plain data, arrays and tensors in dicts and lists."""
        return state

    def load(self, saved: Any) -> Any:
        """Return the state that `save` took apart."""
        return saved

    @property
    def name(self) -> str:
        """The component's name in the store: its class's."""
        return type(self).__name__


def declared_methods(component: Component, mark: str) -> list[tuple[Callable[..., Any], Any]]:
    """Return the component's methods that bear a mark, with what was declared, in the order of their names."""
    methods = inspect.getmembers(component, inspect.ismethod)
    return [(method, getattr(method, mark)) for _, method in methods if hasattr(method, mark)]


def bind_component(
    component: Component, tables: Tables, components: dict[type, str]
) -> list[Trigger]:
    """Return the triggers of a component's `infer` methods, checked against the tables."""
    methods: list[tuple[Callable[..., Any], Declaration]] = declared_methods(component, DECLARATION)
    return [
        bind(method, declaration, tables, components=components, component=component.name)
        for method, declaration in methods
    ]


def bind_fits(component: Component, tables: Tables) -> list[Fit]:
    """Return the component's fits, checked against the tables."""
    found = []
    for method, declaration in declared_methods(component, FIT_DECLARATION):
        keys = [tables.key(path) for path in declaration.on]
        if len({key.table for key in keys}) != 1:
            raise TriggerError(
                f"fit {component.name}.{method.__name__}: on= names keys of several tables."
            )
        if declaration.promote.kind == "if_better" and not hasattr(component, "evaluate"):
            raise TriggerError(
                f"fit {component.name}.{method.__name__}: promote=if_better needs a method "
                f"evaluate(self, state, rows, store) that returns its metrics."
            )
        spec = FitSpec(
            name=f"{component.name}.{method.__name__}",
            component=component.name,
            table=keys[0].table,
            on=tuple(key.name for key in keys),
            every=declaration.every,
            holdout=declaration.holdout,
            promote=declaration.promote,
        )
        found.append(Fit(spec, method))
    return found
