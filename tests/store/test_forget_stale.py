"""`store.forget` of rows that were deleted before: values of other rows that are stale, as nothing has run since, hold nothing of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest

import motion
from motion.testing import Stepper
from tests.conftest import OpenStore
from tests.store.test_forget import WORD, traces


@dataclass
class User:
    id: str
    profile: str


@dataclass
class Tag:
    id: str
    user: str
    word: str


@dataclass
class Note:
    id: int
    user: Annotated[str, motion.Ref("user", delete=True)]
    text: str
    before: Annotated[list[str], motion.Window("note.text", by="user")]
    value: str
    derived: str
    ref: int


SCHEMAS = {"user": User, "note": Note, "tag": Tag}

is_down = [False]


@pytest.fixture(autouse=True)
def model_is_up() -> Iterator[None]:
    yield
    is_down[0] = False


def joined(*texts: str | None) -> str:
    if is_down[0]:
        raise RuntimeError("the model is down")
    return "".join(f"[{text}]" for text in texts if text)


@motion.trigger(on="note.before", sets="note.value", retries=0, inline=False)
def of_kept(before: list[str]) -> str:
    return joined(*before)


@motion.trigger(on="note.text", sets="note.value", retries=0)
def of_window(text: str, texts: Annotated[list[str], motion.Window("note.text", by="user")]) -> str:
    return joined(text, *texts)


@motion.trigger(on="note.text", sets="note.value")
def always(text: str, texts: Annotated[list[str], motion.Window("note.text", by="user")]) -> str:
    return f"{text} {texts}"


@motion.trigger(on="note.value", sets="note.derived", retries=0, inline=False)
def of_derived(value: str) -> str:
    return joined(value)


@motion.trigger(on="note.ref", sets="note.derived", retries=0)
def of_looked_up(
    value: Annotated[str | None, motion.Lookup("note.value", by="ref", follow=True)],
) -> str:
    return joined(value)


@motion.fold(on="note.text", by="note.user", sets="user.profile", retries=0)
def profile(profile: str | None, text: str) -> str:
    return joined(profile, text)


@motion.fold(on="note.text", by="note.user", sets="note.value", retries=0)
def so_far(value: str | None, text: str) -> str:
    return joined(value, text)


@motion.fold(on="note.value", by="note.user", sets="user.profile", retries=0)
def profile_of_values(profile: str | None, value: str) -> str:
    return joined(profile, value)


@motion.trigger(on="note.text", sets="tag")
def tags(text: str, user: str) -> list[dict[str, str]]:
    return [{"id": f"tag {text}", "user": user, "word": text}]


@motion.fold(on="tag.word", by="tag.user", sets="user.profile", retries=0)
def profile_of_tags(profile: str | None, word: str) -> str:
    return joined(profile, word)


class Rates(motion.Component):
    def setup(self) -> int:
        return 1

    @motion.infer(on="note.text", sets="note.value", refresh="before", retries=0)
    def rate(
        self,
        state: int,
        text: str,
        texts: Annotated[list[str], motion.Window("note.text", by="user")],
    ) -> str:
        return joined(text, *texts)


KINDS: dict[str, list[Any]] = {
    "a window in the schema": [of_kept],
    "a window as a parameter": [of_window],
    "a fold into another table": [profile],
    "a fold into its own": [so_far],
    "a window of a component": [Rates()],
    "what derives from a window": [always, of_derived],
    "what looks that up": [always, of_looked_up],
    "a fold over it": [always, profile_of_values],
    "a fold over rows made of it": [tags, profile_of_tags],
}


def write(store: motion.Store) -> None:
    """Let a note be brought to others of its user, and not to those of another one."""
    texts = {1: f"t {WORD}", 2: "two", 3: "three", 4: "four", 5: "five"}
    for row, text in texts.items():
        user = "a" if row < 4 else "b"
        ref = {2: 3, 3: 2, 5: 4}.get(row)
        store.set("note", id=row, user=user, text=text, ref=ref)
    step(store)


def write_and_wait(store: motion.Store) -> None:
    write(store)
    store.wait(timeout=60)


def step(store: motion.Store) -> None:
    with Stepper(store) as stepper:
        stepper.run_until_idle()


def seen(store: motion.Store) -> list[Any]:
    """Return what is there of each but the note."""
    notes = [row for row in store.rows("note") if row.id != 1]
    return [*[(row.value, row.derived) for row in notes], *store.rows("user")]


Remove = Callable[[motion.Store], motion.Change]


def lose(open_store: OpenStore, triggers: list[Any], how: str, remove: Remove) -> motion.Store:
    """Write all, remove a note without a run that follows, and open the store anew."""
    store = open_store(schemas=SCHEMAS, triggers=triggers, run=False)
    write(store)
    if how == "away":
        store.close()
        store = open_store(schemas=SCHEMAS, triggers=[])
    change = remove(store)
    if how == "cancelled":
        with Stepper(store) as stepper:
            if triggers[0] is always:  # what stands behind it is cancelled
                stepper.step()
        change.cancel()
    if how == "given up":
        is_down[0] = True
        step(store)
        is_down[0] = False
    store.close()
    return open_store(schemas=SCHEMAS, triggers=triggers)


def delete(store: motion.Store) -> motion.Change:
    return store.delete("note", 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "shop.motion"


@pytest.mark.parametrize("how", ["cancelled", "given up", "away", "still to come"])
@pytest.mark.parametrize("triggers", KINDS.values(), ids=KINDS)
def test_nothing_is_left_in_what_has_not_run_since_it_was_deleted(
    open_store: OpenStore, folder: Path, triggers: list[Any], how: str
) -> None:
    store = lose(open_store, triggers, how, delete)
    before = store.get("note", 4), store.get("note", 5), store.get("user", "b")
    store.forget("note", 1, timeout=60)
    assert traces(folder) == []
    assert (store.get("note", 4), store.get("note", 5), store.get("user", "b")) == before
    fresh = open_store("fresh", schemas=SCHEMAS, triggers=triggers, run=False)
    write(fresh)
    fresh.delete("note", 1)
    step(fresh)
    if how != "given up":  # a fold leaves out what it has given up
        assert seen(store) == seen(fresh)


def move(row: int, user: str | None) -> Remove:
    return lambda store: store.set("note", id=row, user=user)


MOVES = {
    "it has moved": move(1, "b"),
    "it has left": move(1, None),
    "another has moved": move(2, "b"),
    "another has left": move(2, None),
}


@pytest.mark.parametrize("how", ["cancelled", "given up", "still to come"])
@pytest.mark.parametrize("moved", MOVES.values(), ids=MOVES)
@pytest.mark.parametrize(
    "kind", ["a window as a parameter", "a fold into another table", "a fold into its own"]
)
def test_nothing_is_left_in_what_has_not_run_since_a_row_has_moved(
    open_store: OpenStore, folder: Path, kind: str, moved: Remove, how: str
) -> None:
    store = lose(open_store, KINDS[kind], how, moved)
    store.forget("note", 1, timeout=60)
    assert traces(folder) == []


@pytest.mark.parametrize("is_there", [True, False], ids=["there", "deleted before"])
@pytest.mark.parametrize("kind", ["a window as a parameter", "a fold into its own"])
def test_a_value_that_cannot_be_made_again_is_unset(
    open_store: OpenStore, folder: Path, kind: str, is_there: bool
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=KINDS[kind])
    write_and_wait(store)
    store.set("note", id=3, value="a user's").wait(timeout=60)
    is_down[0] = True
    if not is_there:
        store.delete("note", 1).wait(timeout=60, raise_errors=False)
    before = store.get("note", 4), store.get("note", 5)
    store.forget("note", 1, timeout=60)
    assert traces(folder) == []
    assert [store.get("note", row).value for row in (2, 3)] == [None, "a user's"]
    assert (store.get("note", 4), store.get("note", 5)) == before


def test_an_old_value_that_is_stale_by_what_a_user_gave_to_its_own_row_stays(
    open_store: OpenStore, folder: Path
) -> None:
    @motion.trigger(on="note.ref", sets="note.value", retries=0)
    def of_ref(ref: int, texts: Annotated[list[str], motion.Window("note.text", by="user")]) -> str:
        return joined(str(ref), *texts)

    store = open_store(schemas=SCHEMAS, triggers=[of_ref])
    write_and_wait(store)
    is_down[0] = True
    store.set("note", id=5, ref=9).wait(timeout=60, raise_errors=False)
    store.delete("note", 1).wait(timeout=60, raise_errors=False)
    is_down[0] = False
    store.forget("note", 1, timeout=60)
    assert traces(folder) == []
    values = {row.id: row.value for row in store.rows("note") if row.value}
    assert values == {2: "[3]", 3: "[2][two]", 5: "[4][four]"}
    assert [each.row for each in store.errors()] == ["id=5"]


def test_a_row_that_a_fold_does_not_fold_any_more_keeps_nothing(
    open_store: OpenStore, folder: Path
) -> None:
    def remove(store: motion.Store) -> motion.Change:
        store.set("note", id=2, user=None)
        return store.delete("note", 1)

    store = lose(open_store, [so_far], "away", remove)
    store.forget("note", 1, timeout=60)
    assert traces(folder) == []


def test_what_takes_such_a_value_by_a_key_that_it_does_not_run_on_is_made_again(
    open_store: OpenStore, folder: Path
) -> None:
    @motion.trigger(on="note.ref", sets="note.derived", retries=0)
    def beside(ref: int, value: str | None) -> str:
        return joined(str(ref), value)

    store = lose(open_store, [of_window, beside], "cancelled", delete)
    store.forget("note", 1, timeout=60)
    assert traces(folder) == []
    assert store.get("note", 2).derived == "[3][[two]]"


@dataclass
class Post:
    id: int
    user: Annotated[str, motion.Ref("user", delete=True)]
    room: str
    text: str
    value: str


@motion.trigger(on="post.text", sets="post.value", retries=0)
def of_room(text: str, texts: Annotated[list[str], motion.Window("post.text", by="room")]) -> str:
    return joined(text, *texts)


def test_nothing_is_left_of_rows_that_went_with_it(open_store: OpenStore, folder: Path) -> None:
    schemas = {"user": User, "post": Post}
    store = open_store(schemas=schemas, triggers=[of_room], run=False)
    store.set("user", id="a")
    store.set("post", id=1, user="a", room="r", text=f"t {WORD}")
    store.set("post", id=2, user="b", room="r", text="two")
    step(store)
    store.delete("user", "a").cancel()
    store.close()
    store = open_store(schemas=schemas, triggers=[of_room])
    assert traces(folder)
    store.forget("user", "a", timeout=60)
    assert traces(folder) == []
    assert store.get("post", 2).value == "[two]"
