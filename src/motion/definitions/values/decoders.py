"""Decoders of JSON by type, each made by one thread at a time.

msgspec notes on a class what it knows of its fields, and does so before it knows them all. A thread that makes or uses a
decoder of the class meanwhile follows pointers that are not set yet, which ends the process. So every decoder of a type
is made here, and none outside of the lock.
"""

from __future__ import annotations

import os
import threading
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

T = TypeVar("T")

_making = threading.Lock()

# A child has a copy of what was half made, and of a lock that nobody there lets go.
os.register_at_fork(
    before=_making.acquire, after_in_parent=_making.release, after_in_child=_making.release
)

_made: dict[Any, msgspec.json.Decoder[Any]] = {}

MSGSPECS_NOTE = "__msgspec_cache__"


def from_json(text: str | bytes, kind: type[T]) -> T:
    """Return what a JSON text holds, as a type of our own.

    Raises:
        msgspec.MsgspecError: the text is no JSON, or not of the type.
    """
    found = _made.get(kind)
    if found is None:
        with _making:
            found = _made.setdefault(kind, msgspec.json.Decoder(kind))
    value: T = found.decode(text)
    return value


def decoder_of(kind: Any) -> msgspec.json.Decoder[Any]:
    """Return what reads values of a type of users. What msgspec notes on classes meanwhile is taken off again: a class of
    a script is sent to other processes as it is, and that cannot be.

    Raises:
        TypeError, NameError, RecursionError: msgspec does not take the type.
    """
    with _making:
        decoder = msgspec.json.Decoder(kind)
        for cls in _classes(inspect.type_info(kind), []):
            if MSGSPECS_NOTE in vars(cls):
                delattr(cls, MSGSPECS_NOTE)
    return decoder


def _classes(info: Any, found: list[type]) -> list[type]:
    cls = getattr(info, "cls", None)
    if cls in found:
        return found
    if cls is not None:
        found.append(cls)
    inner = [getattr(info, name, None) for name in ("item_type", "key_type", "value_type")]
    inner += [*getattr(info, "types", ()), *getattr(info, "item_types", ())]
    inner += [each.type for each in getattr(info, "fields", ())]
    for each in inner:
        if each is not None:
            _classes(each, found)
    return found
