"""Reading: what some code is made of, as text that is the same wherever the same code is.

A function counts by its own source, its defaults, and what it uses of its own package: functions and methods, also such as
wrap another or lie in a dict, classes with what they inherit, objects of these, what it imports when it is called, and plain
data. Other objects count by their type, what other packages have by its name.
"""

from __future__ import annotations

import dis
import functools
import re
import sys
import types
import typing
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from datetime import date, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from inspect import getattr_static
from operator import attrgetter, itemgetter
from pathlib import PurePath
from types import CodeType, FunctionType, MappingProxyType, MethodType, ModuleType, SimpleNamespace
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np

from motion.definitions.functions import imports, sources
from motion.definitions.functions.imports import Imports
from motion.definitions.functions.members import (
    bases_of,
    code_of,
    fields_of,
    hints_of_class,
    members_of,
)
from motion.definitions.functions.packages import Own, name_of, package_of, top_of
from motion.definitions.functions.sources import Told, constant, told_of, told_of_class

ATOMS = frozenset({int, float, bool, str, bytes, type(None)})

PLAIN = (
    complex, range, slice, bytearray, timedelta, timezone, ZoneInfo, Decimal, Fraction, UUID, PurePath,
    attrgetter, itemgetter, np.generic,
)  # fmt: skip

DEEPEST = 50
"""Data that lies deeper within other data counts by its type."""

GLOBAL_LOADS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
MEMBER_LOADS = frozenset({"LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR", "STORE_ATTR"})

OF_MODULES = frozenset({"__name__", "__package__", "__spec__", "__loader__", "__builtins__"})
"""Names that say where code runs, and not what it does."""

HOOKS = ("__getattr__", "__getattribute__", "__setattr__")

STATE_MAKERS = ("setup", "load")
"""Methods of a component that make its state."""


class Reading:
    """What some code of one package is made of, each thing once: where it is met again it is told by its number.

    Args:
        package: whose functions and classes are read.

    Attributes:
        parts: a text for each of them, and for what `add` was given.
        searches: the keys, as "table.key", that they name in calls of `search`.
    """

    def __init__(self, package: str) -> None:
        self.parts: list[str] = []
        self.searches: list[str] = []
        self._is_own = Own(package)
        self._imports = Imports(self._is_own)
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._met: list[Any] = []  # so that an id stays what it is
        self._holders: list[int] = []
        self._places: dict[int, int] = {}
        self._unread = deque[tuple[int, Callable[[], Iterable[str]]]]()

    def add(self, *told: str) -> None:
        """Tell something, and read all that was met on the way."""
        self.parts += told
        while self._unread:
            number, made_of = self._unread.popleft()
            self.parts.append("\n".join([f"#{number}:", *made_of()]))

    def told(self, value: Any, owner: type | None = None, is_method: bool = False) -> str:
        """Return a value as text. What of it is code of the package is told by a number, and read by the next `add`.

        Args:
            owner: the class of an object that may be handed to it: what it looks up in that is looked up there.
            is_method: whether it was found in that class, so its first parameter is the object.
        """
        if type(value) in ATOMS:
            return constant(value)
        if type(value) is FunctionType:
            return self._function(value, owner, is_method)
        if type(value) is tuple and ATOMS.issuperset(map(type, value)):
            return f"tuple({', '.join(map(constant, value))})"
        try:
            return self._object(value, owner, is_method)
        except Exception:  # noqa: BLE001 - a property's or a proxy's own: it counts as other objects do
            return name_of(type(value))

    def told_code(self, value: Any) -> str:
        """Return what a class that stands for an object is told by: its methods, and not its fields; nothing of other packages'
        classes, and of such as inherit from Motion's, which are no values."""
        if not isinstance(value, type) or not self._is_own(value.__module__):
            return ""
        if any(map(self._is_motions, value.__mro__)):
            return ""
        return self._class(value, is_whole=False)

    def _object(self, value: Any, owner: type | None, is_method: bool) -> str:
        if isinstance(value, type):
            return self._class(value) if self._is_own(value.__module__) else _named(value)
        if isinstance(value, MethodType):
            holder = value.__self__
            owner = holder if isinstance(holder, type) else type(holder)
            code, data = self.told(value.__func__, owner, True), self._data(holder)
            return code if data == name_of(type(holder)) else f"{code} of {data}"
        behind = list(_behind(value))
        told = self._each(value, behind, owner, is_method) if behind else [self._data(value)]
        if self._is_own(type(value).__module__):
            told.append(self._class(type(value)))
            told += self._each(value, _functions_in(value))  # as of a decorator that is a class
        return " ".join(told)

    # -- data --

    def _data(self, value: Any) -> str:
        kind = type(value)
        if issubclass(kind, Enum):
            return f"{name_of(kind)}.{value.name}={self.told(value.value)}"
        for atom in (int, float, str, bytes):
            if issubclass(kind, atom):
                return f"{name_of(kind)}:{atom.__repr__(value)!a}"
        if issubclass(kind, date | time):
            return f"{name_of(kind)}:{value.isoformat()}"
        if issubclass(kind, PLAIN):
            return f"{name_of(kind)}:{value!a}"
        if issubclass(kind, re.Pattern):
            return f"Pattern({value.pattern!a}, {value.flags})"
        if issubclass(kind, ModuleType):
            is_own = self._is_own(value.__name__)
            return (
                "\n".join(self._imports.whole(value.__name__)) if is_own else top_of(value.__name__)
            )
        if typing.get_args(value):
            told = [self.told(each) for each in (typing.get_origin(value), *typing.get_args(value))]
            return f"[{', '.join(told)}]"
        if _is_builtin(value):
            holder = getattr(value, "__self__", None)
            is_bound = holder is not None and not isinstance(holder, ModuleType | type)
            return f"{_named(value)} {self.told(holder) if is_bound else ''}"
        held = _held_by(value)
        if held is None or len(self._holders) >= DEEPEST:
            return name_of(kind)
        is_set = issubclass(kind, set | frozenset)
        if id(value) in self._places:  # met before, or it holds itself
            return f"@{self._places[id(value)]}"
        if held:
            self._places[id(value)] = len(self._places)
            self._met.append(value)
        told = self._each(value, held)
        return f"{name_of(kind)}({', '.join(sorted(told) if is_set else told)})"

    def _each(
        self, holder: Any, held: Iterable[Any], owner: type | None = None, is_method: bool = False
    ) -> list[str]:
        """Return what something holds as texts; nothing where it is within itself."""
        if id(holder) in self._holders:
            return []
        self._holders.append(id(holder))
        try:
            return [self.told(each, owner, is_method) for each in held]
        finally:
            self._holders.pop()

    # -- code --

    def _number(self, key: tuple[Any, ...], made_of: Callable[[], Iterable[str]]) -> str:
        """Return what a function or class is told by; where it is met for the first time, it is to be read."""
        ids = tuple(map(id, key[:-1])) + key[-1:]
        if ids not in self._numbers:
            self._numbers[ids] = len(self._numbers)
            self._met += key
            self._unread.append((self._numbers[ids], made_of))
        return f"#{self._numbers[ids]}"

    def _function(self, function: FunctionType, owner: type | None, is_method: bool) -> str:
        if not self._is_own(function.__globals__.get("__name__")):
            inner = self._each(function, _wrapped(function), owner, is_method)
            return " ".join(inner) or _named(function)
        made_of = functools.partial(self._made_of, function, owner, is_method)
        return self._number((function, owner, is_method), made_of)

    def _made_of(
        self, function: FunctionType, owner: type | None, is_method: bool
    ) -> Iterator[str]:
        told = told_of(function)
        yield from (each.text for each in told) if told else [_bytecode(function.__code__)]
        yield self.told(function.__defaults__)
        yield self.told(function.__kwdefaults__)
        names = _names(function.__code__, GLOBAL_LOADS)
        used = Used(function, told, names, owner, is_method)
        handed = owner if used.hands_on else None
        for name, value in sorted({**_globals(function, names), **dict(_cells(function))}.items()):
            if self._is_own_module(value):
                for path, each in self._of_module(value, used.paths_of(name)):
                    yield f"{name}.{path}={self.told(each, handed)}"
            elif not self._is_motions(type(value)):  # the store has no value yet at first
                yield f"{name}={self.told(value, handed)}"
        for name, value in used.of_owner(self._is_own):
            yield f"self.{name}={self.told(value, owner, True)}"
        yield from (self.told_code(each) for each in _hinted(function))
        yield from self._imports.of(told)
        self.searches += [key for each in told for key in each.searches]

    def _is_own_module(self, value: Any) -> bool:
        return issubclass(type(value), ModuleType) and self._is_own(value.__name__)

    def _is_motions(self, kind: type) -> bool:
        return top_of(kind.__module__) == "motion" and not self._is_own("motion")

    def _of_module(
        self, module: ModuleType, paths: Iterable[tuple[str, ...]]
    ) -> Iterator[tuple[str, Any]]:
        """Yield what is used of a module of the package, and of the modules in it. Not the modules themselves: which there are
        depends on what has been imported yet."""
        for path in sorted(paths):
            value: Any = module
            for place, name in enumerate(path):
                value = vars(value).get(name, value)
                if not self._is_own_module(value):
                    yield ".".join(path[: place + 1]), value
                    break
            else:
                if not path:
                    yield "", module

    def _class(self, value: type, is_whole: bool = True) -> str:
        made_of = self._whole_class if is_whole else self._code_of_class
        return self._number((value, is_whole), functools.partial(made_of, value))

    def _code_of_class(self, value: type) -> Iterator[str]:
        yield from filter(None, map(self.told_code, value.__bases__))
        for name, member in code_of(value):
            yield f"{name}={self.told(member, value, True)}"

    def _whole_class(self, value: type) -> Iterator[str]:
        bases, is_plain = bases_of(value)
        yield from map(self.told, bases)
        if not is_plain:  # its text says what a metaclass makes of it
            for told in told_of_class(value):
                yield told.text
                yield from self._named_by(value, told)
        yield self.told(fields_of(value))
        yield from (f"{name}: {self.told(each)}" for name, each in hints_of_class(value))
        for name, member in sorted(members_of(value), key=lambda each: each[0]):
            yield f"{name}={self.told(member)}"

    def _named_by(self, value: type, told: Told) -> Iterator[str]:
        """Yield what the text of a class names of its module."""
        known = getattr(sys.modules.get(value.__module__), "__dict__", {})
        for name in sorted({path[0] for path in told.paths} & known.keys() - {name_of(value)}):
            if not isinstance(known[name], ModuleType):
                yield f"{name}={self.told(known[name])}"


class Used:
    """What a function looks up, and where: by its text, or where there is none, by its bytecode.

    Attributes:
        hands_on: whether an object of `owner` may be handed to what it calls.
    """

    def __init__(
        self,
        function: FunctionType,
        told: tuple[Told, ...],
        names: set[str],
        owner: type | None,
        is_method: bool,
    ) -> None:
        self._owner, self._is_known = owner, bool(told)
        self._members = {name for each in told for name in each.members}
        if not told:
            self._members = _names(function.__code__, MEMBER_LOADS)
        self._paths = {path for each in told for path in each.paths}
        firsts = {each.first for each in told} if is_method else set()
        is_bare = any((first,) in self._paths for first in firsts)
        self.hands_on = owner is not None and (not firsts or is_bare)
        self._has_super = "super" in names
        if firsts and not is_bare and not self._has_super:
            self._members = {path[1] for path in self._paths if path[0] in firsts and len(path) > 1}

    def paths_of(self, name: str) -> set[tuple[str, ...]]:
        """Return what is looked up in what a name stands for: () where it is used as it is."""
        if not self._is_known:
            return {(member,) for member in self._members}
        return {path[1:] for path in self._paths if path[0] == name}

    def of_owner(self, is_own: Callable[[Any], bool]) -> Iterator[tuple[str, Any]]:
        """Yield what it may use of the object: what its class has by the names that are looked up, and what Python calls
        where the object is used as it is."""
        if self._owner is None:
            return
        classes = [each for each in self._owner.__mro__ if is_own(each.__module__)]
        names = self._members | set(HOOKS)
        if self.hands_on:
            names |= {
                name for each in classes for name, _ in code_of(each) if name.startswith("__")
            }
            names -= {"__init__", "__new__", "__init_subclass__"}
        for name in sorted(names):
            found = [getattr_static(self._owner, name, None)]
            if self._has_super:
                found += [vars(each).get(name) for each in self._owner.__mro__]
            found = [each for each in found if each is not None and _is_told(name, each, is_own)]
            yield from ((name, each) for each in {id(each): each for each in found}.values())


def _is_told(name: str, member: Any, is_own: Callable[[Any], bool]) -> bool:
    """Whether a member tells something: not what Python gives to all classes."""
    return not name.startswith("__") or is_own(getattr(member, "__module__", None))


def read(function: Callable[..., Any], *rows: type) -> Reading:
    """Return what a function is made of, and, of a component's method, what the constructor was given.

    Args:
        rows: classes of what it is called with.
    """
    reading = Reading(package_of(function))
    reading.add(reading.told(function), *map(reading.told_code, rows))
    if isinstance(function, MethodType):
        owner = type(function.__self__)
        makers = [getattr_static(owner, name, None) for name in STATE_MAKERS]
        made = [
            found for each in makers if isinstance(each, FunctionType) for found in _made_by(each)
        ]
        given = vars(function.__self__) if hasattr(function.__self__, "__dict__") else {}
        reading.add(
            *(reading.told(each) for each in _given(owner, given)), *map(reading.told_code, made)
        )
    return reading


def forget_trees() -> None:
    """Keep no syntax trees any more, as these are large; what they say is kept."""
    sources.forget_trees()
    imports.forget_trees()


def _given(owner: type, values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield an object's own values, without what a property has kept there."""
    for name, value in values.items():
        if not isinstance(getattr_static(owner, name, None), functools.cached_property):
            yield name, value


def _named(value: Any) -> str:
    """What another package has: by its name there. Where in the package it lies is that package's own affair."""
    if isinstance(value, type):
        return f"{top_of(value.__module__)}:{name_of(value)}"
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", name_of(type(value)))
    return f"{top_of(getattr(value, '__module__', None))}:{name}"


def _is_builtin(value: Any) -> bool:
    """Whether it is a function that is not written in Python."""
    return callable(value) and type(value).__module__ in ("builtins", "numpy")


# -- what objects hold --


def _held_by(value: Any) -> Iterable[Any] | None:
    """Return what plain data holds; None of other objects."""
    kind = type(value)
    if issubclass(kind, list | tuple | deque):
        return list(value)
    if issubclass(kind, set | frozenset):
        return sorted(value, key=_order)
    if issubclass(kind, dict | MappingProxyType):
        factory = [value.default_factory] if issubclass(kind, defaultdict) else []
        return [*value.items(), *factory]
    if issubclass(kind, SimpleNamespace):
        return list(vars(value).items())
    fields = getattr_static(kind, "__dataclass_fields__", None)
    return None if fields is None else [getattr_static(value, name, None) for name in fields]


def _order(value: Any, depth: int = 0) -> str:
    """Return where something in a set comes, whatever Python's order of it is."""
    if type(value) in ATOMS:
        return constant(value)
    if isinstance(value, FunctionType):
        code, cells = value.__code__, [each for _, each in _cells(value)]
        held = [_order(each, depth + 1) for each in cells] if depth < 3 else []
        return f"{value.__qualname__} {code.co_firstlineno} {held}"
    inner = (_held_by(value) or _behind(value)) if depth < 3 else []
    name = getattr(value, "__qualname__", name_of(type(value)))
    return f"{name} {[_order(each, depth + 1) for each in inner]} {ascii(value) if issubclass(type(value), PLAIN) else ''}"


def _functions_in(value: Any) -> list[FunctionType]:
    return [each for each in getattr(value, "__dict__", {}).values() if type(each) is FunctionType]


def _behind(value: Any) -> Iterator[Any]:
    """What an object calls that stands for a function: a partial, a property, a cache, what `functools.wraps` wraps."""
    if isinstance(value, functools.partial | functools.partialmethod):
        yield from (value.func, value.args, value.keywords)
    elif isinstance(value, property):
        yield from (value.fget, value.fset)
    elif isinstance(value, functools.cached_property):
        yield value.func
    elif isinstance(value, functools.singledispatchmethod):
        yield from (value.func, value.dispatcher)
    elif isinstance(value, staticmethod | classmethod):
        yield value.__func__
    else:
        yield from _wrapped(value)


def _wrapped(value: Any) -> Iterator[Any]:
    """What a wrapper calls, and what `functools.singledispatch` chooses from."""
    inner = getattr_static(value, "__wrapped__", None)
    if callable(inner):
        yield inner
    chosen = getattr_static(value, "registry", None)
    if isinstance(chosen, MappingProxyType):
        yield dict(chosen)


# -- what functions name --


def _globals(function: FunctionType, names: set[str]) -> dict[str, Any]:
    known = function.__globals__
    return {name: known[name] for name in sorted(names - OF_MODULES) if name in known}


def _cells(function: FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # it has no value yet
            continue


def _names(code: CodeType, loads: frozenset[str]) -> set[str]:
    """Return the names that code looks up in such a way, those of functions inside it included. What it imports or binds itself
    is no global, whatever its module calls so."""
    own = {each.argval for each in dis.get_instructions(code) if each.opname in loads}
    inner = [const for const in code.co_consts if isinstance(const, CodeType)]
    return own.union(*(_names(each, loads) for each in inner))


def _bytecode(code: CodeType) -> str:
    consts = [_bytecode(c) if isinstance(c, CodeType) else constant(c) for c in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {consts}"


def _hints(function: FunctionType) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, function.__globals__)
    except Exception:  # noqa: BLE001 - a name may be there for type checkers only
        return {}


def _made_by(function: FunctionType) -> Iterator[Any]:
    """Yield the classes that what a function gives may be of: such as it says so, and such as it names."""
    yield from _classes_in(_hints(function).get("return"))
    yield from _globals(function, _names(function.__code__, GLOBAL_LOADS)).values()


def _hinted(function: FunctionType) -> Iterator[Any]:
    """Yield the classes in the annotations of a function's parameters."""
    for name, hint in _hints(function).items():
        if name != "return":
            yield from _classes_in(hint)


def _classes_in(hint: Any) -> Iterator[type]:
    if isinstance(hint, type) and not isinstance(hint, types.GenericAlias):
        yield hint
    for each in typing.get_args(hint):
        yield from _classes_in(each)
