"""Taking apart: a state becomes a tree of plain data, and arrays and tensors by name. See `forms`."""

from __future__ import annotations

import collections
import dataclasses
import functools
import math
import sys
from collections.abc import Callable, Mapping
from enum import Enum, Flag
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from motion.errors import UnsavableState
from motion.persistence.states import estimators, files, tensors
from motion.persistence.states.form_kinds import (
    FACTORIES,
    INT64_MAX,
    described,
    found_in,
    is_of_script,
    is_plain,
)


class Taken:
    """A state taken apart: its arrays and tensors by the path of the part that they are."""

    def __init__(self, component: str, folder: Path) -> None:
        self._component, self._folder = component, folder
        self.classes: dict[str, type] = {}  # those that the tree names
        self._arrays: dict[str, np.ndarray[Any, Any]] = {}
        self._tensors: dict[str, Any] = {}
        self._names: set[str] = set()
        self._paths: dict[int, str] = {}
        self._keeps: list[Any] = []  # so that no id is used twice

    def write(self) -> dict[str, str]:
        """Write the files, and return their names by kind."""
        found = {}
        if self._arrays:
            content = safetensors.numpy.save(self._arrays)
            found["arrays"] = files.write(self._folder, content, "safetensors")
        if self._tensors:
            content = tensors.save(self._tensors)
            found["tensors"] = files.write(self._folder, content, "safetensors")
        return found

    def tree(self, value: Any, path: str) -> Any:
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is int:
            return value if abs(value) <= INT64_MAX else {"$int": str(value)}
        take = self._take_of(value)
        if take is not None:
            return take(value, path)
        named = tensors.named_by(value)
        if named is not None:
            return {f"${named[0]}": named[1]}
        raise self._unsavable(path, kind.__name__)

    def _take_of(self, value: Any) -> Callable[[Any, str], Any] | None:
        """Return what takes a value apart: by its very type, as what a type of somebody's own adds would be lost."""
        exact = _BY_TYPE.get(type(value))
        if exact is not None:
            return functools.partial(exact, self)
        for is_one, take in (
            (isinstance(value, np.generic), self._scalar),
            (tensors.is_size(value), self._size),
            (tensors.is_tensor(value), self._tensor),
            (tensors.is_module(value), self._module),
            (isinstance(value, Enum), self._enum),
            (estimators.is_estimator(value), self._estimator),
            (_is_record(value), self._record),
        ):
            if is_one:
                return take
        return None

    def _unsavable(self, path: str, what: str) -> UnsavableState:
        return UnsavableState(self._component, path, what)

    def _name(self, path: str) -> str:
        """Return the name of a part in the files: its path, or where keys look alike, such as "a.b" and "b" in "a", one
        more that is no other's."""
        name, number = path, 1
        while name in self._names:
            number += 1
            name = f"{path}#{number}"
        self._names.add(name)
        return name

    # plain data

    def _text(self, value: str, path: str) -> Any:
        if value.isascii() or not any("\ud800" <= each <= "\udfff" for each in value):
            return value
        return {
            "$text": value.encode("utf-8", "surrogatepass").hex()
        }  # half of a pair: JSON has none

    def _float(self, value: float, path: str) -> Any:
        return value if math.isfinite(value) else {"$float": repr(value)}

    def _complex(self, value: complex, path: str) -> Any:
        return {"$complex": [self._float(value.real, path), self._float(value.imag, path)]}

    def _items(self, value: Any, path: str) -> list[Any]:
        return [self.tree(each, f"{path}[{i}]") for i, each in enumerate(value)]

    def _tuple(self, value: Any, path: str) -> Any:
        return {"$tuple": self._items(value, path)}

    def _size(self, value: Any, path: str) -> Any:
        return {"$size": list(value)}

    def _set(self, value: Any, path: str) -> Any:
        return {f"${type(value).__name__}": self._items(sorted(value, key=_in_order), path)}

    def _deque(self, value: Any, path: str) -> Any:
        return {"$deque": {"items": self._items(value, path), "maxlen": value.maxlen}}

    def _dict(self, value: Mapping[Any, Any], path: str) -> Any:
        if all(type(key) is str and self._text(key, path) == key for key in value):
            return {"$dict": {key: self.tree(each, f"{path}.{key}") for key, each in value.items()}}
        return {"$items": self._pairs(value, path)}

    def _pairs(self, value: Mapping[Any, Any], path: str) -> list[Any]:
        return [
            [self.tree(key, f"{path}.key{i}"), self.tree(each, f"{path}.{key!s}")]
            for i, (key, each) in enumerate(value.items())
        ]

    def _ordered(self, value: Any, path: str) -> Any:
        """A `state_dict` has attributes beside its items: the versions of its modules."""
        held = {"items": self._pairs(value, path)}
        more = {"attributes": self._dict(vars(value), f"{path}.__dict__")} if vars(value) else {}
        return {"$ordered": {**held, **more}}

    def _counter(self, value: Any, path: str) -> Any:
        return {"$counter": self._pairs(value, path)}

    def _defaultdict(self, value: Any, path: str) -> Any:
        make = value.default_factory
        name = None if make is None else getattr(make, "__name__", "")
        if name is not None and FACTORIES.get(name) is not make:
            raise self._unsavable(path, f"defaultdict that makes its values by {make!r}")
        return {"$defaultdict": {"make": name, "items": self._pairs(value, path)}}

    # arrays

    def _array(self, value: Any, path: str) -> Any:
        known = self._paths.get(id(value))
        if known is None:
            name = self._paths[id(value)] = self._name(path)
            self._keeps.append(value)
            self._arrays[name] = self._raw(value, path)
            known = name
        if is_plain(value.dtype):
            return {"$array": known}
        shape = list(value.shape)
        return {"$typed": {"path": known, "dtype": described(value.dtype), "shape": shape}}

    def _scalar(self, value: Any, path: str) -> Any:
        tree = self._array(np.asarray(value), path)
        return {"$scalar": tree.get("$array", tree)}

    def _masked(self, value: Any, path: str) -> Any:
        if value.dtype.names or not isinstance(value.mask, np.ndarray | np.bool_):
            raise self._unsavable(path, f"{type(value).__name__} of {value.dtype}")
        return {
            "$masked": {
                "data": self.tree(value.data, f"{path}.data"),
                "mask": self.tree(value.mask, f"{path}.mask"),
                "fill": self.tree(np.asarray(value.fill_value), f"{path}.fill_value"),
                "hard": bool(value.hardmask),
            }
        }

    def _raw(self, array: np.ndarray[Any, Any], path: str) -> np.ndarray[Any, Any]:
        """Return an array as safetensors takes it: of one of its dtypes, else its bytes."""
        if is_plain(array.dtype):
            return np.ascontiguousarray(array).reshape(array.shape)
        if described(array.dtype) is None:
            raise self._unsavable(path, f"{type(array).__name__} of {array.dtype}")
        return np.frombuffer(array.tobytes(), np.uint8)

    def _bytes(self, value: bytes | bytearray, path: str) -> Any:
        name = self._name(path)
        self._arrays[name] = np.frombuffer(bytes(value), np.uint8)
        return {f"${type(value).__name__}": name}

    # torch

    def _tensor(self, value: Any, path: str) -> Any:
        name = self._tensor_name(value, path)
        if tensors.is_parameter(value):
            return {"$parameter": {"path": name, "requires_grad": value.requires_grad}}
        return {"$leaf": name} if value.requires_grad else {"$tensor": name}

    def _tensor_name(self, value: Any, path: str) -> str:
        """Keep a tensor once, however many parts share it: tied parameters come back tied."""
        what = tensors.unsavable(value)
        if what is not None:
            raise self._unsavable(path, what)
        if id(value) not in self._paths:
            name = self._paths[id(value)] = self._name(path)
            self._keeps.append(value)
            self._tensors[name] = value
        return self._paths[id(value)]

    def _module(self, value: Any, path: str) -> Any:
        if id(value) in self._paths:
            return {"$same": self._paths[id(value)]}
        name = self._paths[id(value)] = self._name(path)
        self._keeps.append(value)
        torch = sys.modules["torch"]
        own = value.__dict__
        hooks = torch.nn.Module().__dict__.keys() - {*tensors.MODULE_PARTS, "training"}
        if any(own.get(each) for each in hooks - {"_non_persistent_buffers_set"}):
            raise self._unsavable(path, f"{type(value).__name__} with hooks")
        remade = tensors.REMADE if isinstance(value, torch.nn.RNNBase) else ()
        left_out = {*hooks, *tensors.MODULE_PARTS, *remade}
        plain = {key: each for key, each in own.items() if key not in left_out}
        return {
            "$module": {
                "path": name,
                "class": self._class_name(value, path),
                "plain": {key: self.tree(each, f"{path}.{key}") for key, each in plain.items()},
                "parameters": self._named_tensors(own["_parameters"], path),
                "frozen": [k for k, v in own["_parameters"].items() if v is not None and not v.requires_grad],
                "buffers": self._named_tensors(own["_buffers"], path),
                "passing": sorted(own["_non_persistent_buffers_set"]),
                "modules": {
                    key: None if each is None else self._module(each, f"{path}.{key}")
                    for key, each in own["_modules"].items()
                },
            }
        }  # fmt: skip

    def _named_tensors(self, named: Mapping[str, Any], path: str) -> dict[str, str | None]:
        return {
            key: None if each is None else self._tensor_name(each, f"{path}.{key}")
            for key, each in named.items()
        }

    # objects

    def _estimator(self, value: Any, path: str) -> Any:
        content, unknown = estimators.saved(self._component, value)
        if unknown:
            held = ", ".join(unknown)
            raise self._unsavable(path, f"{type(value).__name__} that holds {held}")
        return {"$estimator": files.write(self._folder, content, "skops")}

    def _enum(self, value: Enum, path: str) -> Any:
        kind = self._class_name(value, path)
        if isinstance(value, Flag):  # several at once have no member of their own
            return {"$enum": {"class": kind, "value": self.tree(value.value, path)}}
        return {"$enum": {"class": kind, "name": value.name}}

    def _record(self, value: Any, path: str) -> Any:
        fields = _fields(value)
        missing = [name for name in fields if not hasattr(value, name)]
        if missing:
            raise self._unsavable(path, f"{type(value).__name__} without a value of {missing[0]}")
        more = [name for name in getattr(value, "__dict__", {}) if name not in fields]
        if any(isinstance(value, kind) for kind in _CONTAINERS) or (
            more and isinstance(value, tuple)
        ):
            raise self._unsavable(
                path, f"{type(value).__name__}, which holds more than its fields,"
            )
        kept = [name for name in more if not _is_cached(type(value), name)]
        held = {name: self.tree(getattr(value, name), f"{path}.{name}") for name in fields}
        extra = {name: self.tree(vars(value)[name], f"{path}.{name}") for name in kept}
        record = {"class": self._class_name(value, path), "fields": held}
        return {"$record": {**record, "extra": extra} if extra else record}

    def _class_name(self, value: Any, path: str) -> str:
        kind = type(value)
        name = f"{kind.__module__}:{kind.__qualname__}"
        if "<locals>" in kind.__qualname__:
            what = f"{kind.__name__}, a class made inside a function, so it cannot be found again,"
            raise self._unsavable(path, what)
        module = None if is_of_script(kind.__module__) else sys.modules.get(kind.__module__)
        if module is not None and found_in(module, kind.__qualname__) is not kind:
            what = f"{kind.__name__}, a class that is not to be found as {name},"
            raise self._unsavable(path, what)
        self.classes[name] = kind
        return name


_BY_TYPE: Mapping[type, Callable[..., Any]] = {
    str: Taken._text,
    float: Taken._float,
    complex: Taken._complex,
    list: Taken._items,
    tuple: Taken._tuple,
    set: Taken._set,
    frozenset: Taken._set,
    dict: Taken._dict,
    collections.OrderedDict: Taken._ordered,
    collections.Counter: Taken._counter,
    collections.defaultdict: Taken._defaultdict,
    collections.deque: Taken._deque,
    np.ndarray: Taken._array,
    np.ma.MaskedArray: Taken._masked,
    bytes: Taken._bytes,
    bytearray: Taken._bytes,
}

_CONTAINERS = (dict, list, set, frozenset, str, bytes, int, float, np.ndarray)


def _in_order(value: Any) -> str:
    """Return what puts the items of a set in an order that is the same in each process."""
    if isinstance(value, frozenset):
        return f"frozenset({sorted(map(_in_order, value))})"
    if isinstance(value, tuple):
        return f"({', '.join(map(_in_order, value))})"
    return repr(value)


def _is_record(value: Any) -> bool:
    is_named_tuple = isinstance(value, tuple) and hasattr(value, "_fields")
    return is_named_tuple or (dataclasses.is_dataclass(value) and not isinstance(value, type))


def _fields(value: Any) -> list[str]:
    named: Any = getattr(value, "_fields", None) if isinstance(value, tuple) else None
    return list(named) if named is not None else [f.name for f in dataclasses.fields(value)]


def _is_cached(kind: type, name: str) -> bool:
    """Whether an attribute is a property's value, which is made again when it is asked for."""
    return any(isinstance(vars(each).get(name), functools.cached_property) for each in kind.__mro__)
