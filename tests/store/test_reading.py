"""Reading: rows, conditions, order, pages with inherited keys, SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pytest

import motion
from tests.conftest import Garment, OpenStore, Size


@dataclass
class Query:
    """The pages of the seed example: an id has suggestion pages, each of these image pages."""

    id: int
    query: str
    text_suggestion: str
    text_suggestion_page: int
    img_score: int
    img_id: int
    img_id_page: int
    feedback: bool


@dataclass
class Levels:
    """Keys that say by hand what tells them apart, and one with a default."""

    id: int
    outer_page: int
    inner_page: int
    everywhere: Annotated[str, motion.Key(level="inner_page")]
    outer: Annotated[str, motion.Key(level="outer_page")]
    color: Annotated[str, motion.Key(level="outer_page")] = "red"


@pytest.fixture
def garments(store: motion.Store) -> motion.Store:
    """Four garments of two shops."""
    store.set_many(
        "garment",
        [
            {"id": 1, "name": "dress", "price": 30.0, "shop": "corner", "size": Size.SMALL},
            {"id": 2, "name": "boots", "price": 20.0, "shop": "corner", "size": Size.LARGE},
            {"id": 3, "name": "coat", "price": 40.0, "shop": "mall", "size": Size.LARGE},
            {"id": 4, "name": "belt", "shop": "mall"},
        ],
    )
    return store


@pytest.fixture
def queries(open_store: OpenStore) -> motion.Store:
    return open_store(schemas={"query": Query})


def found(store: motion.Store, table: Any = "garment", **options: Any) -> list[Any]:
    return [row.id for row in store.rows(table, **options)]


# -- rows --


def test_rows_without_a_condition_are_all_rows_by_id(garments: motion.Store) -> None:
    assert found(garments) == [1, 2, 3, 4]


def test_rows_of_a_class_are_instances_of_it(garments: motion.Store) -> None:
    assert {type(row) for row in garments.rows(Garment)} == {Garment}


def test_rows_of_an_id_that_is_not_there_are_none(garments: motion.Store) -> None:
    assert garments.rows("garment", id=9) == []


def test_a_condition_may_be_sql(garments: motion.Store) -> None:
    assert found(garments, where="price > ? and shop = ?", params=[25, "corner"]) == [1]


def test_a_condition_with_or_is_one_condition(garments: motion.Store) -> None:
    assert found(garments, id=1, where="shop = 'mall' or shop = 'corner'") == [1]


def test_a_condition_may_be_a_dict_of_equalities(garments: motion.Store) -> None:
    assert found(garments, where={"shop": "corner", "size": Size.LARGE}) == [2]


def test_none_in_a_dict_finds_rows_without_the_key(garments: motion.Store) -> None:
    assert found(garments, where={"price": None}) == [4]


def test_an_empty_dict_is_no_condition(garments: motion.Store) -> None:
    assert found(garments, where={}) == [1, 2, 3, 4]


def test_a_member_of_an_enum_may_be_a_parameter(garments: motion.Store) -> None:
    assert found(garments, where="size = ?", params=[Size.LARGE]) == [2, 3]


def test_a_numpy_number_may_be_a_parameter(garments: motion.Store) -> None:
    assert found(garments, where="price = ?", params=[np.float32(40)]) == [3]


def test_rows_come_in_the_order_asked_for(garments: motion.Store) -> None:
    assert found(garments, where="price not null", order_by="price desc") == [3, 1, 2]


def test_a_limit_is_taken_after_the_order(garments: motion.Store) -> None:
    assert found(garments, order_by="name", limit=2) == [4, 2]


def test_a_limit_of_0_gives_no_rows(garments: motion.Store) -> None:
    assert found(garments, limit=0) == []


@pytest.mark.parametrize("where", ["nowhere = 1", "price >", "price = ?", "1; drop table garment"])
def test_a_wrong_condition_is_quoted_in_the_error(garments: motion.Store, where: str) -> None:
    with pytest.raises(motion.SqlError) as caught:
        garments.rows("garment", where=where)
    assert where in str(caught.value)


def test_a_wrong_order_is_quoted_in_the_error(garments: motion.Store) -> None:
    with pytest.raises(motion.SqlError, match="prize"):
        garments.rows("garment", order_by="prize")


def test_an_unknown_key_in_a_dict_is_refused_with_the_nearest_name(garments: motion.Store) -> None:
    with pytest.raises(motion.UnknownKey, match="Did you mean 'price'"):
        garments.rows("garment", where={"prize": 1})


def test_a_value_that_does_not_fit_in_a_dict_is_refused(garments: motion.Store) -> None:
    with pytest.raises(motion.InvalidValue, match="'much'"):
        garments.rows("garment", where={"price": "much"})


def test_an_id_of_the_wrong_type_is_refused(garments: motion.Store) -> None:
    with pytest.raises(motion.InvalidValue, match=r"garment\.id"):
        garments.rows("garment", id="one")


# -- pages and inheritance --


def test_pages_come_in_page_order(queries: motion.Store) -> None:
    for outer, inner in [(1, 1), (0, 2), (1, 0), (0, 0)]:
        queries.set("query", id=7, text_suggestion_page=outer, img_id_page=inner)
    pages = [(row.text_suggestion_page, row.img_id_page) for row in queries.rows("query", id=7)]
    assert pages == [(0, 0), (0, 2), (1, 0), (1, 1)]


def image(queries: motion.Store, **options: Any) -> Any:
    """Return the row (7, suggestion page 1, image page 5)."""
    return queries.get("query", 7, text_suggestion_page=1, img_id_page=5, **options)


def make_image(queries: motion.Store, **values: Any) -> None:
    queries.set("query", id=7, text_suggestion_page=1, img_id_page=5, **values)


def test_a_key_before_all_page_keys_is_inherited_from_page_0_of_all(queries: motion.Store) -> None:
    make_image(queries)
    queries.set("query", id=7, query="red dress")
    assert image(queries).query == "red dress"


def test_a_key_that_a_page_key_tells_apart_is_inherited_from_that_page(
    queries: motion.Store,
) -> None:
    make_image(queries)
    queries.set("query", id=7, text_suggestion="page 0")
    queries.set("query", id=7, text_suggestion_page=1, text_suggestion="page 1")
    assert image(queries).text_suggestion == "page 1"


def test_a_key_is_inherited_from_nowhere_else(queries: motion.Store) -> None:
    make_image(queries)
    queries.set("query", id=7, text_suggestion="page 0")
    assert image(queries).text_suggestion is None


def test_a_key_that_all_page_keys_tell_apart_is_not_inherited(queries: motion.Store) -> None:
    make_image(queries)
    queries.set("query", id=7, img_id=1, feedback=True)
    queries.set("query", id=7, text_suggestion_page=1, img_id=2, feedback=True)
    row = image(queries)
    assert (row.img_id, row.feedback) == (None, None)


def test_a_value_of_its_own_goes_before_an_inherited_one(queries: motion.Store) -> None:
    queries.set("query", id=7, query="red dress")
    make_image(queries, query="blue dress")
    assert image(queries).query == "blue dress"


def test_a_row_that_is_not_there_inherits_nothing(queries: motion.Store) -> None:
    queries.set("query", id=7, query="red dress")
    assert image(queries) is None


def test_inheriting_can_be_turned_off_in_get(queries: motion.Store) -> None:
    queries.set("query", id=7, query="red dress")
    make_image(queries)
    assert image(queries, inherit=False).query is None


def test_inheriting_can_be_turned_off_in_rows(queries: motion.Store) -> None:
    queries.set("query", id=7, query="red dress")
    make_image(queries)
    rows = queries.rows("query", inherit=False)
    assert [row.query for row in rows] == ["red dress", None]


def test_rows_have_inherited_keys_filled_in(queries: motion.Store) -> None:
    queries.set("query", id=7, query="red dress")
    make_image(queries)
    assert [row.query for row in queries.rows("query")] == ["red dress", "red dress"]


def test_conditions_see_what_rows_show(queries: motion.Store) -> None:
    queries.set("query", id=7, query="red dress")
    make_image(queries)
    assert len(queries.rows("query", where="query = 'red dress'")) == 2
    assert len(queries.rows("query", where={"query": "red dress"}, limit=1)) == 1
    assert queries.rows("query", where={"query": None}) == []


def test_a_page_that_has_a_value_of_its_own_is_found_by_that_one(open_store: OpenStore) -> None:
    store = open_store(schemas={"levels": Levels})
    store.set("levels", id=1, outer_page=2, outer="b")
    store.set("levels", id=1, outer_page=2, inner_page=3)
    store.set("levels", id=1, outer_page=2, inner_page=4, outer="c")
    found = store.rows("levels", where={"outer": "b"})
    assert [row.inner_page for row in found] == [0, 3]
    assert [row.inner_page for row in store.rows("levels", where="outer = 'c'")] == [4]


def test_sql_reads_what_rows_show(queries: motion.Store) -> None:
    queries.set("query", id=7, query="red dress")
    make_image(queries)
    found = queries.sql("select query from query").column(0).to_pylist()
    assert found == ["red dress", "red dress"]


def test_sql_reads_what_is_stored_by_the_name_for_that(queries: motion.Store) -> None:
    queries.set("query", id=7, query="red dress")
    make_image(queries)
    found = queries.sql("select query from query__stored order by 1").column(0).to_pylist()
    assert found == [None, "red dress"]


def test_a_table_called_as_what_another_stores_is_refused(open_store: OpenStore) -> None:
    with pytest.raises(motion.SchemaError, match="garment__stored"):
        open_store(schemas={"garment": Garment, "garment__stored": Levels})


def test_a_level_by_hand_decides_what_is_inherited(open_store: OpenStore) -> None:
    store = open_store(schemas={"levels": Levels})
    store.set("levels", id=1, outer_page=2, everywhere="a", outer="b")
    store.set("levels", id=1, outer_page=2, inner_page=3)
    row = store.get("levels", 1, outer_page=2, inner_page=3)
    assert (row.everywhere, row.outer) == (None, "b")


def test_a_default_does_not_hide_an_inherited_value(open_store: OpenStore) -> None:
    store = open_store(schemas={"levels": Levels})
    store.set("levels", id=1, outer_page=2, color="blue")
    store.set("levels", id=1, outer_page=2, inner_page=3)
    assert store.get("levels", 1, outer_page=2, inner_page=3).color == "blue"


# -- sql --


def test_sql_gives_an_arrow_table(garments: motion.Store) -> None:
    query = "select shop, count(*) as n from garment group by shop order by shop"
    assert garments.sql(query).to_pylist() == [{"shop": "corner", "n": 2}, {"shop": "mall", "n": 2}]


def test_sql_takes_parameters(garments: motion.Store) -> None:
    found = garments.sql("select id from garment where size = ? and price < ?", [Size.LARGE, 30])
    assert found.column("id").to_pylist() == [2]


def test_sql_may_join_tables(open_store: OpenStore) -> None:
    store = open_store(schemas={"query": Query, "garment": Garment})
    store.set("garment", id=3, name="coat")
    store.set("query", id=7, img_id=3)
    joined = store.sql("select name from query join garment on garment.id = query.img_id")
    assert joined.to_pylist() == [{"name": "coat"}]


def test_arrays_come_back_as_arrays(store: motion.Store) -> None:
    store.set_many("garment", [{"id": 1, "embedding": np.array([1, 2, 3])}, {"id": 2}])
    column = store.sql("select embedding from garment order by id").column(0)
    assert column.type == pa.list_(pa.float32())
    assert column.to_pylist() == [[1, 2, 3], None]


def test_flags_come_back_as_flags(queries: motion.Store) -> None:
    queries.set_many("query", [{"id": 1, "feedback": True}, {"id": 2, "feedback": False}])
    assert queries.sql("select feedback from query order by id").column(0).to_pylist() == [1, 0]


def test_a_query_without_rows_still_has_columns(garments: motion.Store) -> None:
    assert garments.sql("select id, name from garment where 0").column_names == ["id", "name"]


def test_columns_of_one_name_are_told_apart(garments: motion.Store) -> None:
    assert len(set(garments.sql("select 1 as a, 2 as a").column_names)) == 2


@pytest.mark.parametrize(
    "query",
    [
        "delete from motion_rows_garment",
        "update motion_rows_garment set name = ''",
        "drop view garment",
        "create table x (a)",
    ],
)
def test_sql_cannot_write(garments: motion.Store, query: str) -> None:
    with pytest.raises(motion.SqlError, match="only reads"):
        garments.sql(query)
    assert len(garments.rows("garment")) == 4


@pytest.mark.parametrize(
    "query", ["select prize from garment", "selekt", "select ?", "select 1; select 2"]
)
def test_a_wrong_query_is_quoted_in_the_error(garments: motion.Store, query: str) -> None:
    with pytest.raises(motion.SqlError) as caught:
        garments.sql(query)
    assert query in str(caught.value)


def test_sql_sees_what_was_set_just_before(garments: motion.Store) -> None:
    for i in range(5, 20):
        garments.set("garment", id=i)
        assert garments.sql("select max(id) from garment").column(0).to_pylist() == [i]


def test_a_moment_may_be_a_parameter(open_store: OpenStore) -> None:
    @dataclass
    class Visit:
        id: int
        at: datetime
        day: date

    store = open_store(schemas={"visit": Visit})
    for hour in (8, 12, 16):
        at = datetime(2024, 5, 1, hour, tzinfo=UTC)
        store.set("visit", id=hour, at=at, day=at.date())
    noon = datetime(2024, 5, 1, 12, tzinfo=UTC)
    found = store.rows("visit", where="at >= ? and day = ?", params=[noon, date(2024, 5, 1)])
    assert [row.id for row in found] == [12, 16]
