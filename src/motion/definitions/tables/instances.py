"""Instances: objects of a table's dataclass, made of stored values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any


def reader_of(
    cls: type, decoders: Mapping[str, Callable[[Any], Any] | None]
) -> Callable[[Sequence[Any]], Any]:
    """Return a function that makes an instance of a row of stored values, in the order of the keys.

    The dataclass's `__init__` is not run: its checks are for whole rows, and a stored row may have unset keys. The function
    is compiled from a text, as those of dataclasses are: an assignment for each key takes a fifth of a loop over them.

    Args:
        decoders: what makes a key's value of a stored one that is set; None where it is stored as it is. The names are
            those of a dataclass's fields, so nothing but names.
    """
    given = [f"v{place}" for place in range(len(decoders))]
    lines = ["def read(stored):", " row = new(cls)", f" {', '.join(given)}, = stored"]
    known: dict[str, Any] = {"new": object.__new__, "cls": cls, "set_key": object.__setattr__}
    is_frozen = cls.__setattr__ is not object.__setattr__  # type: ignore[comparison-overlap]  # they may be one
    for value, (name, decode) in zip(given, decoders.items(), strict=True):
        if decode is not None:
            known[f"decode_{value}"] = decode
            value = f"{value} if {value} is None else decode_{value}({value})"
        lines.append(f" set_key(row, {name!r}, {value})" if is_frozen else f" row.{name} = {value}")
    exec("\n".join([*lines, " return row"]), known)
    read: Callable[[Sequence[Any]], Any] = known["read"]
    return read
