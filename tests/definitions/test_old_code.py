"""A run of old code that ends after a store was opened with new code: what it gives counts for the code that made it."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import motion
from motion.testing import Stepper


@dataclass
class Row:
    id: int
    a: int
    b: str
    c: str
    page: int
    d: str


@dataclass
class Part:
    id: int
    text: str


SCHEMAS = {"row": Row, "part": Part}
Meanwhile = list[Callable[[], Any]]


def code(version: str, kind: str, on_change: Any, meanwhile: Meanwhile) -> list[Any]:
    """Triggers whose results tell the version of their code; while the first is called, something else happens."""

    def made() -> str:
        while meanwhile:
            contextvars.Context().run(meanwhile.pop())
        return f"code {version}"

    options: dict[str, Any] = {"version": version, "on_change": on_change, "inline": False}

    def key(a: int) -> str:
        return made()

    def pages(a: int) -> list[str]:
        return [made(), made()]

    def generator(a: int) -> Iterator[str]:
        yield made()
        yield made()

    def owned(a: int) -> list[dict[str, str]]:
        return [{"text": made()}]

    function = {"key": key, "pages": pages, "generator": generator, "owned": owned}[kind]
    sets = {"key": "row.b", "owned": "part"}.get(kind, "row.d")
    page = "page" if sets == "row.d" else None
    return [motion.trigger(on="row.a", sets=sets, page=page, name="make", **options)(function)]


class Deployment:
    """A store that is opened with new code while a function of the old code runs in another process's store."""

    def __init__(self, folder: Path, kind: str, on_change: str | None) -> None:
        self._url, self._kind, self._on_change = f"sqlite:///{folder}", kind, on_change
        self.meanwhile: Meanwhile = []
        self.old = self._opened("1", self.meanwhile)
        self.worker = Stepper(self.old)

    def deploy(self) -> None:
        self.new = self._opened("2", [])
        self.new_worker = Stepper(self.new)

    def _opened(self, version: str, meanwhile: Meanwhile) -> motion.Store:
        triggers = code(version, self._kind, self._on_change, meanwhile)
        return motion.create_store(
            f"code{version}", schemas=SCHEMAS, triggers=triggers, url=self._url, run=False
        )

    def run(self) -> tuple[set[str | None], int]:
        """Run a row by the old code, then what the new code has to do; return the values and how many are stale."""
        self.old.set("row", id=1, a=1)
        self.worker.step()
        return self.left()

    def left(self) -> tuple[set[str | None], int]:
        """Let the new code do what there is to do; return the values and how many are stale."""
        self.new_worker.run_until_idle()
        self.new.wait(timeout=60)
        rows = self.new.rows("part" if self._kind == "owned" else "row")
        key = {"owned": "text", "key": "b"}.get(self._kind, "d")
        return {getattr(row, key) for row in rows}, self.new.status().triggers["make"].stale

    def close(self) -> None:
        for each in (self.worker, self.new_worker, self.old, self.new):
            each.close()


KINDS = ("key", "pages", "generator", "owned")


@pytest.mark.parametrize("kind", KINDS)
def test_p4_old_code_that_ends_after_the_backfill_by_itself_is_made_again(
    tmp_path: Path, kind: str
) -> None:
    deployment = Deployment(tmp_path / "s", kind, "backfill")

    def deploy_and_hand_over() -> None:
        deployment.deploy()
        deployment.new_worker.step()

    deployment.meanwhile.append(deploy_and_hand_over)
    found = deployment.run()
    deployment.close()
    assert found == ({"code 2"}, 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_handed_over", [True, False])
def test_p4_old_code_that_ends_while_a_backfill_is_under_way_is_made_again(
    tmp_path: Path, kind: str, is_handed_over: bool
) -> None:
    deployment = Deployment(tmp_path / "s", kind, None)

    def deploy_and_backfill() -> None:
        deployment.deploy()
        deployment.new.backfill("make")
        if is_handed_over:
            deployment.new_worker.step()

    deployment.meanwhile.append(deploy_and_backfill)
    found = deployment.run()
    deployment.close()
    assert found == ({"code 2"}, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_what_old_code_gives_after_new_code_is_there_counts_as_stale(
    tmp_path: Path, kind: str
) -> None:
    deployment = Deployment(tmp_path / "s", kind, None)
    deployment.meanwhile.append(deployment.deploy)
    stale = deployment.run()
    deployment.new.backfill("make")
    deployment.new_worker.run_until_idle()
    left = deployment.new.status().triggers["make"].stale
    deployment.close()
    assert (stale, left) == (({"code 1"}, 1), 0)


@pytest.mark.parametrize("on_change", ["backfill", None])
def test_old_code_takes_no_task_once_there_is_new_code(
    tmp_path: Path, on_change: str | None
) -> None:
    deployment = Deployment(tmp_path / "s", "key", on_change)
    deployment.deploy()
    deployment.new_worker.run_until_idle()
    deployment.new.set("row", id=1, a=2)
    deployment.worker.step()  # it has not looked at the store since
    found = deployment.left()
    deployment.close()
    assert found == ({"code 2"}, 0)
