"""What every command of `motion` shares: the program, how a store is named and opened, how things are shown and refused.

What is read by people goes to the terminal as a table, what is read by programs to stdout as JSON (`--json`); progress and
errors go to stderr. Exit status: 0 it is so, 1 it is not, 2 the command was given wrong.
"""

from __future__ import annotations

import importlib
import inspect
import math
import sys
from collections.abc import Callable
from datetime import datetime
from types import ModuleType
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from motion.errors import MotionError, listed, nearest, shortened
from motion.store import Store

console = Console(highlight=False)
notes = Console(stderr=True, highlight=False)


class _OneLineErrors(typer.core.TyperGroup):
    """Tell an error that a user can mend in one line, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except MotionError as exc:
            stop(str(exc))


app = typer.Typer(
    name="motion",
    cls=_OneLineErrors,
    help="Model versions of a Motion store. STORE is module:name, as Python finds it from this folder: `shop:store` is "
    "the variable `store` of shop.py, or a function there that opens the store and returns it.",
    no_args_is_help=True,
    add_completion=False,
)

StoreArgument = Annotated[str, typer.Argument(metavar="STORE", help="module:name, such as shop:store")]  # fmt: skip
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON for programs")]


# -- the store --


def opened_store(target: str) -> Store:
    """Return the store that "module:name" stands for, its worker ready."""
    module_name, colon, name = target.partition(":")
    if not (module_name and colon and name):
        stop(
            f"{target!r} names no store; say module:name, such as shop:store for the variable `store` of shop.py.",
            2,
        )
    module = _module(module_name)
    if not hasattr(module, name):
        stores = [each for each, value in vars(module).items() if isinstance(value, Store)]
        stop(
            f"module {module_name!r} has no {name!r}; stores in it: {listed(stores)}.{nearest(name, vars(module))}",
            2,
        )
    found = getattr(module, name)
    if callable(found) and not isinstance(found, Store):
        _check_callable(target, found)
        found = found()
    if not isinstance(found, Store):
        stop(
            f"{target} is {shortened(found)}, and no store; name what create_store returned, or a function that returns it.",
            2,
        )
    return found


def _check_callable(target: str, function: Callable[..., Any]) -> None:
    """Refuse a function that cannot be called without arguments, rather than end in its traceback."""
    try:
        inspect.signature(function).bind()
    except TypeError as exc:
        stop(
            f"{target} is a function with parameters ({exc}); name one that opens the store without any, or a variable.",
            2,
        )
    except ValueError:
        return  # a builtin that says nothing of its parameters


def _module(name: str) -> ModuleType:
    sys.path.insert(0, "")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is None or not f"{name}.".startswith(f"{exc.name}."):
            raise  # the module is there, and what it imports is not: its traceback says where
        stop(
            f"there is no module {name!r} here or among what is installed; run this in the folder that holds it.",
            2,
        )


# -- what is shown --


def shown(text: str) -> Text:
    """Return a text for the terminal as it is: nothing in it is markup, and no character of it moves the cursor or
    colours what follows. It may be anybody's: an error quotes what it was given."""
    plain = "".join(
        each if each.isprintable() or each in "\n\t" else repr(each)[1:-1] for each in text
    )
    return Text(plain)


def plain(value: Any) -> Any:
    """Return a value as JSON has it: times as ISO 8601, and what is no number as null."""
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def stop(message: str, status: int = 1) -> NoReturn:
    notes.print(shown(f"error: {message}"), soft_wrap=True, style="red")
    raise typer.Exit(status)
