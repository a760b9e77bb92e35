"""Keys that another trigger sets by now, as code was split, merged or renamed: what the former one made is told as stale, and a
backfill makes it anew, or unsets it where the new code has not what it needs (P4). What a user gave stays."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import numpy as np
import pytest

import motion


@dataclass
class Doc:
    id: int
    a: str
    b: str
    c: str
    d: str
    e: str


def maker(name: str, on: str, sets: str, version: str = "1", **options: Any) -> Any:
    """Return a trigger that gives each of its keys the values that it runs on, with its version."""

    def joined(**taken: str) -> Any:
        text = "".join(taken.values()) + version
        return text if len(sets) == 1 else (text,) * len(sets)

    parameters = ", ".join(f"{key}: str" for key in on)
    given = ", ".join(f"{key}={key}" for key in on)
    scope = {"joined": joined}
    exec(f"def made({parameters}):\n    return joined({given})", scope)
    keys = tuple(f"doc.{key}" for key in sets)
    kept = motion.trigger(
        on=tuple(f"doc.{key}" for key in on),
        sets=keys if len(keys) > 1 else keys[0],
        name=name,
        version=version,
        **options,
    )
    return kept(scope["made"])


def opened(folder: Path, *triggers: Any) -> motion.Store:
    place = f"sqlite:///{folder}"
    return motion.create_store(
        "hand_overs", schemas={"doc": Doc}, triggers=list(triggers), url=place
    )


def stale(store: motion.Store, *names: str) -> list[int]:
    counted = [store.status().triggers[name].stale for name in names]
    assert [store.plan(name).stale for name in names] == counted
    return counted


def remade(store: motion.Store, *names: str) -> None:
    for name in names:
        store.backfill(name).wait()
    store.wait()
    assert stale(store, *names) == [0] * len(names)


def shown(store: motion.Store, row: int) -> tuple[str | None, ...]:
    found = store.get("doc", row)
    return found.c, found.d


RENAMED = ([("g", "a", "cd")], [("h", "ab", "cd")])
SPLIT = ([("g", "a", "cd")], [("g", "a", "c", "2"), ("h", "ab", "d", "2")])
MERGED = ([("g", "a", "c"), ("h", "a", "d")], [("m", "ab", "cd")])
TAKEN_ON = ([("g", "a", "c"), ("h", "a", "d")], [("g", "a", "c", "2"), ("k", "ab", "d")])
TWICE = ([("g", "a", "cd")], [("g", "a", "c"), ("h", "ab", "d")], [("g", "a", "c"), ("k", "ab", "d")])  # fmt: skip
CHANGES = {
    "renamed": RENAMED,
    "split": SPLIT,
    "merged": MERGED,
    "renamed beside one that stays": TAKEN_ON,
    "split and renamed": TWICE,
}


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("code", CHANGES.values(), ids=CHANGES)
def test_what_another_trigger_made_is_stale_and_unset_where_the_new_one_lacks_what_it_needs(
    tmp_path: Path, code: Sequence[Sequence[tuple[str, ...]]], inline: bool
) -> None:
    before, *between, now = ([maker(*each, inline=inline) for each in stage] for stage in code)
    names = [each[0] for each in code[-1]]
    with opened(tmp_path, *before) as store:
        store.set_many("doc", [{"id": 1, "a": "x", "b": "y"}, {"id": 2, "a": "x"}])
        store.wait()
        assert shown(store, 2) == ("x1", "x1")
    for stage in between:
        with opened(tmp_path, *stage):
            pass
    with opened(tmp_path, *now) as store:
        takes_b = [2 for each in code[-1] if "b" in each[1]]
        assert stale(store, *names)[-len(takes_b) :] == takes_b
        assert shown(store, 2) == ("x1", "x1")  # readable until it is remade
        remade(store, *names)
        made = {key: each for each in code[-1] for key in each[2]}
        wanted = {key: "".join(each[3:4]) or "1" for key, each in made.items()}
        for row, taken in ((1, {"a": "x", "b": "y"}), (2, {"a": "x"})):
            assert shown(store, row) == tuple(
                "".join(taken[key] for key in made[out][1]) + wanted[out]
                if taken.keys() >= {*made[out][1]}
                else None
                for out in "cd"
            )


def test_a_split_trigger_that_has_run_again_does_not_hide_what_it_had_made_before(
    tmp_path: Path,
) -> None:
    with opened(tmp_path, maker("g", "a", "cd")) as store:
        store.set_many("doc", [{"id": i, "a": "x"} for i in (1, 2, 3)])
        store.wait()
    with opened(tmp_path, maker("g", "a", "c"), maker("h", "b", "d")) as store:
        store.set("doc", id=1, a="y").wait()
        store.set("doc", id=2, c="mine")
        store.set("doc", id=4, a="new").wait()
        assert shown(store, 1) == ("y1", "x1")
        assert stale(store, "h") == [3]
        remade(store, "g", "h")
        assert [shown(store, i) for i in (1, 2, 3, 4)] == [
            ("y1", None), ("mine", None), ("x1", None), ("new1", None)
        ]  # fmt: skip


def test_a_users_value_stays_where_its_key_went_over(tmp_path: Path) -> None:
    with opened(tmp_path, maker("g", "a", "cd"), maker("k", "a", "e")) as store:
        store.set_many("doc", [{"id": i, "a": "x"} for i in (1, 2, 3)])
        store.set("doc", id=1, b="z").wait()
        store.set("doc", id=1, d="mine")
        store.set("doc", id=2, e="mine")
        store.set("doc", id=3, d=None)
    with opened(
        tmp_path, maker("g", "a", "c"), maker("h", "b", "d"), maker("k", "a", "e")
    ) as store:
        store.set("doc", id=1, a="y").wait()  # runs g, which says nothing of d any more
        remade(store, "g", "h", "k")
        assert shown(store, 1) == ("y1", "mine")
        assert shown(store, 3)[1] is None
        assert (store.plan("h").by_users, store.get("doc", 2).e) == (1, "mine")
    with opened(tmp_path, maker("h", "ab", "cde")) as store:  # h was there, and takes two keys on
        store.set("doc", id=4, a="x").wait()
        remade(store, "h")
        assert store.get("doc", 1).d == store.get("doc", 2).e == "mine"


def test_a_value_that_no_trigger_made_stays_where_the_first_one_to_set_its_key_cannot_run(
    tmp_path: Path,
) -> None:
    with opened(tmp_path, maker("g", "a", "c")) as store:
        store.set("doc", id=1, a="x", d="mine").wait()
    with opened(tmp_path, maker("g", "a", "c", "2"), maker("h", "ab", "d")) as store:
        assert stale(store, "g", "h") == [1, 0]
        remade(store, "g", "h")
        assert shown(store, 1) == ("x2", "mine")


def test_a_value_given_while_no_trigger_set_its_key_is_a_users(tmp_path: Path) -> None:
    with opened(tmp_path, maker("g", "a", "cd")) as store:
        store.set_many("doc", [{"id": i, "a": "x"} for i in (1, 2)])
        store.wait()
    with opened(tmp_path, maker("g", "a", "c"), maker("h", "b", "d")) as store:
        store.set(
            "doc", id=1, a="y"
        ).wait()  # g's mark about d is kept apart, as this is not about it
    with opened(tmp_path, maker("g", "a", "c"), maker("h", "b", "e")) as store:
        store.set_many("doc", [{"id": i, "d": "mine"} for i in (1, 2)])
    for name in ("k", "m"):
        with opened(tmp_path, maker("g", "a", "c"), maker(name, "b", "d")) as store:
            remade(store, "g", name)
            assert [store.get("doc", i).d for i in (1, 2)] == ["mine", "mine"]


def test_two_triggers_that_have_changed_places_answer_for_their_keys_of_now(tmp_path: Path) -> None:
    with opened(tmp_path, maker("g", "a", "c"), maker("h", "a", "d")) as store:
        store.set("doc", id=1, a="x").wait()
        store.set("doc", id=1, c="mine")
    with opened(tmp_path, maker("g", "a", "d", "2"), maker("h", "ab", "c")) as store:
        assert stale(store, "g", "h") == [1, 0]
        remade(store, "g", "h")
        assert shown(store, 1) == ("mine", "x2")


def test_a_value_given_while_its_triggers_are_gone_is_a_users_whichever_comes_after_them(
    tmp_path: Path,
) -> None:
    for name in ("h", "k", "h"):
        with opened(tmp_path, maker(name, "a", "d")) as store:
            store.set("doc", id=1, a=f"for {name}").wait()
            store.set("doc", id=1, a="x").wait()
    with opened(tmp_path) as store:
        store.set("doc", id=1, d="mine")
    with opened(tmp_path, maker("m", "a", "d", "2")) as store:
        remade(store, "m")
        assert shown(store, 1)[1] == "mine"


def test_what_a_split_has_made_meanwhile_is_stale_where_the_former_code_is_back(
    tmp_path: Path,
) -> None:
    whole = maker("g", "ab", "cd")
    with opened(tmp_path, whole) as store:
        store.set_many("doc", [{"id": i, "a": "x", "b": "y"} for i in (1, 2)])
        store.wait()
    with opened(tmp_path, maker("g", "ab", "c"), maker("h", "ab", "d", "2")) as store:
        store.backfill("h", where="id = 1").wait()
        assert shown(store, 1) == ("xy1", "xy2")
    with opened(tmp_path, whole) as store:
        assert stale(store, "g") == [1]
        remade(store, "g")
        assert shown(store, 1) == shown(store, 2) == ("xy1", "xy1")


# -- what else changes --


@dataclass
class Item:
    id: int
    ts: int
    a: str
    b: str
    ref: int
    refs: list[int]
    c: str
    d: str
    label: int


@dataclass
class Looked:
    id: int
    x: str
    y: str


def item_keeping(declared: Any) -> type:
    """Return the schema of items whose key `d` is declared as something else."""
    kinds = {**Item.__annotations__, "d": declared}
    return make_dataclass(
        "Item",
        [(key, get_type_hints(Item).get(key)) for key in kinds if key != "d"] + [("d", declared)],
    )


@motion.trigger(on="item.a", sets=("item.c", "item.d"), name="g")
def g_of_both(a: str) -> tuple[str, str]:
    return a, a


@motion.trigger(on="item.a", sets="item.c", name="g")
def g_of_c(a: str) -> str:
    return a


@motion.trigger(on="item.a", sets="item.d")
def by_lookup(a: str, x: Annotated[str | None, motion.Lookup("looked.x", by="ref")]) -> str:
    return f"{a} {x}"


@motion.trigger(on="item.a", sets="item.d")
def when_looked_up(
    a: str, y: Annotated[str, motion.Lookup("looked.y", by="ref", follow=False)]
) -> str:
    return f"{a} {y}"


@motion.trigger(on="item.a", sets="item.d")
def by_list(a: str, x: Annotated[list[str | None], motion.Lookup("looked.x", by="refs")]) -> str:
    return f"{a} {x}"


@motion.trigger(on="item.a", sets="item.d")
def by_window(a: str, others: Annotated[list[str], motion.Window("item.b", by="ref")]) -> str:
    return f"{a} {others}"


@motion.trigger(on="item.a", sets="item.d")
def when_there(a: str, b: str) -> str:
    return f"{a} {b}"


@motion.trigger(on="item.a", sets="item.d", follow=True)
def by_hand(a: str, ref: int, store: motion.View) -> str:
    return f"{a} {store.get('looked', ref)}"


@motion.trigger(on="item.a", sets=("item.c", "item.d"))
def of_both(
    a: str, x: Annotated[str | None, motion.Lookup("looked.x", by="ref")]
) -> tuple[str, str]:
    return f"{a} {x}", f"{a} {x}"


class Refreshed(motion.Component, name="R"):
    def setup(self) -> int:
        return 1

    @motion.infer(on="item.a", sets="item.d", refresh="after")
    def make(self, state: int, a: str) -> str:
        return f"{a} {state}"

    @motion.fit(on="item.label")
    def learn(self, state: int, rows: list[Item]) -> int:
        return state + 1


KEPT_LOOKUP = Annotated[str, motion.Lookup("looked.x", by="ref")]
KEPT_WINDOW = Annotated[str, motion.Window("item.b", by="ref", agg="last")]
TAKERS: dict[str, tuple[list[Any], Any]] = {
    "a lookup": ([g_of_c, by_lookup], str),
    "a lookup of several keys": ([of_both], str),
    "a lookup that is waited for": ([g_of_c, when_looked_up], str),
    "a lookup of a list": ([g_of_c, by_list], str),
    "a window": ([g_of_c, by_window], str),
    "a key that it does not run on": ([g_of_c, when_there], str),
    "what is read by hand": ([g_of_c, by_hand], str),
    "a state version": ([g_of_c, Refreshed()], str),
    "a kept lookup": ([g_of_c], KEPT_LOOKUP),
    "a kept window": ([g_of_c], KEPT_WINDOW),
}


@pytest.mark.parametrize("many", [True, False])
@pytest.mark.parametrize(("code", "declared"), TAKERS.values(), ids=TAKERS)
def test_a_users_value_stays_as_nothing_but_its_own_row_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: list[Any], declared: Any, many: bool
) -> None:
    """As it does where no key has gone over."""
    if many:
        monkeypatch.setattr("motion.persistence.changes.followers.AT_ONCE", 1)
        monkeypatch.setattr("motion.persistence.inputs.kept.ROWS_AT_ONCE", 1)

    def open_items(item: type, triggers: list[Any]) -> motion.Store:
        return motion.create_store(
            "items",
            schemas={"item": item, "looked": Looked},
            triggers=triggers,
            url=f"sqlite:///{tmp_path}",
        )

    with open_items(Item, [g_of_both]) as store:
        store.set("looked", id=1, x="x")
        rows = [{"id": i, "ts": i, "a": "a", "ref": 1, "refs": [1]} for i in range(2, 6)]
        store.set_many("item", rows)
        store.wait()
        store.set("item", id=2, d="mine")
        store.set("item", id=3, d=None)
    with open_items(Item if declared is str else item_keeping(declared), code) as store:
        for _ in range(2):
            store.set("looked", id=1, x="other", y="y")
            store.set("item", id=1, ts=1, ref=1, b="b")
            store.set_many("item", [{"id": i, "b": "b"} for i in (2, 3)])
            store.set("item", id=5, label=1)
            if len(code) > 1 and isinstance(code[1], Refreshed):
                store.model("R").fit().wait()
            store.wait()
            assert [store.get("item", i).d for i in (2, 3)] == ["mine", None]
            store.delete("item", 1)
            store.set("looked", id=1, x="again")
            store.delete("looked", 1)
            store.wait()
            assert [store.get("item", i).d for i in (2, 3)] == ["mine", None]
        store.set("looked", id=7, x="x", y="y")
        store.set("item", id=2, a="new", ref=7).wait()
        assert store.get("item", 2).d != "mine"


# -- vectors --


@dataclass
class Note:
    id: int
    text: str
    sort: str
    vec: Annotated[np.ndarray, motion.Vector(2)]


def vector(text: str, turn: int) -> np.ndarray:
    """Return what one of two models gives: their axes mean other things."""
    found = np.array([1.0, 0.0] if text == "cat" else [0.0, 1.0], np.float32)
    return found[::-1].copy() if turn else found


def model(called: str, turn: int, refresh: Any, sets: Any = "note.vec") -> Any:
    class Model(motion.Component, name=called):
        def setup(self) -> int:
            return turn

        @motion.infer(on="note.text", sets=sets, refresh=refresh)
        def embed(self, state: int, text: str) -> Any:
            made = vector(text, state)
            return made if sets == "note.vec" else (text, made)

    return Model()


def plain(turn: int) -> Any:
    @motion.trigger(on="note.text", sets="note.vec", name=f"plain{turn}", version="1")
    def embed(text: str) -> np.ndarray:
        return vector(text, turn)

    return embed


def sorts(name: str) -> Any:
    @motion.trigger(on="note.text", sets="note.sort", name=name, version="1")
    def sort(text: str) -> str:
        return text

    return sort


BOTH = ("note.sort", "note.vec")
MODELS: dict[str, tuple[list[Any], list[Any]]] = {
    "never": ([model("Old", 0, "never")], [model("New", 1, "never")]),
    "after": ([model("Old", 0, "after")], [model("New", 1, "after")]),
    "to a function": ([model("Old", 0, "never")], [plain(1)]),
    "from a function": ([plain(0)], [model("New", 1, "never")]),
    "of two keys": ([model("Old", 0, "never", sets=BOTH)], [model("New", 1, "never"), sorts("s")]),
    "to one that was there": (
        [model("Old", 0, "never"), sorts("s")],
        [model("New", 1, "never", sets=BOTH)],
    ),
}


@pytest.mark.parametrize(("before", "now"), MODELS.values(), ids=MODELS)
def test_p9_a_search_compares_no_vectors_of_a_former_maker_with_those_of_the_present_one(
    tmp_path: Path, before: list[Any], now: list[Any]
) -> None:
    def open_notes(code: list[Any]) -> motion.Store:
        return motion.create_store(
            "notes", schemas={"note": Note}, triggers=code, url=f"sqlite:///{tmp_path}"
        )

    def hits() -> list[tuple[int, float]]:
        found = store.search("note.vec", vector("cat", 1), k=9)
        return sorted((hit.id, round(hit.score, 3)) for hit in found)

    with open_notes(before) as store:
        store.set_many("note", [{"id": i, "text": text} for i, text in ((1, "cat"), (2, "dog"))])
        store.set("note", id=5, text="cat").wait()
        store.set("note", id=5, vec=vector("cat", 1))
    with open_notes(now) as store:
        store.set_many("note", [{"id": i, "text": text} for i, text in ((3, "cat"), (4, "dog"))])
        store.wait()
        assert hits() == [(3, 1.0), (4, 0.0), (5, 1.0)]
        for spec in store.status().triggers:
            store.backfill(spec).wait()
        store.wait()
        assert hits() == [(1, 1.0), (2, 0.0), (3, 1.0), (4, 0.0), (5, 1.0)]
    with open_notes(now) as store:
        for spec in store.status().triggers:
            store.backfill(spec, force=True)  # what is there is searched until it is made anew
        assert hits() == [(1, 1.0), (2, 0.0), (3, 1.0), (4, 0.0), (5, 1.0)]


# -- a random world --


@dataclass
class World:
    """Code that is split, merged and renamed again and again, and what rows are to have.

    Attributes:
        mine: (row, key) -> what a user has given, as long as that is to stay.
        given: the rows and triggers whose mark says that a user has given something: the other keys that it sets then are not
            known to be current, and not told.
    """

    dice: random.Random
    code: list[tuple[str, str, str, str]] = field(default_factory=list)
    rows: dict[int, dict[str, str | None]] = field(default_factory=dict)
    mine: dict[tuple[int, str], str] = field(default_factory=dict)
    given: set[tuple[int, str]] = field(default_factory=set)

    def deploy(self) -> list[Any]:
        """Return other code: each key has a maker always."""
        keys, names = list("cde"), list("ghk")
        self.dice.shuffle(keys)
        self.dice.shuffle(names)
        before, self.code = self.code, []
        while keys:
            count = self.dice.randint(1, len(keys))
            sets, keys = "".join(sorted(keys[:count])), keys[count:]
            on, version = self.dice.choice(["a", "b", "ab"]), self.dice.choice("12")
            self.code.append((names.pop(), on, sets, version))
        of_key = {key: name for name, _, sets, _ in before for key in sets}
        for row in self.rows:
            former = {name for name in "ghk" if (row, name) in self.given}
            for name, _, sets, _ in self.code:
                if former & {of_key[key] for key in sets}:
                    self.given.add((row, name))
        return [maker(*each, inline=self.dice.choice([True, False])) for each in self.code]

    def act(self, store: motion.Store) -> None:
        row, roll = self.dice.randint(1, 4), self.dice.random()
        if roll < 0.1:
            store.delete("doc", row)
            self._forget(row)
        elif roll < 0.3 and row in self.rows:
            key = self.dice.choice("cde")
            mine: dict[str, Any] = {key: f"mine {self.dice.random()}"}
            store.set("doc", id=row, **mine)
            self.mine[row, key] = mine[key]
            self.given.add((row, next(name for name, _, sets, _ in self.code if key in sets)))
        else:
            key, value = self.dice.choice("ab"), self.dice.choice([None, "x", "y", "z"])
            self._source(store, row, key, value)
        store.wait()

    def _source(self, store: motion.Store, row: int, key: str, value: str | None) -> None:
        known = self.rows.setdefault(row, {"a": None, "b": None})
        given: dict[str, Any] = {key: value}
        store.set("doc", id=row, **given)
        if known[key] == value:
            return
        known[key] = value
        for name, on, sets, _ in self.code:
            if key in on:
                self.given.discard((row, name))
                for out in sets:
                    self.mine.pop((row, out), None)

    def _forget(self, row: int) -> None:
        self.rows.pop(row, None)
        self.mine = {name: value for name, value in self.mine.items() if name[0] != row}
        self.given = {name for name in self.given if name[0] != row}

    def wrong(self, store: motion.Store) -> Mapping[str, set[int]]:
        """Return trigger -> the rows that have another value of it than they would have from scratch."""
        found: dict[str, set[int]] = {}
        for row, known in self.rows.items():
            shown = store.get("doc", row)
            for name, on, sets, version in self.code:
                taken = [known[key] for key in on]
                made = None if None in taken else "".join(map(str, taken)) + version
                for key in sets:
                    value = getattr(shown, key)
                    if (row, key) in self.mine:
                        assert value == self.mine[row, key]
                    elif value != made and (row, name) not in self.given:
                        found.setdefault(name, set()).add(row)
        return found


@pytest.mark.parametrize("seed", range(12))
def test_nothing_that_other_code_made_is_told_as_current_in_a_random_world(
    tmp_path: Path, seed: int
) -> None:
    world = World(random.Random(seed))
    for _ in range(8):
        with opened(tmp_path, *world.deploy()) as store:
            for _ in range(world.dice.randint(0, 5)):
                world.act(store)
            for name, rows in world.wrong(store).items():
                plan = store.plan(name)
                assert plan.stale + plan.missing >= len(rows), (name, rows, plan, world)
            if world.dice.random() < 0.5:
                names = [name for name, *_ in world.code]
                world.dice.shuffle(names)
                remade(store, *names)
                assert world.wrong(store) == {}, world
