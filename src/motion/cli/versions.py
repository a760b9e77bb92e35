"""The commands on a model's versions: they are listed, fitted, promoted and rolled back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer
from rich.table import Table

from motion.cli.app import (
    CodeArgument,
    JsonOption,
    StoreArgument,
    app,
    at_work,
    console,
    grid,
    looked_at,
    print_json,
    shown,
    stop,
)
from motion.definitions.versions import StateVersion
from motion.errors import listed
from motion.store.model import Model
from motion.store.store import Store

ComponentArgument = Annotated[
    str | None, typer.Argument(metavar="COMPONENT", help="may be left out where the store has one")
]  # fmt: skip

ComponentOption = Annotated[
    str | None, typer.Option("--component", help="may be left out where the store has one")
]


@app.command()
def versions(
    store: StoreArgument, component: ComponentArgument = None, as_json: JsonOption = False
) -> None:
    """List the versions of a model: which is live, what each learned from and how it was measured.

    Example: motion versions shop:store ImageRetrieval
    """
    with looked_at(store) as opened:
        _show(opened.model(_component(opened, component)).versions(), as_json)


@app.command()
def fit(
    store: CodeArgument, component: ComponentArgument = None, as_json: JsonOption = False
) -> None:
    """Fit a model on the labels it has not learned from, and wait for the outcome: live, a candidate, refused or failed.

    Example: motion fit shop:store ImageRetrieval
    """
    with at_work(store) as opened:
        model = opened.model(_component(opened, component))
        before = len(model.versions())
        if not model.fit().count:
            stop(
                "there is no label that the live version has not learned from, so there is nothing to fit."
            )
        opened.wait(progress=True)
        made = model.versions()[before:]
        _show(made, as_json)
    raise typer.Exit(1 if made[-1].status == "failed" else 0)


@app.command()
def promote(
    store: CodeArgument,
    number: Annotated[int, typer.Argument(metavar="VERSION", help="the version to make live")],
    component: ComponentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a version live, whatever its gate said, once its outputs are built; searches go on meanwhile.

    Example: motion promote shop:store 3
    """
    with at_work(store) as opened:
        name = _component(opened, component)
        opened.model(name).promote(number)
        _await_live(opened, name, number, as_json)


@app.command()
def rollback(
    store: CodeArgument, component: ComponentArgument = None, as_json: JsonOption = False
) -> None:
    """Make the version that was live before live again. Called again, it goes one further back.

    Example: motion rollback shop:store ImageRetrieval
    """
    with at_work(store) as opened:
        name = _component(opened, component)
        model = opened.model(name)
        before = opened.status().versions[name]
        model.rollback()
        wanted = next(
            (each.number for each in model.versions() if each.status == "candidate"), None
        )
        live = opened.status().versions[name]
        _await_live(opened, name, wanted if live == before else live, as_json)


# -- what they share --


def _component(store: Store, given: str | None) -> str:
    known = list(store.status().versions)
    if given is None and len(known) == 1:
        return known[0]
    if given not in known:
        stop(
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
        stop(f"version {live} is live, not {number}: {_reason(model, number)}")


def _reason(model: Model, number: int) -> str:
    found = next(each for each in model.versions() if each.number == number)
    return found.reason or f"it is {found.status}"


def _show(found: Sequence[StateVersion], as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        console.print(_table(found))


def _table(found: Iterable[StateVersion]) -> Table:
    table = grid(["version", "status", "from", "labels", "made (UTC)", "took", "figures"])
    for each in found:
        table.add_row(
            str(each.number), each.status, "setup" if each.parent is None else str(each.parent), str(each.rows),
            f"{each.created_at:%Y-%m-%d %H:%M:%S}", f"{each.duration_s:.1f} s", shown(_figures(each.metrics)),
        )  # fmt: skip
    return table


def _figures(metrics: dict[str, Any]) -> str:
    told = [
        f"{name} {value:.4g}" for name, value in metrics.items() if isinstance(value, int | float)
    ]
    reason = metrics.get("reason")
    return "; ".join([*([] if reason is None else [str(reason)]), *told])
