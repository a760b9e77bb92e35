"""Searched keys: which keys a trigger's code searches, as far as its text says so.

Nothing is decided by it: it is drawn in the graph, also by processes that have not the code.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

from motion.definitions.functions.fingerprints import functions_used
from motion.definitions.functions.sources import parsed


def searched_keys(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the keys, as "table.key", that a function's text names in calls of `search`, its own and those of the
    functions of its package that it calls. A key that is put together when it runs is not among them."""
    found = [key for each in functions_used(function) for key in _searched_in(each)]
    return tuple(dict.fromkeys(found))


def _searched_in(function: Callable[..., Any]) -> Iterator[str]:
    try:
        tree = parsed(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):  # typed at a prompt, or built in
        return
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and getattr(node.func, "attr", None) == "search"
            and node.args
        ):
            yield from (text for text in _texts(node.args[0]) if text.count(".") == 1)


def _texts(node: ast.expr) -> Iterator[str]:
    """One key, or several of one search."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.List | ast.Tuple):
        for each in node.elts:
            yield from _texts(each)
