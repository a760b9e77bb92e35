"""The command that changes names that the store keeps, or drops what they stand for: a plan first."""

from __future__ import annotations

from typing import Annotated

import typer

from motion.cli.app import (
    JsonOption,
    StoreArgument,
    app,
    busy,
    console,
    given_right,
    is_watched,
    looked_at,
    module_named,
    note,
    print_json,
    shown,
    stop,
)
from motion.persistence.steps import Step, What
from motion.store.changes.progress import shown_progress
from motion.store.migrate import check_names, conversion_of, values_to_convert
from motion.store.migrate import convert as carry_out_conversion
from motion.store.migrate import migrate as carry_out
from motion.store.migrate import plan as plan_of

Names = list[str] | None


@app.command()
def migrate(
    store: StoreArgument,
    rename_component: Annotated[
        Names, typer.Option(metavar="OLD=NEW", help="versions, vectors, labels stay")
    ] = None,
    rename_trigger: Annotated[
        Names, typer.Option(metavar="OLD=NEW", help="tasks, and what it has made, stay its own")
    ] = None,
    rename_key: Annotated[
        Names, typer.Option(metavar="TABLE.OLD=NEW", help="values and labels stay")
    ] = None,
    rename_table: Annotated[
        Names, typer.Option(metavar="OLD=NEW", help="rows, pages and labels stay")
    ] = None,
    drop_trigger: Annotated[
        Names, typer.Option(metavar="NAME", help="with its tasks and dead letters")
    ] = None,
    drop_key: Annotated[Names, typer.Option(metavar="TABLE.KEY", help="with its values")] = None,
    drop_table: Annotated[Names, typer.Option(metavar="TABLE", help="with its rows")] = None,
    convert: Annotated[
        Names,
        typer.Option(
            metavar="TABLE.KEY=MODULE:FUNCTION",
            help="give it another type: what the function returns",
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="do it; without, it is only told what would be done")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Rename or drop keys, tables, triggers and components of a store, as its code has done: first told, with --yes done, all
    in one transaction. No process may run the store meanwhile; take a snapshot before you drop.

    Example: motion migrate shop.motion --rename-component Encoder=Matcher --drop-key garment.colour
    """
    steps = [
        *_drops("trigger", drop_trigger), *_drops("key", drop_key), *_drops("table", drop_table),
        *_renames("component", rename_component), *_renames("trigger", rename_trigger), *_renames("key", rename_key), *_renames("table", rename_table),
    ]  # fmt: skip
    if convert and (steps or len(convert) > 1):
        stop(
            "--convert is done by itself, one key at a time; rename, drop and convert others before it, or after.",
            2,
        )
    if convert:
        _convert(store, convert[0], yes=yes, as_json=as_json)
        return
    if not steps:
        stop("say what to rename or to drop; 'motion migrate --help' has what there is.", 2)
    with looked_at(store) as opened:
        with given_right():
            check_names(opened._database, steps)
        found = plan_of(opened._database, steps)
        if yes:
            with busy(f"{len(steps)} step(s) in one transaction", as_json):
                carry_out(opened._database, steps)
    if as_json:
        print_json({"is_done": yes, "steps": found})
        return
    for each in found:
        lost = f"; GONE: {each.lost}" if each.lost else ""
        console.print(shown(f"{each.told}{lost}."), soft_wrap=True)
    note("done." if yes else "Nothing was changed; --yes does it.")


def _convert(store: str, given: str, *, yes: bool, as_json: bool) -> None:
    path, _, target = given.partition("=")
    module, colon, name = target.partition(":")
    if not (path and colon and name):
        stop(
            f"--convert takes a key and a function, as TABLE.KEY=MODULE:FUNCTION, not {given!r}.", 2
        )
    function = getattr(module_named(module), name, None)
    if not callable(function):
        stop(f"module {module!r} has no function {name!r}.", 2)
    with looked_at(store) as opened:
        database = opened._database
        one = conversion_of(database, path, function)
        total = values_to_convert(database, one)
        if yes:
            with shown_progress(path, is_watched(as_json)) as show:
                carry_out_conversion(database, one, show)
    told = f"{path}: {total:,} value(s) of {one.before.codec.expected} become {one.after.codec.expected}"
    if as_json:
        print_json({"is_done": yes, "values": total, "told": told})
        return
    console.print(shown(f"{told}."), soft_wrap=True)
    note("done." if yes else "The first of them were tried. Nothing was changed; --yes does it.")


def _renames(what: What, given: Names) -> list[Step]:
    steps = []
    for each in given or []:
        old, is_there, new = each.partition("=")
        if not (old and is_there and new):
            stop(
                f"--rename-{what} takes the old name and the new one, as OLD=NEW, not {each!r}.", 2
            )
        steps.append(Step(what, old, new))
    return steps


def _drops(what: What, given: Names) -> list[Step]:
    return [Step(what, each) for each in given or []]
