"""The commands that look at a store and change nothing: its status, what failed, where values came from, SQL, search."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.tree import Tree

from motion.background.tracebacks import headline
from motion.cli.app import (
    JsonOption,
    StoreArgument,
    app,
    console,
    given_right,
    grid,
    is_long,
    looked_at,
    note,
    print_json,
    print_records,
    short,
    shown,
    stop,
)
from motion.definitions.tasks import DeadLetter
from motion.definitions.values.arguments import check_seconds
from motion.definitions.values.codecs import IntCodec
from motion.definitions.values.plain import plain
from motion.errors import MotionError, listed
from motion.store.reports.explain import Explanation, duration
from motion.store.reports.status import Status, TriggerStatus
from motion.store.store import Store

TableArgument = Annotated[str, typer.Argument(metavar="TABLE")]

TriggerArgument = Annotated[
    str | None, typer.Argument(metavar="TRIGGER", help="only this one's; all where it is left out")
]

LimitOption = Annotated[int, typer.Option("--limit", "-n", min=0, help="rows shown at most")]


@app.command()
def status(
    store: StoreArgument,
    check: Annotated[
        bool,
        typer.Option("--check", help="exit with 1 where something needs you: rows were given up"),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a store is doing: rows to do, what failed, what is stale, which versions are live.

    Example: motion status shop.motion
    """
    with looked_at(store) as opened:
        found = opened.status()
        if as_json:
            print_json(found)
        else:
            _show_status(found)
    failed = sum(each.tasks.get("dead", 0) for each in found.triggers.values())
    raise typer.Exit(1 if check and failed else 0)


def _show_status(found: Status) -> None:
    rows = sum(each.rows for each in found.triggers.values())
    console.print(
        shown(f"store {found.name}: {rows:,} row(s) to do, last change {found.last_change:,}")
    )
    if found.triggers:
        headings = [
            "trigger",
            "to do",
            "ready",
            "running",
            "waiting",
            "failed",
            "stale",
            "calls",
            "a call",
        ]
        table = grid(headings, right=headings[1:])
        for name, each in found.triggers.items():
            table.add_row(shown(name), *_cells(each))
        console.print(table)
    for line in str(found).splitlines()[2 if found.triggers else 1 :]:
        if not line.startswith(tuple(f"{name} " for name in found.triggers)):
            console.print(shown(line), soft_wrap=True)
    failed = [name for name, each in found.triggers.items() if each.tasks.get("dead")]
    if failed:
        note(
            f"{listed(failed)} gave up on rows: 'motion errors' shows why, 'motion retry' tries them again."
        )


def _cells(each: TriggerStatus) -> list[str]:
    tasks = [each.tasks.get(name, 0) for name in ("ready", "claimed", "blocked", "dead")]
    tasks[2] += each.tasks.get("postponed", 0)
    mean = "-" if each.seconds is None else duration(each.seconds)
    return [f"{count:,}" for count in (each.rows, *tasks, each.stale, each.calls)] + [mean]


@app.command()
def errors(
    store: StoreArgument,
    trigger: TriggerArgument = None,
    full: Annotated[bool, typer.Option("--full", help="with inputs and tracebacks")] = False,
    limit: LimitOption = 20,
    as_json: JsonOption = False,
) -> None:
    """Show the rows that triggers gave up on, and why.

    Example: motion errors shop.motion embed --full
    """
    with looked_at(store) as opened:
        found = opened.errors(trigger, limit=limit + 1)
    if as_json:
        print_json(found[:limit])
    elif not found:
        console.print("no row was given up.")
    elif full:
        for each in found[:limit]:
            console.print(shown(f"{each}\n"), soft_wrap=True)
    else:
        _show_letters(found[:limit])
    if len(found) > limit:
        note(f"the first {limit:,}; --limit shows more, and 'motion status' counts them.")


def _show_letters(found: list[DeadLetter]) -> None:
    table = grid(["trigger", "table", "row", "tries", "error"], right=["tries"])
    for each in found:
        told = (
            each.trigger,
            each.table,
            each.row,
            str(each.attempts),
            short(headline(each.error)),
        )
        table.add_row(*map(shown, told))
    console.print(table)


@app.command()
def retry(
    store: StoreArgument, trigger: TriggerArgument = None, as_json: JsonOption = False
) -> None:
    """Let the rows that triggers gave up on be tried again, by whichever process runs the store.

    Example: motion retry shop.motion embed
    """
    with looked_at(store) as opened:
        count = opened.retry(trigger)
    if as_json:
        print_json({"rows": count})
    else:
        console.print(f"{count:,} row(s) are to be tried again.")
        if count:
            note("A process that runs the store does it; 'motion run module:store' is one.")


@app.command()
def explain(
    store: StoreArgument,
    table: TableArgument,
    id: Annotated[str, typer.Argument(metavar="ID")],
    key: Annotated[str, typer.Argument(metavar="KEY")],
    page: Annotated[
        list[str] | None,
        typer.Option("--page", help="a page key's number, as img_id_page=3; 0 where left out"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show where a value came from: trigger, code, state version, when, and the same of its inputs.

    Example: motion explain shop.motion query 7 img_id --page img_id_page=3
    """
    with looked_at(store) as opened:
        found = opened.explain(table, typed_id(opened, table, id), key, **_pages(page or []))
    if as_json:
        print_json(found)
    else:
        console.print(_tree(found))
    raise typer.Exit(0 if found.is_row else 1)


def _tree(found: Explanation, parent: Tree | None = None) -> Tree:
    told = shown("\n".join(found.told(is_top=parent is None)))
    branch = Tree(told) if parent is None else parent.add(told)
    for each in found.beneath():
        _tree(each, branch)
    return branch


def typed_id(opened: Store, table: str, given: str) -> Any:
    """Return an id that is written as text."""
    codec = opened._database.tables.get(table).key("id").codec
    if not isinstance(codec, IntCodec):
        return given
    try:
        return int(given)
    except ValueError:
        stop(f"ids of table {table!r} are ints, and {given!r} is none.", 2)


def _pages(given: list[str]) -> dict[str, int]:
    found = {}
    for each in given:
        name, is_there, number = each.partition("=")
        if not (is_there and number.isdecimal()):
            stop(f"--page takes a page key and its number, as img_id_page=3, not {each!r}.", 2)
        found[name] = int(number)
    return found


@app.command()
def sql(
    store: StoreArgument,
    query: Annotated[str, typer.Argument(metavar="QUERY", help="SQL that only reads")],
    params: Annotated[
        list[str] | None,
        typer.Argument(metavar="PARAM", help="a value for each ?, as JSON or as text"),
    ] = None,
    limit: LimitOption = 100,
    timeout: Annotated[float, typer.Option("--timeout", help="seconds that it may take")] = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Answer a question in SQL. Tables bear their names, and it can only read.

    Example: motion sql shop.motion "select shop, count(*) from garment where price < ? group by shop" 50
    """
    with given_right():
        check_seconds("--timeout", timeout)
    values = [_value(each) for each in params or []]
    with looked_at(store) as opened:
        found = opened.sql(query, values, timeout=timeout, limit=limit + 1)
    from motion.persistence.arrow import values_of

    columns = [values_of(column) for column in found.slice(0, limit).columns]
    records = [
        dict(zip(found.column_names, row, strict=True)) for row in zip(*columns, strict=True)
    ]
    if as_json:
        print_json(records)
    else:
        print_records(records, found.column_names)
    if found.num_rows > limit:
        note(f"the first {limit:,} rows; --limit shows more.")


def _value(given: str) -> Any:
    """Return a parameter: JSON where it is a number, a truth value or null; otherwise the text itself."""
    try:
        value = json.loads(given)
    except ValueError:
        return given
    return given if isinstance(value, list | dict) else value


@app.command()
def search(
    store: StoreArgument,
    key: Annotated[
        str, typer.Argument(metavar="TABLE.KEY", help="the text to look in, or the vectors")
    ],
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="words to look for")] = None,
    like: Annotated[
        str | None,
        typer.Option("--like", metavar="ID", help="of vectors: near to that of this row"),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="how many are wanted")] = 10,
    where: Annotated[str | None, typer.Option("--where", help="SQL that has to hold")] = None,
    as_json: JsonOption = False,
) -> None:
    """Find rows by words, or those whose vectors are near to a row's, best first.

    Example: motion search shop.motion garment.name "linen dress" --where "price < 50"
    """
    if (text is None) == (like is None):
        stop(
            "say what to look for: TEXT, or --like ID for the rows whose vectors are near to that row's.",
            2,
        )
    with looked_at(store) as opened:
        if like is None:
            found = opened.search(key, text=text, k=k, where=where)
        else:
            found = opened.search(key, _vector(opened, key, like), k=k, where=where)
    if as_json:
        print_json(found)
        return
    records = [{"score": hit.score, **plain_row(hit.row)} for hit in found]
    print_records(records, _telling(records) or ["score", "id"])
    if not found:
        note("nothing was found.")


def _telling(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of what tells somebody something: neither numbers of vectors nor what is set nowhere."""
    names = list(records[0]) if records else []
    return [
        name for name in names
        if any(each[name] is not None and not is_long(each[name]) for each in records)
    ]  # fmt: skip


def _vector(opened: Store, path: str, given: str) -> Any:
    table, _, key = path.partition(".")
    row = opened.get(table, typed_id(opened, table, given))
    found = None if row is None else getattr(row, opened._database.tables.get(table).key(key).name)
    if found is None:
        raise MotionError(f"{path} of id={given} has no vector to be near to.")
    return found


def plain_row(row: Any) -> dict[str, Any]:
    """Return a row's keys and values for a table; bytes as they are, to be shown by their size."""
    return {
        name: value if isinstance(value, bytes) else plain(value)
        for name, value in vars(row).items()
    }
