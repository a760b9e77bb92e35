"""From files to rows of cells: Parquet, and delimited text in any dialect.

Owns how bytes become texts under names; `xml_feeds` does so for XML. What the names mean, `rows` knows.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TextIO, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from fashion_search.encodings import SAMPLE_BYTES, encoding_of, errors_of
from fashion_search.products import CatalogError

_ROWS_AT_A_TIME = 64  # pictures of some MB each must fit
_MAX_CSV_FIELD_BYTES = 64 * 1024 * 1024  # a picture in base64
_DELIMITERS = ("\t", ";", ",", "|")
_MAX_LINE_CHARS = 2 * _MAX_CSV_FIELD_BYTES
# A description may have line breaks; a quotation mark that nobody closed takes all that comes after it.
_MAX_LINES_OF_A_ROW = 500
_MAX_LINES_BEFORE_HEADER = 10

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
        CatalogError: it is empty or damaged; while reading, where it is no CSV.
    """
    sample = _sample_of(name, file)
    encoding = encoding_of(sample)
    text = sample.decode(encoding, errors_of(encoding)).removesuffix("\ufffd")
    dialect = _dialect_of(text, known)

    def rows() -> Iterator[Row]:
        with (
            file() as raw,
            io.TextIOWrapper(raw, encoding, errors_of(encoding), newline="") as text,
        ):
            lines = _Lines(name, text)
            for _ in islice(lines, dialect.first_line):
                pass
            yield from _rows_of(name, lines, dialect)

    if not dialect.header:
        raise CatalogError(name, "empty; its first line names the columns")
    return Cells(dialect.header, rows)


def _sample_of(name: Path | str, file: Callable[[], BinaryIO]) -> bytes:
    try:
        with file() as opened_file:
            return opened_file.read(SAMPLE_BYTES)
    except (OSError, EOFError, zlib.error) as exc:
        raise CatalogError(name, f"damaged: {exc}") from exc


@dataclass(frozen=True)
class _Dialect:
    """How a table is written: its delimiter, and the columns that the line after so many names."""

    delimiter: str = ","
    first_line: int = 0
    header: tuple[str, ...] = ()


def _dialect_of(sample: str, known: Callable[[str], bool]) -> _Dialect:
    """Return the dialect whose header names most of the columns we know: what stands before it, such as "sep=;", a title
    or a comment, is passed over."""

    def candidates() -> Iterator[_Dialect]:
        lines = enumerate(io.StringIO(sample, newline=""))
        full = ((number, line) for number, line in lines if line.strip(" \t\r\n\0\ufeff"))
        for number, line in islice(full, _MAX_LINES_BEFORE_HEADER):
            for delimiter in _DELIMITERS:
                yield _Dialect(delimiter, number, _header_of(line, delimiter))

    def fit(dialect: _Dialect) -> tuple[int, int, int]:
        return sum(map(known, dialect.header)), -dialect.first_line, len(dialect.header)

    return max(candidates(), key=fit, default=_Dialect())


def _header_of(line: str, delimiter: str) -> tuple[str, ...]:
    try:
        cells = next(csv.reader([line.replace("\0", "").lstrip("\ufeff")], delimiter=delimiter), [])
    except csv.Error:
        return ()
    columns = [cell.strip() for cell in cells]
    while columns and not columns[-1]:
        columns.pop()
    return tuple(columns)


class _Lines:
    """The lines of a text, none of them longer than a row may be; those that were read may be put back."""

    def __init__(self, name: Path | str, text: TextIO) -> None:
        self._name, self._text = name, text
        self._back: deque[str] = deque()
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._back.popleft() if self._back else self._next_line()
        if not line:
            raise StopIteration
        self.number += 1
        return line

    def put_back(self, lines: Sequence[str]) -> None:
        self._back.extendleft(reversed(lines))
        self.number -= len(lines)

    def _next_line(self) -> str:
        try:
            line = self._text.readline(_MAX_LINE_CHARS + 1)
        except (OSError, EOFError, UnicodeError, zlib.error) as exc:
            raise CatalogError(self._name, f"damaged after line {self.number}: {exc}") from exc
        if len(line) > _MAX_LINE_CHARS:
            raise CatalogError(self._name, f"line {self.number + 1} is longer than {_MAX_LINE_CHARS:,} characters")  # fmt: skip
        # A line of NUL alone is a line, and not the end.
        return line.replace("\0", "") or ("\n" if line else "")


def _rows_of(name: Path | str, lines: _Lines, dialect: _Dialect) -> Iterator[Row]:
    next(lines, None)  # the header, a line of its own
    number = 0
    while taken := list(islice(lines, 1)):
        cells = _one_row(name, lines, taken, dialect)
        number += bool(cells)
        if any(cell.strip() for cell in cells):  # spreadsheets write lines of nothing
            yield number, _named(cells, dialect.header)


def _one_row(name: Path | str, lines: _Lines, taken: list[str], dialect: _Dialect) -> list[str]:
    """Return the cells of the row that begins with the line `taken`, and of the lines after it that its quotation marks take.

    Where that is no row, its first line alone is one, as it stands: a mark that nobody closed takes no others along.
    """

    def its_lines() -> Iterator[str]:
        yield taken[0]
        for line in islice(lines, _MAX_LINES_OF_A_ROW - 1):
            taken.append(line)
            yield line

    csv.field_size_limit(_MAX_CSV_FIELD_BYTES)
    try:
        cells = next(csv.reader(its_lines(), delimiter=dialect.delimiter), [])
    except csv.Error as exc:
        raise CatalogError(name, f"no valid CSV at line {lines.number}: {exc}") from exc
    if len(taken) > 1 and isinstance(_named(cells, dialect.header), str):
        lines.put_back(taken[1:])
        alone = csv.reader(taken[:1], delimiter=dialect.delimiter, quoting=csv.QUOTE_NONE)
        return next(alone, [])
    return cells


def _named(cells: list[str], header: Sequence[str]) -> Mapping[str, object] | str:
    while len(cells) > len(header) and not cells[-1].strip():
        cells = cells[:-1]  # a delimiter at the end of each line
    if len(cells) == len(header):
        return dict(zip(header, cells, strict=True))
    return f"it has {len(cells)} fields where the header has {len(header)}"
