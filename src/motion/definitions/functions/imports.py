"""Imports inside functions: what a function takes of its own package when it is called, told by the package's files.

Nothing is imported for it: a module may be imported so late because it takes long, or because it imports this one. So it is
the same whether some process has imported that module already or not.
"""

from __future__ import annotations

import ast
import copy
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from motion.definitions.functions.sources import (
    DEFINITIONS,
    IMPORTS,
    Stamp,
    Told,
    imported,
    tree_of,
)

FILES_KEPT = 1_024

Wanted = tuple[str, str | None, frozenset[str], bool]
"""Something to follow: the module, the name in it or None for the module itself, the members that are looked up in that, and
whether it is imported, so it may be a module below."""


class File:
    """A module as its file says it."""

    def __init__(self, name: str, package: str, path: str, stamp: Stamp, loader: Any) -> None:
        self.name = name
        self._package, self._path, self._stamp, self._loader = package, path, stamp, loader
        self._known: dict[str, list[Told]] = {}
        body = self._body()
        self.stars = [
            module
            for each in body
            if isinstance(each, ast.ImportFrom)
            for module, taken, _ in imported(each, package)
            if taken == "*"
        ]
        self._places: dict[str, list[int]] = {}
        for place, statement in enumerate(body):
            for bound in _names_of(statement):
                self._places.setdefault(bound, []).append(place)
        made_by_import = {
            bound
            for each in body
            if isinstance(each, IMPORTS)
            for _, _, bound in imported(each, package)
        }
        for place, statement in enumerate(body):  # what is put into something by decorators
            for bound in _decorated_by(statement) & self._places.keys() - made_by_import:
                self._places[bound].append(place)

    def _body(self) -> list[ast.stmt]:
        return _body(self._path, self._stamp, self._loader)

    def names(self) -> Iterable[str]:
        return self._places.keys()

    def defined(self, name: str) -> list[Told]:
        """Return what the statements say that give a name its value."""
        if name not in self._known:
            places = self._places.get(name, [])
            body = self._body() if places else []
            statements = [_without_stores(body[each]) for each in places if each < len(body)]
            self._known[name] = [self._told(each, name) for each in statements]
        return self._known[name]

    def _told(self, statement: ast.stmt, name: str) -> Told:
        told = Told.of(statement, self._package)
        if not isinstance(statement, IMPORTS):
            return told
        bound = tuple(each for each in told.imports if each[2] == name)
        return Told("", "", frozenset(), frozenset(), bound, ())


class Imports:
    """What functions import of what is their own, each thing once."""

    def __init__(self, is_own: Callable[[str], bool]) -> None:
        self._is_own = is_own
        self._seen: set[Wanted] = set()
        self._files: dict[str, File | None] = {}

    def of(self, told: Iterable[Told]) -> Iterator[str]:
        """Yield as text what some code imports of its package."""
        wanted = deque[Wanted]()
        for each in told:
            wanted += self._imported(each, each.members)
        while wanted:
            yield from self._follow(wanted.popleft(), wanted)

    def whole(self, module: str) -> Iterator[str]:
        """Yield as text all that a module of the package defines."""
        file = self._file(module)
        wanted = deque[Wanted]()
        wanted += (
            (module, name, frozenset[str](), False) for name in (file.names() if file else ())
        )
        while wanted:
            yield from self._follow(wanted.popleft(), wanted)

    def _file(self, module: str) -> File | None:
        if module not in self._files:
            self._files[module] = _file(module)
        return self._files[module]

    def _imported(self, told: Told, members: frozenset[str]) -> Iterator[Wanted]:
        for module, name, bound in told.imports:
            yield module, name, members, True
            if name is None and bound != module:  # `import shop.words` binds `shop`
                above = module.split(".")[:-1]
                yield from (
                    (".".join(above[: i + 1]), None, members, True) for i in range(len(above))
                )

    def _follow(self, wanted: Wanted, more: deque[Wanted]) -> Iterator[str]:
        module, name, members, is_import = wanted
        if not self._is_own(module):
            if is_import:
                yield f"{module.partition('.')[0]}:{name or module}"
            return
        file = self._file(module)
        if name is None:
            names = sorted(members & set(file.names())) if file else []
            more += ((module, each, members, False) for each in names)
            more += (
                (star, each, members, False)
                for star in (file.stars if file else ())
                for each in sorted(members)
            )
            return
        told = file.defined(name) if file else []
        is_bound = any(each.text for each in told)
        # A module may be met again with other members; what has a text is the same.
        key = (module, name, frozenset() if is_bound else members, is_import)
        if key in self._seen:
            return
        self._seen.add(key)
        if is_import:
            more.append((f"{module}.{name}", None, members, True))
        if file and not told:
            more += ((star, name, members, False) for star in file.stars)
        for each in told:
            if each.text:
                yield f"{name}: {each.text}"
            used = sorted({path[0] for path in each.paths} - {name})
            known = set(file.names()) if file else set()
            more += (
                (module, use, each.members, False)
                for use in used
                if use in known or (file and file.stars)
            )
            more += self._imported(each, each.members or members)


def _without_stores(statement: ast.stmt) -> ast.stmt:
    """Return a statement without what a store is opened with: a trigger that imports its store does not use all the others."""
    if isinstance(statement, DEFINITIONS) or not any(map(_opens_store, ast.walk(statement))):
        return statement

    class Without(ast.NodeTransformer):
        def visit_Call(self, node: ast.Call) -> ast.AST:
            self.generic_visit(node)
            return node.func if _opens_store(node) else node

    without: ast.stmt = Without().visit(copy.deepcopy(statement))
    return without


def _opens_store(node: ast.AST) -> bool:
    called = node.func if isinstance(node, ast.Call) else None
    return "create_store" in (getattr(called, "attr", ""), getattr(called, "id", ""))


def _file(module: str) -> File | None:
    """Return a module of a package that is loaded, as its file says it; None where there is none that can be read."""
    spec = _spec(module)
    if spec is None or not isinstance(spec.origin, str) or not hasattr(spec.loader, "get_data"):
        return None
    try:
        stat = Path(spec.origin).stat()
        stamp: Stamp = (stat.st_mtime_ns, stat.st_size)
    except OSError:  # within an archive
        stamp = ()
    return _read(
        module, spec.submodule_search_locations is not None, spec.origin, stamp, spec.loader
    )


@lru_cache(FILES_KEPT)
def _read(module: str, is_package: bool, path: str, stamp: Stamp, loader: Any) -> File:
    return File(module, module if is_package else module.rpartition(".")[0], path, stamp, loader)


@lru_cache(32)
def _body(path: str, _as_of: Stamp, loader: Any) -> list[ast.stmt]:
    with suppress(OSError, ImportError):
        tree = tree_of(loader.get_data(path))
        return [each for each in tree.body if not _is_aside(each)] if tree else []
    return []


def forget_trees() -> None:
    _body.cache_clear()


def _is_aside(statement: ast.stmt) -> bool:
    """Whether a statement does not run where the module is imported."""
    if not isinstance(statement, ast.If):
        return False
    named = {getattr(each, "id", getattr(each, "attr", "")) for each in ast.walk(statement.test)}
    return not statement.orelse and bool(named & {"__name__", "TYPE_CHECKING"})


def _spec(module: str) -> ModuleSpec | None:
    """Find a module, importing none of those that it lies in."""
    top, *names = module.split(".")
    spec: ModuleSpec | None = None
    with suppress(ImportError, ValueError, AttributeError):
        spec = find_spec(top)
    path: Any = (
        spec.submodule_search_locations if spec else getattr(sys.modules.get(top), "__path__", None)
    )
    for name in names:
        if path is None:
            return None
        top = f"{top}.{name}"
        spec = PathFinder.find_spec(top, list(path))
        path = spec.submodule_search_locations if spec else None
    return spec


def _names_of(statement: ast.stmt) -> set[str]:
    """Return the names that a statement of a module may give a value, or change what they have: such as it binds, and where it is
    no definition and no assignment, such as it reads."""
    if isinstance(statement, DEFINITIONS):
        return {statement.name}
    if isinstance(statement, IMPORTS):
        return {(each.asname or each.name).partition(".")[0] for each in statement.names} - {"*"}
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        nodes: Iterable[ast.AST] = (node for target in targets for node in ast.walk(target))
        return {each.id for each in nodes if isinstance(each, ast.Name)}
    names = {each.id for each in ast.walk(statement) if isinstance(each, ast.Name)}
    for each in ast.walk(statement):
        names |= _names_of(each) if isinstance(each, DEFINITIONS + IMPORTS) else set()
    return names


def _decorated_by(statement: ast.stmt) -> set[str]:
    decorators = statement.decorator_list if isinstance(statement, DEFINITIONS) else []
    return {each.id for node in decorators for each in ast.walk(node) if isinstance(each, ast.Name)}
