"""Product pages: what is read from which markup, and that no page breaks the reader."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fashion_search import garments
from fashion_search.pages import Page, plain_text, product_text, read_page, summarise

DATA = Path(os.environ.get("MOTION_DATA", Path(__file__).parents[4] / "shared" / "data"))
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="the fashion data pack is not here; set MOTION_DATA"
)


def fixture(name: str) -> str:
    return (DATA / "fixtures" / name).read_text(encoding="utf-8")


def page_with(product: object, head: str = "") -> str:
    return f'<html><head>{head}<script type="application/ld+json">{json.dumps(product)}</script></head></html>'


DRESS = {
    "@type": "Product",
    "name": "Red dress",
    "description": "<p>Made of <b>linen</b> &amp; silk.</p>",
    "image": ["https://shop.example/1.jpg", "https://shop.example/2.jpg"],
    "brand": {"@type": "Brand", "name": "Acme"},
    "color": "Red",
    "offers": {"@type": "Offer", "price": "49.50", "priceCurrency": "EUR"},
}


def test_json_ld_is_read() -> None:
    assert read_page(page_with(DRESS)) == Page(
        title="Red dress",
        description="Made of linen & silk.",
        image_url="https://shop.example/1.jpg",
        price=49.5,
        currency="EUR",
        brand="Acme",
        colour="Red",
    )


@pytest.mark.parametrize(
    "wrapped",
    [
        [{"@type": "WebSite", "name": "Shop"}, DRESS],
        {"@graph": [{"@type": "BreadcrumbList"}, DRESS]},
        {"@type": "ItemPage", "mainEntity": DRESS},
        {**DRESS, "@type": ["Thing", "http://schema.org/Product"]},
    ],
)
def test_the_product_is_found_wherever_json_ld_holds_it(wrapped: object) -> None:
    assert read_page(page_with(wrapped)).title == "Red dress"


@pytest.mark.parametrize(
    "broken",
    [
        '{"@type": "Product", "name": "Red\ndress", }',
        '{"@type": "Product", // the kind\n "name": "Red dress"}',
        '<!-- {"@type": "Product", "name": "Red dress"} -->',
        '//<![CDATA[\n{"@type": "Product", "name": "Red dress"}\n//]]>',
        '{"@type": "Product", /* say */ "name": "Red dress",};',
    ],
)
def test_json_ld_with_usual_mistakes_is_repaired(broken: str) -> None:
    page = f'<script type="application/ld+json">{broken}</script>'
    assert read_page(page).title.split() == ["Red", "dress"]


def test_an_address_in_a_string_is_no_comment() -> None:
    product = '{"@type": "Product", "image": "https://shop.example/a.jpg", /* x */ "name": "Cap"}'
    page = read_page(f'<script type="application/ld+json">{product}</script>')
    assert page.image_url == "https://shop.example/a.jpg"


def test_hopeless_json_ld_is_passed_over() -> None:
    page = '<script type="application/ld+json">{"@type": </script><meta property="og:title" content="Cap">'
    assert read_page(page).title == "Cap"


def test_each_field_comes_from_the_best_source_that_has_it() -> None:
    head = (
        '<meta property="og:title" content="Other"><meta property="og:image" content="/p.jpg">'
        '<link rel="canonical" href="https://shop.example/s/cap">'
        '<meta name="description" content="A cap.">'
    )
    page = read_page(page_with({"@type": "Product", "name": "Cap"}, head))
    assert (page.title, page.image_url, page.description) == (
        "Cap",
        "https://shop.example/p.jpg",
        "A cap.",
    )


def test_without_markup_the_title_without_the_shop_is_taken() -> None:
    assert read_page("<title>Red dress | Shop</title>").title == "Red dress"


@pytest.mark.parametrize(
    ("written", "price"),
    [
        ("$1,299.00", 1299.0),
        ("1.299,00 €", 1299.0),
        ("1299", 1299.0),
        ("1 299,5", 1299.5),
        ("free", None),
    ],
)
def test_prices_are_read_as_shops_write_them(written: str, price: float | None) -> None:
    product = {"@type": "Product", "name": "Cap", "offers": [{"price": written}]}
    assert read_page(page_with(product)).price == price


def test_the_lowest_of_a_range_of_prices_is_taken() -> None:
    product = {"@type": "Product", "name": "Cap", "offers": {"lowPrice": 5, "highPrice": 9}}
    assert read_page(page_with(product)).price == 5.0


@pytest.mark.data
@needs_data
def test_a_page_in_the_shape_of_nordstrom_is_read() -> None:
    page = read_page(fixture("nordstrom_pdp.html"))
    assert page.title == "Nike Men's Air 180 White Shoe"
    assert (page.price, page.currency, page.brand, page.colour) == (207.0, "USD", "Nike", "White")
    assert page.image_url.startswith("https://n.nordstrommedia.example/")
    assert summarise(page) == "Nike Men's Air 180 White Shoe; 100% cotton"


@pytest.mark.data
@needs_data
def test_a_page_in_the_shape_of_revolve_is_read() -> None:
    page = read_page(fixture("revolve_pdp.html"))
    assert (page.price, page.currency, page.brand) == (49.0, "USD", "Cobblerz")
    assert page.image_url == "https://is4.revolveassets.example/images/p4/n/z/WWQS-WZ560_V1.jpg"
    assert summarise(page) == "Cobblerz Women Pink Sandals in Pink; Self: 100% cotton; Zip closure"


@pytest.mark.data
@needs_data
@pytest.mark.parametrize("kind", ["microdata", "itemref"])
def test_real_microdata_is_read(kind: str) -> None:
    page = read_page(fixture(f"real_schema_org_product_{kind}.html"))
    assert page == Page(
        title="Executive Anvil",
        description="Sleeker than ACME's Classic Anvil, the Executive Anvil is perfect for the business "
        "traveler looking for something to drop from a height.",
        image_url="anvil_executive.jpg",
        price=119.99,
        currency="USD",
        brand="ACME",
    )


@pytest.mark.data
@needs_data
def test_real_json_ld_products_are_read() -> None:
    lines = fixture("real_schema_org_product_jsonld.jsonl").splitlines()
    pages = [read_page(page_with(json.loads(line))) for line in lines]
    assert [page.title for page in pages] == [json.loads(line)["name"] for line in lines]
    assert [page.price for page in pages] == [55.0, 1250.0, None, None, None]


@pytest.mark.data
@needs_data
@pytest.mark.parametrize("name", ["with_control_characters", "with_js_comment"])
def test_real_pages_without_a_product_give_an_empty_page(name: str) -> None:
    assert read_page(fixture(f"real_jsonld_{name}.html")) == Page()


def test_the_pages_of_drawn_garments_are_read() -> None:
    garment = garments.catalog("nordstrom", 1)[0]
    page = read_page(garments.page_html(garment, "https://www.nordstrom.example/s/1"))
    assert page.title == garment.title
    assert garment.description in page.description
    assert page.price == garment.price_usd


@given(st.text())
@example("index.html")
@example("https://shop.example/1")
def test_no_text_breaks_the_reader(text: str) -> None:
    summarise(read_page(text))


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["@type", "@graph", "name", "offers", "price", "image", "brand", "Product"]
                ),
                inner,
            )
        ),
    )
)
def test_no_json_ld_breaks_the_reader(value: object) -> None:
    read_page(page_with(value))
    read_page(page_with({"@type": "Product", "name": value, "offers": value, "image": value}))


@given(title=st.text(max_size=400), description=st.text(max_size=2_000), brand=st.text(max_size=50))
def test_a_summary_is_one_short_line(title: str, description: str, brand: str) -> None:
    summary = summarise(
        read_page(
            page_with(
                {"@type": "Product", "name": title, "description": description, "brand": brand}
            )
        )
    )
    assert len(summary) <= 200
    assert len(summary.splitlines()) <= 1


def test_a_summary_says_nothing_twice_and_leaves_the_care_label_out() -> None:
    page = Page(
        title="Acme red linen dress",
        brand="Acme",
        colour="Red",
        description="Machine wash. Puff sleeves.",
    )
    assert summarise(page) == "Acme red linen dress; Puff sleeves"


def test_tags_and_entities_become_text() -> None:
    html = "<p>ADIDAS Women Pink Handbag &amp; more</p><ul><li>Dry clean</li></ul>"
    assert plain_text(html) == "ADIDAS Women Pink Handbag & more. Dry clean"


@given(
    st.text(
        alphabet=st.characters(exclude_characters="<&", exclude_categories=["Cs", "Cc"])
        | st.sampled_from("\n\r\t"),
        max_size=200,
    )
)
def test_plain_text_stays_as_it_is_but_for_blanks(text: str) -> None:
    assert "".join(plain_text(text).split()) == "".join(text.split())


@pytest.mark.parametrize(
    "script",
    [
        "/* " * 60_000,
        '"\\' * 40_000,
        '"' * 60_000,
        "{" * 60_000,
        '{"a": "' + "\\" * 60_001,
        "// " * 60_000,
        "[1," + " ," * 60_000,
    ],
    ids=["comments", "quotes", "quotation marks", "braces", "backslashes", "slashes", "commas"],
)
def test_no_crafted_script_takes_longer_than_its_length_asks_for(script: str) -> None:
    started = time.process_time()
    read_page(f'<script type="application/ld+json">{script}</script>')
    assert time.process_time() - started < 5  # it took minutes


def test_a_page_may_nest_and_refer_as_it_likes() -> None:
    places = "".join(f"<i id=i{k} itemprop=name>" for k in range(1_500))
    refers = " ".join(f"i{k}" for k in range(1_500))
    page = f"{places}<b>Red dress</b><div itemscope itemtype='Product' itemref='{refers}'>"
    assert read_page(page).title == "Red dress"


def test_half_an_emoji_is_no_part_of_a_text() -> None:
    page = read_page(page_with({"@type": "Product", "name": "Red \ud83d dress \ud83d\ude00"}))
    assert page.title == "Red \ufffd dress \U0001f600"
    assert summarise(page).encode()
    assert plain_text("a \udc00 b") == "a \ufffd b"


@pytest.mark.parametrize(
    ("title", "description", "text"),
    [
        ("Red Hat", "Made of wool.", "Red Hat. Made of wool."),
        ("Red Hat", "Red hat", "Red hat"),
        ("Red Hat", "Red hat made of wool", "Red hat made of wool"),
        (None, "Red hat", "Red hat"),
        ("Red Hat", "", "Red Hat"),
        (None, None, ""),
    ],
)
def test_title_and_description_do_not_say_the_same_twice(
    title: str | None, description: str | None, text: str
) -> None:
    assert product_text(title, description) == text


def test_a_page_of_tags_in_tags_is_read_as_far_as_pages_go() -> None:
    nested = "<div>" * 300_000 + "<meta property='og:title' content='Cap'>"
    assert read_page(f"<title>Hat</title>{nested}").title == "Hat"
    assert plain_text("<div>" * 30_000 + "Hat") == "Hat"
