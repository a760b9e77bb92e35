"""What a `SchemaMismatch` says helps does help, whatever differs: each is done as it is said, and the store opens."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, make_dataclass
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import numpy as np
import pytest
from typer.testing import CliRunner

import motion
from motion.cli.app import app

Fields = Sequence[tuple[str, Any]]

COMMAND = re.compile(r"motion migrate STORE ([^']*)'")


class Size(Enum):
    SMALL = 0
    LARGE = 1


class Sizes(Enum):
    SMALL = 0


@dataclass
class Part:
    name: str


@dataclass
class Piece:
    title: str


def vector(size: int) -> Any:
    return Annotated[np.ndarray, motion.Vector(size)]


PAGED: Fields = [("x", int), ("p_page", int), ("y", int)]

KINDS: dict[str, tuple[Fields, Fields, dict[str, Any]]] = {
    "a key is renamed": ([("x", int)], [("z", int)], {"x": 1}),
    "keys are gone": ([("x", int), ("y", str), ("z", str)], [("z", str)], {"x": 1, "y": "a"}),
    "a type": ([("x", str)], [("x", int)], {"x": "1"}),
    "types": ([("x", str), ("y", float)], [("x", int), ("y", str)], {"x": "1", "y": 1.5}),
    "an enum": ([("x", Size)], [("x", Sizes)], {"x": Size.LARGE}),
    "a dataclass": ([("x", Part)], [("x", Piece)], {"x": Part("a")}),
    "a vector": ([("x", vector(2))], [("x", vector(3))], {"x": np.ones(2, np.float32)}),
    "a page key is renamed": (PAGED, [("x", int), ("q_page", int), ("y", int)], {"x": 1, "p_page": 0}),
    "a page key is gone": (PAGED, [("x", int), ("y", int)], {"x": 1}),
    "a page key is new": ([("x", int)], [("x", int), ("p_page", int)], {"x": 1}),
    "a page key among others": (PAGED, [("z", int), ("y", str)], {"x": 1, "y": 2}),
    "a page key is none now": (PAGED, [("x", int), ("p_page", Annotated[int, motion.Key(page=False)]), ("y", int)], {"x": 1}),
    "a key is a page key now": ([("x", int), ("p_page", Annotated[int, motion.Key(page=False)])], [("x", int), ("p_page", int)], {"x": 1, "p_page": 3}),
    "the id": ([("id", int), ("x", int)], [("id", str), ("x", int)], {"x": 1}),
}  # fmt: skip


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> tuple[Fields, Fields, dict[str, Any]]:
    return KINDS[request.param]


@pytest.fixture
def convert(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("moves")
    monkeypatch.setitem(sys.modules, "moves", module)
    return module


def table(fields: Fields) -> type:
    own = [] if fields[0][0] == "id" else [("id", int)]
    return make_dataclass("Thing", [*own, *fields])


def opened(folder: Path, fields: Fields) -> motion.Store:
    schemas = {"thing": table(fields)}
    return motion.create_store("things", schemas=schemas, url=f"sqlite:///{folder}")


def _told(folder: Path, fields: Fields) -> str:
    """Return what a schema has against it; nothing where the store opens."""
    try:
        opened(folder, fields).close()
    except motion.SchemaMismatch as exc:
        return str(exc)
    return ""


def test_each_command_that_is_named_does_what_is_said_of_it(
    tmp_path: Path, kind: tuple[Fields, Fields, dict[str, Any]], convert: ModuleType
) -> None:
    before, after, values = kind
    fresh = [name for name, _ in after if name not in dict(before)]
    ways = COMMAND.findall(_made(tmp_path / "0", before, after, values))
    for number, way in enumerate(ways, 1):
        if "=NEW" in way and not fresh:
            continue  # no key has another name
        folder = tmp_path / str(number)
        left = COMMAND.findall(_made(folder, before, after, values))
        assert way in left
        while left:
            way = way if way in left else left[-1]
            _migrate(folder, way.replace("NEW", fresh[0] if fresh else ""), after, convert)
            message = _told(folder, after)
            assert way not in COMMAND.findall(message)
            left = COMMAND.findall(message)
        assert not message or "names the rows" in message


def test_a_schema_that_keeps_what_names_the_rows_opens(
    tmp_path: Path, kind: tuple[Fields, Fields, dict[str, Any]]
) -> None:
    before, after, values = kind
    message = _made(tmp_path / "store", before, after, values)
    plain = re.search(r"Annotated\[int, motion\.Key\(page=False\)\] declares (\w+)", message)
    if plain:
        as_said = [(name, Annotated[int, motion.Key(page=False)] if name == plain[1] else at) for name, at in after]  # fmt: skip
        opened(tmp_path / "store", as_said).close()
    if "a name of its own" in message:
        fresh = [(f"new_{name}", at) for name, at in after if name != "id"]
        opened(tmp_path / "store", [*before, *fresh]).close()
    else:
        assert "names the rows" in message
    with opened(tmp_path / "other", before) as store:
        assert len(store.rows("thing")) == 0


def test_rows_are_copied_as_is_said(
    tmp_path: Path, kind: tuple[Fields, Fields, dict[str, Any]]
) -> None:
    before, after, values = kind
    assert "rows(inherit=False)" in _made(tmp_path / "store", before, after, values)
    names = {name for name, _ in before} & {name for name, _ in after} - {"id"}
    alike = {name for name in names if dict(before)[name] is dict(after)[name] is int}
    with opened(tmp_path / "store", before) as old, opened(tmp_path / "new", after) as new:
        old_rows = [vars(row) for row in old.rows("thing", inherit=False)]
        new.set_many("thing", [{name: row[name] for name in alike} for row in old_rows])
        assert len(new.rows("thing")) == len(old_rows) == 1


def test_a_key_that_is_kept_by_version_is_told_as_one_that_no_command_moves(
    tmp_path: Path,
) -> None:
    class Encoder(motion.Component):
        def setup(self) -> int:
            return 1

        @motion.infer(on="thing.x", sets="thing.v", refresh="before")
        def embed(self, state: int, x: int) -> int:
            return x + state

    folder = tmp_path / "store"
    schemas = {"thing": table([("x", int), ("v", int)])}
    with motion.create_store("things", schemas=schemas, triggers=[Encoder()], url=f"sqlite:///{folder}") as store:  # fmt: skip
        store.set("thing", x=1).wait()
    message = _told(folder, [("x", int)])
    assert not COMMAND.search(message)
    assert "v is kept once for each state version, by Encoder.embed" in message


def _made(folder: Path, before: Fields, after: Fields, values: dict[str, Any]) -> str:
    """Make a store of one row; return what the schema of after has against it."""
    with opened(folder, before) as store:
        store.set("thing", **values)
    return _told(folder, after)


def _migrate(folder: Path, way: str, after: Fields, module: ModuleType) -> None:
    words = way.split()
    for place, word in enumerate(words):
        path, _, target = word.partition("=")
        key = path.partition(".")[2]
        if target == "MODULE:FUNCTION":
            module.now = _conversion(dict(after)[key])  # type: ignore[attr-defined]
            words[place] = f"{path}=moves:now"
    done = CliRunner().invoke(app, ["migrate", str(folder), *words, "--yes"])
    assert done.exit_code == 0, (words, done.output, done.exception)


def _conversion(kind: Any) -> Any:
    values = {int: 5, str: "a", Sizes: Sizes.SMALL, Piece: Piece("a")}

    def now(value: Any) -> Any:
        return (
            values.get(kind, np.ones(3, np.float32))
            if isinstance(kind, type)
            else np.ones(3, np.float32)
        )

    now.__annotations__ = {"value": Any, "return": kind}
    return now
