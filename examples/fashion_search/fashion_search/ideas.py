"""From a query to outfit ideas: text to text.

Owns what an idea is, and a small model that is part of this package and has some. Those of an endpoint are in `endpoint`. It knows
nothing of catalogs or pictures.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fashion_search.garments import TYPES
from fashion_search.t5 import T5

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from fashion_search.taste import Taste

EMBEDDED = Path(__file__).parent / "weights" / "ideas"

# What the embedded model says besides words. Each idea ends with one of the first three.
IDEA_ENDS = {"<women>": " for women", "<men>": " for men", "<any>": ""}
QUERY_ITSELF = "<query>"
PAD, END = "<pad>", "</s>"
SPECIAL_TOKENS = (PAD, END, *IDEA_ENDS, QUERY_ITSELF)

MAX_QUERY_TOKENS = 48
MAX_ANSWER_TOKENS = 64

_LEAD_IN = re.compile(
    r"""^(?:(?:please|hi|hello|hey|ok|a|an|some|any|me)[\s,]+
        |(?:i\s+am|i'm|im|we\s+are|we're)\s+(?:looking|searching|shopping|in\s+search)\s+(?:for|of)\s+
        |(?:looking|searching|search|shopping|shop|hunting)\s+for\s+|in\s+search\s+of\s+
        |(?:i|we)\s+(?:would\s+like|'d\s+like|want|need)\s+(?:to\s+(?:buy|get|find|see)\s+)?
        |(?:i'd|we'd)\s+like\s+(?:to\s+(?:buy|get|find|see)\s+)?
        |(?:can|could)\s+you\s+(?:please\s+)?(?:find|show|get|recommend)\s+
        |(?:where|how)\s+can\s+i\s+(?:buy|find|get)\s+|do\s+you\s+(?:have|sell)\s+
        |(?:show|find|get|buy|recommend|shop)\s+|(?:photos?|pictures?|images?)\s+of\s+)""",
    re.IGNORECASE | re.VERBOSE,
)
# After an item's name may come whom it is for, what it has or where it is worn: "red dress for a wedding".
_AFTER_ITEM = frozenset(
    """
    for in with without size under that to on of by from plus xl xs slim women womens woman men mens man ladies girls
    boys unisex anyone high
    """.split()
)
_ABOUT_AN_OUTFIT = re.compile(
    r"\b(?:wear|outfits?|look|looks|ideas?|attire|help me|dress code|goes? with|match(?:es)?|style)\b",
    re.IGNORECASE,
)
# What people call items besides their names in `garments.TYPES`.
_OTHER_NAMES = frozenset(
    """
    tee tees tshirt tshirts polo polos tank longsleeve jersey camisole henley gown gowns romper jumper jumpers
    pullover pullovers turtleneck fleece parka anorak windbreaker raincoat outerwear tuxedo vest lehenga sari saris
    sherwani churidar pants slacks chinos khakis joggers sweatpants tracksuit culottes tights stockings jeggings
    shoe shoes sneaker sneakers trainers loafers oxfords brogues moccasins espadrilles clogs cleats pumps stilettos
    wedges ballerinas mules heel slippers slides boot bag bags purse purses satchel tote rucksack briefcase suitcase
    billfold cardholder braces necktie shades aviators sunnies glasses wayfarers smartwatch wristwatch chronograph
    fedora visor headband muffler mittens shawl shawls pashmina anklet brooch chain jewellery jewelry bikini tankini
    swimwear trunks jutti anarkali corduroys jean sandal slipper floater floaters flop chains robe bathrobe nightdress nightgown pajamas lingerie bra briefs boxers underwear bodysuits leggins
    """.split()
)


class Ideas(Protocol):
    """Whatever can turn a query into items to look for."""

    def suggest(self, query: str, n: int = 5) -> list[str]:
        """Return at most `n` distinct ideas, best first; each names one item, such as "beige trousers for men"."""
        ...

    def stream(self, query: str, n: int = 5, taste: Taste | None = None) -> Iterator[str]:
        """Give the same one by one, as the model has them; what somebody likes may change them."""
        ...


class IdeaModelMissing(FileNotFoundError):
    """A folder does not hold the files of an embedded idea model."""

    def __init__(self, folder: Path, missing: Sequence[str]) -> None:
        super().__init__(folder, missing)
        self.folder, self.missing = folder, missing

    def __str__(self) -> str:
        return (
            f"no idea model in {self.folder}: {', '.join(self.missing)} not found there. "
            "Install the package with its weights, or make them with 'python -m training.train_ideas'."
        )


class EmbeddedIdeas:
    """Ideas from a model of about one million parameters that comes with this package and needs no network.

    Good for: a query that names one of the about 900 occasions it was taught, in English, maybe with a season and a
    person ("job interview outfit for a man", "ski trip", "what to wear to a beach wedding"); and a query that names
    a product ("red dress for women"). The product comes first, in the query's own words, whatever the brand; the
    other ideas go with it. Measured on fresh queries of the grammar it was taught with: the first idea is the right one
    for 93 of 100 occasions said alone, for 62 of 100 wrapped in a style, a season, a person and further words, and
    for 99 of 100 products.

    Not good for: anything else. It has no knowledge of the world beyond its training phrases: asked for something
    unknown it repeats the query, or answers with clothes for an occasion that happens to be spelled alike. It is weak
    on styles without an occasion ("muted summer look"), does not reason about constraints ("no wool", "under 50
    dollars"), knows adults' clothes only, and offers six ideas at most. For more, use `endpoint.EndpointIdeas`.

    The same query gives the same ideas. Safe to share between threads.
    """

    def __init__(self, model: T5, tokenizer: Tokenizer) -> None:
        self._model = model
        self._tokenizer = tokenizer
        found = {token: tokenizer.token_to_id(token) for token in SPECIAL_TOKENS}
        self._token_ids = {token: place for token, place in found.items() if place is not None}
        assert len(self._token_ids) == len(SPECIAL_TOKENS), (
            "the tokenizer is trained with all of them"
        )

    @classmethod
    def load(cls, folder: Path | str = EMBEDDED) -> EmbeddedIdeas:
        """Return the model that `folder` holds.

        Raises:
            IdeaModelMissing: a file of it is not there.
        """
        folder = Path(folder)
        missing = [
            name
            for name in ("config.json", "model.safetensors", "tokenizer.json")
            if not (folder / name).is_file()
        ]
        if missing:
            raise IdeaModelMissing(folder, missing)
        from tokenizers import Tokenizer  # the endpoint does not need it

        return cls(T5.load(folder), Tokenizer.from_file(str(folder / "tokenizer.json")))

    def suggest(self, query: str, n: int = 5) -> list[str]:
        """Return at most `n` (and at most six) distinct ideas, best first.

        Raises:
            ValueError: the query is empty, or `n` is less than 1.
        """
        return list(self.stream(query, n))

    def stream(self, query: str, n: int = 5, taste: Taste | None = None) -> Iterator[str]:
        """Give the ideas of `suggest`, each as soon as its last word is there. The model knows nothing of tastes."""
        query = checked(query, n)
        return first_distinct(with_the_item_first(query, self._ideas(query)), n)

    def _ideas(self, query: str) -> Iterator[str]:
        words: list[int] = []
        ends = {self._token_ids[token]: suffix for token, suffix in IDEA_ENDS.items()}
        # What looks like the model's own marks is only text.
        read = self._tokenizer.encode(query.replace("<", " ").replace(">", " ")).ids[
            :MAX_QUERY_TOKENS
        ]
        for token_id in self._model.answer([*read, self._token_ids[END]], MAX_ANSWER_TOKENS):
            if token_id not in ends:
                words.append(token_id)
                continue
            if self._token_ids[QUERY_ITSELF] in words:
                yield the_item_asked_for(query)
            elif phrase := self._tokenizer.decode(words).strip():
                yield phrase + ends[token_id]
            words = []


def the_item_asked_for(query: str) -> str:
    """Return a product query without its courtesies: "looking for a red dress, please" is "red dress"."""
    item = query.strip().strip("?!. ")
    item = re.sub(r"[\s,]+please$", "", item, flags=re.IGNORECASE)
    while (rest := _LEAD_IN.sub("", item, count=1).strip()) != item and rest:
        item = rest
    return item or query.strip()


def names_a_product(query: str) -> bool:
    """Whether a query asks for one kind of item ("red dress for women") and not for an outfit ("black tie gala").

    Told by the words alone: an item's name must end the query, or come before a word such as "for" or "with".
    """
    if _ABOUT_AN_OUTFIT.search(query):
        return False
    words = re.findall(
        r"[a-z0-9]+", re.sub(r"\bt[ -]s", "ts", the_item_asked_for(query).lower()).replace("'", "")
    )
    names = _item_words()
    return any(
        word in names and (rest == [] or rest[0] in _AFTER_ITEM)
        for word, rest in ((word, words[place + 1 :]) for place, word in enumerate(words))
    )


@cache
def _item_words() -> frozenset[str]:
    names = (name for kind in TYPES.values() for name in (kind.singular, kind.plural))
    return _OTHER_NAMES.union(name.split()[-1] for name in names)


def with_the_item_first(query: str, ideas: Iterable[str]) -> Iterator[str]:
    """Yield the ideas, before them the item itself where the query names one."""
    if names_a_product(query):
        yield the_item_asked_for(query)
    yield from ideas


def checked(query: str, n: int) -> str:
    if not query.strip():
        raise ValueError(
            "the query is empty; say what to wear or what for, such as 'beach wedding'"
        )
    if n < 1:
        raise ValueError(f"n is {n}; ask for at least one idea")
    return " ".join(query.split())


def first_distinct(ideas: Iterable[str], n: int) -> Iterator[str]:
    found = set[str]()
    for idea in ideas:
        if idea.casefold() not in found:
            found.add(idea.casefold())
            yield idea
        if len(found) == n:
            return
