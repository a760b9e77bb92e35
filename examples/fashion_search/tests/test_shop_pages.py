"""Pages of shops: which product a page is about, and which links of a listing lead to products."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fashion_search.products import Draft, Product, Unusable
from fashion_search.shop_pages import read_shop_page
from fashion_search.tables import Variant

DATA = Path(os.environ.get("MOTION_DATA", Path(__file__).parents[4] / "shared" / "data"))
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="the fashion data pack is not here; set MOTION_DATA"
)
HERE = "https://shop.example/s/red-dress/4711"


def script(value: object) -> str:
    return f'<script type="application/ld+json">{json.dumps(value)}</script>'


def draft_of(html: str, address: str = HERE) -> Draft:
    found = read_shop_page(html, address).product
    assert found is not None
    return found


def product_of(html: str, address: str = HERE) -> Product:
    return draft_of(html, address).product("nordstrom", address)


DRESS = {
    "@type": "Product",
    "name": "Red dress",
    "image": ["/1.jpg", {"@type": "ImageObject", "contentUrl": "/2.jpg"}],
    "color": "Red",
    "offers": {"price": "1.299,00", "priceCurrency": "EUR", "availability": "InStock"},
}


def test_a_product_page_gives_its_product_with_all_pictures() -> None:
    product = product_of(script(DRESS))
    assert product.img_urls == ("https://shop.example/1.jpg", "https://shop.example/2.jpg")
    assert product.variants == (Variant("Red", None, 1299.0, True),)
    assert (product.link, product.currency) == (HERE, "EUR")


def test_a_group_of_variants_is_one_product() -> None:
    def variant(size: str, price: str, stock: str) -> dict[str, object]:
        offers = {"@type": "Offer", "price": price, "availability": f"https://schema.org/{stock}"}
        return {"@type": "Product", "size": size, "color": "Red", "image": f"/{size}.jpg", "offers": offers}  # fmt: skip

    group = {
        "@type": "ProductGroup", "name": "Red dress", "productGroupID": "G7", "image": "/1.jpg",
        "hasVariant": [variant("S", "49.50", "InStock"), variant("M", "59.50", "OutOfStock")],
    }  # fmt: skip
    product = product_of(script(group))
    assert product.source_id == "G7"
    assert product.variants == (
        Variant("Red", "S", 49.5, True, "https://shop.example/S.jpg"),
        Variant("Red", "M", 59.5, False, "https://shop.example/M.jpg"),
    )


@pytest.mark.parametrize(
    ("address", "source_id"),
    [
        ("https://www.bloomingdales.example/shop/product/blue-shirt?ID=1881331&x=1", "1881331"),
        ("https://www.revolve.example/pink-sandals/dp/WWQS-WZ560/?d=Womens", "WWQS-WZ560"),
        ("https://www.nordstrom.example/s/air-shoe/8084365", "8084365"),
        ("https://shop.example/products/red-dress", "red-dress"),
        ("https://shop.example/red-dress-12345.html", "12345"),
    ],
)
def test_the_shops_own_id_is_read_from_the_address_that_holds_it(
    address: str, source_id: str
) -> None:
    page = script({**DRESS, "sku": "RED-S"})  # of the variant that the page happens to show
    assert product_of(page, address).source_id == source_id


def test_an_id_that_the_page_tells_goes_before_the_address() -> None:
    assert product_of(script({**DRESS, "productID": "sku:P9"})).source_id == "P9"
    hidden = '<input type="hidden" id="productCode" value="WW-1">'
    assert product_of(script(DRESS) + hidden).source_id == "WW-1"


def test_the_address_that_a_page_gives_itself_counts_on_its_own_host_only() -> None:
    own = '<link rel="canonical" href="/s/red-dress/4712">'
    other = '<link rel="canonical" href="https://elsewhere.example/s/x/1">'
    assert product_of(script(DRESS) + own).link == "https://shop.example/s/red-dress/4712"
    assert product_of(script(DRESS) + other).link == HERE


def test_related_products_are_not_the_product_of_the_page() -> None:
    related = {"@type": "ItemList", "itemListElement": [{"item": {**DRESS, "name": "Other"}}]}
    assert draft_of(script(related) + script(DRESS)).title == "Red dress"


def test_microdata_of_one_product_is_read() -> None:
    product = product_of(
        "<div itemscope itemtype='https://schema.org/Product'><b itemprop=name>Cap</b><img itemprop=image src=' /cap.jpg '>"
        "<div itemprop=offers itemscope><meta itemprop=priceCurrency content=USD><b itemprop=price>$1,299.50 </b>"
        "<link itemprop=availability href=' http://schema.org/OutOfStock '></div></div>"
    )
    assert product.variants == (Variant(None, None, 1299.5, False),)
    assert product.img_url == "https://shop.example/cap.jpg"


def test_a_listing_gives_the_links_of_products_and_its_next_page() -> None:
    page = read_shop_page(
        """<a class="card product-link" href="/red/dp/AA-1/?utm_source=x&amp;d=Womens">one</a>
        <a href="//shop.example/blue/dp/BB-2/#top">two</a><a href="/red/dp/AA-1/?d=Womens">one again</a>
        <a href="https://click.example/go?to=https%3A%2F%2Fshop.example%2Fgreen%2Fdp%2FCC-3%2F">through an affiliate</a>
        <a href="https://elsewhere.example/dp/DD-4/">another shop's</a><a href="javascript:buy('/dp/EE-5/')">a script</a>
        <a href="/imprint">no product</a><a rel="next" href="?page=2">more</a>""",
        "https://shop.example/dresses",
    )
    assert page.product is None
    assert page.links == [
        "https://shop.example/red/dp/AA-1/?d=Womens",
        "https://shop.example/blue/dp/BB-2/",
        "https://shop.example/green/dp/CC-3/",
    ]
    assert page.further == ["https://shop.example/dresses?page=2"]


def test_products_in_a_list_are_links() -> None:
    items = [{"@type": "ListItem", "url": "/s/a/1"}, {"item": {**DRESS, "url": "/s/b/2"}}]
    page = read_shop_page(
        script({"@type": "ItemList", "itemListElement": items}) + "<a href='/s/a/1'>a</a>",
        "https://shop.example/",
    )
    assert sorted(page.links) == ["https://shop.example/s/a/1", "https://shop.example/s/b/2"]


@settings(max_examples=30, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    "@type @graph name offers price image brand hasVariant sku Product url color size".split()
                ),
                inner,
            )
        ),
    )
)
def test_no_json_ld_breaks_the_reader(value: object) -> None:
    for product in (
        {"@type": "Product", "name": "x", "offers": value, "image": value, "hasVariant": value, "sku": value},
        {"@type": "ItemList", "itemListElement": value},
        value,
    ):  # fmt: skip
        found = read_shop_page(script(product), HERE).product
        if found is not None:
            with contextlib.suppress(Unusable):
                found.product("nordstrom", HERE)


@pytest.mark.parametrize(
    "html",
    [
        script({"@type": "Product", "hasVariant": [DRESS] * 4_000}),
        script({"@graph": [{"@type": "Product", "name": "x"}] * 10_000}),
        script([[[[[[]]]]]] * 10_000),
        "<div itemscope itemtype=Product>" * 1_500,
        "<a class=product-link href=/x>" * 6_000,
        "<div itemscope itemtype=Product itemref='a'><i id=a itemprop=offers itemscope itemref=a>"
        * 300,
        f"<div itemscope itemtype=Product itemref='{' '.join(f'i{k}' for k in range(50))}'></div>"
        * 2_000
        + "".join(f"<i id=i{k} itemprop=x></i>" for k in range(50)),
        "<div itemscope itemtype=Product>" + "<i itemprop=name>" * 6_000,
    ],
    ids=["variants", "graph", "lists", "scopes", "links", "references", "named", "nested"],
)
def test_no_crafted_page_holds_the_reader(html: str) -> None:
    started = time.process_time()
    read_shop_page(html, HERE)
    assert time.process_time() - started < 15


@pytest.mark.data
@needs_data
def test_a_listing_in_the_shape_of_revolve_leads_to_its_products() -> None:
    html = (DATA / "fixtures" / "revolve_plp.html").read_text("utf-8")
    page = read_shop_page(html, "https://www.revolve.example/dresses/")
    assert len(page.links) == 12
    assert page.links[0].startswith(
        "https://www.revolve.example/cobblerz-women-pink-sandals/dp/WWQS-WZ560/"
    )


@pytest.mark.data
@needs_data
def test_a_page_in_the_shape_of_revolve_tells_sizes_and_which_are_out_of_stock() -> None:
    html = (DATA / "fixtures" / "revolve_pdp.html").read_text("utf-8")
    product = product_of(html, "https://www.revolve.example/x/dp/WWQS-WZ560/")
    assert product.sizes == ["S", "M", "L"]
    assert [each.in_stock for each in product.variants] == [False, True, True, True]
