"""Fingerprints: the identity of a trigger's code.

A fingerprint changes when the code, its defaults, or plain data that it closes over change; layout, comments and
docstrings do not count. Other objects count by their type only.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable
from types import CodeType
from typing import Any

PLAIN_TYPES = (int, float, bool, str, bytes, type(None))


def fingerprint_of(function: Callable[..., Any], version: str | None, policy: str) -> str:
    """Return 16 hexadecimal digits that name the function's code, or `version` where the user gave one.

    Args:
        function: the user's function or method.
        version: the user's own name for it; overrides the source.
        policy: the parts of the declaration that change results (keys, page), as text.
    """
    parts = [policy, f"version {version}"] if version is not None else [policy, *_parts(function)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _parts(function: Callable[..., Any], seen: frozenset[Any] = frozenset()) -> list[str]:
    plain = inspect.unwrap(function)
    plain = getattr(plain, "__func__", plain)
    owner = getattr(function, "__self__", None)
    held = _names_held(plain) if inspect.isfunction(plain) else {}
    return [
        _source(plain),
        _value(getattr(plain, "__defaults__", None)),
        _value(getattr(plain, "__kwdefaults__", None)),
        _value(getattr(owner, "__dict__", None)),
        *(_held(name, value, plain, seen | {plain}) for name, value in sorted(held.items())),
    ]


def _names_held(function: Any) -> dict[str, Any]:
    """Return what the function's names stand for outside of it. One that has no value yet, such as a store that is
    opened with this very trigger, is left out."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    held = {}
    for name, cell in cells:
        try:
            held[name] = cell.cell_contents
        except ValueError:  # an empty cell
            continue
    used = _names_used(function.__code__)
    return held | {
        name: function.__globals__[name] for name in used if name in function.__globals__
    }


def _names_used(code: CodeType) -> set[str]:
    """Return the names that code looks up, those of functions inside it included."""
    inner = [const for const in code.co_consts if isinstance(const, CodeType)]
    return set(code.co_names).union(*map(_names_used, inner))


def _held(name: str, value: Any, user: Callable[..., Any], seen: frozenset[Any]) -> str:
    """A name that the function uses: a helper of its own package by its code, plain data by its value."""
    if inspect.isfunction(value) and value not in seen and _package(value) == _package(user):
        return f"{name}={_parts(value, seen)}"
    return f"{name}={_value(value)}"


def _package(function: Callable[..., Any]) -> str:
    return (function.__module__ or "").partition(".")[0]


def _source(function: Callable[..., Any]) -> str:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):  # no source: typed at a prompt, or built in
        code = getattr(function, "__code__", None)
        return code.co_code.hex() + repr(code.co_names) if code else type(function).__name__
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.decorator_list = []
            if ast.get_docstring(node) is not None:
                node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree)


def _value(value: Any) -> str:
    if isinstance(value, PLAIN_TYPES):
        return repr(value)
    if isinstance(value, list | tuple | set | frozenset):
        items = [_value(item) for item in value]
        return f"{type(value).__name__}({sorted(items) if isinstance(value, set | frozenset) else items})"
    if isinstance(value, dict):
        return f"dict({sorted((_value(k), _value(v)) for k, v in value.items())})"
    return type(value).__name__
