"""From catalogs to products: Parquet, CSV, folders of pictures, and the drawn catalogs of this package.

Owns what a usable product is, and says of every row that is none why. Rows stream: a catalog of any size needs the
memory of one batch of rows, and of the ids already seen.

A catalog is a table with these columns; the names after the first are understood too, in any case and with any of
space, `-` and `_` between their words:

| column | must it be there | what it holds |
| --- | --- | --- |
| `id`, `product_id`, `sku` | yes | the catalog's own id, text or number |
| `title`, `name`, `product_name` | this or a description | one line |
| `description`, `desc`, `product_description` | this or a title | text or HTML |
| `image`, `image_bytes` | this or a path | the picture file's bytes; in CSV base64, or a path |
| `image_path`, `path`, `file_name`, `filename`, `file` | this or a picture | a file, relative to the table's folder |
| `link`, `url`, `product_url` | no | the product's page |
| `html`, `page_html` | no | that page |
| `img_url`, `image_url`, `image_link` | no | where the picture is on the web |
| `retailer`, `shop` | no | one of `RETAILERS` |
| `source`, `gallery` | no | which collection of pictures the row comes from |

Any other column of text, numbers or booleans is a label: kept for measuring, never searched.
"""

from __future__ import annotations

import base64
import binascii
import csv
import difflib
import io
import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import TextIO, TypeAlias
from urllib.parse import parse_qsl, quote, urljoin, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, UnidentifiedImageError
from rich.table import Table
from rich.text import Text

from fashion_search import garments
from fashion_search.pages import plain_text

RETAILERS = ("nordstrom", "revolve", "bloomingdales")

DRAWN_SIDE_PX = (
    192  # as large as a contact sheet shows it; drawing takes most of the time of a demo
)
MIN_SIDE_PX = 16  # smaller is a tracking pixel or a spacer, not a product
MAX_PIXELS = 50_000_000
_ROWS_AT_A_TIME = 64  # pictures of some MB each must fit
_MAX_CSV_FIELD_BYTES = 64 * 1024 * 1024  # a picture in base64
_IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")
_TABLE_SUFFIXES = (".parquet", ".csv", ".tsv")

# What a decoder raises when it is fed with something else than a whole picture.
_DECODING_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError, ArithmeticError, struct.error, zlib.error,
    Image.DecompressionBombError,
)  # fmt: skip

_NAMES: dict[str, tuple[str, ...]] = {
    "id": ("id", "product_id", "sku"),
    "title": ("title", "name", "product_name"),
    "description": ("description", "desc", "product_description"),
    "image": ("image", "image_bytes"),
    "image_path": ("image_path", "path", "file_name", "filename", "file"),
    "link": ("link", "url", "product_url"),
    "html": ("html", "page_html"),
    "img_url": ("img_url", "image_url", "image_link"),
    "retailer": ("retailer", "shop"),
    "source": ("source", "gallery"),
}
_REQUIRED = (("id",), ("title", "description"), ("image", "image_path"))


@dataclass(frozen=True, slots=True)
class Product:
    """One product of a catalog.

    Attributes:
        retailer: one of `RETAILERS`.
        source_id: the catalog's id of it; `(retailer, source_id)` is unique within a catalog.
        img_url: names the picture for good: its web address where the catalog has one, else
            `catalog:<retailer>/<source_id>`. Two products may share a web address.
        title: one line of plain text; where the catalog has none, the words of the link, or "".
        description: plain text, maybe "".
        link: the product's page, an absolute web address, or "".
        html: that page, or "".
        image: the picture file as the catalog holds it, byte for byte; it was decoded once, whole.
        labels: the catalog's other columns, as text; for measuring only.
        source: the collection that the picture comes from, or "".
    """

    retailer: str
    source_id: str
    img_url: str
    title: str
    description: str
    link: str
    html: str
    image: bytes
    labels: Mapping[str, str] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is no product, and why. Rows count from 1, a CSV's header not counted."""

    catalog: str
    row_number: int
    source_id: str
    reason: str


class CatalogError(ValueError):
    """A whole catalog cannot be read."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"catalog {self.path}: {self.reason}"


class _Unusable(Exception):
    """Why one row is no product."""


def read_catalog(path: Path | str, retailer: str | None = None) -> Iterator[Product | BadRow]:
    """Return the catalog's rows one by one, each a `Product` or a `BadRow`, in the file's order.

    Args:
        path: a Parquet, CSV or TSV file, or a folder that holds one of these and the pictures it names.
        retailer: whose products these are. None: the `retailer` column tells, or else the file's name.

    Of rows with one id, the first usable one is taken. HTML in texts becomes plain text; a link through an affiliate
    is replaced by the page it leads to; a relative link is completed with the host of the links before it.

    Raises:
        CatalogError: at once, where the file is not there, is of another kind, or lacks a column; while reading,
            where the file is damaged.
    """
    path = Path(path)
    table = _table_in(path)
    if retailer is not None and retailer not in RETAILERS:
        raise CatalogError(path, f"unknown retailer {retailer!r}; {_one_of(retailer, RETAILERS)}")
    is_parquet = table.suffix.lower() == ".parquet"
    columns = _columns(table, _parquet_header(table) if is_parquet else _csv_header(table))
    owner = retailer or ("" if "retailer" in columns else _retailer_named_by(table))
    rows = _parquet_rows(table) if is_parquet else _csv_rows(table)
    return _products(_Reader(table, columns, owner), rows)


def drawn_catalogs(n: int = 300, seed: int = 7) -> Iterator[Product]:
    """Return `n` drawn products of the three retailers in turn, each with its page.

    Deterministic, and free to publish: every picture, brand and text is invented by this package.
    """
    share = -(-n // len(RETAILERS))
    shops = [garments.catalog(retailer, share, seed) for retailer in RETAILERS]
    in_turn = chain.from_iterable(
        zip(RETAILERS, of_each, strict=True) for of_each in zip(*shops, strict=True)
    )
    for number, (retailer, garment) in zip(range(n), in_turn, strict=False):
        yield _drawn(retailer, garment, number // len(RETAILERS) + 1)


def report(bad_rows: Iterable[BadRow], limit: int = 20) -> Table:
    """Return a table of the rows that were left out, the first `limit` of them in full."""
    rows = list(bad_rows)
    table = Table(
        title=f"{len(rows):,} row{'s' if len(rows) != 1 else ''} left out", title_justify="left"
    )
    for name in ("catalog", "row", "id", "why"):
        table.add_column(name, justify="right" if name == "row" else "left", overflow="fold")
    for row in rows[:limit]:
        told = (row.catalog, f"{row.row_number:,}", row.source_id, row.reason)
        table.add_row(*map(_as_it_is, told))
    if len(rows) > limit:
        table.caption = f"and {len(rows) - limit:,} more"
    return table


def _as_it_is(text: str) -> Text:
    """Return a text of other people for the terminal: nothing in it is markup or moves the cursor."""
    return Text("".join(each if each.isprintable() else repr(each)[1:-1] for each in text))


def _drawn(retailer: str, garment: garments.Garment, number: int) -> Product:
    source_id = f"drawn-{retailer}-{number:04d}"
    slug = "-".join(re.findall(r"[a-z0-9]+", garment.title.lower().replace("'", "")))
    link = f"https://www.{retailer}.example/s/{slug}/{number}"
    file = io.BytesIO()
    garments.draw(garment, DRAWN_SIDE_PX).save(file, "JPEG", quality=90)
    return Product(
        retailer=retailer,
        source_id=source_id,
        img_url=_locator(retailer, source_id),
        title=garment.title,
        description=garment.description,
        link=link,
        html=garments.page_html(garment, link),
        image=file.getvalue(),
        labels={
            "category": garment.type,
            "colour": garment.colour,
            "pattern": garment.pattern,
            "gender": garment.gender,
        },
        source="drawn",
    )


# --- files to rows --------------------------------------------------------------------------------

# A row's number, and its cells by column name, or why there are none.
_Row: TypeAlias = "tuple[int, Mapping[str, object] | str]"


def _table_in(path: Path) -> Path:
    if path.is_dir():
        tables = sorted(file for file in path.iterdir() if file.suffix.lower() in _TABLE_SUFFIXES)
        if len(tables) != 1:
            found = ", ".join(file.name for file in tables) or "none"
            raise CatalogError(
                path,
                f"a folder of pictures holds one .parquet, .csv or .tsv that names them; found {found}",
            )
        return tables[0]
    if not path.is_file():
        raise CatalogError(path, "no such file or folder; check the path")
    if path.suffix.lower() not in _TABLE_SUFFIXES:
        raise CatalogError(
            path,
            f"{path.suffix or 'a file without suffix'} is not read; give .parquet, .csv or .tsv, or a folder",
        )
    return path


def _parquet_header(path: Path) -> Sequence[str]:
    try:
        return tuple(pq.read_schema(path).names)
    except (pa.ArrowException, OSError) as exc:
        raise CatalogError(path, f"damaged, or no Parquet file: {exc}") from exc


def _parquet_rows(path: Path) -> Iterator[_Row]:
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_ROWS_AT_A_TIME):
                for cells in batch.to_pylist():
                    number += 1
                    yield number, cells
    except (pa.ArrowException, OSError) as exc:
        raise CatalogError(path, f"damaged after row {number}: {exc}") from exc


def _csv_header(path: Path) -> Sequence[str]:
    with _csv_file(path) as file:
        header = next(_csv_lines(path, file), [])
    if not header:
        raise CatalogError(path, "empty; its first line names the columns")
    return tuple(name.strip() for name in header)


def _csv_rows(path: Path) -> Iterator[_Row]:
    header = _csv_header(path)
    with _csv_file(path) as file:
        full = (cells for cells in _csv_lines(path, file) if cells)
        for number, cells in enumerate(islice(full, 1, None), start=1):
            if len(cells) == len(header):
                yield number, dict(zip(header, cells, strict=True))
            else:
                yield number, f"it has {len(cells)} fields where the header has {len(header)}"


def _csv_file(path: Path) -> TextIO:
    return path.open(encoding="utf-8-sig", errors="replace", newline="")


def _csv_lines(path: Path, file: TextIO) -> Iterator[list[str]]:
    csv.field_size_limit(_MAX_CSV_FIELD_BYTES)
    lines = csv.reader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
    try:
        yield from lines
    except csv.Error as exc:
        raise CatalogError(path, f"no valid CSV at line {lines.line_num}: {exc}") from exc


def _columns(path: Path, found: Sequence[str]) -> dict[str, str]:
    """Return the file's name of each column we know."""
    by_folded = {_folded(name): name for name in reversed(found)}
    columns = {
        ours: by_folded[_folded(name)]
        for ours, names in _NAMES.items()
        for name in reversed(names)
        if _folded(name) in by_folded
    }
    for choices in _REQUIRED:
        if not any(choice in columns for choice in choices):
            wanted = " or ".join(choices)
            near = [
                near
                for choice in choices
                for name in _NAMES[choice]
                for near in difflib.get_close_matches(name, found, n=1, cutoff=0.7)
            ]
            hint = f" Did you mean {', '.join(map(repr, dict.fromkeys(near)))}?" if near else ""
            raise CatalogError(
                path, f"no column {wanted}; it has {', '.join(found)}.{hint} Rename the column."
            )
    return columns


def _folded(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).lower()


def _retailer_named_by(path: Path) -> str:
    for name in (path.stem.lower(), path.parent.name.lower()):
        for retailer in RETAILERS:
            if retailer in name:
                return retailer
    raise CatalogError(
        path,
        "neither a column retailer nor the file's name says whose products these are; "
        f"say it, as in --catalog {RETAILERS[0]}={path.name}",
    )


def _one_of(given: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(given.lower(), known, n=1)
    return f"it is one of {', '.join(known)}" + (f"; did you mean {near[0]!r}?" if near else "")


# --- rows to products -----------------------------------------------------------------------------


@dataclass(slots=True)
class _Reader:
    """What has to be known across the rows of one catalog."""

    path: Path
    columns: Mapping[str, str]
    owner: str  # "" where each row names its retailer
    seen: set[tuple[str, str]] = field(default_factory=set)
    hosts: dict[str, str] = field(default_factory=dict)

    def product(self, cells: Mapping[str, object]) -> Product:
        """Return the product in a row; raise `_Unusable` where there is none."""
        source_id = self.source_id(cells)
        if not source_id:
            raise _Unusable(
                f"no id (column {self.columns['id']!r} is {_shown(self._cell(cells, 'id'))})"
            )
        retailer = self._retailer(cells)
        if (retailer, source_id) in self.seen:
            raise _Unusable(f"duplicate id: an earlier row of {retailer} has it")
        link = self._link(self._text(cells, "link"), retailer)
        title = plain_text(self._text(cells, "title"))
        description = plain_text(self._text(cells, "description"))
        title = title or (_words_of(link) if not description else "") or ""
        if not title and not description:
            raise _Unusable("no title, no description, and no words in its link")
        image = self._image(cells)
        _check_image(image)
        self.seen.add((retailer, source_id))
        address = self._text(cells, "img_url")
        return Product(
            retailer=retailer,
            source_id=source_id,
            img_url=address if _is_web(address) else _locator(retailer, source_id),
            title=title,
            description=description,
            link=link,
            html=self._text(cells, "html"),
            image=image,
            labels=self._labels(cells),
            source=self._text(cells, "source"),
        )

    def source_id(self, cells: Mapping[str, object]) -> str:
        value = self._cell(cells, "id")
        if (
            isinstance(value, float) and value.is_integer()
        ):  # what a table library makes of ids with a gap
            value = int(value)
        return (
            str(value).strip()
            if isinstance(value, str | int) and not isinstance(value, bool)
            else ""
        )

    def _cell(self, cells: Mapping[str, object], ours: str) -> object:
        return cells.get(self.columns[ours]) if ours in self.columns else None

    def _text(self, cells: Mapping[str, object], ours: str) -> str:
        value = self._cell(cells, ours)
        if value is None or value != value:  # NaN is a table library's "nothing"
            return ""
        if not isinstance(value, str | int | float):
            raise _Unusable(f"{ours} is {_shown(value)}, not text")
        return str(value).strip()

    def _retailer(self, cells: Mapping[str, object]) -> str:
        if self.owner:
            return self.owner
        named = self._text(cells, "retailer").lower()
        if named not in RETAILERS:
            raise _Unusable(f"unknown retailer {named!r}; {_one_of(named, RETAILERS)}")
        return named

    def _labels(self, cells: Mapping[str, object]) -> dict[str, str]:
        used = set(self.columns.values())
        return {
            name: str(value)
            for name, value in cells.items()
            if name not in used
            and isinstance(value, str | int | float)
            and value == value
            and value != ""
        }

    def _link(self, written: str, retailer: str) -> str:
        """Return an absolute address of the product itself, or "" where the row does not tell."""
        if not written:
            return ""
        try:
            return self._absolute(_without_affiliate(written), retailer)
        except ValueError as exc:  # urllib on "https://[" and the like
            raise _Unusable(f"odd link {_shown(written)}: {exc}") from exc

    def _absolute(self, link: str, retailer: str) -> str:
        parts = urlsplit(link)
        if parts.scheme in ("http", "https") and parts.netloc:
            self.hosts[retailer] = f"{parts.scheme}://{parts.netloc}"
            return link
        if parts.scheme or any(mark.isspace() for mark in link):
            raise _Unusable(f"odd link {_shown(link)}: not a web address")
        return urljoin(self.hosts[retailer], link) if retailer in self.hosts else ""

    def _image(self, cells: Mapping[str, object]) -> bytes:
        value = self._cell(cells, "image")
        if isinstance(
            value, dict
        ):  # bytes and path in one column, as data-set libraries write them
            value = value.get("bytes") or value.get("path")
        if value is None or value in (b"", ""):
            value = self._cell(cells, "image_path")
        if value is None or value in (b"", ""):
            raise _Unusable("no image: the cell is empty")
        if isinstance(value, bytes):
            return value
        if not isinstance(value, str):
            raise _Unusable(f"the image is {_shown(value)}, neither bytes nor a path")
        return self._file(value.strip())

    def _file(self, written: str) -> bytes:
        if _is_web(written):
            raise _Unusable(
                f"the image is an address, {_shown(written)}; download it first and give its path"
            )
        encoded = written.partition(",")[2] if written.startswith("data:") else written
        folder = self.path.parent.resolve()
        # A path is short; asking the system for a file named like a picture in base64 fails in its own way.
        if len(written) < 1_024 and "\0" not in written:
            file = _found(folder, written)
            if file is not None:
                if not file.is_relative_to(folder):
                    raise _Unusable(
                        f"image path {_shown(written)} leads out of the catalog's folder"
                    )
                return _content(file)
        try:
            return _decoded("".join(encoded.split()))
        except (binascii.Error, ValueError) as exc:
            raise _Unusable(
                f"image {_shown(written)} is neither a file in the catalog's folder nor base64"
            ) from exc


def _found(folder: Path, written: str) -> Path | None:
    """Return the file that a cell names; None where it names none, or cannot be a name."""
    try:
        file = (folder / written).resolve()
        return file if file.is_file() else None
    except (
        OSError,
        ValueError,
        RuntimeError,
    ):  # a part of 300 characters, half a character, links in a loop
        return None


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as exc:
        raise _Unusable(f"image {_shown(file.name)} cannot be read: {exc.strerror}") from exc


def _decoded(encoded: str) -> bytes:
    """Return the bytes of a text in base64, of the usual or the URL-safe kind, with or without its padding."""
    usual = encoded.replace("-", "+").replace("_", "/").rstrip("=")
    return base64.b64decode(usual + "=" * (-len(usual) % 4), validate=True)


def _products(reader: _Reader, rows: Iterator[_Row]) -> Iterator[Product | BadRow]:
    for number, cells in rows:
        if isinstance(cells, str):
            yield BadRow(reader.path.name, number, "", cells)
            continue
        try:
            yield reader.product(cells)
        except _Unusable as exc:
            yield BadRow(reader.path.name, number, reader.source_id(cells), str(exc))
        except (ValueError, TypeError, ArithmeticError, OSError, RecursionError) as exc:
            # Catalogs are other people's: no row of theirs ends the reading of the others.
            reason = f"it cannot be read: {type(exc).__name__}: {exc}"
            yield BadRow(reader.path.name, number, reader.source_id(cells), reason)


def _check_image(image: bytes) -> None:
    """Decode a picture once, whole; raise `_Unusable` where it is none or too small."""
    try:
        with Image.open(io.BytesIO(image), formats=_IMAGE_FORMATS) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise _Unusable(
                    f"the image has {width} x {height} pixels; at most {MAX_PIXELS:,} are read"
                )
            picture.load()
    except UnidentifiedImageError as exc:
        raise _Unusable(f"the image is no picture; it begins {_shown(image[:16])}") from exc
    except _DECODING_ERRORS as exc:
        raise _Unusable(f"the image is damaged: {exc}") from exc
    if min(width, height) < MIN_SIDE_PX:
        raise _Unusable(
            f"the image has {width} x {height} pixels; a side needs at least {MIN_SIDE_PX}"
        )


def _locator(retailer: str, source_id: str) -> str:
    return f"catalog:{retailer}/{quote(source_id, safe='')}"


def _is_web(address: str) -> bool:
    return address.startswith(("http://", "https://"))


def _without_affiliate(link: str) -> str:
    """Return the page that a link through an advertiser's counter leads to."""
    inner = [value for _, value in parse_qsl(urlsplit(link).query) if _is_web(value)]
    return inner[0] if len(inner) == 1 else link


def _words_of(link: str) -> str:
    """Return the product's name as shops write it into its address, or ""."""
    parts = [part.split("-") for part in urlsplit(link).path.split("/")]
    named = [words for words in parts if sum(word.isalpha() for word in words) >= 2]
    longest = max(named, key=lambda words: len(words), default=[""])
    return " ".join(longest).capitalize()


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
