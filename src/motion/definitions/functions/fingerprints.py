"""Fingerprints: the identity of a trigger's code.

A fingerprint changes when the code changes, or its defaults, or what it uses of its own package, as `reading` tells. Layout,
comments and docstrings do not count, nor the version of Python, nor where the package lies: a path in it counts as it lies there.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from motion.definitions.functions.packages import module_name
from motion.definitions.functions.reading import Reading, read


def fingerprint_of(
    function: Callable[..., Any],
    version: str | None,
    policy: str,
    when: Callable[..., Any] | None = None,
    reading: Reading | None = None,
    rows: Sequence[type] = (),
) -> str:
    """Return 16 hexadecimal digits that name the function's code, or `version` where the user gave one.

    Args:
        function: the user's function or method.
        version: the user's own name for it; overrides the source.
        policy: the parts of the declaration that change results (keys, page), as text.
        when: the function that decides whether it runs.
        reading: of the function, where it was read already.
        rows: the class of the row that `when` is called with.
    """
    if version is not None:
        parts = [policy, f"version {version}"]
    else:
        parts = [
            policy,
            *_placeless(function, reading),
            *(_placeless(when, read(when, *rows)) if when else []),
        ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _placeless(function: Callable[..., Any], reading: Reading | None = None) -> list[str]:
    """Return a function's parts, with paths below the folder that holds its package as they lie in there: the same code is
    the same on another machine."""
    parts, folder = (reading or read(function)).parts, _folder_of(function)
    if folder is None:
        return parts
    folders = sorted(
        {folder, os.path.realpath(folder)}, key=len, reverse=True
    )  # as of a deploy by a link
    begin = re.compile(rf"(?<=['\"])(?:{'|'.join(map(re.escape, folders))})(?=[/\\'\"])")
    return [begin.sub(".", part) for part in parts]


def _folder_of(function: Callable[..., Any]) -> str | None:
    """Return the folder that holds a function's package or module; None where it is in no file."""
    plain = _plain(function)
    file = Path(plain.__code__.co_filename) if inspect.isfunction(plain) else Path()
    if not file.is_absolute():
        return None
    name = module_name(plain.__module__).split(".")
    above = len(name) if file.stem == "__init__" else len(name) - 1
    return str(file.parents[above]) if above < len(file.parents) - 1 else None


def _plain(function: Callable[..., Any]) -> Any:
    """Return the function itself, without what wraps it or gives it arguments; of an object that is called, its method."""
    inner: Any = function.func if isinstance(function, partial) else function
    with suppress(ValueError):  # it wraps itself
        inner = inspect.unwrap(inner)
    inner = getattr(inner, "__func__", inner)
    return inner if inspect.isfunction(inner) else vars(type(inner)).get("__call__", inner)
