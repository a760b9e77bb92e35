"""Indexes of a store: kept on disk, mended when damaged, followed by several processes, switched with a version."""

from __future__ import annotations

import logging
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest

import motion
from motion.vectors import choice
from tests.conftest import OpenStore

ROOT = Path(__file__).parents[2]
COUNT = 2_500
PATH = "spot.at"

pytestmark = pytest.mark.usefixtures("graph_at_any_size")


@dataclass
class Spot:
    id: int
    at: Annotated[np.ndarray, motion.Vector(8, metric="l2", index="hnsw")]
    group: int


def places(count: int = COUNT, seed: int = 0) -> np.ndarray:
    """Return vectors around a few centres; no two are equal."""
    numbers = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(20, 8))
    near = centres[numbers.integers(0, 20, count)] + 0.2 * numbers.normal(size=(count, 8))
    return np.asarray(near, np.float32)


def until(condition: Callable[[], bool], timeout_s: float = 100) -> None:
    pause = threading.Event()
    for _ in range(int(timeout_s / 0.01)):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not come true in time")


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "shop.motion" / "indexes").glob("*.index"))


def file_of(folder: Path) -> Path:
    return folder / "shop.motion" / "indexes" / "spot.at.0.index"


def filled(open_store: OpenStore, folder: Path) -> motion.Store:
    """Return a store with spots 0, 1, 2, ..., whose graph is made and on disk."""
    store = open_store(schemas={"spot": Spot})
    store.set_many("spot", [{"id": i, "at": at, "group": i % 7} for i, at in enumerate(places())])
    store.search(PATH, places()[0])
    until(lambda: bool(files(folder)))
    return store


def nearest_ids(store: motion.Store, at: np.ndarray, k: int = 1) -> list[int]:
    return [hit.id for hit in store.search(PATH, at, k=k)]


def found_share(store: motion.Store, spots: dict[int, np.ndarray]) -> float:
    """Return for how many spots a search at their place finds them first."""
    asked = list(spots)[::25]
    batch = store.search(PATH, np.array([spots[i] for i in asked]), k=1)
    return float(np.mean([hits[0].id == i for hits, i in zip(batch, asked, strict=True)]))


def spots() -> dict[int, np.ndarray]:
    return dict(enumerate(places()))


# -- right at every moment --


def test_a_graph_finds_what_is_near(open_store: OpenStore, tmp_path: Path) -> None:
    store = filled(open_store, tmp_path)
    right = 0
    for query in places(50, seed=1):
        true = np.argsort(np.linalg.norm(places() - query, axis=1))[:10]
        right += len(set(nearest_ids(store, query, 10)) & set(true.tolist()))
    assert right >= 0.98 * 500


@pytest.mark.parametrize("groups", [[3], [0, 1, 2, 3, 4, 5], []])
def test_a_filter_gives_the_nearest_that_it_holds_for(
    open_store: OpenStore, tmp_path: Path, groups: list[int]
) -> None:
    store = filled(open_store, tmp_path)
    where = f'"group" IN ({", ".join(map(str, groups))})'
    among = np.array([i for i in range(COUNT) if i % 7 in groups], int)
    for query in places(10, seed=1):
        found = [hit.id for hit in store.search(PATH, query, k=10, where=where)]
        true = among[np.argsort(np.linalg.norm(places()[among] - query, axis=1))[:10]]
        assert found == true.tolist()


def test_a_filter_sees_every_write(open_store: OpenStore, tmp_path: Path) -> None:
    store = filled(open_store, tmp_path)
    for i in range(5):
        store.set("spot", id=i, group=100)
        hits = store.search(PATH, places()[0], k=10, where={"group": 100})
        assert sorted(hit.id for hit in hits) == list(range(i + 1))
    store.delete("spot", 0)
    hits = store.search(PATH, places()[0], k=10, where={"group": 100})
    assert sorted(hit.id for hit in hits) == [1, 2, 3, 4]


def test_a_filter_that_depends_on_chance_is_asked_each_time(open_store: OpenStore) -> None:
    store = open_store(schemas={"spot": Spot})
    store.set_many("spot", [{"id": i, "at": at} for i, at in enumerate(places(100))])
    hits = [store.search(PATH, places()[0], k=100, where="random() % 2 = 0") for _ in range(20)]
    assert len({tuple(sorted(hit.id for hit in each)) for each in hits}) > 1


def test_writes_are_found_whatever_the_graph_is_at(open_store: OpenStore, tmp_path: Path) -> None:
    store, held = filled(open_store, tmp_path), spots()
    for seed in range(
        1, 6
    ):  # each time a fifth of all rows move: the graph wears out and is made again
        moved = {i * 5 + seed - 1: at for i, at in enumerate(places(COUNT // 5, seed=seed))}
        store.set_many("spot", [{"id": i, "at": at} for i, at in moved.items()])
        held |= moved
        assert found_share(store, held) >= 0.98
        store.delete("spot", seed)
        assert nearest_ids(store, held.pop(seed)) != [seed]


def test_ids_below_0_and_beyond_40_bits_are_found(open_store: OpenStore) -> None:
    store = open_store(schemas={"spot": Spot})
    store.set("spot", id=-5, at=np.zeros(8))
    store.set("spot", id=2**60, at=np.ones(8))
    assert nearest_ids(store, np.zeros(8), 2) == [-5, 2**60]
    store.set("spot", id=-5, at=np.full(8, 3.0))
    assert nearest_ids(store, np.zeros(8), 2) == [2**60, -5]


# -- on disk --


def test_an_index_is_used_again_after_reopening(open_store: OpenStore, tmp_path: Path) -> None:
    filled(open_store, tmp_path).close()
    written = file_of(tmp_path).stat().st_mtime_ns
    again = open_store(schemas={"spot": Spot})
    assert found_share(again, spots()) >= 0.98
    again.close()
    assert (
        file_of(tmp_path).stat().st_mtime_ns == written
    )  # nothing was built that needs to be kept


def test_writes_after_an_index_was_kept_are_followed(open_store: OpenStore, tmp_path: Path) -> None:
    store, held = filled(open_store, tmp_path), spots()
    kept = file_of(tmp_path).read_bytes()
    far = np.full(8, 50.0, np.float32)
    store.set("spot", id=3, at=far)
    store.set("spot", id=9_000, at=-far)
    store.set("spot", id=5, at=None)
    store.delete("spot", 4)
    store.close()
    file_of(tmp_path).write_bytes(kept)
    again = open_store(schemas={"spot": Spot})
    assert (nearest_ids(again, far), nearest_ids(again, -far)) == ([3], [9_000])
    assert nearest_ids(again, held[4]) != [4]
    assert nearest_ids(again, held[5]) != [5]
    assert found_share(again, {i: held[i] for i in held if i not in (3, 4, 5)}) >= 0.98


def test_a_damaged_or_cut_file_costs_a_rebuild_and_nothing_else(
    open_store: OpenStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled(open_store, tmp_path).close()
    whole = file_of(tmp_path).read_bytes()
    numbers = random.Random(5)
    damages = [whole[: numbers.randrange(len(whole))] for _ in range(4)] + [b""]
    for at in [0, 20, 200, *(numbers.randrange(len(whole)) for _ in range(5))]:
        damages.append(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
    third = len(whole) // 3
    damages += [
        whole[:at] + b"\x3c" * third + whole[at + third :] for at in (1_000, third, 2 * third)
    ]
    for damage in damages:
        file_of(tmp_path).write_bytes(damage)
        again = open_store(schemas={"spot": Spot})
        assert found_share(again, spots()) >= 0.98
        again.close()


def test_what_a_process_left_that_was_killed_while_writing_does_no_harm(
    open_store: OpenStore, tmp_path: Path
) -> None:
    filled(open_store, tmp_path).close()
    left = file_of(tmp_path).with_suffix(".writing")
    file_of(tmp_path).rename(left)
    left.write_bytes(left.read_bytes()[:1_000])
    again = open_store(schemas={"spot": Spot})
    assert found_share(again, spots()) >= 0.98
    until(lambda: bool(files(tmp_path)))
    until(lambda: not left.exists())


def test_a_file_that_is_ahead_of_a_restored_database_is_not_believed(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store(schemas={"spot": Spot})
    store.set("spot", id=1, at=np.ones(8))
    store.close()
    database = tmp_path / "shop.motion" / "store.sqlite"
    shutil.copy(database, tmp_path / "backup")
    filled(open_store, tmp_path).close()
    shutil.copy(tmp_path / "backup", database)
    restored = open_store(schemas={"spot": Spot})
    assert nearest_ids(restored, np.ones(8), 10) == [1]
    assert files(tmp_path) == []


def test_a_changed_metric_is_not_answered_from_the_old_file(
    open_store: OpenStore, tmp_path: Path
) -> None:
    @dataclass
    class ByDot:
        id: int
        at: Annotated[np.ndarray, motion.Vector(8, metric="dot", index="hnsw")]
        group: int

    filled(open_store, tmp_path).close()
    again = open_store(schemas={"spot": ByDot})
    query = places(1, seed=1)[0]
    hit = again.search(PATH, query, k=1)[0]
    assert hit.score == pytest.approx(float((places() @ query).max()), rel=1e-4)


def test_arrays_whose_length_is_not_fixed_are_kept_too(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dataclass
    class Loose:
        id: int
        at: np.ndarray

    monkeypatch.setattr(choice, "APPROXIMATE_FROM", 2_000)
    store = open_store(schemas={"spot": Loose})
    store.set_many("spot", [{"id": i, "at": at} for i, at in enumerate(places())])
    query = np.ones(8)
    before = [hit.id for hit in store.search(PATH, query, k=5)]
    until(lambda: bool(files(tmp_path)))
    store.close()
    written = file_of(tmp_path).stat().st_mtime_ns
    again = open_store(schemas={"spot": Loose})
    assert [hit.id for hit in again.search(PATH, query, k=5)] == before
    again.close()
    assert file_of(tmp_path).stat().st_mtime_ns == written


# -- several processes --


def test_an_index_of_one_process_follows_what_another_writes(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = filled(open_store, tmp_path)
    far = np.full(8, 50.0, np.float32)
    write = f"""
import numpy as np, motion
from tests.search.test_indexes import Spot
with motion.create_store("shop", schemas={{"spot": Spot}}, url={f"sqlite:///{tmp_path / 'shop.motion'}"!r}) as store:
    assert [hit.id for hit in store.search("spot.at", np.zeros(8), k=3)]
    store.set("spot", id=7, at=np.full(8, 50.0))
    store.delete("spot", 8)
"""
    subprocess.run([sys.executable, "-c", write], cwd=ROOT, check=True)
    assert nearest_ids(store, far) == [7]
    assert nearest_ids(store, places()[8]) != [8]


# -- without the library, and by size --


@pytest.fixture
def without_usearch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "usearch.index", None)


@pytest.mark.usefixtures("without_usearch")
def test_asking_for_a_graph_without_the_library_says_how_to_get_it(open_store: OpenStore) -> None:
    store = open_store(schemas={"spot": Spot})
    store.set("spot", id=1, at=np.ones(8))
    with pytest.raises(motion.MissingPackage, match=r"pip install 'motion-ml\[ann\]'"):
        store.search(PATH, np.ones(8))
    assert issubclass(motion.MissingPackage, ImportError)


@dataclass
class Auto:
    id: int
    at: Annotated[np.ndarray, motion.Vector(8, metric="l2")]


@pytest.mark.usefixtures("without_usearch")
def test_without_the_library_search_is_exact_and_says_so_once(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(choice, "APPROXIMATE_FROM", 1_000)
    store = open_store(schemas={"spot": Auto})
    store.set_many("spot", [{"id": i, "at": at} for i, at in enumerate(places())])
    with caplog.at_level(logging.WARNING, "motion"):
        assert nearest_ids(store, places()[5]) == [5]
        store.set("spot", id=1, at=np.ones(8))
        assert nearest_ids(store, np.ones(8)) == [1]
    assert [r.getMessage().count("motion-ml[ann]") for r in caplog.records] == [1]


def test_a_graph_is_made_by_itself_where_there_are_many_vectors(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "APPROXIMATE_FROM", 2_000)
    store = open_store(schemas={"spot": Auto})
    store.set_many("spot", [{"id": i, "at": at} for i, at in enumerate(places()[:1_000])])
    assert nearest_ids(store, places()[5]) == [5]
    store.set_many("spot", [{"id": i, "at": at} for i, at in enumerate(places())])
    assert nearest_ids(store, places()[5]) == [5]
    until(lambda: bool(files(tmp_path)))
    assert found_share(store, spots()) >= 0.98


def test_exact_may_be_asked_for(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dataclass
    class Exact:
        id: int
        at: Annotated[np.ndarray, motion.Vector(8, metric="l2", index="exact")]

    monkeypatch.setattr(choice, "APPROXIMATE_FROM", 100)
    store = open_store(schemas={"spot": Exact})
    store.set_many("spot", [{"id": i, "at": at} for i, at in enumerate(places())])
    assert found_share(store, spots()) == 1
    store.close()
    assert files(tmp_path) == []


@pytest.mark.parametrize("index", ["ivf", None, ""])
def test_another_kind_of_index_is_refused(index: Any) -> None:
    with pytest.raises(motion.SchemaError, match="auto, exact, hnsw"):
        motion.Vector(8, index=index)


# -- state versions --


@dataclass
class Text:
    id: int
    number: int
    at: Annotated[np.ndarray, motion.Vector(8, metric="l2", index="hnsw")]
    label: str


class Mover(motion.Component):
    """Places that each version moves by 100."""

    def setup(self) -> dict[str, int]:
        return {"moved": 0}

    @motion.infer(on="text.number", sets="text.at", batch=1_000, refresh="before")
    def place(self, state: dict[str, int], number: list[int]) -> np.ndarray:
        return np.asarray(places()[np.array(number)] + 100 * state["moved"])

    @motion.fit(on="text.label", every=10_000)
    def learn(self, state: dict[str, int], rows: list[Any]) -> dict[str, int]:
        return {"moved": state["moved"] + 1}


class Captioner(motion.Component):
    """Texts that name the version they are of."""

    def setup(self) -> dict[str, int]:
        return {"version": 1}

    @motion.infer(on="photo.number", sets="photo.caption", refresh="before")
    def caption(self, state: dict[str, int], number: int) -> str:
        return f"caption{number} of version{state['version']}"

    @motion.fit(on="photo.label", every=10_000)
    def learn(self, state: dict[str, int], rows: list[Any]) -> dict[str, int]:
        return {"version": state["version"] + 1}


@dataclass
class Photo:
    id: int
    number: int
    caption: str
    label: str


def test_a_text_search_is_about_the_texts_of_the_live_version(open_store: OpenStore) -> None:
    store = open_store(schemas={"photo": Photo}, triggers=[Captioner()])
    store.set_many("photo", [{"id": i, "number": i} for i in range(20)])
    store.wait(timeout=60)
    assert len(store.search("photo.caption", text="version1", k=50)) == 20
    store.set("photo", id=1, label="x")
    store.model("Captioner").fit()
    store.wait(timeout=60)
    store.set("photo", id=3, number=30).wait()
    assert store.search("photo.caption", text="version1", k=50) == []
    hits = store.search("photo.caption", text="caption30", k=50)
    assert [(hit.id, hit.row.caption) for hit in hits] == [(3, "caption30 of version2")]
    assert len(store.search("photo.caption", text="version2", k=50, where="id < 10")) == 10
    assert (
        len(store.search("photo.caption", text="of", k=20)) == 20
    )  # none is crowded out by version 1's
    store.delete("photo", 3)
    assert store.search("photo.caption", text="caption30") == []


def test_a_versions_index_is_ready_when_it_goes_live_and_gone_with_it(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store(schemas={"text": Text}, triggers=[Mover()])
    store.set_many("text", [{"id": i, "number": i} for i in range(COUNT)])
    store.wait(timeout=60)
    store.search("text.at", places()[0])
    until(lambda: files(tmp_path) == ["text.at.1.index"])
    for version in (2, 3, 4):
        store.set("text", id=version, label="x")
        store.model("Mover").fit()
        store.wait(timeout=60)
        assert store.status().versions == {"Mover": version}
        assert f"text.at.{version}.index" in files(tmp_path)
        where = places()[7] + 100 * (version - 1)
        hit = store.search("text.at", where, k=1)[0]
        assert (hit.id, hit.score) == (7, pytest.approx(0, abs=1e-3))
    until(lambda: files(tmp_path) == ["text.at.3.index", "text.at.4.index"])
    store.model("Mover").rollback()
    store.wait(timeout=60)
    hit = store.search("text.at", places()[7] + 200, k=1)[0]
    assert (hit.id, hit.score) == (7, pytest.approx(0, abs=1e-3))
