"""Searched keys: which keys a trigger's code searches, as far as its text says so.

Nothing is decided by it: it is drawn in the graph, also by processes that have not the code.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator


def searched_keys(trees: Iterable[ast.AST]) -> tuple[str, ...]:
    """Return the keys, as "table.key", that the text of a function and of what it uses names in calls of `search`. A key that is
    put together when it runs is not among them, nor what a function names that it imports when it is called."""
    nodes = (node for tree in trees for node in ast.walk(tree))
    calls = (node for node in nodes if isinstance(node, ast.Call) and node.args)
    searches = (call for call in calls if getattr(call.func, "attr", None) == "search")
    texts = (text for call in searches for text in _texts(call.args[0]))
    return tuple(dict.fromkeys(text for text in texts if text.count(".") == 1))


def _texts(node: ast.expr) -> Iterator[str]:
    """One key, or several of one search."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.List | ast.Tuple):
        for each in node.elts:
            yield from _texts(each)
