"""`motion` on a store that is named by its folder: looked at, repaired, copied and drawn without the code that made it."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sqlite3
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

import motion
import motion.cli  # so that all commands are there
from motion.cli.app import app
from tests.conftest import copied
from tests.postgres import is_postgres_wanted


class Size(Enum):
    SMALL = 1
    LARGE = 2


@dataclass
class Part:
    name: str
    weight: float


@dataclass
class Garment:
    """A key of every kind."""

    id: int
    ts: int
    name: str
    price: float
    is_new: bool
    size: Size
    cut: Literal["a b", "c"]
    photo: bytes
    seen: datetime
    day: date
    tags: list[str]
    facts: dict[str, Any]
    parts: list[Part]
    matrix: np.ndarray
    summary: str
    vector: Annotated[np.ndarray, motion.Vector(3)] | None = None
    stock: int = 7
    lots: list[int] = field(default_factory=list)


@dataclass
class Query:
    id: int
    text: str
    idea: str
    idea_page: int
    hit: str
    hit_page: int
    remark: Annotated[str, motion.Key(level="idea_page")]


@motion.trigger(on="garment.name", sets="garment.summary")
def summarize(name: str) -> str:
    if name.startswith("bad"):
        raise ValueError(f"cannot take {name}, \x1b[31m [bold]red[/bold] [/INST]")
    return f"a {name}"


@motion.trigger(on="query.text", sets="query.idea", page="idea_page")
def ideas(text: str) -> list[str]:
    return text.split()


class Taste(motion.Component):
    def setup(self) -> float:
        return 1.0

    @motion.infer(on="garment.price", sets="garment.vector", refresh="before")
    def embed(self, taste: float, price: float) -> np.ndarray:
        return np.array([price, taste, 1.0], np.float32)

    @motion.fit(on="garment.is_new", every=100)
    def learn(self, taste: float, rows: list[Garment]) -> float:
        return taste + len(rows)


WHOLE: dict[str, Any] = {
    "name": "red dress", "price": 49.5, "is_new": True, "size": Size.LARGE, "cut": "a b", "photo": b"\x00\xff",
    "seen": datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC), "day": date(2024, 5, 6), "tags": ["linen", "long"],
    "facts": {"care": {"wash": 30}}, "parts": [Part("hem", 0.5)], "matrix": np.eye(2, dtype=np.int16), "stock": 2,
    "lots": [1, 2],
}  # fmt: skip


def opened(folder: Path) -> motion.Store:
    return motion.create_store(
        "shop",
        schemas={"garment": Garment, "query": Query},
        triggers=[summarize, ideas, Taste()],
        url=f"sqlite:///{folder}",
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with rows, pages, a model, and a row that was given up; closed."""
    return filled(tmp_path_factory.mktemp("made") / "shop.motion")


def filled(folder: Path) -> Path:
    with opened(folder) as store:
        store.set("garment", **WHOLE)
        store.set("garment", name="bad coat", price=10.0)
        store.set("query", text="linen silk")
        store.set("query", id=1, idea_page=1, remark="for the beach")
        store.set("query", id=1, idea_page=1, hit_page=2, hit="found by page")
        store.wait()
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    copy = tmp_path / "shop.motion"
    if is_postgres_wanted():  # which takes no snapshots
        return filled(copy)
    said("snapshot", made, copy)
    return copy


def call(*words: object) -> Result:
    return CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}).invoke(
        app, [str(word) for word in words]
    )


def said(*words: object, status: int = 0) -> str:
    """Return what a command prints for people."""
    done = call(*words)
    assert done.exit_code == status, (done.output, done.exception)
    return done.stdout


def told(*words: object, status: int = 0) -> Any:
    """Return the JSON that a command prints, and nothing else."""
    return json.loads(said(*words, "--json", status=status))


def complaint(*words: object, status: int = 2) -> str:
    done = call(*words)
    assert (done.exit_code, done.stdout) == (status, ""), (done.output, done.exception)
    return done.stderr


# -- looking --


def test_a_store_is_named_by_its_folder_its_url_or_its_name(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made.parent)
    for name in (made, f"sqlite:///{made}", "shop.motion", "shop", "shop.motion/store.sqlite"):
        assert told("status", name)["name"] == "shop"


def test_status_tells_what_there_is_to_do_and_what_failed(made: Path) -> None:
    found = told("status", made)
    assert found["triggers"]["summarize"]["tasks"] == {"dead": 1}
    assert found["versions"] == {"Taste": 1}
    text = said("status", made)
    assert [line.split()[0] for line in text.splitlines()[2:5]] == [
        "summarize",
        "ideas",
        "Taste.embed",
    ]
    assert "Taste: version 1 is live" in text
    assert "not run here" not in text


def test_status_with_check_fails_where_rows_were_given_up(folder: Path) -> None:
    said("status", folder, "--check", status=1)
    said("retry", folder)
    said("status", folder, "--check")


def test_errors_name_the_row_and_why(made: Path) -> None:
    (letter,) = told("errors", made, "summarize")
    assert (letter["trigger"], letter["row"]) == ("summarize", "id=2")
    assert "ValueError: cannot take bad coat" in said("errors", made)
    assert "Traceback" in said("errors", made, "--full")
    assert said("errors", made, "ideas") == "no row was given up.\n"


def test_what_users_texts_hold_is_shown_and_does_nothing(made: Path) -> None:
    for words in (["errors", made], ["errors", made, "--full"]):
        text = said(*words)
        assert "\x1b" not in text
        assert "\\x1b[31m [bold]red[/bold] [/INST]" in text
    query = "select '[red]' || char(27) || '[2J' as \"[bold]\" from garment limit 1"
    assert "[bold]\n[red]\\x1b[2J" in "\n".join(
        line.rstrip() for line in said("sql", made, query).splitlines()
    )


def test_a_row_is_tried_again_by_whoever_runs_the_store(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told("retry", folder, "summarize") == {"rows": 1}
    assert told("errors", folder) == []
    assert told("status", folder)["triggers"]["summarize"]["rows"] == 1
    with opened(folder) as store:
        store.wait()
        assert len(store.errors()) == 1


def test_a_value_is_explained_back_to_what_was_given(made: Path) -> None:
    found = told("explain", made, "garment", 1, "summary")
    assert (found["made_by"], found["value"]) == ("summarize", "a red dress")
    assert [(each["key"], each["made_by"]) for each in found["inputs"]] == [("name", None)]
    assert "made by Taste.embed, with state version 1" in said(
        "explain", made, "garment", 1, "vector"
    )
    page = told("explain", made, "query", 1, "idea", "--page", "idea_page=1")
    assert page["value"] == "silk"
    assert told("explain", made, "garment", 99, "summary", status=1)["is_row"] is False


def test_sql_answers_with_its_parameters_and_a_limit(made: Path) -> None:
    query = "select name, price from garment where price > ? and name != ? order by id"
    assert told("sql", made, query, "10", "red dress") == []
    assert told("sql", made, query, "10", "x") == [{"name": "red dress", "price": 49.5}]
    done = call("sql", made, "select id from garment order by id", "--limit", 1, "--json")
    assert json.loads(done.stdout) == [{"id": 1}]
    assert "the first 1 rows" in done.stderr
    assert "only reads" in complaint("sql", made, "delete from motion_tasks", status=1)


def test_rows_are_found_by_words_and_by_nearness(made: Path) -> None:
    (hit,) = told("search", made, "garment.name", "dress")
    assert (hit["id"], hit["row"]["size"], hit["row"]["parts"]) == (
        1,
        "LARGE",
        [{"name": "hem", "weight": 0.5}],
    )
    near = told("search", made, "garment.vector", "--like", 2, "-k", 2)
    assert [each["id"] for each in near] == [2, 1]
    assert told("search", made, "garment.name", "dress", "--where", "price < 20") == []
    shown = said("search", made, "garment.name", "dress")
    assert "red dress" in shown
    headings, values = shown.splitlines()[0].split(), shown.splitlines()[1].split()
    assert "tags" in headings
    assert float(values[0]) > 0  # of words in few rows they are small


def test_a_condition_sees_what_pages_inherit_by_a_level_given_by_hand(made: Path) -> None:
    found = told("search", made, "query.hit", "found", "--where", "remark = 'for the beach'")
    assert [each["pages"] for each in found] == [{"idea_page": 1, "hit_page": 2}]


def test_versions_and_a_plan_need_no_code(made: Path) -> None:
    (version,) = told("versions", made)
    assert (version["number"], version["status"]) == (1, "live")
    assert told("plan", made, "summarize")["missing"] == 1


@pytest.mark.parametrize("store", ["{folder}", "sqlite:///{folder}"], ids=["folder", "url"])
def test_a_backfill_of_a_store_without_its_code_is_asked_for(folder: Path, store: str) -> None:
    found = told("backfill", store.format(folder=folder), "summarize", "--force")
    assert (found["rows"], found["is_done"]) == (2, False)
    (asked,) = told("status", folder)["backfills"]
    assert (asked["trigger"], asked["remaining"]) == ("summarize", 2)


LOOKS: list[list[object]] = [
    ["status"], ["errors"], ["explain", "garment", "1", "vector"], ["sql", "select * from garment"],
    ["search", "garment.name", "dress"], ["search", "garment.vector", "--like", "1"], ["versions"], ["plan", "summarize"],
    ["graph"], ["export", "garment", "out.parquet"], ["snapshot", "copy.motion"],
]  # fmt: skip


def contents(folder: Path) -> list[str]:
    with sqlite3.connect(folder / "store.sqlite") as connection:
        return [line for line in connection.iterdump() if "fulltext" not in line]


@pytest.mark.parametrize("by_module", [False, True], ids=["folder", "module"])
def test_looking_changes_nothing_and_warns_of_nothing(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    by_module: bool,
) -> None:
    monkeypatch.chdir(folder.parent)
    code = f"""
import motion
from dataclasses import dataclass

@dataclass
class Garment:
    id: int
    quite_new: str

@motion.trigger(on="garment.quite_new", sets="garment.name")
def summarize(quite_new: str) -> str: return quite_new

def store():
    return motion.create_store("shop", schemas={{"garment": Garment}}, triggers=[summarize], url={f"sqlite:///{folder}"!r})
"""
    module = f"looks_{os.getpid()}_{by_module}"
    (folder.parent / f"{module}.py").write_text(code)
    store = f"{module}:store" if by_module else folder
    said(
        "search", folder, "garment.name", "dress"
    )  # its index of words is made with the first search
    before = contents(folder)
    with caplog.at_level(logging.INFO):
        for words in LOOKS:
            said(words[0], store, *words[1:])
    assert contents(folder) == before
    assert caplog.records == []


def test_a_folder_of_a_stores_name_does_not_hide_it(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copied(made, tmp_path / "shop.motion").parent)
    Path("shop").mkdir()
    assert told("status", "shop")["name"] == "shop"
    Path("shop.motion").rename("shop/shop.motion")
    message = complaint("status", "shop")
    assert "shop is a folder without a store of its own; in it are shop/shop.motion." in message


def test_a_store_that_is_open_is_looked_at_beside_its_program(folder: Path) -> None:
    with opened(folder) as store:
        store.set("garment", name="blue hat").wait()
        assert told("sql", folder, "select summary from garment where id = 3") == [
            {"summary": "a blue hat"}
        ]


def test_a_store_of_an_older_format_is_left_as_it_is(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "store.sqlite") as connection:
        connection.executescript(
            (Path(__file__).parents[1] / "engine" / "format_1.sql").read_text()
        )
    before = contents(tmp_path)
    assert "an older Motion has made it (format 1)" in complaint("status", tmp_path, status=1)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["status", "nowhere"], 2, "'nowhere' names no store: there is no such folder here"),
        (["status", "sqlite:////no/such/folder"], 1, "there is no such folder"),
        (["status", "mysql://shop"], 1, "a store cannot live at 'mysql://shop'"),
        (["status", "{empty}"], 1, "there is no store in it"),
        (["errors", "{made}", "sumarize"], 1, "has no trigger 'sumarize'"),
        (["explain", "{made}", "garment", "x", "name"], 2, "ids of table 'garment' are ints, and 'x' is none"),
        (["explain", "{made}", "garment", "1", "nam"], 1, "Did you mean 'name'?"),
        (["explain", "{made}", "garment", "1", "name", "--page", "x"], 2, "--page takes a page key and its number"),
        (["sql", "{made}", "select nam from garment"], 1, "nam"),
        (["search", "{made}", "garment.name"], 2, "say what to look for"),
        (["search", "{made}", "garment.vector", "--like", "99"], 1, "has no vector to be near to"),
        (["versions", "{made}", "Median"], 2, "no component 'Median'; the store has Taste"),
        (["run", "{made}"], 2, "this command runs its code; say where that is as module:name"),
        (["import", "{made}", "garment", "none.parquet"], 2, "there is no file none.parquet"),
        (["snapshot", "{made}", "{made}"], 1, "empty"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_a_line(
    made: Path, tmp_path: Path, words: list[str], status: int, message: str
) -> None:
    told_error = complaint(
        *(word.format(made=made, empty=tmp_path) for word in words), status=status
    )
    assert message in told_error
    assert "Traceback" not in told_error


# -- copies --


def rows_of(store: motion.Store) -> list[dict[str, Any]]:
    found = []
    for row in store.rows(Garment):
        values = {each.name: getattr(row, each.name) for each in fields(row)}
        found.append(
            {
                name: value.tolist() if isinstance(value, np.ndarray) else value
                for name, value in values.items()
            }
        )
    return found


def test_who_looks_on_sees_that_a_copy_goes_on_and_a_program_does_not(
    folder: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "motion", "snapshot", str(folder)]
    seen, terminal = os.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    subprocess.run([*command, "a.motion"], cwd=tmp_path, stderr=terminal, env=environment, stdout=subprocess.DEVNULL, check=True)  # fmt: skip
    os.close(terminal)
    shown = b""
    with suppress(OSError), open(seen, "rb", buffering=0) as screen:  # a terminal ends so on Linux
        while part := screen.read(1_000):
            shown += part
    assert f"copying{folder}".encode() in re.sub(rb"\s+", b"", shown)  # it may break lines anywhere
    done = subprocess.run([*command, "b.motion"], cwd=tmp_path, capture_output=True, check=True)
    assert done.stderr == b""


def test_rows_come_back_from_a_file_as_they_were(made: Path, tmp_path: Path) -> None:
    file, other = tmp_path / "garments.parquet", tmp_path / "other.motion"
    assert told("export", made, "garment", file)["rows"] == 2
    opened(other).close()
    assert told("import", other, "garment", file) == {"rows": 2}
    with opened(made) as before, opened(other) as after:
        after.wait()
        assert rows_of(after) == rows_of(before)
        assert after.rows(Garment)[0].matrix.dtype == np.int16
        assert (
            after.explain("garment", 1, "summary").made_by is None
        )  # a value that was given is not made again


def test_a_file_has_the_types_that_others_read(made: Path, tmp_path: Path) -> None:
    file = tmp_path / "garments.parquet"
    said("export", made, "garment", file, "--where", "price > 20")
    table = pq.read_table(file)
    assert table.num_rows == 1
    kinds = {name: str(table.schema.field(name).type) for name in table.column_names}
    assert (kinds["price"], kinds["day"], kinds["seen"]) == (
        "double",
        "date32[day]",
        "timestamp[us, tz=UTC]",
    )
    assert (kinds["size"], kinds["vector"]) == ("large_string", "list<element: float>")


def test_pages_export_what_they_store_or_what_they_show(made: Path, tmp_path: Path) -> None:
    stored, shown = tmp_path / "stored.parquet", tmp_path / "shown.parquet"
    said("export", made, "query", stored)
    said("export", made, "query", shown, "--inherited")
    assert pq.read_table(stored).column("text").to_pylist() == ["linen silk", None, None]
    assert pq.read_table(shown).column("text").to_pylist() == ["linen silk"] * 3
    assert pq.read_table(shown).column("remark").to_pylist() == [
        None,
        "for the beach",
        "for the beach",
    ]


def test_an_export_is_whole_however_many_parts_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("motion.store.transfer.ROWS_AT_ONCE", 4)
    folder, file = tmp_path / "q.motion", tmp_path / "q.parquet"
    with opened(folder) as store:
        store.set_many(
            "query", [{"id": n, "idea_page": page} for n in range(1, 6) for page in range(3)]
        )
    assert told("export", folder, "query", file)["rows"] == 15
    found = pq.read_table(file)
    names = zip(found.column("id").to_pylist(), found.column("idea_page").to_pylist(), strict=True)
    assert list(names) == [(n, page) for n in range(1, 6) for page in range(3)]


def test_what_is_imported_fires_triggers_and_gets_its_defaults(
    folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "new.parquet"
    pq.write_table(pa.table({"name": ["green scarf"], "lots": [[1]]}), file)
    done = call("import", folder, "garment", file)
    assert done.exit_code == 0, done.output
    assert "1 row(s) are to do" in done.stderr
    with opened(folder) as store:
        store.wait()
        (row,) = store.rows(Garment, where="name = 'green scarf'")
        assert (row.summary, row.stock, row.ts is not None) == ("a green scarf", 7, True)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({"size": ["HUGE"]}, "takes one of 'SMALL', 'LARGE'"),
        ({"colour": ["red"]}, "has no key 'colour'"),
        ({"price": ["cheap"]}, "price"),
        ({"name": ["no lots"]}, "lots"),  # which only the schema can make
    ],
)
def test_what_does_not_fit_is_not_imported(
    folder: Path, tmp_path: Path, column: dict[str, list[Any]], message: str
) -> None:
    file = tmp_path / "bad.parquet"
    pq.write_table(pa.table(column), file)
    assert message in complaint("import", folder, "garment", file, status=1)
    assert told("sql", folder, "select count(*) as rows from garment") == [{"rows": 2}]


def test_a_file_that_is_no_parquet_is_refused(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    file.write_text("id,name\n")
    assert "a Parquet file" in complaint("import", folder, "garment", file, status=1)


# -- drawing --


def test_the_pipeline_is_drawn_in_the_terminal(made: Path) -> None:
    lines = [line.strip() for line in said("graph", made).splitlines()]
    assert "name -> [summarize] -> summary" in lines
    assert "text -> [ideas] (one idea_page for each item) -> idea" in lines
    assert "price + Taste -> [Taste.embed] (refresh before) -> vector" in lines
    assert "garment.is_new -> [learn] (every 100 labels) -> Taste" in lines


def test_the_pipeline_is_drawn_as_a_picture_and_as_mermaid(made: Path, tmp_path: Path) -> None:
    file = tmp_path / "shop.svg"
    said("graph", made, "--as", "svg", "-o", file)
    texts = [each.text for each in ET.parse(file).iter("{http://www.w3.org/2000/svg}text")]
    assert {"garment", "summarize", "summary", "Taste", "learn"} <= set(texts)
    chart = said("graph", made, "--as", "mermaid").splitlines()
    assert chart[0] == "flowchart LR"
    assert sum("-->" in line for line in chart) == 6


def test_a_trigger_of_any_name_is_drawn_by_it(tmp_path: Path) -> None:
    @motion.trigger(on="query.text", sets="query.hit", name='<script>"x"</script> & [red]')
    def odd(text: str) -> str:
        return text

    with motion.create_store(
        "odd", schemas={"query": Query}, triggers=[odd], url=f"sqlite:///{tmp_path}/s"
    ):
        pass
    drawn = said("graph", tmp_path / "s", "--as", "svg")
    assert '<script>"x"</script> & [red]' in [each.text for each in ET.fromstring(drawn).iter()]
    assert "<script" not in said("graph", tmp_path / "s", "--as", "mermaid")
    assert '<script>"x"</script> & [red]' in said("graph", tmp_path / "s")


# -- projects and workers, in processes of their own --


def started(where: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *words], cwd=where, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "TERM": "dumb"},
    )  # fmt: skip


def finished(where: Path, *words: str) -> str:
    process = started(where, *words)
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    return out


@pytest.mark.slow
def test_a_new_project_runs_and_its_tests_pass(tmp_path: Path) -> None:
    assert "pytest" in said("init", tmp_path / "My-Notes")
    assert "title='A first note'" in finished(tmp_path / "My-Notes", "pipeline.py")
    finished(tmp_path / "My-Notes", "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert told("status", tmp_path / "My-Notes" / "my_notes.motion")["name"] == "my_notes"


def test_a_new_project_may_be_made_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes").mkdir()
    monkeypatch.chdir(tmp_path / "notes")
    shown = said("init", ".")
    assert shown.startswith("This folder has a pipeline now.")
    assert "cd " not in shown
    assert "motion graph notes.motion" in shown


def test_what_is_set_nowhere_and_vectors_are_left_out_of_what_a_search_shows(
    tmp_path: Path,
) -> None:
    @dataclass
    class Thing:
        id: int
        name: str
        note: str
        far: Annotated[np.ndarray, motion.Vector(8)]

    with motion.create_store(
        "things", schemas={"thing": Thing}, url=f"sqlite:///{tmp_path}"
    ) as store:
        store.set("thing", name="red hat", far=np.arange(8))
    assert said("search", tmp_path, "thing.name", "hat").split()[:3] == ["score", "id", "name"]
    assert "note" not in said("search", tmp_path, "thing.name", "hat")
    assert told("search", tmp_path, "thing.name", "hat")[0]["row"]["far"] == list(range(8))


def test_a_new_project_replaces_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert "is there and not empty" in complaint("init", tmp_path, status=1)
    assert "begins with a letter" in complaint("init", tmp_path / "1st")


WORKER = """
from dataclasses import dataclass
import motion

@dataclass
class Note:
    id: int
    text: str
    size: int

@motion.trigger(on="note.text", sets="note.size")
def measure(text: str) -> int:
    return {"bad": 1 // (text != "bad")}["bad"] * len(text)

def store():
    return motion.create_store("notes", schemas={"note": Note}, triggers=[measure], run=False)
"""


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[motion.Store]:
    """A store whose code leaves the work to others."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "worker.py").write_text(WORKER)
    code: dict[str, Callable[[], motion.Store]] = {}
    exec(WORKER, code)
    with code["store"]() as store:
        yield store


@pytest.mark.slow
def test_a_worker_runs_what_others_set_until_it_is_told_to_stop(
    notes: motion.Store, tmp_path: Path
) -> None:
    process = started(tmp_path, "-m", "motion", "run", "worker:store")
    try:
        change = notes.set("note", text="four").wait(timeout=60)
        assert notes.get("note", change.id).size == 4
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "running 1 trigger(s). Ctrl-C stops." in err


@pytest.mark.slow
def test_a_worker_that_ends_when_idle_tells_of_what_failed(
    notes: motion.Store, tmp_path: Path
) -> None:
    notes.set("note", text="bad")
    notes.set("note", text="good")
    process = started(tmp_path, "-m", "motion", "run", "worker:store", "--until-idle", "--json")
    out, err = process.communicate(timeout=100)
    assert process.returncode == 1
    assert json.loads(out)["triggers"]["measure"]["tasks"] == {"dead": 1}
    assert "1 row(s) were given up" in err
    assert [row.size for row in notes.rows("note")] == [None, 4]


# -- every command --


def commands() -> list[str]:
    return [
        each.name or each.callback.__name__ for each in app.registered_commands if each.callback
    ]


@pytest.mark.parametrize("command", commands())
def test_every_command_has_an_example_json_and_a_place_in_the_docs(command: str) -> None:
    help_text = said(command, "--help")
    assert f"Example: motion {command} " in help_text
    assert ("--json" in help_text) == (command != "mcp")  # its output is a protocol's
    page = Path(__file__).parents[2] / "docs" / "command-line.md"
    assert f"motion {command} " in page.read_text()


def test_it_says_which_version_it_is() -> None:
    assert said("--version") == f"motion {motion.__version__}\n"


def test_help_tells_what_to_begin_with_first_and_every_command_under_a_heading() -> None:
    help_text = said("--help")
    headings = ["Begin, run and serve", "Look", "Mend and steer", "Keep, move and change"]
    places = [help_text.index(f"─ {heading} ─") for heading in headings]
    assert places == sorted(places)
    assert "─ Commands ─" not in help_text  # where a command is that has none
    assert re.search(r"Begin, run and serve ─+╮\s*│ init ", help_text)
