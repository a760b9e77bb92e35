"""Which labels a version is known to have learned from, however they came and went, and what that costs."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import motion
from motion.persistence.ddl import FORMAT
from tests.conftest import OpenStore


@dataclass
class Item:
    id: int
    label: str
    other: str


class Pupil(motion.Component):
    """Its fits tell a file what they were given. What two of them are asked for lies among each other."""

    def __init__(self, told: Path) -> None:
        self.told = str(told)

    def setup(self) -> int:
        return 0

    @motion.fit(on="item.label", promote=motion.manual, batch=7)
    def learn(self, state: int, rows: Iterable[list[Item]]) -> int:
        return self.tell([f"{row.id}={row.label}" for some in rows for row in some])

    @motion.fit(on="item.other", rows="all", holdout=0.3, promote=motion.manual)
    def study(self, state: int, rows: list[Item]) -> int:
        return self.tell([f"{row.id}={row.other}" for row in rows])

    def tell(self, given: list[str]) -> int:
        with open(self.told, "a") as file:
            file.write(json.dumps(given) + "\n")
        return 0


def given(told: Path) -> list[list[str]]:
    """Return what each version was given: nothing to the first, which `setup` made."""
    lines = told.read_text().splitlines() if told.exists() else []
    return [[], *map(json.loads, lines)]


def known(store: motion.Store, number: int) -> list[str]:
    """Return what a version itself is known to have learned from, the earliest first."""
    labels = store.model("Pupil").labels(number, limit=10_000)
    own = [each for each in labels if each.version == number]
    return [f"{each.id}={each.row.label if each.fit.endswith('learn') else each.row.other}" for each in reversed(own)]  # fmt: skip


class Story:
    """Labels given, replaced, taken back, and fits beside a model of what each is to be given."""

    def __init__(self, store: motion.Store, told: Path, seed: int) -> None:
        self.told = told
        self.store, self.draw = store, random.Random(seed)
        self.now: dict[int, str] = {}
        self.there: set[str] = (
            set()
        )  # one that a version has learned from stays, as it is the record of that
        self.learned: set[str] = set()
        self.lineage: dict[
            int, set[str]
        ] = {}  # version -> what it and those it was made from have learned
        self.live = 1
        self.labels = 0

    def step(self) -> None:
        self.draw.choice([self.label, self.label, self.label, self.other, self.unset, self.fit, self.promote])()  # fmt: skip

    def label(self) -> None:
        id, self.labels = self.draw.randrange(1, 30), self.labels + 1
        self.take_back(id)
        self.now[id] = f"{id}=l{self.labels}"
        self.there.add(self.now[id])
        self.store.set("item", id=id, label=f"l{self.labels}")

    def other(self) -> None:
        self.labels += 1
        self.store.set("item", id=self.draw.randrange(1, 30), other=f"o{self.labels}")

    def unset(self) -> None:
        if self.now:
            id = self.draw.choice(sorted(self.now))
            self.take_back(id)
            self.store.set("item", id=id, label=None)

    def take_back(self, id: int) -> None:
        self.there -= {self.now.pop(id, "")} - self.learned

    def fit(self) -> None:
        before = len(self.store.model("Pupil").versions())
        self.store.model("Pupil").fit()
        self.store.wait(timeout=60)
        for version in self.store.model("Pupil").versions()[before:]:
            got = given(self.told)[version.number - 1]
            learned = self.lineage.get(self.live, set())
            if got and "=l" in got[0]:  # of the other fit: "=o"
                assert set(got) == self.there - learned
                learned = learned | set(got)
                self.learned |= learned
            self.lineage[version.number] = learned

    def promote(self) -> None:
        versions = self.store.model("Pupil").versions()
        made = [each.number for each in versions if each.is_kept]
        if made:
            self.live = self.draw.choice(made)
            self.store.model("Pupil").promote(self.live).wait(timeout=60)

    def look(self) -> None:
        for number in self.lineage:
            assert known(self.store, number) == given(self.told)[number - 1]


@pytest.mark.parametrize("seed", range(5))
def test_p8_a_version_is_known_to_have_learned_from_what_its_fit_was_given(
    open_store: OpenStore, tmp_path: Path, seed: int
) -> None:
    store = open_store(schemas={"item": Item}, triggers=[Pupil(tmp_path / "told")])
    story = Story(store, tmp_path / "told", seed)
    for _ in range(40):
        story.step()
    story.fit()
    story.look()


def rows_of(folder: Path) -> int:
    with sqlite3.connect(folder / "store.sqlite") as beside:
        found: int = beside.execute("SELECT COUNT(*) FROM motion_lessons").fetchone()[0]
        return found


def test_what_is_kept_of_fits_that_are_never_promoted_does_not_grow_with_their_labels(
    tmp_path: Path,
) -> None:
    options: dict[str, Any] = {"schemas": {"item": Item}, "triggers": [Pupil(tmp_path / "told")]}
    with motion.create_store("school", url=f"sqlite:///{tmp_path / 's'}", **options) as store:
        for _ in range(5):
            store.set_many("item", [{"label": "a"} for _ in range(200)])
            store.model("Pupil").fit().wait(timeout=60)
        assert len(given(tmp_path / "told")[-1]) == 1_000
    assert rows_of(tmp_path / "s") == 5


SIX = """
ALTER TABLE motion_lessons RENAME TO motion_lessons_7;
CREATE TABLE motion_lessons (
    label INTEGER NOT NULL, component TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (label, component, number)
) WITHOUT ROWID;
INSERT INTO motion_lessons SELECT b.label, s.component, s.number FROM motion_lessons_7 s JOIN motion_labels b
    ON b.fit = s.fit AND b.label BETWEEN s.first AND s.last AND b.is_held_out = 0;
DROP TABLE motion_lessons_7;
CREATE INDEX motion_lessons_version ON motion_lessons (component, number);
UPDATE motion_clock SET format = 6;
"""


def test_a_store_of_format_6_knows_what_its_versions_learned_from(tmp_path: Path) -> None:
    assert FORMAT == 7, "the next one wants a test of its own"
    options: dict[str, Any] = {"schemas": {"item": Item}, "triggers": [Pupil(tmp_path / "told")]}
    url = f"sqlite:///{tmp_path / 's'}"
    with motion.create_store("school", url=url, **options) as store:
        story = Story(store, tmp_path / "told", 3)
        for _ in range(40):
            story.step()
    with sqlite3.connect(tmp_path / "s" / "store.sqlite") as beside:
        beside.executescript(SIX)
    with motion.create_store("school", url=url, **options) as store:
        story.store = store
        story.look()
        story.fit()
        story.look()
