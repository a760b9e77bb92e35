"""The demo: the whole pipeline over three drawn catalogs, in the terminal, in a minute or two."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import motion
from fashion_search.answers import Found, answer_of, ask, sections_of, told
from fashion_search.catalogs import Product, drawn_catalogs
from fashion_search.contact_sheet import Comparison, contact_sheet
from fashion_search.garments import COLOURS, TYPES
from fashion_search.ingest import ingest, wait
from fashion_search.pipeline import (
    FIT_EVERY,
    LanguageModel,
    QuerySource,
    RetailerSchema,
    open_store,
)
from fashion_search.versions import study, versions_table

PRODUCTS = 900
QUERY = "what to wear to a beach wedding"
OTHER_QUERIES = ("job interview outfit for a man", "going for a run", "red dress for women")
NIGHTLY = ("rainy day in the city", "summer picnic", "winter walk", "gym session")
JUDGED = 2 * FIT_EVERY
LONGEST_FIT_S = 240.0
ASK_EVERY_S = 2.0  # a person's pace: the cores are the fit's, too
MADE_BY = "made-by-the-demo"


class DemoStoreTaken(RuntimeError):
    """The folder holds something that is not the demo's."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = folder

    def __str__(self) -> str:
        return f"the demo begins with a store of its own, and {self.folder} was not made by it; name another folder with --store."


@dataclass(frozen=True)
class Demo:
    """One run of the demo.

    Attributes:
        folder: where its store lives; one that an earlier demo made is replaced.
        sheet: where the contact sheet goes.
        clip: the CLIP to begin with; None: the one that comes with this package.
        database: where its rows go, in PostgreSQL; there is no store of this pipeline yet. None: into the folder.
        language_model: an endpoint for ideas; None: the model that comes with this package.
        products: how many to draw.
        longest_fit_s: goes on without the fine-tune if that takes longer.
    """

    console: Console
    folder: Path
    sheet: Path
    clip: str | None = None
    database: str | None = None
    language_model: LanguageModel | None = None
    products: int = PRODUCTS
    longest_fit_s: float = LONGEST_FIT_S

    def run(self) -> None:
        """Show every step of the pipeline, and leave a store and a contact sheet behind.

        Raises:
            DemoStoreTaken: the folder holds something that is not the demo's.
        """
        started = time.monotonic()
        _begin_anew(self.folder)
        with open_store(
            self.folder,
            database=self.database,
            clip=self.clip,
            language_model=self.language_model,
        ) as store:
            self._ingest(store)
            before = self._answer(store)
            self._ask_beside_a_batch(store)
            self._study(store)
            self._judge(store, before)
            self._learn(store)
            after = self._answer(store)
            self._show_versions(store)
            self._draw(store, before, after)
        self._title(f"Done in {time.monotonic() - started:.0f} s")
        if self.database is None:
            self._say("The store stays until the next demo. Ask it more:")
            self.console.print(
                f'  python -m fashion_search search "red dress for a party" --store {self.folder}',
                soft_wrap=True,
            )

    # -- the steps --

    def _ingest(self, store: motion.Store) -> None:
        self._title(f"{self.products} products of three drawn catalogs: ingested and embedded")
        with _progress(self.console) as bar:
            drawn = bar.add_task("drawn, stored", total=self.products)
            embedded = bar.add_task("embedded", total=self.products)

            def show(_: int) -> None:
                count = store.sql("SELECT COUNT(img_embedding) FROM retailer").column(0)[0].as_py()
                bar.update(embedded, completed=count)

            def products() -> Iterator[Product]:
                for number, product in enumerate(drawn_catalogs(self.products), start=1):
                    yield product
                    bar.update(drawn, completed=number)
                    if number % 20 == 0:
                        show(0)

            ingest(store, products(), commit_every=60)
            wait(store, show)
        failed = store.errors()
        if failed:
            self._say(f"{len(failed)} rows failed; the first:\n{failed[0].error}")

    def _answer(self, store: motion.Store) -> dict[str, list[Found]]:
        begun = time.monotonic()
        answer = answer_of(store, ask(store, QUERY))
        took_ms = 1000 * (time.monotonic() - begun)
        self._title(f"“{QUERY}”, answered by version {_live(store)} in {took_ms:.0f} ms")
        self.console.print(told(answer, each=2), soft_wrap=True)
        return answer

    def _ask_beside_a_batch(self, store: motion.Store) -> None:
        """Put offline queries in the queue, then an online one: it does not wait behind them."""
        self._title("The nightly evaluation's queries wait behind people")
        rows = [{"query": query, "src": QuerySource.OFFLINE} for query in NIGHTLY]
        batch = store.set_many("query", rows)
        begun = time.monotonic()
        ask(store, OTHER_QUERIES[-1])
        took_ms = 1000 * (time.monotonic() - begun)
        left = batch.progress.remaining
        batch.wait(timeout=60)
        self._say(
            f"“{OTHER_QUERIES[-1]}” was answered in {took_ms:.0f} ms, though {len(rows)} offline queries came first; "
            f"{left} rows of their work were left then."
        )

    def _study(self, store: motion.Store) -> None:
        """Learn the shop's own pictures and titles, which needs no label and no person."""
        self._title("The first thing in a shop: its own pictures and titles are learned")
        begun = time.monotonic()
        with self.console.status("learning"):
            version = study(store)
        if version is None:
            self._say("There are too few products to tell what is learned from chance.")
            return
        gain, low, high = (
            version.metrics.get(name, 0.0) for name in ("gain", "gain_low", "gain_high")
        )
        self._say(
            f"Version {version.number} is {version.status} after {time.monotonic() - begun:.0f} s: on products that it did not "
            f"learn from, its mean reciprocal rank is {gain:+.3f}, with 95 % certainty between {low:+.3f} and {high:+.3f}."
        )

    def _judge(self, store: motion.Store, answer: dict[str, list[Found]]) -> None:
        """Give feedback on the answers, as a shopper would who knows what they want: the catalog's labels decide."""
        self._title("Feedback: a simulated shopper judges the pictures")
        answers = [answer, *(answer_of(store, ask(store, query)) for query in OTHER_QUERIES)]
        shown = [(idea, each) for one in answers for idea, found in one.items() for each in found]
        verdicts = [(each, _fits(idea, each.product)) for idea, each in shown]
        judged = [(each, verdict) for each, verdict in verdicts if verdict is not None][:JUDGED]
        with store.transaction() as tx:
            for each, verdict in judged:
                tx.set(each.row, feedback=verdict)
        liked = sum(bool(verdict) for _, verdict in judged)
        self._say(
            f"{liked} of {len(judged)} have the type and colour that the idea names; the others do not. "
            f"After every {FIT_EVERY} judged, the encoders learn."
        )

    def _learn(self, store: motion.Store) -> None:
        """Wait for the fine-tune, asking questions meanwhile: none of them waits for it."""
        self._title("The encoders learn in a process of their own; queries are answered meanwhile")
        begun, answered, slowest = time.monotonic(), 0, 0.0
        with self.console.status("learning") as status:
            while not _is_idle(store) and time.monotonic() - begun < self.longest_fit_s:
                asked = time.monotonic()
                ask(store, OTHER_QUERIES[answered % len(OTHER_QUERIES)])
                slowest = max(slowest, time.monotonic() - asked)
                answered += 1
                status.update(
                    f"{_stage(store)}; {answered} queries answered in {asked - begun:.0f} s"
                )
        self._say(
            f"{answered} queries were answered in those {time.monotonic() - begun:.0f} s, the slowest in {1000 * slowest:.0f} ms."
        )
        newest = store.model("ImageRetrieval").versions()[-1]
        if _is_learning(store):
            self._say(
                "The fine-tune is not over, so the demo goes on without it; it goes on with the store."
            )
        elif newest.status == "live":
            self._say(
                f"Version {newest.number} is live: its vectors were made beside the old ones, then all switched at once."
            )
        else:
            reason = str(newest.metrics.get("reason", "")).strip().splitlines()
            self._say(
                f"Version {newest.number} was {newest.status}: {reason[-1] if reason else 'see the table below'}"
            )

    def _show_versions(self, store: motion.Store) -> None:
        self._title(
            "Versions: how often half a description finds its product, among those held out"
        )
        self.console.print(versions_table(store))
        self._say("One command goes back, and recomputes nothing:")
        self._say(f"  python -m fashion_search rollback --store {self.folder}")

    def _draw(
        self,
        store: motion.Store,
        before: dict[str, list[Found]],
        after: dict[str, list[Found]],
    ) -> None:
        comparison = Comparison(sections_of(after), "version 1", f"version {_live(store)}")
        if _live(store) == 1:
            contact_sheet(QUERY, sections_of(before), self.sheet)
            self._title(f"The answer as pictures: {self.sheet}")
        else:
            contact_sheet(QUERY, sections_of(before), self.sheet, compared_with=comparison)
            self._title(f"Both answers as pictures: {self.sheet}")

    # -- the terminal --

    def _title(self, text: str) -> None:
        self.console.print(f"\n[bold]{text}[/bold]")

    def _say(self, text: str) -> None:
        self.console.print(text, markup=False)


def _begin_anew(folder: Path) -> None:
    """Remove the store of an earlier demo; touch nothing else."""
    if folder.exists() and not (folder / MADE_BY).exists():
        if not folder.is_dir() or any(folder.iterdir()):
            raise DemoStoreTaken(folder)
    elif folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MADE_BY).touch()  # before the store is there: a demo that is stopped can be run again


def _fits(idea: str, product: RetailerSchema) -> bool | None:
    """Whether a product has the type and the colour that an idea names; None where it names neither."""
    wanted_types = {name for name in TYPES if _named(idea, name, TYPES[name].plural)}
    wanted_colours = {name for name in COLOURS if _named(idea, name)}
    if not wanted_types and not wanted_colours:
        return None
    is_type = product.labels.get("category") in wanted_types or not wanted_types
    return is_type and (product.labels.get("colour") in wanted_colours or not wanted_colours)


def _named(idea: str, *names: str) -> bool:
    return any(_word(name).search(idea) for name in names)


@cache
def _word(name: str) -> re.Pattern[str]:
    return re.compile(rf"\b{re.escape(name)}\b", re.IGNORECASE)


def _is_idle(store: motion.Store) -> bool:
    """Wait a moment for the work to end; return whether it did."""
    try:
        store.wait(timeout=ASK_EVERY_S)
    except motion.WaitTimeout:
        return not _is_learning(store)
    return True


def _is_learning(store: motion.Store) -> bool:
    return store.status().fits > 0 or _has_candidate(store)


def _has_candidate(store: motion.Store) -> bool:
    return any(v.status == "candidate" for v in store.model("ImageRetrieval").versions())


def _stage(store: motion.Store) -> str:
    if _has_candidate(store):
        return "embedding anew and measuring"
    told = store.model("ImageRetrieval").progress
    return "learning" if told is None else f"learning: step {told.step} of {told.total}"


def _live(store: motion.Store) -> int | None:
    return store.status().versions["ImageRetrieval"]


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=console,
    )  # fmt: skip
