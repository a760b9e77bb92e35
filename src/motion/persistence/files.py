"""Files: model states on disk, named by the SHA-256 of their content, in forms that are safe to load.

Arrays and tensors go to safetensors files, the rest to a manifest of plain JSON, which the database keeps. Nothing
here can run code on load.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import safetensors.numpy

from motion.errors import StateError, UnsavableState

FOLDER = "states"
ARRAY, TENSOR, TUPLE, DICT = "$array", "$tensor", "$tuple", "$dict"


def save_state(folder: Path, component: str, saved: Any) -> str:
    """Write a state's arrays to files and return its manifest.

    Raises:
        UnsavableState: a part of it has no safe form.
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    tensors: dict[str, Any] = {}
    tree = _take_apart(component, saved, "state", arrays, tensors)
    files = {}
    if arrays:
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        files["arrays"] = _write(folder, safetensors.numpy.save(contiguous))
    if tensors:
        files["tensors"] = _write(folder, _save_tensors(tensors))
    return msgspec.json.encode({"format": 1, "tree": tree, **files}).decode()


def load_state(folder: Path, component: str, manifest: str) -> Any:
    """Return what `save_state` was given."""
    parts = msgspec.json.decode(manifest)
    arrays: dict[str, Any] = {}
    if "arrays" in parts:
        arrays |= safetensors.numpy.load(_read(folder, component, parts["arrays"]))
    if "tensors" in parts:
        from safetensors.torch import load

        arrays |= load(_read(folder, component, parts["tensors"]))
    return _put_together(parts["tree"], arrays)


def _take_apart(
    component: str,
    value: Any,
    path: str,
    arrays: dict[str, np.ndarray[Any, Any]],
    tensors: dict[str, Any],
) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        arrays[path] = value
        return {ARRAY: path}
    if _is_tensor(value):
        tensors[path] = value
        return {TENSOR: path}
    if isinstance(value, list | tuple):
        items = [
            _take_apart(component, v, f"{path}[{i}]", arrays, tensors) for i, v in enumerate(value)
        ]
        return items if isinstance(value, list) else {TUPLE: items}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {
            DICT: {
                k: _take_apart(component, v, f"{path}.{k}", arrays, tensors)
                for k, v in value.items()
            }
        }
    raise UnsavableState(component, path, type(value).__name__)


def _put_together(tree: Any, arrays: Mapping[str, Any]) -> Any:
    if isinstance(tree, list):
        return [_put_together(item, arrays) for item in tree]
    if not isinstance(tree, dict):
        return tree
    kind, content = next(iter(tree.items()))
    if kind in (ARRAY, TENSOR):
        return arrays[content]
    if kind == TUPLE:
        return tuple(_put_together(item, arrays) for item in content)
    return {key: _put_together(item, arrays) for key, item in content.items()}


def _is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")  # a tensor can only be here if torch is
    return torch is not None and isinstance(value, torch.Tensor)


def _save_tensors(tensors: Mapping[str, Any]) -> bytes:
    from safetensors.torch import save

    return save({name: tensor.detach().contiguous() for name, tensor in tensors.items()})


def _write(folder: Path, content: bytes) -> str:
    """Write a file whole or not at all, and have it on disk before anything names it."""
    name = f"{hashlib.sha256(content).hexdigest()}.safetensors"
    place = folder / FOLDER / name
    if place.exists():
        return name
    place.parent.mkdir(exist_ok=True)
    draft = place.with_suffix(f".{os.getpid()}.draft")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(place)
    return name


def _read(folder: Path, component: str, name: str) -> bytes:
    place = folder / FOLDER / name
    try:
        content = place.read_bytes()
    except OSError as exc:
        raise StateError(
            f"the state of {component} cannot be loaded: {place} is missing ({exc.strerror})."
        ) from exc
    if f"{hashlib.sha256(content).hexdigest()}.safetensors" != name:
        raise StateError(
            f"the state of {component} cannot be loaded: {place} is damaged. Restore it from a snapshot."
        )
    return content
