"""The shop, over HTTP and in a real browser: answers while they are made, likes, versions, keys, and that it speaks to everybody."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import httpx2
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

import motion
from fashion_search.answers import answer_of, ask
from fashion_search.catalogs import drawn_catalogs
from fashion_search.heads import Recipe
from fashion_search.ingest import ingest
from fashion_search.pipeline import FIT_EVERY, LanguageModel, RetailerSchema, open_store
from fashion_search.web import create_shop
from motion.server import serve

if TYPE_CHECKING:
    from tests.conftest import IdeaServer

WAIT_MS = 60_000
OCCASION = "what to wear to a beach wedding"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


@dataclass(frozen=True)
class Open:
    """A shop that is open."""

    store: motion.Store
    url: str


@contextmanager
def opened(folder: Path, language_model: LanguageModel | None = None) -> Iterator[Open]:
    recipe = Recipe(epochs=1, rate=3e-2)
    with (
        open_store(
            folder, durability="normal", recipe=recipe, language_model=language_model
        ) as store,
        serve(store, port=0, app=create_shop(store)) as serving,
    ):
        yield Open(store, serving.url)


@pytest.fixture(scope="module")
def looked_at(drawn_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    """A shop that is looked at only."""
    folder = tmp_path_factory.mktemp("looked") / "shop.motion"
    with opened(Path(shutil.copytree(drawn_store, folder))) as shop:
        yield shop


@pytest.fixture
def shop(a_store: Path) -> Iterator[Open]:
    with opened(a_store) as found:
        yield found


@pytest.fixture
def client(looked_at: Open) -> Iterator[httpx2.Client]:
    """Somebody who has seen the page."""
    with visiting(looked_at) as found:
        yield found


@contextmanager
def visiting(shop: Open) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=shop.url, timeout=60) as found:
        assert found.get("/").status_code == 200
        yield found


def answered(client: httpx2.Client, query: str, **narrowed: str) -> list[tuple[str, Any]]:
    """Ask, and return the events of the answer."""
    return list(telling(client, query, **narrowed))


def telling(client: httpx2.Client, query: str, **narrowed: str) -> Iterator[tuple[str, Any]]:
    """Ask, and give the events of the answer as they come."""
    asked = client.post("/api/questions", json={"query": query, **narrowed})
    assert asked.status_code == 200, asked.text
    begun = asked.json()
    with client.stream(
        "GET", f"/api/questions/{begun['id']}/events", params={"change": begun["change"]}
    ) as stream:
        name = ""
        for line in stream.iter_lines():
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                yield name, json.loads(value)


def found_cards(events: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    return [told["card"] for name, told in events if name == "found"]


def a_photo(red: int = 200) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (80, 80), (red, 30, 30)).save(file, "PNG")
    return file.getvalue()


# -- over HTTP --


def test_ideas_come_one_by_one_and_each_before_its_pictures(client: httpx2.Client) -> None:
    events = answered(client, OCCASION)
    ideas = [told["idea"] for name, told in events if name == "idea"]
    assert ideas == sorted(ideas)
    assert len(ideas) > 2
    known = set[int]()
    for name, told in events[:-1]:
        if name == "idea":
            known.add(told["idea"])
        else:
            assert told["idea"] in known
    assert events[-1] == ("end", {"failed": 0, "foreign": False})


def test_an_idea_is_shown_while_the_model_still_speaks(
    a_store: Path, idea_server: IdeaServer
) -> None:
    idea_server.goes_on.clear()
    with (
        opened(a_store, LanguageModel(idea_server.url, "tiny")) as shop,
        visiting(shop) as client,
    ):
        for name, told in telling(client, OCCASION):
            if (name, told.get("text")) == ("idea", idea_server.ideas[0]):
                assert not idea_server.goes_on.is_set()
                idea_server.goes_on.set()  # it says no more until its first idea has been seen
            elif name == "idea":
                last = told["text"]
    assert last == idea_server.ideas[-1]


def test_the_stream_tells_what_the_store_holds(looked_at: Open, client: httpx2.Client) -> None:
    events = answered(client, "red dress for women")
    expected = answer_of(looked_at.store, ask(looked_at.store, "red dress for women"))
    ids = [each.product.id for found in expected.values() for each in found]
    assert sorted(card["id"] for card in found_cards(events)) == sorted(ids)
    assert {told["version"] for name, told in events if name == "found"} == {1}


@pytest.mark.parametrize(
    ("key", "value"), [("retailer", "REVOLVE"), ("colour", "black"), ("kind", "tops")]
)
def test_filters_hold_for_every_answer(client: httpx2.Client, key: str, value: str) -> None:
    shown = {"retailer": "shop"}.get(key, key)
    for query in ("shirt", "black dress", "jeans"):
        for card in found_cards(answered(client, query, **{key: value})):
            assert card[shown] == value
    assert found_cards(answered(client, "shirt", **{key: value}))


def test_what_is_no_filter_is_refused(client: httpx2.Client) -> None:
    bad = client.post("/api/questions", json={"query": "dress", "id = 1 OR 1": "1"})
    assert bad.status_code == 422
    assert client.post("/api/questions", json={"query": " "}).status_code == 422


def test_another_shoppers_question_is_nobody_elses(looked_at: Open, client: httpx2.Client) -> None:
    begun = client.post("/api/questions", json={"query": "dress"}).json()
    with visiting(looked_at) as other:
        found = other.get(
            f"/api/questions/{begun['id']}/events", params={"change": begun["change"]}
        )
    assert found.status_code == 404


def test_a_stream_that_has_ended_is_not_begun_again(client: httpx2.Client) -> None:
    begun = client.post("/api/questions", json={"query": "dress"}).json()
    path = f"/api/questions/{begun['id']}/events"
    again = client.get(path, params={"change": begun["change"]}, headers={"last-event-id": "end"})
    assert again.status_code == 204


def test_a_picture_finds_what_looks_like_it_and_is_not_kept(
    shop: Open,
) -> None:
    [product] = shop.store.rows(RetailerSchema, limit=1)
    with visiting(shop) as client:
        before = shop.store.status().last_change
        found = client.post("/api/like-picture", content=product.image).json()
        assert found["cards"][0]["id"] == product.id
        assert shop.store.status().last_change == before


def test_what_is_no_picture_is_told_so(client: httpx2.Client) -> None:
    assert client.post("/api/like-picture", content=b"<html>").status_code == 415


def test_more_like_this_is_like_it_and_not_itself(looked_at: Open, client: httpx2.Client) -> None:
    [product] = looked_at.store.rows(RetailerSchema, where={"kind": "dresses"}, limit=1)
    cards = client.post("/api/like-this", json={"product": product.id}).json()["cards"]
    assert len(cards) > 10
    assert product.id not in [card["id"] for card in cards]
    narrowed = {"product": product.id, "kind": "dresses"}
    same = client.post("/api/like-this", json=narrowed).json()["cards"]
    assert {card["kind"] for card in same} == {"dresses"}
    assert client.post("/api/like-this", json={"product": 10**9}).status_code == 404


def test_a_like_teaches_the_encoders_and_the_taste_and_can_be_taken_back(shop: Open) -> None:
    with visiting(shop) as client:
        events = answered(client, "red dress for women")
        told = next(told for name, told in events if name == "found")
        said = {"product": told["card"]["id"], "answer": told["answer"]}
        query, idea, place = map(int, told["answer"].split("."))

        def kept() -> tuple[Any, Any]:
            shop.store.wait(timeout=60)
            row = shop.store.get("query", query, text_suggestion_page=idea, img_id_page=place)
            [shopper] = shop.store.rows("shopper") or [None]
            return row.feedback, shopper and shopper.taste

        assert client.post("/api/opinions", json={**said, "liked": True}).json() == {"liked": 1}
        feedback, taste = kept()
        assert feedback is True
        assert taste[f"id:{said['product']}"] == [1, 0]
        client.post("/api/opinions", json={**said, "liked": False})
        feedback, taste = kept()
        assert feedback is False
        assert taste[f"id:{said['product']}"] == [0, 1]
        client.post("/api/opinions", json={**said, "liked": None})
        assert kept() == (None, None)


def test_nobody_judges_an_answer_that_was_given_to_another(shop: Open) -> None:
    with visiting(shop) as client, visiting(shop) as other:
        told = next(told for name, told in answered(client, "dress") if name == "found")
        said = {"product": told["card"]["id"], "answer": told["answer"], "liked": False}
        other.post("/api/opinions", json=said)
        query, idea, place = map(int, told["answer"].split("."))
        row = shop.store.get("query", query, text_suggestion_page=idea, img_id_page=place)
    assert row.feedback is None


def test_pictures_are_small_and_encoded_anew(looked_at: Open, client: httpx2.Client) -> None:
    [product] = looked_at.store.rows(RetailerSchema, limit=1)
    answer = client.get(f"/pictures/{product.id}")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content != product.image
    assert max(Image.open(io.BytesIO(answer.content)).size) <= 360
    assert client.get("/pictures/999999").status_code == 404


def test_the_page_runs_nothing_but_its_own_files(client: httpx2.Client) -> None:
    policy = client.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for path in ("/v1/status", "/v1/sql", "/openapi.json", "/assets/..%2fpage.py"):
        assert client.get(path).status_code == 404, path


def test_pages_of_other_sites_are_not_answered(client: httpx2.Client) -> None:
    said = {"product": 1, "liked": True}
    told = client.post("/api/opinions", json=said, headers={"origin": "https://evil.example"})
    assert told.status_code == 403
    assert client.get("/", headers={"host": "evil.example"}).status_code == 421


# -- in a browser --


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here; 'apt-get install chromium' brings it")
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-background-networking", "--disable-dev-shm-usage"]
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=flags, timeout=WAIT_MS)
        yield found
        found.close()


@contextmanager
def watched(browser: Browser, shop: Open, **options: Any) -> Iterator[Page]:
    """Give a page, on which nothing may go wrong unseen."""
    context = browser.new_context(base_url=shop.url, reduced_motion="reduce", **options)
    context.set_default_timeout(WAIT_MS)
    page, wrong = context.new_page(), list[str]()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda told: wrong.append(told.text) if told.type == "error" else None)
    yield page
    context.close()
    assert wrong == []


def has_answered(page: Page) -> None:
    expect(page.locator("#main")).to_have_attribute("aria-busy", "false")
    expect(page.locator(".card[data-product]").first).to_be_visible()


def test_a_search_shows_ideas_pictures_links_and_the_version_that_answered(
    looked_at: Open, browser: Browser
) -> None:
    with watched(browser, looked_at) as page:
        page.goto("/")
        page.get_by_role("link", name=OCCASION).click()
        has_answered(page)
        assert page.locator(".idea").count() > 2
        expect(page.locator("#told")).to_contain_text("found by version 1")
        expect(page.locator("#learning")).to_contain_text("Version 1 answers")
        link = page.locator("a.image").first
        assert (link.get_attribute("href") or "").startswith("https://www.")
        assert link.get_attribute("rel") == "noopener noreferrer nofollow"
        page.get_by_role("button", name="Revolve").click()
        has_answered(page)
        assert "shop=REVOLVE" in page.url
        for text in page.locator(".card[data-product] p").all_inner_texts():
            assert "Revolve" in text
        page.go_back()
        expect(page.get_by_role("button", name="All shops")).to_have_attribute(
            "aria-pressed", "true"
        )


def test_a_like_leads_to_a_fit_and_its_version_is_shown_without_a_reload(
    shop: Open, browser: Browser
) -> None:
    given = []
    for query in ("dress", "shirt", "jeans", "t-shirt", "skirt", "red dress for women"):
        answer = answer_of(shop.store, ask(shop.store, query))
        given += [each.row for found in answer.values() for each in found]
    with shop.store.transaction() as tx:
        for place, row in enumerate(given[: FIT_EVERY - 1]):
            tx.set(row, feedback=place % 2 == 0)
    with watched(browser, shop) as page:
        page.goto("/?q=black+shirt")
        has_answered(page)
        learning = page.locator("#learning")
        expect(learning).to_contain_text("After 1 more like or dislike")
        page.locator(".card[data-product]").first.get_by_role("button", name="I like it").click()
        expect(learning).to_contain_text("Version 2 was not better beyond chance, so 1 stays")
        expect(page.locator("#liked")).to_have_text("1")
        shop.store.model("ImageRetrieval").promote(2).wait(timeout=60)
        expect(page.locator("#switched")).to_contain_text("Version 2 answers now.")
        expect(page.locator("#told")).to_contain_text("found by version 1")
        page.get_by_role("button", name="Look again").click()
        expect(page.locator("#told")).to_contain_text("found by version 2")


def test_what_became_of_a_version_is_said_in_words_that_people_use(
    looked_at: Open, browser: Browser
) -> None:
    newest = {
        "number": 2,
        "status": "refused",
        "pairs": 540,
        "gain": -0.0072,
        "low": -0.015,
        "high": -0.0001,
    }
    told = {
        "live": 1,
        "live_from": None,
        "step": None,
        "labels": 0,
        "wanted": 24,
        "products": 900,
        "newest": newest,
    }
    with watched(browser, looked_at) as page:
        body = f"event: learning\ndata: {json.dumps(told)}\n\n"
        page.route(
            "**/api/learning/events",
            lambda route: route.fulfill(content_type="text/event-stream", body=body),
        )
        page.goto("/")
        became = page.locator("#learning .became")
        expect(became).to_contain_text("it was 0.7 points worse (95 % sure: −1.5 to +0.0).")


TURN = """is_hidden => {
    Object.defineProperty(document, "hidden", { value: is_hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_a_tab_that_was_not_looked_at_is_up_to_date_again(shop: Open, browser: Browser) -> None:
    with watched(browser, shop) as page:
        page.goto("/?q=shirt")
        has_answered(page)
        learning = page.locator("#learning")
        expect(learning).to_contain_text(f"After {FIT_EVERY} more likes or dislikes")
        page.evaluate(TURN, True)
        page.evaluate(TURN, False)
        page.locator(".card[data-product]").first.get_by_role("button", name="I like it").click()
        expect(learning).to_contain_text(f"After {FIT_EVERY - 1} more likes or dislikes")


def test_a_dislike_fades_in_place_and_is_undone(shop: Open, browser: Browser) -> None:
    with watched(browser, shop) as page:
        page.goto("/?q=shirt")
        has_answered(page)
        cards = page.locator(".card[data-product]").count()
        first = page.locator(".card[data-product]").first
        first.hover()
        first.get_by_role("button", name="Not for me").click()
        expect(first).to_have_attribute("data-liked", "false")
        expect(page.locator("#spoken")).to_have_text("Noted: not for you")
        assert page.locator(".card[data-product]").count() == cards
        first.get_by_role("button", name="Undo").click()
        expect(page.locator("#spoken")).to_have_text("Taken back")
        shop.store.wait(timeout=60)
        assert shop.store.rows("opinion") == []


def test_on_a_phone_a_card_that_is_liked_keeps_its_two_buttons(
    shop: Open, browser: Browser
) -> None:
    with watched(browser, shop, viewport={"width": 390, "height": 844}) as page:
        page.goto("/?q=shirt")
        has_answered(page)
        first = page.locator(".card[data-product]").first
        first.get_by_role("button", name="I like it").click()
        page.locator("#q").click()  # it has the focus no more
        expect(first).to_have_attribute("data-liked", "true")
        expect(first.locator(".actions button:visible")).to_have_count(2)


def test_everything_is_done_by_keys(shop: Open, browser: Browser) -> None:
    with watched(browser, shop) as page:
        page.goto("/")
        expect(page.locator(".welcome")).to_be_visible()
        page.keyboard.press("/")
        page.keyboard.type("shirt")
        page.keyboard.press("Enter")
        has_answered(page)
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.closest('.card') !== null"):
                break
        page.keyboard.press("ArrowRight")
        page.keyboard.press("l")
        second = page.locator(".card[data-product]").nth(1)
        expect(second).to_have_attribute("data-liked", "true")
        page.keyboard.press("x")
        expect(second).to_have_attribute("data-liked", "false")
        page.keyboard.press("m")
        expect(page.locator(".idea h2")).to_contain_text("Looks like")
        assert "like=" in page.url


def test_a_picture_is_searched_with(looked_at: Open, browser: Browser) -> None:
    with watched(browser, looked_at) as page:
        page.goto("/")
        photo = {"name": "mine.png", "mimeType": "image/png", "buffer": a_photo()}
        page.locator("#picture").set_input_files(photo)  # type: ignore[arg-type]
        expect(page.locator(".idea h2")).to_have_text("Looks like your picture")
        expect(page.locator(".card[data-product]").first).to_be_visible()


def test_where_nothing_fits_the_way_out_is_offered(looked_at: Open, browser: Browser) -> None:
    with watched(browser, looked_at) as page:
        page.goto("/?q=iphone+charger&shop=REVOLVE")
        expect(page.locator(".welcome")).to_contain_text("Nothing at Revolve fits")
        page.get_by_role("button", name="Remove Revolve").click()
        expect(page.locator(".welcome")).to_contain_text("Nothing in this shop fits that.")
        page.goto("/?q=robe+rouge+pour+femme")
        expect(page.locator(".welcome")).to_contain_text("reads English only")


def test_what_shops_and_shoppers_write_is_never_taken_for_code(
    shop: Open, browser: Browser
) -> None:
    evil = '<img src=x onerror="document.title=1"><script>document.title=1</script>'
    [product] = drawn_catalogs(1)
    ingest(
        shop.store,
        [
            replace(
                product,
                source_id="evil",
                html="",
                title=f"Zorblatt shirt {evil}",
                link="javascript:1",
            )
        ],
    )
    shop.store.wait(timeout=60)
    shop.store.set(
        shop.store.rows(RetailerSchema, where={"source_id": "evil"})[0], link="javascript:alert(1)"
    )
    with watched(browser, shop) as page:
        page.goto("/")
        page.locator("#q").fill(f"shirt {evil}")
        page.keyboard.press("Enter")
        expect(page.locator("#main")).to_have_attribute("aria-busy", "false")
        page.goto("/?q=zorblatt+shirt")
        has_answered(page)
        expect(page.locator(".card", has_text="<script>").first).to_be_visible()
        assert page.locator("[href^=javascript], img[src=x]").count() == 0
        assert page.title() == "zorblatt shirt · Fashion search"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1360, 900), (390, 844)], ids=["wide", "narrow"])
def test_axe_finds_nothing_serious_and_nothing_hangs_over(
    looked_at: Open, browser: Browser, theme: Literal["light", "dark"], size: tuple[int, int]
) -> None:
    view = {"width": size[0], "height": size[1]}
    with watched(browser, looked_at, color_scheme=theme, viewport=view) as page:
        for path in ("/", f"/?q={OCCASION}", "/?q=shirt&colour=black", "/?liked"):
            page.goto(path)
            expect(page.locator("#main")).to_have_attribute("aria-busy", "false")
            expect(page.locator("#learning ol")).to_be_attached()
            if size[0] < 500:
                page.locator("#pill").click()
                expect(page.locator("#learning")).to_be_visible()
            violations = Axe().run(page).response["violations"]
            serious = [each for each in violations if each["impact"] in ("serious", "critical")]
            told = [
                (each["id"], [node["html"][:120] for node in each["nodes"][:3]]) for each in serious
            ]
            assert told == [], f"{path} in {theme}"
            over = page.evaluate("document.body.scrollWidth - document.body.clientWidth")
            assert over <= 0, path
