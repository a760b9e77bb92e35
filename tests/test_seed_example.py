"""The example that the interface was designed by, exactly as it stands, and then used."""

from __future__ import annotations

import os
import runpy
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SEED = """
import numpy as np
from dataclasses import dataclass
from enum import Enum

import motion

class Retailer(Enum):
    NORDSTROM = 0
    REVOLVE = 1
    BLOOMINGDALES = 2

class QuerySource(Enum):
    OFFLINE = 0
    ONLINE = 1

@dataclass
class QuerySchema:
    id: int
    ts: int
    src: QuerySource
    query: str
    text_suggestion: str
    text_suggestion_page: int
    img_id: int
    img_score: int
    img_id_page: int
    feedback: bool

@dataclass
class RetailerSchema:
    id: int
    ts: int
    retailer: Retailer
    img_url: str
    img_desc: str
    img_html: str
    img_summary: str
    img_embedding: np.ndarray

store = motion.create_store("fashion_search", schemas={"query": QuerySchema, "retailer": RetailerSchema})
"""


class Seed:
    """The names that the example defines."""

    def __init__(self) -> None:
        Path("seed.py").write_text(SEED)
        names: dict[str, Any] = runpy.run_path("seed.py")
        self.store = names["store"]
        self.Query, self.Shop = names["QuerySchema"], names["RetailerSchema"]
        self.Retailer, self.Source = names["Retailer"], names["QuerySource"]


@pytest.fixture
def seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Seed]:
    monkeypatch.chdir(tmp_path)
    example = Seed()
    yield example
    example.store.close()


def test_the_store_lies_in_a_folder_of_its_name(seed: Seed) -> None:
    assert sorted(os.listdir()) == ["fashion_search.motion", "seed.py"]


def test_running_the_example_twice_gives_the_same_store(seed: Seed) -> None:
    assert Seed().store is seed.store


def test_rows_set_before_the_example_ran_again_are_of_its_new_classes(seed: Seed) -> None:
    seed.store.set("query", query="red dress", src=seed.Source.ONLINE)
    again = Seed()
    row = again.store.get(again.Query, 1)
    assert (type(row), row.src) == (again.Query, again.Source.ONLINE)


def test_a_query_gets_an_id_and_a_time(seed: Seed) -> None:
    change = seed.store.set("query", query="red dress")
    row = seed.store.get("query", change.id)
    assert (row.id, row.query, row.ts > 1_600_000_000_000) == (1, "red dress", True)


def test_the_primary_key_is_the_id_and_both_pages(seed: Seed) -> None:
    for suggestion in range(2):
        for image in range(3):
            seed.store.set("query", id=7, text_suggestion_page=suggestion, img_id_page=image)
    assert [(row.text_suggestion_page, row.img_id_page) for row in seed.store.rows("query", id=7)] == [
        (0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2),
    ]  # fmt: skip


def test_a_page_takes_what_it_does_not_have_from_the_pages_above_it(seed: Seed) -> None:
    seed.store.set("query", id=7, query="red dress", src="ONLINE")
    seed.store.set("query", id=7, text_suggestion_page=1, text_suggestion="a linen one")
    seed.store.set("query", id=7, text_suggestion_page=1, img_id_page=5, img_id=3, feedback=True)
    row = seed.store.get("query", 7, text_suggestion_page=1, img_id_page=5)
    assert (row.query, row.src, row.text_suggestion) == (
        "red dress",
        seed.Source.ONLINE,
        "a linen one",
    )
    assert (row.img_id, row.feedback) == (3, True)


def test_images_and_feedback_are_a_page_s_own(seed: Seed) -> None:
    seed.store.set("query", id=7, img_id=1, feedback=True)
    seed.store.set("query", id=7, text_suggestion_page=1, img_id_page=5)
    row = seed.store.get("query", 7, text_suggestion_page=1, img_id_page=5)
    assert (row.img_id, row.feedback) == (None, None)


def test_feedback_can_be_set_on_a_row_that_was_read(seed: Seed) -> None:
    seed.store.set("query", id=7, img_id_page=2, img_id=3)
    row = seed.store.get("query", 7, img_id_page=2)
    seed.store.set(row, feedback=False)
    assert seed.store.get("query", 7, img_id_page=2).feedback is False


def test_a_catalog_is_loaded_and_searched(seed: Seed) -> None:
    seed.store.set_many(
        "retailer",
        [
            {"retailer": retailer, "img_url": f"{retailer.name}/{i}", "img_embedding": vector}
            for retailer in seed.Retailer
            for i, vector in enumerate(np.eye(4, dtype=np.float32))
        ],
    )
    hits = seed.store.search(
        "retailer.img_embedding", np.eye(4)[2], k=2, where="retailer = ?", params=[seed.Retailer.REVOLVE]
    )  # fmt: skip
    assert [(hit.row.img_url, round(hit.score, 5)) for hit in hits] == [
        ("REVOLVE/2", 1),
        ("REVOLVE/0", 0),
    ]


def test_a_catalog_is_counted_with_sql(seed: Seed) -> None:
    seed.store.set_many("retailer", [{"retailer": name} for name in ("REVOLVE", "NORDSTROM")] * 2)
    counted = seed.store.sql("select retailer, count(*) as n from retailer group by 1 order by 1")
    assert counted.to_pylist() == [
        {"retailer": "NORDSTROM", "n": 2},
        {"retailer": "REVOLVE", "n": 2},
    ]


def test_other_tools_read_the_file_beside_the_open_store(seed: Seed) -> None:
    embedding = np.array([0.5, 2], np.float32)
    seed.store.set("retailer", id=3, retailer=seed.Retailer.REVOLVE, img_embedding=embedding)
    beside = sqlite3.connect("fashion_search.motion/store.sqlite")
    found = beside.execute("SELECT id, retailer, img_embedding FROM retailer").fetchall()
    beside.close()
    assert found == [(3, "REVOLVE", embedding.tobytes())]


def test_the_columns_of_the_file_are_the_keys(seed: Seed) -> None:
    beside = sqlite3.connect("fashion_search.motion/store.sqlite")
    columns = [column[0] for column in beside.execute("SELECT * FROM query").description]
    beside.close()
    assert columns == list(seed.Query.__annotations__)


def test_a_deleted_query_is_gone_with_its_pages(seed: Seed) -> None:
    for page in range(3):
        seed.store.set("query", id=7, img_id_page=page)
    seed.store.delete(seed.Query, 7)
    assert seed.store.rows("query") == []
