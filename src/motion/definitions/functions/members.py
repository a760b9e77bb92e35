"""Members: what a class of the user's defines, apart from what Python and its libraries put into it."""

from __future__ import annotations

import dataclasses
import functools
import typing
from abc import ABCMeta
from collections.abc import Iterator
from enum import Enum, EnumMeta
from types import FunctionType
from typing import Any

from motion.definitions.functions.packages import top_of
from motion.definitions.functions.sources import told_of_class

PLAIN_METACLASSES = (type, ABCMeta, EnumMeta)
"""Of classes whose members say what they are."""

CODE = (FunctionType, staticmethod, classmethod, property, functools.cached_property)

MADE = frozenset({
    "__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__annotations__", "__annotate__",
    "__annotate_func__", "__annotations_cache__", "__firstlineno__", "__static_attributes__", "__classdictcell__",
    "__abstractmethods__", "_abc_impl", "__parameters__", "__orig_bases__", "__type_params__", "__dataclass_fields__",
    "__dataclass_params__", "__hash__", "__is_protocol__", "_is_protocol", "_is_runtime_protocol",
    "__protocol_attrs__", "__non_callable_proto_members__", "__slots__", "__replace__",
})  # fmt: skip
"""Names in a class that say nothing of what it does, or what other members say."""


def bases_of(value: type) -> tuple[list[type], bool]:
    """Return what a class is made from, its metaclass among it, and whether its members say what it is."""
    bases = [
        each for each in (*value.__bases__, type(value)) if each not in (object, *PLAIN_METACLASSES)
    ]
    return bases, type(value) in PLAIN_METACLASSES and "__attrs_attrs__" not in vars(value)


def members_of(value: type) -> Iterator[tuple[str, Any]]:
    """Yield what a class itself defines and results may depend on."""
    members: dict[str, Any] = (
        dict(getattr(value, "__members__", {})) if issubclass(value, Enum) else {}
    )
    if members:
        yield "members", [(name, each.value) for name, each in members.items()]
    is_made_by_metaclass = type(value) not in PLAIN_METACLASSES
    for name, member in vars(value).items():
        if name in MADE or _is_made(value, name, member):
            continue
        is_enums = issubclass(value, Enum) and (name in members or _is_private(name))
        if is_enums and not isinstance(member, CODE):
            continue
        is_hidden = name.startswith("__") and not (isinstance(member, CODE) or _is_cached(member))
        if is_hidden and (is_made_by_metaclass or not _is_said(value, name)):
            continue
        yield name, member


def code_of(value: type) -> Iterator[tuple[str, Any]]:
    """Yield the methods and properties of a class, also behind a decorator."""
    for name, member in members_of(value):
        is_code = isinstance(member, CODE) or hasattr(type(member), "__get__") or callable(member)
        if is_code and not isinstance(member, type):
            yield name, member


def _is_said(value: type, name: str) -> bool:
    """Whether the text of a class gives it a member, which libraries might put there, too, as `copyreg` does where one is pickled."""
    return any((name,) in told.paths for told in told_of_class(value))


def _is_cached(member: Any) -> bool:
    return callable(getattr(member, "__wrapped__", None))


def _is_private(name: str) -> bool:
    return name.startswith("_") and name.endswith("_")


def _is_made(value: type, name: str, member: Any) -> bool:
    """Whether a library made a method: `dataclasses` from the fields, `enum` and `typing` for all classes."""
    is_of_fields = _fields(value) is not None or "__attrs_attrs__" in vars(value)
    if name == "__match_args__":
        return is_of_fields
    function = getattr(member, "__func__", member)
    inner = getattr(function, "__wrapped__", function)
    if not isinstance(inner, FunctionType):
        return False
    if is_of_fields and name.startswith("__") and inner.__code__.co_filename.startswith("<"):
        return True
    is_foreign = top_of(inner.__globals__.get("__name__")) != top_of(value.__module__)
    return is_foreign and (_is_private(name) or name == "__replace__")


def _fields(value: type) -> dict[str, Any] | None:
    found = next(
        (vars(each) for each in value.__mro__ if "__dataclass_fields__" in vars(each)), None
    )
    return None if found is None else found["__dataclass_fields__"]


def fields_of(value: type) -> list[Any]:
    """Return a dataclass's fields and options as plain data; nothing of other classes."""
    fields = _fields(value)
    if fields is None:
        return []
    options = next(
        vars(each)["__dataclass_params__"]
        for each in value.__mro__
        if "__dataclass_params__" in vars(each)
    )
    names = ("init", "repr", "eq", "order", "unsafe_hash", "frozen")
    return [[getattr(options, name, None) for name in names], *map(_field, fields.values())]


def _field(field: Any) -> list[Any]:
    given = [
        (name, value)
        for name in ("default", "default_factory")
        if (value := getattr(field, name)) is not dataclasses.MISSING
    ]
    options = [getattr(field, name) for name in ("init", "repr", "hash", "compare", "kw_only")]
    return [
        field.name,
        given,
        [None if each is dataclasses.MISSING else each for each in options],
        field.metadata,
    ]


def hints_of_class(value: type) -> Iterator[tuple[str, Any]]:
    """Yield what a class says of the types of its values."""
    try:
        hints = typing.get_type_hints(value, include_extras=True)
    except Exception:  # noqa: BLE001 - a name may be there for type checkers only
        hints = dict(vars(value).get("__annotations__", {}))
    yield from sorted(hints.items(), key=lambda each: each[0])
