"""`python -m fashion_search`: demo, ingest, search, evaluate."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import motion
from fashion_search import clip as clips
from fashion_search.answers import ask, links_of, sections_of
from fashion_search.catalogs import (
    BadRow,
    CatalogError,
    Product,
    drawn_catalogs,
    read_catalog,
    report,
)
from fashion_search.contact_sheet import contact_sheet
from fashion_search.evaluation import evaluate as evaluated
from fashion_search.ingest import ingest as ingested
from fashion_search.pipeline import open_store
from fashion_search.retrieval import read_queries

app = typer.Typer(
    help="Search clothes by occasion, over three shops' catalogs.", no_args_is_help=True
)
console = Console()
notes = Console(stderr=True)

StoreOption = Annotated[Path, typer.Option("--store", help="the store's folder")]
ClipOption = Annotated[
    str, typer.Option("--clip", help="a CLIP on the Hugging Face hub, or a folder; for a new store")
]
UrlOption = Annotated[
    str | None, typer.Option("--llm-url", help="an OpenAI-compatible endpoint for ideas")
]
ModelOption = Annotated[str | None, typer.Option("--llm-model", help="the endpoint's model")]
CatalogOption = Annotated[
    list[str] | None,
    typer.Option(
        "--catalog", help="FILE or retailer=FILE: Parquet, CSV, or a folder with a table of images"
    ),
]
DEFAULT_STORE = Path("fashion_search.motion")


@app.command()
def demo(
    store: StoreOption = Path("demo.motion"),
    sheet: Annotated[Path, typer.Option(help="where the contact sheet goes")] = Path(
        "contact_sheet.png"
    ),
    clip: ClipOption = str(clips.EMBEDDED),
    llm_url: UrlOption = None,
    llm_model: ModelOption = None,
) -> None:
    """Run the whole pipeline over three drawn catalogs: ingest, ask, judge, fine-tune, ask again.

    Example: python -m fashion_search demo --sheet result.png
    """
    from fashion_search.demo import run

    run(console, store, sheet, clip=clip, llm_url=llm_url, llm_model=llm_model)


@app.command()
def ingest(
    store: StoreOption = DEFAULT_STORE,
    catalog: CatalogOption = None,
    clip: ClipOption = str(clips.EMBEDDED),
) -> None:
    """Make a store of catalogs, or add to one; without --catalog of the three drawn ones.

    Example: python -m fashion_search ingest --catalog nordstrom=products.parquet
    """
    with open_store(store, clip=clip) as opened:
        count, bad = ingested(opened, _products(catalog))
        opened.wait(progress=True)
        console.print(f"{count:,} products are in {store}.")
        _tell_failures(opened)
        if bad:
            console.print(report(bad))


@app.command()
def search(
    query: Annotated[str, typer.Argument(help='such as "what to wear to a beach wedding"')],
    store: StoreOption = DEFAULT_STORE,
    sheet: Annotated[Path | None, typer.Option(help="draw a contact sheet to this PNG")] = None,
    llm_url: UrlOption = None,
    llm_model: ModelOption = None,
) -> None:
    """Answer one query on an existing store.

    Example: python -m fashion_search search "red dress for a summer party" --sheet answer.png
    """
    if not (store / "store.sqlite").exists():
        _stop(
            f"there is no store in {store}; make one with 'python -m fashion_search ingest --store {store}'."
        )
    with open_store(store, llm_url=llm_url, llm_model=llm_model) as opened:
        query_id = ask(opened, query)
        console.print(links_of(opened, query_id))
        if sheet is not None:
            contact_sheet(query, sections_of(opened, query_id), sheet)
            console.print(f"The pictures are in {sheet}.")


@app.command()
def evaluate(
    catalog: CatalogOption = None,
    queries: Annotated[
        Path | None, typer.Option(help="a JSONL file of queries with their relevant ids")
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="keep the store here; a temporary one if left out")
    ] = None,
    clip: ClipOption = str(clips.EMBEDDED),
    as_json: Annotated[
        bool, typer.Option("--json", help="print the figures as JSON and nothing else")
    ] = False,
) -> None:
    """Measure retrieval: for each kind of query, how often the first hit, or one of ten, is relevant.

    Example: python -m fashion_search evaluate --catalog a.parquet --catalog b.parquet --queries q.jsonl --json
    """
    if queries is None:
        _stop(
            "evaluate needs --queries FILE: one JSON object in a line, with qid, kind, query, relevant_ids."
        )
        return
    asked = read_queries(queries)
    with (
        tempfile.TemporaryDirectory() as scratch,
        open_store(store or Path(scratch), clip=clip) as opened,
    ):
        _, bad = ingested(opened, _products(catalog))
        opened.wait(progress=not as_json)
        found = evaluated(opened, asked)
    if bad:
        notes.print(report(bad))
    print(json.dumps(found) if as_json else json.dumps(found, indent=2))


def _products(catalogs: list[str] | None) -> Iterator[Product | BadRow]:
    if not catalogs:
        return drawn_catalogs(960)
    return chain.from_iterable(_read(catalog) for catalog in catalogs)


def _read(catalog: str) -> Iterator[Product | BadRow]:
    retailer, separator, file = catalog.partition("=")
    return read_catalog(file, retailer) if separator else read_catalog(catalog)


def _tell_failures(store: motion.Store) -> None:
    letters = store.errors()
    if letters:
        console.print(
            f"[red]{len(letters)} rows failed[/red]; the first: {letters[0].row}: {_last_line(letters[0].error)}"
        )


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else ""


def _stop(message: str) -> None:
    notes.print(f"[red]error:[/red] {message}", highlight=False)
    raise typer.Exit(1)


def main(run: Callable[[], None] = app) -> None:
    """Run the command line; an error that a user can mend is one line, not a traceback."""
    try:
        run()
    except motion.TaskFailed as exc:
        notes.print(
            f"[red]error:[/red] {exc.trigger} could not answer: {_last_line(exc.error)}",
            highlight=False,
        )
        sys.exit(1)
    except (motion.MotionError, CatalogError, clips.ModelNotFound, ValueError) as exc:
        notes.print(f"[red]error:[/red] {exc}", highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
