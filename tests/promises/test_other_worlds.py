"""P13 and P14 as properties: however runs and writes interleave, what depends on other rows is as if derived from scratch.

`other_worlds` draws lookups, windows and runs that read and write other rows, and what happens to them: writes, deletes,
rows made again, users' values, workers that are cut off, and all of it inside calls, too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.promises.other_plans import Beside, Fold, Plan, Rule, Writer
from tests.promises.other_worlds import World
from tests.promises.worlds import Clock

STYLES = ("plain", "plain", "batch", "async")
IDS = {"card": 3, "event": 5, "sheet": 2}
USERS_PAGE = 4
"""The number of a page that no run makes."""

numbers = st.integers(0, 6)
optional_numbers = st.one_of(numbers, numbers, numbers, st.none())
instants = st.integers(1, 6)


# -- plans --


@st.composite
def lookups(
    draw: st.DrawFn, table: str, events: list[str], cards: list[str], way: str | None = None
) -> Beside:
    """Draw a lookup for rows of a table, of keys that are derived before: by an id, by another key, or of a page."""
    is_optional = draw(st.booleans())
    if table == "card":
        return Beside("card.a", "boss", is_optional=is_optional)
    of_cards, of_events = [f"card.{key}" for key in cards], [f"event.{key}" for key in events]
    way = way or draw(st.sampled_from(["id", "id", "to", "page"]))
    if way == "page":
        key = draw(st.sampled_from(["mark", "mark", "note", "title"]))
        by: Any = draw(st.sampled_from([("sheet", "place"), ("sheet", "place"), "sheet"]))
        return Beside(f"sheet.{key}", by, is_optional=is_optional)
    if way == "to":
        by = draw(st.sampled_from(["host", "host", *events[1:]]))
        to = draw(st.sampled_from(["domain", "domain", *cards]))
        return Beside(draw(st.sampled_from(of_cards)), by, is_optional=is_optional, to=to)
    by, keys = draw(
        st.sampled_from(
            [("card", of_cards), ("prev", of_events), *((key, of_cards) for key in events[1:])]
        )
    )
    return Beside(draw(st.sampled_from(keys)), by, is_optional=is_optional)


@st.composite
def lists(draw: st.DrawFn, cards: list[str]) -> Beside:
    """Draw a lookup by a list of cards, for events."""
    key, to = draw(st.sampled_from(cards)), draw(st.sampled_from([None, None, "domain"]))
    return Beside(
        f"card.{key}",
        "cards",
        is_optional=draw(st.booleans()),
        has_gaps=draw(st.booleans()),
        to=to,
    )


NO_NUMBER = ("list", "distinct", "mean", "std")
AGGREGATIONS = (
    "list",
    "list",
    "count",
    "sum",
    "mean",
    "min",
    "max",
    "last",
    "std",
    "std",
    "distinct",
    "distinct",
)


OF_WORD: dict[str | None, tuple[str, ...]] = {
    "std": ("std",),
    "distinct": ("distinct",),
    "tuple": ("list", "last"),
    "order": ("list", "last"),
}
WORDS = ("where", "std", "distinct", "tuple", "order", "to", "page")


def saying(word: str, events: list[str], cards: list[str]) -> st.SearchStrategy[Beside]:
    """Draw what rows of events take from others, with a word that is said of it."""
    if word in ("to", "page"):
        return lookups("event", events, cards, word)
    return windows("event", events, word=word)


@st.composite
def windows(
    draw: st.DrawFn, table: str, keys: list[str], *, kept: bool = False, word: str | None = None
) -> Beside:
    """Draw a window for rows of a table, over events or sheets, of keys that are derived before; with a word that is said of
    it."""
    over = draw(st.sampled_from(["event", "event", "event", "sheet"])) if not kept else "event"
    by: Any = draw(st.sampled_from(["card", "card", "card", *keys[1:]]))
    order: Any = draw(st.sampled_from([None, None, "prev", *keys[1:]]))
    held, narrowed = keys, [*keys, "kind", "kind", "kind", "prev"]
    if table == "card":
        by, order = ("boss", "event.card"), draw(st.sampled_from([None, ("a", "event.prev")]))
    elif over == "sheet":
        by, order = ("card", "sheet.card"), draw(st.sampled_from([None, ("prev", "sheet.title")]))
        held, narrowed = ["mark", "note"], ["title", "note", "mark"]
    order = "prev" if word == "order" and over == table else order
    key, where = draw(st.sampled_from(held)), None
    if word == "where" or draw(st.integers(0, 2)) == 0:
        where = draw(st.sampled_from(narrowed)), draw(st.sampled_from([0, 0, 1, 2, None]))
    agg, also = draw(st.sampled_from(OF_WORD.get(word, AGGREGATIONS))), None
    if agg in ("list", "last") and not kept and (word == "tuple" or draw(st.booleans())):
        also = draw(st.sampled_from(["prev", "prev", "card", *held] if over == "event" else held))
    if also == key:
        also = "prev" if over == "event" else None
    return Beside(
        f"{over}.{key}",
        by,
        agg,
        draw(st.sampled_from([None, None, 1, 2, 4])),
        draw(st.sampled_from([None, None, 1, 2])),
        itself=table == over and draw(st.booleans()),
        is_optional=draw(st.booleans()),
        also=also,
        where=where,
        order=order,
    )


def by_hand(beside: Beside) -> st.SearchStrategy[Beside]:
    """Draw whether a lookup is read by hand, and followed."""
    if beside.agg is not None or beside.is_list or beside.to is not None:
        return st.just(beside)
    ways = st.sampled_from([None, None, "get", "whole", "rows"])
    return ways.map(
        lambda way: replace(beside, by_hand=way, is_optional=way is not None or beside.is_optional)
    )


@st.composite
def rules(
    draw: st.DrawFn,
    table: str,
    sets: str,
    keys: list[str],
    beside: st.SearchStrategy[Beside],
    least: int,
    first: Sequence[Beside] = (),
) -> Rule:
    style = draw(st.sampled_from(STYLES))
    others = tuple(
        draw(by_hand(each))
        for each in [
            *first,
            *draw(st.lists(beside, min_size=least, max_size=2 - len(first), unique=True)),
        ]
    )
    follows = any(each.by_hand for each in others)
    on = draw(st.lists(st.sampled_from(keys), min_size=1, max_size=2, unique=True))
    on += [name for each in others if each.by_hand for name in each.names]
    return Rule(
        table,
        sets,
        tuple(dict.fromkeys(on)),
        others,
        factor=draw(st.integers(1, 6)),
        none_at=draw(st.one_of(st.none(), st.none(), numbers)),
        style=style,
        inline=draw(st.sampled_from([None, None, True, False])),
        memo=draw(st.integers(0, 4)) == 0 and not follows,
    )


@st.composite
def folds(draw: st.DrawFn, target: str, keys: list[str], after: int = 0) -> Fold:
    takes = draw(st.lists(st.sampled_from(keys), min_size=1, max_size=2, unique=True))
    orders = st.sampled_from([None, None, "prev"])
    is_of_cards = target == "card"
    return Fold(
        target,
        tuple(takes),
        is_optional=len(takes) > 1 and draw(st.booleans()),
        order=draw(orders),
        gather=draw(st.sampled_from([None, None, 1, 3])) if is_of_cards else None,
        factor=draw(st.integers(1, 6)),
        style=draw(st.sampled_from(["plain", "plain", "async"])),
        after=after,
        replay=draw(st.sampled_from([True, True, False])),
    )


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    found: list[Rule] = []
    folded: list[Fold] = []
    cards, events = ["a"], ["n"]
    if draw(st.integers(0, 2)) == 0:
        folded.append(draw(folds("card", ["n", "prev"])))
        cards.append("worth")
    if draw(st.booleans()):
        found.append(draw(rules("card", "d", ["a"], lookups("card", [], []), least=0)))
        cards.append("d")
    kept = {}
    for key in ["kept", "total_of"][: draw(st.sampled_from([0, 0, 1, 2]))]:
        is_window = key == "total_of"
        plain = windows("event", ["n"], kept=True) if is_window else lookups("event", ["n"], cards)
        kept[key] = draw(plain.filter(lambda each: each.agg not in NO_NUMBER))
        events.append(key)
    if draw(st.integers(0, 3)) == 0:
        kept["listed"] = draw(lists(cards))
    place = draw(st.sampled_from([None, None, None, 0, 1, 2]))
    for i in range(draw(st.integers(1, 3))):
        if i == place:
            folded.append(draw(folds("event", events, i)))
            events.append("run")
        beside = st.one_of(lookups("event", events, cards), lists(cards), windows("event", events))
        on = [*events, *(["listed"] if "listed" in kept else [])]
        least = draw(st.integers(0, 1))
        first = [draw(saying(draw(st.sampled_from(WORDS)), events, cards))] if i == 0 else []
        found.append(draw(rules("event", f"x{i}", on, beside, least, first)))
        events.append(f"x{i}")
    if draw(st.integers(0, 2)) == 0:
        over = windows("card", events).filter(lambda each: each.key.startswith("event."))
        found.append(draw(rules("card", "w", ["a"], over, least=1)))
    kinds = st.tuples(
        st.sampled_from(["count", "count", "claim"]), st.sampled_from(["get", "rows"])
    )
    drawn = draw(st.lists(kinds, max_size=2, unique=True))
    writers = tuple(Writer(kind, draw(st.sampled_from(STYLES)), reads) for kind, reads in drawn)
    return Plan(
        kept, tuple(found), writers, is_swept=draw(st.integers(0, 2)) == 0, folds=tuple(folded)
    )


# -- stories --


@st.composite
def values_of(draw: st.DrawFn, table: str) -> dict[str, Any]:
    own: dict[str, st.SearchStrategy[Any]] = {"ts": instants}
    if table == "card":
        own |= {
            "a": optional_numbers,
            "boss": st.one_of(st.integers(1, 3), st.none()),
            "domain": st.one_of(st.integers(0, 2), st.none()),
        }
    elif table == "sheet":
        own |= {
            "card": st.one_of(st.integers(1, 3), st.integers(1, 2), st.none()),
            "title": optional_numbers,
            "make": optional_numbers,
        }
    else:
        own |= {
            "card": st.one_of(st.integers(1, 3), st.integers(1, 2), st.none()),
            "prev": st.one_of(st.integers(1, 5), st.none()),
            "n": optional_numbers,
            "cards": st.one_of(st.lists(st.integers(0, 4), max_size=3), st.none()),
            "kind": st.sampled_from([0, 1, None]),
            "host": st.one_of(st.integers(0, 2), st.none()),
            "sheet": st.one_of(st.integers(1, 2), st.none()),
            "place": st.sampled_from([0, 0, 1, 2, 4, None]),
        }
    return draw(st.fixed_dictionaries({}, optional=own).filter(bool))


@st.composite
def full(draw: st.DrawFn, table: str) -> dict[str, Any]:
    """Draw a row that has some values, and shares its card and its kind with others."""
    shared = {"card": draw(st.integers(1, 2)), "kind": draw(st.integers(0, 1)), "n": draw(numbers)}
    own = {"event": shared, "card": {"a": draw(numbers)}, "sheet": {"make": draw(numbers)}}[table]
    return {"ts": draw(instants), **draw(values_of(table)), **own}


@st.composite
def rows(draw: st.DrawFn, *, is_whole: bool = False) -> tuple[str, Any, dict[str, Any]]:
    """Draw a row of a table; with `is_whole`, one whose time is known, as a row that is new has that of the clock."""
    table = draw(st.sampled_from(["card", "event", "event", "sheet"]))
    id = draw(st.integers(1, IDS[table]))
    if table == "sheet" and not is_whole and draw(st.integers(0, 2)) == 0:
        return table, (id, USERS_PAGE), {"note": draw(optional_numbers)}
    values = ({"ts": draw(instants)} if is_whole else {}) | draw(values_of(table))
    return table, (id, 0) if table == "sheet" and not is_whole else id, values


@st.composite
def loads(draw: st.DrawFn) -> tuple[Any, ...]:
    table = draw(st.sampled_from(["card", "event"]))
    ids = draw(st.lists(st.integers(1, IDS[table]), min_size=1, max_size=4, unique=True))
    return "set_many", table, {id: {"ts": draw(instants), **draw(values_of(table))} for id in ids}


def writes(plan: Plan) -> st.SearchStrategy[tuple[Any, ...]]:
    row, whole = rows(), rows(is_whole=True)
    ways = [
        row.map(lambda at: ("set", *at)),
        row.map(lambda at: ("set", *at)),
        loads(),
        row.map(lambda at: ("delete", at[0], at[1][0] if at[0] == "sheet" else at[1])),
        whole.map(lambda at: ("remake", *at)),
    ]
    own = [rule for rule in plan.rules if rule.can_override]
    if own:
        ways.append(
            st.tuples(
                st.just("override"), st.sampled_from(own), st.integers(1, 3), optional_numbers
            )
        )
    for kind, op in (("count", "reset"), ("claim", "free")):
        found = [writer for writer in plan.writers if writer.kind == kind]
        if found:
            ways.append(st.tuples(st.just(op), st.sampled_from(found), numbers))
    return st.one_of(ways)


def stories(plan: Plan) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    write, workers = writes(plan), st.integers(0, 1)
    step = st.tuples(st.just("step"), workers)
    touch = st.tuples(st.just("touch"), st.integers(1, 5), numbers)
    inside = st.lists(st.one_of(touch, touch, write, step), min_size=1, max_size=3)
    rules = st.sampled_from([*(each.name for each in plan.rules), *(f.name for f in plan.folds)])
    names = st.sampled_from([each.name for each in plan.writers] or [plan.rules[-1].name])
    hook = st.tuples(st.just("hook"), st.one_of(names, rules), inside)
    again = st.builds(
        lambda id, n, card: ("set", "event", id, {"n": n, "card": card}),
        st.integers(1, 5),
        numbers,
        st.integers(1, 3),
    )
    cut = st.tuples(st.just("cut"), workers, st.integers(1, 9))
    others = st.sampled_from([("settle",), ("settle",), ("reopen",)])
    scene = st.one_of(
        st.lists(write, min_size=1, max_size=3),
        st.tuples(hook, again, step, step),
        st.tuples(hook, again, step, step),
        st.tuples(hook, hook, again, again, step),
        st.tuples(write, step),
        st.tuples(write, cut),
        st.tuples(others),
    )
    story = st.lists(scene, min_size=6, max_size=14)
    return story.map(lambda scenes: [op for scene in scenes for op in scene])


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Plan, list[tuple[Any, ...]]]:
    plan = draw(plans())
    made: list[tuple[Any, ...]] = [
        ("set_many", table, {id: draw(full(table)) for id in range(1, 1 + IDS[table])})
        for table in ("card", "event")
    ]
    made += [("set", "sheet", (1, 0), draw(full("sheet")))]
    return plan, made + draw(stories(plan))


# -- the property --


@pytest.fixture(autouse=True, scope="module")
def time() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        Clock.install(patch)
        yield


MODES = ("tasks", "inline", "itself")
quick = settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
)


@pytest.mark.parametrize("mode", MODES)
@settings(quick)
@given(world=worlds())
def test_p13_p14_what_depends_on_other_rows_is_as_if_derived_from_scratch(
    mode: str, world: tuple[Plan, list[tuple[Any, ...]]]
) -> None:
    play(*world, mode=mode)


@pytest.mark.crash
@pytest.mark.parametrize("mode", MODES)
@settings(quick, max_examples=1500)
@given(world=worlds())
def test_p13_p14_so_it_is_after_thousands_of_stories(
    mode: str, world: tuple[Plan, list[tuple[Any, ...]]]
) -> None:
    play(*world, mode=mode)


def play(plan: Plan, story: list[tuple[Any, ...]], *, mode: str = "itself") -> None:
    """Let a story happen to a store, and hold the store against the model in between and at the end."""
    with tempfile.TemporaryDirectory() as folder:
        World(plan, f"sqlite:///{folder}", mode=mode).play(
            story, f"play({plan},\n    {story},\n    mode={mode!r})"
        )
