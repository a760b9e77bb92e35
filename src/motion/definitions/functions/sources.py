"""Source text of functions as syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

TRIES = 20


def untangled(parse: Callable[[], T]) -> T:
    """Return what a call gives that makes syntax trees, as NumPy does of the head of each file.

    Python before 3.13 counts the depth of all trees in the making together, and where another thread makes one it may find that its
    count is off and raise `SystemError` (python/cpython#106905). The text is not at fault then, so it is tried again.
    """
    for _ in range(TRIES - 1):
        with suppress(SystemError):
            return parse()
    return parse()


def parsed(text: str, mode: Any = "exec") -> Any:
    """Return the tree of a source text, as `ast.parse`.

    Raises:
        SyntaxError, ValueError: as `ast.parse` does.
    """
    return untangled(lambda: ast.parse(text, mode=mode))
