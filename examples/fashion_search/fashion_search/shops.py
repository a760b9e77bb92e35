"""Three small shops on this machine's loopback, over drawn catalogs, each published in another way.

nordstrom      robots.txt, a sitemap, pages with JSON-LD; answers with ETag and Last-Modified
revolve        listings of several pages, with links through advertisers and such as carry who sent the visitor; microdata
bloomingdales  one Google Merchant feed, with a line for each size; `?ID=` in its addresses

They are for trying out and for tests: prices change, products go, and any path can be made to answer badly.
"""

from __future__ import annotations

import html
import io
import json
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, urlsplit

from fashion_search import garments
from fashion_search.products import RETAILERS

SIDE_PX = 96
EACH_PAGE = 8
SIZES = ("S", "M", "L")

Answers = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Article:
    """One product of a shop, as the shop has it today."""

    number: int
    garment: garments.Garment
    price: float
    in_stock: bool = True
    title: str = ""

    @property
    def slug(self) -> str:
        words = "".join(mark if mark.isalnum() else "-" for mark in self.garment.title.lower())
        return "-".join(filter(None, words.split("-")))

    @property
    def name(self) -> str:
        return self.title or self.garment.title


@dataclass
class Shop:
    """A shop that is served. Change `articles` to change what it publishes, `odd` to make a path answer in another way.

    Attributes:
        url: where it is, without a slash at the end.
        entry: the address to crawl it from.
        asked: how often each path was asked for; `sent`, how often it was answered with content.
    """

    retailer: str
    articles: dict[int, Article]
    url: str = ""
    robots: str = "User-agent: *\nDisallow: /checkout\n"
    odd: dict[str, Answers] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def entry(self) -> str:
        paths = {"nordstrom": "/sitemap.xml", "revolve": "/dresses", "bloomingdales": "/feed.xml"}
        return self.url + paths[self.retailer]

    def path_of(self, article: Article) -> str:
        if self.retailer == "nordstrom":
            return f"/s/{article.slug}/{article.number}"
        if self.retailer == "revolve":
            return f"/{article.slug}/dp/RV-{article.number}/"
        return f"/shop/product/{article.slug}?ID={article.number}"

    def id_of(self, article: Article) -> str:
        return f"RV-{article.number}" if self.retailer == "revolve" else str(article.number)

    def content(self, path: str, query: str) -> tuple[str, bytes] | None:
        """Return what a path holds, with its type, or None."""
        if path == "/robots.txt":
            return "text/plain", f"{self.robots}Sitemap: {self.url}/sitemap.xml\n".encode()
        if path.startswith("/img/"):
            return self._picture(path)
        if path == "/sitemap.xml":
            return "application/xml", self._sitemap().encode()
        if path == "/feed.xml":
            return "application/xml", self._feed().encode()
        if path == "/dresses":
            page = int(query.partition("page=")[2] or 1)
            return "text/html; charset=utf-8", self._listing(page).encode()
        known = {self.path_of(each).partition("?")[0]: each for each in self.articles.values()}
        if path not in known:
            return None
        make = self._microdata if self.retailer == "revolve" else self._json_ld
        return "text/html; charset=utf-8", make(known[path]).encode()

    def _picture(self, path: str) -> tuple[str, bytes] | None:
        number = path.removeprefix("/img/").partition(".")[0].partition("-")[0]
        article = self.articles.get(int(number)) if number.isdecimal() else None
        if article is None:
            return None
        file = io.BytesIO()
        garments.draw(article.garment, SIDE_PX).save(file, "JPEG", quality=85)
        return "image/jpeg", file.getvalue()

    def _sitemap(self) -> str:
        places = "".join(f"<url><loc>{html.escape(self.url + self.path_of(each))}</loc></url>" for each in self.articles.values())  # fmt: skip
        return f'<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{places}</urlset>'

    def _listing(self, page: int) -> str:
        shown = list(self.articles.values())[(page - 1) * EACH_PAGE : page * EACH_PAGE]
        links = []
        for number, article in enumerate(shown):
            path = self.path_of(article)
            written = (
                f"{path}?utm_source=list#top",  # relative, and saying where the visitor came from
                f"https://click.example/go?to={quote(self.url + path, safe='')}",  # through an advertiser
                self.url + path,
            )[number % 3]
            links.append(f'<a class="product-link" href="{html.escape(written)}">{html.escape(article.name)}</a>')  # fmt: skip
        more = f'<a rel="next" href="?page={page + 1}">more</a>' if page * EACH_PAGE < len(self.articles) else ""  # fmt: skip
        return f"<!doctype html><title>Dresses</title>{''.join(links)}<a href='/checkout'>basket</a>{more}"

    def _json_ld(self, article: Article) -> str:
        garment = article.garment
        stock = "InStock" if article.in_stock else "OutOfStock"
        product = {
            "@context": "https://schema.org", "@type": "Product", "name": article.name, "description": f"<p>{garment.description}</p>",
            "image": [f"/img/{article.number}.jpg", f"/img/{article.number}-2.jpg"], "color": garment.colour,
            "sku": f"{article.number}-S", "brand": {"@type": "Brand", "name": garment.brand},
            "offers": {"@type": "Offer", "price": f"{article.price:.2f}", "priceCurrency": "USD", "availability": f"https://schema.org/{stock}"},
        }  # fmt: skip
        return f"<!doctype html><title>{html.escape(article.name)}</title><script type='application/ld+json'>{json.dumps(product)}</script>"

    def _microdata(self, article: Article) -> str:
        garment, said = article.garment, html.escape(article.name)
        return (
            f"<!doctype html><title>{said} | Revolve</title><div itemscope itemtype='https://schema.org/Product'>"
            f"<h1 itemprop=name>{said}</h1><b itemprop=brand>{html.escape(garment.brand)}</b><i itemprop=color>{garment.colour}</i>"
            f"<img itemprop=image src='/img/{article.number}.jpg'><p itemprop=description>{html.escape(garment.description)}</p>"
            f"<div itemprop=offers itemscope itemtype='https://schema.org/Offer'><span itemprop=price>${article.price:,.2f}</span>"
            f"<meta itemprop=priceCurrency content=USD><link itemprop=availability "
            f"href='http://schema.org/{'InStock' if article.in_stock else 'OutOfStock'}'></div></div>"
        )

    def _feed(self) -> str:
        items = []
        for article in self.articles.values():
            garment = article.garment
            for number, size in enumerate(SIZES):
                told = {
                    "g:id": f"{article.number}-{size}", "g:item_group_id": article.number, "title": article.name,
                    "description": garment.description, "link": self.path_of(article), "g:brand": garment.brand,
                    "g:image_link": f"/img/{article.number}.jpg", "g:color": garment.colour, "g:size": size,
                    "g:price": f"{article.price:.2f} USD", "g:availability": "in_stock" if article.in_stock and number else "out_of_stock",
                }  # fmt: skip
                items.append("<item>" + "".join(f"<{name}>{html.escape(str(value))}</{name}>" for name, value in told.items()) + "</item>")  # fmt: skip
        return (
            '<?xml version="1.0" encoding="UTF-8"?><rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel>'
            f"<title>Feed</title>{''.join(items)}</channel></rss>"
        )


@contextmanager
def three_shops(articles: int = 12, seed: int = 7) -> Iterator[dict[str, Shop]]:
    """Serve three shops on loopback, each with so many drawn articles, while the block runs."""
    with _served("nordstrom", articles, seed) as nordstrom, _served("revolve", articles, seed) as revolve, _served("bloomingdales", articles, seed) as bloomingdales:  # fmt: skip
        yield dict(zip(RETAILERS, (nordstrom, revolve, bloomingdales), strict=True))


@contextmanager
def _served(retailer: str, articles: int, seed: int) -> Iterator[Shop]:
    drawn = garments.catalog(retailer, articles, seed)
    numbered = {1_001 + number: Article(1_001 + number, each, each.price_usd) for number, each in enumerate(drawn)}  # fmt: skip
    shop = Shop(retailer, numbered)
    server = _Server(("127.0.0.1", 0), _handler_of(shop))
    shop.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield shop
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of visitors that leave before the end; tell everything else."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _handler_of(shop: Shop) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            shop.asked[self.path] += 1
            odd = shop.odd.get(self.path) or shop.odd.get(path)
            if odd is not None:
                odd(self)
                return
            found = shop.content(path, query)
            if found is None:
                answer(self, 404, b"gone")
                return
            kind, body = found
            tag = f'"{sha256(body).hexdigest()[:16]}"'
            if shop.retailer != "bloomingdales" and self.headers.get("If-None-Match") == tag:
                answer(self, 304, b"", ETag=tag)
                return
            shop.sent[self.path] += 1
            answer(self, 200, body, **{"Content-Type": kind, "ETag": tag, "Last-Modified": formatdate(0, usegmt=True)})  # fmt: skip

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler


def answer(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    """Send an answer."""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    if status != 304:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
