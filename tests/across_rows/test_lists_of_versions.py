"""Lookups by a list of what is kept by state version: the mean liked vector over two model versions, and what else meets there."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pytest

import motion
from motion.persistence.changes import building, cascade, followers
from tests.conftest import OpenStore, until

CALLS: list[tuple[Any, ...]] = []


@pytest.fixture(autouse=True)
def no_calls() -> None:
    CALLS.clear()


@contextmanager
def many(count: int) -> Iterator[None]:
    """More rows than so many are left to sweeps, and to builds that begin anew."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (followers, cascade, building):
            patch.setattr(module, "AT_ONCE", count)
        yield


@dataclass
class Product:
    id: int
    n: int
    guess: int
    label: int


@dataclass
class User:
    id: int
    likes: list[int]
    seen: Annotated[list[int | None], motion.Lookup("product.guess", by="likes")]
    told: str
    sum: int
    twice: str
    mixed: str
    label: int


Guesses = Annotated[list[int], motion.Lookup("product.guess", by="likes")]
Gapped = Annotated[list[int | None], motion.Lookup("product.guess", by="likes")]


class Guesser(motion.Component):
    """What version `n` guesses is the same as all others do, where it is a hundred or more."""

    def setup(self) -> int:
        return 1

    @motion.infer(on="product.n", sets="product.guess", refresh="before")
    def guess(self, state: int, n: int) -> int:
        CALLS.append(("guess", state, n))
        return n if n >= 100 else n * state

    @motion.infer(on="user.likes", sets="user.sum", refresh="before")
    def add_up(self, state: int, id: int, guesses: Guesses) -> int:
        CALLS.append(("sum", state, id))
        return state + sum(guesses)

    @motion.infer(on="user.sum", sets="user.twice", refresh="before")
    def double(self, state: int, sum: int | None, guesses: Gapped) -> str:
        return f"{state} {sum} {guesses}"

    @motion.fit(on="product.label", promote=motion.manual)
    def fit(self, state: int, rows: list[Product]) -> int:
        return rows[-1].label


class Mixer(motion.Component):
    """It is made of the live outputs of another component."""

    def setup(self) -> int:
        return 1

    @motion.infer(on="user.likes", sets="user.mixed", refresh="before")
    def mix(self, state: int, id: int, guesses: Gapped) -> str:
        CALLS.append(("mixed", state, id))
        return f"{state} {guesses}"

    @motion.fit(on="user.label", promote=motion.manual)
    def fit(self, state: int, rows: list[User]) -> int:
        return 20


@motion.trigger(on="user.likes", sets="user.told")
def tell(id: int, guesses: Guesses) -> str:
    CALLS.append(("told", id))
    return f"{guesses}"


SCHEMAS = {"product": Product, "user": User}
LIKES = {1: [1, 2], 2: [2, 3, 2], 3: [], 4: [3], 5: [1, 9]}


def opened(open_store: OpenStore, *more: Any, of: Sequence[str] = ("Guesser",)) -> motion.Store:
    """Return a store with two versions of components, of which the first is live, and nobody has called since."""
    store = open_store(schemas=SCHEMAS, triggers=[Guesser(), Mixer(), *(more or [tell])])
    rows = [{"id": 1, "n": 5, "label": 10}, {"id": 2, "n": 100}, {"id": 3, "n": 6}]
    store.set_many("product", rows)
    store.set_many("user", [{"id": id, "likes": likes} for id, likes in LIKES.items()])
    store.set("user", id=1, label=1)
    store.wait(timeout=60)
    for name in of:
        store.model(name).fit()
        store.wait(timeout=60)
    CALLS.clear()
    return store


def shown(store: motion.Store) -> dict[int, tuple[Any, ...]]:
    store.wait(timeout=60)
    assert not store.errors()
    assert not any(each.stale for each in store.status().triggers.values())
    return {r.id: (r.seen, r.told, r.sum, r.twice, r.mixed) for r in store.rows(User)}


def expected(
    state: int, mixer: int = 1, likes: Any = LIKES, **numbers: int | None
) -> dict[int, tuple[Any, ...]]:
    """Return what all is, of products whose `n` is given as `p1=5`; None: the product is gone."""
    given = {"p1": 5, "p2": 100, "p3": 6} | numbers
    guesses = {
        int(name[1:]): n if n >= 100 else n * state for name, n in given.items() if n is not None
    }
    found = {}
    for id, ids in likes.items():
        held: Any = [guesses.get(each) for each in ids]
        is_whole = None not in held
        total = state + sum(held) if is_whole else None
        found[id] = (
            held,
            f"{held}" if is_whole else None,
            total,
            f"{state} {total} {held}",
            f"{mixer} {held}",
        )
    return found


def called(kind: str, *of: Any) -> list[Any]:
    return sorted(each[-1] for each in CALLS if each[:-1] == (kind, *of))


@pytest.mark.parametrize("at_once", [500, 1])
def test_p14_what_lists_name_is_of_the_version_that_is_live(
    open_store: OpenStore, at_once: int
) -> None:
    with many(at_once):
        store = opened(open_store, of=("Guesser", "Mixer"))
        guesser, mixer = store.model("Guesser"), store.model("Mixer")
        assert shown(store) == expected(1)
        guesser.promote(2).wait(timeout=60)
        assert shown(store) == expected(10)
        mixer.promote(2).wait(timeout=60)
        assert shown(store) == expected(10, 20)
        store.set("product", id=1, n=7)
        assert shown(store) == expected(10, 20, p1=7)
        guesser.rollback().wait(timeout=60)
        assert shown(store) == expected(1, 20, p1=7)
        mixer.rollback().wait(timeout=60)
        assert shown(store) == expected(1, p1=7)


@pytest.mark.parametrize("at_once", [500, 1])
def test_what_changes_in_a_version_to_go_back_to_alone_is_followed_there(
    open_store: OpenStore, at_once: int
) -> None:
    with many(at_once):
        store = opened(open_store)
        guesser = store.model("Guesser")
        store.set("product", id=1, n=50)
        guesser.promote(2).wait(timeout=60)
        assert shown(store) == expected(10, p1=50)
        store.set("product", id=1, n=500)  # which is what the live version has guessed anyway
        assert shown(store) == expected(10, p1=500)
        guesser.rollback().wait(timeout=60)
        assert shown(store) == expected(1, p1=500)


def test_a_switch_calls_for_the_lists_in_which_it_has_changed_something_each_once(
    open_store: OpenStore,
) -> None:
    store = opened(open_store, of=("Guesser", "Mixer"))
    store.set("user", id=6, likes=[2])
    store.wait(timeout=60)
    likes = LIKES | {6: [2]}
    CALLS.clear()
    store.model("Guesser").promote(2).wait(timeout=60)
    assert shown(store) == expected(10, likes=likes)
    assert called("told") == [1, 2, 4]  # the other guess is the same
    assert called("mixed", 1) == called("mixed", 20) == [1, 2, 4, 5]
    assert not called("sum", 1) + called("sum", 10)  # the candidate had all its outputs
    CALLS.clear()
    store.model("Guesser").rollback().wait(timeout=60)
    store.model("Guesser").promote(2).wait(timeout=60)
    assert shown(store) == expected(10, likes=likes)
    assert not called("sum", 1) + called("sum", 10)


def test_outputs_of_a_candidate_are_made_once_for_what_changes_beside_it(
    open_store: OpenStore,
) -> None:
    """As long as it is one; and of a version to go back to when it is gone back to."""
    store = opened(open_store)
    store.set("product", id=3, n=7)
    assert shown(store) == expected(1, p3=7)
    store.model("Guesser").promote(2).wait(timeout=60)
    assert shown(store) == expected(10, p3=7)
    assert called("sum", 1) == called("sum", 10) == [2, 4]
    CALLS.clear()
    store.set("product", id=3, n=8)
    store.set("product", id=1, n=9)
    assert shown(store) == expected(10, p1=9, p3=8)
    store.set("product", id=1, n=5)
    assert shown(store) == expected(10, p3=8)
    assert not called("sum", 1)
    store.model("Guesser").rollback().wait(timeout=60)
    assert shown(store) == expected(1, p3=8)
    assert called("sum", 1) == [2, 4]  # that of product 1 is as it was


@pytest.mark.parametrize("at_once", [500, 1])
def test_what_users_give_and_what_goes_is_seen_by_lists_in_every_version(
    open_store: OpenStore, at_once: int
) -> None:
    with many(at_once):
        store = opened(open_store)
        guesser = store.model("Guesser")
        store.set("product", id=3, guess=777)  # as it is in both versions
        assert shown(store) == expected(1, p3=777)
        guesser.promote(2).wait(timeout=60)
        assert shown(store) == expected(10, p3=777)
        store.delete("product", 1)
        assert shown(store) == expected(10, p1=None, p3=777)
        guesser.rollback().wait(timeout=60)
        assert shown(store) == expected(1, p1=None, p3=777)
        store.set_many("product", [{"id": 1, "n": 8}, {"id": 9, "n": 9}])
        assert shown(store) == expected(1, p1=8, p3=777, p9=9)
        store.set("product", id=3, n=4)  # ends the user's
        store.set("product", id=9, n=None)
        assert shown(store) == expected(1, p1=8, p3=4)
        guesser.promote(2).wait(timeout=60)
        assert shown(store) == expected(10, p1=8, p3=4)


HAS_BEGUN, MAY_GO_ON = threading.Event(), threading.Event()


@pytest.mark.parametrize(
    "change", ["switch", "list", "value", "gone and made again", "two switches"]
)
@pytest.mark.parametrize("is_batch", [False, True])
def test_p7_a_run_takes_a_list_of_one_version_whatever_comes_in_mid_call(
    open_store: OpenStore, change: str, is_batch: bool
) -> None:
    given: list[Any] = []

    def slow(guesses: Any) -> Any:
        given.append(guesses)
        HAS_BEGUN.set()
        MAY_GO_ON.wait(60)
        return [str(each) for each in guesses] if is_batch else str(guesses)

    kind = list[list[int]] if is_batch else list[int]
    slow.__annotations__["guesses"] = Annotated[kind, motion.Lookup("product.guess", by="likes")]
    options: dict[str, Any] = {"batch": 8} if is_batch else {"concurrency": 4}
    made = motion.trigger(on="user.likes", sets="user.told", name="slow", **options)(slow)
    MAY_GO_ON.set()
    store = opened(open_store, made)
    guesser = store.model("Guesser")
    assert store.explain("user", 1, "told").version == 1
    HAS_BEGUN.clear()
    MAY_GO_ON.clear()
    store.set("user", id=1, likes=[3, 1])
    assert HAS_BEGUN.wait(60)
    state, likes, before = 1, [3, 1], len(given)
    numbers: dict[str, int] = {}
    if change == "list":
        store.set("user", id=1, likes=[1])
        likes = [1]
    elif change == "value":
        store.set("product", id=1, n=8).wait("guess", timeout=60)
        numbers = {"p1": 8}
    elif change == "gone and made again":
        store.delete("product", 1)
        store.set("product", id=1, n=5).wait("guess", timeout=60)
    else:
        guesser.promote(2)
        until(store, lambda: store.status().versions["Guesser"] == 2, timeout_s=60)
        state = 10
    if change == "two switches":
        until(store, lambda: not store.status().backfills, timeout_s=60)
        guesser.rollback()
        until(store, lambda: store.status().versions["Guesser"] == 1, timeout_s=60)
        state = 1
    MAY_GO_ON.set()
    assert shown(store) == expected(state, likes=LIKES | {1: likes}, **numbers)
    assert len(given) > before or change == "two switches"
    explained = store.explain("user", 1, "told")
    assert explained.version == (2 if state == 10 else 1)
    assert [(each.table, each.id, each.value) for each in explained.inputs] == [
        ("product", id, guess) for id, guess in zip(likes, shown(store)[1][0], strict=True)
    ]


@pytest.mark.parametrize("kind", ["async", "batch", "inline", "process", "memo"])
def test_triggers_of_all_kinds_take_lists_of_the_live_version(
    open_store: OpenStore, kind: str
) -> None:
    kinds: dict[str, dict[str, Any]] = {
        "async": {},
        "batch": {"batch": 2},
        "inline": {"inline": True},
        "process": {"executor": "process"},
        "memo": {"memo": True},
    }

    def told(guesses: Guesses) -> str:
        return f"{guesses}"

    async def told_later(guesses: Guesses) -> str:
        return f"{guesses}"

    def told_each(
        guesses: Annotated[list[list[int]], motion.Lookup("product.guess", by="likes")],
    ) -> list[str]:
        return [f"{each}" for each in guesses]

    function: Any = {"async": told_later, "batch": told_each}.get(kind, told)
    store = opened(
        open_store, motion.trigger(on="user.likes", sets="user.told", **kinds[kind])(function)
    )
    assert shown(store) == expected(1)
    store.model("Guesser").promote(2).wait(timeout=60)
    assert shown(store) == expected(10)
    store.set("user", id=3, likes=[3, 1])
    assert shown(store) == expected(10, likes=LIKES | {3: [3, 1]})


def test_a_list_that_is_not_followed_is_read_once_and_waits_for_what_a_switch_brings(
    open_store: OpenStore,
) -> None:
    class Late(motion.Component):
        """Its first version knows nothing of large numbers."""

        def setup(self) -> int:
            return 1

        @motion.infer(on="product.n", sets="product.guess", refresh="before")
        def guess(self, state: int, n: int) -> int | None:
            return n * state if n < 10 or state > 1 else None

        @motion.fit(on="product.label", promote=motion.manual)
        def fit(self, state: int, rows: list[Product]) -> int:
            return 10

    @motion.trigger(on="user.likes", sets="user.told")
    def tell_once(
        guesses: Annotated[list[int], motion.Lookup("product.guess", by="likes", follow=False)],
    ) -> str:
        return f"{guesses}"

    @motion.trigger(on="user.label", sets="user.twice")
    def one(
        guess: Annotated[int, motion.Lookup("product.guess", by="label", follow=False)],
    ) -> str:
        return f"{guess}"

    store = open_store(schemas=SCHEMAS, triggers=[Late(), tell_once, one])
    store.set_many("product", [{"id": 1, "n": 5, "label": 1}, {"id": 2, "n": 50}])
    users = [{"id": 1, "likes": [1], "label": 1}, {"id": 2, "likes": [1, 2], "label": 2}]
    store.set_many("user", users)
    store.wait(timeout=60)
    store.model("Late").fit()
    store.wait(timeout=60)
    assert [(row.told, row.twice) for row in store.rows(User)] == [("[5]", "5"), (None, None)]
    store.model("Late").promote(2).wait(timeout=60)
    store.wait(timeout=60)
    assert [(row.told, row.twice) for row in store.rows(User)] == [
        ("[5]", "5"),
        ("[50, 500]", "500"),
    ]
    store.set("product", id=1, n=6)
    store.model("Late").rollback().wait(timeout=60)
    store.wait(timeout=60)
    assert [row.told for row in store.rows(User)] == ["[5]", "[50, 500]"]


def test_rows_that_a_list_made_in_one_version_stay_in_another_and_are_told_as_stale(
    open_store: OpenStore,
) -> None:
    @dataclass
    class Line:
        id: str
        guess: int

    class Knowing(motion.Component):
        """Its first version knows nothing of large numbers."""

        def setup(self) -> int:
            return 1

        @motion.infer(on="product.n", sets="product.guess", refresh="before")
        def guess(self, state: int, n: int) -> int | None:
            return n * state if n < 10 or state > 1 else None

        @motion.fit(on="product.label", promote=motion.manual)
        def fit(self, state: int, rows: list[Product]) -> int:
            return 10

    @motion.trigger(on="user.likes", sets="line")
    def lines(id: int, guesses: Guesses) -> list[Line]:
        return [Line(f"{id}/{i}", guess) for i, guess in enumerate(guesses)]

    def found() -> tuple[list[int], int]:
        store.wait(timeout=60)
        made = [row.guess for row in store.rows(Line, order_by="id")]
        return made, store.status().triggers["lines"].stale

    store = open_store(schemas=SCHEMAS | {"line": Line}, triggers=[Knowing(), lines])
    store.set_many("product", [{"id": 1, "n": 5, "label": 1}, {"id": 2, "n": 50}])
    store.set_many("user", [{"id": 1, "likes": [1]}, {"id": 2, "likes": [1, 2]}])
    assert found() == ([5], 0)
    store.model("Knowing").fit()
    store.wait(timeout=60)
    store.model("Knowing").promote(2).wait(timeout=60)
    assert found() == ([50, 50, 500], 0)
    store.model("Knowing").rollback().wait(timeout=60)
    assert found() == ([5, 50, 500], 1)


# -- pages, other keys than the id --


@dataclass
class Item:
    id: int
    code: str
    n: int
    guess: int
    label: int


@dataclass
class Doc:
    id: int
    likes: list[str]
    page: int
    part: str
    told: str
    sum: str


class Paged(motion.Component):
    def setup(self) -> int:
        return 1

    @motion.infer(on="item.n", sets="item.guess", refresh="before")
    def guess(self, state: int, n: int) -> int:
        return n if n >= 100 else n * state

    @motion.infer(on="doc.part", sets="doc.sum", refresh="before")
    def add_up(
        self,
        state: int,
        part: str,
        guesses: Annotated[
            list[int | None], motion.Lookup("item.guess", by="likes", to="item.code")
        ],
    ) -> str:
        return f"{state} {part} {guesses}"

    @motion.fit(on="item.label", promote=motion.manual)
    def fit(self, state: int, rows: list[Item]) -> int:
        return 10


@motion.trigger(on="doc.part", sets="doc.told")
def tell_pages(
    part: str,
    guesses: Annotated[list[int | None], motion.Lookup("item.guess", by="likes", to="item.code")],
) -> str:
    return f"{part} {guesses}"


@pytest.mark.parametrize("at_once", [500, 1])
def test_pages_that_show_the_list_of_page_0_follow_it_in_each_version(
    open_store: OpenStore, at_once: int
) -> None:
    def check(state: int, first: list[int | None], own: list[int | None]) -> None:
        store.wait(timeout=60)
        assert not store.errors()
        held = [("p0", first), ("p1", first), ("p2", own)]
        assert [(row.told, row.sum) for row in store.rows(Doc)] == [
            (f"{part} {guesses}", f"{state} {part} {guesses}") for part, guesses in held
        ]

    with many(at_once):
        store = open_store(schemas={"item": Item, "doc": Doc}, triggers=[Paged(), tell_pages])
        model = store.model("Paged")
        store.set_many("item", [{"id": 1, "code": "a", "n": 1}, {"id": 2, "code": "b", "n": 2}])
        store.set("item", id=2, label=1)
        store.set("doc", id=1, likes=["a", "x"], part="p0")
        store.set("doc", id=1, page=1, part="p1")
        store.set("doc", id=1, page=2, part="p2", likes=["b", "a"])
        store.wait(timeout=60)
        model.fit()
        check(1, [1, None], [2, 1])
        store.set("item", id=1, n=3)  # beside a candidate
        check(1, [3, None], [2, 3])
        model.promote(2).wait(timeout=60)
        check(10, [30, None], [20, 30])
        store.set("item", id=2, code="x")
        check(10, [30, 20], [None, 30])
        store.set("item", id=3, code="a", n=9)  # behind the first one of this code
        store.delete("item", 1)
        check(10, [90, 20], [None, 90])
        model.rollback().wait(timeout=60)
        check(1, [9, 2], [None, 9])
        model.promote(2).wait(timeout=60)
        store.set("item", id=3, n=90)
        check(10, [900, 20], [None, 900])
        model.rollback().wait(timeout=60)
        check(1, [90, 2], [None, 90])
        model.promote(2).wait(timeout=60)
        store.set("item", id=3, n=900)  # as it is in the live version anyway
        check(10, [900, 20], [None, 900])
        model.rollback().wait(timeout=60)
        check(1, [900, 2], [None, 900])


# -- the mean liked vector --


@dataclass
class Shoe:
    id: int
    name: str
    vector: Annotated[np.ndarray, motion.Vector(2)]
    label: int


@dataclass
class Person:
    id: int
    likes: list[int]
    taste: Annotated[np.ndarray, motion.Vector(2)]
    told: str


class Encoder(motion.Component):
    def setup(self) -> float:
        return 1.0

    @motion.infer(on="shoe.name", sets="shoe.vector")
    def embed(self, state: float, name: str) -> np.ndarray:
        return np.array([len(name), state], np.float32)

    @motion.infer(on="person.likes", sets="person.taste")
    def mean(
        self,
        state: float,
        vectors: Annotated[list[np.ndarray], motion.Lookup("shoe.vector", by="likes")],
    ) -> np.ndarray | None:
        return np.mean(vectors, axis=0) if vectors else None

    @motion.fit(on="shoe.label", promote=motion.if_better("score"), gate_on=2)
    def fit(self, state: float, rows: list[Shoe]) -> float:
        return float(rows[-1].label)

    def evaluate(self, state: float, rows: list[Shoe], store: motion.View) -> dict[str, float]:
        """Hold what people like against the shoes themselves, in the version that is measured."""
        tastes = [row.taste for row in store.rows(Person) if row.taste is not None]
        wrong = [each for each in tastes if each[1] != state]
        assert tastes, state
        assert not wrong, (state, wrong)
        return {"score": abs(state)}


@motion.trigger(on="person.likes", sets="person.told")
def tell_mean(
    vectors: Annotated[list[np.ndarray], motion.Lookup("shoe.vector", by="likes")],
) -> str | None:
    return str(np.mean(vectors, axis=0).tolist()) if vectors else None


def test_p9_the_mean_liked_vector_is_of_one_version_and_gated_and_searched(
    open_store: OpenStore,
) -> None:
    store = open_store(schemas={"shoe": Shoe, "person": Person}, triggers=[Encoder(), tell_mean])
    names = ["a", "abc", "abcde"]
    store.set_many("shoe", [{"id": i, "name": name} for i, name in enumerate(names)])
    likes = [[0], [0, 1, 1], [2, 1], [], [2]]
    store.set_many("person", [{"id": i, "likes": each} for i, each in enumerate(likes)])
    store.wait(timeout=60)
    is_over, seen = threading.Event(), set[tuple[float, float]]()

    def look() -> None:
        sql = "SELECT p.taste, s.vector FROM person p JOIN shoe s ON s.id = 0 WHERE p.id = 0"
        while not is_over.is_set():
            seen.update((row["taste"][1], row["vector"][1]) for row in store.sql(sql).to_pylist())

    def check(state: float) -> None:
        store.wait(timeout=60)
        assert not store.errors()
        means = [
            [float(np.mean([len(names[i]) for i in each])), state] if each else None
            for each in likes
        ]
        rows = store.rows(Person)
        assert [
            None if r.taste is None else [round(float(x), 4) for x in r.taste] for r in rows
        ] == [None if each is None else [round(x, 4) for x in each] for each in means]
        assert [None if r.told is None else eval(r.told)[1] for r in rows] == [
            None if each is None else state for each in means
        ]
        assert [hit.id for hit in store.search("person.taste", [4, state], k=1)] == [2]

    check(1.0)
    reader = threading.Thread(target=look)
    reader.start()
    store.set("shoe", id=0, label=-4)
    store.model("Encoder").fit()
    check(-4.0)
    store.model("Encoder").rollback().wait(timeout=60)
    check(1.0)
    is_over.set()
    reader.join()
    assert {(1.0, 1.0), (-4.0, -4.0)} >= seen


def test_a_mean_that_is_looked_up_by_a_list_again_comes_after_it_in_a_build(
    open_store: OpenStore,
) -> None:
    """Three outputs, each made of the one before by a list: they are built in that order, and go live together."""

    @dataclass
    class Group:
        id: int
        users: list[int]
        seen: list[int]

    class Chain(motion.Component):
        def setup(self) -> int:
            return 1

        @motion.infer(on="group.users", sets="group.seen", refresh="before")
        def last(
            self,
            state: int,
            sums: Annotated[list[int], motion.Lookup("user.sum", by="users")],
        ) -> list[int]:
            CALLS.append(("last", state, tuple(sums)))
            return [state, *sums]

        @motion.infer(on="user.likes", sets="user.sum", refresh="before")
        def middle(self, state: int, guesses: Guesses) -> int:
            CALLS.append(("middle", state, tuple(guesses)))
            return state + sum(guesses)

        @motion.infer(on="product.n", sets="product.guess", refresh="before")
        def first(self, state: int, n: int) -> int:
            return n * state

        @motion.fit(on="product.label", promote=motion.manual)
        def fit(self, state: int, rows: list[Product]) -> int:
            return 10

    store = open_store(schemas=SCHEMAS | {"group": Group}, triggers=[Chain()])
    store.set_many("group", [{"id": i, "users": [1, i]} for i in (1, 2)])
    store.set_many("user", [{"id": i, "likes": [1, i]} for i in (1, 2)])
    store.set_many("product", [{"id": i, "n": i, "label": i} for i in (1, 2)])
    store.wait(timeout=60)
    CALLS.clear()
    store.model("Chain").fit()
    store.wait(timeout=60)
    assert sorted(CALLS) == [
        ("last", 10, (30, 30)),
        ("last", 10, (30, 40)),
        ("middle", 10, (10, 10)),
        ("middle", 10, (10, 20)),
    ]
    store.model("Chain").promote(2).wait(timeout=60)
    assert [row.seen for row in store.rows(Group)] == [[10, 30, 30], [10, 30, 40]]
    store.set("product", id=2, n=5)
    store.wait(timeout=60)
    store.model("Chain").rollback().wait(timeout=60)
    store.wait(timeout=60)
    assert [row.seen for row in store.rows(Group)] == [[1, 3, 3], [1, 3, 7]]


def with_another_to_go_back_to(open_store: OpenStore) -> motion.Store:
    """Return a store whose first version is live, and the second one has all its outputs."""
    store = opened(open_store)
    store.model("Guesser").promote(2).wait(timeout=60)
    store.model("Guesser").promote(1).wait(timeout=60)
    store.wait(timeout=60)
    return store


def sums(store: motion.Store) -> dict[int, int]:
    return {row.id: row.sum for row in store.rows(User) if row.sum is not None}


@pytest.mark.parametrize("at_once", [500, 1])
def test_p14_a_users_value_that_the_live_version_had_is_told_of_in_the_others(
    open_store: OpenStore, at_once: int
) -> None:
    with many(at_once):
        store = with_another_to_go_back_to(open_store)
        store.set("product", id=1, guess=5)  # it is, in the live version
        store.set("product", id=3, n=None)
        store.wait(timeout=60)
        store.set("product", id=3, guess=None)  # nor does this change anything there
        store.model("Guesser").promote(2).wait(timeout=60)
        store.wait(timeout=60)
        assert sums(store) == {1: 10 + 5 + 100, 3: 10}
        twice = {row.id: row.twice for row in store.rows(User)}
        assert twice[1] == "10 115 [5, 100]"
        assert twice[2] == "10 None [100, None, 100]"
