"""`motion migrate`: names change, and what the store kept under the old ones is found under the new; what is dropped is gone."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, make_dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import psycopg
import pytest
from typer.testing import CliRunner

import motion
import motion.cli  # so that all commands are there
from motion import clock
from motion.cli.app import app
from motion.persistence import conversion
from tests.conftest import copied, until
from tests.on_postgres.places import schema_of
from tests.postgres import is_postgres_wanted


@dataclass
class Photo:
    id: int
    title: str
    vector: Annotated[np.ndarray, motion.Vector(2)]
    best: int
    is_good: bool


def component(called: str) -> type[motion.Component]:
    """Return the class of a model under some name, as it is where somebody has renamed it."""

    class Model(motion.Component):
        def setup(self) -> float:
            return 1.0

        @motion.infer(on="photo.title", sets="photo.vector", refresh="before")
        def embed(self, weight: float, title: str) -> np.ndarray:
            return np.array([len(title), weight], np.float32)

        @motion.infer(on="photo.vector", sets="photo.best")
        def choose(self, weight: float, vector: np.ndarray) -> int:
            return int(100 * weight)

        @motion.fit(on="photo.is_good", every=100)
        def learn(self, weight: float, rows: list[Photo]) -> float:
            return weight + len(rows)

    Model.__name__ = Model.__qualname__ = called
    return Model


def opened(folder: Path, *triggers: Any, run: bool = True, **schemas: type) -> motion.Store:
    given, place = schemas or {"photo": Photo}, f"sqlite:///{folder}"
    return motion.create_store("photos", schemas=given, triggers=triggers, url=place, run=run)


def migrated(folder: Path, *words: str) -> dict[str, Any]:
    """Do it, and return what the command tells."""
    done = CliRunner().invoke(app, ["migrate", str(folder), *words, "--yes", "--json"])
    assert done.exit_code == 0, (done.output, done.exception)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def complaint(folder: Path, *words: str, status: int = 1) -> str:
    done = CliRunner().invoke(app, ["migrate", str(folder), *words])
    assert done.exit_code == status, (done.output, done.exception)
    return done.stderr


def contents(folder: Path) -> Sequence[str]:
    if is_postgres_wanted():
        server, schema = os.environ["MOTION_TEST_SERVER"], schema_of(folder)
        with psycopg.connect(server) as there:
            sql = "SELECT table_name FROM information_schema.columns WHERE table_schema = %s AND table_name <> 'motion_writers' GROUP BY 1 ORDER BY 1"
            names = [name for (name,) in there.execute(sql, (schema,))]
            rows = 'SELECT CAST(r AS text) FROM "{}"."{}" r ORDER BY 1'
            return [
                name + row for name in names for (row,) in there.execute(rows.format(schema, name))
            ]
    with sqlite3.connect(folder / "store.sqlite") as connection:
        return list(connection.iterdump())


def learn(folder: Path) -> Path:
    """Make a store whose model, called Encoder, has learned from one photo of two; and close it."""
    with opened(folder, component("Encoder")()) as store:
        store.set_many("photo", [{"title": "red"}, {"title": "orange"}])
        store.wait()
        store.set("photo", id=1, is_good=True).wait()
        store.model("Encoder").fit().wait()
        store.wait()
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return learn(tmp_path_factory.mktemp("learned"))


@pytest.fixture
def learned(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Such a store of the test's own."""
    return copied(request.getfixturevalue("made"), tmp_path / "photos.motion")


def check_is_whole(store: motion.Store, name: str) -> None:
    """Look at all that the model had: versions, vectors, values, labels and what explains them."""
    store.wait()
    assert [(each.number, each.status) for each in store.model(name).versions()] == [
        (1, "retired"),
        (2, "live"),
    ]
    hits = store.search("photo.vector", np.array([6.0, 2.0], np.float32), k=1)
    assert [(hit.id, hit.row.vector.tolist()) for hit in hits] == [(2, [6.0, 2.0])]
    found = store.explain("photo", 1, "vector")
    assert (found.made_by, found.version, found.is_current) == (f"{name}.embed", 2, True)
    assert store.explain("photo", 1, "best").made_by == f"{name}.choose"
    assert [label.id for label in store.model(name).labels(2)] == [1]
    assert store.status().orphaned == 0


# -- components --


def test_a_renamed_component_keeps_its_versions_vectors_and_labels(
    learned: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told = migrated(learned, "--rename-component", "Encoder=Matcher")
    assert (
        "its 2 version(s), their vectors and labels are those of Matcher"
        in told["steps"][0]["told"]
    )
    with opened(learned, component("Matcher")()) as store:
        check_is_whole(store, "Matcher")
        assert caplog.text == ""
        assert store.model("Matcher").fit().count == 0  # it has learned from the label
        store.set("photo", id=2, is_good=True).wait()
        assert store.model("Matcher").fit().count == 1
        store.wait()
        assert store.model("Matcher").versions()[-1].parent == 2
        assert store.get("photo", 1).vector.tolist() == [3.0, 3.0]


def test_a_component_that_was_opened_under_its_new_name_already_gets_back_what_it_had(
    learned: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(learned, component("Matcher")()) as store:  # this is the outage
        assert "--rename-component Encoder=Matcher" in caplog.text
        store.set("photo", id=3, title="a new one").wait()
        store.wait()
        assert store.model("Matcher").versions()[0].number == 1
        assert len(store.model("Matcher").versions()) == 1
        store.set("photo", id=2, is_good=True).wait()
    told = migrated(learned, "--rename-component", "Encoder=Matcher")
    assert "the 1 that Matcher has made since change places with them" in told["steps"][0]["told"]
    with opened(learned, component("Matcher")()) as store:
        check_is_whole(store, "Matcher")
        assert store.plan("Matcher.embed").missing == 1
        store.backfill("Matcher.embed").wait()
        assert store.get("photo", 3).vector.tolist() == [9.0, 2.0]
        assert store.model("Matcher").fit().count == 1  # the label that was set meanwhile
        store.wait()
    migrated(learned, "--rename-component", "Matcher=Other")
    migrated(learned, "--rename-component", "Encoder=Matcher")
    with opened(learned, component("Matcher")()) as store:
        assert [each.number for each in store.model("Matcher").versions()] == [1]


def judge(called: str) -> motion.Component:
    """Return a component with a fit and nothing else, whose state is what it has learned."""

    class Judge(motion.Component, name=called):
        def setup(self) -> list[str]:
            return []

        @motion.fit(on="photo.is_good", promote=motion.always)
        def learn(self, state: list[str], rows: list[Photo]) -> list[str]:
            return [*state, *(f"{row.id} {row.is_good}" for row in rows)]

    return Judge()


def test_p8_labels_that_were_copied_again_under_the_new_name_are_not_learned_again(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "judged"
    with opened(folder, judge("Old")) as store:
        store.set_many("photo", [{"id": n, "title": "a", "is_good": True} for n in (1, 2)])
        store.model("Old").fit().wait(timeout=60)
        store.set("photo", id=3, is_good=True)
    with opened(folder, judge("New")) as store:
        store.set("photo", id=4, is_good=True)
        store.wait()
    migrated(folder, "--rename-component", "Old=New")
    with opened(folder, judge("New")) as store:
        asked = store.model("New").fit()
        asked.wait(timeout=60)
        with store.model("New").live() as (state, _):
            assert (asked.count, state) == (2, ["1 True", "2 True", "3 True", "4 True"])


def test_a_fit_that_was_asked_for_under_both_names_is_made_once(learned: Path) -> None:
    for called in ("Encoder", "Matcher"):
        with opened(learned, component(called)(), run=False) as store:
            store.set("photo", id=2, is_good=called == "Encoder")
            store.model(called).fit()
    migrated(learned, "--rename-component", "Encoder=Matcher")
    with opened(learned, component("Matcher")()) as store:
        store.wait()
        assert [each.number for each in store.model("Matcher").versions()] == [1, 2, 3]


def test_work_that_waits_goes_on_under_the_new_name(learned: Path) -> None:
    with opened(learned) as store:  # nobody is here to do it
        store.set("photo", id=4, title="four")
    with motion.create_store(
        "photos", url=f"sqlite:///{learned}", triggers=None, run=False
    ) as store:
        pass
    migrated(learned, "--rename-component", "Encoder=Matcher")
    with opened(learned, component("Matcher")()) as store:
        store.backfill("Matcher.embed").wait()
        store.wait()
        assert store.get("photo", 4).best == 200


# -- triggers --


def shout_called(name: str) -> Any:
    @motion.trigger(on="note.text", sets="note.loud", name=name)
    def shout(text: str) -> str:
        if text == "bad":
            raise ValueError(text)
        return text.upper()

    return shout


@dataclass
class Note:
    id: int
    text: str
    loud: str


def test_a_renamed_trigger_has_made_what_it_made_and_keeps_its_dead_letters(tmp_path: Path) -> None:
    with opened(tmp_path, shout_called("shout"), note=Note) as store:
        store.set_many("note", [{"text": "good"}, {"text": "bad"}])
        store.wait()
    migrated(tmp_path, "--rename-trigger", "shout=call")
    with opened(tmp_path, shout_called("call"), note=Note) as store:
        store.wait()
        assert (store.plan("call").current, store.plan("call").stale) == (1, 0)
        assert store.explain("note", 1, "loud").made_by == "call"
        assert [letter.trigger for letter in store.errors()] == ["call"]
        assert store.retry("call") == 1
        assert store.status().orphaned == 0


@dataclass
class Paper:
    id: int
    text: str
    page: int
    letter: str


@dataclass
class Tag:
    id: str
    text: str


def made_by_names(*, tags: str, letters: str, component: str) -> list[Any]:
    @motion.trigger(on="paper.text", sets="tag", name=tags, version="1")
    def tag(text: str) -> list[dict[str, str]]:
        return [{"id": f"tag of {text}", "text": text}]

    @motion.trigger(on="paper.text", sets="paper.letter", page="page", name=letters, version="1")
    def spell(text: str) -> list[str]:
        return list(text)

    class Made(motion.Component):
        def setup(self) -> int:
            return 1

        @motion.infer(on="paper.text", sets="tag", version="1")
        def learn(self, state: int, text: str) -> list[dict[str, str]]:
            return [{"id": f"learned of {text}", "text": text}]

    Made.__name__ = Made.__qualname__ = component
    return [tag, spell, Made()]


def test_rows_and_pages_of_a_renamed_trigger_are_still_what_it_made(tmp_path: Path) -> None:
    tables: dict[str, Any] = {"paper": Paper, "tag": Tag}
    before = made_by_names(tags="tags", letters="letters", component="Made")
    with opened(tmp_path, *before, **tables) as store:
        store.set("paper", id=1, text="abc")
        store.set("paper", id=2, text="de")
        store.wait()
    renamed = ["--rename-trigger", "tags=labels", "--rename-trigger", "letters=split"]
    migrated(tmp_path, *renamed, "--rename-component", "Made=Other")
    after = made_by_names(tags="labels", letters="split", component="Other")
    with opened(tmp_path, *after, **tables) as store:
        store.wait()
        assert {name: each.stale for name, each in store.status().triggers.items()} == {
            "labels": 0, "split": 0, "Other.learn": 0,
        }  # fmt: skip
        store.set("paper", id=1, text="x")
        store.delete("paper", 2)
        store.wait()
        assert {row.id for row in store.rows("tag")} == {"tag of x", "learned of x"}
        assert [(row.id, row.page, row.letter) for row in store.rows("paper")] == [(1, 0, "x")]


def test_a_dropped_trigger_leaves_its_values_and_nothing_to_do(tmp_path: Path) -> None:
    with opened(tmp_path, shout_called("shout"), note=Note) as store:
        store.set_many("note", [{"text": "good"}, {"text": "bad"}])
        store.wait()
    with opened(tmp_path, note=Note) as store:
        assert store.status().orphaned == 1
    told = migrated(tmp_path, "--drop-trigger", "shout")
    assert told["steps"][0]["lost"] == "1 task(s) and dead letters of it"
    with opened(tmp_path, note=Note) as store:
        assert store.status().orphaned == 0
        assert store.get("note", 1).loud == "GOOD"
        assert store.explain("note", 1, "loud").made_by is None


# -- keys and tables --


@dataclass
class Named:
    """A note, one of whose keys has another name."""

    id: int
    body: str
    loud: str


@dataclass
class Short:
    id: int
    text: str


class Taste(motion.Component):
    def setup(self) -> float:
        return 0.0

    @motion.fit(on="note.loud", every=100)
    def learn(self, state: float, rows: list[Any]) -> float:
        return state + sum(len(vars(row).get("body") or "") for row in rows)


def test_a_renamed_key_keeps_its_values_and_its_places_in_labels(tmp_path: Path) -> None:
    with opened(tmp_path, shout_called("shout"), Taste(), note=Note) as store:
        store.set("note", text="first").wait()
        assert len(store.search("note.text", text="first")) == 1
        store.wait()
    with pytest.raises(motion.SchemaMismatch, match=r"--rename-key note\.text=NEW"):
        opened(tmp_path, note=Named)
    told = migrated(tmp_path, "--rename-key", "note.text=body")
    assert "shout wait(s) for the code that names it otherwise" in told["steps"][0]["told"]

    @motion.trigger(on="note.body", sets="note.loud", name="shout")
    def shout(body: str) -> str:
        return body.upper()

    with opened(tmp_path, shout, Taste(), note=Named) as store:
        store.set("note", body="second").wait()
        store.wait()
        assert [(row.body, row.loud) for row in store.rows(Named)] == [
            ("first", "FIRST"),
            ("second", "SECOND"),
        ]
        assert [hit.id for hit in store.search("note.body", text="first")] == [1]
        with store._database.backend.read() as tx:
            assert not [
                each for each in tx.tables() if each.startswith("motion_text_rows_note:text")
            ]
        assert store.sql("select body from note where id = 1").to_pylist() == [{"body": "first"}]
        store.model("Taste").fit().wait()
        with store.model("Taste").live() as (state, _):
            assert state == len("first") + len("second")


@dataclass
class Answer:
    id: int
    text: str
    hint: str
    loud: str
    mood: str


@dataclass
class Renamed:
    """An answer, one of whose keys has another name."""

    id: int
    text: str
    clue: str
    loud: str
    mood: str


class Jury(motion.Component):
    def setup(self) -> str:
        return ""

    @motion.fit(on="answer.mood", seen_by="answer.loud")
    def learn(self, state: str, rows: list[Renamed]) -> str:
        return state + "".join(row.clue for row in rows)


def test_a_renamed_key_keeps_its_place_in_rows_as_they_were_seen(tmp_path: Path) -> None:
    @motion.trigger(on="answer.text", sets="answer.loud", version="1")
    def say(text: str) -> str:
        return text.upper()

    with opened(tmp_path, say, Jury(), answer=Answer) as store:
        store.set("answer", text="yes", hint="as seen").wait(timeout=60)
        store.set("answer", id=1, hint="later")
    migrated(tmp_path, "--rename-key", "answer.hint=clue")
    migrated(tmp_path, "--rename-table", "answer=reply")
    migrated(tmp_path, "--rename-table", "reply=answer")
    with opened(tmp_path, say, Jury(), answer=Renamed) as store:
        store.set("answer", id=1, mood="good")
        store.model("Jury").fit().wait(timeout=60)
        with store.model("Jury").live() as (state, _):
            assert state == "as seen"


@dataclass
class Day:
    id: int
    text: str
    page: int
    length: Annotated[str | None, motion.Lookup("short.text", by="id")] = None


def test_a_renamed_table_keeps_rows_pages_labels_and_what_it_looks_up(tmp_path: Path) -> None:
    class Counts(motion.Component):
        def setup(self) -> int:
            return 0

        @motion.fit(on="day.text", every=100)
        def learn(self, state: int, rows: list[Day]) -> int:
            return state + len(rows)

    with opened(tmp_path, Counts(), day=Day, short=Short) as store:
        store.set("short", id=1, text="one")
        store.set("day", id=1, text="monday").wait()
        store.set("day", id=1, page=2, text="evening").wait()
        assert len(store.search("day.text", text="monday")) == 1
        store.wait()
        before = store.rows(Day)
    told = migrated(tmp_path, "--rename-table", "day=date")
    assert "day.length wait(s) for the code" in told["steps"][0]["told"]

    class Later(Counts):
        name = "Counts"

        @motion.fit(on="date.text", every=100)
        def learn(self, state: int, rows: list[Day]) -> int:
            return state + len(rows)

    with opened(tmp_path, Later(), date=Day, short=Short) as store:
        assert store.rows("date") == before
        assert [hit.id for hit in store.search("date.text", text="monday")] == [1]
        store.set("short", id=1, text="another").wait()
        store.wait()
        assert store.get("date", 1).length == "another"
        assert store.explain("date", 1, "length").is_current
        assert store.model("Counts").fit().count == 2
        store.wait()
        assert sorted(store.status().triggers) == ["date.length"]


def test_a_dropped_key_is_gone_and_the_others_stay(tmp_path: Path) -> None:
    with opened(tmp_path, note=Note) as store:
        store.set("note", text="first", loud="FIRST")
    told = migrated(tmp_path, "--drop-key", "note.loud")
    assert told["steps"][0]["lost"] == "1 value(s)"
    with opened(tmp_path, note=Short) as store:
        assert store.rows(Short) == [Short(1, "first")]
    assert not any("FIRST" in line for line in contents(tmp_path))


def test_a_dropped_table_is_gone_with_what_belonged_to_it(tmp_path: Path) -> None:
    with opened(tmp_path, shout_called("shout"), Taste(), note=Note, short=Short) as store:
        store.set("note", text="secret").wait()
        store.set("short", text="kept")
        store.wait()
    assert "is used by shout" in complaint(tmp_path, "--drop-table", "note", "--yes")
    with opened(tmp_path, short=Short):
        pass
    assert migrated(tmp_path, "--drop-table", "note")["steps"][0]["lost"] == "1 row(s)"
    with opened(tmp_path, short=Short) as store:
        assert [row.text for row in store.rows(Short)] == ["kept"]
        with pytest.raises(motion.UnknownTable):
            store.rows("note")
    assert not any("secret" in line for line in contents(tmp_path))


# -- types --


class Mood(Enum):
    GOOD = 1
    BAD = 2


@dataclass
class Judged:
    id: int
    text: str
    loud: str
    mood: str
    mood_page: int


@dataclass
class Rated:
    id: int
    text: str
    loud: str
    mood: Mood
    mood_page: int


class Judge(motion.Component):
    def setup(self) -> int:
        return 0

    @motion.fit(on="note.mood", every=100)
    def learn(self, state: int, rows: list[Any]) -> int:
        return state + sum(row.mood is Mood.GOOD for row in rows)


CONVERT = """
from tests.cli.test_migrating import Mood

def mood_of(text: str) -> Mood:
    return {"fine": Mood.GOOD, "sad": Mood.BAD}[text]

def untold(text):
    return text
"""


@pytest.fixture
def judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "moods.py").write_text(CONVERT)
    monkeypatch.delitem(sys.modules, "moods", raising=False)
    folder = tmp_path / "judged.motion"
    with opened(folder, shout_called("shout"), Judge(), note=Judged) as store:
        rows = [{"text": f"note {n}", "mood": "fine" if n % 2 else "sad"} for n in range(1, 8)]
        store.set_many("note", [*rows, {"text": "none"}])
        store.wait()
        assert len(store.search("note.text", text="note", k=9)) == 7
    return folder


def test_a_key_gets_another_type_in_parts(judged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("motion.persistence.conversion.AT_ONCE", 3)
    told = migrated(judged, "--convert", "note.mood=moods:mood_of")
    assert told == {"is_done": True, "values": 7, "told": told["told"]}
    assert told["told"].startswith("note.mood: 7 value(s) of str become Mood (GOOD, BAD)")
    with opened(judged, shout_called("shout"), Judge(), note=Rated) as store:
        assert [row.mood for row in store.rows(Rated)] == [Mood.GOOD, Mood.BAD] * 3 + [
            Mood.GOOD,
            None,
        ]
        assert store.plan("shout").current == 8
        assert len(store.search("note.text", text="note", k=9, where={"mood": Mood.GOOD})) == 4
        store.model("Judge").fit().wait()
        with store.model("Judge").live() as (state, _):
            assert state == 4


def test_what_is_written_and_read_meanwhile_is_whole(
    judged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that only writes goes on beside it: what it writes is converted again, and it reads the old values until
    the switch."""
    monkeypatch.setattr("motion.persistence.conversion.AT_ONCE", 3)
    with motion.create_store(
        "photos", url=f"sqlite:///{judged}", schemas={"note": Judged}, run=False
    ) as store:
        look = conversion.some

        def interrupted(tx: Any, one: Any, after: int) -> Any:
            seen.append([row.mood for row in store.rows(Judged)])
            if len(seen) == 2:  # the first three are converted
                store.set("note", id=1, mood="sad")
            return look(tx, one, after)

        seen: list[list[str]] = []
        monkeypatch.setattr(conversion, "some", interrupted)
        migrated(judged, "--convert", "note.mood=moods:mood_of")
        with pytest.raises(motion.SchemaMismatch, match="mood"):
            store.set("note", id=2, mood="fine")
    assert len(seen) >= 4
    assert all(set(each) <= {"fine", "sad", None} for each in seen)
    found = sql(judged, "select mood from note where id <= 3 order by id")
    assert [row["mood"] for row in found] == ["BAD", "BAD", "GOOD"]


def sql(folder: Path, query: str) -> list[dict[str, Any]]:
    with motion.create_store("photos", url=f"sqlite:///{folder}", run=False) as store:
        found: list[dict[str, Any]] = store.sql(query).to_pylist()
        return found


def test_a_value_that_cannot_be_converted_leaves_all_as_it_was(
    judged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(judged, note=Judged) as store:
        store.set("note", id=5, mood="so so")
    before = contents(judged)
    for words in ([], ["--yes"]):
        told = complaint(judged, "--convert", "note.mood=moods:mood_of", *words)
        assert (
            "note.mood of id=5 mood_page=0, 'so so', cannot be converted: KeyError: 'so so'" in told
        )
    monkeypatch.setattr("motion.persistence.conversion.TRIED", 1)
    assert "cannot be converted" in complaint(
        judged, "--convert", "note.mood=moods:mood_of", "--yes"
    )
    assert sorted(contents(judged)) == sorted(before)


@dataclass
class Entry:
    id: int
    account: int
    amount: int
    total: int


@dataclass
class NamedEntry:
    id: int
    account: str
    amount: int
    total: int


@motion.fold(on="entry.amount", by="entry.account", sets="entry.total")
def total(total: int | None, amount: int) -> int:
    return (total or 0) + amount


def text_of(number: int) -> str:
    return str(number)


BY_NAME = "entry.account=tests.cli.test_migrating:text_of"


def test_rows_with_ids_of_zero_and_below_keep_their_values(tmp_path: Path) -> None:
    ids = (-(2**63) + 1, -5, 0, 1)
    with opened(tmp_path / "store", entry=Entry) as store:
        store.set_many("entry", [{"id": each, "account": each} for each in ids])
    migrated(tmp_path / "store", "--convert", BY_NAME)
    with opened(tmp_path / "store", entry=NamedEntry) as store:
        assert {row.id: row.account for row in store.rows(NamedEntry)} == {i: str(i) for i in ids}


def test_what_a_fold_with_waiting_work_goes_by_is_not_converted(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with opened(folder, total, entry=Entry) as store:
        store.set("entry", id=1, account=7, amount=1).wait()
    url = f"sqlite:///{folder}"
    with motion.create_store("photos", url=url, schemas={"entry": Entry}, run=False) as store:
        store.set("entry", id=2, account=7, amount=10)
    for words in ([], ["--yes"]):
        told = complaint(folder, "--convert", BY_NAME, *words)
        assert "fold 'total' goes by it, and 1 task(s) of it wait" in told
    with opened(folder, total, entry=Entry) as store:
        store.wait()
    migrated(folder, "--convert", BY_NAME)
    with opened(folder, total, entry=NamedEntry) as store:
        store.set("entry", id=3, account="7", amount=100).wait()
        assert [row.total for row in store.rows(NamedEntry, order_by="id")] == [1, 11, 111]


def padded(number: int) -> str:
    return f"{number:04}"


def worded(number: int) -> str:
    return f"={number}"


def joined(number: int) -> str:
    return f"0{number % 2}"


@dataclass
class Move:
    id: int
    account: int
    at: int
    amount: int
    total: int


def doubled(total: int | None, amount: int) -> int:
    return 2 * (total or 0) + amount


def as_declared(key: str, kind: type) -> type:
    """Return the table of moves with a key of another type."""
    types = {"id": int, "account": int, "at": int, "amount": int, "total": int, key: kind}
    return make_dataclass("Move", types.items())


def folded(moves: Sequence[dict[str, Any]]) -> dict[int, int]:
    totals: dict[Any, int] = {}
    found: dict[int, int] = {}
    for move in sorted(moves, key=lambda move: (move["at"], move["id"])):
        totals[move["account"]] = doubled(totals.get(move["account"]), move["amount"])
        found[move["id"]] = totals[move["account"]]
    return found


@pytest.mark.parametrize("replay", [True, False])
@pytest.mark.parametrize(
    ("key", "convert"), [("account", padded), ("account", joined), ("at", padded)]
)
def test_a_fold_goes_on_over_rows_whose_key_was_converted(
    tmp_path: Path, key: str, convert: Callable[[int], str], replay: bool
) -> None:
    """Where two entities are one then, the next run is over all of their rows."""
    on: dict[str, Any] = {
        "on": "move.amount",
        "by": "move.account",
        "order": "move.at",
        "sets": "move.total",
    }
    fold = motion.fold(**on, replay=replay)(doubled)
    names = ("id", "account", "at", "amount")
    given = [(1, 7, 9, 1), (2, 7, 10, 2), (3, 9, 11, 4), (4, 8, 5, 1), (5, 8, 12, 1), (6, 7, 13, 3)]
    before = [dict(zip(names, each, strict=True)) for each in given]
    with opened(tmp_path, fold, move=Move) as store:
        store.set_many("move", before[:4]).wait()
    migrated(tmp_path, "--convert", f"move.{key}=tests.cli.test_migrating:{convert.__name__}")
    after = [{**move, key: convert(move[key])} for move in before]
    with opened(tmp_path, fold, move=as_declared(key, str)) as store:
        assert {row.id: row.total for row in store.rows("move")} == folded(before[:4])
        store.set_many("move", after[4:]).wait()
        if convert is joined and not replay:
            store.backfill("doubled").wait()
        assert {row.id: row.total for row in store.rows("move")} == folded(after)


def test_entities_that_are_one_by_now_are_made_right_by_a_backfill_where_rows_are_applied_once(
    tmp_path: Path,
) -> None:
    fold = motion.fold(
        on="move.amount", by="move.account", order="move.at", sets="move.total", replay=False
    )(doubled)
    moves = [
        {"id": row, "account": account, "at": row, "amount": row}
        for row, account in enumerate((7, 9, 8, 7), 1)
    ]
    with opened(tmp_path, fold, move=Move) as store:
        store.set_many("move", moves).wait()
    migrated(tmp_path, "--convert", "move.account=tests.cli.test_migrating:joined")
    after = [{**move, "account": joined(move["account"])} for move in moves]
    with opened(tmp_path, fold, move=as_declared("account", str)) as store:
        assert store.plan("doubled").stale == 1
        store.backfill("doubled").wait()
        assert store.plan("doubled").stale == 0
        assert {row.id: row.total for row in store.rows("move")} == folded(after)


@dataclass
class Account:
    id: int
    total: int


@dataclass
class WordedAccount:
    id: int
    total: str


@pytest.mark.parametrize("replay", [True, False])
def test_a_fold_goes_on_from_values_that_were_converted(tmp_path: Path, replay: bool) -> None:
    """From those that a user gave as well, and where a late row has the ones behind it folded again."""
    on: dict[str, Any] = {
        "on": "move.amount",
        "by": "move.account",
        "order": "move.at",
        "sets": "account.total",
    }

    def added(total: int | None, amount: int) -> int:
        return (total or 0) + amount

    def added_words(total: str | None, amount: int) -> str:
        return worded(int(total[1:]) + amount if total else amount)

    fold = motion.fold(**on, name="added", replay=replay)(added)
    with opened(tmp_path, fold, move=Move, account=Account) as store:
        store.set("account", id=7, total=1000)
        for i in (1, 2):
            store.set("move", id=i, account=7, at=10 * i, amount=i).wait()
    migrated(tmp_path, "--convert", "account.total=tests.cli.test_migrating:worded")
    of_words = motion.fold(**on, name="added", replay=replay)(added_words)
    with opened(tmp_path, of_words, move=Move, account=WordedAccount) as store:
        assert store.get("account", 7).total == "=1003"
        for i, at in ((3, 30), (4, 15)):
            store.set("move", id=i, account=7, at=at, amount=i).wait()
        assert store.get("account", 7).total == "=1010"


def test_what_a_value_was_made_from_is_not_told_in_another_type(tmp_path: Path) -> None:
    def both(account: Any, amount: int) -> int:
        return int(str(account).removeprefix("=")) + amount

    trigger = motion.trigger(on="move.amount", sets="move.total")(both)
    with opened(tmp_path, trigger, move=Move) as store:
        store.set("move", id=1, account=7, amount=1).wait()
        store.set("move", id=1, account=8)  # which it does not run on
        assert "account = 7" in str(store.explain("move", 1, "total"))
    migrated(tmp_path, "--convert", "move.account=tests.cli.test_migrating:worded")
    with opened(tmp_path, trigger, move=as_declared("account", str)) as store:
        told = str(store.explain("move", 1, "total"))
        assert "'=8'" in told
        assert "account = '7'" not in told
        assert store.set("move", id=1, amount=2).wait().rows()[0].total == 10


@dataclass
class Seen:
    id: int
    at: datetime
    note: str


@dataclass
class CountedSeen:
    id: int
    at: int
    note: str


def counted_ms(at: datetime) -> int:
    return round(1000 * at.timestamp())


def test_rows_whose_time_is_to_come_wait_for_it_in_another_type(tmp_path: Path) -> None:
    @motion.trigger(on=motion.after("seen.at", hours=1), sets="seen.note")
    def over() -> str:
        return "over"

    now = clock.now()
    with opened(tmp_path, over, seen=Seen) as store:
        store.set("seen", id=1, at=now)
    migrated(tmp_path, "--convert", "seen.at=tests.cli.test_migrating:counted_ms")
    with opened(tmp_path, over, seen=CountedSeen) as store:
        store.set("seen", id=2, at=counted_ms(now)).wait()
        assert [row.note for row in store.rows(CountedSeen)] == [None, None]
        clock.advance(7200)
        until(store, lambda: all(row.note == "over" for row in store.rows(CountedSeen)), 20)


@pytest.mark.parametrize(
    ("given", "status", "message"),
    [
        ("note.mood", 2, "as TABLE.KEY=MODULE:FUNCTION"),
        ("note.mood=moods:nothing", 2, "has no function 'nothing'"),
        ("note.mood=moods:untold", 1, "which does not say what it returns"),
        ("note.mod=moods:mood_of", 1, "Did you mean 'mood'?"),
        ("note.mood_page=moods:mood_of", 1, "names the rows"),
    ],
)
def test_a_conversion_that_cannot_be_is_told_in_a_line(
    judged: Path, given: str, status: int, message: str
) -> None:
    assert message in complaint(judged, "--convert", given, status=status)


def test_two_conversions_at_once_are_refused(judged: Path) -> None:
    given = ["--convert", "note.mood=moods:mood_of", "--convert", "note.text=moods:mood_of"]
    assert "one key at a time" in complaint(judged, *given, "--yes", status=2)


# -- how it is done --


def test_without_yes_it_is_told_and_nothing_changed(learned: Path) -> None:
    before = contents(learned)
    done = CliRunner().invoke(
        app, ["migrate", str(learned), "--rename-component", "Encoder=Matcher"]
    )
    assert done.exit_code == 0
    assert "its 2 version(s)" in done.stdout.replace("\n", " ")
    assert "Nothing was changed; --yes does it." in done.stderr
    assert contents(learned) == before


def test_steps_are_done_all_or_none(tmp_path: Path) -> None:
    with opened(tmp_path, shout_called("shout"), note=Note) as store:
        store.set("note", text="first").wait()
    opened(tmp_path, note=Note).close()  # the trigger is away
    before = contents(tmp_path)
    words = ["--drop-table", "note", "--rename-trigger", "shout=call", "--yes"]
    assert "no trigger 'shout'" in complaint(tmp_path, *words)  # it went with its table
    assert contents(tmp_path) == before


@dataclass
class Garment:
    id: int
    name: str
    price: float
    size: int
    label: str
    before: Annotated[int | None, motion.Window("garment.size", by="name", agg="sum")]


@dataclass
class Shop:
    id: int
    x: int


class Fitter(motion.Component):
    def setup(self) -> int:
        return 1

    @motion.infer(on="garment.price", sets="garment.label")
    def judge(self, state: int, price: float) -> str:
        return str(price + state)


@motion.trigger(on="shop.x", when=lambda row: False)
def look(id: int) -> None: ...


@motion.trigger(on="shop.x", when=lambda row: False)
def watch(id: int) -> None: ...


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store that has names of each kind; nothing is to change it."""
    folder = tmp_path_factory.mktemp("named")
    with opened(folder, Fitter(), look, watch, garment=Garment, shop=Shop) as store:
        store.set("garment", id=1, name="coat", price=2.0, size=3)
        store.wait()
    return folder


KEYS = ["force", "If_Unchanged", "true", "FALSE", "ID", "id", "Price", "price", "Name", "name", "größe", "_x", "2nd", "a-b", "a.b", " ", "a\n", "motion:x"]  # fmt: skip
TABLES = ["Shop", "shop", "Garment", "garment", "shop__stored", "Shop__Stored", "garment__stored", "motion_x", "SQLite_x", "größe", "a b", "a\n", "a.b", '"']  # fmt: skip
TRIGGERS = ["", "\n", "x" * 201, "Look", "look", "WATCH", "Fitter.judge", "fitter.Judge", "garment.before"]  # fmt: skip
COMPONENTS = ["fitter", "Fitter", "a.b", "a b", "2nd", "x\n"]


@pytest.mark.parametrize(
    ("step", "new"),
    [
        *(("--rename-key garment.name", each) for each in KEYS),
        *(("--rename-table garment", each) for each in TABLES),
        *(("--rename-trigger look", each) for each in TRIGGERS),
        *(("--rename-component Fitter", each) for each in COMPONENTS),
    ],
)
@pytest.mark.parametrize("done", [(), ("--yes",)])
def test_a_new_name_is_one_that_code_could_declare(
    named: Path, step: str, new: str, done: Sequence[str]
) -> None:
    before = contents(named)
    option, old = step.split()
    told = complaint(named, option, f"{old}={new}", *done, status=2)
    assert told.startswith("error: ")
    assert "--yes does it" not in told
    assert contents(named) == before


@pytest.mark.parametrize(
    "words",
    [
        "--rename-key garment.name=size --rename-key garment.size=name",
        "--rename-key garment.name=title --rename-key garment.size=title",
        "--rename-key garment.name=title --rename-key garment.name=word",
        "--rename-key garment.name=title --rename-key garment.size=TITLE",
        "--rename-key garment.name=title --rename-key garment.title=word",
        "--rename-key garment.name=size --drop-key garment.size",
        "--rename-key garment.name=title --drop-key garment.name",
        "--rename-key garment.name=title --drop-table garment",
        "--drop-key garment.name --drop-table garment",
        "--drop-key garment.name --drop-key garment.name",
        "--rename-table garment=shop --rename-table shop=garment",
        "--rename-table garment=shop --drop-table shop",
        "--rename-table garment=clothes --rename-table shop=Clothes",
        "--rename-trigger look=watch --rename-trigger watch=look",
        "--rename-trigger look=watch --drop-trigger watch",
        "--rename-trigger look=seen --rename-trigger seen=told",
        "--rename-component Fitter=Tailor --rename-component Tailor=Fitter",
        "--rename-component Fitter=Tailor --rename-component Tailor=Judge",
    ],
)
def test_steps_of_one_command_are_not_done_one_after_another(named: Path, words: str) -> None:
    before = contents(named)
    assert complaint(named, *words.split(), "--yes", status=2).startswith("error: ")
    assert contents(named) == before


def test_names_change_places_by_way_of_a_third_and_that_of_what_is_gone_is_free(
    named: Path, tmp_path: Path
) -> None:
    folder = copied(named, tmp_path / "named.motion")
    migrated(folder, "--rename-key", "garment.size=other", "--rename-table", "garment=clothes")
    migrated(folder, "--rename-key", "clothes.name=size")
    migrated(folder, "--rename-key", "clothes.other=name")
    migrated(folder, "--drop-trigger", "look", "--drop-trigger", "watch")
    migrated(folder, "--drop-table", "shop")
    migrated(folder, "--rename-table", "clothes=Shop", "--drop-key", "clothes.price")
    sql = CliRunner().invoke(app, ["sql", str(folder), 'select name, size from "Shop"', "--json"])
    assert json.loads(sql.stdout) == [{"name": 3, "size": "coat"}]


def test_a_key_with_the_word_page_that_names_no_rows_is_renamed_to_and_converted(
    judged: Path,
) -> None:
    migrated(judged, "--rename-key", "note.mood=home_page")
    (judged.parent / "paged.py").write_text(
        "import motion\nfrom typing import Annotated\ndef size_of(text: str) -> int:\n    return -len(text)\n"
        "def page_of(number: int) -> Annotated[int, motion.Key(page=True)]:\n    return 1\n"
    )
    migrated(judged, "--convert", "note.home_page=paged:size_of")
    sql = ["sql", str(judged), "select min(home_page) n from note", "--json"]
    assert json.loads(CliRunner().invoke(app, sql).stdout)[0]["n"] < 0
    assert "names no rows" in complaint(judged, "--convert", "note.home_page=paged:page_of")


def test_a_store_that_is_run_is_not_migrated(tmp_path: Path) -> None:
    with opened(tmp_path, shout_called("shout"), note=Note) as store:
        store.set("note", text="first").wait()
        assert "Stop it, migrate, and start it" in complaint(
            tmp_path, "--rename-trigger", "shout=call", "--yes"
        )
        assert store.get("note", 1).loud == "FIRST"


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ([], 2, "say what to rename or to drop"),
        (["--rename-key", "photo.title"], 2, "--rename-key takes the old name and the new one, as OLD=NEW"),
        (["--rename-key", "title=name"], 1, "a key written table.key"),
        (["--rename-key", "photo.titel=name"], 1, "Did you mean 'title'?"),
        (["--rename-key", "photo.title=best"], 2, "'best' already"),
        (["--rename-key", "photo.title=two words"], 2, "cannot be called 'two words'"),
        (["--drop-key", "photo.id"], 1, "names the rows"),
        (["--drop-key", "photo.vector"], 1, "kept once for each state version, by Encoder.embed"),
        (["--rename-component", "Encodr=Matcher"], 1, "Did you mean 'Encoder'?"),
        (["--drop-trigger", "embed"], 1, "the store has no trigger 'embed'"),
        (["--rename-table", "photo=2nd"], 2, "cannot be called '2nd'"),
        (["--drop-table", "photos"], 1, "Did you mean 'photo'?"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_a_line(
    learned: Path, words: list[str], status: int, message: str
) -> None:
    assert message in complaint(learned, *words, status=status)


# -- folds that apply each row once: what is renamed costs no call --


@dataclass
class Message:
    id: int
    user: int
    text: str


@dataclass
class User:
    id: int
    profile: str


@dataclass
class Person:
    id: int
    summary: str


@dataclass
class Letter:
    id: int
    person: int
    body: str


CALLED: list[str] = []


@motion.fold(on="message.text", by="message.user", sets="user.profile", replay=False)
def remember(profile: str | None, text: str) -> str:
    CALLED.append(text)
    return (profile or "") + text


@motion.fold(on="message.text", by="message.user", sets="user.profile", replay=False)
def keep(profile: str | None, text: str) -> str:
    CALLED.append(text)
    return (profile or "") + text


@motion.fold(on="letter.body", by="letter.person", sets="person.summary", replay=False)
def retain(summary: str | None, body: str) -> str:
    CALLED.append(body)
    return (summary or "") + body


def test_a_fold_that_is_renamed_or_whose_keys_and_tables_are_goes_on_from_its_values(
    tmp_path: Path,
) -> None:
    CALLED.clear()
    with opened(tmp_path, remember, message=Message, user=User) as store:
        store.set_many("message", [{"user": 1, "text": "a"}, {"user": 1, "text": "b"}])
        store.wait()
    migrated(tmp_path, "--rename-trigger", "remember=keep")
    with opened(tmp_path, keep, message=Message, user=User) as store:
        store.set("message", user=1, text="c").wait()
        store.wait()
        assert store.get("user", 1).profile == "abc"
    for words in ("message.user=person", "message.text=body", "user.profile=summary"):
        migrated(tmp_path, "--rename-key", words)
    migrated(tmp_path, "--rename-table", "message=letter")
    migrated(tmp_path, "--rename-table", "user=person")
    migrated(tmp_path, "--rename-trigger", "keep=retain")
    with opened(tmp_path, retain, letter=Letter, person=Person) as store:
        store.set("letter", person=1, body="d").wait()
        store.wait()
        assert store.get("person", 1).summary == "abcd"
        assert CALLED == ["a", "b", "c", "d"]
        assert store.plan("retain").stale == 1  # rows may have changed meanwhile
        store.backfill("retain").wait()
        assert store.get("person", 1).summary == "abcd"


# -- what was read by hand --


@dataclass
class Query:
    id: int
    photo: int
    line: str


@dataclass
class Picture:
    id: int
    name: str


def reading(called: str, table: str, key: str) -> Any:
    @motion.trigger(on="query.photo", sets="query.line", follow=True, version="1", name=called)
    def read(photo: int, store: motion.View) -> str:
        return str(store.get(table, photo, keys=(key,)))

    return read


def test_what_runs_have_read_is_followed_under_its_new_names(tmp_path: Path) -> None:
    with opened(tmp_path, reading("read", "photo", "title"), photo=Photo, query=Query) as store:
        store.set("query", id=1, photo=7)
        store.wait(timeout=60)
    migrated(tmp_path, "--rename-trigger", "read=look", "--rename-key", "photo.title=name")
    migrated(tmp_path, "--rename-table", "photo=picture")
    migrated(
        tmp_path,
        *(
            word
            for key in ("vector", "best", "is_good")
            for word in ("--drop-key", f"picture.{key}")
        ),
    )
    look = reading("look", "picture", "name")
    with opened(tmp_path, look, picture=Picture, query=Query) as store:
        store.set("picture", id=7, name="a")
        store.wait(timeout=60)
        assert store.get(Query, 1) == Query(1, 7, "Picture(id=7, name='a')")


@dataclass
class Placed:
    id: int
    vector: Annotated[np.ndarray, motion.Vector(2)]


@pytest.mark.parametrize(
    "words", [("--drop-table", "note"), ("--drop-key", "note.vector"), ("--rename-key", "note.vector=place")], ids=str
)  # fmt: skip
def test_numbers_of_the_log_of_vectors_are_not_given_anew(
    tmp_path: Path, words: Sequence[str]
) -> None:
    """Who has the store open, and only reads, tells by them what has changed."""

    def newest(store: motion.Store) -> int:
        asked = store.sql("select max(entry) as newest from motion_vector_log")
        return int(asked["newest"].to_pylist()[0])

    folder, vector = tmp_path / "noted", np.ones(2, np.float32)
    with opened(folder, photo=Photo, note=Placed) as store:
        store.set("photo", id=1, vector=vector)
        store.set("note", id=1, vector=vector)
        before = newest(store)
    migrated(folder, *words)
    with opened(folder, photo=Photo) as store:
        store.set("photo", id=2, vector=vector)
        assert newest(store) > before
        assert {hit.id for hit in store.search("photo.vector", vector)} == {1, 2}
