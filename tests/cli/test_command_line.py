"""`motion` on the command line: a model's versions are listed, fitted, promoted and rolled back from another process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SHOP = '''
"""A store of ratings with a model that guesses them."""
from dataclasses import dataclass

import motion


@dataclass
class Rating:
    id: int
    stars: int


class Mean(motion.Component):
    """Guesses the stars; worse after each fit, if `evaluate` is asked."""

    def setup(self) -> float:
        return 3.0

    @motion.fit(on="rating.stars", promote=motion.if_better("quality"))
    def learn(self, mean: float, rows: list[Rating]) -> float:
        if rows[-1].stars == 0:
            raise ValueError("no stars")
        return mean + sum(row.stars for row in rows)

    def evaluate(self, mean: float, rows: list[Rating]) -> dict[str, float]:
        return {"quality": -mean, "share": float("nan"), "loss": float("inf")}


def opened() -> motion.Store:
    return motion.create_store("ratings", schemas={"rating": Rating}, triggers=[Mean()])


nothing = {}
if __name__ == "__main__":
    with opened() as store:
        store.model("Mean").fit()
        store.wait()
'''


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(SHOP)
    return tmp_path


def run(shop: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "motion", *words],
        cwd=shop, capture_output=True, text=True, timeout=100, env=environment(), check=False,
    )  # fmt: skip


def environment() -> dict[str, str]:

    return {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}


def told(shop: Path, *words: str, status: int = 0) -> list[dict[str, Any]]:
    """Return the JSON that a command prints."""
    done = run(shop, *words, "--json")
    assert done.returncode == status, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def rate(shop: Path, stars: int) -> None:
    """Set a label, in a process of its own."""
    code = f"import shop\nwith shop.opened() as store: store.set('rating', stars={stars}).wait(); store.wait()"
    subprocess.run([sys.executable, "-c", code], cwd=shop, check=True, timeout=100)


def statuses(found: list[dict[str, Any]]) -> list[tuple[int, str]]:
    return [(each["number"], each["status"]) for each in found]


@pytest.mark.slow
def test_a_model_is_fitted_refused_promoted_and_rolled_back(shop: Path) -> None:
    assert "there is nothing to fit" in run(shop, "fit", "shop:opened").stderr
    rate(shop, 2)
    made = told(shop, "fit", "shop:opened")
    assert statuses(made) == [(1, "live"), (2, "refused")]  # a first one, where there was none
    assert (made[1]["parent"], made[1]["rows"], made[1]["metrics"]["quality"]) == (1, 1, -5.0)
    assert made[1]["metrics"]["share"] is None  # JSON has no NaN
    assert made[1]["metrics"]["loss"] == "Infinity"
    assert statuses(told(shop, "promote", "shop:opened", "2")) == [(2, "live")]
    assert statuses(told(shop, "rollback", "shop:opened", "Mean")) == [(1, "live")]
    found = told(shop, "versions", "shop:opened")
    assert statuses(found) == [(1, "live"), (2, "retired")]
    table = run(shop, "versions", "shop:opened").stdout
    assert [line.split()[:4] for line in table.splitlines()] == [
        ["version", "status", "from", "labels"],
        ["1", "live", "setup", "0"],
        ["2", "retired", "1", "1"],
    ]
    assert "not better" in table


@pytest.mark.slow
def test_a_fit_that_raises_says_why_and_fails_the_command(shop: Path) -> None:
    rate(shop, 0)
    made = told(shop, "fit", "shop:opened", status=1)[-1]
    assert made["status"] == "failed"
    assert "no stars" in made["metrics"]["reason"]


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["versions", "shop"], 2, "'shop' names no store: there is no such folder here, and it is not module:name"),
        (["versions", "shopp:opened"], 2, "there is no module 'shopp' here"),
        (["versions", "shop.py:opened"], 2, "there is no module 'shop.py' here or among what is installed; without .py: shop."),
        (["versions", "shop:open"], 2, "module 'shop' has no 'open'; stores in it, and functions that may open one: opened. Did you mean 'opened'?"),
        (["versions", "shop:nothing"], 2, "shop:nothing is {}, and no store"),
        (["versions", "shop:opened"], 1, "there is no such folder. A store is made by the program that opens it first"),
        (["rollback", "shop:opened"], 1, "Mean has no state version to go back to"),
        (["promote", "shop:opened", "7"], 1, "Mean has no state version 7"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_a_line(
    shop: Path, words: list[str], status: int, message: str
) -> None:
    done = run(shop, *words)
    assert (done.returncode, done.stdout) == (status, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_module_that_cannot_be_imported_shows_its_own_error(shop: Path) -> None:
    (shop / "broken.py").write_text("import not_there")
    done = run(shop, "versions", "broken:store")
    assert done.returncode == 1
    assert "not_there" in done.stderr


@pytest.mark.parametrize("command", ["versions", "fit", "promote", "rollback"])
def test_help_has_an_example(shop: Path, command: str) -> None:
    assert f"Example: motion {command} shop:store" in run(shop, command, "--help").stdout


ODD = """
from dataclasses import dataclass
import motion

@dataclass
class Rating:
    id: int
    good: bool

class Odd(motion.Component):
    def setup(self) -> float:
        return 1.0

    @motion.fit(on="rating.good")
    def learn(self, state: float, rows: list[Rating]) -> float:
        raise ValueError("the prompt ends with [/INST], \\x1b[31mred [link=x]y[/link] [bold]")

def opened():
    return motion.create_store("odd", schemas={"rating": Rating}, triggers=[Odd()])

def of(folder):
    return motion.create_store("odd", url=folder)
"""


def test_what_users_texts_hold_is_shown_and_does_nothing(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(ODD)
    code = "import odd\ns = odd.opened(); s.set('rating', good=True); s.model('Odd').fit(); s.wait(); s.close()"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    done = run(tmp_path, "versions", "odd:opened")
    assert done.returncode == 0
    assert "[/INST]" in done.stdout.replace("\n", "")
    assert "\x1b" not in done.stdout


def test_what_is_logged_of_users_texts_does_nothing_either(tmp_path: Path) -> None:
    text = """
from dataclasses import dataclass
import motion

@dataclass
class Rating:
    id: int
    word: str
    made: str

@motion.trigger(on="rating.word", sets="rating.made", retries=0)
def make(word: str) -> str:
    raise ValueError(f"{word} is none, \\x1b[31m")

def opened():
    return motion.create_store("rated", schemas={"rating": Rating}, triggers=[make], run=False)
"""
    (tmp_path / "rated.py").write_text(text)
    code = "import rated\ns = rated.opened(); s.set('rating', word='one'); s.close()"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    done = run(tmp_path, "run", "rated:opened", "--until-idle")
    assert "one is none, \\x1b[31m" in done.stderr
    assert "\x1b" not in done.stderr + done.stdout


def test_a_function_with_parameters_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(ODD)
    done = run(tmp_path, "versions", "odd:of")
    assert (done.returncode, "function with parameters" in done.stderr) == (2, True)
    assert "Traceback" not in done.stderr


def test_a_command_that_only_reads_leaves_triggers_as_they_are(shop: Path) -> None:
    rate(shop, 4)
    made = len(told(shop, "fit", "shop:opened"))
    code = shop / "shop.py"
    code.write_text(
        code.read_text().replace("return 3.0", "return 4.0").replace("stars == 0", "stars == 9")
    )
    done = run(shop, "versions", "shop:opened", "Mean")
    assert done.returncode == 0
    assert "has changed" not in done.stderr
    look = "import motion; s = motion.create_store('ratings', run=False); st = s.status(); print(st.fits, len(s.model('Mean').versions()))"
    seen = subprocess.run(
        [sys.executable, "-c", look], cwd=shop, check=True, capture_output=True, text=True
    )
    assert seen.stdout.split() == ["0", str(made)]
