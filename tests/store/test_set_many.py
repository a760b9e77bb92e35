"""Many rows at once: every form of source, chunks, bad rows, matching by a key, pruning."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, make_dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import motion
from motion import faults
from tests.conftest import Garment, OpenStore, Size

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")


@dataclass
class Page:
    id: int
    note: str
    idea: str
    idea_page: int


@dataclass
class Product:
    """A table without required numbers, found by its address."""

    id: int
    url: str
    shop: str
    price: float
    facts: list[float]
    grid: np.ndarray


@pytest.fixture
def products(open_store: OpenStore) -> motion.Store:
    return open_store(schemas={"product": Product})


def names(store: motion.Store) -> list[Any]:
    return [row.name for row in store.rows("garment")]


ROWS = [{"id": 1, "name": "dress", "price": 9.5}, {"id": 2, "name": "boots", "price": 8.0}]

SOURCES: dict[str, Any] = {
    "dicts": lambda: ROWS,
    "one dict": lambda: ROWS[0],
    "a tuple of dicts": lambda: tuple(ROWS),
    "a generator of dicts": lambda: (row for row in ROWS),
    "dataclasses": lambda: [Garment(1, "dress", 9.5, Size.SMALL, "x"), Garment(2, "boots", 8, Size.SMALL, "x")],
    "arrow": lambda: pa.Table.from_pylist(ROWS),
    "an arrow batch": lambda: pa.RecordBatch.from_pylist(ROWS),
    "pandas": lambda: pd.DataFrame(ROWS),
    "polars": lambda: pl.DataFrame(ROWS),
    "an iterator of arrow tables": lambda: (pa.Table.from_pylist([row]) for row in ROWS),
    "dicts and frames mixed": lambda: [ROWS[0], pl.DataFrame(ROWS[1:])],
}  # fmt: skip


@pytest.mark.parametrize("source", SOURCES)
def test_rows_may_come_as(store: motion.Store, source: str) -> None:
    change = store.set_many("garment", SOURCES[source]())
    expected = ["dress"] if source == "one dict" else ["dress", "boots"]
    assert names(store) == expected
    assert change.count == len(expected)


def test_no_rows_are_no_change(store: motion.Store) -> None:
    change = store.set_many("garment", [])
    assert (change.count, change.wait(timeout=0).rows()) == (0, [])


def test_a_change_of_many_rows_gives_them_in_the_order_given(store: motion.Store) -> None:
    change = store.set_many("garment", [{"id": 5}, {"id": 3}, {"name": "new"}])
    assert [row.id for row in change.rows()] == [5, 3, 6]


def test_a_change_of_many_rows_has_no_single_id(store: motion.Store) -> None:
    assert store.set_many("garment", ROWS).id is None


def test_ten_thousand_rows_are_one_change(store: motion.Store) -> None:
    before = store.status().last_change
    store.set_many("garment", [{"name": str(i), "price": float(i)} for i in range(10_000)])
    assert (len(store.rows("garment")), store.status().last_change) == (10_000, before + 1)


# -- what is left out --

MISSING = [None, float("nan"), np.float32("nan"), pd.NaT, pd.NA]


@pytest.mark.parametrize("missing", MISSING, ids=repr)
def test_a_missing_value_means_left_out(store: motion.Store, missing: Any) -> None:
    store.set_many("garment", [{"id": 1, "name": missing, "price": missing, "stock": missing}])
    row = store.get("garment", 1)
    assert (row.name, row.price, row.stock) == (None, None, 0)


def test_a_key_left_out_keeps_the_value_that_is_there(store: motion.Store) -> None:
    store.set_many("garment", ROWS)
    store.set_many("garment", [{"id": 1, "name": None, "price": 1.0}, {"id": 2, "name": "coat"}])
    assert [(row.name, row.price) for row in store.rows("garment")] == [("dress", 1.0), ("coat", 8)]


def test_pandas_missing_values_mean_left_out(store: motion.Store) -> None:
    store.set_many("garment", pd.DataFrame({"id": [1, 2], "price": [np.nan, 2.5]}))
    assert [row.price for row in store.rows("garment")] == [None, 2.5]


def test_ints_that_pandas_made_floats_are_ints_again(store: motion.Store) -> None:
    frame = pd.DataFrame({"id": [1, 2], "stock": [3, np.nan]})
    store.set_many("garment", frame.to_dict("records"))
    assert [row.stock for row in store.rows("garment")] == [3, 0]


def test_rows_that_give_different_keys_get_ids_in_the_order_given(store: motion.Store) -> None:
    store.set_many("garment", [{"name": "a"}, {"price": 2.0}, {"name": "c"}, {"price": 4.0}])
    rows = store.rows("garment")
    assert [(row.id, row.name, row.price) for row in rows] == [
        (1, "a", None),
        (2, None, 2.0),
        (3, "c", None),
        (4, None, 4.0),
    ]


def test_the_last_of_several_rows_with_one_id_wins(store: motion.Store) -> None:
    store.set_many("garment", [{"id": 1, "name": name} for name in "abc"])
    assert names(store) == ["c"]


def test_the_last_of_several_rows_with_one_id_wins_though_they_give_different_keys(
    store: motion.Store,
) -> None:
    rows = [{"id": 1, "name": "a"}, {"id": 1, "name": "b", "price": 1.0}, {"id": 1, "name": "c"}]
    store.set_many("garment", rows)
    assert [(row.name, row.price) for row in store.rows("garment")] == [("c", 1.0)]


def test_new_ids_are_larger_than_those_given_beside_them(store: motion.Store) -> None:
    store.set_many("garment", [{"name": "a"}, {"id": 1, "name": "b"}, {"name": "c"}])
    assert sorted((row.id, row.name) for row in store.rows("garment")) == [
        (1, "b"),
        (2, "a"),
        (3, "c"),
    ]


def test_pages_can_be_given_by_the_column(open_store: OpenStore) -> None:
    store = open_store(schemas={"page": Page})
    store.set_many("page", [{"id": 7, "idea_page": i % 3, "idea": str(i)} for i in range(6)])
    assert [(row.idea_page, row.idea) for row in store.rows("page")] == [
        (0, "3"),
        (1, "4"),
        (2, "5"),
    ]


def test_a_page_key_left_out_in_some_rows_is_0(open_store: OpenStore) -> None:
    store = open_store(schemas={"page": Page})
    store.set_many("page", [{"id": 7, "idea": "a"}, {"id": 7, "idea_page": 0, "note": "b"}])
    assert [(row.idea, row.note) for row in store.rows("page")] == [("a", "b")]


# -- arrays --


def test_lists_of_an_arrow_column_become_arrays_where_the_key_is_one(
    products: motion.Store,
) -> None:
    products.set_many("product", pa.table({"id": [1], "grid": [[[1.0, 2.0], [3.0, 4.0]]]}))
    np.testing.assert_array_equal(products.get("product", 1).grid, [[1, 2], [3, 4]])


def test_lists_of_whole_numbers_become_arrays_too(products: motion.Store) -> None:
    products.set_many("product", pa.table({"id": [1], "grid": [[1, 2, 3]]}))
    np.testing.assert_array_equal(products.get("product", 1).grid, [1, 2, 3])


def test_lists_of_an_arrow_column_stay_lists_where_the_key_is_one(products: motion.Store) -> None:
    products.set_many("product", pa.table({"id": [1], "facts": [[1.0, 2.0]]}))
    assert products.get("product", 1).facts == [1.0, 2.0]


def test_the_result_of_a_query_can_be_written_back(store: motion.Store) -> None:
    store.set("garment", id=1, name="dress", size=Size.LARGE, embedding=np.array([1, 2, 3]))
    store.set_many("garment", store.sql("select id + 1 as id, name, size, embedding from garment"))
    row = store.get("garment", 2)
    assert (row.name, row.size, row.embedding.tolist()) == ("dress", Size.LARGE, [1, 2, 3])


def test_vectors_of_a_polars_frame_are_taken(store: motion.Store) -> None:
    frame = pl.DataFrame({"id": [1], "embedding": np.ones((1, 3), np.float32)})
    store.set_many("garment", frame)
    assert store.get("garment", 1).embedding.tolist() == [1, 1, 1]


def test_objects_of_a_polars_frame_are_taken_as_they_are(open_store: OpenStore) -> None:
    @dataclass
    class File:
        id: int
        raw: bytes

    store = open_store(schemas={"file": File})
    frames = [
        pl.DataFrame({"id": [i], "raw": pl.Series([value], dtype=pl.Object)})
        for i, value in enumerate([bytearray(b"ab"), None, b"c"])
    ]
    store.set_many("file", pl.concat(frames, rechunk=False), commit_every=2)
    assert [row.raw for row in store.rows(File)] == [b"ab", None, b"c"]
    with pytest.raises(motion.BadRows, match=r"takes bytes, but was given \{1, 2\} \(set\)"):
        store.set_many("file", frames[0].with_columns(pl.Series("raw", [{1, 2}], dtype=pl.Object)))


def test_a_query_that_has_not_run_is_no_table(store: motion.Store) -> None:
    with pytest.raises(motion.InvalidArgument, match=r"Polars table.*given.*LazyFrame"):
        store.set_many("garment", pl.DataFrame(ROWS).lazy())


# -- chunks --


def endless() -> Iterator[dict[str, Any]]:
    """Rows without end, of which the thirtieth is bad."""
    i = 0
    while True:
        i += 1
        yield {"id": i, "price": float(i) if i != 30 else "much"}


def test_an_endless_source_is_written_as_it_comes(store: motion.Store) -> None:
    with pytest.raises(motion.BadRows):
        store.set_many("garment", endless(), commit_every=10)
    assert len(store.rows("garment")) == 20


def test_an_endless_source_of_frames_is_written_as_it_comes(store: motion.Store) -> None:
    def frames() -> Iterator[Any]:
        for i in range(5):
            assert len(store.rows("garment")) == i
            yield pl.DataFrame({"id": [i]})

    assert store.set_many("garment", frames()).count == 5


def test_a_large_frame_is_written_in_chunks(store: motion.Store) -> None:
    before = store.status().last_change
    store.set_many("garment", pl.DataFrame({"id": range(25)}), commit_every=10)
    assert (len(store.rows("garment")), store.status().last_change) == (25, before + 3)


def test_a_source_that_raises_leaves_whole_chunks(store: motion.Store) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield from ({"id": i} for i in range(15))
        raise ConnectionError("the feed ended")

    with pytest.raises(ConnectionError):
        store.set_many("garment", rows(), commit_every=10)
    assert len(store.rows("garment")) == 10


@pytest.mark.parametrize("size", [0, -1, 2.5])
def test_a_chunk_has_at_least_one_row(store: motion.Store, size: Any) -> None:
    with pytest.raises(motion.InvalidArgument, match=r"commit_every=\) takes an int of at least 1"):
        store.set_many("garment", ROWS, commit_every=size)


# -- bad rows --


def test_a_bad_row_says_where_it_is_and_how_many_rows_are_in(store: motion.Store) -> None:
    with pytest.raises(motion.BadRows) as caught:
        store.set_many("garment", endless(), commit_every=10)
    assert (caught.value.position, caught.value.written) == (29, 20)


def test_a_bad_row_says_why(store: motion.Store) -> None:
    with pytest.raises(motion.BadRows, match=r"garment\.price takes float.*'much' \(str\)"):
        store.set_many("garment", endless(), commit_every=10)


def test_the_error_of_a_bad_row_is_the_cause(store: motion.Store) -> None:
    with pytest.raises(motion.BadRows) as caught:
        store.set_many("garment", [{"colour": "red"}])
    assert isinstance(caught.value.__cause__, motion.UnknownKey)


def test_bad_rows_may_be_collected(store: motion.Store) -> None:
    rows = [{"id": i, "price": "much" if i == 3 else 1.0} for i in range(5)]
    change = store.set_many("garment", rows, errors="collect")
    assert [row.id for row in store.rows("garment")] == [0, 1, 2, 4]
    assert [(bad.position, bad.row) for bad in change.rejected] == [(3, {"id": 3, "price": "much"})]
    assert "float" in str(change.rejected[0].error)


def test_bad_rows_are_collected_from_every_chunk(store: motion.Store) -> None:
    rows = [{"id": i, "price": "much" if i % 10 == 3 else 1.0} for i in range(30)]
    change = store.set_many("garment", rows, errors="collect", commit_every=10)
    assert ([bad.position for bad in change.rejected], change.count) == ([3, 13, 23], 27)


def test_bad_rows_of_a_frame_are_collected(store: motion.Store) -> None:
    frame = pl.DataFrame({"id": [1, 2], "size": ["SMALL", "HUGE"]})
    change = store.set_many("garment", frame, errors="collect")
    assert [bad.row for bad in change.rejected] == [{"id": 2, "size": "HUGE"}]


def test_rows_that_are_all_bad_are_no_change(store: motion.Store) -> None:
    change = store.set_many("garment", [{"id": "x"}], errors="collect")
    assert (change.count, len(change.rejected)) == (0, 1)


@pytest.mark.parametrize("row", [None, 5, "dress", ["dress"]], ids=repr)
def test_what_is_no_row_is_a_bad_row(store: motion.Store, row: Any) -> None:
    with pytest.raises(motion.BadRows, match="a dict or Garment"):
        store.set_many("garment", [row])


def test_an_unknown_way_with_errors_is_refused(store: motion.Store) -> None:
    with pytest.raises(motion.InvalidArgument, match=r"errors=\) takes 'raise' or 'collect'"):
        store.set_many("garment", [], errors="ignore")  # type: ignore[arg-type]  # on purpose


# -- by --


def test_rows_are_matched_by_a_key_instead_of_their_id(products: motion.Store) -> None:
    products.set("product", id=7, url="a", shop="corner")
    products.set_many("product", [{"url": "a", "price": 1.0}, {"url": "b", "price": 2.0}], by="url")
    rows = products.rows("product")
    assert [(row.id, row.url, row.shop, row.price) for row in rows] == [
        (7, "a", "corner", 1.0),
        (8, "b", None, 2.0),
    ]


def test_an_id_beside_the_key_is_a_new_rows_or_that_of_the_row_which_has_it(
    products: motion.Store,
) -> None:
    products.set("product", id=7, url="a")
    products.set("product", id=9, shop="corner")
    rows = [{"id": 7, "url": "a", "price": 1.0}, {"id": 3, "url": "b"}, {"url": "b", "price": 2.0}, {"id": 9, "url": "c"}, {"url": "d"}]  # fmt: skip
    products.set_many("product", rows, by="url")
    assert [(row.id, row.url, row.shop, row.price) for row in products.rows("product")] == [
        (3, "b", None, 2.0),
        (7, "a", None, 1.0),
        (9, "c", "corner", None),
        (10, "d", None, None),
    ]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"id": 8, "url": "a"}, r"given 'a' with id=8, and the row that has it is id=7"),
        ({"id": 7, "url": "b"}, r"given 'b' with id=7, and that row has 'a'"),
    ],
)
def test_an_id_of_another_row_beside_the_key_is_refused(
    products: motion.Store, row: dict[str, Any], told: str
) -> None:
    products.set_many("product", [{"id": 7, "url": "a", "shop": "s"}, {"id": 8, "shop": "s"}])
    with pytest.raises(motion.BadRows, match=told):
        products.set_many("product", [row], by="url")
    load = products.set_many("product", [row, {"url": "c", "shop": "s"}], by="url", prune="shop", errors="collect")  # fmt: skip
    assert [each.position for each in load.rejected] == [0]
    # what a refused row may have meant was given, so it stays
    assert [(row.id, row.url) for row in products.rows("product")] == [(7, "a"), (9, "c")]


def test_of_two_rows_with_a_value_the_id_tells_which(products: motion.Store) -> None:
    products.set_many("product", [{"id": 1, "url": "a"}, {"id": 2, "url": "a"}])
    products.set_many("product", [{"id": 2, "url": "a", "price": 1.0}], by="url")
    assert [row.price for row in products.rows("product")] == [None, 1.0]


def test_new_rows_with_one_value_of_the_key_are_one_row(products: motion.Store) -> None:
    products.set_many("product", [{"url": "a", "price": 1.0}, {"url": "a", "price": 2.0}], by="url")
    assert [(row.url, row.price) for row in products.rows("product")] == [("a", 2.0)]


def test_loading_the_same_rows_by_a_key_twice_makes_none(products: motion.Store) -> None:
    rows = [{"url": str(i), "price": float(i) if i % 2 else None} for i in range(500)]
    products.set_many("product", rows, by="url", commit_every=200)
    products.set_many("product", rows, by="url", commit_every=300)
    assert [row.url for row in products.rows("product")] == [str(i) for i in range(500)]


def test_a_row_without_the_key_that_matches_is_a_bad_row(products: motion.Store) -> None:
    with pytest.raises(motion.BadRows) as caught:
        products.set_many("product", [{"url": "a"}, {"price": 1.0}], by="url")
    assert (caught.value.position, "product.url" in caught.value.reason) == (1, True)


def test_rows_are_not_matched_by_an_unknown_key(products: motion.Store) -> None:
    with pytest.raises(motion.UnknownKey, match="Did you mean 'url'"):
        products.set_many("product", [], by="ulr")


# -- prune --


def left(products: motion.Store) -> list[str]:
    return [row.url for row in products.rows("product", order_by="url")]


@pytest.fixture
def catalog(products: motion.Store) -> motion.Store:
    """Two shops with two products each."""
    rows = [{"url": f"{shop}{i}", "shop": shop} for shop in "ab" for i in (1, 2)]
    products.set_many("product", rows)
    return products


def prune(catalog: motion.Store, rows: Iterable[Any], **options: Any) -> list[str]:
    catalog.set_many("product", rows, by="url", prune="shop", **options)
    return left(catalog)


def test_rows_that_were_not_given_are_removed(catalog: motion.Store) -> None:
    assert prune(catalog, [{"url": "a1", "shop": "a"}, {"url": "b1", "shop": "b"}]) == ["a1", "b1"]


def test_rows_of_a_value_that_was_not_given_stay(catalog: motion.Store) -> None:
    assert prune(catalog, [{"url": "a1", "shop": "a"}]) == ["a1", "b1", "b2"]


def test_rows_are_kept_across_chunks(catalog: motion.Store) -> None:
    rows = [{"url": f"a{i}", "shop": "a"} for i in range(1, 8)]
    assert prune(catalog, rows, commit_every=2) == [f"a{i}" for i in range(1, 8)] + ["b1", "b2"]


@pytest.mark.parametrize("commit_every", [1, 100])
def test_a_bad_row_without_an_id_is_told_and_the_others_are_in(
    catalog: motion.Store, commit_every: int
) -> None:
    rows = [{"url": "a8", "shop": "a"}, {"url": "a9", "shop": "a", "price": "much"}]
    load = catalog.set_many(
        "product", rows, prune="shop", errors="collect", commit_every=commit_every
    )
    assert [row.position for row in load.rejected] == [1]
    assert left(catalog) == ["a8", "b1", "b2"]


def test_bad_rows_are_kept_across_chunks(catalog: motion.Store) -> None:
    rows = [{"url": f"{shop}{i}", "shop": shop, "price": "much"} for i in (1, 2) for shop in "ab"]
    rows.insert(2, {"url": "b3", "shop": "b"})
    rows.append({"url": "a3", "shop": "a"})
    found = prune(catalog, rows, errors="collect", commit_every=1)
    assert found == ["a1", "a2", "a3", "b1", "b2", "b3"]


def test_p12_the_ids_of_a_load_that_prunes_are_not_held_in_memory(catalog: motion.Store) -> None:
    def rows() -> Iterator[dict[str, str]]:
        for i in range(10_000):
            yield {"url": f"a{i}", "shop": "a"}

    prune(catalog, rows())  # the rows are there, so that both loads below match them
    tracemalloc.start()
    try:
        catalog.set_many("product", rows(), by="url", commit_every=1_000)
        without = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        catalog.set_many("product", rows(), by="url", prune="shop", commit_every=1_000)
        pruning = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert pruning < without + 2**18  # a set of 10,000 ids takes three times that


def test_a_load_that_was_stopped_leaves_the_next_one_alone(catalog: motion.Store) -> None:
    with pytest.raises(motion.BadRows):
        prune(catalog, [{"url": "a1", "shop": "a"}, {"url": "a2", "shop": 5}], commit_every=1)
    assert prune(catalog, [{"url": "a2", "shop": "a"}]) == ["a2", "b1", "b2"]


def test_a_row_given_without_the_pruned_key_stays(catalog: motion.Store) -> None:
    rows = [{"url": "a1", "shop": "a"}, {"url": "a2", "price": 1.0}]
    assert prune(catalog, rows) == ["a1", "a2", "b1", "b2"]


def test_a_row_that_was_given_and_is_bad_is_not_removed(catalog: motion.Store) -> None:
    rows = [{"url": "a1", "shop": "a"}, {"url": "a2", "shop": "a", "price": "much"}]
    assert prune(catalog, rows, errors="collect") == ["a1", "a2", "b1", "b2"]


def test_nothing_is_removed_when_nothing_was_given(catalog: motion.Store) -> None:
    assert prune(catalog, []) == ["a1", "a2", "b1", "b2"]


def test_nothing_is_removed_when_a_bad_row_stops_the_load(catalog: motion.Store) -> None:
    with pytest.raises(motion.BadRows):
        prune(catalog, [{"url": "a1", "shop": "a"}, {"url": "a2", "shop": 5}], commit_every=1)
    assert left(catalog) == ["a1", "a2", "b1", "b2"]


def test_many_rows_are_removed_part_by_part_and_others_write_between(
    products: motion.Store,
) -> None:
    products.set_many("product", ({"url": f"a{i}", "shop": "a"} for i in range(12_000)))
    products.set_many("product", ({"url": f"b{i}", "shop": "b"} for i in range(50)))
    seen: list[int] = []

    def look(point: str) -> None:
        if point == "load.pruned":
            faults.arm(None)
            writer = threading.Thread(target=products.set, args=("product",), kwargs={"url": "new"})
            writer.start()
            writer.join(30)
            sql = "select count(*) n from product where shop = 'a'"
            seen.append(products.sql(sql).to_pylist()[0]["n"])
            faults.arm(look)

    faults.arm(look)
    try:
        given = [{"url": "a7", "shop": "a"}, {"url": "b7", "shop": "b"}]
        products.set_many("product", given, by="url", prune="shop").wait(timeout=60)
    finally:
        faults.arm(None)
    assert seen == sorted(seen, reverse=True)
    assert len(set(seen)) > 2
    assert sorted(set(left(products))) == ["a7", "b7", "new"]


def test_what_is_set_while_others_are_removed_is_kept_where_it_was_given(
    products: motion.Store,
) -> None:
    products.set_many("product", ({"id": i, "url": str(i), "shop": "a"} for i in range(1, 1_000)))
    given = [{"id": i, "shop": "a"} for i in range(1, 1_000, 7)]
    products.set_many("product", given, prune="shop", commit_every=10)
    assert [row.id for row in products.rows("product")] == list(range(1, 1_000, 7))


def test_rows_of_many_values_are_removed_by_one_load(products: motion.Store) -> None:
    rows = [{"url": f"{shop} {i}", "shop": str(shop)} for shop in range(1_300) for i in range(2)]
    products.set_many("product", rows)
    products.set_many("product", rows[::2], by="url", prune="shop")
    assert left(products) == sorted(row["url"] for row in rows[::2])


@pytest.mark.parametrize("kind", [int, str])
def test_rows_are_removed_whatever_their_ids_are(open_store: OpenStore, kind: type) -> None:
    table = make_dataclass("Thing", [("id", kind), ("shop", str), ("at_page", int)])
    store = open_store("things", schemas={"thing": table})
    ids = [-5, 0, *range(7, 700)] if kind is int else ["", "é", "a\0b", *map(str, range(700))]
    store.set_many("thing", [{"id": i, "shop": "a", "at_page": p} for i in ids for p in (0, 1)])
    store.set_many("thing", [{"id": ids[0], "shop": "a", "at_page": 1}], prune="shop")
    assert [(row.id, row.at_page) for row in store.rows("thing")] == [(ids[0], 1)]


def test_a_value_that_a_load_gives_often_is_one_row_s(products: motion.Store) -> None:
    products.set("product", url="u0")
    rows = [{"url": f"u{i % 9_000}", "price": float(i)} for i in range(10_000)]
    assert products.set_many("product", rows, by="url").count == 10_000
    assert products.row_count("product").rows == 9_000
    assert products.rows("product", where={"url": "u0"})[0].price == 9_000.0


def test_a_value_that_several_rows_have_names_none_of_them(products: motion.Store) -> None:
    products.set_many("product", [{"url": "a"}, {"url": "a"}, {"url": "b"}])
    rows = [{"url": "b", "price": 1.0}, {"url": "a", "price": 2.0}, {"url": "c"}]
    with pytest.raises(motion.BadRows, match=r"row 1 .*'a', and 2 rows have it: id=1; id=2"):
        products.set_many("product", rows, by="url")
    load = products.set_many("product", rows, by="url", errors="collect")
    assert [(each.position, each.row) for each in load.rejected] == [(1, rows[1])]
    assert [(row.url, row.price) for row in products.rows("product")] == [
        ("a", None), ("a", None), ("b", 1.0), ("c", None),
    ]  # fmt: skip


def test_many_deletes_of_a_transaction_are_made_in_order(products: motion.Store) -> None:
    products.set_many("product", ({"id": i, "url": str(i)} for i in range(1, 500)))
    with products.transaction() as tx:
        for i in range(1, 300):
            tx.delete("product", i)
            tx.delete("product", i)
        tx.set("product", id=5, url="again")
        tx.set("product", id=6, url="again")
        tx.delete("product", 6)
        for i in range(300, 500):
            tx.delete("product", i)
    assert [(row.id, row.url) for row in products.rows("product")] == [(5, "again")]
