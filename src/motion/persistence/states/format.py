"""Forms: how a model's state is kept so that loading it cannot run code.

Arrays, tensors and the parameters of torch modules go to safetensors files, scikit-learn estimators to skops files, all
else to a manifest of plain JSON, which the database keeps. A dataclass or a torch module is kept as the name of its
class and what it holds; loading finds the class among the modules that this process has imported, and imports nothing
but the component's own package. Pickle is for components that ask for it by name.

A part comes back as it was, of the same type, or is refused with the path to it. Equal states have equal manifests.

Format 2 of the manifest: `{"format": 2, "tree": ..., "arrays": file, "tensors": file, "pickle": file}`. In the tree, plain
values stand for themselves, and an object with one key that begins with a dollar sign for anything else. Format 1 had
fewer kinds of these.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
import msgspec
import numpy as np
import safetensors.numpy

from motion.definitions.components import Component
from motion.errors import StateError, UnsavableState
from motion.persistence.states import files, tensors
from motion.persistence.states.form_found import Found
from motion.persistence.states.form_kinds import Classes, ClassIsGone, class_of, is_of_script
from motion.persistence.states.form_taken import Taken

FORMAT = 2


@dataclass(frozen=True)
class Sent:
    """A state as it is kept, on its way to or from where its store's folder is not.

    Attributes:
        version: 0 for one that has no number yet.
        contents: the files that its manifest names, each as an array of bytes.
    """

    component: str
    version: int
    manifest: str
    contents: Mapping[str, Any]

    @classmethod
    def of(cls, folder: Path, component: str, version: int, manifest: str) -> Sent:
        contents = {
            name: np.frombuffer(files.read(folder, component, name), np.uint8)
            for name in sorted(files_of(manifest))
        }
        return cls(component, version, manifest, contents)

    def keep(self, folder: Path) -> None:
        """Write its files to a store's folder, which is held until its manifest is committed."""
        for name, content in self.contents.items():
            files.write(folder, bytes(content), name.partition(".")[2])


def save_state(folder: Path, component: Component, state: Any) -> str:
    """Write a state's files and return its manifest. Hold the folder (`files.held`) until the manifest is committed.

    The state is read back, so that no version comes about which nobody can load.

    Raises:
        UnsavableState: a part of it has no safe form.
        StateError: it cannot be read back.
    """
    manifest, classes = _saved(folder, component, state)
    try:
        load_state(folder, component, manifest, classes)
    except Exception as exc:
        raise StateError(
            f"the state of {component.name} was kept, but cannot be loaded again: {type(exc).__name__}: {exc}"
        ) from exc
    return manifest


def _saved(folder: Path, component: Component, state: Any) -> tuple[str, Classes]:
    """Write a state's files, and return its manifest and the classes that it names."""
    saved = component.save(state)
    if component.by_pickle:
        name = files.write(folder, cloudpickle.dumps(saved), "pickle")
        return msgspec.json.encode({"format": FORMAT, "pickle": name}).decode(), {}
    taken = Taken(component.name, folder)
    try:
        parts = {"format": FORMAT, "tree": taken.tree(saved, "state"), **taken.write()}
        return msgspec.json.encode(parts).decode(), taken.classes
    except RecursionError as exc:
        what = "value that holds itself, or is nested too deeply,"
        raise UnsavableState(component.name, "state", what) from exc


def load_state(
    source: files.Source, component: Component, manifest: str, classes: Classes | None = None
) -> Any:
    """Return the state that `save_state` was given.

    Raises:
        StateError: a file or a class is missing, or it was kept by pickle, which the component does not ask for.
        MissingPackage: it holds tensors or estimators, and what reads them is not installed.
    """
    name, parts = component.name, msgspec.json.decode(manifest)
    if parts.get("format", 1) > FORMAT:
        raise StateError(
            f"the state of {name} was kept by a newer Motion, in format {parts['format']}; this one reads up to {FORMAT}."
        )
    if "pickle" in parts:
        if not component.by_pickle:
            raise StateError(
                f"the state of {name} was kept by pickle, which can run code when it is loaded; if you trust who "
                f"wrote it, declare class {name}(motion.Component, pickle=True)."
            )
        return component.load(pickle.loads(files.read(source, name, parts["pickle"])))
    held: dict[str, Any] = {}
    if "arrays" in parts:
        held |= safetensors.numpy.load(files.read(source, name, parts["arrays"]))
    if "tensors" in parts:
        held |= tensors.load(name, files.read(source, name, parts["tensors"]))
    found = Found(source, component, held, classes or {})
    return component.load(found.value(parts["tree"]))


def files_of(manifest: str) -> set[str]:
    """Return the names of the files that a manifest names."""
    parts = msgspec.json.decode(manifest)
    return {parts[kind] for kind in ("arrays", "tensors", "pickle") if kind in parts} | {
        node["$estimator"] for node in _nodes(parts.get("tree")) if "$estimator" in node
    }


def check_classes(manifest: str, component: Component) -> None:
    """Look up all classes that a new state's manifest names, as loading it in this process will.

    Raises:
        StateError: one of them is not there.
    """
    for name in sorted(_names_of(manifest)):
        class_of(name, component, {})


def classes_of(manifest: str, component: Component) -> Classes:
    """Return the classes that a manifest names and that only this process can find: those of its script."""
    found = {}
    for name in _names_of(manifest):
        if is_of_script(name.partition(":")[0]):
            with suppress(ClassIsGone):  # loading it says so, or does without
                found[name] = class_of(name, component, {})
    return found


def _names_of(manifest: str) -> set[str]:
    return {
        node[kind]["class"]
        for node in _nodes(msgspec.json.decode(manifest).get("tree"))
        for kind in ("$record", "$enum", "$module")
        if kind in node
    }


def _nodes(tree: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    for child in (
        tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    ):
        yield from _nodes(child)
