"""From files to rows of cells: Parquet, delimited text in any dialect and encoding, and the items of an XML feed.

Owns how bytes become texts under names. What the names mean, `rows` knows.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
from charset_normalizer import from_bytes
from lxml import etree

from fashion_search.products import CatalogError

SAMPLE_BYTES = 256 * 1024
MAX_XML_BYTES = 256 * 1024 * 1024
_ROWS_AT_A_TIME = 64  # pictures of some MB each must fit
_MAX_CSV_FIELD_BYTES = 64 * 1024 * 1024  # a picture in base64
_DELIMITERS = ("\t", ";", ",", "|")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What Windows writes by itself: where nothing tells the encodings of western Europe apart, it is this one.
_WESTERN = frozenset({"cp1252", "latin_1", "iso8859_15", "cp1250", "mac_roman", "cp437", "cp850", "hp_roman8", "cp1254",
                      "cp858", "mac_iceland", "iso8859_9", "mac_latin2", "cp775", "cp500", "cp037", "cp1140", "cp1257"})  # fmt: skip
_ITEMS = frozenset({"item", "entry", "product", "offer"})

# A row's number, and its cells by column name, or why there are none.
Row: TypeAlias = "tuple[int, Mapping[str, object] | str]"


@dataclass(frozen=True)
class Cells:
    """A table of other people: its columns, and its rows as they are asked for."""

    columns: Sequence[str]
    rows: Callable[[], Iterator[Row]]


def opened(path: Path) -> BinaryIO:
    """Open a file for reading, unpacked where its name ends in .gz."""
    if path.suffix.lower() == ".gz":
        return io.BufferedReader(gzip.open(path, "rb"))
    return path.open("rb")


# --- Parquet --------------------------------------------------------------------------------------


def parquet(path: Path) -> Cells:
    """Return a Parquet file's rows, a few at a time.

    Raises:
        CatalogError: at once where it is none; while reading where it is damaged.
    """
    try:
        return Cells(tuple(pq.read_schema(path).names), lambda: _parquet_rows(path))
    except (pa.ArrowException, OSError) as exc:
        raise CatalogError(path, f"damaged, or no Parquet file: {exc}") from exc


def _parquet_rows(path: Path) -> Iterator[Row]:
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_ROWS_AT_A_TIME):
                for cells in batch.to_pylist():
                    number += 1
                    yield number, cells
    except (pa.ArrowException, OSError) as exc:
        raise CatalogError(path, f"damaged after row {number}: {exc}") from exc


# --- delimited text -------------------------------------------------------------------------------


def delimited(
    name: Path | str, file: Callable[[], BinaryIO], known: Callable[[str], bool]
) -> Cells:
    """Return the rows of a delimited text, whatever its delimiter and encoding.

    Args:
        name: what errors call it.
        file: opens it, from its beginning.
        known: whether a name is one of a column that we know: the delimiter is the one that makes most of these.

    Raises:
        CatalogError: it is empty; while reading, where it is no CSV.
    """
    with file() as opened_file:
        sample = opened_file.read(SAMPLE_BYTES)
    encoding = encoding_of(sample)
    delimiter = _delimiter_of(_decoded(sample, encoding), known)

    def lines() -> Generator[list[str], None, None]:
        csv.field_size_limit(_MAX_CSV_FIELD_BYTES)
        with file() as raw, io.TextIOWrapper(raw, encoding, "replace", newline="") as text:
            found = csv.reader((line.replace("\0", "") for line in text), delimiter=delimiter)
            try:
                yield from found
            except csv.Error as exc:
                raise CatalogError(name, f"no valid CSV at line {found.line_num}: {exc}") from exc
            except (OSError, EOFError, UnicodeError) as exc:
                raise CatalogError(name, f"damaged after line {found.line_num}: {exc}") from exc

    first = lines()
    header = tuple(column.strip() for column in next(first, []))
    first.close()
    if not any(header):
        raise CatalogError(name, "empty; its first line names the columns")
    return Cells(header, lambda: _rows_of(header, lines()))


def _rows_of(header: Sequence[str], lines: Iterable[list[str]]) -> Iterator[Row]:
    full = (cells for cells in lines if cells)
    for number, cells in enumerate(islice(full, 1, None), start=1):
        if len(cells) == len(header):
            yield number, dict(zip(header, cells, strict=True))
        else:
            yield number, f"it has {len(cells)} fields where the header has {len(header)}"


def encoding_of(sample: bytes, named: str = "") -> str:
    """Return the encoding of a text from its beginning: its byte order mark, UTF-8 where it is that, the `named` one, else
    the likeliest."""
    for mark, encoding in _MARKS:
        if sample.startswith(mark):
            return encoding
    if sample[1:200:2].count(0) > len(sample[:200]) // 4:
        return "utf-16-le"
    if sample[0:200:2].count(0) > len(sample[:200]) // 4:
        return "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample, final=len(sample) < SAMPLE_BYTES)
    except UnicodeDecodeError:
        return _known_encoding(named) or _likeliest(sample)
    return "utf-8"


def _known_encoding(named: str) -> str:
    try:
        return codecs.lookup(named).name if named else ""
    except LookupError:
        return ""


def _likeliest(sample: bytes) -> str:
    best = from_bytes(sample[:65_536]).best()
    return "cp1252" if best is None or best.encoding in _WESTERN else best.encoding


def _decoded(sample: bytes, encoding: str) -> str:
    return codecs.getincrementaldecoder(encoding)("replace").decode(sample)


def _delimiter_of(sample: str, known: Callable[[str], bool]) -> str:
    first = next((line for line in io.StringIO(sample, newline="") if line.strip()), "")

    def columns(delimiter: str) -> list[str]:
        try:
            return next(csv.reader([first], delimiter=delimiter), [])
        except csv.Error:
            return []

    def fit(delimiter: str) -> tuple[int, int]:
        found = columns(delimiter)
        return sum(map(known, found)), len(found)

    return max(_DELIMITERS, key=fit)


# --- XML ------------------------------------------------------------------------------------------


def xml_items(name: Path | str, file: BinaryIO) -> Iterator[Row]:
    """Yield the items of an RSS or Atom feed, each as its elements' texts by name; a name that repeats holds a list.

    Entities that a feed declares are not expanded, nothing is loaded from elsewhere, and mistakes such as a bare `&` are
    passed over.

    Raises:
        CatalogError: it is no XML, or ends before its end.
    """
    number, size, root, tail = 0, 0, "", b""
    parser = etree.XMLPullParser(
        events=("start", "end"), recover=True, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )  # fmt: skip

    def found() -> Iterator[dict[str, object]]:
        nonlocal root
        for event, element in parser.read_events():
            root = root or _local(element)
            if event == "end" and _local(element) in _ITEMS:
                yield _cells_of(element)
                _forget(element)

    while chunk := file.read(65_536):
        size, tail = size + len(chunk), (tail + chunk)[-4_096:]
        if size > MAX_XML_BYTES:
            raise CatalogError(name, f"larger than {MAX_XML_BYTES:,} bytes")
        parser.feed(chunk)
        for number, cells in enumerate(found(), start=number + 1):  # noqa: B020, it goes on counting
            yield number, cells
    # The parser mends what is open at the end, so that a feed cut short would be a shorter feed: its last tag tells.
    if not re.search(rf"</(?:\w+:)?{root or '?'}\s*>".encode(), tail.replace(b"\0", b""), re.IGNORECASE):  # fmt: skip
        raise CatalogError(name, f"no whole XML: it ends after item {number}, before its end")
    try:
        parser.close()
    except etree.XMLSyntaxError as exc:
        raise CatalogError(name, f"no whole XML after item {number}: {exc}") from exc
    for number, cells in enumerate(found(), start=number + 1):  # noqa: B020
        yield number, cells


def _local(element: Any) -> str:
    return (
        element.tag.rpartition("}")[2].lower() if isinstance(element.tag, str) else ""
    )  # a comment


def _cells_of(item: Any) -> dict[str, object]:
    cells: dict[str, object] = {}
    for child in item:
        name = _local(child)
        text = " ".join("".join(child.itertext()).split()) or child.get("href", "")
        if not name or not text:
            continue
        before = cells.get(name)
        cells[name] = text if before is None else [*(before if isinstance(before, list) else [before]), text]  # fmt: skip
    return cells


def _forget(element: Any) -> None:
    """Give the memory of an item back; what stands before it too."""
    element.clear()
    while element.getprevious() is not None:
        del element.getparent()[0]
