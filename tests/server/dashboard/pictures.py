"""The pictures of the dashboard in `docs/images`, made anew: `python -m tests.server.dashboard.pictures docs/images`. With
`--all` each page is drawn in light and dark, wide and narrow, to be looked at before any of them is kept."""

from __future__ import annotations

import tempfile
import threading
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, expect, sync_playwright

import motion
from motion.server import serve
from tests.server.dashboard import shop
from tests.server.dashboard.conftest import CHROMIUM, FLAGS, WAIT_MS, learned

WIDE, NARROW = (1400, 860), (390, 760)

CALL_S = 0.08
"""How long the shop's model thinks, so that there is work to be seen."""

KEPT = [
    ("dashboard-graph", "graph", "light", WIDE),
    ("dashboard-graph-dark", "graph", "dark", WIDE),
    ("dashboard-graph-narrow", "graph", "light", NARROW),
    ("dashboard-rows", "rows", "light", WIDE),
    ("dashboard-change", "change", "light", WIDE),
    ("dashboard-models-dark", "models", "dark", WIDE),
    ("dashboard-models-narrow", "models", "dark", NARROW),
    ("dashboard-problems", "problems", "light", WIDE),
]
"""Name, page, theme and size of those that the docs show."""

ROOT = Path(__file__).parents[3]

ELSEWHERE = """root => document.querySelectorAll("pre").forEach(each => {
    each.textContent = each.textContent.replaceAll(root, "/srv/motion");
})"""
"""Tracebacks tell where this checkout lies, which concerns nobody."""

WISHES = ("beach dress", "rainy hat", "navy skirt", "shoe for a walk", "sand shirt")


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--all", action="store_true", help="each page in each look")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    pages = dict.fromkeys(page for _, page, _, _ in KEPT)
    every = [
        (f"{page}-{theme}-{'wide' if size == WIDE else 'narrow'}", page, theme, size)
        for page, theme, size in product(pages, ("light", "dark"), (WIDE, NARROW))
    ]
    with a_lively_shop() as (store, url, change), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for name, page, theme, size in every if given.all else KEPT:
            draw(browser, url, page, change, theme, size, given.folder / f"{name}.png")
            print(f"{name}: {store.status().last_change} changes")  # noqa: T201 - a program
        browser.close()


@contextmanager
def a_lively_shop() -> Iterator[tuple[motion.Store, str, int]]:
    """Give a shop in which something of everything is so, and questions come without pause; and a change with a whole cascade."""
    with tempfile.TemporaryDirectory() as folder, shop.open_shop(f"sqlite:///{folder}") as first:
        shop.fill(first)
        learned(first)
        shop.WEATHER.delay_s = CALL_S
        with reopened(folder) as store:
            asked = store.set("query", query="navy skirt").wait(timeout=60)
            with serve(store, port=0) as serving, asking(store):
                yield store, serving.url, asked.key


def reopened(folder: str) -> motion.Store:
    """Open it once more, with other code of one trigger: what that has made is stale."""

    @motion.trigger(on="product.title", sets="product.summary", name="summarise", version="2")
    def again(title: str) -> str:
        return f"{title}, in other words"

    others = [each for each in shop.triggers() if each is not shop.summarise]
    return motion.create_store(
        "shop", schemas=shop.TABLES, triggers=[again, *others], url=f"sqlite:///{folder}"
    )


@contextmanager
def asking(store: motion.Store) -> Iterator[None]:
    """Ask one question after the other meanwhile."""
    enough = threading.Event()

    def ask() -> None:
        number = 0
        while not enough.is_set():
            store.set("query", query=WISHES[number % len(WISHES)]).wait(timeout=60)
            number += 1

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        yield
    finally:
        enough.set()
        asker.join()


def draw(
    browser: Browser, url: str, page: str, change: int, theme: str, size: tuple[int, int], to: Path
) -> None:
    looks: Literal["light", "dark"] = "dark" if theme == "dark" else "light"
    context = browser.new_context(
        base_url=url, color_scheme=looks, viewport={"width": size[0], "height": size[1]}
    )
    context.set_default_timeout(WAIT_MS)
    opened = context.new_page()
    OPENED[page](opened, change, size == NARROW)
    expect(opened.locator("#live")).to_have_text("live", timeout=WAIT_MS)
    opened.evaluate(ELSEWHERE, str(ROOT))
    opened.evaluate("Promise.all([...document.images].map(each => each.decode().catch(() => 0)))")
    opened.screenshot(path=to)
    context.close()


def graph(page: Page, change: int, is_narrow: bool) -> None:
    page.goto("/" if is_narrow else "/?node=trigger+Retrieval.retrieve")
    expect(page.locator(".change-line").nth(4)).to_be_attached()
    if not is_narrow:
        ran = page.get_by_role("button", name="trigger recommend: ran within 10 s")
        expect(ran).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Working", timeout=WAIT_MS)


def rows(page: Page, change: int, is_narrow: bool) -> None:
    page.goto("/rows/product")
    expect(page.locator("tr[data-row] img").nth(5)).to_be_attached(timeout=WAIT_MS)
    if is_narrow:
        return
    expect(page.locator("tr[data-row] svg.plot").nth(9)).to_be_visible(timeout=WAIT_MS)
    page.locator("tr[data-row]").nth(4).click()
    side = page.get_by_role("complementary", name="Row")
    side.get_by_role("button", name="Where summary came from").click()
    expect(side.locator(".origin")).to_contain_text("given from outside", timeout=WAIT_MS)
    page.locator("main").evaluate("each => { each.scrollTop = 0; }")


def change(page: Page, change: int, is_narrow: bool) -> None:
    page.goto(f"/changes/{change}")
    runs = page.get_by_role("treegrid", name="Runs, in time")
    expect(runs).to_contain_text("recommend", timeout=WAIT_MS)
    if is_narrow:
        return
    runs.get_by_role("row").filter(has_text="recommend").last.click()
    expect(page.locator(".origin")).to_contain_text("given from outside", timeout=WAIT_MS)


def models(page: Page, change: int, is_narrow: bool) -> None:
    page.goto("/models/Retrieval")
    page.get_by_role("button", name="Compare answers").click()
    expect(page.locator(".pair").nth(2)).to_be_attached(timeout=WAIT_MS)
    page.locator("main").evaluate("each => { each.scrollTop = 0; }")


def problems(page: Page, change: int, is_narrow: bool) -> None:
    page.goto("/problems")
    page.get_by_role("button", name="Plan").click()
    expect(page.get_by_text("A backfill would make")).to_be_attached(timeout=WAIT_MS)
    page.locator("main").evaluate("each => { each.scrollTop = 0; }")


OPENED = {
    "graph": graph, "rows": rows, "change": change, "models": models, "problems": problems
}  # fmt: skip

if __name__ == "__main__":
    main()
