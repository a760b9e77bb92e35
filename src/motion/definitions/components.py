"""Components: triggers with a model. A user's class says how its state is made, used and learned.

Owns what a component declares; where states are kept is `persistence.states`, and how versions are made live is
`promotion`.
"""

from __future__ import annotations

import inspect
import logging
import typing
import warnings
from collections.abc import Callable, Sequence
from functools import cached_property, partialmethod
from typing import Any, ClassVar

from motion.definitions.fits import FIT_DECLARATION, Fit, FitDeclaration, FitSpec
from motion.definitions.functions.fingerprints import fingerprint_of
from motion.definitions.tables.schema import Tables
from motion.definitions.triggers.binding import bind
from motion.definitions.triggers.declarations import (
    DECLARATION,
    Declaration,
    Function,
    declare,
    marking,
)
from motion.definitions.triggers.delays import After
from motion.definitions.triggers.events import Event
from motion.definitions.triggers.options import (
    Once,
    OnChange,
    Place,
    Refresh,
    Resources,
    in_brackets,
)
from motion.definitions.triggers.specs import Trigger, TriggerSpec
from motion.errors import TriggerError

logger = logging.getLogger(__name__)


@in_brackets
def infer(
    *,
    on: str | Sequence[str] | Event | After,
    sets: str | Sequence[str] = (),
    refresh: Refresh | None = None,
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
    memo: bool = False,
    isolated: bool | None = None,
    follow: bool = False,
    once: Once = False,
    serial_by: str | None = None,
    executor: Place | None = None,
    resources: Resources | None = None,
    needs: str | Sequence[str] = (),
) -> Callable[[Function], Function]:
    """Declare a method `(self, state, ...)` as a trigger that runs with the component's state.

    Args:
        refresh: what happens to its outputs when a new state version comes: "before", they are remade beside the
            live ones and switched with it; "after", remade once it is live; "never", kept as they were answered. Left
            out, it is "before" where `sets` names a key declared with `motion.Vector` and neither `page` nor
            `discard_after` or `discard_beyond` is given, and "never" for all else.

    The other options are those of `trigger`, but `inline` and `name`.
    """
    return marking(declare(**locals()))  # exactly the parameters: each is a field of `Declaration`


class _OfClass:
    """The name that a component has where nobody gave it one. A class, or an instance, may set its own beside it."""

    def __get__(self, component: object, kind: type) -> str:
        return kind.__name__


class Component:
    """A trigger with a model. Subclasses give `setup` and methods marked with `infer` and `fit`.

    `setup(self)` makes the first state, `infer` methods use it, a `fit` method returns the next one. A state is a
    value: no method may change it. It is kept on disk in a form that is safe to load: plain data, dataclasses, NumPy
    arrays, torch tensors and modules, and scikit-learn estimators as they are; `save(self, state) -> dict` and
    `load(self, saved)` take anything else apart and put it together again. `class X(motion.Component, pickle=True)`
    keeps it by pickle instead: loading then runs whatever code the file holds.

    Of versions that are neither live nor a candidate, the states of the last `keep_states` (10) and the
    `refresh="before"` outputs of the last `keep_outputs` (1) that were live are kept: `class X(motion.Component,
    keep_states=3, keep_outputs=2)`. Going back to a version whose outputs are kept recomputes nothing; one whose state
    is gone stays in the list with its figures, and cannot be promoted.

    In the store a component is known by its `name`: its class's, or `class X(motion.Component, name="ranker")`, which
    keeps its versions when the class is renamed, or what `__init__` sets as `self.name`, for several of one class.

    `evaluate(self, state, rows, store) -> dict[str, float]` measures a version, for `if_better`: `rows` are the labels
    that the fit's `holdout` keeps back, `store` is a view that sees the version's own outputs, and
    only reads.
    """

    by_pickle: ClassVar[bool] = False
    keep_states: ClassVar[int] = 10
    keep_outputs: ClassVar[int] = 1
    name: str = typing.cast(str, _OfClass())

    def __init_subclass__(
        cls,
        *,
        name: str | None = None,
        pickle: bool | None = None,
        keep_states: int | None = None,
        keep_outputs: int | None = None,
        **rest: Any,
    ) -> None:
        super().__init_subclass__(**rest)
        if name is not None:
            cls.name = name
        for option, count in (("keep_states", keep_states), ("keep_outputs", keep_outputs)):
            if count is not None and (not isinstance(count, int) or count < 0):
                raise TriggerError(
                    f"component {cls.__name__}: {option}= is a number of versions, at least 0, not {count!r}."
                )
            if count is not None:
                setattr(cls, option, count)
        if pickle is not None:
            cls.by_pickle = pickle
        if pickle:
            warnings.warn(
                f"component {cls.__name__} keeps its states by pickle: whoever can write the store's folder can run code "
                f"in every process that loads them, and a state may not load under other versions of its libraries. "
                f"Prefer save(self, state) and load(self, saved).",
                stacklevel=2,
            )

    def setup(self) -> Any:
        """Return version 1 of the state. None: `infer` waits for the first fit."""
        return None

    def save(self, state: Any) -> Any:
        """Return the state as plain data, arrays and tensors in dicts and lists."""
        return state

    def load(self, saved: Any) -> Any:
        """Return the state that `save` took apart."""
        return saved


def setup_fingerprint(component: Component) -> str:
    """Return what names the component's `setup` and the constructor's arguments: when it changes, so may version 1."""
    return fingerprint_of(component.setup, None, component.name)


def declared_methods(component: Component, mark: str) -> list[tuple[Callable[..., Any], Any]]:
    """Return the component's methods that bear a mark, with what was declared, in the order of their names. One that
    overrides such a method without saying anything is declared as that one is.

    Nothing of the component is asked for but these methods: a property may load a model.
    """
    kind = type(component)
    found = []
    for name in sorted(dir(kind)):
        marked = _marked(kind, name, mark)
        if marked is not None:
            found.append((getattr(component, name), marked))
    return found


def _marked(kind: type, name: str, mark: str) -> Any:
    """Return what was declared of a class's member, None where nothing was, or what it is has nothing to call."""
    held = [vars(each)[name] for each in kind.__mro__ if name in vars(each)]
    plain = [_function_in(each) for each in held]
    declared = next((vars(f)[mark] for f in plain if mark in getattr(f, "__dict__", ())), None)
    if declared is None or not callable(plain[0]):
        return None
    if plain[0] is not held[0]:
        raise TriggerError(
            f"{kind.__name__}.{name} is a {type(held[0]).__name__}, but is called on the component: (self, state, ...)."
        )
    return declared


def _function_in(member: Any) -> Any:
    """Return the function that a class's member is made of, such as a property's; others as they are."""
    if isinstance(member, staticmethod | classmethod):
        return member.__func__
    if isinstance(member, property):
        return member.fget
    return member.func if isinstance(member, cached_property | partialmethod) else member


def check_name(name: object) -> None:
    """Refuse what cannot name a component in the store."""
    if not isinstance(name, str) or not name.isidentifier():
        raise TriggerError(
            f"a component's name is a word of letters, digits and underscores, as of a class, not {name!r}."
        )


def evaluates(component: Component) -> bool:
    """Whether a component measures its versions."""
    return hasattr(type(component), "evaluate") or "evaluate" in vars(component)


def has_setup(component: Component) -> bool:
    """Whether a component may have a state before its first fit."""
    return type(component).setup is not Component.setup or "setup" in vars(component)


def _check_has_state(component: Component, triggers: Sequence[Trigger]) -> None:
    """Refuse a component whose methods would wait for ever for a state."""
    if triggers and not has_setup(component) and not declared_methods(component, FIT_DECLARATION):
        raise TriggerError(
            f"{triggers[0].spec.name} would never run: component {component.name} has neither a setup(self) that makes its "
            f"first state nor a method marked with @motion.fit. One without a state returns () from setup."
        )


def bind_component(
    component: Component, tables: Tables, components: dict[type, str]
) -> list[Trigger]:
    """Return the triggers of a component's `infer` methods, checked against the tables."""
    methods: list[tuple[Callable[..., Any], Declaration]] = declared_methods(component, DECLARATION)
    triggers = [
        bind(method, declaration, tables, components=components, component=component.name)
        for method, declaration in methods
    ]
    _check_has_state(component, triggers)
    if declared_methods(component, FIT_DECLARATION):
        _tell_mixed_vectors([each.spec for each in triggers], tables)
    return triggers


def _tell_mixed_vectors(specs: Sequence[TriggerSpec], tables: Tables) -> None:
    """Say which vectors a search leaves out after a fit: those that it does not remake."""
    for spec in specs:
        if spec.sets_table or spec.is_versioned:
            continue
        keys = tables.get(spec.table).keys
        vectors = [f"{spec.table}.{name}" for name in spec.sets if keys[name].dim is not None]
        if vectors:
            logger.warning(
                "%s sets %s with refresh=%r: after a fit, searches there find only what the new state version has made; "
                "refresh='before'%s remakes the vectors beside the live ones and switches them together",
                spec.name,
                ", ".join(vectors),
                spec.refresh,
                " in an infer on a key of the page" if spec.page else "",
            )


def _check_takes(method: Callable[..., Any], name: str) -> None:
    """Refuse a method that would take its arguments, which are given by position, for others."""
    parameters = list(inspect.signature(method).parameters)
    given = zip(parameters, ("state", "rows", "store"), strict=False)
    is_mixed_up = any(got != meant and got in ("rows", "store") for got, meant in given)
    if is_mixed_up or not 1 <= len(parameters) <= 3 or parameters[2:] not in ([], ["store"]):
        raise TriggerError(
            f"{name} is declared (self, {', '.join(parameters)}), but is given (self, state, rows, store), or fewer of "
            f"these from the left; what else it needs, keep as an attribute that __init__ sets."
        )


def _takes_store(method: Callable[..., Any], component: Component) -> bool:
    given = [method, typing.cast(Any, component).evaluate] if evaluates(component) else [method]
    return any("store" in inspect.signature(each).parameters for each in given)


def _seen_by(declaration: FitDeclaration, name: str, tables: Tables) -> str | None:
    """Return the key that `seen_by=` names, which is of the labelled table."""
    if declaration.seen_by is None:
        return None
    key, labelled = tables.key(declaration.seen_by), tables.key(declaration.on[0])
    if key.table != labelled.table:
        raise TriggerError(
            f"fit {name}: seen_by={declaration.seen_by!r} is no key of {labelled.table!r}, whose rows it learns from."
        )
    return key.name


def bind_fits(component: Component, tables: Tables) -> list[Fit]:
    """Return the component's fits, checked against the tables."""
    found = []
    for method, declaration in declared_methods(component, FIT_DECLARATION):
        keys = [tables.key(path) for path in declaration.on]
        if len({key.table for key in keys}) != 1:
            raise TriggerError(
                f"fit {component.name}.{method.__name__}: on= names keys of several tables."
            )
        _check_takes(method, f"fit {component.name}.{method.__name__}")
        if evaluates(component):
            _check_takes(typing.cast(Any, component).evaluate, f"{component.name}.evaluate")
        if declaration.promote.kind == "if_better" and not evaluates(component):
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
            fingerprint=fingerprint_of(method, None, component.name),
            schedule=declaration.schedule,
            rows=declaration.rows,
            timeout_s=declaration.timeout_s,
            gate_on=declaration.gate_on,
            seen_by=_seen_by(declaration, f"{component.name}.{method.__name__}", tables),
            has_setup=has_setup(component),
            uses_store=_takes_store(method, component),
            batch=declaration.batch,
        )
        found.append(Fit(spec, method))
    return found
