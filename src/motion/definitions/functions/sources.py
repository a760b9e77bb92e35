"""Source text of functions as syntax trees."""

from __future__ import annotations

import ast
from contextlib import suppress
from typing import Any

TRIES = 20


def parsed(text: str, mode: Any = "exec") -> Any:
    """Return the tree of a source text, as `ast.parse`.

    Python before 3.13 counts the depth of all trees in the making together, and where another thread makes one it may find that its
    count is off and raise `SystemError` (python/cpython#106905). The text is not at fault then, so it is tried again.

    Raises:
        SyntaxError, ValueError: as `ast.parse` does.
    """
    for _ in range(TRIES - 1):
        with suppress(SystemError):
            return ast.parse(text, mode=mode)
    return ast.parse(text, mode=mode)
