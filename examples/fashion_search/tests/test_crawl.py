"""Crawling: from three shops on loopback to products and pictures, by real HTTP, and round after round only what changed."""

from __future__ import annotations

import io
import json
import threading
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs

import numpy as np
import pytest
from PIL import Image

import motion
from fashion_search.crawl import crawl, crawl_triggers, look_again
from fashion_search.fetching import Fetcher, Manners
from fashion_search.products import RETAILERS
from fashion_search.shops import Shop, answer, three_shops
from fashion_search.tables import AddressSchema, RetailerSchema

ARTICLES = 10


@pytest.fixture
def shops() -> Iterator[dict[str, Shop]]:
    with three_shops(ARTICLES) as served:
        yield served


class Embedded:
    """Stands where the model stands, and counts what it is asked for."""

    def __init__(self) -> None:
        self.calls: Counter[int] = Counter()


def open_crawled(
    folder: Path, shops: dict[str, Shop], embedded: Embedded, *, run: bool = True, **manners: float
) -> tuple[motion.Store, Fetcher]:
    @motion.trigger(on=("retailer.image", "retailer.img_summary"), sets="retailer.img_embedding")
    def embed(id: int, image: bytes, img_summary: str) -> np.ndarray:
        embedded.calls[id] += 1
        return np.ones(2, np.float32)

    allowed = frozenset(shop.host for shop in shops.values())
    fetcher = Fetcher(Manners(allowed, **{"pause_s": 0.0, **manners}))
    store = motion.create_store(
        "crawled",
        schemas={"retailer": RetailerSchema, "address": AddressSchema},
        triggers=[embed, *crawl_triggers(fetcher)],
        url=f"sqlite:///{folder}",
        durability="normal",
        run=run,
    )
    return store, fetcher


@pytest.fixture
def embedded() -> Embedded:
    return Embedded()


@pytest.fixture
def store(tmp_path: Path, shops: dict[str, Shop], embedded: Embedded) -> Iterator[motion.Store]:
    opened, fetcher = open_crawled(tmp_path, shops, embedded, silence_s=3.0, answer_s=4.0)
    with fetcher, opened:
        yield opened


def entries(shops: dict[str, Shop], *retailers: str) -> dict[str, str]:
    return {shops[each].entry: each for each in retailers or RETAILERS}


def rows_of(store: motion.Store, retailer: str) -> dict[str, RetailerSchema]:
    found = store.rows(RetailerSchema)
    return {row.source_id: row for row in found if row.retailer.name.lower() == retailer}


# --- the whole path -------------------------------------------------------------------------------


def test_three_shops_become_products_with_pictures(
    store: motion.Store, shops: dict[str, Shop], embedded: Embedded
) -> None:
    crawl(store, entries(shops))
    assert [each.error for each in store.errors()] == []
    for retailer, shop in shops.items():
        found = rows_of(store, retailer)
        assert found.keys() == {shop.id_of(each) for each in shop.articles.values()}
        for article in shop.articles.values():
            row = found[shop.id_of(article)]
            assert (row.title, row.brand) == (article.name, article.garment.brand)
            assert (round(row.price, 2), row.currency) == (round(article.price, 2), "USD")
            assert (row.in_stock, row.colours) == (True, [article.garment.colour])
            assert row.img_url == f"{shop.url}/img/{article.number}.jpg"
            assert row.img_embedding is not None
            assert row.link == shop.url + shop.path_of(article)
            assert article.garment.description.split(".")[0] in row.img_desc
    assert set(embedded.calls.values()) == {1}
    assert rows_of(store, "bloomingdales")["1001"].sizes == ["M", "L"]
    assert len(rows_of(store, "nordstrom")["1001"].img_urls) == 2


def test_a_round_in_which_nothing_changed_reads_and_writes_nothing(
    store: motion.Store, shops: dict[str, Shop], embedded: Embedded
) -> None:
    crawl(store, entries(shops))
    before = {shop.retailer: Counter(shop.sent) for shop in shops.values()}
    calls = Counter(embedded.calls)
    again = crawl(store, entries(shops))
    assert (again.changed, again.gone, again.refused) == (0, 0, 0)
    assert again.same == 1 + ARTICLES + 2 + ARTICLES + 1
    assert embedded.calls == calls
    for retailer in ("nordstrom", "revolve"):  # they answer conditional requests
        assert shops[retailer].sent == before[retailer]
    assert shops["bloomingdales"].sent["/feed.xml"] == 2  # does not, and is compared


@pytest.mark.parametrize("retailer", RETAILERS)
def test_price_and_stock_change_without_a_new_embedding(
    store: motion.Store, shops: dict[str, Shop], embedded: Embedded, retailer: str
) -> None:
    shop = shops[retailer]
    crawl(store, entries(shops, retailer))
    calls = Counter(embedded.calls)
    shop.articles[1001].price, shop.articles[1002].in_stock = 1_234.5, False
    found = crawl(store, entries(shops, retailer))
    assert found.changed == (1 if retailer == "bloomingdales" else 2)
    rows = rows_of(store, retailer)
    assert rows[shop.id_of(shop.articles[1001])].price == 1_234.5
    assert rows[shop.id_of(shop.articles[1002])].in_stock is False
    assert embedded.calls == calls


@pytest.mark.parametrize("retailer", RETAILERS)
def test_what_is_new_comes_and_what_is_gone_goes(
    store: motion.Store, shops: dict[str, Shop], embedded: Embedded, retailer: str
) -> None:
    shop = shops[retailer]
    new = shop.articles.pop(1001)
    crawl(store, entries(shops, retailer))
    gone = shop.articles.pop(1002)
    shop.articles[1001] = new
    crawl(store, entries(shops, retailer))
    found = rows_of(store, retailer)
    assert shop.id_of(gone) not in found
    assert found[shop.id_of(new)].img_embedding is not None
    assert len(embedded.calls) == ARTICLES
    # and back again, as it was
    shop.articles[1002] = gone
    crawl(store, entries(shops, retailer))
    assert rows_of(store, retailer).keys() == {shop.id_of(each) for each in shop.articles.values()}


def test_a_changed_title_is_embedded_anew_and_no_other(
    store: motion.Store, shops: dict[str, Shop], embedded: Embedded
) -> None:
    crawl(store, entries(shops, "nordstrom"))
    shops["nordstrom"].articles[1003].title = "Quite another dress"
    crawl(store, entries(shops, "nordstrom"))
    row = rows_of(store, "nordstrom")["1003"]
    assert row.title == "Quite another dress"
    assert [id for id, calls in embedded.calls.items() if calls > 1] == [row.id]


def test_the_first_page_of_a_shop_leads_to_its_sitemaps(
    store: motion.Store, shops: dict[str, Shop]
) -> None:
    shop = shops["nordstrom"]
    shop.odd["/"] = lambda handler: answer(handler, 200, b"<title>Welcome</title>")
    crawl(store, {shop.url: "nordstrom"})
    assert len(rows_of(store, "nordstrom")) == ARTICLES


# --- servers that nobody vouches for --------------------------------------------------------------


def redirect(to: str) -> object:
    return lambda handler: answer(handler, 302, b"", Location=to)


def cut(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.wfile.write(b"<title>half a page")
    handler.close_connection = True


def a_bomb() -> bytes:
    file = io.BytesIO()
    Image.new("1", (8_000, 8_000)).save(file, "PNG")
    return file.getvalue()


def test_a_page_that_moved_is_found_where_it_is(
    store: motion.Store, shops: dict[str, Shop]
) -> None:
    shop = shops["nordstrom"]
    path = shop.path_of(shop.articles[1001])
    shop.odd[path] = redirect("/moved/here")  # type: ignore[assignment]
    kind, body = shop.content(path, "") or ("", b"")
    shop.odd["/moved/here"] = lambda handler: answer(handler, 200, body, **{"Content-Type": kind})
    crawl(store, entries(shops, "nordstrom"))
    [row] = [
        row for row in rows_of(store, "nordstrom").values() if row.img_url.endswith("1001.jpg")
    ]
    assert row.link == f"{shop.url}/moved/here"


def test_a_redirect_to_a_private_address_is_not_followed(
    store: motion.Store, shops: dict[str, Shop]
) -> None:
    shop = shops["nordstrom"]
    port = shops["revolve"].host.partition(":")[2]
    path = shop.path_of(shop.articles[1001])
    shop.odd[path] = redirect(f"http://localhost:{port}/secret")  # type: ignore[assignment]
    crawl(store, entries(shops, "nordstrom"))
    address = store.get(AddressSchema, shop.url + path)
    assert address is not None
    assert address.status == 0
    assert "127.0.0.1 is no public address" in address.problem
    assert shops["revolve"].asked["/secret"] == 0
    assert "1001" not in rows_of(store, "nordstrom")


def test_a_page_under_repair_takes_its_product_off_the_shelf_and_not_away(
    store: motion.Store, shops: dict[str, Shop], embedded: Embedded
) -> None:
    shop = shops["nordstrom"]
    crawl(store, entries(shops, "nordstrom"))
    path = shop.path_of(shop.articles[1001])
    shop.odd[path] = lambda handler: answer(handler, 200, b"<title>Back soon</title>")
    crawl(store, entries(shops, "nordstrom"))
    assert rows_of(store, "nordstrom")["1001"].in_stock is False
    del shop.odd[path]
    crawl(store, entries(shops, "nordstrom"))
    assert rows_of(store, "nordstrom")["1001"].in_stock is True
    assert set(embedded.calls.values()) == {1}


def test_a_page_that_leads_elsewhere_by_now_is_gone(
    store: motion.Store, shops: dict[str, Shop]
) -> None:
    shop = shops["nordstrom"]
    crawl(store, entries(shops, "nordstrom"))
    shop.odd[shop.path_of(shop.articles[1001])] = redirect("/home")  # type: ignore[assignment]
    shop.odd["/home"] = lambda handler: answer(handler, 200, b"<title>Shop</title>")
    crawl(store, entries(shops, "nordstrom"))
    assert "1001" not in rows_of(store, "nordstrom")
    assert len(rows_of(store, "nordstrom")) == ARTICLES - 1


def test_two_addresses_of_one_product_are_one_product_until_both_are_gone(
    store: motion.Store, shops: dict[str, Shop], embedded: Embedded
) -> None:
    shop = shops["bloomingdales"]  # the identity is in `?ID=`
    article = shop.articles[1001]
    first, second = f"/shop/product/{article.slug}?ID=1001", "/sale/x?ID=1001"
    shop.odd["/shops"] = lambda handler: answer(
        handler,
        200,
        f"<a class=product-link href='{first}'>a</a><a class=product-link href='{second}'>b</a>".encode(),
    )
    kind, page = shop.content(f"/shop/product/{article.slug}", "") or ("", b"")
    shop.odd["/sale/x"] = lambda handler: answer(handler, 200, page, **{"Content-Type": kind})
    source = {f"{shop.url}/shops": "bloomingdales"}
    crawl(store, source)
    [row] = rows_of(store, "bloomingdales").values()
    assert row.source_id == "1001"
    told_by = row.found_on.removeprefix(shop.url)
    assert told_by in (first, second)
    shop.odd[told_by.partition("?")[0]] = lambda handler: answer(handler, 404, b"")
    crawl(store, source)
    [row] = rows_of(store, "bloomingdales").values()
    assert row.found_on.removeprefix(shop.url) == ({first, second} - {told_by}).pop()
    shop.odd[row.found_on.removeprefix(shop.url).partition("?")[0]] = lambda handler: answer(
        handler, 404, b""
    )
    crawl(store, source)
    assert rows_of(store, "bloomingdales") == {}


def test_what_robots_txt_forbids_is_not_asked_for(
    store: motion.Store, shops: dict[str, Shop]
) -> None:
    shop = shops["nordstrom"]
    path = shop.path_of(shop.articles[1001])
    shop.robots = f"User-agent: *\nDisallow: {path}\n"
    crawl(store, entries(shops, "nordstrom"))
    assert shop.asked[path] == 0
    assert shop.asked["/robots.txt"] == 1
    assert len(rows_of(store, "nordstrom")) == ARTICLES - 1


def test_a_page_that_breaks_off_is_tried_again(store: motion.Store, shops: dict[str, Shop]) -> None:
    shop = shops["nordstrom"]
    path = shop.path_of(shop.articles[1001])

    def first_cut(handler: BaseHTTPRequestHandler) -> None:
        del shop.odd[path]
        cut(handler)

    shop.odd[path] = first_cut
    crawl(store, entries(shops, "nordstrom"))
    assert shop.asked[path] == 2
    assert len(rows_of(store, "nordstrom")) == ARTICLES


def test_a_server_that_asks_for_time_is_given_it(
    store: motion.Store, shops: dict[str, Shop]
) -> None:
    shop = shops["nordstrom"]
    path = shop.path_of(shop.articles[1001])

    def busy(handler: BaseHTTPRequestHandler) -> None:
        del shop.odd[path]
        answer(handler, 429, b"", **{"Retry-After": "1"})

    shop.odd[path] = busy
    crawl(store, entries(shops, "nordstrom"))
    assert len(rows_of(store, "nordstrom")) == ARTICLES


def test_a_feed_that_breaks_removes_nothing(store: motion.Store, shops: dict[str, Shop]) -> None:
    shop = shops["bloomingdales"]
    crawl(store, entries(shops, "bloomingdales"))
    _kind, whole = shop.content("/feed.xml", "") or ("", b"")
    for broken in (whole[: len(whole) // 2], b"<rss></rss>", b"<html>We are back soon</html>", b"{"):  # fmt: skip
        shop.odd["/feed.xml"] = lambda handler, body=broken: answer(handler, 200, body)  # type: ignore[misc]
        crawl(store, entries(shops, "bloomingdales"))
        assert len(rows_of(store, "bloomingdales")) == ARTICLES
    shop.odd["/feed.xml"] = lambda handler: answer(handler, 404, b"")
    crawl(store, entries(shops, "bloomingdales"))
    assert len(rows_of(store, "bloomingdales")) == ARTICLES


def problem_of(store: motion.Store, shop: Shop) -> str:
    source = store.get(AddressSchema, shop.entry)
    return (source and source.problem) or ""


def a_table(numbers: Iterable[int], title: str = "Cap") -> bytes:
    rows = (f"{each},{title} {each},https://img.invalid/{each}.jpg\n" for each in numbers)
    return ("id,title,image_link\n" + "".join(rows)).encode()


def published(shop: Shop, content: bytes) -> None:
    """Have the shop's feed hold this; it answers conditional requests."""

    def feed(handler: BaseHTTPRequestHandler) -> None:
        tag = f'"{zlib.crc32(content)}"'
        is_same = handler.headers.get("If-None-Match") == tag
        answer(handler, 304 if is_same else 200, b"" if is_same else content, ETag=tag)

    shop.odd["/feed.xml"] = feed


def test_a_feed_that_lost_many_products_removes_what_the_next_round_misses_too(
    store: motion.Store, shops: dict[str, Shop]
) -> None:
    shop = shops["bloomingdales"]

    def found_after(content: bytes) -> int:
        published(shop, content)
        crawl(store, entries(shops, "bloomingdales"))
        return len(rows_of(store, "bloomingdales"))

    whole, half = a_table(range(20)), a_table(range(8))
    assert found_after(whole) == 20
    assert found_after(half) == 20
    assert "12 products less" in problem_of(store, shop)
    assert found_after(whole) == 20  # it was half of a feed
    assert found_after(half) == 20
    assert (
        found_after(half) == 8
    )  # it is what the shop has, and the server says that nothing changed
    assert not problem_of(store, shop)
    assert found_after(whole) == 20
    assert found_after(half) == 20
    assert found_after(a_table(range(8), "New cap")) == 8
    assert found_after(a_table(range(6))) == 6  # few at a time go at once


def in_pages(shop: Shop, numbers: Iterable[int], *, at_most: int) -> list[str]:
    """Have the shop tell of products as Shopify's do, in pages; return what it is asked for, as it is asked."""
    products = [
        {
            "id": each, "title": f"Cap {each}", "handle": f"cap-{each}", "variants": [{"id": each, "price": "9.00"}],
            "images": [{"src": f"{shop.url}/none/{each}.jpg"}],
        }
        for each in numbers
    ]  # fmt: skip
    asked = []

    def page(handler: BaseHTTPRequestHandler) -> None:
        query = parse_qs(handler.path.partition("?")[2])
        asked.append(handler.path)
        size = min(int(query.get("limit", ["30"])[0]), at_most)
        start = size * (int(query.get("page", ["1"])[0]) - 1)
        body = json.dumps({"products": products[start : start + size]}).encode()
        answer(handler, 200, body)

    shop.odd["/products.json"] = page
    return asked


@pytest.mark.parametrize("at_most", [250, 10])
def test_products_that_are_told_of_in_pages_are_all_found(
    store: motion.Store, shops: dict[str, Shop], at_most: int
) -> None:
    shop = shops["bloomingdales"]
    source = {f"{shop.url}/products.json": "bloomingdales"}
    in_pages(shop, range(1, 25), at_most=at_most)
    crawl(store, source)
    found = rows_of(store, "bloomingdales")
    assert found.keys() == {str(each) for each in range(1, 25)}
    ids = {sku: row.id for sku, row in found.items()}
    # One that moved to a page which was fetched before is not gone.
    in_pages(shop, [each for each in range(1, 25) if each != 11], at_most=at_most)
    crawl(store, source)
    assert {sku: row.id for sku, row in rows_of(store, "bloomingdales").items()} == ids
    in_pages(shop, range(1, 25), at_most=at_most)
    crawl(store, source)
    in_pages(shop, range(1, 24), at_most=at_most)
    crawl(store, source)
    crawl(store, source)
    assert rows_of(store, "bloomingdales").keys() == {str(each) for each in range(1, 24)}
    assert store.errors() == []


def test_a_listing_whose_pages_are_all_the_same_ends(
    store: motion.Store, shops: dict[str, Shop]
) -> None:
    shop = shops["bloomingdales"]
    asked = in_pages(shop, range(1, 6), at_most=0)
    one = json.dumps({"products": [{"id": 1, "title": "Cap", "variants": [], "images": [{"src": f"{shop.url}/none.jpg"}]}]})  # fmt: skip

    def same(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        answer(handler, 200, one.encode())

    shop.odd["/products.json"] = same
    crawl(store, {f"{shop.url}/products.json": "bloomingdales"})
    assert len(rows_of(store, "bloomingdales")) == 1
    assert len(asked) == 2


def test_a_row_that_cannot_be_read_removes_nothing(
    store: motion.Store, shops: dict[str, Shop]
) -> None:
    shop = shops["bloomingdales"]
    whole = a_table(range(10))
    for content in (
        whole,
        whole[: whole.rindex(b",https") - 1],
        whole.replace(b"Cap 7,", b""),
        whole.replace(b"Cap 7,https://img.invalid/7.jpg", b","),
    ):
        published(shop, content)
        for _ in range(2):
            crawl(store, entries(shops, "bloomingdales"))
            assert len(rows_of(store, "bloomingdales")) == 10
    assert "1 of 10 are no products; the first, '7'" in problem_of(store, shop)


def test_a_list_that_leads_nowhere_says_so(store: motion.Store, shops: dict[str, Shop]) -> None:
    shop = shops["bloomingdales"]
    for content in (
        b"<rss></rss>",
        b'{"error": "not yet"}',
        b"<html>soon</html>",
        b"id,title,image_link\n",
    ):
        published(shop, content)
        crawl(store, entries(shops, "bloomingdales"))
        assert "tells of no product" in problem_of(store, shop)


@pytest.mark.parametrize("status", [404, 410])
def test_a_page_that_comes_back_is_found_though_no_list_changed(
    store: motion.Store, shops: dict[str, Shop], status: int
) -> None:
    shop = shops["nordstrom"]
    path = shop.path_of(shop.articles[1001])
    crawl(store, entries(shops, "nordstrom"))
    shop.odd[path] = lambda handler: answer(handler, status, b"")
    crawl(store, entries(shops, "nordstrom"))
    assert "1001" not in rows_of(store, "nordstrom")
    del shop.odd[path]
    crawl(store, entries(shops, "nordstrom"))
    assert rows_of(store, "nordstrom")["1001"].image is not None
    assert shop.sent["/sitemap.xml"] == 1


def test_a_page_that_stays_away_is_asked_for_less_and_less(
    store: motion.Store, shops: dict[str, Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = shops["nordstrom"]
    path = shop.path_of(shop.articles[1001])
    asked = []
    for minute in range(20):
        monkeypatch.setattr("fashion_search.crawl._now_ms", lambda now=60_000 * (1 + minute): now)
        before = shop.asked[path]
        crawl(store, entries(shops, "nordstrom"))
        if (
            shop.asked[path] > before
        ):  # twice where a run was made again, as a row beside it had changed
            asked.append(minute)
        shop.odd[path] = lambda handler: answer(handler, 404, b"")
    assert asked == [0, 1, 2, 3, 5, 9, 17]


def test_a_source_that_was_not_there_once_is_looked_at_by_the_clock_again(
    store: motion.Store, shops: dict[str, Shop]
) -> None:
    shop = shops["bloomingdales"]
    shop.odd["/feed.xml"] = lambda handler: answer(handler, 404, b"")
    crawl(store, entries(shops, "bloomingdales"), every_s=0.001)
    assert rows_of(store, "bloomingdales") == {}
    del shop.odd["/feed.xml"]
    look_again(store)
    store.wait()
    assert len(rows_of(store, "bloomingdales")) == ARTICLES


def test_an_etag_of_any_letters_breaks_no_round(
    store: motion.Store, shops: dict[str, Shop]
) -> None:
    shop = shops["bloomingdales"]
    shop.odd["/feed.xml"] = lambda handler: answer(handler, 200, a_table(range(5)), ETag='"é"')
    for _ in range(2):
        crawl(store, entries(shops, "bloomingdales"))
        assert store.errors(trigger="fetch") == []
    assert shop.asked["/feed.xml"] == 2


def test_a_page_of_no_end_is_given_up_and_the_others_are_not(
    tmp_path: Path, shops: dict[str, Shop], embedded: Embedded
) -> None:
    shop = shops["nordstrom"]
    path = shop.path_of(shop.articles[1001])
    is_over = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.close_connection = True
        while not is_over.wait(0.02):
            try:
                handler.wfile.write(b"<p>")
            except OSError:
                return

    shop.odd[path] = drip
    opened, fetcher = open_crawled(tmp_path, shops, embedded, answer_s=0.2)
    with fetcher, opened:
        crawl(opened, entries(shops, "nordstrom"))
        is_over.set()
        [letter] = opened.errors()
        assert "not all there after 0.2 s" in letter.error
        assert len(rows_of(opened, "nordstrom")) == ARTICLES - 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (a_bomb(), "8000 x 8000 pixels"),
        (b"<html>not here</html>", "is no picture"),
        (b"\0" * (21 * 1024 * 1024), "larger than"),
    ],
    ids=["bomb", "page", "large"],
)
def test_what_is_no_picture_is_not_kept_and_says_why(
    store: motion.Store, shops: dict[str, Shop], body: bytes, reason: str
) -> None:
    shop = shops["nordstrom"]
    shop.odd["/img/1001.jpg"] = lambda handler: _send(handler, body)
    crawl(store, entries(shops, "nordstrom"))
    row = rows_of(store, "nordstrom")["1001"]
    assert row.image is None
    assert reason in row.img_problem
    assert store.errors() == []


def _send(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    try:
        answer(handler, 200, body)
    except OSError:  # the other side has seen enough
        handler.close_connection = True


def test_a_page_may_not_make_the_crawler_ask_elsewhere(
    store: motion.Store, shops: dict[str, Shop]
) -> None:
    shop = shops["revolve"]
    listing = (
        "<a class=product-link href='http://127.0.0.1:1/dp/A/'>a</a><a class=product-link href='file:///etc/passwd'>b</a>"
        "<a class=product-link href='javascript:alert(1)'>c</a><a class=product-link href='//elsewhere.example/dp/D/'>d</a>"
    )
    shop.odd["/dresses"] = lambda handler: answer(handler, 200, f"<html>{listing}".encode())
    crawl(store, entries(shops, "revolve"))
    assert [row.id for row in store.rows(AddressSchema)] == [shop.entry]


def test_the_code_of_the_triggers_is_the_same_whoever_asks(
    tmp_path: Path, shops: dict[str, Shop], embedded: Embedded
) -> None:
    """A command that crawls gives a fetcher, one that only searches gives none: neither finds the other's work stale."""
    opened, fetcher = open_crawled(tmp_path, shops, embedded)
    with fetcher, opened:
        crawl(opened, entries(shops, "bloomingdales"))
    with motion.create_store(
        "crawled",
        schemas={"retailer": RetailerSchema, "address": AddressSchema},
        triggers=crawl_triggers(),
        url=f"sqlite:///{tmp_path}",
        run=False,
    ) as searched:
        stale = {
            name: each.stale
            for name, each in searched.status().triggers.items()
            if name in ("fetch", "fetch_picture")
        }
        assert stale == {"fetch": 0, "fetch_picture": 0}


# --- stops and schedules --------------------------------------------------------------------------


def test_a_crawl_that_was_stopped_goes_on_and_asks_for_nothing_twice(
    tmp_path: Path, shops: dict[str, Shop], embedded: Embedded
) -> None:
    shop = shops["nordstrom"]
    reached, go_on = threading.Event(), threading.Event()
    path = shop.path_of(shop.articles[1006])

    def hold(handler: BaseHTTPRequestHandler) -> None:
        reached.set()
        go_on.wait(30)
        handler.close_connection = True  # and nothing comes

    shop.odd[path] = hold
    opened, fetcher = open_crawled(tmp_path, shops, embedded)
    with fetcher, opened:
        crawler = threading.Thread(target=lambda: _crawl_until_closed(opened, entries(shops, "nordstrom")))  # fmt: skip
        crawler.start()
        assert reached.wait(30)
        go_on.set()
    crawler.join()
    del shop.odd[path]
    opened, fetcher = open_crawled(tmp_path, shops, embedded, run=False)
    with fetcher, opened:
        kept = [row.id.removeprefix(shop.url) for row in opened.rows(AddressSchema) if row.status]
    had = {path: shop.asked[path] for path in kept}
    assert had
    opened, fetcher = open_crawled(tmp_path, shops, embedded)
    with fetcher, opened:
        opened.wait(timeout=60)
        assert len(rows_of(opened, "nordstrom")) == ARTICLES
    assert {path: shop.asked[path] for path in kept} == had


def _crawl_until_closed(store: motion.Store, sources: dict[str, str]) -> None:
    try:
        crawl(store, sources)
    except motion.StoreClosed:
        pass


def test_a_source_is_looked_at_again_when_its_time_has_come(
    store: motion.Store, shops: dict[str, Shop]
) -> None:
    shop = shops["bloomingdales"]
    crawl(store, entries(shops, "bloomingdales"), every_s=3_600)
    shop.articles[1001].price = 1.5
    look_again(store)  # what the schedule runs each minute
    store.wait()
    assert rows_of(store, "bloomingdales")["1001"].price != 1.5
    store.set("address", id=shop.entry, every_s=0.001)
    look_again(store)
    store.wait()
    assert rows_of(store, "bloomingdales")["1001"].price == 1.5
