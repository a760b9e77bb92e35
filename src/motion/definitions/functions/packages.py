"""Packages: whose code a function's is, and what of other modules is as much the user's own."""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Callable
from contextlib import suppress
from typing import Any

INSTALLED = frozenset({"site-packages", "dist-packages"})
LIBRARY = frozenset(os.path.realpath(sysconfig.get_path(each)) for each in ("stdlib", "platstdlib"))


def module_name(name: Any) -> str:
    """Return a module's name: of what `python -m shop.rules` runs, also in its processes, `shop.rules`."""
    if name in ("__main__", "__mp_main__"):
        spec = getattr(sys.modules.get(name), "__spec__", None)
        name = getattr(spec, "name", None) or "__main__"
    return str(name or "")


def top_of(name: Any) -> str:
    """Return the package of a module's name."""
    return module_name(name).partition(".")[0]


def name_of(kind: type) -> str:
    """Return a class's own name, whatever its metaclass says of it."""
    name: str = type.__dict__["__qualname__"].__get__(kind)
    return name.rpartition(".")[2]


def package_of(function: Callable[..., Any]) -> str:
    """Return the name of the package, or of the module outside of one, that a function belongs to."""
    while isinstance(function, functools.partial):
        function = function.func
    return top_of(getattr(function, "__module__", None) or type(function).__module__)


class Own:
    """What is as much the user's own as a package: the package, and what lies in one folder with it, as a script's modules do,
    unless that is where packages are installed."""

    def __init__(self, package: str) -> None:
        self._folder = _folder_of(package)
        self._known = {package: package != "builtins", "": False}

    def __call__(self, module: Any) -> bool:
        top = top_of(module)
        if top not in self._known:
            self._known[top] = self._folder is not None and _folder_of(top) == self._folder
        return self._known[top]


def _folder_of(package: str) -> str | None:
    """Return the folder that a package or module lies in; None where packages are installed, or it lies in none."""
    spec: Any = None
    with suppress(ImportError, ValueError, AttributeError):
        spec = importlib.util.find_spec(package)
    module = sys.modules.get(package)
    paths = [
        *(
            getattr(spec, "submodule_search_locations", None)
            or getattr(module, "__path__", None)
            or ()
        )
    ]
    file = paths[0] if paths else getattr(spec, "origin", None) or getattr(module, "__file__", None)
    if package == "__main__" and not file:
        return os.path.realpath(os.getcwd())
    folder = os.path.realpath(os.path.dirname(file)) if file and os.path.exists(file) else None
    is_installed = folder is None or folder in LIBRARY or INSTALLED & set(folder.split(os.sep))
    return None if is_installed else folder
