"""Lending: values that somebody else may still change, taken as they are at one moment.

A function that gives back one buffer again and again, or an iterator that fills one dict anew for each row, means what
is in it at that time. What is only read later is copied first.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np

UNCHANGING = frozenset({type(None), bool, int, float, complex, str, bytes})


def taken(value: Any) -> Any:
    """Return a value as it is now: itself where nobody can change it, otherwise a copy."""
    kind = type(value)
    if kind in UNCHANGING:
        return value
    if kind is dict and UNCHANGING.issuperset(map(type, value.values())):  # as most rows are
        return dict(value)
    if isinstance(value, np.ndarray):
        return value.copy()
    try:
        return _copied(value, kind)
    except Exception:  # noqa: BLE001 - of a user's class; it is checked for what it is, and mostly refused, later
        return value


def _copied(value: Any, kind: type) -> Any:
    if kind is tuple:
        return tuple([taken(each) for each in value])
    if kind is list:
        return [taken(each) for each in value]
    if kind is dict:
        return {key: taken(each) for key, each in value.items()}
    if isinstance(
        value, Iterator
    ):  # a copy of a `map` would be one of what it calls: of a model, maybe
        return value
    return copy.deepcopy(value)
