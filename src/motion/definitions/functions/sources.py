"""Source text of functions and classes: as syntax trees, as text that layout, comments and docstrings do not change, and what
it names."""

from __future__ import annotations

import ast
import linecache
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import resolve_name
from types import CodeType, FunctionType
from typing import Any, TypeVar

from motion.definitions.functions.packages import name_of

T = TypeVar("T")

TRIES = 20

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITIONS = (*FUNCTIONS, ast.ClassDef)
IMPORTS = (ast.Import, ast.ImportFrom)

NOT_TOLD = frozenset({"ctx", "kind", "type_comment"})
"""Fields of a tree that follow from the others, or say how something was written."""

LONG = 1 << 64
"""Numbers from here on are told in hexadecimal digits: Python refuses to write very long ones in decimal."""

Imported = tuple[str, str | None, str]
"""One name of an import: the module, the name in it or None for the module itself, and the name that it binds."""


def untangled(parse: Callable[[], T]) -> T:
    """Return what a call gives that makes syntax trees, as NumPy does of the head of each file.

    Python before 3.13 counts the depth of all trees in the making together, and where another thread makes one it may find that its
    count is off and raise `SystemError` (python/cpython#106905). The text is not at fault then, so it is tried again.
    """
    for _ in range(TRIES - 1):
        with suppress(SystemError):
            return parse()
    return parse()


def parsed(text: str | bytes, mode: Any = "exec") -> Any:
    """Return the tree of a source text, as `ast.parse`.

    Raises:
        SyntaxError, ValueError: as `ast.parse` does.
    """
    return untangled(lambda: ast.parse(text, mode=mode))


def tree_of(text: str | bytes) -> ast.Module | None:
    """Return the tree of a file's text; None where it is none of this Python's."""
    with suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        tree: ast.Module = parsed(text)
        return tree
    return None


# -- as text --


class _Said(str):
    """Text that is part of what is told, beside what is still to be told."""

    __slots__ = ()


def text_of(root: ast.AST, has_decorators: bool = True) -> str:
    """Return a tree as text: the same on each version of Python, without positions and docstrings.

    Args:
        has_decorators: whether those of the root are part of it.
    """
    told: list[str] = []
    rest: list[Any] = [root]
    while rest:
        each = rest.pop()
        if isinstance(each, _Said):
            told.append(each)
        elif isinstance(each, list):
            rest += [_Said("]"), *(part for item in reversed(each) for part in (_Said(","), item))]
            told.append("[")
        elif isinstance(each, ast.AST):
            rest.append(_Said(")"))
            for name, value in reversed(list(_fields(each, has_decorators or each is not root))):
                rest += [_Said(" "), value, _Said(f"{name}=")]
            told.append(f"{type(each).__name__}(")
        else:
            told.append(constant(each))
    return "".join(told)


def _fields(node: ast.AST, has_decorators: bool) -> Iterator[tuple[str, Any]]:
    for name, value in ast.iter_fields(node):
        if name in NOT_TOLD or value is None or (name == "decorator_list" and not has_decorators):
            continue
        if name == "body" and isinstance(node, DEFINITIONS) and ast.get_docstring(node) is not None:
            value = value[1:]
        if isinstance(node, ast.JoinedStr):  # 3.12.1 ends some with an empty text
            value = [each for each in value if getattr(each, "value", None) != ""]
        if value != []:
            yield name, value


def constant(value: Any) -> str:
    """Return a constant of a source text, in letters that no version of Python knows more of than another."""
    if type(value) is int and not -LONG < value < LONG:
        return hex(value)
    if isinstance(value, frozenset):
        return f"frozenset({sorted(map(constant, value))})"
    return ascii(value)


# -- what it says --


@dataclass(frozen=True)
class Told:
    """What the text of a function or class says.

    Attributes:
        text: the tree as text.
        first: the first parameter, which is the object in a method; "" where there is none.
        paths: each name that it reads, with the members that it looks up in it: ("words", "helped").
        members: all members that it looks up in anything.
        imports: what it imports.
        searches: what it names in calls of `search`.
    """

    text: str
    first: str
    paths: frozenset[tuple[str, ...]]
    members: frozenset[str]
    imports: tuple[Imported, ...]
    searches: tuple[str, ...]

    @staticmethod
    def of(node: ast.AST, package: str, has_decorators: bool = True) -> Told:
        """Read a tree.

        Args:
            package: the dotted name that relative imports start from.
        """
        nodes = list(ast.walk(node))
        return Told(
            text_of(node, has_decorators),
            _first(node),
            frozenset(_paths(nodes)),
            frozenset(each.attr for each in nodes if isinstance(each, ast.Attribute)),
            tuple(
                found for each in nodes if isinstance(each, IMPORTS) for found in imported(each, package)
            ),
            tuple(dict.fromkeys(_searches(nodes))),
        )  # fmt: skip


def _first(node: ast.AST) -> str:
    args = getattr(node, "args", None)
    if not isinstance(args, ast.arguments):
        return ""
    named = [*args.posonlyargs, *args.args, *([args.vararg] if args.vararg else [])]
    return named[0].arg if named else ""


def _paths(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, ...]]:
    within: set[int] = set()  # nodes come from without to within
    for node in nodes:
        if id(node) in within:
            continue
        members: list[str] = []
        while isinstance(node, ast.Attribute):
            members.append(node.attr)
            node = node.value
            within.add(id(node))
        if isinstance(node, ast.Name):
            yield (node.id, *reversed(members))
        elif members:
            within.discard(id(node))


def _searches(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Call) and node.args and getattr(node.func, "attr", "") == "search":
            yield from (text for text in _texts(node.args[0]) if text.count(".") == 1)


def _texts(node: ast.expr) -> Iterator[str]:
    """One key, or several of one search."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.List | ast.Tuple):
        for each in node.elts:
            yield from _texts(each)


def imported(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[Imported]:
    """Yield the names of an import."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name, None, alias.asname or alias.name.partition(".")[0]
        return
    module = "." * node.level + (node.module or "")
    with suppress(ImportError):  # beyond the package: calling it will fail
        module = resolve_name(module, package) if node.level else module
        for alias in node.names:
            yield module, alias.name, alias.asname or alias.name


# -- where it stands --

Stamp = tuple[Any, ...]
"""What changes when a file does."""


def told_of(function: FunctionType) -> tuple[Told, ...]:
    """Return what a function's own text says: of what wraps it, and not of what it wraps; of a lambda, of those that may be it.
    Nothing where there is no source, as of code that was typed at a prompt."""
    code = function.__code__
    package = function.__globals__.get("__package__")
    return _told(code, _stamp(code.co_filename, function.__globals__), str(package or ""))


def told_of_class(value: type) -> list[Told]:
    """Return what the text of a class says, as its module's file has it."""
    module = sys.modules.get(value.__module__)
    filename, names = getattr(module, "__file__", None), getattr(module, "__dict__", {})
    if not isinstance(filename, str):
        return []
    found = _nodes(filename, _stamp(filename, names)).get((0, name_of(value)), [])
    return [Told.of(each, str(names.get("__package__") or "")) for each in found]


def forget_trees() -> None:
    _nodes.cache_clear()


_KEPT: dict[tuple[Any, ...], tuple[Told, ...]] = {}
_MOST_KEPT = 8_192


def _told(code: CodeType, stamp: Stamp, package: str) -> tuple[Told, ...]:
    place = code.co_firstlineno, code.co_name
    key = code.co_filename, stamp, place, _span(code), package
    if key not in _KEPT:
        if len(_KEPT) >= _MOST_KEPT:
            _KEPT.clear()
        nodes = _nodes(code.co_filename, stamp).get(place, [])
        nodes = [each for each in nodes if _spans(each, code)] or nodes
        _KEPT[key] = tuple(Told.of(each, package, has_decorators=False) for each in nodes)
    return _KEPT[key]


def _stamp(filename: str, names: dict[str, Any]) -> Stamp:
    linecache.checkcache(filename)
    linecache.getlines(filename, names)  # a loader may know it that is no file
    return tuple(linecache.cache.get(filename, (0, None))[:2])


@lru_cache(32)
def _nodes(filename: str, _as_of: Stamp) -> dict[tuple[int, str], list[ast.AST]]:
    """Return functions by their first line and name, and classes by 0 and their name."""
    found: dict[tuple[int, str], list[ast.AST]] = {}
    for node in ast.walk(tree_of("".join(linecache.getlines(filename))) or ast.Module([], [])):
        if isinstance(node, FUNCTIONS):
            line = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            found.setdefault((line, node.name), []).append(node)
        elif isinstance(node, ast.Lambda):
            found.setdefault((node.lineno, "<lambda>"), []).append(node)
        elif isinstance(node, ast.ClassDef):
            found.setdefault((0, node.name), []).append(node)
    return found


Place = tuple[int, int]


def _span(code: CodeType) -> tuple[Place, Place] | None:
    """Return where a lambda's body begins and ends: line, and column in bytes."""
    if code.co_name != "<lambda>":
        return None
    known = [(line, at, until, to) for line, until, at, to in code.co_positions()
             if line and until and at is not None and to is not None and (until, to) > (line, at)]  # fmt: skip
    if not known:
        return None
    return min((line, at) for line, at, _, _ in known), max(
        (until, to) for _, _, until, to in known
    )


def _spans(node: ast.AST, code: CodeType) -> bool:
    span = _span(code)
    if span is None or not isinstance(node, ast.Lambda):
        return True
    body = node.body
    ends = (body.end_lineno or 0, body.end_col_offset or 0)
    return (body.lineno, body.col_offset) <= span[0] and span[1] <= ends
