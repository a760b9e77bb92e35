"""`motion copy` moves a whole store from SQLite to PostgreSQL and back: rows, history, states and unfinished work."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from typer.testing import CliRunner

import motion
import motion.cli  # so that all commands are there
from motion.cli.app import app
from tests.postgres import Server, is_postgres_wanted

pytestmark = pytest.mark.skipif(is_postgres_wanted(), reason="one side of each copy is SQLite")

WAIT_S = 120


class Size(Enum):
    SMALL = 1
    LARGE = 2


@dataclass
class Garment:
    """A key of every kind, and what triggers give."""

    id: int
    ts: int
    name: str | None = None
    price: float | None = None
    is_new: bool | None = None
    size: Size | None = None
    photo: bytes | None = None
    seen: datetime | None = None
    tags: list[str] | None = None
    look: Annotated[np.ndarray, motion.Vector(2)] | None = None
    label: str | None = None
    feedback: float | None = None
    order: int | None = None


@dataclass
class Shop:
    id: str
    photos: bytes | None = None
    dearest: float | None = None


@dataclass
class Page:
    id: int
    page: int
    word: str | None = None


class Eye(motion.Component):
    def setup(self) -> dict[str, float]:
        return {"factor": 1.0}

    @motion.infer(on="garment.price", sets="garment.look")
    def see(self, state: dict[str, float], price: float) -> np.ndarray:
        return np.array([state["factor"] * price, 1], np.float32)

    @motion.fit(on="garment.feedback", every=None)
    def learn(self, state: dict[str, float], batch: Any) -> dict[str, float]:
        return {"factor": state["factor"] + len(batch)}


@motion.trigger(on="garment.name", sets="garment.label", retries=0)
def label(name: str) -> str:
    if name == "bad":
        raise ValueError("no such name")
    return name.upper()


@motion.trigger(on="garment.name", sets="garment.order", serial_by="garment.size")
def in_line(name: str, row: Garment) -> int:
    return row.id


@motion.fold(on="garment.photo", by="garment.name", sets="shop.photos")
def gather(photos: bytes | None, photo: bytes) -> bytes:
    return (photos or b"") + photo


@motion.fold(on="garment.price", by="garment.name", sets="shop.dearest")
def dearest(dearest: float | None, price: float) -> float:
    return max(dearest or 0.0, price)


SCHEMAS = {"garment": Garment, "shop": Shop, "page": Page}


def opened(url: str, *, run: bool = True) -> motion.Store:
    triggers = [Eye(), label, in_line, gather, dearest]
    return motion.create_store(
        "shop", schemas=SCHEMAS, triggers=triggers, url=url, run=run, durability="normal"
    )


def filled(url: str) -> None:
    with opened(url) as store:
        store.set("garment", id=1, ts=5, name="x", price=1.5, is_new=True, size=Size.LARGE, tags=["a"],
                  seen=datetime(2026, 1, 2, tzinfo=UTC), photo=b"\0\xff")  # fmt: skip
        store.set("garment", id=2, ts=9, name="x", price=math.inf, photo=b"b")
        store.set("garment", id=3, ts=7, name="bad", price=2.0, feedback=1.0)
        store.set_many("page", [{"id": 1, "page": n, "word": f"w{n}"} for n in range(3)])
        store.set("garment", id=4, ts=1)
        store.wait(timeout=WAIT_S)
        store.model("Eye").fit().wait(timeout=WAIT_S)
        store.wait(timeout=WAIT_S)
        store.delete("garment", 4)
        store.wait(timeout=WAIT_S)
    with opened(url, run=False) as store:  # work that nobody has done yet, in a line too
        store.set_many(
            "garment",
            [
                {"id": 10 + n, "ts": 20 - n, "name": "y", "price": 3.0, "size": Size.SMALL}
                for n in range(3)
            ],
        )


def told(store: motion.Store) -> dict[str, Any]:
    """What a store says of itself, without what is left to do."""
    garments = store.rows("garment", where="id < ?", params=[10])
    return {
        "rows": [(row.id, row.ts, row.name, row.price, row.is_new, row.size, row.photo, row.seen, row.tags, row.label,
                  None if row.look is None else row.look.tolist()) for row in garments],
        "pages": [(row.page, row.word) for row in store.rows("page", id=1)],
        "shops": [(row.id, row.photos, row.dearest) for row in store.rows("shop", order_by="id")],
        "versions": [(each.number, each.status, each.parent, each.created_at) for each in store.model("Eye").versions()],
        "why": str(store.explain("garment", 1, "look")),
        "errors": [(each.trigger, each.row, each.error) for each in store.errors()],
        "change": store.status().last_change,
    }  # fmt: skip


def copied(source: str, target: str) -> None:
    done = CliRunner().invoke(app, ["copy", source, target, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["rows"] >= 9


@pytest.fixture
def url(postgres_server: Server, tmp_path: Path) -> Iterator[str]:
    schema = f"copy_{os.getpid()}_{abs(hash(tmp_path)) % 10**8}"
    yield f"{postgres_server.url}&motion_schema={schema}&motion_folder={tmp_path / 'pg'}"
    postgres_server.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')


def test_a_store_goes_to_postgresql_and_back_with_its_states_history_and_work(
    tmp_path: Path, url: str
) -> None:
    filled(f"sqlite:///{tmp_path / 'first'}")
    copied(str(tmp_path / "first"), url)
    copied(url, str(tmp_path / "third"))
    seen = []
    for place in (f"sqlite:///{tmp_path / 'first'}", url, f"sqlite:///{tmp_path / 'third'}"):
        with opened(place, run=False) as store:
            seen.append(told(store))
    assert seen[0]["why"]
    assert len(seen[0]["versions"]) == 2
    assert seen[1] == seen[0]
    assert seen[2] == seen[0]


@pytest.mark.parametrize("is_back", [False, True])
def test_a_copy_goes_on_where_the_store_was(tmp_path: Path, url: str, *, is_back: bool) -> None:
    filled(f"sqlite:///{tmp_path / 'first'}")
    copied(str(tmp_path / "first"), url)
    place = url
    if is_back:
        place = f"sqlite:///{tmp_path / 'third'}"
        copied(url, str(tmp_path / "third"))
    with opened(place) as store:
        store.wait(timeout=WAIT_S)
        found = store.rows("garment", where="id >= ?", params=[10], order_by="id")
        assert [(row.label, row.order) for row in found] == [("Y", 10), ("Y", 11), ("Y", 12)]
        factor = 2.0  # what the version that was fitted before has learned
        assert found[0].look.tolist() == [factor * 3, 1]
        (hit,) = store.search("garment.look", np.array([0, 1], np.float32), k=1)
        assert hit.id == 1
        fresh = store.set(
            "garment", name="x", ts=6, price=9.0, photo=b"-"
        )  # between the two that were folded
        store.wait(timeout=WAIT_S)
        assert fresh.id == 13
        assert store.get("shop", "x").photos == b"\0\xff-b"
        assert store.get("shop", "x").dearest == math.inf
        store.set("garment", id=1, feedback=2.0)
        store.model("Eye").fit().wait(timeout=WAIT_S)
        assert [each.number for each in store.model("Eye").versions()] == [1, 2, 3]


def test_nothing_is_copied_to_where_a_store_is(tmp_path: Path, url: str) -> None:
    filled(f"sqlite:///{tmp_path / 'first'}")
    copied(str(tmp_path / "first"), url)
    for target in (url, str(tmp_path / "first")):
        done = CliRunner().invoke(app, ["copy", str(tmp_path / "first"), target])
        assert (done.exit_code, "is there and not empty" in " ".join(done.output.split())) == (
            1,
            True,
        )
