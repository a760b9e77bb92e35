"""Kinds: what the two directions of a state's form agree on: names of classes, of dtypes, and of what makes values."""

from __future__ import annotations

import collections
import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from motion.definitions.components import Component
from motion.errors import StateError

INT64_MAX = 2**63 - 1

Classes = Mapping[str, type]
"""Classes that cannot be found by their name here, such as those of another process's script, by that name."""

FACTORIES: Mapping[str, Callable[[], Any]] = {
    kind.__name__: kind
    for kind in (
        int, float, str, bool, bytes, list, dict, set, tuple, frozenset,
        collections.Counter, collections.OrderedDict, collections.deque,
    )
}  # fmt: skip
"""What a defaultdict may make its values by."""

ARRAY_DTYPES = frozenset(
    ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32",
     "float64", "complex64")
)  # fmt: skip
"""Those of safetensors. Arrays of others are kept as their bytes."""

ADVICE = "Or give the component load(self, saved), which is given a dict of what it held in its place, and returns the state."


class ClassIsGone(StateError):
    """A manifest names a class that is not there."""


def is_plain(dtype: np.dtype[Any]) -> bool:
    """Whether safetensors has a dtype."""
    return dtype.name in ARRAY_DTYPES and dtype.newbyteorder("<") == dtype


def described(dtype: np.dtype[Any]) -> Any:
    """Return a dtype as plain data; None where it would come back as another."""
    if dtype.hasobject or dtype.kind not in "biufcmMSUV":
        return None
    description = np.lib.format.dtype_to_descr(dtype)
    return description if dtype_of(description) == dtype else None


def dtype_of(description: Any) -> np.dtype[Any]:
    """Return the dtype that `described` has described, also where lists came back for tuples."""
    found: np.dtype[Any] = np.lib.format.descr_to_dtype(_as_tuples(description))
    return found


def _as_tuples(description: Any) -> Any:
    if isinstance(description, str):
        return description
    return [
        (name, _as_tuples(kind), *(tuple(each) for each in shape))
        for name, kind, *shape in description
    ]


def is_of_script(module: str) -> bool:
    """Whether a module is a script that this process runs, which no other can import."""
    found = sys.modules.get(module)
    return module == "__main__" or (found is not None and found.__spec__ is None)


def class_of(name: str, component: Component, classes: Classes) -> type:
    """Return a class by the name that a manifest gives it. Nothing is imported that the component's author did not write."""
    if name in classes:
        return classes[name]
    module, _, place = name.partition(":")
    top, own = module.partition(".")[0], type(component).__module__.partition(".")[0]
    try:
        if module not in sys.modules and top in (own, "torch"):
            importlib.import_module(module)
        found = found_in(sys.modules[module], place)
    except (ImportError, KeyError):
        found = None
    if found is None:
        raise ClassIsGone(
            f"the state of {component.name} holds a {place} of module {module}, which is not there. Import it where the "
            f"component is defined. {ADVICE}"
        )
    if not isinstance(found, type):
        raise StateError(f"the state of {component.name} names {name} as a class, which it is not.")
    return found


def found_in(module: Any, place: str) -> Any:
    found = module
    for part in place.split("."):
        found = getattr(found, part, None)
    return found
