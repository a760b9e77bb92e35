"""Catalogs: every row becomes a product or a bad row that says why, and nothing else is lost."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import os
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from fashion_search.catalogs import (
    RETAILERS,
    BadRow,
    CatalogError,
    Product,
    drawn_catalogs,
    read_catalog,
    report,
)
from fashion_search.cells import Cells
from fashion_search.pages import read_page
from fashion_search.rows import products_of

DATA = Path(os.environ.get("MOTION_DATA", Path(__file__).parents[4] / "shared" / "data"))
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="the fashion data pack is not here; set MOTION_DATA"
)


def a_photo(size: tuple[int, int] = (60, 80), *, mode: str = "RGB", format_: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert(mode).save(file, format_)
    return file.getvalue()


PHOTO = a_photo()


def a_row(**cells: object) -> dict[str, object]:
    return {"id": "1", "title": "Red dress", "image": PHOTO, **cells}


def a_parquet(folder: Path, *rows: dict[str, object], name: str = "revolve.parquet") -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows)), folder / name)
    return folder / name


def a_csv(
    folder: Path, header: Sequence[str], *rows: Sequence[str], name: str = "revolve.csv"
) -> Path:
    with (folder / name).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return folder / name


def products(rows: Iterable[Product | BadRow]) -> list[Product]:
    return [row for row in rows if isinstance(row, Product)]


def reasons(rows: Iterable[Product | BadRow]) -> list[str]:
    return [row.reason for row in rows if isinstance(row, BadRow)]


def the_only_product(rows: Iterable[Product | BadRow]) -> Product:
    [row] = rows
    assert isinstance(row, Product), row
    return row


def the_only_reason(rows: Iterable[Product | BadRow]) -> str:
    [row] = rows
    assert isinstance(row, BadRow), row
    return row.reason


# --- what a row becomes ---------------------------------------------------------------------------


def test_a_row_becomes_a_product(tmp_path: Path) -> None:
    row = a_row(
        id=7,
        description="Made of <b>linen</b>.",
        link="https://www.revolve.example/red-dress/dp/X/",
        html="<title>Red dress</title>",
        category="Dresses",
        kids=False,
        season=None,
        source="shoot 3",
    )
    assert the_only_product(read_catalog(a_parquet(tmp_path, row))) == Product(
        retailer="revolve",
        source_id="7",
        img_url="catalog:revolve/7",
        title="Red dress",
        description="Made of linen.",
        link="https://www.revolve.example/red-dress/dp/X/",
        html="<title>Red dress</title>",
        image=PHOTO,
        labels={"category": "Dresses", "kids": "False"},
        source="shoot 3",
    )


@pytest.mark.parametrize(
    ("mode", "format_"),
    [
        ("CMYK", "JPEG"),
        ("L", "JPEG"),
        ("RGBA", "PNG"),
        ("P", "GIF"),
        ("RGB", "WEBP"),
        ("RGB", "AVIF"),
        ("1", "PNG"),
    ],
)
def test_a_picture_of_any_usual_kind_is_kept_byte_for_byte(
    mode: str, format_: str, tmp_path: Path
) -> None:
    photo = a_photo(mode=mode, format_=format_)
    path = a_parquet(tmp_path, a_row(image=photo))
    assert the_only_product(read_catalog(path)).image == photo


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"id": None}, "no id"),
        ({"id": "  "}, "no id"),
        ({"image": b""}, "no image: the cell is empty"),
        ({"image": None}, "no image: the cell is empty"),
        ({"image": PHOTO[:-40]}, "the image is damaged"),
        (
            {"image": b"<html><title>404</title></html>"},
            "the image is no picture; it begins b'<html>",
        ),
        ({"image": a_photo((1, 1))}, "the image has 1 x 1 pixels"),
        ({"image": a_photo((256, 8))}, "the image has 256 x 8 pixels; a side needs at least 16"),
        ({"title": " \t"}, "no title, no description"),
    ],
)
def test_a_row_that_is_no_product_says_why(
    cells: dict[str, object], reason: str, tmp_path: Path
) -> None:
    # A sound row first, so that Parquet has a type for each column.
    sound = a_row(id="0", link="")
    rows = list(read_catalog(a_parquet(tmp_path, sound, a_row(**{"link": "", **cells}))))
    [bad] = rows[1:]
    assert isinstance(bad, BadRow)
    assert bad.reason.startswith(reason)
    assert (bad.catalog, bad.row_number) == ("revolve.parquet", 2)


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "java\tscript:alert(1)",
        "data:text/html,x",
        "https://[oops",
        "https://shop.example@elsewhere.example/",
        "mailto:a@b.example",
        "file:///etc/passwd",
    ],
)
def test_what_is_no_web_address_is_no_link(link: str, tmp_path: Path) -> None:
    path = a_parquet(tmp_path, a_row(link=link))
    assert the_only_product(read_catalog(path)).link == ""


def test_a_picture_of_the_wrong_type_is_named(tmp_path: Path) -> None:
    path = a_parquet(tmp_path, a_row(image=[1, 2, 3]))
    assert the_only_reason(read_catalog(path)).startswith("the image is [1, 2, 3], neither bytes")


def test_of_rows_with_one_id_the_first_usable_one_is_taken(tmp_path: Path) -> None:
    path = a_parquet(tmp_path, a_row(image=b"x"), a_row(title="second"), a_row(title="third"))
    found = list(read_catalog(path))
    assert [product.title for product in products(found)] == ["second"]
    assert reasons(found)[1] == "duplicate id: an earlier row of revolve has it"


def test_one_id_at_two_retailers_is_two_products(tmp_path: Path) -> None:
    path = a_parquet(tmp_path, a_row(retailer="revolve"), a_row(retailer="Nordstrom"))
    assert [p.retailer for p in products(read_catalog(path))] == ["revolve", "nordstrom"]


def test_a_title_that_is_missing_is_read_from_the_link(tmp_path: Path) -> None:
    row = a_row(
        title=None, description=None, link="https://x.example/s/red-linen-dress/7?a=b-c-d-e-f"
    )
    path = a_parquet(tmp_path, a_row(id="0", description="x", link=""), row)
    assert products(read_catalog(path))[1].title == "Red linen dress"


def test_a_link_through_an_affiliate_becomes_the_page_it_leads_to(tmp_path: Path) -> None:
    link = "https://click.example/?id=1&murl=https%3A%2F%2Fwww.revolve.example%2Fred%2F%3Fa%3D1"
    found = the_only_product(read_catalog(a_parquet(tmp_path, a_row(link=link))))
    assert found.link == "https://www.revolve.example/red/?a=1"


def test_a_relative_link_is_completed_with_the_host_of_the_links_before_it(tmp_path: Path) -> None:
    path = a_parquet(
        tmp_path,
        a_row(id="1", link="/too/early"),
        a_row(id="2", link="https://www.revolve.example/a"),
        a_row(id="3", link="/s/red"),
    )
    links = [product.link for product in products(read_catalog(path))]
    assert links == ["", "https://www.revolve.example/a", "https://www.revolve.example/s/red"]


def test_the_web_address_of_a_picture_is_its_name(tmp_path: Path) -> None:
    row = a_row(image_url="https://img.example/1.jpg")
    found = the_only_product(read_catalog(a_parquet(tmp_path, row)))
    assert found.img_url == "https://img.example/1.jpg"


# --- whose products they are ----------------------------------------------------------------------


def test_the_retailer_that_is_given_beats_the_column(tmp_path: Path) -> None:
    path = a_parquet(tmp_path, a_row(retailer="saks"))
    assert the_only_product(read_catalog(path, "nordstrom")).retailer == "nordstrom"


def test_an_unknown_retailer_in_a_row_is_a_bad_row(tmp_path: Path) -> None:
    path = a_parquet(tmp_path, a_row(retailer="nordstorm"))
    assert the_only_reason(read_catalog(path)) == (
        "unknown retailer 'nordstorm'; it is one of nordstrom, revolve, bloomingdales; "
        "did you mean 'nordstrom'?"
    )


def test_a_file_that_does_not_say_whose_it_is_asks(tmp_path: Path) -> None:
    path = a_parquet(tmp_path, a_row(), name="products.parquet")
    with pytest.raises(CatalogError, match=r"--catalog nordstrom=products\.parquet"):
        read_catalog(path)


def test_an_unknown_retailer_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="unknown retailer 'saks'"):
        read_catalog(a_parquet(tmp_path, a_row()), "saks")


# --- columns and files ----------------------------------------------------------------------------


def test_columns_are_known_by_their_usual_other_names(tmp_path: Path) -> None:
    row = {
        "Product ID": 1,
        "NAME": "Red dress",
        "image-bytes": PHOTO,
        "productUrl": "https://x.example/",
    }
    found = the_only_product(read_catalog(a_parquet(tmp_path, row)))
    assert (found.source_id, found.title, found.link) == ("1", "Red dress", "https://x.example/")


def test_a_missing_column_names_what_was_found_and_what_is_near(tmp_path: Path) -> None:
    path = a_parquet(tmp_path, {"idd": "1", "title": "Red dress", "image": PHOTO})
    with pytest.raises(
        CatalogError, match=r"no column id; it has idd, title, image\. Did you mean 'idd'"
    ):
        read_catalog(path)


@pytest.mark.parametrize("left_out", ["title", "image"])
def test_each_required_column_is_asked_for(left_out: str, tmp_path: Path) -> None:
    row = a_row()
    del row[left_out]
    with pytest.raises(CatalogError, match=f"no column {left_out} or"):
        read_catalog(a_parquet(tmp_path, row))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("revolve.parquet", b"PAR1 and no more", "damaged, or no Parquet file"),
        ("revolve.xlsx", b"PK", ".xlsx is not read"),
        ("revolve.csv", b"", "empty"),
    ],
)
def test_a_file_that_is_no_catalog_is_an_error_at_once(
    name: str, content: bytes, reason: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CatalogError, match=reason):
        read_catalog(tmp_path / name)


def test_a_path_that_is_not_there_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="no such file or folder"):
        read_catalog(tmp_path / "revolve.parquet")


def test_csv_names_pictures_by_path_or_holds_them_in_base64(tmp_path: Path) -> None:
    (tmp_path / "red.jpg").write_bytes(PHOTO)
    encoded = base64.b64encode(PHOTO).decode()
    path = a_csv(
        tmp_path,
        ("id", "title", "image"),
        ("1", "by path", "red.jpg"),
        ("2", "base64", encoded),
        ("3", "data address", f"data:image/jpeg;base64,{encoded}"),
    )
    assert [product.image for product in products(read_catalog(path))] == [PHOTO] * 3


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("not there.jpg", "image 'not there.jpg' is neither a file"),
        ("../secret.jpg", "image path '../secret.jpg' leads out of the catalog's folder"),
        ("", "no image: the cell is empty"),
    ],
)
def test_a_picture_that_csv_does_not_hold_is_a_bad_row(
    image: str, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "secret.jpg").write_bytes(PHOTO)
    (tmp_path / "shop").mkdir()
    path = a_csv(tmp_path / "shop", ("id", "title", "image"), ("1", "Red dress", image))
    assert the_only_reason(read_catalog(path)).startswith(reason)


def test_a_line_with_too_many_fields_is_a_bad_row(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(PHOTO)
    header = ("id", "title", "image_path")
    path = a_csv(tmp_path, header, ("1", "Red", "dress", "a.jpg"), ("2", "Cap", "a.jpg"))
    found = list(read_catalog(path))
    assert found[0] == BadRow("revolve.csv", 1, "", "it has 4 fields where the header has 3")
    assert [product.source_id for product in products(found)] == ["2"]


def test_a_tsv_of_a_spreadsheet_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(PHOTO)
    text = "\ufeffid\ttitle\timage_path\r\n1\tRed, or nearly\ta.jpg\r\n"
    (tmp_path / "revolve.tsv").write_text(text, encoding="utf-8", newline="")
    assert the_only_product(read_catalog(tmp_path / "revolve.tsv")).title == "Red, or nearly"


def test_what_a_file_is_told_by_its_content_and_not_by_its_name(tmp_path: Path) -> None:
    feed = "<rss><item><id>1</id><title>Cap</title><image_link>https://img.example/1.jpg</image_link></item></rss>"
    table = "id,title,image_link\n1,Cap,https://img.example/1.jpg\n"
    for name, content in {
        "a.csv": feed.encode(),
        "b.txt": gzip.compress(feed.encode()),
        "c.csv": gzip.compress(table.encode()),
        "d.xml": table.encode(),
        "e.tsv": b'[{"id": 1, "title": "Cap", "variants": [], "images": [{"src": "https://img.example/1.jpg"}]}]',
    }.items():
        file = tmp_path / f"revolve_{name}"
        file.write_bytes(content)
        [product] = read_catalog(file)
        assert isinstance(product, Product)
        assert (product.source_id, product.title) == ("1", "Cap")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("revolve.json", b'{"errors": "Not found"}'),
        ("revolve.json", b"[]"),
        ("revolve.xml", b"<?xml version='1.0'?><shop><thing/></shop>"),
        ("revolve.html", b"<!doctype html><title>We are back soon</title>"),
    ],
)
def test_a_feed_that_tells_of_nothing_says_so_at_once(
    name: str, content: bytes, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CatalogError, match="no product is in it; it begins b"):
        read_catalog(tmp_path / name)


@pytest.mark.parametrize("name", ["revolve.csv.gz", "revolve.tsv.gz", "revolve.xml.gz"])
def test_a_packed_file_that_is_damaged_is_an_error(name: str, tmp_path: Path) -> None:
    table = "id,title,image_link\n" + "".join(
        f"{n},Cap {n * n},https://img.example/{n}.jpg\n" for n in range(50_000)
    )
    packed = gzip.compress(table.encode())
    file = tmp_path / name
    for content in (table.encode(), packed[:-9], packed[: len(packed) // 2], packed + b"junk"):
        file.write_bytes(content)
        with pytest.raises(CatalogError, match="damaged"):
            list(read_catalog(file))


def test_a_packed_line_of_no_end_is_refused_and_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fashion_search.cells._MAX_LINE_CHARS", 10_000)
    file = tmp_path / "revolve.csv.gz"
    file.write_bytes(gzip.compress(b"id,title,image_link\n" + b"x" * 5_000_000))
    with pytest.raises(CatalogError, match="line 2 is longer than 10,000 characters"):
        list(read_catalog(file))


def test_a_folder_of_pictures_is_read_through_its_table(tmp_path: Path) -> None:
    folder = tmp_path / "bloomingdales"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "a.jpg").write_bytes(PHOTO)
    a_csv(folder, ("id", "title", "file_name"), ("1", "Cap", "images/a.jpg"), name="metadata.csv")
    found = the_only_product(read_catalog(folder))
    assert (found.retailer, found.image) == ("bloomingdales", PHOTO)


def test_a_folder_without_one_table_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="found none"):
        read_catalog(tmp_path, "revolve")


def test_pictures_as_data_set_libraries_write_them_are_read(tmp_path: Path) -> None:
    row = a_row(image={"bytes": PHOTO, "path": "a.jpg"})
    assert the_only_product(read_catalog(a_parquet(tmp_path, row))).image == PHOTO


# --- nothing is lost ------------------------------------------------------------------------------


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cuts=st.lists(st.tuples(st.integers(0, len(PHOTO) - 1), st.integers(0, 255)), max_size=20),
    end=st.integers(0, len(PHOTO)),
)
def test_no_damage_to_a_picture_breaks_the_reader(
    cuts: list[tuple[int, int]], end: int, tmp_path: Path
) -> None:
    damaged = bytearray(PHOTO)
    for place, value in cuts:
        damaged[place] = value
    path = a_parquet(tmp_path, a_row(image=bytes(damaged[:end])), a_row(id="2"))
    found = list(read_catalog(path))
    assert len(found) == 2
    assert isinstance(found[1], Product)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(st.tuples(st.text(), st.text(), st.text(), st.text()), max_size=8))
def test_every_row_of_any_csv_is_answered_for(
    rows: list[tuple[str, str, str, str]], tmp_path: Path
) -> None:
    # A NUL and a lone surrogate are no text that a file can hold.
    kept = [
        tuple(cell.replace("\0", "").encode(errors="ignore").decode() for cell in row)
        for row in rows
    ]
    path = a_csv(tmp_path, ("id", "title", "link", "image"), *kept)
    found = list(read_catalog(path))
    told = [number for number, row in enumerate(kept, start=1) if any(map(str.strip, row))]
    assert [row.row_number for row in found if isinstance(row, BadRow)] == told


def test_rows_are_read_as_they_are_asked_for(tmp_path: Path) -> None:
    path = a_parquet(tmp_path, *(a_row(id=str(i)) for i in range(200)))
    assert [p.source_id for p in products(islice(read_catalog(path), 3))] == ["0", "1", "2"]


# --- the report -----------------------------------------------------------------------------------


def shown(bad_rows: list[BadRow], limit: int = 20) -> str:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(report(bad_rows, limit))
    return console.export_text()


def test_the_report_shows_each_row_and_why() -> None:
    text = shown([BadRow("revolve.parquet", 1_234, "x-7", "no image")])
    assert "1 row left out" in text
    for part in ("revolve.parquet", "1,234", "x-7", "no image"):
        assert part in text


def test_a_long_report_says_how_many_more() -> None:
    text = shown([BadRow("a", i, str(i), "no image") for i in range(30)], limit=20)
    assert "30 rows left out" in text
    assert "and 10 more" in text


# --- drawn catalogs -------------------------------------------------------------------------------


def test_drawn_catalogs_serve_the_three_retailers_evenly() -> None:
    drawn = list(drawn_catalogs(7))
    assert [product.retailer for product in drawn] == [*RETAILERS, *RETAILERS, RETAILERS[0]]
    assert len({product.source_id for product in drawn}) == 7


def test_drawn_products_are_whole() -> None:
    for product in drawn_catalogs(6):
        with Image.open(io.BytesIO(product.image)) as picture:
            assert picture.size == (192, 192)
        page = read_page(product.html)
        assert page.title == product.title
        assert product.labels.keys() == {"category", "colour", "pattern", "gender"}


def test_drawn_catalogs_are_the_same_every_time() -> None:
    assert list(drawn_catalogs(4)) == list(drawn_catalogs(4))


# --- the data pack --------------------------------------------------------------------------------


@pytest.mark.data
@needs_data
def test_the_sample_of_the_data_pack_is_read_whole() -> None:
    found = list(read_catalog(DATA / "catalog" / "sample_300.parquet"))
    assert len(products(found)) == 300
    assert products(found)[0].labels["category"]


@pytest.mark.data
@pytest.mark.slow
@needs_data
@pytest.mark.parametrize(
    ("retailer", "rows"), [("nordstrom", 9_309), ("revolve", 9_269), ("bloomingdales", 9_287)]
)
def test_the_catalogs_of_the_data_pack_are_read_whole(retailer: str, rows: int) -> None:
    usable = 0
    for row in read_catalog(DATA / "catalog" / f"{retailer}.parquet"):
        assert isinstance(row, Product), row
        assert row.title or row.description
        usable += 1
    assert usable == rows


@pytest.mark.data
@needs_data
def test_a_catalog_that_does_not_name_the_retailer_is_read_when_told() -> None:
    found = list(read_catalog(DATA / "catalog" / "rich_products.parquet", "nordstrom"))
    assert len(products(found)) == 85
    assert products(found)[0].img_url.startswith("http://assets.myntassets.com/")


@pytest.mark.data
@needs_data
def test_the_dirty_rows_of_the_data_pack_are_told_apart() -> None:
    path = DATA / "catalog" / "dirty_rows.parquet"
    cases = pq.read_table(path, columns=["case"])["case"].to_pylist()
    bad = {
        cases[row.row_number - 1]: row.reason
        for row in read_catalog(path)
        if isinstance(row, BadRow)
    }
    assert {case: reason.split(";")[0].split(":")[0] for case, reason in bad.items()} == {
        "truncated_jpeg": "the image is damaged",
        "empty_image": "no image",
        "null_image": "no image",
        "html_instead_of_image": "the image is no picture",
        "one_pixel": "the image has 1 x 1 pixels",
        "extreme_aspect": "the image has 256 x 8 pixels",
        "unknown_retailer": "unknown retailer 'saks'",
    }


@pytest.mark.data
@needs_data
def test_the_usable_dirty_rows_are_tidied() -> None:
    found = {
        p.labels["case"]: p for p in products(read_catalog(DATA / "catalog" / "dirty_rows.parquet"))
    }
    assert found["html_description"].description == "ADIDAS Women Pink Handbag & more. Dry clean"
    assert found["null_description"].title == "Peter england men casual blue belt"
    assert found["missing_link"].link == ""
    assert found["relative_link"].link == "https://www.nordstrom.example/s/black-dress/5639478"
    assert found["tracking_link"].link == (
        "https://www.revolve.example/timberland-women-femmes-grey-casual-shoes/dp/EWJH-WT223/"
    )


# --- what is other people's -----------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["x" * 300, "a/" * 400, "\ud83d" * 5, "loop.jpg", "secret.jpg"])
def test_no_cell_ends_the_reading_of_the_others(tmp_path: Path, cell: str) -> None:
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    (tmp_path / "secret.jpg").mkdir()
    encoded = base64.b64encode(a_photo()).decode()
    rows = [
        a_row(id=number, image=image) for number, image in ((1, encoded), (2, cell), (3, encoded))
    ]
    cells = Cells(("id", "title", "image"), lambda: iter(enumerate(rows, start=1)))
    found = list(products_of("revolve.csv", cells, "revolve", folder=tmp_path))
    assert [type(each) for each in found] == [Product, BadRow, Product]


@pytest.mark.parametrize("padding", ["=", ""])
def test_a_picture_may_be_in_url_safe_base64(tmp_path: Path, padding: str) -> None:
    picture = a_photo()
    encoded = base64.urlsafe_b64encode(picture).decode().rstrip("=")
    encoded += padding * (-len(encoded) % 4)
    assert "-" in encoded or "_" in encoded
    file = a_csv(tmp_path, ("id", "title", "image"), ("1", "Red dress", encoded))
    assert the_only_product(read_catalog(file)).image == picture


@pytest.mark.parametrize(
    "text",
    ["[/b] 7", "[link=javascript:alert(1)]click[/link]", "[bold red]FINE[/]", "\x1b]8;;x\x1b\\"],
)
def test_what_a_bad_row_holds_is_shown_and_does_nothing(text: str) -> None:
    told = io.StringIO()
    Console(file=told, force_terminal=True, width=200).print(
        report([BadRow("c.csv", 1, text, text)])
    )
    assert "\x1b]8" not in told.getvalue()
    assert text.replace("\x1b", "\\x1b") in told.getvalue()
