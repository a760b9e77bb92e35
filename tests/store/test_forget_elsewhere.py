"""Forgetting by the command line, over HTTP and without blocking an event loop: no byte is left either."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
from typer.testing import CliRunner

import motion
import motion.cli  # so that all commands are there
from motion.cli.app import app
from motion.server import serve
from tests.conftest import OpenStore
from tests.postgres import files_of

WORD = "kanarienvogel"

PROGRAM = """
from dataclasses import dataclass
from typing import Annotated
import motion

@dataclass
class Person:
    id: int
    about: str

@dataclass
class Note:
    id: int
    person: Annotated[int, motion.Ref("person", delete=True)]
    text: str
    loud: str

@motion.trigger(on="note.text", sets="note.loud")
def shout(text: str) -> str:
    return text.upper()

def store():
    return motion.create_store(
        "people", schemas={"person": Person, "note": Note}, triggers=[shout], url="sqlite:///people.motion"
    )
"""


@dataclass
class Person:
    id: int
    about: str


@dataclass
class Note:
    id: int
    person: Annotated[int, motion.Ref("person", delete=True)]
    text: str


def traces(folder: Path) -> list[str]:
    """Return the files of a folder that hold a word of the forgotten row, in small letters or in capitals."""
    words = (WORD.encode(), WORD.upper().encode())
    found = [path for path in folder.rglob("*") if path.is_file()]
    found += [
        each for path in found if path.name == "store.sqlite" for each in files_of(path.parent)
    ]
    return [path.name for path in found if any(word in path.read_bytes() for word in words)]


def test_the_command_leaves_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "people.py").write_text(PROGRAM)
    import people  # type: ignore[import-not-found]

    with people.store() as store:
        store.set_many("person", [{"id": 7, "about": WORD}, {"id": 8, "about": "other"}])
        store.set("note", person=7, text=f"says {WORD}").wait(timeout=60)
    folder = tmp_path / "people.motion"
    assert traces(folder)
    done = CliRunner().invoke(app, ["forget", "people:store", "person", "7", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["rows"] == {"person": 1, "note": 1}
    assert traces(folder) == []
    with people.store() as store:
        assert [row.about for row in store.rows("person")] == ["other"]


def test_a_store_that_is_served_forgets_for_who_steers_it(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store(schemas={"person": Person, "note": Note}, triggers=[])
    store.set_many("person", [{"id": i, "about": f"{WORD} {i}"} for i in (1, 2, 3)])
    store.set("note", person=1, text=WORD)
    with serve(store, port=0) as serving:
        assert traces(tmp_path)
        with motion.connect(serving.url) as remote:
            gone = remote.forget("person", [1, 2])
            assert (gone.rows, gone.labels) == ({"person": 2, "note": 1}, 0)
            assert asyncio.run(remote.aio.forget("person", 3)).rows == {"person": 1}
    assert traces(tmp_path) == []
    assert store.rows("person") == []
