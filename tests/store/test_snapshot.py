"""A snapshot is the store as it was at one moment, made while it is written, and opens as a store."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest

import motion


@dataclass
class Account:
    id: int
    balance: int
    doubled: int


SCHEMAS = {"account": Account}


@motion.trigger(on="account.balance", sets="account.doubled")
def double(balance: int) -> int:
    return 2 * balance


def opened(folder: Path, *triggers: Any, **options: Any) -> motion.Store:
    return motion.create_store(
        "bank",
        schemas=SCHEMAS,
        triggers=list(triggers) or None,
        url=f"sqlite:///{folder}",
        **options,
    )


def test_a_snapshot_opens_as_a_store_with_all_that_was_there(tmp_path: Path) -> None:
    with opened(tmp_path / "bank", double) as store:
        store.set_many("account", [{"balance": i} for i in range(100)]).wait(timeout=60)
        store.snapshot(tmp_path / "copies" / "monday")
        store.set("account", id=1, balance=-1)
    with opened(tmp_path / "copies" / "monday") as copy:
        assert [row.doubled for row in copy.rows("account")] == [2 * i for i in range(100)]
        assert copy.explain("account", 5, "doubled").made_by == "double"


def test_a_snapshot_is_of_one_moment_while_the_store_is_written(tmp_path: Path) -> None:
    with opened(tmp_path / "bank", durability="normal") as store:
        store.set_many("account", [{"balance": 0} for _ in range(2)])
        is_over = threading.Event()

        def move_money() -> None:
            amount = 0
            while not is_over.is_set():
                amount += 1
                with store.transaction() as tx:
                    tx.set("account", id=1, balance=amount)
                    tx.set("account", id=2, balance=-amount)

        mover = threading.Thread(target=move_money)
        mover.start()
        try:
            for number in range(5):
                store.snapshot(tmp_path / str(number))
        finally:
            is_over.set()
            mover.join()
    for number in range(5):
        with opened(tmp_path / str(number)) as copy:
            assert sum(row.balance for row in copy.rows("account")) == 0


def test_work_that_was_not_done_is_done_in_the_copy_too(tmp_path: Path) -> None:
    has_begun, may_end = threading.Event(), threading.Event()

    @motion.trigger(on="account.balance", sets="account.doubled", name="double", inline=False)
    def slow(balance: int) -> int:
        has_begun.set()
        assert may_end.wait(20)
        return 2 * balance

    with opened(tmp_path / "bank", slow) as store:
        store.set("account", id=1, balance=1)
        assert has_begun.wait(20)
        store.snapshot(tmp_path / "copy")
        has_begun.clear()
        with opened(tmp_path / "copy", slow) as copy:  # while the store itself goes on with it
            assert has_begun.wait(20)
            may_end.set()
            copy.wait(timeout=60)
            assert copy.get("account", 1).doubled == 2


def test_a_snapshot_has_the_states_and_vectors_of_models(tmp_path: Path) -> None:
    @dataclass
    class Item:
        id: int
        text: str
        place: Annotated[np.ndarray, motion.Vector(2)]

    class Embed(motion.Component):
        def setup(self) -> dict[str, np.ndarray]:
            return {"weights": np.array([1.0, 2.0], np.float32)}

        @motion.infer(on="item.text", sets="item.place", refresh="before")
        def embed(self, state: dict[str, np.ndarray], text: str) -> np.ndarray:
            return state["weights"] * len(text)

    options: dict[str, Any] = {"schemas": {"item": Item}, "triggers": [Embed()]}
    with motion.create_store("items", url=":memory:", **options) as store:
        store.set("item", id=1, text="ab").wait(timeout=60)
        store.snapshot(tmp_path / "copy")
    with motion.create_store("items", url=f"sqlite:///{tmp_path / 'copy'}", **options) as copy:
        assert [hit.id for hit in copy.search("item.place", [1.0, 2.0], k=1)] == [1]
        with copy.model("Embed").live() as (state, _):
            assert state["weights"].tolist() == [1.0, 2.0]


def test_a_snapshot_goes_to_no_folder_that_has_something_in_it(tmp_path: Path) -> None:
    with opened(tmp_path / "bank") as store:
        store.set("account", id=1, balance=1)
        (tmp_path / "empty").mkdir()
        store.snapshot(tmp_path / "empty")
        before = sorted((tmp_path / "empty").iterdir())
        with pytest.raises(motion.FolderNotEmpty, match="is there and not empty"):
            store.snapshot(tmp_path / "empty")
        with pytest.raises(FileExistsError):
            store.snapshot(tmp_path / "bank")
        assert sorted((tmp_path / "empty").iterdir()) == before


def test_a_snapshot_that_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with opened(tmp_path / "bank") as store:
        with pytest.raises(motion.StoreUnavailable, match="No snapshot was made"):
            store.snapshot(tmp_path / "file" / "below")
        store.set("account", id=1, balance=1)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["bank", "file"]
