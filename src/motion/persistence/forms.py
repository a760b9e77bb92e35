"""Forms: how a model's state is kept so that loading it cannot run code.

Arrays, tensors and the parameters of torch modules go to safetensors files, scikit-learn estimators to skops files, all
else to a manifest of plain JSON, which the database keeps. A dataclass or a torch module is kept as the name of its
class and what it holds; loading finds the class among the modules that this process has imported, and imports nothing
but the component's own package. Pickle is for components that ask for it by name.

Format 1 of the manifest: `{"format": 1, "tree": ..., "arrays": file, "tensors": file, "pickle": file}`. In the tree, plain
values stand for themselves, and an object with one key that begins with a dollar sign for anything else.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
import pickle
import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import cloudpickle
import msgspec
import numpy as np
import safetensors.numpy

from motion.components import Component
from motion.errors import MissingPackage, StateError, UnsavableState
from motion.persistence import files

FORMAT = 1
INT64_MAX = 2**63 - 1

Classes = Mapping[str, type]
"""Classes that cannot be found by their name here, such as those of another process's script, by that name."""


def save_state(folder: Path, component: Component, state: Any) -> str:
    """Write a state's files and return its manifest. Hold the folder (`files.held`) until the manifest is committed.

    Raises:
        UnsavableState: a part of it has no safe form.
    """
    saved = component.save(state)
    if component.by_pickle:
        name = files.write(folder, cloudpickle.dumps(saved), "pickle")
        return msgspec.json.encode({"format": FORMAT, "pickle": name}).decode()
    taken = _Taken(component.name, folder)
    parts = {"format": FORMAT, "tree": taken.tree(saved, "state"), **taken.write()}
    return msgspec.json.encode(parts).decode()


def load_state(
    folder: Path, component: Component, manifest: str, classes: Classes | None = None
) -> Any:
    """Return the state that `save_state` was given.

    Raises:
        StateError: a file or a class is missing, or it was kept by pickle, which the component does not ask for.
        MissingPackage: it holds tensors or estimators, and what reads them is not installed.
    """
    name, parts = component.name, msgspec.json.decode(manifest)
    if "pickle" in parts:
        if not component.by_pickle:
            raise StateError(
                f"the state of {name} was kept by pickle, which can run code when it is loaded; if you trust who "
                f"wrote it, declare class {name}(motion.Component, pickle=True)."
            )
        return component.load(pickle.loads(files.read(folder, name, parts["pickle"])))
    held: dict[str, Any] = {}
    if "arrays" in parts:
        held |= safetensors.numpy.load(files.read(folder, name, parts["arrays"]))
    if "tensors" in parts:
        held |= _load_tensors(name, files.read(folder, name, parts["tensors"]))
    found = _Found(folder, component, held, classes or {})
    return component.load(found.value(parts["tree"]))


def files_of(manifest: str) -> set[str]:
    """Return the names of the files that a manifest names."""
    parts = msgspec.json.decode(manifest)
    return {parts[kind] for kind in ("arrays", "tensors", "pickle") if kind in parts} | {
        node["$estimator"] for node in _nodes(parts.get("tree")) if "$estimator" in node
    }


def classes_of(manifest: str, component: Component) -> Classes:
    """Return the classes that a manifest names and that only this process may be able to find: its script's."""
    names = {
        node[kind]["class"]
        for node in _nodes(msgspec.json.decode(manifest).get("tree"))
        for kind in ("$record", "$enum", "$module")
        if kind in node
    }
    own = {name for name in names if name.startswith("__main__:")}
    return {name: _class(name, component, {}) for name in own}


def _nodes(tree: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    for child in (
        tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    ):
        yield from _nodes(child)


# -- taking apart --


class _Taken:
    """A state taken apart: its arrays and tensors by the path of the part that they are."""

    def __init__(self, component: str, folder: Path) -> None:
        self._component, self._folder = component, folder
        self._arrays: dict[str, np.ndarray[Any, Any]] = {}
        self._tensors: dict[str, Any] = {}
        self._paths: dict[int, str] = {}
        self._keeps: list[Any] = []  # so that no id is used twice

    def write(self) -> dict[str, str]:
        """Write the files, and return their names by kind."""
        found = {}
        if self._arrays:
            found["arrays"] = files.write(
                self._folder, safetensors.numpy.save(self._arrays), "safetensors"
            )
        if self._tensors:
            found["tensors"] = files.write(
                self._folder, _save_tensors(self._tensors), "safetensors"
            )
        return found

    def tree(self, value: Any, path: str) -> Any:
        kind = type(value)
        if value is None or kind in (bool, str):
            return value
        if kind is int:
            return value if abs(value) <= INT64_MAX else {"$int": str(value)}
        if kind is float:
            return value if math.isfinite(value) else {"$float": repr(value)}
        for is_one, take in (
            (kind in (list, tuple, set, frozenset) or _is_torch(value, "Size"), self._items),
            (isinstance(value, np.ndarray | np.generic), self._array),
            (kind in (bytes, bytearray), self._bytes),
            (_is_torch(value, "Tensor"), self._tensor),
            (_is_torch(value, "nn.Module"), self._module),
            (isinstance(value, Mapping) and not _is_record(value), self._mapping),
            (isinstance(value, Enum), self._enum),
            (_is_estimator(value), self._estimator),
            (_is_record(value), self._record),
        ):
            if is_one:
                return take(value, path)
        raise self._unsavable(path, kind.__name__)

    def _unsavable(self, path: str, what: str) -> UnsavableState:
        return UnsavableState(self._component, path, what)

    def _items(self, value: Any, path: str) -> Any:
        kind = type(value).__name__
        found = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        items = [self.tree(each, f"{path}[{i}]") for i, each in enumerate(found)]
        if isinstance(value, list):
            return items
        return {f"${kind if kind in ('set', 'frozenset') else 'tuple'}": items}

    def _mapping(self, value: Mapping[Any, Any], path: str) -> Any:
        if all(type(key) is str for key in value):
            return {"$dict": {key: self.tree(each, f"{path}.{key}") for key, each in value.items()}}
        pairs = enumerate(value.items())
        return {
            "$items": [
                [self.tree(key, f"{path}.key{i}"), self.tree(each, f"{path}.{key}")]
                for i, (key, each) in pairs
            ]
        }

    def _array(self, value: Any, path: str) -> Any:
        array = np.asarray(value)
        if array.dtype.hasobject or array.dtype.kind not in "biufc":
            raise self._unsavable(path, f"{type(value).__name__} of {array.dtype}")
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        self._arrays[path] = np.ascontiguousarray(little).reshape(array.shape)
        return {"$scalar" if isinstance(value, np.generic) else "$array": path}

    def _bytes(self, value: bytes, path: str) -> Any:
        self._arrays[path] = np.frombuffer(bytes(value), np.uint8)
        return {"$bytes": path}

    def _tensor(self, value: Any, path: str) -> Any:
        return {"$tensor": self._tensor_path(value, path)}

    def _tensor_path(self, value: Any, path: str) -> str:
        """Keep a tensor once, however many parts share it: tied parameters come back tied."""
        known = self._paths.setdefault(id(value), path)
        if known == path:
            self._keeps.append(value)
            self._tensors[path] = value
        return known

    def _module(self, value: Any, path: str) -> Any:
        known = self._paths.setdefault(id(value), path)
        if known != path:
            return {"$same": known}
        self._keeps.append(value)
        torch = sys.modules["torch"]
        own = value.__dict__
        hooks = torch.nn.Module().__dict__.keys() - {*_MODULE_PARTS, "training"}
        if any(own.get(name) for name in hooks - {"_non_persistent_buffers_set"}):
            raise self._unsavable(path, f"{type(value).__name__} with hooks")
        plain = {k: v for k, v in own.items() if k not in hooks and k not in _MODULE_PARTS}
        return {
            "$module": {
                "path": path,
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

    def _named_tensors(self, tensors: Mapping[str, Any], path: str) -> dict[str, str | None]:
        return {
            key: None if each is None else self._tensor_path(each, f"{path}.{key}")
            for key, each in tensors.items()
        }

    def _estimator(self, value: Any, path: str) -> Any:
        skops = _skops(self._component)
        content = skops.dumps(value)
        unknown = skops.get_untrusted_types(data=content)
        if unknown:
            held = ", ".join(unknown)
            raise self._unsavable(path, f"{type(value).__name__} that holds {held}")
        return {"$estimator": files.write(self._folder, content, "skops")}

    def _enum(self, value: Enum, path: str) -> Any:
        return {"$enum": {"class": self._class_name(value, path), "name": value.name}}

    def _record(self, value: Any, path: str) -> Any:
        fields = getattr(value, "_fields", None) or [f.name for f in dataclasses.fields(value)]
        held = {name: self.tree(getattr(value, name), f"{path}.{name}") for name in fields}
        return {"$record": {"class": self._class_name(value, path), "fields": held}}

    def _class_name(self, value: Any, path: str) -> str:
        kind = type(value)
        if "<locals>" in kind.__qualname__:
            what = f"{kind.__name__}, a class made inside a function, so it cannot be found again,"
            raise self._unsavable(path, what)
        return f"{kind.__module__}:{kind.__qualname__}"


_MODULE_PARTS = ("_parameters", "_buffers", "_modules")


def _is_torch(value: Any, name: str) -> bool:
    torch: Any = sys.modules.get("torch")  # what is of torch can only be here if torch is
    if torch is None:
        return False
    kind = torch.nn.Module if name == "nn.Module" else getattr(torch, name)
    return isinstance(value, kind)


def _is_estimator(value: Any) -> bool:
    sklearn: Any = sys.modules.get("sklearn.base")
    return sklearn is not None and isinstance(value, sklearn.BaseEstimator)


def _is_record(value: Any) -> bool:
    is_named_tuple = isinstance(value, tuple) and hasattr(value, "_fields")
    return is_named_tuple or (dataclasses.is_dataclass(value) and not isinstance(value, type))


def _save_tensors(tensors: Mapping[str, Any]) -> bytes:
    from safetensors.torch import save

    seen: set[int] = set()
    own = {}
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        memory = plain.untyped_storage().data_ptr()
        own[name] = plain.clone() if memory in seen else plain  # safetensors refuses shared memory
        seen.add(memory)
    return save(own)


def _load_tensors(component: str, content: bytes) -> Mapping[str, Any]:
    try:
        from safetensors.torch import load
    except ImportError as exc:
        raise MissingPackage(f"the state of {component}", "torch", "torch") from exc
    return load(content)


def _skops(component: str) -> Any:
    try:
        import skops.io
    except ImportError as exc:
        raise MissingPackage(f"the state of {component}", "skops", "sklearn") from exc
    return skops.io


# -- putting together --


@dataclasses.dataclass
class _Found:
    """A state to be put together from what was kept of it."""

    folder: Path
    component: Component
    held: Mapping[str, Any]
    classes: Classes
    modules: dict[str, Any] = dataclasses.field(default_factory=dict)
    parameters: dict[str, Any] = dataclasses.field(default_factory=dict)

    def value(self, tree: Any) -> Any:
        if isinstance(tree, list):
            return [self.value(each) for each in tree]
        if not isinstance(tree, dict):
            return tree
        kind, content = next(iter(tree.items()))
        made: Any = getattr(self, f"_{kind[1:]}")(content)
        return made

    def _int(self, text: str) -> int:
        return int(text)

    def _float(self, text: str) -> float:
        return float(text)

    def _tuple(self, items: list[Any]) -> Any:
        return tuple(self.value(items))

    def _set(self, items: list[Any]) -> Any:
        return set(self.value(items))

    def _frozenset(self, items: list[Any]) -> Any:
        return frozenset(self.value(items))

    def _dict(self, items: Mapping[str, Any]) -> Any:
        return {key: self.value(each) for key, each in items.items()}

    def _items(self, pairs: list[list[Any]]) -> Any:
        return {self.value(key): self.value(each) for key, each in pairs}

    def _array(self, path: str) -> Any:
        return self.held[path]

    _tensor = _array

    def _scalar(self, path: str) -> Any:
        return self.held[path][()]

    def _bytes(self, path: str) -> bytes:
        array: np.ndarray[Any, Any] = self.held[path]
        return array.tobytes()

    def _estimator(self, file: str) -> Any:
        skops = _skops(self.component.name)
        return skops.loads(files.read(self.folder, self.component.name, file), trusted=[])

    def _enum(self, kept: Mapping[str, str]) -> Any:
        kind = self._class(kept["class"])
        if not issubclass(kind, Enum) or kept["name"] not in kind.__members__:
            raise StateError(
                f"the state of {self.component.name} holds {kept['name']} of {kept['class']}, which has no such member now."
            )
        return kind[kept["name"]]

    def _record(self, kept: Mapping[str, Any]) -> Any:
        kind: Any = self._class(kept["class"])
        held: dict[str, Any] = {name: self.value(each) for name, each in kept["fields"].items()}
        if issubclass(kind, tuple) and hasattr(kind, "_fields"):
            return kind(**held)
        if not hasattr(kind, "__dataclass_fields__"):
            raise StateError(
                f"the state of {self.component.name} holds a {kept['class']}, which is no dataclass now."
            )
        names = {each.name for each in dataclasses.fields(kind)}
        held = {**_defaults(kind), **held}
        if names != held.keys():
            raise StateError(
                f"the state of {self.component.name} holds a {kept['class']} with fields {', '.join(kept['fields'])}, "
                f"but the class has {', '.join(sorted(names))} now; give new fields defaults, or give the component "
                f"load(self, saved)."
            )
        value: Any = object.__new__(kind)  # `__init__` may do anything
        for name, each in held.items():
            object.__setattr__(value, name, each)
        return value

    def _same(self, path: str) -> Any:
        return self.modules[path]

    def _module(self, kept: Mapping[str, Any]) -> Any:
        torch = (
            sys.modules["torch"] if "torch" in sys.modules else _import_torch(self.component.name)
        )
        kind: Any = self._class(kept["class"])
        if not issubclass(kind, torch.nn.Module):
            raise StateError(
                f"the state of {self.component.name} holds a {kept['class']}, which is no torch module now."
            )
        module = kind.__new__(kind)
        torch.nn.Module.__init__(module)
        self.modules[kept["path"]] = module
        module.__dict__.update({key: self.value(each) for key, each in kept["plain"].items()})
        for name, path in kept["parameters"].items():
            module._parameters[name] = self._parameter(torch, path, name not in kept["frozen"])
        for name, path in kept["buffers"].items():
            module._buffers[name] = None if path is None else self.held[path]
        module._non_persistent_buffers_set = set(kept["passing"])
        for name, each in kept["modules"].items():
            module._modules[name] = None if each is None else self.value(each)
        return module

    def _parameter(self, torch: Any, path: str | None, requires_grad: bool) -> Any:
        if path is None:
            return None
        if path not in self.parameters:
            self.parameters[path] = torch.nn.Parameter(self.held[path], requires_grad)
        return self.parameters[path]

    def _class(self, name: str) -> type:
        return _class(name, self.component, self.classes)


def _defaults(kind: Any) -> dict[str, Any]:
    found = {}
    for field in dataclasses.fields(kind):
        if field.default is not dataclasses.MISSING:
            found[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            found[field.name] = field.default_factory()
    return found


def _class(name: str, component: Component, classes: Classes) -> type:
    """Return a class by the name that a manifest gives it. Nothing is imported that the component's author did not write."""
    if name in classes:
        return classes[name]
    module, _, place = name.partition(":")
    top, own = module.partition(".")[0], type(component).__module__.partition(".")[0]
    try:
        if module not in sys.modules and top in (own, "torch"):
            importlib.import_module(module)
        found: Any = sys.modules[module]
        for part in place.split("."):
            found = getattr(found, part)
    except (ImportError, KeyError, AttributeError) as exc:
        raise StateError(
            f"the state of {component.name} holds a {place} of module {module}, which is not there. Import it where the "
            f"component is defined; if it was renamed, give the component save(self, state) and load(self, saved)."
        ) from exc
    if not isinstance(found, type):
        raise StateError(f"the state of {component.name} names {name} as a class, which it is not.")
    return found


def _import_torch(component: str) -> Any:
    try:
        return importlib.import_module("torch")
    except ImportError as exc:
        raise MissingPackage(f"the state of {component}", "torch", "torch") from exc
