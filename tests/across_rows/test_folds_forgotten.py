"""What `forget` leaves of a row in folds that apply each row once: nothing, in whichever way they were told of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import pytest

import motion
from tests.conftest import OpenStore


@dataclass
class Doc:
    id: int
    ts: int
    user: str
    kind: int
    text: str
    shown: str
    page: int
    part: str


@dataclass
class Tag:
    id: str
    ts: int
    user: str
    word: str


@dataclass
class User:
    id: str
    team: str
    seen: str
    note: str


@dataclass
class Team:
    id: str
    all: str


@dataclass
class Kind:
    id: int
    name: str


SCHEMAS = {"doc": Doc, "tag": Tag, "user": User, "team": Team, "kind": Kind}


@motion.trigger(on="doc.text", sets="doc.part", page="page")
def cut(text: str) -> list[str]:
    return text.split()


@motion.trigger(on="doc.text", sets="tag")
def tags(text: str, user: str) -> list[dict[str, str]]:
    return [{"user": user, "word": word} for word in text.split()]


@motion.trigger(on="doc.text", sets="tag")
def shared_tags(text: str, user: str) -> list[dict[str, str]]:
    return [{"id": "tag", "user": user, "word": text}]


@motion.trigger(on="doc.kind", sets="doc.shown")
def name(name: Annotated[str | None, motion.Lookup("kind.name", by="kind")]) -> str | None:
    return name


def joined(so_far: str | None, text: str) -> str:
    return f"{so_far or ''}[{text}]"


@motion.fold(on="doc.part", by="doc.user", sets="user.seen", replay=False)
def parts(seen: str | None, part: str) -> str:
    return joined(seen, part)


@motion.fold(on="tag.word", by="tag.user", sets="user.seen", replay=False)
def words(seen: str | None, word: str) -> str:
    return joined(seen, word)


@motion.fold(on="doc.shown", by="doc.user", sets="user.seen", replay=False)
def names(seen: str | None, shown: str) -> str:
    return joined(seen, shown)


class Way(NamedTuple):
    """How a fold has come to hold what row 1 says: "Ada"; "Bob" is another's.

    Attributes:
        first: what happens after all is folded, before it is forgotten.
    """

    triggers: Sequence[Any]
    write: Callable[[motion.Store], object]
    first: Callable[[motion.Store], object] = lambda store: None
    table: str = "doc"


def texts(store: motion.Store) -> None:
    for row, text in ((1, "Ada"), (2, "Bob")):
        store.set("doc", id=row, ts=row, user="u", text=text)
        store.wait(timeout=60)


def own(store: motion.Store) -> None:
    for row, text in ((1, "Ada"), (2, "Bob")):
        store.set("doc", id=row, ts=row, user="u", part=text)
        store.wait(timeout=60)


def kinds(store: motion.Store) -> None:
    for row, text in ((1, "Ada"), (2, "Bob")):
        store.set("kind", id=row, name=text)
        store.set("doc", id=row, ts=row, user="u", kind=row)
        store.wait(timeout=60)


WAYS = {
    "its own": Way([parts], own),
    "in pages made of it": Way([cut, parts], texts),
    "in rows made of it": Way([tags, words], texts),
    "in a row that another makes, too": Way([shared_tags, words], texts),
    "in rows that look it up": Way([name, names], kinds, table="kind"),
    "before it moved": Way([parts], own, lambda store: store.set("doc", id=1, user="v")),
    "before it was deleted": Way([parts], own, lambda store: store.delete("doc", 1)),
    "in pages made before": Way([cut, parts], texts, lambda store: store.set("doc", id=1, text="")),
}


def seen(store: motion.Store) -> str:
    user = store.get(User, "u")
    assert user is not None
    return user.seen


def all_seen(store: motion.Store) -> str:
    team = store.get(Team, "t")
    assert team is not None
    return team.all


@pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))
def test_nothing_of_a_forgotten_row_stays(open_store: OpenStore, way: Way) -> None:
    store = open_store(schemas=SCHEMAS, triggers=way.triggers)
    way.write(store)
    assert "[Ada]" in seen(store)
    way.first(store)
    store.wait(timeout=60)
    store.forget(way.table, 1, timeout=60)
    assert seen(store) == "[Bob]"
    assert store.plan(way.triggers[-1].__name__).stale == 0


def test_nothing_stays_in_a_fold_over_what_such_a_fold_gives(open_store: OpenStore) -> None:
    @motion.fold(on="user.seen", by="user.team", sets="team.all", replay=False)
    def teams(all: str | None, seen: str) -> str:
        return joined(all, seen)

    store = open_store(schemas=SCHEMAS, triggers=[name, names, teams])
    store.set("user", id="u", team="t")
    kinds(store)
    assert "Ada" in all_seen(store)
    store.forget("kind", 1, timeout=60)
    assert all_seen(store) == "[[Bob]]"


def test_nothing_stays_in_what_takes_a_value_of_an_entity_that_it_had_left(
    open_store: OpenStore,
) -> None:
    calls = list[str]()

    @motion.fold(on="doc.part", by="doc.user", sets="user.seen", replay=False)
    def parts(seen: str | None, part: str) -> str:
        calls.append(part)
        return joined(seen, part)

    @motion.trigger(on="user.team", sets="user.note")
    def note(team: str, seen: str | None) -> str:
        return f"{team}: {seen}"

    store = open_store(schemas=SCHEMAS, triggers=[parts, note])
    own(store)
    store.set("user", id="u", team="t").wait(timeout=60)
    store.set("doc", id=1, user="v").wait(timeout=60)
    calls.clear()
    store.forget("doc", 1, timeout=60)
    assert [(user.note, user.seen) for user in store.rows("user")] == [("t: [Bob]", "[Bob]")]
    assert calls == ["Bob"]


def test_entities_that_are_not_stale_are_not_folded_again(open_store: OpenStore) -> None:
    calls = list[str]()

    @motion.fold(on="doc.part", by="doc.user", sets="user.seen", replay=False)
    def parts(seen: str | None, part: str) -> str:
        calls.append(part)
        return joined(seen, part)

    store = open_store(schemas=SCHEMAS, triggers=[parts])
    own(store)
    store.set("doc", id=3, user="other", part="Eve")
    store.wait(timeout=60)
    calls.clear()
    store.forget("doc", 1, timeout=60)
    assert calls == ["Bob"]
