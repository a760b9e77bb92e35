"""`motion`: a store's model versions, looked at and steered from the command line.

What is read by people goes to the terminal as a table, what is read by programs to stdout as JSON (`--json`); progress and
errors go to stderr. Exit status: 0 it is so, 1 it is not, 2 the command was given wrong.
"""

from __future__ import annotations

import importlib
import inspect
import json
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from types import ModuleType
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from motion.components import StateVersion
from motion.errors import MotionError, listed, nearest, shortened
from motion.model import Model
from motion.runtime import only_looking
from motion.store import Store

console = Console(highlight=False)
notes = Console(stderr=True, highlight=False)


class _OneLineErrors(typer.core.TyperGroup):
    """Tell an error that a user can mend in one line, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except MotionError as exc:
            _stop(str(exc))


app = typer.Typer(
    name="motion",
    cls=_OneLineErrors,
    help="Model versions of a Motion store. STORE is module:name, as Python finds it from this folder: `shop:store` is "
    "the variable `store` of shop.py, or a function there that opens the store and returns it.",
    no_args_is_help=True,
    add_completion=False,
)

StoreArgument = Annotated[str, typer.Argument(metavar="STORE", help="module:name, such as shop:store")]  # fmt: skip
ComponentArgument = Annotated[
    str | None, typer.Argument(metavar="COMPONENT", help="may be left out where the store has one")
]  # fmt: skip
ComponentOption = Annotated[
    str | None, typer.Option("--component", help="may be left out where the store has one")
]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON for programs")]


@app.command()
def versions(
    store: StoreArgument, component: ComponentArgument = None, as_json: JsonOption = False
) -> None:
    """List the versions of a model: which is live, what each learned from and how it was measured.

    Example: motion versions shop:store ImageRetrieval
    """
    with only_looking(), _opened(store) as opened:
        _show(opened.model(_component(opened, component)).versions(), as_json)


@app.command()
def fit(
    store: StoreArgument, component: ComponentArgument = None, as_json: JsonOption = False
) -> None:
    """Fit a model on the labels it has not learned from, and wait for the outcome: live, a candidate, refused or failed.

    Example: motion fit shop:store ImageRetrieval
    """
    with _opened(store) as opened:
        model = opened.model(_component(opened, component))
        before = len(model.versions())
        if not model.fit().count:
            _stop(
                "there is no label that the live version has not learned from, so there is nothing to fit."
            )
        opened.wait(progress=True)
        made = model.versions()[before:]
        _show(made, as_json)
    raise typer.Exit(1 if made[-1].status == "failed" else 0)


@app.command()
def promote(
    store: StoreArgument,
    number: Annotated[int, typer.Argument(metavar="VERSION", help="the version to make live")],
    component: ComponentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a version live, whatever its gate said, once its outputs are built; searches go on meanwhile.

    Example: motion promote shop:store 3
    """
    with _opened(store) as opened:
        name = _component(opened, component)
        opened.model(name).promote(number)
        _await_live(opened, name, number, as_json)


@app.command()
def rollback(
    store: StoreArgument, component: ComponentArgument = None, as_json: JsonOption = False
) -> None:
    """Make the version that was live before live again. Called again, it goes one further back.

    Example: motion rollback shop:store ImageRetrieval
    """
    with _opened(store) as opened:
        name = _component(opened, component)
        model = opened.model(name)
        before = opened.status().versions[name]
        model.rollback()
        wanted = next(
            (each.number for each in model.versions() if each.status == "candidate"), None
        )
        live = opened.status().versions[name]
        _await_live(opened, name, wanted if live == before else live, as_json)


def main() -> None:
    app()


# -- the store --


def _opened(target: str) -> Store:
    """Return the store that "module:name" stands for, its worker ready."""
    module_name, colon, name = target.partition(":")
    if not (module_name and colon and name):
        _stop(
            f"{target!r} names no store; say module:name, such as shop:store for the variable `store` of shop.py.",
            2,
        )
    module = _module(module_name)
    if not hasattr(module, name):
        stores = [each for each, value in vars(module).items() if isinstance(value, Store)]
        _stop(
            f"module {module_name!r} has no {name!r}; stores in it: {listed(stores)}.{nearest(name, vars(module))}",
            2,
        )
    found = getattr(module, name)
    if callable(found) and not isinstance(found, Store):
        _check_callable(target, found)
        found = found()
    if not isinstance(found, Store):
        _stop(
            f"{target} is {shortened(found)}, and no store; name what create_store returned, or a function that returns it.",
            2,
        )
    return found


def _check_callable(target: str, function: Callable[..., Any]) -> None:
    """Refuse a function that cannot be called without arguments, rather than end in its traceback."""
    try:
        inspect.signature(function).bind()
    except TypeError as exc:
        _stop(
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
        _stop(
            f"there is no module {name!r} here or among what is installed; run this in the folder that holds it.",
            2,
        )


def _component(store: Store, given: str | None) -> str:
    known = list(store.status().versions)
    if given is None and len(known) == 1:
        return known[0]
    if given not in known:
        _stop(
            f"{'say which component' if given is None else f'there is no component {given!r}'}; the store has {listed(known)}."
            f"{'' if known else ' Components are in a store once a process has opened it with them in triggers=.'}",
            2,
        )
    return given


def _await_live(store: Store, component: str, number: int | None, as_json: bool) -> None:
    store.wait(progress=True)
    model = store.model(component)
    _show([each for each in model.versions() if each.status == "live"], as_json)
    live = store.status().versions[component]
    if number is not None and live != number:
        _stop(f"version {live} is live, not {number}: {_reason(model, number)}")


def _reason(model: Model, number: int) -> str:
    found = next(each for each in model.versions() if each.number == number)
    return found.reason or f"it is {found.status}"


# -- what is shown --


def _show(found: Sequence[StateVersion], as_json: bool) -> None:
    if as_json:
        print(json.dumps([_plain(asdict(each)) for each in found], indent=2))
    else:
        console.print(_table(found))


def _table(found: Iterable[StateVersion]) -> Table:
    table = Table(
        "version",
        "status",
        "from",
        "labels",
        "made (UTC)",
        "took",
        "figures",
        box=None,
        pad_edge=False,
    )
    for each in found:
        table.add_row(
            str(each.number), each.status, "setup" if each.parent is None else str(each.parent), str(each.rows),
            f"{each.created_at:%Y-%m-%d %H:%M:%S}", f"{each.duration_s:.1f} s", shown(_figures(each.metrics)),
        )  # fmt: skip
    return table


def shown(text: str) -> Text:
    """Return a text for the terminal as it is: nothing in it is markup, and no character of it moves the cursor or
    colours what follows. It may be anybody's: an error quotes what it was given."""
    plain = "".join(
        each if each.isprintable() or each in "\n\t" else repr(each)[1:-1] for each in text
    )
    return Text(plain)


def _figures(metrics: dict[str, Any]) -> str:
    told = [
        f"{name} {value:.4g}" for name, value in metrics.items() if isinstance(value, int | float)
    ]
    reason = metrics.get("reason")
    return "; ".join([*([] if reason is None else [str(reason)]), *told])


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: times as ISO 8601, and what is no number as null."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _stop(message: str, status: int = 1) -> NoReturn:
    notes.print(shown(f"error: {message}"), soft_wrap=True, style="red")
    raise typer.Exit(status)
