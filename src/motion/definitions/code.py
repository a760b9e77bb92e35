"""The code that a process has opened a store with: its triggers, components and fits, found by name."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from motion.definitions.components import (
    Component,
    bind_component,
    bind_fits,
    check_name,
    setup_fingerprint,
)
from motion.definitions.fits import Fit, FitSpec
from motion.definitions.functions.reading import forget_trees
from motion.definitions.tables.schema import Tables, differing_in_case
from motion.definitions.triggers.binding import bind
from motion.definitions.triggers.declarations import DECLARATION
from motion.definitions.triggers.folding import bind_fold
from motion.definitions.triggers.kept_keys import keepers
from motion.definitions.triggers.specs import Trigger, TriggerSpec
from motion.errors import TriggerError, shortened


@dataclass(frozen=True)
class Code:
    """What this process can run: triggers, components and fits, checked against the tables."""

    triggers: Mapping[str, Trigger]
    components: Mapping[str, Component]
    fits: Mapping[str, Fit]

    def has(self, spec: TriggerSpec) -> bool:
        """Whether it has a trigger's code, by its fingerprint."""
        code = self.triggers.get(spec.name)
        return code is not None and code.spec.fingerprint == spec.fingerprint

    @property
    def is_any(self) -> bool:
        return bool(self.triggers or self.components)

    @staticmethod
    def of(given: Iterable[Any], tables: Tables) -> Code:
        """Check functions marked with `trigger`, and components, against the tables.

        Raises:
            TriggerError: one of them is neither, or does not fit.
        """
        given = list(given)
        components = _by_name([each for each in given if isinstance(each, Component)])
        classes = _by_class(components)
        triggers = keepers(tables)
        for each in given:
            if isinstance(each, Component):
                triggers += bind_component(each, tables, classes)
            elif hasattr(each, DECLARATION):
                declared = getattr(each, DECLARATION)
                if declared.fold is not None:
                    triggers.append(bind_fold(each, declared, tables))
                else:
                    triggers.append(bind(each, declared, tables, components=classes))
            else:
                raise TriggerError(
                    f"triggers= takes functions marked with @motion.trigger and components, but was given {shortened(each)}"
                    f"{' (make an instance of it)' if isinstance(each, type) else ''}."
                )
        names = [trigger.spec.name for trigger in triggers]
        check_told_apart("triggers", names)
        check_told_apart("components", components)
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise TriggerError(
                f"two triggers are called {sorted(twice)[0]!r}; give one of them name=."
            )
        fits = [fit for component in components.values() for fit in bind_fits(component, tables)]
        forget_trees()
        return Code(
            {trigger.spec.name: trigger for trigger in triggers},
            components,
            {f.spec.name: f for f in fits},
        )


def check_told_apart(what: str, names: Iterable[str]) -> None:
    """Refuse names of triggers, or of components, that are one to a database."""
    twin = differing_in_case(names)
    if twin:
        raise TriggerError(
            f"{what} {twin[0]!r} and {twin[1]!r} differ in case only, which a database does not tell apart; call one "
            f"of them otherwise."
        )


@dataclass(frozen=True)
class Fingerprints:
    """What a component's code is named by: `setup`, and its triggers and fits by their names within it."""

    setup: str
    methods: Mapping[str, str]

    @staticmethod
    def of(component: Component, others: Mapping[str, Component], tables: Tables) -> Fingerprints:
        bound: list[TriggerSpec | FitSpec] = [
            each.spec for each in bind_component(component, tables, _by_class(others))
        ]
        bound += [each.spec for each in bind_fits(component, tables)]
        prefix = f"{component.name}."
        methods = {each.name.removeprefix(prefix): each.fingerprint for each in bound}
        return Fingerprints(setup_fingerprint(component), methods)


def as_called(component: Component, name: str) -> Component:
    """Return a component as it was under another name: the name is part of what its code is named by."""
    before = copy.copy(component)
    if "name" in vars(component):
        vars(before)["name"] = name
    else:
        kind = type(component)
        before.__class__ = type(kind.__name__, (kind,), {"name": name})
    return before


def _by_name(given: Sequence[Component]) -> dict[str, Component]:
    found: dict[str, Component] = {}
    for each in given:
        check_name(each.name)
        if each.name in found:
            kinds = f"{type(found[each.name]).__name__} and {type(each).__name__}"
            raise TriggerError(
                f"two components are called {each.name!r} ({kinds}), but the store keeps versions by this name. Give one "
                f"another: class {type(each).__name__}(motion.Component, name=...), or self.name = ... in __init__."
            )
        found[each.name] = each
    return found


def _by_class(components: Mapping[str, Component]) -> dict[type, str]:
    """Return the name by which an annotation with a class asks for its state; of several instances none is meant."""
    kinds = [type(each) for each in components.values()]
    return {
        type(each): name if kinds.count(type(each)) == 1 else ""
        for name, each in components.items()
    }


NO_CODE = Code({}, {}, {})
