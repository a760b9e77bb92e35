"""`python -m fashion_search`: demo, app, ingest, crawl, search, evaluate, versions, rollback.

What needs PyTorch is imported by the command that needs it: help and mistakes in the options are told at once.
"""

from __future__ import annotations

import json
import logging
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

import motion
from fashion_search.database import database_of, url_of
from fashion_search.endpoint import IdeasUnavailable
from fashion_search.ideas import IdeaModelMissing
from fashion_search.places import CRAWLED_STORE, DEFAULT_STORE, is_web
from fashion_search.shown import (
    table_of,
    table_of_changes,
    table_of_learned,
    table_of_parts,
    table_of_soaked,
)

if TYPE_CHECKING:
    from fashion_search.catalogs import BadRow, Product
    from fashion_search.pipeline import LanguageModel
    from fashion_search.retrieval import CatalogQuery

console = Console(highlight=False)
notes = Console(stderr=True, highlight=False)

HUB_NAME = re.compile(r"\w[\w.-]*/[\w.-]+")
DRAWN_PRODUCTS = 900


class OneLineErrors(typer.core.TyperGroup):
    """Tell an error that a user can mend in one line, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort):
            raise  # told already
        except motion.TaskFailed as exc:
            _stop(f"{exc.trigger} could not do {exc.row}: {_message_of(exc.error)}")
        except (motion.MotionError, IdeasUnavailable, IdeaModelMissing) as exc:
            _stop(str(exc))
        except (ValueError, RuntimeError) as exc:
            if type(exc).__name__ in (
                "CatalogError",
                "ModelNotFound",
                "DemoStoreTaken",
                "DatabaseTaken",
                "NoSuchAnswer",
            ):  # their modules are slow to import
                _stop(str(exc))
            raise


app = typer.Typer(
    cls=OneLineErrors,
    help="Search clothes by occasion, over three shops' catalogs.",
    no_args_is_help=True,
    add_completion=False,
)

StoreOption = Annotated[Path, typer.Option("--store", help="the store's folder")]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database",
        help="for a new store: a PostgreSQL database for its rows, as postgresql://user@host/name; the folder names it from then on",
    ),
]
ClipOption = Annotated[
    str | None,
    typer.Option(
        "--clip",
        help="for a new store: a CLIP on the Hugging Face hub, or a folder; the embedded one if left out",
    ),
]
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--llm-url", help="an OpenAI-compatible endpoint for ideas, such as http://localhost:11434/v1"
    ),
]  # fmt: skip
ModelOption = Annotated[str, typer.Option("--llm-model", help="the endpoint's model")]
KeyOption = Annotated[
    str, typer.Option("--llm-key", envvar="OPENAI_API_KEY", help="the endpoint's key, if it asks for one")
]  # fmt: skip
CatalogOption = Annotated[
    list[str] | None,
    typer.Option(
        "--catalog",
        metavar="[RETAILER=]FILE",
        help="Parquet, CSV, or a folder with a table of images; again for more",
    ),
]


@app.command()
def demo(
    store: StoreOption = Path("demo.motion"),
    sheet: Annotated[Path, typer.Option(help="where the contact sheet goes")] = Path(
        "contact_sheet.png"
    ),
    clip: ClipOption = None,
    llm_url: UrlOption = None,
    llm_model: ModelOption = "default",
    llm_key: KeyOption = "none",
) -> None:
    """Run the whole pipeline over three drawn catalogs: ingest, ask, judge, fine-tune, ask again.

    Each run begins with a new store and replaces that of the last.

    Example: python -m fashion_search demo --sheet result.png
    """
    console.print("Fashion search on Motion: an example over catalogs that it draws itself.")
    from fashion_search.demo import Demo

    _say_if_slow(clip)
    model = _language_model(llm_url, llm_model, llm_key)
    Demo(console, store, sheet, clip, language_model=model).run()


@app.command()
def ingest(
    store: StoreOption = DEFAULT_STORE,
    database: DatabaseOption = None,
    catalog: CatalogOption = None,
    clip: ClipOption = None,
    whole: Annotated[
        bool,
        typer.Option(
            help="the catalogs are whole: products of theirs that they no longer name are removed"
        ),
    ] = False,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST[:PORT]",
            help="a private host that may be asked for pictures; again for more",
        ),
    ] = None,
    bad_rows: Annotated[
        Path | None, typer.Option(help="write all rows that were left out to this CSV file")
    ] = None,
) -> None:
    """Make a store of catalogs, or add to one; of the three drawn ones if no catalog is named.

    Example: python -m fashion_search ingest --catalog nordstrom=products.parquet
    """
    products = _products(catalog)
    _check_clip(clip, store)
    from fashion_search.fetching import Fetcher, Manners
    from fashion_search.ingest import remove_others, write_bad_rows
    from fashion_search.pipeline import open_store

    _say_if_slow(clip)
    given: set[str] | None = set() if whole else None
    with (
        Fetcher(Manners(frozenset(allow or ()))) as fetcher,
        open_store(store, database=database, clip=clip, fetcher=fetcher) as opened,
    ):
        count, bad = _ingested(opened, products, given)
        if given is not None and not bad:
            console.print(
                f"{remove_others(opened, given):,} products that are no longer there were removed."
            )
        elif given is not None:
            console.print(
                "Nothing was removed: rows were left out, and what they are of may still be there."
            )
        console.print(f"{count:,} products were read into {store}.", soft_wrap=True)
        _tell_failures(opened)
        _study(opened)
    if bad:
        from fashion_search.catalogs import report

        console.print(report(bad))
    if bad_rows is not None:
        write_bad_rows(bad_rows, bad)
        console.print(f"All {len(bad):,} rows left out are in {bad_rows}.", soft_wrap=True)


@app.command()
def crawl(
    addresses: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RETAILER=ADDRESS]...",
            help="feeds, sitemaps, listings or products; three shops on this machine if left out",
        ),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    every: Annotated[
        float | None, typer.Option(help="go on, and look again after so many minutes; 0: no more")
    ] = None,
    pause: Annotated[
        float, typer.Option(help="seconds between two requests to one host, at least")
    ] = 0.5,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST[:PORT]", help="a private host that may be asked; again for more"
        ),
    ] = None,
) -> None:
    """Fetch what shops publish, politely, and keep products and pictures up to date: only what changed is read again.

    Example: python -m fashion_search crawl nordstrom=https://shop.example/sitemap.xml --every 60
    """
    sources = _sources(addresses)
    from fashion_search.crawling import crawl_addresses, crawl_three_shops

    if sources:
        crawl_addresses(console, store, sources, every_min=every, pause_s=pause, allowed=frozenset(allow or ()))  # fmt: skip
    else:
        crawl_three_shops(console, store if store != DEFAULT_STORE else CRAWLED_STORE)


@app.command()
def search(
    query: Annotated[str, typer.Argument(help='such as "what to wear to a beach wedding"')],
    store: StoreOption = DEFAULT_STORE,
    sheet: Annotated[Path | None, typer.Option(help="draw a contact sheet to this PNG")] = None,
    llm_url: UrlOption = None,
    llm_model: ModelOption = "default",
    llm_key: KeyOption = "none",
) -> None:
    """Answer one query on an existing store.

    Example: python -m fashion_search search "red dress for a summer party" --sheet answer.png
    """
    if not query.strip():
        _stop("the query is empty; say what to wear or what for, such as 'beach wedding'.")
    _check_store(store)
    from fashion_search.answers import answer_of, ask, sections_of, told
    from fashion_search.pipeline import open_store

    with open_store(store, language_model=_language_model(llm_url, llm_model, llm_key)) as opened:
        answer = answer_of(opened, ask(opened, query))
        _tell_unfinished(opened)
    console.print(told(answer), soft_wrap=True)
    if sheet is not None:
        from fashion_search.contact_sheet import contact_sheet

        contact_sheet(query, sections_of(answer), sheet)
        console.print(f"The pictures are in {sheet}.", soft_wrap=True)


@app.command(name="app")
def shop(
    store: StoreOption = DEFAULT_STORE,
    database: DatabaseOption = None,
    port: Annotated[
        int, typer.Option(help="where it listens, on this machine only; 0: any")
    ] = 8080,
    llm_url: UrlOption = None,
    llm_model: ModelOption = "default",
    llm_key: KeyOption = "none",
) -> None:
    """Open the shop in a browser: search, likes, and a look at how it learns. Without a store, of drawn catalogs.

    Example: python -m fashion_search app --port 8080
    """
    from fashion_search.pipeline import open_store
    from fashion_search.web.opening import opened_shop

    is_new = not _is_store(store)
    model = _language_model(llm_url, llm_model, llm_key)
    with open_store(store, database=database, language_model=model) as opened:
        if is_new:
            console.print(f"There is no store in {store} yet: {DRAWN_PRODUCTS} products are drawn and embedded first.", soft_wrap=True)  # fmt: skip
            _ingested(opened, _products(None))
            _tell_failures(opened)
        serving = opened_shop(opened, port)
        console.print(f"The shop is open at {serving.url}, for this machine only. Ctrl+C closes it.", soft_wrap=True)  # fmt: skip
        serving.run()


NumbersArgument = Annotated[
    list[str], typer.Argument(help="as search prints them, such as 12.0.3", metavar="NUMBER...")
]


@app.command()
def like(numbers: NumbersArgument, store: StoreOption = DEFAULT_STORE) -> None:
    """Say that answers fit what was asked for; the encoders learn from it.

    Example: python -m fashion_search like 12.0.0 12.0.3
    """
    _judge(numbers, store, True)


@app.command()
def dislike(numbers: NumbersArgument, store: StoreOption = DEFAULT_STORE) -> None:
    """Say that answers do not fit what was asked for.

    Example: python -m fashion_search dislike 12.1.2
    """
    _judge(numbers, store, False)


@app.command()
def versions(store: StoreOption = DEFAULT_STORE) -> None:
    """List the versions of CLIP in a store, with what the gate measured.

    Example: python -m fashion_search versions --store fashion_search.motion
    """
    _check_store(store)
    from fashion_search.pipeline import open_store
    from fashion_search.versions import versions_table

    with open_store(store, run=False) as opened:
        console.print(versions_table(opened))


@app.command()
def rollback(store: StoreOption = DEFAULT_STORE) -> None:
    """Go back to the version of CLIP that was live before, with its vectors; again: one further back.

    Example: python -m fashion_search rollback --store fashion_search.motion
    """
    _check_store(store)
    from fashion_search.pipeline import open_store
    from fashion_search.versions import roll_back

    with open_store(store) as opened:
        console.print(f"Version {roll_back(opened)} is live again, with the vectors that it had.")


@app.command()
def learn(
    sessions: Annotated[int, typer.Option(min=20, help="how many visits there are")] = 2000,
    people: Annotated[int, typer.Option(min=2, help="shoppers who make them")] = 40,
    seed: Annotated[int, typer.Option(help="of tastes, questions and clicks")] = 0,
    products: Annotated[int, typer.Option(min=60, help="products that are drawn")] = DRAWN_PRODUCTS,
    plot: Annotated[Path, typer.Option(help="where the plot goes, as SVG")] = Path("learned.svg"),
) -> None:
    """Let simulated shoppers with tastes of their own click, and measure what the encoders and their tastes learn of it.

    In a store of drawn products that is gone at the end.

    Example: python -m fashion_search learn --sessions 500 --plot learned.svg
    """
    from fashion_search.catalogs import drawn_catalogs
    from fashion_search.learn import RECIPE, Learning
    from fashion_search.pipeline import open_store
    from fashion_search.plots import write_course

    with (
        tempfile.TemporaryDirectory() as scratch,
        open_store(Path(scratch), durability="normal", ideas=1, recipe=RECIPE) as store,
    ):
        _ingested(store, drawn_catalogs(products))
        _study(store)
        with notes.status("shoppers come") as status:
            found = Learning(
                store, sessions, people, seed,
                lambda done, version: status.update(f"{done:,} of {sessions:,} visits; version {version} answers"),
            ).run()  # fmt: skip
    shares = found.fits.before, found.fits.after
    write_course(plot, found.course, found.switches, "Share of answers that fit who asks", shares)
    console.print(table_of_learned(found))
    live = [str(number) for _, number in found.switches]
    console.print(
        f"{found.judged:,} answers were judged; {len(found.versions)} versions were made, and went live: {', '.join(live)}. "
        f"The plot is in {plot}.", soft_wrap=True,
    )  # fmt: skip


@app.command()
def soak(
    minutes: Annotated[float, typer.Option(min=0.01, help="how long shoppers come")] = 60.0,
    rate: Annotated[float, typer.Option(min=0.1, help="questions a second")] = 50.0,
    people: Annotated[int, typer.Option(min=1, help="shoppers who ask them")] = 1_000,
    products: Annotated[int, typer.Option(min=60, help="products that are drawn")] = DRAWN_PRODUCTS,
    seed: Annotated[int, typer.Option(help="of times, tastes, questions and clicks")] = 0,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="print what came of it as one JSON object and nothing else"),
    ] = False,
) -> None:
    """Let simulated shoppers ask and click by the clock while the encoders learn, and check that nothing is lost and nothing grows.

    In a store of drawn products that is gone at the end. Exits with 1 where something does not hold.

    Example: python -m fashion_search soak --minutes 10 --rate 20
    """
    from fashion_search.catalogs import drawn_catalogs
    from fashion_search.pipeline import open_store
    from fashion_search.soak import Load, Soak

    with (
        tempfile.TemporaryDirectory() as scratch,
        open_store(Path(scratch), ideas=1) as store,
    ):
        _ingested(store, drawn_catalogs(products))
        _study(store, quiet=as_json)
        with notes.status("shoppers come") as status:
            found = Soak(
                store, Load(60 * minutes, rate, people, seed),
                lambda seconds, asked, unanswered: status.update(
                    f"{seconds / 60:.1f} of {minutes:g} minutes; {asked:,} questions, {unanswered:,} not answered yet"
                ),
            ).run()  # fmt: skip
    if as_json:
        print(json.dumps(asdict(found)))
    else:
        console.print(table_of_soaked(found))
        p50, p95, p99 = (1_000 * each for each in found.took_s)
        console.print(
            f"{found.asked:,} questions in {minutes:g} minutes, {found.distinct:,} different ones, {found.nothing_fits:,} that nothing fits; "
            f"{found.judged:,} verdicts. From when it was due an answer took {p50:,.0f} ms, p95 {p95:,.0f} ms, p99 {p99:,.0f} ms, "
            f"{1_000 * found.worst_s:,.0f} ms at the longest. {found.late:,} were asked late, at the most {1_000 * found.latest_s:,.0f} ms; "
            f"at rest {found.drained_s:.1f} s after the last. Versions made: {found.versions}.", soft_wrap=True,
        )  # fmt: skip
    if not found.holds:
        raise typer.Exit(1)


@app.command()
def evaluate(
    queries: Annotated[
        Path,
        typer.Option(help="a JSON line each: qid, kind, query, relevant_ids, maybe gallery_source"),
    ],
    catalog: CatalogOption = None,
    store: Annotated[
        Path | None,
        typer.Option(
            help="keep the store here, or, without a catalog, measure the one that is here; a temporary one if left out"
        ),
    ] = None,
    clip: ClipOption = None,
    parts: Annotated[
        bool,
        typer.Option(
            "--table",
            help="also by pictures, texts, both, and words; with full titles and poor ones; before a fit and after",
        ),
    ] = False,
    fit: Annotated[
        bool, typer.Option("--fit", help="let the encoders learn the catalog's own pairs first")
    ] = False,
    unseen: Annotated[
        bool,
        typer.Option(
            "--unseen",
            help="also what 200 pairs of ten types that were not there before teach, and what is lost elsewhere",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="print the figures as one JSON object and nothing else")
    ] = False,
) -> None:
    """Measure retrieval: for each kind of query, how often the first hit, or one of ten, is relevant.

    Example: python -m fashion_search evaluate --catalog a.parquet --queries q.jsonl --table
    """
    asked = _queries(queries)
    # A store is measured as it is; drawn catalogs are for a temporary one, never written where somebody keeps products.
    if catalog is None and store is not None:
        _check_store(store)
    products = iter(()) if catalog is None and store is not None else _products(catalog)
    if store is not None:
        _check_clip(clip, store)
    from fashion_search.evaluation import evaluate as evaluated
    from fashion_search.evaluation import table
    from fashion_search.pipeline import open_store
    from fashion_search.unseen import unseen_types

    _say_if_slow(clip)
    with (
        tempfile.TemporaryDirectory() as scratch,
        open_store(
            store or Path(scratch), clip=clip, durability="full" if store else "normal"
        ) as opened,
    ):
        _, bad = _ingested(opened, products)
        _tell_failures(opened)
        lines = table(opened, asked) if parts else []
        changes = unseen_types(opened) if unseen else []
        if fit:
            _study(opened)
        found = evaluated(opened, asked)
    if bad:
        from fashion_search.catalogs import report

        notes.print(report(bad))
    if as_json:
        told = {"table": [asdict(line) for line in lines]} if parts else {}
        told |= {"unseen": [asdict(change) for change in changes]} if unseen else {}
        print(json.dumps({**found, **told}))
        return
    console.print(table_of(found))
    if lines:
        console.print(table_of_parts(lines))
    if changes:
        console.print(table_of_changes(changes))


def _judge(numbers: list[str], folder: Path, is_liked: bool) -> None:
    _check_store(folder)
    from fashion_search.answers import judge
    from fashion_search.pipeline import FIT_EVERY, open_store

    with open_store(folder) as store:
        judge(store, numbers, is_liked)
        with notes.status("learning, where there is enough to learn from"):
            store.wait()
    console.print(
        f"Noted. After every {FIT_EVERY} judged the encoders learn; 'versions' shows what came of it."
    )


def _study(store: motion.Store, *, quiet: bool = False) -> None:
    """Let the encoders learn the catalog's own pairs, where it has grown since they last did."""
    from fashion_search.versions import study

    began = time.monotonic()
    with notes.status(
        "the encoders learn what the catalog's pictures and titles have to do with each other"
    ):
        version = study(store)
    if version is not None and not quiet:
        console.print(
            f"The encoders learned the catalog in {time.monotonic() - began:.0f} s, with all vectors anew where it went live: "
            f"version {version.number} is {version.status}.", soft_wrap=True,
        )  # fmt: skip


def _ingested(
    store: motion.Store, products: Iterator[Product | BadRow], given: set[str] | None = None
) -> tuple[int, list[BadRow]]:
    """Ingest with bars on a terminal, and in silence elsewhere: a log is no place for them."""
    from fashion_search.ingest import ingest as ingested
    from fashion_search.ingest import wait

    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}")
    with Progress(
        *columns, TimeElapsedColumn(), console=notes, disable=not notes.is_terminal, transient=True
    ) as bar:
        read = bar.add_task("rows read", total=None, told="0")
        embedded = bar.add_task("embedded", total=None, told="")

        def counted() -> Iterator[Product | BadRow]:
            for number, product in enumerate(products, start=1):
                yield product
                bar.update(read, told=f"{number:,}")

        count, bad = ingested(store, counted(), given=given)
        bar.update(read, total=1, completed=1)

        def show(left: int) -> None:
            bar.update(
                embedded, total=count, completed=max(count - left, 0), told=f"{left:,} rows to do"
            )

        wait(store, show)
    return count, bad


def _products(catalogs: list[str] | None) -> Iterator[Product | BadRow]:
    """Return the catalogs' rows. What cannot be read at all is told before anything is written."""
    from fashion_search.catalogs import drawn_catalogs

    if not catalogs:
        return drawn_catalogs(DRAWN_PRODUCTS)
    return chain.from_iterable([_read(catalog) for catalog in catalogs])


def _read(catalog: str) -> Iterator[Product | BadRow]:
    from fashion_search.catalogs import read_catalog

    retailer, separator, file = catalog.partition("=")
    if not separator or Path(catalog).exists():
        return read_catalog(catalog)
    return read_catalog(file, retailer)


def _sources(addresses: list[str] | None) -> dict[str, str]:
    """Return whose each address is."""
    from fashion_search.products import RETAILERS

    found = {}
    for written in addresses or []:
        retailer, separator, address = written.partition("=")
        if not separator or retailer not in RETAILERS:
            _stop(f"{written} does not say whose it is; write it as {RETAILERS[0]}=https://..., for one of {', '.join(RETAILERS)}.")  # fmt: skip
        if not is_web(address):
            _stop(f"{address} is no web address; it begins with http:// or https://.")
        found[address] = retailer
    return found


def _queries(path: Path) -> list[CatalogQuery]:
    from fashion_search.retrieval import read_queries

    try:
        found = read_queries(path)
    except OSError as exc:
        _stop(f"the queries {path} cannot be read: {exc.strerror}.")
    except ValueError as exc:
        _stop(str(exc))
    if not found:
        _stop(f"there is no query in {path}; each line is a JSON object with qid, kind, query and relevant_ids.")  # fmt: skip
    return found


def _language_model(url: str | None, name: str, key: str) -> LanguageModel | None:
    from fashion_search.pipeline import LanguageModel

    return LanguageModel(url, name, key) if url else None


def _check_clip(clip: str | None, store: Path) -> None:
    if clip is not None and _is_store(store):
        _stop(f"{store} goes on with its own CLIP; name a new store with --store to begin with {clip}.")  # fmt: skip


def _check_store(store: Path) -> None:
    if not _is_store(store):
        _stop(f"there is no store in {store}; make one with 'python -m fashion_search ingest --store {store}'.")  # fmt: skip


def _is_store(folder: Path) -> bool:
    """Whether a folder holds a store of this pipeline; another one's is left as it is."""
    if not (folder / "store.sqlite").is_file() and database_of(folder) is None:
        return False
    with motion.create_store("fashion_search", url=url_of(folder), run=False) as looked_at:
        tables = "SELECT COUNT(*) FROM motion_tables WHERE name IN ('query', 'retailer')"
        return bool(looked_at.sql(tables).column(0)[0].as_py() == 2)


def _say_if_slow(clip: str | None) -> None:
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # the error in the end says it all
    if clip is not None and HUB_NAME.fullmatch(clip) and not Path(clip).exists():
        notes.print(f"looking for {clip} on the Hugging Face hub", soft_wrap=True)


def _tell_unfinished(store: motion.Store) -> None:
    """Say so where an ingest was stopped before its end: this process has gone on with it, but not to the end."""
    try:
        store.wait(timeout=0)
    except motion.WaitTimeout as exc:
        notes.print(
            f"The answer is from what is there: {exc.remaining:,} rows of work were left by an ingest or a fit that "
            "was stopped. The same ingest again ends it, and does nothing twice."
        )


def _tell_failures(store: motion.Store) -> None:
    letters = store.errors()
    if letters:
        first = letters[0]
        notes.print(f"[red]{len(letters):,} rows failed[/red]; the first is {first.table} {first.row}: ", end="")  # fmt: skip
        notes.print(_message_of(first.error), markup=False, soft_wrap=True)


def _message_of(trace: str) -> str:
    """Return the message at the end of a traceback, without the error's name, on one line."""
    last = (trace.strip().splitlines() or ["no message"])[-1]
    name, colon, message = last.partition(": ")
    return message if colon and name.replace(".", "").replace("_", "").isalnum() else last


def _stop(message: str) -> NoReturn:
    notes.print("[red]error:[/red] ", end="")
    notes.print(message, markup=False, soft_wrap=True)
    raise typer.Exit(1)


if __name__ == "__main__":
    app()
