"""A second process: one that was opened without what the first has, tells what there is of it all the same."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import pytest

import motion
from motion import clock
from motion.testing import Stepper
from tests.conftest import OpenStore


@dataclass
class Doc:
    id: int
    text: str
    size: int
    good: bool


@motion.trigger(on="doc.text", sets="doc.size", inline=False)
def size(text: str) -> int:
    return len(text)


class Model(motion.Component):
    def setup(self) -> int:
        return 1

    @motion.fit(on="doc.good")
    def learn(self, state: int, rows: list[Doc]) -> int:
        return state


def test_waiting_tasks_of_others_triggers_are_told_as_such(
    open_store: OpenStore, tmp_path: Path
) -> None:
    first = open_store(schemas={"doc": Doc}, triggers=[size, Model()], run=False)
    first.set_many("doc", [{"text": "a"}, {"text": "b"}])
    first.close()
    with open_store() as other:
        status = other.status()
        told = status.triggers["size"]
        assert (told.rows, dict(told.tasks), told.has_code) == (2, {"ready": 1}, False)
        assert status.orphaned == 0
        assert "size (not run here)" in str(status)
        assert list(status.versions) == ["Model"]
        assert other.model("Model").versions() == []
    again = open_store(schemas={"doc": Doc}, triggers=[], run=False)
    assert (again.status().orphaned, list(again.status().triggers)) == (1, [])


def test_the_log_of_a_retry_names_row_and_error(
    open_store: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    @motion.trigger(on="doc.text", sets="doc.size", retries=1)
    def fails(text: str) -> int:
        raise ValueError(f"no {text}")

    store = open_store(schemas={"doc": Doc}, triggers=[fails], run=False)
    with caplog.at_level(logging.INFO, "motion"), Stepper(store) as worker:
        store.set("doc", id=7, text="boots")
        worker.step()
        first = caplog.text
        clock.advance(seconds=3_600)
        worker.run_until_idle()
    assert (
        "fails failed on doc id=7 in attempt 1 of 2: ValueError: no boots; it is tried again in"
        in first
    )
    assert "fails failed on doc id=7 in attempt 2 of 2: ValueError: no boots" in caplog.text
    assert (
        "gave up on 1 row(s), see store.errors(); the first: doc id=7: ValueError: no boots"
        in caplog.text
    )
