"""P4 and P6 as a property: when idle, every derived value is what a recompute from scratch gives.

Random small graphs (chains, diamonds, fan-outs, fan-outs of fan-outs) over one table, whose triggers run inline, fused,
as tasks, in batches or on the event loop, meet random interleavings of sets, unsets, deletes and waits.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import motion


@dataclass
class Node:
    """a and b come from users. w is told apart by w_page; x, y and v too; v and u by v_page as well."""

    id: int
    a: int
    b: int
    c: int
    d: int
    e: int
    w: int
    w_page: int
    x: int
    y: int
    v: int
    v_page: int
    u: int


@dataclass(frozen=True)
class Rule:
    """A trigger as plain data: its parameters are its `on` keys, unless `on` says otherwise."""

    sets: str
    function: Callable[..., Any]
    page: str | None = None

    @property
    def on(self) -> tuple[str, ...]:
        return tuple(inspect.signature(self.function).parameters)


def fan(value: int, most: int) -> list[int]:
    return [value * 10 + i for i in range(value % (most + 1))]


RULES: list[list[Rule]] = [
    [
        Rule("c", lambda a: a + 1),
        Rule("c", lambda a: a % 3 or None),
    ],
    [
        Rule("d", lambda b: b * 2),
        Rule("d", lambda a, b: a + b),
        Rule("d", lambda c: c % 2),
    ],
    [
        Rule("e", lambda c, d: c * 100 + d),
        Rule("e", lambda a, d: a - d),
        Rule("e", lambda d: d + 1),
    ],
    [
        Rule("w", lambda a: fan(a, 3), "w_page"),
        Rule("w", lambda c: fan(c, 3), "w_page"),
        Rule("w", lambda e: fan(e, 2), "w_page"),
    ],
    [
        Rule("x", lambda w: w + 1),
        Rule("x", lambda w: w % 4 or None),
    ],
    [
        Rule("y", lambda x, d: x * 10 + d),
        Rule("y", lambda w, b: w - b),
        Rule("y", lambda w, x: w * x),
    ],
    [
        Rule("v", lambda x: fan(x, 2), "v_page"),
        Rule("v", lambda w: fan(w, 2), "v_page"),
    ],
    [
        Rule("u", lambda v: v + 1),
        Rule("u", lambda v, e: v + e),
        Rule("u", lambda v, x: v + x),
    ],
]
"""For each derived key, in the order in which they feed each other, the rules it may have."""


# -- ways to run a rule --


def plainly(rule: Rule) -> Any:
    return _trigger(rule, _named(rule))


def as_a_task(rule: Rule) -> Any:
    return _trigger(rule, _named(rule), retries=1)


def inline(rule: Rule) -> Any:
    return _trigger(rule, _named(rule), inline=rule.page is None)


def never_inline(rule: Rule) -> Any:
    return _trigger(rule, _named(rule), inline=False)


def in_batches(rule: Rule) -> Any:
    @functools.wraps(rule.function)
    def many(*columns: list[Any]) -> list[Any]:
        return [rule.function(*values) for values in zip(*columns, strict=True)]

    return _trigger(rule, many, batch=3)


def on_the_event_loop(rule: Rule) -> Any:
    @functools.wraps(rule.function)
    async def later(*values: Any) -> Any:
        return rule.function(*values)

    return _trigger(rule, later)


def item_by_item(rule: Rule) -> Any:
    if rule.page is None:
        return plainly(rule)

    @functools.wraps(rule.function)
    def generate(*values: Any) -> Iterator[Any]:
        yield from rule.function(*values)

    return _trigger(rule, generate)


def _named(rule: Rule) -> Callable[..., Any]:
    @functools.wraps(rule.function)
    def one(*values: Any) -> Any:
        return rule.function(*values)

    return one


def _trigger(rule: Rule, function: Callable[..., Any], **options: Any) -> Any:
    on = [f"node.{key}" for key in rule.on]
    mark = motion.trigger(
        on=on, sets=f"node.{rule.sets}", page=rule.page, name=f"make_{rule.sets}", **options
    )
    return mark(function)


WAYS = [plainly, never_inline, inline, as_a_task, in_batches, on_the_event_loop, item_by_item]

# -- what happens --

ids = st.integers(1, 3)
values = st.one_of(st.integers(0, 7), st.none())
keys = st.dictionaries(st.sampled_from("ab"), values, min_size=1)
rows = st.builds(lambda id, given: {"id": id, **given}, ids, keys)
steps = st.one_of(
    st.tuples(st.just("set"), rows),
    st.tuples(st.just("set"), rows),
    st.tuples(st.just("set_many"), st.lists(rows, min_size=1, max_size=4)),
    st.tuples(st.just("transaction"), st.lists(rows, min_size=1, max_size=3)),
    st.tuples(st.just("delete"), ids),
    st.tuples(st.just("wait"), st.none()),
)


@st.composite
def graphs(draw: st.DrawFn) -> list[tuple[Rule, Any]]:
    chosen = [draw(st.sampled_from([*options, None])) for options in RULES]
    return [(rule, draw(st.sampled_from(WAYS))(rule)) for rule in chosen if rule is not None]


def do(store: motion.Store, given: dict[int, dict[str, Any]], step: tuple[str, Any]) -> None:
    """Do a step to the store, and to `given`: id -> what users have set."""
    kind, what = step
    if kind == "wait":
        store.wait(timeout=60)
    elif kind == "delete":
        store.delete("node", what)
        given.pop(what, None)
    elif kind == "set":
        store.set("node", **what)
        given.setdefault(what["id"], {}).update(what)
    elif kind == "transaction":
        with store.transaction() as tx:
            for row in what:
                tx.set("node", **row)
        for row in what:
            given.setdefault(row["id"], {}).update(row)
    else:
        store.set_many("node", what)  # None means left out here
        for row in what:
            present = {key: value for key, value in row.items() if value is not None}
            given.setdefault(row["id"], {}).update(present)


# -- the recompute --

Page = tuple[int, ...]
KEYS = ("a", "b", "c", "d", "e", "w", "x", "y", "v", "u")
OWN_LEVEL = {"w": 1, "x": 1, "y": 1, "v": 2, "u": 2}


def recomputed(rules: Sequence[Rule], given: dict[int, dict[str, Any]]) -> dict[Page, list[Any]]:
    """Return the whole table as it must be: (id, w_page, v_page) -> stored values."""
    table: dict[Page, dict[str, Any]] = {(id, 0, 0): dict(row) for id, row in given.items()}
    for rule in rules:
        level = max(OWN_LEVEL.get(key, 0) for key in rule.on)
        for page in [page for page in table if not any(page[1 + level :])]:
            inputs = [table[page[: 1 + own] + (0, 0)[own:]].get(key) for key, own in _levels(rule)]
            result = None if None in inputs else rule.function(*inputs)
            if rule.page is None:
                table[page][rule.sets] = result
                continue
            for i, item in enumerate(result or []):
                made = (page[0], i, 0) if rule.page == "w_page" else (*page[:2], i)
                table.setdefault(made, {})[rule.sets] = item
    return {page: [row.get(key) for key in KEYS] for page, row in table.items()}


def _levels(rule: Rule) -> list[tuple[str, int]]:
    return [(key, OWN_LEVEL.get(key, 0)) for key in rule.on]


def stored(store: motion.Store) -> dict[Page, list[Any]]:
    found = store.rows("node", inherit=False)
    return {(row.id, row.w_page, row.v_page): [getattr(row, k) for k in KEYS] for row in found}


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(graph=graphs(), story=st.lists(steps, min_size=1, max_size=12))
def test_p4_p6_when_idle_all_is_as_if_recomputed_from_scratch(
    graph: list[tuple[Rule, Any]], story: list[tuple[str, Any]]
) -> None:
    given: dict[int, dict[str, Any]] = {}
    triggers = [trigger for _, trigger in graph]
    with motion.create_store(
        "convergence", schemas={"node": Node}, triggers=triggers, url=":memory:"
    ) as store:
        for step in story:
            do(store, given, step)
        store.wait(timeout=60)
        assert store.errors() == []
        assert stored(store) == recomputed([rule for rule, _ in graph], given)
        assert store.status().tasks == {}
