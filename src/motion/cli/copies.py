"""The commands that copy: a whole store, here or to another database, and a table's rows to and from Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from motion.cli.app import (
    JsonOption,
    StoreArgument,
    app,
    busy,
    console,
    is_watched,
    looked_at,
    note,
    on_path,
    print_json,
    shown,
    stop,
)
from motion.runtime import copy_store
from motion.store.changes.progress import shown_progress
from motion.store.transfer import export_table, import_table

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="a Parquet file", dir_okay=False)
]

TableArgument = Annotated[str, typer.Argument(metavar="TABLE")]


@app.command()
def snapshot(
    store: StoreArgument,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="new or empty")],
    as_json: JsonOption = False,
) -> None:
    """Copy a store as it is at one moment, with model states and unfinished work, while it goes on.

    Example: motion snapshot shop.motion backup.motion
    """
    with on_path(folder):
        folder.exists()
    with looked_at(store) as opened:
        with busy(f"copying {store} to {folder}", as_json):
            opened.snapshot(folder)
        number = opened.status().last_change
    if as_json:
        print_json({"folder": str(folder.resolve()), "last_change": number})
    else:
        console.print(
            shown(f"copied to {folder}; it opens with url={f'sqlite:///{folder.resolve()}'!r}."),
            soft_wrap=True,
        )


@app.command("copy")
def copy_whole(
    store: StoreArgument,
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="a new folder, or the URL of where no store is")
    ],
    as_json: JsonOption = False,
) -> None:
    """Copy a store as it is at one moment, from SQLite to PostgreSQL or back: rows, history, unfinished work, state versions.

    What is written to it later stays behind: stop the programs that write, copy, and start them with the new url=.

    Example: motion copy shop.motion postgresql://user@host/database
    """
    with on_path(target):
        url = target if "://" in target else f"sqlite:///{_absolute(target)}"
    with looked_at(store) as opened, shown_progress("rows", is_watched(as_json)) as show:
        count = copy_store(opened, url, show)
        number = opened.status().last_change
    if as_json:
        print_json({"rows": count, "last_change": number, "url": url})
    else:
        console.print(
            shown(f"{count:,} row(s) copied; the copy opens with url={url!r}."), soft_wrap=True
        )


def _absolute(given: str) -> Path:
    found = Path(given).expanduser().resolve()
    found.exists()  # raises where there can be none
    return found


@app.command("export")
def export_rows(
    store: StoreArgument,
    table: TableArgument,
    file: FileArgument,
    where: Annotated[
        str | None, typer.Option("--where", help="only rows that this SQL holds for")
    ] = None,
    inherited: Annotated[
        bool,
        typer.Option(
            "--inherited",
            help="with what pages inherit; to be read, as it does not come back as it was",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a table's rows to a Parquet file, in bounded memory, as of one moment.

    Example: motion export shop.motion garment garments.parquet --where "price < 50"
    """
    with (
        looked_at(store) as opened,
        shown_progress(f"rows of {table}", is_watched(as_json)) as show,
    ):
        count = export_table(opened, table, file, where=where, inherit=inherited, show=show)
    if as_json:
        print_json({"rows": count, "file": str(file)})
    else:
        console.print(shown(f"{count:,} row(s) of {table} in {file}."))


@app.command("import")
def import_rows(
    store: StoreArgument,
    table: TableArgument,
    file: FileArgument,
    by: Annotated[
        str | None, typer.Option("--by", help="match rows by this key instead of id")
    ] = None,
    prune: Annotated[
        str | None,
        typer.Option(
            "--prune",
            help="among the values of this key in the file, remove the rows that it has not",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the rows of a Parquet file to a table. Triggers fire; a process that runs the store does their work.

    Example: motion import shop.motion garment garments.parquet --by url
    """
    with on_path(file):
        is_there = file.exists()
    if not is_there:
        stop(f"there is no file {file}.", 2)
    with (
        looked_at(store) as opened,
        shown_progress(f"rows of {table}", is_watched(as_json)) as show,
    ):
        count = import_table(opened, table, file, by=by, prune=prune, show=show)
        to_do = sum(each.rows for each in opened.status().triggers.values())
    if as_json:
        print_json({"rows": count})
        return
    console.print(shown(f"{count:,} row(s) from {file} are in {table}."))
    if to_do:
        note(f"{to_do:,} row(s) are to do; 'motion run module:store' is a process that does them.")
