"""A browser and a shop to look at with it. A machine without a browser skips these tests by name; CI has one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

import motion
from motion.server import serve
from tests.server.dashboard import shop

WAIT_MS = 60_000
"""A condition is waited for, not a time: on a busy machine a page may take its time."""

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)

FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-dev-shm-usage"]


@pytest.fixture(scope="module")  # while it is open, an event loop runs in this thread
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here; 'apt-get install chromium' brings it")
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=WAIT_MS)
        yield found
        found.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[motion.Store]:
    opened = shop.open_shop(f"sqlite:///{tmp_path}")
    yield opened
    shop.WEATHER.may_go_on.set()
    opened.close()


@pytest.fixture
def url(store: motion.Store) -> Iterator[str]:
    with serve(store, port=0) as serving:
        yield serving.url


@dataclass(frozen=True)
class Lively:
    """A shop with some of everything, to be looked at only.

    Attributes:
        change: one with a whole cascade.
    """

    store: motion.Store
    url: str
    change: int


def learned(store: motion.Store) -> int:
    """Let a second version go live, and a third one wait for a person; return a change with a whole cascade."""
    shop.ask(store, "beach dress")
    change = store.set("query", query="rainy hat").wait(timeout=60, raise_errors=False)
    shop.like(store, 8)
    store.model("Retrieval").fit().wait(timeout=60)
    store.model("Retrieval").promote(2).wait(timeout=60)
    shop.like(store, 14)
    store.model("Retrieval").fit().wait(timeout=60)
    return change.key


@pytest.fixture(scope="module")
def lively(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lively]:
    opened = shop.open_shop(f"sqlite:///{tmp_path_factory.mktemp('lively')}")
    shop.fill(opened, 10, torn=2)
    change = learned(opened)
    with opened, serve(opened, port=0) as serving:
        yield Lively(opened, serving.url, change)


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    """A page of its own, on which nothing may go wrong unseen."""
    with watched(browser, url) as opened:
        yield opened


@pytest.fixture
def looking(browser: Browser, lively: Lively) -> Iterator[Page]:
    with watched(browser, lively.url) as opened:
        yield opened


@contextmanager
def watched(browser: Browser, url: str) -> Iterator[Page]:
    context = browser.new_context(base_url=url, viewport={"width": 1280, "height": 860})
    context.set_default_timeout(WAIT_MS)
    opened, wrong = context.new_page(), list[str]()
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda told: wrong.append(told.text) if told.type == "error" else None)
    yield opened
    context.close()
    unexpected = [each for each in wrong if "Failed to load resource" not in each]
    assert unexpected == []
