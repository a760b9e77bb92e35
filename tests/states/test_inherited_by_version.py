"""P6 and inheritance: pages show what page 0 has of a key that is kept by state version, as they do of any other, wherever rows are
read or taken, and after each switch what the version has that is live then."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pytest

import motion
from tests.conftest import OpenStore


@dataclass
class Doc:
    id: int
    title: str
    kind: int
    vec: Annotated[np.ndarray, motion.Vector(2)]
    tag: str
    twice: int
    mixed: int
    page: int
    text: str
    place: Annotated[np.ndarray, motion.Vector(2)]
    seen: int
    near: float
    told: int
    other: int
    n: int


@dataclass
class Link:
    id: int
    doc: int
    at: int
    kind: Annotated[int, motion.Lookup("doc.kind", by=("doc", "at"))]
    label: str
    read: str


class Sorter(motion.Component):
    def setup(self) -> int:
        return 1

    @motion.infer(on="doc.title", sets="doc.kind", refresh="before")
    def sort(self, state: int, title: str) -> int | None:
        return kind_of(state, title)

    @motion.infer(on="doc.title", sets="doc.vec")
    def embed(self, state: int, title: str) -> np.ndarray:
        return np.array([state, len(title)], np.float32)

    @motion.infer(on="doc.kind", sets="doc.twice", refresh="before")
    def double(self, state: int, kind: int) -> int:
        return 2 * kind + state

    @motion.infer(on=("doc.text", "doc.kind"), sets="doc.told", refresh="before")
    def tell(self, state: int, text: str, kind: int) -> int:
        return told_of(state, text, kind)

    @motion.fit(on="doc.n", promote=motion.manual)
    def learn(self, state: int, rows: list[Doc]) -> int:
        return state + 1


class Mixer(motion.Component):
    def setup(self) -> int:
        return 1

    @motion.infer(on="doc.kind", sets="doc.mixed", refresh="before")
    def mix(self, state: int, kind: int) -> int:
        return 10 * kind + state

    @motion.infer(on=("doc.text", "doc.kind"), sets="doc.other", refresh="before")
    def tell(self, state: int, text: str, kind: int) -> int:
        return told_of(state, text, kind)

    @motion.fit(on="doc.n", promote=motion.manual)
    def learn(self, state: int, rows: list[Doc]) -> int:
        return state + 1


@motion.trigger(on="doc.kind", sets="doc.tag")
def name(kind: int) -> str:
    return f"kind {kind}"


@motion.trigger(on=("doc.text", "doc.kind"), sets="doc.seen")
def see(text: str, kind: int) -> int:
    return told_of(0, text, kind)


@motion.trigger(on=("doc.text", "doc.vec"), sets="doc.near")
def measure(text: str, vec: np.ndarray | None) -> float:
    return -1.0 if vec is None else float(vec[0]) + len(text) * 100


@motion.trigger(on=("link.doc", "link.at"), sets="link.label")
def label(kind: Annotated[int, motion.Lookup("doc.kind", by=("doc", "at"))]) -> str:
    return f"of {kind}"


@motion.trigger(on=("link.doc", "link.at"), sets="link.read", follow=True)
def read(doc: int, at: int, store: motion.View) -> str:
    row = store.get("doc", doc, page=at)
    return f"read {None if row is None else row.kind}"


def kind_of(state: int, title: str) -> int | None:
    return None if len(title) == state else len(title) * state % 5


def told_of(state: int, text: str, kind: int) -> int:
    return state * 10_000 + kind * 100 + len(text)


class World:
    """A store with two versions of each component, and what users have given."""

    def __init__(self, store: motion.Store) -> None:
        self.store = store
        self.live = {"Sorter": 1, "Mixer": 1}
        self.rows: dict[tuple[int, int], dict[str, Any]] = {}
        self.links: dict[int, tuple[int, int]] = {}
        store.set("doc", id=99, n=1)
        for component in self.live:
            store.model(component).fit()
            store.wait(timeout=120)
        store.delete("doc", 99)
        for component in self.live:
            store.model(component).promote(1)
        store.wait(timeout=120)

    def do(self, rng: random.Random) -> None:
        """Do one thing that users do."""
        id, page = rng.randint(1, 4), rng.choice([0, 0, 1, 2])
        what = rng.choice(
            [
                "title",
                "title",
                "text",
                "text",
                "text",
                "link",
                "page",
                "delete",
                "promote",
                "promote",
                "rest",
            ]
        )
        if what == "title":
            self._set(id, 0, title="x" * rng.randint(1, 7))
        elif what == "text":
            self._set(id, page, text="y" * rng.randint(1, 7), place=np.array([1, page], np.float32))
        elif what == "page":  # that has a title of its own, of a kind in each version
            self._set(id, page, title="z" * rng.randint(3, 7))
        elif what == "link":
            link, at = rng.randint(1, 5), (rng.randint(1, 4), rng.randint(0, 2))
            self.store.set("link", id=link, doc=at[0], at=at[1])
            self.links[link] = at
        elif what == "delete":
            if (id, 0) in self.rows and rng.random() < 0.3:
                self.store.forget("doc", id)
            else:
                self.store.delete("doc", id)
            self.rows = {at: own for at, own in self.rows.items() if at[0] != id}
        elif what == "promote":
            component, version = rng.choice([*self.live]), rng.randint(1, 2)
            self.store.model(component).promote(version)
            self.live[component] = version
        else:
            self.store.wait(timeout=120)

    def _set(self, id: int, page: int, **values: Any) -> None:
        self.store.set("doc", id=id, page=page, **values)
        self.rows.setdefault((id, page), {}).update(values)

    def kind(self, id: int, page: int) -> int | None:
        """Return what a row must show."""
        own = self.rows.get((id, page), {}).get("title")
        found = None if own is None else kind_of(self.live["Sorter"], own)
        return found if found is not None or not page else self.kind(id, 0)

    def check(self) -> None:
        self.store.wait(timeout=120)
        assert not self.store.errors()
        rows = {(row.id, row.page): row for row in self.store.rows("doc")}
        assert rows.keys() == self.rows.keys()
        for at, row in rows.items():
            self._check_row(at, row)
        self._check_asked(rows)
        for link in self.store.rows("link"):
            at = self.links[link.id]
            kind = self.kind(*at) if at in self.rows else None
            label = None if kind is None else f"of {kind}"
            assert (link.kind, link.label, link.read) == (kind, label, f"read {kind}"), link
        assert not [name for name, each in self.store.status().triggers.items() if each.stale]

    def _check_row(self, at: tuple[int, int], row: Any) -> None:
        sorter, mixer = self.live["Sorter"], self.live["Mixer"]
        kind, text = self.kind(*at), self.rows[at].get("text")
        whole = self.store.get("doc", at[0], page=at[1])
        found = (row.kind, row.tag, row.twice, row.mixed)
        of_kind = (f"kind {kind}", 2 * kind + sorter, 10 * kind + mixer) if kind is not None else (None,) * 3  # fmt: skip
        assert found == (kind, *of_kind), (at, row)
        assert (whole.kind, whole.tag, whole.twice, whole.mixed) == found, (at, whole)
        told = [None] * 3 if kind is None or text is None else [told_of(v, text, kind) for v in (0, sorter, mixer)]  # fmt: skip
        assert [row.seen, row.told, row.other] == told, (at, row)
        title = self.rows[at].get("title") or self.rows.get((at[0], 0), {}).get("title")
        assert (None if row.vec is None else row.vec.tolist()) == (title and [sorter, len(title)])
        shown = self.rows[at].get("text") or None
        if shown is not None:
            assert row.near == (-1.0 if title is None else sorter + 100 * len(shown)), (at, row)

    def _check_asked(self, rows: dict[tuple[int, int], Any]) -> None:
        for kind in range(5):
            wanted = sorted(at for at in rows if self.kind(*at) == kind)
            named = [(row.id, row.page) for row in self.store.rows("doc", where={"kind": kind})]
            sql = self.store.sql("SELECT id, page FROM doc WHERE kind = ?", [kind]).to_pylist()
            hits = self.store.search("doc.place", [1.0, 1.0], k=50, where={"kind": kind})
            texts = [at for at in wanted if self.rows[at].get("place") is not None]
            assert sorted(named) == wanted
            assert sorted((row["id"], row["page"]) for row in sql) == wanted
            assert sorted((hit.id, hit.pages["page"]) for hit in hits) == texts
            assert [hit.row.kind for hit in hits] == [kind] * len(hits)
        ordered = [row.kind for row in self.store.rows("doc", order_by="kind")]
        assert ordered == sorted(ordered, key=lambda kind: (kind is not None, kind))


def opened(open_store: OpenStore, triggers: Sequence[Any] = ()) -> motion.Store:
    known = [Sorter(), Mixer(), name, see, measure, label, read, *triggers]
    return open_store(schemas={"doc": Doc, "link": Link}, triggers=known)


@pytest.mark.parametrize("seed", range(4))
def test_p6_pages_show_what_page_0_has_in_the_live_version_whatever_happens(
    open_store: OpenStore, seed: int
) -> None:
    tell(open_store, seed, steps=40)


@pytest.mark.crash
@pytest.mark.parametrize("seed", range(100, 140))
def test_p6_so_it_is_after_many_stories(open_store: OpenStore, seed: int) -> None:
    tell(open_store, seed, steps=120)


def tell(open_store: OpenStore, seed: int, steps: int) -> None:
    rng = random.Random(seed)
    world = World(opened(open_store))
    for step in range(steps):
        world.do(rng)
        if step % 10 == 9:
            world.check()


class Grader(motion.Component):
    """What it has learned from is what its state says."""

    def setup(self) -> list[str]:
        return []

    @motion.fit(on="doc.n", promote=motion.manual)
    def learn(self, state: list[str], rows: list[Doc]) -> list[str]:
        return [f"{row.id} {row.page} {row.kind} {row.twice} {row.vec.tolist()}" for row in rows]


PAGE_0: dict[str, Any] = {"id": 1, "title": "abc"}
PAGE_2: dict[str, Any] = {"id": 1, "page": 2, "text": "a"}


@pytest.mark.parametrize("order", ["page 0 first", "page first", "in one write", "page later"])
def test_a_page_shows_a_key_kept_by_version_to_all_readers(
    open_store: OpenStore, order: str
) -> None:
    store = opened(open_store, [Grader()])
    first = [PAGE_0] if order == "page later" else []
    store.set_many("doc", first)
    store.wait(timeout=120)
    writes = [PAGE_2, PAGE_0] if order == "page first" else [PAGE_0, PAGE_2]
    if order == "in one write":
        store.set_many("doc", writes)
    else:
        for row in writes:
            store.set("doc", **row)
    store.wait(timeout=120)
    with store.transaction() as tx:
        in_transaction = tx.get("doc", 1, page=2).kind
        tx.set("doc", id=1, page=2, text="b")
        written_there = tx.get("doc", 1, page=2).kind
    with store.model("Sorter").at(1) as (_, view):
        by_version = view.get("doc", 1, page=2).kind, len(view.rows("doc", where={"kind": 3}))
    store.set("doc", id=1, page=2, n=1)
    store.wait(timeout=120)
    store.model("Grader").fit()
    store.wait(timeout=120)
    with store.model("Grader").at(2) as (learned, _):
        assert learned == ["1 2 3 7 [1.0, 3.0]"]
    assert (in_transaction, written_there, by_version) == (3, 3, (3, 2))
    assert store.get("doc", 1, page=2, inherit=False).kind is None
    assert store.sql("SELECT kind FROM doc__stored WHERE page = 2").to_pylist() == [{"kind": None}]
    explained = store.explain("doc", 1, "kind", page=2)
    assert (explained.value, explained.version) == (3, 1)


class Late(motion.Component):
    """It gives no value in its first version."""

    def setup(self) -> int:
        return 0

    @motion.infer(on="doc.title", sets="doc.kind", refresh="before")
    def sort(self, state: int, title: str) -> int | None:
        return state or None

    @motion.fit(on="doc.n", promote=motion.manual)
    def learn(self, state: int, rows: list[Doc]) -> int:
        return state + 5


@motion.trigger(on="doc.text", sets="doc.seen")
def note(text: str, kind: int) -> int:
    return kind


@motion.trigger(on=("link.doc", "link.at"), sets="link.label")
def label_once(
    kind: Annotated[int, motion.Lookup("doc.kind", by=("doc", "at"), follow=False)],
) -> str:
    return f"of {kind}"


def test_p6_what_waits_for_a_value_that_it_does_not_run_on_runs_when_a_switch_brings_it(
    open_store: OpenStore,
) -> None:
    store = open_store(schemas={"doc": Doc, "link": Link}, triggers=[Late(), note, label_once])
    writes: list[dict[str, Any]] = [{"id": 1, "title": "abc", "text": "a", "n": 1}, PAGE_2]
    store.set_many("doc", writes)
    store.set_many("link", [{"id": page, "doc": 1, "at": page} for page in (0, 2)])
    store.wait(timeout=120)
    before = [row.seen for row in store.rows("doc")], [row.label for row in store.rows("link")]
    store.model("Late").fit()
    store.wait(timeout=120)
    store.model("Late").promote(2)
    store.wait(timeout=120)
    after = [row.seen for row in store.rows("doc")], [row.label for row in store.rows("link")]
    assert before == ([None, None], [None, None])
    assert after == ([5, 5], ["of 5", "of 5"])
