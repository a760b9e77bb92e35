"""Labels are whole: copied once a row's own work is done, as a decision saw it where the fit says so, and of rows that were
there before the fit."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

import pytest

import motion
from motion import clock
from motion.testing import Stepper
from tests.conftest import OpenStore

HOUR_MS = 3_600_000

Call = tuple[int, float, float]

begun, may_end = threading.Event(), threading.Event()


@dataclass
class Payment:
    id: int
    ts: int
    card: int
    amount: float
    hour: Annotated[
        float, motion.Window("payment.amount", by="card", within=timedelta(hours=1), agg="sum")
    ]
    ratio: float
    risk: float
    fraud: bool


def seen(rows: list[Payment]) -> dict[str, Any]:
    return {"rows": [[r.id, r.amount, r.hour, r.risk, r.fraud] for r in rows]}


class Scorer(motion.Component):
    """Its state is what its last fit was given; `calls` is the log of its scoring function."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def setup(self) -> dict[str, Any]:
        return {"rows": []}

    @motion.infer(on=("payment.amount", "payment.hour"), sets="payment.risk")
    def score(self, state: dict[str, Any], id: int, amount: float, hour: float) -> float:
        self.calls.append((id, amount, hour))
        return amount / (amount + hour)

    @motion.fit(on="payment.fraud", seen_by="payment.risk")
    def learn(self, state: dict[str, Any], rows: list[Payment]) -> dict[str, Any]:
        return seen(rows)


class Plain(motion.Component):
    """The same without `seen_by`, for two labels each."""

    def setup(self) -> dict[str, Any]:
        return {"rows": []}

    @motion.infer(on=("payment.amount", "payment.hour"), sets="payment.risk")
    def score(self, state: dict[str, Any], amount: float, hour: float) -> float:
        if amount < 0:
            raise ValueError(amount)
        return amount / (amount + hour)

    @motion.fit(on="payment.fraud", every=2)
    def learn(self, state: dict[str, Any], rows: list[Payment]) -> dict[str, Any]:
        return seen(rows)


class Slow(motion.Component):
    """Scores until it may end, without having logged anything."""

    def setup(self) -> dict[str, Any]:
        return {"rows": []}

    @motion.infer(on="payment.amount", sets="payment.risk")
    def score(self, state: dict[str, Any], amount: float, ratio: float | None) -> float:
        begun.set()
        assert may_end.wait(100)
        return amount + (ratio or 0)

    @motion.fit(on="payment.fraud", seen_by="payment.risk")
    def learn(self, state: dict[str, Any], rows: list[Payment]) -> dict[str, Any]:
        return {"rows": [[r.id, r.amount, r.ratio, r.risk] for r in rows]}


@pytest.fixture(autouse=True)
def _own_time() -> Iterator[None]:
    yield
    clock.reset()


def given(store: motion.Store, component: str) -> list[list[Any]]:
    """Return what the last fit was given, in the order of the labels."""
    with store.model(component).live() as (state, _):
        return list(state["rows"])


def fit(store: motion.Store, component: str) -> list[list[Any]]:
    store.wait(timeout=100)
    store.model(component).fit().wait(timeout=100)
    return given(store, component)


def open_with(open_store: OpenStore, component: motion.Component, **options: Any) -> motion.Store:
    return open_store(schemas={"payment": Payment}, triggers=[component], **options)


# -- as a decision saw them --


@pytest.mark.parametrize("seed", [1, 2])
def test_a_fits_rows_are_what_the_scoring_function_saw_when_it_scored(
    open_store: OpenStore, seed: int
) -> None:
    chance, scorer = random.Random(seed), Scorer()
    store = open_with(open_store, scorer)
    first: dict[int, Call] = {}

    def happens(rows: list[dict[str, Any]], *decided: int) -> None:
        """Let something happen, after which the next call for these payments is the decision on them."""
        before = len(scorer.calls)
        store.set_many("payment", rows).wait(timeout=100)
        store.wait(timeout=100)
        for row in decided:
            first[row] = next(call for call in scorer.calls[before:] if call[0] == row)

    for row in range(1, 31):
        ts = row * 300_000
        payment = {"id": row, "ts": ts, "card": row % 3, "amount": float(chance.randrange(1, 90))}
        happens([payment], row)
    for row in range(31, 41):  # they come late
        ts = chance.randrange(30 * 300_000)
        payment = {"id": row, "ts": ts, "card": row % 3, "amount": float(chance.randrange(1, 90))}
        happens([payment], row)
    for row in chance.sample(range(1, 41), 10):  # their amounts are corrected, and so are decisions
        happens([{"id": row, "amount": 100.0 + row}], row)
    store.delete("payment", 40)
    store.wait(timeout=100)
    clock.advance(30 * 24 * 3600)
    labels = {row: chance.random() < 0.5 for row in chance.sample(range(1, 40), 20)}
    for row, fraud in labels.items():
        happens([{"id": row, "fraud": fraud}])
    for row in chance.sample(list(labels), 5):  # labels are corrected, too
        labels[row] = not labels[row]
        happens([{"id": row, "fraud": labels[row]}])
    rows = {row[0]: row for row in fit(store, "Scorer")}
    expected = {
        row: [*first[row], first[row][1] / (first[row][1] + first[row][2]), fraud]
        for row, fraud in labels.items()
    }
    assert rows == expected
    now = {payment.id: payment.hour for payment in store.rows("payment")}
    assert any(now[row] != hour for row, _, hour, *_ in rows.values())  # it was no easy case


def test_what_derives_from_a_window_begins_no_new_decision(open_store: OpenStore) -> None:
    @motion.trigger(on=("payment.amount", "payment.hour"), sets="payment.ratio")
    def ratio(amount: float, hour: float) -> float:
        return hour / amount

    class OnRatio(motion.Component):
        def setup(self) -> dict[str, Any]:
            return {"rows": []}

        @motion.infer(on="payment.ratio", sets="payment.risk")
        def score(self, state: dict[str, Any], ratio: float) -> float:
            return ratio

        @motion.fit(on="payment.fraud", seen_by="payment.risk")
        def learn(self, state: dict[str, Any], rows: list[Payment]) -> dict[str, Any]:
            return seen(rows)

    store = open_store(schemas={"payment": Payment}, triggers=[ratio, OnRatio()])
    for row, amount in ((1, 8.0), (3, 2.0)):
        store.set("payment", id=row, ts=row, card=1, amount=amount)
        store.wait(timeout=100)
    store.set(
        "payment", id=2, ts=2, card=1, amount=4.0
    )  # late: the ratio of 3 changes, and it is scored again
    store.wait(timeout=100)
    now = store.get("payment", 3)
    store.set("payment", id=3, fraud=True)
    assert (now.hour if now else None, fit(store, "OnRatio")) == (12.0, [[3, 2.0, 8.0, 4.0, True]])
    store.set("payment", id=3, amount=3.0)  # its own key: another decision
    store.wait(timeout=100)
    store.set("payment", id=3, fraud=False)
    assert fit(store, "OnRatio") == [[3, 3.0, 12.0, 4.0, False]]


def test_a_key_that_changes_while_it_is_scored_is_in_the_label_as_it_was_read(
    open_store: OpenStore,
) -> None:
    begun.clear()
    may_end.clear()

    store = open_with(open_store, Slow())
    store.set("payment", id=1, amount=5.0, ratio=1.0)
    assert begun.wait(100)
    store.set("payment", id=1, ratio=7.0)  # no `on` key: nothing is called again
    may_end.set()
    store.wait(timeout=100)
    store.set("payment", id=1, fraud=True)
    assert fit(store, "Slow") == [[1, 5.0, 1.0, 6.0]]


def test_a_copy_goes_with_its_row(open_store: OpenStore) -> None:
    store = open_with(open_store, Scorer())
    store.set("payment", id=1, ts=1, card=1, amount=5.0)
    store.wait(timeout=100)
    store.delete("payment", 1)
    store.set("payment", id=1, fraud=True)
    assert fit(store, "Scorer") == [[1, None, None, None, True]]


def test_pages_are_kept_as_the_run_made_them(open_store: OpenStore) -> None:
    @dataclass
    class Query:
        id: int
        text: str
        image: str
        image_page: int
        liked: bool

    class Finder(motion.Component):
        def setup(self) -> dict[str, Any]:
            return {"rows": []}

        @motion.infer(on="query.text", sets="query.image", page="image_page")
        def find(self, state: dict[str, Any], text: str) -> list[str]:
            return [f"{text} {i}" for i in range(3)]

        @motion.fit(on="query.liked", seen_by="query.image")
        def learn(self, state: dict[str, Any], rows: list[Any]) -> dict[str, Any]:
            return {"rows": [[r.image_page, r.text, r.image, r.liked] for r in rows]}

    store = open_store(schemas={"query": Query}, triggers=[Finder()])
    store.set("query", id=1, text="red")
    store.wait(timeout=100)
    store.set("query", id=1, image_page=2, image="my own")  # by a user, after the run
    store.set("query", id=1, image_page=2, liked=True)
    assert fit(store, "Finder") == [[2, "red", "red 2", True]]


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("payment.amount", "no trigger sets"),
        ("payment.rsk", "Did you mean 'risk'"),
        ("other.n", "is no key of 'payment'"),
    ],
)
def test_seen_by_names_a_key_that_a_trigger_sets(open_store: OpenStore, key: str, why: str) -> None:
    @dataclass
    class Other:
        id: int
        n: int

    class Wrong(motion.Component):
        @motion.fit(on="payment.fraud", seen_by=key)
        def learn(self, state: Any, rows: list[Payment]) -> Any: ...

    with pytest.raises(motion.MotionError, match=why):
        open_store(schemas={"payment": Payment, "other": Other}, triggers=[Wrong()])


# -- whole --


def test_a_label_that_is_set_with_its_row_waits_for_what_derives_from_it(
    open_store: OpenStore,
) -> None:
    store = open_with(open_store, Plain(), run=False)
    store.set_many(
        "payment",
        [
            {"id": i, "ts": i, "card": i % 2, "amount": 1.0 + i, "fraud": i % 2 == 0}
            for i in range(1, 100)
        ],
    )
    with Stepper(store) as worker:
        worker.run_until_idle()
    assert store.model("Plain").fit().count == 99
    store.close()
    store = open_with(open_store, Plain())
    store.wait(timeout=100)
    rows = given(store, "Plain")
    assert len(rows) == 99
    assert not [row for row in rows if None in row]


def test_a_fit_that_is_asked_for_begins_with_the_first_label_that_is_whole(
    open_store: OpenStore,
) -> None:
    store = open_with(open_store, Plain(), run=False)
    store.set("payment", id=1, ts=1, card=1, amount=1.0, fraud=True)
    assert store.model("Plain").fit().count == 1
    store.close()
    store = open_with(open_store, Plain())
    store.wait(timeout=100)
    assert given(store, "Plain") == [[1, 1.0, 0.0, 1.0, True]]


def test_what_the_rest_of_a_transaction_sets_is_in_the_label(open_store: OpenStore) -> None:
    store = open_with(open_store, Plain())
    with store.transaction() as tx:
        tx.set("payment", id=1, fraud=True)
        tx.set("payment", id=1, ts=1, card=1, amount=4.0)
        tx.set("payment", id=2, fraud=False, ts=2, card=1, amount=4.0)
    store.wait(timeout=100)
    assert sorted(given(store, "Plain")) == [[1, 4.0, 0.0, 1.0, True], [2, 4.0, 4.0, 0.5, False]]


def test_a_label_of_a_row_whose_work_is_given_up_waits_no_longer(open_store: OpenStore) -> None:
    store = open_with(open_store, Plain())
    store.set("payment", id=1, ts=1, card=1, amount=-1.0, fraud=True)
    store.set("payment", id=2, ts=2, card=2, amount=1.0, fraud=False)
    store.wait(timeout=100)
    assert len(store.errors()) == 1
    assert sorted(given(store, "Plain")) == [[1, -1.0, 0.0, None, True], [2, 1.0, 0.0, 1.0, False]]


def test_a_label_of_a_change_that_is_cancelled_waits_no_longer(open_store: OpenStore) -> None:
    store = open_with(open_store, Plain(), run=False)
    change = store.set("payment", id=1, ts=1, card=1, amount=1.0, fraud=True)
    assert store.model("Plain").status().fits[0].labels == 0
    change.cancel()
    assert store.model("Plain").status().fits[0].labels == 1


def test_a_label_that_is_taken_back_while_it_waits_is_none(open_store: OpenStore) -> None:
    store = open_with(open_store, Plain(), run=False)
    store.set("payment", id=1, ts=1, card=1, amount=1.0, fraud=True)
    store.set("payment", id=2, ts=1, card=2, amount=1.0, fraud=True)
    store.set("payment", id=1, fraud=None)
    store.delete("payment", 2)
    store.set("payment", id=3, ts=1, card=3, amount=1.0, fraud=True)
    with Stepper(store) as worker:
        worker.run_until_idle()
    assert store.model("Plain").fit().count == 1


def test_a_label_waits_for_the_fold_that_its_row_keeps_a_value_of(open_store: OpenStore) -> None:
    @motion.fold(on="payment.amount", by="payment.card", sets="payment.ratio")
    def balance(ratio: float | None, amount: float) -> float:
        return (ratio or 0.0) + amount

    class OnBalance(motion.Component):
        def setup(self) -> dict[str, Any]:
            return {"rows": []}

        @motion.fit(on="payment.fraud")
        def learn(self, state: dict[str, Any], rows: list[Payment]) -> dict[str, Any]:
            return {"rows": [[r.id, r.ratio] for r in rows]}

    store = open_store(schemas={"payment": Payment}, triggers=[balance, OnBalance()], run=False)
    rows = [{"id": i, "ts": i, "card": 1, "amount": 1.0, "fraud": True} for i in range(1, 9)]
    store.set_many("payment", rows)
    with Stepper(store) as worker:
        worker.run_until_idle()
    assert store.model("OnBalance").fit().count == 8
    store.close()
    store = open_store(schemas={"payment": Payment}, triggers=[balance, OnBalance()])
    store.wait(timeout=100)
    assert sorted(given(store, "OnBalance")) == [[i, float(i)] for i in range(1, 9)]


def test_a_fit_that_waits_for_its_first_state_gets_its_labels(open_store: OpenStore) -> None:
    class FromLabels(motion.Component):
        @motion.infer(on="payment.amount", sets="payment.risk")
        def score(self, state: dict[str, Any], amount: float) -> float:
            return amount * float(state["factor"])

        @motion.fit(on="payment.fraud", every=2)
        def learn(self, state: Any, rows: list[Payment]) -> dict[str, Any]:
            return {"factor": len(rows)}

    store = open_with(open_store, FromLabels())
    rows = [{"id": i, "amount": float(i), "fraud": True} for i in (1, 2)]
    store.set_many("payment", rows)
    store.wait(timeout=100)
    assert [row.risk for row in store.rows("payment")] == [2.0, 4.0]


# -- of rows that were there before the fit --


def test_a_fit_that_is_new_takes_the_rows_that_are_there_without_counting_them(
    open_store: OpenStore,
) -> None:
    store = open_store(schemas={"payment": Payment}, triggers=[], run=True)
    rows = [{"id": i, "ts": i, "card": i, "amount": 1.0, "risk": 0.5} for i in range(1, 6)]
    store.set_many("payment", [{**row, "fraud": True} for row in rows[:4]] + rows[4:])
    store.wait(timeout=100)
    store.close()
    store = open_with(open_store, Plain())
    store.wait(timeout=100)
    assert store.model("Plain").status().fits[0].labels == 0
    store.set("payment", id=1, fraud=False)  # set again before a fit: it counts, as any label
    store.wait(timeout=100)
    assert store.model("Plain").status().fits[0].labels == 1
    store.set("payment", id=5, fraud=False)
    store.wait(timeout=100)  # the second one that counts
    assert sorted(given(store, "Plain")) == [
        [1, 1.0, 0.0, 0.5, False],
        *([i, 1.0, 0.0, 0.5, True] for i in (2, 3, 4)),
        [5, 1.0, 0.0, 0.5, False],
    ]


def test_rows_that_were_there_are_labels_once_they_have_their_features(
    open_store: OpenStore,
) -> None:
    store = open_store(schemas={"payment": Payment}, triggers=[], run=True)
    rows = [{"id": i, "ts": i, "card": i, "amount": 1.0, "fraud": True} for i in (1, 2, 3)]
    store.set_many("payment", rows)
    store.wait(timeout=100)
    store.close()
    store = open_with(open_store, Plain())
    store.wait(timeout=100)
    assert store.model("Plain").fit().count == 0  # nothing has scored them yet
    store.backfill("Plain.score").wait(timeout=100)
    store.wait(timeout=100)
    assert store.model("Plain").status().fits[0].labels == 0
    assert sorted(fit(store, "Plain")) == [[i, 1.0, 0.0, 1.0, True] for i in (1, 2, 3)]


def test_p8_with_rows_that_were_there_each_label_is_learned_from_once(
    open_store: OpenStore,
) -> None:
    store = open_store(schemas={"payment": Payment}, triggers=[], run=True)
    store.set_many("payment", [{"id": i, "risk": 0.5, "fraud": True} for i in range(1, 4)])
    store.wait(timeout=100)
    store.close()
    store = open_with(open_store, Plain())
    assert [row[0] for row in fit(store, "Plain")] == [1, 2, 3]
    store.set("payment", id=2, fraud=False)
    assert [row[0] for row in fit(store, "Plain")] == [2]
    store.close()
    store = open_with(open_store, Plain())  # it is not new any more
    assert store.model("Plain").fit().count == 0
