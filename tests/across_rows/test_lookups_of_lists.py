"""Lookups by a key that holds a list: a value of each row that it names."""

from __future__ import annotations

import threading
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import motion
from motion.cli.app import app
from motion.persistence.changes import followers
from motion.persistence.inputs import lists, own
from motion.testing import Stepper
from tests.conftest import OpenStore


@dataclass
class Product:
    id: int
    name: str
    vector: Annotated[np.ndarray, motion.Vector(2)]


@dataclass
class User:
    id: int
    likes: list[int]
    names: Annotated[list[str], motion.Lookup("product.name", by="likes")]
    gapped: Annotated[list[str | None], motion.Lookup("product.name", by="likes")]
    liked: str
    all: str
    taste: Annotated[np.ndarray, motion.Vector(2)]


SCHEMAS = {"product": Product, "user": User}
Names = Annotated[list[str], motion.Lookup("product.name", by="likes")]
Gapped = Annotated[list[str | None], motion.Lookup("product.name", by="likes")]


def triggers(inline: bool | None = None) -> list[Any]:
    @motion.trigger(on="user.likes", sets="user.liked", inline=inline)
    def join(names: Names) -> str:
        return ",".join(names)

    @motion.trigger(on="user.likes", sets="user.all", inline=inline)
    def join_all(likes: list[int], names: Gapped) -> str:
        return ",".join(f"{i}={name}" for i, name in zip(likes, names, strict=True))

    return [join, join_all]


@motion.trigger(on="user.likes", sets="user.taste")
def mean(
    vectors: Annotated[list[np.ndarray], motion.Lookup("product.vector", by="likes")],
) -> np.ndarray | None:
    return np.mean(vectors, axis=0) if vectors else None


def shown(store: motion.Store, id: int = 1) -> tuple[Any, ...]:
    store.wait(timeout=60)
    assert not store.errors()
    row: Any = store.get(User, id)
    return row.liked, row.all, row.names, row.gapped


@pytest.fixture(params=[None, False], ids=["inline", "tasks"])
def store(open_store: OpenStore, request: pytest.FixtureRequest) -> motion.Store:
    store = open_store(schemas=SCHEMAS, triggers=triggers(request.param))
    store.set_many("product", [{"id": i, "name": n} for i, n in enumerate("abc", 1)])
    return store


def test_a_list_of_values_in_the_order_of_the_ids_each_as_often_as_it_is_there(
    store: motion.Store,
) -> None:
    store.set("user", id=1, likes=[3, 1, 3])
    assert shown(store) == ("c,a,c", "3=c,1=a,3=c", ["c", "a", "c"], ["c", "a", "c"])


def test_an_empty_list_gives_an_empty_one_and_an_unset_one_none(store: motion.Store) -> None:
    store.set("user", id=1, likes=[])
    assert shown(store) == ("", "", [], [])
    store.set("user", id=1, likes=None)
    assert shown(store) == (None, None, None, None)


def test_a_change_of_any_row_in_the_list_is_followed(store: motion.Store) -> None:
    store.set("user", id=1, likes=[3, 1])
    store.set("user", id=2, likes=[2])
    assert shown(store)[0] == "c,a"
    store.set("product", id=1, name="A")
    assert shown(store) == ("c,A", "3=c,1=A", ["c", "A"], ["c", "A"])
    assert shown(store, 2)[0] == "b"


def test_a_list_that_names_what_is_not_there_is_unset_unless_its_elements_may_be(
    store: motion.Store,
) -> None:
    store.set("user", id=1, likes=[1, 9])
    assert shown(store) == (None, "1=a,9=None", None, ["a", None])
    store.set("product", id=9, name="i")
    assert shown(store) == ("a,i", "1=a,9=i", ["a", "i"], ["a", "i"])
    store.set("product", id=9, name=None)
    assert shown(store) == (None, "1=a,9=None", None, ["a", None])
    store.set("product", id=9, name="j")
    store.delete("product", 1)
    assert shown(store) == (None, "1=None,9=j", None, [None, "j"])
    store.set("product", id=1, name="a")
    assert shown(store) == ("a,j", "1=a,9=j", ["a", "j"], ["a", "j"])


def test_a_list_that_changes_follows_what_it_names_now(store: motion.Store) -> None:
    store.set("user", id=1, likes=[1])
    store.set("user", id=1, likes=[2, 3])
    assert shown(store)[0] == "b,c"
    store.set("product", id=3, name="C")
    assert shown(store)[0] == "b,C"
    store.delete("user", 1)
    store.set("product", id=2, name="B")
    store.set("user", id=1, likes=[2])
    assert shown(store)[0] == "B"


def test_what_changes_between_the_reading_and_the_write_is_followed(open_store: OpenStore) -> None:
    changes: list[dict[str, Any]] = [{"id": 2, "name": "B"}]

    @motion.trigger(on="user.likes", sets="user.all", inline=True)
    def join_all(names: Gapped) -> str:
        if changes:
            beside = threading.Thread(target=lambda: shop.set("product", **changes.pop()))
            beside.start()
            beside.join()
        return str(names)

    shop = open_store(schemas=SCHEMAS, triggers=[join_all])
    shop.set_many("product", [{"id": i, "name": n} for i, n in enumerate("ab", 1)])
    shop.set_many("user", [{"id": 1, "likes": [1]}, {"id": 2, "likes": [1, 2]}])
    shop.wait(timeout=60)
    assert [row.all for row in shop.rows(User)] == ["['a']", "['a', 'B']"]


def test_vectors_are_looked_up_too(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=[mean])
    store.set_many("product", [{"id": i, "vector": np.array([i, 0.0])} for i in (1, 2, 3)])
    store.set("user", id=1, likes=[1, 2])
    store.wait(timeout=60)
    assert store.get(User, 1).taste.tolist() == [1.5, 0.0]  # type: ignore[union-attr]  # it is there
    store.set("product", id=2, vector=np.array([5.0, 0.0]))
    store.wait(timeout=60)
    assert store.get(User, 1).taste.tolist() == [3.0, 0.0]  # type: ignore[union-attr]


def test_an_explanation_names_each_row_of_the_list_once(store: motion.Store) -> None:
    store.set("user", id=1, likes=[3, 9, 3])
    store.wait(timeout=60)
    told = store.explain("user", 1, "all").inputs
    assert [(each.table, each.id, each.key, each.value) for each in told[1:]] == [
        ("product", 3, "name", "c"),
        ("product", 9, "name", None),
    ]


def test_a_result_from_before_a_change_is_dropped(open_store: OpenStore) -> None:
    seen: list[list[str | None]] = []

    @motion.trigger(on="user.likes", sets="user.all", inline=False)
    def join_all(names: Gapped) -> str:
        seen.append(names)
        if len(seen) <= 2:
            doing = [
                lambda: opened.set("product", id=2, name="B"),
                lambda: opened.delete("product", 1),
            ]
            beside = threading.Thread(target=doing[len(seen) - 1])
            beside.start()
            beside.join()
        return str(names)

    opened = open_store(schemas=SCHEMAS, triggers=[join_all], run=False)
    opened.set_many("product", [{"id": i, "name": n} for i, n in enumerate("ab", 1)])
    opened.set("user", id=1, likes=[1, 2])
    with Stepper(opened) as worker:
        worker.run_until_idle()
    assert seen == [["a", "b"], ["a", "B"], [None, "B"]]


def test_a_key_that_was_made_up_in_a_write_is_swept_for_what_the_write_changes_after_that(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followers, "AT_ONCE", 1)
    part = make_dataclass("Part", [("id", int), ("product", int), ("raw", str)])
    product = make_dataclass("Product", [("id", int), ("name", str)])
    names = Annotated[list[str], motion.Lookup("product.name", by="likes")]
    user = make_dataclass("User", [("id", int), ("likes", list[int]), ("names", names)])

    @motion.fold(on="part.raw", by="part.product", sets="product.name")
    def name(name: str | None, raw: str) -> str:
        return (name or "") + raw

    schemas = {"part": part, "product": product, "user": user}
    store = open_store(schemas=schemas, triggers=[name], run=False)
    with Stepper(store) as worker:
        store.set_many("user", [{"id": 1, "likes": [1, 3]}, {"id": 2, "likes": [3]}])
        for raws in ("ac", "xz"):
            for id, raw in zip((1, 3), raws, strict=True):  # a task each, of one claim
                store.set("part", product=id, raw=raw)
            worker.run_until_idle()
        assert [row.names for row in store.rows("user")] == [["ax", "cz"], ["cz"]]


def test_what_many_rows_name_is_followed_by_a_sweep(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, triggers=triggers(False))
    store.set_many("product", [{"id": i, "name": n} for i, n in enumerate("abc", 1)])
    users = ({"id": i, "likes": [1, 2] if i % 3 else [2]} for i in range(1, 1_501))
    store.set_many("user", users).wait(timeout=60)
    store.set("product", id=1, name="A").wait(timeout=60)
    store.delete("product", 2)
    store.wait(timeout=60)
    found = {tuple(row.likes): row.all for row in store.rows(User)}
    assert found == {(1, 2): "1=A,2=None", (2,): "2=None"}
    assert {row.all for row in store.rows(User)} == {*found.values()}
    store.set_many("product", [{"id": 1, "name": "x"}, {"id": 2, "name": "y"}]).wait(timeout=60)
    assert {(tuple(row.likes), row.all, row.liked) for row in store.rows(User)} == {
        ((1, 2), "1=x,2=y", "x,y"),
        ((2,), "2=y", "y"),
    }


def test_what_is_not_followed_is_waited_for_once_and_stays(open_store: OpenStore) -> None:
    lookup = motion.Lookup("product.name", by="likes", follow=False)

    @motion.trigger(on="user.likes", sets="user.liked")
    def decide(names: list[str]) -> str:
        return ",".join(names)

    decide.__annotations__["names"] = Annotated[list[str], lookup]
    trigger = motion.trigger(on="user.likes", sets="user.liked")(decide)
    store = open_store(schemas=SCHEMAS, triggers=[trigger])
    store.set("product", id=1, name="a")
    store.set("user", id=1, likes=[1, 2])
    assert shown(store)[0] is None
    store.set("product", id=2, name="b")
    assert shown(store)[0] == "a,b"
    store.set("product", id=2, name="B")
    store.delete("product", 1)
    assert shown(store)[0] == "a,b"


def test_a_users_value_stays_until_the_list_changes(store: motion.Store) -> None:
    store.set("user", id=1, likes=[1])
    store.wait(timeout=60)
    store.set("user", id=1, all="mine")
    store.set("product", id=1, name="A")
    assert shown(store)[1] == "mine"
    store.set("user", id=1, likes=[1, 2])
    assert shown(store)[1] == "1=A,2=b"


@dataclass
class Tag:
    id: str
    word: str
    text: str


@dataclass
class Post:
    id: int
    tags: list[str]
    by_id: str
    by_word: Annotated[list[str | None], motion.Lookup("tag.text", by="tags", to="tag.word")]


def test_lists_of_texts_and_of_another_key_than_the_id(open_store: OpenStore) -> None:
    @motion.trigger(on="post.tags", sets="post.by_id")
    async def take(
        texts: Annotated[list[str | None], motion.Lookup("tag.text", by="tags")],
    ) -> str:
        return str(texts)

    store = open_store(schemas={"tag": Tag, "post": Post}, triggers=[take])
    store.set_many(
        "tag", [{"id": f"t{i}", "word": w, "text": f"{w}{i}"} for i, w in enumerate("xyx")]
    )
    store.set("post", id=1, tags=["t1", "x", 't"1', "\0"])

    def found() -> tuple[Any, Any]:
        store.wait(timeout=60)
        row: Any = store.get(Post, 1)
        return row.by_id, row.by_word

    assert found() == (str(["y1", None, None, None]), [None, "x0", None, None])
    store.set("tag", id='t"1', text="odd")
    store.set("tag", id="t0", word="z")  # the next one with the word takes its place
    assert found() == (str(["y1", None, "odd", None]), [None, "x2", None, None])
    store.set("tag", id="t2", text="next")
    assert found()[1] == [None, "next", None, None]
    store.delete("tag", "t2")
    assert found()[1] == [None] * 4


@pytest.mark.parametrize("has_the_beginning", [False, True])
def test_an_id_with_a_nul_names_no_row_in_a_list_also_where_one_has_what_is_before_it(
    open_store: OpenStore, has_the_beginning: bool
) -> None:
    @dataclass
    class Pick:
        id: int
        tag: str
        tags: list[str]
        one: Annotated[str, motion.Lookup("tag.text", by="tag")]
        whole: Annotated[list[str], motion.Lookup("tag.text", by="tags")]
        gapped: Annotated[list[str | None], motion.Lookup("tag.text", by="tags")]

    store = open_store(schemas={"tag": Tag, "pick": Pick}, run=True)
    store.set("tag", id="a\0b", text="looked up by itself")
    if has_the_beginning:
        store.set("tag", id="a", text="another")
    store.set("pick", id=1, tag="a\0b", tags=["a\0b"])
    store.wait(timeout=60)
    row: Any = store.get("pick", 1)
    assert (row.one, row.whole, row.gapped) == ("looked up by itself", None, [None])


def test_a_list_that_a_trigger_sets_is_waited_for(open_store: OpenStore) -> None:
    @dataclass
    class Query:
        id: int
        text: str
        hits: list[int]
        names: Annotated[list[str], motion.Lookup("product.name", by="hits")]
        answer: str

    @motion.trigger(on="query.text", sets="query.hits")
    async def find(text: str) -> list[int]:
        return [int(each) for each in text]

    @motion.trigger(on=("query.text", "query.names"), sets="query.answer")
    def answer(text: str, names: list[str]) -> str:
        return f"{text}:{','.join(names)}"

    store = open_store(schemas={"product": Product, "query": Query}, triggers=[find, answer])
    store.set_many("product", [{"id": i, "name": n} for i, n in enumerate("abc", 1)])
    store.set_many("query", [{"id": 1, "text": "12"}, {"id": 2, "text": "31"}])
    store.wait(timeout=60)
    assert [row.answer for row in store.rows(Query)] == ["12:a,b", "31:c,a"]
    store.set("product", id=1, name="A")
    store.set("query", id=1, text="1")
    store.wait(timeout=60)
    assert [row.answer for row in store.rows(Query)] == ["1:A", "31:c,A"]


def test_batches_are_given_a_list_of_lists(open_store: OpenStore) -> None:
    sizes: list[int] = []

    @motion.trigger(on="user.likes", sets="user.all", batch=8)
    def join_all(
        names: Annotated[list[list[str | None]], motion.Lookup("product.name", by="likes")],
    ) -> list[str]:
        sizes.append(len(names))
        return [str(each) for each in names]

    @motion.trigger(on="user.likes", sets="user.liked", batch=8, executor="process")
    def join(
        names: Annotated[list[list[str]], motion.Lookup("product.name", by="likes")],
    ) -> list[str]:
        return [",".join(each) for each in names]

    store = open_store(schemas=SCHEMAS, triggers=[join_all, join])
    store.set_many("product", [{"id": i, "name": n} for i, n in enumerate("ab", 1)])
    store.set_many("user", [{"id": i, "likes": [1, i]} for i in (1, 2, 3)])
    store.wait(timeout=60)
    assert [(row.all, row.liked) for row in store.rows(User)] == [
        ("['a', 'a']", "a,a"),
        ("['a', 'b']", "a,b"),
        ("['a', None]", None),
    ]
    assert max(sizes) > 1


@pytest.mark.parametrize("is_swept", [False, True], ids=["at once", "swept"])
def test_a_list_that_pages_inherit_is_looked_up_by_all_of_them(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch, *, is_swept: bool
) -> None:
    if is_swept:
        monkeypatch.setattr(followers, "AT_ONCE", 0)

    @dataclass
    class Doc:
        id: int
        likes: list[int]
        page: int
        part: str
        seen: str

    @motion.trigger(on="doc.part", sets="doc.seen")
    def see(part: str, names: Gapped) -> str:
        return f"{part} {names}"

    store = open_store(schemas={"product": Product, "doc": Doc}, triggers=[see])
    store.set("product", id=1, name="a")
    store.set("doc", id=7, likes=[1])
    store.set_many("doc", [{"id": 7, "page": i, "part": f"p{i}"} for i in (0, 1)])
    store.set("doc", id=7, page=2, part="p2", likes=[1, 2])

    def seen() -> list[Any]:
        store.wait(timeout=60)
        return [row.seen for row in store.rows(Doc)]

    assert seen() == ["p0 ['a']", "p1 ['a']", "p2 ['a', None]"]
    store.set("product", id=1, name="A")
    assert seen() == ["p0 ['A']", "p1 ['A']", "p2 ['A', None]"]
    store.set("product", id=2, name="b")
    assert seen() == ["p0 ['A']", "p1 ['A']", "p2 ['A', 'b']"]


def test_rows_that_were_made_from_a_list_stay_and_are_told_as_stale(open_store: OpenStore) -> None:
    @dataclass
    class Line:
        id: str
        name: str

    @motion.trigger(on="user.likes", sets="line")
    def lines(id: int, names: Names) -> list[Line]:
        return [Line(f"{id}/{i}", name) for i, name in enumerate(names)]

    store = open_store(schemas=SCHEMAS | {"line": Line}, triggers=[lines])
    store.set_many("product", [{"id": i, "name": n} for i, n in enumerate("ab", 1)])
    store.set_many("user", [{"id": 1, "likes": [1, 2]}, {"id": 2, "likes": [2]}])
    store.wait(timeout=60)
    store.delete("product", 1)
    store.wait(timeout=60)
    assert [row.name for row in store.rows(Line)] == ["a", "b", "b"]
    assert store.status().triggers["lines"].stale == 1
    store.set("product", id=1, name="A")
    store.wait(timeout=60)
    assert [row.name for row in store.rows(Line)] == ["A", "b", "b"]
    assert store.status().triggers["lines"].stale == 0


@dataclass
class Plain:
    id: int
    likes: list[int]
    all: str


def test_a_trigger_that_is_new_to_a_store_or_back_follows_the_rows_that_are_there(
    open_store: OpenStore,
) -> None:
    @motion.trigger(on="plain.likes", sets="plain.all")
    def join_all(names: Gapped) -> str:
        return str(names)

    schemas = {"product": Product, "plain": Plain}

    def opened(*triggers: Any) -> motion.Store:
        return open_store(schemas=schemas, triggers=list(triggers))

    def found(store: motion.Store) -> list[str]:
        store.wait(timeout=60)
        return [row.all for row in store.rows(Plain)]

    with opened() as store:
        store.set_many("product", [{"id": i, "name": n} for i, n in enumerate("ab", 1)])
        store.set_many("plain", [{"id": 1, "likes": [1]}, {"id": 2, "likes": [2, 1]}, {"id": 3}])
    with opened(join_all) as store:
        store.backfill("join_all").wait(timeout=60)
        store.set("product", id=1, name="A")
        assert found(store) == ["['A']", "['b', 'A']", None]
    with opened() as store:
        with pytest.raises(motion.SqlError):  # it costs nothing any more
            store.sql('SELECT * FROM "motion_listed_plain:likes"')
        store.set("plain", id=1, likes=[2])
        store.set("plain", id=3, likes=[1])
    with opened(join_all) as store:
        store.backfill("join_all").wait(timeout=60)
        store.set("product", id=2, name="B")
        store.set("product", id=1, name="x")
        assert found(store) == ["['B']", "['B', 'x']", "['x']"]


@pytest.mark.parametrize(
    ("hint", "message"),
    [
        (Annotated[list[str], motion.Lookup("product.name", by="words")], r"list\[int\]"),
        (Annotated[list[str], motion.Lookup("product.name", by="both")], r"list\[int\]"),
        (Annotated[list[str], motion.Lookup("product.name", by=("likes", "id"))], "names 2 keys"),
        (Annotated[list[str], motion.Lookup("product.name", by="likes", to="product.vector")], "ints or texts"),
    ],
)  # fmt: skip
def test_lists_that_name_no_rows_are_refused(
    open_store: OpenStore, hint: Any, message: str
) -> None:
    @dataclass
    class User:
        id: int
        likes: list[int]
        words: list[str]
        both: list[int | None]
        liked: str

    def join(names: Any) -> str:
        return str(names)

    join.__annotations__["names"] = hint
    trigger = motion.trigger(on="user.likes", sets="user.liked")(join)
    with pytest.raises(motion.TriggerError, match=message):
        open_store(schemas={"product": Product, "user": User}, triggers=[trigger])


@pytest.mark.parametrize(
    ("hint", "message"),
    [
        (Annotated[str, motion.Lookup("product.name", by="likes")], r"list\[str\]"),
        (Annotated[list[int], motion.Lookup("product.name", by="likes")], r"list\[str\]"),
        (Annotated[dict[str, str], motion.Lookup("product.name", by="likes")], r"list\[str\]"),
        (Annotated[list[float], motion.Lookup("product.vector", by="likes")], "arrays"),
    ],
)
def test_keys_that_cannot_keep_such_a_list_are_refused(
    open_store: OpenStore, hint: Any, message: str
) -> None:
    user = make_dataclass("User", [("id", int), ("likes", list[int]), ("kept", hint)])
    with pytest.raises(motion.SchemaError, match=message):
        open_store(schemas={"product": Product, "user": user})


@pytest.mark.parametrize(("at_once", "alike", "count"), [(3, 2, 10), (500, 10, 600)])
def test_rows_that_list_several_of_those_that_change_do_not_hide_others(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch, at_once: int, alike: int, count: int
) -> None:
    """Each is found once for each that it lists: so many findings are not so many rows."""
    monkeypatch.setattr(followers, "AT_ONCE", at_once)
    shop = open_store(schemas=SCHEMAS, triggers=triggers())

    def name_all(name: str) -> set[str]:
        shop.set_many("product", [{"id": i, "name": name} for i in range(count // alike * 20)])
        shop.wait(timeout=60)
        return {row.liked for row in shop.rows(User)}

    liked = [range(i // alike * 20, i // alike * 20 + 20) for i in range(count)]
    shop.set_many("user", [{"id": i, "likes": [*each]} for i, each in enumerate(liked)])
    assert name_all("a") == {",".join("a" * 20)}
    assert name_all("b") == {",".join("b" * 20)}


PRODUCTS = st.fixed_dictionaries(
    {"id": st.integers(1, 4)}, optional={"name": st.sampled_from(["x", "y", None])}
)
LISTS = st.lists(st.integers(1, 5), max_size=4)
USERS = st.fixed_dictionaries({"id": st.integers(1, 3)}, optional={"likes": st.none() | LISTS})
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("product"), st.one_of(PRODUCTS, PRODUCTS, st.integers(1, 4))),
        st.tuples(st.just("user"), st.one_of(USERS, USERS, st.integers(1, 3))),
    ),
    min_size=3,
    max_size=25,
)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    CHANGES,
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, False]),
    st.sampled_from([1, 2, 500]),
)
def test_lists_are_what_a_recompute_gives_after_any_changes(
    open_store: OpenStore,
    changes: list[Any],
    in_one: bool,
    waits: bool,
    inline: bool | None,
    at_once: int,
) -> None:
    store = open_store(schemas=SCHEMAS, triggers=triggers(inline), run=False, url=":memory:")
    try:
        with Stepper(store) as worker, patch.object(followers, "AT_ONCE", at_once):
            if in_one:
                with store.transaction() as tx:
                    for table, change in changes[:8]:
                        _do(tx, table, change)
            for table, change in changes:
                _do(store, table, change)
                if waits:
                    worker.run_until_idle()
            worker.run_until_idle()
        assert not store.errors()
        known = {row.id: row.name for row in store.rows(Product)}
        for row in store.rows(User):
            all = None if row.likes is None else [known.get(each) for each in row.likes]
            whole = None if all is None or None in all else all
            joined = (
                None
                if all is None
                else ",".join(f"{i}={n}" for i, n in zip(row.likes, all, strict=True))
            )
            liked = None if whole is None else ",".join(map(str, whole))
            assert (row.liked, row.all, row.names, row.gapped) == (liked, joined, whole, all), row
    finally:
        store.close()


def _do(store: Any, table: str, change: Any) -> None:
    if isinstance(change, int):
        store.delete(table, change)
    else:
        store.set(table, **change)


# -- what happens to stores --


def following(name: str, table: str, by: str) -> Any:
    """Return a trigger that looks up by a list."""

    def join_all(names: Any) -> str:
        return str(names)

    lookup = motion.Lookup("product.name", by=by)
    join_all.__annotations__["names"] = Annotated[list[str | None], lookup]
    return motion.trigger(on=f"{table}.{by}", sets=f"{table}.all", name=name)(join_all)


def run(*words: str) -> None:
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 0, (done.output, done.exception)


def store_at(folder: Path, trigger: Any, **schemas: type) -> motion.Store:
    given = {"product": Product, **schemas}
    url = f"sqlite:///{folder}"
    return motion.create_store("lists", schemas=given, triggers=[trigger], url=url)


def test_a_copy_follows_what_is_in_its_lists(tmp_path: Path) -> None:
    with store_at(tmp_path / "one", following("join", "plain", "likes"), plain=Plain) as store:
        store.set_many("product", [{"id": i, "name": n} for i, n in enumerate("ab", 1)])
        store.set_many("plain", [{"id": 1, "likes": [1]}, {"id": 2, "likes": [2, 1]}])
        store.wait(timeout=60)
    run("copy", str(tmp_path / "one"), str(tmp_path / "two"))
    with store_at(tmp_path / "two", following("join", "plain", "likes"), plain=Plain) as store:
        store.set("product", id=2, name="B")
        store.set("plain", id=1, likes=[2])
        store.set("product", id=1, name="A")
        store.wait(timeout=60)
        assert [row.all for row in store.rows(Plain)] == ["['B']", "['B', 'A']"]


def test_lists_are_followed_under_the_new_names_of_keys_and_tables(tmp_path: Path) -> None:
    @dataclass
    class Person:
        id: int
        wishes: list[int]
        all: str

    with store_at(tmp_path, following("join", "plain", "likes"), plain=Plain) as store:
        store.set("product", id=1, name="a")
        store.set_many("plain", [{"id": 1, "likes": [1]}, {"id": 2, "likes": [2, 1]}])
        store.wait(timeout=60)
    run("migrate", str(tmp_path), "--rename-table", "plain=person", "--yes")
    run("migrate", str(tmp_path), "--rename-key", "person.likes=wishes", "--yes")
    with store_at(tmp_path, following("join", "person", "wishes"), person=Person) as store:
        store.set("product", id=2, name="b")
        store.set("person", id=1, wishes=[2])
        store.set("product", id=1, name="A")
        store.wait(timeout=60)
        assert [row.all for row in store.rows(Person)] == ["['b']", "['b', 'A']"]
        with pytest.raises(motion.SqlError):
            store.sql('SELECT * FROM "motion_listed_plain:likes"')


def test_a_product_that_is_forgotten_leaves_nothing_in_what_was_made_of_it(tmp_path: Path) -> None:
    @motion.trigger(on="user.likes", sets="user.all")
    def fail(names: Gapped) -> str:
        raise ValueError(f"too many: {names}")

    @motion.trigger(on=motion.deleted("user"))
    def tell(id: int, names: list[str] | None, gapped: list[str] | None) -> None:
        raise ValueError(f"it had {names} {gapped}")

    word = "Canary4711"
    url = f"sqlite:///{tmp_path}"
    with motion.create_store(
        "lists", schemas=SCHEMAS, triggers=[fail, tell, mean], url=url
    ) as store:
        store.set_many("product", [{"id": 1, "name": word}, {"id": 2, "name": "other"}])
        store.set_many(
            "user", [{"id": 1, "likes": [2, 1]}, {"id": 2, "likes": [1]}, {"id": 3, "likes": [2]}]
        )
        store.wait(timeout=60)
        store.delete("user", 2).wait(raise_errors=False)
        assert word in "".join(each.error for each in store.errors())
        store.forget("product", 1, timeout=60)
        assert store.get(User, 1).gapped == ["other", None]  # type: ignore[union-attr]  # it is there
        assert word not in "".join(each.error + each.inputs for each in store.errors())
    assert not [
        each
        for each in tmp_path.rglob("*")
        if each.is_file() and word.encode() in each.read_bytes()
    ]


def test_a_process_without_the_table_that_holds_lists_makes_its_rows_due(tmp_path: Path) -> None:
    join = following("join", "plain", "likes")
    with store_at(tmp_path, join, plain=Plain) as store:
        store.set("product", id=1, name="a")
        store.set("plain", id=1, likes=[1])
        store.wait(timeout=60)
    url = f"sqlite:///{tmp_path}"
    with motion.create_store("lists", schemas={"product": Product}, url=url) as store:
        store.set("product", id=1, name="A")
    with store_at(tmp_path, join, plain=Plain) as store:
        store.wait(timeout=60)
        assert [row.all for row in store.rows(Plain)] == ["['A']"]


def test_a_claim_ends_where_what_its_lists_name_is_heavy(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "VALUES_AT_ONCE", 2)
    monkeypatch.setattr(own, "MOST_BYTES", 100)
    store = open_store(schemas=SCHEMAS, triggers=triggers(False), run=False)
    store.set_many("product", [{"id": i, "name": str(i) * 60} for i in range(1, 9)])
    store.set_many("user", [{"id": i, "likes": [i, i + 1, i + 2, 1]} for i in range(1, 7)])
    with Stepper(store) as worker:
        worker.run_until_idle()
    found = {row.id: row.liked for row in store.rows(User)}
    assert found == {
        i: ",".join(str(each) * 60 for each in (i, i + 1, i + 2, 1)) for i in range(1, 7)
    }


def test_a_kept_list_of_very_many_is_left_to_a_task(open_store: OpenStore) -> None:
    store = open_store(schemas=SCHEMAS, run=False)
    store.set_many("product", [{"id": i, "name": "x"} for i in range(1, 101)])
    store.set("user", id=1, likes=list(range(1, 101)) * 60)
    assert store.status().tasks == {}
    store.set("product", id=7, name="y")
    assert set(store.status().tasks) == {"user.names", "user.gapped"}
    with Stepper(store) as worker:
        worker.run_until_idle()
    row: Any = store.get(User, 1)
    assert row.names == row.gapped == ["y" if i == 7 else "x" for i in range(1, 101)] * 60


class Teller(motion.Component):
    def setup(self) -> dict[str, int]:
        return {"version": 1}

    @motion.infer(on="user.likes", sets="user.all", refresh="before")
    def tell(self, state: dict[str, int], names: Gapped) -> str:
        return f"{state['version']} {names}"

    @motion.fit(on="user.liked", every=1000, promote=motion.manual)
    def fit(self, state: dict[str, int], rows: list[User]) -> dict[str, int]:
        return {"version": state["version"] + 1}


def test_each_version_that_goes_live_has_seen_what_the_lists_name(open_store: OpenStore) -> None:
    def told() -> list[str]:
        shop.wait(timeout=60)
        return [row.all for row in shop.rows(User)]

    shop = open_store(schemas=SCHEMAS, triggers=[Teller()])
    model = shop.model("Teller")
    shop.set_many("product", [{"id": i, "name": n} for i, n in enumerate("ab", 1)])
    shop.set_many("user", [{"id": 1, "likes": [1, 2]}, {"id": 2, "likes": [2]}])
    shop.set("user", id=2, liked="yes")
    model.fit().wait(timeout=60)
    assert told() == ["1 ['a', 'b']", "1 ['b']"]
    shop.set("product", id=1, name="A")  # while version 2 is a candidate that has all its outputs
    assert told() == ["1 ['A', 'b']", "1 ['b']"]
    model.promote(2).wait(timeout=60)
    assert told() == ["2 ['A', 'b']", "2 ['b']"]
    shop.delete("product", 2)  # while version 1 is one to go back to
    assert told() == ["2 ['A', None]", "2 [None]"]
    model.rollback().wait(timeout=60)
    assert told() == ["1 ['A', None]", "1 [None]"]


@dataclass
class Priced:
    id: int
    price: float


@dataclass
class Shopper:
    id: int
    likes: list[int]
    wishes: list[int]
    total: float


Liked = Annotated[list[float], motion.Lookup("priced.price", by="likes")]
Wished = Annotated[list[float], motion.Lookup("priced.price", by="wishes")]


@motion.trigger(on="shopper.likes", sets="shopper.total", name="total")
def of_likes(prices: Liked) -> float:
    return sum(prices)


@motion.trigger(on="shopper.wishes", sets="shopper.total", name="total")
def of_wishes(prices: Wished) -> float:
    return sum(prices)


def test_a_sweep_over_what_changed_code_does_not_go_by_holds_up_nothing(
    open_store: OpenStore,
) -> None:
    schemas: dict[str, Any] = {"priced": Priced, "shopper": Shopper}
    with open_store(schemas=schemas, triggers=[of_likes]) as store:
        store.set_many("priced", [{"id": n, "price": 1.0} for n in (7, 8)])
        store.set_many("shopper", [{"likes": [7], "wishes": [8, 8]}] * 1_000)
        store.wait(timeout=60)
    with open_store(schemas=schemas, triggers=[of_likes], run=False) as store:
        store.set("priced", id=7, price=5.0)
        assert "sweep" in {each.kind for each in store.status().backfills}
    with open_store(schemas=schemas, triggers=[of_wishes]) as store:
        store.wait(timeout=60)
        store.backfill("total").wait(timeout=60)
        assert {row.total for row in store.rows("shopper")} == {2.0}
