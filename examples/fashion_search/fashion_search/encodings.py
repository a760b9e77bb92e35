"""Encodings of texts of other people: what bytes are most likely written in."""

from __future__ import annotations

import codecs

from charset_normalizer import from_bytes

SAMPLE_BYTES = 256 * 1024
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What Windows writes by itself: where nothing tells the encodings of western Europe apart, it is this one.
_WESTERN = frozenset({"cp1252", "latin_1", "iso8859_15", "cp1250", "mac_roman", "cp437", "cp850", "hp_roman8", "cp1254",
                      "cp858", "mac_iceland", "iso8859_9", "mac_latin2", "cp775", "cp500", "cp037", "cp1140", "cp1257"})  # fmt: skip
# Who says Latin 1 or ASCII means Windows' own, as browsers take it: its other bytes are control characters.
_WINDOWS = {"iso8859-1": "cp1252", "ascii": "cp1252"}
_MENDED = "fashion_search.windows"


def encoding_of(sample: bytes, named: str = "") -> str:
    """Return the encoding of a text from its beginning: its byte order mark, UTF-8 where it is that, the `named` one, UTF-8
    where it is mostly that, else the likeliest."""
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
        told = _known_encoding(named)
        if told and not told.startswith("utf"):
            return told
        return "utf-8" if _is_mostly_utf8(sample) else told or _likeliest(sample)
    return "utf-8"


def errors_of(encoding: str) -> str:
    """Return what decoding does with bytes that are none of the encoding's: in UTF-8 they are of Windows' own, as where feeds of
    two sources were joined."""
    return _MENDED if encoding.startswith("utf-8") else "replace"


def decoded(content: bytes, named: str = "") -> str:
    """Return a text whose encoding is told by its bytes, or else by `named`. Any bytes are taken."""
    encoding = encoding_of(content, named)
    return content.decode(encoding, errors_of(encoding))


def _as_windows(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error(_MENDED, _as_windows)


def _is_mostly_utf8(sample: bytes) -> bool:
    """Whether at least a third of what is not ASCII are characters of UTF-8: by chance, hardly any are."""
    good = len(sample.decode("utf-8", "ignore").encode("ascii", "ignore"))
    text = sample.decode("utf-8", "ignore")
    characters = len(text) - good
    others = len(sample) - len(text.encode("utf-8"))
    return 2 * characters >= others


def _known_encoding(named: str) -> str:
    try:
        found = codecs.lookup(named).name if named else ""
        "".encode(found or "ascii")  # "base64" and the like are codecs, too, and of no texts
    except LookupError:
        return ""
    return _WINDOWS.get(found, found)


def _likeliest(sample: bytes) -> str:
    best = from_bytes(sample[:65_536]).best()
    return "cp1252" if best is None or best.encoding in _WESTERN else best.encoding
