"""What is told of lookups, windows and folds: typical mistakes are refused at once, and what failed is named as its user knows it."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from typing import Annotated, Any

import pytest

import motion
from motion import Lookup, Window
from tests.conftest import OpenStore

BY_USER, BY_SHOP = Lookup("order.n", by="user"), Lookup("order.n", by="shop")


@dataclass
class Order:
    id: int
    user: int
    shop: int
    n: int
    made: int


@dataclass
class Total:
    id: int
    sum: int


SCHEMAS = {"order": Order, "total": Total}

PASSED_OVER = [
    ([BY_USER, BY_SHOP], r"it has Lookup\(.*user.*\) and Lookup\(.*shop.*\); keep one of them"),
    ([BY_USER, Window("order.n", by="user")], r"it has Lookup\(.*\) and Window\(.*\); keep one"),
    ([Lookup], r'motion\.Lookup needs its values, such as motion\.Lookup\("user\.name", by='),
    ([Window], r'motion\.Window needs its values, such as motion\.Window\("payment\.amount", by='),
]


def annotated(kind: Any, extras: list[Any]) -> Any:
    for extra in extras:
        kind = Annotated[kind, extra]
    return kind


def opened_with(open_store: OpenStore, key: str, kind: Any) -> motion.Store:
    """Open a store whose table of orders has one more key, or one of another type."""
    keys = {field.name: int for field in dataclasses.fields(Order)} | {key: kind}
    return open_store(schemas={"order": dataclasses.make_dataclass("Order", keys.items())})


@pytest.mark.parametrize(
    ("extras", "says"),
    [
        *PASSED_OVER,
        ([motion.Ref], r'motion\.Ref needs its values, such as motion\.Ref\("user"\)'),
        (
            [motion.Ref("order"), motion.Ref("order", delete=True)],
            r"it has Ref.*; keep one of them",
        ),
    ],
)
@pytest.mark.parametrize("kind", [int, int | None])
def test_nothing_beside_a_keys_type_is_passed_over(
    open_store: OpenStore, kind: Any, extras: list[Any], says: str
) -> None:
    with pytest.raises(motion.SchemaError, match=f"table 'order', key 'held': {says}"):
        opened_with(open_store, "held", annotated(kind, extras))


@pytest.mark.parametrize(("extras", "says"), PASSED_OVER)
def test_nothing_beside_a_parameters_type_is_passed_over(
    open_store: OpenStore, extras: list[Any], says: str
) -> None:
    def make(held: Any) -> int:
        return 1

    make.__annotations__["held"] = annotated(int, extras)
    trigger = motion.trigger(on="order.n", sets="order.made")(make)
    with pytest.raises(motion.TriggerError, match=f"trigger 'make', parameter 'held': {says}"):
        open_store(schemas=SCHEMAS, triggers=[trigger])


def test_what_names_a_row_is_not_kept_from_others(open_store: OpenStore) -> None:
    with pytest.raises(motion.SchemaError, match=r"order\.id .* names the row"):
        opened_with(open_store, "id", Annotated[int, BY_USER])


def test_a_loop_of_a_key_with_itself_names_it_twice(open_store: OpenStore) -> None:
    with pytest.raises(motion.TriggerCycle, match=r"in a loop: order\.made -> order\.made\."):
        opened_with(open_store, "made", Annotated[int, Lookup("order.made", by="user")])


def test_a_number_that_is_refused_is_told_the_bounds(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS)
    store.set("order", id=1, n=-(2**63) + 1)
    with pytest.raises(motion.InvalidValue, match=r"from -\(2\*\*63 - 1\) to 2\*\*63 - 1"):
        store.set("order", id=1, n=-(2**63))
    assert store.get("order", 1).n == -(2**63) + 1


def test_a_dead_letter_names_inputs_as_the_function_does(open_store: OpenStore) -> None:
    @motion.trigger(on="order.n", sets="order.made")
    def make(
        n: int,
        others: Annotated[list[int], Window("order.n", by="user")],
        looked_up: Annotated[int | None, BY_SHOP],
    ) -> int:
        raise ValueError("no")

    store = open_store(schemas=SCHEMAS, triggers=[make])
    store.set("order", id=1, user=1, shop=9, n=3)
    store.wait(timeout=60)
    assert [each.inputs for each in store.errors()] == ["n=3, others=[], looked_up=None"]


def test_the_log_names_the_row_that_a_fold_has_given_up(
    open_store: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    @motion.fold(on="order.n", by="order.user", sets="total.sum")
    def add(sum: int | None, n: int) -> int:
        if n == 5:
            raise ValueError("five")
        return (sum or 0) + n

    store = open_store(schemas=SCHEMAS, triggers=[add])
    with caplog.at_level(logging.WARNING):
        store.set_many("order", [{"id": 10 + n, "user": 7, "n": n} for n in (4, 5, 6)])
        store.wait(timeout=60)
    assert [each.row for each in store.errors()] == ["id=15"]
    assert "the first: order id=15: ValueError: five" in caplog.text
    assert store.get("total", 7).sum == 10
