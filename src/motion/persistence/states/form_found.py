"""Putting together: a state from the tree, the arrays and the tensors that were kept of it. See `forms`."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping
from enum import Enum, Flag
from typing import Any

import numpy as np

from motion.definitions.components import Component
from motion.errors import StateError
from motion.persistence.states import estimators, files, tensors
from motion.persistence.states.form_kinds import (
    ADVICE,
    FACTORIES,
    Classes,
    ClassIsGone,
    class_of,
    dtype_of,
)


@dataclasses.dataclass
class Found:
    """A state to be put together from what was kept of it."""

    source: files.Source
    component: Component
    held: Mapping[str, Any]
    classes: Classes
    modules: dict[str, Any] = dataclasses.field(default_factory=dict)
    parameters: dict[str, Any] = dataclasses.field(default_factory=dict)
    typed: dict[str, Any] = dataclasses.field(default_factory=dict)

    def value(self, tree: Any) -> Any:
        if isinstance(tree, list):
            return [self.value(each) for each in tree]
        if not isinstance(tree, dict):
            return tree
        kind, content = next(iter(tree.items()))
        made: Any = getattr(self, f"_{kind[1:]}")(content)
        return made

    # plain data

    def _int(self, text: str) -> int:
        return int(text)

    def _float(self, text: str) -> float:
        return float(text)

    def _text(self, kept: str) -> str:
        return bytes.fromhex(kept).decode("utf-8", "surrogatepass")

    def _complex(self, parts: list[Any]) -> complex:
        return complex(*self.value(parts))

    def _tuple(self, items: list[Any]) -> Any:
        return tuple(self.value(items))

    def _size(self, items: list[Any]) -> Any:
        return tensors.import_torch(self.component.name).Size(items)

    def _set(self, items: list[Any]) -> Any:
        return set(self.value(items))

    def _frozenset(self, items: list[Any]) -> Any:
        return frozenset(self.value(items))

    def _deque(self, kept: Mapping[str, Any]) -> Any:
        return collections.deque(self.value(kept["items"]), kept["maxlen"])

    def _dict(self, items: Mapping[str, Any]) -> Any:
        return {key: self.value(each) for key, each in items.items()}

    def _items(self, pairs: list[list[Any]]) -> Any:
        return {self.value(key): self.value(each) for key, each in pairs}

    def _ordered(self, kept: Mapping[str, Any]) -> Any:
        made = collections.OrderedDict(self._items(kept["items"]))
        if "attributes" in kept:
            vars(made).update(self.value(kept["attributes"]))
        return made

    def _counter(self, pairs: list[list[Any]]) -> Any:
        return collections.Counter(self._items(pairs))

    def _defaultdict(self, kept: Mapping[str, Any]) -> Any:
        make = None if kept["make"] is None else FACTORIES[kept["make"]]
        return collections.defaultdict(make, self._items(kept["items"]))

    # arrays

    def _array(self, path: str) -> Any:
        return self.held[path]

    _tensor = _array

    def _typed(self, kept: Mapping[str, Any]) -> Any:
        path = kept["path"]
        if path not in self.typed:
            dtype = dtype_of(kept["dtype"])
            if dtype.hasobject:
                raise StateError(f"the state of {self.component.name} names {dtype} as a dtype.")
            raw = bytearray(self.held[path].tobytes())
            self.typed[path] = np.frombuffer(raw, dtype).reshape(kept["shape"])
        return self.typed[path]

    def _masked(self, kept: Mapping[str, Any]) -> Any:
        made = np.ma.MaskedArray(
            self.value(kept["data"]), mask=self.value(kept["mask"]), hard_mask=kept["hard"]
        )
        made.fill_value = self.value(kept["fill"])[()]
        return made

    def _scalar(self, kept: Any) -> Any:
        return (self.held[kept] if isinstance(kept, str) else self.value(kept))[()]

    def _bytes(self, path: str) -> bytes:
        array: np.ndarray[Any, Any] = self.held[path]
        return array.tobytes()

    def _bytearray(self, path: str) -> bytearray:
        return bytearray(self._bytes(path))

    # torch

    def _leaf(self, path: str) -> Any:
        return self.held[path].requires_grad_()

    def _parameter(self, kept: Mapping[str, Any]) -> Any:
        return self._parameter_of(kept["path"], requires_grad=kept["requires_grad"])

    def _parameter_of(self, path: str | None, *, requires_grad: bool) -> Any:
        if path is None:
            return None
        if path not in self.parameters:
            make = tensors.import_torch(self.component.name).nn.Parameter
            self.parameters[path] = make(self.held[path], requires_grad)
        return self.parameters[path]

    def _dtype(self, name: str) -> Any:
        return self._named("dtype", name)

    def _device(self, name: str) -> Any:
        return self._named("device", name)

    def _function(self, name: str) -> Any:
        return self._named("function", name)

    def _named(self, kind: str, name: str) -> Any:
        found = tensors.named(kind, name, self.component.name)
        if found is None:
            raise StateError(
                f"the state of {self.component.name} names {name} as a {kind} of torch."
            )
        return found

    def _same(self, path: str) -> Any:
        return self.modules[path]

    def _module(self, kept: Mapping[str, Any]) -> Any:
        torch = tensors.import_torch(self.component.name)
        kind: Any = self._class(kept["class"])
        if kind is None:
            held: dict[str, Any] = {}
            self.modules[kept["path"]] = held
            held |= {key: self.value(each) for key, each in kept["plain"].items()}
            tensors_of = {**kept["parameters"], **kept["buffers"]}
            held |= {k: None if path is None else self.held[path] for k, path in tensors_of.items()}
            return held | {key: self.value(each) for key, each in kept["modules"].items()}
        if not issubclass(kind, torch.nn.Module):
            raise StateError(
                f"the state of {self.component.name} holds a {kept['class']}, which is no torch module now."
            )
        module = kind.__new__(kind)
        torch.nn.Module.__init__(module)
        self.modules[kept["path"]] = module
        module.__dict__.update({key: self.value(each) for key, each in kept["plain"].items()})
        for name, path in kept["parameters"].items():
            module._parameters[name] = self._parameter_of(
                path, requires_grad=name not in kept["frozen"]
            )
        for name, path in kept["buffers"].items():
            module._buffers[name] = None if path is None else self.held[path]
        module._non_persistent_buffers_set = set(kept["passing"])
        for name, each in kept["modules"].items():
            module._modules[name] = None if each is None else self.value(each)
        if isinstance(module, torch.nn.RNNBase):
            module._init_flat_weights()
        return module

    # objects

    def _estimator(self, file: str) -> Any:
        name = self.component.name
        return estimators.loaded(name, files.read(self.source, name, file))

    def _enum(self, kept: Mapping[str, Any]) -> Any:
        kind: Any = self._class(kept["class"])
        if kind is None:
            return kept["name"] if "name" in kept else self.value(kept["value"])
        if not issubclass(kind, Enum):
            raise StateError(
                f"the state of {self.component.name} holds a {kept['class']}, which is no enum now."
            )
        if "value" in kept and issubclass(kind, Flag):
            return kind(self.value(kept["value"]))
        if kept.get("name") in kind.__members__:
            return kind[kept["name"]]
        if self._has_load:
            return kept["name"]
        raise StateError(
            f"the state of {self.component.name} holds {kept.get('name')} of {kept['class']}, which has no such member "
            f"now. {ADVICE}"
        )

    def _record(self, kept: Mapping[str, Any]) -> Any:
        kind: Any = self._class(kept["class"])
        held: dict[str, Any] = {name: self.value(each) for name, each in kept["fields"].items()}
        extra = self._dict(kept.get("extra", {}))
        if kind is None:
            return {**held, **extra}
        if issubclass(kind, tuple) and hasattr(kind, "_fields"):
            if list(kind._fields) == list(held):
                return tuple.__new__(kind, held.values())
            return self._misfit(kept, held, kind._fields)
        if not hasattr(kind, "__dataclass_fields__"):
            raise StateError(
                f"the state of {self.component.name} holds a {kept['class']}, which is no dataclass now."
            )
        names = {each.name for each in dataclasses.fields(kind)}
        whole = {**_defaults(kind), **held}
        if names != whole.keys():
            return self._misfit(kept, {**held, **extra}, sorted(names))
        value: Any = object.__new__(kind)  # `__init__` may do anything
        for name, each in (whole | extra).items():
            object.__setattr__(value, name, each)
        return value

    def _misfit(self, kept: Mapping[str, Any], held: Any, names: Any) -> Any:
        """Return what `load` is given for a record that its class does not fit any more: a dict of what it held."""
        if self._has_load:
            return held
        raise StateError(
            f"the state of {self.component.name} holds a {kept['class']} with fields {', '.join(kept['fields'])}, "
            f"but the class has {', '.join(names)} now. Give new fields defaults. {ADVICE}"
        )

    @property
    def _has_load(self) -> bool:
        return type(self.component).load is not Component.load

    def _class(self, name: str) -> type | None:
        """Return a class; None where it is gone, and the component's `load` knows what to do without it."""
        try:
            return class_of(name, self.component, self.classes)
        except ClassIsGone:
            if self._has_load:
                return None
            raise


def _defaults(kind: Any) -> dict[str, Any]:
    found = {}
    for field in dataclasses.fields(kind):
        if field.default is not dataclasses.MISSING:
            found[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            found[field.name] = field.default_factory()
    return found
