"""The commands that work: a worker, and recomputing what changed code has left stale."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import Annotated

import typer

from motion import clock
from motion.cli.app import (
    CodeArgument,
    JsonOption,
    StoreArgument,
    app,
    at_work,
    busy,
    console,
    given_right,
    looked_at,
    note,
    print_json,
    seen_or_run,
    shown,
    stop,
)
from motion.cli.looking import typed_id
from motion.definitions.triggers.options import one_place, words_needed
from motion.runtime import Placement
from motion.store.reports.explain import duration
from motion.store.store import Store

TriggerArgument = Annotated[str, typer.Argument(metavar="TRIGGER")]

LOOK_S = 0.2

TELL_EVERY_S = 60.0


@app.command()
def run(
    store: CodeArgument,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="end when no work is left")
    ] = False,
    executor: Annotated[
        str | None,
        typer.Option(
            "--executor", help="where triggers run that do not say so: thread, process or ray"
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option("--address", help="of the Ray cluster's head, such as 10.0.0.5:6379"),
    ] = None,
    has: Annotated[
        list[str] | None,
        typer.Option("--has", help="what this machine has of what triggers need, such as gpu"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a store's triggers, fits and schedules here, until it is told to stop (Ctrl-C, SIGTERM). What is unfinished then
    is left to the next start. Any number of processes may run one store.

    Example: motion run shop:store
    Example: motion run shop:store --has gpu
    """
    began = clock.now()  # work begins with the opening
    with given_right():
        place = None if executor is None else one_place("--executor", executor)
        placement = Placement(place, address, frozenset(words_needed("--has", has or [])))
    with _told() if not until_idle else nullcontext() as told, at_work(store, placement) as opened:
        if told is None:
            opened.wait(progress=not as_json)
        else:
            _run_until(opened, told)
        found = opened.status()
        failed = sum(each.at is not None and each.at >= began for each in opened.errors())
        if as_json:
            print_json(found)
    if failed > 0:
        note(f"{failed:,} row(s) were given up; 'motion errors' shows why.")
    raise typer.Exit(1 if until_idle and failed > 0 else 0)


@contextmanager
def _told() -> Iterator[threading.Event]:
    """Give what is set when the process is told to stop: from before the store is opened, so that it is closed in any case."""
    told = threading.Event()

    def stopped(number: int, _: FrameType | None) -> None:
        if told.is_set():  # a second one does not wait for what runs
            raise KeyboardInterrupt
        told.set()

    before = {each: signal.signal(each, stopped) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield told
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _run_until(opened: Store, told: threading.Event) -> None:
    names = [name for name, each in opened.status().triggers.items() if each.may_run]
    note(f"store {opened.name}: running {len(names)} trigger(s). Ctrl-C stops.")
    said_s = clock.monotonic_s()
    while not told.wait(LOOK_S):
        if clock.monotonic_s() - said_s > TELL_EVERY_S:
            said_s = clock.monotonic_s()
            rows = sum(each.rows for each in opened.status().triggers.values())
            note(f"store {opened.name}: {rows:,} row(s) to do.")
    note("stopping; what is unfinished is left to the next start.")


@app.command()
def plan(store: StoreArgument, trigger: TriggerArgument, as_json: JsonOption = False) -> None:
    """Show what recomputing a trigger would touch, and about how long it takes.

    Example: motion plan shop.motion embed
    """
    with looked_at(store) as opened:
        found = opened.plan(trigger)
    if as_json:
        print_json(found)
        return
    took = (
        "not known, as no call was measured" if found.seconds is None else duration(found.seconds)
    )
    console.print(
        shown(
            f"{trigger}: {found.stale:,} row(s) made by other code, {found.missing:,} not made; {found.current:,} are "
            f"current and {found.by_users:,} given by users, which stay.\nCalls one after the other: {took}."
        ),
        soft_wrap=True,
    )


@app.command()
def forget(
    store: CodeArgument,
    table: Annotated[str, typer.Argument(metavar="TABLE")],
    id: Annotated[list[str], typer.Argument(metavar="ID...")],
    refit: Annotated[
        bool,
        typer.Option("--refit", help="ask for fits of models that learned from it, without it"),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete rows, and take out all that the store holds of them, to the last byte of its folder; wait for it, and say
    which state versions learned from them. There is no way back.

    Example: motion forget shop:store user 7
    """
    with at_work(store) as opened:
        ids = [typed_id(opened, table, each) for each in id]
        with busy(f"forgetting {len(ids):,} row(s) of {table}", as_json):
            found = opened.forget(table, ids, models="refit" if refit else None)
    if as_json:
        print_json(found)
    else:
        console.print(shown(str(found)))


@app.command()
def backfill(
    store: StoreArgument,
    trigger: TriggerArgument,
    where: Annotated[
        str | None, typer.Option("--where", help="only rows that this SQL holds for")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="also where outputs are current")] = False,
    ask: Annotated[
        bool,
        typer.Option("--ask", help="leave it to the processes that run the store, and do not wait"),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a trigger again where its outputs are missing or made by other code, below live work, and wait for it. Of a
    store named by its folder it is asked for only.

    Example: motion backfill shop:store embed --where "shop = 'NORDSTROM'"
    """
    with looked_at(store) if ask else seen_or_run(store) as opened:
        change = opened.backfill(trigger, where=where, force=force)
        waits = opened._database.runs_code
        if waits:
            change.wait(timeout=float("inf"), raise_errors=False, progress=not as_json)
        failed = len(change.errors)
    if as_json:
        print_json({"change": change.key, "rows": change.count, "failed": failed, "is_done": waits})
    elif waits:
        console.print(f"{change.count:,} row(s) of the trigger are made again.")
    else:
        console.print(f"{change.count:,} row(s) are to be made again.")
        note("A process that runs the store does it; 'motion run module:store' is one.")
    if failed:
        stop(f"{failed:,} row(s) were given up; 'motion errors' shows why.")
