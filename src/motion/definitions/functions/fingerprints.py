"""Fingerprints: the identity of a trigger's code.

A fingerprint changes when the code changes, or its defaults, or what it uses of its own package: functions, also those
of a module or of its own object, and classes; and plain data that it closes over or holds, with enums, dates, paths and
dataclasses of plain data. Layout, comments and docstrings do not count, nor where the package lies: a path in it counts as
it lies there. Other objects count by their type only.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import inspect
import re
import textwrap
from collections.abc import Callable
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import Path, PurePath
from types import CodeType, ModuleType
from typing import Any
from uuid import UUID

import numpy as np

from motion.definitions.functions.sources import parsed

PLAIN_TYPES = (
    int, float, bool, str, bytes, type(None), complex, range,
    date, time, timedelta, Decimal, Fraction, UUID, PurePath, np.generic,
)  # fmt: skip


def fingerprint_of(
    function: Callable[..., Any],
    version: str | None,
    policy: str,
    when: Callable[..., Any] | None = None,
) -> str:
    """Return 16 hexadecimal digits that name the function's code, or `version` where the user gave one.

    Args:
        function: the user's function or method.
        version: the user's own name for it; overrides the source.
        policy: the parts of the declaration that change results (keys, page), as text.
        when: the function that decides whether it runs.
    """
    if version is not None:
        parts = [policy, f"version {version}"]
    else:
        parts = [policy, *_placeless(function), *(_placeless(when) if when else [])]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _placeless(function: Callable[..., Any]) -> list[str]:
    """Return a function's parts, with paths below the folder that holds its package as they lie in there: the same code is
    the same on another machine."""
    parts, folder = _parts(function), _folder_of(function)
    if folder is None:
        return parts
    begin = re.compile(rf"(?<=['\"]){re.escape(folder)}(?=[/\\'\"])")
    return [begin.sub(".", part) for part in parts]


def _folder_of(function: Callable[..., Any]) -> str | None:
    """Return the folder that holds a function's package or module; None where it is in no file."""
    plain = _plain(function)
    file = Path(plain.__code__.co_filename) if inspect.isfunction(plain) else Path()
    if not file.is_absolute():
        return None
    name = plain.__module__.split(".")
    above = len(name) if file.stem == "__init__" else len(name) - 1
    return str(file.parents[above]) if above < len(file.parents) - 1 else None


def _plain(function: Callable[..., Any]) -> Any:
    """Return the function itself, without what wraps it or gives it arguments."""
    plain = inspect.unwrap(function.func if isinstance(function, functools.partial) else function)
    return getattr(plain, "__func__", plain)


def functions_used(function: Callable[..., Any]) -> list[Any]:
    """Return a function, and those of its own package that it names, or, as a method, of its object's class."""
    plain = _plain(function)
    if not inspect.isfunction(plain):
        return []
    held = _names_held(plain)
    owner = getattr(function, "__self__", None)
    if owner is not None:
        held |= _members_used(plain, type(owner))
    others = [each for each in held.values() if inspect.isfunction(each)]
    return [plain, *(each for each in others if _is_own(each.__module__, plain))]


def _parts(function: Callable[..., Any], seen: frozenset[Any] = frozenset()) -> list[str]:
    if isinstance(function, functools.partial):
        given = [_value(function.args), _value(function.keywords)]
        return [*_parts(function.func, seen), *given]
    plain = inspect.unwrap(function)
    plain = getattr(plain, "__func__", plain)
    owner = getattr(function, "__self__", None)
    held = _names_held(plain) if inspect.isfunction(plain) else {}
    if owner is not None and inspect.isfunction(plain):
        held |= _members_used(plain, type(owner))
    return [
        _source(plain),
        _value(getattr(plain, "__defaults__", None)),
        _value(getattr(plain, "__kwdefaults__", None)),
        _value(getattr(owner, "__dict__", None)),
        *(_held(name, value, plain, seen | {plain}) for name, value in sorted(held.items())),
    ]


def _members_used(function: Any, owner: type) -> dict[str, Any]:
    """Return what a method may use of its object's class, by name: other methods, and values that are not its own."""
    found = {
        f"self.{name}": inspect.getattr_static(owner, name, None)
        for name in _names_used(function.__code__)
    }
    return {name: value for name, value in found.items() if value is not None}


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
    for name in used & function.__globals__.keys():
        held[name] = function.__globals__[name]
    for name, value in list(held.items()):
        if isinstance(value, ModuleType) and _is_own(value.__name__, function):
            members = vars(value)
            held |= {f"{name}.{each}": members[each] for each in used & members.keys()}
    return held


def _names_used(code: CodeType) -> set[str]:
    """Return the names that code looks up, those of functions inside it included."""
    inner = [const for const in code.co_consts if isinstance(const, CodeType)]
    return set(code.co_names).union(*map(_names_used, inner))


def _held(name: str, value: Any, user: Callable[..., Any], seen: frozenset[Any]) -> str:
    """A name that the function uses: a helper of its own package by its code, plain data by its value."""
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    if isinstance(value, property):
        value = value.fget
    if isinstance(value, functools.partial):
        return f"{name}={_parts(value, seen)}"
    is_cached = type(value).__module__ == "functools"  # a function behind `lru_cache`
    code = inspect.unwrap(value) if inspect.isfunction(value) or is_cached else value
    if inspect.isfunction(code) and _is_own(code.__module__, user):
        return f"{name}={_parts(code, seen)}" if code not in seen else name
    if isinstance(value, type) and not issubclass(value, Enum) and _is_own(value.__module__, user):
        return f"{name}={_class(value, seen)}" if value not in seen else name
    return f"{name}={_value(value)}"


def _class(value: type, seen: frozenset[Any]) -> list[str]:
    """A class of the function's own package: by the methods it defines, and the plain data."""
    return [
        _held(name, member, value, seen | {value})
        for name, member in sorted(vars(value).items())
        if not name.startswith("__") or inspect.isfunction(member)
    ]


def _is_own(module: str | None, user: Callable[..., Any]) -> bool:
    return (module or "").partition(".")[0] == (user.__module__ or "").partition(".")[0]


def _source(function: Callable[..., Any]) -> str:
    try:
        tree = parsed(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):  # no source: typed at a prompt, or built in
        code = getattr(function, "__code__", None)
        return _bytecode(code) if code else type(function).__name__
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.decorator_list = []
            if ast.get_docstring(node) is not None:
                node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree)


def _bytecode(code: CodeType) -> str:
    consts = [_bytecode(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {consts}"


def _value(value: Any, seen: frozenset[int] = frozenset()) -> str:
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, PLAIN_TYPES):
        return repr(value)
    if id(value) in seen:  # it holds itself
        return type(value).__name__
    inner = functools.partial(_value, seen=seen | {id(value)})
    if isinstance(value, list | tuple | set | frozenset):
        items = [inner(item) for item in value]
        return f"{type(value).__name__}({sorted(items) if isinstance(value, set | frozenset) else items})"
    if isinstance(value, dict):
        return f"dict({sorted((inner(k), inner(v)) for k, v in value.items())})"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [inner(getattr(value, field.name, None)) for field in dataclasses.fields(value)]
        return f"{type(value).__name__}({fields})"
    return type(value).__name__
