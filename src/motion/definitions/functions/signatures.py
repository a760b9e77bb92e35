"""Signatures: what a function says of its parameters, also the types that only a type checker knows."""

from __future__ import annotations

import ast
import inspect
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

from motion.definitions.functions.sources import parsed
from motion.errors import SchemaError, TriggerError

T = TypeVar("T")


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it gives something to await; of an object that can be called, its method says so."""
    called = vars(type(function)).get("__call__")
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


def signature_of(name: str, function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except (ValueError, TypeError) as exc:
        raise TriggerError(
            f"trigger {name!r}: {function!r} does not say what its parameters are called; write a function of keys that "
            f"calls it."
        ) from exc


def check_parameter(name: str, parameter: inspect.Parameter) -> None:
    """Refuse parameters that keys, handed over by their place, cannot fill."""
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise TriggerError(f"trigger {name!r}: parameter {parameter} must be named after one key.")
    if parameter.kind == parameter.KEYWORD_ONLY:
        raise TriggerError(
            f"trigger {name!r}: parameter {parameter.name!r} is keyword-only, and keys are handed over by their place; "
            f"take the '*' before it away."
        )
    if parameter.default not in (parameter.empty, None):
        raise TriggerError(
            f"trigger {name!r}: parameter {parameter.name!r} has the default {parameter.default!r}, which would never be "
            f"used: a run waits until the key has a value. Annotate it '| None' and choose in the function."
        )


def hints_of(function: Callable[..., Any], components: dict[type, str]) -> dict[str, Any]:
    """Return the parameters' types. One that only a type checker can see stays text; the others do not suffer."""
    plain = inspect.unwrap(function)
    visible = {each.__name__: each for each in components}
    hints: dict[str, Any] = {}
    for name, hint in getattr(plain, "__annotations__", {}).items():
        alone = type("alone", (), {"__annotations__": {name: hint}})
        try:
            names = getattr(plain, "__globals__", {})
            hints |= typing.get_type_hints(alone, names, visible, include_extras=True)
        except (NameError, TypeError, AttributeError, SyntaxError):
            hints[name] = hint
    return hints


def beside(hint: Any, kind: type[T]) -> T | None:
    """Return what of a kind stands beside a type in `Annotated`, also where that is `Annotated[...] | None`."""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return next((each for each in hint.__metadata__ if isinstance(each, kind)), None)
    if origin in (typing.Union, types.UnionType):
        found = (beside(each, kind) for each in typing.get_args(hint))
        return next((each for each in found if each is not None), None)
    return None


def all_beside(hint: Any, *kinds: type) -> list[Any]:
    """Return all that stands beside a type so, and what was meant to: the kinds themselves."""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        own = [
            each for each in hint.__metadata__ if isinstance(each, kinds) or _is_one_of(each, kinds)
        ]
        return [*all_beside(hint.__origin__, *kinds), *own]
    if origin in (typing.Union, types.UnionType):
        return [each for part in typing.get_args(hint) for each in all_beside(part, *kinds)]
    return []


def _is_one_of(value: Any, kinds: tuple[type, ...]) -> bool:
    return any(value is kind for kind in kinds)


def check_beside(hint: Any, *kinds: type) -> None:
    """Refuse what would be passed over beside a type: a class in place of an instance, and a second instance.

    Raises:
        SchemaError: there is one.
    """
    found = all_beside(hint, *kinds)
    for each in found:
        if isinstance(each, type):
            raise SchemaError(
                f"motion.{each.__name__} needs its values, such as motion.{each.__name__}({EXAMPLES[each.__name__]})."
            )
    if len(found) > 1:
        raise SchemaError(f"it has {' and '.join(map(str, found))}; keep one of them.")


EXAMPLES = {
    "Lookup": '"user.name", by="user_id"',
    "Window": '"payment.amount", by="card"',
    "Ref": '"user"',
}


def takes_none(hint: Any) -> bool:
    """Return whether a type has None in it, also where its other parts are known to a type checker only."""
    if isinstance(hint, str):
        return _says_none(hint)
    if isinstance(hint, typing.ForwardRef):
        return _says_none(hint.__forward_arg__)
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return takes_none(hint.__origin__)
    if origin in (typing.Union, types.UnionType):
        return any(takes_none(each) for each in typing.get_args(hint))
    return hint in (None, type(None)) or (origin is Literal and None in typing.get_args(hint))


def each_takes_none(hint: Any) -> bool:
    """Return whether a type that holds the values of several rows lets one of them be None: `list[int | None]`, and
    `list[int] | None` too."""
    if takes_none(hint):
        return True
    origin, first = _origin_and_first(hint)
    if origin is typing.Annotated:
        return each_takes_none(first)
    return origin is not Literal and takes_none(first)


def elements_take_none(hint: Any) -> bool:
    """Return whether the elements of a list may be None: of `list[str | None]`, also where there may be no list."""
    origin, first = _origin_and_first(hint)
    if origin is typing.Annotated:
        return elements_take_none(first)
    if origin in (typing.Union, types.UnionType):
        return any(map(elements_take_none, typing.get_args(hint)))
    return origin in (list, Sequence) and takes_none(first)


def element_of(hint: Any) -> Any:
    """Return the type of what a list holds, also where there may be no list."""
    origin, first = _origin_and_first(hint)
    if origin is typing.Annotated:
        return element_of(first)
    if origin in (typing.Union, types.UnionType):
        parts = (each for each in typing.get_args(hint) if each is not type(None))
        return element_of(next(parts, Any))
    return first


def _origin_and_first(hint: Any) -> tuple[Any, Any]:
    """Return what is subscripted, and the first type in the brackets, also of a type as it is written."""
    if isinstance(hint, typing.ForwardRef):
        hint = hint.__forward_arg__
    if not isinstance(hint, str):
        return typing.get_origin(hint), next(iter(typing.get_args(hint)), Any)
    try:
        written = parsed(hint, "eval").body
    except SyntaxError:
        return None, Any
    if not isinstance(written, ast.Subscript):
        return None, Any
    name = ast.unparse(written.value).rpartition(".")[2]
    parts = written.slice.elts if isinstance(written.slice, ast.Tuple) else [written.slice]
    return getattr(typing, name, name), ast.unparse(parts[0])


def _says_none(text: str) -> bool:
    """Do the same with a type as it is written."""

    def says(node: ast.expr) -> bool:
        if isinstance(node, ast.Constant):
            return node.value is None or (isinstance(node.value, str) and _says_none(node.value))
        if isinstance(node, ast.BinOp):
            return says(node.left) or says(node.right)
        if not isinstance(node, ast.Subscript):
            return False
        name = node.value.attr if isinstance(node.value, ast.Attribute) else ast.unparse(node.value)
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if name == "Annotated":
            return says(parts[0])
        return name == "Optional" or (name in ("Union", "Literal") and any(map(says, parts)))

    try:
        return says(parsed(text, "eval").body)
    except SyntaxError:
        return False
