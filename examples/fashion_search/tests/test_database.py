"""The same shop with its rows in PostgreSQL, and its work on Ray."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import motion
from fashion_search.answers import answer_of, ask
from fashion_search.catalogs import drawn_catalogs
from fashion_search.database import DATABASE, DatabaseTaken
from fashion_search.ingest import ingest
from fashion_search.pipeline import open_store
from fashion_search.places import DEFAULT_STORE
from tests.postgres import running

PRODUCTS = 60
QUERIES = ("what to wear to a beach wedding", "red dress for women", "black boots under $80")


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The URL of a database in a server of its own; skipped by name where none can start."""
    with tempfile.TemporaryDirectory(prefix="motion-pg-") as place, ExitStack() as ending:
        try:
            server = ending.enter_context(running(Path(place), "fsync = off\n"))
        except Exception as exc:  # noqa: BLE001 - whatever keeps it from starting
            pytest.skip(f"no PostgreSQL server here: {type(exc).__name__}: {exc}")
        yield server.url


def answers(store: motion.Store) -> list[list[tuple[str, list[int]]]]:
    """Return the ideas for each query, and the products found for each."""
    found = [answer_of(store, ask(store, query)) for query in QUERIES]
    return [
        [(idea, [each.product.id for each in of]) for idea, of in each.items()] for each in found
    ]


def test_answers_are_those_of_a_store_in_a_folder(
    a_store: Path, database: str, tmp_path: Path
) -> None:
    with open_store(a_store) as store:
        expected = answers(store)
    shop = tmp_path / "postgres.motion"
    with open_store(shop, database=database) as store:
        ingest(store, drawn_catalogs(PRODUCTS), commit_every=20)
        store.wait(timeout=100)
        assert (answers(store), store.errors()) == (expected, [])
    assert not (shop / "store.sqlite").exists()
    assert (shop / DATABASE).stat().st_mode & 0o077 == 0  # it may hold a password
    with open_store(shop) as store:  # the folder says where its rows are
        assert len(store.rows("retailer")) == PRODUCTS
        assert answers(store) == expected
    with pytest.raises(DatabaseTaken, match="another folder"):
        open_store(shop, database="postgresql://elsewhere/shop")
    with pytest.raises(DatabaseTaken):
        open_store(a_store, database=database)


def test_answers_are_the_same_with_its_work_on_ray(
    a_store: Path, database: str, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    shop = tmp_path / DEFAULT_STORE
    with open_store(a_store) as store:
        expected = answers(store)
    elsewhere = f"{database}&motion_schema=on_ray"
    open_store(shop, database=elsewhere).close()  # its models are made
    with open_store(shop, run=False) as store:
        ingest(store, drawn_catalogs(PRODUCTS), commit_every=20)
    program = [
        str(Path(sys.executable).parent / "motion"),
        "run",
        "fashion_search.pipeline:open_store",
    ]
    options = ["--executor", "ray", "--until-idle"]
    subprocess.run([*program, *options], cwd=tmp_path, check=True, timeout=250)
    with open_store(shop, run=False) as store:
        assert store.status().triggers["ImageRetrieval.embed"].calls == PRODUCTS
    with open_store(shop) as store:
        assert (answers(store), store.errors()) == (expected, [])
