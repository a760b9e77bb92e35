"""P3 to P6 and P10 as properties: however runs and writes interleave, an idle store is as if derived from scratch.

`worlds` draws a schema, a graph of triggers over it, and what happens: writes, deletes, users' values, failures, and
steps of two workers, also inside each other's calls. Each example is the same each time: nothing runs by itself.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.promises.worlds import Clock, Plan, Rule, World

STYLES = ("plain", "plain", "plain", "batch", "async")
numbers = st.integers(0, 6)
optional_numbers = st.one_of(numbers, numbers, numbers, st.none())
rarely = st.one_of(st.none(), st.none(), numbers)


# -- plans --


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    pages = draw(
        st.sampled_from(
            [(), (), ("fan",), ("user",), ("fan", "fan"), ("user", "fan"), ("user", "user")]
        )
    )
    sources = ["a", "b"]
    levels = {"a": 0, "b": 0, "k": 0}
    rules: list[Rule] = []
    for level in range(len(pages) + 1):
        if level and pages[level - 1] == "user":
            sources.append(f"m{level}")
            levels[f"m{level}"] = level
        elif level:
            page = f"{'pq'[level - 1]}_page"
            sources_of_pages = [key for key in levels if key != "k"]
            for name in [f"w{level}", f"v{level}"][: draw(st.sampled_from([1, 1, 2]))]:
                on = draw(on_keys(sources_of_pages))
                style = draw(st.sampled_from(["plain", "plain", "generator", "async"]))
                rules.append(
                    _drawn(draw, f"make_{name}", on, (name,), level, levels, style, page=page)
                )
                levels[name] = level
        for i in range(draw(st.integers(0 if level else 1, 3))):
            names = (
                (f"d{level}{i}",) if draw(st.integers(0, 3)) else (f"d{level}{i}", f"e{level}{i}")
            )
            on = draw(on_keys([key for key in levels if key != "k"]))
            style = draw(st.sampled_from(STYLES))
            rules.append(_drawn(draw, f"make_{names[0]}", on, names, level, levels, style))
            levels |= dict.fromkeys(names, level)
    if draw(st.integers(0, 2)) == 0:
        on = draw(on_keys([key for key in levels if key != "k"]))
        style = draw(st.sampled_from(["plain", "batch", "async"]))
        rules.append(_drawn(draw, "make_parts", on, (), 0, levels, style, owned="part"))
        if draw(st.booleans()):
            style = draw(st.sampled_from(STYLES))
            rules.append(_drawn(draw, "make_o", ("n",), ("o",), 0, {"n": 0}, style, table="part"))
    for i in range(draw(st.sampled_from([0, 0, 1, 2]))):
        on = draw(on_keys([key for key in levels if key != "k"]))
        style = draw(st.sampled_from(["plain", "batch", "async"]))
        rules.append(_drawn(draw, f"make_tags{i}", on, (), 0, levels, style, owned="tag"))
    if any(rule.owned == "tag" for rule in rules) and draw(st.booleans()):
        style = draw(st.sampled_from(STYLES))
        on = draw(st.sampled_from([("n",), ("m",), ("n", "m")]))
        tags = {"n": 0, "m": 0}
        rules.append(_drawn(draw, "make_u", on, ("u",), 0, tags, style, table="tag"))
    return Plan(pages, tuple(rules))


def on_keys(keys: list[str]) -> st.SearchStrategy[tuple[str, ...]]:
    chosen = st.lists(st.sampled_from(keys), min_size=1, max_size=2, unique=True)
    return chosen.map(tuple)


def _drawn(
    draw: st.DrawFn,
    name: str,
    on: tuple[str, ...],
    sets: tuple[str, ...],
    level: int,
    levels: dict[str, int],
    style: str,
    **more: Any,
) -> Rule:
    is_batch = style == "batch"
    return Rule(
        name,
        on,
        sets,
        level,
        style=style,
        reads=("k",) if "k" in levels and draw(st.integers(0, 3)) == 0 else (),
        optional=on[1] if len(on) == 2 and draw(st.integers(0, 2)) == 0 else None,
        factor=draw(st.integers(1, 6)),
        none_at=draw(rarely) if len(sets) < 2 and not more.get("page") else None,
        when_not=draw(st.sampled_from([None, None, 0, 1])) if not is_batch else None,
        fails_at=draw(rarely),
        is_flaky=draw(st.integers(0, 4)) == 0,
        inline=draw(st.sampled_from([None, None, True, False])),
        knows_id="table" not in more and draw(st.integers(0, 2)) > 0,
        **more,
    )


# -- stories --


@st.composite
def rows(draw: st.DrawFn, plan: Plan) -> tuple[tuple[int, ...], dict[str, Any]]:
    """Draw a row that users name, with values for keys that it has of its own."""
    users = [level for level in range(len(plan.pages) + 1) if _is_users(plan, level)]
    level = draw(st.sampled_from(users))
    pages = [draw(st.integers(0, 2)) for _ in range(level)]
    row = (draw(st.integers(1, 3)), *pages, *(0,) * (2 - level))
    keys = [key for key, own in plan.sources.items() if own == level]
    own = draw(st.dictionaries(st.sampled_from(keys), optional_numbers, min_size=1))
    return row, own


def _is_users(plan: Plan, level: int) -> bool:
    return level == 0 or all(kind == "user" for kind in plan.pages[:level])


@st.composite
def overrides(draw: st.DrawFn, plan: Plan) -> tuple[Any, ...]:
    rules = [rule for rule in plan.rules if plan.can_override(rule)]
    if not rules:
        return ("step",)
    rule = draw(st.sampled_from(rules))
    row = (draw(st.integers(1, 3)), *(draw(st.integers(0, 2)) for _ in plan.pages), 0, 0)[:3]
    values = [draw(optional_numbers) for _ in rule.sets]
    keys = [key for key in rule.on if plan.sources[key] == plan.level_of(rule)]
    beside = draw(st.dictionaries(st.sampled_from(keys), optional_numbers)) if keys else {}
    return ("override", row, rule, values, beside)


def writes(plan: Plan) -> st.SearchStrategy[tuple[Any, ...]]:
    row = rows(plan)
    ids = st.integers(1, 3)
    gone: st.SearchStrategy[Any] = ids.map(lambda id: ((id, 0, 0), {}))
    return st.one_of(
        row.map(lambda at: ("set", *at)),
        row.map(lambda at: ("set", *at)),
        row.map(lambda at: ("set", *at, True)),
        st.lists(row, min_size=1, max_size=4).map(lambda many: ("set_many", many)),
        st.lists(st.one_of(row, row, gone), min_size=1, max_size=3).map(
            lambda many: ("transaction", many)
        ),
        ids.map(lambda id: ("delete", id)),
        overrides(plan),
        st.tuples(st.just("complete"), ids, numbers),
    )


def stories(plan: Plan) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    step = st.tuples(st.just("step"), st.integers(0, 1))
    write = writes(plan)
    touch = st.dictionaries(st.sampled_from("ab"), optional_numbers, min_size=1)
    touches = touch.map(lambda own: ("touch", own))
    inside = st.lists(st.one_of(touches, touches, write, step), min_size=1, max_size=4)
    hook = st.tuples(st.just("hook"), st.sampled_from(plan.rules), inside)
    others = st.sampled_from([("settle",), ("settle",), ("break",), ("outage",), ("reopen",)])
    usual = [write, write, write, step, step, hook, hook, others]
    if any(rule.owned == "tag" for rule in plan.rules):
        tag = st.sampled_from(["vote", "correct", "correct", "delete_tag"])
        usual.append(st.tuples(tag, st.integers(1, 5), numbers).map(_of_tag))
    if any(rule.page for rule in plan.rules):
        usual.append(st.tuples(st.just("correct_page"), st.integers(0, 5), numbers))
    return st.lists(st.one_of(usual), min_size=5, max_size=24)


def _of_tag(op: tuple[Any, ...]) -> tuple[Any, ...]:
    return op[:2] if op[0] == "delete_tag" else op


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Plan, list[tuple[Any, ...]]]:
    plan = draw(plans())
    return plan, draw(stories(plan))


# -- the property --


@pytest.fixture(autouse=True, scope="module")
def time() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        Clock.install(patch)
        yield


MODES = ("tasks", "inline", "itself")
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
quick = settings(
    max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES
)
seconds_of_a_call = st.sampled_from([0.0, 0.0, 0.005, 0.4])


@pytest.mark.parametrize("mode", MODES)
@settings(quick)
@given(world=worlds(), seconds=seconds_of_a_call)
def test_p3_p4_p5_p6_an_idle_store_is_as_if_derived_from_scratch(
    mode: str, world: tuple[Plan, list[tuple[Any, ...]]], seconds: float
) -> None:
    play(*world, mode=mode, seconds=seconds)


@pytest.mark.crash
@pytest.mark.parametrize("mode", MODES)
@settings(quick, max_examples=2000)
@given(world=worlds(), seconds=seconds_of_a_call)
def test_p3_p4_p5_p6_so_it_is_after_thousands_of_stories(
    mode: str, world: tuple[Plan, list[tuple[Any, ...]]], seconds: float
) -> None:
    play(*world, mode=mode, seconds=seconds)


def play(
    plan: Plan, story: list[tuple[Any, ...]], *, mode: str = "itself", seconds: float = 0.0
) -> None:
    """Let a story happen to a store, and hold the store against the model in between and at the end."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(plan, f"sqlite:///{folder}", mode=mode, seconds=seconds)
        try:
            for op in story:
                world.do(op)
            world.settle()
            world.check()
            world.heal()
            world.check()
            assert world.store.errors() == []
        except BaseException as exc:
            exc.add_note(f"play({plan},\n    {story},\n    mode={mode!r}, seconds={seconds})")
            raise
        finally:
            world.close()
