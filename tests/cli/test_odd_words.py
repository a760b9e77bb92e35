"""Every word of every command, with odd values: it is done, or refused in a line; never a traceback."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import motion
import motion.cli  # so that all commands are there
from motion.cli.app import app

ODD = [
    "", "zz", "-1", "0", "nan", "9" * 5_000, "\0", "\ud800", " ", "'", "item", "item.name", "1", "/nonexist/x", "file/x", "file", ".", "=", "a=b",
    "postgresql://[", "sqlite://", "mysql://x", "moves:nothing", "..:x", ":", "²", "1/0s",
]  # fmt: skip

USUAL = {
    "status": ["odd.motion"], "errors": ["odd.motion", "size"], "retry": ["odd.motion", "size"], "explain": ["odd.motion", "item", "1", "size"],
    "sql": ["odd.motion", "select ?", "1"], "search": ["odd.motion", "item.name", "coat"], "graph": ["odd.motion"], "versions": ["odd.motion", "M"],
    "plan": ["odd.motion", "size"], "backfill": ["odd.motion", "size"], "snapshot": ["odd.motion", "made"], "copy": ["odd.motion", "made"],
    "export": ["odd.motion", "item", "made"], "import": ["odd.motion", "item", "file"], "migrate": ["odd.motion"], "token add": ["odd.motion", "n"],
    "token list": ["odd.motion"], "token remove": ["odd.motion", "n"], "init": ["made"],
}  # fmt: skip
"""What is done in a folder; what runs the code takes the same words for a store, and is refused by the same functions."""

RUNNING = {"run", "serve", "mcp", "fit", "promote", "rollback", "forget"}


@dataclass
class Item:
    id: int
    name: str
    size: int
    vector: Annotated[np.ndarray[Any, Any], motion.Vector(2)]


@motion.trigger(on="item.name", sets="item.size")
def size(name: str) -> int:
    return len(name)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path / 'odd.motion'}"
    with motion.create_store("odd", schemas={"item": Item}, triggers=[size], url=url) as store:
        store.set("item", id=1, name="coat").wait()
    (tmp_path / "file").write_text("none")
    return tmp_path


def check(folder: Path, words: list[str]) -> None:
    done = CliRunner().invoke(app, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), (words, done.exc_info)
    for each in (folder / "made", folder / "made.motion"):
        shutil.rmtree(each, ignore_errors=True)
        if each.is_file():
            each.unlink()


def command_of(name: str) -> Any:
    found: Any = typer.main.get_command(app)
    for word in name.split():
        found = found.commands[word]
    return found


def test_all_commands_are_here() -> None:
    commands = set(command_of("").commands)
    assert {name.split()[0] for name in USUAL} | RUNNING == commands


@pytest.mark.parametrize("name", USUAL)
def test_odd_words_are_done_or_refused_in_a_line(folder: Path, name: str) -> None:
    words = name.split()
    usual = USUAL[name]
    for odd in ODD:
        for place in range(len(usual)):
            check(folder, [*words, "--", *usual[:place], odd, *usual[place + 1 :]])
        for option in command_of(name).params:
            if option.param_type_name == "option" and not option.is_flag and option.name != "help":
                check(folder, [*words, f"{max(option.opts, key=len)}={odd}", "--", *usual])


@pytest.mark.parametrize("name", sorted(RUNNING))
def test_a_store_that_is_none_is_refused_in_a_line(folder: Path, name: str) -> None:
    others = {"promote": ["1"], "forget": ["item", "1"]}.get(name, [])
    for odd in ODD:
        check(folder, [name, "--", odd, *others])


@pytest.mark.parametrize(
    "words",
    [
        "run x:y --executor zz", "run x:y --has a,b", "serve x:y --rate zz", "serve x:y --port 70000", "serve x:y --port -1", "mcp x:y --role god",
        "token add odd.motion n --role god", "sql odd.motion select --timeout nan", "search odd.motion item.name a -k 0", "errors odd.motion --limit -1",
        "graph odd.motion --as zz", "graph odd.motion --output /nonexist/x",
    ],
)  # fmt: skip
def test_a_command_that_is_given_wrong_is_told_so_before_anything_is_done(words: str) -> None:
    assert CliRunner().invoke(app, words.split()).exit_code == 2
