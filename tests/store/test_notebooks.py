"""Notebooks: what a cell shows of stores, rows, hits, changes and models; everything escaped, and nothing left behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest

import motion

ROOT = Path(__file__).parents[2]
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
NASTY = "<script>alert('x')</script> & \"quotes\""


@dataclass
class Photo:
    id: int
    title: str
    pixels: bytes
    shade: Annotated[np.ndarray, motion.Vector(12)]
    caption: str
    is_good: bool


@motion.trigger(on="photo.title", sets="photo.caption", name="caption<b>")
def caption(title: str) -> str:
    if title == "bad":
        raise ValueError(NASTY)
    return f"a photo of {title}"


class Taste(motion.Component):
    def setup(self) -> float:
        return 1.0

    @motion.fit(on="photo.is_good", every=100)
    def learn(self, taste: float, rows: list[Photo]) -> float:
        return taste + len(rows)


@pytest.fixture
def store() -> Iterator[motion.Store]:
    with motion.create_store(
        "photos", schemas={"photo": Photo}, triggers=[caption, Taste()], url=":memory:"
    ) as opened:
        opened.set_many(
            "photo",
            [
                {"title": NASTY, "pixels": PNG, "shade": np.arange(12, dtype=np.float32)},
                {"title": "bad", "pixels": b"no picture" * 20},
            ],
        )
        opened.wait()
        yield opened


class Reader(HTMLParser):
    """Reads HTML as a browser does: the elements there are, and the text that is shown."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.pictures: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.pictures += [value or "" for name, value in attrs if name == "src"]

    def handle_data(self, data: str) -> None:
        self.text += data


def shown(value: Any) -> Reader:
    """Return what a notebook shows of a value; that nothing of it runs, or is fetched, is seen to here."""
    read = Reader(value._repr_html_())
    assert "script" not in read.elements
    assert "b" not in read.elements
    assert all(each.startswith("data:image/") for each in read.pictures)
    return read


def test_rows_are_a_table_with_pictures_and_plots(store: motion.Store) -> None:
    read = shown(store.rows(Photo))
    assert read.elements.count("tr") == 3
    assert len(read.pictures) == 1
    assert "polyline" in read.elements
    assert NASTY in read.text
    assert "200 bytes" in read.text


def test_many_rows_and_many_pictures_are_shown_in_part(store: motion.Store) -> None:
    large = PNG + bytes(1_000_000)
    store.set_many(
        "photo", [{"title": f"photo {n}", "pixels": large if n < 9 else None} for n in range(200)]
    )
    store.wait()
    read = shown(store.rows(Photo))
    assert "... and 102 more" in read.text
    assert len(read.pictures) <= 5


def test_a_plain_text_tells_large_values_by_their_size(store: motion.Store) -> None:
    text = repr(store.rows(Photo))
    assert "pixels=<200 bytes>" in text
    assert "shade=<array float32 12>" in text
    assert len(text) < 500


def test_hits_are_a_table_of_rows_with_scores(store: motion.Store) -> None:
    hits = store.search("photo.shade", np.arange(12, dtype=np.float32), k=1)
    read = shown(hits)
    assert "score" in read.text
    assert len(read.pictures) == 1
    assert repr(hits[0]) == "Hit(id=1, score=1)"
    assert shown(hits[0]).pictures == read.pictures
    (batch,) = store.search("photo.shade", np.ones((1, 12), np.float32), k=1)
    assert shown(batch).elements.count("tr") == 2


def test_a_store_is_its_graph(store: motion.Store) -> None:
    read = shown(store)
    assert "svg" in read.elements
    assert "caption<b>" in read.text
    assert "store photos: 0 row(s) to do" in read.text
    store.close()
    assert shown(store).text == "store photos, closed"


def test_a_change_tells_how_far_it_is_and_its_rows(store: motion.Store) -> None:
    change = store.set("photo", title="bad").wait(raise_errors=False)
    read = shown(change)
    assert "done, 1 given up" in read.text
    assert "bad" in read.text
    assert "row(s)" not in shown(store.change(change.key)).text


def test_status_errors_and_explanations_are_read_at_a_glance(store: motion.Store) -> None:
    status = store.status()
    assert repr(status) == "<status of store 'photos': 0 row(s) to do, 1 given up>"
    assert "rows to do" in shown(status).text
    (letter,) = store.errors()
    assert repr(letter) == f"DeadLetter(caption<b> gave up on photo id=2: ValueError: {NASTY})"
    assert NASTY in shown(store.errors()).text
    assert "Traceback" in shown(letter).text
    found = store.explain("photo", 1, "caption")
    assert "made by caption<b>" in repr(found)
    assert "<script>" in shown(found).text
    assert shown(store.explain("photo", 1, "pixels")).pictures


def test_versions_are_a_table_of_their_figures(store: motion.Store) -> None:
    store.model("Taste").fit()
    store.set("photo", id=1, is_good=True).wait()
    store.model("Taste").fit().wait()
    read = shown(store.model("Taste").versions())
    assert [read.elements.count("tr"), "live" in read.text] == [3, True]
    assert "Taste" in shown(store.model("Taste")).text


def test_rows_of_slots_and_frozen_classes_are_shown_too() -> None:
    @dataclass(frozen=True, slots=True)
    class Note:
        id: int
        body: bytes

    with motion.create_store("slots", schemas={"note": Note}, url=":memory:") as store:
        store.set("note", body=PNG)
        assert "body=<108 bytes>" in repr(store.rows(Note))
        assert shown(store.rows(Note)).pictures


# -- in a kernel --


CELL = """
import motion
from dataclasses import dataclass

@dataclass
class Note:
    id: int
    text: str
    size: int

@motion.trigger(on="note.text", sets="note.size")
def measure(text: str) -> int:
    return len(text)

store = motion.create_store("notes", schemas={"note": Note}, triggers=[measure], url=":memory:")
change = store.set("note", text="four").wait()
store
"""

COUNT = """
import gc, psutil, tempfile, threading
from pathlib import Path

def counted():
    gc.collect()
    threads = [each.name for each in threading.enumerate() if each.name.startswith("motion")]
    folders = list(Path(tempfile.gettempdir()).glob("*.motion"))
    files = [each.path for each in psutil.Process().open_files()]
    held = {Path(each).parent for each in files if each.endswith("store.sqlite")}
    return len(threads), len(held), len(folders)

expected = counted()
expected
"""

LEFT = """
for _ in range(400):
    left = counted()
    if left == expected:
        break
    threading.Event().wait(0.05)
left
"""


def executed(cells: list[str], folder: Path) -> list[list[Any]]:
    """Run cells in a kernel of their own; return what each has shown."""
    nbformat = pytest.importorskip("nbformat", reason="needs nbformat and nbclient")
    nbclient = pytest.importorskip("nbclient", reason="needs nbformat and nbclient")
    pytest.importorskip("ipykernel", reason="needs ipykernel")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in cells])
    return outputs_of(nbclient, book, folder)


def outputs_of(nbclient: Any, book: Any, folder: Path) -> list[list[Any]]:
    nbclient.NotebookClient(
        book, timeout=100, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    return [cell.get("outputs", []) for cell in book.cells if cell.cell_type == "code"]


@pytest.mark.slow
def test_a_cell_that_is_run_again_leaves_no_thread_and_no_file_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, temporary = tmp_path / "here", tmp_path / "temporary"
    here.mkdir()
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    # What a cell shows last is kept by the notebook itself, so the stores that are dropped are not shown.
    silent = CELL.rstrip().removesuffix("store")
    shown_in = executed([silent, COUNT, silent, silent, LEFT, CELL], here)
    begun, left = (eval(shown_in[place][0]["data"]["text/plain"]) for place in (1, 4))
    assert begun[0] > 0
    assert begun[1:] == (1, 1)  # the files of one store are open, and one folder is there
    assert left == begun
    assert "svg" in shown_in[5][0]["data"]["text/html"]
    assert list(here.iterdir()) == []


@pytest.mark.slow
def test_the_example_notebook_runs(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="needs nbformat and nbclient")
    nbclient = pytest.importorskip("nbclient", reason="needs nbformat and nbclient")
    pytest.importorskip("ipykernel", reason="needs ipykernel")
    book = nbformat.read(str(ROOT / "examples" / "notebook" / "first_pipeline.ipynb"), as_version=4)
    assert all(not cell.get("outputs") for cell in book.cells)
    outputs = outputs_of(nbclient, book, tmp_path)
    assert all(each["output_type"] != "error" for cell in outputs for each in cell)
    html = [
        each["data"]["text/html"]
        for cell in outputs
        for each in cell
        if "text/html" in each.get("data", {})
    ]
    assert len(html) >= 6
