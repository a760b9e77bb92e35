"""Lookups and windows of what is kept by state version: which version a run sees, who is due when another goes live, and
candidates whose outputs are made of their others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pytest

import motion
from motion import faults
from motion.persistence.changes import building, cascade, followers
from motion.persistence.states import versions
from motion.states.switches import Switcher
from motion.testing.stepper import Stepper
from tests.conftest import OpenStore, until

CALLS: list[tuple[Any, ...]] = []

HELD: dict[int, threading.Event] = {}
"""State -> what its guesses wait for."""


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


@contextmanager
def passing(action: Callable[[str], None]) -> Iterator[None]:
    """Something is done at each fault point."""
    faults.arm(action)
    try:
        yield
    finally:
        faults.arm(None)


@dataclass
class Product:
    id: int
    n: int
    guess: int
    label: int


@dataclass
class Sale:
    id: int
    ts: int
    shop: int
    product: int
    seen: Annotated[int, motion.Lookup("product.guess", by="product")]
    link: str
    vec: int
    before: list[int]
    read: int
    told: list[int]


class Guesser(motion.Component):
    """What version `n` guesses is the same as all others do, where it is a hundred or more."""

    def setup(self) -> int:
        return 1

    @motion.infer(on="product.n", sets="product.guess", refresh="before")
    def guess(self, state: int, n: int) -> int:
        CALLS.append(("guess", state, n))
        if state in HELD:
            assert HELD[state].wait(timeout=60)
        return n if n >= 100 else n * state

    @motion.infer(on="sale.ts", sets="sale.vec", refresh="before")
    def look(
        self,
        state: int,
        id: int,
        guess: Annotated[int, motion.Lookup("product.guess", by="product")],
    ) -> int:
        CALLS.append(("vec", state, id))
        return state + guess

    @motion.infer(on="sale.ts", sets="sale.before", refresh="before")
    def collect(
        self,
        state: int,
        id: int,
        before: Annotated[list[int], motion.Window("sale.vec", by="shop")],
    ) -> list[int]:
        CALLS.append(("before", state, id))
        return [state, *before]

    @motion.infer(on="sale.vec", sets="sale.read", refresh="before")
    def read(self, state: int, vec: int, product: int, store: motion.View) -> int | None:
        row = store.get(Product, product)
        return None if row is None else row.guess

    @motion.fit(on="product.label", promote=motion.manual)
    def fit(self, state: int, rows: list[Product]) -> int:
        return rows[-1].label


@motion.trigger(on="sale.ts", sets="sale.link")
def link(id: int, guess: Annotated[int, motion.Lookup("product.guess", by="product")]) -> str:
    CALLS.append(("link", id))
    return f"/{guess}"


@motion.trigger(on="sale.shop", sets="sale.told")
def tell(
    id: int, vecs: Annotated[list[int], motion.Window("sale.vec", by="shop", rows=2, itself=True)]
) -> list[int]:
    CALLS.append(("told", id))
    return vecs


def opened(open_store: OpenStore, *more: Any) -> motion.Store:
    """Return a store with two versions of the component, of which the first is live, and nobody has called since."""
    store = open_store(
        schemas={"product": Product, "sale": Sale}, triggers=[Guesser(), link, tell, *more]
    )
    store.set_many("product", [{"id": 1, "n": 5, "label": 10}, {"id": 2, "n": 100}])
    sales = [{"id": i, "ts": i, "shop": 1 + i // 4, "product": 1 + i % 2} for i in range(6)]
    store.set_many("sale", sales)
    store.wait(timeout=60)
    store.model("Guesser").fit()
    store.wait(timeout=60)
    return store


def shown(store: motion.Store) -> list[tuple[Any, ...]]:
    store.wait(timeout=60)
    assert not store.errors()
    return rows(store)


def rows(store: motion.Store) -> list[tuple[Any, ...]]:
    return [(r.seen, r.link, r.vec, r.before, r.read, r.told) for r in store.rows(Sale)]


def at_rest(store: motion.Store, but: str) -> bool:
    """Whether nothing is to do but for one trigger."""
    return not any(each.rows for name, each in store.status().triggers.items() if name != but)


@contextmanager
def held(state: int) -> Iterator[Callable[[], None]]:
    """The guesses of a version wait until they are let go."""
    event = HELD[state] = threading.Event()
    try:
        yield event.set
    finally:
        event.set()
        del HELD[state]


def expected(state: int, n: int = 5) -> list[tuple[Any, ...]]:
    guesses = [n if n >= 100 else n * state, 100]
    vecs = [state + guesses[i % 2] for i in range(6)]
    of_shop = [vecs[:4]] * 4 + [vecs[4:]] * 2
    return [
        (
            guesses[i % 2],
            f"/{guesses[i % 2]}",
            vecs[i],
            [state, *of_shop[i][: i % 4]],
            guesses[i % 2],
            of_shop[i][: i % 4 + 1][-2:],
        )
        for i in range(6)
    ]


def called(kind: str, *of: Any) -> list[Any]:
    return sorted(each[-1] for each in CALLS if each[:-1] == (kind, *of))


@pytest.mark.parametrize("at_once", [500, 1])
def test_p14_what_takes_values_by_version_follows_the_one_that_is_live(
    open_store: OpenStore, at_once: int
) -> None:
    with many(at_once):
        store = opened(open_store)
        model = store.model("Guesser")
        assert shown(store) == expected(1)
        model.promote(2).wait(timeout=60)
        assert shown(store) == expected(10)
        store.set("product", id=1, n=7)
        assert shown(store) == expected(10, 7)
        model.rollback().wait(timeout=60)
        assert shown(store) == expected(1, 7)


def test_a_switch_calls_for_what_it_has_changed_and_a_build_once_for_each_row(
    open_store: OpenStore,
) -> None:
    store = opened(open_store)
    assert called("vec", 10) == called("before", 10) == [0, 1, 2, 3, 4, 5]
    CALLS.clear()
    store.model("Guesser").promote(2).wait(timeout=60)
    assert shown(store) == expected(10)
    assert called("link") == [0, 2, 4]  # the other guess is the same
    assert not [each for each in CALLS if len(each) > 2]  # the candidate had all its outputs
    CALLS.clear()
    store.model("Guesser").rollback().wait(timeout=60)
    store.model("Guesser").promote(2).wait(timeout=60)
    assert shown(store) == expected(10)
    assert not [each for each in CALLS if len(each) > 2]


@pytest.mark.parametrize("at_once", [500, 1])
def test_a_candidate_goes_live_with_outputs_that_are_made_of_its_others_as_these_are_now(
    open_store: OpenStore, at_once: int
) -> None:
    with many(at_once):
        store = opened(open_store)
        model = store.model("Guesser")
        # Beside a candidate that has all its outputs, whose guess comes when all that follows from the live one's is made.
        with held(10) as let_go:
            store.set("product", id=1, n=8)
            until(store, lambda: rows(store) == expected(1, 8) and at_rest(store, "Guesser.guess"))
            let_go()
        assert shown(store) == expected(1, 8)
        CALLS.clear()
        model.promote(2).wait(timeout=60)
        assert shown(store) == expected(10, 8)
        assert not [each for each in CALLS if len(each) > 2]
        # In the live version nothing becomes another; in the one to go back to it does.
        store.set("product", id=1, n=400)
        assert shown(store) == expected(10, 400)
        store.set("product", id=1, n=40)
        assert shown(store) == expected(10, 40)
        model.rollback().wait(timeout=60)
        assert shown(store) == expected(1, 40)


def test_p9_no_reader_sees_a_candidates_outputs_made_of_the_live_versions(
    open_store: OpenStore,
) -> None:
    """The vectors of sales are of one version with the guesses that they are made of, at each moment."""
    store = opened(open_store)
    is_over, seen = threading.Event(), set[tuple[int, int]]()

    def look() -> None:
        sql = "SELECT s.vec, p.guess FROM sale s JOIN product p ON p.id = s.product WHERE p.id = 1"
        while not is_over.is_set():
            seen.update((row["vec"], row["guess"]) for row in store.sql(sql).to_pylist())

    reader = threading.Thread(target=look)
    reader.start()
    for version in (2, 1, 2):
        store.model("Guesser").promote(version).wait(timeout=60)
    is_over.set()
    reader.join()
    assert seen <= {(6, 5), (60, 50)}


FAILING: list[Exception] = []
"""What the next calls of a `Fallible` raise."""


class Fallible(motion.Component):
    def setup(self) -> int:
        return 1

    @motion.infer(on="product.n", sets="product.guess", refresh="before", retries=0)
    def guess(self, state: int, n: int) -> int:
        if FAILING:
            raise FAILING.pop()
        return n * state

    @motion.fit(on="product.label", promote=motion.manual)
    def fit(self, state: int, rows: list[Product]) -> int:
        return 10


@pytest.mark.parametrize("taken_back", ["promote", "cancel"])
def test_p14_a_live_version_that_is_to_stay_is_not_built_beside_itself(
    open_store: OpenStore, taken_back: str
) -> None:
    """A row's run for the live version fails, and no other writes there, telling nobody."""
    schemas = {"product": Product, "sale": Sale}
    triggers = [Fallible(), link]
    store = open_store(schemas=schemas, triggers=triggers)
    store.set("product", id=1, n=5, label=1)
    store.set("sale", id=1, ts=1, product=1)
    store.wait(timeout=60)
    store.model("Fallible").fit().wait(timeout=60)
    store.close()
    store = open_store(schemas=schemas, triggers=triggers, run=False)
    with Stepper(store) as worker:
        change = store.model("Fallible").promote(2)
        if taken_back == "cancel":
            change.cancel()
        else:
            store.model("Fallible").promote(1)
        FAILING.append(ValueError("not now"))
        store.set("product", id=1, n=7)
        worker.run_until_idle()
        store.retry()
        worker.run_until_idle()
    store.close()
    store = open_store(schemas=schemas, triggers=triggers)
    store.wait(timeout=60)
    assert store.status().versions["Fallible"] == 1
    assert [(row.seen, row.link) for row in store.rows(Sale)] == [(7, "/7")]


class Steady(motion.Component):
    """The first version guesses the same of everything, so that a change concerns the candidate alone."""

    def setup(self) -> int:
        return 1

    @motion.infer(on="product.n", sets="product.guess", refresh="before")
    def guess(self, state: int, n: int) -> int:
        return n * state if state > 1 else 5

    @motion.infer(on="sale.ts", sets="sale.vec", refresh="before")
    def look(
        self, state: int, guess: Annotated[int, motion.Lookup("product.guess", by="product")]
    ) -> int:
        return guess

    @motion.fit(on="product.label", promote=motion.manual)
    def fit(self, state: int, rows: list[Product]) -> int:
        return 10


@pytest.mark.parametrize("at_once", [500, 1])
@pytest.mark.parametrize("moment", [1, 2])
def test_p9_what_changes_while_a_part_of_a_build_is_chosen_is_made_before_the_switch(
    open_store: OpenStore, at_once: int, moment: int
) -> None:
    schemas = {"product": Product, "sale": Sale}
    store = open_store(schemas=schemas, triggers=[Steady()])
    store.set("product", id=1, n=5, label=1)
    store.set_many("sale", [{"id": i, "ts": 1, "product": 1} for i in range(3)])
    store.wait(timeout=60)
    store.model("Steady").fit().wait(timeout=60)
    store.close()
    store = open_store(schemas=schemas, triggers=[Steady()], run=False)
    building = "select trigger from motion_backfills where kind = 'build'"
    guessing = "select 1 from motion_tasks where trigger = 'Steady.guess'"
    moments: list[str] = []

    def change(point: str) -> None:
        if point != "backfill.chosen":
            return
        if store.sql(building)["trigger"].to_pylist() == ["Steady.look"]:
            moments.append(point)
            if len(moments) == moment:
                store.set("product", id=1, n=7)
                with Stepper(store) as other:
                    while store.sql(guessing).num_rows:
                        assert other.step()

    with many(at_once), Stepper(store) as worker:
        store.model("Steady").promote(2)
        with passing(change):
            worker.run_until_idle()
    store.close()
    assert len(moments) >= moment
    shown: list[list[int]] = []
    is_open = threading.Event()

    def look(point: str) -> None:
        if point == "switch.committed" and is_open.wait(60):
            shown.append([row.vec for row in store.rows(Sale)])

    with passing(look):
        store = open_store(schemas=schemas, triggers=[Steady()])
        is_open.set()
        store.wait(timeout=60)
    assert shown == [[70, 70, 70]]


class Reader(motion.Component):
    def setup(self) -> int:
        return 1

    @motion.infer(on="sale.ts", sets="sale.vec", refresh="before", retries=0)
    def look(self, state: int, n: Annotated[int, motion.Lookup("product.n", by="product")]) -> int:
        if FAILING:
            raise FAILING.pop()
        return n * state

    @motion.fit(on="product.label", promote=motion.manual)
    def fit(self, state: int, rows: list[Product]) -> int:
        return 10


@pytest.mark.parametrize("at_once", [500, 1])
def test_p14_a_sweep_takes_what_is_older_for_the_candidate_than_for_the_live_version(
    open_store: OpenStore, at_once: int
) -> None:
    """A run fails for the live version, and not for the candidate. It is tried again after a change that many look up, and before
    the sweep comes to its row."""
    schemas = {"product": Product, "sale": Sale}
    with many(at_once):
        store = open_store(schemas=schemas, triggers=[Reader()])
        store.set("product", id=1, n=5, label=1)
        store.set_many("sale", [{"id": i, "ts": 1, "product": 1} for i in (1, 2)])
        store.wait(timeout=60)
        store.model("Reader").fit().wait(timeout=60)
        store.close()
        store = open_store(schemas=schemas, triggers=[Reader()], run=False)
        with Stepper(store) as worker:
            store.model("Reader").promote(2)
            FAILING.append(ValueError("not now"))
            store.set("sale", id=1, ts=2)
            worker.run_until_idle()
            store.retry()
            store.set("product", id=1, n=7)
            worker.run_until_idle()
        store.close()
        store = open_store(schemas=schemas, triggers=[Reader()])
        store.wait(timeout=60)
        assert store.status().versions["Reader"] == 2
        assert [row.vec for row in store.rows(Sale)] == [70, 70]


class Taker(motion.Component):
    """Takes the live outputs of another component."""

    def setup(self) -> int:
        return 1

    @motion.infer(on="sale.ts", sets="sale.vec", refresh="before", retries=0)
    def look(
        self, state: int, guess: Annotated[int, motion.Lookup("product.guess", by="product")]
    ) -> int:
        if FAILING:
            raise FAILING.pop()
        return guess * state

    @motion.fit(on="product.label", promote=motion.manual)
    def fit(self, state: int, rows: list[Product]) -> int:
        return 100


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("at_once", [500, 1])
def test_p14_what_a_candidate_takes_of_another_component_is_of_the_switch_before_its_own(
    open_store: OpenStore, at_once: int, is_first: bool
) -> None:
    """A run fails for the live version, and not for the candidate. It is tried again after the other's switch, before what
    follows from this comes to its row; or the candidate could go live before that."""
    schemas, triggers = {"product": Product, "sale": Sale}, [Fallible(), Taker()]
    with many(at_once):
        store = open_store(schemas=schemas, triggers=triggers)
        store.set("product", id=1, n=5, label=1)
        store.set_many("sale", [{"id": i, "ts": 1, "product": 1} for i in (1, 2)])
        store.wait(timeout=60)
        for component in ("Fallible", "Taker"):
            store.model(component).fit().wait(timeout=60)
        store.close()
        store = open_store(schemas=schemas, triggers=triggers, run=False)
        taken, taker = (
            Switcher(store._database, name, threading.Event()) for name in ("Fallible", "Taker")
        )
        with Stepper(store) as worker:
            store.model("Taker").promote(2)
            FAILING.append(ValueError("not now"))
            store.set("sale", id=1, ts=2)
            worker.run_until_idle()
            store.model("Fallible").promote(2)
            worker.run_until_idle()
            store.retry()
            while taken.step():
                pass
            assert store.status().versions == {"Fallible": 2, "Taker": 1}
            while is_first and taker.step():
                pass
            while store.status().versions["Taker"] == 1:
                worker.step() or taker.step()  # neither has to have something to do at each moment
            assert [row.vec for row in store.rows(Sale)] == [5000, 5000]


HAS_BEGUN, MAY_GO_ON = threading.Event(), threading.Event()


@pytest.mark.parametrize("takes", ["lookup", "window", "own key"])
def test_p7_a_run_is_pinned_to_the_version_of_what_it_takes(
    open_store: OpenStore, takes: str
) -> None:
    HAS_BEGUN.clear()
    MAY_GO_ON.clear()
    kinds: dict[str, Any] = {
        "lookup": Annotated[int, motion.Lookup("product.guess", by="product")],
        "window": Annotated[int, motion.Window("sale.vec", by="shop", itself=True, agg="sum")],
        "own key": int,
    }
    given: list[int] = []

    def slow(vec: int) -> str:
        given.append(vec)
        HAS_BEGUN.set()
        MAY_GO_ON.wait(60)
        return f"{vec}"

    slow.__annotations__["vec"] = kinds[takes]
    made = motion.trigger(on="sale.ts", sets="sale.link", name="slow", concurrency=4)(slow)
    store = open_store(schemas={"product": Product, "sale": Sale}, triggers=[Guesser(), made])
    store.set_many("product", [{"id": 1, "n": 5, "label": 10}])
    MAY_GO_ON.set()
    store.set("sale", id=0, ts=0, shop=1, product=1)
    store.wait(timeout=60)
    store.model("Guesser").fit()
    store.wait(timeout=60)
    live = store.get(Sale, 0)
    assert live is not None
    assert store.explain("sale", 0, "link").version == 1
    HAS_BEGUN.clear()
    MAY_GO_ON.clear()
    store.set("sale", id=0, ts=1)
    assert HAS_BEGUN.wait(60)
    before = list(given)
    store.model("Guesser").promote(2)
    until(store, lambda: store.status().versions["Guesser"] == 2, timeout_s=60)
    MAY_GO_ON.set()
    store.wait(timeout=60)
    row = store.get(Sale, 0)
    assert row is not None
    now = {"lookup": 50, "window": 60, "own key": 60}[takes]
    assert before[-1] != now
    assert (row.link, store.explain("sale", 0, "link").version) == (str(now), 2)


def test_what_a_user_gives_and_what_is_gone_is_seen_in_every_version(open_store: OpenStore) -> None:
    store = opened(open_store)
    store.set("product", id=1, guess=77)
    store.wait(timeout=60)
    assert [row.link for row in store.rows(Sale)][:2] == ["/77", "/100"]
    store.model("Guesser").promote(2).wait(timeout=60)
    store.wait(timeout=60)
    assert [(row.link, row.vec) for row in store.rows(Sale)][:2] == [("/77", 87), ("/100", 110)]
    store.delete("product", 1)
    store.wait(timeout=60)
    rows = store.rows(Sale)
    assert [rows[0].link, rows[0].vec, rows[0].seen] == [None, None, None]
    assert [row.told for row in rows][:3] == [[], [110], [110]]
    store.model("Guesser").rollback().wait(timeout=60)
    store.wait(timeout=60)
    assert [(row.vec, row.before) for row in store.rows(Sale)][2:4] == [
        (None, [1, 101]),
        (101, [1, 101]),
    ]


# -- the mean liked vector --


@dataclass
class Shoe:
    id: int
    name: str
    vector: Annotated[np.ndarray, motion.Vector(2)]
    label: int


@dataclass
class Like:
    id: int
    ts: int
    user: int
    shoe: int
    vector: Annotated[np.ndarray, motion.Vector(2)]
    taste: Annotated[np.ndarray, motion.Vector(2)]


class Encoder(motion.Component):
    def setup(self) -> float:
        return 1.0

    @motion.infer(on="shoe.name", sets="shoe.vector")
    def embed(self, state: float, name: str) -> np.ndarray:
        return np.array([len(name), state], np.float32)

    @motion.infer(on="like.shoe", sets="like.vector")
    def look(
        self,
        state: float,
        vector: Annotated[np.ndarray, motion.Lookup("shoe.vector", by="shoe")],
    ) -> np.ndarray:
        return vector

    @motion.infer(on="like.ts", sets="like.taste")
    def mean(
        self,
        state: float,
        vector: Annotated[
            np.ndarray, motion.Window("like.vector", by="user", agg="mean", itself=True)
        ],
    ) -> np.ndarray:
        return vector

    @motion.fit(on="shoe.label", promote=motion.manual)
    def fit(self, state: float, rows: list[Shoe]) -> float:
        return float(rows[-1].label)


def test_the_mean_of_liked_vectors_is_of_one_version_and_searched(open_store: OpenStore) -> None:
    store = open_store(schemas={"shoe": Shoe, "like": Like}, triggers=[Encoder()])
    names = ["a", "abc", "abcde"]
    store.set_many("shoe", [{"id": i, "name": name} for i, name in enumerate(names)])
    store.set_many("like", [{"id": i, "ts": i, "user": 1, "shoe": i} for i in range(3)])
    store.set("shoe", id=0, label=-4)
    store.model("Encoder").fit()
    store.wait(timeout=60)

    def tastes() -> list[list[float]]:
        return [row.taste.tolist() for row in store.rows(Like)]

    assert tastes() == [[1, 1], [2, 1], [3, 1]]
    assert [hit.id for hit in store.search("like.taste", [3, 1], k=1)] == [2]
    store.model("Encoder").promote(2).wait(timeout=60)
    assert tastes() == [[1, -4], [2, -4], [3, -4]]  # at the switch, not after it
    assert [hit.id for hit in store.search("like.taste", [3, -4], k=1)] == [2]
    store.model("Encoder").rollback().wait(timeout=60)
    assert tastes() == [[1, 1], [2, 1], [3, 1]]


# -- refused --


def test_loops_over_versions_are_refused(open_store: OpenStore) -> None:
    class Looper(motion.Component):
        def setup(self) -> int:
            return 1

        @motion.infer(on="product.n", sets="product.guess", refresh="before")
        def guess(
            self, state: int, other: Annotated[int, motion.Lookup("product.label", by="n")]
        ) -> int:
            return other

        @motion.infer(on="product.n", sets="product.label", refresh="before")
        def label(
            self, state: int, other: Annotated[int, motion.Lookup("product.guess", by="n")]
        ) -> int:
            return other

    with pytest.raises(motion.TriggerCycle):
        open_store(schemas={"product": Product}, triggers=[Looper()])


def test_builds_that_fail_beside_what_they_take_hold_a_promotion(open_store: OpenStore) -> None:
    """A row on which the candidate fails keeps it from going live by itself, also where it is made of others."""
    is_broken: list[bool] = []

    class Breaker(motion.Component):
        def setup(self) -> int:
            return 1

        @motion.infer(on="product.n", sets="product.guess", refresh="before")
        def guess(self, state: int, n: int) -> int:
            return n * state

        @motion.infer(on="sale.ts", sets="sale.vec", refresh="before")
        def look(
            self, state: int, guess: Annotated[int, motion.Lookup("product.guess", by="product")]
        ) -> int:
            if state == 10 and guess == 50 and is_broken:
                raise ValueError("no")
            return guess

        @motion.fit(on="product.label", promote=motion.manual)
        def fit(self, state: int, rows: list[Product]) -> int:
            return 10

    store = open_store(schemas={"product": Product, "sale": Sale}, triggers=[Breaker()])
    store.set("product", id=1, n=5, label=1)
    store.set("sale", id=1, ts=1, product=1)
    store.wait(timeout=60)
    is_broken.append(True)
    store.model("Breaker").fit()
    store.wait(timeout=60)
    with pytest.raises(motion.MotionError):
        store.model("Breaker").promote(2).wait(timeout=60)
    row = store.get(Sale, 1)
    assert row is not None
    assert row.vec == 5


@pytest.mark.parametrize("at_once", [500, 1])
@pytest.mark.parametrize("is_candidate", [True, False])
def test_p14_a_users_value_that_is_another_only_in_a_version_beside_is_followed_there(
    open_store: OpenStore, at_once: int, is_candidate: bool
) -> None:
    with many(at_once):
        store = opened(open_store)
        model = store.model("Guesser")
        if not is_candidate:
            model.promote(2).wait(timeout=60)
            model.promote(1).wait(timeout=60)
        store.wait(timeout=60)
        CALLS.clear()
        store.set("product", id=1, guess=5)  # as it is in the live version
        store.wait(timeout=60)
        assert not [each for each in CALLS if each[1:2] != (10,)]
        model.promote(2).wait(timeout=60)
        store.wait(timeout=60)
        rows: list[Any] = [*store.rows(Sale)]
        assert [row.vec for row in rows] == [15, 110, 15, 110, 15, 110]
        assert rows[3].before == [10, 15, 110, 15]
        assert [row.read for row in rows] == [5, 100, 5, 100, 5, 100]


def stepped(open_store: OpenStore) -> motion.Store:
    """Return a store whose first version is live, and the second one has all its outputs; nobody looks after it."""
    store = opened(open_store)
    store.model("Guesser").promote(2).wait(timeout=60)
    store.model("Guesser").promote(1).wait(timeout=60)
    store.close()
    schemas, triggers = {"product": Product, "sale": Sale}, [Guesser(), link, tell]
    return open_store(schemas=schemas, triggers=triggers, run=False)


def test_p14_a_sweep_that_a_switch_overtakes_goes_over_what_that_has_numbered(
    open_store: OpenStore,
) -> None:
    """A row leaves the windows of all versions, and another one is live when the sweep comes."""
    store = stepped(open_store)
    keeper = Switcher(store._database, "Guesser", threading.Event())
    with many(1), Stepper(store) as worker:
        store.delete("sale", 1)
        store.model("Guesser").promote(2)
        while keeper.step():
            pass
        assert store.status().versions["Guesser"] == 2
        worker.run_until_idle()
        before = {row.id: row.before for row in store.rows(Sale)}
        assert before == {0: [10], 2: [10, 60], 3: [10, 60, 60], 4: [10], 5: [10, 60]}


def test_p14_a_switch_that_tells_late_lets_a_sweep_be_for_what_came_since(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row is made after the switch, and before a change that is swept when the switch has put its numbers right."""
    monkeypatch.setattr(versions, "NUMBERED_AT_ONCE", 1)
    store = stepped(open_store)
    keeper = Switcher(store._database, "Guesser", threading.Event())
    with many(1), Stepper(store) as worker:
        store.model("Guesser").promote(2)
        while store.status().versions["Guesser"] != 2:
            assert keeper.step()
        store.set("sale", id=6, ts=2, shop=1, product=2)
        worker.run_until_idle()
        store.set("product", id=1, n=7)
        while [row.vec for row in store.rows(Sale) if row.shop == 1].count(80) < 2:
            assert worker.step()
        while keeper.step():
            pass
        worker.run_until_idle()
        assert {row.id: row.told for row in store.rows(Sale) if row.shop == 1} == {
            0: [80], 1: [80, 110], 2: [110, 80], 3: [110, 110], 6: [80, 110],
        }  # fmt: skip
