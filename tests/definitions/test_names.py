"""Names and ends of ranges: what a database cannot tell apart, or cannot take, is refused with the reason before anything
is made; everything else works like any other name."""

from __future__ import annotations

import keyword
from dataclasses import dataclass, make_dataclass
from typing import Annotated, Any

import numpy as np
import pytest

import motion
from tests.conftest import OpenStore

LARGEST = 2**63 - 1


def table(*names: str, kind: Any = str) -> type:
    return make_dataclass("T", [("id", int), *((name, kind) for name in names)])


def upper(**options: Any) -> Any:
    def made(text: str) -> str:
        return text.upper()

    return motion.trigger(on="t.text", **options)(made)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("true", "truth value"),
        ("False_", None),
        ("FALSE", "truth value"),
        ("force", "option of set"),
        ("Force", "option of set"),
        ("if_unchanged", "option of set"),
        ("größe", "letter from A to Z"),
        ("_hidden", "letter from A to Z"),
    ],
)
def test_a_key_that_cannot_be_called_so_is_refused_with_the_reason(
    open_store: OpenStore, name: str, why: str | None
) -> None:
    if why is None:
        open_store(schemas={"t": table(name)}).set_many("t", [{"id": 1, name: "a"}])
        return
    with pytest.raises(motion.SchemaError, match=why):
        open_store(schemas={"t": table(name)})


def test_an_option_of_set_is_taken_for_no_key(open_store: OpenStore) -> None:
    store = open_store(schemas={"t": table("text")})
    for option in ("force", "if_unchanged"):
        values: dict[str, Any] = {"text": "a", option: 9.5}
        with pytest.raises(motion.InvalidArgument, match=f"{option}=. takes True or False"):
            store.set("t", **values)
        with store.transaction() as tx, pytest.raises(motion.InvalidArgument):
            tx.set("t", **values)
    assert store.rows("t") == []


def test_a_page_key_is_not_called_like_a_parameter_of_get(open_store: OpenStore) -> None:
    page = Annotated[int, motion.Key(page=True)]
    with pytest.raises(motion.SchemaError, match="parameter of get"):
        open_store(schemas={"t": table("inherit", kind=page)})


WORDS = ["rank", "Rank", "rowid", "oid", "slot", "order", "select", "made", "primary", "key", "kind", "value", "old", "new", "row", "store"]  # fmt: skip


@pytest.mark.parametrize("name", [word for word in WORDS if not keyword.iskeyword(word)])
def test_any_other_word_is_a_name_like_any_other(open_store: OpenStore, name: str) -> None:
    shown = motion.trigger(on=f"t.{name}", sets="t.shown")(eval(f"lambda {name}: {name} + '!'"))
    schema = table(name, "shown", kind=Annotated[str, motion.Index])
    store = open_store(schemas={"t": schema}, triggers=[motion.trigger(on=f"t.{name}", sets="t.shown", name="shown")(shown)])  # fmt: skip
    store.set_many("t", [{"id": 1, name: "alpha"}, {"id": 2, name: "beta"}]).wait()
    assert [row.id for row in store.rows("t", where={name: "beta"})] == [2]
    assert [row.id for row in store.rows("t", order_by=f'"{name}" desc')] == [2, 1]
    assert [hit.id for hit in store.search(f"t.{name}", text="beta")] == [2]
    changed: dict[str, Any] = {name: "beta"}
    store.set("t", id=1, **changed).wait()
    store.delete("t", 2).wait()
    assert [(hit.id, hit.row.shown) for hit in store.search(f"t.{name}", text="beta")] == [(1, "beta!")]  # fmt: skip
    store.set_many("t", [{name: "beta"}, {name: "gamma"}], by=name)
    assert store.sql(f'select "{name}" x from t order by id').to_pylist() == [
        {"x": "beta"},
        {"x": "gamma"},
    ]


def test_a_key_called_slot_is_not_kept_by_version(open_store: OpenStore) -> None:
    class Model(motion.Component):
        def setup(self) -> int:
            return 1

        @motion.infer(on="t.text", sets="t.Slot", refresh="before")
        def place(self, state: int, text: str) -> str:
            return "top"

    with pytest.raises(motion.TriggerError, match="slot"):
        open_store(schemas={"t": table("text", "Slot")}, triggers=[Model()])


# -- names that a database takes for one --


def test_triggers_that_differ_in_case_only_are_refused(open_store: OpenStore) -> None:
    twins = [upper(sets="t.a", name="Split"), upper(sets="t.b", name="split")]
    with pytest.raises(motion.TriggerError, match="'Split' and 'split' differ in case only"):
        open_store(schemas={"t": table("text", "a", "b")}, triggers=twins)


def component(name: str, key: str, method: str) -> motion.Component:
    def setup(self: Any) -> int:
        return 1

    def made(self: Any, state: int, text: str) -> str:
        return name

    made.__name__ = method
    marked = motion.infer(on="t.text", sets=f"t.{key}", refresh="before")(made)
    return type(name, (motion.Component,), {"setup": setup, method: marked})()  # type: ignore[no-any-return]


@pytest.mark.parametrize("method", ["embed", "other"])
def test_components_that_differ_in_case_only_are_refused(
    open_store: OpenStore, method: str
) -> None:
    twins = [component("CLIP", "a", "embed"), component("Clip", "b", method)]
    with pytest.raises(motion.TriggerError, match="differ in case only"):
        open_store(schemas={"t": table("text", "a", "b")}, triggers=twins)


def test_a_name_of_before_is_not_taken_in_another_case(open_store: OpenStore) -> None:
    schemas = {"t": table("text", "a", "b")}
    open_store(schemas=schemas, triggers=[component("CLIP", "a", "embed")]).close()
    with pytest.raises(motion.TriggerError, match=r"knows a trigger 'CLIP\.embed'"):
        open_store(schemas=schemas, triggers=[component("Clip", "a", "embed")])
    with pytest.raises(motion.SchemaError, match="has a table 't', and 'T'"):
        open_store(schemas={"T": table("text")})
    again = open_store(schemas=schemas, triggers=[component("CLIP", "a", "embed")])
    assert again.set("t", id=1, text="x").wait().rows()[0].a == "CLIP"


@pytest.mark.parametrize("pair", [("t", "t__stored"), ("t__stored", "t"), ("t", "T__STORED")])
def test_a_table_is_not_called_like_what_sql_reads_of_another(
    open_store: OpenStore, pair: tuple[str, str]
) -> None:
    with pytest.raises(motion.SchemaError, match="by which SQL reads what 't' stores"):
        open_store(schemas=dict.fromkeys(pair, table("a")))
    open_store(schemas={pair[0]: table("a")}).close()
    with pytest.raises(motion.SchemaError, match="by which SQL reads what 't' stores"):
        open_store(schemas={pair[1]: table("a")})


def test_indexes_of_two_tables_do_not_meet(open_store: OpenStore) -> None:
    indexed = Annotated[str, motion.Index]
    schemas = {
        "a": table("b_made", "b_c", "made", "primary", kind=indexed),
        "a_b": table("c", "made", kind=indexed),
    }
    store = open_store(schemas=schemas)
    sql = "select tbl_name from sqlite_master where type = 'index' and sql like '%\"c\"%'"
    assert store.sql(sql).to_pylist() == [{"tbl_name": "motion_rows_a_b"}]
    for key in ("b_made", "b_c", "made", "primary"):
        plan = store.sql(f'explain query plan select * from motion_rows_a where "{key}" = ?', ["x"])
        assert "USING INDEX" in str(plan["detail"][0])


def test_an_index_that_an_older_version_made_is_not_made_again(open_store: OpenStore) -> None:
    schemas = {"t": table("a", kind=Annotated[str, motion.Index])}
    with open_store(schemas=schemas) as store:
        store._database.write(lambda tx: tx.execute('DROP INDEX "motion_index_t:a"'))
        old = 'CREATE INDEX motion_index_t_a ON motion_rows_t ("a")'
        store._database.write(lambda tx: tx.execute(old))
    sql = "select count(*) n from sqlite_master where type = 'index' and sql like '%\"a\"%'"
    assert open_store(schemas=schemas).sql(sql).to_pylist() == [{"n": 1}]


# -- ends of ranges --


def test_a_table_has_as_many_keys_as_fit(open_store: OpenStore) -> None:
    wide = table(*(f"k{i}" for i in range(1_990)), kind=int)
    store = open_store(schemas={"t": wide})
    values = {f"k{i}": i for i in range(1_990)}
    store.set_many("t", [{"id": 1, **values}, {"id": 2, **values}])
    store.set("t", id=1, k1989=0)
    assert [row.id for row in store.rows("t", where={"k1989": 1989})] == [2]
    assert store.get("t", 1).k1988 == 1988


@pytest.mark.parametrize("count", [2_000, 5_000])
def test_a_table_of_more_keys_is_refused(open_store: OpenStore, count: int) -> None:
    with pytest.raises(motion.SchemaError, match="at most 2000"):
        open_store(schemas={"t": table(*(f"k{i}" for i in range(count)))})
    open_store(schemas={"t": table("a")}).close()
    with pytest.raises(motion.SchemaError, match="at most 2000"):
        open_store(schemas={"t": table("a", *(f"k{i}" for i in range(count)))})


def test_the_largest_id_is_an_id_and_none_comes_after_it(open_store: OpenStore) -> None:
    store = open_store(
        schemas={"t": table("text", "a")}, triggers=[upper(sets="t.a", inline=False)]
    )
    ids = [-LARGEST, -1, 1, LARGEST]
    store.set_many("t", [{"id": each, "text": "a"} for each in ids]).wait()
    with pytest.raises(motion.InvalidValue, match="none after it"):
        store.set("t", text="b")
    with pytest.raises((motion.InvalidValue, motion.BadRows), match="none after it"):
        store.set_many("t", [{"text": "b"}])
    store.backfill("made", force=True).wait(timeout=60)
    assert [(row.id, row.a) for row in store.rows("t")] == [(each, "A") for each in ids]
    with pytest.raises(motion.InvalidValue, match="64 bits"):
        store.set("t", id=2**63)


@dataclass
class Doc:
    id: int
    text: str
    vector: Annotated[np.ndarray, motion.Vector(2)]


@pytest.mark.parametrize("k", [2**31, 2**63, 10**30])
def test_a_search_may_ask_for_more_than_there_can_be(open_store: OpenStore, k: int) -> None:
    store = open_store(schemas={"doc": Doc})
    store.set_many("doc", [{"id": 1, "text": "a b", "vector": np.ones(2)}, {"id": 2, "text": "b"}])
    assert [hit.id for hit in store.search("doc.text", text="a b", k=k)] == [1, 2]
    assert [hit.id for hit in store.search("doc.vector", np.ones(2), k=k)] == [1]
    assert len(store.search(["doc.vector", "doc.text"], np.ones(2), text="b", k=k)) == 2
    assert [hit.id for hit in store.search("doc.text", text="b", k=k, where={"id": 2})] == [2]
