"""Imports inside functions: what a function takes of its own package when it is called, told by the package's files.

Nothing is imported for it: a module may be imported so late because it takes long, or because it imports this one. So it is
the same whether some process has imported that module already or not.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import resolve_name
from pathlib import Path

from motion.definitions.functions.sources import DEFINITIONS, parsed, text_of

IMPORTS = (ast.Import, ast.ImportFrom)

PLAIN_CALLS = frozenset({
    "frozenset", "set", "dict", "list", "tuple", "sorted", "range", "compile", "MappingProxyType",
    "Decimal", "Fraction", "Path", "PurePath", "UUID", "date", "datetime", "time", "timedelta",
})  # fmt: skip
"""What makes plain data: a name in a module that is given such a call's value counts with the call's arguments."""

FILES_KEPT = 64

Imported = tuple[str, str | None, str]
"""One name of an import: the module, the name in it or None for the module itself, and the name that it binds."""


@dataclass(frozen=True)
class Needs:
    """What code names, each in the order of its letters.

    Attributes:
        names: of variables.
        members: of objects' members.
        imports: what it imports, resolved.
    """

    names: tuple[str, ...]
    members: tuple[str, ...]
    imports: tuple[Imported, ...]


@dataclass(frozen=True, eq=False)
class File:
    """A module as its file says it.

    Attributes:
        package: what its relative imports start from.
        bound: name -> the statements at its top level that bind it.
        stars: the modules of which it imports everything.
        known: what was asked of it before: name -> the text of each such statement but of imports, and what that needs.
    """

    name: str
    package: str
    bound: dict[str, list[ast.stmt]]
    stars: list[str]
    known: dict[str, list[tuple[str, Needs]]] = field(default_factory=dict)

    def defined(self, name: str) -> list[tuple[str, Needs]]:
        """Return the text of what binds a name, and what that needs."""
        if name not in self.known:
            self.known[name] = [self._told(name, each) for each in self.bound.get(name, ())]
        return self.known[name]

    def _told(self, name: str, statement: ast.stmt) -> tuple[str, Needs]:
        if isinstance(statement, IMPORTS):
            taken = tuple(each for each in _imported(statement, self.package) if each[2] == name)
            return "", Needs((), (), taken)
        told = statement if isinstance(statement, DEFINITIONS) else _plain(statement, self)
        return f"{name}: {text_of(told)}", _needs([told], self.package)


class Imports:
    """What functions of one package import of it, each thing once."""

    def __init__(self, package: str) -> None:
        self._package = package
        self._seen: set[tuple[str, str, tuple[str, ...]]] = set()

    def of(self, trees: Iterable[ast.AST], package: str) -> Iterator[str]:
        """Yield as text what some code imports of its package.

        Args:
            package: the dotted name that its relative imports start from.
        """
        needs = _needs(trees, package)
        for module, name, _ in needs.imports:
            yield from self._taken(module, name, needs.members)

    def _taken(self, module: str, name: str | None, members: tuple[str, ...]) -> Iterator[str]:
        """Yield what is imported under a name; of a module, what of it is used."""
        if module.partition(".")[0] != self._package:
            return
        file = _file(module)
        for each in members if name is None else (name,):
            if file is not None:
                yield from self._defined(file, each, members)
        if name is not None and (file is None or name not in file.bound):
            yield from self._taken(f"{module}.{name}", None, members)

    def _defined(self, file: File, name: str, members: tuple[str, ...]) -> Iterator[str]:
        is_import = all(isinstance(each, IMPORTS) for each in file.bound.get(name, ()))
        key = file.name, name, members if is_import else ()  # a module is met with other members
        if key in self._seen:
            return
        self._seen.add(key)
        if name not in file.bound:
            for module in file.stars:
                yield from self._taken(module, name, members)
        for text, needs in file.defined(name):
            if text:
                yield text
            for each in needs.names:
                yield from self._defined(file, each, needs.members)
            for module, taken, _ in needs.imports:
                yield from self._taken(module, taken, needs.members or members)


def _needs(trees: Iterable[ast.AST], package: str) -> Needs:
    names, members = set[str](), set[str]()
    imports: list[Imported] = []
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Attribute):
            members.add(node.attr)
        elif isinstance(node, IMPORTS):
            imports += _imported(node, package)
    return Needs(tuple(sorted(names)), tuple(sorted(members)), tuple(imports))


def _plain(statement: ast.stmt, file: File) -> ast.stmt:
    """Return a statement without the arguments of calls that make other objects than plain data: these count by what makes them."""

    class Plain(ast.NodeTransformer):
        def visit_Call(self, node: ast.Call) -> ast.AST:
            self.generic_visit(node)
            root = next((each.id for each in ast.walk(node.func) if isinstance(each, ast.Name)), "")
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in PLAIN_CALLS or (root in file.bound and isinstance(node.func, ast.Name)):
                return node
            return node.func

    return Plain().visit(parsed(ast.unparse(statement)).body[0])  # type: ignore[no-any-return]


def _imported(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[Imported]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name, None, alias.asname or alias.name.partition(".")[0]
        return
    module = "." * node.level + (node.module or "")
    with suppress(ImportError):  # beyond the package: calling it will fail
        module = resolve_name(module, package) if node.level else module
        for alias in node.names:
            yield module, alias.name, alias.asname or alias.name


def _file(module: str) -> File | None:
    """Return a module of a package that is loaded, as its file says it; None where there is none that can be read."""
    spec = _spec(module)
    if spec is None or not spec.origin or not Path(spec.origin).is_file():
        return None
    stat = Path(spec.origin).stat()
    is_package = spec.submodule_search_locations is not None
    return _read(module, is_package, spec.origin, (stat.st_mtime_ns, stat.st_size))


@lru_cache(FILES_KEPT)
def _read(module: str, is_package: bool, path: str, _as_of: tuple[int, int]) -> File | None:
    try:
        tree = parsed(Path(path).read_bytes().decode("utf-8-sig"))
    except (OSError, SyntaxError, ValueError):
        return None
    bound: dict[str, list[ast.stmt]] = {}
    stars: list[str] = []
    package = module if is_package else module.rpartition(".")[0]
    for statement in _statements(tree.body):
        if isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
            stars += [each[0] for each in _imported(statement, package)]
            continue
        for name in _names_bound(statement, package):
            bound.setdefault(name, []).append(statement)
    return File(module, package, bound, stars)


def _spec(module: str) -> ModuleSpec | None:
    """Find a module below a package that is loaded, importing none of those between."""
    top, *names = module.split(".")
    loaded = sys.modules.get(top)
    spec = getattr(loaded, "__spec__", None)
    path = getattr(loaded, "__path__", None)
    for name in names:
        if path is None:
            return None
        top = f"{top}.{name}"
        spec = PathFinder.find_spec(top, list(path))
        path = spec.submodule_search_locations if spec else None
    return spec


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that run when a module is imported, also those below a condition."""
    for statement in body:
        yield statement
        if isinstance(statement, DEFINITIONS):
            continue
        for block in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(statement, block, []))
        for handler in getattr(statement, "handlers", []):
            yield from _statements(handler.body)


def _names_bound(statement: ast.stmt, package: str) -> Iterator[str]:
    if isinstance(statement, DEFINITIONS):
        yield statement.name
    elif isinstance(statement, IMPORTS):
        yield from (bound for _, _, bound in _imported(statement, package))
    elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            yield from (each.id for each in ast.walk(target) if isinstance(each, ast.Name))
