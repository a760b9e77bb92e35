"""Crawling: addresses to products, as triggers. What is fetched, read and found is work of the store, which a stop does not lose.

address:   asked ──fetch (HTTP)──> content ──read──> products (rows of `retailer`), and further addresses
retailer:  img_url ──fetch_picture (HTTP)──> image ──> (the pipeline embeds it)

A round asks each known address of a source whether it has changed. What has not, is neither read nor written: nothing comes
after it. A product whose page is gone, or that a feed no longer tells of, is removed with all that was made of it. A feed that
lost many products at once may have been cut short: they go when the next round does not find them either.

What fetches and reads pages is imported by the trigger that does: a process that only searches has these triggers too, and
does not wait for parsers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import motion
from fashion_search.places import is_web
from fashion_search.tables import AddressSchema, Retailer, RetailerSchema, Role

if TYPE_CHECKING:
    from fashion_search.fetching import Fetcher
    from fashion_search.products import BadRow, Product

MAX_PAGE_BYTES = 8 * 1024 * 1024
MAX_PICTURE_BYTES = 20 * 1024 * 1024
DOUBTED_SHARE = (
    0.1  # of its products that a feed loses at once: by more, it may have been cut short
)
HOPS_IN_ONE_GO = 15  # lists that follow one another, of one cascade; the next ones begin another


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class _Asked:
    """Shops, asked through the fetcher that was given, or through one that is made when it is needed.

    An object of its own, so that triggers have the same code whichever it is: a command that only searches gives none.
    """

    def __init__(self, fetcher: Fetcher | None) -> None:
        self._fetcher, self._lock = fetcher, threading.Lock()

    def fetcher(self) -> Fetcher:
        from fashion_search.fetching import Fetcher

        with self._lock:
            self._fetcher = self._fetcher or Fetcher()
            return self._fetcher


def crawl_triggers(fetcher: Fetcher | None = None) -> list[Any]:
    """Return the triggers that crawl, through a fetcher; left out, through one that asks no private address."""

    shops = _Asked(fetcher)

    @motion.trigger(on="address.asked", retries=4, concurrency=8)
    def fetch(
        id: str, asked: int, role: Role, retailer: Retailer, source: str, hops: int, store: motion.View
    ) -> None:  # fmt: skip
        """Address to content, if it has changed since. A shop's first page leads to the sitemaps of its robots.txt, too."""
        from fashion_search.feeds import MAX_FEED_BYTES
        from fashion_search.fetching import NotFetched
        from fashion_search.listings import fetched

        known = store.get(
            AddressSchema, id, keys=("etag", "modified", "content", "doubted", "gone")
        )
        content = known.content if known else None
        etag, modified = (known.etag or "", known.modified or "") if known and content else ("", "")
        limit = MAX_PAGE_BYTES if role is Role.PRODUCT else MAX_FEED_BYTES
        try:
            if id == source and urlsplit(id).path in ("", "/"):
                _follow(
                    store,
                    shops.fetcher().sitemaps(id),
                    Role.LIST,
                    retailer,
                    source,
                    hops + 1,
                    asked,
                )
            answer = fetched(shops.fetcher(), id, limit=limit, etag=etag, modified=modified)
        except NotFetched as exc:
            store.set("address", id=id, checked=_now_ms(), status=0, problem=str(exc))
            return
        if answer.is_same or (answer.status == 200 and answer.content == content):
            store.set("address", id=id, checked=_now_ms(), status=200, gone=0)
            if known and known.doubted:
                _believe(store, id)
        elif answer.status == 200:
            store.set(
                "address", id=id, checked=_now_ms(), changed=_now_ms(), status=200, gone=0, problem="", content=answer.content or None,
                content_type=answer.content_type, etag=answer.etag, modified=answer.modified,
                moved_to=answer.address if answer.address != id else "",
            )  # fmt: skip
        else:
            told = f"the server answers {answer.status}"
            store.set("address", id=id, checked=_now_ms(), status=answer.status, problem=told)
            if answer.is_gone:
                store.set("address", id=id, gone=(known and known.gone) or _now_ms())
            if answer.is_gone and role is Role.PRODUCT:
                # Unset, so that the same page is read again if it comes back.
                store.set("address", id=id, content=None, etag="", modified="")
                _leave(store, id, asked)

    @motion.trigger(
        on="retailer.img_url",
        sets="retailer.image",
        when=lambda row: is_web(row.img_url),
        retries=4,
        concurrency=8,
    )
    def fetch_picture(id: int, img_url: str, store: motion.View) -> bytes | None:
        """Address to picture, checked whole."""
        from fashion_search.fetching import NotFetched
        from fashion_search.picture_files import check_picture
        from fashion_search.products import Unusable

        try:
            answer = shops.fetcher().get(img_url, limit=MAX_PICTURE_BYTES)
            if answer.status != 200:
                raise NotFetched(img_url, f"the server answers {answer.status}")
            check_picture(answer.content)
        except (NotFetched, Unusable) as exc:
            store.set("retailer", id=id, img_problem=str(exc))
            return None
        store.set("retailer", id=id, img_problem="")
        return answer.content

    return [fetch, read, fetch_picture, look_again]


@motion.trigger(on="address.content", retries=1)
def read(
    id: str, content: bytes, content_type: str, moved_to: str, role: Role, retailer: Retailer, source: str, hops: int,
    asked: int, store: motion.View,
) -> None:  # fmt: skip
    """Content to products and further addresses. What is damaged changes nothing, and says so."""
    from fashion_search.feeds import read_contents
    from fashion_search.products import BadRow, CatalogError, Product

    try:
        found = read_contents(
            content, retailer.name.lower(), id, content_type=content_type, base=moved_to or id
        )
        told = list(found.products)
    except CatalogError as exc:
        store.set("address", id=id, problem=str(exc))
        return
    products = [each for each in told if isinstance(each, Product)]
    bad = [each for each in told if isinstance(each, BadRow)]
    if not told and not found.links and not found.further:
        store.set("address", id=id, problem="it tells of no product, and leads to none")
    if bad:
        shown = f"{len(bad):,} of {len(told):,} are no products; the first, {bad[0].source_id!r}: {bad[0].reason}"
        store.set("address", id=id, problem=shown)
    if found.is_whole:
        _replace_all(store, id, products, bad, retailer)
    elif products or role is Role.PRODUCT:
        _replace_one(store, id, products, asked, is_elsewhere=bool(moved_to))
    if role is Role.LIST:
        further = [each for each in found.further if each != id]
        _follow(store, found.links, Role.PRODUCT, retailer, source, hops, asked)
        goes_on = (hops + 1) % HOPS_IN_ONE_GO != 0
        _follow(store, further, Role.LIST, retailer, source, hops + 1, asked if goes_on else None)


def _follow(
    store: motion.View, addresses: Sequence[str], role: Role, retailer: Retailer, source: str, hops: int, asked: int | None
) -> None:  # fmt: skip
    # Asked in this round already: the same value is no change, so each is fetched once in a round.
    shared = {"role": role, "retailer": retailer, "source": source, "hops": hops, "asked": asked}
    store.set_many("address", [{"id": each, **shared} for each in addresses if each != source])


def _replace_all(
    store: motion.View, address: str, products: Sequence[Product], bad: Sequence[BadRow], retailer: Retailer
) -> None:  # fmt: skip
    """Write what a feed tells of; what it told of and does no longer is removed. A feed of nothing is a fault of the shop's.

    A row that is no product today still tells that its product is there; while one cannot be read at all, nothing is removed.
    Of what is told of in pages, each may have moved to one that was fetched before.
    """
    from fashion_search.listings import is_listing

    rows = _rows_of(address, products)
    if not rows:
        return
    store.set_many("retailer", [row | {"missed": False} for row in rows], by="sku")
    told = {row["sku"] for row in rows} | {f"{retailer.name.lower()}/{each.source_id}" for each in bad}  # fmt: skip
    held = store.rows(RetailerSchema, where={"found_on": address}, keys=("sku", "missed"))
    missing = [row for row in held if row.sku not in told]
    most = 0 if is_listing(address) else max(2, DOUBTED_SHARE * len(held))
    is_doubted = len(missing) > most
    store.set("address", id=address, doubted=is_doubted)
    if not missing or any(each.is_damaged for each in bad):
        return
    for row in missing:
        if row.missed or not is_doubted:
            store.delete("retailer", row.id)
        else:
            store.set("retailer", id=row.id, missed=True)
    if is_doubted:
        said = f"it tells of {len(missing):,} products less than the {len(held):,} before; they go when the next round finds the same"
        store.set("address", id=address, problem=said)


def _believe(store: motion.View, address: str) -> None:
    """Remove what a feed does not tell of for the second time."""
    for row in store.rows(RetailerSchema, where={"found_on": address}, keys=("missed",)):
        if row.missed:
            store.delete("retailer", row.id)
    store.set("address", id=address, doubted=False, problem="")


def _rows_of(address: str, products: Sequence[Product]) -> list[dict[str, Any]]:
    from fashion_search.ingest import row_of

    return [row_of(each) | {"found_on": address} for each in products]


def _replace_one(
    store: motion.View, address: str, products: Sequence[Product], asked: int, *, is_elsewhere: bool
) -> None:
    """Write a page's product; another one that it told of is removed. A product has one page, the first that told of it.

    A page that tells of none any more may be a shop's being repaired: its product stays, and cannot be bought. One that
    leads elsewhere is gone.
    """
    if not products and not is_elsewhere:
        for known in store.rows(RetailerSchema, where={"found_on": address}, keys=("sku",)):
            store.set("retailer", id=known.id, in_stock=False)
        store.set("address", id=address, problem="the page tells of no product")
        return
    rows = []
    for row in _rows_of(address, products):
        other = _other_home(store, row["sku"], address)
        store.set("address", id=address, same_as=other)
        if not other:
            rows.append(row)
    if rows:
        store.set_many("retailer", rows, by="sku")
    _leave(store, address, asked, keep={row["sku"] for row in rows})


def _other_home(store: motion.View, sku: str, address: str) -> str:
    for row in store.rows(RetailerSchema, where={"sku": sku}, keys=("found_on",)):
        if row.found_on and row.found_on != address:
            home = store.get(AddressSchema, row.found_on, keys=("status",))
            if home is not None and home.status == 200:
                return row.found_on
    return ""


def _leave(
    store: motion.View, address: str, asked: int, keep: frozenset[str] | set[str] = frozenset()
) -> None:
    """Remove what only this address told of; another address of it is looked at anew."""
    gone = [
        row
        for row in store.rows(RetailerSchema, where={"found_on": address}, keys=("sku",))
        if row.sku not in keep
    ]
    for row in gone:
        store.delete("retailer", row.id)
    if not gone:
        return
    for other in store.rows(AddressSchema, where={"same_as": address}, keys=("asked",)):
        store.set("address", id=other.id, content=None, etag="", modified="", same_as="")
        store.set("address", id=other.id, asked=max(asked, other.asked or 0) + 1)


@motion.trigger(on=motion.every(minutes=1))
def look_again(store: motion.View | motion.Store) -> None:
    """Ask the sources that are due, and go on with lists that were too long for one cascade."""
    now = _now_ms()
    for source in store.rows(AddressSchema, where="every_s > 0 AND id = source"):
        if (source.asked or 0) + 1_000 * source.every_s <= now:
            for address in _to_ask(store, source.id):
                store.set("address", id=address, asked=now)
    for address in _left_to_ask(store):
        store.set("address", id=address, asked=now)


# --- from outside ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Round:
    """What one round over the shops came to."""

    changed: int  # addresses that were new or gave something else
    same: int
    gone: int
    refused: int  # not asked, or answered with an error


def ask(store: motion.Store, sources: Mapping[str, str], every_s: float | None = None) -> None:
    """Have addresses looked at, and all that was found from them before.

    Args:
        sources: addresses of feeds, sitemaps, listings or products, and whose they are.
        every_s: look again that often, in whichever process works on the store; None: as it was; 0: no more.
    """
    from fashion_search.products import plain_address

    now = _now_ms()
    with store.transaction() as tx:
        for address, retailer in sources.items():
            plain = plain_address(address)
            tx.set(
                "address", id=plain, role=Role.LIST, retailer=Retailer[retailer.upper()], source=plain, hops=0, asked=now,
            )  # fmt: skip
            if every_s is not None:
                tx.set("address", id=plain, every_s=every_s)
            for known in _to_ask(store, plain):
                tx.set("address", id=known, asked=now)


def crawl(store: motion.Store, sources: Mapping[str, str], every_s: float | None = None) -> Round:
    """Look at addresses, and all that is found from them, to the end. What fails again and again is in `store.errors()`."""
    started = _now_ms()
    ask(store, sources, every_s)
    store.wait()
    while left := _left_to_ask(store):
        with store.transaction() as tx:
            for address in left:
                tx.set("address", id=address, asked=_now_ms())
        store.wait()
    return _round_since(store, started)


def _to_ask(store: motion.Store | motion.View, source: str) -> list[str]:
    """Return the addresses of a source that are due. One that is gone is asked as long after the last time as it had been
    gone by then: it may come back, and is forgotten more and more."""
    query = """
        SELECT id FROM address WHERE source = ?
        AND (id = source OR gone IS NULL OR gone = 0 OR ? - checked >= checked - gone)"""
    return list(map(str, store.sql(query, [source, _now_ms()])["id"].to_pylist()))


def _left_to_ask(store: motion.Store | motion.View) -> list[str]:
    return list(map(str, store.sql("SELECT id FROM address WHERE asked IS NULL")["id"].to_pylist()))


def _round_since(store: motion.Store, started: int) -> Round:
    query = """
        SELECT SUM(CASE WHEN changed >= ? THEN 1 ELSE 0 END) AS changed,
               SUM(CASE WHEN status = 200 AND (changed IS NULL OR changed < ?) THEN 1 ELSE 0 END) AS same,
               SUM(CASE WHEN status IN (404, 410) THEN 1 ELSE 0 END) AS gone,
               SUM(CASE WHEN status NOT IN (200, 404, 410) THEN 1 ELSE 0 END) AS refused
        FROM address WHERE checked >= ?"""
    counts = store.sql(query, [started] * 3).to_pylist()[0]
    return Round(*(counts[name] or 0 for name in ("changed", "same", "gone", "refused")))
