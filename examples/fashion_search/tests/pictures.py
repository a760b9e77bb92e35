"""The pictures of the shop in `docs/images`, made anew, over a copy of a store that `make app` has made:
`python -m tests.pictures STORE ../../docs/images`."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, Page, expect, sync_playwright

import motion
from fashion_search.pipeline import open_store
from fashion_search.web import create_shop
from motion.server import serve

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-dev-shm-usage"]
WAIT_MS = 120_000

WIDE, NARROW = {"width": 1360, "height": 900}, {"width": 390, "height": 844}


def main(store_folder: str, pictures: str) -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        copy = Path(
            shutil.copytree(
                store_folder,
                Path(folder) / "shop.motion",
                ignore=shutil.ignore_patterns("listeners"),
            )
        )
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        with (
            open_store(copy) as store,
            serve(store, port=0, app=create_shop(store)) as serving,
        ):
            for name, theme, size in (
                ("fashion-shop", "light", WIDE), ("fashion-shop-dark", "dark", WIDE), ("fashion-shop-narrow", "light", NARROW),
            ):  # fmt: skip
                looks: Literal["light", "dark"] = "dark" if theme == "dark" else "light"
                draw(browser, serving.url, store, looks, size, Path(pictures) / f"{name}.png")
        browser.close()


def draw(
    browser: Browser, url: str, store: motion.Store, theme: Literal["light", "dark"], size: Any, to: Path
) -> None:  # fmt: skip
    context = browser.new_context(base_url=url, color_scheme=theme, viewport=size, reduced_motion="reduce")  # fmt: skip
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    page.goto("/?q=red+dress+for+women")
    expect(page.locator("#main")).to_have_attribute("aria-busy", "false", timeout=WAIT_MS)
    for row, card, says in ((0, 0, "I like it"), (0, 2, "Not for me"), (1, 1, "I like it")):
        said(page, row, card, says)
    store.model("ImageRetrieval").fit()
    if size == WIDE:
        expect(page.locator("#learning li.now")).to_be_visible(timeout=WAIT_MS)
    else:
        expect(page.locator("#pill")).to_contain_text("being made", timeout=WAIT_MS)
    if size == WIDE:
        page.locator(".row").nth(0).locator(".card").nth(4).hover()
    page.screenshot(path=to)
    context.close()
    store.wait(timeout=600)
    print(to.name)


def said(page: Page, row: int, card: int, what: str) -> None:
    """Say what one thinks of a card."""
    place = page.locator(".row").nth(row).locator(".card[data-product]").nth(card)
    place.locator("img").evaluate("image => image.decode()")
    place.hover()
    place.get_by_role("button", name=what).click()
    expect(page.locator("#spoken")).to_contain_text("Noted", timeout=WAIT_MS)


if __name__ == "__main__":
    main(*sys.argv[1:])
