"""Vector search: nearest rows, metrics, filters, freshness, and agreement with brute force."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

import motion
from motion.persistence.search import filters
from tests.conftest import OpenStore

ROOT = Path(__file__).parents[2]

COSINE, DOT, L2 = "item.cosine", "item.dot", "item.l2"


@dataclass
class Item:
    id: int
    cosine: Annotated[np.ndarray, motion.Vector(2)]
    dot: Annotated[np.ndarray, motion.Vector(2, metric="dot")]
    l2: Annotated[np.ndarray, motion.Vector(2, metric="l2")]
    loose: np.ndarray
    group: str


@dataclass
class Shot:
    """Vectors on pages."""

    id: int
    album: str
    shot_page: int
    embedding: Annotated[np.ndarray, motion.Vector(2)]


@pytest.fixture
def items(open_store: OpenStore) -> motion.Store:
    return open_store(schemas={"item": Item})


def fill(store: motion.Store, vectors: list[Any], **values: Any) -> None:
    """Set vectors under all metrics, with ids 0, 1, 2, ..."""
    arrays = [np.array(vector, float) for vector in vectors]
    store.set_many(
        "item", [{"id": i, "cosine": a, "dot": a, "l2": a, **values} for i, a in enumerate(arrays)]
    )


def ids(hits: list[motion.Hit[Any]]) -> list[Any]:
    return [hit.id for hit in hits]


# -- results --


def test_the_nearest_rows_come_best_first(items: motion.Store) -> None:
    fill(items, [[0, 1], [1, 0], [1, 1]])
    assert ids(items.search(COSINE, [1, 0.1])) == [1, 2, 0]


def test_a_hit_has_the_whole_row(items: motion.Store) -> None:
    fill(items, [[1, 0]], group="a")
    hit = items.search(COSINE, [1, 0])[0]
    assert (type(hit.row), hit.row.id, hit.row.group) == (Item, 0, "a")


def test_a_search_reads_the_keys_that_it_is_asked_for_alone(items: motion.Store) -> None:
    fill(items, [[0, 1], [1, 0]], group="a")
    for asked in ([1.0, 0.0], [[1.0, 0.0]]):
        found = np.ravel(items.search(COSINE, asked, table=Item, k=1, keys=["group"])).tolist()
        assert [(hit.id, hit.row.group, hit.row.cosine, hit.row.l2) for hit in found] == [
            (1, "a", None, None)
        ]
    [both] = items.search([COSINE, "item.group"], [1, 0], text="a", k=1, keys=["loose"])
    assert (both.row.id, both.row.group, both.row.cosine) == (both.id, None, None)
    assert items.search(COSINE, [1, 0], k=1)[0].row.group == "a", "the next is whole again"
    with pytest.raises(motion.UnknownKey, match="group"):
        items.search(COSINE, [1, 0], keys=["groop"])


def test_a_hit_has_its_page_whatever_keys_were_asked_for(open_store: OpenStore) -> None:
    store = open_store(schemas={"shot": Shot})
    store.set("shot", id=7, album="a")
    store.set("shot", id=7, shot_page=2, embedding=np.array([1.0, 0.0]))
    [hit] = store.search("shot.embedding", [1, 0], table=Shot, keys=["album"])
    assert (hit.id, hit.pages, hit.row.album) == (7, {"shot_page": 2}, "a")


def test_keys_need_not_name_a_table_that_is_given(items: motion.Store) -> None:
    fill(items, [[0, 1], [1, 0]], group="a")
    for table in (Item, "item"):
        assert ids(items.search("cosine", [1, 0], table=table, k=1)) == [1]
        assert ids(items.search(COSINE, [1, 0], table=table, k=1)) == [1]
        assert ids(items.search(["cosine", "group"], [1, 0], text="a", table=table)) == [0, 1]


def test_keys_of_another_table_than_the_one_given_are_refused(open_store: OpenStore) -> None:
    store = open_store(schemas={"item": Item, "shot": Shot})
    with pytest.raises(motion.SearchError, match="one table, but was given keys of item, shot"):
        store.search("shot.embedding", [1, 0], table=Item)
    with pytest.raises(motion.UnknownKey, match="cosine"):
        store.search("cosin", [1, 0], table=Item)


def test_a_hit_names_its_page(open_store: OpenStore) -> None:
    store = open_store(schemas={"shot": Shot})
    store.set("shot", id=7, album="summer")
    store.set("shot", id=7, shot_page=3, embedding=np.array([1, 0]))
    hit = store.search("shot.embedding", [1, 0])[0]
    assert (hit.id, hit.pages, hit.row.album) == (7, {"shot_page": 3}, "summer")


def test_cosine_does_not_see_length(items: motion.Store) -> None:
    fill(items, [[5, 0], [0.1, 0]])
    assert [hit.score for hit in items.search(COSINE, [2, 0])] == [1, 1]


def test_dot_sees_length(items: motion.Store) -> None:
    fill(items, [[1, 0], [5, 0]])
    assert [(hit.id, hit.score) for hit in items.search(DOT, [2, 0])] == [(1, 10), (0, 2)]


def test_l2_scores_by_the_negative_distance(items: motion.Store) -> None:
    fill(items, [[0, 0], [3, 4]])
    assert [(hit.id, hit.score) for hit in items.search(L2, [0, 0])] == [(0, 0), (1, -5)]


def test_equal_scores_are_in_the_order_of_rows(items: motion.Store) -> None:
    fill(items, [[1, 0]] * 20)
    assert ids(items.search(COSINE, [1, 0], k=5)) == [0, 1, 2, 3, 4]


def test_a_zero_vector_scores_0(items: motion.Store) -> None:
    fill(items, [[0, 0], [1, 0], [-1, 0]])
    assert [(hit.id, hit.score) for hit in items.search(COSINE, [1, 0])] == [
        (1, 1),
        (0, 0),
        (2, -1),
    ]


def test_fewer_than_k_rows_are_all_returned(items: motion.Store) -> None:
    fill(items, [[1, 0], [0, 1]])
    assert len(items.search(COSINE, [1, 0], k=50)) == 2


def test_a_table_without_vectors_has_no_hits(items: motion.Store) -> None:
    items.set("item", id=1)
    assert items.search(COSINE, [1, 0]) == []


def test_a_vector_may_be_a_list_or_an_array_of_any_numbers(items: motion.Store) -> None:
    fill(items, [[1, 0], [0, 1]])
    for query in ([0, 1], (0.0, 1.0), np.array([0, 1], np.int8), np.array([0, 1], np.float16)):
        assert ids(items.search(COSINE, query, k=1)) == [1]


# -- filters --


def test_a_filter_gives_exactly_k_where_k_exist(items: motion.Store) -> None:
    fill(items, [[1, i / 100] for i in range(100)], group="near")
    items.set_many("item", [{"id": i, "group": "far"} for i in range(80, 100)])
    assert ids(items.search(COSINE, [1, 0], k=15, where="\"group\" = 'far'")) == list(range(80, 95))


def test_a_filter_may_be_a_dict(items: motion.Store) -> None:
    fill(items, [[1, 0], [0, 1]], group="a")
    items.set("item", id=0, group="b")
    assert ids(items.search(COSINE, [1, 0], where={"group": "a"})) == [1]


def test_a_filter_takes_parameters(items: motion.Store) -> None:
    fill(items, [[1, 0], [0, 1], [1, 1]])
    assert ids(items.search(COSINE, [1, 0], where="id in (?, ?)", params=[1, 2])) == [2, 1]


def test_a_filter_that_nothing_meets_gives_no_hits(items: motion.Store) -> None:
    fill(items, [[1, 0]])
    assert items.search(COSINE, [1, 0], where="1 = 0") == []


def test_rows_that_meet_the_filter_without_a_vector_are_no_hits(items: motion.Store) -> None:
    fill(items, [[1, 0]])
    items.set("item", id=9)
    assert ids(items.search(COSINE, [1, 0], where="1 = 1")) == [0]


def test_lists_of_filters_stay_within_their_memory(
    items: motion.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filters, "LISTS_KEPT_BYTES", 5_000)
    lists = items._database.filter_lists
    fill(items, [[1, i / 100] for i in range(100)])
    for low in [*range(60), *range(60)]:
        assert ids(items.search(COSINE, [1, 0], k=1, where="id >= ?", params=[low])) == [low]
        assert 1_000 < lists.size_bytes <= 5_000


def until_listed(store: motion.Store, expected: list[int]) -> None:
    """Ask for the nearest of group "a" until all rows of it are listed and known; each time it must be right."""
    lists = store._database.filter_lists
    before = lists.size_bytes
    while lists.size_bytes == before:
        assert ids(store.search(COSINE, [1, 0], k=2, where={"group": "a"})) == expected
    assert ids(store.search(COSINE, [1, 0], k=2, where={"group": "a"})) == expected


def test_a_filter_that_many_rows_pass_is_listed_once_it_was_asked_for_often(
    items: motion.Store,
) -> None:
    fill(items, [[1, i / 400] for i in range(400)], group="a")
    assert ids(items.search(COSINE, [1, 0], k=2, where={"group": "a"})) == [0, 1]
    assert items._database.filter_lists.size_bytes == 0  # only the nearest were looked at
    until_listed(items, [0, 1])
    items.set("item", id=1, group="b")
    assert ids(items.search(COSINE, [1, 0], k=2, where={"group": "a"})) == [0, 2]
    items.delete("item", 0)
    items.set("item", id=2, group="c")
    assert ids(items.search(COSINE, [1, 0], k=2, where={"group": "a"})) == [3, 4]


def test_a_filter_that_was_listed_here_follows_what_another_process_writes(
    open_store: OpenStore, tmp_path: Path
) -> None:
    items = open_store(schemas={"item": Item})
    fill(items, [[1, i / 400] for i in range(400)], group="a")
    until_listed(items, [0, 1])
    write = f"""
import motion
from tests.search.test_search import Item
with motion.create_store("shop", schemas={{"item": Item}}, url={f"sqlite:///{tmp_path / 'shop.motion'}"!r}) as store:
    store.set("item", id=1, group="b")
    store.delete("item", 0)
"""
    subprocess.run([sys.executable, "-c", write], cwd=ROOT, check=True)
    for _ in range(20):
        assert ids(items.search(COSINE, [1, 0], k=2, where={"group": "a"})) == [2, 3]


def test_filters_that_are_asked_for_once_each_take_no_more_and_more_memory(
    items: motion.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filters, "COUNTS_KEPT", 5)
    monkeypatch.setattr(filters, "READ_S", 1.0)  # so that none is listed
    lists = items._database.filter_lists
    fill(items, [[1, i / 400] for i in range(400)])
    for low in range(30):
        assert ids(items.search(COSINE, [1, 0], k=1, where="id >= ?", params=[low])) == [low]
        assert len(lists._probed_s) <= 6


def test_a_wrong_filter_is_quoted_in_the_error(items: motion.Store) -> None:
    with pytest.raises(motion.SqlError, match="nowhere"):
        items.search(COSINE, [1, 0], where="nowhere = 1")


# -- freshness --


def test_a_committed_row_is_found_at_once(items: motion.Store) -> None:
    for i in range(20):
        items.set("item", id=i, cosine=np.array([1, i]))
        assert ids(items.search(COSINE, [1, i], k=1)) == [i]


def test_a_changed_vector_is_compared_as_it_is_now(items: motion.Store) -> None:
    fill(items, [[1, 0], [0, 1]])
    items.search(COSINE, [1, 0])
    items.set("item", id=0, cosine=np.array([-1, 0]))
    assert ids(items.search(COSINE, [1, 0])) == [1, 0]


def test_an_unset_vector_is_not_found(items: motion.Store) -> None:
    fill(items, [[1, 0], [0, 1]])
    items.search(COSINE, [1, 0])
    items.set("item", id=0, cosine=None)
    assert ids(items.search(COSINE, [1, 0])) == [1]


def test_a_deleted_row_is_not_found(items: motion.Store) -> None:
    fill(items, [[1, 0], [0, 1], [1, 1]])
    items.search(COSINE, [1, 0])
    items.delete("item", 0)
    assert ids(items.search(COSINE, [1, 0])) == [2, 1]


def test_vectors_are_found_after_reopening(open_store: OpenStore) -> None:
    store = open_store(schemas={"item": Item})
    fill(store, [[1, 0], [0, 1]])
    store.close()
    assert ids(open_store(schemas={"item": Item}).search(COSINE, [0, 1])) == [1, 0]


def test_a_metric_that_is_changed_holds_at_once(open_store: OpenStore) -> None:
    @dataclass
    class Before:
        id: int
        at: Annotated[np.ndarray, motion.Vector(2, metric="dot")]

    @dataclass
    class After:
        id: int
        at: Annotated[np.ndarray, motion.Vector(2, metric="l2")]

    store = open_store(schemas={"place": Before})
    store.set("place", id=1, at=np.array([3, 4]))
    store.search("place.at", [0, 0])
    again = open_store(schemas={"place": After})
    assert again.search("place.at", [0, 0])[0].score == -5


# -- arrays whose length is not fixed --


def test_arrays_of_one_length_can_be_searched_without_fixing_it(items: motion.Store) -> None:
    items.set("item", id=1, loose=np.array([1.0, 0.0, 0.0]))
    items.set("item", id=2, loose=np.array([0.0, 1.0, 0.0]))
    assert ids(items.search("item.loose", [0, 1, 0])) == [2, 1]


def test_arrays_of_several_lengths_cannot_be_compared(items: motion.Store) -> None:
    items.set_many("item", [{"id": 1, "loose": np.zeros(2)}, {"id": 2, "loose": np.zeros(3)}])
    with pytest.raises(motion.SearchError, match="several shapes"):
        items.search("item.loose", [1, 0])


def test_arrays_that_all_get_another_length_can_be_searched_on(items: motion.Store) -> None:
    items.set_many("item", [{"id": i, "loose": np.eye(2)[i]} for i in range(2)])
    items.search("item.loose", [1, 0])
    items.set_many("item", [{"id": i, "loose": np.eye(3)[i]} for i in range(2)])
    assert ids(items.search("item.loose", [0, 1, 0])) == [1, 0]


def test_arrays_of_words_cannot_be_compared(items: motion.Store) -> None:
    items.set("item", id=1, loose=np.array(["red", "blue"]))
    with pytest.raises(motion.SearchError, match=r"item\.loose.*<U4"):
        items.search("item.loose", [1, 0])


def test_an_array_with_nan_is_not_found_and_hides_no_other(items: motion.Store) -> None:
    items.set("item", id=1, loose=np.array([np.nan, 0]))
    items.set_many("item", [{"id": i, "loose": np.array([1.0, i])} for i in range(2, 9)])
    assert ids(items.search("item.loose", [1, 2], k=3)) == [2, 3, 4]


# -- what cannot be asked --


def test_a_vector_of_another_length_is_refused_with_both_lengths(items: motion.Store) -> None:
    fill(items, [[1, 0]])
    with pytest.raises(motion.DimensionMismatch, match="2 numbers, but the query has 3"):
        items.search(COSINE, [1, 0, 0])


def test_a_vector_of_another_length_is_refused_before_there_are_any(items: motion.Store) -> None:
    with pytest.raises(motion.DimensionMismatch, match="2 numbers, but the query has 3"):
        items.search(COSINE, [1, 0, 0])


@pytest.mark.parametrize("vector", [[np.nan, 0], [np.inf, 0], [[[1, 0]]], "ab", 5, None], ids=repr)
def test_what_is_no_vector_of_finite_numbers_is_refused(items: motion.Store, vector: Any) -> None:
    fill(items, [[1, 0]])
    with pytest.raises(motion.SearchError, match=r"item\.cosine"):
        items.search(COSINE, vector)


@pytest.mark.parametrize("k", [0, -1, 1.5, "3", None, True])
def test_k_is_at_least_1(items: motion.Store, k: Any) -> None:
    with pytest.raises(motion.SearchError, match="at least 1"):
        items.search(COSINE, [1, 0], k=k)


def test_a_key_that_holds_no_vectors_lists_those_that_do(items: motion.Store) -> None:
    with pytest.raises(motion.SearchError, match=r"item\.group.*item\.cosine, item\.dot"):
        items.search("item.group", [1, 0])


def test_an_unknown_key_is_refused_with_the_nearest_name(items: motion.Store) -> None:
    with pytest.raises(motion.UnknownKey, match="Did you mean 'cosine'"):
        items.search("item.cosin", [1, 0])


def test_a_key_is_written_with_its_table(items: motion.Store) -> None:
    with pytest.raises(motion.SchemaError, match=r"'table\.key'"):
        items.search("cosine", [1, 0])


def test_a_text_for_a_key_of_vectors_is_told_what_to_make_of_it(items: motion.Store) -> None:
    with pytest.raises(motion.SearchError, match=r"make a vector of it.*by text="):
        items.search(COSINE, "laptops")


ODD_VECTORS = [
    [], [[]], np.empty((0, 0)), np.empty((2, 0)), ["1", "2"], np.array([1 + 2j, 0]), [10**400, 1],
    np.ma.array([1, 2], mask=[False, True]), np.array(["2020-01-01", "2020-01-02"], "M8[D]"), {1, 2}, [None, 1],
]  # fmt: skip


@pytest.mark.parametrize("vector", ODD_VECTORS, ids=str)
def test_what_is_no_vector_of_numbers_is_refused_by_every_key(
    items: motion.Store, vector: Any
) -> None:
    fill(items, [[1, 0]])
    for path in (COSINE, DOT, L2, "item.loose"):
        with pytest.raises(motion.SearchError, match=path):
            items.search(path, vector)


@pytest.mark.parametrize("where", [lambda row: row.id == 1, 5, True, ["id = 1"], b"id = 1"])
def test_a_filter_of_another_kind_is_refused_with_what_is_allowed(
    items: motion.Store, where: Any
) -> None:
    with pytest.raises(motion.InvalidArgument, match="dict of equalities"):
        items.search(COSINE, [1, 0], where=where)
    with pytest.raises(motion.InvalidArgument, match="dict of equalities"):
        items.rows("item", where=where)


def test_huge_vectors_and_a_huge_k_are_no_errors(items: motion.Store) -> None:
    fill(items, [[3e38, -3e38], [1, 0]])
    for path in (COSINE, DOT, L2):
        assert len(items.search(path, [3e38, 3e38], k=10**30)) == 2
    items.set("item", id=0, group="dress")
    assert ids(items.search("item.group", text="dress", k=2**70)) == [0]


def test_an_emptied_table_may_be_asked_for_vectors_of_another_length(items: motion.Store) -> None:
    items.set("item", id=1, loose=np.ones(4))
    items.search("item.loose", np.ones(4))
    items.delete("item", 1)
    assert items.search("item.loose", np.ones(8)) == []


def test_arrays_of_two_dimensions_are_refused_for_what_they_are(items: motion.Store) -> None:
    items.set("item", id=1, loose=np.ones((2, 3)))
    with pytest.raises(motion.SearchError, match=r"shape \(2, 3\), and only those of one"):
        items.search("item.loose", np.ones(6))


# -- brute force --

NUMBERS = st.floats(-100, 100, width=32).filter(lambda x: x == 0 or abs(x) > 1e-3)
VECTORS = st_numpy.arrays(np.float32, 2, elements=NUMBERS)


def brute(path: str, vectors: dict[int, np.ndarray], query: np.ndarray) -> dict[int, float]:
    """Return every id's score, in double precision."""
    wide = {i: vector.astype(float) for i, vector in vectors.items()}
    if path == L2:
        return {i: -float(np.linalg.norm(v - query)) for i, v in wide.items()}
    if path == DOT:
        return {i: float(v @ query) for i, v in wide.items()}
    lengths = {i: np.linalg.norm(v) * np.linalg.norm(query) or 1 for i, v in wide.items()}
    return {i: float(v @ query / lengths[i]) for i, v in wide.items()}


@pytest.mark.parametrize("path", [COSINE, DOT, L2])
@given(
    writes=st.lists(st.tuples(st.integers(0, 9), st.none() | VECTORS), max_size=25),
    query=VECTORS,
    k=st.integers(1, 12),
    look_at=st.integers(0, 25),
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_search_agrees_with_brute_force_after_any_writes(
    items: motion.Store,
    path: str,
    writes: list[tuple[int, Any]],
    query: np.ndarray,
    k: int,
    look_at: int,
) -> None:
    for row in items.rows("item"):
        items.delete("item", row.id)
    vectors: dict[int, np.ndarray] = {}
    for i, (row_id, vector) in enumerate(writes):
        items.set("item", id=row_id, **{path.split(".")[1]: vector})
        vectors.pop(row_id, None)
        if vector is not None:
            vectors[row_id] = vector
        if i == look_at:
            items.search(path, query)
    expected = brute(path, vectors, query.astype(float))
    hits = items.search(path, query, k=k)
    best = sorted(expected.values(), reverse=True)[:k]
    tolerance = 1e-5 if path == COSINE else 0.05
    np.testing.assert_allclose([hit.score for hit in hits], best, atol=tolerance)
    np.testing.assert_allclose(
        [hit.score for hit in hits], [expected[hit.id] for hit in hits], atol=tolerance
    )
    assert len({hit.id for hit in hits}) == len(hits)
    assert path != COSINE or all(-1 <= hit.score <= 1 for hit in hits)


# -- pages --


@dataclass
class Page:
    id: int
    folder: str
    chunk_page: int
    chunk: str
    embedding: np.ndarray


def test_a_filter_sees_what_pages_inherit(open_store: OpenStore) -> None:
    store = open_store(schemas={"document": Page})
    for row in range(1, 5):
        folder = "old" if row % 2 else "new"
        store.set(
            "document", id=row, folder=folder, chunk="first words", embedding=np.array([1.0, row])
        )
        store.set(
            "document", id=row, chunk_page=1, chunk="second words", embedding=np.array([row, 1.0])
        )
    by_vector = store.search("document.embedding", [1.0, 0.0], k=10, where={"folder": "new"})
    by_text = store.search("document.chunk", text="words", k=10, where="folder = 'new'")
    for hits in (by_vector, by_text):
        names = {(hit.id, hit.pages["chunk_page"]) for hit in hits}
        assert names == {(2, 0), (2, 1), (4, 0), (4, 1)}
