"""The demo: the whole pipeline over three drawn catalogs, in the terminal, in about a minute or two."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

import motion
from fashion_search.answers import ask, links_of, sections_of
from fashion_search.catalogs import drawn_catalogs
from fashion_search.contact_sheet import Comparison, Section, contact_sheet
from fashion_search.garments import COLOURS, TYPES
from fashion_search.ingest import ingest
from fashion_search.pipeline import FIT_EVERY, QuerySchema, QuerySource, RetailerSchema, open_store

PRODUCTS = 960
QUERY = "what to wear to a beach wedding"
OTHER_QUERIES = ("job interview outfit for a man", "going for a run", "red dress for women")
NIGHTLY = ("rainy day in the city", "summer picnic", "winter walk", "gym session")
LONGEST_FIT_S = 150.0


def run(
    console: Console,
    folder: Path,
    sheet: Path,
    *,
    clip: str,
    llm_url: str | None,
    llm_model: str | None,
) -> None:
    """Show every step of the pipeline, and leave a store and a contact sheet behind."""
    started = time.monotonic()
    with open_store(folder, clip=clip, llm_url=llm_url, llm_model=llm_model) as store:
        _ingest(console, store)
        before = _ask(console, store, QUERY, "answered by version")
        _nightly(console, store)
        _judge(console, store, before)
        _learn(console, store)
        after = ask(store, QUERY)
        _title(console, f"The same query, answered by version {_live(store)}")
        console.print(links_of(store, after))
        _figures(console, store)
        _draw(console, store, sections_of(store, before), sections_of(store, after), sheet)
    console.print(f"\nDone in {time.monotonic() - started:.0f} s. The store stays in {folder}; ask it more with\n"
                  f'  python -m fashion_search search "red dress for a party" --store {folder}')  # fmt: skip


def _ingest(console: Console, store: motion.Store) -> None:
    _title(console, f"Three drawn catalogs, {PRODUCTS} products: ingested and embedded")
    with _progress(console) as bar:
        drawn = bar.add_task("drawn and stored", total=PRODUCTS)
        products = (bar.advance(drawn) or product for product in drawn_catalogs(PRODUCTS))
        ingest(store, products)
        embedded = bar.add_task("embedded by CLIP", total=PRODUCTS)
        while (count := _embedded(store)) < PRODUCTS and not store.errors():
            bar.update(embedded, completed=count)
            time.sleep(0.1)
        bar.update(embedded, completed=_embedded(store))
    store.wait()


def _embedded(store: motion.Store) -> int:
    return int(store.sql("SELECT COUNT(img_embedding) FROM retailer").column(0)[0].as_py())


def _ask(console: Console, store: motion.Store, query: str, how: str) -> int:
    query_id = ask(store, query)
    _title(console, f"“{query}”, {how} {_live(store)}")
    console.print(links_of(store, query_id))
    return query_id


def _nightly(console: Console, store: motion.Store) -> None:
    """Put offline queries in the queue, then an online one: it does not wait behind them."""
    _title(console, "Nightly evaluation queries wait behind people")
    batch = store.set_many("query", [{"query": q, "src": QuerySource.OFFLINE} for q in NIGHTLY])
    waited = time.monotonic()
    ask(store, OTHER_QUERIES[-1])
    waited = time.monotonic() - waited
    left = batch.progress.remaining
    batch.wait(timeout=60)
    console.print(
        f"“{OTHER_QUERIES[-1]}” was answered in {1000 * waited:.0f} ms; offline work left then: {left} rows."
    )


def _judge(console: Console, store: motion.Store, query_id: int) -> None:
    """Give feedback on the answers, as a shopper would who knows what they want: the catalog's labels decide."""
    _title(console, "Feedback: a simulated shopper judges the pictures by type and colour")
    judged = {True: 0, False: 0}
    for each in (query_id, *(ask(store, query) for query in OTHER_QUERIES)):
        for row in store.rows(QuerySchema, id=each):
            product = store.get(RetailerSchema, row.img_id) if row.img_id is not None else None
            if product is not None and sum(judged.values()) < 2 * FIT_EVERY:
                is_liked = _fits(row.text_suggestion, product)
                store.set(row, feedback=is_liked)
                judged[is_liked] += 1
    console.print(
        f"{judged[True]} liked, {judged[False]} not; CLIP is fine-tuned after every {FIT_EVERY}."
    )


def _fits(idea: str, product: RetailerSchema) -> bool:
    """Whether a product has the type and the colour that an idea names."""
    text, facts = idea.lower(), {value.lower() for value in product.labels.values()}
    wanted = [word for word in (*TYPES, *COLOURS) if str(word).lower() in text]
    return all(any(str(word).lower() in fact for fact in facts) for word in wanted)


def _learn(console: Console, store: motion.Store) -> None:
    """Wait for the fine-tune, asking questions meanwhile: none of them waits for it."""
    _title(console, "CLIP is fine-tuned in a process of its own; meanwhile queries are answered")
    first, answered, slowest = _live(store), 0, 0.0
    deadline = time.monotonic() + LONGEST_FIT_S
    with _progress(console) as bar:
        learning = bar.add_task("learning, embedding anew, measuring", total=None)
        while _is_learning(store) and time.monotonic() < deadline:
            begun = time.monotonic()
            ask(store, OTHER_QUERIES[answered % len(OTHER_QUERIES)])
            slowest = max(slowest, time.monotonic() - begun)
            answered += 1
            bar.update(learning, description=f"learning; {answered} queries answered meanwhile")
            time.sleep(1.0)  # a person's pace: the two cores are the fit's, too
    console.print(
        f"{answered} queries were answered meanwhile, the slowest in {1000 * slowest:.0f} ms; "
        f"live was version {first}, and is version {_live(store)}."
    )


def _is_learning(store: motion.Store) -> bool:
    candidates = [v for v in store.model("ImageRetrieval").versions() if v.status == "candidate"]
    return bool(candidates) or store.status().fits > 0


def _figures(console: Console, store: motion.Store) -> None:
    _title(console, "Versions, measured on (image, description) pairs that no fit has seen")
    table = Table("version", "status", "labels", "recall@1", "recall@10", box=None, pad_edge=False)
    versions = store.model("ImageRetrieval").versions()
    measured = {v.number: v.metrics for v in versions}
    for version in versions:
        metrics = measured[version.number]
        if (
            "recall_at_1" not in metrics
        ):  # the first version is measured when a candidate is held against it
            metrics = next((m["live"] for m in measured.values() if "live" in m), {})
        shown = [
            f"{metrics[name]:.3f}" if name in metrics else ""
            for name in ("recall_at_1", "recall_at_10")
        ]
        table.add_row(str(version.number), version.status, str(version.rows), *shown)
    console.print(table)


def _draw(
    console: Console, store: motion.Store, before: list[Section], after: list[Section], sheet: Path
) -> None:
    versions = store.model("ImageRetrieval").versions()
    labels = f"version {versions[0].number}", f"version {_live(store)}"
    contact_sheet(QUERY, before, sheet, compared_with=Comparison(after, *labels))
    console.print(f"\nQuery and results, before and after, as pictures: {sheet}")


def _live(store: motion.Store) -> int | None:
    return store.status().versions["ImageRetrieval"]


def _title(console: Console, text: str) -> None:
    console.print(f"\n[bold]{text}[/bold]")


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=console,
    )  # fmt: skip
