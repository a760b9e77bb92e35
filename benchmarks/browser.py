"""The dashboard in a real browser: how soon something is seen, and when it is what was asked for."""

from __future__ import annotations

import shutil
import statistics
import time

from benchmarks.http import served
from benchmarks.machine import Figure

ROWS, OPENINGS = 1_000_000, 10

PAGES = {
    "/": "svg .node", "/rows/item": "tr[data-row]", "/changes": "main tbody tr, main .note", "/models": "h1",
    "/problems": "h1:not(:text('Problems'))",
}  # fmt: skip
"""Each page, and what is there when its content is."""

FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-dev-shm-usage"]

PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 1e6"


def first_paint() -> list[Figure]:
    """Pages opened anew one after the other, each by a browser that has nothing of them, of a store with a large table."""
    from playwright.sync_api import sync_playwright

    painted, there = list[float](), list[float]()
    with served(rows=ROWS) as (port, _), sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=FLAGS, timeout=60_000
        )
        for _ in range(OPENINGS):
            for path, content in PAGES.items():
                context = browser.new_context(viewport={"width": 1400, "height": 860})
                page = context.new_page()
                page.set_default_timeout(60_000)
                began_s = time.perf_counter()
                page.goto(f"http://127.0.0.1:{port}{path}")
                page.wait_for_selector(content)
                there.append(time.perf_counter() - began_s)
                painted.append(page.evaluate(PAINTED) / 1e3)
                context.close()
        browser.close()
    what = f"dashboard with a table of {ROWS:,} rows, {len(painted)} openings of {len(PAGES)} pages"
    return [
        Figure(f"{what}: first paint, median", first, "s", longest, first / longest, "of the longest", "≤ 1 s", "")
        if place == 0 else
        Figure("the same: until its content is there, median", first, "s", longest, first / longest, "of the longest", "", "")
        for place, (first, longest) in enumerate((statistics.median(each), max(each)) for each in (painted, there))
    ]  # fmt: skip
