"""Several stores in one process, and one store that is opened several times, deleted, or shared by name."""

from __future__ import annotations

import asyncio
import logging
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import motion
from tests.conftest import OpenStore, until


@dataclass
class Doc:
    id: int
    text: str
    size: int


@dataclass
class Entry:
    id: int
    what: str
    length: int


@pytest.fixture
def journal(open_store: OpenStore) -> motion.Store:
    """A store with a table of the same name as another store's, and one of its own."""
    return open_store("journal", schemas={"doc": Doc, "entry": Entry})


Write = Callable[[motion.Store, str], Any]
WRITES: dict[str, Write] = {
    "set of a table that both have": lambda store, text: store.set("doc", text=text),
    "set of a table of its own": lambda store, text: store.set("entry", what=text),
    "set_many": lambda store, text: store.set_many("doc", [{"text": text}, {"text": text}]),
    "set_many with by": lambda store, text: store.set_many("doc", [{"text": text}], by="text"),
    "set that is waited for": lambda store, text: store.set("entry", what=text).wait(timeout=60),
}


def transaction(store: motion.Store, text: str) -> None:
    with store.transaction() as tx:
        tx.set("doc", text=text)
        tx.set("entry", what=text)


WRITES["transaction"] = transaction


def written(store: motion.Store) -> list[str]:
    return [row.text for row in store.rows("doc")] + [row.what for row in store.rows("entry")]


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("inline", [True, False])
def test_a_run_writes_to_another_store_as_code_outside_does(
    open_store: OpenStore, journal: motion.Store, write: Write, inline: bool
) -> None:
    @motion.trigger(on="doc.text", sets="doc.size", inline=inline)
    def measure(text: str) -> int:
        write(journal, f"seen {text}")
        return len(text)

    live = open_store("live", schemas={"doc": Doc}, triggers=[measure])
    live.set("doc", id=7, text="one").wait(timeout=60)
    assert [(row.id, row.text, row.size) for row in live.rows("doc")] == [(7, "one", 3)]
    assert set(written(journal)) == {"seen one"}


def test_a_run_deletes_in_and_reads_from_another_store(
    open_store: OpenStore, journal: motion.Store
) -> None:
    journal.set_many("doc", [{"id": 7, "text": "a"}, {"id": 8, "text": "b"}])

    @motion.trigger(on="doc.text", sets="doc.size")
    def measure(text: str) -> int:
        journal.delete("doc", 7)
        assert journal.get("doc", 7) is None
        journal.wait(timeout=60)
        return len(journal.rows("doc"))

    live = open_store("live", schemas={"doc": Doc}, triggers=[measure])
    assert live.set("doc", id=7, text="x").wait(timeout=60).rows()[0].size == 1
    assert [row.id for row in journal.rows("doc")] == [8]
    assert [row.id for row in live.rows("doc")] == [7]


def test_an_asynchronous_run_writes_to_the_store_that_it_names(
    open_store: OpenStore, journal: motion.Store
) -> None:
    @motion.trigger(on="doc.text", sets="doc.size")
    async def measure(text: str) -> int:
        await journal.aio.set("entry", what=text)
        await asyncio.sleep(0)
        return len(text)

    live = open_store("live", schemas={"doc": Doc}, triggers=[measure])
    live.set_many("doc", [{"text": text} for text in "abc"]).wait(timeout=60)
    assert sorted(written(journal)) == ["a", "b", "c"]


def test_a_run_that_another_store_calls_for_sees_both_as_they_are(open_store: OpenStore) -> None:
    stores: dict[str, motion.Store] = {}

    @motion.trigger(on="doc.text", sets="doc.size", inline=False)
    def outer(text: str) -> int:
        stores["second"].set("entry", what=text)  # runs `inner` at once, in this very run
        return len(stores["first"].rows("doc"))

    @motion.trigger(on="entry.what", sets="entry.length", inline=True)
    def inner(what: str) -> int:
        stores["first"].set("doc", id=99, size=5)
        return len(what)

    stores["first"] = open_store("first", schemas={"doc": Doc}, triggers=[outer])
    stores["second"] = open_store("second", schemas={"entry": Entry}, triggers=[inner])
    stores["first"].set("doc", id=1, text="abc").wait(timeout=60)
    # What it read is another by its end, so it is called again, and sees the row that it had made.
    assert [(row.id, row.size) for row in stores["first"].rows("doc")] == [(1, 2), (99, 5)]
    assert [row.length for row in stores["second"].rows("entry")] == [3]


def test_a_run_that_fails_takes_no_write_to_its_own_store_with_it_and_each_to_another(
    open_store: OpenStore, journal: motion.Store
) -> None:
    opened: list[motion.Store] = []

    @motion.trigger(on="doc.text", sets="doc.size", retries=1)
    def fail(text: str) -> int:
        journal.set("entry", what=text)
        opened[0].set("doc", id=99, size=1)
        raise ValueError(text)

    opened.append(open_store("live", schemas={"doc": Doc}, triggers=[fail]))
    opened[0].set("doc", id=1, text="x").wait(timeout=20, raise_errors=False)
    assert [row.id for row in opened[0].rows("doc")] == [1]
    assert written(journal) == ["x", "x"]


# -- opened several times --


def test_a_block_inside_a_block_leaves_the_store_open(tmp_path: Path) -> None:
    def opened() -> motion.Store:
        return motion.create_store(
            "shop", schemas={"doc": Doc}, url=f"sqlite:///{tmp_path}", run=False
        )

    with opened() as store:
        with opened() as inner, opened():
            inner.set("doc", text="a")
        store.set("doc", text="b")
        with store:
            pass
        assert len(store.rows("doc")) == 2
    with pytest.raises(motion.StoreClosed):
        store.rows("doc")


def test_a_block_leaves_a_store_open_that_somebody_has_opened_before(
    open_store: OpenStore,
) -> None:
    store = open_store(schemas={"doc": Doc})
    for _ in range(3):
        with open_store(schemas={"doc": Doc}):
            pass
    store.set("doc", text="a")
    store.close()
    with pytest.raises(motion.StoreClosed):
        store.set("doc", text="b")


def test_blocks_in_several_threads_close_the_store_with_the_last(tmp_path: Path) -> None:
    both, errors = threading.Barrier(2), list[Exception]()

    def use() -> None:
        try:
            for _ in range(20):
                both.wait(20)
                url = f"sqlite:///{tmp_path}"
                with motion.create_store("shop", schemas={"doc": Doc}, url=url, run=False) as store:
                    store.set("doc", text="a")
        except motion.MotionError as exc:
            errors.append(exc)

    threads = [threading.Thread(target=use) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_schema_that_is_refused_counts_as_no_opening(open_store: OpenStore) -> None:
    with open_store(schemas={"doc": Doc}) as store, pytest.raises(motion.SchemaMismatch):
        open_store(schemas={"doc": Entry})
    with pytest.raises(motion.StoreClosed):
        store.rows("doc")


@motion.trigger(on="doc.text", sets="doc.size")
def measure(text: str) -> int:
    return len(text)


def test_a_store_that_was_opened_to_look_at_works_when_it_is_opened_to_work(
    open_store: OpenStore,
) -> None:
    viewer = open_store(schemas={"doc": Doc}, run=False)
    early = viewer.set("doc", text="early")
    store = open_store(schemas={"doc": Doc}, triggers=[measure], run=True)
    assert store.set("doc", text="one").wait(timeout=60).rows()[0].size == 3
    assert viewer.set("doc", id=early.id, text="late").wait(timeout=60).rows()[0].size == 4
    open_store(schemas={"doc": Doc}, run=False)  # who works goes on
    assert store.set("doc", text="three").wait(timeout=60).rows()[0].size == 5


# -- deleted --

USES: dict[str, Callable[[motion.Store], Any]] = {
    "set": lambda store: store.set("doc", text="b"),
    "set_many": lambda store: store.set_many("doc", [{"text": "b"}]),
    "delete": lambda store: store.delete("doc", 1),
    "get": lambda store: store.get("doc", 1),
    "rows": lambda store: store.rows("doc"),
    "sql": lambda store: store.sql("select 1"),
    "wait": lambda store: store.wait(timeout=60),
    "status": lambda store: store.status(),
    "search": lambda store: store.search("doc.text", text="a"),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("how", ["deleted", "replaced", "moved"])
def test_a_store_whose_folder_is_gone_says_so(
    open_store: OpenStore, tmp_path: Path, use: Callable[[motion.Store], Any], how: str
) -> None:
    store = open_store(schemas={"doc": Doc})
    store.set("doc", text="a")
    folder = tmp_path / "shop.motion"
    if how == "moved":
        folder.rename(tmp_path / "elsewhere")
    else:
        shutil.rmtree(folder)
    if how == "replaced":
        folder.mkdir()
        (folder / "store.sqlite").touch()
    with pytest.raises(motion.StoreDeleted, match="deleted, moved or replaced") as caught:
        use(store)
    assert isinstance(caught.value, motion.StoreUnavailable)
    store.close()


def test_who_waits_is_told_where_the_folder_goes_as_the_wait_begins(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store(schemas={"doc": Doc}, triggers=[measure], run=False)
    change = store.set("doc", text="a")

    def move(frame: FrameType, event: str, arg: Any) -> None:
        if event == "call" and frame.f_code.co_name == "_look_out":
            (tmp_path / "shop.motion").rename(tmp_path / "elsewhere")

    threading.setprofile(move)  # the thread that looks out has not connected by then
    try:
        with pytest.raises(motion.StoreDeleted):
            change.wait(timeout=60)
    finally:
        threading.setprofile(None)
    assert (tmp_path / "elsewhere").exists()
    store.close()


def test_opening_a_store_again_whose_folder_was_deleted_begins_anew(
    open_store: OpenStore, tmp_path: Path
) -> None:
    before = open_store(schemas={"doc": Doc}, triggers=[measure])
    before.set("doc", text="old").wait(timeout=60)
    shutil.rmtree(tmp_path / "shop.motion")
    store = open_store(schemas={"doc": Doc}, triggers=[measure])
    assert store.rows("doc") == []
    assert store.set("doc", text="new").wait(timeout=60).rows()[0].size == 3
    with pytest.raises(motion.StoreClosed):
        before.set("doc", text="lost")
    store.close()
    assert [row.text for row in open_store(schemas={"doc": Doc}).rows("doc")] == ["new"]


def test_the_worker_of_a_store_whose_folder_was_deleted_ends_with_one_word(
    open_store: OpenStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(schemas={"doc": Doc}, triggers=[measure])
    store.set("doc", text="a").wait(timeout=60)
    other = open_store("other", schemas={"doc": Doc})
    shutil.rmtree(tmp_path / "shop.motion")
    with caplog.at_level(logging.ERROR):
        until(other, lambda: bool(caplog.records))
        store.close()
    assert all("deleted" in record.getMessage() for record in caplog.records)
    assert all(record.exc_info is None for record in caplog.records)


# -- two names for one folder --


@motion.trigger(on="entry.what", sets="entry.length")
def length(what: str) -> int:
    return len(what)


def test_two_stores_that_the_environment_puts_into_one_folder_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTION_URL", f"sqlite:///{tmp_path / 'place'}")
    docs: dict[str, Any] = {"schemas": {"doc": Doc}, "triggers": [measure]}
    entries: dict[str, Any] = {"schemas": {"entry": Entry}, "triggers": [length]}
    with motion.create_store("docs", **docs) as store:
        with pytest.raises(motion.StoreNameTaken, match=r"'entries'.*'docs'.*create_store\(url=\)"):
            motion.create_store("entries", **entries)
        assert store.set("doc", text="one").wait(timeout=60).rows()[0].size == 3
    for given in (entries, {"schemas": {"entry": Entry}}, {"schemas": {"doc": Doc}, "run": False}):
        with pytest.raises(motion.StoreNameTaken):  # as another process would
            motion.create_store("entries", **given)
    with motion.create_store("docs", **docs) as store:
        assert len(store.rows("doc")) == 1
    elsewhere = f"sqlite:///{tmp_path / 'elsewhere'}"
    with motion.create_store("entries", url=elsewhere, **entries) as other:
        assert other.set("entry", what="ab").wait(timeout=60).rows()[0].length == 2


def test_a_name_that_replaces_the_triggers_of_another_is_told(
    open_store: OpenStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"sqlite:///{tmp_path / 'place'}"
    open_store("docs", schemas={"doc": Doc}, triggers=[measure], url=url)
    open_store("same", schemas={"doc": Doc}, triggers=[measure], url=url)
    assert caplog.records == []
    open_store("entries", schemas={"entry": Entry}, triggers=[length], url=url)
    (record,) = caplog.records
    assert "'entries'" in record.getMessage()
    assert "'docs'" in record.getMessage()
    assert "measure" in record.getMessage()


def test_a_snapshot_may_be_opened_under_another_name(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store("docs", schemas={"doc": Doc}, triggers=[measure])
    store.set("doc", text="one").wait(timeout=60)
    store.snapshot(tmp_path / "copy")
    monkeypatch.setenv("MOTION_URL", f"sqlite:///{tmp_path / 'copy'}")
    with motion.create_store("restored", schemas={"doc": Doc}, triggers=[measure]) as copy:
        assert copy.get("doc", 1).size == 3
