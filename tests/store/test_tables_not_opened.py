"""A process that opens only some tables: what other tables take of these follows what it writes, too."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import pytest

import motion
from tests.conftest import OpenStore, environment_of


class Kind(Enum):
    PLAIN = 1
    FANCY = 2


@dataclass
class Product:
    id: int
    ts: int
    shop: str
    kind: Kind
    cost: int
    price: int


@dataclass
class Offer:
    """What looks products up, holds them in windows, and reads them by hand."""

    id: int
    ts: int
    product: int
    shop: str
    price: int
    by_cost: str
    prices: list[int]
    fancy: int
    read: int
    kept: Annotated[int, motion.Lookup("product.price", by="product")]
    kinds: Annotated[list[Kind], motion.Window("product.kind", by=("shop", "product.shop"))]


@dataclass
class Label:
    """What has pages of what it looks up."""

    id: int
    product: int
    kept: Annotated[int, motion.Lookup("product.price", by="product")]
    tag: str
    tag_page: int
    loud: str


@dataclass
class Shop:
    id: str
    total: int


@motion.trigger(on="product.cost", sets="product.price")
def price_of(cost: int) -> int:
    return cost + 1


@motion.trigger(on="offer.product", sets="offer.price")
def looked_up(price: Annotated[int, motion.Lookup("product.price", by="product")]) -> int:
    return price


@motion.trigger(on="offer.ts", sets="offer.by_cost")
def found(shop: Annotated[str, motion.Lookup("product.shop", by="ts", to="product.cost")]) -> str:
    return shop


@motion.trigger(on="offer.shop", sets="offer.prices")
def held(
    prices: Annotated[list[int], motion.Window("product.price", by=("shop", "product.shop"))],
) -> list[int]:
    return prices


@motion.trigger(on="offer.shop", sets="offer.fancy")
def narrowed(
    prices: Annotated[
        int,
        motion.Window(
            "product.price", by=("shop", "product.shop"), agg="sum", where={"kind": Kind.FANCY}
        ),
    ],
) -> int:
    return prices


@motion.trigger(on="offer.product", sets="offer.read", follow=True)
def read(product: int, store: motion.View) -> int | None:
    row = store.get(Product, product, keys=("price",))
    return row.price if row else None


@motion.fold(on="product.price", by="product.shop", sets="shop.total")
def total(total: int | None, price: int) -> int:
    return (total or 0) + price


@motion.trigger(on="label.kept", sets="label.tag", page="tag_page")
def tags(kept: int) -> list[str]:
    return [f"{kept}", "x" * (kept % 3)]


@motion.trigger(on="label.tag", sets="label.loud")
def loud(tag: str) -> str:
    return tag.upper()


TABLES: dict[str, type] = {"product": Product, "offer": Offer, "label": Label, "shop": Shop}
TRIGGERS: Sequence[Any] = (
    price_of, looked_up, found, held, narrowed, read, total, tags, loud
)  # fmt: skip

PRODUCTS = [
    {"id": i, "ts": 10 * i, "shop": "ab"[i % 2], "kind": Kind.PLAIN, "cost": i} for i in range(1, 7)
]
OFFERS = [{"id": i, "ts": 9 * i, "product": i, "shop": "ab"[i % 2]} for i in range(1, 9)]
LABELS = [{"id": i, "product": i} for i in range(1, 9)]


def shown(store: motion.Store) -> list[Any]:
    """Return all rows, but for when those of no time of their own were made."""
    return [vars(row) for table in TABLES for row in store.rows(table)]


def recomputed(store: motion.Store, open_store: OpenStore) -> list[Any]:
    """Return what a new store has that is given what was given to this one."""
    given: list[dict[str, Any]] = [
        {key: vars(row)[key] for key in ("id", "ts", "shop", "kind", "cost")}
        for row in store.rows("product")
    ]
    with open_store("anew", schemas=TABLES, triggers=TRIGGERS) as other:
        other.set_many("offer", OFFERS)
        other.set_many("label", LABELS)
        other.set_many("shop", [{"id": row.id} for row in store.rows("shop")])
        other.set_many("product", given)
        other.wait(timeout=60)
        return shown(other)


@pytest.fixture
def whole(open_store: OpenStore) -> None:
    with open_store(schemas=TABLES, triggers=TRIGGERS) as store:
        store.set_many("offer", OFFERS)
        store.set_many("label", LABELS)
        store.set_many("product", PRODUCTS)
        store.wait(timeout=60)


def _in_a_transaction(store: motion.Store) -> None:
    with store.transaction() as tx:
        tx.set("product", id=1, price=50)
        tx.delete("product", 3)
        tx.set("product", id=1, cost=7)


def _made_again(store: motion.Store) -> None:
    store.delete("product", 2)
    store.set("product", id=2, ts=20, shop="b", kind=Kind.FANCY, cost=9)


WRITES: dict[str, Callable[[motion.Store], object]] = {
    "set": lambda store: store.set("product", id=2, cost=90),
    "moved": lambda store: store.set("product", id=2, shop="b", ts=7),
    "narrowed": lambda store: store.set("product", id=4, kind=Kind.FANCY),
    "new": lambda store: store.set("product", id=8, ts=5, shop="a", kind=Kind.FANCY, cost=6),
    "many": lambda store: store.set_many("product", [{"id": i, "cost": i * i} for i in (1, 2, 9)]),
    "pruned": lambda store: store.set_many(
        "product", [{"id": 2, "shop": "a"}, {"id": 4, "shop": "a"}], prune="shop"
    ),
    "unset": lambda store: store.set("product", id=2, cost=None),
    "deleted": lambda store: store.delete("product", 2),
    "made again": _made_again,
    "in a transaction": _in_a_transaction,
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_what_is_written_without_the_tables_that_take_it_is_followed(
    open_store: OpenStore, whole: None, write: Callable[[motion.Store], object]
) -> None:
    with open_store(schemas={"product": Product}) as some:
        write(some)
    with open_store(schemas=TABLES, triggers=TRIGGERS) as store:
        store.wait(timeout=60)
        assert shown(store) == recomputed(store, open_store)
        assert not store.errors()


def test_the_writer_is_told_what_follows_and_can_wait_for_it(
    open_store: OpenStore, whole: None
) -> None:
    with open_store(schemas={"product": Product}) as some:
        change = some.set("product", id=2, cost=90)
        assert change.progress.remaining > 0
        with pytest.raises(motion.UnknownTable, match="without its schema"):
            some.set("offer", id=1)
        key = change.key
    with open_store(schemas=TABLES, triggers=TRIGGERS) as store:
        assert store.change(key).wait(timeout=60).progress.remaining == 0
        assert store.get(Offer, 2).price == 91  # type: ignore[union-attr]


def test_rows_that_go_with_what_is_forgotten_in_a_table_not_opened_are_followed(
    open_store: OpenStore, whole: None
) -> None:
    with (
        open_store(schemas={"product": Product}, run=True) as some,
        pytest.raises(motion.WaitTimeout),  # who has the code is not there
    ):
        some.forget("product", 2, timeout=0.01)
    with open_store(schemas=TABLES, triggers=TRIGGERS) as store:
        store.wait(timeout=60)
        assert shown(store) == recomputed(store, open_store)


@dataclass
class Part:
    id: int
    product: Annotated[int, motion.Ref("product", delete=True)]


@motion.trigger(on="product.cost", sets="shop")
def shop_of(cost: int) -> list[dict[str, Any]]:
    return [{"id": f"of {cost}"}]


@pytest.mark.parametrize(
    ("schemas", "triggers", "named"),
    [({"part": Part}, [], "'part'"), ({"shop": Shop}, [shop_of], "'shop'")],
)
def test_a_deletion_that_takes_rows_of_a_table_not_opened_along_is_refused(
    open_store: OpenStore, schemas: dict[str, type], triggers: list[Any], named: str
) -> None:
    with open_store(schemas={"product": Product, **schemas}, triggers=triggers) as store:
        store.set("product", id=1, cost=1)
        store.wait(timeout=60)
    with open_store(schemas={"product": Product}) as some:
        with pytest.raises(motion.SchemaError, match=f"{named}.*pass its schema"):
            some.delete("product", 1)
        assert some.get("product", 1) is not None


WORKER = """
from pathlib import Path

import motion
from tests.store.test_tables_not_opened import LABELS, OFFERS, TABLES, TRIGGERS

with motion.create_store("shop", schemas=TABLES, triggers=TRIGGERS, url={url!r}, run=False) as store:
    store.set_many("offer", OFFERS)
    store.set_many("label", LABELS)
"""


def test_a_process_that_runs_some_triggers_learns_of_others_on_tables_that_it_has_not(
    open_store: OpenStore, tmp_path: Path
) -> None:
    """It was opened first; what its own runs give is looked up by what another process has opened since."""
    url = f"sqlite:///{tmp_path}/shop.motion"
    with open_store(schemas={"product": Product}, triggers=[price_of], url=url) as some:
        some.set_many("product", PRODUCTS)
        some.wait(timeout=60)
        program = WORKER.format(url=url)
        subprocess.run(
            [sys.executable, "-c", program], check=True, env=environment_of(Path(__file__).parents[2])
        )  # fmt: skip
        some.set("product", id=2, cost=90).wait("price", timeout=60)
        some.set_many("product", [{"id": i, "cost": 3 * i} for i in (1, 3, 5)])
        some.delete("product", 4)
        with pytest.raises(motion.WaitTimeout):
            some.wait(timeout=0.5)  # what it has the code for is done by then, or by who comes next
    with open_store(schemas=TABLES, triggers=TRIGGERS, url=url) as store:
        store.wait(timeout=60)
        assert shown(store) == recomputed(store, open_store)


def test_rows_of_such_a_table_are_chosen_by_values_set_or_not(
    open_store: OpenStore, whole: None
) -> None:
    with open_store(schemas=TABLES, triggers=TRIGGERS) as store:
        store.set_many("product", [{"id": 7, "shop": "b", "cost": None}, {"id": 8, "cost": 3}])
        store.wait(timeout=60)
    with open_store(schemas={"shop": Shop}, triggers=[]) as store:
        assert [row.id for row in store.rows("product", where={"cost": None})] == [7]
        assert [row.id for row in store.rows("product", where={"cost": 3})] == [3, 8]
        assert [row.id for row in store.rows("product", where={"cost": 3, "shop": None})] == [8]


def test_what_is_stale_is_told_whichever_tables_were_opened(tmp_path: Path) -> None:
    def opened(version: str, **options: Any) -> motion.Store:
        @motion.trigger(on="product.cost", sets="product.price", version=version)
        def price(cost: int) -> int:
            return cost * 2

        place = f"sqlite:///{tmp_path / 'shop.motion'}"
        given = {"schemas": {"product": Product}, "triggers": [price], **options}
        return motion.create_store("shop", url=place, **given)

    with opened("1") as store:
        store.set_many("product", [{"id": number, "cost": number} for number in range(5)])
        store.wait(timeout=60)
    with opened("2"):
        pass
    for known in ({}, {"product": Product}):
        with opened("2", schemas=known, triggers=None) as store:
            assert store.status().triggers["price"].stale == store.plan("price").stale == 5
