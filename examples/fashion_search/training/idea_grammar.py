"""What the embedded idea model learns: queries people write, and the outfit items that suit them.

Everything here is a pure function of the words in `idea_vocabulary`. A query is put together from an occasion, a
season, a style, a colour and a person, or names a product; its ideas follow from those parts alone, so the model can
learn the rule behind combinations that it never saw.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fashion_search.ideas import QUERY_ITSELF
from training.idea_vocabulary import (
    BRANDS,
    COLOURS,
    ENDINGS,
    FOR_EVERYBODY,
    LEADS,
    MATERIALS,
    OCCASIONS,
    PEOPLE,
    PRODUCT_LEADS,
    PRODUCTS,
    SPELLINGS,
    STYLES,
    TAILS,
    TAILS_OF_PRODUCTS,
    WARDROBES,
    WEATHERS,
    Gender,
    Style,
    Wardrobe,
    Weather,
    listed,
)

IDEAS_PER_QUERY = 6


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to wear. `for_whom` is None for what shops sell to everybody."""

    text: str
    for_whom: Gender | None


@dataclass(frozen=True, slots=True)
class Example:
    """One training pair."""

    query: str
    ideas: tuple[Item, ...]


_FOR_WARM_DAYS = frozenset(("sandals", "flip", "shorts", "sundress", "sunglasses"))
_FOR_COLD_DAYS = frozenset(("wool", "coat", "sweater", "boots", "sweatshirt", "hoodie"))
_LAYERS: dict[Weather, tuple[tuple[int, str], ...]] = {
    "hot": ((2, "sunglasses"),),
    "cold": ((1, "* wool coat"), (3, "* scarf")),
    "wet": ((1, "* waterproof jacket"),),
    "autumn": ((1, "* jacket"),),
    "spring": ((1, "light blue denim jacket"),),
}


def _without(words: frozenset[str], items: Sequence[str]) -> Sequence[str]:
    """Return the items that have none of the words; all of them where each has one."""
    return [item for item in items if not words.intersection(item.split())] or items


def _dressed_for(weather: Weather | None, items: Sequence[str]) -> list[str]:
    if weather is None:
        return list(items)
    if weather in ("cold", "wet"):
        items = _without(_FOR_WARM_DAYS, items)
    if weather == "hot":
        items = _without(_FOR_COLD_DAYS, items)
    dressed = list(items)
    for position, layer in _LAYERS[weather]:
        if layer not in dressed:
            dressed.insert(position, layer)
    return dressed


def _coloured(items: Sequence[str], palette: Sequence[str], gender: Gender) -> list[Item]:
    """Give each `*` the next colour of the palette, and drop what then occurs twice."""
    found: dict[str, Item] = {}
    turn = 0
    for item in items:
        if "*" in item:
            item = item.replace("*", palette[turn % len(palette)])
            turn += 1
        everybody = any(word in FOR_EVERYBODY for word in item.split())
        found.setdefault(item, Item(item, None if everybody else gender))
    return list(found.values())


def _mixed(women: Sequence[Item], men: Sequence[Item]) -> tuple[Item, ...]:
    """Take turns, for a query that does not say who asks; what both lists have is for everybody."""
    shared = {item.text for item in women} & {item.text for item in men}
    turns = [item for pair in zip(women, men, strict=False) for item in pair]
    merged = [Item(item.text, None) if item.text in shared else item for item in turns]
    return tuple(dict.fromkeys(merged))[:IDEAS_PER_QUERY]


def ideas_for(
    wardrobe: Wardrobe,
    *,
    gender: Gender | None,
    weather: Weather | None = None,
    style: Style | None = None,
) -> tuple[Item, ...]:
    """Return the items that suit a wardrobe, a season and a style, most important first."""
    palette = wardrobe.palette if style is None or style.palette is None else style.palette
    by_gender: dict[Gender, list[Item]] = {}
    rails: tuple[tuple[Gender, tuple[str, ...]], ...] = (
        ("women", wardrobe.women),
        ("men", wardrobe.men),
    )
    for who, items in rails:
        dressed = _dressed_for(weather if wardrobe.weather_matters else None, items)
        if style is not None and (signature := getattr(style, who)) is not None:
            dressed.insert(1, signature)
        by_gender[who] = _coloured(dressed, palette, who)
    if gender is None:
        return _mixed(by_gender["women"], by_gender["men"])
    return tuple(by_gender[gender][:IDEAS_PER_QUERY])


def _request_for_an_occasion(random_: random.Random) -> Example:
    occasion = random_.choice(OCCASIONS)
    gender: Gender | None = random_.choice(("women", "men", None))
    weather = random_.choice(tuple(WEATHERS)) if random_.random() < 0.25 else None
    style = random_.choice(STYLES) if random_.random() < 0.25 else None
    words = occasion.phrase
    if style is not None:
        words = f"{random_.choice(style.phrases)} {words}"
    if random_.random() < 0.4:
        words = f"{words} {random_.choice(ENDINGS)}"
    before, after = PEOPLE[gender] if gender is not None else ((), ())
    said_before = bool(before) and random_.random() < 0.35
    if said_before:
        words = f"{random_.choice(before)} {words}"
    if random_.random() < 0.55:
        words = f"{random_.choice(LEADS)} {random_.choice(('', 'a ', 'the ', 'my ', 'an '))}{words}"
    tails = [random_.choice(after)] if after and not said_before else []
    if weather is not None:
        tails.append(random_.choice(WEATHERS[weather]))
    if random_.random() < 0.3:
        tails.append(random_.choice(TAILS))
    random_.shuffle(tails)
    return Example(
        " ".join([words, *tails]),
        ideas_for(occasion.wardrobe, gender=gender, weather=weather, style=style),
    )


def _request_for_a_style(random_: random.Random) -> Example:
    style = random_.choice([style for style in STYLES if style.palette is not None])
    gender: Gender | None = random_.choice(("women", "men", None))
    weather = random_.choice(tuple(WEATHERS)) if random_.random() < 0.4 else None
    inspired = random_.choice(("", "", " inspired", " style", " chic"))
    words = f"{random_.choice(style.phrases)}{inspired}"
    if weather is not None and random_.random() < 0.6:
        words = f"{words} {WEATHERS[weather][5 if weather in ('hot', 'cold') else 3]}"
        said_weather = True
    else:
        said_weather = weather is None
    words = f"{words} {random_.choice(ENDINGS)}"
    if gender is not None:
        words = f"{words} {random_.choice(PEOPLE[gender][1])}"
    if not said_weather and weather is not None:
        words = f"{words} {random_.choice(WEATHERS[weather])}"
    wardrobe = WARDROBES["casual day"]
    return Example(words, ideas_for(wardrobe, gender=gender, weather=weather, style=style))


def _made_up_word(random_: random.Random) -> str:
    syllables = random_.choices(
        ("la", "ko", "ri", "men", "to", "bel", "fa", "sun", "er", "vi", "ox", "pra", "da"), k=3
    )
    return "".join(syllables[: random_.choice((2, 3))])


def _request_for_a_product(random_: random.Random) -> Example:
    names, sold_to, with_women, with_men = random_.choice(PRODUCTS)
    name = random_.choice(listed(names))
    gender: Gender | None = random_.choice(("women", "men", None))
    if sold_to is not None and random_.random() < 0.9:
        gender = random_.choice((sold_to, None))
    colour = random_.choice(tuple(COLOURS)) if random_.random() < 0.65 else None
    words = [name]
    if random_.random() < 0.3:
        words.insert(0, random_.choice(MATERIALS))
    if random_.random() < 0.2:
        brand = random_.choice(BRANDS) if random_.random() < 0.6 else _made_up_word(random_)
        words.insert(0, brand)
    says_who = gender is not None
    if says_who and random_.random() < 0.5:
        assert gender is not None
        words.insert(random_.choice((0, 0, len(words) - 1)), random_.choice(PEOPLE[gender][0]))
        says_who = False
    if colour is not None:
        said = SPELLINGS.get(colour, colour) if random_.random() < 0.3 else colour
        if random_.random() < 0.12:
            words += ["in", said]
        else:
            words.insert(random_.choice((0, len(words) - 1)), said)
    if random_.random() < 0.15:
        words.append(random_.choice(TAILS_OF_PRODUCTS))
    if says_who:
        assert gender is not None
        words.append(random_.choice(PEOPLE[gender][1]))
    if random_.random() < 0.12:
        words += ["for", random_.choice(OCCASIONS).phrase]
    if random_.random() < 0.3:
        words.insert(0, random_.choice(PRODUCT_LEADS))
    palette = listed(COLOURS[colour]) if colour is not None else ("black", "white", "blue")
    who = gender or sold_to
    # What goes with an item starts at the second colour: the item itself is the first.
    palette = (*palette[1:], palette[0])
    women = _coloured(listed(with_women), palette, "women")
    men = _coloured(listed(with_men), palette, "men")
    others = _mixed(women, men) if who is None else tuple(women if who == "women" else men)
    return Example(" ".join(words), (Item(QUERY_ITSELF, None), *others)[:IDEAS_PER_QUERY])


def _request_without_a_clue(random_: random.Random) -> Example:
    """A request that says nothing we know: dress smart casual."""
    words = " ".join(_made_up_word(random_) for _ in range(random_.choice((1, 2))))
    gender: Gender | None = random_.choice(("women", "men", None))
    if random_.random() < 0.8:
        words = f"{random_.choice(LEADS)} {random_.choice(('a ', 'the ', ''))}{words}"
    if gender is not None:
        words = f"{words} {random_.choice(PEOPLE[gender][1])}"
    return Example(words, ideas_for(WARDROBES["smart casual"], gender=gender))


def _with_a_slip(query: str, random_: random.Random) -> str:
    """Swap two letters inside one word, as fingers do."""
    words = query.split()
    place = random_.randrange(len(words))
    word = words[place]
    if len(word) > 4:
        cut = random_.randrange(1, len(word) - 2)
        words[place] = word[:cut] + word[cut + 1] + word[cut] + word[cut + 2 :]
    return " ".join(words)


def words_of(query: str) -> str:
    """Return a query as the held-out check compares it: lower case, letters and digits only."""
    return " ".join(re.findall(r"[a-z0-9]+", query.lower()))


def examples(seed: int, held_out: Sequence[str] = ()) -> Iterator[Example]:
    """Yield training pairs without end; none contains the wording of a held-out query."""
    random_ = random.Random(seed)
    kinds = (
        _request_for_an_occasion,
        _request_for_a_product,
        _request_for_a_style,
        _request_without_a_clue,
    )
    while True:
        example = random_.choices(kinds, weights=(55, 35, 8, 2))[0](random_)
        if _contains_any(example.query, held_out):
            continue
        if random_.random() < 0.06:
            example = Example(_with_a_slip(example.query, random_), example.ideas)
        yield example


def short_examples(seed: int, held_out: Sequence[str] = ()) -> Iterator[Example]:
    """Yield pairs as `examples` does, of occasions said in few words: for learning the words themselves."""
    random_ = random.Random(seed)
    while True:
        occasion = random_.choice(OCCASIONS)
        gender: Gender | None = random_.choice(("women", "men", None))
        words = [occasion.phrase]
        if random_.random() < 0.3:
            words.append(random_.choice(ENDINGS))
        if random_.random() < 0.3:
            words.insert(0, random_.choice(LEADS))
        if gender is not None:
            words.append(random_.choice(PEOPLE[gender][1]))
        query = " ".join(words)
        if not _contains_any(query, held_out):
            yield Example(query, ideas_for(occasion.wardrobe, gender=gender))


def _contains_any(query: str, held_out: Sequence[str]) -> bool:
    return any(f" {words_of(wording)} " in f" {words_of(query)} " for wording in held_out)
