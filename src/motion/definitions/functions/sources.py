"""Source text of functions as syntax trees, and syntax trees as text that layout, comments and docstrings do not change."""

from __future__ import annotations

import ast
import inspect
import linecache
import textwrap
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import CodeType, FunctionType
from typing import Any, TypeVar

T = TypeVar("T")

TRIES = 20

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

NOT_TOLD = frozenset({"ctx", "kind", "type_comment"})
"""Fields of a tree that follow from the others, or say how something was written."""


def untangled(parse: Callable[[], T]) -> T:
    """Return what a call gives that makes syntax trees, as NumPy does of the head of each file.

    Python before 3.13 counts the depth of all trees in the making together, and where another thread makes one it may find that its
    count is off and raise `SystemError` (python/cpython#106905). The text is not at fault then, so it is tried again.
    """
    for _ in range(TRIES - 1):
        with suppress(SystemError):
            return parse()
    return parse()


def parsed(text: str, mode: Any = "exec") -> Any:
    """Return the tree of a source text, as `ast.parse`.

    Raises:
        SyntaxError, ValueError: as `ast.parse` does.
    """
    return untangled(lambda: ast.parse(text, mode=mode))


def trees_of(function: FunctionType) -> list[ast.AST]:
    """Return the tree of a function's own source, of what wraps it and not of what it wraps; of a lambda, those that begin in its
    line and have its parameters. None where there is no source, as of code that was typed at a prompt."""
    code = function.__code__
    try:
        text = inspect.getsource(code if hasattr(function, "__wrapped__") else function)
    except (OSError, TypeError):
        return []
    try:
        tree = parsed(textwrap.dedent(text))
    except (SyntaxError, ValueError):  # a lambda within a call of several lines
        tree = None
    if code.co_name != "<lambda>":
        return [] if tree is None else list(tree.body)
    return _lambdas(tree, code) or _lambdas(_file(code), code, code.co_firstlineno)


def _lambdas(tree: ast.AST | None, code: CodeType, line: int | None = None) -> list[ast.AST]:
    names = list(code.co_varnames[: code.co_argcount])
    return [
        node
        for node in ast.walk(tree or ast.Module([], []))
        if isinstance(node, ast.Lambda)
        and line in (None, node.lineno)
        and [each.arg for each in (*node.args.posonlyargs, *node.args.args)] == names
    ]


def _file(code: CodeType) -> ast.AST | None:
    with suppress(SyntaxError, ValueError):
        tree: ast.AST = parsed("".join(linecache.getlines(code.co_filename)))
        return tree
    return None


def text_of(node: Any) -> str:
    """Return a tree as text: the same on each version of Python, without positions, docstrings and functions' decorators."""
    if isinstance(node, list):
        return f"[{', '.join(map(text_of, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    told = (f"{name}={text_of(value)}" for name, value in _fields(node))
    return f"{type(node).__name__}({', '.join(told)})"


def _fields(node: ast.AST) -> Iterator[tuple[str, Any]]:
    is_definition = isinstance(node, DEFINITIONS)
    for name, value in ast.iter_fields(node):
        if name == "body" and is_definition and ast.get_docstring(node) is not None:  # type: ignore[arg-type]
            value = value[1:]
        if name == "decorator_list" and not isinstance(node, ast.ClassDef):
            continue
        if name not in NOT_TOLD and value is not None and value != []:
            yield name, value
