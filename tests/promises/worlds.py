"""Random stores with a model of them: a schema, a graph of triggers, what users do, and what must be there in the end.

A plan and what happens to it are plain data, so they can be drawn, shrunk, shown and done in another process. The model
knows nothing of tasks: it derives every value from what users gave, from scratch.
"""

from __future__ import annotations

import contextvars
import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, make_dataclass
from functools import cached_property
from typing import Any

import motion
from motion import clock
from motion.testing import Stepper

Row = tuple[int, ...]
"""A row of "node" by its id and its two pages, 0 where the schema has fewer."""

PAGES = ("p_page", "q_page")
MOD = 7
"""Values are numbers below this, so that different inputs often give equal values."""


@dataclass(frozen=True, repr=False)
class Rule:
    """A trigger as plain data.

    Attributes:
        level: how many page keys tell apart the keys that it sets.
        reads: parameters that it does not run on.
        page: the page key that its list is laid out over.
        owned: the table that its rows go to.
        optional: the `on` key that may be unset.
        none_at, when_not, fails_at: the number at which it gives None, does not run, or raises.
        is_flaky: it raises at the first call with each input.
        style: how its function is written.
    """

    name: str
    on: tuple[str, ...]
    sets: tuple[str, ...] = ()
    level: int = 0
    reads: tuple[str, ...] = ()
    table: str = "node"
    page: str | None = None
    owned: str | None = None
    optional: str | None = None
    factor: int = 1
    none_at: int | None = None
    when_not: int | None = None
    fails_at: int | None = None
    is_flaky: bool = False
    style: str = "plain"
    inline: bool | None = None
    knows_id: bool = False

    def __repr__(self) -> str:
        given = [(each.name, getattr(self, each.name), each.default) for each in fields(self)]
        return f"Rule({', '.join(f'{n}={value!r}' for n, value, left in given if value != left)})"

    @property
    def is_columnar(self) -> bool:
        return self.page is None and self.owned is None

    @property
    def is_plain(self) -> bool:
        """Whether it may be asked to run inline."""
        plain = self.style == "plain" and not self.is_flaky and self.when_not is None
        return plain and self.is_columnar

    def number(self, inputs: Sequence[int | None]) -> int:
        given = (MOD if value is None else value for value in inputs)
        return (sum((i + 2) * value for i, value in enumerate(given)) * self.factor + 1) % MOD

    def result(self, inputs: Sequence[int | None], row: Row = ()) -> Any:
        """Return what the function returns for these values of `on` and `reads`."""
        number = self.number(inputs)
        if self.page is not None:
            return [(number * 3 + i) % MOD for i in range(number % 4)]
        if self.owned == "tag":
            return [self._tag(number, i) for i in range(number % 4)]
        if self.owned is not None:
            made = {"source": row[0], "source_page": page_number(row)}
            items = range(number % 4)
            return [{**made, "item": i, "n": (number + 2 * i) % MOD} for i in items]
        first = None if number == self.none_at else number
        return first if len(self.sets) == 1 else (first, (number + 3) % MOD)

    def _tag(self, number: int, i: int) -> dict[str, int | None]:
        """Return an item under an id that others give too, with a key that may be None, and one that may be left out."""
        n = (number + 2 * i) % MOD
        item = {"id": (number + i * self.factor) % 4 + 1, "n": None if n == self.none_at else n}
        return item | ({"m": number * i % MOD} if (number + i) % 3 else {})


@dataclass(frozen=True)
class Plan:
    """A schema and its triggers.

    Attributes:
        pages: for each page key, who makes its pages: "user", or "fan", a trigger.
        rules: in the order in which they feed each other.
    """

    pages: tuple[str, ...]
    rules: tuple[Rule, ...]

    @cached_property
    def sources(self) -> dict[str, int]:
        """The keys that users set, with their level."""
        keys = {"a": 0, "b": 0}
        return keys | {f"m{i}": i for i, kind in enumerate(self.pages, 1) if kind == "user"}

    @cached_property
    def levels(self) -> dict[str, int]:
        own = {"k": 0, **self.sources}
        return own | {key: r.level for r in self.rules if r.table == "node" for key in r.sets}

    @cached_property
    def schemas(self) -> dict[str, type]:
        names = ["id"]
        for level in range(len(self.pages) + 1):
            names += [PAGES[level - 1]] if level else []
            names += [key for key, own in self.levels.items() if own == level]
        node = make_dataclass("Node", [(name, int) for name in names])
        parts = ("id", "source", "source_page", "item", "n", *self.part_keys)
        tags = ("id", "n", "m", "vote", *self.derived_of("tag"))
        made = {"part": parts, "tag": tags}
        return {"node": node} | {
            table: make_dataclass(table.title(), [(name, int) for name in keys])
            for table, keys in made.items()
        }

    @cached_property
    def part_keys(self) -> tuple[str, ...]:
        return self.derived_of("part")

    def derived_of(self, table: str) -> tuple[str, ...]:
        return tuple(key for rule in self.rules if rule.table == table for key in rule.sets)

    @cached_property
    def tag_makers(self) -> tuple[Rule, ...]:
        return tuple(rule for rule in self.rules if rule.owned == "tag")

    def level_of(self, rule: Rule) -> int:
        """Return how many page keys tell apart the rows that a rule runs on."""
        return max(self.levels.get(key, 0) for key in (*rule.on, *rule.reads))

    def can_override(self, rule: Rule) -> bool:
        """Whether it is known without looking at the order of runs when a user's value for its keys ends."""
        from_users = all(key in self.sources for key in rule.on) and not rule.reads
        return rule.table == "node" and rule.is_columnar and from_users


def cut(row: Row, level: int) -> Row:
    """Return the row from which a key of a level is taken."""
    return (*row[: 1 + level], *(0 for _ in row[1 + level :]))


# -- the model --


@dataclass
class Model:
    """What users gave, and what must follow from it.

    Attributes:
        given: what users set, by row.
        overridden: (row, rule) -> the users' values for what the rule would give.
        votes: the rows of "tag" that users made, with what they set there.
    """

    plan: Plan
    given: dict[Row, dict[str, int | None]] = field(default_factory=dict)
    overridden: dict[tuple[Row, str], dict[str, int | None]] = field(default_factory=dict)
    votes: dict[int, int] = field(default_factory=dict)

    def set(self, row: Row, values: dict[str, int | None], *, force: bool = False) -> None:
        own = self.given.setdefault(row, {})
        changed = {key for key, value in values.items() if force or own.get(key) != value}
        own.update({key: value for key, value in values.items() if key in self.plan.levels})
        for rule in self.plan.rules:
            for key in changed & set(rule.on):
                for at in [at for at, name in self.overridden if name == rule.name]:
                    if cut(at, self.plan.levels[key]) == row:
                        del self.overridden[at, rule.name]

    def override(self, row: Row, rule: Rule, values: dict[str, int | None]) -> None:
        self.given.setdefault(row, {})
        self.overridden[row, rule.name] = values

    def delete(self, id: int) -> None:
        self.given = {row: own for row, own in self.given.items() if row[0] != id}
        self.overridden = {at: values for at, values in self.overridden.items() if at[0][0] != id}


@dataclass
class Expected:
    """What must be there.

    Attributes:
        nodes: row -> key -> value.
        parts: the owned rows by what made them: (rule, source, page, item) -> values.
        tags: the rows that several runs may make, by id: what each gives, by (rule, source, item).
        dead: (rule, id) of rows that a rule gave up on.
        unknown: (key or rule, id) of what depends on those: as it was at some time before.
    """

    nodes: dict[Row, dict[str, int | None]] = field(default_factory=dict)
    parts: dict[tuple[Any, ...], dict[str, int | None]] = field(default_factory=dict)
    tags: dict[int, dict[tuple[str, Row, int], dict[str, int | None]]] = field(default_factory=dict)
    derived: dict[int, dict[str, int | None]] = field(default_factory=dict)
    dead: set[tuple[str, int]] = field(default_factory=set)
    unknown: set[tuple[str, int]] = field(default_factory=set)


def page_number(row: Row) -> int:
    """Return one number for all page keys of a row, which are below ten."""
    return sum(page * 10**i for i, page in enumerate(row[1:]))


def expected_of(model: Model, *, is_broken: bool) -> Expected:
    """Derive everything from what users gave."""
    plan, found = model.plan, Expected()
    for row, own in model.given.items():
        found.nodes[row] = {key: own.get(key) for key in plan.levels if key in own}
    for rule in plan.rules:
        if rule.table == "part":
            _derive_parts(found, rule, is_broken=is_broken)
        elif rule.table == "tag":
            _derive_tags(model, found, rule, is_broken=is_broken)
        else:
            _derive_nodes(model, found, rule, is_broken=is_broken)
    return found


def _derive_nodes(model: Model, found: Expected, rule: Rule, *, is_broken: bool) -> None:
    plan, level = model.plan, model.plan.level_of(rule)
    for row in [row for row in found.nodes if not any(row[1 + level :])]:
        users = model.overridden.get((row, rule.name))
        if users is not None:
            found.nodes[row] |= users
            continue
        if any((key, row[0]) in found.unknown for key in (*rule.on, *rule.reads)):
            found.unknown |= {(name, row[0]) for name in (rule.name, *rule.sets)}
            continue
        inputs = [
            found.nodes.get(cut(row, plan.levels[key]), {}).get(key)
            for key in (*rule.on, *rule.reads)
        ]
        result, is_dead = _outcome(rule, inputs, row, is_broken=is_broken)
        if is_dead:
            found.dead.add((rule.name, row[0]))
            found.unknown |= {(name, row[0]) for name in (rule.name, *rule.sets)}
        elif rule.page is not None:
            position = 1 + PAGES.index(rule.page)
            for i, item in enumerate(result or ()):
                made = (*row[:position], i, *row[position + 1 :])
                found.nodes.setdefault(made, {})[rule.sets[0]] = item
        elif rule.owned == "tag":
            for i, item in enumerate(result or ()):
                given = {key: value for key, value in item.items() if key != "id"}
                found.tags.setdefault(item["id"], {})[rule.name, row, i] = given
        elif rule.owned is not None:
            for item in result or ():
                found.parts[rule.name, row[0], page_number(row), item["item"]] = {"n": item["n"]}
        else:
            values = (None,) * len(rule.sets) if result is None else _tuple(rule, result)
            found.nodes[row] |= dict(zip(rule.sets, values, strict=True))


def _derive_parts(found: Expected, rule: Rule, *, is_broken: bool) -> None:
    for (maker, source, *_), part in found.parts.items():
        if any((name, source) in found.unknown for name in (maker, *rule.on)):
            found.unknown |= {(name, source) for name in (rule.name, *rule.sets)}
            continue
        inputs = [part.get(key) for key in rule.on]
        result, is_dead = _outcome(rule, inputs, (), is_broken=is_broken)
        if is_dead:
            found.dead.add((rule.name, source))
            found.unknown |= {(name, source) for name in (rule.name, *rule.sets)}
        else:
            values = (None,) * len(rule.sets) if result is None else _tuple(rule, result)
            part |= dict(zip(rule.sets, values, strict=True))


def tag_of(model: Model, found: Expected, id: int) -> dict[str, int | None]:
    """Return what a row of "tag" shows: of each rule the first that gives it, and of these, key by key, the first."""
    values: dict[str, int | None] = {"n": None, "m": None, "vote": model.votes.get(id)}
    first: dict[str, dict[str, int | None]] = {}
    for (rule, *_), given in sorted(found.tags.get(id, {}).items()):
        first.setdefault(rule, given)
    for given in first.values():
        for key, value in given.items():
            values[key] = value if values[key] is None else values[key]
    return values | found.derived.get(id, {})


def _derive_tags(model: Model, found: Expected, rule: Rule, *, is_broken: bool) -> None:
    for id in {*found.tags, *model.votes}:
        tag = tag_of(model, found, id)
        result, is_dead = _outcome(rule, [tag.get(key) for key in rule.on], (), is_broken=is_broken)
        if is_dead:
            found.dead.add((rule.name, id))
            found.unknown |= {(name, id) for name in (rule.name, *rule.sets)}
        else:
            values = (None,) * len(rule.sets) if result is None else _tuple(rule, result)
            found.derived.setdefault(id, {}).update(zip(rule.sets, values, strict=True))


def _tuple(rule: Rule, result: Any) -> tuple[Any, ...]:
    return result if len(rule.sets) > 1 else (result,)


def _outcome(
    rule: Rule, inputs: Sequence[int | None], row: Row, *, is_broken: bool
) -> tuple[Any, bool]:
    """Return what a rule gives, None where it does not run, and whether it raises."""
    names = (*rule.on, *rule.reads)
    missing = {name for name, value in zip(names, inputs, strict=True) if value is None}
    if missing - {rule.optional}:
        return None, False
    if rule.when_not is not None and (inputs[0] or 0) % 3 == rule.when_not:
        return None, False
    if is_broken and rule.number(inputs) == rule.fails_at:
        return None, True
    return rule.result(inputs, row), False


# -- the store under test --


class Broken(Exception):
    """What a rule raises that is said to."""


class World:
    """A store with a plan's triggers, whose tasks run when told so, and its model.

    Args:
        url: where the store lives.
        seconds: what each call of a function seems to take.
        mode: "inline" or "tasks" for how triggers run, where they can; "itself" leaves it to the store.
    """

    def __init__(self, plan: Plan, url: str, *, mode: str = "itself", seconds: float = 0.0) -> None:
        self.plan, self.model = plan, Model(plan)
        self.is_broken = self._is_unsure = False
        self.calls: Counter[tuple[Any, ...]] = Counter()
        self._url, self._mode, self._seconds = url, mode, seconds
        self._hooks: list[tuple[str, Sequence[Any]]] = []
        self._seen: set[tuple[str, Any]] = set()
        self._passed: list[tuple[Rule, int, list[Any]]] = []
        self._changes: list[motion.Change] = []
        self._depth = 0
        self._is_quiet = True
        self._has_stepped = self._has_run = False
        self._here = 1
        self._open()

    def _open(self) -> None:
        triggers = [self._trigger(rule) for rule in self.plan.rules]
        self.store = motion.create_store(
            "world", schemas=self.plan.schemas, triggers=triggers, url=self._url, run=False,
            durability="normal",
        )  # fmt: skip
        self.workers = [Stepper(self.store), Stepper(self.store)]

    def close(self) -> None:
        for worker in self.workers:
            worker.close()
        self.store.close()

    # -- the triggers --

    def _trigger(self, rule: Rule) -> Callable[..., Any]:
        inline = {"inline": rule.is_plain or None, "tasks": False}.get(self._mode, rule.inline)
        if inline and not rule.is_plain:
            inline = None
        when = None
        if rule.when_not is not None:
            when = lambda row: (getattr(row, rule.on[0]) or 0) % 3 != rule.when_not  # noqa: E731
        mark = motion.trigger(
            on=[f"{rule.table}.{key}" for key in rule.on],
            sets=rule.owned or [f"{rule.table}.{key}" for key in rule.sets],
            page=rule.page, name=rule.name, version="1", inline=inline, when=when,
            batch=3 if rule.style == "batch" else None, retries=2 if rule.is_flaky else 0,
        )  # fmt: skip
        return mark(self._function(rule))

    def _function(self, rule: Rule) -> Callable[..., Any]:
        own = [*rule.on, *rule.reads]
        known = self._row_keys(rule)

        def plain(*values: Any) -> Any:
            return self._called(rule, values[: len(known)], values[len(known) :])

        def batch(*columns: list[Any]) -> list[Any]:
            rows = list(zip(*columns, strict=True))
            return [self._called(rule, row[: len(known)], row[len(known) :]) for row in rows]

        def items(*values: Any) -> Iterator[Any]:
            yield from plain(*values)

        async def later(*values: Any) -> Any:
            return self._called(rule, values[: len(known)], values[len(known) :])

        function: Any = {"batch": batch, "generator": items, "async": later}.get(rule.style, plain)
        hints: dict[str, Any] = dict.fromkeys((*known, *own), int)
        if rule.optional is not None:
            hints[rule.optional] = int | None
        function.__annotations__ = hints
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        function.__signature__ = inspect.Signature(
            [inspect.Parameter(key, kind) for key in (*known, *own)]
        )
        return function  # type: ignore[no-any-return]  # one of the above

    def _row_keys(self, rule: Rule) -> list[str]:
        """Return the parts of the primary key that a rule's function is told."""
        if rule.owned is not None:
            return ["id", *PAGES[: self.plan.level_of(rule)]]
        return ["id"] if rule.knows_id else []

    def _called(self, rule: Rule, row: tuple[int, ...], inputs: tuple[Any, ...]) -> Any:
        if len(row) == 1 + self.plan.level_of(rule):
            self.calls[rule.name, *row] += 1
        self._hook(rule, row, inputs)
        if rule.is_flaky and (rule.name, (row, inputs)) not in self._seen:
            self._is_quiet = False
            self._seen.add((rule.name, (row, inputs)))
            raise Broken("the first time")
        self._has_run = True
        if self.is_broken and rule.number(inputs) == rule.fails_at:
            self._is_quiet = False
            raise Broken("each time")
        Clock.advance(self._seconds)
        return rule.result(inputs, row)

    # -- what happens between a run's read and its commit --

    def _hook(self, rule: Rule, row: tuple[int, ...], inputs: tuple[Any, ...]) -> None:
        place = next((i for i, (name, _) in enumerate(self._hooks) if name == rule.name), None)
        if place is None:
            return
        _, ops = self._hooks.pop(place)
        self._is_quiet = False
        if rule.style == "async":  # it runs on the loop that a nested step would need
            ops = [op for op in ops if op[0] != "step"]
        self._here = row[0] if row else 1
        contextvars.Context().run(self._do_all, ops)
        self._passed = [(r, id, self._outputs(r, id)) for r, id, _ in self._passed]
        if self._depth and row and rule.is_columnar and self._has_changed(rule, row[0], inputs):
            self._passed.append((rule, row[0], self._outputs(rule, row[0])))

    def _has_changed(self, rule: Rule, id: int, inputs: tuple[Any, ...]) -> bool:
        if self.plan.level_of(rule) or rule.table != "node":
            return False
        own = self.model.given.get((id, 0, 0), {})
        pairs = zip(rule.on, inputs, strict=False)
        return any(key in self.plan.sources and own.get(key) != was for key, was in pairs)

    def _outputs(self, rule: Rule, id: int) -> list[Any]:
        row = self.store.get(rule.table, id)
        return [None if row is None else getattr(row, key) for key in rule.sets]

    def _assert_nothing_stale_was_written(self) -> None:
        """P3: since the inputs of these runs changed, nothing else than such a run can have written their outputs."""
        for rule, id, before in self._passed:
            assert self._outputs(rule, id) == before, f"{rule.name} wrote a stale result on {id}"
        self._passed.clear()

    # -- what users do --

    def do(self, op: tuple[Any, ...]) -> None:
        """Do one thing of a story, to the store and to the model."""
        getattr(self, f"_do_{op[0]}")(*op[1:])

    def _do_all(self, ops: Sequence[Any]) -> None:
        for op in ops:
            self.do(op)

    def _wrote(self, change: motion.Change) -> None:
        self._changes.append(change)
        self._is_quiet = self._is_quiet and not self._has_stepped

    def _do_touch(self, values: dict[str, int | None]) -> None:
        """Change keys of the very row that a function is being called for."""
        self._do_set((self._here, 0, 0), values)

    def _do_set(self, row: Row, values: dict[str, Any], force: bool = False) -> None:
        self._wrote(self.store.set("node", force=force, **self._named(row), **values))
        self.model.set(row, values, force=force)

    def _do_set_many(self, rows: Sequence[tuple[Row, dict[str, int | None]]]) -> None:
        self._wrote(self.store.set_many("node", [{**self._named(row), **own} for row, own in rows]))
        for row, own in rows:  # None means left out here
            self.model.set(row, {key: value for key, value in own.items() if value is not None})

    def _do_transaction(self, rows: Sequence[tuple[Row, dict[str, Any]]]) -> None:
        with self.store.transaction() as tx:
            for row, own in rows:
                if own:
                    tx.set("node", **self._named(row), **own)
                else:
                    tx.delete("node", row[0])
        self._is_quiet = self._is_quiet and not self._has_stepped
        for row, own in rows:
            if own:
                self.model.set(row, own)
            else:
                self.model.delete(row[0])

    def _do_delete(self, id: int) -> None:
        self._wrote(self.store.delete("node", id))
        self.model.delete(id)

    def _do_override(
        self, row: Row, rule: Rule, values: Sequence[int | None], beside: dict[str, Any]
    ) -> None:
        """Give a value for what a rule would give, alone or in one write with its inputs."""
        at = cut(row, self.plan.level_of(rule))
        own: dict[str, Any] = dict(zip(rule.sets, values, strict=True))
        beside = {key: value for key, value in beside.items() if not any(at[1:])}
        self._wrote(self.store.set("node", **self._named(at), **own, **beside))
        self.model.set(at, beside)
        self.model.override(at, rule, own)

    def _do_vote(self, id: int, value: int) -> None:
        """Make a row that runs may make too, if none does so far; it stays, with what was set."""
        if self._depth:
            return
        self.settle()
        if self.store.get("tag", id) is None:
            self._wrote(self.store.set("tag", id=id, vote=value))
            self.model.votes[id] = value

    def _do_correct(self, id: int, value: int) -> None:
        """Give another value for what runs gave a row, see that it stays, and let these runs be due again."""
        expected = self._expected_at_rest()
        if expected is None or not expected.tags.get(id):
            return
        if tag_of(self.model, expected, id)["n"] is None:
            return  # not given, so a user's value there is a user's
        makers = [at for at in expected.tags[id] if self._can_force(at[0])]
        if len(makers) < len(expected.tags[id]):
            return
        self.store.set("tag", id=id, n=value)
        self._make_all_again()
        row = self.store.get("tag", id)
        assert row is not None
        assert row.n == value, f"a user's value of tag {id} is gone"
        for rule, source, _ in makers:
            self._force(rule, source)
        self.settle()

    def _do_correct_page(self, place: int, value: int) -> None:
        """The same with a page of a fan-out."""
        fans = [rule for rule in self.plan.rules if rule.page and self._can_force(rule.name)]
        expected = self._expected_at_rest()
        if expected is None or not fans:
            return
        rule = fans[place % len(fans)]
        level, position = self.plan.level_of(rule), PAGES.index(str(rule.page)) + 1
        rows = [at for at in sorted(expected.nodes) if not any(at[1 + position :])]
        rows = [at for at in rows if expected.nodes[at].get(rule.sets[0]) is not None]
        if not rows:
            return
        at = rows[place % len(rows)]
        given: dict[str, Any] = {rule.sets[0]: value}
        self.store.set("node", **self._named(at), **given)
        self._make_all_again()
        row = self.store.get(
            "node", at[0], **{k: v for k, v in self._named(at).items() if k != "id"}
        )
        assert row is not None
        assert getattr(row, rule.sets[0]) == value, f"a user's value of page {at} is gone"
        self._force(rule.name, cut(at, level))
        self.settle()

    def _do_delete_tag(self, id: int) -> None:
        """Delete a row that runs make: it is gone until they run again."""
        if self._expected_at_rest() is None:
            return
        self.store.delete("tag", id)
        self.model.votes.pop(id, None)
        self.settle()
        assert self.store.get("tag", id) is None
        self._make_all_again()

    def _expected_at_rest(self) -> Expected | None:
        """Return what must be there, None where that is not known: something failed, a function is being called, or the next
        call of one has more to come inside it."""
        if self._depth or self.is_broken:
            return None
        self.settle()
        if self._hooks:
            return None
        self._is_quiet = False
        return expected_of(self.model, is_broken=False)

    def _can_force(self, name: str) -> bool:
        rule = next(rule for rule in self.plan.rules if rule.name == name)
        return any(key in self.plan.sources for key in rule.on)

    def _force(self, name: str, source: Row) -> None:
        """Let a run be due as if an `on` key had changed."""
        rule = next(rule for rule in self.plan.rules if rule.name == name)
        key = next(key for key in rule.on if key in self.plan.sources)
        at = cut(source, self.plan.levels[key])
        self._do_set(at, {key: self.model.given.get(at, {}).get(key)}, force=True)

    def _make_all_again(self) -> None:
        """Run all rules again that make rows: users' values stay."""
        for rule in self.plan.rules:
            if rule.page or rule.owned:
                self.store.backfill(rule.name, force=True)
        self.settle()

    def _do_complete(self, id: int, value: int) -> None:
        """Give the key that some rules read, once."""
        own = self.model.given.get((id, 0, 0), {})
        if own.get("k") is None:
            self._do_set((id, 0, 0), {"k": value})

    def _named(self, row: Row) -> dict[str, Any]:
        names = ("id", *PAGES[: len(self.plan.pages)])
        return {
            name: value for name, value in zip(names, row, strict=False) if value or name == "id"
        }

    # -- what workers do --

    def _do_step(self, worker: int = 0) -> None:
        self._has_stepped = True
        self._depth += 1
        self.workers[worker].step()
        self._depth -= 1
        if not self._depth:
            self._assert_nothing_stale_was_written()

    def _do_hook(self, rule: Rule, ops: Sequence[Any]) -> None:
        """Let things happen inside the next call of a rule's function."""
        self._hooks.append((rule.name, ops))

    def _do_break(self) -> None:
        """Let functions raise from now on, if none has run yet: what was made before would not fail any more."""
        self.is_broken = self.is_broken or not self._has_run

    def _do_outage(self) -> None:
        """Let functions raise from now on, whatever has run: which rows that concerns is known no more, until they are healed."""
        self.is_broken = self._is_unsure = True

    def _do_reopen(self) -> None:
        if not self._depth:
            self.close()
            self._open()
            self._changes.clear()

    def _do_settle(self) -> None:
        if not self._depth:
            self.settle()
            self.check()

    def settle(self) -> None:
        """Run all there is, also what waits for its next attempt. A change after it has calls of its own."""
        self._has_stepped = True
        while True:
            while any(worker.step() for worker in self.workers):
                self._assert_nothing_stale_was_written()
            tasks = self.store.status().tasks
            if not any({"ready", "postponed"} & counts.keys() for counts in tasks.values()):
                return
            Clock.advance(61)

    def heal(self) -> None:
        """Let nothing raise any more, and try again what was given up on."""
        self.is_broken = self._is_unsure = False
        self.store.retry()
        self.settle()

    # -- what must be there --

    def check(self) -> None:
        """Hold an idle store against the model."""
        if not self._is_unsure:
            expected = expected_of(self.model, is_broken=self.is_broken)
            self._check_errors(expected)
            self._check_nodes(expected)
            self._check_parts(expected)
            self._check_tags(expected)
        states = {state for counts in self.store.status().tasks.values() for state in counts}
        assert states <= {"dead"}, states
        for change in self._changes:
            change.wait(timeout=0, raise_errors=False)
        self._changes.clear()
        if self._is_quiet and self._mode == "tasks":
            often = {at: count for at, count in self.calls.items() if count > 1}
            assert not often, f"P5: called more than once for one change: {often}"
        self.calls.clear()
        self._is_quiet, self._has_stepped = True, False

    def _check_errors(self, expected: Expected) -> None:
        rules = {rule.name: rule for rule in self.plan.rules}
        found = set()
        for letter in self.store.errors():
            pages: dict[str, Any] = {
                name: int(value) for name, value in (key.split("=") for key in letter.row.split())
            }
            id = pages.pop("id")
            if rules[letter.trigger].table == "part":
                id = self.store.get("part", id, **pages).source
            found.add((letter.trigger, id))
        surplus = found - expected.dead - expected.unknown
        assert not surplus, f"given up on without a reason: {surplus}: {self.store.errors()}"
        assert expected.dead <= found, f"not given up on: {expected.dead - found}"

    def _check_nodes(self, expected: Expected) -> None:
        pages = PAGES[: len(self.plan.pages)]
        found = {}
        for row in self.store.rows("node", inherit=False):
            place = (row.id, *(getattr(row, page) for page in pages), *(0, 0)[len(pages) :])
            found[place] = {key: getattr(row, key) for key in self.plan.levels}
        fans = [rule for rule in self.plan.rules if rule.page is not None]
        murky = {id for rule in fans for name, id in expected.unknown if name == rule.name}
        unknown = expected.unknown

        def shown(table: dict[Row, dict[str, int | None]]) -> dict[Row, dict[str, int | None]]:
            return {
                row: {key: own.get(key) for key in self.plan.levels if (key, row[0]) not in unknown}
                for row, own in table.items()
                if row[0] not in murky
            }

        assert shown(found) == shown(expected.nodes)

    def _check_parts(self, expected: Expected) -> None:
        makers = [rule.name for rule in self.plan.rules if rule.owned]
        murky = {id for name, id in expected.unknown if name in makers}
        fans = [rule.name for rule in self.plan.rules if rule.page is not None]
        murky |= {id for name, id in expected.unknown if name in fans}
        keys = ("n", *self.plan.part_keys)
        unknown = expected.unknown

        def shown(place: tuple[int, ...], own: dict[str, int | None]) -> tuple[Any, ...]:
            known = [str(own.get(key)) for key in keys if (key, place[0]) not in unknown]
            return (*place, *known)

        found = [
            shown((row.source, row.source_page, row.item), {key: getattr(row, key) for key in keys})
            for row in self.store.rows("part")
            if row.source not in murky
        ]
        wanted = [
            shown(place[1:], own) for place, own in expected.parts.items() if place[1] not in murky
        ]
        assert sorted(found) == sorted(wanted)

    def _check_tags(self, expected: Expected) -> None:
        makers = {rule.name for rule in self.plan.rules if rule.owned or rule.page}
        if any(name in makers for name, _ in expected.unknown):
            return  # any row may have been made by what is not known
        keys = ("n", "m", "vote", *self.plan.derived_of("tag"))
        found = {row.id: [getattr(row, key) for key in keys] for row in self.store.rows("tag")}
        wanted = {}
        for id in {*expected.tags, *self.model.votes}:
            tag = tag_of(self.model, expected, id)
            wanted[id] = [tag.get(key) for key in keys]
        murky = {id for name, id in expected.unknown if name in self.plan.derived_of("tag")}
        for id in murky & found.keys() & wanted.keys():  # what was given up on is as it was
            found[id], wanted[id] = found[id][:3], wanted[id][:3]
        assert found == wanted


class Clock:
    """Time as a story wants it: it stands still but when told to go on."""

    _ms = 1_700_000_000_000.0

    @classmethod
    def advance(cls, seconds: float) -> None:
        cls._ms += seconds * 1000

    @classmethod
    def now_ms(cls) -> int:
        return int(cls._ms)

    @classmethod
    def monotonic_s(cls) -> float:
        return cls._ms / 1000

    @classmethod
    def install(cls, monkeypatch: Any) -> None:
        monkeypatch.setattr(clock, "now_ms", cls.now_ms)
        monkeypatch.setattr(clock, "monotonic_s", cls.monotonic_s)
