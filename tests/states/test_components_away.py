"""A component that is away for an opening, or keeps its outputs elsewhere by now: what others make of them is told as stale
wherever it may be wrong, and made right by a backfill (P4, P14)."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

import motion
from motion import faults
from tests.conftest import until

Refresh = Literal["before", "after", "never"]


@dataclass
class Product:
    id: int
    size: int
    score: int


@dataclass
class Like:
    id: int
    product: int
    user: int
    ts: int
    score: int
    said: str
    told: str
    scores: Annotated[int, motion.Window("like.score", by="user", agg="sum", itself=True)]
    others: list[int]
    seen: str


TABLES = {"product": Product, "like": Like}


def code(
    products: Refresh = "before", likes: Refresh = "before", *, away: bool = False
) -> list[Any]:
    class Scorer(motion.Component):
        def setup(self) -> int:
            return 1_000

        @motion.infer(on="product.size", sets="product.score", refresh=products)
        def of_product(self, state: int, size: int) -> int:
            return state + size

        @motion.infer(on="like.product", sets="like.score", refresh=likes)
        def of_like(
            self, state: int, score: Annotated[int, motion.Lookup("product.score", by="product")]
        ) -> int:
            return state + score

        @motion.fit(on="product.size", promote=motion.manual)
        def learn(self, state: int, rows: list[Product]) -> int:
            return state + 1_000

    @motion.trigger(on=("like.score", "like.ts"), sets="like.said")
    def say(score: int, ts: int) -> str:
        return f"{score} at {ts}"

    @motion.trigger(on="like.ts", sets="like.told")
    def tell(
        ts: int, score: Annotated[int | None, motion.Lookup("product.score", by="product")]
    ) -> str:
        return f"{score} at {ts}"

    class Seer(motion.Component):
        def setup(self) -> int:
            return 1

        @motion.infer(on="like.user", sets="like.seen", refresh="before")
        def see(
            self,
            state: int,
            scores: Annotated[list[int | None], motion.Lookup("product.score", by="others")],
            held: Annotated[list[int], motion.Window("like.score", by="user", itself=True)],
        ) -> str:
            return f"{scores} {sorted(held)}"

    readers = [say, tell, Seer()]
    return readers if away else [*readers, Scorer()]


def opened(folder: Path, triggers: Sequence[Any], **options: Any) -> motion.Store:
    url = f"sqlite:///{folder}/s"
    return motion.create_store("away", schemas=TABLES, triggers=list(triggers), url=url, **options)


def set_all(store: motion.Store) -> None:
    store.set_many("product", [{"id": n, "size": n} for n in (1, 2)])
    store.set_many(
        "like",
        [
            {"id": n, "product": 1 + n % 2, "user": n // 3, "ts": n, "others": [1, 2]}
            for n in range(5)
        ],
    )
    store.wait(timeout=60)


def test_what_was_made_of_outputs_while_their_component_was_away_is_told_as_stale(
    tmp_path: Path,
) -> None:
    names = ("say", "tell", "like.scores", "Seer.see")

    def stale(store: motion.Store) -> list[int]:
        counted = [store.status().triggers[name].stale for name in names]
        assert [store.plan(name).stale for name in names] == counted
        return counted

    with opened(tmp_path, code()) as store:
        set_all(store)
        before = store.rows("like")
        assert [row.scores for row in before][-1] is not None
    with opened(tmp_path, code(away=True)) as store:
        store.set("like", id=1, ts=10)
        store.set("like", id=2, user=7)
        store.set("product", id=3, size=1)
        store.wait(timeout=60)
    with opened(tmp_path, code()) as store:
        store.wait(timeout=60)
        # of like 1 both, of like 2 none; sums of whoever was with them before and is by now
        assert stale(store)[:2] == [1, 1]
        assert stale(store)[2] >= 2
        for name in store.status().triggers:
            store.backfill(name).wait(timeout=60)
        made = store.rows("like")
        assert stale(store) == [0, 0, 0, 0]
        for name in store.status().triggers:
            store.backfill(name, force=True).wait(timeout=60)
        assert store.rows("like") == made
        assert [(row.said, row.told) for row in made][1] == ("2002 at 10", "1002 at 10")


@pytest.mark.parametrize(
    ("first", "second"),
    list(
        permutations(
            [("before", "never"), ("never", "before"), ("before", "before"), ("after", "never")], 2
        )
    ),
)
def test_outputs_may_be_kept_elsewhere_by_now_whatever_is_looked_up(
    tmp_path: Path, first: tuple[Refresh, Refresh], second: tuple[Refresh, Refresh]
) -> None:
    with opened(tmp_path, code(*first)) as store:
        set_all(store)
        made = store.rows("like")
    with opened(tmp_path, code(*second)) as store:
        store.wait(timeout=60)
        assert store.rows("like") == made
        store.set("product", id=1, size=5)
        store.wait(timeout=60)
        assert {row.score for row in store.rows("like") if row.product == 1} == {2_005}


@pytest.mark.parametrize("between", ["after", "never"])
@pytest.mark.parametrize("early", [True, False])
def test_a_version_that_is_gone_back_to_keeps_nothing_of_outputs_that_were_kept_elsewhere_meanwhile(
    tmp_path: Path, between: Refresh, early: bool
) -> None:
    with opened(tmp_path, code()) as store:
        set_all(store)
        store.model("Scorer").fit().wait(timeout=60)
        store.wait(timeout=60)
    with opened(tmp_path, code(between)) as store:
        if early:
            store.model("Scorer").promote(2).wait(timeout=60)
        store.set("product", id=1, size=None)
        store.wait(timeout=60)
    with opened(tmp_path, code()) as store:
        store.wait(timeout=60)
        store.model("Scorer").promote(1 if early else 2).wait(timeout=60)
        store.wait(timeout=60)
        scores = {row.product: row.score for row in store.rows("like")}
        assert scores == {1: None, 2: 2_002 if early else 4_002}


# -- versions to go back to --


def scored(version: int, sizes: dict[int, int | None], likes: dict[int, int]) -> list[Any]:
    """What all has that a version is to have made."""
    made = {
        number: None if size is None else 1_000 * version + size for number, size in sizes.items()
    }
    of_likes = {
        n: 1_000 * version + found
        for n, product in likes.items()
        if (found := made[product]) is not None
    }
    return [made, {n: of_likes.get(n) for n in likes}]


def scores(store: motion.Store) -> list[Any]:
    return [{row.id: row.score for row in store.rows(table)} for table in ("product", "like")]


SCORERS = ("Scorer.of_product", "Scorer.of_like")


def stale_scores(store: motion.Store) -> list[int]:
    counted = [store.status().triggers[name].stale for name in SCORERS]
    assert [store.plan(name).stale for name in SCORERS] == counted
    return counted


@pytest.fixture
def changed_meanwhile(tmp_path: Path) -> list[Any]:
    """A store of two versions, the second one live, whose component was away while what it takes became another, or was
    unset: the sizes of products, and the products of likes."""
    with opened(tmp_path, code()) as store:
        set_all(store)
        store.model("Scorer").fit().wait(timeout=60)
        store.wait(timeout=60)
        store.model("Scorer").promote(2).wait(timeout=60)
        store.wait(timeout=60)
        assert scores(store) == scored(2, {1: 1, 2: 2}, {n: 1 + n % 2 for n in range(5)})
    with opened(tmp_path, code(away=True)) as store:
        store.set("product", id=1, size=5)
        store.set("product", id=2, size=None)
        store.set("like", id=1, product=1)
        store.wait(timeout=60)
    return [{1: 5, 2: None}, {0: 1, 1: 1, 2: 1, 3: 2, 4: 1}]


@pytest.mark.parametrize("last", [2, 3], ids=["backfilled", "another version"])
def test_a_version_that_is_gone_back_to_has_nothing_of_inputs_that_changed_while_the_component_was_away(
    tmp_path: Path, changed_meanwhile: list[Any], last: int
) -> None:
    with opened(tmp_path, code()) as store:
        store.wait(timeout=60)
        if last == 2:
            for name in SCORERS:
                store.backfill(name).wait(timeout=60)
        else:
            store.model("Scorer").fit().wait(timeout=60)
            store.wait(timeout=60)
            store.model("Scorer").promote(3).wait(timeout=60)
        store.wait(timeout=60)
        assert scores(store) == scored(last, *changed_meanwhile)
        store.model("Scorer").rollback().wait(timeout=60)
        store.wait(timeout=60)
        assert store.status().versions["Scorer"] == last - 1
        assert scores(store) == scored(last - 1, *changed_meanwhile)
        assert stale_scores(store) == [0, 0]
        store.model("Scorer").promote(last).wait(timeout=60)
        store.wait(timeout=60)
        assert scores(store) == scored(last, *changed_meanwhile)


def test_where_nothing_was_made_anew_since_a_version_is_gone_back_to_at_once_and_is_told_as_stale(
    tmp_path: Path, changed_meanwhile: list[Any]
) -> None:
    with opened(tmp_path, code()) as store:
        assert stale_scores(store) == [2, 5]
        store.model("Scorer").rollback().wait(timeout=60)
        store.wait(timeout=60)
        # of which product a like is was seen by others, which were there
        assert scores(store) == scored(1, {1: 1, 2: 2}, changed_meanwhile[1])
        assert stale_scores(store) == [2, 4]
        for name in SCORERS:
            store.backfill(name).wait(timeout=60)
        store.wait(timeout=60)
        assert scores(store) == scored(1, *changed_meanwhile)
        assert stale_scores(store) == [0, 0]


# -- what was on its way --


class Holder(motion.Component):
    """It only has a state, that a trigger takes."""

    def __init__(self, first: int = 1_000) -> None:
        self.first = first

    def setup(self) -> int:
        return self.first


def holding(first: int = 1_000) -> list[Any]:
    @motion.trigger(on="product.size", sets="product.score")
    def scored(size: int, first: Holder) -> int:
        return size + first  # type: ignore[operator]  # what it is handed is its state

    return [scored, Holder(first)]


SPAWN = multiprocessing.get_context("forkserver")


def set_up_anew(folder: Path) -> None:
    """Open the store with another `setup`, and end like a power cut would once that is about to run. In a process of its own."""

    def kill(reached: str) -> None:
        if reached == "fit.claimed":
            os.kill(os.getpid(), signal.SIGKILL)

    faults.arm(kill)
    with opened(folder, holding(2_000)) as store:
        store.wait(timeout=60)


def test_a_promotion_is_no_work_while_its_component_is_away_and_goes_on_with_its_return(
    tmp_path: Path,
) -> None:
    with opened(tmp_path, code()) as store:
        set_all(store)
        store.model("Scorer").fit().wait(timeout=60)
        store.wait(timeout=60)
    with opened(tmp_path, code(), run=False) as store:
        asked = store.model("Scorer").promote(2).key
        with pytest.raises(motion.WaitTimeout):
            store.wait(timeout=0)
    for _ in range(2):
        with opened(tmp_path, code(away=True)) as store:
            store.wait(timeout=60)
            assert not store.change(asked).is_done()
            assert [each.kind for each in store.status().backfills] == ["build"] * 2
    with opened(tmp_path, code()) as store:
        store.change(asked).wait(timeout=60)
        store.wait(timeout=60)
        assert store.status().versions["Scorer"] == 2
        assert store.get("product", 1).score == 2_001


def open_without(folder: Path) -> None:
    """Open the store without the component, and drop its tasks. In a process of its own."""
    with opened(folder, code(away=True)) as store:
        store.wait(timeout=60)
        store.drop()


def opened_elsewhere_without(folder: Path) -> None:
    process = SPAWN.Process(target=open_without, args=(folder,))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    process.close()


def make_a_second_version(folder: Path) -> None:
    with opened(folder, code()) as store:
        set_all(store)
        store.model("Scorer").fit().wait(timeout=60)
        store.wait(timeout=60)


def test_a_process_that_still_has_the_code_makes_nothing_live_that_nobody_builds(
    tmp_path: Path,
) -> None:
    make_a_second_version(tmp_path)
    with opened(tmp_path, code(), run=False) as store:
        store.set("product", id=1, size=7)
        asked = store.model("Scorer").promote(2).key
        opened_elsewhere_without(tmp_path)
        url = f"sqlite:///{tmp_path}/s"
        with motion.create_store("away", schemas=TABLES, url=url) as working:  # what code it has
            with pytest.raises(motion.WaitTimeout):
                working.change(asked).wait(timeout=2)
            assert working.status().versions["Scorer"] == 1
    with opened(tmp_path, code()) as store:
        store.change(asked).wait(timeout=60)
        assert store.get("product", 1).score == 2_007
        store.wait(timeout=60)
        assert scores(store) == scored(2, {1: 7, 2: 2}, {n: 1 + n % 2 for n in range(5)})


def test_a_fit_of_a_process_that_still_has_the_code_learns(tmp_path: Path) -> None:
    with opened(tmp_path, code()) as store:
        set_all(store)
        opened_elsewhere_without(tmp_path)
        scorer = store.model("Scorer")
        asked = scorer.fit()
        until(store, lambda: len(scorer.versions()) == 2, timeout_s=60)
        made = scorer.versions()[-1]
        assert (made.status, made.rows, made.metrics) == ("candidate", asked.count, {})


def test_a_version_that_is_asked_for_while_its_component_is_away_is_built_with_its_return(
    tmp_path: Path,
) -> None:
    make_a_second_version(tmp_path)
    with opened(tmp_path, code(), run=False) as store:
        store.set("product", id=1, size=7)
        opened_elsewhere_without(tmp_path)
        asked = store.model("Scorer").promote(2).key
    with opened(tmp_path, code()) as store:
        store.change(asked).wait(timeout=60)
        assert store.get("product", 1).score == 2_007


def test_a_setup_is_no_work_while_its_component_is_away_and_goes_on_with_its_return(
    tmp_path: Path,
) -> None:
    with opened(tmp_path, holding()) as store:
        store.set("product", id=1, size=1)
        store.wait(timeout=60)
    process = SPAWN.Process(target=set_up_anew, args=(tmp_path,))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    process.close()
    with opened(tmp_path, code(away=True)) as store:
        store.wait(timeout=60)
        assert store.status().fits == 0
    with opened(tmp_path, [Holder(2_000)]) as store:  # without who takes its state, too
        store.wait(timeout=60)
        assert [each.status for each in store.model("Holder").versions()] == ["live", "candidate"]
