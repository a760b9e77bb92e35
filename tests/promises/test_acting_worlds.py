"""What acts in turn, once, or a while after a row's time, and what goes with other rows: random stories against a model."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.promises.acting_worlds import Actor, World
from tests.promises.worlds import Clock

STYLES = ("plain", "plain", "batch", "async")
USERS, ORDERS = 2, 5

Op = tuple[Any, ...]


# -- stories --


@st.composite
def actors(draw: st.DrawFn) -> list[Actor]:
    kinds = ["charge", "number", "number", "tell", "remind"]
    found = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=3, unique=True))
    return [draw(actor(kind)) for kind in found]


@st.composite
def actor(draw: st.DrawFn, kind: str) -> Actor:
    is_at_most = kind == "charge" and draw(st.integers(0, 2)) == 0
    style = draw(st.sampled_from([each for each in STYLES if each != "batch" or not is_at_most]))
    # A batch that raises at its last row has acted on the others, and is called for these again.
    may_raise = kind == "number" or (kind != "tell" and style != "batch" and not is_at_most)
    is_flaky = may_raise and draw(st.integers(0, 3)) == 0
    return Actor(kind, style, is_flaky, is_at_most)


users = st.one_of(st.integers(1, USERS), st.integers(1, USERS), st.none())
amounts = st.one_of(st.integers(0, 4), st.integers(0, 4), st.none())
orders = st.fixed_dictionaries(
    {},
    optional={
        "ts": st.integers(1, 5),
        "user": users,
        "replaces": st.one_of(st.none(), st.integers(1, ORDERS)),
        "amount": amounts,
        "due": st.one_of(st.none(), st.integers(-45, 45)),
    },
).filter(bool)
ids = st.integers(1, ORDERS)
asked = st.fixed_dictionaries(
    {"amount": st.integers(0, 4), "user": st.integers(1, USERS), "ts": st.integers(1, 5)}
)
"""Orders that are counted in turn."""


def writes() -> st.SearchStrategy[Op]:
    order = st.tuples(st.just("set"), st.just("order"), ids, orders)
    ask = st.tuples(st.just("set"), st.just("order"), ids, asked)
    user = st.tuples(
        st.just("set"), st.just("user"), st.integers(1, USERS), st.just({"name": 1, "ts": 1})
    )
    rows = st.dictionaries(ids, st.one_of(orders, asked), min_size=2, max_size=5)
    load = st.tuples(st.just("load"), st.just("order"), rows)
    named = st.one_of(
        st.tuples(st.just("order"), ids), st.tuples(st.just("user"), st.integers(1, USERS))
    )
    gone = named.map(lambda at: ("delete", *at))
    again = named.map(lambda at: ("remake", *at))
    return st.one_of(order, order, ask, user, load, load, gone, again)


def stories(kinds: Sequence[str]) -> st.SearchStrategy[list[Op]]:
    write, workers = writes(), st.integers(0, 1)
    step: st.SearchStrategy[Op] = st.tuples(st.just("step"), workers)
    tick: st.SearchStrategy[Op] = st.tuples(st.just("tick"), st.sampled_from([5, 15, 40]))
    between = st.lists(st.one_of(write, step, tick), max_size=3)
    values = orders.filter(lambda own: "replaces" not in own)
    only_if = st.one_of(
        st.tuples(st.just("if_unchanged"), ids, between, values),
        st.tuples(st.just("if_unchanged"), ids, between, values, st.integers(1, USERS)),
    )
    moves = st.one_of(
        st.fixed_dictionaries({"ts": st.integers(0, 6)}),
        st.fixed_dictionaries({"user": st.integers(1, USERS)}),
    )
    move: st.SearchStrategy[Op] = st.tuples(st.just("set"), st.just("order"), ids, moves)
    inside = st.lists(st.one_of(write, step, step, only_if, move), min_size=1, max_size=3)
    hook = st.tuples(st.just("hook"), st.sampled_from(kinds), inside)
    queue = st.dictionaries(ids, asked, min_size=3, max_size=ORDERS)
    queued: st.SearchStrategy[Op] = st.tuples(st.just("load"), st.just("order"), queue)
    line = st.builds(
        lambda user, times: (
            "load",
            "order",
            {id: {"ts": ts, "user": user, "amount": id} for id, ts in enumerate(times, 1)},
        ),
        st.integers(1, USERS),
        st.lists(st.integers(1, 5), min_size=4, max_size=ORDERS),
    )
    come = st.tuples(st.just("set"), st.just("order"), ids, asked)
    meanwhile = st.tuples(st.one_of(move, come), st.one_of(move, step))
    moving = st.tuples(st.just("hook"), st.just("number"), meanwhile)
    cut = st.tuples(st.just("cut"), workers, st.integers(1, 9))
    rest = st.sampled_from([("settle",), ("settle",), ("reopen",)])
    scene = st.one_of(
        st.lists(write, min_size=1, max_size=3),
        st.tuples(write, step),
        st.tuples(hook, write, step, step),
        st.tuples(hook, queued, step, step),
        st.tuples(hook, queued, step, step),
        st.tuples(write, cut),
        st.tuples(only_if),
        st.tuples(tick, step),
        st.tuples(rest),
    )
    if "number" in kinds:
        scene = st.one_of(scene, scene, scene, st.tuples(moving, line, step, step))
    story = st.lists(scene, min_size=6, max_size=16)
    return story.map(lambda scenes: [op for scene in scenes for op in scene])


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Actor], list[Op]]:
    found = draw(actors())
    begun: list[Op] = [("load", "user", {id: {"ts": 1} for id in range(1, 1 + USERS)})]
    return found, begun + draw(stories([each.kind for each in found]))


# -- the property --


@pytest.fixture(autouse=True, scope="module")
def time() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        Clock.install(patch)
        yield


quick = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@quick
@given(world=worlds())
def test_what_acts_does_so_when_it_is_its_turn_and_once(
    world: tuple[list[Actor], list[Op]],
) -> None:
    play(*world)


@pytest.mark.crash
@settings(quick, max_examples=3000)
@given(world=worlds())
def test_so_it_does_in_thousands_of_stories(world: tuple[list[Actor], list[Op]]) -> None:
    play(*world)


def play(found: Sequence[Actor], story: Sequence[Op]) -> None:
    """Let a story happen to a store, and hold the store against the model in between and at the end."""
    with tempfile.TemporaryDirectory() as folder:
        World(found, f"sqlite:///{folder}").play(story, f"play({found},\n    {story})")
