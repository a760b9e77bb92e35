"""The command `crawl`: rounds over shops, told in the terminal."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

import motion
from fashion_search.catalogs import as_it_is
from fashion_search.crawl import Round, crawl
from fashion_search.fetching import Fetcher, Manners
from fashion_search.pipeline import open_store
from fashion_search.shops import Shop, three_shops
from fashion_search.tables import AddressSchema

ARTICLES = 24  # of each shop that is served for trying out
LOOK_EVERY_S = 1.0
TOLD_PROBLEMS = 5


def crawl_addresses(
    console: Console,
    folder: Path,
    sources: Mapping[str, str],
    *,
    every_min: float | None,
    pause_s: float,
    allowed: frozenset[str],
) -> None:
    """Crawl addresses into a store, and go on until Ctrl-C where they are to be looked at again."""
    every_s = None if every_min is None else 60 * every_min
    with (
        Fetcher(Manners(allowed, pause_s)) as fetcher,
        open_store(folder, fetcher=fetcher) as store,
    ):
        found = crawl(store, sources, every_s)
        console.print(_table([("now", found, _products(store), _pictures(store))]))
        _tell_problems(console, store)
        if every_s:
            console.print(f"Looking again every {every_min:g} minutes; Ctrl-C ends it.")
            try:
                while True:
                    time.sleep(LOOK_EVERY_S)
            except KeyboardInterrupt:
                console.print("Stopped; the same command goes on.")


def crawl_three_shops(console: Console, folder: Path, articles: int = ARTICLES) -> None:
    """Serve three shops on loopback and crawl them three times: anew, unchanged, and with changed prices and articles."""
    if (folder / "store.sqlite").exists():
        shutil.rmtree(folder)  # of the last time: the shops have other addresses now
    with three_shops(articles) as shops:
        allowed = frozenset(shop.host for shop in shops.values())
        sources = {shop.entry: retailer for retailer, shop in shops.items()}
        for retailer, shop in shops.items():
            console.print(f"{retailer:14} {shop.entry}", soft_wrap=True)
        manners = Manners(allowed, pause_s=0.01)
        with Fetcher(manners) as fetcher, open_store(folder, fetcher=fetcher) as store:
            told = [("new", crawl(store, sources), _products(store), _pictures(store))]
            told.append(("unchanged", crawl(store, sources), _products(store), _pictures(store)))
            for shop in shops.values():
                _change(shop)
            told.append(("changed", crawl(store, sources), _products(store), _pictures(store)))
            console.print(_table(told))
            _tell_problems(console, store)


def _change(shop: Shop) -> None:
    """Have a shop ask another price for two articles, sell one out, and drop one."""
    numbers = list(shop.articles)
    for number in numbers[:2]:
        shop.articles[number].price += 5
    shop.articles[numbers[2]].in_stock = False
    del shop.articles[numbers[3]]


def _products(store: motion.Store) -> int:
    return int(store.sql("SELECT COUNT(*) FROM retailer").column(0)[0].as_py())


def _pictures(store: motion.Store) -> int:
    return int(store.sql("SELECT COUNT(*) FROM retailer WHERE image IS NOT NULL").column(0)[0].as_py())  # fmt: skip


def _table(rounds: list[tuple[str, Round, int, int]]) -> Table:
    table = Table("round", box=None, pad_edge=False)
    for name in ("addresses changed", "same", "gone", "refused", "products", "with picture"):
        table.add_column(name, justify="right")
    for name, found, products, pictures in rounds:
        counts = (found.changed, found.same, found.gone, found.refused, products, pictures)
        table.add_row(name, *(f"{count:,}" for count in counts))
    return table


def _tell_problems(console: Console, store: motion.Store) -> None:
    told = store.rows(AddressSchema, where="problem <> ''", order_by="checked DESC", limit=TOLD_PROBLEMS)  # fmt: skip
    for each in told:
        console.print(as_it_is(f"{each.id}: {each.problem}"), soft_wrap=True, style="dim")
    letters = store.errors()
    for letter in letters[:TOLD_PROBLEMS]:
        reason = (letter.error.strip().splitlines() or ["no message"])[-1]
        console.print(as_it_is(f"{letter.trigger} gave up on {letter.row}: {reason}"), soft_wrap=True, style="dim")  # fmt: skip
    if len(letters) > TOLD_PROBLEMS:
        console.print(f"and {len(letters) - TOLD_PROBLEMS:,} more that could not be done")
