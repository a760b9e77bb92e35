"""`store.forget`: no byte of a row is left in the store's folder, and what learned from it stays named."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest

import motion
from motion import faults
from motion.persistence.search import indexes
from tests.conftest import OpenStore, until
from tests.postgres import files_of

ROOT = Path(__file__).parents[2]

WORD = "zqxcanaryzqx"
VECTOR = np.array([0.123456, -7.654321, 3.141592], np.float32)
OTHER = np.array([1.0, 2.0, 3.0], np.float32)


@dataclass
class Person:
    id: str
    about: str
    facts: dict[str, str]
    photo: Annotated[np.ndarray, motion.Vector(3, metric="l2", index="hnsw")]
    loud: str
    shaky: str
    answer: str
    word: str
    word_page: int
    liked: bool


@dataclass
class Mention:
    id: int
    person: Annotated[str, motion.Ref("person", delete=True)]
    shown: str


@dataclass
class Part:
    id: int
    text: str


SCHEMAS = {"person": Person, "mention": Mention, "part": Part}


@motion.trigger(on="person.about", sets="person.loud", memo=True)
def shout(about: str) -> str:
    return about.upper()


@motion.trigger(on="person.about", sets="person.shaky")
def break_some(about: str) -> str:
    raise ValueError(f"cannot take {about}")


@motion.trigger(on="person.about", sets="person.answer")
def grow(about: str) -> Iterator[str]:
    yield about
    raise ValueError("half way")


@motion.trigger(on="person.about", sets="person.word", page="word_page")
def words(about: str) -> list[str]:
    return about.split()


@motion.trigger(on="person.about", sets="part")
def cut(about: str) -> list[dict[str, Any]]:
    return [{"text": word} for word in about.split()]


@motion.trigger(on="mention.person", sets="mention.shown", memo=True)
def show(about: Annotated[str, motion.Lookup("person.about", by="person")]) -> str:
    return f"see {about}"


class Taste(motion.Component):
    """Its state is what it was told; so a state tells whom it knows."""

    def setup(self) -> dict[str, Any]:
        return {"known": []}

    @motion.fit(on="person.liked", every=1_000)
    def learn(self, state: dict[str, Any], rows: list[Person]) -> dict[str, Any]:
        return {"known": sorted({*state["known"], *(row.id for row in rows)})}


TRIGGERS = [shout, break_some, grow, words, cut, show]


def person(id: str, word: str, vector: Any) -> dict[str, Any]:
    about = f"{word} likes {word}s " + "x" * 5_000 + f" {word}"
    return {"id": id, "about": about, "facts": {"said": word}, "photo": vector}


def others() -> list[dict[str, Any]]:
    """Return people enough for an index."""
    photos = np.random.default_rng(1).normal(size=(600, 3)).astype(np.float32)
    return [{"id": f"p{i}", "photo": photo} for i, photo in enumerate(photos)]


def set_all(store: motion.Store) -> None:
    """Let one person leave traces wherever a row can, and another one, too."""
    store.set("person", **person(WORD, f"{WORD}old", VECTOR * 2))
    store.wait()
    store.set("person", **person(WORD, WORD, VECTOR))
    store.set("person", **person("other", "plain", OTHER))
    store.set("mention", id=1, person=WORD)
    store.set("mention", id=2, person="other")
    store.wait()


def traces(folder: Path) -> list[str]:
    """Return the files in which a byte of the person is, in whichever form."""
    forms = [
        each.encode(code)
        for each in (WORD, WORD.upper())
        for code in ("utf-8", "utf-16-le", "utf-16-be")
    ]
    forms += [VECTOR.tobytes(), (VECTOR * 2).tobytes(), VECTOR[:2].tobytes()]
    files = {path: path.name for path in folder.rglob("*") if path.is_file()}
    files |= dict.fromkeys(files_of(folder), "store.sqlite")  # which stands for them
    return sorted(
        {name for path, name in files.items() if any(form in bytes_of(path) for form in forms)}
    )


def bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # a view that has been let go meanwhile
        return b""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "shop.motion"


@pytest.fixture
def index_is_kept(graph_at_any_size: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the index of few vectors on disk, and again at each end."""
    monkeypatch.setattr(indexes, "KEPT_AFTER", 0)


def has_index(folder: Path) -> bool:
    return any(folder.glob("indexes/*.index"))


@pytest.mark.usefixtures("index_is_kept")
def test_no_byte_of_a_row_is_left_in_the_folder(open_store: OpenStore, folder: Path) -> None:
    with open_store(schemas=SCHEMAS, triggers=TRIGGERS) as store:
        store.set_many("person", others())
        set_all(store)
        assert store.search("person.about", text=WORD)
        assert store.search("person.photo", VECTOR, k=1)[0].id == WORD
        until(store, lambda: has_index(folder), timeout_s=60)
    assert traces(folder) == ["person.photo.0.index", "store.sqlite"]
    store = open_store(schemas=SCHEMAS, triggers=TRIGGERS)
    store.search("person.photo", VECTOR, k=1)
    forgotten = store.forget("person", WORD)
    assert traces(folder) == []
    assert [*forgotten.rows.items()] == [("person", 5), ("mention", 1), ("part", 5)]
    assert store.search("person.about", text=WORD) == []
    assert store.search("person.photo", VECTOR, k=1)[0].id != WORD
    assert [row.shown is None for row in store.rows("mention")] == [False]
    assert store.search("person.about", text="plain")[0].id == "other"
    store.close()
    assert traces(folder) == []


def test_a_row_that_was_deleted_before_is_forgotten_too(
    open_store: OpenStore, folder: Path
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[shout])
    set_all(store)
    store.delete("person", WORD)
    store.wait()
    assert traces(folder)
    assert store.forget("person", WORD).rows == {}
    assert traces(folder) == []


def test_what_lies_in_free_space_of_the_file_is_forgotten_too(
    open_store: OpenStore, folder: Path
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[])
    with closing(
        sqlite3.connect(folder / "store.sqlite")
    ) as guest:  # not every SQLite zeroes what it frees
        guest.execute("PRAGMA secure_delete = OFF")
        guest.execute("CREATE TABLE scratch AS SELECT ? AS word", (WORD,))
        guest.execute("DROP TABLE scratch")
        guest.commit()
        guest.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert traces(folder) == ["store.sqlite"]
    store.forget("person", WORD)
    assert traces(folder) == []


def test_what_its_values_were_made_from_before_is_forgotten_too(
    open_store: OpenStore, folder: Path
) -> None:
    @motion.trigger(on="person.about", sets="person.loud")
    def loud_words(about: str) -> str:
        if about == "plain":
            raise ValueError
        return f"{len(about)}"

    store = open_store(schemas=SCHEMAS, triggers=[loud_words])
    store.set("person", id="p1", about=WORD).wait()
    store.set("person", id="p1", about="plain").wait(raise_errors=False)
    assert store.explain("person", "p1", "loud").inputs[0].value == WORD
    store.forget("person", "p1")
    assert traces(folder) == []


def test_several_are_forgotten_together_and_others_stay(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[shout, words])
    store.set_many("person", [{"id": f"p{i}", "about": f"a{i} b"} for i in range(5)])
    store.wait()
    forgotten = store.forget("person", ["p1", "p3"])
    assert forgotten.rows == {"person": 4}
    assert [row.id for row in store.rows("person", where="word_page = 0")] == ["p0", "p2", "p4"]
    assert "4 of person" in str(forgotten)
    assert store.status().forgetting == 0


# -- what looks into the table, and folds over it --


@dataclass
class Visit:
    id: int
    of: str
    shown: str


def test_what_looked_it_up_keeps_no_memo_and_no_failure_of_it(
    open_store: OpenStore, folder: Path
) -> None:
    may_answer = threading.Event()

    @motion.trigger(on="visit.of", sets="visit.shown", memo=True, version="1")
    def look(about: Annotated[str, motion.Lookup("person.about", by="of")]) -> str:
        return f"saw {about}"

    @motion.trigger(on="visit.of", retries=5, version="1")
    def tell(
        of: str, about: Annotated[str, motion.Lookup("person.about", by="of", follow=False)]
    ) -> None:
        if not may_answer.is_set():
            raise ConnectionError(f"nobody is told of {about}")

    store = open_store(schemas={**SCHEMAS, "visit": Visit}, triggers=[look, tell])
    store.set("person", id="p", about=WORD)
    store.set("visit", id=1, of="p").wait("shown")
    until(store, lambda: "postponed" in store.status().tasks.get("tell", {}), timeout_s=60)
    may_answer.set()
    store.forget("person", "p")
    assert traces(folder) == []
    assert store.rows("visit")[0].shown is None


@dataclass
class Message:
    id: int
    user: Annotated[str, motion.Ref("user", delete=True)]
    text: str


@dataclass
class User:
    id: str
    profile: str


@motion.fold(on="message.text", by="message.user", sets="user.profile")
def remember(profile: str | None, text: str) -> str:
    return f"{profile or ''} {text}".strip()


CHAT = {"message": Message, "user": User}


def test_a_fold_goes_with_its_entity(open_store: OpenStore, folder: Path) -> None:
    store = open_store(schemas=CHAT, triggers=[remember])
    store.set("user", id=WORD)
    store.set_many("message", [{"user": WORD, "text": f"{WORD} {i}"} for i in range(20)])
    store.set("message", user="other", text="hello")
    store.wait()
    assert WORD in store.get("user", WORD).profile
    forgotten = store.forget("user", WORD)
    assert forgotten.rows == {"user": 1, "message": 20}
    assert traces(folder) == []
    assert [(row.id, row.profile) for row in store.rows("user")] == [("other", "hello")]


def test_what_names_a_row_goes_although_the_row_is_not_there_yet(
    open_store: OpenStore, folder: Path
) -> None:
    begun, release = threading.Event(), threading.Event()

    @motion.fold(on="message.text", by="message.user", sets="user.profile")
    def remember_late(profile: str | None, text: str) -> str:
        begun.set()
        assert release.wait(60)
        return f"{profile or ''} {text}".strip()

    store = open_store(schemas=CHAT, triggers=[remember_late])
    store.set("message", user=WORD, text=f"{WORD} 1")
    assert begun.wait(60)
    forgetting: list[motion.Forgotten] = []
    thread = threading.Thread(target=lambda: forgetting.append(store.forget("user", WORD)))
    thread.start()
    until(store, lambda: not store.rows("message"), timeout_s=60)
    release.set()
    thread.join(60)
    store.wait(timeout=60)
    assert [told.rows for told in forgetting] == [{"message": 1}]
    assert store.rows("user") == []
    assert traces(folder) == []


def test_what_names_a_row_that_was_deleted_before_goes(open_store: OpenStore, folder: Path) -> None:
    store = open_store(schemas=CHAT, triggers=[])
    store.set("user", id=WORD)
    store.delete("user", WORD)
    store.set_many("message", [{"user": WORD, "text": WORD}, {"user": "other", "text": "hello"}])
    assert store.forget("user", WORD).rows == {"message": 1}
    assert [row.user for row in store.rows("message")] == ["other"]
    assert traces(folder) == []


def test_a_folded_row_is_taken_out_of_the_value_and_of_all_checkpoints(
    open_store: OpenStore, folder: Path
) -> None:
    store = open_store(schemas=CHAT, triggers=[remember])
    texts = [f"t{i}" for i in range(20)]
    store.set_many(
        "message", [{"id": i, "user": "u", "text": text} for i, text in enumerate(texts, 1)]
    )
    store.wait()
    store.set("message", id=7, user="u", text=WORD).wait()
    store.forget("message", 7)
    assert store.get("user", "u").profile == " ".join(texts[:6] + texts[7:])
    assert traces(folder) == []


@pytest.mark.parametrize("retries", [0, 9])
@pytest.mark.parametrize("replay", [True, False])
def test_what_a_fold_told_of_a_row_that_failed_is_forgotten(
    open_store: OpenStore, folder: Path, replay: bool, retries: int
) -> None:
    calls: list[str] = []

    @motion.fold(
        on="message.text", by="message.user", sets="user.profile", replay=replay, retries=retries
    )
    def keep(profile: str | None, text: str) -> str:
        calls.append(text)
        if text == WORD:
            raise ValueError(f"cannot take {text}")
        return f"{profile or ''}{text}"

    store = open_store(schemas=CHAT, triggers=[keep])
    texts = ["a", WORD, "b"]
    store.set_many(
        "message", [{"id": i, "user": "u", "text": text} for i, text in enumerate(texts, 1)]
    )
    until(store, lambda: bool(store.errors()) or calls.count(WORD) > 1)  # it waits to be tried
    store.forget("message", 2)
    assert traces(folder) == []
    assert store.errors() == []
    store.wait()
    assert store.get("user", "u").profile == "ab"


def test_what_it_had_brought_to_others_is_not_kept_as_what_their_values_were_made_from(
    open_store: OpenStore, folder: Path
) -> None:
    @dataclass
    class Reader:
        id: str
        mood: str
        profile: str
        seen: Annotated[str, motion.Lookup("message.text", by="last")]
        last: int
        length: int
        words: int

    @motion.fold(on="message.text", by="message.user", sets="reader.profile")
    def gather(profile: str | None, text: str) -> str:
        return f"{profile or ''} {text}".strip()

    @motion.trigger(on="reader.mood", sets="reader.length")
    def measure(mood: str, profile: str | None, seen: str | None) -> int:
        return len(f"{mood}{profile}{seen}")

    @motion.trigger(on="reader.profile", sets="reader.words", inline=False)
    def count(profile: str) -> int:
        if WORD not in profile:
            raise ValueError("too short")
        return len(profile.split())

    @dataclass
    class Sent:
        id: int
        user: Annotated[str, motion.Ref("reader", delete=True)]
        text: str

    store = open_store(
        schemas={"reader": Reader, "message": Sent}, triggers=[gather, measure, count]
    )
    store.set_many(
        "message", [{"id": 1, "user": "u", "text": "hello"}, {"id": 2, "user": "u", "text": WORD}]
    )
    store.wait()
    store.set("reader", id="u", last=2, mood="calm").wait()
    assert (store.get("reader", "u").seen, store.get("reader", "u").words) == (WORD, 2)
    store.forget("message", 2)
    assert traces(folder) == []
    assert store.get("reader", "u").profile == "hello"


# -- runs under way --


def test_a_run_under_way_cannot_bring_it_back(open_store: OpenStore, folder: Path) -> None:
    has_read, may_write = threading.Event(), threading.Event()

    @motion.trigger(on="mention.person")
    def copy(id: int, store: motion.View) -> None:
        found = store.sql("SELECT about FROM person").to_pylist()  # an open read: nobody checks it
        has_read.set()
        assert may_write.wait(30)
        store.set("part", id=id, text=f"{[row['about'] for row in found]}")

    store = open_store(schemas=SCHEMAS, triggers=[copy])
    store.set("person", id=WORD, about=WORD)
    store.set("mention", id=1)
    store.set("mention", id=1, person="nobody")
    assert has_read.wait(30)
    forgetting = threading.Thread(target=store.forget, args=("person", WORD))
    forgetting.start()
    until(store, lambda: store.get("person", WORD) is None, timeout_s=60)
    may_write.set()
    forgetting.join(60)
    store.wait()
    assert [row.text for row in store.rows("part")] == ["[]"]
    assert traces(folder) == []


def test_what_acts_once_is_not_called_again_by_it(open_store: OpenStore) -> None:
    calls: list[int] = []
    has_begun, may_end = threading.Event(), threading.Event()

    @motion.trigger(on="mention.person", once=True)
    def mail(id: int) -> None:
        calls.append(id)
        has_begun.set()
        assert may_end.wait(30)

    store = open_store(schemas=SCHEMAS, triggers=[mail])
    store.set("person", id="p", about="a")
    change = store.set("mention", id=1, person="q")
    assert has_begun.wait(30)
    store.forget("person", "p")
    may_end.set()
    change.wait()
    store.wait()
    assert calls == [1]


def test_inside_a_run_it_is_refused(open_store: OpenStore) -> None:
    @motion.trigger(on="person.about")
    def ask(id: str) -> None:
        store.forget("person", id)

    store = open_store(schemas=SCHEMAS, triggers=[ask])
    store.set("person", id="p", about="a").wait(raise_errors=False)
    assert "WaitInsideRun" in store.errors()[0].error


def test_a_deletion_trigger_runs_and_its_copy_of_the_row_goes(
    open_store: OpenStore, folder: Path
) -> None:
    gone: list[str] = []

    @motion.trigger(on=motion.deleted("person"))
    def tell(id: str) -> None:
        gone.append(id)

    store = open_store(schemas=SCHEMAS, triggers=[tell])
    store.set("person", **person(WORD, WORD, VECTOR))
    store.forget("person", WORD)
    assert gone == [WORD]
    assert traces(folder) == []


# -- models --


class Echo(motion.Component):
    """Its outputs are kept for each state version."""

    def setup(self) -> dict[str, Any]:
        return {"n": 1}

    @motion.infer(on="person.about", sets="person.loud", refresh="before")
    def echo(self, state: dict[str, Any], about: str) -> str:
        return f"{about} {state['n']}"

    @motion.fit(on="person.liked", every=1_000)
    def learn(self, state: dict[str, Any], rows: list[Person]) -> dict[str, Any]:
        return {"n": state["n"] + 1}


@pytest.mark.parametrize("is_there", [True, False])
def test_outputs_of_all_versions_go_also_of_a_component_that_is_away(
    open_store: OpenStore, folder: Path, is_there: bool
) -> None:
    with open_store(schemas=SCHEMAS, triggers=[Echo()]) as store:
        store.set("person", id="p", about=WORD, liked=True)
        store.wait()
        store.model("Echo").fit().wait(timeout=60)
        store.wait()
        assert store.search("person.loud", text=WORD)
    store = open_store(schemas=SCHEMAS, triggers=[Echo()] if is_there else [])
    store.forget("person", "p")
    assert traces(folder) == []


def known(store: motion.Store) -> list[str]:
    with store.model("Taste").live() as (state, _):
        return list(state["known"])


@pytest.fixture
def learned(open_store: OpenStore) -> motion.Store:
    """A store with two live fits, of which the second learned from the person."""
    store = open_store(schemas=SCHEMAS, triggers=[Taste()])
    store.set("person", id="a", liked=True)
    store.model("Taste").fit().wait(timeout=60)
    store.set("person", id=WORD, about=WORD, liked=True)
    store.set("person", id="b", liked=True)
    store.model("Taste").fit().wait(timeout=60)
    assert known(store) == ["a", "b", WORD]
    return store


def test_what_learned_from_it_is_named_and_stays_named(learned: motion.Store) -> None:
    forgotten = learned.forget("person", WORD)
    assert (forgotten.labels, forgotten.versions) == (1, {"Taste": (3,)})
    versions = learned.model("Taste").versions()
    assert [each.forgotten for each in versions] == [0, 0, 1]
    assert "Taste: learned from by version(s) 3" in str(forgotten)
    assert known(learned) == ["a", "b", WORD]


def test_refit_asks_for_a_fit_that_begins_where_nothing_had_learned_from_it(
    learned: motion.Store,
) -> None:
    learned.forget("person", WORD, models="refit")
    learned.wait(timeout=60)
    newest = learned.model("Taste").versions()[-1]
    assert (newest.number, newest.parent, newest.forgotten) == (4, 2, 0)
    assert known(learned) == ["a", "b"]


def test_refit_begins_at_nothing_that_came_from_a_version_that_had_learned_from_it(
    learned: motion.Store,
) -> None:
    learned.set("person", id="c", liked=True)
    learned.model("Taste").fit().wait(timeout=60)
    learned.forget("person", WORD, models="refit")
    learned.wait(timeout=60)
    newest = learned.model("Taste").versions()[-1]
    assert (newest.number, newest.parent, newest.status) == (5, 2, "live")
    assert known(learned) == ["a", "b", "c"]


def test_refit_with_nothing_else_to_learn_from_goes_back_to_where_nothing_had(
    open_store: OpenStore,
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[Taste()])
    for id in ("a", WORD):
        store.set("person", id=id, liked=True)
        store.model("Taste").fit().wait(timeout=60)
    assert known(store) == ["a", WORD]
    store.forget("person", WORD, models="refit")
    store.wait(timeout=60)
    assert known(store) == ["a"]
    assert [each.status for each in store.model("Taste").versions()] == [
        "retired",
        "live",
        "retired",
    ]


HAS_BEGUN, MAY_END = "begun", "may-end"


class Slow(motion.Component):
    """A fit that waits, in a process of its own."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def setup(self) -> dict[str, Any]:
        return {"known": []}

    @motion.fit(on="person.liked", every=1_000)
    def learn(self, state: dict[str, Any], rows: list[Person]) -> dict[str, Any]:
        (Path(self.folder) / HAS_BEGUN).touch()
        while not (Path(self.folder) / MAY_END).exists():
            threading.Event().wait(0.01)
        ids = [row.id for row in rows]
        return {"known": ids, "file": np.frombuffer(" ".join(ids).encode(), np.uint8)}


@pytest.mark.parametrize("others", [["b"], []])
def test_a_fit_under_way_with_its_label_is_dropped_and_made_without(
    open_store: OpenStore, tmp_path: Path, folder: Path, others: list[str]
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[Slow(str(tmp_path))])
    store.set("person", id=WORD, about=WORD, liked=True)
    for id in others:
        store.set("person", id=id, liked=True)
    change = store.model("Slow").fit()
    until(store, lambda: (tmp_path / HAS_BEGUN).exists(), timeout_s=60)
    store.forget("person", WORD)
    (tmp_path / MAY_END).touch()
    change.wait(timeout=60)
    with store.model("Slow").live() as (state, _):
        assert state["known"] == others
    until(store, lambda: traces(folder) == [], timeout_s=60)


class Fussy(motion.Component):
    def setup(self) -> dict[str, Any]:
        return {"known": []}

    @motion.fit(on="person.liked", every=1_000)
    def learn(self, state: dict[str, Any], rows: list[Person]) -> dict[str, Any]:
        raise ValueError(f"cannot learn from {[row.id for row in rows]}")


def test_what_a_failed_fit_told_of_it_is_forgotten(open_store: OpenStore, folder: Path) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[Fussy()])
    store.set("person", id=WORD, liked=True)
    with pytest.raises(motion.StateError, match="cannot learn"):
        store.model("Fussy").fit().wait(timeout=60)
    store.forget("person", WORD)
    assert traces(folder) == []
    assert store.model("Fussy").versions()[-1].status == "failed"


# -- kills, and other processes --


def die_at(folder: str, point: str) -> None:
    """Forget a person and end the process at a point. Runs in a process of its own."""

    def stop(reached: str) -> None:
        if reached == point:
            os._exit(3)

    store = motion.create_store("shop", schemas=SCHEMAS, triggers=TRIGGERS, url=folder)
    set_all(store)
    faults.arm(stop)
    store.forget("person", WORD)


@pytest.mark.parametrize("point", ["forget.noted", "forget.rewritten"])
def test_killed_in_the_middle_it_is_finished_at_the_next_opening(
    open_store: OpenStore, folder: Path, point: str
) -> None:
    url = f"sqlite:///{folder}"
    code = f"import tests.store.test_forget as here; here.die_at({url!r}, {point!r})"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 3
    assert point == "forget.rewritten" or traces(folder)
    store = open_store(schemas=SCHEMAS, triggers=TRIGGERS)
    until(store, lambda: store.status().forgetting == 0, timeout_s=60)
    assert traces(folder) == []
    assert store.get("person", WORD) is None


@pytest.mark.usefixtures("index_is_kept")
def test_an_index_from_before_is_not_kept_on_disk_any_more(
    open_store: OpenStore, folder: Path
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[])
    store.set_many("person", others())
    store.set("person", id=WORD, photo=VECTOR)
    other = motion.create_store("second", schemas=SCHEMAS, url=f"sqlite:///{folder}", run=False)
    assert other.search("person.photo", VECTOR, k=1)[0].id == WORD
    until(store, lambda: has_index(folder), timeout_s=60)
    store.forget("person", WORD)
    assert not has_index(folder)
    other.close()  # it would keep its index, which is from before
    assert traces(folder) == []


def test_those_that_wait_for_the_writing_of_the_file_share_one(
    open_store: OpenStore, folder: Path
) -> None:
    store = open_store(schemas=SCHEMAS)
    store.set_many("part", [{"id": i, "text": f"{WORD}{i}"} for i in range(16)])
    erased, writings = threading.Semaphore(0), list[str]()

    def at(point: str) -> None:
        if point == "forget.erased":
            erased.release()
        elif point == "forget.rewritten":
            if not writings:
                for _ in range(16):
                    assert erased.acquire(timeout=60)
            writings.append(point)

    faults.arm(at)
    try:
        with ThreadPoolExecutor(16) as threads:
            told = list(threads.map(lambda i: store.forget("part", i), range(16)))
    finally:
        faults.arm(None)
    assert [each.rows for each in told] == [{"part": 1}] * 16
    assert len(writings) <= 8
    assert traces(folder) == []


def test_a_reader_holds_it_up_and_then_it_goes_on(open_store: OpenStore, folder: Path) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[])
    store.set("person", id=WORD, about=WORD)
    with store._database.backend.read() as tx:
        tx.execute("SELECT * FROM person").fetchall()
        done: list[Any] = []

        def forget() -> None:
            with pytest.raises(motion.WaitTimeout):
                store.forget("person", WORD, timeout=0.2)
            done.append(True)

        thread = threading.Thread(target=forget)
        thread.start()
        thread.join(60)
        assert done
        assert store.status().forgetting == 1
    until(store, lambda: store.status().forgetting == 0, timeout_s=60)
    assert traces(folder) == []


def test_another_word_for_models_is_refused(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[])
    with pytest.raises(motion.InvalidArgument, match="'refit'"):
        store.forget("person", "p", models="all")  # type: ignore[arg-type]


@dataclass
class Product:
    id: int
    name: str


@dataclass
class Sale:
    id: int
    product: int
    label: str


def test_very_many_rows_that_have_read_a_row_by_hand_lose_it(open_store: OpenStore) -> None:
    @motion.trigger(on="sale.product", sets="sale.label", follow=True)
    def label(product: int, store: motion.View) -> str:
        found = store.get("product", product)
        return f"of {found.name}" if found else "gone"

    store = open_store(schemas={"product": Product, "sale": Sale}, triggers=[label])
    store.set("product", id=1, name=WORD)
    count = 501  # more than are made due at once
    store.set_many("sale", [{"id": i, "product": 1} for i in range(count)])
    store.wait(timeout=60)
    assert {row.label for row in store.rows("sale")} == {f"of {WORD}"}
    store.forget("product", 1)
    store.wait(timeout=60)
    assert {row.label for row in store.rows("sale")} == {"gone"}
