"""Fetching: politely, and from nobody's private addresses."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from fashion_search.fetching import Fetcher, Manners, NotFetched, TryLater, checked_address
from fashion_search.shops import Shop, answer, three_shops

LIMIT = 1_000_000


@pytest.fixture
def shop() -> Iterator[Shop]:
    with three_shops(3) as shops:
        yield shops["nordstrom"]


def fetcher(shop: Shop, pause_s: float = 0.0, **manners: float) -> Fetcher:
    return Fetcher(Manners(frozenset({shop.host}), pause_s, **manners))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1",
        "224.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "::1", "::ffff:127.0.0.1", "fe80::1", "fd00::1",
        "64:ff9b::7f00:1", "2002:7f00:1::",
    ],
)  # fmt: skip
def test_no_spelling_of_a_private_address_is_asked(host: str) -> None:
    with pytest.raises(NotFetched, match=r"no public address; 'crawl --allow"):
        checked_address(host, 80)


def test_a_public_address_is_connected_to_as_it_was_checked() -> None:
    assert checked_address("93.184.216.34", 443) == "93.184.216.34"


def test_a_name_is_refused_where_any_of_its_addresses_is_private(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = [(2, 1, 6, "", ("93.184.216.34", 80)), (2, 1, 6, "", ("10.0.0.7", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)  # a DNS server's answer
    with pytest.raises(NotFetched, match=r"10\.0\.0\.7 is no public address"):
        checked_address("shop.example", 80)


def test_only_the_port_that_was_allowed_is(shop: Shop) -> None:
    with fetcher(shop) as fetching, pytest.raises(NotFetched, match="no public address"):
        fetching.get("http://127.0.0.1:9/", limit=LIMIT)


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://shop.example/", "javascript:1", "http://"])  # fmt: skip
def test_only_web_addresses_are_fetched(shop: Shop, address: str) -> None:
    with fetcher(shop) as fetching, pytest.raises(NotFetched, match="only http and https"):
        fetching.get(address, limit=LIMIT)


def test_redirects_have_an_end(shop: Shop) -> None:
    shop.odd["/round"] = lambda handler: answer(handler, 302, b"", Location="/round")
    with fetcher(shop) as fetching, pytest.raises(NotFetched, match="over 5 redirects"):
        fetching.get(f"{shop.url}/round", limit=LIMIT)


def test_what_unpacks_to_more_than_the_limit_is_not_read(shop: Shop) -> None:
    bomb = gzip.compress(b"0" * 50 * LIMIT)

    def send(handler: BaseHTTPRequestHandler) -> None:
        answer(handler, 200, bomb, **{"Content-Encoding": "gzip"})

    shop.odd["/bomb"] = send
    with fetcher(shop) as fetching, pytest.raises(NotFetched, match="larger than 1,000,000 bytes"):
        fetching.get(f"{shop.url}/bomb", limit=LIMIT)


def test_a_server_that_says_nothing_is_given_up(shop: Shop) -> None:
    is_over = threading.Event()

    def wait(handler: BaseHTTPRequestHandler) -> None:
        is_over.wait(30)

    shop.odd["/silent"] = wait
    with fetcher(shop, silence_s=0.3) as fetching, pytest.raises(TryLater, match="ReadTimeout"):
        fetching.get(f"{shop.url}/silent", limit=LIMIT)
    is_over.set()


def test_a_server_that_is_not_there_is_tried_later(shop: Shop) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    gone = Fetcher(Manners(frozenset({"127.0.0.1"}), 0.0))
    with gone, pytest.raises(TryLater, match="ConnectError"):
        gone.get(f"http://127.0.0.1:{port}/", limit=LIMIT)


def test_while_robots_txt_cannot_be_read_nothing_is_asked(shop: Shop) -> None:
    shop.odd["/robots.txt"] = lambda handler: answer(handler, 503, b"")
    with fetcher(shop) as fetching, pytest.raises(TryLater, match="503"):
        fetching.get(shop.entry, limit=LIMIT)
    assert shop.asked["/sitemap.xml"] == 0


def test_a_host_without_robots_txt_may_be_asked(shop: Shop) -> None:
    shop.odd["/robots.txt"] = lambda handler: answer(handler, 404, b"")
    with fetcher(shop) as fetching:
        assert fetching.get(shop.entry, limit=LIMIT).status == 200


@pytest.mark.parametrize("robots", ["", "User-agent: *\nCrawl-delay: 0.2\n"], ids=["own", "robots"])
def test_one_host_is_asked_at_its_pace_by_all_threads_together(shop: Shop, robots: str) -> None:
    shop.robots = robots or shop.robots
    with fetcher(shop, 0.0 if robots else 0.2) as fetching:
        fetching.get(shop.entry, limit=LIMIT)
        started = time.monotonic()
        threads = [threading.Thread(target=fetching.get, args=(shop.entry,), kwargs={"limit": LIMIT}) for _ in range(4)]  # fmt: skip
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # Four turns of 0.2 s: the last begins 0.6 s after the first at the earliest.
        assert time.monotonic() - started > 0.55


@pytest.mark.parametrize(
    "content",
    [
        "User-agent: *\nDisallow: /sitemap\n".encode("utf-8-sig"),
        "User-agent: *\nDisallow: /sitemap\n".encode("utf-16"),
        b"User-agent: *\0\nDisallow: /sitemap\n",
        b"User-agent: *\rDisallow: /sitemap\r",
        b"User-agent: *\nDisallow: /sitemap\n" + b"# rules\n" * 100_000,
        b"USER-AGENT: FASHION-SEARCH-EXAMPLE\nDISALLOW: /sitemap\n",
        b"User-agent: *\nCrawl-delay: nan\nCrawl-delay: -1\nDisallow: /*.xml$\n",
    ],
    ids=["mark", "utf-16", "nul", "old line breaks", "long", "capitals", "odd pauses"],
)
def test_robots_txt_counts_however_it_is_written(shop: Shop, content: bytes) -> None:
    shop.odd["/robots.txt"] = lambda handler: answer(handler, 200, content)
    with fetcher(shop) as fetching, pytest.raises(NotFetched, match=r"robots\.txt of its host"):
        fetching.get(shop.entry, limit=LIMIT)


def test_a_server_that_asks_for_long_is_left_alone_and_nobody_waits(shop: Shop) -> None:
    shop.odd["/busy"] = lambda handler: answer(handler, 429, b"", **{"Retry-After": "7200"})
    with fetcher(shop) as fetching:
        with pytest.raises(NotFetched, match="left alone for 7,200 s"):
            fetching.get(f"{shop.url}/busy", limit=LIMIT)
        with pytest.raises(NotFetched, match="left alone for 7,"):
            fetching.get(shop.entry, limit=LIMIT)
    assert shop.asked["/sitemap.xml"] == 0


@pytest.mark.parametrize(
    "written", ["Wed, 21 Oct 2020 07:28:00", "Wed, 21 Oct 2020 07:28:00 -0000", "soon", "-5", "Mon, 01 Jan 0001 00:00:00 +2359"],
)  # fmt: skip
def test_a_time_to_try_again_that_is_none_or_over_is_now(shop: Shop, written: str) -> None:
    shop.odd["/busy"] = lambda handler: answer(handler, 503, b"", **{"Retry-After": written})
    with fetcher(shop) as fetching:
        with pytest.raises(TryLater, match="503"):
            fetching.get(f"{shop.url}/busy", limit=LIMIT)
        assert fetching.get(shop.entry, limit=LIMIT).status == 200


@pytest.mark.parametrize("location", ["http://[", "http://[::1", "//[x]/"])
def test_a_redirect_to_what_is_no_address_says_so(shop: Shop, location: str) -> None:
    shop.odd["/odd"] = lambda handler: answer(handler, 302, b"", Location=location)
    with fetcher(shop) as fetching, pytest.raises(NotFetched, match="no address"):
        fetching.get(f"{shop.url}/odd", limit=LIMIT)


@pytest.mark.parametrize("tag", ['"é"', '"\udce9"', '"a\nb"'])
def test_a_tag_that_no_header_may_hold_is_not_sent_back(shop: Shop, tag: str) -> None:
    with fetcher(shop) as fetching:
        assert fetching.get(shop.entry, limit=LIMIT, etag=tag, modified=tag).status == 200


def test_what_has_not_changed_is_told_and_not_sent(shop: Shop) -> None:
    with fetcher(shop) as fetching:
        first = fetching.get(shop.entry, limit=LIMIT)
        again = fetching.get(shop.entry, limit=LIMIT, etag=first.etag, modified=first.modified)
    assert (first.status, again.status, again.content) == (200, 304, b"")
