"""Wishes: what somebody who types a query wants, read into words, words to leave out, a person, a price and a size.

Owns how a query is read, by the words alone: "dress but not black under $50" is a dress, without black, below 50. It knows
no store; the words that a catalog uses are passed in, and what is misspelt is mended against them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

COMMON = 3
"""How often a catalog has a word that something misspelt is taken for: shops misspell, too."""

PERSONS = ("women", "men", "girls", "boys", "kids")

_MONEY = r"(?:[$£€]|usd\s*|eur\s*|gbp\s*|inr\s*|rs\.?\s*)?\s*(\d+(?:[.,]\d{1,2})?)\s*(?:dollars?|bucks|euros?|pounds?|usd|eur|gbp|[$£€])?"
_BETWEEN = re.compile(rf"\b(?:between|from)\s+{_MONEY}\s+(?:and|to|-)\s+{_MONEY}", re.I)
_RANGE = re.compile(
    r"[$£€]\s*(\d+(?:[.,]\d{1,2})?)\s*(?:-|–|to)\s*[$£€]?\s*(\d+(?:[.,]\d{1,2})?)", re.I
)
_BELOW = re.compile(
    rf"\b(?:under|below|less\s+than|cheaper\s+than|up\s+to|at\s+most|max(?:imum)?|no\s+more\s+than|not\s+more\s+than|within)\s+{_MONEY}"
    rf"|<\s*{_MONEY}",
    re.I,
)
_ABOVE = re.compile(
    rf"\b(?:over|above|more\s+than|at\s+least|min(?:imum)?|starting\s+at)\s+{_MONEY}|>\s*{_MONEY}",
    re.I,
)
_SIZE = re.compile(
    r"\b(?:in\s+)?size\s+(\d{1,2}(?:\.5)?|xxs|xs|s|m|l|xl|xxl|xxxl|[2-5]xl|small|medium|large)\b",
    re.I,
)

_NEGATION = re.compile(
    r"\b(?:(?:but\s+|and\s+)?(?:not|no|without|except(?:\s+for)?|excluding|anything\s+but|other\s+than|minus|never)|non)"
    r"(?:[\s-]+(?:in|any|a|an|the|with|of|made|too|for))*[\s-]+"
    r"(?P<what>[\w'-]+(?:\s+(?:or|nor|and|,)\s+(?:not\s+|no\s+)?[\w'-]+)*)",
    re.I,
)

_WHO: dict[str, str] = {
    "women": r"wom[ae]n(?:'?s)?|lad(?:y|ies)(?:'?s)?|female|her|wife|girlfriend|mother|mom|mum",
    "men": r"m[ae]n(?:'?s)?|gents?|gentlem[ae]n|male|him|guys?|husband|boyfriend|father|dad",
    "girls": r"girls?(?:'?s)?|daughter",
    "boys": r"boys?(?:'?s)?|son",
    "kids": r"kids?(?:'?s)?|child(?:ren)?(?:'?s)?|toddlers?(?:'?s)?|bab(?:y|ies)(?:'?s)?|infants?(?:'?s)?|newborns?",
}
_PERSON = {person: re.compile(rf"\b(?:{words})(?!\w)", re.I) for person, words in _WHO.items()}
_SMALL = re.compile(
    r"\b(?:toddlers?|bab(?:y|ies)|infants?|newborns?|kids?|child(?:ren)?|little)\b", re.I
)

_ANYBODY = re.compile(r"\b(?:unisex|any(?:one|body)|every(?:one|body))\b", re.I)

_PLAIN = frozenset(
    """a an and any are as at be but buy by can could do find for from get good great have help how i if in is it like
    looking me my need nice not of on one or our please really shop show some something that the their them there
    these this those to too up us very want we what where which who will with would you your pair cheap best new""".split()
)

# Words that a query in another language cannot do without, and English does not have.
_ELSEWHERE: dict[str, frozenset[str]] = {
    "French": frozenset("pour femme femmes homme hommes avec rouge noir noire blanc blanche bleu bleue vert verte chaussures sac chemise manteau jupe pantalon chapeau une des du les et fille garçon ete été mariage robes".split()),
    "German": frozenset("für fuer damen herren mit rot rotes rote roter schwarz schwarze schwarzes weiß weiss blau blaue grün kleid kleider schuhe tasche hemd hose jacke rock und ein eine ohne mädchen kinder hochzeit".split()),
    "Spanish": frozenset("para mujer mujeres hombre hombres con rojo roja negro negra blanco blanca azul verde vestido vestidos zapatos bolso camisa falda pantalones y una sin niña niño boda los las de".split()),
    "Italian": frozenset("per donna donne uomo uomini con rosso rossa nero nera bianco bianca blu verde vestito abito scarpe borsa camicia gonna pantaloni e una senza matrimonio da il di".split()),
    "Portuguese": frozenset("para mulher homem com vermelho vermelha preto preta branco branca azul vestido sapatos bolsa camisa saia calça uma sem casamento feminino masculino".split()),
    "Dutch": frozenset("voor dames heren met rood rode zwart zwarte wit witte blauw jurk schoenen tas hemd broek jas een zonder bruiloft meisje".split()),
}  # fmt: skip


class NotUnderstood(ValueError):
    """A query is in a language that nobody here reads."""

    def __init__(self, query: str, language: str) -> None:
        super().__init__(query, language)
        self.query, self.language = query, language

    def __str__(self) -> str:
        return (
            f"{self.query!r} seems to be in {self.language}, and what comes with this package reads English only. Ask in "
            "English, or name a language model that reads it with --llm-url and --llm-model."
        )


@dataclass(frozen=True)
class Wish:
    """What a query asks for.

    Attributes:
        text: what is searched for, mended, without the parts that are filters.
        without: words that no answer may have.
        person: whose, one of `PERSONS`; None: anybody's.
        is_for_anybody: whether it says so: "unisex".
        below, above: bounds of the price, in whatever the shop asks for.
        size: as it was written.
        mended: what was misspelt, with what it was taken for.
        language: the other language that it seems to be in; None: English, or nobody can tell.
    """

    text: str
    without: tuple[str, ...] = ()
    person: str | None = None
    is_for_anybody: bool = False
    below: float | None = None
    above: float | None = None
    size: str | None = None
    mended: Mapping[str, str] = field(default_factory=dict)
    language: str | None = None

    def told(self) -> str:
        """Return how it was understood, for the person who asked; empty where there is nothing to say."""
        parts = [f"“{old}” read as “{new}”" for old, new in self.mended.items()]
        parts += [f"without {word}" for word in self.without]
        parts += [f"for {self.person}"] if self.person in ("girls", "boys", "kids") else []
        parts += [f"below {self.below:g}"] if self.below is not None else []
        parts += [f"above {self.above:g}"] if self.above is not None else []
        parts += [f"size {self.size}"] if self.size else []
        return ", ".join(parts)


def read_wish(
    query: str,
    catalog: Mapping[str, int] | None = None,
    is_word: Callable[[str], bool] = lambda word: False,
) -> Wish:
    """Return what a query asks for.

    Args:
        query: as it was typed.
        catalog: the words of the catalog, lower case, with how often each occurs; a word that is neither there nor
            `is_word` is mended to the likeliest one that is.
        is_word: whether a word is spelt rightly, whatever the catalog has.
    """
    text = " ".join(query.split())
    above, below, text = _price(text)
    size, text = _taken(_SIZE, text)
    without, text = _without(text)
    mended: dict[str, str] = {}
    language = language_of(query)
    if catalog and language is None:
        text = _mended(text, catalog, is_word, mended)
    return Wish(
        text=_tidy(text) or _tidy(query),
        without=without,
        person=person_of(text),
        is_for_anybody=is_for_anybody(text),
        below=below,
        above=above,
        size=size,
        mended=mended,
        language=language,
    )


def person_of(text: str) -> str | None:
    """Return whom a text names, one of `PERSONS`; None where it names nobody, or grown-ups of both kinds."""
    named = [person for person, words in _PERSON.items() if words.search(text)]
    small = [person for person in named if person in ("girls", "boys")]
    if _SMALL.search(text) or "kids" in named:
        return small[0] if len(small) == 1 else "kids"
    if {"women", "men"} <= set(named):
        return None
    return named[0] if named else None


def is_for_anybody(text: str) -> bool:
    """Whether a text says that it is for anybody."""
    return _ANYBODY.search(text) is not None


def language_of(query: str) -> str | None:
    """Return the language that a query is in where its words give it away; None for English and what nobody can tell."""
    words = set(re.findall(r"[^\W\d_]+", query.lower()))
    if not words:
        return None
    counts = {language: len(words & known) for language, known in _ELSEWHERE.items()}
    likeliest = max(counts, key=lambda language: counts[language])
    is_most = counts[likeliest] >= 2 and counts[likeliest] >= 0.5 * len(words)
    if is_most:
        return likeliest
    letters = [each for each in query if each.isalpha()]
    strange = sum(ord(each) > 0x24F for each in letters)
    return "another script" if letters and strange > len(letters) / 2 else None


def content_words(text: str) -> list[str]:
    """Return the words of a text that say what is wanted: in lower case, without those that any query may have."""
    return [
        word
        for word in re.findall(r"[a-z0-9]+", text.lower().replace("'s", ""))
        if word not in _PLAIN
    ]


def stem(word: str) -> str:
    """Return a word without the ending of its plural: "dresses" is "dress", "bags" is "bag"."""
    if len(word) > 4 and word.endswith(("sses", "ches", "shes", "xes")):
        return word[:-2]
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def has_word(text: str, word: str) -> bool:
    """Whether a text has a word, in the singular or the plural."""
    return stem(word.lower()) in {stem(each) for each in re.findall(r"[a-z0-9]+", text.lower())}


def _price(text: str) -> tuple[float | None, float | None, str]:
    for pattern in (_BETWEEN, _RANGE):
        if found := pattern.search(text):
            low, high = sorted(_amount(found))
            return low, high, _cut(text, found)
    above = below = None
    if found := _BELOW.search(text):
        below, text = _amount(found)[0], _cut(text, found)
    if found := _ABOVE.search(text):
        above, text = _amount(found)[0], _cut(text, found)
    return above, below, text


def _amount(found: re.Match[str]) -> list[float]:
    return [float(each.replace(",", ".")) for each in found.groups() if each]


def _taken(pattern: re.Pattern[str], text: str) -> tuple[str | None, str]:
    found = pattern.search(text)
    return (found.group(1).lower(), _cut(text, found)) if found else (None, text)


def _without(text: str) -> tuple[tuple[str, ...], str]:
    words: list[str] = []
    while found := _NEGATION.search(text):
        for word in re.findall(r"[\w'-]+", found["what"].lower()):
            if word not in ("or", "nor", "and", "not", "no") and word not in _PLAIN:
                words.append(word)
        text = _cut(text, found)
    return tuple(dict.fromkeys(words)), text


def _mended(
    text: str, catalog: Mapping[str, int], is_word: Callable[[str], bool], mended: dict[str, str]
) -> str:
    def put_right(found: re.Match[str]) -> str:
        word = found.group()
        plain = word.lower()
        if len(plain) < 4 or plain in catalog or stem(plain) in catalog or is_word(plain):
            return word
        right = _nearest(plain, catalog)
        if right is None:
            return word
        mended[word] = right
        return right

    return re.sub(r"(?<![\w'-])[A-Za-z]+(?![\w'-])", put_right, text)


def _nearest(word: str, catalog: Mapping[str, int]) -> str | None:
    """Return the catalog's word that was meant, the commonest of those that are nearly as near as the nearest."""
    likely: Collection[str] = [
        each
        for each, count in catalog.items()
        if count >= COMMON
        and abs(len(each) - len(word)) <= 2
        and each[0] == word[0]
        and each.isalpha()
    ]
    near = difflib.get_close_matches(word, likely, n=5, cutoff=0.75)
    if not near:
        return None
    best = difflib.SequenceMatcher(None, near[0], word).ratio()
    close = [
        each for each in near if difflib.SequenceMatcher(None, each, word).ratio() > best - 0.08
    ]
    return max(close, key=lambda each: catalog[each])


def _cut(text: str, found: re.Match[str]) -> str:
    return f"{text[: found.start()]} {text[found.end() :]}"


def _tidy(text: str) -> str:
    return re.sub(r"(?:^|\s)(?:but|and|,)?\s*$", "", " ".join(text.split())).strip(" ,.;")
