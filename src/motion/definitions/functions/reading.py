"""Reading: what some code is made of, as text that is the same wherever the same code is.

A function counts by its own source, its defaults, and what it uses of its own package: functions and methods, also such as
wrap another or lie in a dict, classes with what they inherit, objects of these, what it imports when it is called, and plain
data. Other objects count by their type, what other packages have by its name.
"""

from __future__ import annotations

import ast
import dataclasses
import dis
import functools
import inspect
import re
import sys
from abc import ABCMeta
from collections.abc import Callable, Iterable, Iterator
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum, EnumMeta
from fractions import Fraction
from pathlib import PurePath
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MappingProxyType,
    MethodType,
    ModuleType,
)
from typing import Any
from uuid import UUID

import numpy as np

from motion.definitions.functions.imports import Imports
from motion.definitions.functions.sources import text_of, trees_of

PLAIN_TYPES = (
    int, float, bool, str, bytes, type(None), complex, range,
    date, time, timedelta, Decimal, Fraction, UUID, PurePath, np.generic,
)  # fmt: skip

ATOMS = frozenset({int, float, bool, str, bytes, type(None)})

OWN_METACLASSES = (type, ABCMeta, EnumMeta)
"""Of classes whose members say what they are; one that another metaclass makes, as Pydantic's, counts by its text, too."""

GLOBAL_LOADS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
MEMBER_LOADS = frozenset({"LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR"})


def _top(name: Any) -> str:
    """Return the package of a module's name; of what `python -m shop.rules` runs, `shop`."""
    if name == "__main__":
        name = getattr(getattr(sys.modules[name], "__spec__", None), "name", name)
    return str(name or "").partition(".")[0]


class Reading:
    """What some code of one package is made of, each thing once: where it is met again it is told by its number.

    Attributes:
        trees: of the source of each function of the package, in the order in which they were met.
        parts: a text for each function and class of the package.
    """

    def __init__(self, package: str) -> None:
        self.trees: list[ast.AST] = []
        self.parts: list[str] = []
        self._package = package
        self._imports = Imports(package)
        self._numbers: dict[tuple[int, int], int] = {}
        self._met: list[Any] = []  # so that an id stays what it is
        self._holders: list[int] = []

    def told(self, value: Any, owner: type | None = None) -> str:
        """Return a value as text, and read what it is made of.

        Args:
            owner: the class through which it was found: what it uses of `self` is looked up there.
        """
        if type(value) in ATOMS:
            return repr(value)
        if isinstance(value, FunctionType):
            return self._function(value, owner)
        if isinstance(value, type):
            return self._class(value) if self._is_own(value.__module__) else _named(value)
        if isinstance(value, MethodType):
            holder = value.__self__
            owner = holder if isinstance(holder, type) else type(holder)
            return f"{self.told(value.__func__, owner)} of {self._data(holder)}"
        told = self._each(value, _behind(value), owner) or [self._data(value)]
        if self._is_own(type(value).__module__) and not isinstance(value, Enum):
            told.append(self._class(type(value)))
        return " ".join(told)

    # -- data --

    def _data(self, value: Any) -> str:
        if isinstance(value, Enum):
            return f"{type(value).__name__}.{value.name}={self.told(value.value)}"
        if isinstance(value, PLAIN_TYPES):
            return repr(value)
        if isinstance(value, re.Pattern):
            return f"Pattern({value.pattern!r}, {value.flags})"
        if isinstance(value, ModuleType | BuiltinFunctionType):
            return _named(value)
        held = _held_by(value)
        if held is None or id(value) in self._holders:  # no data, or it holds itself
            return type(value).__name__
        told = self._each(value, held)
        is_ordered = not isinstance(value, set | frozenset | dict | MappingProxyType)
        return f"{type(value).__name__}({', '.join(told if is_ordered else sorted(told))})"

    def _each(self, holder: Any, held: Iterable[Any], owner: type | None = None) -> list[str]:
        """Return what something holds as texts; nothing where it is within itself."""
        if id(holder) in self._holders:
            return []
        self._holders.append(id(holder))
        try:
            return [self.told(each, owner) for each in held]
        finally:
            self._holders.pop()

    # -- code --

    def _is_own(self, module: Any) -> bool:
        return _top(module) == self._package != "builtins"

    def _number(self, value: Any, owner: type | None = None) -> tuple[int, bool]:
        """Return the number of a function or class, and whether it is met for the first time."""
        key = id(value), id(owner)
        is_new = key not in self._numbers
        self._numbers.setdefault(key, len(self._numbers))
        self._met += [value, owner]
        return self._numbers[key], is_new

    def _function(self, function: FunctionType, owner: type | None) -> str:
        if not self._is_own(function.__globals__.get("__name__")):
            return " ".join(self._each(function, _wrapped(function), owner)) or _named(function)
        number, is_new = self._number(function, owner)
        if is_new:
            self._add(number, self._made_of(function, owner))
        return f"#{number}"

    def _made_of(self, function: FunctionType, owner: type | None) -> list[str]:
        trees = trees_of(function)
        self.trees += trees
        used = list(_used(function, owner, self._is_own))
        here = function.__globals__.get("__package__") or ""
        return [
            *(map(text_of, trees) if trees else [_bytecode(function.__code__)]),
            self.told(function.__defaults__),
            self.told(function.__kwdefaults__),
            *(f"{name}={self.told(value, through)}" for name, value, through in used),
            *self._imports.of(trees, here),
        ]

    def _class(self, value: type) -> str:
        number, is_new = self._number(value)
        if is_new:
            bases = [self.told(base) for base in value.__bases__ if self._is_own(base.__module__)]
            found = sorted(_members(value), key=lambda member: member[0])
            members = [f"{name}={self.told(each)}" for name, each in found]
            self._add(number, [*bases, *_text_of_class(value), *members])
        return f"#{number}"

    def _add(self, number: int, made_of: Iterable[str]) -> None:
        self.parts.append("\n".join([f"#{number}:", *made_of]))


def read(function: Callable[..., Any]) -> Reading:
    """Return what a function is made of, and, of a component's method, what the constructor was given."""
    reading = Reading(_package_of(function))
    told = reading.told(function)
    if isinstance(function, MethodType):
        told += reading.told(getattr(function.__self__, "__dict__", None))
    reading.parts.append(told)
    return reading


def _package_of(function: Callable[..., Any]) -> str:
    """Return the name of the package, or of the module outside of one, that a function belongs to."""
    while isinstance(function, functools.partial):
        function = function.func
    return _top(getattr(function, "__module__", None) or type(function).__module__)


def _named(value: Any) -> str:
    """What another package has: by its name there. Where in the package it lies is that package's own affair."""
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", type(value).__name__)
    return f"{_top(getattr(value, '__module__', None))}:{name}"


def _held_by(value: Any) -> Iterable[Any] | None:
    """Return what plain data holds; None of other objects."""
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, set | frozenset):
        return sorted(value, key=_order)
    if isinstance(value, dict | MappingProxyType):
        return list(value.items())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name, None) for field in dataclasses.fields(value)]
    return None


def _order(value: Any) -> str:
    """Return where something in a set comes, whatever Python's order of it is."""
    name = getattr(value, "__qualname__", type(value).__name__)
    return repr(value) if isinstance(value, PLAIN_TYPES) else str(name)


def _behind(value: Any) -> Iterator[Any]:
    """What an object calls that stands for a function: a partial, a property, a cache, what `functools.wraps` wraps."""
    if isinstance(value, functools.partial | functools.partialmethod):
        yield from (value.func, value.args, value.keywords)
    elif isinstance(value, property):
        yield from (value.fget, value.fset)
    elif isinstance(value, functools.cached_property):
        yield value.func
    elif isinstance(value, staticmethod | classmethod):
        yield value.__func__
    else:
        yield from _wrapped(value)


def _wrapped(value: Any) -> Iterator[Any]:
    """What a wrapper calls, and what `functools.singledispatch` chooses from."""
    inner = inspect.getattr_static(value, "__wrapped__", None)
    if callable(inner):
        yield inner
    chosen = inspect.getattr_static(value, "registry", None)
    if isinstance(chosen, MappingProxyType):
        yield dict(chosen)


# -- names --


def _used(
    function: FunctionType, owner: type | None, is_own: Callable[[Any], bool]
) -> Iterator[tuple[str, Any, type | None]]:
    """Yield what a function uses from outside of itself: name, what it stands for, and the class it was found through. What
    has no value yet, such as a store that is opened with this very trigger, is left out."""
    globals_used = _names(function.__code__, GLOBAL_LOADS)
    members = sorted(_names(function.__code__, MEMBER_LOADS))
    held = dict(_cells(function))
    for name in sorted(globals_used & function.__globals__.keys()):
        held[name] = function.__globals__[name]
    for name, value in sorted(held.items()):
        if isinstance(value, ModuleType) and is_own(value.__name__):
            yield from ((*each, None) for each in _of_module(name, value, members, is_own, set()))
        else:
            yield name, value, None
    if owner is not None:
        classes = owner.__mro__ if "super" in globals_used else (owner,)
        for name in members:
            found = [inspect.getattr_static(each, name, None) for each in classes]
            distinct = {id(each): each for each in found if each is not None}
            yield from ((f"self.{name}", each, owner) for each in distinct.values())


def _cells(function: FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # it has no value yet
            continue


def _of_module(
    path: str, module: ModuleType, members: list[str], is_own: Callable[[Any], bool], seen: set[int]
) -> Iterator[tuple[str, Any]]:
    """Yield what a function may use of a module of its package, and of the modules in it. Not the modules themselves: which
    there are depends on what has been imported yet."""
    seen.add(id(module))
    for name in members:
        value = vars(module).get(name)
        if not isinstance(value, ModuleType):
            if name in vars(module):
                yield f"{path}.{name}", value
        elif is_own(value.__name__) and id(value) not in seen:
            yield from _of_module(f"{path}.{name}", value, members, is_own, seen)


def _names(code: CodeType, loads: frozenset[str]) -> set[str]:
    """Return the names that code looks up in such a way, those of functions inside it included. What it imports or binds itself
    is no global, whatever its module calls so."""
    own = {each.argval for each in dis.get_instructions(code) if each.opname in loads}
    inner = [const for const in code.co_consts if isinstance(const, CodeType)]
    return own.union(*(_names(each, loads) for each in inner))


def _bytecode(code: CodeType) -> str:
    consts = [_bytecode(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {consts}"


# -- classes --


def _members(value: type) -> Iterator[tuple[str, Any]]:
    """Yield what a class itself defines and results may depend on: not what Python or a metaclass has put there."""
    if issubclass(value, Enum):
        yield "members", {name: each.value for name, each in value.__members__.items()}
    if dataclasses.is_dataclass(value):
        yield "fields", [_field(each) for each in dataclasses.fields(value)]
    for name, member in vars(value).items():
        if isinstance(member, FunctionType | staticmethod | classmethod | property):
            if not (name.startswith("_") and _is_made(value, member)):
                yield name, member
        elif not name.startswith("__") and not issubclass(value, Enum):
            yield name, member


def _field(field: dataclasses.Field[Any]) -> tuple[Any, ...]:
    default, factory = field.default, field.default_factory
    is_missing = default is dataclasses.MISSING, factory is dataclasses.MISSING
    return (
        field.name,
        None if is_missing[0] else default,
        None if is_missing[1] else factory,
        is_missing,
    )


def _is_made(value: type, member: Any) -> bool:
    """Whether Python made a method, as `dataclasses` does from the fields; or its annotations, which it keeps in one."""
    function = getattr(member, "__func__", member)
    if not isinstance(function, FunctionType):
        return False
    is_generated = dataclasses.is_dataclass(value) and function.__code__.co_filename == "<string>"
    is_foreign = _top(function.__globals__.get("__name__")) != _top(value.__module__)
    return is_generated or is_foreign or function.__name__ == "__annotate__"


def _text_of_class(value: type) -> list[str]:
    if type(value) in OWN_METACLASSES:
        return []
    try:
        return [inspect.getsource(value)]
    except (OSError, TypeError):
        return []
