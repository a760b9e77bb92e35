"""Nested types: what a JSON value may hold, as data that is kept with the table, so that a change of it is noticed.

A shape is a JSON value: a word for a plain type ("int"), `["list", item]`, `["dict", key, value]`, `["union", ...]`,
`["enum", {member: value}, {alias: value}]`, `["fields", {name: [is_required, shape]}]` for dataclasses and their like, and
`["above", n]` for one that holds itself: the n-th that is open, counted from the outside. Before decision 105 an Enum was noted as
`["enum", values...]`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from msgspec import inspect

from motion.definitions.values.decoders import decoder_of

DEEPEST = 200
"""Levels that a value may be nested: SQLite's JSON functions take 1,000, and every level is a frame to who reads it."""

NATIVE = ("int", "float", "bool", "str", "none")

Shape = Any


class Unsupported(Exception):
    """A type has no place in JSON that it comes back from; the text says which, and why."""


def shape_of(kind: Any) -> Shape:
    """Return a type's shape.

    Raises:
        Unsupported: it, or one that it holds, cannot be kept.
    """
    try:
        decoder_of(kind)
        return _shape(inspect.type_info(kind), [])
    except (TypeError, NameError, RecursionError) as exc:
        raise Unsupported(str(exc)) from exc


def _shape(info: Any, above: list[Any]) -> Shape:
    word = type(info).__name__.removesuffix("Type").lower()
    if isinstance(info, inspect.CustomType):
        if info.cls is object:
            return "any"
        raise Unsupported(f"{info.cls.__name__} has no form in JSON")
    if hasattr(info, "fields"):
        return _fields_shape(info, above)
    if isinstance(info, inspect.DictType):
        _check_dict_key(info.key_type)
        return ["dict", _shape(info.key_type, above), _shape(info.value_type, above)]
    if isinstance(info, inspect.UnionType):
        return ["union", *(_shape(each, above) for each in info.types)]
    if isinstance(info, inspect.TupleType):
        return ["tuple", *(_shape(each, above) for each in info.item_types)]
    if isinstance(info, inspect.EnumType):
        return _enum_shape(info.cls)
    if isinstance(info, inspect.LiteralType):
        return ["literal", *info.values]
    if hasattr(info, "item_type"):
        return [word, _shape(info.item_type, above)]
    return word


def _enum_shape(kind: type[Enum]) -> Shape:
    members = {each.name: each.value for each in kind}
    named = {
        name: each.value for name, each in kind.__members__.items()
    }  # combinations of flags, too
    return ["enum", members, {name: named[name] for name in named if name not in members}]


def _check_dict_key(info: Any) -> None:
    """Refuse keys of which none can be the name of a member in JSON: every value but {} would be refused."""
    is_compound = (
        hasattr(info, "fields") or hasattr(info, "item_type") or hasattr(info, "item_types")
    )
    if is_compound or isinstance(info, inspect.BoolType | inspect.NoneType | inspect.DictType):
        word = type(info).__name__.removesuffix("Type").lower()
        raise Unsupported(f"a dict's keys are texts or numbers in JSON, and none is a {word}")


def _fields_shape(info: Any, above: list[Any]) -> Shape:
    if info.cls in above:
        return ["above", above.index(info.cls)]
    if isinstance(info, inspect.NamedTupleType):
        return ["tuple", *(_shape(each.type, [*above, info.cls]) for each in info.fields)]
    inner = [*above, info.cls]
    fields = {each.encode_name: [each.required, _shape(each.type, inner)] for each in info.fields}
    return ["fields", fields]


def differences(new: Shape, old: Shape, path: str = "") -> Iterator[str]:
    """Give what keeps values of one shape from being read as another, each as a sentence without a subject."""
    at = f"{path} " if path else ""
    if new == old or (new == "any" and _is_native(old)):
        return
    new_word, old_word = _word(new), _word(old)
    if "union" in (new_word, old_word):
        options = new[1:] if new_word == "union" else [new]
        for each in old[1:] if old_word == "union" else [old]:
            yield from _option_differences(options, each, new, path)
    elif new_word != old_word:
        yield f"{at}was {shown(old)} and is {shown(new)} now"
    elif new_word == "fields":
        yield from _field_differences(new[1], old[1], path)
    elif new_word == "enum":
        yield from (at + each for each in _member_differences(new[1:], old[1:]))
    elif new_word == "literal":
        yield from (at + each for each in _gone(new[1:], old[1:]))
    elif isinstance(new, str) or len(new) != len(old):
        yield f"{at}was {shown(old)} and is {shown(new)} now"
    elif new_word == "above":
        yield f"{at}holds another of the types around it"
    else:
        for one, other in zip(new[1:], old[1:], strict=True):
            yield from differences(one, other, f"{path}[]")


def _option_differences(options: list[Shape], old: Shape, new: Shape, path: str) -> Iterator[str]:
    """Give what keeps one part of a union from being read: of the only option of its kind, where there is one, in detail."""
    found = [(option, list(differences(option, old, path))) for option in options]
    if all(told for _, told in found):
        alike = [told for option, told in found if _word(option) == _word(old)]
        at = f"{path} " if path else ""
        yield from (
            alike[0] if len(alike) == 1 else [f"{at}held {shown(old)} and is {shown(new)} now"]
        )


def _member_differences(new: list[Any], noted: list[Any]) -> Iterator[str]:
    """Give what keeps members of an Enum, which are kept by their values, from being read as they were given."""
    if not noted or not isinstance(noted[0], Mapping):
        yield from _value_differences(new[0], noted)
        return
    now = {**new[0], **new[1]}
    for name, value in {**noted[0], **noted[1]}.items():
        if name not in now:
            yield f"had the member {name} = {value!r}, which is gone"
        elif now[name] != value:
            yield (
                f"had the member {name} = {value!r}, which is {now[name]!r} now: within lists, dicts and dataclasses a member is kept "
                f"by its value, so give it that again"
            )


def _value_differences(new: Mapping[str, Any], old: list[Any]) -> Iterator[str]:
    """Give the same where an older Motion has noted the values and not whose they are: a class that has others than these has
    perhaps given them to other members."""
    yield from _gone(list(new.values()), old)
    more = [name for name, value in new.items() if value not in old]
    if more:
        yield (
            f"was noted by an older Motion, which did not note whose its members' values ({', '.join(map(repr, old))}) are, and has "
            f"{', '.join(more)} besides now: open the store once with the Enum as it was, and then with what is new"
        )


def _gone(new: list[Any], old: list[Any]) -> Iterator[str]:
    gone = [repr(value) for value in old if value not in new]
    if gone:
        yield f"may be {', '.join(gone)} and now may not"


def _field_differences(new: Mapping[str, Any], old: Mapping[str, Any], path: str) -> Iterator[str]:
    for name, (_, kind) in old.items():
        if name not in new:
            yield f"field {path}.{name} is gone"
        else:
            yield from differences(new[name][1], kind, f"{path}.{name}")
    for name, (is_required, _) in new.items():
        if is_required and name not in old:
            yield f"field {path}.{name} is new and has no default"


def _word(shape: Shape) -> str:
    return shape if isinstance(shape, str) else str(shape[0])


def _is_native(shape: Shape) -> bool:
    """Whether values of a shape are the same where nothing is known of their types."""
    if isinstance(shape, str):
        return shape in ("any", *NATIVE)
    if shape[0] == "dict" and shape[1] not in ("str", "any"):
        return False
    return shape[0] in ("list", "dict", "union") and all(map(_is_native, shape[1:]))


def shown(shape: Shape) -> str:
    """Return a shape as people read it."""
    if isinstance(shape, str):
        return shape
    word, inner = shape[0], shape[1:]
    if word == "union":
        return " | ".join(map(shown, inner))
    if word == "fields":
        return f"a dataclass of {', '.join(inner[0]) or 'nothing'}"
    if word == "enum" and inner and isinstance(inner[0], Mapping):
        members = {**inner[0], **inner[1]}
        return f"enum of {', '.join(f'{name}={value!r}' for name, value in members.items())}"
    if word in ("enum", "literal"):
        return f"{word} of {', '.join(map(repr, inner))}"
    return "a type around it" if word == "above" else f"{word}[{', '.join(map(shown, inner))}]"


def lost(value: Any, back: Any, depth: int = 0) -> str | None:
    """Return what of a value is another in `back`, which came of it by way of JSON; None where nothing is.

    Equal numbers are one, and so are a member of an Enum and its value, and a dict and the dataclass made of it, if that
    has all its keys.
    """
    if depth > DEEPEST:
        return f"it is nested deeper than {DEEPEST} levels"
    if dataclasses.is_dataclass(back) and not isinstance(value, type(back)):
        if not isinstance(value, Mapping):
            return f"{_told(value)} is no {type(back).__name__}"
        names = {each.name for each in dataclasses.fields(back)}
        unknown = [name for name in value if name not in names]
        if unknown:
            return f"{type(back).__name__} has no field {unknown[0]!r}"
        return _first(lost(value[name], getattr(back, name), depth + 1) for name in value)
    if dataclasses.is_dataclass(back):
        if type(value) is not type(back):
            return f"a {type(value).__name__} would come back as a {type(back).__name__}"
        names = {each.name for each in dataclasses.fields(back)}
        return _first(lost(getattr(value, name), getattr(back, name), depth + 1) for name in names)
    if isinstance(value, Mapping) and isinstance(back, Mapping):
        if value.keys() != back.keys():
            return f"the keys {', '.join(map(repr, value))} would be others in JSON"
        return _first(lost(value[key], back[key], depth + 1) for key in value)
    if isinstance(back, list | tuple):
        kind = list if isinstance(back, list) else tuple
        if not isinstance(value, kind):
            return f"{_told(value)} would come back as a {kind.__name__}"
        return _first(lost(*pair, depth + 1) for pair in zip(value, back, strict=True))
    if isinstance(back, Enum) and not isinstance(value, Enum):
        back = back.value  # by which a member is kept
    is_same = isinstance(value, bool) == isinstance(back, bool) and bool(value == back)
    return None if is_same else f"{_told(value)} would come back as {back!r}"


def _first(found: Iterator[str | None]) -> str | None:
    return next((each for each in found if each is not None), None)


def _told(value: Any) -> str:
    return (
        f"a {type(value).__name__}"
        if not isinstance(value, float | str | int)
        else repr(value)[:60]
    )
