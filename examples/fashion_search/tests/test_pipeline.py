"""The pipeline, end to end: pages, ideas, pictures, links; feedback, a new version, and the way back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import motion
from fashion_search.answers import Found, answer_of, ask
from fashion_search.catalogs import BadRow, Product, drawn_catalogs, read_catalog
from fashion_search.encoders import trunk_of
from fashion_search.heads import Recipe
from fashion_search.ingest import ingest
from fashion_search.pages import read_page
from fashion_search.pipeline import (
    FIT_EVERY,
    LanguageModel,
    QuerySource,
    RetailerSchema,
    open_store,
)
from fashion_search.ranking import ranked
from fashion_search.stock import stock_of
from fashion_search.wishes import person_of, read_wish

if TYPE_CHECKING:
    from tests.conftest import IdeaServer

DATA = Path(os.environ.get("MOTION_DATA", Path(__file__).parents[4] / "shared" / "data"))
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="the fashion data pack is not here; set MOTION_DATA"
)
QUERY = "what to wear to a beach wedding"
OTHER_QUERIES = ("red dress for women", "black shoes for men", "dress", "shirt", "bag", "watch")


@pytest.fixture
def store(a_store: Path) -> Iterator[motion.Store]:
    with open_store(a_store, durability="normal") as opened:
        yield opened


def a_product(**values: object) -> Product:
    [product] = drawn_catalogs(1)
    return replace(product, **values)  # type: ignore[arg-type]  # a test's own keywords


# --- page -> summary, image -> embedding ----------------------------------------------------------


def test_a_page_becomes_a_description_and_a_summary(store: motion.Store) -> None:
    for product in store.rows(RetailerSchema, limit=5):
        assert product.img_desc == read_page(product.img_html).description
        assert product.title in product.img_summary


def test_every_product_is_embedded_by_its_picture_and_its_text(store: motion.Store) -> None:
    products, trunk = store.rows(RetailerSchema, limit=5), trunk_of(None)
    seen = trunk.look([product.image for product in products])
    told = trunk.read([product.img_summary for product in products])
    with store.model("ImageRetrieval").live() as (heads, _):
        expected = heads.products(seen, told)
    np.testing.assert_allclose([p.img_embedding for p in products], expected, atol=1e-2)


def test_a_page_that_says_nothing_leaves_the_catalogs_title(store: motion.Store) -> None:
    ingest(store, [a_product(source_id="new", html="<p></p>", title="Red dress")])
    store.wait(timeout=60)
    [product] = store.rows(RetailerSchema, where={"source_id": "new"})
    assert product.img_summary == "Red dress"


def test_a_product_without_a_page_is_searched_by_title_and_description(store: motion.Store) -> None:
    ingest(store, [a_product(source_id="new", html="", title="Red dress", description="Of silk.")])
    store.wait(timeout=60)
    [product] = store.rows(RetailerSchema, where={"source_id": "new"})
    assert product.img_summary == "Red dress. Of silk."
    assert product.img_embedding is not None


def test_whose_a_product_is_is_told_by_its_title(store: motion.Store) -> None:
    ingest(store, [a_product(source_id="new", html="", title="Boys' red shirt")])
    store.wait(timeout=60)
    [product] = store.rows(RetailerSchema, where={"source_id": "new"})
    assert product.worn_by == "boys"


def test_a_new_price_embeds_nothing_anew(store: motion.Store) -> None:
    [product] = store.rows(RetailerSchema, limit=1)

    def made() -> list[object]:
        keys = ("img_features", "txt_features", "img_embedding")
        return [store.explain(RetailerSchema, product.id, key).change for key in keys]

    before = made()
    store.set(product, price=1.0)
    store.wait(timeout=60)
    assert made() == before


# --- query -> ideas -> images -> links ------------------------------------------------------------


def test_a_query_is_answered_with_several_ideas_and_pictures(store: motion.Store) -> None:
    answer = answer_of(store, ask(store, QUERY))
    assert len(answer) > 2
    assert any(answer.values())
    assert all(len(found) <= 8 for found in answer.values())


def test_the_query_itself_is_searched_first(store: motion.Store) -> None:
    answer = answer_of(store, ask(store, "red dress for women"))
    assert next(iter(answer)) == "red dress for women"
    assert len(answer) > 1


def test_what_is_misspelt_is_searched_for_as_it_was_meant(store: motion.Store) -> None:
    assert next(iter(answer_of(store, ask(store, "red drss")))) == "red dress"


def test_nothing_fits_what_no_shop_for_clothes_has(store: motion.Store) -> None:
    assert not any(answer_of(store, ask(store, "iphone charger")).values())


def test_what_was_ruled_out_is_in_no_idea(store: motion.Store) -> None:
    answer = answer_of(store, ask(store, "dress but not black"))
    titles = [each.name.lower() for found in answer.values() for each in found]
    assert titles
    assert not any("black" in title for title in titles)


def test_a_query_in_another_language_is_refused_with_the_way_out(store: motion.Store) -> None:
    with pytest.raises(motion.TaskFailed, match=r"seems to be in French.*--llm-url"):
        ask(store, "robe rouge pour femme")


def test_the_pictures_of_an_idea_come_best_first(store: motion.Store) -> None:
    for idea, found in answer_of(store, ask(store, QUERY)).items():
        assert [each.product.id for each in found] == expected_ids(store, idea)


def test_each_picture_comes_with_the_link_of_its_product(store: motion.Store) -> None:
    found = [each for found in answer_of(store, ask(store, QUERY)).values() for each in found]
    assert [each.row.link for each in found] == [each.product.link for each in found]
    assert all(each.product.link.startswith("https://") for each in found)


def test_labels_do_not_take_part_in_a_search(store: motion.Store) -> None:
    before = answer_of(store, ask(store, QUERY))
    for product in store.rows(RetailerSchema):
        store.set(product, labels={"category": QUERY})
    after = answer_of(store, ask(store, QUERY))
    assert ids_of(after) == ids_of(before)


def test_online_queries_go_before_offline_ones(a_store: Path, idea_server: IdeaServer) -> None:
    # Set while nothing runs, so that all of them wait when the worker comes.
    with open_store(a_store, durability="normal", run=False) as store:
        batch = [{"query": f"night {i}", "src": QuerySource.OFFLINE} for i in range(12)]
        store.set_many("query", batch)
        store.set("query", query="somebody waits", src=QuerySource.ONLINE)
    endpoint = LanguageModel(idea_server.url)
    with open_store(a_store, durability="normal", language_model=endpoint) as store:
        store.wait(timeout=100)
    assert len(idea_server.prompts) == 13
    assert "somebody waits" in idea_server.prompts[0]


def test_an_endpoints_ideas_are_searched_for(a_store: Path, idea_server: IdeaServer) -> None:
    endpoint = LanguageModel(idea_server.url)
    with open_store(a_store, durability="normal", language_model=endpoint) as store:
        assert list(answer_of(store, ask(store, QUERY))) == [QUERY, *idea_server.ideas]


def test_an_endpoints_key_is_not_kept(a_store: Path, idea_server: IdeaServer) -> None:
    endpoint = LanguageModel(idea_server.url, key="very-secret")
    with open_store(a_store, durability="normal", language_model=endpoint) as store:
        ask(store, QUERY)
    kept = [file.read_bytes() for file in a_store.rglob("*") if file.is_file()]
    assert not any(b"very-secret" in content for content in kept)


# --- the shop's own words ---------------------------------------------------------------------------


def test_a_shop_learns_its_own_words_teaches_them_what_was_liked_and_forgets_them_with_a_rollback(
    store: motion.Store,
) -> None:
    model = store.model("ImageRetrieval")
    short = store.rows(RetailerSchema, limit=1)[0].img_embedding
    store.set("lesson", products=60)  # too few for the gate, so a person decides
    store.wait(timeout=400)
    model.promote(model.versions()[-1].number)
    store.wait(timeout=400)
    with model.live() as (learned, _):
        assert learned.tags is not None
        assert {"women", "men"} & set(learned.tags.words)
    [product] = store.rows(RetailerSchema, limit=1)
    assert len(product.img_embedding) == learned.dim > len(short)

    answers = [answer_of(store, ask(store, query)) for query in (QUERY, *OTHER_QUERIES)]
    shown = [each for answer in answers for found in answer.values() for each in found]
    with store.transaction() as tx:
        for each in shown[:FIT_EVERY]:
            tx.set(each.row, feedback=True)
    store.wait(timeout=400)
    assert len(shown) >= FIT_EVERY
    model.promote(model.versions()[-1].number)
    store.wait(timeout=400)
    with model.live() as (taught, _):
        assert taught.tags is not None
        assert taught.tags.words[: len(learned.tags.words)] == learned.tags.words
        assert not np.array_equal(taught.tags.weights["text.out"], learned.tags.weights["text.out"])

    for _ in range(2):
        model.rollback()
        store.wait(timeout=400)
    with model.live() as (first, _):
        assert first.tags is None
    assert store.rows(RetailerSchema, limit=1)[0].img_embedding.shape == short.shape
    assert answer_of(store, ask(store, "blue shirt"))


# --- feedback -> fit -> gate -> switch -> rollback ------------------------------------------------

Ids = dict[str, list[int]]


@dataclass(frozen=True)
class Course:
    """What happened on one store from feedback to rollback."""

    judged: int
    before: Ids
    meanwhile: Sequence[Ids]
    gated: motion.StateVersion
    after: Ids
    by_version: dict[int, Ids]  # what each version says to the ideas of the query
    live: Sequence[int | None]  # first, after the switch, after the rollback
    rolled_back: Ids


@pytest.fixture(scope="module")
def course(drawn_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Course:
    folder = shutil.copytree(drawn_store, tmp_path_factory.mktemp("course") / "shop.motion")
    # So long steps that the versions answer differently.
    with open_store(folder, durability="normal", recipe=Recipe(epochs=2, rate=3e-2)) as store:
        model = store.model("ImageRetrieval")
        first = answer_of(store, ask(store, QUERY))
        answers = [first, *(answer_of(store, ask(store, query)) for query in OTHER_QUERIES)]
        shown = [each for answer in answers for found in answer.values() for each in found]
        shown = shown[: FIT_EVERY + 3]
        live = [store.status().versions["ImageRetrieval"]]
        with store.transaction() as tx:
            for place, each in enumerate(shown):
                tx.set(each.row, feedback=place % 2 == 0)
        meanwhile = asked_until_idle(store)
        gated = model.versions()[-1]
        if gated.status != "live":
            model.promote(gated.number)
            meanwhile += asked_until_idle(store)
        live.append(store.status().versions["ImageRetrieval"])
        after = ids_of(answer_of(store, ask(store, QUERY)))
        by_version = {live_number(store): expected_answer(store, list(first))}
        model.rollback()
        store.wait(timeout=100)
        live.append(store.status().versions["ImageRetrieval"])
        by_version[live_number(store)] = expected_answer(store, list(first))
        return Course(
            len(shown), ids_of(first), meanwhile, gated, after, by_version, live,
            ids_of(answer_of(store, ask(store, QUERY))),
        )  # fmt: skip


def test_enough_feedback_makes_a_new_version_by_itself(course: Course) -> None:
    assert course.gated.number == 2
    assert course.gated.status in ("live", "refused"), course.gated.metrics


def test_a_fit_learns_from_all_feedback(course: Course) -> None:
    assert course.gated.rows == course.judged


def test_the_gate_measures_candidate_and_live_version_on_the_same_pairs(course: Course) -> None:
    metrics = course.gated.metrics
    assert metrics["pairs"] == metrics["live"]["pairs"] > 0
    assert 0 <= metrics["recall_at_1"] <= metrics["recall_at_10"] <= 1


def test_a_dozen_pairs_prove_nothing(course: Course) -> None:
    assert course.gated.status == "refused"
    assert course.gated.metrics["proven"] == 0


def test_the_new_version_goes_live_and_back(course: Course) -> None:
    assert list(course.live) == [1, 2, 1]


def test_the_versions_answer_differently(course: Course) -> None:
    assert course.by_version[1] != course.by_version[2]


def test_queries_are_answered_while_a_version_is_learned(course: Course) -> None:
    assert course.meanwhile


def test_each_search_sees_one_version_whatever_goes_live_meanwhile(course: Course) -> None:
    for answer in course.meanwhile:
        for idea, ids in answer.items():
            assert ids in (course.by_version[1][idea], course.by_version[2][idea])


def test_searches_use_the_new_version_after_the_switch(course: Course) -> None:
    assert course.after == course.by_version[2]


def test_a_rollback_answers_as_before(course: Course) -> None:
    assert course.rolled_back == course.before == course.by_version[1]


def asked_until_idle(store: motion.Store) -> list[Ids]:
    """Ask the query again and again until the model has nothing more to learn."""
    answers = []
    while True:
        answers.append(ids_of(answer_of(store, ask(store, QUERY))))
        try:
            store.wait(timeout=0.5)
        except motion.WaitTimeout:
            continue
        return answers


def ids_of(answer: dict[str, list[Found]]) -> Ids:
    return {idea: [each.product.id for each in found] for idea, found in answer.items()}


def live_number(store: motion.Store) -> int:
    number = store.status().versions["ImageRetrieval"]
    assert number is not None
    return number


def expected_answer(store: motion.Store, ideas: Sequence[str]) -> Ids:
    return {idea: expected_ids(store, idea) for idea in ideas}


def expected_ids(store: motion.Store, idea: str) -> list[int]:
    """Return what the live version finds for an idea of `QUERY`."""
    wish = replace(read_wish(idea), person=person_of(idea))
    with store.model("ImageRetrieval").live() as (heads, view):
        features = trunk_of(heads.trunk).read([wish.text])
        weight = stock_of(view).picture_weight
        found = ranked(view, heads, features, wish, 8, picture_weight=weight)
    return [each.product.id for each in found]


# --- nothing is lost, nothing is done twice -------------------------------------------------------


def test_ingesting_a_catalog_twice_changes_nothing(a_store: Path) -> None:
    with open_store(a_store, durability="normal", run=False) as store:
        before = store.sql("SELECT * FROM retailer ORDER BY id")
        count, bad = ingest(store, drawn_catalogs(before.num_rows))
        assert (count, bad) == (before.num_rows, [])
        assert store.sql("SELECT * FROM retailer ORDER BY id") == before
        assert not any(store.status().tasks.values())  # nothing would run


def test_a_product_that_changed_is_updated_in_place(store: motion.Store) -> None:
    [old] = store.rows(RetailerSchema, where={"source_id": a_product().source_id})
    ingest(store, [a_product(link="https://shop.example/moved")])
    [new] = store.rows(RetailerSchema, where={"source_id": old.source_id})
    assert (new.id, new.link) == (old.id, "https://shop.example/moved")


INTERRUPTED = """
import sys
from pathlib import Path
from fashion_search.catalogs import drawn_catalogs
from fashion_search.ingest import ingest
from fashion_search.pipeline import open_store

def products():
    for number, product in enumerate(drawn_catalogs(60)):
        if number == 30:
            print("half", flush=True)
            sys.stdin.read()  # until it is killed
        yield product

ingest(open_store(Path(sys.argv[1])), products(), commit_every=10)
"""


def test_an_ingest_that_is_killed_ends_right_without_anything_being_set_again(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "shop.motion")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as child:  # type: ignore[call-overload]
        assert child.stdout.readline() == "half\n"
        child.send_signal(signal.SIGKILL)
        child.communicate()
    with open_store(tmp_path / "shop.motion") as store:
        store.wait(timeout=100)
        counts = "COUNT(*) AS rows, COUNT(img_embedding) AS embedded, COUNT(img_summary) AS told"
        [found] = store.sql(f"SELECT {counts} FROM retailer").to_pylist()
    assert found["rows"] in (20, 30)  # whole chunks: the third may have been under way
    assert found["embedded"] == found["told"] == found["rows"]


@needs_data
@pytest.mark.data
def test_of_the_dirty_rows_each_is_in_the_store_or_in_the_report(tmp_path: Path) -> None:
    path = DATA / "catalog" / "dirty_rows.parquet"
    total = len(list(read_catalog(path)))
    with open_store(tmp_path / "dirty.motion", durability="normal") as store:
        count, bad = ingest(store, read_catalog(path))
        store.wait(timeout=100)
        embedded = store.rows(RetailerSchema, where="img_embedding IS NOT NULL")
        assert store.errors() == []
    assert len(embedded) == count
    assert count + len(bad) == total == 24
    assert all(row.reason and row.row_number for row in bad)


def test_bad_rows_do_not_stop_the_others(tmp_path: Path) -> None:
    bad = BadRow("revolve.csv", 1, "x", "no image: the cell is empty")
    with open_store(tmp_path / "shop.motion", durability="normal") as store:
        assert ingest(store, [bad, a_product()]) == (1, [bad])


def test_what_it_remembers_of_a_catalog_is_not_taken_for_other_code(a_store: Path) -> None:
    with open_store(a_store) as store:
        ask(store, "red dress for women")
        assert store.plan("ImageRetrieval.retrieve").stale == 0
    with open_store(a_store) as store:
        for trigger in ("IdeaSuggestion.suggest", "ImageRetrieval.retrieve"):
            assert store.plan(trigger).stale == 0
