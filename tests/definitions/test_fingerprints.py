"""What counts as changed code, and what does not: seen by what a store calls stale."""

from __future__ import annotations

import functools
import importlib
import sys
import threading
import types
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

import motion


@dataclass
class Line:
    id: int
    text: str
    upper: str


class Mode(Enum):
    SHORT = 1
    LONG = 2


@dataclass(frozen=True)
class Options:
    mode: Mode
    since: date


def on_text(function: Callable[..., Any], **options: Any) -> Any:
    return motion.trigger(on="line.text", sets="line.upper", name="upper", **options)(function)


def stale_after(tmp_path: Path, before: Any, after: Any) -> int:
    """Return how many of two rows are stale once a trigger is another."""
    options: dict[str, Any] = {"schemas": {"line": Line}, "url": f"sqlite:///{tmp_path}"}
    with motion.create_store("code", triggers=[before], **options) as store:
        store.set_many("line", [{"text": "a"}, {"text": "b"}]).wait(timeout=60)
    with motion.create_store("code", triggers=[after], **options) as store:
        (status,) = store.status().triggers.values()
        return status.stale


def closing_over(value: Any) -> Any:
    def upper(text: str) -> str:
        return f"{text}{value}"

    return on_text(upper)


def with_default(value: str) -> Any:
    def helped(text: str, suffix: str = value) -> str:
        return text + suffix

    def upper(text: str) -> str:
        return helped(text)

    return on_text(upper)


def made_of(source: str, helper: str = "def helped(text): return text") -> Any:
    """A trigger that is compiled from source, so without a file to read it from; its helpers are in another module."""
    module = types.ModuleType("tests.helping")
    exec(helper, vars(module))
    names: dict[str, Any] = {"__name__": "tests.made", "helping": module, "functools": functools}
    exec(source, names)
    return on_text(names["upper"])


def cached(ending: str) -> Any:
    @functools.lru_cache
    def helper(text: str) -> str:
        return text + ending

    def upper(text: str) -> str:
        return helper(text)

    return on_text(upper)


def with_partial(ending: str) -> Any:
    def add(text: str, ending: str) -> str:
        return text + ending

    added = functools.partial(add, ending=ending)

    def upper(text: str) -> str:
        return added(text)

    return on_text(upper)


def with_class(ending: str) -> Any:
    class Helper:
        suffix = ending

        def help(self, text: str) -> str:
            return text + self.suffix

    def upper(text: str) -> str:
        return Helper().help(text)

    return on_text(upper)


def component(ending: str, factor: int = 1) -> motion.Component:
    class Base(motion.Component):
        times = factor

        def setup(self) -> int:
            return 1

        def _end(self, text: str) -> str:
            return text + ending

        @motion.infer(on="line.text", sets="line.upper")
        def upper(self, state: int, text: str) -> str:
            return self._end(text) * self.times

    return Base()


CHANGES = {
    "a number that it closes over": (closing_over(1), closing_over(2)),
    "a list that it closes over": (closing_over(["a"]), closing_over(["a", "b"])),
    "an enum": (closing_over(Mode.SHORT), closing_over(Mode.LONG)),
    "a dataclass of plain data": (
        closing_over(Options(Mode.SHORT, date(2026, 1, 1))),
        closing_over(Options(Mode.SHORT, date(2026, 1, 2))),
    ),
    "a path": (closing_over(Path("a")), closing_over(Path("b"))),
    "a default of a helper": (with_default("a"), with_default("b")),
    "code without source": (
        made_of("def upper(text): return text + 'a'"),
        made_of("def upper(text): return text + 'b'"),
    ),
    "a helper in a module of its package": (
        made_of("def upper(text): return helping.helped(text)"),
        made_of("def upper(text): return helping.helped(text)", "def helped(text): return 'b'"),
    ),
    "a helper behind a cache": (cached("a"), cached("b")),
    "a partial": (with_partial("a"), with_partial("b")),
    "a class of its package": (with_class("a"), with_class("b")),
    "a method of its component": (component("a"), component("b")),
    "an attribute of its component's class": (component("a", 1), component("a", 2)),
    "when it runs": (
        on_text(lambda text: text, when=lambda row: True),
        on_text(lambda text: text, when=lambda row: row.id > 0),
    ),
    "its version": (
        on_text(lambda text: text, version="1"),
        on_text(lambda text: text, version="2"),
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_leaves_what_was_made_before_stale(tmp_path: Path, what: str) -> None:
    assert stale_after(tmp_path, *CHANGES[what]) == 2


def first(text: str) -> str:
    """Say it as it is."""
    return text  # as it is


def again() -> Any:
    def first(text: str) -> str:
        return   text  # fmt: skip

    return first


ITS_OWN: list[Any] = [1]
ITS_OWN.append(ITS_OWN)

SAME = {
    "layout, comments and docstring": (on_text(first), on_text(again())),
    "an object that is no plain data": (
        closing_over(threading.Lock()),
        closing_over(threading.Lock()),
    ),
    "data that holds itself": (closing_over(ITS_OWN), closing_over(ITS_OWN)),
    "code under a version": (
        on_text(lambda text: text, version="1"),
        on_text(lambda text: text * 2, version="1"),
    ),
    "the order of a set": (closing_over({"a", "b", "c"}), closing_over({"c", "b", "a"})),
}


@pytest.mark.parametrize("what", SAME)
def test_what_changes_no_result_leaves_nothing_stale(tmp_path: Path, what: str) -> None:
    assert stale_after(tmp_path, *SAME[what]) == 0


MOVED = """
import os
from pathlib import Path

import motion

HERE = os.path.dirname(__file__)
WORDS = Path(__file__).parent / "words.txt"
ELSEWHERE = Path(ELSEWHERE_IS)

def helped(text):
    return text + WORDS.name + os.path.join(HERE, "more.txt")[-8:] + Path(__file__).name + ELSEWHERE.name

class Upper(motion.Component):
    def __init__(self):
        self.words = [WORDS]

    def setup(self):
        return 1

    @motion.infer(on="line.text", sets="line.upper")
    def upper(self, state, text):
        return helped(text)

@motion.trigger(on="line.text", sets="line.upper", name="upper")
def upper(text):
    return helped(text)
"""


def installed(
    monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, elsewhere: str = "/var/words"
) -> Any:
    """Return a package that lies in a folder, made and imported from there."""
    package = folder / "moved_shop"
    package.mkdir(parents=True)
    code = MOVED.replace("ELSEWHERE_IS", repr(elsewhere))
    (package / "rules.py").write_text(code.replace("words.txt", name))
    monkeypatch.syspath_prepend(str(folder))
    for module in ("moved_shop", "moved_shop.rules"):
        sys.modules.pop(module, None)
    return importlib.import_module("moved_shop.rules")


@pytest.mark.parametrize("kind", ["trigger", "component"])
def test_code_that_is_moved_with_its_files_leaves_nothing_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def made(folder: str, name: str = "words.txt", **given: str) -> Any:
        module = installed(monkeypatch, tmp_path / folder, name, **given)
        return module.upper if kind == "trigger" else module.Upper()

    before = made("one")
    assert stale_after(tmp_path / "moved", before, made("another/place")) == 0
    assert stale_after(tmp_path / "renamed", before, made("third", "other.txt")) == 2
    elsewhere = made("fourth", elsewhere="/var/other/words")
    assert stale_after(tmp_path / "elsewhere", before, elsewhere) == 2
