"""The dashboard, in a real browser: what it shows, what it does, by keyboard only, and that it speaks to everybody."""

from __future__ import annotations

import subprocess
import sys
import threading
import zipfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect

import motion
from motion.server import serve
from motion.server.access.roles import Role, Tokens, new_token
from tests.server.dashboard import shop
from tests.server.dashboard.conftest import WAIT_MS, Lively, learned

ROOT = Path(__file__).parents[3]

PAGES = ("/", "/?as=list", "/rows/product", "/changes", "/models/Retrieval", "/problems")


def pressed(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def focused(page: Page) -> str:
    """Return the `data-id` of what has the focus."""
    return str(page.evaluate("document.activeElement?.dataset?.id ?? ''"))


def tabbed_to(page: Page, wanted: str) -> None:
    """Go on with the tab key until something has the focus."""
    for _ in range(80):
        if focused(page) == wanted:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the tab key never comes to {wanted!r}")


def test_the_graph_shows_what_feeds_what_and_what_needs_somebody(
    store: motion.Store, page: Page
) -> None:
    shop.fill(store, 12)
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_have_text("At rest. One thing needs you.")
    expect(page.get_by_role("button", name="trigger summarise: has failed rows")).to_be_visible()
    expect(page.get_by_role("button", name="key product.vector")).to_be_visible()
    expect(page.get_by_role("button", name="model Retrieval: version 1 is live")).to_be_visible()
    expect(page.locator(".edge.searches").first).to_be_attached()
    expect(page.locator(".lane-note", has_text="12 rows")).to_be_visible()


def test_a_change_is_shown_without_a_reload(store: motion.Store, page: Page) -> None:
    shop.fill(store, 8, torn=0)
    page.goto("/changes")
    expect(page.locator("tbody tr").first).to_be_visible()
    change = store.set("query", query="red dress").wait(timeout=60)
    expect(page.get_by_role("row", name=f"query {change.id}")).to_contain_text("done")


def test_a_row_that_fails_is_told_on_every_page_without_a_reload(
    store: motion.Store, page: Page
) -> None:
    shop.fill(store, 8, torn=0)
    page.goto("/rows/product")
    expect(page.locator("tr[data-row]")).to_have_count(8)
    store.set("product", title="torn plum hat").wait(timeout=60, raise_errors=False)
    expect(page.get_by_role("navigation", name="Pages")).to_contain_text("Problems1")
    expect(page.get_by_role("button", name="The table has changed: read again")).to_be_visible()


def test_a_dead_letter_is_tried_again_by_keyboard_only(store: motion.Store, page: Page) -> None:
    shop.fill(store, 6, torn=1)
    page.goto("/")
    expect(page.get_by_role("button", name="trigger summarise: has failed")).to_be_visible()
    pressed(page, "p")
    expect(page.get_by_role("heading", level=1)).to_have_text("1 row failed")
    expect(page.locator("pre", has_text="Traceback")).to_contain_text("the page is torn")
    expect(page.locator("pre", has_text="title=")).to_contain_text("torn sand dress")
    shop.WEATHER.is_bad = False
    tabbed_to(page, f"retry {store.errors()[0].task}")
    pressed(page, "Enter")
    expect(page.get_by_role("dialog")).to_contain_text("called again with the same inputs")
    pressed(page, "Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Nothing needs you.")
    assert store.errors() == []
    assert store.get("product", 1).summary is not None


def test_chosen_rows_are_tried_again_together_and_the_others_stay(
    store: motion.Store, page: Page
) -> None:
    shop.fill(store, 6, torn=3)
    page.goto("/problems")
    expect(page.get_by_role("heading", level=1)).to_have_text("3 rows failed")
    shop.WEATHER.is_bad = False
    for row in ("id=1", "id=3"):
        page.get_by_role("checkbox", name=f"Choose {row}", exact=True).check()
    pressed(page, "Shift+Y")
    expect(page.get_by_role("dialog")).to_contain_text("Try 2 rows again?")
    pressed(page, "Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("1 row failed")
    assert [each.row for each in store.errors()] == ["id=2"]


def test_leaving_a_question_alone_changes_nothing(store: motion.Store, page: Page) -> None:
    shop.fill(store, 4, torn=1)
    page.goto("/problems")
    page.get_by_role("button", name="Try again").first.click()
    pressed(page, "Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert len(store.errors()) == 1


def test_a_version_is_promoted_and_gone_back_from_by_keyboard_only(
    store: motion.Store, page: Page
) -> None:
    shop.fill(store, 12, torn=0)
    learned(store)
    page.goto("/")
    expect(page.get_by_role("button", name="model Retrieval: version 2 is live")).to_be_visible()
    pressed(page, "m")
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text("Version 2 is live. Version 3 waits for you.")
    pressed(page, "j", "Shift+P")
    expect(page.get_by_role("dialog")).to_contain_text("Promote version 3?")
    pressed(page, "Enter")
    expect(heading).to_have_text("Version 3 is live.")
    assert store.status().versions["Retrieval"] == 3
    pressed(page, "Shift+R")
    expect(page.get_by_role("dialog")).to_contain_text("Roll back to 2?")
    pressed(page, "Enter")
    expect(heading).to_have_text("Version 2 is live.")
    assert store.status().versions["Retrieval"] == 2


def test_a_switch_of_versions_is_shown_without_a_reload(store: motion.Store, page: Page) -> None:
    shop.fill(store, 12, torn=0)
    learned(store)
    page.goto("/models/Retrieval")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Version 2 is live.")
    store.model("Retrieval").promote(3).wait(timeout=60)
    expect(page.get_by_role("heading", level=1)).to_have_text("Version 3 is live.")
    expect(page.locator("#spoken")).to_contain_text("Version 3 of Retrieval is live.")


def test_two_versions_answer_side_by_side(lively: Lively, looking: Page) -> None:
    looking.goto("/models/Retrieval")
    expect(looking.get_by_role("region", name="Side by side")).to_contain_text("mrr")
    expect(looking.get_by_role("region", name="Side by side")).to_contain_text(
        "Version 3 learned from"
    )
    looking.get_by_role("button", name="Compare answers").click()
    expect(looking.locator(".pair")).to_have_count(3)
    expect(looking.locator(".pair").first.locator("img").first).to_be_visible()


def test_a_changes_course_shows_each_run_and_where_a_value_came_from(
    lively: Lively, looking: Page
) -> None:
    looking.goto(f"/changes/{lively.change}")
    runs = looking.get_by_role("treegrid", name="Runs, in time")
    for name in ("suggest", "retrieve", "recommend"):
        expect(runs).to_contain_text(name)
    pressed(looking, "ArrowDown", "Enter")
    expect(looking.locator(".origin")).to_contain_text("given from outside")
    expect(looking.locator(".origin")).to_contain_text("rainy hat")


def test_a_row_shows_every_key_its_picture_and_its_origin(lively: Lively, looking: Page) -> None:
    looking.goto("/rows/product")
    expect(looking.locator("tr[data-row]").first.locator("img")).to_be_visible()
    expect(looking.locator("tr[data-row] svg.plot").first).to_be_visible()
    pressed(looking, "j", "j", "j", "Enter")
    side = looking.get_by_role("complementary", name="Row")
    expect(side).to_contain_text("A sand bag, made up for this page.")
    side.get_by_role("button", name="Where summary came from").click()
    expect(side.locator(".origin")).to_contain_text("made by summarise")


def test_rows_are_filtered_and_a_bad_filter_says_what_is_wrong(
    lively: Lively, looking: Page
) -> None:
    looking.goto("/rows/product")
    field = looking.get_by_role("textbox", name="Filter, as SQL")
    field.fill("price > 16")
    field.press("Enter")
    expect(looking.locator("tr[data-row]")).to_have_count(3)
    assert "where=price" in looking.url
    field.fill("no_such > 18")
    field.press("Enter")
    expect(looking.get_by_role("alert")).to_contain_text("no_such")


class Late:
    """The first answer to an address, held back until it is let go: behind those to later questions."""

    def __init__(self, page: Page, address: str) -> None:
        self._page, self._held = page, list[Route]()
        page.route(address, self._take)

    def _take(self, route: Route) -> None:
        if self._held:
            route.continue_()
        else:
            self._held.append(route)

    def arrive(self) -> None:
        with self._page.expect_response(self._held[0].request.url) as answer:
            self._held[0].continue_()
        answer.value.finished()
        self._page.evaluate("() => new Promise((drawn) => setTimeout(() => setTimeout(drawn)))")


def test_an_answer_that_comes_late_is_not_taken_for_that_of_a_later_question(
    lively: Lively, looking: Page
) -> None:
    late = Late(looking, "**/v1/tables/product/rows?*")
    looking.goto("/rows/product")
    field = looking.get_by_role("textbox", name="Filter, as SQL")
    field.fill("price > 16")
    field.press("Enter")
    expect(looking.locator("tr[data-row]")).to_have_count(3)
    late.arrive()
    assert looking.locator("tr[data-row]").count() == 3

    row = Late(looking, "**/v1/tables/product/row?*")
    side, lines = looking.get_by_role("complementary", name="Row"), looking.locator("tr[data-row]")
    lines.nth(0).click()
    lines.nth(1).click()
    name, chosen = side.locator("h2.named"), lines.nth(1).locator("td").first.inner_text()
    expect(name).to_have_text(chosen)
    row.arrive()
    assert name.inner_text() == chosen

    origin = Late(looking, "**/v1/tables/product/explain?*")
    side.get_by_role("button", name="Where title came from").click()
    side.get_by_role("button", name="Where summary came from").click()
    expect(side.locator(".origin")).to_contain_text("made by summarise")
    origin.arrive()
    assert "made by summarise" in side.locator(".origin").inner_text()


def test_labels_that_come_late_are_not_shown_as_another_versions(
    lively: Lively, looking: Page
) -> None:
    looking.goto("/models/Retrieval")
    beside = looking.get_by_role("region", name="Side by side")
    expect(beside).to_contain_text("Version 3 learned from")
    late = Late(looking, "**/v1/models/Retrieval/labels?*")
    for number in (1, 2):
        looking.locator(f"[data-id='version {number}']").click()
    expect(beside).to_contain_text("Version 2 learned from")
    expect(beside.locator("a.tile")).to_have_count(8)
    late.arrive()
    assert beside.locator("a.tile").count() == 8
    assert "Version 2 learned from" in beside.inner_text()


def test_stale_rows_are_told_with_a_plan_and_remade(store: motion.Store, page: Page) -> None:
    shop.fill(store, 10, torn=0)

    @motion.trigger(on="product.title", sets="product.summary", name="summarise", version="2")
    def again(title: str) -> str:
        return f"{title}, in other words"

    others = [each for each in shop.triggers() if each is not shop.summarise]
    folder = store._database.backend.folder
    motion.create_store(
        "shop", schemas=shop.TABLES, triggers=[again, *others], url=f"sqlite:///{folder}"
    )
    page.goto("/rows/product")
    expect(page.locator("tr[data-row] td[data-key=summary] .ring")).to_have_count(10)
    expect(page.locator("tr[data-row] td:not([data-key=summary]) .ring")).to_have_count(0)
    page.goto("/problems")
    page.get_by_role("button", name="Plan").click()
    expect(page.get_by_text("A backfill would make 10 rows again (10 stale")).to_be_visible()
    page.get_by_role("button", name="Remake 10 rows").click()
    pressed(page, "Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Nothing needs you.")
    assert store.get("product", 1).summary == "sand dress, in other words"
    page.goto("/rows/product")
    expect(page.locator("tr[data-row]")).to_have_count(10)
    expect(page.locator("#live")).to_contain_text("live")
    expect(page.locator(".ring")).to_have_count(0)


def test_anything_is_found_by_its_name(lively: Lively, looking: Page) -> None:
    looking.goto("/")
    expect(looking.locator("svg .node").first).to_be_visible()
    pressed(looking, "/")
    looking.keyboard.type("retr")
    expect(looking.get_by_role("option").first).to_be_visible()
    looking.keyboard.type("ieval")
    expect(looking.get_by_role("option", name="Retrieval model")).to_be_visible()
    looking.get_by_role("option", name="Retrieval model").click()
    expect(looking.get_by_role("heading", level=1)).to_contain_text("Version 2 is live.")


def test_the_graph_is_walked_along_its_edges_by_keyboard(lively: Lively, looking: Page) -> None:
    looking.goto("/")
    expect(looking.locator("svg .node").first).to_be_visible()
    tabbed_to(looking, "key query.query")
    pressed(looking, "ArrowRight", "ArrowRight", "ArrowRight", "Enter")
    assert focused(looking) == "trigger Retrieval.retrieve"
    expect(looking.get_by_role("complementary", name="retrieve")).to_contain_text("product.vector")
    pressed(looking, "f")
    expect(looking.locator(".graph.only-pick")).to_have_count(1)
    beside = looking.locator(
        '.flow[data-to="trigger summarise"]'
    )  # work that flows there is not drawn either
    expect(beside).to_have_css("visibility", "hidden")
    expect(looking.locator('.flow[data-to="trigger suggest"]')).to_have_css("visibility", "visible")


CROSSED = """() => {
    const ends = path => [path.dataset.from, path.dataset.to];
    const boxes = [...document.querySelectorAll("svg .node")].map(node => {
        const { x, y, width, height } = node.querySelector("rect").getBBox();
        return { id: node.dataset.id, x: x + 1, y: y + 1, right: x + width - 1, low: y + height - 1 };
    });
    return [...document.querySelectorAll("svg .edge:not(.head)")].flatMap(path => {
        const points = Array.from({ length: Math.ceil(path.getTotalLength() / 2) }, (_, i) => path.getPointAtLength(2 * i));
        const isIn = box => points.some(({ x, y }) => box.x < x && x < box.right && box.y < y && y < box.low);
        return boxes.filter(box => !ends(path).includes(box.id) && isIn(box)).map(box => [...ends(path), box.id].join(" | "));
    });
}"""
"""Lines that run through a node which they neither leave nor come to."""


def test_no_line_runs_behind_what_it_has_nothing_to_do_with(looking: Page) -> None:
    looking.goto("/?as=graph")
    expect(looking.locator("svg .edge.uses").first).to_be_attached()
    expect(looking.locator("svg .edge.looks-up").first).to_be_attached()
    assert looking.evaluate(CROSSED) == []


def test_what_is_stored_is_never_taken_for_code(store: motion.Store, page: Page) -> None:
    evil = '<img src=x onerror="document.title=1"><script>document.title=1</script>'
    store.set("product", title=f"torn {evil}").wait(timeout=60, raise_errors=False)
    store.set("query", query=evil).wait(timeout=60, raise_errors=False)
    for path in ("/rows/product", "/rows/query", "/problems", "/changes"):
        page.goto(path)
        expect(page.locator("table").first).to_be_visible()
    page.goto('/rows/product?row={"id":1,"pages":{}}')
    expect(page.get_by_role("complementary", name="Row")).to_contain_text("<script>")
    assert page.locator("img[src=x]").count() == 0
    assert page.title() == "Rows, shop"


@pytest.mark.parametrize(
    ("theme", "paths"),
    [("light", PAGES), ("dark", ("/", "/models/Retrieval"))],
    ids=["light", "dark"],
)
def test_axe_finds_nothing_serious(
    lively: Lively, browser: Browser, theme: Literal["light", "dark"], paths: tuple[str, ...]
) -> None:
    context = browser.new_context(base_url=lively.url, color_scheme=theme, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    for path in (*paths, f"/changes/{lively.change}", '/rows/query?row={"id":1,"pages":{}}'):
        page.goto(path)
        expect(page.locator("#live")).to_contain_text("live")
        expect(page.locator("main h1")).to_be_visible()
        found = Axe().run(page).response["violations"]
        serious = [each for each in found if each["impact"] in ("serious", "critical")]
        told = [
            (each["id"], [node["html"][:120] for node in each["nodes"][:3]]) for each in serious
        ]
        assert told == [], f"{path} in {theme}"
    context.close()


def test_on_a_narrow_screen_nothing_hangs_over(lively: Lively, browser: Browser) -> None:
    context = browser.new_context(base_url=lively.url, viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    for path in (*PAGES, f"/changes/{lively.change}"):
        page.goto(path)
        expect(page.locator("#live")).to_contain_text("live")
        over = page.evaluate(
            "[document.documentElement, document.body, document.querySelector('main')].map(e => e.scrollWidth - e.clientWidth)"
        )
        assert max(over) <= 0, path
    context.close()


def test_a_reader_sees_neither_secrets_nor_tracebacks_and_is_offered_no_change(
    store: motion.Store, browser: Browser
) -> None:
    shop.fill(store, 4, torn=1)
    store.set("query", query="hat", api_key="k-123").wait(timeout=60)
    text, token = new_token("reader", Role.READ)
    with serve(store, port=0, tokens=Tokens([token])) as serving:
        context = browser.new_context(base_url=serving.url)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.goto("/problems")
        page.get_by_label("Token").fill(text)
        page.get_by_role("button", name="Enter").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(page.get_by_role("heading", level=1)).to_have_text("1 row failed")
        expect(page.get_by_text("ValueError").first).to_be_visible()
        assert page.get_by_role("button", name="Try again").count() == 0
        assert "Traceback" not in page.content()
        assert "torn sand" not in page.content()
        page.goto("/rows/query")
        expect(page.locator(".secret").first).to_be_visible()
        assert "k-123" not in page.content()
        context.close()


def test_no_number_looks_alive_when_the_server_is_gone(
    store: motion.Store, browser: Browser
) -> None:
    shop.fill(store, 4, torn=0)
    context = browser.new_context()
    page = context.new_page()
    with serve(store, port=0) as serving:
        page.goto(serving.url)
        expect(page.locator("#live")).to_have_text("live", timeout=WAIT_MS)
    expect(page.locator("#live.is-late")).to_contain_text("no news for", timeout=WAIT_MS)
    expect(page.locator("body.is-late")).to_have_count(1)
    context.close()


@dataclass
class Number:
    id: int
    n: int
    double: int | None = None


def test_it_stays_quick_while_a_thousand_changes_a_second_come_in(browser: Browser) -> None:
    """What is drawn is bounded, whatever comes: twenty changes of all that there were."""

    @motion.trigger(on="number.n", sets="number.double", inline=True)
    def double(n: int) -> int:
        return 2 * n

    store = motion.create_store(
        "numbers",
        schemas={"number": Number},
        triggers=[double],
        url=":memory:",
        durability="normal",
    )
    stop, sent = threading.Event(), 0

    def send() -> None:
        nonlocal sent
        while not stop.is_set():
            store.set("number", n=sent)
            sent += 1

    with store, serve(store, port=0) as serving:
        sender = threading.Thread(target=send)
        sender.start()
        page = browser.new_context(base_url=serving.url).new_page()
        page.set_default_timeout(WAIT_MS)
        page.goto("/changes")
        expect(page.get_by_text("drawn. Any change").first).to_be_visible(timeout=WAIT_MS)
        first = page.locator("tbody a").first.text_content()
        expect(page.locator("tbody a").first).not_to_have_text(first or "", timeout=WAIT_MS)
        assert page.locator("tbody tr").count() == 20
        events = page.evaluate(
            """async () => { const answer = await fetch("/v1/live/events"); const reader = answer.body.getReader();
            const { value } = await reader.read(); await reader.cancel(); return value.length; }"""
        )
        stop.set()
        sender.join()
        page.context.close()
    assert events < 40_000
    assert sent > 20


def static_files() -> dict[str, str]:
    folder = files("motion.server.dashboard") / "static"
    return {each.name: each.read_text(encoding="utf-8") for each in folder.iterdir()}


def test_the_page_needs_nothing_from_elsewhere_and_parses_no_text_as_code() -> None:
    found = static_files()
    named = {
        line.split('"')[-2].rpartition("/")[2]
        for name, text in found.items()
        for line in text.splitlines()
        if name.endswith(".js") and line.startswith("import ")
    }
    assert named <= set(found)
    for name, text in found.items():
        outside = [word for word in text.split() if "://" in word and "www.w3.org" not in word]
        assert outside == [], name
        assert not any(word in text for word in ("innerHTML", "outerHTML", "eval(")), name


def test_the_wheel_holds_every_file_of_the_page(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    held = {each.rpartition("/")[2] for each in names if "/dashboard/static/" in each}
    assert held == set(static_files())
    assert {"index.html", "main.js", "graph.js", "tokens.css"} <= held
