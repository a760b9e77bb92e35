"""Reads by hand that are followed for each state version: `follow=True` with `refresh="before"`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import motion
from tests.across_rows.test_lists_of_versions import many
from tests.conftest import OpenStore, until

CALLS: list[tuple[Any, ...]] = []

MEANWHILE: dict[tuple[int, int], Callable[[], object]] = {}
"""What happens between the read of a run and its end, by its state and its row."""


@pytest.fixture(autouse=True)
def no_calls() -> None:
    CALLS.clear()
    MEANWHILE.clear()


@dataclass
class Product:
    id: int
    n: int
    price: int
    guess: int
    label: int


@dataclass
class Sale:
    id: int
    product: int
    after: int
    total: int
    chain: list[int]
    mixed: str
    label: int


class Guesser(motion.Component):
    """What version `n` guesses is the same as all others do, where it is a hundred or more."""

    def setup(self) -> int:
        return 1

    @motion.infer(on="product.n", sets="product.guess", refresh="before")
    def guess(self, state: int, n: int) -> int:
        CALLS.append(("guess", state, n))
        return n if n >= 100 else n * state

    @motion.infer(on="sale.product", sets="sale.total", refresh="before", follow=True)
    def add_up(self, state: int, id: int, product: int, store: motion.View) -> int | None:
        CALLS.append(("total", state, id))
        found = store.get(Product, product, keys=("guess", "price"))
        MEANWHILE.pop((state, id), int)()
        if found is None or found.guess is None:
            return None
        return state + found.guess + (found.price or 0)

    @motion.infer(on="sale.after", sets="sale.chain", refresh="before", follow=True)
    def go_along(self, state: int, id: int, after: int, store: motion.View) -> list[int]:
        CALLS.append(("chain", state, id))
        before = store.get(Sale, after, keys=("chain", "total"))
        if before is None:
            return [state]
        return [*(before.chain or []), before.total or 0][-4:]

    @motion.fit(on="product.label", promote=motion.manual)
    def fit(self, state: int, rows: list[Product]) -> int:
        return rows[-1].label


class Mixer(motion.Component):
    """It is made of the live outputs of another component."""

    def setup(self) -> int:
        return 1

    @motion.infer(on="sale.product", sets="sale.mixed", refresh="before", follow=True)
    def mix(self, state: int, id: int, product: int, store: motion.View) -> str:
        CALLS.append(("mixed", state, id))
        found = store.get(Product, product, keys=("guess",))
        return f"{state} {found and found.guess}"

    @motion.fit(on="sale.label", promote=motion.manual)
    def fit(self, state: int, rows: list[Sale]) -> int:
        return 20


SCHEMAS = {"product": Product, "sale": Sale}
SALES = {1: (1, 0), 2: (2, 1), 3: (3, 2), 4: (1, 3), 5: (9, 4)}
"""Sale -> its product, and the sale before it."""


def opened(open_store: OpenStore, *of: str) -> motion.Store:
    """Return a store with two versions of components, of which the first is live, and nobody has called since."""
    store = open_store(schemas=SCHEMAS, triggers=[Guesser(), Mixer()])
    rows = [{"id": 1, "n": 5, "label": 10}, {"id": 2, "n": 100}, {"id": 3, "n": 6}]
    store.set_many("product", rows)
    sales = [{"id": id, "product": p, "after": a} for id, (p, a) in SALES.items()]
    store.set_many("sale", sales)
    store.set("sale", id=1, label=1)
    store.wait(timeout=60)
    for name in of or ("Guesser",):
        store.model(name).fit()
        store.wait(timeout=60)
    return store


def shown(store: motion.Store) -> dict[int, tuple[Any, ...]]:
    store.wait(timeout=60)
    assert not store.errors()
    assert not any(each.stale for each in store.status().triggers.values())
    return {row.id: (row.total, row.chain, row.mixed) for row in store.rows(Sale)}


def expected(
    state: int, mixer: int = 1, sales: Any = SALES, prices: Any = (), **numbers: int | None
) -> dict[int, tuple[Any, ...]]:
    """Return what all is, of products whose `n` is given as `p1=5`; None: the product is gone."""
    given = {"p1": 5, "p2": 100, "p3": 6} | numbers
    guesses = {
        int(name[1:]): n if n >= 100 else n * state for name, n in given.items() if n is not None
    }
    found: dict[int, tuple[Any, ...]] = {}
    for id, (product, after) in sales.items():
        guess = guesses.get(product)
        total = None if guess is None else state + guess + dict(prices).get(product, 0)
        before = found.get(after)
        chain = [*before[1], before[0] or 0][-4:] if before else [state]
        found[id] = (total, chain, f"{mixer} {guess}")
    return found


def called(kind: str, state: int) -> list[int]:
    return sorted(each[-1] for each in CALLS if each[:-1] == (kind, state))


def follows(store: motion.Store) -> list[int]:
    """Return the slots by which it is kept what was read."""
    sql = "select distinct row from motion_follows where trigger like '%add_up'"
    return sorted(store.sql(sql)["row"].to_pylist())


# -- what changes --


@pytest.mark.parametrize("at_once", [500, 1])
def test_p14_what_was_read_is_followed_for_the_version_that_is_live(
    open_store: OpenStore, at_once: int
) -> None:
    with many(at_once):
        store = opened(open_store, "Guesser", "Mixer")
        guesser, mixer = store.model("Guesser"), store.model("Mixer")
        assert shown(store) == expected(1)
        store.set("product", id=1, n=7)
        store.set("product", id=3, price=3)
        assert shown(store) == expected(1, p1=7, prices={3: 3})
        guesser.promote(2).wait(timeout=60)
        assert shown(store) == expected(10, p1=7, prices={3: 3})
        mixer.promote(2).wait(timeout=60)
        assert shown(store) == expected(10, 20, p1=7, prices={3: 3})
        store.set("product", id=3, price=4)
        store.set("product", id=1, n=8)
        store.set("product", id=9, n=9)  # which was asked for when it was not there
        assert shown(store) == expected(10, 20, p1=8, p9=9, prices={3: 4})
        guesser.rollback().wait(timeout=60)
        assert shown(store) == expected(1, 20, p1=8, p9=9, prices={3: 4})
        store.delete("product", 1)
        mixer.rollback().wait(timeout=60)
        assert shown(store) == expected(1, p1=None, p9=9, prices={3: 4})
        guesser.promote(2).wait(timeout=60)
        store.set("product", id=1, n=50)
        assert shown(store) == expected(10, p1=50, p9=9, prices={3: 4})


def test_a_change_calls_for_the_versions_that_have_read_it_each_once(
    open_store: OpenStore,
) -> None:
    store = opened(open_store)
    CALLS.clear()
    store.set("product", id=3, price=3)
    assert shown(store) == expected(1, prices={3: 3})
    model = store.model("Guesser")
    model.promote(2).wait(timeout=60)
    assert shown(store) == expected(10, prices={3: 3})
    assert called("total", 1) == called("total", 10) == [3]
    CALLS.clear()
    store.set("product", id=3, price=4)
    assert shown(store) == expected(10, prices={3: 4})
    assert called("total", 10) == [3]
    assert not called("total", 1)  # until it is gone back to
    model.rollback().wait(timeout=60)
    assert shown(store) == expected(1, prices={3: 4})
    assert called("total", 1) == [3]


def test_a_switch_calls_for_readers_of_other_components_alone(open_store: OpenStore) -> None:
    store = opened(open_store, "Guesser", "Mixer")
    shown(store)
    CALLS.clear()
    store.model("Guesser").promote(2).wait(timeout=60)
    assert shown(store) == expected(10)
    assert called("mixed", 1) == called("mixed", 20) == [1, 3, 4]  # the other guess is the same
    assert {each[0] for each in CALLS} == {"mixed"}


def test_a_build_calls_for_what_follows_last(open_store: OpenStore) -> None:
    class Early(motion.Component):
        def setup(self) -> int:
            return 1

        @motion.infer(on="sale.product", sets="sale.total", refresh="before", follow=True)
        def add_up(self, state: int, id: int, product: int, store: motion.View) -> int:
            CALLS.append(("total", state, id))
            found = store.get(Product, product, keys=("guess",))
            return (found and found.guess) or 0

        @motion.infer(on="product.n", sets="product.guess", refresh="before")
        def guess(self, state: int, n: int) -> int:
            return n * state

        @motion.fit(on="product.label", promote=motion.manual)
        def fit(self, state: int, rows: list[Product]) -> int:
            return 10

    store = open_store(schemas=SCHEMAS, triggers=[Early()])
    store.set_many("product", [{"id": i, "n": i, "label": 1} for i in range(1, 50)])
    store.set_many("sale", [{"id": i, "product": i} for i in range(1, 50)])
    store.wait(timeout=60)
    model = store.model("Early")
    model.fit().wait(timeout=60)
    model.promote(2).wait(timeout=60)
    store.wait(timeout=60)
    assert called("total", 10) == [*range(1, 50)]
    assert [row.total for row in store.rows(Sale)] == [10 * i for i in range(1, 50)]


def test_what_a_live_run_gives_concerns_readers_of_its_version_alone(open_store: OpenStore) -> None:
    store = opened(open_store)
    model = store.model("Guesser")
    model.promote(2).wait(timeout=60)
    shown(store)
    CALLS.clear()
    for n in (7, 5):
        store.set("product", id=1, n=n)
        shown(store)
    assert called("total", 10) == [1, 1, 4, 4]
    model.rollback().wait(timeout=60)
    assert shown(store) == expected(1)
    assert not called("total", 1)  # there it is what it was


@pytest.mark.parametrize("at_once", [500, 1])
def test_what_a_candidate_alone_has_read_is_followed_by_it_alone(
    open_store: OpenStore, at_once: int
) -> None:
    @dataclass
    class Item:
        id: int
        n: int
        value: int
        label: int

    class Picker(motion.Component):
        def setup(self) -> int:
            return 1

        @motion.infer(on="item.n", sets="item.value", refresh="before", follow=True)
        def pick(self, state: int, id: int, n: int, store: motion.View) -> int:
            CALLS.append(("pick", state, id))
            other = store.get(Item, 100 * state + n, keys=("n",))
            return other.n if other else 0

        @motion.fit(on="item.label", promote=motion.manual)
        def fit(self, state: int, rows: list[Item]) -> int:
            return 2

    with many(at_once):
        store = open_store(schemas={"item": Item}, triggers=[Picker()])
        store.set_many("item", [{"id": i, "n": 1} for i in (1, 2, 101, 201)])
        store.set("item", id=1, label=1)
        store.wait(timeout=60)
        store.model("Picker").fit().wait(timeout=60)
        store.wait(timeout=60)
        CALLS.clear()
        store.set("item", id=201, n=7)
        store.model("Picker").promote(2).wait(timeout=60)
        store.wait(timeout=60)
        assert [store.get(Item, i).value for i in (1, 2)] == [7, 7]  # type: ignore[union-attr]  # they are there
        assert called("pick", 1) == [201]
        CALLS.clear()
        store.set("item", id=101, n=9)
        store.wait(timeout=60)
        assert called("pick", 2) == [101]
        store.model("Picker").rollback().wait(timeout=60)
        store.wait(timeout=60)
        assert [store.get(Item, i).value for i in (1, 2)] == [9, 9]  # type: ignore[union-attr]  # they are there


@pytest.mark.parametrize("at_once", [500, 1])
def test_what_users_give_is_seen_by_readers_of_every_version(
    open_store: OpenStore, at_once: int
) -> None:
    with many(at_once):
        store = opened(open_store)
        model = store.model("Guesser")
        store.set("product", id=3, guess=777)
        assert shown(store) == expected(1, p3=777)
        model.promote(2).wait(timeout=60)
        assert shown(store) == expected(10, p3=777)
        store.set("product", id=3, n=5)  # ends the user's
        assert shown(store) == expected(10, p3=5)
        store.set("product", id=3, guess=50)  # as it is in this version, and in no other
        assert shown(store) == expected(10, p3=5)
        model.rollback().wait(timeout=60)
        assert {row.id: row.total for row in store.rows(Sale)}[3] == 51
        store.set("sale", id=3, total=1)  # of a row that follows: it stays
        store.set("product", id=3, price=1)
        store.wait(timeout=60)
        model.promote(2).wait(timeout=60)
        store.wait(timeout=60)
        assert {row.id: row.total for row in store.rows(Sale)}[3] == 1


# -- between the read and the commit --


@pytest.mark.parametrize("of_state", [1, 10])
def test_a_result_of_what_has_changed_meanwhile_is_dropped_in_whatever_version(
    open_store: OpenStore, of_state: int
) -> None:
    store = opened(open_store)
    shown(store)
    CALLS.clear()

    def change() -> None:
        other = threading.Thread(target=lambda: store.set("product", id=1, price=8))
        other.start()
        other.join()

    MEANWHILE[of_state, 1] = change
    store.set("product", id=1, price=7)
    store.wait(timeout=60)
    until(store, lambda: not MEANWHILE)
    assert shown(store) == expected(1, prices={1: 8})
    store.model("Guesser").promote(2).wait(timeout=60)
    assert shown(store) == expected(10, prices={1: 8})
    assert called("total", of_state).count(1) == 2


# -- loops --


class Circle(motion.Component):
    """Rows that follow each other, to rest in the first version alone."""

    def setup(self) -> int:
        return 0

    @motion.infer(on="sale.after", sets="sale.total", refresh="before", follow=True, retries=0)
    def go_round(self, state: int, after: int, store: motion.View) -> int:
        found = store.get(Sale, after, keys=("total",))
        return ((found and found.total) or 0) + state

    @motion.fit(on="sale.label", promote=motion.manual)
    def fit(self, state: int, rows: list[Sale]) -> int:
        return 1


@pytest.mark.parametrize(
    ("at_once", "depth"), [(500, 50), (0, 5)], ids=["in the write", "begun anew"]
)
def test_a_candidate_whose_rows_go_in_a_circle_without_end_is_stopped_and_told(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch, at_once: int, depth: int
) -> None:
    monkeypatch.setattr("motion.persistence.changes.cascade.MAX_DEPTH", depth)
    with many(at_once):
        store = open_store(schemas={"sale": Sale}, triggers=[Circle()])
        store.set_many("sale", [{"id": 1, "after": 2}, {"id": 2, "after": 1}])
        store.set("sale", id=1, label=1)
        store.wait(timeout=60)
        assert [row.total for row in store.rows(Sale)] == [0, 0]
        store.model("Circle").fit().wait(timeout=120)
        with pytest.raises(motion.MotionError, match="by what it follows"):
            store.model("Circle").promote(2).wait(timeout=120)
        assert [row.total for row in store.rows(Sale)] == [0, 0]


# -- own writes --


@dataclass
class Total:
    id: str
    n: int


class Counter(motion.Component):
    def setup(self) -> int:
        return 1

    @motion.infer(on="sale.product", sets="sale.total", refresh="before", follow=True)
    def count(self, state: int, id: int, product: int, store: motion.View) -> int:
        CALLS.append(("count", state, id))
        total = store.get(Total, "all", keys=("n",))
        n = total.n if total else 0
        if n < 10 and id == 1:
            store.set("total", id="all", n=n + 1)
        return state * n

    @motion.fit(on="sale.label", promote=motion.manual)
    def fit(self, state: int, rows: list[Sale]) -> int:
        return 100


@pytest.mark.parametrize("at_once", [500, 0])
def test_what_a_live_run_writes_makes_its_row_due_in_other_versions_alone(
    open_store: OpenStore, at_once: int
) -> None:
    with many(at_once):
        store = open_store(schemas={"sale": Sale, "total": Total}, triggers=[Counter()])
        store.set_many("sale", [{"id": i, "product": 1} for i in (1, 2, 3)])
        store.wait(timeout=60)
        assert called("count", 1).count(1) == 1
        assert [row.total for row in store.rows(Sale)] == [0, 1, 1]
        store.set("sale", id=1, label=1)
        store.model("Counter").fit().wait(timeout=60)
        store.wait(timeout=60)
        assert [row.n for row in store.rows(Total)] == [1]  # what a candidate writes goes nowhere
        store.set("sale", id=1, product=2)
        store.wait(timeout=60)
        assert [row.total for row in store.rows(Sale)] == [1, 2, 2]
        assert called("count", 1).count(1) == 2
        store.model("Counter").promote(2).wait(timeout=60)
        store.wait(timeout=60)
        assert [row.total for row in store.rows(Sale)] == [200, 200, 200]


# -- what is kept --


def test_what_a_version_has_read_goes_with_its_outputs(open_store: OpenStore) -> None:
    store = opened(open_store)
    shown(store)
    rows = [slot & (1 << 40) - 1 for slot in follows(store)]
    assert rows == 2 * [1, 2, 3, 4, 5]
    store.delete("sale", 5)
    shown(store)
    assert [slot >> 40 for slot in follows(store)] == 4 * [1] + 4 * [2]
    model = store.model("Guesser")
    store.set("product", id=1, label=30)
    model.fit().wait(timeout=60)  # the one before is superseded, once this one is a candidate
    store.wait(timeout=60)
    model.promote(3).wait(timeout=60)
    shown(store)
    assert {slot >> 40 for slot in follows(store)} == {1, 3}
    assert [each.keys for each in store.explain("sale", 1, "total").follows] == [("guess", "price")]


def test_a_version_of_which_a_part_is_deleted_is_right_to_go_back_to(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(open_store)
    model = store.model("Guesser")
    shown(store)
    monkeypatch.setattr("motion.states.promotion.FORGOTTEN_AT_ONCE", 2)
    kept: list[int] = []

    def stop(*args: Any) -> int:
        kept.append(1)
        return deleted(*args) if len(kept) == 1 else 0

    deleted = motion.states.promotion._forget_outputs  # type: ignore[attr-defined]  # a part of the store
    monkeypatch.setattr("motion.states.promotion._forget_outputs", stop)
    monkeypatch.setattr(Guesser, "keep_outputs", 0)
    model.promote(2).wait(timeout=60)
    shown(store)
    store.set("product", id=1, price=1)
    store.set("product", id=3, price=2)
    assert shown(store) == expected(10, prices={1: 1, 3: 2})
    model.promote(1).wait(timeout=60)
    assert shown(store) == expected(1, prices={1: 1, 3: 2})


def adding(refresh: Any) -> Any:
    class Adder(motion.Component):
        def setup(self) -> int:
            return 1

        @motion.infer(on="sale.product", sets="sale.total", refresh=refresh, follow=True)
        def add(self, state: int, product: int, store: motion.View) -> int:
            found = store.get(Product, product, keys=("price",))
            return state + ((found and found.price) or 0)

        @motion.fit(on="sale.label", promote=motion.always)
        def fit(self, state: int, rows: list[Sale]) -> int:
            return 10

    return Adder()


def test_what_was_read_moves_with_the_outputs_where_refresh_is_another(
    open_store: OpenStore,
) -> None:
    def reopened(refresh: str) -> motion.Store:
        if stores:
            stores.pop().close()
        stores.append(open_store(schemas=SCHEMAS, triggers=[adding(refresh)]))
        stores[0].backfill("Adder.add").wait(timeout=60)
        return stores[0]

    def totals(price: int) -> set[int]:
        stores[0].set("product", id=1, price=price)
        stores[0].wait(timeout=60)
        return {row.total for row in stores[0].rows(Sale)}

    stores: list[motion.Store] = []
    store = reopened("never")
    store.set_many("sale", [{"id": i, "product": 1, "label": 1} for i in (1, 2, 3)])
    store.wait(timeout=60)
    assert totals(1) == {2}
    reopened("before")
    assert totals(2) == {3}
    stores[0].model("Adder").fit().wait(timeout=60)
    until(stores[0], lambda: stores[0].status().versions["Adder"] == 2)
    assert totals(3) == {13}
    reopened("never")
    assert totals(4) == {14}
    reopened("before")
    assert totals(5) == {15}


def test_a_sample_is_measured_on_what_it_reads_whole(open_store: OpenStore) -> None:
    class Gated(motion.Component):
        def setup(self) -> int:
            return 1

        @motion.infer(on="product.n", sets="product.guess", refresh="before")
        def guess(self, state: int, n: int) -> int:
            return n * state

        @motion.infer(on="sale.product", sets="sale.total", refresh="before", follow=True)
        def add_up(self, state: int, product: int, store: motion.View) -> int:
            found = store.get(Product, product, keys=("guess",))
            return (found and found.guess) or 0

        @motion.fit(on="product.label", promote=motion.if_better("score"), gate_on=2)
        def fit(self, state: int, rows: list[Product]) -> int:
            return 10

        def evaluate(self, state: int, rows: list[Product], store: motion.View) -> dict[str, float]:
            totals = {row.id: row.total for row in store.rows(Sale) if row.total is not None}
            assert totals, state
            assert totals == {id: state * (50 - id) for id in totals}
            return {"score": state}

    store = open_store(schemas=SCHEMAS, triggers=[Gated()])
    store.set_many("product", [{"id": i, "n": i} for i in range(1, 50)])
    store.set_many("sale", [{"id": i, "product": 50 - i} for i in range(1, 50)])
    store.set("product", id=1, label=1)
    store.wait(timeout=60)
    store.model("Gated").fit().wait(timeout=60)
    until(store, lambda: store.status().versions["Gated"] == 2)
    store.wait(timeout=60)
    assert [row.total for row in store.rows(Sale)] == [10 * (50 - i) for i in range(1, 50)]
