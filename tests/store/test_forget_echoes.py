"""`store.forget`: what was brought to other rows of a forgotten one is nowhere in what is kept beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest

import motion
from tests.conftest import OpenStore
from tests.store.test_forget import WORD, traces


@dataclass
class User:
    id: str
    name: str
    badge: int


@dataclass
class Note:
    id: int
    user: str
    thread: str
    text: str
    name: Annotated[str, motion.Lookup("user.name", by="user")]
    badge: int
    name_of_badge: Annotated[str, motion.Lookup("user.name", by="badge", to="user.badge")]
    before: Annotated[str, motion.Window("note.text", by="thread", agg="last")]
    greeting: str
    grown: str
    count: int
    so_far: str
    liked: bool
    from_start: str


SCHEMAS = {"user": User, "note": Note}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "shop.motion"


def set_all(store: motion.Store) -> None:
    """Let a user and a note be brought to other notes."""
    store.set_many(
        "user", [{"id": "a", "badge": 7, "name": f"n {WORD}"}, {"id": "b", "name": "plain"}]
    )
    store.set("note", id=1, user="c", thread="t", text=f"first {WORD}")
    notes = [{"id": i, "user": "a", "badge": 7, "thread": "t", "text": f"text {i}"} for i in (2, 3)]
    store.set_many("note", [*notes, {"id": 4, "user": "b", "thread": "other", "text": "text 4"}])
    store.wait(timeout=60)


def forget_all(store: motion.Store) -> list[motion.Forgotten]:
    return [store.forget("user", "a", timeout=60), store.forget("note", 1, timeout=60)]


@motion.trigger(on=["note.text", "note.name"], sets="note.greeting", inline=False)
def greet(name: str) -> str:
    return f"hello {name}"


@motion.trigger(on="note.text", sets="note.count")
def count_of_kept(name: str | None, before: str | None) -> int:
    raise ValueError(f"cannot count {name} {before}")


@motion.trigger(on=["note.text", "note.greeting"], sets="note.count")
def count_of_derived(greeting: str) -> int:
    raise ValueError(f"cannot count {greeting}")


@motion.trigger(on="note.text")
def look_at_row(row: Note) -> None:
    raise ValueError(f"cannot take {row}")


@motion.trigger(on="note.text")
def read_by_hand(store: motion.View) -> None:
    raise ValueError(f"cannot take {store.rows('user')} {store.rows('note')}")


@motion.fold(on="note.text", by="note.thread", sets="note.so_far")
def join(so_far: str | None, text: str) -> str:
    if text == "text 3":
        raise ValueError(f"too long: {so_far}")
    return f"{so_far or ''} {text}"


@motion.trigger(on="note.text", sets="note.grown")
def grow(name: str | None, before: str | None) -> Iterator[str]:
    yield f"{name} {before}"
    raise ValueError("half way")


FAILING = {
    "a kept key": [count_of_kept],
    "what derives from a kept key": [greet, count_of_derived],
    "a whole row": [look_at_row],
    "what was read by hand": [read_by_hand],
    "a text that was growing": [grow],
}


@pytest.mark.parametrize("triggers", FAILING.values(), ids=FAILING.keys())
@pytest.mark.parametrize("is_there", [True, False], ids=["there", "former"])
@pytest.mark.parametrize("is_deleted", [True, False], ids=["deleted before", "still there"])
def test_no_failure_on_another_row_tells_of_it(
    open_store: OpenStore, folder: Path, triggers: list[Any], is_there: bool, is_deleted: bool
) -> None:
    with open_store(schemas=SCHEMAS, triggers=triggers) as store:
        set_all(store)
        if is_deleted:
            store.delete("user", "a")
            store.delete("note", 1)
            store.wait()
        assert traces(folder)
    store = open_store(schemas=SCHEMAS, triggers=triggers if is_there else triggers[:-1])
    forget_all(store)
    store.close()
    assert traces(folder) == []


def test_no_failure_of_a_fold_on_another_row_tells_of_it(
    open_store: OpenStore, folder: Path
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[join])
    set_all(store)
    assert WORD in store.errors()[0].error
    forget_all(store)
    assert [each.row for each in store.errors()] == ["id=3"]
    assert traces(folder) == []


def test_a_failure_of_a_trigger_that_is_told_nothing_of_it_stays(open_store: OpenStore) -> None:
    @motion.trigger(on="note.user", sets="note.count")
    def count(user: str) -> int:
        raise ValueError(f"no number is {user}")

    store = open_store(schemas=SCHEMAS, triggers=[count, greet])
    set_all(store)
    forget_all(store)
    assert {(each.row, each.inputs) for each in store.errors()} >= {("id=4", "user='b'")}


def test_no_memo_of_another_row_holds_it(open_store: OpenStore, folder: Path) -> None:
    @motion.trigger(on=["note.text", "note.name"], sets="note.greeting", memo=True)
    def greet(name: str) -> str:
        return f"hello {name}"

    @motion.trigger(on=["note.text", "note.greeting"], sets="note.count", memo=True)
    def measure(greeting: str) -> int:
        return len(greeting)

    store = open_store(schemas=SCHEMAS, triggers=[greet, measure])
    set_all(store)
    assert store.get("note", 2).greeting == f"hello n {WORD}"
    forget_all(store)
    assert traces(folder) == []
    assert store.get("note", 2).greeting is None
    assert store.get("note", 4).greeting == "hello plain"


def test_a_deletion_that_is_still_to_be_told_tells_nothing_of_it(
    open_store: OpenStore, folder: Path
) -> None:
    @motion.trigger(on=motion.deleted("note"))
    def tell(id: int, name: str | None, before: str | None) -> None:
        if id != 1:
            raise ValueError(f"{name} {before}")

    store = open_store(schemas=SCHEMAS, triggers=[tell])
    set_all(store)
    store.delete("note", 2).wait(raise_errors=False)
    forget_all(store)
    assert [each.inputs for each in store.errors()] == [""]
    assert traces(folder) == []


# -- labels --


class Taste(motion.Component):
    """A state tells what each fit was given."""

    def setup(self) -> dict[str, Any]:
        return {"given": []}

    @motion.fit(on="note.liked", every=1_000)
    def learn(self, state: dict[str, Any], rows: list[Note]) -> dict[str, Any]:
        given = [(row.id, row.name, row.before, row.greeting, row.so_far) for row in rows]
        return {"given": sorted(given)}


class Decide(Taste):
    """Its labels are rows as they were when they were greeted."""

    @motion.fit(on="note.liked", every=1_000, seen_by="note.from_start")
    def learn(self, state: dict[str, Any], rows: list[Note]) -> dict[str, Any]:
        given = [(row.id, row.name, row.before, row.greeting, row.so_far) for row in rows]
        return {"given": sorted(given)}


@motion.trigger(on="note.text", sets="note.from_start")
def start(text: str) -> str:
    return f"started with {text}"


@motion.fold(on="note.text", by="note.thread", sets="note.so_far")
def gather(so_far: str | None, text: str) -> str:
    return f"{so_far or ''} {text}"


def given(store: motion.Store, component: str) -> Any:
    with store.model(component).live() as (state, _):
        return [tuple(each) for each in state["given"]]


@pytest.mark.parametrize("component", [Taste, Decide])
@pytest.mark.parametrize("is_there", [True, False], ids=["there", "former"])
def test_labels_of_other_rows_lack_what_was_brought_to_them_and_stay(
    open_store: OpenStore, folder: Path, component: type[Taste], is_there: bool
) -> None:
    triggers = [greet, gather, start]
    name = component.__name__
    with open_store(schemas=SCHEMAS, triggers=[*triggers, component()]) as store:
        set_all(store)
        store.set_many("note", [{"id": i, "liked": True} for i in (2, 3, 4)])
        store.wait(timeout=60)
        # The rows themselves are others now; their labels are not made anew by that.
        store.set_many("note", [{"id": 2, "user": "b", "thread": "new"}, {"id": 3, "user": "b"}])
        store.wait(timeout=60)
        assert traces(folder)
    with open_store(
        schemas=SCHEMAS, triggers=[*triggers, component()] if is_there else triggers
    ) as store:
        forgotten = forget_all(store)
    assert traces(folder) == []
    assert [each.labels for each in forgotten] == [0, 0]
    store = open_store(schemas=SCHEMAS, triggers=[*triggers, component()])
    store.model(name).fit().wait(timeout=60)
    got = given(store, name)
    assert [each[0] for each in got] == [2, 3, 4]
    assert [each[1:3] for each in got] == [(None, None), (None, None), ("plain", None)]
    is_early = component is Decide  # when they were seen, what derives was not there yet, perhaps
    assert is_early or got[2][3:] == ("hello plain", " text 4")


@motion.trigger(on="note.text", sets="note.grown", follow=True)
def name_by_hand(user: str, store: motion.View) -> str:
    found: Any = store.get("user", user)
    return f"by {found.name}" if found else "by nobody"


def test_labels_of_rows_whose_runs_have_read_it_by_hand_and_follow_it_lack_what_came_of_that(
    open_store: OpenStore, folder: Path
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[name_by_hand, Taste()])
    set_all(store)
    store.set_many("note", [{"id": i, "liked": True} for i in (2, 3, 4)]).wait(timeout=60)
    assert store.get("note", 2).grown == f"by n {WORD}"
    forget_all(store)
    store.wait(timeout=60)
    assert [row.grown for row in store.rows(Note)] == ["by nobody", "by nobody", "by plain"]
    assert traces(folder) == []


def test_a_version_that_learned_from_what_a_label_held_of_it_is_named(
    open_store: OpenStore,
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[Taste()])
    set_all(store)
    store.set_many("note", [{"id": i, "liked": True} for i in (2, 4)])
    store.model("Taste").fit().wait(timeout=60)
    forgotten = store.forget("user", "a", models="refit")
    assert (forgotten.labels, forgotten.versions) == (0, {"Taste": (2,)})
    store.wait(timeout=60)
    assert [each.forgotten for each in store.model("Taste").versions()] == [0, 1, 0]
    assert [each[:2] for each in given(store, "Taste")] == [(2, None), (4, "plain")]


def test_a_row_that_goes_with_it_has_one_label_and_is_told_of_as_it_was(
    open_store: OpenStore,
) -> None:
    gone: list[str] = []

    @dataclass
    class Letter:
        id: int
        user: Annotated[str, motion.Ref("user", delete=True)]
        name: Annotated[str, motion.Lookup("user.name", by="user")]
        liked: bool

    class Like(motion.Component):
        def setup(self) -> dict[str, Any]:
            return {}

        @motion.fit(on="letter.liked", every=1_000)
        def learn(self, state: dict[str, Any], rows: list[Letter]) -> dict[str, Any]:
            return {"given": len(rows)}

    @motion.trigger(on=motion.deleted("letter"))
    def tell(name: str) -> None:
        gone.append(name)

    store = open_store(schemas={"user": User, "letter": Letter}, triggers=[Like(), tell])
    store.set("user", id="a", name="Ada")
    store.set("letter", id=1, user="a", liked=True)
    store.wait(timeout=60)
    store.model("Like").fit().wait(timeout=60)
    forgotten = store.forget("user", "a")
    assert (forgotten.labels, forgotten.versions) == (1, {"Like": (2,)})
    assert store.model("Like").versions()[-1].forgotten == 1
    assert gone == ["Ada"]


def test_a_label_of_what_derives_from_it_goes(open_store: OpenStore, folder: Path) -> None:
    class Learn(motion.Component):
        def setup(self) -> dict[str, Any]:
            return {}

        @motion.fit(on="note.greeting", every=1_000)
        def learn(self, state: dict[str, Any], rows: list[Note]) -> dict[str, Any]:
            return {"given": sorted(row.id for row in rows)}

    store = open_store(schemas=SCHEMAS, triggers=[greet, Learn()])
    set_all(store)
    store.model("Learn").fit().wait(timeout=60)
    store.set_many("note", [{"id": i, "user": "b"} for i in (2, 3)])  # the labels stay as they were
    store.wait(timeout=60)
    assert traces(folder)
    assert forget_all(store)[0].labels == 2
    assert traces(folder) == []
    assert [each.forgotten for each in store.model("Learn").versions()] == [0, 2]


def test_a_failed_fit_that_read_by_hand_tells_nothing_of_it(
    open_store: OpenStore, folder: Path
) -> None:
    class Fussy(motion.Component):
        def setup(self) -> dict[str, Any]:
            return {}

        @motion.fit(on="note.liked", every=1_000)
        def learn(self, state: dict[str, Any], rows: Any, store: motion.View) -> dict[str, Any]:
            raise ValueError(f"cannot learn from {store.rows('user')}")

    store = open_store(schemas=SCHEMAS, triggers=[Fussy()])
    set_all(store)
    store.set("note", id=4, liked=True)
    with pytest.raises(motion.StateError, match="cannot learn"):
        store.model("Fussy").fit().wait(timeout=60)
    forget_all(store)
    assert traces(folder) == []


# -- values of other rows that nothing makes anew by itself --


def test_what_derives_from_a_key_that_its_trigger_does_not_run_on_is_made_again(
    open_store: OpenStore, folder: Path
) -> None:
    @motion.trigger(on="note.text", sets="note.greeting")
    def greet_once(name: str | None) -> str:
        return f"hello {name}"

    @motion.trigger(on="note.text", sets="note.grown", inline=False)
    def repeat(greeting: str) -> str:
        return greeting * 2

    store = open_store(schemas=SCHEMAS, triggers=[greet_once, repeat])
    set_all(store)
    forget_all(store)
    assert traces(folder) == []
    assert [row.greeting for row in store.rows("note")] == ["hello None"] * 2 + ["hello plain"]
    assert [row.grown for row in store.rows("note")] == ["hello None" * 2] * 2 + ["hello plain" * 2]


def test_a_value_that_its_trigger_cannot_make_again_is_unset(
    open_store: OpenStore, folder: Path
) -> None:
    @motion.trigger(on=["note.text", "note.name"], sets="note.greeting")
    def greet_known(name: str | None) -> str:
        if name is None:
            raise ValueError("who is it?")
        return f"hello {name}"

    store = open_store(schemas=SCHEMAS, triggers=[greet_known])
    set_all(store)
    store.set("note", id=3, greeting="a user's")
    forget_all(store)
    assert traces(folder) == []
    assert [row.greeting for row in store.rows("note")] == [None, "a user's", "hello plain"]


def test_values_that_do_not_come_from_it_are_left_alone(open_store: OpenStore) -> None:
    calls: list[int] = []

    @motion.trigger(on="note.text", sets="note.greeting")
    def greet_once(id: int, name: str | None) -> str:
        calls.append(id)
        return f"hello {name}"

    store = open_store(schemas=SCHEMAS, triggers=[greet_once])
    set_all(store)
    calls.clear()
    store.forget("user", "b")
    store.forget("note", 1)
    assert calls == [4]


@dataclass
class Word:
    id: int
    word: str


@dataclass
class Paged:
    id: int
    user: str
    text: str
    word: str
    word_page: int


@motion.trigger(on="paged.text", sets="paged.word", page="word_page")
def words_on_pages(name: Annotated[str, motion.Lookup("user.name", by="user")]) -> list[str]:
    return name.split()


@motion.trigger(on="paged.text", sets="word")
def words_as_rows(
    name: Annotated[str, motion.Lookup("user.name", by="user")],
) -> list[dict[str, str]]:
    return [{"word": word} for word in name.split()]


@pytest.mark.parametrize("split", [words_on_pages, words_as_rows])
def test_pages_and_rows_that_cannot_be_made_again_go(
    open_store: OpenStore, folder: Path, split: Any
) -> None:
    store = open_store(schemas={"user": User, "paged": Paged, "word": Word}, triggers=[split])
    store.set_many("user", [{"id": "a", "name": f"n {WORD}"}, {"id": "b", "name": "so plain"}])
    store.set_many(
        "paged", [{"id": i, "user": user, "text": "t"} for i, user in ((1, "a"), (2, "b"))]
    )
    store.wait()
    assert traces(folder)
    store.forget("user", "a")
    assert traces(folder) == []
    words = [row.word for table in ("paged", "word") for row in store.rows(table)]
    assert [word for word in words if word] == ["so", "plain"]
    store.set("user", id="a", name="back again").wait()
    words = [row.word for table in ("paged", "word") for row in store.rows(table)]
    assert sorted(word for word in words if word) == ["again", "back", "plain", "so"]


@dataclass
class Topic:
    id: str
    text: str
    loud: str


@pytest.mark.parametrize("fails", [True, False])
def test_a_row_that_another_one_makes_too_keeps_nothing_of_it(
    open_store: OpenStore, folder: Path, fails: bool
) -> None:
    is_down = [False]

    @motion.trigger(on="note.text", sets="topic")
    def topic_of(text: str) -> list[dict[str, str]]:
        return [{"id": "shared", "text": text}]

    @motion.trigger(on="topic.text", sets="topic.loud", memo=not fails, version="1")
    def shout(text: str) -> str:
        if is_down[0]:
            raise RuntimeError(f"cannot shout {text}")
        return f"{text}!"

    store = open_store(schemas={**SCHEMAS, "topic": Topic}, triggers=[topic_of, shout])
    store.set("note", id=1, text=f"first {WORD}")
    store.set("note", id=2, text="second")
    store.wait(timeout=60)
    is_down[0] = fails
    assert store.get("topic", "shared").loud == f"first {WORD}!"
    store.forget("note", 1, timeout=60)
    [topic] = store.rows("topic")
    assert (topic.text, topic.loud) == ("second", None if fails else "second!")
    assert traces(folder) == []


@dataclass
class Liker:
    id: int
    user: str
    others: list[str]
    by_lookup: str
    by_list: str
    by_name: str
    friend: int
    of_friend: str


class Greeter(motion.Component):
    def setup(self) -> int:
        return 1

    @motion.infer(on="liker.user", sets="liker.by_lookup", refresh="before")
    def greet(self, state: int, name: Annotated[str, motion.Lookup("user.name", by="user")]) -> str:
        return f"v{state} {name}"

    @motion.infer(on="liker.others", sets="liker.by_list", refresh="before")
    def greet_all(
        self,
        state: int,
        names: Annotated[list[str | None], motion.Lookup("user.name", by="others")],
    ) -> str:
        return f"v{state} {names}"

    @motion.infer(on="note.text", sets="note.greeting", refresh="before")
    def answer(
        self,
        state: int,
        before: Annotated[str | None, motion.Window("note.text", by="thread", agg="last")],
    ) -> str:
        return f"v{state} {before}"

    @motion.infer(on="liker.by_lookup", sets="liker.by_name", refresh="before")
    def again(self, state: int, by_lookup: str) -> str:
        return f"v{state} {by_lookup}"

    @motion.infer(on="liker.friend", sets="liker.of_friend", refresh="before")
    def befriend(
        self, state: int, text: Annotated[str, motion.Lookup("liker.by_name", by="friend")]
    ) -> str:
        return f"v{state} {text}"

    @motion.fit(on="user.badge", promote=motion.manual)
    def learn(self, state: int, rows: list[User]) -> int:
        return state + 1


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("live", [1, 2])
def test_nor_does_a_state_version_that_is_not_live_keep_it(
    folder: Path, live: int, moved: bool
) -> None:
    """A version that is gone back to gives what a recompute gives."""
    schemas = {"user": User, "note": Note, "liker": Liker}
    url = f"sqlite:///{folder}"
    with motion.create_store("shop", schemas=schemas, triggers=[Greeter()], url=url) as store:
        set_all(store)
        likers = [(1, "a", ["a", "b"]), (2, "b", ["a"]), (3, "b", ["b"])]
        store.set_many(
            "liker", [{"id": i, "user": u, "others": of, "friend": 1} for i, u, of in likers]
        )
        model = store.model("Greeter")
        model.fit().wait(timeout=60)
        model.promote(2).wait(timeout=60)
        if live == 1:
            model.rollback().wait(timeout=60)
        store.wait(timeout=60)
        if moved:  # a version that is not live has what it made before that
            store.set("liker", id=1, user="b", others=["b"])
            store.wait(timeout=60)
        forget_all(store)
        assert traces(folder) == []
        model.promote(3 - live).wait(timeout=60)
        store.wait(timeout=60)
        name = "plain" if moved else None
        assert [row.by_lookup for row in store.rows("liker")] == [
            f"v{3 - live} {name}" if name else None,
            f"v{3 - live} plain",
            f"v{3 - live} plain",
        ]
        assert store.get("note", 3).greeting == f"v{3 - live} text 2"
