"""Words: what of a text can be looked for, in any script, and what a query looks for.

The same is done to both sides, so that what looks alike is alike: composed and decomposed forms, wide and narrow ones, case
and accents. Scripts that put no blanks between words are taken character by character, and looked for by runs of
neighbours; emoji and other signs are words; everything else is between words. The database splits what comes out
at blanks and punctuation, and compares English words by their stem.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby

FORM = f"words 2 of Unicode {unicodedata.unidata_version}"
"""What indexes of words are named by: those of another form are made again."""

PAIRED = re.compile(
    "["
    "\u1100-\u11ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3040-\u312f\u3130-\u318f\u31a0-\u31bf\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U0001b000-\U0001b2ff\U00020000-\U0003ffff]"
)
"""Chinese, Japanese, Korean, Yi: two characters mean something."""

SPELLED = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\ua9e0-\ua9ff\uaa60-\uaadf]"
)
"""Thai, Lao, Tibetan, Burmese, Khmer and their like: words of letters, without blanks between them."""

NEIGHBOURS = {"paired": 2, "spelled": 4}
"""Characters of a run that are looked for together."""

POINTED = re.compile(
    "[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc]"
)
"""Vowel points and stretching of Hebrew and Arabic, which are written or not."""

ACCENTS = re.compile("(?<![\u0418\u0438\u0423\u0443])[\u0300-\u036f]|[\u0300-\u0305\u0307-\u036f]")
"""Those of the Latin, Greek and Cyrillic scripts; the breve makes letters of their own of two Cyrillic ones."""

DRAWN = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}
)  # fmt: skip
"""Latin letters that have no accent for Unicode, and are typed without what is drawn on them where keyboards lack them."""

OTHER_DIGITS = re.compile(r"[^\D0-9]")
"""Digits of other scripts, as the Arabic and Indian ones."""

PLAIN = re.compile(r"[\t-\r -~]*")

MIXED = re.compile(r"[0-9][A-Za-z]|[A-Za-z][0-9]")

UNSEEN = re.compile(
    "[\u00ad\u200b-\u200f\u2060-\u2064\ufe00-\ufe0f\ufeff\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]"
)
"""Soft hyphens, joiners, variants and shades: they change how a word looks."""

SIGNS = re.compile("[\U0001f1e6-\U0001f1ff]{2}|.", re.DOTALL)
"""Two letters of flags are one."""

APOSTROPHES = frozenset("'\u2019\u02bc\u2018")

NUMBER_OR_LETTERS = re.compile(r"\d+|[^\d]+")

Chunk = tuple[str, str]
"""What is looked for in its own way, and the text."""


def words(text: str) -> str:
    """Return a text's words with blanks between them, for an index."""
    if PLAIN.fullmatch(text) and not MIXED.search(text):
        return text  # the database does the same
    found: list[str] = []
    for kind, chunk in _chunks(_normal(text)):
        found += _units(chunk) if kind in NEIGHBOURS else [chunk]
        found += _parts(chunk) if kind == "word" else []
    return " ".join(found)


def phrases(text: str, at_most: int) -> list[str]:
    """Return what a query looks for: words, and several words in a row, any of which is enough."""
    found: dict[str, None] = {}
    for written in _normal(text).split():
        found |= dict.fromkeys(_looked_for(written))
        if len(found) >= at_most:
            break
    return list(found)[:at_most]


def _looked_for(written: str) -> Iterator[str]:
    """Yield what is looked for of what is written without a blank."""
    chunks = list(_chunks(written))
    longest = max((len(chunk) for _, chunk in chunks), default=0)
    has_apostrophe = not APOSTROPHES.isdisjoint(written)
    for kind, chunk in chunks:
        if kind in NEIGHBOURS:
            units, count = _units(chunk), NEIGHBOURS[kind]
            yield from (
                " ".join(units[i : i + count]) for i in range(max(1, len(units) - count + 1))
            )
        elif not (has_apostrophe and len(chunk) == 1 < longest):  # the s of women's is no word
            yield chunk
            parts = _parts(chunk) if kind == "word" else []
            if parts:
                yield " ".join(parts)
    joined = [_parts(chunk) or [chunk] for kind, chunk in chunks if kind == "word"]
    if len(joined) > 1:  # what is written together comes first where it is found together
        yield " ".join(part for parts in joined for part in parts)


def _chunks(normal: str) -> Iterator[Chunk]:
    """Yield the parts of a normal text that can be looked for."""
    kind = ""
    kinds = [kind := (kind if found == "mark" else found) for found in map(_kind, normal)]
    for each, group in groupby(zip(kinds, normal, strict=True), lambda pair: pair[0]):
        chunk = "".join(character for _, character in group)
        if each == "sign":
            yield from ((each, sign) for sign in SIGNS.findall(chunk))
        elif each:
            yield each, chunk


@lru_cache(maxsize=65_536)
def _kind(character: str) -> str:
    """Return what a character is part of, "" where it is between words."""
    category = unicodedata.category(character)
    if category[0] == "M":
        return "mark"  # part of what it is on
    if category[0] not in "LN" and category not in ("Co", "So"):
        return ""
    if PAIRED.match(character):
        return "paired"
    if SPELLED.match(character):
        return "spelled"
    return "sign" if category == "So" else "word"


def _units(run: str) -> list[str]:
    """Return the characters of a run, each with the marks on it."""
    units: list[str] = []
    for character in run:
        if units and _kind(character) == "mark":
            units[-1] += character
        else:
            units.append(character)
    return units


def _parts(word: str) -> list[str]:
    """Return the numbers and units that a word is made of, none where it is not."""
    parts = NUMBER_OR_LETTERS.findall(word)
    return parts if len(parts) > 1 else []


def _normal(text: str) -> str:
    """Return a text as it is compared."""
    plain = text.encode("utf-8", "ignore").decode().replace("\0", " ")
    apart = unicodedata.normalize("NFKD", UNSEEN.sub("", plain))
    bare = POINTED.sub("", ACCENTS.sub("", apart))
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", bare).casefold())
    return OTHER_DIGITS.sub(
        lambda digit: str(unicodedata.decimal(digit[0])), folded.translate(DRAWN)
    )
