"""The command line: what it prints, and that each mistake is one clear line."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner, Result

import motion
from fashion_search.__main__ import app
from fashion_search.catalogs import drawn_catalogs
from fashion_search.demo import MADE_BY, Demo, DemoStoreTaken
from fashion_search.encoders import trunk_of
from fashion_search.pipeline import RetailerSchema, open_store
from fashion_search.shops import three_shops

if TYPE_CHECKING:
    from tests.conftest import IdeaServer

DATA = Path(os.environ.get("MOTION_DATA", Path(__file__).parents[4] / "shared" / "data"))
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="the fashion data pack is not here; set MOTION_DATA"
)


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def the_error(result: Result) -> str:
    """Return the one line that tells what is wrong."""
    [line] = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert (result.exit_code, result.stdout) == (1, "")
    return line


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A catalog of six drawn products."""
    rows = [
        {
            "id": product.source_id, "retailer": product.retailer, "title": product.title,
            "description": product.description, "image": product.image, "link": product.link,
            "source": "drawn",
        }
        for product in drawn_catalogs(6)
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "shop.parquet")
    return tmp_path / "shop.parquet"


def queries_of(folder: Path, *queries: Mapping[str, object]) -> Path:
    file = folder / "queries.jsonl"
    file.write_text("".join(json.dumps(query) + "\n" for query in queries), encoding="utf-8")
    return file


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    """Two queries, one of a kind each: a title that is in the catalog, and one that nothing answers."""
    known = next(iter(drawn_catalogs(1)))
    title = {"qid": "q1", "kind": "title", "query": known.title, "relevant_ids": [known.source_id]}
    other = {"qid": "q2", "kind": "other", "query": "a boat", "relevant_ids": ["none"]}
    return queries_of(tmp_path, title | {"gallery_source": "drawn"}, other)


# --- search ---------------------------------------------------------------------------------------


def test_search_tells_ideas_products_and_links(a_store: Path) -> None:
    result = run("search", "red dress for women", "--store", a_store)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "  red dress for women"
    assert "    https://www." in result.stdout


SEARCH = """
import sys
from fashion_search.__main__ import app
try:
    app(["search", "red dress", "--store", sys.argv[1]])
except SystemExit as end:
    assert not end.code
slow = {"torch", "transformers", "pandas", "PIL", "bs4", "lxml", "httpx2", "w3lib", "pyarrow.parquet"}
assert not slow & set(sys.modules), sorted(slow & set(sys.modules))
"""


def test_search_does_not_wait_for_what_it_does_without(a_store: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SEARCH, str(a_store)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_search_keeps_each_link_on_one_line(a_store: Path) -> None:
    with open_store(a_store) as store:
        links = {product.link for product in store.rows(RetailerSchema)}
    told = [line.strip() for line in run("search", "shoes", "--store", a_store).stdout.splitlines()]
    found = {line for line in told if line.startswith("https://")}
    assert found
    assert found <= links


def test_a_product_without_a_title_is_told_by_its_description(tmp_path: Path) -> None:
    image = next(iter(drawn_catalogs(1))).image
    row = {"id": "1", "description": "A red dress " + "of silk " * 20, "image": image}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "revolve.parquet")
    run("ingest", "--catalog", tmp_path / "revolve.parquet", "--store", tmp_path / "s")
    told = run("search", "red dress", "--store", tmp_path / "s").stdout
    assert "A red dress of silk of silk" in told
    assert "…, Revolve" in told


def test_search_draws_a_contact_sheet(a_store: Path, tmp_path: Path) -> None:
    run("search", "shoes", "--store", a_store, "--sheet", tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG"


def test_search_asks_an_endpoint_for_ideas(a_store: Path, idea_server: IdeaServer) -> None:
    idea_server.ideas = ["teal trousers for men"]
    result = run("search", "beach wedding", "--store", a_store, "--llm-url", idea_server.url)
    assert "teal trousers for men" in result.stdout
    assert "beach wedding" in idea_server.prompts[0]


def test_search_without_a_store_says_how_to_make_one(tmp_path: Path) -> None:
    error = the_error(run("search", "red dress", "--store", tmp_path / "none"))
    assert "there is no store" in error
    assert f"ingest --store {tmp_path / 'none'}" in error
    assert not (tmp_path / "none").exists()


def test_search_leaves_a_store_of_something_else_as_it_is(tmp_path: Path) -> None:
    @dataclass
    class Note:
        id: int
        text: str

    place = f"sqlite:///{tmp_path / 'notes'}"
    with motion.create_store("notes", schemas={"note": Note}, url=place, run=False) as notes:
        notes.set("note", text="mine")
    assert "there is no store" in the_error(
        run("search", "red dress", "--store", tmp_path / "notes")
    )
    with motion.create_store("notes", schemas={"note": Note}, url=place, run=False) as notes:
        tables = notes.sql("SELECT name FROM motion_tables").column(0).to_pylist()
    assert tables == ["note"]


def test_an_endpoint_that_is_not_there_is_one_clear_error(a_store: Path) -> None:
    url = "http://127.0.0.1:9/v1"  # the discard port: nobody listens
    error = the_error(run("search", "red dress", "--store", a_store, "--llm-url", url))
    assert url in error
    assert "Connection" in error
    assert "Check --llm-url" in error


def test_an_empty_query_is_one_clear_error(a_store: Path) -> None:
    assert "the query is empty" in the_error(run("search", " ", "--store", a_store))


# --- ingest ---------------------------------------------------------------------------------------


def test_ingest_makes_a_store_that_can_be_searched(shop: Path, tmp_path: Path) -> None:
    folder = tmp_path / "made.motion"
    assert run("ingest", "--catalog", shop, "--store", folder).stdout.startswith("6 products")
    assert "https://" in run("search", "shoes", "--store", folder).stdout


def test_a_log_is_not_flooded_with_progress(shop: Path, tmp_path: Path) -> None:
    result = run("ingest", "--catalog", shop, "--store", tmp_path / "made.motion")
    assert result.stderr == ""
    assert len(result.stdout.splitlines()) == 1


def test_a_catalog_may_say_whose_products_it_holds(tmp_path: Path) -> None:
    [product] = drawn_catalogs(1)
    (tmp_path / "dress.jpg").write_bytes(product.image)
    (tmp_path / "table.csv").write_text("id,title,image_path\n1,Red dress,dress.jpg\n")
    run("ingest", "--catalog", f"revolve={tmp_path}", "--store", tmp_path / "made.motion")
    with open_store(tmp_path / "made.motion") as store:
        assert [product.sku for product in store.rows(RetailerSchema)] == ["revolve/1"]


def test_an_unreadable_picture_is_a_bad_row_that_says_why(tmp_path: Path) -> None:
    rows = [
        {"id": "good", "title": "Dress", "image": next(iter(drawn_catalogs(1))).image},
        {"id": "bad", "title": "Dress", "image": b"<html>404</html>"},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "revolve.parquet")
    result = run("ingest", "--catalog", tmp_path / "revolve.parquet", "--store", tmp_path / "s")
    assert result.exit_code == 0
    assert result.stdout.startswith("1 products were read")
    assert "1 row left out" in result.stdout
    assert "the image is no picture" in " ".join(result.stdout.split())


def test_all_bad_rows_can_be_had_as_a_file(tmp_path: Path) -> None:
    rows = [{"id": str(i), "title": "Dress", "image": b"no picture"} for i in range(30)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "revolve.parquet")
    file = tmp_path / "bad.csv"
    run("ingest", "--catalog", tmp_path / "revolve.parquet", "--store", tmp_path / "s", "--bad-rows", file)  # fmt: skip
    with file.open(encoding="utf-8", newline="") as opened:
        told = list(csv.DictReader(opened))
    assert [row["id"] for row in told] == [str(i) for i in range(30)]
    assert all("the image is no picture" in row["why"] for row in told)


def test_a_catalog_that_is_not_there_is_one_clear_error(shop: Path, tmp_path: Path) -> None:
    result = run("ingest", "--catalog", shop, "--catalog", "none.csv", "--store", tmp_path / "s")
    assert "none.csv: no such file" in the_error(result)
    assert not (tmp_path / "s").exists()  # told before the first catalog was read


def test_a_catalog_without_a_needed_column_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "revolve.csv").write_text("id,titel,image\n1,Dress,x\n")
    error = the_error(run("ingest", "--catalog", tmp_path / "revolve.csv"))
    assert "no column title or description" in error
    assert "Did you mean 'titel'?" in error


def test_an_unknown_retailer_is_one_clear_error(shop: Path) -> None:
    error = the_error(run("ingest", "--catalog", f"revolv={shop}"))
    assert "unknown retailer 'revolv'" in error
    assert "did you mean 'revolve'?" in error


def test_a_clip_folder_that_is_not_there_is_one_clear_error(shop: Path, tmp_path: Path) -> None:
    result = run("ingest", "--catalog", shop, "--store", tmp_path / "s", "--clip", "./no/clip")
    error = the_error(result)
    assert "there is no CLIP model at './no/clip'" in error
    assert "it does not exist" in error


def test_a_store_that_began_without_its_clip_can_begin_again(shop: Path, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    run("ingest", "--catalog", shop, "--store", folder, "--clip", "./no/clip")
    assert run("ingest", "--catalog", shop, "--store", folder).exit_code == 0


def test_a_clip_cannot_be_given_to_a_store_that_has_one(a_store: Path, shop: Path) -> None:
    result = run("ingest", "--catalog", shop, "--store", a_store, "--clip", "openai/other")
    assert "goes on with its own CLIP" in the_error(result)


def test_a_hub_that_cannot_be_reached_is_one_clear_error(shop: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fashion_search", "ingest", "--catalog", str(shop), "--store",
               str(tmp_path / "s"), "--clip", "nobody/no-such-clip"]  # fmt: skip
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    *notes, error = done.stderr.splitlines()
    assert notes == ["looking for nobody/no-such-clip on the Hugging Face hub"]
    assert "there is no CLIP model at 'nobody/no-such-clip'" in error
    assert (done.returncode, done.stdout) == (1, "")


def test_a_whole_catalog_removes_what_it_no_longer_names(tmp_path: Path) -> None:
    store, file = tmp_path / "shop.motion", tmp_path / "revolve.jsonl"
    with three_shops(3) as shops:
        shop = shops["revolve"]

        def written(*numbers: int, tail: str = "") -> Path:
            told = [{"code": str(n), "name": f"Dress {n}", "price": n, "images": [f"{shop.url}/img/100{n}.jpg"]} for n in numbers]  # fmt: skip
            file.write_text("".join(json.dumps(each) + "\n" for each in told) + tail)
            return file

        def ids() -> list[str]:
            with open_store(store, run=False) as opened:
                rows = opened.rows("retailer")
                assert all(row.image for row in rows)
                return [row.source_id for row in rows]

        options = ("--store", store, "--allow", shop.host, "--whole")
        run("ingest", "--catalog", written(1, 2), *options)
        assert ids() == ["1", "2"]
        run("ingest", "--catalog", written(1, 3), *options)
        assert ids() == ["1", "3"]
        damaged = written(1, tail='{"code": "3", "name": "x", "images": []}\n')
        assert "Nothing was removed" in run("ingest", "--catalog", damaged, *options).stdout
        assert ids() == ["1", "3"]


# --- crawl ----------------------------------------------------------------------------------------


def test_crawl_serves_three_shops_and_reads_only_what_changed(tmp_path: Path) -> None:
    told = run("crawl", "--store", tmp_path / "crawled.motion")
    rounds = {line.split()[0]: line.split()[1:] for line in told.stdout.splitlines() if line.split()[0] in ("new", "unchanged", "changed")}  # fmt: skip
    assert rounds == {
        "new": ["53", "0", "0", "0", "72", "72"],
        "unchanged": ["0", "53", "0", "0", "72", "72"],
        "changed": ["11", "40", "2", "0", "69", "69"],
    }


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("https://shop.example/", "does not say whose it is"),
        ("saks=https://shop.example/", "does not say whose it is"),
        ("revolve=file:///etc/passwd", "is no web address"),
    ],
)
def test_an_address_that_cannot_be_crawled_is_one_clear_error(
    address: str, told: str, tmp_path: Path
) -> None:
    store = tmp_path / "none.motion"
    assert told in the_error(run("crawl", address, "--store", store))
    assert not store.exists()


# --- evaluate -------------------------------------------------------------------------------------


def test_evaluate_prints_one_json_object_and_nothing_else(shop: Path, queries: Path) -> None:
    result = run("evaluate", "--catalog", shop, "--queries", queries, "--json")
    assert json.loads(result.stdout) == {
        "kinds": {
            "title": {"queries": 1, "first_hit": 1.0, "hit_at_10": 1.0},
            "other": {"queries": 1, "first_hit": 0.0, "hit_at_10": 0.0},
        }
    }
    assert result.stderr == ""


def test_evaluate_measures_a_store_that_is_there_as_it_is(
    shop: Path, queries: Path, tmp_path: Path
) -> None:
    store = tmp_path / "kept.motion"
    measured = run("evaluate", "--catalog", shop, "--queries", queries, "--store", store, "--json")
    again = run("evaluate", "--queries", queries, "--store", store, "--json")
    assert again.stdout == measured.stdout
    with open_store(store, run=False) as opened:
        assert len(opened.rows("retailer")) == 6


def test_motion_lists_the_versions_of_a_store_that_is_in_the_folder(
    shop: Path, queries: Path, tmp_path: Path
) -> None:
    store = tmp_path / "fashion_search.motion"
    run("evaluate", "--catalog", shop, "--queries", queries, "--store", store, "--json")
    command = [sys.executable, "-m", "motion", "versions", "fashion_search.pipeline:open_store"]
    found = subprocess.run(
        [*command, "ImageRetrieval", "--json"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert [each["status"] for each in json.loads(found.stdout)] == ["live"]


def test_evaluate_makes_no_store_where_none_is(tmp_path: Path, queries: Path) -> None:
    store = tmp_path / "typo.motion"
    assert "there is no store in" in the_error(
        run("evaluate", "--queries", queries, "--store", store)
    )
    assert not store.exists()


def test_evaluate_prints_a_table_for_people(shop: Path, queries: Path) -> None:
    lines = run("evaluate", "--catalog", shop, "--queries", queries).stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["kind", "queries", "first", "hit", "hit@10"],
        ["title", "1", "1.00", "1.00"],
        ["other", "1", "0.00", "0.00"],
    ]


def test_a_query_is_ranked_only_in_its_gallery(shop: Path, tmp_path: Path) -> None:
    known = next(iter(drawn_catalogs(1)))
    query = {"qid": "q", "kind": "k", "query": known.title, "relevant_ids": [known.source_id]}
    queries = queries_of(tmp_path, query | {"gallery_source": "elsewhere"})
    found = run("evaluate", "--catalog", shop, "--queries", queries, "--json").stdout
    assert json.loads(found)["kinds"]["k"]["hit_at_10"] == 0.0


def test_queries_that_are_not_there_are_one_clear_error(shop: Path) -> None:
    error = the_error(run("evaluate", "--catalog", shop, "--queries", "none.jsonl"))
    assert "none.jsonl cannot be read: No such file" in error


def test_a_broken_query_is_one_clear_error(shop: Path, tmp_path: Path) -> None:
    queries = queries_of(tmp_path, {"qid": "q1", "kind": "title"})
    error = the_error(run("evaluate", "--catalog", shop, "--queries", queries))
    assert "line 1" in error
    assert "'query'" in error


@needs_data
@pytest.mark.data
def test_real_photos_are_found_far_more_often_than_by_chance(tmp_path: Path) -> None:
    catalog = DATA / "catalog" / "sample_300.parquet"
    inside = set(pq.read_table(catalog, columns=["id"])["id"].to_pylist())
    lines = (DATA / "queries" / "catalog_queries.jsonl").read_text("utf-8").splitlines()
    asked = [
        query for query in map(json.loads, lines) if inside.intersection(query["relevant_ids"])
    ]
    queries = queries_of(tmp_path, *asked)
    result = run("evaluate", "--catalog", catalog, "--queries", queries, "--json")
    kinds = json.loads(result.stdout)["kinds"]
    assert sum(kind["queries"] for kind in kinds.values()) == len(asked) == 37
    hits = sum(kind["queries"] * kind["hit_at_10"] for kind in kinds.values())
    assert (
        hits / len(asked) > 0.3
    )  # by chance it is about 0.07: ten of 150, mostly one of them right


# --- demo -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sequence[str], Path]:
    """What a small demo prints into a log of 80 columns, and its folder; an earlier demo's store was there."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / "demo.motion").mkdir()
    (folder / "demo.motion" / MADE_BY).touch()
    (folder / "demo.motion" / "store.sqlite").write_bytes(b"left over from an earlier demo")
    log = Console(file=io.StringIO(), width=80)
    Demo(log, folder / "demo.motion", folder / "sheet.png", products=150).run()
    assert isinstance(log.file, io.StringIO)
    return log.file.getvalue().splitlines(), folder


def test_the_demo_shows_every_step(shown: tuple[Sequence[str], Path]) -> None:
    text = "\n".join(shown[0])
    for step in (
        "150 products of three drawn catalogs",
        "answered by version 1",
        "wait behind people",
        "a simulated shopper",
        "learn in a process of their own",
        "among those held out",
        "as pictures",
        "python -m fashion_search search",
    ):
        assert step in text


def test_the_demo_measures_both_versions(shown: tuple[Sequence[str], Path]) -> None:
    rows = [line.split() for line in shown[0]]
    measured = [row for row in rows if row[1:2] in (["live"], ["retired"], ["refused"])]
    assert [row[0] for row in measured] == ["1", "2"]
    assert all(0 <= float(row[-2]) <= 1 for row in measured)


def test_the_demo_fits_into_80_columns_but_for_links(shown: tuple[Sequence[str], Path]) -> None:
    wide = [line for line in shown[0] if len(line) > 80 and str(shown[1]) not in line]
    assert [line for line in wide if "https://" not in line] == []


def test_the_demo_writes_no_control_characters_into_a_log(
    shown: tuple[Sequence[str], Path],
) -> None:
    assert not any(not char.isprintable() for line in shown[0] for char in line)


def test_the_demo_leaves_a_store_and_a_picture(shown: tuple[Sequence[str], Path]) -> None:
    _, folder = shown
    with Image.open(folder / "sheet.png") as sheet:
        assert sheet.width > 500
    assert "https://" in run("search", "shoes", "--store", folder / "demo.motion").stdout


def test_the_demo_never_replaces_a_store_that_it_did_not_make(a_store: Path) -> None:
    error = the_error_of_a_demo(a_store)
    assert "was not made by it" in error
    assert (a_store / "store.sqlite").exists()


# --- judging --------------------------------------------------------------------------------------


def test_answers_have_numbers_by_which_they_are_judged(a_store: Path) -> None:
    shown = run("search", "red dress for women", "--store", a_store).stdout
    first, second = re.findall(r"  (\d+\.0\.[01])$", shown, flags=re.MULTILINE)[:2]
    run("like", first, "--store", a_store)
    run("dislike", second, "--store", a_store)
    with open_store(a_store, run=False) as store:
        judged = store.sql(
            "SELECT img_id_page, feedback FROM query WHERE feedback IS NOT NULL ORDER BY 1"
        )
    assert judged.to_pylist() == [
        {"img_id_page": 0, "feedback": True},
        {"img_id_page": 1, "feedback": False},
    ]


@pytest.mark.parametrize("number", ["99.0.0", "first", "1.2"])
def test_a_number_of_no_answer_is_one_clear_error(a_store: Path, number: str) -> None:
    error = the_error(run("like", number, "--store", a_store))
    assert f"there is no answer '{number}'" in error


def test_search_says_where_nothing_fits(a_store: Path) -> None:
    assert (
        "nothing in these catalogs fits"
        in run("search", "iphone charger", "--store", a_store).stdout
    )


def test_search_refuses_a_language_that_nobody_here_reads(a_store: Path) -> None:
    error = the_error(run("search", "robe rouge pour femme", "--store", a_store))
    assert "seems to be in French" in error
    assert "--llm-url" in error


def test_evaluate_tells_the_parts_of_a_ranking_before_a_fit_and_after(
    shop: Path, queries: Path
) -> None:
    found = json.loads(
        run("evaluate", "--catalog", shop, "--queries", queries, "--table", "--json").stdout
    )
    assert {(line["titles"], line["heads"]) for line in found["table"]} <= {
        (titles, heads) for titles in ("full", "poor") for heads in ("clean", "fitted")
    }
    assert all(0 <= line["first_hit"] <= line["hit_at_10"] <= 1 for line in found["table"])


# --- versions and rollback ------------------------------------------------------------------------


def test_one_command_goes_back_to_the_version_before(a_store: Path) -> None:
    with open_store(a_store, durability="normal") as store:
        with store.model("ImageRetrieval").live() as (heads, _):
            first = heads.wishes(trunk_of(None).read(["red dress"]), 0.25)[0]
        answers = store.search("retailer.img_embedding", first, k=5)
        learn(store)
    listed = run("versions", "--store", a_store).stdout
    back = run("rollback", "--store", a_store)
    again = run("versions", "--store", a_store).stdout
    with open_store(a_store, run=False) as store:
        found = store.search("retailer.img_embedding", first, k=5)
    assert statuses(listed) == [("1", "retired"), ("2", "live")]
    assert back.stdout == "Version 1 is live again, with the vectors that it had.\n"
    assert statuses(again) == [("1", "live"), ("2", "retired")]
    assert [hit.id for hit in found] == [hit.id for hit in answers]


def test_a_rollback_with_nothing_to_go_back_to_is_one_clear_line(a_store: Path) -> None:
    assert "no state version to go back to" in the_error(run("rollback", "--store", a_store))


@pytest.mark.parametrize("command", ["rollback", "versions"])
def test_a_store_that_is_not_there_has_no_versions(tmp_path: Path, command: str) -> None:
    error = the_error(run(command, "--store", tmp_path / "nothing"))
    assert "there is no store in" in error


def learn(store: motion.Store) -> None:
    """Let the encoders learn pairs of the catalog alone, and promote what comes of it, whatever the gate says."""
    store.set("lesson", products=60)
    store.wait(timeout=100)
    model = store.model("ImageRetrieval")
    if model.versions()[-1].status != "live":
        model.promote(2)
        store.wait(timeout=100)


def statuses(table: str) -> list[tuple[str, str]]:
    """Return number and status of each version in a printed table."""
    rows = [line.split() for line in table.splitlines()[1:]]
    return [(row[0], row[1]) for row in rows]


def the_error_of_a_demo(folder: Path) -> str:
    with pytest.raises(DemoStoreTaken) as caught:
        Demo(Console(file=io.StringIO()), folder, folder.parent / "sheet.png").run()
    return str(caught.value)
