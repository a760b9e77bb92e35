"""P4 behind dead letters: what derives from an input that was given up does not run on the old one, and once that is made good,
in whichever way, everything is as if derived from scratch.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import motion
from tests.conftest import OpenStore

BAD = 7


@dataclass
class Doc:
    id: int
    title: str
    cls: int
    half: int
    kept: int
    late: int


class World:
    """A diamond of two ways from `cls` to `kept`, one of them by `half`, which raises for `BAD`; and what was called."""

    def __init__(self) -> None:
        self.is_mended = threading.Event()
        self.calls: list[tuple[int, int]] = []

    def half_of(self, cls: int) -> int:
        if cls == BAD and not self.is_mended.is_set():
            raise ValueError("not this one")
        return cls * 2

    def kept_of(self, cls: int, half: int) -> int:
        self.calls.append((cls, half))
        return cls * 100 + half


def diamond(world: World, way: str) -> list[Any]:
    options: dict[str, Any] = {"retries": int(way == "retries")}
    if way in ("inline", "tasks"):
        options["inline"] = way == "inline"
    if way == "slow":
        options["timeout"] = 60

    @motion.trigger(on="doc.title", sets="doc.cls", **options)
    def first(title: str) -> int:
        return len(title)

    half: Any = lambda cls: world.half_of(cls)  # noqa: E731
    kept: Any = lambda cls, half: world.kept_of(cls, half)  # noqa: E731
    if way == "batch":
        options["batch"] = 4
        half = lambda cls: list(map(world.half_of, cls))  # noqa: E731
        kept = lambda cls, half: list(map(world.kept_of, cls, half))  # noqa: E731
    elif way == "async":
        half, kept = _awaited(half), _awaited(kept)
    names = {"half": half, "kept": kept}
    half, kept = (
        motion.trigger(on="doc.cls", sets=f"doc.{name}", name=name, version="1", **options)(each)
        for name, each in names.items()
    )

    @motion.trigger(on="doc.kept", sets="doc.late")
    def late(kept: int) -> int:
        return kept + 1

    return [first, half, kept, late]


def _awaited(function: Any) -> Any:
    @functools.wraps(function)
    async def later(*values: Any) -> Any:
        return function(*values)

    return later


def until(condition: Callable[[], bool]) -> None:
    """Wait for what nothing can be waited for by."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.001)


def rows_of(store: motion.Store) -> list[tuple[Any, ...]]:
    return [(row.cls, row.half, row.kept, row.late) for row in store.rows("doc")]


def stale_of(store: motion.Store) -> int:
    """Return how many rows have a stale `kept`, as all reports tell it."""
    plan, told = store.plan("kept"), store.status().triggers["kept"].stale
    assert plan.stale == told
    return told


def make_good(store: motion.Store, world: World, end: str, rows: int = 8) -> tuple[int, int]:
    """Make good what was given up, and return what `cls` and `half` are then."""
    if end == "users value":
        store.set_many("doc", [{"id": i, "half": 5} for i in range(rows)])
        return BAD, 5
    if end == "new input":
        store.set_many("doc", [{"id": i, "title": "xxx"} for i in range(rows)])
        return 3, 6
    world.is_mended.set()
    if end == "retry":
        store.retry()
    else:
        store.backfill("half", force=True)
    return BAD, BAD * 2


WAYS = ("itself", "inline", "tasks", "retries", "batch", "async", "slow")
ENDS = ("retry", "backfill", "users value", "new input")


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("before", ["", "xx"], ids=["first value", "changed value"])
def test_p4_a_run_behind_an_input_that_was_given_up_waits_until_it_is_made_good(
    open_store: OpenStore, way: str, end: str, before: str
) -> None:
    world = World()
    store = open_store(schemas={"doc": Doc}, triggers=diamond(world, way))
    for title in ("x", before) if before else ():  # twice, so that it is known how quick calls are
        store.set_many("doc", [{"id": i, "title": title} for i in range(8)])
        store.wait(timeout=60)
    store.set_many("doc", [{"id": i, "title": "x" * BAD} for i in range(8)])
    store.wait(timeout=60)
    old = (4, 204, 205) if before else (None, None, None)
    assert rows_of(store) == [(BAD, *old)] * 8
    assert all(half == cls * 2 for cls, half in world.calls)
    assert len(store.errors()) == 8
    assert stale_of(store) == (8 if before else 0)
    cls, half = make_good(store, world, end)
    store.wait(timeout=60)
    assert rows_of(store) == [(cls, half, cls * 100 + half, cls * 100 + half + 1)] * 8
    assert store.errors() == []
    assert stale_of(store) == 0


@dataclass
class Two:
    id: int
    text: str
    size: int
    other: int
    half: int
    sum: int


@pytest.mark.parametrize("end", ["retry", "new input"])
def test_p4_what_runs_in_memory_waits_for_what_was_given_up_before(
    open_store: OpenStore, end: str
) -> None:
    """The run changes another input than that of the trigger which has given up, which is not due by it."""
    world = World()

    @motion.trigger(on="two.text", sets=("two.size", "two.other"), inline=False)
    def sizes(text: str) -> tuple[int, int]:
        return len(text), text.count("y")

    @motion.trigger(on="two.size", sets="two.half", inline=False)
    def half(size: int) -> int:
        return world.half_of(size)

    @motion.trigger(on="two.other", sets="two.sum", inline=False)
    def total(other: int, half: int) -> int:
        return other * 100 + half

    store = open_store(schemas={"two": Two}, triggers=[sizes, half, total])
    for text in ("x", "xx", "x" * BAD, "y" * BAD):
        store.set("two", id=1, text=text)
        store.wait(timeout=60)
    row = store.get(Two, 1)
    assert row is not None
    assert (row.size, row.other, row.half, row.sum) == (BAD, BAD, 4, 2)
    if end == "retry":
        world.is_mended.set()
        store.retry()
    else:
        store.set("two", id=1, text="y" * BAD + "x")
    store.wait(timeout=60)
    row = store.get(Two, 1)
    assert row is not None
    assert (row.half, row.sum) == (row.size * 2, BAD * 100 + row.half)
    assert store.errors() == []


def test_p4_what_runs_in_memory_waits_for_a_task_upstream_that_is_still_being_run(
    open_store: OpenStore,
) -> None:
    has_begun, may_end = threading.Event(), threading.Event()

    @motion.trigger(on="two.text", sets=("two.size", "two.other"), inline=False)
    def sizes(text: str) -> tuple[int, int]:
        return len(text), text.count("y")

    @motion.trigger(on="two.size", sets="two.half", inline=False, concurrency=2)
    def half(size: int) -> int:
        if size == BAD:
            has_begun.set()
            assert may_end.wait(60)
        return size * 2

    @motion.trigger(on="two.other", sets="two.sum", inline=False)
    def total(other: int, half: int) -> int:
        return other * 100 + half

    store = open_store(schemas={"two": Two}, triggers=[sizes, half, total])
    for text in ("x", "xx"):
        store.set("two", id=1, text=text)
        store.wait(timeout=60)
    store.set("two", id=1, size=BAD)
    assert has_begun.wait(60)
    change = store.set("two", id=1, text="y" * BAD)
    change.wait("other", timeout=60)
    may_end.set()
    store.wait(timeout=60)
    row = store.get(Two, 1)
    assert row is not None
    assert (row.half, row.sum) == (BAD * 2, BAD * 100 + BAD * 2)


@pytest.mark.parametrize("end", ["retry", "users value", "new input"])
def test_p4_an_input_that_is_given_up_during_a_run_lets_nothing_of_two_moments_stay(
    open_store: OpenStore, end: str
) -> None:
    world, has_begun, may_end = World(), threading.Event(), threading.Event()

    @motion.trigger(on="doc.title", sets="doc.cls", inline=False)
    def first(title: str) -> int:
        return len(title)

    @motion.trigger(on="doc.cls", sets="doc.half", inline=False)
    def half(cls: int) -> int:
        return world.half_of(cls)

    @motion.trigger(on="doc.cls", sets="doc.kept", inline=False, concurrency=2, timeout=60)
    def kept(cls: int, half: int) -> int:
        has_begun.set()
        assert cls == BAD or may_end.wait(60)
        return world.kept_of(cls, half)

    store = open_store(schemas={"doc": Doc}, triggers=[first, half, kept])
    store.set("doc", id=0, title="xx")
    assert has_begun.wait(60)
    store.set("doc", id=0, title="x" * BAD)
    until(lambda: bool(store.errors()))
    may_end.set()
    store.wait(timeout=60)
    assert rows_of(store) == [(BAD, 4, None, None)]
    cls, now = make_good(store, world, end, rows=1)
    store.wait(timeout=60)
    assert rows_of(store)[0][:3] == (cls, now, cls * 100 + now)
    assert set(world.calls) == {(2, 4), (cls, now)}


# -- users' values of what is kept by state version --


@dataclass
class Note:
    id: int
    title: str
    cls: int
    gist: str
    a: int


def noting(refresh: Any, sets: tuple[str, ...]) -> list[Any]:
    class Notes(motion.Component):
        def setup(self) -> int:
            return 1

        @motion.infer(on="note.title", sets=sets, refresh=refresh)
        def of_title(self, state: int, title: str) -> Any:
            if title == "bad":
                raise ValueError("not this one")
            return len(title) if len(sets) == 1 else (len(title), title)

    @motion.trigger(on="note.cls", sets="note.a")
    def a(cls: int) -> int:
        return cls * 2

    return [Notes(), a]


@pytest.mark.parametrize("sets", [("note.cls",), ("note.cls", "note.gist")], ids=["one", "two"])
@pytest.mark.parametrize("refresh", ["never", "after", "before"])
@pytest.mark.parametrize("how", ["set", "set to what is there", "in one write twice"])
def test_p4_a_users_value_makes_good_what_an_infer_has_given_up(
    open_store: OpenStore, refresh: str, sets: tuple[str, ...], how: str
) -> None:
    store = open_store(schemas={"note": Note}, triggers=noting(refresh, sets))
    store.set("note", id=2, title="abc")
    store.wait(timeout=60)
    store.set_many("note", [{"id": 1, "title": "bad"}, {"id": 2, "title": "bad"}])
    store.wait(timeout=60)
    assert len(store.errors()) == 2
    cls = 3 if how == "set to what is there" else 4
    times = 2 if how == "in one write twice" else 1
    store.set_many("note", [{"id": i, "cls": cls} for _ in range(times) for i in (1, 2)])
    store.wait(timeout=60)
    assert [(row.cls, row.a) for row in store.rows("note")] == [(cls, cls * 2)] * 2
    assert store.errors() == []


# -- pages behind an input that they inherit --


@dataclass
class Sheet:
    """`kept` and `mid` are told apart by page, what comes before is one value for all pages."""

    id: int
    title: str
    cls: int
    half: int
    page: int
    text: str
    mid: str
    kept: str


def sheets(world: World, way: str, is_deep: bool) -> list[Any]:
    options: dict[str, Any] = {"inline": False} if way == "tasks" else {}

    @motion.trigger(on="sheet.title", sets="sheet.cls", **options)
    def first(title: str) -> int:
        return len(title)

    half: Any = lambda cls: world.half_of(cls)  # noqa: E731
    if way == "batch":
        options["batch"] = 4
        half = lambda cls: list(map(world.half_of, cls))  # noqa: E731
    elif way == "async":
        half = _awaited(half)
    half = motion.trigger(on="sheet.cls", sets="sheet.half", name="half", **options)(half)

    @motion.trigger(on=("sheet.text", "sheet.cls"), sets="sheet.mid", inline=False)
    def mid(text: str, cls: int, half: int) -> str:
        assert half in (cls * 2, 5)
        return f"{text}:{cls}:{half}"

    @motion.trigger(on=("sheet.text", "sheet.cls"), sets="sheet.kept", inline=False)
    def kept(text: str, cls: int, half: int) -> str:
        assert half in (cls * 2, 5)
        return f"{text}:{cls}:{half}"

    @motion.trigger(on=("sheet.text", "sheet.cls"), sets="sheet.kept", name="kept", inline=False)
    def behind_mid(text: str, cls: int, mid: str) -> str:
        assert mid.startswith(f"{text}:{cls}:")
        return mid

    return [first, half, mid, behind_mid if is_deep else kept]


def kept_of(store: motion.Store, document: int = 1) -> list[str | None]:
    return [row.kept for row in store.rows(Sheet, id=document)]


@pytest.mark.parametrize("is_deep", [False, True], ids=["itself", "by another of the page"])
@pytest.mark.parametrize("way", ["itself", "tasks", "batch", "async"])
@pytest.mark.parametrize("end", ["retry", "backfill", "users value", "new input"])
def test_p4_pages_wait_until_an_input_that_they_inherit_is_made_good(
    open_store: OpenStore, way: str, end: str, is_deep: bool
) -> None:
    world = World()
    store = open_store(schemas={"sheet": Sheet}, triggers=sheets(world, way, is_deep))
    documents = range(1, 4)
    for page in range(3):
        rows = [{"id": i, "page": page, "text": f"t{page}"} for i in documents]
        store.set_many("sheet", rows)
    for title in ("x", "xx"):
        store.set_many("sheet", [{"id": i, "title": title} for i in documents])
        store.wait(timeout=60)
    store.set_many("sheet", [{"id": i, "title": "x" * BAD} for i in documents])
    store.wait(timeout=60)
    assert [letter.trigger for letter in store.errors()] == ["half"] * 3
    for i in documents:
        assert kept_of(store, i) == ["t0:2:4", "t1:2:4", "t2:2:4"]
    assert stale_of(store) == 9
    store.set("sheet", id=1, page=1, text="new")
    store.wait(timeout=60)
    assert kept_of(store)[1] == "t1:2:4"
    cls, half = BAD, BAD * 2
    if end == "users value":
        half = 5
        store.set_many("sheet", [{"id": i, "half": half} for i in documents])
    elif end == "new input":
        cls, half = 3, 6
        store.set_many("sheet", [{"id": i, "title": "xxx"} for i in documents])
    else:
        world.is_mended.set()
        store.retry() if end == "retry" else store.backfill("half", force=True)
    store.wait(timeout=60)
    for i in documents:
        texts = ["t0", "new" if i == 1 else "t1", "t2"]
        assert kept_of(store, i) == [f"{text}:{cls}:{half}" for text in texts]
    assert store.errors() == []
    assert stale_of(store) == 0


def test_p4_a_page_with_a_value_of_its_own_does_not_wait_for_that_of_page_0(
    open_store: OpenStore,
) -> None:
    store = open_store(schemas={"sheet": Sheet}, triggers=sheets(World(), "tasks", is_deep=False))
    for page in range(2):
        store.set("sheet", id=1, page=page, text=f"t{page}", title="x")
    store.wait(timeout=60)
    store.set("sheet", id=1, page=0, title="x" * BAD)
    store.wait(timeout=60)
    store.set("sheet", id=1, page=1, text="new", title="xx")
    store.wait(timeout=60)
    assert len(store.errors()) == 1
    assert kept_of(store) == ["t0:1:2", "new:2:4"]


@pytest.mark.parametrize("end", ["it ends", "it fails", "it is cancelled", "page 0 is deleted"])
def test_p4_pages_wait_for_work_on_the_row_that_they_inherit_from(
    open_store: OpenStore, end: str
) -> None:
    has_begun, may_end = threading.Event(), threading.Event()
    calls: list[tuple[str, int, int]] = []

    @motion.trigger(on="sheet.cls", sets="sheet.half", inline=False)
    def half(cls: int) -> int:
        if cls == BAD:
            has_begun.set()
            assert may_end.wait(60)
            assert end != "it fails"
        return cls * 2

    @motion.trigger(on=("sheet.text", "sheet.cls"), sets="sheet.kept", inline=False)
    def kept(text: str, cls: int, half: int) -> str:
        calls.append((text, cls, half))
        return f"{text}:{cls}:{half}"

    store = open_store(schemas={"sheet": Sheet}, triggers=[half, kept])
    store.set("sheet", id=1, cls=1)
    for page in range(3):
        store.set("sheet", id=1, page=page, text=f"t{page}")
    store.wait(timeout=60)
    change = store.set("sheet", id=1, cls=BAD)
    assert has_begun.wait(60)
    if end == "it is cancelled":
        change.cancel()
    if end == "page 0 is deleted":
        store.delete("sheet", 1)
    may_end.set()
    store.wait(timeout=60)
    assert all(half == cls * 2 for _, cls, half in calls if end != "it is cancelled")
    value = {"it ends": f"{BAD}:{BAD * 2}", "it fails": "1:2"}.get(end)
    if value is not None:
        assert kept_of(store) == [f"t{page}:{value}" for page in range(3)]


def test_p2_what_waits_on_a_page_for_work_on_another_row_ends_with_the_page(
    open_store: OpenStore,
) -> None:
    has_begun, may_end = threading.Event(), threading.Event()

    @motion.trigger(on="sheet.cls", sets="sheet.half", inline=False)
    def half(cls: int) -> int:
        if cls == BAD:
            has_begun.set()
            assert may_end.wait(60)
        return cls * 2

    @motion.trigger(on="sheet.title", sets="sheet.text", page="page")
    def pages(title: str) -> list[str]:
        return title.split()

    @motion.trigger(on="sheet.text", sets="sheet.kept", inline=False)
    def kept(text: str, half: int) -> str:
        return f"{text}:{half}"

    store = open_store(schemas={"sheet": Sheet}, triggers=[half, pages, kept])
    store.set("sheet", id=1, cls=1, title="a b").wait(timeout=60)
    store.set("sheet", id=1, cls=BAD)
    assert has_begun.wait(60)
    store.set("sheet", id=1, title="a b c d")
    until(lambda: store.status().tasks.get("kept") == {"blocked": 1})
    store.set("sheet", id=1, title="a b")
    until(lambda: len(kept_of(store)) == 2)
    may_end.set()
    store.wait(timeout=60)
    assert kept_of(store) == ["a:2", "b:2"]


# -- another version has what one has given up --


@dataclass
class Paper:
    id: int
    title: str
    n: int
    y: int
    cls: int
    a: int
    b: int
    c: int


class Papers(motion.Component):
    """Each version fails on one title."""

    def setup(self) -> int:
        return 1

    @motion.infer(on="paper.title", sets="paper.cls", refresh="before")
    def of_title(self, state: int, title: str) -> int:
        if title in (f"bad{state}", "bad"):
            raise ValueError("not this one")
        return len(title) + 10 * state

    @motion.fit(on="paper.n", promote=motion.manual)
    def learn(self, state: int, rows: list[Paper]) -> int:
        return state + 1


@motion.trigger(on="paper.cls", sets="paper.a")
def of_cls(cls: int) -> int:
    return cls * 2


@motion.trigger(on="paper.y", sets="paper.b")
def of_a(y: int, a: int) -> int:
    return y * 1000 + a


@motion.trigger(on="paper.b", sets="paper.c")
def of_b(b: int) -> int:
    return b + 1


def switch_papers(store: motion.Store, how: str) -> None:
    """Let the other of the two versions be live."""
    model = store.model("Papers")
    (model.rollback() if how == "rollback" else model.promote(2)).wait(timeout=60)
    store.wait(timeout=60)


@pytest.mark.parametrize(
    ("how", "titles"), [("promote", ["abc"]), ("rollback", ["abc"]), ("promote", [])]
)
def test_p14_a_version_that_has_what_another_had_given_up_ends_its_dead_letters(
    open_store: OpenStore, how: str, titles: list[str]
) -> None:
    """Row 3 stays one: both versions fail on it. Row 4 was always right.

    A rollback does not wait for rows that the live version has no outputs for: there it may come without them.
    """
    store = open_store(schemas={"paper": Paper}, triggers=[Papers(), of_cls, of_a, of_b])
    store.set("paper", id=4, title="fine", n=1, y=1)
    store.wait(timeout=60)
    store.model("Papers").fit().wait(timeout=60)
    store.wait(timeout=60)
    if how == "rollback":
        switch_papers(store, "promote")
    bad, now = ("bad1", 2) if how == "promote" else ("bad2", 1)
    if titles:
        store.set_many(
            "paper", [{"id": i, "title": title, "y": 1} for i in (1, 2, 3) for title in titles]
        )
        store.wait(timeout=60)
    given = [{"id": i, "title": bad if i < 3 else "bad", "y": 5} for i in (1, 2, 3)]
    store.set_many("paper", given)
    store.wait(timeout=60)
    assert {error.row for error in store.errors()} == {"id=1", "id=2", "id=3"}
    if (
        how == "promote" and titles
    ):  # that a candidate fails where the live version has a value refuses it
        store.delete("paper", 3)
    switch_papers(store, how)
    cls = 4 + 10 * now
    right = (cls, cls * 2, 5000 + cls * 2, 5001 + cls * 2)
    rows = {row.id: (row.cls, row.a, row.b, row.c) for row in store.rows("paper")}
    assert [rows[1], rows[2]] == [right] * 2
    assert rows[4] == (cls, cls * 2, 1000 + rows[4][2] % 1000, rows[4][2] + 1)
    left = [error.row for error in store.errors()]
    assert left == (["id=3"] if 3 in rows else [])


# -- the trigger that has given up is not there any more --


def diamond_for(world: World, *, half: str | None = "half") -> list[Any]:
    """Return the triggers with the one that gives up under another name, or without it."""
    first, _, kept, late = diamond(world, "tasks")

    @motion.trigger(on="doc.cls", sets="doc.half", name=half or "none", inline=False)
    def newer(cls: int) -> int:
        return world.half_of(cls)

    return [first, *([newer] if half else []), kept, late]


def given_up_on_8(open_store: OpenStore, world: World) -> motion.Store:
    store = open_store(schemas={"doc": Doc}, triggers=diamond_for(world))
    for title in ("xx", "x" * BAD):
        store.set_many("doc", [{"id": i, "title": title} for i in range(8)])
        store.wait(timeout=60)
    assert rows_of(store) == [(BAD, 4, 204, 205)] * 8
    assert len(store.errors()) == 8
    return store


@pytest.mark.parametrize("is_dropped", [False, True], ids=["removed", "removed and dropped"])
def test_p4_what_stood_behind_a_dead_letter_goes_on_when_its_trigger_is_removed(
    open_store: OpenStore, is_dropped: bool
) -> None:
    world = World()
    given_up_on_8(open_store, world).close()
    calls = len(world.calls)
    store = open_store(schemas={"doc": Doc}, triggers=diamond_for(world, half=None))
    if is_dropped:
        assert store.drop() == 8
    store.wait(timeout=60)
    assert rows_of(store) == [(BAD, 4, 704, 705)] * 8
    assert len(world.calls) == calls + 8
    assert stale_of(store) == 0


def test_p4_what_stood_behind_a_dead_letter_is_stale_when_another_trigger_makes_its_key(
    open_store: OpenStore,
) -> None:
    world = World()
    given_up_on_8(open_store, world).close()
    world.is_mended.set()
    store = open_store(schemas={"doc": Doc}, triggers=diamond_for(world, half="other"))
    store.wait(timeout=60)
    assert rows_of(store) == [(BAD, 4, 204, 205)] * 8
    assert stale_of(store) == 8
    store.backfill("other").wait(timeout=60)
    store.backfill("kept").wait(timeout=60)
    store.wait(timeout=60)
    assert rows_of(store) == [(BAD, 14, 714, 715)] * 8
    assert stale_of(store) == 0


def test_p4_a_trigger_that_is_new_stood_behind_nothing(open_store: OpenStore) -> None:
    world = World()
    first, half, kept, late = diamond_for(world)
    store = open_store(schemas={"doc": Doc}, triggers=[first, half])
    for title in ("xx", "x" * BAD):
        store.set("doc", id=1, title=title)
        store.wait(timeout=60)
    store.close()
    store = open_store(schemas={"doc": Doc}, triggers=[first, kept, late])
    store.wait(timeout=60)
    assert rows_of(store) == [(BAD, 4, None, None)]
    assert store.plan("kept").missing == 1


def test_p14_what_was_made_of_outputs_that_the_live_version_lacks_goes(
    open_store: OpenStore,
) -> None:
    store = open_store(schemas={"paper": Paper}, triggers=[Papers(), of_cls, of_a, of_b])
    store.set("paper", id=4, title="fine", n=1, y=1)
    store.wait(timeout=60)
    store.model("Papers").fit().wait(timeout=60)
    switch_papers(store, "promote")
    store.set("paper", id=1, title="bad1", y=1)
    store.wait(timeout=60)
    row = store.get("paper", 1)
    assert (row.cls, row.a, row.b, row.c) == (24, 48, 1048, 1049)
    switch_papers(store, "rollback")
    row = store.get("paper", 1)
    assert (row.cls, row.a) == (None, None)
    assert [error.row for error in store.errors()] == ["id=1"]
    store.set("paper", id=1, title="good", y=2)
    store.wait(timeout=60)
    row = store.get("paper", 1)
    assert (row.cls, row.a, row.b, row.c) == (14, 28, 2028, 2029)
    assert store.errors() == []
