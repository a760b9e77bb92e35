"""`store.forget`: what former code has brought to other rows goes as well, where the code of now looks elsewhere, or has another name."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
from typer.testing import CliRunner

import motion
from motion.cli.app import app
from tests.conftest import OpenStore
from tests.store.test_forget import WORD, traces


@dataclass
class User:
    id: str
    name: str


@dataclass
class Doc:
    id: int
    user: str
    room: str
    text: str
    b: str
    c: str
    d: str
    word: str
    word_page: int


@dataclass
class WithKept:
    id: int
    user: str
    room: str
    text: str
    b: str
    c: str
    d: Annotated[str, motion.Window("doc.b", by="room", agg="last", itself=True)]
    word: str
    word_page: int


Name = Annotated[str, motion.Lookup("user.name", by="user")]


def own(b: str) -> str:
    if b == "bad":
        raise ValueError("cannot")
    return f"by {b}"


@motion.trigger(on="doc.user", sets=("doc.c", "doc.d"), name="g")
def g_before(name: Name) -> tuple[str, str]:
    return f"c of {name}", f"d of {name}"


@motion.trigger(on="doc.user", sets="doc.c", name="g")
def g_of_one(name: Name) -> str:
    return f"c of {name}"


@motion.trigger(on="doc.b", sets=("doc.c", "doc.d"), name="g")
def g_elsewhere(b: str) -> tuple[str, str]:
    return own(b), own(b)


@motion.trigger(on="doc.b", sets="doc.c", name="g")
def g_of_one_elsewhere(b: str) -> str:
    return own(b)


@motion.trigger(on="doc.b", sets=("doc.c", "doc.d"))
def h(b: str) -> tuple[str, str]:
    return own(b), own(b)


@motion.trigger(on="doc.b", sets="doc.d", name="h")
def h_of_one(b: str) -> str:
    return own(b)


@motion.trigger(on="doc.room", sets="doc.d", name="g")
def g_by_window(
    texts: Annotated[list[str], motion.Window("doc.text", by="room")],
) -> str:
    return " ".join(texts)


@motion.trigger(on="doc.c", sets="doc.d", name="z")
def z_before(c: str) -> str:
    return c * 2


@motion.trigger(on="doc.b", sets="doc.d", name="z")
def z_elsewhere(b: str) -> str:
    return own(b)


class Before(motion.Component, name="C"):
    def setup(self) -> int:
        return 1

    @motion.infer(on="doc.user", sets="doc.d", refresh="before")
    def make(self, state: int, name: Name) -> str:
        return f"d of {name}"

    @motion.fit(on="doc.text", promote=motion.manual)
    def learn(self, state: int, rows: list[Doc]) -> int:
        return state + 1


class Now(motion.Component, name="C"):
    def setup(self) -> int:
        return 1

    @motion.infer(on="doc.b", sets="doc.d", refresh="before")
    def make(self, state: int, b: str) -> str:
        return own(b)

    @motion.fit(on="doc.text", promote=motion.manual)
    def learn(self, state: int, rows: list[Doc]) -> int:
        return state + 1


@motion.trigger(on="doc.user", sets="doc.word", page="word_page", name="words")
def words_before(name: Name) -> list[str]:
    return name.split()


@motion.trigger(on="doc.b", sets="doc.word", page="word_page", name="words")
def words_elsewhere(b: str) -> list[str]:
    return [own(b)]


CODE: dict[str, tuple[list[Any], list[Any]]] = {
    "split": ([g_before], [g_of_one, h_of_one]),
    "renamed": ([g_before], [h]),
    "under the same name": ([g_before], [g_elsewhere]),
    "with another one's key": ([g_of_one, h_of_one], [g_elsewhere]),
    "of a window": ([g_by_window], [h_of_one]),
    "what derives from it": ([g_of_one, z_before], [g_of_one_elsewhere, z_elsewhere]),
}


def open_docs(open_store: OpenStore, triggers: list[Any], kind: type = Doc) -> motion.Store:
    return open_store(schemas={"user": User, "doc": kind}, triggers=triggers)


def set_all(store: motion.Store, b: str | None) -> None:
    """Let a user and a row be brought to others."""
    store.set_many("user", [{"id": "a", "name": f"n {WORD}"}, {"id": "b", "name": "plain"}])
    store.set("doc", id=1, room="r", text=f"t {WORD}")
    of_a = {"user": "a", "room": "r", "b": b}
    store.set_many("doc", [{"id": i, **of_a} for i in (2, 3)])
    store.set("doc", id=4, user="b", room="s", text="t", b=b)
    store.wait(timeout=60)
    store.set("doc", id=3, c="mine", d="mine").wait(timeout=60)


def forget_all(store: motion.Store) -> None:
    store.forget("user", "a", timeout=60)
    store.forget("doc", 1, timeout=60)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "shop.motion"


@pytest.mark.parametrize("b", [None, "x", "bad"], ids=["cannot run", "runs", "fails"])
@pytest.mark.parametrize(("before", "now"), CODE.values(), ids=CODE)
def test_what_former_code_brought_to_other_rows_goes(
    open_store: OpenStore, folder: Path, before: list[Any], now: list[Any], b: str | None
) -> None:
    store = open_docs(open_store, before)
    set_all(store, b)
    kept = store.get("doc", 4)
    store.close()
    store = open_docs(open_store, now)
    assert traces(folder)
    forget_all(store)
    assert traces(folder) == []
    assert store.get("doc", 2).d == ("by x" if b == "x" else None)
    assert (store.get("doc", 3).d, store.get("doc", 4)) == ("mine", kept)


@pytest.mark.parametrize("b", [None, "x"])
def test_what_former_code_brought_to_a_key_that_is_declared_as_a_window_by_now_goes(
    open_store: OpenStore, folder: Path, b: str | None
) -> None:
    store = open_docs(open_store, [g_before])
    set_all(store, b)
    store.close()
    store = open_docs(open_store, [g_of_one], WithKept)
    forget_all(store)
    assert traces(folder) == []
    assert [store.get("doc", i).d for i in (2, 4)] == [b, "d of plain"]


@pytest.mark.parametrize("b", [None, "x", "bad"])
def test_pages_that_former_code_made_of_it_go(
    open_store: OpenStore, folder: Path, b: str | None
) -> None:
    store = open_docs(open_store, [words_before])
    set_all(store, b)
    store.close()
    store = open_docs(open_store, [words_elsewhere])
    forget_all(store)
    assert traces(folder) == []
    assert [row.word for row in store.rows("doc", id=2)] == ["by x" if b == "x" else None]
    assert store.get("doc", 4).word == "plain"


@pytest.mark.parametrize("b", [None, "x"])
def test_no_state_version_keeps_what_its_former_code_made_of_it(
    open_store: OpenStore, folder: Path, b: str | None
) -> None:
    store = open_docs(open_store, [Before()])
    set_all(store, b)
    store.model("C").fit().wait(timeout=60)
    store.model("C").promote(2).wait(timeout=60)
    store.close()
    store = open_docs(open_store, [Now()])
    forget_all(store)
    assert traces(folder) == []
    assert [store.get("doc", i).d for i in (2, 3)] == [b and f"by {b}", "mine"]


def test_a_failure_of_former_code_tells_nothing_of_it(open_store: OpenStore, folder: Path) -> None:
    @motion.trigger(on="doc.user", sets="doc.d", name="g", retries=0)
    def g_fails(name: Name) -> str:
        raise ValueError(f"cannot take {name}")

    store = open_docs(open_store, [g_fails])
    set_all(store, None)
    store.close()
    store = open_docs(open_store, [g_elsewhere])
    assert traces(folder)
    forget_all(store)
    assert traces(folder) == []


def test_it_is_known_by_the_names_that_keys_have_by_now(
    open_store: OpenStore, folder: Path
) -> None:
    @dataclass
    class Moved:
        id: int
        person: str
        room: str
        text: str
        b: str
        c: str
        d: str
        word: str
        word_page: int

    @motion.trigger(on="doc.person", sets="doc.c", name="g")
    def g_of_person(name: Annotated[str, motion.Lookup("user.name", by="person")]) -> str:
        return f"c of {name}"

    store = open_docs(open_store, [g_before])
    set_all(store, None)
    store.close()
    open_docs(open_store, [g_of_one, h_of_one]).close()
    words = ["migrate", str(folder), "--rename-key", "doc.user=person", "--yes"]
    assert CliRunner().invoke(app, words).exit_code == 0
    store = open_docs(open_store, [g_of_person, h_of_one], Moved)
    forget_all(store)
    assert traces(folder) == []
    assert [store.get("doc", i).d for i in (2, 3, 4)] == [None, "mine", "d of plain"]


def test_code_that_differs_in_nothing_that_it_takes_is_noted_once(
    open_store: OpenStore, folder: Path
) -> None:
    """Deploys that go back and forth add nothing."""
    for _ in range(3):
        for code in ([g_before], [g_elsewhere]):
            open_docs(open_store, code).close()
    with closing(sqlite3.connect(folder / "store.sqlite")) as file:
        assert file.execute("SELECT COUNT(*) FROM motion_code_before").fetchone() == (2,)
