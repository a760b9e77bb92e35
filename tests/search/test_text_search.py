"""Full-text and hybrid search, and batches of both."""

from __future__ import annotations

import sqlite3
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import motion
from tests.conftest import OpenStore

WORDS, VECTORS = "offer.text", "offer.embedding"


@dataclass
class Offer:
    id: int
    text: str
    title: str
    shop: str
    embedding: Annotated[np.ndarray, motion.Vector(2)]


@dataclass
class Note:
    """Texts on pages."""

    id: int
    title: str
    part: str
    part_page: int


@pytest.fixture
def offers(open_store: OpenStore) -> motion.Store:
    return open_store(schemas={"offer": Offer})


def fill(store: motion.Store, texts: list[str | None], **values: Any) -> None:
    store.set_many("offer", [{"id": i, "text": text, **values} for i, text in enumerate(texts)])


def ids(hits: list[motion.Hit[Any]]) -> list[Any]:
    return [hit.id for hit in hits]


def found(store: motion.Store, text: str, **options: Any) -> list[Any]:
    return ids(store.search(WORDS, text=text, **options))


# -- words --


def test_rows_with_more_of_the_words_come_first(offers: motion.Store) -> None:
    fill(offers, ["black boots", "a linen shirt", "red linen dress", "wool coat", "silk scarf"])
    assert found(offers, "linen dress") == [2, 1]


def test_a_hit_has_the_row_and_a_score_above_0(offers: motion.Store) -> None:
    fill(offers, ["red dress"], shop="a")
    hit = offers.search(WORDS, text="dress")[0]
    assert (hit.row.text, hit.row.shop, hit.score > 0) == ("red dress", "a", True)


@pytest.mark.parametrize("text", ["DRESS", "dresses", "Dréss", "  dress!  ", "the dress?"])
def test_case_accents_endings_and_punctuation_make_no_difference(
    offers: motion.Store, text: str
) -> None:
    fill(offers, ["red dress"])
    assert found(offers, text) == [0]


def test_k_bounds_the_hits(offers: motion.Store) -> None:
    fill(offers, ["dress"] * 20)
    assert found(offers, "dress", k=5) == [0, 1, 2, 3, 4]
    assert len(found(offers, "dress", k=10_000)) == 20


@pytest.mark.parametrize("text", ["", " ", "\0", "...", '"'])
def test_a_text_without_words_finds_nothing(offers: motion.Store, text: str) -> None:
    fill(offers, ["dress"])
    assert found(offers, text) == []


def test_an_empty_table_has_no_hits(offers: motion.Store) -> None:
    assert found(offers, "dress") == []


OPERATORS = [
    '"',
    "dress*",
    "(dress",
    "NEAR(red dress)",
    "a AND",
    "OR",
    "NOT x",
    "text:dress",
    "^dress",
    "{a}:b",
    "-x",
]


@pytest.mark.parametrize("operator", OPERATORS)
def test_operators_are_words(offers: motion.Store, operator: str) -> None:
    fill(offers, ["red dress x a or not b near and"])
    assert found(offers, operator) in ([0], [])
    assert found(offers, f"{operator} red") == [0]


@given(text=st.text(), other=st.text())
@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example(text=" ".join(OPERATORS), other="'); DROP TABLE x; --")
@example(text="\0a\0", other="\0")
@example(text=" ".join(map(str, range(5_000))), other="x" * 100_000)
def test_any_text_can_be_stored_and_asked_for(offers: motion.Store, text: str, other: str) -> None:
    offers.set("offer", id=1, text=text)
    offers.search(WORDS, text=other)
    offers.search(WORDS, text=other, where={"id": 1})
    if text.isascii() and text.isalnum():
        assert found(offers, text) == [1]


def test_half_a_surrogate_pair_is_passed_over(offers: motion.Store) -> None:
    fill(offers, ["dress"])
    assert found(offers, "dress \ud800") == [0]


SEPARATORS = [*",;/|&+#:.!?()[]{}<>=~*\\_-@%^$\"'`", "\u2014", "\u2019", "\u00b7", "\u3001", "\u3002", "\u060c", "\u0964", "\uff0c", "\u2026", "\n", "\0", "\u00a0", "\u3000"]  # fmt: skip


@pytest.mark.parametrize("separator", SEPARATORS)
def test_words_are_apart_whatever_stands_between_them(offers: motion.Store, separator: str) -> None:
    fill(offers, ["red dress", "black shoes", f"coats{separator}boots"])
    assert sorted(found(offers, f"dress{separator}shoes")) == [0, 1]
    assert sorted(found(offers, f"{separator}dress{separator}{separator}coats{separator}")) == [0, 2]  # fmt: skip
    assert found(offers, "boots") == [2]


ALIKE = [
    "caf\u00e9", "\u0447\u0430\u0439", "\u0451\u043b\u043a\u0430", "\ud55c\uad6d", "\u30ac\u30e9\u30b9",
    "\u0395\u03bb\u03bb\u03ac\u03b4\u03b1", "\u00fc", "\u1ec7", "\u092a\u094d\u092f\u093e\u0930", "\u0130zmir",
    "\u00c5ngstr\u00f6m", "\u0928\u093c\u0940\u0932\u093e", "\u0623\u0647\u0644\u0627", "Stra\u00dfe", "\u1e9b\u0323", "\u304c\u304e",
]  # fmt: skip


@pytest.mark.parametrize("word", ALIKE)
def test_composed_and_decomposed_forms_and_cases_are_alike_in_every_script(
    offers: motion.Store, word: str
) -> None:
    forms = {unicodedata.normalize(form, word) for form in ("NFC", "NFD", "NFKC", "NFKD")}
    forms |= {word.upper(), word.lower(), word.casefold()}
    fill(offers, [*forms, "else"])
    for form in forms:
        assert sorted(found(offers, form)) == list(range(len(forms))), form


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("\uff26\uff35\uff2c\uff2c width", "full"),
        ("\ufb01ne print", "fine"),
        ("\uff76\uff9e\uff97\uff7d", "\u30ac\u30e9\u30b9"),
        ("\u0645\u064f\u062d\u064e\u0645\u0651\u064e\u062f", "\u0645\u062d\u0645\u062f"),
        ("\u05e9\u05b8\u05dc\u05d5\u05b9\u05dd", "\u05e9\u05dc\u05d5\u05dd"),
        ("\u0417\u0430\u0301\u043c\u043e\u043a", "\u0437\u0430\u043c\u043e\u043a"),
        ("soft\u00adly", "softly"),
        ("a 10cm wide belt", "10 cm"),
        ("a 10 cm wide belt", "10cm"),
        ("size XL42", "xl42"),
        ("the women's dress", "women"),
        ("the women's dress", "women\u2019s"),
        ("l'\u00e9t\u00e9", "ete"),
        ("a t-shirt", "t shirt"),
        ("snake_case_name", "case"),
        ("price: 3,50\u20ac", "3,50"),
        ("\u0440\u043e\u0437\u043e\u0432\u043e\u0435 dress\u8fde\u8863\u88d9", "\u8fde\u8863\u88d9"),
        ("dress\u8fde\u8863\u88d9", "dress"),
        ("Sm\u00f8rrebr\u00f8d fra K\u00f8ge", "smorrebrod"),
        ("smorrebrod", "SM\u00d8RREBR\u00d8D"),
        ("\u0141\u00f3d\u017a", "lodz"),
        ("\u0153uvre", "oeuvre"),
        ("\u00c6gir", "aegir"),
        ("\u0131s\u0131", "isi"),
        ("\u0663\u0664\u0665", "345"),
        ("10cm", "\u0967\u0966 cm"),
    ],
)  # fmt: skip
def test_ways_of_writing_the_same_find_each_other(
    offers: motion.Store, text: str, query: str
) -> None:
    fill(offers, ["something else", text])
    assert found(offers, query) == [1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\u6211\u7231\u5317\u4eac\u5929\u5b89\u95e8", ["\u5317\u4eac", "\u5929\u5b89\u95e8", "\u7231"]),
        ("\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8\u3067\u3059", ["\u65e5\u672c\u8a9e", "\u30c6\u30ad\u30b9\u30c8", "\u306e"]),
        ("\u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22\u0e07\u0e48\u0e32\u0e22", ["\u0e20\u0e32\u0e29\u0e32", "\u0e44\u0e17\u0e22", "\u0e07\u0e48\u0e32\u0e22"]),
        ("\ud55c\uad6d\uc5b4\ub85c \uc4f4 \uae00", ["\ud55c\uad6d\uc5b4", "\ud55c\uad6d", "\uae00"]),
        ("\u1797\u17b6\u179f\u17b6\u1781\u17d2\u1798\u17c2\u179a", ["\u1781\u17d2\u1798\u17c2\u179a"]),
        ("a \U0001f389 party\u2764\ufe0f", ["\U0001f389", "\u2764", "\u2764\ufe0f", "party"]),
        ("\U0001f44d\U0001f3fd yes \U0001f1eb\U0001f1f7", ["\U0001f44d", "\U0001f1eb\U0001f1f7"]),
        ("\u0939\u093f\u0928\u094d\u0926\u0940 \u092d\u093e\u0937\u093e", ["\u0939\u093f\u0928\u094d\u0926\u0940", "\u092d\u093e\u0937\u093e"]),
        ("\U00020bb7\u91ce\u5bb6", ["\U00020bb7\u91ce"]),
    ],
)  # fmt: skip
def test_words_of_scripts_without_blanks_and_signs_are_found(
    offers: motion.Store, text: str, words: list[str]
) -> None:
    fill(offers, ["something else", text, "\u5929\u6c14 \u0e01\u0e34\u0e19 \U0001f1e9\U0001f1ea"])
    for word in words:
        assert found(offers, word)[0] == 1, word
        assert 0 not in found(offers, word)


def test_a_letter_that_an_apostrophe_parts_from_a_word_is_not_looked_for(
    offers: motion.Store,
) -> None:
    fill(offers, ["the s class", "the women's dress"])
    assert found(offers, "women's") == [1]
    assert found(offers, "s") == [0, 1]


def test_what_a_query_writes_together_comes_first_where_it_is_together(
    offers: motion.Store,
) -> None:
    fill(
        offers,
        [
            "linen, and then a dress",
            "a linen-dress here now",
            "\u4eac\u5317 \u5317",
            "\u5317\u4eac",
        ],
    )
    assert found(offers, "linen-dress") == [1, 0]
    assert found(offers, "\u5317\u4eac") == [3]


@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30),
    form=st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]),
)
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example(text="\u0345\u0300a", form="NFD")
@example(text="\u0e33\u0e33", form="NFKC")
def test_a_text_with_a_letter_finds_itself_in_any_form(
    offers: motion.Store, text: str, form: Any
) -> None:
    offers.set("offer", id=1, text=f"{text} x{text}")
    query = unicodedata.normalize(form, text)
    has_word = any(
        unicodedata.category(each)[0] == "L" for each in unicodedata.normalize("NFKC", text)
    )
    if has_word and not any(each in "'\u2019\u02bc\u2018" for each in text):
        assert found(offers, query) == [1]


def test_an_index_of_an_earlier_form_is_made_again_and_said_so(
    open_store: OpenStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(schemas={"offer": Offer})
    fill(store, ["\u5317\u4eac", "red dress"])
    store.close()
    with sqlite3.connect(tmp_path / "shop.motion" / "store.sqlite") as file:
        index, rows = '"motion_text_rows_offer:text"', '"motion_rows_offer"'
        number = "rowid"
        file.execute(f"CREATE VIRTUAL TABLE {index} USING fts5(text, content='motion_rows_offer', tokenize='porter unicode61')")  # fmt: skip
        file.execute(f"CREATE TRIGGER \"motion_text_rows_offer:text:insert\" AFTER INSERT ON {rows} BEGIN INSERT INTO {index} ({number}, text) VALUES (new.{number}, new.text); END")  # fmt: skip
        file.execute(f"INSERT INTO {index} ({number}, text) SELECT {number}, text FROM {rows}")
    file.close()
    again = open_store(schemas={"offer": Offer})
    with caplog.at_level("INFO", "motion"):
        assert found(again, "\u5317\u4eac") == [0]
        again.set("offer", id=7, text="dress,\u5317\u4eac")
        assert sorted(found(again, "\u5317\u4eac")) == [0, 7]
        again.delete("offer", 7)
        assert sorted(found(again, "dress \u5317\u4eac")) == [0, 1]
    said = [r.getMessage() for r in caplog.records if "full-text index" in r.getMessage()]
    assert len(said) == 1
    assert "offer.text" in said[0]


# -- writes --


def test_a_committed_text_is_found_at_once(offers: motion.Store) -> None:
    for i in range(10):
        offers.set("offer", id=i, text=f"word{i}")
        assert found(offers, f"word{i}") == [i]


def test_changed_unset_and_deleted_texts_are_not_found_any_more(offers: motion.Store) -> None:
    fill(offers, ["red dress", "blue dress", "green dress", "dress"])
    assert found(offers, "dress", k=9) == [3, 0, 1, 2]
    offers.set("offer", id=0, text="boots")
    offers.set("offer", id=1, text=None)
    offers.delete("offer", 2)
    assert found(offers, "dress red blue green") == [3]


@given(
    writes=st.lists(
        st.tuples(
            st.integers(0, 5),
            st.none() | st.sets(st.sampled_from("abcdef")).map(sorted).map(" ".join),
        ),
        max_size=20,
    ),
    look_at=st.integers(0, 20),
    word=st.sampled_from("abcdef"),
)
@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_word_is_found_in_exactly_the_rows_that_have_it(
    offers: motion.Store, writes: list[tuple[int, Any]], look_at: int, word: str
) -> None:
    for row in offers.rows("offer"):
        offers.delete("offer", row.id)
    texts: dict[int, str] = {}
    for i, (row_id, text) in enumerate(writes):
        offers.set("offer", id=row_id, text=text)
        texts[row_id] = text or ""
        if i == look_at:
            offers.search(WORDS, text=word)
    assert sorted(found(offers, word)) == sorted(i for i, text in texts.items() if word in text)


def test_ids_go_on_rising_while_a_text_index_is_kept(offers: motion.Store) -> None:
    fill(offers, ["dress"])
    found(offers, "dress")
    made = [offers.set("offer", text=f"dress {i}").id for i in range(3)]
    assert made == [1, 2, 3]


def test_what_triggers_write_is_found(open_store: OpenStore) -> None:
    @motion.trigger(on="offer.text", sets="offer.title")
    def shout(text: str) -> str:
        return f"title of {text}"

    store = open_store(schemas={"offer": Offer}, triggers=[shout])
    assert store.search("offer.title", text="title") == []
    store.set_many("offer", [{"text": f"word{i}"} for i in range(50)]).wait()
    assert len(store.search("offer.title", text="title", k=100)) == 50
    store.set("offer", id=7, text="other").wait()
    assert ids(store.search("offer.title", text="other")) == [7]


def test_a_search_inside_a_trigger_finds_by_text(open_store: OpenStore) -> None:
    @motion.trigger(on="offer.shop", sets="offer.title")
    def similar(shop: str, store: motion.View) -> str:
        return ",".join(str(hit.id) for hit in store.search(WORDS, text=shop))

    store = open_store(schemas={"offer": Offer}, triggers=[similar])
    store.set("offer", id=1, text="linen dress")
    store.set("offer", id=2, shop="linen").wait()
    assert store.get("offer", 2).title == "1"


def test_texts_are_found_after_reopening(open_store: OpenStore) -> None:
    store = open_store(schemas={"offer": Offer})
    fill(store, ["red dress"])
    found(store, "dress")
    store.close()
    again = open_store(schemas={"offer": Offer})
    again.set("offer", id=5, text="dress")
    assert sorted(found(again, "dress")) == [0, 5]


def test_the_index_fits_the_rows_by_sqlites_own_check(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store(schemas={"offer": Offer})
    fill(store, ["red dress", None, "boots"])
    found(store, "dress")
    store.set("offer", id=0, text="blue dress")
    store.delete("offer", 2)
    store.close()
    with sqlite3.connect(tmp_path / "shop.motion" / "store.sqlite") as file:
        index = '"motion_text_rows_offer:text"'
        file.execute(f"INSERT INTO {index} ({index}) VALUES ('integrity-check')")
    file.close()


def test_a_text_on_a_page_is_found_there_and_nowhere_it_is_inherited(
    open_store: OpenStore,
) -> None:
    store = open_store(schemas={"note": Note})
    store.set("note", id=7, title="summer")
    store.set("note", id=7, part_page=2, part="linen")
    hit = store.search("note.part", text="linen")[0]
    assert (hit.id, hit.pages, hit.row.title) == (7, {"part_page": 2}, "summer")
    assert [h.pages for h in store.search("note.title", text="summer")] == [{"part_page": 0}]


def test_text_ids_work(open_store: OpenStore) -> None:
    @dataclass
    class Named:
        id: str
        text: str

    store = open_store(schemas={"named": Named})
    store.set("named", id="x", text="dress")
    store.set("named", id="y", text="boots")
    assert ids(store.search("named.text", text="boots")) == ["y"]


# -- filters --


def test_a_filter_gives_exactly_k_where_k_exist(offers: motion.Store) -> None:
    fill(offers, ["dress"] * 100, shop="near")
    offers.set_many("offer", [{"id": i, "shop": "far"} for i in range(80, 100)])
    assert found(offers, "dress", k=15, where="shop = ?", params=["far"]) == list(range(80, 95))
    assert found(offers, "dress", where={"shop": "none"}) == []


def test_a_wrong_filter_is_quoted_in_the_error(offers: motion.Store) -> None:
    with pytest.raises(motion.SqlError, match="nowhere"):
        found(offers, "dress", where="nowhere = 1")


# -- several keys --


def test_what_is_good_by_vector_and_by_text_comes_before_what_is_best_by_one(
    offers: motion.Store,
) -> None:
    offers.set_many(
        "offer",
        [
            {"id": 1, "text": "wool coat", "embedding": np.array([1.0, 0])},
            {"id": 2, "text": "linen dress", "embedding": np.array([1.0, 0.1])},
            {"id": 3, "text": "linen dress dress"},
        ],
    )
    assert ids(offers.search(VECTORS, [1, 0]))[0] == 1
    assert found(offers, "linen dress")[0] == 3
    assert ids(offers.search([VECTORS, WORDS], [1, 0], text="linen dress")) == [2, 1, 3]


def test_fused_scores_are_sums_of_reciprocal_ranks(offers: motion.Store) -> None:
    offers.set("offer", id=1, text="dress", embedding=np.array([1.0, 0]))
    offers.set("offer", id=2, embedding=np.array([0, 1.0]))
    hits = offers.search([VECTORS, WORDS], [1, 0], text="dress")
    assert ids(hits) == [1, 2]
    assert [hit.score for hit in hits] == pytest.approx([2 / 61, 1 / 62])


def test_two_texts_are_searched_together(offers: motion.Store) -> None:
    offers.set("offer", id=1, text="dress", title="linen")
    offers.set("offer", id=2, text="dress")
    assert ids(offers.search([WORDS, "offer.title"], text="linen dress")) == [1, 2]


def test_a_filter_holds_for_every_ranking(offers: motion.Store) -> None:
    fill(offers, ["dress"] * 10, embedding=np.array([1.0, 0]), shop="a")
    offers.set("offer", id=3, shop="b")
    assert ids(offers.search([VECTORS, WORDS], [1, 0], text="dress", where={"shop": "b"})) == [3]


def test_rows_without_a_vector_are_found_by_their_text(offers: motion.Store) -> None:
    offers.set("offer", id=1, text="dress")
    assert ids(offers.search([VECTORS, WORDS], [1, 0], text="dress")) == [1]


# -- batches --


def test_a_batch_of_vectors_gives_a_list_for_each(offers: motion.Store) -> None:
    offers.set_many("offer", [{"id": i, "embedding": np.eye(2)[i]} for i in range(2)])
    assert [ids(hits) for hits in offers.search(VECTORS, np.eye(2), k=1)] == [[0], [1]]
    assert offers.search(VECTORS, np.empty((0, 2))) == []


def test_a_batch_of_texts_gives_a_list_for_each(offers: motion.Store) -> None:
    fill(offers, ["dress", "boots"])
    batch = offers.search(WORDS, text=["boots", "dress", "coat"])
    assert [ids(hits) for hits in batch] == [[1], [0], []]


def test_a_batch_of_both_goes_pairwise(offers: motion.Store) -> None:
    fill(offers, ["dress", "boots"])
    offers.set_many("offer", [{"id": i, "embedding": np.eye(2)[i]} for i in range(2)])
    batch = offers.search([VECTORS, WORDS], np.eye(2), text=["dress", "boots"], k=1)
    assert [ids(hits) for hits in batch] == [[0], [1]]


# -- what cannot be asked --


@pytest.mark.parametrize(
    ("key", "vector", "text", "says"),
    [
        (WORDS, None, None, "say what to look for with text="),
        (VECTORS, None, None, "none was given"),
        (VECTORS, None, "dress", "none was given"),
        (WORDS, [1, 0], None, "holds text, not vectors"),
        (VECTORS, [1, 0], "dress", "name both"),
        ("offer.id", None, "dress", r"offer\.id holds int; searchable are .*by text= offer\.text"),
        (WORDS, None, 5, "takes a str"),
        (WORDS, None, ["a", 5], "takes a str"),
        (WORDS, None, ["dress", None], "takes a str, or a list of them, not None"),
        ([WORDS, "note.part"], None, "dress", "about one table"),
        ([], None, "dress", "about one table"),
        ([VECTORS, WORDS], [1, 0], ["a", "b"], "one and a batch of 2"),
        ([VECTORS, WORDS], [[1, 0]], ["a", "b"], "a batch of 1 and a batch of 2"),
    ],
)
def test_what_cannot_be_asked_is_said(
    open_store: OpenStore, key: Any, vector: Any, text: Any, says: str
) -> None:
    store = open_store(schemas={"offer": Offer, "note": Note})
    with pytest.raises(motion.SearchError, match=says):
        store.search(key, vector, text=text)
