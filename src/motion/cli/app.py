"""What every command of `motion` shares: the program, how a store is named and opened, how things are shown and refused.

What is read by people goes to the terminal as a table, what is read by programs to stdout as JSON (`--json`); progress and
errors go to stderr. Exit status: 0 it is so, 1 it is not, 2 the command was given wrong.
"""

from __future__ import annotations

import importlib
import inspect
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from motion.definitions.values.plain import plain
from motion.errors import MotionError, listed, nearest, shortened
from motion.runtime import Placement, folder_of, is_postgres, is_stores, open_noted, opening
from motion.store.store import Store

console = Console(highlight=False)

notes = Console(stderr=True, highlight=False)

CUT = 120
"""Characters of a value in a table for people; programs get all of it."""


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
    help="Look at, repair, run and steer a Motion store. STORE is the folder it lives in (shop.motion), its URL, or "
    "module:name as Python finds it from this folder: shop:store is the variable `store` of shop.py, or a function there "
    "that opens the store and returns it. Commands that run the pipeline need the latter.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

StoreArgument = Annotated[
    str, typer.Argument(metavar="STORE", help="its folder, its URL, or module:name, such as shop:store")
]  # fmt: skip

CodeArgument = Annotated[str, typer.Argument(metavar="STORE", help="module:name, such as shop:store")]  # fmt: skip

JsonOption = Annotated[bool, typer.Option("--json", help="print JSON for programs")]


def _tell_version(is_asked: bool) -> None:
    if is_asked:
        print(f"motion {metadata.version('motion-ml')}")
        raise typer.Exit


@app.callback()
def begun(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_tell_version, is_eager=True, help="say which this is"),
    ] = False,
) -> None:
    if logging.lastResort is not None:  # what is logged where the user's code says nothing of that
        logging.lastResort.setFormatter(_Plain())


class _Plain(logging.Formatter):
    """Shows what is logged as texts are shown: none of its characters moves the cursor."""

    def format(self, record: logging.LogRecord) -> str:
        return _clean(super().format(record))


# -- the store --


@contextmanager
def looked_at(target: str) -> Iterator[Store]:
    """Give the store that a folder, a URL or "module:name" stands for as it is: no code of it is run, nothing changed."""
    folder = _folder(target)
    with opening("looking"):
        url = target if is_postgres(target) else None
        store = open_noted(folder, url) if folder is not None else _of_module(target)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def at_work(target: str, placement: Placement | None = None) -> Iterator[Store]:
    """Give the store that "module:name" stands for, with its code, ready to work."""
    folder = _folder(target)
    if folder is not None:
        stop(
            f"{target} is a store's folder, and this command runs its code; say where that is as module:name, such as "
            f"shop:store for the variable `store` of shop.py.",
            2,
        )
    with opening("working", placement):
        store = _of_module(target)
    with store:
        yield store


def seen_or_run(target: str) -> AbstractContextManager[Store]:
    """Give the store that "module:name" stands for at work, and one that its folder or URL names as it is."""
    return at_work(target) if _folder(target) is None else looked_at(target)


@contextmanager
def given_right() -> Iterator[None]:
    """Tell what is refused within as a command that was given wrong."""
    try:
        yield
    except MotionError as exc:
        stop(str(exc), 2)


@contextmanager
def on_path(given: object) -> Iterator[None]:
    """Tell what the system has against a path that was given; within is nothing but looking there, or writing."""
    try:
        yield
    except (OSError, ValueError) as exc:
        told = exc.strerror if isinstance(exc, OSError) and exc.strerror else exc
        stop(f"{shortened(str(given))} is no path that can be used here: {told}.", 2)


def _folder(target: str) -> Path | None:
    """Return the folder that a STORE names, None where it is module:name."""
    if "://" in target:
        return folder_of("store", target)
    named = Path(target), Path(f"{target}.motion")
    with on_path(target):
        there = [path if path.is_dir() else path.parent for path in named if path.exists()]
        for folder in [*filter(is_stores, there)] or there:
            if not is_stores(folder) and (stores := sorted(folder.glob("*.motion"))):
                stop(
                    f"{target} is a folder without a store of its own; in it are {listed(map(str, stores))}.",
                    2,
                )
            return folder.resolve()
    module, colon, name = target.partition(":")
    if colon and re.fullmatch(r"[\w.]+", module) and name.isidentifier():
        return None
    stop(
        f"{target!r} names no store: there is no such folder here, and it is not module:name, such as shop:store for the "
        f"variable `store` of shop.py. Folders of stores here: {listed(sorted(str(each) for each in Path().glob('*.motion')))}.",
        2,
    )


def _of_module(target: str) -> Store:
    """Return the store that "module:name" stands for."""
    module_name, _, name = target.partition(":")
    module = module_named(module_name)
    if not hasattr(module, name):
        stores = [each for each, value in vars(module).items() if _may_be_store(value, module)]
        stop(
            f"module {module_name!r} has no {name!r}; stores in it, and functions that may open one: {listed(stores)}."
            f"{nearest(name, stores)}",
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


def _may_be_store(value: object, module: ModuleType) -> bool:
    """Whether a name of a module stands for a store, or a function of its own that takes nothing."""
    if isinstance(value, Store):
        return True
    if not inspect.isfunction(value) or value.__module__ != module.__name__:
        return False
    return not any(
        each.default is each.empty and each.kind is not each.VAR_POSITIONAL
        for each in inspect.signature(value).parameters.values()
    )


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


def module_named(name: str) -> ModuleType:
    """Return a module, found from the present folder."""
    sys.path.insert(0, "")
    try:
        if all(
            name.split(".")
        ):  # import_module takes a name within a package, or none, for a mistake of the program's
            return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is None or not f"{name}.".startswith(f"{exc.name}."):
            raise  # the module is there, and what it imports is not: its traceback says where
    is_file = name.endswith(".py")
    hint = (
        f"without .py: {name.removesuffix('.py')}"
        if is_file
        else "run this in the folder that holds it"
    )
    stop(f"there is no module {name!r} here or among what is installed; {hint}.", 2)


# -- what is shown --


def print_json(value: Any) -> None:
    print(json.dumps(plain(value), indent=2, ensure_ascii=False))


def grid(headings: Sequence[str], right: Sequence[str] = ()) -> Table:
    """Return an empty table as all commands print them.

    Args:
        right: the columns of numbers.
    """
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(shown(heading), justify="right" if heading in right else "left")
    return table


def print_records(records: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    """Print rows for people: a column for each name, values in short."""
    numbers = [name for name in names if records and _is_number(records[0].get(name))]
    table = grid(names, right=numbers)
    for record in records:
        table.add_row(*(shown(short(record.get(name))) for name in names))
    console.print(table)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_long(value: Any) -> bool:
    """Whether a value is a list of numbers that nobody reads."""
    return isinstance(value, list | tuple) and len(value) > 4 and all(map(_is_number, value))


def short(value: Any) -> str:
    """Return a value in a few words, for a cell of a table."""
    if value is None:
        return "-"
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if is_long(value):
        return f"[{', '.join(f'{each:.3g}' for each in value[:3])}, ... {len(value)} numbers]"
    text = (
        value
        if isinstance(value, str)
        else f"{value:.6g}"
        if isinstance(value, float)
        else str(value)
    )
    text = " ".join(text.split())
    return text if len(text) <= CUT else f"{text[: CUT - 3]}..."


def shown(text: str) -> Text:
    """Return a text for the terminal as it is: nothing in it is markup, and no character of it moves the cursor or
    colours what follows. It may be anybody's: an error quotes what it was given."""
    return Text(_clean(text))


def _clean(text: str) -> str:
    return "".join(
        each if each.isprintable() or each in "\n\t" else repr(each)[1:-1] for each in text
    )


def note(message: str) -> None:
    """Tell people something beside the answer."""
    notes.print(shown(message), soft_wrap=True)


def is_watched(as_json: bool) -> bool:
    """Whether somebody looks on."""
    return notes.is_terminal and not as_json


@contextmanager
def busy(what: str, as_json: bool) -> Iterator[None]:
    """Show who looks on that something goes on which has no steps to be counted."""
    with notes.status(shown(what)) if is_watched(as_json) else nullcontext():
        yield


def stop(message: str, status: int = 1) -> NoReturn:
    notes.print(shown(f"error: {message}"), soft_wrap=True, style="red")
    raise typer.Exit(status)
